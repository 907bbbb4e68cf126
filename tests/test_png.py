"""PNG files, whole and in bands, with 8 and 16 bits a channel."""

import importlib.util
import os
import struct
import zlib

import numpy as np
import pytest
from conftest import draw_pixels
from PIL import Image

from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import DiskError
from texture_diffusion_tools.writing import drawings, png

CHANNELS = {"grey": 1, "grey and alpha": 2, "RGB": 3, "RGBA": 4}
DTYPES = {8: np.uint8, 16: np.uint16}
every_kind = pytest.mark.parametrize("depth", DTYPES)
every_colour = pytest.mark.parametrize("colour", CHANNELS)


def kind_of(height, width, colour, depth, seed=0):
    """Blotches, and in 16 bits a low byte that only noise knows: [H, W] for grey, else [H, W, C]."""
    channels = CHANNELS[colour]
    high = draw_pixels(height, width, seed, channels).astype(DTYPES[depth])
    noise = np.random.default_rng(seed).integers(0, 256, high.shape)
    return high if depth == 8 else (high << 8 | noise).astype(np.uint16)


def chunks(path):
    """[(kind, content)] of a PNG file, in their order, their checksums compared."""
    content, place, found = path.read_bytes(), 8, []
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place:place + 8])
        data = content[place + 8:place + 8 + length]
        assert struct.pack(">I", zlib.crc32(kind + data)) == content[place + 8 + length:place + 12 + length]
        found.append((kind, data))
        place += 12 + length
    return found


def readers(colour, depth):
    """Functions from a path to pixels, by libraries that lose nothing of a kind."""
    other = pytest.importorskip("png")  # pypng
    channels = CHANNELS[colour]

    def rows_of(path):
        width, height, rows, _ = other.Reader(filename=path).read()
        pixels = np.stack([np.array(row, DTYPES[depth]) for row in rows])
        return pixels if channels == 1 else pixels.reshape(height, width, channels)

    yield rows_of
    if depth == 8 or channels == 1:
        yield lambda path: np.asarray(Image.open(path))
    if importlib.util.find_spec("imagecodecs"):
        yield lambda path: importlib.import_module("imagecodecs").png_decode(path.read_bytes())


def write_whole(path, pixels, **options):
    png.save_png(path, pixels, **options)


def write_bands(path, pixels, **options):
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    writer = png.PngBands(path, pixels.shape[:2], {}, channels, 8 * pixels.itemsize, **options)
    for band in np.split(pixels, (7, 30)):
        writer.write(band)


def test_metadata_survives_any_letters(tmp_path):
    pixels = draw_pixels(20, 30)
    png.save_png(tmp_path / "a.png", pixels, {"constants": "{'IMAGE': 'Mörtel – 石.png'}"})
    image = Image.open(tmp_path / "a.png")
    assert "Mörtel – 石" in image.text["constants"]
    assert np.array_equal(np.asarray(image), pixels)


def test_metadata_of_16_bit_colours_survives_too(tmp_path):
    png.save_png(tmp_path / "a.png", kind_of(20, 30, "RGB", 16), {"constants": "Mörtel – 石"})
    assert Image.open(tmp_path / "a.png").text == {"constants": "Mörtel – 石"}


@pytest.mark.parametrize("write", [write_whole, write_bands])
@every_colour
@every_kind
def test_other_readers_find_the_values(tmp_path, write, colour, depth):
    """Of 16 bits the low byte is noise, so that none of it may be lost."""
    pixels = kind_of(40, 50, colour, depth)
    write(tmp_path / "a.png", pixels)
    for read in readers(colour, depth):
        found = read(tmp_path / "a.png")
        assert found.itemsize >= pixels.itemsize and np.array_equal(found, pixels)  # Pillow 10 reads grey as int32


@pytest.mark.parametrize("write", [write_whole, write_bands])
@every_colour
@every_kind
def test_colours_say_that_they_are_srgb_and_data_does_not(tmp_path, write, colour, depth):
    pixels = kind_of(40, 50, colour, depth)
    write(tmp_path / "a.png", pixels)
    kinds = [kind for kind, _ in chunks(tmp_path / "a.png")]
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and kinds.count(b"sRGB") == 1
    assert kinds.index(b"sRGB") < kinds.index(b"IDAT") and dict(chunks(tmp_path / "a.png"))[b"sRGB"] == b"\0"
    write(tmp_path / "data.png", pixels, srgb=False)
    assert b"sRGB" not in dict(chunks(tmp_path / "data.png"))


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


