"""The command line from end to end: overrides, going on, and every kind of bad input."""

import math
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    SCRIPT,
    checkpoint_in,
    constants_of,
    draw_pixels,
    environment,
    figures,
    files_in,
    run_script,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_tools.errors import UserError

REQUIRED = {"TILE_SIZE": 128, "EPOCHS": 50, "BATCH_SIZE": 8, "SCALE": 3, "LAYOUT": "matched",
            "FRESH": False, "SAMPLES": 1, "CROP": None, "MAX_SIDE": 1024, "SEED": 0}


def assert_refused(result, *words):
    """Exit code 2 and one line on stderr that holds all words (ignoring case)."""
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1, result.err
    for word in words:
        assert str(word).lower() in result.err.lower()


def pixels_in(path):
    return np.asarray(Image.open(path))


# Constants and overrides


def test_the_constants_are_those_of_the_manual():
    defaults = vars(constants_of())
    assert {name: defaults[name] for name in REQUIRED} == REQUIRED
    assert {"IMAGE", "LEARNING_RATE", "TIMESTEPS", "SAMPLE_STEPS", "NEIGHBOUR_DROPOUT", "VALIDATION"} <= defaults.keys()


@pytest.mark.parametrize("word, value", [
    ("EPOCHS=3", 3), ("LEARNING_RATE=0.001", 0.001), ("NEIGHBOUR_DROPOUT=1", 1.0), ("IMAGE=rock.jpg", "rock.jpg"),
    ("IMAGE='my rock.jpg'", "my rock.jpg"), ("IMAGE=2024", "2024"), ("IMAGE=a=b.png", "a=b.png"),
    ("SAMPLER=ddpm", "ddpm"), ("SAMPLER=ddim", "ddim"), ('LAYOUT="rows"', "rows"), ("FRESH=True", True),
    ("CROP=(1, 2, 30, 40)", (1, 2, 30, 40)), ("CROP=1,2,30,40", (1, 2, 30, 40)),
    ("CROP=None", None), ("WIDTHS=(8,16)", (8, 16)), ("VALIDATION=2", 2), ("VALIDATION=None", None)])
def test_an_override_has_the_constant_s_type(word, value):
    found = getattr(constants_of(word), word.partition("=")[0])
    assert found == value and type(found) is type(value)


def test_overrides_leave_the_other_constants_alone():
    before, after = vars(constants_of()), vars(constants_of("EPOCHS=3", "SEED=4"))
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"EPOCHS", "SEED"}


def test_a_first_argument_is_the_photo():
    c = constants_of("rock.jpg", "EPOCHS=0")
    assert (c.IMAGE, c.EPOCHS) == ("rock.jpg", 0)


def test_a_first_argument_that_is_an_existing_file_is_the_photo_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SEED=3.png").touch()
    assert constants_of("SEED=3.png").IMAGE == "SEED=3.png"


@pytest.mark.parametrize("word, nearest", [
    ("EPOCH=1", "EPOCHS"), ("epochs=1", "EPOCHS"), ("--EPOCHS=1", "EPOCHS"), ("TILESIZE=16", "TILE_SIZE"),
    ("LEARNING=1", "LEARNING_RATE"), ("SAMPLE_STEP=3", "SAMPLE_STEPS"), ("zzz=1", "")])
def test_an_unknown_name_is_refused_with_the_nearest(word, nearest):
    with pytest.raises(UserError, match=re.escape(word)) as refusal:
        constants_of("EPOCHS=1", word)
    assert re.search(rf"nearest is {nearest}", str(refusal.value))


@pytest.mark.parametrize("word", [
    "EPOCHS=1.5", "EPOCHS=many", "EPOCHS=True", "EPOCHS=", "FRESH=1", "FRESH=yes", "WIDTHS=8", "WIDTHS=(8,12)",
    "WIDTHS=()", "CROP=(1,2,3)", "CROP=all", "CROP=(0,0,1.5,2)", "SAMPLER=euler", "LAYOUT=spiral", "LEARNING_RATE=fast",
    "LEARNING_RATE=-1", "NEIGHBOUR_DROPOUT=2", "EPOCHS=-1", "SEED=-1", "BATCH_SIZE=0", "SCALE=0", "SAMPLES=0",
    "SAMPLE_STEPS=0", "TIMESTEPS=0", "VALIDATION=1.5", "LEARNING_RATE=nan", "EPOCHS=__import__('os')"])
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(word):
    with pytest.raises(UserError, match=word.partition("=")[0]):
        constants_of(word)


