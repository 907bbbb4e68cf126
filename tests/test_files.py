"""Files: whole writes, a full disk, locks, and what is not the tool's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    checkpoint_in,
    draw_pixels,
    environment,
    figures,
    files_in,
    largest_file,
    send_when,
    slow_but,
    start,
    tiny,
)
from PIL import Image

from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import DiskError, RunError, UserError
from texture_diffusion_tools.writing import drawings

pytestmark = pytest.mark.usefixtures("plain_figures")


# Whole writes


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half of the n")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        files.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_failed_run_that_names_the_file(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="model.pt.*No space left"):
        files.write_atomically(tmp_path / "model.pt", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_write_replaces_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    files.write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_written_to_the_disk_before_its_name_is_and_then_the_folder(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append(
        "folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file") or fsync(number))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("name") or replace(*paths))
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    files.write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert calls == ["file", "name", "folder"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("write", [lambda file: torch.save(torch.zeros(99_999), file), lambda file: file.write(b"x"),
                                   lambda file: Image.new("RGB", (999, 999)).save(file, "PNG")])
def test_a_device_that_is_full_is_named(tmp_path, monkeypatch, write):
    real = open
    monkeypatch.setattr(files, "open", lambda path, mode: real("/dev/full", mode), raising=False)
    with pytest.raises(DiskError, match="file.pt cannot be written: No space left"):
        files.write_atomically(tmp_path / "file.pt", write)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("name", slow_but(["preview.png", "loss.csv", "loss.png"], "loss.csv"))
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
    assert trained(EPOCHS=0, SCALE=6).code == 0  # larger than any other picture
    path = tmp_path / "samples/photo/output_texture_6x6.png"
    before = path.read_bytes()
    with largest_file(len(before) - 1):
        result = trained(EPOCHS=0, SCALE=6)
    assert result.code == 1
    assert f"{path.name} cannot be written: File too large" in result.err
    assert path.read_bytes() == before
    assert trained(EPOCHS=0, SCALE=6).code == 0
    assert len(list((tmp_path / "samples/photo").glob("output*_6x6*.png"))) == 1


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


def test_on_macos_a_file_is_written_to_the_disk_itself(tmp_path, monkeypatch):
    fcntl, calls = pytest.importorskip("fcntl"), []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda number, command: calls.append((os.fstat(number).st_ino, command)))
    files.write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert calls == [((tmp_path / "a").stat().st_ino, 51), (tmp_path.stat().st_ino, 51)]


def test_a_disk_that_cannot_do_that_is_asked_for_less(tmp_path, monkeypatch):
    fcntl, calls, fsync = pytest.importorskip("fcntl"), [], os.fsync

    def refused(number, command):
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refused)
    monkeypatch.setattr(os, "fsync", lambda number: calls.append(number) or fsync(number))
    files.write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert (tmp_path / "a").read_bytes() == b"a" and len(calls) == 2


def test_what_windows_does_not_let_go_is_left_to_be_swept_later(tmp_path, monkeypatch):
    (tmp_path / ".a.png.12.tmp").touch()

    def busy(path, missing_ok=False):
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", busy)
        files.sweep(tmp_path, ".+")
        kept = drawings.Drawing([tmp_path / "b.png"], [(3, 8, True)], (3, 3), [None], {}, [])
        kept.keep(0, {}, {})
        kept.write([draw_pixels(3, 3)], 1, {}, {})
    assert (tmp_path / "b.png").exists()
    files.sweep(tmp_path, ".+")
    assert not (tmp_path / ".a.png.12.tmp").exists()


def test_a_disk_too_small_is_named_before_anything_is_done(drawing, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e9))
    result = drawing(OUTPUT_SIZE="(32768,32768)", EPOCHS=2)
    assert result.code == 2 and "3.23 GB" in result.err and "2.00 GB" in result.err and "training" not in result.err


# Names


@pytest.mark.parametrize("name, called", [
    ("CON.png", "CON_"), ("nul.jpg", "nul_"), ("AUX.tar.gz", "AUX_.tar"), ("com1.png", "com1_"), ("LPT².png", "LPT²_"),
    ("prn .png", "prn_"), ("CONIN$.png", "CONIN$_"), ("console.png", "console"), ("com10.png", "com10"),
    ("my con.png", "my con"), ("a.con.png", "a.con"), ("con_.png", "con_")])
def test_no_name_is_that_of_a_device_of_windows(name, called):
    assert files.name_of(name) == called


def results_in(folder, *names):
    """The paths of results of some names in a folder, which is made."""
    folder.mkdir(parents=True)
    with files.Results(folder, "digest") as results:
        return [results.path(name) for name in names]


LONG = "_".join(["output_texture_3x3", "ü" * 60, "guided_by", "ä" * 59, "ABC", "tileable_xy"])


def test_a_name_of_many_parts_is_shortened_where_no_disk_takes_it(tmp_path):
    paths = results_in(tmp_path / "of", f"{LONG}_seed1.png", f"{LONG}_seed2.png", f"{LONG}/albedo.png", "loss.csv")
    assert len(set(paths)) == 4 and paths[3].name == "loss.csv" and paths[2].name == "albedo.png"
    assert all(path.name.startswith("output_texture_3x3") for path in [*paths[:2], paths[2].parent])
    kept = drawings.Drawing(paths[:1], [(3, 8, True)], (9, 9), [None] * 2, {}, [])
    for path in (paths[0], paths[2], kept.path, kept.writers[0].part):
        files.write_atomically(path, lambda file: file.write(b"x"))
        files.write_atomically(path.with_name(path.name.replace(".png", ".999.png")), lambda file: file.write(b"x"))


@pytest.mark.parametrize("left", [120, 150, 200])
def test_a_whole_path_is_one_that_windows_takes(tmp_path, monkeypatch, left):
    folder = tmp_path / ("石" * 60)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "LONGEST_PATH", len(str(folder)) + left)
    paths = results_in(folder, f"{LONG}_seed1.png", f"{LONG}_seed2.png", f"{LONG}/{'a' * 99}.png", "preview.png")
    assert len(set(paths)) == 4 and paths[3].name == "preview.png"
    kept = drawings.Drawing(paths[2:3], [(3, 8, True)], (9, 9), [None] * 2, {}, [])
    for path in (*paths, kept.path):
        assert len(str(path.with_name(f".{path.name}.1234567.tmp"))) <= files.LONGEST_PATH


def test_a_folder_too_deep_for_windows_is_refused_with_the_numbers(tmp_path, monkeypatch):
    touch, most = Path.touch, len(str(tmp_path)) + 99

    def refused(path):
        if len(str(path)) > most:
            raise FileNotFoundError(2, "The system cannot find the path specified")
        touch(path)

    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "LONGEST_PATH", most)
    monkeypatch.setattr(Path, "touch", refused)
    deep = tmp_path / ("a" * 80)
    with pytest.raises(UserError, match=f"nearer to the root of a disk.*characters are more than the {most}"):
        files.prepare_folders(deep, tmp_path, "rock")
    with pytest.raises(UserError, match="a shorter name for the photo"):
        files.prepare_folders(tmp_path, deep, "rock")
    files.prepare_folders(tmp_path, tmp_path, "rock")


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


@pytest.mark.slow
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


def test_a_disk_that_never_knows_a_file_again_locks_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda *stats: False)
    with files.locked(tmp_path / "lock", "photo"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_a_lock_ends_with_its_process_however_it_ends(tmp_path):
    code = (f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from pathlib import Path\nfrom texture_diffusion_tools.running import files\n"
            "lock = files.locked(Path('lock'), 'photo'); lock.__enter__()\nos.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment()).returncode in (-9, 9)
    with files.locked(tmp_path / "lock", "photo"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


# The user's files


def outputs(tmp_path):
    return sorted(path.name for path in (tmp_path / "samples/photo").glob("output*.png"))


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


@pytest.mark.parametrize("name, link", slow_but([
    ("preview", "itself"), ("output_texture_3x3", "itself"), ("loss", "itself"), ("output_texture_3x3", os.link),
    ("output_texture_3x3", os.symlink)], ("output_texture_3x3", "itself"), ("output_texture_3x3", os.symlink)))
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


@pytest.mark.parametrize("content", slow_but(["", "{", "[]", '{"output_texture_3x3.png": 3}', "\x00" * 99], "{"))
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
