"""Maps that are estimated of a photo: they agree, no window shows, what is there stays, and any photo will do."""

import copy

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_refused, draw_pixels, tiny
from PIL import Image
from test_materials import bumps, draw_maps, save_maps, saved
from test_surfaces import correlation

import texture_diffusion as td
from prior import light, maps, pool
from texture_diffusion_tools.reading import estimates, estimator, surfaces
from texture_diffusion_tools.running.errors import RunError, UserError

WEIGHTS = ROOT / "checkpoints" / "maps.pt"
ALL = estimates.ESTIMATED


def random_net(seed=0):
    """A small network with random weights, whose answers are of use to nobody."""
    torch.manual_seed(seed)
    net = estimator.MapNet((8,) * len(estimator.WIDTHS))
    for name, weight in net.named_parameters():
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight)
            weight.data *= 0.3 if name.startswith("tail") else 1
    return net.eval()


@pytest.fixture
def quick(monkeypatch):
    """Maps are estimated by a random network, as if it knew."""
    net = random_net()
    monkeypatch.setattr(estimates, "load_net", lambda path: net)


def wish(*kinds, light=None, delight=0.0):
    return estimates.Wish(kinds or ALL, light, delight)


def read(path, wanted=None, **options):
    """The Photo at a path with estimated maps, and {file's name: pixels} of what is written of it."""
    photo = td.load_photo(path, depth=None, tile=16, maps=wanted or wish(), **options)
    return photo, dict(zip((file.name for file in photo.channels.files), photo.rendered(photo.x)))


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


# The network and its windows


def test_windows_of_any_size_say_the_same_and_none_shows():
    net, picture = random_net(), torch.rand(3, 17, 700) * 2 - 1
    whole, said = estimator.estimate(net, picture)
    for window in (208,):
        parts, again = estimator.estimate(net, picture, window=window)
        assert parts.shape == (4, 17, 700)
        assert torch.allclose(parts, whole, atol=1e-4 * float(whole.abs().max()))
        assert torch.allclose(said, again, atol=1e-4)


def test_what_lies_further_away_than_the_halo_says_nothing_of_a_pixel():
    net, picture = random_net(), torch.rand(3, 32, 700) * 2 - 1
    changed = picture.clone()
    changed[:, :, estimator.HALO + 8:] = 0
    before, after = (estimator.estimate(net, x)[0][:, :, :8] for x in (picture, changed))
    assert torch.equal(before, after)


@pytest.mark.parametrize("copy", range(8))
def test_slopes_turn_with_the_picture_and_back(copy):
    height = 9 * bumps(24, 40)[0]
    x = torch.from_numpy(np.concatenate([surfaces.slopes_of(height), height[None]]))
    turned = estimator.turned(x, copy, (0,))
    assert np.allclose(surfaces.slopes_of(turned[2].numpy()), turned[:2].numpy())
    assert torch.equal(estimator.turned_back(turned, copy, (0,)), x)


def test_a_picture_that_wraps_goes_on_at_its_other_end_and_another_as_its_mirror_image():
    picture = torch.arange(40.0)[None, None].expand(1, 30, 40)
    ends = [estimator.continued(picture, (False, wrap))[0, 0, [estimator.MARGIN - 1, estimator.MARGIN + 40]].tolist()
            for wrap in (True, False)]
    assert ends == [[39, 0], [0, 39]]
    assert all(side % estimator.STRIDE == 0 for side in estimator.continued(picture, (True, True)).shape[1:])


@pytest.mark.parametrize("degrees", [0, 45, 90, 200, 315])
def test_light_is_in_degrees_from_the_right_over_above(degrees):
    right, down = estimates.direction_of(degrees)
    assert estimates.degrees_of((right, down)) == degrees
    assert (down < 0) == (0 < degrees < 180)
    assert estimates.direction_of("even").tolist() == [0, 0] and estimates.direction_of(None) is None


# A photo


