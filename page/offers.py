"""What a texture can be downloaded as: buttons, and what they do."""

from pathlib import Path

from nicegui import ui

from . import pool, workers
from .names import key_of, name_of, picture_of


def buttons(desk, project, texture):
    """The buttons of one texture: its pictures, and files for other programs."""
    name = name_of(texture.output)
    maps = ("ZIP of all maps",) if Path(texture.output).is_dir() else tuple(workers.FORMATS)
    for kinds in (maps, workers.EXPORTS):
        with ui.row().classes("gap-1"):
            for kind in kinds:
                button = ui.button(kind, on_click=lambda kind=kind: take(desk, project, texture, kind))
                button.props('outline dense no-caps padding="2px 10px" '
                             f'aria-label="download {name} as {kind}"')


async def take(desk, project, texture, kind):
    """Download a texture."""
    path, name = Path(texture.output), f"{project.name}_{name_of(texture.output)}"
    if kind in workers.EXPORTS:
        found, sentence = await exported(project, texture, kind)
    elif path.is_dir():
        target = project.view(f"{name}.zip")
        found, sentence = await pool.call(workers.zipped, str(path), str(target))
    else:
        target = project.view(f"{name}{workers.FORMATS[kind]}")
        found, sentence = await pool.call(workers.converted, str(path), kind, str(target))
    if found is None:
        return desk.say(sentence)
    suffix = Path(found).suffix
    packed = f"_{kind.lower()}" if kind in workers.EXPORTS and suffix == ".zip" else ""
    ui.download.file(found, f"{name}{packed}{suffix}")


async def exported(project, texture, kind):
    """The file of a texture for other programs, and the sentence if it cannot be made."""
    folder = project.view(f"export_{key_of(picture_of(texture))}")
    return await pool.call(workers.exported, str(project.image), texture.output, kind, str(folder))
