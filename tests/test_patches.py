"""The photo's patches as a denoiser, and what is drawn by them before anything is learned."""

import numpy as np
import pytest
import torch
from conftest import draw_pixels

import texture_diffusion as td
from texture_diffusion_tools.learning import patches
from texture_diffusion_tools.running import constants

TILE, HALO = 40, 16
SIDE = TILE + 2 * HALO
LEARNED = {"TILE_SIZE": 32, "PRIOR": None, "WIDTHS": (8, 16), "EPOCHS": 1, "EPOCH_TILES": 8, "BATCH_SIZE": 4,
           "VALIDATION": 0}
AT = 30, 20  # where the tile lies that is looked for


def photo_of(seed=0):
    """A photo [3, 96, 96] whose figure of 12 pixels repeats itself, but not quite."""
    figure = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(seed)).repeat(1, 8, 8)
    other = torch.randn(3, 96, 96, generator=torch.Generator().manual_seed(seed + 1))
    return torch.nn.functional.avg_pool2d(figure + 0.2 * other, 3, 1, 1) * 2


def rings_of(x):
    """The canvas [1, 3, SIDE, SIDE] of the tile AT in a photo."""
    y, x_ = (place - HALO for place in AT)
    return x[None, :, y:y + SIDE, x_:x_ + SIDE].clone()


def noisy(x0, abar, seed=5):
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
    return abar**0.5 * x0 + (1 - abar) ** 0.5 * noise


def everything(count=1, known=True):
    return torch.full((count, SIDE, SIDE), known)


@pytest.mark.parametrize("abar, most", [(0.9, 0.15), (0.5, 0.2), (0.1, 0.35)])
def test_a_tile_is_found_under_noise_by_patches_of_a_photo_that_repeats_itself(abar, most):
    x = photo_of()
    rings = rings_of(x)
    x0 = td.crop_middle(rings, TILE)
    estimate = patches.Patches(x).among(rings, everything(), TILE)
    for seed in range(3):  # it goes on from what it found before
        found = estimate(noisy(x0, abar, seed), abar)
    assert (found - x0).square().mean() < most * x0.square().mean()
    assert 0.85 < found.std() / x0.std() < 1.05  # no haze


def test_what_is_known_around_a_tile_says_what_lies_at_its_border():
    x, noisiest = photo_of(), 0.05
    rings = rings_of(x)
    x0, edge = td.crop_middle(rings, TILE), np.s_[..., :3, 8:-8]
    errors = []
    for known in (True, False):
        estimate = patches.Patches(x).among(rings, everything(known=known), TILE)
        for seed in range(4):
            found = estimate(noisy(x0, noisiest, seed), noisiest)
        errors.append((found - x0)[edge].square().mean().item())
    assert errors[0] < 0.3 * errors[1]


def test_a_tile_is_the_same_alone_and_in_any_batch():
    x = photo_of()
    rings = torch.cat([rings_of(x), rings_of(x.flip(1)), rings_of(x.flip(2))])
    known = everything(3)
    known[1, :HALO] = False
    x_t = noisy(td.crop_middle(rings, TILE), 0.3)
    photo = patches.Patches(x)
    together = photo.among(rings, known, TILE)
    twice = [together(x_t, abar) for abar in (0.3, 0.4)][1]
    for k in range(3):
        alone = photo.among(rings[k:k + 1], known[k:k + 1], TILE)
        assert torch.allclose([alone(x_t[k:k + 1], abar) for abar in (0.3, 0.4)][1], twice[k:k + 1], atol=1e-4)


def test_what_may_not_be_shown_is_never_shown():
    x = photo_of().clamp(-3, 3)
    usable = torch.ones(96, 96, dtype=torch.bool)
    usable[40:60, 30:70] = False
    x[:, ~usable] = 100
    rings = rings_of(photo_of())
    estimate = patches.patches_of(x, usable).among(rings, everything(), TILE)
    for seed in range(4):
        assert estimate(noisy(100 * torch.ones(1, 3, TILE, TILE), 0.5, seed), 0.5).max() < 4


def test_where_there_is_hardly_a_whole_patch_there_are_none():
    x, usable = photo_of(), torch.ones(96, 96, dtype=torch.bool)
    assert patches.patches_of(x[:, :31], usable[:31]) is None
    assert patches.patches_of(x, usable & (torch.arange(96) % 15 > 0)) is None
    assert patches.patches_of(x, usable) is not None


@pytest.mark.parametrize("tile", [16, 18, 40, 56])
def test_tiles_of_any_size_and_halo_are_covered(tile):
    x = photo_of()
    for halo in (4, 16, 30):
        rings = torch.zeros(2, 3, tile + 2 * halo, tile + 2 * halo)
        known = torch.zeros(2, *rings.shape[2:], dtype=torch.bool)
        estimate = patches.Patches(x).among(rings, known, tile)
        for seed in range(8):  # eight grids
            found = estimate(noisy(torch.zeros(2, 3, tile, tile), 0.2, seed), 0.2)
            assert found.shape == (2, 3, tile, tile) and found.isfinite().all()


def test_without_training_a_texture_has_the_photo_s_own_detail():
    # black and white cells: a network that has learned nothing draws grey, too
    cells = np.random.default_rng(0).integers(0, 2, (12, 12)).repeat(8, 0).repeat(8, 1)
    pixels = np.where(cells, 230, 25)[..., None] + np.random.default_rng(1).integers(-9, 10, (96, 96, 3))
    how = {"TILE_SIZE": 32, "PRIOR": None, "WIDTHS": (8, 16), "EPOCHS": 0, "SAMPLE_STEPS": 12, "REDRAW": "gaps"}
    made = td.learn(pixels.astype(np.uint8), **how).draw().astype(float)
    grey = ((made > 70) & (made < 185)).mean()
    assert grey < 0.2, grey


def test_a_network_draws_alone_where_pieces_meet_in_a_photo_that_it_has_learned():
    model = td.learn(draw_pixels(100, 100), **LEARNED)

    def patched(step, **changes):
        model.trainer.step, c = step, constants.replaced(model.c, **changes)
        model.views = lambda: [(model.photos[0], model.trainer, c)]
        return {task.kind: task.denoiser.patches is not None for task in td.canvases(model)}

    assert patched(2) == {"texture": False}
    assert patched(0) == patched(2, REDRAW="gaps") == patched(2, REDRAW="all") == {"texture": True}
    assert patched(2, WANG=2) == {"wang": True}


def test_what_a_mask_hides_is_drawn_by_the_photo_s_patches_and_seams_beside_it_by_the_network():
    hidden = np.zeros((100, 100), bool)
    hidden[20:30, 25:35] = True
    model = td.learn(draw_pixels(100, 100), MASK=hidden, **LEARNED)
    assert {task.kind: task.denoiser.patches is not None for task in td.canvases(model)} == \
        {"repair": True, "texture": False}
