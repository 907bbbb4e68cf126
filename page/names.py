"""What is known of a texture by its path: its picture, a name to show, a key for what is made of it."""

import hashlib
import os
import re
from pathlib import Path


def picture_of(texture):
    """The path of what is seen of a texture: its file, or of a material's the one that comes first, its colour."""
    path = Path(texture.output)
    if not path.is_dir():
        return path
    maps = sorted(path.glob("*.png"))
    same = len(os.path.commonprefix([file.stem for file in maps])) if len(maps) > 1 else 0  # the texture's name
    coloured = [file for file in maps if any(word in file.stem[same:].lower() for word in ("col", "diff", "albedo"))]
    return next(iter(coloured or maps), path / "none.png")


def name_of(output):
    """A short name of a texture."""
    return Path(output).stem.removeprefix("output_texture_")


def is_material(output: str) -> bool:
    """Whether a texture has maps."""
    return Path(output).is_dir()


def is_seamless(output: str) -> bool:
    """Whether a texture repeats itself both ways, as a pattern has to."""
    return re.search(r"_tileable_xy([_.]|$)", name_of(output)) is not None


def is_wang(output: str) -> bool:
    """Whether Wang tiles were drawn in place of a texture."""
    return re.match(r"wang([_.]|$)", name_of(output)) is not None


def stamp_of(path):
    """When a file was changed last, ns; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0


def key_of(path, times=1):
    """16 hexadecimal digits for the content of a file, repeated so many times."""
    return hashlib.sha256(f"{path}:{stamp_of(path)}:{times}".encode()).hexdigest()[:16]
