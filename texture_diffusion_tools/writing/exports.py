"""The files of EXPORT, by which other programs take a drawn material as a whole, beside its maps.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..running import files
from ..running.errors import UserError, printable
from ..running.files import Results
from . import gltf, godot, materialx, patterns, png, slots, usd
from .slots import Material

# Pixels of a side: many programs take no larger texture, and packed files are in memory as a whole.
LONGEST = 8192
# Of Unicode's categories: control characters, and what could not be read as text.
NO_TEXT = ("Cc", "Cs")


def check(names: Sequence[str], photo: Any, size: tuple[int, int]) -> None:
    """UserError if the files of EXPORT's names cannot be made of a Photo's maps drawn in a size
    (height, width)."""
    if not names:
        return

    if max(size) > LONGEST:
        raise UserError(f"EXPORT is for textures of up to {LONGEST} pixels a side, and this one "
                        f"has {size[1]} x {size[0]}; leave it out, give a smaller OUTPUT_SIZE, or "
                        "draw a REGION of it")
    for file in photo.channels.files if photo.channels.folder else ():
        if any(unicodedata.category(letter) in NO_TEXT for letter in file.name):
            raise UserError(f"EXPORT cannot name {printable(file.name)}, whose name is no text; "
                            "rename that map")

    held = {kind for file in photo.channels.files for kind in file.holds}
    if "pat" in names and not held & {"colour", "grey"}:
        raise UserError("EXPORT=pat makes a pattern of a material's colour, and this one has none; "
                        "leave pat out")


def of_a_repair(names: Sequence[str]) -> tuple[str, ...]:
    """EXPORT's names without those that are for what repeats itself: a repaired photo may not."""
    return tuple(name for name in names if name != "pat")


def save(
    names: Sequence[str],
    photo: Any,
    paths: Sequence[Path],
    size: tuple[int, int],
    results: Results,
    name: str,
) -> dict[str, str]:
    """Write the files of EXPORT's names for a Photo whose maps were drawn at paths, in a size
    (height, width), and return figures.

    name: what the drawing is called, that of a file or of a material's folder.
    """
    if not names:
        return {}
    place = f"{name}/{photo.name}" if photo.channels.folder else name

    def save_copy(label: str, pixels: np.ndarray, srgb: bool) -> Path:
        path = results.path(f"{name}/{label}.png")
        png.save_png(path, pixels, srgb=srgb)
        return path

    material = slots.material_of(photo, paths, size, save_copy)

    written = []
    for suffix, content in contents(names, material, results.path, place):
        path = results.path(f"{place}.{suffix}")
        files.write_atomically(path, lambda file, content=content: file.write(content))
        written.append(path.name)
    return {"exported": ", ".join(written)}


def contents(
    names: Sequence[str], material: Material, path_of: Callable[[str], Path], place: str
) -> Iterator[tuple[str, bytes]]:
    """(suffix, bytes) of each file."""
    if "glb" in names:
        yield "glb", gltf.document(material)
    if "mtlx" in names:
        yield "mtlx", materialx.document(material).encode()
    if "tres" in names:
        yield "tres", godot.document(material).encode()
    if "usda" in names:
        text = usd.document(material)
        yield "usda", text.encode()
        yield "usdz", usd.package(text, path_of(f"{place}.usda").name, material)
    if "pat" in names:
        yield "pat", patterns.document(material)
