"""Loss, EMA, validation, and going on from a checkpoint."""

from itertools import product

import numpy as np
import pytest
import torch
from conftest import MADE_OF, assert_same, draw_photo, make_trainer, random_net, slow_but

import texture_diffusion as td
from texture_diffusion_tools.learning import checkpoints, photo_facts
from texture_diffusion_tools.reading import exemplars
from texture_diffusion_tools.running import forecasts
from texture_diffusion_tools.running.errors import RunError, Stopped
from texture_diffusion_tools.writing import pictures

EPOCH_STEPS = 3


def weights_of(net):
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def rates_of(trainer):
    """The learning rate of each step up to the planned end."""
    return [trainer.opts[0].param_groups[0]["lr"] for _ in trainer.steps()]


class StopAt:
    """Stands in for StopSignals: a signal comes once the trainer has done so many steps."""

    def __init__(self, trainer, step):
        self.trainer, self.step = trainer, step

    @property
    def received(self):
        return 2 if self.trainer.step == self.step else None

    def restore(self):
        pass


def train(trainer, epochs, path, stop_at=None):
    """td.train that saves to path; returns False if it was stopped."""
    def save():
        checkpoints.save(path, {**MADE_OF, **trainer.state()})

    try:
        td.train(trainer, epochs, EPOCH_STEPS, StopAt(trainer, stop_at), save, lambda epoch: None)
    except Stopped:
        return False
    return True


