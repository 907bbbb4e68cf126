"""Blends: what a map says, the border that is made of it, and pictures in which one texture goes over into another."""

from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import TILE, draw_photo, draw_pixels, pixels_in, random_net, slow_but, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.canvases import blending, blends
from texture_diffusion_tools.laying import grids, layouts
from texture_diffusion_tools.running.errors import UserError

TEXTURES = tuple(draw_photo(64, 80, seed, name=name) for seed, name in enumerate(("moss", "rock", "sand")))


def save_map(path, levels):
    Image.fromarray(np.asarray(levels, np.uint8)).save(path)
    return path


# Maps


@pytest.mark.parametrize("level, shares", [(0, (1, 0, 0)), (255, (0, 0, 1)), (127.5, (0, 1, 0)), (51, (0.6, 0.4, 0))])
def test_grey_levels_are_spread_evenly_over_the_textures(level, shares):
    assert blending.grey_shares(np.full((2, 2), level), 3)[:, 1, 1] == pytest.approx(shares)


@pytest.mark.parametrize("colour, shares", [
    ((255, 0, 0), (1, 0, 0, 0)), ((0, 255, 0), (0, 1, 0, 0)), ((0, 0, 255), (0, 0, 1, 0)), ((0, 0, 0), (0, 0, 0, 1)),
    ((255, 255, 0), (0.5, 0.5, 0, 0)), ((51, 0, 0), (0.2, 0, 0, 0.8))])
def test_colours_are_the_shares_of_the_first_four(tmp_path, colour, shares):
    pixels = np.broadcast_to(np.float32(colour), (2, 2, 3))
    assert blending.colour_shares(pixels, 4, "map.png")[:, 1, 1] == pytest.approx(shares)


@pytest.mark.parametrize("colour, count, words", [((0, 0, 255), 2, "blue at"), ((0, 0, 0), 3, "black at")])
def test_a_colour_that_names_no_texture_is_refused_unless_it_is_a_stray_pixel(tmp_path, colour, count, words):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:] = 255, 0, 0
    pixels[3, 5] = colour
    blending.read_map(save_map(tmp_path / "map.png", pixels), count, None, 16)
    pixels[3] = colour
    with pytest.raises(UserError, match=rf"{words} \(0, 3\)"):
        blending.read_map(save_map(tmp_path / "map.png", pixels), count, None, 16)


def painted(colours):
    """A map's pixels: squares of colours beside each other, None: transparent, with another colour stored."""
    row = [(0, 255, 0, 0) if colour is None else (*colour, 255) for colour in colours]
    return np.kron(np.array(row)[None], np.ones((16, 16, 1)))


WHITE, BLACK, RED, GREEN = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize("colours, count, labels", [
    ([WHITE, None], 2, [1, 0]), ([BLACK, None], 2, [0, 1]), ([RED, None], 2, [0, 1]), ([GREEN, None], 2, [1, 0]),
    ([RED, GREEN, None], 3, [0, 1, 2]), ([WHITE, None, BLACK], 3, [2, 1, 0]), ([BLACK, RED, None], 4, [3, 0, 1])])
def test_what_is_transparent_in_a_map_is_the_texture_that_it_does_not_name(colours, count, labels, tmp_path):
    notes = []
    shares, _ = blending.read_map(save_map(tmp_path / "map.png", painted(colours)), count, None, 16, notes)
    assert shares.dtype == np.float32 and shares.sum(0) == pytest.approx(1)
    assert shares[:, 8, 8::16].argmax(0).tolist() == labels and shares[:, 8, 8::16].max(0) == pytest.approx(1)
    assert f"texture {labels[colours.index(None)] + 1} of {count}" in notes[0]


def test_half_of_what_is_painted_shows_half_of_what_lies_below(tmp_path):
    pixels = painted([RED, None])
    pixels[:, :16, 3] = 128
    shares, _ = blending.read_map(save_map(tmp_path / "map.png", pixels), 2, None, 16)
    assert shares[:, 8, 8] == pytest.approx([0.5, 0.5], abs=0.01) and shares[:, 8, 24] == pytest.approx([0, 1])


