"""Ctrl-C and SIGTERM: noted while something must not be broken off, or raised wherever the run is."""

import signal
import threading

from .errors import Stopped


class StopSignals:
    """While entered, the first SIGINT or SIGTERM only sets `received`; a second one acts as before."""

    def __init__(self):
        self.received, self.previous = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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
    """While entered, SIGINT and SIGTERM raise Stopped wherever the run is: for work that need not be saved."""

    def note(self, number, frame):
        raise Stopped("stopped", number)
