"""What the maps of a surface say of each other: normals of a height, the height of normals, the
light that a height keeps away.

A height map has no unit: how many pixels lie between its black and its white is its relief.
Eighteen materials of 640 pixels had 0.4 to 42, and no rule comes near all of them, so that without
normals to tell it a surface is made as steep as materials with some relief are.

Heights here are in pixels, slopes in pixels a pixel, and normals the materials' two numbers, how
far a vector of length 1 points to the right and down the picture. wraps: whether a picture goes on
at its other end, downwards and to the right; where it does not, it goes on as its mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch

STEEP = 0.4  # root mean square of the slopes of a height map whose relief nothing tells
AGREES = 0.2  # least correlation of normals with slopes of a height to tell anything of each other
STEEPEST = 20  # slope of a normal that lies in the plane, or points into it
# How much the finest detail, of which slopes say little, is held back in a height of normals.
SMOOTH = 0.1
# Of what 9 in 10 lines are off at most, by which the ends of a picture that wraps are off at most.
ALIKE = 1.35
DIRECTIONS = 16  # in which a horizon is looked for
FURTHER = 1.25  # from one place on the way to the next
FAR = 4  # reliefs, to which a horizon is looked for, or half the shorter side

Wraps = tuple[bool, bool]  # downwards and to the right


def slopes_of(height: np.ndarray, wraps: Wraps = (False, False)) -> np.ndarray:
    """How a height [H, W] rises to the right and downwards, [2, H, W]: half of what is between its
    neighbours."""
    down, right = np.gradient(height)
    if wraps[0]:
        down[[0, -1]] = (height[[1, 0]] - height[[-1, -2]]) / 2
    if wraps[1]:
        right[:, [0, -1]] = (height[:, [1, 0]] - height[:, [-1, -2]]) / 2
    return np.stack([right, down])


def normals_of(height: np.ndarray, wraps: Wraps = (False, False)) -> np.ndarray:
    """The normals [2, H, W] of a height [H, W]."""
    slopes = slopes_of(height, wraps)
    return (-slopes / np.sqrt(1 + (slopes**2).sum(0))).astype(np.float32)


def slopes_behind(normals: np.ndarray) -> np.ndarray:
    """The slopes [2, H, W] of the surface that has some normals, with none on the whole."""
    flat = np.sqrt(np.maximum(1 / (1 + STEEPEST**2), 1 - (normals**2).sum(0)))
    slopes = -normals / flat
    return (slopes - slopes.mean((1, 2), keepdims=True)).astype(np.float32)


# Frankot and Chellappa, "A method for enforcing integrability in shape from shading algorithms",
# 1988, with the slopes of slopes_of() instead of derivatives. With D = i sin(w) for each axis and
# p, q the slopes, what is least is
#
#     |D h - (p, q)|^2 + SMOOTH |4 sin(w/2)^2 h|^2 / 4
#
# The second term, of second differences, is needed: slopes over two pixels say nothing of what
# changes from each pixel to the next. With SMOOTH = 1 this is the least squares of the differences
# between neighbours.

def height_of(normals: np.ndarray, wraps: Wraps | None = None) -> np.ndarray:
    """The height [H, W], float32, of 0 on the whole, whose normals come nearest to some [2, H, W];
    wraps: None: where one that does comes as near to them at its ends as elsewhere."""
    if wraps is None:
        height = height_of(normals, (True, True))
        wraps = ends_fit(slopes_of(height, (True, True)) - slopes_behind(normals))
        return height if all(wraps) else height_of(normals, wraps)

    height, width = normals.shape[1:]
    right, down = mirrored(slopes_behind(normals), wraps)
    # 2 D* (p, q)
    rest = (np.roll(right, 1, 1) - np.roll(right, -1, 1)
            + np.roll(down, 1, 0) - np.roll(down, -1, 0))

    # what D* D and the second term make of each wave; the mean is free
    frequencies = np.fft.fftfreq(len(rest))[:, None], np.fft.rfftfreq(rest.shape[1])[None]
    y, x = (2 * np.pi * f for f in frequencies)
    squares = (np.sin(w) ** 2 + 4 * SMOOTH * np.sin(w / 2) ** 4 for w in (y, x))
    weight = np.asarray(sum(squares)).astype(np.float32)
    weight[0, 0] = np.inf

    waves = torch.fft.rfft2(torch.from_numpy(rest / 2)) / torch.from_numpy(weight)
    found = torch.fft.irfft2(waves, s=rest.shape)[:height, :width].numpy()
    return found - found.mean()


def ends_fit(errors: np.ndarray) -> Wraps:
    """Whether errors of slopes [2, H, W] are as small at the upper and lower ends, and at the left
    and right ones."""
    right, down = np.abs(errors)
    rows, columns = (bool(lines[[0, -1]].mean() <= ALIKE * np.quantile(lines, 0.9))
                     for lines in (down.mean(1), right.mean(0)))
    return rows, columns


def mirrored(slopes: np.ndarray, wraps: Wraps) -> tuple[np.ndarray, np.ndarray]:
    """Slopes [2, H, W] with those of the mirror image behind them where a picture does not wrap,
    [2, H or 2 H, ...]."""
    right, down = slopes
    if not wraps[0]:
        right, down = np.concatenate([right, right[::-1]]), np.concatenate([down, -down[::-1]])
    if not wraps[1]:
        right = np.concatenate([right, -right[:, ::-1]], 1)
        down = np.concatenate([down, down[:, ::-1]], 1)
    return right, down


def wraps_of(height: np.ndarray) -> Wraps:
    """Whether a height [H, W] wraps, downwards and to the right: its ends differ little more than
    neighbours do."""
    def fits(lines: np.ndarray) -> bool:
        between = np.abs(np.diff(lines, axis=0)).mean(1)
        return bool(np.abs(lines[0] - lines[-1]).mean() <= ALIKE * np.quantile(between, 0.9))

    return fits(height), fits(height.T)


def occlusion_of(height: np.ndarray, wraps: Wraps = (False, False)) -> np.ndarray:
    """How much of an even sky's light reaches each place of a height [H, W], float32 in [0, 1], 1
    where nothing rises above it: the mean over all directions of the squared cosine of the
    horizon's elevation."""
    far = max(2, min(min(height.shape) // 2, math.ceil(FAR * np.ptp(height))))

    # as far around as a horizon is looked for
    around = height.astype(np.float32)
    for axis, wrap in enumerate(wraps):
        width = [(far, far) if k == axis else (0, 0) for k in (0, 1)]
        around = np.pad(around, width, "wrap" if wrap else "symmetric")

    wide, heights = torch.from_numpy(around), torch.from_numpy(height.astype(np.float32))
    light = torch.zeros_like(heights)
    for angle in (np.arange(DIRECTIONS) + 0.5) * (2 * np.pi / DIRECTIONS):
        light += 1 / (1 + horizon(wide, heights, angle, far) ** 2)
    return (light / DIRECTIONS).numpy()


def horizon(around: torch.Tensor, height: torch.Tensor, angle: float, far: int) -> torch.Tensor:
    """How steep the horizon of a height [H, W] is in a direction, not below 0, [H, W]; around: it
    with far pixels more on each side."""
    steepest = torch.zeros_like(height)
    for y, x in places_towards(angle, far):
        there = around[far + y:far + y + height.shape[0], far + x:far + x + height.shape[1]]
        torch.maximum(steepest, (there - height).div_(math.hypot(y, x)), out=steepest)
    return steepest


def places_towards(angle: float, far: int) -> Iterable[tuple[int, int]]:
    """The pixels (y, x) that are looked at in a direction, further and further apart."""
    distance, places = 1.0, []
    while distance <= far:
        places.append((round(distance * math.sin(angle)), round(distance * math.cos(angle))))
        distance = max(distance + 1, distance * FURTHER)
    return dict.fromkeys(places)


def relief_by(normals: np.ndarray, height: np.ndarray) -> float | None:
    """The relief of a height [H, W] in [0, 1] that some normals [2, H, W] say; None if they do not
    go with it."""
    one, other = slopes_of(height).ravel(), slopes_behind(normals).ravel()
    product = (one * other).sum()
    if product <= AGREES * math.sqrt((one**2).sum() * (other**2).sum()):
        return None
    return product / (one**2).sum()


def relief_by_rule(height: np.ndarray) -> float:
    """The relief that makes a height [H, W] in [0, 1] as steep as materials are."""
    return STEEP / max(np.sqrt((slopes_of(height) ** 2).sum(0).mean()), 1e-9)


class Computed(NamedTuple):
    """What the maps of a surface say of those that are missing."""

    maps: dict[str, np.ndarray]  # kind -> planes [channels, H, W] in [-1, 1]
    source: str | None  # the kind of map that they were computed from
    relief: str  # a clause that says how many pixels lie between black and white, and why


def complete(
    maps: Mapping[str, np.ndarray], there: Collection[str], relief: float | None = None,
) -> Computed:
    """What can be Computed of normal, height and occlusion.

    maps: {kind: planes [channels, H, W] in [-1, 1]} of those that are not the same everywhere;
    there: the kinds that a person has, which are left as they are; relief: of a height map without
    normals, pixels; None: by rule.
    """
    height, source, said = surface_of(maps, relief)
    if height is None:
        return Computed({}, None, said)

    computed, wraps = {}, wraps_of(height)
    if "normal" not in there:
        computed["normal"] = normals_of(height, wraps)
    if "height" not in there and source == "normal":
        computed["height"] = ((height - height.min()) * (2 / np.ptp(height)) - 1)[None]
    if "occlusion" not in there:
        computed["occlusion"] = 2 * occlusion_of(height, wraps)[None] - 1
    return Computed(computed, source, said)


def surface_of(
    maps: Mapping[str, np.ndarray], relief: float | None = None,
) -> tuple[np.ndarray | None, str | None, str]:
    """The height [H, W] in pixels that maps say, as in complete(), the kind of map that it comes
    from and a clause about its relief; (None, None, ...) if they say none. Normals have a unit and
    come before any other reason for a relief."""
    normals = maps.get("normal")
    if normals is not None:
        for kind in ("height", "normal_alpha"):
            found = relief_by(normals, share_of(maps[kind])) if kind in maps else None
            if found is not None:
                said = f"{found:.3g} pixels between its black and white, as normals say"
                return found * share_of(maps[kind]), kind, said

        height = height_of(normals)
        said = f"{np.ptp(height):.3g} pixels between the height's black and white"
        return height, "normal", said

    if "height" not in maps:
        return None, None, "it needs a height map or normals that are not the same everywhere"

    height = share_of(maps["height"])
    why = "as COMPLETE says" if relief else "as no map says how many; COMPLETE = pixels would"
    relief = relief or relief_by_rule(height)
    return relief * height, "height", f"{relief:.3g} pixels between its black and white, {why}"


def share_of(planes: np.ndarray) -> np.ndarray:
    """A map [1, H, W] in [-1, 1] as [H, W] in [0, 1]."""
    return (planes[0] + 1) / 2
