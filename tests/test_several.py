"""Several textures for one model: which they are, what is learned of each, and that each is drawn as itself."""

import numpy as np
import pytest
import torch
from conftest import (
    TILE,
    assert_refused,
    assert_same,
    checkpoint_in,
    draw_photo,
    draw_pixels,
    make_trainer,
    pixels_in,
    random_net,
    tiny,
)
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import several

TEXTURES = tuple(draw_photo(64, 80, seed, name=name) for seed, name in enumerate(("moss", "rock", "sand")))
LIST = "('moss.png','rock.png')"


@pytest.fixture
def two(tool, tmp_path, plain_figures):
    """The tool in a folder with moss.png and rock.png, which is dark."""
    Image.fromarray(draw_pixels(54, 70, 1)).save(tmp_path / "moss.png")
    Image.fromarray(draw_pixels(64, 60, 2) // 3).save(tmp_path / "rock.png")
    return lambda image=LIST, **changes: tool(f"IMAGE={image}", *tiny(**{"EPOCHS": 1, "PREVIEW_EVERY": 9, **changes}))


# Which textures


@pytest.mark.parametrize("names, several_textures", [
    (("moss.png", "rock.JPG"), True), (("moss.png", "rock.png", "readme.txt", ".hidden.png"), True),
    (("moss.png",), False), (("rock_color.png", "rock_normal.png"), False), (("moss.png", "rock_color.png"), True)])
def test_a_folder_of_photos_is_told_from_a_folder_of_maps(tmp_path, names, several_textures):
    for name in names:
        (tmp_path / name).touch()
    assert (len(several.photos_in(tmp_path)) > 1) == several_textures


@pytest.mark.parametrize("changes, words", [
    ({"image": "('moss.png','more/MOSS.png')"}, ("moss.png", "MOSS.png", "rename")),
    ({"TEXTURE": "mos"}, ("mos", "moss, rock", "nearest is TEXTURE=moss")),
    ({"image": "moss.png", "TEXTURE": "moss"}, ("TEXTURE", "one")), ({"image": "moss.png", "BLEND": "a"}, ("BLEND",)),
    ({"CROP": "(0,0,50,50)"}, ("CROP", "2 textures")), ({"CORNERS": "auto"}, ("CORNERS", "2 textures")),
    ({"image": "('moss.png','more')"}, ("more", "folder")), ({"image": "('moss.png','glass.png')"}, ("glass", "ALPHA")),
    ({"image": "('moss.png',)"}, ("IMAGE", "two")), ({"image": "('moss.png','none.png')"}, ("none.png",)),
    ({"TEXTURE": "moss", "BLEND": "map.png"}, ("TEXTURE", "BLEND")), ({"image": "('moss.png','flat.png')"}, ("flat",)),
    ({"BLEND": "blue.png"}, ("blue", "only 2 textures")), ({"BLEND": "tall.png"}, ("OUTPUT_SIZE=(64,128)",)),
    ({"BLEND": "map.png", "LAYOUT": "rows"}, ("LAYOUT", "BLEND")), ({"BLEND": "little.png"}, ("OUTPUT_SIZE",)),
    ({"REGION": "(0,0,190,100)"}, ("REGION", "180 x 192"))])
def test_what_does_not_go_together_is_one_sentence(two, tmp_path, changes, words):
    (tmp_path / "more").mkdir()
    Image.fromarray(draw_pixels(64, 64)).save(tmp_path / "more" / "MOSS.png")
    glass = np.dstack([draw_pixels(64, 64), draw_pixels(64, 64, channels=1)])
    Image.fromarray(glass).save(tmp_path / "glass.png")
    Image.new("L", (64, 64), 9).save(tmp_path / "flat.png")
    for name, colour, size in (("blue", (0, 0, 255), (64, 64)), ("tall", (255, 0, 0), (64, 128)),
                               ("map", (255, 0, 0), (64, 64)), ("little", (255, 0, 0), (9, 9))):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    size = {"OUTPUT_SIZE": "(64,64)"} if changes.get("BLEND") == "tall.png" else {}
    assert_refused(two(**changes, **size), *words)
    assert not list((tmp_path / "checkpoints").glob("*.pt"))


# What is learned


def test_a_batch_holds_each_texture_equally_often_and_says_which_is_whose():
    data = td.SeveralDatasets([td.NeighbourDataset(photo._replace(x=torch.full_like(photo.x, k)), TILE)
                               for k, photo in enumerate(TEXTURES)])
    places = torch.zeros(6, 3)
    for seed in range(50):
        windows, present, labels = data.batch(6, 0.4, torch.Generator().manual_seed(seed))
        assert windows.shape == (6, 3, 48, 48) and present.shape == (6, 8) and labels.sum(0).tolist() == [2, 2, 2]
        assert torch.equal(data.tiles_of(windows)[:, 0, 8, 8].long(), labels.argmax(1))
        places += labels
    assert places.min() > 5  # a place in the batch is a noise level: all textures see all of them


def test_a_tile_is_estimated_by_its_texture_s_facts_and_label_alone():
    net = random_net(context=3)
    net.know(td.facts_of(TEXTURES, 3))
    ring = torch.stack([photo.x[:, :48, :48] for photo in TEXTURES])
    x_t, present, t = td.crop_middle(ring, TILE), torch.ones(3, 8, dtype=torch.bool), torch.tensor([3, 9, 15])
    together = td.predict_x0(net, x_t, t, ring, present, td.cosine_schedule(20), context=torch.eye(3))
    for k, photo in enumerate(TEXTURES):
        given = [x[k:k + 1] for x in (x_t, t, ring, present)]
        one = net.of(k)
        assert_same((one.axes, one.signal), tuple(td.facts_of([photo], 3)))
        alone = td.predict_x0(one, *given, td.cosine_schedule(20))
        assert torch.allclose(alone[0], together[k], atol=1e-5)
        one.label = net.of((k + 1) % 3).label
        assert not torch.allclose(td.predict_x0(one, *given, td.cosine_schedule(20)), alone, atol=1e-4)


def test_a_prior_begins_as_it_would_with_each_texture_alone():
    prior = random_net().state_dict()
    data = td.SeveralDatasets([td.NeighbourDataset(photo, TILE) for photo in TEXTURES])
    net = td.build_net(TEXTURES, TILE, (8, 16), 0, "cpu", context=3)
    trainer = td.Trainer(net, data, td.cosine_schedule(50), 6, 2e-3, 0.4, 0)
    trainer.begin_from(prior, "0" * 64)
    windows, present = data.parts[1].examples(2, held_out=False)
    noised = (data.tiles_of(windows), torch.tensor([9, 40]), torch.zeros(2, 3, TILE, TILE), windows, present)
    alone = make_trainer(TEXTURES[1])
    alone.begin_from(prior, "0" * 64)
    assert torch.allclose(trainer.of(1).noised(*noised)[1], alone.noised(*noised)[1], atol=1e-6)


def test_the_validation_loss_is_the_textures_mean():
    data = td.SeveralDatasets([td.NeighbourDataset(photo, TILE, 1) for photo in TEXTURES])
    net = td.build_net(TEXTURES, TILE, (8, 16), 0, "cpu", context=3)
    trainer = td.Trainer(net, data, td.cosine_schedule(50), 6, 2e-3, 0.4, 0)
    assert trainer.validate() == pytest.approx(np.mean([trainer.of(k).validate() for k in range(3)]))


def test_a_network_of_one_photo_has_no_label():
    assert not [name for name in random_net().state_dict() if "context" in name or "label" in name]


# Whole runs


def test_each_texture_is_drawn_under_its_name_with_one_model_and_again_alone(two, tmp_path):
    result = two(SCALE=1)
    assert result.code == 0, result.err
    folder = tmp_path / "samples" / "moss+rock"
    paths = {name: folder / f"output_texture_1x1_{name}.png" for name in ("moss", "rock")}
    drawn = {name: pixels_in(path) for name, path in paths.items()}
    assert drawn["moss"].shape == (54, 70, 3) and drawn["rock"].shape == (64, 60, 3)
    assert drawn["rock"].mean() < drawn["moss"].mean() / 2
    for name, path in paths.items():
        path.unlink()
        assert two(SCALE=1, EPOCHS=0, TEXTURE=name).code == 0
        assert np.array_equal(pixels_in(path), drawn[name])
    assert not paths["moss"].with_name("output_texture_1x1.png").exists()


def test_a_folder_gives_the_run_its_name_and_more_epochs_go_on(two, tmp_path):
    (tmp_path / "wood").mkdir()
    for name in ("moss.png", "rock.png"):
        (tmp_path / name).rename(tmp_path / "wood" / name)
    assert two("wood", TEXTURE="rock", SCALE=1, PREVIEW_EVERY=1).code == 0
    assert (tmp_path / "samples" / "wood" / "preview_rock.png").exists()
    result = two("wood", EPOCHS=2, TEXTURE="rock", SCALE=1)
    assert result.code == 0 and checkpoint_in(tmp_path, "wood")["step"] == 4, result.err
    assert checkpoint_in(tmp_path, "wood")["ema"]["axes"].shape == (2, 3, 3)


def test_the_old_model_of_several_textures_is_put_aside(two, tmp_path):
    checkpoint = tmp_path / "checkpoints" / "moss+rock.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"old")
    assert two(FRESH=True, TEXTURE="rock", SCALE=1).code == 0
    assert (tmp_path / "checkpoints" / "moss+rock.old1.pt").read_bytes() == b"old"


def test_grey_and_coloured_textures_go_together(two, tmp_path):
    Image.fromarray(draw_pixels(54, 70, channels=1)).save(tmp_path / "ash.png")
    result = two("('ash.png','rock.png')", SCALE=1, TEXTURE="ash")
    assert result.code == 0, result.err
    grey = pixels_in(tmp_path / "samples" / "ash+rock" / "output_texture_1x1_ash.png")
    assert np.array_equal(grey[:TILE, :TILE, 0], grey[:TILE, :TILE, 1])  # a real tile
