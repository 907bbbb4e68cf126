# /// script
# requires-python = ">=3.10"
# dependencies = ["torch>=2.6", "torchvision>=0.21", "numpy>=1.26", "pillow>=10.1", "matplotlib>=3.8", "tqdm>=4.66"]
# ///
"""Texture Diffusion: one photo of a texture in, a texture three times its size out.

    python texture_diffusion.py                      train on samples/stones.png and draw
    python texture_diffusion.py rock.jpg             the same for a photo of yours
    python texture_diffusion.py rock.jpg EPOCHS=0    only draw, with the model trained before
    python texture_diffusion.py --help               every constant with its meaning

The constants at the top of main() say everything that can be chosen; edit them there or
override them as NAME=value. A run with the default constants takes about ten minutes on
two CPU cores. Ctrl-C saves; the same command goes on from there.
What a run makes: samples/<photo>/output_texture_3x3.png and pictures that show how it came
about, and checkpoints/<photo>.pt.

The photo is cut into tiles. A small U-Net learns, by denoising diffusion, to draw a tile that
fits those of its 8 neighbours that exist. Real tiles are then laid out like the black fields
of a checkerboard and the network draws the white ones, each over a rough sketch that continues
the real tiles around it, so that no drawn tile is further than one step from a real one.

Contents, in the order in which data flows:
    1. Tiles             photo file -> normalised tensor; grid of tiles and back
    2. Neighbourhoods    windows of a tile with its 8 neighbours; neighbour dropout
    3. Network           the U-Net over the canvas of tile and neighbours
    4. Diffusion         schedule, forward process, DDPM and DDIM steps
    5. State             seeds, processes, device, precision
    6. Files             whole files, locks, results, checkpoints, stop signals
    7. Training          Muon and AdamW, EMA, validation
    8. Outpainting       layout of the real tiles, sketches and drawing of the gaps
    9. Pictures          previews, predictions, loss curve, the texture and its figures
    10. main             the constants and the story

Shapes in comments: B batch, C channels (3, or 1 for a grey photo), H W photo height and width,
T tile side, S canvas side (tile and a halo on each side), all in pixels.
"""

import os
import signal

if __name__ == "__main__":  # until run() looks after them: importing torch takes seconds
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, lambda number, frame: os._exit(128 + number))

import ast
import bisect
import contextlib
import copy
import csv
import difflib
import hashlib
import inspect
import io
import json
import math
import platform
import re
import shlex
import shutil
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    import torchvision
    from matplotlib.figure import Figure
    from PIL import Image, ImageCms, ImageOps, PngImagePlugin
    from tqdm import tqdm
except (ImportError, RuntimeError) as problem:  # RuntimeError: torchvision built for another torch
    if "torchvision::nms" in str(problem):
        advice = "torchvision was built for another torch: pip install --force-reinstall torch torchvision"
    else:
        advice = f"a package is missing or broken ({problem}): pip install -r requirements.txt"
    if __name__ != "__main__":
        raise ImportError(advice) from problem
    print(f"texture_diffusion: {advice}", file=sys.stderr)
    sys.exit(2)

__version__ = "0.1.0"
HERE = Path(__file__).resolve().parent
PHOTO_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
MAX_MEGAPIXELS = 100
LONGEST_NAME = 120  # bytes of the photo's name in the names of results


class UserError(Exception):
    """Something that the person who started the run can put right; exit code 2."""


class RunError(Exception):
    """A run that failed through no wrong input; exit code 1."""


class DiskError(RunError):
    """A file that could not be written; what was there before is as it was."""


# =============================================================================================
# 1. Tiles
# =============================================================================================
# A photo becomes a float tensor with zero mean per channel and unit deviation over all: the
# network then sees every texture at the same contrast, and the mean that sampling starts from
# is the texture's own, so that colours cannot shift.

OUTLIERS = 1e-4  # share of the pixels that are darker, and that are brighter, than what is drawn


class Photo(NamedTuple):
    """A normalised photo; x is [C, H, W] float32 with x * std + mean in [-1, 1]."""

    name: str  # file name without folder and suffix
    x: torch.Tensor  # [C, H, W], normalised
    mean: torch.Tensor  # [C, 1, 1], in [-1, 1]
    std: float  # one number for all channels, so that hues keep their proportions
    digest: str  # SHA-256 of the pixels as used, hexadecimal
    notes: tuple  # sentences for the person: what was changed on the way in

    def bounds(self):
        """The range of each channel without its OUTLIERS, two tensors [C, 1, 1]."""
        low, high = np.quantile(self.x.cpu().flatten(1).numpy(), (OUTLIERS, 1 - OUTLIERS), axis=1)
        return tuple(torch.from_numpy(bound).float().view(-1, 1, 1) for bound in (low, high))

    def pixels(self, x):
        """Normalised [..., C, H, W] to uint8 [..., H, W, 3 or more], rounded to the nearest level."""
        x = x.detach().float().cpu() * self.std + self.mean
        x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return x.expand(*x.shape[:-3], max(3, x.shape[-3]), *x.shape[-2:]).movedim(-3, -1).contiguous().numpy()


def load_photo(path, crop=None, max_side=1024):
    """Read a PNG, JPEG, TIFF, WEBP or BMP file as a Photo.

    crop is (x, y, width, height) in pixels of the upright photo or None; the result is shrunk so
    that its longer side is at most max_side. Raises UserError with a sentence for the person.
    """
    image, notes = open_image(path)
    if crop is not None:
        image = crop_image(image, crop)
    if max(image.size) > max_side:
        ratio = max_side / max(image.size)
        small = image.resize([max(1, round(side * ratio)) for side in image.size], Image.LANCZOS)
        notes.append(f"the photo was shrunk from {image.width} x {image.height} to "
                     f"{small.width} x {small.height} pixels (MAX_SIDE = {max_side})")
        image = small
    pixels = np.asarray(image)
    notes += lighting_note(pixels)
    return normalise(pixels, name_of(path), notes)


def name_of(path):
    """The name for what is made from a photo: the stem of its file's name, where that is a name on every system."""
    stem = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in Path(path).stem).rstrip(". ")
    if len(stem.encode()) <= LONGEST_NAME:
        return stem or "_"
    digest = hashlib.sha256(stem.encode()).hexdigest()[:8]  # two long names may differ in their ends alone
    return stem.encode()[:LONGEST_NAME - 9].decode(errors="ignore") + "_" + digest


