"""What programs call: learn(), draw(), save() and load(), with arrays and without files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_pixels, pixels_in, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running import constants, signals
from texture_diffusion_tools.running.errors import Cancelled, UserError

ROOT = Path(td.__file__).parent
HEIGHT, WIDTH = 54, 70
SMALL = {"TILE_SIZE": 16, "WIDTHS": (8, 16), "PRIOR": None, "EPOCHS": 1, "EPOCH_TILES": 8, "BATCH_SIZE": 4,
         "SAMPLE_STEPS": 2, "VALIDATION": 0, "STRENGTH": 0.7}
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[20:32, 30:44] = True


@pytest.fixture(scope="module")
def photo():
    return draw_pixels(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def model(photo):
    return td.learn(photo, **SMALL)


def test_what_is_drawn_is_what_a_run_with_these_constants_writes(photo, tool, tmp_path):
    words = [f"{name}={value!r}" for name, value in SMALL.items()]
    result = tool("photo.png", *words, "SCALE=2", "SEED=1")
    assert result.code == 0, result.err
    written = pixels_in(tmp_path / "samples" / "photo" / "output_texture_2x2_seed1.png")
    drawn = td.learn(pixels_in(tmp_path / "photo.png"), SEED=1, **SMALL).draw(SCALE=2)
    assert np.array_equal(drawn, written)


def test_a_path_and_its_pixels_are_the_same_photo(model, photo, tmp_path):
    td.door.save(tmp_path / "photo.png", photo)
    assert np.array_equal(td.learn(tmp_path / "photo.png", **SMALL).draw(SCALE=1), model.draw(SCALE=1))


def test_nothing_is_printed_and_no_file_is_written(photo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    td.learn(photo, **SMALL).draw(SCALE=1)
    said = capfd.readouterr()
    assert said.out == said.err == "" and not list(tmp_path.iterdir())


def test_no_handler_of_signals_is_set(photo, monkeypatch):
    monkeypatch.setattr(signals.signal, "signal", lambda *args: pytest.fail("a handler was set"))
    td.learn(photo, **SMALL).draw(SCALE=1)


def test_inference_mode_is_left_and_entered_again_and_products_are_as_precise_as_before(photo):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    with torch.inference_mode():
        assert td.learn(photo, **SMALL).draw(SCALE=1).shape == (HEIGHT, WIDTH, 3)
        assert torch.is_inference_mode_enabled()
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_float32_matmul_precision(before)


def test_a_model_that_was_saved_draws_the_same_without_its_photo(model, tmp_path):
    model.save(tmp_path / "model.pt")
    again = td.load(tmp_path / "model.pt")
    assert np.array_equal(again.draw(SCALE=2, SEED=3), model.draw(SCALE=2, SEED=3))


def test_a_material_is_saved_and_drawn_as_its_maps(photo, tmp_path):
    maps = {"color": photo, "height": photo[..., 0].astype(np.uint16) * 257, "metal": np.full((HEIGHT, WIDTH), 9, "u1")}
    model = td.learn(maps, **SMALL)
    model.save(tmp_path / "model.pt")
    drawn = td.load(tmp_path / "model.pt").draw(SCALE=1)
    assert {name: (x.shape, x.dtype) for name, x in drawn.items()} == {
        "color": ((HEIGHT, WIDTH, 3), np.uint8), "height": ((HEIGHT, WIDTH), np.uint16),
        "metal": ((HEIGHT, WIDTH), np.uint8)}
    assert (drawn["metal"] == 9).all() and np.array_equal(drawn["color"], model.draw(SCALE=1)["color"])


def test_a_mask_repairs_and_leaves_the_rest_to_the_last_bit(model, photo):
    repaired = model.draw(MASK=HOLE)
    assert np.array_equal(repaired[~HOLE], photo[~HOLE]) and (repaired[HOLE] != photo[HOLE]).mean() > 0.5
    assert np.array_equal(model.draw(SCALE=1), model.draw(SCALE=1))  # and the model is as it was


def test_what_held_no_data_is_repaired_with_what_a_mask_hides(photo):
    empty = np.roll(HOLE, 20, 1)
    exemplar = exemplars.of_pixels(photo, "photo")._replace(usable=~torch.from_numpy(empty))
    found, (y, x) = exemplars.masked(exemplar, torch.from_numpy(HOLE).float(), 16)
    assert np.array_equal(~found.usable, HOLE | empty) and not (HOLE | empty)[y, x].any()


def test_a_model_that_was_learned_beside_a_mask_draws_a_texture_or_the_repaired_photo(photo):
    model, stages = td.learn(photo, MASK=HOLE, **SMALL), set()
    assert model.draw(lambda _, stage: stages.add(stage), SCALE=2).shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert stages == {"drawing"} and np.array_equal(model.draw(SCALE=1)[~HOLE], photo[~HOLE])


def test_grey_photos_and_those_of_16_bits_stay_what_they_are():
    deep = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH)).astype(np.uint16)
    drawn = td.learn(deep, **SMALL, DEPTH=16).draw(SCALE=1)
    assert drawn.shape == (HEIGHT, WIDTH) and drawn.dtype == np.uint16 and drawn.max() > 255


def test_several_textures_are_drawn_each_alone_or_as_a_blend(photo):
    model = td.learn([photo, draw_pixels(HEIGHT, WIDTH, 1)], **SMALL)
    drawn, ramp = model.draw(SCALE=1), np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    assert set(drawn) == {"texture_1", "texture_2"}
    assert np.array_equal(model.draw(SCALE=1, TEXTURE="texture_2"), drawn["texture_2"])
    assert model.draw(BLEND=ramp).shape == (48, 64, 3)


def test_a_guide_may_be_an_array(model):
    guide = np.linspace(0, 255, 108 * 140).reshape(108, 140).astype(np.uint8)
    one, other = (model.draw(SCALE=2, GUIDE=x) for x in (guide, guide[::-1]))
    assert not np.array_equal(one, other)


def test_progress_goes_from_0_to_1_in_each_stage(photo):
    seen = []
    td.learn(photo, lambda *told: seen.append(told), **SMALL).draw(lambda *told: seen.append(told), SCALE=1)
    assert list(dict.fromkeys(stage for _, stage in seen)) == ["training", "drawing"]
    for stage in ("training", "drawing"):
        fractions = [fraction for fraction, told in seen if told == stage]
        assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1 and len(fractions) > 2


@pytest.mark.parametrize("stage", ["training", "drawing"])
def test_progress_that_returns_false_stops(photo, model, stage):
    with pytest.raises(Cancelled, match=stage):
        if stage == "training":
            td.learn(photo, lambda fraction, _: fraction < 0.5, **SMALL)
        model.draw(lambda fraction, _: False, SCALE=1)


@pytest.mark.parametrize("call, said", [
    (lambda photo, model: td.learn(photo, SACLE=2), "nearest is SCALE"),
    (lambda photo, model: td.learn(photo, SCALE="much"), "SCALE takes a value of type int"),
    (lambda photo, model: td.learn(photo, SCALE=0), "must be at least 1"),
    (lambda photo, model: td.learn(photo / 255), r"\[54, 70, 3\] of float64; a picture is"),
    (lambda photo, model: td.learn("nowhere.png"), "there is no photo at nowhere.png"),
    (lambda photo, model: td.learn({"paint job": photo}), "holds no map"),
    (lambda photo, model: model.draw(EPOCHS=3), r"draw\(\) cannot change EPOCHS"),
    (lambda photo, model: model.draw(TEXTURE="moss"), "TEXTURE = 'moss' names one of several textures, and the model"),
    (lambda photo, model: model.draw(MASK=HOLE[:9]), "MASK has 70 x 9 pixels and photo 70 x 54"),
    (lambda photo, model: model.draw(SCALE=1, GUIDE=np.zeros_like(HOLE)), "^GUIDE: guide.png is a single"),
    (lambda photo, model: td.load("nowhere.pt"), "there is no file at nowhere.pt")])
def test_what_is_wrong_is_one_sentence(photo, model, call, said):
    with pytest.raises(UserError, match=said):
        call(photo, model)


def test_a_checkpoint_of_a_run_says_that_it_has_no_photo(tool, tmp_path):
    assert tool("photo.png", *tiny(EPOCHS=1, SCALE=1)).code == 0
    with pytest.raises(UserError, match="was saved by a run"):
        td.load(next((tmp_path / "checkpoints").glob("*.pt")))


def test_the_constants_of_main_are_given_as_they_stand_there():
    given = td.main(use=dict)
    assert given == constants.defaults(td.main) and given["SCALE"] == 3


# In documents and examples


def test_the_three_lines_of_the_readme_run(photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("rock.jpg")
    lines = re.search(r"```python\n(import texture_diffusion.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)[1]
    names = {}
    small = ", ".join(f"{name}={value!r}" for name, value in SMALL.items() if name != "EPOCHS")
    exec(lines.replace("EPOCHS=5", f"EPOCHS=1, {small}"), names)
    assert names["pixels"].shape == (3 * HEIGHT, 3 * WIDTH, 3)


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "examples/notebook.ipynb").read_text("utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["texture"].shape == (384, 640, 3) and (names["again"] == names["texture"]).all()
