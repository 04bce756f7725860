"""Compressed and encrypted values: their size, reads and scans, next to the same values plain.

The values are the airports of the package airportsdata in MessagePack, 157 bytes each. By hand is
what a programmer would write: zstandard and cryptography in the functions of a store.
"""

import os
import random
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import define
from measuring import RECORDS, Benchmark, ratio

from stones import Collection, LmdbStore, key, migrate
from stones.engine import Space
from stones.formats.compression import train
from stones.formats.serializers import serializer

PLAIN = "the same store, plain"
PLAIN_RECORDS = "the same records, plain"
FILTERS = {"text": '$[?(@.city == "Berlin")]', "numbers": "$[?(@.elevation > 5000)]"}
READS = 30_000
"""At most so many airports are read: there are 28,000."""


def packed_values(path: Path) -> Iterator[Benchmark]:
    if find_spec("airportsdata") is None:
        return  # it is in the extra "demo"
    ground = PackedGround(path)
    for name, options, goal in (
        ("zstd", {"compress": "zstd"}, 1.4),
        ("AES-GCM", {"encrypt": os.urandom(32)}, 1.25),
        ("zstd, AES-GCM", {"compress": "zstd", "encrypt": os.urandom(32)}, 1.7),
    ):
        packed = ground.packed(name, options)
        read = partial(ratio, partial(ground.get, packed), partial(ground.get, ground.plain))
        yield Benchmark(f"store[key], {name}", read, goal, PLAIN)
    size = partial(ground.size, ground.stores["zstd"])
    yield Benchmark("bytes of values, zstd", size, 0.48, PLAIN)
    yield from filters(ground)
    for name, functions in ground.by_hand().items():
        store = ground.filled(f"by hand {name}", dump_load=functions)
        read = partial(ratio, partial(ground.get, store), partial(ground.get, ground.plain))
        yield Benchmark(f"by hand, store[key], {name}", read, 0, PLAIN)


def filters(ground: "PackedGround") -> Iterator[Benchmark]:
    """Filters without an index: the fast lanes, and what it takes to unpack each value."""
    plain = ground.records("plain", {})
    for name, options, goal in (
        ("zstd", {"compress": "zstd"}, 0),
        ("zstd, checksums", {"compress": "zstd", "checksums": True}, 0),
        ("AES-GCM", {"encrypt": os.urandom(32)}, 6),
        ("zstd, AES-GCM", {"compress": "zstd", "encrypt": os.urandom(32)}, 8),
    ):
        packed = ground.records(name, options)
        for kind, path in FILTERS.items():
            measure = partial(ratio, packed.find(path).count, plain.find(path).count)
            yield Benchmark(f"count by {kind}, {name}", measure, goal, PLAIN_RECORDS)
        total = partial(ratio, partial(total_of, packed), partial(total_of, plain))
        yield Benchmark(f"sum of a field, {name}", total, 0, PLAIN_RECORDS)


def total_of(airports: "Collection[str, Airport]") -> float:
    total: float = airports.find().sum("elevation")
    return total


@define
class Airport:
    icao: str = key()
    iata: str
    name: str
    city: str
    subd: str
    country: str
    elevation: float
    lat: float
    lon: float
    tz: str
    lid: str


class PackedGround:
    """The airports in stores of several formats."""

    def __init__(self, path: Path) -> None:
        from airportsdata import load

        self._path = path
        airports = dict(list(load().items())[: min(READS, RECORDS)])
        self.airports: dict[bytes, Any] = {key.encode(): row for key, row in airports.items()}
        self.keys = list(self.airports)
        random.Random(1).shuffle(self.keys)
        self.plain = self.filled("plain", serialize="msgpack")
        self.stores: dict[str, LmdbStore[Any, Any]] = {}

    def filled(self, name: str, **options: Any) -> LmdbStore[Any, Any]:
        place = self._path / f"airports {name}"
        store = LmdbStore[Any, Any](place, durability="none", **options)
        store.update(self.airports)
        return store

    def packed(self, name: str, options: dict[str, Any]) -> LmdbStore[Any, Any]:
        keys = {"encrypt": options["encrypt"]} if "encrypt" in options else {}
        store = self.filled(f"packed {name}", serialize="msgpack", **keys)
        migrate(store, **options)
        self.stores[name] = store
        return store

    def records(self, name: str, options: dict[str, Any]) -> Collection[str, Airport]:
        """A collection of the airports whose records are packed."""
        opening = {each: value for each, value in options.items() if each != "compress"}
        place = self._path / f"records {name}"
        store = LmdbStore[Any, Any](place, durability="none", serialize="msgpack", **opening)
        airports: Collection[str, Airport] = Collection(store, Airport)
        airports.add_many(Airport(**row) for row in self.airports.values())
        if "compress" in options:
            migrate(store, compress="zstd")
        return airports

    def get(self, store: LmdbStore[Any, Any]) -> None:
        for name in self.keys:
            store[name]

    def size(self, store: LmdbStore[Any, Any]) -> float:
        packed, plain = (
            sum(len(raw) for _, raw in each.database.engine.begin().scan(Space.DATA))
            for each in (store, self.plain)
        )
        return packed / plain

    def by_hand(self) -> dict[str, Any]:
        """Functions for `dump_load=`, without a key bound in and without sessions."""
        import zstandard
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        dumps, loads = serializer("msgpack").encode, serializer("msgpack").decode
        trained = train([dumps(row) for row in self.airports.values()][::5])
        dictionary = None if trained is None else zstandard.ZstdCompressionDict(trained)
        compress = zstandard.ZstdCompressor(dict_data=dictionary).compress
        decompress = zstandard.ZstdDecompressor(dict_data=dictionary).decompress
        key = AESGCM(os.urandom(32))

        def encrypt(content: bytes) -> bytes:
            nonce = os.urandom(12)
            return nonce + key.encrypt(nonce, content, None)

        return {
            "zstd": (lambda row: compress(dumps(row)), lambda raw: loads(decompress(raw))),
            "AES-GCM": (
                lambda row: encrypt(dumps(row)),
                lambda raw: loads(key.decrypt(raw[:12], raw[12:], None)),
            ),
            "zstd, AES-GCM": (
                lambda row: encrypt(compress(dumps(row))),
                lambda raw: loads(decompress(key.decrypt(raw[:12], raw[12:], None))),
            ),
        }
