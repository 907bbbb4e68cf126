"""A small picture of a texture that grows while it is drawn, for another program, such as the page:
first the real tiles, then the sketches of the gaps, as they are put together, at last what the
network draws of them, tile by tile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..running import events

if TYPE_CHECKING:
    from torch import Tensor

NAME = "growing.png"  # beside the file of events
SIDE = 1024  # longer side of the picture, pixels
OFTEN = 1.0  # seconds from one picture to the next

Cell = tuple[int, int]  # row, column
Pixels = Callable[["Tensor"], np.ndarray]  # uint8 [h, w, 3] of normalised [C, h, w]


@contextlib.contextmanager
def shown(
    canvas: Any, corner: Sequence[int], size: Sequence[int], pixels: Pixels
) -> Iterator[None]:
    """While entered, a file beside that of the events shows a window of a size (h, w) at a corner
    (y, x) of a Canvas as it is by now; without a file of events nothing is done. pixels(x): uint8
    [h, w, 3] of normalised [C, h, w]."""
    if not os.environ.get(events.EVENTS):
        yield
        return

    path = Path(os.environ[events.EVENTS]).with_name(NAME)
    growing = Growing(canvas, corner, size, pixels, path)
    growing.begin()
    events.HEARD.append(growing.hear)
    try:
        yield
    finally:
        events.HEARD.remove(growing.hear)


class Growing:
    """The picture of such a window, at a path."""

    def __init__(
        self,
        canvas: Any,
        corner: Sequence[int],
        size: Sequence[int],
        pixels: Pixels,
        path: Path,
    ) -> None:
        self.canvas, self.pixels, self.path = canvas, pixels, path
        self.scale = min(1.0, SIDE / max(size))
        height, width = (max(1, round(side * self.scale)) for side in size)
        self.picture = Image.new("RGB", (width, height), (128, 128, 128))

        # cell -> where it lies in the window, [(y, x)]
        self.places: dict[Cell, list[Sequence[int]]] = {}
        for cell, place in canvas.grid.touching(corner, size):
            self.places.setdefault(cell, []).append(place)

        # drawn cells that are in the picture; whether it has changed since it was written, and when
        self.seen: set[Cell] = set()
        self.changed, self.written = False, 0.0

    def begin(self) -> None:
        """Show the real tiles, and from now on each sketch that the canvas is asked for."""
        for cell in self.places:
            if self.canvas.real[cell]:
                self.put(cell, self.canvas.layout.cut(cell))

        sketch = self.canvas.sketch

        def seen(cell: Cell) -> Any:
            begun = sketch(cell)
            if begun[0] is not None and cell not in self.seen:
                self.put(cell, begun[0])
            return begun

        self.canvas.sketch = seen
        self.write()
        events.tell("file", name=NAME, path=self.path)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        """Of each event that is told: when the drawing goes on, show how far it is."""
        if event != "progress":
            return

        for cell in self.canvas.drawn.keys() - self.seen:
            self.put(cell, self.canvas.drawn[cell])
            self.seen.add(cell)
        late = time.monotonic() - self.written > OFTEN
        if self.changed and (late or facts["done"] >= facts["total"]):
            self.write()

    def put(self, cell: Cell, x: Tensor) -> None:
        """Put a tile, normalised [C, T, T], where it belongs."""
        tile = Image.fromarray(np.ascontiguousarray(self.pixels(x)[..., :3])).convert("RGB")
        for place in self.places.get(cell, ()):
            (top, bottom), (left, right) = (
                [round((at + more) * self.scale) for more in (0, x.shape[-1])] for at in place)
            size = max(1, right - left), max(1, bottom - top)
            self.picture.paste(tile.resize(size, Image.Resampling.BOX), (left, top))
        self.changed = True

    def write(self) -> None:
        """Write the picture; a disk that refuses does no harm to the run."""
        unfinished = self.path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            self.picture.save(unfinished, "PNG", compress_level=1)
            os.replace(unfinished, self.path)
        self.changed, self.written = False, time.monotonic()
