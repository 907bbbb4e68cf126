"""What is drawn without training, by the photo's patches and the prior, and what a minute of training adds.

    python -m benchmarks.minute [FOLDER] [--quick] [--seeds 2] [--exemplars brick,grass] [--learned FOLDER]

For samples/stones.png, scikit-image's brick, grass and gravel and each picture in FOLDER, none of which the prior may
have seen: trains for STAGES, draws with REDRAW="gaps", so that tiles are drawn whole, and scores these (see
benchmarks/scores.py). Takes 50 minutes for 9 photos; what is done is kept in benchmarks/cache, of each commit apart,
and the same command goes on. When all is done, writes benchmarks/MINUTE.md, docs/minute.png (curves) and
docs/minute.jpg (parts of textures of PICTURED).
--quick takes tiny constants and one small photo, and writes nothing in the repository: it shows that all runs.

--learned: the folder of photos that the prior has learned from. What is drawn without training is then looked for in
them: the distance of drawn 16 x 16 patches to the nearest patch there, over that of the photo's own patches; both are
scaled to mean 0 and deviation 1. Below 1 something of those photos would show.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import texture_diffusion as td
from benchmarks import Progress, commits, peers, quality, scores
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running import exit_codes

MAX_SIDE = 512  # of the photos, px
STAGES = {0: 55, 5: 120}  # EPOCHS: s
PICTURED = ("gravel", "roof")  # photos of docs/minute.jpg
PART, GAP, LABEL = 400, 8, 18  # of that picture: side of a part, px between, height of the labels
EPOCH_TILES = 176  # the default
SHOWN = ("validation loss", "statistics", "spectrum dB", "seam 1st", "contrast", "colour", "novelty", "verbatim",
         "C2ST", "C2ST apart")
DRAWN_IN = ("validation loss", "statistics", "spectrum dB")  # the figure
STRIDE = 4  # between the patches that are looked at, px
FLAT = 4.0  # levels: patches of less contrast look alike anywhere


def bench_of(bench, epochs):
    """The quality.Bench of a stage."""
    folder = bench.cache / "minute" / str(epochs)
    epochs = epochs or int(bench.quick)  # a trial has no prior that could draw without any training
    constants = {"REDRAW": "gaps", **bench.constants, "MAX_SIDE": MAX_SIDE, "EPOCHS": epochs, "VALIDATION": 1}
    return bench._replace(cache=folder, constants=constants)


def measure(bench, exemplar, seeds):
    """Scores and costs of a stage, the mean of the seeds, name -> value; bench: of the stage."""
    photo, rows = td.load_photo(exemplar.path, None, MAX_SIDE), []
    real = scores.reference(photo.pixels(photo.x), quality.tile_of(bench))
    for seed in range(seeds):
        job = quality.Job(exemplar, "ours", seed)
        found = quality.score_job(bench, job, photo, real, scores.score)
        kept = quality.folder_of(bench, job) / "loss.json"
        rows.append({**found, "validation loss": quality.cached(kept, lambda job=job: validation(bench, job, photo))})
    return quality.mean_of(rows)


def validation(bench, job, photo):
    """The loss of a job's network on the tile that its training never saw."""
    c = peers.constants()
    vars(c).update(bench.constants, IMAGE=str(job.exemplar.path), SEED=job.seed)
    model = td.Model((photo.exemplar,), c)
    return td.prepare_trainer(model, quality.folder_of(bench, job) / f"{photo.name}.pt").validate()


# =============================================================================================
# Whether what was learned shows
# =============================================================================================


def patches(pictures, stride):
    """Patches of pictures [N, h, w, 3] with enough contrast, each with mean 0 and deviation 1, [M, D]."""
    x = scores.patches_of(pictures, stride)
    x = x - x.mean(1, keepdim=True)
    x = x[x.std(1) > FLAT]
    return x / x.std(1, keepdim=True)


