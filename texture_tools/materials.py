"""A material: a folder of maps that belong together pixel for pixel, as channels of one picture and back to its files.

Values are in [-1, 1], as a photo's: a file's 0 is -1, and its largest value 1. Of a normal two numbers are kept, how
far it points to the right and down the picture; the third follows, since normals have length 1. Maps that are the same
everywhere are no channels: they are written as they were.
"""

import filecmp
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import even_light, photos, straighten, transparency
from .errors import UserError, printable

COLOURED = ("colour", "emission")  # in sRGB; all others are linear
CHANNELS = {"colour": 3, "emission": 3, "normal": 2}  # of the kinds of map; all others have one
WORDS = {
    "colour": "color colour col albedo basecolor basecolour diffuse diff",
    "normal": "normal normals nor nrm norm normalgl norgl normalogl normalopengl normaldx nordx normaldirectx",
    "height": "displacement disp height bump heightmap",
    "roughness": "roughness rough",
    "gloss": "gloss glossiness smoothness",
    "occlusion": "ambientocclusion occlusion ao",
    "metal": "metalness metallic metal",
    "specular": "specular spec",
    "emission": "emissive emission emit",
    "opacity": "opacity alpha",
}
PACKED = {  # the kinds in red, green, blue and alpha
    "orm": ("occlusion", "roughness", "metal"), "arm": ("occlusion", "roughness", "metal"),  # glTF's order
    "maskmap": ("metal", "occlusion", "detail", "gloss"),  # Unity's
}
HOLDS = {**{word: (kind,) for kind, words in WORDS.items() for word in words.split()}, **PACKED}
SIZE_WORDS = r"\d+k|\d{3,5}|png|jpe?g|tiff?|exr"  # that may come last in a name, and say nothing about what it is
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".exr"}
SAME = 1.0  # level of the file: a map whose deviation is less is the same everywhere, but for a JPEG file's noise
AGREES = 0.2  # least correlation of normals with slopes of the height to tell the normals' convention
MASK = "mask"  # what is bent with the maps, and is none
MATCHED = {"colour": 1.0, "height": 1.0}  # kinds by which places are matched, what people see, and their weights


class MapFile(NamedTuple):
    """One file of a material."""

    name: str  # without its suffix
    holds: tuple  # the kinds in it; of one kind all channels, of several one each
    depth: int = 8  # bits a channel
    down: bool = False  # whether the green of its normals points down the picture, DirectX's way, or up, OpenGL's

    def format(self):
        """(channels, bits a channel, whether its values are colours in sRGB), as png.PngBands has them."""
        channels = 3 if self.holds == ("normal",) else sum(CHANNELS.get(kind, 1) for kind in self.holds)
        return channels, self.depth, self.holds[0] in COLOURED

    def split(self, pixels):
        """The pixels [h, w] or [h, w, channels] by kind, {kind: [h, w, channels]}."""
        ends = np.cumsum([CHANNELS.get(kind, 1) for kind in self.holds]) if len(self.holds) > 1 else []
        return dict(zip(self.holds, np.split(np.atleast_3d(pixels), ends, axis=2)))


