"""How good the drawn textures are, beside what a person would use instead.

    python -m benchmarks.quality [FOLDER] [--quick] [--systems ours,rows] [--exemplars stones,brick] [--seeds 3]

For samples/stones.png, scikit-image's brick, grass and gravel and each picture in FOLDER: trains, draws, lets the peers
do the same in as many seconds as 50 epochs take, and scores all (see benchmarks/scores.py). Takes hours. All that is
done is kept in benchmarks/cache, of each commit apart: a run that was stopped goes on by the same command.

Prints a table for each exemplar; when all is done, writes benchmarks/RESULTS.md and docs/contact_<exemplar>.jpg.
--quick takes tiny constants and two small photos, finishes in three minutes and writes nothing in the repository: its
figures mean nothing, it shows that all runs.

ours                                     texture_diffusion.py as it is, with the seeds 0, 1, ...; all others with seed 0
gaps                                     with REDRAW=gaps
50 epochs                                trained for longer
rows                                     with LAYOUT=rows
stacked, lucidrains, quilting, posterior see benchmarks/peers
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import re
import runpy
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

import texture_diffusion as td
from benchmarks import Progress, commits, scores
from benchmarks.commits import ROOT
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.running import devices, exit_codes, files
from texture_diffusion_tools.running.errors import RunError, Stopped, UserError
from texture_diffusion_tools.writing import png

SCRIPT = "texture_diffusion.py"
OURS = {"ours": {}, "gaps": {"REDRAW": "gaps"}, "50 epochs": {"EPOCHS": 50},
        "rows": {"LAYOUT": "rows"}}  # what is changed in the default constants
UNTRAINED = ("quilting", "posterior")
PEERS = {"stacked": "ordered", "lucidrains": "matched", **dict.fromkeys(UNTRAINED)}  # LAYOUT; None: lays out nothing
SYSTEMS = (*OURS, *PEERS)
SECONDS = dict(zip(SYSTEMS, (105, 130, 500, 170, 580, 880, 30, 45)))  # of one texture and its scores, on 2 cores
SHOWN = ("ours", "gaps", "50 epochs", *PEERS)  # on the contact sheets
MAX_SIDE = 640  # of the exemplars, px
SCALE = 3
MORE_SEED = 8  # of samples/draw_stones.py, for more of the default exemplar's texture
QUICK = {"TILE_SIZE": 32, "WIDTHS": (8, 16), "PRIOR": None, "EPOCHS": 2, "EPOCH_TILES": 32, "TIMESTEPS": 50,
         "SAMPLE_STEPS": 3}
QUICK_SIDE, QUICK_SECONDS = 96, 2  # of the exemplars, px; of a peer's training
SHEET_SIDE, SHEET_COLUMNS, LABEL = 384, 3, 20  # of a contact sheet: side of a crop, crops a row, height of a label


class Exemplar(NamedTuple):
    """A photo of a texture."""

    name: str
    path: Path
    digest: str  # of the file, 8 hexadecimal digits


class Job(NamedTuple):
    """A texture to be made and scored."""

    exemplar: Exemplar
    system: str
    seed: int


class Bench(NamedTuple):
    """Where the benchmark keeps its files and what it changes in the default constants."""

    cache: Path
    constants: dict
    quick: bool
    home: Path = ROOT  # where results go, to its folders benchmarks/ and docs/


# =============================================================================================
# Exemplars and cache
# =============================================================================================


def exemplars_of(bench, folder, names):
    """The exemplars: ours, scikit-image's, those in folder (or None); only those in names, if there are any."""
    from skimage import data

    known = {"stones": np.asarray(Image.open(ROOT / "samples/stones.png").convert("RGB"))}
    for name in ["gravel"] if bench.quick else ["brick", "grass", "gravel"]:
        known[name] = getattr(data, name)()
    paths = {}
    for name, pixels in known.items():
        paths[name] = bench.cache / "exemplars" / f"{name}.png"
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        side = QUICK_SIDE if bench.quick else None
        png.save_png(paths[name], pixels[:side, :side])
    pictures = sorted(Path(folder).iterdir()) if folder else []
    paths.update((path.stem, path) for path in pictures if path.suffix.lower() in Image.registered_extensions())
    unknown = set(names) - set(paths)
    if unknown:
        raise UserError(f"there is no exemplar {', '.join(sorted(unknown))}; there are {', '.join(paths)}")
    return [Exemplar(name, path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
            for name, path in paths.items() if name in names or not names]


def folder_of(bench, job):
    """The folder of a job in the cache: another one for every commit."""
    exemplar = f"{job.exemplar.name}-{job.exemplar.digest}"
    return bench.cache / commits.commit() / exemplar / f"{job.system}-seed{job.seed}"


def cached(path, work):
    """What work() returned when it was first done, kept as JSON at path."""
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    found = work()
    commits.check_unchanged()
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, lambda file: file.write(json.dumps(found).encode()))
    return found


