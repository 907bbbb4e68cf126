"""The photo as a tensor, and the grid of tiles."""

import numpy as np
import pytest
import torch
from conftest import draw_photo

import texture_diffusion as td
from texture_diffusion_tools.reading import exemplars


@pytest.mark.parametrize("height, width, tile", [(48, 64, 16), (50, 61, 16), (16, 17, 16), (33, 31, 8)])
def test_tiles_joined_again_are_the_photo(height, width, tile):
    x = torch.randn(3, height, width)
    tiles = td.split_tiles(x, tile)
    assert tiles.shape == (-(-height // tile), -(-width // tile), 3, tile, tile)
    assert torch.equal(td.join_tiles(tiles, height, width), x)


def test_every_tile_is_a_piece_of_the_photo():
    x = torch.arange(50 * 61.0).view(1, 50, 61)
    for tile in td.split_tiles(x, 16).flatten(0, 1):
        y, left = divmod(int(tile[0, 0, 0]), 61)
        assert torch.equal(tile, x[:, y:y + 16, left:left + 16])


def test_every_level_survives_normalisation():
    pixels = np.stack([np.arange(256).reshape(16, 16)] * 3, -1).astype(np.uint8)
    pixels[..., 1] = pixels[::-1, :, 1]
    photo = td.normalise(exemplars.of_pixels(pixels, "levels"))
    assert np.array_equal(photo.pixels(photo.x), pixels)


def test_normalised_photo_has_mean_0_and_deviation_1():
    photo = draw_photo(40, 50)
    assert photo.x.mean((1, 2)).abs().max() < 1e-4
    assert abs(photo.x.std() - 1) < 1e-3
    assert (photo.x * photo.std + photo.mean).abs().max() <= 1 + 1e-5


def test_a_few_stray_pixels_do_not_widen_the_range_that_is_drawn():
    pixels = np.random.default_rng(0).integers(60, 180, (200, 200, 3)).astype(np.uint8)
    pixels[7, 7], pixels[90, 90] = 0, 255
    photo = td.normalise(exemplars.of_pixels(pixels, "stray"))
    low, high = (photo.pixels(bound)[0, 0].tolist() for bound in photo.bounds())
    assert low == [60] * 3 and high == [179] * 3
