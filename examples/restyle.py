"""A photo in, four pictures out, each in another style, and a figure that says how well each style took.

    python examples/restyle.py                    train on four drawn styles, restyle four photos of scikit-image
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
from common import CONTEXT_LENGTH, alone, claimed, estimator, fit, need, prepare, td
from matplotlib.figure import Figure
from PIL import Image
from styles import draw_content, draw_scene, draw_styles
from torch.nn import functional as F

from texture_diffusion_tools.reading import exemplars, photos
from texture_diffusion_tools.running import constants, devices, exit_codes, files, seeds
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png
from texture_diffusion_tools.writing.drawings import digest_of_all
from texture_diffusion_tools.writing.pictures import save_figure

TILE, PATCH = 128, 64  # pixels; of the network, of the judge
KEEP = 16  # pixels; what is coarser than this stays as it is in the photo
FREE = 0.3  # of the chain: at less noise nothing is held to the photo any more
STRENGTHS = (0.3, 0.6, 0.9)  # of the table by which a strength is chosen
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
PHOTOS = ("coffee", "rocket", "chelsea", "astronaut")  # of scikit-image: CC0 and public domain
LONGEST = 512  # of these, pixels

# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def read_photos(path, least=TILE):
    """{name: uint8 [H, W, 3]}: the photo, or those in the folder, or scikit-image's PHOTOS if the path is empty."""
    if path:
        return read_folder(path, "photos", least)
    data, pictures = need("skimage.data", "scikit-image"), {}
    for name in PHOTOS:
        image = Image.fromarray(getattr(data, name)())
        image.thumbnail((LONGEST, LONGEST), Image.LANCZOS)
        pictures[name] = np.asarray(image)
    return pictures


def read_folder(path, wanted, least):
    """{name: uint8 [H, W, 3]} of a photo or of the photos in a folder, at most 1024 pixels long; UserError if there is
    none, or one with fewer than `least` pixels a side."""
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
        if min(image.size) < least:
            raise UserError(f"{file} has {image.width} x {image.height} pixels; it needs {least} x {least} or more")
        pictures[file.stem] = np.asarray(image)
    return pictures


def split_luma(pixels):
    """The luminance of a picture, uint8 [H, W], and its two colour differences, uint8 [H, W, 2] (YCbCr)."""
    x = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    return x[..., 0], x[..., 1:]


# ---------------------------------------------------------------------------------------------
# One model for all styles
# ---------------------------------------------------------------------------------------------
# A style is learned from one picture, whose colours are few and not the photo's. So it is learned, and drawn, in the
# luminance alone; the colours stay the photo's (Gatys et al., arXiv 1606.05897, section 3.1).


def normalised(styles):
    """td.Photos of the luminance of styles {name: uint8 [H, W, 3]}."""
    return tuple(td.normalise(exemplars.of_pixels(split_luma(pixels)[0], name)) for name, pixels in styles.items())


class StyleDataset:
    """Tiles of all styles, without neighbours, and the style as context; see td.NeighbourDataset."""

    halo, tile = 0, TILE

    def __init__(self, photos, epoch_tiles):
        device, self.epoch_tiles = devices.pick_device(), epoch_tiles
        self.all = td.SeveralDatasets([td.NeighbourDataset(style, TILE, 0, device) for style in photos])
        self.labels = CONTEXT_LENGTH * torch.eye(len(photos), device=device)

    def __len__(self):
        return self.epoch_tiles

    def batch(self, count, dropout, generator):
        """A td.Batch of tiles [B, 1, T, T], which have no neighbours, and the style's label, [B, K]."""
        batch = self.all.batch(count, dropout, generator)
        x = self.all.tiles_of(batch.windows)
        return td.Batch(x, alone(x), context=CONTEXT_LENGTH * batch.context)

    def tiles_of(self, windows):
        return windows

    def validation_offsets(self):
        return torch.empty(0, 2)


def coarse(x):
    """Pictures [B, C, h, w] without what is finer than KEEP pixels."""
    return F.interpolate(F.avg_pool2d(x, KEEP), scale_factor=KEEP, mode="bilinear")


def by_tiles(estimate, x_t, t, corner, batch):
    """An estimate for a picture x_t [1, C, H, W], put together of those for its tiles, the first of which begins at a
    corner (y, x) above and left of it; what lies beyond its edges is mirrored."""
    (y, x), (height, width) = corner, x_t.shape[2:]
    padded = F.pad(x_t, [x, -(width + x) % TILE, y, -(height + y) % TILE], "reflect")
    tiles = td.split_tiles(padded[0], TILE)
    drawn = torch.cat([estimate(part, t.expand(len(part))) for part in tiles.flatten(0, 1).split(batch)])
    return td.join_tiles(drawn.view_as(tiles), *padded.shape[2:])[None, :, y:y + height, x:x + width]


