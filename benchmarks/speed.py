"""How fast the tool is, beside what the machine can do and beside other U-Nets.

    python -m benchmarks.speed [FILE]            about ten minutes on two cores; writes benchmarks/SPEED.md, or FILE
    python -m benchmarks.speed --quick [FILE]    tiny networks, under a minute; writes nothing, or FILE

Ours at the default constants, the U-Net of denoising-diffusion-pytorch (dim 64) and diffusers' UNet2DModel
(64-128-256, two layers a level, attention at the lowest) draw tiles of the same size in batches of the same size
and in the same precision. The machine's peak is that of its best 3x3 convolution, measured in the same run.
Machines are noisy: everything is measured in turn, several times, and the best time of each counts.

training        a step of forward, backward and optimizer on a batch, over the number of its tiles
drawing         network evaluations of a batch, as many a tile as the default SAMPLE_STEPS for all
GFLOP           of one tile, multiplications and additions, by torch.utils.flop_counter
share of peak   GFLOP/s achieved over the machine's peak
memory, first   peak memory of a process that trains and draws one batch, and the time from its start to the end
                of its first training step, imports included
megapixel       half the tiles of a texture are gaps to be drawn; ours includes the layout. Peers', and what would
                take ours more than a minute, is computed from the other measurements and marked with ~
"""

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import benchmarks
import texture_diffusion as td
from benchmarks import commits, peers
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.running import devices, files, seeds
from texture_diffusion_tools.running.errors import RunError, UserError

HERE = Path(__file__).resolve().parent
QUICK = {"TILE_SIZE": 32, "WIDTHS": (8, 16), "PRIOR": None, "SAMPLE_STEPS": 2}
ROUNDS = 4  # of measurements in turn
PEAK_SHAPES = ((64, 128), (128, 64), (128, 96), (256, 32), (256, 64))  # channels, side of the convolutions tried
MEGAPIXELS = (1, 4, 16)  # of 2**20 pixels; the first is always drawn in full
LIMIT = 60  # s; what would take longer is extrapolated


class Subject(NamedTuple):
    """A network to be measured."""

    train: Callable  # one step on a batch
    draw: Callable  # one sampling step of a batch
    context: dict  # what else ours needs to draw a texture


def constants(quick):
    """The default constants, or those of tiny networks, with the sizes of textures to be drawn."""
    c = peers.constants()
    vars(c).update(QUICK if quick else {}, MEGAPIXELS=(1 / 16,) if quick else MEGAPIXELS)
    return c


def ours(c, precision, quick):
    """The tool as main() sets it up, on its default photo; precision None lets it choose, as main() does."""
    photo = td.load_photo(files.find_file(c.IMAGE, td.HERE), c.CROP, c.MAX_SIDE)
    trainer = td.prepare_trainer(td.Model((photo.exemplar,), c), None)
    trainer.plan(1000)
    if precision is not None:
        trainer.net.precision = trainer.ema.precision = trainer.opts[0].precision = precision
    sampling = td.Sampling(c.SAMPLER, c.SAMPLE_STEPS, c.STRENGTH)  # as of a network that has learned
    draw = functools.partial(td.draw_tiles, td.Denoiser(trainer.ema, photo, trainer.alphas_cumprod, sampling))
    windows, present = trainer.dataset.examples(c.BATCH_SIZE, held_out=False)

    def step():
        generators = [seeds.torch_generator(c.SEED, seeds.SHOWING, k) for k in range(c.BATCH_SIZE)]
        next(draw(windows, present, generators))

    return Subject(trainer.train_step, step, {"photo": photo, "trainer": trainer, "draw": draw})


def dim64(c, precision, quick):
    """The U-Net of denoising-diffusion-pytorch."""
    package = peers.need("denoising_diffusion_pytorch", "denoising-diffusion-pytorch")
    return peer(package.Unet(dim=8 if quick else 64), c, precision)


def unet2d(c, precision, quick):
    """diffusers' UNet2DModel with attention at the lowest level."""
    package = peers.need("diffusers", "diffusers")
    net = package.UNet2DModel(
        sample_size=c.TILE_SIZE, block_out_channels=(8, 16, 32) if quick else (64, 128, 256),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8 if quick else 32)
    return peer(net, c, precision, lambda x, t: net(x, t).sample)


