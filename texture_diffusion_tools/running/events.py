"""What a run tells another program, such as the page: lines of JSON, added to the file that EVENTS
in the environment names. Without that variable nothing is told.

    {"event": "started", "time": seconds since 1970, "process": its number}
    {"event": "said", "text": a note or what a run says of its costs}
    {"event": "progress", "what": "training", "done": 120, "total": 880, "seconds_left": 31.5}
    {"event": "file", "name": "loss.csv", "path": where it is or will be}
    {"event": "tiles", "name": "3x3_seed1", "lines": of rows and columns,
     "drawn": a word of 0 and 1 a row, ...}
    {"event": "figures", "output": ..., "seed": ..., the lines that end a run}
    {"event": "ended", "code": 0, "text": the sentence of an error, or ""}
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

EVENTS = "TEXTURE_DIFFUSION_EVENTS"
SHRINK = 4  # px a side of a tile of which "tiles" says with one bit whether any of it is drawn

# A function that is told each event, too, while as_json() is entered.
HEARD: list[Callable[[str, dict[str, Any]], None]] = []


def tell(event: str, **facts: Any) -> None:
    """Add an event to the file, if there is one; a disk that refuses does no harm to the run."""
    for hear in HEARD:
        hear(event, facts)

    path = os.environ.get(EVENTS)
    if not path:
        return
    line = json.dumps({"event": event, "time": time.time(), **facts}, default=str)
    with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextlib.contextmanager
def as_json() -> Iterator[None]:
    """While entered, what is printed goes to stderr; at the end one JSON object goes to stdout:
    {"figures": those of each picture, "files": {name: path}, "notes": the notes, "error": the
    sentence of one, or ""}."""
    told: dict[str, Any] = {"figures": [], "files": {}, "notes": [], "error": ""}
    stdout = sys.stdout

    def hear(event: str, facts: dict[str, Any]) -> None:
        if event == "figures":
            told["figures"].append({key: number(value) for key, value in facts.items()})
        elif event == "file":
            told["files"][facts["name"]] = str(facts["path"])
        elif event == "said":
            told["notes"].append(facts["text"].removeprefix("note: "))

    HEARD.append(hear)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        told["error"] = str(error)
        raise
    finally:
        HEARD.remove(hear)
        print(json.dumps(told, default=str), file=stdout, flush=True)


def number(value: Any) -> Any:
    """A figure as a number, where it is one."""
    for kind in (int, float):
        with contextlib.suppress(ValueError, TypeError):
            return kind(value)
    return value


def print_figures(figures: dict[str, Any]) -> None:
    """Print the `key: value` lines that end a run, and tell them."""
    for key, value in figures.items():
        print(f"{key}: {value}")
    tell("figures", **figures)
