"""The processes that do one job together: this one alone, or those that torchrun started, on one
machine or more:

    torchrun --standalone --nproc-per-node=2 texture_diffusion.py rock.jpg

Each takes its share of every batch of training, and its batches of the tiles of a pass. The folders
must be the same for all of them; the first process, of rank 0, writes and tells. GPUs talk by NCCL
where it is there, CPUs by Gloo.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from . import devices, events
from .errors import RunError, Stopped, UserError, first_line
from .program import WINDOWS
from .signals import StopAtOnce, StopSignals

OFTEN = 0.3  # seconds from one progress that is told to the next


class Bar(tqdm):
    """A progress bar that tells how far it is, too."""

    told = 0.0  # when it last did

    def update(self, n: float | None = 1) -> None:
        super().update(n)
        if not os.environ.get(events.EVENTS) or self.disable:
            return

        now = time.monotonic()
        if now - self.told > OFTEN or self.n >= self.total:
            self.told = now
            took = self._time() - self.start_t  # pyright: ignore[reportAttributeAccessIssue]
            rate = (self.n - self.initial) / max(1e-9, took)
            events.tell("progress", what=self.desc, done=self.n, total=self.total,
                        seconds_left=(self.total - self.n) / rate if rate else None)


class ProcessGroup:
    """A process that does its job alone, and what one asks of the others where there are some."""

    rank, world_size = 0, 1  # number of this process; how many there are

    def say(self, text: str) -> None:
        """Print a line, once for all processes."""
        if self.rank == 0:
            print(text)
            events.tell("said", text=text)

    def warn(self, text: str) -> None:
        """Print a warning above the progress bar."""
        tqdm.write(f"warning: {text}", file=sys.stderr)

    def bar(self, **options: Any) -> contextlib.AbstractContextManager[Any]:
        """A progress bar (tqdm), one for all processes; in a log file it moves on every 20
        seconds."""
        often = 0.5 if sys.stderr.isatty() else 20
        return Bar(mininterval=often, disable=self.rank > 0, **options)

    def stop_signals(self) -> contextlib.AbstractContextManager[Any]:
        """signals.StopSignals, to be entered."""
        return StopSignals()

    def stop_at_once(self) -> contextlib.AbstractContextManager:
        """signals.StopAtOnce, to be entered; nothing where others would go on."""
        return StopAtOnce() if self.world_size == 1 else contextlib.nullcontext()

    def pick_device(self, wanted: str) -> torch.device:
        """devices.pick_device() for this process."""
        return devices.pick_device(wanted, self.say)

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients become the mean of all processes'."""
        return module

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        return value

    def any(self, value: object) -> bool:
        """Whether a value is true in any process."""
        return bool(value)

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def broadcast(self, value: Any) -> Any:
        """The value that the first process has."""
        return value

    def all_gather(self, x: Tensor) -> list[Tensor]:
        """Tensors of one shape from all processes, in their order."""
        return [x]


ALONE = ProcessGroup()


class TorchrunGroup(ProcessGroup):
    """The processes that torchrun started. gpu: whether this one has a GPU of its own that NCCL can
    reach."""

    def __init__(self, gpu: bool) -> None:
        self.gpu = gpu
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def pick_device(self, wanted: str) -> torch.device:
        """One kind of device for all: CUDA if each has a GPU of its own that can be used, else the
        CPU."""
        if wanted not in ("auto", "cuda", "cpu"):
            raise UserError(f"DEVICE is {wanted}, which several processes cannot share; start it "
                            "without torchrun, or set DEVICE=cpu")

        usable = wanted != "cpu" and self.gpu and devices.problem_of("cuda") == ""
        if not self.any(not usable):
            return torch.device("cuda")

        lacking = (f"not each of the {self.world_size} processes has a GPU of its own that can be "
                   "used")
        if wanted == "cuda":
            raise UserError(f"DEVICE is cuda, and {lacking}; start as many as there are GPUs, or "
                            "set DEVICE=auto")
        if wanted == "auto" and self.any(torch.cuda.is_available()):
            self.say(f"note: {lacking}, so all compute on the CPU")
        return devices.CPU

    def wrap(self, module: nn.Module) -> nn.Module:
        """Parallel over batches (Li et al. 2020, arXiv 2006.15704)."""
        return DistributedDataParallel(module)

    def mean(self, value: float) -> float:
        return self.all_reduce(value, dist.ReduceOp.SUM) / self.world_size

    def any(self, value: object) -> bool:
        return self.all_reduce(float(bool(value)), dist.ReduceOp.MAX) > 0

    def all_reduce(self, value: float, operation: Any) -> float:
        """A number of all processes made one."""
        x = torch.tensor(value, dtype=torch.float32)
        dist.all_reduce(x, operation)
        return x.item()

    def broadcast(self, value: Any) -> Any:
        found = [value]
        dist.broadcast_object_list(found, 0, device=devices.CPU)
        return found[0]

    def all_gather(self, x: Tensor) -> list[Tensor]:
        found = [torch.empty_like(x) for _ in range(self.world_size)]
        dist.all_gather(found, x.contiguous())
        return found


@contextlib.contextmanager
def joined() -> Iterator[ProcessGroup]:
    """The ProcessGroup of this process, as long as it is entered; RunError if another process of it
    ended.

    An error of the user's, which all processes find, ends those after the first without a word.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # set by torchrun
        yield ALONE
        return

    group = join()
    try:
        yield group
        # The first one still writes: a process that leaves while others are at work may be aborted.
        group.barrier()
    except (UserError, Stopped) as error:
        if group.rank:
            raise SystemExit(error.exit_code) from None
        raise
    except RuntimeError as error:
        if devices.is_out_of_memory(error) or devices.is_failure_of_gpu(error):
            raise
        raise RunError(f"process {group.rank} of {group.world_size} cannot reach the others, one "
                       f"of them may have ended ({first_line(error)}); the same command goes on "
                       "from the last checkpoint") from error
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def join() -> TorchrunGroup:
    """Make this process one of torchrun's, with a GPU and a share of the CPU's cores of its own."""
    names = ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
    local_rank, on_machine = (int(os.environ.get(name, "1")) for name in names)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // on_machine))  # torchrun sets one for each

    gpu = dist.is_nccl_available() and on_machine <= torch.cuda.device_count()
    if gpu:
        torch.cuda.set_device(local_rank)

    # A hint about kernels that are channels_last.
    warnings.filterwarnings("ignore", "Grad strides do not match")
    if WINDOWS:
        os.environ.setdefault("USE_LIBUV", "0")  # wheels for Windows are without libuv

    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    except RuntimeError as error:
        libuv = "libuv" in str(error)
        advice = "; set USE_LIBUV=0 in the environment before torchrun" if libuv else ""
        raise RunError("the processes that torchrun started do not find each other "
                       f"({first_line(error)}){advice}") from error
    return TorchrunGroup(gpu)
