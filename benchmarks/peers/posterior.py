"""The closed-form patch posterior: diffusion whose denoiser is the photo's patches, without a network.

If a texture's patches are the photo's, each as likely as any other, the best estimate of a patch under known noise is
their mean, weighed by likelihood; patches overlap, and each pixel takes the mean of those over it. With this estimate
deterministic steps (DDIM) go from noise to a picture, at a coarse scale first and then at finer ones, each from the one
before, enlarged and noised again (as NIFTY, arXiv 2509.22318, and SID, arXiv 2606.04299, draw textures; this is a plain
implementation from the formula, not theirs). Of the patches those nearest are taken, found by principal components.

Trains nothing and ignores the layout: the whole picture is drawn.
"""

import torch
import torch.nn.functional as F

import texture_diffusion as td
from texture_diffusion_tools.running import seeds

PATCH, EVERY = 12, 4  # side, and pixels between the patches of a picture
COMPONENTS = 48
PLACES = 8192  # of the photo, others in each step
NEAREST = 16  # patches that a mean is of
STEPS = 9  # at each scale
SCALES = (8, 4, 2, 1)  # times smaller
AGAIN = 0.6  # of the chain that an enlarged picture is noised to
CHUNK = 2048  # patches at once


def make(photo, layout, tile, seconds, seed, steps=None):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py. Only the size of the layout is used; steps: at
    each scale."""
    generator = seeds.torch_generator(seed, seeds.DRAWING)
    size = [side * tile for side in layout.source.shape[:2]]
    drawn = None
    for scale in (scale for scale in SCALES if min(photo.x.shape[1:]) // scale >= 2 * PATCH):
        x = F.avg_pool2d(photo.x.cpu(), scale) if scale > 1 else photo.x.cpu()
        drawn = draw(x, [-(-side // scale) for side in size], drawn, steps or STEPS, generator)
    return photo.pixels(drawn[:, :size[0], :size[1]])


def draw(x, size, before, steps, generator):
    """A picture [C, h, w] of at least a size like the photo x [C, H, W]; before: the same at half the scale, or None.
    """
    alphas_cumprod = td.cosine_schedule(1000)
    high, wide = (-(-(side + EVERY) // EVERY) * EVERY + PATCH for side in size)  # a margin, for grids that are moved
    eps = torch.randn(len(x), high, wide, generator=generator)
    if before is None:
        times, x_t = td.trailing_timesteps(1000, steps), eps
    else:
        times = td.trailing_timesteps(round(AGAIN * 1000), steps)
        before = F.interpolate(before[None], (high, wide), mode="bicubic")[0]
        x_t = td.q_sample(before[None], torch.tensor([times[0]]), eps[None], alphas_cumprod)[0]
    for now, after in zip(times, times[1:]):
        x0 = estimate(x, x_t, max(float(alphas_cumprod[now]), 1e-4), generator)
        x_t = td.ddim_step(x_t[None], x0[None], *(torch.tensor([t]) for t in (now, after)), alphas_cumprod)[0]
    return x_t


def estimate(x, x_t, abar, generator):
    """The estimate of x0 [C, h, w] under x_t by the patches of the photo x [C, H, W], on a grid moved at random."""
    places = torch.randint((x.shape[1] - PATCH + 1) * (x.shape[2] - PATCH + 1), (PLACES,), generator=generator)
    wide = x.shape[2] - PATCH + 1
    patches = x.unfold(1, PATCH, 1).unfold(2, PATCH, 1)[:, places // wide, places % wide].transpose(0, 1).flatten(1)
    basis = torch.linalg.eigh(patches.T @ patches)[1].flip(1)[:, :COMPONENTS]
    known = patches @ basis
    energy, noise = known.square().sum(1) / 2, (1 - abar) / abar

    down, right = torch.randint(EVERY, (2,), generator=generator).tolist()
    part = x_t[None, :, down:, right:] / abar ** 0.5
    queries = F.unfold(part, PATCH, stride=EVERY)[0].T
    means = torch.cat([weighed(chunk @ basis, known, energy, noise, patches) for chunk in queries.split(CHUNK)])
    size = part.shape[2:]
    total = F.fold(torch.stack([means.T, torch.ones_like(means.T)]), size, PATCH, stride=EVERY)
    x0 = total[0] / total[1].clamp(min=1)

    # what no patch lies over, along the margin, stays as the noise leaves it
    covered = F.pad(total[1, :1] > 0, (right, 0, down, 0))
    return torch.where(covered, F.pad(x0, (right, 0, down, 0)), abar ** 0.5 * x_t)


def weighed(queries, known, energy, noise, patches):
    """The means of the patches [N, D] nearest to queries [Q, COMPONENTS], by likelihood, [Q, D]."""
    best, which = (queries @ known.T - energy).topk(min(NEAREST, len(known)), 1)
    weights = ((best - best[:, :1]) / noise).softmax(1)
    return torch.einsum("qk,qkd->qd", weights, patches[which])
