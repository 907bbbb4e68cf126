"""A picture that the texture follows."""

import numpy as np
import pytest
import torch
from conftest import TILE, draw_pixels
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.laying import grids, guides
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running.errors import UserError

SIDE = 12 * TILE


def uneven_photo():
    """Grain that is darker in some places and redder in others."""
    y, x = np.mgrid[:96, :112] / 16
    red, bright = 40 * np.sin(2 * x + 1), 50 * np.sin(y + x)
    grain = np.random.default_rng(0).normal(0, 12, (96, 112, 3))
    pixels = 128 + grain + np.stack([bright + red, bright, bright - red], -1)
    return td.normalise(exemplars.of_pixels(pixels.clip(0, 255).astype(np.uint8), "uneven"))


def save(path, pixels):
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(path)
    return path


def slope():
    """Dark at the left, bright at the right."""
    return np.tile(np.linspace(0, 255, SIDE), (SIDE, 1))


def sketched(layout):
    """The texture with its sketches in place of what is drawn, [C, H, W]."""
    texture = td.Canvas(layout, 3, torch.device("cpu"))
    for cells in layout.passes:
        texture.place(cells, torch.stack([layout.sketch(cell) for cell in cells]))
    return texture.cut((0, 0), layout.grid.size)


def followed(photo, guide):
    """The texture of a guide without drawing, and the correlation of its coarse brightness with a slope."""
    layout = td.lay_out(photo, "matched", grids.make_grid(SIDE, SIDE, TILE), 0, guide=guide)
    x = sketched(layout)
    coarse = guides.coarse(x, 2 * TILE).mean(0)
    return layout, float(np.corrcoef(coarse.ravel(), slope().ravel())[0, 1])


def guide_from(path, photo, strength):
    return guides.guide_of(guides.read_guide(path, (SIDE, SIDE)), photo, TILE, strength)


def test_the_texture_follows_the_guide_the_more_the_stronger_it_is(tmp_path):
    photo, path = uneven_photo(), save(tmp_path / "slope.png", slope())
    found = [followed(photo, None)[1]]
    found += [followed(photo, guide_from(path, photo, strength))[1] for strength in (0.3, 1.0)]
    assert abs(found[0]) < 0.3 and found[0] + 0.2 < found[1] < found[2] and found[2] > 0.7


def test_real_tiles_stay_the_photo_s_and_are_where_the_guide_wants_them(tmp_path):
    photo = uneven_photo()
    layout, _ = followed(photo, guide_from(save(tmp_path / "slope.png", slope()), photo, 1.0))
    cells = [cell for cell in layout.grid.cells() if layout.real()[cell]]
    for cell in cells:
        y, x = layout.source[cell]
        assert torch.equal(layout.cut(cell), photo.x[:, y:y + TILE, x:x + TILE])
    levels = [float(layout.cut(cell).mean()) for cell in cells]
    assert np.corrcoef(levels, [column for _, column in cells])[0, 1] > 0.7


