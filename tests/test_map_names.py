"""Names: a folder is a material where its pictures share a stem and differ by words for maps; else it is textures."""

from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused, draw_pixels, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import map_names, several
from texture_diffusion_tools.running.errors import UserError


def sort_out(names):
    """What the files of such names, all on one line, are taken for: {the name's end: kinds}, others, variants."""
    found = map_names.sort_out(sorted(map(Path, names.split())))
    maps, variants = map_names.without_variants(found.maps)
    held = {path.name: " ".join(kinds) for path, kinds in map_names.holds_of(maps).items()}
    return held, [path.name for path in found.others], [path.name for path in variants], found.materials


MATERIALS = {  # the files of a folder -> what each of them holds, in the order of their names
    "T_Rock_D.png T_Rock_H.png T_Rock_N.png T_Rock_R.png": "colour, height, normal, roughness",
    "T_Rock_AO.png T_Rock_D.png T_Rock_E.png T_Rock_M.png T_Rock_N.png": "occlusion, colour, emission, metal, normal",
    "T_Rock_D.png T_Rock_MRA.png T_Rock_N.png": "colour, metal roughness occlusion, normal",
    "T_Rock_D.png T_Rock_N.png T_Rock_ORDp.png": "colour, normal, occlusion roughness height",
    "T_Rock_D.png T_Rock_ORM.png": "colour, occlusion roughness metal",
    "rock_d.tga rock_n.tga rock_s.tga": "colour, normal, specular",
    "Rock_BaseColor.png Rock_Normal.png Rock_OcclusionRoughnessMetallic.png":
        "colour, normal, occlusion roughness metal",
    "a_baseColor.png a_normal.png a_occlusionRoughnessMetallic.png": "colour, normal, occlusion roughness metal",
    "a_baseColor.png a_metallicRoughness.png": "colour, unused roughness metal",
    "a_AlbedoTransparency.png a_MetallicSmoothness.png a_Normal.png": "colour opacity, metal gloss, normal",
    "a_Base_Color.png a_Mixed_AO.png a_Normal_OpenGL.png": "colour, occlusion, normal",
    "a_Base_Color.png a_Occlusion_Roughness_Metallic.png": "colour, occlusion roughness metal",
    "base.png normalmap.png occ.png opac.png": "colour, normal, occlusion, opacity",
    "wall_ddn.png wall_diff.png": "normal, colour", "wall_ddna.tif wall_diff.tif": "normal gloss, colour",
    "a_Color.png a_Normal_LOD0.png a_height_16bit.png": "colour, normal, height",
    "Color(1).png Normal(1).png": "colour, normal", "a_Color.png a_Normal - Copy.png".replace(" - ", "-"):
        "colour, normal",
    "a_bump.png a_diffuse.png a_displacement.png": "bump, colour, height", "a_bump.png a_diffuse.png": "height, colour",
    "RockAO.png RockColor.png RockNormalGL.png": "occlusion, colour, normal",
    "a_ColorMap.png a_NormalMap.png": "colour, normal", "stone_diffuse01.png stone_normal01.png": "colour, normal",
    "color_rock.png normal_rock.png": "colour, normal", "rockdiffuse.png rocknormal.png": "colour, normal",
    "a_albedo_2048x2048.png a_nor_2048x2048.png": "colour, normal",
    "a_Color.png a_Normal.png height.png": "colour, normal, height",
    "bricks2.jpg bricks2_disp.jpg bricks2_normal.jpg": "colour, height, normal",
    "stone.png stone_n.png stone_s.png": "colour, normal, specular", "metal.jpg metal_normal.jpg": "colour, normal",
    "metal.png": "metal", "normal.png": "normal", "rock_height.png": "height",
}


@pytest.mark.parametrize("names", MATERIALS)
def test_maps_that_share_a_stem_are_a_material(names):
    held, others, variants, _ = sort_out(names)
    assert ", ".join(held.values()) == MATERIALS[names] and not others and not variants


TEXTURES = ["grass.jpg gravel.jpg metal.jpg sand.jpg", "rusty_metal.jpg plaster_rough.jpg PaintedMetal.jpg",
            "PaintedMetal.jpg PaintedWood.jpg", "metal1.jpg metal2.jpg metal3.jpg", "moss.png rock_color.png",
            "metal.jpg rough.jpg grass.jpg sand.jpg", "metal_door.jpg rough_door.jpg", "wall_d.jpg wall_e.jpg",
            "img_a.jpg img_b.jpg img_c.jpg img_d.jpg", "street_n.jpg street_s.jpg street_e.jpg street_w.jpg",
            "1.jpg 2.jpg", "grass.jpg grass_rough.jpg", "wall.jpg wall_1.jpg wall_2.jpg", "rock.jpg rock_s.jpg",
            "rusty_metal.jpg rusty_rough.jpg grass.jpg"]


