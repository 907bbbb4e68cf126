"""Photos with 16 bits a channel: every bit is read, and cropping, straightening, shrinking and even light keep them."""

import importlib.util
import random
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from conftest import assert_refused, draw_pixels, mutated, profile, tiny
from PIL import Image

from texture_diffusion_tools.reading import deep, exr, photos, profiles
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png

HEIGHT, WIDTH = 54, 70
HIGH, LOW = draw_pixels(HEIGHT, WIDTH), np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3))
COLOUR = (HIGH.astype(np.uint16) << 8 | LOW).astype(np.uint16)  # the low byte is noise, so that none of it may be lost
GREY = COLOUR[..., 0]
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[:10] = True
ALPHA = np.where(HOLE, 0, 65535).astype(np.uint16)


# Files


def with_chunk(kind, data):
    """A change of a PNG file's bytes: one more chunk after its header."""
    return lambda content: content[:33] + png.chunk(kind, data) + content[33:]


def write_png(path, pixels, interlace=False, change=lambda content: content, **options):
    """By pypng."""
    other = pytest.importorskip("png")
    pixels = np.atleast_3d(pixels)
    writer = other.Writer(pixels.shape[1], pixels.shape[0], bitdepth=16, greyscale=pixels.shape[2] < 3,
                          alpha=pixels.shape[2] in (2, 4), interlace=interlace, **options)
    with open(path, "wb") as file:
        write = writer.write_array if interlace else writer.write
        write(file, pixels.ravel().tolist() if interlace else pixels.reshape(len(pixels), -1).tolist())
    path.write_bytes(change(path.read_bytes()))
    return path


def write_tiff(path, pixels, **options):
    tifffile = pytest.importorskip("tifffile")
    if options.get("compression") == "lzw":
        pytest.importorskip("imagecodecs")
    photometric = "minisblack" if pixels.ndim == 2 else "rgb"
    tifffile.imwrite(path, pixels, **{"photometric": photometric, "metadata": None, **options})
    return path


