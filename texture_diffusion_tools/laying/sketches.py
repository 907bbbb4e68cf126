"""What a gap begins with: the claims of the real tiles around it, put together to one picture.

Claims that are mixed where they differ show two things at once. So each pixel shows one claim, and
claims meet where they agree: along minimal cuts, as in image quilting (Efros and Freeman, SIGGRAPH
2001) and graphcut textures (Kwatra et al., SIGGRAPH 2003). The claims of two opposite sides are cut
apart first; those of the other two are laid over them, each with a cut of its own:

    +---------+
    | .  N  . |     In each line a claim covers so many pixels, counted from its own side. From one
    |: '-.-' :|     line to the next that number may change for what is cut apart by the step. So
    | W  |  E |     the best cut is found exactly, by dynamic programming.
    |: .-'-. :|
    | '  S  ' |     Both orders are tried, and the one is taken whose cuts cost less.
    +---------+
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STRAIGHT = 3  # times what it costs elsewhere a cut costs along a tile's border: a straight line
PAIRS = ("W", "E"), ("N", "S")
BORDER = {
    "N": np.s_[0, 1:-1],
    "W": np.s_[1:-1, 0],
    "E": np.s_[1:-1, -1],
    "S": np.s_[-1, 1:-1],
}
# Which sides lie left, right and opposite after turned().
BESIDE = {"N": "WES", "S": "WEN", "W": "NSE", "E": "NSW"}


def joined(claims: Mapping[str, Tensor]) -> Tensor:
    """Which claim each pixel of a gap shows, int64 [T, T], by its place among the claims of the
    tiles around the gap, {direction: normalised [C, T, T]}."""
    names = "".join(claims)
    differ = disagreements(torch.stack(list(claims.values())))
    found = [cut_apart(differ, names, pair) for pair in PAIRS if set(pair) & set(claims)]
    best = min(found, key=lambda labels: cost_of(differ, names, labels))
    return torch.from_numpy(np.ascontiguousarray(best))


def disagreements(x: Tensor) -> np.ndarray:
    """How much claims x [K, C, T, T] differ from each other at each pixel, float32 [K, K, T, T]:
    the root of the mean square."""
    return (x[:, None] - x[None]).square().mean(2).sqrt().numpy()


def cut_apart(differ: np.ndarray, names: str, pair: tuple[str, str]) -> np.ndarray:
    """Labels [T, T] of claims with these names: those of a pair cut apart, then the others laid
    over them."""
    first = [name for name in pair if name in names]
    labels = np.full(differ.shape[2:], names.index(first[-1]))
    for name in [*first[:-1], *(name for name in names if name not in first)]:
        labels = laid_over(differ, names, labels, name)
    return labels


def laid_over(differ: np.ndarray, names: str, labels: np.ndarray, name: str) -> np.ndarray:
    """Labels [T, T] with the claim `name` laid over what they show, down to the cut that costs
    least."""
    differ, labels = turned(differ, name), turned(labels, name)
    own = names.index(name)
    below = shown(differ[own], labels)  # the claim against what it would cover

    def beside(other: str, place: Any) -> np.ndarray:
        """How much more it costs to have the claim beside another side's own tile than what is
        there now."""
        if other not in names:
            return np.zeros_like(below[place])
        there = differ[names.index(other)]
        return STRAIGHT * (there[own][place] - shown(there, labels)[place])

    # where the claim ends in a column, and what it hides of the cuts that are there
    left, right, far = BESIDE[name]
    inside = (below[1:] + below[:-1]) / 2
    cost = np.concatenate([STRAIGHT * below[:1], inside, beside(far, np.s_[-1:, :])])
    cost -= sums_of(edges_of(differ, labels).sum(0))
    cost[1:, 0] += beside(left, np.s_[:, 0]).cumsum()
    cost[1:, -1] += beside(right, np.s_[:, -1]).cumsum()

    # from one column to the next the cut runs between the two
    steps = (below[:, 1:] + below[:, :-1]) / 2
    depths = cheapest(cost, sums_of(np.pad(steps, ((0, 0), (1, 0)))))
    covered = np.arange(len(labels))[:, None] < depths
    return turned(np.where(covered, own, labels), name, back=True)


def turned(x: np.ndarray, name: str, back: bool = False) -> np.ndarray:
    """x [..., T, T] turned so that it begins at the side `name` in its first row; or back again."""
    if name == "S":
        return x[..., ::-1, :]
    if name == "E":
        x = x[..., ::-1, :] if back else x[..., ::-1]
    return x if name == "N" else x.swapaxes(-1, -2)


def shown(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of values [K, T, T] those of the labels [T, T]."""
    return np.take_along_axis(values, labels[None], 0)[0]


def sums_of(values: np.ndarray) -> np.ndarray:
    """The sum of what lies above each line between the rows of values [T, T], [T + 1, T]."""
    return np.pad(values.cumsum(0), ((1, 0), (0, 0)))


def edges_of(differ: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cost of the cuts in labels [T, T], of each pixel from the one above it and from the one
    to its left, [2, T, T]."""
    rows, columns = np.indices(labels.shape)
    above = np.pad(labels[:-1], ((1, 0), (0, 0)), "edge")
    left = np.pad(labels[:, :-1], ((0, 0), (1, 0)), "edge")

    costs = []
    for before, down, right in ((above, 1, 0), (left, 0, 1)):
        y, x = np.maximum(rows - down, 0), np.maximum(columns - right, 0)
        here, there = differ[labels, before, rows, columns], differ[labels, before, y, x]
        costs.append((here + there) / 2)
    return np.stack(costs)


def cheapest(cost: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The way through the columns of cost [N, T] that costs least, one row a column, int [T]; from
    one column to the next it costs by how much steps [N, T] differ between the two rows, which grow
    downwards."""
    first, *costs = np.ascontiguousarray(cost.T)
    _, *ways = np.ascontiguousarray(steps.T)
    totals = [first]
    for here, way in zip(costs, ways):
        down = np.minimum.accumulate(totals[-1] - way) + way
        up = np.minimum.accumulate((totals[-1] + way)[::-1])[::-1] - way
        totals.append(np.minimum(down, up) + here)

    # back from where the way ends, always to where it came from
    found = [int(totals.pop().argmin())]
    for total, way in zip(reversed(totals), reversed(ways)):
        found.append(int((total + np.abs(way - way[found[-1]])).argmin()))
    return np.array(found[::-1])


def cost_of(differ: np.ndarray, names: Iterable[str], labels: np.ndarray) -> float:
    """The cost of all cuts in labels [T, T], those beside the tiles of the four sides included."""
    cost = edges_of(differ, labels).sum()
    for k, name in enumerate(names):
        cost += STRAIGHT * turned(shown(differ[k], labels), name)[0].sum()
    return float(cost)


def pick(claims: Tensor, labels: Tensor) -> Tensor:
    """Of claims [K, C, T, T] those that labels [T, T] say, [C, T, T]."""
    return claims.gather(0, labels.expand(1, *claims.shape[1:]))[0]


def blend(claims: Tensor, labels: Tensor, names: Iterable[str]) -> Tensor:
    """As pick(), [C, T, T], but that the pixels beside a cut show both claims. names: of the
    claims, whose tiles lie all around."""
    around = F.pad(labels[None, None].float(), [1] * 4, mode="replicate")[0, 0].long()
    for k, name in enumerate(names):
        around[BORDER[name]] = k

    shares = F.one_hot(around, len(claims)).permute(2, 0, 1)[None].to(claims.dtype)
    return (F.avg_pool2d(shares, 3, stride=1)[0][:, None] * claims).sum(0)
