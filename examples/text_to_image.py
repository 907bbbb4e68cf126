"""A prompt to a picture, on weak hardware: 64 x 64 pixels, from some hundred captioned pictures.

    python examples/text_to_image.py "PROMPT=red brick wall"     train at first, then draw what the prompt says
    python examples/text_to_image.py FOLDER "PROMPT=a castle"    the same for pictures of yours, with a captions.csv
                                                                 (file,caption) or captions as file names
    python examples/text_to_image.py --window                    a window: prompt, steps, guidance, seed, Generate, Save
    python examples/text_to_image.py --download "old castle"     collect pictures of a search in a folder, with captions

What a run makes, in samples/text_to_image/: <prompt>.png, eight pictures.
"""

import contextlib
import csv
import io
import itertools
import re
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from common import CONTEXT_LENGTH, PictureDataset, claimed, draw, estimator, fit, grid, need, normalise, prepare
from PIL import Image, ImageDraw, ImageOps
from torch.nn import functional as F

from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running import constants, exit_codes, files
from texture_diffusion_tools.running.errors import RunError, UserError
from texture_diffusion_tools.writing import png

SIDE, COARSE = 64, 16  # pixels, of a picture and of its first, coarse version
COARSE_EPOCH = 8  # coarse pictures that are seen for each whole one
COUNT = 8  # pictures for a prompt
DRAWN = 2400  # pictures to learn from where none are given
STRENGTH = 0.8  # share of the diffusion chain that the second model goes through
MAX_BYTES = 20e6  # of a picture that is downloaded

# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------

COLOURS = {"red": (190, 45, 40), "orange": (225, 125, 40), "yellow": (235, 205, 70), "green": (70, 150, 65),
           "blue": (50, 90, 185), "purple": (125, 65, 165), "brown": (120, 80, 50), "grey": (130, 130, 130),
           "white": (235, 235, 230), "black": (40, 40, 45)}
SHAPES = {"circle": 40, "square": 4, "triangle": 3, "hexagon": 6}  # corners


def draw_pictures(count, seed=0):
    """Pictures of materials and shapes, uint8 [count, 64, 64, 3], and their captions."""
    rng = np.random.default_rng(seed)
    pairs = [KINDS[k % len(KINDS)](rng, *rng.choice(list(COLOURS), 2, replace=False)) for k in range(count)]
    return np.stack([pixels for pixels, _ in pairs]), [caption for _, caption in pairs]


def shade(colour, rng, shape=(SIDE, SIDE), grain=7.0):
    """A surface of a colour with a little grain, float [*shape, 3]."""
    return np.array(COLOURS[colour]) + rng.normal(0, grain, (*shape, 1)) + rng.normal(0, 6, 3)


def finish(pixels):
    return pixels.round().clip(0, 255).astype(np.uint8)


