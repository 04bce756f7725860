"""Filters over collections without indexes, against the floor, SQLite and jsonpath-ng.

The floor is a raw scan of LMDB, msgpack, and the test in Python. SQLite tests by `json_extract`.
Dicts are let go of one by one on all sides: a list of them would keep the garbage collector busy.
"""

from collections.abc import Iterator
from functools import partial

from collection_ground import CollectionGround
from jsonpath_ng.ext import parse
from measuring import Benchmark, Run, count, ratio, speedup
from sqlite import LOADS, Sqlite, apsw
from users import FILTERS, Filter

from stones.collections.language.jsonpath import parse_filter


def scans(ground: CollectionGround) -> Iterator[Benchmark]:
    for filter in FILTERS:
        yield from to_floor(ground, filter)
        yield from to_text(ground, filter)
        yield from to_jsonb(ground, filter)


def to_floor(ground: CollectionGround, filter: Filter) -> Iterator[Benchmark]:
    def counted_by_hand() -> int:
        return ground.by_hand.count_matches(filter.test)

    def dicts_by_hand() -> int:
        return count(ground.by_hand.matches(filter.test))

    unit = "x raw scan, msgpack, Python test"
    goal, dicts_goal = filter.goals
    counted, dicts = ours(ground, filter)
    yield Benchmark(f"count by {filter.name}", partial(ratio, counted, counted_by_hand), goal, unit)
    yield Benchmark(
        f"dicts by {filter.name}", partial(ratio, dicts, dicts_by_hand), dicts_goal, unit
    )


def to_text(ground: CollectionGround, filter: Filter) -> Iterator[Benchmark]:
    counted, dicts = ours(ground, filter)
    unit, goal = "x SQLite, JSON in text", filter.goal_of_dicts

    def measure_count() -> float:
        return ratio(counted, partial(ground.text.count, filter.where))

    def measure_dicts() -> float:
        return ratio(dicts, *loading(ground.text, filter))

    yield Benchmark(f"count by {filter.name}, to text", measure_count, 1, unit)
    yield Benchmark(f"dicts by {filter.name}, to text", measure_dicts, goal, unit)


def to_jsonb(ground: CollectionGround, filter: Filter) -> Iterator[Benchmark]:
    if apsw is None:
        return
    counted, dicts = ours(ground, filter)
    unit = f"x SQLite {apsw.sqlite_lib_version()}, JSONB"

    def measure_count() -> float:
        return ratio(counted, partial(ground.jsonb.count, filter.where))

    def measure_dicts() -> float:
        return ratio(dicts, *loading(ground.jsonb, filter))

    yield Benchmark(f"count by {filter.name}, to JSONB", measure_count, 0, unit)
    yield Benchmark(f"dicts by {filter.name}, to JSONB", measure_dicts, 0, unit)


def ours(ground: CollectionGround, filter: Filter) -> tuple[Run, Run]:
    """How we count, and give the dicts."""
    return (
        lambda: ground.collection.find(filter.path).count(),
        lambda: count(ground.collection.find(filter.path).values("$")),
    )


def loading(sqlite: Sqlite, filter: Filter) -> list[Run]:
    def load(loads: object) -> int:
        return count(sqlite.dicts(filter.where, loads))

    return [partial(load, loads) for loads in LOADS]


PATHS = [
    "$[?(@.age > 80)]",
    '$[?(@.age > 30 && @.address.city == "City 7")]',
    '$[?(@.age > 30 && @.address.city == "City 7" && @.score < 9000 && @.name =~ "9$")]',
]


def against_jsonpath_ng(ground: CollectionGround) -> Iterator[Benchmark]:
    """jsonpath-ng gets a list of dicts, which it need not read or decode."""
    for path in PATHS:
        yield Benchmark(
            f"predicate {path}",
            partial(predicate_speed, ground, path),
            -5,
            "x as fast as jsonpath-ng, both on a list",
        )
        yield Benchmark(
            f"find {path}",
            partial(scan_speed, ground, path),
            -5,
            "x as fast as jsonpath-ng on a list, but read from the store",
        )


def predicate_speed(ground: CollectionGround, path: str) -> float:
    dicts, predicate = ground.dicts, parse_filter(path).bind({})
    find = parse(path).find
    return speedup(lambda: count(find(dicts)), lambda: sum(map(bool, map(predicate, dicts))))


def scan_speed(ground: CollectionGround, path: str) -> float:
    dicts, find = ground.dicts, parse(path).find
    return speedup(lambda: count(find(dicts)), ground.collection.find(path).count)
