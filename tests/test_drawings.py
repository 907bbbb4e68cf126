"""Drawings under way: in bands, and gone on with."""

import signal

import numpy as np
import pytest
import torch
from PIL import Image

import texture_diffusion as td
from texture_tools import drawings


@pytest.mark.parametrize("changes", [{}, {"TILEABLE": "xy"}, {"REDRAW_ORIGINALS": True, "TILEABLE": "x"}])
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
@pytest.mark.parametrize("after", [1, 5, 11])
def test_a_drawing_that_was_stopped_goes_on_and_comes_out_the_same(drawing, tmp_path, monkeypatch, band_pixels, after):
    monkeypatch.setattr(drawings, "BAND_PIXELS", band_pixels)
    monkeypatch.setattr(drawings, "WHOLE_PIXELS", band_pixels)
    place, count = td.Texture.place, []
    monkeypatch.setattr(td.Texture, "place", lambda *args: count.append(1) or place(*args))
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y").code == 0
    path = tmp_path / "samples/photo/output_texture_130x140_tileable_y.png"
    unbroken, batches = np.asarray(Image.open(path)), len(count)
    path.unlink()
    count.clear()

    def stopped(self, *args):
        count.append(1)
        place(self, *args)
        if len(count) == after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(td.Texture, "place", stopped)
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
    drawing, shape = drawings.Drawing([tmp_path / "x.png"], [(3, 8, True)], (96, 96), [None], {}, ["all", torch.ones(3)]), (3, 16, 16)
    good = {"key": drawing.key, "done": 0, "writers": [{}], "drawn": {(0, 1): torch.zeros(3, 16, 16)}}
    bad = [{"key": "other"}, {"drawn": {(0, 1): torch.zeros(3, 8, 8)}}, {"done": -1}, {"drawn": [1]},
           {"writers": [{"rows": 1}]}, {"writers": []}, {"drawn": {(0, 1): torch.zeros(1).expand(3, 16, 16)}},
           {"drawn": {(0, 1): torch.full((3, 16, 16), float("nan"))}}]
    for change in bad:
        torch.save({**good, **change}, drawing.path)
        assert drawing.resume(shape) == (0, {}), change
    torch.save(good, drawing.path)
    assert drawing.resume(shape)[1].keys() == {(0, 1)}
