"""CORNERS=auto: lines of known photos are made level and upright; what has none is left alone."""

import re

import numpy as np
import pytest
from conftest import constants_of, pixels_in, slow_but, tiny
from PIL import Image
from test_straighten import HEIGHT, WIDTH, Camera

import texture_diffusion as td
from texture_diffusion_tools.reading import exemplars, perspective, straighten
from texture_diffusion_tools.running.errors import UserError

COLUMNS, ROWS = 10, 14  # of bricks and tiles in the unit square, which is a part of the plane


def joints(x, y, shift, joint=0.05):
    """Light joints around dark fields of several tones; shift: of every other row, in fields."""
    row = np.floor(y * ROWS)
    u, v = x * COLUMNS + shift * (row % 2), y * ROWS
    tone = 70 + 50 * np.sin(np.floor(u) * 12.9898 + row * 78.233)
    return np.where(((u % 1) < joint) | ((v % 1) < joint * 1.4), 200, tone)


def bricks(x, y):
    return joints(x, y, 0.5)


def tiles(x, y):
    return joints(x, y, 0)


def weave(x, y):
    """Threads over and under each other."""
    u, v = x * 24, y * 24
    over = (np.floor(u) + np.floor(v)) % 2
    return 60 + 140 * np.where(over, np.sin(np.pi * (u % 1)), np.sin(np.pi * (v % 1)))


TEXTURES = {"bricks": bricks, "tiles": tiles, "weave": weave}
VIEWS = {"tilted": {"tilt": 30}, "panned": {"pan": -25}, "both": {"tilt": -22, "pan": 18, "roll": 4},
         "rolled": {"roll": 7}, "wide": {"tilt": 25, "pan": 15, "focal": 0.7}}
UNSURE = ("bricks", "rolled")  # whose short joints may be too few to rely on; they may not be wrong


def photo(name, camera, noise=6):
    """A noisy and slightly blurred photo, uint8 [H, W]."""
    pixels = np.asarray(camera.photo(TEXTURES[name], fineness=2), dtype=float)
    pixels = pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def in_reality(corners, camera):
    """Where corners lie on the plane, [4, 2]."""
    place = np.linalg.inv(straighten.homography(np.array(camera.corners()), (1, 1))) @ np.c_[corners, np.ones(4)].T
    return (place[:2] / place[2]).T


def corner_error(corners, camera):
    """How far corners are from those of an upright rectangle in reality, pixels of the photo."""
    (left, upper), (right, lower) = (np.sort(in_reality(corners, camera), 0)[k:k + 2].mean(0) for k in (0, 2))
    matrix = straighten.homography(np.array(camera.corners()), (1, 1))
    u, v, w = matrix @ [(left, right, right, left), (upper, upper, lower, lower), (1, 1, 1, 1)]
    return np.hypot(*(np.array([u / w, v / w]).T - corners).T).max()


@pytest.mark.parametrize("view", slow_but(VIEWS, "both"))
@pytest.mark.parametrize("name", TEXTURES)
def test_lines_under_a_known_perspective_are_found(name, view):
    camera = Camera(1, **VIEWS[view])
    corners, (note,) = perspective.find_corners(photo(name, camera))
    if (name, view) == UNSURE and corners is None:
        return
    assert corners is not None, note
    assert corner_error(corners, camera) < 2  # px of 640 x 480
    assert float(re.search(r"how sure: ([\d.]+)", note)[1]) > 0.5 and "converge" in note


