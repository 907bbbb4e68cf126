"""The four examples: their data, their promises about input, and a small run of each from end to end."""

import copy
import csv
import http.server
import io
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, environment, randomise
from PIL import Image, ImageGrab

import texture_diffusion as td
from texture_diffusion_tools.running import devices, exit_codes
from texture_diffusion_tools.running.errors import UserError

sys.path.insert(0, str(ROOT / "examples"))

import common
import pixel_art
import restyle
import sprites
import styles
import text_to_image

SMALL = ("WIDTHS=(8,16)", "TIMESTEPS=20", "BATCH_SIZE=4", "EPOCHS=1")


@pytest.fixture(autouse=True, scope="module")
def plain():
    """The same arithmetic everywhere, for the fixtures of the module, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "pick_device", lambda *args: torch.device("cpu"))
        patch.setattr(devices, "pick_precision", lambda *args: torch.float32)
        yield


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(module, *argv, capsys=None):
    """Exit code of an example's main, and what it printed if capsys is given."""
    try:
        code = exit_codes.run(lambda: module.main(list(argv)))
    except SystemExit as end:
        code = end.code
    return code if capsys is None else (code, capsys.readouterr())


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def fill(folder, things, suffix, write):
    """A folder with a file for each thing, bytes as they are and arrays by write(path, array); none for None."""
    if things is not None:
        folder.mkdir()
        for k, thing in enumerate(things):
            path = folder / f"{k}{suffix}"
            path.write_bytes(thing) if isinstance(thing, bytes) else write(path, thing)


def pictures_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Pictures as a dataset


def test_a_batch_comes_with_its_context_except_where_it_is_dropped():
    x = torch.randn(6, 3, 8, 8)
    data = common.PictureDataset(x, torch.eye(6))
    pictures, present, context = data.batch(4000, 0.25, torch.Generator().manual_seed(0))
    assert not present.any()
    silent = (context == 0).all(1)
    assert 0.2 < silent.float().mean() < 0.3
    assert torch.equal(pictures[~silent], x[context[~silent].argmax(1)])


def test_half_of_the_pictures_are_mirrored_if_so_wished():
    x = torch.arange(8.0).expand(1, 1, 8, 8)
    flipped, *_ = common.PictureDataset(x, flips=True).batch(1000, 0.0, torch.Generator().manual_seed(0))
    assert 0.4 < (flipped[:, 0, 0, 0] == 7).float().mean() < 0.6
    plain, *_ = common.PictureDataset(x).batch(1000, 0.0, torch.Generator().manual_seed(0))
    assert (plain[:, 0, 0, 0] == 0).all()


def small_trainer(context=0, channels=3):
    photo, x = common.normalise(np.random.default_rng(0).integers(0, 256, (8, 16, 16, channels)).astype(np.uint8), "p")
    data = common.PictureDataset(x, torch.eye(8)[:, :context] if context else None)
    c = SimpleNamespace(WIDTHS=(8, 16), SEED=0, TIMESTEPS=20, BATCH_SIZE=4, LEARNING_RATE=1e-3, DROPOUT=0.1, EPOCHS=1)
    trainer = common.prepare([photo], data, c, Path("none.pt"), context, unshuffle=2)
    with torch.no_grad():
        for weight in trainer.ema.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return trainer, photo, x


def test_what_is_known_of_a_picture_stays_and_the_rest_is_drawn():
    trainer, photo, x = small_trainer()
    known = torch.zeros(16, 16, dtype=torch.bool)
    known[:, :8] = True
    free = common.estimator(trainer, None)
    drawn = [common.draw(trainer, photo, lambda x_t, t: torch.where(known, x, free(x_t, t)), 8, seed, "ddpm", 20)
             for seed in (0, 1)]
    assert all(torch.allclose(d[..., :8], x[..., :8].clamp(*photo.bounds()), atol=1e-4) for d in drawn)
    assert (drawn[0] - drawn[1])[..., 8:].abs().mean() > 0.01


def test_guidance_goes_along_the_line_from_the_estimate_without_context():
    trainer, _, x = small_trainer(context=3)
    context, t = torch.eye(3)[torch.arange(8) % 3], torch.full((8,), 10)
    none, one, three = (common.estimator(trainer, given, w)(x, t) for given, w in
                        ((torch.zeros(8, 3), 1), (context, 1), (context, 3)))
    assert (one - none).abs().max() > 1e-4
    assert torch.allclose(three - none, 3 * (one - none), atol=1e-4)


def test_two_drawings_with_the_same_noise_are_equal_and_do_not_depend_on_the_batch():
    trainer, photo, _ = small_trainer()
    first, again, part = (common.draw(trainer, photo, common.estimator(trainer, None), n, 0) for n in (5, 5, 2))
    assert torch.equal(first, again)
    assert torch.allclose(first[:2], part, atol=1e-3)


