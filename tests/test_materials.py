"""Materials: a folder of maps becomes one texture, in which they stay in register, and is written as it was given."""

import zlib

import numpy as np
import pytest
import torch
from conftest import TILE, assert_refused, draw_pixels, make_trainer, profile, random_net, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.learning import photo_facts
from texture_diffusion_tools.reading import map_names
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png, shading

SIDE = 54


def bumps(height=SIDE, width=SIDE, seed=0):
    """A bumpy surface that wraps around: its height in [0, 1], and how it rises to the right and downwards a pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    waves = [(rng.integers(1, 6), rng.integers(-5, 6), rng.uniform(0, 6.28)) for _ in range(6)]
    surface = sum(np.sin(2 * np.pi * (a * x + b * y) + phase) for a, b, phase in waves) / 14 + 0.5
    slopes = [(np.roll(surface, -1, axis) - np.roll(surface, 1, axis)) / 2 for axis in (1, 0)]
    return surface, *slopes


def draw_maps(height=SIDE, width=SIDE, seed=0, steep=20.0):
    """Maps of a material, {kind: uint8 [H, W] or [H, W, 3]}; green points up."""
    surface, right, down = bumps(height, width, seed)
    normal = np.stack([-steep * right, steep * down, np.ones_like(right)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    colour = draw_pixels(height, width, seed) * (0.5 + 0.5 * surface[..., None])
    maps = {"Color": colour, "Displacement": 255 * surface, "NormalGL": 127.5 * (normal + 1),
            "Roughness": 255 * (1 - surface), "AmbientOcclusion": 127 + 128 * surface}
    return {name: x.round().clip(0, 255).astype(np.uint8) for name, x in maps.items()}


def save_maps(folder, maps, name="Rock_"):
    folder.mkdir(exist_ok=True)
    for kind, pixels in maps.items():
        Image.fromarray(pixels).save(folder / f"{name}{kind}.png")
    return folder


@pytest.fixture
def rock(tmp_path):
    return save_maps(tmp_path / "rock", draw_maps())


def saved(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


# Names


NAMES = {"Bricks008_Color": "colour", "Bricks_4K-JPG_NormalDX": "normal", "Rock_Displacement": "height",
         "rock_wall_08_diff_2k": "colour", "rock_wall_08_nor_gl_1k": "normal", "aerial_disp_4k": "height",
         "aerial_arm_4k": "occlusion roughness metal", "T_Brick_ORM": "occlusion roughness metal",
         "Wood Base Color": "colour", "albedo": "colour", "bump": "height", "RustMetallic": "metal",
         "my-gloss": "gloss", "cloth_ao_1024": "occlusion", "lamp_Emissive": "emission", "leaf_Opacity": "opacity",
         "x_specular": "specular",
         "wall_MaskMap": "metal occlusion detail gloss", "Rock_Metalness": "metal",
         "Rock_AmbientOcclusion": "occlusion"}


@pytest.mark.parametrize("stem", NAMES)
def test_maps_are_known_by_the_names_that_people_give_them(stem):
    _, word = map_names.what_it_holds(stem)
    assert " ".join(map_names.CODES[word]) == NAMES[stem]


@pytest.mark.parametrize("stem", ("IMG_1234", "thumbnail", "Fabric032", "normandy", "colourful", "preview_2k"))
def test_other_pictures_are_no_maps(stem):
    assert map_names.what_it_holds(stem) is None


def test_what_was_taken_for_what_is_said_and_what_was_left_out(rock):
    Image.fromarray(draw_pixels(20, 20)).save(rock / "thumbnail.png")
    (rock / "README.txt").write_text("a rock")
    said = " ".join(td.load_photo(rock).notes)
    assert "Rock_Color.png for colour" in said and "Rock_NormalGL.png for normal" in said
    assert "thumbnail.png was left out" in said and "README" not in said


# Refused


def test_a_folder_without_maps_is_refused(tmp_path):
    Image.fromarray(draw_pixels(SIDE, SIDE)).save(tmp_path / "IMG_1.png")
    with pytest.raises(UserError, match="holds no map: of 1 pictures none"):
        td.load_photo(tmp_path)


def test_maps_of_two_materials_are_refused_by_name(rock):
    Image.fromarray(draw_pixels(SIDE, SIDE)).save(rock / "Moss_Color.png")
    with pytest.raises(UserError, match="2 materials, such as .*Moss_Color.png and Rock_"):
        td.load_photo(rock)


@pytest.mark.parametrize("name, kind", (("Rock_albedo.png", "colour"), ("Rock_ORM.png", "occlusion"),
                                        ("Rock_Normal_GL.png", "normal")))
def test_two_files_for_one_map_are_refused_by_name(rock, name, kind):
    Image.fromarray(draw_pixels(SIDE, SIDE)).save(rock / name)
    with pytest.raises(UserError, match=f"both .* hold the {kind} map"):
        td.load_photo(rock)


def test_two_copies_of_one_map_are_learned_once_and_written_twice(rock):
    (rock / "Rock_Diffuse.png").write_bytes((rock / "Rock_Color.png").read_bytes())
    photo = td.load_photo(rock)
    assert len(photo.x) == 8 and {"Rock_Color", "Rock_Diffuse"} <= {file.name for file in photo.channels.files}


def test_maps_of_other_sizes_are_refused_with_both_sizes(rock):
    Image.fromarray(draw_pixels(SIDE, SIDE + 1)).save(rock / "Rock_Metalness.png")
    with pytest.raises(UserError, match=f"Rock_Metalness.png has {SIDE + 1} x {SIDE} pixels and .* {SIDE} x {SIDE}"):
        td.load_photo(rock)


def test_maps_without_texture_are_refused(tmp_path):
    flat = {"Color": np.full((SIDE, SIDE, 3), 90, np.uint8), "Roughness": np.full((SIDE, SIDE), 9, np.uint8)}
    with pytest.raises(UserError, match="each map is a single colour"):
        td.load_photo(save_maps(tmp_path / "flat", flat))


def test_a_damaged_map_is_refused_by_name(rock):
    file = rock / "Rock_Roughness.png"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(UserError, match="Rock_Roughness.png cannot be read"):
        td.load_photo(rock)


def test_the_command_refuses_in_a_sentence(tmp_path, tool):
    (tmp_path / "empty").mkdir()
    assert_refused(tool("empty", *tiny()), "holds no map")


# Values


def test_what_is_read_is_written_as_it_was(rock):
    """Each map's pixels come back, the normals' within what their length of 1 leaves open."""
    photo = td.load_photo(rock)
    for file, pixels in zip(photo.channels.files, photo.rendered(photo.x)):
        original = np.asarray(Image.open(rock / f"{file.name}.png")).astype(int)
        assert np.abs(pixels - original).max() <= (1 if "Normal" in file.name else 0), file.name


def test_packed_maps_are_packed_again(tmp_path):
    maps = draw_maps()
    packed = np.stack([maps["AmbientOcclusion"], maps["Roughness"], maps["Displacement"]], -1)
    photo = td.load_photo(save_maps(tmp_path / "p", {"Color": maps["Color"], "ORM": packed}))
    assert [file.name for file in photo.channels.files] == ["Rock_Color", "Rock_ORM"]
    assert np.array_equal(photo.rendered(photo.x)[1], packed)


def noise(channels, seed=0, depth=8):
    """Another grey noise for each of the channels, uint8 or uint16 [SIDE, SIDE, channels]."""
    values = np.random.default_rng(seed).integers(0, 2**depth, (SIDE, SIDE, channels))
    return np.squeeze(values.astype(np.uint8 if depth == 8 else np.uint16))


def repeated(channels):
    """A grey map in red, green and blue, and as many channels as are left."""
    values = noise(channels)
    values[..., 1] = values[..., 2] = values[..., 0]
    return values


PACKINGS = {  # name -> (its pixels, the kinds in it)
    "OcclusionRoughnessMetallic": (noise(3), "occlusion roughness metal"),
    "MRA": (noise(3), "metal roughness occlusion"), "ORM": (noise(4), "occlusion roughness metal occlusion_alpha"),
    "AlbedoTransparency": (noise(4), "colour opacity"), "metallicRoughness": (noise(3), "unused roughness metal"),
    "MetallicSmoothness": (repeated(4), "metal metal metal gloss"),
    "Metallic_Smoothness": (noise(4), "metal metal_green metal_blue gloss"),
    "MetallicSmoothness_8k": (noise(2), "metal gloss"), "MetallicSmoothness_raw": (repeated(3), "metal metal metal"),
    "MaskMap": (noise(4), "metal occlusion detail gloss"),
    "Roughness": (noise(2), "roughness roughness_alpha"),
    "RoughnessMetallic": (noise(3), "roughness metal roughness_blue"),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_every_channel_of_a_packed_file_is_read_and_packed_again(tmp_path, name):
    pixels, kinds = PACKINGS[name]
    maps = {name: pixels, "Normal": draw_maps()["NormalGL"]}
    photo = td.load_photo(save_maps(tmp_path / "p", maps))
    files = {file.name: file for file in photo.channels.files}
    written = dict(zip(files, photo.rendered(photo.x)))[f"Rock_{name}"]
    assert files[f"Rock_{name}"].holds == tuple(kinds.split()) and np.array_equal(written, pixels)
    values = photo.channels.read(dict(zip(files, photo.rendered(photo.x))))
    assert np.allclose(values, photo.values(photo.x), atol=0.02)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", ["height", "zero", "half", "one"])
def test_the_alpha_of_normals_is_a_channel_of_its_own_and_changes_none(tmp_path, depth, alpha):
    maps, top = draw_maps(), 2**depth - 1
    normal = (maps["NormalGL"] / 255 * top).astype(np.uint8 if depth == 8 else np.uint16)
    more = {"height": maps["Displacement"] / 255 * top, "zero": 0, "half": top // 2, "one": top}[alpha]
    both = np.dstack([normal, np.broadcast_to(more, normal.shape[:2]).astype(normal.dtype)])
    save_maps(tmp_path / "m", {"Color": maps["Color"]})
    png.save_png(tmp_path / "m/Rock_NormalGL.png", both, srgb=False)
    photo = td.load_photo(tmp_path / "m", depth=None)
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))["Rock_NormalGL"]
    assert len(photo.x) == (6 if alpha == "height" else 5) and written.shape[2] == (3 if alpha == "one" else 4)
    assert np.abs(written.astype(int) - both[..., :written.shape[2]]).max() <= top // 200
    assert not any("transparent" in note for note in photo.notes)


def test_normals_and_gloss_of_one_engine_are_told_by_their_name(tmp_path):
    both = np.dstack([draw_maps()["NormalGL"], noise(1)])
    photo = td.load_photo(save_maps(tmp_path / "m", {"ddna": both}))
    assert list(photo.channels.slices) == ["normal", "gloss"]


def test_height_in_the_alpha_of_normals_tells_where_green_points(tmp_path):
    both = np.dstack([draw_maps()["NormalGL"], draw_maps()["Displacement"]])
    both[..., 1] = 255 - both[..., 1]
    assert td.load_photo(save_maps(tmp_path / "m", {"Normal": both})).channels.files[0].down


def test_blue_that_is_not_stored_is_worked_out(tmp_path):
    normal = draw_maps()["NormalGL"]
    photos = [td.load_photo(save_maps(tmp_path / name, {"NormalGL": pixels}))
              for name, pixels in (("whole", normal), ("two", normal * np.uint8([1, 1, 0])))]
    assert torch.allclose(*(photo.values(photo.x) for photo in photos), atol=0.02)


@pytest.mark.parametrize("depth", [8, 16])
def test_maps_are_plain_numbers_that_no_profile_changes(tmp_path, depth):
    maps = draw_maps()
    (tmp_path / "m").mkdir()
    for name, pixels in maps.items():
        icc = png.chunk(b"iCCP", b"icc\0\0" + zlib.compress(
            profile("RGB " if pixels.ndim == 3 else "GRAY", "Light", gamma=1)))
        path = tmp_path / f"m/Rock_{name}.png"
        png.save_png(path, pixels if depth == 8 else pixels * np.uint16(257), srgb=False)
        path.write_bytes(path.read_bytes()[:33] + icc + path.read_bytes()[33:])
    photo = td.load_photo(tmp_path / "m")
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))
    assert np.array_equal(written["Rock_Roughness"], maps["Roughness"])
    assert np.abs(written["Rock_NormalGL"].astype(int) - maps["NormalGL"]).max() <= 1
    assert written["Rock_Color"].mean() > maps["Color"].mean() + 20


def test_a_grey_map_in_colours_is_spoken_of(tmp_path):
    photo = td.load_photo(save_maps(tmp_path / "m", {"Color": noise(3), "Roughness": noise(3, 1)}))
    assert any("Rock_Roughness.png: it is in colours, and its red" in note for note in photo.notes)


def test_maps_that_are_the_same_everywhere_are_no_channels_and_are_written_as_they_were(rock):
    Image.fromarray(np.full((SIDE, SIDE), 37, np.uint8)).save(rock / "Rock_Metalness.png")
    photo = td.load_photo(rock)
    assert "metal" not in photo.channels.slices and photo.channels.count() == len(photo.x) == 8
    names = [file.name for file in photo.channels.files]
    assert (photo.rendered(photo.x[:, :20])[names.index("Rock_Metalness")] == 37).all()
    assert any("metal map is the same everywhere" in note for note in photo.notes)


def test_normals_are_written_with_length_1_whatever_is_drawn(rock):
    photo = td.load_photo(rock)
    drawn = photo.rendered(3 * torch.randn(photo.x.shape, generator=torch.Generator().manual_seed(0)))
    normals = dict(zip((file.name for file in photo.channels.files), drawn))["Rock_NormalGL"] / 127.5 - 1
    assert np.abs(np.linalg.norm(normals, axis=-1) - 1).max() < 0.02


def test_what_is_seen_of_a_material_is_its_colour(rock):
    photo = td.load_photo(rock)
    assert np.array_equal(photo.pixels(photo.x), np.asarray(Image.open(rock / "Rock_Color.png")))


def test_a_height_map_alone_will_do(tmp_path):
    maps = draw_maps()
    photo = td.load_photo(save_maps(tmp_path / "h", {"height": maps["Displacement"]}))
    assert photo.x.shape[0] == 1 and np.array_equal(photo.pixels(photo.x)[..., 0], maps["Displacement"])


@pytest.mark.parametrize("kinds, channels, weights", [
    (("NormalGL",), 2, [1, 1]), (("Displacement",), 1, [1]), (("NormalGL", "Displacement"), 3, [1, 1, 1]),
    (("Roughness",), 1, [1]), (("NormalGL", "Roughness"), 3, [1, 1, 0]), (("Flat", "NormalGL"), 2, [1, 1])])
def test_maps_without_a_colour_to_learn_are_matched_by_their_shape_and_seen_in_grey(tmp_path, kinds, channels, weights):
    maps = {**draw_maps(), "Flat": np.full((SIDE, SIDE, 3), (178, 34, 34), np.uint8)}
    save_maps(tmp_path / "m", {kind.replace("Flat", "Color"): maps[kind] for kind in kinds})
    photo = td.load_photo(tmp_path / "m")
    seen = photo.pixels(photo.x)
    assert len(photo.x) == channels and photo.channels.weights().tolist() == weights
    assert (seen == seen[..., :1]).all() and seen.std() > 1
    assert any("no colour to learn" in note for note in photo.notes)
    td.facts_of([photo], 3)


def test_a_normal_map_alone_is_drawn(tmp_path, tool, plain_figures):
    save_maps(tmp_path / "m", {"NormalGL": draw_maps()["NormalGL"]})
    result = tool("m", *tiny(EPOCHS=1, PREVIEW_EVERY=9))
    assert result.code == 0, result.err
    assert saved(tmp_path / "samples/m/output_texture_3x3").keys() == saved(tmp_path / "m").keys()


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_a_library_s_download_of_jpeg_and_exr_is_one_material(tmp_path, channels):
    OpenEXR = pytest.importorskip("OpenEXR")
    maps = draw_maps()
    save_maps(tmp_path / "m", {"diff": maps["Color"], "disp": maps["Displacement"]}, "trail_")
    exr = {"trail_nor_gl_4k": {name: np.dstack([maps["NormalGL"] / 255, maps["Roughness"] / 255])[..., k]
                               for k, name in enumerate(channels)}, "trail_rough_4k": {"Y": maps["Roughness"] / 255}}
    for name, planes in exr.items():
        planes = {letter: plane.astype(np.float16) for letter, plane in planes.items()}
        OpenEXR.File({"type": OpenEXR.scanlineimage}, planes).write(str(tmp_path / f"m/{name}.exr"))
    photo = td.load_photo(tmp_path / "m", depth=None)
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))
    assert "normal" in photo.channels.slices and ("normal_alpha" in photo.channels.slices) == (channels == "RGBA")
    assert written["trail_nor_gl_4k"].dtype == np.uint16 and written["trail_diff"].dtype == np.uint8
    assert np.abs(written["trail_nor_gl_4k"][..., :3] / 257 - maps["NormalGL"]).max() < 1
    assert np.abs(written["trail_rough_4k"] / 257 - maps["Roughness"]).max() < 0.1


# Conventions


def flipped(maps, green, height):
    """The maps with normals whose green is inverted, or an inverted height; the normals' name does not tell."""
    normal = maps["NormalGL"].copy()
    normal[..., 1] = 255 - normal[..., 1] if green else normal[..., 1]
    return {"Normal": normal, "Height": 255 - maps["Displacement"] if height else maps["Displacement"]}


