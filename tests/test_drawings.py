"""Drawings under way: in bands, and gone on with."""


import numpy as np
import pytest
import torch
from conftest import assert_refused, draw_pixels, figures, slow_but, stop_after, tiny
from PIL import Image

from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.writing import drawings, png


@pytest.mark.parametrize("changes", slow_but([{}, {"TILEABLE": "xy"}, {"REDRAW": "all", "TILEABLE": "x"},
                                              {"REDRAW": "seams"}, {"REDRAW": "seams", "TILEABLE": "xy"}],
                                             {"TILEABLE": "xy"}, {"REDRAW": "seams", "TILEABLE": "xy"}))
def test_bands_are_the_texture_in_one_piece(drawing, tmp_path, monkeypatch, changes):
    result = drawing(OUTPUT_SIZE="(130,140)", **changes)
    assert result.code == 0, result.err
    path = min((tmp_path / "samples/photo").glob("output_texture_130x140*.png"), key=lambda path: len(path.name))
    at_once = np.asarray(Image.open(path))
    path.unlink()
    monkeypatch.setattr(drawings, "BAND_PIXELS", 1)
    monkeypatch.setattr(drawings, "WHOLE_PIXELS", 1)
    assert drawing(OUTPUT_SIZE="(130,140)", **changes).code == 0
    assert at_once.shape == (140, 130, 3) and np.array_equal(np.asarray(Image.open(path)), at_once)
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == [".made.json"]


@pytest.mark.parametrize("band_pixels", [1, 1e7])
@pytest.mark.parametrize("after", slow_but([1, 5, 11], 5))
def test_a_drawing_that_was_stopped_goes_on_and_comes_out_the_same(drawing, tmp_path, monkeypatch, band_pixels, after):
    monkeypatch.setattr(drawings, "BAND_PIXELS", band_pixels)
    monkeypatch.setattr(drawings, "WHOLE_PIXELS", band_pixels)
    count = stop_after(monkeypatch, None)
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y").code == 0
    path = tmp_path / "samples/photo/output_texture_130x140_tileable_y.png"
    unbroken, batches = np.asarray(Image.open(path)), len(count)
    path.unlink()
    count = stop_after(monkeypatch, after)
    result = drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y")
    assert result.code == 130 and "same command" in result.err and not path.exists()
    before = len(count)
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y").code == 0
    assert np.array_equal(np.asarray(Image.open(path)), unbroken)
    assert len(count) - before <= batches - after, "what was drawn before the stop was drawn again"


def test_a_region_of_the_command_is_that_part_of_its_texture(drawing, tmp_path):
    assert drawing(OUTPUT_SIZE="(130,140)").code == 0
    assert drawing(OUTPUT_SIZE="(130,140)", REGION="(30,41,50,60)").code == 0
    folder = tmp_path / "samples/photo"
    everything, part = (np.asarray(Image.open(folder / f"output_texture_130x140{name}.png"))
                        for name in ("", "_region_30_41_50x60"))
    assert np.array_equal(part, everything[41:101, 30:80])


def test_drawing_goes_on_only_from_what_is_whole_and_fits(tmp_path):
    """A file beside the texture, made by others, draws nothing."""
    made_of, shape = ["all", torch.ones(3)], (3, 16, 16)
    drawing = drawings.Drawing([tmp_path / "x.png"], [(3, 8, True)], (96, 96), [None], {}, made_of)
    good = {"key": drawing.key, "done": 0, "writers": [{}], "parts": {},
            "drawn": {(0, 1): torch.zeros(3, 16, 16)}}
    bad = [{"key": "other"}, {"drawn": {(0, 1): torch.zeros(3, 8, 8)}}, {"done": -1}, {"drawn": [1]},
           {"writers": [{"rows": 1}]}, {"writers": []}, {"parts": {(0, 1): torch.zeros(3)}},
           {"drawn": {(0, 1): torch.zeros(1).expand(3, 16, 16)}},
           {"drawn": {(0, 1): torch.full((3, 16, 16), float("nan"))}}]
    for change in bad:
        torch.save({**good, **change}, drawing.path)
        assert drawing.resume(shape) == (0, {}, {}), change
    torch.save(good, drawing.path)
    assert drawing.resume(shape)[1].keys() == {(0, 1)}


# Depth


def deep_photo(folder, channels=3):
    """photo.png with 16 bits a channel, whose low bytes count."""
    rng = np.random.default_rng(0)
    pixels = draw_pixels(54, 70, channels=channels).astype(np.uint16) * 200
    pixels += rng.integers(0, 200, pixels.shape, np.uint16)
    png.save_png(folder / "photo.png", pixels)
    return pixels


@pytest.mark.parametrize("channels", slow_but((1, 3), 3))
def test_a_photo_of_16_bits_gives_a_texture_of_16_bits(tool, tmp_path, plain_figures, channels):
    pixels = deep_photo(tmp_path, channels)
    result = tool("photo.png", *tiny())
    assert result.code == 0, result.err
    path = tmp_path / figures(result.out)["output"]
    texture, _ = photos.read_photo(path, depth=None)
    assert texture.dtype == np.uint16 and texture.shape == (162, 210, *pixels.shape[2:])
    assert set(np.unique(pixels[:48, :64])) & set(np.unique(texture)), "real tiles keep their low bytes"
    assert len(np.unique(texture % 256)) > 200
    result = tool("photo.png", *tiny(DEPTH=8, FRESH=True))
    assert result.code == 0 and np.asarray(Image.open(tmp_path / figures(result.out)["output"])).dtype == np.uint8


def test_16_bits_of_a_photo_with_8_are_drawn_by_the_same_model(drawing, tmp_path):
    """And the levels between are drawn, too."""
    assert drawing().code == 0
    path = tmp_path / "samples/photo/output_texture_3x3.png"
    coarse = np.asarray(Image.open(path)).astype(float)
    assert drawing(DEPTH=16).code == 0
    fine, _ = photos.read_photo(path, depth=None)
    assert fine.dtype == np.uint16 and np.abs(fine / 257 - coarse).max() <= 0.51
    assert len(np.unique(fine)) > 2000


def test_depths_that_no_file_has_are_refused(tool):
    assert_refused(tool("photo.png", *tiny(DEPTH=12)), "DEPTH", "8 or 16")
