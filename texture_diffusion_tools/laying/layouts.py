"""A layout: where the real tiles of a texture come from, in which order the others are drawn, and
what each of these begins with: what the real tiles around it claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvases import wang
from ..running import constants, files
from ..running.errors import UserError
from . import conspicuous, guides, matching, seams, sketches
from .conspicuous import Spot
from .grids import Grid, Pair, endless_grid, grid_offsets, make_grid
from .guides import Guide
from .orientations import AUGMENTS, oriented
from .rings import HALO, crop_middle
from .seams import Judge


@dataclass(eq=False)
class Layout:
    """Where the real tiles of the output come from, and in which order the others are drawn."""

    grid: Grid
    source: np.ndarray  # [rows, columns, 2] offsets y, x in the photo; -1 in gaps
    passes: list[list[Pair]]  # grid cells (row, column)
    # the photo with a border of one tile, [C, H + 2T, W + 2T], in all orientations wanted
    extended: tuple[Tensor, ...] = ()
    orientation: np.ndarray | None = None  # which of them, [rows, columns]
    claims: bool = True  # whether the borders continue the photo, so that gaps have claims
    spots: Sequence[Sequence[Spot]] = ()  # what is conspicuous in each orientation
    # the photo with all that filled from elsewhere, [C, H, W] in each orientation
    calm: tuple[Tensor, ...] = ()
    # of each pixel of extended, int32 [3, H + 2T, W + 2T]; see laying/seams.py
    origins: tuple[Tensor, ...] = ()
    calm_origins: tuple[Tensor, ...] = ()  # and of calm
    weights: Tensor | None = None  # how much each channel counts, [C]; None: all alike
    guide: Guide | None = None  # what the texture follows

    def real(self) -> np.ndarray:
        """bool [rows, columns], True where a tile is cut from the photo."""
        return self.source[..., 0] >= 0

    def order(self) -> np.ndarray:
        """int [rows, columns], the number of the pass that draws a cell; -1: none does."""
        numbers = np.full(self.grid.shape(), -1)
        for number, cells in enumerate(self.passes):
            for cell in cells:
                numbers[cell] = number
        return numbers

    def made(self) -> np.ndarray:
        """bool [rows, columns], True where a tile is drawn in the end."""
        return ~self.real() | (self.order() >= 0)

    def described(self, corner: Pair, size: Pair) -> dict[str, Any]:
        """For events: where tiles lie, which are drawn in the end, and the window of the texture
        that is written."""
        drawn = ["".join("01"[made] for made in row) for row in self.made().astype(int)]
        return {"tile": self.grid.tile, "lines": self.grid.lines, "corner": corner, "size": size,
                "drawn": drawn}

    def channels(self) -> int:
        """How many channels its tiles have."""
        return len(self.extended[0])

    def cut(self, cell: Pair, by: Sequence[int] = (0, 0)) -> Tensor:
        """What lies `by` pixels down and to the right of a real tile in the extended photo,
        [C, T, T]."""
        return self.part_of(self.extended, cell, by)

    def part_of(self, pictures: Sequence[Tensor], cell: Pair, by: Sequence[int] = (0, 0)) -> Tensor:
        """What lies so of pictures that lie where those of the extended photo do, see cut()."""
        (y, x), tile = self.source[cell] + self.grid.tile + by, self.grid.tile
        return pictures[self.way(cell)][:, y:y + tile, x:x + tile]

    def way(self, cell: Pair) -> int:
        """The number of the orientation of a real tile."""
        return cast(np.ndarray, self.orientation)[cell]

    def claim(self, cell: Pair, by: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What a real tile claims of what lies `by` pixels from it, [C, T, T], and where that comes
        from, int32 [3, T, T].

        It is what lies there in the photo, without what is conspicuous, unless that begins in the
        tile or right beside it.
        """
        x, origins = self.cut(cell, by).clone(), self.part_of(self.origins, cell, by).clone()
        number, side = self.way(cell), self.grid.tile
        (top, left), beside = self.source[cell], math.ceil(conspicuous.BESIDE * side)
        tile = conspicuous.Spot(top - beside, left - beside, side + 2 * beside)

        for spot in self.spots[number] if self.spots else ():
            if not spot.touches(tile):
                there, here = conspicuous.overlap(spot, top + by[0], left + by[1], side)
                x[(slice(None), *here)] = self.calm[number][(slice(None), *there)]
                origins[(slice(None), *here)] = self.calm_origins[number][(slice(None), *there)]
        return x, origins

    def seen_at(self, corner: Pair, size: Pair) -> tuple[np.ndarray, np.ndarray]:
        """What is seen at each pixel of a window (h, w) at a corner (y, x): which cell, counted in
        reading order, int [h, w], -1 where none is; and whether it is drawn, bool [h, w]."""
        seen = np.full(size, -1)
        order, columns = self.order(), self.grid.shape()[1]

        places = self.grid.touching(corner, size)
        for (i, j), (y, x) in sorted(places, key=lambda place: order[place[0]]):
            seen[max(0, y):y + self.grid.tile, max(0, x):x + self.grid.tile] = i * columns + j
        return seen, (seen >= 0) & self.made().ravel()[seen]

    def needed(self, corner: Pair, size: Pair) -> list[list[Pair]]:
        """The passes with only those cells on which a window of a size (h, w) at a corner (y, x)
        depends."""
        order = self.order()
        wanted = {cell for cell, _ in self.grid.touching(corner, size)}

        for number in range(len(self.passes) - 1, 0, -1):
            for cell in [cell for cell in wanted if order[cell] == number]:
                around = self.grid.touching(*self.grid.window(cell))
                wanted.update(there for there, _ in around if order[there] < number)
        return [[cell for cell in cells if cell in wanted] for cells in self.passes]

    def claimants(self, cell: Pair) -> dict[str, tuple[Pair, list[int]]]:
        """The real tiles that claim what a gap shows, {direction: (tile, (pixels down, pixels to
        the right))}, from each of them to the gap."""
        real = self.real()
        return {name: (tile, [-pixels for pixels in by])
                for name, (tile, by) in self.grid.around(cell).items()
                if name in matching.SIDES and real[tile]}

    def join_claims(self, cell: Pair) -> tuple[Tensor, Tensor]:
        """What the real tiles around a gap claim of it, joined, [C, T, T], and where it comes from,
        int32 [3, T, T]."""
        claims = {name: self.claim(tile, by) for name, (tile, by) in self.claimants(cell).items()}
        pictures, origins = zip(*claims.values())

        labels = sketches.joined(dict(zip(claims, pictures)))
        picture = sketches.blend(torch.stack(pictures), labels, claims)
        return picture, sketches.pick(torch.stack(origins), labels)

    def guided(self, cell: Pair, sketch: Tensor) -> Tensor:
        """The sketch [C, T, T] of a cell as the guide wants it, if there is one."""
        if self.guide is None:
            return sketch
        return self.guide.follow(sketch, *(line[k] for line, k in zip(self.grid.lines, cell)))

    def sketch(self, cell: Pair) -> Tensor:
        """The sketch of a cell, normalised [C, T, T]; that of a real tile, which is drawn anew, is
        the tile. Both follow the guide, if there is one."""
        own = self.cut(cell) if self.real()[cell] else self.join_claims(cell)[0]
        return self.guided(cell, own)

    def seamed(self, judge: Judge, cell: Pair) -> tuple[Tensor, Tensor]:
        """The sketch of a gap, [C, T, T], and which parts of it have to be drawn, [1, T, T]: where
        a seams.Judge sees that pieces of the photo meet, among each other or with the real tiles
        around."""
        sketch, origins = self.join_claims(cell)
        around = self.claimants(cell)

        def bordered(x: Tensor, pictures: Sequence[Tensor]) -> Tensor:
            """x with what lies around it in pictures."""
            beside = {}
            for name, (tile, by) in around.items():
                further = [pixels + way * seams.MARGIN
                           for pixels, way in zip(by, matching.SIDES[name])]
                beside[name] = self.part_of(pictures, tile, further)
            return seams.bordered(x, beside)

        # where pieces meet visibly
        ones = [torch.ones_like(x[:1]) for x in self.extended]
        known = bordered(torch.ones_like(sketch[:1]), ones)[0] > 0
        x = matching.looked_at(bordered(sketch, self.extended), self.weights)
        found = judge.parts_to_draw(x, bordered(origins, self.origins), known)

        # and where the guide changes them
        wanted = self.guided(cell, sketch)
        changed = seams.part_of_change(wanted - sketch)
        return wanted, torch.maximum(crop_middle(found, self.grid.tile), changed)


