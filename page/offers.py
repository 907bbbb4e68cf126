"""What a texture can be downloaded as: buttons, and what they do."""

from pathlib import Path
from types import SimpleNamespace

from nicegui import ui

from . import pool, workers
from .names import is_seamless, is_wang, key_of, name_of, picture_of

ALL_MAPS, ALL_TILES = "ZIP of all maps", "ZIP of all tiles"
OF_TILES = (".png", "_laid.png", ".json", ".tsx", ".glsl", ".gdshader")  # what WANG writes


def kinds_of(texture: SimpleNamespace) -> tuple[tuple[str, ...], ...]:
    """What one texture can be downloaded as: its pictures, and files for other programs."""
    pictures = (ALL_MAPS,) if Path(texture.output).is_dir() else tuple(workers.FORMATS)
    if is_wang(texture.output):
        return pictures, (ALL_TILES,)
    seamless = is_seamless(texture.output) and not texture.repaired
    return pictures, (*workers.EXPORTS, workers.PATTERN) if seamless else workers.EXPORTS


def buttons(desk, project, texture):
    """The buttons of one texture."""
    name = name_of(texture.output)
    for kinds in kinds_of(texture):
        with ui.row().classes("gap-1"):
            for kind in kinds:
                button = ui.button(kind, on_click=lambda kind=kind: take(desk, project, texture, kind))
                button.props('outline dense no-caps padding="2px 10px" '
                             f'aria-label="download {name} as {kind}"')


async def take(desk, project, texture, kind):
    """Download a texture."""
    path, name = Path(texture.output), f"{project.name}_{name_of(texture.output)}"
    packed = ""  # added to the name of a ZIP
    if kind in (*workers.EXPORTS, workers.PATTERN):
        found, sentence = await exported(project, texture, kind)
        packed = f"_{kind.lower()}"
    elif kind == ALL_TILES:
        packed = "_tiles"
        target = project.view(f"{name}{packed}.zip")
        found, sentence = await pool.call(workers.zipped_tiles, files_of(texture), str(path.parent),
                                          str(target))
    elif path.is_dir():
        target = project.view(f"{name}.zip")
        found, sentence = await pool.call(workers.zipped, str(path), str(target))
    else:
        target = project.view(f"{name}{workers.FORMATS[kind]}")
        found, sentence = await pool.call(workers.converted, str(path), kind, str(target))
    if found is None:
        return desk.say(sentence)
    suffix = Path(found).suffix
    ui.download.file(found, f"{name}{packed if suffix == '.zip' else ''}{suffix}")


def files_of(texture: SimpleNamespace) -> list[str]:
    """The paths of all files that were written of Wang tiles. A name that was taken got a number,
    so they are found by the names that the script told."""
    path = Path(texture.output)
    told = {Path(path): name for name, path in texture.files.items()}
    stem = told.get(path, path.name).removesuffix(".png")

    beside = [f"{stem}{end}" for end in OF_TILES]
    return [path for name, path in texture.files.items()
            if name in beside or name.startswith(f"{stem}/")]


async def exported(project, texture, kind):
    """The file of a texture for other programs, and the sentence if it cannot be made."""
    folder = project.view(f"export_{key_of(picture_of(texture))}")
    return await pool.call(workers.exported, str(project.photo), texture.output, kind, str(folder))
