"""Several textures in one picture.

Each is laid out as if the whole picture were of it, on the same grid. Where the map says several, a
real tile is put together of those that the layouts have there, each where it lies on top, and so is
the sketch of a gap. In each step of drawing the network draws a gap once as a part of each texture,
and every pixel takes the estimate of its own (MultiDiffusion, arXiv 2302.08113). Tiles have the
textures' shares as further channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..laying.grids import Grid, Pair
from ..laying.layouts import Layout, judge_of
from ..laying.rings import crop_middle
from ..reading import exemplars
from ..reading.channels import Channels
from ..writing.drawings import digest_of_all
from . import blending

Seen = dict[Pair, tuple[bool, ...]]  # which textures are seen in and around each cell

def seen_in(blend: Blend, grid: Grid) -> Seen:
    """Which textures of a Blend are seen in and around each cell of a grid, {cell: (bool, ...)}."""
    shares = ((cell, blend.map.at(*window_around(grid, cell))) for cell in grid.cells())
    return {cell: tuple((share.flatten(1).amax(1) > 0).tolist()) for cell, share in shares}


def wanted(grid: Grid, seen: Seen, label: int) -> set[Pair]:
    """The cells in which a texture is laid out: where it is seen, and around that."""
    found = {cell for cell in grid.cells() if seen[cell][label]}
    return found | {there for cell in found for there, _ in grid.around(cell).values()}


class Blend(NamedTuple):
    """Several Photos that go over into each other by a BlendMap. A picture x has the share of each
    of them in each pixel as further channels, [C + K, h, w]; normalised is what each of them is by
    its own mean and deviation."""

    name: str
    photos: tuple
    map: blending.BlendMap
    digest: str  # SHA-256 of the photos and of the map, hexadecimal

    @property
    def channels(self) -> Channels:
        """The channels.Channels of all photos."""
        return self.photos[0].channels

    def values(self, x: Tensor) -> Tensor:
        """Normalised x [..., C + K, h, w] to values [..., C, h, w] in [-1, 1]."""
        x, shares = x.detach().float().cpu().split([len(self.photos[0].x), len(self.photos)], -3)
        std = torch.cat([photo.std[0, 0] for photo in self.photos])

        mean = torch.cat([photo.mean for photo in self.photos], 1).flatten(1)  # [C, K]
        own_std = torch.einsum("k,...khw->...hw", std, shares).unsqueeze(-3)
        own_mean = torch.einsum("ck,...khw->...chw", mean, shares)
        return x * own_std + own_mean

    def pixels(self, x: Tensor) -> np.ndarray:
        """The pixels to be shown of normalised x [..., C + K, h, w], uint8 [..., h, w, 3]."""
        return self.channels.pixels(self.values(x))

    def rendered(self, x: Tensor) -> list[np.ndarray]:
        """The pixels of the file that is written of normalised x [C + K, h, w]."""
        return self.channels.rendered(self.values(x).numpy())

    def own_pixels(self) -> None:
        """None: there is no single photo to compare with."""
        return None


def blend_of(
    photos: tuple[Any, ...], name: str, path: str | Path, c: SimpleNamespace, notes: list[str]
) -> tuple[Blend, Pair]:
    """The Blend of Photos by the map at a path, of a name, and the size (width, height) of what is
    drawn; what the map was taken for is added to notes, if there is a doubt. UserError with a
    sentence if it fits none."""
    shares, size = blending.read_map(path, len(photos), c.OUTPUT_SIZE, c.TILE_SIZE, notes)
    digest = digest_of_all([exemplars.digest_of([photo.exemplar for photo in photos]), shares])
    spread = blending.BlendMap(shares, size[::-1], ("y" in c.TILEABLE, "x" in c.TILEABLE))
    return Blend(name, photos, spread, digest), size


class BlendLayout(Layout):
    """The Layout of a Blend on a grid, whose real tiles are put together of those of several
    textures' layouts.

    seen: which textures {cell: (bool, ...)} in and around each cell; canvases: those that are seen
    anywhere, {label: Canvas on the layout of that texture}; redraw: real tiles are drawn anew at
    the end.
    """

    def __init__(
        self,
        blend: Blend,
        grid: Grid,
        seen: Seen,
        canvases: Mapping[int, Any],
        augment: str,
        redraw: bool = False,
    ) -> None:
        # batches are of the same textures
        cells = sorted(grid.cells(), key=lambda cell: (seen[cell], cell))
        black, white = ([cell for cell in cells if sum(cell) % 2 == colour] for colour in (0, 1))
        source = np.full((*grid.shape(), 2), -1)
        source[tuple(np.transpose(black))] = 0

        colours = [white, black] if redraw else [white]
        passes = [part for colour in colours for part in grid.passes(colour)]
        super().__init__(grid, source, passes)

        self.blend, self.seen, self.canvases = blend, seen, canvases
        self.scales = [blending.scales_of(texture.x.cpu()) for texture in blend.photos]

        # what is asked for more than once
        self.sketch_of = functools.lru_cache(256)(self.sketch_of)
        self.put_together = functools.lru_cache(128)(self.put_together)
        self.judge_of = functools.cache(lambda label: judge_of(blend.photos[label], augment))

    def channels(self) -> int:
        """How many channels its tiles have, the shares among them."""
        return len(self.blend.photos[0].x) + len(self.blend.photos)

    def cut(self, cell: Pair, by: Sequence[int] = (0, 0)) -> Tensor:
        """A real tile; nothing lies beside it."""
        return self.sketch(cell)

    def sketch_of(self, label: int, cell: Pair) -> Tensor:
        """The sketch of a cell by one texture's layout, [C, T, T]."""
        return self.canvases[label].layout.sketch(cell)

    def sketch(self, cell: Pair) -> Tensor:
        """A real tile, or the sketch of a gap, with the textures' shares in it, [C + K, T, T]."""
        if sum(self.seen[cell]) > 1:
            return self.put_together(cell)
        label = self.seen[cell].index(True)
        return torch.cat([self.canvases[label].layout.sketch(cell), self.shares(cell)])

    def shares(self, cell: Pair) -> Tensor:
        """The textures' shares in a cell, [K, T, T]."""
        if sum(self.seen[cell]) > 1:
            return self.put_together(cell)[-len(self.blend.photos):]
        label, tile = self.seen[cell].index(True), self.grid.tile
        return one_hot(self.blend, label).expand(-1, tile, tile)

    def put_together(self, cell: Pair) -> Tensor:
        """The sketch of a cell in which there are several textures, with their shares,
        [C + K, T, T]."""
        shares = self.blend.map.at(*window_around(self.grid, cell))
        sketches = {label: self.around(label, cell)
                    for label in self.canvases if self.seen[cell][label]}

        # what is higher lies on top
        reliefs = torch.zeros_like(shares)
        for label, sketch in sketches.items():
            reliefs[label] = blending.relief(sketch, self.scales[label])
        shares = blending.bordered(shares, reliefs)

        mixed: Tensor = sum(  # pyright: ignore[reportAssignmentType]: there are several
            shares[label] * sketch for label, sketch in sketches.items())
        return crop_middle(torch.cat([mixed, shares]), self.grid.tile)

    def begin(self, redraw: str, cell: Pair) -> tuple[Tensor, Tensor]:
        """The sketch of a cell, and which parts of it are drawn, [1, T, T]."""
        sketch = self.sketch(cell)
        if redraw != "seams" or sum(self.seen[cell]) > 1:
            return sketch, torch.ones_like(sketch[:1])
        label = self.seen[cell].index(True)
        return sketch, self.canvases[label].layout.seamed(self.judge_of(label), cell)[1]

    def around(self, label: int, cell: Pair) -> Tensor:
        """A cell's sketch and those around it by one texture's layout, [C, side, side]; zero where
        that shows nothing.
        """
        (corner, side), canvas = window_around(self.grid, cell), self.canvases[label]
        canvas.drawn = {there: self.sketch_of(label, there)
                        for there, _ in self.grid.touching(corner, (side, side))
                        if self.seen[there][label] and not canvas.real[there]}

        x = canvas.cut(corner, [side] * 2)
        crop_middle(x, self.grid.tile)[:] = self.sketch_of(label, cell)
        return x


