"""Make the weights that come with the repository from a finished default run:

    python texture_diffusion.py && python -m benchmarks.ship_weights

Keeps the EMA alone, in float16 (about 9 MB), as checkpoints/stones.shipped.pt.
"""

from pathlib import Path

import torch

from texture_tools import checkpoints

FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"


def main():
    """Read checkpoints/stones.pt, write checkpoints/stones.shipped.pt."""
    state = checkpoints.load(FOLDER / "stones.pt")
    state = {key: value for key, value in state.items() if key not in ("net", "opts")}
    state["ema"] = {name: tensor.to(torch.float16) for name, tensor in state["ema"].items()}
    checkpoints.save(FOLDER / "stones.shipped.pt", state)


if __name__ == "__main__":
    main()
