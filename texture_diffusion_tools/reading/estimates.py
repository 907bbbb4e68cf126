"""From one colour photo to a material: height, normals, roughness, occlusion and metal are
estimated, by a network that has seen many surfaces, before anything is learned or drawn.

These are estimates and no measurements. What can be computed is computed: the network says slopes,
from which comes the height that they are nearest to, and normals and occlusion come from that
height, so that all of them agree. It says it for the photo and for flipped and turned copies, and
what is written is their mean; how far they are apart is the doubt.
"""

import functools
import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..learning import checkpoints
from ..running import events, files, program
from ..running.constants import ESTIMATED
from ..running.errors import RunError, UserError, first_line, printable
from ..writing import exports, png, shading
from . import channels, estimator, materials, surfaces
from .channels import Channels, MapFile

# what they are called
NAMES = {"colour": "Color", "height": "Displacement", "normal": "NormalGL",
         "roughness": "Roughness", "occlusion": "AmbientOcclusion", "metal": "Metalness"}
WEIGHTS = "checkpoints/maps.pt"
# of the photo, see estimator.turned(): as it is, mirrored, turned by a quarter, both
COPIES = (0, 1, 6, 7)
SIDED = 0.25  # length of the light's direction, 0 to 1, from which on it is believed
SURE = 0.9  # probability from which on a pixel is metal
LEAST_METAL = 0.02  # share of such pixels below which there is no map of them
MOST = 0.5  # share of the shading that is taken out of the colour at most
DOUBTED = 30  # degrees between copies that are white in the picture of doubt


class Wish(NamedTuple):
    """What is to be estimated of a photo, and how."""

    kinds: tuple  # of ESTIMATED
    light: float | str | None  # degrees, 0 from the right, 90 from above; "even"; None: unknown
    delight: float  # share of MOST that is taken out


class Estimate(NamedTuple):
    """What is estimated of a photo [H, W]."""

    height: np.ndarray  # [H, W], pixels, 0 on the whole
    rough: np.ndarray  # [H, W], 0 to 1
    metal: np.ndarray  # [H, W], a probability
    doubt: np.ndarray  # [H, W], degrees between the normals of a copy and of all, on average
    light: np.ndarray  # [2], where light comes from, right and down; shorter if that is less sure
    wraps: tuple  # whether the photo goes on at its other end, downwards and to the right


def wished(c: SimpleNamespace) -> Wish | None:
    """The Wish that the constants say, or None."""
    if not c.MAPS:
        return None
    return Wish(ESTIMATED if c.MAPS is True else tuple(c.MAPS), c.LIGHT, c.DELIGHT)


def alone(c: SimpleNamespace) -> bool:
    """Whether the maps of the photo are all that is asked for, and nothing is learned or drawn."""
    special = c.OUTPUT_SIZE, c.WANG, c.MASK
    return bool(c.MAPS) and c.SCALE == 1 and c.TILEABLE == "none" and not any(special)