def write_exr(path, channels, compression="ZIP_COMPRESSION", **header):
    OpenEXR = pytest.importorskip("OpenEXR")
    head = {"compression": getattr(OpenEXR, compression), "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(head, channels).write(str(path))
    return path


def read(path, depth=None, **options):
    """The pixels of a photo and its notes on one line, but for the one on light."""
    pixels, notes = photos.read_photo(path, depth=depth, **options)
    return pixels, " ".join(note for note in notes if not note.startswith("brightness"))


def same(pixels, expected):
    return pixels.dtype == expected.dtype and np.array_equal(pixels, expected)


FILES = {  # name -> (how it is written, its pixels)
    "PNG, grey": (lambda folder: write_png(folder / "a.png", GREY), GREY),
    "PNG, grey and alpha": (lambda folder: write_png(folder / "a.png", np.dstack([GREY, ALPHA | 65535])), GREY),
    "PNG, RGB": (lambda folder: write_png(folder / "a.png", COLOUR), COLOUR),
    "PNG, RGBA": (lambda folder: write_png(folder / "a.png", np.dstack([COLOUR, ALPHA | 65535])), COLOUR),
    "PNG, interlaced": (lambda folder: write_png(folder / "a.png", COLOUR, interlace=True), COLOUR),
    "PNG, our own": (lambda folder: png.save_png(folder / "a.png", COLOUR) or folder / "a.png", COLOUR),
    "TIFF, grey": (lambda folder: write_tiff(folder / "a.tif", GREY), GREY),
    "TIFF, grey, big-endian": (lambda folder: write_tiff(folder / "a.tif", GREY, byteorder=">"), GREY),
    "TIFF, grey, zlib": (lambda folder: write_tiff(folder / "a.tif", GREY, compression="zlib"), GREY),
    "TIFF, RGBA": (lambda folder: write_tiff(folder / "a.tif", np.dstack([COLOUR, ALPHA | 65535]),
                                             extrasamples=["unassalpha"]), COLOUR),
    "TIFF, RGB and more": (lambda folder: write_tiff(folder / "a.tif", np.dstack([COLOUR, GREY]),
                                                     extrasamples=["unspecified"]), COLOUR),
    **{f"TIFF, {name}": (lambda folder, options=options: write_tiff(folder / "a.tif", COLOUR, **options), COLOUR)
       for name, options in {
           "little-endian": {"byteorder": "<"}, "big-endian": {"byteorder": ">"}, "strips": {"rowsperstrip": 7},
           "tiles": {"tile": (16, 32)}, "zlib": {"compression": "zlib"}, "lzw": {"compression": "lzw"},
           "lzw, big-endian": {"compression": "lzw", "byteorder": ">"},
           "predictor": {"compression": "lzw", "predictor": True}, "BigTIFF": {"bigtiff": True},
           "zlib, tiles": {"compression": "zlib", "tile": (16, 32)}}.items()}}


@pytest.mark.parametrize("name", FILES)
def test_every_bit_of_16_is_read(tmp_path, name):
    write, expected = FILES[name]
    path = write(tmp_path)
    pixels, notes = read(path)
    assert same(pixels, expected) and not notes
    assert same(read(path, 16)[0], expected)


@pytest.mark.parametrize("name", FILES)
def test_8_bits_are_what_they_were(tmp_path, name):
    write, expected = FILES[name]
    path = write(tmp_path)
    with Image.open(path) as image:
        before = photos.to_8_bit(image, [])
    found, _ = read(path, 8)
    assert same(found, np.asarray(before)) and np.array_equal(photos.read_photo(path)[0], found)
    levels = expected / 257 if before.mode == "L" else expected / 256
    assert np.abs(found - (levels if found.ndim == levels.ndim else levels[..., None])).max() < 1


@pytest.mark.parametrize("pixels", [HIGH, HIGH[..., 0]], ids=["RGB", "grey"])
def test_a_file_of_8_bits_stays_one_or_is_made_one_of_16_in_which_white_is_white(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert same(read(tmp_path / "a.png")[0], pixels)
    assert same(read(tmp_path / "a.png", 16)[0], pixels.astype(np.uint16) * 257)


TURNS = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
         6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: np.rot90}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("pixels", [COLOUR, GREY, np.dstack([GREY, ALPHA | 65535])], ids=["RGB", "grey", "grey, alpha"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_turned_upright(tmp_path, suffix, pixels, orientation):
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    if suffix == "png":
        write_png(path, pixels, change=with_chunk(b"eXIf", exif.tobytes()[6:]))
    else:
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels
        write_tiff(path, pixels, extratags=[(274, "H", 1, orientation, True)])
    expected = TURNS[orientation](pixels[..., 0] if pixels.shape[-1] == 2 else pixels)
    assert same(read(path)[0], expected)
    assert np.abs(np.atleast_3d(read(path, 8)[0]) - np.atleast_3d(expected) / 257).max() < 1


def test_of_several_pages_with_16_bits_the_first_is_used_and_that_is_said(tmp_path):
    path = write_tiff(tmp_path / "a.tif", np.stack([COLOUR, COLOUR[::-1]]))
    pixels, notes = read(path)
    assert same(pixels, COLOUR) and "2 pictures" in notes


# Transparency


def with_hole(pixels):
    """What transparent parts become: the mean of the visible ones."""
    out = pixels.astype(float)
    out[HOLE] = out[~HOLE].mean(0)
    return out


@pytest.mark.parametrize("pixels", [COLOUR, GREY], ids=["RGB", "grey"])
def test_transparent_parts_become_the_mean_with_16_bits(tmp_path, pixels):
    found, notes = read(write_png(tmp_path / "a.png", np.dstack([pixels, ALPHA])))
    assert found.dtype == np.uint16 and np.abs(found - with_hole(pixels)).max() <= 1
    assert np.array_equal(found[~HOLE], pixels[~HOLE]) and notes == deep.TRANSPARENT


@pytest.mark.parametrize("grey", [False, True])
def test_a_transparent_colour_of_16_bits_is_not_shown(tmp_path, grey):
    """A colour that differs from it in the low byte alone is shown."""
    pixels = (GREY if grey else COLOUR).copy()
    hidden, near = 1234 if grey else (1234, 2345, 3456), 1235 if grey else (1235, 2345, 3456)
    pixels[HOLE], pixels[20] = hidden, near
    found, notes = read(write_png(tmp_path / "a.png", pixels, transparent=hidden))
    assert np.abs(found - with_hole(pixels)).max() <= 1 and same(found[20], pixels[20])
    assert "transparent" in notes


def test_half_transparent_values_are_divided_by_their_alpha(tmp_path):
    """A TIFF may have values that are multiplied with alpha."""
    alpha = np.linspace(20_000, 65535, WIDTH).astype(np.uint16) + np.zeros((HEIGHT, 1), np.uint16)
    multiplied = (COLOUR / 65535 * alpha[..., None]).round().astype(np.uint16)
    straight = write_tiff(tmp_path / "a.tif", np.dstack([COLOUR, alpha]), extrasamples=["unassalpha"])
    associated = write_tiff(tmp_path / "b.tif", np.dstack([multiplied, alpha]), extrasamples=["assocalpha"])
    assert np.abs(read(straight)[0].astype(int) - read(associated)[0]).max() <= 4


def test_a_picture_with_16_bits_that_shows_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="fully transparent"):
        read(write_png(tmp_path / "a.png", np.dstack([COLOUR, ALPHA * 0])))


# Profiles, and what has to be read with 8 bits


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colours_with_16_bits_are_converted_to_srgb(tmp_path, suffix):
    icc, path = profile("RGB ", "Linear light"), tmp_path / f"a.{suffix}"
    if suffix == "png":
        write_png(path, COLOUR, change=with_chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc)))
    else:
        write_tiff(path, COLOUR, iccprofile=icc)
    pixels, notes = read(path)
    light = COLOUR / 65535
    expected = 65535 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(pixels - expected).max() <= 20 and notes == "its colours were converted from Linear light to sRGB"


