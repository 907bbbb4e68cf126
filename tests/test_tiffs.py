"""TIFF files of kinds that Pillow does not know are read, or it is said what they are; negatives are turned round."""

import random
import sys

import numpy as np
import pytest
from conftest import draw_pixels, mutated, profile
from PIL import Image
from test_deep import COLOUR, GREY, HIGH, read, same, write_tiff

from texture_diffusion_tools.reading import tiffs
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import UserError

tifffile = pytest.importorskip("tifffile")
SHARES = (COLOUR / 65535).astype(np.float64)
ALPHA = np.where(np.arange(COLOUR.shape[0])[:, None] < 10, 0, 65535).astype(np.uint16) + np.zeros_like(GREY)


def write(path, values, **options):
    tifffile.imwrite(path, values, **{"photometric": "rgb", "metadata": None, **options})
    return path


def levels(pixels):
    return pixels / (257 if pixels.dtype == np.uint16 else 1)


# 0 is white


@pytest.mark.parametrize("values", [HIGH[..., 0], GREY, SHARES[..., 0].astype(np.float32), SHARES[..., 0]],
                         ids=["8", "16", "32", "64"])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}], ids=["", "big-endian", "zlib"])
def test_a_negative_is_turned_round(tmp_path, values, options):
    top = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    path = write(tmp_path / "a.tif", top - values, photometric="miniswhite", **options)
    expected = HIGH[..., 0] if values.dtype == np.uint8 else GREY
    for depth in (None, 8, 16):
        assert np.abs(levels(read(path, depth)[0]) - levels(expected)).max() <= 0.51
    assert same(read(path)[0], expected)


def test_without_a_word_on_it_black_is_0(tmp_path):
    path = write_tiff(tmp_path / "a.tif", GREY)
    content, entry = path.read_bytes(), b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00"
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, b"\x0d\x01" + entry[2:]))  # another tag, which says nothing
    assert same(read(path)[0], GREY)


# Colours


@pytest.mark.parametrize("kind, error", [(np.float16, 32), (np.float32, 0), (np.float64, 0)])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True},
                                     {"planarconfig": "separate"}, {"photometric": "minisblack",
                                                                    "planarconfig": "contig"}],
                         ids=["", "big-endian", "predictor", "planes", "black is 0"])
def test_colours_as_floats_are_read(tmp_path, kind, error, options):
    if "compression" in options:
        pytest.importorskip("imagecodecs")
    values = np.moveaxis(SHARES, -1, 0) if options.get("planarconfig") == "separate" else SHARES
    path = write(tmp_path / "a.tif", values.astype(kind), **options)
    pixels, notes = read(path)
    assert pixels.dtype == np.uint16 and np.abs(pixels.astype(int) - COLOUR).max() <= error
    assert "floats were taken for sRGB" in notes
    assert np.abs(read(path, 8)[0] - COLOUR / 257).max() <= 1


@pytest.mark.parametrize("values", [HIGH, COLOUR, COLOUR.astype(np.uint32) << 16], ids=["8", "16", "32"])
@pytest.mark.parametrize("options", [{"photometric": "minisblack", "planarconfig": "contig"}, {"byteorder": ">"}])
def test_colours_as_integers_of_any_kind_are_read(tmp_path, values, options):
    pixels, _ = read(write(tmp_path / "a.tif", values, **options))
    assert same(pixels, HIGH if values.dtype == np.uint8 else COLOUR)


def test_grey_values_as_floats_of_any_size_are_heights(tmp_path):
    for kind, error in ((np.float16, 32), (np.float64, 0)):
        pixels, notes = read(write(tmp_path / "a.tif", SHARES[..., 0].astype(kind), photometric="minisblack"))
        assert np.abs(pixels.astype(int) - GREY).max() <= error and not notes


@pytest.mark.parametrize("top", [255, 65535])
def test_colours_as_floats_up_to_another_white_are_scaled_and_that_is_said(tmp_path, top):
    pixels, notes = read(write(tmp_path / "a.tif", (SHARES * top).astype(np.float32)))
    assert np.abs(pixels.astype(int) - COLOUR).max() <= 1 and f"{top} for white" in notes


def test_floats_that_are_brighter_than_white_are_toned_down_and_that_is_said(tmp_path):
    values = SHARES * 0.7
    values[:5] += 3
    pixels, notes = read(write(tmp_path / "a.tif", values.astype(np.float32)))
    assert np.abs(pixels[5:] - values[5:] * 65535).max() <= 1 and pixels.max() < 65535 and "toned down" in notes