def test_a_map_that_names_all_textures_cannot_be_transparent(tmp_path):
    with pytest.raises(UserError, match=r"transparent at \(32, 0\).*all 2"):
        blending.read_map(save_map(tmp_path / "map.png", painted([WHITE, BLACK, None])), 2, None, 16)


@pytest.mark.parametrize("count", [2, 3])
def test_a_map_may_count_the_textures(count, tmp_path):
    labels, notes = np.arange(count).repeat(16)[None].repeat(16, 0), []
    shares, _ = blending.read_map(save_map(tmp_path / "map.png", labels), count, None, 16, notes)
    assert np.array_equal(shares.argmax(0), labels) and "from 0" in notes[0]
    blending.read_map(save_map(tmp_path / "map.png", labels * 255 // (count - 1)), count, None, 16, notes)
    assert len(notes) == 1


def test_a_map_is_followed_to_the_pixel_at_any_size():
    shares = blending.grey_shares(np.repeat([[0, 255]], 8, 0).repeat(8, 1), 2)
    for side in (16, 160):  # of the picture, as large as the map and ten times as large
        found = blending.BlendMap(shares, (side, side)).at((0, 0), side)
        assert torch.allclose(found.sum(0), torch.ones(side, side))
        assert (found[0, :, :side // 2] > 0.5).all() and (found[0, :, side // 2:] < 0.5).all()


def test_squares_of_a_map_are_what_the_whole_is_there_and_it_goes_on_where_it_wraps():
    shares = blending.grey_shares(np.random.default_rng(0).integers(0, 255, (20, 30)), 2)
    whole = blending.BlendMap(shares, (60, 60)).at((0, 0), 60)
    assert torch.allclose(blending.BlendMap(shares, (60, 60)).at((7, 30), 16), whole[:, 7:23, 30:46], atol=1e-5)
    ring = blending.BlendMap(shares, (60, 60), (True, True)).at((-20, -20), 100)
    assert torch.allclose(ring[:, 60:], ring[:, :40], atol=1e-5) and torch.allclose(ring[:, :, 60:], ring[:, :, :40])


def test_a_border_leaves_single_textures_alone_and_mixes_no_two_in_one_place():
    generator = torch.Generator().manual_seed(0)
    shares = torch.linspace(0, 1, 200).expand(200, 200)
    shares = torch.stack([shares, 1 - shares])
    relief = blending.blurred(torch.randn(2, 200, 200, generator=generator), 4)
    found = blending.bordered(shares, relief / relief.std())
    assert torch.allclose(found.sum(0), torch.ones(200, 200), atol=1e-5)
    assert (found[0, :, 0] == 0).all() and (found[0, :, -1] == 1).all()
    assert ((found > 0.1) & (found < 0.9)).float().mean() < 0.1  # in a plain cross-fade it would be 0.8
    columns = found[0].mean(0)
    assert 0.4 < columns[90:110].mean() < 0.6 and columns[:40].mean() < 0.2 < 0.8 < columns[160:].mean()


# Drawing


def blend_of(levels, size=None, **changes):
    shares = blending.grey_shares(np.asarray(levels), 3)
    return blends.Blend("both", TEXTURES, blending.BlendMap(shares, size or shares.shape[1:]), "")


def test_a_blend_has_each_texture_s_own_values_where_it_is_alone():
    blend, x = blend_of([[0]]), torch.randn(3, 8, 8)
    for k, texture in enumerate(TEXTURES):
        shares = torch.eye(3)[k, :, None, None].expand(3, 8, 8)
        assert torch.allclose(blend.values(torch.cat([x, shares])), texture.values(x), atol=1e-6)


@pytest.fixture
def blended(tool, tmp_path, plain_figures):
    """The tool with moss.png, and rock.png, which is dark, and map.png: the first on the left, the second on the right.
    """
    Image.fromarray(draw_pixels(54, 70, 1)).save(tmp_path / "moss.png")
    Image.fromarray(draw_pixels(64, 60, 2) // 3).save(tmp_path / "rock.png")
    save_map(tmp_path / "map.png", np.repeat([[0, 255]], 96, 0).repeat(64, 1))
    given = {"EPOCHS": 1, "BLEND": "map.png", "IMAGE": "('moss.png','rock.png')"}
    return lambda **changes: tool(*tiny(**{**given, **changes}))


def test_a_blend_is_as_its_map_and_a_part_of_it_is_that_part(blended, tmp_path):
    result = blended()
    assert result.code == 0, result.err
    folder = tmp_path / "samples" / "moss+rock"
    whole = pixels_in(folder / "output_texture_128x96_blend_map.png")
    moss = pixels_in(tmp_path / "moss.png")
    corner = whole[:TILE, :TILE]
    assert any(np.array_equal(corner, moss[y:y + TILE, x:x + TILE]) for y in range(39) for x in range(55))  # real
    assert whole[:, :60].mean() > 1.5 * whole[:, 68:].mean()
    assert blended(EPOCHS=0, REGION="(50,20,40,40)").code == 0
    part = pixels_in(folder / "output_texture_128x96_blend_map_region_50_20_40x40.png")
    assert np.array_equal(part, whole[20:60, 50:90])


@pytest.mark.parametrize("changes", slow_but([
    {"TILEABLE": "xy", "OUTPUT_SIZE": "(300,90)"}, {"REDRAW": "all"},
    {"AUGMENT": "rotations", "STRENGTH": 1.0}], {"TILEABLE": "xy", "OUTPUT_SIZE": "(300,90)"}))
def test_a_layout_of_a_blend_draws_all_that_is_not_one_texture_s_own(changes):
    c = SimpleNamespace(**{"LAYOUT": "matched", "AUGMENT": "none", "REDRAW": "seams", "STRENGTH": 0.7, **changes})
    blend = blend_of(np.repeat([[0, 127.5, 127.5]], 3, 0), (60, 230))
    grid = grids.make_grid(60, 230, TILE, changes.get("TILEABLE", "none"))
    with mock.patch.object(layouts, "grid_of", lambda photo, c: grid):
        found = td.blend_canvas(blend, c, 0, "cpu").layout
    drawn = [cell for cells in found.passes for cell in cells]
    assert len(drawn) == len(set(drawn)) and set(found.canvases) == {0, 1}
    for cell in grid.cells():
        assert found.real()[cell] == (sum(cell) % 2 == 0)
        assert (cell in drawn) == (not found.real()[cell] or c.REDRAW == "all")
        tile = found.sketch(cell)
        assert tile.shape == (6, TILE, TILE) and torch.allclose(tile[3:].sum(0), torch.ones(TILE, TILE), atol=1e-5)
        for label, canvas in found.canvases.items():  # each pixel that is one texture's own is that one's
            own, there = tile[3 + label] == 1, canvas.layout.sketch(cell) if found.seen[cell][label] else None
            assert not own.any() or torch.allclose(tile[:3, own], there[:, own], atol=1e-4)
    assert {sum(found.seen[cell]) for cell in grid.cells()} == {1, 2}


def test_what_is_drawn_where_one_texture_is_alone_is_what_its_network_draws():
    net = random_net(context=3)
    net.know(td.facts_of(TEXTURES, 3))
    settings = td.cosine_schedule(20), td.Sampling("mixed", 3, 0.75)
    rings, present = torch.randn(2, 3, 48, 48), torch.ones(2, 8, dtype=torch.bool)
    sketch, shares = torch.randn(2, 3, TILE, TILE), torch.zeros(3, TILE, TILE)
    shares[1] = 1

    def noise():
        return [torch.Generator().manual_seed(k) for k in range(2)]

    each = [td.Denoiser(net.of(label), texture, *settings) for label, texture in enumerate(TEXTURES)]
    among = torch.cat([rings, F.pad(shares, [td.HALO] * 4).expand(2, -1, -1, -1)], 1)
    *_, (_, found, _) = td.draw_tiles(blends.BlendDenoiser(each), among, present, noise(), sketch)
    *_, (_, alone, _) = td.draw_tiles(each[1], rings, present, noise(), sketch)
    assert torch.equal(found, alone)
