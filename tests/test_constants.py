"""The constants: overrides, their types and rules, and --help."""

import re

import pytest
from conftest import SCRIPT, assert_refused, constants_of, files_in, tiny

from texture_diffusion_tools.running import constants
from texture_diffusion_tools.running.errors import UserError

REQUIRED = {"TILE_SIZE": 128, "REDRAW": "seams", "PRIOR": "checkpoints/prior.pt", "BATCH_SIZE": 8, "SCALE": 3,
            "LAYOUT": "matched", "FRESH": False, "SAMPLES": 1, "CROP": None, "MAX_SIDE": 1024, "SEED": 0}


def test_the_constants_are_those_of_the_manual():
    defaults = vars(constants_of())
    assert {name: defaults[name] for name in REQUIRED} == REQUIRED
    assert {"IMAGE", "LEARNING_RATE", "TIMESTEPS", "SAMPLE_STEPS", "NEIGHBOUR_DROPOUT", "VALIDATION"} <= defaults.keys()


@pytest.mark.parametrize("word, value", [
    ("EPOCHS=3", 3), ("LEARNING_RATE=0.001", 0.001), ("NEIGHBOUR_DROPOUT=1", 1.0), ("IMAGE=rock.jpg", "rock.jpg"),
    ("IMAGE='my rock.jpg'", "my rock.jpg"), ("IMAGE=2024", "2024"), ("IMAGE=a=b.png", "a=b.png"),
    ("SAMPLER=ddpm", "ddpm"), ("SAMPLER=ddim", "ddim"), ('LAYOUT="rows"', "rows"), ("FRESH=True", True),
    ("CROP=(1, 2, 30, 40)", (1, 2, 30, 40)), ("CROP=1,2,30,40", (1, 2, 30, 40)),
    ("CROP=None", None), ("PRIOR=None", None), ("WIDTHS=(8,16)", (8, 16)), ("VALIDATION=2", 2),
    ("VALIDATION=None", None), ("TEXTURE=2", "2"), ("TEXTURE=1e5", "1e5"), ("TEXTURE=007", "007"), ("GUIDE=3", "3"),
    ("BLEND=True", "True"), ("MASK=2024", "2024"), ("MASK=255,0,255", (255, 0, 255)), ("FRESH=true", True),
    ("OUTPUT_SIZE=2048", (2048, 2048)), ("OUTPUT_SIZE=1000x700", (1000, 700)), ("OUTPUT_SIZE=(1000,700)", (1000, 700)),
    ("CROP=[1,2,30,40]", (1, 2, 30, 40)), ("EPOCHS=none", 5)])
def test_an_override_has_the_constant_s_type(word, value):
    more = ["IMAGE=('a.png','b.png')"] if word[:4] in ("TEXT", "BLEN") else ["REDRAW=gaps"]
    found = getattr(constants_of(*more, word), word.partition("=")[0])
    assert found == value and type(found) is type(value)


def test_overrides_leave_the_other_constants_alone():
    before, after = vars(constants_of()), vars(constants_of("EPOCHS=3", "SEED=4"))
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"EPOCHS", "SEED"}


def test_an_old_name_still_works():
    assert constants_of("START=0.5").STRENGTH == 0.5
    with pytest.raises(UserError, match="STRENGTH=much is not possible"):
        constants_of("START=much")
    assert constants_of("REDRAW_ORIGINALS=True").REDRAW == "all"
    assert constants_of("REDRAW_ORIGINALS=False").REDRAW == "gaps"


@pytest.mark.parametrize("words, filled", [
    ((), constants.SEAMS), (("REDRAW=gaps",), constants.WHOLE), (("REDRAW=all",), constants.WHOLE),
    (("LAYOUT=rows",), constants.WHOLE), (("WANG=2",), constants.WHOLE), (("GUIDE=a.png",), constants.WHOLE),
    (("IMAGE=('a.png','b.png')", "BLEND=m.png"), constants.WHOLE), (("MASK=red",), constants.WHOLE),
    (("REDRAW=gaps", "EPOCHS=3", "STRENGTH=1"), {**constants.WHOLE, "EPOCHS": 3, "STRENGTH": 1.0})])
