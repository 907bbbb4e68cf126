"""A small picture of a texture that grows while it is drawn, for another program, such as the page:
first the real tiles, then the sketches of the gaps, as they are put together, at last what the network
draws of them, tile by tile.
"""

import contextlib
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from . import events

NAME = "growing.png"  # beside the file of events
SIDE = 1024  # longer side of the picture, pixels
OFTEN = 1.0  # seconds from one picture to the next


@contextlib.contextmanager
def shown(canvas, corner, size, pixels):
    """While entered, a file beside that of the events shows a window of a size (h, w) at a corner (y, x) of
    a Canvas as it is by now; without a file of events nothing is done.

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

    def __init__(self, canvas, corner, size, pixels, path):
        self.canvas, self.pixels, self.path = canvas, pixels, path
        self.scale = min(1.0, SIDE / max(size))
        shrunk = [max(1, round(side * self.scale)) for side in size[::-1]]
        self.picture = Image.new("RGB", shrunk, (128, 128, 128))
        self.places = {}  # cell -> where it lies in the window, [(y, x)]
        for cell, place in canvas.grid.touching(corner, size):
            self.places.setdefault(cell, []).append(place)
        self.seen = set()  # drawn cells that are in the picture
        self.changed, self.written = False, 0.0  # whether it is another than the file; when that was written

    def begin(self):
        """Show the real tiles, and from now on each sketch that the canvas is asked for."""
        for cell in self.places:
            if self.canvas.real[cell]:
                self.put(cell, self.canvas.layout.cut(cell))
        sketch = self.canvas.sketch

        def seen(cell):
            begun = sketch(cell)
            if begun[0] is not None and cell not in self.seen:
                self.put(cell, begun[0])
            return begun

        self.canvas.sketch = seen
        self.write()
        events.tell("file", name=NAME, path=self.path)

    def hear(self, event, facts):
        """Of each event that is told: when the drawing goes on, show how far it is."""
        if event != "progress":
            return
        for cell in self.canvas.drawn.keys() - self.seen:
            self.put(cell, self.canvas.drawn[cell])
            self.seen.add(cell)
        waited, done = time.monotonic() - self.written, facts["done"] >= facts["total"]
        if self.changed and (waited > OFTEN or done):
            self.write()

    def put(self, cell, x):
        """Put a tile, normalised [C, T, T], where it belongs."""
        tile = Image.fromarray(np.ascontiguousarray(self.pixels(x)[..., :3])).convert("RGB")
        for place in self.places.get(cell, ()):
            (top, bottom), (left, right) = (
                [round((at + more) * self.scale) for more in (0, x.shape[-1])] for at in place)
            small = tile.resize((max(1, right - left), max(1, bottom - top)), Image.BOX)
            self.picture.paste(small, (left, top))
        self.changed = True

    def write(self):
        """Write the picture; a disk that refuses does no harm to the run."""
        unfinished = self.path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            self.picture.save(unfinished, "PNG", compress_level=1)
            os.replace(unfinished, self.path)
        self.changed, self.written = False, time.monotonic()
