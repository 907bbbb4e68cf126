"""Surfaces to learn maps from: drawn ones, whose height, colour, roughness and metal are known, and those of materials.

Drawn kinds have heights and colours only, so that how rough they are is made up here: a range that such things have,
and, inside it, what depends on the height, on the colour or on neither.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from texture_diffusion_tools.reading import materials, surfaces

from .fields import blur, noise
from .kinds import KINDS

SIDE = 256  # pixels of a drawn surface
KEPT_OUT = ("ashlar", "cobbles", "fish_scales", "tread_plate", "wicker", "bark", "flaking_paint", "wallpaper")
SETS_KEPT_OUT = ("Bricks008", "Gravel020", "Plaster002", "WoodSiding008")  # materials to judge by
NOT_DRAWN = ("repeated", "clouds")  # of others, which may be kept out; no surface
ROUGH = {"tiles": (0.05, 0.5), "metal": (0.15, 0.6), "wet": (0.03, 0.3), "wood": (0.3, 0.75), "cloth": (0.6, 1.0),
         "polished": (0.05, 0.6), "skin": (0.25, 0.7), "rough": (0.4, 1.0)}
GROUPS = {
    "tiles": "square_tiles hexagon_tiles mosaic roof_tiles wallpaper",
    "metal": "brushed_metal corrugated tread_plate chain_mail woven_wire",
    "wet": "bubbles water", "wood": "wood_grain planks parquet wicker cork",
    "polished": "granite terrazzo marble perforated", "skin": "leather fish_scales snake_skin leaves",
    "cloth": "plain_weave twill denim basket_cloth tartan damask fine_weave fine_knit knit corduroy carpet felt lace "
             "ropes fur",
}
GROUP = {kind: group for group, kinds in GROUPS.items() for kind in kinds.split()}
METALS = {"brushed_metal": 1.0, "chain_mail": 1.0, "woven_wire": 1.0, "tread_plate": 0.8, "corrugated": 0.5}
LETTERS = "ABCDEFGHKLMNOPRSTUVXZ0123456789&!?*+"


class Surface(NamedTuple):
    """What is known of a piece of a surface."""

    colour: torch.Tensor  # uint8 [3, H, W], sRGB, as it is without light
    height: torch.Tensor  # float16 [H, W], pixels
    slopes: torch.Tensor | None  # float16 [2, H, W], right and down; None: those of the height
    rough: torch.Tensor  # uint8 [H, W]
    metal: torch.Tensor  # uint8 [H, W]


def draw_surface(kind, rng, side=SIDE):
    """A Surface of a kind with random parameters, which wraps."""
    height, colour = KINDS[kind](rng, side)
    rough, metal = draw_roughness(kind, rng, height, colour)
    srgb = np.clip(colour, 0, 1) ** (1 / 2.2)
    planes = [(255 * x).round().clip(0, 255).astype(np.uint8) for x in (srgb.transpose(2, 0, 1), rough, metal)]
    colour, rough, metal = map(torch.from_numpy, planes)
    return Surface(colour, torch.from_numpy((height - height.mean()).astype(np.float16)), None, rough, metal)


def draw_roughness(kind, rng, height, colour):
    """Roughness and metal [side, side] in [0, 1] of a kind with a height and a colour."""
    low, high = ROUGH[GROUP.get(kind, "rough")]
    base, light = rng.uniform(low, high), colour.mean(-1)
    raised = height - blur(height, 6)
    spots = noise(rng, len(height), rng.uniform(8, 60), 1.5)
    parts = [field / max(field.std(), 1e-6) for field in (light - light.mean(), raised, spots)]
    signs = rng.uniform([-1, -1.5, -1], [1, 0.5, 1])  # what stands out is smoother than what lies deep, more often
    rough = base + rng.uniform(0.0, 0.09) * sum(sign * part for sign, part in zip(signs, parts))
    metal = float(rng.random() < METALS.get(kind, 0))
    return np.clip(rough, 0.02, 1), np.full(height.shape, metal)


def draw_pool(count, seed=0, kinds=None, side=SIDE):
    """(kind, Surface) of so many Surfaces of each kind."""
    kinds = kinds or [kind for kind in KINDS if kind not in (*KEPT_OUT, *NOT_DRAWN)]
    for number in range(count):
        for kind in kinds:
            yield kind, draw_surface(kind, np.random.default_rng((seed, number, list(KINDS).index(kind))), side)


def read_material(folder):
    """The Surface of a folder of maps, with the heights that its normals say."""
    values, maps, _ = materials.read_material(folder, None, 1024)
    planes = {kind: maps.planes(values, kind) for kind in ("colour", "height", "normal", "roughness", "metal")}
    known = {kind: x for kind, x in planes.items() if x is not None}
    height, _, _ = surfaces.surface_of(known)
    slopes = surfaces.slopes_behind(planes["normal"]).clip(-4, 4)
    none = -np.ones_like(planes["roughness"])
    metal = planes["metal"] if planes["metal"] is not None else none
    colour, rough, metal = (torch.from_numpy(((x + 1) * 127.5).round().clip(0, 255).astype(np.uint8))
                            for x in (planes["colour"], planes["roughness"][0], metal[0]))
    return Surface(colour, torch.from_numpy((height - height.mean()).astype(np.float16)),
                   torch.from_numpy(slopes.astype(np.float16)), rough, metal)


def read_materials(folder):
    """{name: Surface} of the materials in a folder but for those that are kept out."""
    return {path.name: read_material(path) for path in sorted(Path(folder).iterdir())
            if path.is_dir() and path.name not in SETS_KEPT_OUT}


def draw_print(rng, side=SIDE):
    """Where something is printed or painted on a surface, uint8 [side, side]: letters, bars, rings, blots."""
    page = Image.new("L", (side, side))
    pen = ImageDraw.Draw(page)
    for _ in range(rng.integers(1, 5)):
        x, y, size = (int(v) for v in rng.uniform([-20, -20, 12], [side, side, side / 2]))
        what = rng.integers(4)
        if what < 2:
            text = "".join(LETTERS[k] for k in rng.integers(len(LETTERS), size=rng.integers(1, 7)))
            pen.text((x, y), text, fill=255, font=ImageFont.load_default(size))
        elif what == 2:
            pen.line([x, y, *(int(v) for v in rng.uniform(0, side, 2))], fill=255, width=int(rng.integers(2, 24)))
        else:
            pen.ellipse([x, y, x + size, y + int(size * rng.uniform(0.4, 1.5))], outline=255,
                        width=int(rng.integers(2, max(3, size // 2))))
    return np.asarray(page.rotate(float(rng.uniform(0, 360))))
