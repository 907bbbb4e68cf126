"""Schedule, forward process, and the DDPM and DDIM steps; diffusers serves as an oracle only."""


import diffusers
import pytest
import torch
from conftest import draw_photo, make_sampler, random_net

import texture_diffusion as td
from texture_diffusion_tools.learning import photo_facts

WIDE = (torch.tensor(-1e6), torch.tensor(1e6))


def betas_of(alphas_cumprod):
    previous = torch.cat([torch.ones(1), alphas_cumprod[:-1]])
    return (1 - alphas_cumprod.double() / previous.double()).numpy()


def scheduler(kind, alphas_cumprod, steps, **options):
    """A diffusers scheduler with our schedule, unclipped."""
    made = kind(num_train_timesteps=len(alphas_cumprod), trained_betas=betas_of(alphas_cumprod),
                prediction_type="sample", timestep_spacing="trailing", clip_sample=False, **options)
    made.set_timesteps(steps)
    return made


def full(value, count=2):
    return torch.full((count,), value)


def guess(x, t):
    """Some estimate of x0 that depends on x and t."""
    return torch.tanh(2 * x + t / 100) + 0.3


@pytest.mark.parametrize("num_timesteps", [1, 2, 50, 1000])
def test_the_schedule_falls_to_exactly_zero(num_timesteps):
    alphas_cumprod = td.cosine_schedule(num_timesteps)
    assert len(alphas_cumprod) == num_timesteps
    assert alphas_cumprod[-1] == 0
    assert (alphas_cumprod.diff() < 0).all()
    assert (alphas_cumprod >= 0).all() and (alphas_cumprod < 1).all()


def test_the_schedule_begins_almost_clean():
    assert td.cosine_schedule(1000)[0] > 0.999


def test_the_last_step_is_pure_noise():
    x0, eps = torch.randn(2, 2, 3, 8, 8)
    assert torch.equal(td.q_sample(x0, full(49), eps, td.cosine_schedule(50)), eps)


def test_the_clean_end_is_the_picture():
    x0, eps = torch.randn(2, 2, 3, 8, 8)
    assert torch.equal(td.q_sample(x0, full(-1), eps, td.cosine_schedule(50)), x0)


