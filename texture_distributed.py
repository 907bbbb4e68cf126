"""Several processes, on one machine or more, that do the job of texture_diffusion.py together, under torchrun:

    torchrun --standalone --nproc-per-node=2 texture_diffusion.py rock.jpg

Each takes its share of every batch of training, and its batches of the tiles of a pass. The folders must be the same
for all of them; the first process writes. GPUs talk by NCCL, CPUs by Gloo.
"""

import contextlib
import functools
import os
import sys
import warnings

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


class Team:
    """See Alone in texture_diffusion.py, whose methods have the same meaning."""

    def __init__(self, device):
        self.device, self.rank, self.count = device, dist.get_rank(), dist.get_world_size()

    def wrap(self, module):
        """Parallel over batches (Li et al. 2020, arXiv 2006.15704)."""
        return DistributedDataParallel(module)

    def mean(self, value):
        return self.reduce(value, dist.ReduceOp.SUM) / self.count

    def any(self, value):
        return self.reduce(float(bool(value)), dist.ReduceOp.MAX) > 0

    def reduce(self, value, operation):
        """A number of all processes made one."""
        x = torch.tensor(value, dtype=torch.float32, device=self.device)
        dist.all_reduce(x, operation)
        return x.item()

    def first(self, value):
        found = [value]
        dist.broadcast_object_list(found, 0, device=self.device)
        return found[0]

    def gather(self, x):
        found = [torch.empty_like(x) for _ in range(self.count)]
        dist.all_gather(found, x.contiguous())
        return found


@contextlib.contextmanager
def joined(td):
    """Make this process one of torchrun's; td: the module of the script. RunError if another process ended."""
    local, on_machine = (int(os.environ.get(name, "1")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
    else:  # torchrun sets one thread for each
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // on_machine))
    device = td.pick_device()
    warnings.filterwarnings("ignore", "Grad strides do not match")  # a hint about kernels that are channels_last
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    td.team = Team(device)
    if td.team.rank:
        td.tqdm = functools.partial(td.tqdm, disable=True)
        sys.stdout = open(os.devnull, "w")  # the first process tells
    try:
        yield
    except (td.UserError, td.Stopped):
        if td.team.rank:
            sys.stderr = open(os.devnull, "w")
        raise
    except (RuntimeError, dist.DistBackendError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise td.RunError(f"process {td.team.rank} of {td.team.count} cannot reach the others, one of them may have "
                          f"ended ({str(error).splitlines()[0]}); the same command goes on from the last checkpoint") \
            from error
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
