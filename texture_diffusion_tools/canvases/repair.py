"""A canvas on which a photo is repaired, by tiles that lie over what its mask hides, from outside
in.

Of what is known the network sees what lies around a tile; in the tile it takes the place of the
estimate, so that x_t there is the truth with noise, and the rest has to go with it. The fine detail
is drawn without that, known pixels and unknown ones as a whole: held to the end, each would have a
grain of its own. By what the known ones are off then, the rest is moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..laying import holes
from ..laying.grids import Pair
from ..laying.rings import HALO, cut_windows, region_map, without_tile
from ..running.files import Results
from ..running.processes import ALONE, ProcessGroup
from ..writing import exports
from .works import AtOnce, Task

# STRENGTH at least: what a hole is filled with fits less well than the sketch of a gap.
FILLED = 0.75
# Of the noise that drawing begins with: down to here the estimate is held to what is known.
HELD = 0.8


class Hole:
    """A canvas (see outpaint() in the script) of a Photo that is not usable everywhere, whose cells
    are the places (y, x) of tiles.

    sketched: whether tiles begin with what the hole was filled with; else with pure noise.
    """

    def __init__(self, photo: Any, tile: int, device: torch.device, sketched: bool = True) -> None:
        self.tile, self.device, self.sketched = tile, device, sketched
        self.x = photo.x.cpu().clone()  # [C, H, W]
        self.known = photo.usable[None].clone()  # bool [1, H, W]
        self.passes = holes.plan(~photo.usable, tile, HALO)
        self.regions = torch.stack([region_map(tile, HALO) == k for k in range(9)])

    def noise_key(self, cell: Pair) -> Pair:
        """What the random numbers of a cell are keyed by."""
        return cell

    def at(self, cell: Pair, x: Tensor) -> Tensor:
        """The part of x [C, H, W] at a cell, a view."""
        top, left = cell
        return x[:, top:top + self.tile, left:left + self.tile]

    def sketch(self, cell: Pair) -> tuple[Tensor | None, Tensor | None]:
        """What a tile begins with, normalised [C, T, T]: what is known, and what was filled in from
        elsewhere. And which parts of it are drawn, [1, T, T]: what is known only at last."""
        if not self.sketched:
            return None, None
        return self.at(cell, self.x), 1 - (1 - HELD) * self.at(cell, self.known).float()

    def strength(self, cell: Pair) -> float:
        """How noisy the sketch of a cell is made at least."""
        return FILLED

    def neighbours(self, cells: list[Pair]) -> tuple[Tensor, Tensor]:
        """Canvases [B, C, S, S] around cells, and which neighbours are known as far as they are
        seen, bool [B, 8]."""
        ys, xs = torch.tensor(cells).T
        rings, known = (cut_windows(F.pad(x, [HALO] * 4), ys, xs, self.tile + 2 * HALO)
                        for x in (self.x, self.known))

        present = (known | ~self.regions).flatten(2).all(2)
        return rings.to(self.device), without_tile(present).to(self.device)

    def place(self, cells: list[Pair], tiles: Tensor, parts: Tensor | None = None) -> None:
        """Put what was not known of drawn tiles [B, C, T, T] at cells, fitted to what was."""
        for cell, drawn in zip(cells, tiles.cpu()):
            x, known = self.at(cell, self.x), self.at(cell, self.known)
            x[:] = holes.cloned(drawn, x, known)
            known[:] = True


class Repair(AtOnce):
    """The work of repairing a Photo."""

    doing = "repairing"

    def pixels(self) -> list[np.ndarray]:
        """The pixels of each file of the photo with what was drawn where its mask is white; a grey
        one stays grey."""
        photo = self.photo
        values = photo.mask.blended(photo.values(self.canvas.x)).numpy()
        return photo.channels.as_read().rendered(values)


class RepairFiles(Repair):
    """A Repair with all that a run writes of it; results: a files.Results."""

    def __init__(self, task: Task, results: Results, group: ProcessGroup = ALONE) -> None:
        super().__init__(task)
        self.results = results

    def finish(self, seconds: float, trained: tuple[float, int]) -> dict[str, Any]:
        """Write the repaired photo, and return the run's figures: how visible the mask's edge is.
        """
        photo, seed, repaired = self.photo, self.task.seed, self.pixels()
        name = "repaired" + f"_seed{seed}" * (seed > 0)
        paths = self.save(self.results, name, repaired)
        names = exports.of_a_repair(self.task.c.EXPORT)
        exported = exports.save(names, photo, paths, repaired[0].shape[:2], self.results, name)

        first, second = holes.edge_ratios(repaired[0], (~photo.usable).numpy())
        return {
            "repaired": self.output(paths),
            "repair_seed": seed,
            "repair_seconds": f"{seconds:.1f}",
            "repair_edge_ratio_1st": f"{first:.3f}",
            "repair_edge_ratio_2nd": f"{second:.3f}",
            **exported,
        }
