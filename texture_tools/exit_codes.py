"""How a run ends: with an exit code, and where something went wrong with one sentence instead of a traceback."""

import inspect
import sys
from pathlib import Path

from . import devices, events
from .errors import RunError, Stopped, UserError
from .signals import StopAtOnce


def run(main):
    """Call main() and return the exit code: 0, 2 for the user's mistake, 1 for a failed run, 128 + n for signal n."""
    path = Path(inspect.getfile(main))
    name = path.stem if path.stem != "__main__" else path.parent.name  # a package's, run by python -m
    code, text = outcome(main)
    if text:
        print(f"{name}: {text}", file=sys.stderr)
    events.tell("ended", code=code, text=text)
    return code


def outcome(main):
    """Call main(); returns the exit code, and the sentence of an error, or ""."""
    try:
        with StopAtOnce():
            main()
        return 0, ""
    except (UserError, RunError, Stopped) as error:
        return error.exit_code, str(error)
    except (RuntimeError, MemoryError) as error:
        if not devices.is_out_of_memory(error):
            raise
        return 1, "the memory is full; try a smaller BATCH_SIZE or TILE_SIZE"
    except KeyboardInterrupt:
        return 130, ""
