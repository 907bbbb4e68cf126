"""Pixel art is enlarged by a whole factor and reduced again: every pixel is one colour, of its palette."""

import numpy as np
import pytest
from conftest import assert_refused, constants_of, draw_pixels, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import pixel_art
from texture_diffusion_tools.running.errors import UserError

COLOURS = np.array([[40, 30, 20], [120, 90, 60], [200, 160, 110], [60, 120, 60], [230, 230, 200]], np.uint8)
ART = COLOURS[np.random.default_rng(0).integers(0, 5, (14, 16))]
HOLE = np.random.default_rng(1).random(ART.shape[:2]) < 0.3


def with_alpha():
    pixels = np.dstack([ART, np.full(ART.shape[:2], 255, np.uint8)])
    pixels[HOLE] = 0
    return pixels


def colours_in(pixels):
    return {tuple(colour) for colour in pixels.reshape(-1, pixels.shape[2]).tolist()}


@pytest.mark.parametrize("pixels", [ART, ART[..., 0], with_alpha(), draw_pixels(20, 30), ART.astype(np.uint16) * 257],
                         ids=["RGB", "grey", "RGBA", "many colours", "16 bits"])
@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_what_is_enlarged_and_reduced_again_is_what_it_was(pixels, factor):
    large, art, notes = pixel_art.enlarged(pixels, factor, 0, 1024)
    assert large.shape[:2] == tuple(side * factor for side in pixels.shape[:2]) and len(notes) == 1
    assert all(np.array_equal(large[at::factor, at::factor], pixels) for at in (0, factor - 1))
    assert (art.palette is None) == (pixels.shape[0] == 20)
    found = art.reduced(large)
    assert found.dtype == pixels.dtype and np.array_equal(found, pixels)


@pytest.mark.parametrize("pixels", [ART, with_alpha()], ids=["RGB", "RGBA"])
def test_every_pixel_is_a_colour_of_the_palette_whatever_was_drawn(pixels):
    large, art, _ = pixel_art.enlarged(pixels, 4, 0, 1024)
    noise = np.random.default_rng(0).integers(-40, 41, large.shape)
    shifted = np.roll((large + noise).clip(0, 255).astype(np.uint8), (1, 1), (0, 1))  # a tile from between two pixels
    found = art.reduced(shifted)
    assert colours_in(found) <= colours_in(pixels)
    assert (found == pixels).all(-1).mean() > 0.95


def test_a_large_picture_is_reduced_part_by_part_to_the_same(monkeypatch):
    large, art, _ = pixel_art.enlarged(draw_pixels(14, 16) // 64, 4, 0, 1024)
    whole = art.reduced(large)
    monkeypatch.setattr(pixel_art, "AT_ONCE", 1)
    assert np.array_equal(art.reduced(large), whole)


def test_a_factor_that_is_not_enough_becomes_one_that_is():
    assert pixel_art.enlarged(ART, 4, 96, 1024)[1].factor == 8
    assert pixel_art.enlarged(ART, 4, 40, 1024)[1].factor == 4
    assert pixel_art.enlarged(ART[:6, :6], 2, 96, 1024)[1].factor == 16
    with pytest.raises(UserError, match="256 x 224 .* MAX_SIDE=256"):
        pixel_art.enlarged(ART, 16, 0, 255)


def test_the_tile_becomes_the_largest_that_fits():
    assert pixel_art.tile_of(128, (112, 128), 32) == 32
    assert pixel_art.tile_of(32, (400, 400), 32) == 32
    assert pixel_art.tile_of(128, (90, 400), 32) == 128  # none fits: what is said of that is said elsewhere


@pytest.mark.parametrize("make", [lambda: ART, with_alpha], ids=["RGB", "RGBA"])
def test_pixel_art_is_drawn_in_its_own_pixels_and_colours(tool, tmp_path, make):
    Image.fromarray(make()).save(tmp_path / "art.png")
    result = tool("art.png", *tiny(EPOCHS=1, PIXELS=4))
    assert result.code == 0, result.err
    with Image.open(tmp_path / "samples" / "art" / "output_texture_3x3.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (42, 48, make().shape[2]) and "size: 48 x 42" in result.out
    assert colours_in(pixels) <= colours_in(make()) and len(colours_in(pixels)) > 3


def test_a_size_is_in_pixels_of_the_photo(tool, tmp_path):
    Image.fromarray(ART).save(tmp_path / "art.png")
    result = tool("art.png", *tiny(EPOCHS=1, PIXELS=4), "OUTPUT_SIZE=(21,18)", "TILEABLE=xy")
    assert result.code == 0, result.err
    with Image.open(tmp_path / "samples" / "art" / "output_texture_21x18_tileable_xy.png") as image:
        assert image.size == (21, 18) and colours_in(np.asarray(image)) <= colours_in(ART)
    with Image.open(tmp_path / "samples" / "art" / "output_texture_21x18_tileable_xy_wrapped.png") as image:
        assert image.size == (42, 36)


@pytest.mark.parametrize("side", [6, 8, 16, 32, 64])
def test_pixel_art_that_is_too_small_is_told_the_way_on(tool, tmp_path, side):
    Image.fromarray(draw_pixels(side, side)).save(tmp_path / "art.png")
    assert_refused(tool("art.png", "PRIOR=None"), f"{side} x {side} pixels", "96 x 96", "PIXELS=4")
    photo = td.load_photo(tmp_path / "art.png", art=(4, 96))
    assert min(photo.x.shape[1:]) >= 96


def test_a_photo_that_is_large_enough_is_told_of_no_pixels(tool, tmp_path):
    Image.fromarray(draw_pixels(60, 300)).save(tmp_path / "strip.png")
    result = tool("strip.png", "PRIOR=None")
    assert result.code == 2 and "PIXELS" not in result.err


@pytest.mark.parametrize("words", [["MASK=(1,2,3)"], ["REGION=(0,0,9,9)"], ["WANG=2"], ["CORNERS=auto"], ["PIXELS=3"],
                                   ["PIXELS=0"], ["BLEND=map.png"]])
def test_what_does_not_go_together_with_pixels_is_refused(tool, words):
    assert_refused(tool("photo.png", *tiny(PIXELS=4), *words), "PIXELS")


def test_maps_and_several_textures_are_refused(tool, tmp_path):
    (tmp_path / "rock").mkdir()
    for name in ("rock_Color.png", "rock_Height.png"):
        Image.fromarray(ART).save(tmp_path / "rock" / name)
    assert_refused(tool("rock", *tiny(PIXELS=4)), "PIXELS", "folder of maps")
    assert_refused(tool("IMAGE=('photo.png','rock/rock_Color.png')", *tiny(PIXELS=4)), "PIXELS")


def test_without_the_constant_nothing_changes():
    assert constants_of().PIXELS is None
