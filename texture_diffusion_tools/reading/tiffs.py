"""TIFF files of kinds that Pillow does not know, such as colours as floats, numbers with 64 bits or
channels one after another, read by the package tifffile, where it is installed.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..running.errors import UserError, first_line, printable
from . import even_light, heights

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
READ = (0, 1, 2)  # PhotometricInterpretation: white or black is 0, or red, green and blue
KINDS = {
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "the sensor of a camera",
    32844: "LogL",
    32845: "LogLuv",
    34892: "the sensor of a camera",
}
MAX_BYTES = 1_300_000_000  # of decoded values
NO_DATA, ORIENTATION = 42113, 274
ALPHAS = (1, 2)  # of ExtraSamples: values are multiplied with it, or not
TURNS = {
    2: np.fliplr,
    3: lambda x: x[::-1, ::-1],
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def package(path: str | Path) -> Any:
    """The package that reads TIFF of any kind; UserError if it is not installed."""
    try:
        import tifffile  # optional: needed by nothing else
    except ImportError:
        raise UserError(f"{printable(path)} is a TIFF file of a kind that needs more packages: "
                        "pip install tifffile imagecodecs, or save it as TIFF or PNG with 8 or 16 "
                        "bits a channel") from None
    return tifffile


def is_tiff(path: str | Path) -> bool:
    """Whether a file begins as a TIFF does."""
    with open(path, "rb") as file:
        return file.read(4) in BEGINNINGS


def read(path: str | Path, notes: list[str]) -> tuple[Any, ...]:
    """The content of a TIFF file: (values [H, W] or [H, W, 3] upright, alpha [H, W] or None,
    whether they are multiplied with it, whether 0 is white, NODATA's number or None, its profile or
    None).

    UserError with a sentence if it cannot be that; ValueError or what the package raises if it is
    damaged.
    """
    tifffile = package(path)
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            check(page, path)
            if len(file.pages) > 1:
                notes.append(f"{printable(path)} holds {len(file.pages)} pictures; the first is "
                             "used")
            found = channels(page, decoded(page, path), notes)
            tag = heights.number(page.tags.valueof(NO_DATA, ""))
            return *found, page.photometric == 0, tag, page.iccprofile
    finally:
        log.disabled = before


def check(page: Any, path: str | Path) -> None:
    """Error unless a page is a picture that can be read, is not too large, and is all there."""
    kind = f"{printable(path)} is a TIFF of {page.samplesperpixel} channels of " \
           f"{page.bitspersample} bits"
    if page.imagewidth * page.imagelength > 100e6:
        raise Image.DecompressionBombError
    if page.photometric not in READ:
        number = int(page.photometric)
        raise UserError(f"{kind} in {KINDS.get(number, f'kind {number}')}, which is not read; save "
                        "it as RGB with 8 or 16 bits")
    if page.dtype is None or page.dtype.kind not in "buif" or page.imagedepth != 1:
        raise UserError(f"{kind}, which are not read ({page.dtype}); save it with 8 or 16 bits, or "
                        "as floats")

    count = max(math.prod(page.shape), math.prod(page.chunks))
    if count * page.dtype.itemsize > MAX_BYTES:
        raise UserError(f"{kind} and {page.imagewidth} x {page.imagelength} pixels, more than "
                        f"{MAX_BYTES / 1e9:g} GB; save it smaller, or with fewer bits")

    # all of it is there, but for parts without data
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts)]
    gaps = NO_DATA not in page.tags and not all(page.databytecounts)
    cut = not ends or max(ends) > page.parent.filehandle.size
    if cut or gaps or len(ends) < math.prod(page.chunked):
        raise ValueError("pixels are missing")


def decoded(page: Any, path: str | Path) -> np.ndarray:
    """The values of a page as it is stored, [H, W, channels]; UserError if that takes one more
    package."""
    try:
        # [planes, H, W, channels]
        values = page.asarray(squeeze=False, maxworkers=1)[:, 0]
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise UserError(f"{printable(path)} is compressed in a way that needs one more package "
                            f"({first_line(error)}): pip install imagecodecs") from None
        raise
    return values[0] if len(values) == 1 else np.moveaxis(values[..., 0], 0, -1)


def channels(
    page: Any, values: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """The values that are shown of a page's, alpha or None, and whether they are multiplied with
    it, upright."""
    turn = TURNS.get(page.tags.valueof(ORIENTATION, 1))
    values = turn(values) if turn else values
    count, extra = values.shape[2], [*map(int, page.extrasamples)]
    kinds = [0] * (count - len(extra)) + extra  # 1 and 2 are alpha

    shown = 3 if count > 2 and kinds[1] == 0 else 1
    untold = count == 4 and not extra  # the fourth one is taken for alpha
    opaque = count == shown or kinds[shown] not in ALPHAS and not untold
    if count > shown + (not opaque):
        first = "the first three were taken for red, green and blue"
        taken = first if shown == 3 else "the first is used"
        notes.append(f"it has {count} channels; {taken}")

    alpha = None if opaque else values[..., shown]
    multiplied = not opaque and kinds[shown] == 1
    return values[..., :3] if shown == 3 else values[..., 0], alpha, multiplied


def shown(
    path: str | Path, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None, bytes | None]:
    """The picture of a TIFF file: (pixels uint8 or uint16 [H, W] or [H, W, 3], alpha likewise [H,
    W] or None, its profile or None); errors as of read."""
    values, alpha, multiplied, white, tag, profile = read(path, notes)
    if multiplied:
        values = divided(values, alpha)
    if values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)

    pixels = values
    if values.dtype not in (np.uint8, np.uint16):
        pixels = as_16_bits(values, tag, profile, notes)
    pixels = np.iinfo(pixels.dtype).max - pixels if white else np.ascontiguousarray(pixels)
    return pixels, None if alpha is None else opacity(alpha, pixels.dtype), profile


def as_16_bits(
    values: np.ndarray, tag: float | None, profile: bytes | None, notes: list[str]
) -> np.ndarray:
    """Numbers of any other kind [H, W] or [H, W, 3] as uint16."""
    if values.ndim == 2:
        return heights.measured(values, notes, tag)
    if values.dtype.kind == "u":
        return (values >> (8 * values.dtype.itemsize - 16)).astype(np.uint16)
    if values.dtype.kind == "i":
        together = values.reshape(len(values), -1)
        return heights.measured(together, notes, tag).reshape(values.shape)
    return of_floats(values, tag, profile, notes)


def of_floats(
    values: np.ndarray, tag: float | None, profile: bytes | None, notes: list[str]
) -> np.ndarray:
    """Colours as floats [H, W, 3] as uint16: those up to 1 are as they are, brighter ones are toned
    down."""
    hidden = heights.without_data(values, tag)
    if hidden.all():
        raise ValueError("it holds no data")
    values = np.where(hidden[..., None], 0, values).astype(np.float32)

    # the number that is white
    tops = (1, 255, 65535) if np.median(values) > 1 else (1,)
    top = next((top for top in tops if values.max() <= 1.01 * top), None)
    if not profile:
        white = "" if top == 1 or not top else f", {top:g} for white"
        notes.append(f"its floats were taken for sRGB{white}")
    if top is None:
        notes.append("what is brighter than white was toned down")

    light = values / top if top else even_light.toned(np.maximum(values, 0))
    pixels = (light.clip(0, 1) * heights.TOP).round().astype(np.uint16)
    return heights.filled(pixels, hidden, notes)


def divided(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Values [H, W] or [H, W, 3] that are multiplied with alpha [H, W] without it."""
    top = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    share = alpha.reshape(*alpha.shape, *[1] * (values.ndim - 2)).astype(np.float64) / top
    divided = np.where(share > 0, values / np.where(share > 0, share, 1), 0)

    if values.dtype.kind == "f":
        return divided.astype(values.dtype)
    return divided.round().clip(0, np.iinfo(values.dtype).max).astype(values.dtype)


def opacity(alpha: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Alpha [H, W] of any kind as uint8 or uint16."""
    top = 1 if alpha.dtype.kind in "fb" else np.iinfo(alpha.dtype).max
    share = np.nan_to_num(alpha.astype(np.float64) / top).clip(0, 1)
    return (share * np.iinfo(dtype).max).round().astype(dtype)