class BlendCanvas:
    """A canvas (see outpaint() in the script) with a BlendLayout, on a Canvas of it, which has the
    shares as further channels: what the network sees and draws has none.

    redraw: see REDRAW; sketched: whether tiles begin with a sketch at all, or with pure noise.
    """

    def __init__(self, canvas: Any, redraw: str, sketched: bool = True) -> None:
        self.under, self.layout = canvas, canvas.layout
        self.redraw, self.sketched = redraw, sketched
        self.colours = len(canvas.layout.blend.photos[0].x)

        # as the canvas below has them
        self.passes, self.noise_key = canvas.passes, canvas.noise_key
        self.strength = canvas.strength

    def sketch(self, cell: Pair) -> tuple[Tensor | None, Tensor | None]:
        """What a tile begins with, [C, T, T], and which parts of it are drawn."""
        if not self.sketched:
            return None, None
        sketch, parts = self.layout.begin(self.redraw, cell)
        return sketch[:self.colours], parts

    def shares(self, cells: list[Pair]) -> Tensor:
        """The textures' shares in cells, [B, K, T, T]."""
        return torch.stack([self.layout.shares(cell) for cell in cells])

    def neighbours(self, cells: list[Pair]) -> tuple[Tensor, Tensor]:
        """Rings [B, C + K, S, S] around cells, in whose middle are the shares of what is drawn
        there, and which neighbours exist, bool [B, 8]."""
        rings, present = self.under.neighbours(cells)
        crop_middle(rings, self.layout.grid.tile)[:, self.colours:] = self.shares(cells)
        return rings, present

    def place(self, cells: list[Pair], tiles: Tensor, parts: Any = None) -> None:
        """Put drawn tiles [B, C, T, T] at cells, with their shares."""
        self.under.place(cells, torch.cat([tiles.cpu(), self.shares(cells)], 1), parts)


