"""Step 2: training and drawing, in a process of its own; how far it is, and what it makes."""

import csv
import time
from pathlib import Path

from nicegui import ui

from texture_diffusion_tools.running import program
from texture_diffusion_tools.writing import growing

from . import costs, offers, runs
from .names import name_of, picture_of
from .projects import EPOCHS
from .shape import Shape, size_of

LENGTHS = (0, 1, 2, 3, 5, 8, 12, 20, 35, 50)  # epochs to choose from
STOPPED = (130, 143, 149)  # the exit codes of SIGINT, SIGTERM and Windows' SIGBREAK
SAYS = {growing.NAME: "as it grows: the photo's own tiles, sketches between them, and what is drawn already",
        "preview.png": "above: tiles as the model draws them now among real ones; below: the photo",
        "prepared.png": "the photo"}
SMALL = 3e7  # bytes of a texture that is shown whole
CHART = {
    "animation": False, "grid": {"left": 46, "right": 12, "top": 28, "bottom": 34}, "color": ["#a4502c", "#4f7c78"],
    "legend": {"top": 0, "textStyle": {"color": "#8a8178"}}, "tooltip": {"trigger": "axis"},
    "xAxis": {"type": "value", "name": "tiles seen", "nameLocation": "middle", "nameGap": 22,
              "splitLine": {"show": False}},
    "yAxis": {"type": "value", "scale": True, "splitLine": {"lineStyle": {"color": "rgba(128,128,128,.2)"}}},
    "series": [{"name": "training loss", "type": "line", "showSymbol": False, "data": []},
               {"name": "validation loss", "type": "line", "symbolSize": 6, "data": []}],
}


