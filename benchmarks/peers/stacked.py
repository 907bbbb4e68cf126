"""The original idea, as it was published: neighbours stacked as channels, and the faults that came with it.

    python -m benchmarks.peers.stacked PHOTO FOLDER [SECONDS]

writes FOLDER/output_texture_3x3_bad.png, drawn without the forced mean and deviation: generated tiles have
another colour. The schedule is to blame: T = 100 with betas 1e-4 .. 0.02 leaves alpha_bar_T = 0.36, so that the
network never saw the pure noise that sampling starts from (arXiv 2305.08891).

A plain U-Net sees the noisy tile and its 8 neighbours as channels at the same coordinates, absent ones zero,
and predicts eps (DDPM, arXiv 2006.11239). Each drawn tile is then forced to the photo's mean and deviation,
and its outer 8 pixels are cross-faded with what lies beyond the border.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import texture_diffusion as td
from benchmarks import peers
from texture_diffusion_tools.laying import layouts
from texture_diffusion_tools.running import constants, devices, seeds
from texture_diffusion_tools.writing import png

BETAS = torch.linspace(1e-4, 0.02, 100)
ALPHAS_CUMPROD = (1 - BETAS).cumprod(0)
WIDTHS = (32, 64, 128, 256)  # channels at 1, 1/2, 1/4, 1/8 of the resolution
RATE = 1e-3
FADE = 8  # px
MAX_SIDE = 640  # px, of the photo on the command line
SIDES = (lambda x: x, lambda x: x[:, ::-1], lambda x: x.swapaxes(0, 1), lambda x: x.swapaxes(0, 1)[:, ::-1])
BEYOND = ((0, -1), (0, 1), (-1, 0), (1, 0))  # the cell beyond each of SIDES, whose first column is at the border


class Block(nn.Module):
    """Two 3x3 convolutions; the time embedding is added between them."""

    def __init__(self, c_in, c_out, c_time):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(c_in, c_out, 3, padding=1), nn.GroupNorm(8, c_out)
        self.conv2, self.norm2 = nn.Conv2d(c_out, c_out, 3, padding=1), nn.GroupNorm(8, c_out)
        self.time = nn.Linear(c_time, c_out)

    def forward(self, x, emb):  # [B, c_in, h, w], [B, c_time] -> [B, c_out, h, w]
        h = F.silu(self.norm1(self.conv1(x))) + self.time(emb)[:, :, None, None]
        return F.silu(self.norm2(self.conv2(h)))


class UNet(nn.Module):
    """eps [B, C, T, T] from the noisy tile x_t [B, C, T, T], neighbours [B, 8 C, T, T] and time [B] in (0, 1]."""

    def __init__(self, channels):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.down = nn.ModuleList(Block(a, b, 128) for a, b in zip((9 * channels, *WIDTHS), WIDTHS))
        self.up = nn.ModuleList(Block(a + b, a, 128) for a, b in zip(WIDTHS, WIDTHS[1:]))
        self.out = nn.Conv2d(WIDTHS[0], channels, 1)

    def forward(self, x_t, neighbours, time):
        emb, skips = self.time(td.time_features(time)), []
        h = torch.cat([x_t, neighbours], 1)
        h = h.contiguous(memory_format=devices.layout_on(h.device))
        for level, block in enumerate(self.down):
            h = block(F.max_pool2d(h, 2) if level else h, emb)
            skips.append(h)
        for level in reversed(range(len(self.up))):
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = self.up[level](torch.cat([skips[level], h], 1), emb)
        return self.out(h)


def windows(padded, tile, share, generator):
    """Random tiles [B, C, T, T] of a photo with a border of one tile, and their neighbours [B, 8 C, T, T].

    Neighbours that do not lie in the photo as a whole are absent, and so are those that dropout takes.
    """
    height, width = (side - 2 * tile for side in padded.shape[1:])
    y, x = (torch.randint(side - tile + 1, (peers.BATCH,), generator=generator, device=padded.device)
            for side in (height, width))
    parts = td.cut_windows(padded, y, x, 3 * tile).unfold(2, tile, tile).unfold(3, tile, tile)
    parts = parts.flatten(2, 3).transpose(1, 2)  # [B, 9, C, T, T]
    inside = [torch.stack([at >= tile, torch.ones_like(at, dtype=torch.bool), at + 2 * tile <= side], 1)
              for at, side in ((y, height), (x, width))]  # [B, 3]
    around = [0, 1, 2, 3, 5, 6, 7, 8]
    present = (inside[0][:, :, None] & inside[1][:, None]).flatten(1)[:, around]
    present &= td.dropout_masks(peers.BATCH, share, generator)
    return parts[:, 4], (parts[:, around] * present[:, :, None, None, None]).flatten(1, 2)


def fit(photo, tile, seconds, seed, steps, device, precision):
    """The U-Net trained on a plain photo."""
    padded, abar = F.pad(photo.x, [tile] * 4).to(device), ALPHAS_CUMPROD.to(device)
    net = peers.build(lambda: UNet(len(photo.x)), seed, device)
    share = peers.constants().NEIGHBOUR_DROPOUT

    def loss(generator):
        x0, neighbours = windows(padded, tile, share, generator)
        t = torch.randint(len(BETAS), (len(x0),), generator=generator, device=device)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        with devices.autocast(device, precision):
            predicted = net(td.q_sample(x0, t, eps, abar), neighbours, (t + 1) / len(BETAS))
        return F.mse_loss(predicted.float(), eps)

    return peers.train(net, loss, RATE, seconds, seed, steps)


@torch.inference_mode()
def draw(net, neighbours, generators, precision):
    """Tiles [B, C, T, T] by ancestral sampling (DDPM, algorithm 2) among neighbours [B, 8, C, T, T]."""
    device, shape = neighbours.device, neighbours.shape[2:]
    x_t = peers.noise_for(generators, shape, device)
    for t in reversed(range(len(BETAS))):
        time = torch.full((len(x_t),), (t + 1) / len(BETAS), device=device)
        with devices.autocast(device, precision):
            eps = net(x_t, neighbours.flatten(1, 2), time).float()
        beta, abar = float(BETAS[t]), float(ALPHAS_CUMPROD[t])
        x_t = (x_t - beta / (1 - abar)**0.5 * eps) / (1 - beta)**0.5
        if t:
            x_t = x_t + beta**0.5 * peers.noise_for(generators, shape, device)
    return x_t


def force_statistics(tiles, x):
    """Tiles [B, C, T, T] with the mean and the deviation of each channel of a photo x [C, H, W]."""
    std, mean = torch.std_mean(tiles, (2, 3), keepdim=True, correction=0)
    to_std, to_mean = torch.std_mean(x, (1, 2), keepdim=True, correction=0)
    return (tiles - mean) / std.clamp(min=1e-6) * to_std + to_mean


def cross_fade(tiles, gaps, exists):
    """Blend the outer pixels of gaps, in place, with the mirror image of the tile beyond the border.

    tiles: float [rows + 2, columns + 2, T, T, C] with a border of absent cells, exists: bool [rows + 2, columns + 2].
    """
    fade = min(FADE, tiles.shape[2] // 4)
    ramp = ((np.arange(fade) + 0.5) / fade)[:, None]
    for i, j in gaps:
        for side, other, (di, dj) in zip(SIDES, (1, 0, 3, 2), BEYOND):
            if exists[i + di, j + dj]:
                strip, mirror = side(tiles[i, j])[:, :fade], SIDES[other](tiles[i + di, j + dj])[:, :fade]
                strip[...] = ramp * strip + (1 - ramp) * mirror


def make(photo, layout, tile, seconds, seed, steps=None, force=True):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py. force=False leaves the forcing out."""
    photo, device = peers.plain(photo), devices.pick_device()
    precision = devices.pick_precision(device)
    net = fit(photo, tile, seconds, seed, steps, device, precision)
    grid = torch.zeros(*(side + 2 for side in layout.source.shape[:2]), len(photo.x), tile, tile)
    for i, j in np.argwhere(layout.real()):
        y, x = layout.source[i, j]
        grid[i + 1, j + 1] = photo.x[:, y:y + tile, x:x + tile]
    for cells in layout.passes:
        for part in (cells[k:k + peers.BATCH] for k in range(0, len(cells), peers.BATCH)):
            around = torch.stack([grid[i:i + 3, j:j + 3].flatten(0, 1)[[0, 1, 2, 3, 5, 6, 7, 8]] for i, j in part])
            generators = [seeds.torch_generator(seed, seeds.DRAWING, *cell) for cell in part]
            tiles = draw(net, around.to(device), generators, precision).cpu()
            tiles = force_statistics(tiles, photo.x) if force else tiles
            for (i, j), one in zip(part, tiles):
                grid[i + 1, j + 1] = one
    tiles = grid.movedim(2, -1).numpy()  # [rows + 2, columns + 2, T, T, C], the same memory
    cross_fade(tiles, np.argwhere(~layout.real()) + 1, np.pad(np.ones(layout.real().shape, bool), 1))
    return photo.pixels(grid[1:-1, 1:-1].permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2))


def main():
    """The command line."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.split("\n\n")[1].strip())
    c = peers.constants()
    photo = td.load_photo(sys.argv[1], max_side=MAX_SIDE)
    constants.check_sizes(*photo.x.shape[1:], c.TILE_SIZE, td.tile_multiple(c.WIDTHS))
    grid = layouts.grid_of(photo, c)
    layout = td.lay_out(photo, "ordered", grid, c.SEED)
    seconds = float(sys.argv[3]) if len(sys.argv) == 4 else 600.0
    pixels = make(photo, layout, c.TILE_SIZE, seconds, c.SEED, force=False)[:grid.size[0], :grid.size[1]]
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    png.save_png(folder / "output_texture_3x3_bad.png", np.ascontiguousarray(pixels))


if __name__ == "__main__":
    main()
