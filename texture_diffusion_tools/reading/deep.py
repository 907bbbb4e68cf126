"""Pictures with 16 bits a channel: read without loss, cropped, resized and warped; and heights
given as floats.

Pillow has no mode for colours with 16 bits and keeps one byte of each value, which of the two its
raw mode says: of numbers whose high byte comes first "RGB;16B" keeps the high one and "RGB;16L" the
low one. So such a file is decoded twice, once for each byte: by the same decoders, with the same
checks and limits, as one with 8 bits, and with no further package.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..running.errors import UserError, printable
from . import chunks, heights

TOP = heights.TOP
BYTES = {
    "B": ("B", "L"),
    "L": ("L", "B"),
    "N": ("L", "B") if sys.byteorder == "little" else ("B", "L"),
}
COLOURS = {"RGB", "RGBX", "RGBA", "RGBa"}  # raw modes before ";16" read with all their bits
# TIFF's tags BitsPerSample, and PlanarConfiguration: 1, or 2 for one channel after another.
BITS, PLANES = 258, 284
# PhotometricInterpretation, SampleFormat, and GDAL's for places without data.
PHOTOMETRIC, FORMAT, NO_DATA = 262, 339, 42113
ROWS = 256  # that are computed at a time
TRANSPARENT = ("transparent parts were filled with the mean colour of the visible ones; "
               "CROP = (x, y, width, height) can leave them out")


class DeepImage:
    """Pixels uint16 [H, W], [H, W, 3] or [H, W, 4], with the methods of Pillow's Image that a photo
    needs."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.pixels, dtype) if copy else np.asarray(self.pixels, dtype)

    def crop(self, box: Sequence[int]) -> DeepImage:
        """The part (left, upper, right, lower), which has to lie inside."""
        left, upper, right, lower = box
        return DeepImage(self.pixels[upper:lower, left:right])

    def resize(self, size: tuple[int, int], resample: Image.Resampling) -> DeepImage:
        """The whole at another size (width, height), with one of Pillow's filters."""
        return self.each(lambda channel: channel.resize(size, resample))

    def each(self, change: Callable[[Image.Image], Image.Image]) -> DeepImage:
        """The image whose channels are change(image) of each channel, an image of floats (mode F)
        up to 65535; they are rounded."""
        def changed(channel: np.ndarray) -> np.ndarray:
            floats = change(Image.fromarray(channel.astype(np.float32)))
            return whole(np.asarray(floats))

        parts = [changed(channel) for channel in np.moveaxis(np.atleast_3d(self.pixels), -1, 0)]
        return DeepImage(parts[0] if self.pixels.ndim == 2 else np.stack(parts, -1))

    def to_8_bit(self) -> Image.Image:
        """An image L, RGB or RGBA of the nearest values."""
        nearest = by_rows(lambda part: (part / 257).round(), np.uint8, self.pixels)
        return Image.fromarray(nearest)


def image_of(pixels: np.ndarray) -> Image.Image | DeepImage:
    """Pixels uint8 or uint16 as an image of Pillow's or a DeepImage."""
    return DeepImage(pixels) if pixels.dtype == np.uint16 else Image.fromarray(pixels)


def deepened(image: Image.Image) -> DeepImage:
    """An image L or RGB with 16 bits a channel: white stays white."""
    return DeepImage(np.asarray(image).astype(np.uint16) * 257)


def whole(values: np.ndarray) -> np.ndarray:
    """The nearest uint16 of numbers."""
    return np.clip(values, 0, TOP).round().astype(np.uint16)


def by_rows(compute: Callable[..., np.ndarray], dtype: Any, *arrays: np.ndarray) -> np.ndarray:
    """compute(parts) of arrays [H, ...], some rows at a time, so that its floats take little
    memory.
    """
    out: Any = None
    for top in range(0, len(arrays[0]), ROWS):
        part = compute(*(array[top:top + ROWS] for array in arrays))
        out = np.empty((len(arrays[0]), *part.shape[1:]), dtype) if out is None else out
        out[top:top + ROWS] = part
    return out


class OnlyEightBits(Exception):
    """A file has more bits and 8 of them can be read; args are a sentence that says why."""


