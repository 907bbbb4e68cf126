"""Several textures for one model: which photos they are, what they are called, and what does not go together with them.
"""

import difflib
import os

from . import archives, files, folders, map_names, materials
from .constants import listed
from .errors import UserError, printable


def photos_in(folder):
    """The pictures of a folder in the order of their names, if they are no material's maps."""
    paths, _ = folders.look_into(folder)
    found = map_names.sort_out(paths)
    return [] if found.maps or found.materials else paths


def described(image, paths):
    """Sentences that say what IMAGE was taken for, of the paths that paths_of found; UserError as recognised has it."""
    if len(paths) > 1:
        left = folders.pictures_in(os.path.dirname(paths[0]))[1] if isinstance(image, str) else []
        names, others = (", ".join(printable(os.path.basename(path)) for path in some) for some in (paths, left))
        taken = f"IMAGE is {len(paths)} textures: {names}"
        return [taken, f"{others} was left out: no picture that is read"] if left else [taken]
    return materials.recognised(paths[0])[1] if os.path.isdir(paths[0]) else []


def paths_of(c, home, stack):
    """The paths of the photos that IMAGE names: one, a photo's or a material's, or several textures'; a relative one is
    also looked for in the folder home. A ZIP is unpacked until the ExitStack is left. UserError where the constants do
    not go together with that."""
    paths = [files.find_file(path, home) for path in listed(c.IMAGE)]
    if len(paths) == 1 and archives.is_archive(paths[0]):
        paths = [stack.enter_context(archives.unpacked(paths[0]))]
    if len(paths) == 1 and os.path.isdir(paths[0]) and len(photos_in(paths[0])) > 1:
        paths = photos_in(paths[0])
    if len(paths) == 1:
        refuse(c, ("TEXTURE", "BLEND"), "names one of several textures", "IMAGE is one")
        if os.path.isdir(paths[0]):
            refuse(c, ("PIXELS",), "is for a photo that is pixel art", f"{printable(paths[0])} is a folder of maps")
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
    check_texture(texture, [files.name_of(path) for path in paths])


def check_texture(texture, names):
    """UserError if none of the names is a texture's that is asked for, or None."""
    if texture is not None and texture not in names:
        nearest = difflib.get_close_matches(texture, names, 1, 0)[0]
        raise UserError(f"there is no texture {texture} among {', '.join(names)}; the nearest is TEXTURE={nearest}")


def check_drawing(c, names):
    """UserError if what is to be drawn by the constants does not go together with textures of such names."""
    if len(names) == 1:
        refuse(c, ("TEXTURE", "BLEND"), "names one of several textures", f"the model is of {names[0]} alone")
    else:
        refuse(c, ("MASK",), "is for one photo", f"the model is of {len(names)} textures")
        check_texture(c.TEXTURE, names)


def check_plain(exemplars):
    """UserError if one of several exemplars has more than its colours."""
    for one in exemplars:
        if not one.channels.is_plain():
            raise UserError(f"{one.name} is transparent, which does not go together with several textures; ALPHA=fill "
                            "fills that with its mean colour")


def name_of(image, names):
    """What is made of several textures is called after their folder, or, if they were listed, by all their names."""
    return files.name_of(image) if isinstance(image, str) else files.name_of("+".join(names) + ".png")
