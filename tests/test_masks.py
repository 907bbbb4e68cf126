"""MASK: what it hides is never seen, all else stays as it was, and the hole is drawn from what is around it."""

import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import (
    TILE,
    assert_refused,
    constants_of,
    draw_pixels,
    figures,
    make_sampler,
    pixels_in,
    random_net,
    slow_but,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.canvases.repair import HELD, Hole, Repair
from texture_diffusion_tools.laying import grids, holes
from texture_diffusion_tools.reading import masks, photos
from texture_diffusion_tools.running.errors import UserError

HEIGHT, WIDTH = 80, 96


def repaired_by(photo, x):
    """The pixels of a photo's files with drawn x, normalised, where its mask is white."""
    return Repair(SimpleNamespace(photo=photo, canvas=SimpleNamespace(x=x))).pixels()


def draw_mask():
    """A part in the middle that is larger than a tile, with a soft edge, and one in the corner."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[26:50, 36:58] = mask[-9:, -13:] = 255
    mask[25, 36:58] = 100
    return mask


@pytest.fixture
def repair(tool, tmp_path, plain_figures):
    """Runs the tool on a photo with a mask, SCALE=1: repair(**changes) -> code, out, err."""
    Image.fromarray(draw_pixels(HEIGHT, WIDTH)).save(tmp_path / "photo.png")
    Image.fromarray(draw_mask()).save(tmp_path / "mask.png")
    return lambda **changes: tool("photo.png", *tiny(**{"MASK": "mask.png", "SCALE": 1, **changes}))


def photo_with(tmp_path, pixels=None, mask=None, **options):
    """The Photo of pixels with a mask, both by way of files."""
    Image.fromarray(draw_pixels(HEIGHT, WIDTH) if pixels is None else pixels).save(tmp_path / "photo.png")
    Image.fromarray(draw_mask() if mask is None else mask).save(tmp_path / "mask.png")
    return td.load_photo(tmp_path / "photo.png", mask=str(tmp_path / "mask.png"), tile=TILE, **options)


def repaired(folder, name="repaired"):
    return pixels_in(folder / f"samples/photo/{name}.png")


# What is kept, and what is drawn


def test_what_is_black_stays_and_what_is_white_is_drawn_anew(repair, tmp_path):
    result = repair()
    assert result.code == 0, result.err
    before, after, mask = draw_pixels(HEIGHT, WIDTH), repaired(tmp_path), draw_mask()
    assert np.array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask == 255] != before[mask == 255]).any(-1).mean() > 0.9
    assert not (tmp_path / "samples/photo/output_texture_1x1.png").exists()
    assert float(figures(result.out)["repair_edge_ratio_1st"]) > 0


def test_grey_values_mix_what_is_drawn_with_what_was_there():
    share, before = torch.tensor([[0.0, 0.4, 1.0]]), torch.tensor([[[-1.0, -1.0, -1.0]]])
    assert torch.allclose(masks.Mask(share, before).blended(torch.ones(1, 1, 3)), torch.tensor([[[-1, -0.2, 1]]]))


@pytest.mark.parametrize("dtype, shape", [(np.uint16, (HEIGHT, WIDTH, 3)), (np.uint16, (HEIGHT, WIDTH)),
                                          (np.uint8, (HEIGHT, WIDTH)), (np.uint8, (HEIGHT, WIDTH, 4))])
def test_every_kind_of_photo_keeps_its_bits(dtype, shape, tmp_path, monkeypatch):
    top, rng = np.iinfo(dtype).max, np.random.default_rng(0)
    pixels = rng.integers(1, top + 1, shape).astype(dtype)
    monkeypatch.setattr(photos, "open_image", lambda path, *args, **options: (
        photos.deep.image_of(pixels if path == "photo" else draw_mask()), []))
    monkeypatch.setattr(masks, "read_mask", lambda *args: draw_mask())
    photo = td.load_photo("photo", depth=None, alpha="draw", mask="mask", tile=TILE)
    after, = repaired_by(photo, photo.x + 1)
    kept = draw_mask() == 0
    assert after.dtype == dtype and after.shape == shape
    assert np.array_equal(after[kept], pixels[kept]) and not np.array_equal(after, pixels)


def test_a_stopped_repair_is_done_by_the_same_command_and_another_seed_gives_another(repair, tmp_path, monkeypatch):
    place = Hole.place
    with monkeypatch.context() as patch:
        patch.setattr(Hole, "place", lambda *args: (place(*args), signal.raise_signal(signal.SIGINT)))
        stopped = repair(EPOCHS=1)
    assert stopped.code == 130 and "while repairing" in stopped.err
    assert repair(EPOCHS=1, SAMPLES=2).code == 0
    one, other, mask = repaired(tmp_path), repaired(tmp_path, "repaired_seed1"), draw_mask()
    assert np.array_equal(one[mask == 0], other[mask == 0]) and not np.array_equal(one, other)


def test_a_texture_is_drawn_of_the_rest(repair, tmp_path):
    """Beside the repaired photo, and no real tile holds a masked pixel."""
    result = repair(SCALE=2, EPOCHS=1, AUGMENT="rotations")
    assert result.code == 0, result.err
    assert "repaired" in figures(result.out) and "output" in figures(result.out)
    assert repaired(tmp_path, "output_texture_2x2").shape == (2 * HEIGHT, 2 * WIDTH, 3)


@pytest.mark.parametrize("augment", slow_but(["none", "rotations"], "rotations"))
@pytest.mark.parametrize("kind", td.LAYOUTS)
def test_no_real_tile_holds_a_masked_pixel(kind, augment, tmp_path):
    photo = photo_with(tmp_path)
    layout = td.lay_out(photo, kind, grids.make_grid(HEIGHT, 2 * WIDTH, TILE), 0, augment)
    for cell in layout.grid.cells():
        if layout.real()[cell]:
            y, x = layout.source[cell]
            hidden = td.oriented((~photo.usable), *td.AUGMENTS[augment][layout.orientation[cell]])
            assert not hidden[y:y + TILE, x:x + TILE].any()


# What is seen


@pytest.mark.parametrize("options", slow_but([{}, {"max_side": 70}, {"even": True}, {"depth": 16},
                                              {"corners": ((3, 2), (90, 5), (92, 78), (4, 76))}], {}, {"even": True}))
def test_nothing_depends_on_what_is_hidden(options, tmp_path):
    """Other pixels under the mask, and all that a run knows is the same, bit for bit."""
    def outcome(value):
        pixels = draw_pixels(HEIGHT, WIDTH)
        pixels[draw_mask() == 255] = value
        return photo_with(tmp_path, pixels, **options)

    one, other = (outcome(value) for value in (0, (255, 0, 255)))
    assert torch.equal(one.x, other.x) and torch.equal(one.mean, other.mean) and torch.equal(one.std, other.std)
    assert torch.equal(one.mask.before, other.mask.before) and torch.equal(one.mask.share, other.mask.share)
    assert one.digest == other.digest


def test_training_sees_no_masked_pixel(tmp_path):
    photo = photo_with(tmp_path)
    seen = photo._replace(x=photo.x.masked_fill((~photo.usable), torch.nan))
    dataset = td.NeighbourDataset(seen, TILE)
    windows = dataset.windows(dataset.table)
    shown = td.with_tile(dataset.available(dataset.table))[:, td.region_map(TILE, td.HALO)][:, None]
    assert windows.masked_fill(~shown, 0).isfinite().all()
    assert not dataset.available(dataset.table).all(1).all()


def test_available_neighbours_are_the_unmasked_ones(tmp_path):
    photo = photo_with(tmp_path)
    dataset = td.NeighbourDataset(photo, TILE)
    padded = torch.nn.functional.pad((~photo.usable), [td.HALO] * 4, value=True)
    for offset in dataset.table[::97]:
        y, x = offset.tolist()
        around = padded[y:y + TILE + 2 * td.HALO, x:x + TILE + 2 * td.HALO]
        regions = td.region_map(TILE, td.HALO)
        expected = [not around[regions == k].any() for k in range(9) if k != 4]
        assert dataset.available(offset[None])[0].tolist() == expected


def test_a_masked_tile_is_not_held_out(tmp_path):
    photo = photo_with(tmp_path)
    c = constants_of(*tiny())
    whole = photo.exemplar._replace(usable=torch.ones_like(photo.usable))
    assert td.Model((whole,), c).c.VALIDATION == 1 and td.Model((photo.exemplar,), c).c.VALIDATION == 0
    with pytest.raises(UserError, match="VALIDATION = 1 .* masked"):
        td.NeighbourDataset(photo, TILE, 1)


# The hole


def test_a_hole_is_filled_with_what_goes_on(tmp_path):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    stripes = (128 + 80 * np.sin(2 * np.pi * (x + y) / 12)).astype(np.float32)[None] / 255
    hidden = torch.from_numpy(draw_mask() > 0)
    rows, columns = holes.sources_of(stripes, hidden, 16)
    assert not hidden[rows, columns].any()
    assert torch.equal(rows[~hidden], torch.from_numpy(y)[~hidden])
    assert np.abs(stripes[:, rows, columns] - stripes).max() < 0.15


def test_tiles_cover_the_hole_from_outside_in():
    hidden = torch.zeros(160, 200, dtype=torch.bool)
    hidden[30:125, 40:150] = hidden[:10, :10] = hidden[100:, 190:] = True
    passes, known = holes.plan(hidden, TILE, td.HALO), ~hidden
    for places in passes:
        assert not any(holes.sees(a, b, TILE + td.HALO) for a in places for b in places if a != b)
        for y, x in places:
            assert 0 <= y <= 160 - TILE and 0 <= x <= 200 - TILE
            known[y:y + TILE, x:x + TILE] = True
    assert known.all()
    order = {place: number for number, places in enumerate(passes) for place in places}
    distance = {(y, x): min(y - 30, 125 - TILE - y, x - 40, 150 - TILE - x) for y, x in order if y > 20 and x < 180}
    last = max(distance, key=order.get)
    assert distance[last] > max(distance.values()) - TILE > 0, "the innermost ones come last"
    assert all(distance[place] < 0 for place in passes[0] if place in distance), "the outermost ones first"


def test_a_small_hole_lies_in_the_middle_of_a_tile():
    hidden = torch.zeros(300, 300, dtype=torch.bool)
    hidden[100:120, 200:230] = True
    assert holes.plan(hidden, 128, td.HALO) == [[(46, 151)]]
    hidden = torch.zeros(300, 300, dtype=torch.bool)
    hidden[:20, 290:] = True
    assert holes.plan(hidden, 128, td.HALO) == [[(0, 172)]]


def test_what_is_known_is_held_until_the_fine_detail(tmp_path, monkeypatch):
    """With a network that sees nothing but the mean: known pixels go to the truth, others to the mean, at last all."""
    photo, steps, seen = photo_with(tmp_path), 20, []
    hole, alphas_cumprod = Hole(photo, TILE, "cpu"), td.cosine_schedule(20)
    monkeypatch.setattr(td, "predict_x0", lambda net, x_t, t, *args: seen.append((t, x_t)) or torch.zeros_like(x_t))
    cells = hole.passes[0]
    rings, present = hole.neighbours(cells)
    truth, parts = (torch.stack(x) for x in zip(*map(hole.sketch, cells)))
    known = parts < 1
    net = torch.nn.Module()
    net.tile = TILE
    draw = make_sampler(net, photo, alphas_cumprod, "ddim", 10, 0.7)
    generators = [torch.Generator().manual_seed(k) for k in range(len(cells))]
    *_, (_, drawn, _) = draw(rings, present, generators, truth, parts)
    (t, first), (free, then) = seen[0], next((t, x_t) for t, x_t in seen if t[0] < HELD * 0.7 * steps)
    start, later = (td.per_sample(alphas_cumprod, at) for at in (t, free))
    eps = (first - start.sqrt() * truth) / (1 - start).sqrt()
    low, high = photo.bounds()
    inside = known & (truth > low) & (truth < high)
    assert torch.allclose(then[inside], td.q_sample(truth, free, eps, alphas_cumprod)[inside], atol=1e-4)
    assert not torch.allclose(then[~known.expand_as(then)], td.q_sample(truth, free, eps, alphas_cumprod)[
        ~known.expand_as(then)], atol=0.1)
    assert drawn.abs().max() < 1e-5 and later.min() < 1


def test_what_is_drawn_meets_what_is_known():
    """No step at the edge, neither of brightness nor from pixel to pixel; what is known stays."""
    generator = torch.Generator().manual_seed(0)
    truth, known = 3 + torch.randn(1, 40, 40, generator=generator), torch.ones(1, 40, 40, dtype=torch.bool)
    known[:, 10:30, 10:30] = False
    drawn = torch.zeros(1, 40, 40)
    fitted = holes.cloned(drawn, truth, known)
    assert torch.equal(fitted[known], truth[known])
    assert (fitted[0, 10, 10:30] - truth[0, 9, 10:30]).abs().mean() < 0.4
    assert (fitted[0, 15:25, 15:25] - 3).abs().max() < 1
    assert torch.equal(holes.cloned(truth, truth, known), truth)


@pytest.mark.parametrize("sketched", [True, False])
def test_batches_do_not_matter(sketched, tmp_path):
    photo, net, found = photo_with(tmp_path), random_net(), []
    draw = make_sampler(net, photo, td.cosine_schedule(20), "mixed", 4, 0.7 if sketched else 1)
    for batch_size in (1, 3, 8):
        hole = Hole(photo, TILE, "cpu", sketched)
        for _ in td.outpaint(hole, hole.passes, draw, batch_size, 0):
            pass
        found.append(hole.x)
    hidden = ~photo.usable
    assert torch.equal(found[0][:, ~hidden], photo.x[:, ~hidden]) and not torch.equal(found[0], photo.x)
    assert max((x - found[0]).abs().max() for x in found) < 1e-4


# Where the mask comes from


def test_a_colour_is_the_mask(repair, tmp_path):
    pixels = draw_pixels(HEIGHT, WIDTH)
    pixels[30:34, 20:60] = (250, 6, 255)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    result = repair(MASK="magenta", EPOCHS=1)
    assert result.code == 0, result.err
    after = repaired(tmp_path)
    assert np.array_equal(after[:27], pixels[:27]) and np.array_equal(after[37:], pixels[37:])
    assert not (np.abs(after.astype(int) - (250, 6, 255)) < 40).all(-1).any()
    named, given = (masks.read_mask(mask, tmp_path / "photo.png") for mask in ("magenta", (255, 0, 255)))
    assert np.array_equal(named, given) and named[27:37, 17:63].all() and named.sum() == 255 * 10 * 46


def test_transparency_is_the_mask(tmp_path):
    Image.fromarray(np.dstack([draw_pixels(HEIGHT, WIDTH), 255 - draw_mask()])).save(tmp_path / "photo.png")
    photo = td.load_photo(tmp_path / "photo.png", alpha="draw", mask="alpha", tile=TILE)
    after, = repaired_by(photo, photo.x)
    kept = draw_mask() == 0
    assert after.shape == (HEIGHT, WIDTH, 3) and np.array_equal(after[kept], draw_pixels(HEIGHT, WIDTH)[kept])
    assert np.array_equal((~photo.usable), ~kept)


def layer(colour, ground=None, opacity=1.0, kind=np.uint8):
    """A mask as people paint it: draw_mask() in a colour on a transparent layer, or on a ground."""
    mask = draw_mask()[..., None] / 255
    if ground is None:
        stored = np.broadcast_to(np.array(colour), (HEIGHT, WIDTH, 3)) * (mask > 0) + 77 * (mask == 0)
        return np.dstack([stored, 255 * opacity * mask]).round().astype(kind)
    return (np.array(colour) * mask + np.array(ground) * (1 - mask)).round().astype(kind)


def mask_from(tmp_path, image):
    """What is made of a mask's file, and what is said of it."""
    Image.fromarray(draw_pixels(HEIGHT, WIDTH)).save(tmp_path / "photo.png")
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(tmp_path / "layer.png")
    notes = []
    return masks.read_mask(str(tmp_path / "layer.png"), tmp_path / "photo.png", notes), " ".join(notes)


@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 0, 0), (0, 0, 0), (128, 128, 128), (30, 200, 90)])
@pytest.mark.parametrize("opacity", [1.0, 0.5])
def test_one_colour_on_transparency_is_the_mask_whichever_it_is(colour, opacity, tmp_path):
    found, said = mask_from(tmp_path, layer(colour, opacity=opacity))
    assert np.abs(found.astype(int) - draw_mask()).max() <= 2 and np.array_equal(found > 0, draw_mask() > 0)
    assert "layer.png is one colour on transparency, which stays; what has it is drawn anew" in said


