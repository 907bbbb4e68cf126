"""Photos: every kind of file is pixels as they were meant, or refused in one sentence."""

import importlib.util
import io
import os
import random
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import png
import pytest
from conftest import assert_refused, draw_pixels, files_in, mutated, profile, run_script, slow_but, tiny
from PIL import Image, ImageCms, ImageFilter, features

import texture_diffusion as td
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running import devices, files
from texture_diffusion_tools.running.errors import UserError

pytestmark = pytest.mark.usefixtures("plain_figures")
HEIGHT, WIDTH = 54, 70
COLOUR, GREY = draw_pixels(HEIGHT, WIDTH), draw_pixels(HEIGHT, WIDTH, channels=1)
SMOOTH = np.asarray(Image.fromarray(COLOUR).filter(ImageFilter.GaussianBlur(2)))  # survives JPEG
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[:10] = True


# Modes: what is written -> (how it is written, its pixels, the largest error in levels, a word of the notes)


def loaded(path, **options):
    """The pixels of a photo, uint8 [H, W, 3], and its notes on one line."""
    photo = td.load_photo(path, **options)
    return photo.pixels(photo.x), " ".join(photo.notes)


def saved(image, suffix, **options):
    return lambda folder: image.save(folder / f"photo.{suffix}", **options) or folder / f"photo.{suffix}"


def three(pixels):
    return np.stack([pixels] * 3, -1)


def with_hole(pixels):
    """What transparent parts become: the mean of the visible ones."""
    out = pixels.astype(float)
    out[HOLE] = out[~HOLE].mean(0)
    return out


def alpha():
    return Image.fromarray(np.where(HOLE, 0, 255).astype(np.uint8))


def image_of(pixels, mode, with_alpha=False):
    image = Image.fromarray(pixels).convert(mode.rstrip("A") if with_alpha else mode)
    if with_alpha:
        image.putalpha(alpha())
    return image


def palette():
    return Image.fromarray(COLOUR).quantize(32)


def palette_with_transparency(folder):
    """The colour of the first ten rows is transparent, and is nowhere else."""
    image = Image.fromarray(COLOUR).quantize(31)
    index = np.where(HOLE, 31, np.asarray(image)).astype(np.uint8)
    shown = Image.fromarray(index, "P")
    shown.putpalette(image.getpalette()[:93] + [9, 9, 9])
    shown.save(folder / "photo.png", transparency=31)
    return folder / "photo.png"


def deep_colour(folder):
    """16 bits a channel, which Pillow cannot write."""
    with open(folder / "photo.png", "wb") as file:
        png.Writer(WIDTH, HEIGHT, bitdepth=16, greyscale=False).write(
            file, (COLOUR.astype(np.uint16) * 257).reshape(HEIGHT, -1).tolist())
    return folder / "photo.png"


def lab():
    return ImageCms.profileToProfile(Image.fromarray(SMOOTH), ImageCms.createProfile("sRGB"),
                                     ImageCms.createProfile("LAB"), outputMode="LAB")


def indexed(image):
    return np.asarray(image.convert("RGB"))


