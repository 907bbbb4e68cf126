"""What the benchmark's scores promise: near the floor on more of the same texture, far from it on anything else."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, spread
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

import texture_diffusion as td
from benchmarks import commits, golden, gpu, minute, quality, scores, structure, wrap
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running.errors import RunError, UserError

TILE = 32
SIDE, CELLS = 160, 12  # of the photo in px, of the texture in tiles


def texture(side, seed):
    """A stationary texture with grain, uint8 [side, side, 3]; another seed gives more of the same."""
    rng = np.random.default_rng(seed)
    soft = gaussian_filter(rng.standard_normal((side, side, 3)), (2, 1, 0))
    pixels = 120 + 25 * soft / soft.std() + 10 * rng.standard_normal((side, side, 3))
    return pixels.round().clip(0, 255).astype(np.uint8)


def checkerboard(rows=CELLS, columns=CELLS):
    source = np.full((rows, columns, 2), -1)
    source[np.indices((rows, columns)).sum(0) % 2 == 0] = 0
    return td.Layout(grids.make_grid(rows * TILE, columns * TILE, TILE), source,
                     [[tuple(map(int, cell)) for cell in np.argwhere(source[..., 0] < 0)]])


def blurred(pixels, radius=0.7):
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def noisy(pixels):
    noise = np.random.default_rng(9).normal(0, 15, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def shuffled(pixels):
    return np.random.default_rng(9).permutation(pixels.reshape(-1, 3)).reshape(pixels.shape)


def tiled(photo, side):
    return np.tile(photo, (-(-side // len(photo)),) * 2 + (1,))[:side, :side]


@pytest.fixture(scope="module", params=[pytest.param("", marks=pytest.mark.slow)])  # all tests that use it are slow
def measured():
    """The photo, its floor and ceiling, and the scores of more of it, and of what is worse."""
    pytest.importorskip("stlpips_pytorch")  # holds the weights of the second classifier
    photo, more, layout = texture(SIDE, 0), texture(CELLS * TILE, 1), checkerboard()
    real = scores.reference(photo, TILE)
    found = {"more": more, "blur": blurred(more), "noise": noisy(more), "shuffle": shuffled(more),
             "copy": tiled(photo, CELLS * TILE)}
    return SimpleNamespace(photo=photo, more=more, real=real, layout=layout, floor=scores.floor(real, TILE),
                           ceiling=scores.ceiling(real, TILE),
                           of={name: (scores.judged if name in ("more", "blur") else scores.score)
                               (pixels, layout, TILE, real) for name, pixels in found.items()})


@pytest.mark.parametrize("name", ["patch SWD", "spectrum dB", "statistics"])
def test_more_of_the_same_is_nearer_the_floor_than_anything_worse(measured, name):
    low, high = measured.floor[name], measured.ceiling[name]
    assert low < high
    assert measured.of["more"][name] < low + 0.15 * (high - low)
    for worse in ("blur", "noise", "shuffle"):
        assert measured.of[worse][name] > 1.25 * measured.of["more"][name], worse


def test_a_classifier_tells_what_is_worse_and_hardly_more_of_the_same(measured):
    assert 0.35 < measured.floor["C2ST apart"] < 0.65
    assert measured.of["more"]["C2ST apart"] < 0.75
    for worse in ("blur", "noise", "shuffle"):
        assert measured.of[worse]["C2ST"] > 0.97 and measured.of[worse]["C2ST borders"] > 0.97, worse


def test_the_second_classifier_does_so_too_and_nothing_of_it_is_the_photo_s_own(measured):
    assert 0.3 < measured.floor["VGG apart"] < 0.7
    assert measured.of["more"]["VGG apart"] < 0.75 and measured.of["blur"]["VGG"] > 0.97
    assert max(row["own"] for row in (measured.floor, measured.ceiling, measured.of["more"])) < 0.02


def test_auc_of_one_distribution_is_chance_and_of_a_blurred_one_sure(measured):
    same = [scores.texture_statistics(scores.photo_tiles(texture(320, seed), TILE, TILE)) for seed in (2, 3)]
    assert scores.c2st(*same) == pytest.approx(0.5, abs=0.12)
    soft = scores.texture_statistics(scores.photo_tiles(blurred(texture(320, 4)), TILE, TILE))
    assert scores.c2st(soft, same[0]) > 0.97


def test_auc_can_be_judged_on_given_folds():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (40, 6)), rng.normal(0, 1, (60, 6))
    folds = np.arange(100) % 4
    assert scores.c2st(a, b, folds) == pytest.approx(0.5, abs=0.2)
    assert scores.c2st(a + 5, b, folds) == 1
    quarters = np.where(np.arange(60) < 20, -1, np.arange(60) % 4)
    assert scores.c2st_apart(a + 5, b, np.arange(40) % 4, quarters) == 1


def test_windows_of_two_quarters_share_no_pixel():
    pixels = np.zeros((150, 170, 3), np.uint8)
    corners = scores.window_corners(pixels, TILE, TILE // 4)
    quarters = scores.quarters_of(corners, pixels, TILE)
    assert set(quarters) == {-1, 0, 1, 2, 3}
    owner = np.full(pixels.shape[:2], -1)
    for (y, x), quarter in zip(corners, quarters):
        if quarter >= 0:
            here = owner[y:y + TILE, x:x + TILE]
            assert np.isin(here, (-1, quarter)).all()
            here[:] = quarter


def test_statistics_of_plain_tiles_are_finite():
    assert np.isfinite(scores.texture_statistics(np.full((2, TILE, TILE, 3), 90, np.uint8))).all()


def test_contrast_and_spread_of_more_of_the_same_are_one(measured):
    assert measured.of["more"]["contrast"] == pytest.approx(1, abs=0.04)
    assert measured.of["more"]["spread"] == pytest.approx(1, abs=0.3)
    assert measured.of["blur"]["contrast"] < 0.93
    assert measured.of["shuffle"]["spread"] < 0.6


def test_colour_is_a_distance_of_means(measured):
    assert measured.of["more"]["colour"] < max(0.6, 2 * measured.floor["colour"])
    brighter = measured.photo[None] + np.uint8(10)
    assert scores.colour(brighter, measured.photo[None]) > 3
    assert scores.colour(measured.photo[None], measured.photo[None]) == 0


def test_verbatim_is_the_share_of_a_tile_that_is_copied_in_one_piece(measured):
    photo, side = measured.photo, 3 * scores.PATCH
    other = texture(SIDE, 5)[:side, :side]
    half = np.concatenate([photo[7:7 + side, 3:3 + side - scores.PATCH], other[:, :scores.PATCH]], 1)
    tiles = [photo[9:9 + side, 5:5 + side], half, other]
    copied, partly, new = (scores.verbatim(tile[None], photo) for tile in tiles)
    assert copied == 1 and partly == pytest.approx(2 / 3) and new < 0.4


def test_novelty_is_low_on_copies_and_one_on_more_of_the_same(measured):
    assert measured.of["more"]["novelty"] == pytest.approx(1, abs=0.08)
    assert measured.of["copy"]["novelty"] < 0.8
    assert measured.of["noise"]["novelty"] > 1.05


def test_repetition_is_high_where_the_photo_is_repeated(measured):
    assert measured.of["more"]["repetition"] < 1.5
    assert measured.of["copy"]["repetition"] == pytest.approx(measured.ceiling["repetition"], rel=0.05)
    assert measured.of["copy"]["repetition"] > 2


def test_seams_of_a_texture_in_one_piece_are_those_of_random_lines(measured):
    for name in ("seam 1st", "seam 2nd", "seam low"):
        low, high = measured.floor[name]
        assert low < 1 < high
        assert low - 0.1 < measured.of["more"][name] < high + 0.1


def test_a_step_at_the_border_is_a_seam(measured):
    pixels = measured.more.astype(int)
    pixels[spread(~measured.layout.real(), TILE)] += 60
    found = scores.seams(pixels.clip(0, 255).astype(np.uint8), measured.layout, TILE)
    assert min(found.values()) > 1.2, found


def test_a_shade_that_only_the_means_show_is_a_low_seam():
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 160, (CELLS * TILE, CELLS * TILE, 3))
    pixels[spread(~checkerboard().real(), TILE)] += 12
    found = scores.seams(pixels.astype(np.uint8), checkerboard(), TILE)
    assert found["seam low"] > 1.2 > 1.05 > found["seam 1st"]


def test_windows_on_borders_have_them_in_the_middle():
    layout = checkerboard(3, 4)
    made = spread(~layout.real(), TILE)
    pixels = np.repeat(made[..., None], 3, -1).astype(np.uint8)
    windows = scores.border_windows(pixels, layout, TILE)
    assert len(windows) == 3 * 3 + 2 * 4
    assert all(window.mean() == 0.5 for window in windows)


def test_only_generated_tiles_are_scored(measured):
    pixels = measured.more.copy()
    pixels[spread(measured.layout.real(), TILE)] = 0
    found = scores.tiles_where(pixels, measured.layout, TILE, real=False)
    assert len(found) == CELLS**2 // 2 and found.any((1, 2, 3)).all()


def test_drift_follows_the_order_of_drawing(measured):
    layout = td.lay_out(td.normalise(exemplars.of_pixels(measured.photo, "photo")), "rows",
                        grids.make_grid(CELLS * TILE, CELLS * TILE, TILE), 0)
    pixels = measured.more.copy()
    for share, cells in zip(np.linspace(0, 2, len(layout.passes)), layout.passes):
        for i, j in cells:
            here = pixels[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]
            here[:] = blurred(here, float(share))
    stages = scores.drift(pixels, layout, TILE, measured.real)
    spectra = [stage["spectrum dB"] for stage in stages]
    assert len(stages) == scores.STAGES and spectra == sorted(spectra)
    assert scores.drift(measured.more, measured.layout, TILE, measured.real) == []


def test_rows_of_a_table_have_its_columns(measured):
    header = scores.markdown_header("system").splitlines()[0]
    for row in (measured.floor, measured.ceiling, measured.of["more"]):
        assert scores.markdown_row("name", row).count("|") == header.count("|")
    assert set(scores.DIGITS) <= set(measured.of["more"])


def test_a_cached_job_is_not_done_again(tmp_path):
    calls = []
    for _ in range(2):
        found = quality.cached(tmp_path / "new" / "job.json", lambda: calls.append(1) or {"a": 1.5, "b": [1, 2]})
        assert found == {"a": 1.5, "b": [1, 2]}
    assert len(calls) == 1


def test_a_job_that_failed_is_done_again(tmp_path):
    with pytest.raises(ZeroDivisionError):
        quality.cached(tmp_path / "job.json", lambda: 1 / 0)
    assert quality.cached(tmp_path / "job.json", lambda: 3) == 3


def test_jobs_have_folders_of_their_own_and_others_at_another_commit(tmp_path, monkeypatch):
    bench = quality.Bench(tmp_path, {}, False)
    exemplars = [quality.Exemplar("a", tmp_path, "01234567"), quality.Exemplar("a", tmp_path, "89abcdef")]
    jobs = sum(quality.plan_of(bench, exemplars, quality.SYSTEMS, 3), [])
    folders = {quality.folder_of(bench, job) for job in jobs}
    assert len(folders) == len(jobs) == 2 * (3 + len(quality.SYSTEMS) - 1)
    monkeypatch.setattr(commits, "commit", lambda: "another")
    assert not folders & {quality.folder_of(bench, job) for job in jobs}


def test_each_of_ours_is_trained_as_its_name_says(tmp_path, monkeypatch):
    changes, picture = {}, tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    figures = {"output": picture, "sampling_seconds": "1", "peak_memory_gb": "unknown"}

    def run_script(folder, given):
        folder.mkdir(parents=True)
        changes[folder.name] = given
        return figures, "expected: training 0.1 min\ntraining_seconds: 3.0\n"

    monkeypatch.setattr(quality, "run_script", run_script)
    bench, exemplar = quality.Bench(tmp_path, {"MAX_SIDE": 640}, False), quality.Exemplar("a", picture, "01234567")
    for system in quality.OURS:
        assert quality.make_texture(bench, quality.Job(exemplar, system, 0))["training"] == 3
    assert "EPOCHS" not in changes["ours-seed0"] and "REDRAW" not in changes["50 epochs-seed0"]
    assert changes["50 epochs-seed0"] == {"MAX_SIDE": 640, "IMAGE": picture, "SEED": 0, "EPOCHS": 50}


def test_seconds_of_a_training_that_went_on_are_all_of_it():
    whole = "expected: training 8.0 min, drawing 0.4 min\ntraining_seconds: 455.0\n"
    rest = "expected: training 8.0 min, d\n\nexpected: training 2.0 min, d\ntraining_seconds: 120.0\n"
    assert quality.training_seconds(whole) == 455
    assert quality.training_seconds(rest) == 480
    assert quality.training_seconds("expected: training 0.0 min, d\ntraining_seconds: 0.0\n") == 0


def test_targets_are_met_by_more_of_the_same(measured):
    rows = {"floor": measured.floor, "ceiling": measured.ceiling, "ours": {**measured.of["more"], "drawing": 1.0}}
    bad = {**rows, "ours": {**measured.of["blur"], "drawing": 100.0}, "stacked": measured.of["noise"]}
    text = quality.targets({"good": rows, "bad": bad})
    lines = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| "))
    for name in ("spectrum at most 1.5 dB", "contrast 0.97 to 1.03", "drawing at most 45 s"):
        good, poor = lines[name].split(" | ")
        assert good.endswith(" met") and poor.endswith("**not met**"), name
    assert set(lines) == {"target", *quality.TARGETS}


def test_a_contact_sheet_shows_every_picture(tmp_path, measured):
    quality.contact_sheet(tmp_path / "sheet.jpg", {"a": measured.photo, "b": measured.more, "c": measured.more,
                                                   "d": measured.more})
    sheet = Image.open(tmp_path / "sheet.jpg")
    assert sheet.size == (3 * SIDE, 2 * (SIDE + quality.LABEL))
    assert np.asarray(sheet)[-SIDE:, :SIDE].std() > 10


def test_a_peer_that_is_not_there_is_left_out(tmp_path, monkeypatch, measured):
    def missing(*_):
        raise UserError("pip install it")

    Image.fromarray(measured.photo).save(tmp_path / "a.png")
    monkeypatch.setattr(quality, "make_peer", missing)
    monkeypatch.setattr(quality, "bounds_of", lambda *_: {"floor": {}})
    bench, said = quality.Bench(tmp_path, {"TILE_SIZE": TILE}, False), []
    exemplar = quality.Exemplar("a", tmp_path / "a.png", "01234567")
    table = quality.measure(bench, exemplar, [quality.Job(exemplar, "stacked", 0)], said.append)
    assert table == {"floor": {}} and "pip install it" in said[0]


@pytest.mark.parametrize("words", [["--systems", "theirs"], ["--seeds", "0"], ["no/such/folder"]])
def test_a_wrong_command_line_says_what_is_wrong(words, capsys):
    with pytest.raises(SystemExit):
        quality.arguments(words)
    assert words[-1] in capsys.readouterr().err or "--seeds" in words


def test_the_cache_is_not_part_of_the_repository():
    assert "benchmarks/cache/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_the_wrap_of_a_periodic_picture_is_no_seam_and_that_of_a_cut_one_is():
    rng = np.random.default_rng(0)
    periodic = gaussian_filter(rng.standard_normal((96, 128, 3)), (3, 3, 0), mode="wrap")
    periodic = (128 + 40 * periodic / periodic.std()).clip(0, 255).astype(np.uint8)
    for _, name, value, _, high in wrap.judge(periodic):
        assert value <= 1.05 * high, name
    cut = {(direction, name): value > 1.2 * high for direction, name, value, _, high in wrap.judge(periodic[:, :70])}
    assert cut["x", "1st"] and cut["x", "2nd"] and not cut["y", "1st"]


# What a minute gives


def test_what_was_learned_from_is_found_in_a_drawing_and_what_was_not_is_not():
    photo, learned, new = (texture(SIDE, seed) for seed in range(3))
    lighter = np.clip(learned.astype(int) + 40, 0, 255).astype(np.uint8)
    assert minute.likeness(minute.scores.photo_tiles(lighter, TILE, TILE), photo, [learned]) < 0.6
    assert 0.97 < minute.likeness(minute.scores.photo_tiles(new, TILE, TILE), photo, [learned]) < 1.03


def test_the_table_has_a_row_for_each_stage_and_the_figure_a_panel_for_each_score(tmp_path):
    for folder in ("benchmarks", "docs"):
        (tmp_path / folder).mkdir()
    row = {**dict.fromkeys(minute.SHOWN, 0.5), "training": 40.0}
    table = {0: {**row, "training": 0.0}, 5: row}
    minute.write(tmp_path, {"bark": table}, {"bark": 1.1})
    text = (tmp_path / "benchmarks" / "MINUTE.md").read_text(encoding="utf-8")
    assert "| 0 | 0 | 0.500 | 0.50 |" in text and "| 5 | 40 | 0.500 |" in text and "1.100" in text
    assert Image.open(tmp_path / "docs" / "minute.png").width > 900
    assert commits.commit_in(tmp_path / "docs" / "minute.png") == commits.commit()


def test_pictures_are_put_side_by_side_in_rows():
    red, green = Image.new("RGB", (10, 6), "red"), Image.new("RGB", (4, 20), "green")
    sheet = quality.sheet_of([[red, green], [red]], 2)
    assert sheet.size == (16, 28) and sheet.getpixel((9, 5)) == sheet.getpixel((0, 22)) == (255, 0, 0)
    assert sheet.getpixel((12, 19)) == (0, 128, 0) and sheet.getpixel((10, 0)) == (255, 255, 255)


# =============================================================================================
# Large structure
# =============================================================================================


def lattice(height, width, noise=30):
    """Bricks in rows of 24 pixels, 48 pixels long, with grain."""
    y, x = np.mgrid[:height, :width]
    x = x + 24 * (y // 24 % 2)
    grey = np.where((y % 24 < 3) | (x % 48 < 3), 60, 160) + np.random.default_rng(0).normal(0, noise, (height, width))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def out_of_step(pixels, side):
    """The squares of a picture in another order, each moved by some pixels."""
    rng, out = np.random.default_rng(1), pixels.copy()
    for y in range(0, len(pixels) - side + 1, side):
        for x in range(0, pixels.shape[1] - side + 1, side):
            at = [int(rng.integers(0, length - side)) for length in pixels.shape[:2]]
            out[y:y + side, x:x + side] = pixels[at[0]:at[0] + side, at[1]:at[1] + side]
    return out


def test_order_and_lines_are_kept_by_more_of_the_same_and_lost_where_its_parts_are_out_of_step():
    photo, more = lattice(192, 192), lattice(400, 400)
    lost = [out_of_step(window, 64) for window in structure.windows_of(more, (192, 192))]
    same, strength = structure.order_kept(photo, structure.windows_of(more, (192, 192)), 64)
    assert 0.9 < same < 1.1 and strength > 0.1
    assert structure.order_kept(photo, lost, 64)[0] < 0.4
    assert 0.9 < structure.lines_kept(photo, structure.windows_of(more, (192, 192)), 64) < 1.1
    assert structure.lines_kept(photo, lost, 64) < 0.7


# Prompts


@pytest.mark.slow
def test_a_prompt_asks_for_what_is_drawn_for_it_and_the_judge_tells_what_was_asked_for():
    from benchmarks import prompts

    pixels, captions = prompts.text_to_image.draw_pictures(64, seed=3)
    truth = torch.tensor([prompts.meaning(caption) for caption in captions])
    asked = [prompts.meaning(prompt) for prompt in prompts.prompts_of(16)]
    assert {kind for kind, *_ in asked[:16]} == {4, 5, 6, 7} and {kind for kind, *_ in asked[16:]} == {0, 1, 2, 3}
    assert all(ground not in (-1, colour) for _, colour, ground in asked[:16])
    assert all(ground == -1 for *_, ground in asked[16:])
    wrong = truth.clone()
    wrong[:, 1] = (wrong[:, 1] + 1) % 10
    said = prompts.shares(wrong == truth, truth)
    assert [bool(share.float().mean()) for share in said.values()] == [True, False, True, True, False]
    levels = prompts.text_to_image.COLOURS.values()
    plain = prompts.tensor(np.stack([np.full((64, 64, 3), rgb, np.uint8) for rgb in levels]))
    torch.manual_seed(0)
    judge, colours = prompts.Judge(), torch.stack([torch.zeros(10).long(), torch.arange(10), -torch.ones(10).long()], 1)
    judge.learn(plain.repeat(20, 1, 1, 1), colours.repeat(20, 1))
    assert judge.right(plain, colours)[:, :2].float().mean() > 0.9


# What commands write before and after a change


def test_what_a_command_writes_otherwise_is_named(tmp_path):
    script = "import sys; from PIL import Image; Image.new('L', (2, 2), {}).save('a.png'); print('seconds: {}\\nx: {}')"
    paths = [tmp_path / name for name in ("same.py", "again.py", "other.py")]
    for path, values in zip(paths, [(1, 5, 1), (1, 6, 1), (2, 7, 2)]):
        path.write_text(script.format(*values))
    assert golden.differences(paths[:2], ["photo.png"]) == []
    assert golden.differences(paths[1:], ["photo.png"]) == ["a.png differs", "run 0 differs"]
    paths[0].write_text("")
    assert golden.differences(paths[:2], ["photo.png"]) == ["a.png is new", "run 0 differs"]
    paths[0].write_text("raise SystemExit('the disk is full')")
    with pytest.raises(RunError, match="photo.png ended with 1: the disk is full"):
        golden.differences(paths[:2], ["photo.png"])


def test_a_part_on_a_gpu_that_fails_costs_no_other_and_each_is_written_at_once(tmp_path, monkeypatch):
    path, seconds = tmp_path / "gpu.json", iter([600, 500, 400, 300, 200, 70, 65, 60, 50, 40, 30, 20])

    def fail():
        assert "machine" in path.read_text()
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")

    parts = dict.fromkeys(gpu.PARTS, lambda: {"figure": 1})
    bench = SimpleNamespace(left=lambda: next(seconds), **{**parts, "default_run": fail})
    found = gpu.measured(bench, path)
    assert found == json.loads(path.read_text())
    assert found["default_run"] == {"failed": "RuntimeError: CUDA error: an illegal memory access was encountered"}
    assert found["machine"] == found["speed"] == {"figure": 1} and "no time" in found["memory"]["left_out"]

    monkeypatch.setattr(gpu, "Bench", lambda quick: bench)
    monkeypatch.setattr(gpu, "measured", lambda *args: found)
    with pytest.raises(RunError, match="default_run failed; all else is in"):
        gpu.main([str(path)])


@pytest.mark.slow
def test_without_a_gpu_the_cpu_is_compared_with_itself(monkeypatch):
    monkeypatch.setattr(gpu.devices, "pick_device", lambda *args: gpu.devices.CPU)
    bench = gpu.Bench(quick=False)
    assert bench.quick and bench.machine()["device"] == "cpu"
    assert bench.resumed() == {name: {"repeated_bit_for_bit": True, "resumed_bit_for_bit": True,
                                      "largest_difference": 0} for name in ("float32", "bfloat16")}
    same = bench.as_the_cpu()
    assert set(same["float32"].values()) == {0} and 0 < same["bfloat16"]["gradient_by_share"] < 0.05
    assert all(figure > 0 for figures in bench.speed().values() for figure in figures.values())
