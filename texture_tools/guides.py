"""A picture that the texture follows in its coarse brightness and colour: a shape, a sign, a way from dark to light.

What the guide asks for is first put into the photo's words: its range of brightness becomes that of the photo's coarse
parts, and each of its pixels the mean of those parts that are most like it. So nothing is asked for that the photo does
not hold. The matching then lets places pay for how far they are from what is asked for, and sketches take it over.
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from . import photos
from .errors import UserError, printable

SHRINK = 8  # a guide is kept at this share of the texture's resolution
COARSE = 4  # what is followed: means over a tile's side over this
EDGES = (2, 98)  # percentiles of brightness that are taken for its range, in guide and photo alike
PARTS = 1024  # coarse parts of the photo that the guide is put into words with
LIKE = 8  # so many of them are averaged
AT_ONCE = 4096  # pixels of the guide compared with all parts at a time
SAME_SHAPE = 0.02  # share by which the guide's width over height may differ from the texture's


class Guide(NamedTuple):
    """What a texture is asked to look like, in normalised units."""

    wanted: torch.Tensor  # [C, h, w] at 1 / SHRINK of the texture's resolution
    strength: float  # how much of it, 0 to 1

    def cut(self, y, x, side):
        """What is wanted of the part of the texture from (y, x), [C, side / SHRINK, side / SHRINK]; beyond the edge,
        what is wanted there."""
        rows, columns = ((torch.arange(start // SHRINK, start // SHRINK + side // SHRINK)).clamp(0, length - 1)
                         for start, length in zip((y, x), self.wanted.shape[1:]))
        return self.wanted[:, rows[:, None], columns]

    def follow(self, sketch, y, x):
        """A sketch [C, T, T] of the part from (y, x) with its coarse part mixed with what is wanted."""
        side = sketch.shape[-1]
        own = shrunk(coarse(sketch, side))
        change = self.strength * (self.cut(y, x, side) - own)
        return sketch + F.interpolate(change[None], size=(side, side), mode="bilinear")[0]


def coarse(x, tile):
    """x [C, H, W] without what is finer than a tile's side over COARSE, of the same shape."""
    side = max(1, tile // COARSE) // 2 * 2 + 1
    for _ in range(2):
        x = F.avg_pool2d(F.pad(x[None], [side // 2] * 4, mode="replicate"), side, stride=1)[0]
    return x


def shrunk(x):
    """x [C, H, W] at 1 / SHRINK of its resolution, what is left over at its edge included."""
    return F.avg_pool2d(x, SHRINK, ceil_mode=True)


def read_guide(path, size):
    """The pixels of a guide for a texture of a size (height, width), uint8 [h, w, 3] at 1 / SHRINK of its resolution;
    UserError if it is no picture, of another shape, or of a single colour."""
    image, _ = photos.open_image(path)
    height, width = size
    if abs(image.width * height / (image.height * width) - 1) > SAME_SHAPE:
        raise UserError(f"GUIDE: {printable(path)} has {image.width} x {image.height} pixels, which is not the shape "
                        f"of the texture, {width} x {height}; crop it, or set "
                        f"OUTPUT_SIZE=({image.width},{image.height})")
    pixels = np.array(image.convert("RGB").resize((-(-width // SHRINK), -(-height // SHRINK)), Image.BOX))
    if not np.ptp(pixels.reshape(-1, 3), 0).any():
        raise UserError(f"GUIDE: {printable(path)} is a single colour: there is nothing to follow")
    return pixels


def guide_of(pixels, photo, tile, strength):
    """The Guide that a picture uint8 [h, w, 3] is for a Photo."""
    low = shrunk(coarse(photo.x.cpu(), tile))
    parts = low.flatten(1).T  # [N, C]
    parts = parts[torch.linspace(0, len(parts) - 1, min(PARTS, len(parts))).long()]
    seen = torch.from_numpy(photo.pixels(parts.T[:, None])[0, :, :3]).float()  # what is seen of them, [N, 3]
    asked = torch.from_numpy(pixels.reshape(-1, 3)).float()
    if (asked == asked[:, :1]).all():  # a grey guide has no say in colours
        seen, asked = seen.mean(1, keepdim=True), asked[:, :1]
    asked = in_range(asked, seen)
    wanted = torch.cat([parts[torch.cdist(some, seen).topk(min(LIKE, len(parts)), largest=False).indices].mean(1)
                        for some in asked.split(AT_ONCE)])
    return Guide(coarse(wanted.T.reshape(-1, *pixels.shape[:2]).contiguous(), tile // SHRINK), strength)


def in_range(asked, seen):
    """Colours [M, c] with their range of brightness made that of others [N, c]."""
    (low, high), (least, most) = (np.percentile(colours.mean(1).numpy(), EDGES) for colours in (asked, seen))
    return (asked - low) * float((most - least) / max(high - low, 1)) + float(least)
