"""The kinds of material: each function draws the height in pixels, [side, side], and the colour in linear light,
[side, side, 3], of a material with random parameters. All wrap around.
"""

import numpy as np

from .fields import Cells, blur, disc, mix, noise, pixels, ramp, stamp, step, warp

KINDS = {}


def kind(draw):
    """Enter a function among the kinds."""
    KINDS[draw.__name__] = draw
    return draw


def rgb(*levels):
    """A colour of 0 to 255 in linear light; or several, six numbers or more."""
    colours = (np.array(levels, float).reshape(-1, 3) / 255) ** 2.2
    return colours[0] if len(levels) == 3 else colours


def tinted(rng, colours, spread=0.15):
    """Colours with brightness and hue moved at random, all by the same."""
    return np.clip(np.asarray(colours) * np.exp(spread * rng.standard_normal()) *
                   np.exp(0.5 * spread * rng.standard_normal(3)), 0, 1)


def any_colour(rng, low=0.05, high=0.7):
    """A colour with a hue at random, more grey than not."""
    grey, hue = rng.uniform(low, high), rng.random(3)
    return np.clip(grey * (1 + rng.uniform(0, 1.2) * (hue - hue.mean())), 0.01, 1)


def flat(side, colour):
    """One colour everywhere."""
    return np.broadcast_to(np.asarray(colour, float), (side, side, 3)).copy()


def divisor(side, size):
    """How many parts of about a size fill the side: an even number."""
    return max(2, 2 * round(side / size / 2))


# ---------------------------------------------------------------------------------------------
# Laid: bricks, tiles, wood
# ---------------------------------------------------------------------------------------------


def blocks(rng, side, down, right, number, joint, colours, round_by=3.0, rough=1.0):
    """Blocks from the distances to their sides, down and right, and their number, in mortar."""
    bend = noise(rng, side, 20) * rng.uniform(0, 1)
    inside = np.minimum(down, right) + bend - joint / 2
    body = step(0, round_by, inside)
    count = int(number.max()) + 1
    chosen = np.asarray(colours)[rng.integers(len(colours), size=count)] * \
        np.exp(rng.uniform(0.02, 0.2) * rng.standard_normal((count, 1)))
    lift = rng.uniform(0, 1.5) * rng.random(count)[number]
    grain = noise(rng, side, rng.uniform(4, 16), 1.2)
    height = body * (3 + lift + rough * 0.4 * grain) + (1 - body) * 0.4 * noise(rng, side, 4, 1)
    mortar = flat(side, tinted(rng, rgb(150, 142, 130), 0.3)) * (1 + 0.1 * noise(rng, side, 6, 1))[..., None]
    return height, mix(mortar, chosen[number] * (1 + 0.08 * grain)[..., None], body)


def courses(rng, side, pitch, aspect, shift):
    """Rows of bricks: distance to the upper or lower side, to the left or right one, number."""
    rows, columns = divisor(side, pitch), divisor(side, pitch * aspect)
    y, x = pixels(side)
    row, inside_y = np.divmod(y, side / rows)
    column, inside_x = np.divmod((x + shift * (row % 2) * side / columns) % side, side / columns)
    number = (row * columns + column).astype(int)
    return (np.minimum(inside_y, side / rows - inside_y) + 0 * x, np.minimum(inside_x, side / columns - inside_x),
            number)


BRICKS = rgb(150, 72, 52, 168, 92, 66, 130, 60, 48, 178, 110, 84)
GREYS = rgb(120, 118, 114, 146, 142, 134, 98, 98, 100, 160, 152, 138)


@kind
def brick_running(rng, side):
    return blocks(rng, side, *courses(rng, side, rng.uniform(14, 30), rng.uniform(2, 3.5), rng.choice([0.5, 0.33])),
                  rng.uniform(2, 6), tinted(rng, BRICKS))


@kind
def brick_stack(rng, side):
    return blocks(rng, side, *courses(rng, side, rng.uniform(14, 30), rng.uniform(2, 3.5), 0), rng.uniform(1, 5),
                  tinted(rng, [BRICKS, GREYS][rng.integers(2)]))


@kind
def brick_flemish(rng, side):
    """Long and short bricks in turn, each short one over the middle of a long one."""
    pitch = rng.uniform(14, 26)
    rows, pairs = divisor(side, pitch), divisor(side, pitch * 3.6)
    y, x = pixels(side)
    row, inside_y = np.divmod(y, side / rows)
    wide = side / pairs
    pair, inside = np.divmod((x + (row % 2) * wide / 2) % side, wide)
    short = inside > wide * 2 / 3
    left = np.where(short, inside - wide * 2 / 3, inside)
    right = np.where(short, wide - inside, wide * 2 / 3 - inside)
    down = np.minimum(inside_y, side / rows - inside_y) + 0 * x
    number = (2 * (row * pairs + pair) + short).astype(int)
    return blocks(rng, side, down, np.minimum(left, right), number, rng.uniform(2, 5), tinted(rng, BRICKS))


@kind
def herringbone(rng, side):
    """Planks 2 to 1, laid in steps: a cell of the diagonal pattern says to which it belongs."""
    cells = 4 * max(2, round(side / rng.uniform(12, 26) / 4))
    size = side / cells
    y, x = pixels(side)
    i, j = np.floor(y / size).astype(int), np.floor(x / size).astype(int)
    phase = (i + j) % 4  # 0, 1: left and right half of a lying one; 2, 3: of a standing one
    step_in = (j - i) % 4
    lying = step_in < 2
    u, v = x - j * size, y - i * size
    first = (step_in % 2 == 0)
    across = np.where(lying, np.minimum(v, size - v), np.minimum(u, size - u))
    along = np.where(lying, np.where(first, u, size - u), np.where(first, size - v, v))
    anchor_i = np.where(lying, i, np.where(first, i, i + 1)) % cells
    anchor_j = np.where(lying & ~first, j - 1, j) % cells
    number = (2 * (anchor_i * cells + anchor_j) + lying + 0 * phase).astype(int)
    return blocks(rng, side, across, along, number, rng.uniform(1, 4), tinted(rng, [BRICKS, GREYS][rng.integers(2)]))


