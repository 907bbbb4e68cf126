"""A network that has seen many materials, as a beginning for one of its own.

    python -m prior sheet                    draw an example of every kind: docs/materials.jpg
    python -m prior train                    learn from drawn materials alone
    python -m prior train PHOTOS=folder      and from crops of the photos in a folder, in turn
    python -m prior export                   the averaged weights alone: checkpoints/prior.pt, for PRIOR
    python -m prior maps MATERIALS=folder    learn to estimate maps, from drawn surfaces and a folder of materials
    python -m prior export_maps              those averaged weights alone: checkpoints/maps.pt, for MAPS

Training takes hours, can be stopped with Ctrl-C, and goes on by the same command; the state is in OUTPUT.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

import texture_diffusion as td
from texture_diffusion_tools.learning import checkpoints, photo_facts
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running import constants, devices, exit_codes, files
from texture_diffusion_tools.running.errors import RunError, UserError
from texture_diffusion_tools.running.signals import StopSignals
from texture_diffusion_tools.writing.drawings import digest_of_all

from . import maps
from .endless import SIDE, EndlessDataset, read_photos
from .kinds import KINDS
from .photograph import draw

SHEET = Path(__file__).resolve().parent.parent / "docs" / "materials.jpg"
SHOWN, COLUMNS, LABEL = 160, 9, 14  # of the sheet, pixels and pictures
DROPOUT = 0.4  # of neighbours, as in the tool


def sheet(path=SHEET, seed=0):
    """A contact sheet of all kinds, each at half its size under its name."""
    rows = -(-len(KINDS) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * SHOWN, rows * (SHOWN + LABEL)), "white")
    pen = ImageDraw.Draw(page)
    for k, name in enumerate(KINDS):
        x, y = k % COLUMNS * SHOWN, k // COLUMNS * (SHOWN + LABEL)
        pixels = draw(name, np.random.default_rng((seed, k)), SIDE)
        page.paste(Image.fromarray(pixels).resize((SHOWN, SHOWN), Image.LANCZOS), (x, y + LABEL))
        pen.text((x + 2, y + 1), name.replace("_", " "), fill="black")
    files.write_atomically(path, lambda file: page.save(file, format="JPEG", quality=88))
    print(f"output: {path}")


def train(argv):
    """Learn from materials without end; argv: overrides such as PHOTOS=folder."""
    # fmt: off
    PHOTOS        = ""                           # folder of photos to learn from as well; "": none
    PRIOR         = None                         # weights to begin from, of an earlier training; None: from nothing
    OUTPUT        = "checkpoints/prior_state.pt" # what is needed to go on
    TILES         = 500_000                      # tiles to be seen in all: the schedule's length
    SAVE_EVERY    = 2_000                        # tiles between checkpoints
    TILE_SIZE     = 128                          # as in the tool, like the four below
    WIDTHS        = (64, 128, 256)               # channels of the network
    TIMESTEPS     = 1000                         # length of the diffusion chain
    BATCH_SIZE    = 8                            # tiles in one step, each of another material
    LEARNING_RATE = 1.2e-3                       # peak, after the warm-up
    SEED          = 0                            # other materials in another order
    # fmt: on
    c = constants.settings(train, locals(), argv)
    output = Path(c.OUTPUT)
    output.parent.mkdir(parents=True, exist_ok=True)
    trainer, facts, made_of = prepare(c, output)
    epoch_steps = max(1, c.SAVE_EVERY // c.BATCH_SIZE)

    def save():
        state = trainer.state()
        for weights in (state["net"], state["ema"]):
            weights.update(facts._asdict())  # instead of those of the last batch
        checkpoints.save(output, {**made_of, **state})

    def report(epoch):
        if trainer.step < trainer.end:  # the last state is saved by train()
            save()

    with StopSignals() as stop:
        td.train(trainer, -(-c.TILES // (epoch_steps * c.BATCH_SIZE)), epoch_steps, stop, save, report)
    print(f"output: {output}\ntiles: {trainer.step * c.BATCH_SIZE}")


def export(argv):
    """Write the averaged weights of a training, in float16, as the tool's PRIOR; argv: overrides such as STATE=path."""
    # fmt: off
    STATE  = "checkpoints/prior_state.pt"        # of python -m prior train
    OUTPUT = "checkpoints/prior.pt"              # for the tool's constant PRIOR
    # fmt: on
    c = constants.settings(export, locals(), argv)
    if not checkpoints.exists(Path(c.STATE)):
        raise UserError(f"there is no training at {c.STATE}; begin one with python -m prior train")
    state = checkpoints.load(Path(c.STATE))
    checkpoints.save(Path(c.OUTPUT), checkpoints.averaged_alone(state))
    print(f"output: {c.OUTPUT}\ntiles: {state['step'] * state['constants']['BATCH_SIZE']}")


def prepare(c, output):
    """A td.Trainer on materials without end, new or as the state at output left it; the photo_facts that its network
    was built with; and what it is made of."""
    pictures, device = read_photos(c.PHOTOS) if c.PHOTOS else [], devices.pick_device()
    data = EndlessDataset(c.TILE_SIZE, pictures, seed=c.SEED, device=device)
    digest = digest_of_all(pictures)
    made_of = {"digest": digest, "constants": {name: getattr(c, name) for name in (
        "TILES", "SAVE_EVERY", "TILE_SIZE", "WIDTHS", "TIMESTEPS", "BATCH_SIZE", "LEARNING_RATE", "SEED")}}
    first = td.normalise(exemplars.of_pixels(draw(next(iter(KINDS)), np.random.default_rng(0), SIDE), "first"))
    facts = photo_facts.facts_of(first.x, td.COLOURS)
    net = td.build_net([first], c.TILE_SIZE, c.WIDTHS, c.SEED, device, td.COLOURS)
    state = checkpoints.load(output) if checkpoints.exists(output) else {}
    wrong = checkpoints.differences(state.get("constants", made_of["constants"]), made_of["constants"],
                                    made_of["constants"])
    if wrong or state and state["digest"] != digest:
        raise UserError(f"{output} was made otherwise: {'; '.join(wrong) or 'the photos differ'}. Set it back, or "
                        "choose another OUTPUT")
    net.precision = devices.pick_precision(device, state.get("precision"))
    alphas_cumprod = td.cosine_schedule(c.TIMESTEPS).to(device)
    trainer = td.Trainer(net, data, alphas_cumprod, c.BATCH_SIZE, c.LEARNING_RATE, DROPOUT, c.SEED)
    try:
        if state:
            trainer.load(state)
        elif c.PRIOR is not None:
            trainer.begin_from(*checkpoints.load_prior(c.PRIOR, c.WIDTHS))
    except ValueError as error:
        raise RunError(f"{output if state else c.PRIOR} cannot be used: {error}") from None
    data.nets, data.step = [trainer.net, trainer.ema], trainer.step
    return trainer, facts, made_of



COMMANDS = {"train": train, "export": export, "maps": maps.train, "export_maps": maps.export}


def main():
    """The command line."""
    command, *argv = sys.argv[1:] or ["--help"]
    if command == "sheet" and not argv:
        sheet()
    elif command in COMMANDS:
        COMMANDS[command](argv)
    else:
        print(__doc__)
        if command != "--help":
            raise UserError(f"{' '.join([command, *argv])} is not understood; the commands are sheet, "
                            f"{', '.join(COMMANDS)}")


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(exit_codes.run(main))
