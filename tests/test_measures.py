"""The figures that judge a texture."""

import numpy as np
import pytest
from conftest import TILE, checkerboard, draw_photo, draw_pixels
from skimage.color import rgb2lab

import texture_diffusion as td
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.writing import measures


def noise(layout, low=80, high=160):
    rows, columns = layout.real().shape
    return np.random.default_rng(0).integers(low, high, (rows * TILE, columns * TILE, 3)).astype(np.uint8)


def change_drawn(pixels, layout, change):
    """Pixels with the drawn tiles replaced by change(tile)."""
    pixels = pixels.copy()
    for i, j in np.argwhere(~layout.real()):
        here = np.s_[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]
        pixels[here] = change(pixels[here])
    return pixels


def test_seams_of_white_noise_are_invisible():
    layout = checkerboard()
    assert measures.seam_ratios(noise(layout), layout) == pytest.approx((1, 1), abs=0.08)


def test_drawn_tiles_of_another_brightness_have_seams():
    layout = checkerboard()
    first, second = measures.seam_ratios(change_drawn(noise(layout), layout, lambda tile: tile + 60), layout)
    assert first > 1.5 and second > 1.3


def test_detail_inside_the_tiles_is_no_seam():
    layout = checkerboard()
    sharp = noise(layout)
    sharp[TILE // 2::TILE] = 255
    first, second = measures.seam_ratios(sharp, layout)
    assert first <= 1.05 and second <= 1.05


def test_a_plain_picture_has_finite_seam_ratios():
    layout = checkerboard()
    assert np.isfinite(measures.seam_ratios(np.full((6 * TILE, 8 * TILE, 3), 90, np.uint8), layout)).all()


def test_a_seam_ratio_is_defined_for_a_texture_that_ends_inside_a_tile():
    layout = checkerboard()
    assert measures.seam_ratios(noise(layout)[:-5, :-7], layout) == pytest.approx((1, 1), abs=0.08)


def test_lab_is_that_of_scikit_image():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    pixels[0, :2] = [[0, 0, 0], [255, 255, 255]]
    assert np.abs(measures.to_lab(pixels) - rgb2lab(pixels)).max() < 0.05


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_that_are_the_photo_s_differ_by_nothing(channels):
    tile = draw_pixels(TILE, TILE, channels=channels)
    pixels = np.tile(tile, (3, 4, 1) if channels == 3 else (3, 4))
    photo, layout = td.normalise(exemplars.of_pixels(pixels, "tiled")), checkerboard()
    texture = np.tile(photo.pixels(photo.x), (2, 2, 1))
    assert measures.colour_difference(texture, layout, photo.own_pixels()) == pytest.approx(0, abs=1e-6)
    other = change_drawn(texture, layout, lambda tile: tile + 20)
    assert measures.colour_difference(other, layout, photo.own_pixels()) > 3


def test_the_colour_of_real_tiles_does_not_count():
    photo, layout = draw_photo(48, 64), checkerboard()
    pixels = noise(layout)
    own = photo.own_pixels()
    brighter = change_drawn(pixels + 60, layout, lambda tile: tile - 60)
    assert measures.colour_difference(brighter, layout, own) == measures.colour_difference(pixels, layout, own)
