"""How often what strikes the eye in a photo is found again in its texture.

    python -m benchmarks.repetition WORK PHOTO... [NAME=value ...]

For each photo (of at most 512 pixels): its 20 most conspicuous spots are squares of 32, 48 or 64 pixels that don't
overlap, furthest from the parts most like them (conspicuous.oddness_of), and that no other place of the photo
resembles: normalised cross-correlation of at most 0.8, at half the resolution. Each is looked for in the texture,
where a correlation above 0.8 that is the largest within half a spot's side is a finding. Printed are findings per
megapixel, how many of them have another of the same spot within 540 pixels, and the smallest distance between two;
for the default layout, without looking for spots (SPOT_COST = 0), for a random layout, and for image quilting; beside
them the largest number of tiles that show one pixel of the photo, and the scores of the drawn tiles (see
benchmarks/scores.py).

Trains with the default constants, but for those given. Models and pictures stay in the folder WORK, and the same
command goes on from there.
"""

import contextlib
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import texture_diffusion as td
from benchmarks import peers, scores
from benchmarks.peers import quilting
from texture_diffusion_tools.laying import conspicuous, grids, matching
from texture_diffusion_tools.running import exit_codes
from texture_diffusion_tools.running.errors import UserError

MAX_SIDE, SCALE = 512, 3  # of the photo, px; of the texture
SIDES = (32, 48, 64)  # of spots, px
SPOTS, SCREEN = 20, 540
SHOWN = ("statistics", "spectrum dB", "seam 1st", "contrast", "colour")


def spots_of(x):
    """The most conspicuous spots of a photo at half its resolution, x [C, H, W]: (y, x, side) in its pixels."""
    found, spots = [], []
    for side in SIDES:
        ys, xs, odd = conspicuous.oddness_of(x, side // 2)
        found += zip((-odd).tolist(), ys.tolist(), xs.tolist(), [side // 2] * len(odd))
    for _, *place in sorted(found):
        spot = conspicuous.Spot(*place)
        if not any(spot.touches(other) for other in spots) and conspicuous.is_alone(x, spot):
            spots.append(spot)
        if len(spots) == SPOTS:
            break
    return spots


def findings(x, photo, spots):
    """Where each spot of a photo [C, H, W] is found in a texture x [C, H', W'], both at half the resolution: for each
    spot places (y, x) in pixels of the whole, [N, 2]."""
    places = []
    for y, left, side, _ in spots:
        alike = conspicuous.correlation(x, photo[:, y:y + side, left:left + side])[None]
        most = F.max_pool2d(alike, side // 2 * 2 + 1, stride=1, padding=side // 2)
        places.append(((alike == most) & (alike > conspicuous.ALIKE))[0].nonzero() * 2.0)
    return places


def summary(places, area):
    """Findings per megapixel, how many of them have another of the same spot on the SCREEN, the smallest distance."""
    apart = [torch.cdist(found, found) + torch.eye(len(found)) * 1e9 for found in places if len(found) > 1]
    near = sum(int((distance < SCREEN).any(1).sum()) for distance in apart)
    least = min((float(distance.min()) for distance in apart), default=math.inf)
    return sum(map(len, places)) / area * 1e6, near, least


def half(pixels):
    """uint8 [H, W, 3] at half the resolution, float32 [3, H / 2, W / 2]."""
    return F.avg_pool2d(torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1), 2)


def draw(work, path, words, kind, cost):
    """The texture of a layout, uint8 [H, W, 3], with its Layout."""
    photo, c = td.load_photo(path, None, MAX_SIDE), peers.constants()
    folder = work / f"{kind}-{cost:g}"
    picture = folder / photo.name / f"output_texture_3x3{'_random' * (kind == 'random')}.png"
    with mock.patch.object(matching, "SPOT_COST", cost):
        if not picture.exists():
            with contextlib.redirect_stdout(sys.stderr):
                td.main([f"IMAGE={path}", f"MAX_SIDE={MAX_SIDE}", *words, f"LAYOUT={kind}", f"OUTPUT_DIR={folder}",
                         f"CHECKPOINT_DIR={work}"])
        grid = grids.make_grid(*(SCALE * side for side in photo.x.shape[1:]), c.TILE_SIZE)
        layout = td.lay_out(photo, kind, grid, c.SEED)
    return np.asarray(Image.open(picture).convert("RGB")), layout


def most_shown(photo, layout):
    """The largest number of real tiles that show one pixel of the photo."""
    shown = np.zeros(photo.x.shape[1:])
    for y, x in layout.source[layout.real()]:
        shown[y:y + layout.grid.tile, x:x + layout.grid.tile] += 1
    return int(shown.max())


def rows_of(work, path, words):
    """The rows of a photo's table."""
    photo = td.load_photo(path, None, MAX_SIDE)
    pixels = photo.pixels(photo.x)
    spots, real = spots_of(half(pixels)), scores.reference(pixels, peers.constants().TILE_SIZE)
    kinds = {"default": ("matched", matching.SPOT_COST), "without": ("matched", 0.0), "random": ("random", 0.0)}
    for name, (kind, cost) in kinds.items():
        texture, layout = draw(work, path, words, kind, cost)
        found = scores.score(texture, layout, layout.grid.tile, real)
        yield name, len(spots), *summary(findings(half(texture), half(pixels), spots), texture[..., 0].size), \
            most_shown(photo, layout), *(f"{found[score]:.2f}" for score in SHOWN)
    texture = quilting.make(photo, layout, layout.grid.tile, 0, 0)
    yield "quilting", len(spots), *summary(findings(half(texture), half(pixels), spots), texture[..., 0].size), \
        *"-" * (1 + len(SHOWN))


def main(argv=None):
    """The command line."""
    argv = sys.argv[1:] if argv is None else argv
    paths, words = ([word for word in argv[1:] if ("=" in word) == constant] for constant in (False, True))
    if not paths:
        raise UserError("give a folder to work in and photos")
    work = Path(argv[0])
    print(f"| photo | layout | spots | per megapixel | on one screen | smallest distance | most shown | "
          f"{' | '.join(SHOWN)} |\n|{'---|' * (7 + len(SHOWN))}")
    for path in paths:
        for name, count, per, near, least, *rest in rows_of(work, path, words):
            cells = " | ".join(map(str, rest))
            print(f"| {Path(path).stem} | {name} | {count} | {per:.1f} | {near} | {least:.0f} | {cells} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
