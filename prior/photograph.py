"""A material as a photo: lit, seen through a lens, sometimes by a poor camera."""

import numpy as np

from .fields import blur, shade
from .kinds import KINDS


def draw(name, rng, side):
    """A photo of a kind of material with random parameters, uint8 [side, side, 3]; it wraps around."""
    height, colour = KINDS[name](rng, side)
    light, gloss = shade(height, rng, rng.uniform(0.4, 1.4))
    shine = rng.uniform(0, 0.25) * (rng.random() < 0.4)
    tint = rng.uniform(0.7, 1.3) * np.exp(0.05 * rng.standard_normal(3))
    seen = (colour * light[..., None] + shine * gloss[..., None]) * tint
    pixels = np.clip(seen, 0, 1) ** (1 / 2.2)
    if rng.random() < 0.3:  # a telephone's: blurred, noisy, of low contrast
        pixels = np.stack([blur(channel, rng.uniform(0.4, 1.2)) for channel in np.moveaxis(pixels, -1, 0)], -1)
        pixels = rng.uniform(0, 0.15) + pixels * rng.uniform(0.6, 0.85)
        pixels = pixels + rng.uniform(0, 0.03) * rng.standard_normal(pixels.shape)
    return (255 * pixels).round().clip(0, 255).astype(np.uint8)
