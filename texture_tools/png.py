"""PNG files: written in one piece, or band by band, so that memory does not grow with the picture.

In bands the rows go into one zlib stream (RFC 1950) whose blocks end with each band: a file that was left unfinished
can be gone on with, from its length and the checksum so far. Rows are filtered as the PNG specification (W3C, third
edition, section 12.7) advises: for each row the filter with the smallest sum of absolute differences.
"""

import os
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from . import files
from .errors import DiskError


def save_png(path, pixels, text=None):
    """Write uint8 [H, W, 3] as a PNG with text entries {key: value} in its metadata."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    files.write_atomically(path, lambda file: Image.fromarray(pixels).save(file, format="PNG", pnginfo=info))


class WholePng:
    """A texture that is written in one piece."""

    def __init__(self, path, text):
        self.path, self.text = path, text

    def write(self, pixels):
        """Write uint8 [H, W, 3]."""
        save_png(self.path, pixels, self.text)

    def state(self):
        """Nothing is written before the end."""
        return {}

    def resume(self):
        """Nothing was written."""


class PngBands:
    """A PNG of a size (height, width) at path, 8 bits, RGB; a part beside it takes its place when all is written."""

    def __init__(self, path, size, text):
        self.path, self.size, self.part = path, size, path.with_name(f".{path.name}.part")
        self.rows, self.adler, self.length, self.text = 0, 1, 0, text  # length of the part, bytes

    def state(self):
        """What is needed to go on."""
        return {"rows": self.rows, "adler": self.adler, "length": self.length}

    def resume(self, rows, adler, length):
        """Go on from a state; ValueError if the part of the file is not there."""
        if rows and self.part.stat().st_size < length:
            raise ValueError(f"{self.part} is cut short")
        self.rows, self.adler, self.length = rows, adler, length

    def write(self, pixels):
        """Add uint8 [h, W, 3]; the last row ends the file."""
        rows = filtered(pixels)
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.adler, last = zlib.adler32(rows, self.adler), self.rows + len(pixels) == self.size[0]
        data = packer.compress(rows) + packer.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
        try:
            with open(self.part, "r+b" if self.rows else "wb") as file:
                file.seek(self.length)
                file.truncate()  # what was written after the state was kept
                if not self.rows:
                    file.write(self.head())
                    data = b"\x78\x9c" + data  # the header of the zlib stream
                file.write(chunk(b"IDAT", data + struct.pack(">I", self.adler) if last else data))
                if last:
                    file.write(chunk(b"IEND", b""))
                file.flush()
                os.fsync(file.fileno())
                self.length = file.tell()
            self.rows += len(pixels)
            if last:
                os.replace(self.part, self.path)
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written: {error.strerror}; make room, and the same command "
                            "goes on from there") from error

    def head(self):
        """What comes before the pixels."""
        height, width = self.size
        texts = b"".join(chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode())
                         for key, value in self.text.items())
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + texts


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(pixels):
    """uint8 [h, W, 3] as rows of a PNG file, each after the number of its filter; nothing from above the band."""
    x = pixels.reshape(len(pixels), -1).astype(np.int16)
    left, up, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, 3:], up[1:], corner[1:, 3:] = x[:, :-3], x[:-1], x[:-1, :-3]
    guess = left + up - corner
    far = np.stack([np.abs(guess - near) for near in (left, up, corner)])
    paeth = np.choose(far.argmin(0), (left, up, corner))  # the first of equals, as the specification wants
    rows = np.stack([(x - near).astype(np.uint8) for near in (left, up, (left + up) >> 1, paeth)])  # filters 1 to 4
    best = np.abs(rows.view(np.int8).astype(np.int16)).sum(2, dtype=np.int64).argmin(0)
    best[0] = 0  # Sub: the band above is not looked at
    numbers = (best + 1).astype(np.uint8)[:, None]
    return np.concatenate([numbers, rows[best, np.arange(len(x))]], 1).tobytes()
