"""Whether a device can be believed: one step of a small network, like the script's in what it asks
for, is taken there and on the CPU, and the answers are compared. A card that the build of torch
does not know, an operator that is missing and convolutions that come out wrong are found in a
moment, not in a texture.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import first_line

CHANNELS, SIDE, BATCH = 64, 48, 2  # of the network, as those of the script's widest pictures

# Shares of the largest value by which answers may differ: TF32 and bf16 round, what is wrong is far
# beyond.
TOLERANCE = {torch.float32: 0.02, torch.bfloat16: 0.1}


class SmallNet(nn.Module):
    """A U-Net of two levels: pictures [B, 3, 4 SIDE, 4 SIDE] and time [B] to pictures of that size.
    """

    def __init__(self) -> None:
        super().__init__()
        wide = 2 * CHANNELS

        self.time = nn.Linear(CHANNELS, 2 * CHANNELS)
        self.stem = nn.Conv2d(48, CHANNELS, 3, padding=1)
        self.norm = nn.GroupNorm(8, CHANNELS)
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

        self.shrink = nn.Conv2d(CHANNELS, wide, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(wide, wide, 3, padding=1)
        self.grow = nn.Conv2d(wide, CHANNELS, 1)

        self.position = nn.Parameter(torch.randn(9, 2, CHANNELS))
        self.out = nn.Conv2d(2 * CHANNELS, 48, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, present: Tensor) -> Tensor:
        """present: which of 9 regions there are, bool [B, 9]."""
        rates = 1000 ** torch.linspace(0, 1, CHANNELS // 2, device=x.device)
        angles = time[:, None] * rates
        emb = self.time(F.silu(torch.cat([angles.sin(), angles.cos()], 1)))
        regions = torch.arange(9, device=x.device)
        where = self.position[regions, present.long()].mean(1)  # [B, CHANNELS]

        h = self.stem(F.pixel_unshuffle(x, 4)) + where[:, :, None, None].to(x.dtype)
        scale, shift = emb[:, :, None, None].chunk(2, 1)
        h = h + self.conv(F.silu(torch.addcmul(shift, self.norm(h), 1 + scale)))

        # the lower level
        low = F.silu(self.middle(self.shrink(h)))
        low = F.interpolate(self.grow(low), scale_factor=2, mode="nearest")

        # as the script does, only the middle of what was computed
        h = torch.cat([low, h], 1)[..., 4:-4, 4:-4]
        return F.pad(F.pixel_shuffle(self.out(h), 4), [16] * 4)


def problem_with(
    device: torch.device,
    precision: torch.dtype,
    layout: torch.memory_format,
    autocast: Callable[[], AbstractContextManager[object]],
) -> str:
    """What is wrong with a device, the rest of a sentence, "" if nothing is.

    layout: the memory format of pictures there; autocast: makes a context in which networks compute
    in the precision.
    """
    try:
        found = answers(device, layout, autocast())
    except (RuntimeError, TypeError) as error:  # torch raises these for what a device cannot do
        return explained(device, error)

    far = farthest(found, expected())
    if far <= TOLERANCE[precision]:
        return ""
    return f"what it computes is wrong (by {far:.0%}; the CPU was asked, too)"


@functools.cache
def expected() -> list[Tensor]:
    """The CPU's answers, in float32."""
    return answers(torch.device("cpu"), torch.channels_last, contextlib.nullcontext())


def farthest(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference of two lists of tensors, each over the largest value in it; infinite
    where one is not finite."""
    shares = [(x - y).abs().max() / y.abs().max().clamp(min=1e-6) for x, y in zip(found, wanted)]
    return torch.stack(shares).nan_to_num(nan=torch.inf).max().item()


def answers(
    device: torch.device, layout: torch.memory_format, autocast: AbstractContextManager[object]
) -> list[Tensor]:
    """A training step and a step of drawing, on a device: tensors on the CPU, float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallNet()
        x, eps = torch.randn(2, BATCH, 3, 4 * SIDE, 4 * SIDE)

    net = net.to(device).to(memory_format=layout)
    x, eps = x.to(device), eps.to(device)
    time = torch.tensor([0.2, 0.7], device=device)
    present = chances(device, (BATCH, 9)) < 0.5
    abar = torch.cos(time * torch.pi / 2)[:, None, None, None] ** 2

    # forward and backward
    x_t = (abar.sqrt() * x + (1 - abar).sqrt() * eps).contiguous(memory_format=layout)
    with autocast:
        estimate = net(x_t, time, present).float()
    estimate = estimate + filtered(x_t) * estimate.sigmoid()
    loss = ((estimate - x) ** 2 / (1 - abar).clamp(min=0.1)).mean()
    loss.backward()

    # the optimizer's operators
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    averages = [torch.zeros_like(gradient) for gradient in gradients]
    torch._foreach_lerp_(averages, gradients, 0.5)  # pyright: ignore[reportPrivateImportUsage]

    steps = orthogonal(averages[-2].flatten(1)), drawn(x, x_t, estimate.detach(), abar)
    values = (loss, norm, estimate, *averages, *steps)
    return [value.detach().float().cpu() for value in values]


def chances(device: torch.device, shape: tuple[int, ...]) -> Tensor:
    """0.25 everywhere, so that devices can be compared, if random numbers by a generator of the
    device are as they should be; else NaN."""
    generator = torch.Generator(device).manual_seed(2**63 + 1)  # seeds have 64 bits
    uniform = torch.rand(shape, generator=generator, device=device)
    normal = torch.randn(shape, generator=generator, device=device)
    places = torch.randint(9, shape, generator=generator, device=device)
    places = places + torch.randperm(shape[-1], generator=generator, device=device)

    whole = (uniform < 1) & (normal.abs() < 100) & (places < 17)
    return torch.where(whole, 0.25, torch.nan)


def filtered(x: Tensor) -> Tensor:
    """x [B, C, h, w] blurred, each channel by itself."""
    line = (3 - torch.arange(-2, 3, device=x.device).abs()) / 9
    kernel = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, [2] * 4, mode="replicate"), kernel, groups=x.shape[1])


def orthogonal(x: Tensor) -> Tensor:
    """A Newton-Schulz step of a matrix, as the optimizer takes it."""
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    identity = torch.eye(len(x), device=x.device)
    return (3.4445 * identity + (2.0315 * gram @ gram - 4.775 * gram)) @ x


def drawn(x: Tensor, x_t: Tensor, x0: Tensor, abar: Tensor) -> Tensor:
    """A step of drawing from x_t towards the estimate x0, held to x where that is dark, seen at
    some places."""
    eps = (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()
    ahead = torch.where(x < 0, x, torch.lerp(x0, eps, torch.logit(abar).clamp(-1, 1)))
    places = (x[0, 0] > 1).nonzero()[:64]
    return ahead[:, :, places[:, 0], places[:, 1]]


def explained(device: torch.device, error: BaseException) -> str:
    """The message of a device's error, in words that help."""
    text = str(error)
    if "no kernel image" in text:
        return (f"{torch.cuda.get_device_name()} is too old or too new for this build of torch, "
                f"{torch.__version__}, which knows {' '.join(torch.cuda.get_arch_list())}; another "
                "build may know it, see pytorch.org")
    if "out of memory" in text:
        return "its memory is full"
    if isinstance(error, NotImplementedError) or "not implemented" in text:
        return f"an operator is missing there ({first_line(error)}); a later torch may have it"
    return f"a trial step failed ({first_line(error)})"
