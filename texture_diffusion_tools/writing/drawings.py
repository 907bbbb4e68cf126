"""A large texture is drawn, written and forgotten in bands, so that memory does not grow with it.
Where it stands is kept beside it: finished bands in the file, and the tiles on which later bands
depend.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..laying.grids import Pair
from ..learning.checkpoints import is_count, read_state
from ..running import files
from ..running.events import SHRINK
from ..running.processes import ALONE, ProcessGroup
from .png import PngBands, WholePng

WHOLE_PIXELS = 1e7  # of the largest texture that is drawn in one piece
BAND_PIXELS = 4e6  # of a band, about


def bands_of(corner: Pair, size: Pair, tile: int) -> list[tuple[Pair, Pair]]:
    """A window of the texture cut into bands from top to bottom, [(corner (y, x), size (h, w))]."""
    (y, x), (height, width) = corner, size
    if height * width <= WHOLE_PIXELS:
        return [(corner, size)]

    step = max(1, int(BAND_PIXELS / (tile * width))) * tile
    return [((y + at, x), (min(step, height - at), width)) for at in range(0, height, step)]


def digest_of_all(things: Iterable[Any]) -> str:
    """SHA-256 of plain values, tensors and numpy arrays, hexadecimal."""
    digest = hashlib.sha256()
    for thing in things:
        thing = thing.cpu().float().numpy() if isinstance(thing, torch.Tensor) else thing
        digest.update(thing.tobytes() if isinstance(thing, np.ndarray) else repr(thing).encode())
    return digest.hexdigest()


def packed(part: np.ndarray) -> Tensor:
    """Which pixels of a tile are drawn, bool [T, T], as bits, uint8 [T * T / 8]."""
    return torch.from_numpy(np.packbits(part))


def unpacked(part: Tensor, tile: int) -> np.ndarray:
    """The inverse of packed(), bool [T, T]."""
    return np.unpackbits(part.numpy(), count=tile**2).reshape(tile, tile) > 0


def described(parts: Mapping[Pair, Tensor], tile: int) -> dict[str, str]:
    """Which parts {cell: packed()} of tiles of a side are drawn, for events: {"row,column": bits in
    reading order, one for SHRINK x SHRINK pixels, hexadecimal}."""
    found = {}
    for (row, column), part in parts.items():
        part, side = unpacked(part, tile), tile // SHRINK
        bits = part[:side * SHRINK, :side * SHRINK].reshape(side, SHRINK, side, SHRINK).any((1, 3))
        found[f"{row},{column}"] = np.packbits(bits).tobytes().hex()
    return found


class Drawing:
    """A picture of a size (h, w) that is drawn in bands to PNG files at paths with metadata {key:
    value}, one or a material's; and the file beside the first that says how far it has come.

    formats: of each file (channels, depth, srgb), as PngBands has them; made_of: values, tensors
    and arrays, all that the picture depends on. Of a group of processes all read the file beside
    it, and the first one writes.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        formats: Sequence[tuple[int, int, bool]],
        size: Pair,
        bands: Sequence[Any],
        text: dict[str, str],
        made_of: Sequence[Any],
        group: ProcessGroup = ALONE,
    ) -> None:
        self.writers: list[WholePng | PngBands] = []
        for path, (count, depth, srgb) in zip(paths, formats, strict=True):
            if len(bands) == 1:
                self.writers.append(WholePng(path, text, srgb))
            else:
                self.writers.append(PngBands(path, size, text, count, depth, srgb))

        self.count, self.key, self.group = len(bands), digest_of_all([*made_of, formats]), group
        self.path = paths[0].with_name(f".{paths[0].stem}.unfinished.pt")

    def resume(self, shape: tuple[int, ...]) -> tuple[int, dict[Pair, Tensor], dict[Pair, Tensor]]:
        """What a stopped drawing of the same picture left: (number of finished bands, {cell: tile
        of a shape}, {cell: which part of it the network drew, packed()})."""
        try:
            state = read_state(self.path)
            tiles, parts = dict(state["drawn"]), dict(state["parts"])
            bits = shape[-1] ** 2
            fits = is_count(state["done"]) and all(x.shape == shape for x in tiles.values()) \
                and all(x.dtype == torch.uint8 and 8 * x.numel() == bits for x in parts.values())
            if state["key"] != self.key or not fits:
                return 0, {}, {}

            for writer, kept in zip(self.writers, state["writers"], strict=True):
                writer.resume(**kept)
        except Exception:  # there is none, or it is damaged: it is drawn anew
            return 0, {}, {}
        return state["done"], tiles, parts

    def keep(self, done: int, tiles: Mapping[Pair, Tensor], parts: Mapping[Pair, Tensor]) -> None:
        """Write down the number of finished bands, the tiles {cell: [C, T, T]} that are drawn and
        still needed, and which parts {cell: packed()} of all tiles so far the network drew."""
        if self.group.rank == 0:
            state = {
                "key": self.key,
                "done": done,
                "drawn": tiles,
                "parts": parts,
                "writers": [writer.state() for writer in self.writers],
            }
            files.write_atomically(self.path, lambda file: torch.save(state, file))

    def write(
        self,
        pictures: Sequence[np.ndarray],
        done: int,
        tiles: Mapping[Pair, Tensor],
        parts: Mapping[Pair, Tensor],
    ) -> None:
        """Write the next band, the pixels [h, W, ...] of each file, and how far the drawing has
        come with it; nothing after the last."""
        if self.group.rank == 0:
            for writer, pixels in zip(self.writers, pictures, strict=True):
                writer.write(pixels)

        if done < self.count:
            self.keep(done, tiles, parts)
        elif self.group.rank == 0:
            # Windows deletes none that a scanner has open; it fits no other drawing
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
