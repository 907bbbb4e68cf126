"""What starts the page: python page.py, python -m page, or, where pip installed it, texture-diffusion page."""

import contextlib
import sys

from texture_diffusion_tools.running import program

MANUAL = """The page to work on: {command} opens it in the browser.

    {command}                                   for this machine alone
    {command} --host 0.0.0.0                    for others in the network, too; asks for a password
    {command} PRIOR=None "WIDTHS=(32,64)"       constants of the script for every run, as on its command line
"""

if __name__ == "__main__":  # the processes that it starts read this file, too
    try:
        from . import app
    except ImportError as problem:
        if "page" in (problem.name or "").split("."):
            raise
        packages = '"texture-diffusion[page]"' if program.is_installed() else "-r requirements-page.txt"
        print(f"page: a package is missing or broken ({problem}): pip install {packages}", file=sys.stderr)
        sys.exit(2)
    with contextlib.suppress(KeyboardInterrupt):  # by then all runs were asked to save
        app.main(MANUAL.format(command="texture-diffusion page" if program.is_installed() else "python page.py"))
