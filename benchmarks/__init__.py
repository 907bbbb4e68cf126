"""How good and how fast the tool is, beside others."""

import os
import platform
import sys
import time
from pathlib import Path

import torch


def machine():
    """Processor or GPU, cores and versions, in a line."""
    name = platform.processor() or platform.machine()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    elif Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), name)
    return (f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"Python {platform.python_version()}")


class Progress:
    """Says what is done of several works, and how long the rest may take.

    seconds: what each takes on 2 cores of an AMD EPYC. If they take longer here, so will the rest; what took next to
    nothing was done by an earlier run and says nothing about that.
    """

    def __init__(self, seconds):
        self.left, self.total = list(seconds), len(seconds)
        self.expected = self.taken = 0.0
        self.last = time.perf_counter()

    def __call__(self, sentence):
        """The next work is done: say so."""
        now, expected = time.perf_counter(), self.left.pop(0)
        took, self.last = now - self.last, now
        if took > expected / 10:
            self.expected, self.taken = self.expected + expected, self.taken + took
        left = sum(self.left) * (self.taken / self.expected if self.expected else 1)
        print(f"[{self.total - len(self.left)}/{self.total}] {sentence} ({took:.0f} s; about {left / 60:.0f} min left)",
              file=sys.stderr, flush=True)