@pytest.mark.parametrize("height", (False, True))
@pytest.mark.parametrize("green", (False, True))
def test_the_height_map_tells_where_green_points(tmp_path, green, height):
    photo = td.load_photo(save_maps(tmp_path / "m", flipped(draw_maps(), green, height)))
    assert [file.down for file in photo.channels.files if file.holds == ("normal",)] == [green]
    assert any(("DirectX" if green else "OpenGL") in note for note in photo.notes)
    expected = np.asarray(Image.open(tmp_path / "m/Rock_Normal.png")).astype(int)
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))["Rock_Normal"]
    assert np.abs(written - expected).max() <= 1


def test_without_a_height_map_green_is_taken_to_point_up_and_that_is_said(tmp_path):
    photo = td.load_photo(save_maps(tmp_path / "m", {"Normal": draw_maps()["NormalGL"]}))
    assert not photo.channels.files[0].down and "was taken to point up" in photo.notes[-1]


def test_a_height_map_that_does_not_fit_tells_nothing(tmp_path):
    maps = {"Normal": draw_maps(seed=1)["NormalGL"], "Height": draw_pixels(SIDE, SIDE, 5, 1)}
    photo = td.load_photo(save_maps(tmp_path / "m", maps))
    assert any("was taken to point up" in note for note in photo.notes)


