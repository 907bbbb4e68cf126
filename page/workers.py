"""What takes longer than a page may wait, done in other processes: each function gets and returns plain values, and a
sentence in place of an error of the person's."""

import functools
import math
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
from nicegui import run

from texture_diffusion_tools import files
from texture_diffusion_tools.drawings import SHRINK
from texture_diffusion_tools.errors import DiskError, RunError, UserError, first_line

SHOWN = 1600  # longer side of photos as they are shown, px
TILE = 256  # of a pyramid, px
OVERLAY = 2048  # longer side of the picture of real and drawn tiles, px
THUMBNAIL = 360  # px
LIT = 1024  # side of the part of a material that is lit, px
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif"}


async def call(function, *arguments):
    """Call one of these functions in another process; returns (what it returns, "") or (None, the sentence)."""
    try:
        found = await run.cpu_bound(guarded, function, *arguments)
    except run.SubprocessException as error:
        print(error, file=sys.stderr)
        return None, f"that did not work ({first_line(error.original_message)}); what is known of it was printed"
    return found if found is not None else (None, "the page is being closed")


def guarded(function, *arguments):
    """The same in this process."""
    try:
        return function(*arguments), ""
    except (UserError, RunError) as error:
        return None, str(error)
    except MemoryError:
        return None, "the memory is full"


def look_at(path, target):
    """Write a photo upright and no larger than SHOWN; returns (its size (width, height), notes of the script)."""
    import texture_diffusion as td
    from texture_diffusion_tools import exemplars

    pixels, photo = exemplars.original_pixels(path), td.load_photo(path)
    save_shown(pixels, target)
    return (pixels.shape[1], pixels.shape[0]), photo.notes


def prepare(path, settings, max_side, target):
    """Write what the script makes of a photo by CORNERS, CROP and EVEN_LIGHT; returns (its size (width, height), the
    corners, notes). max_side: as MAX_SIDE; corners: given, found, or None."""
    import texture_diffusion as td
    from texture_diffusion_tools import exemplars

    corners, found = exemplars.corners_in(path, tuples(settings.get("CORNERS")))
    photo = td.load_photo(path, tuples(settings.get("CROP")), max_side, settings.get("EVEN_LIGHT", False), corners)
    pixels = photo.pixels(photo.x)
    save_shown(pixels, target)
    return (pixels.shape[1], pixels.shape[0]), corners, [*found, *photo.notes]


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


def zipped(folder, target):
    """Write the files of a folder into a ZIP, as they are; returns its path."""
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(Path(folder).iterdir()):
            if path.suffix == ".png" and not path.name.startswith("."):
                file.write(path, path.name)
    return str(target)


@functools.cache
def warm_up():
    """Import what the others need, once."""
    import texture_diffusion  # noqa: F401


def lit(path, output, folder):
    """Write the maps of a drawn material as the lit view needs them, folder/<kind>.png of 8 bits; path: the material it
    was drawn from, output: the folder of its files. Returns {"kinds": which there are, "down": whether green points
    down in its normals}."""
    import pyvips
    from PIL import Image

    import texture_diffusion as td

    maps, found = td.load_photo(path).channels, {"kinds": [], "down": False}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file in maps.files:
        image = pyvips.Image.new_from_file(f"{output}/{file.name}.png", access="sequential")
        pixels = image.crop(0, 0, min(LIT, image.width), min(LIT, image.height)).numpy()
        for kind, x in file.split(pixels).items():
            shown = (x / 257).round().astype("uint8") if x.dtype == "uint16" else x
            Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown).save(f"{folder}/{kind}.png")
            found["kinds"].append(kind)
            found["down"] = found["down"] or kind == "normal" and file.down
    return found