def test_help_prints_every_constant_with_its_comment_and_value(tool):
    result = tool("--help")
    assert result.code == 0
    source = SCRIPT.read_text(encoding="utf-8")
    for name, value in vars(constants_of()).items():
        line = next(line for line in result.out.splitlines() if re.match(rf"\s*{name}\b", line))
        meaning = line.partition(repr(value))[2].strip()
        assert len(meaning) > 10
        assert re.search(rf"^ +{name} += .*# {re.escape(meaning)}$", source, re.M)


# Whole runs


def test_a_run_succeeds_and_ends_with_its_figures(finished):
    assert finished.result.returncode == 0, finished.result.stderr
    last = figures("\n".join(finished.result.stdout.splitlines()[-11:]))
    assert last["output"].endswith("output_texture_3x3.png")
    assert last["size"] == "210 x 162"
    numbers = [float(last[key]) for key in ("training_seconds", "sampling_seconds", "training_tiles_per_second",
                                            "sampling_tiles_per_second", "peak_memory_gb", "seam_ratio_1st",
                                            "seam_ratio_2nd", "colour_difference")]
    assert all(number >= 0 for number in numbers)


def test_the_expected_time_and_memory_are_said_before_the_work(finished):
    head = finished.result.stdout.partition("output: ")[0]
    assert re.search(r"expected.*\d min.*\d GB", head)


def test_a_run_leaves_two_generations_of_the_checkpoint_and_nothing_else(finished):
    names = {path.name for path in (finished.folder / "checkpoints").iterdir()}
    assert names == {"photo.pt", "photo.previous.pt"}
    assert checkpoint_in(finished.folder)["step"] == 4
    assert {path.name for path in finished.pictures.iterdir() if path.name.startswith(".")} == {".made.json"}


def test_the_model_draws_again_what_it_drew_before(trained, tmp_path):
    first = trained(EPOCHS=3)
    assert first.code == 0, first.err
    path = tmp_path / "samples" / "photo" / "output_texture_3x3.png"
    texture, model = pixels_in(path), (tmp_path / "checkpoints" / "photo.pt").read_bytes()
    path.unlink()
    assert trained(EPOCHS=0).code == 0
    assert np.array_equal(pixels_in(path), texture)
    assert (tmp_path / "checkpoints" / "photo.pt").read_bytes() == model


def test_the_same_command_again_only_draws(trained, tmp_path):
    before = checkpoint_in(tmp_path)["curve"]
    result = trained()
    assert result.code == 0
    assert float(figures(result.out)["training_seconds"]) == 0
    assert checkpoint_in(tmp_path)["curve"] == before


def test_more_epochs_go_on_from_the_checkpoint(trained, tmp_path):
    before = checkpoint_in(tmp_path)
    result = trained(EPOCHS=3)
    assert result.code == 0, result.err
    after = checkpoint_in(tmp_path)
    assert after["step"] == 6
    assert after["curve"][:2] == before["curve"]
    assert after["start"] == before["step"]


def test_the_speed_of_a_run_that_went_on_counts_its_own_tiles(trained):
    last = figures(trained(EPOCHS=3).out)
    tiles = float(last["training_tiles_per_second"]) * float(last["training_seconds"])
    assert 4 < tiles < 14  # 8 in this run, 24 in all; the seconds are rounded


def test_without_a_model_only_drawing_is_refused_with_the_command_that_makes_one(tool):
    result = tool("photo.png", *tiny(EPOCHS=0))
    assert_refused(result, "no model", "python texture_diffusion.py")


def test_the_command_that_makes_a_model_can_be_pasted(tool, tmp_path):
    (tmp_path / "photo.png").rename(tmp_path / "my photo.png")
    result = tool("my photo.png", "EPOCHS=0", "TILE_SIZE=16", "WIDTHS=(8,16)")
    assert_refused(result, "no model")
    command = shlex.split(result.err.partition("python texture_diffusion.py ")[2].strip())
    assert constants_of(*command).IMAGE == "my photo.png"


def test_a_model_can_draw_at_another_batch_size_and_says_what_differs(trained):
    result = trained(EPOCHS=0, BATCH_SIZE=2)
    assert result.code == 0, result.err
    assert "BATCH_SIZE is 2 here and 4" in result.out


