"""Chunks of PNG files: long texts are passed over, and what says which way is up, and what colours are, is not."""

import io
import zlib

import numpy as np
import pytest
from conftest import draw_pixels, profile
from PIL import Image, PngImagePlugin
from test_deep import COLOUR, read, same, write_png

from texture_diffusion_tools.reading import chunks
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png

PIXELS = draw_pixels(40, 50)
LONG = "0," * 800_000


def info_of(**texts):
    """Texts of a PNG file, packed ones where a name ends in z, international ones where it has an i."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        add = info.add_itxt if "i" in name else info.add_text
        add(name, text, zip=name.endswith("z"))
    return info


@pytest.mark.parametrize("name", ["prompt_z", "prompt", "i_z", "i"])
def test_a_long_text_is_passed_over(tmp_path, name):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info_of(**{name: LONG, "short": "x"}))
    pixels, notes = read(tmp_path / "a.png")
    assert same(pixels, PIXELS) and not notes


def test_many_texts_are_passed_over_too_and_after_the_pixels(tmp_path):
    """More than 64 MB of them in all is more than Pillow reads, packed or not."""
    text = png.chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_000_000)))
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:33] + 70 * text + content[33:-12] + 70 * text + content[-12:])
    assert same(read(tmp_path / "a.png")[0], PIXELS)


def test_a_deep_picture_with_a_long_text_keeps_its_bits(tmp_path):
    text = png.chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG.encode()))
    path = write_png(tmp_path / "a.png", COLOUR, change=lambda content: content[:33] + text + content[33:])
    assert same(read(path)[0], COLOUR)


def test_a_text_that_says_which_way_is_up_is_read_beside_long_ones(tmp_path):
    info = info_of(workflow=LONG)
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    assert same(read(tmp_path / "a.png")[0], np.rot90(PIXELS, -1))


def test_a_profile_that_is_longer_than_pillow_reads_is_used(tmp_path):
    icc = profile("RGB ", "Linear light", more={b"note": bytes(3 * 2**20)})
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=icc)
    Image.fromarray(PIXELS).save(tmp_path / "b.png", icc_profile=profile("RGB ", "Linear light"))
    pixels, notes = read(tmp_path / "a.png")
    assert same(pixels, read(tmp_path / "b.png")[0]) and "Linear light" in notes


def test_a_file_without_some_of_its_parts_reads_as_if_they_were_not_there():
    content = bytes(range(100))
    file = io.BufferedReader(chunks.Without(io.BytesIO(content), [(10, 20), (20, 25), (90, 200)]))
    expected = content[:10] + content[25:90]
    assert file.read() == expected
    for place in (0, 5, 9, 10, 11, 60, 74, 75, 80):
        assert file.seek(place) == place and file.read(7) == expected[place:place + 7]
    file.seek(-3, 2)
    assert file.read() == expected[-3:]


def test_mutated_files_with_texts_are_pictures_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info_of(prompt_z=LONG, i_z=LONG, short="x"))
    content, found = (tmp_path / "a.png").read_bytes(), 0
    for _ in range(100):
        mutated = bytearray(content)
        mutated[rng.integers(33, 3000)] = rng.integers(256)
        (tmp_path / "b.png").write_bytes(mutated)
        try:
            found += read(tmp_path / "b.png")[0].shape == PIXELS.shape
        except UserError as error:
            assert len(str(error).splitlines()) == 1
    assert found > 20
