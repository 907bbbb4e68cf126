"""Draws the default exemplar: a paving of rounded natural stones, laid in courses in sand.

    python samples/draw_stones.py [--seed 7] [--size 512] [--out samples/stones.png]

A small render: stones' sites -> distance to their borders -> height and colour -> light. Lengths are in
pixels and none depends on the picture's size, so that a larger picture shows more stones, not larger ones.
Nothing varies across the picture as a whole: the texture is stationary.
"""
import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 7
PITCH, ASPECT = 36, 1.15    # mean distance of neighbouring stones; how much wider than high they lie
RADII = (6, 10)             # radii of the power diagram: a wider range makes stone sizes more uneven
JITTER = 0.15               # of the stones about their places in the courses, in PITCH: 0 is a regular grid
JOINT = (1.5, 4.5)          # least width of the joints (mortar then climbs the stones' rounded edges)
MARGIN = 48                 # drawn all around and cropped, so that blurs and shadows have no border
SUN = np.array((-0.57, -0.51, 0.67), np.float32)        # towards the light: x right, y down, z to the viewer
SUN /= np.linalg.norm(SUN)
SUN_COLOUR, SKY_COLOUR = (1.22, 1.14, 1.02), (0.36, 0.40, 0.46)
# One row per kind of stone: share, sRGB colour, then strength of speckle, veins, bedding and pits.
KINDS = np.array([
    (0.32, 154, 147, 136, 0.6, 0.4, 0.5, 0.8),          # warm grey limestone
    (0.19, 168, 146, 114, 0.5, 0.2, 1.2, 0.7),          # ochre sandstone
    (0.19, 132, 112, 94, 0.6, 0.3, 1.0, 0.6),           # brown sandstone
    (0.17, 138, 136, 132, 1.6, 0.7, 0.2, 0.4),          # granite
    (0.13, 106, 109, 112, 0.4, 0.7, 1.3, 0.3)])         # bluish slate
MORTAR, MOSS, LICHEN = (172, 158, 134), (84, 92, 50), (176, 174, 156)


def linear(srgb):
    """sRGB 0..255 to linear light 0..1."""
    return (np.asarray(srgb, np.float32) / 255) ** 2.2