class Maps(NamedTuple):
    """What the channels of a material, or of a photo with transparency, are, and what its files hold."""

    slices: dict  # kind -> which of the channels, in their order
    constants: dict  # kind -> [its channels], of maps that are the same everywhere, in [-1, 1]
    files: tuple  # MapFiles, that with the colour first
    folder: bool = True  # whether it is a material, or one file, a photo

    def written_with(self, depth):
        """The same with so many bits a channel in each file."""
        return self._replace(files=tuple(file._replace(depth=depth) for file in self.files))

    def colours(self):
        """How many of the first channels are the colour's, which have axes together: the others' would mix smooth maps
        with rough ones."""
        return self.slices.get("colour", slice(0, 0)).stop

    def channels(self):
        """The number of channels."""
        return max(part.stop for part in self.slices.values())

    def vector(self):
        """The first of the two channels of the normals, None without."""
        return self.slices["normal"].start if "normal" in self.slices else None

    def weights(self):
        """How much each channel counts in matching, [C]."""
        known = {kind: weight for kind, weight in MATCHED.items() if kind in self.slices}
        weights = np.full(self.channels(), 0.0 if known else 1.0, np.float32)
        for kind, weight in known.items():
            weights[self.slices[kind]] = weight
        return weights

    def planes(self, values, kind):
        """A kind's part of values [C, h, w], or its constant, [its channels, h, w]; None if the material lacks it."""
        if kind in self.slices:
            return values[self.slices[kind]]
        if kind in self.constants:
            return np.broadcast_to(self.constants[kind][:, None, None], (len(self.constants[kind]), *values.shape[1:]))
        return None

    def read(self, pixels):
        """Values [C, H, W] in [-1, 1] from the pixels {name: [H, W] or [H, W, channels]} of files that were written."""
        values = np.zeros((self.channels(), *next(iter(pixels.values())).shape[:2]), np.float32)
        for file in self.files:
            for kind, x in file.split(pixels[file.name]).items():
                if kind in self.slices:
                    planes = as_values(np.ascontiguousarray(x))
                    values[self.slices[kind]] = slopes_of(planes, file.down) if kind == "normal" else planes
        return values

    def seen(self, values):
        """What is seen of values [..., C, h, w], a tensor: the colour, or the first map, [..., 3 or 1, h, w]; grey
        where it is transparent."""
        colour = values[..., self.slices.get("colour", slice(0, 1)), :, :]
        return colour if "opacity" not in self.slices else \
            colour * ((values[..., self.slices["opacity"], :, :] + 1) / 2).clip(0, 1)

    def rendered(self, values):
        """The pixels of each file, uint8 or uint16 [h, w] or [h, w, channels], from values [C, h, w], an array."""
        return [encode(file, [self.planes(values, kind) for kind in file.holds]) for file in self.files]


def encode(file, planes):
    """The pixels of a MapFile from the planes [channels, h, w] of what it holds, values in [-1, 1]."""
    planes = with_length_1(planes[0], file.down) if file.holds == ("normal",) else np.concatenate(planes)
    return to_pixels(planes, file.depth)


def to_pixels(planes, depth):
    """Planes [channels, h, w] in [-1, 1] as the nearest pixels of so many bits, [h, w, channels], or [h, w] of one."""
    top = 2**depth - 1
    pixels = ((planes + 1) * (top / 2)).round().clip(0, top).astype(np.uint16 if depth == 16 else np.uint8)
    return np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def with_opacity(pixels, name):
    """Values in [-1, 1], float32 [4, H, W], and Maps of a photo with alpha, uint8 or uint16 [H, W, 4]."""
    file = MapFile(name, ("colour", "opacity"), 8 * pixels.itemsize)
    return as_values(pixels), Maps({"colour": slice(0, 3), "opacity": slice(3, 4)}, {}, (file,), folder=False)


def as_values(pixels):
    """Pixels uint8 or uint16 [H, W] or [H, W, channels] as float32 [channels, H, W] in [-1, 1]."""
    return np.moveaxis(np.atleast_3d(pixels), 2, 0) * np.float32(2 / np.iinfo(pixels.dtype).max) - 1


def with_length_1(planes, down=False):
    """Normals (right, down) [2, h, w] as vectors of length 1, (right, up, towards the eye) [3, h, w]; down: the second
    points down. Those that are too long lie in the plane."""
    length = np.maximum(1, np.sqrt((planes**2).sum(0)))
    right, below = planes / length
    return np.stack([right, below if down else -below, np.sqrt(np.maximum(0, 1 - right**2 - below**2))])


def what_it_holds(stem):
    """(the name before it, the word for what a file holds, in lower case) by its stem; None if no word is known."""
    words = re.findall(r"[^\W_]+", stem)
    while len(words) > 1 and re.fullmatch(SIZE_WORDS, words[-1], re.IGNORECASE):
        words.pop()
    for count in (2, 1):  # "nor_gl", "Base Color"; "NormalGL", "RockColor"
        word = "".join(words[-count:]).lower()
        if len(words) >= count and word in HOLDS:
            return " ".join(words[:-count]), word
    last = re.search(r"([A-Z][a-z]+|[A-Z]+)$", words[-1]) if words else None
    if last and last.start() and last[0].lower() in HOLDS:
        return " ".join([*words[:-1], words[-1][:last.start()]]), last[0].lower()
    return None


