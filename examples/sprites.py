"""Sprites of a wanted kind: 16 x 16 pixels, DDPM and DDIM, conditioned on a class label.

    python examples/sprites.py                 draw 1,500 sprites of 5 kinds, train on them, draw new ones
    python examples/sprites.py FOLDER          the same for yours: an .npy file of uint8 images [N, 16, 16, 3]
                                               and one of one-hot labels [N, K]
    python examples/sprites.py EPOCHS=0        only draw

What a run makes, in samples/sprites/: a grid for each kind (DDPM above, DDIM below), denoising.gif, inpainting.png.
"""

import colorsys
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import PictureDataset, claimed, draw, estimator, fit, grid, need, normalise, prepare
from PIL import Image, ImageDraw

from texture_diffusion_tools.running import constants, exit_codes, files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png

# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------

KINDS = ("potion", "sword", "mushroom", "slime", "gem")
INK = (34, 32, 52)
JUDGED = 200  # drawn sprites about which a classifier is asked


def draw_sprites(count, seed=0):
    """Sprites of KINDS in turn, uint8 [count, 16, 16, 3] on white, and their labels, one-hot [count, 5]."""
    rng = np.random.default_rng(seed)
    images = [draw_sprite(KINDS[k % len(KINDS)], rng) for k in range(count)]
    return np.stack(images), np.eye(len(KINDS), dtype=np.float32)[np.arange(count) % len(KINDS)]


def draw_sprite(kind, rng):
    """One sprite of a kind in colours, sizes and places at random, uint8 [16, 16, 3]."""
    image = Image.new("RGB", (16, 16), "white")
    turn, value = rng.random(), rng.uniform(0.7, 1)
    tones = ((0.8, value), (0.35, 1), (0.85, 0.6 * value))  # saturation and value: itself, lit, in shade
    colour, light, dark = (tuple(round(255 * part) for part in colorsys.hsv_to_rgb(turn, *tone)) for tone in tones)
    x, size = int(rng.integers(-1, 2)), int(rng.integers(4, 7))
    PAINTERS[kind](ImageDraw.Draw(image), 8 + x, size, colour, light, dark, rng)
    return np.asarray(image)


