"""The pictures and the table that show how a texture came about."""

import csv
import io

import numpy as np
import torch
import torchvision
from matplotlib.figure import Figure
from PIL import Image

from . import files, png


def save_figure(path, figure):
    """Write a matplotlib Figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    files.write_atomically(path, lambda file: file.write(buffer.getvalue()))


def picture_grid(photo, x, columns):
    """Normalised pictures [N, C, h, w] in a grid with white lines, uint8 [H, W, 3]."""
    pixels = torch.from_numpy(photo.pixels(x)).movedim(-1, 1)
    return torchvision.utils.make_grid(pixels, nrow=columns, padding=4, pad_value=255).movedim(0, -1).numpy()


def draw_table(path, photo, title, columns, labels):
    """A figure with normalised pictures {heading: [N, C, T, T]} in columns and N rows with labels."""
    figure = Figure(figsize=(12, 2.1 * len(labels) + 0.6), layout="constrained")
    figure.suptitle(title)
    for row, axes in enumerate(figure.subplots(len(labels), len(columns), squeeze=False)):
        for axis, (heading, x) in zip(axes, columns.items()):
            axis.imshow(photo.pixels(x[row]))
            axis.set_title(heading if row == 0 else "", fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(labels[row], fontsize=9)
    save_figure(path, figure)


def save_curve(path, curve, batch_size):
    """Write the training and validation loss after each epoch as a table (CSV)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tiles", "training_loss", "validation_loss"])
    writer.writerows([step, step * batch_size, loss, "" if held is None else held] for step, loss, held in curve)
    files.write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def draw_loss(path, curve, batch_size):
    """Training and validation loss over the tiles seen."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([step * batch_size for step, _, _ in curve], [loss for _, loss, _ in curve], label="training")
    held = [(step * batch_size, value) for step, _, value in curve if value is not None]
    if held:
        axis.plot(*zip(*held), label="held-out tiles (EMA)")
    axis.set(xlabel="tiles seen", ylabel="weighted error of x0", yscale="log")
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter("{x:.3g}")
    axis.legend()
    save_figure(path, figure)


def draw_wrapped(path, pixels, tileable):
    """Two copies of a tileable texture side by side in each direction that wraps, at most 2048 pixels long."""
    pixels = np.tile(pixels, (1 + ("y" in tileable), 1 + ("x" in tileable), 1))
    image = Image.fromarray(pixels)
    image.thumbnail((2048, 2048), Image.LANCZOS)
    png.save_png(path, np.asarray(image))


def draw_layout(path, pixels, layout, corner=(0, 0)):
    """A window of the texture at a quarter of its size with the drawn tiles in blue: which tiles are real."""
    _, drawn = layout.seen_at(corner, pixels.shape[:2])
    tinted = np.where(drawn[..., None], pixels // 3 + np.array([40, 60, 130]), pixels).astype(np.uint8)
    small = [max(1, side // 4) for side in pixels.shape[1::-1]]
    png.save_png(path, np.asarray(Image.fromarray(tinted).resize(small, Image.BOX)))
