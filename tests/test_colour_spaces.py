"""Colours that a file states without a profile are converted to sRGB, or it is said that they are not."""

import struct
import zlib

import numpy as np
import pytest
from conftest import draw_pixels, profile
from PIL import Image, ImageFilter, features
from test_deep import COLOUR, read, write_png, write_tiff
from test_profiles import PRIMARIES

from texture_diffusion_tools.reading import colour_spaces, materials, photos, profiles
from texture_diffusion_tools.writing import png

PIXELS = draw_pixels(40, 50)  # from 60 to 219
LIGHT = np.where(PIXELS / 255 <= 0.04045, PIXELS / 255 / 12.92, ((PIXELS / 255 + 0.055) / 1.055) ** 2.4)
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
GAMMA_1, ADOBE_CHUNK = struct.pack(">I", 100_000), [31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000]
SRGB_CHUNK = [31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]


def deep(values):
    return (np.clip(values, 0, 1) * 65535).round().astype(np.uint16)


def with_chunks(**data):
    added = b"".join(png.chunk(kind.encode(), content) for kind, content in data.items())
    return lambda content: content[:33] + added + content[33:]


def png_of(path, values, **chunks):
    return write_png(path, deep(values), change=with_chunks(**chunks))


def off(pixels, expected=PIXELS):
    """By how many levels of 255 colours are off at most."""
    return np.abs(pixels / (257 if pixels.dtype == np.uint16 else 1) - expected).max()


def by_adobe(pixels):
    """What littlecms makes of pixels in Adobe RGB."""
    icc = profile("RGB ", "Adobe RGB", primaries=PRIMARIES["Adobe RGB"], gamma=563 / 256)
    return np.asarray(profiles.to_srgb(Image.fromarray(pixels), icc, []))


# PNG


