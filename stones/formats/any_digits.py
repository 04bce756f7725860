"""Ints of any number of digits, as text.

Python limits the digits of an int that it reads or writes as text, because many digits take long.
A person who types or asks for such an int waits for it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from attrs import define, field


@contextmanager
def any_digits() -> Iterator[None]:
    """Ints of any length can be read and written as text in the block.

    This is for the whole process, so the block only reads or writes one value. Blocks of several
    threads may overlap: the limit is back at the end of the last one.
    """
    _blocks.begin()
    try:
        yield
    finally:
        _blocks.end()


@define
class _Blocks:
    """The blocks that are open, and the limit from before the first of them."""

    open: int = 0
    limit: int = 0
    lock: Lock = field(factory=Lock)

    def begin(self) -> None:
        with self.lock:
            if not self.open:
                self.limit = sys.get_int_max_str_digits()
                sys.set_int_max_str_digits(0)
            self.open += 1

    def end(self) -> None:
        with self.lock:
            self.open -= 1
            if not self.open:
                sys.set_int_max_str_digits(self.limit)


_blocks = _Blocks()
