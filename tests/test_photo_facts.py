"""What is known of a photo before any training."""

import pytest
import torch
from conftest import draw_photo

from texture_diffusion_tools.learning import photo_facts


@pytest.fixture
def x():
    return draw_photo(96, 80).x


def test_along_its_axes_a_photo_has_independent_channels_of_falling_power_and_comes_back(x):
    axes = photo_facts.facts_of(x, 3).axes
    along = photo_facts.rotated(x[None], axes)
    colours = along[0].flatten(1)
    covariance = colours @ colours.T / colours.shape[1]
    assert torch.allclose(covariance, covariance.diag().diag(), atol=1e-4)
    assert (covariance.diag().diff() < 0).all()
    assert torch.allclose(photo_facts.rotated(along, axes.mT)[0], x, atol=1e-5)
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_along_its_own_axes_a_picture_stays_the_same_bit_for_bit(x):
    assert torch.equal(photo_facts.rotated(x[None], torch.eye(3))[0], x)


def test_a_grey_photo_is_the_first_of_a_network_s_channels():
    grey = draw_photo(64, 64, channels=1).x
    facts = photo_facts.facts_of(grey, 3)
    assert torch.equal(facts.axes, torch.tensor([[1.0], [0], [0]]))
    along = photo_facts.rotated(grey[None], facts.axes)[0]
    assert torch.equal(along[:1], grey) and (along[1:] == 0).all()
    assert (facts.signal[:, 1:] == 0).all()


def test_each_picture_of_a_batch_has_its_own_axes(x):
    other = draw_photo(96, 80, seed=1).x
    axes = torch.stack([photo_facts.facts_of(each, 3).axes for each in (x, other)])
    both = photo_facts.rotated(torch.stack([x, other]), axes)
    assert torch.equal(both[1], photo_facts.rotated(other[None], axes[1])[0])
