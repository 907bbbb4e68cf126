"""Scores of a drawn texture, on its generated tiles alone.

    python -m benchmarks.scores PHOTO TEXTURE [TEXTURE ...]

TEXTURE is a picture written by texture_diffusion.py: its metadata says how it was laid out, and the
layout is computed again to know which tiles are generated. Prints a Markdown table: a row for the floor (the
photo against itself), one for the ceiling (the photo with its pixels shuffled), one a picture.

patch SWD       sliced Wasserstein distance of 7 x 7 patches, levels, 256 fixed projections, mean of 3 scales
spectrum dB     RMS difference of the mean power spectra of generated tiles and of the photo's windows, above 2
                cycles a tile; blur and noise show here
statistics      Portilla-Simoncelli statistics of the luminance, and means and deviations of the channels: difference
                of the means over the deviation among the photo's windows, each cut at 10, mean of all
C2ST            classifier two-sample test on these statistics: AUC of a linear classifier that tells generated tiles
                from the photo's windows, cross-validated; 0.5 is chance
C2ST apart      the same, but judged on another quarter of the photo than it was trained on: the windows of a photo
                overlap, so that C2ST can know this photo by heart, and then even more of the same texture is told
                from it (0.9 on samples/stones.png)
C2ST borders    C2ST for windows that straddle a border of generated tiles
VGG, VGG apart  C2ST and C2ST apart on what an eye sees: features of a network that knows photographs, see vgg.py
own             share of the whole texture, real tiles included, that is the photo's own, see copies.py. Floor: of one
                half of the photo that is found in the other
largest piece   the largest connected part of it that lies in the photo in one piece, too, of the photo's area
seam 1st, 2nd   mean absolute 1st and 2nd difference across tile borders over that inside generated tiles;
                1 is invisible. Floor: 5th to 95th percentile on lines laid at random through the photo
seam low        the same for the step between the means of 8 px on both sides
colour          CIELAB distance of the mean colours of generated tiles and photo; about 1 is just visible. Floor:
                what random halves of the photo's tiles differ by
spread          deviation of the tiles' mean CIELAB colours over that of the tiles that the photo is cut into
contrast        standard deviation of the generated tiles' pixels over that of the photo's
novelty         distance of generated 16 x 16 patches to the nearest patch in one half of the photo, over that
                of patches of the other half; mean of both halves. Below 1 is closer to copying, far above is noise
verbatim        the largest piece of a drawn tile that stands in the photo as it is, of its area: 16 x 16 patches side
                by side whose nearest patches in the photo are side by side, too. 0: no two are; 1: all of the tile
repetition      largest normalised autocorrelation of the whole texture further away than a tile, over the photo's.
                Ceiling: the photo, repeated
drift           spectrum, contrast and colour by the order in which tiles were drawn, where there is one
"""

import ast
import functools
import sys
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from plenoptic.models import PortillaSimoncelli
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import texture_diffusion as td
from benchmarks import copies, vgg
from texture_diffusion_tools.laying import grids
from texture_diffusion_tools.writing import checks, measures
from texture_diffusion_tools.writing.checks import LOW

LUMA = (0.299, 0.587, 0.114)  # of R, G, B (Rec. 601)
WINDOWS = 200  # windows of one tile that represent the photo, and tiles that represent a texture, at most
PATCH = 16  # side of the patches that novelty compares, px
QUERIES = 2000  # generated patches that are looked up
STRIDE = 2  # between the photo's patches, px
COPIES = 16  # tiles that are looked at for what is verbatim
SWD_PATCH, SWD_PATCHES, SWD_DIRECTIONS, SWD_SCALES = 7, 16384, 256, 3  # side in px; patches, projections, scales
CORRELATION_WIDTH = 7  # of the Portilla-Simoncelli autocorrelations, px
COMPONENTS, FOLDS = 40, 5  # principal components, of the classifier and of patches; of its cross-validation
CUT = 10  # no single statistic counts more than so many deviations
GRIDS = 50  # grids of lines laid at random through the photo
HALVINGS = 20  # random halves of the photo's tiles that are compared
STAGES = 4  # of a texture drawn in many passes, for its drift


# =============================================================================================
# Pictures, tiles and windows
# =============================================================================================