def test_an_example_works_alone_and_what_a_person_changed_stays(tmp_path):
    c = SimpleNamespace(OUTPUT_DIR=tmp_path / "out", CHECKPOINT_DIR=tmp_path / "models")
    with common.claimed(c, "sprites", "of this data") as (results, checkpoint):
        first = results.path("a.png")
        first.write_bytes(b"drawn")
        assert checkpoint == tmp_path / "models" / "sprites.pt"
        with pytest.raises(UserError, match="another run works on sprites"):
            common.claimed(c, "sprites", "of this data").__enter__()
    for digest, named in (("of this data", "a.png"), ("of other data", "a.2.png")):
        with common.claimed(c, "sprites", digest) as (results, _):
            assert results.path("a.png").name == named
    first.write_bytes(b"changed by hand")
    with common.claimed(c, "sprites", "of this data") as (results, _):
        assert results.path("a.png") != first


# Sprites

SPRITES = ("WIDTHS=(8,16)", "TIMESTEPS=12", "BATCH_SIZE=4", "EPOCHS=1", "GUIDANCE=1.5")


def test_drawn_sprites_are_of_five_kinds_that_differ_in_each_copy():
    images, labels = sprites.draw_sprites(1000)
    assert images.shape == (1000, 16, 16, 3) and images.dtype == np.uint8
    assert (labels.sum(1) == 1).all() and (labels.sum(0) == 200).all()
    assert len(np.unique(images.reshape(1000, -1), axis=0)) > 950


def test_noise_on_sprites_is_scaled_by_the_root_of_one_minus_alpha_bar():
    _, x = common.normalise(sprites.draw_sprites(200)[0], "sprites")
    abar, eps = td.cosine_schedule(500), torch.randn(200, 3, 16, 16)
    for t in (50, 250, 450):
        noise = td.q_sample(x, torch.full((200,), t), eps, abar) - abar[t].sqrt() * x
        assert abs(float(noise.std()) - float((1 - abar[t]).sqrt())) < 0.01


@pytest.mark.slow
def test_sprites_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sprites, "draw_sprites", lambda count, draw=sprites.draw_sprites: draw(60))
    monkeypatch.setattr(sprites, "JUDGED", 20)
    code, said = run(sprites, *SPRITES, capsys=capsys)
    assert code == 0, said.err
    made = pictures_in(tmp_path / "samples" / "sprites")
    assert {f"grid_{kind}.png" for kind in (*sprites.KINDS, "any")} | {"denoising.gif", "inpainting.png"} <= made.keys()
    assert Image.open(tmp_path / "samples" / "sprites" / "denoising.gif").n_frames > 10
    code, said = run(sprites, *SPRITES[:-2], "EPOCHS=0", "GUIDANCE=1.5", capsys=capsys)
    assert code == 0 and "drawing only" in said.out
    assert pictures_in(tmp_path / "samples" / "sprites") == made
    assert run(sprites, "WIDTHS=(8,24)", *SPRITES[1:]) == 2
    assert "WIDTHS is (8, 24) here and (8, 16) in the checkpoint" in capsys.readouterr().err


@pytest.fixture(scope="module")
def taught():
    """A small network that was taught 400 sprites for a few seconds."""
    images, labels = sprites.draw_sprites(400)
    photo, x = common.normalise(images, "sprites")
    data = common.PictureDataset(x, torch.from_numpy(labels))
    c = SimpleNamespace(WIDTHS=(32, 64), SEED=0, TIMESTEPS=100, BATCH_SIZE=32, LEARNING_RATE=2e-3, DROPOUT=0.1,
                        EPOCHS=1)
    trainer = common.prepare([photo], data, c, Path("none.pt"), 5, unshuffle=2)
    trainer.plan(150)
    list(trainer.steps())
    return SimpleNamespace(trainer=trainer, photo=photo, images=images, labels=labels)


def sprites_of(taught, wanted, seed=0):
    """Sprites of the wanted kinds, uint8 [N, 16, 16, 3]."""
    estimate = common.estimator(taught.trainer, torch.eye(5)[wanted], 1.5)
    return taught.photo.pixels(common.draw(taught.trainer, taught.photo, estimate, len(wanted), seed, "ddim", 10))


@pytest.mark.slow
def test_a_sprite_is_of_the_wanted_kind(taught):
    wanted = np.arange(50) % 5
    share, right = sprites.agreement(taught.images, taught.labels, sprites_of(taught, wanted), wanted)
    assert right > 0.95
    assert share >= 0.8  # 0.2 by chance