def test_a_photo_becomes_a_material_whose_maps_agree(tmp_path, quick):
    pixels = np.repeat((40 + 200 * bumps(54, 70)[0]).astype(np.uint8)[..., None], 3, 2)
    photo, files = read(save(tmp_path / "rock.png", pixels))
    assert list(files)[:5] == ["rock_Color", "rock_Displacement", "rock_NormalGL", "rock_Roughness",
                               "rock_AmbientOcclusion"]
    height, normal = files["rock_Displacement"], files["rock_NormalGL"] / 127.5 - 1
    assert height.dtype == np.uint16 and (height.min(), height.max()) == (0, 65535)
    right, down = surfaces.slopes_of(height / 65535.0, surfaces.wraps_of(pixels[..., 0].astype(float)))
    slopes = normal[..., :2] / normal[..., 2:]
    assert correlation(slopes[..., 0], -right) > 0.99 and correlation(slopes[..., 1], down) > 0.99
    assert np.array_equal(files["rock_Color"], pixels) and photo.doubt.shape == (54, 70)
    assert any("no measurement" in note for note in photo.notes)


def test_what_is_written_is_known_as_those_maps_again(tmp_path, quick):
    photo, files = read(save(tmp_path / "rock.png", draw_pixels(54, 70)))
    again = td.load_photo(save_maps(tmp_path / "again", files, ""))
    assert again.channels.slices.keys() == photo.channels.slices.keys()


def test_some_maps_can_be_asked_for(tmp_path, quick):
    _, files = read(save(tmp_path / "rock.png", draw_pixels(54, 70)), wish("roughness", "normal"))
    assert list(files) == ["rock_Color", "rock_NormalGL", "rock_Roughness"]


@pytest.mark.parametrize("pixels, channels, kinds", [
    (draw_pixels(54, 70, channels=1), 3, {"colour"}),
    (draw_pixels(54, 70, channels=1).astype(np.uint16) * 257, 3, {"colour"}),
    (np.dstack([draw_pixels(54, 70), draw_pixels(54, 70, 1, channels=1)]), 4, {"colour", "opacity"})],
    ids=["grey", "16 bits", "alpha"])
def test_grey_deep_and_transparent_photos_work(tmp_path, quick, pixels, channels, kinds):
    photo, files = read(save(tmp_path / "a.png", pixels), alpha="draw")
    assert files["a_Color"].shape == (54, 70, channels) and files["a_Color"].dtype == pixels.dtype
    assert kinds < photo.channels.slices.keys() and photo.x.isfinite().all()


def test_of_one_colour_there_is_no_texture_and_no_map_of_metal_unless_it_is_sure(tmp_path, quick):
    planes = (np.full((9, 9), value, np.float32) for value in (0, 0.5, 0.8, 0))
    flat = estimates.Estimate(*planes, np.zeros(2), (True, True))
    assert "metal" not in estimates.planes_of(flat, ALL)
    assert "metal" in estimates.planes_of(flat._replace(metal=flat.metal + 0.15), ALL)
    values, its = estimates.photo_as_maps(draw_pixels(9, 9), "a")
    values, its = estimates.joined(values, its, estimates.planes_of(flat, ALL), "a")
    assert len(values) == 3 and its.constants.keys() == {"height", "normal", "roughness", "occlusion"}
    assert len(its.rendered(values)) == 5


def test_a_masked_photo_is_repaired_in_all_its_maps_and_stays_elsewhere(tmp_path, quick):
    pixels = draw_pixels(60, 80)
    save(tmp_path / "a.png", pixels)
    mask = np.zeros((60, 80), np.uint8)
    mask[20:28, 30:40] = 255
    photo, _ = read(tmp_path / "a.png", mask=str(save(tmp_path / "w.png", mask)))
    assert photo.mask.before.shape == photo.x.shape
    colour, *others = photo.channels.rendered(photo.mask.blended(photo.values(photo.x)).numpy())
    assert np.array_equal(colour[mask == 0], pixels[mask == 0]) and len(others) >= 4


