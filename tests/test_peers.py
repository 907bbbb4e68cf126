"""The peers of the benchmark, on tiny photos and after two steps of training; and the benchmark of speed."""

import importlib

import numpy as np
import pytest
import torch
from conftest import ROOT, draw_photo, draw_pixels, slow_but
from PIL import Image

import benchmarks
import texture_diffusion as td
from benchmarks import peers, speed
from benchmarks.peers import lucidrains, posterior, quilting, stacked
from texture_diffusion_tools.laying import grids, matching
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import UserError

TILE = 16
ROWS, COLUMNS = 3, 4
MODULES = {"stacked": stacked, "lucidrains": lucidrains, "quilting": quilting, "posterior": posterior}
TRAINED = ["stacked", "lucidrains"]


@pytest.fixture(autouse=True)
def plain_cpu(monkeypatch):
    monkeypatch.setattr(devices, "pick_device", lambda *args: torch.device("cpu"))
    monkeypatch.setattr(devices, "pick_precision", lambda *args: torch.float32)


@pytest.fixture(autouse=True)
def small_lucidrains(monkeypatch):
    """A narrow network and 2 steps; stacked is small, and its 100 steps are part of its idea."""
    monkeypatch.setattr(lucidrains, "DIM", 16)
    monkeypatch.setattr(lucidrains, "STEPS", 2)


def layout_of(photo, kind="ordered", rows=ROWS, columns=COLUMNS, tile=TILE):
    return td.lay_out(photo, kind, grids.make_grid(rows * tile, columns * tile, tile), 0)


def require(name):
    if name == "lucidrains":
        pytest.importorskip("denoising_diffusion_pytorch")


def make(name, photo, layout, seed=0, **options):
    require(name)
    return MODULES[name].make(photo, layout, TILE, 1e9, seed, steps=2, **options)


def cells(pixels, where, tile=TILE):
    """The tiles of uint8 [H, W, 3] at the cells where [rows, columns] is True, [N, T, T, 3]."""
    return np.stack([pixels[i * tile:(i + 1) * tile, j * tile:(j + 1) * tile] for i, j in np.argwhere(where)])


@pytest.mark.parametrize("name", slow_but(MODULES, "quilting"))
def test_a_peer_fills_the_whole_grid_and_repeats_itself_by_seed_alone(name, photo):
    layout = layout_of(photo)
    first = make(name, photo, layout)
    assert first.shape == (ROWS * TILE, COLUMNS * TILE, 3) and first.dtype == np.uint8
    torch.manual_seed(5)
    np.random.seed(5)
    assert np.array_equal(make(name, photo, layout), first)
    assert not np.array_equal(make(name, photo, layout, seed=1), first)


@pytest.mark.parametrize("kind", slow_but(["matched", "ordered"], "ordered"))
@pytest.mark.parametrize("name", slow_but(TRAINED, "lucidrains"))
def test_real_tiles_stay_verbatim_and_gaps_are_filled(name, kind, photo):
    layout = layout_of(photo, kind)
    made, truth = make(name, photo, layout), photo.pixels(photo.x)
    sources = [truth[y:y + TILE, x:x + TILE] for y, x in layout.source[layout.real()]]
    assert np.array_equal(cells(made, layout.real()), sources)
    assert cells(made, ~layout.real()).std((1, 2, 3)).min() > 0


@pytest.mark.parametrize("name", slow_but(MODULES, "quilting"))
def test_a_peer_takes_grey_photos(name):
    photo = draw_photo(54, 70, channels=1)
    made = make(name, photo, layout_of(photo, rows=2, columns=2))
    assert made.shape == (2 * TILE, 2 * TILE, 3)
    assert (made == made[..., :1]).all()


@pytest.mark.parametrize("name", slow_but(MODULES, "quilting"))
def test_a_peer_leaves_the_photo_and_the_global_random_numbers_alone(name, photo):
    before, state = photo.x.clone(), torch.get_rng_state()
    make(name, photo, layout_of(photo, rows=2, columns=2))
    assert torch.equal(photo.x, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_ends_when_its_seconds_are_over(photo):
    net = torch.nn.Linear(1, 1)
    seen = []

    def loss(generator):
        seen.append(1)
        return net(torch.ones(1, 1)).square().mean()

    peers.train(net, loss, 1e-3, 0.2, 0)
    assert seen
    seen.clear()
    peers.train(net, loss, 1e-3, 1e9, 0, steps=3)
    assert len(seen) == 3


def test_a_missing_package_is_one_sentence_with_the_command(monkeypatch, photo):
    real = importlib.import_module

    def absent(name, *rest):
        if name == "denoising_diffusion_pytorch":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match="pip install denoising-diffusion-pytorch") as caught:
        lucidrains.make(photo, layout_of(photo), TILE, 0, 0)
    assert "\n" not in str(caught.value)


