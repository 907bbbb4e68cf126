"""The frame of the page: its head, the four steps, and what is common to them."""

import argparse
import getpass
import os
import re
import socket
import sys
from pathlib import Path

from fastapi import HTTPException
from fastapi.responses import FileResponse, Response
from nicegui import app, ui

from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import growing

from . import guard, pool, runs, several, workers
from .draw import DrawStep
from .look import LookStep
from .photo import PhotoStep
from .projects import EPOCHS, Projects, is_name
from .take import TakeStep

LOCAL = ("127.0.0.1", "localhost", "::1")
PORT = 8080
EVERY = 0.4  # seconds between looks at what a run told
ACCENT = "#a4502c"
GROWING = (growing.NAME, "preview.png")  # pictures that change while a run is at work
STEPS = {"Photo": PhotoStep, "Draw": DrawStep, "Look": LookStep, "Take": TakeStep}
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


class Desk:
    """One window of a browser: which photo is on it, and the steps that show it."""

    def __init__(self, projects):
        self.projects, self.seen = projects, None
        self.project = next(iter(projects.all.values()), None)
        self.steps = {}  # name -> step

    def build(self):
        """The whole page."""
        ui.add_css(STYLE)
        ui.colors(primary=ACCENT, secondary=ACCENT, accent=ACCENT)
        self.dark = ui.dark_mode(None)
        with ui.header(elevated=False, wrap=False).classes("head"):
            with ui.element("div").classes("bar"):
                ui.label("Texture Diffusion").classes("brand")
                self.photos = ui.select([], on_change=self.chosen).classes("photos")
                self.photos.props("dense borderless aria-label='the photo to work on'")
                self.status = ui.label().classes("status").props("role=status aria-live=polite")
                ui.space()
                ui.button(icon="contrast", on_click=self.turn).props("flat round dense aria-label='light or dark'")
            with ui.tabs().props("no-caps align=justify aria-label=steps").classes("steps") as self.tabs:
                for number, name in enumerate(STEPS, 1):
                    ui.tab(name, label=f"{number}  {name}")
        with ui.tab_panels(self.tabs, value="Photo", animated=False, keep_alive=True).classes("panels"):
            for name, kind in STEPS.items():
                with ui.tab_panel(name):
                    self.steps[name] = kind(self)
        if self.project is not None and (self.project.told.is_running() or self.project.told.textures):
            self.tabs.set_value("Draw" if self.project.told.is_running() else "Look")
        self.tabs.on_value_change(self.tick)
        self.list()
        ui.timer(EVERY, self.tick)

    def turn(self):
        """From light to dark, and back."""
        self.dark.set_value(not self.dark.value)

    def list(self):
        """The photos to choose from."""
        names = list(self.projects.all)
        self.photos.set_options(names, value=self.project and self.project.name)
        self.photos.visible = bool(names)

    def chosen(self, event):
        """Another photo was chosen."""
        if event.value in self.projects.all and self.projects.all[event.value] is not self.project:
            self.choose(self.projects.all[event.value])

    def choose(self, project):
        """Put a photo on the desk."""
        self.project, self.seen = project, None
        self.list()

    def start(self, **more):
        """Start a run of the photo on the desk with its settings and more of them."""
        if self.project is None:
            return self.say("there is no photo yet: choose one first")
        self.projects.stop_measuring()
        several.fit(self.project)
        try:
            self.project.start(**more)
        except UserError as error:
            self.say(str(error))

    def draw(self):
        """Train and draw with the settings of the photo on the desk, and show that; a run at work is shown."""
        settings = self.project.settings if self.project else {}
        if settings.get("SCALE") == 1 and "MASK" not in settings and not self.project.is_maps_alone():
            return self.say("there is nothing to repair yet: choose Mask and paint over it, or another size")
        if self.project is not None and not self.project.told.is_running():
            self.start(EPOCHS=self.project.settings.get("EPOCHS", EPOCHS), PREVIEW_EVERY=1)
        self.go("Draw")

    async def bring_back(self, texture):
        """Take back the settings with which a texture was drawn."""
        self.project.bring_back(texture.settings)
        await self.steps["Photo"].show(self.project)
        await self.steps["Photo"].brought_back()
        self.seen = None
        self.go("Photo")

    def go(self, step):
        """Turn to a step."""
        self.tabs.set_value(step)

    def say(self, sentence):
        """Show an error of the person's: the same sentence as on the command line."""
        ui.notify(sentence, type="warning", position="top", multi_line=True, close_button="Close", timeout=12000,
                  classes="sentence")

    async def tick(self):
        """Look what has changed on the disk, and show it."""
        if set(self.photos.options) != set(self.projects.all):
            self.list()
        if self.project is None:
            return
        self.project.poll()
        self.projects.learn_costs(self.project)
        told = self.project.told
        state = (self.project.name, told.version, told.is_running(), self.tabs.value, str(self.project.settings),
                 self.projects.costs)
        if state == self.seen:
            return
        self.seen = state
        self.status.set_text(runs.describe(told))
        await self.steps[self.tabs.value].show(self.project)