@pytest.mark.parametrize("colour", [(255, 0, 0), (128, 0, 0), (0, 90, 255), (255, 255, 0)])
def test_one_colour_on_black_is_the_mask(colour, tmp_path):
    found, said = mask_from(tmp_path, layer(colour, (0, 0, 0)))
    assert np.abs(found.astype(int) - draw_mask()).max() <= 3 and "one colour on black" in said
    palette = Image.fromarray(layer(colour, (0, 0, 0))).quantize(8)
    assert np.abs(mask_from(tmp_path, palette)[0].astype(int) - draw_mask()).max() <= 3
    with_jpeg_noise = layer(colour, (0, 0, 0))
    Image.fromarray(with_jpeg_noise).save(tmp_path / "layer.jpg", quality=75)
    found, _ = mask_from(tmp_path, Image.open(tmp_path / "layer.jpg"))
    assert (np.abs(found.astype(int) - draw_mask()) < 60).mean() > 0.95


@pytest.mark.parametrize("mode, values", [("LA", (255, 255)), ("P", 255), ("I;16", 65535), ("1", 1), ("L", 1)])
def test_a_mask_of_any_mode_marks_what_was_painted(mode, values, tmp_path):
    hard = draw_mask() == 255
    if mode == "LA":
        image = Image.fromarray(np.dstack([np.zeros_like(draw_mask()), 255 * hard.astype(np.uint8)]), "LA")
    elif mode == "P":
        image = Image.fromarray(hard.astype(np.uint8), "P")
        image.putpalette([9, 9, 9, 200, 0, 0])
        image.info["transparency"] = 0
    elif mode == "1":
        image = Image.fromarray(hard)
    else:
        image = Image.fromarray((hard * values).astype(np.uint16 if mode == "I;16" else np.uint8))
    found, _ = mask_from(tmp_path, image)
    assert np.array_equal(found, 255 * hard)


