"""A full disk, signals wherever they arrive, two runs at a time, and files that are not the tool's."""

import contextlib
import ctypes.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    MADE_OF,
    ROOT,
    SCRIPT,
    checkpoint_in,
    draw_pixels,
    environment,
    figures,
    files_in,
    make_trainer,
    tiny,
)
from PIL import Image
from test_training import assert_same

import texture_diffusion as td
from texture_tools import bands, checkpoints, files, measures, pictures, png
from texture_tools.errors import DiskError

pytestmark = pytest.mark.usefixtures("plain_figures")

# A disk that is full


@contextlib.contextmanager
def largest_file(size):
    """While entered, no file can grow beyond size bytes."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 1000, 50_000, 400_000])
def test_a_checkpoint_that_finds_no_room_leaves_both_generations_as_they_were(tmp_path, photo, size):
    path, state = tmp_path / "model.pt", {**MADE_OF, **make_trainer(photo).state()}
    for _ in range(2):
        checkpoints.save(path, state)
    before = files_in(tmp_path)
    with largest_file(size), pytest.raises(DiskError, match="model.pt cannot be written: File too large"):
        checkpoints.save(path, state)
    assert files_in(tmp_path) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("write", [lambda file: torch.save(torch.zeros(99_999), file), lambda file: file.write(b"x"),
                                   lambda file: Image.new("RGB", (999, 999)).save(file, "PNG")])
def test_a_device_that_is_full_is_named(tmp_path, monkeypatch, write):
    real = open
    monkeypatch.setattr(files, "open", lambda path, mode: real("/dev/full", mode), raising=False)
    with pytest.raises(DiskError, match="file.pt cannot be written: No space left"):
        files.write_atomically(tmp_path / "file.pt", write)
    assert files_in(tmp_path) == {}


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


@pytest.mark.parametrize("name", ["preview.png", "loss.csv", "loss.png"])
def test_a_report_that_finds_no_room_does_not_end_the_training(trained, tmp_path, monkeypatch, name):
    write = files.write_atomically

    def fail(path, *args):
        if path.name == name:
            raise DiskError(f"{path} cannot be written: No space left on device")
        write(path, *args)

    monkeypatch.setattr(files, "write_atomically", fail)
    result = trained(EPOCHS=4)
    assert result.code == 0
    assert f"{name} cannot be written" in result.err
    assert checkpoint_in(tmp_path)["step"] == 8


def test_a_texture_that_finds_no_room_fails_the_run_and_the_old_one_stays(trained, tmp_path):
    path = tmp_path / "samples/photo/output_texture_3x3.png"
    before = path.read_bytes()
    with largest_file(20_000):
        result = trained(EPOCHS=0)
    assert result.code == 1
    assert f"{path.name} cannot be written: File too large" in result.err
    assert path.read_bytes() == before
    assert trained(EPOCHS=0).code == 0
    assert len(list((tmp_path / "samples/photo").glob("output*"))) == 1


FAILING = """
import ctypes, sys, types
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
import torch
for name in ("matplotlib", "matplotlib.figure"):  # importing them crashes beside libfiu; not needed here
    sys.modules[name] = types.SimpleNamespace(Figure=None)
from texture_tools import checkpoints
from texture_tools.errors import DiskError
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


@pytest.mark.skipif(not (shutil.which("fiu-run") and ctypes.util.find_library("fiu")), reason="needs libfiu")
def test_writes_that_fail_at_random_never_cost_the_checkpoint(tmp_path):
    code = FAILING.format(root=str(ROOT), tests=str(ROOT / "tests"))
    result = subprocess.run(["fiu-run", "-x", sys.executable, "-c", code, tmp_path], env=environment(),
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout.replace("'", '"'))
    assert outcomes["saved"] > 0 and outcomes["refused"] > 0, outcomes