@functools.cache
def load_net(path: str | Path) -> estimator.MapNet:
    """The network of a file of weights; UserError if there is none."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there are no weights at {printable(path)}, by which maps are estimated; "
                        "take that file from where the script came from, or make it with "
                        "python -m prior maps")
    net = estimator.MapNet()
    try:
        net.load_state_dict(checkpoints.read_state(path)["weights"])
    except Exception as error:  # torch.load raises almost anything
        raise RunError(f"{printable(path)} is damaged, or no weights of this version to estimate "
                       f"maps by ({first_line(error)}); put a copy in its place") from None
    return net.eval().to(memory_format=torch.channels_last)


def direction_of(light: float | str | None) -> torch.Tensor | None:
    """LIGHT as a direction [2], right and down, of length 1, or 0 for "even"; None: not known."""
    if light is None:
        return None
    if light == "even":
        return torch.zeros(2)
    angle = math.radians(float(light))
    return torch.tensor([math.cos(angle), -math.sin(angle)])


def degrees_of(direction: Any) -> int:
    """A direction [2], right and down, in whole degrees as LIGHT has them."""
    return round(math.degrees(math.atan2(-direction[1], direction[0]))) % 360


def estimated(net: torch.nn.Module, colour: np.ndarray, light: float | str | None = None,
              window: int = estimator.WINDOW) -> Estimate:
    """The Estimate of colours [3, H, W] in [-1, 1], an array; light: as in Wish."""
    wraps = surfaces.wraps_of(colour.mean(0))
    picture, told = torch.from_numpy(np.ascontiguousarray(colour, np.float32)), direction_of(light)
    found, votes = zip(*(of_copy(net, picture, copy, told, wraps, window) for copy in COPIES))
    found = torch.stack(found)

    # the surface that is nearest to the mean of what the copies say
    slopes = found[:, :2]
    normals = [as_normals(x) for x in (*slopes, slopes.mean(0))]
    height = surfaces.height_of(normals[-1][:2], wraps)
    cosines = np.stack([(one * normals[-1]).sum(0) for one in normals[:-1]])
    doubt = np.degrees(np.arccos(cosines.clip(-1, 1))).mean(0)
    rough, metal = found[:, 2:].sigmoid().mean(0).numpy()
    direction = torch.stack(votes).mean(0) if told is None else told
    return Estimate(height, rough, metal, doubt.astype(np.float32), direction.numpy(), wraps)


def of_copy(net: torch.nn.Module, colour: torch.Tensor, copy: int, light: torch.Tensor | None,
            wraps: tuple, window: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What a network says of a copy of colours [3, H, W], turned back: [4, H, W], and of the light,
    [2]."""
    light = None if light is None else estimator.turned(light, copy, (0,))
    wraps = wraps[::-1] if copy & 4 else wraps
    maps, vote = estimator.estimate(net, estimator.turned(colour, copy), light, wraps, window)
    maps, vote = (estimator.turned_back(x, copy, (0,)) for x in (maps, vote))
    return maps.contiguous(), vote


def as_normals(slopes: torch.Tensor) -> np.ndarray:
    """Unit normals [3, H, W], an array, of slopes [2, H, W], a tensor."""
    x = slopes.numpy()
    length = np.sqrt(1 + (x**2).sum(0, keepdims=True))
    return np.concatenate([-x, np.ones_like(length)]) / length


def shading_of(colour: np.ndarray, surface: Estimate) -> np.ndarray:
    """The logarithm of how bright light and what it does not reach make each place [H, W], 0 on the
    whole, as far as the brightness of colours [3, H, W] in [-1, 1] goes along with that (least
    squares)."""
    normals = surfaces.normals_of(surface.height, surface.wraps)
    length = np.linalg.norm(surface.light)
    occlusion = surfaces.occlusion_of(surface.height, surface.wraps)
    direction = surface.light / length if length >= SIDED else np.zeros(2)
    facing = np.tensordot(direction, normals, 1)
    bright = np.log(light_of(colour).mean(0) + 1e-3)
    terms = np.stack([part - part.mean() for part in (facing, np.log(occlusion + 1e-3))])
    gram = terms.reshape(2, -1) @ terms.reshape(2, -1).T + 1e-6 * np.eye(2) * occlusion.size
    weights = np.linalg.solve(gram, terms.reshape(2, -1) @ (bright - bright.mean()).ravel())
    return np.tensordot(weights.clip(0, [2, 1]), terms, 1)  # what is in light is not darker for it


def light_of(values: np.ndarray) -> np.ndarray:
    """The linear light, about, of sRGB values in [-1, 1]."""
    return ((values + 1) / 2).clip(0, 1) ** 2.2


def without_shading(colour: np.ndarray, shading: np.ndarray, share: float) -> np.ndarray:
    """Colours [3, H, W] in [-1, 1] of which a share of the shading [H, W] is taken out."""
    light = light_of(colour) * np.exp(-share * shading)
    return (2 * light.clip(0, 1) ** (1 / 2.2) - 1).astype(np.float32)


