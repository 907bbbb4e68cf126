"""A plane without end, of which any part can be laid out without the rest.

The cells of the plane are put together to square blocks, and each block is of one of three colours:

    0 1 2 0 1 2     A block is laid out after those of its neighbours that are of an earlier colour, to agree with
    1 2 0 1 2 0     them, and knows of no others: what it becomes depends on what lies two blocks away or nearer, not
    2 0 1 2 0 1     on where one begins. Three colours do, since the upper right and the lower left corner of a block
    0 1 2 0 1 2     are gaps, so that blocks that only meet there have no gap in common.

Blocks of the first colour know of no other block. Where the photo repeats itself, as bricks do, their rows would not
meet: there the photo, continued by its own periods without end, keeps all blocks in step.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch

from . import matching, seeds

BLOCK = 4  # cells a side of a block, an even number
LATER = (6, 3, 0)  # of the neighbours of a block of each colour those of later ones, which make up for its colours
AROUND = ((-1, -1), (-1, 0), (0, -1), (0, 1), (1, 0), (1, 1))  # the neighbours: blocks down, blocks to the right
STEP_COST = 0.5  # of what is as far from the continued photo as two unrelated parts are
PERIODIC = 0.4  # correlation of a photo with itself, moved by two of its periods, from which on it repeats itself
FINE = 16  # parts of a pixel in which periods are counted
NEAR = 2  # pixels by which each further repeat may be off
SLANTED = 0.5  # sine of the angle between these two, at least


def match_tiles(extended, grid, cells, seed, weights=None, spots=None, hidden=None):
    """Places (orientation, y, x) of real tiles for cells of a window of the plane, by what lies around them alone; all
    else as in matching.match_tiles."""
    lattice = find_lattice(matching.looked_at(extended[0], weights), grid.tile)
    plane = Plane(grid, matching.candidates_of(extended, grid.tile, weights, spots, hidden), lattice, seed, weights)
    return [plane.place(*grid.numbers(cell)) for cell in cells]


def random_tiles(extended, grid, cells, seed, *_):
    """The same of places anywhere in the photo, each by its cell's row and column."""
    places = []
    for cell in cells:
        rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, *grid.numbers(cell)))
        number = int(rng.integers(len(extended)))
        places.append((number, *rng.integers([side - 3 * grid.tile + 1 for side in extended[number].shape[1:]])))
    return places


LAYOUTS = {"matched": match_tiles, "random": random_tiles}


class Plane:
    """The blocks of a plane that were asked for, and those on which they depend.

    grid: a Grid of any window; candidates: matching.Candidates in each orientation, the photo's own first; lattice: a
    Lattice or None; weights: as in matching.extend_photo."""

    def __init__(self, grid, candidates, lattice, seed, weights=None):
        self.candidates, self.lattice, self.seed, self.weights = candidates, lattice, seed, weights
        line = tuple(range(0, 3 * BLOCK * grid.tile, grid.tile))
        self.grid = grid._replace(lines=(line, line), size=(3 * BLOCK * grid.tile,) * 2)  # a block amid its neighbours
        self.blocks = {}  # (row, column) -> {cell of the block: (orientation, y, x)}

    def place(self, row, column):
        """The place (orientation, y, x) of the real tile in a row and a column of the plane."""
        (i, down), (j, right) = divmod(row, BLOCK), divmod(column, BLOCK)
        return self.block(i, j)[down, right]

    def block(self, i, j):
        """The places {(row, column) in the block: (orientation, y, x)} of the real tiles of the block (i, j)."""
        if (i, j) not in self.blocks:
            self.blocks[i, j] = self.lay_out(i, j)
        return self.blocks[i, j]

    def lay_out(self, i, j):
        """The same, laid out among the blocks of earlier colours around it."""
        earlier = {by: self.block(i + by[0], j + by[1]) for by in AROUND if (i + j + sum(by)) % 3 < (i + j) % 3}
        out_of_step = self.lattice and functools.cache(functools.partial(self.out_of_step, i, j))
        rng = np.random.default_rng(seeds.seed_sequence(self.seed, seeds.BLOCK, i, j))
        middle = range(BLOCK, 2 * BLOCK)
        cells = [(row, column) for row in middle for column in middle if (row + column) % 2 == 0]

        def start():
            candidates = [each.fresh() for each in self.candidates]
            matcher = BlockMatcher(self.grid, candidates, weights=self.weights, out_of_step=out_of_step)
            for (down, right), places in earlier.items():
                share = 1 / LATER[(i + j + down + right) % 3]
                for (row, column), place in places.items():
                    matcher.note((row + (1 + down) * BLOCK, column + (1 + right) * BLOCK), place, share)
            return matcher

        places = matching.best_of_attempts(start, cells, rng)
        return {(row - BLOCK, column - BLOCK): place for (row, column), place in zip(cells, places)}

    def out_of_step(self, i, j, cell, orientation):
        """What each place costs in a cell of a block and its neighbours for what it shows else than the continued
        photo, [places]; to show the very part that lies there costs as much as what is unrelated: the plane is no
        copy."""
        tile, known = self.grid.tile, self.candidates[0].places
        corner = ((k + (block - 1) * BLOCK) * tile for k, block in zip(cell, (i, j)))
        y, x = self.lattice.home(*corner, *(side - tile for side in self.candidates[0].used.shape))
        shown = known.cut(tile + y, tile + x, tile)
        cost = self.candidates[orientation].places.disagreement([(tile, tile, shown)]).clamp(max=1)
        if orientation == 0:
            row, column, near = y // matching.PLACE_STEP, x // matching.PLACE_STEP, tile // 2 // matching.PLACE_STEP
            cost[max(0, row - near):row + near, max(0, column - near):column + near] = 1
        return STEP_COST * cost