@pytest.mark.parametrize("t", [3, 25, 45])
def test_the_forward_process_has_the_closed_form_s_mean_and_deviation(t):
    alphas_cumprod = td.cosine_schedule(50)
    eps = torch.randn(2, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    x_t = td.q_sample(torch.full_like(eps, 2.0), full(t), eps, alphas_cumprod)
    assert abs(x_t.mean() - 2 * alphas_cumprod[t].sqrt()) < 0.01
    assert abs(x_t.std() - (1 - alphas_cumprod[t]).sqrt()) < 0.01


def test_each_picture_of_a_batch_has_its_own_step():
    alphas_cumprod, (x0, eps) = td.cosine_schedule(50), torch.randn(2, 2, 3, 8, 8)
    both = td.q_sample(x0, torch.tensor([10, 40]), eps, alphas_cumprod)
    for k, t in enumerate((10, 40)):
        assert torch.equal(both[k:k + 1], td.q_sample(x0[k:k + 1], full(t, 1), eps[k:k + 1], alphas_cumprod))


@pytest.mark.parametrize("num_timesteps, steps", [(1000, 20), (1000, 1000), (60, 12), (10, 1)])
def test_trailing_timesteps_are_those_of_diffusers(num_timesteps, steps):
    oracle = scheduler(diffusers.DDIMScheduler, td.cosine_schedule(num_timesteps), steps)
    assert td.trailing_timesteps(num_timesteps, steps) == [*oracle.timesteps.tolist(), -1]


@pytest.mark.parametrize("steps", [1, 2, 7, 13, 49, 50])
def test_any_number_of_steps_runs_from_pure_noise_to_the_clean_end(steps):
    times = td.trailing_timesteps(50, steps)
    assert len(times) == steps + 1
    assert times[0] == 49 and times[-1] == -1
    assert all(now > after for now, after in zip(times, times[1:]))


@pytest.mark.parametrize("num_timesteps, steps", [(1000, 20), (60, 12), (30, 30)])
def test_ddim_agrees_with_diffusers_over_the_whole_chain(num_timesteps, steps):
    alphas_cumprod = td.cosine_schedule(num_timesteps)
    oracle = scheduler(diffusers.DDIMScheduler, alphas_cumprod, steps, set_alpha_to_one=True)
    ours = theirs = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    times = td.trailing_timesteps(num_timesteps, steps)
    for now, after in zip(times, times[1:]):
        ours = td.ddim_step(ours, guess(ours, now), full(now), full(after), alphas_cumprod)
        theirs = oracle.step(guess(theirs, now), now, theirs, eta=0.0).prev_sample
        assert torch.allclose(ours, theirs, atol=1e-4)


def error_on_a_normal_distribution(sampler, steps, deviation=0.3):
    """How far a picture drawn from t = 499 is from the end of the chain's differential equation, which is known for
    normally distributed data: x_t keeps its size over that of all x_t."""
    alphas_cumprod = td.cosine_schedule(1000)

    def variance(t):
        abar = td.per_sample(alphas_cumprod, t)
        return abar * deviation**2 + 1 - abar

    def estimate(x_t, t):
        return td.per_sample(alphas_cumprod, t).sqrt() * deviation**2 / variance(t) * x_t

    generator, sketch = torch.Generator().manual_seed(0), torch.zeros(1, 3, 16, 16)
    *_, (_, drawn, _) = td.sample(estimate, (3, 16, 16), [generator], alphas_cumprod, WIDE, sampler, steps, sketch, 0.5)
    eps = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    start = td.q_sample(sketch, torch.tensor([499]), eps, alphas_cumprod)
    exact = start * deviation / variance(torch.tensor([499])).sqrt()
    return float((drawn - exact).norm() / exact.norm())


def test_mixed_looks_ahead_where_ddim_does_not():
    ddim, twice, mixed = (error_on_a_normal_distribution(sampler, steps)
                          for sampler, steps in (("ddim", 20), ("ddim", 40), ("mixed", 20)))
    assert mixed < 0.3 * twice < 0.3 * ddim


@pytest.mark.parametrize("t", [1, 5, 20, 28, 29])
def test_a_ddpm_step_has_the_mean_and_variance_of_diffusers(t):
    alphas_cumprod = td.cosine_schedule(30)
    oracle = scheduler(diffusers.DDPMScheduler, alphas_cumprod, 30, variance_type="fixed_small")
    x_t, x0 = torch.randn(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, variance = td.posterior(x_t, x0, full(t), full(t - 1), alphas_cumprod)
    theirs = oracle.step(x0, t, x_t, generator=torch.Generator().manual_seed(7)).prev_sample
    noise = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(7))
    assert torch.allclose(variance, oracle._get_variance(t).float().expand_as(variance), atol=1e-6)
    assert torch.allclose(mean + variance.sqrt() * noise, theirs, atol=1e-5)
    assert torch.allclose(td.ddpm_step(x_t, x0, full(t), full(t - 1), noise, alphas_cumprod), theirs, atol=1e-5)


@pytest.mark.parametrize("t, t_prev", [(29, 20), (20, 19), (12, 3), (3, -1), (29, -1)])
def test_a_ddpm_step_leads_to_the_forward_process_at_the_earlier_time(t, t_prev):
    alphas_cumprod = td.cosine_schedule(30)
    one, nothing = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    of_x0, variance = td.posterior(nothing, one, full(t, 1), full(t_prev, 1), alphas_cumprod)
    of_x_t, _ = td.posterior(one, nothing, full(t, 1), full(t_prev, 1), alphas_cumprod)
    abar, abar_prev = alphas_cumprod[t], alphas_cumprod[t_prev] if t_prev >= 0 else torch.tensor(1.0)
    assert torch.allclose(of_x0 + of_x_t * abar.sqrt(), abar_prev.sqrt(), atol=1e-5)
    assert torch.allclose(variance + of_x_t**2 * (1 - abar), 1 - abar_prev, atol=1e-5)


def drawn_nothing(x_t, *args):
    """A network that draws nothing and leaves all gates half open, which is their neutral place."""
    return torch.zeros_like(x_t), torch.zeros(len(x_t), len(photo_facts.BLURS) + 1, *x_t.shape[2:])


def silent_net(signal, tile=32):
    """The network without its weights: what is left of predict_x0 is the Wiener filter for these powers."""
    net = random_net(tile=tile)
    net.axes, net.signal = torch.eye(3), signal
    net.forward = drawn_nothing
    return net


@pytest.mark.parametrize("t", [2, 10, 25, 40])
def test_the_filtered_x_t_is_as_near_to_x0_as_one_factor_a_band_can_bring_it(t):
    generator, alphas_cumprod = torch.Generator().manual_seed(0), td.cosine_schedule(50)
    bands = photo_facts.split_bands(torch.randn(1, 3, 400, 400, generator=generator))
    x0 = bands[:, 1:].sum(1)  # without the finest
    net = silent_net(photo_facts.band_powers(x0[0]))
    windows = x0.unfold(2, 64, 44).unfold(3, 64, 44).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    truth, t = td.crop_middle(windows, 32), full(t, len(windows))
    x_t = td.q_sample(truth, t, torch.randn(truth.shape, generator=generator), alphas_cumprod)
    present = torch.ones(len(windows), 8, dtype=torch.bool)

    def error(factors):
        net.signal = photo_facts.band_powers(x0[0]) * torch.tensor(factors)[:, None]
        return (td.predict_x0(net, x_t, t, windows, present, alphas_cumprod) - truth).square().mean()

    best = error([1.0, 1, 1, 1])
    assert best < truth.square().mean() and best < (x_t - truth).square().mean()
    assert all(best < 1.02 * error([factor] * 4) for factor in (0.1, 0.3, 3, 10))


def test_at_the_last_step_the_estimate_is_what_the_network_draws():
    net, (x_t, ring) = silent_net(torch.ones(4, 3)), (torch.randn(2, 3, 32, 32), torch.randn(2, 3, 64, 64))
    estimate = td.predict_x0(net, x_t, full(49), ring, torch.ones(2, 8, dtype=torch.bool), td.cosine_schedule(50))
    assert (estimate == 0).all()


def test_a_gate_closes_its_band_and_opens_it_twofold():
    net, alphas_cumprod = silent_net(torch.ones(4, 3)), td.cosine_schedule(50)
    x_t, ring = torch.randn(2, 1, 3, 64, 64)
    x_t, present, t = td.crop_middle(x_t, 32), torch.ones(1, 8, dtype=torch.bool), full(20, 1)
    bands = td.wiener_bands(net, x_t, ring, present, alphas_cumprod[20].view(1, 1, 1, 1), net.signal)[0]
    for band in range(4):
        gates = torch.full((1, 4, 32, 32), -100.0)
        gates[:, band] = 100
        net.forward = lambda x, *args, gates=gates: (torch.zeros_like(x), gates)
        estimate = td.predict_x0(net, x_t, t, ring, present, alphas_cumprod)
        assert torch.allclose(estimate[0], 2 * bands[band], atol=1e-5)


def test_guidance_takes_the_estimate_so_much_further_from_what_the_filter_alone_makes_of_x_t():
    net, alphas_cumprod, t = random_net(tile=32).requires_grad_(False), td.cosine_schedule(50), full(20)
    x_t, ring, present = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 64, 64), torch.ones(2, 8, dtype=torch.bool)
    plain, guided = (td.predict_x0(net, x_t, t, ring, present, alphas_cumprod, share) for share in (0, 0.25))
    net.forward = drawn_nothing
    linear = td.predict_x0(net, x_t, t, ring, present, alphas_cumprod)
    assert torch.allclose(guided - linear, 1.25 * (plain - linear), atol=1e-5)
    assert (plain - linear).abs().max() > 0.01


