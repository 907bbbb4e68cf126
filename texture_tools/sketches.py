"""What a gap begins with: the claims of the real tiles around it, put together to one picture.

Claims that are mixed where they differ show two things at once, and what is drawn over that is neither. So each place
shows one claim, and the lines where claims meet run where they agree. A race decides that: each claim sets out from the
border to its own tile, the more quickly the more the claims disagree, and a place shows the claim that is there first.
All are slow where they agree, so that is where they meet.
"""

import torch
import torch.nn.functional as F

from . import matching

PLACES = 32  # a side, or somewhat more, on which the race is run
HASTE = 8  # how much quicker it is where claims disagree by the photo's variance
SHARPNESS = 2  # how much less a claim counts further away, as in matching.claim_shares, where it disagrees with others
EDGE, INSIDE = 3 / 32, 1 / 4  # of a tile's side: nearer to its border haste has no part, from here on its full part
BEGIN = {"N": (0, slice(None)), "W": (slice(None), 0), "E": (slice(None), -1), "S": (-1, slice(None))}


def joined(claims):
    """The sketch of a gap, [C, T, T], of the claims of the tiles around it, {direction: normalised [C, T, T]}."""
    x, side = torch.stack(list(claims.values())), next(iter(claims.values())).shape[-1]
    if len(x) == 1:
        return x[0]
    shares = torch.stack(list(matching.claim_shares(side, tuple(claims), SHARPNESS).values()))
    arrivals = race(slowness(x, shares), tuple(claims))
    first = F.one_hot(arrivals.argmin(0), len(x)).permute(2, 0, 1).to(x.dtype)
    soft = F.avg_pool2d(F.pad(first[None], [1] * 4, mode="replicate"), 3, stride=1)
    return (F.interpolate(soft, size=(side, side), mode="bilinear")[0, :, None] * x).sum(0)


def slowness(x, shares):
    """How long a step takes at each place, [h, h], 1 where claims x [K, C, T, T] agree; shares [K, T, T]: how much each
    claim counts."""
    shares = shares[:, None]
    differ = (shares * (x - (shares * x).sum(0)) ** 2).sum(0).mean(0)
    differ = F.avg_pool2d(differ[None, None], max(1, len(differ) // PLACES))[0, 0]
    line = torch.arange(len(differ)) + 0.5
    line = torch.minimum(line, line.flip(0)) / len(differ)
    inside = ((torch.minimum(line[:, None], line) - EDGE) / INSIDE).clamp(0, 1)
    return 1 / (1 + HASTE * inside * differ)


def race(slow, names):
    """When what sets out from the borders in these directions arrives at each place, [K, h, h], going up, down, left
    and right, if a step takes so long, slow [h, h]."""
    times = torch.full((len(names), *slow.shape), torch.inf)
    for own, name in zip(times, names):
        own[BEGIN[name]] = slow[BEGIN[name]] / 2
    down, right = (slow[1:] + slow[:-1]) / 2, (slow[:, 1:] + slow[:, :-1]) / 2
    before = None
    while before is None or not torch.equal(times, before):
        before = times.clone()
        times[:, 1:] = torch.minimum(times[:, 1:], times[:, :-1] + down)
        times[:, :-1] = torch.minimum(times[:, :-1], times[:, 1:] + down)
        times[..., 1:] = torch.minimum(times[..., 1:], times[..., :-1] + right)
        times[..., :-1] = torch.minimum(times[..., :-1], times[..., 1:] + right)
    return times
