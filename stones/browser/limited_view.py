"""The store as one request sees it: one snapshot, read-only, until the deadline.

A request of a page reads all from one snapshot, so its parts agree with each other. An engine
without snapshots gives each read the store of that moment.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from stones.engine import Page, Space, Transaction
from stones.errors import ReadOnlyError
from stones.formats.codec import Codec
from stones.stores.database_reader import DATA, DatabaseReader
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


class LimitedReader(DatabaseReader):
    """Reads what another reader reads, until the deadline."""

    def __init__(self, reader: DatabaseReader, deadline: Deadline) -> None:
        self._reader = reader
        self._deadline = deadline
        self.engine = reader.engine
        self.name = reader.name
        self.codec = reader.codec

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        self._deadline.check()
        return self._reader.get(key, space)

    def count(self) -> int:
        return self._reader.count()

    def sum(self, key: bytes) -> int:
        return self._reader.sum(key)

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._reading()

    def codec_at(self, txn: Transaction) -> Codec:
        return self._reader.codec_at(txn)

    def decode(self, key: bytes, raw: bytes) -> Any:
        return self._reader.decode(key, raw)

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        with self._reader.reading() as txn:
            yield _LimitedTransaction(txn, self._deadline)


class _LimitedTransaction(Transaction):
    __slots__ = ("_deadline", "_txn")

    def __init__(self, txn: Transaction, deadline: Deadline) -> None:
        self._txn = txn
        self._deadline = deadline

    def get(self, space: Space, key: bytes) -> bytes | None:
        self._deadline.check()
        return self._txn.get(space, key)

    def sum(self, key: bytes) -> int:
        return self._txn.sum(key)

    def count(self, space: Space) -> int:
        return self._txn.count(space)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self._deadline.check()
        return self._txn.get_many(space, keys)

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        entries = self._txn.scan(space, start, stop, reverse=reverse)
        for number, entry in enumerate(entries):
            if number % _ENTRIES == 0:
                self._deadline.check()
            yield entry

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        for number, key in enumerate(self._txn.keys(space, start, stop, reverse=reverse)):
            if number % _ENTRIES == 0:
                self._deadline.check()
            yield key

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        pages = self._txn.pages(space, start, stop, reverse=reverse, keys=keys, values=values)
        for page in pages:
            self._deadline.check()
            yield page

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        raise self._error()

    def delete(self, space: Space, key: bytes) -> bool:
        raise self._error()

    def commit(self) -> None:
        raise self._error()

    def abort(self) -> None:
        pass

    def _error(self) -> ReadOnlyError:
        return ReadOnlyError("a page only reads the store")
