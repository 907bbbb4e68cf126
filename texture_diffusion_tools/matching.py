"""Finding places of the photo that agree, so that what is put together from them could have been photographed so.

A tile cut at offset p of the photo claims what the gap beside it should look like, namely what lies beside p in the
photo, and two tiles around a gap agree if their claims look alike. Random tiles would not: rows of bricks would not
meet across a gap. Agreement alone would prefer quiet parts of the photo, so parts used already cost more, and so do
tiles and claims of a colour of which those chosen so far have too much (the photo's mean is 0; no colour costs
anything by itself). What is shown again costs the more, the nearer it is to where it was shown, and what is conspicuous
more than the rest. What would lie beyond the photo's edge is taken from the places that look most like that edge;
the seam between the two is no part of the texture, so tiles are not cut next to it.
"""

import copy
import math
from itertools import product

import numpy as np
import torch
from torch.nn import functional as F

from . import conspicuous, guides

SIDES = {"N": (-1, 0), "W": (0, -1), "E": (0, 1), "S": (1, 0)}  # of a tile: row, column
OPPOSITE = {"N": "S", "W": "E", "E": "W", "S": "N"}
NUDGE = 3  # pixels by which a place may be moved at last, to agree pixel by pixel
CLAIM_SHRINK = 8  # claims are compared on a copy of the photo shrunk so much
PLACE_STEP = 2  # pixels between the places of the photo that are tried for each real tile
ATTEMPTS = 4  # layouts of which the best is taken
CHANCE = 0.03  # what chance adds to the cost of a place at most; 1 is the disagreement of two unrelated claims
REUSE_COST = 0.4  # of using a place once more, right beside where it was used; see conspicuous.strikes
BALANCE_COST = 0.2  # of a colour (normalised units) that adds to what the tiles chosen so far have too much of
SPOT_COST = 3.0  # of showing a spot once more, right beside where it was shown
NEGLIGIBLE = 0.1  # of REUSE_COST: what tiles far away add for their distance is left out
GUIDE_COST = 3.0  # of what is as far from the guide as two unrelated coarse parts are, at full strength
SHARPNESS = 8  # how quickly one claim takes over from another: distance to the border to this power


def claim_shares(side, names=tuple(SIDES), sharpness=SHARPNESS):
    """How much each claim counts in a gap, {direction: [side, side]}: it falls with the distance to its border."""
    line = -sharpness * (torch.arange(side) + 0.5).log()
    ramps = {"N": line[:, None], "W": line[None], "E": line.flip(0)[None], "S": line.flip(0)[:, None]}
    shares = torch.stack([ramps[name].expand(side, side) for name in names]).softmax(0)
    return dict(zip(names, shares))


def looked_at(x, weights):
    """What is compared of x [C, h, w]: the channels that count, weights [C], so that squares are of that weight; all
    alike where weights is None."""
    return x if weights is None else x[weights > 0] * weights[weights > 0].sqrt()[:, None, None]