def test_the_peers_constants_are_the_tool_s():
    c = peers.constants()
    assert c.TILE_SIZE == 128 and c.LAYOUT == "matched" and isinstance(c.WIDTHS, tuple)


# The original idea


def test_its_schedule_does_not_end_in_noise():
    assert len(stacked.BETAS) == 100
    assert float(stacked.ALPHAS_CUMPROD[-1]) == pytest.approx(0.36, abs=0.01)


def test_forced_tiles_have_the_photo_s_mean_and_deviation(photo):
    tiles = torch.randn(5, 3, TILE, TILE) * 3 + 2
    forced = stacked.force_statistics(tiles, photo.x)
    assert torch.allclose(forced.mean((2, 3)), photo.x.mean((1, 2)).expand(5, 3), atol=1e-4)
    assert torch.allclose(forced.std((2, 3), correction=0), photo.x.std((1, 2), correction=0).expand(5, 3), atol=1e-3)


@pytest.mark.slow
def test_a_texture_is_forced_unless_it_is_told_not_to(photo, monkeypatch):
    monkeypatch.setattr(stacked, "FADE", 0)
    layout, truth = layout_of(photo), photo.pixels(photo.x)
    drawn = {force: cells(make("stacked", photo, layout, force=force), ~layout.real()) for force in (True, False)}
    means = {force: np.abs(tiles.mean((1, 2)) - truth.mean((0, 1))).max() for force, tiles in drawn.items()}
    stds = {force: np.abs(tiles.std((1, 2)) / truth.std((0, 1)) - 1).max() for force, tiles in drawn.items()}
    assert means[True] < 4 and stds[True] < 0.1  # what is cut off at black and white is missing
    assert means[True] < means[False] and stds[True] < stds[False]


def test_neighbours_are_the_photo_s_own_and_absent_ones_are_zero():
    y, x = torch.meshgrid(torch.arange(54.0), torch.arange(70.0), indexing="ij")
    padded = torch.nn.functional.pad(torch.stack([y, x]) + 1, [TILE] * 4)
    tiles, neighbours = stacked.windows(padded, TILE, 0.0, torch.Generator().manual_seed(0))
    neighbours = neighbours.view(len(tiles), 8, 2, TILE, TILE)
    for name, place in (("N", 1), ("W", 3), ("E", 4), ("S", 6)):
        way = torch.tensor(matching.SIDES[name]).view(1, 2, 1, 1) * TILE
        corner = tiles[:, :, 0, 0] + way[:, :, 0, 0]
        whole = (corner >= 1).all(1) & (corner[:, 0] <= 54 - TILE + 1) & (corner[:, 1] <= 70 - TILE + 1)
        expected = (tiles + way) * whole.view(-1, 1, 1, 1)
        assert torch.equal(neighbours[:, place], expected)
    assert not neighbours[:, [0, 2, 5, 7]].any()  # the checkerboard has no corners


def test_the_cross_fade_changes_the_border_of_gaps_alone():
    tiles = np.zeros((3, 3, 32, 32, 1))
    tiles[1, 0] = 10.0  # W of the gap in the middle
    exists = np.zeros((3, 3), bool)
    exists[1, 0] = exists[1, 1] = True
    stacked.cross_fade(tiles, [(1, 1)], exists)
    gap = tiles[1, 1, ..., 0]
    assert (np.diff(gap[:, :stacked.FADE]) < 0).all() and gap[0, 0] > 9
    assert not gap[:, stacked.FADE:].any()
    assert (tiles[1, 0] == 10).all()


@pytest.mark.parametrize("way", matching.SIDES)
def test_the_cross_fade_mirrors_what_lies_beyond_each_border(way):
    tiles, exists = np.random.default_rng(0).random((3, 3, 32, 32, 3)), np.zeros((3, 3), bool)
    di, dj = matching.SIDES[way]
    exists[1, 1] = exists[1 + di, 1 + dj] = True
    old = tiles.copy()
    stacked.cross_fade(tiles, [(1, 1)], exists)
    inner, outer = {"N": ((0, slice(None)), (-1, slice(None))), "S": ((-1, slice(None)), (0, slice(None))),
                    "W": ((slice(None), 0), (slice(None), -1)), "E": ((slice(None), -1), (slice(None), 0))}[way]
    expected = old[1, 1][inner] / 16 + old[1 + di, 1 + dj][outer] * 15 / 16
    assert np.allclose(tiles[1, 1][inner], expected)
    assert np.allclose(tiles[1, 1, 8:-8, 8:-8], old[1, 1, 8:-8, 8:-8])


