"""Pictures with 16 bits a channel: read without loss, cropped, resized and warped; and heights given as floats.

Pillow has no mode for colours with 16 bits and keeps one byte of each value, which of the two its raw mode says: of
numbers whose high byte comes first "RGB;16B" keeps the high one and "RGB;16L" the low one. So such a file is decoded
twice, once for each byte: by the same decoders, with the same checks and limits, as one with 8 bits, and with no
further package.
"""

import contextlib
import io
import os
import sys

import numpy as np
from PIL import Image, ImageOps

from . import chunks, heights
from .errors import UserError, printable

TOP = heights.TOP
BYTES = {"B": ("B", "L"), "L": ("L", "B"), "N": ("L", "B") if sys.byteorder == "little" else ("B", "L")}
COLOURS = {"RGB", "RGBX", "RGBA", "RGBa"}  # raw modes before ";16" that are read with all their bits
BITS, PLANES = 258, 284  # TIFF's tags BitsPerSample, and PlanarConfiguration: 1, or 2 for one channel after another
PHOTOMETRIC, FORMAT, NO_DATA = 262, 339, 42113  # PhotometricInterpretation, SampleFormat, and that of GDAL
ROWS = 256  # that are computed at a time
TRANSPARENT = ("transparent parts were filled with the mean colour of the visible ones; "
               "CROP = (x, y, width, height) can leave them out")


class DeepImage:
    """Pixels uint16 [H, W], [H, W, 3] or [H, W, 4], with the methods of Pillow's Image that a photo needs."""

    def __init__(self, pixels):
        self.pixels = pixels

    height = property(lambda self: self.pixels.shape[0])
    width = property(lambda self: self.pixels.shape[1])
    size = property(lambda self: (self.width, self.height))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.pixels, dtype) if copy else np.asarray(self.pixels, dtype)

    def crop(self, box):
        """The part (left, upper, right, lower), which has to lie inside."""
        left, upper, right, lower = box
        return DeepImage(self.pixels[upper:lower, left:right])

    def resize(self, size, resample):
        """The whole at another size (width, height), with one of Pillow's filters."""
        return self.each(lambda channel: channel.resize(size, resample))

    def each(self, change):
        """What change(image) makes of each channel, an image of floats (mode F) up to 65535; they are rounded."""
        channels = np.moveaxis(np.atleast_3d(self.pixels), -1, 0)
        changed = [whole(np.asarray(change(Image.fromarray(channel.astype(np.float32))))) for channel in channels]
        return DeepImage(changed[0] if self.pixels.ndim == 2 else np.stack(changed, -1))

    def to_8_bit(self):
        """An image L, RGB or RGBA of the nearest values."""
        return Image.fromarray(by_rows(lambda part: (part / 257).round(), np.uint8, self.pixels))


def image_of(pixels):
    """Pixels uint8 or uint16 as an image of Pillow's or a DeepImage."""
    return DeepImage(pixels) if pixels.dtype == np.uint16 else Image.fromarray(pixels)


def deepened(image):
    """An image L or RGB with 16 bits a channel: white stays white."""
    return DeepImage(np.asarray(image).astype(np.uint16) * 257)


def whole(values):
    """The nearest uint16 of numbers."""
    return np.clip(values, 0, TOP).round().astype(np.uint16)


def by_rows(compute, dtype, *arrays):
    """compute(parts) of arrays [H, ...], some rows at a time, so that its floats take little memory."""
    out = None
    for top in range(0, len(arrays[0]), ROWS):
        part = compute(*(array[top:top + ROWS] for array in arrays))
        out = np.empty((len(arrays[0]), *part.shape[1:]), dtype) if out is None else out
        out[top:top + ROWS] = part
    return out


class OnlyEightBits(Exception):
    """A file has more bits and 8 of them can be read; args are a sentence that says why."""


