"""The closed-form patch posterior: diffusion whose denoiser is the photo's patches, without a network.

If a texture's patches are the photo's, each as likely as any other, the best estimate of a patch under known noise is
their mean, weighed by likelihood; patches overlap, and each pixel takes the mean of those over it, the more of a patch
the nearer to its middle. With this estimate deterministic steps (DDIM) go from noise to a picture, at a coarse scale
first and then at finer ones, each from the one before, enlarged and noised again (as NIFTY, arXiv 2509.22318, and SID,
arXiv 2606.04299, draw textures; this is a plain implementation from the formula, not theirs).

Which patches are likely is looked up once among all of them, at the coarsest scale; from then on among those that go
on where the neighbours' were found, and a few others (as PatchMatch does, Barnes et al. 2009). That is quick, and it is
what keeps contrast: of patches that were found each for itself no two agree where they overlap, their mean is grey, and
what lies nearest to grey is the photo's dullest patches.

Trains nothing and ignores the layout: the whole picture is drawn. It continues at its other side before it is cut.
"""

import torch
import torch.nn.functional as F

import texture_diffusion as td
from texture_diffusion_tools.running import seeds

PATCH, EVERY = 16, 8  # side, and pixels between the patches of a picture
SPREAD = 0.15  # of a patch's weight around its middle: its deviation, sides
COMPONENTS = 48  # principal ones, by which patches are found
NEAREST = 4  # patches that a mean is of
STRAYS = 2  # places at random where each patch is looked for, too
STEPS = 9  # at each scale, twice as many from pure noise
SCALES = (8, 4, 2, 1)  # times smaller, while three patches fit in side by side
AGAIN = 0.5  # of the chain that an enlarged picture is noised to
CHUNK = 2048  # patches at once


