"""The prefixes of keys in a store, as folders are: found by jumping from one to the next.

A prefix ends with the first `/` or `:` behind another prefix. Keys between two prefixes are jumped
over too, so the cost grows with the prefixes, and not with the keys.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from stones.engine import Transaction
from stones.stores.database_reader import DATA
from stones.stores.spans import prefix_span

_END = re.compile(rb"[/:]")


@frozen
class Prefixes:
    """The next prefixes behind a prefix."""

    found: tuple[bytes, ...]
    """The prefixes, in order."""
    has_more: bool
    """Whether there may be more of them."""


def next_prefixes(txn: Transaction, prefix: bytes, most: int = 50) -> Prefixes:
    """The prefixes that are one step longer than `prefix`. About one read for each.

    >>> from stones.engines.memory import MemoryEngine
    >>> txn = MemoryEngine().begin(write=True)
    >>> for key in (b'a/1', b'a/b/2', b'b', b'c:3'):
    ...     txn.put(DATA, key, b'')
    >>> next_prefixes(txn, b'').found
    (b'a/', b'c:')
    """
    found: list[bytes] = []
    for number, each in enumerate(_steps(txn, prefix)):
        if number == 2 * most or len(found) == most:
            return Prefixes((*found,), True)
        if each is not None:
            found.append(each)
    return Prefixes((*found,), False)


def _steps(txn: Transaction, prefix: bytes) -> Iterator[bytes | None]:
    """The next prefixes, and None for a key without one."""
    span = prefix_span(prefix)
    start = span.start
    while (key := next(iter(txn.keys(DATA, start, span.stop)), None)) is not None:
        end = _END.search(key, len(prefix))
        if end is None:
            yield None
            start = key + b"\0"
            continue
        head = key[: end.end()]
        yield head
        after = prefix_span(head).stop
        if after is None:
            return
        start = after
