"""Tileable textures, sizes and regions of one's own, redrawn originals, turned photos, and drawing in bands."""

import math
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TILE, draw_photo, draw_pixels, random_net, tiny
from PIL import Image

import texture_diffusion as td
from texture_tools import bands, png
from texture_tools.errors import UserError

S = TILE


@pytest.fixture(scope="module")
def net():
    return random_net()


def plan(photo, height, width, tileable="none", kind="matched", **options):
    return td.lay_out(photo, kind, td.make_grid(height, width, TILE, tileable), 0, **options)


def whole(net, photo, layout, batch_size=4, window=None):
    """A window of the texture, or all of it, normalised."""
    draw = td.make_sampler(photo, td.cosine_schedule(20), "ddim", 2, 0.7)
    corner, size = window or ((0, 0), layout.grid.size)
    canvas = td.Canvas(layout, len(photo.x), "cpu")
    for _ in td.outpaint(net, canvas, td.needed(layout, corner, size), batch_size, draw, 0,
                         layout.claims and (lambda cell: td.draw_sketch(layout, cell)) or None):
        pass
    return canvas.cut(corner, size)


SIDES = [math.ceil(2.5 * S), 3 * S - 1, 4 * S - 3, 4 * S, 4 * S + 1, 5 * S + 5, 6 * S, 7 * S + 1, 11 * S - 2]


