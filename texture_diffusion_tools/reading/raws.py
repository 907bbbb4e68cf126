"""Raw files of cameras, which hold what the sensor saw and a small preview: developed by the
package rawpy, where it is installed. Most of them are TIFF files, as which only the preview would
be read.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..running.errors import UserError, first_line, printable
from . import tiffs

BEGINNINGS = {
    b"FUJIFILMCCD-RAW": "RAF",
    b"FOVb": "X3F",
    b"\0MRM": "MRW",
    b"IIU\0": "RW2",
    **dict.fromkeys((b"IIRO", b"IIRS", b"MMOR"), "ORF"),
}
SUFFIXES = (  # of TIFF files
    "3fr arw cr2 dcr dng erf fff iiq k25 kdc mef mos nef nrw pef raw rwl sr2 srf srw".split())
SUB_FOLDERS, KIND, DNG = 330, 262, 50706  # SubIFDs, PhotometricInterpretation, DNGVersion
SENSOR = (32803, 34892)  # kinds of what a sensor saw
MANY = 64  # folders of a TIFF that are looked at, and values of a tag


def kind_of(path: str | Path) -> str | None:
    """The name of a kind of raw file, such as DNG; None for another file."""
    with open(path, "rb") as file:
        head = file.read(32)
        for beginning, name in BEGINNINGS.items():
            if head.startswith(beginning):
                return name
        if head[4:12] == b"ftypcrx ":
            return "CR3"
        if head[:4] not in tiffs.BEGINNINGS:
            return None
        if head[8:10] == b"CR":
            return "CR2"

        folders = []
        with contextlib.suppress(struct.error, OverflowError, ValueError):  # damaged
            folders.extend(folders_of(file))

    suffix = os.path.splitext(path)[1][1:].lower()
    if any(DNG in tags for tags in folders):
        return "DNG"
    if any(tags.get(KIND, [0])[0] in SENSOR for tags in folders):
        return suffix.upper() if suffix in SUFFIXES else "TIFF of a sensor"
    return suffix.upper() if suffix in SUFFIXES and len(folders) > 1 else None


def folders_of(file: BinaryIO) -> Iterator[dict[int, list[int]]]:
    """{tag: whole numbers} of each folder in a TIFF file, those in folders too."""
    file.seek(0)
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", head[2:4] in (b"+\0", b"\0+")

    # an offset, the bytes of an entry, those of its value, and how many entries there are
    word, entry, inside = ("Q", 20, 8) if big else ("I", 12, 4)
    number, wide = ("Q", 8) if big else ("H", 2)

    left = [*struct.unpack_from(order + word, head.ljust(16, b"\0"), 8 if big else 4)]
    seen = set()
    while left and len(seen) < MANY:
        place = left.pop(0)
        if not place or place in seen:
            continue
        seen.add(place)

        file.seek(place)
        count, = struct.unpack(order + number, file.read(wide).ljust(wide, b"\0"))
        data, tags = file.read(min(count, 1000) * entry + inside), {}
        for start in range(0, len(data) - inside - entry + 1, entry):
            tag, kind = struct.unpack_from(order + "HH", data, start)
            many, = struct.unpack_from(order + word, data, start + 4)
            value = data[start + entry - inside:start + entry]
            tags[tag] = values_at(file, order, kind, min(many, MANY), value)

        # the next folder, and those in this one
        if count <= 1000 and len(data) >= inside:
            left += struct.unpack(order + word, data[-inside:])
        left += tags.get(SUB_FOLDERS, ())
        yield tags


def values_at(file: BinaryIO, order: str, kind: int, count: int, value: bytes) -> list[int]:
    """So many whole numbers of a kind, which are in the value of an entry or where that says; of
    other kinds none."""
    letter = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind)
    if letter is None:
        return [0]

    each = struct.calcsize(letter)
    size = each * count
    if size > len(value):
        file.seek(struct.unpack(order + {4: "I", 8: "Q"}[len(value)], value)[0])
        value = file.read(size)
    return [*struct.unpack_from(f"{order}{min(count, len(value) // each)}{letter}", value)] or [0]


def package(path: str | Path, kind: str) -> Any:
    """The package that develops raw files; UserError if it is not installed."""
    try:
        import rawpy  # optional: needed by nothing else
    except ImportError:
        raise UserError(f"{printable(path)} is a raw file of a camera ({kind}), of which only a "
                        "small preview could be read: develop it first and save it as TIFF or PNG, "
                        "or pip install rawpy") from None
    return rawpy


def develop(path: str | Path, kind: str, largest: float) -> tuple[np.ndarray, str]:
    """The picture of a raw file, uint16 [H, W, 3] or [H, W] upright in sRGB, and a note; UserError
    if that fails, or if it has more pixels than largest."""
    rawpy = package(path, kind)
    try:
        with rawpy.imread(str(path)) as raw:
            sizes = raw.sizes
            large = sizes.raw_width * sizes.raw_height > largest
            pixels = None if large else raw.postprocess(output_bps=16, use_camera_wb=True)
    except Exception as error:  # whatever LibRaw raises
        raise UserError(f"{printable(path)} is a raw file of a camera ({kind}) that cannot be "
                        f"developed here ({first_line(error)}): save it as TIFF or PNG by the "
                        "program of the camera") from None

    if pixels is None:
        raise UserError(f"{printable(path)} has {sizes.raw_width} x {sizes.raw_height} pixels, "
                        f"more than {largest / 1e6:g} megapixels; develop it first, at a smaller "
                        "size")
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    note = f"it is a raw file ({kind}), developed by LibRaw with the camera's white"
    return np.ascontiguousarray(pixels), note
