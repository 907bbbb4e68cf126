"""Photo file to tensor, and the grid of tiles."""

import numpy as np
import pytest
import torch
from conftest import draw_photo, draw_pixels
from PIL import Image

import texture_diffusion as td
from texture_tools.errors import UserError


def loaded_pixels(path, **options):
    photo = td.load_photo(path, **options)
    return photo.pixels(photo.x)


def save(image, path, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def with_alpha(pixels, hole):
    """Pixels with an alpha channel, fully transparent in the hole's rows and opaque elsewhere."""
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[hole] = 0
    return np.dstack([pixels, alpha])


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


@pytest.mark.parametrize("suffix, options", [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True})])
def test_lossless_formats_give_their_pixels_back(tmp_path, suffix, options):
    pixels = draw_pixels(40, 50)
    assert np.array_equal(loaded_pixels(save(pixels, tmp_path / f"photo.{suffix}", **options)), pixels)


def test_every_level_survives_normalisation():
    pixels = np.stack([np.arange(256).reshape(16, 16)] * 3, -1).astype(np.uint8)
    pixels[..., 1] = pixels[::-1, :, 1]
    photo = td.normalise(pixels, "levels")
    assert np.array_equal(photo.pixels(photo.x), pixels)


def test_normalised_photo_has_mean_0_and_deviation_1():
    photo = draw_photo(40, 50)
    assert photo.x.mean((1, 2)).abs().max() < 1e-4
    assert abs(photo.x.std() - 1) < 1e-3
    assert (photo.x * photo.std + photo.mean).abs().max() <= 1 + 1e-5


def test_a_few_stray_pixels_do_not_widen_the_range_that_is_drawn():
    pixels = np.random.default_rng(0).integers(60, 180, (200, 200, 3)).astype(np.uint8)
    pixels[7, 7], pixels[90, 90] = 0, 255
    photo = td.normalise(pixels, "stray")
    low, high = (photo.pixels(bound)[0, 0].tolist() for bound in photo.bounds())
    assert low == [60] * 3 and high == [179] * 3


@pytest.mark.parametrize("equal_channels", [False, True])
def test_grey_photo_has_one_channel(tmp_path, equal_channels):
    grey = draw_pixels(40, 50, channels=1)
    three = np.stack([grey] * 3, -1)
    photo = td.load_photo(save(three if equal_channels else grey, tmp_path / "grey.png"))
    assert photo.x.shape == (1, 40, 50)
    assert np.array_equal(photo.pixels(photo.x), three)


