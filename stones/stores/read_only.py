"""A database as somebody may read it who watches over each read: forwarding, and read-only.

`stones.collections.planning.measured_reading` counts what is read, and the page in the browser
looks at a deadline.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn

from stones.engine import Page, Space, Transaction
from stones.errors import ReadOnlyError
from stones.formats.codec import Codec

from .database_reader import DATA, DatabaseReader


class ForwardingReader(DatabaseReader):
    """Reads what another reader reads. `watched` is put around each of its transactions."""

    def __init__(
        self, reader: DatabaseReader, watched: Callable[[Transaction], Transaction]
    ) -> None:
        self._reader = reader
        self._watched = watched
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
            yield self._watched(txn)


class ReadOnlyTransaction(Transaction):
    """Reads what another transaction reads, and refuses to write for a `reason`."""

    __slots__ = ("_txn",)
    reason = "this transaction only reads"

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self._txn.get(space, key)

    def sum(self, key: bytes) -> int:
        return self._txn.sum(key)

    def count(self, space: Space) -> int:
        return self._txn.count(space)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._txn.get_many(space, keys)

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._txn.scan(space, start, stop, reverse=reverse)

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        return self._txn.keys(space, start, stop, reverse=reverse)

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
        return self._txn.pages(space, start, stop, reverse=reverse, keys=keys, values=values)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        self._refuse()

    def delete(self, space: Space, key: bytes) -> bool:
        self._refuse()

    def commit(self) -> None:
        self._refuse()

    def abort(self) -> None:
        pass

    def _refuse(self) -> NoReturn:
        raise ReadOnlyError(self.reason)