def test_normals_in_both_conventions_are_one_map_and_both_are_written(rock):
    pixels = np.asarray(Image.open(rock / "Rock_NormalGL.png")).copy()
    pixels[..., 1] = 255 - pixels[..., 1]
    Image.fromarray(pixels).save(rock / "Rock_NormalDX.png")
    photo = td.load_photo(rock)
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))
    assert len(photo.x) == 8
    assert np.abs(written["Rock_NormalDX"].astype(int) - pixels).max() <= 1
    assert np.abs(written["Rock_NormalDX"][..., 1].astype(int) + written["Rock_NormalGL"][..., 1] - 255).max() <= 1


def agreement(normals, surface):
    """How well normals (right, down) [2, h, w] agree with a surface [h, w]: the lower of the two correlations."""
    down, right = np.gradient(surface)
    inside = (slice(4, -4), slice(4, -4))
    return min(np.corrcoef(x[inside].ravel(), -slope[inside].ravel())[0, 1] for x, slope in zip(normals, (right, down)))


@pytest.mark.parametrize("orientation", td.AUGMENTS["rotations"])
def test_normals_turn_with_the_picture(rock, orientation):
    photo = td.load_photo(rock)
    x = td.oriented(photo.x, *orientation, photo.channels.vector())
    values = photo.values(x).numpy()
    assert agreement(values[photo.channels.slices["normal"]], values[photo.channels.slices["height"]][0]) > 0.9
    assert torch.equal(x[:4], td.oriented(photo.x[:4], *orientation))


