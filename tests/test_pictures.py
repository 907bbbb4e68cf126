"""The pictures that a run writes."""

import csv

import numpy as np
import pytest
import torch
from conftest import TILE, TINY, checkerboard
from PIL import Image

import texture_diffusion as td
from texture_tools import pictures

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


def test_a_tileable_texture_comes_with_a_picture_of_four(drawing, tmp_path):
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="xy").code == 0
    folder = tmp_path / "samples/photo"
    one, four = (np.asarray(Image.open(folder / f"output_texture_130x140_tileable_xy{name}.png"))
                 for name in ("", "_wrapped"))
    assert np.array_equal(four, np.tile(one, (2, 2, 1)))
