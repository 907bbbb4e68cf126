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


def png_writer(path, size, bands, text):
    """What writes the bands of a picture of a size (h, w) as a PNG file, with its metadata {key: value}."""
    return WholePng(path, text) if len(bands) == 1 else PngBands(path, size, text)


def digest_of(things, arrays):
    """SHA-256 of all that a texture depends on, hexadecimal: plain values, and tensors or numpy arrays."""
    digest = hashlib.sha256(repr(things).encode())
    for array in arrays:
        array = array.cpu().float().numpy() if isinstance(array, torch.Tensor) else array
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Drawing:
    """A picture that is being drawn, and the file beside it that says how far it has come.

    writer: a png.WholePng or png.PngBands; key: digest of all that the picture depends on; of a group of processes all
    read that file, and the first one writes.
    """

    def __init__(self, writer, key, group=ALONE):
        self.writer, self.key, self.group = writer, key, group
        self.path = writer.path.with_name(f".{writer.path.stem}.unfinished.pt")

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

    def write(self, pixels, done, tiles, last):
        """Write the next band, uint8 [h, W, 3], and after it how far the drawing has come; nothing after the last."""
        if self.group.rank == 0:
            self.writer.write(pixels)
        if not last:
            self.keep(done, tiles)
        elif self.group.rank == 0:
            self.path.unlink(missing_ok=True)