BITS = draw_pixels(HEIGHT, WIDTH, channels=1) > 120
MODES = {
    "1": (saved(Image.fromarray(BITS), "png"), three(BITS * 255), 0, ""),
    "L": (saved(Image.fromarray(GREY), "png"), three(GREY), 0, ""),
    "LA": (saved(image_of(GREY, "LA", True), "png"), with_hole(three(GREY)), 1, "transparent"),
    "P": (saved(palette(), "png"), indexed(palette()), 0, ""),
    "P with transparency": (palette_with_transparency, with_hole(indexed(Image.fromarray(COLOUR).quantize(31))), 1,
                            "transparent"),
    "PA": (saved(image_of(COLOUR, "PA", True), "tiff"), with_hole(indexed(Image.fromarray(COLOUR).convert("P"))), 1,
           "transparent"),
    "RGB": (saved(Image.fromarray(COLOUR), "png"), COLOUR, 0, ""),
    "RGBA": (saved(image_of(COLOUR, "RGBA", True), "png"), with_hole(COLOUR), 1, "transparent"),
    "RGBA, WEBP": (saved(image_of(COLOUR, "RGBA", True), "webp", lossless=True, exact=True), with_hole(COLOUR), 1,
                   "transparent"),
    "CMYK, TIFF": (saved(Image.fromarray(COLOUR).convert("CMYK"), "tiff"), COLOUR, 1, ""),
    "CMYK, JPEG": (saved(Image.fromarray(SMOOTH).convert("CMYK"), "jpg", quality=98), SMOOTH, 12, ""),
    "LAB": (saved(lab(), "tiff"), SMOOTH, 6, "L*a*b*"),
    "I;16": (saved(Image.fromarray(GREY.astype(np.uint16) * 257), "png"), three(GREY), 0, ""),
    "I;16, TIFF": (saved(Image.fromarray(GREY.astype(np.uint16) * 257), "tiff"), three(GREY), 0, ""),
    "I": (saved(Image.fromarray(GREY.astype(np.int32) * 257), "tiff"), three(GREY), 0, ""),
    "F, 0 to 1": (saved(Image.fromarray(GREY.astype(np.float32) / 255), "tiff"), three(GREY), 0, ""),
    "F, 0 to 255": (saved(Image.fromarray(GREY.astype(np.float32)), "tiff"), three(GREY), 0, ""),
    "F, 0 to 65535": (saved(Image.fromarray(GREY.astype(np.float32) * 257), "tiff"), three(GREY), 0, ""),
    "RGB, 16 bits": (deep_colour, COLOUR, 0, ""),
    "YCbCr, JPEG": (saved(Image.fromarray(SMOOTH), "jpg", quality=98, subsampling=0), SMOOTH, 5, ""),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_photo_of_every_mode_has_its_values(tmp_path, mode):
    write, expected, tolerance, word = MODES[mode]
    pixels, notes = loaded(write(tmp_path))
    assert np.abs(pixels - expected.astype(float)).max() <= tolerance + 0.5
    assert word in notes and bool(word) == bool(notes), notes


# HEIC and AVIF


def phone_formats():
    """Suffix -> options that lose little, of the formats that can be written here."""
    formats = {"avif": {"quality": 100, "subsampling": "4:4:4"}} if features.check("avif") else {}
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
        formats["heic"] = {"quality": -1, "chroma": 444}
    return formats


PHONE_FORMATS = phone_formats()
phone_formats_only = pytest.mark.parametrize("suffix", [
    pytest.param(suffix, marks=pytest.mark.skipif(suffix not in PHONE_FORMATS, reason=f"{suffix} cannot be written"))
    for suffix in ("avif", "heic")])


def near(pixels, expected, most=8):
    return pixels.shape == expected.shape and np.abs(pixels.astype(float) - expected).max() <= most


@phone_formats_only
def test_a_phone_s_photo_has_its_values(tmp_path, suffix):
    options = PHONE_FORMATS[suffix]
    assert near(loaded(saved(Image.fromarray(SMOOTH), suffix, **options)(tmp_path))[0], SMOOTH)
    assert near(loaded(saved(Image.fromarray(SMOOTH[..., 0]), suffix, **options)(tmp_path))[0], three(SMOOTH[..., 0]))
    pixels, notes = loaded(saved(image_of(SMOOTH, "RGBA", True), suffix, **options)(tmp_path))
    assert near(pixels, with_hole(SMOOTH)) and "transparent" in notes


@phone_formats_only
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_phone_s_photo_is_turned_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(SMOOTH), suffix, exif=exif.tobytes(), **PHONE_FORMATS[suffix])(tmp_path)
    assert near(loaded(path)[0], ORIENTATIONS[orientation](SMOOTH))


@phone_formats_only
def test_a_phone_s_colours_are_converted_to_srgb(tmp_path, suffix):
    image, options = Image.fromarray(SMOOTH), PHONE_FORMATS[suffix]
    path = saved(image, suffix, icc_profile=profile("RGB ", "Linear light"), **options)(tmp_path)
    pixels, notes = loaded(path)
    assert near(pixels, brightened(SMOOTH)) and "Linear light" in notes


@phone_formats_only
def test_a_phone_s_photo_that_is_too_large_is_refused_before_it_is_decoded(tmp_path, suffix, monkeypatch):
    path = saved(Image.fromarray(SMOOTH), suffix)(tmp_path)
    monkeypatch.setattr(photos, "MAX_MEGAPIXELS", WIDTH * HEIGHT / 1e6 * 0.99)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UserError, match="megapixels"):
        td.load_photo(path)