def restyle(trainer, styles, pixels, label, c, strength):
    """A picture, uint8 [H, W, 3], in a style of a Photo's textures: its luminance is noised to a strength and denoised
    (SDEdit, arXiv 2108.01073). The tiles lie elsewhere in each step, so that no border stays where it could be seen.
    While there is much noise, which would take the picture along, each estimate gets its coarse part back (ILVR, arXiv
    2108.02938)."""
    (luma, colours), style, abar = split_luma(pixels), styles[label], trainer.alphas_cumprod
    height, width = luma.shape
    sketch = torch.from_numpy(np.pad(luma, ((0, -height % KEEP), (0, -width % KEEP)), "edge"))[None, None]
    sketch = ((sketch / 127.5 - 1 - style.mean) / style.std).to(abar.device)
    free, kept = estimator(trainer, trainer.dataset.labels[label][None]), coarse(sketch)
    rng = np.random.default_rng(c.SEED)

    def estimate(x_t, t):
        x0 = by_tiles(free, x_t, t, rng.integers(TILE, size=2).tolist(), c.BATCH_SIZE)
        return x0 + kept - coarse(x0) if t[0] >= FREE * len(abar) else x0

    generators, bounds = [seeds.torch_generator(c.SEED, seeds.DRAWING)], style.bounds()
    steps = td.sample(estimate, sketch.shape[1:], generators, abar, [bound.to(abar.device) for bound in bounds],
                      "mixed", c.SAMPLE_STEPS, sketch, strength)
    x = [x_t for _, x_t, _ in steps][-1][0, :, :height, :width]
    luma = style.pixels(x)[..., :1]
    return np.asarray(Image.fromarray(np.concatenate([luma, colours], -1), "YCbCr").convert("RGB"))


# ---------------------------------------------------------------------------------------------
# How well a style took
# ---------------------------------------------------------------------------------------------


def features(pixels):
    """Texture statistics of the 64 x 64 tiles of a picture, uint8 [H, W, 3]: the logarithm of the power spectrum of the
    luminance in 8 rings x 8 directions, [N, 64]."""
    grey = pixels.mean(-1)
    rows, columns = grey.shape[0] // PATCH, grey.shape[1] // PATCH
    tiles = grey[:rows * PATCH, :columns * PATCH].reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2)
    tiles = tiles.reshape(-1, PATCH, PATCH)
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    power = np.abs(np.fft.fft2((tiles - tiles.mean((1, 2), keepdims=True)) * window)) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(PATCH), np.fft.fftfreq(PATCH), indexing="ij")
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


def strength_rows(trainer, styles, judge, pixels, c):
    """[strength, similarity to the picture, share of styles that took] for several strengths."""
    rows, labels = [], range(len(styles))
    for strength in STRENGTHS:
        pictures = [restyle(trainer, styles, pixels, label, c, strength) for label in labels]
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
    PHOTO          = ""              # a photo or a folder of photos; "": four of scikit-image's
    STYLES         = ""              # folder with one picture for each style; "": styles drawn by this program
    PRIOR          = "checkpoints/prior.pt"  # weights to begin from, of python -m prior; None: from nothing
    STRENGTH       = 0.9             # how far from the photo: share of the diffusion chain that is gone through
    EPOCHS         = 10              # training length; 0: only draw
    EPOCH_TILES    = 400             # tiles seen in one epoch
    BATCH_SIZE     = 8               # tiles in one step
    LEARNING_RATE  = 2e-3            # peak, after the warm-up
    WIDTHS         = (64, 128, 256)  # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS      = 1000            # length of the diffusion chain
    SAMPLE_STEPS   = 20              # network evaluations a tile
    SEED           = 0               # another seed, other pictures
    OUTPUT_DIR     = "samples"       # pictures go to restyle/ in here
    CHECKPOINT_DIR = "checkpoints"   # the model goes here, as restyle.pt
    # fmt: on
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--backend" in argv:
        return choose_backend(argv)
    c = constants.settings(main, locals(), argv)
    styles = read_folder(c.STYLES, "one picture for each style", 2 * TILE) if c.STYLES else draw_styles()
    photos, learned, judge = read_photos(c.PHOTO), normalised(styles), Judge(styles)
    digest = digest_of_all([photo.digest for photo in learned])
    answers, baseline = ({name: [] for name in styles} for _ in range(2))
    with claimed(c, "restyle", digest) as (results, checkpoint):
        trainer = prepare(learned, StyleDataset(learned, c.EPOCH_TILES), c, checkpoint, len(styles), list(styles),
                          prior=c.PRIOR)
        fit(trainer, c, results, checkpoint)
        for name, pixels in photos.items():
            for label, style in enumerate(styles):
                picture = restyle(trainer, learned, pixels, label, c, c.STRENGTH)
                png.save_png(results.path(f"{name}_{style}.png"), picture)
                answers[style].append(judge.says_yes(picture, label))
                baseline[style].append(judge.says_yes(pixels, label))
        draw_scores(results.path("scores.png"), answers, baseline)
        first = next(iter(photos.values()))
        write_table(results.path("strength.csv"), strength_rows(trainer, learned, judge, first, c))
    for style in styles:
        mean, low, high = interval(answers[style])
        print(f"{style}: {mean:.2f} ({low:.2f} to {high:.2f}), untouched {np.mean(baseline[style]):.2f}")
    print(f"output: {results.folder}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