def likeness(made, pixels, learned):
    """The mean distance of patches of drawn tiles [N, T, T, 3] to the nearest in any of the pictures learned from, over
    that of patches of the photo [H, W, 3]."""
    rng = np.random.default_rng(0)
    sets = [scores.some(patches(x, scores.PATCH // 2), rng, scores.QUERIES) for x in (made, pixels[None])]
    both = torch.cat(sets)
    best = torch.full((len(both),), torch.inf)
    for other in learned:
        best = torch.minimum(best, torch.cdist(both, patches(other[None], STRIDE)).amin(1))
    drawn, real = best.split([len(each) for each in sets])
    return float(drawn.mean() / real.mean())


def likeness_of(bench, exemplar, learned):
    """The likeness of what was drawn of an exemplar without training."""
    tile, photo = quality.tile_of(bench), td.load_photo(exemplar.path, None, MAX_SIDE)
    texture = np.asarray(texture_of(bench, exemplar, 0))
    made = scores.tiles_where(texture, quality.layout_of(photo, "matched", tile, 0), tile, real=False)
    return likeness(made, photo.pixels(photo.x), learned)


def texture_of(bench, exemplar, epochs):
    """What a stage drew with seed 0, as a Pillow picture."""
    folder = quality.folder_of(bench_of(bench, epochs), quality.Job(exemplar, "ours", 0))
    return Image.open(folder / "texture.png").convert("RGB")


# =============================================================================================
# What is written
# =============================================================================================


def seconds_of(epochs, row, rate):
    """Seconds of training of a stage: at so many tiles a second, or as they were taken (rate is 0)."""
    return epochs * EPOCH_TILES / rate if rate else row["training"]


def markdown(table, rate=0):
    """The Markdown of an exemplar's table, epochs -> scores; rate: as in seconds_of."""
    lines = ["| epochs | training s | " + " | ".join(SHOWN) + " |", "|" + "---|" * (2 + len(SHOWN))]
    for epochs, row in table.items():
        cells = " | ".join(f"{row[name]:.{3 if name == 'validation loss' else 2}f}" for name in SHOWN)
        lines.append(f"| {epochs} | {seconds_of(epochs, row, rate):.0f} | {cells} |")
    return "\n".join(lines)


def draw_figure(path, tables, rate=0):
    """A row of curves for each exemplar, a column for each of DRAWN_IN, over the seconds of training."""
    figure, buffer = Figure(figsize=(3.4 * len(DRAWN_IN), 2.2 * len(tables)), layout="constrained"), io.BytesIO()
    axes = figure.subplots(len(tables), len(DRAWN_IN), squeeze=False)
    for row, (name, table) in zip(axes, tables.items()):
        for ax, score in zip(row, DRAWN_IN):
            points = [(seconds_of(epochs, found, rate), found[score]) for epochs, found in table.items()]
            ax.plot(*zip(*points), marker="o", markersize=4)
            ax.set_title(f"{name}: {score}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("seconds of training", fontsize=8)
    figure.savefig(buffer, dpi=100)
    commits.save_picture(path, Image.open(buffer))


def draw_parts(bench, exemplars, seconds):
    """The photo, and the middle of the textures without training and after five epochs, of so many seconds, of each
    exemplar in a row; a Pillow picture."""
    rows = []
    for exemplar in exemplars:
        photo = td.load_photo(exemplar.path, None, MAX_SIDE)
        pictures = [Image.fromarray(photo.pixels(photo.x)).convert("RGB")]
        pictures += [texture_of(bench, exemplar, epochs) for epochs in (0, 5)]
        rows.append([quality.middle(picture, min(PART, photo.x.shape[2]), min(PART, photo.x.shape[1]))
                     for picture in pictures])
    labels = ("photo", "without training (EPOCHS=0)", f"5 epochs, {seconds:.0f} s (EPOCHS=5)")
    heads = [Image.new("RGB", (picture.width, LABEL - GAP), "white") for picture in rows[0]]
    sheet = quality.sheet_of([heads, *rows], GAP)
    for k, label in enumerate(labels):
        ImageDraw.Draw(sheet).text((k * (rows[0][0].width + GAP) + 4, 3), label, "black")
    return sheet


def write(home, tables, shows, rate=0):
    """MINUTE.md and the figure; tables: exemplar -> epochs -> scores; shows: exemplar -> likeness; rate: as in
    seconds_of."""
    seconds = f", seconds are at {rate:g} tiles a second, measured alone" if rate else ""
    text = ["Written by `python -m benchmarks.minute`; what the scores mean is in [scores.py](scores.py). An epoch is "
            f"{EPOCH_TILES} tiles{seconds}; photos of at most {MAX_SIDE} pixels, one tile held out.",
            "![curves of each photo](../docs/minute.png)"]
    for name, table in tables.items():
        text.append(f"## {name}\n\n{markdown(table, rate)}")
        if name in shows:
            text[-1] += f"\n\nLikeness to the photos learned from: {shows[name]:.3f} of the photo's own."
    draw_figure(home / "docs/minute.png", tables, rate)
    commits.write_page(home / "benchmarks/MINUTE.md", "What seconds of training give", "\n\n".join(text))


def seconds_expected(exemplars, seeds):
    """What each stage of each exemplar is expected to take."""
    return [seeds * seconds for _ in exemplars for seconds in STAGES.values()]


def run(bench, exemplars, seeds, progress, learned=(), rate=0):
    """Do what is not done, print the tables, then write all; learned: pictures that the prior has learned from."""
    tables, shows = {}, {}
    for exemplar in exemplars:
        table = tables[exemplar.name] = {}
        for epochs in STAGES:
            table[epochs] = measure(bench_of(bench, epochs), exemplar, seeds)
            progress(f"{exemplar.name}, {epochs} epochs")
        if learned:
            shows[exemplar.name] = likeness_of(bench, exemplar, learned)
        print(f"\n{exemplar.name}\n\n{markdown(table, rate)}\n", flush=True)
    pictured = [exemplar for exemplar in exemplars if exemplar.name in PICTURED] or exemplars[:1]
    seconds = np.mean([seconds_of(5, tables[exemplar.name][5], rate) for exemplar in pictured])
    commits.save_picture(bench.home / "docs/minute.jpg", draw_parts(bench, pictured, seconds))
    write(bench.home, tables, shows, rate)


def exemplars_of(bench, folder, names=()):
    """The exemplars: those in names, or all."""
    return quality.exemplars_of(bench, folder, names)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="photos beside scikit-image's")
    parser.add_argument("--quick", action="store_true", help="a trial that writes nothing here")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--exemplars", default="", help="names, comma-separated; default: all")
    parser.add_argument("--learned", help="the folder of photos that the prior has learned from")
    parser.add_argument("--rate", type=float, default=0, help="tiles a second of training alone on this machine, for "
                        "the seconds; default: as they were taken")
    c = parser.parse_args()
    commits.commit()  # of the code as it begins
    with quality.bench_of(c.quick) as bench:
        exemplars = exemplars_of(bench, c.folder, list(filter(None, c.exemplars.split(","))))
        learned = [np.asarray(photos.open_image(path)[0].convert("RGB")) for path in pictures_in(c.learned)]
        run(bench, exemplars, c.seeds, Progress(seconds_expected(exemplars, c.seeds)), learned, c.rate)


def pictures_in(folder):
    """The pictures of a folder, none if it is None."""
    return [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in Image.registered_extensions()] \
        if folder else []


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