def test_white_and_black_on_transparency_are_what_they_are_and_transparency_stays(tmp_path):
    pixels = layer((255, 255, 255))
    pixels[30:40, 40:50, :3] = 0
    found, said = mask_from(tmp_path, pixels)
    wanted = draw_mask()
    wanted[30:40, 40:50] = 0
    assert np.abs(found.astype(int) - wanted).max() <= 2 and "white on transparency and black" in said


def test_several_colours_are_no_mask_and_that_is_one_sentence(repair, tmp_path):
    photo_with_a_hole = np.dstack([draw_pixels(HEIGHT, WIDTH), 255 - draw_mask()])
    two, opaque = layer((255, 0, 0)), layer((255, 0, 0), (0, 0, 0))
    two[26:50, 36:47, :3] = opaque[26:50, 36:47] = 0, 0, 255
    for pixels in (photo_with_a_hole, two, opaque, draw_pixels(HEIGHT, WIDTH)):
        Image.fromarray(pixels).save(tmp_path / "mask.png")
        assert_refused(repair(), "mask.png is painted in several colours", "one colour on a transparent layer")


def test_what_a_mask_was_taken_for_is_printed(repair, tmp_path):
    photo = photo_with(tmp_path)
    Image.fromarray(layer((0, 0, 0))).save(tmp_path / "mask.png")
    painted = td.load_photo(tmp_path / "photo.png", mask=str(tmp_path / "mask.png"), tile=TILE)
    assert np.array_equal(painted.mask.hidden(), (~photo.usable))
    assert any("one colour on transparency" in note for note in painted.notes) and not photo.notes