@pytest.mark.parametrize("names", TEXTURES)
def test_a_word_for_a_map_among_unlike_names_is_a_texture_s_name(tmp_path, names):
    for name in names.split():
        (tmp_path / name).touch()
    assert [path.name for path in several.photos_in(tmp_path)] == sorted(names.split())


def test_the_colour_called_by_the_stem_alone_is_told_from_a_preview():
    assert sort_out("a.png a_normal.png a_height.png other.png")[:2] == (
        {"a.png": "colour", "a_height.png": "height", "a_normal.png": "normal"}, ["other.png"])
    held, others, *_ = sort_out("a.png a_Color.png a_Normal.png")
    assert "a.png" not in held and others == ["a.png"]


@pytest.mark.parametrize("names, stems", [
    ("T_Moss_D.png T_Moss_N.png T_Rock_D.png T_Rock_N.png", "T Moss, T Rock"),
    ("a_Color.png a_Normal.png b_Color.png", "a, b"), ("a_1K_Color.png a_1K_Normal.png a_2K_Color.png", "a 1K, a 2K"),
    ("a_Color_1K.png a_Color_2K.png a_Normal_1K.png a_Normal_2K.png", "a 1k, a 2k")])
def test_several_materials_in_one_folder_are_listed(tmp_path, names, stems):
    for name in names.split():
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"2 materials.*: {stems}$"):
        td.load_photo(tmp_path)


@pytest.mark.parametrize("names, chosen", [
    ("a_COL_VAR1.jpg a_COL_VAR2.jpg a_NRM.jpg", "a_COL_VAR1.jpg a_NRM.jpg"),
    ("a_COL.jpg a_NRM.jpg a_NRM16.tif", "a_COL.jpg a_NRM16.tif"),
    ("a_COL.jpg a_Normal_LOD0.jpg a_Normal_LOD1.jpg", "a_COL.jpg a_Normal_LOD0.jpg"),
    ("a_Color(1).png a_Color.png a_Normal.png", "a_Color.png a_Normal.png")])
def test_of_variants_of_a_map_one_is_used(names, chosen):
    held, others, variants, _ = sort_out(names)
    assert " ".join(held) == chosen and sorted([*held, *variants]) == sorted(names.split()) and not others


def test_what_was_taken_for_what_is_the_first_line_that_is_printed(tmp_path, tool):
    for name in ("rock_Color", "rock_Normal", "rock_preview"):
        Image.fromarray(draw_pixels(54, 54)).save(tmp_path / f"{name}.png")
    (tmp_path / "rock_Height.psd").touch()
    Image.fromarray(draw_pixels(20, 20)).save(tmp_path / "rock_Roughness.png")
    result = tool(".", *tiny())
    assert_refused(result, "rock_Roughness.png has 20 x 20")
    first, second = result.out.splitlines()[:2]
    assert "rock_Color.png for colour; rock_Normal.png for normal; rock_Roughness.png for roughness" in first
    assert "rock_preview.png, rock_Height.psd was left out" in second


def test_textures_that_were_found_in_a_folder_are_printed_first(tmp_path, tool):
    (tmp_path / "photos").mkdir()
    for name in ("grass", "metal"):
        Image.fromarray(draw_pixels(9, 9)).save(tmp_path / f"photos/{name}.png")
    (tmp_path / "photos/sand.psd").touch()
    assert tool("photos", *tiny()).out.splitlines()[:2] == [
        "note: IMAGE is 2 textures: grass.png, metal.png", "note: sand.psd was left out: no picture that is read"]


def test_the_same_map_in_two_formats_is_written_once_and_others_are_refused(tmp_path):
    for name, suffixes in (("Color", ("png", "tif")), ("Normal", ("png",))):
        for suffix in suffixes:
            Image.fromarray(draw_pixels(54, 54, len(name))).save(tmp_path / f"a_{name}.{suffix}")
    photo = td.load_photo(tmp_path)
    assert [file.name for file in photo.channels.files] == ["a_Color", "a_Normal"]
    assert any(note.startswith("a_Color.tif holds what another file") for note in photo.notes)
    Image.fromarray(draw_pixels(54, 54, 9)).save(tmp_path / "a_Color.tif")
    with pytest.raises(UserError, match="both a_Color.png and a_Color.tif hold the colour map"):
        td.load_photo(tmp_path)


def test_a_map_that_is_there_alone_and_packed_is_learned_once(tmp_path):
    orm = draw_pixels(54, 54)
    for name, pixels in {"Color": draw_pixels(54, 54, 1), "ORM": orm, "AO": orm[..., 0]}.items():
        Image.fromarray(pixels).save(tmp_path / f"a_{name}.png")
    photo = td.load_photo(tmp_path)
    written = dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))
    assert len(photo.x) == 6 and np.array_equal(written["a_ORM"], orm) and np.array_equal(written["a_AO"], orm[..., 0])
