"""A sheet of real and generated tiles, shuffled, to find out whether a person can tell them apart.

    python -m benchmarks.blind PHOTO TEXTURE SHEET [SEED]

Writes SHEET (a PNG of 40 numbered tiles, 20 real and 20 generated) and the key beside it, SHEET.key.txt,
to be opened only after one has written down a guess for each tile.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import commits
from benchmarks.scores import read_texture, tiles_where

EACH, COLUMNS, GAP = 20, 8, 16  # tiles of each kind; tiles a row; px between them, for the numbers


def make_sheet(photo_path, texture_path, sheet_path, seed=None):
    """Write the sheet and its key, shuffled by seed."""
    rng = np.random.default_rng(seed)
    _, pixels, layout, tile = read_texture(texture_path, photo_path)
    tiles, key = [], []
    for kind in (True, False):
        every = tiles_where(pixels, layout, tile, kind)
        tiles += list(every[rng.permutation(len(every))[:EACH]])
        key += ["real" if kind else "generated"] * min(EACH, len(every))
    order = rng.permutation(len(tiles))
    step, rows = tile + GAP, -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * step, rows * step), "white")
    pen = ImageDraw.Draw(sheet)
    for place, which in enumerate(order):
        y, x = divmod(place, COLUMNS)
        sheet.paste(Image.fromarray(tiles[which]), (x * step, y * step + GAP))
        pen.text((x * step + 2, y * step + 2), str(place + 1), "black")
    lines = [f"{place + 1} {key[which]}" for place, which in enumerate(order)] + [f"Commit {commits.commit()}"]
    Path(f"{sheet_path}.key.txt").write_text("\n".join(lines) + "\n")
    commits.save_picture(sheet_path, sheet)


def main():
    """The command line."""
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__.split("\n\n")[1].strip())
    make_sheet(*sys.argv[1:3], Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) == 5 else None)


if __name__ == "__main__":
    main()
