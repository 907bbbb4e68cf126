"""What of a photo is to be drawn anew: a mask from a file, from a colour that it was painted over
with, or from its transparency.

In a file white goes and black stays. One colour, whichever it is, on transparency or on black marks
what goes, too.

A mask as it is read is uint8 [H, W] of the whole upright photo, 255 where a pixel goes, 0 where it
stays to the last bit, and grey where what is drawn and what was there are mixed. All that is not 0
is hidden from training.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torch import Tensor

from ..running.errors import UserError, printable
from ..writing.drawings import digest_of_all
from . import materials, photos

# Levels of 255 by which a pixel may differ from the mask's colour in each channel, as in a JPEG.
NEAR = 40
SNAP = 8  # levels of 255 that are as good as black or white, as in a JPEG file
STRAY = 1e-3  # share of what is painted in a mask that may be of another colour
RUN = 0.2  # the same where there is no transparency, since colours run at edges in a JPEG file
GROWN = 3  # px around these that go, too: a brush has soft edges, and a JPEG file blurs them
LEAST = 4  # tiles' worth of a photo from which it can be learned


class Mask(NamedTuple):
    """What is to be repaired of a photo, and what is mixed with what is drawn."""

    share: Tensor  # float32 [H, W], 0..1: how much of each pixel is to be drawn
    # the photo as it was, values in [-1, 1], [C, H, W]; smooth where share is 1
    before: Tensor

    def hidden(self) -> Tensor:
        """bool [H, W], what nobody has to see of the photo."""
        return self.share > 0

    def digest(self) -> str:
        """SHA-256 of what was left of the photo, and of the mask, hexadecimal."""
        return digest_of_all([self.share, self.before * (self.share < 1)])

    def blended(self, values: Tensor) -> Tensor:
        """A drawn photo's values [C, H, W] where the mask is white, and what was there before where
        it is black."""
        mixed = self.before + self.share * (values - self.before)
        return torch.where(self.hidden(), mixed, self.before)


def taken_off(pixels: np.ndarray, opaque: bool) -> tuple[np.ndarray, Tensor]:
    """What photos.read_photo makes of a photo with a mask as pixels [H, W, channels] without it,
    and the share of each that is to be drawn, float32 [H, W], 0..1.

    opaque: whether the photo's transparency goes, too.
    """
    share = as_share(pixels[..., -1])
    return np.ascontiguousarray(pixels[..., :3 if opaque else -1]), share


def as_share(mask: np.ndarray) -> Tensor:
    """A mask [H, W] of 0..255 as float32, 0..1: what is nearly black or white is that."""
    levels = torch.from_numpy(np.asarray(mask, np.float32))
    return levels.masked_fill(levels < SNAP, 0).masked_fill(levels > 255 - SNAP, 255) / 255


def read_mask(mask: Any, path: str | Path, notes: list[str] | None = None) -> np.ndarray:
    """The mask of the photo at a path, uint8 [H, W]; UserError with a sentence if it cannot be one.

    mask: a file, a colour by name or as (r, g, b), or "alpha". What a file was taken for is added
    to notes, if there is a doubt.
    """
    found = find_mask(mask, path, [] if notes is None else notes)
    return (255 * as_share(found)).byte().numpy()


def find_mask(mask: Any, path: str | Path, notes: list[str]) -> np.ndarray:
    """read_mask() before what is nearly black or white becomes that."""
    if mask == "alpha":
        pixels = np.asarray(photos.open_image(path, 8, alpha=True)[0])
        if pixels.shape[2:] != (4,):
            raise UserError('MASK = "alpha" needs a photo with transparent parts, and '
                            f'{printable(path)} has none')
        return 255 - pixels[..., 3]

    if isinstance(mask, str) and os.path.exists(mask):
        return from_file(mask, size_of(path), printable(path), notes)

    try:
        colour = ImageColor.getrgb(mask)[:3] if isinstance(mask, str) else mask
    except ValueError:
        raise UserError(f"there is no mask at {printable(mask)}; give a picture's path, a colour "
                        'such as magenta or (255, 0, 255), or "alpha"') from None
    if os.path.isdir(path):
        raise UserError(f"MASK = {mask!r} is a colour, and {printable(path)} a folder of maps: "
                        "give the mask as a file")
    return where_coloured(np.asarray(photos.open_image(path)[0].convert("RGB")), colour)


def from_file(mask: str, size: tuple[int, int], shown: str, notes: list[str]) -> np.ndarray:
    """A mask's file as values uint8 [H, W]; UserError unless it has the size (width, height) of the
    photo, which is shown so, and says what goes."""
    image = photos.open_image(mask, 8, alpha=True)[0]
    if image.size != tuple(size):
        raise UserError(f"MASK has {image.width} x {image.height} pixels and {shown} {size[0]} x "
                        f"{size[1]}; a mask has to be as large as the whole upright photo")

    found, said = marked(image)
    if found is None:
        raise UserError(f"MASK: {printable(mask)} is painted in several colours, which leaves open "
                        "what is to go; paint that in white on black, or in one colour on a "
                        "transparent layer (MASK=alpha takes the photo's own transparent parts)")
    if said:
        notes.append(f"MASK: {printable(mask)} is {said}")
    return found


def marked(image: Image.Image) -> tuple[np.ndarray | None, str]:
    """What a mask, an image L, RGB or RGBA, marks, uint8 [H, W], and in words what it was taken
    for, if it is not white on black; (None, "") if its colours leave that open."""
    if image.mode != "RGBA":
        return marked_on_black(np.asarray(image.convert("RGB")), np.asarray(image.convert("L")))

    colours, alpha = np.asarray(image)[..., :3], np.asarray(image)[..., 3]
    share = alpha / np.float32(alpha.max())  # a whole layer may be less than opaque

    painted = colours[share > 0.5]
    if is_one_colour(painted, STRAY):
        said = "one colour on transparency, which stays; what has it is drawn anew"
        return whole(255 * share), said
    if (np.ptp(painted, 1) <= NEAR).mean() >= 1 - STRAY:
        return whole(colours.mean(2) * share), "white on transparency and black, which stay"
    return None, ""


def marked_on_black(colours: np.ndarray, grey: np.ndarray) -> tuple[np.ndarray | None, str]:
    """What an opaque mask marks, uint8 [H, W, 3], with its grey values [H, W]; as marked()."""
    value, coloured = colours.max(2), np.ptp(colours, 2) > NEAR
    share = value / np.float32(max(1, value.max()))

    if (coloured & (share > 0.5)).sum() <= RUN * (share > 0.5).sum():
        found = np.where(coloured, value, grey)
        if found.max() == 1:
            return 255 * found, "of 0 and 1, which are black and white"
        return found, ""

    if is_one_colour((colours / np.maximum(share, 0.5)[..., None])[share > 0.5], RUN):
        return whole(255 * share), "one colour on black, which stays; what has it is drawn anew"
    return None, ""


def is_one_colour(colours: np.ndarray, stray: float) -> bool:
    """Whether all colours [N, 3], but for a share of them, are nearly the same."""
    return (np.abs(colours - np.median(colours, 0)) <= NEAR).all(1).mean() >= 1 - stray


def whole(values: np.ndarray) -> np.ndarray:
    """The nearest uint8 of numbers."""
    return values.round().clip(0, 255).astype(np.uint8)


def size_of(path: str | Path) -> tuple[int, int]:
    """The size (width, height) of a photo, or of the first map in a folder."""
    first = next(iter(materials.recognised(path)[0])) if os.path.isdir(path) else path
    return photos.open_image(first)[0].size


def where_coloured(pixels: np.ndarray, colour: Sequence[int]) -> np.ndarray:
    """The mask of what is of a colour (r, g, b), or nearly, in pixels uint8 [H, W, 3]; and a little
    more."""
    found = (np.abs(pixels.astype(int) - colour) <= NEAR).all(-1)
    marks = torch.from_numpy(found.astype(np.float32))[None, None]
    grown = F.max_pool2d(marks, 2 * GROWN + 1, 1, GROWN)
    return (255 * grown[0, 0]).byte().numpy()


def checked(share: Tensor, path: str | Path, tile: int, what: str = "MASK") -> Tensor:
    """The places that a mask, float [H, W] 0..1, hides, bool [H, W]; UserError unless it hides
    something of the photo at a path, and leaves enough of it. what: its name, for the sentence."""
    hidden = share > 0
    if not hidden.any():
        raise UserError(f"MASK marks no pixel of {printable(path)} that is used; what is white is "
                        "drawn anew, what is black stays")
    if hidden.all():
        raise UserError(f"MASK hides all of {printable(path)}; what is white is drawn anew, what "
                        "is black stays")

    free = free_places(hidden, tile)
    tiles = covered(free, tile) / tile**2
    if tiles < LEAST:
        raise UserError(f"{what} leaves too little of {printable(path)}: a tile of {tile} x {tile} "
                        f"pixels without a masked one fits in {int(free.sum())} of {free.numel()} "
                        f"places, which cover as much as {tiles:.1f} tiles, and {LEAST} are the "
                        "least; choose a smaller TILE_SIZE, or a smaller mask")
    return hidden


def sums_of(hidden: Tensor) -> Tensor:
    """How many hidden pixels there are above and to the left of each corner, int64 [H + 1, W + 1];
    hidden: bool [H, W].
    """
    return F.pad(hidden.long(), (1, 0, 1, 0)).cumsum(0).cumsum(1)


def holds_hidden(sums: Tensor, y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    """Whether rectangles, as far as they lie in the photo, hold a hidden pixel: bool of the shape
    that y, x, height and width, in pixels, have together; sums: sums_of."""
    top, bottom = (at.clamp(0, len(sums) - 1) for at in (y, y + height))
    left, right = (at.clamp(0, sums.shape[1] - 1) for at in (x, x + width))
    return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0


def free_places(hidden: Tensor, tile: int) -> Tensor:
    """bool [H - T + 1, W - T + 1]: where a tile holds no hidden pixel; hidden: bool [H, W]."""
    y, x = (torch.arange(max(0, side - tile + 1)) for side in hidden.shape)
    return ~holds_hidden(sums_of(hidden), y[:, None], x, tile, tile)


def covered(free: Tensor, tile: int) -> float:
    """How many pixels lie in a tile at one of the places, bool [H - T + 1, W - T + 1]."""
    if not free.any():
        return 0
    padded = F.pad(free.float()[None, None], [tile - 1] * 4)
    return float(F.max_pool2d(F.max_pool2d(padded, (tile, 1), 1), (1, tile), 1).sum())


def nearest_free(hidden: Tensor, tile: int, y: int, x: int) -> list[int]:
    """The place (y, x) of a tile without hidden pixels that is nearest to one; hidden: bool [H, W].
    """
    places = free_places(hidden, tile).nonzero()
    return places[((places - torch.tensor([y, x]))**2).sum(1).argmin()].tolist()
