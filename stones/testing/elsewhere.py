"""Running a function in another thread or process, for a test that waits for its end."""

import os
import threading
import warnings
from collections.abc import Callable


def in_thread(function: Callable[[], object]) -> list[object]:
    """Run a function in another thread, to its end. One item: its result, or its error."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(function())
        except Exception as error:  # noqa: BLE001  # whatever it is, the test asks for it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert outcome, "the thread did not come to an end"
    return outcome


def in_process(function: Callable[[], str]) -> str:
    """Run a function in a forked child, to its end. Its result, or the repr of its error."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside other threads
        child = os.fork()
    if child == 0:
        try:
            outcome = function()
        except BaseException as error:  # noqa: BLE001  # the parent would never see it
            outcome = repr(error)
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    return outcome