def test_a_memory_that_is_full_is_one_sentence(trained, monkeypatch):
    monkeypatch.setattr(td, "announce", lambda *args: torch.empty(10**15))
    result = trained(EPOCHS=3)
    assert result.code == 1 and len(result.err.splitlines()) == 1 and "BATCH_SIZE" in result.err


# Temporary files


def test_what_a_killed_run_left_half_written_is_swept(trained, tmp_path):
    ours = [tmp_path / "checkpoints" / ".photo.pt.4711.tmp", tmp_path / "samples/photo/.preview.png.4711.tmp",
            tmp_path / "checkpoints" / ".photo.pt.4711.link"]
    others = [tmp_path / "checkpoints" / ".photograph.pt.4711.tmp", tmp_path / "samples/photo/notes.tmp"]
    for path in ours + others:
        path.write_bytes(b"half")
    assert trained(EPOCHS=0).code == 0
    assert not any(path.exists() for path in ours) and all(path.exists() for path in others)


def test_a_file_that_windows_has_open_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "new").write_bytes(b"new")
    attempts, replace = [], os.replace

    def busy(*paths):
        attempts.append(paths)
        if len(attempts) < 3:
            raise PermissionError(13, "The process cannot access the file")
        replace(*paths)

    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    files.replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new" and len(attempts) == 3


def test_a_file_that_stays_open_is_waited_for_no_longer_than_a_bounded_time(tmp_path, monkeypatch):
    waits = []

    def busy(*paths):
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(DiskError, match="file.txt cannot be written: The process cannot"):
        files.write_atomically(tmp_path / "file.txt", lambda file: file.write(b"x"))
    assert 1 < sum(waits) < 10
    assert files_in(tmp_path) == {}

def test_a_file_is_written_to_the_disk_before_its_name_is_and_then_the_folder(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append(
        "folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file") or fsync(number))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("name") or replace(*paths))
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    files.write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert calls == ["file", "name", "folder"]


# Signals


