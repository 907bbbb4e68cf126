"""Photos taken at an angle: what is a rectangle in reality becomes one, at its place and in its proportions."""

import numpy as np
import pytest
from conftest import assert_refused, constants_of, draw_pixels, files_in, slow_but, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import photos, straighten
from texture_diffusion_tools.running.errors import UserError

WIDTH, HEIGHT = 640, 480  # of a photo, px


class Camera:
    """A camera that looks at a rectangle on a plane; angles in degrees, focal length in longer sides of the photo."""

    def __init__(self, aspect, tilt=0, pan=0, roll=0, focal=1.0, aside=(0, 0)):
        a, b, c = np.deg2rad([tilt, pan, roll])
        turn = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        turn = turn @ [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
        self.turn = turn @ [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
        self.focal, self.place = focal * WIDTH, np.array([*aside, 2.2 * focal])
        self.sides = np.array([aspect, 1]) / np.sqrt(aspect)  # of the rectangle, of which the middle is (0, 0)

    def corners(self):
        """Where the rectangle's corners are in the photo, ((x, y), ...)."""
        flat = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2 * self.sides
        x, y, z = self.turn @ np.c_[flat, np.zeros(4)].T + self.place[:, None]
        return tuple(zip(x / z * self.focal + WIDTH / 2, y / z * self.focal + HEIGHT / 2))

    def photo(self, texture, fineness=4):
        """A photo, uint8 [H, W], of texture(x, y), which is given in shares of the rectangle's width and height."""
        u, v = np.meshgrid(*((np.arange(side * fineness) + 0.5) / fineness for side in (WIDTH, HEIGHT)))
        rays = np.stack([(u - WIDTH / 2) / self.focal, (v - HEIGHT / 2) / self.focal, np.ones_like(u)], -1)
        normal = self.turn[:, 2]
        points = rays * (normal @ self.place / (rays @ normal))[..., None] - self.place
        x, y = (points @ self.turn[:, k] / self.sides[k] + 0.5 for k in (0, 1))
        values = texture(x, y).reshape(HEIGHT, fineness, WIDTH, fineness).mean((1, 3))
        return Image.fromarray(values.round().astype(np.uint8))


def dots(x, y):
    """Bright dots in a grid of 8 x 6."""
    return 40 + 200 * np.exp(-(((x * 8) % 1 - 0.5) ** 2 + ((y * 6) % 1 - 0.5) ** 2) * 40)


def waves(x, y):
    return 128 + 60 * np.sin(2 * np.pi * 9 * x) + 50 * np.cos(2 * np.pi * 7 * y)


VIEWS = {"tilted": {"tilt": 35}, "panned": {"pan": -30}, "both": {"tilt": 30, "pan": 25, "roll": 4},
         "steep, wide": {"tilt": -45, "pan": 20, "focal": 0.7}, "long lens": {"tilt": 40, "pan": 30, "focal": 1.5},
         "aside": {"tilt": 25, "pan": -25, "aside": (0.15, -0.1)}, "straight on": {}}
ASPECTS = (0.75, 1, 1.5)


def view(name, aspect):
    return Camera(aspect, **VIEWS[name])


@pytest.mark.parametrize("name", slow_but(VIEWS, "both", "straight on"))
def test_every_place_of_a_rectangle_is_where_it_belongs(name):
    camera = view(name, 1.3)
    image, _ = straighten.straighten(camera.photo(dots), camera.corners(), 1.3)
    pixels, (width, height) = np.asarray(image, dtype=float), image.size
    assert abs(width / height / 1.3 - 1) < 0.01
    y, x = np.mgrid[:height, :width] + 0.5
    for row, column in np.ndindex(6, 8):
        near = np.where((x * 8 // width == column) & (y * 6 // height == row), np.maximum(pixels - 60, 0), 0)
        found = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
        assert np.abs(found - [(column + 0.5) / 8 * width, (row + 0.5) / 6 * height]).max() < 0.2  # px


@pytest.mark.parametrize("name", slow_but(VIEWS, "both", "straight on"))
def test_a_straightened_photo_has_the_values_of_what_it_shows(name):
    camera = view(name, 1)
    image, _ = straighten.straighten(camera.photo(waves), camera.corners(), 1)
    y, x = ((np.arange(side) + 0.5) / side for side in image.size[::-1])
    assert np.abs(np.asarray(image) - waves(x[None], y[:, None])).mean() < 2  # levels


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("name", ["both", "steep, wide", "long lens", "aside"])
def test_the_sides_ratio_is_worked_out_where_both_pairs_of_sides_converge(name, aspect):
    corners = np.array(view(name, aspect).corners())
    assert straighten.aspects_of(corners, (WIDTH, HEIGHT)) == pytest.approx([aspect], rel=1e-6)
    rough = np.random.default_rng(0).normal(corners, 0.5)
    assert straighten.aspects_of(rough, (WIDTH, HEIGHT))[0] == pytest.approx(aspect, rel=0.05)


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("changes", [{"tilt": 35}, {"pan": 30}, {"tilt": 40, "focal": 0.7}, {"pan": -40, "focal": 1.5}])
def test_where_one_pair_converges_the_true_ratio_is_among_those_of_usual_lenses(changes, aspect):
    corners = np.array(Camera(aspect, **changes).corners())
    found, *others = straighten.aspects_of(corners, (WIDTH, HEIGHT))
    assert min(others) < aspect < max(others) and min(others) < found < max(others)
    assert changes.get("focal") or found == pytest.approx(aspect, rel=1e-6)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_seen_straight_on_the_lens_does_not_matter(aspect):
    assert straighten.aspects_of(np.array(Camera(aspect).corners()), (WIDTH, HEIGHT)) == pytest.approx([aspect] * 3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_upright_rectangle_is_cut_out_bit_for_bit(mode):
    image = Image.fromarray(draw_pixels(60, 80)).convert(mode)
    straight, _ = straighten.straighten(image, ((10, 5), (70, 5), (70, 45), (10, 45)))
    assert straight.mode == mode and straight.size == (60, 40)
    assert np.array_equal(straight, image.crop((10, 5, 70, 45)))


def test_corners_are_turned_to_where_they_are_said_to_be():
    image = Image.fromarray(draw_pixels(60, 80))
    straight, _ = straighten.straighten(image, ((80, 0), (80, 60), (0, 60), (0, 0)))
    assert np.array_equal(straight, np.rot90(image))


STEEP = ((230, 10), (410, 10), (640, 480), (0, 480))


def test_no_pixel_is_made_up():
    straight, _ = straighten.straighten(Image.new("RGB", (640, 480), (200, 150, 100)), STEEP)
    assert (np.asarray(straight) == (200, 150, 100)).all()
    assert straight.width * straight.height == pytest.approx((180 + 640) / 2 * 470, rel=0.01)


def test_what_is_shrunk_is_averaged_not_skipped():
    """Lines of a pixel each are grey where two and more of them meet in a pixel; elsewhere they may be seen."""
    lines = np.zeros((480, 640), np.uint8)
    lines[:, ::2] = 255
    straight, _ = straighten.straighten(Image.fromarray(lines), STEEP, 1)
    near = np.asarray(straight)[-20:].astype(float)
    assert np.std(near) < 30 and abs(near.mean() - 127.5) < 2


def test_bands_do_not_show(monkeypatch):
    image = Image.fromarray(draw_pixels(480, 640))
    whole, _ = straighten.straighten(image, STEEP)
    monkeypatch.setattr(straighten, "BAND", 7)
    assert np.abs(np.asarray(straighten.straighten(image, STEEP)[0]).astype(int) - whole).max() <= 1


BAD_CORNERS = {
    "outside": (((0, 0), (640.5, 0), (600, 400), (0, 400)), ("(640.5, 0)", "640 x 480", "upper left")),
    "before the photo": (((-1, 0), (600, 0), (600, 400), (0, 400)), ("(-1, 0)", "640 x 480")),
    "no number": (((float("nan"), 0), (600, 0), (600, 400), (0, 400)), ("nan", "640 x 480")),
    "crossing": (((0, 0), (600, 400), (600, 0), (0, 400)), ("order", "bend")),
    "the other way round": (((0, 0), (0, 400), (600, 400), (600, 0)), ("order", "bend")),
    "not convex": (((0, 0), (600, 0), (200, 100), (0, 400)), ("(200, 100)", "bend")),
    "three on a line": (((0, 0), (300, 1), (600, 0), (300, 400)), ("(300, 1)", "line")),
    "the same twice": (((0, 0), (0, 0), (600, 400), (0, 400)), ("0.0 pixels", "16")),
    "small": (((0, 0), (15, 0), (15, 200), (0, 200)), ("15.0 pixels", "16", "larger"))}


@pytest.mark.parametrize("kind", BAD_CORNERS)
def test_corners_of_no_rectangle_are_refused_with_their_numbers(kind):
    corners, words = BAD_CORNERS[kind]
    with pytest.raises(UserError) as refusal:
        straighten.straighten(Image.new("L", (640, 480)), corners)
    assert all(word in str(refusal.value) for word in ("CORNERS", *words)), refusal.value


@pytest.mark.parametrize("word", [
    "CORNERS=(1,2,3,4)", "CORNERS=((0,0),(9,0),(9,9))", "CORNERS=((0,0),(9,0),(9,9),(0,'a'))", "CORNERS=everywhere",
    "CORNERS=((0,0),(9,0),(9,9),(0,9,1))", "ASPECT=1.5", "ASPECT=wide"])
def test_what_cannot_be_corners_or_their_ratio_is_refused_by_name(word):
    with pytest.raises(UserError, match=word.partition("=")[0]):
        constants_of(word)


@pytest.mark.parametrize("ratio, value", [("2", 2.0), ("0.5", 0.5), ("None", None)])
def test_corners_and_their_ratio_are_constants(ratio, value):
    c = constants_of("CORNERS=((0,0),(60,0.5),(60,50),(0,50))", f"ASPECT={ratio}")
    assert c.CORNERS == ((0, 0), (60, 0.5), (60, 50), (0, 50)) and c.ASPECT == value
    with pytest.raises(UserError, match="between 0.1 and 10"):
        constants_of("CORNERS=((0,0),(60,0),(60,50),(0,50))", "ASPECT=0.01")


def test_a_photo_is_straightened_then_cropped_then_shrunk(tmp_path):
    camera = view("both", 1.3)
    path, corners = tmp_path / "photo.png", camera.corners()
    camera.photo(waves).save(path)
    straight, notes = photos.read_photo(path, corners=corners)
    assert "1.300" in notes[0] and "ASPECT" in notes[0]
    part, notes = photos.read_photo(path, crop=(20, 10, 100, 60), corners=corners, aspect=1.3)
    assert np.array_equal(part, straight[10:70, 20:120]) and not notes
    photo = td.load_photo(path, None, 64, corners=corners)
    assert photo.x.shape == (1, 49, 64)


def test_bad_corners_end_a_run_in_one_sentence(tool, tmp_path):
    before = files_in(tmp_path)
    assert_refused(tool("photo.png", *tiny(CORNERS="((0,0),(70,0),(71,54),(0,54))")), "(71, 54)", "70 x 54")
    assert files_in(tmp_path) == before
