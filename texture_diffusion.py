# /// script
# requires-python = ">=3.10"
# dependencies = ["torch>=2.6", "torchvision>=0.21", "numpy>=1.26", "pillow>=10.1", "matplotlib>=3.8", "tqdm>=4.66"]
# ///
"""Texture Diffusion: one photo of a texture in, a texture three times its size out.

    python texture_diffusion.py                      train on samples/stones.png and draw
    python texture_diffusion.py rock.jpg             the same for a photo of yours
    python texture_diffusion.py rock.jpg EPOCHS=0    only draw, with the model trained before, if there is one
    python texture_diffusion.py --help               every constant with its meaning

The constants at the top of main() say everything that can be chosen; edit them there or
override them as NAME=value. A run with the default constants takes about a minute and a half
on two CPU cores. Ctrl-C saves; the same command goes on from there.
What a run makes: samples/<photo>/output_texture_3x3.png and pictures that show how it came
about, and checkpoints/<photo>.pt.

The photo is cut into tiles. A small U-Net, which has seen many materials before, learns by
denoising diffusion to draw a tile of this one that fits those of its 8 neighbours that exist.
Real tiles are then laid out like the black fields of a checkerboard and the network draws the
white ones, each over a rough sketch that continues the real tiles around it, so that no drawn
tile is further than one step from a real one.

Contents, in the order in which data flows:
    1. Tiles             pixels of a photo -> normalised tensor; grid of tiles and back
    2. Neighbourhoods    windows of a tile with its 8 neighbours; neighbour dropout
    3. Network           the U-Net over the canvas of tile and neighbours
    4. Diffusion         schedule, forward process, DDPM and DDIM steps
    5. Training          loss, optimizers, EMA, validation
    6. Layout            where the real tiles of the texture lie, and the passes that draw the others
    7. Outpainting       sketches and drawing of the gaps
    8. main              the constants and the story

All else is done in texture_diffusion_tools/, a room for each service, in six wings; docs/MAP.md
says which.

Shapes in comments: B batch, C channels (3, 1 for a grey photo, more for a material's maps or with
transparency), H W photo height and width, T tile side, S canvas side (tile and a halo on each
side), all in pixels.
"""

from __future__ import annotations

import os
import signal
import sys

if RUN := __name__ == "__main__":
    # until exit_codes.run() looks after them: importing torch takes seconds
    for stop_signal in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)):
        signal.signal(stop_signal, lambda number, frame: os._exit(128 + number))

import contextlib
import copy
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

try:
    from texture_diffusion_tools.running import exit_codes

    if RUN:
        exit_codes.foresee(__file__)  # --help, --version, mistyped words

    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch import Tensor

    from texture_diffusion_tools.canvases import blends, repair, textures, wang
    from texture_diffusion_tools.canvases.works import Task
    from texture_diffusion_tools.laying import layouts, real_tiles
    from texture_diffusion_tools.laying.grids import Grid, Pair, grid_offsets
    from texture_diffusion_tools.laying.layouts import Layout, judge_of
    from texture_diffusion_tools.laying.orientations import AUGMENTS, oriented
    from texture_diffusion_tools.laying.rings import (
        HALO,
        NEIGHBOURS,
        crop_middle,
        cut_windows,
        region_map,
        with_tile,
        without_tile,
    )
    from texture_diffusion_tools.learning import checkpoints, patches, photo_facts, reports
    from texture_diffusion_tools.learning.batches import Batch, SeveralDatasets
    from texture_diffusion_tools.learning.muon import Muon
    from texture_diffusion_tools.learning.photo_facts import rotated, split_bands
    from texture_diffusion_tools.learning.weights import as_beginning, channels_seen, with_facts
    from texture_diffusion_tools.reading import estimates, exemplars, masks, several
    from texture_diffusion_tools.running import (
        constants,
        devices,
        door,
        each,
        events,
        files,
        forecasts,
        processes,
        program,
        seeds,
    )
    from texture_diffusion_tools.running.errors import (
        DiskError,
        RunError,
        Stopped,
        UserError,
        first_line,
        printable,
    )
    from texture_diffusion_tools.writing import checks, drawings, pictures
except (ImportError, OSError) as problem:  # OSError: a library of torch's
    if "texture_diffusion_tools" in (getattr(problem, "name", None) or ""):
        advice = "the folder texture_diffusion_tools, which belongs beside this script, is " \
                 f"missing or not whole ({problem}): copy it from where the script came from, or " \
                 "download the whole repository"
    else:
        listed = Path(__file__).with_name("requirements.txt").exists()  # not where pip put this
        names = "torch torchvision numpy pillow matplotlib tqdm"
        advice = f"a package is missing or broken ({problem}): pip install " + \
                 ("-r requirements.txt" if listed else names)
    if not RUN:
        raise ImportError(advice) from problem
    print(f"texture_diffusion: {advice}", file=sys.stderr)
    sys.exit(2)

HERE = program.home()


# =============================================================================================
# 1. Tiles
# =============================================================================================
# A photo becomes a float tensor with zero mean per channel and unit deviation over all: the
# network then sees every texture at the same contrast, and the mean that sampling starts from
# is the texture's own, so that colours cannot shift.

OUTLIERS = 1e-4  # share of the pixels that are darker, and that are brighter, than what is drawn
FLAT = 1e-3  # deviation of values below which there is no texture


class Photo(NamedTuple):
    """An exemplar, normalised: x is [C, H, W] float32 with x * std + mean in [-1, 1]."""

    exemplar: exemplars.Exemplar
    x: Tensor  # [C, H, W], normalised
    mean: Tensor  # [C, 1, 1], in [-1, 1]
    std: Tensor  # [C, 1, 1], the same for all colours, so that hues keep their proportions

    def __getattr__(self, name: str) -> Any:
        """All else is the exemplar's: name, channels, usable, mask, digest, notes."""
        return getattr(self.exemplar, name)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """The range of each channel without its OUTLIERS, two tensors [C, 1, 1]."""
        low, high = np.quantile(self.x.cpu().flatten(1).numpy(), (OUTLIERS, 1 - OUTLIERS), axis=1)
        low, high = (torch.from_numpy(bound).float().view(-1, 1, 1) for bound in (low, high))
        return low, high

    def values(self, x: Tensor) -> Tensor:
        """Normalised [..., C, H, W] to values in [-1, 1], on the CPU."""
        return x.detach().float().cpu() * self.std + self.mean

    def pixels(self, x: Tensor) -> np.ndarray:
        """The pixels to be shown of normalised x [..., C, H, W], uint8 [..., H, W, 3]."""
        return self.channels.pixels(self.values(x))

    def rendered(self, x: Tensor) -> list[np.ndarray]:
        """The pixels of each file that is written of normalised x [C, H, W], uint8 or uint16 [H, W]
        or [H, W, 3]."""
        return self.channels.rendered(self.values(x).numpy())

    def own_pixels(self) -> np.ndarray:
        """The pixels to be shown of the photo itself, uint8 [H, W, 3]."""
        return self.pixels(self.x)


def normalise(exemplar: exemplars.Exemplar) -> Photo:
    """An exemplars.Exemplar to a Photo; UserError if there is no texture in it.

    Each map of a material has its own deviation, the colours one together; normals keep their zero,
    so that they can be turned.
    """
    x, vector = exemplar.values, exemplar.channels.vector()
    mean, std = x.mean((1, 2), keepdim=True), torch.ones(len(x), 1, 1)
    if vector is not None:
        mean[vector:vector + 2] = 0

    for part in exemplar.channels.groups():
        std[part] = (x[part] - mean[part]).std() if x.numel() > 1 else 0

    if exemplar.channels.is_plain() and std.min() < FLAT:
        raise UserError(f"{exemplar.name} is a single colour: there is no texture to learn")
    std[std == 0] = 1  # white under transparency that is none
    return Photo(exemplar, ((x - mean) / std).contiguous(), mean, std)


def normalise_all(exemplars: Sequence[exemplars.Exemplar]) -> tuple[Photo, ...]:
    """The Photos of exemplars, all with as many channels and bits as the richest has."""
    photos = tuple(normalise(exemplar) for exemplar in exemplars)
    if len(photos) == 1:
        return photos

    richest = max(photos, key=lambda photo: len(photo.x)).channels
    count = richest.count()
    channels = richest.written_with(max(photo.channels.depth() for photo in photos))
    return tuple(
        Photo(photo.exemplar._replace(channels=channels), photo.x.expand(count, -1, -1),
              photo.mean.expand(count, 1, 1), photo.std.expand(count, 1, 1))
        for photo in photos)


def load_photo(path: str | Path, *args: Any, **kwargs: Any) -> Photo:
    """The Photo at a path, of a picture file or of a folder of maps, read as exemplars.Reading
    says."""
    return normalise(exemplars.read_exemplar(path, exemplars.Reading(*args, **kwargs)))


def split_tiles(x: Tensor, tile: int) -> Tensor:
    """Cut [C, H, W] into tiles [rows, columns, C, T, T]; the last row and column may overlap."""
    tops, lefts = (grid_offsets(side, tile) for side in x.shape[-2:])
    rows = [[x[:, top:top + tile, left:left + tile] for left in lefts] for top in tops]
    return torch.stack([torch.stack(row) for row in rows])


def join_tiles(tiles: Tensor, height: int, width: int) -> Tensor:
    """The inverse of split_tiles: [rows, columns, C, T, T] to [C, height, width], exactly."""
    tile = tiles.shape[-1]
    x = tiles.new_empty(tiles.shape[2], height, width)
    for row, top in zip(tiles, grid_offsets(height, tile)):
        for piece, left in zip(row, grid_offsets(width, tile)):
            x[:, top:top + tile, left:left + tile] = piece
    return x


# =============================================================================================
# 2. Neighbourhoods
# =============================================================================================
# What the network sees of a place is a canvas: the tile and, around it, the nearest HALO pixels
# of each neighbour, where they exist:
#
#     +----+-----------+----+
#     | NW |     N     | NE |     S = T + 2 HALO
#     +----+-----------+----+
#     |    |           |    |
#     | W  |   tile    | E  |     the 9 regions are numbered in reading order,
#     |    |           |    |     the tile itself is region 4
#     +----+-----------+----+
#     | SW |     S     | SE |
#     +----+-----------+----+
#
# A window is a canvas cut from the photo. Where the tile is to be drawn the canvas is called a
# ring: its middle is looked at by nobody.

CHECKERBOARD = "N W E S"

# Neighbour dropout. Each pattern is named by the neighbours that it keeps; beside it, who shows
# it to the network. The checkerboard's own comes first and most often.
PATTERNS = {
    CHECKERBOARD: "checkerboard: a gap between four real tiles",
    "W E S": "checkerboard, top row",
    "N W E": "checkerboard, bottom row",
    "N E S": "checkerboard, first column",
    "N W S": "checkerboard, last column",
    "W S": "checkerboard, top right corner",
    "N E": "checkerboard, bottom left corner",
    "N W": "checkerboard, bottom right corner",
    "NW N NE W": "rows: inside",
    "N NE": "rows: first column",
    "NW N W": "rows: last column",
    "NW N NE W SW": "rows: beside the photo",
    "W SW": "rows: top row, beside the photo",
    "W": "rows: top row",
    "NW N NE W E SW S SE": "a tile redrawn among finished ones",
    "": "a tile on its own",
}


