"""The pictures of README and MANUAL that show what can be asked for, drawn by the code as it is.

    python -m benchmarks.pictures FOLDER [NAME ...]

Draws docs/<NAME>.jpg for the names given, or for all of PICTURES; each says its commit (see benchmarks/commits.py), and
those that say the present one are left as they are. FOLDER holds CC0 photos, PNG or JPEG: of ambientCG the folder
Gravel020/ with its maps and the colour maps bricks (Bricks008), grass (Grass001), gravel (Gravel020) and plaster
(Plaster002); of Poly Haven earth (aerial_grass_rock); of Nobiax a board with chalk marks, board. All others are
scikit-image's. About 20 minutes on 2 cores; models and textures are kept in benchmarks/cache, of each commit apart, so
that the same command goes on where it was stopped. The other pictures are made by `python -m benchmarks.figures`, but
for those of the page, which are screenshots, and those of the examples, which each example draws.
"""

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

from benchmarks import commits, figures, guide, quality, repair, repetition
from texture_diffusion_tools.canvases import wang
from texture_diffusion_tools.laying import matching
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running import exit_codes, files
from texture_diffusion_tools.running.errors import UserError

GAP, WIDE_GAP = 8, 10  # px, between the parts of a picture
MAGENTA, GREY = (255, 0, 255), (64, 64, 64)
FAR_X, FAR_Y = 10**9 - 384, -10**9  # px: where the parts of the endless plane lie
LEVEL, UPRIGHT = ((230, 126, 34), (41, 98, 200)), ((214, 40, 57), (40, 167, 69))  # colours of Wang tiles' edges