@pytest.mark.parametrize("side", SIDES)
def test_a_ring_of_tiles_is_even_and_fills_the_side_exactly(side):
    lines = td.tile_lines(side, S, True)
    steps = np.diff([*lines, lines[0] + side])
    assert len(lines) % 2 == 0 and len(lines) >= 4 and lines[0] == 0 and lines[-1] + S == side
    assert (steps <= S).all() and (steps >= S // 4).all()
    assert (steps[1::2] == S).all()  # pairs touch, only the two tiles of a pair overlap


@pytest.mark.parametrize("tileable", ["x", "y", "xy"])
def test_a_texture_too_small_for_a_ring_is_refused_with_the_smallest_size(tileable):
    smallest = math.ceil(2.5 * S)
    with pytest.raises(UserError, match=str(smallest)):
        td.make_grid(smallest - 1, smallest - 1, S, tileable)
    td.make_grid(smallest, smallest, S, tileable)


@pytest.mark.parametrize("height, width", [(64, 96), (53, 75), (47, 41)])
def test_only_real_tiles_are_trimmed_and_every_pixel_has_an_owner(photo, height, width):
    layout = plan(photo, height, width, "xy")
    (shown, _), columns = layout.seen_at((0, 0), (height, width)), layout.grid.shape()[1]
    assert shown.min() >= 0
    over = [np.zeros((height, width), bool) for _ in layout.passes]
    for made, cells in zip(over, layout.passes):
        for i, j in cells:
            y, x = layout.grid.lines[0][i], layout.grid.lines[1][j]
            made[y:y + S, x:x + S] = True
    for i, j in [cell for cells in layout.passes for cell in cells]:  # a gap is only covered by later gaps
        y, x = layout.grid.lines[0][i], layout.grid.lines[1][j]
        seen = (shown == i * columns + j)[y:y + S, x:x + S]
        later = np.logical_or.reduce([*over[layout.order()[i, j] + 1:], np.zeros((height, width), bool)])
        assert (seen | later[y:y + S, x:x + S]).all()


@pytest.mark.parametrize("height, width", [(64, 96), (53, 75), (47, 41)])
@pytest.mark.parametrize("tileable", ["x", "y", "xy"])
@pytest.mark.parametrize("redraw", [False, True])
def test_every_drawn_tile_sees_what_will_lie_beside_it_also_across_the_edge(photo, height, width, tileable, redraw):
    """At each border the tile that was drawn later has seen the other one as it is in the end."""
    layout, seen = plan(photo, height, width, tileable, redraw=redraw), {}
    canvas = td.Canvas(layout, 3, "cpu")
    rng = np.random.default_rng(0)
    for cells in layout.passes:
        for cell in cells:
            rings, present = canvas.neighbours([cell])
            seen[cell] = rings[0], present[0]
        for cell in cells:
            canvas.place([cell], torch.from_numpy(rng.standard_normal((1, 3, S, S))).float())
    order, h = layout.order(), td.HALO
    middle = slice(h, -h)
    for cell, (ring, present) in seen.items():
        corner, size = [line[k] - h for line, k in zip(layout.grid.lines, cell)], (S + 2 * h, S + 2 * h)
        final, (owner, _) = canvas.cut(corner, size), layout.seen_at(corner, size)
        when = np.where(owner < 0, -9, order.ravel()[owner])  # in which pass each pixel became what it is
        lines = {"N": (h - 1, middle), "S": (h + S, middle), "W": (middle, h - 1), "E": (middle, h + S)}
        for name, line in lines.items():
            if name in layout.grid.around(cell):
                assert present[td.NEIGHBOURS.index(name)], (cell, name)
                assert (owner[line] >= 0).all() and (when[line] != order[cell]).all(), "two of a pass touch"
                before = torch.from_numpy(when[line] < order[cell])
                assert torch.equal(ring[(slice(None), *line)][:, before], final[(slice(None), *line)][:, before])


@pytest.mark.parametrize("tileable, axes", [("x", (1,)), ("y", (0,)), ("xy", (0, 1))])
def test_a_tileable_texture_shows_its_far_side_to_its_tiles(photo, tileable, axes):
    layout = plan(photo, 70, 75, tileable)
    canvas = td.Canvas(layout, 3, "cpu")
    for axis in (0, 1):
        last = [k - 1 for k in layout.grid.shape()]
        first = [0 if k == axis else last[k] - (sum(last) - last[axis] + 1) % 2 for k in (0, 1)]
        around = layout.grid.around(tuple(first))
        assert ({0: "N", 1: "W"}[axis] in around) == (axis in axes)
    _, present = canvas.neighbours(layout.passes[0])
    names = {0: ("N", "S"), 1: ("W", "E")}
    for axis in axes:
        assert present[:, [td.NEIGHBOURS.index(name) for name in names[axis]]].all()


def test_the_claims_of_a_ring_are_compared_across_its_edge():
    """Stripes of 24 pixels on a ring of 120: the places of the real tiles go round without a break."""
    y = np.arange(128)[:, None, None]
    noise = np.random.default_rng(0).integers(-20, 20, (128, 160, 3))
    photo = td.normalise((128 + 80 * np.sin(2 * np.pi * y / 24) + noise).astype(np.uint8), "stripes")
    layout = td.lay_out(photo, "matched", td.make_grid(120, 128, 32, "y"), 0)
    phases = [(layout.source[cell][0] - layout.grid.lines[0][cell[0]]) / 24 for cell in layout.grid.cells()
              if layout.real()[cell]]
    assert abs(np.exp(2j * np.pi * np.array(phases)).mean()) > 0.9


@pytest.mark.parametrize("tileable", ["none", "xy"])
@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("window", [((0, 0), (20, 30)), ((31, 7), (40, 50)), ((60, 70), (12, 9))])
def test_a_region_agrees_with_the_whole_pixel_for_pixel(net, photo, tileable, redraw, window):
    layout = plan(photo, 75, 90, tileable, redraw=redraw)
    (y, x), (height, width) = window
    everything = whole(net, photo, layout)
    assert torch.equal(whole(net, photo, layout, window=window), everything[:, y:y + height, x:x + width])


def test_a_region_needs_only_what_it_depends_on(photo):
    layout = plan(photo, 20 * S, 20 * S, kind="random")
    cells = [cell for cells in td.needed(layout, (5 * S, 5 * S), (2 * S, 2 * S)) for cell in cells]
    assert sorted(cells) == [(5, 6), (6, 5)]


@pytest.mark.parametrize("size", [(16, 16), (37, 61), (128, 64), (40, 1)])
@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_a_texture_of_any_size_is_whole(net, photo, size, kind):
    out = whole(net, photo, plan(photo, *size, kind=kind))
    assert out.shape == (3, *size) and out.isfinite().all() and (out.abs().sum(0) > 0).all()


@pytest.mark.parametrize("height, width, tileable", [(64, 96, "none"), (53, 75, "xy")])
def test_redrawn_originals_leave_nothing_of_the_photo(net, photo, height, width, tileable):
    layout = plan(photo, height, width, tileable, redraw=True)
    assert sorted(cell for cells in layout.passes for cell in cells) == layout.grid.cells()
    assert layout.made().all()
    out = whole(net, photo, layout)
    windows = photo.x.unfold(1, 8, 1).unfold(2, 8, 1)  # [C, y, x, 8, 8]
    for y in range(0, height - 8, 8):
        for x in range(0, width - 8, 8):
            apart = (windows - out[:, None, None, y:y + 8, x:x + 8]).abs().amax((0, 3, 4))
            assert apart.min() > 0.01


@pytest.mark.parametrize("augment", list(td.AUGMENTS))
@pytest.mark.parametrize("kind", ["matched", "random", "ordered"])
def test_real_tiles_come_from_the_photo_turned_in_the_ways_that_are_allowed(augment, kind):
    photo = draw_photo(54, 70)
    layout = plan(photo, 160, 160, kind=kind, augment=augment)
    turned = [td.oriented(photo.x, *way) for way in td.AUGMENTS[augment]]
    used = set()
    for cell in np.argwhere(layout.real()):
        (y, x), orientation = layout.source[tuple(cell)], layout.orientation[tuple(cell)]
        assert torch.equal(layout.cut(tuple(cell)), turned[orientation][:, y:y + S, x:x + S])
        used.add(int(orientation))
    assert len(used) == (len(turned) if kind != "ordered" else 1)


def test_the_ways_to_turn_are_all_different():
    x = torch.arange(12.0).view(1, 3, 4)
    for ways in td.AUGMENTS.values():
        assert ways[0] == (0, False) and len({str(td.oriented(x, *way).tolist()) for way in ways}) == len(ways)


@pytest.mark.parametrize("augment", ["flip_x", "flips", "rotations"])
def test_training_windows_are_turned_with_their_neighbours(augment):
    photo = draw_photo(54, 70)
    dataset = td.NeighbourDataset(photo, TILE, augment=augment)
    offsets = dataset.table[:64]
    windows, exists = dataset.windows(offsets), dataset.available(offsets)
    made, present = dataset.augment(windows, exists, torch.Generator().manual_seed(0))
    used = set()
    for k in range(len(offsets)):
        way = next(way for way in td.AUGMENTS[augment] if torch.equal(td.oriented(windows[k], *way), made[k]))
        around = td.with_tile(exists[k:k + 1]).view(3, 3)
        assert torch.equal(td.oriented(around, *way).flatten()[[0, 1, 2, 3, 5, 6, 7, 8]], present[k])
        used.add(way)
    assert used == set(td.AUGMENTS[augment])
    assert torch.equal(windows, dataset.windows(offsets))


# In bands


@pytest.mark.parametrize("size", [(3, 5), (20, 30), (33, 1)])
@pytest.mark.parametrize("cuts", [(), (1,), (1, 2)])
def test_a_png_in_bands_holds_the_pixels_and_the_text(tmp_path, size, cuts):
    pixels = draw_pixels(*size)
    writer = png.PngBands(tmp_path / "a.png", size, {"constants": "Mörtel – 石", "seed": "3"})
    for band in np.split(pixels, cuts):
        writer.write(band)
    image = Image.open(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), pixels)
    assert image.text == {"constants": "Mörtel – 石", "seed": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_png_in_bands_is_sound_by_another_reader(tmp_path):
    other = pytest.importorskip("png")
    pixels = draw_pixels(40, 50)
    writer = png.PngBands(tmp_path / "a.png", (40, 50), {})
    for band in np.split(pixels, (7, 30)):
        writer.write(band)
    _, _, rows, _ = other.Reader(filename=tmp_path / "a.png").read()
    assert np.array_equal(np.stack([np.array(row) for row in rows]).reshape(40, 50, 3), pixels)


def test_a_png_in_bands_goes_on_where_it_stopped(tmp_path):
    pixels = draw_pixels(40, 50)
    first = png.PngBands(tmp_path / "a.png", (40, 50), {})
    first.write(pixels[:10])
    state = first.state()
    first.write(pixels[10:20])  # the run ended before this was noted
    again = png.PngBands(tmp_path / "a.png", (40, 50), {})
    again.resume(**state)
    for band in (pixels[10:25], pixels[25:]):
        again.write(band)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    with pytest.raises((OSError, ValueError)):
        png.PngBands(tmp_path / "b.png", (40, 50), {}).resume(**state)


@pytest.fixture
def drawing(tmp_path, monkeypatch, tool):
    """A function that draws with a tiny model in tmp_path, which it trains at first."""
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    assert tool("photo.png", *tiny(EPOCHS=1)).code == 0
    return lambda **changes: tool("photo.png", *tiny(**{"EPOCHS": 0, **changes}))


@pytest.mark.parametrize("changes", [{}, {"TILEABLE": "xy"}, {"REDRAW_ORIGINALS": True, "TILEABLE": "x"}])
def test_bands_are_the_texture_in_one_piece(drawing, tmp_path, monkeypatch, changes):
    result = drawing(OUTPUT_SIZE="(130,140)", **changes)
    assert result.code == 0, result.err
    path = min((tmp_path / "samples/photo").glob("output_texture_130x140*.png"), key=lambda path: len(path.name))
    at_once = np.asarray(Image.open(path))
    path.unlink()
    monkeypatch.setattr(bands, "BAND_PIXELS", 1)
    monkeypatch.setattr(bands, "WHOLE_PIXELS", 1)
    assert drawing(OUTPUT_SIZE="(130,140)", **changes).code == 0
    assert at_once.shape == (140, 130, 3) and np.array_equal(np.asarray(Image.open(path)), at_once)
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == [".made.json"]


@pytest.mark.parametrize("band_pixels", [1, 1e7])
@pytest.mark.parametrize("after", [1, 5, 11])
def test_a_drawing_that_was_stopped_goes_on_and_comes_out_the_same(drawing, tmp_path, monkeypatch, band_pixels, after):
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    monkeypatch.setattr(bands, "WHOLE_PIXELS", band_pixels)
    place, count = td.Canvas.place, []
    monkeypatch.setattr(td.Canvas, "place", lambda *args: count.append(1) or place(*args))
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y").code == 0
    path = tmp_path / "samples/photo/output_texture_130x140_tileable_y.png"
    unbroken, batches = np.asarray(Image.open(path)), len(count)
    path.unlink()
    count.clear()

    def stopped(self, *args):
        count.append(1)
        place(self, *args)
        if len(count) == after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(td.Canvas, "place", stopped)
    result = drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y")
    assert result.code == 130 and "same command" in result.err and not path.exists()
    before = len(count)
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="y").code == 0
    assert np.array_equal(np.asarray(Image.open(path)), unbroken)
    assert len(count) - before <= batches - after, "what was drawn before the stop was drawn again"


