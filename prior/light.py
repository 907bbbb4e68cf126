"""Surfaces in light, as photos of them are taken: a sun from any side with the shadows that it casts, a sky that does
not reach everywhere, gloss, and a camera with its noise, its blur and its colour cast. Whole batches, in torch.

Shapes: B batch, H W pixels. Directions are (right, down, out of the picture).
"""

import torch
import torch.nn.functional as F

SHADOW = (1, 2, 3, 4, 6, 8, 11, 15)  # pixels towards the sun at which something may stand in the way
SKIES = ((1.5, 0.9), (4.0, 0.7), (10.0, 0.5))  # deviations of a Gaussian, pixels, and how much what they say counts
UNLIT = 0.3  # share of the pictures that are the colours alone, as scans that were made even
OVERCAST = 0.2  # share of the others without a sun


def uniform(rng, low, high, count):
    """A tensor [count, 1, 1, 1] of numbers at random."""
    return torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1))).float()


def chance(rng, share, count):
    """1 in a share of count cases and else 0, [count, 1, 1, 1]."""
    return (uniform(rng, 0, 1, count) < share).float()


def blurred(x, sigma):
    """x [B, C, H, W] after a Gaussian of a deviation in pixels."""
    reach = max(1, round(2.5 * sigma))
    line = torch.exp(-torch.arange(-reach, reach + 1).float() ** 2 / (2 * sigma**2))
    line = (line / line.sum()).view(1, 1, -1, 1).expand(x.shape[1], 1, -1, 1)
    x = F.pad(x, [reach] * 4, "replicate")
    return F.conv2d(F.conv2d(x, line, groups=x.shape[1]), line.transpose(2, 3), groups=x.shape[1])


def open_sky(height):
    """About the share of the sky that each place of heights [B, 1, H, W] sees."""
    hidden = sum(weight * F.relu(blurred(height, sigma) - height) / sigma for sigma, weight in SKIES)
    return torch.exp(-1.2 * hidden)


def in_sun(height, sun):
    """Where heights [B, 1, H, W] are not in a shadow of others, 0 to 1; sun: directions [B, 3]."""
    side, rise = sun[:, :2], sun[:, 2] / sun[:, :2].norm(dim=1).clamp_min(1e-3)
    way = side / side.norm(dim=1, keepdim=True).clamp_min(1e-3)
    lit = torch.ones_like(height)
    y, x = torch.meshgrid(*(torch.arange(length).float() for length in height.shape[2:]), indexing="ij")
    for far in SHADOW:
        at = torch.stack([x + far * way[:, 0, None, None], y + far * way[:, 1, None, None]], -1)
        at = 2 * (at + 0.5) / torch.tensor([height.shape[3], height.shape[2]]) - 1
        there = F.grid_sample(height, at, padding_mode="border", align_corners=False)
        above = there - height - far * rise[:, None, None, None]
        lit = torch.minimum(lit, 1 - (above / (0.3 + 0.1 * far)).clamp(0, 1))
    return lit


def seen(colour, height, slopes, rough, metal, rng, unlit=UNLIT):
    """Photos [B, 3, H, W] in [0, 1], sRGB, and the directions from which light comes, [B, 2], of length 1, or 0 where
    no side is brighter. colour: linear [B, 3, H, W]; slopes: [B, 2, H, W]; all others [B, 1, H, W]; unlit: share of
    the pictures that are the colours alone."""
    count = len(colour)
    turn, rise = uniform(rng, 0, 6.2832, count), uniform(rng, 0.25, 1.25, count)
    sun = torch.cat([turn.cos() * rise.cos(), turn.sin() * rise.cos(), rise.sin()], 1)
    share = uniform(rng, 0.25, 0.95, count) * (1 - chance(rng, OVERCAST, count))
    normal = F.normalize(torch.cat([-slopes, torch.ones_like(height)], 1), dim=1)

    # diffuse light of the sun and the sky
    facing = F.relu((normal * sun).sum(1, keepdim=True))
    shadow = in_sun(height, sun[:, :, 0, 0])
    sky = open_sky(height) * (0.5 + 0.5 * normal[:, 2:])
    sunny = share * facing * shadow / sun[:, 2:]
    light = sunny + (1 - share) * sky

    # gloss of both (Blinn 1977)
    half = F.normalize(sun + torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1), dim=1)
    power = (2 / rough.clamp_min(0.15) ** 4).clamp_max(800)
    gloss = (power + 2) / 8 * F.relu((normal * half).sum(1, keepdim=True)) ** power
    f0 = 0.04 + metal * (colour - 0.04)
    sheen = f0 * (3 * sunny * gloss + (1 - share) * sky * (1 + 1.5 * normal[:, 2:] * (1 - rough)))
    lit = colour * (1 - metal) * light + sheen

    unlit = chance(rng, unlit, count)
    baked = 1 - uniform(rng, 0, 0.6, count) * (1 - sky.clamp(0, 1))  # scans have some of it left
    direction = sun[:, :2, 0, 0] / sun[:, :2, 0, 0].norm(dim=1, keepdim=True)
    known = ((1 - unlit) * (share > 0))[:, :, 0, 0]
    return photographed(lit + unlit * (colour * baked - lit), unlit, rng), direction * known


def photographed(light, scanned, rng):
    """Light [B, 3, H, W] through a camera: sRGB in [0, 1]. scanned [B, 1, 1, 1]: 1 for pictures without its faults."""
    count, (height, width) = len(light), light.shape[2:]
    faults = 1 - scanned

    # exposure, a cast, and light that falls off to one side
    level = light.mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
    exposure = torch.exp(uniform(rng, -0.7, 0.7, count)) * (uniform(rng, 0.08, 0.45, count) / level) ** \
        uniform(rng, 0, 0.9, count)
    cast = torch.cat([torch.exp(0.1 * uniform(rng, -1, 1, count)) for _ in range(3)], 1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    drift = 1 + uniform(rng, -0.15, 0.15, count) * y + uniform(rng, -0.15, 0.15, count) * x
    light = light * (1 + faults * (exposure * cast * drift - 1))

    # contrast, blur and noise
    values = light.clamp(1e-4, 1.0) ** (1 / 2.2)
    values = (0.5 + (values - 0.5) * (1 + faults * uniform(rng, -0.3, 0.25, count))).clamp(0, 1)
    soft = blurred(values, float(rng.uniform(0.5, 1.3)))
    values = values + faults * chance(rng, 0.4, count) * (soft - values)
    noise = torch.from_numpy(rng.standard_normal(values.shape).astype("float32"))
    return (values + faults * chance(rng, 0.5, count) * uniform(rng, 0, 0.03, count) * noise).clamp(0, 1)
