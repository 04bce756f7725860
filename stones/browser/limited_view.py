"""The store as one request sees it: one snapshot, read-only, until the deadline.

A request of a page reads all from one snapshot, so its parts agree with each other. An engine
without snapshots gives each read the store of that moment.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from stones.engine import Page, Space, Transaction
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.read_only import ForwardingReader, ReadOnlyTransaction
from stones.stores.reader import Reader
from stones.stores.store import Store

from .limits import Deadline

_ENTRIES = 256
"""The deadline is looked at after so many entries."""


class View(Reader[bytes, Any]):
    """A store as one request sees it. `Collection(view, Class)` is a collection that only reads."""

    def __init__(self, database: DatabaseReader) -> None:
        super().__init__(database, bytes, dict)


@contextmanager
def limited_view(store: Store[Any, Any], deadline: Deadline) -> Iterator[View]:
    """The store for reading until the block ends. Reads raise TimeLimitError at the deadline."""
    database = store.database
    with ExitStack() as stack:
        reader: DatabaseReader = database
        if database.engine.supports.snapshots:
            reader = stack.enter_context(database.snapshot())
        yield View(LimitedReader(reader, deadline))


class LimitedReader(ForwardingReader):
    """Reads what another reader reads, until the deadline."""

    def __init__(self, reader: DatabaseReader, deadline: Deadline) -> None:
        super().__init__(reader, lambda txn: _LimitedTransaction(txn, deadline))
        self._deadline = deadline

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        self._deadline.check()
        return super().get(key, space)


class _LimitedTransaction(ReadOnlyTransaction):
    __slots__ = ("_deadline",)
    reason = "a page only reads the store"

    def __init__(self, txn: Transaction, deadline: Deadline) -> None:
        super().__init__(txn)
        self._deadline = deadline

    def get(self, space: Space, key: bytes) -> bytes | None:
        self._deadline.check()
        return super().get(space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self._deadline.check()
        return super().get_many(space, keys)

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for number, entry in enumerate(super().scan(space, start, stop, reverse=reverse)):
            if number % _ENTRIES == 0:
                self._deadline.check()
            yield entry

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        for number, key in enumerate(super().keys(space, start, stop, reverse=reverse)):
            if number % _ENTRIES == 0:
                self._deadline.check()
            yield key

    def pages(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, **options: Any
    ) -> Iterator[Page]:
        for page in super().pages(space, start, stop, **options):
            self._deadline.check()
            yield page
