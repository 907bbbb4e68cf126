"""Whole runs from the command line, and going on with them."""

import hashlib
import itertools
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    SCRIPT,
    assert_refused,
    checkpoint_in,
    constants_of,
    draw_pixels,
    environment,
    figures,
    files_in,
    pixels_in,
    run_script,
    slow_but,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.learning import photo_facts

# Whole runs


def test_a_run_succeeds_and_ends_with_its_figures(finished):
    assert finished.result.returncode == 0, finished.result.stderr
    last = figures("\n".join(finished.result.stdout.splitlines()[-12:]))
    assert last["output"].endswith("output_texture_3x3.png")
    assert last["size"] == "210 x 162"
    numbers = [float(last[key]) for key in ("training_seconds", "sampling_seconds", "training_tiles_per_second",
                                            "sampling_tiles_per_second", "peak_memory_gb", "photo_share",
                                            "seam_ratio_1st", "seam_ratio_2nd", "colour_difference")]
    assert all(number >= 0 for number in numbers)


def test_the_expected_time_and_memory_are_said_before_the_work(finished):
    head = finished.result.stdout.partition("output: ")[0]
    assert re.search(r"expected: training \d+ s, drawing \d+ s.*\d GB", head)


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


def test_the_speed_of_a_run_that_went_on_counts_its_own_tiles(trained, monkeypatch):
    monkeypatch.setattr(td, "time", SimpleNamespace(perf_counter=itertools.count().__next__))  # a second at each look
    last = figures(trained(EPOCHS=3).out)
    assert (last["training_seconds"], last["training_tiles_per_second"]) == ("1.0", "8.00")  # of 24 tiles in all


def test_without_a_model_only_drawing_is_refused_with_the_command_that_makes_one(tool):
    result = tool("photo.png", *tiny(EPOCHS=0))
    assert_refused(result, "no model", "python texture_diffusion.py")


def test_the_command_that_makes_a_model_can_be_pasted(tool, tmp_path):
    (tmp_path / "photo.png").rename(tmp_path / "my photo.png")
    result = tool("my photo.png", "EPOCHS=0", "TILE_SIZE=16", "WIDTHS=(8,16)", "PRIOR=None")
    assert_refused(result, "no model")
    command = shlex.split(result.err.partition("python texture_diffusion.py ")[2].strip())
    assert constants_of(*command).IMAGE == "my photo.png"


def test_so_can_the_command_for_several_photos(tool, tmp_path):
    names = ["my photo.png", "it's.png"] + [r"C:\new\a.png"] * (os.name != "nt")
    for seed, name in enumerate(names):
        Image.fromarray(draw_pixels(54, 70, seed)).save(tmp_path / name)
    result = tool(*names, "EPOCHS=0", "TILE_SIZE=16", "WIDTHS=(8,16)", "PRIOR=None")
    assert_refused(result, "no model")
    command = shlex.split(result.err.partition("python texture_diffusion.py ")[2].strip())
    assert constants_of(*command).IMAGE == tuple(names)


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
        result = trained(FRESH=True, EPOCHS=1, LEARNING_RATE=0.005, SCALE=1)
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
    drawn = {path.name for path in folder.glob("output*.png")}
    assert drawn == {"output_texture_3x3.png", "output_texture_3x3_seed1.png"}
    beside = pixels_in(folder / "output_texture_3x3_seed1.png")
    assert not np.array_equal(beside, pixels_in(folder / "output_texture_3x3.png"))
    (folder / "output_texture_3x3_seed1.png").unlink()
    assert trained(EPOCHS=0, SEED=1).code == 0
    assert np.array_equal(pixels_in(folder / "output_texture_3x3_seed1.png"), beside)
    assert Image.open(folder / "output_texture_3x3_seed1.png").text["seed"] == "1"


@pytest.mark.parametrize("changes", slow_but([
    {"LAYOUT": "rows"}, {"LAYOUT": "ordered"}, {"LAYOUT": "random"}, {"SAMPLER": "ddpm"}, {"SAMPLER": "ddim"},
    {"SCALE": 1}, {"SCALE": 2, "LAYOUT": "rows"}, {"BATCH_SIZE": 1}],
    {"LAYOUT": "random"}, {"SAMPLER": "ddpm"}, {"SCALE": 2, "LAYOUT": "rows"}))
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
    assert tool("photo.png", *tiny(EPOCHS=1, EPOCH_TILES=4, SCALE=1)).code == 0
    assert checkpoint_in(tmp_path)["constants"]["VALIDATION"] == expected


