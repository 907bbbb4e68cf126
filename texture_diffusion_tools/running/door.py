"""What learn(), draw() and load() of the script need beside it when a program calls them: arrays in
place of files, a function in place of a progress bar, and pictures that stay in memory.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..canvases import textures
from ..canvases.repair import Repair
from ..canvases.wang import Wang
from ..canvases.works import Task
from ..laying import layouts
from ..writing import png
from .errors import Cancelled, UserError
from .processes import ProcessGroup

# what draw() may be told
DRAWING = ("SCALE", "OUTPUT_SIZE", "TILEABLE", "REGION", "WANG", "MASK", "GUIDE", "GUIDE_STRENGTH",
           "TEXTURE", "BLEND", "SEED", "LAYOUT", "REDRAW", "BATCH_SIZE", "SAMPLER", "SAMPLE_STEPS",
           "STRENGTH")

OnProgress = Callable[[float, str], Any]


class Listener(ProcessGroup):
    """A process that prints nothing and takes no signals; on_progress(fraction, stage), if it is
    not None, is told how far it is, and stops it by returning False. notes: what would have been
    said."""

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self.on_progress, self.notes = on_progress, []
        self.received = None  # as of signals.StopSignals

    def say(self, text: str) -> None:
        self.notes.append(text.removeprefix("note: "))

    def warn(self, text: str) -> None:
        self.notes.append(text)

    def tell(self, fraction: float, stage: str) -> None:
        """Tell how far a stage is, 0 to 1; Cancelled if that is to be the end."""
        if self.on_progress is not None and self.on_progress(fraction, stage) is False:
            raise Cancelled(f"on_progress() stopped it while {stage}")

    def bar(self, **options: Any) -> Progress:
        return Progress(self, options["total"], options.get("initial", 0), options["desc"])

    @contextlib.contextmanager
    def stop_signals(self) -> Iterator[Listener]:
        yield self

    def stop_at_once(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()


class Progress:
    """A progress bar that nobody sees, as tqdm's."""

    def __init__(self, listener: Listener, total: float, done: float, stage: str) -> None:
        self.listener, self.total, self.n, self.stage = listener, total, done, stage

    def __enter__(self) -> Progress:
        self.update(0)
        return self

    def __exit__(self, *error: object) -> None:
        """There is nothing to put away."""

    def update(self, count: float) -> None:
        """So much more is done."""
        self.n += count
        self.listener.tell(min(1.0, self.n / max(1, self.total)), self.stage)

    def set_postfix(self, **values: Any) -> None:
        """Nobody sees it."""


class Kept:
    """What a drawings.Drawing is, in memory: the bands of each file of a picture."""

    def __init__(self) -> None:
        self.bands: list[list[np.ndarray]] = []

    def resume(self, shape: tuple) -> tuple[int, dict, dict]:
        """Nothing was stopped."""
        return 0, {}, {}

    def keep(self, done: int, tiles: dict, parts: dict) -> None:
        """What is stopped is not kept."""

    def write(self, pictures: list[np.ndarray], done: int, tiles: dict, parts: dict) -> None:
        """Take the next band, the pixels [h, W, ...] of each file."""
        self.bands.append(pictures)


class Texture(textures.Texture):
    """The work of a texture that stays in memory."""

    def __init__(self, task: Task) -> None:
        window = layouts.window_of(task.canvas.under.layout.grid, task.c.REGION)
        super().__init__(task, [window], Kept())

    def pixels(self) -> list[np.ndarray]:
        """The pixels of each file."""
        return [np.concatenate(bands) for bands in zip(*self.drawing.bands)]


WORKS = {"texture": Texture, "repair": Repair, "wang": Wang}


def picture_of(task: Task, pixels: list[np.ndarray]) -> np.ndarray | dict[str, np.ndarray]:
    """What is drawn, from the pixels of each file: one array, or a material's maps by their names.
    """
    if not task.photo.channels.folder:
        return pixels[0]
    return {file.name: x for file, x in zip(task.photo.channels.files, pixels)}


@contextlib.contextmanager
def opened(changes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """While entered, the changed constants {name: value} with paths in place of arrays, outside of
    any inference mode; what is changed of torch for all of a program is afterwards as it was."""
    precision = torch.get_float32_matmul_precision()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False), torch.enable_grad():
        torch.set_float32_matmul_precision("high")
        try:
            yield {name: as_path(name, value, Path(folder)) for name, value in changes.items()}
        except UserError as error:  # a folder that is gone when its path is read helps nobody
            error.args = (str(error).replace(f"{folder}{os.sep}", ""),)
            raise
        finally:
            torch.set_float32_matmul_precision(precision)


def as_path(name: str, value: Any, folder: Path) -> Any:
    """The value of a constant, or, of arrays, the path of what holds them in a folder; IMAGE may be
    several."""
    if name == "IMAGE" and isinstance(value, dict):
        place = folder / "material"
        place.mkdir()
        for kind, pixels in value.items():
            save(place / f"{kind}.png", pixels, srgb=False)
        return str(place)
    if name == "IMAGE" and isinstance(value, (list, tuple)):
        return tuple(as_path(f"texture_{number}", one, folder)
                     for number, one in enumerate(value, 1))
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, np.ndarray):
        return value
    return save(folder / f"{'photo' if name == 'IMAGE' else name.lower()}.png", value)


def save(path: Path, pixels: np.ndarray, srgb: bool = True) -> str:
    """Write pixels as a PNG file and return its path; UserError if they are no picture."""
    pixels = np.asarray(pixels)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    kinds = pixels.dtype in (np.uint8, np.uint16)
    if not kinds or pixels.ndim < 2 or pixels.shape[2:] not in ((), (3,), (4,)):
        raise UserError(f"{path.stem} is an array {list(pixels.shape)} of {pixels.dtype}; a "
                        "picture is [H, W], [H, W, 3] or [H, W, 4] of uint8 or uint16")

    png.save_png(path, np.ascontiguousarray(pixels), srgb=srgb)
    return str(path)


def refuse_learning(changes: dict[str, Any]) -> None:
    """UserError if draw() is told what belongs to learn()."""
    for name in changes:
        if name not in DRAWING:
            raise UserError(f"draw() cannot change {name}, which belongs to learn(), if it is a "
                            f"constant; it takes {', '.join(DRAWING)}")
