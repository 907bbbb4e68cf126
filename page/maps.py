"""The maps of a photo: whether they are estimated, where its light comes from, and how much of its
shading is taken out."""

from __future__ import annotations

import math
from collections.abc import Callable

from nicegui import ui

from .projects import Project

SAYS = "Height, normals, roughness, occlusion, and metal where there is some. They are an estimate, " \
       "not a measurement, and a trial so far: look at them in light."
LIGHTS = {"unknown": "not known", "even": "evenly, from all sides", "side": "from one side"}
SIDES = ("the right", "the upper right", "above", "the upper left", "the left", "the lower left",
         "below", "the lower right")  # every 45 degrees
ABOVE = 90  # degrees, where one side is chosen and not said yet
RADIUS = 0.43  # of the photo's shorter side: how far from its middle the sun is shown


class Maps:
    """The controls of a photo; changed(): called after the person changed a setting; picture: the
    photo as it is used, over which the sun is shown."""

    def __init__(self, changed: Callable[[], None], picture: ui.image) -> None:
        self.project, self.told, self.filling = None, changed, False
        self.on = ui.switch("Estimate its maps", on_change=self.changed)
        with ui.column().classes("gap-2 w-full") as self.more:
            ui.label(SAYS).classes("quiet")
            self.light = ui.select(LIGHTS, value="unknown", label="The photo's light comes",
                                   on_change=self.changed)
            self.light.props("dense options-dense").classes("w-full")
            self.side_says = ui.label().classes("quiet")
            self.side = ui.slider(min=0, max=345, step=15, value=ABOVE, on_change=self.changed)
            self.side.props("aria-label='degrees from which light comes'")
            self.delight_says = ui.label().classes("quiet")
            self.delight = ui.slider(min=0, max=100, step=5, value=0, on_change=self.changed)
            self.delight.props("aria-label='shading taken out of the colour, percent'")
        with picture:
            self.sun = ui.icon("light_mode").classes("sun").props("aria-hidden=true")

    def fill(self, project: Project) -> None:
        """Show a photo's settings, if maps can be estimated of it."""
        self.project, self.filling = project, True
        light = project.settings.get("LIGHT")
        sided = light not in (None, "even")
        self.on.set_value("MAPS" in project.settings)
        self.light.set_value("side" if sided else light or "unknown")
        self.side.set_value(light if sided else self.side.value)
        self.delight.set_value(round(100 * project.settings.get("DELIGHT", 0)))
        self.filling = False

        self.on.visible, self.more.visible = project.takes_maps(), project.has_maps()
        self.side.visible = self.side_says.visible = sided
        self.describe()

    def describe(self) -> None:
        """Say what the sliders mean, and show the sun."""
        share, degrees = self.delight.value, self.side.value
        taken = f"{share:.0f} % (100 % is half)" if share else "none"
        self.delight_says.set_text(f"Shading taken out: {taken}")
        self.side_says.set_text(f"From {SIDES[round(degrees / 45) % 8]}, {degrees:.0f} degrees")

        self.sun.visible = self.more.visible and self.side.visible
        width, height = self.project.settings.get("used", (1, 1))
        angle, radius = math.radians(degrees), 100 * RADIUS * min(width, height)
        self.sun.style(f"left: {50 + radius * math.cos(angle) / width:.1f}%; "
                       f"top: {50 - radius * math.sin(angle) / height:.1f}%")

    def changed(self) -> None:
        """A setting was changed."""
        if self.project is None or self.filling:
            return
        light = {"unknown": None, "even": "even", "side": int(self.side.value)}[self.light.value]
        self.project.set(MAPS=self.on.value, LIGHT=light, DELIGHT=self.delight.value / 100 or None)
        self.fill(self.project)
        self.told()
