"""A plane without end, of which any part can be laid out without the rest.

The cells of the plane are put together to square blocks, and each block is of one of three colours:

    0 1 2 0 1 2     A block is laid out after those of its neighbours that are of an earlier colour,
    1 2 0 1 2 0     to agree with them, and knows of no others: it depends on the blocks up to two
    2 0 1 2 0 1     away, not on where one begins. Three colours do, since the upper right and the
    0 1 2 0 1 2     lower left corner of a block are gaps, so that blocks that only meet there have
                    no gap in common.

Blocks of the first colour know of no other block. Where the photo repeats itself, as bricks do,
their rows would not meet: there the photo, continued by its own periods without end, keeps all
blocks in step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..running import seeds
from . import matching
from .conspicuous import Spot
from .grids import Grid, Pair
from .matching import Candidates, Place

BLOCK = 4  # cells a side of a block, an even number
# Neighbours of later colours of a block of each colour, which make up for its colours.
LATER = (6, 3, 0)
# The neighbours: blocks down, blocks to the right.
AROUND = ((-1, -1), (-1, 0), (0, -1), (0, 1), (1, 0), (1, 1))
STEP_COST = 0.5  # of what is as far from the continued photo as two unrelated parts are
# Correlation of a photo with itself, moved by two of its periods, from which on it repeats itself.
PERIODIC = 0.4
FINE = 16  # parts of a pixel in which periods are counted
NEAR = 2  # pixels by which each further repeat may be off
SLANTED = 0.5  # sine of the angle between these two, at least


def match_tiles(
    extended: Sequence[Tensor],
    grid: Grid,
    cells: Sequence[Pair],
    seed: int,
    weights: Tensor | None = None,
    spots: Sequence[Sequence[Spot]] | None = None,
    hidden: Sequence[Tensor | None] | None = None,
) -> list[Place]:
    """Places (orientation, y, x) of real tiles for cells of a window of the plane, by what lies
    around them alone; all else as in matching.match_tiles."""
    lattice = find_lattice(matching.looked_at(extended[0], weights), grid.tile)
    candidates = matching.candidates_of(extended, grid.tile, weights, spots, hidden)
    plane = Plane(grid, candidates, lattice, seed, weights)
    return [plane.place(*grid.numbers(cell)) for cell in cells]


def random_tiles(
    extended: Sequence[Tensor], grid: Grid, cells: Sequence[Pair], seed: int, *_: object
) -> list[Place]:
    """Places of real tiles for cells, anywhere in the photo, each by its cell's row and column."""
    places = []
    for cell in cells:
        key = seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, *grid.numbers(cell))
        rng = np.random.default_rng(key)
        number = int(rng.integers(len(extended)))
        most = [side - 3 * grid.tile + 1 for side in extended[number].shape[1:]]
        places.append((number, *rng.integers(most)))
    return places


LAYOUTS = {"matched": match_tiles, "random": random_tiles}


class Plane:
    """The blocks of a plane that were asked for, and those on which they depend.

    grid: a Grid of any window; candidates: matching.Candidates in each orientation, the photo's own
    first; lattice: a Lattice or None; weights: as in matching.extend_photo.
    """

    def __init__(
        self,
        grid: Grid,
        candidates: Sequence[Candidates],
        lattice: Lattice | None,
        seed: int,
        weights: Tensor | None = None,
    ) -> None:
        self.candidates, self.lattice = candidates, lattice
        self.seed, self.weights = seed, weights

        # of a block amid its neighbours
        side = 3 * BLOCK * grid.tile
        line = tuple(range(0, side, grid.tile))
        self.grid = grid._replace(lines=(line, line), size=(side, side))

        # (row, column) -> {cell of the block: its place}
        self.blocks: dict[Pair, dict[Pair, Place]] = {}

    def place(self, row: int, column: int) -> Place:
        """The place (orientation, y, x) of the real tile in a row and a column of the plane."""
        (i, down), (j, right) = divmod(row, BLOCK), divmod(column, BLOCK)
        return self.block(i, j)[down, right]

    def block(self, i: int, j: int) -> dict[Pair, Place]:
        """The places {(row, column) in the block: (orientation, y, x)} of the real tiles of the
        block (i, j)."""
        if (i, j) not in self.blocks:
            self.blocks[i, j] = self.lay_out(i, j)
        return self.blocks[i, j]

    def lay_out(self, i: int, j: int) -> dict[Pair, Place]:
        """The places of block(), laid out among the blocks of earlier colours around it."""
        earlier = {by: self.block(i + by[0], j + by[1])
                   for by in AROUND if (i + j + sum(by)) % 3 < (i + j) % 3}

        out_of_step = None
        if self.lattice:
            out_of_step = functools.cache(functools.partial(self.out_of_step, self.lattice, i, j))

        rng = np.random.default_rng(seeds.seed_sequence(self.seed, seeds.BLOCK, i, j))
        middle = range(BLOCK, 2 * BLOCK)
        cells = [(row, column) for row in middle for column in middle if (row + column) % 2 == 0]

        def start() -> BlockMatcher:
            """A Matcher that knows of the blocks around, in their places around the middle."""
            matcher = BlockMatcher(self.grid, [each.fresh() for each in self.candidates],
                                   weights=self.weights, out_of_step=out_of_step)
            for (down, right), places in earlier.items():
                share = 1 / LATER[(i + j + down + right) % 3]
                for (row, column), place in places.items():
                    cell = row + (1 + down) * BLOCK, column + (1 + right) * BLOCK
                    matcher.note(cell, place, share)
            return matcher

        places = matching.best_of_attempts(start, cells, rng)
        return {(row - BLOCK, column - BLOCK): place
                for (row, column), place in zip(cells, places)}

    def out_of_step(
        self, lattice: Lattice, i: int, j: int, cell: Pair, orientation: int
    ) -> Tensor:
        """What each place costs in a cell of a block and its neighbours for how it differs from the
        continued photo, [places]; to show the very part that lies there costs as much as what is
        unrelated: the plane is no copy."""
        tile, known = self.grid.tile, self.candidates[0].places
        top, left = ((k + (block - 1) * BLOCK) * tile for k, block in zip(cell, (i, j)))
        height, width = (side - tile for side in self.candidates[0].used.shape)
        y, x = lattice.home(top, left, height, width)

        shown = known.cut(tile + y, tile + x, tile)
        cost = self.candidates[orientation].places.disagreement([(tile, tile, shown)]).clamp(max=1)

        if orientation == 0:
            row, column = y // matching.PLACE_STEP, x // matching.PLACE_STEP
            near = tile // 2 // matching.PLACE_STEP
            cost[max(0, row - near):row + near, max(0, column - near):column + near] = 1
        return STEP_COST * cost


