"""Any photo to pixels: upright, opaque, 8 or 16 bits, grey or sRGB; what is changed on the way is
said in notes."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, features

from ..running.errors import UserError, first_line, printable
from . import (
    chunks,
    colour_spaces,
    dds,
    deep,
    even_light,
    exr,
    heights,
    profiles,
    raws,
    straighten,
    tiffs,
    transparency,
)
from .colour_spaces import Space
from .deep import DeepImage

# As Pillow calls them, which always reads them.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DDS")
TGA = ("TGA",)  # too, but these begin in no way of their own
ALL_FORMATS = ", ".join(FORMATS + TGA) + ", AVIF, HEIC or EXR"
TGA_SUFFIXES = {".tga", ".targa", ".vda", ".icb", ".vst"}
TGA_END = b"TRUEVISION-XFILE.\0"  # of those that were written since 1989
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".dds",
            ".exr", ".avif", ".heic", ".heif", *TGA_SUFFIXES}
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"DDS ",
              exr.MAGIC)
EXR = ("EXR",)  # which Pillow does not read
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1",
               b"msf1"}
MAX_MEGAPIXELS = 100
# Of a JPEG file, which is decoded at a smaller size, or of which a part is used.
MOST_MEGAPIXELS = 300
JPEG = b"\xff\xd8\xff"  # how a file begins

Crop = tuple[int, int, int, int]  # x, y, width and height, pixels
Corners = Sequence[tuple[float, float]]  # (x, y) in pixels
Picture = Image.Image | DeepImage


def read_photo(
    path: str | Path,
    crop: Crop | None = None,
    max_side: float = math.inf,
    even: bool = False,
    corners: Corners | None = None,
    aspect: float | None = None,
    depth: int | None = 8,
    alpha: bool = False,
    mask: np.ndarray | None = None,
    least: float = 0,
) -> tuple[np.ndarray, list[str]]:
    """The pixels of a picture file, uint8 or uint16 [H, W], [H, W, 3] or [H, W, 4], and notes, a
    list of sentences.

    alpha: whether transparency is kept, as a fourth channel, with colours that go on under it; if
    not, or if there is none, there are no four;
    depth: 8 or 16 bits a channel, or None: as many as the file has, 16 where it has more than 8;
    corners: of what is straightened, pixels of the upright photo, or None, and its width over its
    height, or None;
    crop: (x, y, width, height) in pixels of what that makes, or None; the result is shrunk so that
    its longer side is at most max_side, but its shorter one not to less than least; even: whether
    its light is made even;
    mask: uint8 [H, W] of the whole upright photo, or None: the colours around go on where it is
    255, and the mask itself, bent as the photo is, is one more channel, the last. Raises UserError
    with a sentence for the person.
    """
    # a part of a large file is read at its full size, all of it at a smaller one
    part = None
    if crop is not None and (by := reduction(path)) > 1:
        if corners is None and mask is None and crop[2] * crop[3] <= MAX_MEGAPIXELS * 1e6:
            part, crop = crop, None
        else:
            crop = cast(Crop, tuple(round(value / by) for value in crop))

    # a picture for what is transparent, and one for the mask
    image, notes = open_image(path, depth, alpha, part=part)
    parts = [image]
    if np.asarray(image).shape[2:] == (4,):
        parts = [deep.image_of(part) for part in transparency.split(np.asarray(image))]
    if mask is not None:
        parts = [deep.image_of(transparency.without(np.asarray(part), mask)) for part in parts]
        parts.append(Image.fromarray(mask))

    (image, said), *others = (bend(part, crop, max_side, corners, aspect, least) for part in parts)
    notes += said
    pixels = np.asarray(image)
    if even:
        pixels, said = even_light.even_out(pixels)
    else:
        said = lighting_note(pixels)
    if others:
        pixels = np.dstack([pixels, *(np.asarray(other) for other, _ in others)])
    return np.asarray(pixels), notes + said


def bend(
    image: Picture,
    crop: Crop | None,
    max_side: float,
    corners: Corners | None,
    aspect: float | None,
    least: float = 0,
) -> tuple[Picture, list[str]]:
    """An image straightened, cropped and shrunk as read_photo says, and notes."""
    notes = []
    if corners is not None:
        image, notes = straighten.straighten(image, corners, aspect)
    if crop is not None:
        image = crop_image(image, crop)

    small = shrunk_size(image.size, max_side, least)
    if small != image.size:
        notes.append(f"the photo was shrunk from {image.width} x {image.height} to "
                     f"{shrunk_to(small, max_side)}")
        image = image.resize(small, Image.Resampling.LANCZOS)
    return image, notes


def shrink(image: Picture, max_side: float) -> Picture:
    """An image with its longer side made max_side pixels."""
    return image.resize(shrunk_size(image.size, max_side), Image.Resampling.LANCZOS)


def shrunk_size(size: Sequence[int], max_side: float, least: float = 0) -> tuple[int, int]:
    """A size (width, height) with its longer side made max_side pixels, if it is longer, but its
    shorter one no less than least, if it is not."""
    if max_side * min(size) >= least * max(size):
        wanted, now = max_side, max(size)
    else:
        wanted, now = least, min(size)

    width, height = size
    if wanted >= now:
        return width, height
    return max(1, round(width * wanted / now)), max(1, round(height * wanted / now))


def shrunk_to(size: Sequence[int], max_side: float) -> str:
    """A size for a sentence, and why it is that."""
    but = "" if max(size) <= max_side else ", but three tiles across"
    return f"{size[0]} x {size[1]} pixels (MAX_SIDE = {max_side}{but})"


def open_image(
    path: str | Path,
    depth: int | None = 8,
    alpha: bool = False,
    colours: bool = True,
    part: Crop | None = None,
) -> tuple[Any, list[str]]:
    """The upright first frame of an image file in sRGB, and notes on what was changed.

    depth: 8 bits a channel, an image L or RGB; 16, a deep.DeepImage; or None: which of them the
    file calls for.
    alpha: whether one that is transparent somewhere is RGBA.
    colours: whether its values are colours: of a map of normals or heights they stay what they are,
    whatever it says of its colours, and alpha is a channel like the others.
    part: (x, y, width, height) of a JPEG file of more than MAX_MEGAPIXELS, which is read at its
    full size, or None: all of it is, but smaller, see reduction.
    """
    shown = printable(path)
    if not os.path.isfile(path):  # a folder, a device or an address, too
        raise UserError(f"there is no photo at {shown}; give the path of a {ALL_FORMATS} file")
    try:
        with warnings.catch_warnings():
            # of pixel limits, where we have our own, and of harmless damage
            warnings.simplefilter("ignore")
            image, notes = decode(path, depth, alpha, colours, part)
            if depth == 8:
                return image.to_8_bit() if isinstance(image, deep.DeepImage) else image, notes
            if depth == 16 and isinstance(image, Image.Image):
                image = deep.deepened(image)
            return image, notes
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{shown} has more than {MAX_MEGAPIXELS} megapixels; make it smaller "
                        "first, or save it as JPEG without progression, of which up to "
                        f"{MOST_MEGAPIXELS} can be read") from None
    except NotImplementedError as error:
        raise UserError(f"{shown} is of a kind that cannot be read ({first_line(error)}); save it "
                        "as PNG or TIFF") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{shown} is not a picture in one of the formats {ALL_FORMATS}") from None
    except Exception as error:  # decoders raise almost anything on a damaged file
        raise UserError(f"{shown} cannot be read, it may be damaged or cut short "
                        f"({first_line(error)})") from None


def decode(
    path: str | Path,
    depth: int | None,
    alpha: bool = False,
    colours: bool = True,
    part: Crop | None = None,
) -> tuple[Picture, list[str]]:
    """What open_image finds in a file that is there: as a DeepImage what has more than 8 bits,
    unless depth is 8."""
    kind = raws.kind_of(path)
    if kind:
        pixels, note = raws.develop(path, kind, MAX_MEGAPIXELS * 1e6)
        return deep.DeepImage(pixels), [note]

    formats, notes = formats_of(path), []
    if formats == EXR:
        check_size(exr.size_of(path))
        pixels, opacity = exr.read(path, notes, not colours)
        return with_opacity(pixels, opacity, alpha, colours, notes), notes

    with contextlib.ExitStack() as stack:
        try:  # by its path Pillow 13 misreads a TIFF of 1 channel that is to be turned
            file = dds.readable(stack.enter_context(chunks.opened(path)))
            image = stack.enter_context(opened(file, formats))
        except Image.UnidentifiedImageError:
            if tiffs.is_tiff(path):
                return decode_tiff(path, alpha, colours)
            raise
        return found_in(image, path, depth, alpha, colours, part, formats)


def found_in(
    image: Image.Image,
    path: str | Path,
    depth: int | None,
    alpha: bool,
    colours: bool,
    part: Crop | None,
    formats: Sequence[str],
) -> tuple[Picture, list[str]]:
    """What decode finds in an image that Pillow opened as one of some formats."""
    notes, by = [], reduction_of(image)
    if by > 1 and part is None:
        image.draft(None, (image.width // by, image.height // by))
        notes.append(f"the photo was read at 1/{by} of its size, {image.width} x {image.height} "
                     f"pixels, since it has more than {MAX_MEGAPIXELS} megapixels; a CROP is read "
                     "at its full size")

    deep.check_planes(image, path)
    space = space_of(image, path, colours, notes)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"{printable(path)} holds {frames} pictures; the first is used")

    if depth != 8 or space is not None or deep.needs_all_bits(image):
        try:
            found, said = decode_deep(image, path, alpha, colours, space)
            if found is not None:
                return found, notes + said
        except deep.OnlyEightBits as reason:
            notes.append(str(reason))

    dds.hasten(image)
    image.load()
    image = image if part is None else part_of(image, part)
    image = without_empty_alpha(ImageOps.exif_transpose(image), formats, notes)
    numbers = None if colours else plain_numbers(image)
    return numbers or to_8_bit(image, notes, alpha, space), notes


def without_empty_alpha(
    image: Image.Image, formats: Sequence[str], notes: list[str]
) -> Image.Image:
    """An image without the alpha of a TGA file that is 0 everywhere: many programs leave it so, and
    mean nothing."""
    if formats != TGA or image.mode not in ("RGBA", "LA") or image.getchannel("A").getextrema()[1]:
        return image
    notes.append("its alpha is 0 everywhere and was left out")
    return image.convert(image.mode[:-1])


def plain_numbers(image: Image.Image) -> Image.Image | None:
    """An upright image of 8 bits a channel as an image L, LA, RGB or RGBA of the numbers in it;
    None if they are others, such as CMYK's."""
    if image.mode in ("PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
    return image.convert(mode) if mode in ("L", "LA", "RGB", "RGBA") else None


def part_of(image: Image.Image, part: Crop) -> Image.Image:
    """The part (x, y, width, height) of an opened image, which is where it will be when the image
    is turned upright; UserError if it does not lie inside."""
    turn = image.getexif().get(0x0112, 1)
    sides = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
    x, y, width, height = check_crop(part, sides)
    x = sides[0] - x - width if turn in (2, 3, 6, 7) else x
    y = sides[1] - y - height if turn in (3, 4, 7, 8) else y
    if turn in (5, 6, 7, 8):
        return image.crop((y, x, y + height, x + width))
    return image.crop((x, y, x + width, y + height))


def space_of(image: Image.Image, path: str | Path, colours: bool, notes: list[str]) -> Space | None:
    """The colour_spaces.Space of an opened image whose profile does not say it, or None; where its
    values are no colours its profile is left out, too."""
    if not colours:
        image.info.pop("icc_profile", None)
        return None
    with open(path, "rb") as file:
        return colour_spaces.stated(image, file, notes)


def decode_deep(
    image: Image.Image,
    path: str | Path,
    alpha: bool = False,
    colours: bool = True,
    space: Space | None = None,
) -> tuple[DeepImage | None, list[str]]:
    """An opened image as a DeepImage, or None if it has 8 bits, and notes; OnlyEightBits if no more
    can be read."""
    notes = []
    with deep.without_a_word():
        found = deep.read_deep(image, path, notes)
    if found is None:
        return None, notes

    pixels = found[0]
    if space is not None and pixels.ndim == 2:
        notes.append(f"its colour space, {space.name}, was left out, as grey values with 16 bits "
                     "are taken as they are")
    elif space is not None:
        pixels = space.to_srgb(pixels)
        notes.append(space.said())
    else:
        pixels = profiles.deep_to_srgb(pixels, image.info.get("icc_profile"), notes)
    return with_opacity(pixels, found[1], alpha, colours, notes), notes


def with_opacity(
    pixels: np.ndarray, opacity: np.ndarray | None, alpha: bool, colours: bool, notes: list[str]
) -> DeepImage:
    """The DeepImage of uint16 [H, W] or [H, W, 3] and what is opaque, uint16 [H, W] or None; alpha:
    whether that is kept, or filled, where something is transparent; of what is no colours it is a
    channel like the others."""
    if not colours:
        return deep.DeepImage(pixels if opacity is None else np.dstack([pixels, opacity]))
    if alpha and opacity is not None and opacity.min() < opacity.max():
        pixels = pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, 2)
        return deep.DeepImage(np.dstack([pixels, opacity]))
    return deep.DeepImage(deep.flatten(pixels, opacity, notes))


