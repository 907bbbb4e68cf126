"""All figures of docs/FIGURES.md, of one commit.

    python -m benchmarks.figures [FOLDER] [--fresh] [--quick]

Makes one after the other, what is quick or timed first; FOLDER: photos for benchmarks.minute, beside scikit-image's:

1 the default run, alone    benchmarks/DEFAULT.md, docs/hero.jpg                             1.5 minutes
2 benchmarks.speed          benchmarks/SPEED.md                                               10 minutes
3 benchmarks.minute         benchmarks/MINUTE.md, docs/minute.png, docs/minute.jpg            25 minutes for 9 photos
4 benchmarks.quality        benchmarks/RESULTS.md, docs/contact_<exemplar>.jpg                65 minutes
5 pictures                  docs/gallery.jpg, docs/sizes.jpg, of the models of 4               5 minutes
6 benchmarks.blind          benchmarks/cache/blind.png and its key: to be judged by a person

That is 1.7 hours on 2 cores of an AMD EPYC, which should have nothing else to do: seconds are measured. Start it in the
background; it says what is done and how long the rest may take. Stopped or killed, the same command goes on. What
trains for many minutes, 50 epochs and the trained peers, is done for the stones alone (benchmarks.quality does more).

Each stage writes its files when all of it is done, and each file says its commit (see commits.py: the last one that
changed what can change a figure, so that documents and tests may be committed meanwhile). Nothing else is remembered:
done is what says the commit of the code as it is, and a file that is deleted is made again. Figures of two commits are
not mixed: while the code has changes that are not committed, or a file is of another commit, nothing is made. --fresh
makes anew what is of another commit, each file staying as it is until then, and keeps what is of this one.

--quick takes tiny constants, small photos and a folder that is deleted: a trial, which shows that all runs.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks import Progress, blind, commits, minute, quality
from texture_diffusion_tools.running import exit_codes, files
from texture_diffusion_tools.running.errors import RunError, UserError, first_line

EXEMPLARS = ("stones", "brick", "gravel")  # of benchmarks.quality
GALLERY = ("gravel", "brick")
SEEDS = 2  # of ours in 4
NEEDED = {"skimage": "scikit-image", "sklearn": "scikit-learn", "plenoptic": "plenoptic", "diffusers": "diffusers",
          "denoising_diffusion_pytorch": "denoising-diffusion-pytorch"}  # module: package
LONG = 400  # seconds
DEFAULT, GAP = "benchmarks/DEFAULT.md", 16  # px between pictures
PHOTO, WIDE = 480, 960  # of the gallery, px: side of a photo, width of the texture beside it
SIDE = 504  # of each part of docs/sizes.jpg, px


class Stage(NamedTuple):
    """Something to be made."""

    name: str
    results: list  # paths, below the repository's folder
    seconds: list  # that its parts take, each of which ends with a call of progress
    make: Callable  # make(progress) does it and writes the results


def stages_of(bench, folder):
    """All Stages, in their order."""
    photos = minute.exemplars_of(bench, folder)
    exemplars = quality.exemplars_of(bench, None, [] if bench.quick else EXEMPLARS)
    plan = plan_of(bench, exemplars)
    return [
        Stage("default run", [DEFAULT, "docs/hero.jpg"], [90], lambda progress: run_default(bench, progress)),
        Stage("speed", ["benchmarks/SPEED.md"], [600], lambda progress: run_speed(bench, progress)),
        Stage("minute", ["benchmarks/MINUTE.md", "docs/minute.png", "docs/minute.jpg"],
              minute.seconds_expected(photos, 1),
              lambda progress: minute.run(bench, photos, 1, progress, rate=rate_of(bench))),
        Stage("quality", ["benchmarks/RESULTS.md", *(f"docs/contact_{exemplar.name}.jpg" for exemplar in exemplars)],
              quality.seconds_of(plan), lambda progress: quality.run(bench, exemplars, plan, progress)),
        Stage("gallery", ["docs/gallery.jpg"], [2], lambda progress: draw_gallery(bench, exemplars, progress)),
        Stage("sizes", ["docs/sizes.jpg"], [270], lambda progress: draw_sizes(bench, exemplars[0], progress)),
        Stage("blind sheet", ["benchmarks/cache/blind.png"], [10],
              lambda progress: make_blind(bench, exemplars[0], progress))]


def plan_of(bench, exemplars):
    """The jobs of benchmarks.quality: what trains for long on the first exemplar alone."""
    plan = quality.plan_of(bench, exemplars, quality.SYSTEMS, 1 if bench.quick else SEEDS)
    return [plan[0]] + [[job for job in jobs if quality.SECONDS[job.system] < LONG] for jobs in plan[1:]]


# =============================================================================================
# The stages
# =============================================================================================


def run_default(bench, progress):
    """The default command in an empty folder, timed from its start to its end."""
    folder = bench.cache / commits.commit() / "default"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
    start = time.perf_counter()
    figures, _ = quality.run_script(folder, bench.constants if bench.quick else {})
    figures["whole_run_seconds"] = f"{time.perf_counter() - start:.0f}"
    pictures = [Image.open(path).convert("RGB") for path in (quality.ROOT / "samples/stones.png", figures["output"])]
    hero = quality.sheet_of([[picture.reduce(2) for picture in pictures]], GAP)
    commits.save_picture(bench.home / "docs/hero.jpg", hero)
    rows = [f"| {name} | {value} |" for name, value in figures.items() if re.fullmatch(r"[\d.]+( x \d+)?", value)]
    table = "\n".join(["| figure | value |", "|---|---|", *rows])
    commits.write_page(bench.home / DEFAULT, "The default run",
                       f"`python texture_diffusion.py` in an empty folder, with nothing else at work.\n\n{table}")
    progress("default run")


def rate_of(bench):
    """Tiles a second of the default run's training."""
    return float(re.search(r"^\| training_tiles_per_second \| ([\d.]+) \|$",
                           (bench.home / DEFAULT).read_text(encoding="utf-8"), re.M)[1])


