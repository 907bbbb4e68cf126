"""What a run leaves of its constants: a TOML file beside each picture, which repeats the run, and the picture's metadata.
Both are the same where a run is repeated, wherever that is started."""

import os

from . import files, processes, program, toml_files
from .constants import FILES, FOLDERS, listed

LEFT_OUT = ("PRESET", "CONFIG", "CHECK", "FRESH", "JSON")  # which say nothing of what is drawn
NO_MEANS_NO = ("PRIOR",)  # whose None is another choice than leaving it out

HEAD = """\
# The run that drew {name}. With its model, which had seen {epochs} epochs, on the same machine
# this repeats it bit for bit:
#     {command} CONFIG={name}.toml
# EPOCHS={epochs} FRESH=True behind that trains the model anew, the same one if it was trained in one go.
# {versions}

"""


def save(results, name, c, step, home):
    """Write the file beside a picture of a name, drawn by a run with constants c and a model of so many steps.

    results: files.Results; home: a folder where files that constants name may lie, too.
    """
    try:
        content = document(name, c, step, home).encode()
    except UnicodeEncodeError:
        processes.ALONE.say(f"note: {name}.toml, which would repeat this run, is not written: a path in it is no text")
        return
    files.write_atomically(results.path(f"{name}.toml"), lambda file: file.write(content))


def document(name, c, step, home):
    """The file's text: constants that are None are left out, and paths do not depend on where it is read."""
    values = {key: placed(key, value, home) for key, value in vars(c).items() if key not in LEFT_OUT}
    kept = {key: value for key, value in values.items() if value is not None}
    kept.update({key: "None" for key in NO_MEANS_NO if values[key] is None})

    head = HEAD.format(name=name, epochs=f"{step * c.BATCH_SIZE / c.EPOCH_TILES:g}",
                       command=" ".join(program.words()), versions=program.versions())
    return head + toml_files.written(kept)


def told(c):
    """The constants c as metadata tells them, {name: value}: files by their names, without the folders they are in."""
    return {key: named(value) if key in FILES else value for key, value in vars(c).items()
            if key not in LEFT_OUT + FOLDERS}


def named(value):
    """A path, or each of several, as the name of its file."""
    if isinstance(value, str):
        return os.path.basename(os.path.normpath(value))
    return tuple(map(named, value)) if type(value) is tuple and all(type(part) is str for part in value) else value


def placed(key, value, home):
    """A constant's value with the whole path where it is a folder or the path of a file that is there, or several."""
    if key in FOLDERS:
        return os.path.abspath(value)
    if key not in FILES or value is None or key == "MASK" and (value == "alpha" or type(value) is tuple):
        return value
    paths = tuple(os.path.abspath(found) if os.path.exists(found := files.find_file(path, home)) else path
                  for path in listed(value))
    return paths[0] if isinstance(value, str) else paths
