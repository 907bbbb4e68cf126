"""CONFIG, PRESET and the TOML file beside each picture: it repeats the run, whatever its paths are.
"""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from conftest import assert_refused, constants_of, draw_pixels, files_in, tiny
from PIL import Image

from texture_diffusion_tools.running import constants, files, presets, toml_files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import repeats

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings it
    import tomli as tomllib

ODD = ["C:\\new\\t.png", 'a "b" c', "it's", "Mörtel – 石", "#1 = [2]", "", "\\", "''' \"\"\" ",
       "tab\tline\nend\r\x00\x1f\x7f", "\u2028\u00a0"]


# TOML


@pytest.mark.parametrize("value", [True, False, 0, -3, 2**70, 2e-3, 1e-05, 1.5e300, 3.0, *ODD, ODD,
                                   (), (1, 2.5), ((1, 2), (3.5, 4))], ids=ascii)
def test_what_is_written_is_what_another_reader_finds(value):
    text = toml_files.written({"NAME": value, "NEXT": 1})
    assert len(text.splitlines()) == 2
    found = tomllib.loads(text)
    expected = value
    if type(value) is tuple:
        expected = [list(part) if type(part) is tuple else part for part in value]
    assert found == {"NAME": expected, "NEXT": 1} and type(found["NAME"]) is type(expected)


@pytest.mark.parametrize("content, said", [
    (b"SEED = ", "is no TOML: Invalid value"), (b"SEED 3", "is no TOML"), (None, "cannot be read"),
    (b'IMAGE = "\xff"', "is no TOML"), (b"SEED = " + b"[" * 10**5, "is no TOML")])
def test_what_is_no_toml_is_one_sentence(tool, tmp_path, content, said):
    if content is not None:
        (tmp_path / "run.toml").write_bytes(content)
    assert_refused(tool("CONFIG=run.toml"), "the CONFIG file run.toml", said)


def test_a_mark_at_the_beginning_and_line_ends_of_windows_do_no_harm(tmp_path):
    (tmp_path / "run.toml").write_bytes("\ufeffSEED = 3\r\nEPOCHS = 4\r\n".encode())
    assert constants_of(f"CONFIG={tmp_path / 'run.toml'}").SEED == 3


def test_without_a_reader_the_command_that_installs_one_is_named():
    missing = mock.patch.dict(sys.modules, tomllib=None, tomli=None)
    with missing, pytest.raises(UserError, match="pip install tomli"):
        toml_files.reader()
    stand_in = SimpleNamespace()
    with mock.patch.dict(sys.modules, tomllib=None, tomli=stand_in):
        assert toml_files.reader() is stand_in


# What wins


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes a file in a folder beside the current one; its path from there."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def write(text):
        (tmp_path / "there" / "run.toml").write_text(text, encoding="utf-8")
        return "CONFIG=../there/run.toml"

    return write


def test_the_command_line_wins_over_the_file_that_over_the_preset_and_that_over_main(config):
    words = "PRESET=seamless-1k", config("OUTPUT_SIZE = 500\nSEED = 5\nSAMPLES = 2"), "SAMPLES=3"
    for order in (words, words[::-1]):
        c = constants_of(*order)
        assert (c.OUTPUT_SIZE, c.TILEABLE, c.SEED, c.SAMPLES) == ((500, 500), "xy", 5, 3)
        assert c.CONFIG is None and c.PRESET is None
    assert constants_of("CONFIG=../there/run.toml", "SEED=0").SEED == 0  # as main() has it, too


def test_a_file_may_name_a_preset_and_the_command_line_another(config):
    word = config('PRESET = "repair"')
    assert constants_of(word).MASK == "alpha"
    c = constants_of(word, "PRESET=seamless-2k")
    assert c.MASK is None and c.OUTPUT_SIZE == (2048, 2048)


def test_photos_of_the_command_line_are_in_place_of_the_file_s(config):
    word = config('IMAGE = ["a.jpg", "b.jpg"]')
    assert constants_of(word).IMAGE == ("a.jpg", "b.jpg")
    assert constants_of("c.jpg", word).IMAGE == "c.jpg"
    assert constants_of("c.jpg", "d.jpg", word).IMAGE == ("c.jpg", "d.jpg")


