"""A photo in, four pictures out, each in another style, and a figure that says how well each style took.

    python examples/restyle.py                    train on four drawn styles, restyle four drawn scenes
    python examples/restyle.py photo.jpg          restyle a photo (or each photo in a folder)
    python examples/restyle.py photo.jpg STYLES=paintings      styles of yours: a folder with one picture each
    python examples/restyle.py photo.jpg EPOCHS=0 STRENGTH=0.7 only draw, closer to the photo
    python examples/restyle.py photo.jpg --backend diffusers   by Stable Diffusion: see restyle_diffusers.py

What a run makes, in samples/restyle/: <photo>_<style>.png, scores.png (the judge's answers), strength.csv.
"""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import torch
from common import estimator, fit, need, prepare, td
from matplotlib.figure import Figure
from PIL import Image
from styles import draw_content, draw_scene, draw_styles
from torch.nn import functional as F

from texture_tools import constants, devices, exit_codes, files, photo_facts, photos, png
from texture_tools.errors import UserError
from texture_tools.pictures import save_figure

TILE = 64
KEEP = 8  # pixels; what is coarser than this stays as it is in the photo
STRENGTHS = (0.3, 0.6, 0.9)  # of the table by which a strength is chosen
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def read_photos(path):
    """{name: uint8 [H, W, 3]}: the photo, or those in the folder, or drawn scenes if the path is empty."""
    return read_folder(path, "photos") if path else {f"scene{k}": draw_scene(k) for k in range(4)}


def read_folder(path, wanted):
    """{name: uint8 [H, W, 3]} of a photo or of the photos in a folder, at most 1024 pixels long; UserError if none."""
    path = Path(path)
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES]
    else:
        raise UserError(f"there is no photo or folder at {path}")
    if not files:
        raise UserError(f"{path} holds no pictures; it needs {wanted}")
    pictures = {}
    for file in files:
        image = photos.open_image(file)[0].convert("RGB")
        image.thumbnail((1024, 1024), Image.LANCZOS)
        if min(image.size) < TILE:
            raise UserError(f"{file} has {image.width} x {image.height} pixels; it needs {TILE} x {TILE} or more")
        pictures[file.stem] = np.asarray(image)
    return pictures


# ---------------------------------------------------------------------------------------------
# One model for all styles
# ---------------------------------------------------------------------------------------------


class StyleDataset:
    """Tiles of all styles with their neighbours and the style as context; see td.NeighbourDataset."""

    def __init__(self, photos, epoch_tiles):
        device = devices.pick_device()
        self.parts = [td.NeighbourDataset(photo, TILE, 0, device) for photo in photos]
        self.tile, self.halo, self.epoch_tiles = TILE, td.HALO, epoch_tiles
        self.labels = torch.eye(len(photos), device=device)

    def __len__(self):
        return self.epoch_tiles

    def powers(self):
        """Mean square of each band of detail and channel, [bands, C]."""
        return torch.stack([photo_facts.band_powers(part.padded) for part in self.parts]).mean(0)

    def batch(self, count, dropout, generator):
        """Canvases [B, C, S, S], the neighbours that are shown, bool [B, 8], and the style, one-hot [B, K].

        Half of the tiles are alone, as in the first pass of a drawing; one in ten has no style.
        """
        which = torch.randint(len(self.parts), (count,), generator=generator, device=generator.device)
        batches = [part.batch(count, dropout, generator) for part in self.parts]
        index = torch.arange(count, device=which.device)
        windows, present = (torch.stack(x)[which, index] for x in zip(*batches))
        alone, keep = torch.rand(2, count, 1, generator=generator, device=which.device)
        return windows, present & (alone < 0.5), self.labels[which] * (keep < 0.9)

    def tiles_of(self, windows):
        return td.crop_middle(windows, TILE)

    def validation_offsets(self):
        return torch.empty(0, 2)


def coarse(x):
    """Pictures [B, C, h, w] without what is finer than KEEP pixels."""
    return F.interpolate(F.avg_pool2d(x, KEEP), scale_factor=KEEP, mode="bilinear")


