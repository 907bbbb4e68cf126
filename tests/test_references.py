"""What the network is given of the photo: patches where they fit, and never the tile itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import draw_pixels, random_net

import texture_diffusion as td
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.learning import photo_facts, references, weights
from texture_diffusion_tools.reading import exemplars

TILE, PERIOD = 32, 8
ABAR = 0.3


def woven(side=96, seed=0):
    """A photo that repeats itself every PERIOD pixels, [3, side, side] with mean 0 and deviation 1."""
    figure = torch.randn(3, PERIOD, PERIOD, generator=torch.Generator().manual_seed(seed))
    figure = F.avg_pool2d(F.pad(figure[None], [1] * 4, mode="circular"), 3, stride=1)[0]
    figure = (figure - figure.mean((1, 2), keepdim=True)) / figure.std()
    return figure.repeat(1, side // PERIOD, side // PERIOD)


def noisy(x0, abar=ABAR, seed=1):
    return abar ** 0.5 * x0 + (1 - abar) ** 0.5 * torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))


def error(x, x0):
    return float((x - x0).square().mean() / x0.square().mean())


@pytest.mark.parametrize("abar", [0.05, 0.3, 0.9])
def test_of_a_photo_that_repeats_itself_both_pictures_show_what_is_under_the_noise(abar):
    x, at = woven(), np.s_[:, 13:13 + TILE, 22:22 + TILE]
    pictures, maps = references.Patches(x).find(noisy(x[at], abar), abar, [(13, 22, TILE)])
    assert pictures.shape == (2, 3, TILE, TILE) and maps.shape == (2, TILE, TILE)
    least = 0.3 if abar < 0.1 else 0.05  # in much noise another phase now and then fits as well
    assert error(pictures[0], x[at]) < least and error(pictures[1], x[at]) < least


def test_a_tile_is_never_shown_itself():
    x = torch.from_numpy(draw_pixels(96, 96)).permute(2, 0, 1).float()
    x = (x - x.mean()) / x.std()
    patches, tile = references.Patches(x), x[:, 40:40 + TILE, 16:16 + TILE]
    (seen, _), (_, told) = patches.find(noisy(tile, 0.99), 0.99)
    (elsewhere, _), (_, doubted) = patches.find(noisy(tile, 0.99), 0.99, [(40, 16, TILE)])
    assert error(seen, tile) < 0.05 < 0.3 < error(elsewhere, tile)
    assert doubted.mean() > told.mean() + 0.5  # and it is told how badly what is found fits


def test_what_must_not_be_shown_never_is():
    x, usable = woven(), torch.ones(96, 96, dtype=torch.bool)
    usable[30:50, 20:60] = False
    x[:, ~usable] = 99
    pictures, _ = references.Patches(x, usable).find(noisy(x[:, :TILE, :TILE]), ABAR)
    assert pictures.abs().max() < 20
    none, maps = references.Patches(x, torch.zeros(96, 96, dtype=torch.bool)).find(x[:, :TILE, :TILE], ABAR)
    assert not none.any() and not maps.any()


def test_where_all_is_excluded_there_is_nothing():
    x = woven()
    pictures, _ = references.Patches(x).find(noisy(x[:, :TILE, :TILE]), ABAR, [(-50, -50, 300)])
    assert not pictures.any()


def test_a_batch_is_found_tile_by_tile_and_none_where_it_says_so():
    x, abar = woven(), torch.tensor([0.3, 0.5, 0.3]).view(3, 1, 1, 1)
    patches, x_t = references.Patches(x), torch.stack([noisy(x[:, k:k + TILE, :TILE], seed=k) for k in range(3)])
    found = references.found(x_t, abar, [(patches, []), None, (patches, [(2, 0, TILE)])])
    assert torch.equal(found.pictures[0], patches.find(x_t[0], 0.3)[0])
    assert torch.equal(found.maps[2], patches.find(x_t[2], 0.3, [(2, 0, TILE)])[1])
    assert not found.pictures[1].any() and not found.maps[1].any()


def photo_of(x):
    pixels = (x - x.min()).div(x.max() - x.min()).mul(255).permute(1, 2, 0).byte().numpy()
    return td.normalise(exemplars.of_pixels(pixels, "woven"))


def test_held_out_tiles_are_no_references():
    photo = photo_of(woven(160))
    data = td.NeighbourDataset(photo, TILE, validation=1)
    places = data.patches.free
    y, x = places // data.patches.wide + references.PATCH, places % data.patches.wide + references.PATCH
    assert not ((y > 160 - TILE) & (x > 160 - TILE)).any()
    windows, _, where = data.batch(4, 0.0, torch.Generator().manual_seed(0))[:3]
    for window, (patches, [(y, x, side)]) in zip(data.tiles_of(windows), where):
        assert patches is data.patches and side == TILE
        assert torch.equal(window, photo.x[:, y:y + TILE, x:x + TILE])


def test_a_prior_without_references_begins_as_before_and_learns_to_use_them():
    photo = photo_of(woven(160))
    before = random_net(tile=TILE).state_dict()
    data = td.NeighbourDataset(photo, TILE)
    net = td.build_net([photo], TILE, (8, 16), 0, "cpu", refers=True)
    trainer = td.Trainer(net, data, td.cosine_schedule(50), 8, 4e-3, 0.0, 0)
    trainer.begin_from(before, "0" * 64)
    plain = td.Trainer(td.build_net([photo], TILE, (8, 16), 0, "cpu"), data, trainer.alphas_cumprod, 8, 4e-3, 0.0, 0)
    plain.begin_from(before, "0" * 64)

    windows, present, where = data.examples(4, False)
    noised = data.tiles_of(windows), torch.tensor([20, 30, 35, 40]), torch.randn(4, 3, TILE, TILE), windows, present
    assert torch.equal(trainer.noised(*noised, where)[1], plain.noised(*noised)[1])

    for each in (trainer, plain):
        each.plan(40)
        list(each.steps())
    errors = [error(each.noised(*noised, where)[1], noised[0]) for each in (trainer, plain)]
    assert errors[0] < 0.8 * errors[1]


def test_a_network_with_references_can_be_told_none_and_weights_say_whether_it_sees_them():
    net = td.build_net([photo_of(woven())], TILE, (8, 16), 0, "cpu", refers=True).requires_grad_(False)
    assert weights.refers(net.state_dict()) and not weights.refers(random_net(tile=TILE).state_dict())
    x, ring = torch.randn(2, 3, TILE, TILE), torch.randn(2, 3, TILE + 2 * td.HALO, TILE + 2 * td.HALO)
    given = net, x, torch.tensor([9, 30]), ring, torch.ones(2, 8, dtype=torch.bool), td.cosine_schedule(50)
    seen = net.see(references.nothing(x), photo_facts.rotated(ring, net.axes), given[4])
    assert torch.equal(td.predict_x0(*given), td.predict_x0(*given, seen=seen))


def test_a_prior_with_references_fits_more_channels_and_a_network_without():
    few = td.build_net([photo_of(woven())], TILE, (8, 16), 0, "cpu", refers=True)
    for weight in few.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    many = torch.cat([woven(), woven(seed=1), woven(seed=2)])
    with torch.random.fork_rng():
        wide = td.UNet(9, TILE, (8, 16), refers=True).requires_grad_(False)
        plain = td.UNet(3, TILE, (8, 16)).requires_grad_(False)
    wide.load_state_dict(weights.as_beginning(few.state_dict(), wide))
    plain.load_state_dict(weights.as_beginning(few.state_dict(), plain))

    x0, ring = many[None, :, :TILE, :TILE], torch.zeros(1, 9, TILE + 2 * td.HALO, TILE + 2 * td.HALO)
    ring[:, 3:] = 5  # what the prior does not know has no part in it
    where = [(references.Patches(many), [(0, 0, TILE)])]
    found = references.found(x0, torch.full((1, 1, 1, 1), ABAR), where)
    given = torch.ones(1, 8, dtype=torch.bool), torch.tensor([0.5])
    alone = references.Found(found.pictures[:, :, :3], found.maps)
    few.requires_grad_(False)
    drawn, gates, shares = wide(x0, ring, *given, seen=wide.see(found, ring, given[0]))
    wanted = few(x0[:, :3], ring[:, :3], *given, seen=few.see(alone, ring[:, :3], given[0]))
    for got, want in zip((drawn[:, :3], gates, shares), wanted):
        assert torch.allclose(got, want, atol=1e-4)
    assert not drawn[:, 3:].any()


def test_what_a_sketch_is_put_together_from_is_no_reference_of_it():
    photo = photo_of(torch.from_numpy(draw_pixels(160, 160)).permute(2, 0, 1).float())
    grid = grids.make_grid(224, 224, TILE)
    layout, checked = td.lay_out(photo, "matched", grid, 0), 0
    for cell in layout.passes[0]:
        claims = layout.claimants(cell).values()
        for (top, left, side), (there, by) in zip(layout.areas(cell), claims, strict=True):
            if 0 <= min(top, left) and max(top, left) + side <= 160:  # all of it inside the photo
                checked += torch.equal(photo.x[:, top:top + side, left:left + side], layout.cut(there, by))
    assert checked > 20