@kind
def basket_weave(rng, side):
    """Squares of parallel bricks, turned by a quarter from one to the next."""
    squares, bricks = divisor(side, rng.uniform(40, 80)), int(rng.integers(2, 4))
    size = side / squares
    y, x = pixels(side)
    i, j = np.floor(y / size).astype(int), np.floor(x / size).astype(int)
    turned = (i + j) % 2 == 1
    u, v = np.where(turned, y - i * size, x - j * size), np.where(turned, x - j * size, y - i * size)
    k, inside = np.divmod(v, size / bricks)
    number = ((i * squares + j) * bricks + k).astype(int)
    return blocks(rng, side, np.minimum(inside, size / bricks - inside), np.minimum(u, size - u), number,
                  rng.uniform(1, 4), tinted(rng, BRICKS))


@kind
def square_tiles(rng, side):
    height, colour = blocks(rng, side, *courses(rng, side, rng.uniform(30, 70), 1, 0), rng.uniform(1, 4),
                            [any_colour(rng, 0.2, 0.8) for _ in range(rng.integers(1, 4))], 2, 0.2)
    return height, colour * (1 + 0.05 * noise(rng, side, 60, 2))[..., None]


@kind
def hexagon_tiles(rng, side):
    cells = Cells(rng, side, rng.uniform(20, 50), 0, 1.155, 0.5)
    body = step(1, 3, cells.edge)
    colour = cells.colours(rng, [any_colour(rng, 0.1, 0.8) for _ in range(rng.integers(1, 4))], 0.06)
    return 2 * body, mix(flat(side, any_colour(rng)), colour, body)


@kind
def ashlar(rng, side):
    """Blocks of many widths in rows of many heights."""
    heights = rng.uniform(0.6, 1.4, divisor(side, rng.uniform(24, 44)))
    rows = np.concatenate([[0], np.cumsum(heights) / heights.sum() * side])
    y, x = pixels(side)
    down, right = np.zeros((side, side)), np.zeros((side, side))
    number = np.zeros((side, side), int)
    for k, (top, bottom) in enumerate(zip(rows, rows[1:])):
        widths = rng.uniform(0.5, 1.6, divisor(side, rng.uniform(40, 90)))
        ends = np.concatenate([[0], np.cumsum(widths) / widths.sum() * side])
        at = (x[0] + rng.uniform(0, side)) % side
        which = np.searchsorted(ends, at, "right") - 1
        here = slice(int(np.ceil(top - 0.5)), int(np.ceil(bottom - 0.5)))
        line = y[here]
        down[here] = np.minimum(line - top, bottom - line)
        right[here] = np.minimum(at - ends[which], ends[which + 1] - at)
        number[here] = 40 * k + which
    return blocks(rng, side, down, right, number, rng.uniform(2, 5), tinted(rng, GREYS, 0.25), 4, 2)


@kind
def roof_tiles(rng, side):
    """Rows of rounded tiles, each over the joint of two below."""
    pitch = rng.uniform(20, 44)
    rows, columns = divisor(side, pitch), divisor(side, pitch * rng.uniform(0.8, 1.3))
    high, wide = side / rows, side / columns
    y, x = pixels(side)
    height, number = np.full((side, side), -9.0), np.zeros((side, side), int)
    for back in (1, 0):
        row = np.floor(y / high) - back
        inside_y = y - row * high
        column, inside_x = np.divmod((x + (row % 2) * wide / 2) % side, wide)
        end = high * (1 + 0.6 * np.sqrt(np.clip(1 - (2 * inside_x / wide - 1) ** 2, 0, 1)))
        tile = inside_y / high * 3 - np.abs(2 * inside_x / wide - 1) ** 4
        over = (inside_y < end) & (tile > height)
        height, number = np.where(over, tile, height), np.where(over, row % rows * columns + column, number).astype(int)
    colours = tinted(rng, [BRICKS, GREYS][rng.integers(2)])
    chosen = colours[rng.integers(len(colours), size=number.max() + 1)][number]
    return height + 0.2 * noise(rng, side, 5, 1), chosen * (1 + 0.08 * noise(rng, side, 12, 1.3))[..., None]


def wood(rng, side, stretch, size=None):
    """Grain that runs downwards: share of the way from light to dark, [side, side]."""
    rings = noise(rng, side, size or side / 2, 2.5, stretch, np.pi / 2) * rng.uniform(4, 9)
    fibre = noise(rng, side, 6, 1, 14, np.pi / 2)
    return np.clip(0.5 + 0.3 * np.sin(2 * np.pi * rings) + 0.16 * fibre, 0, 1)


WOODS = [rgb(196, 152, 104, 142, 98, 60), rgb(150, 108, 72, 84, 56, 36), rgb(214, 186, 146, 172, 136, 96),
         rgb(136, 124, 112, 84, 76, 70), rgb(122, 70, 46, 70, 38, 26)]


@kind
def wood_grain(rng, side):
    share = wood(rng, side, rng.uniform(4, 10))
    return 0.4 * share, ramp(share, tinted(rng, WOODS[rng.integers(len(WOODS))]))


@kind
def planks(rng, side):
    """Boards side by side, each of another part of the tree."""
    boards = divisor(side, rng.uniform(24, 64))
    wide, (y, x) = side / boards, pixels(side)
    board, inside = np.divmod(x + 0 * y, wide)
    grain = wood(rng, side, rng.uniform(5, 12))
    starts = rng.integers(0, side, boards)[board.astype(int)]
    share = np.take_along_axis(grain, ((y + starts).astype(int)) % side, 0)
    gap = step(0.5, 2.5, np.minimum(inside, wide - inside))
    tone = np.exp(0.15 * rng.standard_normal(boards))[board.astype(int)]
    colour = ramp(share, tinted(rng, WOODS[rng.integers(len(WOODS))])) * (tone * (0.15 + 0.85 * gap))[..., None]
    return 3 * gap + 0.3 * share, colour


@kind
def parquet(rng, side):
    """Squares of strips, turned by a quarter from one to the next."""
    squares, strips = divisor(side, rng.uniform(50, 100)), int(rng.integers(3, 6))
    size, (y, x) = side / squares, pixels(side)
    i, j = np.floor(y / size).astype(int), np.floor(x / size).astype(int)
    standing = (i + j) % 2 == 0
    across, along = np.where(standing, x - j * size, y - i * size), np.where(standing, y, x)
    k, inside = np.divmod(across, size / strips)
    number = ((i * squares + j) * strips + k).astype(int)
    grain = wood(rng, side, 8)
    row = (along + rng.integers(0, side, number.max() + 1)[number]).astype(int) % side
    column = (inside + 7 * number).astype(int) % side
    tone = np.exp(0.12 * rng.standard_normal(number.max() + 1))[number]
    edges = np.minimum(np.minimum(inside, size / strips - inside), np.minimum((along % size), size - along % size))
    gap = step(0, 1.5, edges)
    colour = ramp(grain[row, column], tinted(rng, WOODS[rng.integers(len(WOODS))]))
    return 2 * gap, colour * (tone * (0.3 + 0.7 * gap))[..., None]


