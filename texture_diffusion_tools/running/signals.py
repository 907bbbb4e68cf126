"""Ctrl-C, Ctrl-Break and SIGTERM: noted while something must not be broken off, or raised wherever
the run is."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .errors import Stopped

# In the environment: the path of a file that stops the run once it is there.
STOP_FILE = "TEXTURE_DIFFUSION_STOP"

OFTEN = 0.3  # seconds between looks for it


def stop_signals() -> list[signal.Signals]:
    """The signals that stop a run; SIGBREAK, Windows' Ctrl-Break, is not everywhere."""
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class StopSignals:
    """While entered, the first signal to stop only sets `received`; a second one acts as before."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.previous: dict[signal.Signals, Any] = {}  # handlers

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self.restore()

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def __exit__(self, *error: object) -> None:
        self.restore()


class StopAtOnce(StopSignals):
    """While entered, a signal to stop raises Stopped wherever the run is: for work that need not be
    saved."""

    def note(self, number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped", number)


@contextlib.contextmanager
def stopped_by_file() -> Iterator[None]:
    """While entered, the file that STOP_FILE in the environment names, if it does, is a SIGTERM as
    soon as it is there: a program without a console can send none on Windows."""
    path = os.environ.get(STOP_FILE)
    if not path:
        yield
        return

    left = threading.Event()

    def watch() -> None:
        while not left.wait(OFTEN):
            if os.path.exists(path):
                signal.raise_signal(signal.SIGTERM)
                break

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()  # once the handlers are given back a signal would end the process
