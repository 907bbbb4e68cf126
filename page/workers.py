"""What takes longer than a page may wait, done in other processes: each function gets and returns plain values. The
script with all its packages (torch: half a gigabyte) is imported for a material's maps alone, never for a photo."""

from __future__ import annotations

import math
import os
import shutil
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from texture_diffusion_tools.reading import perspective, photos
from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import DiskError, UserError
from texture_diffusion_tools.running.events import SHRINK
from texture_diffusion_tools.writing import png

if TYPE_CHECKING:
    from texture_diffusion_tools.reading.channels import Channels

SHOWN = 1600  # longer side of photos as they are shown, px
TILE = 256  # of a pyramid, px
OVERLAY = 2048  # longer side of the picture of real and drawn tiles, px
THUMBNAIL = 360  # px
LIT = 1024  # side of the part of a material that is lit, px
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif"}
EXPORTS = ("GLB", "MTLX", "TRES", "USDA", "USDZ")  # files of EXPORT
PATTERN = "PAT"  # which EXPORT makes of what is seamless alone
ALONE = ("glb", "usdz", "pat")  # what holds its pictures; the others go into a ZIP with them


def look_at(path, target):
    """Write a photo upright and no larger than SHOWN; returns (its size (width, height), notes of the script)."""
    pixels, _, notes = read(path, {}, math.inf)
    save_shown(pixels, target)
    return (pixels.shape[1], pixels.shape[0]), notes


def textures_in(path: str, target: str) -> list[tuple[str, int, int]]:
    """Of a folder of several textures (path, width, height) of each, and write a small picture of
    each, target with its number in place of {}; none if it is a photo or a material."""
    from texture_diffusion_tools.reading import folders, map_names

    if not os.path.isdir(path):
        return []
    paths, _ = folders.look_into(path)
    sorted_out = map_names.sort_out(paths)
    if sorted_out.maps or sorted_out.materials or len(paths) < 2:
        return []

    sizes = [look_at(part, target.format(number))[0] for number, part in enumerate(paths)]
    return [(Path(part).as_posix(), *size) for part, size in zip(paths, sizes)]


