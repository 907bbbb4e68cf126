"""What the tool does on a GPU, in ten minutes at most: prepared for whoever has one for a while.

    python -m benchmarks.gpu [FILE]            writes gpu.json, or FILE, after each part, and prints it at the end
    python -m benchmarks.gpu --quick [FILE]    tiny networks: shows that it runs, and nothing about speed

Without a GPU it is quick, too, and compares the CPU with itself. A part for which no time is left says so, and one that
fails costs no other.

machine      the device, what its trial says (texture_diffusion_tools/running/trials.py), the precision that a run
             would choose
default_run  the default run as a process of its own: its last lines, and the seconds from its start to its end
speed        tiles a second of training and of drawing, and their share of the peak, that of the best 3x3 convolution
             here, in float32 and bfloat16, each with two sizes of batch (as in benchmarks.speed)
resumed      some steps of training done again, and with a stop between them: whether all weights are equal bit for bit
as_the_cpu   the same tiles drawn from the same noise, here and by the CPU in float32: by how many levels of 255 pixels
             differ; and the loss of a batch and its gradient, by which share
memory       the most that was needed on the device by then, in bytes
"""

import copy
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import benchmarks
from benchmarks import commits, speed
from texture_diffusion_tools.running import devices, exit_codes, files, seeds
from texture_diffusion_tools.running.errors import RunError, first_line

SCRIPT = Path(__file__).resolve().parent.parent / "texture_diffusion.py"
LIMIT = 600  # s for all of it
NEEDED = 60  # s that must be left for a part to begin
PRECISIONS = (torch.float32, torch.bfloat16)  # those that the device gets right
BATCHES, QUICK_BATCHES = (8, 64), (2, 4)
ROUNDS = 5  # of measurements in turn
STEPS = 6  # of the training that is stopped after half of them
TINY = ("TILE_SIZE=32", "WIDTHS=(8,16)", "PRIOR=None", "EPOCH_TILES=16", "SAMPLE_STEPS=2", "SCALE=1")


