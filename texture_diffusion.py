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

All else is done in texture_diffusion_tools/, a room for each service; docs/MAP.md says which.

Shapes in comments: B batch, C channels (3, 1 for a grey photo, more for a material's maps or with
transparency), H W photo height and width, T tile side, S canvas side (tile and a halo on each side), all in pixels.
"""

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
import hashlib
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

try:
    from texture_diffusion_tools import exit_codes

    if RUN:
        exit_codes.foresee(__file__)  # --help, --version, mistyped words

    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    from texture_diffusion_tools import (
        blend_layouts,
        blending,
        checkpoints,
        checks,
        constants,
        devices,
        drawings,
        each,
        events,
        exports,
        files,
        growing,
        guides,
        holes,
        masks,
        matching,
        materials,
        measures,
        perspective,
        photo_facts,
        photos,
        pictures,
        pixel_art,
        png,
        processes,
        program,
        real_tiles,
        references,
        repair,
        seeds,
        several,
        shading,
        sketches,
        wang,
    )
    from texture_diffusion_tools.errors import DiskError, RunError, Stopped, UserError, first_line, printable
    from texture_diffusion_tools.grids import Grid, endless_grid, grid_offsets, make_grid
    from texture_diffusion_tools.layouts import Layout, judge_of
    from texture_diffusion_tools.muon import Muon
    from texture_diffusion_tools.orientations import AUGMENTS, oriented
    from texture_diffusion_tools.photo_facts import rotated, split_bands
    from texture_diffusion_tools.rings import (
        HALO,
        NEIGHBOURS,
        crop_middle,
        cut_windows,
        region_map,
        with_tile,
        without_tile,
    )
    from texture_diffusion_tools.signals import StopAtOnce, StopSignals
    from texture_diffusion_tools.weights import as_beginning, channels_seen, refers, with_facts
except (ImportError, OSError) as problem:  # OSError: a library of torch's
    if "texture_diffusion_tools" in (getattr(problem, "name", None) or ""):
        advice = "the folder texture_diffusion_tools, which belongs beside this script, is missing or not whole " \
                 f"({problem}): copy it from where the script came from, or download the whole repository"
    else:
        listed = Path(__file__).with_name("requirements.txt").exists()  # not where pip installed this
        advice = f"a package is missing or broken ({problem}): pip install " + \
                 ("-r requirements.txt" if listed else "torch torchvision numpy pillow matplotlib tqdm")
    if not RUN:
        raise ImportError(advice) from problem
    print(f"texture_diffusion: {advice}", file=sys.stderr)
    sys.exit(2)

HERE = program.home_of(__file__)


# =============================================================================================
# 1. Tiles
# =============================================================================================
# A photo becomes a float tensor with zero mean per channel and unit deviation over all: the
# network then sees every texture at the same contrast, and the mean that sampling starts from
# is the texture's own, so that colours cannot shift.

OUTLIERS = 1e-4  # share of the pixels that are darker, and that are brighter, than what is drawn


class Photo(NamedTuple):
    """A normalised photo, or a material's maps; x is [C, H, W] float32 with x * std + mean in [-1, 1]."""

    name: str  # file name without folder and suffix
    x: torch.Tensor  # [C, H, W], normalised
    mean: torch.Tensor  # [C, 1, 1], in [-1, 1]
    std: float | torch.Tensor  # one number for all colours, so that hues keep their proportions; [C, 1, 1] for maps
    digest: str  # SHA-256 of the pixels as used, hexadecimal
    notes: tuple  # sentences for the person: what was changed on the way in
    maps: materials.Maps | None = None  # what the channels are, if they are not the photo's colours alone
    depth: int = 8  # bits a channel of what is written
    mask: masks.Mask | None = None  # what is to be drawn anew; x is filled there from elsewhere
    art: pixel_art.Art | None = None  # how pixel art was enlarged, and is reduced again
    textures: tuple = ()  # the Photos of several textures that one network learns; all else is then the first one's

    def bounds(self):
        """The range of each channel without its OUTLIERS, two tensors [C, 1, 1]."""
        low, high = np.quantile(self.x.cpu().flatten(1).numpy(), (OUTLIERS, 1 - OUTLIERS), axis=1)
        return tuple(torch.from_numpy(bound).float().view(-1, 1, 1) for bound in (low, high))

    def values(self, x):
        """Normalised [..., C, H, W] to values in [-1, 1], on the CPU."""
        return x.detach().float().cpu() * self.std + self.mean

    def pixels(self, x):
        """What is seen of normalised [..., C, H, W], a material's colour or first map: uint8 [..., H, W, 3 or more],
        rounded to the nearest level."""
        x = self.values(x) if self.maps is None else self.maps.seen(self.values(x))
        x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        *batch, channels, height, width = x.shape
        colour = x.expand(*batch, max(3, channels), height, width)
        return colour.movedim(-3, -1).contiguous().numpy()

    def rendered(self, x):
        """The pixels of each file that is written of normalised x [C, H, W]: one, or a material's. uint8 or uint16
        [H, W, channels], or [H, W] of one."""
        found = [self.pixels(x) if self.depth == 8 else materials.to_pixels(self.values(x).numpy(), 16)] \
            if self.maps is None else self.maps.rendered(self.values(x).numpy())
        return found if self.art is None else [self.art.reduced(pixels) for pixels in found]

    def repaired(self, x):
        """The same of the photo itself with drawn x where its mask is white: a grey photo stays grey."""
        values = self.mask.blended(self.values(x)).numpy()
        return [materials.to_pixels(values, self.depth)] if self.maps is None else self.maps.rendered(values)

    def written_with(self, depth):
        """The same photo, to be written with 8 or 16 bits a channel."""
        return self._replace(depth=depth, maps=self.maps and self.maps.written_with(depth))

    def formats(self):
        """(channels, bits a channel, whether its values are colours in sRGB) of each file that is written."""
        if self.maps is not None:
            return [file.format() for file in self.maps.files]
        return [(3 if self.depth == 8 else len(self.x), self.depth, True)]

    def matching_weights(self):
        """How much each channel counts where places are matched, [C]; None: all alike."""
        return None if self.maps is None else torch.from_numpy(self.maps.weights())


