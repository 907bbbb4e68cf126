"""What sixteen tiny commands write, before and after a change that should change nothing.

    python -m benchmarks.golden COMMIT [NAME ...]

Each command is run by the script as it was at COMMIT (of git, checked out beside) and as it is now, in folders of
their own, on this machine, with one thread; NAME: only commands of these names. The pictures' pixels and texts, the
weights, tables and lists that they wrote, and the `key: value` lines but for seconds and memory, are compared one by
one. Prints what differs, and exits with 1 if anything does. Takes about six minutes on two cores.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from texture_diffusion_tools import exit_codes
from texture_diffusion_tools.errors import RunError, UserError, first_line

ROOT = Path(__file__).resolve().parent.parent
TINY = ["TILE_SIZE=32", "WIDTHS=(8,16)", "PRIOR=None", "EPOCHS=1", "EPOCH_TILES=16", "BATCH_SIZE=4", "SAMPLE_STEPS=3",
        "VALIDATION=0"]
COMMANDS = {  # name: the words of each run, one after another in the same folder
    "plain": ["photo.png"],
    "grey": ["grey.png"],
    "16 bits": ["deep.png"],
    "alpha": ["alpha.png"],
    "material": ["material"],
    "mask": ["photo.png MASK=mask.png SCALE=1"],
    "two textures": ["IMAGE=('photo.png','other.png')"],
    "blend": ["IMAGE=('photo.png','other.png') BLEND=map.png"],
    "wang": ["photo.png WANG=2"],
    "endless": ["photo.png OUTPUT_SIZE=endless REGION=(-40,10,130,90)"],
    "rows": ["photo.png LAYOUT=rows SAMPLER=ddim"],
    "redraw": ["photo.png REDRAW=all LAYOUT=random AUGMENT=rotations"],
    "tileable": ["photo.png TILEABLE=xy OUTPUT_SIZE=(200,150)"],
    "guide": ["photo.png GUIDE=map.png OUTPUT_SIZE=(300,200) REDRAW=gaps"],
    "region": ["photo.png EVEN_LIGHT=True", "photo.png EVEN_LIGHT=True REGION=(30,20,100,70)"],
    "resumed": ["photo.png", "photo.png EPOCHS=3 SEED=0 SAMPLES=2"],
}
# lines of a run, entries of its lists, paths and the command of what repeats it
UNSTEADY = re.compile(r"seconds|per_second|memory|^expected|^output|^[A-Z_]+ = .*\"/|^# +python ")


def blotches(height, width, channels, seed, bits=8):
    """A blotchy, grainy texture, uint8 or uint16 [height, width, channels]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 180, (height // 6 + 1, width // 6 + 1, channels)).repeat(6, 0).repeat(6, 1)
    pixels = coarse[:height, :width] + rng.random((height, width, channels)) * 40
    return (pixels * 257).astype(np.uint16) if bits == 16 else pixels.astype(np.uint8)


def write_inputs(folder):
    """The photos, maps and masks that the commands name."""
    colour, (height, width) = blotches(110, 130, 3, 0), (110, 130)
    disc = np.hypot(*np.mgrid[-55:55, -65:65]) < 20
    opaque = np.where(disc, 0, 255).astype(np.uint8)
    pictures = {"photo": colour, "grey": blotches(height, width, 1, 1)[..., 0], "other": blotches(100, 120, 3, 2),
                "deep": blotches(height, width, 1, 3, 16)[..., 0], "alpha": np.dstack([colour, opaque]),
                "mask": np.where(disc, 255, 0).astype(np.uint8),
                "map": np.linspace(0, 255, 300 * 200).reshape(200, 300).astype(np.uint8),
                "material/stone_color": colour, "material/stone_height": blotches(height, width, 1, 4)[..., 0],
                "material/stone_normal": np.dstack([*blotches(height, width, 2, 5).transpose(2, 0, 1),
                                                    np.full((height, width), 220, np.uint8)])}
    (folder / "material").mkdir(parents=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")


def digest_of(value):
    """A digest of plain values, tensors and arrays, nested as they may be."""
    if isinstance(value, dict):
        value = [[str(key), digest_of(item)] for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        value = [digest_of(item) for item in value]
    elif isinstance(value, torch.Tensor):
        value = [str(value.dtype), tuple(value.shape), value.float().numpy().tobytes()]
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def content_of(path):
    """What has to stay of a file, as a digest: a PNG's pixels and texts, a checkpoint's values, the list of results
    without files that name their folder, else its lines."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return digest_of([image.mode, image.size, image.tobytes(), {**image.text}])
    if path.suffix == ".pt":
        return digest_of(torch.load(path, weights_only=True))
    if path.name == ".made.json":
        made = json.loads(path.read_text())
        return digest_of({name: entry for name, entry in made.items() if not name.endswith(".toml")})
    return digest_of(steady(path.read_text()))


def steady(text):
    """The lines of a text that say nothing of time, memory or folders."""
    return [line for line in text.splitlines() if not UNSTEADY.search(line)]


def results_of(script, runs, folder):
    """What a script's runs wrote into a folder: {name of a file, or of a run: digest}."""
    write_inputs(folder)
    given, found = set(folder.rglob("*")), {}
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    for number, words in enumerate(runs):
        image, *others = words.split()
        command = [sys.executable, script, image, *TINY, *others]
        result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
        if result.returncode:
            raise RunError(f"{words} ended with {result.returncode}: {first_line(result.stderr.strip())}")
        found[f"run {number}"] = digest_of(steady(result.stdout))
    files = sorted(path for path in set(folder.rglob("*")) - given if path.is_file())
    return found | {str(path.relative_to(folder)): content_of(path) for path in files}


def differences(scripts, runs):
    """What two scripts' runs wrote otherwise: names, each with which of the two has it."""
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor() as both:
        folders = [Path(work, "before"), Path(work, "after")]
        before, after = both.map(results_of, scripts, [runs, runs], folders)
    changed = [name for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted([f"{name} differs" for name in changed] + [f"{name} is gone" for name in before.keys() - after.keys()]
                  + [f"{name} is new" for name in after.keys() - before.keys()])


def main():
    """The command line."""
    commit, *names = sys.argv[1:] or ["--help"]
    unknown = set(names) - set(COMMANDS)
    if commit == "--help" or unknown:
        print(__doc__)
        raise UserError(f"the commands are {', '.join(COMMANDS)}")

    with tempfile.TemporaryDirectory() as old:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
        if archive.returncode:
            raise UserError(f"git has no commit {commit} here")
        subprocess.run(["tar", "x", "-C", old], input=archive.stdout, check=True)
        scripts, wrong = [Path(old, "texture_diffusion.py"), ROOT / "texture_diffusion.py"], 0
        for name in names or COMMANDS:
            found = differences(scripts, COMMANDS[name])
            print(f"{name}: {'the same' if not found else '; '.join(found)}", flush=True)
            wrong += bool(found)
    if wrong:
        raise RunError(f"{wrong} of {len(names or COMMANDS)} commands do not write what they wrote at {commit}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