def test_a_profile_of_tables_costs_the_low_bytes_and_that_is_said(tmp_path, monkeypatch):
    icc = profile("RGB ", "Linear light")
    monkeypatch.setattr(profiles, "curves_and_matrix", lambda profile: int("tables"))
    path = write_tiff(tmp_path / "a.tif", np.dstack([COLOUR, ALPHA]), extrasamples=["unassalpha"], iccprofile=icc)
    pixels, notes = read(path)
    before, said = read(path, 8)
    assert same(pixels, before) and same(read(path, 16)[0], before.astype(np.uint16) * 257)
    assert notes.startswith("8 bits a channel were read, as its colour profile, Linear light") and notes.endswith(said)


@pytest.mark.parametrize("options", [{"photometric": "separated"}, {"planarconfig": "separate", "compression": "zlib"}])
def test_what_has_16_bits_of_another_kind_is_read_with_8_and_that_is_said(tmp_path, options):
    four = np.dstack([COLOUR, GREY])
    pixels = four if "photometric" in options else np.moveaxis(COLOUR, -1, 0)
    path = write_tiff(tmp_path / "a.tif", pixels, **options)
    found, notes = read(path)
    assert same(found, read(path, 8)[0]) and "8 bits a channel were read" in notes
    assert "photometric" in options or same(found, (COLOUR >> 8).astype(np.uint8))


@pytest.mark.parametrize("depth", [None, 8, 16])
def test_planes_of_16_bits_without_compression_are_refused_not_misread(tmp_path, depth):
    path = write_tiff(tmp_path / "a.tif", np.moveaxis(COLOUR, -1, 0), planarconfig="separate")
    with pytest.raises(UserError, match="one after another"):
        read(path, depth)


def test_planes_of_cmyk_with_16_bits_are_not_misread_either(tmp_path):
    planes = np.moveaxis(np.dstack([COLOUR, GREY]), -1, 0)
    path = write_tiff(tmp_path / "a.tif", planes, planarconfig="separate", photometric="separated")
    with pytest.raises(UserError, match="one after another"):
        read(path)


def test_planes_of_8_bits_are_read_as_they_were(tmp_path):
    path = write_tiff(tmp_path / "a.tif", np.moveaxis(HIGH, -1, 0), planarconfig="separate")
    assert same(read(path)[0], HIGH) and same(read(path, 8)[0], HIGH)


# Heights as floats


def test_floats_from_0_to_1_keep_their_values(tmp_path):
    values = GREY.astype(np.float32) / 65535
    pixels, notes = read(write_tiff(tmp_path / "a.tif", values))
    assert same(pixels, GREY) and not notes


