"""A picture that the texture follows in its coarse brightness and colour: a shape, a sign, a way
from dark to light.

What the guide asks for is first put into the photo's words: its range of brightness becomes that of
the photo's coarse parts, and each of its pixels the mean of those parts that are most like it. So
nothing is asked for that the photo does not hold. The matching then lets places pay for how far
they are from what is asked for, and sketches take it over. Where a guide is transparent nothing is
asked for. A layer that is mostly transparent has no ground to be seen against: black in it asks for
the darkest parts and white for the brightest, whatever its own range is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..reading import photos
from ..running.errors import UserError, printable

SHRINK = 8  # a guide is kept at this share of the texture's resolution
COARSE = 4  # what is followed: means over a tile's side over this
EDGES = (2, 98)  # percentiles of brightness taken for its range, in guide and photo alike
PARTS = 1024  # coarse parts of the photo that the guide is put into words with
LIKE = 8  # so many of them are averaged
AT_ONCE = 4096  # pixels of the guide compared with all parts at a time
WHOLE = 0.9  # share painted from which it is a picture with holes, and no shapes on nothing
FLAT = 32  # levels of brightness below which what is painted is a shape all the same
SAME_SHAPE = 0.02  # share by which the guide's width over height may differ from the texture's


class Guide(NamedTuple):
    """How a texture is asked to look, in normalised units."""

    wanted: Tensor  # [C, h, w] at 1 / SHRINK of the texture's resolution
    strength: float  # how much of it, 0 to 1
    wish: Tensor | None = None  # and where, 0 to 1, [1, h, w]; None: everywhere

    def cut(self, y: int, x: int, side: int) -> Tensor:
        """What is wanted of the part of the texture from (y, x), [C, side / SHRINK, side / SHRINK];
        beyond the edge, what is wanted there."""
        return self.part(self.wanted, y, x, side)

    def where(self, y: int, x: int, side: int) -> Tensor:
        """Where anything is wanted of that part, [1, side / SHRINK, side / SHRINK]."""
        wish = torch.ones_like(self.wanted[:1]) if self.wish is None else self.wish
        return self.part(wish, y, x, side)

    def part(self, picture: Tensor, y: int, x: int, side: int) -> Tensor:
        """The part from (y, x) of a picture at 1 / SHRINK of the texture's resolution."""
        span = torch.arange(side // SHRINK)
        rows, columns = ((span + start // SHRINK).clamp(0, length - 1)
                         for start, length in zip((y, x), picture.shape[1:]))
        return picture[:, rows[:, None], columns]

    def follow(self, sketch: Tensor, y: int, x: int) -> Tensor:
        """A sketch [C, T, T] of the part from (y, x) with its coarse part mixed with what is
        wanted."""
        side = sketch.shape[-1]
        own = shrunk(coarse(sketch, side))
        change = self.strength * self.where(y, x, side) * (self.cut(y, x, side) - own)
        return sketch + F.interpolate(change[None], size=(side, side), mode="bilinear")[0]


def coarse(x: Tensor, tile: int) -> Tensor:
    """x [C, H, W] without what is finer than a tile's side over COARSE, of the same shape."""
    side = max(1, tile // COARSE) // 2 * 2 + 1
    for _ in range(2):
        padded = F.pad(x[None], [side // 2] * 4, mode="replicate")
        x = F.avg_pool2d(padded, side, stride=1)[0]
    return x


def shrunk(x: Tensor) -> Tensor:
    """x [C, H, W] at 1 / SHRINK of its resolution, what is left over at its edge included."""
    return F.avg_pool2d(x, SHRINK, ceil_mode=True)


def read_guide(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a guide for a texture of a size (height, width), uint8 [h, w, 3] at 1 / SHRINK
    of its resolution, or [h, w, 4] if it is transparent somewhere; UserError if it is no picture,
    of another shape, or of a single colour."""
    image = cast(Image.Image, photos.open_image(path, 8, alpha=True)[0])
    height, width = size
    if abs(image.width * height / (image.height * width) - 1) > SAME_SHAPE:
        raise UserError(f"GUIDE: {printable(path)} has {image.width} x {image.height} pixels, "
                        f"which is not the shape of the texture, {width} x {height}; crop it, or "
                        f"set OUTPUT_SIZE=({image.width},{image.height})")

    # colours are averaged by their alpha
    image = image if image.mode == "RGBA" else image.convert("RGB")
    small = -(-width // SHRINK), -(-height // SHRINK)
    pixels = np.array(image.resize(small, Image.Resampling.BOX))
    if not np.ptp(pixels.reshape(-1, pixels.shape[2]), 0).any():
        raise UserError(f"GUIDE: {printable(path)} is a single colour: there is nothing to follow")
    return pixels


def guide_of(pixels: np.ndarray, photo: Any, tile: int, strength: float) -> Guide:
    """The Guide that a picture uint8 [h, w, 3], or [h, w, 4] with alpha, is for a Photo."""
    # the photo's coarse parts, as the network has them and as they are seen
    low = shrunk(coarse(photo.x.cpu(), tile))
    parts = low.flatten(1).T  # [N, C]
    parts = parts[torch.linspace(0, len(parts) - 1, min(PARTS, len(parts))).long()]
    seen = torch.from_numpy(photo.pixels(parts.T[:, None])[0, :, :3]).float()  # [N, 3]

    asked = torch.from_numpy(pixels[..., :3].reshape(-1, 3)).float()
    if (asked == asked[:, :1]).all():  # a grey guide has no say in colours
        seen, asked = seen.mean(1, keepdim=True), asked[:, :1]
    asked = in_range(asked, seen, ends_asked(asked, pixels))

    # of each pixel the mean of the parts most like it
    count, wanted = min(LIKE, len(parts)), []
    for some in asked.split(AT_ONCE):
        like = torch.cdist(some, seen).topk(count, largest=False).indices
        wanted.append(parts[like].mean(1))
    wanted = torch.cat(wanted).T.reshape(-1, *pixels.shape[:2]).contiguous()

    smooth = tile // SHRINK
    if pixels.shape[2] == 3:
        return Guide(coarse(wanted, smooth), strength)
    alpha = torch.from_numpy(pixels[None, ..., 3]).float() / 255
    wish = coarse(alpha, smooth)
    return Guide(coarse(wanted * alpha, smooth) / wish.clamp(min=1e-3), strength, wish)


def ends_asked(asked: Tensor, pixels: np.ndarray) -> Sequence[float] | np.ndarray:
    """The range of brightness that a guide's colours [N, c] are seen in, by its pixels
    [h, w, 3 or 4]."""
    if pixels.shape[2] == 3:
        return ends_of(asked)
    painted = pixels[..., 3].ravel() > 127
    own = (0, 0)
    if painted.mean() > WHOLE:
        own = ends_of(asked[torch.from_numpy(painted)])
    return own if np.ptp(own) > FLAT else (0, 255)


def ends_of(colours: Tensor) -> np.ndarray:
    """The range of the brightness of colours [N, c]."""
    return np.percentile(colours.mean(1).numpy(), EDGES)


def in_range(asked: Tensor, seen: Tensor, ends: Sequence[float] | np.ndarray) -> Tensor:
    """Colours [M, c] with a range of brightness, their ends, made that of others [N, c]."""
    (low, high), (least, most) = ends, ends_of(seen)
    return (asked - low) * float((most - least) / max(high - low, 1)) + float(least)
