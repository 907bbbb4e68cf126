"""What is to be drawn: cards for what most people want, and each setting of its own."""

from nicegui import ui

from texture_diffusion_tools.running import presets


def preset(name: str) -> dict:
    """The constants of a preset as JSON has them: lists in place of tuples."""
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in presets.constants_of(name).items()}


CARDS = {  # what a card sets; SHAPE lists all that it takes back
    "Larger": ("three times the photo", {}),
    "Seamless": ("repeats both ways", {"TILEABLE": "xy"}),
    "Seamless 1K": ("1024 x 1024, repeats", preset("seamless-1k")),
    "Seamless 2K": ("2048 x 2048, repeats", preset("seamless-2k")),
    "Pixel art": ("seamless, in its palette", preset("pixel")),
    "Wang tiles": ("16 that fit, for engines", {"WANG": 2}),
    "Repair": ("what you mask, alone", {"SCALE": 1}),
}
SHAPE = ("SCALE", "OUTPUT_SIZE", "TILEABLE", "DEPTH", "PIXELS", "WANG")
SCALES = {1: "as the photo", **{times: f"{times} times the photo" for times in (2, 3, 4, 6)}, 0: "in pixels"}
SCALE = 3  # the script's default
TILEABLE = {"none": "no", "x": "left to right", "y": "top to bottom", "xy": "both ways"}
DEPTHS = {0: "as the photo has", 8: "8 bits", 16: "16 bits"}
LARGEST = 65_536  # px a side


class Shape:
    """The controls, beside a photo; changed(): called after a setting was changed by the person."""

    def __init__(self, changed):
        self.project, self.told, self.filling = None, changed, False
        self.cards = {}  # name -> button
        with ui.element("div").classes("cards").props("role=group aria-label='what to draw'"):
            for name, (caption, _) in CARDS.items():
                with ui.element("button").classes("card").props("type=button") as self.cards[name]:
                    ui.label(name).classes("name")
                    ui.label(caption).classes("quiet")
                self.cards[name].on("click", lambda name=name: self.take(name))
        self.scale = ui.select(SCALES, value=SCALE, label="Size", on_change=self.changed)
        with ui.row().classes("w-full no-wrap") as self.pixels:
            self.width, self.height = (
                ui.number(name, value=2048, min=64, max=LARGEST, step=64, format="%d", on_change=self.changed)
                for name in ("width", "height"))
        self.tileable = ui.select(TILEABLE, value="none", label="Repeats without a seam",
                                  on_change=self.changed)
        self.depth = ui.select(DEPTHS, value=0, label="Depth", on_change=self.changed)
        for select in (self.scale, self.tileable, self.depth):
            select.classes("w-full").props("dense options-dense")

    def fill(self, project):
        """Show a photo's settings."""
        self.project, self.filling = project, True
        settings = project.settings
        size = settings.get("OUTPUT_SIZE")
        self.scale.set_value(0 if size else settings.get("SCALE", SCALE))
        if size:
            self.width.set_value(size[0])
            self.height.set_value(size[1])
        self.tileable.set_value(settings.get("TILEABLE", "none"))
        self.depth.set_value(settings.get("DEPTH", 0))
        self.pixels.visible = bool(size)
        self.scale.visible = self.tileable.visible = "WANG" not in settings
        shape = {name: settings[name] for name in SHAPE if name in settings}
        for name, card in self.cards.items():
            card.props(f"aria-pressed={'true' if CARDS[name][1] == shape else 'false'}")
        self.filling = False

    def take(self, name):
        """A card was chosen."""
        if self.project is not None:
            self.project.set(**{**dict.fromkeys(SHAPE), **CARDS[name][1]})
            self.fill(self.project)
            self.told()

    def changed(self):
        """A setting was changed."""
        if self.project is None or self.filling:
            return
        in_pixels = self.scale.value == 0
        size = [int(side.value or 64) for side in (self.width, self.height)]
        self.project.set(OUTPUT_SIZE=size if in_pixels else None,
                         SCALE=None if in_pixels or self.scale.value == SCALE else self.scale.value,
                         TILEABLE=self.tileable.value, DEPTH=self.depth.value or None)
        self.fill(self.project)
        self.told()


def size_of(settings):
    """(width, height) in which a texture is drawn by a photo's settings, once that was prepared, or None; Wang tiles
    are as large as the photo's repeats ask for, which is not known before."""
    if "WANG" in settings:
        return None
    used, times = settings.get("used"), settings.get("SCALE", SCALE)
    size = settings.get("OUTPUT_SIZE") or used and [side * times for side in used]
    return size and [side * settings.get("PIXELS", 1) for side in size]
