"""How good the drawn textures are, beside what a person would use instead.

    python -m benchmarks.quality [FOLDER] [--quick] [--systems ours,rows] [--exemplars stones,brick] [--seeds 3]

For samples/stones.png, scikit-image's brick, grass and gravel and each picture in FOLDER: trains with the default
constants, draws, lets the peers do the same in the same minutes, and scores all (see benchmarks/scores.py). Takes
hours. Everything that is done is kept in benchmarks/cache: a run that was stopped goes on by the same command.

Prints a table for each exemplar, writes benchmarks/RESULTS.md and docs/contact_<exemplar>.jpg. --quick takes tiny
constants and two small photos, finishes in three minutes and writes nothing in the repository: its figures mean
nothing, it shows that all runs.

ours            texture_diffusion.py, with the seeds 0, 1, ...; the others with seed 0
rows            the same model, LAYOUT=rows
stacked, lucidrains, quilting        see benchmarks/peers
"""

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
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

import benchmarks
import texture_diffusion as td
from benchmarks import scores
from texture_tools import devices, files, png
from texture_tools.errors import RunError, UserError

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "texture_diffusion.py"
TOOL = (SCRIPT, "texture_tools")
SCORES = ("benchmarks/scores.py", "texture_tools/measures.py")
PEERS = {"stacked": "ordered", "lucidrains": "matched", "quilting": None}  # LAYOUT; None: lays out nothing
SYSTEMS = ("ours", "rows", *PEERS)
MAX_SIDE = 640  # of the exemplars, px
SCALE = 3
MAX_SEEDS = 10
MORE_SEED = 8  # of samples/draw_stones.py, for more of the default exemplar's texture
QUICK = {"TILE_SIZE": 32, "WIDTHS": "(8,16)", "PRIOR": None, "EPOCHS": 2, "EPOCH_TILES": 32, "TIMESTEPS": 50,
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


def commit_of(*paths):
    """The last commit that changed files of the repository, with a digest of what is not committed."""
    def git(*words):
        return subprocess.run(["git", *words, "--", *paths], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changes = git("diff", "HEAD")
    return (git("log", "-1", "--format=%h") or "no-commit") + \
        (f"-{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else "")


def folder_of(bench, job):
    """The folder of a job in the cache: it is another one for every commit that changed what makes the texture."""
    peer = [f"benchmarks/peers/{name}.py" for name in ("__init__", job.system)]
    makers = [*TOOL, *peer] if job.system in PEERS else TOOL
    exemplar = f"{job.exemplar.name}-{job.exemplar.digest}"
    return bench.cache / commit_of(*makers) / exemplar / f"{job.system}-seed{job.seed}"


def cached(path, work):
    """What work() returned when it was first done, kept as JSON at path."""
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    found = work()
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
    constants = {**bench.constants, "SEED": job.seed, "OUTPUT_DIR": folder, "CHECKPOINT_DIR": folder}
    if job.system == "rows":
        trained = job._replace(system="ours")
        make_texture(bench, trained)
        constants.update(LAYOUT="rows", EPOCHS=0, CHECKPOINT_DIR=folder_of(bench, trained))
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"{name}={value}" for name, value in constants.items()]
    with open(folder / "run.log", "a", encoding="utf-8") as log:
        log.write("\n")  # the last run may have been killed in the middle of a line
        log.flush()
        code, memory = watch([sys.executable, "-u", str(ROOT / SCRIPT), f"IMAGE={job.exemplar.path}", *words], log)
    text = (folder / "run.log").read_text(encoding="utf-8")
    if code:
        raise RunError(f"{SCRIPT} ended with {code} on {job.exemplar.name}: {text.strip().splitlines()[-1]}")
    figures = dict(re.findall(r"^(\w+): (.*)$", text, re.M))
    picture = Image.open(figures["output"])
    png.save_png(folder / "texture.png", np.asarray(picture.convert("RGB")))
    return {"training": training_seconds(text), "drawing": float(figures["sampling_seconds"]),
            "memory": memory / 1e9 if memory else float(figures["peak_memory_gb"].replace("unknown", "nan"))}


def watch(command, log):
    """Run a command with its output in a file; returns (exit code, peak memory in bytes, None if unknown)."""
    memory = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        while process.poll() is None:
            memory = high_water(process.pid) or memory
            time.sleep(0.2)
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
    """A peer's texture, in a process of its own (its memory is measured), after as long a training as ours had."""
    folder = folder_of(bench, job)
    folder.mkdir(parents=True, exist_ok=True)
    seconds = QUICK_SECONDS if bench.quick else make_texture(bench, job._replace(system="ours"))["training"]
    task = (job.system, job.exemplar.path, PEERS[job.system], tile_of(bench), seconds, job.seed, folder / "texture.png")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        wall, memory = pool.submit(peer_process, *task).result()
    training = 0 if job.system == "quilting" else seconds  # which has nothing to train
    return {"training": training, "drawing": wall - training, "memory": memory / 1e9 if memory else float("nan")}


def tile_of(bench):
    """TILE_SIZE of the runs."""
    return bench.constants.get("TILE_SIZE") or importlib.import_module("benchmarks.peers").constants().TILE_SIZE


def layout_of(photo, kind, tile, seed):
    """The Layout of a texture SCALE times the photo; kind None: no tile is real."""
    grid = td.make_grid(*(SCALE * side for side in photo.x.shape[1:]), tile)
    return scores.all_drawn(grid) if kind is None else td.lay_out(photo, kind, grid, seed)


# =============================================================================================
# Scores
# =============================================================================================


def score_job(bench, job, photo, real):
    """Scores and costs of a job, name -> value."""
    made, folder, tile = make_texture(bench, job), folder_of(bench, job), tile_of(bench)
    kind = PEERS.get(job.system, "rows" if job.system == "rows" else "matched")

    def work():
        pixels = np.asarray(Image.open(folder / "texture.png").convert("RGB"))
        return scores.score(pixels, layout_of(photo, kind, tile, job.seed), tile, real)

    return {**made, **cached(folder / f"scores-{commit_of(*SCORES)}.json", work)}


def bounds_of(bench, exemplar, photo, real):
    """Floor and ceiling, and for the drawn exemplar "true floor", more of the same; name -> scores."""
    tile = tile_of(bench)

    def more():
        draw = runpy.run_path(str(ROOT / "samples/draw_stones.py"))["draw"]
        pixels = draw(*(SCALE * side for side in photo.x.shape[1:]), MORE_SEED)
        return scores.score(pixels, layout_of(photo, "random", tile, 0), tile, real)

    def work():
        found = {"floor": scores.floor(real, tile), "ceiling": scores.ceiling(real, tile)}
        return {**found, "true floor": more()} if exemplar.name == "stones" else found

    name = f"{exemplar.name}-{exemplar.digest}.json"
    return cached(bench.cache / f"bounds-{commit_of(*SCORES)}" / name, work)


def mean_of(rows):
    """The mean of scores that several seeds gave, name -> value."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "drift"}


def measure(bench, exemplar, jobs, progress):
    """All rows of an exemplar's table, label -> scores; a peer that is not there is left out, with a sentence."""
    photo = td.load_photo(exemplar.path, None, MAX_SIDE)
    real = scores.reference(photo.pixels(photo.x), tile_of(bench))
    table, ours = bounds_of(bench, exemplar, photo, real), []
    for job in jobs:
        start = time.perf_counter()
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
        progress(f"{exemplar.name}, {label}: {time.perf_counter() - start:.0f} s")
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


def write_results(path, tables, sheets):
    """RESULTS.md: tables, exemplar -> label -> scores; sheets, exemplar -> path from the file's folder."""
    text = [f"# Results\n\nWritten by `python -m benchmarks.quality`; what the scores mean is in "
            f"[scores.py](scores.py). Commit of the tool: {commit_of(*TOOL)}; of the scores: "
            f"{commit_of(*SCORES)}. Machine: {benchmarks.machine()}. Floor: the photo against itself; "
            "true floor: more of the same texture from its generator; ceiling: the photo with its pixels shuffled. "
            "Peers trained as long as ours, seed 0."]
    text += [f"## {name}\n\n{markdown(table)}\n\n![{name}: exemplar and a part of each texture]({sheets[name]})"
             for name, table in tables.items()]
    text.append(f"## Targets\n\n{targets(tables)}")
    files.write_atomically(path, lambda file: file.write(("\n\n".join(text) + "\n").encode()))


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
    files.write_atomically(path, lambda file: sheet.save(file, format="JPEG", quality=90))


def draw_sheet(bench, exemplar, jobs, path):
    """The contact sheet of an exemplar: itself and the texture of each system with seed 0."""
    photo = td.load_photo(exemplar.path, None, MAX_SIDE)
    pictures = {exemplar.name: photo.pixels(photo.x)}
    for job in jobs:
        texture = folder_of(bench, job) / "texture.png"
        if job.seed == 0 and texture.exists():
            pictures[job.system] = np.asarray(Image.open(texture).convert("RGB"))
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(path, pictures)


# =============================================================================================
# main
# =============================================================================================


def jobs_of(bench, exemplar, systems, seeds):
    """The jobs of an exemplar: every seed of ours, seed 0 of the others, and what was done in an earlier run, which is
    shown again; a trial asks the peers only once."""
    if bench.quick and exemplar.name != "stones":
        systems = [system for system in systems if system not in PEERS]
    jobs = [Job(exemplar, system, seed) for system in SYSTEMS for seed in range(MAX_SEEDS if system == "ours" else 1)]
    return [job for job in jobs if job.system in systems and job.seed < seeds
            or (folder_of(bench, job) / "made.json").exists()]


def run(bench, folder, systems, names, seeds, results, docs):
    """Do what is not done, print the tables, write results and contact sheets; returns exemplar -> label -> scores."""
    exemplars, tables, sheets = exemplars_of(bench, folder, names), {}, {}
    plan = [jobs_of(bench, exemplar, systems, seeds) for exemplar in exemplars]
    total, done = sum(map(len, plan)), 0

    def progress(sentence):
        nonlocal done
        done += 1
        print(f"[{done}/{total}] {sentence}", file=sys.stderr, flush=True)

    for exemplar, jobs in zip(exemplars, plan):
        sheet = docs / f"contact_{exemplar.name}.jpg"
        tables[exemplar.name] = measure(bench, exemplar, jobs, progress)
        draw_sheet(bench, exemplar, jobs, sheet)
        sheets[exemplar.name] = Path(os.path.relpath(sheet, results.parent)).as_posix()
        print(f"\n{exemplar.name}\n\n{markdown(tables[exemplar.name])}\n", flush=True)
        write_results(results, tables, sheets)
    print(targets(tables))
    return tables


def arguments(argv=None):
    """The command line, as a namespace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="pictures to take as exemplars beside the built-in ones")
    parser.add_argument("--quick", action="store_true", help="a trial in three minutes that writes nothing here")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="what is to be done, some of %(default)s; "
                        "what is in the cache is always shown")
    parser.add_argument("--exemplars", default="", help="names, comma-separated; default: all")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, MAX_SEEDS + 1), help="how many seeds of ours")
    c = parser.parse_args(argv)
    c.systems, c.exemplars = (list(filter(None, text.split(","))) for text in (c.systems, c.exemplars))
    unknown = set(c.systems) - set(SYSTEMS)
    if unknown or (c.folder and not Path(c.folder).is_dir()):
        parser.error(f"unknown system {', '.join(unknown)}" if unknown else f"there is no folder {c.folder}")
    return c


def main():
    """The command line."""
    c = arguments()
    try:
        if c.quick:
            with tempfile.TemporaryDirectory() as work:
                bench = Bench(Path(work), {"MAX_SIDE": MAX_SIDE, **QUICK}, True)
                run(bench, c.folder, c.systems, c.exemplars, 1, Path(work) / "RESULTS.md", Path(work))
        else:
            bench = Bench(ROOT / "benchmarks/cache", {"MAX_SIDE": MAX_SIDE}, False)
            run(bench, c.folder, c.systems, c.exemplars, c.seeds, ROOT / "benchmarks/RESULTS.md", ROOT / "docs")
    except (UserError, RunError) as error:
        sys.exit(f"benchmarks.quality: {error}")


if __name__ == "__main__":
    main()
