"""CORNERS = "auto": the perspective of a texture with two families of straight lines, such as
bricks, tiles and weaves.

A photo shows a plane's parallel lines as a pencil: they meet in a vanishing point (Hartley and
Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section 8.6). Places are (x, y)
from the photo's middle, in halves of its longer side; a pencil is (angle, convergence), and its
line through (x, y) has the direction (cos angle - convergence x, sin angle - convergence y).

Edges vote for the pencils whose lines have their direction, as in a Hough transform (Barnard,
"Interpreting perspective images", Artificial Intelligence 21, 1983). What is voted for most is then
moved until its lines gather the edges in as few places as possible, those from dark to bright and
from bright to dark apart. That is as precise as the lines are long, and it tells how sure they are:
real lines lose what they gather when they are turned by a few degrees; the edges of gravel or grass
gather hardly worse there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import photos

LARGEST = 640  # px, of the longer side of the copy that is looked at
BLUR, AROUND = 1.0, 1.5  # px, of the blur before gradients are taken, and of that of their products
MARGIN = 3  # px along the photo's border, whose gradients are left out
EDGES = 24000  # pixels that are looked at, the clearest
BLOCKS = 8  # on each side of the photo: the edges of a block count as much as those of another
FAINT = 0.3  # of the mean block's edges, below which a block counts less
CONVERGING = np.linspace(-0.6, 0.6, 121)  # of the pencils that cross another
ANGLES, CONVERGENCES = 180, np.linspace(-0.6, 0.6, 25)  # of the pencils that are voted for
SPREAD = 1.5  # degrees by which an edge's direction may be off in a vote, a deviation
# From level and upright, in the photo's middle, within which lines are looked for.
TURNED = math.radians(30)
CANDIDATES = 8  # of either family, that are moved
TURNS = np.radians((1.5, 3))  # by which a pencil is turned, to compare what it gathers
ASIDE = np.radians((5, 7, 9))  # the same, to compare how many edges have its directions
APART = math.radians(3), 0.08  # angle and convergence by which two candidates differ
NEAR = math.radians(7)  # between the directions of an edge and of the line that gathers it
WIDTHS = (6, 3, 1.5, 0.75)  # px, of the lines that gather edges, from rough to fine
SOME, MORE = 4000, 12000  # edges that are gathered by lines wider than LINE, and by others
LINE = 1.5  # px, of the lines by which pencils are judged
FEWEST = 100  # edges that can tell anything
FEWEST_LINES, FEWEST_BLOCKS = 3, 8  # that have to have such edges: any two lines are a pencil
JOINT = 8  # px, of the lines that are counted, so that both edges of a joint are one
STEEPEST = 0.8  # of what a pencil may converge: at 1 the horizon lies in the photo
SQUARE = math.radians(10)  # by which two families may miss a right angle in reality
# Lengths that a camera may have, in halves of the photo's longer side.
FOCAL = np.geomspace(0.8, 20, 30)
STRAIGHT = math.radians(0.5)  # lines that are level and upright within that are left alone
# Between the directions of an edge and of a short line that it belongs to, a deviation.
AGREEING = math.radians(1.5)
USUAL = 2  # focal length of a usual lens, in halves of the longer side
# Scores that are as likely right as wrong, and what is e times as likely.
TIMES, CROSSING = (1.42, 0.04), (3, 0.5)
# Pixels, of a photo's shorter side, and what the longer one may be of that.
LEAST_SIDE, LONGEST = 64, 20
SIGNS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])  # of the corners' places
# Left and right ends of rectangles that are tried, and how often closer ones are.
ENDS, ROUNDS = 61, 6
SURE = 0.5  # how sure the lines have to be

Pencil = tuple[float, float]  # angle, convergence
Corners = tuple[tuple[float, float], ...]  # (x, y) in pixels


def blurred(values: np.ndarray, deviation: float) -> np.ndarray:
    """Values [H, W] blurred by a Gaussian, deviation in pixels."""
    reach = math.ceil(3 * deviation)
    kernel = np.exp(-(np.arange(-reach, reach + 1) / deviation) ** 2 / 2)
    kernel /= kernel.sum()

    for _ in range(2):
        rows = np.pad(values.T, ((reach, reach), (0, 0)), mode="edge")
        values = sum(  # pyright: ignore[reportAssignmentType]: there are several
            weight * rows[k:k + values.shape[1]] for k, weight in enumerate(kernel))
    return values


class Edges:
    """The clearest edges of an image: places x, y, directions of the lines along them (angles in
    [0, pi)), gradients gx, gy, weights and the blocks they lie in, all [N]."""

    def __init__(self, image: Image.Image) -> None:
        pixels = small(image)
        height, width = pixels.shape

        # the direction along an edge, from the products of the gradients
        down, right = np.gradient(blurred(pixels, BLUR))
        xx, yy, xy = (blurred(product, AROUND)
                      for product in (right * right, down * down, right * down))
        angle = (np.arctan2(2 * xy, xx - yy) / 2 + np.pi / 2) % np.pi

        # contrast times coherence squared, of a block at most as much as of another
        rows, columns = np.mgrid[:height, :width]
        block = rows * BLOCKS // height * BLOCKS + columns * BLOCKS // width
        weight = np.hypot(xx - yy, 2 * xy) ** 2 / (xx + yy + 1e-2) ** 1.5
        weight[:MARGIN] = weight[-MARGIN:] = weight[:, :MARGIN] = weight[:, -MARGIN:] = 0
        sums = np.bincount(block.ravel(), weight.ravel(), BLOCKS ** 2)
        weight /= np.maximum(sums, FAINT * sums.mean() + 1e-9)[block]

        # the clearest
        kept = weight > np.quantile(weight, max(0, 1 - EDGES / weight.size))
        self.size, self.half = (width, height), max(width, height) / 2
        self.reach = width / 2 / self.half, height / 2 / self.half
        self.x = (columns[kept] + 0.5 - width / 2) / self.half
        self.y = (rows[kept] + 0.5 - height / 2) / self.half
        self.angle, self.weight, self.block = angle[kept], weight[kept], block[kept]
        self.gx, self.gy = right[kept], down[kept]


def small(image: Image.Image) -> np.ndarray:
    """A grey copy, float64 [H, W], of an image."""
    grey, longer = image.convert("L"), max(image.size)
    if longer > LARGEST:
        grey = grey.resize([max(1, round(side * LARGEST / longer)) for side in image.size],
                           Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=float)


def direction(pencil: tuple[Any, Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The direction of a pencil's line through each place, radians."""
    angle, convergence = pencil
    return np.arctan2(np.sin(angle) - convergence * y, np.cos(angle) - convergence * x)