def test_linear_light_is_brightened_by_its_chunk_with_16_bits_and_with_8(tmp_path):
    path = png_of(tmp_path / "a.png", LIGHT, gAMA=GAMMA_1)
    for depth in (None, 8, 16):
        pixels, notes = read(path, depth)
        assert off(pixels) <= 1 and "linear light to sRGB" in notes
    Image.fromarray((LIGHT * 255).round().astype(np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes(with_chunks(gAMA=GAMMA_1)((tmp_path / "b.png").read_bytes()))
    assert off(read(tmp_path / "b.png")[0]) <= 4


def test_a_profile_that_is_called_srgb_and_is_linear_is_used(tmp_path):
    icc = profile("RGB ", "sRGB-elle-V2-g10 linear")
    pixels, notes = read(png_of(tmp_path / "a.png", LIGHT, iCCP=b"icc\0\0" + zlib.compress(icc)))
    assert off(pixels) <= 1 and "linear to sRGB" in notes
    assert off(read(write_tiff(tmp_path / "a.tif", deep(LIGHT), iccprofile=icc))[0]) <= 1


@pytest.mark.parametrize("chunks", [
    {"gAMA": GAMMA_1, "sRGB": b"\0"}, {"gAMA": struct.pack(">I", 45455), "cHRM": struct.pack(">8I", *SRGB_CHUNK)},
    {"gAMA": struct.pack(">I", 45455)}, {"cICP": bytes((1, 13, 0, 1)), "gAMA": GAMMA_1}, {"cICP": bytes((2, 2, 0, 1))}])
def test_chunks_that_say_srgb_change_nothing(tmp_path, chunks):
    pixels, notes = read(png_of(tmp_path / "a.png", PIXELS / 255, **chunks))
    assert off(pixels) < 0.01 and not notes


def test_a_profile_counts_more_than_gamma_and_numbers_more_than_a_profile(tmp_path):
    icc = b"icc\0\0" + zlib.compress(profile("RGB ", "Linear light"))
    assert off(read(png_of(tmp_path / "a.png", LIGHT, iCCP=icc, gAMA=struct.pack(">I", 70_000)))[0]) <= 1
    pixels, notes = read(png_of(tmp_path / "b.png", PIXELS / 255, iCCP=icc, cICP=bytes((1, 13, 0, 1))))
    assert off(pixels) < 0.01 and not notes


def test_primaries_in_a_chunk_are_used(tmp_path):
    chunks = {"gAMA": struct.pack(">I", 45455), "cHRM": struct.pack(">8I", *ADOBE_CHUNK)}
    pixels, notes = read(png_of(tmp_path / "a.png", PIXELS / 255, **chunks))
    assert off(pixels, by_adobe(PIXELS)) <= 4 and off(pixels) > 10 and "primaries" in notes


def pq(light):
    """BT.2100's inverse EOTF of light whose white is 203 cd/m2."""
    y = (light * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(light):
    """BT.2100's HLG of the same, on a screen of 1000 cd/m2."""
    display = light * 0.203
    luminance = np.maximum(display @ np.array([0.2627, 0.678, 0.0593]), 1e-9)
    scene = display * luminance[..., None] ** (-0.2 / 1.2)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene),
                    0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)


@pytest.mark.parametrize("number, encode", [(16, pq), (18, hlg)])
def test_hdr_is_toned_down_and_that_is_said(tmp_path, number, encode):
    """What is darker than white by a quarter stays; all that is brighter keeps its order."""
    pixels, notes = read(png_of(tmp_path / "a.png", encode(LIGHT @ TO_2020.T), cICP=bytes((9, number, 0, 1))))
    assert off(pixels) <= 2 and "HDR" in notes and "toned down" in notes
    ramp = np.repeat(np.linspace(0, 4, 50)[None, :, None].repeat(40, 0), 3, 2)
    line = read(png_of(tmp_path / "b.png", encode(ramp), cICP=bytes((9, number, 0, 1))))[0][0, :, 1].astype(int)
    assert (np.diff(line) > 0).all() and 60_000 < line[-1] < 65535


def test_wide_colours_without_hdr_are_converted(tmp_path):
    values = LIGHT @ TO_2020.T
    values = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    pixels, notes = read(png_of(tmp_path / "a.png", values, cICP=bytes((9, 14, 0, 1))))
    assert off(pixels) <= 1 and "BT.2020 to sRGB" in notes


def test_numbers_that_are_not_known_are_said(tmp_path):
    pixels, notes = read(png_of(tmp_path / "a.png", PIXELS / 255, cICP=bytes((77, 99, 0, 1))))
    assert off(pixels) < 0.01 and "(77, 99)" in notes


def test_grey_values_with_16_bits_stay_what_they_are_and_that_is_said(tmp_path):
    pixels, notes = read(png_of(tmp_path / "a.png", PIXELS[..., 0] / 255, gAMA=GAMMA_1))
    assert off(pixels, PIXELS[..., 0]) < 0.01 and "linear light" in notes and "left out" in notes


@pytest.mark.parametrize("chunks", [{"gAMA": bytes(4)}, {"gAMA": b"\1"}, {"cHRM": bytes(32)},
                                    {"cHRM": struct.pack(">8I", *[30_000] * 8)}, {"cHRM": b"\xff" * 32}])
def test_broken_chunks_are_left_out_and_that_is_said(tmp_path, chunks):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(with_chunks(**chunks)((tmp_path / "a.png").read_bytes()))
    try:
        pixels, notes = read(tmp_path / "a.png")
    except photos.UserError:  # Pillow wants whole chunks
        assert chunks == {"gAMA": b"\1"}
    else:
        assert off(pixels) < 0.01 and "left out" in notes


def test_what_is_no_colour_stays_whatever_is_said_of_colours(tmp_path):
    """A map of normals that an editor saved with a linear profile."""
    icc = b"icc\0\0" + zlib.compress(profile("RGB ", "linear sRGB"))
    for chunks in ({"gAMA": GAMMA_1}, {"iCCP": icc}, {"cICP": bytes((9, 16, 0, 1))}):
        image, notes = photos.open_image(png_of(tmp_path / "a.png", PIXELS / 255, **chunks), None, colours=False)
        assert off(np.asarray(image)) < 0.01 and not notes


def test_of_a_material_the_colour_alone_is_converted(tmp_path):
    path = png_of(tmp_path / "a.png", LIGHT, gAMA=GAMMA_1)
    kinds = ("normal",), ("colour",)
    (normals, _), (colours, notes) = (materials.open_all({path: (holds, False)}) for holds in kinds)
    assert off(normals[path], LIGHT * 255) < 0.01 and off(colours[path]) <= 1 and "linear light" in notes[0]


# Exif, tags and headers


def exif_of(space, interop=None):
    exif = Image.Exif()
    exif[0x8769] = {0xA001: space, **({0xA005: {1: interop}} if interop else {})}
    return exif


@pytest.mark.parametrize("space, interop", [(2, None), (65535, "R03"), (2, "R03")])
@pytest.mark.parametrize("suffix, options", [("jpg", {"quality": 98, "subsampling": 0}), ("webp", {"lossless": True}),
                                             ("png", {}), ("tif", {})])
def test_adobe_rgb_is_known_by_exif(tmp_path, suffix, options, space, interop):
    space = 2 if suffix == "tif" else space  # Pillow writes no folder of Exif in a folder of Exif there
    image = Image.fromarray(PIXELS).filter(ImageFilter.GaussianBlur(2))
    image.save(tmp_path / f"a.{suffix}", exif=exif_of(space, interop).tobytes(), **options)
    pixels, notes = read(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert off(pixels, by_adobe(np.asarray(image))) <= 1.5
    assert notes == "its colours were converted from Adobe RGB to sRGB"


def test_exif_that_says_srgb_changes_nothing_and_one_that_says_neither_is_said(tmp_path):
    for space, said in ((1, False), (65535, True)):
        Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif_of(space))
        pixels, notes = read(tmp_path / "a.png")
        assert off(pixels) == 0 and ("not sRGB" in notes) == said


def test_a_profile_that_xmp_names_and_that_is_missing_is_said(tmp_path):
    for name, said in (("Adobe RGB (1998)", True), ("sRGB IEC61966-2.1", False)):
        xmp = f'<x photoshop:ICCProfile="{name}"/>'.encode()
        Image.fromarray(PIXELS).save(tmp_path / "a.webp", lossless=True, xmp=xmp)
        pixels, notes = read(tmp_path / "a.webp")
        assert off(pixels) == 0 and (name in notes) == said


def test_a_profile_counts_more_than_exif(tmp_path):
    icc = profile("RGB ", "Adobe RGB", primaries=PRIMARIES["Adobe RGB"], gamma=563 / 256)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif_of(65535), icc_profile=icc)
    assert off(read(tmp_path / "a.png")[0], by_adobe(PIXELS)) == 0


