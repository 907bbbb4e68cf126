"""What the examples share: pictures as a dataset for the core's trainer, a run that resumes, and drawing.

A picture on its own is a tile without neighbours (halo 0); a label, a text or a style is the network's context. A
folder of results is locked and has a list of what was made, as those of the main script.
Importing this module puts the repository on the path, so that the examples run from any folder.
"""

import contextlib
import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import texture_diffusion as td
from benchmarks.peers import need  # one sentence for a missing package, as for the peers
from texture_diffusion_tools.learning import checkpoints, photo_facts
from texture_diffusion_tools.reading import channels, exemplars
from texture_diffusion_tools.running import devices, files, forecasts, processes, seeds
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.running.signals import StopSignals
from texture_diffusion_tools.writing.pictures import draw_loss, picture_grid, save_curve

__all__ = ["need", "td"]

CONTEXT_LENGTH = 3.0  # of the vectors that labels and prompts are: the network learns to listen sooner
CONTEXT_STD = 0.3  # of the first weights by which they enter a network that begins from a prior


class PictureDataset:
    """What td.Trainer needs of a dataset: normalised pictures x [N, C, T, T] and their context, [N, K] or None.

    flips: half of the pictures are shown mirrored; epoch: how many make an epoch, None: as many as there are. Neighbour
    dropout becomes dropout of the context, so that one network learns pictures of a kind and of any kind
    (classifier-free guidance, arXiv 2207.12598).
    """

    halo = 0

    def __init__(self, x, context=None, flips=False, epoch=None):
        device, self.epoch = devices.pick_device(), epoch or len(x)
        self.x, self.context = x.to(device), None if context is None else context.to(device)
        self.flips, self.tile = flips, x.shape[-1]

    def __len__(self):
        return self.epoch

    def powers(self):
        """Mean square of each band of detail and channel, [bands, C]."""
        return photo_facts.band_powers(self.x)

    def batch(self, count, dropout, generator):
        """A td.Batch of pictures [B, C, T, T], which have no neighbours, and their context [B, K], if any."""
        index = torch.randint(len(self.x), (count,), generator=generator, device=self.x.device)
        x, (flip, keep) = self.x[index], torch.rand(2, count, 1, generator=generator, device=self.x.device)
        if self.flips:
            x = torch.where(flip[..., None, None] < 0.5, x.flip(-1), x)
        context = None if self.context is None else self.context[index] * (keep >= dropout)
        return td.Batch(x, alone(x), context=context)

    def tiles_of(self, windows):
        """A picture is all tile."""
        return windows

    def validation_offsets(self):
        """No picture is held out."""
        return torch.empty(0, 2)


def alone(x):
    """No neighbours for pictures x [B, C, T, T], bool [B, 8]."""
    return torch.zeros(len(x), 8, dtype=torch.bool, device=x.device)


def normalise(pictures, name):
    """uint8 pictures [N, T, T, C] as x [N, C, T, T] and a td.Photo that knows their mean, deviation and digest. Four
    channels are colours all."""
    count, side, _, number = pictures.shape
    pixels = pictures.reshape(count * side, side, number)
    exemplar = exemplars.of_pixels(pixels[..., :3], name)
    if number == 4:
        what = exemplar.channels._replace(slices={"colour": slice(0, number)})
        exemplar = exemplars.of_values(channels.as_values(pixels), what, name)
    photo = td.normalise(exemplar)
    return photo, photo.x.view(len(photo.x), count, side, -1).transpose(0, 1).contiguous()


@contextlib.contextmanager
def claimed(c, name, digest):
    """The files.Results of an example, which are of data of this digest, and the path of its checkpoint; no other run
    works on them meanwhile."""
    folder, checkpoint = files.prepare_folders(c.OUTPUT_DIR, c.CHECKPOINT_DIR, name)
    with files.claimed(folder, checkpoint, SimpleNamespace(name=name, digest=digest), processes.ALONE) as results:
        yield results, checkpoint


