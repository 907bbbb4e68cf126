"""Several textures in one picture. Each is laid out as if the whole picture were of it, on the same grid. Where the map
says several, a real tile is put together of those that the layouts have there, each where it lies on top, and so is
the sketch of a gap. In each step of drawing the network draws a gap once as a part of each texture, and every pixel
takes the estimate of its own (MultiDiffusion, arXiv 2302.08113). Tiles have the textures' shares as further channels.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from . import blending
from .layouts import Layout, judge_of
from .rings import crop_middle


def seen_in(blend, grid):
    """Which textures of a Blend are seen in and around each cell of a grid, {cell: (bool, ...)}."""
    shares = ((cell, blend.map.at(*window_around(grid, cell))) for cell in grid.cells())
    return {cell: tuple((share.flatten(1).amax(1) > 0).tolist()) for cell, share in shares}


def wanted(grid, seen, label):
    """The cells in which a texture is laid out: where it is seen, and around that."""
    found = {cell for cell in grid.cells() if seen[cell][label]}
    return found | {there for cell in found for there, _ in grid.around(cell).values()}


class BlendLayout(Layout):
    """The Layout of a Blend on a grid, whose real tiles are put together of those of several textures' layouts.

    seen: which textures {cell: (bool, ...)} in and around each cell; canvases: those that are seen anywhere, {label:
    Canvas on the layout of that texture}; redraw: real tiles are drawn anew at the end.
    """

    def __new__(cls, blend, grid, seen, canvases, augment, redraw=False):
        cells = sorted(grid.cells(), key=lambda cell: (seen[cell], cell))  # batches are of the same textures
        black, white = ([cell for cell in cells if sum(cell) % 2 == colour] for colour in (0, 1))
        source = np.full((*grid.shape(), 2), -1)
        source[tuple(np.transpose(black))] = 0

        colours = [white, black] if redraw else [white]
        passes = [part for colour in colours for part in grid.passes(colour)]
        return super().__new__(cls, grid, source, passes)

    def __init__(self, blend, grid, seen, canvases, augment, redraw=False):
        self.blend, self.seen, self.canvases = blend, seen, canvases
        self.scales = [blending.scales_of(texture.x.cpu()) for texture in blend.textures]
        self.sketch_of = functools.lru_cache(256)(lambda label, cell: canvases[label].layout.sketch(cell))
        self.put_together = functools.lru_cache(128)(self.put_together)
        self.judge_of = functools.cache(lambda label: judge_of(blend.textures[label], augment))

    def channels(self):
        return len(self.blend.x) + len(self.blend.textures)

    def cut(self, cell, by=(0, 0)):
        return self.sketch(cell)

    def sketch(self, cell):
        """A real tile, or the sketch of a gap, with the textures' shares in it, [C + K, T, T]."""
        if sum(self.seen[cell]) > 1:
            return self.put_together(cell)
        label, tile = self.seen[cell].index(True), self.grid.tile
        return torch.cat([self.canvases[label].layout.sketch(cell), one_hot(self.blend, label).expand(-1, tile, tile)])

    def put_together(self, cell):
        """The same where there are several textures."""
        shares = self.blend.map.at(*window_around(self.grid, cell))
        sketches = {label: self.around(label, cell) for label in self.canvases if self.seen[cell][label]}
        reliefs = torch.zeros_like(shares)
        for label, sketch in sketches.items():
            reliefs[label] = blending.relief(sketch, self.scales[label])
        shares = blending.bordered(shares, reliefs)
        both = torch.cat([sum(shares[label] * sketch for label, sketch in sketches.items()), shares])
        return crop_middle(both, self.grid.tile)

    def begin(self, redraw, cell):
        """The sketch of a cell and which parts of it are drawn, [1, T, T], or None for all."""
        sketch = self.sketch(cell)
        if redraw != "seams" or sum(self.seen[cell]) > 1:
            return sketch, torch.ones_like(sketch[:1])
        label = self.seen[cell].index(True)
        return sketch, self.canvases[label].layout.seamed(self.judge_of(label), cell)[1]

    def areas(self, cell):
        """Of each texture that is seen in a cell, what its references are not taken from, {label: [(y, x, side)]}."""
        return {label: self.canvases[label].layout.areas(cell) for label in self.canvases if self.seen[cell][label]}

    def around(self, label, cell):
        """A cell's sketch and those around it by one texture's layout, [C, side, side]; zero where that shows nothing.
        """
        (corner, side), canvas = window_around(self.grid, cell), self.canvases[label]
        canvas.drawn = {there: self.sketch_of(label, there) for there, _ in self.grid.touching(corner, [side] * 2)
                        if self.seen[there][label] and not canvas.real[there]}
        x = canvas.cut(corner, [side] * 2)
        crop_middle(x, self.grid.tile)[:] = self.sketch_of(label, cell)
        return x


def one_hot(blend, label):
    """The shares where there is only the texture of a label, [K, 1, 1]."""
    return F.one_hot(torch.tensor(label), len(blend.textures)).float()[:, None, None]


def window_around(grid, cell):
    """The corner (y, x) and the side of what is looked at of a cell and around it."""
    return [line[k] - blending.REACH for line, k in zip(grid.lines, cell)], grid.tile + 2 * blending.REACH
