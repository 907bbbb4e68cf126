"""Places of the photo that agree."""

import numpy as np
import pytest
import torch
from conftest import STRIPE, TILE, draw_photo, draw_pixels, extend, plan, sketches_of, slow_but, striped_photo

import texture_diffusion as td
from texture_diffusion_tools.laying import conspicuous, grids, matching
from texture_diffusion_tools.reading import exemplars


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


@pytest.mark.parametrize("seed", slow_but([0, 1, 2], 0))
def test_stripes_continue_across_gaps_in_the_matched_layout(seed):
    photo = striped_photo()
    assert agreement(plan(photo, "matched", 1, seed)) > 0.8
    assert abs(agreement(plan(photo, "random", seed=seed))) < 0.4


@pytest.mark.parametrize("height, width", [(48, 48), (48, 64), (54, 70)])
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


@pytest.mark.parametrize("augment", ["none", "rotations"])
@pytest.mark.parametrize("height, width, margins", [(96, 112, (4, 4)), (112, 40, (4, 2)), (32, 40, (0, 2))])
def test_matched_tiles_are_not_cut_at_the_photo_s_edge_unless_it_is_small(height, width, margins, augment):
    tile = 32
    layout = td.lay_out(draw_photo(height, width), "matched", grids.make_grid(160, 160, tile), 0, augment)
    for i, j in np.argwhere(layout.real()):
        sides, source = np.array(layout.extended[layout.orientation[i, j]].shape[1:]) - 2 * tile, layout.source[i, j]
        margin = np.array(margins if tuple(sides) == (height, width) else margins[::-1])
        assert (source >= margin).all() and (source + tile + margin <= sides).all()


@pytest.mark.parametrize("seed", slow_but([0, 1, 2], 0))
def test_a_matched_layout_has_the_photo_s_mean_colour(seed, monkeypatch):
    pixels = draw_pixels(96, 128, 4) // 2
    pixels[:, 90:] += 120  # a bright part, less of which would agree better
    photo = td.normalise(exemplars.of_pixels(pixels, "two parts"))
    monkeypatch.setattr(conspicuous, "SPOTS", 0)
    monkeypatch.setattr(matching, "REUSE_COST", 0.1)  # which spreads the tiles over both parts, too

    def shifts():
        layout = plan(photo, "matched", 2, seed)
        real = torch.stack([photo.x[:, y:y + TILE, x:x + TILE] for y, x in layout.source[layout.real()]])
        return [float(tiles.mean((0, 2, 3)).abs().max()) for tiles in (real, sketches_of(layout))]

    balanced = max(shifts())
    monkeypatch.setattr(matching, "BALANCE_COST", 0.0)
    assert balanced < 0.1 < min(shifts())


def test_the_claims_of_a_ring_are_compared_across_its_edge():
    """Stripes of 24 pixels on a ring of 120: the places of the real tiles go round without a break."""
    y = np.arange(128)[:, None, None]
    noise = np.random.default_rng(0).integers(-20, 20, (128, 160, 3))
    pixels = (128 + 80 * np.sin(2 * np.pi * y / 24) + noise).astype(np.uint8)
    photo = td.normalise(exemplars.of_pixels(pixels, "stripes"))
    layout = td.lay_out(photo, "matched", grids.make_grid(120, 128, 32, "y"), 0)
    phases = [(layout.source[cell][0] - layout.grid.lines[0][cell[0]]) / 24 for cell in layout.grid.cells()
              if layout.real()[cell]]
    assert abs(np.exp(2j * np.pi * np.array(phases)).mean()) > 0.9