def test_training_examples_are_turned_with_their_normals(rock):
    photo = td.load_photo(rock)
    dataset = td.NeighbourDataset(photo, TILE, augment="rotations")
    windows, *_ = dataset.batch(8, 0.0, torch.Generator().manual_seed(0))
    for window in photo.values(dataset.tiles_of(windows)).numpy():
        assert agreement(window[photo.channels.slices["normal"]], window[photo.channels.slices["height"]][0]) > 0.8


def test_normals_are_bent_with_a_straightened_material(tmp_path):
    folder = save_maps(tmp_path / "m", draw_maps(160, 160))
    photo = td.load_photo(folder, corners=((20, 30), (150, 10), (140, 140), (10, 150)))
    values = photo.values(photo.x).numpy()
    assert agreement(values[photo.channels.slices["normal"]], values[photo.channels.slices["height"]][0]) > 0.9


def test_maps_are_cropped_and_shrunk_alike(tmp_path):
    folder = save_maps(tmp_path / "m", draw_maps(120, 160))
    photo = td.load_photo(folder, crop=(40, 20, 100, 80), max_side=50)
    assert photo.x.shape[1:] == (40, 50) and any("shrunk from 100 x 80 to 50 x 40" in note for note in photo.notes)
    values = photo.values(photo.x).numpy()
    expected = np.asarray(Image.open(folder / "Rock_Displacement.png").crop((40, 20, 140, 100)).resize((50, 40), 1))
    assert np.abs((values[3] + 1) * 127.5 - expected).max() < 2
    with pytest.raises(UserError, match="CROP = .* does not lie inside the photo of 160 x 120"):
        td.load_photo(folder, crop=(80, 0, 100, 80))


