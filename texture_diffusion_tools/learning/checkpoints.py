"""Checkpoints: written whole, in two generations, and checked before they are believed."""

from __future__ import annotations

import io
import math
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import __version__
from ..running import files, program
from ..running.errors import RunError, UserError, first_line, printable

if TYPE_CHECKING:
    from ..running.processes import ProcessGroup

PROGRAM = "texture_diffusion"  # who wrote a file: a part of the format
FORMAT = 1  # of those that are promised to be read for ever

State = dict[str, Any]  # what a checkpoint holds, by names


def generations(path: Path) -> tuple[Path, Path]:
    """The paths of a checkpoint, the newest first, and of the one before it."""
    return path, path.with_name(f"{path.stem}.previous.pt")


def exists(path: Path) -> bool:
    """Whether there is any generation of a checkpoint."""
    return any(map(Path.exists, generations(path)))


def save(path: Path, state: State) -> None:
    """Write a dict of tensors, numbers, strings, lists and dicts; the file that was there becomes
    the generation before it. RunError, and nothing is changed, if a value is not finite; DiskError
    if the disk refuses."""
    if not finite(state):
        raise RunError(f"the model is no longer finite and was not saved: {printable(path)} is as "
                       "it was; try a lower LEARNING_RATE with FRESH=True")

    state = {"program": PROGRAM, "format": FORMAT, "version": __version__, **state}
    files.write_atomically(
        path, lambda file: torch.save(state, file), lambda: keep_generation(path))


def averaged_alone(state: State) -> State:
    """A state with the averaged weights alone, in float16, to be shipped: it can draw, but not be
    trained further."""
    weights = {name: tensor.to(torch.float16) for name, tensor in state["ema"].items()}
    others = {name: value for name, value in state.items() if name not in ("net", "opts")}
    return {**others, "ema": weights}


def keep_generation(path: Path) -> None:
    """Make the file at path the generation before it, if it is whole; it stays at path, too, where
    that can be."""
    if not is_whole(path):
        return

    previous = generations(path)[1]
    link = path.with_name(f".{path.name}.{os.getpid()}.link")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        files.replace(link, previous)
    except OSError:  # a disk without links: for a moment there is only the previous one
        files.replace(path, previous)
    finally:
        link.unlink(missing_ok=True)


def put_aside(path: Path, *photos: str | Path) -> Path:
    """Rename a checkpoint, and the generation before it, to the first free <name>.old<n>.pt;
    returns the new path. UserError if it is one of the photos at another path."""
    aside = (path.with_name(f"{path.stem}.old{n}.pt") for n in range(1, 10**6))
    free = next(place for place in aside if not any(map(os.path.lexists, generations(place))))
    pairs = zip(generations(path), generations(free))
    there = [(source, target) for source, target in pairs if source.exists()]

    for source, _ in there:
        if any(source.samefile(photo) for photo in photos):
            raise UserError(f"the photo lies at {printable(source)}, where its model goes; give it "
                            "another name")
    for source, target in there:
        files.replace(source, target)
    return free


def finite(value: Any) -> bool:
    """Whether all numbers in a nest of dicts, lists, tuples and tensors are finite."""
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, (dict, list, tuple)):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def load(path: Path) -> State:
    """The newest generation of a checkpoint that is whole. RunError if none is, UserError on
    another format."""
    faults = []
    for place in filter(Path.exists, generations(path)):
        try:
            state = check_values(read_state(place))
            if place != path:
                fault = faults[0] if faults else f"{printable(path)} is missing"
                print(f"warning: {fault}; going on from {printable(place)}, which was saved before "
                      "it", file=sys.stderr)
            return state
        except UserError as error:
            raise UserError(f"{printable(place)} {error}") from None
        except Exception as error:  # torch.load raises almost anything, too
            faults.append(f"{printable(place)} is damaged or no checkpoint of this script "
                          f"({first_line(error)})")

    raise RunError(f"{'; '.join(faults)}. Nothing was changed: put a copy in its place, or move "
                   f"{'both' if len(faults) > 1 else 'it'} away to start anew ({program.typed()} "
                   "does with FRESH=True)")


def read_state(path: Path) -> State:
    """Read the file of torch.save onto the CPU, without running code from it; an exception if it is
    anything else, or not a dict of finite numbers and of tensors that are as large as they say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other kinds of files, which are refused
        state = torch.load(checked_file(path), map_location="cpu", weights_only=True)

    if not isinstance(state, dict) or not plain(state):
        raise ValueError("it holds something else than a model")
    return state


def checked_file(path: Path) -> io.BytesIO:
    """The file of torch.save at a path, in memory, with all checksums compared; ValueError or an
    error of zipfile if they differ.

    torch.load compares none, unpacks a small file to any size, and trusts a damaged list of
    contents.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        members = source.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) \
                or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it is packed")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two parts of it have one name")

        for member in members:
            target.writestr(member.filename, source.read(member))  # compares its checksum

    buffer.seek(0)
    return buffer


