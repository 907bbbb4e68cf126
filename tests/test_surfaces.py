"""Surfaces: normals of heights and back, what a sky's light reaches, and maps that are missing computed from others."""

import numpy as np
import pytest
from conftest import assert_refused, draw_pixels, tiny
from PIL import Image
from test_materials import SIDE, bumps, draw_maps, save_maps, saved

import texture_diffusion as td
from texture_diffusion_tools.reading import map_names, surfaces

BOTH = (True, True)
HEIGHT = 12 * bumps(96, 128)[0]
COLOUR = {"Color": draw_maps()["Color"]}


def level(height):
    """A height without the plane that fits it."""
    y, x = np.mgrid[:height.shape[0], :height.shape[1]]
    terms = np.stack([y, x, np.ones_like(x)], -1).reshape(-1, 3)
    return height - (terms @ np.linalg.lstsq(terms, height.ravel(), rcond=None)[0]).reshape(height.shape)


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


def maps_of(folder, **options):
    """The Photo of a folder, and {file's name: pixels} of what is written of it."""
    photo = td.load_photo(folder, depth=None, **options)
    return photo, dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))


# Normals and heights


def test_normals_lean_away_from_what_rises():
    y, x = np.mgrid[:9, :9]
    right, down = surfaces.normals_of(x + 0.0)
    assert np.allclose(right, -0.5**0.5) and np.allclose(down, 0)
    assert np.allclose(surfaces.normals_of(2.0 * y)[1], -2 / 5**0.5)


@pytest.mark.parametrize("wraps", [BOTH, (False, False), (True, False), (False, True)])
def test_a_height_comes_back_from_its_normals(wraps):
    found = surfaces.height_of(surfaces.normals_of(HEIGHT, wraps), wraps)
    assert np.abs(found - HEIGHT + HEIGHT.mean()).max() < (0.01 if all(wraps) else 0.05) * np.ptp(HEIGHT)


@pytest.mark.parametrize("size", [(64, 90), (63, 91), (2, 2), (3, 40)])
def test_a_part_that_does_not_wrap_comes_back_but_for_its_plane(size):
    part = HEIGHT[:size[0], :size[1]]
    found = surfaces.height_of(surfaces.normals_of(part))
    assert found.shape == part.shape and np.abs(level(found) - level(part)).max() < 0.05 * np.ptp(HEIGHT)


def test_a_height_of_normals_has_those_normals():
    normals = surfaces.normals_of(HEIGHT, BOTH)
    again = surfaces.normals_of(surfaces.height_of(normals), BOTH)
    assert correlation(again, normals) > 0.999


def test_a_height_of_normals_that_wrap_wraps_and_turns_with_them():
    normals = surfaces.normals_of(HEIGHT, BOTH)
    moved = surfaces.height_of(np.roll(normals, (20, 30), (1, 2)), BOTH)
    assert np.allclose(moved, np.roll(surfaces.height_of(normals, BOTH), (20, 30), (0, 1)), atol=1e-3)


def test_normals_that_no_surface_has_and_those_that_lie_in_the_plane_give_a_finite_height():
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 40, 50)).astype(np.float32)
    for normals in (noise, np.sign(noise), np.zeros_like(noise)):
        assert np.isfinite(surfaces.height_of(normals)).all()


def test_whether_a_picture_wraps_is_seen_at_its_ends():
    for wraps, part in ((BOTH, HEIGHT), ((False, True), HEIGHT[:60]), ((True, False), HEIGHT[:, :70])):
        normals = surfaces.normals_of(part, wraps)
        assert np.allclose(surfaces.height_of(normals), surfaces.height_of(normals, wraps))
    assert surfaces.wraps_of(HEIGHT) == BOTH
    assert surfaces.wraps_of(HEIGHT[:60]) == (False, True) and surfaces.wraps_of(HEIGHT[:, :70]) == (True, False)


# Occlusion


def test_level_ground_and_a_slope_s_upper_side_see_all_of_the_sky():
    assert (surfaces.occlusion_of(np.zeros((20, 30))) == 1).all()
    peak = np.zeros((31, 31))
    peak[15, 15] = 9
    assert surfaces.occlusion_of(peak)[15, 15] == 1


def test_the_bottom_of_a_round_pit_sees_what_its_rim_leaves():
    """The horizon is equally high all around, so that the integral is the cosine of its elevation, squared."""
    y, x = np.mgrid[-40:41, -40:41]
    for depth in (5, 10, 20):
        pit = np.where(np.hypot(y, x) < 10, 0.0, depth)
        assert surfaces.occlusion_of(pit)[40, 40] == pytest.approx(100 / (100 + depth**2), abs=0.07)


def test_a_valley_is_darker_than_its_ridges_and_steeper_ones_are_darker():
    light = [surfaces.occlusion_of(steep * HEIGHT, BOTH) for steep in (0.5, 1, 2)]
    assert correlation(light[1], HEIGHT) > 0.6 and light[0].mean() > light[1].mean() > light[2].mean()
    assert all(0 < part.min() and part.max() <= 1 for part in light)


