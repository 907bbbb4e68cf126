"""Where the network computes and in which precision, and what that takes: seconds and memory."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

from . import trials
from .errors import UserError, first_line

CPU = torch.device("cpu")
GPUS = ("cuda", "xpu", "mps")  # in the order in which they are looked for; AMD's are cuda, too
CHOICES = ("auto", "cpu", *GPUS)
ROCM = "note: ROCm looks for the fastest way to compute whenever it meets a new size, and keeps " \
       "it: the first run may seem to stand still for minutes"


def pick_device(wanted: str = "auto", say: Callable[[str], object] = print) -> torch.device:
    """The torch.device to compute on. "auto": the first kind of GPU that passes a trial, else the
    CPU, and say() is given a note on each that does not; a kind that is asked for by name and
    cannot be used is a UserError."""
    for kind in [kind for kind in GPUS if wanted in ("auto", kind)]:
        if kind == "cuda" and torch.version.hip and torch.cuda.is_available():
            say(ROCM)

        problem = problem_of(kind)
        if problem == "":
            return torch.device(kind)
        if wanted == kind:
            problem = problem or f"torch {torch.__version__} finds none on this machine"
            raise UserError(f"DEVICE is {kind}, which cannot be used: {problem}. DEVICE=auto takes "
                            "what there is")
        if problem:
            say(f"note: {kind} is not used: {problem}")

    return CPU


@functools.cache
def problem_of(kind: str) -> str | None:
    """Why a kind of GPU cannot be used, the rest of a sentence; "" if it can, None if there seems
    to be none."""
    # torch has several lines for what a note says in one
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if is_there(kind):
            return trial_of(torch.device(kind), torch.float32)

    if warned:  # a driver that is too old
        return first_line(warned[0].message)

    built_for_gpus = torch.version.cuda or torch.version.hip
    if kind == "cuda" and not built_for_gpus and shutil.which("nvidia-smi"):
        return (f"this build of torch, {torch.__version__}, is for the CPU alone, and there seems "
                "to be a GPU of NVIDIA's; the line for it is at pytorch.org/get-started/locally")
    return None


def is_there(kind: str) -> bool:
    """Whether torch finds a kind of GPU."""
    modules = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}
    return modules[kind].is_available()


def trial_of(device: torch.device, precision: torch.dtype) -> str:
    """What is wrong with a device, see trials.problem_with()."""
    layout = layout_on(device)
    return trials.problem_with(device, precision, layout, lambda: autocast(device, precision))


def layout_on(device: torch.device) -> torch.memory_format:
    """In which order the numbers of pictures lie in memory: channels_last, which is faster, but for
    MPS, where some convolutions of such pictures are wrong or slow."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """A context in which a network computes in a precision; none for float32, which not all devices
    can autocast to."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, precision)


def pick_precision(device: torch.device, before: str | None = None) -> torch.dtype:
    """torch.bfloat16 where the hardware computes in it, and rightly, else torch.float32.

    NVIDIA's GPUs do from compute capability 8.0 on. A CPU without bf16 units emulates them slowly,
    and torch does not say which kind it runs on; nor does it of GPUs of other makers: the same
    convolution is timed in both for a moment, and bf16 has to win clearly. A run that goes on keeps
    the precision of the one before, "float32" or "bfloat16", so that it ends as if it had not been
    stopped, unless it lost by far.
    """
    if device.type == "mps":
        return torch.float32

    if device.type == "cuda" and not torch.version.hip:
        wins = torch.cuda.get_device_capability() >= (8, 0)
    else:
        wins = bfloat16_gain(device) > {None: 1.25, "float32": 2.5, "bfloat16": 0.7}[before]

    right = wins and (device == CPU or not trial_of(device, torch.bfloat16))
    return torch.bfloat16 if right else torch.float32


def bfloat16_gain(device: torch.device) -> float:
    """How many times as fast as in float32 a convolution is in bfloat16."""
    batch, side = (4, 48) if device == CPU else (32, 128)  # a GPU is to be filled
    conv = nn.Conv2d(64, 64, 3, padding=1).to(device)
    x = torch.randn(batch, 64, side, side, device=device)

    def seconds(dtype: torch.dtype) -> float:
        layout = layout_on(device)
        layer = copy.deepcopy(conv).to(dtype).to(memory_format=layout)
        y = x.to(dtype, memory_format=layout)
        with torch.inference_mode():
            return min(timed(lambda: layer(y), device) for _ in range(8))

    return seconds(torch.float32) / seconds(torch.bfloat16)


def timed(work: Callable[[], object], device: torch.device = CPU) -> float:
    """Seconds that work() takes; a GPU is waited for."""
    start = time.perf_counter()
    work()
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter() - start


def peak_memory(device: torch.device = CPU) -> int | None:
    """Largest memory so far in bytes, of a GPU or of this process, None if unknown. MPS counts no
    largest: the figure is what its allocator holds, and it seldom gives any back."""
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if device.type != "cpu":
        return getattr(torch, device.type).max_memory_allocated()

    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


FULL = re.compile("can't allocate memory|not enough memory|out of memory|invalid buffer size|"
                  "alloc_failed", re.I)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a RuntimeError or MemoryError says that there is no memory left: that of Linux and
    macOS, of Windows, of a GPU, of MPS for a single tensor, of cuBLAS and cuDNN."""
    known = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, known) or FULL.search(str(error)) is not None


def is_failure_of_gpu(error: BaseException) -> bool:
    """Whether a RuntimeError is a GPU's own: a fault, a driver that was reset, a kernel that is
    lacking."""
    known = getattr(torch, "AcceleratorError", ())  # from torch 2.8 on
    return isinstance(error, known) or str(error).startswith(("CUDA error", "HIP error"))
