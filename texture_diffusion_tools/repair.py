"""A canvas on which a photo is repaired, by tiles that lie over what its mask hides, from outside in.

Of what is known the network sees what lies around a tile; in the tile it takes the place of the estimate, so that x_t
there is the truth with noise, and the rest has to go with it. The fine detail is drawn without that, known pixels and
unknown ones as a whole: held to the end, each would have a grain of its own. By what the known ones are off then, the
rest is moved.
"""

import torch
import torch.nn.functional as F

from . import holes
from .rings import HALO, cut_windows, region_map, without_tile

FILLED = 0.75  # STRENGTH at least: what a hole is filled with fits less well than the sketch of a gap
HELD = 0.8  # of the noise that drawing begins with: down to here the estimate is held to what is known


class Hole:
    """A Canvas (see outpaint() in the script) of a Photo with a mask, whose cells are the places (y, x) of tiles.

    sketched: whether tiles begin with what the hole was filled with; else with pure noise.
    """

    def __init__(self, photo, tile, device, sketched=True):
        self.tile, self.device, self.sketched = tile, device, sketched
        self.x, self.known = photo.x.cpu().clone(), ~photo.mask.hidden()[None]  # [C, H, W], bool [1, H, W]
        self.passes = holes.plan(photo.mask.hidden(), tile, HALO)
        self.regions = torch.stack([region_map(tile, HALO) == k for k in range(9)])

    def noise_key(self, cell):
        """What the random numbers of a cell are keyed by."""
        return cell

    def at(self, cell, x):
        """The part of x [C, H, W] at a cell, a view."""
        y, x0 = cell
        return x[:, y:y + self.tile, x0:x0 + self.tile]

    def sketch(self, cell):
        """What a tile begins with, normalised [C, T, T]: what is known, and what was filled in from elsewhere. And
        which parts of it are drawn, [1, T, T]: what is known only at last."""
        if not self.sketched:
            return None, None
        return self.at(cell, self.x), 1 - (1 - HELD) * self.at(cell, self.known).float()

    def strength(self, cell):
        """How noisy the sketch of a cell is made at least."""
        return FILLED

    def areas(self, cell):
        """What of the photo its references are not taken from: they may come from wherever it is known."""
        return []

    def neighbours(self, cells):
        """Canvases [B, C, S, S] around cells, and which neighbours are known as far as they are seen, bool [B, 8]."""
        corners = torch.tensor(cells).T
        rings, known = (cut_windows(F.pad(x, [HALO] * 4), *corners, self.tile + 2 * HALO) for x in (self.x, self.known))

        present = (known | ~self.regions).flatten(2).all(2)
        return rings.to(self.device), without_tile(present).to(self.device)

    def place(self, cells, tiles, parts=None):
        """Put what was not known of drawn tiles [B, C, T, T] at cells, fitted to what was."""
        for cell, drawn in zip(cells, tiles.cpu()):
            x, known = self.at(cell, self.x), self.at(cell, self.known)
            x[:] = holes.cloned(drawn, x, known)
            known[:] = True