SUBJECTS = {"ours": ours, "denoising-diffusion-pytorch, dim 64": dim64, "diffusers UNet2DModel, 64-128-256": unet2d}


def peer(net, c, precision, call=None):
    """A network with eps = call(x_t, t) as a Subject: noise in, mean squared error, AdamW."""
    device = devices.pick_device()
    precision = devices.pick_precision(device) if precision is None else precision
    net.to(device, memory_format=devices.layout_on(device))
    opt = torch.optim.AdamW(net.parameters())
    x = torch.randn(c.BATCH_SIZE, 3, c.TILE_SIZE, c.TILE_SIZE, device=device)
    x = x.contiguous(memory_format=devices.layout_on(device))
    t = torch.arange(c.BATCH_SIZE, device=device)

    def evaluate():
        with devices.autocast(device, precision):
            return (call or net)(x, t)

    def train():
        loss = F.mse_loss(evaluate().float(), x)
        opt.zero_grad()
        loss.backward()
        opt.step()

    return Subject(train, torch.inference_mode()(evaluate), {})


def convolutions(device, precision, batch, quick):
    """3x3 convolutions to find the machine's peak with: two dicts {name: work} and {name: GFLOP}."""
    works, cost, layout = {}, {}, devices.layout_on(device)
    for channels, side in PEAK_SHAPES[:1] if quick else PEAK_SHAPES:
        layer = nn.Conv2d(channels, channels, 3, padding=1).to(device, precision, memory_format=layout)
        x = torch.randn(batch, channels, side, side, device=device, dtype=precision)
        x = x.contiguous(memory_format=layout)
        name = f"convolution of {channels} channels, {side} x {side}"
        works[name] = torch.inference_mode()(functools.partial(layer, x))
        cost[name] = 2 * 9 * batch * (channels * side)**2 / 1e9
    return works, cost


