"""ComfyUI's pictures, tensors of 0 to 1, as the tool's pixels, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BLACK = 8  # levels of 255 below which a mask is black, for the tool, too
SMALL = 256  # pixels of a side below which a guide is enlarged before it is cropped


def picked(name: str, pictures: Tensor | None, count: int, index: int) -> Tensor | None:
    """The picture of a batch that belongs to one of `count` others; a batch of one belongs to all.
    ValueError if the numbers do not go together."""
    if pictures is None:
        return None
    if len(pictures) not in (1, count):
        raise ValueError(f"{name} is a batch of {len(pictures)} pictures beside one of {count}; "
                         "give one picture for all, or one for each")
    return pictures[index if len(pictures) == count else 0]


def pixels_of(picture: Tensor) -> np.ndarray:
    """A picture [H, W, C], 0 to 1, as uint8 [H, W, C], or [H, W] if it has one channel."""
    pixels = levels_of(picture, 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[2] < 3 else pixels


def map_of(picture: Tensor, colours: bool) -> np.ndarray:
    """A material's map [H, W, C], 0 to 1, as uint8 [H, W, 3] if it holds colours or directions,
    else as uint16 [H, W], the mean of red, green and blue: heights need more than 256 levels."""
    picture = picture[..., :3]
    if colours:
        return levels_of(picture.expand(-1, -1, 3), 255).astype(np.uint8)
    return levels_of(picture.mean(2), 65535).astype(np.uint16)


def levels_of(picture: Tensor, most: int) -> np.ndarray:
    """Values 0 to 1 as the nearest of the levels 0 to `most`."""
    return (picture.detach().cpu().double().clamp(0, 1) * most).round().numpy()


def picture_of(pixels: np.ndarray) -> Tensor:
    """Pixels [H, W] or [H, W, C] of uint8 or uint16 as a picture [H, W, 3 or 4], 0 to 1."""
    picture = torch.from_numpy(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max)
    return picture[..., None].repeat(1, 1, 3) if picture.ndim == 2 else picture


def mask_of(mask: Tensor | None, picture: Tensor) -> np.ndarray | None:
    """A mask [h, w], 0 to 1, as uint8 [H, W] of a picture [H, W, C]: brought to its size, as other
    nodes do; None if it is black, as the mask of a picture without transparency is."""
    if mask is None:
        return None
    size = picture.shape[:2]
    if mask.shape != size:
        mask = F.interpolate(mask[None, None].float(), size=size, mode="bilinear")[0, 0]
    levels = levels_of(mask, 255).astype(np.uint8)
    return levels if (levels >= BLACK).any() else None


def guide_of(guide: Tensor | None, width: int, height: int) -> np.ndarray | None:
    """The middle of a guide [h, w, C], 0 to 1, in the shape of width x height, uint8; the tool
    brings it to that size itself."""
    if guide is None:
        return None
    times = -(-SMALL // min(guide.shape[:2]))
    guide = guide.repeat_interleave(times, 0).repeat_interleave(times, 1)

    high, wide = guide.shape[:2]
    across, down = min(wide, round(high * width / height)), min(high, round(wide * height / width))
    top, left = (high - down) // 2, (wide - across) // 2
    return pixels_of(guide[top:top + down, left:left + across])
