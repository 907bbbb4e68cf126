"""Wang tiles: pictures that an engine without a network lays side by side, any beside any whose
edges have one colour (Cohen, Shade, Hiller and Deussen, "Wang Tiles for Image and Texture
Generation", SIGGRAPH 2003).

There are two colours for level edges and two for upright ones, and a tile for each of the 16 ways
to combine them. All 16 are one seamless picture, 4 x 4 of them, in which neighbours fit (after Wei,
"Tile-Based Texture Mapping on Graphics Hardware", 2004), so that it can be filtered and shrunk as a
whole. It is drawn as a texture that is tileable, on such a grid, here a Wang tile and the edges
around it:

    @ 1 # 1 @     @  the corner: real, and the same tile everywhere
    1 3 2 3 1     #  real; those on an edge are the same on all edges of its colour
    # 2 # 2 #     1  drawn first, between a corner and an edge's middle; alike on edges of a colour
    1 3 2 3 1     2  drawn next, between the middle of an edge and the middle of the Wang tile
    @ 1 # 1 @     3  drawn last, with all 8 neighbours

What is drawn inside a Wang tile lies over all of its edges but the outermost pixels, as many as the
network sees of a neighbour or a few more, so that corners and edges, which come back most often,
take little room.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..laying import matching
from ..laying.grids import Grid, Pair
from ..running import files, seeds
from ..running.constants import names_of
from ..running.errors import UserError
from ..running.files import Results
from ..running.processes import ALONE, ProcessGroup
from ..writing import measures, pictures, png
from . import tiled, wang_shaders
from .works import AtOnce, Task

# Of the edges along the picture of all tiles, in a ring: each pair of neighbours comes once.
COLOURS = (0, 0, 1, 1)
# Of a tile: the axis its edge is counted on, and how far.
SIDES = {"N": (0, 0), "E": (1, 1), "S": (0, 1), "W": (1, 0)}
CELLS = 4  # of the grid in a Wang tile's width, the one on its edge included
SIDE_STEP = 2  # px by which the sides of Wang tiles differ that are tried
SMOOTH = 3  # px, over which a photo is averaged to see where it repeats itself
# Of the usual difference of a photo and itself, moved: where there is less it repeats itself.
REPEATS = 0.7
# Two differences that are nearly as small: of a wall two layers, where each second one is moved,
# not one.
SAME = 1.2
# STRENGTH at least of tiles that have only drawn ones beside them: their sketches fit less well.
AMONG_DRAWN = 0.85
LAID = 8  # tiles a side of the picture that shows them laid at random
LARGEST = 2048  # px a side of that picture

Table = dict[str, Any]  # see table_of()


def grid_of(
    x: Tensor, tile: int, halo: int
) -> tuple[Pair, tuple[tuple[int, ...], tuple[int, ...]]]:
    """The size (height, width) of the picture of all Wang tiles of a photo x [C, H, W], and where
    the rows and the columns of its grid begin, pixels.

    UserError if tiles are so small that what the network sees across an edge, halo pixels, is more
    than there is.
    """
    if tile < 2 * halo:
        raise UserError(f"TILE_SIZE is {tile}; with WANG it must be at least {2 * halo}, since the "
                        f"network sees {halo} pixels on both sides of an edge")

    sides = [side_of(apart(x, axis), tile, halo) for axis in (1, 2)]
    lines = []
    for side in sides:
        border = (side - (CELLS - 1) * tile) // 2  # what is left of an edge
        within = -(tile // 2), *(border + k * tile for k in range(CELLS - 1))
        lines.append(tuple(k * side + at for k in range(len(COLOURS)) for at in within))
    height, width = (len(COLOURS) * side for side in sides)
    return (height, width), (lines[0], lines[1])


def apart(x: Tensor, axis: int) -> Tensor:
    """Mean squared difference of a photo x [C, H, W] and itself so many pixels further along an
    axis, [half of it]."""
    smooth = F.avg_pool2d(x.cpu(), (1, SMOOTH) if axis == 2 else (SMOOTH, 1), stride=1)
    x = smooth.movedim(axis, -1).flatten(0, 1)
    length = x.shape[-1]
    products = torch.fft.irfft(torch.fft.rfft(x, 2 * length).abs() ** 2)[:, :length].sum(0)

    sums = F.pad((x**2).sum(0).cumsum(0), (1, 0))
    lags = torch.arange(length // 2)
    squares = sums[length - lags] + sums[-1] - sums[lags] - 2 * products[lags]
    return squares / (len(x) * (length - lags))


def side_of(difference: Tensor, tile: int, halo: int) -> int:
    """The side of Wang tiles of a photo, pixels, by its apart(): where it repeats itself, as bricks
    do, a whole number of repeats; else as short as can be."""
    sides, shortest = range((CELLS - 1) * tile + 2 * halo, CELLS * tile + 1, SIDE_STEP), tile // 4
    tried = [(float(difference[round(side / count)]), side, count) for side in sides
             for count in range(1, side // shortest + 1) if round(side / count) < len(difference)]
    best = min(cost for cost, *_ in tried)
    if best > REPEATS * difference[shortest:].median():
        return sides[0]

    # the more repeats away, the better it is known how long they are
    repeat, k = max(side / count for cost, side, count in tried if cost < SAME * best), 1
    while (k + 0.1) * repeat < len(difference):
        first, last = (round((k + way) * repeat) for way in (-0.1, 0.1))
        repeat = (first + int(difference[first:last + 1].argmin())) / k
        k += 1

    return min(sides, key=lambda side: abs(side - round(side / repeat) * repeat))


def kind_of(cell: Pair) -> tuple[int, ...]:
    """What a cell shows: those of one kind show the same tile."""
    (i, down), (j, right) = (divmod(k, CELLS) for k in cell)
    if down and right:
        return cell
    if right:
        return down, right, COLOURS[i]
    return down, right, COLOURS[j] if down else 0


def alike(cells: Iterable[Pair]) -> dict[Pair, list[Pair]]:
    """Cells by what they show, {the first one: all of its kind}, those on edges before the others.
    """
    kinds = {}
    for cell in cells:
        kinds.setdefault(kind_of(cell), []).append(cell)
    ordered = sorted(kinds.values(), key=lambda same: (len(same) == 1, same))
    return {same[0]: same for same in ordered}


def real_cells(grid: Grid) -> list[Pair]:
    """The cells of real tiles."""
    return [cell for cell in grid.cells() if not any(k % 2 for k in cell)]


def passes_of(grid: Grid) -> list[list[Pair]]:
    """The cells that are drawn, in the order of drawing: three lists."""
    passes = [], [], []
    for cell in grid.cells():
        odd, on_edge = sum(k % 2 for k in cell), not all(k % CELLS for k in cell)
        if odd:
            passes[0 if on_edge else odd].append(cell)
    return list(passes)


def drawn(grid: Grid) -> int:
    """How many tiles are drawn, of each kind one."""
    return sum(len(alike(cells)) for cells in passes_of(grid))


class Sheet:
    """A Canvas (see outpaint() in the script) of all Wang tiles, on another one with their layout:
    what is the same in several tiles is drawn once.

    margin, weights, seed: as in sketches(), of tiles that have only drawn ones beside them;
    sketched: whether these begin with a sketch at all, or with pure noise.
    """

    def __init__(
        self, canvas: Any, margin: int, weights: Tensor, seed: int, sketched: bool = True
    ) -> None:
        self.under, self.sketched = canvas, sketched
        self.noise_key, self.neighbours = canvas.noise_key, canvas.neighbours

        # cells that show the same are drawn once
        self.same = alike(cell for cells in canvas.passes for cell in cells)
        self.passes = [list(alike(cells)) for cells in canvas.passes]
        self.find = functools.cache(
            lambda: sketches(self.passes[-1], canvas, margin, weights, seed))

    def sketch(self, cell: Pair) -> tuple[Tensor | None, Tensor | None]:
        """What a tile begins with, and which parts of it are drawn."""
        if not self.sketched or cell not in self.passes[-1]:
            return self.under.sketch(cell)
        return self.find()[cell], None

    def strength(self, cell: Pair) -> float:
        """How noisy that is made at least."""
        return AMONG_DRAWN if cell in self.passes[-1] else 0.0

    def place(self, cells: list[Pair], tiles: Tensor, parts: Any = None) -> None:
        """Put drawn tiles at cells, and wherever the same is shown."""
        self.under.place(cells, tiles, parts)
        for cell in cells:
            for kept in (self.under.drawn, self.under.parts):
                if cell in kept:
                    kept.update(dict.fromkeys(self.same[cell], kept[cell]))


def sketches(
    cells: Iterable[Pair], canvas: Any, margin: int, weights: Tensor, seed: int
) -> dict[Pair, Tensor]:
    """What tiles at cells begin with that have no real ones beside them, {cell: [C, T, T]}: the
    place of the photo that agrees best with what is drawn around, `margin` pixels of it.

    canvas: what is drawn so far, with its layout; weights: as in matching.extend_photo.
    """
    layout, grid, found = canvas.layout, canvas.grid, {}
    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, 1))
    candidates = matching.candidates_of(layout.extended, grid.tile, weights, layout.spots)
    matcher, size = matching.Matcher(grid, candidates), grid.tile + 2 * margin
    known = F.pad(torch.zeros(1, grid.tile, grid.tile), [margin] * 4, value=1.0)

    for cell in cells:
        # what is drawn around the cell
        corner = [line[k] - margin for line, k in zip(grid.lines, cell)]
        window = matching.looked_at(canvas.cut(corner, (size, size)), weights) * known
        seen = F.avg_pool2d(torch.cat([window, known]), matching.CLAIM_SHRINK)
        start = grid.tile - margin
        around = [(start, start, matching.comparison_planes(seen))]

        # the place that agrees best with it
        place = matcher.find(cell, around, rng)
        matcher.note(cell, place)
        number, y, x = place[0], place[1] + grid.tile, place[2] + grid.tile
        found[cell] = layout.extended[number][:, y:y + grid.tile, x:x + grid.tile]
    return found


def place_of(n: int, e: int, s: int, w: int) -> Pair:
    """The row and column of the tile with edges of such colours among the 4 x 4."""
    return 2 * n + (n ^ s), 2 * w + (w ^ e)


def table_of(grid: Grid) -> Table:
    """What an engine has to know of all tiles on their grid, plain values."""
    height, width = (side // len(COLOURS) for side in grid.size)
    tiles = []
    for row, column in np.ndindex(len(COLOURS), len(COLOURS)):
        edges = {name: COLOURS[((row, column)[axis] + way) % len(COLOURS)]
                 for name, (axis, way) in SIDES.items()}
        tiles.append({**edges, "x": column * width, "y": row * height, "width": width,
                      "height": height})
    return {"width": grid.size[1], "height": grid.size[0], "tiles": tiles}


def lines_of(table: Table) -> dict[str, str]:
    """The tiles of a table as texts {name: text}."""
    name, place = "tile N{N} E{E} S{S} W{W}", "{width} x {height} at ({x}, {y})"
    return {name.format(**tile): place.format(**tile) for tile in table["tiles"]}


class Wang(AtOnce):
    """The work of drawing all Wang tiles of a Photo, on a Sheet."""

    doing = "drawing tiles"

    def drawn(self) -> Tensor:
        """The picture of all tiles, normalised [C, H, W]."""
        return self.canvas.under.cut((0, 0), self.canvas.under.grid.size)

    def pixels(self) -> list[np.ndarray]:
        """The pixels of each file."""
        return self.photo.rendered(self.drawn())


class WangFiles(Wang):
    """Wang tiles with all that a run writes of them; results: a files.Results."""

    def __init__(self, task: Task, results: Results, group: ProcessGroup = ALONE) -> None:
        super().__init__(task)
        self.results = results

    def finish(self, seconds: float, trained: tuple[float, int]) -> dict[str, Any]:
        """Write the picture of all tiles, their table and a picture laid of them, and return the
        run's figures."""
        photo, canvas, layout = self.photo, self.canvas.under, self.canvas.under.layout
        name, x = f"output_texture_{names_of(self.task.c, self.task.seed)[0]}", self.drawn()
        paths = self.save(self.results, name, photo.rendered(x))

        shown, made = photo.pixels(x), canvas.made((0, 0), layout.grid.size)
        path = self.results.path(name.replace("output_texture", "layout") + ".png")
        pictures.draw_layout(path, shown, made)

        timed = seconds, drawn(layout.grid)
        figures = measures.run_figures(shown, layout, photo, (0, 0), timed, trained, made,
                                       canvas.device)
        size = "{1} x {0}".format(*layout.grid.size)
        return {"output": self.output(paths), "size": size, "seed": self.task.seed, **figures,
                **save_beside(self.results, name, paths[0], layout.grid, shown, self.task.seed)}


