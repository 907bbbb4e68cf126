"""A material in light: bumps are bumps under every lamp, and each map does what it stands for."""

import numpy as np
import pytest
from PIL import Image

from texture_diffusion_tools.reading import even_light
from texture_diffusion_tools.writing import shading
from texture_diffusion_tools.writing.shading import AMBIENT, LAMP, LIGHTS, MARGIN

SIDE = 48
Y, X = np.meshgrid(*[(np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1] * 2, indexing="ij")
GREY = np.full((SIDE, SIDE, 3), 0.5, np.float32)
DOME = np.stack([X, Y, np.sqrt(3 - X**2 - Y**2)], -1) / 3**0.5  # its normals: on the left they point to the left
VIEW = np.float32([0, 0, 1])


def drawn(path, **maps):
    """The patches {(-1 above or 1 below, -1 left or 1 right): uint8 [S, S, 3]} and the sphere of a picture."""
    shading.draw_lit(path, **maps)
    pixels = np.asarray(Image.open(path)).astype(int)
    side = (len(pixels) - 3 * MARGIN) // 2
    places = {-1: slice(MARGIN, MARGIN + side), 1: slice(2 * MARGIN + side, -MARGIN)}
    patches = {(y, x): pixels[places[y], :2 * side + 2 * MARGIN][:, places[x] if x < 0 else slice(-side, None)]
               for y in (-1, 1) for x in (-1, 1)}
    return patches, pixels[MARGIN:-MARGIN, -MARGIN - 2 * side - MARGIN:-MARGIN]


def shaded(light=VIEW, colour=0.5, normal=VIEW, roughness=0.5, occlusion=1.0, metal=0.0):
    """shade() of one place: linear light, [3]."""
    values = (np.float32([value]) for value in (roughness, occlusion, metal))
    return shading.shade(np.float32(light), np.full(3, colour, np.float32), np.float32(normal), *values)


def leaning(degrees):
    """A direction so far from the viewer's, to the right."""
    return np.float32([np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))])


@pytest.mark.parametrize("maps", [{"normal": DOME}, {"height": DOME[..., 2]}], ids=["normal", "height"])
def test_the_side_of_a_dome_that_faces_the_lamp_is_the_brightest(tmp_path, maps):
    half = SIDE // 2
    for light, patch in drawn(tmp_path / "a.png", colour=GREY, **maps)[0].items():
        quarters = {(y, x): patch[half * (y > 0):half * (y > 0) + half, half * (x > 0):half * (x > 0) + half].mean()
                    for y, x in LIGHTS}
        away = tuple(-sign for sign in light)
        assert max(quarters, key=quarters.get) == light and min(quarters, key=quarters.get) == away
        assert quarters[light] > quarters[away] + 10


def test_the_lamps_are_thirty_degrees_above_the_patch_and_stand_where_the_patches_do():
    for (y, x), light in LIGHTS.items():
        assert np.linalg.norm(light) == pytest.approx(1) and np.degrees(np.arcsin(light[2])) == pytest.approx(30)
        assert light[0] == pytest.approx(x * abs(light[1])) and np.sign(light[1]) == y


def test_a_height_map_and_the_normals_of_its_surface_are_lit_alike(tmp_path):
    height = 0.5 + 0.2 * np.sin(4 * X) * np.cos(3 * Y + 1)
    down, right = (shading.RELIEF * 2 / SIDE * slope for slope in  # of places from -1 to 1, by the chain rule
                   (-0.6 * np.sin(4 * X) * np.sin(3 * Y + 1), 0.8 * np.cos(4 * X) * np.cos(3 * Y + 1)))
    normal = shading.unit(np.stack([-right, -down, np.ones_like(X)], -1))
    one = drawn(tmp_path / "a.png", colour=GREY, height=height)[0]
    other = drawn(tmp_path / "b.png", colour=GREY, normal=normal)[0]
    assert np.ptp(one[-1, -1]) > 80
    for light in LIGHTS:
        assert abs(one[light] - other[light])[1:-1, 1:-1].max() <= 2


