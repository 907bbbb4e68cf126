"""What the tests share: small photos, tiny networks, and two ways to run the tool."""

import contextlib
import functools
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: tests run side by side

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "texture_diffusion.py"
sys.path.insert(0, str(ROOT))

import texture_diffusion as td  # noqa: E402
from texture_diffusion_tools.laying import grids, matching  # noqa: E402
from texture_diffusion_tools.reading import exemplars  # noqa: E402
from texture_diffusion_tools.running import constants, devices, exit_codes, files  # noqa: E402
from texture_diffusion_tools.writing import pictures  # noqa: E402

TILE = 16
WIDTHS = (8, 16)
TINY = {"TILE_SIZE": TILE, "PRIOR": None, "WIDTHS": "(8,16)", "EPOCHS": 2, "EPOCH_TILES": 8, "BATCH_SIZE": 4,
        "TIMESTEPS": 20, "LEARNING_RATE": 0.002, "NEIGHBOUR_DROPOUT": 0.4, "SAMPLE_STEPS": 2, "STRENGTH": 0.65,
        "REDRAW": "gaps", "PREVIEW_EVERY": 1, "SAVE_EVERY": 1}

torch.set_num_threads(1)


def tiny(**changes):
    """Command-line arguments of a run that takes a second or two."""
    return [f"{name}={value}" for name, value in {**TINY, **changes}.items()]


def slow_but(values, *few):
    """What parametrize takes: of the values all but a few are left to the slow tests."""
    return [value if value in few else pytest.param(*value if isinstance(value, tuple) else [value],
                                                    marks=pytest.mark.slow) for value in values]


def draw_pixels(height, width, seed=0, channels=3):
    """A blotchy, grainy texture, uint8 [height, width, 3], or [height, width] for one channel."""
    rng = np.random.default_rng(seed)
    blotches = rng.integers(60, 180, (height // 6 + 1, width // 6 + 1, channels))
    pixels = np.kron(blotches, np.ones((6, 6, 1), int))[:height, :width]
    pixels = pixels + rng.integers(0, 40, pixels.shape)
    return pixels.astype(np.uint8) if channels > 1 else pixels[..., 0].astype(np.uint8)


def spread(cells, tile=TILE):
    """Values of grid cells [rows, columns] at each of their pixels."""
    return np.kron(cells, np.ones((tile, tile), cells.dtype))


def draw_photo(height, width, seed=0, channels=3, name="photo"):
    return td.normalise(exemplars.of_pixels(draw_pixels(height, width, seed, channels), name))


def make_sampler(net, photo, alphas_cumprod, sampler, steps, strength):
    """draw(rings, present, generators, ...), which draws tiles of a photo by a network."""
    denoiser = td.Denoiser(net, photo, alphas_cumprod, td.Sampling(sampler, steps, strength))
    return functools.partial(td.draw_tiles, denoiser)


def randomise(net, seed=0):
    """Move all weights, so that no layer is still at its initial zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return net


def random_net(channels=3, tile=TILE, widths=WIDTHS, seed=0, **options):
    photo = draw_photo(32, 32, channels=channels)
    return randomise(td.build_net([photo], tile, widths, seed, "cpu", **options), seed).eval()


def make_trainer(photo, validation=0, seed=0, batch_size=4, learning_rate=2e-3, net_seed=0, precision=torch.float32,
                 **options):
    dataset = td.NeighbourDataset(photo, TILE, validation)
    net = td.build_net([photo], TILE, WIDTHS, net_seed, "cpu", **options)
    net.precision = precision
    return td.Trainer(net, dataset, td.cosine_schedule(50), batch_size, learning_rate, 0.4, seed)


MADE_OF = {"digest": "0" * 64, "constants": {"WIDTHS": WIDTHS}}  # what a checkpoint says beside the trainer's state


def constants_of(*argv):
    """main()'s constants with overrides applied, without running anything."""
    class Read(Exception):
        pass

    def stop(*args):
        raise Read(check_rules(*args))

    check_rules = constants.check_rules
    with mock.patch.object(constants, "check_rules", stop), pytest.raises(Read) as read:
        td.main(list(argv))
    return read.value.args[0]


def mutated(content, random_, place_of_sizes):
    """Bytes with a bit flipped, an end cut off, or four bytes edited at place_of_sizes(length, random_)."""
    content, place = bytearray(content), random_.randrange(len(content) - 4)
    kind = random_.choice(("flip", "flip", "cut", "number", "number"))
    if kind == "flip":
        content[place] ^= 1 << random_.randrange(8)
    elif kind == "cut":
        del content[place:]
    else:
        place = place_of_sizes(len(content), random_)
        value = random_.choice((0, 1, 255, 2**14, 2**16, 2**31 - 1, 2**32 - 1))
        content[place:place + 4] = value.to_bytes(4, random_.choice(("little", "big")))
    return bytes(content)


def fixed(*values):
    """Numbers as ICC profiles have them, s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))  # XYZ as seen by D50


def profile(space, name, gamma=1.0, primaries=SRGB_PRIMARIES, curve=None, more=None):
    """An ICC profile (ICC.1:2001-04) of light with a gamma; space "RGB " or "GRAY".

    primaries: XYZ of red, green and blue; curve: the tag of a curve in place of the gamma; more: other tags.
    """
    curve = curve or b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = name.encode() + b"\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78 + -len(text) % 4),
            b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), **(more or {})}
    if space == "GRAY":
        tags[b"kTRC"] = curve
    else:
        tags.update({letter + b"XYZ": b"XYZ \0\0\0\0" + fixed(*xyz)
                     for letter, xyz in zip((b"r", b"g", b"b"), primaries)})
        tags.update({letter + b"TRC": curve for letter in (b"r", b"g", b"b")})
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for signature, content in tags.items():
        table += signature + struct.pack(">II", start + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", start + len(data), b"test", 0x02400000, b"mntr", space.encode(), b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + data


def files_in(folder):
    """Path -> content of all files below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def checkpoint_in(folder, name="photo"):
    return torch.load(Path(folder) / "checkpoints" / f"{name}.pt", weights_only=True)


def figures(out):
    """The `key: value` lines that end a run, as a dict."""
    return dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)


def environment(**extra):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}


