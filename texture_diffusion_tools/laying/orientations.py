"""The ways in which a photo without a direction may be turned and mirrored."""

from __future__ import annotations

import torch
from torch import Tensor

# Textures without a direction are learned turned and mirrored, too: (quarter turns, mirrored).
AUGMENTS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "flip_x": ((0, False), (0, True)),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "rotations": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True)),
}


def oriented(x: Tensor, turns: int, mirrored: bool, vector: int | None = None) -> Tensor:
    """x [..., H, W] after quarter turns, then mirrored left to right.

    vector: the first of two channels, of [..., C, H, W], that point to the right and down, and turn
    with the picture.
    """
    x = torch.rot90(x, turns, (-2, -1))
    x = x.flip(-1) if mirrored else x
    if vector is None:
        return x

    # A quarter turn makes what points to the right point up, and what points down to the right.
    x = x.clone()
    right, down = x[..., vector, :, :].clone(), x[..., vector + 1, :, :].clone()
    for _ in range(turns):
        right, down = down, -right

    x[..., vector, :, :] = -right if mirrored else right
    x[..., vector + 1, :, :] = down
    return x
