"""The photo's patches as a denoiser: an estimate of x0 in closed form, for which nothing is
learned.

If a texture's patches are the photo's, each as likely as any other, the best estimate of a patch
under known noise is their mean, weighed by likelihood; patches overlap, and each pixel takes the
mean of those over it, the more of a patch the nearer to its middle. (So NIFTY, arXiv 2509.22318,
and SID, arXiv 2606.04299, draw textures; this is a plain implementation from the formula.)

Patches that are found each for itself do not agree where they overlap, and their mean is dull. So
they are looked up among the photo's but once; from then on among those that go on where the
neighbours' were found, and a few others (PatchMatch, Barnes et al., SIGGRAPH 2009).

All is computed on the CPU, wherever the network is: the search is small and irregular.

Shapes: B pictures of C channels, each of Q = rows x columns patches of D = C PATCH^2 numbers. A
place is where a patch of the photo begins, counted in reading order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH, EVERY = 16, 8  # side, and pixels between the patches of a picture
SPREAD = 0.15  # of a patch's weight around its middle: its deviation, sides
COMPONENTS = 48  # principal ones, by which patches are found
NEAREST = 4  # patches that a mean is of
STRAYS = 2  # places at random where each patch is looked for, too
LOOKED_UP = 32_768  # places that are looked at where nothing is known yet, at most
SOME = 8192  # patches that the components are of
MARGIN = PATCH  # pixels around a tile over which its patches may hang
LEAST = 1e-4  # alpha_bar, of pure noise


class Patches:
    """All patches of a photo x [C, H, W], both sides PATCH or more, and their principal components,
    found when they are first asked for.

    usable: bool [H, W], pixels that may be shown, at least one whole patch; None: all.
    """

    def __init__(self, x: Tensor, usable: Tensor | None = None) -> None:
        self.x, self.usable = x, usable
        windows = self.x.unfold(1, PATCH, 1).unfold(2, PATCH, 1)
        self.windows = windows.permute(1, 2, 0, 3, 4)
        self.places = torch.tensor(self.windows.shape[:2])  # down, across

    @functools.cached_property
    def free(self) -> Tensor:
        """Places whose patch may be shown, int64 [N]."""
        if self.usable is None:
            return torch.arange(int(self.places.prod()))
        hidden = F.max_pool2d((~self.usable)[None, None].float(), PATCH, 1)
        return (hidden.flatten() == 0).nonzero()[:, 0]

    @functools.cached_property
    def some(self) -> Tensor:
        """Free places at random, int64 [LOOKED_UP], or all of them if there are fewer."""
        if len(self.free) <= LOOKED_UP:
            return self.free
        generator = torch.Generator().manual_seed(0)
        return self.free[torch.randint(len(self.free), (LOOKED_UP,), generator=generator)]

    @functools.cached_property
    def basis(self) -> Tensor:
        """The principal components of some patches, [D, COMPONENTS]."""
        patches = self.at(self.some[:: max(1, len(self.some) // SOME)])
        return torch.linalg.eigh(patches.T @ patches)[1].flip(1)[:, :COMPONENTS].contiguous()

    @functools.cached_property
    def known(self) -> Tensor:
        """The components of each place's patch, float16 [N, COMPONENTS]."""
        filters = self.basis.T.reshape(-1, len(self.x), PATCH, PATCH)
        return F.conv2d(self.x[None], filters)[0].flatten(1).T.half().contiguous()

    @functools.cached_property
    def energy(self) -> Tensor:
        """Half the squared length of each place's components, [N]; infinite where the patch may not
        be shown."""
        found = torch.full((len(self.known),), torch.inf)
        found[self.free] = self.known[self.free].float().square().sum(1) / 2
        return found

    def at(self, places: Tensor) -> Tensor:
        """The patches [..., D] of places."""
        wide = self.windows.shape[1]
        return self.windows[places // wide, places % wide].flatten(-3)

    def among(
        self, rings: Tensor, known: Tensor, tile: int
    ) -> Callable[[Tensor, float], Tensor]:
        """estimate(x_t, abar) of x0, [B, C, T, T], for tiles in the middle of rings [B, C, S, S],
        of which is known what known says, bool [B, S, S]; abar: alpha_bar of x_t, a float.

        Each call goes on from where the last one found patches. Chance is the same for all tiles,
        so that none depends on the batch that it is in.
        """
        rings, known = rings.cpu(), known.cpu()
        generator, offsets = torch.Generator().manual_seed(0), None
        side = EVERY * (-(-tile // EVERY) + 3)

        def estimate(x_t: Tensor, abar: float) -> Tensor:
            nonlocal offsets
            y, x = moved = torch.randint(EVERY, (2,), generator=generator).tolist()
            abar = max(abar, LEAST)
            canvas = surrounded(x_t.cpu() / abar**0.5, rings, known)
            canvas = canvas[..., y:y + side, x:x + side]

            means, offsets = self.means(canvas, abar, moved, offsets, generator)
            total, weight = overlapped(means, canvas.shape)
            inner = slice(MARGIN - y, MARGIN - y + tile), slice(MARGIN - x, MARGIN - x + tile)
            return (total / weight)[(..., *inner)].to(x_t.device)

        return estimate

    def means(
        self, x: Tensor, abar: float, moved: list[int], offsets: Tensor | None,
        generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The means [B, Q, D] of the photo's patches that are likely under pictures x [B, C, h, w],
        x_t over the root of its alpha_bar, and where those were found.

        moved: where the pictures begin, (y, x). offsets: from patches of the pictures to those of
        the photo, [NEAREST, B, rows, columns, 2], best first, as the last call returned them; None:
        nothing is known. Sides are multiples of EVERY and at least PATCH.
        """
        queries = F.unfold(x, PATCH, stride=EVERY).mT
        rows, columns = ((length - PATCH) // EVERY + 1 for length in x.shape[2:])
        grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
        here = EVERY * grid.view(rows, columns, 2) + torch.tensor(moved)

        # the nearest of many patches, or of those that the neighbours suggest
        places = None if offsets is None else self.candidates(here, offsets, generator)
        which = self.nearest(queries @ self.basis, places)
        wide = self.windows.shape[1]
        found = torch.stack([which // wide, which % wide], -1).movedim(2, 0)
        found = found.view(len(found), len(x), rows, columns, 2)
        return self.mean(queries, which, (1 - abar) / abar), found - here

    def candidates(self, here: Tensor, offsets: Tensor, generator: torch.Generator) -> Tensor:
        """Places [B, Q, N], sorted, at which the patches at here [rows, columns, 2] are looked for:
        those of before, of neighbours, a little beside, and at random."""
        ways = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        best = torch.cat([offsets[:2].roll(way, (2, 3)) for way in ways])
        beside = torch.randint(-2, 3, (4, 1, *here.shape), generator=generator)
        places = here + torch.cat([offsets, best, offsets[:1] + beside])
        places = places.clamp(min=0).minimum(self.places - 1)
        places = places[..., 0] * self.places[1] + places[..., 1]

        pick = torch.randint(len(self.free), (STRAYS, 1, *here.shape[:2]), generator=generator)
        strays = self.free[pick].expand(-1, places.shape[1], -1, -1)
        return torch.cat([places, strays]).flatten(2).permute(1, 2, 0).sort(-1)[0]

    def nearest(self, components: Tensor, places: Tensor | None) -> Tensor:
        """Places of the patches nearest to components [B, Q, COMPONENTS], best first, [B, Q,
        NEAREST]; of places [B, Q, N], sorted, or of some that are the same for all."""
        if places is None:
            likelihood = components @ self.known[self.some].float().T - self.energy[self.some]
            return self.some[likelihood.topk(NEAREST, -1)[1]]

        products = (self.known[places].float() @ components[..., None])[..., 0]
        likelihood = products - self.energy[places]
        likelihood[..., 1:][places[..., 1:] == places[..., :-1]] = -torch.inf  # each but once
        return places.gather(-1, likelihood.topk(NEAREST, -1)[1])

    def mean(self, queries: Tensor, places: Tensor, noise: float) -> Tensor:
        """The mean [B, Q, D] of the patches at places [B, Q, K], weighed by how likely queries
        [B, Q, D] are they under noise of such a variance."""
        patches = self.at(places)
        likelihood = -(queries[:, :, None] - patches).square().sum(-1) / (2 * noise)
        likelihood = likelihood.masked_fill(self.energy[places].isinf(), -torch.inf)
        return (likelihood.softmax(-1)[:, :, None] @ patches)[:, :, 0]


@functools.lru_cache(maxsize=1)  # what a run shows and what it draws is of the same photo
def patches_of(x: Tensor, usable: Tensor) -> Patches | None:
    """The Patches of a photo x [C, H, W] of which is usable what bool [H, W] says, or None if there
    is hardly any whole one."""
    if min(x.shape[1:]) < 2 * PATCH:
        return None
    found = Patches(x, None if usable.all() else usable)
    return found if len(found.free) >= NEAREST else None


def surrounded(x: Tensor, rings: Tensor, known: Tensor) -> Tensor:
    """Tiles x [B, C, T, T] with MARGIN pixels or a little more around them: what is known of rings
    [B, C, S, S], bool [B, S, S], else the tile's mirror image; [B, C, V, V]."""
    tile, halo = x.shape[-1], (rings.shape[-1] - x.shape[-1]) // 2
    line = torch.arange(-MARGIN, EVERY * -(-tile // EVERY) + MARGIN) % (2 * tile)
    line = torch.minimum(line, 2 * tile - 1 - line)
    canvas = x[..., line[:, None], line]

    reach = min(halo, MARGIN)
    near = slice(halo - reach, halo + tile + reach)
    seen = known[:, None, near, near].clone()
    seen[..., reach:reach + tile, reach:reach + tile] = False
    part = canvas[..., MARGIN - reach:MARGIN + tile + reach, MARGIN - reach:MARGIN + tile + reach]
    part[:] = torch.where(seen, rings[..., near, near], part)
    return canvas


def overlapped(patches: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Patches [B, Q, D] laid over each other in pictures of a shape (B, C, h, w), each pixel times
    how near it is to its patch's middle, and the sums of these weights, [2, B, C, h, w]."""
    way = torch.arange(PATCH) - (PATCH - 1) / 2
    weight = torch.exp(-(way[:, None].square() + way.square()) / (2 * (SPREAD * PATCH) ** 2))
    weights = weight.flatten().repeat(shape[1]).expand_as(patches)

    both = torch.cat([patches * weights, weights]).mT
    return F.fold(both, shape[2:], PATCH, stride=EVERY).view(2, *shape)
