"""Wang tiles: what fits what, to the pixel, what an engine is told of them, and what does not go together with them."""

import json
import re
import xml.etree.ElementTree as xml
from itertools import product
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from conftest import (
    assert_refused,
    constants_of,
    draw_photo,
    draw_pixels,
    figures,
    make_sampler,
    pixels_in,
    random_net,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.canvases import wang
from texture_diffusion_tools.laying import layouts, matching
from texture_diffusion_tools.running import processes
from texture_diffusion_tools.running.errors import Stopped, UserError

SIDE = 32  # of a tile of the grid: the least
PLACES = list(np.ndindex(4, 4))


def wang_tiles_of(photo, seed=0):
    """The picture of all Wang tiles by a network with random weights, uint8 [H, W, 3], and their layout."""
    c = constants_of(*tiny(WANG=2, TILE_SIZE=SIDE, SAMPLE_STEPS=1))
    schedule = td.cosine_schedule(c.TIMESTEPS)
    with mock.patch.object(matching, "ATTEMPTS", 1):
        layout, sketch = td.plan(photo, c, seed)
    canvas = td.Canvas(layout, layout.channels(), torch.device("cpu"), sketch)
    draw = make_sampler(random_net(tile=SIDE), photo, schedule, c.SAMPLER, c.SAMPLE_STEPS, c.STRENGTH)
    sheet = wang.Sheet(canvas, td.HALO, photo.channels.weights(), seed)
    assert sum(td.outpaint(sheet, sheet.passes, draw, 4, seed)) == wang.drawn(layout.grid)
    return photo.pixels(canvas.cut((0, 0), layout.grid.size)), layout


@pytest.fixture(scope="module")
def made():
    return wang_tiles_of(draw_photo(100, 110))


@pytest.fixture(scope="module")
def tiles(made):
    """Each tile with the colours of its edges, [(colours, pixels [h, w, 3])], cut out as the table says."""
    pixels, layout = made
    return [({name: tile[name] for name in "NESW"},
             pixels[tile["y"]:tile["y"] + tile["height"], tile["x"]:tile["x"] + tile["width"]])
            for tile in wang.table_of(layout.grid)["tiles"]]


def test_only_tiles_among_drawn_ones_are_drawn_from_more_noise(made):
    _, layout = made
    sheet, seen = wang.Sheet(td.Canvas(layout, layout.channels(), torch.device("cpu")), td.HALO, layout.weights, 0), []

    def draw(rings, present, generators, sketch, parts, least):
        seen.append((sketch is not None, least))
        yield 0, torch.zeros(len(rings), layout.channels(), SIDE, SIDE), None

    for cells in sheet.passes:
        assert sum(td.outpaint(sheet, [cells], draw, len(cells), 0)) == len(cells)
    assert seen == [(False, 0)] * (len(layout.passes) - 1) + [(True, wang.AMONG_DRAWN)]
    assert constants_of(*tiny(WANG=2)).STRENGTH < wang.AMONG_DRAWN < 1


def turned_to(side, x):
    """The pixels of a tile [h, w, 3] turned so that one of its sides is the upper one."""
    return np.rot90(x, "NESW".index(side))


def test_there_is_a_tile_for_each_combination_of_colours_and_each_is_another(tiles):
    assert sorted(tuple(colours.values()) for colours, _ in tiles) == sorted(product((0, 1), repeat=4))
    assert len({pixels.tobytes() for _, pixels in tiles}) == 16


@pytest.mark.parametrize("side", "NESW")
def test_tiles_are_the_same_along_an_edge_as_far_as_the_network_sees_it_and_differ_inside(tiles, side):
    strips = {0: set(), 1: set()}
    for colours, pixels in tiles:
        strips[colours[side]].add(turned_to(side, pixels)[:td.HALO].tobytes())
    assert len(strips[0]) == len(strips[1]) == 1 and strips[0] != strips[1]
    assert len({turned_to(side, pixels)[td.HALO:2 * td.HALO].tobytes() for _, pixels in tiles}) == 16


@pytest.mark.parametrize("number, seen", (
    (0, {"W E", "N S"}), (1, {"NW N NE S", "N SW S SE", "NW W E SW", "NE W E SE"}), (2, {"NW N NE W E SW S SE"})))
def test_tiles_are_drawn_between_those_that_are_known_and_those_of_a_pass_do_not_see_each_other(made, number, seen):
    layout = made[1]
    texture = td.Canvas(layout, 3, torch.device("cpu"))
    for cells in layout.passes[:number + 1]:
        texture.place(cells, torch.zeros(len(cells), 3, SIDE, SIDE))
    _, present = texture.neighbours(layout.passes[number])
    assert {" ".join(np.array(td.NEIGHBOURS)[row.numpy()]) for row in present} == seen


def test_the_corner_is_the_same_real_tile_everywhere(made):
    pixels, layout = made
    corner, height, width = layout.cut((0, 0)), *(side // 4 for side in layout.grid.size)
    middle = (slice(SIDE // 2 - td.HALO, SIDE // 2 + td.HALO),) * 2
    wrapped, shown = np.roll(pixels, (td.HALO, td.HALO), (0, 1)), draw_photo(100, 110).pixels(corner)[middle]
    for i, j in PLACES:
        y, x = i * height, j * width
        assert np.array_equal(wrapped[y:y + 2 * td.HALO, x:x + 2 * td.HALO], shown)


def test_what_straddles_the_middle_of_an_edge_is_one_real_tile_for_all_edges_of_a_colour(made):
    pixels, layout = made
    photo, wrapped = draw_photo(100, 110), np.roll(pixels, (SIDE, SIDE), (0, 1))
    for lines in ([(0, 2), (0, 14), (4, 6)], [(8, 2), (12, 14)], [(2, 0), (14, 4)], [(2, 8), (14, 12)]):
        for cell in lines:
            y, x = (line[k] + SIDE for line, k in zip(layout.grid.lines, cell))
            assert np.array_equal(wrapped[y:y + SIDE, x:x + SIDE], photo.pixels(layout.cut(lines[0])))


def test_neighbours_fit_all_over_the_picture_and_round_its_ends(tiles):
    colours = {place: each for place, (each, _) in zip(PLACES, tiles)}
    for i, j in PLACES:
        assert colours[i, j]["E"] == colours[i, (j + 1) % 4]["W"] and colours[i, j]["S"] == colours[(i + 1) % 4, j]["N"]


def test_a_tile_is_found_by_its_colours(tiles):
    for place, (colours, _) in zip(PLACES, tiles):
        assert wang.place_of(*colours.values()) == place


def test_tiles_laid_at_random_agree_at_every_edge_and_all_of_them_are_used(tiles):
    colours = {place: each for place, (each, _) in zip(PLACES, tiles)}
    laid = wang.lay(12, 12, np.random.default_rng(0))
    for i, j in product(range(11), repeat=2):
        here = colours[laid[i][j]]
        assert here["E"] == colours[laid[i][j + 1]]["W"] and here["S"] == colours[laid[i + 1][j]]["N"]
    assert {place for row in laid for place in row} == set(PLACES)


def test_the_picture_of_laid_tiles_is_made_of_them(made, tiles, tmp_path):
    wang.draw_laid(tmp_path / "laid.png", made[0], np.random.default_rng(0), 3)
    laid, known = pixels_in(tmp_path / "laid.png"), {pixels.tobytes() for _, pixels in tiles}
    assert all(tile.tobytes() in known for row in np.split(laid, 3) for tile in np.split(row, 3, 1))


def test_a_cut_along_an_edge_shows_in_the_figures(made):
    ratios = wang.border_ratios(made[0])
    assert len(ratios) == 256 and 0.5 < ratios.min() and ratios.max() < 2
    assert len(set(ratios.round(9))) == 4  # two colours in each direction: what straddles an edge is one picture
    broken = made[0].copy()
    broken[:broken.shape[0] // 4, 0] = 255  # the left edge of the first tile
    found = wang.border_ratios(broken)
    assert (found > 1.5 * ratios.max()).sum() == 8  # it may lie beside 8 tiles


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tiles_and_another_seed_others(made):
    photo, c = draw_photo(100, 110), constants_of(*tiny(WANG=2, TILE_SIZE=SIDE))
    assert np.array_equal(wang_tiles_of(photo)[0], made[0])
    assert not np.array_equal(td.plan(photo, c, 1)[0].source, made[1].source)


@pytest.mark.parametrize("axis", (1, 2))
def test_a_tile_s_side_is_a_whole_number_of_the_photo_s_repeats(axis):
    line = torch.sin(2 * np.pi * torch.arange(640) / 34.4)
    x = line.expand(1, 640, 640) + 0.3 * torch.randn(1, 640, 640)
    sides = [wang.side_of(wang.apart(x.transpose(1, 2) if axis == 1 else x, k), 128, td.HALO) for k in (axis, 3 - axis)]
    assert abs(sides[0] / 34.4 - round(sides[0] / 34.4)) < 0.05 and 416 <= sides[0] <= 512
    assert sides[1] == 416  # where nothing repeats they are as short as can be
    assert wang.side_of(wang.apart(torch.randn(3, 512, 512), axis), 128, td.HALO) == 416


# What other programs are given


NAME = "it's <a> & \"b\" für 石"
TILES_OF_PICTURE = [dict(zip("NESW", colours)) for colours in (  # row by row
    (0, 0, 0, 0), (0, 1, 0, 0), (0, 1, 0, 1), (0, 0, 0, 1), (0, 0, 1, 0), (0, 1, 1, 0), (0, 1, 1, 1), (0, 0, 1, 1),
    (1, 0, 1, 0), (1, 1, 1, 0), (1, 1, 1, 1), (1, 0, 1, 1), (1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 0, 1), (1, 0, 0, 1))]


@pytest.fixture
def told(made, tmp_path):
    """What is written for other programs of a photo with an odd name: {suffix: path}."""
    table, found = wang.table_of(made[1].grid), {}
    for suffix, content in wang.contents(table, NAME, f"{NAME}.png"):
        found[suffix] = tmp_path / f"tiles.{suffix}"
        found[suffix].write_bytes(content)
    return found


def test_the_editor_s_tile_set_says_where_each_tile_is_and_what_colours_its_edges_have(told, made):
    root = xml.parse(told["tsx"]).getroot()
    image, sets = root
    assert (root.tag, root.attrib) == ("tileset", {
        "version": "1.10", "name": NAME, "tilewidth": "128", "tileheight": "128", "tilecount": "16", "columns": "4"})
    assert (image.tag, image.attrib) == ("image", {"source": f"{NAME}.png", "width": "512", "height": "512"})
    assert made[0].shape == (512, 512, 3) and [part.tag for part in sets] == ["wangset"]
    edges, = sets
    assert edges.attrib == {"name": "edges", "type": "edge", "tile": "-1"}
    assert [part.tag for part in edges] == ["wangcolor"] * 2 + ["wangtile"] * 16
    for colour in edges[:2]:
        assert re.fullmatch("#[0-9a-f]{6}", colour.get("color")) and colour.get("probability") == "1"
    for k, (tile, expected) in enumerate(zip(edges[2:], TILES_OF_PICTURE)):
        upper, _, right, _, lower, _, left, _ = ids = [int(part) for part in tile.get("wangid").split(",")]
        assert tile.get("tileid") == str(k) and ids[1::2] == [0] * 4
        assert {"N": upper - 1, "E": right - 1, "S": lower - 1, "W": left - 1} == expected


def test_pytiled_parser_reads_the_tile_set(told):
    parser = pytest.importorskip("pytiled_parser.parsers.tmx.tileset")
    found = parser.parse(xml.parse(told["tsx"]).getroot(), 1, None)
    assert (found.name, str(found.image), found.tile_count) == (NAME, f"{NAME}.png", 16)
    edges, = found.wang_sets
    assert edges.wang_type == "edge" and len(edges.wang_colors) == 2
    assert [[number - 1 for number in edges.wang_tiles[k].wang_id[::2]] for k in range(16)] == [
        [tile[side] for side in "NESW"] for tile in TILES_OF_PICTURE]


class Pair:
    """A vec2 or ivec2 of arrays."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Pair(self.x + other.x, self.y + other.y)

    def __truediv__(self, number):
        return Pair(self.x / number, self.y / number)

    def each(self, function):
        return Pair(function(self.x), function(self.y))


def functions_of(shader):
    """The functions of a shader's text, over arrays: it is run as Python, whose arithmetic is written alike."""
    source, types = "", "uint|ivec2|vec2"
    for name, arguments, body in re.findall(rf"^(?:{types}) (\w+)\((.*)\) {{\n((?: .*\n)+)}}$", shader, re.M):
        names = ", ".join(argument.split()[1] for argument in arguments.split(", "))
        body = re.sub(rf"^ +(?:(?:{types}) (?=\w+ =))?(.*);$", r"    \1", body, flags=re.M)
        source += f"def {name}({names}):\n" + re.sub(r"\b(\d+)u\b", r"np.uint32(\1)", body)
    known = {"np": np, "vec2": Pair, "float": np.float64, "uint": lambda number: number.astype(np.uint32),
             "floor": lambda pair: pair.each(np.floor), "fract": lambda pair: pair.each(lambda x: x - np.floor(x)),
             "ivec2": lambda *parts: (Pair(*parts) if parts[1:] else parts[0]).each(np.int32)}
    exec(source, known)
    return known


@pytest.mark.parametrize("suffix", ("glsl", "gdshader"))
def test_a_shader_lays_tiles_whose_neighbours_agree_at_every_edge(suffix, told):
    shader = told[suffix].read_text()
    found = functions_of(shader)
    y, x = np.mgrid[-100:100, -90:90]
    place = found["wang_place"](Pair(x + 0.25, y + 0.75))
    row, column = (np.floor(4 * part).astype(int) for part in (place.y, place.x))
    assert np.allclose(4 * place.x - column, 0.25) and np.allclose(4 * place.y - row, 0.75)
    assert np.unique(4 * row + column).tolist() == list(range(16))
    colours = {side: np.array([tile[side] for tile in TILES_OF_PICTURE])[4 * row + column] for side in "NESW"}
    assert (colours["E"][:, :-1] == colours["W"][:, 1:]).all() and (colours["S"][:-1] == colours["N"][1:]).all()
    for side in "NW":  # as coins are: 36,000 of them, and five standard deviations
        coins = 2 * colours[side] - 1
        for lagged in (coins, coins[1:] * coins[:-1], coins[:, 1:] * coins[:, :-1], coins[2:] * coins[:-2]):
            assert abs(lagged.mean()) < 5 / np.sqrt(lagged.size)
    assert NAME.encode("ascii", "replace").decode() in shader.partition("\n")[0] and shader.isascii()


def test_a_picture_whose_name_is_no_text_has_no_tile_set_and_all_else(made):
    found = dict(wang.contents(wang.table_of(made[1].grid), "odd", "odd\udcff/Color.png"))
    assert found.keys() == {"json", "glsl", "gdshader"} and b"odd?/Color.png" in found["glsl"]


def test_a_run_writes_the_tiles_their_table_and_what_is_laid_of_them_and_nothing_else_is_drawn(tool, tmp_path):
    Image.fromarray(draw_pixels(100, 110)).save(tmp_path / "photo.png")
    result = tool("photo.png", *tiny(WANG=2, TILE_SIZE=SIDE, EPOCHS=1))
    folder = tmp_path / "samples" / "photo"
    pixels, table = pixels_in(folder / "output_texture_wang.png"), json.loads(
        (folder / "output_texture_wang.json").read_text())
    assert result.code == 0 and pixels.shape == (table["height"], table["width"], 3) == (512, 512, 3)
    assert pixels_in(folder / "output_texture_wang_laid.png").shape == (1024, 1024, 3)
    said = figures(result.out)
    assert all(said["tile N{N} E{E} S{S} W{W}".format(**tile)] == "{width} x {height} at ({x}, {y})".format(**tile)
               for tile in table["tiles"]) and len(table["tiles"]) == 16
    image = xml.parse(folder / "output_texture_wang.tsx").getroot().find("image")
    assert image.attrib == {"source": "output_texture_wang.png", "width": "512", "height": "512"}
    assert {"output_texture_wang.glsl", "output_texture_wang.gdshader"} <= {path.name for path in folder.iterdir()}
    assert said["wang_pairs"] == "256" and not list(folder.glob("output_texture_3x3*"))


def test_a_material_s_maps_fit_each_other_and_keep_their_bits(tool, tmp_path):
    (tmp_path / "rock").mkdir()
    deep = np.random.default_rng(0).integers(0, 2**16, (100, 110)).astype(np.uint16)
    Image.fromarray(draw_pixels(100, 110)).save(tmp_path / "rock" / "Color.png")
    Image.fromarray(deep).save(tmp_path / "rock" / "Height.png")
    result = tool("rock", *tiny(WANG=2, TILE_SIZE=SIDE, EPOCHS=1, SEED=1))
    folder = tmp_path / "samples" / "rock" / "output_texture_wang_seed1"
    assert result.code == 0 and pixels_in(folder / "Color.png").shape == (512, 512, 3)
    height = pixels_in(folder / "Height.png")
    assert height.dtype == np.uint16 and len(np.unique(height)) > 256
    photo = td.load_photo(tmp_path / "rock")
    assert photo.channels.folder
    layout, _ = td.plan(photo, constants_of(*tiny(WANG=2, TILE_SIZE=SIDE)), 1)
    y, x = layout.source[2, 2]
    image = xml.parse(folder.parent / "output_texture_wang_seed1.tsx").getroot().find("image")
    assert image.get("source") == "output_texture_wang_seed1/Color.png"
    assert np.array_equal(height[16 + SIDE:16 + 2 * SIDE, 16 + SIDE:16 + 2 * SIDE], deep[y:y + SIDE, x:x + SIDE])


@pytest.mark.parametrize("changes", ({"MASK": "red"}, {"OUTPUT_SIZE": "(300,300)"}, {"TILEABLE": "xy"},
                                     {"REGION": "(0,0,9,9)"}, {"GUIDE": "a.png"}, {"REDRAW": "all"},
                                     {"LAYOUT": "random"}, {"IMAGE": "('a.png','b.png')", "BLEND": "c.png"}))
def test_what_does_not_go_together_with_wang_tiles_is_refused_in_a_sentence(changes, tool):
    assert_refused(tool(*tiny(WANG=2, TILE_SIZE=SIDE, **changes)), [*changes][-1], "WANG", "leave one of them out")


def test_other_numbers_of_colours_and_tiles_that_are_too_small_are_refused(tool):
    assert_refused(tool("photo.png", *tiny(WANG=3, TILE_SIZE=SIDE)), "WANG is 3", "must be 2")
    with pytest.raises(UserError, match="TILE_SIZE is 16; with WANG it must be at least 32"):
        layouts.grid_of(draw_photo(54, 70), constants_of(*tiny(WANG=2)))


def test_a_stop_while_tiles_are_drawn_is_one_sentence():
    group = processes.ProcessGroup()
    group.any = lambda value: True
    sheet = SimpleNamespace(passes=[[(0, 1)]], sketch=lambda cell: (None, None))
    task = SimpleNamespace(canvas=sheet, photo=None)
    with pytest.raises(Stopped, match="stopped while drawing tiles; the same command"):
        td.draw(wang.Wang(task), SimpleNamespace(sampling=td.Sampling(steps=1)), 1, 0, group)
