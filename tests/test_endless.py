"""A plane without end: what is drawn of it depends on its place alone."""

import os

import numpy as np
import pytest
import torch
from conftest import ROOT, STRIPE, TILE, assert_refused, figures, pixels_in, slow_but, stop_after, striped_photo, tiny

import texture_diffusion as td
from texture_diffusion_tools.laying import endless, grids, matching
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running import files, seeds
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import drawings

PLACES = [(-37, -301), (10**9, -(10**9) - 5), (2**60 - 100, 3)]  # x, y


def window(x, y, width, height, around=1):
    return grids.endless_grid((y, x), (height, width), TILE, around)


def places_in(photo, grid, seed=0, kind="matched", augment="none"):
    """{(row, column) in the plane: (orientation, y, x)} of the real tiles of a window."""
    layout = td.lay_out(photo, kind, grid, seed, augment)
    real = [cell for cell in grid.cells() if layout.real()[cell]]
    return {grid.numbers(cell): (int(layout.orientation[cell]), *map(int, layout.source[cell])) for cell in real}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks of two real tiles, once laid out: they keep the same promises."""
    monkeypatch.setattr(endless, "BLOCK", 2)
    monkeypatch.setattr(matching, "ATTEMPTS", 1)


@pytest.fixture
def region(drawing):
    """The pixels of a region of the endless plane: region(x, y, width, height)."""
    def draw(*part, **changes):
        result = drawing(OUTPUT_SIZE="endless", REGION=str(part), **changes)
        assert result.code == 0, result.err
        return pixels_in(figures(result.out)["output"])

    return draw


@pytest.mark.parametrize("x, y, changes", slow_but([(*place, {}) for place in PLACES], (*PLACES[1], {})) +
                         [(*PLACES[1], {"REDRAW": "all"}), (*PLACES[1], {"REDRAW": "seams"})])
def test_regions_agree_to_the_pixel_where_they_overlap(region, x, y, changes):
    one, other = region(x, y, 70, 50, **changes), region(x + 30, y - 20, 60, 61, **changes)
    assert one.shape == (50, 70, 3) and np.array_equal(one[:41, 30:], other[20:, :40])
    assert len({tuple(colour) for colour in one.reshape(-1, 3)}) > 100


@pytest.mark.parametrize("kind, augment", [("matched", "none"), ("matched", "rotations"), ("random", "rotations"),
                                           ("ordered", "none")])
def test_places_of_real_tiles_depend_on_the_seed_and_on_where_they_are_alone(photo, kind, augment):
    one, other = (places_in(photo, window(x, y, 96, 80), 3, kind, augment) for x, y in ((-70, -90), (-4, -37)))
    both = one.keys() & other.keys()
    assert len(both) > 5 and all(one[cell] == other[cell] for cell in both)
    assert all(sum(cell) % 2 == 0 for cell in one)
    if kind != "ordered":
        assert one != places_in(photo, window(-70, -90, 96, 80), 4, kind, augment)


@pytest.mark.parametrize("most, after", [(1, 3), (1e7, 1)])
def test_a_region_that_was_stopped_goes_on_and_comes_out_the_same(region, drawing, tmp_path, monkeypatch, most, after):
    monkeypatch.setattr(drawings, "BAND_PIXELS", most)
    monkeypatch.setattr(drawings, "WHOLE_PIXELS", most)
    part = -37, 10**9, 70, 60
    unbroken = region(*part)
    path = tmp_path / "samples/photo/output_texture_endless_region_-37_1000000000_70x60.png"
    path.unlink()
    stop_after(monkeypatch, after)
    assert drawing(OUTPUT_SIZE="endless", REGION=str(part)).code == 130 and not path.exists()
    assert np.array_equal(region(*part), unbroken) and path.exists()


@pytest.mark.parametrize("kind", ["matched", "random"])
def test_no_two_places_of_the_plane_share_their_layout(photo, kind):
    windows = [window(x, y, 32, 32) for x, y in ((0, 0), (-96, 0), (0, -96), (3 * 2**40, 0), (0, 3 * 2**40))]
    found = [tuple(places_in(photo, grid, kind=kind).values()) for grid in windows]
    assert len(set(found)) == len(found)


def test_a_part_costs_the_same_wherever_it_is(photo, monkeypatch):
    choose, count = matching.Matcher.choose, []
    monkeypatch.setattr(matching.Matcher, "choose", lambda *args: count.append(1) or choose(*args))
    costs = []
    for x in (0, -12 * 2 * TILE, 3 * 10**9 * 2 * TILE):  # blocks of one colour
        places_in(photo, window(x, 0, 64, 64))
        costs.append(len(count))
        count.clear()
    assert len(set(costs)) == 1 and costs[0] < 70


def test_blocks_of_the_first_colour_ask_for_no_other_and_no_block_for_one_more_than_two_away(photo, monkeypatch):
    planes = []
    monkeypatch.setattr(endless.Plane, "__init__", lambda self, *args, made=endless.Plane.__init__:
                        planes.append(self) or made(self, *args))
    places_in(photo, window(0, 0, 1, 1))
    reach = {}
    for i, j in ((0, 0), (0, 1), (1, 1)):
        planes[0].blocks.clear()
        planes[0].block(i, j)
        reach[i, j] = max(abs(row - i) + abs(column - j) for row, column in planes[0].blocks)
    assert reach[0, 0] == 0 and reach[0, 1] <= 2 and reach[1, 1] <= 4


def test_what_blocks_share_is_shared_with_neighbours_of_another_colour_only():
    """Two real tiles beside one gap are of one block, or of blocks of which one knows the other."""
    side = endless.BLOCK
    for row in range(side, 2 * side):
        for column in range(side, 2 * side):
            if (row + column) % 2:
                beside = {((row + down) // side - 1, (column + right) // side - 1)
                          for down, right in matching.SIDES.values()}
                for a, b in beside:
                    for c, d in beside - {(a, b)}:
                        assert (c - a, d - b) in endless.AROUND and (a + b) % 3 != (c + d) % 3


def test_blocks_keep_in_step_with_a_photo_that_repeats_itself(monkeypatch):
    """The same shift of the stripes everywhere, and not where the photo is not taken to repeat itself."""
    monkeypatch.setattr(endless, "BLOCK", 4)

    def steady():
        grid = window(-6 * TILE, -6 * TILE, 12 * TILE, 12 * TILE, 0)
        shifts = [y - row * TILE for (row, _), (_, y, _) in places_in(striped_photo(), grid).items()]
        return abs(np.exp(2j * np.pi * np.array(shifts) / STRIPE).mean())

    assert steady() > 0.8
    monkeypatch.setattr(endless, "PERIODIC", 2.0)
    assert steady() < 0.8


def test_jobs_that_know_nothing_of_each_other_draw_one_picture(region, trained, tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.syspath_prepend(ROOT / "examples")
    import mosaic

    words = ["photo.png", *tiny(VALIDATION=1)]
    for job in ("2/3", "1/3", "3/3"):
        mosaic.main(["mosaic.tif", "100x90", "--at=-5,7", "--job", job, *words])
    assert np.array_equal(tifffile.imread(tmp_path / "mosaic.tif"), region(-5, 7, 100, 90))
    with pytest.raises(UserError, match="100 x 91 pixels"):
        mosaic.main(["mosaic.tif", "100x91", *words])
    with pytest.raises(UserError, match="up to 6 jobs"):
        mosaic.main(["other.tif", "100x90", "--job", "7/7", *words])


@pytest.fixture
def mosaic(monkeypatch):
    """examples/mosaic.py, with a disk that knows no links."""
    pytest.importorskip("tifffile")
    monkeypatch.syspath_prepend(ROOT / "examples")
    import mosaic

    def refused(*paths):
        raise PermissionError(1, "Operation not permitted")  # as Linux has it for exFAT

    monkeypatch.setattr(os, "link", refused)
    return mosaic


def test_a_mosaic_can_be_on_a_disk_without_links(mosaic, tmp_path):
    path = tmp_path / "mosaic.tif"
    mosaic.open_picture(path, (30, 40, 3), np.dtype("uint8"))[:9] = 7
    x = mosaic.open_picture(path, (30, 40, 3), np.dtype("uint8"))  # another job
    assert (x[:9] == 7).all() and not x[9:].any()
    assert [path.name for path in tmp_path.iterdir()] == ["mosaic.tif"]


def test_of_two_jobs_there_the_faster_one_s_picture_stays(mosaic, tmp_path, monkeypatch):
    path, made = tmp_path / "mosaic.tif", tmp_path / "made"
    lock = files.locked(tmp_path / ".mosaic.tif.lock", "mosaic.tif")

    def faster(seconds):  # while this one waits, the other one ends
        path.write_text("the other's")
        lock.__exit__(None, None, None)

    made.write_text("this one's")
    monkeypatch.setattr(mosaic.time, "sleep", faster)
    lock.__enter__()
    mosaic.name_once(made, path)
    assert path.read_text() == "the other's"


def test_no_file_that_is_deleted_is_mapped(mosaic, tmp_path, monkeypatch):
    """Windows deletes none."""
    memmap, mapped = np.memmap, []
    monkeypatch.setattr(np, "memmap", lambda path, *args, **more: mapped.append(path) or memmap(path, *args, **more))
    mosaic.open_picture(tmp_path / "mosaic.tif", (30, 40, 3), np.dtype("uint8"))
    assert [os.path.basename(path) for path in mapped] == ["mosaic.tif"]


def repeated_photo(down, right):
    """A photo that repeats itself after (down, 4) and (-3, right) pixels."""
    rng = np.random.default_rng(0)
    y, x = np.indices((224, 256))
    area = down * right + 12
    first, second = (y * right - x * -3) / area, (x * down - y * 4) / area
    waves = np.sin(2 * np.pi * first) + np.sin(2 * np.pi * second) + np.sin(2 * np.pi * (first + 2 * second))
    pixels = (128 + 25 * waves + rng.integers(-9, 9, waves.shape)).astype(np.uint8)
    return td.normalise(exemplars.of_pixels(pixels, "waves"))


@pytest.mark.parametrize("down, right", [(14, 18), (14.25, 17.5)])
def test_periods_are_found_to_a_tenth_of_a_pixel(down, right):
    photo = repeated_photo(down, right)
    lattice = endless.find_lattice(torch.nn.functional.pad(photo.x, [TILE] * 4), TILE)
    whole = np.linalg.solve([[down, -3], [4, right]], np.transpose(lattice) / endless.FINE)  # how often each, [2, 2]
    assert np.abs(whole - whole.round()).max() < 0.1 / 14 and abs(np.linalg.det(whole)) > 0.9


def test_a_whole_number_of_periods_leads_home_from_anywhere():
    lattice = endless.Lattice((232, -48), (64, 287))
    for y, x in ((0, 0), (-5, 70), (10**9, -(10**9)), (2**60, 2**60 + 1)):
        home = lattice.home(y, x, 96, 112)
        assert 0 <= home[0] <= 96 and 0 <= home[1] <= 112
        for one, other in ((16, 0), (0, 16), (-48, 32)):  # so many are whole pixels
            down, right = ((one * a + other * b) // 16 for a, b in zip(*lattice))
            assert lattice.home(y + down, x + right, 96, 112) == home


def test_what_does_not_repeat_itself_has_no_periods(photo):
    assert endless.find_lattice(torch.nn.functional.pad(photo.x, [TILE] * 4), TILE) is None


def test_numbers_of_any_size_and_sign_have_their_own_random_numbers():
    values = [0, 1, 5, -1, -2, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 5 * 2**32, -(2**32), 2**60, -(2**60)]
    keys = [(row, column) for row in values for column in values]
    states = {tuple(seeds.seed_sequence(0, seeds.DRAWING, *key).generate_state(4)) for key in keys}
    assert len(states) == len(keys)
    known = np.random.SeedSequence((0, seeds.DRAWING, 7, 2**32 - 1, 0)).generate_state(2)
    assert np.array_equal(seeds.seed_sequence(0, seeds.DRAWING, 7, 2**32 - 1).generate_state(2), known)


@pytest.mark.parametrize("changes, words", [
    ({}, ("REGION", "endless plane")), ({"REGION": "(0,0,0,10)"}, ("REGION", "pixel")),
    ({"REGION": f"({2**61},0,9,9)"}, ("REGION", "origin")), ({"TILEABLE": "x"}, ("TILEABLE", "endless")),
    ({"LAYOUT": "rows"}, ("LAYOUT", "endless")), ({"GUIDE": "photo.png"}, ("GUIDE", "endless")),
    ({"BLEND": "photo.png"}, ("BLEND", "endless")), ({"OUTPUT_SIZE": "endles"}, ("OUTPUT_SIZE", "endless"))])
def test_what_does_not_go_with_a_plane_without_end_is_one_sentence(drawing, changes, words):
    given = {"OUTPUT_SIZE": "endless", **({"REGION": "(0,0,20,20)"} if changes else {}), **changes}
    assert_refused(drawing(**given), *words)