# ---------------------------------------------------------------------------------------------
# Stones and earth
# ---------------------------------------------------------------------------------------------


@kind
def pebbles(rng, side):
    """Rounded stones of many sizes on one another."""
    height, colour = noise(rng, side, 6, 1), flat(side, tinted(rng, rgb(70, 62, 52)))
    tones, largest = tinted(rng, GREYS, 0.3), rng.uniform(8, 20)
    for k in range(int(2.2 * (side / largest) ** 2)):
        radius = largest * rng.uniform(0.35, 1) * (1 - 0.4 * (k > side))
        far, _, _ = disc(radius, rng.uniform(1, 1.7), rng.uniform(0, np.pi))
        dome = radius * 0.7 * np.sqrt(np.clip(1 - far**2, 0, 1)) + 0.02 * k ** 0.5
        paint = tones[rng.integers(len(tones))] * np.exp(0.25 * rng.standard_normal())
        stamp(height, colour, *rng.uniform(0, side, 2), dome, paint, step(1, 0.92, far))
    return height, colour * (1 + 0.08 * noise(rng, side, 5, 1))[..., None]


@kind
def cobbles(rng, side):
    cells = Cells(rng, side, rng.uniform(22, 50), rng.uniform(0.2, 0.6), rng.uniform(1, 1.4), 0.5)
    far = cells.edge + 1.2 * noise(rng, side, 18)
    body = step(1, rng.uniform(6, 12), far)
    colour = cells.colours(rng, tinted(rng, GREYS, 0.3), 0.15) * (1 + 0.1 * noise(rng, side, 8, 1))[..., None]
    ground = flat(side, tinted(rng, rgb(84, 74, 60)))
    return 7 * body + 0.4 * noise(rng, side, 8, 1), mix(ground, colour, step(0, 3, far))


def chips(rng, side, pitch, colours, tilt, jitter=1.0):
    """Angular stones: cells, each a plane with a slope of its own, higher in the middle."""
    cells = Cells(rng, side, pitch, jitter)
    slope = sum(cells.values(rng, -tilt, tilt) * way for way in (cells.down, cells.right))
    height = slope + cells.values(rng, 0, pitch * tilt) + np.minimum(cells.edge, pitch / 4)
    return height + 0.3 * noise(rng, side, 4, 1), cells.colours(rng, colours, 0.2)


@kind
def gravel(rng, side):
    height, colour = chips(rng, side, rng.uniform(7, 18), tinted(rng, GREYS, 0.3), 0.5)
    return height, colour * (1 + 0.1 * noise(rng, side, 3, 1))[..., None]


@kind
def sharp_gravel(rng, side):
    """Broken stones of all sizes with flat faces, one over another in a sun that stands low."""
    cells = [Cells(rng, side, pitch, 1.0) for pitch in rng.uniform(8, 30) / 1.7 ** np.arange(3)]
    colours, height, colour = tinted(rng, GREYS, 0.4), np.full((side, side), -np.inf), flat(side, (0, 0, 0))
    for layer in cells:
        slope = [layer.values(rng, -0.5, 0.5) for _ in range(2)]
        stone = layer.values(rng, 0, 12) + slope[0] * layer.down + slope[1] * layer.right
        stone = np.minimum(stone, stone - 1.5 + layer.edge) - 6 * (layer.edge < 0.7)
        above = stone > height
        colour = mix(colour, layer.colours(rng, colours, 0.2), above * 1.0)
        height = np.maximum(height, stone)

    # a stone lies in the shadow of what rises above the line to the sun
    turn, rise, lit = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2), np.ones((side, side))
    for far in range(1, 13):
        by = round(far * np.sin(turn)), round(far * np.cos(turn))
        lit -= (1 - rng.uniform(0.2, 0.4)) * lit * step(0, 1, np.roll(height, by, (0, 1)) - height - far * rise)
    return 0.5 * height, colour * (lit * (1 + 0.06 * noise(rng, side, 3, 1)))[..., None]


@kind
def sand(rng, side):
    grain = rng.standard_normal((side, side))
    ripples = noise(rng, side, rng.uniform(20, 60), 2.5, rng.uniform(1, 5), rng.uniform(0, np.pi))
    tones = tinted(rng, rgb(196, 172, 130, 226, 206, 168), 0.2)
    return rng.uniform(0, 3) * ripples + 0.4 * grain, ramp(np.clip(0.5 + 0.2 * grain + 0.1 * ripples, 0, 1), tones)


@kind
def soil(rng, side):
    clods, colour = chips(rng, side, rng.uniform(10, 24), tinted(rng, rgb(88, 66, 46, 64, 48, 34, 106, 82, 58)), 0.3)
    height = 0.6 * clods + 2 * noise(rng, side, 30, 1.2)
    return height, colour * np.exp(0.25 * noise(rng, side, 8, 0.9))[..., None]


@kind
def dry_wall(rng, side):
    cells = Cells(rng, side, rng.uniform(16, 28), 0.9, rng.uniform(1.6, 2.6), 0.5)
    far = cells.edge + 0.8 * noise(rng, side, 14)
    body = step(0.5, 4, far)
    rough = noise(rng, side, 12, 1.2, 2)
    colour = cells.colours(rng, tinted(rng, GREYS, 0.3), 0.2) * (1 + 0.12 * rough)[..., None]
    return body * (5 + cells.values(rng, 0, 4) + rough), colour * (0.15 + 0.85 * body)[..., None]


@kind
def cracked_mud(rng, side):
    cells, fine = Cells(rng, side, rng.uniform(26, 60), 1), Cells(rng, side, rng.uniform(12, 20), 1)
    far = np.minimum(cells.edge, 2 + fine.edge * rng.uniform(0.5, 3)) + 0.6 * noise(rng, side, 10)
    body = step(0.3, 3, far)
    height = 4 * body + 0.04 * cells.first * rng.uniform(0, 2) + 0.4 * noise(rng, side, 10, 1.1)
    return height, flat(side, tinted(rng, rgb(150, 124, 96), 0.3)) * (0.25 + 0.75 * body)[..., None] * \
        (1 + 0.08 * noise(rng, side, 20, 1))[..., None]


