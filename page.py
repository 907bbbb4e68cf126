"""The page to work on: python page.py opens it in the browser.

    python page.py                                   for this machine alone
    python page.py --host 0.0.0.0                    for others in the network, too; asks for a password
    python page.py PRIOR=None "WIDTHS=(32,64)"       constants of the script for every run, as on its command line
"""

import sys

if __name__ == "__main__":  # the processes that it starts read this file, too
    try:
        from page import app
    except ImportError as problem:
        if "page" in (problem.name or "").split("."):
            raise
        print(f"page: a package is missing or broken ({problem}): pip install -r requirements-page.txt",
              file=sys.stderr)
        sys.exit(2)
    app.main(__doc__)
