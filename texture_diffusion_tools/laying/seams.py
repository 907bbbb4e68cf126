"""Where pieces of the photo meet, and whether that is seen: what is seen has to be drawn.

Each pixel of a picture that is put together from a photo knows its origin: which orientation of the
photo, and the row and the column there. Where two neighbouring pixels are no neighbours in the
photo, two pieces meet. That is seen where the photo has nothing like it: the distance of a small
patch of the picture to the nearest one of the photo is compared with the distances of the photo's
own patches to the nearest other one. This is done at two scales, so that half a stone of another
colour is seen as well as a broken line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 7  # px of a patch
SHRINKS = 1, 2  # the scales at which patches are compared
MARGIN = 8  # px around a picture that its patches reach to
KEYS = 20_000  # patches of the photo
DIMENSIONS = 16  # what is compared of each
OWN = 300  # by how many of its own a photo is judged
EVERY = 3  # of so many joints one is looked at
TOGETHER = 9  # px: what is strange is so in the mean of the joints in a square of that side
USUAL, STRANGE = 0.5, 0.9  # shares of the photo's own patches that are nearer to others
LEAST = 0.75  # of the part that is drawn where something is strange, however little
REACH = 14  # px around that are drawn, too, less and less
CHANGED = 0.5  # deviations by which a guide changes what is then drawn as a whole
AT_ONCE = 256  # patches compared with all at a time

# The borders of a bordered() picture, and where what they show lies in the pictures beside it.
BESIDE = {
    "N": np.s_[:, :MARGIN, MARGIN:-MARGIN],
    "S": np.s_[:, -MARGIN:, MARGIN:-MARGIN],
    "W": np.s_[:, MARGIN:-MARGIN, :MARGIN],
    "E": np.s_[:, MARGIN:-MARGIN, -MARGIN:],
}
NEXT = {
    "N": np.s_[:, :MARGIN],
    "S": np.s_[:, -MARGIN:],
    "W": np.s_[:, :, :MARGIN],
    "E": np.s_[:, :, -MARGIN:],
}


def own_places(height: int, width: int) -> Tensor:
    """The row and the column of each pixel of a photo, int64 [2, H, W]."""
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))


def turned_origins(
    places: Tensor, size: tuple[int, int], number: int, turns: int, mirrored: bool
) -> Tensor:
    """The origins of a picture, int32 [3, h, w], in an orientation of a number: its rows and
    columns in the photo after quarter turns, then mirrored left to right. places: [2, h, w] in the
    photo of a size (H, W)."""
    (y, x), (height, width) = places, size
    for _ in range(turns):
        y, x, height, width = width - 1 - x, y, width, height
    x = width - 1 - x if mirrored else x

    # the picture itself is turned as well
    found = torch.stack([torch.full_like(y, number), y, x]).int()
    found = torch.rot90(found, turns, (1, 2))
    return (found.flip(-1) if mirrored else found).contiguous()


def bordered(x: Tensor, around: Mapping[str, Tensor]) -> Tensor:
    """A picture x [C, T, T] with MARGIN pixels of those beside it, [C, T + 2 MARGIN, T + 2 MARGIN],
    zero where there is none. around: {direction: the picture MARGIN pixels further in that
    direction, [C, T, T]}."""
    out = F.pad(x, [MARGIN] * 4)
    for name, beside in around.items():
        out[BESIDE[name]] = beside[NEXT[name]]
    return out


def joints_of(origins: Tensor, known: Tensor) -> Tensor:
    """Where pieces meet, bool [h, w], on both sides, of a picture with origins [3, h, w] that is
    known, bool [h, w]."""
    found = torch.zeros_like(known)
    for axis in (1, 2):
        # each pixel, and its neighbour below or to the right
        count = origins.shape[axis] - 1
        one, other = (origins.narrow(axis, k, count) for k in (0, 1))
        here, there = (known.narrow(axis - 1, k, count) for k in (0, 1))

        step = torch.tensor([0, axis == 1, axis == 2], dtype=origins.dtype)[:, None, None]
        broken = (one + step != other).any(0) & here & there
        for k in (0, 1):
            found.narrow(axis - 1, k, count).logical_or_(broken)
    return found


class Patches:
    """The patches of a photo at one scale, by their principal components, and how far they are
    apart.

    pictures: [C, H, W] of the photo in each orientation.
    """

    def __init__(self, pictures: Sequence[Tensor], seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        parts = [some_patches(x, KEYS // len(pictures), generator) for x in pictures]
        origins = [F.pad(places, (1, 0), value=k) for k, (_, places) in enumerate(parts)]
        self.origins = torch.cat(origins).int()

        # by their principal components
        patches = torch.cat([patch for patch, _ in parts])
        self.mean = patches.mean(0)
        centred = patches - self.mean
        _, axes = torch.linalg.eigh(centred.T @ centred)
        self.axes = axes[:, -DIMENSIONS:]
        self.keys = centred @ self.axes
        self.squares = self.keys.square().sum(1)

        own = self.own_distances(pictures[0], generator)
        self.usual, self.strange = (float(own.quantile(share)) for share in (USUAL, STRANGE))

    def own_distances(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """How far places of the photo x [C, H, W] are from the most similar others, [N], each the
        mean of five patches as joints are looked at."""
        _, places = some_patches(x, OWN, generator)
        most = torch.tensor(x.shape[1:]) - SIDE
        ways = torch.tensor([(0, 0), (0, EVERY), (EVERY, 0), (0, -EVERY), (-EVERY, 0)])
        places = torch.minimum((places[:, None] + ways).clamp(min=0), most).flatten(0, 1)
        return self.distances(patches_at(x, places), places).view(-1, len(ways)).mean(1)

    def distances(self, patches: Tensor, places: Tensor | None = None) -> Tensor:
        """How far patches [N, D] are from the nearest one of the photo, [N]. places: where they lie
        in the photo, [N, 2], if they are its own: what overlaps them does not count."""
        found = []
        for first in range(0, len(patches), AT_ONCE):
            # squared distances, but for the patches' own squares, which are added at last
            some = (patches[first:first + AT_ONCE] - self.mean) @ self.axes
            squares = torch.addmm(self.squares, some, self.keys.T, alpha=-2)

            if places is not None:
                own = self.origins[:, 0] == 0
                for axis in (0, 1):
                    at = places[first:first + AT_ONCE, axis, None]
                    own = own & ((at - self.origins[:, 1 + axis]).abs() < SIDE)
                squares[own] = torch.inf

            found.append(squares.amin(1) + some.square().sum(1))
        return torch.cat(found).clamp(min=0).sqrt()


def some_patches(x: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most count patches of x [C, H, W] at random places, [N, C SIDE SIDE], and the places,
    [N, 2]."""
    height, width = (side - SIDE + 1 for side in x.shape[1:])
    picked = torch.randperm(height * width, generator=generator)[:count]
    places = torch.stack([picked // width, picked % width], 1)
    return patches_at(x, places), places


def patches_at(x: Tensor, places: Tensor) -> Tensor:
    """Patches of x [C, H, W] at places [N, 2], [N, C SIDE SIDE]."""
    span = torch.arange(SIDE)
    rows, columns = places[:, 0, None] + span, places[:, 1, None] + span
    return x[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1).flatten(1)


class Judge:
    """Sees where a picture that is put together from a photo, [C, H, W] in each orientation, is
    like nothing in it."""

    def __init__(self, pictures: Sequence[Tensor]) -> None:
        self.scales = [Patches([shrunk(x, shrink) for x in pictures]) for shrink in SHRINKS]

    def strangeness(self, x: Tensor, places: Tensor) -> Tensor:
        """How strange x [C, h, w] is around places [N, 2], at least MARGIN pixels from its edges,
        [N]: 0 as what the photo has, 1 as far beyond that as it is from the usual."""
        found, together = [], square_means(places, x.shape[1:])
        for shrink, patches in zip(SHRINKS, self.scales):
            corners = places // shrink - SIDE // 2
            distances = patches.distances(patches_at(shrunk(x, shrink), corners))
            beyond = together(distances) - patches.strange
            found.append(beyond / max(patches.strange - patches.usual, 1e-6))
        return torch.stack(found).amax(0)

    def parts_to_draw(self, x: Tensor, origins: Tensor, known: Tensor) -> Tensor:
        """Which parts of a picture x [C, h, w] with origins [3, h, w] have to be drawn, [1, h, w]
        from 0 to 1. known, bool [h, w]: all but what is not there."""
        # joints whose patches are known as a whole, some of them
        whole = F.avg_pool2d(known[None].float(), 2 * MARGIN + 1, 1, MARGIN)[0] > 1 - 1e-6
        joints = (joints_of(origins, known) & whole).nonzero()
        joints = joints[joints.sum(1) % EVERY == 0]

        parts = torch.zeros(1, *known.shape)
        if len(joints):
            strange = self.strangeness(x, joints)
            drawn = torch.where(strange > 0, (LEAST + strange).clamp(max=1), 0)
            parts[0, joints[:, 0], joints[:, 1]] = drawn
        return spread(parts)


def square_means(places: Tensor, size: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """A function that takes values [N] at places [N, 2] of a picture of a size (h, w) to their
    means in the square TOGETHER around each, [N]."""
    def summed(values: Tensor) -> Tensor:
        x = torch.zeros(1, *size)
        x[0, places[:, 0], places[:, 1]] = values
        return F.avg_pool2d(x, TOGETHER, 1, TOGETHER // 2)[0, places[:, 0], places[:, 1]]

    counts = summed(torch.ones(len(places)))
    return lambda values: summed(values) / counts


def shrunk(x: Tensor, shrink: int) -> Tensor:
    """x [C, h, w] shrunk so many times."""
    return F.avg_pool2d(x, shrink) if shrink > 1 else x


def spread(parts: Tensor) -> Tensor:
    """Values [1, h, w] that fall by 1 in REACH pixels from where they are: the largest of all."""
    out = parts
    for _ in range(REACH if parts.any() else 0):
        out = torch.maximum(out, F.max_pool2d(out, 3, 1, 1) - 1 / REACH)
    return out


def part_of_change(x: Tensor) -> Tensor:
    """Which parts have to be drawn where a picture is changed by x [C, h, w], [1, h, w]."""
    return (x.square().mean(0, keepdim=True).sqrt() / CHANGED).clamp(0, 1)