def run_speed(bench, progress):
    """benchmarks.speed in a process of its own, which gives back the memory of three networks."""
    words = ["--quick"] * bench.quick + [str(bench.home / "benchmarks/SPEED.md")]
    command = [sys.executable, "-m", "benchmarks.speed", *words]
    result = subprocess.run(command, cwd=quality.ROOT, capture_output=True, text=True)
    if result.returncode:
        said = result.stderr.strip().splitlines() or ["nothing said"]
        raise RunError(f"benchmarks.speed ended with {result.returncode}: {said[-1]}")
    progress("speed")


def model_of(bench, exemplar):
    """The folder of ours, seed 0, of an exemplar, where its model and its texture are."""
    job = quality.Job(exemplar, "ours", 0)
    quality.make_texture(bench, job)
    return quality.folder_of(bench, job)


def draw_gallery(bench, exemplars, progress):
    """Photos of GALLERY, each beside the middle of its texture."""
    rows, known = [], {exemplar.name: exemplar for exemplar in exemplars}
    for exemplar in (known[name] for name in GALLERY if name in known):
        photo = Image.open(exemplar.path).convert("RGB")
        texture = Image.open(model_of(bench, exemplar) / "texture.png").convert("RGB")
        height = min(PHOTO, photo.height)
        rows.append([quality.middle(photo, min(PHOTO, photo.width), height),
                     quality.middle(texture, min(WIDE, texture.width), height)])
    commits.save_picture(bench.home / "docs/gallery.jpg", quality.sheet_of(rows, GAP))
    progress("gallery")


