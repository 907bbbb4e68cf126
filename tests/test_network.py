"""What the U-Net sees. All weights are random: a layer that is zero would let these tests pass on nothing."""

from itertools import combinations

import pytest
import torch
from conftest import random_net

import texture_diffusion as td
from texture_diffusion_tools.learning import photo_facts

TILE, HALO = 32, td.HALO
SIDE = TILE + 2 * HALO


def part_of(ring, name, halo=HALO):
    """The view of a neighbour's nearest halo in a ring [B, C, S, S]."""
    lines = {-1: slice(0, halo), 0: slice(halo, -halo), 1: slice(-halo, None)}
    down = {"N": -1, "S": 1}.get(name[0], 0)
    right = {"W": -1, "E": 1}.get(name[-1], 0)
    return ring[..., lines[down], lines[right]]


def inputs(batch=1, channels=3, tile=TILE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(batch, channels, tile, tile, generator=generator)
    ring = torch.randn(batch, channels, tile + 2 * HALO, tile + 2 * HALO, generator=generator)
    return x_t, ring, torch.ones(batch, 8, dtype=torch.bool), torch.rand(batch, generator=generator)


def without(name):
    return torch.tensor([[other != name for other in td.NEIGHBOURS]])


def joined(net):
    """The network with both parts of its output, the tile and the gates, in one tensor."""
    net.requires_grad_(False)
    return lambda *args: torch.cat(net(*args), 1)


@pytest.fixture(scope="module")
def net():
    return joined(random_net(tile=TILE))


@pytest.mark.parametrize("name", td.NEIGHBOURS)
def test_changing_one_neighbour_changes_the_output(net, name):
    x_t, ring, present, time = inputs()
    changed = ring.clone()
    part_of(changed, name).add_(1)
    assert (net(x_t, ring, present, time) - net(x_t, changed, present, time)).abs().max() > 1e-3


@pytest.mark.parametrize("pair", [("N", "S"), ("W", "E"), *combinations(("NW", "NE", "SW", "SE"), 2)])
def test_swapping_two_neighbours_changes_the_output(net, pair):
    x_t, ring, present, time = inputs()
    swapped = ring.clone()
    for one, other in (pair, pair[::-1]):
        part_of(swapped, one).copy_(part_of(ring, other))
    assert (net(x_t, ring, present, time) - net(x_t, swapped, present, time)).abs().max() > 1e-3


@pytest.mark.parametrize("name", td.NEIGHBOURS)
def test_an_absent_neighbour_has_exactly_no_influence(net, name):
    x_t, ring, _, time = inputs()
    changed = ring.clone()
    part_of(changed, name).add_(1000)
    assert torch.equal(net(x_t, ring, without(name), time), net(x_t, changed, without(name), time))


def test_the_tile_under_the_noise_has_exactly_no_influence(net):
    x_t, ring, present, time = inputs()
    changed = ring.clone()
    changed[..., HALO:-HALO, HALO:-HALO] += 1000
    assert torch.equal(net(x_t, ring, present, time), net(x_t, changed, present, time))


@pytest.mark.parametrize("side, turns", [("W", 0), ("N", 3), ("E", 2), ("S", 1)])
def test_a_tile_s_edge_depends_most_on_the_pixels_that_touch_it(net, side, turns):
    x_t, ring, present, time = inputs(batch=4)
    ring.requires_grad_()
    out = net(x_t, ring, present.expand(4, 8), time)
    edge = torch.rot90(out, -turns, (2, 3))[..., 0]
    gradient, = torch.autograd.grad((edge * torch.randn_like(edge)).sum(), ring)
    strip = torch.rot90(part_of(gradient, side), -turns, (2, 3)).abs().mean((0, 1, 2))
    assert strip.shape == (HALO,)
    assert strip[-2:].mean() > 1.25 * strip[:2].mean() > 0


@pytest.mark.parametrize("widths", [(8,), (8, 16), (8, 8, 8)])
@pytest.mark.parametrize("name", td.NEIGHBOURS)
def test_it_matters_whether_a_neighbour_is_present_even_if_it_shows_nothing(widths, name):
    tile = td.tile_multiple(widths)
    net = joined(random_net(tile=tile, widths=widths))
    x_t, ring, present, time = inputs(tile=tile)
    with torch.no_grad():
        here, away = (net(x_t, 0 * ring, mask, time) for mask in (present, without(name)))
    assert (here - away).abs().max() > 1e-4


def test_time_matters(net):
    x_t, ring, present, _ = inputs()
    early, late = (net(x_t, ring, present, torch.tensor([time])) for time in (0.2, 0.8))
    assert (early - late).abs().max() > 1e-3


def test_a_tile_alone_equals_the_same_tile_in_a_batch(net):
    batch = inputs(batch=5)
    batch[2][2, 3:] = False
    alone = torch.cat([net(*(part[k:k + 1] for part in batch)) for k in range(5)])
    assert torch.allclose(net(*batch), alone, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("widths", [(8,), (8, 16), (8, 8, 16)])
def test_the_smallest_tile_and_its_triple_keep_their_shape(channels, widths):
    for tile in (td.tile_multiple(widths), 3 * td.tile_multiple(widths)):
        net = random_net(channels, tile, widths).requires_grad_(False)
        drawn, gates = net(*inputs(2, channels, tile))
        assert drawn.shape == (2, channels, tile, tile)
        assert gates.shape == (2, len(photo_facts.BLURS) + 1, tile, tile)


def test_the_bands_of_a_picture_add_up_to_it():
    x = torch.randn(2, 3, 40, 50)
    assert torch.allclose(photo_facts.split_bands(x).sum(1), x, atol=1e-5)


def test_the_powers_of_white_noise_are_those_of_a_large_piece_of_it():
    noise = torch.randn(1, 1000, 1000, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(photo_facts.band_powers(noise)[:, 0], photo_facts.noise_powers(), rtol=0.03)


def test_a_finer_pattern_has_its_power_in_finer_bands():
    x = torch.arange(200.0)
    waves = [(2 * torch.pi * x / length).sin().expand(1, 200, 200) for length in (2.5, 5, 9, 80)]
    powers = [photo_facts.band_powers(wave) for wave in waves]
    assert [int(power.argmax()) for power in powers] == [0, 1, 2, 3]


# Pictures without neighbours, and context


def picture_net(unshuffle, context=0, channels=3, tile=16):
    options = {"halo": 0, "unshuffle": unshuffle, "context": context}
    return joined(random_net(channels, tile, **options))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_a_network_without_neighbours_draws_pictures_of_any_number_of_channels(unshuffle, channels):
    net, x = picture_net(unshuffle, channels=channels), torch.randn(2, channels, 16, 16)
    present, time = torch.zeros(2, 8, dtype=torch.bool), torch.tensor([0.3, 0.9])
    out = net(x, x, present, time)
    assert out.shape == (2, channels + len(photo_facts.BLURS) + 1, 16, 16)
    assert torch.equal(out, net(x, x + 1, present, time))
    assert (out - net(x + 0.1, x, present, time)).abs().max() > 1e-3


def test_the_context_matters_and_none_is_the_same_as_zeros():
    net, x, present = picture_net(2, context=5), torch.randn(1, 3, 16, 16), torch.zeros(1, 8, dtype=torch.bool)
    contexts = (None, torch.zeros(1, 5), *torch.eye(5)[:, None])
    drawn = [net(x, x, present, torch.tensor([0.5]), context) for context in contexts]
    assert torch.equal(drawn[0], drawn[1])
    for one, other in combinations(drawn[1:], 2):
        assert (one - other).abs().max() > 1e-4
