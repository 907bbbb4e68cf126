"""Image quilting (Efros and Freeman, SIGGRAPH 2001): blocks of the photo, overlapping, cut where they differ least.

Trains nothing and ignores the layout: the whole picture is quilted. One departure from the paper: the place that
simply goes on where a block's neighbour was cut has no error at all and would always win, so that the result
would be a plain copy of the photo; it is left out.
"""

import numpy as np
import torch

from texture_diffusion_tools.running import seeds

TOLERANCE = 0.1  # places whose error exceeds the smallest by no more than this share are equally good (the paper's)


def correlate(spectrum, kernel, size):
    """Sum over channels and pixels of x and kernel [C, B, B] at every place of x in it, by FFT: [H - B + 1, W - B + 1].

    spectrum: rfft2 of x [C, H, W]; size: (H, W).
    """
    products = torch.fft.irfft2((spectrum * torch.fft.rfft2(kernel, s=size).conj()).sum(0), s=size)
    return products[:size[0] - kernel.shape[1] + 1, :size[1] - kernel.shape[2] + 1]


def boundary_cut(error):
    """The minimum error boundary cut from top to bottom of error [h, w]: bool [h, w], True from the cut on."""
    total = error.copy()
    for row in range(1, len(total)):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    cut = [int(total[-1].argmin())]
    for row in total[-2::-1]:
        low = max(0, cut[-1] - 1)
        cut.append(low + int(row[low:cut[-1] + 2].argmin()))
    return np.arange(total.shape[1]) >= np.array(cut[::-1])[:, None]


def choose(errors, continued, reach, rng):
    """A random place (y, x) among the best of errors [places], not within reach of the places in `continued`."""
    for y, x in continued:
        errors[max(0, y - reach):y + reach + 1, max(0, x - reach):x + reach + 1] = np.inf
    least = errors.min()
    best = np.argwhere(errors <= max(least, least * (1 + TOLERANCE)))  # rounding can take the least below 0
    return tuple(int(at) for at in best[rng.integers(len(best))])


class Search:
    """Compares all blocks of a photo x [C, H, W] with the strips along the top and the left that are already there."""

    def __init__(self, x, block, overlap):
        self.x, self.block, self.overlap = x, block, overlap
        self.spectrum, self.power = torch.fft.rfft2(x), torch.fft.rfft2((x**2).sum(0, keepdim=True))
        self.squares = {}  # the sums of a^2 depend on which strips count, not on what is there

    def errors(self, there, top, left):
        """Squared difference of every block and there [C, B, B] on the strips that count, numpy [places].

        The sum of (a - b)^2 over the strips is that of a^2 - 2 a b + b^2.
        """
        size, mask = self.x.shape[1:], torch.zeros(1, self.block, self.block)
        mask[:, :self.overlap * top] = mask[:, :, :self.overlap * left] = 1
        if (top, left) not in self.squares:
            self.squares[top, left] = correlate(self.power, mask, size)
        products = correlate(self.spectrum, there * mask, size)
        return (self.squares[top, left] - 2 * products + (there**2 * mask).sum()).numpy()


def quilt(x, height, width, block, rng):
    """Which pixel of x [C, H, W], counted in reading order, goes where: int [height, width]."""
    overlap = max(2, block // 6)  # the paper's share
    step, numbers = block - overlap, torch.arange(x[0].numel()).view(x.shape[1:])
    rows, columns = (-(-(side - overlap) // step) for side in (height, width))
    out = torch.zeros(rows * step + overlap, columns * step + overlap, dtype=torch.long)
    flat, search, places = x.flatten(1), Search(x, block, overlap), {}
    for i, j in np.ndindex(rows, columns):
        old = out[i * step:i * step + block, j * step:j * step + block]
        continued = [(places[a, b][0] + (i - a) * step, places[a, b][1] + (j - b) * step)
                     for a, b in ((i, j - 1), (i - 1, j)) if (a, b) in places]
        y, x0 = places[i, j] = choose(search.errors(flat[:, old], i > 0, j > 0), continued, overlap // 2, rng)
        new = numbers[y:y + block, x0:x0 + block]
        error = (flat[:, old] - flat[:, new]).square().sum(0).numpy()
        taken = np.ones((block, block), bool)
        if j:
            taken[:, :overlap] &= boundary_cut(error[:, :overlap])
        if i:
            taken[:overlap] &= boundary_cut(error[:overlap].T).T
        old[taken] = new[taken]
    return out[:height, :width].numpy()


def make(photo, layout, tile, seconds, seed, steps=None):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py. Only the size of the layout is used."""
    height, width = (side * tile for side in layout.source.shape[:2])
    rng = np.random.default_rng(seeds.seed_sequence(seed, seeds.DRAWING))
    numbers = quilt(photo.x.cpu(), height, width, tile // 2, rng)
    return photo.pixels(photo.x).reshape(-1, 3)[numbers]
