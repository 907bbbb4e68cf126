"""What a person would use instead: each module has make(photo, layout, tile, seconds, seed), uint8 [H, W, 3].

photo is a texture_diffusion.Photo, layout one of its Layouts; the picture covers the whole grid of rows * tile
by columns * tile pixels, the real tiles verbatim and the gaps filled by the peer. seconds is how long it may
train (wall clock); the keyword steps ends the training after so many steps instead.

stacked      the original idea: neighbours as channels at the same coordinates, forced mean and deviation
lucidrains   denoising-diffusion-pytorch, unconditional on crops; gaps by replacement inpainting
quilting     image quilting; trains nothing and ignores the layout
posterior    diffusion by the photo's patches in closed form; trains nothing and ignores the layout
"""

import copy
import importlib
import time
from types import SimpleNamespace

import torch
import torch.nn as nn

import texture_diffusion as td
from texture_diffusion_tools.running import constants as settings
from texture_diffusion_tools.running import devices, seeds
from texture_diffusion_tools.running.errors import UserError

BATCH = 8  # tiles in one step of training or of drawing, as in the tool


def constants():
    """The constants of the tool's main(), as they stand there and filled in, as a namespace."""
    return settings.fill_in(SimpleNamespace(**td.main(use=dict)))


def need(module, package):
    """Import a module of a package from PyPI; UserError with the command if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{package} is missing or broken ({error}): pip install {package}") from None


def plain(photo):
    """The photo without the tool's normalisation: x in [-1, 1], as the peers are used to."""
    return photo._replace(x=photo.x * photo.std + photo.mean, mean=torch.zeros_like(photo.mean),
                          std=torch.ones_like(photo.std))


def build(make_net, seed, device):
    """make_net() with reproducible initial weights, on the device and as it likes them laid out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.seed_sequence(seed, seeds.INITIAL).generate_state(1)[0]))
        return make_net().to(device, memory_format=devices.layout_on(device))


def train(net, loss, rate, seconds, seed, steps=None):
    """Train net with Adam for so many seconds, or for steps; returns the average of its weights (EMA).

    loss(generator) gives the scalar loss of a random batch. The EMA warms up, as in the tool.
    """
    device = next(net.parameters()).device
    opt = torch.optim.Adam(net.parameters(), lr=rate)
    ema = copy.deepcopy(net).eval().requires_grad_(False)
    step, start = 0, time.perf_counter()
    while step < steps if steps is not None else time.perf_counter() - start < seconds:
        error = loss(seeds.torch_generator(seed, seeds.TRAINING, step, device=device))
        opt.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(net.parameters(), td.GRADIENT_CLIP)
        opt.step()
        step += 1
        with torch.no_grad():
            decay = min(td.EMA_DECAY, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - decay)
    return ema


def noise_for(generators, shape, device):
    """Standard normal noise [B, *shape], each sample from a CPU generator of its own."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)