def paint_map(size: tuple[int, int], count: int, strokes: list, target: str) -> None:
    """Write a map of so many textures, of a size (width, height): black is the first, white the
    last. strokes: [(width, [(x, y)], label)], shares of the map's width and of its sides."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", tuple(size))
    draw = ImageDraw.Draw(picture)
    for width, shares, label in strokes:
        grey, radius = round(255 * label / (count - 1)), width * size[0] / 2
        places = [(x * size[0], y * size[1]) for x, y in shares]
        if len(places) > 1:
            draw.line(places, fill=grey, width=max(1, round(2 * radius)), joint="curve")
        for x, y in places:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=grey)
    picture.save(f"{target}.tmp", "PNG")  # a run may be reading it
    files.replace(f"{target}.tmp", Path(target))


def prepare(path, settings, max_side, target):
    """Write what the script makes of a photo by CORNERS, CROP and EVEN_LIGHT; returns (its size (width, height), the
    corners, notes). max_side: as MAX_SIDE; corners: given, found, or None."""
    pixels, corners, notes = read(path, settings, max_side)
    save_shown(pixels, target)
    return (pixels.shape[1], pixels.shape[0]), corners, notes


def read(path, settings, max_side):
    """What the script makes of a photo or a folder of maps, uint8 [H, W] or [H, W, 3]; the corners that were given or
    found, or None; and notes."""
    corners, crop = (tuples(settings.get(name)) for name in ("CORNERS", "CROP"))
    even = settings.get("EVEN_LIGHT", False)
    if os.path.isdir(path) or photos.without_data(path) is not None:
        import texture_diffusion as td
        from texture_diffusion_tools.reading import exemplars

        corners, found = exemplars.corners_in(path, corners)
        photo = td.load_photo(path, crop, max_side, even, corners)
        return photo.pixels(photo.x), corners, [*found, *photo.notes]

    corners, found = perspective.corners_in(path, corners, lambda: photos.read_photo(path)[0])
    pixels, notes = photos.read_photo(path, crop, max_side, even, corners)
    if (pixels == pixels[:1, :1]).all():
        raise UserError(f"{files.name_of(path)} is a single colour: there is no texture to learn")
    return pixels, corners, [*found, *notes]


def tuples(value):
    """Lists as tuples, as the script has them."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def save_shown(pixels, target):
    """Write uint8 [H, W] or [H, W, 3 or 4], shrunk to SHOWN."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN, SHOWN), Image.LANCZOS)
    image.save(target)


def paint_mask(size, scale, strokes, target):
    """Write a mask of a size (width, height), white along strokes [(width, [(x, y)])], which are in pixels of a
    picture that is 1 / scale as large."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", tuple(size))
    draw = ImageDraw.Draw(mask)
    for width, places in strokes:
        radius, places = width * scale / 2, [(x * scale, y * scale) for x, y in places]
        if len(places) > 1:
            draw.line(places, fill=255, width=max(1, round(2 * radius)), joint="curve")
        for x, y in (places[0], places[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    mask.save(target)


def opened(path, access="sequential"):
    """A picture as libvips reads it, from its start to its end unless access is "random", as colours with 8 bits."""
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access=access)
    return image if image.format == "uchar" else image.colourspace("b-w" if image.bands < 3 else "srgb").cast("uchar")


def pyramid(path, folder, times=1):
    """Cut a picture into tiles of all sizes, folder/<zoom>/<row>/<column>.png, repeated so many times both ways; gives
    (width, height, the largest zoom). What is there already is left."""
    image = opened(path, "sequential" if times == 1 else "random")
    width, height = image.width * times, image.height * times
    zoom = max(0, math.ceil(math.log2(max(width, height) / TILE)))
    if not Path(folder).exists():
        half_made = f"{folder}.{os.getpid()}"
        image = image.replicate(times, times) if times > 1 else image
        image = image.addalpha() if image.bands in (1, 3) else image  # the last tiles end where the picture does
        image.dzsave(half_made, layout="google", suffix=".png[compression=1]", tile_size=TILE, background=0,
                     region_shrink="mean")
        put_in_place(half_made, folder)
    return width, height, zoom


def put_in_place(half_made, folder):
    """Give a folder that is whole its name, unless another window's has it, which was first; DiskError if it cannot be
    had. On Windows a scanner may have its fresh files open, which is waited for."""
    try:
        files.replace(half_made, Path(folder))
    except OSError as error:
        shutil.rmtree(half_made, ignore_errors=True)
        if not Path(folder).exists():
            raise DiskError(f"{folder} cannot be written: {error.strerror}") from error


def thumbnail(path, target):
    """Write a small copy of a picture's upper left part, at half its size."""
    image = opened(path)
    side = min(image.width, image.height, 2 * THUMBNAIL)
    image.crop(0, 0, side, side).resize(THUMBNAIL / side).write_to_file(str(target))


def overlay(tiles, target):
    """Write which pixels are drawn: transparent where they are the photo's own, tinted where they are drawn. tiles:
    what the script told of them, with lines, drawn, parts, corner and size."""
    from PIL import Image

    (top, left), (height, width) = tiles["corner"], tiles["size"]
    shrunk = max(1, math.ceil(max(height, width) / OVERLAY))
    made = Image.new("L", (max(1, width // shrunk), max(1, height // shrunk)))
    for wanted in "01":  # drawn ones lie on top
        for i, (y, row) in enumerate(zip(tiles["lines"][0], tiles["drawn"])):
            for j, (x, kind) in enumerate(zip(tiles["lines"][1], row)):
                if kind == wanted:
                    begin, end = ([round((at - corner + more) / shrunk) for at, corner in ((x, left), (y, top))]
                                  for more in (0, tiles["tile"]))
                    if min(end) > 0 and begin[0] < made.width and begin[1] < made.height:
                        part = part_of(tiles, kind, tiles["parts"].get(f"{i},{j}"))
                        made.paste(part.resize([max(1, b - a) for a, b in zip(begin, end)]), tuple(begin))
    image = Image.new("RGBA", made.size, (47, 128, 237, 0))
    image.putalpha(made.point(lambda value: 110 * value // 255))
    image.save(target)


def part_of(tiles, kind, bits):
    """A picture of which part of a tile is drawn, white there: of a kind "0" nothing, else what bits say, or all."""
    from PIL import Image

    if kind == "0" or bits is None:
        return Image.new("L", (1, 1), 255 * int(kind))
    side = tiles["tile"] // SHRINK
    made = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[:side * side].reshape(side, side)
    return Image.fromarray(255 * made)


def converted(path, kind, target):
    """Write a picture in another format of FORMATS; returns the path of what can be downloaded."""
    import pyvips

    if kind == "PNG":
        return str(path)
    image = pyvips.Image.new_from_file(str(path), access="sequential")
    if kind in ("JPEG", "WEBP") and image.format != "uchar":
        image = opened(path)
    options = {"JPEG": {"Q": 95, "subsample_mode": "off"}, "WEBP": {"lossless": True},
               "TIFF": {"compression": "deflate"}}
    image.write_to_file(str(target), **options[kind])
    return str(target)


def zipped(folder, target, suffixes=(".png",)):
    """Write the files of a folder into a ZIP, as they are; returns its path."""
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(Path(folder).iterdir()):
            if path.suffix in suffixes and not path.name.startswith("."):
                file.write(path, path.name)
    return str(target)


def zipped_tiles(paths: list[str], folder: str, target: str) -> str:
    """Write those files that are there into a ZIP, under their paths in a folder, so that a tile
    set finds its picture; returns its path."""
    with zipfile.ZipFile(target, "w") as file:
        for path in filter(Path.is_file, map(Path, paths)):
            file.write(path, path.relative_to(folder))
    return target


def warm_up():
    """Import what the others need."""
    import pyvips  # noqa: F401


def lit(path, output, folder):
    """Write the maps of a drawn material as the lit view needs them, folder/<kind>.png of 8 bits; path: the material,
    or the photo, it was drawn from, output: the folder of its files. Returns {"kinds": which there are, "down": whether
    green points down in its normals}."""
    import pyvips
    from PIL import Image

    found = {"kinds": [], "down": False}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file in channels_of(path, output).files:
        image = pyvips.Image.new_from_file(f"{output}/{file.name}.png", access="sequential")
        pixels = image.crop(0, 0, min(LIT, image.width), min(LIT, image.height)).numpy()
        for kind, x in file.split(pixels).items():
            shown = (x / 257).round().astype("uint8") if x.dtype == "uint16" else x
            Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown).save(f"{folder}/{kind}.png")
            found["kinds"].append(kind)
            found["down"] = found["down"] or kind == "normal" and file.down
    return found


def exported(image, output, kind, folder):
    """Write a drawn texture or material as one of EXPORTS or PATTERN into a folder; returns the path of what can be
    downloaded. image: what it was drawn from, output: its file, or the folder of its maps."""
    from texture_diffusion_tools.writing import exports, slots

    wanted, target, name = kind.lower(), Path(folder) / kind.lower(), Path(image).stem
    ready = target / f"{name}.{wanted}" if wanted in ALONE else Path(folder) / f"{name}_{wanted}.zip"
    if ready.exists():
        return str(ready)
    target.mkdir(parents=True, exist_ok=True)
    photo, drawn = as_drawn(image, output)
    size, paths = head_of(drawn[0])[0], [target / path.name for path in drawn]
    exports.check((wanted,), photo, size)
    for path, copy in zip(drawn, paths):
        shutil.copyfile(path, copy)

    def save_copy(label, pixels, srgb):
        png.save_png(target / f"{label}.png", pixels, srgb=srgb)
        return target / f"{label}.png"

    material = slots.material_of(photo, paths, size, save_copy)
    names = ("usda",) if wanted == "usdz" else (wanted,)
    for suffix, content in exports.contents(names, material, lambda label: target / label, name):
        if suffix == wanted:
            files.write_atomically(target / f"{name}.{suffix}", lambda file, content=content: file.write(content))
    return str(ready) if wanted in ALONE else zipped(target, ready, (".png", f".{wanted}"))


def channels_of(image: str, output: str) -> Channels:
    """The Channels of what was drawn to a folder: a material's own, or those that were estimated of a photo."""
    if os.path.isdir(image):
        import texture_diffusion as td

        return td.load_photo(image).channels
    from texture_diffusion_tools.reading import channels, estimates

    stem, maps = files.name_of(image), []
    for kind, word in estimates.NAMES.items():
        path = Path(output) / f"{stem}_{word}.png"
        if path.is_file():
            opaque = kind != "colour" or head_of(path)[1] == 3
            maps.append(channels.MapFile(path.stem, (kind,) if opaque else (kind, "opacity")))
    return channels.Channels({}, {}, tuple(maps), folder=True)


def as_drawn(image, output):
    """What exports and slots ask of a Photo, for what was drawn of one; and the paths of its files."""
    from texture_diffusion_tools.reading import channels

    if os.path.isdir(output):
        what = channels_of(image, output)
        paths = [Path(output) / f"{file.name}.png" for file in what.files]
    else:
        paths = [Path(output)]
        holds = {1: ("grey",), 2: ("grey", "opacity"), 3: ("colour",), 4: ("colour", "opacity")}[head_of(paths[0])[1]]
        what = channels.Channels({}, {}, (channels.MapFile(Path(image).stem, holds),))
    drawn = tuple(file._replace(depth=head_of(path)[2]) for file, path in zip(what.files, paths))
    return SimpleNamespace(name=Path(image).stem, channels=what._replace(files=drawn)), paths


def head_of(path):
    """Of a PNG file its size (height, width), channels and bits a channel."""
    head = path.read_bytes()[:26]
    width, height, depth, kind = struct.unpack(">IIBB", head[16:])
    return (height, width), {0: 1, 2: 3, 4: 2, 6: 4}[kind], depth
