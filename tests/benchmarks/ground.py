"""The same records in a raw LMDB file and in stores, and what one thread does with them.

Each benchmark is a pair of methods, `raw_NAME` and `NAME`: the floor is raw py-lmdb and the same
serializer in a bare loop, with a transaction for each read and each durable write.
"""

from contextlib import suppress
from pathlib import Path

import lmdb
from measuring import RECORDS

from stones import LmdbStore, MemoryStore, Tiered, stone
from stones.formats.serializers import serializer

SERIALIZER = "msgpack"


def record(number: int) -> dict:
    return {
        "email": f"{number:06}@example.org",
        "name": f"Name {number}",
        "age": number % 90,
        "score": number / 7,
        "address": {"city": ("London", "Paris", "Rome")[number % 3], "zip": f"{number % 1000}"},
        "tags": ["a", "b", "c"][: number % 4],
    }


class UndoneError(Exception):
    pass


class Files:
    """The two files, raw and of stones, as one process has them open."""

    def __init__(self, path: Path) -> None:
        codec = serializer(SERIALIZER)
        self.encode, self.decode = codec.encode, codec.decode
        self.keys = [record(number)["email"].encode() for number in range(RECORDS)]
        self.env = lmdb.open(str(path / "raw"), map_size=1 << 40, max_dbs=2)
        self.db = self.env.open_db(b"data")
        self.store = stone(path / "store", LmdbStore, serialize=SERIALIZER)

    def raw_read(self, keys: list[bytes]) -> None:
        for key_ in keys:
            with self.env.begin() as txn:
                self.decode(txn.get(key_, db=self.db))

    def read(self, keys: list[bytes]) -> None:
        store = self.store
        for key_ in keys:
            store[key_]


class Ground(Files):
    """Those files, with all records in each."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.values = [record(number) for number in range(RECORDS)]
        self.texts = [key_.decode() for key_ in self.keys]
        self.some = list(zip(self.keys, self.values, strict=True))[:20_000]
        self.few = self.some[:200]
        self.raw_update()
        self.update()
        options = {"checksums": True}
        self.guarded = stone(path / "guarded", LmdbStore, SERIALIZER, options=options)
        self.guarded.update(self.store)

        self.spaced = stone(path / "spaced", LmdbStore, serialize=SERIALIZER).namespace("users/")
        self.spaced.update(self.store)
        self.memory = MemoryStore(self.store, serialize=SERIALIZER)
        fast = MemoryStore(serialize=SERIALIZER)
        self.tiered = Tiered(fast, self.store, size=RECORDS)

    # -- reads -----------------------------------------------------------------------------------

    def raw_getitem(self) -> None:
        self.raw_read(self.keys)

    def getitem(self) -> None:
        self.read(self.keys)

    def raw_getitem_text(self) -> None:
        for text in self.texts:
            with self.env.begin() as txn:
                self.decode(txn.get(text.encode(), db=self.db))

    def getitem_text(self) -> None:
        self.read(self.texts)  # type: ignore[arg-type]

    def getitem_namespace(self) -> None:
        spaced = self.spaced
        for key_ in self.keys:
            spaced[key_]

    def getitem_memory(self) -> None:
        memory = self.memory
        for key_ in self.keys:
            memory[key_]

    def getitem_tiered(self) -> None:
        tiered = self.tiered
        for key_ in self.keys:
            tiered[key_]

    def raw_get(self) -> None:
        self.raw_read(self.keys)

    def get(self) -> None:
        store = self.store
        for key_ in self.keys:
            store.get(key_)

    def raw_contains(self) -> None:
        for key_ in self.keys:
            with self.env.begin() as txn:
                bool(txn.get(key_, db=self.db))

    def contains(self) -> None:
        store = self.store
        for key_ in self.keys:
            bool(key_ in store)

    def raw_snapshot(self) -> None:
        with self.env.begin() as txn:
            for key_ in self.keys:
                self.decode(txn.get(key_, db=self.db))

    def snapshot(self) -> None:
        with self.store.snapshot() as view:
            for key_ in self.keys:
                view[key_]

    def raw_items(self) -> None:
        with self.env.begin() as txn:
            for key_, raw in txn.cursor(db=self.db):
                key_, self.decode(raw)

    def items(self) -> None:
        for key_, value in self.store.items():
            key_, value

    def getitem_guarded(self) -> None:
        store = self.guarded
        for key_ in self.keys:
            store[key_]

    def items_guarded(self) -> None:
        for key_, value in self.guarded.items():
            key_, value

    # -- writes ----------------------------------------------------------------------------------

    def raw_put(self) -> None:
        for key_, value in self.few:
            with self.env.begin(write=True) as txn:
                txn.put(key_, self.encode(value), db=self.db)

    def put(self) -> None:
        for key_, value in self.few:
            self.store[key_] = value

    def raw_delete(self) -> None:
        for key_, value in self.few:
            with self.env.begin(write=True) as txn:
                txn.delete(key_, db=self.db)
            with self.env.begin(write=True) as txn:
                txn.put(key_, self.encode(value), db=self.db)

    def delete(self) -> None:
        for key_, value in self.few:
            del self.store[key_]
            self.store[key_] = value

    def raw_put_inside(self) -> None:
        with self.env.begin(write=True) as txn:
            for key_, value in self.some:
                txn.put(key_, self.encode(value), db=self.db)

    def put_inside(self) -> None:
        with self.store.transaction() as store:
            for key_, value in self.some:
                store[key_] = value

    def raw_delete_inside(self) -> None:
        txn = self.env.begin(write=True)
        for key_, _ in self.some:
            txn.delete(key_, db=self.db)
        txn.abort()

    def delete_inside(self) -> None:
        with suppress(UndoneError), self.store.transaction() as store:
            for key_, _ in self.some:
                del store[key_]
            raise UndoneError

    def raw_update(self) -> None:
        with self.env.begin(write=True) as txn:
            for key_, value in zip(self.keys, self.values, strict=True):
                txn.put(key_, self.encode(value), db=self.db)

    def update(self) -> None:
        self.store.update(zip(self.keys, self.values, strict=True))