def test_another_depth_is_the_same_material(rock):
    photos = [td.load_photo(rock, depth=depth) for depth in (None, 16)]
    assert photos[0].digest == photos[1].digest
    assert {x.dtype for x in photos[1].rendered(photos[1].x)} == {np.dtype(np.uint16)}
    assert td.load_photo(rock, crop=(0, 0, 50, 50)).digest != photos[0].digest


def test_the_light_of_the_colour_alone_is_made_even(tmp_path):
    maps = draw_maps(160, 160)
    ramp = np.linspace(0.4, 1.6, 160)[None, :, None]
    maps["Color"] = np.clip(maps["Color"] * ramp, 0, 255).astype(np.uint8)
    folder = save_maps(tmp_path / "m", maps)
    before, after = (td.load_photo(folder, even=even) for even in (False, True))
    sides = [[p.pixels(p.x)[:, part].mean() for part in (slice(0, 40), slice(120, 160))] for p in (before, after)]
    assert sides[0][1] / sides[0][0] > 2 and 0.8 < sides[1][1] / sides[1][0] < 1.25
    assert np.array_equal(before.rendered(before.x)[1], after.rendered(after.x)[1])


# One network, one layout


def test_each_map_has_its_own_deviation_and_the_colours_share_one(rock):
    photo = td.load_photo(rock)
    for part in photo.channels.slices.values():
        assert photo.x[part].std() == pytest.approx(1, abs=0.15)
        assert photo.std[part].unique().numel() == 1