@pytest.mark.slow
def test_the_command_writes_the_bad_texture(tmp_path, monkeypatch):
    Image.fromarray(draw_pixels(100, 110)).save(tmp_path / "photo.png")
    c = peers.constants()
    vars(c).update(TILE_SIZE=32, WIDTHS=(8, 16), SCALE=1)
    monkeypatch.setattr(peers, "constants", lambda: c)
    monkeypatch.setattr("sys.argv", ["stacked", str(tmp_path / "photo.png"), str(tmp_path / "new"), "0.5"])
    stacked.main()
    assert Image.open(tmp_path / "new" / "output_texture_3x3_bad.png").size == (110, 100)


# denoising-diffusion-pytorch


def test_inpainting_keeps_what_is_known_and_draws_the_rest(photo):
    require("lucidrains")
    side = TILE + 2 * td.HALO
    diffusion = lucidrains.fit(peers.plain(photo), side, 0, 0, 1, torch.device("cpu"), torch.float32)
    seen = []
    diffusion.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    rings = torch.rand(2, 3, side, side)
    known = torch.zeros(2, 1, side, side, dtype=torch.bool)
    known[..., :4] = True
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    drawn = lucidrains.draw(diffusion, rings, known, generators, torch.float32)
    assert drawn.isfinite().all() and drawn.abs().max() <= 1
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    eps = peers.noise_for(generators, rings.shape[1:], "cpu")
    times = td.trailing_timesteps(1000, lucidrains.STEPS)
    assert len(seen) == len(times) - 1
    for x_t, t in zip(seen, times):
        noised = td.q_sample(rings, torch.tensor([t, t]), eps, diffusion.alphas_cumprod)
        assert torch.allclose(x_t[..., :4], noised[..., :4])
        assert not torch.allclose(x_t[..., 4:], noised[..., 4:])


# The patch posterior


def test_the_posterior_of_patches_finds_a_photo_under_noise_and_draws_only_what_is_like_it():
    figure = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    figure = torch.nn.functional.avg_pool2d(figure.repeat(1, 9, 9), 3, 1, 1)
    x = (figure - figure.mean()) / figure.std()
    x_t = 0.5 ** 0.5 * (x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)))
    patches, generator = posterior.Patches(x), torch.Generator().manual_seed(3)
    x0, _ = posterior.estimate(patches, x_t[None], 0.5, None, generator)
    inner = np.s_[:, 16:-16, 16:-16]
    assert (x0[0] - x)[inner].square().mean() < 0.1 * x[inner].square().mean()

    drawn, _ = posterior.draw(patches, (64, 64), None, 6, generator)
    apart = (drawn[..., 8:] - drawn[..., :-8]).square().mean() / drawn.square().mean()
    assert apart < 1 and drawn.std() > 0.6  # it repeats itself, as the photo does; noise has 2 there, grey no contrast


@pytest.mark.parametrize("seed", [0, 1])
def test_the_posterior_of_patches_keeps_the_contrast_of_what_never_repeats_itself(seed):
    stones = np.random.default_rng(0).random((140, 2)) * 96
    y, x = np.mgrid[:96, :96]
    nearest = np.hypot(y[..., None] - stones[:, 0], x[..., None] - stones[:, 1]).argmin(-1)
    pixels = np.random.default_rng(1).integers(80, 176, 140)[nearest]  # gravel: each cell of a diagram has a grey
    pixels = (pixels + np.random.default_rng(2).normal(0, 25, pixels.shape)).clip(0, 255).astype(np.uint8)
    photo = td.normalise(exemplars.of_pixels(np.repeat(pixels[..., None], 3, 2), "photo"))
    made = posterior.make(photo, layout_of(photo, rows=12, columns=12), TILE, 0, seed)
    assert 0.8 < made.std() / pixels.std() < 1.1  # haze, of patches found each for itself and weighed evenly: 0.6


def test_the_posterior_s_patches_overlap_across_the_sides_of_a_picture_as_inside_it():
    rows, columns, every, edge = 4, 6, posterior.EVERY, posterior.PATCH - posterior.EVERY
    patches = torch.randn(1, rows, columns, 3 * posterior.PATCH**2, generator=torch.Generator().manual_seed(0))
    shape = (1, 3, rows * every + edge, columns * every + edge)
    joined = posterior.wrapped(posterior.overlapped(patches.flatten(1, 2), shape))
    moved = posterior.wrapped(posterior.overlapped(patches.roll((1, 2), (1, 2)).flatten(1, 2), shape))
    assert torch.allclose(moved, joined.roll((every, 2 * every), (2, 3)), atol=1e-5)


