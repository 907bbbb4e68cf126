"""Where one texture goes over into another: the map that says so, and the border that is made of
it.

Grey levels of a map stand for the textures, evenly spread from black, the first, to white, the
last; a grey between two mixes them. In colours red, green and blue are the shares of the first
three, and what they lack of a whole, as black does, is the fourth's. What is transparent is what
lies below all that was painted: the first texture that nothing in the map names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..laying.grids import Pair
from ..reading import photos, transparency
from ..running.errors import UserError, printable

GREY = 16  # levels by which the channels of a grey map may differ: a JPEG file's noise
# Levels of a colour that names no texture, and the share of the pixels that may have them.
STRAY = 64, 1e-3
ASPECT = 0.02  # share by which the proportions of map and texture may differ
BLUR = 1.0  # px of the texture, deviation of the Gaussian over the map's edges
LEAST = 1 / 255  # share of a texture in a pixel below which there is nothing of it
# Pixels, of the brightness that stands for a texture's relief, at several scales.
RELIEF_BLURS = (3, 16)
REACH = 3 * max(RELIEF_BLURS)  # px, how far around a pixel what is there matters
# How far relief moves a border, in deviations of relief for a factor of e between two shares.
RELIEF = 1.2
SOFTNESS = 0.06  # of the border between two textures, the same unit


class BlendMap:
    """The share of each texture in each pixel of a picture.

    shares: [K, h, w] float32 that add up to 1, over all of the picture of a size (H, W), which may
    be larger; wraps: whether the picture goes on from bottom to top, and from right to left.
    """

    def __init__(
        self, shares: np.ndarray, size: Sequence[int], wraps: tuple[bool, bool] = (False, False)
    ) -> None:
        self.shares, self.size, self.wraps = shares, size, wraps

    def at(self, corner: Sequence[int], side: int) -> Tensor:
        """The shares in a square at a corner (y, x), [K, side, side], smooth by BLUR; those below
        LEAST are 0."""
        margin, x = 4, self.shares
        for axis in (0, 1):
            # the places of the pixels in the map, between two of its rows or columns
            scale, count = x.shape[1 + axis] / self.size[axis], self.shares.shape[1 + axis]
            at = (corner[axis] - margin + np.arange(side + 2 * margin) + 0.5) * scale - 0.5
            low, part = np.floor(at).astype(int), (at - np.floor(at)).astype(np.float32)
            rows = [k % count if self.wraps[axis] else k.clip(0, count - 1) for k in (low, low + 1)]

            part = part[:, None] if axis == 0 else part
            x = x.take(rows[0], 1 + axis) * (1 - part) + x.take(rows[1], 1 + axis) * part

        smooth = blurred(torch.from_numpy(x), BLUR)[:, margin:-margin, margin:-margin]
        smooth = smooth * (smooth > LEAST)
        return smooth / smooth.sum(0)


def blurred(x: Tensor, deviation: float) -> Tensor:
    """x [K, h, w] blurred by a Gaussian, deviation in pixels; what lies beyond the edge is as the
    edge is."""
    reach = min(int(3 * deviation), *(side - 1 for side in x.shape[1:]))
    line = torch.exp(-(torch.arange(-reach, reach + 1) / deviation) ** 2 / 2)
    line = (line / line.sum())[None, None]

    x = F.pad(x[:, None], [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, line[..., None]), line[:, :, None])[:, 0]


def read_map(
    path: str | Path,
    count: int,
    output_size: Pair | None,
    least: int,
    notes: list[str] | None = None,
) -> tuple[np.ndarray, Pair]:
    """The shares [K, h, w] of so many textures that a picture file names, and the size (width,
    height) of what is drawn by it: output_size, or if that is None its own. UserError if it names
    another texture, or is of other proportions.

    least: pixels that what is drawn has at least in width and height; notes: a list that what the
    map was taken for is added to, if there is a doubt.
    """
    image, _ = photos.open_image(path, 8, alpha=True)
    width, height = output_size or image.size

    # it has to fit what is drawn
    if output_size is None and min(image.size) < least:
        raise UserError(f"{printable(path)} has {image.width} x {image.height} pixels, and the "
                        f"texture would have as many; at least {least} x {least} are needed: give "
                        "OUTPUT_SIZE in the same proportions")
    if abs(image.width * height / (image.height * width) - 1) > ASPECT:
        fits = round(width * image.height / image.width)
        raise UserError(f"{printable(path)} has {image.width} x {image.height} pixels and the "
                        f"texture {width} x {height}, other proportions; "
                        f"OUTPUT_SIZE=({width},{fits}) has its own")

    if image.width > width:
        image = image.resize((width, height), Image.Resampling.BOX)
    shares, said = shares_of(np.atleast_3d(np.asarray(image)).astype(np.float32), count, path)
    if said and notes is not None:
        notes.append(f"BLEND: {printable(path)} {said}")
    return shares, (width, height)


def shares_of(pixels: np.ndarray, count: int, path: str | Path) -> tuple[np.ndarray, str]:
    """The shares [count, h, w] by a map's pixels [h, w, 1, 3 or 4], and in words what they were
    taken for, or ""."""
    colours, alpha = pixels[..., :3], None
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3] / 255
        # what is stored elsewhere names nothing
        colours = transparency.continued(colours, alpha > 0.5)

    if np.ptp(colours, 2).max() > GREY:
        shares, said = colour_shares(colours, count, path), ""
    elif 1 <= colours.max() < count and alpha is None:
        shares = grey_shares(colours.mean(2) * 255 / (count - 1), count)
        said = f"counts its {count} textures from 0"
    else:
        shares, said = grey_shares(colours.mean(2), count), ""
    return (shares, said) if alpha is None else over_the_unnamed(shares, alpha, path)


def over_the_unnamed(
    shares: np.ndarray, alpha: np.ndarray, path: str | Path
) -> tuple[np.ndarray, str]:
    """Shares [K, h, w] painted with alpha [h, w] over the first texture that they do not name, and
    that in words; UserError if they name all."""
    named = (shares[:, alpha > 0.5] > STRAY[0] / 255).mean(1) > STRAY[1]
    if named.all():
        y, x = np.argwhere(alpha <= alpha.min())[0]
        raise UserError(f"{printable(path)} is transparent at ({x}, {y}), where it has to say what "
                        f"lies there, since it names all {len(shares)} elsewhere; paint a ground "
                        "below it")

    below = int(named.argmin())
    shares = shares * alpha
    shares[below] += 1 - alpha
    said = f"is transparent in places: there lies texture {below + 1} of {len(shares)}, which " \
        "nothing in it names"
    return shares.astype(np.float32), said


def grey_shares(levels: np.ndarray, count: int) -> np.ndarray:
    """Shares [count, h, w] by grey levels [h, w], 0 to 255."""
    place = levels / 255 * (count - 1)
    return np.stack([(1 - np.abs(place - k)).clip(0) for k in range(count)]).astype(np.float32)


def colour_shares(pixels: np.ndarray, count: int, path: str | Path) -> np.ndarray:
    """Shares [count, h, w] by colours [h, w, 3], 0 to 255; UserError if a colour, or black, names
    none."""
    shares = np.concatenate([pixels.transpose(2, 0, 1), (255 - pixels.sum(2)[None]).clip(0)])
    for name, share in list(zip(("red", "green", "blue", "black"), shares))[count:]:
        if (share > STRAY[0]).mean() > STRAY[1]:
            y, x = np.argwhere(share > STRAY[0])[0]
            raise UserError(f"{printable(path)} is {name} at ({x}, {y}), and there are only "
                            f"{count} textures: red, green, blue and black stand for the first "
                            "four, in a grey map black for the first and white for the last")

    shares = np.pad(shares, ((0, max(0, count - 4)), (0, 0), (0, 0)))[:count]
    return shares / np.maximum(shares.sum(0), 1e-3)


def scales_of(x: Tensor) -> list[float]:
    """The deviations of the brightness of a normalised picture [C, H, W] at each of RELIEF_BLURS.
    """
    return [float(blurred(x.mean(0, keepdim=True), blur).std()) for blur in RELIEF_BLURS]


def relief(x: Tensor, scales: Sequence[float]) -> Tensor:
    """What stands for the relief of a normalised picture [C, h, w] whose texture has such scales:
    its brightness, where bright is high, [h, w] of deviation 1."""
    brightness = x.mean(0, keepdim=True)
    parts = [blurred(brightness, blur)[0] / scale for blur, scale in zip(RELIEF_BLURS, scales)]
    total: Tensor = sum(parts)  # pyright: ignore[reportAssignmentType]: there are two
    return total / len(parts) ** 0.5


def bordered(shares: Tensor, reliefs: Tensor) -> Tensor:
    """Shares [K, h, w] made almost all or nothing: where two textures meet, what is higher lies on
    top, as stones that stick out of grass (height blending). reliefs: [K, h, w]."""
    return ((shares.log() + RELIEF * reliefs) / SOFTNESS).softmax(0)
