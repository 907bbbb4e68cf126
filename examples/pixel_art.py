"""Pixel art from a folder of icons: 32 x 32 pixels with transparency, learned and drawn.

    python examples/pixel_art.py                draw 400 icons, train on them, draw new ones
    python examples/pixel_art.py FOLDER         the same for the .png files in a folder of yours
    python examples/pixel_art.py EPOCHS=0       only draw

What a run makes, in samples/pixel_art/: icons/*.png, samples.png (each beside the most similar icon of the data, with
its distance, so that one sees whether it is new), forward.png (clean, noise, noisy, predicted) and the loss curve.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from common import PictureDataset, claimed, draw, estimator, fit, normalise, prepare, td
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.nn import functional as F

from texture_diffusion_tools.running import constants, exit_codes, seeds
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import pictures, png

SIDE = 32
FAINT = 0.35  # contrast of alpha as it is learned: at its own it would drown the colours in the same noise

# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------

INK = (24, 20, 37)
RAMPS = (  # light, middle, dark
    ((246, 117, 122), (228, 59, 68), (158, 40, 53)), ((254, 231, 97), (254, 174, 52), (190, 108, 40)),
    ((149, 230, 105), (62, 187, 80), (28, 111, 80)), ((139, 220, 250), (44, 140, 233), (30, 78, 160)))


def draw_icons(count, seed=0):
    """Icons of the kinds in turn, uint8 [count, 32, 32, 4]."""
    rng = np.random.default_rng(seed)
    return np.stack([draw_icon(SHAPES[k % len(SHAPES)], rng) for k in range(count)])


def draw_icon(shape, rng):
    """One icon with an outline, light from the upper left, and sizes and colours at random, uint8 [32, 32, 4]."""
    radius = rng.uniform(10, 12.5)
    y, x = (np.mgrid[:SIDE, :SIDE] - 15.5 + rng.uniform(-1, 1, (2, 1, 1))) / radius
    angle = rng.uniform(-0.1, 0.1)
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    body, inner = shape(x, y, rng)
    edge = grow(body) & ~body
    light, middle, dark = RAMPS[rng.integers(len(RAMPS))]
    icon = np.zeros((SIDE, SIDE, 4), np.uint8)
    lit = np.roll(~body, (2, 2), (0, 1)) & body
    shaded = np.roll(~body, (-2, -2), (0, 1)) & body & ~lit
    for where, colour in ((body, middle), (shaded, dark), (lit, light), (inner & body, light), (edge, INK)):
        icon[where] = (*colour, 255)
    return icon


def grow(mask):
    """A mask [H, W] and the pixels that touch it."""
    return mask | np.roll(mask, 1, 0) | np.roll(mask, -1, 0) | np.roll(mask, 1, 1) | np.roll(mask, -1, 1)


def heart(x, y, rng):
    return (1.3 * x**2 + (1.25 * -y - 0.05) ** 2 - 0.8) ** 3 < 1.3 * x**2 * (1.25 * -y) ** 3 * 1.2, x + y < -9


def star(x, y, rng):
    turn, points = np.arctan2(x, -y), int(rng.integers(4, 7))
    return np.hypot(x, y) < 0.72 + 0.35 * np.cos(points * turn), np.hypot(x, y) < 0.25


def coin(x, y, rng):
    r = np.hypot(x / rng.uniform(0.6, 1), y)
    return r < 0.95, (r < 0.65) & (r > 0.5)


def shield(x, y, rng):
    body = (np.abs(x) < 0.85) & (y > -0.95) & (np.abs(x) < np.sqrt(np.maximum(0, 1.05 - np.maximum(0, y) ** 2)) - 0.1)
    return body, (np.abs(x) < 0.18) if rng.random() < 0.5 else (np.abs(y + 0.2) < 0.18)


def apple(x, y, rng):
    fruit = (np.hypot(np.abs(x) - 0.38, y - 0.15) < 0.66)
    return fruit | ((np.abs(x - 0.2 * (-y - 0.3)) < 0.1) & (y < -0.3) & (y > -1)), np.hypot(x + 0.45, y) < 0.15


def key(x, y, rng):
    ring = np.hypot(x, y + 0.6)
    teeth = (x > 0) & (x < 0.5) & ((np.abs(y - 0.9) < 0.11) | (np.abs(y - rng.uniform(0.4, 0.6)) < 0.11))
    return ((ring < 0.48) & (ring > 0.2)) | ((np.abs(x) < 0.15) & (y > -0.2) & (y < 1.05)) | teeth, x < -9


SHAPES = (heart, star, coin, shield, apple, key)


def read_icons(folder):
    """The .png files of a folder, uint8 [N, 32, 32, 4], and how many pixels of the files make one of theirs; UserError
    unless there are two or more, all of one size, which is 32 x 32 or the same enlarged pixel by pixel."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give one that holds .png files")
    icons = {path.name: read_icon(path) for path in sorted(Path(folder).glob("*.png"))}
    sizes = {icon.shape[1::-1]: name for name, icon in icons.items()}
    if len(icons) < 2:
        raise UserError(f"{folder} holds {len(icons)} .png files; it takes 2 or more to learn from")
    if len(sizes) > 1:
        first, second = list(sizes.items())[:2]
        raise UserError(f"the icons differ in size: {first[1]} has {first[0][0]} x {first[0][1]} pixels and "
                        f"{second[1]} has {second[0][0]} x {second[0][1]}")
    (width, height), stack = next(iter(sizes)), np.stack(list(icons.values()))
    scale = width // SIDE
    small = stack[:, scale // 2::scale, scale // 2::scale] if scale else stack
    if width != height or width % SIDE or not (small.repeat(scale, 1).repeat(scale, 2) == stack).all():
        raise UserError(f"the icons have {width} x {height} pixels; they must have {SIDE} x {SIDE}, or be enlarged "
                        "from that by a whole number without smoothing")
    return small, scale


def read_icon(path):
    """A .png file as uint8 [H, W, 4]; UserError if it is none."""
    try:
        return np.asarray(Image.open(path, formats=("PNG",)).convert("RGBA"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a picture that can be read ({error})") from None


def hide(icons):
    """The same with the mean colour of what is visible wherever nothing is, since hidden colours need not be learned,
    and with alpha FAINT; see unhide."""
    alpha = icons[..., 3:] / 255
    mean = (icons[..., :3] * alpha).sum((0, 1, 2)) / max(alpha.sum(), 1)
    rgb = icons[..., :3] * alpha + mean * (1 - alpha)
    faint = 127.5 + (icons[..., 3:] - 127.5) * FAINT
    return np.concatenate([rgb, faint], -1).round().astype(np.uint8)


def unhide(icons):
    """Icons with alpha from FAINT to full contrast."""
    alpha = (127.5 + (icons[..., 3:] - 127.5) / FAINT).round().clip(0, 255)
    return np.concatenate([icons[..., :3], alpha.astype(np.uint8)], -1)


def tones(icons):
    """The mean colour of what is visible of each icon, [N, 3], -1 to 1: what the network is conditioned on. Left to
    itself it decides on colours here and there, and many an icon is of several."""
    alpha = icons[..., 3:] / 255
    means = (icons[..., :3] * alpha).sum((1, 2)) / alpha.sum((1, 2)).clip(min=1)
    return torch.from_numpy(means / 127.5 - 1).float()


# ---------------------------------------------------------------------------------------------
# Network
# ---------------------------------------------------------------------------------------------


class Attended(nn.Module):
    """A block of the U-Net followed by self-attention over all places (Vaswani et al., arXiv 1706.03762)."""

    def __init__(self, block, channels, heads=4):
        super().__init__()
        self.block, self.heads, self.norm = block, heads, nn.GroupNorm(8, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, emb):  # [B, c, h, w]
        x = self.block(x, emb)
        qkv = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1))  # [B, 3, heads, c / heads, h w]
        seen = F.scaled_dot_product_attention(*qkv.transpose(-1, -2).unbind(1)).transpose(-1, -2).reshape(x.shape)
        return x + self.out(seen)


def attend_in_the_middle(net):
    """Attention at the middle one of the network's resolutions, on the way down and up."""
    level = len(net.down) // 2
    channels = net.down[level].conv2.out_channels
    for blocks in (net.down, net.up):
        if level < len(blocks):
            blocks[level] = Attended(blocks[level], channels).to(net.position.device)


# ---------------------------------------------------------------------------------------------
# What is drawn from the trained network
# ---------------------------------------------------------------------------------------------


def palette_of(icons, most=64):
    """The colours of what is visible, uint8 [P, 3]; the most typical where there are more than `most`."""
    colours = icons[icons[..., 3] > 127][:, :3]
    unique = np.unique(colours, axis=0)
    if len(unique) <= most:
        return unique
    reduced = Image.fromarray(colours[None]).quantize(most, kmeans=2)
    return np.asarray(reduced.getpalette()[:3 * most], np.uint8).reshape(-1, 3)


def snap(icons, palette):
    """Icons [N, h, w, 4] with each pixel opaque in the palette's nearest colour or fully transparent."""
    rgb = icons[..., None, :3].astype(int) - palette.astype(int)
    out = np.concatenate([palette[(rgb**2).sum(-1).argmin(-1)], np.full((*icons.shape[:-1], 1), 255, np.uint8)], -1)
    out[icons[..., 3] < 128] = 0
    return out


def nearest(icons, data):
    """For each icon the most similar one of the data, mirrored or not, and their distance, root mean square of the
    levels of colour times alpha: [N, h, w, 4] and float [N]."""
    both = np.concatenate([data, data[:, :, ::-1]])
    a, b = (np.concatenate([x[..., :3] * (x[..., 3:] / 255), x[..., 3:]], -1) for x in (icons, both))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    which = squares.argmin(1)
    return both[which], np.sqrt(np.maximum(squares.min(1), 0) / a.shape[1])


def draw_samples(path, icons, data, columns=8):
    """samples.png: each icon above the most similar one of the data; returns the distances."""
    twins, distances = nearest(icons, data)
    rows = -(-len(icons) // columns)
    figure = Figure(figsize=(1.3 * columns, 3 * rows), layout="constrained", facecolor="#d8dde6")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for k, distance in enumerate(distances):
        row, column = 2 * (k // columns), k % columns
        for axis, icon, title in zip(axes[row:, column], (icons[k], twins[k]), ("drawn", f"nearest: {distance:.0f}")):
            axis.imshow(icon, interpolation="nearest")
            axis.set_title(title, fontsize=8)
    pictures.save_figure(path, figure)
    return distances


def draw_forward(path, photo, trainer):
    """forward.png: rows of clean, noise, noisy at t and predicted, for several t, of the first four icons."""
    x0, context = trainer.dataset.x[:4], trainer.dataset.context[:4]
    steps = len(trainer.alphas_cumprod)
    t = torch.tensor([round(steps * part) - 1 for part in (0.2, 0.4, 0.6, 0.8)], device=x0.device)[:len(x0)]
    eps = torch.randn(x0.shape, generator=seeds.torch_generator(trainer.seed, seeds.SHOWING)).to(x0.device)
    x_t = td.q_sample(x0, t, eps, trainer.alphas_cumprod)
    with torch.inference_mode():
        predicted = estimator(trainer, context)(x_t, t)
    columns = {"clean": x0, "noise": eps, "noisy": x_t, "predicted": predicted}
    figure = Figure(figsize=(6.4, 6.8), layout="constrained", facecolor="#d8dde6")
    for row, axes in enumerate(figure.subplots(len(x0), len(columns), squeeze=False)):
        for axis, (title, x) in zip(axes, columns.items()):
            axis.imshow(unhide(photo.pixels(x[row])), interpolation="nearest")
            axis.set_title(title if row else f"{title}\n", fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(f"t = {int(t[row]) + 1} of {steps}", fontsize=9)
    pictures.save_figure(path, figure)


def generate(trainer, photo, c, data):
    """c.COUNT icons, uint8 [COUNT, 32, 32, 4], each in the tone of some icon of the data, snapped to the data's palette
    if so wished."""
    which = np.random.default_rng(c.SEED).integers(len(data), size=c.COUNT)
    parts = [draw(trainer, photo, estimator(trainer, context), len(context), c.SEED + 32 * k, "ddpm", c.SAMPLE_STEPS)
             for k, context in enumerate(trainer.dataset.context[which].split(32))]
    icons = unhide(photo.pixels(torch.cat(parts)))
    return snap(icons, palette_of(data)) if c.SNAP else icons


def main(argv=None):
    """Train on icons and draw new ones; argv: a folder and overrides such as EPOCHS=0."""
    # fmt: off
    DATA           = ""              # folder with .png files of 32 x 32 pixels; "": icons drawn by this program
    EPOCHS         = 54              # times that every icon is seen; 0: only draw
    BATCH_SIZE     = 16              # icons in one step
    LEARNING_RATE  = 1.2e-3          # peak, after the warm-up
    WIDTHS         = (64, 128, 256)  # channels of the network at 1/2, 1/4, 1/8 of the resolution
    TIMESTEPS      = 1000            # length of the diffusion chain
    SAMPLE_STEPS   = 250             # network evaluations an icon, by DDPM
    COUNT          = 32              # icons to draw
    SNAP           = True            # only colours of the data's palette, and no half-transparent pixels
    SEED           = 0               # another seed, other icons
    OUTPUT_DIR     = "samples"       # pictures go to pixel_art/ in here
    CHECKPOINT_DIR = "checkpoints"   # the model goes here, as pixel_art.pt
    # fmt: on
    c = constants.settings(main, locals(), sys.argv[1:] if argv is None else argv)
    data, scale = read_icons(c.DATA) if c.DATA else (draw_icons(400), 1)
    photo, x = normalise(hide(data), "pixel_art")
    dataset = PictureDataset(x, tones(data), flips=True)
    with claimed(c, "pixel_art", photo.digest) as (results, checkpoint):
        trainer = prepare([photo], dataset, c, checkpoint, 3, "tones", attend_in_the_middle, unshuffle=2)
        fit(trainer, c, results, checkpoint)
        icons = generate(trainer, photo, c, data)
        for k, icon in enumerate(icons):
            png.save_png(results.path(f"icons/{k:03}.png"), icon.repeat(scale, 0).repeat(scale, 1))
        distances = draw_samples(results.path("samples.png"), icons, data)
        draw_forward(results.path("forward.png"), photo, trainer)
    in_data = np.median([nearest(data[k:k + 1], np.delete(data, k, 0))[1][0] for k in range(0, len(data), 4)])
    print(f"output: {results.folder}\nnearest_distance: {np.median(distances):.1f}\n"
          f"nearest_distance_in_data: {in_data:.1f}\ncopies: {(distances < 1).sum()} of {len(icons)}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
