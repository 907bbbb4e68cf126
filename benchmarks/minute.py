"""What seconds of training give, with the prior and without it.

    python -m benchmarks.minute [FOLDER] [--seeds 2] [--exemplars brick,grass] [--learned FOLDER]

For scikit-image's brick, grass and gravel and each picture in FOLDER, none of which the prior may have seen: trains for
STAGES from the prior and from nothing, draws, and scores the drawn tiles (see benchmarks/scores.py). Takes hours; what
is done is kept in benchmarks/cache/minute, and the same command goes on. Writes benchmarks/MINUTE.md and,
where there are more than three stages of a photo, docs/minute.png.

--learned: the folder of photos that the prior has learned from. What it drew alone is then looked for in them: the
distance of drawn 16 x 16 patches to the nearest patch there, over that of the photo's own patches; both are scaled to
mean 0 and deviation 1. Below 1 something of those photos would show.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import benchmarks
import texture_diffusion as td
from benchmarks import peers, quality, scores
from texture_tools import files, photos
from texture_tools.errors import RunError, UserError
from texture_tools.pictures import save_figure

CACHE = quality.ROOT / "benchmarks/cache/minute"
MAX_SIDE = 512  # of the photos, px
STAGES = {"prior": (0, 3, 5, 50), "nothing": (5, 50)}  # EPOCHS of EPOCH_TILES
EPOCH_TILES = 176  # the default
LONG = 2000  # tiles, from which on the axis of seconds is not linear
SHOWN = ("validation loss", "statistics", "spectrum dB", "seam 1st", "contrast", "colour", "novelty", "C2ST",
         "C2ST apart")
DRAWN_IN = ("validation loss", "statistics", "spectrum dB")  # the figure
STRIDE = 4  # between the patches that are looked at, px
FLAT = 4.0  # levels: patches of less contrast look alike anywhere


def bench_of(begin, epochs):
    """The quality.Bench of a stage."""
    changes = {"MAX_SIDE": MAX_SIDE, "EPOCHS": epochs, "VALIDATION": 1}
    return quality.Bench(CACHE / f"{begin}-{epochs}", changes | ({"PRIOR": None} if begin == "nothing" else {}), False)


def measure(exemplar, begin, epochs, seeds):
    """Scores and costs of a stage, the mean of the seeds, name -> value."""
    bench, rows = bench_of(begin, epochs), []
    photo = td.load_photo(exemplar.path, None, MAX_SIDE)
    real = scores.reference(photo.pixels(photo.x), quality.tile_of(bench))
    for seed in range(seeds):
        job = quality.Job(exemplar, "ours", seed)
        found = quality.score_job(bench, job, photo, real)
        kept = quality.folder_of(bench, job) / "loss.json"
        rows.append({**found, "validation loss": quality.cached(kept, lambda job=job: validation(bench, job, photo))})
    return quality.mean_of(rows)


def is_done(exemplar, begin, epochs):
    """Whether a stage was measured before."""
    folder = quality.folder_of(bench_of(begin, epochs), quality.Job(exemplar, "ours", 0))
    return (folder / "loss.json").exists()


def validation(bench, job, photo):
    """The loss of a job's network on the tile that its training never saw."""
    c = peers.constants()
    vars(c).update(bench.constants, IMAGE=str(job.exemplar.path), SEED=job.seed)
    return td.prepare_trainer(photo, c, quality.folder_of(bench, job) / f"{photo.name}.pt").validate()


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


def likeness_of(exemplar, learned):
    """The likeness of what the prior drew alone from an exemplar."""
    bench = bench_of("prior", 0)
    tile, photo = quality.tile_of(bench), td.load_photo(exemplar.path, None, MAX_SIDE)
    folder = quality.folder_of(bench, quality.Job(exemplar, "ours", 0))
    texture = np.asarray(Image.open(folder / "texture.png").convert("RGB"))
    made = scores.tiles_where(texture, quality.layout_of(photo, "matched", tile, 0), tile, real=False)
    return likeness(made, photo.pixels(photo.x), learned)


# =============================================================================================
# What is written
# =============================================================================================


def seconds_of(epochs, row, rate):
    """Seconds of training of a stage: at so many tiles a second, or as they were taken (rate is 0)."""
    return epochs * EPOCH_TILES / rate if rate else row["training"]


def markdown(table, rate=0):
    """The Markdown of an exemplar's table, (begin, epochs) -> scores; rate: as in seconds_of."""
    lines = ["| begun from | epochs | training s | " + " | ".join(SHOWN) + " |", "|" + "---|" * (3 + len(SHOWN))]
    for (begin, epochs), row in table.items():
        cells = " | ".join(f"{row[name]:.{3 if name == 'validation loss' else 2}f}" for name in SHOWN)
        lines.append(f"| {begin} | {epochs} | {seconds_of(epochs, row, rate):.0f} | {cells} |")
    return "\n".join(lines)