# Image quilting


def coordinates(height, width):
    """A photo in which each pixel tells where it is, uint8 [H, W, 3], noisy enough to be a texture."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, draw_pixels(height, width)[..., 0]], -1).astype(np.uint8)


def test_a_quilt_is_made_of_the_photo_s_pixels_in_whole_blocks():
    pixels = coordinates(80, 90)
    photo = td.normalise(exemplars.of_pixels(pixels, "photo"))
    made = quilting.make(photo, layout_of(photo, tile=32), 32, 0, 0).astype(int)
    assert np.array_equal(made, pixels[made[..., 0], made[..., 1]])  # each pixel is one of the photo's
    block, overlap = 16, 2
    step = block - overlap
    inside = made[:step * (len(made) // step), :step * (made.shape[1] // step)]
    for y in range(0, len(inside), step):
        for x in range(0, inside.shape[1], step):  # between the cuts nothing but one piece of the photo
            piece = inside[y + overlap:y + step, x + overlap:x + step, :2]
            assert (piece - np.moveaxis(np.mgrid[:len(piece), :piece.shape[1]], 0, -1) == piece[0, 0]).all()


def test_a_quilt_is_no_plain_copy():
    pixels = coordinates(80, 90)
    photo = td.normalise(exemplars.of_pixels(pixels, "photo"))
    made = quilting.make(photo, layout_of(photo, tile=32), 32, 0, 0).astype(int)
    jumps = np.abs(np.diff(made[..., 1], axis=1)) != 1
    assert jumps.any(0).sum() >= made.shape[1] // 16


def test_the_errors_of_all_blocks_are_those_of_a_plain_loop():
    x = torch.randn(3, 20, 23)
    there = torch.randn(3, 8, 8)
    for top, left in ((False, True), (True, False), (True, True)):
        mask = torch.zeros(8, 8)
        mask[:2 * top] = mask[:, :2 * left] = 1
        expected = [[float(((x[:, y:y + 8, a:a + 8] - there)**2 * mask).sum()) for a in range(16)] for y in range(13)]
        assert np.allclose(quilting.Search(x, 8, 2).errors(there, top, left), expected, atol=1e-3)


def test_the_boundary_cut_follows_the_cheapest_path():
    error = np.ones((6, 5))
    path = [1, 2, 3, 3, 2, 1]
    error[np.arange(6), path] = 0
    assert quilting.boundary_cut(error).argmax(1).tolist() == path


# Speed


def test_the_convolutions_costs_are_what_the_counter_finds():
    works, cost = speed.convolutions(torch.device("cpu"), torch.float32, 1, quick=True)
    for name, work in works.items():
        assert speed.gflop(work) == pytest.approx(cost[name])


@pytest.mark.slow
def test_the_subjects_draw_the_same_tiles():
    c = speed.constants(quick=True)
    subject = speed.ours(c, torch.float32, quick=True)
    subject.train()
    subject.draw()
    training, drawing = speed.gflop(subject.train), speed.gflop(subject.draw)
    assert 2 < training / drawing < 4  # backward costs twice forward
    times = {("ours", "draw"): 1e-3}
    c.MEGAPIXELS = (1 / 64, 1e6)
    (small, drawn), (huge, computed) = speed.seconds_per_megapixel({"ours": subject}, times, c)["ours"]
    assert small > 0 and huge > 0 and drawn and not computed


def test_the_table_compares_with_ours():
    row = dict(zip(speed.SUBJECTS, ((4.0, True), (1.0, True), (2.0, False))))
    assert speed.table({"tiles/s": row}).splitlines()[-1] == "| tiles/s | 4 | 1 (0.25) | ~2 (0.5) |"
    assert str(ROOT) not in benchmarks.machine()


@pytest.mark.parametrize("words", [["--quick"], []])
def test_only_the_whole_measurement_is_written_down(words, tmp_path, monkeypatch, capsys):
    row = dict.fromkeys(speed.SUBJECTS, (1.0, True))
    monkeypatch.setattr(speed, "measure", lambda quick: ("400 GFLOP/s", {"training, tiles/s": row}))
    monkeypatch.setattr(speed, "HERE", tmp_path)
    speed.main(words)
    table = speed.table({"training, tiles/s": row})
    assert table in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ([] if words else ["SPEED.md"])
    if not words:
        text = (tmp_path / "SPEED.md").read_text(encoding="utf-8")
        assert table in text and str(torch.__version__) in text and "share of peak" in text