@kind
def granite(rng, side):
    cells = Cells(rng, side, rng.uniform(4, 10), 1)
    tones = tinted(rng, rgb(196, 186, 178, 150, 140, 134, 60, 58, 60, 172, 126, 108), 0.3)
    between = step(0.5, 1.5, noise(rng, side, 9))
    return 0.1 * cells.values(rng), mix(cells.colours(rng, tones, 0.1), flat(side, tones[0]), between)


@kind
def terrazzo(rng, side):
    ground = any_colour(rng, 0.3, 0.8)
    tones = [any_colour(rng, 0.05, 0.8) for _ in range(5)]
    colour, height = flat(side, ground), np.zeros((side, side))
    for pitch in rng.uniform(7, 30, 3):
        cells = Cells(rng, side, pitch, 1)
        chip = step(0.12, 0.2, cells.edge / pitch) * (cells.values(rng) < 0.45)
        colour = mix(colour, cells.colours(rng, tones, 0.1), chip)
    return height, colour * (1 + 0.03 * noise(rng, side, 3, 1))[..., None]


@kind
def marble(rng, side):
    bend = rng.uniform(10, 40)
    vein = warp(noise(rng, side, side / 3, 2.2), *(bend * noise(rng, side, side / 3, 2.5) for _ in range(2)))
    share = step(rng.uniform(0.1, 0.3), 0, np.abs(vein)) * (0.6 + 0.4 * np.tanh(noise(rng, side, side / 4)))
    tones = [rgb(232, 228, 222, 120, 122, 128), rgb(40, 44, 42, 190, 196, 188), rgb(206, 176, 148, 132, 84, 62)]
    ground = ramp(np.clip(share, 0, 1), tinted(rng, tones[rng.integers(3)], 0.1))
    return 0 * vein, ground * (1 + 0.05 * noise(rng, side, 50, 1.6))[..., None]


@kind
def asphalt(rng, side):
    height, stones = chips(rng, side, rng.uniform(5, 9), GREYS * 0.6, 0.3)
    tar = step(-0.3, 1.2, noise(rng, side, 5, 1))
    return height, mix(stones, flat(side, tinted(rng, rgb(58, 58, 60))), tar)


@kind
def travertine(rng, side):
    layers = noise(rng, side, side / 3, 1.8, 8) + 0.3 * noise(rng, side, 20)
    holes = step(1.3, 1.8, noise(rng, side, 14, 1.4, 3))
    colour = ramp(np.clip(0.5 + 0.25 * layers, 0, 1), tinted(rng, rgb(214, 194, 164, 178, 148, 112)))
    return -3 * holes, colour * (1 - 0.6 * holes)[..., None]


@kind
def slate(rng, side):
    layers = np.floor(noise(rng, side, 60, 1.7, 2) * rng.uniform(2, 5))
    return 1.5 * layers + 0.4 * noise(rng, side, 8, 1), \
        flat(side, tinted(rng, rgb(84, 90, 98), 0.3)) * (1 + 0.08 * noise(rng, side, 40, 1.2))[..., None]


# ---------------------------------------------------------------------------------------------
# What grows
# ---------------------------------------------------------------------------------------------


def blades(rng, side, count, length, width, tones, bend, lean=np.pi):
    """Thin curved things lying over one another: grass, needles, straw, fur."""
    height, colour = noise(rng, side, 10), flat(side, tones[0] * 0.3)
    main = rng.uniform(0, 2 * np.pi)
    for k in range(count):
        way, size = main + lean * rng.uniform(-1, 1), length * rng.uniform(0.5, 1)
        paint = tones[rng.integers(len(tones))] * np.exp(0.25 * rng.standard_normal())
        curve, reach = bend * rng.uniform(-1, 1), int(size / 2 + width) + 1
        line = np.arange(-reach, reach + 1)
        along = line[None] * np.cos(way) + line[:, None] * np.sin(way)
        across = line[:, None] * np.cos(way) - line[None] * np.sin(way) - curve * along**2 / size
        taper = width * np.sqrt(np.clip(1 - (2 * along / size) ** 2, 0, 1)) + 1e-6
        cover = step(1.0, -0.2, (np.abs(across) - taper) / 0.8) * (np.abs(along) < size / 2)
        stamp(height, colour, *rng.uniform(0, side, 2), 6 * k / count + (taper - np.abs(across)).clip(0),
              paint * (0.45 + 0.55 * k / count), cover)
    return height, colour


GREENS = rgb(84, 112, 46, 112, 138, 60, 62, 88, 40, 140, 150, 84)


@kind
def grass(rng, side):
    return blades(rng, side, 3 * side, rng.uniform(24, 56), rng.uniform(0.8, 1.8), tinted(rng, GREENS), 0.5)


@kind
def straw(rng, side):
    tones = tinted(rng, rgb(206, 176, 110, 174, 142, 84, 226, 204, 150))
    return blades(rng, side, 2 * side, rng.uniform(50, 110), rng.uniform(1.2, 2.6), tones, 0.1, rng.uniform(0.4, 3))


@kind
def needles(rng, side):
    tones = tinted(rng, rgb(120, 84, 54, 150, 110, 72, 90, 62, 44))
    return blades(rng, side, 3 * side, rng.uniform(20, 40), 0.7, tones, 0.2)


@kind
def fur(rng, side):
    tones = tinted(rng, [rgb(120, 90, 64, 160, 126, 90), rgb(60, 58, 58, 96, 92, 90), rgb(222, 214, 200, 190, 178, 160)]
                   [rng.integers(3)])
    return blades(rng, side, 6 * side, rng.uniform(24, 48), 0.8, tones, 0.6, rng.uniform(0.3, 0.8))


@kind
def leaves(rng, side):
    """Fallen leaves over one another, with their veins."""
    height, colour = noise(rng, side, 20), flat(side, rgb(60, 44, 30))
    tones = tinted(rng, [rgb(166, 104, 48, 190, 140, 60, 122, 74, 44, 150, 70, 40), GREENS][rng.integers(2)])
    size = rng.uniform(14, 34)
    for _ in range(int(3.5 * (side / size) ** 2)):
        far, along, across = disc(size * rng.uniform(0.3, 0.6), rng.uniform(1.6, 2.4), rng.uniform(0, 2 * np.pi))
        far = far + 0.25 * along / size
        vein = 1 - 0.35 * np.exp(-np.abs(across)) - 0.15 * (np.sin(1.2 * (along + np.abs(across))) > 0.9)
        paint = (tones[rng.integers(len(tones))] * np.exp(0.2 * rng.standard_normal())) * vein[..., None]
        stamp(height, colour, *rng.uniform(0, side, 2), 3 * rng.random() + 1.5 * far**2, paint, step(1, 0.9, far))
    return height, colour


