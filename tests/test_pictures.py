"""The pictures that a run writes, and the figures that judge its texture."""

import csv

import numpy as np
import pytest
import torch
from conftest import TILE, TINY, draw_photo, draw_pixels
from PIL import Image
from skimage.color import rgb2lab

import texture_diffusion as td
from texture_tools import measures, pictures, png

PICTURES = ("train_predictions.png", "val_predictions.png", "diffusion_steps.png", "output_texture_3x3.png",
            "layout.png", "loss.png")


def checkerboard(rows=6, columns=8):
    """A layout whose real tiles all come from the photo's corner."""
    source = np.full((rows, columns, 2), -1)
    source[np.indices((rows, columns)).sum(0) % 2 == 0] = 0
    grid = td.make_grid(rows * TILE, columns * TILE, TILE)
    return td.Layout(grid, source, [[cell for cell in grid.cells() if sum(cell) % 2]])


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


@pytest.mark.parametrize("name", PICTURES)
def test_a_run_leaves_every_picture(finished, name):
    assert finished.result.returncode == 0, finished.result.stderr
    with Image.open(finished.pictures / name) as image:
        image.load()
        assert image.format == "PNG"
        assert np.ptp(np.asarray(image)) > 0


def test_the_texture_is_three_times_the_photo(finished):
    assert Image.open(finished.pictures / "output_texture_3x3.png").size == (210, 162)


def test_the_texture_tells_how_it_was_made(finished):
    text = Image.open(finished.pictures / "output_texture_3x3.png").text
    everything = " ".join(text.values())
    assert text["seed"] == "0"
    for name, value in TINY.items():
        assert name in everything and str(value).strip("()").split(",")[0] in everything
    assert torch.__version__ in everything and td.__version__ in everything


def test_the_loss_curve_is_a_table_of_the_epochs(finished):
    rows = list(csv.DictReader((finished.pictures / "loss.csv").open()))
    assert len(rows) == TINY["EPOCHS"]
    assert [int(row["tiles"]) for row in rows] == [TINY["EPOCH_TILES"], 2 * TINY["EPOCH_TILES"]]
    assert all(float(row["training_loss"]) > 0 and float(row["validation_loss"]) > 0 for row in rows)


def test_without_held_out_tiles_the_curve_leaves_them_out(tmp_path):
    curve = [[2, 1.5, None], [4, 0.5, None]]
    pictures.save_curve(tmp_path / "loss.csv", curve, 4)
    pictures.draw_loss(tmp_path / "loss.png", curve, 4)
    rows = list(csv.DictReader((tmp_path / "loss.csv").open()))
    assert [row["validation_loss"] for row in rows] == ["", ""]
    Image.open(tmp_path / "loss.png").load()


def test_the_layout_picture_marks_the_drawn_tiles_alone(tmp_path):
    layout = checkerboard()
    pixels = np.full((6 * TILE, 8 * TILE, 3), 120, np.uint8)
    pictures.draw_layout(tmp_path / "layout.png", pixels, layout)
    small = np.asarray(Image.open(tmp_path / "layout.png").convert("RGB").resize((8, 6), Image.BOX)).astype(int)
    unchanged = (np.abs(small - 120) <= 1).all(-1)
    assert np.array_equal(unchanged, layout.real())


def test_metadata_survives_any_letters(tmp_path):
    pixels = draw_pixels(20, 30)
    png.save_png(tmp_path / "a.png", pixels, {"constants": "{'IMAGE': 'Mörtel – 石.png'}"})
    image = Image.open(tmp_path / "a.png")
    assert "Mörtel – 石" in image.text["constants"]
    assert np.array_equal(np.asarray(image), pixels)


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
    photo, layout = td.normalise(pixels, "tiled"), checkerboard()
    texture = np.tile(photo.pixels(photo.x), (2, 2, 1))
    assert measures.colour_difference(texture, layout, photo) == pytest.approx(0, abs=1e-6)
    other = change_drawn(texture, layout, lambda tile: tile + 20)
    assert measures.colour_difference(other, layout, photo) > 3


def test_the_colour_of_real_tiles_does_not_count():
    photo, layout = draw_photo(48, 64), checkerboard()
    pixels = noise(layout)
    brighter = change_drawn(pixels + 60, layout, lambda tile: tile - 60)
    assert measures.colour_difference(brighter, layout, photo) == measures.colour_difference(pixels, layout, photo)
