"""Transparency is a channel: drawn with the colours, and what is stored under it never shows."""

import numpy as np
import pytest
from conftest import TILE, assert_refused, draw_pixels, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.reading import photos, transparency

HEIGHT, WIDTH = 54, 70


def draw_lace(seed=0):
    """RGBA pixels: a texture with round holes and soft edges, in which bright magenta is stored."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    alpha = (255 * np.clip(np.hypot(y % 18 - 9, x % 18 - 9) - 4, 0, 1)).round().astype(np.uint8)
    colour = np.where(alpha[..., None] > 0, draw_pixels(HEIGHT, WIDTH, seed) // 2, np.array([255, 0, 255]))
    return np.dstack([colour, alpha]).astype(np.uint8)


@pytest.fixture
def lace(tool, tmp_path, plain_figures):
    Image.fromarray(draw_lace()).save(tmp_path / "photo.png")
    return lambda **changes: tool("photo.png", *tiny(**changes))


def texture(folder, name="3x3"):
    return np.asarray(Image.open(folder / f"samples/photo/output_texture_{name}.png"))


@pytest.mark.parametrize("dtype", (np.uint8, np.uint16))
def test_colours_go_on_under_what_is_transparent(dtype):
    colour, alpha = np.zeros((20, 30, 3), dtype), np.zeros((20, 30), dtype)
    colour[:], colour[:, 15:] = (10, 20, 30), (200, 100, 50)
    alpha[:, :5] = alpha[:, 25:] = 1
    colour[:, 5:25] = 99
    filled = transparency.continued(colour, alpha)
    assert np.array_equal(filled[alpha > 0], colour[alpha > 0])
    assert (filled[:, 5:8] < 60).all() and (filled[:, 22:25, 0] > 150).all(), "nearest colours"
    assert (np.diff(filled[..., 0].astype(int), axis=1) >= 0).all(), "smoothly"


def test_what_is_stored_under_transparency_is_not_read(tmp_path):
    Image.fromarray(draw_lace()).save(tmp_path / "photo.png")
    pixels, _ = photos.read_photo(tmp_path / "photo.png", alpha=True)
    small, _ = photos.read_photo(tmp_path / "photo.png", alpha=True, max_side=50)
    for each in (pixels, small):
        assert each.shape[2] == 4 and (each[..., 0].astype(int) - each[..., 1] < 128).all(), "magenta"
    assert np.array_equal(pixels[..., 3], draw_lace()[..., 3])


def test_a_texture_of_a_transparent_photo_is_transparent(lace, tmp_path):
    result = lace()
    assert result.code == 0, result.err
    drawn = texture(tmp_path)
    assert drawn.shape == (3 * HEIGHT, 3 * WIDTH, 4)
    photo = td.load_photo(tmp_path / "photo.png", alpha="draw")
    layout = td.lay_out(photo, "matched", grids.make_grid(3 * HEIGHT, 3 * WIDTH, TILE), 0)
    found = 0
    for (i, j), (y, x) in ((cell, layout.source[cell]) for cell in layout.grid.cells() if layout.real()[cell]):
        here = drawn[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]
        if here.shape[:2] == (TILE, TILE) and 0 <= y <= HEIGHT - TILE and 0 <= x <= WIDTH - TILE:
            assert np.array_equal(here[..., 3], draw_lace()[y:y + TILE, x:x + TILE, 3])
            found += 1
    assert found > 4
    assert (drawn[..., 0].astype(int) - drawn[..., 1] < 160).all(), "magenta shows"


def test_filling_is_as_it_was(lace, tmp_path):
    result = lace(ALPHA="fill")
    assert result.code == 0 and "filled with the mean colour" in result.out
    assert texture(tmp_path).shape == (3 * HEIGHT, 3 * WIDTH, 3)


def test_a_photo_without_transparency_is_read_as_ever(tmp_path):
    opaque = draw_lace()
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "photo.png")
    kept, filled = (td.load_photo(tmp_path / "photo.png", alpha=alpha) for alpha in td.ALPHAS)
    assert kept.digest == filled.digest and kept.channels.is_plain()


def test_a_fully_transparent_photo_is_refused(lace, tmp_path):
    Image.fromarray(draw_lace() * np.array([1, 1, 1, 0], np.uint8)).save(tmp_path / "photo.png")
    assert_refused(lace(), "fully transparent")


def test_what_is_shown_of_it_is_grey_where_it_is_transparent(tmp_path):
    Image.fromarray(draw_lace()).save(tmp_path / "photo.png")
    photo = td.load_photo(tmp_path / "photo.png", alpha="draw")
    shown, given = photo.pixels(photo.x), draw_lace().astype(int)
    assert shown.shape == (HEIGHT, WIDTH, 3) and np.abs(shown[given[..., 3] == 0] - 127.5).max() < 1
    opaque = given[..., 3] == 255
    assert np.abs(shown[opaque] - given[opaque, :3]).max() <= 1
