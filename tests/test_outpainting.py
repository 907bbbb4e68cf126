"""Layouts of the real tiles, and the drawing of the gaps."""


import numpy as np
import pytest
import torch
from conftest import TILE, draw_photo, draw_pixels, random_net, spread

import texture_diffusion as td
from texture_tools import matching

SIZES = [(48, 64), (54, 70)]


@pytest.fixture(scope="module")
def net():
    return random_net()


def plan(photo, kind, scale=2, seed=0):
    return td.lay_out(photo, kind, td.make_grid(*(side * scale for side in photo.x.shape[1:]), TILE), seed)


def draw_with(photo, sampler="ddim", steps=3):
    return td.make_sampler(photo, td.cosine_schedule(20), sampler, steps, 0.7)


def outpaint(net, photo, layout, batch_size=16, seed=0, passes=None, sketch=None, **options):
    """The finished texture, normalised [C, height, width]."""
    canvas = td.Canvas(layout, len(photo.x), "cpu")
    for _ in td.outpaint(net, canvas, passes or layout.passes, batch_size, draw_with(photo, **options), seed, sketch):
        pass
    return canvas.cut((0, 0), layout.grid.size)


def levels(photo, x):
    """Normalised values in levels of 255, not rounded."""
    return (x * photo.std + photo.mean + 1) * 127.5


def cell(pixels, i, j):
    return pixels[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]


def drawn_cells(layout):
    return [cell for cells in layout.passes for cell in cells]


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("height, width", SIZES)
def test_known_pixels_come_out_exactly_as_they_went_in(net, kind, height, width):
    pixels = draw_pixels(height, width)
    photo = td.normalise(pixels, "photo")
    layout = plan(photo, kind)
    out = photo.pixels(outpaint(net, photo, layout))
    for i, j in np.argwhere(layout.real()):
        y, x = layout.source[i, j]
        kept = cell(out, i, j)
        assert np.array_equal(kept, pixels[y:y + TILE, x:x + TILE][:len(kept), :kept.shape[1]])


def test_rows_begin_with_the_photo():
    photo = draw_photo(48, 64)
    canvas = td.Canvas(plan(photo, "rows"), 3, "cpu")
    assert torch.equal(canvas.cut((0, 0), (48, 64)), photo.x)


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("scale", [2, 3])
def test_the_texture_is_exactly_so_many_times_as_large_and_whole(net, kind, height, width, scale):
    photo = draw_photo(height, width)
    layout = plan(photo, kind, scale)
    out = outpaint(net, photo, layout, steps=1)
    assert out.shape == (3, scale * height, scale * width)
    assert sorted(drawn_cells(layout)) == [tuple(cell) for cell in np.argwhere(~layout.real()).tolist()]
    for i, j in drawn_cells(layout):
        assert cell(out.movedim(0, -1), i, j).std() > 0


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_the_picture_does_not_depend_on_the_batch_size(net, photo, kind, sampler):
    layout = plan(photo, kind)
    one, three, sixteen = (levels(photo, outpaint(net, photo, layout, size, sampler=sampler)) for size in (1, 3, 16))
    assert (one - three).abs().max() <= 1
    assert (one - sixteen).abs().max() <= 1


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_picture_repeats_bit_for_bit_at_the_same_batch_size(net, photo, kind, batch_size):
    layout = plan(photo, kind)
    first = outpaint(net, photo, layout, batch_size)
    torch.manual_seed(5)
    assert torch.equal(first, outpaint(net, photo, layout, batch_size))


@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_the_picture_does_not_depend_on_the_order_within_a_pass(net, photo, kind):
    layout = plan(photo, kind)
    backwards = [cells[::-1] for cells in layout.passes]
    assert torch.equal(outpaint(net, photo, layout, 1), outpaint(net, photo, layout, 1, passes=backwards))


def test_a_grey_photo_can_be_outpainted():
    photo = draw_photo(48, 64, channels=1)
    layout = plan(photo, "matched")
    assert outpaint(random_net(channels=1), photo, layout).shape == (1, 96, 128)


def test_another_seed_draws_other_tiles(net, photo):
    layout = plan(photo, "matched")
    one, other = (outpaint(net, photo, layout, seed=seed) for seed in (0, 1))
    for i, j in drawn_cells(layout)[:5]:
        assert (cell((one - other).movedim(0, -1), i, j)).abs().max() > 0.01