def between(angles: Any) -> Any:
    """Angles between lines, which have no ends, in [-pi / 2, pi / 2)."""
    return (angles + np.pi / 2) % np.pi - np.pi / 2


def votes(edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """The angles [ANGLES] of pencils, and the votes for each with each convergence,
    [ANGLES, CONVERGENCES]."""
    # how many edges have each direction in each block, nearly
    to_bin = ANGLES / np.pi
    place = edges.block * ANGLES + (edges.angle * to_bin).astype(int) % ANGLES
    counts = np.bincount(place, edges.weight, BLOCKS ** 2 * ANGLES).reshape(-1, ANGLES)
    apart = np.minimum(np.arange(ANGLES), ANGLES - np.arange(ANGLES)) * 180 / ANGLES
    spread = np.exp(-(apart / SPREAD) ** 2 / 2)
    counts = np.fft.irfft(np.fft.rfft(counts) * np.fft.rfft(spread), ANGLES)

    # summed over the directions that a pencil has in the middle of each block
    middles = (np.arange(BLOCKS) + 0.5) / BLOCKS * 2 - 1
    x, y = np.tile(middles * edges.reach[0], BLOCKS), np.repeat(middles * edges.reach[1], BLOCKS)
    angles = (np.arange(ANGLES) + 0.5) / to_bin
    there = direction((angles[:, None, None], CONVERGENCES[:, None]), x, y) % np.pi
    return angles, counts[np.arange(BLOCKS ** 2), (there * to_bin).astype(int) % ANGLES].sum(-1)


def candidates(edges: Edges, middle: float) -> Iterator[Pencil]:
    """The pencils with the most votes whose lines are within TURNED of an angle, each APART from
    the others."""
    angles, counts = votes(edges)
    counts[abs(between(angles - middle)) > TURNED] = 0
    for _ in range(CANDIDATES):
        i, j = np.unravel_index(counts.argmax(), counts.shape)
        if counts[i, j] == 0:
            return

        angle = middle + between(angles[i] - middle)
        # the other way round, it diverges
        yield angle, CONVERGENCES[j] * (1 if abs(angle - angles[i]) < 1 else -1)

        off = between(angles - angles[i]) / APART[0], (CONVERGENCES - CONVERGENCES[j]) / APART[1]
        counts[np.hypot(off[0][:, None], off[1]) < 1] = 0


class Gathering:
    """The edges near a pencil's directions, at most so many, to be gathered in its lines and in
    those of others."""

    def __init__(self, edges: Edges, pencil: Pencil, near: float, most: int) -> None:
        off = between(edges.angle - direction(pencil, edges.x, edges.y))
        kept = np.flatnonzero(abs(off) < near)
        kept = kept[::max(1, math.ceil(len(kept) / most))]

        self.x, self.y, self.half = edges.x[kept], edges.y[kept], edges.half
        self.weight = edges.weight[kept]
        angle = direction(pencil, self.x, self.y)
        self.brighter = edges.gy[kept] * np.cos(angle) > edges.gx[kept] * np.sin(angle)

    def __len__(self) -> int:
        return len(self.weight)

    def sums(self, pencil: Pencil, width: float) -> np.ndarray:
        """What each of a pencil's lines, so many pixels wide, gathers of one kind of edge, then of
        the other."""
        (angle, convergence), half = pencil, self.half
        cos, sin = math.cos(angle), math.sin(angle)

        # where the lines cross a perpendicular through the middle
        nearness = 1 - convergence * (self.x * cos + self.y * sin)
        across = (self.y * cos - self.x * sin) / nearness * half / width
        place = across - across.min()

        # each edge is shared by the two lines that it lies between
        line = place.astype(int)
        share, count = place - line, line.max() + 2
        line = line + count * self.brighter
        sums = np.bincount(line, self.weight * (1 - share), 2 * count)
        return sums + np.bincount(line + 1, self.weight * share, 2 * count)

    def __call__(self, pencil: Pencil, width: float) -> float:
        """How well a pencil gathers: the sum of the squares of what its lines gather."""
        return (self.sums(pencil, width) ** 2).sum()

    def lines(self, pencil: Pencil) -> float:
        """How many lines of a pencil gather well."""
        return effective(self.sums(pencil, JOINT).reshape(2, -1).sum(0) ** 2)


def effective(parts: np.ndarray) -> float:
    """How many of the parts there would be, were they all alike: of one that is alone 1, of N alike
    ones N."""
    return parts.sum() ** 2 / max((parts ** 2).sum(), 1e-30)


def steepness(pencil: Pencil, edges: Edges) -> float:
    """How far a pencil converges across the photo: at 1, its vanishing point is as near as a
    corner."""
    angle, convergence = pencil
    across, down = edges.reach
    return abs(convergence) * (across * abs(math.cos(angle)) + down * abs(math.sin(angle)))


def moved(edges: Edges, pencil: Pencil) -> tuple[Pencil, Gathering | None]:
    """A pencil moved to where it gathers best, and the Gathering of the edges that its lines then
    have."""
    gathering = None
    for width in WIDTHS:
        judge = gathering = Gathering(edges, pencil, NEAR, SOME if width > LINE else MORE)
        steps = np.arange(-2, 3) * width / edges.half
        near = [(pencil[0] + a, pencil[1] + b) for a in steps for b in steps]
        near = [other for other in near if steepness(other, edges) < STEEPEST]
        if len(gathering) < FEWEST or not near:
            return pencil, None

        pencil = max(near, key=lambda other: judge(other, width))
    return pencil, gathering


def times_turned(gathering: Gathering, pencil: Pencil) -> tuple[float, float]:
    """How well a pencil gathers, beyond what turned ones do, and as a multiple of that."""
    turned = [gathering((pencil[0] + by * math.cos(way), pencil[1] + by * math.sin(way)), LINE)
              for by in TURNS for way in np.arange(8) * np.pi / 4]
    best, usual = gathering(pencil, LINE), np.median(turned)
    return best - usual, best / usual


def gathered(edges: Edges, middle: float) -> tuple[Pencil, float]:
    """The pencil near an angle that gathers best, and how sure it is, from 0 to 1."""
    found: list[tuple[Pencil, float, float]] = [((middle, 0), 0, 0)]
    for pencil in candidates(edges, middle):
        pencil, gathering = moved(edges, pencil)
        if gathering is None or abs(pencil[0] - middle) >= TURNED:
            continue
        beyond, times = times_turned(gathering, pencil)
        many = gathering.lines(pencil) >= FEWEST_LINES
        sure = many * likely((times - TIMES[0]) / TIMES[1])
        found.append((pencil, beyond * (times - 1), sure))

    pencil, _, sure = max(found, key=lambda one: one[1])
    return pencil, sure


def agreeing(edges: Edges, pencil: Pencil) -> np.ndarray:
    """How much edges have the directions of a pencil's lines, in each block [BLOCKS ** 2]."""
    off = between(edges.angle - direction(pencil, edges.x, edges.y)) / AGREEING
    return np.bincount(edges.block, edges.weight * np.exp(-off ** 2 / 2), BLOCKS ** 2)


def crossing(edges: Edges, pencil: Pencil, middle: float) -> tuple[Pencil, float]:
    """The pencil near an angle that crosses another at right angles in reality, seen through a
    usual lens, and has the directions of most edges, and how sure it is.

    This is for joints too short to gather: it has one unknown instead of two.
    """
    found = []
    for convergence in CONVERGING:
        cosine = -USUAL ** 2 * convergence * pencil[1]
        angle = pencil[0] + math.copysign(math.acos(min(1, max(-1, cosine))), middle - pencil[0])
        if abs(angle - middle) < TURNED and steepness((angle, convergence), edges) < STEEPEST:
            found.append((agreeing(edges, (angle, convergence)).sum(), angle, convergence))
    most, angle, convergence = max(found, default=(0, middle, 0))

    # compared with pencils that are turned aside
    turned = [agreeing(edges, (angle + side * by, convergence)).sum() for side in (-1, 1)
              for by in ASIDE]
    times = most / max(np.median(turned), 1e-9)
    many = effective(agreeing(edges, (angle, convergence))) >= FEWEST_BLOCKS
    return (angle, convergence), many * likely((times - CROSSING[0]) / CROSSING[1])


def found_pencils(edges: Edges) -> Iterator[tuple]:
    """The pencils of level and of upright lines, and how sure they are, from 0 to 1."""
    middles = 0, np.pi / 2
    found = [gathered(edges, middle) for middle in middles]
    weak = int(found[1][1] < found[0][1])
    if found[weak][1] < SURE <= found[1 - weak][1]:
        found[weak] = crossing(edges, found[1 - weak][0], middles[weak])
    return zip(*found)


def likely(score: float) -> float:
    """A score as a probability, by the logistic function."""
    return 1 / (1 + math.exp(-max(-50, min(50, score))))


def off_square(pencils: Sequence[Pencil]) -> float:
    """By how much two families miss a right angle in reality, seen by the lens that suits them
    best, radians."""
    (angle, convergence), (other, its) = pencils
    cosine = math.cos(angle - other) + FOCAL ** 2 * convergence * its
    lengths = np.sqrt((1 + (FOCAL * convergence) ** 2) * (1 + (FOCAL * its) ** 2))
    return np.arcsin(abs(cosine) / lengths).min()


def corners_in(
    path: str | Path, corners: Any, read: Callable[[], np.ndarray]
) -> tuple[Any, list[str]]:
    """Corners in pixels of the photo at a path as it is read, and notes.

    corners: as they were given, or "auto": those that are seen in it. read(): its pixels, uint8
    [H, W] or [H, W, 3].
    """
    if corners == "auto":
        return find_corners(read())
    if corners is None or (by := photos.reduction(path)) == 1:
        return corners, []
    return tuple((x / by, y / by) for x, y in corners), []


def find_corners(pixels: np.ndarray) -> tuple[Corners | None, list[str]]:
    """The corners of the largest rectangle in reality that lies inside a photo of two families of
    straight lines, one of which is made level and one upright, and notes, a list of one sentence.

    pixels: uint8 [H, W] or [H, W, 3]; corners: ((x, y), ...) in pixels, upper left, upper right,
    lower right, lower left, as straighten.straighten wants them; None where the photo is left as it
    is: no such lines, or straight ones.
    """
    image = Image.fromarray(pixels)
    if min(image.size) < LEAST_SIDE or max(image.size) > LONGEST * min(image.size):
        return None, [left_alone("it is too small or too long to tell its lines")]

    edges = Edges(image)
    pencils, sure = found_pencils(edges)
    reason = doubt(edges, pencils, sure)
    if reason:
        return None, [left_alone(reason)]
    said = f"how sure: {min(sure):.2f}"
    if max(leaning(edges, pencils)) < STRAIGHT:
        return None, ["CORNERS=auto left the photo as it is: its lines are level and upright "
                      f"already ({said})"]

    corners = corners_of(edges, pencils, image.size)
    degrees = np.degrees([fanning(edges, pencil) for pencil in pencils])
    fans = " and ".join(f"{fan:.1f}" for fan in degrees)
    places = ", ".join(f"({x:g}, {y:g})" for x, y in corners)
    return corners, [f"CORNERS=auto found level and upright lines that converge by {fans} degrees "
                     f"across the photo ({said}) and straightened them; the corners are ({places})"]


def left_alone(reason: str) -> str:
    """The sentence that says why the photo is left alone."""
    return f"CORNERS=auto left the photo as it is: {reason}; give the corners by hand, or take " \
        "it straight on"


def doubt(edges: Edges, pencils: Sequence[Pencil], sure: Sequence[float]) -> str | None:
    """Why two pencils cannot be relied on, or None."""
    unsure = [name for name, one in zip(("level", "upright"), sure) if one < SURE]
    if unsure:
        return f"no straight {' and no '.join(unsure)} lines stand out (how sure: {min(sure):.2f})"
    steepest = max(steepness(pencil, edges) for pencil in pencils)
    if steepest > STEEPEST or off_square(pencils) > SQUARE:
        return "the lines that stand out do not cross at right angles in reality"
    return None


def at_corners(edges: Edges, pencil: Pencil) -> np.ndarray:
    """The directions of a pencil's lines at the photo's corners, radians [4]."""
    return direction(pencil, *(SIGNS * edges.reach).T)


def leaning(edges: Edges, pencils: Sequence[Pencil]) -> list[float]:
    """How far from level, and from upright, lines are in the photo, at most, radians."""
    return [abs(between(at_corners(edges, pencil) - middle)).max()
            for pencil, middle in zip(pencils, (0, np.pi / 2))]


def fanning(edges: Edges, pencil: Pencil) -> float:
    """The largest angle between a pencil's lines in the photo, radians."""
    return np.ptp(between(at_corners(edges, pencil) - pencil[0]))


def corners_of(edges: Edges, pencils: Sequence[Pencil], size: tuple[int, int]) -> Corners:
    """The corners of the largest rectangle, in pixels of a photo of size (width, height).

    The homography from the plane has the vanishing points of its axes as columns, and the photo's
    middle.
    """
    axes = [(math.cos(angle), math.sin(angle), convergence) for angle, convergence in pencils]
    matrix = np.column_stack([*axes, (0, 0, 1)])
    plane = mapped(np.linalg.inv(matrix), SIGNS * edges.reach)
    left, upper, right, lower = largest_rectangle(plane)

    ends = np.array([(left, upper), (right, upper), (right, lower), (left, lower)])
    places = mapped(matrix, ends)
    places = ((places / edges.reach + 1) / 2 * size).round(1).clip(0, size)
    return tuple((float(x), float(y)) for x, y in places)


def mapped(matrix: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places [N, 2] under a homography."""
    x, y, w = matrix @ np.c_[places, np.ones(len(places))].T
    return np.c_[x / w, y / w]


def largest_rectangle(outline: np.ndarray) -> tuple[float, float, float, float]:
    """The left, upper, right and lower end of the largest upright rectangle in a convex
    quadrilateral [4, 2], clockwise with y down.

    Many pairs of left and right ends are tried, then closer ones around the best.
    """
    largest = 0.0, 0.0, 0.0, 0.0
    ends = [(outline[:, 0].min(), outline[:, 0].max())] * 2
    for _ in range(ROUNDS):
        lefts, rights = (np.linspace(*pair, ENDS) for pair in ends)
        (uppers, lowers), (others, their_lowers) = chords(outline, lefts), chords(outline, rights)
        upper = np.maximum(uppers[:, None], others)
        lower = np.minimum(lowers[:, None], their_lowers)

        areas = (rights - lefts[:, None]).clip(0) * (lower - upper).clip(0)
        i, j = np.unravel_index(areas.argmax(), areas.shape)
        largest = float(lefts[i]), float(upper[i, j]), float(rights[j]), float(lower[i, j])
        ends = [(x[max(0, k - 2)], x[min(ENDS - 1, k + 2)]) for x, k in ((lefts, i), (rights, j))]
    return largest


def chords(outline: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where upright lines at x [N] enter and leave a convex quadrilateral, two arrays [N]."""
    upper, lower = np.full(len(x), -np.inf), np.full(len(x), np.inf)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0)):
        if abs(x1 - x0) > 1e-9:
            y = y0 + (x - x0) * (y1 - y0) / (x1 - x0)
            if x1 > x0:
                upper = np.maximum(upper, y)
            else:
                lower = np.minimum(lower, y)
    return upper, lower
