"""The processes that do what takes longer than a page may wait. They end with it, however it ends."""

import asyncio
import functools
import multiprocessing
import os
import signal
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from texture_diffusion_tools.running.errors import RunError, UserError, first_line

MOST = 4  # processes; each may hold a photo of 100 megapixels


@functools.cache
def processes() -> ProcessPoolExecutor:
    """The pool; each of its processes is started when there is first something to do for it."""
    return ProcessPoolExecutor(min(MOST, os.cpu_count() or 1), multiprocessing.get_context("spawn"),
                               initializer=end_with_parent)


def end_with_parent():
    """Have this process end as soon as the one that started it is gone, which may not say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the page's

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


async def call(function, *arguments):
    """Call a function of plain values in another process; returns (what it returns, ""), or (None, the
    sentence)."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(processes(), guarded, function, *arguments)
    except BrokenProcessPool:
        processes.cache_clear()  # the next call starts new ones
        return None, "a process that worked on that was ended from outside; try it again"
    except (RuntimeError, asyncio.CancelledError):
        return None, "the page is being closed"


def guarded(function, *arguments):
    """The same in this process. What is known of an error that is not the person's is printed."""
    try:
        return function(*arguments), ""
    except (UserError, RunError) as error:
        return None, str(error)
    except MemoryError:
        return None, "the memory is full"
    except Exception as error:
        traceback.print_exc()
        return None, f"that did not work ({first_line(error)}); what is known of it was printed"


def stop():
    """End them all."""
    for process in multiprocessing.active_children():
        process.kill()
    processes().shutdown(cancel_futures=True)