def restyle(trainer, colours, pixels, label, c, strength):
    """A photo, uint8 [H, W, 3], in a style: noised to a strength and denoised tile by tile, those like the black fields
    of a checkerboard first, the others among them (SDEdit, arXiv 2108.01073). Each estimate gets the photo's coarse
    part back (ILVR, arXiv 2108.02938): noise strong enough for the style would take the photo's colours along."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    x = torch.from_numpy(np.pad(pixels, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), "symmetric"))
    x = (x.permute(2, 0, 1) / 127.5 - 1 - colours.mean) / colours.std
    tiles, abar, cells = td.split_tiles(x, TILE), trainer.alphas_cumprod, list(np.ndindex(rows, columns))
    bounds = [bound.to(abar.device) for bound in colours.bounds()]

    def draw(net, rings, present, generators, sketch):
        context = trainer.dataset.labels[label].expand(len(rings), -1)
        free, kept = estimator(trainer, context, c.GUIDANCE, (rings, present)), coarse(sketch)

        def estimate(x_t, t):
            x0 = free(x_t, t)
            return x0 + kept - coarse(x0)

        return td.sample(estimate, (3, TILE, TILE), generators, abar, bounds, "mixed", c.SAMPLE_STEPS, sketch, strength)

    passes = [[cell for cell in cells if sum(cell) % 2 == colour] for colour in (0, 1)]
    layout = td.Layout(td.make_grid(height, width, TILE), np.full((rows, columns, 2), -1), passes)
    texture = td.Texture(layout, 3, abar.device)
    most = max(map(len, passes))
    batch = -(-most // -(-most // c.BATCH_SIZE))  # in as many batches, but even ones: none is filled up with copies
    for _ in td.outpaint(trainer.ema, texture, passes, batch, draw, c.SEED, tiles.__getitem__):
        pass
    return colours.pixels(texture.cut((0, 0), (height, width)))


# ---------------------------------------------------------------------------------------------
# How well a style took
# ---------------------------------------------------------------------------------------------


def features(pixels):
    """Texture statistics of the 64 x 64 tiles of a picture, uint8 [H, W, 3]: the logarithm of the power spectrum of the
    luminance in 8 rings x 8 directions, [N, 64]."""
    grey = pixels.mean(-1)
    rows, columns = grey.shape[0] // TILE, grey.shape[1] // TILE
    tiles = grey[:rows * TILE, :columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    tiles = tiles.reshape(-1, TILE, TILE)
    window = np.outer(np.hanning(TILE), np.hanning(TILE))
    power = np.abs(np.fft.fft2((tiles - tiles.mean((1, 2), keepdims=True)) * window)) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE), indexing="ij")
    ring = np.clip(np.log2(np.maximum(np.hypot(fx, fy), 1e-9) / 0.03) * 2, 0, 7).astype(int)
    turn = (np.arctan2(fy, fx) % np.pi / np.pi * 8).astype(int) % 8
    bins = (ring * 8 + turn).ravel()
    means = np.stack([np.bincount(bins, p.ravel(), 64) for p in power]) / np.bincount(bins, minlength=64).clip(1)
    return np.log(means + 1)


class Judge:
    """Answers "is this picture in the style X?" with yes or no: yes, if more of its tiles look like X than like another
    style or like none. Learned from the styles and from drawings without a style."""

    def __init__(self, styles, seed=0):
        linear = need("sklearn.linear_model", "scikit-learn")
        pipeline = need("sklearn.pipeline", "scikit-learn")
        scaler = need("sklearn.preprocessing", "scikit-learn").StandardScaler()
        rng = np.random.default_rng(seed)
        plain = [draw_content(rng) for _ in range(2)] + [draw_scene(1000 + k) for k in range(4)]
        classes = [[style] for style in styles.values()] + [plain]
        rows = [np.concatenate([features(np.roll(p, shift, (0, 1))) for p in pictures for shift in ((0, 0), (32, 32))])
                for pictures in classes]
        self.model = pipeline.make_pipeline(scaler, linear.LogisticRegression(C=0.1, max_iter=1000))
        self.model.fit(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows]))

    def says_yes(self, pixels, label):
        """Whether a picture is in the style of a number."""
        return bool(self.model.predict_proba(features(pixels)).mean(0).argmax() == label)


def interval(answers):
    """The mean of yes-or-no answers and its 95 % interval (Wilson 1927): three shares."""
    n, mean, z = len(answers), float(np.mean(answers)), 1.96
    middle, half = mean + z**2 / (2 * n), z * (mean * (1 - mean) / n + z**2 / (4 * n**2)) ** 0.5
    return mean, (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def similarity(one, other):
    """Correlation of the luminance of two pictures, uint8 [H, W, 3], in blocks of 2 pixels: the same picture has 1."""
    small = [np.asarray(Image.fromarray(p).convert("L").reduce(2), float).ravel() for p in (one, other)]
    return float(np.corrcoef(*small)[0, 1])


def draw_scores(path, answers, baseline):
    """scores.png: bars with intervals for each style, before and after, and the running means; {style: [bool]} each."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    bars, running = figure.subplots(1, 2)
    for k, name in enumerate(answers):
        for shift, said, colour in ((-0.2, baseline[name], "#b0b8c4"), (0.2, answers[name], "#3c78b4")):
            mean, low, high = interval(said)
            bars.bar(k + shift, mean, 0.38, color=colour)
            bars.plot([k + shift] * 2, [low, high], color="black")
        count = np.arange(1, len(answers[name]) + 1)
        running.plot(count, np.cumsum(answers[name]) / count, marker=".", label=name)
    bars.set(xticks=range(len(answers)), xticklabels=list(answers), ylim=(0, 1.05), title="yes (grey: untouched)")
    running.set(xlabel="photos", ylim=(-0.05, 1.05), title="running mean of the answers")
    running.legend(fontsize=8)
    save_figure(path, figure)