@pytest.mark.parametrize("brands, advice", [(b"heic\0\0\0\0mif1heic", "pip install pillow-heif"),
                                            (b"mif1\0\0\0\0miafheix", "pip install pillow-heif"),
                                            (b"avif\0\0\0\0avifmif1", "pip install --upgrade pillow")])
def test_a_photo_that_needs_what_is_not_installed_says_what(tool, tmp_path, monkeypatch, brands, advice):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(features, "check", lambda name: False)
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftyp" + brands)
    assert_refused(tool("photo.heic", *tiny()), "photo.heic", advice, "PNG or JPEG")


# Orientation, depth, size, light


ORIENTATIONS = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
                6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: np.rot90}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("pixels", [COLOUR, GREY], ids=["colour", "grey"])
def test_every_orientation_of_a_camera_is_turned_upright(tmp_path, orientation, suffix, pixels):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(Image.fromarray(pixels), suffix, exif=exif, **options)(tmp_path)
    assert np.array_equal(loaded(path)[0], ORIENTATIONS[orientation](pixels if pixels.ndim == 3 else three(pixels)))


def save(image, path, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def with_alpha(pixels, hole):
    """Pixels with an alpha channel, fully transparent in the hole's rows and opaque elsewhere."""
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[hole] = 0
    return np.dstack([pixels, alpha])


@pytest.mark.parametrize("suffix, options", [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True})])
def test_lossless_formats_give_their_pixels_back(tmp_path, suffix, options):
    pixels = draw_pixels(40, 50)
    assert np.array_equal(loaded(save(pixels, tmp_path / f"photo.{suffix}", **options))[0], pixels)


@pytest.mark.parametrize("equal_channels", [False, True])
def test_grey_photo_has_one_channel(tmp_path, equal_channels):
    grey = draw_pixels(40, 50, channels=1)
    three = np.stack([grey] * 3, -1)
    photo = td.load_photo(save(three if equal_channels else grey, tmp_path / "grey.png"))
    assert photo.x.shape == (1, 40, 50)
    assert np.array_equal(photo.pixels(photo.x), three)