def decode_tiff(path: str | Path, alpha: bool, colours: bool) -> tuple[Picture, list[str]]:
    """A TIFF that Pillow does not know, as an image or a DeepImage, and notes."""
    notes = []
    with deep.without_a_word():
        pixels, opacity, profile = tiffs.shown(path, notes)
    profile = profile if colours else None

    if pixels.dtype == np.uint16:
        try:
            pixels = profiles.deep_to_srgb(pixels, profile, notes)
            return with_opacity(pixels, opacity, alpha, colours, notes), notes
        except deep.OnlyEightBits as reason:
            notes.append(str(reason))
            pixels = np.asarray(deep.DeepImage(pixels).to_8_bit())
            opacity = None if opacity is None else np.asarray(deep.DeepImage(opacity).to_8_bit())

    image = Image.fromarray(pixels)
    if opacity is not None:
        image.putalpha(Image.fromarray(opacity))
    image.info["icc_profile"] = profile
    return to_8_bit(image, notes, alpha), notes


def without_data(path: str | Path) -> np.ndarray | None:
    """What of a photo holds no data, uint8 [H, W] of the whole upright photo, 255 there; None if
    all of it does.

    Only a TIFF can say so: of heights, or by GDAL's tag.
    """
    try:
        if not os.path.isfile(path) or not tiffs.is_tiff(path):
            return None
        with warnings.catch_warnings(), deep.without_a_word():
            warnings.simplefilter("ignore")
            hidden = hidden_in(path)
    except Exception:  # whatever is wrong with it: read_photo says it
        return None
    return (255 * hidden).astype(np.uint8) if hidden.any() else None


