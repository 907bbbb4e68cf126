"""How near the maps that MAPS estimates come to true ones.

    python -m benchmarks.maps FOLDER [FIGURE] [PHOTO ...]

FOLDER holds materials, of which those that the network has not seen are judged (SETS_KEPT_OUT in prior/pool.py), by
their colour maps; so are lit photos of drawn kinds that it has not seen either (KEPT_OUT). Prints Markdown tables of
the degrees between estimated and true normals on average, beside those of rivals that no one has, since they know the
truth: brightness taken for height with the best sign, blur and relief for each set; a flat surface; and the best
constant for roughness. Draws FIGURE, a JPEG file: the photo, estimated and true normals, and both lit from the left and
the right; of each PHOTO the estimate alone.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from prior import light, maps, pool
from texture_diffusion_tools.reading import (
    channels,
    estimates,
    even_light,
    materials,
    photos,
    surfaces,
)
from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import shading

SEEDS = (1001, 1002)  # of drawn surfaces
SIDE, LARGE = 224, 512  # of them, and of lit materials, pixels
BLURS = (0, 1, 2, 4, 8)  # pixels, of brightness taken for height
RELIEFS = np.geomspace(0.5, 300, 28)  # pixels from black to white
STEEP = 3.0  # degrees from a flat surface, on average, from which on a surface has relief
SHOWN, GAP, LABEL = 224, 4, 16  # pixels of the figure
LIT = {"left": (-1, 0), "right": (1, 0)}
WALL = "letters on a wall"


class Case(NamedTuple):
    """A surface to judge by."""

    name: str
    colour: np.ndarray  # [3, H, W] in [-1, 1], the photo
    normals: np.ndarray  # [2, H, W], true
    height: np.ndarray  # [H, W], true, in any unit
    rough: np.ndarray  # [H, W], 0 to 1, true
    albedo: np.ndarray | None = None  # [3, H, W] in [-1, 1], true, if the photo is another
    light: np.ndarray | None = None  # [2], true; None: not known or from no side


def read_cases(folder):
    """The Cases of the sets that were kept out."""
    for name in pool.SETS_KEPT_OUT:
        if not (Path(folder) / name).is_dir():
            raise UserError(f"{folder} lacks {name}, a material that is kept out to judge by")
        values, its, _ = materials.read_material(Path(folder) / name)
        colour, normal, height, rough = (its.planes(values, kind)
                                         for kind in ("colour", "normal", "height", "roughness"))
        yield Case(name, colour, normal, height[0], (rough[0] + 1) / 2)


def light_sets(folder):
    """Cases of the sets that were kept out, lit; their middle."""
    for name in pool.SETS_KEPT_OUT:
        surface = pool.read_material(Path(folder) / name)
        side = min(LARGE, *surface.height.shape)
        samples = maps.Samples([], [surface], 1, side - 2 * maps.CUT)
        for seed in SEEDS:
            rng = np.random.default_rng((seed, len(name)))
            yield lit_case(f"{name}, lit", samples.scaled([part[..., :side, :side] for part in surface])[None], rng)


def draw_cases():
    """Cases of drawn kinds that were kept out, lit, and of letters on a wall."""
    for kind in (*pool.KEPT_OUT, WALL):
        for seed in SEEDS:
            rng = np.random.default_rng((seed, len(kind)))
            surface = pool.draw_surface("plaster" if kind == WALL else kind, rng)
            yield lit_case(kind, maps.Samples([surface], [], 0, SIDE).drawn_piece(rng)[None], rng)


def lit_case(kind, piece, rng):
    """The Case of a piece [1, 8, h, w] of a surface, see maps.Samples, lit."""
    piece[:, :3], piece[:, 6:] = (piece[:, :3] / 255) ** 2.2, piece[:, 6:] / 255
    colour, height, slopes, rough, metal = piece.split([3, 1, 2, 1, 1], 1)
    if kind == WALL:
        colour = maps.printed(colour[0], rng)[None]
    photo, direction = light.seen(colour.clamp(0.002, 1), height, slopes, rough, metal, rng, 0)
    inner = slice(maps.CUT, -maps.CUT)
    photo, albedo, height, slopes, rough = (x[0, :, inner, inner].numpy()
                                            for x in (photo, colour ** (1 / 2.2), height, slopes, rough))
    normals = -slopes / np.sqrt(1 + (slopes**2).sum(0))
    return Case(kind, 2 * photo - 1, normals, height[0], rough[0], 2 * albedo - 1, direction[0].numpy())


def angles(one, other):
    """The degrees [H, W] between normals [2, H, W]."""
    one, other = (channels.with_length_1(x) for x in (one, other))
    return np.degrees(np.arccos((one * other).sum(0).clip(-1, 1)))


def best_brightness(case):
    """The least angle of normals of brightness taken for height, of all signs, blurs and reliefs; which is the best is
    found by a quarter of the pixels."""
    bright, found = torch.from_numpy(case.colour.mean(0)[None, None].astype(np.float32)) / 2, []
    true = channels.with_length_1(case.normals, down=True)
    for sigma in BLURS:
        slopes = surfaces.slopes_of((light.blurred(bright, sigma) if sigma else bright)[0, 0].numpy())
        along = -(slopes * true[:2]).sum(0)[::2, ::2]
        steep, up = (slopes**2).sum(0)[::2, ::2], true[2, ::2, ::2]
        for relief in (*RELIEFS, *-RELIEFS):
            cosine = (relief * along + up) / np.sqrt(1 + relief**2 * steep)
            found.append((np.arccos(cosine.clip(-1, 1)).mean(), sigma, relief))
    _, sigma, relief = min(found)
    soft = (light.blurred(bright, sigma) if sigma else bright)[0, 0].numpy()
    return float(angles(surfaces.normals_of(relief * soft), case.normals).mean())


def correlation(one, other):
    """Of two fields, each without the plane that fits it."""
    one, other = (level(x).ravel() for x in (one, other))
    return float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-9))


def level(height):
    """A height [H, W] without the plane that fits it."""
    y, x = np.mgrid[:height.shape[0], :height.shape[1]]
    terms = np.stack([y.ravel(), x.ravel(), np.ones(height.size)], -1)
    return height - (terms @ np.linalg.lstsq(terms, height.ravel(), rcond=None)[0]).reshape(height.shape)


def judge(case, net):
    """The figures {name: number} of an estimate of a Case, and the Estimate."""
    found = estimates.estimated(net, case.colour)
    apart = angles(surfaces.normals_of(found.height, found.wraps), case.normals)
    figures = {"ours": float(apart.mean()), "flat": float(angles(0 * case.normals, case.normals).mean()),
               "brightness": best_brightness(case)}
    figures["height"] = correlation(found.height, case.height) if figures["flat"] >= STEEP else np.nan
    figures["rough"] = float(np.abs(found.rough - case.rough).mean())
    figures["constant"] = float(np.abs(np.median(case.rough) - case.rough).mean())
    figures["doubt"] = float(np.corrcoef(found.doubt.ravel(), apart.ravel())[0, 1])
    lit = case.light is not None and np.linalg.norm(case.light) > 0
    figures["light"] = off(found.light, case.light) if lit else np.nan
    figures["delit"] = shading_left(case, found) if case.albedo is not None else np.nan
    return figures, found


def shading_left(case, found):
    """How much light and shade is left in the colours of a Case by DELIGHT = 1, of 1: the deviation of the logarithm
    of their brightness over that of the true ones."""
    explained = estimates.shading_of(case.colour, found)
    taken = estimates.without_shading(case.colour, explained, estimates.MOST)
    before, after = (np.log(estimates.light_of(x).mean(0) + 1e-2) for x in (case.colour, taken))
    true = np.log(estimates.light_of(case.albedo).mean(0) + 1e-2)
    return float((after - true).std() / max((before - true).std(), 1e-6))


def off(direction, true):
    """The degrees between two directions [2]."""
    cosine = direction @ true / max(np.linalg.norm(direction) * np.linalg.norm(true), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def single_constant(cases):
    """The mean error of roughness of the constant that is best for all Cases."""
    everywhere = np.median(np.concatenate([case.rough.ravel()[::7] for case in cases]))
    return [float(np.abs(everywhere - case.rough).mean()) for case in cases]


def print_table(rows, cases):
    """Print the figures of Cases, and their means."""
    singles = single_constant(cases)
    heads = ("", "flat", "brightness", "ours", "ours / flat", "ours / brightness", "height", "light", "rough",
             "best constant of each", "of all", "doubt", "shading left")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    groups = {case.name: [k for k, other in enumerate(cases) if other.name == case.name] for case in cases}
    groups["mean"] = [k for k, case in enumerate(cases) if case.name != WALL]
    for name, numbers in groups.items():
        mean = {key: np.nanmean([rows[k][key] for k in numbers]) if not np.isnan([rows[k][key] for k in numbers]).all()
                else np.nan for key in rows[0]}
        ratios = mean["ours"] / max(mean["flat"], 1e-6), mean["ours"] / max(mean["brightness"], 1e-6)
        print(f"| {name} | {mean['flat']:.1f} | {mean['brightness']:.1f} | {mean['ours']:.1f} | {ratios[0]:.2f} | "
              f"{ratios[1]:.2f} | {mean['height']:.2f} | {mean['light']:.0f} | {mean['rough']:.3f} | "
              f"{mean['constant']:.3f} | {np.mean([singles[k] for k in numbers]):.3f} | {mean['doubt']:.2f} | "
              f"{mean['delit']:.2f} |")


def as_picture(planes):
    """Planes [3, H, W] in [-1, 1] as a Pillow picture of SHOWN pixels, the middle of them."""
    pixels = np.moveaxis(((planes + 1) * 127.5).round().clip(0, 255).astype(np.uint8), 0, 2)
    top, left = ((max(0, side - SHOWN)) // 2 for side in pixels.shape[:2])
    return Image.fromarray(pixels[top:top + SHOWN, left:left + SHOWN])


def lit(colour, normals, rough, occlusion, side):
    """Maps lit from a side, [3, H, W] in [-1, 1]."""
    direction = np.float32([*np.array(LIT[side]) * np.cos(shading.ELEVATION), np.sin(shading.ELEVATION)])
    normal = np.moveaxis(channels.with_length_1(normals, down=True), 0, 2)
    linear = even_light.decode(((np.moveaxis(colour, 0, 2) + 1) * 127.5).round().clip(0, 255).astype(np.uint8))
    seen = shading.shade(direction, linear, normal, rough[..., None], occlusion[..., None], np.zeros((*rough.shape, 1)))
    return np.moveaxis(even_light.encode(shading.tone_map(seen)) / 127.5 - 1, 2, 0)


def row_of(name, case, found):
    """The pictures of a row of the figure, with their labels."""
    def of(normals, rough, height, wraps, label):
        occlusion = surfaces.occlusion_of(height, wraps)
        shown = [(f"{label}, lit from the {side}", lit(case.colour, normals, rough, occlusion, side)) for side in LIT]
        return [(label, channels.with_length_1(normals)), *shown]

    ours = of(surfaces.normals_of(found.height, found.wraps), found.rough, found.height, found.wraps, "estimate")
    if case.normals is None:
        return [(name, case.colour), *ours]
    return [(name, case.colour), *ours, *of(case.normals, case.rough, surfaces.height_of(case.normals), (False, False),
                                            "truth")]


def draw_figure(path, rows):
    """Write the figure of rows of (label, planes)."""
    wide, high = SHOWN + GAP, SHOWN + GAP + LABEL
    page = Image.new("RGB", (max(map(len, rows)) * wide, len(rows) * high), "white")
    pen = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        for j, (label, planes) in enumerate(row):
            pen.text((j * wide + 2, i * high + 2), label, fill="black")
            page.paste(as_picture(planes), (j * wide, i * high + LABEL))
    files.write_atomically(Path(path), lambda file: page.save(file, format="JPEG", quality=88))


def main():
    """The command line."""
    if len(sys.argv) < 2:
        raise UserError("give the folder of the materials")
    net = estimates.load_net(Path(__file__).resolve().parent.parent / estimates.WEIGHTS)
    shown = []
    for cases in map(list, (read_cases(sys.argv[1]), light_sets(sys.argv[1]), draw_cases())):
        judged = [judge(case, net) for case in cases]
        print_table([figures for figures, _ in judged], cases)
        first = {case.name: (case, found) for case, (_, found) in list(zip(cases, judged))[::-1]}
        shown += [row_of(name, *pair) for name, pair in list(first.items())[::-1]]
        print()
    for path in sys.argv[3:]:
        values, its = estimates.photo_as_maps(photos.read_photo(path)[0], Path(path).stem)
        case = Case(Path(path).stem, its.planes(values, "colour"), None, None, None)
        shown.append(row_of(case.name, case, estimates.estimated(net, case.colour)))
    if len(sys.argv) > 2:
        draw_figure(sys.argv[2], shown)


if __name__ == "__main__":
    from texture_diffusion_tools.running import exit_codes

    sys.exit(exit_codes.run(main))
