"""Stop signals, wherever they arrive."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import (
    SCRIPT,
    assert_same,
    checkpoint_in,
    draw_pixels,
    environment,
    files_in,
    send_when,
    slow_but,
    start,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools import checkpoints, exit_codes, measures, pictures, signals
from texture_diffusion_tools.errors import Stopped

pytestmark = pytest.mark.usefixtures("plain_figures")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_only_noted_and_the_handler_given_back(number):
    before = signal.getsignal(number)
    with signals.StopSignals() as stop:
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_without_a_signal_the_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError), signals.StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise ValueError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_interrupt_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), signals.StopSignals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def ctrl_break(monkeypatch):
    """Windows' signal of Ctrl-Break, here another one; whoever does not know it does nothing."""
    if not hasattr(signal, "SIGBREAK"):
        monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = signal.signal(signal.SIGBREAK, lambda *args: None)
    yield signal.SIGBREAK
    signal.signal(signal.SIGBREAK, before)


def test_ctrl_break_stops_a_run_too(ctrl_break):
    before = signal.getsignal(ctrl_break)
    with signals.StopSignals() as stop:
        signal.raise_signal(ctrl_break)
        assert stop.received == ctrl_break
    with pytest.raises(Stopped) as stopped, signals.StopAtOnce():
        signal.raise_signal(ctrl_break)
    assert stopped.value.exit_code == 128 + ctrl_break and signal.getsignal(ctrl_break) == before


BREAK = """
import runpy, signal, sys
signal.SIGBREAK = signal.SIGUSR1
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows sends no signals to another process")
def test_ctrl_break_while_packages_are_imported_is_no_crash(tmp_path):
    (tmp_path / "numpy.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGUSR1)\ntime.sleep(9)")
    result = subprocess.run([sys.executable, "-c", BREAK, SCRIPT, "photo.png"], capture_output=True, text=True,
                            env=environment(PYTHONPATH=os.pathsep.join([str(tmp_path), str(SCRIPT.parent)])))
    assert (result.returncode, result.stderr) == (128 + signal.SIGUSR1, "")


def test_a_file_stops_a_run_where_no_signal_can_be_sent(tmp_path, monkeypatch):
    monkeypatch.setenv(signals.STOP_FILE, str(tmp_path / "stop"))
    monkeypatch.setattr(signals, "OFTEN", 0.01)
    received, handler = [], signal.getsignal(signal.SIGTERM)

    def main():
        with signals.StopSignals() as stop:  # training, which saves
            (tmp_path / "stop").touch()
            end = time.monotonic() + 10
            while stop.received is None and time.monotonic() < end:
                time.sleep(0.001)
            received.append(stop.received)

    assert exit_codes.run(main) == 0 and received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_file_stops_it_at_once_where_there_is_nothing_to_save(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(signals.STOP_FILE, str(tmp_path / "stop"))
    monkeypatch.setattr(signals, "OFTEN", 0.01)
    (tmp_path / "stop").touch()
    end = time.monotonic() + 10

    def main():
        while time.monotonic() < end:
            time.sleep(0.001)

    assert exit_codes.run(main) == 143 and capsys.readouterr().err == "test_signals: stopped\n"


# Whole runs


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
    "the curve": ((pictures, "save_curve"), 1), "the predictions": ((pictures, "draw_steps"), 1),
    "the layout": ((td, "lay_out"), 1), "outpainting": ((td, "outpaint"), 1),
    "the figures": ((measures, "seam_ratios"), 1)}
STOPS = [(place, signal.SIGINT, 130) for place in PLACES] + [("a later step", signal.SIGTERM, 143),
                                                            ("outpainting", signal.SIGTERM, 143)]
def results_in(folder):
    """The results of a run and their list, without the files that name the folders they are in."""
    found = {path: content for path, content in files_in(folder / "samples").items() if path.suffix != ".toml"}
    made = json.loads(found.pop(Path("photo/.made.json")))
    return found, {name: entry for name, entry in made.items() if not name.endswith(".toml")}


UNBROKEN = []  # what a run without a signal leaves: its pictures and its checkpoint


@pytest.mark.parametrize("place, number, code", slow_but(STOPS, STOPS[3], STOPS[5], STOPS[-1]))
def test_a_signal_anywhere_ends_the_run_and_the_same_command_ends_as_if_there_had_been_none(
        signalled, tool, tmp_path, place, number, code):
    function, nth = PLACES[place]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    arguments = tiny(EPOCHS=3, SAMPLER="ddim")
    if not UNBROKEN:
        assert tool("photo.png", *arguments).code == 0
        UNBROKEN.extend([results_in(tmp_path), checkpoint_in(tmp_path)])
        shutil.rmtree(tmp_path / "samples")
        shutil.rmtree(tmp_path / "checkpoints")
    stopped = signalled(function, number, *arguments, nth=nth)
    assert stopped.code == code, stopped.err
    last = stopped.err.strip().splitlines()[-1]
    assert "stopped" in last and "Traceback" not in stopped.err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert not list(tmp_path.rglob("*.tmp"))
    assert tool("photo.png", *arguments).code == 0
    assert results_in(tmp_path) == UNBROKEN[0]
    assert_same(checkpoint_in(tmp_path), UNBROKEN[1])


def test_a_stop_does_not_wait_for_the_rest_of_a_preview(signalled, tmp_path, monkeypatch):
    drawn, ddim_step = [], td.ddim_step
    monkeypatch.setattr(td, "ddim_step", lambda *args: drawn.append(1) or ddim_step(*args))
    result = signalled((td, "ddim_step"), signal.SIGINT, *tiny(SAMPLER="ddim", SAMPLE_STEPS=12), nth=4)
    assert result.code == 130 and len(drawn) == 3
    assert checkpoint_in(tmp_path)["step"] == 2


def test_a_stop_between_steps_saves_them(signalled, tmp_path):
    assert signalled((td, "learning_rate_at"), signal.SIGINT, *tiny(EPOCHS=3, SAVE_EVERY=100), nth=4).code == 130
    assert checkpoint_in(tmp_path)["step"] == 2  # two steps are a trial, to tell how long it will take


def test_the_tiles_that_were_drawn_before_a_stop_are_not_drawn_again(signalled, tool, tmp_path, monkeypatch):
    drawn, place = [], td.Canvas.place
    monkeypatch.setattr(td.Canvas, "place", lambda self, cells, *x: drawn.extend(cells) or place(self, cells, *x))
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


@pytest.mark.slow
def test_a_long_drawing_stops_within_seconds(tmp_path):
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "photo.png")
    arguments = ["photo.png", *tiny(TIMESTEPS=1000, SAMPLER="ddpm", SAMPLE_STEPS=60, SCALE=20, PREVIEW_EVERY=100)]
    process, model = start(tmp_path, *arguments), tmp_path / "checkpoints" / "photo.pt"
    seconds, code, err = send_when(process, signal.SIGINT, lambda: model.exists()
                                   and (tmp_path / "samples/photo/diffusion_steps.png").exists())
    assert code == 130 and seconds < 10 and "Traceback" not in err
