"""Where the tiles of a texture lie: a tile apart, around a ring, or on a plane without end."""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

import numpy as np

from ..running.errors import UserError
from .rings import HALO, NEIGHBOURS

Pair = tuple[int, int]  # down and to the right: a cell (row, column), pixels (y, x), a size (h, w)

# Rows down and columns to the right of each neighbour.
AROUND = dict(zip(NEIGHBOURS, ((-1, -1), (-1, 0), (-1, 1),
                               (0, -1), (0, 1),
                               (1, -1), (1, 0), (1, 1))))

# A direction that wraps around has an even number of tiles: its ends must not be of one colour of
# the checkerboard. Where these are too long together, the two of each pair overlap:
#
#     | real|   gap   | real|   gap   |      Gaps lie above real tiles, so that only these are
#     |   gap   | real|   gap   | real|      trimmed; gaps of odd rows lie above those of even rows,
#                                            and are drawn after them.


class Grid(NamedTuple):
    """Where the tiles of the output lie, in pixels."""

    tile: int
    size: Pair  # height and width of the output
    lines: tuple[tuple[int, ...], tuple[int, ...]]  # where rows of tiles begin, where columns begin
    # whether what leaves at the bottom comes in at the top; at the right, at the left
    wraps: tuple[bool, bool] = (False, False)
    # of a window of the endless plane: the row and column that its first cell has there
    first: Pair | None = None

    def numbers(self, cell: Pair) -> Pair:
        """The row and column by which a cell is known, whatever window it is in."""
        if self.first is None:
            return cell
        return cell[0] + self.first[0], cell[1] + self.first[1]

    def shape(self) -> Pair:
        """Rows and columns."""
        return len(self.lines[0]), len(self.lines[1])

    def cells(self) -> list[Pair]:
        """All cells (row, column) in reading order."""
        return list(np.ndindex(self.shape()))

    def overlaps(self) -> bool:
        """Whether some tiles overlap."""
        return any(b - a != self.tile for line in self.lines for a, b in zip(line, line[1:]))

    def step(self, axis: int, index: int, way: int) -> Pair | None:
        """The line that lies `way` lines after one, and how many pixels after it; None beyond the
        edge."""
        line = self.lines[axis]
        if not (self.wraps[axis] or 0 <= index + way < len(line)):
            return None
        rounds, there = divmod(index + way, len(line))
        return there, line[there] - line[index] + rounds * self.size[axis]

    def around(self, cell: Pair) -> dict[str, tuple[Pair, Pair]]:
        """The neighbours of a cell: {direction: (cell, (pixels down, pixels to the right))}."""
        found = {}
        for name, ways in AROUND.items():
            down, right = (self.step(axis, cell[axis], way) for axis, way in enumerate(ways))
            if down and right:
                found[name] = (down[0], right[0]), (down[1], right[1])
        return found

    def window(self, cell: Pair) -> tuple[list[int], Pair]:
        """The window of a tile with a halo of each neighbour: its corner (y, x) and size (h, w)."""
        corner = [line[k] - HALO for line, k in zip(self.lines, cell)]
        side = self.tile + 2 * HALO
        return corner, (side, side)

    def touching(self, corner: Pair | list[int], size: Pair) -> list[tuple[Pair, Pair]]:
        """Cells whose tiles reach into a window, and where they begin in it: [(cell, (y, x))]."""
        found = []
        for line, side, wraps, at, length in zip(self.lines, self.size, self.wraps, corner, size):
            found.append([])
            # of a direction that wraps, the window one round back and one on, too
            for start in [at - rounds * side for rounds in ((-1, 0, 1) if wraps else (0,))]:
                first = bisect.bisect_right(line, start - self.tile)
                last = bisect.bisect_left(line, start + length)
                found[-1] += [(k, line[k] - start) for k in range(first, last)]

        rows, columns = found
        return [((i, j), (y, x)) for i, y in rows for j, x in columns]

    def passes(self, cells: list[Pair]) -> list[list[Pair]]:
        """The passes for cells of one colour of the checkerboard: one, or where tiles overlap those
        of even rows first."""
        if not self.overlaps():
            return [cells]
        rows = [[cell for cell in cells if cell[0] % 2 == odd] for odd in (0, 1)]
        return [row for row in rows if row]


def grid_offsets(side: int, tile: int) -> list[int]:
    """Offsets of the fewest tiles that cover side pixels; the last one is moved inside."""
    count = math.ceil(side / tile)
    return [min(k * tile, side - tile) for k in range(count)]


def make_grid(height: int, width: int, tile: int, tileable: str = "none") -> Grid:
    """The Grid of a texture of height x width pixels; UserError if it is too small to be tileable.
    """
    wraps, least = ("y" in tileable, "x" in tileable), math.ceil(2.5 * tile)
    for side, wrap, name in zip((height, width), wraps, ("high", "wide")):
        if wrap and side < least:
            raise UserError(f"a texture {side} pixels {name} is too small to be tileable with "
                            f"TILE_SIZE = {tile}; the smallest is {least}: a ring has 4 tiles or "
                            "more, of which each second one is trimmed to a quarter at most")

    lines = tile_lines(height, tile, wraps[0]), tile_lines(width, tile, wraps[1])
    return Grid(tile, (height, width), lines, wraps)


def endless_grid(corner: Pair, size: Pair, tile: int, around: int) -> Grid:
    """The Grid of a window of a size (h, w) at a corner (y, x) of the endless plane, and so many
    cells around it; its first cell is real. Lines count from the plane's origin."""
    begins, ends = zip(*((at // tile - around, -(-(at + side) // tile) + around)
                         for at, side in zip(corner, size)))
    first = begins[0], begins[1] - sum(begins) % 2

    rows, columns = (tuple(range(begin * tile, end * tile, tile))
                     for begin, end in zip(first, ends))
    whole = len(rows) * tile, len(columns) * tile
    return Grid(tile, whole, (rows, columns), first=first)


def tile_lines(side: int, tile: int, wraps: bool) -> tuple[int, ...]:
    """Where the tiles that cover side pixels begin: a tile apart, or in pairs that fill a ring
    exactly."""
    if not wraps:
        return tuple(range(0, side, tile))

    pairs = max(2, math.ceil(side / (2 * tile)))
    ends = [side * k // pairs for k in range(pairs + 1)]
    return tuple(at for begin, end in zip(ends, ends[1:]) for at in (begin, end - tile))
