"""Which pictures a folder stands for: its own, or those of one folder in it."""

from __future__ import annotations

from pathlib import Path

from ..running.errors import UserError, printable
from . import map_names, photos

UNREAD = {  # pictures, too, that are left out, which has to be said
    ".psd", ".psb", ".xcf", ".kra", ".gif", ".hdr", ".jp2", ".jxl", ".ktx", ".ktx2", ".svg", ".dng",
    ".cr2", ".nef", ".arw", ".sbsar",
}

Pictures = tuple[list[Path], list[Path]]  # those that are read, and those that are left out


def pictures_in(folder: str | Path) -> Pictures:
    """The paths of the pictures in a folder, in the order of their names, and of those that cannot
    be read."""
    paths = [path for path in sorted(Path(folder).iterdir())
             if path.is_file() and not path.name.startswith(".")]
    read = [path for path in paths if photos.is_picture(path)]
    return read, [path for path in paths if path not in read and path.suffix.lower() in UNREAD]


def look_into(folder: str | Path) -> Pictures:
    """The paths of the pictures that a folder stands for, and of those that are left out.

    They are its own, or, if it holds no material and no several photos, those of a folder in it:
    the only one with a material, or with pictures. UserError if it could be one of several.
    """
    own, unread = pictures_in(folder)
    found = map_names.sort_out(own)
    if found.maps or found.materials or len(map_names.without_previews(own)) > 1:
        return own, unread

    # the folders in it that hold pictures, and those of them that hold a material
    inside = {path: pictures_in(path) for path in sorted(Path(folder).iterdir())
              if path.is_dir() and not path.name.startswith((".", "__"))}
    inside = {path: pictures for path, pictures in inside.items() if pictures[0]}
    sorted_out = {path: map_names.sort_out(pictures) for path, (pictures, _) in inside.items()}
    materials = [path for path, found in sorted_out.items() if found.maps or found.materials]

    chosen = materials or [*inside]
    if not chosen:
        return own, unread
    if len(chosen) > 1:
        what = "materials" if materials else "folders of pictures"
        names = ", ".join(printable(path.name) for path in chosen)
        raise UserError(f"{printable(folder)} holds {len(chosen)} {what}: {names}; give a folder "
                        "with one of them alone")
    pictures, more = inside[chosen[0]]
    return pictures, own + unread + more