def test_opaque_alpha_changes_nothing(tmp_path):
    pixels = draw_pixels(40, 50)
    photo = td.load_photo(save(Image.fromarray(with_alpha(pixels, np.s_[:0]), "RGBA"), tmp_path / "opaque.png"))
    assert np.array_equal(photo.pixels(photo.x), pixels)
    assert not photo.notes


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_not_shown(tmp_path, mode):
    colour = Image.fromarray(draw_pixels(40, 50))
    image = colour.quantize(16) if mode == "P" else colour.convert(mode)
    image.paste(0, (0, 0, 50, 10))
    image.save(tmp_path / "hole.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    hidden = np.asarray(Image.open(tmp_path / "hole.png").convert("RGBA"))[..., 3] == 0
    assert hidden[:10].all()
    photo = td.load_photo(tmp_path / "hole.png")
    out = photo.pixels(photo.x)
    assert np.abs(out[hidden] - out[~hidden].mean(0)).max() <= 1
    assert any("transparent" in note for note in photo.notes)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_16_bit_ramp_stays_a_ramp(tmp_path, suffix):
    ramp = np.tile(np.linspace(0, 65535, 512).astype(np.uint16), (40, 1))
    line = loaded(save(ramp, tmp_path / f"ramp.{suffix}"))[0][0, :, 0].astype(int)
    assert np.abs(line - np.linspace(0, 255, 512)).max() <= 1


def test_a_large_photo_is_shrunk_and_both_sizes_are_named(tmp_path):
    photo = td.load_photo(save(draw_pixels(100, 200), tmp_path / "large.png"), max_side=50)
    assert photo.x.shape == (3, 25, 50)
    assert any("200 x 100" in note and "50 x 25" in note for note in photo.notes)


def test_a_long_strip_is_shrunk_no_further_than_three_tiles_across_and_that_is_said(tmp_path, tool):
    path = save(draw_pixels(60, 400), tmp_path / "strip.png")
    photo = td.load_photo(path, max_side=100, least=48)
    assert photo.x.shape == (3, 48, 320)
    assert any("400 x 60" in note and "320 x 48" in note and "three tiles" in note for note in photo.notes)
    assert td.load_photo(path, max_side=100, least=15).x.shape == (3, 15, 100)
    assert td.load_photo(path, max_side=100, least=90).x.shape == (3, 60, 400)  # it is too small for that anyway
    result = tool("strip.png", *tiny(EPOCHS=1, MAX_SIDE=100, SCALE=1))
    assert result.code == 0 and "320 x 48" in result.out


def test_a_photo_within_the_limit_is_left_alone(tmp_path):
    pixels = draw_pixels(40, 50)
    photo = td.load_photo(save(pixels, tmp_path / "small.png"), max_side=50)
    assert np.array_equal(photo.pixels(photo.x), pixels)
    assert not photo.notes


def test_crop_selects_a_part(tmp_path):
    pixels = draw_pixels(40, 50)
    path = save(pixels, tmp_path / "photo.png")
    assert np.array_equal(loaded(path, crop=(7, 3, 30, 20))[0], pixels[3:23, 7:37])


@pytest.mark.parametrize("crop", [(-1, 0, 10, 10), (0, 0, 51, 10), (0, 35, 10, 6), (0, 0, 0, 5)])
def test_a_crop_outside_the_photo_is_refused_with_the_photo_s_size(tmp_path, crop):
    path = save(draw_pixels(40, 50), tmp_path / "photo.png")
    with pytest.raises(UserError, match="50 x 40"):
        td.load_photo(path, crop=crop)


@pytest.mark.parametrize("grey", [False, True])
def test_uneven_lighting_is_reported(tmp_path, grey):
    pixels = draw_pixels(80, 100, channels=1 if grey else 3) * 0.5
    light = np.linspace(0, 120, 100) if grey else np.linspace(0, 120, 100)[:, None]
    photo = td.load_photo(save((pixels + light).astype(np.uint8), tmp_path / "lamp.png"))
    assert any("brightness" in note for note in photo.notes)


def test_even_lighting_is_not_reported(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    assert not td.load_photo(save(noise, tmp_path / "noise.png")).notes


@pytest.mark.parametrize("suffix", ["tiff", "webp"])
def test_of_several_pages_the_first_is_used_and_that_is_said(tmp_path, suffix):
    first, second = (Image.fromarray(draw_pixels(40, 50, seed)) for seed in (0, 1))
    path = save(first, tmp_path / f"pages.{suffix}", save_all=True, append_images=[second], lossless=True)
    photo = td.load_photo(path)
    assert np.array_equal(photo.pixels(photo.x), np.asarray(first))
    assert any("2 pictures" in note for note in photo.notes)


def test_a_single_colour_is_refused(tmp_path):
    with pytest.raises(UserError, match="single colour"):
        td.load_photo(save(np.full((40, 50, 3), 90, np.uint8), tmp_path / "plain.png"))


def test_the_digest_stands_for_the_pixels(tmp_path):
    pixels = draw_pixels(40, 50)
    png, bmp = (td.load_photo(save(pixels, tmp_path / name)) for name in ("a.png", "b.bmp"))
    pixels[3, 4, 1] ^= 1
    assert png.digest == bmp.digest != td.load_photo(save(pixels, tmp_path / "c.png")).digest


# Colour profiles


def brightened(pixels):
    """Linear light as sRGB (IEC 61966-2-1), which is brighter."""
    light = pixels / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode, pixels, space", [("RGB", COLOUR, "RGB "), ("RGBA", COLOUR, "RGB "), ("L", GREY, "GRAY"),
                                                 ("LA", GREY, "GRAY")])
def test_colours_are_converted_from_another_profile_to_srgb(tmp_path, mode, pixels, space):
    image = image_of(pixels, mode, mode.endswith("A"))
    path = saved(image, "png", icc_profile=profile(space, "Linear light"))(tmp_path)
    found, notes = loaded(path)
    expected = brightened(pixels if pixels.ndim == 3 else three(pixels))
    assert np.abs(found - expected)[~HOLE].max() <= 2
    assert "Linear light" in notes and "sRGB" in notes


def test_a_profile_that_is_srgb_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, notes = loaded(saved(Image.fromarray(COLOUR), "png", icc_profile=srgb)(tmp_path))
    assert np.array_equal(pixels, COLOUR) and not notes


