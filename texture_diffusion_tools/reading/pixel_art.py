"""Pixel art: enlarged by a whole factor, so that tiles fit into it, and what was drawn of it
reduced again, so that every pixel is one colour, of the photo's palette, if it has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..running.constants import FACTORS
from ..running.errors import UserError

PALETTE = 256  # colours at most that are a palette
AT_ONCE = 2**22  # distances of colours


class Art(NamedTuple):
    """What pixels of a photo became."""

    factor: int  # how many times as wide and high they are drawn
    # float32 [colours, channels] of 0 to 1, multiplied with alpha; None: too many
    palette: np.ndarray | None

    def size(self, size: Sequence[int]) -> tuple[int, int]:
        """A size (height, width) of what was drawn, reduced."""
        height, width = (side // self.factor for side in size)
        return height, width

    def reduced(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels uint8 or uint16 [h, W] or [h, W, channels], whose sides are multiples of the
        factor, reduced."""
        height, width = self.size(pixels.shape[:2])
        blocks = np.atleast_3d(pixels).reshape(height, self.factor, width, self.factor, -1)
        blocks = blocks.swapaxes(1, 2).reshape(height * width, self.factor**2, -1)

        if self.palette is None:
            found = np.median(blocks, 1).round().astype(pixels.dtype)
        else:
            top = np.iinfo(pixels.dtype).max
            shown = coloured(self.palette, blocks.shape[2])
            step = max(1, AT_ONCE // (len(self.palette) * self.factor**2))
            parts = (blocks[at:at + step] for at in range(0, len(blocks), step))
            found = np.concatenate([most(multiplied(part / np.float32(top)), shown)
                                    for part in parts])
            found = (straight(shown)[found] * top).round().astype(pixels.dtype)
        return found.reshape(height, width, *pixels.shape[2:])


def most(blocks: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Which colour of a palette [P, channels] most pixels of each block [n, pixels, channels] are
    nearest to, [n]."""
    nearest = ((blocks[:, :, None] - palette) ** 2).sum(-1).argmin(-1)
    counts = np.zeros((len(blocks), len(palette)), np.int32)
    np.add.at(counts, (np.arange(len(blocks))[:, None], nearest), 1)
    return counts.argmax(1)


def coloured(palette: np.ndarray, channels: int) -> np.ndarray:
    """A palette of grey values, one channel, for pixels of three, and the other way round."""
    if palette.shape[1] == channels:
        return palette
    return palette.repeat(channels, 1) if palette.shape[1] == 1 else palette[:, :channels]


def multiplied(colours: np.ndarray) -> np.ndarray:
    """Colours of 0 to 1 [..., channels], those of four multiplied with alpha: what is transparent
    is one colour."""
    if colours.shape[-1] != 4:
        return colours
    alpha = colours[..., 3:]
    return np.concatenate([colours[..., :3] * alpha, alpha], -1)


def straight(colours: np.ndarray) -> np.ndarray:
    """The inverse of multiplied()."""
    if colours.shape[-1] != 4:
        return colours
    alpha = colours[..., 3:]
    return np.concatenate([colours[..., :3] / np.maximum(alpha, 1e-6), alpha], -1)


def enlarged(
    pixels: np.ndarray, least_factor: int, least_side: int, largest_side: float
) -> tuple[np.ndarray, Art, list[str]]:
    """Pixels uint8 or uint16 [H, W] or [H, W, channels] enlarged by least_factor, or by so much
    more that the shorter side has least_side pixels; the Art that says how; and notes. UserError if
    that is larger than largest_side."""
    factors = [factor for factor in FACTORS if factor >= least_factor]
    factor = next((factor for factor in factors if factor * min(pixels.shape[:2]) >= least_side),
                  factors[-1])
    height, width = (side * factor for side in pixels.shape[:2])
    if max(height, width) > largest_side:
        raise UserError(f"PIXELS = {least_factor} makes {width} x {height} pixels of the photo's "
                        f"{pixels.shape[1]} x {pixels.shape[0]}, and MAX_SIDE = {largest_side} "
                        f"would shrink them; give a CROP of it, or MAX_SIDE={max(height, width)}")

    # its palette
    top = np.float32(np.iinfo(pixels.dtype).max)
    colours = multiplied(np.atleast_3d(pixels).reshape(height * width // factor**2, -1) / top)
    palette = np.unique(colours, axis=0)
    if len(palette) <= PALETTE:
        kept = f"its {len(palette)} colours are kept"
    else:
        palette, kept = None, "it has too many colours for a palette"

    note = f"it is pixel art of {pixels.shape[1]} x {pixels.shape[0]}, drawn at {factor} times " \
        f"that size; {kept}"
    return pixels.repeat(factor, 0).repeat(factor, 1), Art(factor, palette), [note]


def tile_of(tile: int, size: Sequence[int], multiple: int) -> int:
    """TILE_SIZE, or the largest below it of which three fit into a size (height, width), if any do.
    """
    fits = min(size) // 3 // multiple * multiple
    return min(tile, fits) if fits else tile
