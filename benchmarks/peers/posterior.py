"""The closed-form patch posterior: diffusion whose denoiser is the photo's patches, without a network.

What Patches (texture_diffusion_tools/learning/patches.py) estimate, and nothing else, from pure noise: deterministic
steps (DDIM) go to a picture, at a coarse scale first and then at finer ones, each from the one before, enlarged and
noised again (as NIFTY, arXiv 2509.22318, and SID, arXiv 2606.04299, draw textures; this is a plain implementation from
the formula, not theirs).

Trains nothing and ignores the layout: the whole picture is drawn. It continues at its other side before it is cut.
"""

import torch
import torch.nn.functional as F

import texture_diffusion as td
from texture_diffusion_tools.learning.patches import EVERY, LEAST, PATCH, Patches, overlapped
from texture_diffusion_tools.running import seeds

STEPS = 9  # at each scale, twice as many from pure noise
SCALES = (8, 4, 2, 1)  # times smaller, while three patches fit in side by side
AGAIN = 0.5  # of the chain that an enlarged picture is noised to


def make(photo, layout, tile, seconds, seed, steps=None):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py. Only the size of the layout is used; steps: at
    each scale."""
    generator = seeds.torch_generator(seed, seeds.DRAWING)
    height, width = (side * tile for side in layout.source.shape[:2])
    scales = [scale for scale in SCALES if min(photo.x.shape[1:]) // scale >= 3 * PATCH] or SCALES[-1:]
    cells = [-(-side // (EVERY * scales[0])) for side in (height, width)]  # patches of the coarsest picture

    before = None
    for scale in scales:
        patches = Patches(F.avg_pool2d(photo.x.cpu(), scale))
        size = [EVERY * scales[0] // scale * count for count in cells]
        before = draw(patches, size, before, steps or STEPS, generator)
    return photo.pixels(before[0][0, :, :height, :width])


def draw(patches, size, before, steps, generator):
    """(A picture [1, C, h, w] of a size, multiples of EVERY, and where its patches were found, offsets); before: the
    same of half the size, or None."""
    alphas_cumprod = td.cosine_schedule(1000)
    x_t, offsets = torch.randn(1, len(patches.x), *size, generator=generator), None
    times = td.trailing_timesteps(1000, 2 * steps)
    if before is not None:
        times = td.trailing_timesteps(round(AGAIN * 1000), steps)
        enlarged = F.interpolate(before[0], tuple(size), mode="bicubic")
        x_t = td.q_sample(enlarged, torch.tensor(times[:1]), x_t, alphas_cumprod)
        offsets = 2 * before[1].repeat_interleave(2, 2).repeat_interleave(2, 3)

    for now, after in zip(times, times[1:]):
        x0, offsets = estimate(patches, x_t, max(float(alphas_cumprod[now]), LEAST), offsets, generator)
        x_t = td.ddim_step(x_t, x0, *(torch.tensor([t]) for t in (now, after)), alphas_cumprod)
    return x_t, offsets


def estimate(patches, x_t, abar, offsets, generator):
    """(The estimate of x0 under x_t [1, C, h, w], which wraps, where its patches were found), on a grid moved at
    random; offsets: as of Patches.means."""
    moved = torch.randint(EVERY, (2,), generator=generator).tolist()
    whole = x_t.roll([-by for by in moved], (2, 3))
    whole = F.pad(whole, (0, PATCH - EVERY) * 2, mode="circular") / abar ** 0.5
    means, offsets = patches.means(whole, abar, moved, offsets, generator)
    return wrapped(overlapped(means, whole.shape)).roll(moved, (2, 3)), offsets


def wrapped(total):
    """The picture [1, C, h, w] of what overlapped() returns, whose edges lie over its other side."""
    edge, (high, wide) = PATCH - EVERY, (side - PATCH + EVERY for side in total.shape[3:])
    total[..., :edge, :] += total[..., high:, :]
    total[..., :edge] += total[..., wide:]
    return (total[0] / total[1])[..., :high, :wide]