def save_beside(
    results: Results, name: str, path: Path, grid: Grid, pixels: np.ndarray, seed: int
) -> dict[str, str]:
    """Write what goes with the picture of all tiles, uint8 [H, W, channels], at a path: files
    called `name` that tell programs of them, and a picture of them laid at random. Returns the
    figures of the run and the table {name: text}."""
    table, picture = table_of(grid), path.relative_to(results.folder).as_posix()
    for suffix, content in contents(table, results.folder.name, picture):
        files.write_atomically(results.path(f"{name}.{suffix}"),
                               lambda file, content=content: file.write(content))

    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, 2))
    draw_laid(results.path(f"{name}_laid.png"), pixels, rng)
    return {**figures_of(pixels), **lines_of(table)}


def contents(table: Table, name: str, picture: str) -> Iterator[tuple[str, bytes]]:
    """(suffix, bytes) of each file for programs, of a table of tiles: itself as JSON, a line for
    each tile, a tile set of a name, and shaders. picture: the path, relative to them, of the
    picture of all tiles."""
    tiles = ",\n".join(json.dumps(tile) for tile in table["tiles"])
    text = f'{{"width": {table["width"]}, "height": {table["height"]}, "tiles": [\n{tiles}\n]}}\n'
    yield "json", text.encode()
    if picture.isprintable():  # else XML has no words for it
        yield "tsx", tiled.document(name, table, picture)
    for suffix, text in wang_shaders.documents(table, picture).items():
        yield suffix, text.encode()


