"""How closely a texture follows a guide, and what that costs it.

    python -m benchmarks.guide WORK PHOTO [EPOCHS=5 ...]

Trains on the photo (of at most 512 pixels), draws it under a sign (a ring with a bar) at five strengths, and prints a
table: the correlation of the coarse brightness (means over about a quarter of a tile) with the sign's, that of
its real tiles alone, and the scores of its drawn tiles (see benchmarks/scores.py). Constants after the photo are
those of the script. The pictures, and the model for another run of the same command, stay in the folder WORK.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import texture_diffusion as td
from benchmarks import peers, scores
from texture_diffusion_tools.laying import guides
from texture_diffusion_tools.running import constants, exit_codes
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SIDE, MAX_SIDE = 1024, 512  # of the textures, of the photo, px
SHOWN = ("statistics", "spectrum dB", "seam 1st", "contrast", "colour")


def sign():
    """A bright ring with an upright bar on a dark ground, uint8 [SIDE, SIDE]."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    away = np.hypot(y, x)
    return np.where((away > 0.25) & (away < 0.41) | (abs(x) < 0.08) & (abs(y) < 0.41), 255, 0).astype(np.uint8)


def draw(work, path, words, strength):
    """Draw the texture at a strength; returns its pixels, uint8 [SIDE, SIDE, 3], its Photo and its Layout."""
    words = [f"IMAGE={path}", f"MAX_SIDE={MAX_SIDE}", *words, f"OUTPUT_SIZE=({SIDE},{SIDE})",
             f"GUIDE={work / 'sign.png'}", f"GUIDE_STRENGTH={strength}", f"OUTPUT_DIR={work / str(strength)}",
             f"CHECKPOINT_DIR={work}"]
    with contextlib.redirect_stdout(sys.stderr):
        td.main(words)
    c = peers.constants()
    for name, _, text in (word.partition("=") for word in words):
        setattr(c, name, constants.parse_value(name, text, getattr(c, name)))
    photo = td.load_photo(path, None, MAX_SIDE)
    name, _ = constants.names_of(c, c.SEED)
    picture = work / str(strength) / photo.name / f"output_texture_{name}.png"
    return np.asarray(Image.open(picture).convert("RGB")), photo, td.plan(photo, c, c.SEED)[0]


def correlations(pixels, layout):
    """The correlation of a texture's coarse brightness, uint8 [H, W, 3], with the sign: everywhere, and that of the
    means of the real tiles alone."""
    tile, grey = layout.grid.tile, torch.from_numpy(pixels.astype(np.float32)).mean(-1)[None]
    both = [guides.coarse(x, tile) for x in (grey, torch.from_numpy(sign()).float()[None])]
    tiles = [x[0].unfold(0, tile, tile).unfold(1, tile, tile).mean((2, 3))[torch.from_numpy(layout.real())]
             for x in (grey, torch.from_numpy(sign()).float()[None])]
    return [float(np.corrcoef(*(x.numpy().ravel() for x in pair))[0, 1]) for pair in (both, tiles)]


def main(argv=None):
    """The command line."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) < 2:
        raise UserError("give a folder to work in and a photo")
    work, path, *words = argv
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    png.save_png(work / "sign.png", sign())
    print(f"| strength | correlation | of real tiles | {' | '.join(SHOWN)} |\n|{'---|' * (3 + len(SHOWN))}")
    for strength in STRENGTHS:
        pixels, photo, layout = draw(work, path, words, strength)
        found = scores.score(pixels, layout, layout.grid.tile,
                             scores.reference(photo.pixels(photo.x), layout.grid.tile))
        cells = [*correlations(pixels, layout), *(found[name] for name in SHOWN)]
        print(f"| {strength:g} | {' | '.join(f'{value:.2f}' for value in cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
