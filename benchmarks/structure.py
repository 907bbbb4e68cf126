"""How much of a photo's structure that is larger than a tile survives in a texture.

    python -m benchmarks.structure PHOTO TEXTURE [PHOTO TEXTURE ...]

order   The photo's brightness without its slow part is compared with itself moved by half a tile to three tiles (as
        far as half the photo reaches): its autocorrelation, in which rows, lattices and bands are peaks; and so are
        windows of the texture that are as large as the photo, whose mean is taken. Printed is how much of the photo's
        is found again, the regression of the texture's on the photo's: 1 all of it, 0 none. Peaks that lie elsewhere,
        and windows that are out of step inside, both lower it.
lines   Edges along the photo's own straight directions, averaged over lines of two tiles, over the same of lines of a
        quarter of a tile, variances: how far straight lines go on. Printed as a share of the photo's.

Both beside their floor, one half of the photo against the other, and beside image quilting. "strength" is the
deviation of the photo's autocorrelation out there: below 0.05 or so it has no large order that could be kept.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

import texture_diffusion as td
from benchmarks import peers, scores
from benchmarks.peers import quilting
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running import exit_codes
from texture_diffusion_tools.running.errors import UserError

MAX_SIDE, SCALE = 512, 3  # of the photo, px; of the texture
NEAREST, FARTHEST = 0.5, 3.0  # lags, tiles
SLOW = 0.5  # tiles: the deviation of the blur that is the slow part
WINDOWS = 3  # of a texture, across and down
ANGLES = 36  # directions of lines
SHORT, LONG = 0.25, 2.0  # lines, tiles
DIRECTIONS = 2  # of lines that count, the photo's strongest


def brightness(pixels, tile):
    """The brightness of uint8 [H, W, 3] without its slow part, float64 [H, W], mean 0 and deviation 1."""
    x = pixels.astype(np.float64).mean(2)
    x -= ndimage.gaussian_filter(x, SLOW * tile)
    return (x - x.mean()) / max(1e-9, x.std())


def autocorrelation(x, reach):
    """The mean product of x [H, W] and itself moved by up to reach (down, right) pixels, [2 reach + 1, 2 reach + 1]."""
    size = [2 * side for side in x.shape]
    spectrum = np.fft.rfft2(x, size)
    ones = np.fft.rfft2(np.ones_like(x), size)
    total, count = (np.fft.irfft2(part * part.conj(), size) for part in (spectrum, ones))
    return moved(total / np.maximum(1, count), reach)


def moved(x, reach):
    """The middle of a spectrum-ordered array [H, W]: lags from -reach to reach."""
    rows, columns = (np.arange(-most, most + 1) for most in reach)
    return x[np.ix_(rows, columns)]


def ring(reach, tile):
    """Which lags count, bool [2 reach + 1, 2 reach + 1]."""
    down, right = (np.arange(-most, most + 1) for most in reach)
    far = np.hypot(down[:, None], right[None])
    return (far >= NEAREST * tile) & (far <= FARTHEST * tile)


def windows_of(pixels, size):
    """WINDOWS x WINDOWS windows of a size (h, w) that cover a texture evenly."""
    starts = [np.linspace(0, side - part, WINDOWS).astype(int) for side, part in zip(pixels.shape, size)]
    return [pixels[y:y + size[0], x:x + size[1]] for y in starts[0] for x in starts[1]]


def order_kept(pixels, others, tile):
    """(How much of the order of pixels [H, W, 3] is found in others of that size, the order's strength)."""
    reach = [min(side // 2, math.ceil(FARTHEST * tile)) for side in pixels.shape[:2]]
    where = ring(reach, tile)
    own = autocorrelation(brightness(pixels, tile), reach)[where]
    there = np.mean([autocorrelation(brightness(other, tile), reach)[where] for other in others], axis=0)
    return float(own @ there / (own @ own)), float(own.std())


def line_energies(pixels, tile, angles):
    """Of each angle (radians): the variance of edges along it averaged over lines LONG, and over lines SHORT."""
    x = brightness(pixels, tile)
    down, right = (ndimage.gaussian_filter(x, 1.5, order=order) for order in ((1, 0), (0, 1)))
    found = []
    for angle in angles:
        across = down * math.cos(angle) - right * math.sin(angle)  # the slope across a line in that direction
        along = down * math.sin(angle) + right * math.cos(angle)
        edges = ndimage.rotate(np.where(abs(across) > 2 * abs(along), across, 0), -math.degrees(angle), order=1)
        inside = ndimage.rotate(np.ones_like(x), -math.degrees(angle), order=1) > 0.999
        lines = [line_variance(edges, inside, max(3, round(share * tile))) for share in (LONG, SHORT)]
        found.append(lines)
    return np.array(found)


def line_variance(edges, inside, length):
    """The variance of edges [h, w] averaged over horizontal lines of a length that lie inside."""
    means = ndimage.uniform_filter1d(edges, length, axis=1)
    whole = ndimage.minimum_filter1d(inside.astype(np.uint8), length, axis=1) > 0
    return float((means[whole] ** 2).mean()) if whole.any() else 0.0


def lines_kept(pixels, others, tile):
    """How far straight lines of pixels [H, W, 3] go on in others, as a share of how far they do in pixels."""
    angles = np.arange(ANGLES) * math.pi / ANGLES
    own = line_energies(pixels, tile, angles)
    strongest = np.argsort(own[:, 0])[-DIRECTIONS:]
    there = np.mean([line_energies(other, tile, angles[strongest]) for other in others], axis=0)
    chance = SHORT / LONG
    kept = [energies[:, 0].sum() / energies[:, 1].sum() - chance for energies in (there, own[strongest])]
    return float(kept[0] / kept[1])


def halves(pixels):
    """The two halves of a photo along its longer side."""
    axis = int(pixels.shape[1] >= pixels.shape[0])
    side = pixels.shape[axis] // 2
    return [np.ascontiguousarray(part) for part in np.split(pixels, [side, 2 * side], axis)[:2]]


def rows_of(path, textures, tile):
    """Rows (what, order, lines, strength) of a photo: its floor, quilting and textures."""
    photo = td.load_photo(path, None, MAX_SIDE)
    pixels = photo.pixels(photo.x)
    one, other = halves(pixels)
    (first, strength), (second, _) = order_kept(one, [other], tile), order_kept(other, [one], tile)
    lines = (lines_kept(one, [other], tile) + lines_kept(other, [one], tile)) / 2
    yield "halves", (first + second) / 2, lines, strength
    grid = grids.make_grid(*(SCALE * side for side in photo.x.shape[1:]), tile)
    made = {"quilting": quilting.make(photo, scores.all_drawn(grid), tile, 0, 0)}
    made |= {Path(texture).stem: np.asarray(photos.open_image(texture)[0].convert("RGB")) for texture in textures}
    for name, texture in made.items():
        others = windows_of(texture, pixels.shape[:2])
        kept, strength = order_kept(pixels, others, tile)
        yield name, kept, lines_kept(pixels, others, tile), strength


def main(argv=None):
    """The command line."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or len(argv) % 2:
        raise UserError("give pairs of a photo and a texture of it")
    torch.set_grad_enabled(False)
    tile = peers.constants().TILE_SIZE
    print("| photo | picture | order | lines | strength |\n|---|---|---|---|---|")
    for path, texture in zip(argv[::2], argv[1::2]):
        for name, order, lines, strength in rows_of(path, [texture], tile):
            print(f"| {Path(path).stem} | {name} | {order:.2f} | {lines:.2f} | {strength:.3f} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
