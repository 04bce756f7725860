"""How fast a store is on each engine, next to the engine's own client: `make bench-engines`.

A store and the client do the same in turns, with msgpack on both sides. The first lines are ratios,
with the goal of each. Then follows a table for the documentation, in microseconds. An engine whose
client or server is not installed is left out, and that is told.

    python tests/benchmarks/compare_engines.py [NAME ...]       only the engines with such a name
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the servers that tests start

from clients.client import Client
from ground import SERIALIZER, record
from measuring import ROUNDS, Benchmark, ratio, seconds

from stones import Store
from stones.formats.serializers import serializer

COUNT = 20_000
FEW = 300
"""So many entries are read or written alone, each in a transaction of its own."""
GOALS = {
    "lmdb": {"get": 1.2, "put": 1.2, "items": 1.3},
    "sqlite": {"get": 1.4, "put": 1.1, "items": 1.3},
    "leveldb": {"get": 1.4, "put": 1.4},
    "redis": {"get": 1.4, "put": 1.4},
    "postgres": {"get": 1.2, "put": 2.5, "get_many": 1.5, "update": 0.7},
}
ENGINES = list(GOALS)
VERBS = ["get", "put", "get_many", "items", "update"]
Pair = tuple[Callable[[], object], Callable[[], object]]


class Ground:
    """The same entries in a store and beside it, and what is done with them."""

    def __init__(self, client: Client, store: Store) -> None:
        codec = serializer(SERIALIZER)
        self.encode, self.decode = codec.encode, codec.decode
        self.client, self.store = client, store
        self.values = {b"%06d" % number: record(number) for number in range(COUNT)}
        self.entries = list(self.values.items())
        self.few = self.entries[:: COUNT // FEW]
        self.read = self.entries if client.in_this_process else self.few
        self.turn = 0
        self.raw_update()
        self.update()

    def changed(self) -> list[tuple[bytes, dict]]:
        """A few entries with values that they never had: some engines skip a write of the same."""
        self.turn += 1
        return [(key, {**value, "turn": self.turn}) for key, value in self.few]

    def raw_get(self) -> None:
        for key, _ in self.read:
            self.decode(self.client.get(key))

    def get(self) -> None:
        for key, _ in self.read:
            self.store[key]

    def raw_put(self) -> None:
        for key, value in self.changed():
            self.client.put(key, self.encode(value))

    def put(self) -> None:
        for key, value in self.changed():
            self.store[key] = value

    def raw_get_many(self) -> None:
        for start in range(0, len(self.read), 100):
            keys = [key for key, _ in self.read[start : start + 100]]
            [*map(self.decode, self.client.get_many(keys))]

    def get_many(self) -> None:
        for start in range(0, len(self.read), 100):
            self.store.get_many([key for key, _ in self.read[start : start + 100]])

    def raw_items(self) -> int:
        return sum(self.decode(raw) is not None for _, raw in self.client.items())

    def items(self) -> int:
        return sum(value is not None for _, value in self.store.items())

    def raw_update(self) -> None:
        self.client.update([(key, self.encode(value)) for key, value in self.entries])

    def update(self) -> None:
        self.store.update(self.entries)

    def pair(self, verb: str) -> Pair:
        return getattr(self, verb), getattr(self, f"raw_{verb}")

    def size(self, verb: str) -> int:
        """How many entries a verb reads or writes."""
        sizes = {"put": FEW, "get": len(self.read), "get_many": len(self.read)}
        return sizes.get(verb, COUNT)


def benchmarks(engine: str, ground: Ground) -> Iterator[Benchmark]:
    for verb in VERBS:
        # A write waits for the disk, and each answer of a server is waited for.
        reads_here = ground.client.in_this_process and verb in ("get", "get_many", "items")
        clock = time.process_time if reads_here else time.perf_counter
        measure = partial(ratio, *ground.pair(verb), clock=clock)
        name = f"{engine}: {verb}"
        yield Benchmark(name, measure, GOALS[engine].get(verb, 0), f"{engine} by hand")


def row(engine: str, ground: Ground) -> str:
    """The microseconds of each verb of a store, for one entry."""
    times = {
        verb: statistics.median(seconds(ground.pair(verb)[0]) for _ in range(ROUNDS))
        for verb in VERBS
    }
    cells = [f"{times[verb] / ground.size(verb) * 1e6:,.1f}" for verb in VERBS]
    return "| " + " | ".join([engine, *cells]) + " |"


def main(wanted: Sequence[str]) -> None:
    rows = []
    for engine in ENGINES:
        if wanted and not any(part in engine for part in wanted):
            continue
        try:
            sides = import_module(f"clients.{engine}_client").sides
        except ImportError as error:
            print(f"left out: {engine}: {error}")
            continue
        with tempfile.TemporaryDirectory(dir=".") as path, sides(Path(path)) as (client, store):
            ground = Ground(client, store)
            for benchmark in benchmarks(engine, ground):
                print(benchmark.measured().line(), flush=True)
            rows.append(row(engine, ground))
            if engine == "postgres":
                from postgres_rows import postgres_rows

                for benchmark in postgres_rows(client):
                    print(benchmark.measured().line(), flush=True)
    print("\n| engine | " + " | ".join(VERBS) + " |")
    print("|---" * (len(VERBS) + 1) + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