@pytest.mark.parametrize("broken", [b"rubbish" * 50, b"\0", profile("GRAY", "of another kind"),
                                    profile("RGB ", "cut short")[:200], profile("RGB ", "a\nb")[:-1]])
def test_a_broken_profile_is_left_out_and_that_is_said(tmp_path, broken):
    pixels, notes = loaded(saved(Image.fromarray(COLOUR), "png", icc_profile=broken)(tmp_path))
    assert np.array_equal(pixels, COLOUR)
    assert "profile" in notes and "\n" not in notes


# Paths


def run(tool, path):
    return tool(path, *tiny(EPOCHS=1))


@pytest.mark.parametrize("name, expected", [
    ("a rock.png", "a rock"), ("Gehweg Zürich.png", "Gehweg Zürich"), ("rock #3.png", "rock #3"),
    ("two\nlines.png", "two_lines"), ("-rock.png", "-rock"), ("石.png", "石"), ("rock", "rock"), ("a.b.png", "a.b"),
    ("tab\t*?.png", "tab___"), (".png", ".png"), ("IMAGE=3.png", "IMAGE=3"), ("rock. .png", "rock"),
    ("C:\\rock.png", "C__rock"), ("../../rock.png", "rock")])
def test_results_are_named_after_the_stem_of_the_photo_s_file(name, expected):
    assert files.name_of(name) == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", slow_but(["-Gehweg Zürich #3.png", "two\nlines.png", "r" * 240 + ".png"],
                                          "-Gehweg Zürich #3.png"))