@every_colour
@every_kind
def test_a_png_in_bands_goes_on_where_it_stopped(tmp_path, colour, depth):
    pixels, kind = kind_of(40, 50, colour, depth), (CHANNELS[colour], depth)
    first = png.PngBands(tmp_path / "a.png", (40, 50), {}, *kind)
    first.write(pixels[:10])
    state = first.state()
    first.write(pixels[10:20])  # the run ended before this was noted
    again = png.PngBands(tmp_path / "a.png", (40, 50), {}, *kind)
    again.resume(**state)
    for band in (pixels[10:25], pixels[25:]):
        again.write(band)
    for read in readers(colour, depth):
        assert np.array_equal(read(tmp_path / "a.png"), pixels)
    with pytest.raises((OSError, ValueError)):
        png.PngBands(tmp_path / "b.png", (40, 50), {}, *kind).resume(**state)


def test_a_band_that_found_no_room_can_be_written_again(tmp_path, monkeypatch):
    pixels = kind_of(40, 50, "RGB", 16)
    writer = png.PngBands(tmp_path / "a.png", (40, 50), {}, depth=16)
    writer.write(pixels[:10])
    with monkeypatch.context() as patch, pytest.raises(DiskError, match="make room"):
        patch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        writer.write(pixels[10:])
    writer.write(pixels[10:])
    for read in readers("RGB", 16):
        assert np.array_equal(read(tmp_path / "a.png"), pixels)


def busy(times, replace=os.replace):
    """os.replace on Windows while a viewer has the target open, which it has for so many attempts."""
    attempts = []

    def attempt(*paths):
        attempts.append(paths)
        if len(attempts) <= times:
            raise PermissionError(13, "Permission denied")
        replace(*paths)

    return attempt


def test_a_picture_that_a_viewer_has_open_is_waited_for(tmp_path, monkeypatch):
    pixels = kind_of(40, 50, "RGB", 8)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(os, "replace", busy(3))
    png.PngBands(tmp_path / "a.png", (40, 50), {}).write(pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)


def test_one_that_stays_open_is_named_and_can_be_written_again(tmp_path, monkeypatch):
    pixels = kind_of(40, 50, "RGB", 8)
    writer = png.PngBands(tmp_path / "a.png", (40, 50), {})
    writer.write(pixels[:10])
    with monkeypatch.context() as patch, pytest.raises(DiskError, match="no program has it open") as refusal:
        patch.setattr(os, "replace", busy(99))
        writer.write(pixels[10:])
    assert "room" not in str(refusal.value)
    writer.write(pixels[10:])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)


@pytest.mark.parametrize("band", [np.zeros((5, 50, 3), np.uint8), np.zeros((5, 50), np.uint16),
                                  np.zeros((5, 49, 3), np.uint16), np.zeros((41, 50, 3), np.uint16)])
def test_rows_of_another_kind_are_refused(tmp_path, band):
    with pytest.raises(ValueError, match="does not fit"):
        png.PngBands(tmp_path / "a.png", (40, 50), {}, depth=16).write(band)


@pytest.mark.parametrize("depth", DTYPES)
def test_rows_are_filtered_in_pieces_with_the_same_result(monkeypatch, depth):
    pixels = kind_of(40, 50, "RGB", depth)
    at_once, _ = png.deflated(pixels, 1, True)
    monkeypatch.setattr(png, "PIECE", 1)
    piece_by_piece, _ = png.deflated(pixels, 1, True)
    assert zlib.decompress(at_once[:-4], -15) == zlib.decompress(piece_by_piece[:-4], -15)
    assert at_once[-4:] == piece_by_piece[-4:]


def test_a_smooth_16_bit_ramp_is_packed_to_a_tenth(tmp_path):
    """Each byte is filtered by the byte of the same weight in the pixel before."""
    ramp = np.linspace(0, 65535, 300 * 400).reshape(300, 400).astype(np.uint16)
    png.save_png(tmp_path / "a.png", np.stack([ramp] * 3, -1))
    assert (tmp_path / "a.png").stat().st_size < ramp.nbytes * 3 / 10


def test_a_drawing_goes_on_only_as_the_kind_of_picture_that_it_was(tmp_path):
    keys = {drawings.Drawing([tmp_path / "a.png"], [(channels, depth, True)], (40, 50), [None], {}, [1]).key
            for channels in (1, 3) for depth in (8, 16)}
    assert len(keys) == 4
