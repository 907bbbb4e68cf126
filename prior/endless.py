"""Materials without end as a dataset for the tool's trainer: drawn ones and crops of photos in turn."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.learning import photo_facts
from texture_diffusion_tools.reading import exemplars, photos
from texture_diffusion_tools.running.errors import UserError

from .kinds import KINDS
from .photograph import draw

SIDE = 320  # of a material, pixels
FLATTEST = 3.0  # levels: a material of less contrast teaches nothing
OFTEN = ("fine_weave", "fine_knit", "sharp_gravel", "repeated")  # kinds that are drawn three times as often as others
GREY = 0.15  # share of the batches that are grey


def read_photos(folder):
    """The pictures of a folder, uint8 [H, W, 3]; UserError if there are none of SIDE pixels or more."""
    found = []
    for path in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []:
        try:
            found.append(np.asarray(photos.open_image(path)[0].convert("RGB")))
        except UserError:
            continue  # a README, for instance
    large = [picture for picture in found if min(picture.shape[:2]) >= SIDE]
    if not large:
        raise UserError(f"{folder} holds no picture of {SIDE} x {SIDE} pixels or more; {len(found)} are smaller")
    return large


def crop(picture, rng):
    """A part of a photo at a scale at random, uint8 [SIDE, SIDE, 3]."""
    side = int(rng.integers(SIDE, min(min(picture.shape[:2]), 3 * SIDE) + 1))
    y, x = (rng.integers(length - side + 1) for length in picture.shape[:2])
    part = Image.fromarray(picture[y:y + side, x:x + side])
    return np.asarray(part.resize((SIDE, SIDE), Image.LANCZOS))


def material(number, pictures, seed=0):
    """The material of a number, uint8 [SIDE, SIDE, 3]: always the same one; every second is from a photo, if any."""
    for attempt in range(100):
        rng = np.random.default_rng((seed, number, attempt))
        if pictures and number % 2:
            pixels = crop(pictures[rng.integers(len(pictures))], rng)
        else:
            names = [*KINDS, *OFTEN, *OFTEN]
            pixels = draw(names[rng.integers(len(names))], rng, SIDE)
        if pixels.std((0, 1)).max() >= FLATTEST:
            turned = np.rot90(pixels, rng.integers(4))
            return np.ascontiguousarray(turned[:, ::rng.choice((1, -1))])
    raise UserError(f"100 attempts at material {number} gave one colour")


class EndlessDataset:
    """What td.Trainer needs of a dataset. A batch is of as many materials as tiles, all in colour or all grey; the pool
    that they are taken from moves on with the steps, so that a training that goes on sees what an unbroken one would
    have seen.

    nets: which are told the photo_facts of the materials in each batch; device: where batches are needed.
    """

    halo = td.HALO
    validation = 0

    def __init__(self, tile, pictures=(), pool=64, every=6, seed=0, device="cpu"):
        self.tile, self.pictures, self.pool, self.every, self.seed = tile, list(pictures), pool, every, seed
        self.device, self.nets, self.step, self.known = device, [], 0, {}

    def parts(self, number):
        """A material in colour and in grey, each a td.NeighbourDataset and its photo_facts.PhotoFacts."""
        if number not in self.known:
            photo = td.normalise(exemplars.of_pixels(material(number, self.pictures, self.seed), f"material {number}"))
            colour = photo.x.expand(td.COLOURS, -1, -1)
            grey = colour.mean(0, keepdim=True)
            self.known[number] = [(td.NeighbourDataset(photo._replace(x=x), self.tile, device=self.device),
                                   photo_facts.facts_of(x, td.COLOURS)) for x in (colour, grey / grey.std())]
            if len(self.known) > self.pool:
                del self.known[min(self.known)]
        return self.known[number]

    def batch(self, count, share, generator):
        """A batch as of td.NeighbourDataset, of materials that the generator takes from the pool."""
        is_grey = int(torch.rand((), generator=generator, device=generator.device) < GREY)
        places = torch.randint(self.pool, (count,), generator=generator, device=generator.device).tolist()
        chosen = [self.parts(self.step // self.every + place)[is_grey] for place in places]
        self.tell([facts for _, facts in chosen])
        self.step += 1
        windows, present, _ = zip(*(data.batch(1, share, generator) for data, _ in chosen))
        return td.Batch(torch.cat(windows), torch.cat(present))

    def tell(self, facts):
        """Let the networks know the PhotoFacts of each picture of a batch."""
        stacked = photo_facts.PhotoFacts(*(torch.stack(fact).to(self.device) for fact in zip(*facts)))
        for net in self.nets:
            net.know(stacked)

    def tiles_of(self, windows):
        return td.crop_middle(windows, self.tile)

    def validation_offsets(self):
        """No tile is held out: a prior is judged by photos that it never sees."""
        return torch.empty(0, 2)