def is_whole(path: Path) -> bool:
    """Whether there is a file at path, and its checksums are right."""
    try:
        return bool(checked_file(path))
    except Exception:  # zipfile raises almost anything on a damaged file
        return False


def plain(state: object) -> bool:
    """Whether a nest of dicts, lists and tuples holds only strings, None, finite numbers and finite
    tensors that lie whole in memory."""
    left: list[Any] = [state]
    seen: set[int] = set()

    while left:
        value = left.pop()
        if id(value) in seen:  # a small file can name one list very often
            continue
        seen.add(id(value))

        if isinstance(value, torch.Tensor):
            if not (lies_whole(value) and finite(value)):
                return False
        elif isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        elif not (value is None or isinstance(value, (str, bool, int, float)) and finite(value)):
            return False

    return True


def lies_whole(x: Tensor) -> bool:
    """Whether a tensor lies in the CPU's memory, all of it, as plain numbers."""
    return x.layout == torch.strided and x.device.type == "cpu" and not x.is_quantized \
        and x.numel() * x.element_size() <= x.untyped_storage().nbytes()


def is_count(value: object) -> bool:
    """Whether a value is a whole number of 0 or more, and no longer than one can be to be shown."""
    return type(value) is int and 0 <= value < 2**128


def is_number(value: object) -> bool:
    """Whether a value is a number."""
    return type(value) in (int, float)


def is_constant(value: object) -> bool:
    """Whether a value is one that a constant can have."""
    return is_count(value) \
        or type(value) in (float, bool, type(None)) \
        or type(value) is str and len(value) < 300 \
        or type(value) is tuple and len(value) < 10 and all(map(is_count, value))


# The test that each value has to pass; the checkpoints of an older version may lack some.
VALUES: dict[str, Callable[[Any], object]] = {
    "version": lambda value: type(value) is str,
    "constants": lambda value: all(type(name) is str and is_constant(value[name])
                                   for name in value),
    "digest": lambda value: re.fullmatch("[0-9a-f]{64}", value),
    "size": lambda value: len(value) == 2 and all(map(is_count, value)),
    **dict.fromkeys(("step", "start", "end", "seed", "reported", "skipped", "in_a_row"), is_count),
    "curve": lambda value: all(is_count(step) and is_number(loss)
                               and (held is None or is_number(held))
                               for step, loss, held in value),
    "losses": lambda value: all(map(is_number, value)),
    "precision": lambda value: value in ("float32", "bfloat16"),
    "prior": lambda value: re.fullmatch("|[0-9a-f]{64}", value),
    "ema": lambda value: all(isinstance(weights, torch.Tensor) for weights in value.values()),
}
LACKED = ("version", "size", "reported", "skipped", "in_a_row", "precision", "prior")


def check_values(state: State) -> State:
    """The state of a checkpoint, if all values are of their types and in their ranges; UserError on
    another format, else ValueError, with the rest of a sentence."""
    if state.get("program") != PROGRAM or state.get("format") != FORMAT:
        raise UserError(f"is no checkpoint of {PROGRAM} in format {FORMAT}, which this version "
                        f"reads; move it away to start anew ({program.typed()} does with "
                        "FRESH=True)")

    for name, holds in VALUES.items():
        lacked = name in LACKED and name not in state
        if not (name in state and holds(state[name]) or lacked):
            raise ValueError(f"{name} in it has an impossible value")

    if not state["start"] <= state["step"] <= state["end"]:
        raise ValueError("its steps are not in order")
    return state


def find_state(
    checkpoint: Path,
    photo: Any,
    c: SimpleNamespace,
    network: Iterable[str],
    training: Iterable[str],
    home: Path,
    group: ProcessGroup,
) -> State:
    """The state of the checkpoint to go on from, {} if there is none; says what differs from it.

    network, training: as in check_fit; home: the script's folder, where the photo and the prior may
    lie. FRESH puts the checkpoint aside first, which the other processes of a group wait for.
    UserError if the prior lies at its path.
    """
    # A model saved in the prior's place would be found first from then on.
    named = [] if c.PRIOR is None else [c.PRIOR, files.find_file(c.PRIOR, home)]
    if checkpoint.resolve() in [Path(path).resolve() for path in named]:
        raise UserError(f"the model of this photo would replace the prior, "
                        f"{printable(checkpoint)}; give the photo another name, or choose another "
                        "CHECKPOINT_DIR")

    images = [c.IMAGE] if isinstance(c.IMAGE, str) else c.IMAGE
    if c.FRESH and group.rank == 0 and exists(checkpoint):
        aside = put_aside(checkpoint, *(files.find_file(image, home) for image in images))
        group.say(f"note: {printable(checkpoint)} was put aside as {printable(aside)}")
    group.barrier()

    if not exists(checkpoint):
        say_without_model(checkpoint, images, c, group)
        return {}

    state = load(checkpoint)
    goes_on = state["step"] < c.EPOCHS * c.EPOCH_TILES // c.BATCH_SIZE
    for note in check_fit(checkpoint, state, photo, vars(c), network, training, goes_on):
        group.say(f"note: {note}")
    if goes_on and "net" not in state:
        raise UserError(f"{printable(checkpoint)} can draw but not be trained further; start anew "
                        "with FRESH=True, which puts it aside")
    return state


