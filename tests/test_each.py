"""EACH: many photos one after another, each a texture of its own."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused, checkpoint_in, constants_of, draw_pixels, pixels_in, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.running import constants, each, events
from texture_diffusion_tools.running.errors import RunError, Stopped, UserError

SMALL = {"EPOCHS": 1, "SCALE": 1, "EACH": True}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder photos/ with three photos, the second of which is none, and two other things."""
    monkeypatch.chdir(tmp_path)
    inside = tmp_path / "photos"
    (inside / "old").mkdir(parents=True)
    for name in ("grass", "sand"):
        Image.fromarray(draw_pixels(54, 70, len(name))).save(inside / f"{name}.png")
    (inside / "moss.jpg").write_bytes(b"no photo")
    (inside / "notes.txt").write_text("of the day")
    return inside


class Draws:
    """In place of what a run draws: a file for each photo, and how often that was asked for."""

    def __init__(self, **behaviour):
        self.asked, self.behaviour = [], behaviour

    def __call__(self, c):
        name = Path(c.IMAGE).stem
        self.asked.append(name)
        assert c.EACH is False and isinstance(c.IMAGE, str)
        path = Path(c.OUTPUT_DIR) / name / "output_texture_1x1.png"
        if name in self.behaviour:
            raise self.behaviour[name]
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return [path]


def work(draw, *words):
    """Work through photos/ with a Draws; what it was asked for."""
    each.work_through(constants_of("photos", "EACH=True", *words), Path("nowhere"), draw)
    return draw.asked


def listed(name="photos"):
    return {entry["name"]: entry for entry in json.loads(Path(f"samples/{name}.json").read_text())}


# Whole runs


def test_each_photo_comes_out_as_of_a_run_of_its_own_and_one_that_fails_costs_no_other(tool, folder, tmp_path):
    result = tool("photos", *tiny(**SMALL))
    assert result.code == 1 and result.err.splitlines()[-1].startswith("texture_diffusion: 1 of 3 photos failed: moss")
    table = [line.split() for line in result.out.splitlines() if line.startswith(("name ", "grass.", "moss.", "sand."))]
    assert [row[0] for row in table] == ["name", "grass.png", "moss.jpg", "sand.png"]
    assert table[1][1] == "samples/grass/output_texture_1x1.png" and float(table[1][-1]) > 0
    assert table[2][1] == "failed:" and "note: left out of photos, as no photos: notes.txt, old/" in result.out

    found = listed()
    assert [found[name]["code"] for name in ("grass", "moss", "sand")] == [0, 2, 0]
    assert "not a picture" in found["moss"]["error"] and found["sand"]["constants"]["EPOCHS"] == 1
    assert found["sand"]["outputs"] == ["samples/sand/output_texture_1x1.png"]

    alone = {**SMALL, "EACH": False, "OUTPUT_DIR": "alone", "CHECKPOINT_DIR": "models"}
    assert tool("photos/sand.png", *tiny(**alone)).code == 0
    one, other = (Path(place) / "sand" for place in ("samples", "alone"))
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    assert np.array_equal(pixels_in(one / "output_texture_1x1.png"), pixels_in(other / "output_texture_1x1.png"))
    assert {path.name for path in Path("checkpoints").glob("*.pt")} == {"grass.pt", "sand.pt"}
    Path("models/sand.pt").replace("checkpoints/alone.pt")
    a, b = (checkpoint_in(tmp_path, name)["ema"] for name in ("sand", "alone"))
    assert all((a[key] == b[key]).all() for key in a)


def test_a_stop_in_one_photo_stops_all_and_the_same_command_goes_on(tool, folder, monkeypatch):
    (folder / "moss.jpg").unlink()
    place, count = td.Canvas.place, []

    def stop(self, *args):
        place(self, *args)
        count.append(1)
        if len(count) == 1 and Path("samples/sand").exists():
            signal.raise_signal(signal.SIGINT)
        elif not Path("samples/sand").exists():
            count.clear()

    with monkeypatch.context() as patch:
        patch.setattr(td.Canvas, "place", stop)
        stopped = tool("photos", *tiny(**SMALL))
    assert stopped.code == 130 and "the same command goes on" in stopped.err
    assert set(listed()) == {"grass"}
    result = tool("photos", *tiny(**SMALL))
    assert result.code == 0 and "1 of 2: photos/grass.png was done before with the same constants" in result.out
    assert "done before: samples/grass/output_texture_1x1.png" in result.out
    assert set(listed()) == {"grass", "sand"}


def test_what_is_told_is_told_of_one_run(tool, folder, tmp_path, monkeypatch):
    """As the page reads it: the textures of all photos, and one end."""
    monkeypatch.setenv(events.EVENTS, str(tmp_path / "events"))
    assert tool("photos", *tiny(**SMALL)).code == 1
    told = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [event["code"] for event in told if event["event"] == "ended"] == [1] and told[-1]["event"] == "ended"
    assert [Path(event["output"]).parent.name for event in told if event["event"] == "figures"] == ["grass", "sand"]
    assert [event["text"][:6] for event in told if event["event"] == "said" and " of 3: " in event["text"]] == [
        "1 of 3", "2 of 3", "3 of 3"]


# What is done before