def hidden_in(path: str | Path) -> np.ndarray:
    """What of a photo holds no data, as bool [H, W], or what decoders raise."""
    try:
        with open(path, "rb") as file, Image.open(file, formats=("TIFF",)) as image:
            check_size(image.size)
            tag = deep.no_data(image)
            if tag is None and image.mode[0] not in "IF" and not deep.is_signed(image):
                return np.zeros(1, bool)
            if image.mode == "F" or image.mode.startswith("I") or deep.is_signed(image):
                return heights.without_data(deep.numbers(image), tag)
            found = deep.read_deep(image, path, [])
            return heights.without_data(deep.upright(image) if found is None else found[0], tag)
    except Image.UnidentifiedImageError:
        values, *_, tag, _ = tiffs.read(path, [])
        return heights.without_data(values, tag)


def opened(file: BinaryIO, formats: tuple[str, ...]) -> Image.Image:
    """An open file as an image, a JPEG file of any size."""
    try:
        return Image.open(file, formats=formats)
    except Image.DecompressionBombError:
        file.seek(0)
        if file.read(3) != JPEG:
            raise
        file.seek(0)
        return JpegImagePlugin.JpegImageFile(file)


def reduction_of(image: Image.Image) -> int:
    """By what an opened image is made smaller while it is decoded: 1, or 2, 4 or 8, which JPEG can
    be.

    DecompressionBombError if it has too many pixels for that. Progressive JPEG is decoded as a
    whole all the same.
    """
    pixels = image.width * image.height / 1e6
    if pixels <= MAX_MEGAPIXELS:
        return 1
    cannot = image.format not in ("JPEG", "MPO") or "progressive" in image.info
    if cannot or pixels > MOST_MEGAPIXELS:
        raise Image.DecompressionBombError
    return next(by for by in (2, 4, 8) if pixels / by**2 <= MAX_MEGAPIXELS)


