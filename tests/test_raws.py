"""Raw files of cameras are developed, or it is said that they are raw; a preview is not taken for the photo."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_refused, draw_pixels, mutated, tiny
from test_deep import COLOUR, GREY, read, same, write_tiff

from texture_diffusion_tools.reading import raws
from texture_diffusion_tools.running.errors import UserError

tifffile = pytest.importorskip("tifffile")
PREVIEW, SENSOR = draw_pixels(40, 50), np.full((96, 128), 5000, np.uint16)


def write_raw(path, tags=((50706, "B", 4, (1, 4, 0, 0), True),), photometric=32803, order="<", big=False):
    """A TIFF with a preview and, in a folder of it, what a sensor saw."""
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as file:
        file.write(PREVIEW, photometric="rgb", subfiletype=1, subifds=1, extratags=tags, metadata=None)
        pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
        file.write(SENSOR, photometric=photometric, extratags=pattern * (photometric == 32803), metadata=None)
    return path


def write_head(content):
    return lambda folder: (folder / "a.bin").write_bytes(content.ljust(100, b"\0")) and folder / "a.bin"


RAWS = {
    "DNG": lambda folder: write_raw(folder / "a.dng"), "DNG, renamed": lambda folder: write_raw(folder / "a.tif"),
    "DNG, big-endian": lambda folder: write_raw(folder / "a.dng", order=">"),
    "DNG, BigTIFF": lambda folder: write_raw(folder / "a.dng", big=True),
    "NEF": lambda folder: write_raw(folder / "a.NEF", ()), "ARW": lambda folder: write_raw(folder / "a.arw", ()),
    "TIFF of a sensor": lambda folder: write_raw(folder / "a.tif", ()),
    "PEF": lambda folder: write_raw(folder / "a.pef", (), "minisblack"),
    "RAF": write_head(b"FUJIFILMCCD-RAW 0201"), "ORF": write_head(b"IIRO\x08\0\0\0"),
    "RW2": write_head(b"IIU\0\x18\0\0\0"),
    "CR2": write_head(b"II*\0\x10\0\0\0CR\2\0"), "CR3": write_head(b"\0\0\0\x18ftypcrx \0\0\0\1"),
    "X3F": write_head(b"FOVb"), "MRW": write_head(b"\0MRM")}


@pytest.mark.parametrize("name", RAWS)
def test_a_raw_file_is_said_to_be_one(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    kind = name.split(",")[0]
    with pytest.raises(UserError, match=f"raw file of a camera \\({kind}\\).*develop it.*pip install rawpy"):
        read(RAWS[name](tmp_path))


def test_a_raw_file_ends_a_run_in_one_sentence(tool, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert_refused(tool(write_raw(tmp_path / "photo.dng"), *tiny()), "photo.dng", "pip install rawpy", "develop")


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}])
def test_other_tiff_files_are_none(tmp_path, options):
    for pixels in (PREVIEW, COLOUR, GREY):
        assert raws.kind_of(write_tiff(tmp_path / "a.tif", pixels, **options)) is None
    assert raws.kind_of(write_tiff(tmp_path / "b.tif", np.stack([GREY, GREY]), photometric="minisblack")) is None
    assert same(read(write_tiff(tmp_path / "c.raw", GREY))[0], GREY)


class Raw:
    """In place of rawpy's RawPy."""

    sizes = SimpleNamespace(raw_width=128, raw_height=96)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def postprocess(self, **options):
        assert options["output_bps"] == 16
        return COLOUR


def test_a_raw_file_is_developed_with_16_bits_where_rawpy_is_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", SimpleNamespace(imread=lambda path: Raw()))
    path = write_raw(tmp_path / "a.dng")
    pixels, notes = read(path)
    assert same(pixels, COLOUR) and "raw file (DNG)" in notes
    assert np.abs(read(path, 8)[0] - COLOUR / 257).max() <= 1
    monkeypatch.setattr(Raw, "sizes", SimpleNamespace(raw_width=12_000, raw_height=9000))
    with pytest.raises(UserError, match="12000 x 9000 .* 100 megapixels"):
        read(path)


def test_a_raw_file_that_cannot_be_developed_is_one_sentence(tmp_path, monkeypatch):
    def fail(path):
        raise RuntimeError("b'Unsupported file format'")

    monkeypatch.setitem(sys.modules, "rawpy", SimpleNamespace(imread=fail))
    with pytest.raises(UserError, match="cannot be developed here .*Unsupported"):
        read(write_raw(tmp_path / "a.dng"))


def test_rawpy_develops_what_a_sensor_saw(tmp_path):
    pytest.importorskip("rawpy")
    assert read(write_raw(tmp_path / "a.dng"))[0].shape[:2] == SENSOR.shape


def test_mutated_files_are_raw_or_not_and_nothing_else(tmp_path):
    random_, content = random.Random(0), write_raw(tmp_path / "a.dng").read_bytes()
    found = set()
    for _ in range(300):
        (tmp_path / "b.tif").write_bytes(mutated(content, random_, lambda length, random_: random_.randrange(400)))
        found.add(raws.kind_of(tmp_path / "b.tif"))
    assert found <= {None, "DNG", "TIFF of a sensor"} and len(found) > 1
