"""Wang tiles as a tile set of the editor Tiled (.tsx, version 1.10 of its format), which then lays
tiles whose edges agree.
"""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import Any

COLOURS = ("#e64b35", "#3b7dd8")  # in which the editor shows edges
AROUND = ("N", "", "E", "", "S", "", "W", "")  # edges and corners as the format counts them


def document(name: str, table: dict[str, Any], picture: str) -> bytes:
    """A .tsx file of a name, in UTF-8. table: that of wang.table_of(); picture: the path of the
    picture of all tiles, relative to the file."""
    tiles = table["tiles"]
    width, height = tiles[0]["width"], tiles[0]["height"]
    root = element(None, "tileset", version="1.10", name=name, tilewidth=width, tileheight=height,
                   tilecount=len(tiles), columns=table["width"] // width)
    element(root, "image", source=picture, width=table["width"], height=table["height"])

    # one set of two colours: level edges meet level ones alone, upright ones upright ones
    edges = element(element(root, "wangsets"), "wangset", name="edges", type="edge", tile=-1)
    for number, colour in enumerate(COLOURS):
        element(edges, "wangcolor", name=number, color=colour, tile=-1, probability=1)
    for number, tile in enumerate(tiles):
        ids = ",".join(str(tile[side] + 1 if side else 0) for side in AROUND)  # 0: none
        element(edges, "wangtile", tileid=number, wangid=ids)

    xml.indent(root, " ")
    return xml.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def element(parent: xml.Element | None, tag: str, **attributes: Any) -> xml.Element:
    """An element with attributes, in a parent, if there is one."""
    values = {name: str(value) for name, value in attributes.items()}
    return xml.Element(tag, values) if parent is None else xml.SubElement(parent, tag, values)
