"""The tool behind the nodes: where it is found, the models that it learned last, and how the
editor's progress bar and stop button reach it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np

HOME = Path(__file__).resolve().parent.parent  # the repository, of which this folder is a part
KEPT = 4  # models
ROOM = 3 * 2**30  # bytes of a GPU that the editor's own models leave free for a training
STEPS = 1000  # of the progress bar


def found() -> ModuleType:
    """The module texture_diffusion, as pip installed it or from the repository; ImportError, with a
    sentence, if it is in neither."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module("texture_diffusion")
    with on_path(HOME):
        try:
            return importlib.import_module("texture_diffusion")
        except ModuleNotFoundError:
            raise ImportError(
                f"Texture Diffusion itself is not in {HOME}: link the folder comfyui of its "
                "repository into custom_nodes instead of copying it, or pip install the repository "
                "into ComfyUI's Python") from None


@contextlib.contextmanager
def on_path(folder: Path) -> Iterator[None]:
    """While entered, modules are also looked for in a folder, after all others."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


class Progress:
    """The editor's progress bar, over so many parts of a node's work, and its stop button."""

    def __init__(self, parts: int) -> None:
        self.bar = comfy.utils.ProgressBar(STEPS)
        self.parts, self.begun = parts, 0

    def next_part(self) -> Callable[[float, str], None]:
        """The on_progress(fraction, stage) of the next part."""
        start = self.begun
        self.begun += 1
        return lambda fraction, stage: self.tell((start + fraction) / self.parts)

    def tell(self, fraction: float) -> None:
        """Show how far it is, 0 to 1; the editor's own exception ends the work if it is to be
        stopped."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.bar.update_absolute(round(fraction * STEPS))


class Models:
    """The models that were used last, by what they were learned of."""

    def __init__(self, count: int) -> None:
        self.count, self.kept = count, OrderedDict()

    def learned(self, source: Any, on_progress: Callable[[float, str], None],
                **constants: Any) -> Any:
        """The texture_diffusion.Model of a picture or a material with such constants, learned
        unless it is one of those used last. UserError, with a sentence, if it cannot be."""
        key = digest_of([source, constants])
        if key not in self.kept:
            make_room()
            self.kept[key] = found().learn(source, on_progress, **device(), **constants)
            for note in self.kept[key].notes:
                logging.info("Texture Diffusion: %s", note)
        self.kept.move_to_end(key)
        while len(self.kept) > self.count:
            self.kept.popitem(last=False)
        return self.kept[key]


def digest_of(value: Any) -> str:
    """SHA-256 of plain values, arrays, lists and dicts of them, hexadecimal."""
    if isinstance(value, np.ndarray):
        held = hashlib.sha256(np.ascontiguousarray(value)).digest()
        value = [value.shape, str(value.dtype), held]
    elif isinstance(value, dict):
        value = [(name, digest_of(part)) for name, part in sorted(value.items())]
    elif isinstance(value, list):
        value = [digest_of(part) for part in value]
    return hashlib.sha256(repr(value).encode()).hexdigest()


def make_room() -> None:
    """Have the editor's models leave some of the GPU's memory, if it computes on one."""
    where = comfy.model_management.get_torch_device()
    if where.type != "cpu":
        comfy.model_management.free_memory(ROOM, where)


def device() -> dict[str, str]:
    """The constant DEVICE: the CPU where the editor was told to use that, else what the tool finds
    to compute rightly."""
    where = comfy.model_management.get_torch_device()
    return {"DEVICE": "cpu"} if where.type == "cpu" else {}


MODELS = Models(KEPT)
