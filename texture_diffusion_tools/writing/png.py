"""PNG files: written in one piece, or band by band, so that memory does not grow with the picture.

In bands the rows go into one zlib stream (RFC 1950) whose blocks end with each band: a file that
was left unfinished can be gone on with, from its length and the checksum so far. Rows are filtered
as the PNG specification (W3C, third edition, section 12.7) advises: for each row the filter with
the smallest sum of absolute differences.

Pixels are uint8 or uint16, and [H, W] is grey, [H, W, 2] grey and alpha, [H, W, 3] RGB and
[H, W, 4] RGBA. The chunk sRGB (section 11.3.2.5) says that values are colours in sRGB, and not data
such as heights.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from ..running import files
from ..running.errors import DiskError

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
PERCEPTUAL = b"\0"  # rendering intent, the content of the chunk sRGB
PIECE = 1e6  # bytes of rows filtered at a time, about, which takes some 30 times as much memory


def save_png(
    path: Path, pixels: np.ndarray, text: Mapping[str, str] | None = None, srgb: bool = True
) -> None:
    """Write uint8 or uint16 [H, W], [H, W, 3] or [H, W, 4] as a PNG with text entries {key: value}
    in its metadata.

    srgb: whether it says that its values are sRGB. DiskError if it cannot be written, and the old
    file stays.
    """
    if pixels.dtype == np.uint16 and pixels.ndim == 3:  # of colours Pillow writes 8 bits alone
        files.write_atomically(path, lambda file: file.write(encoded(pixels, text or {}, srgb)))
        return

    info = PngImagePlugin.PngInfo()
    if srgb:
        info.add(b"sRGB", PERCEPTUAL)
    for key, value in (text or {}).items():
        info.add_text(key, value)

    image = Image.fromarray(pixels)
    files.write_atomically(path, lambda file: image.save(file, format="PNG", pnginfo=info))


def save_files(
    paths: Sequence[Path], pictures: Sequence[np.ndarray],
    formats: Sequence[tuple[int, int, bool]], text: Mapping[str, str] | None = None
) -> None:
    """save_png() of each file of a picture; formats: as channels.Channels has them."""
    for path, pixels, (_, _, srgb) in zip(paths, pictures, formats, strict=True):
        save_png(path, pixels, text, srgb)


class WholePng:
    """A texture that is written in one piece, as save_png does it."""

    def __init__(self, path: Path, text: Mapping[str, str], srgb: bool = True) -> None:
        self.path, self.text, self.srgb = path, text, srgb

    def write(self, pixels: np.ndarray) -> None:
        """Write uint8 or uint16 [H, W], [H, W, 3] or [H, W, 4]."""
        save_png(self.path, pixels, self.text, self.srgb)

    def state(self) -> dict[str, int]:
        """Nothing is written before the end."""
        return {}

    def resume(self) -> None:
        """Nothing was written."""


class PngBands:
    """A PNG of a size (height, width) at path; a part beside it takes its place when all is
    written.

    channels: 1 to 4; depth: 8 or 16 bits a channel; srgb: whether it says that its values are sRGB.
    """

    def __init__(
        self,
        path: Path,
        size: Sequence[int],
        text: Mapping[str, str],
        channels: int = 3,
        depth: int = 8,
        srgb: bool = True,
    ) -> None:
        self.path, self.part, self.text = path, path.with_name(f".{path.name}.part"), text
        self.size, self.channels, self.depth, self.srgb = size, channels, depth, srgb
        self.rows, self.adler, self.length = 0, 1, 0  # length of the part, bytes

    def state(self) -> dict[str, int]:
        """The numbers that are needed to go on."""
        return {"rows": self.rows, "adler": self.adler, "length": self.length}

    def resume(self, rows: int, adler: int, length: int) -> None:
        """Go on from a state of a picture of this kind; ValueError if the part of the file is not
        there."""
        if rows and self.part.stat().st_size < length:
            raise ValueError(f"{self.part} is cut short")
        self.rows, self.adler, self.length = rows, adler, length

    def write(self, pixels: np.ndarray) -> None:
        """Add a band of h rows, uint8 or uint16 [h, W] or [h, W, channels]; the last row ends the
        file.

        ValueError if that is no part of the picture, DiskError if it cannot be written.
        """
        self.check(pixels)
        last = self.rows + len(pixels) == self.size[0]
        data, adler = deflated(pixels, self.adler, last)

        try:
            length = self.append(data, last)
            if last:
                files.replace(self.part, self.path)
        except OSError as error:
            busy = isinstance(error, PermissionError)
            held = "see that it may be written and that no program has it open"
            advice = held if busy else "make room"
            raise DiskError(f"{self.path} cannot be written: {error.strerror}; {advice}, and the "
                            "same command goes on from there") from error

        self.rows, self.adler, self.length = self.rows + len(pixels), adler, length

    def append(self, data: bytes, last: bool) -> int:
        """Write data behind what is known of the part of the file, onto the disk; returns its
        length."""
        with open(self.part, "r+b" if self.rows else "wb") as file:
            file.seek(self.length)
            file.truncate()  # what was written after the state was kept

            if not self.rows:
                file.write(head(self.size, self.channels, self.depth, self.text, self.srgb))
                data = ZLIB_HEADER + data
            file.write(chunk(b"IDAT", data))
            if last:
                file.write(chunk(b"IEND", b""))

            file.flush()
            files.sync(file.fileno())
            return file.tell()

    def check(self, pixels: np.ndarray) -> None:
        """ValueError unless pixels are the next rows of this picture."""
        row = (self.size[1], self.channels) if self.channels > 1 else (self.size[1],)
        fits = pixels.shape == (len(pixels), *row) and pixels.dtype == f"u{self.depth // 8}"
        if not fits or self.rows + len(pixels) > self.size[0]:
            raise ValueError(f"{pixels.dtype} {list(pixels.shape)} after {self.rows} rows does not "
                             f"fit a PNG of {list(self.size)}, {self.channels} channels and "
                             f"{self.depth} bits")


ZLIB_HEADER = b"\x78\x9c"


def encoded(pixels: np.ndarray, text: Mapping[str, str], srgb: bool) -> bytes:
    """A whole PNG file, bytes."""
    channels, depth = 1 if pixels.ndim == 2 else pixels.shape[2], 8 * pixels.itemsize
    data, _ = deflated(pixels, 1, True)
    parts = (
        head(pixels.shape[:2], channels, depth, text, srgb),
        chunk(b"IDAT", ZLIB_HEADER + data),
        chunk(b"IEND", b""),
    )
    return b"".join(parts)


def head(
    size: Sequence[int], channels: int, depth: int, text: Mapping[str, str], srgb: bool
) -> bytes:
    """The bytes before the pixels of a PNG of a size (height, width)."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, COLOUR_TYPES[channels], 0, 0, 0)
    space = chunk(b"sRGB", PERCEPTUAL) if srgb else b""
    texts = b"".join(chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode())
                     for key, value in text.items())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + space + texts


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deflated(pixels: np.ndarray, adler: int, last: bool) -> tuple[bytes, int]:
    """Rows as a part of a zlib stream, with its end if they are the last ones; and the checksum,
    from adler on."""
    packer, data = zlib.compressobj(6, zlib.DEFLATED, -15), []
    step, above = max(1, int(PIECE / max(1, pixels[:1].nbytes))), None
    for top in range(0, len(pixels), step):
        piece = pixels[top:top + step]
        rows = filtered(piece, above)
        adler, above = zlib.adler32(rows, adler), piece[-1:]
        data.append(packer.compress(rows))

    data.append(packer.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH))
    return b"".join(data) + (struct.pack(">I", adler) if last else b""), adler


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels as the bytes of rows in a PNG file, high byte first, int16 [h, W * C * bytes]."""
    ordered = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    return ordered.reshape(len(pixels), -1).view(np.uint8).astype(np.int16)


def filtered(pixels: np.ndarray, above: np.ndarray | None = None) -> bytes:
    """Rows [h, W] or [h, W, C] as those of a PNG file, each after the number of its filter.

    above: the row before them, [1, ...], or None: the first one does without.
    """
    # the bytes to the left of each, above it, and above that
    x, step = as_bytes(pixels), pixels[0, 0].nbytes  # bytes of a pixel
    left, up, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    up[1:] = x[:-1]
    if above is not None:
        up[:1] = as_bytes(above)
    left[:, step:], corner[:, step:] = x[:, :-step], up[:, :-step]

    # the one of them that is nearest to a guess; the first of equals, as the specification wants
    guess = left + up - corner
    far = np.stack([np.abs(guess - near) for near in (left, up, corner)])
    paeth = np.choose(far.argmin(0), (left, up, corner))

    # filters 1 to 4, and of each row the best
    guesses = (left, up, (left + up) >> 1, paeth)
    rows = np.stack([(x - near).astype(np.uint8) for near in guesses])
    best = np.abs(rows.view(np.int8).astype(np.int16)).sum(2, dtype=np.int64).argmin(0)
    if above is None:
        best[0] = 0  # Sub
    numbers = (best + 1).astype(np.uint8)[:, None]
    return np.concatenate([numbers, rows[best, np.arange(len(x))]], 1).tobytes()