def test_colours_have_their_own_axes(rock, tmp_path):
    photo, colour = td.load_photo(rock), td.load_photo(rock / "Rock_Color.png")
    axes = photo_facts.facts_of(photo.x, 8, photo.channels.colours()).axes
    assert torch.allclose(axes[:3, :3], photo_facts.facts_of(colour.x, 3).axes, atol=1e-4)
    assert (axes[:3, 3:] == 0).all() and (axes[3:, :3] == 0).all() and torch.equal(axes[3:, 3:], torch.eye(5))
    assert torch.allclose(axes @ axes.T, torch.eye(8), atol=1e-5)
    there = photo_facts.rotated(photo.x[None], axes)
    assert torch.allclose(there[0], torch.einsum("kc,chw->khw", axes, photo.x), atol=1e-5)
    assert torch.allclose(photo_facts.rotated(there, axes.mT)[0], photo.x, atol=1e-5)


def test_places_are_matched_by_what_is_seen(rock):
    """Other maps than colour and height have no say."""
    photo = td.load_photo(rock)
    other = photo._replace(x=torch.cat([photo.x[:4], torch.randn(4, *photo.x.shape[1:])]))
    grid = grids.make_grid(3 * SIDE, 3 * SIDE, TILE)
    sources = [td.lay_out(each, "matched", grid, 0).source for each in (photo, other)]
    assert np.array_equal(*sources)
    lower = photo._replace(x=torch.cat([photo.x[:3], photo.x[3:4].flip(1), photo.x[4:]]))
    assert not np.array_equal(sources[0], td.lay_out(lower, "matched", grid, 0).source)