def draw_figure(path, tables, rate=0):
    """A row of curves for each exemplar, a column for each of DRAWN_IN, over the seconds of training."""
    figure = Figure(figsize=(3.4 * len(DRAWN_IN), 2.2 * len(tables)), layout="constrained")
    axes = figure.subplots(len(tables), len(DRAWN_IN), squeeze=False)
    for row, (name, table) in zip(axes, tables.items()):
        for ax, score in zip(row, DRAWN_IN):
            for begin, mark in zip(STAGES, "os"):
                points = [(seconds_of(epochs, found, rate), found[score])
                          for (start, epochs), found in table.items() if start == begin]
                ax.plot(*zip(*points), marker=mark, markersize=4, label=begin) if points else None
            if max(epochs for _, epochs in table) * EPOCH_TILES > LONG:
                ax.set_xscale("symlog", linthresh=20)
            ax.set_title(f"{name}: {score}", fontsize=9)
    axes[0, 0].legend(fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("seconds of training", fontsize=8)
    save_figure(path, figure)


def write(tables, shows, rate=0):
    """MINUTE.md and the figure; tables: exemplar -> (begin, epochs) -> scores; shows: exemplar -> likeness; rate: as in
    seconds_of."""
    curves = any(len(table) > 3 for table in tables.values())  # two points are none
    seconds = f", seconds are at {rate:g} tiles a second, measured alone" if rate else ""
    text = ["# What seconds of training give\n\nWritten by `python -m benchmarks.minute`; what the scores mean is in "
            f"[scores.py](scores.py). Commit of the tool: {quality.commit_of(*quality.TOOL)}. Machine: "
            f"{benchmarks.machine()}. An epoch is {EPOCH_TILES} tiles{seconds}; photos of at most {MAX_SIDE} pixels, "
            "one tile held out." + "\n\n![curves of each photo](../docs/minute.png)" * curves]
    for name, table in tables.items():
        text.append(f"## {name}\n\n{markdown(table, rate)}")
        if name in shows:
            text[-1] += f"\n\nLikeness to the photos learned from: {shows[name]:.3f} of the photo's own."
    files.write_atomically(quality.ROOT / "benchmarks/MINUTE.md",
                           lambda file: file.write(("\n\n".join(text) + "\n").encode()))
    if curves:
        draw_figure(quality.ROOT / "docs/minute.png", tables, rate)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="photos beside scikit-image's")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--exemplars", default="", help="names, comma-separated; default: all but the stones")
    parser.add_argument("--stages", default="", help="such as prior-0,nothing-50; default: all; what was measured "
                        "before is always shown")
    parser.add_argument("--learned", help="the folder of photos that the prior has learned from")
    parser.add_argument("--rate", type=float, default=0, help="tiles a second of training alone on this machine, for "
                        "the seconds; default: as they were taken")
    c = parser.parse_args()
    stages = [(begin, epochs) for begin, all_epochs in STAGES.items() for epochs in all_epochs]
    wanted = [stage for stage in stages if not c.stages or "{}-{}".format(*stage) in c.stages.split(",")]
    try:
        names = list(filter(None, c.exemplars.split(",")))
        exemplars = quality.exemplars_of(quality.Bench(CACHE, {}, False), c.folder, names)
        exemplars = [exemplar for exemplar in exemplars if names or exemplar.name != "stones"]
        learned = [np.asarray(photos.open_image(path)[0].convert("RGB")) for path in pictures_in(c.learned)]
        tables, shows = {}, {}
        for exemplar in exemplars:
            table = tables[exemplar.name] = {}
            for stage in stages:
                if stage in wanted or is_done(exemplar, *stage):
                    table[stage] = measure(exemplar, *stage, c.seeds)
                    print("{}, {}, {} epochs".format(exemplar.name, *stage), file=sys.stderr, flush=True)
            if learned:
                shows[exemplar.name] = likeness_of(exemplar, learned)
            print(f"\n{exemplar.name}\n\n{markdown(table, c.rate)}\n", flush=True)
            write(tables, shows, c.rate)
    except (UserError, RunError) as error:
        sys.exit(f"benchmarks.minute: {error}")


def pictures_in(folder):
    """The pictures of a folder, none if it is None."""
    return [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in Image.registered_extensions()] \
        if folder else []


if __name__ == "__main__":
    main()
