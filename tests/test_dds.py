"""Engines' formats: DDS and TGA, and JPEG files under other names, alone and in a folder of maps."""

import random
import time

import numpy as np
import pytest
from conftest import mutated
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import dds, photos, several
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import UserError

SIDE = 64
COLOUR = np.kron(np.random.default_rng(0).integers(0, 256, (SIDE // 8, SIDE // 8, 3)),
                 np.ones((8, 8, 1), int)).astype(np.uint8)  # blocks that compression keeps
BOTH = np.dstack([COLOUR, COLOUR[..., 1] | 1])


def read(path, **options):
    """The pixels of a picture file, as int, and its notes on one line."""
    image, notes = photos.open_image(path, None, **options)
    return np.asarray(image).astype(int), " ".join(notes)


def saved(folder, name, pixels, **options):
    Image.fromarray(pixels).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("kind, most", [(None, 0), ("DXT1", 8), ("DXT3", 8), ("DXT5", 8), ("BC2", 8), ("BC3", 8)])
def test_dds_files_have_their_values(tmp_path, kind, most):
    pixels = BOTH if kind != "DXT1" else COLOUR
    found, notes = read(saved(tmp_path, "a.dds", pixels, pixel_format=kind), alpha=True)
    assert found.shape == pixels.shape and np.abs(found - pixels)[..., :3].max() <= most and not notes


@pytest.mark.parametrize("kind, number", [("BC2", 75), ("BC3", 78)])
def test_compressed_dds_files_are_read_in_srgb_too(tmp_path, kind, number):
    path = saved(tmp_path, "a.dds", BOTH, pixel_format=kind)
    expected, _ = read(path)
    content = bytearray(path.read_bytes())
    content[dds.KIND_AT] = number
    path.write_bytes(content)
    assert np.array_equal(read(path)[0], expected)


def test_a_dds_file_of_another_kind_is_refused_with_what_helps(tmp_path):
    path = saved(tmp_path, "a.dds", BOTH, pixel_format="BC3")
    content = bytearray(path.read_bytes())
    content[dds.KIND_AT] = 2  # four floats
    path.write_bytes(content)
    with pytest.raises(UserError, match="of a kind that cannot be read .*save it as PNG"):
        read(path)


def test_a_large_dds_file_that_is_not_compressed_is_read_at_once(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3)).astype(np.uint8)
    path, start = saved(tmp_path, "a.dds", pixels), time.process_time()
    assert np.array_equal(read(path)[0], pixels) and time.process_time() - start < 1


def test_normals_in_two_channels_have_their_third(tmp_path):
    (tmp_path / "m").mkdir()
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE * 12
    normal = (127.5 + 80 * np.stack([np.sin(x), np.cos(y), 0 * x], -1)).astype(np.uint8)
    saved(tmp_path / "m", "a_NormalGL.dds", normal, pixel_format="BC5")
    photo = td.load_photo(tmp_path / "m")
    assert np.abs(photo.rendered(photo.x)[0][..., :2].astype(int) - normal[..., :2]).max() < 12


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("options", [{"orientation": 1}, {"orientation": -1}, {"compression": "tga_rle"}])
def test_tga_files_have_their_values(tmp_path, mode, options):
    image = Image.fromarray(COLOUR).quantize(32) if mode == "P" else Image.fromarray(BOTH).convert(mode)
    image.save(tmp_path / "photo.tga", **options)
    found, notes = read(tmp_path / "photo.tga", alpha=True)
    assert np.array_equal(found, image.convert("RGB") if mode == "P" else image) and not notes


def test_a_tga_file_is_known_by_its_end_or_by_its_name(tmp_path):
    path = saved(tmp_path, "photo.TGA", COLOUR)
    read(path)
    read(path.rename(tmp_path / "photo"))
    old = tmp_path / "old.tga"
    old.write_bytes((tmp_path / "photo").read_bytes()[:-26])
    read(old)
    with pytest.raises(UserError, match="not a picture in one of the formats .*TGA"):
        read(old.rename(tmp_path / "old"))
    assert np.array_equal(read(saved(tmp_path, "photo.png", COLOUR).rename(tmp_path / "a.tga"))[0], COLOUR)


def test_alpha_that_is_0_everywhere_in_a_tga_file_is_left_out(tmp_path):
    found, notes = read(saved(tmp_path, "photo.tga", BOTH * np.uint8([1, 1, 1, 0])), alpha=True)
    assert np.array_equal(found, COLOUR) and notes == "its alpha is 0 everywhere and was left out"


@pytest.mark.parametrize("suffix", ["jfif", "jpe"])
def test_jpeg_files_under_other_names_are_photos_and_textures(tmp_path, suffix):
    saved(tmp_path, f"a.{suffix}", COLOUR, format="JPEG", quality=95)
    assert td.load_photo(tmp_path / f"a.{suffix}").x.shape == (3, SIDE, SIDE)
    saved(tmp_path, "b.jpg", COLOUR)
    assert [path.name for path in several.photos_in(tmp_path)] == [f"a.{suffix}", "b.jpg"]


def test_maps_of_a_folder_are_known_by_what_they_are(tmp_path):
    """TGA, DDS, a JPEG called PNG, and one without a suffix."""
    saved(tmp_path, "a_albedo.png", COLOUR, format="JPEG")
    saved(tmp_path, "a_normal.tga", COLOUR)
    saved(tmp_path, "a_height.dds", COLOUR[..., 0])
    saved(tmp_path, "a_roughness", COLOUR[..., 2], format="PNG")
    assert list(td.load_photo(tmp_path).channels.slices) == ["colour", "height", "normal", "roughness"]


def test_600_mutations_of_engines_files_are_pictures_or_refused_in_one_line(tmp_path, capfd):
    kinds = [saved(tmp_path, name, pixels, **options).read_bytes() for name, pixels, options in (
        ("a.tga", COLOUR, {}), ("a.tga", BOTH, {"compression": "tga_rle"}), ("a.dds", BOTH, {}),
        ("a.dds", COLOUR, {}), ("a.dds", BOTH, {"pixel_format": "BC3"}), ("a.dds", COLOUR, {"pixel_format": "BC5"}))]
    random_, read_, slowest, memory = random.Random(0), 0, 0, devices.peak_memory()
    for number in range(600):
        path = tmp_path / ("b.tga" if number % 6 < 2 else "b.dds")
        path.write_bytes(mutated(kinds[number % 6], random_, lambda length, random_: random_.randrange(140)))
        start = time.process_time()
        try:
            photos.read_photo(path, alpha=True)
            read_ += 1
        except UserError as error:
            assert len(str(error).splitlines()) == 1
        slowest = max(slowest, time.process_time() - start)
    assert "".join(capfd.readouterr()) == "" and 150 < read_ < 550
    assert slowest < 5 and devices.peak_memory() - memory < 1e9


def test_a_size_that_is_too_large_is_refused_by_the_header(tmp_path, monkeypatch):
    paths = [saved(tmp_path, "a.tga", COLOUR), saved(tmp_path, "a.dds", COLOUR)]
    monkeypatch.setattr(photos, "MAX_MEGAPIXELS", 0.004)
    monkeypatch.setattr(Image.Image, "load", None)
    for path in paths:
        with pytest.raises(UserError, match="megapixels"):
            read(path)