def normalise(pixels, name, notes=()):
    """uint8 [H, W] or [H, W, 3] to a Photo; three equal channels become one."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    x = torch.tensor(np.atleast_3d(pixels), dtype=torch.float32).permute(2, 0, 1) / 127.5 - 1
    mean = x.mean((1, 2), keepdim=True)
    std = float((x - mean).std()) if x.numel() > 1 else 0.0
    if std < 1e-3:
        raise UserError(f"{name} is a single colour: there is no texture to learn")
    return Photo(name, ((x - mean) / std).contiguous(), mean, std, digest, tuple(notes))


def open_image(path):
    """The upright first frame of an image file as mode L or RGB in sRGB, and notes on what was changed."""
    shown = show(path)
    if not os.path.isfile(path):  # a folder, a device or an address, too
        raise UserError(f"there is no photo at {shown}; give the path of a PNG, JPEG, TIFF, WEBP or BMP file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pixel limits, where we have our own, and of harmless damage
            with Image.open(path, formats=PHOTO_FORMATS) as image:
                if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                    raise Image.DecompressionBombError
                notes = [f"{shown} holds {image.n_frames} pictures; the first is used"] \
                    if getattr(image, "n_frames", 1) > 1 else []
                image.load()
                return to_8_bit(ImageOps.exif_transpose(image), notes), notes
    except Image.DecompressionBombError:
        raise UserError(f"{shown} has more than {MAX_MEGAPIXELS} megapixels; make it smaller first") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{shown} is not a picture in one of the formats {', '.join(PHOTO_FORMATS)}") from None
    except Exception as error:  # decoders raise almost anything on a damaged file
        raise UserError(f"{shown} cannot be read, it may be damaged or cut short ({one_line(error)})") from None


def show(path):
    """A path for a sentence: on one line, and with every character printable."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def one_line(error):
    """The first line of what an exception says, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def to_8_bit(image, notes):
    """Any Pillow mode to L or RGB in sRGB without clipping; appends to notes where information is lost."""
    profile, alpha = image.info.get("icc_profile"), None
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion clips these to white
        return deep_grey(np.asarray(image, dtype=np.float32), (1, 255, 65535) if image.mode == "F" else (65535,))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("L" if grey else "RGB")
    image = to_srgb(image, profile, notes)
    return image if alpha is None else flatten_alpha(image, alpha, notes)


def to_srgb(image, profile, notes):
    """An opaque image as L or RGB, its colours converted from an ICC profile (bytes or None) to sRGB."""
    plain = {"1": "L", "L": "L", "LAB": "LAB"}.get(image.mode, "RGB")
    try:
        if image.mode == "LAB":
            source, name = ImageCms.createProfile("LAB"), "CIE L*a*b*"
        elif not profile:
            return image.convert(plain)
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            name = show(ImageCms.getProfileDescription(source).strip())
        if "sRGB" in name:
            return image.convert(plain)
        image = image if image.mode in ("L", "CMYK", "LAB") else image.convert(plain)
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ImportError) as error:
        if image.mode == "LAB":
            raise
        notes.append(f"its colour profile is broken or of another kind and was left out ({one_line(error)})")
        return image.convert(plain)
    notes.append(f"its colours were converted from {name} to sRGB")
    return converted


def deep_grey(values, tops):
    """Grey values to uint8, the first of tops that is not exceeded becoming 255."""
    top = next((top for top in tops if values.max() <= top), None)
    if top is None or not values.min() >= 0:  # "not >=" also catches NaN
        raise ValueError(f"grey values from {values.min():g} to {values.max():g}; save it with 8 or 16 bits")
    return Image.fromarray((values / top * 255).round().astype(np.uint8))


def flatten_alpha(image, alpha, notes):
    """Blend transparent parts of an image L or RGB with the mean colour of the visible ones; alpha: an image L."""
    weights = np.asarray(alpha)
    if not weights.any():
        raise ValueError("it is fully transparent")
    if weights.min() == 255:
        return image
    notes.append("transparent parts were filled with the mean colour of the visible ones; "
                 "CROP = (x, y, width, height) can leave them out")
    mean = [np.einsum("yx,yx", np.asarray(channel), weights, dtype=np.float64) / weights.sum(dtype=np.float64)
            for channel in image.split()]
    return Image.composite(image, Image.new(image.mode, image.size, tuple(round(value) for value in mean)), alpha)


def crop_image(image, crop):
    """The part (x, y, width, height) of an image; UserError if it does not lie inside."""
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1 or x + width > image.width or y + height > image.height:
        raise UserError(f"CROP = {tuple(crop)} does not lie inside the photo of {image.width} x {image.height} pixels")
    return image.crop((x, y, x + width, y + height))


def lighting_note(pixels):
    """A list with a sentence if brightness drifts across the photo, which would show as patches.

    A quadratic surface is fitted to the luminance of uint8 [H, W] or [H, W, 3].
    """
    grey = pixels.mean(-1) if pixels.ndim == 3 else pixels.astype(float)
    step = max(1, min(grey.shape) // 64)
    grey = grey[::step, ::step]
    y, x = (axis.ravel() for axis in np.meshgrid(*(np.linspace(-1, 1, n) for n in grey.shape), indexing="ij"))
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
    surface = basis @ np.linalg.lstsq(basis, grey.ravel(), rcond=None)[0]
    share = surface.var() / max(grey.var(), 1e-9)
    if share < 0.15 or np.ptp(surface) < 25:
        return []
    return [f"brightness drifts by {np.ptp(surface):.0f} of 255 levels across the photo ({share:.0%} of its variance): "
            "this can show up as patches; an evenly lit photo or a CROP works better"]


def grid_offsets(side, tile):
    """Offsets of the fewest tiles that cover side pixels; the last one is moved inside."""
    count = math.ceil(side / tile)
    return [min(k * tile, side - tile) for k in range(count)]


def split_tiles(x, tile):
    """Cut [C, H, W] into tiles [rows, columns, C, T, T]; the last row and column may overlap."""
    ys, xs = (grid_offsets(side, tile) for side in x.shape[-2:])
    return torch.stack([torch.stack([x[:, b:b + tile, a:a + tile] for a in xs]) for b in ys])


def join_tiles(tiles, height, width):
    """The inverse of split_tiles: [rows, columns, C, T, T] to [C, height, width], exactly."""
    tile = tiles.shape[-1]
    x = tiles.new_empty(tiles.shape[2], height, width)
    for row, b in zip(tiles, grid_offsets(height, tile)):
        for piece, a in zip(row, grid_offsets(width, tile)):
            x[:, b:b + tile, a:a + tile] = piece
    return x


def check_sizes(height, width, tile, multiple):
    """UserError unless the tile is a multiple of what the network can halve and 3 x 3 of them fit."""
    if tile < multiple or tile % multiple:
        nearest = max(multiple, round(tile / multiple) * multiple)
        raise UserError(f"TILE_SIZE is {tile}, which the network cannot halve often enough; "
                        f"it must be a multiple of {multiple}, such as {nearest}")
    if min(height, width) < 3 * tile:
        fits = min(height, width) // 3 // multiple * multiple
        advice = f"TILE_SIZE={fits} is the largest that fits" if fits \
            else f"use a photo of at least {3 * multiple} x {3 * multiple}"
        raise UserError(f"the photo has {width} x {height} pixels, and 3 x 3 tiles of {tile} need "
                        f"{3 * tile} x {3 * tile}; {advice}")


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


def dropout_masks(count, share, generator):
    """Neighbour dropout for count windows: bool [count, 8], True where a neighbour is kept.

    A share of the windows sees another pattern than the checkerboard's: half of those any of
    PATTERNS, the other half a random subset.
    """
    device = generator.device
    table = torch.stack([keep_mask(pattern) for pattern in PATTERNS]).to(device)
    named = table[torch.randint(len(table), (count,), generator=generator, device=device)]
    subset = torch.rand(count, 8, generator=generator, device=device) < 0.5
    other, kind = torch.rand(2, count, 1, generator=generator, device=device)
    return torch.where(other >= share, table[0], torch.where(kind < 0.5, named, subset))


# For textures without a direction the photo is turned and mirrored, too: (quarter turns, mirrored).
AUGMENTS = {"none": ((0, False),), "flip_x": ((0, False), (0, True)),
            "flips": ((0, False), (0, True), (2, False), (2, True)),
            "rotations": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))}


def turned(x, turns, mirrored):
    """x [..., H, W] after quarter turns, then mirrored left to right."""
    x = torch.rot90(x, turns, (-2, -1))
    return x.flip(-1) if mirrored else x


def cut_windows(x, ys, xs, side):
    """Windows [B, C, side, side] of x [C, H, W] with their upper left corners at ys, xs [B]."""
    span = torch.arange(side, device=x.device)
    rows, columns = ys[:, None] + span, xs[:, None] + span
    return x[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)


class NeighbourDataset:
    """Tiles at any pixel offset of a photo, with their neighbours; lives on the device as one tensor.

    The last `validation` tiles of the bottom row are held out: no training tile overlaps them
    and as neighbours they count as absent.
    """

    def __init__(self, photo, tile, validation=0, device="cpu", augment="none"):
        self.tile, self.halo, self.ways = tile, HALO, AUGMENTS[augment]
        _, self.height, self.width = photo.x.shape
        if validation < 0 or (validation + 2) * tile > self.width:
            raise UserError(f"VALIDATION = {validation} tiles of {tile} pixels leave too little of a photo "
                            f"{self.width} pixels wide; at most {max(0, self.width // tile - 2)} fit")
        self.padded = F.pad(photo.x, [self.halo] * 4).to(device)
        self.held_x, self.held_y = self.width - validation * tile, self.height - tile
        self.validation = validation
        self.table = self.offset_table(device)

    def offset_table(self, device):
        """Offsets (y, x) of all training tiles, [N, 2] int64."""
        y = torch.arange(self.height - self.tile + 1, device=device)
        x = torch.arange(self.width - self.tile + 1, device=device)
        free = (y[:, None] <= self.held_y - self.tile) | (x <= self.held_x - self.tile)
        return (free if self.validation else torch.ones_like(free)).nonzero()

    def validation_offsets(self):
        """Offsets (y, x) of the held-out tiles, [validation, 2] int64."""
        xs = torch.arange(self.held_x, self.width, self.tile, device=self.padded.device)
        return torch.stack([torch.full_like(xs, self.held_y), xs], 1)[:self.validation]

    def available(self, offsets):
        """Which neighbours exist: bool [B, 8], those whose nearest halo lies in the photo and is not held out."""
        y, x = offsets.T
        T, h = self.tile, self.halo
        top, left = torch.stack([y - h, y, y + T], 1), torch.stack([x - h, x, x + T], 1)  # [B, 3]
        size = torch.tensor([h, T, h], device=offsets.device)
        inside_y, inside_x = ((top >= 0) & (top + size <= self.height)), ((left >= 0) & (left + size <= self.width))
        held = (top + size > self.held_y)[:, :, None] & (left + size > self.held_x)[:, None, :]
        exists = inside_y[:, :, None] & inside_x[:, None, :] & ~(held & bool(self.validation))
        return without_tile(exists.flatten(1))

    def windows(self, offsets):
        """Canvases [B, C, S, S] around the tiles at offsets [B, 2], zero outside the photo."""
        return cut_windows(self.padded, *offsets.T, self.tile + 2 * self.halo)

    def tiles_of(self, windows):
        """The tiles [B, C, T, T] in the middle of the canvases [B, C, S, S]."""
        return windows[:, :, self.halo:-self.halo, self.halo:-self.halo]

    def batch(self, count, share, generator):
        """A training batch: canvases [B, C, S, S] and the neighbours to be shown, bool [B, 8]."""
        pick = torch.randint(len(self.table), (count,), generator=generator, device=self.table.device)
        windows, exists = self.windows(self.table[pick]), self.available(self.table[pick])
        if len(self.ways) > 1:
            windows, exists = self.turn(windows, exists, generator)
        return windows, exists & dropout_masks(count, share, generator)

    def turn(self, windows, exists, generator):
        """The same canvases, each turned and mirrored in one of the ways, with their neighbours."""
        which = torch.randint(len(self.ways), (len(windows),), generator=generator, device=windows.device)
        windows, around = windows.clone(), with_tile(exists).unflatten(1, (3, 3))
        for k, way in enumerate(self.ways):
            windows[which == k], around[which == k] = (turned(x[which == k], *way) for x in (windows, around))
        return windows, without_tile(around.flatten(1))


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

UNSHUFFLE = 4  # space-to-depth factor of the stem
HEAD_UNSHUFFLE = 2  # and of the head
HEAD_WIDTH = 64  # channels of the head
CROP_MARGIN = 4  # ring that the way up keeps around the tile, in pixels of each resolution


def tile_multiple(widths, unshuffle=UNSHUFFLE):
    """What TILE_SIZE must be a multiple of, so that the canvas can be halved at every level."""
    return unshuffle * max(4, 2 ** len(widths))


# Noise is told from detail band by band: the powers of a photo's bands against those of white noise
# say how far x_t is to be trusted at each scale (see predict_x0), whatever the photo.

BLURS = (2, 3, 5)  # half widths in pixels of the triangles that separate each band of detail from the next


def split_bands(x):
    """x [B, C, h, w] as a sum of bands, from the finest detail to what is left, [B, bands, C, h, w]."""
    bands = []
    for width in BLURS:
        line = (width - torch.arange(1 - width, width, device=x.device).abs()) / width**2
        kernel = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
        low = F.conv2d(F.pad(x, [width - 1] * 4, mode="replicate"), kernel, groups=x.shape[1])
        bands.append(x - low)
        x = low
    return torch.stack([*bands, x], 1)


def band_powers(x):
    """Mean square of each band of pictures [..., C, H, W], [bands]."""
    return split_bands(x.reshape(-1, *x.shape[-3:])).square().mean((0, 2, 3, 4))


def noise_powers():
    """Mean square of each band of white noise of deviation 1, [bands]: what one pixel alone leaves in them."""
    pixel = F.pad(torch.ones(1, 1, 1), [4 * sum(BLURS)] * 4)
    return band_powers(pixel) * pixel.numel()


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
    normalised units. halo 0: pictures without neighbours; context: length of a vector that the network is told.
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
        seen, out = (self.head_unshuffle**2 * planes for planes in (2 * channels + 1, channels + len(BLURS) + 1))
        self.head_in = nn.Conv2d(HEAD_WIDTH + seen, HEAD_WIDTH, 3, padding=1)
        self.filters = nn.Conv2d(seen, HEAD_WIDTH, 3, padding=1)
        self.choice = nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 1)
        self.head_block = Block(HEAD_WIDTH, HEAD_WIDTH, c_time)
        self.head_out = nn.Conv2d(HEAD_WIDTH, out, 3, padding=1)
        self.precision = torch.float32  # of the convolutions; see pick_precision
        self.register_buffer("region", region_map(tile, self.halo), persistent=False)
        self.register_buffer("noise", noise_powers(), persistent=False)
        self.register_buffer("signal", noise_powers())  # band_powers of the photo; build_net measures them
        self.initialise()

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
        """The tile x_t [B, C, T, T] among those neighbours of ring [B, C, S, S] that are present [B, 9]."""
        canvas = ring * present[:, self.region][:, None]
        crop_middle(canvas, self.tile)[:] = x_t
        return canvas.contiguous(memory_format=torch.channels_last)

    def forward(self, x_t, ring, present, time, context=None):
        """x_t [B, C, T, T] noisy tile, ring [B, C, S, S] whose middle is ignored, present bool [B, 8],
        time [B] in (0, 1], context [B, length] or None for zeros; returns the two parts of predict_x0: what is added
        to the filtered x_t, [B, C, T, T], and the gates of its bands, [B, bands, T, T]."""
        present = with_tile(present)
        with torch.autocast(x_t.device.type, self.precision, enabled=self.precision != torch.float32):
            out = self.denoise(self.canvas(x_t, ring, present), present, time, context).float()
        return out[:, :x_t.shape[1]], out[:, x_t.shape[1]:]

    def denoise(self, canvas, present, time, context):
        emb = self.time(time_features(time))
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


def with_tile(present):
    """bool [B, 8] of neighbours to bool [B, 9] of regions: the tile itself always exists."""
    return torch.cat([present[:, :4], torch.ones_like(present[:, :1]), present[:, 4:]], 1)


def without_tile(present):
    """bool [B, 9] of regions to bool [B, 8] of neighbours."""
    return torch.cat([present[:, :4], present[:, 5:]], 1)


def crop_middle(x, side):
    """The middle [..., side, side] of x [..., h, h], a view."""
    cut = (x.shape[-1] - side) // 2
    return x[..., cut:cut + side, cut:cut + side]


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


def wiener_bands(net, x_t, ring, present, abar):
    """The bands of x_t, each under a Wiener filter for a signal of the photo's power in it, [B, bands, C, T, T]."""
    margin = min(net.halo, sum(BLURS))  # the reach of a band
    canvas = net.canvas(x_t, abar.sqrt() * ring, with_tile(present))  # the neighbours as bright as x_t, without noise
    bands = crop_middle(split_bands(crop_middle(canvas, net.tile + 2 * margin)), net.tile)
    signal, noise = (powers[:, None, None, None] for powers in (net.signal, net.noise))  # [bands, 1, 1, 1]
    abar = abar[:, None]
    return bands * abar.sqrt() * signal / (abar * signal + (1 - abar) * noise)


GUIDANCE = 0.1  # of the estimates that sampling goes by; none in training


def predict_x0(net, x_t, t, ring, present, alphas_cumprod, guidance=0.0, context=None):
    """The estimate of x0 [B, C, T, T], unclipped; t [B] int64, the rest as in UNet.forward.

    What the network draws is added to x_t, under the linear filter that is best for the photo's powers (Wiener) and
    gated by the network at each pixel of each band: where the noise is weaker than the detail, the detail need not
    pass through the network. (v-prediction adds all of x_t, which left noise at all levels.)

    A network that hesitates between two shapes draws their mean, and what is drawn lacks contrast at all scales.
    guidance takes the estimate by this share further away from that of a worse model of the same photo, the filter
    alone, which knows no shapes (autoguidance, arXiv 2406.02507, with guidance = w - 1).
    """
    bands = wiener_bands(net, x_t, ring, present, per_sample(alphas_cumprod, t))
    drawn, gates = net(x_t, ring, present, (t + 1) / len(alphas_cumprod), context)
    x0 = drawn + (2 * gates.sigmoid()[:, :, None] * bands).sum(1)
    return torch.lerp(bands.sum(1), x0, 1 + guidance) if guidance else x0


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


SAMPLERS = ("ddim", "ddpm", "mixed")


def trailing_timesteps(num_timesteps, steps):
    """steps timesteps from num_timesteps - 1 down, evenly spaced, then -1 for the clean end."""
    return [round(num_timesteps * k / steps) - 1 for k in range(steps, -1, -1)]


def sample(estimate, shape, generators, alphas_cumprod, bounds, sampler="mixed", steps=30, sketch=None, start=1.0):
    """Draw pictures; a generator that yields (t, x_t, x0 estimate) after each step. The last x_t is the result.

    estimate(x_t, t): the estimate of x0, [B, C, h, w], such as predict_x0 among given neighbours.
    shape: (C, h, w) of a picture; generators: one CPU torch.Generator a picture, from which its start and its
    noise come, so that it does not depend on the batch that it is drawn in.
    bounds: the range that x0 is clamped to.
    sampler: "ddpm", "ddim" or "mixed", DDPM steps in the noisy half of the chain and DDIM steps that look
    ahead in the rest: fresh noise corrects what was decided too early about the structure, but wears off fine
    detail (EDM, arXiv 2206.00364, limits it to a range of noise levels for the same reason).
    sketch [B, C, h, w] or None: what to begin with, noised to the share `start` of the chain; without one all
    of the chain is gone through, from pure noise.
    """
    device, count = alphas_cumprod.device, len(generators)

    def noise():
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)

    x_t, earlier = noise(), None  # earlier: estimate and t of the DDIM step before
    first = len(alphas_cumprod) if sketch is None else round(start * len(alphas_cumprod))
    times = trailing_timesteps(first, steps)
    if sketch is not None:
        x_t = q_sample(sketch, torch.full((count,), times[0], device=device), x_t, alphas_cumprod)
    for now, after in zip(times, times[1:]):
        t, t_prev = (torch.full((count,), k, dtype=torch.long, device=device) for k in (now, after))
        with torch.inference_mode():
            x0 = estimate(x_t, t).clamp(*bounds)
            if sampler == "ddpm" or sampler == "mixed" and now >= len(alphas_cumprod) // 2:
                x_t, earlier = ddpm_step(x_t, x0, t, t_prev, noise(), alphas_cumprod), None
            else:
                ahead = x0
                if sampler == "mixed" and earlier is not None and after >= 0:  # the end is infinitely far ahead
                    ahead = look_ahead(x0, t, *earlier, t_prev, alphas_cumprod).clamp(*bounds)
                x_t, earlier = ddim_step(x_t, ahead, t, t_prev, alphas_cumprod), (x0, t)
        yield now, x_t, x0