def test_no_two_drawn_tiles_share_their_noise(photo):
    layout, starts = plan(photo, "random"), []

    def draw(net, rings, present, generators, sketch):
        starts.extend(torch.randn(4, generator=generator).tolist() for generator in generators)
        yield 0, torch.zeros(len(rings), 3, TILE, TILE), None

    for _ in td.outpaint(None, td.Canvas(layout, len(photo.x), "cpu"), layout.passes, 4, draw, 0):
        pass
    assert len({tuple(start) for start in starts}) == len(drawn_cells(layout))


@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_drawn_tiles_keep_to_the_photo_s_range(net, photo, sampler):
    out = outpaint(net, photo, plan(photo, "matched"), sampler=sampler)
    drawn = out[:, spread(~plan(photo, "matched").real())[:out.shape[1], :out.shape[2]]]
    low, high = (bound[:, 0] for bound in photo.bounds())
    assert (drawn >= low - 1e-5).all() and (drawn <= high + 1e-5).all()


def touching(one, other):
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) == 1


@pytest.mark.parametrize("kind", ["matched", "ordered", "random"])
def test_every_drawn_tile_lies_between_real_ones(photo, kind):
    layout = plan(photo, kind, 3)
    real = np.pad(layout.real(), 1, constant_values=True)
    assert len(layout.passes) == 1
    for i, j in layout.passes[0]:
        assert real[i, j + 1] and real[i + 2, j + 1] and real[i + 1, j] and real[i + 1, j + 2]


@pytest.mark.parametrize("height, width", [(48, 48), *SIZES])
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


def test_all_tiles_of_a_pass_are_shown_the_same_state(photo):
    for kind in td.LAYOUTS:
        layout, shown = plan(photo, kind), {1: [], 5: []}
        for batch_size, masks in shown.items():
            def draw(net, rings, present, generators, sketch, masks=masks):
                masks.extend(present.tolist())
                yield 0, torch.zeros(len(rings), 3, TILE, TILE), None

            canvas, count = td.Canvas(layout, len(photo.x), "cpu"), 0
            for cells in layout.passes:
                for _ in td.outpaint(None, canvas, [cells], batch_size, draw, 0):
                    pass
                count += len(cells)
                del masks[count:]  # copies that fill the last batch up
        assert shown[1] == shown[5], kind


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


@pytest.mark.parametrize("augment", ["none", "rotations"])
@pytest.mark.parametrize("height, width, margins", [(96, 112, (4, 4)), (112, 40, (4, 2)), (32, 40, (0, 2))])
def test_matched_tiles_are_not_cut_at_the_photo_s_edge_unless_it_is_small(height, width, margins, augment):
    tile = 32
    layout = td.lay_out(draw_photo(height, width), "matched", td.make_grid(160, 160, tile), 0, augment)
    for i, j in np.argwhere(layout.real()):
        sides, source = np.array(layout.extended[layout.orientation[i, j]].shape[1:]) - 2 * tile, layout.source[i, j]
        margin = np.array(margins if tuple(sides) == (height, width) else margins[::-1])
        assert (source >= margin).all() and (source + tile + margin <= sides).all()


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


def extend(photo):
    """The photo [C, H, W] with a border of one tile, continued."""
    return matching.extend_photo(photo.x, TILE, [td.grid_offsets(side, TILE) for side in photo.x.shape[1:]])


STRIPE = 24  # rows of one dark and one bright stripe


def striped_photo():
    y, noise = np.arange(128)[:, None, None], np.random.default_rng(0).integers(-20, 20, (128, 160, 3))
    return td.normalise((128 + 80 * np.sin(2 * np.pi * y / STRIPE) + noise).astype(np.uint8), "stripes")


def agreement(layout):
    """Mean cosine of the stripes' shift between two real tiles on either side of a gap: 1 if all continue."""
    rows, columns = layout.real().shape
    shifts = []
    for i, j in np.argwhere(layout.real()):
        for down, right in ((0, 2), (2, 0), (1, 1), (1, -1)):
            if i + down < rows and 0 <= j + right < columns:
                moved = layout.source[i + down, j + right, 0] - layout.source[i, j, 0]
                shifts.append(moved - down * TILE)
    return np.cos(2 * np.pi * np.array(shifts) / STRIPE).mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_stripes_continue_across_gaps_in_the_matched_layout(seed):
    photo = striped_photo()
    assert agreement(plan(photo, "matched", seed=seed)) > 0.8
    assert abs(agreement(plan(photo, "random", seed=seed))) < 0.4


@pytest.mark.parametrize("height, width", [(48, 48), *SIZES])
def test_the_extended_photo_holds_the_photo_and_is_made_of_it(height, width):
    photo = draw_photo(height, width)
    extended = extend(photo)
    assert extended.shape == (3, height + 2 * TILE, width + 2 * TILE)
    assert torch.equal(extended[:, TILE:-TILE, TILE:-TILE], photo.x)
    colours = {tuple(colour) for colour in photo.x.flatten(1).T.tolist()}
    assert {tuple(colour) for colour in extended.flatten(1).T.tolist()} <= colours
    assert extended[:, :TILE].std() > 0.5