@pytest.mark.parametrize("text, name, value", [
    ("epochs = 3", "EPOCHS", 3), ("tile-size = 64", "TILE_SIZE", 64), ("size = 64", "OUTPUT_SIZE", (64, 64)),
    ("START = 1", "STRENGTH", 1.0), ("REDRAW_ORIGINALS = true", "REDRAW", "all"), ("FRESH = true", "FRESH", True),
    ("CORNERS = [[1, 2], [3, 4.5], [5, 6], [7, 8]]", "CORNERS", ((1, 2), (3, 4.5), (5, 6), (7, 8))),
    ('CORNERS = "auto"', "CORNERS", "auto"), ('OUTPUT_SIZE = "90x70"', "OUTPUT_SIZE", (90, 70)),
    ('PRIOR = "None"', "PRIOR", None), ('TEXTURE = "12"', "TEXTURE", "12"), ("EXPORT = []", "EXPORT", ()),
    ('EXPORT = "glb,usda"', "EXPORT", ("glb", "usda")), ("COMPLETE = 18", "COMPLETE", 18.0)])
def test_a_file_says_what_the_command_line_can(config, text, name, value):
    found = getattr(constants_of(config(text)), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text, said", [
    ("EPOCH = 3", "EPOCH in ../there/run.toml is no constant; the nearest is EPOCHS"),
    ("[main]\nEPOCHS = 3", "main in ../there/run.toml is no constant"),
    ('CONFIG = "other.toml"', "CONFIG in ../there/run.toml names another file"),
    ('EPOCHS = "many"', "EPOCHS='many' in ../there/run.toml is not possible: EPOCHS takes a value of"),
    ("EPOCHS = 1.5", "EPOCHS=1.5"), ("FRESH = 1", "FRESH=1"), ("SEED = 2026-01-01", "SEED="),
    ("CROP = [1, 2]", "CROP"), ("EXPORT = [1]", "EXPORT=(1,)"), ("IMAGE = true", "IMAGE=True"),
    ('PRESET = "seamles"', "is PRESET=seamless-"), ("EPOCHS = -1", "EPOCHS is -1; it must be at least 0")])
def test_what_a_file_cannot_say_is_one_sentence(config, text, said):
    with pytest.raises(UserError, match=re.escape(said)) as refusal:
        constants_of(config(text))
    assert len(str(refusal.value).splitlines()) == 1


def test_paths_in_a_file_begin_at_its_folder_and_others_are_looked_for_as_ever(config, tmp_path):
    for name in ("a.png", "alpha", "guide.png"):
        (tmp_path / "there" / name).touch()
    said = {"IMAGE": ("a.png", "b.png"), "GUIDE": "guide.png", "MASK": "alpha", "OUTPUT_DIR": "out",
            "CHECKPOINT_DIR": str(tmp_path)}
    c = constants_of(config(toml_files.written(said)))
    assert c.IMAGE == ("../there/a.png", "b.png") and c.GUIDE == "../there/guide.png"
    assert (c.MASK, c.OUTPUT_DIR, c.CHECKPOINT_DIR) == ("alpha", "../there/out", str(tmp_path))
    assert c.PRIOR == "checkpoints/prior.pt"


def test_what_is_wrong_in_a_file_is_known_before_anything_is_imported(config, tmp_path):
    (tmp_path / "script.py").write_text('def main():\n    IMAGE = "a.png"  # photo\n    SEED = 3\n'
                                        "    CONFIG = None  # file\n    PRESET = None  # preset\n")
    with pytest.raises(UserError, match="the nearest is SEED"):
        constants.foresee(tmp_path / "script.py", [config("SEDE = 4")])


# Presets


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_keeps_the_rules_and_sets_what_help_says(name, tool):
    c = constants_of(f"PRESET={name}")
    constants.check_rules(c, {})
    said = tool("--help").out.partition("PRESET=name")[2].partition(f"\n  {name} ")[2].splitlines()
    words = re.findall(r"([A-Z_]+)=(\(.*?\)|\S+)", said[1])
    assert len(said[0].strip()) > 20 and dict(words).keys() == presets.PRESETS[name][1].keys()
    for key, text in words:
        assert getattr(constants_of(f"{key}={text}"), key) == getattr(c, key)


def test_an_unknown_preset_is_refused_with_the_nearest():
    said = "no preset Seamless-3k among seamless-1k, .*; the nearest is PRESET=seamless-"
    with pytest.raises(UserError, match=said):
        constants_of("PRESET=Seamless-3k")


# A run that is repeated