def rows_layout(photo: Any, grid: Grid) -> Layout:
    """The photo's own tiles in the upper left corner, the rest in diagonal waves of the reading
    order."""
    source, waves = np.full((*grid.shape(), 2), -1), {}
    ys, xs = (grid_offsets(side, grid.tile) for side in photo.x.shape[1:])
    for i, j in grid.cells():
        real = i < len(ys) and j < len(xs)
        if real and photo.usable[ys[i]:ys[i] + grid.tile, xs[j]:xs[j] + grid.tile].all():
            source[i, j] = ys[i], xs[j]
        else:  # after (i, j - 1) and (i - 1, j + 1)
            waves.setdefault(2 * i + j, []).append((i, j))

    extended = (F.pad(photo.x.cpu(), [grid.tile] * 4),)
    passes = [waves[key] for key in sorted(waves)]
    return Layout(grid, source, passes, extended, np.zeros(grid.shape(), int), claims=False)


def judge_of(photo: Any, augment: str) -> Judge:
    """The seams.Judge of what is put together from a photo in the orientations of an augment."""
    looked = matching.looked_at(photo.x.cpu(), photo.channels.weights())
    return seams.Judge([oriented(looked, *way) for way in AUGMENTS[augment]])


def grid_of(photo: Any, c: SimpleNamespace) -> Grid:
    """The Grid of the texture of a Photo that the constants ask for, or of all its Wang tiles."""
    if c.WANG:
        return Grid(c.TILE_SIZE, *wang.grid_of(photo.x, c.TILE_SIZE, HALO), (True, True))
    if c.OUTPUT_SIZE == constants.ENDLESS:
        x, y, width, height = c.REGION
        return endless_grid((y, x), (height, width), c.TILE_SIZE, 2 if c.REDRAW == "all" else 1)

    if c.OUTPUT_SIZE is None:
        width, height = (side * c.SCALE for side in photo.x.shape[:0:-1])
    else:
        art = photo.channels.art
        width, height = (side * (art.factor if art else 1) for side in c.OUTPUT_SIZE)
    return make_grid(height, width, c.TILE_SIZE, c.TILEABLE)


def window_of(grid: Grid, region: Sequence[int] | None) -> tuple[Pair, Pair]:
    """The part of the texture to be drawn as (corner (y, x), size (h, w)); UserError if it is not
    inside."""
    height, width = grid.size
    x, y, w, h = region or (0, 0, width, height)
    if grid.first is None and (min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height):
        raise UserError(f"REGION = {(x, y, w, h)} does not lie inside the texture of {width} x "
                        f"{height} pixels")
    return (y, x), (h, w)


def load_guide(photo: Any, c: SimpleNamespace, home: Path) -> Guide | None:
    """The guides.Guide of the texture of a Photo that the constants ask for, or None; home: as in
    files.find_file."""
    if c.GUIDE is None:
        return None

    pixels = guides.read_guide(files.find_file(c.GUIDE, home), grid_of(photo, c).size)
    return guides.guide_of(pixels, photo, c.TILE_SIZE, c.GUIDE_STRENGTH)