def test_samples_are_drawn_with_guidance(monkeypatch):
    net, photo, tiles = random_net(), draw_photo(48, 48), []
    draw = make_sampler(net, photo, td.cosine_schedule(20), "mixed", 4, 0.75)
    ring, present = torch.zeros(1, 3, 48, 48), torch.zeros(1, 8, dtype=torch.bool)
    for share in (0, 0.5):
        monkeypatch.setattr(td, "GUIDANCE", share)
        tiles.append(list(draw(ring, present, [torch.Generator().manual_seed(0)]))[-1][1])
    assert (tiles[0] - tiles[1]).abs().max() > 0.01


def test_an_absent_neighbour_has_exactly_no_influence_on_the_estimate():
    net, alphas_cumprod = random_net(tile=32).requires_grad_(False), td.cosine_schedule(50)
    x_t, ring, present = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 64, 64), torch.ones(1, 8, dtype=torch.bool)
    present[0, td.NEIGHBOURS.index("N")] = False
    changed = ring.clone()
    changed[:, :, :16, 16:-16] += 1000
    one, other = (td.predict_x0(net, x_t, full(20, 1), x, present, alphas_cumprod) for x in (ring, changed))
    assert torch.equal(one, other)


def chain(estimate, bounds, sampler, steps, count=2, seed=0):
    """All that sample() yields."""
    generators = [torch.Generator().manual_seed(seed + k) for k in range(count)]
    return list(td.sample(estimate, (3, 16, 16), generators, td.cosine_schedule(20), bounds, sampler, steps))