def test_nothing_is_asked_for_that_the_photo_does_not_hold(tmp_path):
    photo = uneven_photo()
    pixels = np.zeros((SIDE, SIDE, 3))
    pixels[:, SIDE // 2:] = 0, 255, 0  # as no part of the photo is
    wanted = guide_from(save(tmp_path / "green.png", pixels), photo, 1.0).wanted
    low = guides.coarse(photo.x, TILE).flatten(1)
    assert (wanted.flatten(1).amin(1) >= low.amin(1)).all() and (wanted.flatten(1).amax(1) <= low.amax(1)).all()


def test_a_guide_in_colour_asks_for_colour_and_a_grey_one_does_not(tmp_path):
    photo = uneven_photo()
    pixels = np.zeros((SIDE, SIDE, 3))
    pixels[:, :SIDE // 2], pixels[:, SIDE // 2:] = (170, 110, 60), (60, 110, 170)
    red = [guide_from(save(tmp_path / f"{kind}.png", picture), photo, 1.0).wanted for kind, picture in
           (("colours", pixels), ("grey", slope()))]
    apart = [float((x[0] - x[2])[:, :8].mean() - (x[0] - x[2])[:, -8:].mean()) for x in red]
    assert apart[0] > 2 and abs(apart[1]) < 0.5


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_sketch_takes_over_the_coarse_part_by_the_strength(strength):
    guide = guides.Guide(torch.full((3, 4, 4), 2.0), strength)
    sketch = torch.randn(3, 32, 32)
    found = guide.follow(sketch, 0, 0)
    if strength:
        assert (guides.shrunk(guides.coarse(found, 32)).mean() - 2).abs() < 0.1
        assert (found - sketch).std((1, 2)).max() < 0.5  # and keeps its detail
    else:
        assert torch.equal(found, sketch)


def test_beyond_the_texture_s_edge_the_guide_goes_on():
    guide = guides.Guide(torch.arange(12.0).reshape(1, 3, 4), 1.0)
    assert guide.cut(16, 16, 32)[0].tolist() == [[10, 11, 11, 11]] * 4


# Guides on a transparent layer


def layer(colour):
    """The left half painted in a colour, which has a soft edge, the rest transparent with another colour stored."""
    pixels = np.zeros((SIDE, SIDE, 4))
    pixels[..., :3] = np.where(np.arange(SIDE)[:, None] < SIDE // 2 + 4, colour, (0, 255, 0))
    pixels[..., 3] = np.clip((SIDE // 2 - np.arange(SIDE)) * 32 + 128, 0, 255)
    return pixels


@pytest.mark.parametrize("colour, sign", [((0, 0, 0), -1), ((255, 255, 255), 1)])
def test_what_is_painted_on_transparency_is_asked_for_and_the_rest_is_not(colour, sign, tmp_path):
    photo, path = uneven_photo(), tmp_path / "layer.png"
    Image.fromarray(layer(colour).astype(np.uint8)).save(path)
    guide = guide_from(path, photo, 1.0)
    low = guides.coarse(photo.x, TILE).mean(0)
    extreme = low.quantile(0.1 if sign < 0 else 0.9)
    middle = guide.wanted.shape[2] // 2
    assert (guide.wish[..., :middle - 3] > 0.99).all() and (guide.wish[..., middle + 3:] < 0.01).all()
    assert (sign * (guide.wanted.mean(0)[:, :middle - 3] - extreme) > 0).all()

    faint = layer(colour) * [1, 1, 1, 0.4]
    assert 0.35 < guide_from(save(tmp_path / "faint.png", faint), photo, 1.0).wish.max() < 0.45

    sketch = torch.randn(3, 2 * TILE, 2 * TILE)
    assert torch.equal(guide.follow(sketch, 0, SIDE - 2 * TILE), sketch)
    assert sign * (guide.follow(sketch, 0, 0) - sketch).mean() > 0.5


def test_real_tiles_are_where_a_layer_wants_them_and_elsewhere_as_without_it(tmp_path):
    photo, path = uneven_photo(), tmp_path / "layer.png"
    Image.fromarray(layer((0, 0, 0)).astype(np.uint8)).save(path)
    layout, _ = followed(photo, guide_from(path, photo, 1.0))
    cells = [cell for cell in layout.grid.cells() if layout.real()[cell]]
    painted, free = ([float(layout.cut(cell).mean()) for cell in cells if (cell[1] < 5) == left] for left in (1, 0))
    assert np.mean(painted) < -0.7 and abs(np.mean(free)) < 0.3


@pytest.mark.parametrize("columns, alike", [(2, True), (SIDE // 4, False)])
def test_a_picture_with_a_few_transparent_pixels_is_seen_in_its_own_range(columns, alike, tmp_path):
    """And one of which much is transparent from black to white."""
    photo, grey = uneven_photo(), 100 + slope() / 5
    pixels = np.dstack([np.repeat(grey[..., None], 3, 2), np.full((SIDE, SIDE), 255)])
    pixels[:, :columns, 3] = 0
    part, whole = (guide_from(save(tmp_path / f"{name}.png", x), photo, 1.0).wanted.mean(0)[:, SIDE // 24:]
                   for name, x in (("part", pixels), ("whole", grey)))
    assert (float((part - whole).abs().max()) < 0.3) == alike


def test_an_opaque_guide_is_asked_for_everywhere(tmp_path):
    photo = uneven_photo()
    pixels = np.dstack([np.repeat(slope()[..., None], 3, 2), np.full((SIDE, SIDE), 255)])
    with_alpha, plain = (guide_from(save(tmp_path / f"{name}.png", x), photo, 1.0)
                         for name, x in (("alpha", pixels), ("plain", slope())))
    assert with_alpha.wish is None and torch.equal(with_alpha.wanted, plain.wanted)
    assert (plain.where(0, 0, 32) == 1).all()


@pytest.mark.parametrize("mode", ["LA", "P", "RGBA", "L"])
def test_transparency_of_any_mode_is_no_wish(mode, tmp_path):
    there = np.arange(SIDE) < SIDE // 2
    image = Image.fromarray(np.tile(there, (SIDE, 1)).astype(np.uint8), "P" if mode == "P" else "L")
    if mode == "P":
        image.putpalette([0, 255, 0, 200, 40, 40])
    if mode in ("P", "L"):
        image.save(tmp_path / "layer.png", transparency=0)
    else:
        image = image.convert(mode)
        image.putalpha(Image.fromarray(255 * np.tile(there, (SIDE, 1)).astype(np.uint8)))
        image.save(tmp_path / "layer.png")
    pixels = guides.read_guide(tmp_path / "layer.png", (SIDE, SIDE))
    assert pixels.shape == (SIDE // 8, SIDE // 8, 4)
    assert (pixels[:, :SIDE // 16, 3] == 255).all() and (pixels[:, SIDE // 16:, 3] == 0).all()


@pytest.mark.parametrize("kind, says", [("shape", "48 x 48 pixels.*96 x 48"), ("colour", "single colour"),
                                        ("text", "not a picture"), ("none", "no photo|no picture")])
def test_a_guide_that_cannot_be_followed_is_refused_in_a_sentence(tmp_path, kind, says):
    path = tmp_path / "guide.png"
    if kind == "text":
        path.write_text("a wish")
    elif kind != "none":
        save(path, np.full((48, 96), 7) if kind == "colour" else draw_pixels(48, 48))
    with pytest.raises(UserError, match=says):
        guides.read_guide(path, (48, 96))


def test_a_run_with_a_guide_is_named_after_it_and_repeats_also_in_part(drawing, tmp_path):
    save(tmp_path / "wish.png", np.tile(np.linspace(0, 255, 210), (162, 1)))
    assert drawing(GUIDE="wish.png").code == 0
    whole = np.asarray(Image.open(tmp_path / "samples/photo/output_texture_3x3_guided_by_wish.png"))
    assert drawing(GUIDE="wish.png", REGION="(40,30,60,50)").code == 0
    part = np.asarray(Image.open(tmp_path / "samples/photo/output_texture_3x3_guided_by_wish_region_40_30_60x50.png"))
    assert np.array_equal(part, whole[30:80, 40:100])
    assert drawing(GUIDE="wish.png", LAYOUT="rows").code == 2
    assert drawing(GUIDE="wish.png", OUTPUT_SIZE="(60,200)").code == 2
