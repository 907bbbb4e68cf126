"""What the channels of a picture are, and how they become pixels of files: a photo's colours, or a
material's maps.

Values are in [-1, 1]: a file's 0 is -1, and its largest value 1. A plain photo is one file of one
kind, "colour", or "grey" with one channel. Of a normal two numbers are kept, how far it points to
the right and down the picture; the third follows, since normals have length 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
import torch

from .pixel_art import Art

COLOURED = ("colour", "grey", "emission")  # in sRGB; all others are linear
# Channels of the kinds of map in a file; all others have one.
IN_FILES = {"colour": 3, "emission": 3, "normal": 3}
# Kinds by which places are matched, what people see, and their weights.
MATCHED = {"colour": 1.0, "height": 1.0}
WITHOUT_COLOUR = {"height": 1.0, "normal": 1.0}  # the same where there is no colour


class MapFile(NamedTuple):
    """One file of a picture or of a material."""

    name: str  # without its suffix
    holds: tuple[str, ...]  # the kinds in it; of one kind all channels, of several one each
    depth: int = 8  # bits a channel
    # whether the green of its normals points down the picture, DirectX's way, or up, OpenGL's
    down: bool = False

    def format(self) -> tuple[int, int, bool]:
        """(channels, bits a channel, whether its values are colours in sRGB), as png.PngBands has
        them."""
        channels = sum(IN_FILES.get(kind, 1) for kind in self.holds)
        return channels, self.depth, self.holds[0] in COLOURED

    def split(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The pixels [h, w] or [h, w, channels] by kind, {kind: [h, w, channels]}."""
        ends = np.cumsum([IN_FILES.get(kind, 1) for kind in self.holds])[:-1]
        return dict(zip(self.holds, np.split(np.atleast_3d(pixels), ends, axis=2)))

    def encode(self, planes: list[np.ndarray]) -> np.ndarray:
        """The file's pixels from the planes [channels, h, w] of each kind that it holds, values in
        [-1, 1]."""
        planes = [with_length_1(x, self.down) if kind == "normal" else x
                  for kind, x in zip(self.holds, planes)]
        return to_pixels(np.concatenate(planes), self.depth)

    def with_depth(self, depth: int) -> MapFile:
        """The file with so many bits a channel; a grey one of 8 bits is written as colours, which
        all programs read."""
        if self.holds[0] != "grey":
            return self._replace(depth=depth)
        return self._replace(depth=depth, holds=("grey",) * (3 if depth == 8 else 1))


