"""Step 4: downloads of all textures, each with its settings; the command line that does the same."""

from pathlib import Path

from nicegui import ui

from . import offers, runs
from .draw import line_of
from .names import key_of, name_of, picture_of, stamp_of


class TakeStep:
    """The fourth step of a Desk."""

    def __init__(self, desk):
        self.desk, self.project, self.shown = desk, None, None
        with ui.element("div").classes("room"):
            with ui.element("div").classes("stage"):
                self.files = ui.element("div").classes("offers")
            with ui.element("div").classes("side"):
                self.busy = ui.label().classes("quiet").props("role=status")
                ui.label("GLB and USDZ hold their pictures; MTLX, TRES and USDA come in a ZIP "
                         "with them. PAT is a pattern for GIMP and Krita. A ZIP of Wang tiles holds a tile "
                         "set for Tiled and shaders, too.").classes("quiet")
                ui.label("The same on the command line").classes("quiet")
                self.command = ui.label().classes("command")
                ui.button("Copy", icon="content_copy", on_click=self.copy).props("flat dense no-caps")

    async def show(self, project):
        """Show what can be taken of a photo."""
        self.project = project
        self.command.set_text(line_of(project, EPOCHS=0))
        self.busy.set_text(runs.describe(project.told))
        self.list()

    async def copy(self):
        """The command line to the clipboard."""
        ui.clipboard.write(self.command.text)
        ui.notify("copied", position="bottom", timeout=1500)

    def list(self):
        """The textures, each with what it can be downloaded as."""
        textures = [texture for texture in self.project.told.textures
                    if Path(texture.output).exists()]
        shown = [(texture.output, stamp_of(picture_of(texture))) for texture in textures]
        if self.shown == shown:
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
        with ui.element("div").classes("offer"):
            thumb = self.project.view(f"thumb_{key_of(picture_of(texture))}.png")
            if thumb.exists():
                ui.image(f"/view/{self.project.name}/{thumb.name}").props("no-spinner alt=''")
            with ui.column().classes("gap-1"):
                ui.label(name_of(texture.output))
                size = texture.figures.get("size")
                ui.label(f"{size} pixels" if size else "as large as the photo").classes("quiet")
                offers.buttons(self.desk, self.project, texture)
                if texture.settings:
                    ui.button("Its settings again", icon="history",
                              on_click=lambda: self.desk.bring_back(texture)).props(
                        f'flat dense no-caps aria-label="settings of {name_of(texture.output)} again"')
