"""The pictures and the table that show how a texture came about."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..running import files, seeds
from ..running.errors import UserError, first_line
from . import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 4  # width of a grid's lines, pixels
CELL, MARGIN = 150, 100  # least side of a picture in a table, room for the labels beside it; pixels
RISEN = 0.03  # share by which the validation loss has to rise to be spoken of

# Of each epoch the last step, the mean training loss and the validation loss, if there is one.
Curve = Sequence[tuple[int, float, float | None]]


def new_figure(width: float, height: float) -> Figure:
    """A matplotlib Figure of a size in inches; UserError if matplotlib, imported for the first one,
    cannot be."""
    try:
        from matplotlib.figure import Figure  # most of a second
    except Exception as problem:  # whatever a package raises that does not fit the others
        raise UserError("matplotlib, which draws the loss curve, is missing or broken "
                        f"({first_line(problem)}): pip install --force-reinstall matplotlib"
                        ) from problem
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a matplotlib Figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    files.write_atomically(path, lambda file: file.write(buffer.getvalue()))


def picture_grid(photo: Any, x: Tensor, columns: int) -> np.ndarray:
    """Normalised pictures [N, C, h, w] in a grid with white lines, uint8 [H, W, 3]."""
    return in_grid(photo.pixels(x), columns)


def in_grid(cells: np.ndarray, columns: int) -> np.ndarray:
    """Pictures, uint8 [N, h, w, 3], in a grid with white lines, uint8 [H, W, 3]."""
    cells = np.pad(cells, ((0, 0), (LINE, 0), (LINE, 0), (0, 0)), constant_values=255)
    count, height, width, channels = cells.shape
    rows = cells.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    grid = rows.reshape(count // columns * height, columns * width, channels)
    return np.pad(grid, ((0, LINE), (0, LINE), (0, 0)), constant_values=255)



def name_of(name: str, texture: str | None) -> str:
    """What a picture is called, of several textures with the texture's name."""
    return f"{name}_{texture}.png" if texture else f"{name}.png"


def notes_of_curve(trainer: Any, epoch_steps: int) -> list[str]:
    """Sentences on how a training went, of so many steps an epoch."""
    notes = []
    if trainer.skipped:
        notes.append(f"{trainer.skipped} of {trainer.step} steps were left out, their loss or "
                     "gradient was not finite")

    best = lowest_validation(trainer.curve)
    if best is not None:
        better = f"EPOCHS={best // epoch_steps} FRESH=True may draw better"
        notes.append(f"the validation loss was lowest after {best / epoch_steps:g} epochs and has "
                     f"risen since: the model begins to know the photo by heart. {better}")
    return notes


def lowest_validation(curve: Curve) -> int | None:
    """The step of the lowest validation loss, if that of the last was higher by RISEN; else None.
    """
    losses = {step: held for step, _, held in curve if held is not None}
    if not losses or list(losses.values())[-1] <= (1 + RISEN) * min(losses.values()):

        return None
    return min(losses, key=lambda step: losses[step])


def shown(trainer: Any, count: int) -> list[torch.Generator]:
    """Generators for so many tiles that are drawn to be shown, always the same."""
    return [seeds.torch_generator(trainer.seed, seeds.SHOWING, k) for k in range(count)]


def draw_prepared(
    path: Path,
    before: np.ndarray,
    after: np.ndarray,
    corners: Sequence[tuple[float, float]] | None = None,
    height: int = 512,
) -> None:
    """A photo before and after, uint8 [H, W] or [H, W, 3] each, side by side at one height;
    corners, ((x, y), ...) in pixels of the first, are joined by lines."""
    one, other = (Image.fromarray(pixels).convert("RGB") for pixels in (before, after))
    scale = height / one.height
    one, other = (image.resize((max(1, round(image.width * height / image.height)), height),
                               Image.Resampling.LANCZOS)
                  for image in (one, other))

    if corners is not None:
        places = [(x * scale, y * scale) for x, y in (*corners, corners[0])]
        ImageDraw.Draw(one).line(places, fill=(255, 0, 80), width=3)

    both = Image.new("RGB", (one.width + 8 + other.width, height), "white")
    both.paste(one, (0, 0))
    both.paste(other, (one.width + 8, 0))
    png.save_png(path, np.asarray(both))


def draw_preview(path: Path, photo: Any, trainer: Any, draw: Callable[..., Any]) -> None:
    """A few fixed tiles as the EMA draws them now among their neighbours, above the truth.

    draw(windows, present, generators) yields (t, x_t, estimate of x0) after each step, here and
    below.
    """
    windows, present = trainer.dataset.examples(4, held_out=False)
    *_, (_, tiles, _) = draw(windows, present, shown(trainer, len(windows)))

    rows = [trainer.ema.canvas(x, windows, present)
            for x in (tiles, trainer.dataset.tiles_of(windows))]
    png.save_png(path, picture_grid(photo, torch.cat(rows), len(windows)))