def test_what_is_not_given_depends_on_what_is_drawn(words, filled):
    c = constants_of(*words)
    assert {name: getattr(c, name) for name in filled} == filled


def test_a_first_argument_is_the_photo():
    c = constants_of("rock.jpg", "EPOCHS=0")
    assert (c.IMAGE, c.EPOCHS) == ("rock.jpg", 0)


def test_a_first_argument_that_is_an_existing_file_is_the_photo_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SEED=3.png").touch()
    assert constants_of("SEED=3.png").IMAGE == "SEED=3.png"


# Further ways to say it


@pytest.mark.parametrize("words, changed", [
    ("--epochs=5", {"EPOCHS": 5}), ("--epochs 5", {"EPOCHS": 5}), ("rock.jpg --tile-size 64 --seed=2",
     {"IMAGE": "rock.jpg", "TILE_SIZE": 64, "SEED": 2}), ("--fresh rock.jpg", {"FRESH": True, "IMAGE": "rock.jpg"}),
    ("--fresh false --even_light", {"EVEN_LIGHT": True}), ("--complete 17", {"COMPLETE": 17.0}),
    ("--complete rock.jpg", {"COMPLETE": True, "IMAGE": "rock.jpg"}), ("COMPLETE=true", {"COMPLETE": True}),
    ("--EPOCHS 3 epochs=4", {"EPOCHS": 4}),
    ("--output-size=2048", {"OUTPUT_SIZE": (2048, 2048)}), ("--output-size 1000 700", {"OUTPUT_SIZE": (1000, 700)}),
    ("--crop 1 2 30 40 a.jpg", {"CROP": (1, 2, 30, 40), "IMAGE": "a.jpg"}), ("--start 0.5", {"STRENGTH": 0.5}),
    ("--output-size endless --region -5 0 64 64", {"OUTPUT_SIZE": "endless", "REGION": (-5, 0, 64, 64)}),
    ("1.jpg 2.jpg TEXTURE=2", {"IMAGE": ("1.jpg", "2.jpg"), "TEXTURE": "2"}),
    ("EPOCHS=5 rock.jpg", {"EPOCHS": 5, "IMAGE": "rock.jpg"}), ("--image 1.jpg 2.jpg", {"IMAGE": ("1.jpg", "2.jpg")}),
    ("IMAGE=1.jpg 2.jpg d/3", {"IMAGE": ("1.jpg", "2.jpg", "d/3")}), ("a.jpg IMAGE=b.jpg", {"IMAGE": "b.jpg"})])
def test_what_people_type_does_what_it_says(words, changed):
    before, after = vars(constants_of()), vars(constants_of(*words.split()))
    filled = constants.SEAMS if isinstance(after["IMAGE"], str) else constants.WHOLE
    for name in changed.keys() | before.keys() - filled.keys():
        assert after[name] == changed.get(name, before[name]), name


def test_paths_whose_names_hold_a_sign_or_are_numbers_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "res=4k" / "Rock").mkdir(parents=True)
    (tmp_path / "scale=2").mkdir()
    (tmp_path / "SEED=3").mkdir()
    for name in ("1", "a=b.jpg", "--odd.jpg", "EPOCHS=4"):
        (tmp_path / name).touch()
    for word in ("res=4k/Rock", "scale=2", "1", "a=b.jpg", "--odd.jpg", "EPOCHS=4"):
        assert constants_of(word).IMAGE == word
        assert constants_of(f"IMAGE={word}").IMAGE == word
    assert constants_of("res=4k/Rock", "a=b.jpg", "1").IMAGE == ("res=4k/Rock", "a=b.jpg", "1")
    assert constants_of("SEED=3").SEED == 3 and constants_of("1", "EPOCHS=4").EPOCHS == 4


