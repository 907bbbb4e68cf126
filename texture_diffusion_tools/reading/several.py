"""Several textures for one model: which photos they are, what they are called, and what does not go
together with them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..running import files
from ..running.constants import listed
from ..running.errors import UserError, printable
from . import archives, folders, map_names, materials


def photos_in(folder: str | Path) -> list[Path]:
    """The pictures of a folder in the order of their names, if they are no material's maps."""
    paths, _ = folders.look_into(folder)
    found = map_names.sort_out(paths)
    return [] if found.maps or found.materials else paths


def described(image: str | tuple, paths: Sequence[str | Path]) -> list[str]:
    """Sentences that say what IMAGE was taken for, of the paths that paths_of found; UserError as
    materials.recognised has it."""
    if len(paths) == 1:
        return materials.recognised(paths[0])[1] if os.path.isdir(paths[0]) else []

    left = folders.pictures_in(os.path.dirname(paths[0]))[1] if isinstance(image, str) else []
    names, others = (", ".join(printable(os.path.basename(path)) for path in some)
                     for some in (paths, left))
    taken = f"IMAGE is {len(paths)} textures: {names}"
    return [taken, f"{others} was left out: no picture that is read"] if left else [taken]


def paths_of(c: SimpleNamespace, home: Path, stack: ExitStack) -> list[str | Path]:
    """The paths of the photos that IMAGE names: one, a photo's or a material's, or several
    textures'; a relative one is also looked for in the folder home. A ZIP is unpacked until the
    ExitStack is left. UserError where the constants do not go together with that."""
    paths: list[str | Path] = [files.find_file(path, home) for path in listed(c.IMAGE)]
    if len(paths) == 1 and archives.is_archive(paths[0]):
        paths = [stack.enter_context(archives.unpacked(paths[0]))]
    if len(paths) == 1 and os.path.isdir(paths[0]) and len(photos_in(paths[0])) > 1:
        paths = [*photos_in(paths[0])]

    # what does not go together with that
    if len(paths) > 1:
        refuse(c, ("CROP", "CORNERS", "MASK", "PIXELS"), "is for one photo",
               f"IMAGE is {len(paths)} textures")
        if c.MAPS:
            raise UserError(f"MAPS makes a material of one photo, and IMAGE is {len(paths)} "
                            "textures; leave it out, or give each photo alone, as EACH=True does")
        check_names(paths, c.TEXTURE)
        return paths

    refuse(c, ("TEXTURE", "BLEND"), "names one of several textures", "IMAGE is one")
    if os.path.isdir(paths[0]):
        refuse(c, ("PIXELS",), "is for a photo that is pixel art",
               f"{printable(paths[0])} is a folder of maps")
    return paths


def refuse(c: SimpleNamespace, names: Sequence[str], what: str, but: str) -> None:
    """UserError if any of some constants is set."""
    for name in names:
        if getattr(c, name) is not None:
            raise UserError(f"{name} = {getattr(c, name)!r} {what}, and {but}; leave it out")


def check_names(paths: Sequence[str | Path], texture: str | None) -> None:
    """UserError if two photos have one name, if one is a folder, or if none is called as TEXTURE
    says."""
    names = {}
    for path in paths:
        name = files.name_of(path)
        if os.path.isdir(path):
            raise UserError(f"{printable(path)} is a folder; several textures are photos: a folder "
                            "of maps is drawn alone")
        if name.lower() in names:
            raise UserError(f"both {printable(names[name.lower()])} and {printable(path)} are "
                            f"called {name}; rename one of them, since a texture is asked for by "
                            "its name")
        names[name.lower()] = path
    check_texture(texture, [files.name_of(path) for path in paths])


def check_texture(texture: str | None, names: Sequence[str]) -> None:
    """UserError if none of the names is a texture's that is asked for, or None."""
    if texture is not None and texture not in names:
        nearest = difflib.get_close_matches(texture, names, 1, 0)[0]
        raise UserError(f"there is no texture {texture} among {', '.join(names)}; the nearest is "
                        f"TEXTURE={nearest}")


def check_drawing(c: SimpleNamespace, names: Sequence[str]) -> None:
    """UserError if what is to be drawn by the constants does not go together with textures of such
    names."""
    if len(names) == 1:
        refuse(c, ("TEXTURE", "BLEND"), "names one of several textures",
               f"the model is of {names[0]} alone")
    else:
        refuse(c, ("MASK",), "is for one photo", f"the model is of {len(names)} textures")
        check_texture(c.TEXTURE, names)


def check_plain(exemplars: Sequence[Any]) -> None:
    """UserError if one of several exemplars has more than its colours."""
    for one in exemplars:
        if not one.channels.is_plain():
            raise UserError(f"{one.name} is transparent, which does not go together with several "
                            "textures; ALPHA=fill fills that with its mean colour")


def name_of(image: str | tuple, names: Sequence[str]) -> str:
    """The name of what is made of several textures: their folder's, or, if they were listed, all
    of theirs."""
    if isinstance(image, str):
        return files.name_of(image)
    return files.name_of("+".join(names) + ".png")
