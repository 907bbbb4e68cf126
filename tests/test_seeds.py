"""Random numbers by key."""

from itertools import product

import torch

from texture_diffusion_tools.running import seeds


def test_random_numbers_are_keyed_by_purpose_and_place():
    keys = list(product((0, 1, 7), (seeds.TRAINING, seeds.DRAWING), (0, 1), (0, 1, 2)))
    first = {key: torch.randn(4, generator=seeds.torch_generator(*key)) for key in keys}
    assert len({tuple(numbers.tolist()) for numbers in first.values()}) == len(keys)
    for key, numbers in first.items():
        assert torch.equal(torch.randn(4, generator=seeds.torch_generator(*key)), numbers)


def test_every_purpose_has_a_number_of_its_own():
    purposes = [seeds.INITIAL, seeds.TRAINING, seeds.VALIDATING, seeds.LAYOUT_CHOICE, seeds.DRAWING, seeds.SHOWING]
    assert len(set(purposes)) == len(purposes)
    assert min(purposes) >= 1
