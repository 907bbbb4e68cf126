"""Scores of a drawn texture, on its generated tiles alone.

    python -m benchmarks.scores PHOTO TEXTURE [TEXTURE ...]

TEXTURE is a picture written by texture_diffusion.py: its metadata says how it was laid out, and the
layout is computed again to know which tiles are generated. Prints one Markdown row a picture:

seam 1st, 2nd   mean absolute 1st and 2nd difference across tile borders over that inside generated tiles;
                1 is invisible
colour          CIELAB distance of the mean colours of generated tiles and photo; about 1 is just visible
contrast        standard deviation of the generated tiles' pixels over that of the photo's
novelty         distance of generated 16 x 16 patches to the nearest patch in one half of the photo, over that
                of patches of the other half; mean of both halves. Below 1 is closer to copying, far above is noise
spectrum        RMS difference in dB of the mean power spectra of generated tiles and of the photo's, above 2
                cycles a tile; blur and noise show here. In brackets the same for two halves of the photo's tiles
"""

import ast
import sys

import numpy as np
import torch
from PIL import Image

import texture_diffusion as td

PATCH = 16  # side of the patches that novelty compares, px
QUERIES = 2000  # generated patches that are looked up
STRIDE = 2  # between the photo's patches, px


def read_texture(path, photo_path):
    """The Photo, the texture uint8 [H, W, 3] and its Layout, from a picture's metadata."""
    image = Image.open(path)
    constants = ast.literal_eval(image.text["constants"])
    photo = td.load_photo(photo_path, constants["CROP"], constants["MAX_SIDE"])
    tile, pixels = constants["TILE_SIZE"], np.asarray(image.convert("RGB"))
    grid = [-(-side // tile) for side in pixels.shape[:2]]
    return photo, pixels, td.lay_out(photo, constants["LAYOUT"], *grid, tile, int(image.text["seed"])), tile


def tiles_where(pixels, layout, tile, real):
    """Whole real or generated tiles of a texture [H, W, 3], uint8 [N, T, T, 3]."""
    cells = np.argwhere(layout.real() == real)
    whole = [(i, j) for i, j in cells if (i + 1) * tile <= pixels.shape[0] and (j + 1) * tile <= pixels.shape[1]]
    return np.stack([pixels[i * tile:(i + 1) * tile, j * tile:(j + 1) * tile] for i, j in whole])


def photo_tiles(pixels, tile):
    """Tiles of the photo [H, W, 3] at every quarter tile, [N, T, T, 3]."""
    step = tile // 4
    return np.stack([pixels[y:y + tile, x:x + tile] for y in range(0, pixels.shape[0] - tile + 1, step)
                     for x in range(0, pixels.shape[1] - tile + 1, step)])


def contrast(generated, pixels):
    """Ratio of the standard deviations around the channels' means: tiles [N, T, T, 3] over photo [H, W, 3]."""
    return float((generated - generated.mean((0, 1, 2))).std() / (pixels - pixels.mean((0, 1))).std())


def patches_of(pictures, stride):
    """All patches of pictures [N, h, w, 3] at a stride, float32 [M, PATCH * PATCH * 3]."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float()
    x = x.unfold(1, PATCH, stride).unfold(2, PATCH, stride)
    return x.reshape(-1, 3 * PATCH * PATCH)


def nearest(queries, patches):
    """Mean distance of queries [Q, D] to the nearest of patches [M, D]."""
    best = torch.full((len(queries),), torch.inf)
    for part in patches.split(8192):
        best = torch.minimum(best, torch.cdist(queries, part).amin(1))
    return float(best.mean())


def novelty(generated, pixels, rng):
    """See the module's text; generated tiles [N, T, T, 3], photo [H, W, 3]."""
    axis = int(pixels.shape[1] >= pixels.shape[0])
    halves = [patches_of(half[None], STRIDE) for half in np.array_split(pixels, 2, axis)]
    some = patches_of(generated, PATCH // 2)
    some = some[torch.from_numpy(rng.permutation(len(some))[:QUERIES])]
    ratios = []
    for here, there in (halves, halves[::-1]):
        truth = there[torch.from_numpy(rng.permutation(len(there))[:QUERIES])]
        ratios.append(nearest(some, here) / nearest(truth, here))
    return sum(ratios) / 2


def spectrum(tiles):
    """Mean 2-D power spectrum of the luminance of tiles [N, T, T, 3] under a Hann window, in dB."""
    grey = tiles.mean(-1)
    window = np.hanning(grey.shape[-1])
    grey = (grey - grey.mean((1, 2), keepdims=True)) * window[:, None] * window
    return 10 * np.log10((np.abs(np.fft.fft2(grey)) ** 2).mean(0) + 1e-12)


def spectrum_difference(a, b):
    """RMS difference in dB of the spectra of two sets of tiles above 2 cycles a tile."""
    f = np.fft.fftfreq(a.shape[1]) * a.shape[1]
    return float(np.sqrt(((spectrum(a) - spectrum(b))[np.hypot(f[:, None], f) > 2] ** 2).mean()))


def score(path, photo_path):
    """All scores of one picture, name -> formatted value."""
    photo, pixels, layout, tile = read_texture(path, photo_path)
    truth = photo.pixels(photo.x)
    generated, rng = tiles_where(pixels, layout, tile, real=False), np.random.default_rng(0)
    first, second = td.seam_ratios(pixels, layout, tile)
    every = rng.permutation(photo_tiles(truth, tile))
    floor = spectrum_difference(every[::2], every[1::2])
    return {"picture": f"{photo.name}, {len(generated)} tiles", "seam 1st": f"{first:.2f}", "seam 2nd": f"{second:.2f}",
            "colour": f"{td.colour_difference(pixels, layout, tile, photo):.2f}",
            "contrast": f"{contrast(generated, truth):.3f}", "novelty": f"{novelty(generated, truth, rng):.2f}",
            "spectrum dB": f"{spectrum_difference(generated, every):.2f} ({floor:.2f})"}


def main():
    """The command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    for number, path in enumerate(sys.argv[2:]):
        row = score(path, sys.argv[1])
        if number == 0:
            print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
        print("| " + " | ".join(row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
