"""Wang tiles: pictures that an engine without a network lays side by side, any beside any whose edges have one colour
(Cohen, Shade, Hiller and Deussen, "Wang Tiles for Image and Texture Generation", SIGGRAPH 2003).

There are two colours for level edges and two for upright ones, and a tile for each of the 16 ways to combine them. All
16 are one seamless picture, 4 x 4 of them, in which neighbours fit (after Wei, "Tile-Based Texture Mapping on Graphics
Hardware", 2004), so that it can be filtered and shrunk as a whole. It is drawn as a texture that is tileable, on such a
grid, here a Wang tile and the edges around it:

    @ 1 # 1 @     @  the corner: real, and the same tile everywhere
    1 3 2 3 1     #  real; those on an edge are the same on all edges of its colour
    # 2 # 2 #     1  drawn first, between a corner and the middle of an edge; the same on all edges of the colour
    1 3 2 3 1     2  drawn next, between the middle of an edge and the middle of the Wang tile
    @ 1 # 1 @     3  drawn last, with all 8 neighbours

What is drawn inside a Wang tile lies over all of its edges but the outermost pixels, as many as the network sees of a
neighbour or a few more, so that corners and edges, which come back most often, take little room.
"""

import functools
import json
from itertools import product

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from . import files, matching, measures, pictures, png, repeats, seeds, tiled, wang_shaders
from .constants import names_of
from .errors import UserError
from .processes import ALONE
from .works import AtOnce

COLOURS = (0, 0, 1, 1)  # of the edges along the picture of all tiles, in a ring: each pair of neighbours comes once
SIDES = {"N": (0, 0), "E": (1, 1), "S": (0, 1), "W": (1, 0)}  # of a tile: the axis its edge is counted on, and how far
CELLS = 4  # of the grid in a Wang tile's width, the one on its edge included
SIDE_STEP = 2  # px by which the sides of Wang tiles differ that are tried
SMOOTH = 3  # px, over which a photo is averaged to see where it repeats itself
REPEATS = 0.7  # of the usual difference of a photo and itself, moved: where there is less it repeats itself
SAME = 1.2  # two differences that are nearly as small: of a wall two layers, where each second one is moved, not one
AMONG_DRAWN = 0.85  # STRENGTH at least of tiles that have only drawn ones beside them: their sketches fit less well
LAID = 8  # tiles a side of the picture that shows them laid at random
LARGEST = 2048  # px a side of that picture


