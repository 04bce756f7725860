"""A reader of a database that counts what is read. `explain(run=True)` runs a query on it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from attrs import define

from stones.engine import Page, Space, Transaction
from stones.errors import ReadOnlyError
from stones.formats.codec import Codec
from stones.stores.database_reader import DATA, DatabaseReader


@define
class Tally:
    """How much was read of a database."""

    entries: int = 0
    """Entries of indexes, and keys of records that were read alone."""
    records: int = 0
    """Records with their values."""
    size: int = 0
    """The bytes of all keys and values."""

    def add(self, space: Space, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Note entries that were read. One of the two may be empty."""
        if space is Space.META:
            return
        self.size += sum(map(len, keys)) + sum(map(len, values))
        if space is DATA and values:
            self.records += len(values)
        else:
            self.entries += len(keys)


class MeasuredReader(DatabaseReader):
    """Reads what another reader reads, and counts it."""

    def __init__(self, reader: DatabaseReader, tally: Tally) -> None:
        self._reader = reader
        self._tally = tally
        self.engine = reader.engine
        self.name = reader.name
        self.codec = reader.codec

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
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
            yield _MeasuredTransaction(txn, self._tally)


class _MeasuredTransaction(Transaction):
    __slots__ = ("_tally", "_txn")

    def __init__(self, txn: Transaction, tally: Tally) -> None:
        self._txn = txn
        self._tally = tally

    def get(self, space: Space, key: bytes) -> bytes | None:
        found = self._txn.get(space, key)
        if found is not None:
            self._tally.add(space, (key,), (found,))
        return found

    def sum(self, key: bytes) -> int:
        return self._txn.sum(key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._txn.get_many(space, keys)
        self._tally.add(space, (), [value for value in found if value is not None])
        return found

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._txn.scan(space, start, stop, reverse=reverse):
            self._tally.add(space, (key,), (value,))
            yield key, value

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        for key in self._txn.keys(space, start, stop, reverse=reverse):
            self._tally.add(space, (key,), ())
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
        pages: Callable[..., Iterator[Page]] = self._txn.pages
        for page in pages(space, start, stop, reverse=reverse, keys=keys, values=values):
            self._tally.add(space, *page)
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
        return ReadOnlyError("what explain() runs is only read")
