"""How quickly the page answers.

    python -m benchmarks.page

Serves the page from an empty folder and measures: how long it takes to start, and to be ready in a browser (chromium
and chromedriver); how long a texture of SIDE x SIDE pixels takes to be cut into a pyramid, and each of some of its
tiles to be had; and how long answers take while a training with the default constants is under way. Prints a table.
"""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyvips

import benchmarks
from benchmarks.quality import ROOT
from page import projects, workers

SIDE = 16384  # of the large texture, px
TILES = 400  # that are asked for
ANSWERS, EVERY = 60, 0.25  # while training: how many, and how many seconds apart
PORT = 8497


class Page:
    """page.py in a folder."""

    def __init__(self, folder):
        start = time.perf_counter()
        self.process = subprocess.Popen([sys.executable, ROOT / "page.py", "--no-browser", "--port", str(PORT)],
                                        cwd=folder, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.seconds = time.perf_counter() - start

    def get(self, path):
        """Seconds until a request was answered, which must be there."""
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        connection.request("GET", path)
        answered = connection.getresponse()
        answered.read()
        assert answered.status == 200, (path, answered.status)
        return time.perf_counter() - start

    def end(self):
        self.process.terminate()
        self.process.wait(60)


def in_browser():
    """Seconds until the steps are there, in a new browser and once more."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(service=webdriver.chrome.service.Service(shutil.which("chromedriver")), options=options)
    seconds = []
    for _ in range(2):
        driver.get("about:blank")
        start = time.perf_counter()
        driver.get(f"http://127.0.0.1:{PORT}/")
        while not driver.find_elements("css selector", ".steps .q-tab"):
            time.sleep(0.01)
        seconds.append(time.perf_counter() - start)
    driver.quit()
    return seconds


def large_texture(path):
    """Write a texture of SIDE x SIDE pixels: the stones side by side, with noise."""
    stones = pyvips.Image.new_from_file(str(ROOT / "samples" / "stones.png"))
    times = -(-SIDE // stones.width)
    image = stones.replicate(times, times).crop(0, 0, SIDE, SIDE)
    (image + pyvips.Image.gaussnoise(SIDE, SIDE, sigma=4)).cast("uchar").pngsave(str(path), compression=1)


def measure(folder):
    """The rows of the table, (what, figure)."""
    page = Page(folder)
    yield "from the command to the address, s", page.seconds
    cold, warm = in_browser()
    yield "page ready in a new browser, s", cold
    yield "page ready once more, s", warm
    page.end()
    project = projects.Projects().add([("stones.png", ROOT / "samples" / "stones.png")])
    page = Page(folder)
    large_texture(Path(folder) / "large.png")
    start = time.perf_counter()
    key = "0" * 16
    *_, zoom = workers.pyramid(Path(folder) / "large.png", str(project.view(f"pyramid_{key}")))
    yield f"{SIDE} x {SIDE} pixels cut into a pyramid, s", time.perf_counter() - start
    places = np.random.default_rng(0).integers(0, SIDE // workers.TILE, (TILES, 2)).tolist()
    seconds = [page.get(f"/tiles/{project.name}/{key}/{zoom}/{y}/{x}.png") for y, x in places]
    yield "a tile of it, ms, median", 1000 * statistics.median(seconds)
    yield f"the slowest of {TILES}, ms", 1000 * max(seconds)
    project.start()
    while not any(json.loads(line).get("what") == "training" for line in open(project.told.path)):
        time.sleep(0.2)
    seconds = []
    for _ in range(ANSWERS):
        seconds.append(page.get("/"))
        time.sleep(EVERY)
    project.told.read()
    assert project.told.is_running()
    yield "the page's answer while it trains, ms, median", 1000 * statistics.median(seconds)
    yield f"the slowest of {ANSWERS}, ms", 1000 * max(seconds)
    project.stop()
    page.end()


def main():
    """The command line."""
    print(f"Machine: {benchmarks.machine()}\n\n| | |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for what, figure in measure(folder):
            print(f"| {what} | {figure:.2f} |", flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
