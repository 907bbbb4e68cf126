"""Windows of a tile with its neighbours, and neighbour dropout."""

from itertools import product

import numpy as np
import pytest
import torch
from conftest import TILE, draw_photo, planned, random_net, slow_but

import texture_diffusion as td
from texture_diffusion_tools.running.errors import UserError

HALO = td.HALO
BEFORE, ALONG, AFTER = (-HALO, 0), (0, TILE), (TILE, TILE + HALO)  # first and last pixel, seen from the tile's corner
PLACES = {"NW": (BEFORE, BEFORE), "N": (BEFORE, ALONG), "NE": (BEFORE, AFTER), "W": (ALONG, BEFORE),
          "E": (ALONG, AFTER), "SW": (AFTER, BEFORE), "S": (AFTER, ALONG), "SE": (AFTER, AFTER)}


def region(y, x, name):
    """Index of a neighbour's nearest halo, for a tile whose corner is at y, x."""
    (top, bottom), (left, right) = PLACES[name]
    return np.s_[..., y + top:y + bottom, x + left:x + right]


def names_of(mask):
    return frozenset(name for name, kept in zip(td.NEIGHBOURS, mask.tolist()) if kept)


def held_out_pixels(dataset):
    """bool [H, W], painted tile by tile."""
    held = np.zeros((dataset.height, dataset.width), bool)
    for y, x in dataset.validation_offsets().tolist():
        held[y:y + TILE, x:x + TILE] = True
    return held


def naively_available(dataset, y, x):
    """Names of the neighbours of which no pixel of the nearest halo is outside the photo or held out."""
    usable = np.pad(~held_out_pixels(dataset), HALO)
    return frozenset(name for name in PLACES if usable[region(y + HALO, x + HALO, name)].all())


@pytest.mark.parametrize("pattern", td.PATTERNS)
def test_a_pattern_drops_exactly_the_neighbours_not_in_its_name(pattern):
    ring, middle = torch.ones(1, 3, TILE + 2 * HALO, TILE + 2 * HALO), torch.zeros(1, 3, TILE, TILE)
    canvas = random_net().canvas(middle, ring, td.keep_mask(pattern)[None])
    shown = {name for name in PLACES if canvas[region(HALO, HALO, name)].all()}
    hidden = {name for name in PLACES if not canvas[region(HALO, HALO, name)].any()}
    assert shown == set(pattern.split())
    assert hidden == set(PLACES) - shown


def patterns_shown(photo, kind, scale, batch_size):
    """The presence patterns that outpainting shows to the network."""
    shown = set()

    def draw(rings, present, generators, sketch, parts, least):
        shown.update(map(names_of, present))
        yield 0, torch.zeros(len(rings), 3, TILE, TILE), None

    layout = planned(photo, kind, scale)
    texture = td.Canvas(layout, len(photo.x), "cpu")
    for _ in td.outpaint(texture, layout.passes, draw, batch_size, 0):
        pass
    return shown


@pytest.mark.parametrize("kind", td.LAYOUTS)
@pytest.mark.parametrize("batch_size", slow_but([1, 7, 100], 7))
def test_training_covers_every_pattern_that_a_layout_shows(kind, batch_size):
    covered, shown = {frozenset(pattern.split()) for pattern in td.PATTERNS}, set()
    for (height, width), scale in product([(48, 48), (64, 50), (55, 80), (54, 70)], (1, 2, 3)):
        shown |= patterns_shown(draw_photo(height, width), kind, scale, batch_size)
    assert {" ".join(sorted(names)) for names in shown - covered} == set()


def test_inside_a_checkerboard_the_four_that_touch_are_shown():
    assert frozenset(td.CHECKERBOARD.split()) == {"N", "W", "E", "S"}
    assert frozenset("NWES") in patterns_shown(draw_photo(48, 48), "random", 3, 4)
    assert next(iter(td.PATTERNS)) == td.CHECKERBOARD


@pytest.mark.parametrize("validation", [0, 1, 2])
def test_windows_are_slices_of_the_photo(validation):
    photo = draw_photo(54, 70)
    dataset = td.NeighbourDataset(photo, TILE, validation)
    padded = np.pad(photo.x.numpy(), ((0, 0), (HALO, HALO), (HALO, HALO)))
    offsets = torch.tensor([[0, 0], [3, 54], [38, 0], [38, 54], [17, 22]])
    windows = dataset.windows(offsets)
    for (y, x), window, tile in zip(offsets.tolist(), windows, dataset.tiles_of(windows)):
        assert np.array_equal(window, padded[:, y:y + TILE + 2 * HALO, x:x + TILE + 2 * HALO])
        assert torch.equal(tile, photo.x[:, y:y + TILE, x:x + TILE])


@pytest.mark.parametrize("validation", [0, 1, 2])
def test_a_neighbour_is_available_where_its_nearest_halo_is_in_the_photo_and_not_held_out(validation):
    dataset = td.NeighbourDataset(draw_photo(50, 66), TILE, validation)
    offsets = torch.cat([dataset.table, dataset.validation_offsets()])
    for (y, x), mask in zip(offsets.tolist(), dataset.available(offsets)):
        assert names_of(mask) == naively_available(dataset, y, x)


@pytest.mark.parametrize("validation", [0, 1, 2])
def test_training_tiles_are_all_that_overlap_no_held_out_pixel(validation):
    dataset = td.NeighbourDataset(draw_photo(50, 66), TILE, validation)
    held = held_out_pixels(dataset)
    assert held.sum() == validation * TILE**2
    free = {(y, x) for y in range(50 - TILE + 1) for x in range(66 - TILE + 1)
            if not held[y:y + TILE, x:x + TILE].any()}
    assert set(map(tuple, dataset.table.tolist())) == free


def test_held_out_tiles_lie_in_a_corner():
    held = held_out_pixels(td.NeighbourDataset(draw_photo(54, 70), TILE, 2))
    assert held[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_no_batch_shows_a_held_out_pixel():
    photo = draw_photo(50, 66)
    dataset = td.NeighbourDataset(photo, TILE, 2)
    dataset.padded[:, HALO:-HALO, HALO:-HALO][:, torch.from_numpy(held_out_pixels(dataset))] = 1e6
    windows, present, *_ = dataset.batch(500, 1.0, torch.Generator().manual_seed(0))
    assert dataset.tiles_of(windows).max() < 1e6
    for window, mask in zip(windows, present):
        assert all(window[region(HALO, HALO, name)].max() < 1e6 for name in names_of(mask))


def test_too_many_held_out_tiles_are_refused_with_the_most_that_fit():
    with pytest.raises(UserError, match="VALIDATION = 5.*at most 2"):
        td.NeighbourDataset(draw_photo(54, 70), TILE, 5)
    td.NeighbourDataset(draw_photo(54, 70), TILE, 2)


def test_without_dropout_every_tile_sees_the_checkerboard():
    masks = td.dropout_masks(500, 0.0, torch.Generator().manual_seed(0))
    assert set(map(names_of, masks)) == {frozenset("NWES")}


def test_dropout_shows_every_pattern_and_the_checkerboard_most_often():
    masks = td.dropout_masks(4000, 0.4, torch.Generator().manual_seed(0))
    counts = {frozenset(pattern.split()): 0 for pattern in td.PATTERNS}
    for mask in masks:
        counts[names_of(mask)] = counts.get(names_of(mask), 0) + 1
    assert all(counts[frozenset(pattern.split())] > 0 for pattern in td.PATTERNS)
    assert 0.5 < counts[frozenset("NWES")] / len(masks) < 0.75


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
