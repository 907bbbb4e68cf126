"""How well the real tiles of the endless plane agree, beside those of a texture that is laid out as a whole.

    python -m benchmarks.endless PHOTO... [--cells 24] [--seeds 3] [--variants "BLOCK=4" "BLOCK=8;STEP_COST=0"]

For each photo (of at most 512 pixels, or 640 the longer side of one that is not square) the layout of so many cells
each way, as a whole and as a part of the plane, with the constants of endless.py changed as each variant
says. Disagreement is that of matching.py, over that of unrelated places. Printed are, as means of seeds:
that of each tile with those laid out before it, and its square, by which attempts are judged; that of each tile with
all around it, whatever the order, and its square, without the two outermost cells; the share of tiles of which another
within 540 pixels shows more than half; the CIELAB distance of the mean colour of real tiles from the photo's; the
choices made, and seconds on one thread. Below, the seconds for a part of 1024 x 1024 pixels at two places.
"""

import argparse
import ast
import time
from contextlib import ExitStack
from unittest import mock

import numpy as np
import torch

import texture_diffusion as td
from texture_diffusion_tools.laying import endless, grids, matching
from texture_diffusion_tools.writing import measures

TILE, SCREEN = 128, 540
COLUMNS = ("when chosen", "squared", "with all around", "squared", "shown again", "colour", "choices", "seconds")


def recorded(costs):
    """matching.best_of_attempts that adds the costs of what it takes to a list."""
    def best(start, cells, rng, alike=None, best_of_attempts=matching.best_of_attempts):
        made = []
        places = best_of_attempts(lambda: made.append(start()) or made[-1], cells, rng)
        costs.extend(min((matcher.costs for matcher in made), key=lambda each: sum(cost**2 for cost in each)))
        return places

    return best


def disagreements(layout, candidates, margin=2):
    """Of each real tile with all the others around it, [N], without those so near to the edge."""
    matcher, grid, found = matching.Matcher(layout.grid, [each.fresh() for each in candidates]), layout.grid, []
    real = [cell for cell in grid.cells() if layout.real()[cell]]
    places = {cell: (int(layout.orientation[cell]), *map(int, layout.source[cell])) for cell in real}
    for cell, place in places.items():
        matcher.note(cell, place)
    for cell, (orientation, y, x) in places.items():
        if all(margin <= k < count - margin for k, count in zip(cell, grid.shape())):
            claims = [matcher.claim_on(gap, by, name) for own, (gap, by) in matcher.gaps(cell).items()
                      for name in matching.SIDES if name != own and (gap, name) in matcher.claims]
            cost = matcher.candidates[orientation].places.disagreement(claims)
            found.append(float(cost[y // matching.PLACE_STEP, x // matching.PLACE_STEP]))
    return np.array(found)


def shown_again(layout):
    """The share of real tiles more than half of which another within SCREEN pixels shows."""
    real, tile = layout.real(), layout.grid.tile
    source, cells = layout.source[real], np.argwhere(real) * tile
    shared = (tile - np.abs(source[:, None] - source)).clip(0).prod(-1) / tile**2
    near = np.hypot(*(cells[:, None] - cells).transpose(2, 0, 1)) < SCREEN
    np.fill_diagonal(near, False)
    return float(((shared > 0.5) & near).any(1).mean())


def colour(photo, layout):
    """The CIELAB distance between the mean colours of the real tiles and of the photo."""
    tiles = torch.stack([layout.cut(tuple(cell)) for cell in np.argwhere(layout.real())])
    means = [measures.to_lab(photo.pixels(x)).reshape(-1, 3).mean(0) for x in (tiles, photo.x)]
    return float(np.linalg.norm(means[0] - means[1]))


def row(photo, grid, seed, **changes):
    """The figures of a layout on a grid."""
    costs, count, choose = [], [], matching.Matcher.choose
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(mock.patch.object(endless, name, value))
        stack.enter_context(mock.patch.object(matching, "best_of_attempts", recorded(costs)))
        stack.enter_context(mock.patch.object(matching.Matcher, "choose", lambda *a: count.append(1) or choose(*a)))
        start = time.perf_counter()
        layout = td.lay_out(photo, "matched", grid, seed)
        seconds = time.perf_counter() - start
    costs = np.array(costs)
    around = disagreements(layout, matching.candidates_of(layout.extended, grid.tile))
    return costs.mean(), (costs**2).mean(), around.mean(), (around**2).mean(), shown_again(layout), \
        colour(photo, layout), len(count), seconds


def changes_of(text):
    """What a variant changes, {name: value}, of "NAME=value;NAME=value"."""
    pairs = (part.split("=", 1) for part in filter(str.strip, text.split(";")))
    return {name.strip(): ast.literal_eval(value) for name, value in pairs}


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="*", default=[""])
    words = parser.parse_args()
    torch.set_num_threads(1)
    side = words.cells * TILE
    print(f"| photo | layout | {' | '.join(COLUMNS)} |\n|{'---|' * (2 + len(COLUMNS))}", flush=True)
    for path in words.photos:
        photo = td.load_photo(path, None, 640)
        if photo.x.shape[1] == photo.x.shape[2]:
            photo = td.load_photo(path, None, 512)
        kinds = {"as a whole": (grids.make_grid(side, side, TILE), {})}
        for text in words.variants:
            kinds["endless " + text] = grids.endless_grid((0, 0), (side, side), TILE, 0), changes_of(text)
        for name, (grid, changes) in kinds.items():
            figures = np.mean([row(photo, grid, seed, **changes) for seed in range(words.seeds)], 0)
            *shown, choices, seconds = figures
            cells = " | ".join(f"{value:.3f}" for value in shown)
            print(f"| {photo.name} | {name.strip()} | {cells} | {choices:.0f} | {seconds:.1f} |", flush=True)
    for place in ((0, 0), (10**9, 10**9)):
        grid = grids.endless_grid(place, (1024, 1024), TILE, 1)
        print(f"1024 x 1024 pixels of {photo.name} at {place}: {row(photo, grid, 0)[-1]:.2f} s to lay out")


if __name__ == "__main__":
    main()