def test_the_loss_falls_on_a_chequered_photo():
    """Its hard edges are what the linear filter, with which training begins, cannot know."""
    y, x = np.mgrid[:54, :70]
    chequered = np.repeat(255 * ((x // 5 + y // 7) % 2)[..., None], 3, -1) // np.array([2, 1, 1])
    trainer = make_trainer(td.normalise(exemplars.of_pixels(chequered.astype(np.uint8), "chequered")), batch_size=8)

    def loss():
        with torch.no_grad():
            return sum(trainer.loss(trainer.net, torch.Generator().manual_seed(k)) for k in range(8))

    before = loss()
    trainer.plan(60)
    list(trainer.steps())
    assert loss() < 0.6 * before


def test_pixels_along_the_border_count_more_and_all_together_one(photo):
    trainer = make_trainer(photo)
    weights = td.border_weights(tile := trainer.dataset.tile)
    assert weights.shape == (tile, tile) and abs(weights.mean() - 1) < 1e-5
    assert torch.equal(weights, weights.T) and torch.equal(weights, weights.flip(0))
    assert (weights[tile // 2, :tile // 2].diff() < 0).all()
    windows, present, *_ = trainer.dataset.batch(1, 0, torch.Generator().manual_seed(0))
    x0, t, errors = trainer.dataset.tiles_of(windows), torch.tensor([len(trainer.alphas_cumprod) - 1]), []
    for row in (0, tile // 2):  # x_t is pure noise at this t: only the truth changes, at the border or in the middle
        changed = torch.zeros_like(x0)
        changed[..., row, :] = 10
        errors.append(trainer.weighted_error(trainer.net, changed, t, x0, windows, present).item())
    assert errors[0] > 2 * errors[1]


def test_initial_weights_depend_on_the_seed_alone(photo):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = weights_of(make_trainer(photo, net_seed=0).net)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, weights_of(make_trainer(photo, net_seed=0).net))
    assert not torch.equal(first, weights_of(make_trainer(photo, net_seed=1).net))


@pytest.mark.parametrize("stop_at, precision", slow_but(
    list(product([1, 3, 4, 5, 6, 8], [torch.float32, torch.bfloat16])),
    (3, torch.float32), (4, torch.float32), (4, torch.bfloat16)))
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path, photo, stop_at, precision):
    unbroken = make_trainer(photo, validation=1, precision=precision)
    assert train(unbroken, 3, tmp_path / "unbroken.pt")
    assert not train(make_trainer(photo, validation=1, precision=precision), 3, tmp_path / "model.pt", stop_at)
    state = checkpoints.load(tmp_path / "model.pt")
    assert state["step"] == stop_at
    resumed = make_trainer(photo, validation=1, net_seed=5, precision=precision)
    resumed.load(state)
    assert train(resumed, 3, tmp_path / "model.pt")
    assert_same(resumed.state(), unbroken.state())
    assert_same(checkpoints.load(tmp_path / "model.pt"), checkpoints.load(tmp_path / "unbroken.pt"))


def test_the_curve_has_one_entry_an_epoch(tmp_path, photo):
    trainer = make_trainer(photo, validation=1)
    train(trainer, 3, tmp_path / "model.pt")
    assert [entry[0] for entry in trainer.curve] == [3, 6, 9]
    assert all(entry[1] > 0 and entry[2] > 0 for entry in trainer.curve)


def spoil(trainer):
    trainer.dataset.padded[:] = float("nan")


def explode(trainer):
    trainer.dataset.padded *= 1e30


@pytest.mark.parametrize("break_it", [spoil, explode])
def test_losses_that_are_not_finite_end_the_run_before_any_change(tmp_path, photo, break_it):
    trainer, path = make_trainer(photo), tmp_path / "model.pt"
    train(trainer, 1, path)
    before, content = weights_of(trainer.net), path.read_bytes()
    average, moments = weights_of(trainer.ema), [str(opt.state_dict()["state"]) for opt in trainer.opts]
    break_it(trainer)
    with pytest.raises(RunError, match="10 steps in a row, up to step 13.*LEARNING_RATE"):
        train(trainer, 9, path)
    assert torch.equal(weights_of(trainer.net), before)
    assert torch.equal(weights_of(trainer.ema), average)
    assert [str(opt.state_dict()["state"]) for opt in trainer.opts] == moments
    assert path.read_bytes() == content


def spoil_steps(monkeypatch, *steps):
    """Make the loss of these steps NaN."""
    loss = td.Trainer.loss
    monkeypatch.setattr(td.Trainer, "loss",
                        lambda self, *args: loss(self, *args) * (float("nan") if self.step in steps else 1))


def test_a_single_loss_that_is_not_finite_costs_its_step_alone(tmp_path, photo, monkeypatch):
    spoil_steps(monkeypatch, 2, 4)
    trainer, weights = make_trainer(photo), []
    trainer.plan(6)
    for _ in trainer.steps():
        weights.append(weights_of(trainer.net))
    changed = [bool((one != other).any()) for one, other in zip(weights, weights[1:])]
    assert changed == [True, False, True, False, True]
    assert trainer.step == 6 and trainer.skipped == 2 and trainer.in_a_row == 0
    assert len(trainer.losses) == 4 and checkpoints.finite(trainer.state())


def test_an_epoch_without_a_finite_loss_has_no_entry_and_can_be_resumed(tmp_path, photo, monkeypatch):
    spoil_steps(monkeypatch, 3, 4, 5)
    unbroken, path = make_trainer(photo, validation=1), tmp_path / "model.pt"
    assert train(unbroken, 3, tmp_path / "unbroken.pt")
    assert [entry[0] for entry in unbroken.curve] == [3, 9] and unbroken.skipped == 3
    assert not train(make_trainer(photo, validation=1), 3, path, stop_at=5)
    resumed = make_trainer(photo, validation=1)
    resumed.load(checkpoints.load(path))
    assert resumed.in_a_row == 2
    assert train(resumed, 3, path)
    assert_same(resumed.state(), unbroken.state())


def test_an_average_that_is_not_finite_ends_the_run_and_is_not_saved(tmp_path, photo):
    trainer, path = make_trainer(photo), tmp_path / "model.pt"
    train(trainer, 1, path)
    content = path.read_bytes()
    next(trainer.ema.parameters()).data.fill_(float("inf"))
    with pytest.raises(RunError, match="not finite at step 6.*LEARNING_RATE"):
        train(trainer, 2, path)
    with pytest.raises(RunError, match="no longer finite and was not saved"):
        checkpoints.save(path, {**MADE_OF, **trainer.state()})
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_the_average_of_the_weights_warms_up(photo):
    trainer = make_trainer(photo)
    trainer.plan(6)
    expected = weights_of(trainer.ema)
    for n, _ in enumerate(trainer.steps(), 1):
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * weights_of(trainer.net)
        assert torch.allclose(weights_of(trainer.ema), expected, atol=1e-6)


def test_the_average_s_decay_has_a_limit(photo):
    trainer = make_trainer(photo)
    trainer.step = 10**7
    trainer.plan(10**7 + 1)
    before = weights_of(trainer.ema)
    next(trainer.steps())
    expected = td.EMA_DECAY * before + (1 - td.EMA_DECAY) * weights_of(trainer.net)
    assert torch.allclose(weights_of(trainer.ema), expected, atol=1e-7)
    assert td.EMA_DECAY < 1


def test_the_learning_rate_warms_up_and_decays():
    rates = [td.learning_rate_at(step, 0, 400, 1.0) for step in range(400)]
    top = rates.index(max(rates))
    assert rates[0] < 0.2 and 0 < top < 100 and max(rates) > 0.95
    assert all(a < b for a, b in zip(rates[:top], rates[1:top + 1]))
    assert all(a >= b for a, b in zip(rates[top:], rates[top + 1:]))
    assert rates[-1] < 0.01


def test_more_epochs_than_a_finished_run_had_warm_up_again(photo):
    trainer = make_trainer(photo)
    trainer.plan(12)
    first = rates_of(trainer)
    weights = weights_of(trainer.net)
    again = make_trainer(photo, net_seed=5)
    again.load(trainer.state())
    assert torch.equal(weights_of(again.net), weights)
    again.plan(24)
    assert rates_of(again) == pytest.approx(first)


def test_an_interrupted_schedule_goes_on_where_it_was(photo):
    whole, trainer = make_trainer(photo), make_trainer(photo)
    whole.plan(16)
    trainer.plan(16)
    broken = [trainer.opts[0].param_groups[0]["lr"] for _, _ in zip(range(6), trainer.steps())]
    done = trainer.step
    again = make_trainer(photo)
    again.load(trainer.state())
    again.plan(16)
    assert broken[:done] + rates_of(again) == pytest.approx(rates_of(whole))


def test_validation_repeats_and_changes_nothing(photo):
    trainer = make_trainer(photo, validation=1)
    trainer.plan(2)
    list(trainer.steps())
    weights = weights_of(trainer.ema)
    assert trainer.validate() == trainer.validate() > 0
    assert torch.equal(weights_of(trainer.ema), weights)
    torch.manual_seed(5)
    assert make_trainer(photo, validation=1).validate() == make_trainer(photo, validation=1).validate()


def test_validation_judges_the_average(photo):
    trainer = make_trainer(photo, validation=1)
    before = trainer.validate()
    with torch.no_grad():
        trainer.net.head_out.bias += 1
    assert trainer.validate() == before
    with torch.no_grad():
        trainer.ema.head_out.bias += 1
    assert trainer.validate() != before


def test_validation_judges_held_out_tiles_only():
    photo = draw_photo(54, 70)
    trainer = make_trainer(photo, validation=1)
    before = trainer.validate()
    halo = trainer.dataset.halo
    trainer.dataset.padded[:, halo:halo + 16, halo:halo + 16] += 1
    assert trainer.validate() == before
    trainer.dataset.padded[:, -halo - 10:-halo, -halo - 10:-halo] += 1
    assert trainer.validate() != before


def test_without_held_out_tiles_there_is_no_validation(photo):
    assert make_trainer(photo, validation=0).validate() is None


def test_measuring_the_speed_leaves_the_training_as_it_was(photo):
    one, other = make_trainer(photo), make_trainer(photo)
    forecasts.measure_speed(one)
    for trainer in (one, other):
        trainer.plan(3)
        list(trainer.steps())
    assert_same(one.state(), other.state())


def test_gradients_are_clipped(photo):
    trainer = make_trainer(photo)
    trainer.dataset.padded *= 1000
    trainer.plan(1)
    norms = []
    trainer.opts[0].step = lambda: norms.append(torch.cat([w.grad.flatten() for w in trainer.net.parameters()]).norm())
    list(trainer.steps())
    assert norms[0] == pytest.approx(td.GRADIENT_CLIP, rel=1e-3)


def test_all_weights_are_trained(photo):
    trainer = make_trainer(photo)
    before = {name: weight.detach().clone() for name, weight in trainer.net.named_parameters()}
    trainer.plan(4)
    list(trainer.steps())
    after = dict(trainer.net.named_parameters())
    assert not [name for name in before if torch.equal(before[name], after[name])]


def test_an_interrupt_says_how_to_go_on(tmp_path, photo):
    trainer = make_trainer(photo)
    with pytest.raises(Stopped, match="4 of 9.*same command"):
        td.train(trainer, 3, EPOCH_STEPS, StopAt(trainer, 4), lambda: None, lambda epoch: None)


def test_a_model_without_optimizer_can_be_drawn_from(photo):
    trained = make_trainer(photo)
    trained.plan(2)
    list(trained.steps())
    state = {key: value for key, value in trained.state().items() if key not in ("net", "opts")}
    shipped = make_trainer(photo, net_seed=5)
    shipped.load(state)
    assert torch.equal(weights_of(shipped.ema), weights_of(trained.ema))


def trained_weights(**options):
    """Weights of a network that was moved at random."""
    return random_net(**options).state_dict()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_prior_is_taken_over_but_for_what_is_known_of_the_photo(channels):
    photo = draw_photo(54, 70, channels=channels)
    weights, facts = trained_weights(), photo_facts.facts_of(photo.x, 3)._asdict()
    trainer = make_trainer(photo, channels=td.channels_of(weights, photo))
    trainer.begin_from(weights, "f" * 64)
    for net in (trainer.net, trainer.ema):
        for name, value in net.state_dict().items():
            assert torch.equal(value, facts.get(name, weights[name])), name
    assert trainer.state()["prior"] == "f" * 64
    trainer.plan(2)
    assert all(np.isfinite(list(trainer.steps())))


@pytest.mark.parametrize("spoil", [
    lambda weights: weights.pop("stem.weight"),
    lambda weights: weights.update({"stem.weight": torch.zeros(8)}),
    lambda weights: weights.update({"stem.weight": torch.zeros(8, 16 * 5, 3, 3)})])
def test_weights_that_are_for_no_photo_are_refused(spoil):
    weights = trained_weights()
    spoil(weights)
    with pytest.raises(ValueError, match="its weights are of another|sees 5 channels, and the photo has 1"):
        td.channels_of(weights, draw_photo(54, 70, channels=1))


def test_weights_of_before_there_were_axes_see_colours_as_they_are(photo):
    trainer = make_trainer(photo)
    trainer.plan(1)
    state = trainer.state()
    old = {name: weight for name, weight in state["ema"].items() if name not in ("axes", "signal")}
    powers = torch.tensor([1.0, 2, 3, 4])
    trainer.load({**state, "ema": {**old, "signal": powers}})
    assert torch.equal(trainer.ema.axes, torch.eye(3)) and torch.equal(trainer.ema.signal, powers[:, None].expand(4, 3))


def test_a_prior_of_another_network_is_refused_before_anything_is_taken_over(photo):
    trainer = make_trainer(photo)
    before = weights_of(trainer.net)
    with pytest.raises(ValueError, match="do not fit"):
        trainer.begin_from(trained_weights(widths=(8, 24)), "")
    assert torch.equal(weights_of(trainer.net), before)


@pytest.mark.parametrize("held, step", [
    ([0.5, 0.4, 0.41], None), ([0.5, 0.4, 0.43], 8), ([0.4, 0.5, 0.6], 4), ([None, None, None], None), ([], None)])
def test_a_validation_loss_that_has_risen_is_noticed(held, step):
    assert pictures.lowest_validation([[4 * k + 4, 0.3, loss] for k, loss in enumerate(held)]) == step
