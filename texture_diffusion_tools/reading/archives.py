"""A ZIP file of pictures, as libraries of materials send them, unpacked into a temporary folder
while it is needed.

Nothing in it is trusted: sizes are counted while they are unpacked, names become plain names in
that folder, and only pictures are taken.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..running import files
from ..running.errors import UserError, first_line, printable
from . import folders, photos

BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")  # of a ZIP file, the second of an empty one
OTHERS = {b"7z\xbc\xaf'\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x1f\x8b": "gzip"}
MAX_FILES = 10_000
# Of all pictures in it: seven maps of 8192 x 8192 pixels with 16 bits a channel, and some.
MAX_BYTES = 4e9
PIECE = 2**20  # bytes that are copied at a time


def is_archive(path: str | Path) -> bool:
    """Whether a file is a ZIP; UserError if it is an archive of another kind."""
    if not os.path.isfile(path):
        return False

    with open(path, "rb") as file:
        head = file.read(8)
    for beginning, kind in OTHERS.items():
        if head.startswith(beginning):
            raise UserError(f"{printable(path)} is an archive of the kind {kind}, and only ZIP is "
                            "read; unpack it and give its folder")
    return head.startswith(BEGINNINGS)


@contextlib.contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """A folder of the pictures in the ZIP at a path, which is there until this is left; in
    sentences about it the ZIP is named. UserError if it cannot be unpacked."""
    with tempfile.TemporaryDirectory(
            prefix="texture_diffusion_", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / os.path.basename(path)
        try:
            unpack(path, folder)
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(str(folder), printable(path))) from None


def unpack(path: str | Path, folder: Path) -> None:
    """Write the pictures in the ZIP at a path into a folder, and those of its folders into one
    each.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = checked(archive, path)
            left = MAX_BYTES
            for member, target in zip(members, targets_of(members, folder)):
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= copied(archive, member, target, left)
                if left < 0:
                    raise UserError(too_large(path))
    except UserError:
        raise
    except Exception as error:  # a damaged one raises almost anything
        raise UserError(f"{printable(path)} cannot be unpacked, it may be damaged or cut short "
                        f"({first_line(error)}); unpack it yourself and give its folder") from None

    if not folder.is_dir():
        raise UserError(f"{printable(path)} holds no picture")


def too_large(path: str | Path) -> str:
    return (f"{printable(path)} holds more than {MAX_BYTES / 1e9:g} GB of pictures; unpack what "
            "is needed of it")


def checked(archive: zipfile.ZipFile, path: str | Path) -> list[zipfile.ZipInfo]:
    """The members of an opened ZIP that are called like pictures, or like nothing; UserError if
    they are too many, too large or locked."""
    found = [member for member in archive.infolist()
             if not member.is_dir() and is_wanted(member.filename)]

    if len(found) > MAX_FILES:
        raise UserError(f"{printable(path)} holds {len(found)} pictures, and {MAX_FILES} are the "
                        "most that are read")
    if sum(member.file_size for member in found) > MAX_BYTES:
        raise UserError(too_large(path))
    if any(member.flag_bits & 1 for member in found):
        raise UserError(f"{printable(path)} is locked by a password; unpack it and give its folder")
    return found


def parts_of(name: str) -> list[str]:
    """The folders in a member's name, and the file's own name."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def is_wanted(name: str) -> bool:
    """Whether a member may be a picture by its name."""
    parts = parts_of(name)
    hidden = not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts)
    if hidden:
        return False
    suffix = os.path.splitext(parts[-1])[1].lower()
    return suffix in photos.SUFFIXES | folders.UNREAD | {""}


def targets_of(members: Sequence[zipfile.ZipInfo], folder: Path) -> Iterator[Path]:
    """The path for each of the members: in the folder, or in one that is called as those that it
    lies in."""
    inside = [parts_of(member.filename)[:-1] for member in members]
    shared = len(os.path.commonprefix(inside))
    for member, parents in zip(members, inside):
        stem, suffix = os.path.splitext(parts_of(member.filename)[-1])
        own = parents[shared:]
        place = files.name_of("_".join(own) + "._") if own else ""
        yield folder / place / (files.name_of(stem + "._") + suffix.lower())


def copied(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: float) -> int:
    """Copy a member of a ZIP to a path, which must not be there, and return its bytes, or more than
    most if it is larger. A file that is no picture is not kept, and of pictures that are not read
    the name is enough."""
    count, known = 0, target.suffix in photos.SUFFIXES
    with archive.open(member) as source:
        piece = source.read(PIECE)
        named = known or target.suffix
        if target.exists() or not (named or photos.begins_like_a_picture(piece[:12])):
            return 0

        with open(target, "xb") as file:
            while piece and target.suffix not in folders.UNREAD:
                count += len(piece)
                if count > most:
                    break
                file.write(piece)
                piece = source.read(PIECE)
    return count
