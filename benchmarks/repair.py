"""How well MASK repairs a photo: holes cut into photos that were whole.

    python -m benchmarks.repair [FOLDER]

Of scikit-image's brick, grass and gravel and the pictures in FOLDER, at most 512 pixels large, a disc, a stroke and a
corner are painted over; the default run with SCALE=1 draws them anew. Prints a Markdown table, a line for each hole:

edge            mean absolute 1st difference across the mask's edge over its mean along edges of this shape elsewhere in
                the whole photo; range: 5th to 95th percentile of these; true: of what was there
low             the same for the difference of the means of 8 px on both sides
contrast        deviation inside the hole over that of what was there
colour          CIELAB distance of the mean colours of what was drawn and of what was there; range: 95th percentile of
                that distance of such holes elsewhere in the photo from what was there
statistics      Portilla-Simoncelli statistics of windows of 64 px inside the hole, as in benchmarks.scores, against
                those of the photo's windows: drawn, and what was there

Results and models are kept in .repair/.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

import texture_diffusion as td
from benchmarks import scores
from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.writing import measures

SIDE = 512  # px, of a photo at most
WINDOW = 64  # px, of the windows inside a hole whose statistics are compared
PLACES = 60  # where else in the photo a hole of the same shape is laid
PAINT = (255, 0, 255)
CACHE = Path(".repair")


def cut_holes(height, width):
    """The three holes, bool [height, width] each, by name."""
    shapes = {}
    for name in ("disc", "stroke", "corner"):
        image = Image.new("L", (width, height))
        draw = ImageDraw.Draw(image)
        if name == "disc":
            y, x, radius = 0.35 * height, 0.33 * width, 58
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        elif name == "stroke":
            y, x = 0.72 * height, 0.3 * width
            draw.line([(x - 90, y + 40), (x - 50, y - 45), (x, y + 45), (x + 45, y - 45), (x + 90, y + 40)], fill=255,
                      width=16, joint="curve")
        else:
            draw.rectangle((width - 120, 0, width, 110), fill=255)
        shapes[name] = np.asarray(image) > 0
    return shapes


def exemplars(folder):
    """{name: pixels uint8 [H, W, 3]} of the photos."""
    from skimage import data

    found = {name: Image.fromarray(getattr(data, name)()) for name in ("brick", "grass", "gravel")}
    for path in sorted(Path(folder).iterdir()) if folder else ():
        if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
            found[path.stem] = photos.open_image(path)[0]
    small = {name: photos.shrink(image, SIDE) if max(image.size) > SIDE else image for name, image in found.items()}
    return {name: np.asarray(image.convert("RGB")) for name, image in small.items()}


def repaired(name, pixels, hidden, **constants):
    """The photo [H, W, 3] with what was hidden drawn anew by a run of the tool, uint8 [H, W, 3]."""
    CACHE.mkdir(exist_ok=True)
    shutil.rmtree(CACHE / name, ignore_errors=True)  # of a repair by another commit
    Image.fromarray(np.where(hidden[..., None], np.array(PAINT, np.uint8), pixels)).save(CACHE / f"{name}.png")
    Image.fromarray(hidden).convert("L").save(CACHE / f"{name}_mask.png")
    chosen = {"MASK": CACHE / f"{name}_mask.png", "SCALE": 1, "OUTPUT_DIR": CACHE, "CHECKPOINT_DIR": CACHE, **constants}
    td.main([str(CACHE / f"{name}.png"), *(f"{key}={value}" for key, value in chosen.items())])
    return np.asarray(Image.open(CACHE / name / "repaired.png").convert("RGB"))


def edge_steps(pixels, hidden, reach=1):
    """Mean absolute difference of the means of `reach` px on both sides of a mask's edge, of pixels float [H, W, 3]."""
    total, count = 0.0, 0
    for x, inside in ((pixels, hidden), (pixels.swapaxes(0, 1), hidden.T)):
        sums = np.cumsum(np.pad(x, ((0, 0), (1, 0), (0, 0))), axis=1)
        means = (sums[:, reach:] - sums[:, :-reach]) / reach  # of the pixels from each one on
        size = np.abs(means[:, reach:] - means[:, :-reach]).mean(-1)
        crossed = (inside[:, 1:] != inside[:, :-1])[:, reach - 1:reach - 1 + size.shape[1]]
        total, count = total + size[crossed].sum(), count + crossed.sum()
    return total / count


def elsewhere(hidden, rng):
    """The hole at PLACES other places of the photo, bool [H, W] each: where it lies at an edge it stays at one."""
    ys, xs = np.nonzero(hidden)
    for _ in range(PLACES):
        turned = np.rot90(hidden[ys.min():ys.max() + 1, xs.min():xs.max() + 1], rng.integers(4))
        moved = np.zeros_like(hidden)
        y, x = (rng.integers(1, side - length) for side, length in zip(hidden.shape, turned.shape))
        moved[y:y + turned.shape[0], x:x + turned.shape[1]] = turned
        yield moved


def windows_in(pixels, hidden):
    """Windows of WINDOW px that lie in a hole, [N, WINDOW, WINDOW, 3]."""
    inside = -F.max_pool2d(-torch.from_numpy(hidden).float()[None, None], WINDOW, 4)[0, 0]
    return scores.cut(pixels, inside.nonzero().numpy() * 4, WINDOW)


def judge(drawn, truth, hidden, real, rng):
    """The figures of a hole, {name: text}; drawn, truth: uint8 [H, W, 3]; hidden: bool [H, W]; real: the statistics of
    the photo's windows."""
    figures, others = {}, list(elsewhere(hidden, rng))
    pixels = [x.astype(np.float32) for x in (drawn, truth)]
    for name, reach in (("edge", 1), ("low", 8)):
        found = np.array([edge_steps(pixels[1], other, reach) for other in others])
        ours, true = (edge_steps(x, hidden, reach) / found.mean() for x in pixels)
        low, high = np.percentile(found / found.mean(), (5, 95))
        figures[name] = f"{ours:.2f} ({low:.2f} to {high:.2f}; {true:.2f})"
    figures["contrast"] = f"{drawn[hidden].std(0).mean() / truth[hidden].std(0).mean():.2f}"
    lab = measures.to_lab(truth)
    there = lab[hidden].mean(0)
    distances = [np.linalg.norm(lab[other].mean(0) - there) for other in others]
    figures["colour"] = f"{np.linalg.norm(measures.to_lab(drawn[hidden]).mean(0) - there):.1f} " \
                        f"({np.percentile(distances, 95):.1f})"
    figures["statistics"] = "-"
    if len(windows_in(truth, hidden)):
        ours, true = (scores.statistics_distance(scores.texture_statistics(windows_in(x, hidden)), real)
                      for x in (drawn, truth))
        figures["statistics"] = f"{ours:.2f}, {true:.2f}"
    return figures


def main():
    """The command line."""
    rows = []
    for name, pixels in exemplars(sys.argv[1] if len(sys.argv) > 1 else None).items():
        shapes = cut_holes(*pixels.shape[:2])
        drawn = repaired(name, pixels, np.any(list(shapes.values()), 0))
        real = scores.reference(pixels, WINDOW).statistics
        for shape, hidden in shapes.items():
            rows.append([name, shape, *judge(drawn, pixels, hidden, real, np.random.default_rng(0)).values()])
            print("| " + " | ".join(rows[-1]) + " |", flush=True)
    print("\n| photo | hole | edge (range; true) | low (range; true) | contrast | colour (range) | statistics: drawn, "
          "true |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    from texture_diffusion_tools.running import exit_codes

    sys.exit(exit_codes.run(main))
