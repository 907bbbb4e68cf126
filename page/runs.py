"""A run of the script, in a process of its own that outlives the page: what it tells goes to a file, from which a page
that was started anew knows how far it is."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil

from texture_diffusion_tools.running import events, program, signals
from texture_diffusion_tools.running.program import WINDOWS

SCRIPT = Path(importlib.util.find_spec("texture_diffusion").origin)  # beside the page, or where pip put it
MOST = 20  # textures that are shown, the newest first


class Told:
    """What the runs of a photo told so far, read from their file as it grows."""

    def __init__(self, path):
        self.path, self.offset, self.process = path, 0, None
        self.command, self.said, self.files, self.tiles = [], [], {}, None
        self.progress, self.ended, self.began = None, None, 0.0
        self.settings = {}  # the photo's, with which the last run was started
        self.textures = []  # of all runs, the newest first: SimpleNamespace(output, seed, files, ...)
        self.version = 0  # moves on with each event

    def read(self):
        """Take in what was told since."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                *lines, rest = file.read().split(b"\n")
        except OSError:
            return
        for line in lines:
            self.offset += len(line) + 1
            try:
                event = json.loads(line)
                self.take(SimpleNamespace(**event))
            except (ValueError, TypeError, AttributeError, StopIteration):
                continue  # a line cut off by a full disk or a kill

    def take(self, event):
        """Take in one event."""
        self.version += 1
        if event.event == "started":
            self.settings = getattr(event, "settings", {})
            self.command, self.said, self.files, self.tiles = event.command, [], {}, None
            self.progress, self.ended, self.began, self.process = None, None, event.time, None
        elif event.event == "process":
            self.process = event.number, event.created
        elif event.event == "said":
            self.said.append(event.text)
        elif event.event == "progress":
            self.progress = event
        elif event.event == "file":
            self.files[event.name] = event.path
        elif event.event == "tiles":
            self.tiles = event
        elif event.event == "figures":
            kind = next(name for name in ("output", "repaired", "maps") if hasattr(event, name))
            output, tiles = getattr(event, kind), self.tiles if kind == "output" else None
            texture = SimpleNamespace(output=output, seed=getattr(event, "seed", 0), repaired=kind == "repaired",
                                      estimated=kind == "maps", tiles=tiles and vars(tiles), figures=vars(event),
                                      settings=self.settings, files=self.files)
            others = [other for other in self.textures if other.output != output]
            self.textures = [texture, *others][:MOST]
        elif event.event == "ended":
            self.ended = event

    def is_running(self):
        """Whether the process that was started last is at work."""
        if self.process is None or self.ended is not None:
            return False
        number, created = self.process
        try:
            process = psutil.Process(number)
            return abs(process.create_time() - created) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def outcome(self):
        """(exit code or None, sentence) of the last run, or None while it is at work or if there was none."""
        if self.process is None or self.is_running():
            return None
        if self.ended is None:
            return None, "the run was ended from outside before it could say why; its log is " \
                         f"{self.path.with_name('log.txt')}. Start it again: it goes on from what was saved"
        return self.ended.code, self.ended.text


def start(arguments, path, log, settings=None):
    """Start the script with arguments; what it tells is added to path, what it prints to log. settings: the photo's,
    which its textures remember."""
    command = [*program.words(), *arguments]
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "started", "time": time.time(), "command": command,
                               "settings": settings or {}}) + "\n")
    stop_file(path).unlink(missing_ok=True)  # an earlier run's, which ended first
    alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if WINDOWS else {"start_new_session": True}
    with open(log, "ab") as output:
        process = subprocess.Popen([sys.executable, SCRIPT, *arguments], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, env=surroundings(path), **alone)
    created = psutil.Process(process.pid).create_time()
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "process", "time": time.time(), "number": process.pid, "created": created})
                   + "\n")
    return process


def surroundings(path):
    """The environment of a run that tells what it does to path: its log is UTF-8 on every system."""
    return {**os.environ, "PYTHONUTF8": "1", events.EVENTS: str(path), signals.STOP_FILE: str(stop_file(path))}


def stop_file(path):
    """The file that stops the run that tells what it does to path."""
    return Path(path).with_name("stop")


def stop(number, path):
    """Ask the run of a number that tells what it does to path to save and end. On Windows a signal reaches it only
    where the page has a console, and where it has none some versions of os.kill() end it unsaved."""
    if not WINDOWS:
        with contextlib.suppress(OSError):
            return os.kill(number, signal.SIGTERM)
    stop_file(path).touch()


def describe(told):
    """What a run is doing, in a few words."""
    if not told.is_running():
        return ""
    if told.progress is None or told.progress.done >= told.progress.total:
        return "getting ready" if told.progress is None else f"{told.progress.what}: done"
    return f"{told.progress.what} {told.progress.done / told.progress.total:.0%}{time_left(told.progress)}"


def time_left(progress):
    """", about 20 s left", or nothing if it is not known."""
    if progress.seconds_left is None:
        return ""
    seconds = round(progress.seconds_left)
    return f", about {seconds} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"
