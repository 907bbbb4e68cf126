"""Four styles and a few scenes for restyle.py, drawn when nobody gives others."""

import numpy as np
from common import need
from PIL import Image, ImageDraw, ImageFilter

SIDE = 384  # of a style's picture, pixels


def draw_content(rng, width=SIDE, height=SIDE):
    """Patches of colour with soft and hard edges, as photos have, uint8 [height, width, 3]."""
    small = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, r, angles = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, 60), rng.uniform(0, 6.28, 6)
        corners = [(x + r * np.cos(a), y + r * rng.uniform(0.4, 1) * np.sin(a)) for a in np.sort(angles)]
        pen.polygon(corners, fill=tuple(int(level) for level in rng.integers(0, 256, 3)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)))


def mosaic(content, rng):
    """Stones of one colour each in grey mortar."""
    height, width = content.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(5, height + 5, 10), np.arange(5, width + 5, 10), indexing="ij"), -1)
    centres = grid.reshape(-1, 2) + rng.uniform(-3, 3, (grid.size // 2, 2))
    near, second, which = nearest_two(centres, height, width)
    at = centres.round().astype(int).clip(0, [height - 1, width - 1])
    stones = content[at[:, 0], at[:, 1]][which] + rng.normal(0, 10, len(centres))[which][..., None]
    return np.where((second - near < 2.2)[..., None], 165 + rng.normal(0, 6, (height, width, 1)), stones)


def nearest_two(centres, height, width):
    """Distances of each pixel to its two nearest centres, and which is the nearest, three arrays [height, width]."""
    neighbors = need("scipy.spatial", "scipy")
    places = np.stack(np.mgrid[:height, :width], -1)
    distance, which = neighbors.cKDTree(centres).query(places, 2)
    return distance[..., 0], distance[..., 1], which[..., 0]


def strokes(content, rng):
    """Short thick strokes of a brush, lying across the change of brightness."""
    height, width = content.shape[:2]
    gy, gx = np.gradient(np.asarray(Image.fromarray(content).convert("L").filter(ImageFilter.GaussianBlur(6)), float))
    image = Image.fromarray(content)
    pen = ImageDraw.Draw(image)
    for _ in range(height * width // 25):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        angle = np.arctan2(gx[y, x], -gy[y, x]) + rng.normal(0, 0.2)
        dx, dy = 8 * np.cos(angle), 8 * np.sin(angle)
        colour = tuple(int(level) for level in (content[y, x] + rng.normal(0, 14)).clip(0, 255))
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=int(rng.integers(3, 5)))
    return np.asarray(image, float)


def halftone(content, rng):
    """Dots on a slanted screen, the larger the darker, on cream paper."""
    y, x = np.mgrid[:content.shape[0], :content.shape[1]]
    screen = np.cos((x + y) * 2 * np.pi / 9) + np.cos((x - y) * 2 * np.pi / 9)  # -2 to 2
    dark = 1 - content.mean(-1) / 255
    ink = 1 / (1 + np.exp(-4 * (screen - 2 + 4 * (0.15 + 0.7 * dark))))
    colour = content * 0.75
    return np.array([250, 243, 224]) * (1 - ink[..., None]) + colour * ink[..., None]


def stitches(content, rng):
    """Crosses of thread on linen."""
    (height, width), cell = content.shape[:2], 8
    y, x = np.mgrid[:height, :width]
    middle_y, middle_x = ((at // cell * cell + 4).clip(max=side - 1) for at, side in ((y, height), (x, width)))
    colour, u, v = content[middle_y, middle_x], x % cell - 3.5, y % cell - 3.5
    rising, falling = np.abs(u + v), np.abs(u - v)
    light = np.where(falling < 1.6, 1.05 - 0.12 * falling, np.where(rising < 1.6, 0.85 - 0.12 * rising, 0))[..., None]
    linen = 205 + 12 * np.sin(x * np.pi / 2) * np.sin(y * np.pi / 2)
    return np.where(light > 0, colour * light, linen[..., None] * 0.9) + rng.normal(0, 3, (*x.shape, 1))


STYLES = {"mosaic": mosaic, "strokes": strokes, "halftone": halftone, "stitches": stitches}


def draw_styles(seed=0):
    """{name: uint8 [384, 384, 3]} of STYLES, each of another content."""
    rng = np.random.default_rng(seed)
    return {name: style(draw_content(rng), rng).round().clip(0, 255).astype(np.uint8) for name, style in STYLES.items()}


def draw_scene(seed):
    """A landscape with sun, hills, a house and trees, uint8 [256, 320, 3]."""
    rng, width, height = np.random.default_rng(seed), 320, 256
    day, evening = ([90, 150, 225], [235, 215, 190]), ([60, 60, 120], [250, 150, 90])
    sky = np.linspace(*(day if seed % 2 else evening), height)
    image = Image.fromarray(np.repeat(sky[:, None], width, 1).astype(np.uint8))
    pen, x, y = ImageDraw.Draw(image), rng.uniform(40, 280), rng.uniform(30, 90)
    pen.ellipse((x - 22, y - 22, x + 22, y + 22), fill=(255, 240, 190))
    for k, green in enumerate(((120, 150, 130), (85, 140, 75), (60, 110, 50))):
        ridge = 130 + 35 * k + 18 * np.sin(np.arange(0, width + 1, 8) / rng.uniform(22, 50) + rng.uniform(0, 6))
        pen.polygon([(0, height), *zip(range(0, width + 1, 8), ridge), (width, height)], fill=green)
    x, y = rng.uniform(60, 220), 178
    pen.rectangle((x, y, x + 52, y + 40), fill=(225, 205, 175))
    pen.polygon([(x - 8, y), (x + 26, y - 30), (x + 60, y)], fill=(165, 65, 50))
    pen.rectangle((x + 20, y + 16, x + 32, y + 40), fill=(95, 60, 40))
    for _ in range(4):
        x, y, r = rng.uniform(10, 310), rng.uniform(190, 235), rng.uniform(12, 22)
        pen.rectangle((x - 3, y, x + 3, y + 18), fill=(90, 62, 40))
        pen.ellipse((x - r, y - 1.6 * r, x + r, y + 4), fill=(40, int(rng.uniform(85, 125)), 50))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))