def prepare(photos, dataset, c, checkpoint, context=0, facts=(), change=None, prior=None, **options):
    """A td.Trainer for a dataset, new or as the checkpoint left it.

    context: length of the vector that the network is conditioned on; facts: what else the model depends on, such as a
    vocabulary; change(net) alters a new network; prior: path of weights to begin from; options: of td.UNet. What is
    known of a photo's textures the network knows of each label's. UserError if the checkpoint was made from other data
    or constants.
    """
    device, weights, digest = devices.pick_device(), None, ""
    if prior is not None:
        weights, digest = checkpoints.load_prior(files.find_file(prior, td.HERE), c.WIDTHS)
        options["channels"] = max(len(photos[0].x), td.channels_seen(weights, td.UNSHUFFLE))
    net = td.build_net(photos, dataset.tile, c.WIDTHS, c.SEED, device, halo=dataset.halo, context=context, **options)
    if len(photos) == 1:
        powers = dataset.powers().mean(1, keepdim=True).expand_as(net.signal).clone()
        net.know(photo_facts.PhotoFacts(torch.eye(len(photos[0].x), device=device), powers))
    if change is not None:
        change(net)
    learned_from = exemplars.digest_of([photo.exemplar for photo in photos])
    made_of = {"digest": hashlib.sha256(repr((learned_from, facts)).encode()).hexdigest(),
               "constants": {"WIDTHS": c.WIDTHS, "TIMESTEPS": c.TIMESTEPS}}
    state = checked(checkpoints.load(checkpoint), checkpoint, made_of) if checkpoints.exists(checkpoint) else {}
    if not state and c.EPOCHS == 0:
        raise UserError(f"there is no model at {checkpoint} to draw with; run without EPOCHS=0 first")
    net.precision = devices.pick_precision(device, state.get("precision"))
    dropout = getattr(c, "DROPOUT", 0.0)  # of the context, where there is one
    trainer = td.Trainer(net, dataset, td.cosine_schedule(c.TIMESTEPS).to(device), c.BATCH_SIZE, c.LEARNING_RATE,
                         dropout, c.SEED)
    trainer.made_of = made_of
    if state:
        trainer.load(state)
    elif weights:
        trainer.begin_from(weights, digest)
        init_context(trainer)
    return trainer


def init_context(trainer):
    """Let contexts differ from the first step on: a prior knows none, and from zeros it learns to tell them apart only
    slowly."""
    if trainer.net.context is not None:
        generator = seeds.torch_generator(trainer.seed, seeds.INITIAL)
        weight = CONTEXT_STD * torch.randn(trainer.net.context.weight.shape, generator=generator)
        for net in (trainer.net, trainer.ema):
            net.context.weight.data.copy_(weight)


def checked(state, checkpoint, made_of):
    """The state of a checkpoint, if it was made of the same data and constants; else UserError."""
    wrong = checkpoints.differences(state["constants"], made_of["constants"], made_of["constants"])
    if state["digest"] != made_of["digest"]:
        wrong.append("the pictures are others")
    if wrong:
        raise UserError(f"{checkpoint} does not fit: {'; '.join(wrong)}. Move it and the one before it, "
                        f"{checkpoints.generations(checkpoint)[1].name}, away to start anew")
    return state


def fit(trainer, c, results, checkpoint, report=None, name="loss"):
    """Train to c.EPOCHS with a progress bar, checkpoints and a loss curve of that name; a stop signal saves, then
    Stopped."""
    def save():
        checkpoints.save(checkpoint, {**trainer.made_of, **trainer.state()})

    def note(epoch):
        if epoch % 10 == 0:
            save()
        save_curve(results.path(f"{name}.csv"), trainer.curve, trainer.batch_size)
        draw_loss(results.path(f"{name}.png"), trainer.curve, trainer.batch_size)
        if report is not None:
            report(epoch)

    steps = max(1, len(trainer.dataset) // trainer.batch_size)
    if trainer.step >= c.EPOCHS * steps:
        print(f"the model has seen {trainer.step / steps:g} epochs: drawing only")
        return
    step, _ = forecasts.measure_speed(trainer)
    print(f"expected: training {(c.EPOCHS * steps - trainer.step) * step / 60:.1f} min for {c.EPOCHS * steps} steps")
    with StopSignals() as stop:
        td.train(trainer, c.EPOCHS, steps, stop, save, note)


def estimator(trainer, context, guidance=1.0):
    """The estimate of x0 for td.sample: estimate(x_t, t).

    context [B, K] or None; guidance w takes it from the estimate without context by w times what the context adds (1:
    no guidance).
    """
    def x0_of(x_t, t, context):
        return td.predict_x0(trainer.ema, x_t, t, x_t, alone(x_t), trainer.alphas_cumprod, context=context)

    def estimate(x_t, t):
        x0 = x0_of(x_t, t, context)
        return x0 if guidance == 1 or context is None else torch.lerp(x0_of(x_t, t, None), x0, guidance)

    return estimate


def draw(trainer, photo, estimate, count, seed, sampler="ddim", steps=20, trail=False, **begin):
    """count pictures [count, C, T, T] by an estimate; with trail all x_t on the way, [steps, count, C, T, T]. begin:
    sketch and strength, see td.sample."""
    device = trainer.alphas_cumprod.device
    generators = [seeds.torch_generator(seed, seeds.DRAWING, k) for k in range(count)]
    bounds = [bound.to(device) for bound in photo.bounds()]
    shape = trainer.dataset.x.shape[1:]
    steps = td.sample(estimate, shape, generators, trainer.alphas_cumprod, bounds, sampler, steps, **begin)
    seen = [x_t for _, x_t, _ in steps]
    return torch.stack(seen) if trail else seen[-1]


def grid(photo, x, columns, scale=4):
    """Normalised pictures [N, C, T, T] enlarged pixel by pixel, in a grid with white lines, uint8 [H, W, 3]."""
    return picture_grid(photo, F.interpolate(x.float(), scale_factor=scale), columns)
