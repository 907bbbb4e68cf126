"""The work of drawing one texture, window by window, with all that is written of it."""

from __future__ import annotations

import contextlib
from typing import Any

from torch import Tensor

from ..laying import layouts
from ..laying.grids import Pair
from ..running import constants, events
from ..running.files import Results
from ..running.processes import ALONE, ProcessGroup
from ..writing import drawings, exports, growing, measures, pictures, repeats, shading
from .works import Task, Work


class Texture(Work):
    """The work of a texture on a canvas with a layout, drawn in bands, of
    which no more is kept than later ones need. It goes on where it was stopped.

    drawing: a drawings.Drawing of the bands, windows (corner (y, x), size (h, w)), or what is like
    it.
    """

    def __init__(
        self, task: Task, bands: list[tuple[Pair, Pair]], drawing: Any, group: ProcessGroup = ALONE
    ) -> None:
        super().__init__(task)
        self.bands, self.under = bands, task.canvas.under
        self.drawing, self.group, self.count = drawing, group, 0
        self.x: Tensor | None = None  # of the last band, normalised [C, h, w]

        # the passes of each band, and the last band that needs a cell
        self.needs = [self.under.layout.needed(*band) for band in bands]
        self.last_use = {cell: number for number, passes in enumerate(self.needs)
                         for cells in passes for cell in cells}

    def begin(self) -> tuple[int, range]:
        """How many tiles there are left to draw, and the numbers of the bands."""
        tile = self.under.grid.tile
        shape = self.under.channels, tile, tile
        done, self.under.drawn, self.under.parts = self.drawing.resume(shape)
        self.group.barrier()  # before the first process changes what the others read

        self.count = sum(last >= done and cell not in self.under.drawn
                         for cell, last in self.last_use.items())
        return self.count, range(done, len(self.bands))

    def passes(self, number: int) -> list[list[Pair]]:
        """The passes of a band without what is drawn already."""
        return [[cell for cell in cells if cell not in self.under.drawn]
                for cells in self.needs[number]]

    def batch_size(self, most: int, passes: list[list[Pair]]) -> int:
        """How many tiles are drawn in one step: always as many, so that a tile does not depend on
        it."""
        return most

    def write(self, number: int) -> None:
        """Write a band, and forget what no later one needs."""
        canvas = self.under
        self.x = canvas.cut(*self.bands[number])
        canvas.drawn = {cell: tile for cell, tile in canvas.drawn.items()
                        if self.last_use[cell] > number}
        self.drawing.write(self.photo.rendered(self.x), number + 1, canvas.drawn, canvas.parts)

    def stop(self, number: int) -> str:
        """Keep what is drawn, and say so."""
        self.drawing.keep(number, self.under.drawn, self.under.parts)
        return "stopped while drawing and saved; the same command goes on from there"


class TextureFiles(Texture):
    """A Texture with all that a run writes of it; results: a files.Results, of the first process of
    a group."""

    def __init__(self, task: Task, results: Results, group: ProcessGroup = ALONE) -> None:
        c, photo, layout = task.c, task.photo, task.canvas.under.layout
        name, self.special = constants.names_of(c, task.seed)
        self.name, self.results = f"output_texture_{name}", results

        # the first process chooses the paths
        paths = None
        if group.rank == 0:
            paths = [results.path(path) for path in photo.channels.paths(self.name)]
        self.paths = group.broadcast(paths)
        self.window = layouts.window_of(layout.grid, c.REGION)
        self.written = photo.channels.size(self.window[1])

        made_of = [photo.digest, task.seed, sorted(vars(c).items()), layout.source,
                   *(layout.guide or ()), *task.net.state_dict().values()]
        bands, formats = drawings.bands_of(*self.window, c.TILE_SIZE), photo.channels.formats()
        drawing = drawings.Drawing(self.paths, formats, self.written, bands, task.text(), made_of,
                                   group)
        super().__init__(task, bands, drawing, group)

    def shown(self) -> contextlib.AbstractContextManager:
        """Show a small picture of it that grows, where another program listens."""
        return growing.shown(self.under, *self.window, self.photo.pixels)

    def finish(self, seconds: float, trained: tuple[float, int]) -> dict[str, Any]:
        """Write the pictures that belong to the texture, and return the run's figures; trained:
        (seconds, tiles)."""
        photo, canvas, layout, c = self.photo, self.under, self.under.layout, self.task.c
        events.tell("tiles", name=self.name.removeprefix("output_texture_"),
                    **layout.described(*self.window),
                    parts=drawings.described(canvas.parts, layout.grid.tile))

        # all of the texture, if it is not large
        corner, pixels = self.bands[-1][0], photo.pixels(self.x)
        made = canvas.made(corner, pixels.shape[:2])
        pictures.draw_layout(self.results.path(f"layout{self.special}.png"), pixels, made)
        if c.TILEABLE != "none" and len(self.bands) == 1 and not c.REGION:
            whole = pixels if photo.channels.art is None else photo.channels.art.reduced(pixels)
            pictures.draw_wrapped(self.results.path(f"{self.name}_wrapped.png"), whole, c.TILEABLE)

        figures = measures.run_figures(pixels, layout, photo, corner, (seconds, self.count),
                                       trained, made, canvas.device)
        if photo.channels.folder:
            figures.update(self.finish_maps(corner))

        repeats.save(self.results, self.name, c, self.task.step, self.task.home)
        figures.update(exports.save(c.EXPORT, photo, self.paths, self.written, self.results,
                                    self.name))
        size = f"{self.written[1]} x {self.written[0]}"
        return {"output": self.output(self.paths), "size": size, "seed": self.task.seed, **figures}

    def finish_maps(self, corner: Pair) -> dict[str, str]:
        """Draw a material in light, and return the figures of its maps."""
        channels, values = self.photo.channels, self.photo.values(self.x).numpy()
        shading.draw_material(self.results.path(f"material{self.special}.png"), channels, values)
        return measures.map_figures(channels, channels.rendered(values), self.under.layout, corner)