def draw_predictions(
    path: Path, photo: Any, trainer: Any, draw: Callable[..., Any], held_out: bool
) -> None:
    """Rows of neighbours, noisy tile, one-step estimate of x0, full sample, truth and error, at
    several t."""
    # tiles at four noise levels
    steps, device = len(trainer.alphas_cumprod), trainer.alphas_cumprod.device
    t = torch.tensor([round(steps * part) - 1 for part in (0.95, 0.75, 0.5, 0.25)], device=device)
    windows, present = trainer.dataset.examples(len(t), held_out)
    x0, generators = trainer.dataset.tiles_of(windows), shown(trainer, len(t))
    noise = [torch.randn(x.shape, generator=g) for x, g in zip(x0, generators)]
    eps = torch.stack(noise).to(device)

    # one step, and all of them
    x_t, estimate = trainer.noised(x0, t, eps, windows, present)
    trail = list(draw(windows, present, generators))
    _, tiles, _ = trail[-1]

    columns = {
        "neighbours": trainer.ema.canvas(torch.zeros_like(x0), windows, present),
        "noisy tile x_t": x_t,
        "estimate of x0": estimate,
        f"from noise, {len(trail)} steps": tiles,
        "truth x0": x0,
        "error of the estimate": estimate - x0,
    }
    title = "held-out tiles" if held_out and trainer.dataset.validation else "training tiles"
    if held_out and not trainer.dataset.validation:
        title += " (no tiles are held out: VALIDATION = 0)"
    labels = [f"t = {now + 1} of {steps}\n{int(mask.sum())} neighbours"
              for now, mask in zip(t.tolist(), present)]
    draw_table(path, photo, f"{photo.name}: {title}", columns, labels)


def draw_table(
    path: Path, photo: Any, title: str, columns: Mapping[str, Tensor], labels: Sequence[str]
) -> None:
    """A page with normalised pictures {heading: [N, C, T, T]}, of one size or smaller ones in the
    middle of white cells, in columns and N rows with labels."""
    cells = [photo.pixels(x) for x in columns.values()]
    side = max(x.shape[1] for x in cells)
    frames = [((0, 0), *2 * [2 * [(side - x.shape[1]) // 2]], (0, 0)) for x in cells]
    framed = [np.pad(x, frame, constant_values=255) for x, frame in zip(cells, frames)]

    factor = -(-CELL // side)
    enlarged = np.stack(framed, axis=1).repeat(factor, axis=2).repeat(factor, axis=3)
    grid = Image.fromarray(in_grid(enlarged.reshape(-1, *enlarged.shape[2:]), len(columns)))
    page = Image.new("RGB", (MARGIN + grid.width, MARGIN // 2 + grid.height), "white")
    page.paste(grid, (MARGIN, MARGIN // 2))

    # the title, a heading above each column and a label beside each row
    write = functools.partial(ImageDraw.Draw(page).text, fill="black",
                              font=ImageFont.load_default(13))
    write((page.width / 2, 2), title, anchor="ma")
    for column, heading in enumerate(columns):
        middle = MARGIN + (column + 0.5) * grid.width / len(columns)
        write((middle, MARGIN // 2), heading, anchor="md")
    for row, label in enumerate(labels):
        write((LINE, MARGIN // 2 + (row + 0.5) * grid.height / len(labels)), label, anchor="lm")
    png.save_png(path, np.asarray(page))


def draw_steps(path: Path, photo: Any, trainer: Any, draw: Callable[..., Any]) -> None:
    """One tile from noise to clean: x_t above, the estimate of x0 below."""
    windows, present = trainer.dataset.examples(1, held_out=True)
    trail = [(x_t, x0) for _, x_t, x0 in draw(windows, present, shown(trainer, 1))]
    steps = [trail[round(k * (len(trail) - 1) / 7)] for k in range(min(8, len(trail)))]
    both = torch.cat([torch.cat(x) for x in zip(*steps)])
    png.save_png(path, picture_grid(photo, both, len(steps)))


def save_curve(path: Path, curve: Curve, batch_size: int) -> None:
    """Write the training and validation loss after each epoch as a table (CSV)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tiles", "training_loss", "validation_loss"])
    writer.writerows([step, step * batch_size, loss, "" if held is None else held]
                     for step, loss, held in curve)
    files.write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def draw_loss(path: Path, curve: Curve, batch_size: int) -> None:
    """Training and validation loss over the tiles seen."""
    figure = new_figure(7, 4)
    axis = figure.subplots()
    axis.plot([step * batch_size for step, _, _ in curve], [loss for _, loss, _ in curve],
              marker=".", label="training")

    held = [(step * batch_size, value) for step, _, value in curve if value is not None]
    if held:
        axis.plot(*zip(*held), marker=".", label="held-out tiles (EMA)")

    axis.set(xlabel="tiles seen", ylabel="weighted error of x0", yscale="log")
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter("{x:.3g}")
    axis.legend()
    save_figure(path, figure)


def draw_wrapped(path: Path, pixels: np.ndarray, tileable: str) -> None:
    """Two copies of a tileable texture side by side in each direction that wraps, at most 2048
    pixels long."""
    pixels = np.tile(pixels, (1 + ("y" in tileable), 1 + ("x" in tileable), 1))
    image = Image.fromarray(pixels)
    image.thumbnail((2048, 2048), Image.Resampling.LANCZOS)
    png.save_png(path, np.asarray(image))


def draw_layout(path: Path, pixels: np.ndarray, made: np.ndarray) -> None:
    """A window of the texture at a quarter of its size with what the network drew in blue, bool
    [H, W]; all else is the photo's own."""
    blue = pixels // 3 + np.array([40, 60, 130])
    tinted = np.where(made[..., None], blue, pixels).astype(np.uint8)

    small = [max(1, side // 4) for side in pixels.shape[1::-1]]
    png.save_png(path, np.asarray(Image.fromarray(tinted).resize(small, Image.Resampling.BOX)))
