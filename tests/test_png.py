"""PNG files, whole and in bands."""

import numpy as np
import pytest
from conftest import draw_pixels
from PIL import Image

from texture_tools import png


def test_metadata_survives_any_letters(tmp_path):
    pixels = draw_pixels(20, 30)
    png.save_png(tmp_path / "a.png", pixels, {"constants": "{'IMAGE': 'Mörtel – 石.png'}"})
    image = Image.open(tmp_path / "a.png")
    assert "Mörtel – 石" in image.text["constants"]
    assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("size", [(3, 5), (20, 30), (33, 1)])
@pytest.mark.parametrize("cuts", [(), (1,), (1, 2)])
def test_a_png_in_bands_holds_the_pixels_and_the_text(tmp_path, size, cuts):
    pixels = draw_pixels(*size)
    writer = png.PngBands(tmp_path / "a.png", size, {"constants": "Mörtel – 石", "seed": "3"})
    for band in np.split(pixels, cuts):
        writer.write(band)
    image = Image.open(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), pixels)
    assert image.text == {"constants": "Mörtel – 石", "seed": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_png_in_bands_is_sound_by_another_reader(tmp_path):
    other = pytest.importorskip("png")
    pixels = draw_pixels(40, 50)
    writer = png.PngBands(tmp_path / "a.png", (40, 50), {})
    for band in np.split(pixels, (7, 30)):
        writer.write(band)
    _, _, rows, _ = other.Reader(filename=tmp_path / "a.png").read()
    assert np.array_equal(np.stack([np.array(row) for row in rows]).reshape(40, 50, 3), pixels)


def test_a_png_in_bands_goes_on_where_it_stopped(tmp_path):
    pixels = draw_pixels(40, 50)
    first = png.PngBands(tmp_path / "a.png", (40, 50), {})
    first.write(pixels[:10])
    state = first.state()
    first.write(pixels[10:20])  # the run ended before this was noted
    again = png.PngBands(tmp_path / "a.png", (40, 50), {})
    again.resume(**state)
    for band in (pixels[10:25], pixels[25:]):
        again.write(band)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    with pytest.raises((OSError, ValueError)):
        png.PngBands(tmp_path / "b.png", (40, 50), {}).resume(**state)
