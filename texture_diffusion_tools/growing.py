"""A small picture of a texture that grows while it is drawn, for another program, such as the page:
first the real tiles, then the sketches of the gaps, as they are put together, at last what the
network draws of them, tile by tile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from . import events

if TYPE_CHECKING:
    from torch import Tensor

    from .grids import Pair

NAME = "growing.png"  # beside the file of events
SIDE = 1024  # longer side of the picture, pixels
OFTEN = 1.0  # seconds from one picture to the next


@contextlib.contextmanager
def shown(
    canvas: Any, corner: Pair, size: Pair, pixels: Callable[[Tensor], np.ndarray]
) -> Iterator[None]:
    """While entered, a file beside that of the events shows a window of a size (h, w) at a corner
    (y, x) of a Canvas as it is by now; without a file of events nothing is done.

    pixels(x): uint8 [h, w, 3] of normalised [C, h, w].
    """
    if not os.environ.get(events.EVENTS):
        yield
        return

    growing = Growing(canvas, corner, size, pixels, Path(os.environ[events.EVENTS]).with_name(NAME))
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
        corner: Pair,
        size: Pair,
        pixels: Callable[[Tensor], np.ndarray],
        path: Path,
    ) -> None:
        self.canvas, self.pixels, self.path = canvas, pixels, path
        self.scale = min(1.0, SIDE / max(size))
        height, width = (max(1, round(side * self.scale)) for side in size)
        self.picture = Image.new("RGB", (width, height), (128, 128, 128))

        # cell -> where it lies in the window, [(y, x)]
        self.places: dict[Pair, list[Pair]] = {}
        for cell, place in canvas.grid.touching(corner, size):
            self.places.setdefault(cell, []).append(place)

        self.seen: set[Pair] = set()  # drawn cells that are in the picture
        self.changed, self.written = False, 0.0  # since it was written, and when it was

    def begin(self) -> None:
        """Show the real tiles, and from now on each sketch that the canvas is asked for."""
        for cell in self.places:
            if self.canvas.real[cell]:
                self.put(cell, self.canvas.layout.cut(cell))

        sketch = self.canvas.sketch

        def seen(cell: Pair) -> tuple[Tensor | None, Tensor | None]:
            begun = sketch(cell)
            if begun[0] is not None and cell not in self.seen:
                self.put(cell, begun[0])
            return begun

        self.canvas.sketch = seen
        self.write()
        events.tell("file", name=NAME, path=self.path)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        """When the drawing goes on, of all events that are told, show how far it is."""
        if event != "progress":
            return
        for cell in self.canvas.drawn.keys() - self.seen:
            self.put(cell, self.canvas.drawn[cell])
            self.seen.add(cell)
        late = time.monotonic() - self.written > OFTEN or facts["done"] >= facts["total"]
        if self.changed and late:
            self.write()

    def put(self, cell: Pair, x: Tensor) -> None:
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