def test_the_profile_of_floats_is_used(tmp_path):
    pixels, notes = read(write(tmp_path / "a.tif", SHARES.astype(np.float32),
                               iccprofile=profile("RGB ", "sRGB, linear")))
    expected, _ = read(write(tmp_path / "b.tif", COLOUR, iccprofile=profile("RGB ", "Linear light")))
    assert np.abs(pixels.astype(int) - expected).max() <= 2 and "converted from" in notes


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_alpha_of_floats_is_transparency(tmp_path, extra):
    alpha = np.where(ALPHA, 0.5, 0)
    values = SHARES * (alpha[..., None] if extra == "assocalpha" else 1)
    path = write(tmp_path / "a.tif", np.dstack([values, alpha]).astype(np.float32), extrasamples=[extra])
    pixels, _ = read(path, alpha=True)
    assert pixels.shape[2] == 4 and np.abs(pixels[10:, :, :3].astype(int) - COLOUR[10:]).max() <= 1
    assert not pixels[:10, :, 3].any() and np.abs(pixels[10:, :, 3] - 32768.0).max() <= 1


def test_of_many_channels_three_are_colours_and_that_is_said(tmp_path):
    values = np.dstack([COLOUR, GREY, GREY, GREY, GREY])
    pixels, notes = read(write(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig"))
    assert same(pixels, COLOUR) and "7 channels" in notes


@pytest.mark.parametrize("orientation", range(2, 9))
def test_floats_are_turned_upright(tmp_path, orientation):
    tag = [(274, "H", 1, orientation, True)]
    one = read(write(tmp_path / "a.tif", SHARES.astype(np.float32), extratags=tag))[0]
    assert same(one, read(write_tiff(tmp_path / "b.tif", COLOUR, extratags=tag))[0])


# What is not read


@pytest.mark.parametrize("photometric, word", [(8, "CIE L"), (32845, "LogLuv"), (10, "ITU L")])
def test_what_is_not_read_is_said_to_be_what_it_is(tmp_path, photometric, word):
    write(tmp_path / "a.tif", SHARES.astype(np.float32), photometric=photometric)
    with pytest.raises(UserError, match=f"3 channels of 32 bits in .*{word}.*save it as"):
        read(tmp_path / "a.tif")


def test_numbers_that_are_complex_are_refused_by_name(tmp_path):
    write(tmp_path / "a.tif", SHARES[..., 0].astype(np.complex64), photometric="minisblack")
    with pytest.raises(UserError, match="complex"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("missing, options", [("tifffile", {}), ("imagecodecs", {"compression": "zstd"})])
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, missing, options):
    pytest.importorskip("imagecodecs")
    path = write(tmp_path / "a.tif", SHARES, **options)
    if missing == "tifffile":
        monkeypatch.setitem(sys.modules, "tifffile", None)
    else:
        monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda *args, **more: without_codecs())
    with pytest.raises(UserError, match=f"a.tif .*pip install .*{missing}"):
        read(path)


def without_codecs():
    raise ValueError("<COMPRESSION.ZSTD: 50000> requires the 'imagecodecs' package")


def test_a_page_that_claims_too_much_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", SHARES)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", None)
    monkeypatch.setattr(tiffs, "MAX_BYTES", SHARES.nbytes - 1)
    with pytest.raises(UserError, match="GB"):
        read(path)


def kinds_of_files(folder):
    some = SHARES[:40, :50]
    written = [write(folder / "a", values, **options).read_bytes() for values, options in (
        (some, {}), (some.astype(np.float16), {"compression": "zlib"}), (some.astype(np.float32), {"tile": (16, 16)}),
        (some.astype(np.float32), {"compression": "lzw", "predictor": True}),
        (np.moveaxis(some, -1, 0), {"planarconfig": "separate"}),
        (COLOUR[:40, :50], {"photometric": "minisblack", "planarconfig": "contig", "rowsperstrip": 7}),
        (some[..., 0], {"photometric": "minisblack", "extratags": [(42113, "s", 0, "-9999", True)]}))]
    return written


def outcome(path):
    try:
        pixels, notes = read(path)
    except UserError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return "refused"
    assert pixels.dtype in (np.uint8, np.uint16) and notes.isprintable()
    return "photo"


def test_mutated_files_are_photos_or_refused_in_one_line(tmp_path, capfd):
    kinds, random_, memory = kinds_of_files(tmp_path), random.Random(0), devices.peak_memory()
    outcomes = []
    for number in range(150):
        (tmp_path / "a.tif").write_bytes(mutated(kinds[number % len(kinds)], random_,
                                                 lambda length, random_: random_.randrange(min(400, length - 4))))
        outcomes.append(outcome(tmp_path / "a.tif"))
    assert "".join(capfd.readouterr()) == "", "a library had its say"
    assert outcomes.count("photo") > 20 and outcomes.count("refused") > 40
    assert devices.peak_memory() - memory < 1e9


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_files_that_are_cut_short_are_refused(tmp_path, share):
    for number, content in enumerate(kinds_of_files(tmp_path)):
        (tmp_path / "a.tif").write_bytes(content[:int(len(content) * share)])
        assert outcome(tmp_path / "a.tif") == "refused", f"file {number}"


def test_what_pillow_reads_needs_no_package(tmp_path, monkeypatch):
    Image.fromarray(draw_pixels(20, 20)).save(tmp_path / "a.tif")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert read(tmp_path / "a.tif")[0].shape == (20, 20, 3)
