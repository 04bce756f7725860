"""Ints of any number of digits, as text.

Python limits the digits of an int that it reads or writes as text, because many digits take long.
A person who types or asks for such an int waits for it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def any_digits() -> Iterator[None]:
    """Ints of any length can be read and written as text in the block.

    This is for the whole process, so the block only reads or writes one value.
    """
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