def test_a_grey_photo_makes_a_grey_texture(tool, tmp_path, real_figures):
    Image.fromarray(draw_pixels(54, 70, channels=1)).save(tmp_path / "photo.png")
    result = tool("photo.png", *tiny(EPOCHS=1))
    assert result.code == 0, result.err
    for name in ("train_predictions", "val_predictions", "loss"):
        assert np.ptp(pixels_in(tmp_path / "samples" / "photo" / f"{name}.png")) > 0
    texture = pixels_in(tmp_path / "samples" / "photo" / "output_texture_3x3.png")
    assert (texture == texture[..., :1]).all()


def test_a_large_photo_is_shrunk_and_that_is_said(tool):
    result = tool("photo.png", *tiny(EPOCHS=1, MAX_SIDE=64, SCALE=1))
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


# Import


def test_importing_the_script_does_nothing(tmp_path):
    code = "import sys; sys.argv = ['x', 'NONSENSE=1']; import texture_diffusion as td; assert callable(td.main)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(PYTHONPATH=str(ROOT)),
                            capture_output=True, text=True, timeout=200)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert files_in(tmp_path) == {}


@pytest.fixture
def without(tmp_path):
    """Runs the script where importing some packages fails with an error: without("torch tqdm", error, "--help")."""
    def run(packages, error, *args):
        for name in packages.split():
            package = tmp_path / "modules" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(f"raise {error}")
        return run_script(*args, cwd=tmp_path, PYTHONPATH=str(tmp_path / "modules"))

    return run


@pytest.mark.parametrize("error", ["ImportError('libtorch.so is gone')", "OSError('libcudart.so is gone')"])
def test_a_broken_package_is_one_sentence_that_says_what_to_install(without, error):
    result = without("torch", error, "EPOCHS=0")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "pip install -r requirements.txt" in result.stderr
    assert "is gone" in result.stderr


PACKAGES = "torch torchvision numpy PIL matplotlib tqdm"


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_are_the_same_before_any_package_is_imported(without, tool, word):
    result, known = without(PACKAGES, "ImportError('too early')", word), tool(word)
    assert result.returncode == known.code == 0
    assert result.stdout == known.out and "texture" in result.stdout.lower() and not result.stderr


@pytest.mark.skipif(os.name == "nt", reason="a pipe that is closed is another error there")
def test_help_of_which_only_the_first_line_is_read_is_no_broken_package(tmp_path):
    reads, writes = os.pipe()
    os.close(reads)
    result = subprocess.run([sys.executable, "-u", str(SCRIPT), "--help"], cwd=tmp_path, stdout=writes,
                            stderr=subprocess.PIPE, text=True, timeout=200)
    os.close(writes)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("word", ["EPOCH=1", "EPOCHS=many"])
def test_a_mistyped_word_is_the_same_mistake_before_any_package_is_imported(without, tool, word):
    result, known = without(PACKAGES, "ImportError('too early')", word), tool(word)
    assert result.returncode == known.code == 2
    assert result.stderr == known.err and "EPOCHS" in result.stderr and not result.stdout


def test_version_says_in_words_that_torch_is_not_installed(tmp_path):
    result = subprocess.run([sys.executable, "-E", "-S", SCRIPT, "--version"], cwd=tmp_path, capture_output=True,
                            text=True, timeout=60)  # -S: without the packages
    assert result.returncode == 0 and ", torch not installed, Python 3" in result.stdout


def test_a_run_begins_without_what_only_its_pictures_need(without):
    result = without("torchvision matplotlib", "ImportError('too early')", "nowhere.png")
    assert result.returncode == 2 and "nowhere.png" in result.stderr


def test_a_matplotlib_that_is_broken_is_one_sentence_before_the_training(tool, tmp_path, real_figures, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert_refused(tool("photo.png", *tiny()), "matplotlib", "pip install")
    assert not (tmp_path / "checkpoints" / "photo.pt").exists()
    assert not (tmp_path / "samples" / "photo" / "loss.csv").exists()


def test_main_can_be_called_twice_and_from_another_thread(tool, tmp_path):
    results = []
    arguments = ["photo.png", *tiny(EPOCHS=1)]
    handlers = signal.getsignal(signal.SIGINT)
    td.main(arguments)
    td.main(arguments)
    thread = threading.Thread(target=lambda: results.append(td.main([*arguments, "SEED=1"])))
    thread.start()
    thread.join()
    assert results == [None] and signal.getsignal(signal.SIGINT) == handlers
    assert (tmp_path / "samples/photo/output_texture_3x3_seed1.png").exists()


def test_results_go_where_the_constants_say_and_nowhere_else(tool, tmp_path):
    assert tool("photo.png", *tiny(OUTPUT_DIR="out", CHECKPOINT_DIR="models")).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "out", "models"}