def reduction(path: str | Path) -> int:
    """By what the photo at a path is made smaller, see reduction_of(); 1 if it is none, or too
    large."""
    if not os.path.isfile(path):
        return 1
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if file.read(3) != JPEG:
                return 1
            file.seek(0)
            return reduction_of(opened(file, FORMATS))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 1


def check_size(size: Sequence[int]) -> None:
    """DecompressionBombError if a picture of a size (width, height) has too many pixels."""
    if size[0] * size[1] > MAX_MEGAPIXELS * 1e6:
        raise Image.DecompressionBombError


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture that is read here, or begins like one."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return begins_like_a_picture(file.read(12))
    return False


def begins_like_a_picture(head: bytes) -> bool:
    """Whether the first 12 or more bytes of a file are those of a picture that is read here, but
    for BMP and TGA."""
    if head.startswith(BEGINNINGS) or head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS | HEIC_BRANDS


def formats_of(path: str | Path) -> tuple[str, ...]:
    """The formats that a file is tried as; UserError if what reads that is not installed.

    HEIC and AVIF have the same container (ISO/IEC 23008-12), whose brands tell which it is.
    """
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith(exr.MAGIC):
        return EXR

    # the brands of its container
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = set()
    if head[4:8] == b"ftyp":
        brands = {head[place:place + 4] for place in (8, *range(16, length, 4))}

    advice = "or save it as PNG or JPEG"
    if brands & AVIF_BRANDS:
        if not features.check("avif"):
            raise UserError(f"{printable(path)} is an AVIF file, which this version of Pillow "
                            f"cannot read: pip install --upgrade pillow, {advice}")
        return ("AVIF",)
    if brands & HEIC_BRANDS:
        try:
            import pillow_heif  # optional: needed by nothing else
        except ImportError:
            raise UserError(f"{printable(path)} is a HEIC file, which needs one more package: "
                            f"pip install pillow-heif, {advice}") from None
        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return TGA if is_tga(path, head) else FORMATS


