"""A picture that the texture follows in its coarse brightness and colour: a shape, a sign, a way from dark to light.

What the guide asks for is first put into the photo's words: its range of brightness becomes that of the photo's coarse
parts, and each of its pixels the mean of those parts that are most like it. So nothing is asked for that the photo does
not hold. The matching then lets places pay for how far they are from what is asked for, and sketches take it over.
Where a guide is transparent nothing is asked for. A layer that is mostly transparent has no ground to be seen against:
black in it asks for the darkest parts and white for the brightest, whatever its own range is.
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
WHOLE = 0.9  # share of a guide that is painted from which it is a picture with holes, and no shapes on nothing
FLAT = 32  # levels of brightness below which what is painted is a shape all the same
SAME_SHAPE = 0.02  # share by which the guide's width over height may differ from the texture's


class Guide(NamedTuple):
    """What a texture is asked to look like, in normalised units."""

    wanted: torch.Tensor  # [C, h, w] at 1 / SHRINK of the texture's resolution
    strength: float  # how much of it, 0 to 1
    wish: torch.Tensor | None = None  # and where, 0 to 1, [1, h, w]; None: everywhere

    def cut(self, y, x, side):
        """What is wanted of the part of the texture from (y, x), [C, side / SHRINK, side / SHRINK]; beyond the edge,
        what is wanted there."""
        return self.part(self.wanted, y, x, side)

    def where(self, y, x, side):
        """Where anything is wanted of that part, [1, side / SHRINK, side / SHRINK]."""
        return self.part(torch.ones_like(self.wanted[:1]) if self.wish is None else self.wish, y, x, side)

    def part(self, picture, y, x, side):
        """The part from (y, x) of a picture at 1 / SHRINK of the texture's resolution."""
        rows, columns = ((torch.arange(start // SHRINK, start // SHRINK + side // SHRINK)).clamp(0, length - 1)
                         for start, length in zip((y, x), picture.shape[1:]))
        return picture[:, rows[:, None], columns]

    def follow(self, sketch, y, x):
        """A sketch [C, T, T] of the part from (y, x) with its coarse part mixed with what is wanted."""
        side = sketch.shape[-1]
        own = shrunk(coarse(sketch, side))
        change = self.strength * self.where(y, x, side) * (self.cut(y, x, side) - own)
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
    """The pixels of a guide for a texture of a size (height, width), uint8 [h, w, 3] at 1 / SHRINK of its resolution,
    or [h, w, 4] if it is transparent somewhere; UserError if it is no picture, of another shape, or of a single colour.
    """
    image, _ = photos.open_image(path, 8, alpha=True)
    height, width = size
    if abs(image.width * height / (image.height * width) - 1) > SAME_SHAPE:
        raise UserError(f"GUIDE: {printable(path)} has {image.width} x {image.height} pixels, which is not the shape "
                        f"of the texture, {width} x {height}; crop it, or set "
                        f"OUTPUT_SIZE=({image.width},{image.height})")
    image = image if image.mode == "RGBA" else image.convert("RGB")
    pixels = np.array(image.resize((-(-width // SHRINK), -(-height // SHRINK)), Image.BOX))  # colours by their alpha
    if not np.ptp(pixels.reshape(-1, pixels.shape[2]), 0).any():
        raise UserError(f"GUIDE: {printable(path)} is a single colour: there is nothing to follow")
    return pixels


def guide_of(pixels, photo, tile, strength):
    """The Guide that a picture uint8 [h, w, 3], or [h, w, 4] with alpha, is for a Photo."""
    low = shrunk(coarse(photo.x.cpu(), tile))
    parts = low.flatten(1).T  # [N, C]
    parts = parts[torch.linspace(0, len(parts) - 1, min(PARTS, len(parts))).long()]
    seen = torch.from_numpy(photo.pixels(parts.T[:, None])[0, :, :3]).float()  # what is seen of them, [N, 3]
    asked = torch.from_numpy(pixels[..., :3].reshape(-1, 3)).float()
    if (asked == asked[:, :1]).all():  # a grey guide has no say in colours
        seen, asked = seen.mean(1, keepdim=True), asked[:, :1]

    asked = in_range(asked, seen, ends_asked(asked, pixels))
    wanted = torch.cat([parts[torch.cdist(some, seen).topk(min(LIKE, len(parts)), largest=False).indices].mean(1)
                        for some in asked.split(AT_ONCE)])
    wanted, smooth = wanted.T.reshape(-1, *pixels.shape[:2]).contiguous(), tile // SHRINK
    if pixels.shape[2] == 3:
        return Guide(coarse(wanted, smooth), strength)
    alpha = torch.from_numpy(pixels[None, ..., 3]).float() / 255
    wish = coarse(alpha, smooth)
    return Guide(coarse(wanted * alpha, smooth) / wish.clamp(min=1e-3), strength, wish)


def ends_asked(asked, pixels):
    """The range of brightness that a guide's colours [N, c] are seen in, by its pixels [h, w, 3 or 4]."""
    if pixels.shape[2] == 3:
        return ends_of(asked)
    painted = pixels[..., 3].ravel() > 127
    own = ends_of(asked[painted]) if painted.mean() > WHOLE else (0, 0)
    return own if np.ptp(own) > FLAT else (0, 255)


def ends_of(colours):
    """The range of the brightness of colours [N, c]."""
    return np.percentile(colours.mean(1).numpy(), EDGES)


def in_range(asked, seen, ends):
    """Colours [M, c] with a range of brightness, their ends, made that of others [N, c]."""
    (low, high), (least, most) = ends, ends_of(seen)
    return (asked - low) * float((most - least) / max(high - low, 1)) + float(least)
