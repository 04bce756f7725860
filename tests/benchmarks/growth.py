"""How get, put, scan and the file grow, up to 10 million entries: `make bench-growth`.

A store and a raw LMDB file grow with the same entries, whose keys come in random order. At each
size both do the same by turns, and the medians go to `docs/explanation/growth.csv`, in microseconds
an entry and bytes an entry, from which `plot.py` draws the picture beside it. Takes some minutes,
and 6 GB of disk in the directory where it runs.

    python tests/benchmarks/growth.py [ENTRIES]     up to fewer entries, which are only printed
"""

import csv
import hashlib
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import lmdb
from ground import SERIALIZER, record
from measuring import seconds
from plot import FIGURES, draw

from stones import LmdbStore, stone
from stones.formats.serializers import serializer

SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
CHUNK = 1_000_000
"""Entries that are put in one transaction while the files grow, in the order of their keys."""
POINTS = 10_000
"""Entries that are read, or put in a transaction, for one figure; ten times as many are scanned."""
ROUNDS = 7
SAMPLE = range(1000)

Entry = tuple[bytes, dict]


def key(number: int) -> bytes:
    """16 bytes: what a hash, or a random UUID, is as a key."""
    return hashlib.blake2b(b"%d" % number, digest_size=16).digest()


def entries(numbers: range) -> Iterator[Entry]:
    """The entries with these numbers, in the order of their keys."""
    for name, number in sorted((key(number), number) for number in numbers):
        yield name, record(number)


class Raw:
    """The floor: py-lmdb and the serializer."""

    def __init__(self, path: Path) -> None:
        codec = serializer(SERIALIZER)
        self.encode, self.decode = codec.encode, codec.decode
        self.file = path / "raw" / "data.mdb"
        self.env = lmdb.open(str(path / "raw"), map_size=1 << 40, max_dbs=2)
        self.db = self.env.open_db(b"data")

    def put(self, entries: Iterator[Entry] | list[Entry]) -> None:
        with self.env.begin(write=True) as txn:
            for key, value in entries:
                txn.put(key, self.encode(value), db=self.db)

    def get(self, keys: list[bytes]) -> None:
        for key in keys:
            with self.env.begin() as txn:
                self.decode(txn.get(key, db=self.db))

    def scan(self, start: bytes, count: int) -> None:
        with self.env.begin() as txn, txn.cursor(db=self.db) as cursor:
            cursor.set_range(start)
            for key, raw in islice(cursor.iternext(), count):
                key, self.decode(raw)


class Ours:
    def __init__(self, path: Path) -> None:
        self.file = path / "store" / "data.mdb"
        self.store = stone(path / "store", LmdbStore, serialize=SERIALIZER)

    def put(self, entries: Iterator[Entry] | list[Entry]) -> None:
        with self.store.transaction() as store:
            for key, value in entries:
                store[key] = value

    def get(self, keys: list[bytes]) -> None:
        store = self.store
        for key in keys:
            store[key]

    def scan(self, start: bytes, count: int) -> None:
        for key, value in self.store.range(ge=start, limit=count).items():
            key, value


def measured(ours: Ours, raw: Raw, size: int) -> dict[str, float]:
    """The figures of one size, by the names of the columns."""
    random = Random(size)
    figures: dict[str, float] = {
        "entries": size,
        "bytes": ours.file.stat().st_size / size,
        "raw_bytes": raw.file.stat().st_size / size,
        "used_bytes": ours.store.stats()["used_size"] / size,
        "user_bytes": sum(len(name) + len(raw.encode(value)) for name, value in entries(SAMPLE))
        / len(SAMPLE),
    }
    times = defaultdict[str, list[float]](list)

    def note(name: str, count: int, *arguments: object) -> None:
        for who, side in ((name, ours), (f"raw_{name}", raw)):
            times[who].append(seconds(partial(getattr(side, name), *arguments)) / count * 1e6)

    scanned = min(10 * POINTS, size // 2)
    for _ in range(ROUNDS):
        chosen = [random.randrange(size) for _ in range(POINTS)]
        keys = [key(number) for number in chosen]
        again = [(name, record(number)) for name, number in zip(keys, chosen, strict=True)]
        note("get", POINTS, keys)
        note("put", POINTS, again)
        # From somewhere with as many entries behind it.
        note("scan", scanned, bytes([random.randrange(120)]), scanned)
    figures |= {name: statistics.median(taken) for name, taken in times.items()}
    return {name: round(value, 2) for name, value in figures.items()}


def grown(path: Path, largest: int) -> Iterator[dict[str, float]]:
    ours, raw = Ours(path), Raw(path)
    for before, size in pairwise([0, *(size for size in SIZES if size <= largest)]):
        for first in range(before, size, CHUNK):
            numbers = range(first, min(first + CHUNK, size))
            raw.put(entries(numbers))
            ours.put(entries(numbers))
        yield measured(ours, raw, size)


def main(largest: int = SIZES[-1]) -> None:
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as path:
        for row in grown(Path(path), largest):
            print("  ".join(f"{name} {value:,}" for name, value in row.items()), flush=True)
            rows.append(row)
    if largest < SIZES[-1]:
        return
    with FIGURES.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    draw()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