@pytest.mark.parametrize("changes, words", [
    ({"EPOCHS": 3, "LEARNING_RATE": 0.005}, ("LEARNING_RATE", "0.005", "0.002")),
    ({"EPOCHS": 3, "NEIGHBOUR_DROPOUT": 0.1}, ("NEIGHBOUR_DROPOUT", "0.1", "0.4")),
    ({"EPOCHS": 3, "VALIDATION": 0}, ("VALIDATION",)),
    ({"EPOCHS": 3, "BATCH_SIZE": 2}, ("BATCH_SIZE", "2", "4")),
    ({"EPOCHS": 3, "EPOCH_TILES": 12}, ("EPOCH_TILES", "12", "8")),
    ({"EPOCHS": 0, "WIDTHS": "(8,8)"}, ("WIDTHS", "(8, 8)", "(8, 16)")),
    ({"EPOCHS": 0, "TIMESTEPS": 30}, ("TIMESTEPS", "30", "20"))])
def test_a_constant_that_differs_from_the_checkpoint_s_is_named(trained, tmp_path, changes, words):
    before = files_in(tmp_path)
    assert_refused(trained(**changes), *words, "FRESH")
    assert files_in(tmp_path) == before


def test_a_checkpoint_of_another_tile_size_is_named(trained, tmp_path):
    state = checkpoint_in(tmp_path)
    state["constants"]["TILE_SIZE"] = 32
    torch.save(state, tmp_path / "checkpoints" / "photo.pt")
    assert_refused(trained(EPOCHS=0), "TILE_SIZE is 16 here and 32")


def test_a_checkpoint_of_another_photo_is_named(trained, tmp_path):
    Image.fromarray(draw_pixels(64, 80, seed=9)).save(tmp_path / "photo.png")
    before = files_in(tmp_path)
    assert_refused(trained(), "another photo", "80 x 64", "70 x 54")
    assert files_in(tmp_path) == before


def test_a_crop_of_the_photo_is_another_photo(trained, tmp_path):
    assert_refused(trained(CROP="(0,0,60,50)"), "CROP", "60 x 50")


def test_fresh_starts_anew_and_loses_nothing(trained, tmp_path):
    models = set(files_in(tmp_path / "checkpoints").values())
    for _ in range(2):
        result = trained(FRESH=True, EPOCHS=1, LEARNING_RATE=0.005)
        assert result.code == 0, result.err
        assert checkpoint_in(tmp_path)["step"] == 2
        assert models <= set(files_in(tmp_path / "checkpoints").values())
        models = set(files_in(tmp_path / "checkpoints").values())


def test_fresh_with_bad_input_leaves_the_checkpoint_in_place(trained, tmp_path):
    before = files_in(tmp_path)
    assert_refused(trained(FRESH=True, TILE_SIZE=64), "TILE_SIZE")
    assert_refused(trained(FRESH=True, VALIDATION=9), "VALIDATION")
    assert_refused(trained(FRESH=True, EPOCHS=0), "FRESH")
    assert files_in(tmp_path) == before


def test_the_seed_joins_the_file_s_name_and_samples_stand_side_by_side(trained, tmp_path):
    folder = tmp_path / "samples" / "photo"
    assert trained(EPOCHS=0, SAMPLES=2).code == 0
    assert {path.name for path in folder.glob("output*")} == {"output_texture_3x3.png", "output_texture_3x3_seed1.png"}
    beside = pixels_in(folder / "output_texture_3x3_seed1.png")
    assert not np.array_equal(beside, pixels_in(folder / "output_texture_3x3.png"))
    (folder / "output_texture_3x3_seed1.png").unlink()
    assert trained(EPOCHS=0, SEED=1).code == 0
    assert np.array_equal(pixels_in(folder / "output_texture_3x3_seed1.png"), beside)
    assert Image.open(folder / "output_texture_3x3_seed1.png").text["seed"] == "1"


@pytest.mark.parametrize("changes", [
    {"LAYOUT": "rows"}, {"LAYOUT": "ordered"}, {"LAYOUT": "random"}, {"SAMPLER": "ddpm"}, {"SAMPLER": "ddim"},
    {"SCALE": 1}, {"SCALE": 2, "LAYOUT": "rows"}, {"BATCH_SIZE": 1}])
def test_every_layout_sampler_and_scale_draws(trained, changes):
    result = trained(EPOCHS=0, **changes)
    assert result.code == 0, result.err
    assert figures(result.out)["size"] == f"{70 * changes.get('SCALE', 3)} x {54 * changes.get('SCALE', 3)}"


def test_a_comparison_does_not_overwrite_the_texture(trained, tmp_path):
    path = tmp_path / "samples" / "photo" / "output_texture_3x3.png"
    before = path.read_bytes()
    assert trained(EPOCHS=0, LAYOUT="rows").code == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("height, width, expected", [(64, 64, 1), (63, 64, 0)])