def read_texture(path, photo_path):
    """The Photo, the texture uint8 [H, W, 3], its Layout and tile side, from a picture's metadata."""
    image = Image.open(path)
    constants = ast.literal_eval(image.text["constants"])
    prepared = (constants.get(name) for name in ("EVEN_LIGHT", "CORNERS", "ASPECT"))  # a file of before has none
    photo = td.load_photo(photo_path, constants["CROP"], constants["MAX_SIDE"], *prepared)
    tile, pixels = constants["TILE_SIZE"], np.asarray(image.convert("RGB"))
    grid = grids.make_grid(*pixels.shape[:2], tile, constants.get("TILEABLE", "none"))
    layout = td.lay_out(photo, constants["LAYOUT"], grid, int(image.text["seed"]), constants.get("AUGMENT", "none"),
                        constants.get("REDRAW_ORIGINALS", False) or constants.get("REDRAW") == "all")
    return photo, pixels, layout, tile


def tiles_where(pixels, layout, tile, real):
    """Whole real or generated tiles of a texture [H, W, 3], uint8 [N, T, T, 3]."""
    return cut(pixels, np.argwhere(layout.real() == real) * tile, tile)


def cut(pixels, corners, tile):
    """Windows at corners [(y, x), ...] of a picture [H, W, 3], those inside it, [N, T, T, 3]."""
    inside = [(y, x) for y, x in corners if y + tile <= pixels.shape[0] and x + tile <= pixels.shape[1]]
    return np.array([pixels[y:y + tile, x:x + tile] for y, x in inside]).reshape(-1, tile, tile, 3)


def window_corners(pixels, tile, step):
    """Corners (y, x) of the windows of the photo [H, W, 3] at every step pixels, int [N, 2]."""
    ys, xs = (range(0, side - tile + 1, step) for side in pixels.shape[:2])
    return np.array([(y, x) for y in ys for x in xs])


def quarters_of(corners, pixels, tile):
    """Which quarter of the photo [H, W, 3] windows lie in, 0..3, or -1 in more than one: int [N]."""
    half = np.array(pixels.shape[:2]) // 2
    whole = ((corners + tile <= half) | (corners >= half)).all(1)
    return np.where(whole, (corners >= half) @ [2, 1], -1)


