"""What is known of a photo before any training: its axes of colour, and the power of each band of
detail along them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TURNED = 3  # channels that can have axes of their own: colours
BLURS = (2, 3, 5)  # half widths, pixels, of the triangles that part each band from the next


class PhotoFacts(NamedTuple):
    """The facts of a photo for a network of K channels."""

    axes: Tensor  # [K, C], see principal_axes
    signal: Tensor  # [bands, K], band_powers along the axes


def facts_of(x: Tensor, channels: int, colours: int = TURNED) -> PhotoFacts:
    """The PhotoFacts of a normalised photo x [C, H, W] for a network of so many channels, C or
    more.

    colours: how many of the first channels, TURNED at most, have axes together; of the others each
    keeps its own.
    """
    axes = torch.eye(len(x), dtype=x.dtype)
    if colours:  # a material may have none
        axes[:colours, :colours] = principal_axes(x[:colours])

    axes = F.pad(axes, (0, 0, 0, channels - len(axes)))
    return PhotoFacts(axes, band_powers(rotated(x[None], axes)))


def principal_axes(x: Tensor) -> Tensor:
    """The principal axes of the colours of x [C, H, W] with mean 0, [C, C]: orthonormal rows with
    falling deviation, each pointing to where its largest part is positive.

    A rotation changes neither white noise nor squared errors, but along these axes a photo's
    colours are independent at first order: hues that it does not have are weak in one channel
    instead of a rule between three.
    """
    colours = x.flatten(1).double()
    axes = torch.linalg.eigh(colours @ colours.T)[1].flip(1).T
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return (axes * signs).to(x.dtype)


def rotated(x: Tensor, axes: Tensor) -> Tensor:
    """Pictures x [B, C, h, w] along axes [K, C], or [B, K, C] for each its own, [B, K, h, w]. Their
    transpose leads back.

    This is no matrix product, which may be rounded to fewer bits: nothing is lost where the axes
    are x's own.
    """
    turned: Tensor = sum(  # pyright: ignore[reportAssignmentType]: there is a channel
        axes[..., :TURNED, k, None, None] * x[:, k, None]
        for k in range(min(TURNED, x.shape[1])))
    return turned if x.shape[1] <= TURNED else torch.cat([turned, x[:, TURNED:]], 1)


def split_bands(x: Tensor) -> Tensor:
    """x [B, C, h, w] as a sum of bands, [B, bands, C, h, w], from the finest detail to what is
    left."""
    bands = []
    for width in BLURS:
        line = (width - torch.arange(1 - width, width, device=x.device).abs()) / width**2
        kernel = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
        low = F.conv2d(F.pad(x, [width - 1] * 4, mode="replicate"), kernel, groups=x.shape[1])
        bands.append(x - low)
        x = low

    return torch.stack([*bands, x], 1)


def band_powers(x: Tensor) -> Tensor:
    """Mean square of each band and channel of pictures [..., C, H, W], [bands, C]."""
    return split_bands(x.reshape(-1, *x.shape[-3:])).square().mean((0, 3, 4))


def noise_powers() -> Tensor:
    """Mean square of each band of white noise of deviation 1, [bands]: what one pixel alone leaves
    in them."""
    pixel = F.pad(torch.ones(1, 1, 1), [4 * sum(BLURS)] * 4)
    return band_powers(pixel)[:, 0] * pixel.numel()
