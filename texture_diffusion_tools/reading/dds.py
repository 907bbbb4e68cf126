"""DDS files, in which engines keep textures: those that Pillow reads are read fast, and those of
kinds that it does not know by name are read, too.

Pillow knows the compressed kinds BC1 to BC7 but for the names of their sRGB variants, whose bytes
are the same, and decodes pixels that are not compressed one by one in Python, which takes a minute
for a large texture.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

MAGIC = b"DDS "
DX10, KIND_AT = b"DX10", 128  # says at byte 84 that bytes 128 to 131 hold the kind
PLAIN = {72: 71, 75: 74, 78: 77}  # kinds BC1, BC2 and BC3 in sRGB -> the same without
LARGEST = 1 << 28  # bytes of a file whose kind is replaced: more than 100 megapixels need
RAW = {  # (bits of a pixel, masks of red, green, blue and alpha) -> Pillow's raw mode
    (24, (0xFF0000, 0xFF00, 0xFF)): "BGR",
    (24, (0xFF, 0xFF00, 0xFF0000)): "RGB",
    (32, (0xFF0000, 0xFF00, 0xFF)): "BGRX",
    (32, (0xFF, 0xFF00, 0xFF0000)): "RGBX",
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)): "BGRA",
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)): "RGBA",
}


def readable(file: BinaryIO) -> BinaryIO:
    """An opened binary file, or a copy in which the kind of a DDS file is one that Pillow knows."""
    head = file.read(KIND_AT + 4)
    file.seek(0)
    kind = int.from_bytes(head[KIND_AT:], "little")
    if not head.startswith(MAGIC) or head[84:88] != DX10 or kind not in PLAIN:
        return file

    content = bytearray(file.read(LARGEST))
    content[KIND_AT:KIND_AT + 4] = PLAIN[kind].to_bytes(4, "little")
    return io.BytesIO(content)


def hasten(image: Any) -> None:
    """Have Pillow read an opened DDS image of usual pixels as raw bytes, which gives the same."""
    if image.format != "DDS" or not image.tile or image.tile[0][0] != "dds_rgb":
        return
    _, extents, offset, arguments = image.tile[0]
    if tuple(arguments) not in RAW:
        return

    raw = ("raw", extents, offset, RAW[arguments])
    plain = not hasattr(image.tile[0], "_make")  # before Pillow 11
    image.tile = [raw if plain else type(image.tile[0])(*raw)]
