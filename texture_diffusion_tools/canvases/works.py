"""What all works (see draw() in the script) share: the names and texts of their files, and the part
of a work that is drawn in one go.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from ..running import program
from ..writing import repeats


class Task(NamedTuple):
    """What is drawn, of what, and how."""

    kind: str  # "texture", "repair" or "wang"
    photo: Any  # a Photo of the script, or a blends.Blend
    canvas: Any  # what outpaint() draws on
    denoiser: Any  # what it draws with
    net: torch.nn.Module  # on which that depends
    c: SimpleNamespace  # the constants
    seed: int
    step: int  # of the training, up to which that net learned
    home: Path  # where files that constants name may lie, too

    def text(self) -> dict[str, str]:
        """What the metadata of a picture says, {key: value}."""
        return {
            "Software": program.versions(torch.__version__),
            "seed": str(self.seed),
            "constants": repr(repeats.told(self.c)),
        }


class AtOnce:
    """A work that is drawn in one go, a band for each pass; what is stopped is not kept.

    Batches are no larger than a pass: few tiles need not be filled up with copies.
    """

    doing = "drawing"

    def __init__(self, task: Task) -> None:
        self.task, self.canvas = task, task.canvas

    def begin(self) -> tuple[int, range]:
        """How many tiles there are to draw, and the numbers of the bands."""
        return sum(map(len, self.canvas.passes)), range(len(self.canvas.passes))

    def passes(self, number: int) -> list[list]:
        """The passes of a band."""
        return [self.canvas.passes[number]]

    def batch_size(self, most: int, passes: list[list]) -> int:
        """How many tiles are drawn in one step."""
        return min(most, max(map(len, passes)))

    def shown(self) -> contextlib.AbstractContextManager:
        """Nothing is seen before the end."""
        return contextlib.nullcontext()

    def write(self, number: int) -> None:
        """Nothing is written before the end."""

    def stop(self, number: int) -> str:
        """What a person is told who stops it."""
        return f"stopped while {self.doing}; the same command does it from its start"
