"""py-lmdb."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lmdb
from ground import SERIALIZER

from stones import LmdbStore, Store

from .client import Client, Entry


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Client, Store]]:
    with (
        lmdb.open(str(folder / "raw"), map_size=1 << 40) as environment,
        LmdbStore(folder / "store", serialize=SERIALIZER) as store,
    ):
        yield LmdbClient(environment), store


class LmdbClient(Client):
    def __init__(self, environment: lmdb.Environment) -> None:
        self.environment = environment

    def get(self, key: bytes) -> bytes:
        with self.environment.begin() as txn:
            return txn.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        with self.environment.begin(write=True) as txn:
            txn.put(key, value)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        with self.environment.begin() as txn:
            return [txn.get(key) for key in keys]

    def items(self) -> Iterable[Entry]:
        with self.environment.begin() as txn:
            yield from txn.cursor()

    def update(self, entries: Sequence[Entry]) -> None:
        with self.environment.begin(write=True) as txn:
            for key, value in entries:
                txn.put(key, value)