def test_a_disk_too_small_is_named_before_anything_is_done(drawing, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e9))
    result = drawing(OUTPUT_SIZE="(32768,32768)", EPOCHS=2)
    assert result.code == 2 and "3.23 GB" in result.err and "2.00 GB" in result.err and "training" not in result.err


def test_a_region_of_the_command_is_that_part_of_its_texture(drawing, tmp_path):
    assert drawing(OUTPUT_SIZE="(130,140)").code == 0
    assert drawing(OUTPUT_SIZE="(130,140)", REGION="(30,41,50,60)").code == 0
    folder = tmp_path / "samples/photo"
    everything, part = (np.asarray(Image.open(folder / f"output_texture_130x140{name}.png"))
                        for name in ("", "_region_30_41_50x60"))
    assert np.array_equal(part, everything[41:101, 30:80])


def test_a_tileable_texture_comes_with_a_picture_of_four(drawing, tmp_path):
    assert drawing(OUTPUT_SIZE="(130,140)", TILEABLE="xy").code == 0
    folder = tmp_path / "samples/photo"
    one, four = (np.asarray(Image.open(folder / f"output_texture_130x140_tileable_xy{name}.png"))
                 for name in ("", "_wrapped"))
    assert np.array_equal(four, np.tile(one, (2, 2, 1)))


