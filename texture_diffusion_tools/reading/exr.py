"""OpenEXR files, of heights, linear colours or a map's numbers, read by the package OpenEXR of the
Academy Software Foundation, where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..running.errors import UserError, printable
from . import colour_spaces, deep, even_light, heights

MAGIC = b"\x76\x2f\x31\x01"  # how a file begins
NEARLY = 0.02  # by which values may lie outside of [0, 1], as after a resize
# x and y of red, green, blue and white, where a file says none.
PLACES = (*colour_spaces.REC709, *colour_spaces.D65)


def package(path: str | Path) -> Any:
    """The package that reads OpenEXR; UserError if it is not installed."""
    try:
        import OpenEXR  # optional: needed by nothing else
    except ImportError:
        raise UserError(f"{printable(path)} is an OpenEXR file, which needs one more package: "
                        "pip install OpenEXR, or save it as PNG or TIFF with 16 bits") from None
    return OpenEXR


def opened(path: str | Path, **options: Any) -> Any:
    """An OpenEXR file as its package has it; the package's own errors if it cannot be read."""
    File = package(path).File
    with deep.without_a_word():
        return File(str(path), separate_channels=True, num_threads=0, **options)


def size_of(path: str | Path) -> tuple[int, int]:
    """The size (width, height) that the header of an OpenEXR file tells, made higher by what more
    than four channels and further pictures in it take."""
    parts = opened(path, header_only=True).parts
    sizes = []
    for part in parts:
        (left, upper), (right, lower) = (corner.tolist() for corner in part.header["dataWindow"])
        sizes.append((right - left + 1, lower - upper + 1, len(part.header["channels"])))

    width, height, _ = sizes[0]
    values = sum(w * h * count for w, h, count in sizes)
    return width, max(height, values // (4 * max(1, width)))


def chosen(names: Iterable[str]) -> tuple[list[str], str | None]:
    """Of the channels' names in an OpenEXR file those of a picture, [one] or [red, green, blue],
    and that of its alpha, or None; ([], None) if there is none. Of several layers that without a
    name comes first."""
    layers: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        layer, _, letter = name.rpartition(".")
        layers.setdefault(layer, {})[letter.upper()] = name

    for layer in layers.values():
        for letters in ("RGB", "XYZ"):
            if set(letters) <= layer.keys():
                return [layer[letter] for letter in letters], layer.get("A")

    # one channel, with or without alpha, and nothing else
    first = next(iter(layers.values()))
    alpha = first.pop("A", None) if len(first) > 1 else None
    return ([*first.values()], alpha) if len(first) == len(layers) == 1 else ([], None)


def read(
    path: str | Path, notes: list[str], plain: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of an OpenEXR file, uint16 [H, W] or [H, W, 3], and alpha, uint16 [H, W] or None.

    They are heights if there is one channel, or red, green and blue are the same; else linear
    colours, which are made sRGB, or if plain, numbers, which stay as they are.

    UserError if it holds neither, ValueError or what the package raises if it cannot be read.
    """
    header = opened(path, header_only=True).header()
    names = sorted(channel.name for channel in header["channels"])
    found, name_of_alpha = chosen(names)
    if not found:
        raise UserError(f"{printable(path)} has {len(names)} channels "
                        f"({printable(', '.join(names[:8]))}), and an OpenEXR file is read if it "
                        "has one, or red, green and blue; save colours as PNG or TIFF with 16 bits")

    file = opened(path)
    if not file.parts:  # it says so on the screen alone
        raise ValueError("pixels are missing or damaged")
    if len(file.parts) > 1:
        notes.append(f"{printable(path)} holds {len(file.parts)} pictures; the first is used")
    if left := [name for name in names if name not in (*found, name_of_alpha)]:
        notes.append(f"of its channels {printable(', '.join(left[:8]))} were left out")

    values, *others = (file.channels()[name].pixels for name in found)
    alpha = None
    if name_of_alpha:
        alpha = file.channels()[name_of_alpha].pixels.astype(np.float32)
        alpha = None if (alpha == 1).all() else alpha
    check_finite([*([values] if others else []), *others, *([] if alpha is None else [alpha])])

    if all(np.array_equal(values, other) for other in others):
        if alpha is not None and not plain:
            notes.append("its alpha channel was left out")
        pixels = heights.measured(values, notes)
        return pixels, deep.whole(deep.TOP * alpha) if plain and alpha is not None else None

    values = np.stack([values, *others], -1)
    if plain:
        pixels = map_numbers(values, notes)
    else:
        pixels = colours_of_light(values, alpha, file.header(), notes)
    return pixels, None if alpha is None else deep.whole(deep.TOP * alpha)


def check_finite(arrays: Iterable[np.ndarray]) -> None:
    """ValueError if a value is not finite. NaN is the least and the greatest of what it is
    among."""
    for array in arrays:
        if not np.isfinite([array.min(), array.max()]).all():
            raise ValueError("some of its values are not finite")


def map_numbers(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Floats [H, W, 3] as uint16: those in [0, 1] as they are, those of vectors in [-1, 1] from
    there, and others from their least to their greatest."""
    low, high = float(values.min()), float(values.max())
    red, green, blue = values.mean((0, 1), dtype=np.float64)

    # vectors, most of which point towards the viewer
    upright = max(abs(red), abs(green)) < 0.2 and blue > 0.5
    if low < -NEARLY or low < 0 and upright:
        if low >= -1 - NEARLY and high <= 1 + NEARLY:
            notes.append("its values were taken to go from -1 to 1, as those of vectors do")
            low, high = -1, 1
    if low >= -NEARLY and high <= 1 + NEARLY:
        low, high = 0, 1

    if (low, high) in ((-1, 1), (0, 1)):
        scale = deep.TOP / (high - low)
        return deep.by_rows(lambda part: deep.whole((part.astype(np.float32) - low) * scale),
                            np.uint16, values)
    return heights.measured(values.reshape(len(values), -1), notes).reshape(values.shape)


def colours_of_light(
    values: np.ndarray, alpha: np.ndarray | None, header: Mapping[str, Any], notes: list[str]
) -> np.ndarray:
    """Linear colours [H, W, 3], multiplied with alpha [H, W] if there is one, as uint16 in sRGB; if
    some are brighter than white they are toned down."""
    matrix, brighter = matrix_of(header, notes), bool((values > 1 + NEARLY).any())
    if brighter:
        notes.append("what is brighter than white was toned down")

    def encoded(light: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        light = light.astype(np.float32)
        if weights:
            light = light / np.maximum(weights[0], 1e-3)[..., None]
        light = light @ matrix
        if brighter:
            light = even_light.toned(np.maximum(light, 0))
        return even_light.encode(light, deep.TOP)

    return deep.by_rows(encoded, np.uint16, values, *([] if alpha is None else [alpha]))


def matrix_of(header: Mapping[str, Any], notes: list[str]) -> np.ndarray:
    """The matrix by which linear colours with the primaries of a header are multiplied to be those
    of sRGB, float32 [3, 3]."""
    places = np.ravel(header.get("chromaticities", PLACES)).tolist()
    name = "linear light"
    if len(places) != len(PLACES) or np.abs(np.subtract(places, PLACES)).max() > 0.01:
        name += " and its own primaries"

    try:
        matrix = colour_spaces.space_of(name, places, None).matrix
        notes.append(f"its colours were converted from {name} to sRGB")
    except ValueError:
        matrix = np.eye(3)
        notes.append("its colours were converted from linear light to sRGB; its primaries are "
                     "none, and were taken for those of sRGB")
    return matrix.T.astype(np.float32)