# =============================================================================================
# Textures
# =============================================================================================


def make_texture(bench, job):
    """The texture of a job, made if it is not in the cache: {"training", "drawing" in s, "memory" in GB}, with the
    picture at folder_of(bench, job) / "texture.png"."""
    maker = make_peer if job.system in PEERS else make_ours
    return cached(folder_of(bench, job) / "made.json", lambda: maker(bench, job))


def make_ours(bench, job):
    """Run the script; of a run that was stopped it goes on from the checkpoint."""
    folder = folder_of(bench, job)
    changes = {**OURS[job.system], **bench.constants, "IMAGE": job.exemplar.path, "SEED": job.seed}
    figures, text = run_script(folder, changes)
    png.save_png(folder / "texture.png", np.asarray(Image.open(figures["output"]).convert("RGB")))
    return {"training": training_seconds(text), "drawing": float(figures["sampling_seconds"]),
            "memory": float(figures["peak_memory_gb"].replace("unknown", "nan"))}


def run_script(folder, changes, models=None):
    """Run the script with other constants {name: value}, its results in a folder, its models there or in another one.
    Returns the figures of its last lines {name: text} with the peak memory of its process, if known, and all that was
    said in this folder, in earlier runs, too."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {"OUTPUT_DIR": folder, "CHECKPOINT_DIR": models or folder}
    words = [f"{name}={value}" for name, value in {**changes, **places}.items()]
    with open(folder / "run.log", "a", encoding="utf-8") as log:
        log.write("\n")  # the last run may have been killed in the middle of a line
        log.flush()
        code, memory = watch([sys.executable, "-u", str(ROOT / SCRIPT), *words], log)
    text = (folder / "run.log").read_text(encoding="utf-8")
    if code:
        raise RunError(f"{SCRIPT} ended with {code} in {folder}: {text.strip().splitlines()[-1]}")
    figures = dict(re.findall(r"^(\w+): (.*)$", text, re.M))
    return figures | ({"peak_memory_gb": f"{memory / 1e9:.2f}"} if memory else {}), text


def watch(command, log):
    """Run a command with its output in a file; returns (exit code, peak memory in bytes, None if unknown). It hears of
    stop signals from here alone, once, so that it saves what it has."""
    memory = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            while process.poll() is None:
                memory = high_water(process.pid) or memory
                time.sleep(0.2)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, memory


def high_water(process="self"):
    """Peak memory of a process in bytes, None if unknown or where a GPU's memory is what counts.

    Not that of resource.getrusage: on Linux it begins at the memory of the process that started this one.
    """
    status = Path(f"/proc/{process}/status")
    try:
        found = None if torch.cuda.is_available() else re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def training_seconds(log):
    """The seconds of all training in the log of a run, which may have been stopped and have gone on: what was done
    in a part that was stopped is in the forecasts of that part and of the next."""
    forecasts = [60 * float(minutes) for minutes in re.findall(r"^expected: training ([\d.]+) min", log, re.M)]
    measured = [float(seconds) for seconds in re.findall(r"^training_seconds: ([\d.]+)$", log, re.M)]
    last = next((seconds for seconds in measured if seconds), 0)
    return last if len(forecasts) == 1 else max(forecasts + [last])


def peer_process(system, path, layout_kind, tile, seconds, seed, target):
    """Make a peer's texture of the photo at path and save it at target; returns (wall seconds, bytes)."""
    photo = td.load_photo(path, None, MAX_SIDE)
    module, start = importlib.import_module(f"benchmarks.peers.{system}"), time.perf_counter()
    pixels = module.make(photo, layout_of(photo, layout_kind, tile, seed), tile, seconds, seed)
    height, width = (SCALE * side for side in photo.x.shape[1:])
    png.save_png(target, pixels[:height, :width])
    return time.perf_counter() - start, high_water() or devices.peak_memory()