@pytest.mark.parametrize("changes, words", [
    ({"OUTPUT_SIZE": "(100,0)"}, "OUTPUT_SIZE"), ({"OUTPUT_SIZE": "(100,)"}, "OUTPUT_SIZE"),
    ({"OUTPUT_SIZE": "(1.5,3)"}, "OUTPUT_SIZE"), ({"OUTPUT_SIZE": "large"}, "OUTPUT_SIZE"),
    ({"TILEABLE": "z"}, "TILEABLE"), ({"TILEABLE": "x", "OUTPUT_SIZE": "(30,30)"}, "smallest is 40"),
    ({"REGION": "(0,0,300,10)"}, "210 x 162"), ({"REGION": "(0,0,0,10)"}, "REGION"),
    ({"REGION": "(-1,0,10,10)"}, "REGION"), ({"AUGMENT": "all"}, "AUGMENT"),
    ({"LAYOUT": "rows", "TILEABLE": "x"}, "LAYOUT"), ({"LAYOUT": "rows", "REDRAW_ORIGINALS": True}, "LAYOUT")])
def test_bad_values_get_one_sentence_before_anything_is_drawn(drawing, changes, words):
    result = drawing(**changes)
    assert result.code == 2 and words in result.err and len(result.err.strip().splitlines()) == 1