@pytest.mark.slow
def test_with_the_same_noise_another_label_gives_another_sprite(taught):
    drawn = [sprites_of(taught, np.full(5, kind)).astype(float) for kind in range(5)]
    for one, other in combinations(drawn, 2):
        assert np.abs(one - other).mean() > 15  # levels


def test_sprites_of_a_person_s_own(tmp_path):
    images, labels = sprites.draw_sprites(40)
    np.save(tmp_path / "b.npy", images)
    np.save(tmp_path / "a.npy", labels[:, :3].astype(np.int64))
    read = sprites.read_sprites(tmp_path)
    assert np.array_equal(read[0], images) and np.array_equal(read[1], labels[:, :3])


@pytest.mark.parametrize("arrays, says", [
    (None, "is no folder"), ([], "it has none"), ([np.zeros((9, 16, 16, 3), np.uint8)], "one of labels"),
    ([np.zeros((9, 16, 16, 3), np.uint8), np.zeros((8, 5))], "9 images and 8 labels"),
    ([np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 5))], "2 or more"), ([b"rubbish"], "cannot be read")])
def test_sprites_that_cannot_be_used(tmp_path, capsys, arrays, says):
    fill(tmp_path / "data", arrays, ".npy", np.save)
    code, said = run(sprites, "data", *SPRITES, capsys=capsys)
    assert code == 2 and says in said.err and said.err.count("\n") == 1


# Pixel art

ICONS = (*SMALL, "SAMPLE_STEPS=3", "COUNT=5")


def test_pixel_art_end_to_end(tmp_path, capsys):
    for k, icon in enumerate(pixel_art.draw_icons(12)):
        save(tmp_path / "icons" / f"{k}.png", icon.repeat(2, 0).repeat(2, 1))
    code, said = run(pixel_art, "icons", *ICONS, capsys=capsys)
    assert code == 0, said.err
    folder = tmp_path / "samples" / "pixel_art"
    made = pictures_in(folder)
    assert {"samples.png", "forward.png", "loss.png", "icons/004.png"} <= made.keys()
    icon = np.asarray(Image.open(folder / "icons" / "000.png"))
    assert icon.shape == (64, 64, 4)
    assert np.array_equal(icon, icon[::2, ::2].repeat(2, 0).repeat(2, 1))
    palette = {tuple(colour) for colour in pixel_art.palette_of(pixel_art.draw_icons(12))}
    assert {tuple(colour) for colour in icon[icon[..., 3] > 0][:, :3]} <= palette
    assert set(np.unique(icon[..., 3])) <= {0, 255}
    assert run(pixel_art, "icons", *ICONS, "EPOCHS=0") == 0
    assert pictures_in(folder) == made


def icons_of(*sizes):
    return [np.random.default_rng(k).integers(0, 256, (*size, 4)).astype(np.uint8) for k, size in enumerate(sizes)]


@pytest.mark.parametrize("icons, says", [
    (None, "is no folder"), ([], "holds 0 .png files"), (icons_of((32, 32)), "holds 1 .png files"),
    (icons_of((32, 32), (48, 32)), "differ in size"), (icons_of((48, 48), (48, 48)), "have 48 x 48 pixels"),
    (icons_of((64, 64), (64, 64)), "without smoothing"),
    ([b"rubbish", b"rubbish"], "is not a picture that can be read")])
def test_icons_that_cannot_be_used(tmp_path, capsys, icons, says):
    fill(tmp_path / "data", icons, ".png", save)
    code, said = run(pixel_art, "data", *ICONS, capsys=capsys)
    assert code == 2 and says in said.err and said.err.count("\n") == 1


def test_the_most_similar_icon_of_one_of_the_data_is_itself_mirrored_or_not():
    data = pixel_art.draw_icons(20)
    twins, distances = pixel_art.nearest(data[:, :, ::-1], data)
    assert np.array_equal(twins, data[:, :, ::-1]) and (distances < 1e-3).all()
    _, distances = pixel_art.nearest(pixel_art.draw_icons(20, seed=1), data)
    assert (distances > 5).all()


def test_snapping_takes_the_nearest_colour_and_leaves_nothing_half_transparent():
    icon = np.array([[[250, 10, 10, 130], [10, 240, 20, 255], [0, 0, 0, 100]]], np.uint8)[None]
    palette = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    assert pixel_art.snap(icon, palette).tolist() == [[[[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 0, 0]]]]


