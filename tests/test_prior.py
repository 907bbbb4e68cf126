"""Materials without end, and the network that learns from them."""

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_same, draw_photo, draw_pixels, random_net, slow_but
from PIL import Image

import prior.__main__ as program
import texture_diffusion as td
from prior.endless import OFTEN, SIDE, EndlessDataset, crop, material, read_photos
from prior.fields import Cells, noise, stamp, warp
from prior.kinds import KINDS
from prior.photograph import draw
from texture_diffusion_tools.learning import checkpoints, photo_facts
from texture_diffusion_tools.running import devices, exit_codes
from texture_diffusion_tools.running.errors import RunError, UserError


def rng(*seed):
    return np.random.default_rng(seed or 0)


def test_there_are_more_than_60_kinds():
    assert len(KINDS) > 60


@pytest.mark.parametrize("name", slow_but(KINDS, *list(KINDS)[::4]))
def test_a_kind_is_a_picture_with_contrast_that_another_seed_changes(name):
    one, again, other = (draw(name, rng(seed), 96) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert np.abs(one.astype(int) - other).mean() > 2
    assert max(draw(name, rng(seed), 96).std((0, 1)).max() for seed in range(3)) > 4


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_wraps_around(name):
    """Across its edge it changes no more than across the strongest line inside, in the median of seeds and edges."""
    ratios = []
    for seed in range(4):
        height, colour = KINDS[name](rng(seed), 96)
        assert height.shape == (96, 96) and colour.shape == (96, 96, 3)
        assert np.isfinite(height).all() and np.isfinite(colour).all() and colour.min() > -0.2
        both = np.dstack([colour, height / max(np.ptp(height), 1e-9)])
        for x in (both, both.swapaxes(0, 1)):
            steps = np.abs(x - np.roll(x, 1, 0)).mean((1, 2))
            ratios.append(steps[0] / steps[1:].max())
    assert np.median(ratios) <= 1.01, np.round(ratios, 2)


def test_noise_has_mean_0_deviation_1_and_no_edge():
    field = noise(rng(), 64, 20)
    assert abs(field.mean()) < 1e-9 and field.std() == pytest.approx(1)
    along = noise(rng(), 64, 20, 2, 6, 0)
    assert np.abs(np.diff(along, axis=1)).mean() < 0.6 * np.abs(np.diff(along, axis=0)).mean()


def test_cells_know_their_nearest_point_and_their_border():
    cells = Cells(rng(), 64, 16, 0.8)
    there = np.stack([np.arange(64)[:, None] + 0.5 - cells.down, np.arange(64)[None] + 0.5 - cells.right]) % 64
    places = {int(k): there[:, cells.number == k].T for k in np.unique(cells.number)}
    points = np.array([part[0] for part in places.values()])
    for part in places.values():
        away = np.abs(part - part[0])
        assert np.minimum(away, 64 - away).max() < 1e-6  # all pixels of a cell name one point
    y, x = np.mgrid[:64, :64] + 0.5
    away = np.abs(np.stack([y, x])[:, None] - points.T[..., None, None])
    distance = np.sqrt((np.minimum(away, 64 - away) ** 2).sum(0))
    assert np.allclose(distance.min(0), cells.first, atol=1e-6)
    beside = cells.number != np.roll(cells.number, 1, 0)
    assert cells.edge[beside].max() < 1.5 and cells.edge.min() >= 0


def test_a_warp_by_whole_pixels_is_a_roll_and_a_stamp_wraps():
    field = rng().random((16, 16))
    assert np.allclose(warp(field, np.full((16, 16), 3.0), 0 * field), np.roll(field, -3, 0))
    height, colour = np.zeros((16, 16)), np.zeros((16, 16, 3))
    stamp(height, colour, 0, 0, np.ones((5, 5)), np.ones(3), np.ones((5, 5)))
    assert height.sum() == 25 and height[0, 0] == height[-1, -1] == 1 and colour.sum() == 75


def test_a_material_of_a_number_is_always_the_same_and_every_second_is_from_a_photo():
    picture = np.full((400, 500, 3), 7, np.uint8)
    picture[::2] = 250
    assert np.array_equal(material(4, [picture]), material(4, [picture]))
    assert not np.array_equal(material(4, []), material(6, []))
    levels = {number: np.unique(crop(picture, rng(number))) for number in range(3)}
    assert all(values.min() < 140 for values in levels.values())
    odd = material(5, [picture])
    assert np.array_equal(odd[..., 0], odd[..., 1]) and odd.shape == (SIDE, SIDE, 3)  # the photo is grey


@pytest.mark.parametrize("share, channels", [(0, 3), (1, 1)])
def test_a_batch_is_of_many_materials_in_colour_or_in_grey_whose_facts_the_network_gets(monkeypatch, share, channels):
    monkeypatch.setattr("prior.endless.SIDE", 64)
    monkeypatch.setattr("prior.endless.GREY", share)
    data, told = EndlessDataset(16, pool=4, every=1), []
    data.nets = [type("Net", (), {"know": told.append})()]
    windows, present, *_ = data.batch(5, 0.4, torch.Generator().manual_seed(0))
    assert windows.shape == (5, channels, 48, 48) and present.shape == (5, 8)
    assert [fact.shape for fact in told[0]] == [(5, 3, channels), (5, 4, 3)]
    known = [parts[share][1].signal for parts in data.known.values()]
    assert all(any(torch.equal(one, other) for other in known) for one in told[0].signal)
    assert len(told[0].signal.unique(dim=0)) > 1
    for _ in range(12):
        data.batch(5, 0.4, torch.Generator().manual_seed(1))
    assert min(data.known) > 2 and len(data.known) <= 4  # the pool moves on


def test_kinds_that_are_drawn_more_often_are_there():
    assert set(OFTEN) <= KINDS.keys()


def test_each_picture_of_a_batch_is_estimated_by_its_own_facts():
    pictures = [draw_photo(64, 64, seed) for seed in range(2)]
    facts = [photo_facts.facts_of(photo.x, 3) for photo in pictures]
    net = random_net(tile=16)
    ring = torch.stack([photo.x[:, :48, :48] for photo in pictures])
    x_t, present, t = td.crop_middle(ring, 16), torch.ones(2, 8, dtype=torch.bool), torch.tensor([3, 15])
    net.know(photo_facts.PhotoFacts(*map(torch.stack, zip(*facts))))
    both = td.predict_x0(net, x_t, t, ring, present, td.cosine_schedule(20))
    for k in range(2):
        net.know(facts[k])
        one = td.predict_x0(net, *(x[k:k + 1] for x in (x_t, t, ring, present)), td.cosine_schedule(20))
        assert torch.allclose(one[0], both[k], atol=1e-5)


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no picture"):
        read_photos(tmp_path / "nothing")
    Image.fromarray(draw_pixels(40, 50)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="320 x 320 pixels or more; 1 are smaller"):
        read_photos(tmp_path)


TINY = ["TILE_SIZE=16", "WIDTHS=(8,16)", "TIMESTEPS=20", "BATCH_SIZE=2", "SAVE_EVERY=4"]


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr("prior.endless.SIDE", 64)
    monkeypatch.setattr(program, "SIDE", 64)
    monkeypatch.setattr(devices, "pick_precision", lambda *args: torch.float32)
    program.train([f"OUTPUT={tmp_path}/whole.pt", "TILES=16", *TINY])
    whole = checkpoints.load(tmp_path / "whole.pt")
    monkeypatch.setattr(program.EndlessDataset, "batch", stopping(program.EndlessDataset.batch, 5))
    with pytest.raises(KeyboardInterrupt):
        program.train([f"OUTPUT={tmp_path}/model.pt", "TILES=16", *TINY])
    assert checkpoints.load(tmp_path / "model.pt")["step"] == 4
    program.train([f"OUTPUT={tmp_path}/model.pt", "TILES=16", *TINY])
    assert_same(checkpoints.load(tmp_path / "model.pt"), whole)
    with pytest.raises(UserError, match="SEED is 1 here and 0"):
        program.train([f"OUTPUT={tmp_path}/model.pt", "TILES=16", "SEED=1", *TINY])
    whole["ema"]["references.gates.bias"] = torch.zeros(8)  # of a network that was shown patches of the photo
    checkpoints.save(tmp_path / "model.pt", whole)
    with pytest.raises(RunError, match="model.pt cannot be used: its weights do not fit the network"):
        program.train([f"OUTPUT={tmp_path}/model.pt", "TILES=16", *TINY])


def test_an_export_holds_the_averaged_weights_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("prior.endless.SIDE", 64)
    monkeypatch.setattr(program, "SIDE", 64)
    program.train([f"OUTPUT={tmp_path}/state.pt", "TILES=4", *TINY])
    program.export([f"STATE={tmp_path}/state.pt", f"OUTPUT={tmp_path}/prior.pt"])
    weights, digest = checkpoints.load_prior(tmp_path / "prior.pt", (8, 16))
    whole = checkpoints.load(tmp_path / "state.pt")["ema"]
    assert weights.keys() == whole.keys() and len(digest) == 64
    assert all(torch.allclose(weights[name].float(), whole[name], atol=1e-3) for name in whole)
    program.train([f"OUTPUT={tmp_path}/further.pt", f"PRIOR={tmp_path}/prior.pt", "TILES=2", "LEARNING_RATE=1e-9",
                   *TINY])
    further = checkpoints.load(tmp_path / "further.pt")
    learned = [name for name in whole if name not in photo_facts.PhotoFacts._fields]
    assert all(torch.allclose(further["ema"][name], whole[name], atol=1e-3) for name in learned)
    assert further["prior"] == digest
    with pytest.raises(UserError, match="there is no training at"):
        program.export([f"STATE={tmp_path}/nothing.pt"])


def stopping(batch, number):
    """batch() that fails like a kill the first time that it is called so many times."""
    calls = []

    def call(*args):
        calls.append(1)
        if len(calls) == number + 1:
            raise KeyboardInterrupt
        return batch(*args)

    return call


def test_the_sheet_shows_every_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "SIDE", 48)
    program.sheet(tmp_path / "sheet.jpg")
    page = Image.open(tmp_path / "sheet.jpg")
    assert page.width == program.COLUMNS * program.SHOWN and (ROOT / "docs" / "materials.jpg").exists()


def test_a_command_that_does_not_exist_is_the_user_s_mistake(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["prior", "learn"])
    assert exit_codes.run(program.main) == 2
    assert capsys.readouterr().err.startswith("prior: learn is not understood")
