"""Published textures of other methods, by the scores of benchmarks/scores.py.

    python -m benchmarks.published FOLDER

FOLDER holds the exemplars and, in a folder for each method, what it made of them, under the same names:

    FOLDER/exemplars/<name>.png
    FOLDER/<method>/<name>.png

The pictures stay where they are: nobody else's belong into this repository. Ours are compared if they are put beside
them, as FOLDER/ours/<name>.png. A method may lack exemplars. The sizes are free, and a texture may be larger than
its exemplar, but both are to be of one scale: detail that was enlarged or reduced is told from the photo's at once.

Prints a table for each exemplar, with its floor and ceiling, and one of the means of each method, with the number of
its textures; that compares methods of the same exemplars. Tiles are windows of a quarter of the exemplar's shorter
side, at most 128 and at least 32 pixels. All of a texture counts as drawn, and seams, which need a grid of tiles, are
not looked for. Takes about a minute for each picture.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import Progress, scores
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.running import exit_codes
from texture_diffusion_tools.running.errors import UserError

EXEMPLARS = "exemplars"  # their folder; any other one is a method's
LARGEST, SMALLEST = 128, 32  # side of a tile, px
SHARE = 4  # exemplars are so many tiles wide
SHOWN = [name for name in scores.DIGITS if not name.startswith("seam") and name != "C2ST borders"]
SECONDS = 60  # of a picture, on 2 cores


def pictures_in(folder: Path) -> dict[str, Path]:
    """The PNG files of a folder, name -> path."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".png"}


def methods_in(folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """The exemplars, name -> path, and what was made of them, method -> name -> path; UserError where there is none."""
    if not (folder / EXEMPLARS).is_dir():
        raise UserError(f"there is no folder {folder / EXEMPLARS}: put the exemplars there, as <name>.png")
    exemplars = pictures_in(folder / EXEMPLARS)

    places = [place for place in sorted(folder.iterdir()) if place.is_dir() and place.name != EXEMPLARS]
    methods = {place.name: pictures_in(place) for place in places}
    for method, pictures in methods.items():
        unknown = sorted(set(pictures) - set(exemplars))
        if unknown:
            raise UserError(f"{folder / method} has {unknown[0]}.png, but {folder / EXEMPLARS} has no such exemplar: "
                            "give both the same name")

    methods = {method: pictures for method, pictures in methods.items() if pictures}
    if not methods:
        raise UserError(f"there is no texture to score in {folder}: put them into a folder for each method, as "
                        f"{folder / 'method'}/<name>.png")
    return exemplars, methods


def read(path: Path) -> np.ndarray:
    """The pixels of a picture, uint8 [H, W, 3]."""
    return np.asarray(Image.open(path).convert("RGB"))


def tile_of(exemplar: np.ndarray, path: Path) -> int:
    """The side of the tiles by which an exemplar [H, W, 3] is compared, a power of two; UserError if it is too small.
    """
    short = min(exemplar.shape[:2])
    if short < SHARE * SMALLEST:
        raise UserError(f"{path} is {short} pixels on its shorter side, and at least {SHARE * SMALLEST} are needed")
    return min(LARGEST, 1 << (short // SHARE).bit_length() - 1)


def scores_of(path: Path, tile: int, real: scores.Reference) -> dict:
    """The scores of a texture that is a tile large at least in both directions, else UserError."""
    pixels = read(path)
    if min(pixels.shape[:2]) < SHARE * tile:
        raise UserError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, and at least {SHARE * tile} are "
                        "needed in both directions: a larger part of the texture, or leave it out")
    return scores.judged(pixels, scores.all_drawn(grids.make_grid(*pixels.shape[:2], tile)), tile, real)


def measure(exemplar: Path, textures: dict[str, Path], progress: Progress) -> dict[str, dict]:
    """The table of an exemplar, label -> scores; textures: method -> path."""
    pixels = read(exemplar)
    tile = tile_of(pixels, exemplar)
    real = scores.reference(pixels, tile)
    table = {"floor": scores.floor(real, tile), "ceiling": scores.ceiling(real, tile)}
    progress(f"{exemplar.stem}, exemplar")
    for method, path in textures.items():
        table[method] = scores_of(path, tile, real)
        progress(f"{exemplar.stem}, {method}")
    return table


def markdown(table: dict[str, dict]) -> str:
    """The Markdown of a table, label -> scores."""
    rows = [scores.markdown_row(label, row, SHOWN) for label, row in table.items()]
    return "\n".join([scores.markdown_header("method", SHOWN), *rows])


def means(tables: dict[str, dict[str, dict]], methods: dict[str, dict[str, Path]]) -> dict[str, dict]:
    """The mean scores of each method, "method (number of textures)" -> scores."""
    found = {}
    for method, pictures in methods.items():
        rows = [tables[name][method] for name in pictures]
        found[f"{method} ({len(rows)})"] = {score: float(np.mean([row[score] for row in rows])) for score in SHOWN}
    return found


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="exemplars, and a folder of textures for each method")
    exemplars, methods = methods_in(parser.parse_args(argv).folder)

    # of each exemplar that any method drew, what was made of it
    textures = {name: {method: pictures[name] for method, pictures in methods.items() if name in pictures}
                for name in exemplars}
    textures = {name: made for name, made in textures.items() if made}
    progress = Progress([SECONDS] * sum(1 + len(made) for made in textures.values()))

    tables = {}
    for name, made in textures.items():
        tables[name] = measure(exemplars[name], made, progress)
        print(f"\n{name}\n\n{markdown(tables[name])}", flush=True)
    print(f"\nmeans\n\n{markdown(means(tables, methods))}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
