"""The page to work on: python page.py opens it in the browser; python page.py --help says more."""

import runpy

if __name__ == "__main__":  # the processes that it starts read this file, too
    runpy.run_module("page", run_name="__main__", alter_sys=True)
