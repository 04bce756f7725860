"""An engine as one behind a network: it keeps sums apart, and counting costs a pass over all keys.

It wraps the engine in memory. Tests of what the layers above must not do to such an engine use it.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from attrs import evolve

from stones import Store
from stones.engine import Space, Transaction
from stones.engines.memory import MemoryEngine
from stones.errors import ConflictError

T = TypeVar("T")

SUMS = b"\xff"
"""The sums are where no key of the metadata is: behind this byte, which scans do not show."""


class NetworkTransaction(Transaction):
    def __init__(self, inner: Transaction) -> None:
        self.inner = inner

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self.inner.get(space, key)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        self.inner.put(space, key, value)

    def delete(self, space: Space, key: bytes) -> bool:
        return self.inner.delete(space, key)

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if space is Space.META:
            stop = min(stop or SUMS, SUMS)
        return self.inner.scan(space, start, stop, reverse=reverse)

    def add(self, key: bytes, number: int) -> None:
        self.inner.add(SUMS + key, number)

    def sum(self, key: bytes) -> int:
        return self.inner.sum(SUMS + key)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        for key, raw in self.inner.scan(Space.META, SUMS):
            yield key.removeprefix(SUMS), int(raw)

    def drop_sum(self, key: bytes) -> None:
        self.inner.drop_sum(SUMS + key)

    def begin(self) -> "NetworkTransaction":
        return NetworkTransaction(self.inner.begin())

    def commit(self) -> None:
        self.inner.commit()

    def abort(self) -> None:
        self.inner.abort()


class NetworkEngine(MemoryEngine):
    """`conflicts` is how many of the next commits find a conflict. It gives up after 10 of them."""

    supports = evolve(MemoryEngine.supports, counts=False)

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0

    def begin(self, *, write: bool = False, timeout: float | None = None) -> NetworkTransaction:  # type: ignore[override]  # it wraps one
        return NetworkTransaction(super().begin(write=write, timeout=timeout))

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self.read(lambda txn: txn.get(space, key))

    def sum(self, key: bytes) -> int:
        return self.read(lambda txn: txn.sum(key))

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        for tries in range(10, 0, -1):
            txn = self.begin(write=True, timeout=timeout)
            try:
                result = change(txn)
                if self.conflicts > 0:
                    self.conflicts -= 1
                    raise ConflictError("another transaction has changed what this one has read")
                txn.commit()
            except ConflictError:
                txn.abort()
                if tries == 1:
                    raise
            except BaseException:
                txn.abort()
                raise
            else:
                return result
        raise AssertionError


class NetworkStore(Store[Any, Any]):
    """A store on such an engine, with a safe serializer unless another one is named."""

    default_serializer = "cbor"

    def __init__(self, engine: NetworkEngine | None = None, **options: Any) -> None:
        super().__init__(engine or NetworkEngine(), name="network", **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        if yes_im_sure:
            self.close()
