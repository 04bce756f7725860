"""Searches texts for the regular expressions of filters, until the deadline of the request.

Nothing can end a search of `re`, and no other thread runs meanwhile. A search that may take long
is therefore made by another process, which is ended at the deadline. `x.*y` may take n**2 steps for
a text of n characters. What cannot take many steps is searched here, at the speed of `re`.
"""

import re
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from struct import pack

from stones.collections.language.pattern_search import Search, limit_searches
from stones.errors import StorageError

from .limits import Deadline
from .patterns import degree_of

_STEPS = 200_000
"""A search of so many steps is made here. It takes 5 ms at most."""
_LOOK = 0.05
"""The seconds between two looks at the deadline."""
_PROGRAM = """
import re, struct, sys
take = sys.stdin.buffer.read
while head := take(16):
    parts = [take(size).decode('utf-8', 'surrogatepass') for size in struct.unpack('QQ', head)]
    sys.stdout.buffer.write(b'-' if re.search(*parts) is None else b'+')
    sys.stdout.buffer.flush()
"""


@contextmanager
def limited_searches(deadline: Deadline) -> Iterator[None]:
    """Searches of filters in this thread end at the deadline, by TimeLimitError."""
    limit_searches(_limited)
    searcher = _Searcher(deadline)
    token = _searcher.set(searcher)
    try:
        yield
    finally:
        _searcher.reset(token)
        searcher.close()


class _Searcher:
    """The process that searches for one request. It starts with the first search."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None

    def search(self, pattern: str, text: str) -> bool | None:
        """Whether the text has a match: True or None. Raises TimeLimitError."""
        self._deadline.check()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is for the server
            )
        sent, answers = self._process.stdin, self._process.stdout
        assert sent is not None
        assert answers is not None
        parts = [each.encode("utf-8", "surrogatepass") for each in (pattern, text)]
        sent.write(pack("QQ", *map(len, parts)) + b"".join(parts))
        sent.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            while not selector.select(_LOOK):
                self._deadline.check()
        answer = answers.read(1)
        if not answer:
            raise StorageError("the process that searches for a regular expression has ended")
        return True if answer == b"+" else None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


_searcher: ContextVar[_Searcher | None] = ContextVar("searcher", default=None)


def _limited(pattern: re.Pattern[str]) -> Search:
    degree, search = degree_of(pattern.pattern), pattern.search
    longest = int(_STEPS ** (1 / degree))

    def limited(text: str) -> object:
        if len(text) <= longest or (searcher := _searcher.get()) is None:
            return search(text)
        return searcher.search(pattern.pattern, text)

    return limited
