"""Finding places of the photo that agree, so that a picture put together from them looks as if it
had been photographed so.

A tile cut at offset p of the photo claims that the gap beside it should look like the surroundings
of p in the photo, and two tiles around a gap agree if their claims look alike. Random tiles would
not: rows of bricks would not meet across a gap. Agreement alone would prefer quiet parts of the
photo, so parts used already cost more, and so do tiles and claims of a colour of which those chosen
so far have too much (the photo's mean is 0; no colour costs anything by itself). A part that is
shown again costs the more, the nearer it is to where it was shown, and a conspicuous one more than
the rest. What would lie beyond the photo's edge is taken from the places that look most like that
edge; the seam between the two is no part of the texture, so tiles are not cut next to it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import conspicuous, guides
from .conspicuous import Spot
from .grids import Grid, Pair
from .guides import Guide

SIDES = {"N": (-1, 0), "W": (0, -1), "E": (0, 1), "S": (1, 0)}  # of a tile: row, column
OPPOSITE = {"N": "S", "W": "E", "E": "W", "S": "N"}
NUDGE = 3  # pixels by which a place may be moved at last, to agree pixel by pixel
CLAIM_SHRINK = 8  # claims are compared on a copy of the photo shrunk so much
PLACE_STEP = 2  # pixels between the places of the photo that are tried for each real tile
ATTEMPTS = 4  # layouts of which the best is taken
CHANCE = 0.03  # added to a place's cost at most; 1 is the disagreement of two unrelated claims
REUSE_COST = 0.4  # of a place once more, right beside where it was used; see conspicuous.strikes
BALANCE_COST = 0.2  # of a colour (normalised units) of which the tiles so far have too much
SPOT_COST = 3.0  # of showing a spot once more, right beside where it was shown
NEGLIGIBLE = 0.1  # of REUSE_COST: what tiles far away add for their distance is left out
GUIDE_COST = 3.0  # at full strength, of what is as far from the guide as two unrelated coarse parts
SHARPNESS = 8  # how quickly one claim takes over from another: distance to the border to this power

Place = tuple[int, int, int]  # of the photo: orientation, y, x
Picture = tuple[int, int, Tensor]  # y, x, planes, see Places.disagreement


def claim_shares(
    side: int, names: Sequence[str] = tuple(SIDES), sharpness: float = SHARPNESS
) -> dict[str, Tensor]:
    """How much each claim counts in a gap, {direction: [side, side]}: it falls with the distance to
    its border."""
    line = -sharpness * (torch.arange(side) + 0.5).log()
    ramps = {
        "N": line[:, None],
        "W": line[None],
        "E": line.flip(0)[None],
        "S": line.flip(0)[:, None],
    }
    shares = torch.stack([ramps[name].expand(side, side) for name in names]).softmax(0)
    return dict(zip(names, shares))


def looked_at(x: Tensor, weights: Tensor | None) -> Tensor:
    """The part of x [C, h, w] that is compared: the channels that count, by their weights [C], so
    that squares are of that weight; all alike where weights is None."""
    if weights is None:
        return x
    counts = weights > 0
    return x[counts] * weights[counts].sqrt()[:, None, None]


class Places:
    """Compares all places of a photo, PLACE_STEP pixels apart, with pictures of what should be
    there and around it.

    x: the photo with a border of one tile, [C, H + 2T, W + 2T]; known: which of its pixels count,
    [1, H + 2T, W + 2T]. Where a is the photo and b the picture and k says whether they are known,
    the disagreement k_a k_b (a - b)^2 + (1 - k_a k_b) unrelated is linear in the planes
    (a, a^2, k_a): summed over a window it is a correlation with a kernel made of b, done by FFT.
    """

    def __init__(self, x: Tensor, known: Tensor, tile: int) -> None:
        self.tile = tile
        blurred = F.avg_pool2d(torch.cat([x * known, known]), CLAIM_SHRINK, stride=1)
        self.planes = F.pad(comparison_planes(blurred), [0, CLAIM_SHRINK - 1] * 2)

        # squared difference of two places
        self.unrelated = 2 * self.planes[:-2, self.planes[-1] > 0].var()

        # how many places there are, and how many of one phase
        sides = [side - 2 * tile for side in x.shape[1:]]
        self.count = [(side - tile) // PLACE_STEP + 1 for side in sides]
        self.grid = [(side - tile) // CLAIM_SHRINK + 1 for side in sides]
        self.size = [count + 3 * (tile // CLAIM_SHRINK) - 1 for count in self.grid]

        # A phase is the copy of the photo shrunk from a start of its own.
        steps = range(0, CLAIM_SHRINK, PLACE_STEP)
        self.phases = len(steps)
        height, width = self.size
        shifted = [self.planes[:, down::CLAIM_SHRINK, right::CLAIM_SHRINK]
                   for down in steps for right in steps]
        phases = torch.stack([planes[:, :height, :width] for planes in shifted])
        self.spectra = torch.fft.rfft2(phases)

    def cut(self, y: int, x: int, side: int) -> Tensor:
        """The planes of the part of x from (y, x), shrunk:
        [C + 2, side / CLAIM_SHRINK, side / CLAIM_SHRINK]."""
        return self.planes[:, y:y + side:CLAIM_SHRINK, x:x + side:CLAIM_SHRINK]

    def disagreement(self, pictures: Iterable[Picture]) -> Tensor:
        """Disagreement of each place with pictures [(y, x, planes)] over that of unrelated places,
        [places].

        y, x: where each begins, in pixels from the place's upper left neighbour; planes
        [C + 2, h, w].
        """
        # the pictures as a kernel
        kernel = torch.zeros(len(self.planes), *self.size)
        channels, area = len(kernel) - 2, 1e-9
        for y, x, planes in pictures:
            picture, squares, known = planes[:-2], planes[-2:-1], planes[-1:]
            here = kernel[:, y // CLAIM_SHRINK:, x // CLAIM_SHRINK:]
            here = here[:, :planes.shape[1], :planes.shape[2]]
            here += torch.cat([-2 * picture, known, squares - self.unrelated * channels * known])
            area += channels * known[0].sum()

        # its correlation with each phase, put in the order of the places
        spectrum = (self.spectra * torch.fft.rfft2(kernel).conj()).sum(1)
        total = torch.fft.irfft2(spectrum, s=self.size)
        total = total[:, :self.grid[0], :self.grid[1]]
        total = total.reshape(self.phases, self.phases, *self.grid).permute(2, 0, 3, 1)
        total = total.reshape(*(count * self.phases for count in self.grid))

        total = total[:self.count[0], :self.count[1]]
        return total / (area * self.unrelated) + (area >= 1)

    def mean_colours(self, y: int, x: int, shares: Tensor) -> Tensor:
        """Mean of the picture at (y, x) from each place's upper left neighbour by shares [h, w],
        [C, places]."""
        picture = self.planes[:-2, None, y:, x:]
        kernel = shares[None, None] / shares.numel()
        means = F.conv2d(picture, kernel, stride=PLACE_STEP, dilation=CLAIM_SHRINK)
        return means[:, 0, :self.count[0], :self.count[1]]


def comparison_planes(shrunk: Tensor) -> Tensor:
    """The planes that are compared, [C + 2, h, w]: the picture, the sum of its squares and whether
    it is known, all 0 where it is not. shrunk: [C + 1, h, w], pictures and the share of each pixel
    that is known."""
    known = (shrunk[-1:] > 0.999).to(shrunk.dtype)
    x = shrunk[:-1] * known
    return torch.cat([x, (x**2).sum(0, keepdim=True), known])


def extend_photo(
    x: Tensor, tile: int, offsets: Sequence[Sequence[int]], weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The photo x [C, H, W] with a border of one tile, [C, H + 2T, W + 2T], and the rows and
    columns of the photo that all its pixels are from, int64 [2, H + 2T, W + 2T].

    It is continued piece by piece with those parts of itself that look most alike around the piece
    (exemplar-based filling, Criminisi et al. 2004, without its order).

    offsets: where the pieces along the left and the upper edge begin, two lists; the corners come
    last. weights: how much each channel counts, [C], None: all alike.
    """
    out, known = F.pad(x, [tile] * 4), F.pad(torch.ones_like(x[:1]), [tile] * 4)
    height, width = x.shape[1:]
    rows_and_columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places_of_photo = torch.stack(rows_and_columns)
    found = F.pad(places_of_photo, [tile] * 4)
    places, margin = Places(looked_at(out, weights), known, tile), max(CLAIM_SHRINK, tile // 4)

    # the upper left corners of the pieces
    inside_y, inside_x = ([tile + at for at in line] for line in offsets)
    outside_y, outside_x = ([0, tile + side] for side in x.shape[1:])
    edges = [*product(outside_y, inside_x), *((y, x) for x, y in product(outside_x, inside_y))]

    for top, left in [*edges, *product(outside_y, outside_x)]:
        # the place most like what is known around the piece
        window = F.pad(torch.cat([looked_at(out, weights) * known, known]), [margin] * 4)
        window = window[:, top:top + tile + 2 * margin, left:left + tile + 2 * margin]
        around = comparison_planes(F.avg_pool2d(window, CLAIM_SHRINK))
        cost = places.disagreement([(tile - margin, tile - margin, around)])
        row, column = divmod(int(cost.argmin()), cost.shape[1])

        y, x0 = row * PLACE_STEP, column * PLACE_STEP
        here = (slice(None), slice(top, top + tile), slice(left, left + tile))
        for filled, own in ((out, x), (found, places_of_photo)):
            piece = own[:, y:y + tile, x0:x0 + tile]
            filled[here] = torch.where(known[here] > 0, filled[here], piece)
        known[here] = 1

    return out, found


def match_tiles(
    extended: Sequence[Tensor],
    grid: Grid,
    cells: Sequence[Pair],
    rng: np.random.Generator,
    weights: Tensor | None = None,
    spots: Sequence[Sequence[Spot]] | None = None,
    hidden: Sequence[Tensor | None] | None = None,
    guide: Guide | None = None,
    alike: Mapping[Pair, Sequence[Pair]] | None = None,
) -> list[Place]:
    """Places (orientation, y, x) of real tiles for cells that agree, in the extended photo's
    orientations [C, H + 2T, W + 2T]: the best of ATTEMPTS, judged by squares, since one fault where
    two fields of bricks meet is worse than many small differences.

    weights: as in extend_photo. spots: what is conspicuous in each orientation, the same ones in
    the same order, lists of conspicuous.Spot; None: nothing. hidden: of each orientation what no
    tile may hold, bool [H, W], or None. guide: a guides.Guide, or None. alike: as in
    best_of_attempts.
    """
    candidates = candidates_of(extended, grid.tile, weights, spots, hidden, guide)

    def start() -> Matcher:
        return Matcher(grid, [each.fresh() for each in candidates], guide, weights)

    return best_of_attempts(start, cells, rng, alike)


def best_of_attempts(
    start: Callable[[], Matcher],
    cells: Sequence[Pair],
    rng: np.random.Generator,
    alike: Mapping[Pair, Sequence[Pair]] | None = None,
) -> list[Place]:
    """Places of cells as Matchers choose them, the best of ATTEMPTS.

    start(): a Matcher, new each time. alike: {cell: all cells that get its tile}, in the order of
    choosing, more attempts the fewer these are; None: each its own.
    """
    attempts, alike = [], alike or {cell: [cell] for cell in cells}
    for _ in range(max(1, ATTEMPTS * len(cells) // max(1, len(alike)))):
        matcher, chosen = start(), {}
        for cell, same in alike.items():
            chosen.update(dict.fromkeys(same, matcher.choose(cell, rng, same)))
        cost = sum(cost**2 for cost in matcher.costs)
        attempts.append((cost, [chosen[cell] for cell in cells]))
    best = dict(zip(cells, min(attempts)[1]))

    # at last each is moved to where it agrees pixel by pixel with those before it
    matcher = start()
    for cell, same in alike.items():
        place = matcher.moved(cell, best[cell])
        for there in same:
            best[there] = place
            matcher.note(there, place, 1 / len(same))

    return [best[cell] for cell in cells]


def candidates_of(
    extended: Sequence[Tensor],
    tile: int,
    weights: Tensor | None = None,
    spots: Sequence[Sequence[Spot]] | None = None,
    hidden: Sequence[Tensor | None] | None = None,
    guide: Guide | None = None,
) -> list[Candidates]:
    """The Candidates of each orientation of the extended photo, as match_tiles has them."""
    looked = [looked_at(x, weights) for x in extended]
    places = [places_of(x, tile) for x in looked]
    spots = spots or [()] * len(extended)
    hidden = hidden or [None] * len(extended)
    low = [guide and places_of(looked_at(guides.coarse(x, tile), weights), tile) for x in extended]
    return [Candidates(*parts) for parts in zip(places, looked, spots, hidden, low)]


def places_of(x: Tensor, tile: int) -> Places:
    """The Places of a photo x with a border of one tile, [C, H + 2T, W + 2T], all of whose pixels
    count."""
    return Places(x, torch.ones_like(x[:1]), tile)


class Candidates:
    """The places of the extended photo [C, H + 2T, W + 2T] in one orientation, and those taken.

    spots: what is conspicuous; hidden: what no tile may hold, bool [H, W], or None; coarse: the
    Places of the photo's coarse part, where there is a guide.
    """

    def __init__(
        self,
        places: Places,
        extended: Tensor,
        spots: Sequence[Spot] = (),
        hidden: Tensor | None = None,
        coarse: Places | None = None,
    ) -> None:
        self.places, self.coarse, tile = places, coarse, places.tile
        self.x, self.spots = extended, spots
        self.shows = conspicuous.shares_shown(spots, places.count, PLACE_STEP, tile)
        size = [side - 2 * tile for side in extended.shape[1:]]
        self.used = torch.zeros(size, dtype=torch.float64)  # by pixel
        self.taken: list[Pair] = []  # (y, x) of the places that were taken
        self.cells: list[tuple[float, float]] = []  # the middles (y, x) of the cells they are in

        # places too near the photo's edge, if it is large
        self.edge = torch.ones(places.count, dtype=torch.bool)
        down, right = (min(tile // 8, (side - tile) // 4) // PLACE_STEP
                       for side in self.used.shape)
        self.edge[down:places.count[0] - down, right:places.count[1] - right] = False
        if hidden is not None:
            taken = box_means(hidden.double(), tile, PLACE_STEP) > 1e-9
            self.edge = taken if (self.edge | taken).all() else self.edge | taken

        # what each would add, [2C, places]; sketches matter more
        shares = claim_shares(tile // CLAIM_SHRINK)  # a claim counts most where it touches its tile
        own = places.mean_colours(tile, tile, torch.ones_like(shares["N"]))
        claims: Tensor = sum(  # pyright: ignore[reportAssignmentType]: there are four
            places.mean_colours((1 + down) * tile, (1 + right) * tile, shares[OPPOSITE[name]])
            for name, (down, right) in SIDES.items())
        self.colours = torch.cat([own / 2, claims])

    def part(self, corner: Sequence[int], side: int) -> Tensor:
        """A square of the extended photo at a corner (y, x)."""
        (y, x), (height, width) = corner, self.x.shape[1:]
        ys, xs = (torch.arange(at, at + side).clamp(0, most - 1)
                  for at, most in ((y, height), (x, width)))
        return self.x[:, ys[:, None], xs]

    def free(self, ys: Tensor, xs: Tensor) -> Tensor:
        """Which places may be taken, bool [len(ys), len(xs)]: those between places that may, of all
        that are tried."""
        height, width = self.edge.shape
        edge = F.pad(self.edge[None, None].float(), [1] * 4, value=1.0)[0, 0] > 0
        good = torch.ones(len(ys), len(xs), dtype=torch.bool)

        for up in (0, PLACE_STEP - 1):
            for left in (0, PLACE_STEP - 1):
                rows = ((ys + up) // PLACE_STEP).clamp(-1, height) + 1
                columns = ((xs + left) // PLACE_STEP).clamp(-1, width) + 1
                good &= ~edge[rows[:, None], columns]
        return good

    def fresh(self) -> Candidates:
        """Candidates with these places, of which none was taken."""
        twin = copy.copy(self)
        twin.used, twin.taken, twin.cells = torch.zeros_like(self.used), [], []
        return twin


class Matcher:
    """Chooses real tiles one after the other, each to agree with those around it."""

    def __init__(
        self,
        grid: Grid,
        candidates: Sequence[Candidates],
        guide: Guide | None = None,
        weights: Tensor | None = None,
    ) -> None:
        self.grid, self.candidates, self.guide, self.weights = grid, candidates, guide, weights

        # what the tiles chosen so far have added
        self.surplus = torch.zeros(len(candidates[0].colours), 1, 1)
        # (gap, direction of the gap seen from the tile) -> the claim in it
        self.claims: dict[tuple[Pair, str], Place] = {}
        # disagreement of each tile when it was chosen
        self.costs: list[float] = []
        # where in the texture each spot was shown, [(y, x)]
        self.seen: list[list[tuple[float, float]]] = [[] for _ in candidates[0].spots]

    def choose(self, cell: Pair, rng: np.random.Generator, same: Sequence[Pair]) -> Place:
        """The place (orientation, y, x) of the real tile for a grid cell and all others that show
        it, `same`, which is noted as taken."""
        place = self.find(cell, self.claims_around(cell), rng, len(same))
        for there in same:
            self.note(there, place, 1 / len(same))
        return place

    def find(
        self, cell: Pair, claims: Sequence[Picture], rng: np.random.Generator, times: int = 1
    ) -> Place:
        """The place (orientation, y, x) that costs least in a cell where there are such claims, as
        Places.disagreement has them, if it is shown so many times."""
        maps = [self.costs_of(candidates, cell, claims, rng, times)
                for candidates in self.candidates]
        orientation = min(range(len(maps)), key=lambda k: float(maps[k][0].min()))
        cost, disagreement = maps[orientation]

        row, column = divmod(int(cost.argmin()), cost.shape[1])
        self.costs.append(float(disagreement[row, column]))
        return orientation, row * PLACE_STEP, column * PLACE_STEP

    def moved(self, cell: Pair, place: Place) -> Place:
        """A place (orientation, y, x) moved by at most NUDGE pixels to where it agrees best, pixel
        by pixel, with what is claimed of the gaps around a cell."""
        (orientation, y, x), tile = place, self.grid.tile
        chosen = self.candidates[orientation]
        costs = []
        for gap, by in self.gaps(cell).values():
            start = y + tile + by[0] - NUDGE, x + tile + by[1] - NUDGE
            window = chosen.part(start, tile + 2 * NUDGE)[None]
            claims = [self.claims[gap, name] for name in SIDES if (gap, name) in self.claims]
            for other, *corner in claims:
                # squared differences, but for what is the same wherever the place is moved
                claim = self.candidates[other].part(corner, tile)[None]
                squares = F.conv2d(window.square(), torch.ones_like(claim))
                costs.append(squares - 2 * F.conv2d(window, claim))
        if not costs:
            return place

        ys, xs = torch.arange(-NUDGE, NUDGE + 1) + y, torch.arange(-NUDGE, NUDGE + 1) + x
        total: Tensor = sum(costs)  # pyright: ignore[reportAssignmentType]: one at least
        cost = total[0, 0].masked_fill(~chosen.free(ys, xs), math.inf)
        row, column = divmod(int(cost.argmin()), len(xs))
        return orientation, int(ys[row]), int(xs[column])

    def gaps(self, cell: Pair) -> dict[str, tuple[Pair, Pair]]:
        """The gaps beside a real tile: {direction: (gap, (pixels down, pixels to the right))}."""
        return {name: there for name, there in self.grid.around(cell).items() if name in SIDES}

    def claims_around(self, cell: Pair) -> list[Picture]:
        """The claims of the tiles chosen so far on the gaps beside a cell, for Places.disagreement.
        """
        return [self.claim_on(gap, by, name)
                for gap, by in self.gaps(cell).values()
                for name in SIDES if (gap, name) in self.claims]

    def note(self, cell: Pair, place: Place, share: float = 1.0) -> None:
        """Note that a place (orientation, y, x) was taken for a cell: what it claims and shows, and
        a share of its colours."""
        (orientation, y, x), tile = place, self.grid.tile
        chosen, row, column = self.candidates[orientation], y // PLACE_STEP, x // PLACE_STEP

        own = share * (1 - self.asked_of(cell))
        self.surplus += own * chosen.colours[:, row, column, None, None]
        self.take(cell, chosen, row, column)
        for name, (gap, (down, right)) in self.gaps(cell).items():
            self.claims[gap, name] = orientation, y + tile + down, x + tile + right

    def claim_on(self, gap: Pair, by: Pair, name: str) -> Picture:
        """The claim of a tile on a gap that it sees in the direction `name`, for
        Places.disagreement; the gap lies `by` pixels from the tile to be chosen.

        Places know only multiples of CLAIM_SHRINK pixels: the claim is moved by what is left.
        """
        orientation, *corner = self.claims[gap, name]
        down, right = (self.grid.tile + pixels for pixels in by)
        y, x = (max(0, at - pixels % CLAIM_SHRINK) for at, pixels in zip(corner, (down, right)))
        return down, right, self.candidates[orientation].places.cut(y, x, self.grid.tile)

    def middle(self, cell: Pair) -> tuple[float, float]:
        """Where the middle of a cell lies in the texture, (y, x)."""
        y, x = (line[k] + self.grid.tile / 2 for line, k in zip(self.grid.lines, cell))
        return y, x

    def strikes(self, places: Sequence[tuple[float, float]], cell: Pair) -> np.ndarray:
        """conspicuous.strikes() for places [(y, x)] of the texture, seen from a cell."""
        return conspicuous.strikes(places, self.middle(cell), self.grid.size, self.grid.wraps)

    def take(self, cell: Pair, chosen: Candidates, row: int, column: int) -> None:
        """Note that one of the candidates' places was taken for a cell, and where spots are seen in
        it."""
        y, x, tile = row * PLACE_STEP, column * PLACE_STEP, self.grid.tile
        chosen.used[y:y + tile, x:x + tile] += conspicuous.FAR
        chosen.taken.append((y, x))
        chosen.cells.append(self.middle(cell))

        top, left = (line[at] for line, at in zip(self.grid.lines, cell))
        shares = chosen.shows[0][:, row] * chosen.shows[1][:, column]
        for k in (shares > 0.5).nonzero().ravel().tolist():
            spot = chosen.spots[k]
            half = spot.side / 2
            self.seen[k].append((top + spot.y + half - y, left + spot.x + half - x))

    def reuse(self, candidates: Candidates, cell: Pair) -> Tensor:
        """What it costs to take each place for a cell again, [places]."""
        used, tile = candidates.used.clone(), self.grid.tile
        near = self.strikes(candidates.cells, cell) - conspicuous.FAR
        for k in (near > NEGLIGIBLE).nonzero()[0]:
            y, x = candidates.taken[k]
            used[y:y + tile, x:x + tile] += near[k]
        return REUSE_COST * box_means(used, tile, PLACE_STEP)

    def again(self, candidates: Candidates, cell: Pair, times: int = 1) -> Tensor:
        """What it costs that places show spots in a cell that were shown before, or will be so many
        times, [places]."""
        costs = []
        for spot, places in zip(candidates.spots, self.seen):
            strikes = self.strikes(places, cell).sum() + (times - 1) * conspicuous.FAR
            costs.append(SPOT_COST * spot.weight() * strikes)

        down, right = candidates.shows
        return (torch.tensor(costs, dtype=torch.float32)[:, None] * down).T @ right

    def drift(self, candidates: Candidates, cell: Pair) -> Tensor:
        """What it costs that places lead the whole astray, [places]: their colours add to those of
        which there is too much."""
        return BALANCE_COST * (self.surplus * candidates.colours).sum(0)

    def asked_of(self, cell: Pair) -> float:
        """How far a cell shows what a guide asks for that has no say elsewhere, 0 to 1: nothing has
        to balance that."""
        if self.guide is None or self.guide.wish is None:
            return 0.0
        return self.guide.strength * self.wanted_in(self.guide, cell)[1]

    def wanted_in(self, guide: Guide, cell: Pair) -> tuple[list[Picture], float]:
        """The picture that a guide wants in a cell, for Places.disagreement, and in how much of it,
        0 to 1."""
        tile = self.grid.tile
        y, x = (line[k] for line, k in zip(self.grid.lines, cell))
        wanted, where = looked_at(guide.cut(y, x, tile), self.weights), guide.where(y, x, tile)
        planes = comparison_planes(torch.cat([wanted, torch.ones_like(where)])) * where
        return [(tile, tile, planes)], float(where.mean())

    def costs_of(
        self,
        candidates: Candidates,
        cell: Pair,
        claims: Sequence[Picture],
        rng: np.random.Generator,
        times: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """The cost of each place in a cell, if it is shown so many times, and the disagreement in
        it, both [places]."""
        # where places agree well, it matters more that nothing is shown again
        disagreement = candidates.places.disagreement(claims)
        least = disagreement[~candidates.edge].min() if claims else 1
        cost = disagreement + min(1, max(0, float(least))) * self.reuse(candidates, cell)
        cost += self.again(candidates, cell, times)

        drift = self.drift(candidates, cell)
        if self.guide is None or candidates.coarse is None:
            cost += drift
        else:
            wanted, share = self.wanted_in(self.guide, cell)
            far = GUIDE_COST * candidates.coarse.disagreement(wanted)
            cost += torch.lerp(drift, far, self.guide.strength * share)

        cost += CHANCE * torch.from_numpy(rng.random(cost.shape, np.float32))
        return cost.masked_fill(candidates.edge, math.inf), disagreement


def box_means(values: Tensor, side: int, step: int) -> Tensor:
    """Means of values [H, W] over squares of a side, those squares a step apart."""
    total = F.pad(values, (1, 0, 1, 0)).cumsum(0).cumsum(1)
    low, high = slice(None, -side, step), slice(side, None, step)
    return (total[high, high] - total[low, high] - total[high, low] + total[low, low]) / side**2
