"""denoising-diffusion-pytorch from PyPI: its U-Net (dim 64) and its GaussianDiffusion, as a person would use them.

It knows no neighbours, so it learns crops of the photo as large as a tile with its halo, and fills a gap by
replacement inpainting: at each reverse step what is known around the gap is replaced by its noised truth (as in
RePaint, arXiv 2201.09865, without its resampling). The schedule, the objective (v) and the clipping are the
package's defaults; the rate is higher than its 1e-4, because a few minutes are a short training.
"""

import dataclasses

import torch

import texture_diffusion as td
from benchmarks import peers
from texture_diffusion_tools.running import devices, seeds

PACKAGE = "denoising-diffusion-pytorch"
DIM = 64  # the package's examples use this width
RATE = 3e-4
STEPS = 16  # of DDIM; each costs 132 GFLOP a gap at tile 128, half a second or more on 2 cores


def crops(x, side, generator):
    """Random crops [B, C, side, side] of a photo x [C, H, W]."""
    ys, xs = (torch.randint(length - side + 1, (peers.BATCH,), generator=generator, device=x.device)
              for length in x.shape[1:])
    return td.cut_windows(x, ys, xs, side)


def fit(photo, side, seconds, seed, steps, device, precision):
    """The package's GaussianDiffusion, with the averaged weights of its U-Net, trained on crops of a plain photo."""
    package = peers.need("denoising_diffusion_pytorch", PACKAGE)
    net = peers.build(lambda: package.Unet(dim=DIM, channels=len(photo.x)), seed, device)
    diffusion = package.GaussianDiffusion(net, image_size=side).to(device)
    x = photo.x.to(device)

    def loss(generator):
        x0 = crops(x, side, generator)
        t = torch.randint(diffusion.num_timesteps, (len(x0),), generator=generator, device=device)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        with devices.autocast(device, precision):
            return diffusion.p_losses(x0.contiguous(memory_format=devices.layout_on(device)), t, noise=eps)

    diffusion.model = peers.train(net, loss, RATE, seconds, seed, steps)
    return diffusion


@torch.inference_mode()
def draw(diffusion, rings, known, generators, precision):
    """Canvases [B, C, S, S] drawn around what is known, bool [B, 1, S, S], of rings [B, C, S, S]."""
    abar, device = diffusion.alphas_cumprod, rings.device
    eps = peers.noise_for(generators, rings.shape[1:], device)  # of the rings, the same at each step as DDIM's is
    x_t = eps
    times = td.trailing_timesteps(diffusion.num_timesteps, STEPS)
    for now, after in zip(times, times[1:]):
        t, t_prev = (torch.full((len(rings),), k, device=device) for k in (now, after))
        x_t = torch.where(known, td.q_sample(rings, t, eps, abar), x_t)
        with devices.autocast(device, precision):
            x0 = diffusion.model_predictions(x_t, t, clip_x_start=True).pred_x_start
        x_t = td.ddim_step(x_t, x0.float(), t, t_prev, abar)
    return x_t


def make(photo, layout, tile, seconds, seed, steps=None):
    """The texture, uint8 [H, W, 3]; see benchmarks/peers/__init__.py."""
    extended = tuple(x * photo.std + photo.mean for x in layout.extended)  # as peers.plain
    layout = dataclasses.replace(layout, extended=extended)
    photo, device = peers.plain(photo), devices.pick_device()
    precision = devices.pick_precision(device)
    diffusion = fit(photo, tile + 2 * td.HALO, seconds, seed, steps, device, precision)
    texture = td.Canvas(layout, len(photo.x), device)
    region = td.region_map(tile, td.HALO).to(device)
    for cells in layout.passes:
        rings, present = texture.neighbours(cells)
        known = td.with_tile(present)[:, region] & (region != 4)  # bool [N, S, S]
        for part in torch.arange(len(cells)).split(peers.BATCH):
            generators = [seeds.torch_generator(seed, seeds.DRAWING, *cells[k]) for k in part]
            drawn = draw(diffusion, rings[part], known[part][:, None], generators, precision)
            texture.place([cells[k] for k in part], td.crop_middle(drawn, tile))
    return photo.pixels(texture.cut((0, 0), [side * tile for side in layout.grid.shape()]))