@pytest.mark.parametrize("pixels", [deep(PIXELS / 255), PIXELS])
def test_primaries_and_curves_in_the_tags_of_a_tiff_are_used(tmp_path, pixels):
    count = 1 << 8 * pixels.itemsize
    curve = (np.linspace(0, 1, count) ** (563 / 256) * 65535).round().astype(int)
    tags = [(318, "2I", 2, (31270, 100_000, 32900, 100_000), True), (301, "H", 3 * count, (*curve,) * 3, True),
            (319, "2I", 6, [n for place in ADOBE_CHUNK[2:] for n in (place, 100_000)], True)]
    found, notes = read(write_tiff(tmp_path / "a.tif", pixels, extratags=tags))
    assert off(found, by_adobe(PIXELS)) <= 1.5 and "curve and primaries" in notes


def bmp_of(path, kind, ends=bytes(36), gamma=(0, 0, 0), icc=b""):
    """A BMP file with a header of version 5."""
    Image.fromarray(PIXELS).save(path)
    old = path.read_bytes()
    head = struct.pack("<I", 124) + old[18:54] + struct.pack("<4I", 0, 0, 0, 0) + struct.pack("<I", kind) + ends
    head += struct.pack("<3I", *gamma) + struct.pack("<4I", 4, 124 + len(old) - 54, len(icc), 0)
    path.write_bytes(old[:10] + struct.pack("<I", 138) + head + old[54:] + icc)
    return path


def test_the_header_of_a_bmp_is_used(tmp_path):
    icc = profile("RGB ", "Adobe RGB", primaries=PRIMARIES["Adobe RGB"], gamma=563 / 256)
    assert off(read(bmp_of(tmp_path / "a.bmp", 0x4D424544, icc=icc))[0], by_adobe(PIXELS)) == 0
    xyz = colour_spaces.xyz_of(colour_spaces.ADOBE[1:]).T
    ends = struct.pack("<9i", *(xyz.ravel() * 2**30 * 0.99).astype(int))
    pixels, _ = read(bmp_of(tmp_path / "b.bmp", 0, ends, [int(563 / 256 * 65536)] * 3))
    assert off(pixels, by_adobe(PIXELS)) <= 4
    for kind in (0x73524742, 0x57696E20, 0):
        pixels, notes = read(bmp_of(tmp_path / "c.bmp", kind))
        assert off(pixels) == 0 and not notes


@pytest.mark.skipif(not features.check("avif"), reason="AVIF cannot be written")
def test_the_numbers_in_an_avif_file_are_used(tmp_path):
    values = (pq(LIGHT[20, 20] + 0 * LIGHT) * 255).round().astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    content = (tmp_path / "a.avif").read_bytes()
    place = content.index(b"colrnclx") + 8
    (tmp_path / "a.avif").write_bytes(content[:place] + struct.pack(">HH", 1, 16) + content[place + 4:])
    pixels, notes = photos.open_image(tmp_path / "a.avif")
    assert off(np.asarray(pixels), PIXELS[20, 20]) <= 4 and "HDR" in " ".join(notes)


def test_mutated_chunks_are_used_or_said(tmp_path):
    rng = np.random.default_rng(0)
    content = png_of(tmp_path / "a.png", LIGHT[:6, :6], cICP=bytes((9, 16, 0, 1)), gAMA=GAMMA_1,
                     cHRM=struct.pack(">8I", *ADOBE_CHUNK)).read_bytes()
    for _ in range(60):
        numbers = bytes(rng.integers(0, 256, 4, np.uint8)), bytes(rng.integers(0, 256, 32, np.uint8) >> rng.integers(9))
        change = with_chunks(gAMA=numbers[0], cHRM=numbers[1]) if rng.random() < 0.5 else with_chunks(cICP=numbers[0])
        (tmp_path / "b.png").write_bytes(change(content[:33] + content[content.index(b"IDAT") - 4:]))
        pixels, notes = read(tmp_path / "b.png")
        assert pixels.shape == (6, 6, 3) and notes.isprintable()


def test_colour_with_16_bits_keeps_what_differs_in_the_low_byte(tmp_path):
    found = read(write_png(tmp_path / "a.png", COLOUR, change=with_chunks(gAMA=struct.pack(">I", 55556))))[0]
    assert len(np.unique(found)) > 0.9 * len(np.unique(COLOUR))
