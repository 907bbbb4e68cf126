"""What all works (see draw() in the script) share: the names and texts of their files, and the part
of a work that is drawn in one go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..running import program
from ..running.files import Results
from ..writing import png, repeats


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


class Work:
    """What becomes of a Task, see draw() in the script."""

    doing = "drawing"

    def __init__(self, task: Task) -> None:
        self.task, self.photo, self.canvas = task, task.photo, task.canvas

    def shown(self) -> contextlib.AbstractContextManager:
        """Is entered while it is drawn: nothing is seen before the end."""
        return contextlib.nullcontext()

    def output(self, paths: list[Path]) -> Path:
        """The path that a run tells of: a file's, or of a material its folder's."""
        return paths[0].parent if self.photo.channels.folder else paths[0]


class AtOnce(Work):
    """A work that is drawn in one go, a band for each pass; what is stopped is not kept.

    Batches are no larger than a pass: few tiles need not be filled up with copies.
    """

    def begin(self) -> tuple[int, range]:
        """How many tiles there are to draw, and the numbers of the bands."""
        return sum(map(len, self.canvas.passes)), range(len(self.canvas.passes))

    def passes(self, number: int) -> list[list]:
        """The passes of a band."""
        return [self.canvas.passes[number]]

    def batch_size(self, most: int, passes: list[list]) -> int:
        """How many tiles are drawn in one step."""
        return min(most, max(map(len, passes)))

    def write(self, number: int) -> None:
        """Nothing is written before the end."""

    def stop(self, number: int) -> str:
        """What a person is told who stops it."""
        return f"stopped while {self.doing}; the same command does it from its start"

    def save(self, results: Results, name: str, pictures: Sequence[np.ndarray]) -> list[Path]:
        """Write the pixels of each file under a name, and what repeats the run; returns their
        paths."""
        task, channels = self.task, self.photo.channels
        paths = [results.path(path) for path in channels.paths(name)]
        png.save_files(paths, pictures, channels.formats(), task.text())
        repeats.save(results, name, task.c, task.step, task.home)
        return paths
