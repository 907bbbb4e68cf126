"""What a network is trained on: a batch, and batches of several textures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F


class Batch(NamedTuple):
    """What a dataset gives to be trained on."""

    windows: torch.Tensor  # canvases [B, C, S, S]
    present: torch.Tensor  # the neighbours to be shown, bool [B, 8]
    context: torch.Tensor | None = None  # what pictures are conditioned on, [B, length]


class SeveralDatasets:
    """The NeighbourDatasets of several textures; a batch holds tiles of all of them, and says which
    is whose."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts, self.tile = parts, parts[0].tile

    def tiles_of(self, windows: torch.Tensor) -> torch.Tensor:
        """The tiles [B, C, T, T] in the middle of the canvases [B, C, S, S]."""
        return self.parts[0].tiles_of(windows)

    def batch(self, count: int, share: float, generator: torch.Generator) -> Batch:
        """A Batch with labels, one-hot [B, textures]: as many of each as can be, at random places,
        since a place in the batch is a noise level."""
        first = torch.randint(len(self.parts), (), generator=generator, device=generator.device)
        places = torch.randperm(count, generator=generator, device=generator.device)
        labels = (first + places) % len(self.parts)

        found = [self.parts[label].batch(1, share, generator) for label in labels.tolist()]
        windows, present, _ = zip(*found)
        labels = F.one_hot(labels, len(self.parts)).float()
        return Batch(torch.cat(windows), torch.cat(present), labels)