@pytest.mark.parametrize("sampler", td.SAMPLERS)
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_with_the_truth_as_estimate_sampling_ends_at_the_truth(sampler, steps):
    truth = torch.randn(2, 3, 16, 16)
    trail = chain(lambda x_t, t: truth, WIDE, sampler, steps)
    assert len(trail) == steps
    assert trail[0][0] == 19
    assert torch.allclose(trail[-1][1], truth, atol=1e-5)


@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_sampling_starts_from_pure_noise_at_the_last_step(sampler):
    seen = []
    chain(lambda x_t, t: seen.append((x_t, t)) or 0 * x_t, WIDE, sampler, 5, count=8)
    x_t, t = seen[0]
    assert (t == 19).all()
    assert abs(x_t.mean()) < 0.05 and abs(x_t.std() - 1) < 0.05


@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_the_estimate_is_clamped_to_the_data_s_range_at_every_step(sampler):
    low, high = torch.tensor([-1.0, -2, 0]).view(3, 1, 1), torch.tensor([1.0, 0.5, 3]).view(3, 1, 1)
    wild = 100 * torch.randn(2, 3, 16, 16)
    trail = chain(lambda x_t, t: wild, (low, high), sampler, 4)
    for _, _, x0 in trail:
        assert torch.equal(x0, torch.maximum(torch.minimum(wild, high), low))
    assert torch.allclose(trail[-1][1], x0, atol=1e-5)


@pytest.mark.parametrize("sampler", td.SAMPLERS)
def test_a_seed_repeats_its_tile_and_another_draws_another(sampler):
    first, again, other = (chain(lambda x_t, t: x_t.tanh(), WIDE, sampler, 4, seed=seed)[-1][1] for seed in (0, 0, 5))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01


def test_ddim_takes_fresh_noise_at_no_step_ddpm_at_every_one_and_mixed_in_the_noisy_half():
    alphas_cumprod, noisy = td.cosine_schedule(20), {}
    for sampler in td.SAMPLERS:
        generator = torch.Generator().manual_seed(0)
        steps = td.sample(lambda x_t, t: 0 * x_t, (3, 8, 8), [generator], alphas_cumprod, WIDE, sampler, 10)
        before, noisy[sampler] = None, []
        for t, _, _ in steps:
            state = generator.get_state()
            noisy[sampler] += [t] if before is not None and not torch.equal(before, state) else []
            before = state
    assert noisy["ddim"] == []
    assert noisy["ddpm"] == [17, 15, 13, 11, 9, 7, 5, 3, 1]
    assert noisy.get("mixed", [17, 15, 13, 11]) == [17, 15, 13, 11]
