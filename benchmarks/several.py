"""Several textures with one model, beside each with a model of its own in its share of the time.

    python -m benchmarks.several WORK PHOTO PHOTO... [--epochs 12]

Trains one model on all the photos for so many epochs, and one on each alone for its share of them; draws each texture
with both and scores the drawn tiles (see benchmarks/scores.py). Everything is kept in the folder WORK: a run that was
stopped goes on by the same command. Prints a Markdown table, in each cell the figure of the model of all and that of
its own.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import texture_diffusion as td
from benchmarks import peers, quality, scores
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.reading import exemplars, photos
from texture_diffusion_tools.running.errors import RunError, UserError

MAX_SIDE, SCALE = 512, 2  # of the photos, px, and of what is drawn
SHOWN = ("statistics", "spectrum dB", "seam 1st", "contrast", "colour", "novelty", "C2ST apart")


def run(work, image, epochs):
    """Train and draw by the script; returns its constants and the lines that it ended with."""
    changes = {"IMAGE": image, "EPOCHS": epochs, "MAX_SIDE": MAX_SIDE, "VALIDATION": 1, "SCALE": SCALE,
               "OUTPUT_DIR": str(work), "CHECKPOINT_DIR": str(work)}
    log = work / f"{'+'.join(map(photos.name_of, [image] if isinstance(image, str) else image))}-{epochs}.log"
    if not log.exists() or "colour_difference" not in log.read_text(encoding="utf-8"):
        with open(log, "a", encoding="utf-8") as file:
            words = [f"{name}={value}" for name, value in changes.items()]
            code, _ = quality.watch([sys.executable, "-u", str(quality.ROOT / quality.SCRIPT), *words], file)
        if code:
            raise RunError(f"{quality.SCRIPT} ended with {code}: {log.read_text().strip().splitlines()[-1]}")
    text = log.read_text(encoding="utf-8")
    c = peers.constants()
    vars(c).update(changes)
    return c, quality.training_seconds(text)


def losses(work, c, paths):
    """The validation loss of each texture of a run."""
    model = td.Model(exemplars.read(paths, c, td.tile_multiple(c.WIDTHS)), c)
    trainer = td.prepare_trainer(model, work / f"{model.name}.pt")
    return [trainer.of(label).validate() for label in range(len(model.photos))]


def scores_of(path, drawn):
    """Scores of a drawn texture of the photo at path."""
    photo, tile = td.load_photo(path, None, MAX_SIDE), peers.constants().TILE_SIZE
    real = scores.reference(photo.pixels(photo.x), tile)
    pixels = np.asarray(Image.open(drawn).convert("RGB"))
    layout = td.lay_out(photo, "matched", grids.make_grid(*(SCALE * side for side in photo.x.shape[1:]), tile), 0)
    return scores.score(pixels, layout, tile, real)


def measure(work, paths, epochs):
    """Scores with the model of all and with its own, {photo: [{score: value}] * 2}, and the seconds of both."""
    together, seconds = run(work, tuple(map(str, paths)), epochs)
    held, table, alone = losses(work, together, paths), {}, 0
    folder = work / "+".join(path.stem for path in paths)
    for path, loss in zip(paths, held):
        c, its = run(work, str(path), epochs // len(paths))
        alone += its
        name = f"output_texture_{SCALE}x{SCALE}"
        drawn = folder / f"{name}_{path.stem}.png", work / path.stem / f"{name}.png"
        table[path.stem] = [{"validation loss": held, **scores_of(path, picture)}
                            for held, picture in zip((loss, *losses(work, c, [path])), drawn)]
    return table, seconds, alone


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--epochs", type=int, default=12)
    c = parser.parse_args()
    c.work.mkdir(parents=True, exist_ok=True)
    try:
        table, together, alone = measure(c.work, c.photos, c.epochs)
    except (UserError, RunError) as error:
        sys.exit(f"benchmarks.several: {error}")
    names = ("validation loss", *SHOWN)
    print("| photo | " + " | ".join(names) + " |\n|" + "---|" * (1 + len(names)))
    for name, rows in table.items():
        print(f"| {name} | " + " | ".join(", ".join(f"{row[score]:.{3 if score == 'validation loss' else 2}f}"
                                                    for row in rows) for score in names) + " |")
    print(f"\nTraining: {together:.0f} s together, {alone:.0f} s alone in all.")


if __name__ == "__main__":
    main()
