"""What a file says of its colours without an ICC profile, in Exif, in the chunks of a PNG, the tags
of a TIFF, the header of a BMP, the boxes of AVIF and HEIC; and such colours converted to sRGB.

A colour space is primaries, a white and a curve from values to linear light (ITU-T H.273 numbers
the usual ones). Light of HDR (ITU-R BT.2100) goes beyond white, which is 203 cd/m2 there (BT.2408);
it is toned down.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from ..running.errors import printable
from . import chunks, even_light
from .deep import TOP, by_rows

D65 = (0.3127, 0.329)
REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x and y of red, green, blue
PRIMARIES = {  # by their number in H.273: a name, red, green, blue and white
    1: ("sRGB", *REC709, *D65),
    4: ("BT.470 M", 0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.31, 0.316),
    5: ("BT.470 BG", 0.64, 0.33, 0.29, 0.6, 0.15, 0.06, *D65),
    6: ("BT.601", 0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    7: ("SMPTE 240", 0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    9: ("BT.2020", 0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *D65),
    11: ("DCI-P3", 0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: ("Display P3", 0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65),
}
ADOBE = ("Adobe RGB", 0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
BRADFORD = np.array([
    [0.8951, 0.2664, -0.1614],
    [-0.7502, 1.7135, 0.0367],
    [0.0389, -0.0685, 1.0296],
])
SCREENS = (0.42, 0.49)  # exponents that stand for the curve of sRGB, 1 / 2.2 among them
PQ, HLG = 16, 18  # curves of HDR
WHITE = 203  # cd/m2
LEVELS = 3  # of 255, by which colours may be off in a space that is called sRGB
ISO = ("AVIF", "HEIF")

Curve = Callable[[Any], np.ndarray]  # from values, 0 to 1, to light


class Space(NamedTuple):
    """A colour space: values from 0 to 1 through a curve are light, of which matrix makes that of
    sRGB."""

    name: str
    matrix: np.ndarray  # [3, 3]
    curve: Any  # Curve, or None where there are no values but light
    hdr: int = 0  # PQ or HLG, whose light goes beyond white, or 0

    def light(self, pixels: np.ndarray, top: int) -> np.ndarray:
        """The light of sRGB, float32 [H, W, 3] or [H, W], of pixels up to top."""
        light = self.table(top)[pixels]
        if light.ndim == 2:
            return even_light.toned(light[..., None])[..., 0] if self.hdr else light

        if self.hdr == HLG:  # from light before the camera to that of a screen of 1000 cd/m2
            luminance = light @ np.array([0.2627, 0.678, 0.0593], np.float32)
            light = light * np.maximum(luminance, 1e-6)[..., None] ** 0.2 * (1000 / WHITE)
        light = light @ self.matrix.T.astype(np.float32)
        return even_light.toned(light) if self.hdr else light

    def table(self, top: int) -> np.ndarray:
        """The light of each value from 0 to top, float32."""
        return np.nan_to_num(self.curve(np.arange(top + 1) / top)).clip(0, 100).astype(np.float32)

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels uint8 or uint16 [H, W, 3] or [H, W] in sRGB."""
        top = np.iinfo(pixels.dtype).max
        return by_rows(lambda part: even_light.encode(self.light(part, top), top),
                       pixels.dtype, pixels)

    def moves(self) -> int:
        """By how many levels of 255 a colour changes at most."""
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 1, 3)
        return np.abs(self.to_srgb(colours).astype(int) - colours).max()

    def said(self) -> str:
        """A sentence on what is done with such colours."""
        if not self.hdr:
            return f"its colours were converted from {self.name} to sRGB"
        return (f"its colours are HDR ({self.name}); what is brighter than white, {WHITE} cd/m2, "
                "was toned down")


def xyz_of(places: Sequence[float]) -> np.ndarray:
    """XYZ [3, 3] of red, green and blue in columns, as seen by D65, from x and y of red, green,
    blue and white. ValueError if these are no primaries."""
    x, y = np.array(places, float).reshape(4, 2).T
    if not (np.isfinite([x, y]).all() and y[3] > 0.01 and np.abs([x, y]).max() < 5):
        raise ValueError("no primaries")
    corners = np.stack([x, y, 1 - x - y])[:, :3]
    white = np.array([x[3], y[3], 1 - x[3] - y[3]]) / y[3]
    if abs(np.linalg.det(corners)) < 0.01:
        raise ValueError("no primaries")

    # adapted to D65
    target = np.array([D65[0], D65[1], 1 - sum(D65)]) / D65[1]
    cones = BRADFORD @ np.stack([target, white], 1)
    adapted = np.linalg.inv(BRADFORD) @ np.diag(cones[:, 0] / cones[:, 1]) @ BRADFORD
    return adapted @ (corners * np.linalg.solve(corners, white))


