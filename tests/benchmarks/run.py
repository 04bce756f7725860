"""How fast stones is, as ratios to a floor measured in the same run: `make bench`.

The floor is the least that any program could do: raw py-lmdb (`begin()`, plain bytes) and the same
serializer, in a bare loop. The two take turns, and the median of the ratios is printed, so that a
machine that is noisy or slow does not matter. Nothing is asserted: a goal that is missed is marked.

    python tests/benchmarks/run.py [NAME ...]       only the benchmarks whose name has NAME in it
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from crowds import reading_processes, reading_threads, writing_threads
from ground import Ground
from jsonpath_ng.ext import parse
from measuring import ratio, speedup

from stones.collections.queries.jsonpath import parse_filter

FILTERS = [
    "$[?(@.age > 80)]",
    '$[?(@.age > 30 && @.address.city == "London")]',
    '$[?(@.age > 30 && @.address.city == "London" && @.score < 9000 && @.name =~ "9$")]',
]
RAW = "raw py-lmdb and msgpack"

Benchmark = tuple[str, Callable[[], float], float, str]
"""Name, what to measure, the goal (negative: at least that; 0: none), what it is a ratio to."""


def benchmarks(path: Path) -> Iterator[Benchmark]:
    ground = Ground(path)
    yield from reads(ground, path)
    yield from writes(ground)
    yield from records(ground)
    yield (
        "import stones",
        lambda: ratio(start("import stones"), start("import lmdb, attrs"), 15),
        1.5,
        "import lmdb, attrs (whole processes)",
    )


def reads(ground: Ground, path: Path) -> Iterator[Benchmark]:
    yield "store[key]", lambda: ratio(ground.getitem, ground.raw_getitem), 1.2, RAW
    yield "store['key']", lambda: ratio(ground.getitem_text, ground.raw_getitem_text), 1.2, RAW
    yield "get(key)", lambda: ratio(ground.get, ground.raw_get), 1.2, RAW
    yield "key in store", lambda: ratio(ground.contains, ground.raw_contains), 1.2, "raw py-lmdb"
    yield "view[key] of a snapshot", lambda: ratio(ground.snapshot, ground.raw_snapshot), 0, RAW
    yield "items()", lambda: ratio(ground.items, ground.raw_items), 1.3, RAW
    guarded = partial(ratio, ground.getitem_guarded, ground.raw_getitem)
    yield "store[key] with checksums", guarded, 0, RAW
    yield "items() with checksums", partial(ratio, ground.items_guarded, ground.raw_items), 0, RAW
    for count in (2, 4, 8):
        threads = partial(reading_threads, ground, count)
        yield f"{count} threads that read", threads, -0.8, "of raw py-lmdb's rate"
    for count in (2, 4, 8):
        processes = partial(reading_processes, path, count)
        yield f"{count} processes that read", processes, -0.8, "of raw py-lmdb's rate"


def writes(ground: Ground) -> Iterator[Benchmark]:
    yield "one durable put", lambda: ratio(ground.put, ground.raw_put, 15), 1.05, RAW
    yield "one durable delete, and a put", lambda: ratio(ground.delete, ground.raw_delete), 0, RAW
    yield "puts in a transaction", lambda: ratio(ground.put_inside, ground.raw_put_inside), 0, RAW
    yield (
        "deletes in a transaction",
        lambda: ratio(ground.delete_inside, ground.raw_delete_inside),
        0,
        "raw py-lmdb",
    )
    yield "update() of 100,000", lambda: ratio(ground.update, ground.raw_update), 1.3, RAW
    one, eight = partial(writing_threads, ground, 1), partial(writing_threads, ground, 8)
    yield (
        "8 threads of durable puts",
        lambda: 8 / ratio(eight, one, 5),
        -4,
        "times the rate of one thread",
    )


def records(ground: Ground) -> Iterator[Benchmark]:
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


def filtered(predicate: Callable[[dict], object], listed: list[dict]) -> list[dict]:
    return [found for found in listed if predicate(found)]


def start(code: str) -> Callable[[], object]:
    # With its bytecode kept, as it is wherever a package is installed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment)


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
