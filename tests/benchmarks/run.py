"""How fast stones is, as ratios to a floor measured in the same run: `make bench`.

The floor is the least that any program could do: raw py-lmdb (`begin()`, plain bytes) and the same
serializer, in a bare loop. The two take turns, and the median of the ratios is printed, so that a
machine that is noisy or slow does not matter. Nothing is asserted: a goal that is missed is marked.

    python tests/benchmarks/run.py [NAME ...]       only the benchmarks whose name has NAME in it
"""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import lmdb
from attrs import define
from jsonpath_ng.ext import parse

from stones import Collection, LmdbStore, key, stone
from stones.collections.jsonpath import parse_filter
from stones.serializers import serializer

COUNT = 100_000
ROUNDS = 7


@define
class City:
    city: str
    zip: str


@define
class User:
    email: str = key()
    name: str
    age: int
    score: float
    address: City
    tags: list[str]


def record(number: int) -> dict:
    return {
        "email": f"{number:06}@example.org",
        "name": f"Name {number}",
        "age": number % 90,
        "score": number / 7,
        "address": {"city": ("London", "Paris", "Rome")[number % 3], "zip": f"{number % 1000}"},
        "tags": ["a", "b", "c"][: number % 4],
    }


def user(fields: dict) -> User:
    return User(**{**fields, "address": City(**fields["address"])})


class Ground:
    """The same records in a raw LMDB file and in stores, and what the benchmarks do with them."""

    def __init__(self, path: Path, name: str) -> None:
        codec = serializer(name)
        self.encode, self.decode = codec.encode, codec.decode
        self.values = [record(number) for number in range(COUNT)]
        self.keys = [value["email"].encode() for value in self.values]
        self.env = lmdb.open(str(path / "raw"), map_size=1 << 40, max_dbs=2)
        self.db = self.env.open_db(b"data")
        self.stor = stone(path / "store", LmdbStore, serialize=name)
        self.users = Collection(stone(path / "users", LmdbStore, serialize=name), User)
        self.users.add_many(map(user, self.values))
        self.raw_update()
        self.update()

    def raw_update(self) -> None:
        with self.env.begin(write=True) as txn:
            for key_, value in zip(self.keys, self.values, strict=True):
                txn.put(key_, self.encode(value), db=self.db)

    def update(self) -> None:
        self.stor.update(zip(self.keys, self.values, strict=True))

    def raw_transaction(self) -> None:
        with self.env.begin(write=True) as txn:
            for key_, value in zip(self.keys[:20_000], self.values, strict=False):
                txn.put(key_, self.encode(value), db=self.db)

    def transaction(self) -> None:
        with self.stor.transaction():
            for key_, value in zip(self.keys[:20_000], self.values, strict=False):
                self.stor[key_] = value

    def raw_get(self) -> None:
        for key_ in self.keys:
            with self.env.begin() as txn:
                self.decode(txn.get(key_, db=self.db))

    def get(self) -> None:
        stor = self.stor
        for key_ in self.keys:
            stor[key_]

    def raw_items(self) -> None:
        with self.env.begin() as txn:
            for key_, raw in txn.cursor(db=self.db):
                key_, self.decode(raw)

    def items(self) -> None:
        for key_, value in self.stor.items():
            key_, value

    def raw_put(self) -> None:
        for key_, value in zip(self.keys[:200], self.values, strict=False):
            with self.env.begin(write=True) as txn:
                txn.put(key_, self.encode(value), db=self.db)

    def put(self) -> None:
        for key_, value in zip(self.keys[:200], self.values, strict=False):
            self.stor[key_] = value

    def raw_records(self) -> None:
        for key_ in self.keys:
            with self.env.begin() as txn:
                user(self.decode(txn.get(key_, db=self.db)))

    def records(self) -> None:
        users = self.users
        for value in self.values:
            users[value["email"]]

    def raw_add_many(self) -> None:
        made = map(user, self.values)
        with self.env.begin(write=True) as txn:
            for made_user in made:
                fields = {
                    name: getattr(made_user, name) for name in User.__slots__ if name[0] != "_"
                }
                fields["address"] = {"city": made_user.address.city, "zip": made_user.address.zip}
                txn.put(made_user.email.encode(), self.encode(fields), db=self.db)

    def add_many(self) -> None:
        self.users.clear()
        self.users.add_many(map(user, self.values))