@pytest.mark.parametrize("words, said", [
    ("--epochs", "--epochs needs a value: EPOCHS=value"), ("--epochs --seed 3", "--epochs needs a value"),
    ("EPOCHS = 5", "EPOCHS needs a value: EPOCHS=value, without spaces"), ("rock.jpg 5", "no file or folder of that"),
    ("rock.jpg seed", "seed needs a value"), ("--epochs many", "EPOCHS=many is not possible"),
    ("--fresh=1", "FRESH=1 is not possible"), ("res=4k/Rok", "no file or folder of that name and no constant res"),
    ("--output-size 5x", "OUTPUT_SIZE is '5x'; it must be two whole numbers"), ("-x", "-x is not understood")])
def test_what_people_mistype_is_one_sentence(words, said):
    with pytest.raises(UserError, match=re.escape(said)) as refusal:
        constants_of(*words.split())
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("word, value", [
    (r"IMAGE=('C:\new\a.jpg','C:\temp\b.jpg')", (r"C:\new\a.jpg", r"C:\temp\b.jpg")),
    (r"""IMAGE=["\\nas\x\a.jpg", '..\u1.jpg']""", (r"\\nas\x\a.jpg", r"..\u1.jpg")),
    (r"GUIDE='C:\new\"a.png'", r"""C:\new\"a.png"""), (r"PRIOR='D:\'", "D:\\"), (r"MASK=C:\new\m.png", r"C:\new\m.png"),
    (r"OUTPUT_DIR='C:\results\x'", r"C:\results\x")])
def test_a_backslash_in_a_path_is_one(word, value):
    assert getattr(constants_of(word), word.partition("=")[0]) == value


def test_a_square_may_be_written_into_main_too():
    c = constants_of()
    c.OUTPUT_SIZE = 300
    assert constants.fill_in(c).OUTPUT_SIZE == (300, 300)