@pytest.mark.parametrize("low, high", [(-3, 5), (100, 2000), (0, 255), (-3e38, 3e38)])
def test_other_floats_are_scaled_and_their_range_is_said(tmp_path, low, high):
    shares = (GREY - GREY.min()) / np.ptp(GREY.astype(int))
    pixels, notes = read(write_tiff(tmp_path / "a.tif", (shares * high + (1 - shares) * low).astype(np.float32)))
    assert pixels.min() == 0 and pixels.max() == 65535 and np.abs(pixels - shares * 65535).max() <= 1
    assert f"from {low:g} to {high:g}" in notes


@pytest.mark.parametrize("kind, error", [(np.float32, 0), (np.float16, 32)])
@pytest.mark.parametrize("names", ["Y", "Z", "BGR", "AY", "ABGR"])
def test_heights_in_an_exr_file_are_read(tmp_path, kind, error, names):
    values = (GREY / 65535).astype(kind)
    path = write_exr(tmp_path / "a.exr", {name: np.ones_like(values) if name == "A" else values for name in names})
    pixels, notes = read(path)
    assert pixels.dtype == np.uint16 and np.abs(pixels.astype(int) - GREY).max() <= error and not notes
    assert np.abs(read(path, 8)[0] - GREY / 257).max() <= 1


def srgb(light):
    """Linear light as sRGB, both in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind, error", [(np.float32, 1), (np.float16, 50)])
@pytest.mark.parametrize("names", ["RGB", "XYZ", "RGBA", "RGBZ", ("layer.R", "layer.G", "layer.B")])
def test_linear_colours_in_an_exr_file_are_made_srgb(tmp_path, kind, error, names):
    light = np.dstack([COLOUR / 65535, np.ones_like(GREY)])
    pixels, notes = read(write_exr(tmp_path / "a.exr", {name: light[..., k].astype(kind)
                                                        for k, name in enumerate(names)}))
    assert np.abs(pixels - 65535 * srgb(COLOUR / 65535)).max() <= error
    assert ("of its channels Z were left out" in notes) == (names == "RGBZ")
    assert "converted from linear light to sRGB" in notes


@pytest.mark.parametrize("kind, error", [(np.float32, 1), (np.float16, 33)])
@pytest.mark.parametrize("names", ["RGB", "RGBA"])
def test_a_map_s_numbers_in_an_exr_file_stay_as_they_are(tmp_path, kind, error, names):
    both = np.dstack([COLOUR, GREY])[..., :len(names)]
    path = write_exr(tmp_path / "a.exr", {name: (both[..., k] / 65535).astype(kind) for k, name in enumerate(names)})
    image, notes = photos.open_image(path, None, colours=False)
    assert np.abs(np.asarray(image).astype(int) - both).max() <= error and not notes


def test_vectors_in_an_exr_file_may_go_from_minus_1_to_1(tmp_path):
    path = write_exr(tmp_path / "a.exr", {name: (COLOUR[..., k] / 32767.5 - 1).astype(np.float32)
                                          for k, name in enumerate("RGB")})
    image, notes = photos.open_image(path, None, colours=False)
    assert np.abs(np.asarray(image).astype(int) - COLOUR).max() <= 1 and "from -1 to 1" in notes[0]


def test_what_is_transparent_in_an_exr_file_is_divided_by_its_alpha(tmp_path):
    alpha = np.linspace(0.1, 1, WIDTH, dtype=np.float32) + np.zeros((HEIGHT, 1), np.float32)
    channels = {name: (COLOUR[..., k] / 65535 * alpha).astype(np.float32) for k, name in enumerate("RGB")}
    image, _ = photos.open_image(write_exr(tmp_path / "a.exr", {**channels, "A": alpha}), None, alpha=True)
    expected = np.dstack([65535 * srgb(COLOUR / 65535), 65535 * alpha])
    assert np.abs(np.asarray(image) - expected).max() <= 2


def with_primaries(path):
    """The same OpenEXR file, which was written with an attribute n, with the primaries of ACES in its place, which the
    package cannot write."""
    before = b"n" * 14 + b"\0string\0" + struct.pack("<I", 40) + b"v" * 40
    after = b"chromaticities\0" * 2 + struct.pack("<I8f", 32, 0.7347, 0.2653, 0, 1, 0.0001, -0.077, 0.3217, 0.3377)
    path.write_bytes(path.read_bytes().replace(before, after))
    return path


def test_what_is_brighter_than_white_in_an_exr_file_is_toned_down(tmp_path):
    light = COLOUR / np.float32(27000)
    pixels, notes = read(write_exr(tmp_path / "a.exr", {name: light[..., k].copy() for k, name in enumerate("RGB")}))
    dim, brightest = light.max(-1) < 0.74, light.max(-1) > 1.5
    assert np.abs(pixels[dim] - 65535 * srgb(light[dim])).max() <= 1 and "toned down" in notes
    assert dim.any() and brightest.any() and pixels[brightest].max() < 65535


def test_primaries_of_an_exr_file_are_those_of_its_colours(tmp_path):
    """By the usual matrix from ACES to sRGB, with Bradford's adaptation of the white."""
    expected = COLOUR / 65535 @ np.array([[2.5214, -1.1340, -0.3876], [-0.2763, 1.3727, -0.0964],
                                          [-0.0154, -0.1530, 1.1684]]).T
    channels = {name: (COLOUR[..., k] / 65535).astype(np.float32) for k, name in enumerate("RGB")}
    pixels, notes = read(with_primaries(write_exr(tmp_path / "a.exr", channels, **{"n" * 14: "v" * 40})))
    assert np.abs(pixels - 65535 * srgb(expected.clip(0, 1))).max() < 300 and "its own primaries" in notes