def keep_mask(pattern: str) -> Tensor:
    """Which neighbours a pattern such as "N W E S" keeps: bool [8] in the order of NEIGHBOURS."""
    kept = pattern.split()
    return torch.tensor([name in kept for name in NEIGHBOURS])


def dropout_masks(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Neighbour dropout for count windows: bool [count, 8], True where a neighbour is kept.

    A share of the windows sees another pattern than the checkerboard's: half of those any of
    PATTERNS, the other half a random subset.
    """
    device = generator.device
    table = torch.stack([keep_mask(pattern) for pattern in PATTERNS]).to(device)
    named = table[torch.randint(len(table), (count,), generator=generator, device=device)]
    subset = torch.rand(count, 8, generator=generator, device=device) < 0.5
    which, kind = torch.rand(2, count, 1, generator=generator, device=device)

    other = torch.where(kind < 0.5, named, subset)
    return torch.where(which < share, other, table[0])


class NeighbourDataset:
    """Tiles at any pixel offset of a photo, with their neighbours; lives on the device as one
    tensor.

    The last `validation` tiles of the bottom row are held out: no training tile overlaps them
    and as neighbours they count as absent.
    """

    def __init__(self, photo: Photo, tile: int, validation: int = 0,
                 device: torch.device | str = "cpu", augment: str = "none") -> None:
        self.tile, self.halo, self.orientations = tile, HALO, AUGMENTS[augment]
        self.vector = photo.channels.vector()
        _, self.height, self.width = photo.x.shape
        if validation < 0 or (validation + 2) * tile > self.width:
            raise UserError(f"VALIDATION = {validation} tiles of {tile} pixels leave too little of "
                            f"a photo {self.width} pixels wide; at most "
                            f"{max(0, self.width // tile - 2)} fit")
        self.padded = F.pad(photo.x, [self.halo] * 4).to(device)

        # what is held out, and what is masked
        self.held_x, self.held_y = self.width - validation * tile, self.height - tile
        self.validation = validation
        self.hidden = masks.sums_of(~photo.usable).to(device)
        held = self.validation_offsets().T
        if validation and masks.holds_hidden(self.hidden, *held, tile, tile).any():
            raise UserError(f"VALIDATION = {validation} tiles in the lower right corner are "
                            "masked; VALIDATION=0 holds none out")
        self.table = self.offset_table(device)

    def offset_table(self, device: torch.device | str) -> Tensor:
        """Offsets (y, x) of all training tiles, [N, 2] int64."""
        y = torch.arange(self.height - self.tile + 1, device=device)
        x = torch.arange(self.width - self.tile + 1, device=device)
        free = (y[:, None] <= self.held_y - self.tile) | (x <= self.held_x - self.tile)
        free = free if self.validation else torch.ones_like(free)
        masked = masks.holds_hidden(self.hidden, y[:, None], x, self.tile, self.tile)
        return (free & ~masked).nonzero()

    def validation_offsets(self) -> Tensor:
        """Offsets (y, x) of the held-out tiles, [validation, 2] int64."""
        xs = torch.arange(self.held_x, self.width, self.tile, device=self.padded.device)
        return torch.stack([torch.full_like(xs, self.held_y), xs], 1)[:self.validation]

    def available(self, offsets: Tensor) -> Tensor:
        """Which neighbours exist: bool [B, 8], those whose nearest halo lies in the photo and is
        neither held out nor masked."""
        y, x = offsets.T
        tile, halo = self.tile, self.halo
        top = torch.stack([y - halo, y, y + tile], 1)  # of the three rows of regions, [B, 3]
        left = torch.stack([x - halo, x, x + tile], 1)
        size = torch.tensor([halo, tile, halo], device=offsets.device)

        inside_y = (top >= 0) & (top + size <= self.height)
        inside_x = (left >= 0) & (left + size <= self.width)
        held = (top + size > self.held_y)[:, :, None] & (left + size > self.held_x)[:, None, :]
        exists = inside_y[:, :, None] & inside_x[:, None, :] & ~(held & bool(self.validation))

        masked = masks.holds_hidden(
            self.hidden, top[:, :, None], left[:, None, :], size[:, None], size)
        return without_tile((exists & ~masked).flatten(1))

    def windows(self, offsets: Tensor) -> Tensor:
        """Canvases [B, C, S, S] around the tiles at offsets [B, 2], zero outside the photo."""
        return cut_windows(self.padded, *offsets.T, self.tile + 2 * self.halo)

    def tiles_of(self, windows: Tensor) -> Tensor:
        """The tiles [B, C, T, T] in the middle of the canvases [B, C, S, S]."""
        return windows[:, :, self.halo:-self.halo, self.halo:-self.halo]

    def examples(self, count: int, held_out: bool) -> tuple[Tensor, Tensor]:
        """Canvases [B, C, S, S] and the checkerboard's neighbours, bool [B, 8], to be shown: of
        held-out tiles, or of training tiles spread evenly."""
        offsets = self.validation_offsets()
        if not (held_out and len(offsets)):
            whole = self.table[self.available(self.table).all(1)]  # those with all 8 neighbours
            whole = whole if len(whole) else self.table  # beside a mask there may be none
            spread = torch.linspace(0, len(whole) - 1, count + 2, device=whole.device)
            offsets = whole[spread.long()[1:-1]]
        offsets = offsets[torch.arange(count, device=offsets.device) % len(offsets)]
        return self.windows(offsets), self.checkerboard(offsets)

    def checkerboard(self, offsets: Tensor) -> Tensor:
        """Those neighbours of the checkerboard's pattern that exist, bool [B, 8]."""
        return self.available(offsets) & keep_mask(CHECKERBOARD).to(offsets.device)

    def batch(self, count: int, share: float, generator: torch.Generator) -> Batch:
        """A Batch of tiles at random."""
        device = self.table.device
        pick = torch.randint(len(self.table), (count,), generator=generator, device=device)
        offsets = self.table[pick]

        windows, exists = self.windows(offsets), self.available(offsets)
        if len(self.orientations) > 1:
            windows, exists = self.augment(windows, exists, generator)
        return Batch(windows, exists & dropout_masks(count, share, generator))

    def augment(self, windows: Tensor, exists: Tensor,
                generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Canvases, each in one of the orientations, with which of their neighbours exist."""
        count = len(self.orientations)
        which = torch.randint(count, (len(windows),), generator=generator, device=windows.device)
        windows, around = windows.clone(), with_tile(exists).unflatten(1, (3, 3))

        for k, orientation in enumerate(self.orientations):
            chosen = which == k
            windows[chosen] = oriented(windows[chosen], *orientation, self.vector)
            around[chosen] = oriented(around[chosen], *orientation)
        return windows, without_tile(around.flatten(1))


# =============================================================================================
# 3. Network
# =============================================================================================
# The canvas goes through a U-Net of plain convolutions: they continue lines across the tile's
# border by themselves. Space-to-depth by 4 at the entrance makes it cheap; the head, a last block
# at half the resolution that sees the canvas itself once more, brings the fine detail back. On the
# way up the ring around the tile is cropped as soon as it is no longer needed.
#
#     canvas -> unshuffle 4 -> stem + position -> block ---------------> block -> shuffle 2 -> head
#        |                                          block --------> block                       |
#        |                                             block - block                            |
#        +--------------------------------> unshuffle 2 ----------------------------------------+

COLOURS = 3  # channels of a prior's network, which sees a grey photo as the first of them
UNSHUFFLE = 4  # space-to-depth factor of the stem
HEAD_UNSHUFFLE = 2  # and of the head
HEAD_WIDTH = 64  # channels of the head
CROP_MARGIN = 4  # ring that the way up keeps around the tile, in pixels of each resolution


def tile_multiple(widths: Sequence[int], unshuffle: int = UNSHUFFLE) -> int:
    """What TILE_SIZE must be a multiple of, so that the canvas can be halved at every level."""
    return unshuffle * max(4, 2 ** len(widths))


# The network carries what is known of the photo before any training, its photo_facts: colours are
# turned to the photo's own axes on the way in and back on the way out; the power of each band of
# detail, and what white noise has in it, say how far x_t is to be trusted at each scale (see
# wiener_bands and predict_x0).


class Block(nn.Module):
    """Two 3x3 convolutions with a residual; the time embedding scales and shifts between them."""

    def __init__(self, c_in: int, c_out: int, c_time: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.time = nn.Linear(c_time, 2 * c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(emb)[:, :, None, None].chunk(2, 1)
        h = self.conv2(F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))
        return self.skip(x) + h


class UNet(nn.Module):
    """The conditional U-Net: sees a noisy tile among its neighbours and predicts the clean tile.

    channels: C of the photo; tile: T, a multiple of tile_multiple(widths, unshuffle); widths:
    channels at 1 / unshuffle of the resolution, at half of that, ..., one to four multiples of 8.
    Input and output are in normalised units. halo 0: pictures without neighbours; context: length
    of the vector that pictures are conditioned on, 0 for none.
    """

    def __init__(self, channels: int, tile: int, widths: Sequence[int], halo: int = HALO,
                 unshuffle: int = UNSHUFFLE, context: int = 0) -> None:
        super().__init__()
        self.tile, self.halo, self.unshuffle = tile, halo, unshuffle
        self.head_unshuffle = min(unshuffle, HEAD_UNSHUFFLE)

        # what comes in
        c_time = 4 * widths[0]
        self.time = nn.Sequential(nn.Linear(64, c_time), nn.SiLU(), nn.Linear(c_time, c_time),
                                  nn.SiLU())
        self.context = nn.Linear(context, c_time, bias=False) if context else None
        self.stem = nn.Conv2d(channels * unshuffle**2, widths[0], 3, padding=1)
        self.position = nn.Parameter(torch.empty(9, 2, widths[0]))  # region x {absent, present}

        # down and up again
        self.down = nn.ModuleList(Block(w, w, c_time) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1)
                                    for a, b in zip(widths, widths[1:]))
        self.middle = Block(widths[-1], widths[-1], c_time)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(Block(2 * w, w, c_time) for w in widths[:-1])
        self.norm_out = nn.GroupNorm(8, widths[0])
        self.conv_out = nn.Conv2d(widths[0], HEAD_WIDTH * (unshuffle // self.head_unshuffle) ** 2,
                                  3, padding=1)

        # the head sees the noisy tile, the neighbours, and where they are known; it draws the tile,
        # and a gate for each band
        seen = self.head_unshuffle**2 * (2 * channels + 1)
        out = self.head_unshuffle**2 * (channels + len(photo_facts.BLURS) + 1)
        self.head_in = nn.Conv2d(HEAD_WIDTH + seen, HEAD_WIDTH, 3, padding=1)
        self.filters = nn.Conv2d(seen, HEAD_WIDTH, 3, padding=1)
        self.choice = nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 1)
        self.head_block = Block(HEAD_WIDTH, HEAD_WIDTH, c_time)
        self.head_out = nn.Conv2d(HEAD_WIDTH, out, 3, padding=1)

        self.precision = torch.float32  # of the convolutions; see pick_precision
        self.register_buffer("region", region_map(tile, self.halo), persistent=False)

        # what is known of the photo, see know()
        noise = photo_facts.noise_powers()
        self.register_buffer("noise", noise, persistent=False)
        self.register_buffer("axes", torch.eye(channels))
        self.register_buffer("signal", noise[:, None].repeat(1, channels))
        self.label = None  # the context of all pictures, [length], where none is given
        self.initialise()

    def know(self, facts: Sequence[Tensor]) -> None:
        """Take over a photo's photo_facts.PhotoFacts; or those of one for each picture of a batch,
        stacked; or those of several textures, stacked, of which a picture's context is the label.
        """
        self.axes, self.signal = facts

    def facts(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The PhotoFacts for pictures with such contexts, [B, length] or None."""
        if context is None or self.axes.ndim == 2:
            return self.axes, self.signal
        label = context.argmax(1)
        return self.axes[label], self.signal[label]

    def of(self, label: int) -> UNet:
        """A copy that draws one of several textures: it knows that one's facts, and its label."""
        net = copy.deepcopy(self)
        net.know((self.axes[label], self.signal[label]))
        net.label = F.one_hot(torch.tensor(label, device=self.axes.device), len(self.axes)).float()
        return net

    def initialise(self) -> None:
        """All rules of initialisation, in one place; torch's defaults where nothing is said."""
        # different from the start, small beside the stem's output
        nn.init.normal_(self.position, std=0.1)

        for module in self.modules():
            if isinstance(module, Block):  # each block begins as the identity, whatever the time
                for layer in (module.conv2, module.time):
                    nn.init.zeros_(layer.weight)
                    nn.init.zeros_(layer.bias)

        # the first prediction is the texture's mean
        nn.init.zeros_(self.head_out.weight)
        nn.init.zeros_(self.head_out.bias)

    def canvas(self, x_t: Tensor, ring: Tensor, present: Tensor) -> Tensor:
        """The tile x_t [B, C, T, T] among those neighbours of ring [B, C, S, S] that are present,
        bool [B, 8]; zero, which is the mean colour, where there is none."""
        canvas = ring * with_tile(present)[:, self.region][:, None]
        crop_middle(canvas, self.tile)[:] = x_t
        return canvas.contiguous(memory_format=devices.layout_on(canvas.device))

    def forward(self, x_t: Tensor, ring: Tensor, present: Tensor,
                time: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        """The parts of predict_x0: what is added to the filtered x_t, [B, C, T, T], and the gates
        of its bands, [B, bands, T, T].

        x_t: noisy tile [B, C, T, T]; ring: [B, C, S, S], whose middle is ignored; present: bool
        [B, 8]; time: [B] in (0, 1]; context: [B, length], or None for zeros.
        """
        canvas = self.canvas(x_t, ring, present)
        with devices.autocast(x_t.device, self.precision):
            out = self.denoise(canvas, with_tile(present), time, context).float()
        return out.tensor_split([x_t.shape[1]], 1)

    def denoise(self, canvas: Tensor, present: Tensor, time: Tensor,
                context: Tensor | None) -> Tensor:
        """From the canvas [B, C, S, S] to the head's output [B, C + bands, T, T]; present bool
        [B, 9]."""
        emb = self.time(time_features(time))
        context = self.label if context is None else context
        if context is not None:
            emb = emb + self.context(context)

        # the canvas, and what lies where in it
        x = F.pixel_unshuffle(canvas, self.unshuffle)
        where = self.region[::self.unshuffle, ::self.unshuffle]
        position = self.position[torch.arange(9, device=where.device), present.long()]  # [B, 9, c]
        h = self.stem(x.contiguous(memory_format=devices.layout_on(x.device)))
        h = h + position[:, where].permute(0, 3, 1, 2).to(h.dtype)

        # down
        skips = []
        for block, shrink in zip(self.down, self.shrink):
            skips.append(block(h, emb))
            h = shrink(skips[-1])
        h = self.middle(self.down[-1](h, emb), emb)

        # up, with less and less of the ring
        for level in reversed(range(len(self.up))):
            h = F.interpolate(self.grow[level](h), scale_factor=2, mode="nearest")
            side = min(h.shape[-1], self.tile // (self.unshuffle * 2**level) + 2 * CROP_MARGIN)
            both = torch.cat([crop_middle(h, side), crop_middle(skips[level], side)], 1)
            h = self.up[level](both, emb)

        side = min(h.shape[-1], self.tile // self.unshuffle + CROP_MARGIN)
        h = crop_middle(F.silu(self.norm_out(h)), side)
        h = F.pixel_shuffle(self.conv_out(h), self.unshuffle // self.head_unshuffle)
        return self.head(h, canvas, present, emb)

    def head(self, h: Tensor, canvas: Tensor, present: Tensor, emb: Tensor) -> Tensor:
        """What is left to do for the finest detail, from the U-Net's output h: the tile and the
        gates.

        Lines have to meet pixel by pixel at the border. Filters see the noisy tile and the clean
        neighbours apart, and h chooses at each place how much of each filter to take: more of the
        neighbours, the nearer they are.
        """
        side = self.tile + 2 * min(CROP_MARGIN, self.halo)
        canvas, region = (crop_middle(x, side) for x in (canvas, self.region[None, None]))
        centre = (region == 4).to(canvas.dtype)
        known = present[:, region[0, 0]][:, None] * (1 - centre)

        # filters of tile and neighbours, chosen at each place
        apart = torch.cat([canvas * centre, canvas * known, known], 1)
        fine = F.pixel_unshuffle(apart, self.head_unshuffle)
        h = crop_middle(h, fine.shape[-1])
        h, fine = (x.to(h.dtype, memory_format=devices.layout_on(x.device)) for x in (h, fine))
        before = F.silu(self.head_in(torch.cat([h, fine], 1)))
        h = self.head_block(before + self.filters(fine) * self.choice(h), emb)

        out = crop_middle(self.head_out(h), self.tile // self.head_unshuffle)
        return F.pixel_shuffle(out, self.head_unshuffle)


def time_features(time: Tensor, count: int = 64) -> Tensor:
    """Sines and cosines of time [B] in (0, 1] at count / 2 frequencies, [B, count] (DDPM, after
    Vaswani et al.)."""
    rates = 1000 ** torch.linspace(0, 1, count // 2, device=time.device)
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


# =============================================================================================
# 4. Diffusion
# =============================================================================================
# Forward:  x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps    (DDPM, arXiv 2006.11239, eq. 4)
# The schedule is the cosine (arXiv 2102.09672) without its offset and clipping, so that the last
# step is pure noise, alpha_bar_T = 0, as sampling starts (arXiv 2305.08891). eps says nothing about
# x0 there, so the network predicts x0.

SAMPLERS = ("ddim", "ddpm", "mixed")
GUIDANCE = 0.1  # of the estimates that sampling goes by; none in training
FINEST = 0.06  # of the chain: what the photo's patches leave to the network


def cosine_schedule(num_timesteps: int) -> Tensor:
    """alphas_cumprod [num_timesteps] float32, falling to exactly 0; index t is step t + 1 of the
    chain."""
    t = torch.arange(1, num_timesteps + 1, dtype=torch.float64) / num_timesteps
    alphas_cumprod = torch.cos(t * math.pi / 2) ** 2
    alphas_cumprod[-1] = 0
    return alphas_cumprod.float()


def per_sample(values: Tensor, t: Tensor) -> Tensor:
    """values[t] shaped [B, 1, 1, 1]; t = -1 stands for the clean end of the chain, where alpha_bar
    is 1."""
    values = torch.cat([values, values.new_ones(1)])  # index -1
    return values[t].view(-1, 1, 1, 1)


def q_sample(x0: Tensor, t: Tensor, eps: Tensor,
             alphas_cumprod: Tensor) -> Tensor:
    """Forward process in closed form: x_t [B, C, T, T] from x0, eps of that shape and t [B] int64.
    """
    abar = per_sample(alphas_cumprod, t)
    return abar.sqrt() * x0 + (1 - abar).sqrt() * eps


def wiener_bands(net: Any, x_t: Tensor, ring: Tensor, present: Tensor,
                 abar: Tensor, signal: Tensor) -> Tensor:
    """The bands of x_t, each under a Wiener filter for a signal of that power in it,
    [B, bands, C, T, T]."""
    # the neighbours as bright as x_t, without noise
    margin = min(net.halo, sum(photo_facts.BLURS))  # the reach of a band
    canvas = net.canvas(x_t, abar.sqrt() * ring, present)
    bands = crop_middle(split_bands(crop_middle(canvas, net.tile + 2 * margin)), net.tile)

    signal = signal[..., None, None]  # [bands, C, 1, 1]
    noise = net.noise[:, None, None, None]  # [bands, 1, 1, 1]
    abar = abar[:, None]
    return bands * abar.sqrt() * signal / (abar * signal + (1 - abar) * noise)


def predict_x0(net: Any, x_t: Tensor, t: Tensor, ring: Tensor,
               present: Tensor, alphas_cumprod: Tensor, guidance: float = 0.0,
               context: Tensor | None = None) -> Tensor:
    """The estimate of x0 [B, C, T, T], unclipped; t [B] int64, the rest as in UNet.forward.

    What the network draws is added to x_t, under the linear filter that is best for the photo's
    powers (Wiener) and gated by the network at each pixel of each band: where the noise is weaker
    than the detail, the detail need not pass through the network. (v-prediction adds all of x_t,
    which left noise at all levels.)

    A network that hesitates between two shapes draws their mean, and what is drawn lacks contrast
    at all scales. guidance takes the estimate by this share further away from that of a worse model
    of the same photo, the filter alone, which knows no shapes (autoguidance, arXiv 2406.02507, with
    guidance = w - 1).
    """
    axes, signal = net.facts(context)
    x_t, ring = rotated(x_t, axes), rotated(ring, axes)

    bands = wiener_bands(net, x_t, ring, present, per_sample(alphas_cumprod, t), signal)
    drawn, gates = net(x_t, ring, present, (t + 1) / len(alphas_cumprod), context)
    x0 = drawn + (2 * gates.sigmoid()[:, :, None] * bands).sum(1)

    if guidance:
        x0 = torch.lerp(bands.sum(1), x0, 1 + guidance)
    return rotated(x0, axes.mT)


def posterior(x_t: Tensor, x0: Tensor, t: Tensor, t_prev: Tensor,
              alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_prev | x_t, x0), DDPM eq. 6-7, also for a chain that skips steps."""
    abar, abar_prev = per_sample(alphas_cumprod, t), per_sample(alphas_cumprod, t_prev)
    alpha = abar / abar_prev
    mean = (abar_prev.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - abar_prev) * x_t) / (1 - abar)
    return mean, (1 - abar_prev) / (1 - abar) * (1 - alpha)


def ddpm_step(x_t: Tensor, x0: Tensor, t: Tensor, t_prev: Tensor,
              noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """p_sample: one ancestral step from t to t_prev (both [B] int64) with fresh noise."""
    mean, variance = posterior(x_t, x0, t, t_prev, alphas_cumprod)
    return mean + variance.sqrt() * noise


def ddim_step(x_t: Tensor, x0: Tensor, t: Tensor, t_prev: Tensor,
              alphas_cumprod: Tensor) -> Tensor:
    """One deterministic step from t to t_prev (DDIM, arXiv 2010.02502, eq. 12 with eta = 0)."""
    abar = per_sample(alphas_cumprod, t)
    eps = (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()
    return q_sample(x0, t_prev, eps, alphas_cumprod)


def look_ahead(x0: Tensor, t: Tensor, x0_before: Tensor, t_before: Tensor,
               t_prev: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The estimate of x0 for a ddim step from t to t_prev, continued along the line through that
    and the one before it, at t_before: DPM-Solver++(2M), arXiv 2211.01095, algorithm 2. A step of
    second order at the price of one."""
    after, now, before = (torch.logit(per_sample(alphas_cumprod, k)) for k in (t_prev, t, t_before))
    return x0 + (x0 - x0_before) * (after - now) / (2 * (now - before))


def trailing_timesteps(num_timesteps: int, steps: int) -> list[int]:
    """steps timesteps from num_timesteps - 1 down, evenly spaced, then -1 for the clean end."""
    return [round(num_timesteps * k / steps) - 1 for k in range(steps, -1, -1)]


def sample(estimate: Callable[[Tensor, Tensor], Tensor],
           shape: tuple[int, int, int], generators: Sequence[torch.Generator],
           alphas_cumprod: Tensor, bounds: Sequence[Any], sampler: str = "mixed",
           steps: int = 30, sketch: Tensor | None = None, strength: float = 1.0,
           parts: Tensor | None = None) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Draw pictures; a generator that yields (t, x_t, x0 estimate) after each step. The last x_t is
    the result.

    estimate(x_t, t): the estimate of x0, [B, C, h, w], such as predict_x0 among given neighbours.

    shape: (C, h, w) of a picture; generators: one CPU torch.Generator a picture, from which its
    start and its noise come, so that it does not depend on the batch that it is drawn in.

    bounds: the range that x0 is clamped to.

    sampler: "ddpm", "ddim" or "mixed", DDPM steps in the noisy half of the chain and DDIM steps
    that look ahead in the rest: fresh noise corrects what was decided too early about the
    structure, but wears off fine detail (EDM, arXiv 2206.00364, limits it to a range of noise
    levels for the same reason).

    sketch [B, C, h, w] or None: what to begin with, noised to the share `strength` of the chain;
    without one all of the chain is gone through, from pure noise.

    parts [B, 1, h, w] or None: of each pixel the part of that strength down from which it is drawn;
    before, the sketch is the estimate of it, so that x_t is the sketch with noise and the rest has
    to go with it (Differential Diffusion, arXiv 2306.00950); all 1 without them. Where a part is 0
    the result is the sketch.
    """
    device, count = alphas_cumprod.device, len(generators)

    def noise() -> Tensor:
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)

    # from the start to the end of the chain
    x_t, earlier = noise(), None  # earlier: estimate and t of the DDIM step before
    first = len(alphas_cumprod) if sketch is None else round(strength * len(alphas_cumprod))
    times = trailing_timesteps(first, steps)
    if sketch is not None:
        x_t = q_sample(sketch, torch.full((count,), times[0], device=device), x_t, alphas_cumprod)

    for now, after in zip(times, times[1:]):
        t, t_prev = (torch.full((count,), k, dtype=torch.long, device=device) for k in (now, after))
        held = None if parts is None else parts * strength * len(alphas_cumprod) <= now

        with torch.inference_mode():
            x0 = held_to(estimate(x_t, t).clamp(*bounds), sketch, held)
            if sampler == "ddpm" or sampler == "mixed" and now >= len(alphas_cumprod) // 2:
                x_t, earlier = ddpm_step(x_t, x0, t, t_prev, noise(), alphas_cumprod), None
            else:
                # but for the end, which is infinitely far ahead
                ahead = x0
                if sampler == "mixed" and earlier is not None and after >= 0:
                    ahead = look_ahead(x0, t, *earlier, t_prev, alphas_cumprod).clamp(*bounds)
                    ahead = held_to(ahead, sketch, held)
                x_t, earlier = ddim_step(x_t, ahead, t, t_prev, alphas_cumprod), (x0, t)
        yield now, x_t, x0


def held_to(x0: Tensor, sketch: Tensor | None,
            held: Tensor | None) -> Tensor:
    """An estimate of x0, or the sketch where it is held to that; held: bool, or None for nowhere.
    """
    return x0 if held is None else torch.where(held, sketch, x0)


class Sampling(NamedTuple):
    """How tiles are drawn; see sample()."""

    sampler: str = "mixed"
    steps: int = 30
    strength: float = 1.0


class Denoiser:
    """Estimates the x0 of tiles of a Photo by a UNet, and with patched in the noisier part of the
    chain by the photo's patches. (Several are mixed in blends.py.)"""

    def __init__(self, net: Any, photo: Photo, alphas_cumprod: Tensor,
                 sampling: Sampling, patched: bool = False) -> None:
        device = alphas_cumprod.device
        self.net, self.tile = net, net.tile
        self.alphas_cumprod, self.sampling = alphas_cumprod, sampling
        self.bounds = [bound.to(device) for bound in photo.bounds()]
        self.patches = patches.patches_of(photo.x, photo.usable) if patched else None

    def among(self, rings: Tensor, present: Tensor) -> tuple[Callable[..., Tensor], list[Tensor]]:
        """estimate(x_t, t) of x0 [B, C, T, T] among neighbours, rings [B, C, S, S] and present bool
        [B, 8], and the range of its values, two tensors [..., C, 1 or T, 1 or T]."""
        by_patches = None
        if self.patches is not None:
            known = with_tile(present)[:, self.net.region]
            by_patches = self.patches.among(rings, known, self.tile)

        def estimate(x_t: Tensor, t: Tensor) -> Tensor:
            if by_patches is not None and t[0] >= FINEST * len(self.alphas_cumprod):
                return by_patches(x_t, self.alphas_cumprod[t[0]].item())
            return predict_x0(self.net, x_t, t, rings, present, self.alphas_cumprod, GUIDANCE)

        return estimate, self.bounds


def draw_tiles(denoiser: Any, rings: Tensor, present: Tensor,
               generators: Sequence[torch.Generator], sketch: Tensor | None = None,
               parts: Tensor | None = None,
               least: float = 0.0) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Draw tiles by a Denoiser among neighbours, as sample() yields; least: what the strength is at
    least."""
    estimate, bounds = denoiser.among(rings, present)
    how, shape = denoiser.sampling, (bounds[0].shape[-3], denoiser.tile, denoiser.tile)
    return sample(estimate, shape, generators, denoiser.alphas_cumprod, bounds, how.sampler,
                  how.steps, sketch, max(how.strength, least), parts)


# =============================================================================================
# 5. Training
# =============================================================================================
# Loss: squared error of x0, weighted by 1 / max(1 - alpha_bar_t, floor), between the plain x0 loss
# and the plain eps loss: small noise levels, where the finest detail is learned, count more. The
# pixels along a tile's border are few, yet every seam lies there: they count more, too.

LOSS_FLOOR = 0.02
BORDER_WEIGHT = 6  # of the outermost pixels; what exceeds 1 falls to a third every 2 pixels inwards
EMA_DECAY = 0.999
GRADIENT_CLIP = 1.0
WEIGHT_DECAY = 0.01
MOST_SKIPPED = 10  # steps in a row whose loss is not finite
VALIDATION_LEVELS = 8  # noise levels at which each held-out tile is judged


def loss_weight(t: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Weight of the x0 error at t [B] int64, [B, 1, 1, 1]."""
    return 1 / (1 - per_sample(alphas_cumprod, t)).clamp(min=LOSS_FLOOR)


def border_weights(tile: int) -> Tensor:
    """Weights of the pixels of a tile, [T, T] with mean 1: more along the border, where seams are
    made."""
    line = torch.arange(tile)
    line = torch.minimum(line, tile - 1 - line)
    weights = 1 + (BORDER_WEIGHT - 1) * torch.exp(-torch.minimum(line[:, None], line) / 2)
    return weights / weights.mean()


def learning_rate_at(step: int, start: int, end: int, peak: float) -> float:
    """Linear warm-up over a twentieth of the steps from start to end, then half a cosine down to
    zero."""
    warm = max(1, min(100, (end - start) // 20))
    done = (step - start - warm) / max(1, end - start - warm)
    rise = min(1, (step - start + 1) / warm)
    return peak * rise * 0.5 * (1 + math.cos(math.pi * min(1, max(0, done))))


def build_net(photos: Sequence[Photo], tile: int, widths: Sequence[int], seed: int,
              device: torch.device | str, channels: int | None = None, **options: Any) -> UNet:
    """A UNet that knows one Photo or more, with reproducible initial weights, on the device and as
    it likes them laid out. channels: of the network, the photos' or more; options: of UNet."""
    channels = channels or len(photos[0].x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.seed_sequence(seed, seeds.INITIAL).generate_state(1)[0]))
        net = UNet(channels, tile, widths, **options)
    net.know(facts_of(photos, channels))
    return net.to(device, memory_format=devices.layout_on(torch.device(device)))


def facts_of(photos: Sequence[Photo], channels: int) -> photo_facts.PhotoFacts:
    """The photo_facts.PhotoFacts of one Photo for a network of so many channels; of more, stacked.
    """
    facts = [photo_facts.facts_of(photo.x.cpu(), channels, photo.channels.colours())
             for photo in photos]
    return facts[0] if len(facts) == 1 else photo_facts.PhotoFacts(*map(torch.stack, zip(*facts)))


def channels_of(weights: dict[str, Tensor], photo: Photo) -> int:
    """How many channels a network with such weights {name: tensor} sees; ValueError if it cannot
    see the photo's."""
    channels = channels_seen(weights, UNSHUFFLE)
    if channels not in (len(photo.x), COLOURS):
        raise ValueError(f"its network sees {channels} channels, and the photo has {len(photo.x)}")
    return channels


class Objective(nn.Module):
    """The loss of a batch as a module, since this is what a group of processes wraps."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.net, self.loss = trainer.net, trainer.loss

    def forward(self, generator: torch.Generator) -> Tensor:
        return self.loss(self.net, generator)


class Trainer:
    """Network, EMA and optimizers with all that has to be kept to go on from any step."""

    def __init__(self, net: Any, dataset: Any, alphas_cumprod: Tensor, batch_size: int,
                 learning_rate: float, dropout: float, seed: int,
                 group: processes.ProcessGroup = processes.ALONE) -> None:
        self.net, self.dataset, self.group = net, dataset, group
        self.alphas_cumprod, self.batch_size = alphas_cumprod, batch_size
        self.learning_rate, self.dropout, self.seed = learning_rate, dropout, seed
        weights = border_weights(dataset.tile if net.halo else 1)
        self.border_weights = weights.to(alphas_cumprod.device)
        self.ema = copy.deepcopy(net).eval().requires_grad_(False)
        self.objective = group.wrap(Objective(self))

        # steps done so far; first and last step of the current schedule
        self.step = self.start = self.end = 0
        self.curve = []  # [step, mean training loss, validation loss or None], one entry an epoch
        self.losses = []  # of the steps since the last entry
        self.skipped = self.in_a_row = 0  # steps whose loss was not finite: all, and those just now
        self.reported = 0  # the last step after which report() was called
        self.prior = ""  # SHA-256 of the file of weights that the training began from

    @functools.cached_property
    def opts(self) -> list[Any]:
        """Muon for the kernels, AdamW for the rest; made when they are used first: that takes torch
        three seconds."""
        kernels = [weight for weight in self.net.parameters() if weight.ndim == 4]
        others = [weight for weight in self.net.parameters() if weight.ndim != 4]
        return [Muon(kernels, self.learning_rate, WEIGHT_DECAY, self.net.precision),
                torch.optim.AdamW(others, lr=self.learning_rate, weight_decay=WEIGHT_DECAY)]

    def loss(self, net: Any, generator: torch.Generator) -> Tensor:
        """The weighted x0 loss of one random batch, a scalar tensor; each process takes its share
        of the batch."""
        batch = self.dataset.batch(self.batch_size, self.dropout, generator)
        x0 = self.dataset.tiles_of(batch.windows)
        device, steps = x0.device, len(self.alphas_cumprod)

        # Stratified timesteps: one from each of B equal parts of the chain, for a calmer gradient.
        chance = torch.rand(len(x0), generator=generator, device=device)
        spread = torch.arange(len(x0), device=device) + chance
        t = (spread / len(x0) * steps).long().clamp(max=steps - 1)
        eps = torch.randn(x0.shape, generator=generator, device=device)

        share = slice(self.group.rank, None, self.group.world_size)
        own = (x if x is None else x[share] for x in (x0, t, eps, *batch))
        return self.weighted_error(net, *own)

    def weighted_error(self, net: Any, x0: Tensor, t: Tensor, eps: Tensor,
                       ring: Tensor, present: Tensor, context: Tensor | None = None) -> Tensor:
        """Mean of the weighted squared error of the estimate of x0, a scalar tensor."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        estimate = predict_x0(net, x_t, t, ring, present, self.alphas_cumprod, context=context)
        weight = loss_weight(t, self.alphas_cumprod) * self.border_weights
        return (weight * (estimate - x0)**2).mean()

    @torch.inference_mode()
    def noised(self, x0: Tensor, t: Tensor, eps: Tensor, ring: Tensor,
               present: Tensor) -> tuple[Tensor, Tensor]:
        """x0 noised to t, x_t, and the EMA's estimate of x0 from it, both [B, C, T, T]."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        return x_t, predict_x0(self.ema, x_t, t, ring, present, self.alphas_cumprod)

    def of(self, label: int) -> Trainer:
        """The trainer as one of the photos sees it, to draw and to show that: of several a view,
        whose averaged network is a copy."""
        if not isinstance(self.dataset, SeveralDatasets):
            return self
        view = copy.copy(self)
        view.ema, view.dataset = self.ema.of(label), self.dataset.parts[label]
        return view

    def train_step(self) -> float:
        """One step of all weights; returns the loss. Where it is not finite, the weights stay as
        they are."""
        rate = learning_rate_at(self.step, self.start, self.end, self.learning_rate)
        for opt in self.opts:
            opt.param_groups[0]["lr"] = rate

        generator = seeds.torch_generator(self.seed, seeds.TRAINING, self.step,
                                          device=self.alphas_cumprod.device)
        self.net.zero_grad()
        loss = self.objective(generator)
        loss.backward()
        loss = self.group.mean(loss.item())  # waits for the GPU, once a step
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), GRADIENT_CLIP)
        if not math.isfinite(loss + norm.item()):
            return self.skip(loss)

        for opt in self.opts:
            opt.step()
        self.step += 1
        self.in_a_row = 0

        # the EMA follows
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()),
                                 1 - decay)
        self.losses.append(loss)
        return loss

    def skip(self, loss: float) -> float:
        """Count a step whose loss or gradient is not finite; RunError after MOST_SKIPPED in a row.
        """
        self.skipped += 1
        self.in_a_row += 1
        self.step += 1
        if self.in_a_row == MOST_SKIPPED:
            raise RunError(f"the loss ({loss:g}) or its gradient was not finite in {MOST_SKIPPED} "
                           f"steps in a row, up to step {self.step}: {self.advice()}")
        return loss

    def advice(self) -> str:
        """What to do when the numbers have run away."""
        return ("the last checkpoint is kept as it was; "
                f"try a LEARNING_RATE below {self.learning_rate:g} with FRESH=True")

    def end_epoch(self) -> None:
        """Add an entry to the curve; RunError if the EMA is not finite."""
        if not checkpoints.finite(self.ema.state_dict()):
            raise RunError(f"the weights are not finite at step {self.step}: {self.advice()}")
        if self.losses:
            self.curve.append([self.step, sum(self.losses) / len(self.losses), self.validate()])
        self.losses = []

    def plan(self, end: int) -> None:
        """Train up to step `end`; a schedule that had run out starts again with a warm-up."""
        if self.step == self.end < end:
            self.start = self.step
        self.end = max(end, self.step)

    def steps(self) -> Iterator[float]:
        """Train to the planned end; yields the loss after each step."""
        while self.step < self.end:
            yield self.train_step()

    @torch.inference_mode()
    def validate(self) -> float | None:
        """Loss of the EMA on the held-out tiles with fixed noise and noise levels, of several
        textures the mean; None if none are held out."""
        if isinstance(self.dataset, SeveralDatasets):
            losses = [self.of(label).validate() for label in range(len(self.dataset.parts))]
            return None if None in losses else sum(losses) / len(losses)

        dataset, steps = self.dataset, len(self.alphas_cumprod)
        offsets = dataset.validation_offsets()
        if not len(offsets):
            return None

        # each tile at each level
        offsets = offsets.repeat_interleave(VALIDATION_LEVELS, 0)
        t = torch.arange(len(offsets), device=offsets.device) % VALIDATION_LEVELS
        t = ((t + 0.5) * steps / VALIDATION_LEVELS).long()
        windows = dataset.windows(offsets)
        x0 = dataset.tiles_of(windows)
        generator = seeds.torch_generator(self.seed, seeds.VALIDATING)
        eps = torch.randn(x0.shape, generator=generator).to(windows.device)

        values = x0, t, eps, windows, dataset.checkerboard(offsets)
        parts = zip(*(x.split(self.batch_size) for x in values))
        losses = [self.weighted_error(self.ema, *part).item() * len(part[0]) for part in parts]
        return sum(losses) / len(offsets)

    def state(self) -> dict[str, Any]:
        """What has to be kept, as plain values."""
        return {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "step": self.step,
            "start": self.start,
            "opts": [opt.state_dict()["state"] for opt in self.opts],
            "end": self.end,
            "seed": self.seed,
            "curve": self.curve,
            "losses": self.losses,
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
            "reported": self.reported,
            "precision": str(self.net.precision).removeprefix("torch."),
            "prior": self.prior,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state; one with EMA weights only (a shipped model) can draw but not go on
        training. ValueError if it does not fit the network."""
        try:
            self.ema.load_state_dict(with_facts(state["ema"], self.ema))
            if "net" in state:
                self.net.load_state_dict(with_facts(state["net"], self.net))
                for opt, kept in zip(self.opts, state["opts"], strict=True):
                    checkpoints.load_optimizer(opt, kept)
        except Exception as error:  # load_state_dict raises almost anything on what is none
            raise ValueError(f"its weights do not fit the network ({first_line(error)})") from error

        self.step, self.start, self.end = state["step"], state["start"], state["end"]
        self.seed, self.curve = state["seed"], list(state["curve"])
        self.losses = list(state["losses"])
        self.skipped, self.in_a_row = state.get("skipped", 0), state.get("in_a_row", 0)
        self.reported, self.prior = state.get("reported", self.step), state.get("prior", "")

    def begin_from(self, weights: dict[str, Tensor], digest: str) -> None:
        """Take over a prior's weights {name: tensor} before the first step; what the network knows
        of the photo stays. ValueError if they do not fit."""
        weights = as_beginning(weights, self.net)
        for net in (self.net, self.ema):
            net.load_state_dict(weights)
        self.prior = digest


def train(trainer: Trainer, epochs: int, epoch_steps: int, stop: Any, save: Callable[[], object],
          report: Callable[[int], object]) -> None:
    """Train with a progress bar to the given epoch.

    stop: StopSignals; save() keeps the trainer's state; report(epoch) shows how it stands, after
    each epoch.
    """
    trainer.plan(epochs * epoch_steps)
    tiles = trainer.batch_size
    try:
        with trainer.group.bar(total=trainer.end * tiles, initial=trainer.step * tiles, unit="tile",
                               desc="training") as bar:
            report_epoch(trainer, epoch_steps, report)  # of which the last run was stopped
            for loss in trainer.steps():
                bar.update(tiles)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if trainer.step % epoch_steps == 0:
                    trainer.end_epoch()
                    report_epoch(trainer, epoch_steps, report)
                if trainer.group.any(stop.received):
                    raise Stopped("", stop.received)
    except Stopped as stopped:
        stop.restore()
        save()
        raise Stopped(f"stopped after {trainer.step} of {trainer.end} steps and saved; "
                      "the same command (without FRESH) goes on from there",
                      stopped.args[1]) from None
    save()


def report_epoch(trainer: Trainer, epoch_steps: int, report: Callable[[int], object]) -> None:
    """Call report(epoch) if an epoch has ended that it was not called for; a disk that is full does
    not end the training. A signal does, and the report is made when it goes on."""
    epoch, part = divmod(trainer.step, epoch_steps)
    if part or trainer.reported == trainer.step:
        return
    try:
        with trainer.group.stop_at_once():
            report(epoch)
    except DiskError as error:
        trainer.group.warn(f"{error}; training goes on")
    trainer.reported = trainer.step


# =============================================================================================
# 6. Layout
# =============================================================================================
# The output is a grid of tiles. Real ones (#) are cut from the photo and laid out; the gaps (.)
# are drawn by the network, pass after pass; the tiles of one pass do not touch each other.
#
#     # . # . #      matched, ordered, random: one pass draws all gaps,
#     . # . # .      each between real tiles in N, W, E and S
#     # . # . #
#
#     # # 1 2 3      rows: the photo, then everything else in reading order; tiles of the same
#     # # 3 4 5      number are one pass. Each tile rests on earlier ones: the error accumulates.
#     2 3 4 5 6      (Rejected; kept for comparison.)

LAYOUTS = ("matched", "ordered", "random", "rows")
TILEABLE = ("none", "x", "y", "xy")


def lay_out(photo: Photo, kind: str, grid: Grid, seed: int, augment: str = "none",
            redraw: bool = False, wanted: set[Pair] | None = None, guide: Any = None) -> Layout:
    """The Layout of a kind in LAYOUTS, or of Wang tiles, "wang", on a grid; augment: in AUGMENTS;
    redraw: real tiles are drawn anew at the end; wanted: cells without which others get no real
    tile, None: all; guide: a guides.Guide, which matched tiles and all sketches follow."""
    if kind == "rows":
        return layouts.rows_layout(photo, grid)

    # which cells are real, and which are drawn when
    black, white = ([cell for cell in grid.cells() if sum(cell) % 2 == colour] for colour in (0, 1))
    black = [cell for cell in black if wanted is None or cell in wanted]
    passes = [part for cells in ([white, black] if redraw else [white])
              for part in grid.passes(cells)]
    if kind == "wang":
        black, passes = wang.real_cells(grid), wang.passes_of(grid)

    # which place of the photo each real tile shows
    turned = real_tiles.turned(photo, grid.tile, augment)
    source, orientation = np.full((*grid.shape(), 2), -1), np.zeros(grid.shape(), int)
    places = real_tiles.choose_places(kind, turned, grid, black, seed, guide)
    for cell, (number, *offset) in zip(black, places):
        source[cell], orientation[cell] = offset, number

    return Layout(
        grid, source, passes, turned.extended, orientation, spots=turned.spots, calm=turned.calm,
        origins=turned.origins, calm_origins=turned.calm_origins, weights=turned.weights,
        guide=guide)


class Canvas:
    """The growing output: the real tiles of a layout, and above them those that were drawn, last
    ones on top.

    begin(cell): the sketch that a tile begins with, [C, T, T], and which parts of it are drawn,
    [1, T, T] or None for all; or None: all tiles begin with pure noise.
    """

    def __init__(self, layout: Layout, channels: int, device: torch.device | str,
                 begin: Callable[[Pair], tuple] | None = None) -> None:
        self.layout, self.grid, self.channels, self.device = layout, layout.grid, channels, device
        self.passes, self.real, self.order = layout.passes, layout.real(), layout.order()
        self.sketch = begin or (lambda cell: (None, None))
        self.drawn = {}  # cell -> normalised tile [C, T, T] on the CPU
        self.parts = {}  # cell -> its pixels that the network drew, drawings.packed(), or all

    @property
    def under(self) -> Canvas:
        """The Canvas that a picture is cut from: others lie on one."""
        return self

    def noise_key(self, cell: Pair) -> Pair:
        """What the random numbers of a cell are keyed by."""
        return self.grid.numbers(cell)

    def strength(self, cell: Pair) -> float:
        """How noisy its sketch is made at least, 0 to 1."""
        return 0.0

    def place(self, cells: Sequence[Pair], tiles: Tensor,
              parts: Tensor | None = None) -> None:
        """Put drawn tiles [B, C, T, T] at cells; parts [B, 1, T, T]: above 0 where the network drew
        them, None: all."""
        self.drawn.update((cell, tile.clone()) for cell, tile in zip(cells, tiles.cpu()))
        if parts is not None:
            self.parts.update((cell, drawings.packed(part[0].numpy() > 0))
                              for cell, part in zip(cells, parts))

    def made(self, corner: Sequence[int], size: Sequence[int]) -> np.ndarray:
        """Which pixels of a window of a size (h, w) at a corner (y, x) are drawn, bool [h, w]; all
        others are the photo's."""
        seen, drawn = self.layout.seen_at(corner, size)
        for cell, (y, x) in self.grid.touching(corner, size):
            if cell in self.parts:
                here = np.s_[max(0, y):y + self.grid.tile, max(0, x):x + self.grid.tile]
                part = drawings.unpacked(self.parts[cell], self.grid.tile)[max(0, -y):, max(0, -x):]
                part = part[:drawn[here].shape[0], :drawn[here].shape[1]]
                own = seen[here] == np.ravel_multi_index(cell, self.grid.shape())
                drawn[here] &= part | ~own
        return drawn

    def drawn_before(self, cell: Pair, number: float) -> bool:
        """Whether a cell was drawn in a pass before the one of a number."""
        return cell in self.drawn and self.order[cell] < number

    def cut(self, corner: Sequence[int], size: Sequence[int],
            before: float = math.inf) -> Tensor:
        """A window of a size (h, w) at a corner (y, x) before a pass begins, normalised [C, h, w];
        zero where there is nothing."""
        x, tile = torch.zeros(self.channels, *size), self.grid.tile

        # what lies there, from the bottom to the top
        pieces = []
        for cell, begin in self.grid.touching(corner, size):
            if self.drawn_before(cell, before):
                pieces.append((self.order[cell], cell, begin, self.drawn[cell]))
            elif self.real[cell]:
                pieces.append((-1, cell, begin, self.layout.cut(cell)))

        for _, _, (down, right), piece in sorted(pieces, key=lambda piece: piece[:3]):
            here = x[:, max(0, down):down + tile, max(0, right):right + tile]
            piece = piece[:, max(0, -down):, max(0, -right):]
            here[:] = piece[:, :here.shape[1], :here.shape[2]]
        return x

    def neighbours(self, cells: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """Canvases [B, C, S, S] around cells and which neighbours exist, bool [B, 8]: those that
        another pass drew before, and real tiles, unless they are waiting to be drawn anew as the
        cell itself is."""
        rings = [self.cut(*self.grid.window(cell), self.order[cell]) for cell in cells]
        present = torch.zeros(len(cells), 8, dtype=torch.bool)
        for row, cell in zip(present, cells):
            for name, (there, _) in self.grid.around(cell).items():
                drawn = self.drawn_before(there, self.order[cell])
                real = self.real[there] and not self.real[cell]
                row[NEIGHBOURS.index(name)] = bool(drawn or real)
        return torch.stack(rings).to(self.device), present.to(self.device)


# =============================================================================================
# 7. Outpainting
# =============================================================================================
# The gaps are not drawn from nothing. Each real tile beside a gap claims what lies beside it in the
# photo (see matching.py in texture_diffusion_tools/). These claims, joined where they agree (see
# sketches.py), are a sketch of the gap; noise up to STRENGTH of the chain leaves only its large
# structure, and the network draws the rest anew (SDEdit, arXiv 2108.01073).
#
# Tiles are drawn on a canvas: the Canvas above, or one of repair.py, wang.py and blends.py. It says
#
#     passes                      which cells are drawn, in lists, one list after another
#     noise_key(cell)             by which numbers a cell's noise is keyed
#     sketch(cell)                what it begins with, [C, T, T] or None, and which parts are
#                                 drawn, [1, T, T] or None
#     strength(cell)              how noisy that is made at least, 0 to 1, alike in all of a list
#     neighbours(cells)           what is seen around them: rings [B, C, S, S], and which of the 8
#                                 exist, bool [B, 8]
#     place(cells, tiles, parts)  and takes the tiles that were drawn, [B, C, T, T]


def outpaint(canvas: Any, passes: Iterable[Sequence[Pair]], draw: Callable[..., Any],
             batch_size: int, seed: int,
             group: processes.ProcessGroup = processes.ALONE) -> Iterator[int]:
    """Draw the cells of passes on a canvas, in place; a generator that yields the number of tiles
    after each step.

    draw(rings, present, generators, sketch, parts, least) is draw_tiles() of a Denoiser. A
    tile's noise depends on (seed, row, column) alone; batches are filled up with copies, so that no
    tile depends on how many are drawn. Each process of a group draws a batch at a time.
    """
    for cells in passes:
        found = {}
        for cell in cells:
            found[cell] = canvas.sketch(cell)
            yield 0  # a stop need not wait for all sketches

        # where nothing is to be drawn the sketch is the tile
        ready = [cell for cell, (_, parts) in found.items()
                 if parts is not None and not parts.any()]
        if ready:
            canvas.place(ready, *stacked(found, ready))

        rest = [cell for cell in cells if cell not in ready]
        batches = [rest[first:first + batch_size] for first in range(0, len(rest), batch_size)]
        for first in range(0, len(batches), group.world_size):
            together = batches[first:first + group.world_size]
            # a process for which none is left draws a copy
            own = together[group.rank % len(together)]
            full = (own * batch_size)[:batch_size]
            rings, present = canvas.neighbours(full)
            generators = [seeds.torch_generator(seed, seeds.DRAWING, *canvas.noise_key(cell))
                          for cell in full]

            drawing = draw(rings, present, generators, *stacked(found, full, rings.device),
                           canvas.strength(cells[0]))
            for _, x_t, _ in drawing:
                tiles = x_t
                yield sum(map(len, together))

            for batch, drawn in zip(together, group.all_gather(tiles)):
                canvas.place(batch, drawn[:len(batch)], stacked(found, batch)[1])


def stacked(found: Mapping[Pair, tuple], cells: Sequence[Pair],
            device: torch.device | str = "cpu") -> list[Tensor | None]:
    """The sketches and parts of cells, of all {cell: (sketch, parts)}: [B, C, T, T] and
    [B, 1, T, T], or None for either."""
    pairs = zip(*(found[cell] for cell in cells))
    return [None if x[0] is None else torch.stack(x).to(device) for x in pairs]


# A work is a canvas and what becomes of it: a texture of textures.py, a photo repaired, Wang tiles.
# It says
#
#     canvas, doing           what is drawn on, and a word for it
#     begin()                 how many tiles there are to draw, and the numbers of its bands
#     passes(number)          what of the canvas' passes a band needs that is not drawn yet
#     shown()                 is entered while it is drawn, and may show how far it is
#     batch_size(most, cells) how many tiles are drawn in one step
#     write(number)           takes a band that is drawn
#     stop(number)            keeps what can be kept, and says what becomes of the rest
#     finish(seconds, trained)  writes what belongs to it, and returns the run's figures


def draw(work: Any, denoiser: Any, batch_size: int, seed: int,
         group: processes.ProcessGroup = processes.ALONE) -> float:
    """Draw a work, with a progress bar; Stopped if a signal came. Returns the seconds that it took.
    """
    start, steps = time.perf_counter(), denoiser.sampling.steps
    tiles, bands = work.begin()

    sample_tiles = functools.partial(draw_tiles, denoiser)
    bar = group.bar(total=steps * tiles, unit="step", desc=work.doing)
    with work.shown(), group.stop_signals() as stop, bar:
        for number in bands:
            passes = work.passes(number)
            end = bar.n + steps * sum(map(len, passes))
            size = work.batch_size(batch_size, passes)
            for count in outpaint(work.canvas, passes, sample_tiles, size, seed, group):
                bar.update(count)
                if group.any(stop.received):
                    raise Stopped(work.stop(number), stop.received)
            bar.update(max(0, end - bar.n))  # tiles of which nothing had to be drawn
            work.write(number)
    return time.perf_counter() - start


# =============================================================================================
# 8. main
# =============================================================================================

NETWORK_CONSTANTS = ("TILE_SIZE", "WIDTHS", "TIMESTEPS")  # a model cannot even draw with others
TRAINING_CONSTANTS = ("EPOCH_TILES", "BATCH_SIZE", "LEARNING_RATE", "NEIGHBOUR_DROPOUT",
                      "VALIDATION", "AUGMENT")
ALPHAS = ("draw", "fill")
REDRAWS = ("seams", "gaps", "all")
CHOICES = {"ALPHA": ALPHAS, "REDRAW": REDRAWS, "SAMPLER": SAMPLERS, "LAYOUT": LAYOUTS,
           "TILEABLE": TILEABLE, "AUGMENT": tuple(AUGMENTS), "DEVICE": devices.CHOICES}


def main(argv: Sequence[str] | None = None,
         use: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Train on one photo and draw a texture; argv: overrides such as EPOCHS=0 (default: the command
    line's). use: is given the constants as they stand here, {name: value}, instead."""
    # fmt: off
    # the photo
    IMAGE             = "samples/stones.png"    # the photo, a folder of maps, or several textures: a list or folder
    EACH              = False                   # True: every photo of a folder or list is a texture with its own model
    CROP              = None                    # part of the photo to use: (x, y, width, height), pixels; None: all
    MAX_SIDE          = 1024                    # a larger photo is shrunk to this longer side, pixels
    CORNERS           = None                    # of a rectangle seen at an angle: 4 x (x, y), pixels, or "auto": found
    ASPECT            = None                    # that rectangle's width over its height; None: worked out from CORNERS
    EVEN_LIGHT        = False                   # True: brightness and colour that drift across the photo are levelled
    DEPTH             = None                    # bits a channel of the texture, 8 or 16; None: as many as the photo has
    ALPHA             = "draw"                  # "draw" | "fill": transparency is drawn, or filled with the mean colour
    PIXELS            = None                    # pixel art: drawn 2, 4, 8 or 16 times as large, and reduced again
    COMPLETE          = False                   # True, or pixels of relief: normal, height, occlusion are computed
    MAPS              = False                   # True, or names: a photo becomes a material, its maps are estimated
    LIGHT             = None                    # the side of its light: degrees, 90: above; "even"; None: estimated
    DELIGHT           = 0.0                     # 0 to 1: how much of the shading its colour loses, 1: half of it

    # what is made of it
    SCALE             = 3                       # the texture is so many times as wide and high as the photo
    OUTPUT_SIZE       = None                    # (width, height) of the texture in pixels, or "endless"; None: by SCALE
    TILEABLE          = "none"                  # "none" | "x" | "y" | "xy": where it continues at its other end
    REGION            = None                    # draw only this part of it: (x, y, width, height), pixels; None: all
    WANG              = None                    # 2: not one texture, but 16 tiles with edges of 2 colours that fit
    MASK              = None                    # what to repair: a picture, white there; its colour; or "alpha"
    GUIDE             = None                    # a picture whose coarse brightness and colour the texture follows
    GUIDE_STRENGTH    = 0.5                     # how closely, 0 to 1
    TEXTURE           = None                    # of several textures the one to be drawn, by name; None: each
    BLEND             = None                    # picture whose greys or colours say which texture is where
    SAMPLES           = 1                       # textures to draw, with SEED, SEED + 1, ...
    SEED              = 0                       # another seed, another texture (and, if it is trained, another model)

    # how it is laid out
    LAYOUT            = "matched"               # "matched" | "ordered" | "random" | "rows": where real tiles go
    REDRAW            = "seams"                 # "seams" | "gaps" | "all": where pieces meet, gaps, real tiles, too
    AUGMENT           = "none"                  # "none" | "flip_x" | "flips" | "rotations": how the photo may be turned
    TILE_SIZE         = 128                     # side of a tile, pixels, a multiple of 32; 3 x 3 or more fit the photo

    # what is learned
    PRIOR             = "checkpoints/prior.pt"  # weights to begin from, of python -m prior; None: from nothing
    EPOCHS            = None                    # training length, 0: only draw; None: 1, or 5 if tiles are drawn whole
    EPOCH_TILES       = 176                     # tiles seen in one epoch
    BATCH_SIZE        = 8                       # tiles in one step of training or of drawing
    LEARNING_RATE     = 2e-3                    # peak, after the warm-up
    NEIGHBOUR_DROPOUT = 0.4                     # share of training tiles that see other neighbours than N W E S, 0 to 1
    VALIDATION        = None                    # tiles held out of training; None: 1 if the photo holds 16, else 0
    WIDTHS            = (64, 128, 256)          # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS         = 1000                    # length of the diffusion chain

    # how it is drawn
    SAMPLER           = "mixed"                 # "ddim" | "ddpm" | "mixed": ddpm for structure, then ddim for detail
    SAMPLE_STEPS      = None                    # network evaluations a tile; None: 8, or 30 if tiles are drawn whole
    STRENGTH          = None                    # how noisy sketches are made, 1: pure noise; None: 0.75, or 0.65 whole

    # the run and its files
    PRESET            = None                    # constants for a purpose, by its name: --help lists them at its end
    CONFIG            = None                    # a TOML file of constants; one beside each picture repeats its run
    DEVICE            = "auto"                  # "auto" | "cpu" | "cuda" | "mps" | "xpu": what computes, tried first
    FRESH             = False                   # True: put the photo's old checkpoint aside and start anew
    SAVE_EVERY        = 5                       # epochs between checkpoints
    PREVIEW_EVERY     = 10                      # epochs between previews
    CHECK             = None                    # a picture to be judged, without a model; nothing is learned or drawn
    JSON              = False                   # True: all figures as one JSON object, and nothing else, on stdout
    EXPORT            = ()                      # files for other programs: some of "glb", "mtlx", "tres", "usda", "pat"
    OUTPUT_DIR        = "samples"               # pictures go to a folder in here named after the photo
    CHECKPOINT_DIR    = "checkpoints"           # models go here
    # fmt: on
    given = {name: value for name, value in locals().items() if name.isupper()}
    if use is not None:
        return use(given)

    with processes.joined() as group:
        c = constants.settings(main, given, sys.argv[1:] if argv is None else argv)
        c = constants.check_rules(c, CHOICES, group.world_size)
        with events.as_json() if c.JSON else contextlib.nullcontext():
            if c.CHECK is not None:
                events.print_figures(checks.check(c.CHECK))
            elif c.EACH:
                each.work_through(c, HERE, functools.partial(learn_and_draw, group=group))
            else:
                learn_and_draw(c, group)


def learn_and_draw(c: SimpleNamespace, group: processes.ProcessGroup) -> list[Path]:
    """Learn what IMAGE names and draw all that the constants ask for; returns the paths of what was
    drawn."""
    with contextlib.ExitStack() as stack:
        paths = several.paths_of(c, HERE, stack)
        taken = several.described(c.IMAGE, paths)
        for sentence in taken:  # before anything can fail
            group.say(f"note: {sentence}")

        found = exemplars.read(paths, c, tile_multiple(c.WIDTHS))
        if estimates.alone(c):
            return estimates.write(found[0], c, group, taken)
        model = Model(found, c)
        folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, model.name)
        with files.claimed(folder, checkpoint, model, group) as results:
            model.trainer = prepare_trainer(model, checkpoint, group)
            forecasts.announce(model, taken, HERE)
            told = reports.Reports(model, results, checkpoint, tile_drawer)
            if group.rank == 0:
                told.show_prepared()
                estimates.save(found[0], results, c)
            trained = fit(model.trainer, model.c, told)
            if group.rank == 0 and model.blend is None:
                told.show_learned()
            for task in canvases(model):
                work = WORKS[task.kind](task, results, group)
                seconds = draw(work, task.denoiser, c.BATCH_SIZE, task.seed, group)
                if group.rank == 0:
                    events.print_figures(work.finish(seconds, trained))
    return results.drawn()


class Model:
    """Photos, and the network that draws them.

    found: exemplars; c: the constants, to which is added what follows from the photos; given: their
    values {name: value} as they were given, of a model that draws for a program; trainer: a Trainer
    of them.
    """

    def __init__(self, found: Sequence[exemplars.Exemplar], c: SimpleNamespace,
                 given: dict[str, Any] | None = None) -> None:
        self.photos, self.trainer, self.given = normalise_all(found), None, given
        self.name, self.digest = exemplars.name_of(found, c.IMAGE), exemplars.digest_of(found)
        self.notes, self.size = exemplars.notes_of(found), tuple(self.photos[0].x.shape[1:])
        self.use(c)

    def use(self, c: SimpleNamespace) -> None:
        """Go by other constants from now on."""
        self.c, self.blend = exemplars.settled(c, self.photos, tile_multiple(c.WIDTHS)), None
        if c.BLEND:
            path = files.find_file(c.BLEND, HERE)
            self.blend, size = blends.blend_of(self.photos, self.name, path, self.c, self.notes)
            self.c = constants.replaced(self.c, OUTPUT_SIZE=size)

    def views(self) -> Iterator[tuple[Photo, Trainer, SimpleNamespace]]:
        """(Photo, Trainer, constants) of each photo that is asked for."""
        for label, photo in enumerate(self.photos):
            if self.c.TEXTURE in (None, photo.name):
                single = len(self.photos) == 1
                c = self.c if single else constants.replaced(self.c, TEXTURE=photo.name)
                yield photo, self.trainer.of(label), c

    def made_of(self) -> dict[str, Any]:
        """What a checkpoint says that it was made of, plain values."""
        names = NETWORK_CONSTANTS + TRAINING_CONSTANTS
        return {"constants": {name: getattr(self.c, name) for name in names}, "digest": self.digest,
                "size": self.size}

    def draw(self, on_progress: door.OnProgress | None = None, **changes: Any) -> Any:
        """What main() draws with such constants, some of door.DRAWING, as an array [H, W, 3],
        [H, W, 4] or, of 16 bits and grey, [H, W]; a material's maps as {name: array}; several
        textures as {name: what is drawn of it}.

        MASK, GUIDE and BLEND may be arrays; a MASK repairs the photo. on_progress: as in learn().
        UserError if the constants do not go together, errors.Cancelled if it was stopped.
        """
        door.refuse_learning(changes)
        with door.opened(changes) as given:
            model = self.changed(given)
            # a texture rather than a repair, where both could be drawn
            tasks = {task.photo.name: task for task in canvases(model)}
            drawn = {name: door.picture_of(task, paint(task, on_progress))
                     for name, task in tasks.items()}
        return drawn if len(drawn) > 1 else next(iter(drawn.values()))

    def changed(self, given: dict[str, Any]) -> Model:
        """The model with changed constants {name: value}, for one drawing."""
        model = copy.copy(self)
        c = SimpleNamespace(**constants.changed(self.given, {"SAMPLES": 1, **given}))
        several.check_drawing(c, [photo.name for photo in self.photos])
        if (mask := given.get("MASK")) is not None:
            share = masks.as_share(masks.from_file(mask, self.size[::-1], self.name, []))
            exemplar, (y, x) = exemplars.masked(self.photos[0].exemplar, share, self.c.TILE_SIZE)
            photo = self.photos[0]
            model.photos = (photo._replace(exemplar=exemplar, x=photo.x[:, y, x]),)
            c.SCALE = given.get("SCALE", 1)
        model.use(constants.check_rules(c, CHOICES))
        return model

    def save(self, path: str | Path) -> None:
        """Write the model to a file, with its photos, for load(); DiskError if the disk refuses."""
        found = [exemplars.state_of(photo.exemplar) for photo in self.photos]
        state = {**self.made_of(), **self.trainer.state(), "settings": self.given,
                 "exemplars": found}
        checkpoints.save(Path(path), state)


def learn(source: Any, on_progress: door.OnProgress | None = None, **changes: Any) -> Model:
    """A Model of what main() learns of a source with such constants, for programs: it draws, and is
    saved; nothing is printed, and no file written.

    source: a path, pixels [H, W], [H, W, 3] or [H, W, 4] of uint8 or uint16, a material's maps as
    {name: pixels}, or a list of textures. on_progress(fraction, stage), 0 to 1 of "training" and of
    "drawing", stops it by returning False. UserError with a sentence if something is wrong with
    what was given, errors.Cancelled if it was stopped.
    """
    group = door.Listener(on_progress)
    with contextlib.ExitStack() as stack:
        changes = stack.enter_context(door.opened({"IMAGE": source, **changes}))
        given = constants.changed(main(use=dict), changes)
        c = constants.check_rules(SimpleNamespace(**given), CHOICES)
        found = exemplars.read(several.paths_of(c, HERE, stack), c, tile_multiple(c.WIDTHS))

        model = Model(found, c, given)
        model.trainer = prepare_trainer(model, None, group)
        train(model.trainer, c.EPOCHS, c.EPOCH_TILES // c.BATCH_SIZE, group, lambda: None,
              lambda epoch: None)
    return model


def load(path: str | Path, **changes: Any) -> Model:
    """The Model that Model.save() wrote to a path, with such constants, DEVICE and others;
    UserError if it is none."""
    state = checkpoints.load(files.there(Path(path)))
    if "exemplars" not in state:
        raise UserError(f"{printable(path)} was saved by a run, which knows its photo by itself; "
                        "load() reads what save() of a model wrote: learn(photo) makes one")
    given = constants.changed({**main(use=dict), **state["settings"]}, changes)
    c = constants.check_rules(SimpleNamespace(**given), CHOICES)

    model = Model(tuple(map(exemplars.from_state, state["exemplars"])), c, given)
    model.trainer = prepare_trainer(model, None, door.Listener(), state)
    return model


def prepare_trainer(model: Model, checkpoint: Path | None,
                    group: processes.ProcessGroup = processes.ALONE,
                    state: dict[str, Any] | None = None) -> Trainer:
    """A Trainer of a Model that is new, begins from the prior, or is as the checkpoint left it;
    checkpoint: its path, or None: there is none, but for a state that was read."""
    photos, c = model.photos, model.c
    torch.set_float32_matmul_precision("high")
    device = group.pick_device(c.DEVICE)
    parts = [NeighbourDataset(photo, c.TILE_SIZE, c.VALIDATION, device, c.AUGMENT)
             for photo in photos]

    # what there is to begin with
    state, prior, digest = state or {}, {}, ""
    if checkpoint is not None:
        state = checkpoints.find_state(checkpoint, model, c, NETWORK_CONSTANTS, TRAINING_CONSTANTS,
                                       HERE, group)
    if not state and c.PRIOR is not None:
        prior, digest = checkpoints.load_prior(files.find_file(c.PRIOR, HERE), c.WIDTHS)

    try:
        net = fitting_net(photos, c, device, prior, state)
        net.precision = group.broadcast(devices.pick_precision(device, state.get("precision")))
        trainer = Trainer(net, parts[0] if len(parts) == 1 else SeveralDatasets(parts),
                          cosine_schedule(c.TIMESTEPS).to(device), c.BATCH_SIZE, c.LEARNING_RATE,
                          c.NEIGHBOUR_DROPOUT, c.SEED, group)
        if state:
            trainer.load(state)
        elif prior:
            trainer.begin_from(prior, digest)
    except ValueError as error:
        path = printable(c.PRIOR if prior else checkpoint)
        raise RunError(f"{path} cannot be used: {error}") from None
    return trainer


def fitting_net(photos: Sequence[Photo], c: SimpleNamespace, device: torch.device | str,
                prior: dict[str, Tensor], state: dict[str, Any]) -> UNet:
    """A UNet for Photos that a prior's weights {name: tensor}, or a checkpoint's state, fits into,
    if there is any; ValueError if none can."""
    weights, channels = prior or state.get("ema"), None
    if weights:
        channels = channels_of(weights, photos[0])
        channels = max(channels, len(photos[0].x)) if prior else channels
    return build_net(photos, c.TILE_SIZE, c.WIDTHS, c.SEED, device, channels,
                     context=len(photos) if len(photos) > 1 else 0)


def fit(trainer: Trainer, c: SimpleNamespace, told: reports.Reports) -> tuple[float, int]:
    """Train a Trainer as long as the constants say, if there is something left to do; told: a
    reports.Reports. Returns (seconds, tiles)."""
    group, start, first = trainer.group, time.perf_counter(), trainer.step
    epoch_steps = c.EPOCH_TILES // c.BATCH_SIZE
    reported = not c.EPOCHS or trainer.reported == trainer.step
    if trainer.step >= c.EPOCHS * epoch_steps and reported:
        group.say(f"the model has seen {trainer.step / epoch_steps:g} epochs: drawing only")
        return 0.0, 0

    pictures.new_figure(1, 1)  # matplotlib is found to be broken before the training, not during it
    with group.stop_signals() as stop:
        train(trainer, c.EPOCHS, epoch_steps, stop, told.save, told.report)
    for note in pictures.notes_of_curve(trainer, epoch_steps):
        group.say(f"note: {note}")
    return time.perf_counter() - start, (trainer.step - first) * c.BATCH_SIZE


def tile_drawer(photo: Photo, trainer: Trainer, c: SimpleNamespace) -> Callable[..., Any]:
    """draw_tiles() of a photo by a Trainer's averaged network."""
    return functools.partial(draw_tiles, denoiser_of(photo, trainer, c, c.REDRAW != "seams"))


def denoiser_of(photo: Photo, trainer: Trainer, c: SimpleNamespace, whole: bool) -> Denoiser:
    """The Denoiser of a photo by a Trainer's averaged network, which draws alone where pieces meet
    in a photo that it has learned; whole: whether it is to draw more than that."""
    return Denoiser(trainer.ema, photo, trainer.alphas_cumprod,
                    Sampling(c.SAMPLER, c.SAMPLE_STEPS, c.STRENGTH),
                    patched=whole or trainer.step == 0)


def paint(task: Task, on_progress: door.OnProgress | None = None) -> list[np.ndarray]:
    """Draw a works.Task in memory; the pixels of each file of it."""
    work = door.WORKS[task.kind](task)
    draw(work, task.denoiser, task.c.BATCH_SIZE, task.seed, door.Listener(on_progress))
    return work.pixels()


WORKS = {"texture": textures.TextureFiles, "repair": repair.RepairFiles, "wang": wang.WangFiles}


def canvases(model: Model) -> Iterator[Task]:
    """All that is to be drawn, one works.Task after another: this is the place that knows the
    features."""
    device, c = model.trainer.alphas_cumprod.device, model.c

    # a blend of all textures
    if model.blend is not None:
        each_one = [denoiser_of(photo, model.trainer.of(label), c, c.REDRAW != "seams")
                    for label, photo in enumerate(model.photos)]
        mixed = blends.BlendDenoiser(each_one)
        for seed in range(c.SEED, c.SEED + c.SAMPLES):
            canvas = blend_canvas(model.blend, c, seed, device)
            yield Task("texture", model.blend, canvas, mixed, model.trainer.ema, c, seed,
                       model.trainer.step, HERE)
        return

    # or of each texture what is repaired, and what is drawn
    for photo, trainer, c in model.views():
        mender = denoiser_of(photo, trainer, c, whole=True)
        denoiser = mender if c.WANG or c.REDRAW != "seams" else denoiser_of(photo, trainer, c, False)
        for seed in range(c.SEED, c.SEED + c.SAMPLES):
            if photo.mask is not None:
                hole = repair.Hole(photo, c.TILE_SIZE, device, c.STRENGTH < 1)
                yield Task("repair", photo, hole, mender, trainer.ema, c, seed, trainer.step,
                           HERE)
            if forecasts.wants_texture(photo, c):
                layout, begin = plan(photo, c, seed)
                canvas, kind = Canvas(layout, layout.channels(), device, begin), "texture"
                if c.WANG:
                    weights, sketched = photo.channels.weights(), c.STRENGTH < 1
                    canvas, kind = wang.Sheet(canvas, HALO, weights, seed, sketched), "wang"
                yield Task(kind, photo, canvas, denoiser, trainer.ema, c, seed, trainer.step, HERE)


def plan(photo: Photo, c: SimpleNamespace,
         seed: int) -> tuple[Layout, Callable[[Pair], tuple] | None]:
    """The Layout of the texture of a seed, and what its tiles begin with, sketch(cell), or None."""
    grid, guide = layouts.grid_of(photo, c), layouts.load_guide(photo, c, HERE)
    layout = lay_out(photo, "wang" if c.WANG else c.LAYOUT, grid, seed, c.AUGMENT,
                     c.REDRAW == "all", guide=guide)
    if c.STRENGTH == 1 or not layout.claims:
        return layout, None
    if c.REDRAW == "seams":
        return layout, functools.partial(layout.seamed, judge_of(photo, c.AUGMENT))
    return layout, lambda cell: (layout.sketch(cell), None)


def blend_canvas(blend: blends.Blend, c: SimpleNamespace, seed: int,
                 device: torch.device | str) -> blends.BlendCanvas:
    """The canvas of a Blend, on which all textures that are seen are laid out."""
    grid = layouts.grid_of(blend.photos[0], c)
    seen, parts = blends.seen_in(blend, grid), {}
    for label, photo in enumerate(blend.photos):
        wanted = blends.wanted(grid, seen, label)
        if wanted:
            layout = lay_out(photo, c.LAYOUT, grid, seed, c.AUGMENT, wanted=wanted)
            parts[label] = Canvas(layout, layout.channels(), "cpu")

    layout = blends.BlendLayout(blend, grid, seen, parts, c.AUGMENT, c.REDRAW == "all")
    return blends.BlendCanvas(Canvas(layout, layout.channels(), device), c.REDRAW, c.STRENGTH < 1)


def run() -> int:
    """The script as a program; returns the exit code."""
    return exit_codes.run(main)


if __name__ == "__main__":
    sys.exit(run())