def brick_wall(rng, colour, other):
    height, length, y, x = int(rng.integers(9, 13)), int(rng.integers(20, 28)), *np.mgrid[:SIDE, :SIDE]
    y, x = y + rng.integers(height), x + rng.integers(length)
    row = y // height
    x = x + row % 2 * (length // 2)
    tone = rng.normal(0, 14, (12, 12))[row, x // length]
    wall = shade(colour, rng) + tone[..., None]
    joints = (y % height < 2) | (x % length < 2)
    return finish(np.where(joints[..., None], 205 + rng.normal(0, 7, (SIDE, SIDE, 1)), wall)), f"{colour} brick wall"


def woven_cloth(rng, colour, other):
    y, x = np.mgrid[:SIDE, :SIDE]
    striped, width = rng.random() < 0.6, int(rng.integers(5, 9))
    cloth = shade(colour, rng, grain=3)
    if striped:
        cloth = np.where((x // width % 2)[..., None] > 0, shade(other, rng, grain=3), cloth)
    weave = 14 * np.sin(np.pi * x / 2) * np.sin(np.pi * y / 2 + np.pi / 2 * (x // 2 % 2))
    return finish(cloth + weave[..., None]), f"{colour} woven cloth" + (f" with {other} stripes" if striped else "")


def wooden_planks(rng, colour, other):
    y, x = np.mgrid[:SIDE, :SIDE]
    width = int(rng.integers(13, 20))
    x = x + rng.integers(width)
    plank = x // width
    wave, tone = rng.uniform(0, 6, (9, 3))[plank].transpose(2, 0, 1), rng.normal(0, 10, 9)[plank]
    veins = 12 * np.sin(x * 1.1 + 1.5 * np.sin(y / 9 + wave[0]) + wave[1]) * (0.5 + 0.5 * np.sin(y / 13 + wave[2]))
    planks = shade(colour, rng, grain=4) + (veins + tone)[..., None]
    return finish(np.where((x % width == 0)[..., None], planks * 0.35, planks)), f"{colour} wooden planks"


def pebbles(rng, colour, other):
    centres = rng.uniform(-4, SIDE + 4, (45, 2))
    places = np.stack(np.mgrid[:SIDE, :SIDE], -1)[:, :, None]
    distance = np.linalg.norm(places - centres, axis=-1)
    near, second = np.sort(distance, -1)[..., :2].transpose(2, 0, 1)
    stones = shade(colour, rng) + rng.normal(0, 16, 45)[distance.argmin(-1)][..., None]
    lit = np.clip((second - near) / 5, 0, 1)[..., None]
    return finish(stones * (0.35 + 0.65 * lit)), f"{colour} pebbles"


def shape_on_ground(rng, colour, other):
    name = str(rng.choice(list(SHAPES)))
    mask, (x, y) = Image.new("L", (SIDE * 4, SIDE * 4)), rng.uniform(100, 156, 2)
    ImageDraw.Draw(mask).regular_polygon((x, y, rng.uniform(65, 95)), SHAPES[name], fill=255)
    cover = np.asarray(mask.resize((SIDE, SIDE), Image.BOX))[..., None] / 255
    return finish(shade(colour, rng, grain=3) * cover + shade(other, rng, grain=3) * (1 - cover)), \
        f"{colour} {name} on {other} ground"


KINDS = (brick_wall, woven_cloth, wooden_planks, pebbles, *[shape_on_ground] * len(SHAPES))


def read_pictures(folder):
    """The pictures of a folder in the middle square of each, uint8 [N, 64, 64, 3], and their captions, from its
    captions.csv (columns file, caption) or else from the files' names; UserError if there are fewer than two."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one that holds pictures")
    listed, pictures, captions = read_captions(folder / "captions.csv"), [], []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg") or listed and path.name not in listed:
            continue
        try:
            image, _ = photos.open_image(path)
        except UserError as error:
            print(f"note: {error}; it is left out")
            continue
        pictures.append(np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.LANCZOS)))
        captions.append(listed.get(path.name) or re.sub(r"[\W\d_]+", " ", path.stem).strip().lower())
    if len(pictures) < 2:
        raise UserError(f"{folder} holds {len(pictures)} pictures that can be read; it takes 2 or more")
    return np.stack(pictures), captions


def read_captions(path):
    """{file name: caption} of a captions.csv, {} if there is none; UserError if it lacks one of the two columns."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "caption"} <= rows[0].keys():
        raise UserError(f"{path} needs the columns file and caption")
    return {row["file"]: (row["caption"] or "").lower() for row in rows}


def download(query, folder, count=60):
    """Pictures of a search in a folder with a captions.csv (file, caption, source, width, height); those that cannot be
    fetched or read are named and left out. Returns how many there are."""
    if not query.strip():
        raise UserError("the search is empty; say what to look for")
    folder, rows = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for found in search(query, count):
        name = f"{re.sub(r'[^a-z0-9]+', '_', query.lower()).strip('_')}_{len(rows):03}"
        try:
            image = fetch(found["image"])
        except (OSError, ValueError, SyntaxError, HTTPException, Image.DecompressionBombError) as error:
            print(f"note: {found.get('image')} is left out ({error})")
            continue
        suffix = ".jpg" if image.format == "JPEG" else ".png"
        files.write_atomically(folder / (name + suffix), lambda file, image=image: image.save(file, image.format))
        rows.append([name + suffix, query.lower(), found["image"], image.width, image.height])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["file", "caption", "source", "width", "height"], *rows])
    files.write_atomically(folder / "captions.csv", lambda file: file.write(text.getvalue().encode()))
    return len(rows)


def search(query, count):
    """What a search for pictures finds, dicts with an address under "image"; RunError if it fails."""
    engine = need("ddgs", "ddgs").DDGS()
    try:
        return list(engine.images(query, max_results=count))
    except Exception as error:  # the package has its own kinds, and those of the network below it
        raise RunError(f"the search for {query} failed ({error}); try again later") from None


def fetch(address):
    """The picture at an http address; ValueError or OSError if it is no whole PNG or JPEG file of at most MAX_BYTES."""
    if not address.lower().startswith(("http://", "https://")):
        raise ValueError("no web address")
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        content = answer.read(int(MAX_BYTES) + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES / 1e6:g} MB")
    image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
    image.load()
    return image


# ---------------------------------------------------------------------------------------------
# Prompts and pictures
# ---------------------------------------------------------------------------------------------


class Prompts:
    """What captions mean: TF-IDF vectors of their words and pairs of words (Salton and Buckley 1988), of length
    CONTEXT_LENGTH, which are the networks' context."""

    def __init__(self, captions):
        text = need("sklearn.feature_extraction.text", "scikit-learn")
        self.vectorizer = text.TfidfVectorizer(ngram_range=(1, 2), max_features=400, token_pattern=r"(?u)\b\w+\b")
        try:
            self.vectorizer.fit(captions)
        except ValueError:
            raise UserError("the captions have no words; name the files after what they show") from None

    def vectors(self, prompts):
        """The vectors of prompts, [N, K]."""
        return CONTEXT_LENGTH * torch.from_numpy(self.vectorizer.transform(prompts).toarray()).float()

    def unknown(self, prompt):
        """The words of a prompt that the captions never used; UserError if none is known."""
        words = re.findall(r"\w+", prompt.lower())
        if not words:
            raise UserError("the prompt is empty; say what to draw, such as: red brick wall")
        unknown = [word for word in words if word not in self.vectorizer.vocabulary_]
        if len(unknown) == len(words):
            known = sorted(word for word in self.vectorizer.vocabulary_ if " " not in word)
            raise UserError(f"no word of the prompt is known; the captions use {', '.join(known[:40])}")
        return unknown


class Painter:
    """Two models, one after the other (cascaded diffusion, Ho et al., arXiv 2106.15282): the first draws the picture
    with 16 x 16 pixels, where a shape is a few pixels large and soon learned; the second draws what is finer."""

    def __init__(self, c, photo, x, captions, results, checkpoint):
        self.c, self.photo, self.results, self.prompts = c, photo, results, Prompts(captions)
        context, number = self.prompts.vectors(captions), c.EPOCH_PICTURES
        small = SimpleNamespace(**{**vars(c), "WIDTHS": c.WIDTHS[:2], "BATCH_SIZE": 2 * c.BATCH_SIZE})
        path = checkpoint.with_name(f"{checkpoint.stem}_coarse.pt")
        self.coarse = prepare([photo], PictureDataset(shrunk(x), context, epoch=COARSE_EPOCH * number), small, path,
                              context.shape[1], captions, unshuffle=2)
        whole = PictureDataset(x, context, epoch=number)
        self.fine = prepare([photo], whole, c, checkpoint, context.shape[1], captions,
                            prior=c.PRIOR)
        self.models = [(self.coarse, "loss_coarse", path), (self.fine, "loss", checkpoint)]

    def fit(self, report=None):
        """Train what is left to train; report(share done) after each epoch."""
        for k, (trainer, name, path) in enumerate(self.models):
            print(f"pictures of {trainer.dataset.tile} x {trainer.dataset.tile} pixels:")
            done = report and (lambda epoch, k=k: report((k + epoch / self.c.EPOCHS) / len(self.models)))
            fit(trainer, self.c, self.results, path, done, name)

    def paint(self, prompt, count, steps, guidance, seed, report=None):
        """count pictures of a prompt, normalised [count, 3, 64, 64]; report(share done) after each of the steps."""
        self.prompts.unknown(prompt)
        return self.paint_each([prompt] * count, steps, guidance, seed, report)

    def paint_each(self, prompts, steps, guidance, seed, report=None):
        """A picture of each of some prompts, as in paint()."""
        context, count = self.prompts.vectors(prompts).to(self.fine.alphas_cumprod.device), len(prompts)
        done = itertools.count(1)

        def watched(trainer):
            estimate = estimator(trainer, context, guidance)

            def told(x_t, t):
                if report is not None:
                    report(next(done) / (2 * steps))
                return estimate(x_t, t)

            return told

        small = draw(self.coarse, self.photo, watched(self.coarse), count, seed, "ddpm", steps)
        free = watched(self.fine)

        def held(x_t, t):
            x0 = free(x_t, t)
            return x0 + enlarged(small - shrunk(x0))  # ILVR, arXiv 2108.02938

        return draw(self.fine, self.photo, held, count, seed, "mixed", steps, sketch=enlarged(small), strength=STRENGTH)


@contextlib.contextmanager
def opened(c):
    """The Painter of the constants, with whose models and results no other run works meanwhile."""
    pictures, captions = read_pictures(c.DATA) if c.DATA else draw_pictures(DRAWN)
    photo, x = normalise(pictures, "pictures")
    with claimed(c, "text_to_image", photo.digest) as (results, checkpoint):
        yield Painter(c, photo, x, captions, results, checkpoint)


def shrunk(x):
    """Pictures [B, C, 64, 64] with 16 x 16 pixels."""
    return F.avg_pool2d(x, SIDE // COARSE)


def enlarged(x):
    """Pictures [B, C, 16, 16] with 64 x 64 pixels."""
    return F.interpolate(x, scale_factor=SIDE // COARSE, mode="bilinear")


def free_path(folder, prompt):
    """A path in the folder, named after the prompt, that does not exist."""
    name = re.sub(r"\W+", "_", prompt.lower()).strip("_")[:60]
    return next(path for k in range(10**6) if not (path := folder / f"{name}{f'_{k}' if k else ''}.png").exists())


def save_picture(folder, prompt, pixels):
    """Save uint8 [H, W, 3] under a free name after the prompt and return the path."""
    path = free_path(folder, prompt)
    png.save_png(path, pixels, {"prompt": prompt})
    return path


def main(argv=None):
    """Train on captioned pictures and draw a prompt; argv: see the top of the file."""
    # fmt: off
    DATA           = ""                # folder of captioned pictures; "": pictures drawn by this program
    PROMPT         = "red brick wall"  # what to draw
    PRIOR          = "checkpoints/prior.pt"  # weights to begin from, of python -m prior; None: from nothing
    EPOCHS         = 20                # training length; 0: only draw
    EPOCH_PICTURES = 640               # pictures seen in one epoch
    BATCH_SIZE     = 16                # pictures in one step
    LEARNING_RATE  = 2e-3              # peak, after the warm-up
    DROPOUT        = 0.1               # share of training pictures whose caption is left out
    WIDTHS         = (64, 128, 256)    # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS      = 1000              # length of the diffusion chain
    SAMPLE_STEPS   = 30                # network evaluations a picture
    GUIDANCE       = 3.0               # how far to go in the direction that the prompt gives; 1: as trained
    SEED           = 0                 # another seed, other pictures
    OUTPUT_DIR     = "samples"         # pictures go to text_to_image/ in here
    CHECKPOINT_DIR = "checkpoints"     # the models go here, as text_to_image.pt and text_to_image_coarse.pt
    # fmt: on
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["--download"]:
        folder = Path(*argv[2:3]) if argv[2:] else Path("downloads")
        print(f"{download(' '.join(argv[1:2]), folder)} pictures in {folder}")
        return
    c = constants.settings(main, locals(), [word for word in argv if word != "--window"])
    with opened(c) as painter:
        if "--window" in argv:
            import text_window

            text_window.Window(painter).root.mainloop()
            return
        for word in painter.prompts.unknown(c.PROMPT):
            print(f"note: no caption uses the word {word}; it changes nothing")
        painter.fit()
        pictures = painter.paint(c.PROMPT, COUNT, c.SAMPLE_STEPS, c.GUIDANCE, c.SEED)
        print(f"output: {save_picture(painter.results.folder, c.PROMPT, grid(painter.photo, pictures, 4, 2))}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
