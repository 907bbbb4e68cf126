"""Whether examples/text_to_image.py draws what it is told, said by a network that knows real ones.

    python -m benchmarks.prompts [FOLDER] [NAME=value ...]

Draws 60 prompts of a colour and a shape ("yellow circle on blue ground") and 60 of a colour and a material ("red brick
wall") with the models of the example, trained first where they are not, with its results below FOLDER (default:
benchmarks/cache/prompts). A small network learns from real pictures of the example's own generator, with another seed,
to say which kind and which colours one shows; printed is how many of the drawn ones it says to be what was asked for,
beside how many real ones. Writes prompts.png there, all 120, and says where that is: look at it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.commits import ROOT
from texture_diffusion_tools.running import constants, exit_codes
from texture_diffusion_tools.writing import png

sys.path.insert(0, str(ROOT / "examples"))

import common
import text_to_image

EACH = 60  # prompts of shapes, and of materials
KINDS = ("brick wall", "woven cloth", "wooden planks", "pebbles", *text_to_image.SHAPES)
COLOURS = tuple(text_to_image.COLOURS)
REAL, HELD, ROUNDS, BATCH = 8000, 1000, 6, 50  # pictures that the judge learns from and is tried on
GRAIN = 20.0  # levels of noise that it learns to overlook
SHOWN = 12  # pictures in a row


def prompts_of(count=EACH, seed=5):
    """The prompts, of shapes and then of materials, as many of each kind."""
    rng = np.random.default_rng(seed)
    shapes = [(KINDS[4 + k % 4], *rng.choice(COLOURS, 2, replace=False)) for k in range(count)]
    materials = [(KINDS[k % 4], rng.choice(COLOURS)) for k in range(count)]
    return [f"{colour} {kind} on {ground} ground" for kind, colour, ground in shapes] + \
        [f"{colour} {kind}" for kind, colour in materials]


def meaning(caption):
    """The kind, the colour and the ground's colour of a caption, by number; -1 for no ground."""
    words = caption.split()
    ground = COLOURS.index(words[3]) if words[-1] == "ground" else -1
    return next(k for k, kind in enumerate(KINDS) if kind in caption), COLOURS.index(words[0]), ground


class Judge(nn.Module):
    """Says of pictures, uint8 [N, 64, 64, 3], what they show."""

    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 96, 96)
        layers = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
                  for a, b in zip(widths, widths[1:])]
        self.sizes = [len(KINDS), len(COLOURS), len(COLOURS)]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, sum(self.sizes)))

    def forward(self, x):
        return self.net(x).split(self.sizes, 1)

    def learn(self, x, truth):
        """Learn from pictures x [N, 3, 64, 64] and what they show, int64 [N, 3]."""
        steps = ROUNDS * (len(x) // BATCH)
        opt = torch.optim.AdamW(self.parameters(), 1e-3)
        rate = torch.optim.lr_scheduler.OneCycleLR(opt, 4e-3, total_steps=steps)
        order = torch.cat([torch.randperm(len(x)) for _ in range(ROUNDS)])[:steps * BATCH]
        for batch in order.view(-1, BATCH):
            seen = x[batch] + torch.randn_like(x[batch]) * GRAIN / 127.5 * torch.rand(BATCH, 1, 1, 1)
            loss = sum(F.cross_entropy(said, right, ignore_index=-1) for said, right in zip(self(seen), truth[batch].T))
            opt.zero_grad()
            loss.backward()
            opt.step()
            rate.step()
        self.eval()

    @torch.inference_mode()
    def right(self, x, truth):
        """Whether kind, colour and ground of pictures x are said to be the true ones, bool [N, 3]."""
        return torch.stack([said.argmax(1) for said in self(x)], 1) == truth


def tensor(pixels):
    """uint8 [N, 64, 64, 3] as [N, 3, 64, 64] in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def shares(right, truth):
    """The share of what is right, name -> value."""
    shape = truth[:, 2] >= 0
    return {"shape": right[shape, 0], "its colour": right[shape, 1], "its ground": right[shape, 2],
            "material": right[~shape, 0], "the material's colour": right[~shape, 1]}


def taught_judge():
    """A Judge, and what it says of real pictures that it did not learn from."""
    torch.manual_seed(0)
    pixels, captions = text_to_image.draw_pictures(REAL + HELD, seed=1)
    x, truth, judge = tensor(pixels), torch.tensor([meaning(caption) for caption in captions]), Judge()
    judge.learn(x[:REAL], truth[:REAL])
    return judge, shares(judge.right(x[REAL:], truth[REAL:]), truth[REAL:])


def paint(painter, prompts):
    """A picture of each prompt, normalised [N, 3, 64, 64]."""
    c, parts = painter.c, [prompts[k:k + BATCH] for k in range(0, len(prompts), BATCH)]
    return torch.cat([painter.paint_each(part, c.SAMPLE_STEPS, c.GUIDANCE, seed) for seed, part in enumerate(parts)])


def main(argv=None):
    """The command line."""
    argv = list(sys.argv[1:] if argv is None else argv)
    folder = Path(argv.pop(0) if argv and "=" not in argv[0] else ROOT / "benchmarks/cache/prompts")
    words = [f"OUTPUT_DIR={folder}", f"CHECKPOINT_DIR={folder}", *argv]
    c = constants.settings(text_to_image.main, constants.defaults(text_to_image.main), words)
    with text_to_image.opened(c) as painter:
        painter.fit()
        drawn = paint(painter, prompts_of())
        png.save_png(folder / "prompts.png", common.grid(painter.photo, drawn, SHOWN, 2))
        pixels = painter.photo.pixels(drawn)
    judge, real = taught_judge()
    truth = torch.tensor([meaning(prompt) for prompt in prompts_of()])
    said = shares(judge.right(tensor(pixels), truth), truth)
    print("| | drawn | real |\n|---|---|---|")
    for name, right in said.items():
        print(f"| {name} | {right.float().mean():.2f} of {len(right)} | {real[name].float().mean():.3f} |")
    print(f"look at {folder / 'prompts.png'}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
