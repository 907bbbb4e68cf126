"""ICC profiles: the colours of a photo converted to sRGB, with 8 bits by littlecms, with 16 here.

Pillow's littlecms has 8 bits a channel. Most profiles of photos, those of Adobe RGB, Display P3 and
ProPhoto RGB among them, are three curves and a matrix (ICC.1:2022, annex F.3), which are few lines
with any number of bits: values, by the curves, are linear light, and that, by the matrix, is XYZ as
seen by D50, from which sRGB is known. Unlike littlecms this doesn't scale black: a profile in which
it is not 0 stays lighter there.
"""

from __future__ import annotations

import io
import struct
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

from ..running.errors import first_line, printable
from . import even_light
from .deep import TOP, OnlyEightBits, by_rows

XYZ_OF_SRGB = np.array([  # as seen by D50
    [0.43607, 0.38515, 0.14307],
    [0.22249, 0.71687, 0.06061],
    [0.01392, 0.09708, 0.71410],
])
LEVELS = 3  # of 255, by which colours may be off in a profile that is called sRGB and is it
# Levels for half of them where the profile has tables, which are made for pleasant pictures.
OF_TABLES = 8
# Of a profile that is broken, and where there is no littlecms.
ERRORS = (ImageCms.PyCMSError, OSError, ImportError)


