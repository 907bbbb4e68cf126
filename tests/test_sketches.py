"""What a gap begins with: claims joined where they agree."""

import pytest
import torch

from texture_tools import sketches

SIDE = 128


def claims_of(*names):
    """Claims of one colour each: 1, 2, ..."""
    return {name: torch.full((3, SIDE, SIDE), k + 1.0) for k, name in enumerate(names)}


def test_each_claim_is_shown_beside_its_own_tile():
    sketch = sketches.joined(claims_of("N", "W", "E", "S"))
    middle = slice(SIDE // 4, -SIDE // 4)
    borders = sketch[:, :2, middle], sketch[:, middle, :2], sketch[:, middle, -2:], sketch[:, -2:, middle]
    for k, border in enumerate(borders):
        assert torch.allclose(border, torch.tensor(k + 1.0))


def test_one_claim_is_the_sketch_and_equal_ones_are_shown_as_they_are():
    claim = torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sketches.joined({"W": claim}), claim)
    assert torch.allclose(sketches.joined(dict.fromkeys("NWES", claim)), claim, atol=1e-5)


@pytest.mark.parametrize("at", [0.35, 0.65])
def test_claims_meet_where_they_agree(at):
    """Left and right claims that agree in a strip alone, which is not where both are equally far from their tiles."""
    left, right = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    begin = int(at * SIDE) - 16
    right[:, :, begin:begin + 32] = left[:, :, begin:begin + 32]
    middle = slice(SIDE // 3, -SIDE // 3)  # along the other borders there is no haste
    sketch, left, right = (x[:, middle] for x in (sketches.joined({"W": left, "E": right}), left, right))
    assert torch.allclose(sketch[..., :begin], left[..., :begin], atol=1e-5)
    assert torch.allclose(sketch[..., begin + 32:], right[..., begin + 32:], atol=1e-5)
