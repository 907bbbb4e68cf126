"""What strikes the eye, and that the texture does not show it again and again."""

import numpy as np
import pytest
import torch
from conftest import draw_photo, draw_pixels, sketches_of

import texture_diffusion as td
from texture_diffusion_tools.laying import conspicuous, grids
from texture_diffusion_tools.reading import exemplars

MARK = (56, 40, 12)  # y, x, side of a mark, px


def marked_photo():
    """Grain of one kind with one dark mark."""
    pixels = np.random.default_rng(0).integers(120, 170, (128, 128, 3)).astype(np.uint8)
    y, x, side = MARK
    pixels[y:y + side, x:x + side] //= 4
    return td.normalise(exemplars.of_pixels(pixels, "marked"))


def marks_in(x):
    """How many pixels of a normalised picture [C, H, W] are as dark as the mark, in marks."""
    return float((x.mean(0) < -2.5).sum()) / MARK[2] ** 2


def lay_out(photo, side=256):
    return td.lay_out(photo, "matched", grids.make_grid(side, side, 32), 0)


def test_the_mark_is_found_first_at_its_place_and_counts_fully():
    spots = conspicuous.find_spots(marked_photo().x, 32)
    y, x, side = MARK
    assert spots[0].touches(conspicuous.Spot(y + side // 2, x + side // 2, 1)) and spots[0].weight() == 1
    assert not any(a.touches(b) for a in spots for b in spots if a is not b)
    assert [spot.odd for spot in spots] == sorted((spot.odd for spot in spots), reverse=True)


def test_no_part_of_a_photo_that_repeats_itself_is_conspicuous():
    pixels = np.tile(draw_pixels(32, 32), (4, 5, 1))
    spots = conspicuous.find_spots(td.normalise(exemplars.of_pixels(pixels, "repeated")).x, 32)
    assert spots == []


@pytest.mark.parametrize("augment", list(td.AUGMENTS))
def test_a_spot_turns_with_the_photo(augment):
    photo, spot = draw_photo(54, 70), conspicuous.Spot(5, 40, 8)
    piece = photo.x[:, 5:13, 40:48]
    for orientation in td.AUGMENTS[augment]:
        there = spot.turned(54, 70, *orientation)
        x = td.oriented(photo.x, *orientation)[:, there.y:there.y + 8, there.x:there.x + 8]
        assert torch.equal(x, td.oriented(piece, *orientation))


def test_a_texture_shows_a_mark_less_often_than_without_looking_for_it(monkeypatch):
    photo = marked_photo()
    counts = []
    for spots in (conspicuous.SPOTS, 0):
        monkeypatch.setattr(conspicuous, "SPOTS", spots)
        layout = lay_out(photo, 384)
        real = sum(marks_in(layout.cut(cell)) for cell in layout.grid.cells() if layout.real()[cell])
        counts.append((real, sum(map(marks_in, sketches_of(layout)))))
    assert sum(counts[0]) < 0.7 * sum(counts[1]) and sum(counts[1]) > 8


def test_what_is_shown_again_is_far_from_where_it_was_shown(monkeypatch):
    """Half of each photo's tiles are near the mark; those that show it keep apart."""
    monkeypatch.setattr(conspicuous, "SCREEN", 100)
    photo = marked_photo()

    def nearest():
        layout = lay_out(photo)
        places = [np.array([MARK[0], MARK[1]]) - layout.source[cell] + np.array(cell) * 32
                  for cell in layout.grid.cells() if layout.real()[cell] and marks_in(layout.cut(cell)) > 0.5]
        return min((np.hypot(*(a - b)) for a in places for b in places if a is not b), default=np.inf)

    apart = nearest()
    monkeypatch.setattr(conspicuous, "SPOTS", 0)
    assert apart > 1.25 * nearest()


def test_a_spot_at_a_ring_s_end_is_near_one_at_its_beginning():
    places, size = [(10.0, 590.0)], (600, 600)
    near, far = (conspicuous.strikes(places, (10.0, 10.0), size, wraps)[0] for wraps in ((True, True), (False, False)))
    assert near > 0.95 and far < near and abs(conspicuous.strikes([(0.0, 1e6)], (0.0, 0.0), size, (0, 0))[0]
                                              - conspicuous.FAR) < 1e-6


def test_calm_tiles_are_not_used_much_more_often_than_others():
    photo = draw_photo(128, 128)
    layout = lay_out(photo)
    used = np.zeros(photo.x.shape[1:])
    for y, x in layout.source[layout.real()]:
        used[y:y + 32, x:x + 32] += 1
    assert used.max() < 5 * used.mean()