def step(low, high, x):
    """Smooth step: 0 at low, 1 at high (low may be the larger one)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, t):
    """Colours a to b, [H, W, 3] or [3], by t [H, W]."""
    return a + t[..., None] * (b - a)


def blur(a, radius):
    """[H, W] averaged twice over squares of side 2 * radius + 1, edges repeated."""
    width = 2 * radius + 1
    for _ in range(4):          # rows and columns in turn
        total = np.cumsum(np.pad(a, ((radius + 1, radius), (0, 0)), "edge"), 0, dtype=np.float64)
        a = ((total[width:] - total[:-width]) / width).astype(np.float32).T
    return a


class Noise:
    """Gradient noise at arbitrary points, about -1 to 1; every call gives a field of its own."""

    def __init__(self, rng, period=1024):       # cells until it repeats: a power of 2
        angle = rng.uniform(0, 2 * np.pi, (period, period)).astype(np.float32)
        self.gx, self.gy, self.mask, self.rng = np.cos(angle), np.sin(angle), period - 1, rng

    def octave(self, x, y):
        """Noise with cells of unit size at float32 points x, y of equal shape."""
        i, j = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        fx, fy = x - i.astype(np.float32), y - j.astype(np.float32)

        def corner(a, b):
            at = (j + b) & self.mask, (i + a) & self.mask
            return self.gx[at] * (fx - a) + self.gy[at] * (fy - b)

        u, v = (t * t * t * (t * (t * 6 - 15) + 10) for t in (fx, fy))
        low, high = (corner(0, b) * (1 - u) + corner(1, b) * u for b in (0, 1))
        return 1.6 * (low * (1 - v) + high * v)

    def __call__(self, x, y, cell, octaves=1, gain=0.5):
        """Octaves from `cell` px downwards, turned against each other to hide the lattice."""
        total = 0
        for k in range(octaves):
            a, dx, dy = self.rng.uniform(0, 1000, 3).astype(np.float32)
            c, s = np.cos(a) * 2 ** k / cell, np.sin(a) * 2 ** k / cell
            total = total + gain ** k * self.octave(c * x - s * y + dx, s * x + c * y + dy)
        return total


def place_stones(height, width, rng):
    """Jittered courses, some way beyond the picture -> sites [N, 2] as (x, y), power weights [N]."""
    row, col = np.mgrid[-2:height / PITCH + 2, -2:width / PITCH / ASPECT + 2].reshape(2, -1)
    sites = np.stack((col + 0.5 * (row % 2), row), 1) + rng.uniform(-JITTER, JITTER, (row.size, 2))
    return sites * (PITCH * ASPECT, PITCH), rng.uniform(*RADII, row.size) ** 2


def outline(height, width, sites, weights, rng, noise):
    """-> owner [H, W]: index of the nearest stone; inside [H, W]: px from its border, < 0 in the joints.

    Every stone is a rounded polygon bent by its own piece of noise: the two sides of a joint do not run
    parallel, which is what tells laid stones from a cracked plane.
    """
    reach, size = int(1.3 * PITCH), 1024
    best, second = np.full((2, height, width), -99, np.float32)
    owner = np.zeros((height, width), np.int32)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bend_x, bend_y = (4 * noise(x, y, 26, 5, 0.55) for _ in range(2))
    for n, (cx, cy) in enumerate(sites):
        x0, x1 = np.clip((int(cx) - reach, int(cx) + reach), 0, width)
        y0, y1 = np.clip((int(cy) - reach, int(cy) + reach), 0, height)
        view, (oy, ox) = np.s_[y0:y1, x0:x1], rng.integers(0, size - 2 * reach, 2)
        piece = np.s_[oy:oy + y1 - y0, ox:ox + x1 - x0]
        px = bend_x[piece] + (np.arange(x0, x1) - cx).astype(np.float32)
        py = bend_y[piece] + (np.arange(y0, y1) - cy).astype(np.float32)[:, None]
        soft, total = rng.uniform(1.5, 5), 0        # a smooth minimum over the sides rounds the corners
        away = np.hypot(*(sites - (cx, cy)).T)
        for m in np.flatnonzero((away > 0) & (away < 2.4 * PITCH)):
            ux, uy = ((sites[m] - (cx, cy)) / away[m] / soft).tolist()
            side = (away[m] ** 2 + weights[n] - weights[m]) / (2 * away[m] * soft)
            total = total + np.exp(ux * px + uy * py - float(side))
        inside = -soft * np.log(total) - rng.uniform(*JOINT) / 2
        second[view] = np.maximum(second[view], np.minimum(best[view], inside))
        owner[view] = np.where(inside > best[view], n, owner[view])
        best[view] = np.maximum(best[view], inside)
    return owner, np.minimum(best, (best - second) / 2 - 0.5)


def stones(x, y, owner, inside, sites, rng, noise):
    """The stones alone -> height [H, W] in px, colour [H, W, 3] in linear light, gloss [H, W]."""
    count = len(sites)
    kind = KINDS[rng.choice(len(KINDS), count, p=KINDS[:, 0] / KINDS[:, 0].sum())]
    warmth = rng.uniform(-3, 8, (count, 1)) * (1, 0.1, -1)
    base = linear(kind[:, 1:4] * rng.uniform(0.8, 1.17, (count, 1)) + warmth)[owner]
    speckle, veins, bedding, pits = kind[:, 4:].T.astype(np.float32)[:, owner]

    def each(low, high):
        return rng.uniform(low, high, count).astype(np.float32)[owner]

    # Every stone has its own frame: u along its grain, v across, far from the frames of the others.
    dx, dy = (a - c.astype(np.float32)[owner] for a, c in ((x, sites[:, 0]), (y, sites[:, 1])))
    angle = each(-0.5, 0.5) + 1.3 * (each(0, 1) < 0.25)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    u, v = cos * dx + sin * dy + each(0, 20000), cos * dy - sin * dx + each(0, 20000)
    v += 3 * noise(u, v, 28, 2)

    chipped = inside - 2.5 * step(0.25, 0.7, noise(x, y, 13, 3))
    rim = np.clip(chipped / each(7, 15), 0, 1)
    layers = bedding * noise(u / 7, v, 5.5, 3, 0.6)
    grain = noise(x, y, 3.5, 2, 0.8)
    pit = pits * step(0.35, 0.7, noise(u, v, 5, 2))
    facets = 1.5 - 3.5 * np.abs(noise(u, v, 44, 3, 0.35))
    relief = facets + 1.3 * noise(u, v, 20, 4, 0.55) + 0.9 * layers + 0.4 * grain
    height = each(8, 13) * np.sqrt(1 - (1 - rim) ** 2) + np.minimum(chipped, 0)
    height += rim * (each(-0.07, 0.07) * dx + each(-0.07, 0.07) * dy)       # not laid quite level
    height += each(0.35, 1.3) * relief - 1.1 * pit                          # river-worn to freshly broken

    tone = 1 + 0.24 * noise(u, v, 26, 4, 0.6) + 0.12 * layers + 0.15 * grain - 0.25 * pit
    tone += speckle * 0.35 * (step(0.45, 0.7, noise(x, y, 2.8)) - step(0.4, 0.7, noise(x, y, 3.2)))
    tint = 0.06 * noise(u, v, 34, 3)
    vein = veins * step(0.05, 0, np.abs(noise(u / 5, v, 24, 3, 0.35))) * step(0, 0.5, noise(u, v, 40, 2))
    lichen = step(0.5, 0.9, noise(x, y, 17, 4, 0.65)) * each(-0.6, 0.8).clip(0)
    colour = base * np.stack((tone + tint, tone, tone - 1.3 * tint), -1)
    colour = mix(mix(colour, linear((205, 198, 186)), 0.6 * vein), linear(LICHEN), lichen)
    return height, colour, each(0.3, 1)


def surface(x, y, owner, inside, sites, rng, noise):
    """Stones, mortar around their feet, moss in places -> height, colour, gloss as in stones()."""
    height, colour, gloss = stones(x, y, owner, inside, sites, rng, noise)
    fine = rng.standard_normal(x.shape).astype(np.float32)
    sand, lumps = noise(x, y, 2.6, 2, 0.7), noise(x, y, 22, 3)
    mortar = 1.2 + 1.3 * lumps + 0.7 * sand + 0.9 * step(0.35, 0.6, noise(x, y, 4.5))       # px, as height
    tone = 1 + 0.2 * lumps + 0.18 * sand + 0.09 * fine - 0.4 * step(0.5, 0.7, noise(x, y, 3))
    cover = step(-0.7, 0.7, height - mortar)
    dust = 0.4 * step(4, 0, inside + 2 * sand)
    colour = mix(linear(MORTAR) * tone[..., None], colour * (1 + 0.05 * fine[..., None]), cover * (1 - dust))
    moss = step(0.25, 0.75, noise(x, y, 60, 4, 0.6) + 0.25 * sand) * step(5, -1, inside)
    colour = mix(colour, linear(MOSS) * (1 + 0.5 * sand + 0.2 * fine)[..., None], 0.85 * moss)
    height = np.maximum(height, mortar) + moss * (0.7 + 0.9 * sand) + 0.12 * fine
    return height, np.clip(colour, 0.015, 0.85), gloss * cover * (1 - moss)


def light(height, colour, gloss):
    """Sun with soft shadows, sky dimmed in hollows, faint gloss -> linear light [H, W, 3]."""
    gy, gx = np.gradient(height)
    normal = np.stack((-gx, -gy, np.ones_like(gx)), -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    half = (SUN + (0, 0, 1)) / np.linalg.norm(SUN + (0, 0, 1))      # between the sun and the viewer
    flat = np.hypot(SUN[0], SUN[1])
    blocked = np.full_like(height, -99)         # px by which the ground hides the sun
    for k in range(1, 12):
        shift = -round(k * SUN[1] / flat), -round(k * SUN[0] / flat)
        blocked = np.maximum(blocked, np.roll(height, shift, (0, 1)) - k * SUN[2] / flat - height)
    sunlit = 1 - 0.85 * step(-0.6, 1.2, blur(blocked, 1))
    hollow = sum(np.clip(blur(height, radius) - height, 0, None) for radius in (2, 5, 11))
    sky = np.exp(-0.11 * hollow)[..., None]
    sun = (sunlit * np.clip((normal * SUN).sum(-1), 0, None))[..., None]
    shine = 0.05 * gloss * sunlit * np.clip((normal * half).sum(-1), 0, None) ** 24
    return colour * (sun * SUN_COLOUR + sky * SKY_COLOUR) * (0.4 + 0.6 * sky) + shine[..., None]


def draw(height, width, seed=SEED):
    """The texture as uint8 [height, width, 3]; the same arguments give the same bytes."""
    rng = np.random.default_rng(seed)
    noise, inner = Noise(rng), np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    h, w = height + 2 * MARGIN, width + 2 * MARGIN
    y, x = np.mgrid[:h, :w].astype(np.float32)
    sites, weights = place_stones(h, w, rng)
    owner, inside = outline(h, w, sites, weights, rng, noise)
    lit = light(*surface(x, y, owner, inside, sites, rng, noise))[inner]
    srgb = 255 * (1 - np.exp(-1.25 * lit)) ** (1 / 2.2)     # the shoulder of film: no clipped whites
    return np.clip(np.rint(srgb + rng.normal(0, 2, srgb.shape)), 0, 255).astype(np.uint8)   # sensor's grain


def main():
    """The command line: one square picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--size", type=int, default=512, help="side of the picture in px")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("stones.png"))
    args = parser.parse_args()
    Image.fromarray(draw(args.size, args.size, args.seed)).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