def test_shading_is_taken_out_by_half_at_most():
    height = 8 * bumps(54, 70)[0]
    normals = surfaces.normals_of(height, (True, True))
    lit = 2 * (0.2 * np.exp(normals[0] - normals[0].mean()))[None].repeat(3, 0) ** (1 / 2.2) - 1
    shaded = estimates.Estimate(height, height, height, height, np.array([1.0, 0]), (True, True))
    shading = estimates.shading_of(lit, shaded)
    assert correlation(shading, normals[0]) > 0.99 and shading.std() == pytest.approx(normals[0].std(), rel=0.1)
    left = np.log(estimates.light_of(estimates.without_shading(lit, shading, estimates.MOST)))
    assert left.std() == pytest.approx(0.5 * normals[0].std(), rel=0.1)


# A folder


def test_maps_that_are_there_stay_and_say_what_can_be_computed(tmp_path, quick):
    folder = save_maps(tmp_path / "m", {kind: draw_maps()[kind] for kind in ("Color", "NormalGL")})
    photo, files = read(folder)
    assert files.keys() == {"Rock_Color", "Rock_NormalGL", "m_Displacement", "m_Roughness", "m_AmbientOcclusion"}
    assert correlation(files["m_Displacement"], bumps()[0]) > 0.99
    assert np.abs(files["Rock_NormalGL"].astype(int) - draw_maps()["NormalGL"]).max() <= 1


def test_where_all_maps_are_there_or_no_colour_is_that_is_said(tmp_path, quick):
    photo, files = read(save_maps(tmp_path / "m", draw_maps()), wish("height", "normal"))
    assert len(files) == 5 and any("MAPS estimated nothing: all" in note for note in photo.notes)
    photo, files = read(save_maps(tmp_path / "n", {"Displacement": draw_maps()["Displacement"]}))
    assert len(files) == 1 and any("nothing: maps are estimated from a colour" in note for note in photo.notes)


# Runs


def test_a_run_draws_all_maps_together_and_writes_those_of_the_photo(tmp_path, tool, quick):
    result = tool("photo.png", *tiny(EPOCHS=1, SCALE=1, OUTPUT_SIZE=(54, 54), PREVIEW_EVERY=9, MAPS="normal,roughness"))
    assert result.code == 0 and "note: MAPS estimated" in result.out and "maps_doubt_degrees: " in result.out
    there = saved(tmp_path / "samples/photo/maps")
    assert there.keys() == {"photo_Color", "photo_NormalGL", "photo_Roughness"}
    assert there.keys() == saved(tmp_path / "samples/photo/output_texture_54x54").keys()
    assert all((tmp_path / f"samples/photo/maps_{name}.png").exists() for name in ("doubt", "lit"))


def test_at_scale_1_the_maps_alone_are_written_and_nothing_is_learned(tmp_path, tool, quick):
    save(tmp_path / "small.png", draw_pixels(31, 45))
    result = tool("small.png", *tiny(SCALE=1, MAPS=True, EXPORT="glb"))
    assert result.code == 0 and not list((tmp_path / "checkpoints").glob("*.pt"))
    assert saved(tmp_path / "samples/small/maps")["small_NormalGL"].shape == (31, 45, 3)
    assert (tmp_path / "samples/small/maps/small.glb").exists()


def test_other_maps_lie_in_a_folder_of_their_own(tmp_path, tool, quick):
    save(tmp_path / "small.png", draw_pixels(31, 45))
    assert tool("small.png", *tiny(SCALE=1, MAPS=True)).code == 0
    before = saved(tmp_path / "samples/small/maps")
    result = tool("small.png", *tiny(SCALE=1, MAPS="normal"))
    assert result.code == 0 and "maps.2" in result.out
    assert saved(tmp_path / "samples/small/maps.2").keys() == {"small_Color", "small_NormalGL"}
    assert saved(tmp_path / "samples/small/maps").keys() == before.keys()