@kind
def moss(rng, side):
    tufts = Cells(rng, side, rng.uniform(5, 12), 1)
    clumps = noise(rng, side, rng.uniform(20, 60), 1.6)
    height = 3 * clumps - 0.5 * tufts.first + 0.5 * noise(rng, side, 3, 0.8)
    share = np.clip(0.5 + 0.2 * clumps - 0.05 * tufts.first + 0.15 * noise(rng, side, 3, 0.6), 0, 1)
    return height, ramp(share, tinted(rng, rgb(44, 56, 22, 96, 112, 40, 150, 156, 76)))


@kind
def bark(rng, side):
    ridges = np.abs(warp(noise(rng, side, rng.uniform(20, 50), 1.6, rng.uniform(2.5, 6), np.pi / 2),
                         6 * noise(rng, side, 40), 4 * noise(rng, side, 40)))
    height = 9 * np.minimum(ridges, 1) + 0.5 * noise(rng, side, 6, 1)
    share = np.clip(ridges / 1.2 + 0.1 * noise(rng, side, 10, 1), 0, 1)
    return height, ramp(share, tinted(rng, rgb(40, 32, 28, 112, 94, 78, 150, 134, 116)))


@kind
def lichen(rng, side):
    height, colour = slate(rng, side)
    for _ in range(2):
        spots = noise(rng, side, rng.uniform(20, 50), 1.5)
        patch = step(0.5, 0.7, spots + 0.2 * noise(rng, side, 4, 0.8))
        colour = mix(colour, flat(side, tinted(rng, rgb(176, 180, 140), 0.3)), patch * 0.9)
        height = height + patch * (0.5 + 0.4 * noise(rng, side, 3, 0.7))
    return height, colour


# ---------------------------------------------------------------------------------------------
# Bubbles, skins, scales
# ---------------------------------------------------------------------------------------------


@kind
def foam(rng, side):
    cells, fine = Cells(rng, side, rng.uniform(10, 30), 1), Cells(rng, side, rng.uniform(5, 9), 1)
    wall = np.minimum(cells.edge, fine.edge + cells.values(rng, 0, 6))
    film = step(0, rng.uniform(2, 4), wall)
    return -4 * film, mix(flat(side, (0.9, 0.9, 0.88)), flat(side, any_colour(rng, 0.2, 0.7)), 0.7 * film)


@kind
def bubbles(rng, side):
    height, colour = np.zeros((side, side)), flat(side, any_colour(rng, 0.05, 0.5))
    ground, largest = colour[0, 0].copy(), rng.uniform(10, 26)
    for _ in range(int(0.8 * (side / largest) ** 2)):
        radius = largest * rng.uniform(0.15, 1) ** 1.5 + 1.5
        far, along, across = disc(radius, 1, rng.uniform(0, 7))
        rim = step(0.7, 0.95, far)
        glint = np.exp(-((along / radius + 0.4) ** 2 + (across / radius) ** 2) * 40)
        paint = mix(flat(1, ground)[0, 0] * 1.15, np.ones(3) * 0.7, np.clip(0.7 * rim + glint, 0, 1))
        stamp(height, colour, *rng.uniform(0, side, 2), 0 * far, paint, step(1, 0.94, far))
    return height, colour


@kind
def sponge(rng, side):
    holes = sum(step(0.2, 0.6, np.maximum(0, 1 - Cells(rng, side, pitch, 1).first / pitch * 2.2))
                for pitch in rng.uniform(8, 26, 3))
    share = np.clip(holes, 0, 1)
    return -5 * share + 0.4 * noise(rng, side, 3, 1), ramp(share, tinted(rng, rgb(222, 184, 92, 120, 84, 34), 0.3))


@kind
def leather(rng, side):
    cells = Cells(rng, side, rng.uniform(5, 12), 0.9)
    folds = noise(rng, side, 40, 1.8)
    grain = np.minimum(cells.edge, 2)
    hide = flat(side, tinted(rng, rgb(112, 66, 42), 0.5))
    return 1.3 * grain + folds, hide * (0.6 + 0.2 * grain + 0.05 * folds)[..., None]


def overlapping(rng, side, pitch, aspect, colours):
    """Rows of scales, each over the two behind it."""
    cells = Cells(rng, side, pitch, 0.05, aspect, 0.5)
    rise = np.clip((cells.down + pitch / 2) / pitch, 0, 1)
    return 3 * rise + np.minimum(cells.edge, 2), cells.colours(rng, colours, 0.12) * (0.6 + 0.5 * rise)[..., None]


@kind
def fish_scales(rng, side):
    return overlapping(rng, side, rng.uniform(14, 30), 1.2, [any_colour(rng, 0.2, 0.6) for _ in range(3)])


@kind
def snake_skin(rng, side):
    height, colour = overlapping(rng, side, rng.uniform(8, 16), 0.7, tinted(rng, rgb(120, 110, 70, 140, 128, 86)))
    marks = step(0, 0.3, noise(rng, side, 50, 2.5))
    return height, colour * (1 - 0.7 * marks)[..., None]


# ---------------------------------------------------------------------------------------------
# Metal and paint
# ---------------------------------------------------------------------------------------------


@kind
def rust(rng, side):
    share = np.clip(0.5 + 0.3 * noise(rng, side, 60, 1.2) + 0.1 * rng.standard_normal((side, side)), 0, 1)
    tones = tinted(rng, rgb(66, 40, 32, 128, 66, 36, 188, 108, 52))
    return 2 * share + 0.5 * noise(rng, side, 5, 1), ramp(share, tones)


@kind
def flaking_paint(rng, side):
    cells = Cells(rng, side, rng.uniform(8, 20), 1)
    there = step(-0.1, 0.1, noise(rng, side, 70, 1.5) + 0.5 * cells.values(rng, -1, 1) + rng.uniform(-0.2, 0.7))
    crack = step(0, 1, cells.edge)
    below = rust(rng, side)[1] if rng.random() < 0.5 else flat(side, tinted(rng, rgb(150, 140, 126)))
    paint = flat(side, any_colour(rng, 0.1, 0.8)) * (0.8 + 0.2 * crack)[..., None]
    return 2 * blur(there, 1) + 0.3 * noise(rng, side, 8, 1), mix(below, paint, there)


