"""Whether a tileable texture shows where it wraps around, measured on the file as saved.

    python -m benchmarks.wrap PICTURE...

For each picture and direction: mean absolute 1st and 2nd difference, and the step between the means of 8 pixels on both
sides, along the line where the picture wraps, over their mean on all lines; beside them the 5th and 95th percentile of
the same figures on all lines through the picture. A seam lies above.
"""

import sys

import numpy as np

from benchmarks.scores import LOW
from texture_diffusion_tools import photos


def line_figures(pixels):
    """The three figures of each line between column k - 1 and column k of a picture [H, W, 3] that wraps around,
    {name: float [W]}, over their means."""
    x = pixels.astype(np.float32)
    first = x - np.roll(x, 1, 1)  # across the line before column k
    second = first - np.roll(first, 1, 1)  # over columns k - 2 to k, so that two of them cross it
    total = sum(np.roll(x, k, 1) for k in range(LOW)) / LOW  # of the LOW columns up to column k
    low = np.roll(total, 1 - LOW, 1) - np.roll(total, 1, 1)
    figures = {"1st": first, "2nd": (np.abs(second) + np.abs(np.roll(second, -1, 1))) / 2, "low": low}
    means = {name: np.abs(values).mean((0, 2)) for name, values in figures.items()}
    return {name: values / values.mean() for name, values in means.items()}


def judge(pixels):
    """[(direction, name, figure where it wraps, 5th and 95th percentile of all lines)] of a picture [H, W, 3]."""
    rows = []
    for direction, x in (("x", pixels), ("y", pixels.swapaxes(0, 1))):
        for name, values in line_figures(x).items():
            rows.append((direction, name, float(values[0]), *np.percentile(values, (5, 95)).tolist()))
    return rows


def main():
    """The command line."""
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n\n")[1].strip())
    print("| picture | direction | figure | where it wraps | 5th to 95th percentile |\n|---|---|---|---|---|")
    for path in sys.argv[1:]:
        pixels = np.asarray(photos.open_image(path)[0].convert("RGB"))
        for direction, name, value, low, high in judge(pixels):
            print(f"| {path} | {direction} | {name} | {value:.2f} {'' if value <= high else '**seam**'} | "
                  f"{low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main()
