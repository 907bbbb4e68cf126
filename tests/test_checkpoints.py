"""Checkpoints: what is written is whole, what is read is what was written, and nothing in it runs."""

import ast
import ctypes.util
import io
import json
import lzma
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import (
    MADE_OF,
    ROOT,
    assert_same,
    checkpoint_in,
    constants_of,
    draw_photo,
    environment,
    files_in,
    largest_file,
    make_trainer,
    mutated,
    tiny,
)

import texture_diffusion as td
from texture_diffusion_tools import __version__
from texture_diffusion_tools.learning import checkpoints
from texture_diffusion_tools.running import devices
from texture_diffusion_tools.running.errors import DiskError, RunError, UserError

pytestmark = pytest.mark.usefixtures("plain_figures")


def trained(photo, steps=3):
    trainer = make_trainer(photo, validation=1)
    trainer.plan(steps)
    list(trainer.steps())
    trainer.curve.append([steps, 0.5, None])
    return trainer


@pytest.fixture(scope="module")
def saved_files(tmp_path_factory):
    """What two saves leave, of steps 2 and 3."""
    path = tmp_path_factory.mktemp("models") / "model.pt"
    for steps in (2, 3):
        checkpoints.save(path, {**MADE_OF, **trained(draw_photo(54, 70), steps).state()})
    return files_in(path.parent)


@pytest.fixture
def path(tmp_path, saved_files):
    """A checkpoint of two generations, of steps 2 (before) and 3."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, content in saved_files.items():
        (folder / name).write_bytes(content)
    return folder / "model.pt"


def previous_of(path):
    return checkpoints.generations(path)[1]


# What is written


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path, photo):
    saved = {**MADE_OF, **trained(photo).state()}
    checkpoints.save(tmp_path / "model.pt", saved)
    state = checkpoints.load(tmp_path / "model.pt")
    assert {"program", "format", "version"} == state.keys() - saved.keys()
    assert_same({name: state[name] for name in saved}, saved)


def test_two_generations_are_kept(path):
    assert {file.name for file in path.parent.iterdir()} == {"model.pt", "model.previous.pt"}
    assert checkpoints.load(path)["step"] == 3
    assert checkpoints.load(previous_of(path))["step"] == 2


def test_a_disk_without_links_keeps_two_generations_too(path, photo, monkeypatch):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    checkpoints.save(path, {**MADE_OF, **trained(photo, 4).state()})
    assert [checkpoints.load(file)["step"] for file in checkpoints.generations(path)] == [4, 3]
    assert len(list(path.parent.iterdir())) == 2


def test_a_damaged_file_does_not_become_the_generation_before(path, photo):
    path.write_bytes(path.read_bytes()[:-100])
    checkpoints.save(path, {**MADE_OF, **trained(photo, 4).state()})
    assert [checkpoints.load(file)["step"] for file in checkpoints.generations(path)] == [4, 2]


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
import torch
from texture_diffusion_tools.learning import checkpoints
from texture_diffusion_tools.running import files
from conftest import MADE_OF, draw_photo, make_trainer

torch.set_num_threads(1)
folder = Path(sys.argv[1])
path, state = folder / "model.pt", {{**MADE_OF, **make_trainer(draw_photo(54, 70)).state()}}
state["filling"] = torch.zeros(300_000)  # so that writing takes most of the time
checkpoints.save(path, state)
for number in range({rounds}):
    step, (said, say), begun = checkpoints.load(path)["step"], os.pipe(), time.monotonic()
    child = os.fork()
    if not child:
        while True:
            step += 1
            checkpoints.save(path, {{**state, "step": step, "end": step}})
            os.write(say, b".")
    os.close(say)
    assert os.read(said, 1) == b".", "the first save failed"
    time.sleep(random.Random(number).uniform(0, 2) * (time.monotonic() - begun))  # anywhere in the next one or two
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    step += 1 + len(os.read(said, 100_000))  # that many saves were done
    os.close(said)
    found = checkpoints.load(path)
    assert step <= found["step"] <= step + 1, (found["step"], step)
    files.sweep(folder, r"model(\\.\\w+)?\\.pt")
    assert {{file.name for file in folder.iterdir()}} <= {{"model.pt", "model.previous.pt"}}, list(folder.iterdir())
print("survived {rounds}, steps saved:", checkpoints.load(path)["step"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_25_kills_while_saving_leave_25_whole_checkpoints(tmp_path):
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), rounds=25)
    result = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment(), capture_output=True, text=True,
                            timeout=300)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr  # the newest was whole each time
    assert int(result.stdout.split()[-1]) >= 25  # no kill came before a save


MAIN = """
import signal, sys
sys.path.insert(0, {root!r})
import torch
import texture_diffusion as td
from texture_diffusion_tools.running import devices, exit_codes, files
from texture_diffusion_tools.writing import pictures

