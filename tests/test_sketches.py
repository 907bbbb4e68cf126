"""What a gap begins with: claims joined where they agree, along the cut that costs least."""

from itertools import product

import numpy as np
import pytest
import torch

from texture_diffusion_tools.laying import sketches

SIDE = 128


def joined(claims):
    """The sketch of claims {direction: [C, T, T]}."""
    return sketches.pick(torch.stack(list(claims.values())), sketches.joined(claims))


def noise(count, side=SIDE, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_each_claim_is_shown_beside_its_own_tile():
    """Where it does not agree with the others: no cut runs along a border."""
    labels, middle = sketches.joined(dict(zip("NWES", noise(4)))), slice(SIDE // 8, -SIDE // 8)
    borders = labels[0, middle], labels[middle, 0], labels[middle, -1], labels[-1, middle]
    for k, border in enumerate(borders):
        assert (border == k).all()


@pytest.mark.parametrize("names", ["N", "W", "E", "S", "NS", "WE", "NW", "ES", "NWE", "NWS", "NWES"])
def test_one_claim_is_the_sketch_and_equal_ones_are_shown_as_they_are(names):
    claim = noise(1)[0]
    assert torch.equal(joined(dict.fromkeys(names, claim)), claim)
    labels = sketches.joined(dict(zip(names, noise(len(names), 32))))
    assert labels.shape == (32, 32) and set(labels.unique().tolist()) <= set(range(len(names)))


@pytest.mark.parametrize("at", [0.35, 0.65])
def test_claims_meet_where_they_agree(at):
    """Left and right claims that agree in a strip alone, which is not where both are equally far from their tiles."""
    left, right = noise(2, seed=1)
    begin = int(at * SIDE) - 16
    right[:, :, begin:begin + 32] = left[:, :, begin:begin + 32]
    sketch = joined({"W": left, "E": right})
    assert torch.equal(sketch[..., :begin], left[..., :begin])
    assert torch.equal(sketch[..., begin + 32:], right[..., begin + 32:])


def test_no_other_cut_between_two_claims_costs_less():
    """All cuts of a small gap are tried; the cut's own cost counts how long it is between columns, too."""
    side = 5
    for seed in range(5):
        differ = sketches.disagreements(noise(2, side, seed))
        found = sketches.cost_of(differ, "NS", sketches.joined(dict(zip("NS", noise(2, side, seed)))).numpy())
        rows = np.arange(side)[:, None]
        every = (np.where(rows < np.array(depths), 0, 1) for depths in product(range(side + 1), repeat=side))
        assert found == pytest.approx(min(sketches.cost_of(differ, "NS", labels) for labels in every), rel=1e-5)


def test_four_claims_are_cut_better_than_along_the_diagonals():
    y, x = np.mgrid[:SIDE, :SIDE]
    nearest = np.stack([y, x, SIDE - 1 - x, SIDE - 1 - y]).argmin(0)
    claims = dict(zip("NWES", torch.nn.functional.avg_pool2d(noise(4, SIDE + 8), 9, 1)))
    differ = sketches.disagreements(torch.stack(list(claims.values())))
    costs = [sketches.cost_of(differ, "NWES", labels) for labels in (sketches.joined(claims).numpy(), nearest)]
    assert costs[0] < 0.7 * costs[1]


def test_beside_a_cut_the_pixels_show_both_claims_and_nowhere_else():
    """Also beside the border to a tile that another claim continues."""
    claims, labels = noise(3, 16), torch.zeros(16, 16, dtype=torch.long)
    labels[:, 8:] = 1
    changed = (sketches.blend(claims, labels, "WEN") != sketches.pick(claims, labels)).any(0)
    assert changed[:, 7:9].all() and not changed[1:, :7].any() and not changed[1:, 9:].any() and changed[0].all()
