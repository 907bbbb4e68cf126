"""How long training and drawing take on this machine: what a run says before it begins, of a run that is
begun for that alone and ended then."""

import asyncio
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from texture_diffusion_tools.running import events

from . import pool, runs

EXPECTED = re.compile(r"expected: training ([\d.]+) (s|min), drawing ([\d.]+) (s|min) "
                      r"for (\d+) x (\d+) x (\d+) pixels")
EPOCHS = 5  # of the run that is asked: seconds are said as whole numbers
PATIENCE = 120  # seconds that it may take until it says that
EVERY = 0.2  # seconds between looks at what it said


class Costs(NamedTuple):
    """What an epoch and a million pixels take, seconds."""

    epoch: float
    megapixel: float

    def says(self, epochs, size):
        """A sentence for so many epochs and a texture of a size (width, height)."""
        training, drawing = epochs * self.epoch, self.megapixel * size[0] * size[1] / 1e6
        if not epochs:
            return f"about {duration(drawing)} of drawing"
        return f"about {duration(training + drawing)}: {duration(training)} of training, " \
               f"{duration(drawing)} of drawing"


def duration(seconds):
    """Seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def expected(said):
    """What a run said that it will take, or ""."""
    return next((text for text in said if EXPECTED.match(text)), "")


def told(said, epochs):
    """The Costs that a run of so many epochs, which it begins with, said; None if it did not."""
    found = EXPECTED.match(expected(said))
    if found is None or not epochs:
        return None
    training, drawing = (float(found[k]) * (60 if found[k + 1] == "min" else 1) for k in (1, 3))
    count, width, height = (int(found[k]) for k in (5, 6, 7))
    return Costs(training / epochs, drawing / (count * width * height / 1e6))


async def measured(arguments):
    """The Costs of the script with arguments, None if it does not say them. No file of it stays."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        heard = runs.Told(Path(folder) / "events.jsonl")
        words = [*arguments, f"EPOCHS={EPOCHS}", f"OUTPUT_DIR={folder}", f"CHECKPOINT_DIR={folder}"]
        spawned = multiprocessing.get_context("spawn")
        process = spawned.Process(target=begin, args=(words, str(heard.path)))
        process.start()
        try:
            for _ in range(round(PATIENCE / EVERY)):
                heard.read()
                if expected(heard.said) or not process.is_alive():
                    break
                await asyncio.sleep(EVERY)
        finally:
            process.kill()
            process.join()
    return told(heard.said, EPOCHS)


def begin(words, path):
    """The script in a process that ends with the page; what it prints goes nowhere."""
    pool.end_with_parent()
    os.environ[events.EVENTS] = path
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    import texture_diffusion as td

    td.main(words)