def test_a_mask_is_cropped_straightened_and_shrunk_with_the_photo(tmp_path):
    """White where the photo is white: so it stays, whatever becomes of the photo."""
    mask = np.kron(np.random.default_rng(0).random((8, 12)) < 0.15, np.ones((20, 20))).astype(np.uint8)
    pixels = np.where(mask[..., None], 255, draw_pixels(160, 240))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    hidden = 255 * mask * (1 - mask)  # nothing
    for options in ({"crop": (40, 20, 180, 120)}, {"max_side": 120},
                    {"corners": ((10, 5), (230, 15), (220, 150), (5, 140))}):
        given, _ = photos.read_photo(tmp_path / "photo.png", **options)
        bent, _ = photos.read_photo(tmp_path / "photo.png", **options, mask=hidden)
        assert np.array_equal(given, bent[..., :3]) and not bent[..., 3].any()
        _, share = masks.taken_off(photos.read_photo(tmp_path / "photo.png", **options, mask=254 * mask)[0], False)
        sure = (given == 255).all(-1)
        assert (share.numpy()[sure] > 0.9).mean() > 0.97 and share.numpy()[(given < 250).any(-1)].mean() < 0.05


def test_a_jpeg_file_s_noise_is_none(tmp_path):
    mask = draw_mask()
    mask[mask == 100] = 0
    Image.fromarray(draw_pixels(HEIGHT, WIDTH)).save(tmp_path / "photo.png")
    Image.fromarray((mask.astype(int) + np.where(mask, -5, 5)).astype(np.uint8)).save(tmp_path / "mask.png")
    assert np.array_equal(masks.read_mask(str(tmp_path / "mask.png"), tmp_path / "photo.png"), mask)


