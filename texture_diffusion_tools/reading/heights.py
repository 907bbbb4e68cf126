"""Values that were measured, such as heights: floats and integers of any range as 16 bits, and
places without data.

Programs for maps write a number where they have none: GDAL says in a tag which; without it, what is
not finite, and one of the usual numbers far from all others, is taken for it.
"""

from __future__ import annotations

import numpy as np

from . import transparency

TOP = 65535
USUAL = (  # for "no data"
    -9999, -99999, -999, -32768, -32767, 32767, -2147483648, 2147483647, 9999, 99999
)
HUGE = 1e20  # and beyond, which stands for "no data", too
APART = 0.25  # of the range of all others, by which such a number lies beyond them


def measured(values: np.ndarray, notes: list[str], tag: float | None = None) -> np.ndarray:
    """Numbers [H, W] as uint16: floats in [0, 1] as they are, integers in [0, 65535], too, if there
    are data everywhere, others from their least to their greatest; where there are no data what is
    around goes on. tag: the number of a file that stands for "no data"."""
    hidden = without_data(values, tag)
    if hidden.all():
        raise ValueError("it holds no data")

    seen = values[~hidden] if hidden.any() else values
    low, high = seen.min().item(), seen.max().item()
    whole = values.dtype.kind in "iu"
    if low < 0 or high > (TOP if whole else 1) or whole and hidden.any():
        notes.append(f"its values from {low:g} to {high:g} were scaled to 0 to 1")
    else:
        low, high = 0, TOP if whole else 1

    pixels = np.empty(values.shape, np.uint16)
    for top in range(0, len(values), 256):  # so that floats take little memory
        rows = slice(top, top + 256)
        part = np.where(hidden[rows], low, values[rows]).astype(np.float64)
        pixels[rows] = ((part - low) * (TOP / ((high - low) or 1.0))).round()
    return filled(pixels, hidden, notes)


def filled(pixels: np.ndarray, hidden: np.ndarray, notes: list[str]) -> np.ndarray:
    """Pixels uint16 [H, W] or [H, W, 3] with what is around where there are no data, hidden, bool
    [H, W]."""
    if not hidden.any():
        return pixels
    notes.append(f"{hidden.mean():.2%} of it holds no data, and was filled with what is around")
    shown = np.where(hidden, 0, 255).astype(np.uint8)
    return transparency.continued(np.atleast_3d(pixels), shown).reshape(pixels.shape)


def without_data(values: np.ndarray, tag: float | None = None) -> np.ndarray:
    """Where numbers [H, W] or [H, W, channels] stand for "no data", bool [H, W]."""
    kind = values.dtype.kind
    hidden = ~np.isfinite(values) if kind == "f" else np.zeros(values.shape, bool)
    if tag is not None:
        hidden |= values == (np.array(tag).astype(values.dtype) if kind == "f" else tag)
    if values.ndim > 2:
        return np.logical_or(hidden.all(-1), (hidden & ~np.isfinite(values)).any(-1))

    # without a tag a usual number far from all others, the least or the greatest
    guessed = tag is None and kind in "fi" and not hidden.all()
    for extreme in (np.min, np.max) if guessed else ():
        seen = values[~hidden] if hidden.any() else values
        value = extreme(seen)
        if abs(float(value)) >= HUGE or value in USUAL and (value < 0 or kind == "f"):
            others = seen[seen != value].astype(np.float64)
            if others.size and abs(float(value) - extreme(others)) > APART * np.ptp(others):
                hidden |= values == value
    return hidden


def number(text: object) -> float | None:
    """The number that GDAL's tag says, or None."""
    try:
        return float(str(text).strip(" \0"))
    except ValueError:
        return None