# =============================================================================================
# 5. State
# =============================================================================================
# Every random number comes from a generator keyed by what it is for, (seed, purpose, a, b, c):
# a run that is resumed, or drawn in other batches, needs no saved generator to be the same.

INITIAL, TRAINING, VALIDATING, LAYOUT_CHOICE, DRAWING, SHOWING = range(1, 7)  # purposes


def seed_sequence(seed, purpose, a=0, b=0, c=0):
    """The SeedSequence of one purpose and place; keys have one length, since zeros pad shorter ones."""
    return np.random.SeedSequence((seed, purpose, a, b, c))


def torch_generator(*key, device="cpu"):
    """A torch.Generator on a device for seed_sequence(*key)."""
    return torch.Generator(device).manual_seed(int(seed_sequence(*key).generate_state(1, np.uint64)[0]))


class Alone:
    """What one of several processes that do the same job asks of the others; alone there are none to ask.

    See texture_distributed.py, which puts another in place under torchrun.
    """

    rank, count = 0, 1  # number of this process, which writes files if it is 0; how many there are

    def wrap(self, module):
        """A module whose gradients become the mean of all processes'."""
        return module

    def mean(self, value):
        """The mean of a number over all processes."""
        return value

    def any(self, value):
        """Whether a value is true in any process."""
        return bool(value)

    def first(self, value):
        """The value that the first process has."""
        return value

    def gather(self, x):
        """Tensors of one shape from all processes, in their order."""
        return [x]


team = Alone()


def pick_device():
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_precision(device, before=None):
    """torch.bfloat16 where the hardware computes in it, else torch.float32.

    A CPU without bf16 units emulates them slowly, and torch does not say which kind it runs on:
    the same convolution is timed in both for a moment, and bf16 has to win clearly. A run that goes on keeps
    the precision of the one before, "float32" or "bfloat16", so that it ends as if it had not been stopped,
    unless it lost by far.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float32
    if device.type != "cpu":
        return torch.float32
    conv, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 48, 48)

    def seconds(dtype):
        layer, y = (thing.to(dtype, memory_format=torch.channels_last) for thing in (copy.deepcopy(conv), x))
        with torch.inference_mode():
            return min(timed(lambda: layer(y)) for _ in range(8))

    enough = {None: 1.25, "float32": 2.5, "bfloat16": 0.7}[before]
    return torch.bfloat16 if seconds(torch.float32) > enough * seconds(torch.bfloat16) else torch.float32


def timed(work):
    """Seconds that work() takes; the GPU is waited for."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory():
    """Largest memory of this process so far in bytes (of the GPU, where there is one), None if unknown."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# =============================================================================================
# 6. Files
# =============================================================================================
# What is written takes its place in one step, whole; what is read is looked at before it is believed; what the tool did
# not make is left alone. docs/RELIABILITY.md lists what is promised, with the tests.

WINDOWS = os.name == "nt"


def write_atomically(path, write, before=None):
    """Call write(file) on a temporary binary file beside path, then put it in path's place in one step; of several
    processes the first does. Before that step it calls before(). DiskError if the disk refuses: path is as it was."""
    if team.rank:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before()
        replace(temporary, path)
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch hides it behind a RuntimeError
        if not isinstance(cause, OSError) and "inline_container" not in str(error):
            raise
        reason = getattr(cause, "strerror", None) or "the disk refuses, it may be full"
        raise DiskError(f"{show(path)} cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace(source, target):
    """os.replace that outlasts a crash of the machine; on Windows another program may have the target open for a
    moment, which is waited for."""
    for wait in (0.1, 0.2, 0.4, 0.8, 1.6, None):
        try:
            os.replace(source, target)
            break
        except PermissionError:
            if not WINDOWS or wait is None:
                raise
            time.sleep(wait)
    with contextlib.suppress(OSError):  # a name is safe when its folder is on the disk, too; not every system can
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sweep(folder, pattern):
    """Delete the temporary files that a killed run left, of files whose names match a regular expression."""
    for path in folder.iterdir():
        if re.fullmatch(rf"\.({pattern})\.\d+\.(tmp|link)", path.name):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path, name):
    """While entered, no other run can lock path; UserError if one does. The lock ends with its process, however that
    ends. Of several processes of a run the first locks."""
    file = None if team.rank else open(path, "a+")
    while file:
        if not lock(file):
            file.seek(0)
            raise UserError(f"another run works on {name} (process {file.read().strip() or 'unknown'}, {show(path)}); "
                            "wait until it ends, or stop it")
        if is_at(file, path):
            break
        file.close()  # the run before has just deleted it
        file = open(path, "a+")
    try:
        if file:
            file.truncate(0)
            print(os.getpid(), file=file, flush=True)
        yield
    finally:
        if file:
            with contextlib.suppress(OSError):  # Windows deletes no open file: it stays, and does no harm
                path.unlink()
            file.close()


def is_at(file, path):
    """Whether an open file is the one at path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def lock(file):
    """Whether the system's lock of an open file could be taken; a process that ends gives its own back."""
    try:
        if WINDOWS:
            import msvcrt

            file.seek(2**30)  # what is locked cannot be read: far behind the number of the process
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a disk without locks
        print("note: this disk knows no locks; do not start two runs on one photo at a time")
    return True


class Results:
    """The folder of a photo's results, with a list of what was made there from which photo, which is kept on leaving.

    A result takes the place of one that was made from the same photo and not changed since; else it gets a new name.
    """

    def __init__(self, folder, digest):
        self.folder, self.digest, self.list = folder, digest, folder / ".made.json"
        self.made = {}  # file's name -> [digest of the photo, SHA-256 of the file, "" while a run is at work]
        self.chosen = {}  # name -> path
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = json.loads(self.list.read_text(encoding="utf-8"))
            self.made = {name: entry for name, entry in found.items() if isinstance(entry, list) and len(entry) == 2}

    def path(self, name):
        """The path for the result of this name: itself, or name.2, name.3, ..."""
        if name not in self.chosen:
            stem, suffix = os.path.splitext(name)
            names = (f"{stem}.{n}{suffix}" if n > 1 else name for n in range(1, 10**6))
            found = None if team.rank else next(name for name in names if self.replaceable(self.folder / name))
            self.chosen[name] = self.folder / team.first(found)
            self.made[self.chosen[name].name] = [self.digest, ""]
            self.keep()
        return self.chosen[name]

    def replaceable(self, path):
        """Whether a result may take this path."""
        photo, digest = self.made.get(path.name, (None, None))
        return not os.path.lexists(path) or (photo == self.digest and path.is_file() and not path.is_symlink()
                                             and digest in ("", digest_of(path)))

    def keep(self):
        """Write the list."""
        text = json.dumps(self.made, indent=0, sort_keys=True)
        write_atomically(self.list, lambda file: file.write(text.encode()))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for path in self.chosen.values():
            self.made[path.name][1] = digest_of(path) if path.is_file() else ""
        with contextlib.suppress(DiskError):  # a full disk: what a run left unsaid may be replaced
            if self.chosen:
                self.keep()


def digest_of(path):
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


CHECKPOINT_FORMAT = 1  # of those that this script promises to read for ever
PROGRAM = "texture_diffusion"
NETWORK_CONSTANTS = ("TILE_SIZE", "WIDTHS", "TIMESTEPS")  # a model cannot even draw with others
TRAINING_CONSTANTS = ("EPOCH_TILES", "BATCH_SIZE", "LEARNING_RATE", "NEIGHBOUR_DROPOUT", "VALIDATION", "AUGMENT")


def generations(path):
    """The paths of a checkpoint, the newest first, and of the one before it."""
    return path, path.with_name(f"{path.stem}.previous.pt")


def saved(path):
    """Whether there is any generation of a checkpoint."""
    return any(map(Path.exists, generations(path)))


def save_checkpoint(path, state):
    """Write a dict of tensors, numbers, strings, lists and dicts; the file that was there becomes the generation
    before it. RunError, and nothing is changed, if a value is not finite; DiskError if the disk refuses."""
    if not finite(state):
        raise RunError(f"the model is no longer finite and was not saved: {show(path)} is as it was; "
                       "try a lower LEARNING_RATE with FRESH=True")
    state = {"program": PROGRAM, "format": CHECKPOINT_FORMAT, "version": __version__, **state}
    write_atomically(path, lambda file: torch.save(state, file), lambda: keep_generation(path))


def keep_generation(path):
    """Make the file at path the generation before it, if it is whole; it stays at path, too, where that can be."""
    previous, link = generations(path)[1], path.with_name(f".{path.name}.{os.getpid()}.link")
    if not is_whole(path):
        return
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        replace(link, previous)
    except OSError:  # a disk without links: for a moment there is only the previous one, which is read then
        replace(path, previous)
    finally:
        link.unlink(missing_ok=True)


def finite(value):
    """Whether all numbers in a nest of dicts, lists, tuples and tensors are finite."""
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, (dict, list, tuple)):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def checked_file(path):
    """What torch.save wrote to path, in memory, with all checksums compared; ValueError or an error of zipfile if they
    differ. torch.load compares none, unpacks a small file to any size, and trusts a damaged list of contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        members = source.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) \
                or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it is packed")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two parts of it have one name")
        for member in members:
            target.writestr(member.filename, source.read(member))
    buffer.seek(0)
    return buffer


def is_whole(path):
    """Whether there is a file at path, and its checksums are right."""
    try:
        return bool(checked_file(path))
    except Exception:  # zipfile raises almost anything on a damaged file
        return False


def load_state(path):
    """Read what torch.save wrote, onto the CPU, without running code from it; an exception if it is anything else, or
    not a dict of finite numbers and of tensors that are as large as they say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other kinds of files, which are refused
        state = torch.load(checked_file(path), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not plain(state):
        raise ValueError("it holds something else than a model")
    return state


def plain(state):
    """Whether a nest of dicts, lists and tuples holds only strings, None, finite numbers and finite tensors that lie
    whole in memory."""
    left, seen = [state], set()
    while left:
        value = left.pop()
        if id(value) in seen:  # a small file can name one list very often
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            whole = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized \
                and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
            if not (whole and finite(value)):
                return False
        elif isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        elif not (value is None or isinstance(value, (str, bool, int, float)) and finite(value)):
            return False
    return True


def load_checkpoint(path):
    """The newest generation of a checkpoint that is whole; RunError if none is, UserError on another format."""
    faults = []
    for place in filter(Path.exists, generations(path)):
        try:
            state = check_values(load_state(place))
            if place != path:
                print(f"warning: {faults[0] if faults else f'{show(path)} is missing'}; going on from {show(place)}, "
                      "which was saved before it", file=sys.stderr)
            return state
        except UserError as error:
            raise UserError(f"{show(place)} {error}") from None
        except Exception as error:  # torch.load raises almost anything, too
            faults.append(f"{show(place)} is damaged or no checkpoint of this script ({one_line(error)})")
    raise RunError(f"{'; '.join(faults)}. Nothing was changed: put a copy in its place, or move "
                   f"{'both' if len(faults) > 1 else 'it'} away to start anew ({PROGRAM}.py does with FRESH=True)")


def is_count(value):
    """Whether a value is a whole number of 0 or more, and no longer than one can be to be shown."""
    return type(value) is int and 0 <= value < 2**128


def is_number(value):
    """Whether a value is a number."""
    return type(value) in (int, float)


def is_constant(value):
    """Whether a value is one that a constant can have."""
    return is_count(value) or type(value) in (float, bool, type(None)) or type(value) is str and len(value) < 300 \
        or type(value) is tuple and len(value) < 10 and all(map(is_count, value))


CHECKPOINT_VALUES = {  # what each value has to be; those of an older version may lack some
    "version": lambda value: type(value) is str,
    "constants": lambda value: all(type(name) is str and is_constant(value[name]) for name in value),
    "digest": lambda value: re.fullmatch("[0-9a-f]{64}", value),
    "size": lambda value: len(value) == 2 and all(map(is_count, value)),
    **dict.fromkeys(("step", "start", "end", "seed", "reported", "skipped", "in_a_row"), is_count),
    "curve": lambda value: all(is_count(step) and is_number(loss) and (held is None or is_number(held))
                               for step, loss, held in value),
    "losses": lambda value: all(map(is_number, value)),
    "precision": lambda value: value in ("float32", "bfloat16"),
    "ema": lambda value: all(isinstance(weights, torch.Tensor) for weights in value.values()),
}
LACKED = ("version", "size", "reported", "skipped", "in_a_row", "precision")


def check_values(state):
    """The state of a checkpoint, if all values are of their types and in their ranges; UserError on another format,
    else ValueError, with the rest of a sentence."""
    if state.get("program") != PROGRAM or state.get("format") != CHECKPOINT_FORMAT:
        raise UserError(f"is no checkpoint of {PROGRAM} in format {CHECKPOINT_FORMAT}, which this version reads; "
                        f"move it away to start anew ({PROGRAM}.py does with FRESH=True)")
    for name, holds in CHECKPOINT_VALUES.items():
        if not (name in state and holds(state[name]) or name in LACKED and name not in state):
            raise ValueError(f"{name} in it has an impossible value")
    if not state["start"] <= state["step"] <= state["end"]:
        raise ValueError("its steps are not in order")
    return state


def differences(saved, constants, names):
    """Sentences such as "TILE_SIZE is 64 here and 128 in the checkpoint", one for each name that differs."""
    return [f"{name} is {constants[name]} here and {saved.get(name)} in the checkpoint"
            for name in names if saved.get(name) != constants[name]]


def check_checkpoint(path, state, constants, photo, training):
    """UserError unless the checkpoint fits the photo and the constants; returns notes on harmless differences."""
    advice = "Set it back, or start anew with FRESH=True (the old checkpoint is put aside)"
    if state["digest"] != photo.digest:
        size, here = state.get("size", "??"), tuple(photo.x.shape[1:])
        raise UserError(f"{show(path)} was trained on another photo or part of it ({size[1]} x {size[0]} pixels there, "
                        f"{here[1]} x {here[0]} here; the file, CROP or MAX_SIDE differ). {advice}")
    saved = {"AUGMENT": "none", **state["constants"]}  # as all were before there was this constant
    wrong, other = (differences(saved, constants, names) for names in (NETWORK_CONSTANTS, TRAINING_CONSTANTS))
    if wrong or (training and other):
        raise UserError(f"{show(path)} does not fit: {'; '.join(wrong + other)}. {advice}")
    return [f"{show(path)}: {difference}; it only matters for training" for difference in other]


def put_aside(path, photo):
    """Rename a checkpoint, and the generation before it, to the first free <name>.old<n>.pt; returns the new path.
    UserError if it is the photo at another path."""
    aside = (path.with_name(f"{path.stem}.old{n}.pt") for n in range(1, 10**6))
    free = next(place for place in aside if not any(map(os.path.lexists, generations(place))))
    there = [(source, target) for source, target in zip(generations(path), generations(free)) if source.exists()]
    for source, _ in there:
        if source.samefile(photo):
            raise UserError(f"the photo lies at {show(source)}, where its model goes; give it another name")
    for source, target in there:
        replace(source, target)
    return free


class StopSignals:
    """While entered, the first SIGINT or SIGTERM only sets `received`; a second one acts as before."""

    def __init__(self):
        self.received, self.previous = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number, frame):
        self.received = number
        self.restore()

    def restore(self):
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def __exit__(self, *error):
        self.restore()


