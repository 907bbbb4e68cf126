"""Real tiles: what of the photo they can be, in each of the ways in which it may be turned, and
which places of it they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..canvases import wang
from ..reading import masks
from ..running import seeds
from . import conspicuous, endless, holes, matching, seams
from .conspicuous import Spot
from .grids import Grid, Pair, grid_offsets
from .guides import Guide
from .matching import Place
from .orientations import AUGMENTS, oriented


class Turned(NamedTuple):
    """What of a photo is laid out, once for each orientation; as the fields of a Layout are that
    have these names."""

    extended: tuple[Tensor, ...]
    origins: tuple[Tensor, ...]
    spots: list[list[Spot]]
    calm: tuple[Tensor, ...]
    calm_origins: tuple[Tensor, ...]
    weights: Tensor
    # what is not usable of it, bool [H, W] in each orientation; None: all is usable
    hidden: list[Tensor] | None


def turned(photo: Any, tile: int, augment: str) -> Turned:
    """A photo in all orientations of an augment, continued by a tile beyond its border, with and
    without what strikes the eye in it."""
    ways, size = AUGMENTS[augment], photo.x.shape[1:]
    weights, vector = photo.channels.weights(), photo.channels.vector()

    # continued beyond its border
    lines = [grid_offsets(side, tile) for side in size]
    upright, place = matching.extend_photo(photo.x.cpu(), tile, lines, weights)
    extended = tuple(oriented(upright, *way, vector).contiguous() for way in ways)
    origins = tuple(seams.turned_origins(place, size, k, *way) for k, way in enumerate(ways))

    # without what strikes the eye
    spots = conspicuous.find_spots(matching.looked_at(photo.x.cpu(), weights), tile)
    filled, place = without_spots(photo, spots, tile)
    calm = tuple(oriented(filled, *way, vector) for way in ways)
    calm_origins = tuple(seams.turned_origins(place, size, k, *way) for k, way in enumerate(ways))

    spots = [[spot.turned(size[0], size[1], *way) for spot in spots] for way in ways]
    hidden = None if photo.usable.all() else [oriented(~photo.usable, *way) for way in ways]
    return Turned(extended, origins, spots, calm, calm_origins, weights, hidden)


def without_spots(photo: Any, spots: Sequence[Spot], tile: int) -> tuple[Tensor, Tensor]:
    """A photo's x [C, H, W] whose spots are filled with what matches around them, and where that is
    from, [2, H, W]."""
    x, hidden = photo.x.cpu(), torch.zeros(photo.x.shape[1:], dtype=torch.bool)
    if not spots:
        return x, seams.own_places(*x.shape[1:])

    for y, left, side, _ in spots:
        hidden[y:y + side, left:left + side] = True

    piece = max(matching.CLAIM_SHRINK, tile // 4)
    rows, columns = place = holes.sources_of(x.numpy(), hidden, piece, photo.channels.weights())
    return x[:, rows, columns], place


def choose_places(
    kind: str,
    photo: Turned,
    grid: Grid,
    cells: Sequence[Pair],
    seed: int,
    guide: Guide | None = None,
) -> list[Place]:
    """The place (orientation, y, x) that each of the cells shows, of a Turned photo, by a kind of
    layout."""
    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE))
    if kind == "ordered":
        sizes = (side - 2 * grid.tile for side in photo.extended[0].shape[1:])
        ys, xs = (grid_offsets(size, grid.tile) for size in sizes)
        places = [(0, ys[i % len(ys)], xs[j % len(xs)]) for i, j in map(grid.numbers, cells)]
    elif grid.first is not None:
        places = endless.LAYOUTS[kind](photo.extended, grid, cells, seed, photo.weights,
                                       photo.spots, photo.hidden)
    elif kind in ("matched", "wang"):
        same = wang.alike(cells) if kind == "wang" else None
        places = matching.match_tiles(photo.extended, grid, cells, rng, photo.weights, photo.spots,
                                      photo.hidden, guide, same)
    else:
        places = random_places(photo.extended, grid.tile, len(cells), rng)

    if photo.hidden and kind in ("ordered", "random"):
        free = [masks.nearest_free(photo.hidden[k], grid.tile, y, x) for k, y, x in places]
        places = [(k, y, x) for (k, *_), (y, x) in zip(places, free)]
    return places


def random_places(
    extended: Sequence[Tensor], tile: int, count: int, rng: np.random.Generator
) -> list[Place]:
    """Places (orientation, y, x) of so many tiles anywhere in the photo."""
    orientations = [int(rng.integers(len(extended))) for _ in range(count)]
    return [(k, *rng.integers([side - 3 * tile + 1 for side in extended[k].shape[1:]]))
            for k in orientations]
