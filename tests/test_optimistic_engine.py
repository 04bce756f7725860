"""An engine whose writers do not wait: a commit raises ConflictError if another came before it."""

from collections.abc import Callable, Iterator
from threading import Lock, get_ident
from typing import TypeVar

import pytest

from stones import Store
from stones.engine import Engine, Space, Supports, Transaction
from stones.errors import ConflictError, ReadOnlyError, StoreClosedError, TransactionError
from stones.testing import EngineTests, in_thread

T = TypeVar("T")


class OptimisticEngine(Engine):
    """A dict for each space. A commit compares the number of commits with that at its beginning."""

    supports = Supports(snapshots=True, conflicts=True)

    def __init__(self) -> None:
        self.spaces: list[dict[bytes, bytes]] = [{} for _ in Space]
        self.commits = 0
        self.lock = Lock()
        self.writers: set[int] = set()

    def begin(self, *, write: bool = False) -> "OptimisticTransaction":
        if self.closed:
            raise StoreClosedError("the engine is closed")
        if write and get_ident() in self.writers:
            raise TransactionError("this thread has a write transaction open")
        with self.lock:
            if write:
                self.writers.add(get_ident())
            return OptimisticTransaction(self, write)

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        while True:
            try:
                return super().transact(change)
            except ConflictError:
                continue

    def close(self) -> None:
        self.closed = True


class OptimisticTransaction(Transaction):
    def __init__(self, engine: OptimisticEngine, write: bool) -> None:
        self.engine, self.write, self.commits = engine, write, engine.commits
        self.spaces: list[dict[bytes, bytes]] | None = [dict(space) for space in engine.spaces]

    def entries(self, space: Space, write: bool = False) -> dict[bytes, bytes]:
        if self.spaces is None:
            raise TransactionError("the transaction has ended")
        if write and not self.write:
            raise ReadOnlyError("this is a read transaction")
        return self.spaces[space]

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self.entries(space).get(key)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        self.entries(space, write=True)[key] = value

    def delete(self, space: Space, key: bytes) -> bool:
        return self.entries(space, write=True).pop(key, None) is not None

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        found = sorted(self.entries(space).items(), reverse=reverse)
        return iter([e for e in found if start <= e[0] and (stop is None or e[0] < stop)])

    def commit(self) -> None:
        self.entries(Space.DATA)
        spaces = self.spaces
        self.abort()
        if self.write and spaces is not None:
            with self.engine.lock:
                if self.commits != self.engine.commits:
                    raise ConflictError("another transaction has changed what this one has read")
                self.engine.spaces, self.engine.commits = spaces, self.commits + 1

    def abort(self) -> None:
        if self.write and self.spaces is not None:
            self.engine.writers.discard(get_ident())
        self.spaces = None


class TestOptimisticEngine(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return OptimisticEngine


class OptimisticStore(Store):
    def __init__(self) -> None:
        super().__init__(OptimisticEngine(), name="optimistic")

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        if yes_im_sure:
            self.close()


def test_a_block_that_is_in_conflict_is_undone_and_its_error_says_so() -> None:
    store = OptimisticStore()
    store["a"] = 1
    with pytest.raises(ConflictError), store.transaction():
        store["a"] += 1
        in_thread(lambda: store.put("b", 1))
    assert dict(store) == {b"a": 1, b"b": 1}
    assert store.pop("b") == 1