@pytest.mark.parametrize("words, said", [
    (["MAPS=bumps"], "MAPS"), (["MAPS=True", "LIGHT=above"], "LIGHT"), (["LIGHT=90"], "MAPS"),
    (["DELIGHT=0.5"], "MAPS"), (["MAPS=True", "DELIGHT=2"], "DELIGHT"), (["MAPS=True", "PIXELS=4"], "PIXELS"),
    (["photo.png", "photo2.png", "MAPS=True"], "one photo")])
def test_what_is_not_possible_is_one_sentence(tmp_path, tool, words, said):
    save(tmp_path / "photo2.png", draw_pixels(54, 70, 1))
    assert_refused(tool(*words), said)


def test_weights_that_are_missing_or_damaged_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="python -m prior maps"):
        estimates.load_net(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"PK")
    with pytest.raises(RunError, match="damaged"):
        estimates.load_net(tmp_path / "bad.pt")


# What was learned


def test_the_shipped_weights_are_found_from_any_folder(tool, tmp_path):
    result = tool("photo.png", *tiny(SCALE=1, MAPS=True))
    assert result.code == 0, result.err
    assert (tmp_path / "samples" / "photo" / "maps" / "photo_NormalGL.png").exists()


def test_the_shipped_weights_are_small():
    assert WEIGHTS.stat().st_size <= 10e6


@pytest.fixture(scope="module")
def learned():
    return estimates.load_net(WEIGHTS)


def lit_bumps(side, printed=False):
    """A grey surface lit from the left, float32 [3, H, W] in [-1, 1], and its normals; or, printed, the same
    brightness on a flat one... of large letters."""
    height = 25 * bumps(128, 128)[0]
    normals = surfaces.normals_of(height, (True, True))
    bright = 0.3 * (1 + side * normals[0])
    return (2 * bright[None].repeat(3, 0) ** (1 / 2.2) - 1).astype(np.float32), normals


@pytest.mark.parametrize("degrees, side", [(180.0, -1), (0.0, 1)])
def test_the_shipped_network_sees_bumps_in_the_light_that_it_is_told(learned, degrees, side):
    colour, normals = lit_bumps(side)
    found = estimates.estimated(learned, colour, degrees)
    assert correlation(surfaces.normals_of(found.height, found.wraps)[0], normals[0]) > 0.5


# The training


def drawn():
    return [pool.draw_surface(kind, np.random.default_rng(0), 96) for kind in ("brick_running", "brushed_metal")]


def test_samples_are_lit_surfaces_and_those_of_a_step_are_always_the_same():
    samples = maps.Samples(drawn(), [], 0, 48, count=4)
    photos, truth, direction = samples[7]
    assert photos.shape == (4, 3, 48, 48) and truth.shape == (4, 4, 48, 48) and direction.shape == (4, 2)
    assert 0 <= photos.min() and photos.max() <= 1 and truth.isfinite().all()
    assert all(torch.equal(one, other) for one, other in zip(samples[7], (photos, truth, direction)))
    assert not torch.equal(samples[8][0], photos)


def test_what_faces_the_sun_is_bright_and_what_lies_behind_a_wall_is_in_its_shadow():
    height = torch.zeros(1, 1, 24, 40)
    height[..., 18:22] = 6
    lit = light.in_sun(height, torch.tensor([[-0.9, 0.0, 0.44]]))[0, 0, 12]
    assert lit[:16].min() == 1 and lit[23:27].max() < 0.2 and lit[-1] == 1


def test_a_training_that_goes_on_ends_as_an_unbroken_one():
    samples = maps.Samples(drawn(), [], 0, 32, count=2)
    one, other = (maps.MapTrainer(1e-3, 0, torch.float32) for _ in range(2))
    one.work(*samples[0], 0.0)
    other.load(copy.deepcopy(one.state()))
    for trainer in (one, other):
        trainer.work(*samples[1], 0.5)
    assert all(torch.equal(weight, other.ema[name]) for name, weight in one.ema.items())