class Desk(NamedTuple):
    """Where photos come from and results go."""

    photos: Path
    work: Path

    def photo(self, name):
        """The path of a photo of the folder, or of a material in it."""
        found = [path for path in sorted(self.photos.glob(f"{name}*"))
                 if path.stem == name and (path.is_dir() or path.suffix.lower() in Image.registered_extensions())]
        if found:
            return found[0].absolute()
        raise UserError(f"there is no photo {name} in {self.photos}: see python -m benchmarks.pictures --help")

    def exemplar(self, name):
        """The path of a photo of scikit-image's, which is saved first."""
        return self.save(self.work / f"exemplar_{name}.png", Image.fromarray(getattr(data, name)()))

    def save(self, path, picture):
        """Save a Pillow picture as PNG; returns its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, lambda file: picture.save(file, "PNG"))
        return path

    def run(self, name, models=None, **changes):
        """Run the script with these constants in a folder of that name, its models there or in the folder of another
        name; returns the figures that it ends with."""
        return quality.run_script(self.work / name, changes, models and self.work / models)[0]

    def texture(self, name, models=None, **changes):
        """The texture that such a run draws."""
        return Image.open(self.run(name, models, **changes)["output"]).convert("RGB")

    def trained(self, name, image, **changes):
        """Train on an image, without drawing more than a tile or two; returns the name, for the argument models."""
        self.run(name, IMAGE=image, REGION=(0, 0, 64, 64), **changes)
        return name


def on_squares(picture, side=20):
    """A Pillow picture RGBA over grey and white squares, as what is transparent is usually shown."""
    y, x = np.mgrid[:picture.height, :picture.width] // side
    ground = Image.fromarray(np.where((y + x) % 2, 240, 200).astype(np.uint8)).convert("RGBA")
    return Image.alpha_composite(ground, picture).convert("RGB")


# =============================================================================================
# The pictures
# =============================================================================================


def straight(desk):
    """A wall of bricks taken at an angle, the corners that were found, straightened, and a part of the texture."""
    figure = desk.run("straight", IMAGE=desk.exemplar("brick"), CORNERS="auto")
    texture = Image.open(figure["output"]).convert("RGB")
    prepared = Image.open(Path(figure["output"]).parent / "prepared.png").convert("RGB")
    width = round(prepared.width * 400 / prepared.height)
    row = [prepared.resize((width, 400), Image.LANCZOS), quality.middle(texture, 514, 400)]
    return quality.sheet_of([row], GAP)


def material(desk):
    """A material lit, above the middle of its maps."""
    output = Path(desk.run("material", IMAGE=desk.photo("Gravel020"))["output"])
    lit, side = Image.open(output.parent / "material.png").convert("RGB"), 256
    lit = lit.resize((4 * side + 3 * GAP, round(lit.height * (4 * side + 3 * GAP) / lit.width)), Image.LANCZOS)
    maps = [next(output.glob(f"*_{kind}.png")) for kind in ("Color", "Displacement", "Normal", "ORM")]
    parts = [quality.middle(Image.open(path).convert("RGB"), 2 * side, 2 * side).reduce(2) for path in maps]
    sheet = quality.sheet_of([[lit], parts], GAP)
    framed = Image.new("RGB", sheet.size, GREY)
    framed.paste(lit, (0, 0))
    for place, part in enumerate(parts):
        framed.paste(part, (place * (side + GAP), lit.height + GAP))
    return framed


def pebbles(desk):
    """Stones cut out of a gravel by its height, and a part of the texture."""
    maps = desk.photo("Gravel020")
    height = np.asarray(photos.open_image(next(maps.glob("*_Displacement.*")))[0].convert("F"))
    photo = photos.open_image(next(maps.glob("*_Color.*")))[0].convert("RGB")
    low, high = np.quantile(height, (0.66, 0.70))
    photo.putalpha(Image.fromarray((255 * np.clip((height - low) / (high - low), 0, 1)).astype(np.uint8)))
    path = desk.save(desk.work / "pebbles.png", photo)
    texture = Image.open(desk.run("pebbles", IMAGE=path, EPOCHS=22)["output"]).convert("RGBA")
    return quality.sheet_of([[on_squares(quality.middle(part, 500, 500)) for part in (photo, texture)]], GAP)


def repaired(desk):
    """Two photos painted over in three places each, and repaired; parts."""
    row = []
    for name in ("gravel", "brick"):
        pixels = np.array(Image.fromarray(getattr(data, name)()).convert("RGB"))
        pixels[np.any(list(repair.cut_holes(*pixels.shape[:2]).values()), 0)] = MAGENTA
        path = desk.save(desk.work / f"{name}_painted_over.png", Image.fromarray(pixels))
        found = desk.run("repaired", IMAGE=path, MASK="magenta", SCALE=1)["repaired"]
        row += [Image.open(part).convert("RGB").crop((31, 100, 331, 400)) for part in (path, found)]
    return quality.sheet_of([row], GAP)


def trained_gravel(desk):
    """The path of the gravel, and the name of the folder where a model of it is."""
    path = desk.exemplar("gravel")
    return path, desk.trained("gravel", path)


def endless(desk):
    """Two regions of the endless plane that overlap, where they lie."""
    path, models = trained_gravel(desk)
    regions = {(0, 0, 768, 512): (255, 200, 20), (384, 128, 512, 384): (30, 160, 230)}
    sheet = Image.new("RGB", (896, 512), "white")
    for x, y, *size in regions:
        part = desk.texture("endless", models, IMAGE=path, EPOCHS=0, OUTPUT_SIZE="endless",
                            REGION=(FAR_X + x, FAR_Y + y, *size))
        sheet.paste(part, (x, y))
    for (x, y, width, height), colour in regions.items():
        ImageDraw.Draw(sheet).rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=3)
    return sheet


def wang_tiles(desk):
    """All Wang tiles with the colours of their edges, and a part of what is laid of them."""
    path, models = trained_gravel(desk)
    tiles = desk.texture("wang", models, IMAGE=path, EPOCHS=0, WANG=2)
    laid = Image.open(next((desk.work / "wang").glob("*/output_texture_wang_laid.png"))).convert("RGB")
    count, side, corner = len(wang.COLOURS), 560, 8
    step, tiles = side // count, tiles.resize((side, side), Image.LANCZOS)
    pen = ImageDraw.Draw(tiles)
    for line, place in product(range(count + 1), range(count)):  # an edge is shared by the tiles on both its sides
        colour, at = wang.COLOURS[line % count], line * step
        ends = place * step + corner, (place + 1) * step - corner
        pen.line((ends[0], at, ends[1], at), fill=LEVEL[colour], width=8)
        pen.line((at, ends[0], at, ends[1]), fill=UPRIGHT[colour], width=8)
    return quality.sheet_of([[tiles, quality.middle(laid, side, side)]], WIDE_GAP)


def guided(desk):
    """A sign, and textures under it at GUIDE_STRENGTH 0.5 and 1, and with REDRAW=all."""
    path, sign = desk.photo("earth"), desk.save(desk.work / "sign.png", Image.fromarray(guide.sign()))
    models = desk.trained("guide", path, MAX_SIDE=guide.MAX_SIDE)
    ways = [{"GUIDE_STRENGTH": 0.5}, {"GUIDE_STRENGTH": 1.0}, {"GUIDE_STRENGTH": 1.0, "REDRAW": "all"}]
    row = [Image.open(sign).convert("RGB")]
    row += [desk.texture("guide", models, IMAGE=path, MAX_SIDE=guide.MAX_SIDE, EPOCHS=0, GUIDE=sign,
                         OUTPUT_SIZE=(guide.SIDE, guide.SIDE), **way) for way in ways]
    return quality.sheet_of([[part.resize((380, 380), Image.LANCZOS) for part in row]], GAP)


def blends(desk):
    """Grass into gravel along a soft edge and a hard one, a wall that loses its plaster, with their maps."""
    photos_ = tuple(str(desk.photo(name)) for name in ("bricks", "grass", "gravel", "plaster"))
    models = desk.trained("blend", photos_, EPOCHS=13, TEXTURE="grass")
    y, x = (np.mgrid[:384, :512] + 0.5) / 512
    soft = np.clip((x - 0.05) / 0.9, 0, 1)
    hard = ((x - 0.32) ** 2 + (y - 0.36) ** 2 < 0.26**2) | (x - 0.63 > 1.4 * (y - 0.37) ** 2 + 0.5 * abs(y - 0.37))
    wall = np.clip(0.5 - 2.5 * (x - 0.55 - 0.08 * np.sin(14 * y)), 0, 1)
    none, row = np.zeros_like(x), []
    maps = {"soft": (none, 1 - soft, soft), "hard": (none, ~hard, hard), "wall": (wall, none, none)}  # red, green, blue
    for name, shares in maps.items():
        path = desk.save(desk.work / f"map_{name}.png",
                         Image.fromarray((255 * np.stack(shares, -1)).astype(np.uint8)))
        texture = desk.texture("blend", models, IMAGE=photos_, EPOCHS=0, BLEND=path, OUTPUT_SIZE=(1024, 768)).reduce(2)
        small = Image.open(path).resize((112, 84))
        framed = Image.new("RGB", (116, 88), "white")
        framed.paste(small, (2, 2))
        texture.paste(framed, (texture.width - 122, texture.height - 94))
        row.append(texture)
    return quality.sheet_of([row], GAP)


def redraw(desk):
    """What REDRAW=seams and REDRAW=gaps draw of a gravel, in blue, and a part of either texture."""
    path, row = desk.exemplar("gravel"), []
    for way in ("seams", "gaps"):
        texture = Path(desk.run(f"redraw_{way}", IMAGE=path, REDRAW=way)["output"])
        layout = Image.open(texture.parent / "layout.png").convert("RGB")
        row += [layout.resize((380, 380), Image.LANCZOS),
                quality.middle(Image.open(texture).convert("RGB"), 380, 380)]
    return quality.sheet_of([row], GAP)


def again(desk):
    """A board with chalk marks, without looking for what strikes the eye, and as it is done."""
    row = []
    for cost in (0.0, matching.SPOT_COST):
        texture, _ = repetition.draw(desk.work / "again", desk.photo("board"), ["EPOCHS=0"], "matched", cost)
        row.append(Image.fromarray(texture).resize((600, 600), Image.LANCZOS))
    return quality.sheet_of([row], GAP)


PICTURES = {"straight": straight, "material": material, "pebbles": pebbles, "repaired": repaired, "endless": endless,
            "wang": wang_tiles, "guide": guided, "blend": blends, "redraw": redraw, "again": again}


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the CC0 photos")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    c = parser.parse_args(argv)
    unknown = set(c.names) - set(PICTURES)
    if unknown:
        raise UserError(f"there is no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    figures.check_commit()
    desk = Desk(c.folder, commits.ROOT / "benchmarks/cache" / commits.commit() / "pictures")
    for name in c.names or PICTURES:
        path = commits.ROOT / f"docs/{name}.jpg"
        if commits.commit_in(path) != commits.commit():
            commits.save_picture(path, PICTURES[name](desk))
            print(f"{path.relative_to(commits.ROOT)} is drawn", flush=True)


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
