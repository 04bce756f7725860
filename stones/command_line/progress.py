"""Progress bars for long work: how far it is, how fast, and how long it takes yet.

They are drawn by rich on stderr, and only if that is a terminal. Otherwise rich is not loaded.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
