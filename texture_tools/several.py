"""Several textures for one model: which photos they are, what they are called, and what does not go together with them.
"""

import difflib
import os
from pathlib import Path

from . import files, materials
from .errors import UserError, printable

SUFFIXES = materials.SUFFIXES | {".avif", ".heic", ".heif"}  # of the photos in a folder


def photos_in(folder):
    """The pictures of a folder in the order of their names, if none of them is called as a material's maps are."""
    paths = [path for path in sorted(Path(folder).iterdir())
             if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")]
    return [] if any(materials.what_it_holds(path.stem) for path in paths) else paths


def paths_of(c, home):
    """The paths of the photos that IMAGE names: one, a photo's or a material's, or several textures'; a relative one is
    also looked for in the folder home. UserError where the constants do not go together with that."""
    paths = [files.find_file(path, home) for path in ([c.IMAGE] if isinstance(c.IMAGE, str) else c.IMAGE)]
    if len(paths) == 1 and os.path.isdir(paths[0]) and len(photos_in(paths[0])) > 1:
        paths = photos_in(paths[0])
    if len(paths) == 1:
        refuse(c, ("TEXTURE", "BLEND"), "names one of several textures", "IMAGE is one")
    else:
        refuse(c, ("CROP", "CORNERS", "MASK", "PIXELS"), "is for one photo", f"IMAGE is {len(paths)} textures")
        check_names(paths, c.TEXTURE)
    return paths


def refuse(c, names, what, but):
    """UserError if any of some constants is set."""
    for name in names:
        if getattr(c, name) is not None:
            raise UserError(f"{name} = {getattr(c, name)!r} {what}, and {but}; leave it out")


def check_names(paths, texture):
    """UserError if two photos have one name, if one is a folder, or if none is called as TEXTURE says."""
    names = {}
    for path in paths:
        name = files.name_of(path)
        if os.path.isdir(path):
            raise UserError(f"{printable(path)} is a folder; several textures are photos: a folder of maps is drawn "
                            "alone")
        if name.lower() in names:
            raise UserError(f"both {printable(names[name.lower()])} and {printable(path)} are called {name}; rename "
                            "one of them, since a texture is asked for by its name")
        names[name.lower()] = path
    known = [files.name_of(path) for path in paths]
    if texture is not None and texture not in known:
        nearest = difflib.get_close_matches(texture, known, 1, 0)[0]
        raise UserError(f"there is no texture {texture} among {', '.join(known)}; the nearest is TEXTURE={nearest}")


def check_plain(maps):
    """UserError if one of the photos {name: its Maps or None} has more than its colours."""
    for name in (name for name, found in maps.items() if found):
        raise UserError(f"{name} is transparent, which does not go together with several textures; ALPHA=fill fills "
                        "that with its mean colour")


def name_of(image, names):
    """What is made of several textures is called after their folder, or, if they were listed, by all their names."""
    return files.name_of(image) if isinstance(image, str) else files.name_of("+".join(names) + ".png")
