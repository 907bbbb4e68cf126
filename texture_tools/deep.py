"""Pictures with 16 bits a channel: read without loss, cropped, resized and warped; and heights given as floats.

Pillow has no mode for colours with 16 bits and keeps one byte of each value, which of the two its raw mode says: of
numbers whose high byte comes first "RGB;16B" keeps the high one and "RGB;16L" the low one. So such a file is decoded
twice, once for each byte: by the same decoders, with the same checks and limits, as one with 8 bits, and with no
further package.

OpenEXR files, of heights, linear colours or a map's numbers, are read by the package OpenEXR of the Academy Software
Foundation, where it is installed.
"""

import contextlib
import io
import os
import sys

import numpy as np
from PIL import Image, ImageOps

from . import chunks, heights
from .errors import UserError, printable

TOP = 65535
BYTES = {"B": ("B", "L"), "L": ("L", "B"), "N": ("L", "B") if sys.byteorder == "little" else ("B", "L")}
COLOURS = {"RGB", "RGBX", "RGBA", "RGBa"}  # raw modes before ";16" that are read with all their bits
BITS, PLANES = 258, 284  # TIFF's tags BitsPerSample, and PlanarConfiguration: 1, or 2 for one channel after another
PHOTOMETRIC, FORMAT, NO_DATA = 262, 339, 42113  # PhotometricInterpretation, SampleFormat, and that of GDAL
ROWS = 256  # that are computed at a time
EXR = b"\x76\x2f\x31\x01"  # how a file begins
NEARLY = 0.02  # by which values may lie outside of [0, 1], as after a resize
REC_709 = np.array([0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329])  # x and y of red, green, blue and white: sRGB's
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


# OpenEXR


def exr_package(path):
    """The package that reads OpenEXR; UserError if it is not installed."""
    try:
        import OpenEXR  # optional: needed by nothing else
    except ImportError:
        raise UserError(f"{printable(path)} is an OpenEXR file, which needs one more package: pip install OpenEXR, "
                        "or save it as PNG or TIFF with 16 bits") from None
    return OpenEXR


def open_exr(path, **options):
    """An OpenEXR file as its package has it; what that raises if it cannot be read."""
    File = exr_package(path).File
    with without_a_word():
        return File(str(path), separate_channels=True, num_threads=0, **options)


def size_of_exr(path):
    """The size (width, height) that the header of an OpenEXR file tells, made higher by what more than four channels
    and further pictures in it take."""
    parts = open_exr(path, header_only=True).parts
    sizes = []
    for part in parts:
        (left, upper), (right, lower) = (corner.tolist() for corner in part.header["dataWindow"])
        sizes.append((right - left + 1, lower - upper + 1, len(part.header["channels"])))
    width, height, _ = sizes[0]
    return width, max(height, sum(w * h * count for w, h, count in sizes) // (4 * max(1, width)))


def chosen(names):
    """Of the channels' names in an OpenEXR file those of a picture, [one] or [red, green, blue], and that of its alpha,
    or None; ([], None) if there is none. Of several layers that without a name comes first."""
    layers = {}
    for name in sorted(names):
        layer, _, letter = name.rpartition(".")
        layers.setdefault(layer, {})[letter.upper()] = name
    for layer in layers.values():
        for letters in ("RGB", "XYZ"):
            if set(letters) <= layer.keys():
                return [layer[letter] for letter in letters], layer.get("A")
    first = next(iter(layers.values()))
    alpha = first.pop("A", None) if len(first) > 1 else None
    return ([*first.values()], alpha) if len(first) == len(layers) == 1 else ([], None)


def read_exr(path, notes, plain=False):
    """The values of an OpenEXR file, uint16 [H, W] or [H, W, 3], and alpha, uint16 [H, W] or None.

    They are heights if there is one channel, or red, green and blue are the same; else linear colours, which are made
    sRGB, or if plain, numbers, which stay as they are.

    UserError if it holds neither, ValueError or what the package raises if it cannot be read.
    """
    names = sorted(channel.name for channel in open_exr(path, header_only=True).header()["channels"])
    found, alpha = chosen(names)
    if not found:
        raise UserError(f"{printable(path)} has {len(names)} channels ({printable(', '.join(names[:8]))}), and an "
                        "OpenEXR file is read if it has one, or red, green and blue; save colours as PNG or TIFF with "
                        "16 bits")
    file = open_exr(path)
    if not file.parts:  # it says so on the screen alone
        raise ValueError("pixels are missing or damaged")
    if len(file.parts) > 1:
        notes.append(f"{printable(path)} holds {len(file.parts)} pictures; the first is used")
    if left := [name for name in names if name not in (*found, alpha)]:
        notes.append(f"of its channels {printable(', '.join(left[:8]))} were left out")
    values, *others = (file.channels()[name].pixels for name in found)
    alpha = file.channels()[alpha].pixels.astype(np.float32) if alpha else None
    alpha = None if alpha is None or (alpha == 1).all() else alpha
    for array in (*([values] if others else []), *others, *([] if alpha is None else [alpha])):
        if not np.isfinite([array.min(), array.max()]).all():  # NaN is the least and the greatest of what it is among
            raise ValueError("some of its values are not finite")
    if all(np.array_equal(values, other) for other in others):
        if alpha is not None and not plain:
            notes.append("its alpha channel was left out")
        return heights.measured(values, notes), whole(TOP * alpha) if plain and alpha is not None else None
    values = np.stack([values, *others], -1)
    pixels = map_numbers(values, notes) if plain else colours_of_light(values, alpha, file.header(), notes)
    return pixels, None if alpha is None else whole(TOP * alpha)


def map_numbers(values, notes):
    """Floats [H, W, 3] as uint16: those in [0, 1] as they are, those of vectors in [-1, 1] from there, and others from
    their least to their greatest."""
    low, high = float(values.min()), float(values.max())
    red, green, blue = values.mean((0, 1), dtype=np.float64)
    if low < -NEARLY or low < 0 and max(abs(red), abs(green)) < 0.2 and blue > 0.5:
        if low >= -1 - NEARLY and high <= 1 + NEARLY:
            notes.append("its values were taken to go from -1 to 1, as those of vectors do")
            return by_rows(lambda part: whole((part.astype(np.float32) + 1) * (TOP / 2)), np.uint16, values)
    if low >= -NEARLY and high <= 1 + NEARLY:
        return by_rows(lambda part: whole(part.astype(np.float32) * TOP), np.uint16, values)
    return heights.measured(values, notes)


def colours_of_light(values, alpha, header, notes):
    """Linear colours [H, W, 3], multiplied with alpha [H, W] if there is one, as uint16 in sRGB."""
    if (beyond := float((values.max(-1) > 1 + NEARLY).mean())) > 0:
        notes.append(f"{max(beyond, 0.001):.1%} of its pixels are brighter than 1 and were clipped")
    primaries = np.ravel(header.get("chromaticities", REC_709))
    if primaries.shape != REC_709.shape or np.abs(primaries - REC_709).max() > 0.01:
        notes.append("its primaries are not those of sRGB, and were taken for these: colours may be off")

    notes.append("its colours were converted from linear light to sRGB")

    def encode(light, *weights):
        light = light.astype(np.float32) / np.maximum(weights[0], 1e-3)[..., None] if weights \
            else light.astype(np.float32)
        light = light.clip(0, 1)
        return whole(TOP * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))

    return by_rows(encode, np.uint16, values, *([] if alpha is None else [alpha]))


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
