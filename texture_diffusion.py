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

All else is done in texture_tools/, a room for each service; docs/MAP.md says which.

Shapes in comments: B batch, C channels (3, 1 for a grey photo, more for a material's maps or with
transparency), H W photo height and width, T tile side, S canvas side (tile and a halo on each side), all in pixels.
"""

import os
import signal
import sys

if RUN := __name__ == "__main__" or os.path.basename(sys.argv[0]) in ("texture-diffusion", "texture-diffusion.exe"):
    # until exit_codes.run() looks after them: importing torch takes seconds
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, lambda number, frame: os._exit(128 + number))

import bisect
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
    from texture_tools import exit_codes

    if RUN:
        exit_codes.foresee(__file__)  # --help, --version, mistyped words

    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    from texture_tools import (
        archives,
        blending,
        checkpoints,
        conspicuous,
        constants,
        devices,
        drawings,
        endless,
        events,
        files,
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
        png,
        processes,
        program,
        seams,
        seeds,
        several,
        shading,
        sketches,
        wang,
    )
    from texture_tools.errors import DiskError, RunError, Stopped, UserError, first_line, printable
    from texture_tools.muon import Muon
    from texture_tools.photo_facts import rotated, split_bands
    from texture_tools.signals import StopAtOnce, StopSignals
except (ImportError, OSError) as problem:  # OSError: a library of torch's
    if "texture_tools" in (getattr(problem, "name", None) or ""):
        advice = f"the folder texture_tools, which belongs beside this script, is missing or not whole ({problem}): " \
                 "copy it from where the script came from, or download the whole repository"
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
        if self.maps is not None:
            return self.maps.rendered(self.values(x).numpy())
        return [self.pixels(x) if self.depth == 8 else materials.to_pixels(self.values(x).numpy(), 16)]

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
               mask=None, tile=128):
    """Read a picture file, or a folder or ZIP of a material's maps, as a Photo, as photos.read_photo and
    materials.read_material do; UserError with a sentence for the person.

    depth: 8 or 16 bits a channel of what is written, None: as many as the file has; alpha: in ALPHAS; mask: as in
    masks.read_mask, or None: what it hides is filled with squares of half a tile's side, see holes.sources_of.
    """
    if archives.is_archive(path):
        with archives.unpacked(path) as folder:
            return load_photo(folder, crop, max_side, even, corners, aspect, depth, alpha, mask, tile)

    name, read_at = files.name_of(path), None if depth == 16 else depth  # a file of 8 bits is the same photo for all
    corners, found = corners_in(path, corners)
    hidden = None if mask is None else masks.read_mask(mask, path)
    if os.path.isdir(path):
        values, maps, notes = materials.read_material(path, crop, max_side, even, corners, aspect, depth, hidden)
        if mask is None:
            return normalise_maps(values, maps, found + notes, name)
        before, share = values[:-1], masks.as_share(values[-1] * 127.5 + 127.5)
        y, x = holes.sources_of(before, masks.checked(share, path, tile), tile // 2, maps.weights())
        return with_mask(normalise_maps(before[:, y, x], maps, found + notes, name), before, share)
    pixels, notes = photos.read_photo(path, crop, max_side, even, corners, aspect, read_at,
                                      alpha == "draw" or mask == "alpha", hidden)
    if mask is not None:
        pixels, share = masks.taken_off(pixels, opaque=mask == "alpha")
        before = materials.as_values(pixels)
        y, x = holes.sources_of(before, masks.checked(share, path, tile), tile // 2)
        pixels = pixels[y, x]
        if max(crop[2:] if crop else hidden.shape) > max_side:
            notes.append(f"repaired.png has that size, too; MAX_SIDE = {max(hidden.shape)} keeps the photo's own")
    if pixels.shape[2:] == (4,):
        photo = normalise_maps(*materials.with_opacity(pixels, name), found + notes, name)
    else:
        photo = normalise(pixels, name, found + notes)
    photo = photo if depth is None else photo.written_with(depth)
    return photo if mask is None else with_mask(photo, before, share)


def with_mask(photo, before, share):
    """A Photo that was filled, with the mask [H, W] and the values [C or more, H, W] from before."""
    mask = masks.Mask(share, torch.from_numpy(before[:len(photo.x)]))
    return photo._replace(mask=mask, digest=mask.digest())


def load_textures(paths, c):
    """The Photo at one path, or one that stands for the textures at several, all with as many channels and bits as the
    richest has. UserError with a sentence for the person."""
    read = [load_photo(path, c.CROP, c.MAX_SIDE, c.EVEN_LIGHT, c.CORNERS, c.ASPECT, c.DEPTH, c.ALPHA, c.MASK,
                       c.TILE_SIZE) for path in paths]
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
    return (corners, []) if corners != "auto" else perspective.find_corners(original_pixels(path, None))


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
    path = files.find_file(c.BLEND, HERE)
    shares, c.OUTPUT_SIZE = blending.read_map(path, len(photo.textures), c.OUTPUT_SIZE, c.TILE_SIZE)
    blend = Blend(*photo._replace(digest=drawings.digest_of_all([photo.digest, shares])))
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


def grid_offsets(side, tile):
    """Offsets of the fewest tiles that cover side pixels; the last one is moved inside."""
    count = math.ceil(side / tile)
    return [min(k * tile, side - tile) for k in range(count)]


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

HALO = 16  # pixels of each neighbour that the network sees
NEIGHBOURS = ("NW", "N", "NE", "W", "E", "SW", "S", "SE")
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


def region_map(tile, halo):
    """Region number 0..8 of each canvas pixel, [S, S] int64, 4 for the tile."""
    line = torch.ones(tile + 2 * halo, dtype=torch.long)
    line[:halo], line[halo + tile:] = 0, 2
    return line[:, None] * 3 + line


def keep_mask(pattern):
    """Which neighbours a pattern such as "N W E S" keeps: bool [8] in the order of NEIGHBOURS."""
    kept = pattern.split()
    return torch.tensor([name in kept for name in NEIGHBOURS])


def with_tile(present):
    """bool [B, 8] of neighbours to bool [B, 9] of regions: the tile itself always exists."""
    return torch.cat([present[:, :4], torch.ones_like(present[:, :1]), present[:, 4:]], 1)


def without_tile(present):
    """bool [B, 9] of regions to bool [B, 8] of neighbours."""
    return torch.cat([present[:, :4], present[:, 5:]], 1)


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


# For textures without a direction the photo is turned and mirrored, too. An orientation: (quarter turns, mirrored).
AUGMENTS = {"none": ((0, False),), "flip_x": ((0, False), (0, True)),
            "flips": ((0, False), (0, True), (2, False), (2, True)),
            "rotations": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))}


def oriented(x, turns, mirrored, vector=None):
    """x [..., H, W] after quarter turns, then mirrored left to right.

    vector: the first of two channels, of [..., C, H, W], that point to the right and down, and turn with the picture.
    """
    x = torch.rot90(x, turns, (-2, -1))
    x = x.flip(-1) if mirrored else x
    if vector is not None:
        x = x.clone()
        right, down = x[..., vector, :, :].clone(), x[..., vector + 1, :, :].clone()
        for _ in range(turns):  # what points to the right points up after a quarter turn, what points down to the right
            right, down = down, -right
        x[..., vector, :, :], x[..., vector + 1, :, :] = -right if mirrored else right, down
    return x


def cut_windows(x, ys, xs, side):
    """Windows [B, C, side, side] of x [C, H, W] with their upper left corners at ys, xs [B]."""
    span = torch.arange(side, device=x.device)
    rows, columns = ys[:, None] + span, xs[:, None] + span
    return x[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)


def crop_middle(x, side):
    """The middle [..., side, side] of x [..., h, h], a view."""
    cut = (x.shape[-1] - side) // 2
    return x[..., cut:cut + side, cut:cut + side]


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

    def examples(self, count, held_out):
        """Canvases [B, C, S, S] and the checkerboard's neighbours, bool [B, 8], to be shown: of held-out tiles, or of
        training tiles spread evenly."""
        offsets = self.validation_offsets()
        if not (held_out and len(offsets)):
            whole = self.table[self.available(self.table).all(1)]  # those with all 8 neighbours
            whole = whole if len(whole) else self.table  # beside a mask there may be none
            offsets = whole[torch.linspace(0, len(whole) - 1, count + 2, device=whole.device).long()[1:-1]]
        offsets = offsets[torch.arange(count, device=offsets.device) % len(offsets)]
        return self.windows(offsets), self.checkerboard(offsets)

    def checkerboard(self, offsets):
        """Those neighbours of the checkerboard's pattern that exist, bool [B, 8]."""
        return self.available(offsets) & keep_mask(CHECKERBOARD).to(offsets.device)

    def batch(self, count, share, generator):
        """A training batch: canvases [B, C, S, S] and the neighbours to be shown, bool [B, 8]."""
        pick = torch.randint(len(self.table), (count,), generator=generator, device=self.table.device)
        windows, exists = self.windows(self.table[pick]), self.available(self.table[pick])
        if len(self.orientations) > 1:
            windows, exists = self.augment(windows, exists, generator)
        return windows, exists & dropout_masks(count, share, generator)

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
        """As that of NeighbourDataset, and the labels, one-hot [B, textures]: as many of each as can be, at random
        places, since a place in the batch is a noise level."""
        first = torch.randint(len(self.parts), (), generator=generator, device=generator.device)
        places = torch.randperm(count, generator=generator, device=generator.device)
        labels = (first + places) % len(self.parts)
        found = [self.parts[label].batch(1, share, generator) for label in labels.tolist()]
        return *map(torch.cat, zip(*found)), F.one_hot(labels, len(self.parts)).float()


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
    on, 0 for none.
    """

    def __init__(self, channels, tile, widths, halo=HALO, unshuffle=UNSHUFFLE, context=0):
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

    def initialise(self):
        """All rules of initialisation, in one place; torch's defaults where nothing is said."""
        nn.init.normal_(self.position, std=0.1)  # different from the start, small beside the stem's output
        for module in self.modules():
            if isinstance(module, Block):  # each block begins as the identity, whatever the time
                for layer in (module.conv2, module.time):
                    nn.init.zeros_(layer.weight)
                    nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.head_out.weight)  # the first prediction is the texture's mean
        nn.init.zeros_(self.head_out.bias)

    def canvas(self, x_t, ring, present):
        """The tile x_t [B, C, T, T] among those neighbours of ring [B, C, S, S] that are present, bool [B, 8]; zero,
        which is the mean colour, where there is none."""
        canvas = ring * with_tile(present)[:, self.region][:, None]
        crop_middle(canvas, self.tile)[:] = x_t
        return canvas.contiguous(memory_format=torch.channels_last)

    def forward(self, x_t, ring, present, time, context=None):
        """x_t [B, C, T, T] noisy tile, ring [B, C, S, S] whose middle is ignored, present bool [B, 8],
        time [B] in (0, 1], context [B, length] or None for zeros; returns the two parts of predict_x0: what is added
        to the filtered x_t, [B, C, T, T], and the gates of its bands, [B, bands, T, T]."""
        canvas = self.canvas(x_t, ring, present)
        with torch.autocast(x_t.device.type, self.precision, enabled=self.precision != torch.float32):
            out = self.denoise(canvas, with_tile(present), time, context).float()
        return out[:, :x_t.shape[1]], out[:, x_t.shape[1]:]

    def denoise(self, canvas, present, time, context):
        """From the canvas [B, C, S, S] to the head's output [B, C + bands, T, T]; present bool [B, 9]."""
        emb = self.time(time_features(time))
        context = self.label if context is None else context
        if context is not None:
            emb = emb + self.context(context)
        x = F.pixel_unshuffle(canvas, self.unshuffle)
        where = self.region[::self.unshuffle, ::self.unshuffle]
        position = self.position[torch.arange(9, device=where.device), present.long()]  # [B, 9, c]
        h = self.stem(x.contiguous(memory_format=torch.channels_last))
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
        return self.head(F.pixel_shuffle(self.conv_out(h), self.unshuffle // self.head_unshuffle), canvas, present, emb)

    def head(self, h, canvas, present, emb):
        """What is left to do for the finest detail, from the U-Net's output h: the tile and the gates.

        Lines have to meet pixel by pixel at the border. Filters see the noisy tile and the clean neighbours apart,
        and h chooses at each place how much of each filter to take: more of the neighbours, the nearer they are.
        """
        side = self.tile + 2 * min(CROP_MARGIN, self.halo)
        canvas, region = (crop_middle(x, side) for x in (canvas, self.region[None, None]))
        centre = (region == 4).to(canvas.dtype)
        known = present[:, region[0, 0]][:, None] * (1 - centre)
        seen = F.pixel_unshuffle(torch.cat([canvas * centre, canvas * known, known], 1), self.head_unshuffle)
        h = crop_middle(h, seen.shape[-1])
        h, seen = (x.to(h.dtype, memory_format=torch.channels_last) for x in (h, seen))
        h = F.silu(self.head_in(torch.cat([h, seen], 1))) + self.filters(seen) * self.choice(h)
        h = crop_middle(self.head_out(self.head_block(h, emb)), self.tile // self.head_unshuffle)
        return F.pixel_shuffle(h, self.head_unshuffle)


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


def predict_x0(net, x_t, t, ring, present, alphas_cumprod, guidance=0.0, context=None):
    """The estimate of x0 [B, C, T, T], unclipped; t [B] int64, the rest as in UNet.forward.

    What the network draws is added to x_t, under the linear filter that is best for the photo's powers (Wiener) and
    gated by the network at each pixel of each band: where the noise is weaker than the detail, the detail need not
    pass through the network. (v-prediction adds all of x_t, which left noise at all levels.)

    A network that hesitates between two shapes draws their mean, and what is drawn lacks contrast at all scales.
    guidance takes the estimate by this share further away from that of a worse model of the same photo, the filter
    alone, which knows no shapes (autoguidance, arXiv 2406.02507, with guidance = w - 1).
    """
    axes, signal = net.facts(context)
    x_t, ring = rotated(x_t, axes), rotated(ring, axes)
    bands = wiener_bands(net, x_t, ring, present, per_sample(alphas_cumprod, t), signal)
    drawn, gates = net(x_t, ring, present, (t + 1) / len(alphas_cumprod), context)
    x0 = drawn + (2 * gates.sigmoid()[:, :, None] * bands).sum(1)
    return rotated(torch.lerp(bands.sum(1), x0, 1 + guidance) if guidance else x0, axes.mT)


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
    """A UNet that knows a Photo, or several textures, with reproducible initial weights, channels_last, on the device.
    channels: of the network, the photo's or more; options: of UNet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.seed_sequence(seed, seeds.INITIAL).generate_state(1)[0]))
        net = UNet(channels or len(photo.x), tile, widths, **options)
    net.know(facts_of(photo, channels or len(photo.x)))
    return net.to(device, memory_format=torch.channels_last)


def facts_of(photo, channels):
    """A Photo's photo_facts.PhotoFacts for a network of so many channels; those of several textures stacked."""
    if photo.textures:
        facts = zip(*(facts_of(texture, channels) for texture in photo.textures))
        return photo_facts.PhotoFacts(*map(torch.stack, facts))
    colours = len(photo.x) if photo.maps is None else photo.maps.colours()
    return photo_facts.facts_of(photo.x.cpu(), channels, colours)


def channels_seen(weights):
    """How many channels a network with such weights {name: tensor} sees; ValueError if they are of none."""
    try:
        return weights["stem.weight"].shape[1] // UNSHUFFLE**2
    except (KeyError, IndexError) as error:
        raise ValueError(f"its weights are of another network ({first_line(error)})") from error


def channels_of(weights, photo):
    """The same; ValueError if it cannot see the photo's."""
    channels = channels_seen(weights)
    if channels not in (len(photo.x), COLOURS):
        raise ValueError(f"its network sees {channels} channels, and the photo has {len(photo.x)}")
    return channels


def with_channels(weights, net):
    """The weights of a prior for a network that sees more channels: what sees or draws the others begins with zeros."""
    few, many = channels_seen(weights), net.axes.shape[-2]
    fine, coarse = net.head_unshuffle**2, net.unshuffle**2
    blocks = {"stem.weight": (1, 0, 1, coarse), "head_in.weight": (1, HEAD_WIDTH, 2, fine),  # dimension, where the
              "filters.weight": (1, 0, 2, fine), "head_out.weight": (0, 0, 1, fine),  # channels begin, how often they
              "head_out.bias": (0, 0, 1, fine)}  # follow each other, and the places of each
    wider = {}
    for name, (dim, first, count, size) in blocks.items():
        before, *seen, after = weights[name].tensor_split([first + k * few * size for k in range(count + 1)], dim)
        shape = list(weights[name].shape)
        shape[dim] = (many - few) * size
        zeros = weights[name].new_zeros(shape)
        wider[name] = torch.cat([before, *(x for part in seen for x in (part, zeros)), after], dim)
    return {**weights, **wider}


def with_facts(weights, net):
    """The weights of a checkpoint as the network has them: those of before there were axes see colours as they are, and
    one power a band."""
    signal = weights["signal"] if weights["signal"].ndim > 1 else weights["signal"][:, None].expand_as(net.signal)
    return {"axes": torch.eye(*net.axes.shape[-2:]), **weights, "signal": signal}


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
        windows, *conditions = self.dataset.batch(self.batch_size, self.dropout, generator)
        x0 = self.dataset.tiles_of(windows)
        device, steps = x0.device, len(self.alphas_cumprod)
        # Stratified timesteps: one from each of B equal parts of the chain, for a calmer gradient.
        spread = torch.arange(len(x0), device=device) + torch.rand(len(x0), generator=generator, device=device)
        t = (spread / len(x0) * steps).long().clamp(max=steps - 1)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        share = slice(self.group.rank, None, self.group.world_size)
        return self.weighted_error(net, *(x[share] for x in (x0, t, eps, windows, *conditions)))

    def weighted_error(self, net, x0, t, eps, ring, present, context=None):
        """Mean of the weighted squared error of the estimate of x0, a scalar tensor."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        error = predict_x0(net, x_t, t, ring, present, self.alphas_cumprod, context=context) - x0
        return (loss_weight(t, self.alphas_cumprod) * self.border_weights * error**2).mean()

    @torch.inference_mode()
    def noised(self, x0, t, eps, ring, present):
        """x0 noised to t, x_t, and the EMA's estimate of x0 from it, both [B, C, T, T]."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        return x_t, predict_x0(self.ema, x_t, t, ring, present, self.alphas_cumprod)

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
        present = dataset.checkerboard(offsets)
        parts = zip(*(x.split(self.batch_size) for x in (dataset.tiles_of(windows), t, eps, windows, present)))
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
        own = self.net.state_dict()
        if self.net.axes.shape[-2] > channels_seen(weights):
            weights = with_channels(weights, self.net)
        weights = {**weights, **{name: own[name] for name in photo_facts.PhotoFacts._fields if name in own}}
        if self.net.context is not None:  # labels that a prior does not know say nothing at first
            weights = {"context.weight": torch.zeros_like(own["context.weight"]), **weights}
        wrong = weights.keys() ^ own.keys() or {name for name in own if weights[name].shape != own[name].shape}
        if wrong:
            raise ValueError(f"its weights do not fit the network ({min(wrong)})")
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
    seconds = [min(devices.timed(work) for _ in range(2)) for work in works]
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
AROUND = dict(zip(NEIGHBOURS, ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))))  # row, column

# A direction that wraps around has an even number of tiles: its ends must not be of one colour of the checkerboard.
# Where these are too long together, the two of each pair overlap:
#
#     | real|   gap   | real|   gap   |      Gaps lie above real tiles, so that only these are trimmed; gaps of odd
#     |   gap   | real|   gap   | real|      rows lie above those of even rows, and are drawn after them.


class Grid(NamedTuple):
    """Where the tiles of the output lie, in pixels."""

    tile: int
    size: tuple  # height and width of the output
    lines: tuple  # where rows of tiles begin, where columns begin
    wraps: tuple = (False, False)  # whether what leaves at the bottom comes in at the top; at the right, at the left
    first: tuple | None = None  # of a window of the endless plane: the row and column that its first cell has there

    def numbers(self, cell):
        """The row and column by which a cell is known, whatever window it is in."""
        return cell if self.first is None else tuple(k + first for k, first in zip(cell, self.first))

    def shape(self):
        """Rows and columns."""
        return tuple(len(line) for line in self.lines)

    def cells(self):
        """All cells (row, column) in reading order."""
        return list(np.ndindex(self.shape()))

    def overlaps(self):
        """Whether some tiles overlap."""
        return any(b - a != self.tile for line in self.lines for a, b in zip(line, line[1:]))

    def step(self, axis, index, way):
        """The line that lies `way` lines after one, and how many pixels after it; None beyond the edge."""
        line = self.lines[axis]
        if not (self.wraps[axis] or 0 <= index + way < len(line)):
            return None
        rounds, there = divmod(index + way, len(line))
        return there, line[there] - line[index] + rounds * self.size[axis]

    def around(self, cell):
        """The neighbours of a cell: {direction: (cell, (pixels down, pixels to the right))}."""
        found = {}
        for name, ways in AROUND.items():
            down, right = (self.step(axis, cell[axis], way) for axis, way in enumerate(ways))
            if down and right:
                found[name] = (down[0], right[0]), (down[1], right[1])
        return found

    def window(self, cell):
        """The window of a tile with a halo of each neighbour: its corner (y, x) and its size (h, w)."""
        return [line[k] - HALO for line, k in zip(self.lines, cell)], (self.tile + 2 * HALO,) * 2

    def touching(self, corner, size):
        """Cells whose tiles reach into a window, and where they begin in it: [(cell, (y, x))]."""
        found = []
        for line, side, wraps, at, length in zip(self.lines, self.size, self.wraps, corner, size):
            found.append([])
            for start in [at - rounds * side for rounds in ((-1, 0, 1) if wraps else (0,))]:
                first, last = bisect.bisect_right(line, start - self.tile), bisect.bisect_left(line, start + length)
                found[-1] += [(k, line[k] - start) for k in range(first, last)]
        return [((i, j), (y, x)) for i, y in found[0] for j, x in found[1]]


def make_grid(height, width, tile, tileable="none"):
    """The Grid of a texture of height x width pixels; UserError if it is too small to be tileable."""
    wraps, least = ("y" in tileable, "x" in tileable), math.ceil(2.5 * tile)
    for side, wrap, name in zip((height, width), wraps, ("high", "wide")):
        if wrap and side < least:
            raise UserError(f"a texture {side} pixels {name} is too small to be tileable with TILE_SIZE = {tile}; "
                            f"the smallest is {least}: a ring has 4 tiles or more, of which each second one is "
                            "trimmed to a quarter at most")
    return Grid(tile, (height, width), tuple(map(tile_lines, (height, width), (tile, tile), wraps)), wraps)


def endless_grid(corner, size, tile, around):
    """The Grid of a window of a size (h, w) at a corner (y, x) of the endless plane, and so many cells around it; its
    first cell is real. Lines count from the plane's origin."""
    first, last = zip(*((at // tile - around, -(-(at + side) // tile) + around) for at, side in zip(corner, size)))
    first = first[0], first[1] - sum(first) % 2
    lines = tuple(tuple(range(begin * tile, end * tile, tile)) for begin, end in zip(first, last))
    return Grid(tile, tuple(len(line) * tile for line in lines), lines, first=first)


def tile_lines(side, tile, wraps):
    """Where the tiles that cover side pixels begin: a tile apart, or in pairs that fill a ring exactly."""
    if not wraps:
        return tuple(range(0, side, tile))
    pairs = max(2, math.ceil(side / (2 * tile)))
    ends = [side * k // pairs for k in range(pairs + 1)]
    return tuple(at for begin, end in zip(ends, ends[1:]) for at in (begin, end - tile))


class Layout(NamedTuple):
    """Where the real tiles of the output come from, and in which order the others are drawn."""

    grid: Grid
    source: np.ndarray  # [rows, columns, 2] offsets y, x in the photo; -1 in gaps
    passes: list  # lists of grid cells (row, column)
    extended: tuple = ()  # the photo with a border of one tile, [C, H + 2T, W + 2T], in all orientations wanted
    orientation: np.ndarray | None = None  # which of them, [rows, columns]
    claims: bool = True  # whether the borders continue the photo, so that gaps have claims
    spots: tuple = ()  # what is conspicuous in each orientation, lists of conspicuous.Spot
    calm: tuple = ()  # the photo with all that filled from elsewhere, [C, H, W] in each orientation
    origins: tuple = ()  # of each pixel of extended, int32 [3, H + 2T, W + 2T]; see texture_tools/seams.py
    calm_origins: tuple = ()  # and of calm
    weights: torch.Tensor | None = None  # how much each channel counts, [C]; None: all alike
    guide: guides.Guide | None = None  # what the texture follows

    def real(self):
        """bool [rows, columns], True where a tile is cut from the photo."""
        return self.source[..., 0] >= 0

    def order(self):
        """int [rows, columns], the number of the pass that draws a cell; -1: none does."""
        numbers = np.full(self.grid.shape(), -1)
        for number, cells in enumerate(self.passes):
            for cell in cells:
                numbers[cell] = number
        return numbers

    def made(self):
        """bool [rows, columns], True where a tile is drawn in the end."""
        return ~self.real() | (self.order() >= 0)

    def described(self, corner, size):
        """For events: where tiles lie, which are drawn in the end, and the window of the texture that is written."""
        return {"tile": self.grid.tile, "lines": self.grid.lines, "corner": corner, "size": size,
                "drawn": ["".join("01"[made] for made in row) for row in self.made().astype(int)]}

    def channels(self):
        """How many channels its tiles have."""
        return len(self.extended[0])

    def cut(self, cell, by=(0, 0)):
        """What lies `by` pixels down and to the right of a real tile in the extended photo, [C, T, T]."""
        return self.part_of(self.extended, cell, by)

    def part_of(self, pictures, cell, by=(0, 0)):
        """The same of pictures that lie where those of the extended photo do."""
        (y, x), tile = self.source[cell] + self.grid.tile + by, self.grid.tile
        return pictures[self.orientation[cell]][:, y:y + tile, x:x + tile]

    def claim(self, cell, by):
        """What a real tile claims of what lies `by` pixels from it: what lies there in the photo, without what is
        conspicuous, unless that begins in the tile or right beside it. And where it comes from."""
        x, origins = self.cut(cell, by).clone(), self.part_of(self.origins, cell, by).clone()
        number, side = self.orientation[cell], self.grid.tile
        (top, left), beside = self.source[cell], math.ceil(conspicuous.BESIDE * side)
        tile = conspicuous.Spot(top - beside, left - beside, side + 2 * beside)
        for spot in self.spots[number] if self.spots else ():
            if not spot.touches(tile):
                there, here = conspicuous.overlap(spot, top + by[0], left + by[1], side)
                x[(slice(None), *here)] = self.calm[number][(slice(None), *there)]
                origins[(slice(None), *here)] = self.calm_origins[number][(slice(None), *there)]
        return x, origins

    def seen_at(self, corner, size):
        """What is seen at each pixel of a window (h, w) at a corner (y, x): which cell, counted in reading order, int
        [h, w], -1 where none is; and whether it is drawn, bool [h, w]."""
        seen = np.full(size, -1)
        order, columns = self.order(), self.grid.shape()[1]
        places = self.grid.touching(corner, size)
        for (i, j), (y, x) in sorted(places, key=lambda place: order[place[0]]):
            seen[max(0, y):y + self.grid.tile, max(0, x):x + self.grid.tile] = i * columns + j
        return seen, (seen >= 0) & self.made().ravel()[seen]


def lay_out(photo, kind, grid, seed, augment="none", redraw=False, wanted=None, guide=None):
    """The Layout of a kind in LAYOUTS, or of Wang tiles, "wang", on a grid; augment: in AUGMENTS; redraw: real tiles
    are drawn anew at the end; wanted: cells without which others get no real tile, None: all; guide: a guides.Guide,
    which matched tiles and all sketches follow."""
    if kind == "rows":
        return rows_layout(photo, grid)
    black, white = ([cell for cell in grid.cells() if sum(cell) % 2 == colour] for colour in (0, 1))
    black = [cell for cell in black if wanted is None or cell in wanted]
    black = wang.real_cells(grid) if kind == "wang" else black
    offsets = [grid_offsets(side, grid.tile) for side in photo.x.shape[1:]]
    weights, vector = photo.matching_weights(), photo.maps and photo.maps.vector()
    upright, place = matching.extend_photo(photo.x.cpu(), grid.tile, offsets, weights)
    extended = tuple(oriented(upright, *orientation, vector).contiguous() for orientation in AUGMENTS[augment])
    origins = tuple(seams.turned_origins(place, photo.x.shape[1:], k, *way) for k, way in enumerate(AUGMENTS[augment]))
    hidden = photo.mask and [oriented(photo.mask.hidden(), *orientation) for orientation in AUGMENTS[augment]]
    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.LAYOUT_CHOICE))
    spots = conspicuous.find_spots(matching.looked_at(photo.x.cpu(), weights), grid.tile)
    turned = [[spot.turned(*photo.x.shape[1:], *way) for spot in spots] for way in AUGMENTS[augment]]
    filled, place = without_spots(photo, spots, grid.tile)
    calm = tuple(oriented(filled, *way, vector) for way in AUGMENTS[augment])
    calm_origins = tuple(seams.turned_origins(place, photo.x.shape[1:], k, *way)
                         for k, way in enumerate(AUGMENTS[augment]))
    if kind == "ordered":
        places = [(0, *(line[k % len(line)] for line, k in zip(offsets, grid.numbers(cell)))) for cell in black]
    elif grid.first is not None:
        places = endless.LAYOUTS[kind](extended, grid, black, seed, weights, turned, hidden)
    elif kind in ("matched", "wang"):
        places = matching.match_tiles(extended, grid, black, rng, weights, turned, hidden, guide,
                                      wang.alike(black) if kind == "wang" else None)
    else:
        places = random_places(extended, grid.tile, len(black), rng)
    if hidden and kind in ("ordered", "random"):
        places = [(k, *masks.nearest_free(hidden[k], grid.tile, y, x)) for k, y, x in places]
    source, orientation = np.full((*grid.shape(), 2), -1), np.zeros(grid.shape(), int)
    for cell, (number, *offset) in zip(black, places):
        source[cell], orientation[cell] = offset, number
    colours = [white, black] if redraw else [white]
    passes = wang.passes_of(grid) if kind == "wang" else \
        [cells for colour in colours for cells in passes_of(colour, grid)]
    return Layout(grid, source, passes, extended, orientation, spots=turned, calm=calm, guide=guide,
                  origins=origins, calm_origins=calm_origins, weights=weights)


def without_spots(photo, spots, tile):
    """A photo [C, H, W] whose spots are filled with what matches around them, and where that is from, [2, H, W]."""
    x, hidden = photo.x.cpu(), torch.zeros(photo.x.shape[1:], dtype=torch.bool)
    if not spots:
        return x, seams.own_places(*x.shape[1:])
    for y, left, side, _ in spots:
        hidden[y:y + side, left:left + side] = True
    piece, weights = max(matching.CLAIM_SHRINK, tile // 4), photo.maps and photo.maps.weights()
    y, left = place = holes.sources_of(x.numpy(), hidden, piece, weights)
    return x[:, y, left], place


def random_places(extended, tile, count, rng):
    """Places (orientation, y, x) of so many tiles anywhere in the photo."""
    orientations = [int(rng.integers(len(extended))) for _ in range(count)]
    return [(k, *rng.integers([side - 3 * tile + 1 for side in extended[k].shape[1:]])) for k in orientations]


def passes_of(cells, grid):
    """The passes for cells of one colour of the checkerboard: one, or where tiles overlap those of even rows first."""
    if not grid.overlaps():
        return [cells]
    rows = [[cell for cell in cells if cell[0] % 2 == odd] for odd in (0, 1)]
    return [row for row in rows if row]


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


def needed(layout, corner, size):
    """The passes with only those cells on which a window of a size (h, w) at a corner (y, x) depends."""
    order = layout.order()
    wanted = {cell for cell, _ in layout.grid.touching(corner, size)}
    for number in range(len(layout.passes) - 1, 0, -1):
        for cell in [cell for cell in wanted if order[cell] == number]:
            around = layout.grid.touching(*layout.grid.window(cell))
            wanted.update(there for there, _ in around if order[there] < number)
    return [[cell for cell in cells if cell in wanted] for cells in layout.passes]


# =============================================================================================
# 7. Outpainting
# =============================================================================================
# The gaps are not drawn from nothing. Each real tile beside a gap claims what lies beside it in the photo
# (see texture_tools/matching.py). These claims, joined where they agree (see texture_tools/sketches.py), are a sketch
# of the gap; noise up to STRENGTH of the chain leaves only its large structure, and the network draws the rest anew
# (SDEdit, arXiv 2108.01073).


def draw_sketch(layout, cell):
    """The sketch of a cell, normalised [C, T, T]; that of a real tile, which is drawn anew, is the tile. Both follow
    the guide, if there is one."""
    return guided(layout, cell, layout.cut(cell) if layout.real()[cell] else join_claims(layout, cell)[0])


def guided(layout, cell, sketch):
    """The sketch [C, T, T] of a cell as the guide wants it, if there is one."""
    if layout.guide is None:
        return sketch
    return layout.guide.follow(sketch, *(line[k] for line, k in zip(layout.grid.lines, cell)))


def claimants(layout, cell):
    """The real tiles that claim what a gap shows, {direction: (tile, (pixels down, pixels to the right))}, from each of
    them to the gap."""
    real = layout.real()
    return {name: (tile, [-pixels for pixels in by]) for name, (tile, by) in layout.grid.around(cell).items()
            if name in matching.SIDES and real[tile]}


def join_claims(layout, cell):
    """What the real tiles around a gap claim of it, joined, [C, T, T], and where it comes from, int32 [3, T, T]."""
    claims = {name: layout.claim(tile, by) for name, (tile, by) in claimants(layout, cell).items()}
    pictures, origins = zip(*claims.values())
    labels = sketches.joined(dict(zip(claims, pictures)))
    return sketches.blend(torch.stack(pictures), labels, claims), sketches.pick(torch.stack(origins), labels)


def judge_of(photo, augment):
    """The seams.Judge of what is put together from a photo in the orientations of an augment."""
    looked = matching.looked_at(photo.x.cpu(), photo.matching_weights())
    return seams.Judge([oriented(looked, *way) for way in AUGMENTS[augment]])


def draw_seams(layout, judge, cell):
    """The sketch of a gap, [C, T, T], and which parts of it have to be drawn, [1, T, T]: where it is seen that pieces
    of the photo meet, among each other or with the real tiles around."""
    sketch, origins = join_claims(layout, cell)
    around = claimants(layout, cell)

    def bordered(x, pictures):
        further = {name: [pixels + way * seams.MARGIN for pixels, way in zip(by, matching.SIDES[name])]
                   for name, (_, by) in around.items()}
        return seams.bordered(x, {name: layout.part_of(pictures, around[name][0], by) for name, by in further.items()})

    known = bordered(torch.ones_like(sketch[:1]), [torch.ones_like(x[:1]) for x in layout.extended])[0] > 0
    x = matching.looked_at(bordered(sketch, layout.extended), layout.weights)
    parts = crop_middle(judge.parts_to_draw(x, bordered(origins, layout.origins), known), layout.grid.tile)
    wanted = guided(layout, cell, sketch)
    return wanted, torch.maximum(parts, seams.part_of_change(wanted - sketch))


class Texture:
    """The growing output: the real tiles of a layout, and above them those that were drawn, last ones on top."""

    def __init__(self, layout, channels, device):
        self.layout, self.grid, self.channels, self.device = layout, layout.grid, channels, device
        self.real, self.order = layout.real(), layout.order()
        self.drawn = {}  # cell -> normalised tile [C, T, T] on the CPU
        self.parts = {}  # cell -> which of its pixels the network drew, drawings.packed(); not there: all

    def numbers(self, cell):
        """What the random numbers of a cell are keyed by."""
        return self.grid.numbers(cell)

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
    """sample() for tiles of a photo: draw(net, rings, present, generators, sketch=None, parts=None) yields as sample()
    does."""
    bounds = [bound.to(alphas_cumprod.device) for bound in photo.bounds()]

    def draw(net, rings, present, generators, sketch=None, parts=None):
        def estimate(x_t, t):
            return predict_x0(net, x_t, t, rings, present, alphas_cumprod, GUIDANCE)

        shape = (rings.shape[1], net.tile, net.tile)
        return sample(estimate, shape, generators, alphas_cumprod, bounds, sampler, steps, sketch, strength, parts)

    return draw


def outpaint(net, texture, passes, batch_size, draw, seed, begin=None, group=processes.ALONE):
    """Draw the cells of passes of a Texture, in place; a generator that yields the number of tiles after each step.

    draw(net, rings, present, generators, sketch, parts) is sample() with its settings; begin(cell): what a tile begins
    with, [C, T, T], and which parts of it are drawn, [1, T, T] or None for all; or None: with pure noise. A tile's
    noise depends on (seed, row, column) alone; batches are filled up with copies, so that no tile depends on how many
    are drawn. Each process of a group draws a batch at a time.
    """
    for cells in passes:
        found = dict.fromkeys(cells, (None, None))
        for cell in cells if begin else ():
            found[cell] = begin(cell)
            yield 0  # a stop need not wait for all sketches
        ready = [cell for cell, (_, parts) in found.items() if parts is not None and not parts.any()]
        if ready:
            texture.place(ready, *stacked(found, ready))
        rest = [cell for cell in cells if cell not in ready]
        batches = [rest[first:first + batch_size] for first in range(0, len(rest), batch_size)]
        for first in range(0, len(batches), group.world_size):
            together = batches[first:first + group.world_size]
            own = together[group.rank % len(together)]  # a process for which none is left draws a copy
            full = (own * batch_size)[:batch_size]
            rings, present = texture.neighbours(full)
            generators = [seeds.torch_generator(seed, seeds.DRAWING, *texture.numbers(cell)) for cell in full]
            for _, x_t, _ in draw(net, rings, present, generators, *stacked(found, full, rings.device)):
                tiles = x_t
                yield sum(map(len, together))
            for batch, drawn in zip(together, group.all_gather(tiles)):
                texture.place(batch, drawn, stacked(found, batch)[1])


def stacked(found, cells, device="cpu"):
    """Of {cell: (sketch, parts)} those of cells: [B, C, T, T] and [B, 1, T, T], or None for either."""
    pairs = zip(*(found[cell] for cell in cells))
    return [None if x[0] is None else torch.stack(x).to(device) for x in pairs]


# Several textures in one picture. Each is laid out as if the whole picture were of it, on the same grid. Where the map
# says several, a real tile is put together of those that the layouts have there, each where it lies on top, and so is
# the sketch of a gap. In each step of drawing the network draws a gap once as a part of each texture, and every pixel
# takes the estimate of its own (MultiDiffusion, arXiv 2302.08113). Tiles have the textures' shares as further channels.


class BlendLayout(Layout):
    """The Layout of a Blend, whose real tiles are put together of those of layouts {label: Layout}; made by
    lay_out_blend."""

    def plan(self, blend, seen, layouts, augment):
        """Take over what tiles are put together of; seen: which textures {cell: (bool, ...)} in and around each."""
        self.blend, self.seen, self.layouts = blend, seen, layouts
        self.scales = [blending.scales_of(texture.x.cpu()) for texture in blend.textures]
        self.windows = {label: Texture(layout, layout.channels(), "cpu") for label, layout in layouts.items()}
        self.sketch_of = functools.lru_cache(256)(lambda label, cell: draw_sketch(layouts[label], cell))
        self.put_together = functools.lru_cache(128)(self.put_together)
        self.judge_of = functools.cache(lambda label: judge_of(blend.textures[label], augment))

    def channels(self):
        return len(self.blend.x) + len(self.blend.textures)

    def cut(self, cell, by=(0, 0)):
        return self.sketch(cell)

    def sketch(self, cell):
        """A real tile, or the sketch of a gap, with the textures' shares in it, [C + K, T, T]."""
        if sum(self.seen[cell]) > 1:
            return self.put_together(cell)
        label, tile = self.seen[cell].index(True), self.grid.tile
        return torch.cat([draw_sketch(self.layouts[label], cell), one_hot(self.blend, label).expand(-1, tile, tile)])

    def put_together(self, cell):
        """The same where there are several textures."""
        shares = self.blend.map.at(*window_around(self.grid, cell))
        sketches = {label: self.around(label, cell) for label in self.layouts if self.seen[cell][label]}
        reliefs = torch.zeros_like(shares)
        for label, sketch in sketches.items():
            reliefs[label] = blending.relief(sketch, self.scales[label])
        shares = blending.bordered(shares, reliefs)
        both = torch.cat([sum(shares[label] * sketch for label, sketch in sketches.items()), shares])
        return crop_middle(both, self.grid.tile)

    def begin(self, redraw, cell):
        """The sketch of a cell and which parts of it are drawn, [1, T, T], or None for all."""
        sketch = self.sketch(cell)
        if redraw != "seams" or sum(self.seen[cell]) > 1:
            return sketch, torch.ones_like(sketch[:1])
        label = self.seen[cell].index(True)
        return sketch, draw_seams(self.layouts[label], self.judge_of(label), cell)[1]

    def around(self, label, cell):
        """A cell's sketch and those around it by one texture's layout, [C, side, side]; zero where that shows nothing.
        """
        (corner, side), window = window_around(self.grid, cell), self.windows[label]
        window.drawn = {there: self.sketch_of(label, there) for there, _ in self.grid.touching(corner, [side] * 2)
                        if self.seen[there][label] and not window.real[there]}
        canvas = window.cut(corner, [side] * 2)
        crop_middle(canvas, self.grid.tile)[:] = self.sketch_of(label, cell)
        return canvas


def one_hot(blend, label):
    """The shares where there is only the texture of a label, [K, 1, 1]."""
    return F.one_hot(torch.tensor(label), len(blend.textures)).float()[:, None, None]


def window_around(grid, cell):
    """The corner (y, x) and the side of what is looked at of a cell and around it."""
    return [line[k] - blending.REACH for line, k in zip(grid.lines, cell)], grid.tile + 2 * blending.REACH


def lay_out_blend(blend, grid, c, seed):
    """The BlendLayout of a Blend on a grid; a texture is laid out where it is seen, and around that."""
    shares = ((cell, blend.map.at(*window_around(grid, cell))) for cell in grid.cells())
    seen = {cell: tuple((share.flatten(1).amax(1) > 0).tolist()) for cell, share in shares}
    layouts = {}
    for label, texture in enumerate(blend.textures):
        wanted = {cell for cell in grid.cells() if seen[cell][label]}
        wanted |= {there for cell in wanted for there, _ in grid.around(cell).values()}
        if wanted:
            layouts[label] = lay_out(texture, c.LAYOUT, grid, seed, c.AUGMENT, wanted=wanted)
    cells = sorted(grid.cells(), key=lambda cell: (seen[cell], cell))  # batches are of the same textures
    black, white = ([cell for cell in cells if sum(cell) % 2 == colour] for colour in (0, 1))
    source = np.full((*grid.shape(), 2), -1)
    source[tuple(np.transpose(black))] = 0
    colours = [white, black] if c.REDRAW == "all" else [white]
    layout = BlendLayout(grid, source, [cells for colour in colours for cells in passes_of(colour, grid)])
    layout.plan(blend, seen, layouts, c.AUGMENT)
    return layout


def make_blender(blend, net, alphas_cumprod, sampler, steps, strength):
    """make_sampler for a Blend and the network of its textures; rings, sketches and what is drawn have the shares as
    further channels."""
    nets = [net.of(label) for label in range(len(blend.textures))]
    bounds = torch.stack([torch.stack(texture.bounds()) for texture in blend.textures]).to(alphas_cumprod.device)

    def draw(_, rings, present, generators, sketch, parts):
        sketch, shares = sketch.split([rings.shape[1] - len(nets), len(nets)], 1)
        rings = rings[:, :sketch.shape[1]]
        seen = [label for label in range(len(nets)) if shares[:, label].any()]

        def mixed(estimates):
            return sum(shares[:, label, None] * estimates(label) for label in seen)

        def estimate(x_t, t):
            return mixed(lambda label: predict_x0(nets[label], x_t, t, rings, present, alphas_cumprod, GUIDANCE))

        limits = [mixed(lambda label, k=k: bounds[label, k]) for k in (0, 1)]
        begin = sketch if strength < 1 else None
        for t, x_t, x0 in sample(estimate, sketch.shape[1:], generators, alphas_cumprod, limits, sampler, steps, begin,
                                 strength, parts):
            yield t, torch.cat([x_t, shares], 1), x0

    return draw


def draw_texture(photo, texture, windows, paint, steps, drawing, group=processes.ALONE):
    """Draw a texture window by window, with a progress bar, and have them written; goes on where it was stopped.

    windows: [(corner (y, x), size (h, w))], see drawings.bands_of; paint(passes): outpaint() of the texture, which
    takes so many steps a tile; drawing: a drawings.Drawing. Returns the last window, normalised [C, h, w], and how many
    tiles there were left to draw.
    """
    done, texture.drawn, texture.parts = drawing.resume((texture.channels, texture.grid.tile, texture.grid.tile))
    group.barrier()  # before the first process changes what the others read
    needs = [needed(texture.layout, *window) for window in windows]
    last_use = {cell: k for k, passes in enumerate(needs) for cells in passes for cell in cells}
    left = sum(k >= done and cell not in texture.drawn for cell, k in last_use.items())
    with StopSignals() as stop, group.bar(total=left * steps, unit="step", desc="drawing") as bar:
        for k in range(done, len(windows)):
            passes = [[cell for cell in cells if cell not in texture.drawn] for cells in needs[k]]
            end = bar.n + steps * sum(map(len, passes))
            for count in paint(passes):
                bar.update(count)
                if group.any(stop.received):
                    drawing.keep(k, texture.drawn, texture.parts)
                    raise Stopped("stopped while drawing and saved; the same command goes on from there", stop.received)
            bar.update(max(0, end - bar.n))  # tiles of which nothing had to be drawn
            x = texture.cut(*windows[k])
            texture.drawn = {cell: tile for cell, tile in texture.drawn.items() if last_use[cell] > k}
            drawing.write(photo.rendered(x), k + 1, texture.drawn, texture.parts)
    return x, left


# A photo is repaired in the same way, by tiles that lie over what its mask hides, from outside in. Of what is known the
# network sees what lies around a tile; in the tile it takes the place of the estimate, so that x_t there is the truth
# with noise, and the rest has to go with it. The fine detail is drawn without that, known pixels and unknown ones as a
# whole: held to the end, each would have a grain of its own. By what the known ones are off then, the rest is moved.

FILLED = 0.75  # STRENGTH at least: what a hole is filled with fits less well than the sketch of a gap
HELD = 0.8  # of the noise that drawing begins with: down to here the estimate is held to what is known


class Hole:
    """A photo with a mask while it is repaired; for outpaint() what a Texture is, with places (y, x) of tiles as cells.
    """

    def __init__(self, photo, tile, device):
        self.tile, self.device = tile, device
        self.x, self.known = photo.x.cpu().clone(), ~photo.mask.hidden()[None]  # [C, H, W], bool [1, H, W]
        self.regions = torch.stack([region_map(tile, HALO) == k for k in range(9)])

    def numbers(self, cell):
        """What the random numbers of a cell are keyed by."""
        return cell

    def at(self, cell, x):
        """The part of x [C, H, W] at a cell, a view."""
        y, x0 = cell
        return x[:, y:y + self.tile, x0:x0 + self.tile]

    def sketch(self, cell):
        """What a tile begins with, normalised [C, T, T]: what is known, and what was filled in from elsewhere."""
        return self.at(cell, self.x)

    def begin(self, cell):
        """The same, and which parts of it are drawn, [1, T, T]: what is known only at last."""
        return self.sketch(cell), 1 - (1 - HELD) * self.at(cell, self.known).float()

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
           "AUGMENT": tuple(AUGMENTS)}


def main(argv=None):
    """Train on one photo and draw a texture; argv: overrides such as EPOCHS=0 (default: the command line's)."""
    # fmt: off
    IMAGE             = "samples/stones.png"    # the photo, a folder of maps, or several textures: a list or folder
    TEXTURE           = None                    # of several textures the one to be drawn, by name; None: each
    BLEND             = None                    # picture whose greys or colours say which texture is where
    CORNERS           = None                    # of a rectangle seen at an angle: 4 x (x, y), pixels, or "auto": found
    ASPECT            = None                    # that rectangle's width over its height; None: worked out from CORNERS
    CROP              = None                    # part of the photo to use: (x, y, width, height), pixels; None: all
    MAX_SIDE          = 1024                    # a larger photo is shrunk to this longer side, pixels
    EVEN_LIGHT        = False                   # True: brightness and colour that drift across the photo are levelled
    DEPTH             = None                    # bits a channel of the texture, 8 or 16; None: as many as the photo has
    ALPHA             = "draw"                  # "draw" | "fill": transparency is drawn, or filled with the mean colour
    MASK              = None                    # what to repair: a picture, white there; its colour; or "alpha"
    TILE_SIZE         = 128                     # side of a tile, pixels, a multiple of 32; 3 x 3 or more fit the photo
    PRIOR             = "checkpoints/prior.pt"  # weights to begin from, of python -m prior; None: from nothing
    VALIDATION        = None                    # tiles held out of training; None: 1 if the photo holds 16, else 0
    EPOCHS            = None                    # training length, 0: only draw; None: 1, or 5 if tiles are drawn whole
    EPOCH_TILES       = 176                     # tiles seen in one epoch
    BATCH_SIZE        = 8                       # tiles in one step of training or of drawing
    LEARNING_RATE     = 2e-3                    # peak, after the warm-up
    NEIGHBOUR_DROPOUT = 0.4                     # share of training tiles that see other neighbours than N W E S, 0 to 1
    WIDTHS            = (64, 128, 256)          # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS         = 1000                    # length of the diffusion chain
    SAMPLER           = "mixed"                 # "ddim" | "ddpm" | "mixed": ddpm for structure, then ddim for detail
    SAMPLE_STEPS      = None                    # network evaluations a tile; None: 8, or 30 if tiles are drawn whole
    STRENGTH          = None                    # how noisy sketches are made, 1: pure noise; None: 0.75, or 0.65 whole
    AUGMENT           = "none"                  # "none" | "flip_x" | "flips" | "rotations": how the photo may be turned
    SCALE             = 3                       # the texture is so many times as wide and high as the photo
    OUTPUT_SIZE       = None                    # (width, height) of the texture in pixels, or "endless"; None: by SCALE
    TILEABLE          = "none"                  # "none" | "x" | "y" | "xy": where it continues at its other end
    WANG              = None                    # 2: not one texture, but 16 tiles with edges of 2 colours that fit
    REGION            = None                    # draw only this part of it: (x, y, width, height), pixels; None: all
    GUIDE             = None                    # a picture whose coarse brightness and colour the texture follows
    GUIDE_STRENGTH    = 0.5                     # how closely, 0 to 1
    REDRAW            = "seams"                 # "seams" | "gaps" | "all": where pieces meet, gaps, real tiles, too
    LAYOUT            = "matched"               # "matched" | "ordered" | "random" | "rows": where real tiles go
    SAMPLES           = 1                       # textures to draw, with SEED, SEED + 1, ...
    SEED              = 0                       # another seed, another texture (and, if it is trained, another model)
    FRESH             = False                   # True: put the photo's old checkpoint aside and start anew
    SAVE_EVERY        = 5                       # epochs between checkpoints
    PREVIEW_EVERY     = 10                      # epochs between previews
    OUTPUT_DIR        = "samples"               # pictures go to a folder in here named after the photo
    CHECKPOINT_DIR    = "checkpoints"           # models go here
    # fmt: on
    with processes.joined() as group, contextlib.ExitStack() as stack:
        c = constants.settings(main, locals(), sys.argv[1:] if argv is None else argv)
        c = constants.check_rules(c, CHOICES, group.world_size)
        paths = several.paths_of(c, HERE, stack)
        taken = several.described(c.IMAGE, paths)
        for sentence in taken:  # before anything can fail
            group.say(f"note: {sentence}")
        photo = load_textures(paths, c)
        blend = blend_of(photo, c) if c.BLEND else None
        folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, photo.name)
        with files.claimed(folder, checkpoint, photo, group) as results:
            trainer = prepare_trainer(photo, c, checkpoint, group)
            announce(photo, trainer, c, taken)
            if group.rank == 0 and (c.CORNERS or c.EVEN_LIGHT):
                show_prepared(paths, photo, c, results)
            trained = run_training(photo, trainer, c, results, checkpoint)
            for texture in textures_of(photo, trainer, c, blend):
                draw_samples(*texture, results, trained)


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
        if photo.mask is not None:
            repair(photo, trainer, c, seed, results)
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
    device = devices.pick_device()
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
        net = build_net(photo, c.TILE_SIZE, c.WIDTHS, c.SEED, device, channels, context=len(photo.textures))
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


def wants_texture(photo, c):
    """Whether a texture is drawn, not only the photo repaired."""
    return photo.mask is None or c.SCALE > 1 or c.OUTPUT_SIZE is not None


def grid_of(photo, c):
    """The Grid of the texture, or of all Wang tiles."""
    if c.WANG:
        return Grid(c.TILE_SIZE, *wang.grid_of(photo.x, c.TILE_SIZE, HALO), (True, True))
    if c.OUTPUT_SIZE == constants.ENDLESS:
        x, y, *size = c.REGION
        return endless_grid((y, x), size[::-1], c.TILE_SIZE, 2 if c.REDRAW == "all" else 1)
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
        load_guide(texture, c)
    _, (height, width) = window_of(grid, c.REGION)
    most = sum(channels * depth / 8 + 0.01 for channels, depth, _ in photo.formats()) * height * width + 1e6
    files.check_room(c.OUTPUT_DIR, most, f"a texture of {width} x {height} pixels")
    sizes = ", ".join(f"{texture.x.shape[2]} x {texture.x.shape[1]}" for texture in textures)
    say(f"{photo.name}: {sizes} pixels, network of "
        f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} million weights, {net.position.device.type}, "
        f"{str(net.precision).removeprefix('torch.')}" + ", begun from the prior" * bool(trainer.prior))
    if photo.mask is not None:
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
    memory = devices.peak_memory()
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
    return 0 if photo.mask is None else sum(map(len, holes.plan(photo.mask.hidden(), c.TILE_SIZE, HALO)))


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
        return layout, functools.partial(draw_seams, layout, judge_of(photo, c.AUGMENT))
    return layout, lambda cell: (draw_sketch(layout, cell), None)


def results_of(photo, results, name):
    """The paths of the files of a picture: <name>.png, or a folder of that name with a material's maps."""
    if photo.maps is None or not photo.maps.folder:
        return [results.path(f"{name}.png")]
    return [results.path(f"{name}/{file.name}.png") for file in photo.maps.files]


def repair(photo, trainer, c, seed, results):
    """Draw anew what the mask of a photo hides, save the photo, and print how visible the mask's edge is."""
    group, hole = trainer.group, Hole(photo, c.TILE_SIZE, trainer.alphas_cumprod.device)
    draw = make_sampler(photo, trainer.alphas_cumprod, c.SAMPLER, c.SAMPLE_STEPS, max(FILLED, c.STRENGTH))
    passes, start = holes.plan(photo.mask.hidden(), c.TILE_SIZE, HALO), time.perf_counter()
    paint = repaint(trainer.ema, hole, passes, draw, c, seed, group)
    draw_at_once(paint, c.SAMPLE_STEPS * sum(map(len, passes)), "repairing", group)
    if group.rank:
        return
    paths = results_of(photo, results, "repaired" + f"_seed{seed}" * (seed > 0))
    repaired = photo.repaired(hole.x)
    for path, pixels, (*_, srgb) in zip(paths, repaired, photo.formats()):
        png.save_png(path, pixels, text_of(c, seed), srgb)
    first, second = holes.edge_ratios(repaired[0], photo.mask.hidden().numpy())
    figures = {"repaired": paths[0] if len(paths) == 1 else paths[0].parent, "repair_seed": seed,
               "repair_seconds": f"{time.perf_counter() - start:.1f}", "repair_edge_ratio_1st": f"{first:.3f}",
               "repair_edge_ratio_2nd": f"{second:.3f}"}
    events.print_figures(figures)


def draw_at_once(paint, steps, doing, group):
    """Go through the steps of a drawing that is not kept when it is stopped, with a progress bar."""
    with StopSignals() as stop, group.bar(total=steps, unit="step", desc=doing) as bar:
        for count in paint:
            bar.update(count)
            if group.any(stop.received):
                raise Stopped(f"stopped while {doing}; the same command does it from its start", stop.received)


def repaint(net, hole, passes, draw, c, seed, group):
    """outpaint() of a Hole, with batches no larger than a pass: few tiles need not be filled up with copies."""
    for cells in passes:
        size = min(c.BATCH_SIZE, len(cells))
        yield from outpaint(net, hole, [cells], size, draw, seed, hole.begin if c.STRENGTH < 1 else None, group)


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
    drawing = drawings.Drawing(paths, photo.formats(), size, windows, text_of(c, seed), made_of, group)
    texture = Texture(layout, layout.channels(), trainer.alphas_cumprod.device)
    paint = functools.partial(outpaint, net, texture, batch_size=c.BATCH_SIZE, draw=draw, seed=seed, begin=begin,
                              group=group)
    start = time.perf_counter()
    x, tiles = draw_texture(photo, texture, windows, paint, c.SAMPLE_STEPS, drawing, group)
    drawn = time.perf_counter() - start, tiles
    if group.rank:
        return
    events.tell("tiles", name=name, **layout.described(corner, size),
                parts=drawings.described(texture.parts, layout.grid.tile))
    corner, pixels = windows[-1][0], photo.pixels(x)  # of the last band, all of the texture, if it is not large
    made = texture.made(corner, pixels.shape[:2])
    pictures.draw_layout(results.path(f"layout{special}.png"), pixels, made)
    if c.TILEABLE != "none" and len(windows) == 1 and not c.REGION:
        pictures.draw_wrapped(results.path(f"output_texture_{name}_wrapped.png"), pixels, c.TILEABLE)
    output = paths[0]
    figures = measures.run_figures(pixels, layout, photo, corner, drawn, trained, made)
    if photo.maps is not None and photo.maps.folder:
        output = output.parent
        shading.draw_material(results.path(f"material{special}.png"), photo.maps, photo.values(x).numpy())
        figures.update(measures.map_figures(photo.maps, photo.rendered(x), layout, corner))
    figures = {"output": output, "size": f"{size[1]} x {size[0]}", "seed": seed, **figures}
    events.print_figures(figures)


def make_wang_tiles(photo, trainer, draw, c, seed, results, trained):
    """Draw and save the Wang tiles of one seed, with their table and a picture laid of them, and print the figures."""
    group, start, name = trainer.group, time.perf_counter(), f"output_texture_{constants.names_of(c, seed)[0]}"
    layout, begin = plan(photo, c, seed)
    texture, size = Texture(layout, layout.channels(), trainer.alphas_cumprod.device), layout.grid.size
    paint = functools.partial(outpaint, trainer.ema, texture, batch_size=c.BATCH_SIZE, draw=draw, seed=seed,
                              group=group)
    last = make_sampler(photo, trainer.alphas_cumprod, c.SAMPLER, c.SAMPLE_STEPS, max(wang.AMONG_DRAWN, c.STRENGTH))
    count = wang.drawn(layout.grid)
    steps = wang.paint(texture, paint, begin, HALO, photo.matching_weights(), seed, last)
    draw_at_once(steps, c.SAMPLE_STEPS * count, "drawing tiles", group)
    if group.rank:
        return
    drawn, x = (time.perf_counter() - start, count), texture.cut((0, 0), size)
    paths, pixels = results_of(photo, results, name), photo.pixels(x)
    for path, rendered, (*_, srgb) in zip(paths, photo.rendered(x), photo.formats()):
        png.save_png(path, rendered, text_of(c, seed), srgb)
    made = texture.made((0, 0), size)
    pictures.draw_layout(results.path(name.replace("output_texture", "layout") + ".png"), pixels, made)
    figures = {"output": paths[0] if len(paths) == 1 else paths[0].parent, "size": f"{size[1]} x {size[0]}",
               "seed": seed, **measures.run_figures(pixels, layout, photo, (0, 0), drawn, trained, made),
               **wang.save(results, name, layout.grid, pixels, seed)}
    events.print_figures(figures)


def run():
    """The script as a program, as which pip install makes the command texture-diffusion; returns the exit code."""
    return exit_codes.run(main)


if __name__ == "__main__":
    sys.exit(run())