class Bench:
    """One round of all parts on a device."""

    def __init__(self, quick):
        self.start, self.device = time.monotonic(), devices.pick_device()
        self.quick = quick or self.device == devices.CPU
        self.c = speed.constants(self.quick)
        self.precisions = [kind for kind in PRECISIONS if not devices.trial_of(self.device, kind)]

    def left(self):
        """Seconds that are left."""
        return LIMIT - (time.monotonic() - self.start)

    def subject(self, precision, batch=None, device="auto"):
        """The tool with its default photo and constants, see speed.ours()."""
        c = copy.copy(self.c)
        c.DEVICE, c.BATCH_SIZE = device, batch or c.BATCH_SIZE
        return speed.ours(c, precision, self.quick)

    def machine(self):
        """The device by name, and what is thought of it."""
        problems = {kind: devices.problem_of(kind) for kind in devices.GPUS}
        return {"device": self.device.type, "name": benchmarks.machine(), "commit": commits.commit(),
                "quick": self.quick, "precision": name_of(devices.pick_precision(self.device)),
                "trials": {kind: problem or "passed" for kind, problem in problems.items() if problem is not None}}

    def default_run(self):
        """The figures of the default run, as texts, and its seconds."""
        with tempfile.TemporaryDirectory() as folder:
            command, start = [sys.executable, str(SCRIPT), *(TINY if self.quick else ())], time.monotonic()
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=self.left())
        if result.returncode:
            raise RunError(result.stderr.strip().splitlines()[-1])
        return {"seconds": time.monotonic() - start, **dict(re.findall(r"^(\w+): (.*)$", result.stdout, re.M))}

    def speed(self):
        """Tiles a second, and shares of the peak, for each precision and size of batch."""
        found, c = {}, self.c
        counted = self.subject(torch.float32)
        gflop = {kind: speed.gflop(getattr(counted, kind)) / c.BATCH_SIZE for kind in ("train", "draw")}
        for precision in self.precisions:
            for batch in QUICK_BATCHES if self.quick else BATCHES:
                works, cost = speed.convolutions(self.device, precision, batch, self.quick)
                subject = self.subject(precision, batch)
                works.update(train=subject.train, draw=subject.draw)
                times = speed.best_times(works, 1 if self.quick else ROUNDS, self.device)
                peak = max(cost[name] / times[name] for name in cost)
                found[f"{name_of(precision)}, batch {batch}"] = {
                    "peak_gflop_per_second": peak,
                    "training_tiles_per_second": batch / times["train"],
                    "drawing_tiles_per_second": batch / times["draw"] / c.SAMPLE_STEPS,
                    "training_share_of_peak": gflop["train"] * batch / times["train"] / peak,
                    "drawing_share_of_peak": gflop["draw"] * batch / times["draw"] / peak}
        return found

    def resumed(self):
        """Whether weights are the same when training is done again, and when it is stopped and goes on."""
        found = {}
        for precision in self.precisions:
            unbroken, again, stopped = (self.trained(precision, stop) for stop in (None, None, STEPS // 2))
            found[name_of(precision)] = {"repeated_bit_for_bit": largest(unbroken, again) == 0,
                                         "resumed_bit_for_bit": largest(unbroken, stopped) == 0,
                                         "largest_difference": largest(unbroken, stopped)}
        return found

    def trained(self, precision, stop):
        """The weights after STEPS steps, {name: tensor}; after `stop` of them another trainer goes on from what the
        first would have saved."""
        trainer = self.subject(precision).context["trainer"]
        for step in range(STEPS):
            if step == stop:
                saved = io.BytesIO()
                torch.save(trainer.state(), saved)
                saved.seek(0)
                trainer = self.subject(precision).context["trainer"]
                trainer.load(torch.load(saved, map_location="cpu", weights_only=True))
            trainer.train_step()
        return {name: weight.cpu() for name, weight in trainer.net.state_dict().items()}

    def as_the_cpu(self):
        """How far what is drawn and learned here is from what the CPU draws and learns."""
        tiles, learned = self.drawn_and_learned(torch.float32, "cpu")
        found = {}
        for precision in self.precisions:
            other_tiles, other = self.drawn_and_learned(precision, "auto")
            levels, gradient = np.abs(tiles.astype(int) - other_tiles), other["gradient"] - learned["gradient"]
            found[name_of(precision)] = {
                "mean_levels": float(levels.mean()), "largest_levels": int(levels.max()),
                "share_by_more_than_one_level": float((levels > 1).mean()),
                "loss_by_share": abs(other["loss"] / learned["loss"] - 1),
                "gradient_by_share": float(gradient.norm() / learned["gradient"].norm())}
        return found

    def drawn_and_learned(self, precision, device):
        """Pixels of a batch of tiles, uint8, and the loss and gradient of a batch, all of fixed noise."""
        context = self.subject(precision, device=device).context
        photo, trainer = context["photo"], context["trainer"]
        windows, present = trainer.dataset.examples(self.c.BATCH_SIZE, held_out=False)
        generators = [seeds.torch_generator(0, seeds.DRAWING, k) for k in range(len(windows))]
        *_, (_, tiles, _) = context["draw"](windows, present, generators)

        x0, steps = trainer.dataset.tiles_of(windows), len(trainer.alphas_cumprod)
        eps = torch.randn(x0.shape, generator=seeds.torch_generator(0, seeds.VALIDATING)).to(x0.device)
        t = torch.linspace(0, steps - 1, len(x0)).long().to(x0.device)
        loss = trainer.weighted_error(trainer.net, x0, t, eps, windows, present)
        loss.backward()
        gradient = torch.cat([weight.grad.flatten().cpu() for weight in trainer.net.parameters()])
        return photo.pixels(tiles), {"loss": loss.item(), "gradient": gradient}

    def memory(self):
        """The most that was needed so far."""
        return {"peak_bytes": devices.peak_memory(self.device)}


PARTS = ("machine", "default_run", "speed", "resumed", "as_the_cpu", "memory")


def name_of(precision):
    """float32 or bfloat16."""
    return str(precision).removeprefix("torch.")


def largest(one, other):
    """The largest difference of two {name: tensor}."""
    return max((one[name] - other[name]).abs().max().item() for name in one)


def measured(bench, path):
    """What all parts found, {part: {figure: value}}, written to path after each."""
    found = {}
    for part in PARTS:
        print(f"{part} ... ({bench.left():.0f} s left)", file=sys.stderr, flush=True)
        try:
            found[part] = getattr(bench, part)() if bench.left() > NEEDED else {"left_out": "no time was left"}
        except Exception as error:  # whatever a new device raises: the others are still to be known
            found[part] = {"failed": f"{type(error).__name__}: {first_line(error)}"}
        text = json.dumps(found, indent=1)
        files.write_atomically(path, lambda file, text=text: file.write(text.encode()))
    return found


def main(argv=None):
    """The command line."""
    words = sys.argv[1:] if argv is None else argv
    paths = [word for word in words if word != "--quick"]
    if len(paths) > 1 or paths and paths[0].startswith("-"):
        sys.exit(__doc__.split("\n\n")[1].strip("\n"))
    path = Path(paths[0] if paths else "gpu.json")
    found = measured(Bench("--quick" in words), path)
    print(json.dumps(found, indent=1))
    failed = [part for part, figures in found.items() if "failed" in figures]
    if failed:
        raise RunError(f"{', '.join(failed)} failed; all else is in {path}")


if __name__ == "__main__":
    sys.exit(exit_codes.run(main))