torch.set_num_threads(1)
devices.pick_device = lambda *args: torch.device("cpu")
devices.pick_precision = lambda *args: torch.float32
pictures.save_figure = lambda path, figure: files.write_atomically(path, lambda file: file.write(b"-"))
loss = td.Trainer.loss


def struck(self, *args):
    if self.step == {step}:
        signal.raise_signal({number})
    return loss(self, *args)


td.Trainer.loss = struck
sys.exit(exit_codes.run(td.main))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to another process")
def test_a_run_that_is_killed_and_interrupted_ends_as_if_it_had_not_been(tool, tmp_path):
    """Both in the middle of a step, and of an epoch of four."""
    arguments = ["photo.png", *tiny(EPOCHS=4, EPOCH_TILES=16, PREVIEW_EVERY=2, SCALE=1)]
    for number, code, step, saved in ((signal.SIGKILL, -signal.SIGKILL, 6, 4), (signal.SIGINT, 130, 9, 10)):
        main = MAIN.format(root=str(ROOT), step=step, number=int(number))
        result = subprocess.run([sys.executable, "-c", main, *arguments], cwd=tmp_path, env=environment(),
                                capture_output=True, text=True, timeout=120)
        assert result.returncode == code and "Traceback" not in result.stderr
        assert ("same command" in result.stderr) == (code == 130)
        assert checkpoints.load(tmp_path / "checkpoints" / "photo.pt")["step"] == saved
    assert tool(*arguments).code == 0
    broken = checkpoint_in(tmp_path), files_in(tmp_path / "samples")
    shutil.rmtree(tmp_path / "checkpoints")
    shutil.rmtree(tmp_path / "samples")
    assert tool(*arguments).code == 0
    assert_same(broken[0], checkpoint_in(tmp_path))
    assert broken[1] == files_in(tmp_path / "samples")


# A disk that is full


@pytest.mark.parametrize("size", [0, 1000, 50_000, 400_000])
def test_a_checkpoint_that_finds_no_room_leaves_both_generations_as_they_were(tmp_path, photo, size):
    path, state = tmp_path / "model.pt", {**MADE_OF, **make_trainer(photo).state()}
    for _ in range(2):
        checkpoints.save(path, state)
    before = files_in(tmp_path)
    with largest_file(size), pytest.raises(DiskError, match="model.pt cannot be written: File too large"):
        checkpoints.save(path, state)
    assert files_in(tmp_path) == before


def full_from(monkeypatch, step, until=10**6):
    """No checkpoint can be written while the trainer is at these steps."""
    writes, save = [], torch.save

    def fail(state, file):
        if step <= state.get("step", 0) < until:
            writes.append(state["step"])
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", fail)
    return writes


def test_a_periodic_save_that_fails_warns_and_training_goes_on(trained, tmp_path, monkeypatch):
    failed = full_from(monkeypatch, 6, 10)
    result = trained(EPOCHS=5)
    assert result.code == 0
    assert failed == [6, 8]
    assert result.err.count("photo.pt cannot be written: No space left on device; training goes on") == 2
    assert checkpoint_in(tmp_path)["step"] == 10


def test_a_last_save_that_fails_fails_the_run_and_what_was_good_is_still_good(trained, tmp_path, monkeypatch):
    before = files_in(tmp_path / "checkpoints")
    full_from(monkeypatch, 6)
    result = trained(EPOCHS=4)
    assert result.code == 1
    assert "photo.pt cannot be written" in result.err.splitlines()[-1] and "Traceback" not in result.err
    assert files_in(tmp_path / "checkpoints") == before


