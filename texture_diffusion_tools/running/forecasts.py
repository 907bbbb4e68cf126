"""What a run says before it begins: what was read, what is drawn, what it will cost; and what
cannot be done."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from ..canvases import wang
from ..laying import holes, layouts, matching, sketches
from ..laying.grids import Grid, grid_offsets
from ..laying.rings import HALO
from ..writing import exports
from . import devices, files, seeds

# Usual share of the gaps with seams to draw; times what joining takes to judge them, too.
DRAWN, JUDGED = 0.85, 1.5


def check(photos: tuple, c: SimpleNamespace, home: Path) -> list[str]:
    """UserError if what the constants say cannot be drawn of the Photos; else notes. home: see
    files.find_file."""
    notes, guide = [], None
    for photo in photos:
        layouts.window_of(layouts.grid_of(photo, c), c.REGION)
        guide = layouts.load_guide(photo, c, home)
    if guide is not None and guide.wish is not None:
        notes.append(f"GUIDE is transparent in {1 - guide.wish.mean():.0%} of it, where nothing is "
                     "asked for")

    _, (height, width) = layouts.window_of(layouts.grid_of(photos[0], c), c.REGION)
    exports.check(c.EXPORT, photos[0], (height, width))

    bytes_of_pixel = (count * depth / 8 + 0.01
                      for count, depth, _ in photos[0].channels.formats())
    most = sum(bytes_of_pixel) * height * width + 1e6
    files.check_room(c.OUTPUT_DIR, most, f"a texture of {width} x {height} pixels")
    return notes


def announce(model: Any, said: Sequence[str], home: Path) -> None:
    """Say what was read of a Model, but for the notes that were said, what is going to happen and
    what it will cost. UserError if it cannot be drawn.

    home: see files.find_file.
    """
    trainer, photos, c = model.trainer, model.photos, model.c
    say = trainer.group.say
    for note in [*model.notes, *check(photos, c, home)]:
        if note not in said:
            say(f"note: {note}")
    for line in described(photos, model.name, trainer.net, bool(trainer.prior), c):
        say(line)

    steps = max(0, c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE - trainer.step)
    training, drawing = measure_speed(trainer, steps > 0)
    say(expected(photos, c, steps, training, drawing, trainer.alphas_cumprod.device))


def described(photos: tuple, name: str, net: Any, begun: bool, c: SimpleNamespace) -> list[str]:
    """Lines that say what was read, and which network (an nn.Module) draws it; begun: whether from
    the prior."""
    sizes = ", ".join(f"{photo.x.shape[2]} x {photo.x.shape[1]}" for photo in photos)
    weights = sum(p.numel() for p in net.parameters()) / 1e6
    precision = str(net.precision).removeprefix("torch.")
    lines = [f"{name}: {sizes} pixels, network of {weights:.1f} million weights, "
             f"{net.position.device.type}, {precision}" + ", begun from the prior" * begun]
    if photos[0].mask is not None:
        share, count = (~photos[0].usable).float().mean(), tiles_of_hole(photos[0], c)
        lines.append(f"MASK: {share:.1%} of the photo is drawn anew, in {count} tiles; the model "
                     "learns from the rest")
    return lines


def expected(
    photos: tuple,
    c: SimpleNamespace,
    steps: int,
    training: float,
    drawing: float,
    device: torch.device,
) -> str:
    """The line that says what a run will cost; training, drawing: seconds of a step of each, of a
    batch of tiles."""
    photo, grid = photos[0], layouts.grid_of(photos[0], c)
    _, (height, width) = layouts.window_of(grid, c.REGION)
    count = c.SAMPLES * (1 if c.TEXTURE or c.BLEND else len(photos))

    # seconds of drawing
    drawing *= c.SAMPLE_STEPS / c.BATCH_SIZE  # of a tile
    spent = drawing * c.SAMPLES * tiles_of_hole(photo, c)
    if wants_texture(photo, c):
        tiles = count * drawn_share(photo, c, grid) * math.prod(grid.shape())
        tiles = tiles * height * width / math.prod(grid.size)  # of the window
        seamed = c.REDRAW == "seams" and c.LAYOUT != "rows" and c.STRENGTH < 1
        each = DRAWN * drawing + sketch_seconds(photo.x.cpu(), c.TILE_SIZE) if seamed else drawing
        spent += tiles * each

    memory = devices.peak_memory(device)
    said = f", memory {memory / 1e9 * 1.1:.1f} GB" if memory else ""
    return (f"expected: training {duration(steps * training)}, drawing {duration(spent)} for "
            f"{count} x {width} x {height} pixels{said}")


def measure_speed(trainer: Any, training: bool = True) -> list[float]:
    """Seconds of one training step, 0 without training, and of one network evaluation, measured on
    a copy of the network."""
    device = trainer.alphas_cumprod.device
    twin = type(trainer)(
        copy.deepcopy(trainer.net), trainer.dataset, trainer.alphas_cumprod, trainer.batch_size,
        trainer.learning_rate, trainer.dropout, trainer.seed, trainer.group)
    generator = seeds.torch_generator(trainer.seed, seeds.TRAINING, device=device)

    def draw() -> None:
        with torch.inference_mode():
            twin.loss(twin.net, generator)

    works = [twin.train_step if training else lambda: None, draw]
    seconds = [min(devices.timed(work, generator.device) for _ in range(2)) for work in works]
    twin.objective = None  # the two hold each other, and the copy of the network with them
    return seconds


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def sketch_seconds(x: torch.Tensor, tile: int) -> float:
    """About how long it takes to put one gap together from a photo x [C, H, W] and to see what is
    to be drawn of it."""
    tops, lefts = (grid_offsets(side, tile) for side in x.shape[1:])
    places = [(top, left) for top in tops for left in lefts]
    sides = {name: x[:, top:top + tile, left:left + tile]
             for name, (top, left) in zip(matching.SIDES, places)}
    return JUDGED * min(devices.timed(lambda: sketches.joined(sides)) for _ in range(2))


def drawn_share(photo: Any, c: SimpleNamespace, grid: Grid) -> float:
    """The share of a texture's tiles that the network draws."""
    if c.WANG:
        return wang.drawn(grid) / len(grid.cells())
    if c.LAYOUT == "rows":
        return 1 - photo.x[0].numel() / math.prod(grid.size)
    return 1 if c.REDRAW == "all" else 0.5


def tiles_of_hole(photo: Any, c: SimpleNamespace) -> int:
    """How many tiles repair a photo."""
    if photo.mask is None:
        return 0
    return sum(map(len, holes.plan(~photo.usable, c.TILE_SIZE, HALO)))


def wants_texture(photo: Any, c: SimpleNamespace) -> bool:
    """Whether a texture is drawn, not only the photo repaired."""
    return photo.mask is None or c.SCALE > 1 or c.OUTPUT_SIZE is not None
