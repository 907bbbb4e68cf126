"""Heights: numbers of any range become 16 bits, and what holds no data is filled, said, and not learned."""

import numpy as np
import pytest
from conftest import assert_refused, draw_pixels, tiny
from test_deep import GREY, read, same, write_exr, write_tiff

import texture_diffusion as td
from texture_diffusion_tools.reading import heights, photos
from texture_diffusion_tools.running.errors import UserError

HIGH = draw_pixels(60, 70, channels=1).astype(np.float64) * 3 + 400  # from 580 to 1057
HOLE = np.zeros(HIGH.shape, bool)
HOLE[:12, :20] = HOLE[30, 40] = True


def tag(text):
    return {"extratags": [(42113, "s", 0, text, True)]}


def scaled(values):
    seen = values[~HOLE]
    return (values - seen.min()) / np.ptp(seen) * 65535


def with_hole(kind, value):
    values = HIGH.astype(kind)
    values[HOLE] = value
    return values


HOLES = {  # name -> (kind of number, what stands for "no data", GDAL's tag)
    "-9999": (np.float32, -9999, None), "-99999": (np.float64, -99999, None),
    "lowest": (np.float32, -3.4028235e38, None),
    "highest": (np.float32, 3.4028235e38, None), "1e20": (np.float32, 1e20, None), "nan": (np.float32, np.nan, None),
    "nan, double": (np.float64, np.nan, None), "inf": (np.float32, np.inf, None), "int16": (np.int16, -32768, None),
    "int16, -9999": (np.int16, -9999, None), "int32": (np.int32, -2147483648, None), "half": (np.float16, -9999, None),
    "tag": (np.float32, 700.5, "700.5"), "tag, nan": (np.float32, np.nan, "nan"), "tag, int16": (np.int16, 0, "0"),
    "tag, uint16": (np.uint16, 0, "0"), "tag, lowest": (np.float32, -3.4028235e38, "-3.4028234663852886e+38")}


@pytest.mark.parametrize("name", HOLES)
def test_what_holds_no_data_is_filled_and_said_and_does_not_count(tmp_path, name):
    kind, value, text = HOLES[name]
    path = write_tiff(tmp_path / "a.tif", with_hole(kind, value), **(tag(text) if text else {}))
    for depth in (None, 8):
        pixels, notes = read(path, depth)
        expected = scaled(HIGH.astype(kind).astype(float))
        off = np.abs(pixels / (1 if pixels.dtype == np.uint16 else 1 / 257) - expected)
        assert off[~HOLE].max() <= (1 if pixels.dtype == np.uint16 else 130)
        assert f"{HOLE.mean():.2%} of it holds no data" in notes
        filled = pixels[HOLE].astype(int)
        assert pixels[~HOLE].min() <= filled.min() and filled.max() <= pixels[~HOLE].max()
    assert same(photos.without_data(path), np.where(HOLE, 255, 0).astype(np.uint8))


@pytest.mark.parametrize("values", [HIGH.astype(np.float32), HIGH.astype(np.int16) - 800, GREY, draw_pixels(40, 50),
                                    np.where(HOLE, -9999, HIGH * -9).astype(np.float32),  # -9999 is no outlier there
                                    np.where(HOLE, 0, HIGH).astype(np.float32)])
def test_all_else_has_data_everywhere(tmp_path, values):
    path = write_tiff(tmp_path / "a.tif", values)
    assert photos.without_data(path) is None and "no data" not in read(path)[1]


def test_signed_numbers_are_scaled_and_that_is_said(tmp_path):
    for kind in (np.int8, np.int16, np.int32):
        values = (draw_pixels(40, 50, channels=1).astype(int) - 130).astype(kind)
        pixels, notes = read(write_tiff(tmp_path / "a.tif", values))
        expected = (values.astype(float) - values.min()) / np.ptp(values.astype(int)) * 65535
        assert np.abs(pixels - expected).max() <= 1 and "were scaled" in notes


@pytest.mark.parametrize("kind, options", [(np.uint32, {}), (np.uint32, {"byteorder": ">"}), (np.uint64, {})])
def test_large_numbers_do_not_wrap_around(tmp_path, kind, options):
    path = write_tiff(tmp_path / "a.tif", GREY.astype(kind) << (16 if kind == np.uint32 else 40), **options)
    expected = (GREY - float(GREY.min())) / np.ptp(GREY.astype(int)) * 65535
    for depth in (None, 8):
        pixels, notes = read(path, depth)
        assert np.abs(pixels * (1 if depth is None else 257.0) - expected).max() <= (1 if depth is None else 130)
        assert "were scaled" in notes


def test_a_file_without_any_data_is_refused(tmp_path):
    with pytest.raises(UserError, match="no data"):
        read(write_tiff(tmp_path / "a.tif", np.full((40, 50), np.nan, np.float32)))


def test_what_holds_no_data_in_an_exr_file_is_filled(tmp_path):
    pixels, notes = read(write_exr(tmp_path / "a.exr", {"Y": with_hole(np.float32, np.nan)}))
    assert np.abs(pixels - scaled(HIGH))[~HOLE].max() <= 1 and "no data" in notes


def test_colours_with_a_collar_of_no_data_are_learned_without_it(tmp_path):
    """An orthophoto: GDAL's tag says that black is none."""
    colours = draw_pixels(60, 70)
    colours[HOLE] = 0
    path = write_tiff(tmp_path / "a.tif", colours, **tag("0"))
    photo = td.load_photo(path, tile=16)
    assert np.array_equal(~photo.usable.numpy(), HOLE)
    assert photo.pixels(photo.x)[HOLE].min() > 0


def test_what_holds_no_data_is_not_learned_and_not_repaired(tool, tmp_path):
    path = write_tiff(tmp_path / "dem.tif", with_hole(np.float32, -9999))
    photo = td.load_photo(path, tile=16)
    assert np.array_equal(~photo.usable.numpy(), HOLE) and photo.mask is None
    result = tool("dem.tif", *tiny(EPOCHS=1))
    assert result.code == 0 and "no data" in result.out
    assert (tmp_path / "samples" / "dem" / "output_texture_3x3.png").exists()
    assert not list((tmp_path / "samples" / "dem").glob("repaired*"))
    assert_refused(tool("dem.tif", *tiny(PIXELS=4)), "PIXELS", "dem.tif holds no data in places", "leave it out")


def test_a_crop_that_has_data_everywhere_is_a_photo_as_any(tmp_path):
    path = write_tiff(tmp_path / "dem.tif", with_hole(np.float32, -9999))
    assert td.load_photo(path, crop=(0, 31, 70, 29), tile=16).usable.all()


def test_a_photo_with_too_little_data_is_refused_with_what_is_left(tmp_path):
    values = with_hole(np.float32, np.nan)
    values[20:] = np.nan
    with pytest.raises(UserError, match="What holds no data leaves too little"):
        td.load_photo(write_tiff(tmp_path / "dem.tif", values), tile=16)


def test_memory_of_numbers_that_fit_is_left_alone():
    values = np.arange(60_000, dtype=np.uint16).reshape(200, 300)
    assert same(heights.measured(values, []), values)
