"""The page: who may ask, what is kept, and the whole way in a real browser."""

import asyncio
import base64
import http.client
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    SCRIPT,
    TILE,
    begin_whole,
    constants_of,
    draw_pixels,
    environment,
    pixels_in,
    planned,
    tiny,
)
from PIL import Image

pytest.importorskip("nicegui")

import texture_diffusion as td
from page import app, costs, guard, names, offers, pool, projects, runs, several, shape, workers
from texture_diffusion_tools.canvases import blending
from texture_diffusion_tools.running import events, files
from texture_diffusion_tools.running.errors import DiskError, UserError
from texture_diffusion_tools.writing import growing

CONSTANTS = [word for word in tiny() if not word.startswith(("EPOCHS=", "PREVIEW_EVERY="))]
SHOTS = os.environ.get("TEXTURE_PAGE_SHOTS")  # a folder for screenshots of a run with the default constants
PHOTO = os.environ.get("TEXTURE_PAGE_PHOTO")  # and the photo for that
SIZES = {"": (1440, 900), "_phone": (390, 844)}
SLOW = 120 if PHOTO is None else 1200  # seconds that a step may take on a busy machine


# =============================================================================================
# Who may ask
# =============================================================================================


def ask(guarded, method="GET", path="/", body=b"", kind="http", **headers):
    """What a Guard answers: status, headers, body; 200 and "inside" if the page behind it was asked."""
    sent = []

    async def inside(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    guarded.app = inside
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(guarded({"type": kind, "method": method, "path": path, "headers": pairs}, receive, send))
    first = sent[0]
    return SimpleNamespace(status=first.get("status", first.get("code")), headers=dict(first.get("headers", [])),
                           body=b"".join(message.get("body", b"") for message in sent).decode())


def local(**options):
    return guard.Guard(None, ("127.0.0.1", "localhost"), **options)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9", "LOCALHOST"])
def test_this_machine_may_ask(host):
    assert ask(local(), host=host).body == "inside"
    assert ask(local(), host=host, origin=f"http://{host}").body == "inside"


@pytest.mark.parametrize("headers", [
    {"host": "evil.example"}, {"host": ""}, {"host": "127.0.0.1.evil.example"}, {"host": "evil.example:8080"},
    {"host": "localhost", "origin": "http://evil.example"}, {"host": "localhost", "origin": "null"},
    {"host": "localhost:8080", "origin": "http://localhost:81"},
    {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_hosts_names_and_other_sites_pages_may_not(headers, kind):
    answered = ask(local(), kind=kind, **headers)
    assert answered.status in (403, 1008) and "inside" not in answered.body


def test_an_upload_that_is_too_large_is_refused_before_it_is_read():
    assert ask(local(most_bytes=10), "POST", host="localhost", content_length="11").status == 413
    assert ask(local(most_bytes=10), "POST", host="localhost", content_length="10").body == "inside"


def test_an_upload_that_hides_its_size_is_cut_off():
    async def body():
        return {"type": "http.request", "body": bytes(6)}

    counted = local(most_bytes=10).counted(body)
    assert asyncio.run(counted())["type"] == "http.request"
    assert asyncio.run(counted())["type"] == "http.disconnect"


def test_other_machines_need_the_password(monkeypatch):
    monkeypatch.setattr(guard, "WRONG_WAIT", 0)
    open_ = guard.Guard(None, None, password="correct horse")
    assert ask(open_, host="studio:8080").status == 200 and "Password" in ask(open_, host="studio:8080").body
    assert ask(open_, kind="websocket", host="studio:8080").status == 1008
    assert ask(open_, "POST", "/_nicegui/upload", host="studio:8080").status == 401
    assert ask(open_, "POST", "/login", b"password=wrong", host="studio").status == 401
    answered = ask(open_, "POST", "/login", b"password=correct+horse", host="studio")
    cookie = answered.headers[b"set-cookie"].decode()
    assert answered.status == 303 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    token = cookie.partition(";")[0]
    assert ask(open_, host="studio", cookie=token).body == "inside"
    assert "inside" not in ask(open_, host="studio", cookie=token[:-1]).body


# =============================================================================================
# What is kept
# =============================================================================================


@pytest.mark.parametrize("name", [
    "../../etc/passwd.png", "..\\..\\x.png", "/etc/a.png", ".hidden.png", "..", "a\0b.png", "con\n.png", "=.png",
    "-rf.png", "x" * 300 + ".png", "%2e%2e%2f.png", "名前.png", "CON.png", "nul.tar.png"])
def test_names_of_uploads_never_leave_their_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    project = projects.Projects().add([(name if name.endswith(".png") else name + ".png", Path("sent.png"))])
    assert project.image.resolve().parent.parent == tmp_path / "uploads"
    assert project.image.is_file() and projects.is_name(project.name) and "=" not in project.name
    assert files.name_of(project.image) == project.name and files.unreserved(project.name) == project.name
    assert {path.name for path in tmp_path.iterdir()} == {"sent.png", "uploads"}


def test_what_is_uploaded_twice_is_there_once_and_another_of_the_name_gets_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = projects.Projects()
    for number in range(2):
        Image.fromarray(draw_pixels(54, 70, number)).save(f"{number}.png")
    first, again, other = (kept.add([("rock.png", Path(f"{k}.png"))]) for k in (0, 0, 1))
    assert first is again and other.name == "rock-2" and other.image.name == "rock-2.png"
    assert set(projects.Projects().all) == {"rock", "rock-2"}


def test_a_folder_that_is_not_the_page_s_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uploads" / "mine").mkdir(parents=True)
    Image.fromarray(draw_pixels(54, 70)).save("uploads/mine/mine.png")
    kept = projects.Projects()
    assert not kept.all
    assert kept.add([("mine.png", Path("uploads/mine/mine.png"))]).name == "mine-2"


def test_maps_that_are_sent_together_are_a_material(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    project = projects.Projects().add([(f"Rock_{kind}.png", Path("sent.png")) for kind in ("Color", "Normal")])
    assert project.image.is_dir() and {path.name for path in project.image.iterdir()} == {"Rock_Color.png",
                                                                                          "Rock_Normal.png"}


def test_settings_become_the_script_s_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    project = projects.Projects(["MAX_SIDE=64", "SEED=3"]).add([("rock.png", Path("sent.png"))])
    project.set(CORNERS=[[0, 1], [2, 3], [4, 5], [6, 7]], EVEN_LIGHT=True, TILEABLE="none", EPOCHS=0, strokes=[1])
    again = projects.Projects(["MAX_SIDE=64", "SEED=3"]).all["rock"]
    assert again.arguments(SEED=5) == ["uploads/rock/rock.png", "MAX_SIDE=64", "CORNERS=((0,1),(2,3),(4,5),(6,7))",
                                       "EVEN_LIGHT=True", "EPOCHS=0", "SEED=5"]


@pytest.mark.parametrize("name", shape.CARDS)
def test_what_a_card_sets_is_what_the_script_takes(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    project = projects.Projects().add([("rock.png", Path("sent.png"))])
    settings = shape.CARDS[name][1]
    project.set(**settings)
    found = constants_of(*project.arguments())
    assert {key: getattr(found, key) for key in settings} == {
        key: projects.tupled(value) for key, value in settings.items()} and set(settings) <= set(shape.SHAPE)


def test_a_texture_brings_back_the_settings_that_it_was_drawn_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    project = projects.Projects().add([("rock.png", Path("sent.png"))])
    project.set(size=[70, 54], used=[70, 54], TILEABLE="x", CROP=[0, 0, 60, 50], strokes=[1], painted=[2])
    told = told_of(project.folder, {"event": "started", "command": [], "settings": project.settings},
                   {"event": "figures", "output": "a.png", "seed": 0}, {"event": "figures", "repaired": "b.png"})
    assert [(texture.output, texture.repaired) for texture in told.textures] == [("b.png", True), ("a.png", False)]
    project.set(used=[30, 20], TILEABLE=None, CROP=None, SCALE=2, strokes=None, painted=[3])
    project.bring_back(told.textures[1].settings)
    assert project.settings == {"size": [70, 54], "used": [30, 20], "TILEABLE": "x", "CROP": [0, 0, 60, 50],
                                "strokes": [1], "painted": [2]}


@pytest.fixture
def rock(tmp_path, monkeypatch):
    """The Project of a photo, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("sent.png")
    return projects.Projects().add([("rock.png", Path("sent.png"))])


@pytest.mark.parametrize("light", [None, "even", 0, 135])
def test_what_is_said_of_a_photo_s_maps_is_what_the_script_takes(rock, light):
    rock.set(MAPS=True, LIGHT=light, DELIGHT=0.25)
    found = constants_of(*rock.arguments())
    assert (found.MAPS, found.LIGHT, found.DELIGHT) == (True, light, 0.25) and rock.has_maps()
    assert projects.Projects().all["rock"].settings == rock.settings


def excluded(project, why):
    """A Project made to be something of which no maps are estimated; returns it."""
    if why == "pixel art":
        project.set(**shape.CARDS["Pixel art"][1])
    elif why == "pixel art in every run":
        project.constants = ["PIXELS=4"]
    elif why == "several textures":
        project.set(textures=["a.png", "b.png"])
    elif why == "a material":
        project.image.unlink()
        (project.folder / project.name).mkdir()
    else:
        project.set(MAPS=None)
    return project


@pytest.mark.parametrize("why", ["pixel art", "pixel art in every run", "several textures", "a material", "off"])
def test_where_no_maps_are_estimated_the_script_is_told_nothing_of_them(rock, why):
    rock.set(MAPS=True, LIGHT=90, DELIGHT=0.5, SCALE=1)
    kept = excluded(rock, why)
    assert not any(word.startswith(projects.ESTIMATED_BY) for word in kept.arguments())
    assert not kept.has_maps() and not kept.is_maps_alone() and kept.takes_maps() == (why == "off")
    constants_of(*kept.arguments())
    assert kept.settings["LIGHT"] == 90  # for when they are again


@pytest.mark.parametrize("more", [{}, {"TILEABLE": "xy"}, {"OUTPUT_SIZE": [90, 90]}, {"WANG": 2}, {"MASK": "mask.png"},
                                  {"SCALE": 2}])
def test_the_page_knows_as_the_script_does_when_maps_are_all(rock, more):
    from texture_diffusion_tools.reading import estimates
    rock.set(**{"MAPS": True, "SCALE": 1, **more})
    assert rock.is_maps_alone() == estimates.alone(constants_of(*rock.arguments())) == (not more)


def test_a_model_that_learned_a_photo_without_maps_starts_anew_for_them(rock, monkeypatch):
    monkeypatch.setattr(runs, "start", lambda arguments, *rest: started.append(arguments))
    started = []
    rock.start(EPOCHS=1)
    rock.model.parent.mkdir()
    rock.model.touch()
    rock.set(MAPS=True, SCALE=1)
    rock.start(EPOCHS=1)  # the photo's maps alone, without the model
    rock.set(SCALE=None)
    with pytest.raises(UserError, match="starts anew"):
        rock.start(EPOCHS=0)
    rock.start(EPOCHS=1)
    rock.start(EPOCHS=0)
    assert ["FRESH=True" in arguments for arguments in started] == [False, False, True, False]


def told_of(tmp_path, *lines):
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps({"time": 0, **line}) + "\n" for line in lines) + '{"event": "ha')
    told = runs.Told(path)
    told.read()
    return told


def test_a_run_that_was_killed_is_known_to_be_over(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    told = told_of(tmp_path, {"event": "started", "command": []},
                   {"event": "process", "number": process.pid, "created": 0})
    assert not told.is_running() and told.outcome()[0] is None and "log.txt" in told.outcome()[1]


def test_another_process_with_the_number_of_a_run_is_not_taken_for_it(tmp_path):
    told = told_of(tmp_path, {"event": "started", "command": []},
                   {"event": "process", "number": os.getpid(), "created": 1})
    assert not told.is_running()


RUN = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from texture_diffusion_tools.running import events, exit_codes
def main():
    print('石.png', flush=True)
    events.tell("said", text="here")
    for _ in range(3000):
        time.sleep(0.01)
sys.exit(exit_codes.run(main))
"""


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Starts a script as runs start the tool: run_of() -> its process, once it is at work; and what it told."""
    monkeypatch.setattr(runs, "SCRIPT", tmp_path / "tool.py")
    runs.SCRIPT.write_text(RUN, encoding="utf-8")
    told = runs.Told(tmp_path / "events.jsonl")

    def start():
        process, end = runs.start([], told.path, tmp_path / "log.txt"), time.monotonic() + 30
        while "here" not in told.said and time.monotonic() < end:
            told.read()
            time.sleep(0.01)
        return process, told

    return start


@pytest.mark.skipif(os.name == "nt", reason="for Windows' ways on another system")
def test_on_windows_a_file_stops_a_run_and_no_signal_does(run_of, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WINDOWS", True)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0, raising=False)
    (tmp_path / "stop").touch()  # an earlier run ended before it saw that
    process, told = run_of()
    assert process.poll() is None and told.is_running()
    monkeypatch.setattr(os, "kill", lambda *args: pytest.fail("ends a process on Windows"))
    runs.stop(process.pid, told.path)
    monkeypatch.undo()
    assert process.wait(20) == 143
    told.read()
    assert told.outcome() == (143, "stopped")


@pytest.mark.parametrize("refusal", [PermissionError, ProcessLookupError])
def test_a_signal_that_cannot_be_sent_leaves_a_file(tmp_path, monkeypatch, refusal):
    def refused(number, kind):
        raise refusal(1, "not permitted")

    monkeypatch.setattr(os, "kill", refused)
    runs.stop(4711, tmp_path / "events.jsonl")
    assert (tmp_path / "stop").exists()


def test_the_log_of_a_run_is_utf_8_whatever_the_system_s_letters_are(run_of, tmp_path, monkeypatch):
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    process, told = run_of()
    process.kill()
    process.wait()
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "石.png\n"


class Sockets:
    """In place of socket.socket on Windows: only with SO_EXCLUSIVEADDRUSE a port that is taken is refused."""

    def __init__(self, *kind):
        self.exclusive = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def setsockopt(self, level, option, value):
        self.exclusive = option == socket.SO_EXCLUSIVEADDRUSE

    def bind(self, address):
        if self.exclusive and address[1] == app.PORT:
            raise PermissionError(10013, "forbidden")


def test_a_port_that_is_taken_is_not_taken_again_on_windows(monkeypatch):
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    monkeypatch.setattr(socket, "socket", Sockets)
    assert app.free_port("127.0.0.1", 0) == app.PORT + 1
    with pytest.raises(UserError, match="8080, cannot be had"):
        app.free_port("127.0.0.1", app.PORT)


def test_half_a_line_is_read_when_it_is_whole(tmp_path):
    told = told_of(tmp_path, {"event": "started", "command": []})
    with open(told.path, "a") as file:
        file.write('lf", "time": 1}\n' + json.dumps({"event": "said", "time": 0, "text": "hello"}) + "\n")
    told.read()
    assert told.said == ["hello"]


def test_what_the_script_tells_is_what_it_did(tmp_path, tool, monkeypatch):
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(events.EVENTS, str(path))
    result = tool("photo.png", *tiny())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert result.code == 0 and lines[-1] == {**lines[-1], "event": "ended", "code": 0, "text": ""}
    steps = [line for line in lines if line["event"] == "progress"]
    assert {line["what"] for line in steps} == {"training", "drawing"} and steps[-1]["done"] == steps[-1]["total"]
    texture, tiles = ({line["event"]: line for line in lines}[name] for name in ("figures", "tiles"))
    assert Path(tmp_path / texture["output"]).is_file() and f"seed: {texture['seed']}" in result.out
    assert {line["path"] for line in lines if line["event"] == "file"} >= {texture["output"]}
    drawn = np.array([list(map(int, row)) for row in tiles["drawn"]])
    assert costs.told([line["text"] for line in lines if line["event"] == "said"], 2) is not None
    assert (pixels_in(tmp_path / growing.NAME) == pixels_in(texture["output"])).all()
    assert drawn.shape == tuple(map(len, tiles["lines"])) and (drawn == np.indices(drawn.shape).sum(0) % 2).all()


def test_an_error_is_told_with_its_sentence_and_code(tmp_path, tool, monkeypatch):
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(events.EVENTS, str(path))
    result = tool("missing.png")
    ended = json.loads(path.read_text().splitlines()[-1])
    assert result.code == ended["code"] == 2 and result.err.strip().endswith(ended["text"]) and ended["text"]


SAID = ["note: hello", "expected: training 50 s, drawing 2.0 min for 2 x 1000 x 500 pixels, memory 1.0 GB"]


def test_costs_are_what_a_run_says_for_any_length_and_size():
    found = costs.told(SAID, 5)
    assert found == (10, 120) and costs.told(SAID[:1], 5) is None and costs.told(SAID, 0) is None
    assert found.says(3, (2000, 1000)) == "about 4 min: 30 s of training, 4 min of drawing"
    assert found.says(0, (500, 500)) == "about 30 s of drawing"


@pytest.mark.slow
def test_costs_are_measured_by_a_run_that_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_pixels(54, 70)).save("photo.png")
    found = asyncio.run(costs.measured(["photo.png", *CONSTANTS]))
    assert found is not None and found.megapixel >= 0  # of so small a texture in whole seconds, mostly 0
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"] and not multiprocessing.active_children()


def test_what_grows_shows_real_tiles_then_sketches_then_what_is_drawn(tmp_path, photo, monkeypatch):
    monkeypatch.setenv(events.EVENTS, str(tmp_path / "events.jsonl"))
    monkeypatch.setattr(growing, "OFTEN", 0)
    layout = planned(photo, "matched")
    canvas, size = td.Canvas(layout, layout.channels(), "cpu", begin_whole(layout)), layout.grid.size
    cell, red = layout.passes[0][0], torch.zeros(3, TILE, TILE)
    y, x = dict(layout.grid.touching((0, 0), size))[cell]
    here = np.s_[y:y + TILE, x:x + TILE]

    def seen():
        events.tell("progress", done=1, total=9)
        return pixels_in(tmp_path / growing.NAME)

    with growing.shown(canvas, (0, 0), size, photo.pixels):
        whole = canvas.cut((0, 0), size)
        real = ~layout.made().repeat(TILE, 0).repeat(TILE, 1)[:size[0], :size[1]]
        assert (seen()[real] == photo.pixels(whole)[real]).all() and (seen()[here] == 128).all()
        sketch, _ = canvas.sketch(cell)
        assert (seen()[here] == photo.pixels(sketch)).all()
        canvas.place([cell], red[None])
        assert (seen()[here] == photo.pixels(red)).all()
    assert not events.HEARD


def test_a_pyramid_holds_each_pixel(tmp_path):
    pixels = draw_pixels(300, 530)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    width, height, zoom = workers.pyramid(tmp_path / "t.png", str(tmp_path / "tiles"))
    assert (width, height, zoom) == (530, 300, 2)
    whole = np.concatenate([np.concatenate([np.asarray(Image.open(tmp_path / f"tiles/{zoom}/{y}/{x}.png"))
                                            for x in range(3)], 1) for y in range(2)])
    assert (whole[:300, :530, :3] == pixels).all() and (whole[:300, :530, 3] == 255).all()
    assert not whole[300:, :, 3].any() and not whole[:, 530:, 3].any()
    assert workers.pyramid(tmp_path / "t.png", str(tmp_path / "twice"), 2)[:2] == (1060, 600)


def half_made(tmp_path):
    """A folder that was just written."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "0.png").touch()
    return str(tmp_path / "half")


def test_a_fresh_folder_that_a_scanner_has_open_is_waited_for(tmp_path, monkeypatch):
    replace, attempts = os.replace, []

    def busy(*paths):
        attempts.append(paths)
        if len(attempts) < 3:
            raise PermissionError(13, "Permission denied")
        replace(*paths)

    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, busy)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    workers.put_in_place(half_made(tmp_path), str(tmp_path / "tiles"))
    assert (tmp_path / "tiles" / "0.png").exists() and not (tmp_path / "half").exists()


def test_of_two_windows_the_first_one_s_folder_stays_and_one_that_cannot_be_had_is_named(tmp_path, monkeypatch):
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "first.png").touch()
    workers.put_in_place(half_made(tmp_path), str(tmp_path / "tiles"))
    assert [path.name for path in tmp_path.rglob("*.png")] == ["first.png"]
    shutil.rmtree(tmp_path / "tiles")

    def refused(*paths):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(DiskError, match="tiles cannot be written: Permission denied"):
        workers.put_in_place(half_made(tmp_path), str(tmp_path / "tiles"))
    assert not list(tmp_path.iterdir())


def test_a_photo_is_read_without_torch_as_the_script_reads_it(tmp_path):
    Image.fromarray(draw_pixels(54, 70)).save(tmp_path / "p.png")
    code = ("import sys; from page import app, workers; "
            "print(workers.look_at('p.png', 'l.png'), "
            "workers.prepare('p.png', {'CROP': [4, 2, 60, 50], 'EVEN_LIGHT': True}, 40, 's.png'), "
            "[name for name in ('torch', 'matplotlib') if name in sys.modules], sep='|')")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                            env=surroundings(PYTHONPATH=str(ROOT)))
    looked, prepared, imported = result.stdout.strip().split("|")
    assert looked.startswith("((70, 54)") and imported == "[]", result.stderr
    photo = td.load_photo(tmp_path / "p.png", (4, 2, 60, 50), 40, True)
    assert prepared == str(((40, 33), None, list(photo.notes)))
    assert (np.asarray(Image.open(tmp_path / "s.png")) == photo.pixels(photo.x)).all()


def test_a_photo_of_one_colour_is_refused_before_it_is_kept(tmp_path):
    Image.new("RGB", (90, 80), "red").save(tmp_path / "p.png")
    found, sentence = pool.guarded(workers.look_at, str(tmp_path / "p.png"), str(tmp_path / "shown.png"))
    assert found is None and "single colour" in sentence


@pytest.fixture
def drawn_rock(tmp_path):
    """A material's folder, and the same files as if they were drawn of it."""
    for folder in ("rock", "drawn"):
        (tmp_path / folder).mkdir()
        for seed, kind in enumerate(("Color", "NormalDX", "Roughness")):
            pixels = draw_pixels(40, 40, seed)
            if kind == "NormalDX":  # nearly flat
                pixels = np.uint8((117, 117, 240)) + pixels // 12
            Image.fromarray(pixels).save(tmp_path / folder / f"Rock_{kind}.png")
    return tmp_path / "rock", tmp_path / "drawn"


@pytest.mark.parametrize("kind", workers.EXPORTS)
def test_a_drawn_material_is_had_for_other_programs(tmp_path, drawn_rock, kind):
    image, output = drawn_rock
    found = Path(workers.exported(str(image), str(output), kind, str(tmp_path / "export")))
    colour = (output / "Rock_Color.png").read_bytes()
    if found.suffix == ".zip":
        with zipfile.ZipFile(found) as file:
            names, text = set(file.namelist()), file.read(f"rock.{kind.lower()}").decode()
            assert file.read("Rock_Color.png") == colour
        assert {"Rock_NormalDX.png", "Rock_NormalGL.png", "Rock_Roughness.png"} < names and len(names) == 5
        assert all(name in text for name in ("Rock_Color.png", "Rock_NormalGL.png", "Rock_Roughness.png"))
    else:
        assert found.name == f"rock.{kind.lower()}" and colour in found.read_bytes()


@pytest.mark.parametrize("kind", ["GLB", "MTLX"])
def test_maps_that_were_estimated_are_had_for_other_programs_and_lit(tmp_path, tool, kind):
    """By the network that comes with the tool."""
    result = tool("photo.png", *tiny(SCALE=1, MAPS=True, EPOCHS=0))
    output = tmp_path / "samples/photo/maps"
    assert result.code == 0, result.err
    found = Path(workers.exported("photo.png", str(output), kind, str(tmp_path / "export")))
    if kind == "GLB":
        assert (output / "photo_Color.png").read_bytes() in found.read_bytes()
    else:
        with zipfile.ZipFile(found) as file:
            assert set(file.namelist()) > {path.name for path in output.iterdir()}
    lit = workers.lit("photo.png", str(output), str(tmp_path / "lit"))
    assert lit["kinds"][:5] == ["colour", "height", "normal", "roughness", "occlusion"] and not lit["down"]
    shown = pixels_in(tmp_path / "lit" / "normal.png")
    assert (shown == pixels_in(output / "photo_NormalGL.png")).all()


@pytest.mark.parametrize("name", ["rock", "colosseum", "diffuse_color"])
def test_what_is_seen_of_a_material_is_its_colour_whatever_the_photo_is_called(tmp_path, name):
    for kind in ("AmbientOcclusion", "Color", "Displacement", "NormalGL", "Roughness"):
        (tmp_path / f"{name}_{kind}.png").touch()
    assert names.picture_of(SimpleNamespace(output=str(tmp_path))).name == f"{name}_Color.png"


def test_a_drawn_photo_with_16_bits_is_a_material_with_8_in_a_glb(tmp_path):
    from texture_diffusion_tools.writing import png
    png.save_png(tmp_path / "out.png", np.full((20, 30, 3), 40 * 257, np.uint16))
    found = Path(workers.exported("p.png", str(tmp_path / "out.png"), "GLB", str(tmp_path / "export"))).read_bytes()
    file = found[found.index(b"\x89PNG"):]
    picture = Image.open(io.BytesIO(file))
    assert file[24] == 8  # bits a channel
    assert picture.size == (30, 20) and picture.getpixel((0, 0)) == (40, 40, 40)


def test_a_drawn_material_is_had_as_a_pattern_of_its_colour(tmp_path, drawn_rock):
    image, output = drawn_rock
    found = Path(workers.exported(str(image), str(output), workers.PATTERN, str(tmp_path / "export")))
    content, pixels = found.read_bytes(), pixels_in(output / "Rock_Color.png")
    assert found.name == "rock.pat" and content[20:24] == b"GPAT" and content.endswith(pixels.tobytes())


@pytest.mark.parametrize("name, more", [
    ("3x3_tileable_xy", (workers.PATTERN,)), ("1024x1024_tileable_xy_seed2.2", (workers.PATTERN,)),
    ("3x3_tileable_x", ()), ("3x3", ())])
def test_a_pattern_is_offered_of_what_is_seamless_alone(name, more):
    texture = SimpleNamespace(output=f"samples/a/output_texture_{name}.png", repaired=False)
    assert offers.kinds_of(texture) == (tuple(workers.FORMATS), workers.EXPORTS + more)


@pytest.mark.parametrize("material", [False, True], ids=["photo", "material"])
def test_wang_tiles_are_taken_with_all_that_is_told_of_them(tmp_path, monkeypatch, material):
    monkeypatch.chdir(tmp_path)
    name, others = "output_texture_wang_seed1", (".json", ".tsx", ".glsl", ".gdshader", "_laid.png")
    maps = [f"{name}/Color.png", f"{name}/Height.png"] if material else [f"{name}.png"]
    wanted = {*maps, *(name + end for end in others)}
    told = {}
    for file in (*wanted, f"{name}.toml", "layout_wang_seed1.png", "output_texture_wang.png"):
        told[file] = str(Path("samples") / file)
        Path(told[file]).parent.mkdir(parents=True, exist_ok=True)
        Path(told[file]).write_text(file)
    output = f"samples/{name}" + ".png" * (not material)
    texture = SimpleNamespace(output=output, repaired=False, files=told)

    assert offers.kinds_of(texture)[1] == (offers.ALL_TILES,)
    found = workers.zipped_tiles(offers.files_of(texture), "samples", "tiles.zip")
    with zipfile.ZipFile(found) as file:
        assert {path: file.read(path).decode() for path in file.namelist()} == {path: path for path in wanted}


def test_several_textures_are_painted_at_the_size_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        Image.fromarray(draw_pixels(54, 70, number)).save(f"{number}.png")
    project = projects.Projects().add([(f"{name}.png", Path(f"{k}.png")) for k, name in enumerate(("a", "b", "c"))])
    found = workers.textures_in(str(project.image), str(project.view("texture{}.png")))
    assert [size for _, *size in found] == [[70, 54]] * 3 and project.view("texture2.png").exists()
    project.set(textures=[path for path, *_ in found], used=[70, 54])
    several.paint(project, [[0.1, [[0.5, 0.5], [0.9, 0.5]], 1], [0.1, [[0.1, 0.9]], 2]])
    project.set(OUTPUT_SIZE=[100, 80])
    several.fit(project)

    shares, size = blending.read_map(project.settings["BLEND"], 3, None, 16)
    assert size == (100, 80) and [shares[:, y, x].argmax() for y, x in ((10, 10), (40, 70), (72, 10))] == [0, 1, 2]
    assert constants_of(*project.arguments()).IMAGE == tuple(project.textures)
    assert project.model == Path("checkpoints/a+b+c.pt")
    several.paint(project, [])
    assert "BLEND" not in project.settings and "painted" not in project.settings


def test_the_maps_of_a_material_are_not_several_textures(drawn_rock, tmp_path):
    assert workers.textures_in(str(drawn_rock[0]), str(tmp_path / "{}.png")) == []


def test_a_mask_is_white_where_it_was_painted(tmp_path):
    workers.paint_mask((100, 80), 2.0, [[10, [[5, 5], [30, 5]]]], tmp_path / "mask.png")
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    assert mask.shape == (80, 100) and mask[10, 2:60].all() and not mask[30].any() and not mask[:, 80:].any()


# =============================================================================================
# The whole way, in a browser
# =============================================================================================


def surroundings(**extra):
    """environment() of a page, which must not take itself for a test of NiceGUI's."""
    return {name: value for name, value in environment(**extra).items() if not name.startswith("PYTEST")}


class Served:
    """page.py as a process of its own."""

    def __init__(self, folder, constants=CONSTANTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.constants = folder, constants
        self.start()

    def start(self):
        command = [sys.executable, ROOT / "page.py", "--no-browser", "--port", str(self.port), *self.constants]
        self.process = subprocess.Popen(command, cwd=self.folder, env=surroundings(), stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline().strip()

    def get(self, path, **headers):
        """(status, body) of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=headers)
        answered = connection.getresponse()
        return answered.status, answered.read()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(30)


@pytest.fixture
def served(request, tmp_path):
    page = Served(tmp_path, getattr(request, "param", CONSTANTS if PHOTO is None else []))
    yield page
    page.end()


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "enable-unsafe-swiftshader", "hide-scrollbars"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(service=webdriver.chrome.service.Service(chromedriver), options=options)
    yield found
    found.quit()


class Window:
    """A window of the browser with the page in it."""

    def __init__(self, driver, page, downloads):
        self.driver, self.page, self.downloads, self.clicks = driver, page, downloads, 0
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        self.resize(*SIZES[""])
        self.open()

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def open(self):
        start = time.monotonic()
        self.driver.get(f"http://127.0.0.1:{self.page.port}/")
        self.wait(lambda: self.all(".steps .q-tab"))
        return time.monotonic() - start

    def all(self, selector, text=None):
        found = self.driver.find_elements("css selector", selector)
        return [element for element in found if text is None or element.text.strip() == text]

    def wait(self, condition, seconds=SLOW):
        """Wait until a condition holds; returns what it gave."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = condition()
                if found:
                    return found
            except Exception as error:  # elements come and go
                found = error
            assert time.monotonic() < end, (found, self.driver.find_element("css selector", "body").text)
            time.sleep(0.05)

    def click(self, text, selector="button, .q-toggle, .q-tab"):
        def there():
            shown = [element for element in self.all(selector) if element.is_displayed() and text in element.text]
            shown[0].click()
            return True

        self.wait(there)
        self.clicks += 1

    def press(self, selector):
        """Click the first that a selector finds and that is shown."""
        def there():
            next(element for element in self.all(selector) if element.is_displayed()).click()
            return True

        self.wait(there)
        self.clicks += 1

    def progress(self):
        """What a run is doing, in words."""
        return next(element.text for element in self.all(".stage [role=status]") if element.is_displayed())

    def shows(self, text, seconds=SLOW):
        return self.wait(lambda: text in self.driver.find_element("css selector", "body").text, seconds)

    def command(self, text):
        """The last command that is shown, once it holds a text."""
        def shown():
            last = [part.text for part in self.all(".command") if part.is_displayed()][-1]
            return last if text in last else None

        return self.wait(shown)

    def give(self, selector, *paths):
        """Give files to the first that a selector finds."""
        def there():
            self.all(selector)[0].send_keys("\n".join(map(str, paths)))
            return True

        self.wait(there)

    def upload(self, *paths):
        """Choose files, which begins with a click."""
        self.clicks += 1
        self.give(".drop input[type=file]", *paths)

    def drag(self, element, begin, end):
        """Drag with the mouse from one place of an element to another, shares of its sides."""
        from selenium.webdriver import ActionChains
        script = "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
        box, chain = self.driver.execute_script(script, element), ActionChains(self.driver)
        places = [[box[k] + (begin[k] + (end[k] - begin[k]) * step / 4) * box[k + 2] for k in (0, 1)]
                  for step in range(5)]
        pointer = chain.w3c_actions.pointer_action
        pointer.move_to_location(*map(int, places[0])).pointer_down()
        for place in places[1:]:
            pointer.move_to_location(*map(int, place))
        pointer.pointer_up()
        chain.perform()

    def shot(self, name):
        """Screenshots at both sizes, if they are asked for."""
        for end, size in SIZES.items() if SHOTS else ():
            self.resize(*size)
            time.sleep(2)
            self.driver.save_screenshot(f"{SHOTS}/page_{name}{end}.png")
        if SHOTS:
            self.resize(*SIZES[""])

    def colour_of(self, selector, name="background-color"):
        """A colour of the first element, as it is seen: [red, green, blue], 0 to 255."""
        found = self.driver.execute_script("return getComputedStyle(document.querySelector(arguments[0]))"
                                           ".getPropertyValue(arguments[1])", selector, name)
        return [float(number) for number in re.findall(r"[\d.]+", found)[:3]]

    def contrast(self, selector):
        """The contrast of an element's text with the page's ground (WCAG 2: 4.5 or more can be read)."""
        lights = []
        for colour in (self.colour_of(selector, "color"), self.colour_of("body")):
            linear = [(value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4)
                      for value in colour]
            lights.append(np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05)
        return max(lights) / min(lights)

    def picture_of(self, selector):
        """The pixels of a canvas, float [H, W, 3]."""
        script = "return document.querySelector(arguments[0]).toDataURL('image/png')"
        found = self.driver.execute_script(script, selector)
        picture = Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2])))
        return np.asarray(picture.convert("RGB")).astype(float)

    def settled(self, selector):
        """The same, once it has been so for a moment."""
        def same():
            one, _, other = self.picture_of(selector), time.sleep(0.3), self.picture_of(selector)
            return one if one.shape == other.shape and (one == other).all() else None

        end = time.monotonic() + SLOW
        while (found := same()) is None:
            assert time.monotonic() < end
        return found

    def press_key(self, selector, key):
        """Press a key on an element."""
        self.driver.execute_script("document.querySelector(arguments[0]).dispatchEvent(new KeyboardEvent('keydown', "
                                   "{key: arguments[1], bubbles: true}))", selector, key)

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def window(driver, served, tmp_path):
    driver.get("about:blank")
    driver.get_log("browser")
    (tmp_path / "downloads").mkdir()
    return Window(driver, served, tmp_path / "downloads")


@pytest.fixture
def stone(tmp_path):
    path = tmp_path / "stone.png"
    Image.fromarray(draw_pixels(54, 70)).save(path)
    return path if PHOTO is None else Path(PHOTO)


def settings_of(served, name):
    return json.loads((served.folder / "uploads" / name / "settings.json").read_text())


def test_four_clicks_from_a_photo_to_a_downloaded_seamless_texture_and_on(window, served, stone):
    assert window.open() < SLOW and served.line == f"the page is at http://127.0.0.1:{served.port}"
    window.shot("start")
    window.upload(stone)
    window.shows("used:")
    window.click("Seamless", ".card")
    window.wait(lambda: settings_of(served, stone.stem)["TILEABLE"] == "xy")
    window.shot("photo")
    window.click("Draw it")
    window.wait(lambda: (served.folder / "uploads" / stone.stem / "growing.png").exists())
    if SHOTS:
        window.shows("as it grows")
    seconds = [timed(served.get, "/") for _ in range(5)]
    assert sorted(seconds)[2] < 2  # this machine may be busy with other tests
    window.shot("draw")
    window.shows("Done.")
    window.shot("done")
    window.press("button[aria-label='download 3x3_tileable_xy as PNG']")
    drawn = served.folder / "samples" / stone.stem / "output_texture_3x3_tileable_xy.png"
    taken = window.downloads / f"{stone.stem}_3x3_tileable_xy.png"
    window.wait(lambda: taken.exists() and taken.read_bytes() == drawn.read_bytes())
    assert window.clicks == 4

    window.press("button[aria-label='download 3x3_tileable_xy as GLB']")
    taken = window.downloads / f"{stone.stem}_3x3_tileable_xy.glb"
    window.wait(lambda: taken.exists() and drawn.read_bytes() in taken.read_bytes())

    window.press("button[aria-label='download 3x3_tileable_xy as PAT']")
    taken = window.downloads / f"{stone.stem}_3x3_tileable_xy.pat"
    window.wait(lambda: taken.exists() and taken.read_bytes().endswith(pixels_in(drawn).tobytes()))

    window.click("Look", ".q-tab")
    window.wait(lambda: len(window.all(".leaflet-tile-loaded")) >= 1)
    window.shot("look")
    in_colour = window.colour_of("body")
    window.press("button[aria-label='light or dark']")
    window.wait(lambda: sum(window.colour_of("body")) < 150 < sum(in_colour))
    window.wait(lambda: min(map(window.contrast, (".side .quiet", ".steps .q-tab", ".brand", ".q-btn--outline"))) > 4.5)
    window.shot("dark")
    window.press("button[aria-label='light or dark']")
    window.wait(lambda: window.colour_of("body") == in_colour)
    window.click("Turned in the light", ".q-toggle")
    window.wait(lambda: window.all(".turned[data-loaded$='.glb']"))
    window.shot("turned")
    before = window.settled(".turned canvas")
    window.press_key(".turned", "ArrowLeft")
    after = window.picture_of(".turned canvas")
    assert np.abs(after - before).max() > 50 and after.std() > 5
    window.click("Turned in the light", ".q-toggle")
    window.click("Which pixels", ".q-toggle")
    window.wait(lambda: window.all("img.overlay"))
    window.shot("tiles")
    before = window.wait(lambda: {tile.get_attribute("src") for tile in window.all(".leaflet-tile-loaded")})

    def closer():
        window.all(".leaflet-control-zoom-in")[-1].click()  # half a zoom
        time.sleep(0.5)
        return {tile.get_attribute("src") for tile in window.all(".leaflet-tile-loaded")} - before or \
            window.all(".map.pixels")

    window.wait(closer)

    window.click("Photo", ".q-tab")
    window.click("Corners")
    photo = window.wait(lambda: window.all(".editor img"))[0]
    window.drag(photo, (0.12, 0.12), (0.02, 0.03))
    window.drag(photo, (0.88, 0.88), (0.97, 0.98))
    wanted = np.array([(0.02, 0.03), (0.97, 0.98)]) * Image.open(stone).size
    window.wait(lambda: np.abs(np.array(settings_of(served, stone.stem)["CORNERS"])[[0, 2]] - wanted).max()
                < 0.04 * wanted.max())
    window.shows("CORNERS: ")  # the script's note
    window.shot("corners")
    window.click("Larger", ".card")
    window.wait(lambda: "TILEABLE" not in settings_of(served, stone.stem))

    window.click("Take", ".q-tab")  # the texture remembers its settings
    window.shot("take")
    window.press("button[aria-label='settings of 3x3_tileable_xy again']")
    window.wait(lambda: settings_of(served, stone.stem).get("TILEABLE") == "xy"
                and "CORNERS" not in settings_of(served, stone.stem))

    window.click("Look", ".q-tab")
    window.click("Another seed")
    events_file = served.folder / "uploads" / stone.stem / "events.jsonl"
    window.wait(lambda: events_file.read_text().count('"process"') == 2)
    window.open()  # the page is closed and opened: the work goes on
    window.click("Look", ".q-tab")
    window.wait(lambda: len(window.all(".thumb")) == 2, 2 * SLOW)
    window.shot("seeds")
    window.click("Take", ".q-tab")
    window.press("button[aria-label='download 3x3_tileable_xy_seed1 as JPEG']")
    taken = window.downloads / f"{stone.stem}_3x3_tileable_xy_seed1.jpg"
    window.wait(lambda: taken.exists() and Image.open(taken).size == Image.open(drawn).size)
    assert window.command(f"uploads/{stone.stem}/{stone.name}")
    assert not window.errors()


@pytest.mark.slow
@pytest.mark.parametrize("served", [[*tiny(TILE_SIZE=32)]], indirect=True)
def test_a_photo_becomes_wang_tiles_in_a_zip(window, served, tmp_path):
    Image.fromarray(draw_pixels(100, 110)).save(tmp_path / "stone.png")
    window.upload(tmp_path / "stone.png")
    window.shows("used:")
    window.shows("Repeats without a seam")
    window.click("Wang tiles", ".card")
    window.wait(lambda: settings_of(served, "stone").get("WANG") == 2)
    window.wait(lambda: "Repeats without a seam" not in window.driver.find_element("css selector", "body").text)
    window.shot("wang")
    window.click("Draw it")
    window.shows("Done.")
    window.shot("wang_done")
    window.click("Take", ".q-tab")
    window.shot("wang_take")
    button = f"button[aria-label='download wang as {offers.ALL_TILES}']"
    window.press(button)
    taken, stem = window.downloads / "stone_wang_tiles.zip", "output_texture_wang"
    window.wait(taken.exists)
    with zipfile.ZipFile(taken) as file:
        assert set(file.namelist()) == {stem + end for end in offers.OF_TILES}
        assert f'source="{stem}.png"' in file.read(f"{stem}.tsx").decode()
    assert window.command("WANG=2") and not window.errors()


@pytest.mark.slow
@pytest.mark.parametrize("served", [[*tiny(TILE_SIZE=16)]], indirect=True)
def test_photos_are_drawn_each_and_in_one_picture_by_a_map_that_is_painted(window, served, tmp_path):
    for seed, name in enumerate(("clay", "moss", "stone")):
        Image.fromarray(draw_pixels(54, 70, seed)).save(tmp_path / f"{name}.png")
    window.upload(*(tmp_path / f"{name}.png" for name in ("clay", "moss", "stone")))
    window.shows("used:")
    folder = next((served.folder / "uploads").iterdir())
    assert [Path(path).stem for path in settings_of(served, folder.name)["textures"]] == ["clay", "moss", "stone"]
    window.click("Draw it")
    window.shows("Done.")
    drawn = [path for path in served.folder.glob("samples/*/output_texture_*.png")]
    assert {path.stem for path in drawn} == {f"output_texture_3x3_{name}" for name in ("clay", "moss", "stone")}
    window.shot("several_done")

    window.click("Photo", ".q-tab")
    window.click("Paint a map")
    window.press("button[aria-label='paint stone.png']")
    window.wait(lambda: window.all("button[aria-label='paint stone.png'][aria-pressed=true]"))
    photo = window.wait(lambda: window.all(".editor img"))[0]
    window.drag(photo, (0.6, 0.5), (0.95, 0.5))
    window.wait(lambda: settings_of(served, folder.name).get("BLEND"))
    window.shot("several")
    painted = np.asarray(Image.open(folder / "map.png"))
    assert painted.shape == (162, 210) and set(np.unique(painted)) == {0, 255}
    assert painted[81, 160] == 255 and not painted[81, :100].any() and not painted[:40].any()
    window.click("Draw it")
    window.wait(lambda: list(served.folder.glob("samples/*/output_texture_*blend_map.png")))
    window.shows("Done.")
    window.shot("several_blend")
    window.click("Take", ".q-tab")
    command = window.command("BLEND=")
    assert f'\'IMAGE=("uploads/{folder.name}/{folder.name}/clay.png",' in command and not window.errors()


def told_drawn(served, output):
    """Write down for the page that a photo called rock was drawn to a path."""
    lines = [{"event": "started", "command": []}, {"event": "process", "number": 0, "created": 0},
             {"event": "figures", "output": str(output), "seed": 0, "size": "40 x 40"},
             {"event": "ended", "code": 0, "text": ""}]
    folder = served.folder / "uploads" / "rock"
    (folder / "events.jsonl").write_text("".join(json.dumps({"time": 0, **line}) + "\n" for line in lines))
    (folder / "settings.json").write_text("{}")


@pytest.mark.slow
def test_a_material_is_lit_and_masked_and_follows_a_guide(window, served, drawn_rock):
    """Its maps are drawn already."""
    image, output = drawn_rock
    served.end()
    shutil.copytree(image, served.folder / "uploads" / "rock" / "rock")
    told_drawn(served, output)
    served.start()
    window.open()
    window.errors()  # of the while that the page was away
    window.wait(lambda: window.all(".leaflet-tile-loaded"))
    window.click("Under a light", ".q-toggle")
    lit = ".lit:not(.turned)"
    window.wait(lambda: window.all(lit)[0].is_displayed())
    window.wait(lambda: np.ptp(window.picture_of(f"{lit} canvas"), 2).max() > 50, 2 * SLOW)  # in colour: maps are there
    window.shot("lit")
    before = window.settled(f"{lit} canvas")
    for _ in range(7):
        window.press_key(lit, "ArrowLeft")
    after = window.picture_of(f"{lit} canvas")
    assert np.abs(after - before).max() > 30
    half = after.shape[1] // 4  # of the plane on the left, to whose left the light was not
    gain = (after - before)[:, :2 * half]
    assert gain[:, :half].mean() > max(1, gain[:, half:].mean())

    window.click("Photo", ".q-tab")
    window.click("Mask")
    photo = window.wait(lambda: window.all(".editor img"))[0]
    window.drag(photo, (0.4, 0.4), (0.6, 0.6))
    window.wait(lambda: settings_of(served, "rock").get("MASK"), 2 * SLOW)
    mask = np.asarray(Image.open(served.folder / "uploads" / "rock" / "mask.png"))
    assert mask.shape == (40, 40) and mask[20, 20] and not mask[4, 4]

    window.click("Follow another picture", ".q-item")
    guide = drawn_rock[0] / "Rock_Roughness.png"
    window.give(".guide input[type=file]", guide)
    kept = Path(window.wait(lambda: settings_of(served, "rock").get("GUIDE")))
    assert (served.folder / kept).read_bytes() == guide.read_bytes()
    window.shot("material")
    window.click("Without it")
    window.wait(lambda: "GUIDE" not in settings_of(served, "rock"))
    assert not window.errors()


@pytest.mark.slow
def test_a_photo_s_maps_are_estimated_drawn_and_seen_in_light(window, served, stone):
    window.upload(stone)
    window.shows("used:")
    window.click("Estimate its maps", ".q-toggle")
    window.wait(lambda: settings_of(served, stone.stem).get("MAPS"))
    window.shows("not a measurement")
    window.click("The photo's light comes", ".q-select")
    window.click("from one side", ".q-item")
    window.wait(lambda: settings_of(served, stone.stem).get("LIGHT") == 90)
    window.shows("From above, 90 degrees")
    window.wait(lambda: window.all(".sun")[0].is_displayed())
    window.shot("maps")
    window.click("Pixel art", ".card")  # which has none
    window.wait(lambda: "PIXELS" in settings_of(served, stone.stem))
    window.wait(lambda: not any(part.is_displayed() for part in window.all(".q-toggle", "Estimate its maps")))
    window.click("Seamless", ".card")
    window.shows("From above, 90 degrees")
    window.click("Draw it")
    window.shows("Done.")
    window.shows("lit from four sides")
    window.shot("maps_done")
    maps = served.folder / "samples" / stone.stem / "output_texture_3x3_tileable_xy"
    window.press("button[aria-label='download 3x3_tileable_xy as GLB']")
    taken = window.downloads / f"{stone.stem}_3x3_tileable_xy.glb"
    window.wait(lambda: taken.exists() and (maps / f"{stone.stem}_NormalGL.png").read_bytes() in taken.read_bytes())

    window.click("Look", ".q-tab")  # it is seen in light at once
    lit = ".lit:not(.turned)"
    window.wait(lambda: window.all(lit)[0].is_displayed())
    window.wait(lambda: np.ptp(window.picture_of(f"{lit} canvas"), 2).max() > 50, 2 * SLOW)
    window.wait(lambda: [part.text for part in window.all(".thumb")] == ["seed 0", "the photo"])
    window.shot("maps_look")
    window.press("button[aria-label='show maps']")
    window.wait(lambda: window.all(".thumb[aria-pressed=true]")[0].text == "the photo")
    window.wait(lambda: len(list(served.folder.glob("uploads/*/view/lit_*/normal.png"))) == 2)
    window.shot("maps_of_photo")
    window.click("Under a light", ".q-toggle")
    window.wait(lambda: window.all(".leaflet-tile-loaded"))

    window.click("Photo", ".q-tab")
    window.click("Estimate its maps", ".q-toggle")
    window.wait(lambda: "MAPS" not in settings_of(served, stone.stem))
    window.click("Take", ".q-tab")
    window.press("button[aria-label='settings of 3x3_tileable_xy again']")
    window.wait(lambda: settings_of(served, stone.stem).get("MAPS") and settings_of(served, stone.stem)["LIGHT"] == 90)
    window.shows("From above, 90 degrees")

    window.click("Draw", ".q-tab")
    window.click("Repair", ".card")  # with nothing to repair it is the maps alone
    window.shows("the photo's own maps")
    before = (maps.parent / "maps_doubt.png").stat().st_mtime_ns
    window.click("Draw", "button")
    window.wait(lambda: (maps.parent / "maps_doubt.png").stat().st_mtime_ns > before)
    window.shows("Done.")
    glb = "button[aria-label='download maps as GLB']"
    window.wait(lambda: [part for part in window.all(glb) if part.is_displayed()])
    window.shot("maps_alone")
    assert not window.errors()


def timed(function, *arguments):
    start = time.monotonic()
    function(*arguments)
    return time.monotonic() - start


def huge_png():
    """The head of a PNG of 30,000 x 30,000 pixels."""
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.slow
def test_unfriendly_files_and_addresses(window, served, tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "huge.png").write_bytes(huge_png())
    (tmp_path / "fake.png").write_text("no photo")
    for name, sentence in (("notes.txt", "is not a picture"), ("huge.png", "more than 100 megapixels"),
                           ("fake.png", "fake.png is not a picture in one of the formats")):
        window.upload(tmp_path / name)
        window.shows(sentence)
        assert not any((served.folder / "uploads").iterdir())
    (tmp_path / "secret.png").write_bytes(b"secret")
    for path in ("/view/../secret.png", "/view/x/..%2f..%2fsecret.png", "/view/x/secret.png", "/made/x/secret.png",
                 "/tiles/x/..%2f..%2f/0/0/0.png", "/tiles/x/0123456789abcdef/0/0/0.png", "/uploads/", "/secret.png"):
        status, body = served.get(path)
        assert status == 404 and b"secret" not in body, path
    assert served.get("/", Host="evil.example")[0] == 403
    assert served.get("/", Origin="http://evil.example")[0] == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    address = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert served.get(address, Origin="http://evil.example", **upgrade)[0] == 403


@pytest.mark.slow
@pytest.mark.parametrize("served", [[word for word in CONSTANTS if "EPOCH_TILES" not in word] + ["EPOCH_TILES=2000"]],
                         indirect=True)
def test_a_killed_page_finds_its_run_again_and_two_windows_start_one(window, served, stone):
    window.upload(stone)
    window.shows("used:")
    name = stone.stem
    window.click("Draw", ".q-tab")
    window.click("Draw", "button")
    window.shows("training: ")
    kept = projects.Project(served.folder / "uploads" / name, CONSTANTS)
    kept.told.read()
    with pytest.raises(UserError, match="another run works on"):
        kept.start()
    served.end(signal.SIGKILL)
    kept.told.read()
    assert kept.told.is_running()  # the work is not the page's
    served.start()
    window.open()
    window.click("Draw", ".q-tab")
    window.shows("training: ")
    window.click("Stop and save", "button")
    window.shows("Stopped and saved.")
    assert (served.folder / "checkpoints" / f"{name}.pt").exists()
    assert window.wait(lambda: window.all("button", "Go on"))


@pytest.mark.skipif(os.name == "nt", reason="kills as other systems do")
def test_a_killed_page_leaves_no_process_behind(served):
    psutil = pytest.importorskip("psutil")
    page, end = psutil.Process(served.process.pid), time.monotonic() + SLOW
    while not any("multiprocessing.spawn" in " ".join(child.cmdline()) for child in page.children(recursive=True)):
        assert time.monotonic() < end
        time.sleep(0.05)
    left = page.children(recursive=True)
    served.end(signal.SIGKILL)
    assert not psutil.wait_procs(left, timeout=SLOW)[1]


def start_page(folder, *arguments, words=(ROOT / "page.py",), **extra):
    return subprocess.run([sys.executable, *words, "--no-browser", *arguments], cwd=folder, timeout=60,
                          env=surroundings(**extra), capture_output=True, text=True)


@pytest.mark.parametrize("words", [[ROOT / "page.py"], [SCRIPT, "page"]], ids=["page.py", "script"])
def test_a_page_without_its_packages_names_the_command(tmp_path, words):
    (tmp_path / "fastapi.py").write_text("raise ImportError('no fastapi', name='fastapi')")
    result = start_page(tmp_path, words=words, PYTHONPATH=str(tmp_path))
    assert result.returncode == 2 and "pip install -r requirements-page.txt" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments, sentence", [
    (["--host", "0.0.0.0"], "8 or more"), (["--port", "TAKEN"], "cannot be had")])
def test_a_page_that_cannot_be_served_says_why(tmp_path, arguments, sentence):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = [str(taken.getsockname()[1]) if word == "TAKEN" else word for word in arguments]
        result = start_page(tmp_path, *arguments, TEXTURE_PAGE_PASSWORD="short")
    assert result.returncode == 2 and sentence in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_the_steps_of_the_page_import_its_services_and_never_back():
    steps = "(app|photo|draw|look|take)"
    for name in ("projects", "runs", "workers", "guard", "elements"):
        source = (ROOT / "page" / f"{name}.py").read_text(encoding="utf-8")
        assert not re.search(rf"from \.{steps} import|from \. import .*\b{steps}\b", source), name
    for path in [SCRIPT, *(ROOT / "texture_diffusion_tools").glob("*.py")]:
        assert not re.search(r"^\s*(from|import) (page|nicegui)\b", path.read_text(encoding="utf-8"), re.M)
