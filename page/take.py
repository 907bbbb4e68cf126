"""Step 4: the size, kind and format of the texture; downloads; the command line that does the same."""

from pathlib import Path

from nicegui import ui

from . import pool, runs, workers
from .draw import line_of
from .look import key_of, name_of, picture_of

SCALES = {**{times: f"{times} times the photo" for times in (2, 3, 4, 6)}, 0: "in pixels"}
TILEABLE = {"none": "no", "x": "left to right", "y": "top to bottom", "xy": "both ways"}
DEPTHS = {0: "as the photo has", 8: "8 bits", 16: "16 bits"}
LARGEST = 65_536  # px a side


class TakeStep:
    """The fourth step of a Desk."""

    def __init__(self, desk):
        self.desk, self.project, self.filling = desk, None, False
        with ui.element("div").classes("room"):
            with ui.element("div").classes("stage"):
                self.files = ui.element("div").classes("offers")
            with ui.element("div").classes("side"):
                self.scale = ui.select(SCALES, value=3, label="Size", on_change=self.changed).classes("w-full")
                with ui.row().classes("w-full no-wrap") as self.pixels:
                    self.width, self.height = (ui.number(name, value=2048, min=64, max=LARGEST, step=64, format="%d",
                                                         on_change=self.changed) for name in ("width", "height"))
                self.tileable = ui.select(TILEABLE, value="none", label="Repeats without a seam",
                                          on_change=self.changed).classes("w-full")
                self.depth = ui.select(DEPTHS, value=0, label="Depth", on_change=self.changed).classes("w-full")
                self.go = ui.button("Draw it so", on_click=self.start).props("unelevated no-caps").classes("w-full")
                self.busy = ui.label().classes("quiet").props("role=status")
                ui.label("The same on the command line").classes("quiet")
                self.command = ui.label().classes("command")
                ui.button("Copy", icon="content_copy", on_click=self.copy).props("flat dense no-caps")

    async def show(self, project):
        """Show what can be taken of a photo."""
        if project is not self.project:
            self.project = project
            self.fill(project.settings)
        self.pixels.visible = self.scale.value == 0
        self.command.set_text(line_of(project, EPOCHS=0))
        self.busy.set_text(runs.describe(project.told))
        self.go.set_enabled(not project.told.is_running())
        self.list()

    def fill(self, settings):
        """Show a photo's settings."""
        self.filling = True
        self.scale.set_value(0 if "OUTPUT_SIZE" in settings else settings.get("SCALE", 3))
        if "OUTPUT_SIZE" in settings:
            self.width.set_value(settings["OUTPUT_SIZE"][0])
            self.height.set_value(settings["OUTPUT_SIZE"][1])
        self.tileable.set_value(settings.get("TILEABLE", "none"))
        self.depth.set_value(settings.get("DEPTH", 0))
        self.filling = False

    def changed(self):
        """A setting was changed."""
        if self.project is None or self.filling:
            return
        in_pixels = self.scale.value == 0
        size = [int(side.value or 64) for side in (self.width, self.height)]
        self.project.set(OUTPUT_SIZE=size if in_pixels else None,
                         SCALE=None if in_pixels or self.scale.value == 3 else self.scale.value,
                         TILEABLE=self.tileable.value, DEPTH=self.depth.value or None)
        self.pixels.visible = in_pixels
        self.command.set_text(line_of(self.project, EPOCHS=0))

    def start(self):
        """Draw with these settings, with the model as it is."""
        self.desk.start(EPOCHS=0)

    async def copy(self):
        """The command line to the clipboard."""
        ui.clipboard.write(self.command.text)
        ui.notify("copied", position="bottom", timeout=1500)

    def list(self):
        """The textures, each with what it can be downloaded as."""
        textures = [texture for texture in self.project.told.textures if Path(texture.output).exists()]
        shown = [(texture.output, picture_of(texture).stat().st_mtime_ns) for texture in textures]
        if getattr(self, "shown", None) == shown:
            return
        self.shown = shown
        self.files.clear()
        with self.files:
            if not textures:
                ui.label("Nothing was drawn of this photo yet.").classes("quiet")
            for texture in textures:
                self.offer(texture)

    def offer(self, texture):
        """One texture and its buttons."""
        path, name = Path(texture.output), name_of(texture.output)
        with ui.element("div").classes("offer"):
            thumb = self.project.view(f"thumb_{key_of(picture_of(texture))}.png")
            if thumb.exists():
                ui.image(f"/view/{self.project.name}/{thumb.name}").props("no-spinner alt=''")
            with ui.column().classes("gap-1"):
                ui.label(name)
                ui.label(f"{texture.figures.get('size', 'the size of the photo')} pixels").classes("quiet")
                with ui.row().classes("gap-1"):
                    kinds = ("ZIP of all maps",) if path.is_dir() else tuple(workers.FORMATS)
                    for kind in kinds:
                        ui.button(kind, on_click=lambda kind=kind: self.take(texture, kind)).props(
                            f'outline dense no-caps padding="2px 10px" aria-label="download {name} as {kind}"')

    async def take(self, texture, kind):
        """Download a texture."""
        path, name = Path(texture.output), f"{self.project.name}_{name_of(texture.output)}"
        if path.is_dir():
            target = self.project.view(f"{name}.zip")
            found, sentence = await pool.call(workers.zipped, str(path), str(target))
        else:
            target = self.project.view(f"{name}{workers.FORMATS[kind]}")
            found, sentence = await pool.call(workers.converted, str(path), kind, str(target))
        if found is None:
            return self.desk.say(sentence)
        ui.download.file(found, f"{name}{Path(found).suffix}")