def test_stripes_run_on_beyond_the_photo_s_edges():
    photo = striped_photo()
    extended = extend(photo).mean(0)
    wave = torch.sin(2 * np.pi * (torch.arange(len(extended)) - TILE) / STRIPE)
    for ends in (slice(None, TILE), slice(-TILE, None)):
        strip = extended[ends]
        truth = wave[ends, None].expand_as(strip)
        assert torch.corrcoef(torch.stack([strip.flatten(), truth.flatten()]))[0, 1] > 0.7


def sketches_of(layout):
    return torch.stack([td.draw_sketch(layout, cell) for cell in layout.passes[0]])


def border(x, name):
    """The outermost line of pixels of x [C, T, T] in a direction."""
    return {"N": x[:, 0], "S": x[:, -1], "W": x[:, :, 0], "E": x[:, :, -1]}[name]


@pytest.mark.parametrize("kind", ["matched", "ordered", "random"])
def test_a_sketch_continues_every_real_tile_around_it(photo, kind):
    layout = plan(photo, kind, 3)
    extended, middle = extend(photo), slice(4, -4)
    for i, j in layout.passes[0]:
        sketch = td.draw_sketch(layout, (i, j))
        for name, (di, dj) in matching.SIDES.items():
            if 0 <= i + di < len(layout.source) and 0 <= j + dj < layout.source.shape[1]:
                y, x = layout.source[i + di, j + dj] + TILE - np.array([di, dj]) * TILE
                truth = border(extended[:, y:y + TILE, x:x + TILE], name)[:, middle]
                assert torch.allclose(border(sketch, name)[:, middle], truth, atol=0.02), name


def test_drawing_begins_with_the_sketch_and_forgets_it_where_it_starts_from_pure_noise(net, photo, monkeypatch):
    layout, alphas_cumprod = plan(photo, "matched"), td.cosine_schedule(100)
    rings, present = td.Canvas(layout, len(photo.x), "cpu").neighbours(layout.passes[0][:2])
    sketch = sketches_of(layout)[:2]

    def draw(sketch, strength):
        generators = [torch.Generator().manual_seed(k) for k in range(2)]
        draw = td.make_sampler(photo, alphas_cumprod, "ddim", 5, strength)
        return list(draw(net, rings, present, generators, sketch))

    assert draw(sketch, 0.6)[0][0] == 59
    assert torch.allclose(draw(sketch, 1.0)[-1][1], draw(None, 0.6)[-1][1], atol=1e-5)
    monkeypatch.setattr(td, "predict_x0", lambda net, x_t, t, *args: td.per_sample(alphas_cumprod, t).sqrt() * x_t)
    near, far = ((draw(sketch, strength)[-1][1] - sketch).square().mean() for strength in (0.1, 1.0))
    assert near < 0.1 * far


def test_a_sketch_goes_to_its_own_gap_whatever_the_batch(net, photo):
    layout, seen = plan(photo, "matched"), []
    sketches = sketches_of(layout)

    def draw(net, rings, present, generators, sketch):
        seen.extend(sketch)
        yield 0, sketch, None

    canvas = td.Canvas(layout, len(photo.x), "cpu")
    for _ in td.outpaint(net, canvas, layout.passes, 3, draw, 0, lambda cell: td.draw_sketch(layout, cell)):
        pass
    assert torch.equal(torch.stack(seen)[:len(sketches)], sketches)
    for (i, j), sketch in zip(layout.passes[0], sketches):
        assert torch.equal(canvas.cut((i * TILE, j * TILE), (TILE, TILE)), sketch)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_matched_layout_has_the_photo_s_mean_colour(seed, monkeypatch):
    pixels = draw_pixels(96, 128, 4) // 2
    pixels[:, 90:] += 120  # a bright part, less of which would agree better
    photo = td.normalise(pixels, "two parts")

    def shifts():
        layout = plan(photo, "matched", 3, seed)
        real = torch.stack([photo.x[:, y:y + TILE, x:x + TILE] for y, x in layout.source[layout.real()]])
        return [float(tiles.mean((0, 2, 3)).abs().max()) for tiles in (real, sketches_of(layout))]

    balanced = max(shifts())
    monkeypatch.setattr(matching, "BALANCE_COST", 0.0)
    assert balanced < 0.1 < min(shifts())