class BlockMatcher(matching.Matcher):
    """Chooses a block's real tiles, in step with the plane; out_of_step(cell, orientation): of a Plane; or None."""

    def __init__(self, *args, out_of_step, **options):
        super().__init__(*args, **options)
        self.out_of_step = out_of_step

    def drift(self, candidates, cell):
        drift = super().drift(candidates, cell)
        return drift if self.out_of_step is None else drift + self.out_of_step(cell, self.candidates.index(candidates))


class Lattice(NamedTuple):
    """Two periods of a photo, (down, to the right) each, in FINE parts of a pixel: moved by them it looks like itself.
    """

    one: tuple
    other: tuple

    def home(self, y, x, height, width):
        """The place next to the middle of height x width places that a whole number of periods leads to from (y, x) in
        the plane, to the nearest pixel; in whole numbers, which are exact however far away that is."""
        (down, right), (down2, right2) = self
        y, x, area = FINE * (y - height // 2), FINE * (x - width // 2), down * right2 - right * down2
        first, second = ((2 * part + area) // (2 * area) for part in (y * right2 - x * down2, x * down - y * right))
        y, x = y - first * down - second * down2, x - first * right - second * right2
        return (y + FINE // 2) // FINE + height // 2, (x + FINE // 2) // FINE + width // 2


def find_lattice(x, tile):
    """The Lattice of a photo x with a border of one tile [C, H + 2T, W + 2T]; None where it doesn't repeat itself."""
    x = x[:, tile:-tile, tile:-tile].double()
    correlation, reach = self_correlation(x), [(side - tile) // 2 for side in x.shape[1:]]  # homes are places
    alike, down, right = around(correlation, (0, 0), reach)
    far = torch.hypot(down.double(), right.double())
    alike, found = alike.masked_fill(far < tile / 2, 0), []
    while len(found) < 2:
        period, height = highest(alike, down, right)
        if height < PERIODIC:
            return None
        found.append(period)
        sines = (period[0] * right - period[1] * down).abs() / (math.hypot(*period) * far.clamp(min=1))
        alike = alike.masked_fill(sines < SLANTED, 0)
    most = [side - tile for side in x.shape[1:]]
    return Lattice(*(tuple(round(FINE * k) for k in precise(correlation, period, most)) for period in found))


def around(correlation, place, reach):
    """The part of self_correlation() up to reach (down, right) around a place, and how far down [h, 1] and to the right
    [1, w] its pixels are moved."""
    down, right = (torch.arange(at - most, at + most + 1) for at, most in zip(place, reach))
    down, right = down[:, None], right[None]
    return correlation[down % correlation.shape[0], right % correlation.shape[1]], down, right


def highest(alike, down, right):
    """Where a part as of around() is highest, (pixels down, pixels to the right), and how high that is."""
    row, column = divmod(int(alike.argmax()), alike.shape[1])
    return (int(down[row, 0]), int(right[0, column])), float(alike[row, column])


def precise(correlation, period, most):
    """A period (down, right) to fractions of a pixel: that of its repeats as far as most (down, right) pixels."""
    repeats, exact = 1, period
    while all(abs((repeats + 1) * k) + NEAR <= side for k, side in zip(exact, most)):
        guess = [round((repeats + 1) * k) for k in exact]
        place, height = highest(*around(correlation, guess, (NEAR, NEAR)))
        if height < PERIODIC:
            break
        repeats += 1
        exact = tuple(k / repeats for k in place)
    return exact


def self_correlation(x):
    """The correlation of a picture x [C, H, W] of mean 0 with itself, moved down and to the right: of what then covers
    each other, [2H, 2W], in which negative ways count from the end."""
    size = [2 * side for side in x.shape[1:]]

    def summed(one, other):
        return torch.fft.irfft2((torch.fft.rfft2(one, s=size).conj() * torch.fft.rfft2(other, s=size)).sum(0), s=size)

    power, ones = (x**2).sum(0, keepdim=True), torch.ones_like(x[:1])
    powers = summed(power, ones).clamp(min=1) * summed(ones, power).clamp(min=1)
    return summed(x, x) / powers.sqrt()
