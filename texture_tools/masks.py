"""What of a photo is to be drawn anew: a mask from a file, from a colour that it was painted over with, or from its
transparency.

A mask as it is read is uint8 [H, W] of the whole upright photo, 255 where a pixel goes, 0 where it stays to the last
bit, and grey where what is drawn and what was there are mixed. All that is not 0 is hidden from training.
"""

import os
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageColor

from . import materials, photos
from .drawings import digest_of_all
from .errors import UserError, printable

NEAR = 40  # levels of 255 by which a pixel may differ from the mask's colour in each channel, as in a JPEG file
SNAP = 8  # levels of 255 that are as good as black or white, as in a JPEG file
GROWN = 3  # px around these that go, too: a brush has soft edges, and a JPEG file blurs them
LEAST = 4  # tiles' worth of a photo from which it can be learned


class Mask(NamedTuple):
    """The mask of a Photo and what is mixed with what is drawn."""

    share: torch.Tensor  # float32 [H, W], 0..1: how much of each pixel is to be drawn
    before: torch.Tensor  # the photo as it was, values in [-1, 1], [C, H, W]; smooth where share is 1
    wanted: bool = True  # whether the photo is to be repaired; if not, it is only not learned where it is hidden

    def hidden(self):
        """bool [H, W], what nobody has to see of the photo."""
        return self.share > 0

    def digest(self):
        """SHA-256 of what was left of the photo, and of the mask, hexadecimal."""
        return digest_of_all([self.share, self.before * (self.share < 1)])

    def blended(self, values):
        """A drawn photo's values [C, H, W] where the mask is white, and what was there before where it is black."""
        return torch.where(self.hidden(), self.before + self.share * (values - self.before), self.before)


def taken_off(pixels, opaque):
    """What photos.read_photo makes of a photo with a mask as pixels [H, W, channels] without it, and the share of each
    that is to be drawn, float32 [H, W], 0..1; opaque: whether the photo's transparency goes, too."""
    share = as_share(pixels[..., -1])
    return np.ascontiguousarray(pixels[..., :3 if opaque else -1]), share


def as_share(mask):
    """A mask [H, W] of 0..255 as float32, 0..1: what is nearly black or white is that."""
    mask = torch.from_numpy(np.asarray(mask, np.float32))
    return mask.masked_fill(mask < SNAP, 0).masked_fill(mask > 255 - SNAP, 255) / 255


def read_mask(mask, path):
    """The mask of the photo at a path, uint8 [H, W]; mask: a file, a colour by name or as (r, g, b), or "alpha".
    UserError with a sentence if it cannot be that."""
    found = find_mask(mask, path)
    return (255 * as_share(found)).byte().numpy()


def find_mask(mask, path):
    """read_mask before what is nearly black or white becomes that."""
    if mask == "alpha":
        pixels = np.asarray(photos.open_image(path, 8, alpha=True)[0])
        if pixels.shape[2:] != (4,):
            raise UserError(f'MASK = "alpha" needs a photo with transparent parts, and {printable(path)} has none')
        return 255 - pixels[..., 3]
    if isinstance(mask, str) and os.path.exists(mask):
        return from_file(mask, path)
    try:
        colour = ImageColor.getrgb(mask)[:3] if isinstance(mask, str) else mask
    except ValueError:
        raise UserError(f"there is no mask at {printable(mask)}; give a picture's path, a colour such as magenta or "
                        '(255, 0, 255), or "alpha"') from None
    if os.path.isdir(path):
        raise UserError(f"MASK = {mask!r} is a colour, and {printable(path)} a folder of maps: give the mask as a file")
    return where_coloured(np.asarray(photos.open_image(path)[0].convert("RGB")), colour)


def from_file(mask, path):
    """A mask's file as grey values; UserError unless it is as large as the photo."""
    grey, size = photos.open_image(mask)[0].convert("L"), size_of(path)
    if grey.size != size:
        raise UserError(f"MASK has {grey.width} x {grey.height} pixels and {printable(path)} {size[0]} x {size[1]}; "
                        "a mask has to be as large as the whole upright photo")
    return np.asarray(grey)


def size_of(path):
    """The size (width, height) of a photo, or of the first map in a folder."""
    return photos.open_image(next(iter(materials.recognised(path)[0])) if os.path.isdir(path) else path)[0].size


def where_coloured(pixels, colour):
    """The mask of what is of a colour (r, g, b), or nearly, in pixels uint8 [H, W, 3]; and a little more."""
    found = (np.abs(pixels.astype(int) - colour) <= NEAR).all(-1)
    grown = F.max_pool2d(torch.from_numpy(found.astype(np.float32))[None, None], 2 * GROWN + 1, 1, GROWN)
    return (255 * grown[0, 0]).byte().numpy()


def checked(share, path, tile, what="MASK"):
    """What a mask, float [H, W] 0..1, hides, bool [H, W]; UserError unless it hides something of the photo at a path,
    and leaves enough of it. what: what it is, for the sentence."""
    hidden = share > 0
    if not hidden.any():
        raise UserError(f"MASK marks no pixel of {printable(path)} that is used; what is white is drawn anew, what is "
                        "black stays")
    if hidden.all():
        raise UserError(f"MASK hides all of {printable(path)}; what is white is drawn anew, what is black stays")
    free = free_places(hidden, tile)
    tiles = covered(free, tile) / tile**2
    if tiles < LEAST:
        raise UserError(f"{what} leaves too little of {printable(path)}: a tile of {tile} x {tile} pixels without a "
                        f"masked one fits in {int(free.sum())} of {free.numel()} places, which cover as much as "
                        f"{tiles:.1f} tiles, and {LEAST} are the least; choose a smaller TILE_SIZE, or a smaller mask")
    return hidden


def sums_of(hidden):
    """How many hidden pixels there are above and to the left of each corner, int64 [H + 1, W + 1]; hidden: bool [H, W].
    """
    return F.pad(hidden.long(), (1, 0, 1, 0)).cumsum(0).cumsum(1)


def holds_hidden(sums, y, x, height, width):
    """Whether rectangles, as far as they lie in the photo, hold a hidden pixel: bool of the shape that y, x, height and
    width, in pixels, have together; sums: sums_of."""
    top, bottom = (at.clamp(0, len(sums) - 1) for at in (y, y + height))
    left, right = (at.clamp(0, sums.shape[1] - 1) for at in (x, x + width))
    return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0


def free_places(hidden, tile):
    """bool [H - T + 1, W - T + 1]: where a tile holds no hidden pixel; hidden: bool [H, W]."""
    y, x = (torch.arange(max(0, side - tile + 1)) for side in hidden.shape)
    return ~holds_hidden(sums_of(hidden), y[:, None], x, tile, tile)


def covered(free, tile):
    """How many pixels lie in a tile at one of the places, bool [H - T + 1, W - T + 1]."""
    if not free.any():
        return 0
    padded = F.pad(free.float()[None, None], [tile - 1] * 4)
    return float(F.max_pool2d(F.max_pool2d(padded, (tile, 1), 1), (1, tile), 1).sum())


def nearest_free(hidden, tile, y, x):
    """The place (y, x) of a tile without hidden pixels that is nearest to one; hidden: bool [H, W]."""
    places = free_places(hidden, tile).nonzero()
    return places[((places - torch.tensor([y, x]))**2).sum(1).argmin()].tolist()