@kind
def brushed_metal(rng, side):
    lines = noise(rng, side, 40, 1, rng.uniform(30, 80))
    return 0 * lines, flat(side, tinted(rng, rgb(160, 160, 162), 0.3)) * (1 + 0.12 * lines)[..., None]


@kind
def corrugated(rng, side):
    waves, (y, x) = divisor(side, rng.uniform(14, 40)), pixels(side)
    sheet = np.sin(2 * np.pi * waves * x / side) + 0 * y
    dirt = np.clip(0.3 + 0.2 * noise(rng, side, 40, 1.3, 3, np.pi / 2), 0, 1)
    tones = [any_colour(rng, 0.2, 0.7), any_colour(rng, 0.1, 0.4)]
    return side / waves * rng.uniform(0.2, 0.5) * sheet, ramp(dirt, tones)


@kind
def tread_plate(rng, side):
    """Raised lozenges, in turn one way and the other."""
    cells, (y, x) = divisor(side, rng.uniform(20, 40)), pixels(side)
    size = side / cells
    i, j = np.floor(y / size), np.floor(x / size)
    u, v = x - (j + 0.5) * size, y - (i + 0.5) * size
    turn = np.where((i + j) % 2 == 0, 1, -1)
    along, across = (u + turn * v) / size, (u - turn * v) / size
    lug = step(1, 0.6, np.hypot(along / 0.75, across / 0.22))
    sheet = flat(side, tinted(rng, rgb(140, 142, 146), 0.3)) * (1 + 0.06 * noise(rng, side, 20, 1))[..., None]
    return 6 * lug, sheet * (0.6 + 0.4 * lug)[..., None]


@kind
def chain_mail(rng, side):
    """Rings, each through those of the next row."""
    rows, height, colour = divisor(side, rng.uniform(12, 22)), np.zeros((side, side)), flat(side, (0.02, 0.02, 0.02))
    size, metal = side / rows, tinted(rng, rgb(150, 150, 154), 0.4)
    for i in range(rows):
        for j in range(rows):
            far, along, _ = disc(0.78 * size)
            wire = np.clip(1 - np.abs(far - 0.75) / 0.22, 0, 1)
            lean = 0.6 * along / size * (1 if i % 2 else -1)
            stamp(height, colour, i * size, (j + 0.5 * (i % 2)) * size, 3 * np.sqrt(wire) + lean,
                  metal * (0.4 + 0.6 * wire)[..., None], step(0, 0.25, wire))
    return height, colour


@kind
def perforated(rng, side):
    pitch = rng.uniform(12, 30)
    cells = Cells(rng, side, pitch, 0, 1, rng.choice([0, 0.5]))
    hole = step(rng.uniform(0.3, 0.42) * pitch, 0.25 * pitch, cells.first)
    return -4 * hole, mix(flat(side, any_colour(rng, 0.3, 0.8)), flat(side, (0.02, 0.02, 0.02)), hole)


# ---------------------------------------------------------------------------------------------
# Plaster, paper, clouds
# ---------------------------------------------------------------------------------------------


@kind
def plaster(rng, side):
    strokes = noise(rng, side, rng.uniform(10, 50), rng.uniform(1.2, 2), rng.uniform(1, 3), rng.uniform(0, np.pi))
    wall = flat(side, any_colour(rng, 0.4, 0.85)) * (1 + 0.03 * noise(rng, side, 60, 1.5))[..., None]
    return rng.uniform(0.5, 3) * strokes, wall


@kind
def concrete(rng, side):
    stain, pores = noise(rng, side, 80, 1.4), step(2.0, 2.6, noise(rng, side, 6, 1.3))
    grain = noise(rng, side, 3, 0.8)
    return 0.3 * grain - 3 * pores, flat(side, tinted(rng, rgb(148, 146, 142), 0.2)) * \
        (1 + 0.06 * stain + 0.05 * grain - 0.5 * pores)[..., None]


@kind
def paper(rng, side):
    fibres = noise(rng, side, 12, 1.1, 6, rng.uniform(0, 3)) + noise(rng, side, 12, 1.1, 6, rng.uniform(0, 3))
    return 0.5 * fibres, flat(side, tinted(rng, rgb(216, 206, 186), 0.15)) * (1 + 0.03 * fibres)[..., None]


@kind
def clouds(rng, side):
    share = step(-0.6, 1.6, noise(rng, side, side / 3, 1.7))
    return 0 * share, ramp(share, [any_colour(rng, 0.1, 0.4), rgb(225, 226, 230)])