def test_occlusion_goes_round_the_ends_of_what_wraps():
    light = surfaces.occlusion_of(HEIGHT, BOTH)
    assert np.allclose(surfaces.occlusion_of(np.roll(HEIGHT, (40, 50), (0, 1)), BOTH), np.roll(light, (40, 50), (0, 1)))
    step = np.zeros((30, 40))
    step[:, :5] = 10
    wrapped, alone = (surfaces.occlusion_of(step, (False, wraps))[15, -1] for wraps in (True, False))
    assert wrapped < alone == 1


# A folder that lacks maps


@pytest.mark.parametrize("given, computed", [
    (("Displacement",), ("Rock_NormalGL", "Rock_AmbientOcclusion")),
    (("NormalGL",), ("Rock_Height", "Rock_AmbientOcclusion")),
    (("NormalGL", "Displacement"), ("Rock_AmbientOcclusion",)),
    (("Displacement", "AmbientOcclusion"), ("Rock_NormalGL",)), (("NormalGL", "AmbientOcclusion"), ("Rock_Height",))])
def test_what_is_missing_is_computed_and_what_is_there_stays_and_that_is_said(tmp_path, given, computed):
    maps = {**COLOUR, **{kind: draw_maps()[kind] for kind in given}}
    folder = save_maps(tmp_path / "rock", maps)
    (plain, before), (photo, after) = maps_of(folder), maps_of(folder, complete=True)
    assert set(after) - set(before) == set(computed)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    note, = (note for note in photo.notes if "COMPLETE" in note)
    assert all(name in note for name in computed) and "pixels between" in note
    source = "height map of Rock_Displacement" if "Displacement" in given else "normal map of Rock_NormalGL"
    assert source in note and ("green up" in note) == ("Rock_NormalGL" in computed)
    assert len(photo.x) - len(plain.x) == sum(2 if "Normal" in name else 1 for name in computed)


def test_maps_that_are_computed_agree_with_each_other_and_with_those_they_were_computed_from(tmp_path):
    surface, right, down = bumps()
    maps = {**COLOUR, "Displacement": (255 * surface).round().astype(np.uint8)}
    _, files = maps_of(save_maps(tmp_path / "h", maps), complete=True)
    normal = files["Rock_NormalGL"] / 127.5 - 1
    slopes = normal[..., :2] / normal[..., 2:]
    assert correlation(slopes[..., 0], -right) > 0.99 and correlation(slopes[..., 1], down) > 0.99  # green is up
    assert correlation(files["Rock_AmbientOcclusion"], surface) > 0.5

    maps = {**COLOUR, "NormalGL": draw_maps()["NormalGL"]}
    _, files = maps_of(save_maps(tmp_path / "n", maps), complete=True)
    height = files["Rock_Height"]
    assert height.dtype == np.uint16 and (height.min(), height.max()) == (0, 65535)
    assert correlation(height, surface) > 0.99


def test_green_that_points_down_is_honoured(tmp_path):
    maps = {**COLOUR, "NormalDX": draw_maps()["NormalGL"].copy()}
    maps["NormalDX"][..., 1] = 255 - maps["NormalDX"][..., 1]
    _, files = maps_of(save_maps(tmp_path / "m", maps), complete=True)
    assert correlation(files["Rock_Height"], bumps()[0]) > 0.99
    assert np.abs(files["Rock_NormalDX"].astype(int) - maps["NormalDX"]).max() <= 1


def test_normals_say_how_high_a_height_map_is_or_it_is_made_as_steep_as_others(tmp_path):
    both = {kind: draw_maps(steep=20.0)[kind] for kind in ("Displacement", "NormalGL")}
    photo = td.load_photo(save_maps(tmp_path / "both", both), complete=True)
    relief = next(float(note.split(", with ")[1].split()[0]) for note in photo.notes if "COMPLETE" in note)
    assert relief == pytest.approx(20, rel=0.03)
    height = {"Displacement": both["Displacement"]}
    for complete, said in ((True, "no map says how many"), (7.0, "7 pixels between its black and white, as COMPLETE")):
        photo, files = maps_of(save_maps(tmp_path / "height", height), complete=complete)
        assert any(said in note for note in photo.notes)
        slopes = surfaces.slopes_of(both["Displacement"] / 255, BOTH) * (complete if complete is not True else 1)
        steep = np.sqrt((surfaces.slopes_behind(photo.values(photo.x)[1:3].numpy()) ** 2).sum(0).mean())
        expected = surfaces.STEEP if complete is True else np.sqrt((slopes**2).sum(0).mean())
        assert steep == pytest.approx(expected, rel=0.05) and files["Rock_NormalGL"].dtype == np.uint8


def test_heights_that_do_not_go_with_the_normals_are_not_what_occlusion_is_computed_from(tmp_path):
    maps = {"NormalGL": draw_maps()["NormalGL"], "Displacement": 255 - draw_maps()["Displacement"]}
    photo, _ = maps_of(save_maps(tmp_path / "m", maps), complete=True)
    assert any("from the normal map of Rock_NormalGL" in note for note in photo.notes)