def send_when(process, number, condition, seconds=90):
    """Send a signal once a condition holds; returns the seconds until the process ended, its exit code and stderr."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    start = time.monotonic()
    _, err = process.communicate(timeout=60)
    return time.monotonic() - start, process.returncode, err


def start(folder, *arguments):
    return subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], cwd=folder, env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_packages_are_imported_ends_the_run_without_a_traceback(tmp_path, number, code):
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "photo.png")
    process, begun = start(tmp_path, "photo.png", *tiny()), time.monotonic()
    mapped = Path(f"/proc/{process.pid}/maps")
    seconds, found, err = send_when(process, number, lambda: "libtorch" in mapped.read_text() if mapped.exists()
                                    else time.monotonic() > begun + 0.5)
    assert (found, err) == (code, "") and seconds < 8
    assert not (tmp_path / "checkpoints").exists()


@pytest.fixture
def signalled(tool, monkeypatch):
    """Runs the tool with a signal that arrives when a function of the script is called for the n-th time."""
    def call(function, number, *arguments, nth=1):
        owner, name = function
        calls, function = [], getattr(owner, name)

        def interrupted(*args, **kwargs):
            calls.append(name)
            if len(calls) == nth:
                signal.raise_signal(number)
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, interrupted)
        result = tool("photo.png", *arguments)
        monkeypatch.setattr(owner, name, function)
        assert len(calls) >= nth, f"{name} was called {len(calls)} times"
        return result

    return call


PLACES = {  # where the signal arrives -> a function, and which call of it
    "the photo is read": ((td, "normalise"), 1), "the network is built": ((td, "build_net"), 1),
    "the first step": ((td, "predict_x0"), 1), "a later step": ((td, "learning_rate_at"), 4),
    "the last preview": ((td, "ddim_step"), 5), "a save": ((checkpoints, "keep_generation"), 2),
    "the curve": ((pictures, "save_curve"), 1), "the predictions": ((td, "draw_steps"), 1),
    "the layout": ((td, "lay_out"), 1), "outpainting": ((td, "outpaint"), 1),
    "the figures": ((measures, "seam_ratios"), 1)}
STOPS = [(place, signal.SIGINT, 130) for place in PLACES] + [("a later step", signal.SIGTERM, 143),
                                                            ("outpainting", signal.SIGTERM, 143)]
UNBROKEN = []  # what a run without a signal leaves: its pictures and its checkpoint


@pytest.mark.parametrize("place, number, code", STOPS)
def test_a_signal_anywhere_ends_the_run_and_the_same_command_ends_as_if_there_had_been_none(
        signalled, tool, tmp_path, place, number, code):
    function, nth = PLACES[place]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    arguments = tiny(EPOCHS=3, SAMPLER="ddim")
    if not UNBROKEN:
        assert tool("photo.png", *arguments).code == 0
        UNBROKEN.extend([files_in(tmp_path / "samples"), checkpoint_in(tmp_path)])
        shutil.rmtree(tmp_path / "samples")
        shutil.rmtree(tmp_path / "checkpoints")
    stopped = signalled(function, number, *arguments, nth=nth)
    assert stopped.code == code, stopped.err
    last = stopped.err.strip().splitlines()[-1]
    assert "stopped" in last and "Traceback" not in stopped.err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert not list(tmp_path.rglob("*.tmp"))
    assert tool("photo.png", *arguments).code == 0
    assert files_in(tmp_path / "samples") == UNBROKEN[0]
    assert_same(checkpoint_in(tmp_path), UNBROKEN[1])


def test_a_stop_does_not_wait_for_the_rest_of_a_preview(signalled, tmp_path, monkeypatch):
    drawn, ddim_step = [], td.ddim_step
    monkeypatch.setattr(td, "ddim_step", lambda *args: drawn.append(1) or ddim_step(*args))
    result = signalled((td, "ddim_step"), signal.SIGINT, *tiny(SAMPLER="ddim", SAMPLE_STEPS=15), nth=4)
    assert result.code == 130 and len(drawn) == 3
    assert checkpoint_in(tmp_path)["step"] == 2


def test_a_stop_between_steps_saves_them(signalled, tmp_path):
    assert signalled((td, "learning_rate_at"), signal.SIGINT, *tiny(EPOCHS=3, SAVE_EVERY=100), nth=4).code == 130
    assert checkpoint_in(tmp_path)["step"] == 2  # two steps are a trial, to tell how long it will take


def test_the_tiles_that_were_drawn_before_a_stop_are_not_drawn_again(signalled, tool, tmp_path, monkeypatch):
    drawn, place = [], td.Canvas.place
    monkeypatch.setattr(td.Canvas, "place", lambda self, cells, tiles: drawn.extend(cells) or place(self, cells, tiles))
    arguments = tiny(BATCH_SIZE=2, EPOCH_TILES=4)
    assert signalled((td.Canvas, "place"), signal.SIGTERM, *arguments, nth=5).code == 143
    assert 8 <= len(drawn) <= 12
    assert tool("photo.png", *arguments).code == 0
    assert len(drawn) - len(set(drawn)) <= 2  # a batch was under way


def test_a_second_interrupt_does_not_wait_for_the_save(signalled, monkeypatch):
    """The first stops the training, which saves; the second arrives in that save."""
    saves = []

    def slow(state, file):
        saves.append("begun")
        signal.raise_signal(signal.SIGINT)
        saves.append("ended")

    monkeypatch.setattr(torch, "save", slow)
    result = signalled((td, "learning_rate_at"), signal.SIGINT, *tiny(EPOCHS=3, SAVE_EVERY=100), nth=4)
    assert result.code == 130 and saves == ["begun"]


def test_a_long_drawing_stops_within_seconds(tmp_path):
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "photo.png")
    arguments = ["photo.png", *tiny(TIMESTEPS=1000, SAMPLER="ddpm", SAMPLE_STEPS=60, SCALE=20, PREVIEW_EVERY=100)]
    process, model = start(tmp_path, *arguments), tmp_path / "checkpoints" / "photo.pt"
    seconds, code, err = send_when(process, signal.SIGINT, lambda: model.exists()
                                   and (tmp_path / "samples/photo/diffusion_steps.png").exists())
    assert code == 130 and seconds < 10 and "Traceback" not in err


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


# Two runs at a time


def test_a_second_run_on_the_same_photo_says_so_and_stops(trained, tmp_path):
    before = files_in(tmp_path)
    with files.locked(tmp_path / "checkpoints" / ".photo.lock", "photo"):
        result = trained(EPOCHS=3)
        assert result.code == 2
        assert len(result.err.splitlines()) == 1 and "another run" in result.err and str(os.getpid()) in result.err
    assert files_in(tmp_path) == before
    assert trained(EPOCHS=3).code == 0


def test_runs_that_share_only_the_pictures_folder_are_two_at_a_time_as_well(trained, tmp_path):
    with files.locked(tmp_path / "samples/photo/.lock", "photo"):
        assert trained(EPOCHS=0).code == 2


def test_two_processes_at_once_are_one_run(tool, tmp_path):
    arguments = ["photo.png", *tiny(EPOCHS=1000)]
    process, second = start(tmp_path, *arguments), []

    def refused():
        if list(tmp_path.glob("checkpoints/photo.pt")):
            second.append(tool(*arguments))
        return second

    assert send_when(process, signal.SIGTERM, refused)[1] == 143
    assert second[0].code == 2 and f"process {process.pid}" in second[0].err


def test_the_lock_of_a_process_that_is_gone_is_taken_over(trained, tmp_path):
    (tmp_path / "checkpoints" / ".photo.lock").write_text("999999\n")
    assert trained(EPOCHS=0).code == 0
    assert not list(tmp_path.rglob("*lock"))


def test_a_lock_ends_with_its_process_however_it_ends(tmp_path):
    code = (f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from pathlib import Path\nfrom texture_tools import files\n"
            "lock = files.locked(Path('lock'), 'photo'); lock.__enter__()\nos.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment()).returncode == -9
    with files.locked(tmp_path / "lock", "photo"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


# The user's files


def outputs(tmp_path):
    return sorted(path.name for path in (tmp_path / "samples/photo").glob("output*"))


def test_a_result_takes_the_place_of_the_same_result(trained, tmp_path):
    assert trained(EPOCHS=0).code == 0 and trained(EPOCHS=0).code == 0
    assert outputs(tmp_path) == ["output_texture_3x3.png"]


def test_a_file_that_the_tool_did_not_make_is_not_replaced(trained, tmp_path):
    path = tmp_path / "samples/photo/output_texture_3x3_seed1.png"
    path.write_bytes(b"a friend's")
    for _ in range(2):
        result = trained(EPOCHS=0, SEED=1)
        assert result.code == 0
        assert figures(result.out)["output"].endswith("output_texture_3x3_seed1.2.png")
    assert path.read_bytes() == b"a friend's"
    assert outputs(tmp_path) == ["output_texture_3x3.png", "output_texture_3x3_seed1.2.png",
                                 "output_texture_3x3_seed1.png"]


def test_a_result_that_was_changed_since_is_not_replaced(trained, tmp_path):
    path = tmp_path / "samples/photo/output_texture_3x3.png"
    edited = np.asarray(Image.open(path)).copy()
    edited[:9] = 0
    Image.fromarray(edited).save(path)
    content = path.read_bytes()
    assert trained(EPOCHS=0).code == 0
    assert path.read_bytes() == content and len(outputs(tmp_path)) == 2


def test_results_of_another_photo_of_the_same_name_are_not_replaced(trained, tmp_path):
    before = files_in(tmp_path / "samples")
    Image.fromarray(draw_pixels(54, 70, seed=5)).save(tmp_path / "photo.png")
    assert trained(FRESH=True, EPOCHS=1).code == 0
    after = files_in(tmp_path / "samples")
    assert {name: after[name] for name in before if name.name != ".made.json"} == \
        {name: before[name] for name in before if name.name != ".made.json"}
    assert Path("photo/output_texture_3x3.2.png") in after and Path("photo/loss.2.csv") in after


@pytest.mark.parametrize("name, link", [("preview", "itself"), ("output_texture_3x3", "itself"), ("loss", "itself"),
                                        ("output_texture_3x3", os.link), ("output_texture_3x3", os.symlink)])
def test_the_photo_is_never_overwritten(tool, tmp_path, name, link):
    """It lies where a result of its name goes, or a link to it does."""
    folder = tmp_path / "samples" / name
    folder.mkdir(parents=True)
    place = folder / f"{name}.png"
    photo = place if link == "itself" else tmp_path / f"{name}.png"
    (tmp_path / "photo.png").rename(photo)
    if link != "itself":
        link(photo, place)
    content, inode = photo.read_bytes(), photo.stat().st_ino
    result = tool(photo, *tiny())
    assert result.code == 0, result.err
    assert photo.read_bytes() == place.read_bytes() == content and photo.stat().st_ino == inode
    assert (folder / f"{name}.2.png").exists() and place.is_symlink() == (link is os.symlink)


def test_a_photo_that_lies_where_its_model_goes_is_not_put_aside(tool, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    photo = tmp_path / "checkpoints" / "rock.pt"
    (tmp_path / "photo.png").rename(photo)
    content = photo.read_bytes()
    assert tool(photo, *tiny()).code == 1
    assert tool(photo, *tiny(FRESH=True)).code == 2
    assert photo.read_bytes() == content and len(list(photo.parent.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"output_texture_3x3.png": 3}', "\x00" * 99])
def test_a_damaged_list_of_results_replaces_nothing(trained, tmp_path, content):
    before = files_in(tmp_path / "samples")
    (tmp_path / "samples/photo/.made.json").write_text(content)
    assert trained(EPOCHS=0).code == 0
    after = files_in(tmp_path / "samples")
    assert all(after[name] == before[name] for name in before if name.name != ".made.json")
    assert len(outputs(tmp_path)) == 2


def test_a_checkpoint_never_supplies_a_path(trained, tmp_path):
    state = checkpoint_in(tmp_path)
    state.update(name="../../evil", path="/tmp/evil")
    state["constants"].update(OUTPUT_DIR="../evil", IMAGE="/etc/passwd")
    torch.save(state, tmp_path / "checkpoints" / "photo.pt")
    before = {path for path in tmp_path.parent.iterdir()}
    assert trained(EPOCHS=3).code == 0
    assert {path for path in tmp_path.parent.iterdir()} == before and not list(tmp_path.rglob("*evil*"))


def test_drawing_goes_on_only_from_what_is_whole_and_fits(tmp_path):
    """A file beside the texture, made by others, draws nothing."""
    writer = png.WholePng(tmp_path / "x.png", {})
    drawing, shape = bands.Drawing(writer, "k"), (3, 16, 16)
    good = {"key": "k", "done": 0, "writer": {}, "drawn": {(0, 1): torch.zeros(3, 16, 16)}}
    bad = [{"key": "other"}, {"drawn": {(0, 1): torch.zeros(3, 8, 8)}}, {"done": -1}, {"drawn": [1]},
           {"writer": {"rows": 1}}, {"drawn": {(0, 1): torch.zeros(1).expand(3, 16, 16)}},
           {"drawn": {(0, 1): torch.full((3, 16, 16), float("nan"))}}]
    for change in bad:
        torch.save({**good, **change}, drawing.path)
        assert drawing.resume(shape) == (0, {}), change
    torch.save(good, drawing.path)
    assert drawing.resume(shape)[1].keys() == {(0, 1)}


def test_results_go_where_the_constants_say_and_nowhere_else(tool, tmp_path):
    assert tool("photo.png", *tiny(OUTPUT_DIR="out", CHECKPOINT_DIR="models")).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "out", "models"}
