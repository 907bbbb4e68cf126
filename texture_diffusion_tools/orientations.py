"""The ways in which a photo without a direction may be turned and mirrored."""

import torch

# For textures without a direction the photo is turned and mirrored, too. An orientation: (quarter turns, mirrored).
AUGMENTS = {"none": ((0, False),), "flip_x": ((0, False), (0, True)),
            "flips": ((0, False), (0, True), (2, False), (2, True)),
            "rotations": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))}


def oriented(x, turns, mirrored, vector=None):
    """x [..., H, W] after quarter turns, then mirrored left to right.

    vector: the first of two channels, of [..., C, H, W], that point to the right and down, and turn with the picture.
    """
    x = torch.rot90(x, turns, (-2, -1))
    x = x.flip(-1) if mirrored else x
    if vector is not None:
        x = x.clone()
        right, down = x[..., vector, :, :].clone(), x[..., vector + 1, :, :].clone()
        for _ in range(turns):  # what points to the right points up after a quarter turn, what points down to the right
            right, down = down, -right
        x[..., vector, :, :], x[..., vector + 1, :, :] = -right if mirrored else right, down
    return x