def run_script(*args, cwd, **extra):
    """The script as a process of its own; extra: environment variables."""
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, args)], cwd=cwd, env=environment(**extra),
                          capture_output=True, text=True, timeout=200)


def assert_same(one, other):
    """Two nested states are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert_same(a, b)
    else:
        assert one == other


def assert_refused(result, *words):
    """Exit code 2 and one line on stderr that holds all words (ignoring case)."""
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1, result.err
    for word in words:
        assert str(word).lower() in result.err.lower()


def pixels_in(path):
    return np.asarray(Image.open(path))


def checkerboard(rows=6, columns=8):
    """A layout whose real tiles all come from the photo's corner."""
    source = np.full((rows, columns, 2), -1)
    source[np.indices((rows, columns)).sum(0) % 2 == 0] = 0
    grid = grids.make_grid(rows * TILE, columns * TILE, TILE)
    return td.Layout(grid, source, [[cell for cell in grid.cells() if sum(cell) % 2]])


@contextlib.contextmanager
def largest_file(size):
    """While entered, no file can grow beyond size bytes."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def send_when(process, number, condition, seconds=200):
    """Send a signal once a condition holds; returns the seconds until the process ended, its exit code and stderr."""
    if os.name == "nt":
        process.kill()
        pytest.skip("Windows sends no signals to another process")
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    start = time.monotonic()
    _, err = process.communicate(timeout=60)
    return time.monotonic() - start, process.returncode, err


def start(folder, *arguments):
    return subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], cwd=folder, env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def plan(photo, kind, scale=2, seed=0):
    return td.lay_out(photo, kind, grids.make_grid(*(side * scale for side in photo.x.shape[1:]), TILE), seed)


def plan_sized(photo, height, width, tileable="none", kind="matched", **options):
    return td.lay_out(photo, kind, grids.make_grid(height, width, TILE, tileable), 0, **options)


LAYOUTS = {}  # layouts of tests that are about what is drawn in them: many of them ask for the same


def planned(photo, kind, scale=2):
    """plan() of a photo, the first time that it is asked for."""
    key = photo.digest, kind, scale
    if key not in LAYOUTS:
        LAYOUTS[key] = plan(photo, kind, scale)
    return LAYOUTS[key]


def planned_sized(photo, height, width, tileable="none", kind="matched", redraw=False):
    """plan_sized() of a photo, the first time that it is asked for."""
    key = photo.digest, height, width, tileable, kind, redraw
    if key not in LAYOUTS:
        LAYOUTS[key] = plan_sized(photo, height, width, tileable, kind, redraw=redraw)
    return LAYOUTS[key]


def drawn_cells(layout):
    return [cell for cells in layout.passes for cell in cells]


def extend(photo):
    """The photo [C, H, W] with a border of one tile, continued."""
    return matching.extend_photo(photo.x, TILE, [td.grid_offsets(side, TILE) for side in photo.x.shape[1:]])[0]


STRIPE = 24  # rows of one dark and one bright stripe


def striped_pixels():
    y, noise = np.arange(128)[:, None, None], np.random.default_rng(0).integers(-20, 20, (128, 160, 3))
    return (128 + 80 * np.sin(2 * np.pi * y / STRIPE) + noise).astype(np.uint8)


def striped_photo():
    return td.normalise(exemplars.of_pixels(striped_pixels(), "stripes"))


def begin_whole(layout):
    """What tiles begin with when all of them is drawn, as outpaint() wants it; None: with noise."""
    return (lambda cell: (layout.sketch(cell), None)) if layout.claims else None


def sketches_of(layout):
    return torch.stack([layout.sketch(cell) for cell in layout.passes[0]])


def stop_after(monkeypatch, number):
    """SIGINT once so many batches of tiles have been drawn; the list that grows by one with each of them."""
    place, count = td.Canvas.place, []

    def stopped(self, *args):
        count.append(1)
        place(self, *args)
        if len(count) == number:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(td.Canvas, "place", stopped)
    return count



@pytest.fixture(autouse=True)
def repeatable():
    """The tests' own random numbers are the same in every run."""
    torch.manual_seed(0)