@pytest.mark.parametrize("names", ["UV", ("BY", "RY", "Y")])
def test_channels_of_another_kind_in_an_exr_file_are_refused_with_what_helps(tmp_path, names):
    channels = {name: (COLOUR[..., k] / 65535).astype(np.float32) for k, name in enumerate(names)}
    with pytest.raises(UserError, match=f"has {len(names)} channels .* save colours as PNG or TIFF with 16 bits"):
        read(write_exr(tmp_path / "a.exr", channels))


def test_an_exr_file_of_too_many_channels_is_refused_by_its_header(tmp_path, monkeypatch):
    path = write_exr(tmp_path / "a.exr", {f"{layer}.{name}": GREY.astype(np.float32)
                                          for layer in "abcdef" for name in "RGB"})
    monkeypatch.setattr(photos, "MAX_MEGAPIXELS", 4 * HEIGHT * WIDTH / 1e6)
    monkeypatch.setattr(exr, "read", None)
    with pytest.raises(UserError, match="megapixels"):
        read(path)


def test_an_alpha_channel_beside_heights_is_left_out_and_that_is_said(tmp_path):
    channels = {"Y": (GREY / 65535).astype(np.float32), "A": HOLE.astype(np.float32)}
    pixels, notes = read(write_exr(tmp_path / "a.exr", channels))
    assert same(pixels, GREY) and "alpha" in notes


def test_an_exr_file_without_its_package_says_what_to_install(tool, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "photo.exr").write_bytes(exr.MAGIC + bytes(100))
    assert_refused(tool("photo.exr", *tiny()), "photo.exr", "pip install OpenEXR", "PNG or TIFF")