def test_palette_gives_its_colours(tmp_path):
    image = Image.fromarray(draw_pixels(40, 50)).quantize(64)
    path = save(image, tmp_path / "palette.png")
    assert np.array_equal(loaded_pixels(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("grey", [False, True])
def test_transparent_parts_become_the_mean_of_the_visible_ones_and_are_reported(tmp_path, grey):
    pixels = draw_pixels(40, 50, channels=1 if grey else 3)
    image = Image.fromarray(with_alpha(pixels, np.s_[:10]), "LA" if grey else "RGBA")
    photo = td.load_photo(save(image, tmp_path / "hole.png"))
    out = photo.pixels(photo.x)[..., :1 if grey else 3]
    visible = pixels.reshape(40, 50, -1)[10:]
    assert np.array_equal(out[10:], visible)
    assert np.abs(out[:10] - visible.mean((0, 1))).max() <= 1
    assert any("transparent" in note for note in photo.notes)


def test_opaque_alpha_changes_nothing(tmp_path):
    pixels = draw_pixels(40, 50)
    photo = td.load_photo(save(Image.fromarray(with_alpha(pixels, np.s_[:0]), "RGBA"), tmp_path / "opaque.png"))
    assert np.array_equal(photo.pixels(photo.x), pixels)
    assert not photo.notes


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_not_shown(tmp_path, mode):
    colour = Image.fromarray(draw_pixels(40, 50))
    image = colour.quantize(16) if mode == "P" else colour.convert(mode)
    image.paste(0, (0, 0, 50, 10))
    image.save(tmp_path / "hole.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    hidden = np.asarray(Image.open(tmp_path / "hole.png").convert("RGBA"))[..., 3] == 0
    assert hidden[:10].all()
    photo = td.load_photo(tmp_path / "hole.png")
    out = photo.pixels(photo.x)
    assert np.abs(out[hidden] - out[~hidden].mean(0)).max() <= 1
    assert any("transparent" in note for note in photo.notes)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_16_bit_ramp_stays_a_ramp(tmp_path, suffix):
    ramp = np.tile(np.linspace(0, 65535, 512).astype(np.uint16), (40, 1))
    line = loaded_pixels(save(ramp, tmp_path / f"ramp.{suffix}"))[0, :, 0].astype(int)
    assert np.abs(line - np.linspace(0, 255, 512)).max() <= 1


def test_a_cmyk_photo_keeps_its_colours(tmp_path):
    smooth = Image.fromarray(draw_pixels(8, 10)).resize((80, 64), Image.BICUBIC)
    path = save(smooth.convert("CMYK"), tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(loaded_pixels(path).astype(int) - np.asarray(smooth)).mean() < 4


@pytest.mark.parametrize("orientation, upright", [
    (2, np.fliplr), (3, lambda x: np.rot90(x, 2)), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)])
def test_the_camera_s_orientation_is_applied(tmp_path, orientation, upright):
    pixels, exif = draw_pixels(40, 50), Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(loaded_pixels(save(pixels, tmp_path / "turned.png", exif=exif)), upright(pixels))


def test_a_large_photo_is_shrunk_and_both_sizes_are_named(tmp_path):
    photo = td.load_photo(save(draw_pixels(100, 200), tmp_path / "large.png"), max_side=50)
    assert photo.x.shape == (3, 25, 50)
    assert any("200 x 100" in note and "50 x 25" in note for note in photo.notes)


def test_a_photo_within_the_limit_is_left_alone(tmp_path):
    pixels = draw_pixels(40, 50)
    photo = td.load_photo(save(pixels, tmp_path / "small.png"), max_side=50)
    assert np.array_equal(photo.pixels(photo.x), pixels)
    assert not photo.notes


def test_crop_selects_a_part(tmp_path):
    pixels = draw_pixels(40, 50)
    path = save(pixels, tmp_path / "photo.png")
    assert np.array_equal(loaded_pixels(path, crop=(7, 3, 30, 20)), pixels[3:23, 7:37])


@pytest.mark.parametrize("crop", [(-1, 0, 10, 10), (0, 0, 51, 10), (0, 35, 10, 6), (0, 0, 0, 5)])
def test_a_crop_outside_the_photo_is_refused_with_the_photo_s_size(tmp_path, crop):
    path = save(draw_pixels(40, 50), tmp_path / "photo.png")
    with pytest.raises(UserError, match="50 x 40"):
        td.load_photo(path, crop=crop)


@pytest.mark.parametrize("grey", [False, True])
def test_uneven_lighting_is_reported(tmp_path, grey):
    pixels = draw_pixels(80, 100, channels=1 if grey else 3) * 0.5
    light = np.linspace(0, 120, 100) if grey else np.linspace(0, 120, 100)[:, None]
    photo = td.load_photo(save((pixels + light).astype(np.uint8), tmp_path / "lamp.png"))
    assert any("brightness" in note for note in photo.notes)


def test_even_lighting_is_not_reported(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    assert not td.load_photo(save(noise, tmp_path / "noise.png")).notes


@pytest.mark.parametrize("suffix", ["tiff", "webp"])
def test_of_several_pages_the_first_is_used_and_that_is_said(tmp_path, suffix):
    first, second = (Image.fromarray(draw_pixels(40, 50, seed)) for seed in (0, 1))
    path = save(first, tmp_path / f"pages.{suffix}", save_all=True, append_images=[second], lossless=True)
    photo = td.load_photo(path)
    assert np.array_equal(photo.pixels(photo.x), np.asarray(first))
    assert any("2 pictures" in note for note in photo.notes)


def test_a_single_colour_is_refused(tmp_path):
    with pytest.raises(UserError, match="single colour"):
        td.load_photo(save(np.full((40, 50, 3), 90, np.uint8), tmp_path / "plain.png"))


def test_the_digest_stands_for_the_pixels(tmp_path):
    pixels = draw_pixels(40, 50)
    png, bmp = (td.load_photo(save(pixels, tmp_path / name)) for name in ("a.png", "b.bmp"))
    pixels[3, 4, 1] ^= 1
    assert png.digest == bmp.digest != td.load_photo(save(pixels, tmp_path / "c.png")).digest


@pytest.mark.parametrize("height, width", [(95, 200), (150, 100), (64, 48)])
def test_the_tile_size_named_for_a_small_photo_is_the_largest_that_fits(height, width):
    with pytest.raises(UserError, match=f"{width} x {height}.*TILE_SIZE") as refusal:
        td.check_sizes(height, width, 128, 16)
    named = int(str(refusal.value).split("TILE_SIZE=")[1].split()[0])
    td.check_sizes(height, width, named, 16)
    with pytest.raises(UserError):
        td.check_sizes(height, width, named + 16, 16)


@pytest.mark.parametrize("tile", [0, 1, 20, 100, -16])
def test_a_tile_that_cannot_be_halved_is_refused_with_one_that_can(tile):
    with pytest.raises(UserError, match="halve") as refusal:
        td.check_sizes(1000, 1000, tile, 16)
    td.check_sizes(1000, 1000, int(str(refusal.value).split("such as ")[1].split()[0]), 16)
