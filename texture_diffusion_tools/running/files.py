"""Files of the user's and of ours: what is written takes its place in one step, whole; what the
tool did not make is left alone; two runs do not meet. docs/RELIABILITY.md lists what is promised,
with the tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from . import events
from .errors import DiskError, UserError, printable
from .program import WINDOWS

LONGEST_NAME = 120  # bytes of the photo's name in the names of results
LONGEST_FILE = 255  # bytes of a file's name, on every disk
LONGEST_PATH = 259  # characters of a whole path on Windows, where that was not changed
AROUND = 32  # bytes that temporary files beside a result have in their names, and its does not
LOOKS = 20  # whether a lock's file is the one at its path
SHORTEST = 40  # bytes that a result's name may always have
# Windows' devices.
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(?= *(\.|$))", re.I)


def name_of(path: str | Path) -> str:
    """The name for what is made from a photo: the stem of its file's name, where that is a name on
    every system."""
    letters = (c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in Path(path).stem)
    stem = "".join(letters).rstrip(". ")
    return shortened(unreserved(stem) or "_", LONGEST_NAME)


def unreserved(name: str) -> str:
    """A file's name that Windows takes for no device: of CON, of CON.2 and of others it makes CON_
    and CON_.2."""
    device = RESERVED.match(name)
    return f"{device[0]}_{name[device.end():]}" if device else name


def shortened(name: str, most: int) -> str:
    """A name of so many bytes at most, with a digest in place of its end: two long ones may differ
    in that alone."""
    text = name.encode("utf-8", "surrogatepass")
    if len(text) <= most:
        return name
    return text[:most - 9].decode(errors="ignore") + "_" + hashlib.sha256(text).hexdigest()[:8]


def fitting(folder: Path, name: str) -> str:
    """The name for a file in a folder, which may begin with another folder's: itself, or shortened
    where the system would take it, or the whole path, for too long."""
    *parents, last = name.split("/")
    stem, suffix = os.path.splitext(last)
    most = LONGEST_FILE - AROUND
    if WINDOWS:
        left = LONGEST_PATH - characters(folder) - AROUND
        most = min(most, max(SHORTEST, left // (len(parents) + 1) - 1))
    return "/".join([*(shortened(parent, most) for parent in parents),
                     shortened(stem, most - len(suffix)) + suffix])


def characters(path: str | Path) -> int:
    """How long Windows finds a whole path."""
    return len(os.path.abspath(path).encode("utf-16-le", "surrogatepass")) // 2


def write_atomically(
    path: Path, write: Callable[[BinaryIO], Any], before: Callable[[], Any] | None = None
) -> None:
    """Call write(file) on a temporary binary file beside path, then put it in path's place in one
    step, before which it calls before(). DiskError if the disk refuses: path is as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()

            sync(file.fileno())
        if before is not None:
            before()
        replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch hides it behind a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError) and "inline_container" not in str(error):
            raise
        reason = getattr(cause, "strerror", None) or "the disk refuses, it may be full"
        raise DiskError(f"{printable(path)} cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace(source: Path, target: Path) -> None:
    """os.replace that outlasts a crash of the machine; on Windows another program may have the
    target open for a moment, which is waited for."""
    for wait in (0.1, 0.2, 0.4, 0.8, 1.6, None):
        try:
            os.replace(source, target)
            break
        except PermissionError:
            if not WINDOWS or wait is None:
                raise
            time.sleep(wait)

    # a name is safe when its folder is on the disk, too; not every system can
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            sync(folder)
        finally:
            os.close(folder)


def sync(number: int) -> None:
    """Wait until what was written to the open file of a number is on the disk.

    On macOS os.fsync() leaves it in the disk's own memory, which a power cut empties.
    """
    try:
        import fcntl

        fcntl.fcntl(number, fcntl.F_FULLFSYNC)
    except (ImportError, AttributeError, OSError):  # another system, or a disk that cannot
        os.fsync(number)


def sweep(folder: Path, pattern: str) -> None:
    """Delete the temporary files that a killed run left, of files whose names match a regular
    expression."""
    found = [*folder.iterdir(), *folder.glob("output_texture_*/.*"), *folder.glob("repaired*/.*")]
    for path in found:
        if re.fullmatch(rf"\.({pattern})\.\d+\.(tmp|link)", path.name):
            # Windows deletes none that a scanner has open: the next run does
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def find_file(path: str | Path, beside: Path) -> str | Path:
    """The path of a file of the user's; a relative one is also looked for in the folder beside."""
    if os.path.exists(path) or not os.path.exists(beside / path):
        return path
    return beside / path


def prepare_folders(
    output_dir: str | Path, checkpoint_dir: str | Path, name: str
) -> tuple[Path, Path]:
    """Make and try the folders; returns the pictures' folder and the checkpoint's path. UserError
    if not writable."""
    folder, models = Path(output_dir) / name, Path(checkpoint_dir)
    for place, longest in ((folder, "-" * SHORTEST), (models, f"{name}.previous.pt")):
        probe = place / f".{longest}.{os.getpid()}.tmp"
        try:
            place.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"the folder {printable(place)} cannot be written to "
                            f"({error.strerror}); choose another OUTPUT_DIR and "
                            f"CHECKPOINT_DIR{too_long(probe)}") from None
    return folder, models / f"{name}.pt"


def too_long(path: Path) -> str:
    """What to say of a path that Windows refused, if it was for its length, else nothing."""
    if not WINDOWS or characters(path) <= LONGEST_PATH:
        return ""
    return f" nearer to the root of a disk, or a shorter name for the photo: {characters(path)} " \
           f"characters are more than the {LONGEST_PATH} that Windows takes for a whole path"


