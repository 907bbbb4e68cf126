"""Make the weights that come with the repository from a finished default run:

    python texture_diffusion.py && python -m benchmarks.ship_weights

Keeps the EMA alone, in float16 (about 9 MB), as checkpoints/stones.shipped.pt.
"""

from pathlib import Path

from texture_tools import checkpoints

FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"


def main():
    """Read checkpoints/stones.pt, write checkpoints/stones.shipped.pt."""
    state = checkpoints.load(FOLDER / "stones.pt")
    checkpoints.save(FOLDER / "stones.shipped.pt", checkpoints.averaged_alone(state))


if __name__ == "__main__":
    main()
