"""Where pieces of the photo meet, and whether that is seen."""

import numpy as np
import pytest
import torch
from conftest import (
    TILE,
    draw_photo,
    figures,
    make_sampler,
    pixels_in,
    random_net,
    stop_after,
    striped_photo,
    striped_pixels,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.laying import grids, seams

SIDE = 96
T = 32  # a tile of what is drawn: around a joint there has to be something


def stripes(side=192):
    """Level stripes with a little grain, [1, side, side], normalised: what is moved up or down no longer fits."""
    grain = torch.randn(side, side, generator=torch.Generator().manual_seed(0)) / 10
    x = torch.sin(torch.arange(side) * 2 * np.pi / 16)[:, None] + grain
    return ((x - x.mean()) / x.std())[None]


def put_together(x, down):
    """The left half of a part of x beside the right half of another one that lies so much lower; with its origins."""
    places = seams.turned_origins(seams.own_places(*x.shape[1:]), x.shape[1:], 0, 0, False)
    halves = [(part[:, 32:32 + SIDE, 32:32 + SIDE // 2], part[:, 32 + down:32 + down + SIDE, 40 + SIDE // 2:40 + SIDE])
              for part in (x, places)]
    return [torch.cat(half, 2) for half in halves]


def parts_of(x, down):
    picture, origins = put_together(x, down)
    return seams.Judge([x]).parts_to_draw(picture, origins, torch.ones(SIDE, SIDE, dtype=torch.bool))


def test_a_whole_piece_of_the_photo_has_no_joints_and_two_have_them_where_they_meet():
    known = torch.ones(SIDE, SIDE, dtype=torch.bool)
    _, origins = put_together(stripes(), 0)
    assert seams.joints_of(origins, known).nonzero()[:, 1].unique().tolist() == [SIDE // 2 - 1, SIDE // 2]
    assert not seams.joints_of(origins[:, :, :SIDE // 2], known[:, :SIDE // 2]).any()
    known[:, SIDE // 2:] = False  # what is not there meets nothing
    assert not seams.joints_of(origins, known).any()


def test_only_what_the_photo_has_nothing_like_is_drawn():
    """Stripes that go on across a joint are not seen, those that are out of step are; and what is far from the joint
    is never drawn."""
    x = stripes()
    whole, broken = parts_of(x, 16), parts_of(x, 8)
    assert (whole > 0).float().mean() < 0.02
    near = broken[0, seams.MARGIN:-seams.MARGIN, SIDE // 2 - 2:SIDE // 2 + 2]
    assert (near > 0).float().mean() > 0.7
    assert broken.max() <= 1 and not broken[:, :, :SIDE // 2 - 2 * seams.REACH].any()


@pytest.mark.parametrize("turns, mirrored", td.AUGMENTS["rotations"])
def test_origins_turn_with_the_photo(turns, mirrored):
    """The origins of a turned photo are the rows and columns that it has there."""
    size = (5, 7)
    origins = seams.turned_origins(seams.own_places(*size), size, 3, turns, mirrored)
    turned = td.oriented(torch.zeros(1, *size), turns, mirrored)
    assert torch.equal(origins[1:].long(), seams.own_places(*turned.shape[1:])) and (origins[0] == 3).all()


@pytest.mark.parametrize("augment", ["none", "rotations"])
def test_every_pixel_of_a_sketch_is_the_photos_at_its_origin(augment):
    """Also where the photo was continued beyond its edge, but for the pixels beside a cut, which show both sides."""
    photo = draw_photo(70, 90)
    layout = td.lay_out(photo, "matched", grids.make_grid(96, 112, TILE), 0, augment)
    turned = [td.oriented(photo.x, *way) for way in td.AUGMENTS[augment]]
    for cell in layout.passes[0]:
        sketch, origins = layout.join_claims(cell)
        shown = torch.stack([turned[k][:, y, x] for k, y, x in origins.flatten(1).T.tolist()], 1).view_as(sketch)
        joints = seams.joints_of(origins, torch.ones(TILE, TILE, dtype=torch.bool))
        beside = torch.nn.functional.max_pool2d(joints[None].float(), 3, 1, 1)[0] > 0
        assert torch.allclose(sketch[:, ~beside], shown[:, ~beside], atol=1e-5)


def test_real_tiles_lie_where_their_origins_say():
    photo = draw_photo(70, 90)
    layout = td.lay_out(photo, "matched", grids.make_grid(64, 96, TILE), 0)
    for cell in zip(*np.nonzero(layout.real())):
        y, x = layout.source[cell]
        origins = layout.part_of(layout.origins, cell)
        assert origins[:, 0, 0].tolist() == [0, y, x] and origins[:, -1, -1].tolist() == [0, y + TILE - 1, x + TILE - 1]


def test_what_a_guide_changes_is_drawn():
    x = torch.zeros(3, 8, 8)
    x[:, :4] = 2 * seams.CHANGED
    parts = seams.part_of_change(x)
    assert (parts[:, :4] == 1).all() and not parts[:, 4:].any()


# Drawn


def drawn(photo, layout, begin, batch_size=4, passes=None):
    """The Canvas of a layout as a network with random weights draws it."""
    draw = make_sampler(random_net(tile=T), photo, td.cosine_schedule(20), "mixed", 3, 0.75)
    texture = td.Canvas(layout, 3, "cpu", begin)
    for _ in td.outpaint(texture, passes or layout.passes, draw, batch_size, 0):
        pass
    return texture


@pytest.fixture(scope="module")
def sketched():
    """A photo, a layout, and what its gaps begin with."""
    photo = striped_photo()
    layout = td.lay_out(photo, "random", grids.make_grid(5 * T, 6 * T, T), 0)
    judge = td.judge_of(photo, "none")
    return photo, layout, {cell: layout.seamed(judge, cell) for cell in layout.passes[0]}


def test_what_is_not_drawn_stays_the_sketch_to_the_last_bit_and_the_rest_does_not(sketched):
    photo, layout, begin = sketched
    texture, parts = drawn(photo, layout, begin.get), torch.stack([parts for _, parts in begin.values()])
    assert 0.05 < (parts > 0).float().mean() < 0.9
    for cell, (sketch, part) in begin.items():
        tile = texture.drawn[cell]
        kept = (part == 0).expand_as(tile)
        assert torch.equal(tile[kept], sketch[kept])
        if (part > 0.9).any():
            assert not torch.allclose(tile[:, part[0] > 0.9], sketch[:, part[0] > 0.9], atol=0.01)


def test_the_picture_of_what_is_drawn_says_it_pixel_by_pixel(sketched):
    photo, layout, begin = sketched
    texture = drawn(photo, layout, begin.get)
    made, sketches = texture.made((0, 0), layout.grid.size), td.Canvas(layout, 3, "cpu")
    sketches.place(list(begin), torch.stack([sketch for sketch, _ in begin.values()]))
    changed = (texture.cut((0, 0), layout.grid.size) != sketches.cut((0, 0), layout.grid.size)).any(0).numpy()
    assert not (changed & ~made).any() and (changed & made).sum() > 0.9 * made.sum()
    part = texture.made((5, 20), (40, 33))
    assert np.array_equal(part, made[5:45, 20:53])


def test_tiles_of_which_nothing_is_drawn_cost_no_network(sketched):
    photo, layout, begin = sketched
    idle = {cell: (sketch, torch.zeros_like(parts)) for cell, (sketch, parts) in begin.items()}

    def draw(*args):
        raise AssertionError("drawn")

    texture = td.Canvas(layout, 3, "cpu", idle.get)
    assert not any(td.outpaint(texture, layout.passes, draw, 4, 0))
    assert not texture.made((0, 0), layout.grid.size).any()


def test_batches_and_their_order_do_not_matter(sketched):
    photo, layout, begin = sketched
    one, four = (drawn(photo, layout, begin.get, size).cut((0, 0), layout.grid.size) for size in (1, 4))
    assert torch.allclose(one, four, atol=1e-4)
    backwards = drawn(photo, layout, begin.get, 1, [layout.passes[0][::-1]])
    assert torch.equal(one, backwards.cut((0, 0), layout.grid.size))


def test_a_drawing_of_seams_that_is_stopped_ends_as_if_it_had_not_been(tool, tmp_path, monkeypatch):
    """The texture and the picture of what was drawn alike."""
    Image.fromarray(striped_pixels()).save(tmp_path / "photo.png")
    words = ["photo.png", *tiny(REDRAW="seams", TILE_SIZE=T, LAYOUT="random", EPOCHS=1, SCALE=3)]
    whole = tool(*words)
    assert whole.code == 0, whole.err
    assert 0.2 < float(figures(whole.out)["photo_share"]) < 1
    folder = tmp_path / "samples/photo"
    before = [pixels_in(folder / name) for name in ("output_texture_3x3_random.png", "layout_random.png")]
    (folder / "output_texture_3x3_random.png").unlink()
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert tool(*words).code == 130
    assert tool(*words).code == 0
    for name, pixels in zip(("output_texture_3x3_random.png", "layout_random.png"), before):
        assert np.array_equal(pixels_in(folder / name), pixels)
