"""What a run leaves of its constants: a TOML file beside each picture, which repeats the run, and
the picture's metadata. Both come out the same where a run is repeated, wherever that is started.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import files, processes, program, toml_files
from .constants import FILES, FOLDERS

LEFT_OUT = ("PRESET", "CONFIG", "CHECK", "FRESH", "JSON")  # which say nothing of what is drawn
NO_MEANS_NO = ("PRIOR",)  # whose None is another choice than leaving it out

HEAD = """\
# The run that drew {name}. On the same machine, with the same model,
# this repeats it bit for bit:
#     {command} CONFIG={name}.toml
# Where that model is gone or has learned more, EPOCHS={epochs} FRESH=True behind that trains \
it anew:
# the same one, if it was trained in one go.
# {versions}

"""


def save(
    results: files.Results, name: str, c: SimpleNamespace, step: int, home: Path
) -> None:
    """Write the file beside a picture of a name, drawn by a run with constants c and a model of so
    many steps.

    results: files.Results; home: a folder where files that constants name may lie, too.
    """
    try:
        content = document(name, c, step, home).encode()
    except UnicodeEncodeError:
        processes.ALONE.say(f"note: {name}.toml, which would repeat this run, is not written: "
                            "a path in it is no text")
        return
    files.write_atomically(results.path(f"{name}.toml"), lambda file: file.write(content))


def document(name: str, c: SimpleNamespace, step: int, home: Path) -> str:
    """The file's text: constants that are None are left out, and paths do not depend on where it
    is read."""
    values = {key: placed(key, value, home) for key, value in vars(c).items()
              if key not in LEFT_OUT}
    kept = {key: value for key, value in values.items() if value is not None}
    kept.update({key: "None" for key in NO_MEANS_NO if values[key] is None})

    head = HEAD.format(name=name, epochs=f"{step * c.BATCH_SIZE / c.EPOCH_TILES:g}",
                       command=" ".join(program.words()), versions=program.versions())
    return head + toml_files.written(kept)


def placed(key: str, value: Any, home: Path) -> Any:
    """A constant's value with the whole path where it is a folder, or a file that is there."""
    if key in FOLDERS:
        return os.path.abspath(value)
    if key not in FILES or (key, value) == ("MASK", "alpha"):
        return value
    return with_each(value, lambda path: whole_path(files.find_file(path, home), path))


def whole_path(found: str | Path, path: str) -> str:
    """The whole path of a file that was found, if it is there, else the path as it was."""
    return os.path.abspath(found) if os.path.exists(found) else path


def told(c: SimpleNamespace) -> dict[str, Any]:
    """The constants c as metadata tells them, {name: value}: files by their names, without the
    folders in which they are."""
    kept = {key: value for key, value in vars(c).items() if key not in LEFT_OUT + FOLDERS}
    kept.update({key: with_each(kept[key], lambda path: os.path.basename(os.path.normpath(path)))
                 for key in FILES if key in kept})
    return kept


def with_each(value: Any, change: Callable[[str], str]) -> Any:
    """A value that is a path, or a tuple of them, with each changed; any other as it is."""
    if isinstance(value, str):
        return change(value)
    paths = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    return tuple(map(change, value)) if paths else value
