"""A material seen in light, which shows at once whether its maps agree: dents where there should be
bumps, gloss that does not follow the colour, metal that is none.

The surface reflects by Lambert's law and by a microfacet model: the GGX distribution and Smith's
shadowing (Walter, Marschner, Li and Torrance, "Microfacet models for refraction through rough
surfaces", 2007) and Schlick's Fresnel term, with roughness and metal as in Karis, "Real shading in
Unreal Engine 4", 2013, and in appendix B of the glTF 2.0 specification. Light adds up in linear
values; the picture is sRGB.

Directions are (right, down, out of the picture), as pixels are counted; the viewer is far away,
straight ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..reading import even_light
from ..reading.channels import Channels, with_length_1
from . import png

FRAME = 384  # pixels of a flat patch's side, at most
MARGIN = 8  # pixels between the frames
BACKGROUND = 64  # sRGB value: white and black materials both stand out
# Pixels from the lowest to the highest of a height map: the normals of four materials said 15 to
# 41.
RELIEF = 25
ROUGHNESS = 0.7  # of a material without a map of it
# Roughness: in anything smoother a lamp without extent would be a point too small to be seen.
SMOOTHEST = 0.1
F0 = 0.04  # what anything but metal reflects of light from straight ahead
# Irradiance over pi: a flat patch, lit at 30 degrees, is a little darker than its colour.
LAMP, AMBIENT = 1.4, 0.2
# Linear light is compressed from here on, so that white cloth and highlights keep their structure.
SHOULDER = 0.5
ELEVATION = np.radians(30)  # of the lamp over the patch

VIEW = np.array([0, 0, 1], np.float32)
# (-1 above or 1 below, -1 left or 1 right) -> direction to the lamp
LIGHTS = {
    (y, x): np.array([x * np.cos(ELEVATION) / 2**0.5,
                      y * np.cos(ELEVATION) / 2**0.5,
                      np.sin(ELEVATION)], np.float32)
    for y in (-1, 1) for x in (-1, 1)
}

Maps = dict[str, np.ndarray]  # by kinds


def draw_lit(
    path: Path,
    colour: np.ndarray,
    normal: np.ndarray | None = None,
    height: np.ndarray | None = None,
    roughness: np.ndarray | None = None,
    occlusion: np.ndarray | None = None,
    metal: np.ndarray | None = None,
) -> None:
    """Write a PNG of a material: four patches, each in the corner from which its light comes, and a
    sphere.

        +-----+-----+-----------+
        | \\   |   / |   .---.   |    FRAME pixels, or the maps' shorter side, is a patch's side; it
        +-----+-----+  ( sphere)|    shows the middle of the maps, at their own size. The sphere is
        | /   |   \\ |   '---'   |    lit from the upper left.
        +-----+-----+-----------+

    colour: float32 [H, W, 3], sRGB in [0, 1]. normal: float32 [H, W, 3], unit vectors (right, down,
    out of the picture); if None, the slope of the height. height, roughness, occlusion, metal:
    float32 [H, W], linear in [0, 1], or None; without a height, too, it is flat.
    """
    maps = complete(colour, normal, height, roughness, occlusion, metal)
    frame = min(FRAME, len(maps["colour"]))
    patch = middle(maps, frame)
    large = 2 * frame + MARGIN
    canvas = np.full((large + 2 * MARGIN, 2 * large + 3 * MARGIN, 3), BACKGROUND, np.uint8)

    for (y, x), light in LIGHTS.items():
        top, left = (MARGIN + (sign > 0) * (frame + MARGIN) for sign in (y, x))
        seen = even_light.encode(tone_map(shade(light, **patch)))
        canvas[top:top + frame, left:left + frame] = seen

    canvas[MARGIN:-MARGIN, large + 2 * MARGIN:-MARGIN] = draw_sphere(maps, large)
    png.save_png(path, canvas)


def complete(
    colour: np.ndarray,
    normal: np.ndarray | None,
    height: np.ndarray | None,
    roughness: np.ndarray | None,
    occlusion: np.ndarray | None,
    metal: np.ndarray | None,
) -> Maps:
    """The middle of the maps that are there, as much of it as the sphere shows at its own size, and
    what stands for the others: colour [S, S, 3] in linear light, normal [S, S, 3], roughness,
    occlusion and metal [S, S, 1]."""
    size = min(*colour.shape[:2], round(2**0.5 * (2 * FRAME + MARGIN)))
    given = {
        "colour": colour,
        "normal": normal,
        "height": height,
        "roughness": roughness,
        "occlusion": occlusion,
        "metal": metal,
    }
    maps = middle({name: values for name, values in given.items() if values is not None}, size)
    maps["colour"] = even_light.decode((255 * maps["colour"]).round().astype(np.uint8))

    height = maps.pop("height", None)
    if "normal" not in maps:
        flat = height is None
        maps["normal"] = np.tile(VIEW, (size, size, 1)) if flat else normals_of(height)

    for name, value in {"roughness": ROUGHNESS, "occlusion": 1, "metal": 0}.items():
        constant = np.full((size, size), value, np.float32)
        maps[name] = maps.get(name, constant)[..., None]
    return maps


def middle(maps: Mapping[str, np.ndarray], size: int) -> Maps:
    """The middle size x size pixels of each of the maps {name: [H, W, ...]}."""
    def cut(values: np.ndarray) -> np.ndarray:
        top, left = ((side - size) // 2 for side in values.shape[:2])
        return values[top:top + size, left:left + size]

    return {name: cut(values) for name, values in maps.items()}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] made 1 long."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def normals_of(height: np.ndarray) -> np.ndarray:
    """Unit normals [H, W, 3] of a height map [H, W] in [0, 1] whose range is RELIEF pixels."""
    down, right = np.gradient(RELIEF * height)
    return unit(np.stack([-right, -down, np.ones_like(height)], -1))


def shade(
    light: np.ndarray,
    colour: np.ndarray,
    normal: np.ndarray,
    roughness: np.ndarray,
    occlusion: np.ndarray,
    metal: np.ndarray,
) -> np.ndarray:
    """What the viewer sees, linear light [..., 3], not negative; in highlights far above 1.

    light: unit vector to the lamp, [3]. colour: [..., 3], linear. normal: unit vectors [..., 3].
    The others: [..., 1].
    """
    # cosines of the normal with the lamp, the viewer and what lies halfway between them
    half = unit(light + VIEW)
    n_l, n_v, n_h = (np.maximum(normal @ direction, 0)[..., None]
                     for direction in (light, VIEW, half))

    # the microfacets that reflect the lamp to the viewer, and how many of them are seen
    alpha2 = np.maximum(roughness, SMOOTHEST) ** 4  # alpha is the square of the roughness
    distribution = alpha2 / (np.pi * (n_h**2 * (alpha2 - 1) + 1) ** 2)
    visibility = 1 / (smith(n_l, alpha2) * smith(n_v, alpha2))

    diffuse, f0 = colour * (1 - metal), F0 + (colour - F0) * metal
    fresnel = f0 + (1 - f0) * (1 - half @ VIEW) ** 5
    reflected = (1 - fresnel) * diffuse + np.pi * fresnel * distribution * visibility

    # besides the lamp there is one light from everywhere
    return LAMP * n_l * reflected + AMBIENT * occlusion * (diffuse + f0)


def smith(cosine: np.ndarray, alpha2: np.ndarray) -> np.ndarray:
    """A direction's part of Smith's shadowing over 4 (n l)(n v): 2 (n v) / G1 of Walter's equation
    34, over 2."""
    return cosine + np.sqrt(alpha2 + (1 - alpha2) * cosine**2)


def tone_map(light: np.ndarray) -> np.ndarray:
    """Linear light of any strength to [0, 1]: as it is up to SHOULDER, and smoothly towards 1
    above."""
    rest = 1 - SHOULDER
    return np.where(light > SHOULDER, 1 - rest * np.exp((SHOULDER - light) / rest), light)


def draw_sphere(maps: Maps, size: int) -> np.ndarray:
    """uint8 [size, size, 3]: the maps on the front of a sphere, lit from the upper left.

    Lambert's azimuthal equal-area projection, seen from its middle: no pole is in view, and nothing
    is stretched by more than 1.41. The normals turn with the surface, along the great circle from
    the middle.
    """
    # the places on the sphere of the pixels that it covers, and by what share
    x, y = np.meshgrid(*[(np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1] * 2)
    radius = np.hypot(x, y)
    seen = np.clip((1 - radius) * size / 2 + 0.5, 0, 1)
    x, y, inside = x[seen > 0], y[seen > 0], seen[seen > 0][:, None]
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))

    # the maps there
    down, right = y / np.sqrt(1 + z), x / np.sqrt(1 + z)
    values = {name: sample(texture, down, right) for name, texture in maps.items()}
    values["normal"] = turn(unit(values["normal"]), x, y, z)

    background: Any = np.uint8(BACKGROUND)
    out = np.full((size, size, 3), even_light.decode(background))
    lit = tone_map(shade(LIGHTS[-1, -1], **values))
    out[seen > 0] += inside * (lit - out[seen > 0])
    return even_light.encode(out)


def turn(normal: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Normals [N, 3] by the rotation that takes the direction to the viewer to (x, y, z), [N] each,
    the shortest way (Frisvad, "Building an orthonormal basis from a 3D vector without
    normalization", 2012)."""
    shared = -x * y / (1 + z)
    right = np.stack([1 - x * x / (1 + z), shared, -x], -1)
    down = np.stack([shared, 1 - y * y / (1 + z), -y], -1)
    out = np.stack([x, y, z], -1)
    return normal[:, :1] * right + normal[:, 1:2] * down + normal[:, 2:] * out


