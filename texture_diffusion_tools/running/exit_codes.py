"""How a run ends: with an exit code, and where something went wrong with one sentence instead of a
traceback."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import constants, events, program
from .errors import RunError, Stopped, UserError, first_line
from .signals import StopAtOnce, stopped_by_file


def run(main: Callable[[], object]) -> int:
    """Call main() and return the exit code: 0, 2 for the user's mistake, 1 for a failed run, or
    128 + n for signal n."""
    print_anything()
    code, text = outcome(main)
    say_end(inspect.getfile(main), code, text)
    return code


def foresee(path: str) -> None:
    """Answer --help and --version for the script at a path before its imports, which take seconds,
    and end it there for words that are not understood. The word page makes it the page."""
    print_anything()

    if sys.argv[1:2] == ["page"]:
        program.run_page()
        sys.exit(0)

    # Several processes find wrong words out together, later.
    if os.environ.get("WORLD_SIZE", "1") != "1":
        return

    try:
        constants.foresee(path, sys.argv[1:])
    except UserError as error:
        say_end(path, error.exit_code, str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # who reads it has seen enough, as of --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def print_anything() -> None:
    """Let letters that an output's encoding lacks be printed as escapes, such as \\u77f3, instead
    of ending the run: a photo may be called anything, and on Windows what is printed to a file has
    the 256 letters of a code page."""
    for stream in (sys.stdout, sys.stderr):
        # others are no text files: a notebook's, or None without a console
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say_end(path: str | Path, code: int, text: str) -> None:
    """Print the sentence of an error, if there is one, after the name of the script at a path, and
    tell the end."""
    path = Path(path)
    name = path.stem if path.stem != "__main__" else path.parent.name  # of a package: python -m
    if text:
        print(f"{name}: {text}", file=sys.stderr)
    events.tell("ended", code=code, text=text)


def outcome(main: Callable[[], object]) -> tuple[int, str]:
    """Call main(); returns the exit code, and the sentence of an error, or ""."""
    try:
        with StopAtOnce(), stopped_by_file():
            main()
        return 0, ""
    except (Exception, Stopped) as error:
        found = foreseen(error)
        if found is None:
            raise
        return found
    except KeyboardInterrupt:
        return 130, ""


def foreseen(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the sentence of an error that ends a run; None of one that nobody thought
    of."""
    if isinstance(error, (UserError, RunError, Stopped)):
        return error.exit_code, str(error)

    if isinstance(error, (RuntimeError, MemoryError)):
        from . import devices  # which imports torch: --help does without

        if devices.is_out_of_memory(error):
            return 1, "the memory is full; try a smaller BATCH_SIZE or TILE_SIZE"
        if devices.is_failure_of_gpu(error):
            return 1, (f"the GPU failed ({first_line(error)}); the same command goes on from the "
                       "last checkpoint, with DEVICE=cpu without it")

    return None
