"""What strikes the eye in a photo: its parts that are least like any other part. Seen once they are
the photo's charm; seen four times on one screen they give a texture away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = (4, 2)  # a spot's side is a tile's, over one of these
DETAIL = 8  # pixels a side by which parts are compared: they are shrunk to so many
OVERLAP = 4  # compared parts begin a side over this apart, or further where they would be too many
PARTS = 4000  # compared at most, each with each
LIKE = 3  # a part is judged by so many parts that are most like it
SPOTS = 20  # taken at most
MOST = 1 / 8  # of the photo that is conspicuous
MOST_TRIED = 40  # parts that are looked for elsewhere
ALIKE = 0.8  # normalised cross-correlation above which a place resembles another
FINE = 8  # pixels a side by which that is seen, or a spot's own
ODD = 2.0  # what is no odder, as a stone of a gravel or a medallion of a carpet, strikes nobody
BESIDE = 0.1  # of a tile's side: a spot so far beside a tile is seen in the sketch there
SCREEN = 540  # pixels over which what is seen again strikes the eye less by a factor of e
FAR = 0.3  # of what strikes the eye side by side, what is left of it however far away
EQUAL = 0.01  # parts that differ by less, normalised units a pixel, are the same
AT_ONCE = 1024  # parts compared with all at a time


class Spot(NamedTuple):
    """A square of a photo: its upper left corner and its side, pixels."""

    y: int
    x: int
    side: int
    # how far it is from the parts most like it, over that of the part in the middle of all
    odd: float = 1.0

    def weight(self) -> float:
        """How much it counts, 0 to 1: not at all up to ODD, fully from one more on."""
        return min(1.0, max(0.0, self.odd - ODD))

    def turned(self, height: int, width: int, turns: int, mirrored: bool) -> Spot:
        """Where the spot of a photo of height x width pixels lies after quarter turns, then
        mirrored left to right."""
        y, x, side, odd = self
        for _ in range(turns):
            y, x, height, width = width - side - x, y, width, height
        return Spot(y, width - side - x if mirrored else x, side, odd)

    def touches(self, other: Spot) -> bool:
        """Whether two spots share pixels."""
        return self.y < other.y + other.side and other.y < self.y + self.side \
            and self.x < other.x + other.side and other.x < self.x + self.side


def find_spots(x: Tensor, tile: int) -> list[Spot]:
    """The conspicuous parts of a photo x [C, H, W], Spots that don't overlap and that no other
    place resembles, the most conspicuous first."""
    found = []
    for scale in SCALES:
        side = max(DETAIL, tile // scale)
        ys, xs, oddness = oddness_of(x, side)
        found += [(-float(odd), int(at_y), int(at_x), side)
                  for odd, at_y, at_x in zip(oddness, ys, xs)]

    spots: list[Spot] = []
    tried = 0
    for odd, y, left, side in sorted(found):
        spot = Spot(y, left, side, -odd)
        if len(spots) == SPOTS or tried == MOST_TRIED or spot.weight() == 0:
            break
        apart = not any(spot.touches(other) for other in spots)
        if apart and sum(other.side**2 for other in (*spots, spot)) <= MOST * x[0].numel():
            tried += 1
            if is_alone(x, spot):
                spots.append(spot)
    return spots


def is_alone(x: Tensor, spot: Spot) -> bool:
    """Whether no other place of a photo x [C, H, W] resembles a spot."""
    shrink = max(1, spot.side // FINE)
    small = F.avg_pool2d(x, shrink)
    y, left, side = (value // shrink for value in (spot.y, spot.x, spot.side))
    alike = correlation(small, small[:, y:y + side, left:left + side])

    # the spot resembles itself
    near = side // 2
    alike[max(0, y - near):y + near + 1, max(0, left - near):left + near + 1] = -1
    return bool(alike.max() <= ALIKE)


def correlation(x: Tensor, part: Tensor) -> Tensor:
    """The normalised cross-correlation of a part [C, h, w] with x [C, H, W] at each place,
    [H - h + 1, W - w + 1]."""
    (height, width), (h, w) = x.shape[1:], part.shape[1:]
    part = part - part.mean((1, 2), keepdim=True)
    kernel = torch.fft.rfft2(F.pad(part, (0, width - w, 0, height - h))).conj()
    found = torch.fft.irfft2((torch.fft.rfft2(x) * kernel).sum(0), s=(height, width))
    found = found[:height - h + 1, :width - w + 1]

    # over the deviations of both
    mean, square = (F.avg_pool2d(values, (h, w), stride=1) for values in (x, x**2))
    power = (square - mean**2).sum(0).clamp(min=1e-9) * h * w
    return found / (part.norm() * power.sqrt()).clamp(min=1e-6)


def oddness_of(x: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """How far parts of x [C, H, W] of a side are from the parts most like them, over that of the
    part in the middle of all: where they begin, ys and xs [N], and that [N]."""
    # all parts, shrunk, [N, D]
    step = max(side // OVERLAP, math.ceil(math.sqrt(x[0].numel() / PARTS)))
    ys, xs = (torch.arange(0, length - side + 1, step) for length in x.shape[1:])
    small = F.avg_pool2d(x, side // DETAIL, stride=1)
    within = torch.arange(DETAIL) * (side // DETAIL)
    rows, columns = ys[:, None] + within, xs[:, None] + within
    parts = small[:, rows[:, None, :, None], columns[None, :, None, :]]
    parts = parts.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)

    # from those most like them, but for what overlaps them
    ys, xs = ys.repeat_interleave(len(xs)), xs.repeat(len(ys))
    distances = []
    for some in torch.arange(len(parts)).split(AT_ONCE):
        apart = torch.cdist(parts[some], parts)
        near = ((ys[some, None] - ys).abs() < side) & ((xs[some, None] - xs).abs() < side)
        apart = apart.masked_fill(near, math.inf)
        distances.append(apart.topk(LIKE, largest=False).values.mean(1))

    distances = torch.cat(distances)
    return ys, xs, distances / distances.median().clamp(min=EQUAL * math.sqrt(parts.shape[1]))


def shares_shown(
    spots: Sequence[Spot], counts: Sequence[int], step: int, tile: int
) -> list[Tensor]:
    """The share of each spot that a tile shows, itself or in the sketches beside it, downwards and
    to the right: two tensors [spots, count] for tiles that begin so many pixels apart, whose
    product is the share."""
    side = torch.tensor([spot.side for spot in spots], dtype=torch.float32)[:, None]
    shares = []
    for count, starts in zip(counts, ([spot.y for spot in spots], [spot.x for spot in spots])):
        start = torch.tensor(starts, dtype=torch.float32)[:, None]
        first = torch.arange(count)[None] * step - tile * BESIDE
        last = first + tile * (1 + 2 * BESIDE)
        overlap = torch.minimum(last, start + side) - torch.maximum(first, start)
        shares.append((overlap / side).clamp(0, 1))
    return shares


def strikes(
    places: Sequence[tuple[float, float]],
    middle: tuple[float, float],
    size: tuple[int, int],
    wraps: Iterable[bool],
) -> np.ndarray:
    """How much it strikes the eye that places [(y, x)] of a texture of a size (h, w) show what one
    at `middle` shows, [N]: 1 beside it, FAR far away. wraps: whether the texture goes on at its
    other end, downwards and to the right."""
    apart = np.abs(np.reshape(places, (-1, 2)) - middle)
    for axis, wrap in enumerate(wraps):
        if wrap:
            apart[:, axis] = np.minimum(apart[:, axis], size[axis] - apart[:, axis])
    return FAR + (1 - FAR) * np.exp(-np.hypot(*apart.T) / SCREEN)


def overlap(
    spot: Spot, top: int, left: int, side: int
) -> tuple[list[slice], list[slice]]:
    """Where a spot is seen in a window of a side at a corner (top, left): slices of the photo and
    of the window, rows and columns."""
    there, here = [], []
    for start, begin in ((spot.y, top), (spot.x, left)):
        low, high = max(start, begin), max(begin, min(start + spot.side, begin + side))
        there.append(slice(low, max(low, high)))
        here.append(slice(low - begin, max(low, high) - begin))
    return there, here
