"""Folders: which pictures one stands for."""

import pytest
from conftest import assert_refused, draw_pixels, tiny
from PIL import Image
from test_materials import draw_maps, save_maps

import texture_diffusion as td
from texture_diffusion_tools.reading import folders
from texture_diffusion_tools.running.errors import UserError


def names_in(folder):
    return [[path.name for path in paths] for paths in folders.look_into(folder)]


def test_a_folder_with_a_folder_of_maps_is_that_material(tmp_path):
    save_maps(tmp_path / "rock", {})
    maps = save_maps(tmp_path / "rock/textures", draw_maps())
    (tmp_path / "rock/rock.blend").touch()
    Image.fromarray(draw_pixels(9, 9)).save(tmp_path / "rock/render.png")
    save_maps(tmp_path / "rock/views", {"view": draw_pixels(9, 9)})
    photo, expected = td.load_photo(tmp_path / "rock"), td.load_photo(maps)
    assert photo.digest == expected.digest and photo.name == "rock"
    assert any("render.png was left out" in note for note in photo.notes)


def test_several_materials_in_folders_are_listed(tmp_path, tool):
    for name in ("1K", "2K"):
        save_maps(tmp_path / "rock", {})
        save_maps(tmp_path / "rock" / name, draw_maps())
    assert_refused(tool("rock", *tiny()), "rock holds 2 materials: 1K, 2K; give a folder with one of them alone")


def test_folders_beside_photos_and_maps_are_not_looked_into(tmp_path):
    save_maps(tmp_path / "m", {"Color": draw_pixels(9, 9), "Normal": draw_pixels(9, 9, 1)})
    save_maps(tmp_path / "m/old", draw_maps())
    assert names_in(tmp_path / "m") == [["Rock_Color.png", "Rock_Normal.png"], []]
    save_maps(tmp_path / "p", {"1": draw_pixels(9, 9), "2": draw_pixels(9, 9)}, "photo")
    save_maps(tmp_path / "p/old", draw_maps())
    assert names_in(tmp_path / "p") == [["photo1.png", "photo2.png"], []]


@pytest.mark.parametrize("deep", ["a/b", ".hidden", "__MACOSX"])
def test_only_one_level_is_looked_into_and_nothing_hidden(tmp_path, deep):
    (tmp_path / "m" / deep).mkdir(parents=True)
    save_maps(tmp_path / "m" / deep, draw_maps())
    with pytest.raises(UserError, match="holds no map: of 0 pictures"):
        td.load_photo(tmp_path / "m")
