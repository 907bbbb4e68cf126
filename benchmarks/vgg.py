"""What an eye sees of a tile: means and deviations of the features of a network that knows photographs.

The network is VGG-16 (arXiv 1409.1556) without its classifier, trained on ImageNet with blurred instead of skipped
pixels between its blocks (arXiv 1904.11486). Its weights come inside the package stlpips-pytorch, which is a
requirement of these benchmarks alone: only its file of weights is read, none of its code.

Tiles are shown at half their size: that is a quarter of the work, and what the finest grain lacks the
Portilla-Simoncelli statistics tell better.
"""

import functools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import peers
from texture_diffusion_tools.running.errors import UserError

PACKAGE, WEIGHTS = "stlpips-pytorch", "weights/*/vgg_shift_tolerant.pth"
BLOCKS = 5  # of convolutions; between two of them the resolution is halved
SMALLEST = 32  # side of a tile that is shown at half its size, px: a smaller one is shown as it is
CHUNK = 16  # tiles at once


@functools.cache
def weights() -> dict[str, Tensor]:
    """The weights by their names in the file; UserError with the command if the package or its file is missing."""
    folder = Path(next(iter(peers.need(PACKAGE.replace("-", "_"), PACKAGE).__path__)))
    path = next(folder.glob(WEIGHTS), None)
    if path is None:
        raise UserError(f"{PACKAGE} has no file {WEIGHTS} in {folder}: pip install --force-reinstall {PACKAGE}")
    return torch.load(path, map_location="cpu", weights_only=True)


def blocks(x: Tensor) -> list[Tensor]:
    """What each block makes of pictures [N, 3, h, w] in [-1, 1]: [N, 64, h, w], [N, 128, h / 2, w / 2] and so on."""
    known = weights()
    x = (x - known["scaling_layer.shift"]) / known["scaling_layer.scale"]
    found = []
    for block in range(1, BLOCKS + 1):
        names = [name for name in known if name.startswith(f"net.slice{block}.")]
        for name in names:

            # half the resolution: the largest of 2 x 2, blurred
            if name.endswith(".filt"):
                x = F.max_pool2d(x, 2, 1)
                x = F.conv2d(F.pad(x, [1] * 4, "reflect"), known[name], stride=2, groups=len(known[name]))

            elif name.endswith(".weight"):
                bias = known[name.removesuffix("weight") + "bias"]
                x = F.conv2d(x, known[name], bias, padding=1).relu_()
        found.append(x)
    return found


@torch.inference_mode()
def features(tiles: np.ndarray) -> np.ndarray:
    """Means and deviations over each tile of all blocks' channels: uint8 [N, T, T, 3] to float64 [N, 2944]."""
    found = []
    for part in torch.tensor(tiles).split(CHUNK):
        x = part.movedim(-1, 1).float() / 127.5 - 1
        x = F.avg_pool2d(x, 2) if x.shape[-1] > SMALLEST else x
        parts = [block.flatten(2) for block in blocks(x)]
        found.append(torch.cat([torch.cat([part.mean(2), part.std(2, correction=0)], 1) for part in parts], 1))
    return torch.cat(found).double().numpy()
