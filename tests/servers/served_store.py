"""`stones serve` as a user starts it: a process of its own, which ends with the tests.

A test gets `serve`, which takes the place of a store and the options of the command, and gives the
URL of the page.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

Serve = Callable[..., str]
ROOT = Path(__file__).parent.parent.parent

# The shell waits for a line, or for the end of the tests, however they end, and stops the server.
_SCRIPT = '"$@" & read _; kill $! 2>/dev/null; wait $!'


@contextmanager
def served_store(place: object, *options: str) -> Iterator[str]:
    """The URL of the page of a store, as long as the block runs."""
    command = [sys.executable, "-m", "stones", "serve", str(place), "--port", "0", *options]
    process = subprocess.Popen(
        ["sh", "-c", _SCRIPT, "sh", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the tests
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            line = process.stdout.readline()  # nothing if it has ended
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found is None:
                raise RuntimeError(f"stones serve has no URL: {line!r}")
            yield found[0]
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def serve_for_all() -> Iterator[Serve]:
    """Serves stores until the last test of the file has ended. Gives the URL of the page."""
    with ExitStack() as stack:
        yield lambda place, *options: stack.enter_context(served_store(place, *options))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves stores until the test ends. Gives the URL of the page."""
    with ExitStack() as stack:
        yield lambda place, *options: stack.enter_context(served_store(place, *options))
