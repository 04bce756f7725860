"""`add_many` and the building of an index, against py-lmdb by hand and SQLite."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from by_hand import ByHand
from collection_ground import CollectionGround, new_store, open_collection
from measuring import Benchmark, Prepared, ratio
from sqlite import Sqlite, by_json, by_orjson, orjson
from users import INDEXES, User

from stones import Collection

BUILT = INDEXES[1:]
"""The indexes that are not unique."""


def indexed_writes(ground: CollectionGround) -> Iterator[Benchmark]:
    by_hand = "x the same by hand, with raw py-lmdb and msgpack"
    yield Benchmark("add_many", partial(adding, ground), 1.8, by_hand)
    yield Benchmark("add_many, 3 indexes", partial(adding, ground, INDEXES), 1.6, by_hand)
    yield from to_sqlite(ground, "json", by_json, goal=0.7)
    if orjson is not None:
        yield from to_sqlite(ground, "orjson", by_orjson, goal=0)
    for path in BUILT:
        measure = partial(building, ground, path)
        yield Benchmark(f"build the index {path}", measure, 2, "x SQLite's create index")


def to_sqlite(
    ground: CollectionGround, name: str, dumps: Callable[[User], str], goal: float
) -> Iterator[Benchmark]:
    unit = f"x SQLite, {name}.dumps"
    without = partial(adding_to_sqlite, ground, (), dumps)
    yield Benchmark(f"add_many, to text by {name}", without, 0, unit)
    three, unit = partial(adding_to_sqlite, ground, INDEXES, dumps), f"{unit}, the same indexes"
    yield Benchmark(f"add_many, 3 indexes, to text by {name}", three, goal, unit)


def adding(ground: CollectionGround, indexes: tuple[str, ...] = ()) -> float:
    path = fresh(ground, f"added-{len(indexes)}")
    collection = open_collection(new_store(path / "store"), indexes)
    by_hand = ByHand(path / "by-hand", has_indexes=bool(indexes))
    return ratio(
        Prepared(collection.clear, lambda: add_to(collection, ground)),
        Prepared(by_hand.clear, lambda: add_to(by_hand, ground)),
    )


def adding_to_sqlite(
    ground: CollectionGround, indexes: tuple[str, ...], dumps: Callable[[User], str]
) -> float:
    path = fresh(ground, f"added-to-{dumps.__name__}-{len(indexes)}")
    collection = open_collection(new_store(path / "store"), indexes)
    sqlite = Sqlite(path / "text.sqlite", indexes)
    return ratio(
        Prepared(collection.clear, lambda: add_to(collection, ground)),
        Prepared(sqlite.clear, lambda: sqlite.add_many(ground.users, dumps)),
    )


def add_to(side: Collection[str, User] | ByHand, ground: CollectionGround) -> None:
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