def tiles_of(pixels: np.ndarray) -> np.ndarray:
    """The picture of all tiles [H, W, ...] cut up, [4, 4, h, w, ...]."""
    rows = (np.split(row, len(COLOURS), 1) for row in np.split(pixels, len(COLOURS)))
    return np.stack([np.stack(row) for row in rows])


def lay(rows: int, columns: int, rng: np.random.Generator) -> list[list[Pair]]:
    """Places of tiles laid at random so that edges agree, [rows][columns] of (row, column)."""
    level = rng.integers(2, size=(rows + 1, columns))
    upright = rng.integers(2, size=(rows, columns + 1))
    return [[place_of(level[i, j], upright[i, j + 1], level[i + 1, j], upright[i, j])
             for j in range(columns)] for i in range(rows)]


def draw_laid(path: Path, pixels: np.ndarray, rng: np.random.Generator, count: int = LAID) -> None:
    """Draw count x count tiles of a picture uint8 [H, W, channels] laid at random."""
    tiles = tiles_of(pixels)
    rows = ([tiles[place] for place in row] for row in lay(count, count, rng))
    laid = np.concatenate([np.concatenate(row, 1) for row in rows])

    image = Image.fromarray(laid)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    png.save_png(path, np.asarray(image))


def border_ratios(pixels: np.ndarray, order: int = 1) -> np.ndarray:
    """Mean absolute difference of an order across the border of two tiles over that everywhere
    inside the tiles, of each pair that may lie side by side, and one above the other, an array; 1
    is invisible."""
    ratios = []
    for x in (pixels, pixels.swapaxes(0, 1)):
        # in which tiles stand where they stood: edges are counted alike
        tiles = tiles_of(x.astype(np.float32))
        inside = np.abs(np.diff(tiles, order, axis=3)).mean()
        for left, right in product(np.ndindex(tiles.shape[:2]), repeat=2):
            if COLOURS[(left[1] + 1) % len(COLOURS)] == COLOURS[right[1]]:
                both = np.concatenate([tiles[left][:, -order:], tiles[right][:, :order]], 1)
                ratios.append(np.abs(np.diff(both, order, axis=1)).mean() / max(inside, 1e-9))
    return np.array(ratios)


def figures_of(pixels: np.ndarray) -> dict[str, str]:
    """How visible the borders of tiles are as texts {name: figure}; pixels: uint8 [H, W, channels].
    """
    found = {}
    for order, name in ((1, "1st"), (2, "2nd")):
        ratios = border_ratios(pixels, order)
        found["wang_pairs"] = str(len(ratios))
        found[f"wang_seam_ratio_{name}"] = \
            f"{ratios.mean():.3f}, of the worst pair {ratios.max():.3f}"
    return found