def opened(profile: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
    """A profile (bytes) for littlecms, and its name."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return source, printable(ImageCms.getProfileDescription(source).strip())


def is_srgb(source: ImageCms.ImageCmsProfile, profile: bytes, mode: str) -> bool:
    """Whether a profile that is called sRGB is it, by the colours that it makes of some of an
    image's mode."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    image = Image.fromarray(colours).convert("L" if mode in ("1", "L", "LA") else "RGB")

    found = as_srgb(image, source)
    off = np.abs(np.asarray(found).astype(int) - np.asarray(image.convert("RGB"))).max(-1)
    if b"A2B0" in profile[128:1500]:
        return bool(np.median(off) <= OF_TABLES)
    return bool(off.max() <= LEVELS)


def as_srgb(image: Image.Image, source: Any) -> Image.Image:
    """An image of a profile as RGB of sRGB."""
    found = ImageCms.profileToProfile(
        image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return cast(Image.Image, found)  # None is for what is converted in place


def left_out(error: BaseException) -> str:
    return f"its colour profile is broken or of another kind and was left out ({first_line(error)})"


def converted(name: str) -> str:
    return f"its colours were converted from {name} to sRGB"


def to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """An opaque image as L or RGB, its colours converted from an ICC profile (bytes or None) to
    sRGB."""
    plain = {"1": "L", "L": "L", "LAB": "LAB"}.get(image.mode, "RGB")
    try:
        if image.mode == "LAB":
            source, name = ImageCms.createProfile("LAB"), "CIE L*a*b*"
        elif not profile:
            return image.convert(plain)
        else:
            source, name = opened(profile)
            if "sRGB" in name and is_srgb(source, profile, image.mode):
                return image.convert(plain)
        image = image if image.mode in ("L", "CMYK", "LAB") else image.convert(plain)
        result = as_srgb(image, source)
    except ERRORS as error:
        if image.mode == "LAB":
            raise
        notes.append(left_out(error))
        return image.convert(plain)

    notes.append(converted(name))
    return result


def deep_to_srgb(pixels: np.ndarray, profile: bytes | None, notes: list[str]) -> np.ndarray:
    """uint16 [H, W, 3] from an ICC profile (bytes or None) to sRGB; grey values [H, W] stay as they
    are.

    OnlyEightBits if that takes littlecms.
    """
    if not profile:
        return pixels

    try:
        source, name = opened(profile)
        if "sRGB" in name and is_srgb(source, profile, "L" if pixels.ndim == 2 else "RGB"):
            return pixels
        if pixels.ndim == 2:
            notes.append(f"its colour profile, {name}, was left out, as grey values with 16 bits "
                         "are taken as they are")
            return pixels
        # whether littlecms takes it
        ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except ERRORS as error:
        notes.append(left_out(error))
        return pixels

    try:
        curves, matrix = curves_and_matrix(profile)
    except (ValueError, KeyError, struct.error):
        raise OnlyEightBits(f"8 bits a channel were read, as its colour profile, {name}, is more "
                            "than curves and a matrix") from None
    notes.append(converted(name))
    return through(pixels, curves, np.linalg.inv(XYZ_OF_SRGB) @ matrix)


def through(pixels: np.ndarray, curves: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """uint16 [H, W, 3] by curves [3, 65536] to linear light, by a matrix [3, 3] to that of sRGB,
    and to its values."""
    def convert(part: np.ndarray) -> np.ndarray:
        light = np.stack([curve[part[..., k]] for k, curve in enumerate(curves)], -1)
        return even_light.encode(light @ matrix.T.astype(np.float32), TOP)

    return by_rows(convert, np.uint16, pixels)


def curves_and_matrix(profile: bytes) -> tuple[np.ndarray, np.ndarray]:
    """float32 [3, 65536], the linear light of each value of red, green and blue, and float64 [3,
    3], their XYZ.

    ValueError, KeyError or struct.error if the profile is of another kind or damaged.
    """
    tags = {}
    count = min(100, *struct.unpack_from(">I", profile, 128))
    for place in range(132, 132 + 12 * count, 12):
        kind, start, length = struct.unpack_from(">4sII", profile, place)
        tags[kind] = profile[start:start + length]

    tables = {b"A2B0", b"A2B1", b"D2B0", b"D2B1"}  # which come before curves
    if profile[16:24] != b"RGB XYZ " or tables & tags.keys():
        raise ValueError("no matrix and curves")

    letters = (b"r", b"g", b"b")
    matrix = [np.array(struct.unpack_from(">3i", tags[letter + b"XYZ"], 8)) / 65536
              for letter in letters]
    parts = [tags[letter + b"TRC"] for letter in letters]
    curves = {part: curve_of(part) for part in set(parts)}  # as a rule there is one
    return np.stack([curves[part] for part in parts]), np.stack(matrix, 1)


def curve_of(tag: bytes) -> np.ndarray:
    """A curve (ICC.1:2022, sections 10.6 and 10.18) at each of 65536 values from 0 to 1, float32 in
    [0, 1]."""
    x = np.arange(TOP + 1) / TOP
    if tag[:4] == b"para":
        return parametric(x, *struct.unpack_from(">H", tag, 8), tag[12:])

    count, = struct.unpack_from(">I", tag, 8)
    if tag[:4] != b"curv" or count > 65536:
        raise ValueError("another kind of curve")
    points = struct.unpack_from(f">{count}H", tag, 12)
    if count < 2:
        return (x ** (points[0] / 256 if count else 1)).astype(np.float32)
    return (np.interp(x, np.linspace(0, 1, count), points) / TOP).astype(np.float32)


def parametric(x: np.ndarray, kind: int, numbers: bytes) -> np.ndarray:
    """The curve of a kind, 0 to 4: (a x + b)^g + e from d on, and c x + f before."""
    g, a, b, c, d, e, f = [1.0, 1, 0, 0, 0, 0, 0]
    count = (1, 3, 4, 5, 7)[min(kind, 4)]
    values = np.array(struct.unpack_from(f">{count}i", numbers)) / 65536

    if kind == 0:
        g, = values
    elif kind in (1, 2):
        g, a, b, e = (*values, 0)[:4]
        d, f = -b / (a or 1), e
    elif kind == 3:
        g, a, b, c, d = values
    elif kind == 4:
        g, a, b, c, d, e, f = values
    else:
        raise ValueError("another kind of curve")

    y = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
    if not np.isfinite(y).all():
        raise ValueError("a curve that is not finite")
    return np.clip(y, 0, 1).astype(np.float32)