def strength_rows(trainer, colours, judge, pixels, styles, c):
    """[strength, similarity to the photo, share of styles that took] for several strengths."""
    rows = []
    for strength in STRENGTHS:
        pictures = [restyle(trainer, colours, pixels, label, c, strength) for label in range(len(styles))]
        took = np.mean([judge.says_yes(picture, label) for label, picture in enumerate(pictures)])
        alike = np.mean([similarity(picture, pixels) for picture in pictures])
        rows.append([strength, round(float(alike), 3), round(float(took), 3)])
    return rows


def write_table(path, rows):
    """strength.csv, also printed: a row for each strength."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["strength", "similarity", "style_score"], *rows])
    files.write_atomically(path, lambda file: file.write(text.getvalue().encode()))
    print(text.getvalue(), end="")


def choose_backend(argv):
    """Run main() of the backend that --backend names, without these two words."""
    place = argv.index("--backend")
    name, rest = " ".join(argv[place + 1:place + 2]), argv[:place] + argv[place + 2:]
    if name not in ("light", "diffusers"):
        raise UserError(f"--backend is light or diffusers, not {name or 'nothing'}")
    if name == "light":
        return main(rest)
    import restyle_diffusers

    return restyle_diffusers.main(rest)


def main(argv=None):
    """Train on the styles and restyle photos; argv: a photo or a folder and overrides such as EPOCHS=0."""
    # fmt: off
    PHOTO          = ""              # a photo or a folder of photos; "": scenes drawn by this program
    STYLES         = ""              # folder with one picture for each style; "": styles drawn by this program
    STRENGTH       = 0.9             # how far from the photo: share of the diffusion chain that is gone through
    EPOCHS         = 16              # training length; 0: only draw
    EPOCH_TILES    = 400             # tiles seen in one epoch
    BATCH_SIZE     = 8               # tiles in one step
    LEARNING_RATE  = 1.2e-3          # peak, after the warm-up
    DROPOUT        = 0.4             # share of training tiles that see other neighbours than N W E S
    WIDTHS         = (64, 128, 256)  # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS      = 1000            # length of the diffusion chain
    SAMPLE_STEPS   = 15              # network evaluations a tile
    GUIDANCE       = 3.0             # how far to go in the direction that the style gives; 1: as trained
    SEED           = 0               # another seed, other pictures
    OUTPUT_DIR     = "samples"       # pictures go to restyle/ in here
    CHECKPOINT_DIR = "checkpoints"   # the model goes here, as restyle.pt
    # fmt: on
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--backend" in argv:
        return choose_backend(argv)
    c = constants.settings(main, locals(), argv)
    styles = read_folder(c.STYLES, "one picture for each style") if c.STYLES else draw_styles()
    photos = read_photos(c.PHOTO)
    folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, "restyle")
    colours = td.normalise(np.concatenate([style.reshape(-1, 1, 3) for style in styles.values()]), "styles")
    parts = [colours._replace(x=part.view(3, *style.shape[:2])) for style, part in zip(
        styles.values(), colours.x.split([style.shape[0] * style.shape[1] for style in styles.values()], 1))]
    trainer = prepare(colours, StyleDataset(parts, c.EPOCH_TILES), c, checkpoint, len(styles), list(styles))
    fit(trainer, c, folder, checkpoint)

    judge, answers, baseline = Judge(styles), {name: [] for name in styles}, {name: [] for name in styles}
    for photo, pixels in photos.items():
        for label, style in enumerate(styles):
            picture = restyle(trainer, colours, pixels, label, c, c.STRENGTH)
            png.save_png(folder / f"{photo}_{style}.png", picture)
            answers[style].append(judge.says_yes(picture, label))
            baseline[style].append(judge.says_yes(pixels, label))
    draw_scores(folder / "scores.png", answers, baseline)
    first = next(iter(photos.values()))
    write_table(folder / "strength.csv", strength_rows(trainer, colours, judge, first, styles, c))
    for style in styles:
        mean, low, high = interval(answers[style])
        print(f"{style}: {mean:.2f} ({low:.2f} to {high:.2f}), untouched {np.mean(baseline[style]):.2f}")
    print(f"output: {folder}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