class DrawStep:
    """The second step of a Desk."""

    def __init__(self, desk):
        self.desk, self.project = desk, None
        self.offered = None  # of which texture the buttons are
        self.told, self.rows = None, None  # what is shown of what the script said, and of its table
        with ui.element("div").classes("room"):
            with ui.element("div").classes("stage"):
                self.doing = ui.label().classes("text-lg").props("role=status")
                self.bar = ui.linear_progress(0, show_value=False, size="8px")
                self.bar.props("rounded instant-feedback aria-label=progress")
                self.error = ui.label().classes("note")
                with ui.element("div").classes("pictures"):
                    with ui.element("div").classes("picture large"):
                        self.picture = ui.image().props(
                            "no-spinner no-transition fit=contain position='0 0' alt='what is drawn'")
                        self.picture_says = ui.label().classes("quiet")
                        self.offers = ui.element("div").classes("made")
                    with ui.element("div").classes("picture") as self.beside:
                        with ui.element("div").classes("in_light") as self.in_light:
                            self.lit = ui.image().props("no-spinner no-transition alt='the material in light'")
                            self.lit_says = ui.label().classes("quiet")
                        self.chart = ui.echart(CHART).style("height: 15rem")
            with ui.element("div").classes("side"):
                self.shape = Shape(self.price)
                ui.label("Training").classes("quiet")
                self.length = ui.slider(min=0, max=len(LENGTHS) - 1, value=LENGTHS.index(EPOCHS), step=1,
                                        on_change=lambda: self.price())
                self.length.props("markers snap aria-label='length of training'")
                self.costs = ui.label().classes("quiet")
                self.go = ui.button("Draw", on_click=self.start).props("unelevated no-caps").classes("w-full")
                self.halt = ui.button("Stop and save", on_click=self.stop).props("outline no-caps").classes("w-full")
                self.look = ui.button("Look at it", on_click=lambda: desk.go("Look")).props("flat no-caps")
                self.look.classes("w-full")
                self.said = ui.column().classes("gap-2")
                ui.label("The same on the command line").classes("quiet")
                self.command = ui.label().classes("command")

    def epochs(self):
        """The chosen number of epochs."""
        return LENGTHS[int(self.length.value)]

    def price(self):
        """Say what the chosen length costs."""
        if self.project is None:
            return
        epochs, size = self.epochs(), size_of(self.project.settings)
        trained = f"{epochs} epoch{'s' * (epochs > 1)}" if epochs else "none: with the model, or the photo's patches"
        cost, alone = self.desk.projects.expect(self.project, epochs, size), self.project.is_maps_alone()
        self.costs.set_text(cost if alone else f"{trained}; {cost}")
        self.length.set_enabled(not alone)
        self.project.set(EPOCHS=epochs if epochs != EPOCHS else None)
        self.command.set_text(line_of(self.project))

    async def show(self, project):
        """Show how far a photo's run is."""
        if project is not self.project:
            self.project = project
            chosen = project.settings.get("EPOCHS", EPOCHS)
            self.length.set_value(min(range(len(LENGTHS)), key=lambda k: abs(LENGTHS[k] - chosen)))
        self.shape.fill(project)
        self.price()
        told, running = project.told, project.told.is_running()
        self.desk.projects.measure(project)
        self.command.set_text(line_of(project))
        self.go.visible, self.halt.visible = not running, running
        self.go.set_text("Go on" if told.outcome() and told.outcome()[0] in (*STOPPED, None) else "Draw")
        self.look.visible = bool(told.textures)
        self.progress(told, running)
        self.tell(told.said)
        self.curve(table(told.files.get("loss.csv")))
        self.show_lit(told)
        self.beside.visible = self.chart.visible or self.in_light.visible
        self.show_picture(told, running)

    def progress(self, told, running):
        """The bar, and what goes on in words; a run's error."""
        outcome, step = told.outcome(), told.progress
        self.bar.visible = running
        self.error.visible = bool(outcome and outcome[1])
        self.error.set_text(outcome[1] if outcome else "")
        if running and step is not None and step.done < step.total:
            self.bar.set_value(step.done / step.total)
            self.doing.set_text(f"{step.what}: {step.done} of {step.total}{runs.time_left(step)}")
        elif running:
            self.bar.set_value(1 if step else 0)
            first = "estimating its maps ..." if self.project.has_maps() else "getting ready ..."
            self.doing.set_text(costs.expected(told.said) or first if step is None
                                else "writing the pictures ..." if step.what == "drawing" else "laying it out ...")
        elif outcome is None:
            self.doing.set_text("Nothing was drawn of this photo yet.")
        else:
            self.doing.set_text({0: "Done.", None: "The run has ended.", **dict.fromkeys(STOPPED, "Stopped and saved.")
                                 }.get(outcome[0], "That did not work."))

    def tell(self, said):
        """What the script said."""
        if said == self.told:
            return
        self.told = list(said)
        self.said.clear()
        with self.said:
            for text in said:
                ui.label(text.removeprefix("note: ")).classes("note" if text.startswith("note: ") else "quiet")

    def curve(self, rows):
        """The loss curve, from the table that the script writes."""
        if rows == self.rows:
            return
        self.rows = rows
        for series, name in zip(self.chart.options["series"], ("training_loss", "validation_loss")):
            series["data"] = [[int(row["tiles"]), float(row[name])] for row in rows if row[name]]
        self.chart.visible = len(rows) > 1
        self.chart.update()

    def show_picture(self, told, running):
        """The photo, then the newest preview, then the texture as it grows, at last what was made, with its buttons."""
        newest = next(iter(told.textures), None) if not running else None
        name = newest and self.made(picture_of(newest))
        self.offer(newest if name else None)
        if name and is_small(picture_of(newest)):
            return self.put(picture_of(newest), f"/made/{self.project.name}/{name}", name_of(newest.output))
        for name in (growing.NAME, "preview.png"):
            if name in told.files and Path(told.files[name]).is_file():
                return self.put(Path(told.files[name]), f"/made/{self.project.name}/{name}", SAYS[name])
        self.put(self.project.view("prepared.png"), f"/view/{self.project.name}/prepared.png", SAYS["prepared.png"])

    def show_lit(self, told):
        """The material that was drawn in light, before that the photo's own maps; nothing without maps."""
        drawn = [name for name in told.files if name.startswith("material") and name.endswith(".png")]
        name = next((name for name in [*drawn, "maps_lit.png"] if Path(told.files.get(name, "none")).is_file()), None)
        self.in_light.visible = name is not None
        if name is not None:
            self.lit.set_source(f"/made/{self.project.name}/{name}?{Path(told.files[name]).stat().st_mtime_ns}")
            self.lit_says.set_text(f"{'the texture' if name in drawn else 'the photo'}, lit from four sides and on a "
                                   "sphere")

    def made(self, path):
        """The name by which the last run told of a file, or None."""
        return next((name for name, told in self.project.told.files.items() if Path(told) == path), None)

    def put(self, path, at, says):
        """Show a picture, if it is there."""
        self.picture.visible = self.picture_says.visible = path.is_file()
        if path.is_file():
            self.picture.set_source(f"{at}?{path.stat().st_mtime_ns}")
            self.picture_says.set_text(says)

    def offer(self, texture):
        """The buttons of what was made, or none."""
        wanted = texture and (texture.output, texture.figures.get("time"))
        if wanted == self.offered:
            return
        self.offered = wanted
        self.offers.clear()
        if texture is not None:
            with self.offers:
                offers.buttons(self.desk, self.project, texture)

    def start(self):
        """Start, or go on."""
        self.desk.draw()

    def stop(self):
        """Stop and save."""
        self.project.stop()
        self.doing.set_text("saving ...")


def is_small(path):
    """Whether a picture that is there has no more than SMALL bytes."""
    return path.exists() and path.stat().st_size <= SMALL


def line_of(project, **more):
    """The command line for a project's settings."""
    return program.command_line([*program.words(), *project.arguments(**more)])


def table(path):
    """The rows of a CSV file, none if there is none."""
    for _ in range(2):  # it may be just being replaced
        try:
            with open(path, newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        except (OSError, TypeError):
            time.sleep(0)
    return []