class Stopped(BaseException):
    """The person stopped the run; args are a sentence and the signal's number, None if another process received it.

    Like KeyboardInterrupt no Exception: nothing that recovers from errors may swallow it.
    """


class StopAtOnce(StopSignals):
    """While entered, SIGINT and SIGTERM raise Stopped wherever the run is: for work that need not be saved."""

    def note(self, number, frame):
        raise Stopped("stopped", number)


# =============================================================================================
# 7. Training
# =============================================================================================
# Loss: squared error of x0, weighted by 1 / max(1 - alpha_bar_t, floor), between the plain x0 loss
# and the plain eps loss: small noise levels, where the finest detail is learned, count more. The pixels
# along a tile's border are few, yet every seam lies there: they count more, too.

LOSS_FLOOR = 0.02
BORDER_WEIGHT = 6  # of the outermost pixels; what exceeds 1 falls to a third every 2 pixels inwards
EMA_DECAY = 0.999
GRADIENT_CLIP = 1.0
WEIGHT_DECAY = 0.01
MOMENTUM = 0.95  # of Muon
MUON_STEP = 0.8  # root mean square of Muon's steps over the learning rate; AdamW's is about 0.2 to 0.4
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


class Muon(torch.optim.Optimizer):
    """For kernels of convolutions, each a matrix [c_out, c_in k k]: all singular values of its momentum become about 1,
    so that rare directions are learned as fast as common ones. (Jordan et al. 2024,
    kellerjordan.github.io/posts/muon; the step's size as in arXiv 2502.16982, eq. 4, so that AdamW's rates fit.)
    """

    def __init__(self, kernels, lr, precision):
        super().__init__(kernels, {"lr": lr})
        self.precision = precision  # of the matrix products

    @torch.no_grad()
    def step(self):
        """One step by the kernels' gradients."""
        rate = self.param_groups[0]["lr"]
        for kernel in self.param_groups[0]["params"]:
            if not self.state[kernel]:
                self.state[kernel]["momentum"] = torch.zeros_like(kernel)
            momentum = self.state[kernel]["momentum"].lerp_(kernel.grad, 1 - MOMENTUM)
            matrix = kernel.grad.lerp(momentum, MOMENTUM).flatten(1).to(self.precision)
            size = MUON_STEP * max(matrix.shape) ** 0.5
            kernel.mul_(1 - rate * WEIGHT_DECAY)
            kernel.sub_(orthogonalise(matrix).view_as(kernel), alpha=rate * size)


def orthogonalise(x):
    """Nearly U V^T for x = U S V^T, [m, n], by three Newton-Schulz steps; singular values end up around 1.

    Each step is x <- polynomial(x x^T) x. Only the product of the polynomials is kept until the end: it is [m, m].
    """
    x = x / (x.norm() + 1e-7)
    gram, product = x @ x.T, torch.eye(len(x), dtype=x.dtype, device=x.device)
    for _ in range(3):
        square = product @ gram @ product
        product = 3.4445 * product + (2.0315 * square @ square - 4.775 * square) @ product
    return product @ x


def build_net(photo, tile, widths, seed, device, **options):
    """A UNet for a Photo with reproducible initial weights, channels_last, on the device; options: of UNet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed_sequence(seed, INITIAL).generate_state(1)[0]))
        net = UNet(len(photo.x), tile, widths, **options)
    net.signal.copy_(band_powers(photo.x))
    return net.to(device, memory_format=torch.channels_last)


class Objective(nn.Module):
    """The loss of a batch as a module, since this is what a team can wrap."""

    def __init__(self, trainer):
        super().__init__()
        self.net, self.loss = trainer.net, trainer.loss

    def forward(self, generator):
        return self.loss(self.net, generator)


class Trainer:
    """Network, EMA and optimizer with all that has to be kept to go on from any step."""

    def __init__(self, net, dataset, alphas_cumprod, batch_size, learning_rate, dropout, seed):
        self.net, self.dataset, self.alphas_cumprod = net, dataset, alphas_cumprod
        self.batch_size, self.learning_rate, self.dropout, self.seed = batch_size, learning_rate, dropout, seed
        self.border_weights = border_weights(dataset.tile if net.halo else 1).to(alphas_cumprod.device)
        self.ema = copy.deepcopy(net).eval().requires_grad_(False)
        kernels, others = ([w for w in net.parameters() if (w.ndim == 4) == kernel] for kernel in (True, False))
        self.opts = [Muon(kernels, learning_rate, net.precision),
                     torch.optim.AdamW(others, lr=learning_rate, weight_decay=WEIGHT_DECAY)]
        self.objective = team.wrap(Objective(self))
        self.step = self.start = self.end = 0  # done so far; first and last step of the current schedule
        self.curve = []  # [step, mean training loss, validation loss or None], one entry an epoch
        self.losses = []  # of the steps since the last entry
        self.skipped = self.in_a_row = 0  # steps whose loss was not finite: all, and those just now
        self.reported = 0  # the last step after which report() was called

    def loss(self, net, generator):
        """The weighted x0 loss of one random batch, a scalar tensor; each process takes its share of the batch."""
        windows, *told = self.dataset.batch(self.batch_size, self.dropout, generator)
        x0 = self.dataset.tiles_of(windows)
        device, steps = x0.device, len(self.alphas_cumprod)
        # Stratified timesteps: one from each of B equal parts of the chain, for a calmer gradient.
        spread = torch.arange(len(x0), device=device) + torch.rand(len(x0), generator=generator, device=device)
        t = (spread / len(x0) * steps).long().clamp(max=steps - 1)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        share = slice(team.rank, None, team.count)
        return self.weighted_error(net, *(x[share] for x in (x0, t, eps, windows, *told)))

    def weighted_error(self, net, x0, t, eps, ring, present, context=None):
        """Mean of the weighted squared error of the estimate of x0, a scalar tensor."""
        x_t = q_sample(x0, t, eps, self.alphas_cumprod)
        error = predict_x0(net, x_t, t, ring, present, self.alphas_cumprod, context=context) - x0
        return (loss_weight(t, self.alphas_cumprod) * self.border_weights * error**2).mean()

    def train_step(self):
        """One step of all weights; returns the loss. Where it is not finite, the weights stay as they are."""
        rate = learning_rate_at(self.step, self.start, self.end, self.learning_rate)
        for opt in self.opts:
            opt.param_groups[0]["lr"] = rate
        generator = torch_generator(self.seed, TRAINING, self.step, device=self.alphas_cumprod.device)
        self.net.zero_grad()
        loss = self.objective(generator)
        loss.backward()
        loss = team.mean(loss.item())  # waits for the GPU, once a step
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
        self.skipped, self.in_a_row, self.step = self.skipped + 1, self.in_a_row + 1, self.step + 1
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
        if not finite(self.ema.state_dict()):
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
        """Loss of the EMA on the held-out tiles with fixed noise and noise levels; None if none are held out."""
        dataset, steps = self.dataset, len(self.alphas_cumprod)
        offsets = dataset.validation_offsets()
        if not len(offsets):
            return None
        offsets = offsets.repeat_interleave(VALIDATION_LEVELS, 0)
        t = torch.arange(len(offsets), device=offsets.device) % VALIDATION_LEVELS
        t = ((t + 0.5) * steps / VALIDATION_LEVELS).long()
        windows, generator = dataset.windows(offsets), torch_generator(self.seed, VALIDATING)
        eps = torch.randn(dataset.tiles_of(windows).shape, generator=generator).to(windows.device)
        present = dataset.available(offsets) & keep_mask(CHECKERBOARD).to(offsets.device)
        parts = zip(*(x.split(self.batch_size) for x in (dataset.tiles_of(windows), t, eps, windows, present)))
        losses = [self.weighted_error(self.ema, *part).item() * len(part[0]) for part in parts]
        return sum(losses) / len(offsets)

    def state(self):
        """What has to be kept, as plain values."""
        return {"net": self.net.state_dict(), "ema": self.ema.state_dict(), "step": self.step, "start": self.start,
                "opts": [opt.state_dict()["state"] for opt in self.opts], "end": self.end, "seed": self.seed,
                "curve": self.curve, "losses": self.losses, "skipped": self.skipped, "in_a_row": self.in_a_row,
                "reported": self.reported, "precision": str(self.net.precision).removeprefix("torch.")}

    def load(self, state):
        """Take over a state; one with EMA weights only (a shipped model) can draw but not go on training. ValueError if
        it does not fit the network."""
        try:
            self.ema.load_state_dict(state["ema"])
            if "net" in state:
                self.net.load_state_dict(state["net"])
                for opt, kept in zip(self.opts, state["opts"], strict=True):
                    take_over(opt, kept)
        except Exception as error:  # load_state_dict raises almost anything on what is none
            raise ValueError(f"its weights do not fit the network ({one_line(error)})") from error
        self.step, self.start, self.end = state["step"], state["start"], state["end"]
        self.seed, self.curve, self.losses = state["seed"], list(state["curve"]), list(state["losses"])
        self.skipped, self.in_a_row = state.get("skipped", 0), state.get("in_a_row", 0)
        self.reported = state.get("reported", self.step)


def take_over(opt, kept):
    """Give an optimizer the state of each weight, {number: {name: tensor}}; ValueError if it does not fit."""
    weights = opt.param_groups[0]["params"]
    fits = all(kept[number].keys() <= {"momentum", "step", "exp_avg", "exp_avg_sq"} and all(
        x.dtype == torch.float32 and x.shape in (weights[number].shape, ()) for x in kept[number].values())
        for number in kept)
    if not fits:
        raise ValueError("the optimizer's numbers are of another network")
    opt.load_state_dict({"state": kept, "param_groups": opt.state_dict()["param_groups"]})


def trial(trainer):
    """Seconds of one training step and of one network evaluation, measured on a copy of the network."""
    twin = Trainer(copy.deepcopy(trainer.net), trainer.dataset, trainer.alphas_cumprod, trainer.batch_size,
                   trainer.learning_rate, trainer.dropout, trainer.seed)
    generator = torch_generator(trainer.seed, TRAINING, device=trainer.alphas_cumprod.device)

    def draw():
        with torch.inference_mode():
            twin.loss(twin.net, generator)

    return tuple(min(timed(work) for _ in range(2)) for work in (twin.train_step, draw))


def train(trainer, epochs, epoch_steps, stop, save, report):
    """Train with a progress bar to the given epoch.

    stop: StopSignals; save() keeps the trainer's state; report(epoch) shows how it stands, after each epoch.
    """
    trainer.plan(epochs * epoch_steps)
    bar = tqdm(total=trainer.end * trainer.batch_size, initial=trainer.step * trainer.batch_size, unit="tile",
               desc="training", mininterval=0.5 if sys.stderr.isatty() else 20)
    try:
        with bar:
            report_epoch(trainer, epoch_steps, report)  # of which the last run was stopped
            for loss in trainer.steps():
                bar.update(trainer.batch_size)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if trainer.step % epoch_steps == 0:
                    trainer.end_epoch()
                    report_epoch(trainer, epoch_steps, report)
                if team.any(stop.received):
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
        with StopAtOnce() if team.count == 1 else contextlib.nullcontext():
            report(epoch)
    except DiskError as error:
        tqdm.write(f"warning: {error}; training goes on", file=sys.stderr)
    trainer.reported = trainer.step


# =============================================================================================
# 8. Outpainting
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
OFFSETS = {"N": (-1, 0), "W": (0, -1), "E": (0, 1), "S": (1, 0)}  # row, column
AROUND = dict(zip(NEIGHBOURS, ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))))
OPPOSITE = {"N": "S", "W": "E", "E": "W", "S": "N"}
CLAIM_SHRINK = 8  # claims are compared on a copy of the photo shrunk so much
PLACE_STEP = 2  # pixels between the places of the photo that are tried for each real tile
ATTEMPTS = 4  # layouts of which the best is taken
CHANCE = 0.03  # what chance adds to the cost of a place at most; 1 is the disagreement of two unrelated claims
REUSE_COST = 0.1  # of using a place once more
BALANCE_COST = 0.2  # of a colour (normalised units) that adds to what the tiles chosen so far have too much of
SHARPNESS = 8  # how quickly one claim takes over from another in a sketch: distance to the border to this power

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

    def shape(self):
        """Rows and columns."""
        return tuple(len(line) for line in self.lines)

    def cells(self):
        """All cells (row, column) in reading order."""
        return list(np.ndindex(self.shape()))

    def trimmed(self):
        """Whether some tiles overlap."""
        return any(b - a != self.tile for line in self.lines for a, b in zip(line, line[1:]))

    def step(self, axis, index, way):
        """The line that lies `way` lines after one, and how many pixels after it; None beyond the edge."""
        line = self.lines[axis]
        if not (self.wraps[axis] or 0 <= index + way < len(line)):
            return None
        turns, there = divmod(index + way, len(line))
        return there, line[there] - line[index] + turns * self.size[axis]

    def around(self, cell):
        """The neighbours of a cell: {direction: (cell, (pixels down, pixels to the right))}."""
        found = {}
        for name, ways in AROUND.items():
            down, right = (self.step(axis, cell[axis], way) for axis, way in enumerate(ways))
            if down and right:
                found[name] = (down[0], right[0]), (down[1], right[1])
        return found

    def ring(self, cell):
        """The window of a tile with a halo of each neighbour: its corner (y, x) and its size (h, w)."""
        return [line[k] - HALO for line, k in zip(self.lines, cell)], (self.tile + 2 * HALO,) * 2

    def touching(self, corner, size):
        """Cells whose tiles reach into a window, and where they begin in it: [(cell, (y, x))]."""
        found = []
        for line, side, wraps, at, length in zip(self.lines, self.size, self.wraps, corner, size):
            starts = [at - turn * side for turn in ((-1, 0, 1) if wraps else (0,))]
            found.append([(k, line[k] - start) for start in starts for k in range(
                bisect.bisect_right(line, start - self.tile), bisect.bisect_left(line, start + length))])
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
    views: tuple = ()  # the photo with a border of one tile, [C, H + 2T, W + 2T], turned in all ways that are wanted
    view: np.ndarray | None = None  # which of them, [rows, columns]
    claims: bool = True  # whether the views' borders continue the photo, so that gaps have claims

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

    def cut(self, cell, by=(0, 0)):
        """What lies `by` pixels down and to the right of a real tile in its view of the photo, [C, T, T]."""
        (y, x), tile = self.source[cell] + self.grid.tile + by, self.grid.tile
        return self.views[self.view[cell]][:, y:y + tile, x:x + tile]

    def made(self):
        """bool [rows, columns], True where a tile is drawn in the end."""
        return ~self.real() | (self.order() >= 0)

    def owners(self, corner, size):
        """Which cell, counted in reading order, is seen at each pixel of a window (h, w) at a corner (y, x), int."""
        shown = np.full(size, -1)
        order, columns = self.order(), self.grid.shape()[1]
        places = self.grid.touching(corner, size)
        for (i, j), (y, x) in sorted(places, key=lambda place: order[place[0]]):
            shown[max(0, y):y + self.grid.tile, max(0, x):x + self.grid.tile] = i * columns + j
        return shown


def lay_out(photo, kind, grid, seed, augment="none", redraw=False):
    """The Layout of a kind in LAYOUTS on a grid; augment: in AUGMENTS; redraw: real tiles are drawn anew at the end."""
    rng, tile = np.random.default_rng(seed_sequence(seed, LAYOUT_CHOICE)), grid.tile
    if kind == "rows":
        return rows_layout(photo, grid)
    cells = [cell for cell in grid.cells() if sum(cell) % 2 == 0]
    wide = continue_photo(photo.x.cpu(), tile)
    views = tuple(turned(wide, *way).contiguous() for way in AUGMENTS[augment])
    if kind == "matched":
        places = match_tiles(views, grid, cells, rng)
    elif kind == "ordered":
        ys, xs = (grid_offsets(side, tile) for side in photo.x.shape[1:])
        places = [(0, ys[i % len(ys)], xs[j % len(xs)]) for i, j in cells]
    else:
        chosen = [int(rng.integers(len(views))) for _ in cells]
        places = [(k, *rng.integers([side - 3 * tile + 1 for side in views[k].shape[1:]])) for k in chosen]
    source, view = np.full((*grid.shape(), 2), -1), np.zeros(grid.shape(), int)
    for cell, (which, *offset) in zip(cells, places):
        source[cell], view[cell] = offset, which
    gaps = [cell for cell in grid.cells() if sum(cell) % 2]
    passes = [part for whole in ([gaps, cells] if redraw else [gaps]) for part in apart(whole, grid)]
    return Layout(grid, source, passes, views, view)


def apart(cells, grid):
    """The passes for cells of one colour of the checkerboard: one, or where tiles overlap those of even rows first."""
    return [part for row in (0, 1) if (part := [cell for cell in cells if cell[0] % 2 == row])] \
        if grid.trimmed() else [cells]


def rows_layout(photo, grid):
    """The photo's own tiles in the upper left corner, the rest in diagonal waves of the reading order."""
    source, waves = np.full((*grid.shape(), 2), -1), {}
    ys, xs = (grid_offsets(side, grid.tile) for side in photo.x.shape[1:])
    for i, j in grid.cells():
        if i < len(ys) and j < len(xs):
            source[i, j] = ys[i], xs[j]
        else:  # after (i, j - 1) and (i - 1, j + 1)
            waves.setdefault(2 * i + j, []).append((i, j))
    views = (F.pad(photo.x.cpu(), [grid.tile] * 4),)
    return Layout(grid, source, [waves[key] for key in sorted(waves)], views, np.zeros(grid.shape(), int), False)