def gflop(work):
    """GFLOP of one call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def best_times(works, rounds, device=devices.CPU):
    """The shortest seconds of each of works {name: function} on a device, measured in turn after one call of each."""
    for work in works.values():
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], devices.timed(work, device))
    return best


def in_a_process(name, quick):
    """Seconds to the first training step, and peak GB (NaN: unknown), of a process that does little else."""
    start = time.time()
    command = [sys.executable, "-m", "benchmarks.speed", "--alone", name] + ["--quick"] * quick
    result = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    if result.returncode:
        raise RunError(f"measuring {name} failed: {result.stderr.strip().splitlines()[-1]}")
    end, memory = result.stdout.split()[-2:]
    return float(end) - start, float(memory) / 1e9


def alone(name, quick):
    """What in_a_process runs: a training and a sampling step; prints the time after the first, and the peak bytes."""
    subject, device = SUBJECTS[name](constants(quick), None, quick), devices.pick_device()
    devices.timed(subject.train, device)
    end = time.time()
    devices.timed(subject.draw, device)
    print(end, devices.peak_memory(device) or float("nan"))


def plan(photo, c, side):
    """The Layout of a texture of side x side tiles."""
    grid = grids.make_grid(side * c.TILE_SIZE, side * c.TILE_SIZE, c.TILE_SIZE)
    return td.lay_out(photo, c.LAYOUT, grid, c.SEED)


def draw_square(context, c, side):
    """Draw a texture of side x side tiles with the tool."""
    photo, trainer = context["photo"], context["trainer"]
    layout = plan(photo, c, side)

    def begin(cell):
        return layout.sketch(cell), None

    texture = td.Canvas(layout, len(photo.x), trainer.alphas_cumprod.device, begin)
    for _ in td.outpaint(texture, layout.passes, context["draw"], c.BATCH_SIZE, c.SEED):
        pass
    photo.pixels(texture.cut((0, 0), layout.grid.size))


def seconds_per_megapixel(subjects, times, c):
    """{subject: [(seconds a megapixel, whether measured) for each of MEGAPIXELS]}; peers draw as many gaps as ours."""
    context, first = subjects["ours"].context, c.MEGAPIXELS[0]
    sides = {size: round((2**20 * size)**0.5) // c.TILE_SIZE for size in c.MEGAPIXELS}
    planning = devices.timed(lambda: plan(context["photo"], c, sides[first])) / first  # grows with the number of tiles
    rows = {name: [] for name in subjects}
    for name, row in rows.items():
        for size, side in sides.items():
            batches = -(-(side**2 // 2) // c.BATCH_SIZE)
            seconds = batches * c.SAMPLE_STEPS * times[name, "draw"] + (planning * size if name == "ours" else 0)
            measured = name == "ours" and (size == first or seconds < LIMIT)
            if measured:
                seconds = devices.timed(functools.partial(draw_square, context, c, side))  # ends on the CPU
            row.append((seconds / size, measured))
    return rows


def measure(quick):
    """All figures: the peak's name, and {figure: {subject: (value, whether it was measured)}}."""
    c, device, rounds = constants(quick), devices.pick_device(), 1 if quick else ROUNDS
    precision = devices.pick_precision(device)
    processes = {name: in_a_process(name, quick) for name in SUBJECTS}
    subjects = {name: make(c, precision, quick) for name, make in SUBJECTS.items()}
    works, cost = convolutions(device, precision, c.BATCH_SIZE, quick)
    for name, make in SUBJECTS.items():
        counted = make(c, torch.float32, quick)  # as many operations, and the counter knows no autocast
        for kind in ("train", "draw"):
            works[name, kind] = getattr(subjects[name], kind)
            cost[name, kind] = gflop(getattr(counted, kind))
    times = best_times(works, rounds, device)
    rate = {name: cost[name] / seconds for name, seconds in times.items()}  # GFLOP/s
    peak = max((name for name in rate if isinstance(name, str)), key=rate.get)
    megapixel = seconds_per_megapixel(subjects, times, c)
    figures = {
        "training, tiles/s": {name: c.BATCH_SIZE / times[name, "train"] for name in subjects},
        "drawing, tiles/s": {name: c.BATCH_SIZE / times[name, "draw"] / c.SAMPLE_STEPS for name in subjects},
        "training, GFLOP a tile": {name: cost[name, "train"] / c.BATCH_SIZE for name in subjects},
        "drawing, GFLOP a tile and step": {name: cost[name, "draw"] / c.BATCH_SIZE for name in subjects},
        "training, share of the peak": {name: rate[name, "train"] / rate[peak] for name in subjects},
        "drawing, share of the peak": {name: rate[name, "draw"] / rate[peak] for name in subjects},
        "peak memory, GB": {name: processes[name][1] for name in subjects},
        "first training step after, s": {name: processes[name][0] for name in subjects},
    }
    figures = {key: {name: (value, True) for name, value in row.items()} for key, row in figures.items()}
    for k, size in enumerate(c.MEGAPIXELS):
        figures[f"texture of {size:g} megapixels, s a megapixel"] = {name: megapixel[name][k] for name in subjects}
    return f"{rate[peak]:.0f} GFLOP/s ({peak}, batch {c.BATCH_SIZE}, {str(precision)[6:]})", figures


def table(figures):
    """The figures as a Markdown table, each peer's with its ratio to ours in brackets."""
    lines = ["| figure | " + " | ".join(SUBJECTS) + " |", "|---|" + "---|" * len(SUBJECTS)]
    for key, row in figures.items():
        cells = []
        for name, (value, measured) in row.items():
            ratio = "" if name == "ours" else f" ({value / row['ours'][0]:.2g})"
            cells.append(f"{'' if measured else '~'}{value:.3g}{ratio}")
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv=None):
    """The command line."""
    words = sys.argv[1:] if argv is None else argv
    quick = "--quick" in words
    words = [word for word in words if word != "--quick"]
    if words[:1] == ["--alone"]:
        return alone(words[1], quick)
    if len(words) > 1 or words and words[0].startswith("-"):
        sys.exit(__doc__.split("\n\n")[1].strip("\n"))
    commits.commit()  # of the code as it begins
    peak, figures = measure(quick)
    text = f"Peak of 3x3 convolutions: {peak}\n\n{table(figures)}"
    print(f"{benchmarks.machine()}\n\n{text}")
    print("\nTiny networks: this shows that the benchmark runs, and nothing about speed." if quick else "")
    if words or not quick:
        manual = "\n".join(f"    {line}" for line in __doc__.partition("\n\ntraining ")[2].splitlines())
        commits.write_page(Path(words[0]) if words else HERE / "SPEED.md", "Speed",
                           f"{text}\n\nIn brackets: over ours.\n\n    training {manual[4:]}")


if __name__ == "__main__":
    try:
        main()
    except (UserError, RunError) as error:
        sys.exit(f"benchmarks.speed: {error}")