def serve(projects):
    """The addresses of pictures: of what lies in a photo's folder view, and what the script told of; nothing else."""

    def project_of(name):
        if name not in projects.all:
            raise HTTPException(404)
        return projects.all[name]

    def file_at(path):
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": "max-age=3600"})

    def unfinished(path):  # another one may take its place while it is sent
        try:
            return Response(path.read_bytes(), media_type="image/png", headers={"Cache-Control": "max-age=3600"})
        except OSError as error:
            raise HTTPException(404) from error

    @app.get("/view/{name}/{file}")
    def view(name: str, file: str):
        project = project_of(name)
        if not (is_name(file) and file.endswith(".png")):
            raise HTTPException(404)
        return file_at(project.folder / "view" / file)

    @app.get("/view/{name}/{folder}/{file}")
    def view_inside(name: str, folder: str, file: str):
        project = project_of(name)
        if not (is_name(folder) and is_name(file) and file.endswith(".png")):
            raise HTTPException(404)
        return file_at(project.folder / "view" / folder / file)

    @app.get("/tiles/{name}/{key}/{z}/{y}/{x}.png")
    def tile(name: str, key: str, z: int, y: int, x: int):
        project = project_of(name)
        if not re.fullmatch(r"[0-9a-f]{16}", key):
            raise HTTPException(404)
        return file_at(project.folder / "view" / f"pyramid_{key}" / str(z) / str(y) / f"{x}.png")

    @app.get("/glb/{name}/{key}.glb")
    def model(name: str, key: str):
        project = project_of(name)
        if not re.fullmatch(r"[0-9a-f]{16}", key):
            raise HTTPException(404)
        return file_at(project.folder / "view" / f"export_{key}" / "glb" / f"{project.photo.stem}.glb")

    @app.get("/made/{name}/{file:path}")
    def made(name: str, file: str):
        path = project_of(name).told.files.get(file)
        if path is None or not file.endswith(".png"):
            raise HTTPException(404)
        return unfinished(Path(path)) if file in GROWING else file_at(Path(path))


def password_for(host):
    """The password that people at other machines have to know: the environment's, or asked for; None for this one."""
    if host in LOCAL:
        return None
    password = os.environ.get("TEXTURE_PAGE_PASSWORD") or \
        getpass.getpass("Others in the network will be able to open the page. A password for them: ")
    if len(password) < guard.SHORTEST:
        raise UserError(f"the password has {len(password)} characters; it must have {guard.SHORTEST} or more")
    return password


def free_port(host, port):
    """The port asked for, or without one the first that is free from PORT on; UserError if it is taken."""
    for candidate in [port] if port else range(PORT, PORT + 50):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # that of Windows shares a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
            try:
                probe.bind((host, candidate))
                return candidate
            except OSError as error:
                reason = error.strerror
    raise UserError(f"{host}, port {port or PORT}, cannot be had ({reason}); choose another with --port")


def main(manual):
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="page", description=manual, formatter_class=form)
    parser.add_argument("--host", default=LOCAL[0], help="the address to listen at; default: this machine alone")
    parser.add_argument("--port", type=int, default=0, help=f"default: the first free one from {PORT} on")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("constants", nargs="*", metavar="NAME=value", help="constants of the script, for every run")
    c = parser.parse_args()
    try:
        password, port = password_for(c.host), free_port(c.host, c.port)
        projects = Projects(c.constants)
    except (UserError, OSError) as error:
        print(f"page: {error}", file=sys.stderr)
        sys.exit(2)
    hosts = LOCAL if password is None else None if c.host in ("0.0.0.0", "::") else (*LOCAL, c.host)
    app.add_middleware(guard.Guard, hosts=hosts, password=password)
    serve(projects)
    address = f"http://{c.host}:{port}"
    app.on_startup(lambda: print(f"the page is at {address}", flush=True))
    app.on_shutdown(lambda: [project.stop() for project in projects.all.values()])

    @ui.page("/", title="Texture Diffusion")
    def index():
        Desk(projects).build()

    app.on_startup(lambda: pool.call(workers.warm_up))
    app.on_shutdown(pool.stop)
    ui.run(host=c.host, port=port, title="Texture Diffusion", favicon=FAVICON, reload=False, show=not c.no_browser,
           show_welcome_message=False, gzip_middleware_factory=None, reconnect_timeout=120)


FAVICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path fill="#a4502c" d="M0 0h4v4H0z"/>
<path fill="#f4efe9" d="M0 0h1v1H0zM2 0h1v1H2zM1 1h1v1H1zM3 1h1v1H3zM0 2h1v1H0zM2 2h1v1H2zM1 3h1v1H1z"/></svg>"""
