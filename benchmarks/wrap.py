"""Whether a tileable texture shows where it wraps around, measured on the file as saved.

    python -m benchmarks.wrap PICTURE...

For each picture and direction: mean absolute 1st and 2nd difference, and the step between the means of 8 pixels on both
sides, along the line where the picture wraps, over their mean on all lines; beside them the 5th and 95th percentile of
the same figures on all lines through the picture. A seam lies above.
"""

import sys

import numpy as np

from texture_diffusion_tools.reading import photos
from texture_diffusion_tools.writing.checks import line_figures


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
