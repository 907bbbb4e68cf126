"""Several processes that do the job together, by torchrun with Gloo."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, draw_pixels, environment, tiny
from PIL import Image

from texture_diffusion_tools.learning import checkpoints
from texture_diffusion_tools.running import processes
from texture_diffusion_tools.running.errors import RunError

STEPS = 5
RUN = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import torch
import texture_diffusion as td
from texture_diffusion_tools.laying import matching
from texture_diffusion_tools.running import devices, exit_codes, files
from texture_diffusion_tools.writing import pictures
devices.pick_precision, matching.ATTEMPTS = lambda *args: torch.float32, 1  # as the fixture tool has it
pictures.save_figure = lambda path, figure: files.write_atomically(path, lambda file: file.write(b"-"))
torch.set_num_threads(1)
die, train_step = int(os.environ.get("DIE_AT", -1)), td.Trainer.train_step
def mortal(self):
    if self.step == die and os.environ.get("RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self)
td.Trainer.train_step = mortal
sys.exit(exit_codes.run(td.main))
"""


@pytest.fixture
def launch(tmp_path, tool, monkeypatch):
    """Runs the tool as so many processes in a folder with photo.png, this one if it is one: launch(2, folder, EPOCHS=1)
    -> exit code, out, err."""
    if os.name == "nt":
        pytest.skip("torchrun was not tried on Windows")
    (tmp_path / "tool.py").write_text(RUN)

    def prepared(name, changes):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        Image.fromarray(draw_pixels(54, 70)).save(folder / "photo.png")
        return folder, ["photo.png", *tiny(**{"EPOCH_TILES": 4 * STEPS, "EPOCHS": 1, **changes})]

    def start(processes, name, die_at=-1, **changes):
        folder, arguments = prepared(name, changes)
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *launcher, str(tmp_path / "tool.py"), *arguments]
        return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment(DIE_AT=str(die_at), OMP_NUM_THREADS="1"))

    def run(processes, name, **changes):
        if processes == 1:
            folder, arguments = prepared(name, changes)
            monkeypatch.chdir(folder)
            result = tool(*arguments)
            return result.code, result.out, result.err
        process = start(processes, name, **changes)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    run.start, run.folder = start, tmp_path
    return run


def checkpoint(folder):
    return checkpoints.load(folder / "checkpoints/photo.pt")


def texture(folder):
    return np.asarray(Image.open(folder / "samples/photo/output_texture_3x3.png")).astype(int)


@pytest.mark.slow
def test_two_processes_train_and_draw_what_one_does(launch):
    one, two = launch(1, "one"), launch(2, "two")
    assert one[0] == two[0] == 0, two[2]
    assert two[1].count("output:") == 1 and two[2].count("training: 100%") <= 1
    states = [checkpoint(launch.folder / name) for name in ("one", "two")]
    assert [state["step"] for state in states] == [STEPS, STEPS]
    for name, value in states[0]["net"].items():
        # Sums in another order. AdamW moves a bias whose gradient is little but round-off by its rate all the same.
        assert torch.allclose(value, states[1]["net"][name], atol=2e-4 if value.ndim == 4 else 1e-3), name
    assert states[0]["curve"][0][1] == pytest.approx(states[1]["curve"][0][1], rel=1e-4)
    assert np.abs(texture(launch.folder / "one") - texture(launch.folder / "two")).max() <= 1


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_one_process_goes_on(launch):
    more = {"EPOCHS": 3, "SAVE_EVERY": 1}
    code, _, err = launch(2, "killed", die_at=2 * STEPS + 2, **more)
    assert code != 0 and "SIGKILL" in err
    assert checkpoint(launch.folder / "killed")["step"] == 2 * STEPS
    code, _, err = launch(1, "killed", **more)
    assert code == 0, err
    assert checkpoint(launch.folder / "killed")["step"] == 3 * STEPS


@pytest.mark.slow
def test_a_stop_signal_reaches_all_at_the_same_step(launch):
    process = launch.start(2, "stopped", EPOCHS=10**6, SAVE_EVERY=10**6, PREVIEW_EVERY=10**6)
    curve, end = launch.folder / "stopped/samples/photo/loss.csv", time.monotonic() + 100
    while not curve.exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.1)
    assert curve.exists() and process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=200)
    assert process.returncode != 0
    assert err.count("the same command") == 1, err
    assert STEPS <= checkpoint(launch.folder / "stopped")["step"] < 10**6 * STEPS


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused_with_one_sentence(launch):
    code, _, err = launch(2, "odd", BATCH_SIZE=5)
    assert code != 0 and err.count("BATCH_SIZE is 5") == 1


@pytest.mark.parametrize("text", ["DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes",
                                  "CUDA error: an illegal memory access was encountered"])
def test_a_process_of_several_says_what_it_lacks_and_not_that_it_lost_the_others(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "join", lambda: processes.ALONE)
    monkeypatch.setattr(processes.dist, "destroy_process_group", lambda: None)
    with pytest.raises(RuntimeError, match=text), processes.joined():
        raise RuntimeError(text)


@pytest.fixture
def joining(monkeypatch):
    """Joins the others without any: joining(error or None) -> how they were to talk."""
    backends = []

    def call(error=None):
        def initialise(backend):
            backends.append((backend, os.environ.get("USE_LIBUV")))
            if error is not None:
                raise error

        monkeypatch.setattr(processes.dist, "init_process_group", initialise)
        monkeypatch.setattr(processes, "TorchrunGroup", lambda device: device)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
        monkeypatch.setattr(processes.devices, "pick_device", lambda *args: torch.device("cuda"))
        monkeypatch.setattr(processes.dist, "is_nccl_available", lambda: False)
        monkeypatch.delenv("USE_LIBUV", raising=False)
        processes.join()
        return backends[-1]

    return call


@pytest.mark.parametrize("windows, libuv", [(True, "0"), (False, None)])
def test_on_windows_processes_talk_without_libuv_and_nccl(joining, monkeypatch, windows, libuv):
    monkeypatch.setenv("USE_LIBUV", "1")  # is put back
    monkeypatch.setattr(processes, "WINDOWS", windows)
    assert joining() == ("gloo", libuv)


def test_processes_that_do_not_find_each_other_are_one_sentence(joining):
    with pytest.raises(RunError, match="do not find each other .*libuv support.*; set USE_LIBUV=0 in the environment"):
        joining(RuntimeError("use_libuv was requested but PyTorch was built without libuv support\nException raised"))
    with pytest.raises(RunError, match=r"do not find each other \(timed out\)$"):
        joining(RuntimeError("timed out"))