def test_a_mask_is_for_all_maps_of_a_material(tool, tmp_path, plain_figures):
    folder = tmp_path / "rock"
    folder.mkdir()
    colour, height = draw_pixels(HEIGHT, WIDTH), draw_pixels(HEIGHT, WIDTH, 1, channels=1)
    Image.fromarray(colour).save(folder / "Rock_Color.png")
    Image.fromarray(height).save(folder / "Rock_Displacement.png")
    Image.fromarray(draw_mask()).save(tmp_path / "mask.png")
    result = tool("rock", *tiny(MASK="mask.png", SCALE=1, EPOCHS=1, EXPORT="tres"))
    assert result.code == 0, result.err
    assert 'path="Rock_Color.png"' in (tmp_path / "samples/rock/repaired/rock.tres").read_text()
    kept = draw_mask() == 0
    for name, before in (("Rock_Color", colour), ("Rock_Displacement", height)):
        after = pixels_in(tmp_path / f"samples/rock/repaired/{name}.png")
        assert np.array_equal(after[kept], before[kept]) and not np.array_equal(after, before)


# What is no mask


@pytest.mark.parametrize("mask, words", [
    (np.zeros((HEIGHT, WIDTH), np.uint8), ["marks no pixel", "white is drawn"]),
    (np.full((HEIGHT, WIDTH), 255, np.uint8), ["hides all"]),
    (np.zeros((HEIGHT, WIDTH + 4), np.uint8), [f"{WIDTH + 4} x {HEIGHT}", f"{WIDTH} x {HEIGHT}"]),
    (np.pad(np.zeros((20, 20), np.uint8), ((0, HEIGHT - 20), (0, WIDTH - 20)), constant_values=255),
     ["25 of 5265 places", "1.6 tiles", "smaller"])])
def test_what_is_no_mask_is_refused(mask, words, repair, tmp_path):
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert_refused(repair(), "MASK", *words)


def test_what_names_no_mask_is_refused(repair, tmp_path):
    assert_refused(repair(MASK="nothing.png"), "no mask at nothing.png", "magenta")
    assert_refused(repair(MASK="alpha"), "transparent")
    assert_refused(repair(MASK="magenta"), "marks no pixel")
    assert_refused(repair(MASK=(300, 0, 0)), "MASK is (300, 0, 0)")
    (tmp_path / "rock").mkdir()
    Image.fromarray(draw_pixels(HEIGHT, WIDTH)).save(tmp_path / "rock/Rock_Color.png")
    assert_refused(repair(IMAGE="rock", MASK="magenta"), "folder of maps")


def test_without_a_mask_nothing_is_hidden(tmp_path):
    photo = photo_with(tmp_path)
    plain = td.load_photo(tmp_path / "photo.png")
    assert plain.mask is None and plain.digest != photo.digest
