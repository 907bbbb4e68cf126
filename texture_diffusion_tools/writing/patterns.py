"""A seamless texture as a pattern, .pat, with which GIMP and Krita fill: version 1 of GIMP's
format.
"""

from __future__ import annotations

import struct

import numpy as np

from . import slots

VERSION, MAGIC = 1, b"GPAT"
HEAD = ">5I4s"  # length of the head with the name, version, width, height, channels, magic


def document(material: slots.Material) -> bytes:
    """A .pat file of a material that has a colour: grey, RGB or RGBA, 8 bits a channel."""
    pixels, name = pixels_of(material), material.name.encode() + b"\0"

    height, width, channels = pixels.shape
    length = struct.calcsize(HEAD) + len(name)
    head = struct.pack(HEAD, length, VERSION, width, height, channels, MAGIC)
    return head + name + pixels.tobytes()


def pixels_of(material: slots.Material) -> np.ndarray:
    """A material's colour, with its opacity if it has one, uint8 [H, W, 1, 3 or 4]."""
    colour, opacity = material.slots["colour"], material.slots.get("opacity")
    if opacity is not None:
        return slots.of_depth(slots.joined(colour, opacity), 8)
    return slots.of_depth(colour.read(3 if colour.channels > 2 else 1), 8)
