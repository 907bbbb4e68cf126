"""What a mask hides of a photo: filled with what matches around it, which is a sketch of what is
drawn there; the tiles that are drawn, from outside in; and what is drawn fitted to what is around
it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..reading.transparency import pull_push
from .grids import Pair
from .matching import CLAIM_SHRINK, PLACE_STEP, Places, box_means, comparison_planes, looked_at

BLOCK = 8  # px, of the squares by which parts of a mask are told apart
# Places that look most alike from afar, of which that is taken which does so pixel by pixel.
CLOSEST = 128
SMOOTHINGS = 300  # steps of the relaxation towards Laplace's equation
FADE = 4  # px from the edge in which the rest of what differs there falls to 1 / e
# Of what the tile that sees most sees: tiles that see so much are drawn in the same pass.
NEARLY = 0.9


def sources_of(x: np.ndarray, hidden: Tensor, piece: int, weights: Tensor | None = None) -> Tensor:
    """Where each pixel of a photo x, an array [C, H, W], is taken from when what is hidden, bool
    [H, W], is filled from outside in: rows and columns, int64 [2, H, W], of what is not hidden;
    weights: as in matching.extend_photo.
    Squares of a side, which overlap by half, are filled like the pieces of matching.extend_photo,
    first that with the most known pixels around it. ValueError if no square without a hidden pixel
    is left.
    """
    filling = Filling(looked_at(torch.from_numpy(x), weights), hidden, piece)
    rows, columns = (spaced(side, piece) for side in hidden.shape)
    corners = [(y, x) for y in rows for x in columns]

    while corners := [corner for corner in corners if filling.is_open(corner)]:
        filling.fill(max(corners, key=filling.known_around))
    return filling.source


def spaced(side: int, piece: int) -> list[int]:
    """Where pieces begin that lie half a piece apart, the last one at the end of a side."""
    return sorted({*range(0, side - piece, piece // 2), side - piece})


class Filling:
    """A photo x [C, H, W] of which what is hidden, bool [H, W], is filled with squares of a side.

    It has a border of one square all around, as Places want it.
    """

    def __init__(self, x: Tensor, hidden: Tensor, piece: int) -> None:
        self.piece, self.margin = piece, max(1, piece // 4 // CLAIM_SHRINK) * CLAIM_SHRINK
        self.known = F.pad((~hidden).to(x.dtype)[None], [piece] * 4)
        self.photo_known = self.known.clone()  # of the photo itself, not filled
        self.x = F.pad(x, [piece] * 4) * self.known
        self.unrelated = 2 * float(x[:, ~hidden].var(1).mean())
        self.source = torch.stack(torch.meshgrid(*map(torch.arange, hidden.shape), indexing="ij"))

        # where squares can be taken from: not where they hold something hidden
        self.places = Places(self.x, self.known, piece)
        self.taken = box_means(hidden.double(), piece, PLACE_STEP) > 1e-9
        if self.taken.all():
            raise ValueError(f"no {piece} x {piece} pixels without a hidden one are left")

    def square(self, corner: Pair, margin: int = 0) -> tuple[slice, ...]:
        """The slices of a square of the photo with a margin, in what has the border."""
        return (slice(None),
                *(slice(self.piece + at - margin, 2 * self.piece + at + margin) for at in corner))

    def is_open(self, corner: Pair) -> bool:
        """Whether there is something left to fill in a square."""
        return not self.known[self.square(corner)].all()

    def known_around(self, corner: Pair) -> float:
        """How many pixels are known of a square and around it."""
        return float(self.known[self.square(corner, self.margin)].sum())

    def fill(self, corner: Pair) -> None:
        """Fill what is left of a square from the place that looks most like it and what is around
        it."""
        window, here = self.square(corner, self.margin), self.square(corner)

        # the places that look most alike from afar
        seen = F.avg_pool2d(torch.cat([self.x, self.known])[window], CLAIM_SHRINK)
        start = self.piece - self.margin
        cost = self.places.disagreement([(start, start, comparison_planes(seen))])
        cost = cost.masked_fill(self.taken, math.inf)
        order = cost.flatten().argsort(stable=True)[:min(CLOSEST, int(cost.isfinite().sum()))]

        # and of these that which does so pixel by pixel
        rows_and_columns = (divmod(int(at), cost.shape[1]) for at in order)
        places = [(row * PLACE_STEP, column * PLACE_STEP) for row, column in rows_and_columns]
        place = min(places,
                    key=lambda place: self.difference(window, self.square(place, self.margin)))

        # what is known stays
        known = self.known[here] > 0
        self.x[here] = torch.where(known, self.x[here], self.x[self.square(place)])
        inside = (slice(None), *(slice(at, at + self.piece) for at in corner))
        lines = (torch.arange(self.piece) + at for at in place)
        found = torch.stack(torch.meshgrid(*lines, indexing="ij"))
        self.source[inside] = torch.where(known, self.source[inside], found)
        self.known[here] = 1

    def difference(self, window: tuple[slice, ...], other: tuple[slice, ...]) -> float:
        """Mean squared difference of two parts of x, pixel by pixel, where the first is known;
        where the second is not it is that of two unrelated pixels."""
        known, both = self.known[window], self.known[window] * self.photo_known[other]
        error = ((self.x[window] - self.x[other])**2 * both).sum() / len(self.x)
        return float(error + self.unrelated * (known - both).sum()) / float(known.sum())


def parts_of(hidden: Tensor) -> list[tuple[int, int, int, int]]:
    """The bounding boxes of the parts of a mask that hang together, [(top, bottom, left, right)] in
    pixels."""
    height, width = hidden.shape
    blocks = F.max_pool2d(hidden[None, None].float(), BLOCK, ceil_mode=True)[0, 0]
    labels = blocks * torch.arange(1, blocks.numel() + 1).view_as(blocks)

    # each block takes the largest number around it
    before = None
    while before is None or not torch.equal(before, labels):
        before = labels
        labels = F.max_pool2d(labels[None, None], 3, 1, 1)[0, 0] * blocks

    boxes = []
    for label in labels[labels > 0].unique():
        y, x = (hidden & upscaled(labels == label, height, width)).nonzero().T
        boxes.append((int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1))
    return boxes


def upscaled(blocks: Tensor, height: int, width: int) -> Tensor:
    """bool [h, w] of blocks at each of their pixels, [height, width]."""
    return blocks.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:height, :width]


def offsets_over(first: int, last: int, side: int, tile: int) -> list[int]:
    """Where tiles begin that lie side by side over first..last of a side, in its middle as far as
    they fit."""
    count = math.ceil((last - first) / tile)
    if count * tile > side:
        count = math.ceil(side / tile)
        return [round(k * (side - tile) / max(1, count - 1)) for k in range(count)]
    start = min(max(0, (first + last - count * tile) // 2), side - count * tile)
    return [start + k * tile for k in range(count)]


def plan(hidden: Tensor, tile: int, halo: int) -> list[list[Pair]]:
    """The tiles that repair what is hidden, bool [H, W]: passes, lists of places (y, x), from
    outside in. Tiles of one pass do not see each other."""
    height, width = hidden.shape
    places = dict.fromkeys((y, x) for top, bottom, left, right in parts_of(hidden)
                           for y in offsets_over(top, bottom, height, tile)
                           for x in offsets_over(left, right, width, tile))
    known, passes = F.pad((~hidden).float(), [halo] * 4), []

    while True:
        # how much is known of each tile that is not drawn, and around it
        seen = {}
        for y, x in places:
            if not known[halo + y:halo + y + tile, halo + x:halo + x + tile].all():
                around = known[y:y + tile + 2 * halo, x:x + tile + 2 * halo]
                seen[y, x] = float(around.mean())
        if not seen:
            return passes

        # those of which nearly most is known, and that do not see each other
        chosen, enough = [], NEARLY * max(seen.values())
        for place in sorted(seen, key=lambda place: (-seen[place], place)):
            alone = not any(sees(place, other, tile + halo) for other in chosen)
            if seen[place] >= enough and alone:
                chosen.append(place)

        for y, x in chosen:
            known[halo + y:halo + y + tile, halo + x:halo + x + tile] = 1
        passes.append(chosen)


def sees(place: Pair, other: Pair, reach: int) -> bool:
    """Whether a tile at one place sees a tile at another."""
    return all(abs(a - b) < reach for a, b in zip(place, other))


def cloned(x: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """A drawn picture x [C, h, w] moved towards the truth so that it meets it where that is known,
    bool [1, h, w].

    By what the two differ along the edge x is changed, all of it by the smooth part (Laplace's
    equation: Perez, Gangnet and Blake, "Poisson image editing", 2003), and a few pixels beside the
    edge by all: what differs from pixel to pixel would otherwise stay as a step.
    """
    share = known.to(x.dtype)
    error = (truth - x) * share

    # smooth: the mean of its neighbours everywhere
    smooth = torch.cat([pull_push(each[None, None], share[None])[0] for each in error])
    for _ in range(SMOOTHINGS):
        around = crosses(F.pad(smooth[None], [1] * 4, mode="replicate")[0]) / 4
        smooth = torch.where(known, error, around)

    # near: from the edge pixel by pixel
    near, weight, done = error, share, share
    for step in range(1, 4 * FADE):
        around = crosses(F.pad(done, [1] * 4))
        new = (done == 0) & (around > 0)
        near = torch.where(new, crosses(F.pad(near * done, [1] * 4)) / around.clamp(min=1), near)
        weight, done = weight.masked_fill(new, math.exp(-step / FADE)), done.masked_fill(new, 1)

    return torch.where(known, truth, x + torch.lerp(smooth, near, weight))


def crosses(x: Tensor) -> Tensor:
    """The sum of the four neighbours of each pixel of x [C, h + 2, w + 2] but the outermost,
    [C, h, w]."""
    return x[:, 1:-1, 2:] + x[:, 1:-1, :-2] + x[:, 2:, 1:-1] + x[:, :-2, 1:-1]


def edge_ratios(pixels: np.ndarray, hidden: np.ndarray) -> tuple[float, float]:
    """Mean absolute 1st and 2nd difference across a mask's edge over that in the rest of the photo,
    which was not hidden; pixels [H, W] or [H, W, channels]; 1 is invisible."""
    x = np.atleast_3d(pixels).astype(np.float32)
    found = []
    for order in (1, 2):
        edge, rest = [], []
        for values, inside in ((x, hidden), (x.swapaxes(0, 1), hidden.T)):
            size = np.abs(np.diff(values, order, axis=1)).mean(-1)

            parts = np.stack([inside[:, k:inside.shape[1] - order + k] for k in range(order + 1)])
            edge.append(size[parts.any(0) & ~parts.all(0)])
            rest.append(size[~parts.any(0)])
        found.append(float(np.concatenate(edge).mean() / max(np.concatenate(rest).mean(), 1e-9)))
    return found[0], found[1]