@pytest.fixture
def photo():
    """A colour photo whose sides are no multiple of the tile."""
    return draw_photo(54, 70)


@pytest.fixture(scope="module")
def net():
    """A tiny network with random weights."""
    return random_net()


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys, plain_figures):
    """Runs the tool in this process, in an empty folder with photo.png: tool("EPOCHS=0") -> code, out, err."""
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "pick_device", lambda *args: torch.device("cpu"))
    monkeypatch.setattr(devices, "pick_precision", lambda *args: torch.float32)
    monkeypatch.setattr(matching, "ATTEMPTS", 1)  # of layouts, the best of which is taken: half of a tiny run's time

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["texture_diffusion.py", *map(str, args)])
        capsys.readouterr()
        try:
            code = exit_codes.run(td.main)
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call


NEW_FIGURE, SAVE_FIGURE = pictures.new_figure, pictures.save_figure


class PlainFigure:
    """In place of a matplotlib Figure: all that it does is to look whether its lines could be drawn."""

    def __init__(self, width, height):
        from matplotlib.axes import Axes
        self.axis = mock.MagicMock(spec=Axes)
        self.axis.plot, self.axis.yaxis = self.follow, mock.MagicMock()

    def subplots(self):
        return self.axis

    def follow(self, xs, ys, marker, label):
        assert len(xs) == len(ys) and np.isfinite([*xs, *ys]).all()


@pytest.fixture
def plain_figures(monkeypatch):
    """matplotlib takes two thirds of a tiny run: figures are written without their content."""
    def save_figure(path, figure):
        files.write_atomically(path, lambda file: file.write(b"-"))

    monkeypatch.setattr(pictures, "new_figure", PlainFigure)
    monkeypatch.setattr(pictures, "save_figure", save_figure)


@pytest.fixture
def real_figures(plain_figures, monkeypatch):
    """A run of the tool whose figures are matplotlib's all the same."""
    monkeypatch.setattr(pictures, "new_figure", NEW_FIGURE)
    monkeypatch.setattr(pictures, "save_figure", SAVE_FIGURE)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run of the script on photo.png: its folder and the process's result."""
    folder = tmp_path_factory.mktemp("finished")
    Image.fromarray(draw_pixels(54, 70)).save(folder / "photo.png")
    result = run_script("photo.png", *tiny(VALIDATION=1), cwd=folder)
    return SimpleNamespace(folder=folder, result=result, pictures=folder / "samples" / "photo")


@pytest.fixture
def trained(finished, tool, tmp_path):
    """The tool in a folder of its own that holds all of the finished run."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    return lambda **changes: tool("photo.png", *tiny(**{"VALIDATION": 1, **changes}))


@pytest.fixture
def drawing(trained):
    """A function that draws with the finished run's model, in a folder of its own."""
    return lambda **changes: trained(**{"EPOCHS": 0, **changes})