def recognised(folder):
    """{path: its word in HOLDS} of the pictures in a folder, and the names of other pictures; UserError where they
    are of several materials, or two are the same map."""
    paths = sorted(path for path in Path(folder).iterdir()
                   if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."))
    found = {path: what_it_holds(path.stem) for path in paths}
    others = [path.name for path in paths if found[path] is None]
    known = {path: word for path, (_, word) in ((path, pair) for path, pair in found.items() if pair)}
    if not known:
        raise UserError(f"{printable(folder)} holds no map: of {len(paths)} pictures none has a name such as "
                        "rock_Color.png, rock_Normal.png or rock_Roughness.png; give a photo, or name them so")
    names = {}
    for path in known:
        names.setdefault(found[path][0].lower(), path.name)
    if len(names) > 1:
        one, another, *_ = names.values()
        raise UserError(f"{printable(folder)} holds maps of {len(names)} materials, such as {printable(one)} and "
                        f"{printable(another)}; give each a folder of its own")
    check_twice(known)
    return known, others


def check_twice(known):
    """UserError if two files of {path: word} hold one kind, but for copies and for normals in both conventions."""
    first = {}
    for path, word in known.items():
        for kind in HOLDS[word]:
            other = first.setdefault((kind, points_down(word) if kind == "normal" else None), path)
            if not filecmp.cmp(path, other, shallow=False):
                raise UserError(f"both {printable(other.name)} and {printable(path.name)} hold the {kind} map; "
                                "move one of them away")


def points_down(word):
    """Whether a word for normals says that green points down: True, False, or None if it does not say."""
    return True if "dx" in word or "directx" in word else False if "gl" in word else None


def read_material(folder, crop=None, max_side=1024, even=False, corners=None, aspect=None, depth=None, mask=None,
                  least=0):
    """The maps in a folder: values in [-1, 1], float32 [C, H, W], their Maps, and notes, a list of sentences.

    crop, max_side, even, corners, aspect, least: as in photos.read_photo, for all maps alike but even, which is for the
    colour; depth: bits a channel of what is written, None: those of each file; mask: as in photos.read_photo, then the
    values have one more channel, the last. Raises UserError with a sentence.
    """
    known, others = recognised(folder)
    taken = [f"{printable(path.name)} for {', '.join(HOLDS[word])}" for path, word in known.items()]
    notes = [f"by their names, {'; '.join(taken)} were taken"]
    if others:
        notes.append(f"{', '.join(map(printable, others))} was left out: no map by its name")
    planes, files, levels, said = read_files(known, depth)
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
    constants = {kind: x.mean((1, 2)) for kind, x in planes.items() if x.std((1, 2)).max() < SAME * levels[kind]}
    learned = [kind for kind in planes if kind not in constants]
    if not learned:
        raise UserError(f"{printable(folder)}: each map is a single colour, there is no texture to learn")
    notes += [f"the {kind} map is the same everywhere and is written as it is" for kind in constants]
    ends = np.cumsum([len(planes[kind]) for kind in learned]).tolist()
    slices = {kind: slice(end - len(planes[kind]), end) for kind, end in zip(learned, ends)}
    return np.concatenate([planes[kind] for kind in learned] + covered), Maps(slices, constants, files), notes


def read_files(known, depth):
    """{kind: planes [channels, H, W] in [-1, 1]}, colour first, then height; the MapFiles; {kind: what a level of its
    file is}; notes. known: {path: word}"""
    pixels, notes = open_all(known)
    planes, files, levels = {}, [], {}
    order = sorted(known, key=lambda path: [kind not in HOLDS[known[path]] for kind in ("colour", "height")])
    for path in order:
        holds, down = HOLDS[known[path]], points_down(known[path])
        values = to_planes(pixels[path], holds)
        if holds == ("normal",):
            down, said = told_convention(values["normal"], planes.get("height"), down)
            notes += said
            values["normal"] = slopes_of(values["normal"], down)
        for kind, x in values.items():
            planes.setdefault(kind, x)
            levels.setdefault(kind, 2 / np.iinfo(pixels[path].dtype).max)
        files.append(MapFile(path.stem, tuple(values), depth or 8 * pixels[path].itemsize, bool(down)))
    return planes, tuple(files), levels, notes


def open_all(known):
    """The pixels {path: [H, W] or [H, W, channels]} of files {path: word}, and notes; UserError on different sizes."""
    pixels, notes = {}, []
    for path, word in known.items():
        image, said = photos.open_image(path, None, len(HOLDS[word]) == 4, colours=HOLDS[word][0] in COLOURED)
        pixels[path] = np.asarray(image)
        notes += [f"{printable(path.name)}: {note}" for note in said]
    first = next(iter(pixels))
    for path, x in pixels.items():
        (height, width), (first_height, first_width) = x.shape[:2], pixels[first].shape[:2]
        if (height, width) != (first_height, first_width):
            raise UserError(f"{printable(path.name)} has {width} x {height} pixels and {printable(first.name)} "
                            f"{first_width} x {first_height}; the maps of a material have to be of one size")
    return pixels, notes


def to_planes(pixels, holds):
    """The pixels of a file, uint8 or uint16, as {kind: float32 [channels, H, W]} in [-1, 1]."""
    x = as_values(pixels)
    if len(holds) == 1:
        count = 3 if holds[0] in CHANNELS else 1  # of a normal, too, all three are read
        return {holds[0]: np.broadcast_to(x, (3, *x.shape[1:])) if count > len(x) else x[:count]}
    return {kind: plane[None] for kind, plane in zip(holds, x)}


def slopes_of(normals, down):
    """Normals [3, H, W] as (right, down) of vectors of length 1, [2, H, W]; down: whether the second points down."""
    x = normals / np.maximum(np.sqrt((normals**2).sum(0)), 1e-6)
    return np.stack([x[0], x[1] if down else -x[1]])


def told_convention(normals, height, named):
    """Whether the green of normals [3, H, W] points down, and notes. named: what the file's name says; None: nothing,
    then the height map [1, H, W] tells, where there is one."""
    if named is not None:
        return named, []
    if height is not None:
        down, right = np.gradient(height[0])
        with np.errstate(invalid="ignore", divide="ignore"):  # a flat map correlates with nothing
            red, green = (np.corrcoef(x.ravel(), slope.ravel())[0, 1] for x, slope in zip(normals, (right, down)))
        if min(abs(red), abs(green)) >= AGREES:
            return bool(red * green > 0), ["the green of the normals points {}, {}'s way, by the height map".format(
                *(("down", "DirectX") if red * green > 0 else ("up", "OpenGL")))]
    return False, ["the green of the normals was taken to point up, OpenGL's way, since neither its name nor a height "
                   "map says; a name that ends in NormalDX or NormalGL would"]


def bend(planes, corners, aspect, crop, max_side, least=0):
    """{kind: planes} straightened, cropped and shrunk, and notes, as photos.read_photo does with a photo."""
    notes, size = [], next(iter(planes.values())).shape[:0:-1]
    if corners is not None:
        matrix, size, notes = straighten.plan(size, corners, aspect)
        planes = {kind: resampled(x, lambda image: straighten.warp(image, matrix, size)) for kind, x in planes.items()}
        if "normal" in planes:
            y, x = np.mgrid[:size[1], :size[0]] + 0.5
            planes["normal"] = turned(planes["normal"], straighten.jacobian(matrix, x, y))
    if crop is not None:
        x, y, width, height = photos.check_crop(crop, size)
        planes = {kind: plane[:, y:y + height, x:x + width] for kind, plane in planes.items()}
        size = width, height
    small = photos.shrunk_size(size, max_side, least)
    if small != tuple(size):
        planes = {kind: resampled(x, lambda image: image.resize(small, Image.LANCZOS)) for kind, x in planes.items()}
        notes.append(f"the maps were shrunk from {size[0]} x {size[1]} to {photos.shrunk_to(small, max_side)}")
    return planes, notes


def resampled(planes, change):
    """Planes [channels, H, W] after change(image of mode F)."""
    return np.stack([np.asarray(change(Image.fromarray(plane.astype(np.float32)))) for plane in planes]).clip(-1, 1)


def turned(normals, jacobians):
    """Normals (right, down) [2, h, w] of a picture that was bent, by the jacobians [2, 2, h, w] of where each pixel
    comes from: slopes of a height change like its gradient; how steep they are on the whole stays."""
    flat = np.sqrt(np.maximum(1e-6, 1 - (normals**2).sum(0)))
    scale = np.sqrt(np.abs(jacobians[0, 0] * jacobians[1, 1] - jacobians[0, 1] * jacobians[1, 0]))
    slopes = np.einsum("ijyx,iyx->jyx", jacobians, normals / flat) / scale
    return (slopes / np.sqrt(1 + (slopes**2).sum(0))).astype(np.float32)


def evened(planes):
    """Colour planes [3, H, W] in even light, and notes."""
    pixels, notes = even_light.even_out(to_pixels(planes, 16))
    return as_values(pixels), notes