def test_all_else_with_16_bits_needs_no_package(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", COLOUR)
    write_tiff(tmp_path / "a.tif", COLOUR, compression="zlib")
    for name in ("OpenEXR", "tifffile", "imagecodecs", "cv2", "png"):
        monkeypatch.setitem(sys.modules, name, None)
    assert same(read(tmp_path / "a.png")[0], COLOUR) and same(read(tmp_path / "a.tif")[0], COLOUR)


def test_where_there_is_no_stderr_photos_are_read_too(tmp_path, monkeypatch):
    def closed(number):
        raise OSError(9, "Bad file descriptor")

    path = write_png(tmp_path / "a.png", COLOUR)
    monkeypatch.setattr(deep.os, "dup", closed)
    assert same(read(path)[0], COLOUR)


# Cropped, straightened, shrunk, made even


def smooth(height, width, channels=3):
    """A texture as smooth as light, uint16 [H, W, 3] or [H, W], which 8 bits would cut into steps."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [0.4 + 0.1 * np.sin(3 * x + k) * np.cos(2 * y - k) for k in range(channels)]
    return (65535 * np.stack(waves, -1)).round().astype(np.uint16).squeeze()


CHANGES = {"crop": {"crop": (20, 10, 100, 90)}, "shrink": {"max_side": 120}, "even": {"even": True},
           "corners": {"corners": ((30, 12), (190, 5), (180, 150), (20, 140)), "aspect": 1.2},
           "all": {"corners": ((30, 12), (190, 5), (180, 150), (20, 140)), "aspect": 1.2, "crop": (5, 5, 120, 100),
                   "max_side": 100, "even": True}}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("channels", [3, 1])
def test_what_is_done_to_a_photo_gives_the_same_with_16_bits_as_with_8(tmp_path, change, channels):
    pixels = draw_pixels(160, 200, channels=channels)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shallow, said = photos.read_photo(tmp_path / "a.png", **CHANGES[change])
    found, notes = photos.read_photo(tmp_path / "a.png", depth=16, **CHANGES[change])
    assert found.dtype == np.uint16 and found.shape == shallow.shape and notes == said
    differences = np.abs(found / 257 - shallow)  # levels of 255; the way by 8 bits rounds in between
    assert differences.max() <= (3 if change == "all" else 1.5) and differences.mean() < 0.6


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("channels", [3, 1])
def test_a_smooth_photo_with_16_bits_stays_without_steps(tmp_path, change, channels):
    """The second difference along a row: of 8 bits it is 257 wherever there is a step."""
    png.save_png(tmp_path / "a.png", smooth(160, 200, channels))
    pixels, _ = read(tmp_path / "a.png", **CHANGES[change])
    assert np.abs(np.diff(pixels[2:-2, 2:-2].astype(int), 2, axis=1)).max() < 60
    assert len(np.unique(pixels)) > 10 * np.ptp(pixels.astype(int)) / 257  # ten values for each of 8 bits


@pytest.mark.parametrize("lamp", [0, 80])
@pytest.mark.parametrize("channels", [3, 1])
def test_light_that_drifts_is_judged_with_16_bits_as_with_8(lamp, channels):
    pixels = np.random.default_rng(0).integers(60, 170, (80, 100, channels)) + np.linspace(0, lamp, 100)[:, None]
    pixels = pixels.astype(np.uint8).squeeze()
    notes = photos.lighting_note(pixels)
    assert bool(notes) == bool(lamp) and photos.lighting_note(pixels.astype(np.uint16) * 257) == notes


def test_a_long_strip_is_judged_for_its_light_in_time():
    start = time.process_time()
    photos.lighting_note(np.zeros((1_000_000, 70), np.uint8))
    assert time.process_time() - start < 5  # s; 60 at every row


@pytest.mark.parametrize("grey", [False, True])
def test_an_upright_rectangle_is_cut_out_of_16_bits_bit_for_bit(tmp_path, grey):
    pixels = GREY if grey else COLOUR
    png.save_png(tmp_path / "a.png", pixels)
    found, _ = read(tmp_path / "a.png", corners=((10, 5), (60, 5), (60, 45), (10, 45)), aspect=50 / 40)
    assert same(found, pixels[5:45, 10:60])


def test_a_crop_outside_a_photo_with_16_bits_is_refused_with_its_size(tmp_path):
    png.save_png(tmp_path / "a.png", COLOUR)
    with pytest.raises(UserError, match="70 x 54"):
        read(tmp_path / "a.png", crop=(0, 0, 71, 10))


# Rubbish


def claim_png(path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png.chunk(b"IHDR", header) + png.chunk(b"IDAT", zlib.compress(b"")) +
                     png.chunk(b"IEND", b""))
    return path


def claim_tiff(path, width, height):
    write_tiff(path, np.zeros((16, 16, 3), np.uint16) + 7)
    content = path.read_bytes()
    for tag, value in ((256, width), (257, height)):
        entry = max(content.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
        content = content[:entry] + struct.pack("<HHII", tag, 4, 1, value) + content[entry + 12:]
    path.write_bytes(content)
    return path


def claim_exr(path, width, height):
    write_exr(path, {"Y": np.zeros((16, 16), np.float32)})
    content, window = path.read_bytes(), struct.pack("<4i", 0, 0, 15, 15)
    path.write_bytes(content.replace(window, struct.pack("<4i", 0, 0, width - 1, height - 1), 1))
    return path


@pytest.mark.parametrize("claim", [claim_png, claim_tiff, claim_exr])
@pytest.mark.parametrize("width, height", [(12_000, 9000), (100_000, 100_000)])
def test_a_deep_file_that_claims_too_much_is_refused_by_its_header(tmp_path, monkeypatch, claim, width, height):
    path = claim(tmp_path / "a.png", width, height)
    monkeypatch.setattr(Image.Image, "load", None)
    monkeypatch.setattr(exr, "read", None)
    memory = devices.peak_memory()
    with pytest.raises(UserError, match="100 megapixels"):
        read(path)
    assert devices.peak_memory() - memory < 1e8


def deep_files(folder):
    """Bytes of files of each kind that is read with 16 bits and can be written here."""
    some, alpha = COLOUR[:40, :50], np.where(HOLE, 0, 65535)[:40, :50].astype(np.uint16)
    cards = with_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile("RGB ", "Linear light")))
    found = [write_png(folder / "a", some, change=cards).read_bytes(),
             write_png(folder / "a", np.dstack([some[..., 0], alpha])).read_bytes(),
             write_png(folder / "a", np.dstack([some, alpha]), interlace=True).read_bytes(),
             write_png(folder / "a", some[..., 0], transparent=int(some[0, 0, 0])).read_bytes()]
    if importlib.util.find_spec("tifffile"):
        half = np.dstack([some, alpha])
        found += [write_tiff(folder / "a", pixels, **options).read_bytes() for pixels, options in (
            (some, {"iccprofile": profile("RGB ", "Linear light")}), (some, {"compression": "zlib", "byteorder": ">"}),
            (half, {"extrasamples": ["assocalpha"]}), (some[..., 0].astype(np.float32), {}),
            (some[..., 0], {"compression": "zlib", "tile": (16, 16)}))]
    if importlib.util.find_spec("OpenEXR"):
        values = some[..., 0] / np.float32(65535)
        found += [write_exr(folder / "a", {"Y": values.astype(kind)}, compression).read_bytes()
                  for kind, compression in ((np.float32, "ZIP_COMPRESSION"), (np.float16, "PIZ_COMPRESSION"),
                                            (np.float32, "NO_COMPRESSION"), (np.float16, "DWAA_COMPRESSION"))]
        found.append(write_exr(folder / "a", {name: (some[..., k % 3] / 65535).astype(np.float16)
                                              for k, name in enumerate("RGBA")}).read_bytes())
    return found


def outcome(path):
    """"photo" or "refused" in one sentence; anything else is raised."""
    try:
        pixels, notes = photos.read_photo(path, depth=16)
    except UserError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return "refused"
    assert pixels.dtype == np.uint16 and all(note.isprintable() for note in notes)
    return "photo"


def test_200_mutations_of_deep_files_are_photos_or_refused_in_one_line(tmp_path, capfd):
    kinds, random_, outcomes, slowest = deep_files(tmp_path), random.Random(0), [], 0
    memory = devices.peak_memory()
    for number in range(200):
        (tmp_path / "a.png").write_bytes(mutated(kinds[number % len(kinds)], random_,
                                                 lambda length, random_: random_.randrange(min(400, length - 4))))
        start = time.process_time()  # of the processor: other programs don't count
        outcomes.append(outcome(tmp_path / "a.png"))
        slowest = max(slowest, time.process_time() - start)
    growth = (devices.peak_memory() - memory) / 1e9
    screen = "".join(capfd.readouterr())
    print(f"\n{len(kinds)} kinds, {outcomes.count('photo')} photos, slowest {slowest:.2f} s, {growth:.2f} GB more")
    assert screen == "", "a library had its say"
    assert outcomes.count("photo") > 30 and outcomes.count("refused") > 80
    assert slowest < 5 and growth < 1


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_deep_files_that_are_cut_short_are_refused_in_one_line(tmp_path, capfd, share):
    for number, content in enumerate(deep_files(tmp_path)):
        (tmp_path / "a.png").write_bytes(content[:int(len(content) * share)])
        assert outcome(tmp_path / "a.png") == "refused", f"file {number}"
    assert "".join(capfd.readouterr()) == ""


def test_a_photo_with_16_bits_that_is_cut_short_ends_the_run_in_one_sentence(tool, tmp_path):
    path = write_png(tmp_path / "photo.png", COLOUR)
    path.write_bytes(path.read_bytes()[:5000])
    assert_refused(tool("photo.png", *tiny()), "photo.png", "cut short")