def make_peer(bench, job):
    """A peer's texture, in a process of its own (its memory is measured), after as long a training as 50 epochs."""
    folder = folder_of(bench, job)
    folder.mkdir(parents=True, exist_ok=True)
    seconds = QUICK_SECONDS if bench.quick else 0 if job.system in UNTRAINED else \
        make_texture(bench, job._replace(system="50 epochs"))["training"]
    task = (job.system, job.exemplar.path, PEERS[job.system], tile_of(bench), seconds, job.seed, folder / "texture.png")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            wall, memory = pool.submit(peer_process, *task).result()
        except Stopped:  # else what is stopped would be waited for
            for child in multiprocessing.active_children():
                child.terminate()
            raise
    training = 0 if job.system in UNTRAINED else seconds
    return {"training": training, "drawing": wall - training, "memory": memory / 1e9 if memory else float("nan")}


def tile_of(bench):
    """TILE_SIZE of the runs."""
    return bench.constants.get("TILE_SIZE") or importlib.import_module("benchmarks.peers").constants().TILE_SIZE


def layout_of(photo, kind, tile, seed):
    """The Layout of a texture SCALE times the photo; kind None: no tile is real."""
    grid = grids.make_grid(*(SCALE * side for side in photo.x.shape[1:]), tile)
    return scores.all_drawn(grid) if kind is None else td.lay_out(photo, kind, grid, seed)


# =============================================================================================
# Scores
# =============================================================================================


def score_job(bench, job, photo, real, judge=scores.judged):
    """Scores and costs of a job, name -> value; judge: one of the functions of benchmarks/scores.py that score."""
    made, folder, tile = make_texture(bench, job), folder_of(bench, job), tile_of(bench)
    kind = PEERS[job.system] if job.system in PEERS else OURS[job.system].get("LAYOUT", "matched")

    def work():
        pixels = np.asarray(Image.open(folder / "texture.png").convert("RGB"))
        return judge(pixels, layout_of(photo, kind, tile, job.seed), tile, real)

    return {**made, **cached(folder / "scores.json", work)}


def bounds_of(bench, exemplar, photo, real):
    """Floor and ceiling, and for the drawn exemplar "true floor", more of the same; name -> scores."""
    tile = tile_of(bench)

    def more():
        draw = runpy.run_path(str(ROOT / "samples/draw_stones.py"))["draw"]
        pixels = draw(*(SCALE * side for side in photo.x.shape[1:]), MORE_SEED)
        return scores.judged(pixels, layout_of(photo, "random", tile, 0), tile, real)

    def work():
        found = {"floor": scores.floor(real, tile), "ceiling": scores.ceiling(real, tile)}
        return {**found, "true floor": more()} if exemplar.name == "stones" else found

    return cached(bench.cache / commits.commit() / f"{exemplar.name}-{exemplar.digest}" / "bounds.json", work)


def mean_of(rows):
    """The mean of scores that several seeds gave, name -> value."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "drift"}


def measure(bench, exemplar, jobs, progress):
    """All rows of an exemplar's table, label -> scores; a peer that is not there is left out, with a sentence."""
    photo = td.load_photo(exemplar.path, None, MAX_SIDE)
    real = scores.reference(photo.pixels(photo.x), tile_of(bench))
    table, ours = bounds_of(bench, exemplar, photo, real), []
    for job in jobs:
        try:
            found = score_job(bench, job, photo, real)
        except (UserError, ModuleNotFoundError) as error:
            if job.system not in PEERS:
                raise
            progress(f"{exemplar.name}, {job.system}: left out, {error}")
            continue
        label = f"ours, seed {job.seed}" if job.system == "ours" else job.system
        table[label] = found
        ours += [found] if job.system == "ours" else []
        progress(f"{exemplar.name}, {label}")
    if len(ours) == 1:
        return {"ours" if row is ours[0] else label: row for label, row in table.items()}
    return {**table, "ours": mean_of(ours)} if ours else table


# =============================================================================================
# Targets
# =============================================================================================


def swd_share(table):
    """Where the patch SWD lies between floor (the true one, if there is one) and ceiling, 0 to 1."""
    low, high = ({**table["floor"], **table.get("true floor", {})}["patch SWD"], table["ceiling"]["patch SWD"])
    return (table["ours"]["patch SWD"] - low) / (high - low)


def below_trained_peers(table):
    """Whether C2ST is below that of every trained peer, None if none was measured."""
    found = [table[peer]["C2ST"] for peer in ("stacked", "lucidrains") if peer in table]
    return table["ours"]["C2ST"] < min(found) if found else None


def below_peers_as_new(table):
    """Whether C2ST is at most that of every peer of equal or higher novelty, None if no peer was measured."""
    found, ours = [table[peer] for peer in PEERS if peer in table], table["ours"]
    return all(peer["C2ST"] >= ours["C2ST"] for peer in found if peer["novelty"] >= ours["novelty"]) if found else None


