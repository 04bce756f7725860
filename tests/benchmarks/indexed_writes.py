"""`add_many` and the building of an index, against py-lmdb by hand and SQLite."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from by_hand import ByHand
from collection_ground import CollectionGround, new_store, open_collection
from measuring import Benchmark, Prepared, ratio
from sqlite import Sqlite
from users import INDEXES, User

from stones import Collection

BUILT = INDEXES[1:]
"""The indexes that are not unique."""


def indexed_writes(ground: CollectionGround) -> Iterator[Benchmark]:
    by_hand = "x the same by hand, with raw py-lmdb and msgpack"
    sqlite = "x SQLite with the same expression indexes"
    yield Benchmark("add_many", partial(adding, ground), 1.8, by_hand)
    yield Benchmark("add_many, to text", partial(adding_to_sqlite, ground), 0, "x SQLite")
    three = partial(adding, ground, INDEXES)
    yield Benchmark("add_many, 3 indexes", three, 1.6, by_hand)
    three = partial(adding_to_sqlite, ground, INDEXES)
    yield Benchmark("add_many, 3 indexes, to text", three, 0.7, sqlite)
    for path in BUILT:
        measure = partial(building, ground, path)
        yield Benchmark(f"build the index {path}", measure, 2, "x SQLite's create index")


def adding(ground: CollectionGround, indexes: tuple[str, ...] = ()) -> float:
    path = fresh(ground, f"added-{len(indexes)}")
    collection = open_collection(new_store(path / "store"), indexes)
    by_hand = ByHand(path / "by-hand", has_indexes=bool(indexes))
    return ratio(
        Prepared(collection.clear, lambda: add_to(collection, ground)),
        Prepared(by_hand.clear, lambda: add_to(by_hand, ground)),
    )


def adding_to_sqlite(ground: CollectionGround, indexes: tuple[str, ...] = ()) -> float:
    path = fresh(ground, f"added-to-sqlite-{len(indexes)}")
    collection = open_collection(new_store(path / "store"), indexes)
    sqlite = Sqlite(path / "text.sqlite", indexes)
    return ratio(
        Prepared(collection.clear, lambda: add_to(collection, ground)),
        Prepared(sqlite.clear, lambda: add_to(sqlite, ground)),
    )


def add_to(side: Collection[str, User] | ByHand | Sqlite, ground: CollectionGround) -> None:
    side.add_many(ground.users)


def building(ground: CollectionGround, index: str) -> float:
    """The build of one index of a collection that has no other."""
    path = fresh(ground, f"built-{index}")
    ours = OnlineBuild(path / "store", index, ground)
    sqlite = Sqlite(path / "text.sqlite")
    sqlite.add_many(ground.users)
    return ratio(
        Prepared(ours.declare, ours.build),
        Prepared(partial(sqlite.drop_index, index), partial(sqlite.create_index, index)),
    )


class OnlineBuild:
    """A collection of so many records that declaring an index does not build it at once."""

    def __init__(self, path: Path, index: str, ground: CollectionGround) -> None:
        self.store = new_store(path)
        self.index = index
        self.collection = open_collection(self.store)
        self.collection.add_many(ground.users)

    def declare(self) -> None:
        if self.collection.indexes:
            self.collection.drop_index(self.index)
        self.collection = open_collection(self.store, [self.index])

    def build(self) -> None:
        self.collection.build_indexes()


def fresh(ground: CollectionGround, name: str) -> Path:
    path = ground.path / name
    path.mkdir()
    return path
