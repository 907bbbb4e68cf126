"""What a run tells another program, such as the page: lines of JSON, added to the file that EVENTS in the environment
names. Without that variable nothing is told.

    {"event": "started", "time": seconds since 1970, "process": its number}
    {"event": "said", "text": a note or what a run says of its costs}
    {"event": "progress", "what": "training", "done": 120, "total": 880, "seconds_left": 31.5}
    {"event": "file", "name": "loss.csv", "path": where it is or will be}
    {"event": "tiles", "name": "3x3_seed1", "lines": of rows and columns, "drawn": a word of 0 and 1 a row, ...}
    {"event": "figures", "output": ..., "seed": ..., the lines that end a run}
    {"event": "ended", "code": 0, "text": the sentence of an error, or ""}
"""

import contextlib
import json
import os
import time

EVENTS = "TEXTURE_DIFFUSION_EVENTS"


def tell(event, **facts):
    """Add an event to the file, if there is one; a disk that refuses does no harm to the run."""
    path = os.environ.get(EVENTS)
    if not path:
        return
    line = json.dumps({"event": event, "time": time.time(), **facts}, default=str)
    with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def print_figures(figures):
    """Print the `key: value` lines that end a run, and tell them."""
    for key, value in figures.items():
        print(f"{key}: {value}")
    tell("figures", **figures)