def test_hidden_transparency_comes_back_and_is_no_louder_than_the_colours():
    icons = pixel_art.draw_icons(12)
    icons[..., 3][icons[..., 3] == 255] = np.random.default_rng(0).integers(1, 256, (icons[..., 3] == 255).sum())
    hidden = pixel_art.hide(icons)
    assert np.abs(pixel_art.unhide(hidden)[..., 3].astype(int) - icons[..., 3]).max() <= 2
    deviations = pixel_art.hide(pixel_art.draw_icons(40)).std((0, 1, 2))
    assert deviations.max() < 2 * deviations.min()


@pytest.mark.slow
def test_the_tone_of_an_icon_is_the_mean_colour_of_what_is_visible_and_sets_what_is_drawn():
    icons = np.zeros((3, 32, 32, 4), np.uint8)
    for icon, colour in zip(icons, ((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        icon[4:20, 4:20] = (*colour, 255)
    assert pixel_art.tones(icons).tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    photo, x = common.normalise(pixel_art.hide(icons), "p")
    c = SimpleNamespace(WIDTHS=(16, 32), SEED=0, TIMESTEPS=50, BATCH_SIZE=12, LEARNING_RATE=2e-3, EPOCHS=1, COUNT=12,
                        SAMPLE_STEPS=10, SNAP=True)
    data = common.PictureDataset(x, pixel_art.tones(icons))
    trainer = common.prepare([photo], data, c, Path("none.pt"), 3, unshuffle=2)
    trainer.plan(60)
    list(trainer.steps())
    drawn = pixel_art.generate(trainer, photo, c, icons)
    wanted = np.random.default_rng(c.SEED).integers(3, size=12)
    assert len(set(wanted)) == 3
    assert [int(icon[..., :3].astype(int).sum((0, 1)).argmax()) for icon in drawn] == wanted.tolist()


def test_attention_begins_as_nothing_and_sees_the_whole_picture():
    net = td.UNet(4, 32, (8, 16, 16), halo=0, unshuffle=2)
    block = net.down[1]
    pixel_art.attend_in_the_middle(net)
    assert [type(b).__name__ for b in net.down] == ["Block", "Attended", "Block"]
    x, emb = torch.randn(1, 16, 8, 8), torch.randn(1, 32)
    assert torch.equal(net.down[1](x, emb), block(x, emb))
    torch.nn.init.normal_(net.down[1].out.weight)
    far = x.clone()
    far[..., -1, -1] += 5
    with torch.no_grad():
        assert (net.down[1](x, emb) - net.down[1](far, emb))[..., 0, 0].abs().max() > 1e-3


# Text to image

TEXT = (*SMALL, "SAMPLE_STEPS=3", "GUIDANCE=2", "EPOCH_PICTURES=8", "PRIOR=None")


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(text_to_image, "draw_pictures", lambda count, draw=text_to_image.draw_pictures: draw(24))


def test_text_to_image_end_to_end(tmp_path, few, capsys):
    code, said = run(text_to_image, "PROMPT=red brick wall", *TEXT, capsys=capsys)
    assert code == 0, said.err
    folder = tmp_path / "samples" / "text_to_image"
    first = np.asarray(Image.open(folder / "red_brick_wall.png"))
    assert run(text_to_image, "PROMPT=red brick wall", *TEXT, "EPOCHS=0") == 0
    assert np.array_equal(np.asarray(Image.open(folder / "red_brick_wall_1.png")), first)  # nothing is overwritten
    code, said = run(text_to_image, "PROMPT=mauve wall", *TEXT, "EPOCHS=0", capsys=capsys)
    assert code == 0 and "mauve" in said.out
    assert not np.array_equal(np.asarray(Image.open(folder / "mauve_wall.png")), first)


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """A small model of plain walls in three colours, not yet taught."""
    folder, rng = tmp_path_factory.mktemp("walls"), np.random.default_rng(0)
    for k in range(30):
        name, colour = list(WALLS.items())[k % 3]
        save(folder / f"{name} wall {k}.png", (colour + rng.normal(0, 12, (64, 64, 3))).clip(0, 255).astype(np.uint8))
    c = SimpleNamespace(DATA=folder, WIDTHS=(16, 32), SEED=0, TIMESTEPS=100, BATCH_SIZE=4, LEARNING_RATE=2e-3, EPOCHS=1,
                        DROPOUT=0.1, EPOCH_PICTURES=8, PRIOR=None, OUTPUT_DIR=folder / "out",
                        CHECKPOINT_DIR=folder / "models")
    with text_to_image.opened(c) as painter:
        yield painter


@pytest.fixture(scope="module")
def skilled(painter):
    """The painter, taught for a few seconds."""
    for trainer in (painter.coarse, painter.fine):
        trainer.plan(80)
        list(trainer.steps())
    return painter


WALLS = {"red": (200, 40, 40), "green": (40, 160, 50), "blue": (40, 60, 190)}


@pytest.mark.slow
def test_a_colour_word_sets_the_mean_colour_with_the_same_noise(skilled):
    for name in WALLS:
        mean = skilled.photo.pixels(skilled.paint(f"{name} wall", 4, 10, 1.5, 0)).mean((1, 2))
        apart = np.linalg.norm(mean[:, None] - list(WALLS.values()), axis=-1)
        assert (apart.argmin(1) == list(WALLS).index(name)).all(), name


def test_time_changes_what_the_network_sees(painter):
    """Of weights moved at random: how much a short training makes of the time hangs on the machine."""
    x, context = torch.randn(1, 3, 64, 64), painter.prompts.vectors(["red wall"])
    net = randomise(copy.deepcopy(painter.fine.ema))
    with torch.no_grad():
        early, late = (net(x, x, common.alone(x), torch.tensor([time]), context)[0] for time in (0.1, 0.9))
    assert (early - late).abs().mean() > 0.01


def test_words_that_no_caption_has_are_named(painter):
    assert painter.prompts.unknown("a red xylophone wall") == ["a", "xylophone"]


@pytest.mark.slow
def test_the_second_model_keeps_what_the_first_one_drew(skilled):
    context = skilled.prompts.vectors(["red wall"]).expand(4, -1)
    small = common.draw(skilled.coarse, skilled.photo, common.estimator(skilled.coarse, context, 1.5), 4, 3, "ddpm", 10)
    drawn = skilled.paint("red wall", 4, 10, 1.5, 3)
    assert drawn.shape == (4, 3, 64, 64)
    assert (text_to_image.shrunk(drawn) - small).abs().mean() < 0.3 * small.std()
    assert (drawn - text_to_image.enlarged(small)).std() > 0.05  # and adds something


@pytest.mark.parametrize("prompt, says", [("", "the prompt is empty"), ("xylophone", "no word of the prompt is known")])
def test_prompts_that_say_nothing(few, capsys, prompt, says):
    code, said = run(text_to_image, f"PROMPT={prompt}", *TEXT, capsys=capsys)
    assert code == 2 and says in said.err


def test_captions_come_from_the_list_or_else_from_the_files_names(tmp_path, capsys):
    for name in ("Red_brick-wall 03.png", "b.jpg"):
        save(tmp_path / "data" / name, np.full((50, 80, 3), 90, np.uint8))
    (tmp_path / "data" / "broken.png").write_bytes(b"rubbish")
    pictures, captions = text_to_image.read_pictures(tmp_path / "data")
    assert captions == ["red brick wall", "b"] and pictures.shape == (2, 64, 64, 3)
    assert "broken.png" in capsys.readouterr().out
    (tmp_path / "data" / "captions.csv").write_text("file,caption\nb.jpg,A Sea\nRed_brick-wall 03.png,A wall\n")
    assert text_to_image.read_pictures(tmp_path / "data")[1] == ["a wall", "a sea"]


@pytest.mark.parametrize("files, says", [
    (None, "is no folder"), ({}, "holds 0 pictures"), ({"a.png": b"rubbish"}, "holds 0 pictures"),
    ({"captions.csv": b"name,text\na,b\n"}, "needs the columns file and caption")])
def test_folders_without_captioned_pictures(tmp_path, capsys, files, says):
    if files is not None:
        (tmp_path / "data").mkdir()
        for name, content in files.items():
            (tmp_path / "data" / name).write_bytes(content)
    code, said = run(text_to_image, "data", *TEXT, capsys=capsys)
    assert code == 2 and says in said.err


def png_bytes(side, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 120, np.uint8)).save(file, kind)
    return file.getvalue()


class Pages(http.server.BaseHTTPRequestHandler):
    """A web site of four pictures, of which one is damaged."""

    pages = {"/a.png": png_bytes(30), "/b.jpeg": png_bytes(40, "JPEG"), "/cut.png": png_bytes(200)[:150]}

    def do_GET(self):
        content = self.pages.get(self.path)
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_downloaded_pictures_have_captions_and_sources_and_damaged_ones_are_named(tmp_path, site, monkeypatch, capsys):
    found = [{"image": site + page} for page in ("/a.png", "/cut.png", "/gone.png", "/b.jpeg")]
    found.append({"image": "file:///etc/hostname"})

    class Search:
        def images(self, query, max_results):
            assert query == "Old castle"
            return found

    monkeypatch.setitem(sys.modules, "ddgs", SimpleNamespace(DDGS=Search))
    code, said = run(text_to_image, "--download", "Old castle", "new", capsys=capsys)
    assert code == 0 and "2 pictures" in said.out
    assert all(entry["image"] in said.out for entry in found[1:3] + found[4:])
    rows = list(csv.DictReader(open(tmp_path / "new" / "captions.csv")))
    assert [(row["caption"], row["source"], row["width"]) for row in rows] == [
        ("old castle", site + "/a.png", "30"), ("old castle", site + "/b.jpeg", "40")]
    assert text_to_image.read_pictures(tmp_path / "new")[1] == ["old castle"] * 2


def test_a_search_that_fails_says_so(monkeypatch, capsys):
    class Search:
        def images(self, query, max_results):
            raise RuntimeError("no answer")

    monkeypatch.setitem(sys.modules, "ddgs", SimpleNamespace(DDGS=Search))
    code, said = run(text_to_image, "--download", "wall", capsys=capsys)
    assert code == 1 and "the search for wall failed (no answer)" in said.err


def test_a_missing_package_is_named_with_its_pip_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ddgs", None)
    code, said = run(text_to_image, "--download", "wall", capsys=capsys)
    assert code == 2 and "pip install ddgs" in said.err


# Restyling

STYLE = (*SMALL, "EPOCH_TILES=8", "SAMPLE_STEPS=2", "PRIOR=None")


@pytest.mark.slow
def test_restyle_end_to_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(restyle, "STRENGTHS", (0.3, 0.9))
    for k, (width, height) in enumerate([(130, 150), (180, 128)]):
        save(tmp_path / "photos" / f"photo {k}.png", styles.draw_scene(k)[:height, :width])
    code, said = run(restyle, "photos", *STYLE, capsys=capsys)
    assert code == 0, said.err
    folder = tmp_path / "samples" / "restyle"
    for name in styles.STYLES:
        assert Image.open(folder / f"photo 0_{name}.png").size == (130, 150)
        assert Image.open(folder / f"photo 1_{name}.png").size == (180, 128)
    rows = list(csv.DictReader(open(folder / "strength.csv")))
    alike = [float(row["similarity"]) for row in rows]
    assert alike[0] > alike[-1]
    assert (folder / "scores.png").exists()
    made = pictures_in(folder)
    assert run(restyle, "photos", *STYLE, "EPOCHS=0") == 0
    assert pictures_in(folder) == made


def test_without_a_photo_of_a_person_s_own_there_are_real_ones():
    photos = restyle.read_photos("")
    assert len(photos) == 4 and all(max(pixels.shape) <= restyle.LONGEST for pixels in photos.values())
    assert all(min(pixels.shape[:2]) > 2 * restyle.TILE and pixels.std() > 20 for pixels in photos.values())


def test_tiles_are_put_together_where_they_were_and_each_is_seen_whole():
    x_t, sizes = torch.randn(1, 1, 160, 208), []

    def estimate(tiles, t):
        sizes.append((tuple(tiles.shape[2:]), len(tiles) == len(t) <= 4))
        return 2 * tiles

    for corner in ((0, 0), (127, 3), (50, 80)):
        assert torch.equal(restyle.by_tiles(estimate, x_t, torch.tensor([5]), corner, 4), 2 * x_t)
    assert set(sizes) == {((restyle.TILE, restyle.TILE), True)}


def test_a_restyled_picture_keeps_its_size_its_colours_and_its_large_forms():
    photo = restyle.normalised({name: pixels[:256, :256] for name, pixels in styles.draw_styles().items()})
    c = SimpleNamespace(WIDTHS=(8, 16), SEED=0, TIMESTEPS=20, BATCH_SIZE=4, LEARNING_RATE=1e-3, EPOCHS=1,
                        SAMPLE_STEPS=4)
    trainer = common.prepare(photo, restyle.StyleDataset(photo, 8), c, Path("none.pt"), 4)
    scene = styles.draw_scene(0)[:150, :201]
    drawn = restyle.restyle(trainer, photo, scene, 2, c, 0.9)
    assert drawn.shape == scene.shape and restyle.similarity(drawn, scene) > 0.6
    shift = [np.asarray(Image.fromarray(x).convert("YCbCr"), int)[..., 1:].mean((0, 1)) for x in (drawn, scene)]
    assert np.abs(shift[0] - shift[1]).max() < 4
    assert np.array_equal(drawn, restyle.restyle(trainer, photo, scene, 2, c, 0.9))


@pytest.mark.parametrize("make, says", [
    (lambda path: None, "there is no photo or folder"), (lambda path: path.mkdir(), "holds no pictures"),
    (lambda path: path.write_bytes(b"rubbish"), "not a picture"),
    (lambda path: Image.new("RGB", (60, 200)).save(path, "PNG"), "60 x 200 pixels")])
def test_photos_that_cannot_be_restyled(tmp_path, capsys, make, says):
    make(tmp_path / "photo")
    code, said = run(restyle, "photo", *STYLE, capsys=capsys)
    assert code == 2 and says in said.err


def test_the_judge_knows_the_styles_in_pictures_that_it_did_not_see_and_says_no_to_photos():
    judge, unseen = restyle.Judge(styles.draw_styles(0)), styles.draw_styles(5)
    for label, pixels in enumerate(unseen.values()):
        assert [judge.says_yes(pixels, k) for k in range(4)] == [k == label for k in range(4)]
    assert not any(judge.says_yes(styles.draw_scene(k), label) for k in range(6) for label in range(4))


def test_the_interval_of_answers():
    assert restyle.interval([True] * 8 + [False] * 2) == pytest.approx((0.8, 0.490, 0.943), abs=0.001)
    low, high = restyle.interval([False] * 6)[1:]
    assert abs(low) < 1e-9 and high == pytest.approx(0.390, abs=0.001)


def test_a_scene_is_more_like_itself_than_like_another():
    one, other = styles.draw_scene(0), styles.draw_scene(1)
    assert restyle.similarity(one, one) == pytest.approx(1)
    assert restyle.similarity(one, other) < 0.9


# Restyling by Stable Diffusion: the real code on tiny models with random weights


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A Stable Diffusion and two BLIPs of a few thousand weights, with tokenizers of a few words."""
    diffusers, transformers = pytest.importorskip("diffusers"), pytest.importorskip("transformers")
    import restyle_diffusers
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("words")
    letters = [chr(code) for code in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=4, out_channels=4, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1))
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    from_photo = diffusers.StableDiffusionImg2ImgPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    from_photo.set_progress_bar_config(disable=True)
    from_text = diffusers.StableDiffusionPipeline.from_pipe(from_photo)
    from_text.set_progress_bar_config(disable=True)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nyes\nno\na\nwall")
    config = transformers.BlipConfig(
        text_config={"vocab_size": 9, "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 16,
                     "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 2, "sep_token_id": 3,
                     "eos_token_id": 3, "pad_token_id": 0},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 16})
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    processor = transformers.BlipProcessor(images, transformers.BertTokenizer(str(folder / "vocab.txt")))
    return restyle_diffusers.Models(from_photo, from_text, transformers.BlipForConditionalGeneration(config).eval(),
                                    processor, transformers.BlipForQuestionAnswering(config).eval(), processor)


DIFFUSERS = ("--backend", "diffusers", "SAMPLE_STEPS=4", "STYLES=a woodcut, joy")


@pytest.mark.slow
def test_restyling_by_stable_diffusion_end_to_end(tmp_path, models, monkeypatch, capsys):
    import restyle_diffusers
    monkeypatch.setattr(restyle_diffusers, "load_models", lambda c: models)
    monkeypatch.setattr(restyle_diffusers, "PIXELS", 64**2)
    monkeypatch.setattr(restyle, "STRENGTHS", (0.5, 1.0))
    save(tmp_path / "photo.png", styles.draw_scene(0)[:100, :200])
    code, said = run(restyle, "photo.png", *DIFFUSERS, capsys=capsys)
    assert code == 0, said.err
    folder = tmp_path / "samples" / "restyle_diffusers"
    made = pictures_in(folder)
    pairs = [(style, kind) for style in ("a_woodcut", "joy") for kind in ("photo", "text")]
    assert {f"photo_{style}_from_{kind}.png" for style, kind in pairs} | {"scores.png", "strength.csv"} <= made.keys()
    for style, kind in pairs:
        width, height = Image.open(folder / f"photo_{style}_from_{kind}.png").size
        assert width == pytest.approx(2 * height, abs=2)
    assert len({made[f"photo_{style}_from_{kind}.png"] for style, kind in pairs}) == 4
    assert run(restyle, "photo.png", *DIFFUSERS) == 0
    assert pictures_in(folder) == made
    assert run(restyle, "photo.png", *DIFFUSERS, "SEED=1") == 0
    assert pictures_in(folder)["photo_joy_from_text.png"] != made["photo_joy_from_text.png"]


@pytest.mark.slow
def test_more_strength_takes_a_picture_further_from_the_photo(models, monkeypatch):
    import restyle_diffusers
    monkeypatch.setattr(restyle_diffusers, "PIXELS", 64**2)
    photo = Image.fromarray(styles.draw_scene(0)[:128, :128])
    c = SimpleNamespace(SAMPLE_STEPS=10, GUIDANCE=3.0, SEED=0)
    least, near, far = (np.asarray(restyle_diffusers.paint(models, photo, "a wall", c, strength)[0], float)
                        for strength in (0.1, 0.3, 1.0))  # least: almost the photo, as this autoencoder shows it
    assert 0 < np.abs(near - least).mean() < np.abs(far - least).mean()


@pytest.mark.parametrize("caption, plain", [
    ("a painting of a red house", "a red house"), ("a black and white photo of a dog", "a dog"),
    ("an oil painting of hills in the style of Monet", "hills"), ("a man with a painting", "a man with a painting"),
    ("a drawing of", "a drawing of"), ("", "a scene")])
def test_a_caption_says_nothing_of_style(caption, plain):
    import restyle_diffusers
    assert restyle_diffusers.without_style(caption) == plain


def test_a_style_ends_the_prompt_and_a_wish_has_its_own_words():
    import restyle_diffusers
    assert restyle_diffusers.prompt_of("a dog", "Banksy") == "a dog, in the style of Banksy"
    assert restyle_diffusers.prompt_of("a dog", "a panda mask") == "a dog, wearing a panda mask"


@pytest.mark.parametrize("words, says", [
    (("--backend", "paint"), "--backend is light or diffusers, not paint"), (("--backend",), "not nothing"),
    (("--backend", "diffusers", "STYLES=,"), "STYLES is empty")])
def test_backends_that_do_not_exist_and_styles_that_are_none(capsys, words, says):
    code, said = run(restyle, *words, capsys=capsys)
    assert code == 2 and says in said.err


# The window, on a screen that nobody sees


@pytest.fixture
def screen():
    """The name of a display that a program can draw on; the test is skipped where there is none."""
    for program, package in (("Xvfb", "xvfb"), ("xdotool", "xdotool")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install {package})")
    pytest.importorskip("customtkinter")
    pytest.importorskip("tkinter")
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "800x900x24"], pass_fds=[write],
                              stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(20)


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "the window did nothing"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_person_types_a_prompt_and_saves_the_picture(tmp_path, screen):
    for k, colour in enumerate([(200, 30, 30), (30, 30, 200)] * 4):
        save(tmp_path / "data" / f"{('red', 'blue')[k % 2]} wall {k}.png", np.full((64, 64, 3), colour, np.uint8))
    env = environment(DISPLAY=screen)
    window = subprocess.Popen([sys.executable, str(ROOT / "examples" / "text_to_image.py"), "--window", "data", *TEXT],
                              cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)

    def type_keys(*words):
        subprocess.run(["xdotool", *words], env=env, check=True, timeout=100)

    try:
        type_keys("search", "--sync", "--name", "Text to image", "windowfocus", "--sync")
        wait_for((tmp_path / "checkpoints" / "text_to_image.pt").exists)
        time.sleep(1)
        type_keys("type", "red wall")
        saved = tmp_path / "samples" / "text_to_image" / "red_wall.png"

        def drawn():
            type_keys("key", "Return")
            time.sleep(1)
            type_keys("key", "ctrl+s")
            time.sleep(0.3)
            return saved.exists()

        wait_for(drawn)
        assert Image.open(saved).size == (64, 64)
        seen = ImageGrab.grab(xdisplay=screen)
        seen.save(os.environ.get("SCREENSHOT", tmp_path / "window.png"))
        assert np.asarray(seen.convert("L"))[300:].mean() < 90  # dark
    finally:
        window.kill()
        assert "Traceback" not in window.communicate(timeout=20)[1]


def test_drawing_happens_off_the_window_s_thread(monkeypatch):
    text_window = pytest.importorskip("text_window")
    window, where = text_window.Window.__new__(text_window.Window), []
    window.news, window.generate = queue.Queue(), SimpleNamespace(configure=lambda **state: where.append(state))
    window.work(lambda: where.append(threading.current_thread()))
    assert window.news.get(timeout=10) == ("done", None)
    assert where[0] == {"state": "disabled"} and where[1] is not threading.main_thread()
    window.work(lambda: 1 / 0)
    kind, error = window.news.get(timeout=10)
    assert kind == "failed" and isinstance(error, ZeroDivisionError)


# Documents


@pytest.mark.parametrize("module", [sprites, pixel_art, text_to_image, restyle])
def test_every_command_names_known_constants_and_every_constant_is_explained(module, capsys):
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8") + module.__doc__
    commands = re.findall(rf"python examples/{module.__name__}\.py(.*?)(?:  |$)", text, re.M)
    assert commands
    for word in (word for command in commands for word in shlex.split(command)):
        assert "=" not in word or word.partition("=")[0] in module.main.__code__.co_varnames, word
    assert run(module, "--help") == 0
    constants = [name for name in module.main.__code__.co_varnames if name.isupper()]
    explained = re.findall(r"^  ([A-Z_]+) +\S.*?  +\S", capsys.readouterr().out, re.M)
    assert sorted(explained) == sorted(constants)
