"""Learning to estimate the maps of a surface from a photo of it: samples without end, the loss, the training.

Every sample is a piece of a drawn surface or of a material, at a scale of its own, turned, in other colours, steeper
or flatter, and lit anew. Colours often have nothing to do with heights: another surface's are put on it, letters and
stains are painted over it, or they are made negative. Who takes dark for deep is wrong there.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from texture_diffusion_tools.learning.muon import Muon
from texture_diffusion_tools.reading import estimator
from texture_diffusion_tools.running import constants, files, seeds
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.running.signals import StopSignals

from . import light, pool

CUT = 16  # pixels around a sample that shadows and blurs need
BORDER = 8  # pixels of a sample that are no part of the loss, where the network sees the end of the picture
REAL_SCALES, DRAWN_SCALES = (0.4, 1.4), (0.5, 1.6)  # of a sample
STEEPNESS = (0.2, 1.3)  # of drawn surfaces, times what their heights say
RELIEF, FLAT = 0.1, 0.3  # mean slope from which on a material is shown as often as others, and how often flat ones are
STEEPEST = 4.0  # slopes are no part of the loss beyond
OTHER, NEGATIVE, ONE, PRINT, STAIN = 0.12, 0.12, 0.1, 0.2, 0.2  # shares of the samples whose colours are changed so
SCALES, HEIGHTS = (2, 4, 8, 16), 0.6  # pixels over which slopes are averaged, too, and the weight of that
ROUGHNESS, METAL, LIGHT = 0.7, 0.05, 0.05  # weights in the loss
KNOWN = 0.5  # share of the samples whose light the network is told
SOFT = 0.005  # squared difference of normals below which the loss is nearly a square
CLIP, WARM, DECAY = 1.0, 50, 0.01
KEPT = 0.996  # of the averaged weights in a step


class Samples(torch.utils.data.Dataset):
    """Batches of lit pieces of surfaces, each determined by the seed and the step."""

    def __init__(self, drawn, real, share, side, seed=0, count=1):
        self.count, self.side, self.seed, self.share, self.real = count, side, seed, share, real
        reliefs = np.array([min(1, float(surface.slopes.float().abs().mean()) / RELIEF) for surface in real])
        self.chances = (reliefs + FLAT) / (reliefs + FLAT).sum() if real else None
        self.drawn = [None if parts[0] is None else torch.stack(parts) for parts in zip(*drawn)]

    def piece(self, rng):
        """Colour (linear), height, slopes, roughness, metal of a piece with CUT around it, [8, h, w]."""
        x = self.real_piece(rng) if rng.random() < self.share else self.drawn_piece(rng)
        x[:3], x[6:] = (x[:3] / 255) ** 2.2, x[6:] / 255
        return estimator.turned(x, int(rng.integers(8)), (4,))

    def real_piece(self, rng):
        """The same of a material, but for the units of colour, roughness and metal, which are levels."""
        surface = self.real[rng.choice(len(self.real), p=self.chances)]
        size = min(self.size_at(rng, REAL_SCALES), *surface.height.shape)
        y, x = (int(rng.integers(length - size + 1)) for length in surface.height.shape)
        return self.scaled([part[..., y:y + size, x:x + size] for part in surface])

    def drawn_piece(self, rng):
        """The same of a drawn surface, which wraps, with another relief."""
        k, length = int(rng.integers(len(self.drawn[0]))), self.drawn[0].shape[-1]
        size = self.size_at(rng, DRAWN_SCALES)
        rows, columns = ((torch.arange(size) + int(rng.integers(length))) % length for _ in range(2))
        colour, height, rough, metal = (part[k][..., rows, :][..., columns] for part in self.drawn if part is not None)
        steep = float(np.exp(rng.uniform(*np.log(STEEPNESS))))
        x = self.scaled([colour, height.float() * steep, torch.zeros(2, size, size), rough, metal])
        x[4], x[5] = (torch.gradient(x[3], dim=axis)[0] for axis in (1, 0))
        return x

    def size_at(self, rng, scales):
        """How many pixels of a surface a sample's side shows."""
        return int((self.side + 2 * CUT) / np.exp(rng.uniform(*np.log(scales))))

    def scaled(self, parts):
        """A Surface's parts as one, [8, h, w], of a sample's size; heights are in its pixels."""
        colour, height, slopes, rough, metal = (part.float() for part in parts)
        x = torch.cat([colour, (height - height.mean())[None], slopes, rough[None], metal[None]])
        side = self.side + 2 * CUT
        found = F.interpolate(x[None], (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
        found[3] *= side / len(height)
        return found

    def __getitem__(self, step):
        """Of a step photos [B, 3, h, w] in [0, 1], what is true of them [B, 4, h, w]: slopes, roughness, metal; and
        light [B, 2]."""
        rng = np.random.default_rng((self.seed, step))
        pieces = torch.stack([self.piece(rng) for _ in range(self.count)])
        colour, height, slopes, rough, metal = pieces.split([3, 1, 2, 1, 1], 1)
        colour = recoloured(colour, rng)
        photos, direction = light.seen(colour, height, slopes, rough, metal, rng)
        inner = slice(CUT, CUT + self.side)
        truth = torch.cat([slopes, rough, metal], 1)
        return photos[..., inner, inner].contiguous(), truth[..., inner, inner].contiguous(), direction


def recoloured(colour, rng):
    """Linear colours [B, 3, h, w] of a batch that are more often than in nature not what heights suggest."""
    count, changed = len(colour), colour.clone()
    for k in range(count):
        chosen = rng.random(5) < (OTHER, NEGATIVE, ONE, PRINT, STAIN)
        if chosen[0]:
            changed[k] = colour[rng.integers(count)].roll([int(v) for v in rng.integers(0, 99, 2)], (1, 2))
        for change in (way for way, wanted in zip((negative, nearly_one, printed, stained), chosen[1:]) if wanted):
            changed[k] = change(changed[k], rng)
    hue = torch.from_numpy(np.exp(0.12 * rng.standard_normal((count, 3, 1, 1)))).float()
    return (changed * hue).clamp(0.002, 1)


def any_colour(rng, spread):
    """A linear colour [3, 1, 1]."""
    levels = rng.uniform(0.02, 0.85) * np.exp(spread * rng.standard_normal((3, 1, 1)))
    return torch.from_numpy(levels).float().clamp(0, 1)


def negative(colour, rng):
    """A negative of a colour [3, h, w]: what was bright is dark."""
    return ((1 - colour.clamp(0, 1) ** (1 / 2.2)) * rng.uniform(0.5, 1)) ** 2.2


def nearly_one(colour, rng):
    """One colour with a little of another [3, h, w]."""
    return any_colour(rng, 0.15) + 0.1 * rng.random() * (colour - colour.mean((1, 2), True))


def printed(colour, rng):
    """A colour [3, h, w] with something printed on it."""
    where = torch.from_numpy(pool.draw_print(rng, colour.shape[1]).astype(np.float32) / 255)
    return colour + rng.uniform(0.4, 1) * where * (any_colour(rng, 0.3) - colour)


def stained(colour, rng):
    """A colour [3, h, w] with dark stains."""
    grain = torch.from_numpy(rng.standard_normal((1, 1, *[int(rng.integers(4, 24))] * 2))).float()
    spots = F.interpolate(grain, tuple(colour.shape[1:]), mode="bicubic", align_corners=False)[0]
    return colour * torch.exp(-rng.uniform(0, 0.8) * spots.clamp_min(0))


def normals_of(slopes):
    """Unit normals [B, 3, h, w] of slopes [B, 2, h, w]."""
    return F.normalize(torch.cat([-slopes, torch.ones_like(slopes[:, :1])], 1), dim=1)


def loss_of(found, votes, truth, direction, told):
    """The loss and its parts {name: number} of what the network says, as MapNet does, against what is true; told
    [B, 1]: 1 where it knew of the light."""
    inner = slice(BORDER, -BORDER)
    slopes, true = found[:, :2, inner, inner], truth[:, :2, inner, inner].clamp(-STEEPEST, STEEPEST)
    apart = (normals_of(slopes) - normals_of(true)).square().sum(1)
    normal = ((apart + SOFT).sqrt() - SOFT**0.5).mean()
    coarse = sum((F.avg_pool2d(slopes, by) - F.avg_pool2d(true, by)).square().sum(1).add(SOFT).sqrt().mean() - SOFT**0.5
                 for by in SCALES)
    rough = (found[:, 2, inner, inner].sigmoid() - truth[:, 2, inner, inner]).abs().mean()
    metal = F.binary_cross_entropy_with_logits(found[:, 3, inner, inner], truth[:, 3, inner, inner])
    sun = ((1 - told) * (votes.mean((2, 3)) - direction).square()).sum() / (1 - told).sum().clamp_min(1)
    loss = normal + HEIGHTS * coarse / len(SCALES) + ROUGHNESS * rough + METAL * metal + LIGHT * sun
    return loss, {"angle": torch.rad2deg(2 * torch.asin((apart.sqrt() / 2).clamp(0, 1))).mean(), "rough": rough,
                  "metal": metal, "light": sun}


class MapTrainer:
    """The network, its averaged weights and its optimizers; everything is determined by the seed and the step."""

    def __init__(self, rate, seed, precision):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seeds.seed_sequence(seed, seeds.INITIAL).generate_state(1)[0]))
            self.net = estimator.MapNet().to(memory_format=torch.channels_last)
        self.ema = {name: weight.detach().clone() for name, weight in self.net.state_dict().items()}
        self.rate, self.precision, self.step = rate, precision, 0
        last = [*self.net.tail.parameters(), *self.net.light.parameters()]
        kernels = [p for p in self.net.parameters() if p.ndim == 4 and all(p is not other for other in last)]
        rest = [p for p in self.net.parameters() if all(p is not kernel for kernel in kernels)]
        self.opts = [Muon(kernels, rate, DECAY, torch.float32),
                     torch.optim.AdamW(rest, rate, (0.9, 0.98), weight_decay=0)]

    def work(self, photos, truth, direction, done):
        """One step on a batch of Samples at a share of the way, 0 to 1, by which the learning rate falls; the loss's
        parts."""
        told = torch.from_numpy(np.random.default_rng((1, self.step)).random((len(photos), 1)) < KNOWN).float()
        planes = estimator.planes_of(2 * photos - 1, direction)
        planes[:, 3:] *= told[:, :, None, None]
        planes = planes.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            found, votes = self.net(planes)
        loss, parts = loss_of(found.float(), votes.float(), truth, direction, told)
        for opt in self.opts:
            opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        for opt in self.opts:
            opt.param_groups[0]["lr"] = self.rate * min(1, (self.step + 1) / WARM) * (1 - done) ** 0.5 * \
                (0.02 + 0.98 * math.cos(math.pi / 2 * done))
            opt.step()
        self.step += 1
        kept = min(KEPT, self.step / (self.step + 10))
        for name, weight in self.net.state_dict().items():
            self.ema[name].lerp_(weight, 1 - kept)
        return {name: part.item() for name, part in {"loss": loss, **parts}.items()}

    def state(self):
        return {"step": self.step, "net": self.net.state_dict(), "ema": self.ema,
                "opts": [opt.state_dict() for opt in self.opts]}

    def load(self, state):
        self.step = state["step"]
        self.net.load_state_dict(state["net"])
        self.ema = {name: weight.clone() for name, weight in state["ema"].items()}
        for opt, its in zip(self.opts, state["opts"]):
            opt.load_state_dict(its)


