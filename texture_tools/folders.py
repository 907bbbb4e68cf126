"""Which pictures a folder holds."""

from pathlib import Path

from . import photos

UNREAD = {".psd", ".psb", ".xcf", ".kra", ".gif", ".hdr", ".jp2", ".jxl", ".ktx", ".ktx2", ".svg", ".dng", ".cr2",
          ".nef", ".arw", ".sbsar"}  # pictures, too, that are left out, which has to be said


def pictures_in(folder):
    """The paths of the pictures in a folder, in the order of their names, and of those that cannot be read."""
    paths = [path for path in sorted(Path(folder).iterdir()) if path.is_file() and not path.name.startswith(".")]
    read = [path for path in paths if photos.is_picture(path)]
    return read, [path for path in paths if path not in read and path.suffix.lower() in UNREAD]


def look_into(folder):
    """The paths of the pictures that a folder stands for, and of those that cannot be read."""
    return pictures_in(folder)