FAILING = """
import ctypes, sys, types
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
sys.modules["triton"] = None  # importing these crashes beside libfiu, triton now and then; not needed here
import torch
for name in ("matplotlib", "matplotlib.figure"):
    sys.modules[name] = types.SimpleNamespace(Figure=None)
from texture_diffusion_tools.learning import checkpoints
from texture_diffusion_tools.running.errors import DiskError
from conftest import MADE_OF, draw_photo, make_trainer

fiu = ctypes.CDLL("libfiu.so.0")
path, state = Path(sys.argv[1]) / "model.pt", {{**MADE_OF, **make_trainer(draw_photo(54, 70)).state()}}
checkpoints.save(path, state)
outcomes = {{"saved": 0, "refused": 0}}
for number in range(1, 41):
    step = checkpoints.load(path)["step"]
    for name in (b"posix/io/rw/write", b"posix/io/oc/open", b"posix/io/sync/fsync", b"posix/io/dir/rename"):
        fiu.fiu_enable_random(name, ctypes.c_int(28), None, ctypes.c_uint(0), ctypes.c_float(0.02))
    try:
        checkpoints.save(path, {{**state, "step": number, "end": number}})
        outcome, expected = "saved", number
    except DiskError:
        outcome, expected = "refused", step
    finally:
        for name in (b"posix/io/rw/write", b"posix/io/oc/open", b"posix/io/sync/fsync", b"posix/io/dir/rename"):
            fiu.fiu_disable(name)
    outcomes[outcome] += 1
    assert checkpoints.load(path)["step"] in (expected, number)
print(outcomes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("fiu-run") and ctypes.util.find_library("fiu")), reason="needs libfiu")
def test_writes_that_fail_at_random_never_cost_the_checkpoint(tmp_path):
    code = FAILING.format(root=str(ROOT), tests=str(ROOT / "tests"))
    result = subprocess.run(["fiu-run", "-x", sys.executable, "-c", code, tmp_path], env=environment(),
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout.replace("'", '"'))
    assert outcomes["saved"] > 0 and outcomes["refused"] > 0, outcomes


# What is damaged


def zipped(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)


def packed(path):
    """The same file, deflated: torch.load would read it."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    zipped(path, zipfile.ZIP_DEFLATED, **members)


def shortened(part):
    return lambda path: path.write_bytes(path.read_bytes()[:int(path.stat().st_size * part)])


