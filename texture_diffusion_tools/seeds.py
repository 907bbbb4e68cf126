"""Every random number comes from a generator keyed by what it is for, (seed, purpose, a, b, c): a run that is resumed,
or drawn in other batches, needs no saved generator to be the same.
"""

import numpy as np
import torch

INITIAL, TRAINING, VALIDATING, LAYOUT_CHOICE, DRAWING, SHOWING, BLOCK = range(1, 8)  # purposes


def seed_sequence(seed, purpose, a=0, b=0, c=0):
    """The SeedSequence of one purpose and place; a, b and c: whole numbers from -2**63 to 2**63 - 1. Keys have one
    length, since zeros pad shorter ones: five words, or eight where one of the three does not fit into a word."""
    place = (a, b, c)
    if not all(0 <= number < 2**32 for number in place):
        place = [number >> bits & 0xFFFFFFFF for number in place for bits in (0, 32)]
    return np.random.SeedSequence((seed, purpose, *place))


def torch_generator(*key, device="cpu"):
    """A torch.Generator on a device for seed_sequence(*key)."""
    return torch.Generator(device).manual_seed(int(seed_sequence(*key).generate_state(1, np.uint64)[0]))
