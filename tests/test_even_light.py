"""Light made even: known light is taken out, and what is the texture's own stays."""

import numpy as np
import pytest
from conftest import ROOT, draw_pixels
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import even_light, photos

STONES = np.asarray(Image.open(ROOT / "samples" / "stones.png"))
HEIGHT, WIDTH = 240, 320
Y, X = (axis[..., None] for axis in np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij"))
DISTANCE = (Y**2 * HEIGHT**2 + X**2 * WIDTH**2) / (HEIGHT**2 + WIDTH**2)  # from the middle, squared; 1 in the corners
WARM = np.array([0.3, 0, -0.3])

LIGHTS = {  # brightness -> how much of it may be left, as a share of its range in stops
    "twice as bright on the right": (np.exp2(X / 2), 0.05),
    "three times from corner to corner": (3 ** ((X + Y) / 4), 0.05),
    "a vignette of cos^4, 40 % in the corners": (1 / (1 + 0.581 * DISTANCE) ** 2, 0.1),
    "a lamp beside it, 1 / r^2": (1 / ((X + 1.8) ** 2 + Y**2 + 1.5), 0.15),
    "warm on the left, cold on the right": (np.exp(-WARM * X), 0.05),
    "a warm lamp above, a cold window on the right": (np.exp((0.3 + WARM) * -Y) + np.exp((0.3 - WARM) * X), 0.1)}


def lit(pixels, light):
    """uint8 [H, W, 3] in another light, dimmed to 40 % so that nothing becomes white."""
    return even_light.encode(even_light.decode(pixels) * light / light.max() * 0.4)


def stops(pixels, parts=8):
    """Mean linear light of parts x parts of a picture, as a power of 2, [parts, parts, C]."""
    light = even_light.decode(np.atleast_3d(pixels))
    rows = (np.array_split(row, parts, 1) for row in np.array_split(light, parts, 0))
    return np.log2([[block.mean((0, 1)) for block in row] for row in rows])


def drift(pixels, other):
    """The range of the brightness of one picture over the other's across it, in stops, the largest of the channels."""
    return np.ptp(stops(pixels) - stops(other), (0, 1)).max()


def plain():
    """A material of one colour in grain: what light drifts over it is all that drifts."""
    return np.random.default_rng(0).normal([120, 110, 90], 12, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("texture", [plain(), STONES[:HEIGHT, :WIDTH]], ids=["plain", "stones"])
def test_known_light_is_taken_out(texture, name):
    light, share = LIGHTS[name]
    dark = lit(texture, light)
    assert drift(dark, texture) > 0.5
    assert drift(even_light.even_out(dark)[0], even_light.even_out(texture)[0]) < share * drift(dark, texture) + 0.02


@pytest.mark.parametrize("period, share", [(1 / 3, 0.85), (1 / 4, 0.9), (1 / 8, 0.95)])
def test_structure_of_a_third_of_the_photo_and_less_stays(period, share):
    """Two materials by turns, twice as bright and half as blue."""
    bands = np.sign(np.sin(2 * np.pi * X / 2 / period)) * np.array([1, 1, -1]) / 8
    pixels = even_light.encode(even_light.decode(plain()) * np.exp2(bands + 0 * Y))
    kept = stops(even_light.even_out(pixels)[0], 24) - stops(plain(), 24)
    there = stops(pixels, 24) - stops(plain(), 24)
    assert (kept * there).sum() / (there**2).sum() > share


def test_an_even_photo_keeps_its_contrast():
    evened, _ = even_light.even_out(STONES)
    assert np.std(evened) > 0.98 * np.std(STONES)
    assert np.corrcoef(evened.ravel(), STONES.ravel())[0, 1] > 0.97


def test_each_channel_keeps_its_mean_light():
    dark = lit(STONES[:HEIGHT, :WIDTH], LIGHTS["a lamp beside it, 1 / r^2"][0])
    before, after = (even_light.decode(pixels).mean((0, 1)) for pixels in (dark, even_light.even_out(dark)[0]))
    assert np.abs(after / before - 1).max() < 0.005


def test_the_range_of_the_light_is_said():
    _, notes = even_light.even_out(lit(plain(), np.exp2(X / 2 * [1, 2, 0])))
    factors = [float(word.strip(",")) for word in notes[0].split(" in red")[0].split("factor of ")[1].split()]
    assert np.abs(np.array(factors) - [2, 4, 1]).max() < 0.1
    assert len(notes) == 1


def test_a_photo_of_two_materials_side_by_side_is_left_alone_and_that_is_said():
    pixels = plain()
    pixels[:, WIDTH // 3:, 2] //= 3
    evened, notes = even_light.even_out(pixels)
    assert np.array_equal(evened, pixels)
    assert "left the photo as it is" in notes[0] and "CROP" in notes[0] and len(notes) == 1


@pytest.mark.parametrize("texture, most", [(plain(), 0.1), (STONES[:HEIGHT, :WIDTH], 0.5)], ids=["plain", "stones"])
def test_a_hole_and_a_label_are_not_taken_for_light(texture, most):
    whole = lit(texture, np.exp2(X / 2))
    changed = whole.copy()
    changed[:30, :40], changed[60:100, :60] = 0, 255
    evened, notes = even_light.even_out(changed)
    assert "took that out" in notes[0]
    assert drift(evened[120:], even_light.even_out(whole)[0][120:]) < most


def test_what_becomes_white_is_said():
    pixels = lit(plain(), np.exp2(X / 2))
    pixels[::10, ::10] = 255
    _, notes = even_light.even_out(pixels)
    assert "0.5% of the values white" in notes[1]


@pytest.mark.parametrize("pixels", [np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50), np.uint8),
                                    np.full((40, 50, 3), 255, np.uint8), draw_pixels(5, 3), draw_pixels(700, 16)])
def test_any_pixels_stay_pixels(pixels):
    before = pixels.copy()
    evened, _ = even_light.even_out(pixels)
    assert evened.shape == pixels.shape and evened.dtype == np.uint8
    assert np.array_equal(pixels, before)
    assert np.ptp(pixels) or np.array_equal(evened, pixels)


def test_linear_light_and_back_are_the_same_values():
    assert np.array_equal(even_light.encode(even_light.decode(np.arange(256))), np.arange(256))
    deep = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(even_light.encode(even_light.decode(deep), 65535), deep)


@pytest.mark.parametrize("grey", [False, True])
def test_the_constant_makes_a_photo_s_light_even_and_its_default_does_not(tmp_path, grey):
    dark = lit(plain(), LIGHTS["three times from corner to corner"][0])
    Image.fromarray(dark[..., 0] if grey else dark).save(tmp_path / "photo.png")
    as_it_is, note = photos.read_photo(tmp_path / "photo.png")
    assert np.array_equal(as_it_is, dark[..., 0] if grey else dark)
    assert "EVEN_LIGHT=True" in note[0]
    photo = td.load_photo(tmp_path / "photo.png", even=True)
    assert photo.x.shape[0] == (1 if grey else 3)
    assert drift(photo.pixels(photo.x), plain()[..., :1] if grey else plain()) < 0.06
    assert "EVEN_LIGHT took that out" in " ".join(photo.notes) and "EVEN_LIGHT=True" not in " ".join(photo.notes)