def test_the_rectangle_lies_in_the_photo_and_is_the_largest():
    camera = Camera(1, tilt=-22, pan=18, roll=4)
    corners, _ = perspective.find_corners(photo("tiles", camera))
    straighten.check_corners(np.array(corners), (WIDTH, HEIGHT))
    (x0, y0), _, (x1, y1), _ = in_reality(corners, camera)
    inside = straighten.homography(np.array(camera.corners()), (1, 1))
    near = np.random.default_rng(0).uniform(-0.15, 0.15, (50000, 4)) + (x0, y0, x1, y1)
    left, upper, right, lower = near.T
    places = [(left, right, right, left), (upper, upper, lower, lower), np.ones((4, len(near)))]
    u, v, w = np.einsum("ij,jkn->ikn", inside, places)
    fits = ((u >= 0) & (u <= w * WIDTH) & (v >= 0) & (v <= w * HEIGHT)).all(0)
    largest = ((right - left) * (lower - upper))[fits].max()
    assert 0.9 * (x1 - x0) * (y1 - y0) < largest < 1.02 * (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize("name", TEXTURES)
def test_a_photo_taken_straight_on_is_left_alone_and_that_is_said(name):
    corners, (note,) = perspective.find_corners(photo(name, Camera(1)))
    assert corners is None and "already" in note


def blotches(rng, softness):
    return perspective.blurred(rng.standard_normal((HEIGHT, WIDTH)), softness)


def stripes(rng, softness):
    """Lines in one direction, which tell but one vanishing point."""
    return perspective.blurred(rng.standard_normal((1, WIDTH)), softness) + 0.02 * blotches(rng, softness)


@pytest.mark.parametrize("draw", [blotches, stripes])
@pytest.mark.parametrize("softness", [1, 2, 4])
def test_what_has_no_two_families_of_lines_is_left_alone_and_that_is_said(draw, softness):
    values = draw(np.random.default_rng(softness), softness)
    pixels = (128 + 40 * values / values.std()).clip(0, 255).astype(np.uint8)
    corners, (note,) = perspective.find_corners(pixels)
    assert corners is None and "lines" in note and "by hand" in note


@pytest.mark.parametrize("size", [(1, 1), (20, 500), (64, 2000), (300, 300)])
def test_a_photo_without_anything_to_see_is_left_alone(size):
    corners, (note,) = perspective.find_corners(np.full(size, 90, np.uint8))
    assert corners is None and "left the photo as it is" in note


def test_two_joints_are_not_enough_for_a_perspective():
    """Any two lines meet somewhere."""
    pixels = np.full((HEIGHT, WIDTH), 120, np.uint8)
    for k in (-1, 0, 1):
        at = np.arange(HEIGHT)
        pixels[at, 180 + at // 8 + k] = pixels[at, 460 - at // 8 + k] = 220
        at = np.arange(WIDTH)
        pixels[150 + at // 20 + k, at] = pixels[330 + at // 30 + k, at] = 220
    assert perspective.find_corners(pixels)[0] is None


def test_brick_of_scikit_image_is_straightened():
    """Its long joints fan out by more than 15 degrees; straightened they are parallel and upright within a degree."""
    data = pytest.importorskip("skimage.data")
    corners, _ = perspective.find_corners(data.brick())
    image, _ = straighten.straighten(Image.fromarray(data.brick()), corners)
    for pixels, least, most in ((data.brick(), 10, 30), (np.asarray(image), 0, 1)):
        slopes = [slope_of_joints(part) for part in np.array_split(pixels, 3, axis=1)]
        assert least <= np.ptp(slopes) <= most and (most > 1 or np.abs(slopes).max() < 1)


def slope_of_joints(pixels):
    """By how many degrees the light upright lines in uint8 [H, W] lean: sheared back by that, columns differ most."""
    slopes = np.arange(-15, 15.1, 0.25)
    rows, columns = np.mgrid[:len(pixels), :pixels.shape[1]]
    contrasts = []
    for slope in np.tan(np.radians(slopes)):
        place = np.round(columns - slope * (rows - len(pixels) / 2)).astype(int) % pixels.shape[1]
        contrasts.append(np.bincount(place.ravel(), pixels.ravel().astype(float)).std())
    return slopes[np.argmax(contrasts)]


def test_a_photo_s_corners_are_found_when_it_is_read(tmp_path):
    pixels = photo("bricks", Camera(1, **VIEWS["both"]))
    Image.fromarray(pixels).save(tmp_path / "wall.png")
    corners, (note,) = perspective.find_corners(pixels)
    found = td.load_photo(tmp_path / "wall.png", corners="auto", aspect=1.3)
    given = td.load_photo(tmp_path / "wall.png", corners=corners, aspect=1.3)
    assert found.digest == given.digest and note in found.notes


def test_a_material_s_corners_are_found_in_its_colour(tmp_path):
    pixels = photo("bricks", Camera(1, **VIEWS["both"]))
    (tmp_path / "wall").mkdir()
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "wall" / "wall_Color.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, pixels.shape, np.uint8)).save(
        tmp_path / "wall" / "wall_Roughness.png")
    found = td.load_photo(tmp_path / "wall", corners="auto", aspect=1)
    given = td.load_photo(tmp_path / "wall", corners=exemplars.corners_in(tmp_path / "wall", "auto")[0], aspect=1)
    assert found.digest == given.digest and found.x.shape[1:] != pixels.shape


def test_auto_is_a_constant_and_may_have_an_aspect():
    assert constants_of("CORNERS=auto", "ASPECT=2").CORNERS == "auto"
    with pytest.raises(UserError, match='"auto" or four pairs'):
        constants_of("CORNERS=automatic")


def test_a_run_shows_the_corners_that_it_found_and_keeps_auto(tool, tmp_path):
    Image.fromarray(photo("tiles", Camera(1, **VIEWS["both"]))).save(tmp_path / "photo.png")
    result = tool("photo.png", *tiny(EPOCHS=1, MAX_SIDE=96, SCALE=1, CORNERS="auto"))
    assert result.code == 0 and "CORNERS=auto found" in result.out + result.err
    both = pixels_in(tmp_path / "samples/photo/prepared.png")
    assert (both == (255, 0, 80)).all(-1).sum() > 500
    written = Image.open(tmp_path / "samples/photo/output_texture_1x1.png").text["constants"]
    assert "'CORNERS': 'auto'" in written
