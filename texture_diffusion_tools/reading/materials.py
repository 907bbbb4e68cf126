"""A material: a folder of maps that belong together pixel for pixel, as channels of one picture and
back to its files.

Values are in [-1, 1], as a photo's: a file's 0 is -1, and its largest value 1. Of a normal two
numbers are kept, how far it points to the right and down the picture; the third follows, since
normals have length 1. Maps that are the same everywhere are no channels: they are written as they
were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from PIL import Image

from ..running.errors import UserError, printable
from . import even_light, folders, map_names, photos, straighten, surfaces, transparency
from .channels import (
    COLOURED,
    IN_FILES,
    WITHOUT_COLOUR,
    Channels,
    MapFile,
    as_values,
    slices_of,
    slopes_of,
    to_pixels,
)

LETTERS = ("red", "green", "blue")  # channels of a file that have no other name
# Level of the file: a map whose deviation is less is the same everywhere, but for a JPEG file's
# noise.
SAME = 1.0
FREE = ("unused",)  # kinds that several files may hold
# Mean difference of values, 4 levels of 255, up to which two files hold the same map, one as a
# JPEG file.
COPY = 0.03
# What they are called.
COMPUTED = {"normal": "NormalGL", "height": "Height", "occlusion": "AmbientOcclusion"}
MASK = "mask"  # what is bent with the maps, and is none

Kinds = tuple[str, ...]  # of map in a file
Planes = dict[str, np.ndarray]  # kind -> [channels, H, W] in [-1, 1]
Levels = dict[str, float]  # kind -> what a level of its file is


class Taken(NamedTuple):
    """What a file was taken for."""

    holds: Kinds  # kinds of map
    word: str  # of its name that says so
    # whether the green of normals points down, by the file's name; None: it does not say
    down: bool | None


def recognised(folder: str | Path) -> tuple[dict[Path, Taken], list[str]]:
    """{path: Taken} of the maps in a folder, and notes that say what was taken for what and what
    was left out; UserError where they are of several materials, or two are the same map."""
    paths, unread = folders.look_into(folder)
    found = map_names.sort_out(paths)
    if found.materials:
        refuse_several(folder, found.materials)
    if not found.maps:
        raise UserError(f"{printable(folder)} holds no map: of {len(paths)} pictures none has a "
                        "name such as rock_Color.png, rock_Normal.png or rock_Roughness.png; "
                        "give a photo, or name them so")

    maps, variants = map_names.without_variants(found.maps)
    known = {path: Taken(holds, maps[path].word, map_names.points_down(maps[path].word))
             for path, holds in map_names.holds_of(maps).items()}

    # what people should know of that
    taken = [f"{printable(path.name)} for {', '.join(map(shown, file.holds))}"
             for path, file in known.items()]
    notes = [f"by their names, {'; '.join(taken)} were taken"]
    for left, reason in ((found.others + unread, "no map by its name, or no picture that is read"),
                         (variants, "another variant of a map is used")):
        names = ", ".join(printable(path.name) for path in left)
        notes += [f"{names} was left out: {reason}"] if left else []
    return known, notes


def shown(kind: str) -> str:
    """A kind of map for a sentence."""
    return kind.replace("_", ", its ")


def refuse_several(folder: str | Path, materials: Mapping[str, Sequence[Path]]) -> NoReturn:
    """UserError that lists the materials {stem: [paths]} in a folder."""
    one, another, *_ = (paths[0].name for paths in materials.values())
    raise UserError(f"{printable(folder)} holds maps of {len(materials)} materials, such as "
                    f"{printable(one)} and {printable(another)}; give each a folder of its own: "
                    + ", ".join(printable(stem or "without a name") for stem in materials))


def read_material(
    folder: str | Path,
    crop: photos.Crop | None = None,
    max_side: float = 1024,
    even: bool = False,
    corners: straighten.Corners | None = None,
    aspect: float | None = None,
    depth: int | None = None,
    mask: np.ndarray | None = None,
    least: float = 0,
    complete: bool | float = False,
) -> tuple[np.ndarray, Channels, list[str]]:
    """The maps in a folder: values in [-1, 1], float32 [C, H, W], their Channels, and notes, a list
    of sentences.

    crop, max_side, even, corners, aspect, least: as in photos.read_photo, for all maps alike but
    even, which is for the colour; depth: bits a channel of what is written, None: those of each
    file; mask: as in photos.read_photo, then the values have one more channel, the last; complete:
    whether missing maps are computed from others, or the relief with which, as in
    surfaces.complete. Raises UserError with a sentence.
    """
    known, notes = recognised(folder)
    planes, files, levels, said = read_files(known, depth)

    # a mask is bent with the maps
    if mask is not None:
        planes = {kind: transparency.without(x.transpose(1, 2, 0), mask).transpose(2, 0, 1)
                  for kind, x in planes.items()}
        planes[MASK] = as_values(mask)
    planes, bent = bend(planes, corners, aspect, crop, max_side, least)
    covered = [planes.pop(MASK)] if mask is not None else []
    notes += said + bent

    if even and "colour" in planes:
        planes["colour"], said = evened(planes["colour"])
        notes += said
    if complete:
        relief = None if complete is True else complete
        planes, files, levels, said = completed(planes, files, levels, known, depth, relief)
        notes += said

    # maps that are the same everywhere are no channels
    constants = {kind: x.mean((1, 2)) for kind, x in planes.items() if is_same(x, levels[kind])}
    learned = [kind for kind in planes if kind not in constants]
    if not learned:
        raise UserError(f"{printable(folder)}: each map is a single colour, there is no texture to "
                        "learn")
    notes += [f"the {kind} map is the same everywhere and is written as it is"
              for kind in constants]
    if "colour" not in learned:
        by = " and ".join(kind for kind in WITHOUT_COLOUR if kind in learned) or "all maps"
        notes.insert(0, "there is no colour to learn: previews are grey, and places are matched by "
                        f"{by}")

    its = {kind: planes[kind] for kind in learned}
    values = np.concatenate([*its.values(), *covered])
    return values, Channels(slices_of(its), constants, files, folder=True), notes


def is_same(planes: np.ndarray, level: float) -> bool:
    """Whether planes [channels, H, W] are the same everywhere; level: what a level of their file
    is."""
    return planes.std((1, 2)).max() < SAME * level


def completed(
    planes: Planes, files: tuple[MapFile, ...], levels: Levels, known: Mapping[Path, Taken],
    depth: int | None, relief: float | None,
) -> tuple[Planes, tuple[MapFile, ...], Levels, list[str]]:
    """planes, files and levels as of read_files() with the maps that surfaces.complete() computes,
    and notes."""
    usable = {kind: x for kind, x in planes.items() if not is_same(x, levels[kind])}
    found, source, said = surfaces.complete(usable, planes.keys(), relief)
    if not found or source is None:
        why = "all of normal, height and occlusion are there" if source else said
        return planes, files, levels, [f"COMPLETE computed nothing: {why}"]

    origin = next(file for file in files if source in file.holds)
    word = next(taken.word for path, taken in known.items() if path.stem == origin.name)

    # named and ordered as if they had been there
    made = [MapFile(map_names.renamed(origin.name, word, COMPUTED[kind]), (kind,),
                    depth or (16 if kind == "height" else origin.depth)) for kind in found]
    levels = {**levels, **{file.holds[0]: 2 / (2**file.depth - 1) for file in made}}
    both = {**planes, **found}
    order = sorted(both, key=lambda kind: [kind != x for x in ("colour", "height")])
    ordered = {kind: both[kind] for kind in order}

    what = {"normal": "normals, green up, OpenGL's way", "height": "height",
            "occlusion": "occlusion"}
    names = " and ".join(f"{printable(file.name)} ({what[file.holds[0]]})" for file in made)
    return ordered, (*files, *made), levels, [
        f"COMPLETE computed {names} from the {shown(source)} map of {printable(origin.name)}, "
        f"with {said}"]


def read_files(
    known: Mapping[Path, Taken], depth: int | None,
) -> tuple[Planes, tuple[MapFile, ...], Levels, list[str]]:
    """{kind: planes [channels, H, W] in [-1, 1]}, colour first, then height; the MapFiles; {kind:
    what a level of its file is}; notes. known: {path: Taken}"""
    pixels, notes = open_all(known)
    planes, files, levels, first = {}, [], {}, {}
    order = sorted(known, key=lambda path: [kind not in known[path].holds
                                            for kind in ("colour", "height")])
    for path in order:
        holds, _, named = known[path]
        holds, values = laid_out(as_values(pixels[path]), holds)
        notes += [f"{printable(path.name)}: {note}" for note in unlike(pixels[path], holds)]

        # of normals, right and down
        down = False
        if "normal" in values:
            height = planes.get("height", values.get("normal_alpha"))
            down, said = told_convention(values["normal"], height, named)
            notes += said
            values["normal"] = slopes_of(with_blue(values["normal"]), down)

        # the first file of a kind is the one that counts
        for kind, x in values.items():
            key = kind, named if kind == "normal" else None
            check_twice(kind, path, x, first.setdefault(key, (path, x)))
            planes.setdefault(kind, x)
            levels.setdefault(kind, 2 / np.iinfo(pixels[path].dtype).max)

        if path.stem in (file.name for file in files):
            notes.append(f"{printable(path.name)} holds what another file of that name does, which "
                         "alone is written")
        else:
            files.append(MapFile(path.stem, holds, depth or 8 * pixels[path].itemsize, down))
    return planes, tuple(files), levels, notes


def check_twice(kind: str, path: Path, x: np.ndarray, first: tuple[Path, np.ndarray]) -> None:
    """UserError unless planes x of a file are nearly those of the first (path, planes) that holds
    the same kind of map; normals in both conventions are no such."""
    other, there = first
    if kind not in FREE and path != other and np.abs(x - there).mean() > COPY:
        raise UserError(f"both {printable(other.name)} and {printable(path.name)} hold the {kind} "
                        "map; move one of them away")


def open_all(known: Mapping[Path, Taken]) -> tuple[dict[Path, np.ndarray], list[str]]:
    """The pixels {path: [H, W] or [H, W, channels]} of files {path: Taken}, and notes; UserError on
    different sizes."""
    pixels, notes = {}, []
    for path, (holds, *_) in known.items():
        image, said = photos.open_image(path, None, "opacity" in holds, holds[0] in COLOURED)
        pixels[path] = np.asarray(image)
        notes += [f"{printable(path.name)}: {note}" for note in said]

    first = next(iter(pixels))
    for path, x in pixels.items():
        (height, width), (first_height, first_width) = x.shape[:2], pixels[first].shape[:2]
        if (height, width) != (first_height, first_width):
            raise UserError(f"{printable(path.name)} has {width} x {height} pixels and "
                            f"{printable(first.name)} {first_width} x {first_height}; the maps of "
                            "a material have to be of one size")
    return pixels, notes


def laid_out(x: np.ndarray, holds: Kinds) -> tuple[Kinds, Planes]:
    """The kinds that the channels of a file hold, in their order, and {kind: planes}; x: all of
    them, [1 to 4, H, W] in [-1, 1]; holds: by its name. None is lost: alpha is a kind of its own,
    and so are others that differ from red."""
    # alpha counts where something is transparent
    last = len(x) in (2, 4)
    colours, alpha = (x[:-1], x[-1:]) if last and x[-1].min() < 1 else (x[:len(x) - last], x[:0])

    # one kind in red, green and blue, or in all that there is
    kind = holds[0]
    count = IN_FILES.get(kind, 1)
    if count == 3 or len(holds) == 1:
        wide = count > len(colours)
        first = np.broadcast_to(colours, (3, *x.shape[1:])) if wide else colours[:count]
        second = holds[1] if len(holds) > 1 else f"{kind}_alpha"
        if len(alpha):
            return (kind, second), {kind: first, second: alpha}
        return (kind,), {kind: first}

    # a kind in each channel
    names = names_of(holds, len(colours), len(alpha))
    pair = len(holds) == 2 and not len(alpha)
    if pair and all(np.array_equal(plane, colours[0]) for plane in colours):
        names = [holds[0]] * len(names)  # what would be in alpha is not there
    names = [holds[0] if "_" in name and np.array_equal(plane, colours[0]) else name
             for name, plane in zip(names, colours)] + names[len(colours):]
    return tuple(names), {name: plane[None] for name, plane in zip(names, [*colours, *alpha])}


def names_of(holds: Kinds, colours: int, alpha: int) -> list[str]:
    """The kinds of so many channels of a packed file, and of alpha, 0 or 1, by the kinds that its
    name says: of two the second is in alpha, if there is one, as Unity has it."""
    spare = [f"{holds[0]}_{letter}" for letter in LETTERS]
    if alpha and len(holds) == 2:
        return [holds[0], *spare[1:colours], holds[1]]
    names = [*holds[:colours], *spare[len(holds):colours]]
    return names + ([holds[3] if holds[3:] else f"{holds[0]}_alpha"] if alpha else [])


def unlike(pixels: np.ndarray, holds: Kinds) -> list[str]:
    """A list with a sentence if a file [H, W] or [H, W, channels] that is to hold one grey map is
    in colours."""
    kinds = {kind for kind in holds if not kind.endswith("_alpha")}
    single = len(kinds) == 1 and IN_FILES.get(holds[0], 1) == 1
    if not single or pixels.ndim == 2 or pixels.shape[2] < 3:
        return []

    red = as_values(pixels[..., :1])
    found = max(np.abs(as_values(pixels[..., k:k + 1]) - red).mean() for k in (1, 2))
    if found > COPY:
        return [f"it is in colours, and its red was taken for the {holds[0]} map"]
    return []


def with_blue(normals: np.ndarray) -> np.ndarray:
    """Normals [3, H, W]; those whose blue was left out, as in files of two channels, get it back.
    """
    if np.ptp(normals[2]) or normals[2].flat[0] > 0.5:
        return normals
    squares = (normals[:2]**2).sum(0, keepdims=True)
    return np.concatenate([normals[:2], np.sqrt(np.maximum(0, 1 - squares))])


def told_convention(
    normals: np.ndarray, height: np.ndarray | None, named: bool | None,
) -> tuple[bool, list[str]]:
    """Whether the green of normals [3, H, W] points down, and notes. named: what the file's name
    says; None: nothing, then the height map [1, H, W] tells, where there is one."""
    if named is not None:
        return named, []

    if height is not None:
        down, right = np.gradient(height[0])
        with np.errstate(invalid="ignore", divide="ignore"):  # a flat map correlates with nothing
            red, green = (np.corrcoef(x.ravel(), slope.ravel())[0, 1]
                          for x, slope in zip(normals, (right, down)))
        if min(abs(red), abs(green)) >= surfaces.AGREES:
            way = ("down", "DirectX") if red * green > 0 else ("up", "OpenGL")
            return bool(red * green > 0), [
                "the green of the normals points {}, {}'s way, by the height map".format(*way)]

    return False, [
        "the green of the normals was taken to point up, OpenGL's way, since neither its name nor "
        "a height map says; a name that ends in NormalDX or NormalGL would"]


def bend(
    planes: Planes,
    corners: straighten.Corners | None,
    aspect: float | None,
    crop: photos.Crop | None,
    max_side: float,
    least: float = 0,
) -> tuple[Planes, list[str]]:
    """{kind: planes} straightened, cropped and shrunk, and notes, as photos.read_photo does with a
    photo."""
    notes, size = [], next(iter(planes.values())).shape[:0:-1]
    if corners is not None:
        matrix, size, notes = straighten.plan(size, corners, aspect)
        planes = {kind: resampled(x, lambda image: straighten.warp(image, matrix, size))
                  for kind, x in planes.items()}
        if "normal" in planes:
            y, x = np.mgrid[:size[1], :size[0]] + 0.5
            planes["normal"] = turned(planes["normal"], straighten.jacobian(matrix, x, y))

    if crop is not None:
        x, y, width, height = photos.check_crop(crop, size)
        planes = {kind: plane[:, y:y + height, x:x + width] for kind, plane in planes.items()}
        size = width, height

    small = photos.shrunk_size(size, max_side, least)
    if small != tuple(size):
        planes = {kind: resampled(x, lambda image: image.resize(small, Image.Resampling.LANCZOS))
                  for kind, x in planes.items()}
        notes.append(f"the maps were shrunk from {size[0]} x {size[1]} to "
                     f"{photos.shrunk_to(small, max_side)}")
    return planes, notes


def resampled(planes: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Planes [channels, H, W] after change(image of mode F)."""
    images = (Image.fromarray(plane.astype(np.float32)) for plane in planes)
    return np.stack([np.asarray(change(image)) for image in images]).clip(-1, 1)


def turned(normals: np.ndarray, jacobians: np.ndarray) -> np.ndarray:
    """Normals (right, down) [2, h, w] of a picture that was bent, by the jacobians [2, 2, h, w] of
    where each pixel comes from: slopes of a height change like its gradient; how steep they are on
    the whole stays."""
    flat = np.sqrt(np.maximum(1e-6, 1 - (normals**2).sum(0)))
    scale = np.sqrt(np.abs(jacobians[0, 0] * jacobians[1, 1] - jacobians[0, 1] * jacobians[1, 0]))
    slopes = np.einsum("ijyx,iyx->jyx", jacobians, normals / flat) / scale
    return (slopes / np.sqrt(1 + (slopes**2).sum(0))).astype(np.float32)


def evened(planes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Colour planes [3, H, W] in even light, and notes."""
    pixels, notes = even_light.even_out(to_pixels(planes, 16))
    return as_values(pixels), notes
