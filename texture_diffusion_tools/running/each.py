"""Many photos, each a texture of its own (EACH): they are worked through one after another as a run
each, and a list says what came out of them.

The list, <folder>.json beside the results, has an entry for each photo: name, photo (its path),
code (0, or what a run of its own would have ended with), error (its sentence), outputs, seconds,
and with which constants and files that was, by which the next run knows what is done. It is written
after each photo.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..reading import several
from . import exit_codes, files, processes
from .constants import listed
from .errors import DiskError, RunError, UserError, first_line, printable

FILES = ("IMAGE", "MASK", "GUIDE", "PRIOR")  # constants that may name files
LONGEST = 90  # characters of what came out in the table
SHOWN = 8  # names of what was left out

Entry = dict[str, Any]  # of the list

say = processes.ALONE.say


def work_through(
    c: SimpleNamespace, home: Path, draw: Callable[[SimpleNamespace], Sequence[Path]]
) -> None:
    """Do with each photo that IMAGE names what a run of its own does, draw(constants), which
    returns the paths of what was drawn. What was done before with the same constants is left out,
    but with FRESH.

    UserError if there is no photo; RunError, once all were tried, if any of them failed.
    """
    photos, name = photos_of(c.IMAGE, home), name_of(c.IMAGE)
    folder, _ = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, "")
    digest = digest_of_paths(c.IMAGE)
    with files.locked(folder / f".{name}.lock", name), files.Results(folder, digest) as results:
        files.sweep(folder, rf"{re.escape(name)}\.json|\.made\.json")
        path = results.path(f"{name}.json")
        known, rows = read_list(path), []

        for number, photo in enumerate(photos, 1):
            entry = entry_of(c, photo, home)
            done = not c.FRESH and is_done(known.get(entry["photo"]), entry)
            said = " was done before with the same constants" if done else ""
            say(f"{number} of {len(photos)}: {printable(photo)}{said}")
            if done:
                entry = known[entry["photo"]]
            else:
                entry.update(tried(c, photo, photos[:number - 1], draw))
            rows.append((entry, done))

            # what is known of the photos that are left stays in the list
            later = [known[left] for left in map(str, photos[number:]) if left in known]
            keep(path, [row for row, _ in rows] + later)

        print_table(rows)
        print(f"list: {path}")

    failed = [printable(Path(entry["photo"]).name) for entry, _ in rows if entry["code"]]
    if failed:
        raise RunError(f"{len(failed)} of {len(rows)} photos failed: {', '.join(failed[:SHOWN])}"
                       + ", ..." * (len(failed) > SHOWN) + f"; {printable(path)} says why")


def photos_of(image: str | tuple, home: Path) -> list[Path]:
    """The paths of all photos, and of folders of a material's maps, that IMAGE names: of folders
    the photos in them."""
    found = []
    for path in (files.find_file(given, home) for given in listed(image)):
        if not os.path.exists(path):
            raise UserError(f"there is no photo and no folder at {printable(path)}")
        inside = several.photos_in(path) if os.path.isdir(path) else []
        found += inside or [Path(path)]
        if inside:
            say_left_out(path, inside)
    return found


def say_left_out(folder: str | Path, photos: Sequence[Path]) -> None:
    """Say what of a folder is no photo."""
    others = sorted(path.name + "/" * path.is_dir() for path in Path(folder).iterdir()
                    if path not in photos and not path.name.startswith("."))
    if others:
        say(f"note: left out of {printable(folder)}, as no photos: "
            + ", ".join(map(printable, others[:SHOWN]))
            + f" and {len(others) - SHOWN} more" * (len(others) > SHOWN))


def name_of(image: str | tuple) -> str:
    """What the list is called: as the folder, or as all that are listed."""
    own = os.path.abspath(image) if isinstance(image, str) else image
    return several.name_of(own, [files.name_of(os.path.abspath(path)) for path in listed(image)])


def digest_of_paths(image: str | tuple) -> str:
    """SHA-256 of where the photos are."""
    paths = [os.path.abspath(path) for path in listed(image)]
    return hashlib.sha256(repr(paths).encode()).hexdigest()


def entry_of(c: SimpleNamespace, photo: Path, home: Path) -> Entry:
    """What is known of a photo before it is drawn, as it stands in the list."""
    given = {name: getattr(c, name) for name in vars(c) if name not in ("IMAGE", "EACH")}
    named = {name: photo if name == "IMAGE" else getattr(c, name) for name in FILES}
    contents = {name: content_of(value, home) for name, value in named.items()
                if isinstance(value, (str, Path))}
    entry = {"name": files.name_of(photo), "photo": str(photo), "constants": given,
             "files": contents}
    return json.loads(json.dumps(entry, default=str))  # as it is read again


def content_of(path: str | Path, home: Path) -> str:
    """SHA-256 of a file, or of all files in a folder; "" if there is none or it cannot be read."""
    path = Path(files.find_file(path, home))
    try:
        if not path.is_dir():
            return files.digest_of(path)
        inside = sorted(each for each in path.iterdir() if each.is_file())
        contents = [(each.name, files.digest_of(each)) for each in inside]
        return hashlib.sha256(repr(contents).encode()).hexdigest()
    except (OSError, ValueError):
        return ""


def is_done(entry: Entry | None, wanted: Entry) -> bool:
    """Whether an entry of the list says that what is wanted was drawn, and it still is there."""
    if entry is None or entry.get("code") != 0 or not entry.get("outputs"):
        return False
    same = all(entry.get(key) == wanted[key] for key in ("constants", "files"))
    return same and all(os.path.exists(str(path)) for path in entry["outputs"])


def tried(
    c: SimpleNamespace,
    photo: Path,
    before: Sequence[Path],
    draw: Callable[[SimpleNamespace], Sequence[Path]],
) -> Entry:
    """Draw a photo's textures, and return what came of that, as it stands in the list."""
    start, outputs, code, error = time.perf_counter(), [], 0, ""
    try:
        check_name(photo, before)
        outputs = draw(SimpleNamespace(**{**vars(c), "IMAGE": str(photo), "EACH": False}))
    except Exception as problem:  # one photo that fails costs none of the others
        foreseen = exit_codes.foreseen(problem)
        code, error = foreseen or (1, f"{type(problem).__name__}: {first_line(problem)}")
        if foreseen is None:
            traceback.print_exc()
        processes.ALONE.warn(f"{printable(photo)} failed: {error}")
    return {"code": code, "error": error, "outputs": [str(path) for path in outputs],
            "seconds": round(time.perf_counter() - start, 1)}