def say_without_model(
    checkpoint: Path, images: list[str], c: SimpleNamespace, group: ProcessGroup
) -> None:
    """Say that a photo without a model is drawn with the prior, if it is not to be trained;
    UserError if there is no prior, either."""
    if c.EPOCHS > 0:
        return

    if c.PRIOR is None:
        advice = program.typed(f"IMAGE={images[0]}", *images[1:], "EPOCHS=50")
        raise UserError(f"there is no model for this photo at {printable(checkpoint)}; make one "
                        f"with: {advice}")
    group.say("note: there is no model of this photo yet, so its patches and the prior draw; "
              "without EPOCHS=0 a model is trained first")


def load_prior(path: str | Path, widths: tuple[int, ...]) -> tuple[dict[str, Tensor], str]:
    """Weights to begin from, {name: tensor}, and their file's SHA-256; UserError if there are none,
    or of other widths."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no prior at {printable(path)}; take it from where the script "
                        "came from, make one with python -m prior, or begin from nothing with "
                        "PRIOR=None")

    state = load(path)
    wrong = differences(state["constants"], {"WIDTHS": widths}, ["WIDTHS"])
    if wrong:
        found = wrong[0].replace("checkpoint", "prior")
        raise UserError(f"{printable(path)} does not fit: {found}; set WIDTHS to that, or begin "
                        "from nothing with PRIOR=None")
    return state["ema"], files.digest_of(path)


def check_fit(
    path: Path,
    state: State,
    photo: Any,
    constants: Mapping[str, Any],
    network: Iterable[str],
    training: Iterable[str],
    goes_on: bool,
) -> list[str]:
    """UserError unless a checkpoint fits the photo and the constants {name: value}; notes on
    harmless differences.

    network: names of the constants that always have to be the same; training: of those that have to
    be if its training goes on.
    """
    advice = "Set it back, or start anew with FRESH=True (the old checkpoint is put aside)"
    if state["digest"] != photo.digest:
        size, here = state.get("size", "??"), photo.size
        what = "other textures" if len(photo.photos) > 1 else "another photo or part of it"
        raise UserError(f"{printable(path)} was trained on {what} ({size[1]} x {size[0]} pixels "
                        f"there, {here[1]} x {here[0]} here; the file, CORNERS, ASPECT, CROP, "
                        "MAX_SIDE, EVEN_LIGHT, COMPLETE, DEPTH, ALPHA or MASK differ). "
                        f"{advice}")

    there = {"AUGMENT": "none", **state["constants"]}  # as all were before there was this constant
    wrong, other = (differences(there, constants, names) for names in (network, training))
    if wrong or (goes_on and other):
        raise UserError(f"{printable(path)} does not fit: {'; '.join(wrong + other)}. {advice}")
    return [f"{printable(path)}: {difference}; it only matters for training"
            for difference in other]


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], names: Iterable[str]
) -> list[str]:
    """Sentences such as "TILE_SIZE is 64 here and 128 in the checkpoint", one for each name that
    differs."""
    return [f"{name} is {here[name]} here and {there.get(name)} in the checkpoint"
            for name in names if there.get(name) != here[name]]


def load_optimizer(opt: torch.optim.Optimizer, kept: dict[int, dict[str, Tensor]]) -> None:
    """Give an optimizer the state of each weight, {number: {name: tensor}}; ValueError if it does
    not fit."""
    weights = opt.param_groups[0]["params"]
    for number, state in kept.items():
        known = state.keys() <= {"momentum", "step", "exp_avg", "exp_avg_sq"}
        shapes = (weights[number].shape, ())
        fits = all(x.dtype == torch.float32 and x.shape in shapes for x in state.values())
        if not (known and fits):
            raise ValueError("the optimizer's numbers are of another network")

    opt.load_state_dict({"state": kept, "param_groups": opt.state_dict()["param_groups"]})