def sample(texture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values [N, C] of a square texture [S, S, C] at places from -1 to 1, [N] each, bilinear."""
    side = len(texture)
    y, x = (np.clip((place + 1) / 2 * side - 0.5, 0, side - 1) for place in (y, x))
    top, left = (np.minimum(place.astype(int), max(side - 2, 0)) for place in (y, x))
    bottom, right = (np.minimum(place + 1, side - 1) for place in (top, left))

    y, x = (y - top)[:, None], (x - left)[:, None]
    above = texture[top, left] * (1 - x) + texture[top, right] * x
    below = texture[bottom, left] * (1 - x) + texture[bottom, right] * x
    return above * (1 - y) + below * y


def draw_material(path: Path, maps: Channels, values: np.ndarray) -> None:
    """draw_lit() of a channels.Channels and its values [C, H, W] in [-1, 1]; without a colour it is
    grey."""
    def seen(kind: str) -> np.ndarray | None:
        planes = maps.planes(values, kind)
        return None if planes is None else (planes + 1) / 2

    def flat(kind: str) -> np.ndarray | None:
        planes = seen(kind)
        return None if planes is None else planes[0].clip(0, 1)

    numbers = {kind: flat(kind) for kind in ("height", "roughness", "occlusion", "metal")}
    gloss = flat("gloss")
    if numbers["roughness"] is None and gloss is not None:
        numbers["roughness"] = 1 - gloss

    colour, normal = seen("colour"), maps.planes(values, "normal")
    if colour is None:
        colour = np.full((3, *values.shape[1:]), 0.5, np.float32)
    else:
        colour = colour.clip(0, 1)
    if normal is not None:
        normal = with_length_1(normal, down=True).transpose(1, 2, 0)
    draw_lit(path, colour.transpose(1, 2, 0), normal, **numbers)