def is_tga(path: str | Path, head: bytes) -> bool:
    """Whether a file is a TGA file by its name or its end, and not by its head another."""
    if begins_like_a_picture(head) or head.startswith(b"BM"):
        return False
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - len(TGA_END)))
        return os.path.splitext(path)[1].lower() in TGA_SUFFIXES or file.read() == TGA_END


def to_8_bit(
    image: Image.Image, notes: list[str], keep: bool = False, space: Space | None = None
) -> Image.Image:
    """Any Pillow mode to L or RGB in sRGB without clipping, or RGBA if transparency is kept;
    appends to notes where information is lost."""
    profile, alpha = image.info.get("icc_profile"), None

    # Pillow's own conversion clips these to white
    if image.mode.startswith("I") or image.mode == "F":
        tops = (1, 255, 65535) if image.mode == "F" else (65535,)
        return deep_grey(np.asarray(image, dtype=np.float32), tops)

    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("L" if grey else "RGB")

    image = profiles.to_srgb(image, profile, notes)
    if space is not None:
        image = Image.fromarray(space.to_srgb(np.asarray(image)))
        notes.append(space.said())

    if keep and alpha is not None:
        least, most = cast(tuple[int, int], alpha.getextrema())
        if least < most:
            image = image.convert("RGB")
            image.putalpha(alpha)
            return image
    return image if alpha is None else flatten_alpha(image, alpha, notes)