def test_a_prior_of_three_channels_begins_a_material_as_it_would_its_colour(rock):
    """The network sees more channels, and what it says of the colour is the same until it is trained."""
    photo, prior = td.load_photo(rock), random_net()
    colour = td.load_photo(rock / "Rock_Color.png")
    nets = []
    for each in (colour, photo):
        trainer = make_trainer(each)
        trainer.begin_from(prior.state_dict(), "0" * 64)
        nets.append(trainer.ema)
    windows, present = td.NeighbourDataset(photo, TILE).examples(2, False)
    x_t = torch.randn(2, 8, TILE, TILE, generator=torch.Generator().manual_seed(0))
    t, alphas_cumprod = torch.tensor([3, 30]), td.cosine_schedule(50)
    with torch.inference_mode():
        expected = td.predict_x0(nets[0], x_t[:, :3], t, windows[:, :3], present, alphas_cumprod)
        found = td.predict_x0(nets[1], x_t, t, windows, present, alphas_cumprod)
    scale = photo.std[:3] / colour.std  # three channels of uint8 are normalised alike
    assert torch.allclose(found[:, :3] * scale, expected * scale, atol=1e-4)
    assert found.shape == x_t.shape and torch.isfinite(found).all()


# The command


@pytest.fixture
def drawn(rock, tmp_path, tool, plain_figures):
    """Runs the tool on the material; its result and the folder of maps."""
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(rock / "Rock_Metalness.png")

    def draw(name="3x3", **changes):
        return tool("rock", *tiny(**changes)), tmp_path / "samples/rock" / f"output_texture_{name}"

    return draw


def test_a_run_writes_each_map_under_its_own_name(drawn, rock):
    result, folder = drawn()
    assert result.code == 0, result.err
    written = saved(folder)
    assert written.keys() == saved(rock).keys()
    assert {x.shape[:2] for x in written.values()} == {(3 * SIDE, 3 * SIDE)}
    assert all(written[name].ndim == pixels.ndim for name, pixels in saved(rock).items())
    assert (written["Rock_Metalness"] == 0).all()
    assert f"output: samples/rock/{folder.name}" in result.out and "seam_ratio_1st_normal" in result.out
    assert (folder.parent / "material.png").is_file()
    result, _ = drawn(EPOCHS=0)
    assert result.code == 0 and saved(folder)["Rock_Color"].tobytes() == written["Rock_Color"].tobytes()