def test_without_maps_a_patch_is_even_and_the_sphere_is_brightest_towards_the_lamp(tmp_path):
    patches, sphere = drawn(tmp_path / "a.png", colour=GREY)
    assert len({patch.tobytes() for patch in patches.values()}) == 1 and np.ptp(patches[1, 1], (0, 1)).max() == 0
    assert 100 < patches[1, 1].mean() < 128  # a little darker than the colour itself
    y, x = np.unravel_index(sphere.sum(-1).argmax(), sphere.shape[:2])
    assert y < 0.4 * len(sphere) and x < 0.4 * len(sphere)
    assert (sphere[0, 0] == shading.BACKGROUND).all() and sphere[len(sphere) // 2, 5].mean() != shading.BACKGROUND


def test_the_sphere_shows_the_maps_as_they_lie_and_leans_their_normals_like_the_patch(tmp_path):
    colour = np.stack([X < 0, Y < 0, np.zeros_like(X)], -1).astype(np.float32)
    sphere = drawn(tmp_path / "a.png", colour=colour)[1]
    near, far = len(sphere) // 3, 2 * len(sphere) // 3
    assert (sphere[far, near].argmax(), sphere[near, far].argmax()) == (0, 1)  # red on the left, green above
    for direction in ([-0.6, 0, 0.8], [0, 0.6, 0.8]):
        patches, sphere = drawn(tmp_path / "a.png", colour=GREY, normal=np.zeros_like(GREY) + np.float32(direction))
        middle = len(sphere) // 2
        assert abs(sphere[middle, middle] - patches[-1, -1][0, 0]).max() <= 3


def test_normals_turn_with_the_sphere():
    points = shading.unit(np.random.default_rng(0).normal(size=(200, 3)))
    points[:, 2] = abs(points[:, 2])
    normals = shading.unit(np.random.default_rng(1).normal(size=(200, 3)))
    straight = shading.turn(np.tile(VIEW, (200, 1)), *points.T)
    assert straight == pytest.approx(points)
    turned = shading.turn(normals, *points.T)
    assert np.linalg.norm(turned, axis=1) == pytest.approx(np.ones(200))
    assert (turned * points).sum(1) == pytest.approx(normals[:, 2])
    axis = np.cross(VIEW, points)  # what lies along the axis of the turn stays
    assert (turned * axis).sum(1) == pytest.approx((normals * axis).sum(1))


def test_metal_has_no_diffuse_light_and_reflects_in_its_colour():
    lamp = leaning(60)
    plain, metal = (shaded(lamp, 0.8, roughness=0.2, metal=metal) - shaded(-VIEW, 0.8, metal=metal) for metal in (0, 1))
    assert (plain > 0.5).all() and (metal < 0.01).all()  # the highlight is elsewhere
    at, dark = (shaded(VIEW, colour, metal=1.0) - shaded(-VIEW, colour, metal=1.0) for colour in (0.8, 0.4))
    assert at / dark == pytest.approx(np.full(3, 2), rel=1e-3)


def test_roughness_widens_the_highlight_and_lowers_it():
    peaks = {rough: shaded(VIEW, 0, roughness=rough)[0] for rough in (0.2, 0.5, 0.9)}
    sides = {rough: shaded(leaning(50), 0, roughness=rough)[0] / peaks[rough] for rough in peaks}
    assert peaks[0.2] > 5 * peaks[0.5] > 5 * peaks[0.9]
    assert sides[0.2] < sides[0.5] < sides[0.9]


@pytest.mark.parametrize("roughness, share", [(0.2, 1), (1, 1 - np.log(2))])
def test_white_metal_reflects_what_it_receives_less_what_the_model_loses(roughness, share):
    """Light from a whole hemisphere. What meets a rough surface more than once is lost; at roughness 1 and seen from
    straight ahead the integral of the model is 1 - ln 2."""
    angles = np.arange(0.15, 90, 0.3)
    radiance = [(shaded(leaning(angle), 1, roughness=roughness, metal=1.0)[0] - AMBIENT) / (np.pi * LAMP)
                for angle in angles]
    total = 2 * np.pi * (np.array(radiance) * np.sin(np.radians(angles))).sum() * np.radians(0.3)
    assert total == pytest.approx(share, abs=0.003)


def test_what_is_no_metal_reflects_more_at_a_grazing_angle_after_schlick():
    lamp, half = leaning(88), leaning(44)  # a mirror's position
    black, white = (shaded(lamp, colour, half, metal=metal, occlusion=0.0) for colour, metal in ((0, 0), (1, 1)))
    assert black / white == pytest.approx(np.full(3, 0.04 + 0.96 * (1 - np.cos(np.radians(44))) ** 5), rel=1e-3)


def test_occlusion_darkens_the_ambient_light_alone():
    for lamp in (VIEW, leaning(60), -VIEW):
        assert shaded(lamp) - shaded(lamp, occlusion=0.0) == pytest.approx(np.full(3, AMBIENT * (0.5 + shading.F0)))
    assert (shaded(-VIEW, occlusion=0.0) == 0).all()


def test_tones_stay_in_order_and_below_white():
    light = np.linspace(0, 5, 500)
    tones = shading.tone_map(light)
    assert (np.diff(tones) > 0).all() and tones.max() < 1
    assert (tones[light <= shading.SHOULDER] == light[light <= shading.SHOULDER]).all()


@pytest.mark.parametrize("size, frame", [((SIDE, 30), 30), ((2, 3), 2), ((1, 1), 1), ((300, 200), 40)])
def test_the_size_of_the_picture(tmp_path, monkeypatch, size, frame):
    assert 4 * shading.FRAME + 5 * MARGIN < 1600
    monkeypatch.setattr(shading, "FRAME", 40)
    shading.draw_lit(tmp_path / "a.png", np.zeros((*size, 3), np.float32))
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "RGB" and image.size == (4 * frame + 5 * MARGIN, 2 * frame + 3 * MARGIN)


def test_nothing_is_out_of_range_whatever_the_maps_say(tmp_path):
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 2, (SIDE, SIDE)).astype(np.float32) for name in ("roughness", "occlusion", "metal")}
    normal = shading.unit(rng.normal(size=(SIDE, SIDE, 3))).astype(np.float32)  # half of them point into the picture
    colour = rng.integers(0, 2, (SIDE, SIDE, 3)).astype(np.float32)
    with np.errstate(all="raise"):
        drawn(tmp_path / "a.png", colour=colour, normal=normal, **maps)
    for light in LIGHTS.values():
        seen = shading.shade(light, colour, normal, *(values[..., None] for values in maps.values()))
        assert seen.shape == colour.shape and np.isfinite(seen).all() and seen.min() >= 0


def test_the_patches_show_the_middle_of_the_maps_at_their_own_size(tmp_path, monkeypatch):
    monkeypatch.setattr(shading, "FRAME", 16)
    colour = np.zeros((40, 60, 3), np.float32)
    colour[12:28, 22:38] = 0.5
    patches, _ = drawn(tmp_path / "a.png", colour=colour)
    assert patches[1, 1].shape == (16, 16, 3) and np.ptp(patches[1, 1]) == 0 and patches[1, 1].min() > 60
    assert even_light.decode(np.uint8(128)) * (LAMP / 2 + AMBIENT) == pytest.approx(
        even_light.decode(patches[1, 1][0, 0, 0]), abs=0.03)