class BlockMatcher(matching.Matcher):
    """Chooses a block's real tiles, in step with the plane. out_of_step(cell, orientation): of a
    Plane; or None."""

    def __init__(
        self, *args: Any, out_of_step: Callable[[Pair, int], Tensor] | None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.out_of_step = out_of_step

    def drift(self, candidates: Candidates, cell: Pair) -> Tensor:
        drift = super().drift(candidates, cell)
        if self.out_of_step is None:
            return drift
        return drift + self.out_of_step(cell, self.candidates.index(candidates))


class Lattice(NamedTuple):
    """Two periods of a photo, (down, to the right) each, in FINE parts of a pixel: moved by them it
    looks like itself."""

    one: Pair
    other: Pair

    def home(self, y: int, x: int, height: int, width: int) -> Pair:
        """The place next to the middle of height x width places that a whole number of periods
        leads to from (y, x) in the plane, to the nearest pixel; in whole numbers, which are exact
        however far away that is."""
        (down, right), (down2, right2) = self
        y, x = FINE * (y - height // 2), FINE * (x - width // 2)

        # how many of each period lead nearest to the middle
        area = down * right2 - right * down2
        first, second = ((2 * part + area) // (2 * area)
                         for part in (y * right2 - x * down2, x * down - y * right))
        y, x = y - first * down - second * down2, x - first * right - second * right2

        return (y + FINE // 2) // FINE + height // 2, (x + FINE // 2) // FINE + width // 2


def find_lattice(x: Tensor, tile: int) -> Lattice | None:
    """The Lattice of a photo x with a border of one tile [C, H + 2T, W + 2T]; None where it doesn't
    repeat itself."""
    x = x[:, tile:-tile, tile:-tile].double()
    correlation = self_correlation(x)
    reach = [(side - tile) // 2 for side in x.shape[1:]]  # homes are places
    alike, down, right = around(correlation, (0, 0), reach)
    far = torch.hypot(down.double(), right.double())
    alike = alike.masked_fill(far < tile / 2, 0)

    # the two highest, the second one slanted against the first
    found = []
    while len(found) < 2:
        period, height = highest(alike, down, right)
        if height < PERIODIC:
            return None
        found.append(period)
        sines = (period[0] * right - period[1] * down).abs()
        sines = sines / (math.hypot(*period) * far.clamp(min=1))
        alike = alike.masked_fill(sines < SLANTED, 0)

    most = [side - tile for side in x.shape[1:]]
    exact = [precise(correlation, period, most) for period in found]
    one, other = ((round(FINE * y), round(FINE * x)) for y, x in exact)
    return Lattice(one, other)


def around(
    correlation: Tensor, place: Sequence[int], reach: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The part of self_correlation() up to reach (down, right) around a place, and how far down
    [h, 1] and to the right [1, w] its pixels are moved."""
    down, right = (torch.arange(at - most, at + most + 1) for at, most in zip(place, reach))
    down, right = down[:, None], right[None]
    height, width = correlation.shape
    return correlation[down % height, right % width], down, right


def highest(alike: Tensor, down: Tensor, right: Tensor) -> tuple[Pair, float]:
    """Where a part as of around() is highest, (pixels down, pixels to the right), and how high that
    is."""
    row, column = divmod(int(alike.argmax()), alike.shape[1])
    return (int(down[row, 0]), int(right[0, column])), float(alike[row, column])


def precise(correlation: Tensor, period: Pair, most: Sequence[int]) -> tuple[float, float]:
    """A period (down, right) to fractions of a pixel: that of its repeats as far as most (down,
    right) pixels."""
    repeats, exact = 1, period
    while all(abs((repeats + 1) * k) + NEAR <= side for k, side in zip(exact, most)):
        guess = [round((repeats + 1) * k) for k in exact]
        place, height = highest(*around(correlation, guess, (NEAR, NEAR)))
        if height < PERIODIC:
            break
        repeats += 1
        exact = place[0] / repeats, place[1] / repeats
    return exact


def self_correlation(x: Tensor) -> Tensor:
    """The correlation of a picture x [C, H, W] of mean 0 with itself, moved down and to the right:
    of what then covers each other, [2H, 2W], in which negative ways count from the end."""
    size = [2 * side for side in x.shape[1:]]

    def summed(one: Tensor, other: Tensor) -> Tensor:
        spectrum = (torch.fft.rfft2(one, s=size).conj() * torch.fft.rfft2(other, s=size)).sum(0)
        return torch.fft.irfft2(spectrum, s=size)

    power, ones = (x**2).sum(0, keepdim=True), torch.ones_like(x[:1])
    powers = summed(power, ones).clamp(min=1) * summed(ones, power).clamp(min=1)
    return summed(x, x) / powers.sqrt()
