"""Progress bars for long work: how far it is, how fast, and how long it takes yet.

They are drawn by rich on stderr, and only if that is a terminal. Otherwise rich is not loaded.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Move = Callable[..., None]
"""Called with what is done and, where it is known, with all that there is to do."""


@contextmanager
def progress_bar(label: str, unit: str = "") -> Iterator[Move | None]:
    """Draw a bar while the block runs. Gives the function that moves it: `progress=` takes it.

    Gives None if stderr is no terminal. `unit` is what is counted, for the rate: "entries". The
    function is called with what is done and with all; without the second, the bar has no end.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from .bars import Bar

    bar = Bar(label, unit)
    # Not `with bar`: an interrupt on entry would leave the cursor hidden.
    try:
        bar.start()
        yield bar.move
    finally:
        bar.stop()


@contextmanager
def file_bar(label: str, file: str, size: int | None) -> Iterator[None]:
    """Draw a bar for a file that grows to about `size` bytes while the block runs.

    For work that is one call of a client in C, which tells nothing: the file is looked at five
    times a second. None: nobody knows the size.
    """
    with progress_bar(label, "bytes") as move:
        if move is None:
            yield
            return
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.2):
                with suppress(OSError):  # it is not there yet, or has been moved to its place
                    found = os.stat(file).st_size
                    move(found if size is None else min(found, size), size)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            move(size or 1, size or 1)
        finally:
            ended.set()
            watcher.join()