def grid_of(x, tile, halo):
    """The size (height, width) of the picture of all Wang tiles of a photo x [C, H, W], and where the rows and the
    columns of its grid begin, pixels. UserError if tiles are so small that what the network sees across an edge,
    halo pixels, is more than there is."""
    if tile < 2 * halo:
        raise UserError(f"TILE_SIZE is {tile}; with WANG it must be at least {2 * halo}, since the network sees {halo} "
                        "pixels on both sides of an edge")
    sides = [side_of(apart(x, axis), tile, halo) for axis in (1, 2)]
    lines = []
    for side in sides:
        border = (side - (CELLS - 1) * tile) // 2  # what is left of an edge
        within = -(tile // 2), *(border + k * tile for k in range(CELLS - 1))
        lines.append(tuple(k * side + at for k in range(len(COLOURS)) for at in within))
    return tuple(len(COLOURS) * side for side in sides), tuple(lines)


def apart(x, axis):
    """Mean squared difference of a photo x [C, H, W] and itself so many pixels further along an axis, [half of it]."""
    x = F.avg_pool2d(x.cpu(), (1, SMOOTH) if axis == 2 else (SMOOTH, 1), stride=1).movedim(axis, -1).flatten(0, 1)
    length = x.shape[-1]
    products = torch.fft.irfft(torch.fft.rfft(x, 2 * length).abs() ** 2)[:, :length].sum(0)
    sums = F.pad((x**2).sum(0).cumsum(0), (1, 0))
    lags = torch.arange(length // 2)
    return (sums[length - lags] + sums[-1] - sums[lags] - 2 * products[lags]) / (len(x) * (length - lags))


def side_of(difference, tile, halo):
    """The side of Wang tiles of a photo, pixels, by its apart(): where it repeats itself, as bricks do, a whole number
    of repeats; else as short as can be."""
    sides, shortest = range((CELLS - 1) * tile + 2 * halo, CELLS * tile + 1, SIDE_STEP), tile // 4
    tried = [(float(difference[round(side / count)]), side, count) for side in sides
             for count in range(1, side // shortest + 1) if round(side / count) < len(difference)]
    best = min(cost for cost, *_ in tried)
    if best > REPEATS * difference[shortest:].median():
        return sides[0]
    repeat, k = max(side / count for cost, side, count in tried if cost < SAME * best), 1
    while (k + 0.1) * repeat < len(difference):  # the more repeats away, the better it is known how long they are
        first, last = (round((k + way) * repeat) for way in (-0.1, 0.1))
        repeat = (first + int(difference[first:last + 1].argmin())) / k
        k += 1
    return min(sides, key=lambda side: abs(side - round(side / repeat) * repeat))


def kind_of(cell):
    """What a cell shows: those of one kind show the same tile."""
    (i, down), (j, right) = (divmod(k, CELLS) for k in cell)
    if down and right:
        return cell
    return down, right, COLOURS[i] if right else COLOURS[j] if down else 0


def alike(cells):
    """Cells by what they show, {the first one: all of its kind}, those on edges before the others."""
    kinds = {}
    for cell in cells:
        kinds.setdefault(kind_of(cell), []).append(cell)
    return {same[0]: same for same in sorted(kinds.values(), key=lambda same: (len(same) == 1, same))}


def real_cells(grid):
    """The cells of real tiles."""
    return [cell for cell in grid.cells() if not any(k % 2 for k in cell)]


def passes_of(grid):
    """The cells that are drawn, in the order of drawing: three lists."""
    passes = [], [], []
    for cell in grid.cells():
        odd, on_edge = sum(k % 2 for k in cell), not all(k % CELLS for k in cell)
        if odd:
            passes[0 if on_edge else odd].append(cell)
    return list(passes)


def drawn(grid):
    """How many tiles are drawn, of each kind one."""
    return sum(len(alike(cells)) for cells in passes_of(grid))


class Sheet:
    """A Canvas (see outpaint() in the script) of all Wang tiles, on another one with their layout: what is the same in
    several tiles is drawn once.

    margin, weights, seed: as in sketches(), of tiles that have only drawn ones beside them; sketched: whether these
    begin with a sketch at all, or with pure noise.
    """

    def __init__(self, canvas, margin, weights, seed, sketched=True):
        self.under, self.noise_key, self.neighbours = canvas, canvas.noise_key, canvas.neighbours
        self.hint = canvas.hint
        self.same = alike(cell for cells in canvas.passes for cell in cells)
        self.passes = [list(alike(cells)) for cells in canvas.passes]
        self.find = functools.cache(lambda: sketches(self.passes[-1], canvas, margin, weights, seed))
        self.sketched = sketched

    def sketch(self, cell):
        """What a tile begins with, and which parts of it are drawn."""
        if not self.sketched or cell not in self.passes[-1]:
            return self.under.sketch(cell)
        return self.find()[cell], None

    def strength(self, cell):
        """How noisy that is made at least."""
        return AMONG_DRAWN if cell in self.passes[-1] else 0.0

    def place(self, cells, tiles, parts=None):
        """Put drawn tiles at cells, and wherever the same is shown."""
        self.under.place(cells, tiles, parts)
        for cell in cells:
            for kept in (self.under.drawn, self.under.parts):
                if cell in kept:
                    kept.update(dict.fromkeys(self.same[cell], kept[cell]))


def sketches(cells, canvas, margin, weights, seed):
    """What tiles at cells begin with that have no real ones beside them, {cell: [C, T, T]}: the place of the photo that
    agrees best with what is drawn around, `margin` pixels of it.

    canvas: what is drawn so far, with its layout; weights: as in matching.extend_photo.
    """
    layout, grid, found = canvas.layout, canvas.grid, {}
    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, 1))
    candidates = matching.candidates_of(layout.extended, grid.tile, weights, layout.spots)
    matcher, size = matching.Matcher(grid, candidates), grid.tile + 2 * margin
    known = F.pad(torch.zeros(1, grid.tile, grid.tile), [margin] * 4, value=1.0)
    for cell in cells:
        corner = [line[k] - margin for line, k in zip(grid.lines, cell)]
        window = matching.looked_at(canvas.cut(corner, (size, size)), weights) * known
        around = matching.comparison_planes(F.avg_pool2d(torch.cat([window, known]), matching.CLAIM_SHRINK))
        place = matcher.find(cell, [(grid.tile - margin, grid.tile - margin, around)], rng)
        matcher.note(cell, place)
        number, y, x = place[0], place[1] + grid.tile, place[2] + grid.tile
        found[cell] = layout.extended[number][:, y:y + grid.tile, x:x + grid.tile]
    return found


def place_of(n, e, s, w):
    """The row and column of the tile with edges of such colours among the 4 x 4."""
    return 2 * n + (n ^ s), 2 * w + (w ^ e)


def table_of(grid):
    """What an engine has to know of all tiles on their grid, plain values."""
    height, width = (side // len(COLOURS) for side in grid.size)
    tiles = []
    for place in np.ndindex(len(COLOURS), len(COLOURS)):
        edges = {name: COLOURS[(place[axis] + way) % len(COLOURS)] for name, (axis, way) in SIDES.items()}
        tiles.append({**edges, "x": place[1] * width, "y": place[0] * height, "width": width, "height": height})
    return {"width": grid.size[1], "height": grid.size[0], "tiles": tiles}


def lines_of(table):
    """The tiles of a table as texts {name: text}."""
    return {"tile N{N} E{E} S{S} W{W}".format(**tile): "{width} x {height} at ({x}, {y})".format(**tile)
            for tile in table["tiles"]}


class Wang(AtOnce):
    """The work of drawing all Wang tiles of a Photo, on a Sheet."""

    doing = "drawing tiles"

    def drawn(self):
        """The picture of all tiles, normalised [C, H, W]."""
        return self.canvas.under.cut((0, 0), self.canvas.under.grid.size)

    def pixels(self):
        """The pixels of each file."""
        return self.task.photo.rendered(self.drawn())


class WangFiles(Wang):
    """Wang tiles with all that a run writes of them; results: a files.Results."""

    def __init__(self, task, results, group=ALONE):
        super().__init__(task)
        self.results = results

    def finish(self, seconds, trained):
        """Write the picture of all tiles, their table and a picture laid of them, and return the run's figures."""
        photo, canvas, layout = self.task.photo, self.canvas.under, self.canvas.under.layout
        name = f"output_texture_{names_of(self.task.c, self.task.seed)[0]}"
        paths = [self.results.path(path) for path in photo.channels.paths(name)]
        for path, pixels, (*_, srgb) in zip(paths, self.pixels(), photo.channels.formats()):
            png.save_png(path, pixels, self.task.text(), srgb)
        repeats.save(self.results, name, self.task.c, self.task.step, self.task.home)
        shown, made = photo.pixels(self.drawn()), canvas.made((0, 0), layout.grid.size)
        pictures.draw_layout(self.results.path(name.replace("output_texture", "layout") + ".png"), shown, made)

        timed = seconds, drawn(layout.grid)
        figures = measures.run_figures(shown, layout, photo, (0, 0), timed, trained, made, canvas.device)
        output = paths[0].parent if photo.channels.folder else paths[0]
        size = "{1} x {0}".format(*layout.grid.size)
        return {"output": output, "size": size, "seed": self.task.seed, **figures,
                **save(self.results, name, paths[0], layout.grid, shown, self.task.seed)}


def save(results, name, path, grid, pixels, seed):
    """Write what goes with the picture of all tiles, uint8 [H, W, channels], at a path: files
    called `name` that tell programs of them, and a picture of them laid at random. Returns the
    figures of the run and the table {name: text}."""
    table, picture = table_of(grid), path.relative_to(results.folder).as_posix()
    for suffix, content in contents(table, results.folder.name, picture):
        files.write_atomically(results.path(f"{name}.{suffix}"),
                               lambda file, content=content: file.write(content))

    draw_laid(results.path(f"{name}_laid.png"), pixels,
              np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE, 2)))
    return {**figures_of(pixels), **lines_of(table)}


def contents(table, name, picture):
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


def tiles_of(pixels):
    """The picture of all tiles [H, W, ...] cut up, [4, 4, h, w, ...]."""
    return np.stack([np.stack(np.split(row, len(COLOURS), 1)) for row in np.split(pixels, len(COLOURS))])


def lay(rows, columns, rng):
    """Places of tiles laid at random so that edges agree, [rows][columns] of (row, column)."""
    level, upright = rng.integers(2, size=(rows + 1, columns)), rng.integers(2, size=(rows, columns + 1))
    return [[place_of(level[i, j], upright[i, j + 1], level[i + 1, j], upright[i, j]) for j in range(columns)]
            for i in range(rows)]


def draw_laid(path, pixels, rng, count=LAID):
    """Draw count x count tiles of a picture uint8 [H, W, channels] laid at random."""
    tiles = tiles_of(pixels)
    laid = np.concatenate([np.concatenate([tiles[place] for place in row], 1) for row in lay(count, count, rng)])
    image = Image.fromarray(laid)
    image.thumbnail((LARGEST, LARGEST), Image.LANCZOS)
    png.save_png(path, np.asarray(image))


def border_ratios(pixels, order=1):
    """Mean absolute difference of an order across the border of two tiles over that everywhere inside the tiles, of
    each pair that may lie side by side, and one above the other, an array; 1 is invisible."""
    ratios = []
    for x in (pixels, pixels.swapaxes(0, 1)):  # in which tiles stand where they stood: edges are counted alike
        tiles = tiles_of(x.astype(np.float32))
        inside = np.abs(np.diff(tiles, order, axis=3)).mean()
        for left, right in product(np.ndindex(tiles.shape[:2]), repeat=2):
            if COLOURS[(left[1] + 1) % len(COLOURS)] == COLOURS[right[1]]:
                both = np.concatenate([tiles[left][:, -order:], tiles[right][:, :order]], 1)
                ratios.append(np.abs(np.diff(both, order, axis=1)).mean() / max(inside, 1e-9))
    return np.array(ratios)


def figures_of(pixels):
    """How visible the borders of tiles are as texts {name: figure}; pixels: uint8 [H, W, channels]."""
    found = {}
    for order, name in ((1, "1st"), (2, "2nd")):
        ratios = border_ratios(pixels, order)
        found["wang_pairs"] = str(len(ratios))
        found[f"wang_seam_ratio_{name}"] = f"{ratios.mean():.3f}, of the worst pair {ratios.max():.3f}"
    return found
