"""Whether the maps of a drawn material agree, and how good each is.

    python -m benchmarks.materials MATERIAL TEXTURE

MATERIAL is the folder of maps, TEXTURE the folder output_texture_... that texture_diffusion.py made of it. Prints two
Markdown tables. The first: how maps go together in the input, in the texture's real tiles and in its drawn ones, as
correlations of the normals with the height's slopes, and of other maps with the height; the last column is drawn over
real, where 1 is as good. The second: scores of each map as of a grey photo (see benchmarks/scores.py).
"""

import ast
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import texture_diffusion as td
from benchmarks import scores
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.running.errors import UserError

EDGE = 2  # px beside a tile's border that are left out of the correlations: slopes there see both sides
SHOWN = ("statistics", "spectrum dB", "seam 1st", "contrast", "C2ST apart", "novelty")


def read(photo, texture):
    """The values of a drawn material, float32 [C, H, W] in [-1, 1] as its Maps have them, and its Layout."""
    pixels = {file.name: np.asarray(photos.open_image(Path(texture) / f"{file.name}.png", None)[0])
              for file in photo.channels.files}
    constants = ast.literal_eval(Image.open(Path(texture) / f"{photo.channels.files[0].name}.png").text["constants"])
    size = next(iter(pixels.values())).shape[:2]
    grid = grids.make_grid(*size, constants["TILE_SIZE"], constants["TILEABLE"])
    layout = td.lay_out(photo, constants["LAYOUT"], grid, constants["SEED"], constants["AUGMENT"])
    return photo.channels.read(pixels), layout


def parts_of(layout):
    """bool [H, W] twice: the inner pixels of real tiles, and of drawn ones."""
    inner, tile = np.zeros(layout.grid.size, bool), layout.grid.tile
    for y, x in ((layout.grid.lines[0][i], layout.grid.lines[1][j]) for i, j in layout.grid.cells()):
        inner[y + EDGE:y + tile - EDGE, x + EDGE:x + tile - EDGE] = True
    _, drawn = layout.seen_at((0, 0), layout.grid.size)
    return inner & ~drawn, inner & drawn


def agreements(maps, values, where=None):
    """Correlations {name: number} of a material's values [C, H, W] at the pixels where [H, W], None: at all."""
    height = values[maps.slices["height"]][0]
    down, right = np.gradient(height)
    pairs = {}
    if "normal" in maps.slices:
        red, green = values[maps.slices["normal"]]
        pairs = {"normal, height to the right": (red, right), "normal, height downwards": (green, down)}
    for kind, part in maps.slices.items():
        if kind not in ("height", "normal"):
            pairs[f"{kind}, height"] = (values[part].mean(0), height)
    where = np.ones(height.shape, bool) if where is None else where
    return {name: float(np.corrcoef(a[where], b[where])[0, 1]) for name, (a, b) in pairs.items()}


def scores_of(maps, given, drawn, layout):
    """scores.score of each kind of map, {kind: {name: number}}; given, drawn: values [C, H, W]."""
    def shown(values):
        pixels = ((values + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        return pixels[..., [0, 1, 1]] if pixels.shape[2] == 2 else np.repeat(pixels, 4 - pixels.shape[2], 2)[..., :3]

    tile = layout.grid.tile
    return {kind: scores.score(shown(drawn[part]), layout, tile, scores.reference(shown(given[part]), tile))
            for kind, part in maps.slices.items()}


def main():
    """The command line."""
    if len(sys.argv) != 3:
        raise UserError("give the folder of a material and the folder of its drawn maps")
    photo = td.load_photo(sys.argv[1])
    given, (drawn, layout) = photo.values(photo.x).numpy(), read(photo, sys.argv[2])
    if "height" in photo.channels.slices:
        parts = [agreements(photo.channels, drawn, part) for part in parts_of(layout)]
        found = [agreements(photo.channels, given), *parts]
        print("| correlation of | input | real tiles | drawn tiles | drawn / real |\n|---|---|---|---|---|")
        for name, whole in found[0].items():
            real, made = found[1][name], found[2][name]
            print(f"| {name} | {whole:.3f} | {real:.3f} | {made:.3f} | {made / real:.3f} |")
    print("\n| map | " + " | ".join(SHOWN) + " |\n|" + "---|" * (1 + len(SHOWN)))
    for kind, row in scores_of(photo.channels, given, drawn, layout).items():
        print(f"| {kind} | " + " | ".join(f"{row[name]:.2f}" for name in SHOWN) + " |")


if __name__ == "__main__":
    from texture_diffusion_tools.running import exit_codes

    sys.exit(exit_codes.run(main))