@pytest.mark.parametrize("word, nearest", [
    ("EPOCH=1", "EPOCHS"), ("epoch=1", "EPOCHS"), ("--EPOCH=1", "EPOCHS"), ("TILESIZE=16", "TILE_SIZE"),
    ("--epoch", "EPOCHS"), ("--sample-step", "SAMPLE_STEPS"), ("res=4k", ""),
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
    assert result.code == 0 and "\n\nhow it is drawn\n  SAMPLER " in result.out
    source = SCRIPT.read_text(encoding="utf-8")
    for name, value in vars(constants_of()).items():
        line = next(line for line in result.out.splitlines() if re.match(rf"\s*{name}\b", line))
        given = None if name in constants.SEAMS else value
        meaning = line.partition(repr(given))[2].strip()
        assert len(meaning) > 10
        assert re.search(rf"^ +{name} += .*# {re.escape(meaning)}$", source, re.M)


SCRIPT_OF_OTHERS = '''"""A script.

    more of its manual
"""
import nothing_that_is_there

def main():
    """Draw."""
    IMAGE  = "stones.png"  # the photo
    EPOCHS = EPOCHS_OF_OLD  # training length
    SEED   = 3

    print(IMAGE)

OTHER = 1  # of no use
'''


def test_what_is_written_in_a_file_is_read_without_running_it(tmp_path, capsys):
    path = tmp_path / "others.py"
    path.write_text(SCRIPT_OF_OTHERS.replace("EPOCHS_OF_OLD", "5"))
    constants.foresee(path, ["rock.jpg", "EPOCHS=3", "SEED=4"])
    for word in ("OTHER=2", "SEED=much"):
        with pytest.raises(UserError, match=word):
            constants.foresee(path, ["rock.jpg", word])
    assert capsys.readouterr().out == ""


def test_a_constant_that_somebody_works_out_is_left_to_the_run_and_help_shows_how(tmp_path, capsys):
    path = tmp_path / "others.py"
    path.write_text(SCRIPT_OF_OTHERS)
    constants.foresee(path, ["rock.jpg", "EPOCHS=many"])
    with pytest.raises(SystemExit):
        constants.foresee(path, ["--help"])
    out = capsys.readouterr().out
    assert out.startswith("A script.\n\n") and "manual" not in out and "OTHER" not in out
    assert re.findall(r"^  (\w+) +(\S+)(?: +(.+))?$", out, re.M) == [
        ("IMAGE", "'stones.png'", "the photo"), ("EPOCHS", "EPOCHS_OF_OLD", "training length"), ("SEED", "3", "")]


# Values that cannot be used


@pytest.mark.parametrize("changes, words", [
    ({"TILE_SIZE": 32}, ("TILE_SIZE=16", "70 x 54", "96 x 96")),
    ({"TILE_SIZE": 20}, ("TILE_SIZE is 20", "halve", "16")),
    ({"TILE_SIZE": 0}, ("TILE_SIZE is 0",)),
    ({"WIDTHS": "(8,8,8)"}, ("TILE_SIZE is 16", "32")),
    ({"VALIDATION": 9}, ("VALIDATION", "at most 2")),
    ({"VALIDATION": -1}, ("VALIDATION",)),
    ({"CROP": "(0,0,999,20)"}, ("CROP", "70 x 54")),
    ({"EPOCH_TILES": 9}, ("EPOCH_TILES is 9", "BATCH_SIZE")),
    ({"SAMPLE_STEPS": 21}, ("SAMPLE_STEPS", "STRENGTH", "TIMESTEPS", "13")), ({"STRENGTH": 0.0}, ("STRENGTH", "0")),
    ({"STRENGTH": 1.5}, ("STRENGTH", "1")),
    ({"OUTPUT_DIR": "blocked/pictures"}, ("blocked", "OUTPUT_DIR")),
    ({"CHECKPOINT_DIR": "blocked/models"}, ("blocked", "CHECKPOINT_DIR")),
    ({"OUTPUT_DIR": "blocked"}, ("blocked",))])
def test_bad_constants_are_refused_in_one_line_and_nothing_is_overwritten(tool, tmp_path, changes, words):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    before = files_in(tmp_path)
    assert_refused(tool("photo.png", *tiny(**changes)), *words)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("height, width", [(95, 200), (150, 100), (64, 48)])
def test_the_tile_size_named_for_a_small_photo_is_the_largest_that_fits(height, width):
    with pytest.raises(UserError, match=f"{width} x {height}.*TILE_SIZE") as refusal:
        constants.check_sizes(height, width, 128, 16)
    named = int(str(refusal.value).split("TILE_SIZE=")[1].split()[0])
    constants.check_sizes(height, width, named, 16)
    with pytest.raises(UserError):
        constants.check_sizes(height, width, named + 16, 16)


@pytest.mark.parametrize("tile", [0, 1, 20, 100, -16])
def test_a_tile_that_cannot_be_halved_is_refused_with_one_that_can(tile):
    with pytest.raises(UserError, match="halve") as refusal:
        constants.check_sizes(1000, 1000, tile, 16)
    constants.check_sizes(1000, 1000, int(str(refusal.value).split("such as ")[1].split()[0]), 16)


@pytest.mark.parametrize("changes, words", [
    ({"OUTPUT_SIZE": "(100,0)"}, "OUTPUT_SIZE"), ({"OUTPUT_SIZE": "(100,)"}, "OUTPUT_SIZE"),
    ({"OUTPUT_SIZE": "(1.5,3)"}, "OUTPUT_SIZE"), ({"OUTPUT_SIZE": "large"}, "OUTPUT_SIZE"),
    ({"TILEABLE": "z"}, "TILEABLE"), ({"TILEABLE": "x", "OUTPUT_SIZE": "(30,30)"}, "smallest is 40"),
    ({"REGION": "(0,0,300,10)"}, "210 x 162"), ({"REGION": "(0,0,0,10)"}, "REGION"),
    ({"REGION": "(-1,0,10,10)"}, "REGION"), ({"AUGMENT": "all"}, "AUGMENT"),
    ({"LAYOUT": "rows", "TILEABLE": "x"}, "LAYOUT"), ({"LAYOUT": "rows", "REDRAW": "all"}, "LAYOUT")])
def test_bad_values_get_one_sentence_before_anything_is_drawn(drawing, changes, words):
    result = drawing(**changes)
    assert result.code == 2 and words in result.err and len(result.err.strip().splitlines()) == 1