def draw_sizes(bench, exemplar, progress):
    """A tileable texture four times, and parts of one with REDRAW=all and of one with AUGMENT=rotations."""
    model, work = model_of(bench, exemplar), bench.cache / commits.commit() / "sizes"

    def drawn(size, models, **changes):
        constants = {**bench.constants, "IMAGE": exemplar.path, "OUTPUT_SIZE": size, **changes}
        figures, _ = quality.run_script(work, constants, models)
        return Image.open(figures["output"]).convert("RGB")

    tile = drawn((1000, 700), model, EPOCHS=0, TILEABLE="xy")
    parts = [drawn((1024, 1024), model, EPOCHS=0, REDRAW="all"),
             drawn((1024, 1024), work, AUGMENT="rotations")]
    four = quality.sheet_of([[tile, tile], [tile, tile]], 0)
    row = [four.resize((SIDE * four.width // four.height, SIDE)), *(quality.middle(part, SIDE, SIDE) for part in parts)]
    commits.save_picture(bench.home / "docs/sizes.jpg", quality.sheet_of([row], GAP // 2))
    progress("sizes")


def make_blind(bench, exemplar, progress):
    """The sheet of real and generated tiles, shuffled otherwise at every commit."""
    folder = model_of(bench, exemplar)
    sheet, seed = bench.home / "benchmarks/cache/blind.png", int.from_bytes(commits.commit().encode(), "big")
    sheet.parent.mkdir(exist_ok=True)
    blind.make_sheet(exemplar.path, next(folder.glob("*/output_texture_3x3.png")), sheet, seed)
    progress("blind sheet")


# =============================================================================================
# main
# =============================================================================================


def check_commit():
    """UserError unless the code is that of a commit."""
    if commits.commit().startswith(commits.UNKNOWN):
        raise UserError("figures are made of a commit: clone the repository with git, and make them there")
    changed = commits.uncommitted()
    if changed:
        raise UserError(f"the code is not that of a commit: commit or undo {', '.join(changed)}, which may change "
                        "figures")


def left_of(stages, home, fresh):
    """The stages that are not done; UserError if files are of another commit, unless fresh."""
    left = []
    for stage in stages:
        said = {name: commits.commit_in(home / name) for name in stage.results if (home / name).exists()}
        other = next((name for name, commit in said.items() if commit != commits.commit()), None)
        if other and not fresh:
            of = f"commit {said[other]}" if said[other] else "no commit"
            raise UserError(f"{other} says {of}, and the code is of {commits.commit()}: --fresh makes anew what is of "
                            "another commit")
        if other or len(said) < len(stage.results):
            left.append(stage)
    return left


def make(stages):
    """Make stages; RunError with a sentence if one fails, before which all that was made stays."""
    progress = Progress([seconds for stage in stages for seconds in stage.seconds])
    print(f"{len(stages)} stages of commit {commits.commit()}, about {sum(progress.left) / 3600:.1f} hours",
          file=sys.stderr, flush=True)
    for stage in stages:
        try:
            stage.make(progress)
        except Exception as error:
            if not isinstance(error, (UserError, RunError)):
                traceback.print_exc()
            raise RunError(f"{stage.name} failed: {first_line(error)}. What was made before it is kept; the same "
                           "command goes on there") from error


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="photos for benchmarks.minute")
    parser.add_argument("--fresh", action="store_true", help="make anew what is of another commit")
    parser.add_argument("--quick", action="store_true", help="a trial that writes nothing here")
    c = parser.parse_args(argv)
    if c.folder and not Path(c.folder).is_dir():
        raise UserError(f"there is no folder {c.folder}")
    if not c.quick:
        check_commit()
    missing = [package for module, package in NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        raise UserError(f"{', '.join(missing)} not installed: pip install -r requirements-dev.txt")
    with quality.bench_of(c.quick) as bench:
        bench.cache.mkdir(exist_ok=True)
        with files.locked(bench.cache / ".figures.lock", "the figures"):
            make(left_of(stages_of(bench, c.folder), bench.home, c.fresh))
    print(f"All figures are of commit {commits.commit()}; benchmarks/cache/blind.png waits to be judged.")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