FILTERS = [
    "$[?(@.age > 80)]",
    '$[?(@.age > 30 && @.address.city == "London")]',
    '$[?(@.age > 30 && @.address.city == "London" && @.score < 9000 && @.name =~ "9$")]',
]


def ratio(ours: Callable[[], object], floor: Callable[[], object], rounds: int = ROUNDS) -> float:
    ratios = []
    for _ in range(rounds):
        times = []
        for run in (ours, floor):
            gc.collect()
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def speedup(floor: Callable[[], object], ours: Callable[[], object]) -> float:
    return ratio(floor, ours, 5)


def filtered(predicate: Callable[[dict], object], listed: list[dict]) -> list[dict]:
    return [found for found in listed if predicate(found)]


def threads(ground: Ground, count: int) -> None:
    def work(number: int) -> None:
        for step in range(200):
            ground.stor[b"thread/%d/%d" % (number, step)] = step

    running = [threading.Thread(target=work, args=[number]) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def start(code: str) -> Callable[[], object]:
    # With its bytecode kept, as it is wherever a package is installed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def benchmarks(path: Path) -> Iterator[tuple[str, Callable[[], float], float, str]]:
    """Name, what to measure, the goal, and what it is a ratio to."""
    ground = Ground(path, "msgpack")
    raw = "raw py-lmdb and msgpack"
    yield "stor[key]", lambda: ratio(ground.get, ground.raw_get), 1.2, raw
    yield "items()", lambda: ratio(ground.items, ground.raw_items), 1.3, raw
    yield "update() of 100,000", lambda: ratio(ground.update, ground.raw_update), 1.3, raw
    yield "one durable put", lambda: ratio(ground.put, ground.raw_put, 15), 1.05, raw
    yield (
        "puts in a transaction",
        lambda: ratio(ground.transaction, ground.raw_transaction),
        0,
        raw,
    )
    yield (
        "Collection[key]",
        lambda: ratio(ground.records, ground.raw_records),
        2.0,
        "raw get, msgpack, and the record by hand",
    )
    yield (
        "add_many() of 100,000",
        lambda: ratio(ground.add_many, ground.raw_add_many, 3),
        0,
        "raw put, the dict by hand, and msgpack",
    )
    for text in FILTERS:
        reference = partial(parse(text).find, ground.values)
        matches = partial(filtered, parse_filter(text).bind({}), ground.values)
        yield f"filter {text}", partial(speedup, reference, matches), -5, "x jsonpath-ng, on a list"
        scan = ground.users.find(text).count
        unit = "x jsonpath-ng on that list, but read and decoded from the store"
        yield f"scan {text}", partial(speedup, reference, scan), -5, unit
    yield (
        "8 threads of durable puts",
        lambda: 8 / ratio(lambda: threads(ground, 8), lambda: threads(ground, 1), 5),
        -4,
        "times the rate of one thread",
    )
    yield (
        "import stones",
        lambda: ratio(start("import stones"), start("import lmdb, attrs"), 15),
        1.5,
        "import lmdb, attrs (whole processes)",
    )


def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=".") as path:
        for name, measure, goal, unit in benchmarks(Path(path)):
            if wanted and not any(part in name for part in wanted):
                continue
            value = measure()
            missed = goal and (value < -goal if goal < 0 else value > goal)
            sign = "" if not goal else f"  (goal {'>=' if goal < 0 else '<='} {abs(goal):g})"
            print(f"{name:50} {value:6.2f} {unit}{sign}{'  MISSED' if missed else ''}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