def load_photo(path, crop=None, max_side=1024, even=False, corners=None, aspect=None, depth=8, alpha="fill",
               mask=None, tile=128, least=0, art=None, complete=False):
    """Read a picture file, or a folder of a material's maps, as a Photo, as photos.read_photo and
    materials.read_material do; UserError with a sentence for the person.

    depth: 8 or 16 bits a channel of what is written, None: as many as the file has; alpha: in ALPHAS; mask: as in
    masks.read_mask, or None: what it hides, and what holds no data, is filled with squares of half a tile's side, see
    holes.sources_of; least: pixels to which MAX_SIDE shrinks the shorter side at most;
    art: by what pixel art is enlarged, and the side that it needs at least, or None; complete: as in
    materials.read_material.
    """
    name, read_at = files.name_of(path), None if depth == 16 else depth  # a file of 8 bits is the same photo for all
    corners, found = corners_in(path, corners)
    hidden = None if mask is None else masks.read_mask(mask, path, found)
    blank = photos.without_data(path)
    if blank is not None:
        hidden = blank if hidden is None else np.maximum(hidden, blank)
    if os.path.isdir(path):
        values, maps, notes = materials.read_material(path, crop, max_side, even, corners, aspect, depth, hidden,
                                                     least, complete)
        if mask is None:
            return normalise_maps(values, maps, found + notes, name)
        before, share = values[:-1], masks.as_share(values[-1] * 127.5 + 127.5)
        y, x = holes.sources_of(before, masks.checked(share, path, tile), tile // 2, maps.weights())
        return with_mask(normalise_maps(before[:, y, x], maps, found + notes, name), before, share)
    pixels, notes = photos.read_photo(path, crop, math.inf if art else max_side, even, corners, aspect, read_at,
                                      alpha == "draw" or mask == "alpha", hidden, least)
    found += ["COMPLETE is for a folder of maps, and did nothing"] * bool(complete)
    if hidden is not None:
        pixels, share = masks.taken_off(pixels, opaque=mask == "alpha")
    if mask is None and blank is not None and not share.any():  # what is left of the photo has data
        hidden = None
    if hidden is not None:
        before, what = materials.as_values(pixels), "MASK" if mask else "What holds no data"
        y, x = holes.sources_of(before, masks.checked(share, path, tile, what), tile // 2)
        pixels = pixels[y, x]
    if mask is not None:
        if max(crop[2:] if crop else hidden.shape) > max_side:
            notes.append(f"repaired.png has that size, too; MAX_SIDE = {max(hidden.shape)} keeps the photo's own")
    drawn = None
    if art and hidden is not None:
        raise UserError(f"PIXELS is for pixel art, and {printable(path)} holds no data in places; leave it out")
    if art:
        pixels, drawn, said = pixel_art.enlarged(pixels, *art, max_side)
        notes += said
    if pixels.shape[2:] == (4,):
        photo = normalise_maps(*materials.with_opacity(pixels, name), found + notes, name)
    else:
        photo = normalise(pixels, name, found + notes)
    photo = (photo if depth is None else photo.written_with(depth))._replace(art=drawn)
    return photo if hidden is None else with_mask(photo, before, share, mask is not None)


def with_mask(photo, before, share, wanted=True):
    """A Photo that was filled, with the mask [H, W] and the values [C or more, H, W] from before; wanted: whether that
    is to be repaired."""
    mask = masks.Mask(share, torch.from_numpy(before[:len(photo.x)]), wanted)
    return photo._replace(mask=mask, digest=mask.digest())


def load_textures(paths, c):
    """The Photo at one path, or one that stands for the textures at several, all with as many channels and bits as the
    richest has. UserError with a sentence for the person."""
    art = c.PIXELS and (c.PIXELS, 3 * tile_multiple(c.WIDTHS))
    read = [load_photo(path, c.CROP, c.MAX_SIDE, c.EVEN_LIGHT, c.CORNERS, c.ASPECT, c.DEPTH, c.ALPHA, c.MASK,
                       c.TILE_SIZE, 3 * c.TILE_SIZE, art, c.COMPLETE) for path in paths]
    if len(read) == 1:
        return read[0]
    several.check_plain({photo.name: photo.maps for photo in read})
    channels, depth = max(len(photo.x) for photo in read), max(photo.depth for photo in read)
    textures = tuple(photo._replace(x=photo.x.expand(channels, -1, -1), mean=photo.mean.expand(channels, 1, 1),
                                    depth=depth) for photo in read)
    notes = tuple(f"{photo.name}: {note}" for photo in read for note in photo.notes)
    digest = drawings.digest_of_all([(photo.name, photo.digest) for photo in read])
    name = several.name_of(c.IMAGE, [photo.name for photo in read])
    return textures[0]._replace(name=name, digest=digest, notes=notes, textures=textures)


def corners_in(path, corners):
    """Corners as they were given, or those that perspective.find_corners sees in a photo, or in what is seen of a
    material, if they are "auto", and notes. They are the same whenever they are looked for."""
    if corners == "auto":
        return perspective.find_corners(original_pixels(path, None))
    by = 1 if corners is None else photos.reduction(path)
    return corners if by == 1 else tuple((x / by, y / by) for x, y in corners), []


def original_pixels(path, crop):
    """A photo, or what is seen of a material, as it was before anything but a crop, uint8 [H, W] or [H, W, 3]."""
    if not os.path.isdir(path):
        return photos.read_photo(path, crop)[0]
    photo = load_photo(path, crop, math.inf)
    return photo.pixels(photo.x)


class Blend(Photo):
    """Several textures that go over into each other by a BlendMap, its map. A picture x has the share of each texture
    in each pixel as further channels, [C + K, h, w]; normalised is what each of them is by its own mean and deviation.
    """

    def values(self, x):
        channels = len(self.textures[0].x)
        x, shares = x.detach().float().cpu().split([channels, len(self.textures)], -3)
        std = torch.tensor([texture.std for texture in self.textures])
        mean = torch.cat([texture.mean for texture in self.textures], 1).flatten(1)  # [C, K]
        return x * torch.einsum("k,...khw->...hw", std, shares).unsqueeze(-3) \
            + torch.einsum("ck,...khw->...chw", mean, shares)


def blend_of(photo, c):
    """The Blend of a Photo of several textures that c.BLEND says, whose size becomes c.OUTPUT_SIZE."""
    path, notes = files.find_file(c.BLEND, HERE), []
    shares, c.OUTPUT_SIZE = blending.read_map(path, len(photo.textures), c.OUTPUT_SIZE, c.TILE_SIZE, notes)
    blend = Blend(*photo._replace(digest=drawings.digest_of_all([photo.digest, shares]),
                                  notes=(*photo.notes, *notes)))
    blend.map = blending.BlendMap(shares, c.OUTPUT_SIZE[::-1], ("y" in c.TILEABLE, "x" in c.TILEABLE))
    return blend


def normalise(pixels, name, notes=()):
    """uint8 or uint16 [H, W] or [H, W, 3] to a Photo; three equal channels become one."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    half = np.iinfo(pixels.dtype).max / 2
    x = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32)).permute(2, 0, 1) / half - 1
    mean = x.mean((1, 2), keepdim=True)
    std = float((x - mean).std()) if x.numel() > 1 else 0.0
    if std < 1e-3:
        raise UserError(f"{name} is a single colour: there is no texture to learn")
    return Photo(name, ((x - mean) / std).contiguous(), mean, std, digest, tuple(notes), None, 8 * pixels.itemsize)


def normalise_maps(values, maps, notes, name):
    """A material's values [C, H, W] in [-1, 1] to a Photo: each map has its own deviation, the colours one together.
    Normals keep their zero, so that they can be turned."""
    digest = drawings.digest_of_all([maps.slices, sorted(maps.constants.items()), values])
    x = torch.from_numpy(values)
    mean, std = x.mean((1, 2), keepdim=True), torch.ones(len(x), 1, 1)
    if maps.vector() is not None:
        mean[maps.slices["normal"]] = 0
    for part in maps.slices.values():
        std[part] = (x[part] - mean[part]).std()
    return Photo(name, ((x - mean) / std).contiguous(), mean, std, digest, tuple(notes), maps)


def split_tiles(x, tile):
    """Cut [C, H, W] into tiles [rows, columns, C, T, T]; the last row and column may overlap."""
    tops, lefts = (grid_offsets(side, tile) for side in x.shape[-2:])
    rows = [[x[:, top:top + tile, left:left + tile] for left in lefts] for top in tops]
    return torch.stack([torch.stack(row) for row in rows])


def join_tiles(tiles, height, width):
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
# A window is a canvas cut from the photo. Where the tile is to be drawn the canvas is called a ring: its middle is
# looked at by nobody.

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


def keep_mask(pattern):
    """Which neighbours a pattern such as "N W E S" keeps: bool [8] in the order of NEIGHBOURS."""
    kept = pattern.split()
    return torch.tensor([name in kept for name in NEIGHBOURS])


def dropout_masks(count, share, generator):
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


class Batch(NamedTuple):
    """What a dataset gives to be trained on."""

    windows: torch.Tensor  # canvases [B, C, S, S]
    present: torch.Tensor  # the neighbours to be shown, bool [B, 8]
    where: list | None = None  # where references come from, see references.found()
    context: torch.Tensor | None = None  # what pictures are conditioned on, [B, length]


class NeighbourDataset:
    """Tiles at any pixel offset of a photo, with their neighbours; lives on the device as one tensor.

    The last `validation` tiles of the bottom row are held out: no training tile overlaps them
    and as neighbours they count as absent.
    """

    def __init__(self, photo, tile, validation=0, device="cpu", augment="none"):
        self.tile, self.halo, self.orientations = tile, HALO, AUGMENTS[augment]
        self.vector = photo.maps and photo.maps.vector()
        _, self.height, self.width = photo.x.shape
        if validation < 0 or (validation + 2) * tile > self.width:
            raise UserError(f"VALIDATION = {validation} tiles of {tile} pixels leave too little of a photo "
                            f"{self.width} pixels wide; at most {max(0, self.width // tile - 2)} fit")
        self.padded = F.pad(photo.x, [self.halo] * 4).to(device)
        self.held_x, self.held_y = self.width - validation * tile, self.height - tile
        self.validation = validation
        self.hidden = None if photo.mask is None else masks.sums_of(photo.mask.hidden()).to(device)
        if self.hidden is not None and validation and masks.holds_hidden(
                self.hidden, *self.validation_offsets().T, tile, tile).any():
            raise UserError(f"VALIDATION = {validation} tiles in the lower right corner are masked; VALIDATION=0 holds "
                            "none out")
        self.table = self.offset_table(device)
        self.patches = references.Patches(photo.x.to(device), self.usable(photo).to(device))

    def usable(self, photo):
        """Which pixels may be shown as references: bool [H, W], neither masked nor held out."""
        usable = torch.ones(self.height, self.width, dtype=torch.bool) if photo.mask is None else ~photo.mask.hidden()
        usable[self.held_y:, self.held_x:] = False
        return usable

    def offset_table(self, device):
        """Offsets (y, x) of all training tiles, [N, 2] int64."""
        y = torch.arange(self.height - self.tile + 1, device=device)
        x = torch.arange(self.width - self.tile + 1, device=device)
        free = (y[:, None] <= self.held_y - self.tile) | (x <= self.held_x - self.tile)
        free = free if self.validation else torch.ones_like(free)
        if self.hidden is not None:
            free = free & ~masks.holds_hidden(self.hidden, y[:, None], x, self.tile, self.tile)
        return free.nonzero()

    def validation_offsets(self):
        """Offsets (y, x) of the held-out tiles, [validation, 2] int64."""
        xs = torch.arange(self.held_x, self.width, self.tile, device=self.padded.device)
        return torch.stack([torch.full_like(xs, self.held_y), xs], 1)[:self.validation]

    def available(self, offsets):
        """Which neighbours exist: bool [B, 8], those whose nearest halo lies in the photo and is neither held out nor
        masked."""
        y, x = offsets.T
        tile, halo = self.tile, self.halo
        top = torch.stack([y - halo, y, y + tile], 1)  # of the three rows of regions, [B, 3]
        left = torch.stack([x - halo, x, x + tile], 1)
        size = torch.tensor([halo, tile, halo], device=offsets.device)
        inside_y = (top >= 0) & (top + size <= self.height)
        inside_x = (left >= 0) & (left + size <= self.width)
        held = (top + size > self.held_y)[:, :, None] & (left + size > self.held_x)[:, None, :]
        exists = inside_y[:, :, None] & inside_x[:, None, :] & ~(held & bool(self.validation))
        if self.hidden is not None:
            exists &= ~masks.holds_hidden(self.hidden, top[:, :, None], left[:, None, :], size[:, None], size)
        return without_tile(exists.flatten(1))

    def windows(self, offsets):
        """Canvases [B, C, S, S] around the tiles at offsets [B, 2], zero outside the photo."""
        return cut_windows(self.padded, *offsets.T, self.tile + 2 * self.halo)

    def tiles_of(self, windows):
        """The tiles [B, C, T, T] in the middle of the canvases [B, C, S, S]."""
        return windows[:, :, self.halo:-self.halo, self.halo:-self.halo]

    def where(self, offsets):
        """What references.found() needs for the tiles at offsets [B, 2]: of each all of the photo but the tile itself.
        """
        return [(self.patches, [(y, x, self.tile)]) for y, x in offsets]  # as tensors: a GPU need not be waited for

    def examples(self, count, held_out):
        """Canvases [B, C, S, S], the checkerboard's neighbours, bool [B, 8], and where references come from, to be
        shown: of held-out tiles, or of training tiles spread evenly."""
        offsets = self.validation_offsets()
        if not (held_out and len(offsets)):
            whole = self.table[self.available(self.table).all(1)]  # those with all 8 neighbours
            whole = whole if len(whole) else self.table  # beside a mask there may be none
            offsets = whole[torch.linspace(0, len(whole) - 1, count + 2, device=whole.device).long()[1:-1]]
        offsets = offsets[torch.arange(count, device=offsets.device) % len(offsets)]
        return self.windows(offsets), self.checkerboard(offsets), self.where(offsets)

    def checkerboard(self, offsets):
        """Those neighbours of the checkerboard's pattern that exist, bool [B, 8]."""
        return self.available(offsets) & keep_mask(CHECKERBOARD).to(offsets.device)

    def batch(self, count, share, generator):
        """A Batch of tiles at random."""
        pick = torch.randint(len(self.table), (count,), generator=generator, device=self.table.device)
        offsets = self.table[pick]
        windows, exists = self.windows(offsets), self.available(offsets)
        if len(self.orientations) > 1:
            windows, exists = self.augment(windows, exists, generator)
        return Batch(windows, exists & dropout_masks(count, share, generator), self.where(offsets))

    def augment(self, windows, exists, generator):
        """The same canvases, each in one of the orientations, with their neighbours."""
        count = len(self.orientations)
        which = torch.randint(count, (len(windows),), generator=generator, device=windows.device)
        windows, around = windows.clone(), with_tile(exists).unflatten(1, (3, 3))
        for k, orientation in enumerate(self.orientations):
            chosen = which == k
            windows[chosen] = oriented(windows[chosen], *orientation, self.vector)
            around[chosen] = oriented(around[chosen], *orientation)
        return windows, without_tile(around.flatten(1))


class SeveralDatasets:
    """The NeighbourDatasets of several textures. A batch holds tiles of all of them, and which is whose."""

    def __init__(self, parts):
        self.parts, self.tile = parts, parts[0].tile

    def tiles_of(self, windows):
        """The tiles [B, C, T, T] in the middle of the canvases [B, C, S, S]."""
        return self.parts[0].tiles_of(windows)

    def batch(self, count, share, generator):
        """A Batch with labels, one-hot [B, textures]: as many of each as can be, at random places, since a place in the
        batch is a noise level."""
        first = torch.randint(len(self.parts), (), generator=generator, device=generator.device)
        places = torch.randperm(count, generator=generator, device=generator.device)
        labels = (first + places) % len(self.parts)
        found = [self.parts[label].batch(1, share, generator) for label in labels.tolist()]
        windows, present, where, _ = zip(*found)
        labels = F.one_hot(labels, len(self.parts)).float()
        return Batch(torch.cat(windows), torch.cat(present), sum(where, []), labels)


# =============================================================================================
# 3. Network
# =============================================================================================
# The canvas goes through a U-Net of plain convolutions: they continue lines across the tile's
# border by themselves. Space-to-depth by 4 at the entrance makes it cheap; the head, a last block at
# half the resolution that sees the canvas itself once more, brings the fine detail back.
# On the way up the ring around the tile is cropped as soon as it is no longer needed.
#
#     canvas -> unshuffle 4 -> stem + position -> block ---------------> block -> shuffle 2 -> head -> tile, gates
#        |                                          block --------> block                       |
#        |                                             block - block                            |
#        +--------------------------------> unshuffle 2 ----------------------------------------+
#
# Stem and head see two more pictures of the canvas' size, its references: patches of the photo, laid where they fit
# (see texture_diffusion_tools/references.py). What it is to draw need not be learned by heart.

COLOURS = 3  # channels of a prior's network, which sees a grey photo as the first of them
UNSHUFFLE = 4  # space-to-depth factor of the stem
HEAD_UNSHUFFLE = 2  # and of the head
HEAD_WIDTH = 64  # channels of the head
CROP_MARGIN = 4  # ring that the way up keeps around the tile, in pixels of each resolution


def tile_multiple(widths, unshuffle=UNSHUFFLE):
    """What TILE_SIZE must be a multiple of, so that the canvas can be halved at every level."""
    return unshuffle * max(4, 2 ** len(widths))


# The network carries what is known of the photo before any training, its photo_facts: colours are turned to the photo's
# own axes on the way in and back on the way out; the power of each band of detail, and what white noise has in it, say
# how far x_t is to be trusted at each scale (see wiener_bands and predict_x0).


class Block(nn.Module):
    """Two 3x3 convolutions with a residual; the time embedding scales and shifts between them."""

    def __init__(self, c_in, c_out, c_time):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.time = nn.Linear(c_time, 2 * c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x, emb):  # [B, c_in, h, w], [B, c_time] -> [B, c_out, h, w]
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(emb)[:, :, None, None].chunk(2, 1)
        h = self.conv2(F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))
        return self.skip(x) + h


class UNet(nn.Module):
    """The conditional U-Net: sees a noisy tile among its neighbours and predicts the clean tile.

    channels: C of the photo; tile: T, a multiple of tile_multiple(widths, unshuffle); widths: channels at
    1 / unshuffle of the resolution, at half of that, ..., one to four multiples of 8. Input and output are in
    normalised units. halo 0: pictures without neighbours; context: length of the vector that pictures are conditioned
    on, 0 for none; refers: whether it sees references.
    """

    def __init__(self, channels, tile, widths, halo=HALO, unshuffle=UNSHUFFLE, context=0, refers=False):
        super().__init__()
        self.tile, self.halo, self.unshuffle = tile, halo, unshuffle
        self.head_unshuffle = min(unshuffle, HEAD_UNSHUFFLE)
        c_time = 4 * widths[0]
        self.time = nn.Sequential(nn.Linear(64, c_time), nn.SiLU(), nn.Linear(c_time, c_time), nn.SiLU())
        self.context = nn.Linear(context, c_time, bias=False) if context else None
        self.stem = nn.Conv2d(channels * unshuffle**2, widths[0], 3, padding=1)
        self.position = nn.Parameter(torch.empty(9, 2, widths[0]))  # region x {absent, present}
        self.down = nn.ModuleList(Block(w, w, c_time) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:]))
        self.middle = Block(widths[-1], widths[-1], c_time)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(Block(2 * w, w, c_time) for w in widths[:-1])
        self.norm_out = nn.GroupNorm(8, widths[0])
        self.conv_out = nn.Conv2d(widths[0], HEAD_WIDTH * (unshuffle // self.head_unshuffle) ** 2, 3, padding=1)
        seen = self.head_unshuffle**2 * (2 * channels + 1)  # the noisy tile, the neighbours, where they are known
        out = self.head_unshuffle**2 * (channels + len(photo_facts.BLURS) + 1)  # the tile, and a gate for each band
        self.head_in = nn.Conv2d(HEAD_WIDTH + seen, HEAD_WIDTH, 3, padding=1)
        self.filters = nn.Conv2d(seen, HEAD_WIDTH, 3, padding=1)
        self.choice = nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 1)
        self.head_block = Block(HEAD_WIDTH, HEAD_WIDTH, c_time)
        self.head_out = nn.Conv2d(HEAD_WIDTH, out, 3, padding=1)
        self.references = self.reference_layers(references.channels_of(channels), widths[0]) if refers else None
        self.precision = torch.float32  # of the convolutions; see pick_precision
        self.register_buffer("region", region_map(tile, self.halo), persistent=False)
        noise = photo_facts.noise_powers()
        self.register_buffer("noise", noise, persistent=False)
        self.register_buffer("axes", torch.eye(channels))  # the two facts of the photo, see know()
        self.register_buffer("signal", noise[:, None].repeat(1, channels))
        self.label = None  # the context of all pictures, [length], where none is given
        self.initialise()

    def know(self, facts):
        """Take over a photo's photo_facts.PhotoFacts; or those of one for each picture of a batch, stacked; or those of
        several textures, stacked, of which a picture's context is the label."""
        self.axes, self.signal = facts

    def facts(self, context):
        """The PhotoFacts for pictures with such contexts, [B, length] or None."""
        if context is None or self.axes.ndim == 2:
            return self.axes, self.signal
        label = context.argmax(1)
        return self.axes[label], self.signal[label]

    def of(self, label):
        """A copy that draws one of several textures: it knows that one's facts, and its label."""
        net = copy.deepcopy(self)
        net.know((self.axes[label], self.signal[label]))
        net.label = F.one_hot(torch.tensor(label, device=self.axes.device), len(self.axes)).float()
        return net

    def reference_layers(self, channels, width):
        """What sees references of so many channels, and draws the gates of both pictures; they begin with zeros."""
        fine, coarse = channels * self.head_unshuffle**2, channels * self.unshuffle**2
        sizes = {"stem": (coarse, width), "head": (fine, HEAD_WIDTH), "filters": (fine, HEAD_WIDTH),
                 "gates": (HEAD_WIDTH, references.PICTURES * self.head_unshuffle**2)}
        return nn.ModuleDict({name: nn.Conv2d(*size, 3, padding=1) for name, size in sizes.items()})

    def initialise(self):
        """All rules of initialisation, in one place; torch's defaults where nothing is said."""
        nn.init.normal_(self.position, std=0.1)  # different from the start, small beside the stem's output
        for module in self.modules():
            if isinstance(module, Block):  # each block begins as the identity, whatever the time
                for layer in (module.conv2, module.time):
                    nn.init.zeros_(layer.weight)
                    nn.init.zeros_(layer.bias)
        for layer in (self.head_out, *(self.references or {}).values()):  # the first prediction is the texture's mean
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def canvas(self, x_t, ring, present):
        """The tile x_t [B, C, T, T] among those neighbours of ring [B, C, S, S] that are present, bool [B, 8]; zero,
        which is the mean colour, where there is none."""
        canvas = ring * with_tile(present)[:, self.region][:, None]
        crop_middle(canvas, self.tile)[:] = x_t
        return canvas.contiguous(memory_format=devices.layout_on(canvas.device))

    def see(self, found, ring, present):
        """The references.Seen of references.Found among the neighbours: their pictures as canvases, and the maps, zero
        around the tile, through the layers that they enter by. All steps of drawing that have these share it."""
        pictures = [self.canvas(picture, ring, present) for picture in found.pictures.unbind(1)]
        canvas = torch.cat([*pictures, F.pad(found.maps, [self.halo] * 4)], 1)
        near = crop_middle(canvas, self.tile + 2 * min(CROP_MARGIN, self.halo))
        coarse, fine = F.pixel_unshuffle(canvas, self.unshuffle), F.pixel_unshuffle(near, self.head_unshuffle)
        coarse, fine = (x.contiguous(memory_format=devices.layout_on(x.device)) for x in (coarse, fine))
        with devices.autocast(canvas.device, self.precision):
            return references.Seen(found.pictures, self.references["stem"](coarse), self.references["head"](fine),
                                   self.references["filters"](fine))

    def forward(self, x_t, ring, present, time, context=None, seen=None):
        """x_t [B, C, T, T] noisy tile, ring [B, C, S, S] whose middle is ignored, present bool [B, 8],
        time [B] in (0, 1], context [B, length] or None for zeros, seen: what see() made of references, or None;
        returns the parts of predict_x0: what is added to the filtered x_t, [B, C, T, T], the gates of its bands, [B,
        bands, T, T], and those of the references, [B, 2 or 0, T, T]."""
        canvas = self.canvas(x_t, ring, present)
        with devices.autocast(x_t.device, self.precision):
            out = self.denoise(canvas, with_tile(present), time, context, seen).float()
        return out.tensor_split([x_t.shape[1], x_t.shape[1] + self.signal.shape[-2]], 1)

    def denoise(self, canvas, present, time, context, seen):
        """From the canvas [B, C, S, S] to the head's output [B, C + bands + references, T, T]; present bool [B, 9]."""
        emb = self.time(time_features(time))
        context = self.label if context is None else context
        if context is not None:
            emb = emb + self.context(context)
        x = F.pixel_unshuffle(canvas, self.unshuffle)
        where = self.region[::self.unshuffle, ::self.unshuffle]
        position = self.position[torch.arange(9, device=where.device), present.long()]  # [B, 9, c]
        h = self.stem(x.contiguous(memory_format=devices.layout_on(x.device)))
        if seen is not None:
            h = h + seen.stem
        h = h + position[:, where].permute(0, 3, 1, 2).to(h.dtype)
        skips = []
        for block, shrink in zip(self.down, self.shrink):
            skips.append(block(h, emb))
            h = shrink(skips[-1])
        h = self.middle(self.down[-1](h, emb), emb)
        for level in reversed(range(len(self.up))):
            h = F.interpolate(self.grow[level](h), scale_factor=2, mode="nearest")
            side = min(h.shape[-1], self.tile // (self.unshuffle * 2**level) + 2 * CROP_MARGIN)
            h = self.up[level](torch.cat([crop_middle(h, side), crop_middle(skips[level], side)], 1), emb)
        h = crop_middle(F.silu(self.norm_out(h)), min(h.shape[-1], self.tile // self.unshuffle + CROP_MARGIN))
        h = F.pixel_shuffle(self.conv_out(h), self.unshuffle // self.head_unshuffle)
        return self.head(h, canvas, present, emb, seen)

    def head(self, h, canvas, present, emb, seen):
        """What is left to do for the finest detail, from the U-Net's output h: the tile and the gates.

        Lines have to meet pixel by pixel at the border. Filters see the noisy tile and the clean neighbours apart,
        and h chooses at each place how much of each filter to take: more of the neighbours, the nearer they are.
        """
        side = self.tile + 2 * min(CROP_MARGIN, self.halo)
        canvas, region = (crop_middle(x, side) for x in (canvas, self.region[None, None]))
        centre = (region == 4).to(canvas.dtype)
        known = present[:, region[0, 0]][:, None] * (1 - centre)
        fine = F.pixel_unshuffle(torch.cat([canvas * centre, canvas * known, known], 1), self.head_unshuffle)
        h = crop_middle(h, fine.shape[-1])
        h, fine = (x.to(h.dtype, memory_format=devices.layout_on(x.device)) for x in (h, fine))
        before, filtered = self.head_in(torch.cat([h, fine], 1)), self.filters(fine)
        if seen is not None:
            before, filtered = before + seen.head, filtered + seen.filters
        h = self.head_block(F.silu(before) + filtered * self.choice(h), emb)
        parts = [self.head_out(h)] + ([] if seen is None else [self.references["gates"](h)])
        return F.pixel_shuffle(crop_middle(torch.cat(parts, 1), self.tile // self.head_unshuffle), self.head_unshuffle)


def time_features(time, count=64):
    """Sines and cosines of time [B] in (0, 1] at count / 2 frequencies, [B, count] (DDPM, after Vaswani et al.)."""
    rates = 1000 ** torch.linspace(0, 1, count // 2, device=time.device)
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


# =============================================================================================
# 4. Diffusion
# =============================================================================================
# Forward:  x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps         (DDPM, arXiv 2006.11239, eq. 4)
# The schedule is the cosine (arXiv 2102.09672) without its offset and clipping, so that the last
# step is pure noise, alpha_bar_T = 0, as sampling starts (arXiv 2305.08891). eps says nothing
# about x0 there, so the network predicts x0.

SAMPLERS = ("ddim", "ddpm", "mixed")
FIND_AGAIN = 0.2  # of the chain, after which references are looked for anew
GUIDANCE = 0.1  # of the estimates that sampling goes by; none in training


def cosine_schedule(num_timesteps):
    """alphas_cumprod [num_timesteps] float32, falling to exactly 0; index t is step t + 1 of the chain."""
    t = torch.arange(1, num_timesteps + 1, dtype=torch.float64) / num_timesteps
    alphas_cumprod = torch.cos(t * math.pi / 2) ** 2
    alphas_cumprod[-1] = 0
    return alphas_cumprod.float()


def per_sample(values, t):
    """values[t] shaped [B, 1, 1, 1]; t = -1 stands for the clean end of the chain, where alpha_bar is 1."""
    values = torch.cat([values, values.new_ones(1)])  # index -1
    return values[t].view(-1, 1, 1, 1)


def q_sample(x0, t, eps, alphas_cumprod):
    """Forward process in closed form: x_t [B, C, T, T] from x0, eps of that shape and t [B] int64."""
    abar = per_sample(alphas_cumprod, t)
    return abar.sqrt() * x0 + (1 - abar).sqrt() * eps


def wiener_bands(net, x_t, ring, present, abar, signal):
    """The bands of x_t, each under a Wiener filter for a signal of that power in it, [B, bands, C, T, T]."""
    margin = min(net.halo, sum(photo_facts.BLURS))  # the reach of a band
    canvas = net.canvas(x_t, abar.sqrt() * ring, present)  # the neighbours as bright as x_t, without noise
    bands = crop_middle(split_bands(crop_middle(canvas, net.tile + 2 * margin)), net.tile)
    signal, noise = signal[..., None, None], net.noise[:, None, None, None]  # [bands, C, 1, 1], [bands, 1, 1, 1]
    abar = abar[:, None]
    return bands * abar.sqrt() * signal / (abar * signal + (1 - abar) * noise)


def predict_x0(net, x_t, t, ring, present, alphas_cumprod, guidance=0.0, context=None, seen=None):
    """The estimate of x0 [B, C, T, T], unclipped; t [B] int64, the rest as in UNet.forward. Without anything seen a
    network that sees references is shown none.

    What the network draws is added to x_t, under the linear filter that is best for the photo's powers (Wiener) and
    gated by the network at each pixel of each band: where the noise is weaker than the detail, the detail need not
    pass through the network. (v-prediction adds all of x_t, which left noise at all levels.) So are the references.

    A network that hesitates between two shapes draws their mean, and what is drawn lacks contrast at all scales.
    guidance takes the estimate by this share further away from that of a worse model of the same photo, the filter
    alone, which knows no shapes (autoguidance, arXiv 2406.02507, with guidance = w - 1).
    """
    seen = seen or see_references(net, x_t, t, ring, present, None, alphas_cumprod, context)
    axes, signal = net.facts(context)
    x_t, ring = rotated(x_t, axes), rotated(ring, axes)
    bands = wiener_bands(net, x_t, ring, present, per_sample(alphas_cumprod, t), signal)
    drawn, gates, shares = net(x_t, ring, present, (t + 1) / len(alphas_cumprod), context, seen)
    x0 = drawn + (2 * gates.sigmoid()[:, :, None] * bands).sum(1)
    if seen:
        x0 = x0 + (shares[:, :, None] * seen.pictures).sum(1)
    return rotated(torch.lerp(bands.sum(1), x0, 1 + guidance) if guidance else x0, axes.mT)


def see_references(net, x_t, t, ring, present, where, alphas_cumprod, context=None):
    """The references.Seen of x_t [B, C, T, T], from where the batch says, None: there is nothing; None for a network
    that sees none."""
    if net.references is None:
        return None
    axes, _ = net.facts(context)
    with torch.no_grad():
        found = references.found(x_t, per_sample(alphas_cumprod, t), where or [None] * len(x_t))
    return net.see(found.rotated(axes), rotated(ring, axes), present)


def posterior(x_t, x0, t, t_prev, alphas_cumprod):
    """Mean and variance of q(x_prev | x_t, x0), DDPM eq. 6-7, also for a chain that skips steps."""
    abar, abar_prev = per_sample(alphas_cumprod, t), per_sample(alphas_cumprod, t_prev)
    alpha = abar / abar_prev
    mean = (abar_prev.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - abar_prev) * x_t) / (1 - abar)
    return mean, (1 - abar_prev) / (1 - abar) * (1 - alpha)


def ddpm_step(x_t, x0, t, t_prev, noise, alphas_cumprod):
    """p_sample: one ancestral step from t to t_prev (both [B] int64) with fresh noise."""
    mean, variance = posterior(x_t, x0, t, t_prev, alphas_cumprod)
    return mean + variance.sqrt() * noise


def ddim_step(x_t, x0, t, t_prev, alphas_cumprod):
    """One deterministic step from t to t_prev (DDIM, arXiv 2010.02502, eq. 12 with eta = 0)."""
    abar = per_sample(alphas_cumprod, t)
    eps = (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()
    return q_sample(x0, t_prev, eps, alphas_cumprod)


def look_ahead(x0, t, x0_before, t_before, t_prev, alphas_cumprod):
    """The estimate of x0 for a ddim step from t to t_prev, continued along the line through that and the one before
    it, at t_before: DPM-Solver++(2M), arXiv 2211.01095, algorithm 2. A step of second order at the price of one."""
    after, now, before = (torch.logit(per_sample(alphas_cumprod, k)) for k in (t_prev, t, t_before))
    return x0 + (x0 - x0_before) * (after - now) / (2 * (now - before))


def trailing_timesteps(num_timesteps, steps):
    """steps timesteps from num_timesteps - 1 down, evenly spaced, then -1 for the clean end."""
    return [round(num_timesteps * k / steps) - 1 for k in range(steps, -1, -1)]


def sample(estimate, shape, generators, alphas_cumprod, bounds, sampler="mixed", steps=30, sketch=None, strength=1.0,
           parts=None):
    """Draw pictures; a generator that yields (t, x_t, x0 estimate) after each step. The last x_t is the result.

    estimate(x_t, t): the estimate of x0, [B, C, h, w], such as predict_x0 among given neighbours.
    shape: (C, h, w) of a picture; generators: one CPU torch.Generator a picture, from which its start and its
    noise come, so that it does not depend on the batch that it is drawn in.
    bounds: the range that x0 is clamped to.
    sampler: "ddpm", "ddim" or "mixed", DDPM steps in the noisy half of the chain and DDIM steps that look
    ahead in the rest: fresh noise corrects what was decided too early about the structure, but wears off fine
    detail (EDM, arXiv 2206.00364, limits it to a range of noise levels for the same reason).
    sketch [B, C, h, w] or None: what to begin with, noised to the share `strength` of the chain; without one all
    of the chain is gone through, from pure noise.
    parts [B, 1, h, w] or None: of each pixel the part of that strength down from which it is drawn; before, the sketch
    is the estimate of it, so that x_t is the sketch with noise and the rest has to go with it (Differential Diffusion,
    arXiv 2306.00950); all 1 without them. Where a part is 0 the result is the sketch.
    """
    device, count = alphas_cumprod.device, len(generators)

    def noise():
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)

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
                ahead = x0
                if sampler == "mixed" and earlier is not None and after >= 0:  # the end is infinitely far ahead
                    ahead = look_ahead(x0, t, *earlier, t_prev, alphas_cumprod).clamp(*bounds)
                    ahead = held_to(ahead, sketch, held)
                x_t, earlier = ddim_step(x_t, ahead, t, t_prev, alphas_cumprod), (x0, t)
        yield now, x_t, x0


def held_to(x0, sketch, held):
    """An estimate of x0, or the sketch where it is held to that; held: bool, or None for nowhere."""
    return x0 if held is None else torch.where(held, sketch, x0)


# =============================================================================================
# 5. Training
# =============================================================================================
# Loss: squared error of x0, weighted by 1 / max(1 - alpha_bar_t, floor), between the plain x0 loss
# and the plain eps loss: small noise levels, where the finest detail is learned, count more. The pixels
# along a tile's border are few, yet every seam lies there: they count more, too.

LOSS_FLOOR = 0.02
BORDER_WEIGHT = 6  # of the outermost pixels; what exceeds 1 falls to a third every 2 pixels inwards
EMA_DECAY = 0.999
GRADIENT_CLIP = 1.0
WEIGHT_DECAY = 0.01
MOST_SKIPPED = 10  # steps in a row whose loss is not finite
VALIDATION_LEVELS = 8  # noise levels at which each held-out tile is judged


def loss_weight(t, alphas_cumprod):
    """Weight of the x0 error at t [B] int64, [B, 1, 1, 1]."""
    return 1 / (1 - per_sample(alphas_cumprod, t)).clamp(min=LOSS_FLOOR)


def border_weights(tile):
    """Weights of the pixels of a tile, [T, T] with mean 1: more along the border, where seams are made."""
    line = torch.arange(tile)
    line = torch.minimum(line, tile - 1 - line)
    weights = 1 + (BORDER_WEIGHT - 1) * torch.exp(-torch.minimum(line[:, None], line) / 2)
    return weights / weights.mean()


def learning_rate_at(step, start, end, peak):
    """Linear warm-up over a twentieth of the steps from start to end, then half a cosine down to zero."""
    warm = max(1, min(100, (end - start) // 20))
    done = (step - start - warm) / max(1, end - start - warm)
    return peak * min(1, (step - start + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1, max(0, done))))


def build_net(photo, tile, widths, seed, device, channels=None, **options):
    """A UNet that knows a Photo, or several textures, with reproducible initial weights, on the device and as it likes
    them laid out. channels: of the network, the photo's or more; options: of UNet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.seed_sequence(seed, seeds.INITIAL).generate_state(1)[0]))
        net = UNet(channels or len(photo.x), tile, widths, **options)
    net.know(facts_of(photo, channels or len(photo.x)))
    return net.to(device, memory_format=devices.layout_on(torch.device(device)))


def facts_of(photo, channels):
    """A Photo's photo_facts.PhotoFacts for a network of so many channels; those of several textures stacked."""
    if photo.textures:
        facts = zip(*(facts_of(texture, channels) for texture in photo.textures))
        return photo_facts.PhotoFacts(*map(torch.stack, facts))
    colours = len(photo.x) if photo.maps is None else photo.maps.colours()
    return photo_facts.facts_of(photo.x.cpu(), channels, colours)


def channels_of(weights, photo):
    """How many channels a network with such weights {name: tensor} sees; ValueError if it cannot see the photo's."""
    channels = channels_seen(weights, UNSHUFFLE)
    if channels not in (len(photo.x), COLOURS):
        raise ValueError(f"its network sees {channels} channels, and the photo has {len(photo.x)}")
    return channels


class Objective(nn.Module):
    """The loss of a batch as a module, since this is what a group of processes wraps."""

    def __init__(self, trainer):
        super().__init__()
        self.net, self.loss = trainer.net, trainer.loss

    def forward(self, generator):
        return self.loss(self.net, generator)


class Trainer:
    """Network, EMA and optimizers with all that has to be kept to go on from any step."""

    def __init__(self, net, dataset, alphas_cumprod, batch_size, learning_rate, dropout, seed, group=processes.ALONE):
        self.net, self.dataset, self.alphas_cumprod, self.group = net, dataset, alphas_cumprod, group
        self.batch_size, self.learning_rate, self.dropout, self.seed = batch_size, learning_rate, dropout, seed
        self.border_weights = border_weights(dataset.tile if net.halo else 1).to(alphas_cumprod.device)
        self.ema = copy.deepcopy(net).eval().requires_grad_(False)
        self.objective = group.wrap(Objective(self))
        self.step = self.start = self.end = 0  # done so far; first and last step of the current schedule
        self.curve = []  # [step, mean training loss, validation loss or None], one entry an epoch
        self.losses = []  # of the steps since the last entry
        self.skipped = self.in_a_row = 0  # steps whose loss was not finite: all, and those just now
        self.reported = 0  # the last step after which report() was called
        self.prior = ""  # SHA-256 of the file of weights that the training began from

    @functools.cached_property
    def opts(self):
        """Muon for the kernels, AdamW for the rest; made when they are used first: that takes torch three seconds."""
        kernels = [weight for weight in self.net.parameters() if weight.ndim == 4]
        others = [weight for weight in self.net.parameters() if weight.ndim != 4]
        return [Muon(kernels, self.learning_rate, WEIGHT_DECAY, self.net.precision),
                torch.optim.AdamW(others, lr=self.learning_rate, weight_decay=WEIGHT_DECAY)]

    def loss(self, net, generator):
        """The weighted x0 loss of one random batch, a scalar tensor; each process takes its share of the batch."""
        batch = self.dataset.batch(self.batch_size, self.dropout, generator)
        x0 = self.dataset.tiles_of(batch.windows)
        device, steps = x0.device, len(self.alphas_cumprod)
        # Stratified timesteps: one from each of B equal parts of the chain, for a calmer gradient.
        spread = torch.arange(len(x0), device=device) + torch.rand(len(x0), generator=generator, device=device)
        t = (spread / len(x0) * steps).long().clamp(max=steps - 1)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        share = slice(self.group.rank, None, self.group.world_size)
        return self.weighted_error(net, *(x if x is None else x[share] for x in (x0, t, eps, *batch)))

    def weighted_error(self, net, x0, t, eps, ring, present, where=None, context=None):
        """Mean of the weighted squared error of the estimate of x0, a scalar tensor."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        seen = see_references(net, x_t, t, ring, present, where, self.alphas_cumprod, context)
        error = predict_x0(net, x_t, t, ring, present, self.alphas_cumprod, context=context, seen=seen) - x0
        return (loss_weight(t, self.alphas_cumprod) * self.border_weights * error**2).mean()

    @torch.inference_mode()
    def noised(self, x0, t, eps, ring, present, where=None):
        """x0 noised to t, x_t, and the EMA's estimate of x0 from it, both [B, C, T, T]."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        seen = see_references(self.ema, x_t, t, ring, present, where, self.alphas_cumprod)
        return x_t, predict_x0(self.ema, x_t, t, ring, present, self.alphas_cumprod, seen=seen)

    def of(self, label):
        """The same with one of several textures, to draw and to show it: a view, whose averaged network is a copy."""
        view = copy.copy(self)
        view.ema, view.dataset = self.ema.of(label), self.dataset.parts[label]
        return view

    def train_step(self):
        """One step of all weights; returns the loss. Where it is not finite, the weights stay as they are."""
        rate = learning_rate_at(self.step, self.start, self.end, self.learning_rate)
        for opt in self.opts:
            opt.param_groups[0]["lr"] = rate
        generator = seeds.torch_generator(self.seed, seeds.TRAINING, self.step, device=self.alphas_cumprod.device)
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
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)
        self.losses.append(loss)
        return loss

    def skip(self, loss):
        """Count a step whose loss or gradient is not finite; RunError after MOST_SKIPPED in a row."""
        self.skipped += 1
        self.in_a_row += 1
        self.step += 1
        if self.in_a_row == MOST_SKIPPED:
            raise RunError(f"the loss ({loss:g}) or its gradient was not finite in {MOST_SKIPPED} steps in a row, "
                           f"up to step {self.step}: {self.advice()}")
        return loss

    def advice(self):
        """What to do when the numbers have run away."""
        return ("the last checkpoint is kept as it was; "
                f"try a LEARNING_RATE below {self.learning_rate:g} with FRESH=True")

    def end_epoch(self):
        """Add an entry to the curve; RunError if the EMA is not finite."""
        if not checkpoints.finite(self.ema.state_dict()):
            raise RunError(f"the weights are not finite at step {self.step}: {self.advice()}")
        if self.losses:
            self.curve.append([self.step, sum(self.losses) / len(self.losses), self.validate()])
        self.losses = []

    def plan(self, end):
        """Train up to step `end`; a schedule that had run out starts again with a warm-up."""
        if self.step == self.end < end:
            self.start = self.step
        self.end = max(end, self.step)

    def steps(self):
        """Train to the planned end; yields the loss after each step."""
        while self.step < self.end:
            yield self.train_step()

    @torch.inference_mode()
    def validate(self):
        """Loss of the EMA on the held-out tiles with fixed noise and noise levels, of several textures the mean; None
        if none are held out."""
        if isinstance(self.dataset, SeveralDatasets):
            losses = [self.of(label).validate() for label in range(len(self.dataset.parts))]
            return None if None in losses else sum(losses) / len(losses)
        dataset, steps = self.dataset, len(self.alphas_cumprod)
        offsets = dataset.validation_offsets()
        if not len(offsets):
            return None
        offsets = offsets.repeat_interleave(VALIDATION_LEVELS, 0)
        t = torch.arange(len(offsets), device=offsets.device) % VALIDATION_LEVELS
        t = ((t + 0.5) * steps / VALIDATION_LEVELS).long()
        windows, generator = dataset.windows(offsets), seeds.torch_generator(self.seed, seeds.VALIDATING)
        eps = torch.randn(dataset.tiles_of(windows).shape, generator=generator).to(windows.device)
        values = dataset.tiles_of(windows), t, eps, windows, dataset.checkerboard(offsets), dataset.where(offsets)
        parts = [[x[first:first + self.batch_size] for x in values]
                 for first in range(0, len(offsets), self.batch_size)]
        losses = [self.weighted_error(self.ema, *part).item() * len(part[0]) for part in parts]
        return sum(losses) / len(offsets)

    def state(self):
        """What has to be kept, as plain values."""
        return {"net": self.net.state_dict(), "ema": self.ema.state_dict(), "step": self.step, "start": self.start,
                "opts": [opt.state_dict()["state"] for opt in self.opts], "end": self.end, "seed": self.seed,
                "curve": self.curve, "losses": self.losses, "skipped": self.skipped, "in_a_row": self.in_a_row,
                "reported": self.reported, "precision": str(self.net.precision).removeprefix("torch."),
                "prior": self.prior}

    def load(self, state):
        """Take over a state; one with EMA weights only (a shipped model) can draw but not go on training. ValueError if
        it does not fit the network."""
        try:
            self.ema.load_state_dict(with_facts(state["ema"], self.ema))
            if "net" in state:
                self.net.load_state_dict(with_facts(state["net"], self.net))
                for opt, kept in zip(self.opts, state["opts"], strict=True):
                    checkpoints.load_optimizer(opt, kept)
        except Exception as error:  # load_state_dict raises almost anything on what is none
            raise ValueError(f"its weights do not fit the network ({first_line(error)})") from error
        self.step, self.start, self.end = state["step"], state["start"], state["end"]
        self.seed, self.curve, self.losses = state["seed"], list(state["curve"]), list(state["losses"])
        self.skipped, self.in_a_row = state.get("skipped", 0), state.get("in_a_row", 0)
        self.reported, self.prior = state.get("reported", self.step), state.get("prior", "")

    def begin_from(self, weights, digest):
        """Take over a prior's weights {name: tensor} before the first step; what the network knows of the photo stays.
        ValueError if they do not fit."""
        weights = as_beginning(weights, self.net)
        for net in (self.net, self.ema):
            net.load_state_dict(weights)
        self.prior = digest


def measure_speed(trainer, training=True):
    """Seconds of one training step, 0 without training, and of one network evaluation, measured on a copy of the
    network."""
    twin = Trainer(copy.deepcopy(trainer.net), trainer.dataset, trainer.alphas_cumprod, trainer.batch_size,
                   trainer.learning_rate, trainer.dropout, trainer.seed, trainer.group)
    generator = seeds.torch_generator(trainer.seed, seeds.TRAINING, device=trainer.alphas_cumprod.device)

    def draw():
        with torch.inference_mode():
            twin.loss(twin.net, generator)

    works = [twin.train_step if training else lambda: None, draw]
    seconds = [min(devices.timed(work, generator.device) for _ in range(2)) for work in works]
    twin.objective = None  # the two hold each other, and the copy of the network with them
    return seconds


def train(trainer, epochs, epoch_steps, stop, save, report):
    """Train with a progress bar to the given epoch.

    stop: StopSignals; save() keeps the trainer's state; report(epoch) shows how it stands, after each epoch.
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
                      "the same command (without FRESH) goes on from there", stopped.args[1]) from None
    save()


def report_epoch(trainer, epoch_steps, report):
    """Call report(epoch) if an epoch has ended that it was not called for; a disk that is full does not end the
    training. A signal does, and the report is made when it goes on."""
    epoch, part = divmod(trainer.step, epoch_steps)
    if part or trainer.reported == trainer.step:
        return
    try:
        with StopAtOnce() if trainer.group.world_size == 1 else contextlib.nullcontext():
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
def lay_out(photo, kind, grid, seed, augment="none", redraw=False, wanted=None, guide=None):
    """The Layout of a kind in LAYOUTS, or of Wang tiles, "wang", on a grid; augment: in AUGMENTS; redraw: real tiles
    are drawn anew at the end; wanted: cells without which others get no real tile, None: all; guide: a guides.Guide,
    which matched tiles and all sketches follow."""
    if kind == "rows":
        return rows_layout(photo, grid)

    # which cells are real, and which are drawn when
    black, white = ([cell for cell in grid.cells() if sum(cell) % 2 == colour] for colour in (0, 1))
    black = [cell for cell in black if wanted is None or cell in wanted]
    passes = [part for cells in ([white, black] if redraw else [white]) for part in grid.passes(cells)]
    if kind == "wang":
        black, passes = wang.real_cells(grid), wang.passes_of(grid)

    # which place of the photo each real tile shows
    turned = real_tiles.turned(photo, grid.tile, augment)
    source, orientation = np.full((*grid.shape(), 2), -1), np.zeros(grid.shape(), int)
    for cell, (number, *offset) in zip(black, real_tiles.choose_places(kind, turned, grid, black, seed, guide)):
        source[cell], orientation[cell] = offset, number
    return Layout(grid, source, passes, turned.extended, orientation, spots=turned.spots, calm=turned.calm, guide=guide,
                  origins=turned.origins, calm_origins=turned.calm_origins, weights=turned.weights)


def rows_layout(photo, grid):
    """The photo's own tiles in the upper left corner, the rest in diagonal waves of the reading order."""
    source, waves = np.full((*grid.shape(), 2), -1), {}
    ys, xs = (grid_offsets(side, grid.tile) for side in photo.x.shape[1:])
    for i, j in grid.cells():
        real = i < len(ys) and j < len(xs)
        if real and not (photo.mask and photo.mask.hidden()[ys[i]:ys[i] + grid.tile, xs[j]:xs[j] + grid.tile].any()):
            source[i, j] = ys[i], xs[j]
        else:  # after (i, j - 1) and (i - 1, j + 1)
            waves.setdefault(2 * i + j, []).append((i, j))
    extended = (F.pad(photo.x.cpu(), [grid.tile] * 4),)
    return Layout(grid, source, [waves[key] for key in sorted(waves)], extended, np.zeros(grid.shape(), int), False)


# =============================================================================================
# 7. Outpainting
# =============================================================================================
# The gaps are not drawn from nothing. Each real tile beside a gap claims what lies beside it in the photo (see
# matching.py in texture_diffusion_tools/). These claims, joined where they agree (see sketches.py), are a sketch of the
# gap; noise up to STRENGTH of the chain leaves only its large structure, and the network draws the rest anew (SDEdit,
# arXiv 2108.01073).


class Canvas:
    """The growing output: the real tiles of a layout, and above them those that were drawn, last ones on top.

    begin(cell): what a tile begins with, [C, T, T], and which parts of it are drawn, [1, T, T] or None for all; or
    None: all tiles begin with pure noise.
    """

    def __init__(self, layout, channels, device, begin=None):
        self.layout, self.grid, self.channels, self.device = layout, layout.grid, channels, device
        self.passes, self.real, self.order = layout.passes, layout.real(), layout.order()
        self.sketch, self.areas = begin or (lambda cell: (None, None)), layout.areas
        self.drawn = {}  # cell -> normalised tile [C, T, T] on the CPU
        self.parts = {}  # cell -> which of its pixels the network drew, drawings.packed(); not there: all

    def noise_key(self, cell):
        """What the random numbers of a cell are keyed by."""
        return self.grid.numbers(cell)

    def strength(self, cell):
        """How noisy its sketch is made at least, 0 to 1."""
        return 0.0

    def place(self, cells, tiles, parts=None):
        """Put drawn tiles [B, C, T, T] at cells; parts [B, 1, T, T]: above 0 where the network drew them, None: all."""
        self.drawn.update((cell, tile.clone()) for cell, tile in zip(cells, tiles.cpu()))
        if parts is not None:
            self.parts.update((cell, drawings.packed(part[0].numpy() > 0)) for cell, part in zip(cells, parts))

    def made(self, corner, size):
        """Which pixels of a window of a size (h, w) at a corner (y, x) are drawn, bool [h, w]; all others are the
        photo's."""
        seen, drawn = self.layout.seen_at(corner, size)
        for cell, (y, x) in self.grid.touching(corner, size):
            if cell in self.parts:
                here = np.s_[max(0, y):y + self.grid.tile, max(0, x):x + self.grid.tile]
                part = drawings.unpacked(self.parts[cell], self.grid.tile)[max(0, -y):, max(0, -x):]
                part = part[:drawn[here].shape[0], :drawn[here].shape[1]]
                own = seen[here] == np.ravel_multi_index(cell, self.grid.shape())
                drawn[here] &= part | ~own
        return drawn

    def drawn_before(self, cell, number):
        """Whether a cell was drawn in a pass before the one of a number."""
        return cell in self.drawn and self.order[cell] < number

    def cut(self, corner, size, before=math.inf):
        """A window of a size (h, w) at a corner (y, x) before a pass begins, normalised [C, h, w]; zero where there is
        nothing."""
        x, tile = torch.zeros(self.channels, *size), self.grid.tile
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

    def neighbours(self, cells):
        """Canvases [B, C, S, S] around cells and which neighbours exist, bool [B, 8]: those that another pass drew
        before, and real tiles, unless they are waiting to be drawn anew as the cell itself is."""
        rings = [self.cut(*self.grid.window(cell), self.order[cell]) for cell in cells]
        present = torch.zeros(len(cells), 8, dtype=torch.bool)
        for row, cell in zip(present, cells):
            for name, (there, _) in self.grid.around(cell).items():
                drawn = self.drawn_before(there, self.order[cell])
                row[NEIGHBOURS.index(name)] = bool(drawn or self.real[there] and not self.real[cell])
        return torch.stack(rings).to(self.device), present.to(self.device)


def make_sampler(photo, alphas_cumprod, sampler, steps, strength):
    """sample() for tiles of a photo: draw(net, rings, present, generators, sketch=None, parts=None, least=0,
    areas=None) yields as sample() does; least: what the strength is at least; areas: of each tile those of the photo
    that its references are not taken from, [(y, x, side)]."""
    bounds = [bound.to(alphas_cumprod.device) for bound in photo.bounds()]
    patches = patches_of(photo, alphas_cumprod.device)

    def draw(net, rings, present, generators, sketch=None, parts=None, least=0.0, areas=None):
        refer = referring(net, patches, areas or [()] * len(rings), rings, present, alphas_cumprod)

        def estimate(x_t, t):
            return predict_x0(net, x_t, t, rings, present, alphas_cumprod, GUIDANCE, None, refer(x_t, t))

        shape = (rings.shape[1], net.tile, net.tile)
        return sample(estimate, shape, generators, alphas_cumprod, bounds, sampler, steps, sketch, max(strength, least),
                      parts)

    return draw


def patches_of(photo, device):
    """The references.Patches of a Photo, none of them masked."""
    return references.Patches(photo.x.to(device), photo.mask and ~photo.mask.hidden().to(device))


def referring(net, patches, areas, rings, present, alphas_cumprod):
    """refer(x_t, t): what the network sees of references while a batch is drawn, looked for anew now and then."""
    if net.references is None:
        return lambda x_t, t: None
    where, kept = [(patches, part) for part in areas], {}

    def refer(x_t, t):
        now = t[0].item() / len(alphas_cumprod)
        if not kept or kept["at"] - now >= FIND_AGAIN:
            kept.update(at=now, seen=see_references(net, x_t, t, rings, present, where, alphas_cumprod))
        return kept["seen"]

    return refer


# What is drawn on is a canvas: the Canvas above, or one of repair.py and wang.py. It says
#
#     passes                      which cells are drawn, in lists, one list after another
#     noise_key(cell)             by which numbers a cell's noise is keyed
#     sketch(cell)                what it begins with, [C, T, T] or None, and which parts are drawn, [1, T, T] or None
#     strength(cell)              how noisy that is made at least, 0 to 1, the same for all of a list
#     areas(cell)                 what of the photo no references of it are taken from, [(y, x, side)]
#     neighbours(cells)           what is seen around them: rings [B, C, S, S], and which of the 8 exist, bool [B, 8]
#     place(cells, tiles, parts)  and takes the tiles that were drawn, [B, C, T, T]


def outpaint(net, canvas, passes, batch_size, draw, seed, group=processes.ALONE):
    """Draw the cells of passes on a canvas, in place; a generator that yields the number of tiles after each step.

    draw(net, rings, present, generators, sketch, parts, least, areas) is sample() with its settings. A tile's noise
    depends on (seed, row, column) alone; batches are filled up with copies, so that no tile depends on how many are
    drawn. Each process of a group draws a batch at a time.
    """
    for cells in passes:
        found = {}
        for cell in cells:
            found[cell] = canvas.sketch(cell)
            yield 0  # a stop need not wait for all sketches

        # where nothing is to be drawn the sketch is the tile
        ready = [cell for cell, (_, parts) in found.items() if parts is not None and not parts.any()]
        if ready:
            canvas.place(ready, *stacked(found, ready))

        rest = [cell for cell in cells if cell not in ready]
        batches = [rest[first:first + batch_size] for first in range(0, len(rest), batch_size)]
        for first in range(0, len(batches), group.world_size):
            together = batches[first:first + group.world_size]
            own = together[group.rank % len(together)]  # a process for which none is left draws a copy
            full = (own * batch_size)[:batch_size]
            rings, present = canvas.neighbours(full)
            generators = [seeds.torch_generator(seed, seeds.DRAWING, *canvas.noise_key(cell)) for cell in full]
            for _, x_t, _ in draw(net, rings, present, generators, *stacked(found, full, rings.device),
                                  canvas.strength(cells[0]), map(canvas.areas, full)):  # looked up where it is needed
                tiles = x_t
                yield sum(map(len, together))
            for batch, drawn in zip(together, group.all_gather(tiles)):
                canvas.place(batch, drawn, stacked(found, batch)[1])


def stacked(found, cells, device="cpu"):
    """Of {cell: (sketch, parts)} those of cells: [B, C, T, T] and [B, 1, T, T], or None for either."""
    pairs = zip(*(found[cell] for cell in cells))
    return [None if x[0] is None else torch.stack(x).to(device) for x in pairs]


def lay_out_blend(blend, grid, c, seed):
    """The BlendLayout of a Blend on a grid."""
    seen, canvases = blend_layouts.seen_in(blend, grid), {}
    for label, texture in enumerate(blend.textures):
        wanted = blend_layouts.wanted(grid, seen, label)
        if wanted:
            layout = lay_out(texture, c.LAYOUT, grid, seed, c.AUGMENT, wanted=wanted)
            canvases[label] = Canvas(layout, layout.channels(), "cpu")
    return blend_layouts.BlendLayout(blend, grid, seen, canvases, c.AUGMENT, c.REDRAW == "all")


def make_blender(blend, net, alphas_cumprod, sampler, steps, strength):
    """make_sampler for a Blend and the network of its textures; rings, sketches and what is drawn have the shares as
    further channels."""
    nets = [net.of(label) for label in range(len(blend.textures))]
    bounds = torch.stack([torch.stack(texture.bounds()) for texture in blend.textures]).to(alphas_cumprod.device)
    patches = [patches_of(texture, alphas_cumprod.device) for texture in blend.textures]

    def draw(_, rings, present, generators, sketch, parts, least, areas):
        sketch, shares = sketch.split([rings.shape[1] - len(nets), len(nets)], 1)
        rings, areas = rings[:, :sketch.shape[1]], list(areas)
        seen = [label for label in range(len(nets)) if shares[:, label].any()]
        refer = {label: referring(nets[label], patches[label], [part.get(label, ()) for part in areas], rings, present,
                                  alphas_cumprod) for label in seen}

        def mixed(estimates):
            return sum(shares[:, label, None] * estimates(label) for label in seen)

        def estimate(x_t, t):
            return mixed(lambda label: predict_x0(nets[label], x_t, t, rings, present, alphas_cumprod, GUIDANCE,
                                                  None, refer[label](x_t, t)))

        limits = [mixed(lambda label, k=k: bounds[label, k]) for k in (0, 1)]
        begin = sketch if strength < 1 else None
        for t, x_t, x0 in sample(estimate, sketch.shape[1:], generators, alphas_cumprod, limits, sampler, steps, begin,
                                 strength, parts):
            yield t, torch.cat([x_t, shares], 1), x0

    return draw


def draw_texture(photo, canvas, windows, paint, steps, drawing, group=processes.ALONE):
    """Draw a texture window by window, with a progress bar, and have them written; goes on where it was stopped.

    windows: [(corner (y, x), size (h, w))], see drawings.bands_of; paint(passes): outpaint() of the Canvas, which
    takes so many steps a tile; drawing: a drawings.Drawing. Returns the last window, normalised [C, h, w], and how many
    tiles there were left to draw.
    """
    done, canvas.drawn, canvas.parts = drawing.resume((canvas.channels, canvas.grid.tile, canvas.grid.tile))
    group.barrier()  # before the first process changes what the others read
    needs = [canvas.layout.needed(*window) for window in windows]
    last_use = {cell: k for k, passes in enumerate(needs) for cells in passes for cell in cells}
    left = sum(k >= done and cell not in canvas.drawn for cell, k in last_use.items())
    with StopSignals() as stop, group.bar(total=left * steps, unit="step", desc="drawing") as bar:
        for k in range(done, len(windows)):
            passes = [[cell for cell in cells if cell not in canvas.drawn] for cells in needs[k]]
            end = bar.n + steps * sum(map(len, passes))
            for count in paint(passes):
                bar.update(count)
                if group.any(stop.received):
                    drawing.keep(k, canvas.drawn, canvas.parts)
                    raise Stopped("stopped while drawing and saved; the same command goes on from there", stop.received)
            bar.update(max(0, end - bar.n))  # tiles of which nothing had to be drawn
            x = canvas.cut(*windows[k])
            canvas.drawn = {cell: tile for cell, tile in canvas.drawn.items() if last_use[cell] > k}
            drawing.write(photo.rendered(x), k + 1, canvas.drawn, canvas.parts)
    return x, left


# =============================================================================================
# 8. main
# =============================================================================================

NETWORK_CONSTANTS = ("TILE_SIZE", "WIDTHS", "TIMESTEPS")  # a model cannot even draw with others
TRAINING_CONSTANTS = ("EPOCH_TILES", "BATCH_SIZE", "LEARNING_RATE", "NEIGHBOUR_DROPOUT", "VALIDATION", "AUGMENT")
DRAWN, JUDGED = 0.85, 1.5  # usual share of the gaps with seams to draw; times what joining takes to judge them, too
RISEN = 0.03  # share by which the validation loss has to rise to be spoken of
ALPHAS = ("draw", "fill")
REDRAWS = ("seams", "gaps", "all")
CHOICES = {"ALPHA": ALPHAS, "REDRAW": REDRAWS, "SAMPLER": SAMPLERS, "LAYOUT": LAYOUTS, "TILEABLE": TILEABLE,
           "AUGMENT": tuple(AUGMENTS), "DEVICE": devices.CHOICES}


def main(argv=None):
    """Train on one photo and draw a texture; argv: overrides such as EPOCHS=0 (default: the command line's)."""
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
    DEVICE            = "auto"                  # "auto" | "cpu" | "cuda" | "mps" | "xpu": what computes, tried first
    FRESH             = False                   # True: put the photo's old checkpoint aside and start anew
    SAVE_EVERY        = 5                       # epochs between checkpoints
    PREVIEW_EVERY     = 10                      # epochs between previews
    CHECK             = None                    # a picture to be judged, without a model; nothing is learned or drawn
    JSON              = False                   # True: all figures as one JSON object, and nothing else, on stdout
    EXPORT            = ()                      # files for other programs, some of "glb", "mtlx", "tres", "usda"
    OUTPUT_DIR        = "samples"               # pictures go to a folder in here named after the photo
    CHECKPOINT_DIR    = "checkpoints"           # models go here
    # fmt: on
    with processes.joined() as group:
        c = constants.settings(main, locals(), sys.argv[1:] if argv is None else argv)
        c = constants.check_rules(c, CHOICES, group.world_size)
        with events.as_json() if c.JSON else contextlib.nullcontext():
            if c.CHECK is not None:
                events.print_figures(checks.check(c.CHECK))
            elif c.EACH:
                each.work_through(c, HERE, functools.partial(learn_and_draw, group=group))
            else:
                learn_and_draw(c, group)


def learn_and_draw(c, group):
    """Train on what IMAGE names and draw its textures; returns their paths."""
    with contextlib.ExitStack() as stack:
        paths = several.paths_of(c, HERE, stack)
        taken = several.described(c.IMAGE, paths)
        for sentence in taken:  # before anything can fail
            group.say(f"note: {sentence}")

        photo = load_textures(paths, c)
        if photo.art is not None:
            c.TILE_SIZE = pixel_art.tile_of(c.TILE_SIZE, photo.x.shape[1:], tile_multiple(c.WIDTHS))
        blend = blend_of(photo, c) if c.BLEND else None
        folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, photo.name)
        with files.claimed(folder, checkpoint, photo, group) as results:
            trainer = prepare_trainer(photo, c, checkpoint, group)
            announce(blend or photo, trainer, c, taken)
            if group.rank == 0 and (c.CORNERS or c.EVEN_LIGHT):
                show_prepared(paths, photo, c, results)
            trained = run_training(photo, trainer, c, results, checkpoint)
            for texture in textures_of(photo, trainer, c, blend):
                draw_samples(*texture, results, trained)
    return results.drawn()


def textures_of(photo, trainer, c, blend=None):
    """What is drawn as (Photo, Trainer, draw, constants): the photo, or of several textures each or the one that
    TEXTURE names; or their Blend."""
    settings = c.SAMPLER, c.SAMPLE_STEPS, c.STRENGTH
    if blend is not None:
        yield blend, trainer, make_blender(blend, trainer.ema, trainer.alphas_cumprod, *settings), c
    elif not photo.textures:
        yield photo, trainer, make_sampler(photo, trainer.alphas_cumprod, *settings), c
    else:
        for label, texture in enumerate(photo.textures):
            if c.TEXTURE in (None, texture.name):
                draw = make_sampler(texture, trainer.alphas_cumprod, *settings)
                yield texture, trainer.of(label), draw, SimpleNamespace(**{**vars(c), "TEXTURE": texture.name})


def draw_samples(photo, trainer, draw, c, results, trained):
    """Show what was learned, and draw SAMPLES textures of a photo or a Blend, and its repairs."""
    if trainer.group.rank == 0 and not isinstance(photo, Blend):
        show_learned(photo, trainer, draw, c, results)
    for seed in range(c.SEED, c.SEED + c.SAMPLES):
        if wants_repair(photo):
            repair_photo(photo, trainer, draw, c, seed, results)
        if wants_texture(photo, c):
            (make_wang_tiles if c.WANG else make_texture)(photo, trainer, draw, c, seed, results, trained)


def picture_of(results, name, c):
    """The path of a picture <name>.png, of several textures <name>_<texture>.png."""
    return results.path(f"{name}_{c.TEXTURE}.png" if c.TEXTURE else f"{name}.png")


def show_learned(photo, trainer, draw, c, results):
    """Draw the pictures that show what was learned."""
    for name, held_out in (("train_predictions", False), ("val_predictions", True)):
        pictures.draw_predictions(picture_of(results, name, c), photo, trainer, draw, held_out)
    pictures.draw_steps(picture_of(results, "diffusion_steps", c), photo, trainer, draw)


def show_prepared(paths, photo, c, results):
    """Draw prepared.png, unless CORNERS = "auto" found none and the light was left as it was."""
    for path, texture in zip(paths, photo.textures or [photo]):
        corners, _ = corners_in(path, c.CORNERS)
        if corners or c.EVEN_LIGHT:
            before, name = original_pixels(path, None if corners else c.CROP), f"_{texture.name}" * bool(photo.textures)
            pictures.draw_prepared(results.path(f"prepared{name}.png"), before, texture.pixels(texture.x), corners)


def prepare_trainer(photo, c, checkpoint, group=processes.ALONE):
    """A Trainer that is new, begins from the prior, or is as the checkpoint left it."""
    textures = photo.textures or [photo]
    for texture in textures:
        constants.check_sizes(*texture.x.shape[1:], c.TILE_SIZE, tile_multiple(c.WIDTHS))
    torch.set_float32_matmul_precision("high")
    device = group.pick_device(c.DEVICE)
    if c.VALIDATION is None:
        masked = photo.mask is not None and photo.mask.hidden()[-c.TILE_SIZE:, -c.TILE_SIZE:].any()
        c.VALIDATION = int(not masked and all(math.prod(side // c.TILE_SIZE for side in texture.x.shape[1:]) >= 16
                                              for texture in textures))
    parts = [NeighbourDataset(texture, c.TILE_SIZE, c.VALIDATION, device, c.AUGMENT) for texture in textures]
    dataset = SeveralDatasets(parts) if photo.textures else parts[0]
    state = checkpoints.find_state(checkpoint, photo, c, NETWORK_CONSTANTS, TRAINING_CONSTANTS, HERE, group)
    prior, digest = {}, ""
    if not state and c.PRIOR is not None:
        prior, digest = checkpoints.load_prior(files.find_file(c.PRIOR, HERE), c.WIDTHS)
    weights = prior or state.get("ema")
    try:
        channels = channels_of(weights, photo) if weights else None
        if prior:
            channels = max(channels, len(photo.x))
        net = build_net(photo, c.TILE_SIZE, c.WIDTHS, c.SEED, device, channels, context=len(photo.textures),
                        refers=bool(weights) and refers(weights))
        net.precision = group.broadcast(devices.pick_precision(device, state.get("precision")))
        trainer = Trainer(net, dataset, cosine_schedule(c.TIMESTEPS).to(device), c.BATCH_SIZE, c.LEARNING_RATE,
                          c.NEIGHBOUR_DROPOUT, c.SEED, group)
        if state:
            trainer.load(state)
        elif prior:
            trainer.begin_from(prior, digest)
    except ValueError as error:
        raise RunError(f"{printable(c.PRIOR if prior else checkpoint)} cannot be used: {error}") from None
    return trainer


def wants_repair(photo):
    """Whether the photo is to be repaired."""
    return photo.mask is not None and photo.mask.wanted


def wants_texture(photo, c):
    """Whether a texture is drawn, not only the photo repaired."""
    return not wants_repair(photo) or c.SCALE > 1 or c.OUTPUT_SIZE is not None


def grid_of(photo, c):
    """The Grid of the texture, or of all Wang tiles."""
    if c.WANG:
        return Grid(c.TILE_SIZE, *wang.grid_of(photo.x, c.TILE_SIZE, HALO), (True, True))
    if c.OUTPUT_SIZE == constants.ENDLESS:
        x, y, *size = c.REGION
        return endless_grid((y, x), size[::-1], c.TILE_SIZE, 2 if c.REDRAW == "all" else 1)
    if c.OUTPUT_SIZE and photo.art:
        return make_grid(*(side * photo.art.factor for side in c.OUTPUT_SIZE[::-1]), c.TILE_SIZE, c.TILEABLE)
    width, height = c.OUTPUT_SIZE or [side * c.SCALE for side in photo.x.shape[:0:-1]]
    return make_grid(height, width, c.TILE_SIZE, c.TILEABLE)


def window_of(grid, region):
    """The part of the texture to be drawn as (corner (y, x), size (h, w)); UserError if it is not inside."""
    height, width = grid.size
    x, y, w, h = region or (0, 0, width, height)
    if grid.first is None and (min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height):
        raise UserError(f"REGION = {tuple(region)} does not lie inside the texture of {width} x {height} pixels")
    return (y, x), (h, w)


def load_guide(photo, c):
    """The Guide of the texture, or None."""
    if c.GUIDE is None:
        return None
    pixels = guides.read_guide(files.find_file(c.GUIDE, HERE), grid_of(photo, c).size)
    return guides.guide_of(pixels, photo, c.TILE_SIZE, c.GUIDE_STRENGTH)


def announce(photo, trainer, c, said=()):
    """Say what was read, but for the notes that were said, what is going to happen and what it will cost."""
    say, net, grid = trainer.group.say, trainer.net, grid_of(photo, c)
    for note in photo.notes:
        if note not in said:
            say(f"note: {note}")
    textures = photo.textures or [photo]
    for texture in textures:  # before any training
        window_of(grid_of(texture, c), c.REGION)
        guide = load_guide(texture, c)
    if guide is not None and guide.wish is not None:
        say(f"note: GUIDE is transparent in {1 - guide.wish.mean():.0%} of it, where nothing is asked for")
    _, (height, width) = window_of(grid, c.REGION)
    exports.check(c.EXPORT, photo, (height, width))
    most = sum(channels * depth / 8 + 0.01 for channels, depth, _ in photo.formats()) * height * width + 1e6
    files.check_room(c.OUTPUT_DIR, most, f"a texture of {width} x {height} pixels")
    sizes = ", ".join(f"{texture.x.shape[2]} x {texture.x.shape[1]}" for texture in textures)
    say(f"{photo.name}: {sizes} pixels, network of "
        f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} million weights, {net.position.device.type}, "
        f"{str(net.precision).removeprefix('torch.')}" + ", begun from the prior" * bool(trainer.prior))
    if wants_repair(photo):
        say(f"MASK: {photo.mask.hidden().float().mean():.1%} of the photo is drawn anew, in {tiles_of_hole(photo, c)} "
            "tiles; the model learns from the rest")
    steps = max(0, c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE - trainer.step)
    training, drawing = measure_speed(trainer, steps > 0)
    count = c.SAMPLES * (1 if c.TEXTURE or c.BLEND else len(textures))
    tiles = c.SAMPLES * tiles_of_hole(photo, c)
    drawing *= c.SAMPLE_STEPS / c.BATCH_SIZE
    spent = drawing * tiles
    if wants_texture(photo, c):
        tiles = count * drawn_share(photo, c, grid) * math.prod(grid.shape()) * height * width / math.prod(grid.size)
        seamed = c.REDRAW == "seams" and c.LAYOUT != "rows" and c.STRENGTH < 1
        spent += tiles * (DRAWN * drawing + sketch_seconds(photo.x.cpu(), c.TILE_SIZE) if seamed else drawing)
    memory = devices.peak_memory(net.position.device)
    say(f"expected: training {duration(steps * training)}, drawing {duration(spent)} for {count} x "
        f"{width} x {height} pixels" + (f", memory {memory / 1e9 * 1.1:.1f} GB" if memory else ""))


def duration(seconds):
    """Seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def sketch_seconds(x, tile):
    """About how long it takes to put one gap together from a photo x [C, H, W] and to see what is to be drawn of it."""
    sides = dict(zip(matching.SIDES, split_tiles(x, tile).flatten(0, 1)))
    return JUDGED * min(devices.timed(lambda: sketches.joined(sides)) for _ in range(2))


def drawn_share(photo, c, grid):
    """The share of a texture's tiles that the network draws."""
    if c.WANG:
        return wang.drawn(grid) / len(grid.cells())
    if c.LAYOUT == "rows":
        return 1 - photo.x[0].numel() / math.prod(grid.size)
    return 1 if c.REDRAW == "all" else 0.5


def tiles_of_hole(photo, c):
    """How many tiles repair a photo."""
    return 0 if not wants_repair(photo) else sum(map(len, holes.plan(photo.mask.hidden(), c.TILE_SIZE, HALO)))


def run_training(photo, trainer, c, results, checkpoint):
    """Train if there is something left to do, with checkpoints, loss curve and previews; returns (seconds, tiles)."""
    group, epoch_steps = trainer.group, c.EPOCH_TILES // c.BATCH_SIZE
    if trainer.step >= c.EPOCHS * epoch_steps and (not c.EPOCHS or trainer.reported == trainer.step):
        group.say(f"the model has seen {trainer.step / epoch_steps:g} epochs: drawing only")
        return 0.0, 0
    pictures.new_figure(1, 1)  # matplotlib is found to be broken before the training, not during it
    start, first = time.perf_counter(), trainer.step
    made_of = {"constants": {name: getattr(c, name) for name in NETWORK_CONSTANTS + TRAINING_CONSTANTS},
               "digest": photo.digest, "size": tuple(photo.x.shape[1:])}

    def save():
        if group.rank == 0:
            checkpoints.save(checkpoint, {**made_of, **trainer.state()})

    def report(epoch):
        if epoch % c.SAVE_EVERY == 0 and trainer.step < trainer.end and not trainer.in_a_row:
            save()
        if group.rank:
            return
        if epoch % c.PREVIEW_EVERY == 0:
            for texture, view, draw, its in textures_of(photo, trainer, c):
                pictures.draw_preview(picture_of(results, "preview", its), texture, view, draw)
        pictures.save_curve(results.path("loss.csv"), trainer.curve, c.BATCH_SIZE)
        pictures.draw_loss(results.path("loss.png"), trainer.curve, c.BATCH_SIZE)

    with StopSignals() as stop:
        train(trainer, c.EPOCHS, epoch_steps, stop, save, report)
    if trainer.skipped:
        group.say(f"note: {trainer.skipped} of {trainer.step} steps were left out, "
                  "their loss or gradient was not finite")
    best = lowest_validation(trainer.curve)
    if best is not None:
        group.say(f"note: the validation loss was lowest after {best / epoch_steps:g} epochs and has risen since: the "
                  f"model begins to know the photo by heart. EPOCHS={best // epoch_steps} FRESH=True may draw better")
    return time.perf_counter() - start, (trainer.step - first) * c.BATCH_SIZE


def lowest_validation(curve):
    """The step of the lowest validation loss, if that of the last was higher by RISEN; else None."""
    losses = {step: held for step, _, held in curve if held is not None}
    if not losses or list(losses.values())[-1] <= (1 + RISEN) * min(losses.values()):
        return None
    return min(losses, key=losses.get)


def plan(photo, c, seed):
    """The Layout of the texture of a seed, and what its tiles begin with, sketch(cell), or None."""
    grid = grid_of(photo, c)
    if isinstance(photo, Blend):
        layout = lay_out_blend(photo, grid, c, seed)
        return layout, functools.partial(layout.begin, c.REDRAW)
    layout = lay_out(photo, "wang" if c.WANG else c.LAYOUT, grid, seed, c.AUGMENT, c.REDRAW == "all",
                     guide=load_guide(photo, c))
    if c.STRENGTH == 1 or not layout.claims:
        return layout, None
    if c.REDRAW == "seams":
        return layout, functools.partial(layout.seamed, judge_of(photo, c.AUGMENT))
    return layout, lambda cell: (layout.sketch(cell), None)


def results_of(photo, results, name):
    """The paths of the files of a picture: <name>.png, or a folder of that name with a material's maps."""
    if photo.maps is None or not photo.maps.folder:
        return [results.path(f"{name}.png")]
    return [results.path(f"{name}/{file.name}.png") for file in photo.maps.files]


def repair_photo(photo, trainer, draw, c, seed, results):
    """Draw anew what the mask of a photo hides, save the photo, and print how visible the mask's edge is."""
    start, hole = time.perf_counter(), repair.Hole(photo, c.TILE_SIZE, trainer.alphas_cumprod.device, c.STRENGTH < 1)
    draw_at_once(trainer, hole, draw, c, seed, "repairing")
    if trainer.group.rank:
        return

    name = "repaired" + f"_seed{seed}" * (seed > 0)
    paths = results_of(photo, results, name)
    repaired = photo.repaired(hole.x)
    for path, pixels, (*_, srgb) in zip(paths, repaired, photo.formats()):
        png.save_png(path, pixels, text_of(c, seed), srgb)
    exported = exports.save(c.EXPORT, photo, paths, repaired[0].shape[:2], results, name)

    first, second = holes.edge_ratios(repaired[0], photo.mask.hidden().numpy())
    figures = {"repaired": paths[0] if len(paths) == 1 else paths[0].parent, "repair_seed": seed,
               "repair_seconds": f"{time.perf_counter() - start:.1f}", "repair_edge_ratio_1st": f"{first:.3f}",
               "repair_edge_ratio_2nd": f"{second:.3f}", **exported}
    events.print_figures(figures)


def draw_at_once(trainer, canvas, draw, c, seed, doing):
    """Draw on a canvas all that there is to draw, with a progress bar; what is stopped is not kept. Batches are no
    larger than a pass: few tiles need not be filled up with copies."""
    group = trainer.group
    with StopSignals() as stop, group.bar(total=c.SAMPLE_STEPS * sum(map(len, canvas.passes)), unit="step",
                                          desc=doing) as bar:
        for cells in canvas.passes:
            for count in outpaint(trainer.ema, canvas, [cells], min(c.BATCH_SIZE, len(cells)), draw, seed, group):
                bar.update(count)
                if group.any(stop.received):
                    raise Stopped(f"stopped while {doing}; the same command does it from its start", stop.received)


def text_of(c, seed):
    """What the metadata of a picture says, {key: value}."""
    return {"Software": program.versions(torch.__version__), "seed": str(seed), "constants": repr(vars(c))}


def make_texture(photo, trainer, draw, c, seed, results, trained):
    """Draw and save the texture of one seed with its layout, and print the run's figures; trained: (seconds, tiles)."""
    net, group, (name, special) = trainer.ema, trainer.group, constants.names_of(c, seed)
    paths = group.broadcast(results_of(photo, results, f"output_texture_{name}") if group.rank == 0 else None)
    layout, begin = plan(photo, c, seed)
    corner, size = window_of(layout.grid, c.REGION)
    windows = drawings.bands_of(corner, size, c.TILE_SIZE)
    made_of = [photo.digest, seed, sorted(vars(c).items()), layout.source, *(layout.guide or ()),
               *net.state_dict().values()]
    written = size if photo.art is None else photo.art.size(size)
    drawing = drawings.Drawing(paths, photo.formats(), written, windows, text_of(c, seed), made_of, group)
    canvas = Canvas(layout, layout.channels(), trainer.alphas_cumprod.device, begin)
    paint = functools.partial(outpaint, net, canvas, batch_size=c.BATCH_SIZE, draw=draw, seed=seed, group=group)
    start = time.perf_counter()
    with growing.shown(canvas, corner, size, photo.pixels):
        x, tiles = draw_texture(photo, canvas, windows, paint, c.SAMPLE_STEPS, drawing, group)
    drawn = time.perf_counter() - start, tiles
    if group.rank:
        return
    events.tell("tiles", name=name, **layout.described(corner, size),
                parts=drawings.described(canvas.parts, layout.grid.tile))
    corner, pixels = windows[-1][0], photo.pixels(x)  # of the last band, all of the texture, if it is not large
    made = canvas.made(corner, pixels.shape[:2])
    pictures.draw_layout(results.path(f"layout{special}.png"), pixels, made)
    if c.TILEABLE != "none" and len(windows) == 1 and not c.REGION:
        whole = pixels if photo.art is None else photo.art.reduced(pixels)
        pictures.draw_wrapped(results.path(f"output_texture_{name}_wrapped.png"), whole, c.TILEABLE)
    output = paths[0]
    figures = measures.run_figures(pixels, layout, photo, corner, drawn, trained, made, canvas.device)
    if photo.maps is not None and photo.maps.folder:
        output = output.parent
        shading.draw_material(results.path(f"material{special}.png"), photo.maps, photo.values(x).numpy())
        figures.update(measures.map_figures(photo.maps, photo.rendered(x), layout, corner))
    figures.update(exports.save(c.EXPORT, photo, paths, written, results, f"output_texture_{name}"))
    figures = {"output": output, "size": f"{written[1]} x {written[0]}", "seed": seed, **figures}
    events.print_figures(figures)


def make_wang_tiles(photo, trainer, draw, c, seed, results, trained):
    """Draw and save the Wang tiles of one seed, with their table and a picture laid of them, and print the figures."""
    group, start, name = trainer.group, time.perf_counter(), f"output_texture_{constants.names_of(c, seed)[0]}"
    layout, begin = plan(photo, c, seed)
    canvas, size = Canvas(layout, layout.channels(), trainer.alphas_cumprod.device, begin), layout.grid.size
    sheet = wang.Sheet(canvas, HALO, photo.matching_weights(), seed, c.STRENGTH < 1)
    draw_at_once(trainer, sheet, draw, c, seed, "drawing tiles")
    if group.rank:
        return
    drawn, x = (time.perf_counter() - start, wang.drawn(layout.grid)), canvas.cut((0, 0), size)
    paths, pixels = results_of(photo, results, name), photo.pixels(x)
    for path, rendered, (*_, srgb) in zip(paths, photo.rendered(x), photo.formats()):
        png.save_png(path, rendered, text_of(c, seed), srgb)
    made = canvas.made((0, 0), size)
    pictures.draw_layout(results.path(name.replace("output_texture", "layout") + ".png"), pixels, made)
    figures = {"output": paths[0] if len(paths) == 1 else paths[0].parent, "size": f"{size[1]} x {size[0]}",
               "seed": seed, **measures.run_figures(pixels, layout, photo, (0, 0), drawn, trained, made, canvas.device),
               **wang.save(results, name, layout.grid, pixels, seed)}
    events.print_figures(figures)


def run():
    """The script as a program; returns the exit code."""
    return exit_codes.run(main)


if __name__ == "__main__":
    sys.exit(run())