# A prior


@pytest.fixture
def prior(tool, trained, tmp_path):
    """The finished run's model as a prior, for a photo that nothing was ever trained on; runs the tool on that."""
    state = checkpoint_in(tmp_path)
    (tmp_path / "prior").mkdir()
    weights = {name: value.half() for name, value in state["ema"].items()}
    torch.save({**{name: value for name, value in state.items() if name not in ("net", "opts")}, "ema": weights},
               tmp_path / "prior" / "prior.pt")
    Image.fromarray(draw_pixels(60, 80, seed=9)).save(tmp_path / "rock.png")
    return lambda **changes: tool(*tiny(**{"IMAGE": "rock.png", "PRIOR": "prior/prior.pt", **changes}))


def test_a_prior_draws_a_photo_that_was_never_trained_on(prior, tmp_path):
    result = prior(EPOCHS=0)
    assert result.code == 0, result.err
    assert "no model of this photo yet" in result.out and "without EPOCHS=0" in result.out
    assert pixels_in(tmp_path / "samples/rock/output_texture_3x3.png").shape == (180, 240, 3)
    assert not (tmp_path / "checkpoints" / "rock.pt").exists()


def test_a_training_begins_from_the_prior_says_so_and_goes_on_without_it(prior, tmp_path):
    digest = hashlib.sha256((tmp_path / "prior/prior.pt").read_bytes()).hexdigest()
    assert prior(EPOCHS=2, SCALE=1).code == 0
    whole = checkpoint_in(tmp_path, "rock")
    assert whole["prior"] == digest and whole["step"] == 4
    shutil.rmtree(tmp_path / "checkpoints")
    assert prior(EPOCHS=2, LEARNING_RATE=1e-9, SCALE=1).code == 0
    still, begun = checkpoint_in(tmp_path, "rock")["ema"], torch.load(tmp_path / "prior/prior.pt", weights_only=True)
    assert all((still[name] - begun["ema"][name].float()).abs().max() < 1e-5 for name in still
               if name not in photo_facts.PhotoFacts._fields)
    shutil.rmtree(tmp_path / "prior")
    result = prior(EPOCHS=0, LEARNING_RATE=1e-9, SCALE=1)
    assert result.code == 0, result.err


def test_a_photo_whose_model_would_replace_the_prior_is_refused(prior, tmp_path):
    before = (tmp_path / "prior" / "prior.pt").read_bytes()
    (tmp_path / "rock.png").rename(tmp_path / "prior.png")
    assert_refused(prior(IMAGE="prior.png", CHECKPOINT_DIR="prior", FRESH=True), "replace the prior")
    assert (tmp_path / "prior" / "prior.pt").read_bytes() == before


def test_a_photo_whose_model_would_be_taken_for_the_shipped_prior_is_refused(tool, tmp_path):
    (tmp_path / "photo.png").rename(tmp_path / "prior.png")
    assert_refused(tool("prior.png", *tiny(PRIOR="checkpoints/prior.pt")), "replace the prior")


def with_layers_of_references(path):
    """As networks had them that were shown patches of the photo."""
    state = torch.load(path, weights_only=True)
    state["ema"].update({"references.gates.weight": torch.zeros(8, 64, 3, 3), "references.gates.bias": torch.zeros(8)})
    torch.save(state, path)


@pytest.mark.parametrize("spoil, code, words", [
    (lambda path: path.unlink(), 2, ("no prior", "PRIOR=None")),
    (lambda path: path.write_bytes(path.read_bytes()[:5000]), 1, ("damaged",)),
    (lambda path: torch.save({**torch.load(path, weights_only=True), "constants": {"WIDTHS": (8, 24)}}, path), 2,
     ("WIDTHS is (8, 16) here and (8, 24) in the prior", "PRIOR=None")),
    (with_layers_of_references, 1, ("prior.pt cannot be used", "do not fit", "references.gates.bias"))])
def test_a_prior_that_cannot_be_used_is_one_sentence_and_nothing_is_trained(prior, tmp_path, spoil, code, words):
    spoil(tmp_path / "prior" / "prior.pt")
    result = prior(EPOCHS=2)
    assert result.code == code and len(result.err.splitlines()) == 1
    assert all(word in result.err for word in words)
    assert not (tmp_path / "checkpoints" / "rock.pt").exists()