def read_deep(image, path, notes):
    """Upright pixels uint16 [H, W] or [H, W, 3] and alpha, uint16 [H, W] or None, of an opened file; None if it has
    8 bits a channel.

    OnlyEightBits if it has more that cannot be read; ValueError or what a decoder raises if it is damaged.
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
        raise OnlyEightBits(f"8 bits a channel were read, as it is of a kind that cannot be read with 16 ({raw})")
    else:
        pixels, alpha = colours(path, image, raw)
    if alpha is None and "transparency" in image.info:  # the one grey value or colour that is not shown
        hidden = np.atleast_3d(pixels) == np.asarray(image.info["transparency"])
        alpha = np.where(hidden.all(-1), 0, TOP).astype(np.uint16)
    return pixels, alpha


def in_planes(image):
    """Whether an opened image is a TIFF that stores its channels one after another."""
    return getattr(image, "tag_v2", {}).get(PLANES, 1) != 1


def check_planes(image, path):
    """UserError if Pillow takes the bytes of an opened image for others: planes of 16 bits for those of 8."""
    if in_planes(image) and len(raw_mode(image)) == 1 and max(image.tag_v2.get(BITS, (8,))) > 8:
        raise UserError(f"{printable(path)} stores its channels of 16 bits one after another, which cannot be read; "
                        "save it with compression or interleaved")


def raw_mode(image):
    """How the values lie in the file of an opened image, as Pillow calls it."""
    arguments = image.tile[0][3] if getattr(image, "tile", None) else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def upright(image):
    """The values of an opened image, turned as its metadata says."""
    image.load()
    return np.asarray(ImageOps.exif_transpose(image))


def reread(path, image, raw):
    """The values of an opened image's file in another raw mode, uint8 [H, W, C]."""
    with chunks.opened(path) as file, Image.open(file, formats=(image.format,)) as again:
        tiles = []
        for tile in again.tile:
            arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
            tiles.append(getattr(type(tile), "_make", tuple)((*tile[:3], arguments)))  # plain before Pillow 11
        again.tile = tiles
        return upright(again)


def colours(path, image, raw):
    """Colours [H, W, 3] and alpha [H, W] or None, uint16, of an opened image's file, whose raw mode has 16 bits."""
    kind, order = raw.split(";16")
    high, low = (f"{kind.upper()};16{letter}" for letter in BYTES[order])
    pixels = reread(path, image, high).astype(np.uint16)
    pixels <<= 8
    pixels |= reread(path, image, low)
    if kind not in ("RGBA", "RGBa"):
        return pixels[..., :3], None
    if kind == "RGBA":
        return pixels[..., :3], pixels[..., 3]
    return by_rows(lambda part: whole(part[..., :3] / np.maximum(part[..., 3:], 1) * TOP), np.uint16, pixels), \
        pixels[..., 3]


def measured(image, notes):
    """The numbers of an opened image of one channel as uint16 [H, W], upright; see heights.measured."""
    pixels = heights.measured(numbers(image), notes, no_data(image))
    return TOP - pixels if white_is_0(image) else pixels


def numbers(image):
    """The numbers of an opened image of one channel as its file means them, [H, W], upright."""
    values = upright(image)
    if image.mode == "I" and tag_of(image, FORMAT, (1,))[0] == 1 and tag_of(image, BITS, (0,))[0] == 32:
        return values.view(np.uint32)  # which Pillow takes for signed ones
    return values.view(np.int8) if is_signed(image) else values


def is_signed(image):
    """Whether an opened image has signed bytes, which Pillow takes for others."""
    return image.mode == "L" and tag_of(image, FORMAT, (1,))[0] == 2


def white_is_0(image):
    """Whether an opened image of more than 8 bits is a negative, which Pillow leaves as it is."""
    return image.mode[0] in "IF" and tag_of(image, PHOTOMETRIC, 1) == 0


def no_data(image):
    """The number that stands for "no data" in an opened image, or None."""
    return heights.number(tag_of(image, NO_DATA, ""))


def tag_of(image, tag, default):
    """The value of a TIFF's tag."""
    return getattr(image, "tag_v2", {}).get(tag, default)


def needs_all_bits(image):
    """Whether an opened image has one channel whose values say nothing before they are looked at as a whole."""
    if image.mode[0] not in "IF":
        return is_signed(image)
    values = numbers(image)
    return white_is_0(image) or no_data(image) is not None or not (values.min() >= 0 and values.max() <= TOP)


def flatten(pixels, alpha, notes):
    """Transparent parts of uint16 [H, W] or [H, W, 3] blended with the mean of the visible ones; alpha: uint16 [H, W]
    or None. ValueError if nothing is visible.
    """
    if alpha is None:
        return pixels
    if not alpha.any():
        raise ValueError("it is fully transparent")
    if alpha.min() == TOP:
        return pixels
    notes.append(TRANSPARENT)
    mean = np.einsum("yxc,yx->c", np.atleast_3d(pixels), alpha, dtype=np.float64) / alpha.sum(dtype=np.float64)

    def blend(part, weights):
        weights = weights.reshape(*weights.shape, *[1] * (part.ndim - 2)) / TOP
        return whole(mean.reshape(mean.shape if part.ndim > 2 else ()) * (1 - weights) + part * weights)

    return by_rows(blend, np.uint16, pixels, alpha)


@contextlib.contextmanager
def without_a_word():
    """What a library writes to the screen, of damage that it also raises, is left out: by Python to stdout, and past it
    to stderr."""
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