def drawn_in(folder):
    """What a run wrote, by path, without the list of results."""
    return {path: content for path, content in files_in(folder).items() if path.name != ".made.json"}


def test_a_run_repeated_by_its_file_writes_the_same_bytes(tool, tmp_path, monkeypatch):
    """From another folder, with the model that is there and with one that is trained anew."""
    folder = tmp_path / ("it's \"Mörtel\" \\[1]" if sys.platform != "win32" else "it's Mörtel [1]")
    folder.mkdir()
    Image.fromarray(draw_pixels(54, 70)).save(folder / "photo.png")
    Image.fromarray(draw_pixels(80, 90)).save(folder / "guide.png")
    monkeypatch.chdir(folder)
    words = tiny(SAMPLES=2, SEED=3, GUIDE="guide.png", FRESH=True, OUTPUT_SIZE="90x80")
    assert tool("photo.png", *words).code == 0
    first = drawn_in(folder / "samples/photo")
    name = "output_texture_90x80_guided_by_guide_seed{}.{}"
    assert {Path(name.format(k, suffix)) for k in (3, 4) for suffix in ("png", "toml")} <= first.keys()

    monkeypatch.chdir(tmp_path)
    config = f"CONFIG={folder.name}/samples/photo/{name.format(4, 'toml')}"
    result = tool(config)
    assert result.code == 0 and "2 epochs: drawing only" in result.out
    assert drawn_in(folder / "samples/photo") == first

    result = tool(config, "OUTPUT_DIR=new", "CHECKPOINT_DIR=new")
    assert result.code == 0 and "drawing only" not in result.out
    new = drawn_in(tmp_path / "new/photo")
    assert new.keys() == first.keys()
    for path, content in new.items():
        folders = rb"(?m)^(OUTPUT|CHECKPOINT)_DIR = .*$"
        assert re.sub(folders, b"", content) == re.sub(folders, b"", first[path]), path


def test_a_file_says_all_that_is_not_none_and_can_be_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.png").touch()
    c = constants_of("IMAGE=('a b.png','b.png')", "PRIOR=None", "CORNERS=((1,2),(3,4),(5,6),(7,8))",
                     "ASPECT=2", "FRESH=True", "JSON=True", "LEARNING_RATE=1e-5", "MASK=255,0,255")
    text = repeats.document("name", c, 44, tmp_path)
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    again = constants_of("CONFIG=run.toml")
    changed = {name: value for name, value in vars(again).items() if value != getattr(c, name)}
    assert changed == {"IMAGE": (str(tmp_path / "a b.png"), "b.png"), "FRESH": False, "JSON": False,
                       "OUTPUT_DIR": str(tmp_path / "samples"),
                       "CHECKPOINT_DIR": str(tmp_path / "checkpoints")}
    assert "EPOCHS=2 FRESH=True" in text and "DEPTH" not in text


def test_metadata_names_files_without_the_folders_they_are_in():
    c = constants_of("IMAGE=('/home/me/a.png','b/c.png')", "GUIDE=d/e/f.png", "MASK=255,0,255")
    told = repeats.told(c)
    assert told["IMAGE"] == ("a.png", "c.png") and told["GUIDE"] == "f.png"
    assert told["PRIOR"] == "prior.pt" and told["MASK"] == (255, 0, 255) and told["DEPTH"] is None
    assert not {"OUTPUT_DIR", "CHECKPOINT_DIR", "CONFIG", "FRESH"} & told.keys()


def test_a_path_that_is_no_text_costs_the_file_alone(tmp_path, capsys):
    c = constants_of("IMAGE=odd\udcff.png")
    with files.Results(tmp_path, "0") as results:
        repeats.save(results, "output_texture_3x3", c, 0, tmp_path)
    assert "output_texture_3x3.toml, which" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.toml"))


def test_a_file_that_somebody_changed_is_not_replaced(tmp_path):
    for k, seed in enumerate((1, 2, 3)):
        with files.Results(tmp_path, "0") as results:
            repeats.save(results, "output_texture_3x3", constants_of(f"SEED={seed}"), 0, tmp_path)
        assert len(list(tmp_path.glob("*.toml"))) == 1 + (k == 2)
        if k == 1:
            (tmp_path / "output_texture_3x3.toml").write_text("SEED = 9  # mine")
    assert (tmp_path / "output_texture_3x3.toml").read_text() == "SEED = 9  # mine"