def test_real_tiles_are_cut_from_the_same_place_in_every_map(drawn, rock):
    """Each tile of the checkerboard is found in the colour map; the other maps hold the same place of theirs."""
    _, folder = drawn()
    written, given = saved(folder), saved(rock)
    photo = td.load_photo(rock)
    layout = td.lay_out(photo, "matched", grids.make_grid(3 * SIDE, 3 * SIDE, TILE), 0)
    cells = [cell for cell in np.argwhere(layout.real()) if max(cell) < 3 * SIDE // TILE]
    for i, j in cells:
        y, x = layout.source[i, j]
        if min(y, x) < 0 or max(y, x) > SIDE - TILE:
            continue
        for name in given:
            here = written[name][i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE].astype(int)
            assert np.abs(here - given[name][y:y + TILE, x:x + TILE]).max() <= ("Normal" in name), name


def test_a_tileable_material_and_a_large_one(drawn, monkeypatch):
    from texture_diffusion_tools.writing import drawings

    result, folder = drawn("100x90", OUTPUT_SIZE="(100,90)")
    whole = saved(folder)
    monkeypatch.setattr(drawings, "WHOLE_PIXELS", 5000)
    monkeypatch.setattr(drawings, "BAND_PIXELS", 5000)
    banded, _ = drawn("100x90", OUTPUT_SIZE="(100,90)", EPOCHS=0)
    assert result.code == banded.code == 0, banded.err
    assert all(np.array_equal(pixels, saved(folder)[name]) for name, pixels in whole.items())
    result, folder = drawn("3x3_tileable_xy", TILEABLE="xy", EPOCHS=0)
    assert result.code == 0 and len(saved(folder)) == 6


def test_what_the_person_put_in_place_of_a_map_is_kept(drawn):
    _, folder = drawn()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "Rock_Color.png")
    before = sorted(path.name for path in folder.iterdir())
    assert drawn(EPOCHS=0)[0].code == 0
    assert Image.open(folder / "Rock_Color.png").size == (4, 4)
    again = folder.with_name(f"{folder.name}.2")  # all maps together, in a folder of their own
    assert sorted(path.name for path in folder.iterdir()) == before == sorted(path.name for path in again.iterdir())


def test_a_file_where_the_folder_should_be_is_a_sentence(drawn):
    _, folder = drawn()
    other = folder.with_name("output_texture_2x2")
    other.write_text("mine")
    result, _ = drawn(SCALE=2, EPOCHS=0)
    assert_refused(result, "cannot be made")
    assert other.read_text() == "mine"


def test_material_png_shows_what_the_maps_say(rock, tmp_path):
    photo = td.load_photo(rock)
    shading.draw_material(tmp_path / "a.png", photo.channels, photo.values(photo.x).numpy())
    assert np.asarray(Image.open(tmp_path / "a.png")).std() > 5


# The benchmark


@pytest.mark.slow
def test_the_benchmark_tells_maps_in_register_from_others(drawn, rock):
    from benchmarks import materials as bench

    _, folder = drawn()
    photo = td.load_photo(rock)
    values, layout = bench.read(photo, folder)
    real, made = bench.parts_of(layout)
    assert not (real & made).any() and real.any() and made.any()
    found = bench.agreements(photo.channels, values, real)
    assert found["normal, height to the right"] < -0.9 and found["normal, height downwards"] < -0.9
    assert found["occlusion, height"] > 0.95
    moved = np.concatenate([values[:3], np.roll(values[3:4], 9, axis=1), values[4:]])
    assert abs(bench.agreements(photo.channels, moved, real)["normal, height to the right"]) < 0.8
