"""Random numbers, each from a generator keyed by its purpose and place, (seed, purpose, a, b, c): a
run that is resumed, or drawn in other batches, needs no saved generator to be the same.
"""

from __future__ import annotations

import numpy as np
import torch

# purposes
INITIAL, TRAINING, VALIDATING, LAYOUT_CHOICE, DRAWING, SHOWING, BLOCK = range(1, 8)


def seed_sequence(
    seed: int, purpose: int, a: int = 0, b: int = 0, c: int = 0
) -> np.random.SeedSequence:
    """The SeedSequence of one purpose and place. a, b, c: whole numbers from -2**63 to 2**63 - 1.

    Keys have one length, since zeros pad shorter ones: five words, or eight where one of the three
    does not fit into a word.
    """
    place = (a, b, c)
    if not all(0 <= number < 2**32 for number in place):
        place = [number >> bits & 0xFFFFFFFF for number in place for bits in (0, 32)]
    return np.random.SeedSequence((seed, purpose, *place))


def torch_generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch.Generator on a device for seed_sequence(*key)."""
    word = int(seed_sequence(*key).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(word)
