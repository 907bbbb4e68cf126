"""Grids, layouts of the real tiles, and passes."""

import math

import numpy as np
import pytest
import torch
from conftest import TILE, draw_photo, drawn_cells, plan, plan_sized, slow_but

import texture_diffusion as td
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.running.errors import UserError

SIDES = [math.ceil(2.5 * TILE), 3 * TILE - 1, 4 * TILE - 3, 4 * TILE, 4 * TILE + 1, 5 * TILE + 5, 6 * TILE,
         7 * TILE + 1, 11 * TILE - 2]


@pytest.mark.parametrize("side", SIDES)
def test_a_ring_of_tiles_is_even_and_fills_the_side_exactly(side):
    lines = grids.tile_lines(side, TILE, True)
    steps = np.diff([*lines, lines[0] + side])
    assert len(lines) % 2 == 0 and len(lines) >= 4 and lines[0] == 0 and lines[-1] + TILE == side
    assert (steps <= TILE).all() and (steps >= TILE // 4).all()
    assert (steps[1::2] == TILE).all()  # pairs touch, only the two tiles of a pair overlap


@pytest.mark.parametrize("tileable", ["x", "y", "xy"])
def test_a_texture_too_small_for_a_ring_is_refused_with_the_smallest_size(tileable):
    smallest = math.ceil(2.5 * TILE)
    with pytest.raises(UserError, match=str(smallest)):
        grids.make_grid(smallest - 1, smallest - 1, TILE, tileable)
    grids.make_grid(smallest, smallest, TILE, tileable)


@pytest.mark.parametrize("height, width", [(64, 96), (53, 75), (47, 41)])
def test_only_real_tiles_are_trimmed_and_every_pixel_has_an_owner(photo, height, width):
    layout = plan_sized(photo, height, width, "xy")
    (shown, _), columns = layout.seen_at((0, 0), (height, width)), layout.grid.shape()[1]
    assert shown.min() >= 0
    over = [np.zeros((height, width), bool) for _ in layout.passes]
    for made, cells in zip(over, layout.passes):
        for i, j in cells:
            y, x = layout.grid.lines[0][i], layout.grid.lines[1][j]
            made[y:y + TILE, x:x + TILE] = True
    for i, j in [cell for cells in layout.passes for cell in cells]:  # a gap is only covered by later gaps
        y, x = layout.grid.lines[0][i], layout.grid.lines[1][j]
        seen = (shown == i * columns + j)[y:y + TILE, x:x + TILE]
        later = np.logical_or.reduce([*over[layout.order()[i, j] + 1:], np.zeros((height, width), bool)])
        assert (seen | later[y:y + TILE, x:x + TILE]).all()


def test_a_region_needs_only_what_it_depends_on(photo):
    layout = plan_sized(photo, 20 * TILE, 20 * TILE, kind="random")
    cells = [cell for cells in layout.needed((5 * TILE, 5 * TILE), (2 * TILE, 2 * TILE)) for cell in cells]
    assert sorted(cells) == [(5, 6), (6, 5)]


@pytest.mark.parametrize("augment", slow_but(td.AUGMENTS, "none", "rotations"))
@pytest.mark.parametrize("kind", ["matched", "random", "ordered"])
def test_real_tiles_come_from_the_photo_turned_in_the_ways_that_are_allowed(augment, kind):
    photo = draw_photo(54, 70)
    layout = plan_sized(photo, 160, 160, kind=kind, augment=augment)
    turned = [td.oriented(photo.x, *way) for way in td.AUGMENTS[augment]]
    used = set()
    for cell in np.argwhere(layout.real()):
        (y, x), orientation = layout.source[tuple(cell)], layout.orientation[tuple(cell)]
        assert torch.equal(layout.cut(tuple(cell)), turned[orientation][:, y:y + TILE, x:x + TILE])
        used.add(int(orientation))
    assert len(used) == (len(turned) if kind != "ordered" else 1)


def touching(one, other):
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) == 1


@pytest.mark.parametrize("kind", ["matched", "ordered", "random"])
def test_every_drawn_tile_lies_between_real_ones(photo, kind):
    layout = plan(photo, kind, 3)
    real = np.pad(layout.real(), 1, constant_values=True)
    assert len(layout.passes) == 1
    for i, j in layout.passes[0]:
        assert real[i, j + 1] and real[i + 2, j + 1] and real[i + 1, j] and real[i + 1, j + 2]


@pytest.mark.parametrize("height, width", [(48, 48), (48, 64), (54, 70)])
def test_a_row_by_row_tile_rests_on_all_before_it_and_on_none_of_its_own_pass(height, width):
    layout = plan(draw_photo(height, width), "rows", 3)
    turn = np.where(layout.real(), -1, 0)
    for number, cells in enumerate(layout.passes):
        assert not any(touching(one, other) for one in cells for other in cells)
        for place in cells:
            turn[place] = number
    for i, j in drawn_cells(layout):
        before = [(i, j - 1), (i - 1, j - 1), (i - 1, j), (i - 1, j + 1)]
        assert all(turn[y, x] < turn[i, j] for y, x in before if y >= 0 and 0 <= x < turn.shape[1])


@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_a_layout_is_a_function_of_the_seed(photo, kind):
    np.random.seed(1)
    first = plan(photo, kind, seed=3)
    np.random.seed(2)
    again, other = plan(photo, kind, seed=3), plan(photo, kind, seed=4)
    assert np.array_equal(first.source, again.source) and first.passes == again.passes
    if kind in ("matched", "random"):
        assert not np.array_equal(first.source, other.source)


@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_every_real_tile_lies_inside_the_photo(photo, kind):
    source = plan(photo, kind, 3).source
    kept = source[source[..., 0] >= 0]
    assert (kept >= 0).all()
    assert (kept <= np.array([54 - TILE, 70 - TILE])).all()


def test_ordered_repeats_the_photo_s_own_order():
    layout = plan(draw_photo(48, 64), "ordered", 3)
    for i, j in np.argwhere(layout.real()):
        assert tuple(layout.source[i, j]) == (i % 3 * TILE, j % 4 * TILE)


@pytest.mark.parametrize("kind", ["matched", "random"])
def test_many_parts_of_the_photo_are_used(kind):
    source = plan(draw_photo(80, 96), kind, 3).source
    kept = source[source[..., 0] >= 0]
    assert len({tuple(offset) for offset in kept.tolist()}) > 0.8 * len(kept)
    assert np.ptp(kept, 0).min() > 40