def test_height_in_the_alpha_of_normals_is_a_height_map(tmp_path):
    maps = {**COLOUR, "NormalGL": np.dstack([draw_maps()["NormalGL"], draw_maps()["Displacement"]])}
    _, files = maps_of(save_maps(tmp_path / "m", maps), complete=True)
    assert files.keys() == {"Rock_Color", "Rock_NormalGL", "Rock_AmbientOcclusion"}
    maps["NormalGL"][..., 3] = draw_pixels(SIDE, SIDE, channels=1)
    _, files = maps_of(save_maps(tmp_path / "m", maps), complete=True)
    assert "Rock_Height" in files


def test_a_map_of_a_single_colour_is_taken_and_says_nothing(tmp_path):
    flat = np.full((SIDE, SIDE), 128, np.uint8)
    _, files = maps_of(save_maps(tmp_path / "m", {**draw_maps(), "Displacement": flat, "AmbientOcclusion": flat}),
                       complete=True)
    assert (files["Rock_Displacement"] == 128).all() and (files["Rock_AmbientOcclusion"] == 128).all()
    photo, files = maps_of(save_maps(tmp_path / "n", {**COLOUR, "Displacement": flat}), complete=True)
    assert len(files) == 2 and any("nothing: it needs a height map or" in note for note in photo.notes)


def test_where_nothing_is_missing_or_there_are_no_maps_that_is_said(tmp_path):
    photo, files = maps_of(save_maps(tmp_path / "rock", draw_maps()), complete=True)
    assert len(files) == 5 and any("COMPLETE computed nothing: all of normal" in note for note in photo.notes)
    Image.fromarray(draw_pixels(SIDE, SIDE)).save(tmp_path / "a.png")
    assert "COMPLETE is for a folder of maps, and did nothing" in td.load_photo(tmp_path / "a.png", complete=True).notes


def test_computed_maps_have_the_depth_that_is_asked_for_or_that_of_their_source(tmp_path):
    deep = {"Displacement": (65535 * bumps()[0]).astype(np.uint16)}
    folder = save_maps(tmp_path / "m", deep)
    assert all(pixels.dtype == np.uint16 for pixels in maps_of(folder, complete=True)[1].values())
    photo = td.load_photo(folder, depth=8, complete=True)
    assert {file.depth for file in photo.channels.files} == {8}


@pytest.mark.parametrize("stem, word, named", [
    ("Rock_Displacement", "displacement", "Rock_New"), ("rock_disp_4k", "disp", "rock_new_4k"),
    ("T_Bush_H", "h", "T_Bush_New"), ("h_brush", "h", "new_brush"), ("RockHeight", "height", "RockNew"),
    ("Ambient Occlusion Map", "ambientocclusion", "New Map"), ("height16", "height", "new16"), ("a", "x", "a_New")])
def test_what_is_computed_is_called_as_what_it_is_computed_from(stem, word, named):
    assert map_names.renamed(stem, word, "New") == named


@pytest.mark.parametrize("names", [("T_Rock_D", "T_Rock_H", "T_Rock_R"), ("rock_diff_2k", "rock_disp_2k", "rock_ao_2k"),
                                   ("color", "height", "roughness")])
def test_what_is_written_is_known_as_the_same_maps_again(tmp_path, names):
    maps = dict(zip(names, (draw_maps()[kind] for kind in ("Color", "Displacement", "Roughness"))))
    photo, files = maps_of(save_maps(tmp_path / "m", maps, ""), complete=True)
    again, _ = maps_of(save_maps(tmp_path / "again", files, ""))
    assert photo.channels.slices.keys() == again.channels.slices.keys() and len(files) in (4, 5)


def test_a_part_of_a_folder_with_a_mask_is_completed_at_its_own_size(tmp_path):
    folder = save_maps(tmp_path / "m", {kind: draw_maps(90, 120)[kind] for kind in ("Color", "Displacement")})
    mask = str(tmp_path / "w.png")
    Image.fromarray(np.where(np.arange(120) < 12, 255, 0)[None].repeat(90, 0).astype(np.uint8)).save(mask)
    photo = td.load_photo(folder, crop=(0, 6, 110, 80), max_side=88, mask=mask, tile=16, complete=True)
    assert photo.x.shape == (7, 64, 88) and photo.mask.before.shape == (7, 64, 88) and photo.x.isfinite().all()


def test_a_run_draws_and_writes_computed_maps_with_the_rest(tmp_path, tool, plain_figures):
    save_maps(tmp_path / "m", {**COLOUR, "Displacement": draw_maps()["Displacement"]})
    result = tool("m", *tiny(EPOCHS=1, SCALE=1, PREVIEW_EVERY=9, COMPLETE=True))
    assert result.code == 0 and "note: COMPLETE computed" in result.out
    assert saved(tmp_path / "samples/m/output_texture_1x1").keys() == {
        "Rock_Color", "Rock_Displacement", "Rock_NormalGL", "Rock_AmbientOcclusion"}


@pytest.mark.parametrize("value", ["-3", "1e9", "yes"])
def test_a_relief_that_is_none_is_refused(tool, value):
    assert_refused(tool(f"COMPLETE={value}"), "COMPLETE")