def flipped(path):
    """One bit of a weight."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def changed(**values):
    def change(path):
        torch.save({**torch.load(path, weights_only=True), **values}, path)
    return change


def without(name):
    def change(path):
        state = torch.load(path, weights_only=True)
        torch.save({key: value for key, value in state.items() if key != name}, path)
    return change


def with_nan(path):
    state = torch.load(path, weights_only=True)
    next(iter(state["ema"].values())).view(-1)[0] = float("nan")
    torch.save(state, path)


DAMAGE = {
    "empty": shortened(0), "a tenth": shortened(0.1), "a half": shortened(0.5), "nearly all": shortened(0.99),
    "a flipped bit": flipped, "deflated": packed, "a weight that is no number": with_nan,
    "text": lambda path: path.write_text("not a model"),
    "another zip": lambda path: zipped(path, holiday="sun"),
    "a list": lambda path: torch.save([1, 2], path), "a tensor": lambda path: torch.save(torch.zeros(3), path),
    "a whole module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "no digest": without("digest"), "no weights": without("ema"), "no step": without("step"),
    "a negative step": changed(step=-1), "a step that is text": changed(step="3"), "a step beyond the end":
    changed(step=10**6), "a digest that is a path": changed(digest="../../etc/passwd"),
    "constants that are a list": changed(constants=[1]), "a constant that is a dict": changed(constants={"A": {}}),
    "a curve of text": changed(curve=["abc"]), "a loss that is infinite": changed(losses=[float("inf")]),
    "an unknown precision": changed(precision="int8"), "a huge number": changed(seed=10**5000),
    "weights that are numbers": changed(ema={"a": 1}),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_both_are_named(path, capsys, kind):
    DAMAGE[kind](path)
    content = path.read_bytes()
    assert checkpoints.load(path)["step"] == 2
    warning = capsys.readouterr().err
    assert len(warning.splitlines()) == 1 and re.match("warning: .*model.pt .*model.previous.pt", warning)
    assert path.read_bytes() == content


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", DAMAGE)
def test_two_damaged_ones_are_a_failed_run_and_stay_as_they_are(path, kind):
    for file in checkpoints.generations(path):
        DAMAGE[kind](file)
    before = files_in(path.parent)
    with pytest.raises(RunError, match="model.pt.*model.previous.pt.*FRESH") as failure:
        checkpoints.load(path)
    assert "\n" not in str(failure.value)
    assert files_in(path.parent) == before


def test_a_missing_newest_one_is_said_too(path, capsys):
    path.unlink()
    assert checkpoints.load(path)["step"] == 2
    assert "is missing" in capsys.readouterr().err


def test_a_tool_with_damaged_checkpoints_ends_with_1_and_changes_nothing(tool, tmp_path):
    assert tool("photo.png", *tiny()).code == 0
    for file in (tmp_path / "checkpoints").glob("*.pt"):
        flipped(file)
    before = files_in(tmp_path)
    result = tool("photo.png", *tiny(EPOCHS=3))
    assert result.code == 1
    assert len(result.err.splitlines()) == 1 and "photo.pt" in result.err and "photo.previous.pt" in result.err
    assert files_in(tmp_path) == before


def test_a_tool_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(tool, tmp_path):
    assert tool("photo.png", *tiny(EPOCHS=3)).code == 0
    last = checkpoint_in(tmp_path)
    flipped(tmp_path / "checkpoints" / "photo.pt")
    result = tool("photo.png", *tiny(EPOCHS=3))
    assert result.code == 0 and "photo.previous.pt" in result.err
    assert_same(checkpoint_in(tmp_path), last)


OTHER = {"another format": changed(format=999), "another program": changed(program="x"),
         "from before": without("program"), "weights alone": lambda path: torch.save({"a": torch.zeros(3)}, path)}


@pytest.mark.parametrize("kind", OTHER)
def test_a_checkpoint_of_another_format_is_the_user_s_to_put_right(path, kind):
    OTHER[kind](path)
    with pytest.raises(UserError, match="model.pt.*format 1.*FRESH"):
        checkpoints.load(path)


def resized(name, shape):
    def change(state):
        state["ema"][name] = torch.zeros(shape)
    return change


def renamed(state):
    state["ema"]["other"] = state["ema"].pop("stem.bias")


def with_layers_of_references(state):  # of networks that were shown patches of the photo
    for weights in (state["net"], state["ema"]):
        weights.update({"references.gates.weight": torch.zeros(8, 64, 3, 3), "references.gates.bias": torch.zeros(8)})


def moments(state):
    state["opts"][0][0]["momentum"] = torch.zeros(7)


def foreign_moments(state):
    state["opts"][1][0]["evil"] = torch.zeros(())


@pytest.mark.parametrize("change", [resized("stem.bias", 9), renamed, with_layers_of_references, moments,
                                    foreign_moments, lambda state: state.update(net={}),
                                    lambda state: state.update(opts=[[], []]), lambda state: state.update(opts=[])])
def test_weights_that_do_not_fit_fail_the_run_in_one_line(trained, tmp_path, change):
    state = checkpoint_in(tmp_path)
    change(state)
    torch.save(state, tmp_path / "checkpoints" / "photo.pt")
    result = trained(EPOCHS=3)
    assert result.code == 1
    assert len(result.err.splitlines()) == 1 and "photo.pt" in result.err


def test_of_300_mutations_each_loads_as_it_was_saved_or_is_refused_in_one_line(path, photo):
    content, whole, random_ = path.read_bytes(), checkpoints.load(path), random.Random(0)
    target, outcomes, memory, slowest = path.with_name("mutated.pt"), [], devices.peak_memory(), 0
    for number in range(300):
        target.write_bytes(mutated(content, random_, near_an_end))
        start = time.process_time()  # of the processor: other programs don't count
        try:
            assert_same(checkpoints.load(target), whole)
            outcomes.append("as it was")
        except (RunError, UserError) as error:
            assert "\n" not in str(error), number
            outcomes.append("refused")
        slowest = max(slowest, time.process_time() - start)
    assert outcomes.count("refused") > 200
    assert slowest < 5 and devices.peak_memory() - memory < 5e8
    print(f"\n{outcomes.count('refused')} refused, slowest {slowest:.2f} s")


def near_an_end(length, random_):
    """A place among the first or last 2,000 bytes, where a zip file has its sizes."""
    place = random_.randrange(length) % 2000
    return random_.choice((place, length - 4 - place))


# What is malicious


class Trap:
    """Unpickled, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def script_module(path, sprung):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