# Random real tiles break regular textures: rows of bricks would not meet across a gap. A tile cut
# at offset p therefore claims what the gap beside it should look like, namely what lies beside p in
# the photo, and two tiles around a gap agree if their claims look alike. Agreement alone would
# prefer quiet parts of the photo, so parts used already cost more, and so do tiles and claims of
# a colour of which those chosen so far have too much (the photo's mean is 0; no colour costs
# anything by itself). What would lie beyond the photo's edge is taken from the places that look
# most like that edge; the seam between the two is no part of the texture, so tiles are not cut next to it.


class Places:
    """Compares all places of a photo, PLACE_STEP pixels apart, with pictures of what should be there and around it.

    x: the photo with a border of one tile, [C, H + 2T, W + 2T]; known: which of its pixels count, [1, H + 2T, W + 2T].
    Where a is the photo and b the picture and k says whether they are known, the disagreement
    k_a k_b (a - b)^2 + (1 - k_a k_b) unrelated is linear in the planes (a, a^2, k_a): summed over a
    window it is a correlation with a kernel made of b, done by FFT.
    """

    def __init__(self, x, known, tile):
        self.tile = tile
        blurred = F.avg_pool2d(torch.cat([x * known, known]), CLAIM_SHRINK, stride=1)
        self.planes = F.pad(planes_of(blurred), [0, CLAIM_SHRINK - 1] * 2)
        self.unrelated = 2 * self.planes[:-2, self.planes[-1] > 0].var()  # squared difference of two places
        sides = [side - 2 * tile for side in x.shape[1:]]
        self.count = [(side - tile) // PLACE_STEP + 1 for side in sides]
        self.grid = [(side - tile) // CLAIM_SHRINK + 1 for side in sides]  # places of one phase
        self.size = [count + 3 * (tile // CLAIM_SHRINK) - 1 for count in self.grid]
        steps = range(0, CLAIM_SHRINK, PLACE_STEP)
        self.phases = len(steps)
        self.spectra = torch.fft.rfft2(torch.stack(
            [self.planes[:, a::CLAIM_SHRINK, b::CLAIM_SHRINK][:, :self.size[0], :self.size[1]]
             for a in steps for b in steps]))

    def cut(self, y, x, side):
        """The planes of the part of x from (y, x), shrunk: [C + 2, side / CLAIM_SHRINK, side / CLAIM_SHRINK]."""
        return self.planes[:, y:y + side:CLAIM_SHRINK, x:x + side:CLAIM_SHRINK]

    def disagreement(self, pictures):
        """Disagreement of each place with pictures [(y, x, planes)] over that of unrelated places, [places].

        y, x: where each begins, in pixels from the place's upper left neighbour; planes [C + 2, h, w].
        """
        kernel = torch.zeros(len(self.planes), *self.size)
        channels, area = len(kernel) - 2, 1e-9
        for y, x, b in pictures:
            here = kernel[:, y // CLAIM_SHRINK:, x // CLAIM_SHRINK:][:, :b.shape[1], :b.shape[2]]
            here += torch.cat([-2 * b[:-2], b[-1:], b[-2:-1] - self.unrelated * channels * b[-1:]])
            area += channels * b[-1].sum()
        total = torch.fft.irfft2((self.spectra * torch.fft.rfft2(kernel).conj()).sum(1), s=self.size)
        total = total[:, :self.grid[0], :self.grid[1]].reshape(self.phases, self.phases, *self.grid)
        total = total.permute(2, 0, 3, 1).reshape(*(count * self.phases for count in self.grid))
        return total[:self.count[0], :self.count[1]] / (area * self.unrelated) + (area >= 1)

    def mean_colours(self, y, x, shares):
        """Mean of the picture at (y, x) from each place's upper left neighbour by shares [h, w], [C, places]."""
        picture = self.planes[:-2, None, y:, x:]
        means = F.conv2d(picture, shares[None, None] / shares.numel(), stride=PLACE_STEP, dilation=CLAIM_SHRINK)
        return means[:, 0, :self.count[0], :self.count[1]]


def planes_of(shrunk):
    """What is compared: shrunk pictures and what share of each pixel is known [C + 1, h, w] to [C + 2, h, w], the
    picture, the sum of its squares and whether it is known, all 0 where it is not."""
    known = (shrunk[-1:] > 0.999).to(shrunk.dtype)
    x = shrunk[:-1] * known
    return torch.cat([x, (x**2).sum(0, keepdim=True), known])


def continue_photo(x, tile):
    """The photo x [C, H, W] with a border of one tile, [C, H + 2T, W + 2T], continued piece by piece with those parts
    of itself that look most alike around the piece (exemplar-based filling, Criminisi et al. 2004, without its order).
    """
    out, known = F.pad(x, [tile] * 4), F.pad(torch.ones_like(x[:1]), [tile] * 4)
    places, half = Places(out, known, tile), max(CLAIM_SHRINK, tile // 4)
    ys, xs = ([tile + at for at in grid_offsets(side, tile)] for side in x.shape[1:])
    ends = [(0, tile + side) for side in x.shape[1:]]
    pieces = [(y, b) for y in ends[0] for b in xs] + [(b, x) for x in ends[1] for b in ys]
    for y, x0 in pieces + [(y, x) for y in ends[0] for x in ends[1]]:
        window = F.pad(torch.cat([out * known, known]), [half] * 4)[:, y:y + tile + 2 * half, x0:x0 + tile + 2 * half]
        cost = places.disagreement([(tile - half, tile - half, planes_of(F.avg_pool2d(window, CLAIM_SHRINK)))])
        b, a = (int(k) * PLACE_STEP for k in np.unravel_index(int(cost.argmin()), cost.shape))
        here = (slice(None), slice(y, y + tile), slice(x0, x0 + tile))
        out[here] = torch.where(known[here] > 0, out[here], x[:, b:b + tile, a:a + tile])
        known[here] = 1
    return out


def match_tiles(views, grid, cells, rng):
    """Places (view, y, x) of real tiles for cells that agree: the best of ATTEMPTS, judged by squares, since one fault
    where two fields of bricks meet is worse than many small differences."""
    places, attempts = [Places(view, torch.ones_like(view[:1]), grid.tile) for view in views], []
    for _ in range(ATTEMPTS):
        matcher = Matcher(grid, [Candidates(*pair) for pair in zip(places, views)])
        chosen = [matcher.choose(cell, rng) for cell in cells]
        attempts.append((sum(cost**2 for cost in matcher.costs), chosen))
    return min(attempts)[1]


class Candidates:
    """The places of a view of the photo, wide [C, H + 2T, W + 2T], and how often they were taken."""

    def __init__(self, places, wide):
        self.places, tile = places, places.tile
        self.used = torch.zeros([side - 2 * tile for side in wide.shape[1:]], dtype=torch.float64)  # by pixel
        self.edge = torch.ones(places.count, dtype=torch.bool)  # places too near the photo's edge, if it is large
        down, right = (min(tile // 8, (side - tile) // 4) // PLACE_STEP for side in self.used.shape)
        self.edge[down:places.count[0] - down, right:places.count[1] - right] = False
        shares = claim_shares(tile // CLAIM_SHRINK)  # a claim counts most where it touches its tile
        claims = sum(places.mean_colours(*((1 + way) * tile for way in OFFSETS[name]), shares[OPPOSITE[name]])
                     for name in OFFSETS)
        own = places.mean_colours(tile, tile, torch.ones_like(shares["N"]))
        self.colours = torch.cat([own / 2, claims])  # what each would add, [2C, places]; sketches matter more


class Matcher:
    """Chooses real tiles one after the other, each to agree with those around it."""

    def __init__(self, grid, candidates):
        self.grid, self.candidates = grid, candidates
        self.surplus = torch.zeros(len(candidates[0].colours), 1, 1)  # what the tiles chosen so far have added
        self.claims = {}  # (gap, direction of the gap seen from the tile) -> view, y, x of the claim in it
        self.costs = []  # disagreement of each tile when it was chosen

    def choose(self, cell, rng):
        """The place (view, y, x) of the real tile for a grid cell, which is noted as taken."""
        around = self.grid.around(cell)
        gaps = {name: around[name] for name in OFFSETS if name in around}
        rivals = [self.rival(by, self.claims[gap, other]) for gap, by in gaps.values() for other in OFFSETS
                  if (gap, other) in self.claims]
        maps = [self.costs_of(candidates, rivals, rng) for candidates in self.candidates]
        view = min(range(len(maps)), key=lambda k: float(maps[k][0].min()))
        (cost, apart), chosen, tile = maps[view], self.candidates[view], self.grid.tile
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        y, x = row * PLACE_STEP, column * PLACE_STEP
        self.costs.append(float(apart[row, column]))
        self.surplus += chosen.colours[:, row, column, None, None]
        chosen.used[y:y + tile, x:x + tile] += 1
        for name, (gap, (down, right)) in gaps.items():
            self.claims[gap, name] = view, y + tile + down, x + tile + right
        return view, y, x

    def rival(self, by, claim):
        """What a claim says of a gap that lies `by` pixels from a tile, for Places.disagreement, which knows only
        multiples of CLAIM_SHRINK pixels: the claim is moved by what is left."""
        view, *corner = claim
        y, x = (self.grid.tile + way for way in by)
        places, left = self.candidates[view].places, (y % CLAIM_SHRINK, x % CLAIM_SHRINK)
        return y, x, places.cut(*(max(0, at - rest) for at, rest in zip(corner, left)), self.grid.tile)

    def costs_of(self, candidates, rivals, rng):
        """What each place costs, and the disagreement in it, both [places]."""
        apart = candidates.places.disagreement(rivals)
        cost = apart + REUSE_COST * box_means(candidates.used, self.grid.tile, PLACE_STEP)
        cost += BALANCE_COST * (self.surplus * candidates.colours).sum(0)
        cost += CHANCE * torch.from_numpy(rng.random(cost.shape, np.float32))
        return cost.masked_fill(candidates.edge, math.inf), apart


def box_means(values, side, step):
    """Means of values [H, W] over squares of a side, those squares a step apart."""
    total = F.pad(values, (1, 0, 1, 0)).cumsum(0).cumsum(1)
    low, high = slice(None, -side, step), slice(side, None, step)
    return (total[high, high] - total[low, high] - total[high, low] + total[low, low]) / side**2


# The gaps are not drawn from nothing. The claims around a gap, each counting most at its own border,
# make a sketch of it; noise up to START of the chain leaves only its large structure, and the network
# draws the rest anew (SDEdit, arXiv 2108.01073).


def claim_shares(side, names=tuple(OFFSETS)):
    """What share each claim has in a sketch, {direction: [side, side]}: it falls with the distance to its border."""
    line = -SHARPNESS * (torch.arange(side) + 0.5).log()
    ramps = {"N": line[:, None], "W": line[None], "E": line.flip(0)[None], "S": line.flip(0)[:, None]}
    return dict(zip(names, torch.stack([ramps[name].expand(side, side) for name in names]).softmax(0)))


def draw_sketch(layout, cell):
    """The sketch of a cell, normalised [C, T, T]; that of a real tile, which is drawn anew, is the tile."""
    if layout.real()[cell]:
        return layout.cut(cell)
    around = {name: there for name, there in layout.grid.around(cell).items()
              if name in OFFSETS and layout.real()[there[0]]}
    shares = claim_shares(layout.grid.tile, tuple(around))
    return sum(share * layout.cut(around[name][0], [-way for way in around[name][1]])
               for name, share in shares.items())


class Canvas:
    """The growing output: the real tiles of a layout, and above them those that were drawn, last ones on top."""

    def __init__(self, layout, channels, device):
        self.layout, self.grid, self.channels, self.device = layout, layout.grid, channels, device
        self.real, self.order = layout.real(), layout.order()
        self.drawn = {}  # cell -> normalised tile [C, T, T] on the CPU

    def place(self, cells, tiles):
        """Put drawn tiles [B, C, T, T] at cells."""
        self.drawn.update((cell, tile.clone()) for cell, tile in zip(cells, tiles.cpu()))

    def cut(self, corner, size, before=math.inf):
        """A window of a size (h, w) at a corner (y, x) before a pass begins, normalised [C, h, w]; zero where there is
        nothing."""
        x, tile = torch.zeros(self.channels, *size), self.grid.tile
        places = [(self.order[cell] if cell in self.drawn and self.order[cell] < before else -1, cell, begin)
                  for cell, begin in self.grid.touching(corner, size)]
        for order, cell, (down, right) in sorted(places):
            if order >= 0 or self.real[cell]:
                y, left = max(0, -down), max(0, -right)
                piece = (self.drawn[cell] if order >= 0 else self.layout.cut(cell))[:, y:, left:]
                here = x[:, down + y:down + tile, right + left:right + tile]
                here[:] = piece[:, :here.shape[1], :here.shape[2]]
        return x

    def neighbours(self, cells):
        """Canvases [B, C, S, S] around cells and which neighbours exist, bool [B, 8]: those that another pass drew
        before, and real tiles, unless they are waiting to be drawn anew as the cell itself is."""
        rings = [self.cut(*self.grid.ring(cell), self.order[cell]) for cell in cells]
        present = torch.zeros(len(cells), 8, dtype=torch.bool)
        for row, cell in zip(present, cells):
            for name, (there, _) in self.grid.around(cell).items():
                row[NEIGHBOURS.index(name)] = bool(self.real[there] and not self.real[cell]
                                                   or there in self.drawn and self.order[there] < self.order[cell])
        return torch.stack(rings).to(self.device), present.to(self.device)


def outpaint(net, canvas, passes, batch_size, draw, seed, sketch=None):
    """Draw the cells of passes on a Canvas, in place; a generator that yields the number of tiles after each step.

    draw(net, rings, present, generators, sketch) is sample() with its settings; sketch(cell): what a tile begins with,
    [C, T, T], or None. A tile's noise depends on (seed, row, column) alone; batches are filled up with copies, so that
    no tile depends on how many are drawn.
    """
    for cells in passes:
        parts = [cells[first:first + batch_size] for first in range(0, len(cells), batch_size)]
        for turn in range(0, len(parts), team.count):
            together = parts[turn:turn + team.count]  # a batch for each process; one that has none draws a copy
            full = (together[team.rank % len(together)] * batch_size)[:batch_size]
            rings, present = canvas.neighbours(full)
            generators = [torch_generator(seed, DRAWING, *cell) for cell in full]
            start = None if sketch is None else torch.stack([sketch(cell) for cell in full]).to(rings.device)
            for _, x_t, _ in draw(net, rings, present, generators, start):
                tiles = x_t
                yield sum(map(len, together))
            for part, drawn in zip(together, team.gather(tiles)):
                canvas.place(part, drawn)


def needed(layout, corner, size):
    """The passes with only those cells on which a window of a size (h, w) at a corner (y, x) depends."""
    order = layout.order()
    wanted = {cell for cell, _ in layout.grid.touching(corner, size)}
    for number in range(len(layout.passes) - 1, 0, -1):
        for cell in [cell for cell in wanted if order[cell] == number]:
            wanted.update(there for there, _ in layout.grid.touching(*layout.grid.ring(cell)) if order[there] < number)
    return [[cell for cell in cells if cell in wanted] for cells in layout.passes]


# =============================================================================================
# 9. Pictures
# =============================================================================================


def save_png(path, pixels, text=None):
    """Write uint8 [H, W, 3] as a PNG with text entries {key: value} in its metadata."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    write_atomically(path, lambda file: Image.fromarray(pixels).save(file, format="PNG", pnginfo=info))


def save_figure(path, figure):
    """Write a matplotlib Figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def picture_grid(photo, x, columns):
    """Normalised pictures [N, C, h, w] in a grid with white lines, uint8 [H, W, 3]."""
    pixels = torch.from_numpy(photo.pixels(x)).movedim(-1, 1)
    return torchvision.utils.make_grid(pixels, nrow=columns, padding=4, pad_value=255).movedim(0, -1).numpy()


def fixed_windows(dataset, count, held_out):
    """Canvases [B, C, S, S], bool [B, 8] and offsets for pictures: held-out tiles, or training tiles spread evenly."""
    offsets = dataset.validation_offsets()
    if not (held_out and len(offsets)):
        whole = dataset.table[dataset.available(dataset.table).all(1)]  # those with all 8 neighbours
        offsets = whole[torch.linspace(0, len(whole) - 1, count + 2, device=whole.device).long()[1:-1]]
    offsets = offsets[torch.arange(count, device=offsets.device) % len(offsets)]
    present = dataset.available(offsets) & keep_mask(CHECKERBOARD).to(offsets.device)
    return dataset.windows(offsets), present


def in_place(net, windows, present, tiles):
    """Canvases that show tiles [B, C, T, T] among the neighbours present; absent ones are zero, the mean colour."""
    return net.canvas(tiles, windows, with_tile(present))


def draw_preview(path, photo, trainer, draw):
    """A few fixed tiles as the EMA draws them now among their neighbours, above the truth."""
    windows, present = fixed_windows(trainer.dataset, 4, held_out=False)
    generators = [torch_generator(trainer.seed, SHOWING, k) for k in range(len(windows))]
    *_, (_, tiles, _) = draw(trainer.ema, windows, present, generators)
    truth = trainer.dataset.tiles_of(windows)
    rows = [in_place(trainer.ema, windows, present, x) for x in (tiles, truth)]
    save_png(path, picture_grid(photo, torch.cat(rows), len(windows)))


def draw_predictions(path, photo, trainer, draw, held_out):
    """Rows of neighbours, noisy tile, one-step estimate of x0, full sample, truth and error, at several t."""
    dataset, steps = trainer.dataset, len(trainer.alphas_cumprod)
    t = torch.tensor([round(steps * part) - 1 for part in (0.95, 0.75, 0.5, 0.25)], device=dataset.padded.device)
    windows, present = fixed_windows(dataset, len(t), held_out)
    x0 = dataset.tiles_of(windows)
    generators = [torch_generator(trainer.seed, SHOWING, k) for k in range(len(t))]
    eps = torch.stack([torch.randn(x.shape, generator=g) for x, g in zip(x0, generators)]).to(x0.device)
    x_t = q_sample(x0, t, eps, trainer.alphas_cumprod)
    with torch.inference_mode():
        estimate = predict_x0(trainer.ema, x_t, t, windows, present, trainer.alphas_cumprod)
    *_, (_, tiles, _) = draw(trainer.ema, windows, present, generators)
    columns = {"neighbours": in_place(trainer.ema, windows, present, torch.zeros_like(x0)), "noisy tile x_t": x_t,
               "estimate of x0": estimate, "full sample from noise": tiles, "truth x0": x0,
               "error of the estimate": estimate - x0}
    kind = "held-out tiles" if held_out and dataset.validation else "training tiles"
    if held_out and not dataset.validation:
        kind += " (no tiles are held out: VALIDATION = 0)"
    figure = Figure(figsize=(12, 2.1 * len(t) + 0.6), layout="constrained")
    figure.suptitle(f"{photo.name}: {kind}")
    for row, axes in enumerate(figure.subplots(len(t), len(columns), squeeze=False)):
        for axis, (title, x) in zip(axes, columns.items()):
            axis.imshow(photo.pixels(x[row]))
            axis.set_title(title if row == 0 else "", fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(f"t = {int(t[row]) + 1} of {steps}\n{int(present[row].sum())} neighbours", fontsize=9)
    save_figure(path, figure)


def draw_steps(path, photo, trainer, draw):
    """One tile from noise to clean: x_t above, the estimate of x0 below."""
    windows, present = fixed_windows(trainer.dataset, 1, held_out=True)
    trail = [(x_t, x0) for _, x_t, x0 in draw(trainer.ema, windows, present, [torch_generator(trainer.seed, SHOWING)])]
    shown = [trail[round(k * (len(trail) - 1) / 7)] for k in range(min(8, len(trail)))]
    save_png(path, picture_grid(photo, torch.cat([torch.cat(x) for x in zip(*shown)]), len(shown)))


def save_curve(path, curve, batch_size):
    """Write the training and validation loss after each epoch as a table (CSV)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tiles", "training_loss", "validation_loss"])
    writer.writerows([step, step * batch_size, loss, "" if held is None else held] for step, loss, held in curve)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def draw_loss(path, curve, batch_size):
    """Training and validation loss over the tiles seen."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([step * batch_size for step, _, _ in curve], [loss for _, loss, _ in curve], label="training")
    held = [(step * batch_size, value) for step, _, value in curve if value is not None]
    if held:
        axis.plot(*zip(*held), label="held-out tiles (EMA)")
    axis.set(xlabel="tiles seen", ylabel="weighted error of x0", yscale="log")
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter("{x:.3g}")
    axis.legend()
    save_figure(path, figure)


def draw_wrapped(path, pixels, tileable):
    """Two copies of a tileable texture side by side in each direction that wraps, at most 2048 pixels long."""
    pixels = np.tile(pixels, (1 + ("y" in tileable), 1 + ("x" in tileable), 1))
    image = Image.fromarray(pixels)
    image.thumbnail((2048, 2048), Image.LANCZOS)
    save_png(path, np.asarray(image))


def draw_layout(path, pixels, layout, corner=(0, 0)):
    """A window of the texture at a quarter of its size with the drawn tiles in blue: which tiles are real."""
    made = layout.made().ravel()[layout.owners(corner, pixels.shape[:2])]
    tinted = np.where(made[..., None], pixels // 3 + np.array([40, 60, 130]), pixels).astype(np.uint8)
    small = [max(1, side // 4) for side in pixels.shape[1::-1]]
    save_png(path, np.asarray(Image.fromarray(tinted).resize(small, Image.BOX)))


def seam_ratios(pixels, layout, corner=(0, 0)):
    """Mean absolute 1st and 2nd difference across the borders of drawn tiles over that inside them.

    pixels: uint8 [H, W, 3], the window of the texture at a corner (y, x). Two numbers; 1 is invisible, above it a seam,
    below it blur at the border.
    """
    sums = np.zeros((2, 2, 2))  # order, {border, inside}, {sum, count}
    shown = layout.owners(corner, pixels.shape[:2])
    for x, cell in ((pixels, shown), (pixels.swapaxes(0, 1), shown.T)):
        drawn, wide = layout.made().ravel()[cell], np.pad(cell, ((0, 0), (4, 4)), constant_values=-1)
        for order in (1, 2):
            size = np.abs(np.diff(x.astype(np.float32), order, axis=1)).mean(-1)  # from pixel k to k + order
            first, last = cell[:, :-order], cell[:, order:]
            inside = (first == last) & (wide[:, :-8 - order] == first) & (wide[:, 8 + order:] == last)  # by 4 pixels
            near = drawn[:, :-order] | drawn[:, order:]
            for k, mask in enumerate((near & (first != last), near & inside)):
                sums[order - 1, k] += size[mask].sum(), mask.sum()
    means = sums[..., 0] / np.maximum(sums[..., 1], 1)
    return tuple(float(value) for value in means[:, 0] / np.maximum(means[:, 1], 1e-9))


def to_lab(pixels):
    """uint8 sRGB [..., 3] to CIELAB (D65), float64 [..., 3]."""
    rgb = pixels / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                             [0.0193339, 0.1191920, 0.9503041]]).T
    ratio = xyz / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def colour_difference(pixels, layout, photo, corner=(0, 0)):
    """CIELAB distance between the mean colours of the drawn tiles and of the photo; about 1 is just visible."""
    made = layout.made().ravel()[layout.owners(corner, pixels.shape[:2])]
    if not made.any():
        return 0.0
    return float(np.linalg.norm(to_lab(pixels[made]).mean(0) - to_lab(photo.pixels(photo.x)).mean((0, 1))))


# =============================================================================================
# 10. main
# =============================================================================================


def main(argv=None):
    """Train on one photo and draw a texture; argv: overrides such as EPOCHS=0 (default: the command line's)."""
    # fmt: off
    IMAGE             = "samples/stones.png"  # the photo: a PNG, JPEG, TIFF, WEBP or BMP file
    CROP              = None                  # part of the photo to use: (x, y, width, height), pixels; None: all
    MAX_SIDE          = 1024                  # a larger photo is shrunk to this longer side, pixels
    TILE_SIZE         = 128                   # side of a tile, pixels, a multiple of 32; the photo holds 3 x 3 or more
    VALIDATION        = None                  # tiles held out of training; None: 1 if the photo has 16 or more, else 0
    EPOCHS            = 50                    # training length; 0: only draw, with the model trained before
    EPOCH_TILES       = 176                   # tiles seen in one epoch
    BATCH_SIZE        = 8                     # tiles in one step of training or of drawing
    LEARNING_RATE     = 1.2e-3                # peak, after the warm-up
    NEIGHBOUR_DROPOUT = 0.4                   # share of training tiles that see other neighbours than N W E S, 0 to 1
    WIDTHS            = (64, 128, 256)        # channels of the network at 1/4, 1/8, 1/16 of the resolution
    TIMESTEPS         = 1000                  # length of the diffusion chain
    SAMPLER           = "mixed"               # "ddim" | "ddpm" | "mixed": ddpm for structure, then ddim for detail
    SAMPLE_STEPS      = 30                    # network evaluations a tile; TIMESTEPS with "ddpm" is the full chain
    START             = 0.75                  # how noisy the sketch of a gap is made before drawing; 1: pure noise
    AUGMENT           = "none"                # "none" | "flip_x" | "flips" | "rotations": how the photo may be turned
    SCALE             = 3                     # the texture is so many times as wide and high as the photo
    OUTPUT_SIZE       = None                  # (width, height) of the texture in pixels instead; None: by SCALE
    TILEABLE          = "none"                # "none" | "x" | "y" | "xy": where it continues at its other end
    REGION            = None                  # draw only this part of it: (x, y, width, height), pixels; None: all
    REDRAW_ORIGINALS  = False                 # True: at last the real tiles are drawn anew, so that none is a copy
    LAYOUT            = "matched"             # "matched" | "ordered" | "random" | "rows": where real tiles go
    SAMPLES           = 1                     # textures to draw, with SEED, SEED + 1, ...
    SEED              = 0                     # another seed, another texture (and, when training starts, another model)
    FRESH             = False                 # True: put the photo's old checkpoint aside and start anew
    SAVE_EVERY        = 5                     # epochs between checkpoints
    PREVIEW_EVERY     = 10                    # epochs between previews
    OUTPUT_DIR        = "samples"             # pictures go to a folder in here named after the photo
    CHECKPOINT_DIR    = "checkpoints"         # models go here
    # fmt: on
    c = check_constants(settings(main, locals(), sys.argv[1:] if argv is None else argv))
    photo = load_photo(find_photo(c.IMAGE), c.CROP, c.MAX_SIDE)
    folder, checkpoint = prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, photo.name)
    with claimed(folder, checkpoint, photo) as results:
        trainer = prepare_trainer(photo, c, checkpoint)
        draw = sampler_of(photo, trainer, c)
        announce(photo, trainer, c)

        trained = run_training(photo, trainer, draw, c, results, checkpoint)
        draw_predictions(results.path("train_predictions.png"), photo, trainer, draw, held_out=False)
        draw_predictions(results.path("val_predictions.png"), photo, trainer, draw, held_out=True)
        draw_steps(results.path("diffusion_steps.png"), photo, trainer, draw)
        for seed in range(c.SEED, c.SEED + c.SAMPLES):
            make_texture(results, photo, trainer, draw, c, seed, trained)


def settings(function, values, argv):
    """The UPPER_CASE values of function's constants with overrides NAME=value applied, as a namespace.

    --help prints the constants with their comments and ends the run. A first argument without "=" is
    the first constant. UserError on unknown names and on values of another type.
    """
    constants = {name: value for name, value in values.items() if name.isupper()}
    if "--help" in argv or "-h" in argv:
        print(inspect.getmodule(function).__doc__.split("\n\n")[0] + "\n\nConstants, to be set as NAME=value:\n")
        for name, comment in re.findall(r"^    ([A-Z_]+) += .*?  # (.*)$", inspect.getsource(function), re.M):
            print(f"  {name:<18} {constants[name]!r:<22} {comment}")
        sys.exit(0)
    for place, word in enumerate(argv):
        name, equals, text = word.partition("=")
        if place == 0 and (os.path.isfile(word) or not equals and not word.startswith("-")):
            name, text = next(iter(constants)), word
        elif not equals or name not in constants:
            nearest = difflib.get_close_matches(name.lstrip("-").upper(), constants, 1, 0)[0]
            raise UserError(f"{word} is not understood: there is no constant {name}; the nearest is {nearest}, "
                            f"to be set as {nearest}=value (--help lists all)")
        constants[name] = parse_value(name, text, constants[name])
    return SimpleNamespace(**constants)


def parse_value(name, text, default):
    """The value of an override, of the type of the constant's default; UserError otherwise."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    if isinstance(default, str):
        return value if isinstance(value, str) else text
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    optional = dict.fromkeys(("CROP", "OUTPUT_SIZE", "REGION"), (tuple, type(None)))
    optional["VALIDATION"] = (int, type(None))
    kinds = optional.get(name, (type(default),))
    if type(value) not in kinds:
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise UserError(f"{name}={text} is not possible: {name} takes a value of type {wanted}, such as {default!r}")
    return value


def check_constants(c):
    """The same namespace, if its values are in range; else UserError."""
    def whole(value, count):
        return value is None or len(value) == count and all(type(n) is int for n in value)

    rules = {
        "must be at least 1": ("MAX_SIDE EPOCH_TILES BATCH_SIZE TIMESTEPS SAMPLE_STEPS SCALE SAMPLES SAVE_EVERY "
                               "PREVIEW_EVERY", lambda value: value >= 1),
        "must be at least 0": ("EPOCHS SEED", lambda value: value >= 0),
        "must lie between 0 and 1": ("NEIGHBOUR_DROPOUT LEARNING_RATE START", lambda value: 0 <= value <= 1),
        "must be above 0": ("LEARNING_RATE START", lambda value: value > 0),
        f"must be one of {', '.join(SAMPLERS)}": ("SAMPLER", lambda value: value in SAMPLERS),
        f"must be one of {', '.join(LAYOUTS)}": ("LAYOUT", lambda value: value in LAYOUTS),
        f"must be one of {', '.join(TILEABLE)}": ("TILEABLE", lambda value: value in TILEABLE),
        f"must be one of {', '.join(AUGMENTS)}": ("AUGMENT", lambda value: value in AUGMENTS),
        "must be four whole numbers (x, y, width, height)": ("CROP REGION", lambda value: whole(value, 4)),
        "must be two whole numbers (width, height) above 0":
            ("OUTPUT_SIZE", lambda value: whole(value, 2) and min(value or (1,)) > 0),
        "must be matched, ordered or random with TILEABLE and REDRAW_ORIGINALS":
            ("LAYOUT", lambda value: value != "rows" or c.TILEABLE == "none" and not c.REDRAW_ORIGINALS),
        "must be one to four multiples of 8, such as (64, 128, 256)":
            ("WIDTHS", lambda value: len(value) in range(1, 5)
             and all(type(n) is int and n > 0 and n % 8 == 0 for n in value)),
        f"must be at most START * TIMESTEPS = {c.START * c.TIMESTEPS:g}":
            ("SAMPLE_STEPS", lambda value: value <= c.START * c.TIMESTEPS),
        f"must be a multiple of the number of processes, {team.count}":
            ("BATCH_SIZE", lambda value: value % team.count == 0),
        f"must be a multiple of BATCH_SIZE = {c.BATCH_SIZE}": ("EPOCH_TILES", lambda value: value % c.BATCH_SIZE == 0),
        "needs a model to draw with, and FRESH = True puts it aside": ("EPOCHS", lambda value: value or not c.FRESH),
    }
    for rule, (names, holds) in rules.items():
        for name in names.split():
            if not holds(getattr(c, name)):
                raise UserError(f"{name} is {getattr(c, name)!r}; it {rule}")
    return c


def find_photo(path):
    """The photo's path; a relative one is also looked for beside the script."""
    return path if os.path.exists(path) or not os.path.exists(HERE / path) else HERE / path


def prepare_folders(output_dir, checkpoint_dir, name):
    """Make and try the folders; returns the pictures' folder and the checkpoint's path. UserError if not writable."""
    folder, models = Path(output_dir) / name, Path(checkpoint_dir)
    for place in (folder, models):
        try:
            place.mkdir(parents=True, exist_ok=True)
            probe = place / f".{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"the folder {place} cannot be written to ({error.strerror}); "
                            "choose another OUTPUT_DIR and CHECKPOINT_DIR") from None
    return folder, models / f"{name}.pt"


@contextlib.contextmanager
def claimed(folder, checkpoint, photo):
    """The Results of a photo, which no other run works on meanwhile, without what a killed run left half written."""
    with locked(folder / ".lock", photo.name), locked(checkpoint.with_name(f".{photo.name}.lock"), photo.name):
        if not team.rank:
            sweep(folder, ".+")
            sweep(checkpoint.parent, rf"{re.escape(photo.name)}(\.\w+)?\.pt")
        with Results(folder, photo.digest) as results:
            yield results


def prepare_trainer(photo, c, checkpoint):
    """A Trainer that is new, or as the checkpoint left it, or with the shipped weights if it only has to draw."""
    check_sizes(*photo.x.shape[1:], c.TILE_SIZE, tile_multiple(c.WIDTHS))
    torch.set_float32_matmul_precision("high")
    device = pick_device()
    if c.VALIDATION is None:
        grid = [side // c.TILE_SIZE for side in photo.x.shape[1:]]
        c.VALIDATION = int(grid[0] * grid[1] >= 16)
    dataset = NeighbourDataset(photo, c.TILE_SIZE, c.VALIDATION, device, c.AUGMENT)
    source, state = find_state(photo, c, checkpoint)
    net = build_net(photo, c.TILE_SIZE, c.WIDTHS, c.SEED, device)
    net.precision = team.first(pick_precision(device, state.get("precision")))
    trainer = Trainer(net, dataset, cosine_schedule(c.TIMESTEPS).to(device), c.BATCH_SIZE, c.LEARNING_RATE,
                      c.NEIGHBOUR_DROPOUT, c.SEED)
    if state:
        try:
            trainer.load(state)
        except ValueError as error:
            raise RunError(f"{show(source)} cannot be used: {error}") from None
    return trainer


def find_state(photo, c, checkpoint):
    """The path and the state of the checkpoint to go on from, {} if there is none; says what differs from it."""
    if c.FRESH and not team.rank and saved(checkpoint):
        print(f"note: {show(checkpoint)} was put aside as {show(put_aside(checkpoint, find_photo(c.IMAGE)))}")
    team.any(False)  # waits for the first process
    source = checkpoint
    if not saved(checkpoint):
        if c.EPOCHS > 0:
            return checkpoint, {}
        source = shipped_weights(photo, c.IMAGE, checkpoint)
    state = load_checkpoint(source)
    training = state["step"] < c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE
    for note in check_checkpoint(source, state, vars(c), photo, training):
        print(f"note: {note}")
    if training and "net" not in state:
        raise UserError(f"{show(source)} can draw but not be trained further; start anew with FRESH=True, "
                        "which puts it aside")
    return source, state


def shipped_weights(photo, image, checkpoint):
    """The path of the weights that come with the script, if there are any for this very photo; else UserError."""
    shipped = HERE / "checkpoints" / f"{photo.name}.shipped.pt"
    if not shipped.exists() or load_checkpoint(shipped)["digest"] != photo.digest:
        raise UserError(f"there is no model for this photo at {show(checkpoint)}; make one with: "
                        f"python texture_diffusion.py {shlex.quote(f'IMAGE={image}')} EPOCHS=50")
    return shipped


def sampler_of(photo, trainer, c):
    """sample() with constants and neighbours filled in: draw(net, rings, present, generators, sketch=None)."""
    alphas_cumprod = trainer.alphas_cumprod
    bounds = [bound.to(alphas_cumprod.device) for bound in photo.bounds()]

    def draw(net, rings, present, generators, sketch=None):
        def estimate(x_t, t):
            return predict_x0(net, x_t, t, rings, present, alphas_cumprod, GUIDANCE)

        shape = (rings.shape[1], net.tile, net.tile)
        return sample(estimate, shape, generators, alphas_cumprod, bounds, c.SAMPLER, c.SAMPLE_STEPS, sketch, c.START)

    return draw


def grid_of(photo, c):
    """The Grid of the texture."""
    width, height = c.OUTPUT_SIZE or [side * c.SCALE for side in photo.x.shape[:0:-1]]
    return make_grid(height, width, c.TILE_SIZE, c.TILEABLE)


def window_of(grid, region):
    """The part of the texture to be drawn as (corner (y, x), size (h, w)); UserError if it is not inside."""
    height, width = grid.size
    x, y, w, h = region or (0, 0, width, height)
    if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
        raise UserError(f"REGION = {tuple(region)} does not lie inside the texture of {width} x {height} pixels")
    return (y, x), (h, w)


def announce(photo, trainer, c):
    """Say what was read, what is going to happen and what it will cost."""
    for note in photo.notes:
        print(f"note: {note}")
    device, net = trainer.alphas_cumprod.device, trainer.net
    grid = grid_of(photo, c)
    _, (height, width) = window_of(grid, c.REGION)
    check_room(c.OUTPUT_DIR, height, width)
    print(f"{photo.name}: {photo.x.shape[2]} x {photo.x.shape[1]} pixels, network of "
          f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} million weights, {device.type}, "
          f"{str(net.precision).removeprefix('torch.')}")
    step, draw = trial(trainer)
    steps = max(0, c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE - trainer.step)
    share = 1 - photo.x[0].numel() / math.prod(grid.size) if c.LAYOUT == "rows" else 1 if c.REDRAW_ORIGINALS else 0.5
    drawn = math.prod(grid.shape()) * share * height * width / math.prod(grid.size)
    drawing = drawn / c.BATCH_SIZE * c.SAMPLE_STEPS * draw * c.SAMPLES
    memory = peak_memory()
    print(f"expected: training {steps * step / 60:.1f} min, drawing {drawing / 60:.1f} min for {c.SAMPLES} x "
          f"{width} x {height} pixels" + (f", memory {memory / 1e9 * 1.1:.1f} GB" if memory else ""))


def run_training(photo, trainer, draw, c, results, checkpoint):
    """Train if there is something left to do, with checkpoints, loss curve and previews; returns (seconds, tiles)."""
    if trainer.step >= c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE and (not c.EPOCHS or trainer.reported == trainer.step):
        print(f"the model has seen {trainer.step * c.BATCH_SIZE / c.EPOCH_TILES:g} epochs: drawing only")
        return 0.0, 0
    start, first = time.perf_counter(), trainer.step

    def save():
        constants = {name: getattr(c, name) for name in NETWORK_CONSTANTS + TRAINING_CONSTANTS}
        save_checkpoint(checkpoint, {"constants": constants, "digest": photo.digest, "size": tuple(photo.x.shape[1:]),
                                     **trainer.state()})

    def report(epoch):
        if epoch % c.SAVE_EVERY == 0 and trainer.step < trainer.end and not trainer.in_a_row:
            save()
        if epoch % c.PREVIEW_EVERY == 0:
            draw_preview(results.path("preview.png"), photo, trainer, draw)
        save_curve(results.path("loss.csv"), trainer.curve, c.BATCH_SIZE)
        draw_loss(results.path("loss.png"), trainer.curve, c.BATCH_SIZE)

    with StopSignals() as stop:
        train(trainer, c.EPOCHS, c.EPOCH_TILES // c.BATCH_SIZE, stop, save, report)
    if trainer.skipped:
        print(f"note: {trainer.skipped} of {trainer.step} steps were left out, their loss or gradient was not finite")
    return time.perf_counter() - start, (trainer.step - first) * c.BATCH_SIZE


def plan_texture(photo, c, seed):
    """The Layout of the texture of one seed."""
    return lay_out(photo, c.LAYOUT, grid_of(photo, c), seed, c.AUGMENT, c.REDRAW_ORIGINALS)


def make_texture(results, photo, trainer, draw, c, seed, trained):
    """Draw and save the texture of one seed with its layout, and print the run's figures; trained: (seconds, tiles)."""
    name, layout = texture_name(c, seed), plan_texture(photo, c, seed)
    path = results.path(f"output_texture_{name}.png")
    window = window_of(layout.grid, c.REGION)
    windows = bands_of(*window, c.TILE_SIZE)
    versions = f"texture_diffusion {__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    text = {"Software": versions, "seed": str(seed), "constants": repr(vars(c))}
    if len(windows) == 1:
        writer = Picture(path, text)
    else:
        writer = band_writer()(path, window[1], text)
    start = time.perf_counter()
    pixels, count = draw_texture(photo, trainer, layout, windows, draw, c, seed, writer)
    seconds, corner = time.perf_counter() - start, windows[-1][0]
    draw_layout(results.path(f"layout{name.removeprefix(scale_name(c))}.png"), pixels, layout, corner)
    if c.TILEABLE != "none" and len(windows) == 1 and not c.REGION:
        draw_wrapped(results.path(f"output_texture_{name}_wrapped.png"), pixels, c.TILEABLE)
    print_figures(path, window[1], photo, pixels, layout, corner, seed, (seconds, count), trained)


def scale_name(c):
    """How large the texture is, for its file's name: 3x3, or its pixels."""
    return f"{c.SCALE}x{c.SCALE}" if c.OUTPUT_SIZE is None else "{}x{}".format(*c.OUTPUT_SIZE)


def texture_name(c, seed):
    """What is special about a texture, for its file's name."""
    parts = [scale_name(c), c.LAYOUT * (c.LAYOUT != "matched"), f"tileable_{c.TILEABLE}" * (c.TILEABLE != "none"),
             "redrawn" * c.REDRAW_ORIGINALS, "region_{}_{}_{}x{}".format(*c.REGION) if c.REGION else "",
             f"seed{seed}" * (seed > 0)]
    return "_".join(part for part in parts if part)


def print_figures(path, size, photo, pixels, layout, corner, seed, drawn, trained):
    """Print the run's figures; drawn, trained: (seconds, tiles); pixels: the last band, which is all of the texture, if
    it is not large."""
    seam_1st, seam_2nd = seam_ratios(pixels, layout, corner)
    memory = peak_memory()
    figures = {
        "output": path, "size": f"{size[1]} x {size[0]}", "seed": seed,
        "training_seconds": f"{trained[0]:.1f}", "sampling_seconds": f"{drawn[0]:.1f}",
        "training_tiles_per_second": f"{trained[1] / trained[0]:.2f}" if trained[1] else "none",
        "sampling_tiles_per_second": f"{drawn[1] / drawn[0]:.2f}",
        "peak_memory_gb": f"{memory / 1e9:.2f}" if memory else "unknown",
        "seam_ratio_1st": f"{seam_1st:.3f}", "seam_ratio_2nd": f"{seam_2nd:.3f}",
        "colour_difference": f"{colour_difference(pixels, layout, photo, corner):.3f}",
    }
    for key, value in figures.items():
        print(f"{key}: {value}")


# A large texture is drawn, written and forgotten in bands, so that memory does not grow with it. Where it stands is
# kept beside it: finished bands in the file, and the tiles on which later bands depend.

WHOLE_PIXELS = 1e7  # of the largest texture that is drawn in one piece
BAND_PIXELS = 4e6  # of a band, about


def bands_of(corner, size, tile):
    """A window of the texture cut into bands from top to bottom, [(corner (y, x), size (h, w))]."""
    (y, x), (height, width) = corner, size
    if height * width <= WHOLE_PIXELS:
        return [(corner, size)]
    step = max(1, int(BAND_PIXELS / (tile * width))) * tile
    return [((y + at, x), (min(step, height - at), width)) for at in range(0, height, step)]


def band_writer():
    """The class that writes bands, which is in a file of its own; UserError without it."""
    try:
        from png_bands import PngBands
    except ModuleNotFoundError:
        raise UserError(f"textures of more than {WHOLE_PIXELS / 1e6:g} megapixels are written by png_bands.py, which "
                        "must lie beside this script; get it, or choose a smaller OUTPUT_SIZE or SCALE") from None
    return PngBands


def check_room(folder, height, width):
    """UserError if a texture cannot be written: no room on the disk, or no writer for its size."""
    if height * width > WHOLE_PIXELS:
        band_writer()
    free, most = shutil.disk_usage(folder).free, 3.01 * height * width + 1e6  # bytes
    if free < most:
        raise UserError(f"a texture of {width} x {height} pixels can take {most / 1e9:.2f} GB and the disk has "
                        f"{free / 1e9:.2f} GB left; choose another OUTPUT_DIR or a smaller OUTPUT_SIZE or SCALE")


class Picture:
    """A texture that is written in one piece."""

    def __init__(self, path, text):
        self.path, self.text = path, text

    def write(self, pixels):
        """Write uint8 [H, W, 3]."""
        save_png(self.path, pixels, self.text)

    def state(self):
        """Nothing is written before the end."""
        return {}

    def resume(self):
        """Nothing was written."""


def draw_texture(photo, trainer, layout, windows, draw, c, seed, writer):
    """Draw the bands of a texture, with a progress bar, and have the writer write them; goes on where it was stopped.

    Returns the last band, uint8 [h, w, 3], and how many tiles there were left to draw.
    """
    canvas = Canvas(layout, len(photo.x), trainer.alphas_cumprod.device)
    key = drawing_key(photo, trainer, layout, c, seed)
    unfinished = writer.path.with_name(f".{writer.path.stem}.unfinished.pt")
    done = resume_drawing(unfinished, key, canvas, writer)
    needs = [needed(layout, *window) for window in windows]
    last_use = {cell: k for k, passes in enumerate(needs) for cells in passes for cell in cells}
    sketch = None if c.START == 1 or not layout.claims else lambda cell: draw_sketch(layout, cell)
    left = sum(k >= done and cell not in canvas.drawn for cell, k in last_use.items())

    def keep(done):
        state = {"key": key, "done": done, "writer": writer.state(), "drawn": canvas.drawn}
        write_atomically(unfinished, lambda file: torch.save(state, file))

    with StopSignals() as stop, tqdm(total=left * c.SAMPLE_STEPS, unit="step", desc="drawing",
                                     mininterval=0.5 if sys.stderr.isatty() else 20) as bar:
        for k in range(done, len(windows)):
            passes = [[cell for cell in cells if cell not in canvas.drawn] for cells in needs[k]]
            for count in outpaint(trainer.ema, canvas, passes, c.BATCH_SIZE, draw, seed, sketch):
                bar.update(count)
                if team.any(stop.received):
                    keep(k)
                    raise Stopped("stopped while drawing and saved; the same command goes on from there", stop.received)
            pixels = photo.pixels(canvas.cut(*windows[k]))
            writer.write(pixels)
            canvas.drawn = {cell: tile for cell, tile in canvas.drawn.items() if last_use[cell] > k}
            if k + 1 < len(windows):
                keep(k + 1)
    if not team.rank:
        unfinished.unlink(missing_ok=True)
    return pixels, left


def drawing_key(photo, trainer, layout, c, seed):
    """A digest of all that a texture depends on."""
    digest = hashlib.sha256(repr((photo.digest, seed, sorted(vars(c).items()))).encode())
    for thing in (layout.source, *(value.cpu().float().numpy() for value in trainer.ema.state_dict().values())):
        digest.update(np.ascontiguousarray(thing).tobytes())
    return digest.hexdigest()


def resume_drawing(path, key, canvas, writer):
    """How many bands are finished; takes over what a stopped drawing of the same texture left."""
    try:
        state = load_state(path)
        tiles, shape = dict(state["drawn"]), (canvas.channels, canvas.grid.tile, canvas.grid.tile)
        if state["key"] != key or any(tile.shape != shape for tile in tiles.values()) or not is_count(state["done"]):
            return 0
        writer.resume(**state["writer"])
    except Exception:  # there is none, or it is damaged: it is drawn anew
        return 0
    canvas.drawn = tiles
    return state["done"]


def run(main=main):
    """main() with errors as one sentence and an exit code: 2 user's mistake, 1 failed run, 128 + n signal n."""
    name = Path(inspect.getfile(main)).stem
    try:
        with contextlib.ExitStack() as stack:
            if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # torchrun's
                from texture_distributed import joined

                stack.enter_context(joined(sys.modules[run.__module__]))
            stack.enter_context(StopAtOnce())
            main()
        return 0
    except (UserError, RunError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except Stopped as stopped:
        print(f"{name}: {stopped.args[0]}", file=sys.stderr)
        return 128 + (stopped.args[1] or signal.SIGTERM)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError) \
                and "can't allocate memory" not in str(error):
            raise
        print(f"{name}: the memory is full; try a smaller BATCH_SIZE or TILE_SIZE", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.modules["texture_diffusion"] = sys.modules[__name__]  # for the modules beside it, which import it
    sys.exit(run())
