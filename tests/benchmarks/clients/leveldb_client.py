"""plyvel."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import plyvel
from ground import SERIALIZER

from stones import LevelDBStore, Store

from .client import Client, Entry


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Client, Store]]:
    with (
        closing(plyvel.DB(str(folder / "raw"), create_if_missing=True)) as database,
        LevelDBStore(folder / "store", serialize=SERIALIZER) as store,
    ):
        yield LevelDBClient(database), store


class LevelDBClient(Client):
    def __init__(self, database: plyvel.DB) -> None:
        self.database = database

    def get(self, key: bytes) -> bytes:
        return self.database.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.database.put(key, value, sync=True)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        return [self.database.get(key) for key in keys]

    def items(self) -> Iterable[Entry]:
        return self.database.iterator()

    def update(self, entries: Sequence[Entry]) -> None:
        with self.database.write_batch(transaction=True, sync=True) as batch:
            for key, value in entries:
                batch.put(key, value)
