"""The program as it was installed and started: its version, what the person typed to run it, where its own files are.
"""

import importlib.metadata
import os
import platform
import re
import runpy
import shlex
import signal
import sys
from pathlib import Path

from . import __version__
from .errors import printable

WINDOWS = os.name == "nt"
SCRIPT, COMMAND = "texture_diffusion.py", "texture-diffusion"  # the command is what pip install makes of the script
SHIPPED = Path(__file__).resolve().with_name("shipped")  # the photo and the prior of the defaults in a wheel


def versions(torch=None):
    """One line that says with what a result was made, with which version of torch; None: the one that is installed,
    which is not imported for that."""
    return f"texture_diffusion {__version__}, torch {torch or installed('torch')}, Python {platform.python_version()}"


def installed(package):
    """The version of a package, in words if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def typed(*words):
    """How the person ran the script, for advice that can be pasted, with words behind it; run by another program, as
    from its own folder."""
    path = Path(sys.argv[0])
    begun = [COMMAND] if path.stem == COMMAND else ["python", sys.argv[0] if path.name == SCRIPT else SCRIPT]
    return printable(command_line([*begun, *words]))


def command_line(words):
    """Words as they are typed in this system's shell: those of Windows know double quotes alone."""
    return " ".join(map(quoted, words)) if WINDOWS else shlex.join(words)


def quoted(word):
    """A word as cmd and PowerShell take it, in quotes if it holds what may mean something to either of them."""
    if re.fullmatch(r"[\w.:\\/=+-]+", word):
        return word
    inside = re.sub(r'(\\*)"', r'\1\1\\"', word)  # backslashes count where they stand before a quote
    return '"' + re.sub(r"(\\+)$", r"\1\1", inside) + '"'


def words():
    """The words with which a person runs the script in a terminal."""
    return [COMMAND] if is_installed() else ["python", SCRIPT]


def is_installed():
    """Whether pip installed this, and not a person who cloned the repository."""
    return SHIPPED.is_dir()


def home_of(script):
    """The folder with the photo and the prior of the defaults: the script's own, or, installed, one in this package, so
    that nothing but the two lies in it."""
    return SHIPPED if is_installed() else Path(script).resolve().parent


def run_script():
    """Be the script: the command that pip install makes. Not imported but run: it answers before its imports."""
    runpy.run_module(Path(SCRIPT).stem, run_name="__main__")


def run_page():
    """Be the page, which is told the words behind "page", until it ends: a package beside the script, or, installed, in
    this one."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, handler)  # the page has its own way of ending
    del sys.argv[1]
    name = f"{__package__}.page" if is_installed() else "page"
    runpy.run_module(name, run_name="__main__", alter_sys=True)