class Places:
    """Compares all places of a photo, PLACE_STEP pixels apart, with pictures of what should be there and around it.

    x: the photo with a border of one tile, [C, H + 2T, W + 2T]; known: which of its pixels count, [1, H + 2T, W + 2T].
    Where a is the photo and b the picture and k says whether they are known, the disagreement
    k_a k_b (a - b)^2 + (1 - k_a k_b) unrelated is linear in the planes (a, a^2, k_a): summed over a
    window it is a correlation with a kernel made of b, done by FFT.
    """

    def __init__(self, x, known, tile):
        self.tile = tile
        blurred = F.avg_pool2d(torch.cat([x * known, known]), CLAIM_SHRINK, stride=1)
        self.planes = F.pad(comparison_planes(blurred), [0, CLAIM_SHRINK - 1] * 2)
        self.unrelated = 2 * self.planes[:-2, self.planes[-1] > 0].var()  # squared difference of two places
        sides = [side - 2 * tile for side in x.shape[1:]]
        self.count = [(side - tile) // PLACE_STEP + 1 for side in sides]
        self.grid = [(side - tile) // CLAIM_SHRINK + 1 for side in sides]  # places of one phase
        self.size = [count + 3 * (tile // CLAIM_SHRINK) - 1 for count in self.grid]
        steps = range(0, CLAIM_SHRINK, PLACE_STEP)
        self.phases = len(steps)
        height, width = self.size
        shifted = [self.planes[:, down::CLAIM_SHRINK, right::CLAIM_SHRINK] for down in steps for right in steps]
        self.spectra = torch.fft.rfft2(torch.stack([planes[:, :height, :width] for planes in shifted]))

    def cut(self, y, x, side):
        """The planes of the part of x from (y, x), shrunk: [C + 2, side / CLAIM_SHRINK, side / CLAIM_SHRINK]."""
        return self.planes[:, y:y + side:CLAIM_SHRINK, x:x + side:CLAIM_SHRINK]

    def disagreement(self, pictures):
        """Disagreement of each place with pictures [(y, x, planes)] over that of unrelated places, [places].

        y, x: where each begins, in pixels from the place's upper left neighbour; planes [C + 2, h, w].
        """
        kernel = torch.zeros(len(self.planes), *self.size)
        channels, area = len(kernel) - 2, 1e-9
        for y, x, planes in pictures:
            picture, squares, known = planes[:-2], planes[-2:-1], planes[-1:]
            here = kernel[:, y // CLAIM_SHRINK:, x // CLAIM_SHRINK:][:, :planes.shape[1], :planes.shape[2]]
            here += torch.cat([-2 * picture, known, squares - self.unrelated * channels * known])
            area += channels * known[0].sum()
        total = torch.fft.irfft2((self.spectra * torch.fft.rfft2(kernel).conj()).sum(1), s=self.size)
        total = total[:, :self.grid[0], :self.grid[1]].reshape(self.phases, self.phases, *self.grid)
        total = total.permute(2, 0, 3, 1).reshape(*(count * self.phases for count in self.grid))
        return total[:self.count[0], :self.count[1]] / (area * self.unrelated) + (area >= 1)

    def mean_colours(self, y, x, shares):
        """Mean of the picture at (y, x) from each place's upper left neighbour by shares [h, w], [C, places]."""
        picture = self.planes[:-2, None, y:, x:]
        means = F.conv2d(picture, shares[None, None] / shares.numel(), stride=PLACE_STEP, dilation=CLAIM_SHRINK)
        return means[:, 0, :self.count[0], :self.count[1]]


def comparison_planes(shrunk):
    """What is compared: shrunk pictures and what share of each pixel is known [C + 1, h, w] to [C + 2, h, w], the
    picture, the sum of its squares and whether it is known, all 0 where it is not."""
    known = (shrunk[-1:] > 0.999).to(shrunk.dtype)
    x = shrunk[:-1] * known
    return torch.cat([x, (x**2).sum(0, keepdim=True), known])


def extend_photo(x, tile, offsets, weights=None):
    """The photo x [C, H, W] with a border of one tile, [C, H + 2T, W + 2T], continued piece by piece with those parts
    of itself that look most alike around the piece (exemplar-based filling, Criminisi et al. 2004, without its order);
    and the rows and columns of the photo that all its pixels are from, int64 [2, H + 2T, W + 2T].

    offsets: where the pieces along the left and the upper edge begin, two lists; the corners come last. weights: how
    much each channel counts, [C], None: all alike.
    """
    out, known = F.pad(x, [tile] * 4), F.pad(torch.ones_like(x[:1]), [tile] * 4)
    places_of_photo = torch.stack(torch.meshgrid(*map(torch.arange, x.shape[1:]), indexing="ij"))
    found = F.pad(places_of_photo, [tile] * 4)
    places, margin = Places(looked_at(out, weights), known, tile), max(CLAIM_SHRINK, tile // 4)
    inside_y, inside_x = ([tile + at for at in line] for line in offsets)
    outside_y, outside_x = ([0, tile + side] for side in x.shape[1:])
    edges = [*product(outside_y, inside_x), *((y, x) for x, y in product(outside_x, inside_y))]
    for top, left in [*edges, *product(outside_y, outside_x)]:
        window = F.pad(torch.cat([looked_at(out, weights) * known, known]), [margin] * 4)
        window = window[:, top:top + tile + 2 * margin, left:left + tile + 2 * margin]
        around = comparison_planes(F.avg_pool2d(window, CLAIM_SHRINK))
        cost = places.disagreement([(tile - margin, tile - margin, around)])
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        y, x0 = row * PLACE_STEP, column * PLACE_STEP
        here = (slice(None), slice(top, top + tile), slice(left, left + tile))
        for filled, own in ((out, x), (found, places_of_photo)):
            filled[here] = torch.where(known[here] > 0, filled[here], own[:, y:y + tile, x0:x0 + tile])
        known[here] = 1
    return out, found


def match_tiles(extended, grid, cells, rng, weights=None, spots=None, hidden=None, guide=None, alike=None):
    """Places (orientation, y, x) of real tiles for cells that agree, in the extended photo's orientations
    [C, H + 2T, W + 2T]: the best of ATTEMPTS, judged by squares, since one fault where two fields of bricks meet is
    worse than many small differences. weights: as in extend_photo. spots: what is conspicuous in each orientation, the
    same ones in the same order, lists of conspicuous.Spot; None: nothing. hidden: of each orientation what no tile may
    hold, bool [H, W], or None. guide: a guides.Guide, or None. alike: as in best_of_attempts."""
    candidates = candidates_of(extended, grid.tile, weights, spots, hidden, guide)
    return best_of_attempts(lambda: Matcher(grid, [each.fresh() for each in candidates], guide, weights), cells, rng,
                            alike)


def best_of_attempts(start, cells, rng, alike=None):
    """Places of cells as Matchers choose them, the best of ATTEMPTS; start(): a Matcher, new each time. alike: {cell:
    all cells that get its tile}, in the order of choosing, more attempts the fewer these are; None: each its own."""
    attempts, alike = [], alike or {cell: [cell] for cell in cells}
    for _ in range(max(1, ATTEMPTS * len(cells) // max(1, len(alike)))):
        matcher, chosen = start(), {}
        for cell, same in alike.items():
            chosen.update(dict.fromkeys(same, matcher.choose(cell, rng, same)))
        attempts.append((sum(cost**2 for cost in matcher.costs), [chosen[cell] for cell in cells]))
    best = dict(zip(cells, min(attempts)[1]))

    # at last each is moved to where it agrees pixel by pixel with those before it
    matcher = start()
    for cell, same in alike.items():
        place = matcher.moved(cell, best[cell])
        for there in same:
            best[there] = place
            matcher.note(there, place, 1 / len(same))
    return [best[cell] for cell in cells]


def candidates_of(extended, tile, weights=None, spots=None, hidden=None, guide=None):
    """The Candidates of each orientation of the extended photo, as match_tiles has them."""
    looked, spots = [looked_at(x, weights) for x in extended], spots or [()] * len(extended)
    places, hidden = [places_of(x, tile) for x in looked], hidden or [None] * len(extended)
    low = [guide and places_of(looked_at(guides.coarse(x, tile), weights), tile) for x in extended]
    return [Candidates(*parts) for parts in zip(places, looked, spots, hidden, low)]


def places_of(x, tile):
    """The Places of a photo x with a border of one tile, [C, H + 2T, W + 2T], all of whose pixels count."""
    return Places(x, torch.ones_like(x[:1]), tile)


class Candidates:
    """The places of the extended photo [C, H + 2T, W + 2T] in one orientation, and which were taken.

    spots: what is conspicuous; hidden: what no tile may hold, bool [H, W], or None; coarse: the Places of the photo's
    coarse part, where there is a guide."""

    def __init__(self, places, extended, spots=(), hidden=None, coarse=None):
        self.places, self.coarse, tile = places, coarse, places.tile
        self.x, self.spots = extended, spots
        self.shows = conspicuous.shares_shown(spots, places.count, PLACE_STEP, tile)
        self.used = torch.zeros([side - 2 * tile for side in extended.shape[1:]], dtype=torch.float64)  # by pixel
        self.taken = []  # (y, x) of the places that were taken
        self.cells = []  # and the middles (y, x) of the cells that they were taken for
        self.edge = torch.ones(places.count, dtype=torch.bool)  # places too near the photo's edge, if it is large
        down, right = (min(tile // 8, (side - tile) // 4) // PLACE_STEP for side in self.used.shape)
        self.edge[down:places.count[0] - down, right:places.count[1] - right] = False
        if hidden is not None:
            taken = box_means(hidden.double(), tile, PLACE_STEP) > 1e-9
            self.edge = taken if (self.edge | taken).all() else self.edge | taken
        shares = claim_shares(tile // CLAIM_SHRINK)  # a claim counts most where it touches its tile
        own = places.mean_colours(tile, tile, torch.ones_like(shares["N"]))
        claims = sum(places.mean_colours((1 + down) * tile, (1 + right) * tile, shares[OPPOSITE[name]])
                     for name, (down, right) in SIDES.items())
        self.colours = torch.cat([own / 2, claims])  # what each would add, [2C, places]; sketches matter more

    def part(self, corner, side):
        """A square of the extended photo at a corner (y, x)."""
        (y, x), (height, width) = corner, self.x.shape[1:]
        ys, xs = (torch.arange(at, at + side).clamp(0, most - 1) for at, most in ((y, height), (x, width)))
        return self.x[:, ys[:, None], xs]

    def free(self, ys, xs):
        """Which places may be taken, bool [len(ys), len(xs)]: those between places that may, of all that are tried."""
        height, width = self.edge.shape
        edge = F.pad(self.edge[None, None].float(), [1] * 4, value=1.0)[0, 0] > 0
        good = torch.ones(len(ys), len(xs), dtype=torch.bool)
        for up in (0, PLACE_STEP - 1):
            for left in (0, PLACE_STEP - 1):
                rows, columns = (((at + way) // PLACE_STEP).clamp(-1, count) + 1
                                 for at, way, count in ((ys, up, height), (xs, left, width)))
                good &= ~edge[rows[:, None], columns]
        return good

    def fresh(self):
        """The same places, of which none was taken."""
        twin = copy.copy(self)
        twin.used, twin.taken, twin.cells = torch.zeros_like(self.used), [], []
        return twin


class Matcher:
    """Chooses real tiles one after the other, each to agree with those around it."""

    def __init__(self, grid, candidates, guide=None, weights=None):
        self.grid, self.candidates, self.guide, self.weights = grid, candidates, guide, weights
        self.surplus = torch.zeros(len(candidates[0].colours), 1, 1)  # what the tiles chosen so far have added
        self.claims = {}  # (gap, direction of the gap seen from the tile) -> orientation, y, x of the claim in it
        self.costs = []  # disagreement of each tile when it was chosen
        self.seen = [[] for _ in candidates[0].spots]  # where in the texture each spot was shown, [(y, x)]

    def choose(self, cell, rng, same):
        """The place (orientation, y, x) of the real tile for a grid cell and all others that show the same, `same`,
        which is noted as taken."""
        place = self.find(cell, self.claims_around(cell), rng, len(same))
        for there in same:
            self.note(there, place, 1 / len(same))
        return place

    def find(self, cell, claims, rng, times=1):
        """The place (orientation, y, x) that costs least in a cell where there are such claims, as Places.disagreement
        has them, if it is shown so many times."""
        maps = [self.costs_of(candidates, cell, claims, rng, times) for candidates in self.candidates]
        orientation = min(range(len(maps)), key=lambda k: float(maps[k][0].min()))
        cost, disagreement = maps[orientation]
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        self.costs.append(float(disagreement[row, column]))
        return orientation, row * PLACE_STEP, column * PLACE_STEP

    def moved(self, cell, place):
        """A place (orientation, y, x) moved by at most NUDGE pixels to where it agrees best, pixel by pixel, with what
        is claimed of the gaps around a cell."""
        (orientation, y, x), tile, costs = place, self.grid.tile, []
        chosen = self.candidates[orientation]
        for gap, by in self.gaps(cell).values():
            window = chosen.part((y + tile + by[0] - NUDGE, x + tile + by[1] - NUDGE), tile + 2 * NUDGE)[None]
            for other, *corner in (self.claims[gap, name] for name in SIDES if (gap, name) in self.claims):
                claim = self.candidates[other].part(corner, tile)[None]
                squares = F.conv2d(window.square(), torch.ones_like(claim))
                costs.append(squares - 2 * F.conv2d(window, claim))  # but for what is the same wherever it is moved
        if not costs:
            return place

        ys, xs = (torch.arange(-NUDGE, NUDGE + 1) + at for at in (y, x))
        row, column = divmod(int(sum(costs)[0, 0].masked_fill(~chosen.free(ys, xs), math.inf).argmin()), len(xs))
        return orientation, int(ys[row]), int(xs[column])

    def gaps(self, cell):
        """The gaps beside a real tile: {direction: (gap, (pixels down, pixels to the right))}."""
        return {name: there for name, there in self.grid.around(cell).items() if name in SIDES}

    def claims_around(self, cell):
        """What the tiles chosen so far claim of the gaps beside a cell, for Places.disagreement."""
        return [self.claim_on(gap, by, name) for gap, by in self.gaps(cell).values() for name in SIDES
                if (gap, name) in self.claims]

    def note(self, cell, place, share=1.0):
        """Note that a place (orientation, y, x) was taken for a cell: what it claims and shows, and a share of its
        colours."""
        (orientation, y, x), tile = place, self.grid.tile
        chosen, row, column = self.candidates[orientation], y // PLACE_STEP, x // PLACE_STEP
        self.surplus += share * (1 - self.asked_of(cell)) * chosen.colours[:, row, column, None, None]
        self.take(cell, chosen, row, column)
        for name, (gap, (down, right)) in self.gaps(cell).items():
            self.claims[gap, name] = orientation, y + tile + down, x + tile + right

    def claim_on(self, gap, by, name):
        """What a tile claims of a gap that it sees in the direction `name`, for Places.disagreement; the gap lies `by`
        pixels from the tile to be chosen. Places know only multiples of CLAIM_SHRINK pixels: the claim is moved by what
        is left."""
        orientation, *corner = self.claims[gap, name]
        distance = [self.grid.tile + pixels for pixels in by]
        y, x = (max(0, at - pixels % CLAIM_SHRINK) for at, pixels in zip(corner, distance))
        return *distance, self.candidates[orientation].places.cut(y, x, self.grid.tile)

    def middle(self, cell):
        """Where the middle of a cell lies in the texture, (y, x)."""
        return tuple(line[k] + self.grid.tile / 2 for line, k in zip(self.grid.lines, cell))

    def strikes(self, places, cell):
        """conspicuous.strikes() for places [(y, x)] of the texture, seen from a cell."""
        return conspicuous.strikes(places, self.middle(cell), self.grid.size, self.grid.wraps)

    def take(self, cell, chosen, row, column):
        """Note that one of the candidates' places was taken for a cell, and where spots are seen in it."""
        y, x, tile = row * PLACE_STEP, column * PLACE_STEP, self.grid.tile
        chosen.used[y:y + tile, x:x + tile] += conspicuous.FAR
        chosen.taken.append((y, x))
        chosen.cells.append(self.middle(cell))
        for k in (chosen.shows[0][:, row] * chosen.shows[1][:, column] > 0.5).nonzero().ravel().tolist():
            spot = chosen.spots[k]
            corner = [line[at] for line, at in zip(self.grid.lines, cell)]
            self.seen[k].append((corner[0] + spot.y + spot.side / 2 - y, corner[1] + spot.x + spot.side / 2 - x))

    def reuse(self, candidates, cell):
        """What it costs to take each place for a cell again, [places]."""
        used, tile = candidates.used.clone(), self.grid.tile
        near = self.strikes(candidates.cells, cell) - conspicuous.FAR
        for k in (near > NEGLIGIBLE).nonzero()[0]:
            y, x = candidates.taken[k]
            used[y:y + tile, x:x + tile] += near[k]
        return REUSE_COST * box_means(used, tile, PLACE_STEP)

    def again(self, candidates, cell, times=1):
        """What it costs that places show spots in a cell that were shown before, or will be so many times, [places]."""
        costs = [SPOT_COST * spot.weight() * (self.strikes(places, cell).sum() + (times - 1) * conspicuous.FAR)
                 for spot, places in zip(candidates.spots, self.seen)]
        down, right = candidates.shows
        return (torch.tensor(costs, dtype=torch.float32)[:, None] * down).T @ right

    def drift(self, candidates, cell):
        """What it costs that places lead the whole astray, [places]: their colours add to what there is too much of."""
        return BALANCE_COST * (self.surplus * candidates.colours).sum(0)

    def asked_of(self, cell):
        """How far a cell shows what a guide asks for that has no say elsewhere, 0 to 1: nothing has to balance that."""
        if self.guide is None or self.guide.wish is None:
            return 0.0
        return self.guide.strength * self.wanted_in(cell)[1]

    def wanted_in(self, cell):
        """What the guide wants of a cell, for Places.disagreement, and in how much of it, 0 to 1."""
        place = *(line[k] for line, k in zip(self.grid.lines, cell)), self.grid.tile
        wanted, where = looked_at(self.guide.cut(*place), self.weights), self.guide.where(*place)
        planes = comparison_planes(torch.cat([wanted, torch.ones_like(where)])) * where
        return [(self.grid.tile, self.grid.tile, planes)], float(where.mean())

    def costs_of(self, candidates, cell, claims, rng, times=1):
        """What each place costs in a cell, if it is shown so many times, and the disagreement in it, both [places]."""
        disagreement = candidates.places.disagreement(claims)
        least = disagreement[~candidates.edge].min() if claims else 1  # where places agree well, that matters more
        cost = disagreement + min(1, max(0, float(least))) * self.reuse(candidates, cell)
        cost += self.again(candidates, cell, times)
        drift = self.drift(candidates, cell)
        if self.guide is None:
            cost += drift
        else:
            wanted, share = self.wanted_in(cell)
            cost += torch.lerp(drift, GUIDE_COST * candidates.coarse.disagreement(wanted), self.guide.strength * share)
        cost += CHANCE * torch.from_numpy(rng.random(cost.shape, np.float32))
        return cost.masked_fill(candidates.edge, math.inf), disagreement


def box_means(values, side, step):
    """Means of values [H, W] over squares of a side, those squares a step apart."""
    total = F.pad(values, (1, 0, 1, 0)).cumsum(0).cumsum(1)
    low, high = slice(None, -side, step), slice(side, None, step)
    return (total[high, high] - total[low, high] - total[high, low] + total[low, low]) / side**2