def read_deep(
    image: Image.Image, path: str | Path, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Upright pixels uint16 [H, W] or [H, W, 3] and alpha, uint16 [H, W] or None, of an opened
    file; None if it has 8 bits a channel.

    OnlyEightBits if it has more that cannot be read; ValueError or what a decoder raises if it is
    damaged.
    """
    raw = raw_mode(image)
    if is_signed(image) or image.mode == "F":
        return measured(image, notes), None

    if image.mode.startswith("I"):
        pixels, alpha = measured(image, notes), None
    elif raw == "LA;16B" and image.mode == "RGBA":  # as long as RGBA with 8 bits, and read as that
        both = np.ascontiguousarray(reread(path, image, "RGBA")).view(">u2").astype(np.uint16)
        pixels, alpha = both[..., 0], both[..., 1]
    elif ";16" not in raw:
        return None
    elif raw[:-4] not in COLOURS or in_planes(image):
        raise OnlyEightBits("8 bits a channel were read, as it is of a kind that cannot be read "
                            f"with 16 ({raw})")
    else:
        pixels, alpha = colours(path, image, raw)

    # the one grey value or colour that is not shown
    if alpha is None and "transparency" in image.info:
        hidden = np.atleast_3d(pixels) == np.asarray(image.info["transparency"])
        alpha = np.where(hidden.all(-1), 0, TOP).astype(np.uint16)
    return pixels, alpha


def in_planes(image: Image.Image) -> bool:
    """Whether an opened image is a TIFF that stores its channels one after another."""
    return tag_of(image, PLANES, 1) != 1


def check_planes(image: Image.Image, path: str | Path) -> None:
    """UserError if Pillow takes the bytes of an opened image for others: planes of 16 bits for
    those of 8."""
    if in_planes(image) and len(raw_mode(image)) == 1 and max(tag_of(image, BITS, (8,))) > 8:
        raise UserError(f"{printable(path)} stores its channels of 16 bits one after another, "
                        "which cannot be read; save it with compression or interleaved")


def raw_mode(image: Image.Image) -> str:
    """How the values lie in the file of an opened image, as Pillow calls it."""
    tiles = getattr(image, "tile", None)
    arguments: Any = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def upright(image: Image.Image) -> np.ndarray:
    """The values of an opened image, turned as its metadata says."""
    image.load()
    return np.asarray(ImageOps.exif_transpose(image))


def reread(path: str | Path, image: Image.Image, raw: str) -> np.ndarray:
    """The values of an opened image's file in another raw mode, uint8 [H, W, C]."""
    formats: Any = (image.format,)
    with chunks.opened(path) as file, Image.open(file, formats=formats) as opened:
        again: Any = opened

        tiles = []
        for tile in again.tile:
            arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
            make = getattr(type(tile), "_make", tuple)  # plain before Pillow 11
            tiles.append(make((*tile[:3], arguments)))
        again.tile = tiles

        return upright(again)


def colours(
    path: str | Path, image: Image.Image, raw: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours [H, W, 3] and alpha [H, W] or None, uint16, of an opened image's file, whose raw mode
    has 16 bits."""
    kind, order = raw.split(";16")
    high, low = (f"{kind.upper()};16{letter}" for letter in BYTES[order])
    pixels = reread(path, image, high).astype(np.uint16)
    pixels <<= 8
    pixels |= reread(path, image, low)

    if kind not in ("RGBA", "RGBa"):
        return pixels[..., :3], None
    if kind == "RGBA":
        return pixels[..., :3], pixels[..., 3]

    # colours that are multiplied with alpha
    def divided(part: np.ndarray) -> np.ndarray:
        return whole(part[..., :3] / np.maximum(part[..., 3:], 1) * TOP)

    return by_rows(divided, np.uint16, pixels), pixels[..., 3]


def measured(image: Image.Image, notes: list[str]) -> np.ndarray:
    """The numbers of an opened image of one channel as uint16 [H, W], upright; see
    heights.measured."""
    pixels = heights.measured(numbers(image), notes, no_data(image))
    return TOP - pixels if white_is_0(image) else pixels


def numbers(image: Image.Image) -> np.ndarray:
    """The numbers of an opened image of one channel as its file means them, [H, W], upright."""
    values = upright(image)
    if image.mode == "I" and tag_of(image, FORMAT, (1,))[0] == 1 \
            and tag_of(image, BITS, (0,))[0] == 32:
        return values.view(np.uint32)  # which Pillow takes for signed ones
    return values.view(np.int8) if is_signed(image) else values


def is_signed(image: Image.Image) -> bool:
    """Whether an opened image has signed bytes, which Pillow takes for others."""
    return image.mode == "L" and tag_of(image, FORMAT, (1,))[0] == 2


def white_is_0(image: Image.Image) -> bool:
    """Whether an opened image of more than 8 bits is a negative, which Pillow leaves as it is."""
    return image.mode[0] in "IF" and tag_of(image, PHOTOMETRIC, 1) == 0


def no_data(image: Image.Image) -> float | None:
    """The number that stands for "no data" in an opened image, or None."""
    return heights.number(tag_of(image, NO_DATA, ""))


def tag_of(image: Image.Image, tag: int, default: Any) -> Any:
    """The value of a TIFF's tag."""
    return getattr(image, "tag_v2", {}).get(tag, default)


def needs_all_bits(image: Image.Image) -> bool:
    """Whether an opened image has one channel whose values say nothing before they are looked at as
    a whole."""
    if image.mode[0] not in "IF":
        return is_signed(image)
    values = numbers(image)
    if white_is_0(image) or no_data(image) is not None:
        return True
    return not (values.min() >= 0 and values.max() <= TOP)


def flatten(pixels: np.ndarray, alpha: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """Transparent parts of uint16 [H, W] or [H, W, 3] blended with the mean of the visible ones.
    alpha: uint16 [H, W] or None. ValueError if nothing is visible."""
    if alpha is None:
        return pixels
    if not alpha.any():
        raise ValueError("it is fully transparent")
    if alpha.min() == TOP:
        return pixels

    notes.append(TRANSPARENT)
    total = np.einsum("yxc,yx->c", np.atleast_3d(pixels), alpha, dtype=np.float64)
    mean = total / alpha.sum(dtype=np.float64)
    mean = mean.reshape(mean.shape if pixels.ndim > 2 else ())

    def blend(part: np.ndarray, weights: np.ndarray) -> np.ndarray:
        shares = weights.reshape(*weights.shape, *[1] * (part.ndim - 2)) / TOP
        return whole(mean * (1 - shares) + part * shares)

    return by_rows(blend, np.uint16, pixels, alpha)


@contextlib.contextmanager
def without_a_word() -> Iterator[None]:
    """While entered, what a library writes to the screen, of damage that it also raises, is left
    out: by Python to stdout, and past it to stderr."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr that it could write to
        yield
        return

    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
