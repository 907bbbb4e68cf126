"""A photo taken at an angle, straightened: four corners of a rectangle in reality become the
corners of a picture.

Places in a picture are (x, y) in pixels from its upper left corner, where the upper left pixel
begins: a pixel's middle is half a pixel further on both ways, and (width, height) is the lower
right corner. Corners are in the order upper left, upper right, lower right, lower left. A
homography is a matrix [3, 3] that takes (x, y, 1) to (u w, v w, w).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..running.errors import UserError
from .deep import DeepImage

SHORTEST = 16  # px, of a side of the quadrilateral
BEND = 0.05  # least sine of the angle by which the way round bends at a corner: 3 degrees
# How much further away one end of a side has to be for both pairs of sides to tell the lens.
CONVERGING = 0.03
# Focal lengths that corners may tell, in longer sides of the photo: 14 to 108 mm in 35 mm terms.
BELIEVED = (0.4, 3)
# A usual, a wide and a long lens, where corners tell none: 36, 23 and 58 mm.
LENSES = (1, 0.65, 1.6)
FINEST = 8  # samples a pixel in each direction, where that many pixels of the photo meet in one
BAND = 256  # rows of samples that are taken at a time

Corners = Sequence[Sequence[float]]  # four places (x, y)
Size = Sequence[int]  # width, height


def straighten(
    image: Image.Image | DeepImage, corners: Corners, aspect: float | None = None
) -> tuple[Any, list[str]]:
    """A quadrilateral of an image as a picture of as many pixels, and notes, a list of sentences.

    image: L, RGB or a DeepImage; corners: ((x, y), ...), inside it; aspect: its width over its
    height in reality, or None: worked out. UserError if the corners are none of a rectangle.
    """
    matrix, size, notes = plan(image.size, corners, aspect)
    return warp(image, matrix, size), notes


def plan(
    size: Size, corners: Corners | np.ndarray, aspect: float | None = None
) -> tuple[np.ndarray, list[int], list[str]]:
    """The homography from a picture to that part of a photo of size (width, height), the picture's
    size, and notes."""
    corners = np.array(corners, dtype=float)
    check_corners(corners, size)

    notes = []
    if aspect is None:
        aspect, *others = aspects_of(corners, size)
        doubt = ""
        if others:
            doubt = " for a usual lens ({:.3f} to {:.3f} for others)".format(*sorted(others))
        notes.append(f"CORNERS: width over height, {aspect:.3f}, was worked out from the "
                     f"perspective{doubt}; ASPECT sets it")

    pixels = area(corners)
    whole = [max(1, round(math.sqrt(pixels * ratio))) for ratio in (aspect, 1 / aspect)]
    return homography(corners, whole), whole, notes


def check_corners(corners: np.ndarray, size: Size) -> None:
    """UserError unless corners [4, 2] lie in a photo of size (width, height) and can be those of a
    rectangle."""
    for x, y in corners:
        if not (0 <= x <= size[0] and 0 <= y <= size[1]):
            raise UserError(f"CORNERS: ({x:g}, {y:g}) lies outside the photo of {size[0]} x "
                            f"{size[1]} pixels; give pixels of the whole upright photo, from its "
                            "upper left corner")

    sides = np.roll(corners, -1, 0) - corners  # each leads on to the next corner
    lengths = np.hypot(*sides.T)
    for k in np.flatnonzero(lengths < SHORTEST):
        (x, y), (x1, y1) = corners[k], corners[(k + 1) % 4]
        raise UserError(f"CORNERS: ({x:g}, {y:g}) and ({x1:g}, {y1:g}) are {lengths[k]:.1f} pixels "
                        f"apart, and {SHORTEST} is the least; choose a larger part")

    # the sine of the angle at each corner
    (x0, y0), (x1, y1) = np.roll(sides, 1, 0).T, sides.T  # into each corner, and out of it
    bends = (x0 * y1 - y0 * x1) / (np.roll(lengths, 1) * lengths)
    for k in np.flatnonzero(bends < BEND):
        x, y = corners[k]
        raise UserError(f"CORNERS: at ({x:g}, {y:g}) the way round does not bend to the right; "
                        "give the upper left, upper right, lower right and lower left corner in "
                        "this order, no three of them on a line")


def area(corners: np.ndarray) -> float:
    """The area of a quadrilateral [4, 2]: half the cross product of its diagonals."""
    (x0, y0), (x1, y1) = corners[2] - corners[0], corners[3] - corners[1]
    return (x0 * y1 - y0 * x1) / 2


def homography(corners: np.ndarray, size: Size) -> np.ndarray:
    """The homography from a rectangle of size (width, height) to corners [4, 2]."""
    width, height = size
    rectangle = (0, 0), (width, 0), (width, height), (0, height)
    rows, values = [], []
    for (x, y), (u, v) in zip(rectangle, corners):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(rows, values), 1).reshape(3, 3)


def aspects_of(corners: np.ndarray, size: Size) -> list[float]:
    """Width over height of the rectangle that corners [4, 2] show in a photo of size (width,
    height): [a number], or three where the corners don't tell the lens: for a usual one, a wide one
    and a long one.

    Zhang and He, "Whiteboard scanning and image enhancement" (Digital Signal Processing 17, 2007),
    section 3, for square pixels and a photo whose middle is that of the lens. If a pair of sides is
    parallel in the photo, as when the camera was only tilted, the corners are the same for any
    lens.
    """
    # the rectangle's directions along its width and its height, as the camera sees them
    scaled = (corners - np.array(size) / 2) / max(size)
    m1, m2, m4, m3 = np.column_stack([scaled, np.ones(4)])
    n2 = np.cross(m1, m4) @ m3 / (np.cross(m2, m4) @ m3) * m2 - m1
    n3 = np.cross(m1, m4) @ m2 / (np.cross(m3, m4) @ m2) * m3 - m1

    # the lens by which they are at right angles
    focal_lengths = LENSES
    if min(abs(n2[2]), abs(n3[2])) > CONVERGING:
        square = -(n2[:2] @ n3[:2]) / (n2[2] * n3[2])
        if BELIEVED[0] ** 2 < square < BELIEVED[1] ** 2:
            focal_lengths = [math.sqrt(square)]

    lengths = [[math.hypot(*(n / (focal, focal, 1))) for n in (n2, n3)] for focal in focal_lengths]
    return [width / height for width, height in lengths]


def jacobian(matrix: np.ndarray, x: Any, y: Any) -> np.ndarray:
    """How a place of the photo moves with the place x, y in the picture, [2, 2, *shape of x]."""
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return np.array([[(matrix[0, k] - u / w * matrix[2, k]) / w for k in (0, 1)],
                     [(matrix[1, k] - v / w * matrix[2, k]) / w for k in (0, 1)]])


def stretch(matrix: np.ndarray, places: Iterable[Sequence[float]]) -> float:
    """How many pixels of the photo a pixel of the result is long, where it is longest of some
    places [N, 2]."""
    return float(max(np.linalg.norm(jacobian(matrix, x, y), 2) for x, y in places))


def warp(image: Image.Image | DeepImage, matrix: np.ndarray, size: Size) -> Any:
    """A picture of size (width, height) whose place p shows an image at matrix @ p.

    image: L, RGB, F or a DeepImage. Where that shrinks the image it is sampled more finely, and
    means of the samples are taken; in bands, so that memory does not grow with the fineness.
    """
    if isinstance(image, DeepImage):
        return image.each(lambda channel: warp(channel, matrix, size))

    width, height = size
    most = stretch(matrix, [(0, 0), (width, 0), (0, height), (width, height)])
    fine = min(FINEST, max(1, math.ceil(most - 0.1)))
    out, band = Image.new(image.mode, (width, height)), max(1, BAND // fine)

    for top in range(0, height, band):
        rows = min(band, height - top)
        part = matrix @ [[1 / fine, 0, 0], [0, 1 / fine, top], [0, 0, 1]]
        samples = image.transform(
            (width * fine, rows * fine), Image.Transform.PERSPECTIVE,
            tuple((part / part[2, 2]).ravel()[:8]), Image.Resampling.BICUBIC)
        out.paste(samples.reduce(fine) if fine > 1 else samples, (0, top))
    return out