def test_what_was_done_with_the_same_constants_and_files_is_not_done_again(folder, tmp_path):
    assert work(Draws()) == ["grass", "moss", "sand"] and work(Draws()) == []
    Image.fromarray(draw_pixels(54, 70, 9)).save(folder / "sand.png")
    assert work(Draws()) == ["sand"]
    Path("samples/grass/output_texture_1x1.png").unlink()
    assert work(Draws()) == ["grass"]
    assert len(work(Draws(), "SEED=3")) == 3 and work(Draws(), "SEED=3") == []
    (tmp_path / "prior.pt").touch()
    assert len(work(Draws(), "SEED=3", "PRIOR=prior.pt")) == 3
    (tmp_path / "prior.pt").write_bytes(b"another")
    assert len(work(Draws(), "SEED=3", "PRIOR=prior.pt")) == 3
    assert len(work(Draws(), "SEED=3", "PRIOR=prior.pt", "FRESH=True")) == 3
    (folder / "new.png").touch()
    assert work(Draws(), "SEED=3", "PRIOR=prior.pt", "FRESH=False") == ["grass", "moss", "new", "sand"]
    assert set(listed()) == {"grass", "moss", "new", "sand"}


def test_a_failure_is_tried_again_and_the_list_says_what_it_was(folder):
    behaviour = {"grass": MemoryError(), "moss": UserError("a sentence"), "sand": KeyError("bug")}
    with pytest.raises(RunError, match="3 of 3 photos failed: grass.png, moss.jpg, sand.png; samples.photos.json says"):
        work(Draws(**behaviour))
    found = listed()
    assert [found[name]["code"] for name in found] == [1, 2, 1] and found["moss"]["error"] == "a sentence"
    assert "BATCH_SIZE" in found["grass"]["error"] and "KeyError" in found["sand"]["error"]
    assert work(Draws()) == ["grass", "moss", "sand"] and work(Draws()) == []


def test_an_unforeseen_failure_shows_where_it_was_and_the_others_go_on(folder, capsys):
    with pytest.raises(RunError, match="1 of 3"):
        work(Draws(moss=IndexError("nobody thought of it")))
    err = capsys.readouterr().err
    assert "Traceback" in err and "warning: photos/moss.jpg failed: IndexError: nobody thought of it" in err


def test_the_list_is_written_after_each_photo_and_a_stop_loses_none_of_it(folder):
    with pytest.raises(Stopped):
        work(Draws(sand=Stopped("stopped", signal.SIGINT)))
    assert set(listed()) == {"grass", "moss"}
    assert work(Draws()) == ["sand"]
    with pytest.raises(Stopped):
        work(Draws(moss=Stopped("stopped", signal.SIGINT)), "SEED=1")
    assert [(name, entry["constants"]["SEED"]) for name, entry in listed().items()] == [
        ("grass", 1), ("moss", 0), ("sand", 0)]


@pytest.mark.parametrize("content", ["", "no list", "[1]", "{}", '[{"photo": 1}]', "[" * 10**5, "null"])
def test_a_list_that_is_none_says_nothing(content, tmp_path):
    (tmp_path / "list.json").write_text(content)
    assert each.read_list(tmp_path / "list.json") == {} == each.read_list(tmp_path / "nothing.json")


def test_a_list_of_somebody_else_is_not_replaced(folder, tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "photos.json").write_text("mine")
    work(Draws())
    assert (tmp_path / "samples" / "photos.json").read_text() == "mine" and len(listed("photos.2")) == 3
    assert work(Draws()) == []


def test_a_full_disk_costs_the_list_alone(folder, monkeypatch, capsys):
    write = each.files.write_atomically

    def full(path, *args):
        if path.name == "photos.json":
            raise each.DiskError("the disk is full")
        write(path, *args)

    monkeypatch.setattr(each.files, "write_atomically", full)
    assert work(Draws()) == ["grass", "moss", "sand"]
    assert "the disk is full; the next run will do again" in capsys.readouterr().err


# Which photos


def test_a_list_of_photos_and_materials_is_each_of_them(folder, tmp_path):
    (tmp_path / "Rock").mkdir()
    for name in ("Rock_Color.png", "Rock_Normal.png"):
        (tmp_path / "Rock" / name).touch()
    found = each.photos_of(("photos/sand.png", "Rock", "photos"), Path("nowhere"))
    assert [path.as_posix() for path in found] == ["photos/sand.png", "Rock", "photos/grass.png", "photos/moss.jpg",
                                                   "photos/sand.png"]


def test_photos_of_one_name_do_not_meet(folder):
    Image.fromarray(draw_pixels(54, 70)).save(folder / "Sand.jpg")
    with pytest.raises(RunError, match="1 of 4 photos failed: sand.png"):
        work(draw := Draws())
    assert draw.asked == ["Sand", "grass", "moss"] and "rename" in listed()["sand"]["error"]
    with pytest.raises(RunError):
        work(draw := Draws())
    assert draw.asked == []


@pytest.mark.parametrize("words, said", [
    (["nowhere"], "no photo and no folder at nowhere"), (["photos", "TEXTURE=a"], "TEXTURE"),
    (["photos", "BLEND=a.png"], "BLEND"), (["photos", "OUTPUT_DIR=photos/notes.txt"], "OUTPUT_DIR")])
def test_what_cannot_be_worked_through_is_one_sentence(tool, folder, words, said):
    assert_refused(tool(*words, *tiny(**SMALL)), said)


def test_defaults_are_those_of_one_photo_and_torchrun_is_refused():
    c = constants_of("a.jpg", "b.jpg", "EACH=True")
    assert {name: getattr(c, name) for name in constants.SEAMS} == constants.SEAMS
    with pytest.raises(UserError, match="EACH is True; it works through the photos in one process"):
        constants.check_rules(c, td.CHOICES, 2)


def test_a_table_shows_long_sentences_shortened(capsys):
    entry = {"photo": "a/rock.jpg", "code": 2, "error": "x" * 500, "outputs": [], "seconds": 1.25}
    each.print_table([(entry, False), ({**entry, "code": 0, "outputs": ["p.png", "q.png", "r.png"]}, True)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("rock.jpg  failed: xxx") and lines[2].split()[-1] == "1.2" and len(lines[2]) < 120
    assert "done before: p.png and 2 more" in lines[3]
