"""Weights {name: tensor} of an earlier network, made to fit the one at hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..running.errors import first_line
from . import photo_facts

Weights = dict[str, Tensor]


def channels_seen(weights: Weights, unshuffle: int) -> int:
    """How many channels a network with such weights sees, whose stem folds squares of a side into
    channels; ValueError if they are of none."""
    try:
        return weights["stem.weight"].shape[1] // unshuffle**2
    except (KeyError, IndexError) as error:
        raise ValueError(f"its weights are of another network ({first_line(error)})") from error


def as_beginning(weights: Weights, net: Any) -> Weights:
    """A prior's weights as a network begins with them: what it knows of its photo stays. ValueError
    if they do not fit."""
    own = net.state_dict()
    if net.axes.shape[-2] > channels_seen(weights, net.unshuffle):
        weights = with_channels(weights, net)
    facts = {name: own[name] for name in photo_facts.PhotoFacts._fields if name in own}
    weights = {**weights, **facts}

    if net.context is not None:  # labels that a prior does not know say nothing at first
        weights = {"context.weight": torch.zeros_like(own["context.weight"]), **weights}

    lacking = weights.keys() ^ own.keys()
    wrong = lacking or {name for name in own if weights[name].shape != own[name].shape}
    if wrong:
        raise ValueError(f"its weights do not fit the network ({min(wrong)})")
    return weights


def with_channels(weights: Weights, net: Any) -> Weights:
    """The weights of a prior for a network that sees more channels: what sees or draws the others
    begins with zeros."""
    few, many = channels_seen(weights, net.unshuffle), net.axes.shape[-2]
    fine, coarse, width = net.head_unshuffle**2, net.unshuffle**2, len(net.choice.weight)

    # Of each weight: the dimension, where the channels begin in it, how often they follow each
    # other, and the places of each channel.
    blocks = {
        "stem.weight": (1, 0, 1, coarse),
        "head_in.weight": (1, width, 2, fine),
        "filters.weight": (1, 0, 2, fine),
        "head_out.weight": (0, 0, 1, fine),
        "head_out.bias": (0, 0, 1, fine),
    }

    wider = {}
    for name, (dim, first, count, size) in blocks.items():
        cuts = [first + k * few * size for k in range(count + 1)]
        before, *seen, after = weights[name].tensor_split(cuts, dim)

        # zeros for the further channels behind each run of those that the prior sees
        shape = list(weights[name].shape)
        shape[dim] = (many - few) * size
        zeros = weights[name].new_zeros(shape)
        padded = [x for part in seen for x in (part, zeros)]
        wider[name] = torch.cat([before, *padded, after], dim)

    return {**weights, **wider}


def with_facts(weights: Weights, net: Any) -> Weights:
    """The weights of a checkpoint as the network has them: those of before there were axes see
    colours as they are, and one power a band."""
    signal = weights["signal"]
    if signal.ndim <= 1:
        signal = signal[:, None].expand_as(net.signal)
    return {"axes": torch.eye(*net.axes.shape[-2:]), **weights, "signal": signal}