def photo_tiles(pixels, tile, step=None):
    """Windows of the photo [H, W, 3] at every step pixels (a quarter tile if None), [N, T, T, 3]."""
    return cut(pixels, window_corners(pixels, tile, step or tile // 4), tile)


def border_windows(pixels, layout, tile):
    """Windows with a border of a generated tile through their middle, upright or level, [N, T, T, 3]."""
    real, corners = layout.real(), []
    for dy, dx in ((0, 1), (1, 0)):
        between = real[:len(real) - dy, :real.shape[1] - dx] & real[dy:, dx:]
        corners += [(i * tile + dy * tile // 2, j * tile + dx * tile // 2) for i, j in np.argwhere(~between)]
    return cut(pixels, corners, tile)


def some(tiles, rng, count=WINDOWS):
    """At most count of the tiles [N, ...], in random order."""
    return tiles[rng.permutation(len(tiles))[:count]]


def luminance(pictures):
    """uint8 [..., 3] to float64 [...], 0 to 255."""
    return pictures @ np.array(LUMA)


# =============================================================================================
# Fidelity
# =============================================================================================


def spectrum(tiles):
    """Mean 2-D power spectrum of the luminance of tiles [N, T, T, 3] under a Hann window, in dB."""
    grey = luminance(tiles)
    window = np.hanning(grey.shape[-1])
    grey = (grey - grey.mean((1, 2), keepdims=True)) * window[:, None] * window
    return 10 * np.log10((np.abs(np.fft.fft2(grey)) ** 2).mean(0) + 1e-12)


def spectrum_difference(a, b):
    """RMS difference in dB of the spectra of two sets of tiles above 2 cycles a tile."""
    f = np.fft.fftfreq(a.shape[1]) * a.shape[1]
    return float(np.sqrt(((spectrum(a) - spectrum(b))[np.hypot(f[:, None], f) > 2] ** 2).mean()))


def random_patches(pictures, rng):
    """Patches at random places of pictures float [N, 3, h, w], float32 [SWD_PATCHES, 3 * SWD_PATCH**2]."""
    views = sliding_window_view(pictures, (SWD_PATCH, SWD_PATCH), (2, 3))
    n, y, x = (rng.integers(side, size=SWD_PATCHES) for side in np.delete(views.shape[:4], 1))
    return views[n, :, y, x].reshape(SWD_PATCHES, -1)


def patch_swd(a, b):
    """Sliced Wasserstein distance of the patches of two sets of pictures uint8 [N, h, w, 3], in levels."""
    rng, distances = np.random.default_rng(0), []
    a, b = (torch.tensor(x).float().movedim(-1, 1) for x in (a, b))
    for _ in range(SWD_SCALES):
        directions = rng.standard_normal((3 * SWD_PATCH**2, SWD_DIRECTIONS), np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        u, v = (np.sort(random_patches(x.numpy(), rng) @ directions, axis=0) for x in (a, b))
        distances.append(float(np.abs(u - v).mean()))
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return sum(distances) / len(distances)


@torch.inference_mode()
def texture_statistics(tiles):
    """Portilla-Simoncelli statistics of the luminance, means and deviations of the channels, [N, T, T, 3] to [N, D].

    Three scales, or as many as leave the width of the autocorrelations at the coarsest (Portilla and Simoncelli 2000).
    """
    side = tiles.shape[1]
    scales = next(scales for scales in (3, 2, 1) if side >> scales >= CORRELATION_WIDTH or scales == 1)
    model = PortillaSimoncelli((side, side), n_scales=scales, spatial_corr_width=CORRELATION_WIDTH)
    grey = torch.from_numpy(luminance(tiles) / 255).float()[:, None]
    grey = torch.cat([model(part)[:, 0] for part in grey.split(16)]).numpy()
    values = [grey, tiles.mean((1, 2)) / 255, tiles.std((1, 2)) / 255]
    return np.nan_to_num(np.concatenate(values, 1).astype(np.float64), posinf=0, neginf=0)  # those of a plain tile


def varying(statistics):
    """Which statistics [N, D] are more than a constant and rounding, bool [D]."""
    return statistics.std(0) > 1e-4 * np.abs(statistics).mean(0) + 1e-9


def statistics_distance(a, b):
    """Mean over the statistics of the difference of the means of a [N, D] and b [M, D] over the deviation in b."""
    used = varying(b)
    return float((np.abs(a.mean(0) - b.mean(0))[used] / b.std(0)[used]).clip(max=CUT).mean())


def c2st(a, b, folds=None):
    """AUC of a linear classifier that tells statistics a [N, D] from b [M, D] (arXiv 1610.06545), 0.5: it cannot.

    folds: the number of the fold that each row of a and b is in, int [N + M]; None: FOLDS random ones.
    """
    x, y = np.concatenate([a, b]), np.repeat([1, 0], [len(a), len(b)])
    x = x[:, varying(x)]
    count = min(FOLDS, len(a), len(b))
    cv = StratifiedKFold(count, shuffle=True, random_state=0) if folds is None else PredefinedSplit(folds)
    smallest = min(len(train) for train, _ in cv.split(x, y))
    components = PCA(min(COMPONENTS, smallest - 1, x.shape[1]), svd_solver="full")
    judge = make_pipeline(StandardScaler(), components, RidgeClassifier())
    return float(cross_val_score(judge, x, y, cv=cv, scoring="roc_auc").mean())


def c2st_apart(a, b, a_quarters, b_quarters):
    """c2st() with the quarters of the photo (see quarters_of) as folds; rows of b in none of them are left out."""
    used = b_quarters >= 0
    return c2st(a, b[used], np.concatenate([a_quarters, b_quarters[used]]))


# =============================================================================================
# Colour
# =============================================================================================


def colour(a, b):
    """CIELAB distance of the mean colours of two sets of pictures, uint8 [N, h, w, 3]."""
    return float(np.linalg.norm(measures.to_lab(a).mean((0, 1, 2)) - measures.to_lab(b).mean((0, 1, 2))))


def colour_of_halves(pixels, tile, rng):
    """The mean of colour() over random halves of the tiles that the photo [H, W, 3] is cut into."""
    tiles = photo_tiles(pixels, tile, tile)
    halves = [np.array_split(rng.permutation(len(tiles)), 2) for _ in range(HALVINGS)]
    return float(np.mean([colour(tiles[a], tiles[b]) for a, b in halves]))


def spread(tiles):
    """Deviation of the mean CIELAB colours of tiles [N, T, T, 3]."""
    return float(np.sqrt(measures.to_lab(tiles).mean((1, 2)).var(0).sum()))


def contrast(a, b):
    """Ratio of the standard deviations of two sets of pictures [N, h, w, 3] around the channels' means."""
    a, b = ((x - x.mean((0, 1, 2))).std() for x in (a, b))
    return float(a / b)


# =============================================================================================
# Seams
# =============================================================================================


def low_seam(pixels, layout, tile):
    """The step between the means of LOW px on both sides of borders of generated tiles over that inside them."""
    sums = np.zeros((2, 2))  # {border, inside}, {sum, count}
    _, made = layout.seen_at((0, 0), pixels.shape[:2])
    for x, drawn in ((pixels, made), (pixels.swapaxes(0, 1), made.T)):
        total = np.cumsum(np.pad(x, ((0, 0), (1, 0), (0, 0))), axis=1, dtype=np.float32)
        means = (total[:, LOW:] - total[:, :-LOW]) / LOW  # of the LOW px from each pixel on
        size = np.abs(means[:, LOW:] - means[:, :-LOW]).mean(-1)
        at = np.arange(LOW, LOW + size.shape[1])  # the line before pixel at
        near = drawn[:, at - 1] | drawn[:, at]
        for k, lines in enumerate((at % tile == 0, (at % tile >= LOW) & (at % tile <= tile - LOW))):
            mask = near & lines
            sums[k] += size[mask].sum(), mask.sum()
    means = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return float(means[0] / max(means[1], 1e-9))


def seams(pixels, layout, tile):
    """The three seam ratios of a texture [H, W, 3], name -> value; 1 is invisible."""
    first, second = measures.seam_ratios(pixels, layout)
    return {"seam 1st": first, "seam 2nd": second, "seam low": low_seam(pixels, layout, tile)}


def all_drawn(grid):
    """The Layout without real tiles."""
    return td.Layout(grid, np.full((*grid.shape(), 2), -1), [grid.cells()])


def seams_by_chance(pixels, tile, rng):
    """5th and 95th percentile of the seam ratios of grids laid at random through a photo, name -> (low, high)."""
    found = []
    for y, x in rng.integers(tile, size=(GRIDS, 2)):
        part = pixels[y:, x:]
        found.append(seams(part, all_drawn(grids.make_grid(*part.shape[:2], tile)), tile))
    return {name: tuple(np.percentile([row[name] for row in found], (5, 95)).tolist()) for name in found[0]}


# =============================================================================================
# Novelty, repetition, drift
# =============================================================================================


def patches_of(pictures, stride):
    """All patches of pictures [N, h, w, 3] at a stride, float32 [M, PATCH * PATCH * 3]."""
    x = torch.tensor(pictures).float()
    x = x.unfold(1, PATCH, stride).unfold(2, PATCH, stride)
    return x.reshape(-1, 3 * PATCH * PATCH)


def nearest(queries, patches):
    """Mean distance of queries [Q, D] to the nearest of patches [M, D]."""
    best = torch.full((len(queries),), torch.inf)
    for part in patches.split(8192):
        best = torch.minimum(best, torch.cdist(queries, part).amin(1))
    return float(best.mean())


def novelty(generated, pixels, rng):
    """See the module's text; generated tiles [N, T, T, 3], photo [H, W, 3]."""
    axis = int(pixels.shape[1] >= pixels.shape[0])
    halves = [patches_of(half[None], STRIDE) for half in np.array_split(pixels, 2, axis)]
    made = some(patches_of(generated, PATCH // 2), rng, QUERIES)
    return sum(nearest(made, here) / nearest(some(there, rng, QUERIES), here)
               for here, there in (halves, halves[::-1])) / 2


def verbatim(generated, pixels):
    """See the module's text; the mean of a few generated tiles [N, T, T, 3] of a photo [H, W, 3]."""
    photo, rows = patches_of(pixels[None], STRIDE), generated.shape[1] // PATCH
    pca = PCA(COMPONENTS, random_state=0).fit(photo[::max(1, len(photo) // WINDOWS**2)].numpy())
    project = torch.from_numpy(pca.components_.T)
    known = torch.cat([part @ project for part in photo.split(8192)])
    found = []
    for queries in torch.from_numpy(generated[:COPIES]):
        queries = patches_of(queries.numpy()[None], PATCH) @ project
        places = torch.cat([torch.cdist(part, known).argmin(1) for part in queries.split(256)])
        wide = (pixels.shape[1] - PATCH) // STRIDE + 1
        away = STRIDE * np.stack([(places // wide).numpy(), (places % wide).numpy()], 1).reshape(rows, rows, 2)
        found.append(largest_piece(away - PATCH * np.indices((rows, rows)).transpose(1, 2, 0)))
    return float(np.mean(found))


def largest_piece(away):
    """The share of patches in the largest piece of those beside each other that lie as far from where they stand in the
    photo, within a step, int [rows, columns, 2]; 0 if it is of one patch alone."""
    numbers = np.arange(away[..., 0].size).reshape(away.shape[:2])
    joined = []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        same = np.abs(away[here] - away[there]).max(-1) <= STRIDE
        joined.append(np.stack([numbers[here][same], numbers[there][same]]))
    ends = np.concatenate(joined, 1)
    links = coo_array((np.ones(ends.shape[1]), tuple(ends)), 2 * [numbers.size])
    size = np.bincount(connected_components(links, directed=False)[1]).max()
    return 0.0 if size == 1 else size / numbers.size


def autocorrelation(pixels, tile):
    """The largest of the luminance of a picture [H, W, 3] further away than a tile, see checks.autocorrelation()."""
    return checks.autocorrelation(luminance(pixels), tile)[0]


def drift(pixels, layout, tile, real):
    """Spectrum, contrast and colour of the tiles in the order in which they were drawn, passes joined to at most
    STAGES: a list of {name: value}, empty if there was one pass; real: the Reference."""
    if len(layout.passes) < 2:
        return []
    stages = np.array_split(np.arange(len(layout.passes)), min(STAGES, len(layout.passes)))
    cells = [np.array([cell for k in stage for cell in layout.passes[k]]) for stage in stages]
    tiles = [cut(pixels, part * tile, tile) for part in cells]
    return [{"spectrum dB": spectrum_difference(part, real.windows), "contrast": contrast(part, real.pictures),
             "colour": colour(part, real.pictures)} for part in tiles if len(part)]


# =============================================================================================
# All of them
# =============================================================================================


@dataclass(frozen=True)
class Reference:
    """What textures are compared with."""

    pictures: np.ndarray  # uint8 [N, h, w, 3]: the photo alone, or windows of it
    windows: np.ndarray  # uint8 [M, T, T, 3], at most WINDOWS
    statistics: np.ndarray  # of the windows, [M, D]
    quarters: np.ndarray  # which quarter of the photo each window lies in, 0..3 or -1, [M]

    @functools.cached_property
    def features(self) -> np.ndarray:
        """What an eye sees of the windows, [M, D]."""
        return vgg.features(self.windows)


def reference(pixels, tile):
    """The Reference of a photo uint8 [H, W, 3]."""
    corners = some(window_corners(pixels, tile, tile // 4), np.random.default_rng(0))
    windows = cut(pixels, corners, tile)
    return Reference(pixels[None], windows, texture_statistics(windows), quarters_of(corners, pixels, tile))


def tile_scores(tiles, real):
    """The scores of tiles uint8 [N, T, T, 3] that need nothing around them, name -> value; real: a Reference."""
    statistics, side = texture_statistics(tiles), tiles.shape[1]
    all_tiles = np.concatenate([photo_tiles(picture, side, side) for picture in real.pictures])
    return {"patch SWD": patch_swd(tiles, real.pictures), "spectrum dB": spectrum_difference(tiles, real.windows),
            "statistics": statistics_distance(statistics, real.statistics),
            "C2ST": c2st(statistics, real.statistics),
            "C2ST apart": c2st_apart(statistics, real.statistics, np.arange(len(tiles)) % 4, real.quarters),
            "colour": colour(tiles, real.pictures),
            "spread": spread(tiles) / max(spread(all_tiles), 1e-9), "contrast": contrast(tiles, real.pictures)}


def drawn_tiles(pixels, layout, tile, rng=None):
    """The generated tiles of a texture [H, W, 3] that are scored, [N, T, T, 3]."""
    return some(tiles_where(pixels, layout, tile, real=False), rng or np.random.default_rng(0))


def score(pixels, layout, tile, real):
    """All scores of a texture uint8 [H, W, 3] but those of judged(), name -> value, with the list "drift"; real: the
    photo's Reference."""
    rng, photo = np.random.default_rng(0), real.pictures[0]
    tiles = drawn_tiles(pixels, layout, tile, rng)
    borders = some(border_windows(pixels, layout, tile), rng)
    return {**tile_scores(tiles, real), "C2ST borders": c2st(texture_statistics(borders), real.statistics),
            **seams(pixels, layout, tile), "novelty": novelty(tiles, photo, rng), "verbatim": verbatim(tiles, photo),
            "repetition": autocorrelation(pixels, tile) / autocorrelation(photo, tile),
            "drift": drift(pixels, layout, tile, real)}


def seen(tiles: np.ndarray, real: Reference) -> dict[str, float]:
    """The scores of the second classifier, of tiles uint8 [N, T, T, 3]; real: a Reference."""
    features, quarters = vgg.features(tiles), np.arange(len(tiles)) % 4
    return {"VGG": c2st(features, real.features),
            "VGG apart": c2st_apart(features, real.features, quarters, real.quarters)}


def judged(pixels, layout, tile, real):
    """All scores of a texture, as score() has them, and what takes a dozen seconds more: what an eye sees, and how much
    of the texture is the photo's own."""
    return {**score(pixels, layout, tile, real), **seen(drawn_tiles(pixels, layout, tile), real),
            **copies.copied(pixels, real.pictures[0])}


def floor(real, tile):
    """The scores of the photo against itself: of one half of its windows against the other, name -> value.

    All AUCs are the one with quarters as folds: in random folds a window of one half overlaps windows of the other,
    which looks as if it belonged there, and the AUC falls below a half.
    """
    rng, photo = np.random.default_rng(1), real.pictures[0]
    a, b = np.array_split(rng.permutation(len(real.windows)), 2)
    windows = real.windows[b]
    found = tile_scores(real.windows[a], Reference(windows, windows, real.statistics[b], real.quarters[b]))
    inside = a[real.quarters[a] >= 0]
    accuracy, eye = (c2st_apart(x[inside], x[b], real.quarters[inside], real.quarters[b])
                     for x in (real.statistics, real.features))
    return {**found, "C2ST": accuracy, "C2ST apart": accuracy, "C2ST borders": accuracy,
            "VGG": eye, "VGG apart": eye, **copies.copied_by_halves(photo),
            "colour": colour_of_halves(photo, tile, rng), **seams_by_chance(photo, tile, rng),
            "novelty": 1.0, "repetition": 1.0}


def ceiling(real, tile):
    """The scores of the photo with its pixels shuffled (and, for the repetition, repeated), name -> value."""
    rng, photo = np.random.default_rng(2), real.pictures[0]
    shuffled = rng.permutation(photo.reshape(-1, 3)).reshape(photo.shape)
    tiles = some(photo_tiles(shuffled, tile), rng)
    found = tile_scores(tiles, real)
    return {**found, **seen(tiles, real), **copies.copied(shuffled, photo),
            "C2ST borders": found["C2ST"], "novelty": novelty(tiles, photo, rng),
            "repetition": 1 / autocorrelation(photo, tile)}


DIGITS = {"patch SWD": 2, "spectrum dB": 2, "statistics": 2, "C2ST": 2, "C2ST apart": 2, "C2ST borders": 2,
          "VGG": 2, "VGG apart": 2, "own": 2, "largest piece": 3, "novelty": 2, "verbatim": 2,
          "seam 1st": 2, "seam 2nd": 2, "seam low": 2, "colour": 2, "spread": 2, "contrast": 3, "repetition": 2}


def markdown_header(first, names=tuple(DIGITS)):
    """The first two lines of a table of scores."""
    return "\n".join(["| " + " | ".join([first, *names]) + " |", "|" + "---|" * (len(names) + 1)])


def markdown_row(first, scores, names=tuple(DIGITS)):
    """A line of a table of scores; a range (low, high) is written low-high, a score that is not there as -."""
    cells = []
    for name in names:
        value = scores.get(name, ())
        values = value if isinstance(value, (list, tuple)) else (value,)
        cells.append("-".join(f"{part:.{DIGITS[name]}f}" for part in values) or "-")
    return "| " + " | ".join([first, *cells]) + " |"


def drift_line(first, scores):
    """A sentence with the drift of a texture, "" where it was drawn in one pass."""
    stages = scores.get("drift") or []
    parts = [f"{name} " + ", ".join(f"{stage[name]:.2f}" for stage in stages) for name in (stages[0] if stages else ())]
    return f"Drift of {first}, in the order of drawing: {'; '.join(parts)}." if stages else ""


def main():
    """The command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    known, notes = None, []
    for path in sys.argv[2:]:
        photo, pixels, layout, tile = read_texture(path, sys.argv[1])
        if known != (photo.digest, tile):
            known, real = (photo.digest, tile), reference(photo.pixels(photo.x), tile)
            print(markdown_header("picture") + "\n" + markdown_row("floor", floor(real, tile)))
            print(markdown_row("ceiling", ceiling(real, tile)), flush=True)
        scores = judged(pixels, layout, tile, real)
        notes.append(drift_line(path, scores))
        print(markdown_row(path, scores), flush=True)
    print("\n" + "\n".join(filter(None, notes)))


if __name__ == "__main__":
    main()