def photo_as_maps(pixels: np.ndarray, name: str) -> tuple[np.ndarray, Channels]:
    """Values [C, H, W] in [-1, 1] and Channels of a photo's pixels [H, W] or [H, W, 1 to 4] as
    those of a folder that holds colour alone, and opacity where it is transparent."""
    values = channels.as_values(pixels)
    colour, alpha = (values[:-1], values[-1:]) if len(values) in (2, 4) else (values, values[:0])
    holds = ("colour", "opacity")[:1 + len(alpha)]
    file = MapFile(f"{name}_{NAMES['colour']}", holds, 8 * pixels.itemsize)
    slices = {"colour": slice(0, 3), "opacity": slice(3, 4)}
    colour = np.broadcast_to(colour, (3, *colour.shape[1:]))
    held = {kind: slices[kind] for kind in holds}
    return np.concatenate([colour, alpha]), Channels(held, {}, (file,), folder=True)


def put_under(before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values [C, H, W] that a photo's maps have with the colours [1 or 3, ...] from before what
    a mask hides was filled."""
    return np.concatenate([np.broadcast_to(before[:3], (3, *before.shape[1:])), values[3:]])


def add_maps(values: np.ndarray, maps: Channels, notes: list[str], wish: Wish | None,
             name: str) -> tuple[np.ndarray, Channels, np.ndarray | None]:
    """Values [C, H, W] and Channels of a material with those maps of a Wish, or None, that it
    lacks, and the doubt [H, W] of that, or None; notes, a list, gets a further one. Channels behind
    those of the material stay the last."""
    if wish is None:
        return values, maps, None
    there = {"roughness" if kind == "gloss" else kind for kind in (*maps.slices, *maps.constants)}
    kinds = [kind for kind in wish.kinds if kind not in there]
    if not kinds or "colour" not in maps.slices:
        why = "all of what it names is there"
        if kinds:
            why = "maps are estimated from a colour map, and there is none"
        notes.append(f"MAPS estimated nothing: {why}")
        return values, maps, None

    colour = values[maps.slices["colour"]]
    weights = files.find_file(WEIGHTS, program.home())
    surface = estimated(load_net(weights), colour, wish.light)
    planes, said = {}, None
    if there & {"height", "normal"}:
        planes, said = computed(values, maps, surface, kinds)
    planes.update(planes_of(surface, [kind for kind in kinds if kind not in planes]))
    if wish.delight:
        values = values.copy()
        shading = shading_of(colour, surface)
        values[maps.slices["colour"]] = without_shading(colour, shading, MOST * wish.delight)
    notes.append(said_of(surface, wish, planes, said))
    return *joined(values, maps, planes, name), surface.doubt


def computed(values: np.ndarray, maps: Channels, surface: Estimate,
             kinds: list[str]) -> tuple[dict, str]:
    """{kind: planes} of those kinds that a material's own height or normals say, and a clause about
    its relief; a height without normals is as steep as the Estimate has it, where the two go
    together."""
    known = {kind: values[part] for kind, part in maps.slices.items()}
    relief = None
    if "height" in known and "normal" not in known:
        normals = surfaces.normals_of(surface.height, surface.wraps)
        relief = surfaces.relief_by(normals, surfaces.share_of(known["height"]))
    found = surfaces.complete(known, {*maps.slices, *maps.constants}, relief)
    return {kind: planes for kind, planes in found.maps.items() if kind in kinds}, found.relief


def said_of(surface: Estimate, wish: Wish, kinds: Iterable[str], said: str | None) -> str:
    """A sentence about an Estimate of some kinds of maps; said: of what was computed from a
    material's own."""
    if wish.light is not None:
        side = "as LIGHT says"
    elif np.linalg.norm(surface.light) < SIDED:
        side = "from no side in particular, as it seems (LIGHT = degrees would say one)"
    else:
        side = (f"from {degrees_of(surface.light)} degrees, as it seems (0 is the right, 90 above; "
                "LIGHT overrules it)")
    high = said or f"{np.ptp(surface.height):.3g} pixels between the height's black and white"
    *first, last = [*kinds] or ["nothing"]
    names = f"{', '.join(first)} and {last}" if first else last
    return (f"MAPS estimated {names}, which is no measurement: {high}, "
            f"light {side}, and copies of the photo {surface.doubt.mean():.1f} degrees apart")


def planes_of(surface: Estimate, kinds: Iterable[str]) -> dict[str, np.ndarray]:
    """{kind: planes [channels, H, W] in [-1, 1]} of an Estimate, of the kinds that are wanted;
    metal only where there is some for sure."""
    flat = np.ptp(surface.height) < 1e-6
    height = surface.height - surface.height.min()
    height = np.zeros_like(height) if flat else height / height.max()
    shape = surface.height, surface.wraps
    makers = {"height": lambda: 2 * height[None] - 1,
              "normal": lambda: surfaces.normals_of(*shape),
              "roughness": lambda: 2 * surface.rough[None] - 1,
              "occlusion": lambda: 2 * surfaces.occlusion_of(*shape)[None] - 1,
              "metal": lambda: 2 * (surface.metal[None] > SURE) - 1.0}
    if (surface.metal > SURE).mean() < LEAST_METAL:
        kinds = [kind for kind in kinds if kind != "metal"]
    return {kind: makers[kind]().astype(np.float32) for kind in ESTIMATED if kind in kinds}


def joined(values: np.ndarray, maps: Channels, planes: dict[str, np.ndarray],
           name: str) -> tuple[np.ndarray, Channels]:
    """Values [C, H, W] and Channels with further planes {kind: [channels, H, W]}, those that are
    the same everywhere as constants; the height comes behind the colours."""
    depth = maps.files[0].depth
    its = {kind: values[part] for kind, part in maps.slices.items()}
    rest = values[maps.count():]
    files_ = [MapFile(f"{name}_{NAMES[kind]}", (kind,), 16 if kind == "height" else depth)
              for kind in planes]
    constants = dict(maps.constants)
    for file in files_:
        kind, = file.holds
        if materials.is_same(planes[kind], 2 / (2**file.depth - 1)):
            constants[kind] = planes[kind].mean((1, 2))
        else:
            its[kind] = planes[kind]
    order = sorted(its, key=lambda kind: (kind != "colour", kind != "height"))
    its = {kind: its[kind] for kind in order}
    what = maps._replace(slices=channels.slices_of(its), constants=constants,
                         files=(*maps.files, *files_))
    return np.concatenate([*its.values(), rest]), what


def write(exemplar: Any, c: SimpleNamespace, group: Any, said: list[str]) -> list[Path]:
    """Write the maps of an Exemplar alone, in the folder of its results, and say its notes but for
    those that were said; returns the maps' folder, [path]."""
    for note in exemplar.notes:
        if note not in said:
            group.say(f"note: {note}")
    folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, exemplar.name)
    with files.claimed(folder, checkpoint, exemplar, group) as results:
        if group.rank == 0:
            save(exemplar, results, c)
    return results.drawn()


def save(exemplar: Any, results: Any, c: SimpleNamespace) -> None:
    """Write the maps of an Exemplar, if some were to be estimated, lit and with a picture of doubt;
    print figures of that. The files of EXPORT are written if nothing else is drawn."""
    if not c.MAPS:
        return
    paths = [results.path(f"maps/{file.name}.png") for file in exemplar.channels.files]
    values = exemplar.values.numpy()
    rendered = exemplar.channels.rendered(values)
    png.save_files(paths, rendered, exemplar.channels.formats())
    shading.draw_material(results.path("maps_lit.png"), exemplar.channels, values)
    figures = {"maps": paths[0].parent}
    if exemplar.doubt is not None:
        levels = (255 / DOUBTED * exemplar.doubt).clip(0, 255).astype(np.uint8)
        png.save_png(results.path("maps_doubt.png"), levels)
        figures["maps_doubt_degrees"] = f"{exemplar.doubt.mean():.1f}"
    if alone(c):
        exports.check(c.EXPORT, exemplar, rendered[0].shape[:2])
        size = rendered[0].shape[:2]
        figures.update(exports.save(c.EXPORT, exemplar, paths, size, results, "maps"))
    events.print_figures(figures)
