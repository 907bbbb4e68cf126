"""Sketches, and the drawing of the gaps."""

import numpy as np
import pytest
import torch
from conftest import (
    TILE,
    begin_whole,
    draw_photo,
    draw_pixels,
    drawn_cells,
    extend,
    make_sampler,
    planned,
    planned_sized,
    random_net,
    sketches_of,
    slow_but,
    spread,
)

import texture_diffusion as td
from texture_diffusion_tools.laying import matching
from texture_diffusion_tools.reading import exemplars

SIZES = [(48, 64), (54, 70)]


def draw_with(net, photo, sampler="ddim", steps=3):
    return make_sampler(net, photo, td.cosine_schedule(20), sampler, steps, 0.7)


def outpaint(net, photo, layout, batch_size=16, seed=0, passes=None, begin=None, **options):
    """The finished texture, normalised [C, height, width]."""
    texture = td.Canvas(layout, len(photo.x), "cpu", begin)
    for _ in td.outpaint(texture, passes or layout.passes, draw_with(net, photo, **options), batch_size, seed):
        pass
    return texture.cut((0, 0), layout.grid.size)


def levels(photo, x):
    """Normalised values in levels of 255, not rounded."""
    return (x * photo.std + photo.mean + 1) * 127.5


def cell(pixels, i, j):
    return pixels[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("height, width", slow_but(SIZES, (54, 70)))
def test_known_pixels_come_out_exactly_as_they_went_in(net, kind, height, width):
    pixels = draw_pixels(height, width)
    photo = td.normalise(exemplars.of_pixels(pixels, "photo"))
    layout = planned(photo, kind)
    out = photo.pixels(outpaint(net, photo, layout))
    for i, j in np.argwhere(layout.real()):
        y, x = layout.source[i, j]
        kept = cell(out, i, j)
        assert np.array_equal(kept, pixels[y:y + TILE, x:x + TILE][:len(kept), :kept.shape[1]])


def test_rows_begin_with_the_photo():
    photo = draw_photo(48, 64)
    texture = td.Canvas(planned(photo, "rows"), 3, "cpu")
    assert torch.equal(texture.cut((0, 0), (48, 64)), photo.x)


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("height, width", slow_but(SIZES, (54, 70)))
@pytest.mark.parametrize("scale", slow_but([2, 3], 2))
def test_the_texture_is_exactly_so_many_times_as_large_and_whole(net, kind, height, width, scale):
    photo = draw_photo(height, width)
    layout = planned(photo, kind, scale)
    out = outpaint(net, photo, layout, steps=1)
    assert out.shape == (3, scale * height, scale * width)
    assert sorted(drawn_cells(layout)) == [tuple(cell) for cell in np.argwhere(~layout.real()).tolist()]
    for i, j in drawn_cells(layout):
        assert cell(out.movedim(0, -1), i, j).std() > 0


@pytest.mark.parametrize("kind", slow_but(td.LAYOUTS, "matched"))
@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_the_picture_does_not_depend_on_the_batch_size(net, photo, kind, sampler):
    layout = planned(photo, kind)
    one, three, sixteen = (levels(photo, outpaint(net, photo, layout, size, sampler=sampler)) for size in (1, 3, 16))
    assert (one - three).abs().max() <= 1
    assert (one - sixteen).abs().max() <= 1


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("batch_size", slow_but([1, 3], 3))
def test_the_picture_repeats_bit_for_bit_at_the_same_batch_size(net, photo, kind, batch_size):
    layout = planned(photo, kind)
    first = outpaint(net, photo, layout, batch_size)
    torch.manual_seed(5)
    assert torch.equal(first, outpaint(net, photo, layout, batch_size))


@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_the_picture_does_not_depend_on_the_order_within_a_pass(net, photo, kind):
    layout = planned(photo, kind)
    backwards = [cells[::-1] for cells in layout.passes]
    assert torch.equal(outpaint(net, photo, layout, 1), outpaint(net, photo, layout, 1, passes=backwards))


def test_a_grey_photo_can_be_outpainted():
    photo = draw_photo(48, 64, channels=1)
    layout = planned(photo, "matched")
    assert outpaint(random_net(channels=1), photo, layout).shape == (1, 96, 128)


def test_another_seed_draws_other_tiles(net, photo):
    layout = planned(photo, "matched")
    one, other = (outpaint(net, photo, layout, seed=seed) for seed in (0, 1))
    for i, j in drawn_cells(layout)[:5]:
        assert (cell((one - other).movedim(0, -1), i, j)).abs().max() > 0.01


def test_no_two_drawn_tiles_share_their_noise(photo):
    layout, starts = planned(photo, "random"), []

    def draw(rings, present, generators, sketch, parts, least):
        starts.extend(torch.randn(4, generator=generator).tolist() for generator in generators)
        yield 0, torch.zeros(len(rings), 3, TILE, TILE), None

    for _ in td.outpaint(td.Canvas(layout, len(photo.x), "cpu"), layout.passes, draw, 4, 0):
        pass
    assert len({tuple(start) for start in starts}) == len(drawn_cells(layout))


@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_drawn_tiles_keep_to_the_photo_s_range(net, photo, sampler):
    out = outpaint(net, photo, planned(photo, "matched"), sampler=sampler)
    drawn = out[:, spread(~planned(photo, "matched").real())[:out.shape[1], :out.shape[2]]]
    low, high = (bound[:, 0] for bound in photo.bounds())
    assert (drawn >= low - 1e-5).all() and (drawn <= high + 1e-5).all()


def test_all_tiles_of_a_pass_are_shown_the_same_state(photo):
    for kind in td.LAYOUTS:
        layout, shown = planned(photo, kind), {1: [], 5: []}
        for batch_size, masks in shown.items():
            def draw(rings, present, generators, sketch, parts, least, masks=masks):
                masks.extend(present.tolist())
                yield 0, torch.zeros(len(rings), 3, TILE, TILE), None

            texture, count = td.Canvas(layout, len(photo.x), "cpu"), 0
            for cells in layout.passes:
                for _ in td.outpaint(texture, [cells], draw, batch_size, 0):
                    pass
                count += len(cells)
                del masks[count:]  # copies that fill the last batch up
        assert shown[1] == shown[5], kind


def border(x, name):
    """The outermost line of pixels of x [C, T, T] in a direction."""
    return {"N": x[:, 0], "S": x[:, -1], "W": x[:, :, 0], "E": x[:, :, -1]}[name]


@pytest.mark.parametrize("kind", ["matched", "ordered", "random"])
def test_a_sketch_continues_every_real_tile_around_it(photo, kind):
    """But where a cut along the border costs least: where another claim agrees."""
    layout, continued = planned(photo, kind, 3), []
    extended, middle = extend(photo), slice(4, -4)
    for i, j in layout.passes[0]:
        sketch = layout.sketch((i, j))
        for name, (di, dj) in matching.SIDES.items():
            if 0 <= i + di < len(layout.source) and 0 <= j + dj < layout.source.shape[1]:
                y, x = layout.source[i + di, j + dj] + TILE - np.array([di, dj]) * TILE
                truth = border(extended[:, y:y + TILE, x:x + TILE], name)[:, middle]
                continued += ((border(sketch, name)[:, middle] - truth).abs().amax(0) < 0.02).tolist()
    assert np.mean(continued) > 0.5  # of tiles that small, in a photo that has little in common with itself


def test_drawing_begins_with_the_sketch_and_forgets_it_where_it_starts_from_pure_noise(net, photo, monkeypatch):
    layout, alphas_cumprod = planned(photo, "matched"), td.cosine_schedule(100)
    rings, present = td.Canvas(layout, len(photo.x), "cpu").neighbours(layout.passes[0][:2])
    sketch = sketches_of(layout)[:2]

    def draw(sketch, strength):
        generators = [torch.Generator().manual_seed(k) for k in range(2)]
        draw = make_sampler(net, photo, alphas_cumprod, "ddim", 5, strength)
        return list(draw(rings, present, generators, sketch))

    assert draw(sketch, 0.6)[0][0] == 59
    assert torch.allclose(draw(sketch, 1.0)[-1][1], draw(None, 0.6)[-1][1], atol=1e-5)
    monkeypatch.setattr(td, "predict_x0", lambda net, x_t, t, *args: td.per_sample(alphas_cumprod, t).sqrt() * x_t)
    near, far = ((draw(sketch, strength)[-1][1] - sketch).square().mean() for strength in (0.1, 1.0))
    assert near < 0.1 * far


def test_a_sketch_goes_to_its_own_gap_whatever_the_batch(net, photo):
    layout, seen = planned(photo, "matched"), []
    sketches = sketches_of(layout)

    def draw(rings, present, generators, sketch, parts, least):
        seen.extend(sketch)
        yield 0, sketch, None

    texture = td.Canvas(layout, len(photo.x), "cpu", begin_whole(layout))
    for _ in td.outpaint(texture, layout.passes, draw, 3, 0):
        pass
    assert torch.equal(torch.stack(seen)[:len(sketches)], sketches)
    for (i, j), sketch in zip(layout.passes[0], sketches):
        assert torch.equal(texture.cut((i * TILE, j * TILE), (TILE, TILE)), sketch)


# Tileable, of any size, in part, and redrawn


def whole(net, photo, layout, batch_size=4, window=None):
    """A window of the texture, or all of it, normalised."""
    draw = make_sampler(net, photo, td.cosine_schedule(20), "ddim", 2, 0.7)
    corner, size = window or ((0, 0), layout.grid.size)
    texture = td.Canvas(layout, len(photo.x), "cpu", begin_whole(layout))
    for _ in td.outpaint(texture, layout.needed(corner, size), draw, batch_size, 0):
        pass
    return texture.cut(corner, size)


@pytest.mark.parametrize("height, width", slow_but([(64, 96), (53, 75), (47, 41)], (53, 75)))
@pytest.mark.parametrize("tileable", ["x", "y", "xy"])
@pytest.mark.parametrize("redraw", [False, True])
def test_every_drawn_tile_sees_what_will_lie_beside_it_also_across_the_edge(photo, height, width, tileable, redraw):
    """At each border the tile that was drawn later has seen the other one as it is in the end."""
    layout, seen = planned_sized(photo, height, width, tileable, redraw=redraw), {}
    texture = td.Canvas(layout, 3, "cpu")
    rng = np.random.default_rng(0)
    for cells in layout.passes:
        for cell in cells:
            rings, present = texture.neighbours([cell])
            seen[cell] = rings[0], present[0]
        for cell in cells:
            texture.place([cell], torch.from_numpy(rng.standard_normal((1, 3, TILE, TILE))).float())
    order, h = layout.order(), td.HALO
    middle = slice(h, -h)
    for cell, (ring, present) in seen.items():
        corner, size = [line[k] - h for line, k in zip(layout.grid.lines, cell)], (TILE + 2 * h, TILE + 2 * h)
        final, (owner, _) = texture.cut(corner, size), layout.seen_at(corner, size)
        when = np.where(owner < 0, -9, order.ravel()[owner])  # in which pass each pixel became what it is
        lines = {"N": (h - 1, middle), "S": (h + TILE, middle), "W": (middle, h - 1), "E": (middle, h + TILE)}
        for name, line in lines.items():
            if name in layout.grid.around(cell):
                assert present[td.NEIGHBOURS.index(name)], (cell, name)
                assert (owner[line] >= 0).all() and (when[line] != order[cell]).all(), "two of a pass touch"
                before = torch.from_numpy(when[line] < order[cell])
                assert torch.equal(ring[(slice(None), *line)][:, before], final[(slice(None), *line)][:, before])


@pytest.mark.parametrize("tileable, axes", [("x", (1,)), ("y", (0,)), ("xy", (0, 1))])
def test_a_tileable_texture_shows_its_far_side_to_its_tiles(photo, tileable, axes):
    layout = planned_sized(photo, 70, 75, tileable)
    texture = td.Canvas(layout, 3, "cpu")
    for axis in (0, 1):
        last = [k - 1 for k in layout.grid.shape()]
        first = [0 if k == axis else last[k] - (sum(last) - last[axis] + 1) % 2 for k in (0, 1)]
        around = layout.grid.around(tuple(first))
        assert ({0: "N", 1: "W"}[axis] in around) == (axis in axes)
    _, present = texture.neighbours(layout.passes[0])
    names = {0: ("N", "S"), 1: ("W", "E")}
    for axis in axes:
        assert present[:, [td.NEIGHBOURS.index(name) for name in names[axis]]].all()


@pytest.mark.parametrize("tileable", ["none", "xy"])
@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("corner, size", slow_but([((0, 0), (20, 30)), ((31, 7), (40, 50)), ((60, 70), (12, 9))],
                                                  ((31, 7), (40, 50))))
def test_a_region_agrees_with_the_whole_pixel_for_pixel(net, photo, tileable, redraw, corner, size):
    layout = planned_sized(photo, 75, 90, tileable, redraw=redraw)
    (y, x), (height, width) = window = corner, size
    everything = whole(net, photo, layout)
    assert torch.equal(whole(net, photo, layout, window=window), everything[:, y:y + height, x:x + width])


@pytest.mark.parametrize("size", [(16, 16), (37, 61), (128, 64), (40, 1)])
@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_a_texture_of_any_size_is_whole(net, photo, size, kind):
    out = whole(net, photo, planned_sized(photo, *size, kind=kind))
    assert out.shape == (3, *size) and out.isfinite().all() and (out.abs().sum(0) > 0).all()


@pytest.mark.parametrize("height, width, tileable", [(64, 96, "none"), (53, 75, "xy")])
def test_redrawn_originals_leave_nothing_of_the_photo(net, photo, height, width, tileable):
    layout = planned_sized(photo, height, width, tileable, redraw=True)
    assert sorted(cell for cells in layout.passes for cell in cells) == layout.grid.cells()
    assert layout.made().all()
    out = whole(net, photo, layout)
    windows = photo.x.unfold(1, 8, 1).unfold(2, 8, 1)  # [C, y, x, 8, 8]
    for y in range(0, height - 8, 8):
        for x in range(0, width - 8, 8):
            apart = (windows - out[:, None, None, y:y + 8, x:x + 8]).abs().amax((0, 3, 4))
            assert apart.min() > 0.01
