"""What of a drawn material goes into which slot of a renderer's material: each map's file and
channel there.

Slots are called by the kinds of map. A copy is made where a file is not as all programs want it:
normals with green down, gloss in place of roughness, opacity in a file of its own, height that is
not in red.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..reading import channels, map_names, photos

KINDS = (  # few take others
    "colour", "opacity", "normal", "height", "roughness", "occlusion", "metal", "emission")
# Opacity so near to none or all is one of them; where it is in this share, edges are cut out.
NEAR, CUT = 0.1, 0.9
CUTOFF = 0.5  # opacity from which on a place of what is cut out is there
# Between black and white of the height, in lengths of the longer side; no program knows the true
# one.
HEIGHT = 0.05

Save = Callable[[str, np.ndarray, bool], Path]  # writes a copy of a map, and returns its path


class Slot(NamedTuple):
    """Where a map is: one or three channels of a PNG file."""

    path: Path
    first: int  # which of the file's channels, from 0
    channels: int  # of the file
    depth: int  # bits a channel
    down: bool = False  # whether the green of its normals points down

    def letter(self) -> str:
        """The name of its channel; the second of two is alpha."""
        return ("ra" if self.channels == 2 else "rgba")[self.first]

    def read(self, count: int = 1) -> np.ndarray:
        """So many of its channels, uint8 or uint16 [H, W, count]; a grey file's are three times the
        same."""
        as_stored: Any = None  # bits
        image, _ = photos.open_image(self.path, as_stored, alpha=True, colours=False)
        pixels = np.atleast_3d(np.asarray(image))
        if pixels.shape[2] == 1:
            pixels = pixels.repeat(count, 2)
        return pixels[..., self.first:self.first + count]


Slots = dict[str, Slot]  # by kinds


class Material(NamedTuple):
    """A material as other programs take it."""

    name: str
    size: Sequence[int]  # (height, width), pixels
    # of KINDS in their order: colour and opacity are in one file, normals have green up
    slots: Slots
    cut: bool = False  # whether opacity is all or nothing nearly everywhere
    crisp: bool = False  # whether pixels are to be seen, as in pixel art

    def sides(self) -> tuple[float, float]:
        """Width and height of a quad that shows all of it, the longer one 1."""
        return self.size[1] / max(self.size), self.size[0] / max(self.size)


def material_of(
    photo: Any, paths: Sequence[Path], size: Sequence[int], save: Save
) -> Material:
    """The Material of a Photo whose files were drawn at paths, in a size (height, width).

    save(name, pixels, srgb) writes a copy of a map and returns its path.
    """
    slots = with_copies(slots_of(photo, paths), save)
    slots = {kind: slots[kind] for kind in KINDS if kind in slots}
    opacity = slots["opacity"].read() if "opacity" in slots else None
    cut = opacity is not None and cuts_out(opacity)
    return Material(photo.name, tuple(size), slots, cut, photo.channels.art is not None)


def slots_of(photo: Any, paths: Sequence[Path]) -> Slots:
    """{kind: Slot} of a Photo whose files are at paths; of normals in both conventions those with
    green up."""
    files = sorted(zip(photo.channels.files, paths),
                   key=lambda one: (one[0].down, "opacity" not in one[0].holds))
    found = {}
    for file, path in files:
        count, depth, _ = file.format()
        first = 0
        for kind in file.holds:
            slot = Slot(path, first, count, depth, kind == "normal" and file.down)
            found.setdefault("colour" if kind == "grey" else kind, slot)
            first += channels.IN_FILES.get(kind, 1)
    return found


def with_copies(slots: Slots, save: Save) -> Slots:
    """Slots as all programs can take them; save as in material_of."""
    slots = dict(slots)
    if "normal" in slots and slots["normal"].down:
        normal = slots["normal"]
        slots["normal"] = copied(normal, "NormalGL", turned_up(normal.read(3)), save)

    if "gloss" in slots and "roughness" not in slots:
        gloss = slots["gloss"]
        slots["roughness"] = copied(gloss, "Roughness", inverted(gloss.read()), save)

    if "height" in slots and slots["height"].first:
        height = slots["height"]
        slots["height"] = copied(height, "Height", height.read(), save)

    colour, opacity = slots.get("colour"), slots.get("opacity")
    if opacity and (colour is None or opacity.path != colour.path):
        pixels = joined(colour, opacity)
        slots["colour"] = copied(colour or opacity, "ColorOpacity", pixels, save)
        slots["opacity"] = slots["colour"]._replace(first=3)
    return slots


def copied(slot: Slot, word: str, pixels: np.ndarray, save: Save) -> Slot:
    """The Slot of a copy with other pixels [H, W, channels], called like the file of a slot with
    another word for what it holds."""
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    name = called(slot.path.stem, word)
    path = save(name, np.ascontiguousarray(pixels), word == "ColorOpacity")
    return Slot(path, 0, np.atleast_3d(pixels).shape[2], 8 * pixels.itemsize)


def called(name: str, word: str) -> str:
    """A file's name with another word for the map that it holds: where it goes, the folder is one
    material still."""
    found = map_names.what_it_holds(name)
    letters = r"[\W_]*".join(map(re.escape, found[1])) if found else "(?!)"
    *_, last = [None, *re.finditer(letters, name, re.IGNORECASE)]
    return name[:last.start()] + word + name[last.end():] if last else f"{name}_{word}"


def inverted(pixels: np.ndarray) -> np.ndarray:
    """Pixels with light and dark exchanged."""
    return np.iinfo(pixels.dtype).max - pixels


def turned_up(pixels: np.ndarray) -> np.ndarray:
    """Normals [H, W, 3] whose green points down with green that points up."""
    return np.concatenate([pixels[..., :1], inverted(pixels[..., 1:2]), pixels[..., 2:]], 2)


def joined(colour: Slot | None, opacity: Slot) -> np.ndarray:
    """Pixels [H, W, 4] of a colour's Slot, or white in place of None, and an opacity's, of the
    depth of the first."""
    alpha = opacity.read()
    if colour:
        pixels = colour.read(3)
    else:
        pixels = np.full((*alpha.shape[:2], 3), np.iinfo(alpha.dtype).max, alpha.dtype)
    return np.concatenate([pixels, of_depth(alpha, 8 * pixels.itemsize)], 2)


def of_depth(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Pixels with 8 or 16 bits."""
    if pixels.itemsize * 8 == depth:
        return pixels
    if depth == 16:
        return pixels.astype(np.uint16) * np.uint16(257)
    return ((pixels + 128.0) // 257).astype(np.uint8)


def cuts_out(opacity: np.ndarray) -> bool:
    """Whether opacity [H, W, 1] is all or nothing nearly everywhere."""
    share = opacity / np.iinfo(opacity.dtype).max
    return bool((np.minimum(share, 1 - share) <= NEAR).mean() >= CUT)


def identifier(name: str) -> str:
    """A name for where letters, digits and _ alone are allowed."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
