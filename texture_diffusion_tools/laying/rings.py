"""The ring of neighbours around a tile, as the network sees it: which pixels are whose, and windows
cut from a picture."""

from __future__ import annotations

import torch
from torch import Tensor

HALO = 16  # pixels of each neighbour that the network sees
NEIGHBOURS = ("NW", "N", "NE", "W", "E", "SW", "S", "SE")


def region_map(tile: int, halo: int) -> Tensor:
    """Region number 0..8 of each canvas pixel, [S, S] int64, 4 for the tile."""
    line = torch.ones(tile + 2 * halo, dtype=torch.long)
    line[:halo], line[halo + tile:] = 0, 2
    return line[:, None] * 3 + line


def with_tile(present: Tensor) -> Tensor:
    """bool [B, 8] of neighbours to bool [B, 9] of regions: the tile itself always exists."""
    return torch.cat([present[:, :4], torch.ones_like(present[:, :1]), present[:, 4:]], 1)


def without_tile(present: Tensor) -> Tensor:
    """bool [B, 9] of regions to bool [B, 8] of neighbours."""
    return torch.cat([present[:, :4], present[:, 5:]], 1)


def cut_windows(x: Tensor, ys: Tensor, xs: Tensor, side: int) -> Tensor:
    """Windows [B, C, side, side] of x [C, H, W] with their upper left corners at ys, xs [B]."""
    span = torch.arange(side, device=x.device)
    rows, columns = ys[:, None] + span, xs[:, None] + span
    return x[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)


def crop_middle(x: Tensor, side: int) -> Tensor:
    """The middle [..., side, side] of x [..., h, h], a view."""
    cut = (x.shape[-1] - side) // 2
    return x[..., cut:cut + side, cut:cut + side]