def save(path, state):
    """Write a state, whole or not at all."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(Path(path), lambda file: torch.save(state, file))


def read_pool(path, count, seed):
    """The drawn Surfaces in a file, which is made if it is not there."""
    path = Path(path)
    if not path.exists():
        print(f"drawing {count} surfaces of each kind, once")
        drawn = [tuple(surface) for _, surface in pool.draw_pool(count, seed)]
        save(path, {"surfaces": drawn})
    return [pool.Surface(*parts) for parts in torch.load(path, weights_only=True)["surfaces"]]


def train(argv):
    """Learn to estimate maps; argv: overrides such as MATERIALS=folder."""
    # fmt: off
    MATERIALS     = ""                           # folder of materials to learn from as well; "": none
    POOL          = "checkpoints/maps_pool.pt"   # drawn surfaces, made if they are not there
    OUTPUT        = "checkpoints/maps_state.pt"  # what is needed to go on
    DRAWN         = 12                           # surfaces of each kind
    REAL          = 0.4                          # share of the samples from MATERIALS
    STEPS         = 3_000                        # steps in all: the schedule's length
    MINUTES       = 0.0                          # or minutes from now, whichever end comes first; 0: no such end
    SAVE_EVERY    = 200                          # steps between checkpoints
    SIDE          = 160                          # of a sample, pixels
    BATCH_SIZE    = 12                           # samples in one step
    LEARNING_RATE = 2e-3                         # peak
    BFLOAT16      = True                         # whether the network computes in bfloat16
    SEED          = 0
    # fmt: on
    c = constants.settings(train, locals(), argv)
    real = list(pool.read_materials(c.MATERIALS).values()) if c.MATERIALS else []
    samples = Samples(read_pool(c.POOL, c.DRAWN, c.SEED), real, c.REAL if real else 0, c.SIDE, c.SEED, c.BATCH_SIZE)
    trainer = MapTrainer(c.LEARNING_RATE, c.SEED, torch.bfloat16 if c.BFLOAT16 else torch.float32)
    if Path(c.OUTPUT).exists():
        trainer.load(torch.load(c.OUTPUT, weights_only=True))
    run(trainer, samples, c, lambda: save(c.OUTPUT, trainer.state()))
    print(f"output: {c.OUTPUT}\nsteps: {trainer.step}")


def run(trainer, samples, c, save):
    """Train to the end of the steps or of the minutes, and say now and then how it goes."""
    begun, seen = time.monotonic(), []
    loader = torch.utils.data.DataLoader(samples, None, sampler=range(trainer.step, c.STEPS), num_workers=1,
                                         prefetch_factor=4)
    with StopSignals() as stop:
        for batch in loader:
            passed = (time.monotonic() - begun) / (60 * c.MINUTES) if c.MINUTES else trainer.step / c.STEPS
            if passed >= 1 or stop.received:
                break
            seen.append(trainer.work(*batch, passed))
            if trainer.step % 50 == 0:
                means = {name: np.mean([parts[name] for parts in seen]) for name in seen[0]}
                print(f"step {trainer.step}, {time.monotonic() - begun:.0f} s: "
                      + ", ".join(f"{name} {value:.3f}" for name, value in means.items()), flush=True)
                seen = []
            if trainer.step % c.SAVE_EVERY == 0:
                save()
    save()


def export(argv):
    """Write the averaged weights of a training, in float16, as the tool's maps.pt; argv: overrides such as STATE=path.
    """
    # fmt: off
    STATE  = "checkpoints/maps_state.pt"         # of python -m prior maps
    OUTPUT = "checkpoints/maps.pt"               # for the tool's constant MAPS
    # fmt: on
    c = constants.settings(export, locals(), argv)
    if not Path(c.STATE).exists():
        raise UserError(f"there is no training at {c.STATE}; begin one with python -m prior maps")
    state = torch.load(c.STATE, weights_only=True)
    save(c.OUTPUT, {"weights": {name: weight.half() for name, weight in state["ema"].items()}, "step": state["step"]})
    print(f"output: {c.OUTPUT}\nsteps: {state['step']}")
