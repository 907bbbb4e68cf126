"""Ctrl-C, Ctrl-Break and SIGTERM: noted while something must not be broken off, or raised wherever the run is."""

import contextlib
import os
import signal
import threading

from .errors import Stopped

STOP_FILE = "TEXTURE_DIFFUSION_STOP"  # in the environment: the path of a file that stops the run once it is there
OFTEN = 0.3  # seconds between looks for it


def stop_signals():
    """The signals that stop a run; SIGBREAK, Windows' Ctrl-Break, is not everywhere."""
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


class StopSignals:
    """While entered, the first signal to stop only sets `received`; a second one acts as before."""

    def __init__(self):
        self.received, self.previous = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number, frame):
        self.received = number
        self.restore()

    def restore(self):
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def __exit__(self, *error):
        self.restore()


class StopAtOnce(StopSignals):
    """While entered, a signal to stop raises Stopped wherever the run is: for work that need not be saved."""

    def note(self, number, frame):
        raise Stopped("stopped", number)


@contextlib.contextmanager
def stopped_by_file():
    """While entered, the file that STOP_FILE in the environment names, if it does, is a SIGTERM as soon as it is there:
    a program without a console can send none on Windows."""
    path, left = os.environ.get(STOP_FILE), threading.Event()

    def watch():
        while not left.wait(OFTEN):
            if os.path.exists(path):
                signal.raise_signal(signal.SIGTERM)
                break

    if not path:
        yield
        return
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()  # once the handlers are given back a signal would end the process
