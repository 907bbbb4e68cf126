"""How much of a texture is the photo's own, pixel by pixel, and in how large pieces.

Each cell of the texture is looked up in the photo. A pixel is the photo's own if it lies in a window that agrees with
the photo there, or where a cell beside it was found. Brightness is compared, which JPEG files keep better than colours,
and by the contrast around it: what is smooth is like anything that is smooth. What was turned, mirrored or lit anew is
not found, nor are pieces so narrow that no cell lies in them.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA

CELL = 16  # side, px
COMPONENTS, SAMPLE = 24, 2000  # by which cells are looked up; of so many patches of the photo
QUERIES = 64  # cells that are looked up at once
WINDOW = 7  # side of the windows that have to agree, px
SAME, EQUAL = 0.2, 1.0  # windows that differ by no more (RMS) agree: of the deviation in a cell around them; levels
LARGE = 255.0**2  # difference to what lies outside the photo


def copied(pixels: np.ndarray, photo: np.ndarray) -> dict[str, float]:
    """Of a texture and a photo uint8 [H, W, 3]: "own", the share of the texture that is the photo's own, and "largest
    piece", the area of the largest connected part of it that lies in the photo in one piece, too, over the photo's."""
    height, width = (side // CELL * CELL for side in pixels.shape[:2])
    away = places(pixels[:height, :width], photo)
    own, away = agreeing(pixels[:height, :width], photo, away)
    return {"own": float(own.mean()), "largest piece": largest(own, away) / photo[..., 0].size}


def copied_by_halves(photo: np.ndarray) -> dict[str, float]:
    """The same of one half of a photo uint8 [H, W, 3] and the other, the mean of both ways."""
    halves = np.array_split(photo, 2, int(photo.shape[1] >= photo.shape[0]))
    found = [copied(*pair) for pair in (halves, halves[::-1])]
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def places(pixels: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """How far from each cell of a texture the most similar patch of the photo lies, (down, right): int [h, w, 2]."""
    x, y = (torch.tensor(picture).movedim(-1, 0)[None].float() / 255 for picture in (pixels, photo))

    # principal components of some of the photo's patches
    rng = np.random.default_rng(0)
    corners = np.stack([rng.integers(side - CELL + 1, size=SAMPLE) for side in photo.shape[:2]], 1)
    sample = np.stack([y[0, :, a:a + CELL, b:b + CELL].flatten().numpy() for a, b in corners])
    basis = torch.from_numpy(PCA(COMPONENTS, random_state=0).fit(sample).components_).view(-1, 3, CELL, CELL)

    # all patches of the photo, all cells of the texture, and the nearest of the ones to each of the others
    known, queries = F.conv2d(y, basis)[0], F.conv2d(x, basis, stride=CELL)[0]
    wide, shape = known.shape[2], queries.shape[1:]
    known, queries = known.flatten(1), queries.flatten(1).T
    energy = known.square().sum(0) / 2
    nearest = torch.cat([(energy - part @ known).argmin(1) for part in queries.split(QUERIES)]).view(shape).numpy()
    return np.stack([nearest // wide, nearest % wide], -1) - CELL * np.indices(shape).transpose(1, 2, 0)


def agreeing(pixels: np.ndarray, photo: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels are the photo's own, bool [H, W], and how far away they lie there, int [H, W, 2]; away: of cells."""
    grey = pixels.mean(-1, dtype=np.float32)
    mean, square = (ndimage.uniform_filter(x, CELL) for x in (grey, grey**2))
    limit = np.maximum(SAME**2 * (square - mean**2), EQUAL**2)
    around = np.pad(away, ((1, 1), (1, 1), (0, 0)), "edge")
    own, found = np.zeros(pixels.shape[:2], bool), np.zeros((*pixels.shape[:2], 2), int)

    # where the cell itself was found, then where those beside it were
    for down, right in sorted(np.ndindex(3, 3), key=lambda side: abs(side[0] - 1) + abs(side[1] - 1)):
        there = around[down:down + len(away), right:right + away.shape[1]].repeat(CELL, 0).repeat(CELL, 1)
        near = ndimage.uniform_filter(differences(pixels, photo, there), WINDOW) <= limit
        new = ndimage.maximum_filter(near, WINDOW) & ~own
        own |= new
        found[new] = there[new]
    return own, found


def differences(pixels: np.ndarray, photo: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Square of what each pixel of a texture is brighter by than the one so far away in the photo, float32 [H, W]."""
    y, x = np.moveaxis(away, -1, 0) + np.indices(pixels.shape[:2])
    inside = (y >= 0) & (y < photo.shape[0]) & (x >= 0) & (x < photo.shape[1])
    there = photo[y.clip(0, photo.shape[0] - 1), x.clip(0, photo.shape[1] - 1)]
    brighter = (pixels - there.astype(np.float32)).mean(-1)
    return np.where(inside, np.square(brighter), np.float32(LARGE))


def largest(own: np.ndarray, away: np.ndarray) -> int:
    """How many pixels the largest piece has: own ones beside each other that lie equally far away in the photo."""
    numbers, ends = np.arange(own.size).reshape(own.shape), []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        joined = own[here] & own[there] & (away[here] == away[there]).all(-1)
        ends.append(np.stack([numbers[here][joined], numbers[there][joined]]))
    ends = np.concatenate(ends, 1)
    links = coo_array((np.ones(ends.shape[1], np.int8), tuple(ends)), 2 * [own.size])
    piece = connected_components(links, directed=False)[1].reshape(own.shape)
    return int(np.bincount(piece[own], minlength=1).max())
