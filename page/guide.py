"""A guide: another picture, whose coarse brightness and colour the texture follows."""

import shutil
import tempfile
from pathlib import Path

from nicegui import ui

from . import pool, workers
from .projects import SUFFIXES

STRENGTH = 0.5  # the script's default


class Guide:
    """The controls of a Desk's photo; changed(): called after the person changed a setting."""

    def __init__(self, desk, changed):
        self.desk, self.project, self.told, self.filling = desk, None, changed, False
        with ui.expansion("Follow another picture").classes("w-full guide").props("dense"):
            upload = ui.upload(label="Its light and dark, roughly", auto_upload=True,
                               on_upload=self.uploaded)
            upload.props("flat aria-label='guide'").classes("drop")
            self.picture = ui.image().classes("w-full")
            self.picture.props("no-spinner no-transition alt='the guide'")
            self.strength = ui.slider(min=0, max=1, step=0.05, value=STRENGTH,
                                      on_change=self.changed)
            self.strength.props("label aria-label='how closely it is followed'")
            self.without = ui.button("Without it", on_click=self.remove).props("flat no-caps dense")

    def fill(self, project):
        """Show a photo's guide."""
        self.project, self.filling = project, True
        self.strength.set_value(project.settings.get("GUIDE_STRENGTH", STRENGTH))
        shown = project.view("guide.png")
        for part in (self.picture, self.strength, self.without):
            part.visible = "GUIDE" in project.settings
        if "GUIDE" in project.settings and shown.exists():
            self.picture.set_source(f"/view/{project.name}/guide.png?{shown.stat().st_mtime_ns}")
        self.filling = False

    async def uploaded(self, event):
        """A picture has arrived: keep it if the script can read it."""
        event.sender.reset()
        project, suffix = self.project, Path(event.file.name).suffix.lower()
        if suffix not in SUFFIXES:
            return self.desk.say(f"{event.file.name} is not a picture; give a PNG or JPEG file")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"guide{suffix}"
            await event.file.save(path)
            shown = str(project.view("guide.png"))
            found, sentence = await pool.call(workers.look_at, str(path), shown)
            if found is None:
                return self.desk.say(sentence)
            kept = project.folder / f"guide{suffix}"
            shutil.copyfile(path, kept)
        project.set(GUIDE=kept.as_posix())
        self.fill(project)
        self.told()

    def changed(self):
        """It is to be followed more or less closely."""
        if self.project is not None and not self.filling and "GUIDE" in self.project.settings:
            value = self.strength.value
            self.project.set(GUIDE_STRENGTH=value if value != STRENGTH else None)
            self.told()

    def remove(self):
        """There is none any more."""
        self.project.set(GUIDE=None, GUIDE_STRENGTH=None)
        self.fill(self.project)
        self.told()
