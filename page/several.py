"""Several textures in one picture: a list of them, in which one is chosen to be painted, each in its
colour; the picture made of that is BLEND."""

from __future__ import annotations

from nicegui import ui

from . import workers
from .projects import Project
from .shape import size_of

COLOURS = ("#ff5a1f", "#2f80ed", "#27ae60", "#f2c94c", "#bb6bd9", "#56ccf2")


def colour_of(label: int) -> str:
    """The colour in which a texture is painted; the first one is what is not painted."""
    return COLOURS[(label - 1) % len(COLOURS)]


def map_of(project: Project) -> str:
    """The path of the picture that says which texture lies where."""
    return (project.folder / "map.png").as_posix()


def paint(project: Project, strokes: list) -> None:
    """Make BLEND of strokes [(width, [(x, y)], label)], whose lengths are shares of the map's sides,
    or leave it out if there are none."""
    draw(project, strokes)  # first: BLEND never names a file that is not there
    project.set(painted=strokes or None, BLEND=map_of(project) if strokes else None)


def fit(project: Project) -> None:
    """Make the map as large as what is to be drawn, if there is one: without OUTPUT_SIZE its size
    is what counts."""
    draw(project, project.settings.get("painted", []))


def draw(project: Project, strokes: list) -> None:
    """Write the map of strokes, if there are any."""
    size = size_of(project.settings)
    if strokes and size:
        workers.paint_map(size, len(project.textures), strokes, map_of(project))


class Textures:
    """The list of a photo's textures; label: which one is painted."""

    def __init__(self) -> None:
        self.label, self.shown = 1, None
        self.box = ui.element("div").classes("thumbs")
        self.box.props("role=group aria-label='the texture to paint'")

    def fill(self, project: Project) -> None:
        """Show a photo's textures, if there are several."""
        self.box.visible = len(project.textures) > 1
        if self.shown == (project.name, self.label):
            return
        self.label = min(self.label, max(1, len(project.textures) - 1))
        self.shown = project.name, self.label

        self.box.clear()
        with self.box:
            for label, path in enumerate(project.textures):
                self.build(project, label, path)

    def build(self, project: Project, label: int, path: str) -> None:
        """One of them; the first is what is not painted."""
        name, chosen = path.rsplit("/", 1)[-1], label == self.label
        button = ui.element("button").classes("thumb")
        button.props(f"type=button aria-pressed={'true' if chosen else 'false'} "
                     f'aria-label="paint {name}"')
        if label:
            button.style(f"border-bottom-color: {colour_of(label)}")
            button.on("click", lambda: self.choose(project, label))
        with button:
            ui.image(f"/view/{project.name}/texture{label}.png").props("no-spinner alt=''")
            ui.label(name if label else f"{name}, all else")

    def choose(self, project: Project, label: int) -> None:
        """Another one is painted."""
        self.label = label
        self.fill(project)