def test_one_tile_is_held_out_where_the_photo_has_sixteen(tool, tmp_path, height, width, expected):
    Image.fromarray(draw_pixels(height, width)).save(tmp_path / "photo.png")
    assert tool("photo.png", *tiny(EPOCHS=1, EPOCH_TILES=4)).code == 0
    assert checkpoint_in(tmp_path)["constants"]["VALIDATION"] == expected


def test_a_grey_photo_makes_a_grey_texture(tool, tmp_path):
    Image.fromarray(draw_pixels(54, 70, channels=1)).save(tmp_path / "photo.png")
    result = tool("photo.png", *tiny(EPOCHS=1))
    assert result.code == 0, result.err
    texture = pixels_in(tmp_path / "samples" / "photo" / "output_texture_3x3.png")
    assert (texture == texture[..., :1]).all()


def test_a_large_photo_is_shrunk_and_that_is_said(tool):
    result = tool("photo.png", *tiny(EPOCHS=1, MAX_SIDE=64))
    assert result.code == 0, result.err
    assert "70 x 54" in result.out and "64 x 49" in result.out


def test_losses_that_stay_infinite_fail_the_run_and_keep_the_checkpoint(trained, tmp_path, monkeypatch):
    loss = td.Trainer.loss
    monkeypatch.setattr(td.Trainer, "loss", lambda self, *args: loss(self, *args) * (math.nan if self.step >= 7 else 1))
    result = trained(EPOCHS=50)
    assert result.code == 1
    assert "10 steps in a row" in result.err.splitlines()[-1] and "LEARNING_RATE" in result.err.splitlines()[-1]
    kept = checkpoint_in(tmp_path)
    assert kept["step"] == 6
    assert all(weight.isfinite().all() for part in ("net", "ema") for weight in kept[part].values())


def test_a_step_that_was_left_out_is_counted_and_said(trained, tmp_path, monkeypatch):
    loss = td.Trainer.loss
    monkeypatch.setattr(td.Trainer, "loss", lambda self, *args: loss(self, *args) * (math.inf if self.step == 5 else 1))
    result = trained(EPOCHS=4)
    assert result.code == 0, result.err
    assert "1 of 8 steps were left out" in result.out
    assert checkpoint_in(tmp_path)["skipped"] == 1


# Interrupts


def test_an_interrupt_while_drawing_keeps_the_model_and_leaves_no_half_picture(trained, tmp_path, monkeypatch):
    before, ddim_step = files_in(tmp_path / "checkpoints"), td.ddim_step
    (tmp_path / "samples" / "photo" / "output_texture_3x3.png").unlink()
    canvas = td.Canvas

    def interrupted(*args):
        monkeypatch.setattr(td, "ddim_step", lambda *step: signal.raise_signal(signal.SIGINT) or ddim_step(*step))
        return canvas(*args)

    monkeypatch.setattr(td, "Canvas", interrupted)
    result = trained(EPOCHS=0)
    assert result.code == 130
    assert "same command" in result.err
    assert files_in(tmp_path / "checkpoints") == before
    assert not (tmp_path / "samples" / "photo" / "output_texture_3x3.png").exists()


# Bad input


