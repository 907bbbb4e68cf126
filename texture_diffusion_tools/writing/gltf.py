"""glTF 2.0, binary (.glb): a square that shows a material, with its pictures inside, as PNG with 8
bits.

Occlusion, roughness and metal are in red, green and blue of one picture. There is no slot for
heights.
"""

from __future__ import annotations

import io
import itertools
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from . import slots

FLOAT, SHORT = 5126, 5123  # types of numbers
VERTICES, INDICES = 34962, 34963  # what a part of the buffer is for
REPEAT, NEAREST, LINEAR, NEAREST_MIPMAP, MIPMAP = 10497, 9728, 9729, 9984, 9987  # of samplers
PACKED = ("occlusion", "roughness", "metal")  # red, green and blue


def document(material: slots.Material) -> bytes:
    """A .glb file, bytes, of a slots.Material."""
    pictures, geometry = pictures_of(material), quad(*material.sides())
    primitive = {
        "attributes": {"POSITION": 0, "NORMAL": 1, "TANGENT": 2, "TEXCOORD_0": 3},
        "indices": 4,
        "material": 0,
    }
    content = {
        "asset": {"version": "2.0", "generator": "Texture Diffusion"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": material.name}],
        "meshes": [{"name": material.name, "primitives": [primitive]}],
        "materials": [material_in(material, list(pictures))],
        "accessors": [described(k, numbers) for k, numbers in enumerate(geometry)],
        "samplers": [sampler(material.crisp)],
        "textures": [{"sampler": 0, "source": k} for k in range(len(pictures))],
        "images": [{"name": name, "mimeType": "image/png", "bufferView": len(geometry) + k}
                   for k, name in enumerate(pictures)],
    }
    content = {name: value for name, value in content.items() if value}  # lists must not be empty

    parts = [numbers.tobytes() for numbers in geometry] + list(pictures.values())
    targets = [INDICES if numbers.dtype == np.uint16 else VERTICES for numbers in geometry]
    return packed(content, parts, targets)


def quad(width: float, height: float) -> tuple[np.ndarray, ...]:
    """Corners of a quad that faces z: positions, normals, tangents with the side to which green
    points, places in the texture, whose origin is its upper left corner, and the corners of two
    triangles."""
    around = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], "<f4")
    x, y = (around[:, 0] - 0.5) * width, (0.5 - around[:, 1]) * height
    positions = np.c_[x, y, np.zeros(4)].astype("<f4")
    normals = np.tile(np.array([0, 0, 1], "<f4"), (4, 1))
    tangents = np.tile(np.array([1, 0, 0, 1], "<f4"), (4, 1))
    return positions, normals, tangents, around, np.array([0, 1, 2, 0, 2, 3], "<u2")


def described(view: int, numbers: np.ndarray) -> dict[str, Any]:
    """The accessor of numbers [count] or [count, parts] in a part of the buffer."""
    least, most = (np.atleast_1d(end).tolist() for end in (numbers.min(0), numbers.max(0)))
    kind = "SCALAR" if numbers.ndim == 1 else f"VEC{numbers.shape[1]}"
    return {
        "bufferView": view,
        "componentType": SHORT if numbers.dtype == np.uint16 else FLOAT,
        "count": len(numbers),
        "type": kind,
        "min": least,
        "max": most,
    }


def sampler(crisp: bool) -> dict[str, int]:
    """How pictures are looked up: they repeat, and are smooth unless they are crisp."""
    larger, smaller = (NEAREST, NEAREST_MIPMAP) if crisp else (LINEAR, MIPMAP)
    return {"wrapS": REPEAT, "wrapT": REPEAT, "magFilter": larger, "minFilter": smaller}


def material_in(material: slots.Material, pictures: Sequence[str]) -> dict[str, Any]:
    """The material, whose pictures are known by their place in a list of names."""
    found = {name: {"index": k} for k, name in enumerate(pictures)}
    surface = {
        "baseColorTexture": found.get("colour"),
        "metallicRoughnessTexture": found.get("packed"),
        "metallicFactor": int("metal" in material.slots),
        "roughnessFactor": 1,
    }

    emission = "emission" in material.slots
    opacity = "opacity" in material.slots
    made = {
        "name": material.name,
        "pbrMetallicRoughness": without_none(surface),
        "normalTexture": found.get("normal"),
        "emissiveTexture": found.get("emission"),
        "occlusionTexture": found.get("packed") if "occlusion" in material.slots else None,
        "emissiveFactor": [1, 1, 1] if emission else None,
        "alphaMode": ("MASK" if material.cut else "BLEND") if opacity else None,
        "alphaCutoff": slots.CUTOFF if opacity and material.cut else None,
    }
    return without_none(made)


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """A dict without what is None."""
    return {name: value for name, value in values.items() if value is not None}


def pictures_of(material: slots.Material) -> dict[str, bytes]:
    """{name: PNG file} of a material."""
    found = {}
    if "colour" in material.slots:
        found["colour"] = picture(material.slots["colour"], 4 if "opacity" in material.slots else 3)
    for name in ("normal", "emission"):
        if name in material.slots:
            found[name] = picture(material.slots[name], 3)
    if any(name in material.slots for name in PACKED):
        found["packed"] = packed_picture(material.slots)
    return found


def picture(slot: slots.Slot, count: int) -> bytes:
    """A PNG file with the first so many channels of a slot's: its own, if it is such a one."""
    if slot.depth == 8 and slot.first == 0 and slot.channels >= count:
        return slot.path.read_bytes()
    return png_file(slots.of_depth(slot.read(count), 8))


def packed_picture(found: slots.Slots) -> bytes:
    """A PNG file with occlusion, roughness and metal: one that is packed so is used as it is."""
    there = [found[name] for name in PACKED if name in found]
    in_place = all(name not in found or found[name].first == k for k, name in enumerate(PACKED))
    as_it_is = len({slot.path for slot in there}) == 1 and in_place
    if as_it_is and there[0].channels >= 3 and there[0].depth == 8:
        return there[0].path.read_bytes()

    planes = [slots.of_depth(found[name].read(), 8) if name in found else None for name in PACKED]
    shape = next(plane.shape for plane in planes if plane is not None)
    missing = (255, 255, 0)  # not occluded, rough, no metal
    filled = [np.full(shape, value, np.uint8) if plane is None else plane
              for plane, value in zip(planes, missing)]
    return png_file(np.concatenate(filled, 2))


def png_file(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W, 3 or 4], bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def packed(content: dict[str, Any], parts: Sequence[bytes], targets: Sequence[int]) -> bytes:
    """A .glb file of its JSON and the parts of its buffer, each of which begins at a multiple of 4.
    targets: what the first of them are for."""
    padded = [part + bytes(-len(part) % 4) for part in parts]
    starts = itertools.accumulate(map(len, padded), initial=0)
    views = [{"buffer": 0, "byteOffset": start, "byteLength": len(part)}
             for start, part in zip(starts, parts)]
    for view, target in zip(views, targets):
        view["target"] = target

    buffer = b"".join(padded)
    whole = {**content, "bufferViews": views, "buffers": [{"byteLength": len(buffer)}]}
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 4)

    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(buffer))
    return b"".join([
        head,
        struct.pack("<I4s", len(text), b"JSON"), text,
        struct.pack("<I4s", len(buffer), b"BIN\0"), buffer,
    ])
