"""Every random number comes from a generator keyed by what it is for, (seed, purpose, a, b, c): a run that is resumed,
or drawn in other batches, needs no saved generator to be the same.
"""

import numpy as np
import torch

INITIAL, TRAINING, VALIDATING, LAYOUT_CHOICE, DRAWING, SHOWING = range(1, 7)  # purposes


def seed_sequence(seed, purpose, a=0, b=0, c=0):
    """The SeedSequence of one purpose and place; keys have one length, since zeros pad shorter ones."""
    return np.random.SeedSequence((seed, purpose, a, b, c))


def torch_generator(*key, device="cpu"):
    """A torch.Generator on a device for seed_sequence(*key)."""
    return torch.Generator(device).manual_seed(int(seed_sequence(*key).generate_state(1, np.uint64)[0]))
