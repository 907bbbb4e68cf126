"""The pictures that a run writes."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TILE, TINY, checkerboard, pixels_in, tiny
from PIL import Image

from texture_diffusion_tools import __version__
from texture_diffusion_tools.writing import pictures

PICTURES = ("train_predictions.png", "val_predictions.png", "diffusion_steps.png", "output_texture_3x3.png",
            "layout.png", "loss.png")


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
    assert torch.__version__ in everything and __version__ in everything


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


def test_the_curve_of_one_epoch_is_seen(tmp_path):
    pictures.draw_loss(tmp_path / "loss.png", [[2, 1.5, None]], 4)
    height, width, _ = (pixels := pixels_in(tmp_path / "loss.png")).shape
    assert pixels[height // 4:-height // 4, width // 4:-width // 4].min() < 128


def test_a_table_shows_each_picture_to_the_pixel_in_the_middle_of_its_cell(tmp_path):
    photo = SimpleNamespace(pixels=lambda x: np.repeat(x.numpy().astype(np.uint8)[:, 0, :, :, None], 3, axis=3))
    columns = {"wide": torch.full((2, 1, 200, 200), 100), "small": torch.tensor([130, 160]).repeat_interleave(64 * 64)
               .reshape(2, 1, 64, 64)}
    pictures.draw_table(tmp_path / "table.png", photo, "a title", columns, ["one", "two"])
    pixels = pixels_in(tmp_path / "table.png")[..., 0]
    rows, cells = [np.flatnonzero((pixels == value).sum(1) >= 64) for value in (130, 160)], pixels == 130
    assert [len(found) for found in rows] == [64, 64] and cells.sum() == 64 * 64
    left, right = np.flatnonzero(cells.any(0))[[0, -1]]
    wide = np.flatnonzero((pixels == 100).sum(0) >= 400)
    assert len(wide) == 200
    assert left - wide[-1] - 1 == pixels.shape[1] - 1 - right == 68 + pictures.LINE


def test_the_layout_picture_marks_the_drawn_tiles_alone(tmp_path):
    layout = checkerboard()
    pixels = np.full((6 * TILE, 8 * TILE, 3), 120, np.uint8)
    pictures.draw_layout(tmp_path / "layout.png", pixels, layout.seen_at((0, 0), pixels.shape[:2])[1])
    small = np.asarray(Image.open(tmp_path / "layout.png").convert("RGB").resize((8, 6), Image.BOX)).astype(int)
    unchanged = (np.abs(small - 120) <= 1).all(-1)
    assert np.array_equal(unchanged, layout.real())


def test_a_grid_shows_its_pictures_row_by_row_between_white_lines():
    x = np.arange(6 * 2 * 3 * 3, dtype=np.uint8).reshape(6, 2, 3, 3)
    grid = pictures.picture_grid(SimpleNamespace(pixels=lambda x: x), x, 3)
    assert grid.shape == (4 + 2 * (2 + 4), 4 + 3 * (3 + 4), 3) and grid.dtype == np.uint8
    for k, picture in enumerate(x):
        row, column = 4 + 6 * (k // 3), 4 + 7 * (k % 3)
        assert np.array_equal(grid[row:row + 2, column:column + 3], picture)
        grid[row:row + 2, column:column + 3] = 255
    assert (grid == 255).all()


def test_a_tileable_texture_comes_with_a_picture_of_four(drawing, tmp_path):
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="xy").code == 0
    folder = tmp_path / "samples/photo"
    one, four = (np.asarray(Image.open(folder / f"output_texture_130x140_tileable_xy{name}.png"))
                 for name in ("", "_wrapped"))
    assert np.array_equal(four, np.tile(one, (2, 2, 1)))


def test_a_prepared_photo_is_shown_before_with_its_corners_and_after(tmp_path):
    before, after = np.full((100, 200), 90, np.uint8), np.full((30, 60, 3), 200, np.uint8)
    pictures.draw_prepared(tmp_path / "prepared.png", before, after, ((20, 10), (180, 30), (170, 90), (10, 80)), 50)
    both = pixels_in(tmp_path / "prepared.png")
    assert both.shape == (50, 100 + 8 + 100, 3)
    assert (both[:, 108:] == 200).all() and (both[:, 100:108] == 255).all()
    for x, y in ((10, 5), (90, 15), (85, 45), (5, 40), (50, 10)):  # in the middle of a side, too
        assert (both[y, x] == (255, 0, 80)).all()
    assert (both[:3, :100] == 90).all() and (both[20:30, 20:60] == 90).all()


@pytest.mark.parametrize("changes, shape", [
    ({"CORNERS": "((2,2),(68,1),(66,52),(3,53))"}, (54, 70)), ({"EVEN_LIGHT": True, "CROP": "(4,3,60,50)"}, (50, 60))])
def test_a_run_that_prepares_its_photo_shows_it(tool, tmp_path, changes, shape):
    """Its left half is the file's, its right half what is learned."""
    assert tool("photo.png", *tiny(EPOCHS=1, **changes)).code == 0
    both = pixels_in(tmp_path / "samples/photo/prepared.png")
    left = round(shape[1] * 512 / shape[0])
    assert both.shape[0] == 512 and (both[:, left:left + 8] == 255).all()
    assert bool((both[:, :left] == (255, 0, 80)).all(-1).any()) == ("CORNERS" in changes)


def test_a_run_that_leaves_its_photo_as_it_is_shows_no_preparation(finished):
    assert not (finished.pictures / "prepared.png").exists()