def paint_potion(pen, x, size, colour, light, dark, rng):
    level = int(rng.integers(8, 11))
    pen.rectangle((x - 1, 2, x + 1, 6), fill=(214, 226, 240), outline=INK)
    pen.ellipse((x - size, 14 - 2 * size + 1, x + size, 15), fill=(214, 226, 240), outline=INK)
    for y in range(level, 15):
        half = int((max(0, size**2 - (y - 15 + size) ** 2)) ** 0.5) - 1
        pen.line((x - half, y, x + half, y), fill=colour if y > level else light)
    pen.line((x - 1, 1, x + 1, 1), fill=(143, 86, 59))
    pen.point((x - size // 2, level + 1), fill="white")


def paint_sword(pen, x, size, colour, light, dark, rng):
    tip, grip = 15 - int(rng.integers(0, 3)), 5 + int(rng.integers(-1, 2))
    steel = (203, 219, 252)
    pen.line((grip, 15 - grip, tip, 15 - tip), fill=INK, width=4)
    pen.line((grip, 15 - grip, tip - 1, 16 - tip), fill=steel, width=2)
    pen.line((grip - 2, 12 - grip, grip + 3, 17 - grip), fill=colour, width=2)
    pen.line((1, 14, grip - 1, 16 - grip), fill=dark, width=2)
    pen.rectangle((0, 14, 1, 15), fill=light, outline=INK)


def paint_mushroom(pen, x, size, colour, light, dark, rng):
    pen.rectangle((x - size // 2, 8, x + size // 2, 14), fill=(238, 217, 180), outline=INK)
    pen.pieslice((x - size - 1, 2, x + size + 1, 2 + 2 * size + 3), 180, 360, fill=colour, outline=INK)
    for _ in range(int(rng.integers(2, 5))):
        a, b = int(rng.integers(x - size + 1, x + size - 1)), int(rng.integers(4, 8))
        pen.rectangle((a, b, a + 1, b + 1), fill="white")


def paint_slime(pen, x, size, colour, light, dark, rng):
    top = 15 - size - int(rng.integers(2, 5))
    pen.pieslice((x - size - 1, top, x + size + 1, 29 - top), 180, 360, fill=colour, outline=INK)
    pen.line((x - size, 14, x + size, 14), fill=dark)
    eye = int(rng.integers(10, 13))
    for side in (-1, 1):
        pen.line((x + 2 * side, eye - 1, x + 2 * side, eye), fill=INK)
    pen.line((x - size // 2, top + 2, x - size // 2 + 1, top + 2), fill=light)


def paint_gem(pen, x, size, colour, light, dark, rng):
    top = int(rng.integers(2, 5))
    crown = top + 3
    pen.polygon([(x - size, crown), (x - size + 3, top), (x + size - 3, top), (x + size, crown), (x, 14)],
                fill=colour, outline=INK)
    pen.polygon([(x - size + 3, top + 1), (x, top + 1), (x - 1, crown), (x - size + 1, crown)], fill=light)
    pen.polygon([(x + 1, crown + 1), (x + size - 2, crown + 1), (x + 1, 12)], fill=dark)
    pen.line((x - size + 1, crown, x + size - 1, crown), fill=light)


PAINTERS = dict(zip(KINDS, (paint_potion, paint_sword, paint_mushroom, paint_slime, paint_gem)))


def read_sprites(folder):
    """Images [N, 16, 16, 3] and one-hot labels [N, K] from the two .npy files in a folder; else UserError."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give one with an .npy file of images and one of labels")
    try:
        arrays = [np.load(path, allow_pickle=False) for path in sorted(Path(folder).glob("*.npy"))]
    except (OSError, ValueError) as error:
        raise UserError(f"an .npy file in {folder} cannot be read ({error})") from None
    images = next((a for a in arrays if a.ndim == 4 and a.shape[1:] == (16, 16, 3) and a.dtype == np.uint8), None)
    labels = next((a for a in arrays if a.ndim == 2), None)
    if images is None or labels is None:
        raise UserError(f"{folder} needs an .npy file of uint8 images [N, 16, 16, 3] and one of labels [N, K]; "
                        f"it has {', '.join(str(a.shape) for a in arrays) or 'none'}")
    if len(images) != len(labels) or len(images) < 2:
        raise UserError(f"{folder} has {len(images)} images and {len(labels)} labels; it takes as many, 2 or more")
    return images, labels.astype(np.float32)


# ---------------------------------------------------------------------------------------------
# What is drawn from the trained network
# ---------------------------------------------------------------------------------------------


def draw_grids(results, trainer, photo, c, names):
    """grid_<kind>.png: 20 sprites by DDPM, all steps, above 20 by DDIM, 20 steps; returns both times in seconds."""
    kinds = [*names, "any"]  # without a label
    labels = torch.eye(len(kinds), device=trainer.alphas_cumprod.device)[:, :-1].repeat_interleave(20, 0)
    estimate, drawn, seconds = estimator(trainer, labels, c.GUIDANCE), [], []
    for sampler, steps in (("ddpm", c.TIMESTEPS), ("ddim", min(20, c.TIMESTEPS))):
        start = time.perf_counter()
        drawn.append(draw(trainer, photo, estimate, len(labels), c.SEED, sampler, steps))
        seconds.append(time.perf_counter() - start)
    for name, rows in zip(kinds, torch.cat([x.unflatten(0, (-1, 20)) for x in drawn], 1)):
        png.save_png(results.path(f"grid_{name}.png"), grid(photo, rows, 10))
    return seconds


def draw_gif(results, trainer, photo, c, names):
    """denoising.gif: one sprite of each kind from noise to clean."""
    label = torch.eye(len(names), device=trainer.alphas_cumprod.device)
    estimate = estimator(trainer, label, c.GUIDANCE)
    trail = draw(trainer, photo, estimate, len(names), c.SEED, "ddpm", c.TIMESTEPS, trail=True)
    picked = trail[torch.linspace(0, len(trail) - 1, min(40, len(trail))).long()]
    frames = [Image.fromarray(grid(photo, x_t, len(names))) for x_t in picked]
    wait = [60] * (len(frames) - 1) + [1500]  # milliseconds
    files.write_atomically(results.path("denoising.gif"), lambda file: frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=wait, loop=0))


def draw_inpainting(results, trainer, photo, c, x, labels):
    """inpainting.png: sprites of the data, their left halves, and two ways to draw the right halves to fit."""
    known = torch.zeros(16, 16, dtype=torch.bool, device=x.device)
    known[:, :8] = True
    rows = [x, torch.where(known, x, x.new_tensor(0.0))]
    free = estimator(trainer, labels, c.GUIDANCE)

    def estimate(x_t, t):
        return torch.where(known, x, free(x_t, t))

    rows += [draw(trainer, photo, estimate, len(x), c.SEED + k, "ddpm", c.TIMESTEPS) for k in range(2)]
    png.save_png(results.path("inpainting.png"), grid(photo, torch.cat(rows), len(x)))


def agreement(images, labels, drawn, wanted):
    """Share of drawn sprites, uint8 [M, 16, 16, 3], that a classifier trained on the data takes for the wanted kinds,
    and its share of right answers on a fifth of the data that it did not see."""
    networks = need("sklearn.neural_network", "scikit-learn")
    kinds, held = labels.argmax(1), np.random.default_rng(0).random(len(images)) < 0.2
    judge = networks.MLPClassifier((64,), max_iter=200, random_state=0)
    judge.fit(images[~held].reshape((~held).sum(), -1) / 255, kinds[~held])
    right = judge.score(images[held].reshape(held.sum(), -1) / 255, kinds[held])
    return judge.score(drawn.reshape(len(drawn), -1) / 255, wanted), right


def main(argv=None):
    """Train on sprites and draw new ones; argv: a folder and overrides such as EPOCHS=0."""
    # fmt: off
    DATA           = ""             # folder with .npy files of images and labels; "": sprites drawn by this program
    EPOCHS         = 40             # times that every sprite is seen; 0: only draw
    BATCH_SIZE     = 32             # sprites in one step
    LEARNING_RATE  = 1.2e-3         # peak, after the warm-up
    DROPOUT        = 0.1            # share of training sprites whose label is left out
    WIDTHS         = (64, 128)      # channels of the network at 1/2 and 1/4 of the resolution
    TIMESTEPS      = 250            # length of the diffusion chain
    GUIDANCE       = 1.5            # how far to go in the direction that the label gives; 1: as trained
    SEED           = 0              # another seed, other sprites
    OUTPUT_DIR     = "samples"      # pictures go to sprites/ in here
    CHECKPOINT_DIR = "checkpoints"  # the model goes here, as sprites.pt
    # fmt: on
    c = constants.settings(main, locals(), sys.argv[1:] if argv is None else argv)
    images, labels = read_sprites(c.DATA) if c.DATA else draw_sprites(1500)
    names = KINDS if not c.DATA else [str(k) for k in range(labels.shape[1])]
    photo, x = normalise(images, "sprites")
    dataset = PictureDataset(x, torch.from_numpy(labels))
    with claimed(c, "sprites", photo.digest) as (results, checkpoint):
        trainer = prepare([photo], dataset, c, checkpoint, labels.shape[1], unshuffle=2)
        fit(trainer, c, results, checkpoint)
        ddpm, ddim = draw_grids(results, trainer, photo, c, names)
        draw_gif(results, trainer, photo, c, names)
        draw_inpainting(results, trainer, photo, c, dataset.x[:10], dataset.context[:10])
    wanted = np.arange(JUDGED) % len(names)
    label = torch.eye(len(names), device=dataset.x.device)[wanted]
    drawn = photo.pixels(draw(trainer, photo, estimator(trainer, label, c.GUIDANCE), JUDGED, c.SEED))
    share, right = agreement(images, labels, drawn, wanted)
    print(f"output: {results.folder}\nddpm_seconds: {ddpm:.1f}\nddim_seconds: {ddim:.1f}\n"
          f"wanted_kind: {share:.3f}\nclassifier_on_data: {right:.3f}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