def deep_grey(values: np.ndarray, tops: Sequence[int]) -> Image.Image:
    """Grey values to uint8, the first of tops that is not exceeded becoming 255."""
    top = next((top for top in tops if values.max() <= top), None)
    if top is None or not values.min() >= 0:  # "not >=" also catches NaN
        raise ValueError(f"grey values from {values.min():g} to {values.max():g}; save it with 8 "
                         "or 16 bits")
    return Image.fromarray((values / top * 255).round().astype(np.uint8))


def flatten_alpha(image: Image.Image, alpha: Image.Image, notes: list[str]) -> Image.Image:
    """Blend transparent parts of an image L or RGB with the mean colour of the visible ones; alpha:
    an image L."""
    weights = np.asarray(alpha)
    if not weights.any():
        raise ValueError("it is fully transparent")
    if weights.min() == 255:
        return image

    notes.append(deep.TRANSPARENT)
    total = weights.sum(dtype=np.float64)
    mean = [np.einsum("yx,yx", np.asarray(channel), weights, dtype=np.float64) / total
            for channel in image.split()]
    ground = Image.new(image.mode, image.size, tuple(round(value) for value in mean))
    return Image.composite(image, ground, alpha)


def crop_image(image: Picture, crop: Crop) -> Picture:
    """The part (x, y, width, height) of an image; UserError if it does not lie inside."""
    x, y, width, height = check_crop(crop, image.size)
    return image.crop((x, y, x + width, y + height))


def check_crop(crop: Crop, size: Sequence[int]) -> Crop:
    """A crop (x, y, width, height); UserError if it does not lie inside a picture of size (width,
    height)."""
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1 or x + width > size[0] or y + height > size[1]:
        raise UserError(f"CROP = {tuple(crop)} does not lie inside the photo of {size[0]} x "
                        f"{size[1]} pixels")
    return x, y, width, height


def lighting_note(pixels: np.ndarray) -> list[str]:
    """A list with a sentence if brightness drifts across the photo, which would show as patches.

    A quadratic surface is fitted to the luminance of uint8 or uint16 [H, W] or [H, W, 3].
    """
    # of a long strip, too, few are enough
    step = max(1, min(pixels.shape[:2]) // 64, max(pixels.shape) // 1024)
    some = pixels[::step, ::step] / (1 if pixels.dtype == np.uint8 else 257)  # levels of 255
    grey = some.mean(-1) if pixels.ndim == 3 else some

    # the quadratic surface
    lines = (np.linspace(-1, 1, n) for n in grey.shape)
    y, x = (axis.ravel() for axis in np.meshgrid(*lines, indexing="ij"))
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
    surface = basis @ np.linalg.lstsq(basis, grey.ravel(), rcond=None)[0]

    share = surface.var() / max(grey.var(), 1e-9)
    if share < 0.15 or np.ptp(surface) < 25:
        return []
    return [f"brightness drifts by {np.ptp(surface):.0f} of 255 levels across the photo "
            f"({share:.0%} of its variance): this can show up as patches; EVEN_LIGHT=True takes it "
            "out, an evenly lit photo or a CROP works better"]
