"""The figures that end a run: how visible the seams and the colours of the drawn tiles are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..running import devices

if TYPE_CHECKING:
    import torch

    from ..laying.grids import Pair
    from ..reading.channels import Channels


def seam_ratios(pixels: np.ndarray, layout: Any, corner: Pair = (0, 0)) -> tuple[float, float]:
    """Mean absolute 1st and 2nd difference across the borders of drawn tiles over that inside them.

    pixels: uint8 or uint16 [H, W, channels], the window of the texture at a corner (y, x). Two
    numbers; 1 is invisible, above it a seam, below it blur at the border.
    """
    x, owner, drawn = pixels.astype(np.float32), *layout.seen_at(corner, pixels.shape[:2])
    directions = ((x, owner, drawn), (x.swapaxes(0, 1), owner.T, drawn.T))
    return seam_ratio(directions, 1), seam_ratio(directions, 2)


def seam_ratio(
    directions: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], order: int
) -> float:
    """One of seam_ratios, from left to right in each of the directions, (x [H, W, 3], owner [H, W],
    drawn [H, W])."""
    border, inside = np.zeros(2), np.zeros(2)  # sum of the differences, their number
    for x, owner, drawn in directions:
        size = np.abs(np.diff(x, order, axis=1)).mean(-1)  # from pixel k to k + order
        first, last = owner[:, :-order], owner[:, order:]

        # inside by 4 pixels
        wide = np.pad(owner, ((0, 0), (4, 4)), constant_values=-1)
        within = (first == last) & (wide[:, :-8 - order] == first) & (wide[:, 8 + order:] == last)

        near = drawn[:, :-order] | drawn[:, order:]
        for total, where in ((border, near & (first != last)), (inside, near & within)):
            total += size[where].sum(), where.sum()

    means = [total[0] / max(total[1], 1) for total in (border, inside)]
    return float(means[0] / max(means[1], 1e-9))


def to_lab(pixels: np.ndarray) -> np.ndarray:
    """uint8 sRGB [..., 3] to CIELAB (D65), float64 [..., 3]."""
    rgb = pixels / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ])
    ratio = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])

    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = (f[..., k] for k in range(3))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def colour_difference(
    pixels: np.ndarray, layout: Any, own: np.ndarray, corner: Pair = (0, 0)
) -> float:
    """CIELAB distance between the mean colours of the drawn tiles and of the photo's own pixels,
    uint8 [h, w, 3]; about 1 is just visible."""
    _, drawn = layout.seen_at(corner, pixels.shape[:2])
    if not drawn.any():
        return 0.0
    return float(np.linalg.norm(to_lab(pixels[drawn]).mean(0) - to_lab(own).mean((0, 1))))


def run_figures(
    pixels: np.ndarray,
    layout: Any,
    photo: Any,
    corner: Pair,
    drawn: tuple[float, int],
    trained: tuple[float, int],
    made: np.ndarray,
    device: torch.device,
) -> dict[str, str]:
    """The figures of a run as texts {name: figure}.

    pixels: as in seam_ratios; drawn, trained: (seconds, tiles); made: which pixels the network
    drew, bool [H, W]; device: on which it did.
    """
    seam_1st, seam_2nd = seam_ratios(pixels, layout, corner)
    memory = devices.peak_memory(device)

    difference, own = "none", photo.own_pixels()
    if own is not None:
        difference = f"{colour_difference(pixels, layout, own, corner):.3f}"

    return {
        "training_seconds": f"{trained[0]:.1f}",
        "sampling_seconds": f"{drawn[0]:.1f}",
        "training_tiles_per_second": f"{trained[1] / trained[0]:.2f}" if trained[1] else "none",
        "sampling_tiles_per_second": f"{drawn[1] / drawn[0]:.2f}",
        "peak_memory_gb": f"{memory / 1e9:.2f}" if memory else "unknown",
        "photo_share": f"{1 - made.mean():.3f}",
        "seam_ratio_1st": f"{seam_1st:.3f}",
        "seam_ratio_2nd": f"{seam_2nd:.3f}",
        "colour_difference": difference,
    }


def map_figures(
    maps: Channels, rendered: Sequence[np.ndarray], layout: Any, corner: Pair
) -> dict[str, str]:
    """The first of the seam_ratios of each map but the colour as texts {name: figure}; rendered:
    the files' pixels."""
    figures = {}
    for file, pixels in zip(maps.files, rendered):
        for kind, x in file.split(pixels).items():
            if kind in maps.slices and kind != "colour":
                figures[f"seam_ratio_1st_{kind}"] = f"{seam_ratios(x, layout, corner)[0]:.3f}"
    return figures
