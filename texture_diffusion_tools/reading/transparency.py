"""Transparency as a channel of its own: colours are continued under transparent places, so that
nothing that happened to be stored there shows when a texture's edges are drawn anew.

torch is imported where it is used: an opaque photo is read without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def split(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 or uint16 [H, W, 4] as colours [H, W, 3] that go on under what is transparent,
    and alpha [H, W]."""
    alpha = np.ascontiguousarray(pixels[..., 3])
    return continued(pixels[..., :3], alpha), alpha


def continued(
    pixels: np.ndarray, alpha: np.ndarray, exact: bool = False
) -> np.ndarray:
    """Pixels [H, W, channels] as they are where alpha [H, W] is not 0; elsewhere the colours
    around, smoothly.

    By pulling and pushing (Gortler, Grzeszczuk, Szeliski and Cohen, "The lumigraph", 1996): the
    visible colours are averaged over ever larger squares, and each pixel that has none takes those
    of the smallest that does. exact: the means are rounded to the same pixels with any number of
    threads.
    """
    import torch

    dtype = torch.float64 if exact else torch.float32
    shown = torch.from_numpy(alpha > 0).to(dtype)[None, None]
    x = torch.from_numpy(pixels.astype(np.float32)).to(dtype).movedim(-1, 0)[None] * shown
    filled = pull_push(x, shown)[0].movedim(0, -1).numpy()

    filled = (filled if pixels.dtype.kind == "f" else filled.round()).astype(pixels.dtype)
    return np.where(alpha[..., None] > 0, pixels, filled)


def without(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels uint8 or uint16 [H, W] or [H, W, channels] without what a mask, uint8 [H, W], hides
    altogether (255): the colours around go on there, so that nothing of it is left when pixels are
    mixed."""
    return continued(np.atleast_3d(pixels), 255 - mask, exact=True).reshape(pixels.shape)


def pull_push(x: Tensor, weights: Tensor) -> Tensor:
    """The means of x [1, C, h, w] where weights [1, 1, h, w] are not 0, and what is around
    elsewhere; x is already multiplied by its weights."""
    import torch
    import torch.nn.functional as F

    known = x / weights.clamp(min=1e-6)
    if bool((weights > 0).all()) or max(x.shape[-2:]) == 1:
        return known

    halved = (F.avg_pool2d(each, 2, ceil_mode=True, count_include_pad=False)
              for each in (x, weights))
    coarse = pull_push(*halved)
    around = F.interpolate(coarse, x.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(weights > 0, known, around)
