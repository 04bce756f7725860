"""An engine as one behind a network, made of the engine in memory.

It counts what a network would have to ask the server for. It compares what a change expects at the
commit, keeps sums apart, and cannot count keys at once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from attrs import evolve

from stones import Store
from stones.engine import Page, Space, Transaction
from stones.engines.memory import MemoryEngine
from stones.errors import ConflictError, UnexpectedError

T = TypeVar("T")

SUMS = b"\xff"
"""The sums are where no key of the metadata is: behind this byte, which scans do not show."""


def bounded(space: Space, stop: bytes | None) -> bytes | None:
    """The end of a span, which is before the sums."""
    if space is not Space.META:
        return stop
    return SUMS if stop is None else min(stop, SUMS)


class NetworkTransaction(Transaction):
    """A transaction that remembers what it has read, so that it asks once for each key.

    With `defer` it compares at the commit what is expected, as it says in `Transaction.expect`.
    """

    def __init__(self, inner: Transaction, calls: Counter[str], *, defer: bool = False) -> None:
        self.inner = inner
        self.calls = calls
        self.defer = defer
        self.known: set[tuple[Space, bytes]] = set()
        self.expected: dict[tuple[Space, bytes], bytes | None] = {}

    def get(self, space: Space, key: bytes) -> bytes | None:
        if (space, key) not in self.known:
            self.calls["get"] += 1
            self.known.add((space, key))
        return self.inner.get(space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self.calls["get_many"] += 1
        self.known.update((space, key) for key in keys)
        return self.inner.get_many(space, keys)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        self.compare(space, key)
        self.known.add((space, key))
        self.inner.put(space, key, value)

    def delete(self, space: Space, key: bytes) -> bool:
        found = self.get(space, key) is not None
        self.compare(space, key)
        self.inner.delete(space, key)
        return found

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        self.calls["delete_range"] += 1
        self.inner.delete_range(space, start, bounded(space, stop))

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        pages = self.pages(space, start, stop, reverse=reverse)
        return (entry for page in pages for entry in zip(*page, strict=True))

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
        stop = bounded(space, stop)
        pages = self.inner.pages(space, start, stop, reverse=reverse, keys=keys, values=values)
        return self.counted(pages)

    def counted(self, pages: Iterator[Page]) -> Iterator[Page]:
        self.calls["pages"] += 1
        for page in pages:
            yield page
            self.calls["pages"] += 1

    def expect(self, space: Space, key: bytes, value: bytes | None) -> None:
        if not self.defer or (space, key) in self.known:
            super().expect(space, key, value)
        else:
            self.expected.setdefault((space, key), value)

    def compare(self, *at: Any) -> None:
        """Compare what is expected of a key, or of all keys. Part of the commit, so not counted."""
        for space, key in [at] if at else [*self.expected]:
            if (space, key) in self.expected:
                value, found = self.expected.pop((space, key)), self.inner.get(space, key)
                if value != found:
                    raise UnexpectedError(space, key, found)

    def add(self, key: bytes, number: int) -> None:
        self.inner.add(SUMS + key, number)

    def sum(self, key: bytes) -> int:
        self.calls["sum"] += 1
        return self.inner.sum(SUMS + key)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        self.calls["sum"] += 1
        for key, raw in self.inner.scan(Space.META, SUMS):
            yield key.removeprefix(SUMS), int(raw)

    def drop_sum(self, key: bytes) -> None:
        self.inner.drop_sum(SUMS + key)

    def begin(self) -> "NetworkTransaction":
        inner = NetworkTransaction(self.inner.begin(), self.calls)
        inner.known = {*self.known}
        return inner

    def commit(self) -> None:
        self.compare()
        self.inner.commit()

    def abort(self) -> None:
        self.inner.abort()


class NetworkEngine(MemoryEngine):
    """`conflicts` is how many of the next commits find a conflict. It gives up after 10 of them.

    `calls` counts what a network would have to ask for before a commit.
    """

    supports = evolve(MemoryEngine.supports, counts=False)

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0
        self.calls: Counter[str] = Counter()

    def begin(self, *, write: bool = False, timeout: float | None = None) -> NetworkTransaction:  # type: ignore[override]  # it wraps one
        return NetworkTransaction(super().begin(write=write, timeout=timeout), self.calls)

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self.read(lambda txn: txn.get(space, key))

    def sum(self, key: bytes) -> int:
        return self.read(lambda txn: txn.sum(key))

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        conflicts = 0
        defer = True
        while True:
            txn = self.begin(write=True, timeout=timeout)
            txn.defer, was_deferred, defer = defer, defer, False
            try:
                result = change(txn)
                if self.conflicts > 0:
                    self.conflicts -= 1
                    raise ConflictError("another transaction has changed what this one has read")
                txn.commit()
            except ConflictError:
                txn.abort()
                conflicts += 1
                if conflicts == 10:
                    raise
            except BaseException:
                txn.abort()
                # What was not compared may be the reason: run it again, and compare at once.
                if not was_deferred:
                    raise
            else:
                return result


class NetworkStore(Store[Any, Any]):
    """A store on such an engine, with a safe serializer unless another one is named."""

    default_serializer = "cbor"

    def __init__(self, engine: NetworkEngine | None = None, **options: Any) -> None:
        super().__init__(engine or NetworkEngine(), name="network", **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        if yes_im_sure:
            self.close()