def plain(name, met):
    """A target's test of one score: (its value, whether met(value))."""
    return lambda table: (table["ours"][name], met(table["ours"][name]))


def within(name):
    """A target's test that a seam lies among those of lines laid at random."""
    def test(table):
        low, high = table["floor"][name]
        return table["ours"][name], low <= table["ours"][name] <= high
    return test


TARGETS = {  # what is asked for -> table of an exemplar -> (value, met)
    "C2ST at most 0.80": plain("C2ST", lambda value: value <= 0.8),
    "C2ST below every trained peer's": lambda table: (table["ours"]["C2ST"], below_trained_peers(table)),
    "C2ST not above that of any peer as new": lambda table: (table["ours"]["C2ST"], below_peers_as_new(table)),
    "statistics at most 0.40": plain("statistics", lambda value: value <= 0.4),
    "spectrum at most 1.5 dB": plain("spectrum dB", lambda value: value <= 1.5),
    "patch SWD, (score - floor) / (ceiling - floor), at most 0.08":
        lambda table: (swd_share(table), swd_share(table) <= 0.08),
    "seam 1st as on lines laid at random": within("seam 1st"),
    "seam 2nd as on lines laid at random": within("seam 2nd"),
    "seam low as on lines laid at random": within("seam low"),
    "contrast 0.97 to 1.03": plain("contrast", lambda value: 0.97 <= value <= 1.03),
    "colour at most 0.6, or as random halves of the photo":
        lambda table: (table["ours"]["colour"], table["ours"]["colour"] <= max(0.6, table["floor"]["colour"])),
    "novelty 0.90 to 1.10": plain("novelty", lambda value: 0.9 <= value <= 1.1),
    "drawing at most 45 s": plain("drawing", lambda value: value <= 45),
}


def targets(tables):
    """The Markdown table of targets, met or not, by exemplar; tables: exemplar -> label -> scores."""
    tables = {name: table for name, table in tables.items() if "ours" in table}
    if not tables:
        return "Ours was not measured."
    words = {True: "met", False: "**not met**", None: "(no peer measured)"}
    lines = ["| target | " + " | ".join(tables) + " |", "|" + "---|" * (len(tables) + 1)]
    for name, test in TARGETS.items():
        results = [test(table) for table in tables.values()]
        cells = [f"{value:.2f} {words[met]}" for value, met in results]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name in ("seam 1st", "seam 2nd", "seam low"):
        mean = np.mean([table["ours"][name] for table in tables.values()])
        lines.append(f"\n{name} in the mean of the exemplars, 0.95 to 1.05: {mean:.3f}, "
                     f"{'met' if 0.95 <= mean <= 1.05 else '**not met**'}.")
    return "\n".join(lines)


# =============================================================================================
# What is written
# =============================================================================================


def markdown(table):
    """The Markdown of an exemplar's table of scores, its costs and its drifts."""
    lines = [scores.markdown_header("system")] + [scores.markdown_row(label, row) for label, row in table.items()]
    lines += ["", "| system | training s | drawing s | peak memory GB |", "|---|---|---|---|"]
    lines += [f"| {label} | {row['training']:.0f} | {row['drawing']:.0f} | {row['memory']:.1f} |"
              for label, row in table.items() if "training" in row]
    drifts = [scores.drift_line(label, row) for label, row in table.items()]
    return "\n".join(lines + [f"\n{line}" for line in drifts if line])


def write_results(path, tables):
    """RESULTS.md: tables, exemplar -> label -> scores."""
    text = ["Written by `python -m benchmarks.quality`; what the scores mean is in [scores.py](scores.py). Floor: the "
            "photo against itself; true floor: more of the same texture from its generator; ceiling: the photo with "
            "its pixels shuffled. Ours is the mean of its seeds; all else has seed 0. Peers trained as long as 50 "
            "epochs."]
    text += [f"## {name}\n\n{markdown(table)}\n\n![{name}: exemplar and a part of each texture]"
             f"(../docs/contact_{name}.jpg)" for name, table in tables.items()]
    text.append(f"## Targets\n\n{targets(tables)}")
    commits.write_page(path, "Results", "\n\n".join(text))


def sheet_of(rows, gap):
    """Pictures (Pillow) side by side in rows, gap pixels apart, on white."""
    widths = [sum(picture.width + gap for picture in row) - gap for row in rows]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new("RGB", (max(widths), sum(heights) + gap * (len(rows) - 1)), "white")
    y = 0
    for row, height in zip(rows, heights):
        x = 0
        for picture in row:
            sheet.paste(picture, (x, y))
            x += picture.width + gap
        y += height + gap
    return sheet


