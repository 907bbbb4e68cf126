"""The program as it was installed and started: its version, the command that the person typed, and
where its own files are.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import runpy
import shlex
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from .. import __version__
from .errors import printable

WINDOWS = os.name == "nt"
SCRIPT = "texture_diffusion.py"
COMMAND = "texture-diffusion"  # pip install makes it of the script
PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"  # a wheel's default photo and weights


def versions(torch: str | None = None) -> str:
    """One line that says with which versions a result was made. torch: its version, or None for the
    one that is installed, which is not imported for that."""
    torch = torch or installed("torch")
    return f"texture_diffusion {__version__}, torch {torch}, Python {platform.python_version()}"


def installed(package: str) -> str:
    """The version of a package, in words if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def typed(*words: str) -> str:
    """The command by which the person ran the script, with words behind it, for advice that can be
    pasted. If another program ran it, the command is that of the script's own folder."""
    path = Path(sys.argv[0])
    if path.stem == COMMAND:
        begun = [COMMAND]
    else:
        begun = ["python", sys.argv[0] if path.name == SCRIPT else SCRIPT]

    return printable(command_line([*begun, *words]))


def command_line(words: Iterable[str]) -> str:
    """Words as they are typed in this system's shell: those of Windows know double quotes alone."""
    return " ".join(map(quoted, words)) if WINDOWS else shlex.join(words)


def quoted(word: str) -> str:
    """A word for cmd and PowerShell, in quotes if it holds a letter that either may interpret."""
    if re.fullmatch(r"[\w.:\\/=+-]+", word):
        return word
    inside = re.sub(r'(\\*)"', r'\1\1\\"', word)  # backslashes count where they precede a quote
    return '"' + re.sub(r"(\\+)$", r"\1\1", inside) + '"'


def words() -> list[str]:
    """The words with which a person runs the script in a terminal."""
    return [COMMAND] if is_installed() else ["python", SCRIPT]


def is_installed() -> bool:
    """Whether pip installed this program; else a person cloned the repository."""
    return SHIPPED.is_dir()


def home() -> Path:
    """The folder with the photo and the weights of the defaults. It is the script's own, in which
    this package lies; installed, it is one in this package that holds nothing else."""
    return SHIPPED if is_installed() else PACKAGE.parent


def run_script() -> None:
    """Be the script: the command that pip install makes. The script is run rather than imported, so
    that it answers before its imports."""
    runpy.run_module(Path(SCRIPT).stem, run_name="__main__")


def run_page() -> None:
    """Be the page until it ends. It is told the words behind "page", and is a package beside the
    script, or, installed, in this one."""
    # the page has its own way of ending
    for number, handler in ((signal.SIGINT, signal.default_int_handler),
                            (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, handler)

    del sys.argv[1]
    name = "texture_diffusion_tools.page" if is_installed() else "page"
    runpy.run_module(name, run_name="__main__", alter_sys=True)
