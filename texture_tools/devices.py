"""Where the network computes and in which precision, and what that takes: seconds and memory."""

import copy
import re
import sys
import time

import torch
from torch import nn


def pick_device():
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_precision(device, before=None):
    """torch.bfloat16 where the hardware computes in it, else torch.float32.

    A CPU without bf16 units emulates them slowly, and torch does not say which kind it runs on:
    the same convolution is timed in both for a moment, and bf16 has to win clearly. A run that goes on keeps
    the precision of the one before, "float32" or "bfloat16", so that it ends as if it had not been stopped,
    unless it lost by far.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float32
    if device.type != "cpu":
        return torch.float32
    conv, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 48, 48)

    def seconds(dtype):
        layer, y = (thing.to(dtype, memory_format=torch.channels_last) for thing in (copy.deepcopy(conv), x))
        with torch.inference_mode():
            return min(timed(lambda: layer(y)) for _ in range(8))

    enough = {None: 1.25, "float32": 2.5, "bfloat16": 0.7}[before]
    return torch.bfloat16 if seconds(torch.float32) > enough * seconds(torch.bfloat16) else torch.float32


def timed(work):
    """Seconds that work() takes; the GPU is waited for."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory():
    """Largest memory of this process so far in bytes (of the GPU, where there is one), None if unknown."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


FULL = re.compile("can't allocate memory|not enough memory|out of memory|invalid buffer size|alloc_failed", re.I)


def is_out_of_memory(error):
    """Whether a RuntimeError or MemoryError says that there is no memory left: that of Linux and macOS, of Windows, of
    a GPU, of MPS for a single tensor, of cuBLAS and cuDNN."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or FULL.search(str(error)) is not None


def is_failure_of_gpu(error):
    """Whether a RuntimeError is a GPU's own: a fault, a driver that was reset, a kernel that is lacking."""
    known = getattr(torch, "AcceleratorError", ())  # from torch 2.8 on
    return isinstance(error, known) or str(error).startswith(("CUDA error", "HIP error"))
