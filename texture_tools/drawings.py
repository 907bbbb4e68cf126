"""A large texture is drawn, written and forgotten in bands, so that memory does not grow with it. Where it stands is
kept beside it: finished bands in the file, and the tiles on which later bands depend.
"""

import hashlib

import numpy as np
import torch

from . import files
from .checkpoints import is_count, read_state
from .png import PngBands, WholePng
from .processes import ALONE

WHOLE_PIXELS = 1e7  # of the largest texture that is drawn in one piece
BAND_PIXELS = 4e6  # of a band, about


def bands_of(corner, size, tile):
    """A window of the texture cut into bands from top to bottom, [(corner (y, x), size (h, w))]."""
    (y, x), (height, width) = corner, size
    if height * width <= WHOLE_PIXELS:
        return [(corner, size)]
    step = max(1, int(BAND_PIXELS / (tile * width))) * tile
    return [((y + at, x), (min(step, height - at), width)) for at in range(0, height, step)]


def digest_of_all(things):
    """SHA-256 of plain values, tensors and numpy arrays, hexadecimal."""
    digest = hashlib.sha256()
    for thing in things:
        thing = thing.cpu().float().numpy() if isinstance(thing, torch.Tensor) else thing
        digest.update(thing.tobytes() if isinstance(thing, np.ndarray) else repr(thing).encode())
    return digest.hexdigest()


class Drawing:
    """A picture of a size (h, w) that is drawn in bands to a PNG file at path with metadata {key: value}; and the file
    beside it that says how far it has come.

    made_of: values, tensors and arrays, all that the picture depends on; channels, depth and srgb: as PngBands has
    them. Of a group of processes all read that file, and the first one writes.
    """

    def __init__(self, path, size, bands, text, made_of, group=ALONE, channels=3, depth=8, srgb=True):
        kind = channels, depth, srgb
        self.writer = WholePng(path, text, srgb) if len(bands) == 1 else PngBands(path, size, text, *kind)
        self.count, self.key, self.group = len(bands), digest_of_all([*made_of, kind]), group
        self.path = path.with_name(f".{path.stem}.unfinished.pt")

    def resume(self, shape):
        """What a stopped drawing of the same picture left: (number of finished bands, {cell: tile of a shape})."""
        try:
            state = read_state(self.path)
            tiles = dict(state["drawn"])
            fits = all(tile.shape == shape for tile in tiles.values()) and is_count(state["done"])
            if state["key"] != self.key or not fits:
                return 0, {}
            self.writer.resume(**state["writer"])
        except Exception:  # there is none, or it is damaged: it is drawn anew
            return 0, {}
        return state["done"], tiles

    def keep(self, done, tiles):
        """Write down the number of finished bands and the tiles {cell: [C, T, T]} that are drawn and still needed."""
        if self.group.rank == 0:
            state = {"key": self.key, "done": done, "writer": self.writer.state(), "drawn": tiles}
            files.write_atomically(self.path, lambda file: torch.save(state, file))

    def write(self, pixels, done, tiles):
        """Write the next band, uint8 or uint16 [h, W] or [h, W, C], and how far the drawing has come with it; nothing
        after the last."""
        if self.group.rank == 0:
            self.writer.write(pixels)
        if done < self.count:
            self.keep(done, tiles)
        elif self.group.rank == 0:
            self.path.unlink(missing_ok=True)