def test_a_photo_of_any_name_can_be_used(tool, tmp_path, name):
    (tmp_path / "photo.png").rename(tmp_path / name)
    result = run(tool, name)
    assert result.code == 0, result.err
    assert [path.name for path in (tmp_path / "samples").iterdir()] == [files.name_of(name)]
    assert (tmp_path / "checkpoints" / f"{files.name_of(name)}.pt").exists()
    assert all(line.isprintable() for line in result.out.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are text")
def test_a_name_that_is_no_text_is_a_name(tool, tmp_path):
    os.rename(tmp_path / "photo.png", os.fsencode(tmp_path) + b"/r\xf6ck.png")
    result = run(tool, os.fsdecode(b"r\xf6ck.png"))
    assert result.code == 0, result.err
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["r_ck"]
    result.out.encode()


def test_photos_with_long_names_that_differ_at_the_end_have_folders_of_their_own():
    one, other = (files.name_of("ü" * 100 + end + ".png") for end in "ab")
    assert one != other and max(len(name.encode()) for name in (one, other)) <= 120


def a_folder(folder):
    (folder / "rocks").mkdir()
    return "rocks"


def a_fifo(folder):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs fifos")
    os.mkfifo(folder / "rock.png")
    return "rock.png"


def unreadable(folder):
    (folder / "photo.png").chmod(0)
    if os.access(folder / "photo.png", os.R_OK):
        pytest.skip("this user may read everything")
    return "photo.png"


def empty(folder):
    (folder / "rock.png").touch()
    return "rock.png"


BAD_PATHS = {"a folder": a_folder, "a fifo": a_fifo, "a device": lambda folder: "/dev/zero", "unreadable": unreadable,
             "an address": lambda folder: "https://example.com/rock.png", "empty": empty,
             "300 characters": lambda folder: "r" * 296 + ".png", "4,000 folders": lambda folder: "a/" * 4000 + "b.png",
             "nothing": lambda folder: "IMAGE=", "two lines": lambda folder: "no\nrock.png",
             "a link to itself": lambda folder: os.symlink("loop.png", folder / "loop.png") or "loop.png"}


@pytest.mark.parametrize("kind", BAD_PATHS)
def test_a_path_that_leads_to_no_photo_is_refused_in_one_line(tool, tmp_path, kind):
    path = BAD_PATHS[kind](tmp_path)
    before, start = {path.name for path in tmp_path.rglob("*")}, time.monotonic()
    result = run(tool, path)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1 and "Traceback" not in result.err
    assert time.monotonic() - start < 5
    assert {path.name for path in tmp_path.rglob("*")} == before


# Files that are no photo


def png_header(path, width, height):
    """A PNG that claims a size and holds no pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def cut(path, format):
    Image.fromarray(draw_pixels(54, 70)).save(path, format)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


BAD_PHOTOS = {
    "missing": (lambda path: path.unlink(), ("photo.png", "no photo")),
    "a folder": (lambda path: path.unlink() or path.mkdir(), ("photo.png",)),
    "empty": (lambda path: path.write_bytes(b""), ("photo.png", "not a picture")),
    "text": (lambda path: path.write_text("a brick wall"), ("photo.png", "not a picture")),
    "gif": (lambda path: Image.fromarray(draw_pixels(54, 70)).save(path, "GIF"), ("photo.png", "PNG", "JPEG")),
    "truncated png": (lambda path: cut(path, "PNG"), ("photo.png", "cut short")),
    "truncated jpeg": (lambda path: cut(path, "JPEG"), ("photo.png", "cut short")),
    "truncated bmp": (lambda path: cut(path, "BMP"), ("photo.png", "cut short")),
    "truncated webp": (lambda path: cut(path, "WEBP"), ("photo.png",)),
    "truncated tiff": (lambda path: cut(path, "TIFF"), ("photo.png",)),
    "no pixels": (lambda path: png_header(path, 54, 70), ("photo.png", "cut short")),
    "101 megapixels": (lambda path: Image.new("1", (10100, 10000)).save(path), ("100 megapixels",)),
    "10 gigapixels": (lambda path: png_header(path, 100_000, 100_000), ("100 megapixels",)),
    "too small": (lambda path: Image.fromarray(draw_pixels(47, 100)).save(path), ("100 x 47", "48 x 48")),
    "a single colour": (lambda path: Image.new("RGB", (54, 70)).save(path), ("single colour",)),
    "transparent": (lambda path: Image.new("RGBA", (54, 70)).save(path), ("transparent",)),
}


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo_is_refused_in_one_line_and_nothing_is_overwritten(tool, tmp_path, kind):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "photo.pt").write_bytes(b"precious")
    make, words = BAD_PHOTOS[kind]
    make(tmp_path / "photo.png")
    before = files_in(tmp_path)
    assert_refused(tool("photo.png", *tiny()), *words)
    assert files_in(tmp_path) == before


def test_a_bad_photo_given_to_the_script_itself(tmp_path):
    result = run_script("missing.png", cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "missing.png" in result.stderr
    assert files_in(tmp_path) == {}


# Rubbish


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def valid_images():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    image, cards = Image.fromarray(SMOOTH), {"exif": exif, "icc_profile": profile("RGB ", "Linear light")}
    return [encoded(image, "PNG", **cards), encoded(image.quantize(16), "PNG", transparency=3),
            encoded(image, "JPEG", **cards), encoded(image, "JPEG", progressive=True),
            encoded(image, "TIFF", **cards), encoded(image, "TIFF", compression="tiff_lzw"),
            encoded(image, "WEBP", **cards), encoded(image, "WEBP", lossless=True), encoded(image, "BMP"),
            encoded(image.convert("P"), "BMP"),
            *(encoded(image, {"avif": "AVIF", "heic": "HEIF"}[suffix]) for suffix in PHONE_FORMATS)]


def near_the_beginning(length, random_):
    """A place among the first 200 bytes, where a picture has its sizes."""
    return random_.randrange(min(200, length - 4))


def outcome(path):
    """"photo" or "refused" in one sentence; anything else is raised."""
    try:
        photo = td.load_photo(path)
    except UserError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return "refused"
    assert photo.x.isfinite().all() and max(photo.x.shape[1:]) <= 1024
    return "photo"


def try_all(paths, capfd):
    """Outcomes of loading files, each in time, in bounded memory and without a word on the screen."""
    outcomes, memory, slowest = [], devices.peak_memory(), 0
    for path in paths:
        start = time.process_time()  # of the processor: other programs don't count
        outcomes.append(outcome(path))
        slowest = max(slowest, time.process_time() - start)
    err = capfd.readouterr().err
    growth = (devices.peak_memory() - memory) / 1e9
    print(f"\n{len(outcomes)} files, {outcomes.count('photo')} photos, slowest {slowest:.1f} s, {growth:.2f} GB more")
    assert "Traceback" not in err
    return outcomes, slowest, growth


def test_300_mutations_of_photos_are_photos_or_refused_in_one_line(tmp_path, capfd):
    images, random_ = valid_images(), random.Random(0)

    def paths():
        for number in range(300):
            path = tmp_path / "mutated.png"
            path.write_bytes(mutated(images[number % len(images)], random_, near_the_beginning))
            yield path

    outcomes, slowest, growth = try_all(paths(), capfd)
    assert outcomes.count("photo") > 30 and outcomes.count("refused") > 100
    assert slowest < 5 and growth < 1


@pytest.mark.skipif("PILLOW_IMAGES" not in os.environ, reason="PILLOW_IMAGES does not name Pillow's Tests/images")
def test_pillow_s_own_test_images_are_photos_or_refused_in_one_line(capfd):
    paths = sorted(path for path in Path(os.environ["PILLOW_IMAGES"]).rglob("*") if path.is_file())
    outcomes, slowest, growth = try_all(paths, capfd)
    assert len(paths) > 500 and outcomes.count("photo") > 100
    assert slowest < 5 and growth < 3


def test_a_photo_is_refused_by_its_header_before_it_is_decoded(tmp_path, monkeypatch):
    """A file of 100 KB can claim any size."""
    Image.new("1", (12_000, 9000)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UserError, match="100 megapixels"):
        td.load_photo(tmp_path / "large.png")


# JPEG files of more megapixels than others


@pytest.fixture
def small_limits(monkeypatch):
    """A limit that the photos here are beyond, and Pillow's far below it."""
    monkeypatch.setattr(photos, "MAX_MEGAPIXELS", WIDTH * HEIGHT / 1e6 * 0.99)
    monkeypatch.setattr(photos, "MOST_MEGAPIXELS", WIDTH * HEIGHT / 1e6 * 2)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT * 10 // 21)


def test_a_large_jpeg_is_decoded_smaller_and_its_part_at_its_full_size(tmp_path, small_limits):
    path = save(SMOOTH, tmp_path / "photo.jpg", quality=98, subsampling=0)
    pixels, notes = photos.read_photo(path)
    expected = np.asarray(Image.fromarray(SMOOTH).resize((WIDTH // 2, HEIGHT // 2), Image.BOX))
    assert near(pixels, expected, 12) and "1/2" in notes[0] and "35 x 27" in notes[0]
    assert near(photos.read_photo(path, crop=(10, 5, 50, 40))[0], SMOOTH[5:45, 10:60], 12)
    photo = td.load_photo(path, corners=((10, 10), (60, 10), (60, 50), (10, 50)))
    assert near(photo.pixels(photo.x), expected[5:25, 5:30], 30)
    assert near(photos.read_photo(path, mask=np.zeros((27, 35), np.uint8), crop=(20, 10, 40, 40))[0][..., :3],
                expected[5:25, 10:30], 12)


@pytest.mark.parametrize("orientation", [1, *ORIENTATIONS])
def test_a_large_jpeg_is_turned_upright(tmp_path, small_limits, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(SMOOTH, tmp_path / "photo.jpg", quality=98, subsampling=0, exif=exif)
    upright = ORIENTATIONS.get(orientation, lambda x: x)(SMOOTH)
    assert photos.read_photo(path)[0].shape == (upright.shape[0] // 2, upright.shape[1] // 2, 3)
    assert near(photos.read_photo(path, crop=(7, 3, 30, 50))[0], upright[3:53, 7:37], 12)
    with pytest.raises(UserError, match=f"{upright.shape[1]} x {upright.shape[0]} pixels"):
        photos.read_photo(path, crop=(50, 50, 30, 30))


def test_what_cannot_be_decoded_smaller_is_refused_by_its_header(tmp_path, small_limits, monkeypatch):
    large = Image.fromarray(SMOOTH).resize((2 * WIDTH, HEIGHT + 5))
    paths = [save(image, tmp_path / name, **options) for image, name, options in (
        (Image.fromarray(SMOOTH), "a.jpg", {"progressive": True}), (large, "b.jpg", {}),
        (Image.fromarray(SMOOTH), "c.png", {}), (Image.fromarray(SMOOTH), "d.tif", {}))]
    monkeypatch.setattr(Image.Image, "load", None)
    for path in paths:
        with pytest.raises(UserError, match="megapixels.*save it as JPEG without progression"):
            photos.read_photo(path)


def test_a_refusal_leaves_nothing_behind(tool, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"GIF89a")
    before = files_in(tmp_path)
    assert run(tool, "photo.png").code == 2 and files_in(tmp_path) == before