class Channels(NamedTuple):
    """What the channels of a photo or of a material are, and what its files hold."""

    slices: dict[str, slice]  # kind -> which of the channels, in their order
    # kind -> [its channels], of maps that are the same everywhere, in [-1, 1]
    constants: dict[str, np.ndarray]
    files: tuple[MapFile, ...]  # that with the colour first
    # whether it is a material, whose files lie in a folder, or one file, a photo
    folder: bool = False
    art: Art | None = None  # how pixel art was enlarged, and is reduced again

    def written_with(self, depth: int) -> Channels:
        """The channels, to be written with so many bits each."""
        return self._replace(files=tuple(file.with_depth(depth) for file in self.files))

    def depth(self) -> int:
        """Bits a channel of the first file."""
        return self.files[0].depth

    def is_plain(self) -> bool:
        """Whether there is nothing but the colours of a photo."""
        return len(self.slices) == 1 and not self.folder

    def colours(self) -> int:
        """How many of the first channels are the colour's. They have axes together; smooth maps
        would be mixed with rough ones."""
        return max(self.slices[kind].stop if kind in self.slices else 0
                   for kind in ("colour", "grey"))

    # not a tuple's own, which nobody asks of it
    def count(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The number of channels."""
        return max(part.stop for part in self.slices.values())

    def vector(self) -> int | None:
        """The first of the two channels of the normals, None without."""
        return self.slices["normal"].start if "normal" in self.slices else None

    def weights(self) -> torch.Tensor:
        """How much each channel counts where places are matched, float32 [C]."""
        matched = MATCHED if "colour" in self.slices else WITHOUT_COLOUR
        known = {kind: weight for kind, weight in matched.items() if kind in self.slices}
        weights = torch.full((self.count(),), 0.0 if known else 1.0)
        for kind, weight in known.items():
            weights[self.slices[kind]] = weight
        return weights

    def groups(self) -> list[slice]:
        """Which channels have one deviation together: the colours, so that hues keep their
        proportions, and each of the other maps."""
        return list(self.slices.values())

    def planes(self, values: np.ndarray, kind: str) -> np.ndarray | None:
        """A kind's part of values [C, h, w], or its constant, [its channels, h, w]; None if there
        is no such kind."""
        if kind in self.slices:
            return values[self.slices[kind]]
        if kind in self.constants:
            constant = self.constants[kind]
            return np.broadcast_to(constant[:, None, None], (len(constant), *values.shape[1:]))
        return None

    def read(self, pixels: dict[str, np.ndarray]) -> np.ndarray:
        """Values [C, H, W] in [-1, 1] from the pixels {name: [H, W] or [H, W, channels]} of files
        that were written."""
        values = np.zeros((self.count(), *next(iter(pixels.values())).shape[:2]), np.float32)
        for file in self.files:
            for kind, x in file.split(pixels[file.name]).items():
                if kind not in self.slices:
                    continue
                planes = as_values(np.ascontiguousarray(x))
                if kind == "normal":
                    planes = slopes_of(planes, file.down)
                values[self.slices[kind]] = planes
        return values

    def seen(self, values: torch.Tensor) -> torch.Tensor:
        """The part of values [..., C, h, w] that is shown, the colour or the first map, [..., 3 or
        1, h, w]; grey where it is transparent."""
        colour = values[..., self.slices.get("colour", slice(0, 1)), :, :]
        if "opacity" not in self.slices:
            return colour
        return colour * ((values[..., self.slices["opacity"], :, :] + 1) / 2).clip(0, 1)

    def pixels(self, values: torch.Tensor) -> np.ndarray:
        """The pixels to be shown of values [..., C, h, w], uint8 [..., h, w, 3], rounded to the
        nearest level."""
        x = ((self.seen(values) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        *batch, count, height, width = x.shape
        colour = x.expand(*batch, max(3, count), height, width)
        return colour.movedim(-3, -1).contiguous().numpy()

    def rendered(self, values: np.ndarray) -> list[np.ndarray]:
        """The pixels of each file, uint8 or uint16 [h, w] or [h, w, channels], from values [C, h,
        w]; pixel art reduced."""
        found = [file.encode([cast(np.ndarray, self.planes(values, kind)) for kind in file.holds])
                 for file in self.files]
        return found if self.art is None else [self.art.reduced(pixels) for pixels in found]

    def as_read(self) -> Channels:
        """The channels, to be written as the photo was: a grey one as grey, whatever its depth."""
        files = (file._replace(holds=tuple(dict.fromkeys(file.holds))) for file in self.files)
        return self._replace(files=tuple(files))

    def formats(self) -> list[tuple[int, int, bool]]:
        """(channels, bits a channel, whether its values are colours in sRGB) of each file that is
        written."""
        return [file.format() for file in self.files]

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size (height, width) of the files of what is drawn in a size; pixel art is smaller.
        """
        if self.art is None:
            height, width = size
            return height, width
        return self.art.size(size)

    def paths(self, name: str) -> list[str]:
        """What the files of a picture of a name are called: <name>.png, or, of a material, a
        folder's."""
        if self.folder:
            return [f"{name}/{file.name}.png" for file in self.files]
        return [f"{name}.png"]


def slices_of(planes: Mapping[str, np.ndarray]) -> dict[str, slice]:
    """Where each kind lies when its planes [channels, H, W] are put one behind the other."""
    ends = np.cumsum([len(x) for x in planes.values()]).tolist()
    return {kind: slice(end - len(x), end) for (kind, x), end in zip(planes.items(), ends)}


def of_photo(name: str, pixels: np.ndarray) -> Channels:
    """The Channels of a photo whose pixels, uint8 or uint16, are [H, W], [H, W, 3] or, with
    transparency, [H, W, 4]."""
    count, depth = np.atleast_3d(pixels).shape[2], 8 * pixels.itemsize
    if count == 4:
        slices = {"colour": slice(0, 3), "opacity": slice(3, 4)}
    else:
        slices = {"grey" if count == 1 else "colour": slice(0, count)}
    return Channels(slices, {}, (MapFile(name, tuple(slices)),)).written_with(depth)


def as_values(pixels: np.ndarray) -> np.ndarray:
    """Pixels uint8 or uint16 [H, W] or [H, W, channels] as float32 [channels, H, W] in [-1, 1]."""
    return np.moveaxis(np.atleast_3d(pixels), 2, 0) * np.float32(2 / np.iinfo(pixels.dtype).max) - 1


def to_pixels(planes: np.ndarray, depth: int) -> np.ndarray:
    """Planes [channels, h, w] in [-1, 1] as the nearest pixels of so many bits, [h, w, channels],
    or [h, w] of one."""
    top, kind = 2**depth - 1, np.uint16 if depth == 16 else np.uint8
    pixels = ((planes + 1) * (top / 2)).round().clip(0, top).astype(kind)
    return np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def with_length_1(planes: np.ndarray, down: bool = False) -> np.ndarray:
    """Normals (right, down) [2, h, w] as vectors of length 1, (right, up, towards the eye) [3, h,
    w]; down: the second points down. Those that are too long lie in the plane."""
    length = np.maximum(1, np.sqrt((planes**2).sum(0)))
    right, below = planes / length

    towards = np.sqrt(np.maximum(0, 1 - right**2 - below**2))
    return np.stack([right, below if down else -below, towards])


def slopes_of(normals: np.ndarray, down: bool) -> np.ndarray:
    """Normals [3, H, W] as (right, down) of vectors of length 1, [2, H, W]; down: whether the
    second points down."""
    x = normals / np.maximum(np.sqrt((normals**2).sum(0)), 1e-6)
    return np.stack([x[0], x[1] if down else -x[1]])