def expanded(path, sprung):
    """A tensor of 10^9 elements that all lie in the same place."""
    state = torch.load(path, weights_only=True)
    state["ema"]["position"] = torch.zeros(1).expand(10**9)
    torch.save(state, path)


def laughing(path, sprung):
    """A list of lists of lists, 10^12 names of one number."""
    state, nest = torch.load(path, weights_only=True), [0] * 10
    for _ in range(11):
        nest = [nest] * 10
    torch.save({**state, "losses": nest}, path)


def bomb(path, sprung):
    """400 MB of zeros in a deflated member."""
    buffer = io.BytesIO()
    torch.save({"program": checkpoints.PROGRAM, "format": 1, "filling": torch.zeros(100_000_000)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in source.namelist():
            file.writestr(name, source.read(name))


MALICE = {
    "a pickle in a zip": lambda path, sprung: torch.save({"format": 1, "trap": Trap(sprung)}, path),
    "a legacy pickle": lambda path, sprung: torch.save({"trap": Trap(sprung)}, path,
                                                       _use_new_zipfile_serialization=False),
    "a plain pickle": lambda path, sprung: path.write_bytes(pickle.dumps(Trap(sprung))),
    "a TorchScript module": script_module, "an expanded tensor": expanded, "a nest of lists": laughing,
    "a bomb": bomb,
}
LOADED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from texture_diffusion_tools.learning import checkpoints
from texture_diffusion_tools.running.errors import RunError, UserError
checkpoints.load(Path(sys.argv[1]))  # the first load imports what it needs
for path in map(Path, sys.argv[2:]):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    def memory(name): return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024
    before, start = memory("VmRSS"), time.process_time()
    try:
        checkpoints.load(path)
        outcome = "loaded"
    except (UserError, RunError) as error:
        outcome = "refused"
    print(outcome, time.process_time() - start, memory("VmHWM") - before, path.stem)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")
@pytest.mark.filterwarnings("ignore")
def test_malicious_files_are_refused_in_2_s_and_500_mb_and_nothing_in_them_runs(tmp_path, photo):
    paths = [tmp_path / f"{name}.pt" for name in MALICE]
    whole = tmp_path / "whole.pt"
    for path in [whole, *paths]:
        checkpoints.save(path, {**MADE_OF, **make_trainer(photo).state()})
    for path, make in zip(paths, MALICE.values()):
        make(path, tmp_path / "sprung")
    result = subprocess.run([sys.executable, "-c", LOADED.format(root=str(ROOT)), whole, *paths], env=environment(),
                            capture_output=True, text=True, timeout=120)
    if "clear_refs" in result.stderr:
        pytest.skip("the peak of the memory cannot be measured here")
    assert result.returncode == 0, result.stderr
    lines = [line.split(" ", 3) for line in result.stdout.splitlines()]
    assert [name for *_, name in lines] == list(MALICE)
    assert [(name, outcome) for outcome, *_, name in lines] == [(name, "refused") for name in MALICE]
    seconds, memory = (max(float(line[place]) for line in lines) for place in (1, 2))
    print(f"\n{len(lines)} files, slowest {seconds:.2f} s, {memory / 1e6:.0f} MB more at most")
    assert seconds < 2 and memory < 5e8
    assert not (tmp_path / "sprung").exists()


def test_no_code_is_ever_loaded():
    """No file of the tool calls what would run what it reads."""
    forbidden, checked = {"pickle", "marshal", "shelve", "dill", "joblib"}, 0
    for path in [*ROOT.glob("*.py"), *(path for folder in ("texture_diffusion_tools", "prior", "examples", "benchmarks")
                                     for path in ROOT.glob(f"{folder}/**/*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name.split(".")[0] for alias in node.names} | {(getattr(node, "module", "") or "")}
                assert not names & forbidden, (path, node.lineno)
                assert not (getattr(node, "module", "") == "torch" and "load" in names), (path, node.lineno)
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "compile", "__import__"), (path, node.lineno)
                if name.endswith("torch.load"):
                    allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert allowed.get("weights_only") == "True", (path, node.lineno)
                    checked += 1
                if name in ("np.load", "numpy.load"):
                    assert all(ast.unparse(word.value) == "False" for word in node.keywords
                               if word.arg == "allow_pickle"), (path, node.lineno)
    assert checked >= 1


# What it says of itself


def test_a_checkpoint_says_what_it_is(tool, tmp_path):
    assert tool("photo.png", *tiny()).code == 0
    state = checkpoint_in(tmp_path)
    assert (state["program"], state["format"], state["version"]) == ("texture_diffusion", 1, __version__)
    assert state["constants"].keys() >= {"TILE_SIZE", "WIDTHS", "TIMESTEPS"}
    assert state["digest"] == td.load_photo(tmp_path / "photo.png").digest


def test_a_checkpoint_of_format_1_loads_for_ever(tool, tmp_path):
    """The file was written by the first version that promised this; it may never be changed."""
    packed = ROOT / "tests" / "format1.pt.xz"
    assert packed.stat().st_size < 50_000
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "photo.pt").write_bytes(lzma.decompress(packed.read_bytes()))
    settings = tiny(WIDTHS="(8,)", VALIDATION=0)
    drawn = tool("photo.png", *settings[:-1], "EPOCHS=0", settings[-1])
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "samples/photo/output_texture_3x3.png").exists()
    trained = tool("photo.png", *settings, "EPOCHS=3")
    assert trained.code == 0, trained.err
    assert checkpoint_in(tmp_path)["step"] == 6 and checkpoint_in(tmp_path)["seed"] == 0


def test_what_came_since_format_1_may_be_lacking(photo):
    trainer = make_trainer(photo)
    state = {"program": "texture_diffusion", "format": 1, **MADE_OF, **trainer.state()}
    for name in ("version", "size", "reported", "skipped", "in_a_row", "precision", "prior"):
        state.pop(name, None)
    trainer.load(checkpoints.check_values({**state, "end": 4, "step": 4}))
    assert (trainer.reported, trainer.skipped, trainer.in_a_row, trainer.prior) == (4, 0, 0, "")


def test_a_checkpoint_from_before_augment_was_trained_without_it_and_one_without_a_tile_size_fits_nothing():
    photo, now = draw_photo(54, 70), vars(constants_of("TILE_SIZE=16", "WIDTHS=(8,16)"))
    old = {name: now[name] for name in td.NETWORK_CONSTANTS + td.TRAINING_CONSTANTS if name != "AUGMENT"}
    state = {"digest": photo.digest, "size": (54, 70), "constants": old}
    names = td.NETWORK_CONSTANTS, td.TRAINING_CONSTANTS
    assert checkpoints.check_fit("a.pt", state, photo, now, *names, goes_on=True) == []
    with pytest.raises(UserError, match="AUGMENT is flips here and none"):
        checkpoints.check_fit("a.pt", state, photo, {**now, "AUGMENT": "flips"}, *names, goes_on=True)
    del old["TILE_SIZE"]
    with pytest.raises(UserError, match="TILE_SIZE is 16 here and None"):
        checkpoints.check_fit("a.pt", state, photo, now, *names, goes_on=False)


def test_a_checkpoint_of_another_photo_that_does_not_say_its_size_is_refused_too(tool, tmp_path):
    assert tool("photo.png", *tiny()).code == 0
    state = checkpoint_in(tmp_path)
    del state["size"]
    torch.save({**state, "digest": "0" * 64}, tmp_path / "checkpoints" / "photo.pt")
    result = tool("photo.png", *tiny())
    assert result.code == 2 and "another photo" in result.err


def test_a_model_that_can_only_draw_is_not_trained_further(tool, tmp_path):
    assert tool("photo.png", *tiny()).code == 0
    without("net")(tmp_path / "checkpoints" / "photo.pt")
    assert tool("photo.png", *tiny(EPOCHS=0)).code == 0
    result = tool("photo.png", *tiny(EPOCHS=3))
    assert result.code == 2 and "FRESH" in result.err


def test_checkpoints_put_aside_never_meet(path, tmp_path):
    everything = set(files_in(path.parent).values())
    photo = tmp_path / "photo.png"
    photo.touch()
    for content in (b"second", b"third"):
        checkpoints.put_aside(path, photo)
        path.write_bytes(content)
        everything.add(content)
    checkpoints.put_aside(path, photo)
    assert not path.exists()
    assert set(files_in(path.parent).values()) == everything and len(list(path.parent.iterdir())) == 4
