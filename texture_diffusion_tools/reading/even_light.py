"""Light made even: what drifts slowly across a photo, in brightness and colour, is divided out; the
texture stays.

A photo is light times the material's reflectance (in linear light, not in sRGB values), which is on
average the same everywhere. So the logarithm of the mean of a block is
that of the light there plus a constant and noise, and a surface fitted to it is the light. Surfaces
of degree 2 and 3 came closest to known light on seven textures, closer than those of degree 1 and 4
and blurs; degree 2 takes less of what is the texture's own. The fit is robust (Huber, "Robust
estimation of a location parameter", 1964): a hole, a label or a stain does not bend the surface.

Where the material itself differs from one part of the photo to another, no such fit can tell it
from light. That shows in what the surface leaves of the means of large blocks, and such a photo is
left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

BLOCKS = 32  # means are taken of so many blocks in each direction
DARKEST = 1e-3  # of the photo's mean, so that a black block has a logarithm
HUBER = 1.345  # deviations from which on a block counts less
ROUNDS = 10  # how often the weights are found anew
LARGE = 4  # blocks on a side of a large one
# Deviation of the logarithms of large blocks from the surface: 0.05 to 0.16 on photos of one
# material.
UNEVEN = 0.25
KNEE = 0.75  # light that is left as it is where brighter light is toned down to white
CLIPPED = 0.001  # share of the values that may become white without a word


def light_of(values: np.ndarray) -> np.ndarray:
    """The linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


DECODED = {top: light_of(np.arange(top + 1) / top).astype(np.float32) for top in (255, 65535)}


def decode(values: np.ndarray) -> np.ndarray:
    """sRGB values, uint16 of 65535 or integers of 255, to linear light in [0, 1], float32."""
    return DECODED[65535 if values.dtype == np.uint16 else 255][values]


def encode(light: np.ndarray, top: int = 255) -> np.ndarray:
    """Linear light to the nearest sRGB values: uint8, or uint16 for a top of 65535; what is
    brighter than white becomes white."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (top * values).round().astype(np.uint8 if top == 255 else np.uint16)


def toned(light: np.ndarray) -> np.ndarray:
    """Light [..., channels] as it is up to KNEE, and brighter light, of any strength, below 1 in
    the same hue."""
    most = light.max(-1, keepdims=True)
    beyond = np.maximum(most - KNEE, 0) / (1 - KNEE)
    brightest = KNEE + (1 - KNEE) * beyond / (1 + beyond)
    return light * np.where(most > KNEE, brightest / np.maximum(most, KNEE), 1)


def even_out(pixels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """uint8 or uint16 [H, W] or [H, W, 3] in even light, each channel with its mean, and notes, a
    list of sentences."""
    out, channels = pixels.copy(), np.atleast_3d(pixels).shape[2]
    planes = out.reshape(*out.shape[:2], channels)  # a view
    surfaces, uneven = zip(*(fit(decode(planes[..., k])) for k in range(channels)))

    if max(uneven) > UNEVEN:
        found, most = np.exp((max(uneven), UNEVEN))
        return pixels, [f"EVEN_LIGHT left the photo as it is: its parts differ by a factor of "
                        f"{found:.2f}, and above {most:.2f} the material's own differences would "
                        "be taken for light; a CROP of one material can be made even"]

    factors, clipped = [], 0
    for k in range(channels):  # one at a time: a large photo has many numbers
        drift = drift_of(surfaces[k], out.shape[:2])
        light = decode(planes[..., k])
        level = light / drift
        level *= light.mean() / max(level.mean(), 1e-9)
        planes[..., k] = encode(level, np.iinfo(pixels.dtype).max)

        factors.append(f"{drift.max() / drift.min():.2f}")
        clipped += (level > 1).mean() / channels

    names = " in red, green and blue" if channels > 1 else ""
    notes = [f"the light drifted by a factor of {', '.join(factors)}{names} across the photo; "
             "EVEN_LIGHT took that out"]
    if clipped > CLIPPED:
        notes.append(f"EVEN_LIGHT made {clipped:.1%} of the values white; a darker photo would "
                     "keep them")
    return out, notes


def fit(light: np.ndarray) -> tuple[np.ndarray, float]:
    """The logarithm of the light as a quadratic surface, its 6 weights, and how uneven it leaves
    what is large.

    light: a channel [H, W] of linear light.
    """
    # the logarithms of the means of blocks
    blocks = Image.fromarray(light).resize((BLOCKS, BLOCKS), Image.Resampling.BOX)
    means = np.asarray(blocks, dtype=np.float64)
    log = np.log(np.maximum(means / max(means.mean(), 1e-9), DARKEST)).ravel()

    # a surface through them; what is far from it counts less in the next round
    terms = np.stack(quadratic(*places(BLOCKS, BLOCKS)), -1).reshape(-1, 6)
    counts, weights, rest = np.ones_like(log), np.zeros(6), log
    for _ in range(ROUNDS):
        root = np.sqrt(counts)
        weights = np.linalg.lstsq(terms * root[:, None], log * root, rcond=None)[0]
        rest = log - terms @ weights
        counts = 1 / np.maximum(1, abs(rest) / (HUBER * deviation(rest) + 1e-6))

    large = rest.reshape(BLOCKS // LARGE, LARGE, BLOCKS // LARGE, LARGE).mean((1, 3))
    return weights, deviation(large)


def deviation(values: np.ndarray) -> float:
    """The standard deviation of normal values about 0, as their median tells it, which a few others
    do not change."""
    return 1.4826 * np.median(abs(values))


def drift_of(weights: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """How bright the light of a surface is at each pixel of a photo (H, W), up to a factor: float32
    [H, W]."""
    height, width = size
    terms = quadratic(*places(height, width))
    return np.exp(sum(weight * term for weight, term in zip(weights.astype(np.float32), terms)))


def places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """y [H, 1] and x [1, W] of the middles of so many pixels or blocks, from -1 to 1, float32."""
    y, x = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1 for side in (height, width))
    return y[:, None], x[None]


def quadratic(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """The 6 terms of a quadratic surface, each [H, W]."""
    return np.ones_like(y * x), y + 0 * x, x + 0 * y, y * y + 0 * x, y * x, x * x + 0 * y