def png_header(path, width, height):
    """A PNG that claims a size and holds no pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def cut(path, format):
    Image.fromarray(draw_pixels(54, 70)).save(path, format)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


BAD_PHOTOS = {
    "missing": (lambda path: path.unlink(), ("photo.png", "no photo")),
    "a folder": (lambda path: path.unlink() or path.mkdir(), ("photo.png",)),
    "empty": (lambda path: path.write_bytes(b""), ("photo.png", "not a picture")),
    "text": (lambda path: path.write_text("a brick wall"), ("photo.png", "not a picture")),
    "gif": (lambda path: Image.fromarray(draw_pixels(54, 70)).save(path, "GIF"), ("photo.png", "PNG", "JPEG")),
    "truncated png": (lambda path: cut(path, "PNG"), ("photo.png", "cut short")),
    "truncated jpeg": (lambda path: cut(path, "JPEG"), ("photo.png", "cut short")),
    "truncated bmp": (lambda path: cut(path, "BMP"), ("photo.png", "cut short")),
    "truncated webp": (lambda path: cut(path, "WEBP"), ("photo.png",)),
    "truncated tiff": (lambda path: cut(path, "TIFF"), ("photo.png",)),
    "no pixels": (lambda path: png_header(path, 54, 70), ("photo.png", "cut short")),
    "101 megapixels": (lambda path: Image.new("1", (10100, 10000)).save(path), ("100 megapixels",)),
    "10 gigapixels": (lambda path: png_header(path, 100_000, 100_000), ("100 megapixels",)),
    "too small": (lambda path: Image.fromarray(draw_pixels(47, 100)).save(path), ("100 x 47", "48 x 48")),
    "a single colour": (lambda path: Image.new("RGB", (54, 70)).save(path), ("single colour",)),
    "transparent": (lambda path: Image.new("RGBA", (54, 70)).save(path), ("transparent",)),
}


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo_is_refused_in_one_line_and_nothing_is_overwritten(tool, tmp_path, kind):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "photo.pt").write_bytes(b"precious")
    make, words = BAD_PHOTOS[kind]
    make(tmp_path / "photo.png")
    before = files_in(tmp_path)
    assert_refused(tool("photo.png", *tiny()), *words)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("changes, words", [
    ({"TILE_SIZE": 32}, ("TILE_SIZE=16", "70 x 54", "96 x 96")),
    ({"TILE_SIZE": 20}, ("TILE_SIZE is 20", "halve", "16")),
    ({"TILE_SIZE": 0}, ("TILE_SIZE is 0",)),
    ({"WIDTHS": "(8,8,8)"}, ("TILE_SIZE is 16", "32")),
    ({"VALIDATION": 9}, ("VALIDATION", "at most 2")),
    ({"VALIDATION": -1}, ("VALIDATION",)),
    ({"CROP": "(0,0,999,20)"}, ("CROP", "70 x 54")),
    ({"EPOCH_TILES": 9}, ("EPOCH_TILES is 9", "BATCH_SIZE")),
    ({"SAMPLE_STEPS": 21}, ("SAMPLE_STEPS", "STRENGTH", "TIMESTEPS", "15")), ({"STRENGTH": 0.0}, ("STRENGTH", "0")),
    ({"STRENGTH": 1.5}, ("STRENGTH", "1")),
    ({"OUTPUT_DIR": "blocked/pictures"}, ("blocked", "OUTPUT_DIR")),
    ({"CHECKPOINT_DIR": "blocked/models"}, ("blocked", "CHECKPOINT_DIR")),
    ({"OUTPUT_DIR": "blocked"}, ("blocked",))])
def test_bad_constants_are_refused_in_one_line_and_nothing_is_overwritten(tool, tmp_path, changes, words):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    before = files_in(tmp_path)
    assert_refused(tool("photo.png", *tiny(**changes)), *words)
    assert files_in(tmp_path) == before


def test_a_bad_photo_given_to_the_script_itself(tmp_path):
    result = run_script("missing.png", cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "missing.png" in result.stderr
    assert files_in(tmp_path) == {}


# Import


def test_importing_the_script_does_nothing(tmp_path):
    code = "import sys; sys.argv = ['x', 'NONSENSE=1']; import texture_diffusion as td; assert callable(td.main)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(PYTHONPATH=str(ROOT)),
                            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("error, words", [
    ("RuntimeError('operator torchvision::nms does not exist')", ("torchvision", "reinstall")),
    ("ImportError('No module named torchvision')", ("torchvision", "requirements.txt"))])
def test_a_broken_torchvision_is_one_sentence_that_says_what_to_install(tmp_path, error, words):
    package = tmp_path / "modules" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {error}")
    result = run_script("--help", cwd=tmp_path, PYTHONPATH=str(tmp_path / "modules"))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "pip install" in result.stderr
    assert all(word in result.stderr for word in words)


# The shipped model


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    """The tiny model as if it were the repository's shipped one, beside the script; there is no checkpoint."""
    home = tmp_path / "home"
    (home / "checkpoints").mkdir(parents=True)
    state = checkpoint_in(tmp_path)
    torch.save({key: value for key, value in state.items() if key not in ("net", "opts")},
               home / "checkpoints" / "photo.shipped.pt")
    shutil.rmtree(tmp_path / "checkpoints")
    monkeypatch.setattr(td, "HERE", home)
    return trained


def test_without_a_checkpoint_the_shipped_model_draws(shipped, tmp_path):
    home = files_in(tmp_path / "home")
    result = shipped(EPOCHS=0)
    assert result.code == 0, result.err
    assert files_in(tmp_path / "home") == home


def test_training_does_not_start_from_the_shipped_model(shipped, tmp_path):
    home = files_in(tmp_path / "home")
    assert shipped(EPOCHS=1).code == 0
    assert checkpoint_in(tmp_path)["step"] == 2
    assert files_in(tmp_path / "home") == home


def test_another_photo_of_the_shipped_one_s_name_needs_a_model_of_its_own(shipped, tmp_path):
    Image.fromarray(draw_pixels(64, 80, seed=9)).save(tmp_path / "photo.png")
    assert_refused(shipped(EPOCHS=0), "python texture_diffusion.py")
