"""A seamless texture as a pattern, .pat, with which GIMP and Krita fill (GIMP's pattern format, version 1)."""

import struct

import numpy as np

from . import slots

VERSION, MAGIC = 1, b"GPAT"
HEAD = ">5I4s"  # length of the head with the name, version, width, height, channels, magic


def document(material):
    """A .pat file, bytes, of a slots.Material that has a colour: grey, RGB or RGBA, 8 bits a channel."""
    pixels, name = pixels_of(material), material.name.encode() + b"\0"
    height, width, channels = pixels.shape
    head = struct.pack(HEAD, struct.calcsize(HEAD) + len(name), VERSION, width, height, channels, MAGIC)
    return head + name + pixels.tobytes()


def pixels_of(material):
    """A material's colour, with its opacity if it has one, uint8 [H, W, 1, 3 or 4]."""
    colour, opacity = material.slots["colour"], material.slots.get("opacity")
    if opacity is not None:
        return slots.of_depth(slots.joined(colour, opacity), 8)
    return np.ascontiguousarray(slots.of_depth(colour.read(3 if colour.channels > 2 else 1), 8))
