"""What the nodes are, and what they do, whichever way ComfyUI is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from comfy_execution.graph import ExecutionBlocker
from torch import Tensor

from .pictures import BLACK, guide_of, map_of, mask_of, picked, picture_of, pixels_of
from .tool import MODELS, Progress

TILE = 128  # side of a tile, pixels, where the picture holds 3 x 3 of them
STEP = 32  # of which a smaller picture's tiles are a multiple
MAPS = ("color", "normal", "displacement", "roughness", "metallic", "occlusion", "emission",
        "opacity")  # displacement is the height, a name that the texture's size has taken
COLOURS = ("color", "normal", "emission")  # maps of three channels


class Input(NamedTuple):
    """A socket or a widget."""

    name: str
    kind: str  # "IMAGE" | "MASK" | "INT" | "COMBO"
    tooltip: str
    options: dict[str, Any] = {}
    optional: bool = False


class Node(NamedTuple):
    """A node; all of its outputs are pictures."""

    id: str
    title: str
    about: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    make: Callable[..., tuple]  # from the inputs, by name, to the outputs


def texture(image: Tensor, width: int, height: int, tileable: str, seed: int, epochs: int,
            mask: Tensor | None = None, guide: Tensor | None = None) -> tuple[Tensor]:
    """Of each picture of a batch [B, H, W, C], 0 to 1, a texture, [B, height, width, C]."""
    def drawn(index: int) -> Tensor:
        source = image[index]
        hidden = mask_of(picked("mask", mask, count, index), source)
        asked = guide_of(picked("guide", guide, count, index), width, height)

        model = MODELS.learned(pixels_of(source), progress.next_part(), **given(MASK=hidden),
                               EPOCHS=epochs, TILE_SIZE=tile_of(source))
        pixels = model.draw(progress.next_part(), OUTPUT_SIZE=(width, height), TILEABLE=tileable,
                            SEED=seed, **given(GUIDE=asked))
        return picture_of(pixels)

    count, progress = len(image), Progress(2 * len(image))
    return stacked(map(drawn, range(count))),


def material(width: int, height: int, tileable: str, seed: int, epochs: int,
             **maps: Tensor | None) -> tuple:
    """Of each material of a batch, maps [B, H, W, C], 0 to 1, by their names, a larger one; where a
    map was not given, what hangs on it is not executed."""
    maps = given(**maps)
    if not maps:
        raise ValueError(f"no map is connected; connect one or more of {', '.join(MAPS)}")
    count = max(map(len, maps.values()))
    progress = Progress(2 * count)

    def drawn(index: int) -> dict[str, np.ndarray]:
        own = {name: picked(name, batch, count, index) for name, batch in maps.items()}
        pixels = {name: map_of(picture, name in COLOURS) for name, picture in own.items()}
        model = MODELS.learned(pixels, progress.next_part(), EPOCHS=epochs,
                               TILE_SIZE=tile_of(next(iter(own.values()))))
        made = model.draw(progress.next_part(), OUTPUT_SIZE=(width, height), TILEABLE=tileable,
                          SEED=seed)
        return made if isinstance(made, dict) else dict.fromkeys(own, made)

    made = [drawn(index) for index in range(count)]
    return tuple(stacked(picture_of(one[name]) for one in made) if name in maps
                 else ExecutionBlocker(None) for name in MAPS)


def repair(image: Tensor, mask: Tensor, seed: int, epochs: int) -> tuple[Tensor]:
    """A batch of pictures [B, H, W, C], 0 to 1, with what masks hide drawn anew, all else as it was
    to the last bit."""
    count, progress = len(image), Progress(2 * len(image))
    masks = [mask_of(picked("mask", mask, count, index), image[index]) for index in range(count)]
    if all(hidden is None for hidden in masks):
        raise ValueError("the mask is black, so that there is nothing to repair; paint white what is "
                         "to be drawn anew")

    def drawn(source: Tensor, hidden: np.ndarray | None) -> Tensor:
        learning, drawing = progress.next_part(), progress.next_part()
        if hidden is None:
            return source
        model = MODELS.learned(pixels_of(source), learning, MASK=hidden, EPOCHS=epochs,
                               TILE_SIZE=tile_of(source), MAX_SIDE=max(source.shape[:2]))
        return laid_into(source, picture_of(model.draw(drawing, SCALE=1, SEED=seed)), hidden)

    return stacked(map(drawn, image, masks)),


def laid_into(source: Tensor, repaired: Tensor, hidden: np.ndarray) -> Tensor:
    """A picture [H, W, C] with a repaired one where a mask, uint8 [H, W], is not black."""
    where = torch.from_numpy(hidden >= BLACK).to(source.device)[..., None]
    return torch.where(where, repaired.to(source)[..., :source.shape[2]], source)


def given(**values: Any) -> dict[str, Any]:
    """Those of the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def stacked(pictures: Iterator[Tensor]) -> Tensor:
    """Pictures [H, W, C] of one size as a batch [B, H, W, C]."""
    return torch.stack(list(pictures))


def tile_of(picture: Tensor) -> int:
    """The side of the largest tile, up to the tool's usual one, of which 3 x 3 fit into a picture
    [H, W, C], in pixels."""
    return max(STEP, min(TILE, min(picture.shape[:2]) // 3 // STEP * STEP))


def whole(name: str, tooltip: str, default: int, least: int, most: int, **more: Any) -> Input:
    """A widget for a whole number."""
    return Input(name, "INT", tooltip, {"default": default, "min": least, "max": most, **more})


def epochs_of(default: int) -> Input:
    """The widget for the training's length."""
    return whole("epochs", "How long it learns the picture: 1 for a look, 5 or more where much is "
                 "drawn anew, 0 to draw with what it knows of other textures alone.",
                 default, 0, 1000)


SEED = whole("seed", "Another seed, another result; what was learned is kept.", 0, 0, 2**32 - 1,
             control_after_generate=True)
SIZE = (
    whole("width", "Of the texture, in pixels.", 1024, 64, 16384, step=8),
    whole("height", "Of the texture, in pixels.", 1024, 64, 16384, step=8),
    Input("tileable", "COMBO", "Where the texture continues at its other end: both ways, from left "
          "to right, from top to bottom, or nowhere.",
          {"options": ["xy", "x", "y", "none"], "default": "xy"}),
    SEED,
    epochs_of(1),
)

NODES = (
    Node("TextureDiffusionTexture", "Texture from picture",
         "Learns a picture of a texture, and draws a texture of any size that continues it.",
         (Input("image", "IMAGE", "A texture, best of 384 x 384 pixels or more; each of a batch is "
                "drawn by itself."),
          *SIZE,
          Input("mask", "MASK", "White: what of the picture is not to come into the texture.",
                optional=True),
          Input("guide", "IMAGE", "A picture whose coarse brightness and colour the texture "
                "follows; of another shape its middle is taken.", optional=True)),
         ("image",), texture),
    Node("TextureDiffusionMaterial", "Material from maps",
         "Learns the maps of a material, all as one, and draws larger ones that fit together.",
         (*SIZE, *(Input(name, "IMAGE", f"The {name} map.", optional=True) for name in MAPS)),
         MAPS, material),
    Node("TextureDiffusionRepair", "Repair",
         "Draws anew what a mask hides of a texture; all else stays as it is, to the last bit.",
         (Input("image", "IMAGE", "A texture, best of 384 x 384 pixels or more."),
          Input("mask", "MASK", "White: what is drawn anew."), SEED, epochs_of(5)),
         ("image",), repair),
)
