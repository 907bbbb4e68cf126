"""The patches of the photo that the network is given: they are laid where they fit a tile, as far
as that is known.

A patch q of x_t, divided by sqrt(alpha_bar), is a patch p of the texture with noise of variance s =
(1 - alpha_bar) / alpha_bar in each pixel. So the likelihood of p is exp(-|q - p|^2 / 2s), and the
photo's patches with these weights have a mean, the estimate of x0 that is best if the photo's
patches are all there are (non-local means under known noise, Buades et al., CVPR 2005; NIFTY, arXiv
2509.22318, draws by it alone). Two pictures of a tile come of it: the nearest patch at each place,
sharp, and that mean, which is blurred where patches disagree; and two maps that say how far they
are to be trusted. The rest is the network's.

All patches cannot be compared with all. White noise is as strong in each principal component of the
patches as in any other, so the first few tell nearly all. A few thousand places of the photo are
looked at, in GROUPS apart, and the best of each group moves to a better place beside it, pixel by
pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import photo_facts

PATCH = 12  # side, pixels
EVERY = 4  # pixels between a tile's patches; PATCH / EVERY is odd: each has a middle of its own
COMPONENTS = 32
PLACES = 4096  # of the photo that are looked at
GROUPS = 4
STEPS = (2, 1)  # pixels that a patch moves by
PICTURES, MAPS = 2, 2  # of a tile
NOTHING = 1e-6  # alpha_bar at least

Area = tuple[int, int, int]  # of the photo: y, x, side


class Found(NamedTuple):
    """The references of a batch."""

    # the nearest patches, and their mean by likelihood, [B, 2, C, T, T]
    pictures: Tensor
    # how far patches are from that mean, and the nearest from what is seen, [B, 2, T, T]
    maps: Tensor

    def rotated(self, axes: Tensor) -> Found:
        """The references with their pictures along axes, see photo_facts.rotated()."""
        pictures = [photo_facts.rotated(x, axes) for x in self.pictures.unbind(1)]
        return Found(torch.stack(pictures, 1), self.maps)


class Seen(NamedTuple):
    """What a network makes of a Found before it looks at x_t."""

    pictures: Tensor  # of Found
    stem: Tensor  # what is added to the output of its stem,
    head: Tensor  # to that of the head's first layer
    filters: Tensor  # and to that of its filters


def channels_of(channels: int) -> int:
    """How many channels the references of a tile with so many channels have."""
    return PICTURES * channels + MAPS


def nothing(x: Tensor) -> Found:
    """The Found of a batch x [B, C, T, T] where nothing is to be shown: zeros."""
    pictures = x.new_zeros(len(x), PICTURES, *x.shape[1:])
    return Found(pictures, x.new_zeros(len(x), MAPS, *x.shape[2:]))


def found(
    x_t: Tensor, abar: Tensor, where: Iterable[tuple[Patches, Sequence[Area]] | None]
) -> Found:
    """The Found of noisy tiles x_t [B, C, T, T].

    abar: their alpha_bar, [B, 1, 1, 1]; where: of each tile (Patches, areas that nothing is taken
    from), or None for no references.
    """
    result = nothing(x_t)
    for k, (level, place) in enumerate(zip(abar.flatten().tolist(), where)):
        if place is not None:
            patches, areas = place
            result.pictures[k], result.maps[k] = patches.find(x_t[k], level, areas)
    return result


class Patches:
    """The patches of a photo x [C, H, W], both sides PATCH or more, found when they are first asked
    for.

    usable: bool [H, W], pixels that may be shown; None: all.
    """

    def __init__(self, x: Tensor, usable: Tensor | None = None) -> None:
        self.x, self.usable = x, usable
        self.wide = x.shape[2] - PATCH + 1  # places in a row

    @functools.cached_property
    def free(self) -> Tensor:
        """Places whose patch may be shown, int64 [N]."""
        if self.usable is None:
            count = (self.x.shape[1] - PATCH + 1) * self.wide
            return torch.arange(count, device=self.x.device)
        hidden = F.max_pool2d((~self.usable)[None, None].float(), PATCH, 1)
        return (hidden.flatten() == 0).nonzero()[:, 0]

    @functools.cached_property
    def places(self) -> Tensor:
        """Those of the free places that are looked at, int64 [PLACES]."""
        generator = torch.Generator().manual_seed(0)
        pick = torch.randint(len(self.free), (PLACES,), generator=generator)
        return self.free[pick.to(self.x.device)]

    @functools.cached_property
    def basis(self) -> Tensor:
        """The principal components of those patches, [COMPONENTS, C, PATCH, PATCH]."""
        all_patches = self.x.unfold(1, PATCH, 1).unfold(2, PATCH, 1)
        cut = all_patches[:, self.places // self.wide, self.places % self.wide]
        cut = cut.transpose(0, 1).flatten(1)

        products = (cut.T @ cut).cpu().double()  # MPS has no doubles
        axes = torch.linalg.eigh(products)[1].flip(1)[:, :COMPONENTS].T
        return axes.to(self.x).reshape(-1, len(self.x), PATCH, PATCH).contiguous()

    @functools.cached_property
    def components(self) -> Tensor:
        """The principal components of each place's patch, float16 [N, COMPONENTS]."""
        return F.conv2d(self.x[None], self.basis)[0].flatten(1).T.half().contiguous()

    @functools.cached_property
    def energy(self) -> Tensor:
        """Half the squared length of each place's components, [N]; infinite where a patch may not
        be shown."""
        found = torch.full((len(self.components),), torch.inf, device=self.x.device)
        found[self.free] = self.components.float().square().sum(1)[self.free] / 2
        return found

    def excluded(self, places: Tensor, areas: Sequence[Area]) -> Tensor:
        """Which places int64 [...] are of patches that overlap one of the areas (y, x, side), bool
        [...]."""
        y, x = places // self.wide, places % self.wide
        found = torch.zeros_like(places, dtype=torch.bool)
        for top, left, side in areas:
            found |= (y > top - PATCH) & (y < top + side) & (x > left - PATCH) & (x < left + side)
        return found

    def find(self, x: Tensor, abar: float, areas: Sequence[Area] = ()) -> tuple[Tensor, Tensor]:
        """The references of a tile, T a multiple of EVERY: both pictures, [2, C, T, T], and the
        maps, [2, T, T]. Zero if there is nothing to show.

        x: the noisy tile x_t [C, T, T]; abar: its alpha_bar, a float; areas: (y, x, side) of the
        photo from where nothing is to be taken.
        """
        if not len(self.free) or self.excluded(self.places, areas).all():
            return x.new_zeros(PICTURES, *x.shape), x.new_zeros(MAPS, *x.shape[1:])

        # The tile's patches without the shrinking of x0, by their components.
        tile, abar = x.shape[-1], max(abar, NOTHING)
        query = F.conv2d(x[None] / abar ** 0.5, self.basis, stride=EVERY)[0]
        rows = query.shape[-1]
        query = query.flatten(1).T.contiguous()  # [Q, COMPONENTS]

        found, scores = self.looked_up(query, areas)
        for step in STEPS:
            found, scores = self.moved(query, found, scores, step, areas)

        noise = (1 - abar) / abar
        first = found.gather(1, scores.argmax(1, keepdim=True)).view(rows, rows)
        mean, maps = self.weighed(query, found, scores, noise)
        pictures = torch.stack([self.laid(first, tile), self.folded(mean, rows)])
        return pictures, spread_out(maps.view(MAPS, rows, rows), tile)

    def looked_up(self, query: Tensor, areas: Sequence[Area]) -> tuple[Tensor, Tensor]:
        """The best of each group for each of the queries, places and scores [Q, GROUPS]:
        log-likelihoods times the noise's variance, but for what is the same for all patches."""
        hidden = self.excluded(self.places, areas)
        energy = self.energy[self.places].masked_fill(hidden, torch.inf)
        scores = (query @ self.components[self.places].float().T).sub_(energy)

        scores, which = scores.view(len(query), GROUPS, -1).max(-1)
        return self.places.view(GROUPS, -1).gather(1, which.T).T.contiguous(), scores

    def moved(
        self, query: Tensor, found: Tensor, scores: Tensor, step: int, areas: Sequence[Area]
    ) -> tuple[Tensor, Tensor]:
        """Places and their scores, each the best of itself and of those `step` pixels away."""
        ways = (-step, 0, step)
        by = torch.tensor([y * self.wide + x for y in ways for x in ways if y or x])
        there = (found[..., None] + by.to(found.device)).clamp(0, len(self.energy) - 1)

        # scores of the 8 places around each, [Q, GROUPS, 8]
        products = torch.einsum("qgkc,qc->qgk", self.components[there].float(), query)
        around = products - self.energy[there]
        around, which = around.masked_fill(self.excluded(there, areas), -torch.inf).max(-1)

        there = there.gather(2, which[..., None])[..., 0]
        return torch.where(around > scores, there, found), torch.maximum(scores, around)

    def weighed(
        self, query: Tensor, found: Tensor, scores: Tensor, noise: float
    ) -> tuple[Tensor, Tensor]:
        """The mean of the patches found by likelihood, [Q, COMPONENTS]; and [MAPS, Q]: how far they
        are from it, and how far the best is from what is seen, over what the noise explains."""
        best = scores.amax(1, keepdim=True)
        weights = ((scores - best) / noise).softmax(1)
        patches = self.components[found].float()
        mean = (weights[..., None] * patches).sum(1)

        spread = (weights * (patches - mean[:, None]).square().mean(2)).sum(1)
        misfit = (query.square().sum(1) - 2 * best[:, 0]) / len(self.basis) / noise
        return mean, torch.stack([spread.sqrt(), misfit.clamp(0, 4).sqrt() - 1])

    def laid(self, places: Tensor, tile: int) -> Tensor:
        """The middles of the patches at places [rows, rows] beside each other, [C, T, T]."""
        line = torch.arange(len(places), device=places.device) * EVERY
        down, right = places // self.wide - line[:, None], places % self.wide - line

        # from each pixel of the tile to its pixel of the photo
        down, right = spread_out(torch.stack([down, right]), tile).long()
        line = torch.arange(tile, device=places.device)
        return self.x[:, down + line[:, None], right + line]

    def folded(self, patches: Tensor, rows: int) -> Tensor:
        """Patches [Q, COMPONENTS] over each other in their places, the mean of them at each pixel,
        [C, T, T]."""
        x = F.conv_transpose2d(patches.T.reshape(1, -1, rows, rows), self.basis, stride=EVERY)[0]
        one, patch = x.new_ones(1, 1, rows), x.new_ones(1, 1, PATCH)
        line = F.conv_transpose1d(one, patch, stride=EVERY)[0, 0]  # how many cover each pixel
        return x / (line[:, None] * line)


def spread_out(x: Tensor, tile: int) -> Tensor:
    """A value of each patch, [..., rows, rows], at each pixel of the tile whose middle is nearest,
    [..., T, T]."""
    margin = (PATCH - EVERY) // 2 // EVERY
    x = F.pad(x[None].float(), [margin] * 4, mode="replicate")[0]
    return x.repeat_interleave(EVERY, -1).repeat_interleave(EVERY, -2)[..., :tile, :tile]