def check_name(photo: Path, before: Sequence[Path]) -> None:
    """UserError if a photo before has the same name, and so the same results."""
    for other in before:
        if files.name_of(other).lower() == files.name_of(photo).lower():
            raise UserError(f"both {printable(other)} and {printable(photo)} are called "
                            f"{files.name_of(photo)}, and so would be what is made of them; rename "
                            "one of them")


def read_list(path: Path) -> dict[str, Entry]:
    """The entries of the list by their photos' paths; what is no such list has none."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {str(entry["photo"]): entry for entry in entries if type(entry["outputs"]) is list}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def keep(path: Path, entries: Sequence[Entry]) -> None:
    """Write the list; a disk that refuses does no harm to the photos that are left."""
    text = json.dumps(entries, indent=1)
    try:
        files.write_atomically(path, lambda file: file.write(text.encode()))
    except DiskError as error:
        processes.ALONE.warn(f"{error}; the next run will do again what the list does not say")


def print_table(rows: Sequence[tuple[Entry, bool]]) -> None:
    """Print what came out of each photo, (entry of the list, whether it was done before)."""
    lines = [("name", "what came out", "seconds")]
    for entry, done in rows:
        seconds = "-" if done else f"{entry['seconds']:.1f}"
        name = printable(Path(entry["photo"]).name)
        lines.append((name, shortened(outcome_of(entry, done)), seconds))

    first, second, third = (max(map(len, column)) for column in zip(*lines))
    print()
    for name, outcome, seconds in lines:
        print(f"{name:<{first}}  {outcome:<{second}}  {seconds:>{third}}")


def outcome_of(entry: Entry, done: bool) -> str:
    """What came out of a photo, in words."""
    if entry["code"]:
        return f"failed: {entry['error']}"
    first, *others = entry["outputs"] or [""]
    more = f" and {len(others)} more" if others else ""
    return "done before: " * done + printable(first) + more


def shortened(text: str) -> str:
    """Text that is not too long for a table."""
    return text if len(text) <= LONGEST else text[:LONGEST - 3] + "..."
