"""Plain nested values of 250 bytes in the dict, next to raw py-lmdb and msgpack by hand.

The floor is what a programmer would write: `unpackb` and `packb` of msgpack-python with their
defaults, a transaction a read, one transaction for all writes. stones decodes plain values with
msgspec, so it may be faster than that.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
from measuring import RECORDS, Benchmark, Prepared, count, ratio
from msgpack import packb, unpackb

from stones import LmdbStore, stone

BY_HAND = "raw py-lmdb and msgpack-python"


def plain_values(path: Path) -> Iterator[Benchmark]:
    for kind, ground in (("", PlainGround(path)), (", str keys", TextGround(path))):
        yield Benchmark(
            f"store[key] of 250 bytes{kind}",
            partial(ratio, ground.get, ground.raw_get),
            0.95,
            BY_HAND,
        )
        goal = 0.85 if kind else 0.95
        items = partial(ratio, ground.items, ground.raw_items)
        yield Benchmark(f"items() of 250 bytes{kind}", items, goal, BY_HAND)
        into_full = partial(ratio, ground.update, ground.raw_update)
        yield Benchmark(
            f"update() of {RECORDS:,}, into a full store{kind}", into_full, 1.2, BY_HAND
        )
        into_empty = partial(
            ratio,
            Prepared(ground.store.clear, ground.update),
            Prepared(ground.raw_clear, ground.raw_update),
        )
        yield Benchmark(
            f"update() of {RECORDS:,}, into an empty store{kind}", into_empty, 1.2, BY_HAND
        )


def plain_value(number: int) -> dict[str, Any]:
    """A value of 250 bytes: dicts and lists in a dict, and numbers of all kinds."""
    return {
        "email": f"{number:06}@example.org",
        "name": f"Name {number}",
        "age": number % 90,
        "score": number / 7,
        "active": number % 2 == 0,
        "note": None,
        "address": {
            "street": f"{number} Long Street, House of Records",
            "city": ("London", "Paris", "Rome")[number % 3],
            "place": {"area": "north of the river", "block": number},
        },
        "tags": ["alpha", "beta", "gamma"][: number % 4],
        "visits": [1, 22, 333, number],
        "about": "a few words about this one",
    }


class PlainGround:
    """The same entries in a raw LMDB file and in a store, with keys that are bytes."""

    name = "plain"
    key_type: type = bytes

    def __init__(self, path: Path) -> None:
        self.env = lmdb.open(str(path / f"raw {self.name}"), map_size=1 << 36, max_dbs=1)
        self.db = self.env.open_db(b"data")
        self.store = stone(
            path / self.name, LmdbStore, serialize="msgpack", options={"key_type": self.key_type}
        )
        self.values = [plain_value(number) for number in range(RECORDS)]
        self.keys = [self.key(number) for number in range(RECORDS)]
        self.raw_update()
        self.update()

    def key(self, number: int) -> Any:
        return b"%09d" % number

    def raw_get(self) -> None:
        for key in self.keys:
            with self.env.begin() as txn:
                unpackb(txn.get(key, db=self.db))

    def get(self) -> None:
        store = self.store
        for key in self.keys:
            store[key]

    def raw_items(self) -> int:
        with self.env.begin() as txn:
            return count((key, unpackb(raw)) for key, raw in txn.cursor(db=self.db))

    def items(self) -> int:
        return count(self.store.items())

    def raw_update(self) -> None:
        with self.env.begin(write=True) as txn:
            for key, value in zip(self.keys, self.values, strict=True):
                txn.put(key, packb(value), db=self.db)

    def update(self) -> None:
        self.store.update(zip(self.keys, self.values, strict=True))

    def raw_clear(self) -> None:
        with self.env.begin(write=True) as txn:
            txn.drop(self.db, delete=False)


class TextGround(PlainGround):
    """The same with keys that are str."""

    name = "text"
    key_type = str

    def key(self, number: int) -> Any:
        return f"{number:09}"

    def raw_get(self) -> None:
        for key in self.keys:
            with self.env.begin() as txn:
                unpackb(txn.get(key.encode(), db=self.db))

    def raw_items(self) -> int:
        with self.env.begin() as txn:
            return count((key.decode(), unpackb(raw)) for key, raw in txn.cursor(db=self.db))

    def raw_update(self) -> None:
        with self.env.begin(write=True) as txn:
            for key, value in zip(self.keys, self.values, strict=True):
                txn.put(key.encode(), packb(value), db=self.db)
