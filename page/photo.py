"""Step 1: a photo or the maps of a material are uploaded, straightened, cropped, masked and evenly lit."""

import re
import tempfile
import time
from pathlib import Path

from nicegui import background_tasks, ui

from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import UserError

from . import pool, several, workers
from .guide import Guide
from .maps import Maps
from .projects import EPOCHS
from .shape import Shape, size_of

MOST_MEGABYTES = 500  # of one file
NEAR = 0.06  # of the picture's width: so near a corner it is meant
INSET = 0.12  # where the corners are at first, a share of the sides
TOOLS = {"look": "Look", "corners": "Corners", "crop": "Crop", "mask": "Mask"}
FOR_SEVERAL = {"look": "Look", "blend": "Paint a map"}  # the others are for one photo
HINTS = {
    "look": "What the script makes of the photo is on the right. Choose a tool to change that.",
    "corners": "Drag the four corners onto something that is a rectangle in reality, such as a block of bricks.",
    "crop": "Drag a rectangle over the part to use.",
    "mask": "Paint over what does not belong there: it is drawn anew, and nothing is learned from it.",
    "blend": "Paint where the others lie; what is not painted is of the first. Without a map each is drawn.",
}
ACCENT = "#ff5a1f"  # of lines over photos


class PhotoStep:
    """The first step of a Desk."""

    def __init__(self, desk):
        self.desk, self.project, self.tool = desk, None, "look"
        self.size_here, self.shown = None, None  # (width, height) of what is worked on, and of its picture on the page
        self.grip, self.grip_places = None, None  # what the pointer holds; the corners while one is dragged
        self.drawn = []  # a stroke or rectangle under way
        self.notes, self.brush, self.prepared_as = [], 24, None
        with ui.element("div").classes("welcome") as self.start:
            ui.html("One photo of a material.<br>More of it.", sanitize=False, tag="h1")
            self.uploader("Drop a photo, several, or all maps of a material")
            self.waiting = ui.label().classes("quiet").props("role=status")
            ui.label("Nothing leaves this machine.").classes("quiet")
        with ui.element("div").classes("room") as self.room:
            with ui.element("div").classes("stage"), ui.element("div").classes("pictures"):
                with ui.element("div").classes("picture"):
                    self.image = ui.interactive_image(sanitize=False).classes("editor")
                    self.caption = ui.label().classes("quiet")
                with ui.element("div").classes("picture"):
                    self.preview = ui.image().props("no-spinner no-transition alt='the photo as it will be used'")
                    self.used = ui.label().classes("quiet")
            with ui.element("div").classes("side"):
                self.build_side()
        for event in ("pointerdown", "pointermove", "pointerup", "pointerleave"):
            self.image.on(f"svg:{event}", self.pointer, throttle=0.03 if event == "pointermove" else 0)
        self.image.on("loaded", lambda event: self.loaded(event.args["width"], event.args["height"]))
        self.room.visible = False

    def uploader(self, label):
        """The place to drop files on, or to choose them."""
        upload = ui.upload(label=label, multiple=True, auto_upload=True, on_multi_upload=self.uploaded,
                           max_file_size=MOST_MEGABYTES * 10**6,
                           on_rejected=lambda: self.desk.say(f"a file may have {MOST_MEGABYTES} MB"))
        upload.props("flat aria-label=upload").classes("drop")

    def build_side(self):
        """The controls beside the photo."""
        self.tools = ui.toggle(TOOLS, value="look", on_change=self.chosen).props(
            "no-caps unelevated spread toggle-color=primary aria-label='tool'")
        self.hint = ui.label().classes("quiet")
        with ui.column().classes("gap-2 w-full") as self.of_corners:
            ui.button("Find the corners", on_click=self.find).props("outline no-caps")
            self.corner_text = ui.input("Corners: x,y of each, clockwise from the upper left")
            self.corner_text.props("dense").classes("w-full").on("keydown.enter", self.typed)
        with ui.column().classes("gap-2 w-full") as self.of_crop:
            self.crop_text = ui.input("Part: x, y, width, height")
            self.crop_text.props("dense").classes("w-full").on("keydown.enter", self.typed)
        with ui.column().classes("gap-2 w-full") as self.of_mask:
            ui.label("Brush").classes("quiet")
            brush = ui.slider(min=4, max=160, value=self.brush).bind_value(self, "brush")
            brush.props("aria-label='width of the brush'")
            self.textures = several.Textures()
            ui.button("Undo", on_click=self.undo).props("flat no-caps dense")
        self.clear = ui.button("Take back", on_click=self.take_back).props("flat no-caps dense")
        self.even = ui.switch("Even light", on_change=self.light)
        self.maps = Maps(self.price, self.preview)
        self.shape, self.guide = Shape(self.reshaped), Guide(self.desk, self.price)
        ui.button("Draw it", on_click=self.desk.draw).props("unelevated no-caps").classes("w-full go")
        self.costs = ui.label().classes("quiet")
        self.said = ui.column().classes("gap-2")
        ui.label("ANOTHER ONE").classes("quiet")
        self.uploader("Drop or choose files")

    async def uploaded(self, event):
        """Files have arrived: keep them if the script can read them."""
        event.sender.reset()
        self.waiting.set_text("The script reads it ...")
        with tempfile.TemporaryDirectory() as folder:
            uploads = []
            for number, file in enumerate(event.files):
                path = Path(folder) / str(number)
                await file.save(path)
                uploads.append((file.name, path))
            try:
                project = self.desk.projects.add(uploads)
            except (UserError, OSError) as error:
                self.waiting.set_text("")
                return self.desk.say(str(error))
        if "size" in project.settings or await self.look_at(project):
            self.desk.choose(project)
        else:
            self.desk.projects.remove(project)
        self.waiting.set_text("")

    async def look_at(self, project):
        """Have the script read a photo; False, with its sentence, if it cannot."""
        textures, sentence = await pool.call(workers.textures_in, str(project.image),
                                                 str(project.view("texture{}.png")))
        if textures is None:
            self.desk.say(sentence)
            return False
        project.set(textures=[path for path, *_ in textures] or None)
        found, sentence = await pool.call(workers.look_at, str(project.photo), str(project.view("original.png")))
        if found is None:
            self.desk.say(sentence)
            return False
        project.set(size=found[0], notes=list(found[1]))
        return True

    async def show(self, project):
        """Show a photo."""
        if project is not self.project:
            if "size" not in project.settings and not await self.look_at(project):
                return
            self.project, self.prepared_as = project, None
            self.start.visible, self.room.visible = False, True
            self.tools.set_options(FOR_SEVERAL if project.textures else TOOLS, value="look")
            self.textures.fill(project)
            self.tools.set_value("look")
            self.even.set_value(project.settings.get("EVEN_LIGHT", False))
            self.choose("look")
        self.shape.fill(project)
        self.guide.fill(project)
        self.maps.fill(project)
        await self.prepare()
        self.price()
        self.desk.projects.measure(project)

    def reshaped(self):
        """What is to be drawn was changed."""
        self.maps.fill(self.project)
        self.price()

    def price(self):
        """Say what drawing costs."""
        settings = self.project.settings
        self.costs.set_text(self.desk.projects.expect(self.project, settings.get("EPOCHS", EPOCHS), size_of(settings)))

    async def brought_back(self):
        """The settings are those of a texture that was drawn before: mask, corners and crop are shown as they were."""
        self.size_here = size = self.project.settings["size"]
        self.even.set_value(self.project.settings.get("EVEN_LIGHT", False))
        await self.paint(self.strokes(), max(1.0, max(size) / workers.SHOWN))
        await self.changed()

    async def prepare(self):
        """Have the script prepare the photo, and show that; of several changes at once the last one counts."""
        project = self.project
        settings = {**project.prepared_by(), "size": project.settings["size"]}
        if settings == self.prepared_as:
            return
        self.prepared_as = settings
        self.used.set_text("the script prepares it ...")
        target = project.view(f"prepared{time.time_ns()}.png")
        found, sentence = await pool.call(workers.prepare, str(project.photo), settings, project.max_side,
                                             str(target))
        if self.project is not project or self.prepared_as != settings:
            target.unlink(missing_ok=True)
            return
        if found is None:
            self.used.set_text("")
            self.notes = [sentence]
        else:
            (width, height), _, self.notes = found
            files.replace(target, project.view("prepared.png"))
            self.preview.set_source(f"/view/{project.name}/prepared.png?{time.time_ns()}")
            self.used.set_text(f"used: {width} x {height} pixels")
            project.set(used=[width, height])
        self.tell_notes()

    def tell_notes(self):
        """The script's notes on the photo."""
        self.said.clear()
        with self.said:
            for note in dict.fromkeys(self.notes):
                ui.label(note).classes("note")

    # what is drawn over the photo

    def chosen(self, event):
        """Another tool was chosen."""
        if self.project is not None:
            self.choose(event.value)

    def choose(self, tool):
        """Take up a tool."""
        self.tool = tool
        self.hint.set_text(HINTS[tool])
        for name, part in (("corners", self.of_corners), ("crop", self.of_crop), ("mask", self.of_mask)):
            part.visible = tool == name or tool == "blend" and name == "mask"
        self.clear.visible = tool != "look"
        if tool == "crop" and "CORNERS" in self.project.settings:
            background_tasks.create(self.straightened())
        else:
            self.set_picture("original.png", self.project.settings["size"])

    async def straightened(self):
        """Show the photo straightened: CROP counts in that."""
        only = {"CORNERS": self.project.settings["CORNERS"]}
        target = self.project.view("straightened.png")
        found, sentence = await pool.call(workers.prepare, str(self.project.image), only, 10**6, str(target))
        if found is None:
            return self.desk.say(sentence)
        self.set_picture("straightened.png", found[0])

    def set_picture(self, name, size):
        """Show a picture of a photo of so many pixels."""
        self.size_here = size
        self.image.set_source(f"/view/{self.project.name}/{name}?{time.time_ns()}")
        self.caption.set_text(f"{self.project.photo.name}: {size[0]} x {size[1]} pixels")
        self.redraw()

    def loaded(self, width, height):
        """The browser has the picture, of so many pixels."""
        self.shown = width, height
        self.redraw()

    @property
    def scale(self):
        """Pixels of the photo for one of its picture."""
        return self.size_here[0] / self.shown[0] if self.shown else 1.0

    def corners(self):
        """The corners in pixels of the picture, or None."""
        corners = self.project.settings.get("CORNERS")
        if not isinstance(corners, (list, tuple)):
            return None
        return [[x / self.scale, y / self.scale] for x, y in corners]

    def redraw(self):
        """Draw corners, crop and mask over the photo."""
        if not (self.shown and self.project):
            return
        width, height = self.shown
        unit = width / 400
        parts = [f'<rect width="{width}" height="{height}" fill="transparent" pointer-events="all"/>']
        line = f'fill="none" stroke="{ACCENT}" stroke-width="{unit * 1.2}"'
        if self.tool != "crop" and self.corners() and self.tool != "mask":
            places = self.grip_places or self.corners()
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polygon points="{points}" {line}/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{unit * 4}" {line} style="fill: rgba(255,255,255,.35)"/>'
                      for x, y in places] if self.tool == "corners" else []
        crop = self.drawn if self.tool == "crop" and self.drawn else None
        if crop is None and self.tool in ("crop", "look") and "CROP" in self.project.settings \
                and not (self.tool == "look" and self.corners()):
            crop = [value / self.scale for value in self.project.settings["CROP"]]
        if crop:
            x, y, w, h = crop
            parts.append(f'<path d="M0 0H{width}V{height}H0Z M{x} {y}V{y + h}H{x + w}V{y}Z" fill="rgba(0,0,0,.45)"/>'
                         f'<rect x="{x}" y="{y}" width="{w}" height="{h}" {line}/>')
        if self.tool in ("mask", "look"):
            under_way = [[self.brush * unit, self.drawn]] if self.tool == "mask" and self.drawn else []
            for thick, places in [*self.strokes(), *under_way]:
                points = " ".join(f"{x:.0f},{y:.0f}" for x, y in [*places, places[-1]])
                parts.append(f'<polyline points="{points}" fill="none" stroke="{ACCENT}" stroke-opacity=".55" '
                             f'stroke-width="{thick}" stroke-linecap="round" stroke-linejoin="round"/>')
        if self.project.textures:
            parts += self.painted()
        self.image.set_content("".join(parts))

    def painted(self):
        """What is painted of the map, as parts of an SVG."""
        under_way = [[self.brush / 400, self.shares(self.drawn), self.textures.label]] if self.drawn else []
        parts, (width, height) = [], self.shown
        for thick, places, label in [*self.project.settings.get("painted", []), *under_way]:
            points = " ".join(f"{x * width:.0f},{y * height:.0f}" for x, y in [*places, places[-1]])
            parts.append(f'<polyline points="{points}" fill="none" stroke="{several.colour_of(label)}" '
                         f'stroke-opacity=".6" stroke-width="{thick * width}" stroke-linecap="round" '
                         'stroke-linejoin="round"/>')
        return parts

    def shares(self, places):
        """Places of the picture as shares of its sides."""
        return [[x / self.shown[0], y / self.shown[1]] for x, y in places]

    def strokes(self):
        """The mask's strokes, [(width, [(x, y)])] in pixels of the picture."""
        return self.project.settings.get("strokes", [])

    async def pointer(self, event):
        """The pointer goes down on the photo, moves or goes up."""
        kind, place = event.args["type"], (event.args["image_x"], event.args["image_y"])
        if self.project is None or not self.shown or self.tool == "look":
            return
        place = [min(max(0.0, at), float(side)) for at, side in zip(place, self.shown)]
        if kind == "pointerdown":
            self.press(place)
        elif self.grip is None:
            return
        elif kind == "pointermove":
            self.drag(place)
        else:
            await self.release()
            return
        self.redraw()

    def press(self, place):
        """The pointer went down."""
        self.grip, self.drawn = place, []
        if self.tool == "corners":
            places = self.corners() or inset(self.shown)
            far = [(x - place[0]) ** 2 + (y - place[1]) ** 2 for x, y in places]
            self.grip_places = [list(corner) for corner in places]
            near = self.corners() is None or min(far) < (NEAR * self.shown[0]) ** 2
            self.grip = far.index(min(far)) if near else None
            if self.corners() is None:
                self.project.set(CORNERS=self.in_photo(places))
        elif self.tool in ("mask", "blend"):
            self.drawn = [place]

    def drag(self, place):
        """The pointer moved while it was down."""
        if self.tool == "corners":
            self.grip_places[self.grip] = place
        elif self.tool == "crop":
            (x0, y0), (x1, y1) = self.grip, place
            self.drawn = [min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)]
        else:
            self.drawn.append(place)

    async def release(self):
        """The pointer went up: what was drawn counts."""
        drawn, self.drawn, self.grip = self.drawn, [], None
        if self.tool == "corners" and self.grip_places:
            places, self.grip_places = self.grip_places, None
            self.project.set(CORNERS=self.in_photo(places))
        elif self.tool == "crop" and drawn and min(drawn[2:]) > 3:
            x, y, w, h = (round(value * self.scale) for value in drawn)
            self.project.set(CROP=[x, y, min(w, self.size_here[0] - x), min(h, self.size_here[1] - y)])
        elif self.tool == "mask" and drawn:
            await self.paint([*self.strokes(), [self.brush * self.shown[0] / 400, drawn]])
        elif self.tool == "blend" and drawn:
            stroke = [self.brush / 400, self.shares(drawn), self.textures.label]
            several.paint(self.project, [*self.project.settings.get("painted", []), stroke])
        await self.changed()

    def in_photo(self, places):
        """Places of the picture in whole pixels of the photo."""
        return [[round(x * self.scale), round(y * self.scale)] for x, y in places]

    async def paint(self, strokes, scale=None):
        """Make the mask of strokes; scale: as of the picture that is shown, if another."""
        project, path = self.project, self.project.folder / "mask.png"
        if strokes:
            await pool.call(workers.paint_mask, self.size_here, scale or self.scale, strokes, str(path))
        project.set(strokes=strokes or None, MASK=path.as_posix() if strokes else None)

    async def changed(self):
        """A setting was changed: show it."""
        settings = self.project.settings
        corners = settings.get("CORNERS")
        self.corner_text.set_value("  ".join(f"{x},{y}" for x, y in corners) if isinstance(corners, list) else "")
        self.crop_text.set_value(", ".join(map(str, settings.get("CROP", []))))
        self.redraw()
        await self.prepare()

    async def typed(self):
        """Corners or a crop were typed."""
        text = self.corner_text.value if self.tool == "corners" else self.crop_text.value
        numbers = [int(word) for word in re.findall(r"-?\d+", text or "")]
        if self.tool == "corners" and len(numbers) == 8:
            self.project.set(CORNERS=[numbers[k:k + 2] for k in range(0, 8, 2)])
        elif self.tool == "crop" and len(numbers) == 4:
            self.project.set(CROP=numbers)
        else:
            wanted = "8 whole numbers, x and y of four corners" if self.tool == "corners" else "4 whole numbers"
            return self.desk.say(f"{len(numbers)} numbers are not understood; give {wanted}")
        await self.changed()

    async def find(self):
        """Have the script find the corners."""
        target = self.project.view("found.png")
        found, sentence = await pool.call(workers.prepare, str(self.project.image), {"CORNERS": "auto"}, 10**6,
                                             str(target))
        if found is None:
            return self.desk.say(sentence)
        _, corners, notes = found
        if corners:
            self.project.set(CORNERS=[[round(x), round(y)] for x, y in corners])
        else:
            self.desk.say(next(iter(notes), "no corners were found"))
        await self.changed()

    async def undo(self):
        """Take back the last stroke."""
        if self.tool == "blend":
            several.paint(self.project, self.project.settings.get("painted", [])[:-1])
        else:
            await self.paint(self.strokes()[:-1])
        await self.changed()

    async def take_back(self):
        """Take back all that the tool did."""
        if self.tool == "mask":
            await self.paint([])
        elif self.tool == "blend":
            several.paint(self.project, [])
        else:
            self.project.set(**{"CORNERS" if self.tool == "corners" else "CROP": None})
        await self.changed()

    async def light(self, event):
        """Even light was turned on or off."""
        if self.project is not None and event.value != self.project.settings.get("EVEN_LIGHT", False):
            self.project.set(EVEN_LIGHT=event.value)
            await self.changed()


def inset(size):
    """The corners of a rectangle a little inside a picture (width, height), clockwise from the upper left."""
    (width, height), k = size, INSET
    return [[width * k, height * k], [width * (1 - k), height * k], [width * (1 - k), height * (1 - k)],
            [width * k, height * (1 - k)]]
