"""The errors that end a run, each with its exit code; paths and messages fit for a sentence."""

from __future__ import annotations

import signal


class UserError(Exception):
    """Something that the person who started the run can put right."""

    exit_code = 2


class RunError(Exception):
    """A run that failed through no wrong input."""

    exit_code = 1


class DiskError(RunError):
    """A file that could not be written; what was there before is as it was."""


class Cancelled(RunError):
    """A program that was told how far a run is asked it to stop."""


class Stopped(BaseException):
    """The person stopped the run. args are a sentence and the signal's number, None if another
    process received it.

    Like KeyboardInterrupt no Exception: nothing that recovers from errors may swallow it.
    """

    def __str__(self) -> str:
        return self.args[0]

    @property
    def exit_code(self) -> int:
        return 128 + (self.args[1] or signal.SIGTERM)


def printable(path: object) -> str:
    """A path for a sentence: on one line, and with every character printable."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def first_line(error: object) -> str:
    """The first line of what an exception says, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
