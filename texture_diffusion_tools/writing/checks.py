"""The figures of any picture, which take no model: whether it shows where it is laid beside itself,
how much it repeats itself, and which parts of it strike the eye."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from ..laying import conspicuous
from ..reading import photos

LOW = 8  # px on each side of a line whose means are compared
USUAL = 99  # percentile of the lines inside: where a picture meets itself it may differ so much
SIDE = 1024  # px a side: a larger picture is reduced for what repeats itself or strikes the eye
NEAR = 1 / 8  # of the shorter side: what is alike within it is no repetition
PARTS = 1 / 4  # of the shorter side: what strikes the eye is a half or a quarter of that wide


def check(path: str) -> dict[str, Any]:
    """The figures of a picture file as texts {name: figure}."""
    image = cast(Image.Image, photos.open_image(path)[0])
    pixels = np.asarray(image.convert("RGB"))
    shrink = max(1, -(-max(pixels.shape[:2]) // SIDE))
    small = pixels if shrink == 1 else reduced(pixels, shrink)
    return {
        "picture": path,
        "size": f"{pixels.shape[1]} x {pixels.shape[0]}",
        **seams(pixels),
        **repetition(small, shrink),
        **striking(small, shrink),
    }


def reduced(pixels: np.ndarray, times: int) -> np.ndarray:
    """A picture [H, W, 3] averaged over squares of a side, uint8."""
    high, wide = (side // times for side in pixels.shape[:2])
    parts = pixels[:high * times, :wide * times].reshape(high, times, wide, times, 3)
    return parts.mean((1, 3)).round().astype(np.uint8)


def line_figures(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The three figures of each line between column k - 1 and column k of a picture [H, W, 3] that
    wraps around, {name: float [W]}, over their means."""
    # the step across the line before column k, and the steps' changes over columns k - 2 to k, of
    # which two cross that line
    x = pixels.astype(np.float32)
    first = x - np.roll(x, 1, 1)
    second = first - np.roll(first, 1, 1)

    # the LOW columns from the line on, less those before it
    total = sum(np.roll(x, k, 1) for k in range(LOW)) / LOW
    low = np.roll(total, 1 - LOW, 1) - np.roll(total, 1, 1)

    across = (np.abs(second) + np.abs(np.roll(second, -1, 1))) / 2
    figures = {"1st": first, "2nd": across, "low": low}
    means = {name: np.abs(values).mean((0, 2)) for name, values in figures.items()}
    return {name: values / max(values.mean(), 1e-9) for name, values in means.items()}


def seams(pixels: np.ndarray) -> dict[str, str]:
    """How much a picture differs where it meets itself, over what its lines do inside, and where it
    is tileable."""
    figures, without = {}, ""
    for direction, x in (("x", pixels), ("y", pixels.swapaxes(0, 1))):
        lines = line_figures(x)
        figures.update({f"seam_{direction}_{name}": f"{values[0]:.3f}"
                        for name, values in lines.items()})
        if all(values[0] <= np.percentile(values[1:], USUAL) for values in lines.values()):
            without += direction
    return {"tileable": without or "none", **figures}


def autocorrelation(grey: Any, beyond: float) -> tuple[float, tuple[int, int]]:
    """The largest normalised autocorrelation of a picture [H, W] at shifts of more than `beyond`
    pixels, in rows or in columns, and at most half the picture, and that shift (y, x)."""
    grey = torch.as_tensor(grey).float()
    grey = (grey - grey.mean()) / grey.std().clamp(min=1e-6)

    # over the powers of what then covers each other
    size = [2 * side for side in grey.shape]
    planes = (grey, grey**2, torch.ones_like(grey))
    x, square, one = (torch.fft.rfft2(plane, s=size) for plane in planes)
    powers = (square * one.conj(), one * square.conj())
    here, there = (torch.fft.irfft2(power, s=size).clamp(min=1) for power in powers)
    values = torch.fft.irfft2(x * x.conj(), s=size) / (here * there).sqrt()

    # far enough, and not too far
    dy, dx = (torch.fft.fftfreq(side, 1 / side) for side in size)
    far = (dy.abs()[:, None] > beyond) | (dx.abs() > beyond)
    within = (dy.abs()[:, None] <= grey.shape[0] / 2) & (dx.abs() <= grey.shape[1] / 2)
    values = values.masked_fill(~(far & within), -torch.inf)

    row, column = divmod(int(values.argmax()), size[1])
    return float(values.max()), (int(dy[row]), int(dx[column]))


def repetition(pixels: np.ndarray, shrink: int) -> dict[str, str]:
    """How alike a picture [H, W, 3] is to itself further away, and how far away. shrink: by what it
    was reduced."""
    grey = pixels.astype(np.float32).mean(2)
    value, (y, x) = autocorrelation(grey, NEAR * min(pixels.shape[:2]))
    y = y if x >= 0 else -y
    return {"repetition": f"{value:.3f}", "repetition_at": f"{abs(x) * shrink}, {y * shrink}"}


def striking(pixels: np.ndarray, shrink: int) -> dict[str, Any]:
    """How many parts of a picture [H, W, 3] strike the eye, how odd the oddest one is, and where:
    x, y, side."""
    x = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    x = (x - x.mean((1, 2), keepdim=True)) / x.std().clamp(min=1e-3)
    spots = conspicuous.find_spots(x, int(PARTS * min(pixels.shape[:2])))

    figures: dict[str, Any] = {"striking_parts": len(spots)}
    if spots:
        y, left, side, odd = spots[0]
        figures.update(oddest=f"{odd:.2f}",
                       oddest_at=f"{shrink * left}, {shrink * y}, {shrink * side}")
    return figures