def space_of(name: str, places: Sequence[float], curve: Curve | None, hdr: int = 0) -> Space:
    """A Space by x and y of its red, green, blue and white."""
    return Space(name, np.linalg.inv(xyz_of((*REC709, *D65))) @ xyz_of(places), curve, hdr)


# Curves, as that of sRGB is, even_light.light_of


def power(gamma: float) -> Curve:
    return lambda x: x ** gamma


def by_exponent(name: str, places: Sequence[float], exponent: float) -> Space:
    """The Space whose values are light to the power of an exponent; that of a screen, with the
    primaries of sRGB, is sRGB."""
    near = space_of(name, places, even_light.light_of)
    if near.moves() <= LEVELS and SCREENS[0] < exponent < SCREENS[1]:
        return near
    return space_of(name, places, power(1 / exponent))


def interpolated(table: np.ndarray) -> Curve:
    return lambda x: np.interp(x, np.linspace(0, 1, len(table)), table)


def pq(x: np.ndarray) -> np.ndarray:
    """Light of SMPTE ST 2084, 1: white."""
    root = x ** (1 / 78.84375)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return light ** (1 / 0.1593017578125) * 1e4 / WHITE


def hlg(x: np.ndarray) -> np.ndarray:
    """Light before the camera of hybrid log-gamma, 0 to 1."""
    bright = (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(x <= 0.5, x * x / 3, bright)


# By their number in H.273; those of television are seen on screens, as sRGB is.
CURVES: dict[int, tuple[str, Curve]] = {
    **dict.fromkeys((1, 4, 6, 13, 14, 15), ("", even_light.light_of)),
    5: (", gamma 2.8", power(2.8)),
    8: (", linear", power(1)),
    PQ: (", PQ", pq),
    HLG: (", HLG", hlg),
    17: (", gamma 2.6", lambda x: x ** 2.6 * 52.37 / 48),
}


def by_numbers(
    primaries: int, curve: int, notes: list[str], narrow: bool = False
) -> Space | None:
    """The Space of two numbers in H.273, None if they say nothing; appends to notes if they are not
    known."""
    if {primaries, curve} <= {0, 2}:
        return None
    if primaries not in (0, 2, *PRIMARIES) or curve not in (0, 2, *CURVES):
        notes.append(f"its colour space ({primaries}, {curve}) is not known here and was taken for "
                     "sRGB")
        return None

    name, *places = PRIMARIES.get(primaries, PRIMARIES[1])
    more, light = CURVES.get(curve, CURVES[13])
    if narrow:
        return space_of(f"{name}{more}, 16 to 235", places, of_narrow(light), hdr_of(curve))
    return space_of(name + more, places, light, hdr_of(curve))


def of_narrow(light: Curve) -> Curve:
    """A curve for values that go from 16 to 235."""
    return lambda x: light(np.clip((x * 255 - 16) / 219, 0, 1))


def hdr_of(curve: int) -> int:
    """The number of a curve of HDR, 0 of another."""
    return curve if curve in (PQ, HLG) else 0


# Where it is said


def stated(image: Image.Image, file: BinaryIO, notes: list[str]) -> Space | None:
    """The Space that an opened image, whose file is given, too, says that its colours have; None:
    sRGB, or what its profile says, which is then in image.info. Appends to notes what is said and
    not understood."""
    try:
        found = WAYS.get(str(image.format), exif_space)(image, file, notes)
        return found if found is not None and found.moves() > LEVELS else None
    except (ValueError, ArithmeticError, IndexError, KeyError, TypeError, struct.error, OSError,
            SyntaxError) as error:
        notes.append("what its file says of its colours is broken and was left out "
                     f"({printable(error)})")
        return None


def png_space(image: Image.Image, file: BinaryIO, notes: list[str]) -> Space | None:
    """By the chunks of a PNG file; the first of these counts: cICP, iCCP, sRGB, gAMA and cHRM,
    eXIf."""
    found = chunks.read_chunks(file, (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"))
    if len(found.get(b"cICP", b"")) == 4:
        primaries, curve, _, full = found[b"cICP"]
        space = by_numbers(primaries, curve, notes, narrow=not full)
        if space is not None:
            image.info.pop("icc_profile", None)
            return space

    if b"iCCP" in found:
        image.info.setdefault("icc_profile", chunks.profile_of(found[b"iCCP"]))
        return None
    if b"sRGB" in found:
        return None
    if not {b"gAMA", b"cHRM"} & found.keys():
        return exif_space(image, file, notes)

    # gamma and primaries, where one of them is not said that of sRGB
    exponent, = struct.unpack(">I", found.get(b"gAMA", struct.pack(">I", 45455)))
    numbers = struct.unpack(">8I", found.get(b"cHRM", struct.pack(">8I", *SRGB_CHUNK)))
    if not exponent:
        raise ValueError("gAMA is 0")
    white, places = [[number / 1e5 for number in part] for part in (numbers[:2], numbers[2:])]
    name = "linear light" if exponent == 100_000 else f"gamma {1e5 / exponent:.3g}"
    if numbers[2:] != tuple(SRGB_CHUNK[2:]):
        name += " and its own primaries"
    return by_exponent(name, (*places, *white), exponent / 1e5)


SRGB_CHUNK = [round(1e5 * place) for place in (*D65, *REC709)]  # what cHRM would say


def exif_space(image: Image.Image, file: BinaryIO, notes: list[str]) -> Space | None:
    """By Exif, which knows sRGB, Adobe RGB, and that it is neither; what XMP says is a name, and is
    only said."""
    if image.info.get("icc_profile"):
        return None

    named = re.search(rb'photoshop:ICCProfile(?:="|>)([^"<]{1,80})', xmp_of(image))
    if named and b"sRGB" not in named[1]:
        name = printable(named[1].decode('utf-8', 'replace'))
        notes.append(f"its XMP says that its colours are {name}, without that profile; they were "
                     "taken for sRGB")
    if not (hasattr(image, "tag_v2") or "exif" in image.info):
        return None  # without Exif a PNG would be decoded to look for it

    exif = image.getexif()
    camera = exif.get_ifd(0x8769)
    space = camera.get(0xA001)
    interop = exif.get_ifd(0xA005).get(1, "") if 0xA005 in camera else ""
    interop = interop.decode("latin-1") if isinstance(interop, bytes) else str(interop)
    if space == 2 or space != 1 and interop.startswith("R03"):
        return space_of(ADOBE[0], ADOBE[1:], power(563 / 256))
    if space == 65535:
        notes.append("its Exif says that its colours are not sRGB, and not what they are; they "
                     "were taken for sRGB")
    return None


def xmp_of(image: Image.Image) -> bytes:
    """XMP of an opened image, bytes."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else bytes(found)


def tiff_space(image: Any, file: BinaryIO, notes: list[str]) -> Space | None:
    """By the tags WhitePoint, PrimaryChromaticities and TransferFunction of a TIFF, or by Exif."""
    tags = image.tag_v2
    if image.info.get("icc_profile") or not {301, 319} & set(tags):
        return exif_space(image, file, notes)

    white = [float(x) for x in tags.get(318, D65)]
    places = [float(x) for x in tags.get(319, REC709)]
    light, name = even_light.light_of, "its own primaries"
    if 301 in tags:
        table, length = np.array(tags[301], float) / TOP, 1 << int(tags.get(258, (8,))[0])
        whole = len(table) in (length, 3 * length)
        if not whole or (table.reshape(-1, length) != table[:length]).any():
            raise ValueError("curves that differ, or are too short")
        light, name = interpolated(table[:length]), "its own curve and primaries"

    return space_of(name, (*places, *white), light)


def bmp_space(image: Image.Image, file: BinaryIO, notes: list[str]) -> Space | None:
    """By the header of a BMP file: a profile in it, or primaries and gamma."""
    file.seek(14)
    head = file.read(124)
    size, = struct.unpack_from("<I", head)
    if size < 108:
        return None

    kind, = struct.unpack_from("<I", head, 56)
    if kind == 0x4D424544 and size >= 124:  # "MBED"
        start, length = struct.unpack_from("<II", head, 112)
        file.seek(14 + start)
        image.info["icc_profile"] = file.read(min(length, chunks.LARGEST_PROFILE))
        return None

    # XYZ of red, green and blue
    ends = np.array(struct.unpack_from("<9i", head, 60)).reshape(3, 3) / 2**30
    gamma = struct.unpack_from("<3I", head, 96)
    if kind or not ends.any() or not gamma[0]:  # said to be sRGB, or nothing is said
        return None
    places = (ends / ends.sum(1, keepdims=True))[:, :2]
    white = ends.sum(0) / ends.sum()
    return by_exponent("its own primaries", (*places.ravel(), *white[:2]), 65536 / gamma[0])


def iso_space(image: Image.Image, file: BinaryIO, notes: list[str]) -> Space | None:
    """By the first box colr of an AVIF or HEIC file that has numbers."""
    if image.info.get("icc_profile"):
        return None

    file.seek(0)
    head = file.read(2**20)
    place = head.find(b"colrnclx")
    if place < 0:
        return exif_space(image, file, notes)
    primaries, curve = struct.unpack_from(">HH", head, place + 8)
    return by_numbers(primaries, curve, notes)


WAYS = {
    "PNG": png_space,
    "TIFF": tiff_space,
    "BMP": bmp_space,
    **dict.fromkeys(ISO, iso_space),
}
