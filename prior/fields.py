"""Fields that materials are made of: noise, cells, stamps, light. All are periodic, [side, side], float64."""

import numpy as np


def pixels(side):
    """Rows and columns of the pixels' middles, two fields [side, 1] and [1, side]."""
    line = np.arange(side) + 0.5
    return line[:, None], line[None]


def noise(rng, side, size, falloff=2.0, stretch=1.0, angle=0.0):
    """Fractal noise with mean 0 and deviation 1 by filtering white noise (Saupe 1988).

    size: of the largest structure in pixels; falloff: of the amplitude with frequency, 1 rough to 3 smooth;
    stretch: how much longer it is along the angle (radians) than across.
    """
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    frequency = np.hypot(along * stretch, across) * size
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / (1 + frequency**2) ** (falloff / 2)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (side, side))
    return field / field.std()


def blur(field, sigma):
    """A field averaged by a Gaussian of a deviation in pixels."""
    fy, fx = np.fft.fftfreq(len(field))[:, None], np.fft.rfftfreq(len(field))[None]
    gauss = np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2))
    return np.fft.irfft2(np.fft.rfft2(field) * gauss, field.shape)


def warp(field, down, right):
    """A field [side, side] or [side, side, C] looked up so many pixels away, bilinearly."""
    side = len(field)
    y, x = np.arange(side)[:, None] + down, np.arange(side)[None] + right
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - top, x - left
    if field.ndim == 3:
        fy, fx = fy[..., None], fx[..., None]
    rows, columns = (top % side, (top + 1) % side), (left % side, (left + 1) % side)
    upper, lower = (field[row, columns[0]] * (1 - fx) + field[row, columns[1]] * fx for row in rows)
    return upper * (1 - fy) + lower * fy


def step(low, high, x):
    """Smooth step from 0 at low to 1 at high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, share):
    """Colours or fields from a to b by a share [side, side] from 0 to 1."""
    share = np.asarray(share)
    if np.ndim(a) and np.shape(a)[-1] == 3 or np.ndim(b) and np.shape(b)[-1] == 3:
        share = share[..., None]
    return a + share * (np.asarray(b) - a)


def ramp(share, colours):
    """Colours [N, 3] at a share [side, side] from 0 to 1 of the way through them."""
    places = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, places, channel) for channel in np.transpose(colours)], -1)


class Cells:
    """Voronoi cells around the points of a jittered grid (Worley 1996), as fields.

    number: of the nearest point; first, edge: distance to it and to the cell's border in pixels; down, right: the
    way from it.
    """

    def __init__(self, rng, side, pitch, jitter=0.8, aspect=1.0, shift=0.0):
        rows, columns = (max(2, 2 * round(side / size / 2)) for size in (pitch, pitch * aspect))
        self.count, high, wide = rows * columns, side / rows, side / columns
        offset = rng.uniform(-0.5, 0.5, (2, rows, columns)) * jitter
        y, x = pixels(side)
        row, column = (y // high).astype(int), (x // wide).astype(int)
        found = []
        for i in range(-2, 3):
            for j in range(-2, 3):
                here, there = row + i + 0 * column, column + j + 0 * row
                at = here % rows, there % columns
                down = y - (here + 0.5 + offset[0][at]) * high
                right = x - (there + 0.5 + offset[1][at] + shift * (here % 2)) * wide
                found.append((down, right, at[0] * columns + at[1]))
        downs, rights, numbers = (np.stack(part) for part in zip(*found))
        distances = downs**2 + rights**2
        nearest = distances.argmin(0)[None]
        self.down, self.right, self.number = (np.take_along_axis(part, nearest, 0)[0]
                                              for part in (downs, rights, numbers))
        squared = np.take_along_axis(distances, nearest, 0)
        self.first = np.sqrt(squared[0])
        between = np.hypot(downs - self.down, rights - self.right)  # from the nearest point to each other one
        between[np.arange(len(found))[:, None, None] == nearest] = np.inf
        self.edge = ((distances - squared) / (2 * np.maximum(between, 1e-9))).min(0, where=np.isfinite(between),
                                                                                 initial=np.inf)

    def values(self, rng, low=0.0, high=1.0):
        """A random number for each cell, as a field."""
        return rng.uniform(low, high, self.count)[self.number]

    def colours(self, rng, choices, spread=0.05):
        """For each cell one of the colours [N, 3], a little brighter or darker."""
        chosen = np.asarray(choices)[rng.integers(len(choices), size=self.count)]
        return (chosen * (1 + spread * rng.standard_normal((self.count, 1))))[self.number]


def stamp(height, colour, y, x, patch, paint, cover):
    """Put a patch of height [h, w], painted [3] or [h, w, 3], around y, x where it covers, 0 to 1; in place."""
    side, (rows, columns) = len(height), patch.shape
    at = np.ix_((np.arange(rows) + int(y) - rows // 2) % side, (np.arange(columns) + int(x) - columns // 2) % side)
    height[at] += cover * (patch - height[at])
    colour[at] += cover[..., None] * (paint - colour[at])


def disc(radius, aspect=1.0, angle=0.0):
    """For a stamp: the distance from its middle over the radius, [h, w], and the two coordinates, along and across."""
    reach = int(np.ceil(radius * max(1, aspect))) + 1
    line = np.arange(-reach, reach + 1)
    along = line[None] * np.cos(angle) + line[:, None] * np.sin(angle)
    across = line[:, None] * np.cos(angle) - line[None] * np.sin(angle)
    return np.hypot(along / (radius * aspect), across / radius), along, across


def shade(height, rng, depth=1.0):
    """How bright a surface of a height in pixels is under a sun and a sky, about 1, and the sun's gloss on it, 0 to 1
    (Lambert; Blinn 1977); depth: how much of the height is believed."""
    down, right = (np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (0, 1))
    normal = np.stack([-right * depth / 2, -down * depth / 2, np.ones_like(height)])
    normal /= np.linalg.norm(normal, axis=0)
    turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    sun = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
    light = np.clip(np.einsum("c,cyx->yx", sun, normal), 0, None) / sun[2]
    half = sun + [0, 0, 1]
    gloss = np.clip(np.einsum("c,cyx->yx", half / np.linalg.norm(half), normal), 0, 1) ** 40
    open_sky = 1 - 0.5 * np.tanh(depth * (blur(height, 4) - height) / 4).clip(0)
    return (0.65 * light + 0.35) * open_sky, gloss