def check_room(folder: str | Path, size: float, what: str) -> None:
    """UserError if a file of so many bytes may find no room on a folder's disk; what: what it is,
    for the sentence."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(f"{what} can take {size / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB "
                        "left; choose another OUTPUT_DIR or a smaller OUTPUT_SIZE or SCALE")


@contextlib.contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """While entered, no other run can lock path; UserError if one does. The lock ends with its
    process, however that ends."""
    file = open(path, "a+")
    for attempt in range(1, LOOKS + 1):
        if not lock(file):
            file.seek(0)
            other = file.read().strip() or "unknown"
            raise UserError(f"another run works on {name} (process {other}, {printable(path)}); "
                            "wait until it ends, or stop it")
        if is_at(file, path) or attempt == LOOKS:  # some network disks never say so
            break
        file.close()  # the run before has just deleted it
        file = open(path, "a+")

    try:
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield
    finally:
        # Windows deletes no open file: it stays, and does no harm
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one at path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def lock(file: IO[str]) -> bool:
    """Whether the system's lock of an open file could be taken; a process that ends gives its own
    back."""
    try:
        if WINDOWS:
            import msvcrt

            file.seek(2**30)  # what is locked cannot be read: far behind the number of the process
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a disk without locks
        print("note: this disk knows no locks; do not start two runs on one photo at a time")
    return True


def there(path: Path) -> Path:
    """The path itself; UserError if no file lies there."""
    if not path.is_file():
        raise UserError(f"there is no file at {printable(path)}")
    return path


@contextlib.contextmanager
def claimed(folder: Path, checkpoint: Path, photo: Any, group: Any) -> Iterator[Results]:
    """The Results of a photo, which no other run works on meanwhile, without what a killed run left
    half written.

    Of a group of processes the first one sees to that, and uses the Results.
    """
    with contextlib.ExitStack() as stack:
        if group.rank == 0:
            for path in (folder / ".lock", checkpoint.with_name(f".{photo.name}.lock")):
                stack.enter_context(locked(path, photo.name))
            sweep(folder, ".+")
            sweep(checkpoint.parent, rf"{re.escape(photo.name)}(\.\w+)?\.pt")
        yield stack.enter_context(Results(folder, photo.digest))


class Results:
    """The folder of a photo's results, with a list of what was made there from which photo, which
    is kept on leaving.

    A result takes the place of one that was made from the same photo and not changed since; else it
    gets a new name, or the folder that it lies in does, so that files of two kinds never mix there.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder, self.digest, self.list = folder, digest, folder / ".made.json"
        # file's name in here -> [digest of the photo, SHA-256 of the file], "" while a run is at
        # work
        self.made: dict[str, list] = {}
        self.chosen: dict[str, Path] = {}  # by names
        self.folders: dict[str, str] = {}  # in here, of results that lie in one

        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = json.loads(self.list.read_text(encoding="utf-8"))
            self.made = {name: entry for name, entry in found.items()
                         if isinstance(entry, list) and len(entry) == 2}

    def path(self, name: str) -> Path:
        """The path for the result of this name, which may begin with a folder's: itself, or name.2,
        name.3, ..."""
        if name in self.chosen:
            return self.chosen[name]

        parent, slash, file = fitting(self.folder, name).rpartition("/")
        if slash and parent not in self.folders:
            self.folders[parent] = next(filter(self.open_to, numbered(parent)))
        there = self.folder / self.folders.get(parent, parent)
        path = next(filter(self.replaceable, (there / each for each in numbered(file))))
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"the folder {printable(path.parent)} cannot be made "
                            f"({error.strerror}); move away what is there, or choose another "
                            "OUTPUT_DIR") from None

        self.chosen[name], self.made[self.key(path)] = path, [self.digest, ""]
        self.keep()
        events.tell("file", name=name, path=path)
        return self.chosen[name]

    def drawn(self) -> list[Path]:
        """The paths of the textures and repaired photos among what was chosen, of a material's
        those of folders."""
        pictures = {name: path for name, path in self.chosen.items()
                    if name.startswith(("output_texture", "repaired", "maps/"))
                    and not name.endswith(".toml")}
        return list(dict.fromkeys(path.parent if "/" in name else path
                                  for name, path in pictures.items()))

    def key(self, path: Path) -> str:
        """What a result is called in the list."""
        return path.relative_to(self.folder).as_posix()

    def open_to(self, parent: str) -> bool:
        """Whether a folder in here holds nothing of the list that has to stay."""
        return all(self.replaceable(self.folder / key) for key in self.made
                   if key.startswith(f"{parent}/"))

    def replaceable(self, path: Path) -> bool:
        """Whether a result may take this path."""
        if not os.path.lexists(path):
            return True
        photo, digest = self.made.get(self.key(path), (None, None))
        ours = photo == self.digest and path.is_file() and not path.is_symlink()
        return ours and digest in ("", digest_of(path))

    def keep(self) -> None:
        """Write the list."""
        text = json.dumps(self.made, indent=0, sort_keys=True)
        write_atomically(self.list, lambda file: file.write(text.encode()))

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        for path in self.chosen.values():
            self.made[self.key(path)][1] = digest_of(path) if path.is_file() else ""
        with contextlib.suppress(DiskError):  # a full disk: what a run left unsaid may be replaced
            if self.chosen:
                self.keep()


def numbered(name: str) -> Iterator[str]:
    """A file's or folder's name, then name.2, name.3, ..., each with its suffix."""
    stem, suffix = os.path.splitext(name)
    return (f"{stem}.{n}{suffix}" if n > 1 else name for n in range(1, 10**6))


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
