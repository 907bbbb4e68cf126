"""The chunks of a PNG file, which say what else is known of a picture; long texts, such as a whole
workflow, are passed over: they are not needed, and Pillow refuses a file whose texts are longer
than 1 MB.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MANY = 100_000  # chunks that are looked at
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# The profile, and what may say which way is up.
NEEDED = (b"iCCP", b"XML:com.adobe.xmp", b"Raw profile type exif")
LONGEST = 2**20  # bytes of such a text, and of a profile, that Pillow reads
LARGEST_PROFILE = 2**24  # bytes


def chunks_of(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its data begins, their length) of each chunk of a PNG file; none of another
    file."""
    file.seek(0)
    if file.read(8) != SIGNATURE:
        return

    place = 8
    for _ in range(MANY):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], place + 8, length
        place += 12 + length


def read_chunks(file: BinaryIO, kinds: Container[bytes]) -> dict[bytes, bytes]:
    """{kind: data} of the first chunk of each of some kinds before a PNG file's pixels, but for
    huge ones."""
    found = {}
    for kind, start, length in chunks_of(file):
        if kind == b"IDAT":
            break
        if kind in kinds and length <= LARGEST_PROFILE:
            file.seek(start)
            found.setdefault(kind, file.read(length))
    return found


def profile_of(data: bytes) -> bytes | None:
    """The colour profile in the data of a chunk iCCP, as far as LARGEST_PROFILE; None if it is
    broken."""
    try:
        packed = data[data.index(b"\0") + 2:]
        return zlib.decompressobj().decompress(packed, LARGEST_PROFILE)
    except (ValueError, zlib.error):
        return None


def is_long(kind: bytes, data: bytes) -> bool:
    """Whether the data of a chunk iCCP or of a text are longer than LONGEST when they are unpacked.
    """
    _, _, rest = data.partition(b"\0")
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    else:
        packed, rest = kind != b"tEXt", rest[1:]

    try:
        if packed:
            rest = zlib.decompressobj().decompress(rest, LONGEST + 1)
        return len(rest) > LONGEST
    except zlib.error:
        return False


def passed_over(file: BinaryIO) -> list[tuple[int, int]]:
    """The parts (start, end) of a PNG file that hold texts that are not needed, or that Pillow
    finds too long."""
    parts, seen = [], set()
    for kind, start, length in chunks_of(file):
        if kind in TEXTS or kind == b"iCCP":
            file.seek(start)
            data = file.read(min(length, LARGEST_PROFILE))
            name = kind if kind == b"iCCP" else data[:80].split(b"\0")[0]

            needed = name in NEEDED and name not in seen and length <= LONGEST
            if not needed or is_long(kind, data):
                parts.append((start - 8, start + length + 4))
            seen.add(name)
    return parts


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """A file for Pillow to read: as it is, or a PNG file without what is passed over."""
    with open(path, "rb") as file:
        parts = passed_over(file)
        file.seek(0)
        yield cast(BinaryIO, io.BufferedReader(Without(file, parts))) if parts else file


class Without(io.RawIOBase):
    """A binary file as if some of its parts (start, end), in their order, were not there."""

    def __init__(self, file: BinaryIO, parts: Iterable[tuple[int, int]]) -> None:
        end, starts, ends = file.seek(0, 2), [0], []
        for start, after in parts:
            ends.append(min(start, end))
            starts.append(min(after, end))
        self.file, self.place, self.left = file, 0, [*zip(starts, [*ends, end])]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = 0) -> int:
        size = sum(end - start for start, end in self.left)
        self.place = max(0, offset + (0, self.place, size)[whence])
        return self.place

    def readinto(self, buffer: Any) -> int:
        before = 0
        for start, end in self.left:
            inside = self.place - before
            if inside < end - start:
                self.file.seek(start + inside)
                data = self.file.read(min(len(buffer), end - start - inside))
                buffer[:len(data)] = data
                self.place += len(data)
                return len(data)
            before += end - start
        return 0
