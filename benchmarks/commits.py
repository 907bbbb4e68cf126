"""Of which commit a figure is: every file that a benchmark writes says it, and none is made of two.

The commit of a figure is the last one that changed any of CODE, what can change a figure: the script, its rooms, the
benchmarks, the prior, the samples and the requirements, but no document among them, nor any test. So it stays the same
while other things are committed, and whoever checks it out has the same code. Changes that are not committed add a
digest of themselves. A page says it in its first line, a JPEG in its comment, a PNG in its text.
"""

import functools
import hashlib
import re
import subprocess
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

import benchmarks
from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
CODE = ("texture_diffusion.py", "texture_diffusion_tools", "benchmarks", "prior", "samples", "checkpoints/prior.pt",
        "requirements*.txt", ":(exclude)*.md")  # git's pathspecs
UNKNOWN = "no-commit"  # where there is no repository
DIGITS = 10  # of a commit


def git(*words):
    """What git says of CODE, "" if it is not installed or this is no repository."""
    try:
        result = subprocess.run(["git", *words, "--", *CODE], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return result.stdout.rstrip()


def uncommitted():
    """Paths of CODE that are not as they were committed."""
    return [line[3:] for line in git("status", "--porcelain").splitlines()]


def commit_now():
    """The last commit that changed CODE, with a digest of what is not committed."""
    changes = git("diff", "HEAD") + str(uncommitted())
    return (git("log", "-1", "--format=%H")[:DIGITS] or UNKNOWN) + \
        (f"-{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if uncommitted() else "")


@functools.cache
def commit():
    """The commit of the code as it was when this was first asked for: of all that this process makes."""
    return commit_now()


def check_unchanged():
    """UserError if the code is no longer that of commit(): what was made since may be of either."""
    if commit_now() != commit():
        raise UserError(f"the code has changed while figures were made, from commit {commit()} to {commit_now()}: "
                        "what was just made is not kept; change it back, or begin again with it")


def write_page(path, title, text):
    """Write a page of Markdown that says its commit and the machine."""
    check_unchanged()
    page = f"# {title}\n\nCommit {commit()}; {benchmarks.machine()}.\n\n{text}\n"
    files.write_atomically(path, lambda file: file.write(page.encode()))


def save_picture(path, picture):
    """Save a Pillow picture as the PNG or JPEG that its path names, with its commit."""
    check_unchanged()
    words, text = f"Commit {commit()}", PngInfo()
    text.add_text("Comment", words)
    kind, options = ("PNG", {"pnginfo": text}) if path.suffix == ".png" else ("JPEG", {"quality": 88, "comment": words})
    files.write_atomically(path, lambda file: picture.save(file, kind, **options))


def commit_in(path):
    """The commit that a page or picture says it is of; None if it says none, or is not there."""
    try:
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8").partition("\n\n")[2]
        else:
            with Image.open(path) as picture:
                text = picture.info.get("Comment", picture.info.get("comment", b""))
    except OSError:
        return None
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    found = re.match(rf"Commit ((?:[0-9a-f]{{{DIGITS}}}|{UNKNOWN})(?:-[0-9a-f]{{6}})?)\b", text)
    return found and found[1]