class BlendDenoiser:
    """A denoiser of several textures: each pixel takes the estimate of its own (MultiDiffusion,
    arXiv 2302.08113).

    denoisers: those of the textures, which are alike but for what they know.
    """

    def __init__(self, denoisers: Sequence[Any]) -> None:
        self.denoisers, one = denoisers, denoisers[0]
        self.tile, self.alphas_cumprod, self.sampling = one.tile, one.alphas_cumprod, one.sampling

    def among(
        self, rings: Tensor, present: Tensor
    ) -> tuple[Callable[[Tensor, Tensor], Tensor], list[Tensor]]:
        """estimate(x_t, t) of x0 for tiles among such neighbours as a BlendCanvas has, and the
        range of its values."""
        count = len(self.denoisers)
        rings, shares = rings[:, :-count], crop_middle(rings[:, -count:], self.tile)

        seen = [label for label in range(count) if shares[:, label].any()]
        found = {label: self.denoisers[label].among(rings, present) for label in seen}

        def mixed(values: Callable[[int], Tensor]) -> Tensor:
            total: Tensor = sum(  # pyright: ignore[reportAssignmentType]: there is one at least
                shares[:, label, None] * values(label) for label in seen)
            return total

        def estimate(x_t: Tensor, t: Tensor) -> Tensor:
            return mixed(lambda label: found[label][0](x_t, t))

        return estimate, [mixed(lambda label, k=k: found[label][1][k]) for k in (0, 1)]


def one_hot(blend: Blend, label: int) -> Tensor:
    """The shares where there is only the texture of a label, [K, 1, 1]."""
    return F.one_hot(torch.tensor(label), len(blend.photos)).float()[:, None, None]


def window_around(grid: Grid, cell: Pair) -> tuple[list[int], int]:
    """The corner (y, x) and the side of what is looked at of a cell and around it."""
    corner = [line[k] - blending.REACH for line, k in zip(grid.lines, cell)]
    return corner, grid.tile + 2 * blending.REACH