def middle(picture, width, height):
    """The middle of a Pillow picture."""
    x, y = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((x, y, x + width, y + height))


def contact_sheet(path, pictures):
    """A JPG with the middle of pictures {label: uint8 [H, W, 3]}, each under its label."""
    side = min(SHEET_SIDE, *(min(picture.shape[:2]) for picture in pictures.values()))
    columns = min(SHEET_COLUMNS, len(pictures))
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * (side + LABEL)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (label, picture) in enumerate(pictures.items()):
        row, column = divmod(place, columns)
        y, x = ((length - side) // 2 for length in picture.shape[:2])
        sheet.paste(Image.fromarray(picture[y:y + side, x:x + side]), (column * side, row * (side + LABEL) + LABEL))
        pen.text((column * side + 4, row * (side + LABEL) + 4), label, "black")
    commits.save_picture(path, sheet)


def draw_sheet(bench, exemplar, jobs, path):
    """The contact sheet of an exemplar: itself and the textures of SHOWN with seed 0."""
    photo = td.load_photo(exemplar.path, None, MAX_SIDE)
    pictures = {exemplar.name: photo.pixels(photo.x)}
    for job in jobs:
        texture = folder_of(bench, job) / "texture.png"
        if job.system in SHOWN and job.seed == 0 and texture.exists():
            pictures[job.system] = np.asarray(Image.open(texture).convert("RGB"))
    contact_sheet(path, pictures)


# =============================================================================================
# main
# =============================================================================================


def plan_of(bench, exemplars, systems, seeds):
    """The jobs of each exemplar: every seed of ours, seed 0 of the others; a trial asks for the others only once."""
    return [[Job(exemplar, system, seed) for system in SYSTEMS if system in systems
             and (system == "ours" or exemplar.name == "stones" or not bench.quick)
             for seed in range(seeds if system == "ours" else 1)] for exemplar in exemplars]


def seconds_of(plan):
    """What each job of a plan is expected to take."""
    return [SECONDS[job.system] for jobs in plan for job in jobs]


def run(bench, exemplars, plan, progress):
    """Do what is not done, print the tables, then write contact sheets and RESULTS.md."""
    tables = {}
    for exemplar, jobs in zip(exemplars, plan):
        tables[exemplar.name] = measure(bench, exemplar, jobs, progress)
        print(f"\n{exemplar.name}\n\n{markdown(tables[exemplar.name])}\n", flush=True)
    print(targets(tables), flush=True)
    for exemplar, jobs in zip(exemplars, plan):
        draw_sheet(bench, exemplar, jobs, bench.home / f"docs/contact_{exemplar.name}.jpg")
    write_results(bench.home / "benchmarks/RESULTS.md", tables)


@contextlib.contextmanager
def trial():
    """The Bench of a trial: tiny, all of it in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as work:
        for name in ("benchmarks", "docs"):
            (Path(work) / name).mkdir()
        yield Bench(Path(work) / "cache", {"MAX_SIDE": MAX_SIDE, **QUICK}, True, Path(work))


def bench_of(quick):
    """The Bench to enter: the repository's, or of a trial."""
    return trial() if quick else contextlib.nullcontext(Bench(ROOT / "benchmarks/cache", {"MAX_SIDE": MAX_SIDE}, False))


def arguments(argv=None):
    """The command line, as a namespace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="pictures to take as exemplars beside the built-in ones")
    parser.add_argument("--quick", action="store_true", help="a trial in three minutes that writes nothing here")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="what is to be done, some of %(default)s")
    parser.add_argument("--exemplars", default="", help="names, comma-separated; default: all")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, 11), help="how many seeds of ours")
    c = parser.parse_args(argv)
    c.systems, c.exemplars = (list(filter(None, text.split(","))) for text in (c.systems, c.exemplars))
    unknown = set(c.systems) - set(SYSTEMS)
    if unknown or (c.folder and not Path(c.folder).is_dir()):
        parser.error(f"unknown system {', '.join(unknown)}" if unknown else f"there is no folder {c.folder}")
    return c


def main():
    """The command line."""
    c = arguments()
    commits.commit()  # of the code as it begins
    with bench_of(c.quick) as bench:
        exemplars = exemplars_of(bench, c.folder, c.exemplars)
        plan = plan_of(bench, exemplars, c.systems, 1 if c.quick else c.seeds)
        run(bench, exemplars, plan, Progress(seconds_of(plan)))


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