def make(photo, layout, tile, seconds, seed, steps=None):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py. Only the size of the layout is used; steps: at
    each scale."""
    generator = seeds.torch_generator(seed, seeds.DRAWING)
    height, width = (side * tile for side in layout.source.shape[:2])
    scales = [scale for scale in SCALES if min(photo.x.shape[1:]) // scale >= 3 * PATCH] or SCALES[-1:]
    cells = [-(-side // (EVERY * scales[0])) for side in (height, width)]  # patches of the coarsest picture

    before = None
    for scale in scales:
        patches = Patches(F.avg_pool2d(photo.x.cpu(), scale), generator)
        size = [EVERY * scales[0] // scale * count for count in cells]
        before = draw(patches, size, before, steps or STEPS, generator)
    return photo.pixels(before[0][:, :height, :width])


def draw(patches, size, before, steps, generator):
    """(A picture [C, h, w] of a size, multiples of EVERY, and where its patches were found, offsets); before: the same
    of half the size, or None."""
    alphas_cumprod = td.cosine_schedule(1000)
    x_t, offsets = torch.randn(patches.channels, *size, generator=generator), None
    times = td.trailing_timesteps(1000, 2 * steps)
    if before is not None:
        times = td.trailing_timesteps(round(AGAIN * 1000), steps)
        enlarged = F.interpolate(before[0][None], tuple(size), mode="bicubic")
        x_t = td.q_sample(enlarged, torch.tensor(times[:1]), x_t[None], alphas_cumprod)[0]
        offsets = 2 * before[1].repeat_interleave(2, 1).repeat_interleave(2, 2)

    for now, after in zip(times, times[1:]):
        x0, offsets = patches.estimate(x_t, max(float(alphas_cumprod[now]), 1e-4), offsets, generator)
        x_t = td.ddim_step(x_t[None], x0[None], *(torch.tensor([t]) for t in (now, after)), alphas_cumprod)[0]
    return x_t, offsets


class Patches:
    """All patches of a photo x [C, H, W], D numbers each, and their principal components."""

    def __init__(self, x, generator):
        self.channels, self.windows = len(x), x.unfold(1, PATCH, 1).unfold(2, PATCH, 1).permute(1, 2, 0, 3, 4)
        self.places = torch.tensor(self.windows.shape[:2])  # how many of them, down and across
        some = self.at(torch.randint(int(self.places.prod()), (8192,), generator=generator))
        self.basis = torch.linalg.eigh(some.T @ some)[1].flip(1)[:, :COMPONENTS]
        self.known = torch.cat([row.flatten(1) @ self.basis for row in self.windows])
        self.energy = self.known.square().sum(1) / 2

    def at(self, numbers):
        """The patches [..., D] of places, counted in reading order."""
        wide = self.windows.shape[1]
        return self.windows[numbers // wide, numbers % wide].flatten(-3)

    def estimate(self, x_t, abar, offsets, generator):
        """(The estimate of x0 under x_t [C, h, w], where its patches were found), on a grid moved at random; offsets
        [K, rows, columns, 2]: from patches of the picture to those of the photo, best first, or None."""
        moved = torch.randint(EVERY, (2,), generator=generator)
        whole = F.pad(x_t.roll((-moved).tolist(), (1, 2))[None], (0, PATCH - EVERY) * 2, mode="circular")
        queries = F.unfold(whole / abar ** 0.5, PATCH, stride=EVERY)[0].T
        rows, columns = (side // EVERY for side in x_t.shape[1:])
        here = EVERY * torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).view(rows, columns, 2) + moved

        # the nearest of all patches, or of those that the neighbours suggest
        parts = [(queries @ self.basis).split(CHUNK)]
        if offsets is not None:
            parts.append(self.candidates(here, offsets, generator).split(CHUNK))
        which = torch.cat([self.nearest(*part) for part in zip(*parts)])
        wide = self.windows.shape[1]
        found = torch.stack([which // wide, which % wide], -1).view(rows, columns, -1, 2).movedim(2, 0)

        means = [self.mean(*part, (1 - abar) / abar) for part in zip(queries.split(CHUNK), which.split(CHUNK))]
        return overlapped(torch.cat(means), x_t.shape).roll(moved.tolist(), (1, 2)), found - here

    def candidates(self, here, offsets, generator):
        """Places, counted, at which the patches at here [rows, columns, 2] are looked for, [Q, N], sorted: those of
        before, of neighbours, a little beside, and at random."""
        ways = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        best = torch.cat([offsets[:2].roll(way, (1, 2)) for way in ways])
        beside = offsets[:1] + torch.randint(-2, 3, (4, *here.shape), generator=generator)
        strays = (torch.rand(STRAYS, *here.shape, generator=generator) * self.places).long()
        places = (here + torch.cat([offsets, best, beside])).clamp(min=0).minimum(self.places - 1)
        places = torch.cat([places, strays])
        return (places[..., 0] * self.places[1] + places[..., 1]).flatten(1).T.sort(1)[0]

    def nearest(self, components, among=None):
        """Which patches lie nearest to components [Q, COMPONENTS], best first [Q, NEAREST]; among: numbers [Q, N]."""
        if among is None:
            return (components @ self.known.T - self.energy).topk(min(NEAREST, len(self.known)), 1)[1]
        likelihood = torch.bmm(self.known[among], components[:, :, None])[..., 0] - self.energy[among]
        likelihood[:, 1:][among[:, 1:] == among[:, :-1]] = -torch.inf  # each but once
        return among.gather(1, likelihood.topk(NEAREST, 1)[1])

    def mean(self, queries, which, noise):
        """The mean of the patches which [Q, K], weighed by how likely queries [Q, D] are they under noise."""
        patches = self.at(which)
        weights = (-(queries[:, None] - patches).square().sum(2) / (2 * noise)).softmax(1)
        return torch.bmm(weights[:, None], patches)[:, 0]


def overlapped(patches, shape):
    """The picture of a shape [C, h, w] of patches [Q, D] that overlap, also across its sides: each pixel is the mean of
    those over it, weighed by how near it is to their middle."""
    way = torch.arange(PATCH) - (PATCH - 1) / 2
    weight = torch.exp(-(way[:, None].square() + way.square()) / (2 * (SPREAD * PATCH) ** 2)).flatten()
    weights = weight.repeat(shape[0]).expand_as(patches)
    edge, (_, high, wide) = PATCH - EVERY, shape
    both = torch.stack([patches * weights, weights])
    total = F.fold(both.movedim(1, 2), (high + edge, wide + edge), PATCH, stride=EVERY)

    # what hangs over one side belongs to the other
    total[:, :, :edge] += total[:, :, high:]
    total[:, :, :, :edge] += total[:, :, :, wide:]
    return (total[0] / total[1])[:, :high, :wide]