@kind
def water(rng, side):
    """Caustics: light gathered by waves."""
    waves = noise(rng, side, rng.uniform(30, 70), 2.6)
    bent = warp(noise(rng, side, rng.uniform(30, 70), 2.6), 8 * waves, 8 * np.roll(waves, side // 3, 1))
    net = np.exp(-np.abs(bent) * rng.uniform(4, 9))
    tones = tinted(rng, rgb(10, 50, 70, 40, 130, 150, 220, 244, 240), 0.3)
    return 2 * waves, ramp(np.clip(0.3 + 0.5 * net + 0.1 * waves, 0, 1), tones)


@kind
def lava(rng, side):
    cells = Cells(rng, side, rng.uniform(24, 60), 1)
    glow = np.exp(-np.maximum(cells.edge + 2 * noise(rng, side, 14), 0) / rng.uniform(1.5, 4))
    crust = noise(rng, side, 10, 1)
    tones = rgb(28, 24, 24, 120, 30, 12, 250, 120, 20, 255, 230, 120)
    return 4 * (1 - glow) + crust, ramp(np.clip(glow + 0.03 * crust, 0, 1), tones)


@kind
def mould(rng, side):
    height, colour = plaster(rng, side)
    spots = sum(step(0.5, 0, Cells(rng, side, pitch, 1).first / pitch + 0.1 * noise(rng, side, 8, 1)) *
                step(0, 1, noise(rng, side, 60)) for pitch in rng.uniform(10, 30, 2))
    return height, mix(colour, flat(side, any_colour(rng, 0.03, 0.2)), 0.9 * np.clip(spots, 0, 1))


@kind
def camouflage(rng, side):
    colour = flat(side, any_colour(rng, 0.1, 0.5))
    for _ in range(3):
        colour = mix(colour, flat(side, any_colour(rng, 0.02, 0.5)), step(0.3, 0.36, noise(rng, side, 70, 2.5, 2)))
    return 0.3 * noise(rng, side, 3, 0.5), colour


@kind
def snow(rng, side):
    drift = noise(rng, side, 60, 2)
    return 3 * drift + 0.3 * rng.standard_normal((side, side)), flat(side, (0.8, 0.83, 0.88))


@kind
def cork(rng, side):
    cells = Cells(rng, side, rng.uniform(5, 12), 1)
    dark = step(0.85, 0.95, cells.values(rng))
    colour = cells.colours(rng, tinted(rng, rgb(186, 142, 94, 164, 118, 74)), 0.1)
    return 0.5 * cells.values(rng), colour * (1 - 0.7 * dark)[..., None]


# ---------------------------------------------------------------------------------------------
# Cloth, carpets, mosaics
# ---------------------------------------------------------------------------------------------


def weave(rng, side, pattern, pitch, warp_tones, weft_tones, fuzz=0.3):
    """Threads over and under one another: pattern[i, j] says whether the standing one is above."""
    rows, columns = pattern.shape
    high = max(1, round(side / pitch / rows)) * rows
    wide = max(1, round(side / pitch / columns)) * columns
    y, x = pixels(side)
    bend = noise(rng, side, 40) * rng.uniform(0, 0.15)
    u, v = (x * wide / side + bend) % wide, (y * high / side + np.roll(bend, side // 2)) % high
    i, j = np.floor(v).astype(int) % high, np.floor(u).astype(int) % wide
    above = pattern[i % rows, j % columns]
    u, v = u % 1, v % 1
    across, along = np.where(above, u, v), np.where(above, v, u)
    round_ = np.sqrt(np.clip(1 - (2 * across - 1) ** 2, 0, 1))
    arch = np.sin(np.pi * along) ** 0.5
    twist = np.sin(2 * np.pi * (across + 3 * along))
    standing, lying = np.asarray(warp_tones)[j % len(warp_tones)], np.asarray(weft_tones)[i % len(weft_tones)]
    tone = np.where(above[..., None], standing, lying)
    thread = round_ * (0.6 + 0.4 * arch)
    hair = fuzz * noise(rng, side, 4, 0.8)
    shade = (0.35 + 0.65 * thread + 0.06 * twist + 0.12 * hair).clip(0.05)
    return pitch * 0.35 * thread + 0.3 * hair, tone * shade[..., None]


def tones_of(rng, count):
    """Colours of threads."""
    return [any_colour(rng, 0.08, 0.75) for _ in range(count)]


@kind
def plain_weave(rng, side):
    return weave(rng, side, np.eye(2, dtype=bool), rng.uniform(5, 14), tones_of(rng, 1), tones_of(rng, 1))


@kind
def twill(rng, side):
    over = int(rng.integers(1, 4))
    pattern = np.array([[(i + j) % 4 < over for j in range(4)] for i in range(4)])
    return weave(rng, side, pattern, rng.uniform(4, 10), tones_of(rng, 1), tones_of(rng, 1))


@kind
def denim(rng, side):
    pattern = np.array([[(i + j) % 3 != 0 for j in range(3)] for i in range(3)])
    blue, white = [rgb(40, 58, 100), rgb(54, 74, 116)], [rgb(190, 196, 206)]
    height, colour = weave(rng, side, pattern, rng.uniform(4, 7), blue, white)
    return height, colour * np.exp(0.15 * noise(rng, side, 40, 1, 8, np.pi / 2))[..., None]


@kind
def basket_cloth(rng, side):
    pattern = np.kron(np.eye(2, dtype=bool), np.ones((2, 2), bool))
    return weave(rng, side, pattern, rng.uniform(5, 12), tones_of(rng, 2), tones_of(rng, 2))


@kind
def tartan(rng, side):
    tones, stripes = tones_of(rng, 3), []
    for tone in tones:
        stripes += [tone] * int(rng.integers(2, 9))
    pattern = np.array([[(i + j) % 4 < 2 for j in range(4)] for i in range(4)])
    return weave(rng, side, pattern, rng.uniform(4, 7), stripes, stripes)


@kind
def damask(rng, side):
    """Figures that are woven the other way round than their ground."""
    pitch = rng.uniform(4, 7)
    count = 4 * max(1, round(side / pitch / 4))
    figure = noise(rng, count, count / 3, 2.5)
    figure = figure + figure[:, ::-1] > 0
    base = np.array([[(i + j) % 4 == 0 for j in range(count)] for i in range(count)])
    return weave(rng, side, np.where(figure, base, ~base), pitch, tones_of(rng, 1), tones_of(rng, 1))


@kind
def wicker(rng, side):
    tones = tinted(rng, rgb(186, 142, 92, 160, 116, 72, 206, 168, 118))
    return weave(rng, side, np.eye(2, dtype=bool), rng.uniform(14, 30), tones, tones[::-1], 0.6)


@kind
def woven_wire(rng, side):
    """Thin wires: where no thread is thick there is nothing."""
    tone = [tinted(rng, rgb(150, 150, 154), 0.3)]
    height, colour = weave(rng, side, np.eye(2, dtype=bool), rng.uniform(10, 22), tone, tone, 0)
    return height, colour * step(0.6, 0.75, height / height.max())[..., None]


def shrunk(field, times):
    """A field [side, side] or [side, side, C] drawn so many times too large, averaged."""
    side = len(field) // times
    return field.reshape(side, times, side, times, *field.shape[2:]).mean((1, 3))


@kind
def fine_weave(rng, side):
    """Threads of 2 to 6 pixels in a pattern at random."""
    times, (rows, columns) = 3, rng.integers(2, 9, 2)
    pattern = rng.random((rows, columns)) < 0.5
    pattern[rng.integers(rows), rng.integers(columns)] ^= pattern.all() or not pattern.any()
    tones = tones_of(rng, int(rng.integers(1, 3))), tones_of(rng, int(rng.integers(1, 3)))
    height, colour = weave(rng, times * side, pattern, times * rng.uniform(2, 6), *tones, rng.uniform(0, 0.6))
    return shrunk(height, times) / times, shrunk(colour, times)


@kind
def fine_knit(rng, side):
    """Stitches of 6 to 13 pixels."""
    times = 2
    height, colour = knit(rng, times * side)
    return shrunk(height, times) / times, shrunk(colour, times)


@kind
def knit(rng, side):
    """Columns of stitches, each a V of two leaning loops."""
    columns, height, colour = divisor(side, rng.uniform(12, 26)), np.zeros((side, side)), flat(side, (0.02, 0.02, 0.02))
    wide = side / columns
    rows = divisor(side, wide * rng.uniform(0.6, 0.8))
    tones, high = tones_of(rng, int(rng.integers(1, 4))), side / rows
    for i in range(rows):
        paint = tones[i // 4 % len(tones)]
        for j in range(columns):
            for turn in (1, -1):
                far, along, across = disc(0.21 * wide, 2.6, np.pi / 2 + turn * 0.55)
                yarn = np.sqrt(np.clip(1 - far**2, 0, 1))
                twist = 0.9 + 0.1 * np.sin((along + 2 * across) * 2 * np.pi / (0.25 * wide))
                stamp(height, colour, (i + 0.5) * high, (j + 0.5 + 0.24 * turn) * wide, 0.25 * wide * yarn,
                      paint * ((0.35 + 0.65 * yarn) * twist)[..., None], step(1, 0.85, far))
    return height + 0.4 * noise(rng, side, 3, 0.6), colour


@kind
def corduroy(rng, side):
    ribs, (y, x) = divisor(side, rng.uniform(8, 20)), pixels(side)
    rib = np.abs(np.sin(np.pi * ribs * x / side)) + 0 * y
    pile = noise(rng, side, 5, 0.8, 2, np.pi / 2)
    return 3 * rib, flat(side, any_colour(rng, 0.1, 0.6)) * (0.4 + 0.6 * rib + 0.1 * pile).clip(0.05)[..., None]


@kind
def carpet(rng, side):
    """Tufts in the colours of an ornament with four axes."""
    cells = Cells(rng, side, rng.uniform(4, 7), 0.5)
    figure = noise(rng, side, side / 4, 2.2)
    figure = figure + figure[::-1] + figure[:, ::-1] + figure[::-1, ::-1]
    tones = np.array(tones_of(rng, 4))
    level = np.digitize(figure, np.quantile(figure, (0.25, 0.5, 0.75)))
    of_tuft = np.zeros(cells.count, int)
    of_tuft[cells.number] = level
    tuft = np.clip(1 - cells.first / 5, 0, 1)
    return 3 * tuft, tones[of_tuft[cells.number]] * ((0.5 + 0.5 * tuft) * cells.values(rng, 0.85, 1.15))[..., None]


@kind
def felt(rng, side):
    fibres = sum(noise(rng, side, 10, 1, 8, rng.uniform(0, np.pi)) for _ in range(4)) / 2
    return fibres, flat(side, any_colour(rng, 0.1, 0.6)) * (1 + 0.12 * fibres)[..., None]


@kind
def lace(rng, side):
    """A net with closed parts, over a dark ground."""
    cells = Cells(rng, side, rng.uniform(7, 14), 0.1, 1.1, 0.5)
    figure = noise(rng, side, side / 3, 2.5)
    thread = np.maximum(step(1.6, 0.4, cells.edge), 0.85 * step(0.2, 0.5, figure + figure[:, ::-1]))
    return 2 * thread, mix(flat(side, any_colour(rng, 0.02, 0.15)), flat(side, any_colour(rng, 0.5, 0.9)), thread)


@kind
def mosaic(rng, side):
    """Small stones of one colour in each of a few winding fields."""
    cells = Cells(rng, side, rng.uniform(8, 16), rng.uniform(0.1, 0.4))
    field = noise(rng, side, side / 3, 2.3)
    tones = np.array([any_colour(rng, 0.05, 0.8) for _ in range(5)])
    level = np.zeros(cells.count, int)
    level[cells.number] = np.digitize(field, np.quantile(field, (0.2, 0.4, 0.6, 0.8)))
    body = step(0.3, 1.6, cells.edge)
    colour = tones[level[cells.number]] * cells.values(rng, 0.75, 1.25)[..., None]
    return 2 * body + cells.values(rng), mix(flat(side, any_colour(rng, 0.2, 0.6)), colour, body)


@kind
def ropes(rng, side):
    """Twisted ropes side by side."""
    count, (y, x) = divisor(side, rng.uniform(16, 40)), pixels(side)
    rope, inside = np.divmod(x + 0 * y, side / count)
    across = 2 * inside * count / side - 1
    turns = divisor(side, rng.uniform(12, 24))
    strand = np.abs(np.sin(np.pi * (turns * y / side + 0.5 * across + rope / 3)))
    body = np.sqrt(np.clip(1 - across**2, 0, 1))
    fibre = noise(rng, side, 6, 0.9, 4, 0.9)
    return 8 * body + 2 * strand, flat(side, tinted(rng, rgb(190, 160, 112), 0.3)) * \
        ((0.3 + 0.7 * body) * (0.55 + 0.45 * strand) * (1 + 0.1 * fibre))[..., None]


@kind
def wallpaper(rng, side):
    """A small figure repeated in rows, printed in two inks."""
    count = divisor(side, rng.uniform(30, 70))
    size = side // count
    figure = noise(rng, 2 * size, size / 2, 2)
    figure = np.tile(figure + figure[:, ::-1], (count, count))[:side, :side]
    figure = np.pad(figure, [(0, side - length) for length in figure.shape], "wrap")
    ink, other = step(0.3, 0.5, figure), step(-0.6, -0.8, figure)
    colour = mix(flat(side, any_colour(rng, 0.3, 0.9)), flat(side, any_colour(rng)), ink)
    return 0.3 * noise(rng, side, 4, 0.8), mix(colour, flat(side, any_colour(rng)), other)


@kind
def repeated(rng, side):
    """Another kind in small, printed again and again on something uneven."""
    times = int(rng.choice([n for n in (2, 4, 5, 8, 10) if side % n == 0]))
    others = [name for name in KINDS if name not in ("repeated", "sharp_gravel")]
    height, colour = KINDS[others[rng.integers(len(others))]](rng, side // times)
    ground = rng.uniform(0, 0.08) * noise(rng, side, 20, 1.2) + rng.uniform(0, 0.06) * noise(rng, side, 2, 0.5)
    return np.tile(height, (times, times)), np.tile(colour, (times, times, 1)) * np.exp(ground)[..., None]
