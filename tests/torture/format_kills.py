"""Migrations of formats are killed at random instants; each time the store is checked.

Each kind of migration starts from the same store. A child process migrates a copy of it, and is
killed. Then each value must be there and equal, before and after the migration is run again. At the
end the store must have the same bytes as after a migration that nobody disturbed. Where a format
has random bytes, as in encryption, the values are compared instead.
"""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from attrs import define, frozen
from workload import Violation

import stones
from stones import Collection, EncryptionKeyError, LmdbStore, index, key, migrate
from stones.engine import Space
from stones.migrations import batches
from stones.migrations.progress import Progress

KEYS = [bytes([number]) * 32 for number in range(2)]
VALUES = 1000
BATCH = 30
"""A transaction looks at so many values: a small store has many transactions, too."""


@define
class City:
    name: str = key()
    country: str = index()
    about: str = ""


@frozen
class Kind:
    """A kind of migration."""

    options: dict[str, Any]
    """What the store is made with."""
    migration: dict[str, Any]
    """What it is migrated to."""
    collection: bool = False
    """Whether only the collection is migrated."""


KINDS = {
    "serializer": Kind({"serialize": "pickle"}, {"to": "cbor", "checksums": True}),
    "compress": Kind({"serialize": "msgpack"}, {"compress": "zstd"}),
    "decompress": Kind({"serialize": "json", "compress": "zstd"}, {"compress": False}),
    "collection": Kind({"serialize": "json"}, {"to": "msgpack", "compress": "zstd"}, True),
    "prefix": Kind({"serialize": "json"}, {"to": "cbor", "prefix": "value/1"}),
    "encrypt": Kind({"serialize": "msgpack"}, {"encrypt": KEYS[0]}),
    "rotate": Kind({"serialize": "cbor", "encrypt": KEYS[1]}, {"encrypt": KEYS}),
    "decrypt": Kind({"serialize": "json", "encrypt": KEYS[0]}, {"encrypt": False}),
}


class FormatKills:
    """Kills of each kind of migration. Prints what it does, raises Violation."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def run(self, kills: int) -> int:
        """Kill each kind of migration so often. How many migrations were in the middle then."""
        batches.ENTRIES = BATCH
        unfinished = 0
        with tempfile.TemporaryDirectory(prefix="stones-kills-") as folder:
            for name, kind in KINDS.items():
                found = _Kind(kind, Path(folder, name)).kills(Random(f"{self.seed}/{name}"), kills)
                print(f"{name}: {kills} kills, {found} in the middle", flush=True)
                unfinished += found
        return unfinished


class _Kind:
    """The store that one kind of migration starts from, and what comes of it."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        folder.mkdir()
        self.kind = kind
        self.before, self.now, after = folder / "before", folder / "now", folder / "after"
        with LmdbStore(str(self.before), **kind.options) as store:
            store.update((f"value/{n}", {"n": n, "text": f"text {n} " * 6}) for n in range(VALUES))
            Collection(store, City).add_many(
                City(f"city {n}", f"country {n % 7}", f"about the city {n} " * 3)
                for n in range(VALUES)
            )
            self.values = dict(store)
            self.indexes = _entries(store, Space.INDEX)
        shutil.copytree(self.before, after)
        started = time.monotonic()
        child, progress = self._migrating(after)
        self.steps = len(progress.read())
        progress.close()
        os.waitpid(child, 0)
        self.seconds = time.monotonic() - started
        with self._opened(after) as store:
            self.after = self._bytes(store)

    def kills(self, rng: Random, count: int) -> int:
        unfinished = 0
        for number in range(count):
            shutil.copytree(self.before, self.now)
            child, progress = self._migrating(self.now)
            if number % 4:
                _read(progress, rng.randrange(1, self.steps))
                time.sleep(rng.uniform(0, 0.002))
            else:  # also before its first step and after its last one
                time.sleep(rng.uniform(0, self.seconds))
            progress.close()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with self._opened(self.now) as store:
                unfinished += store.database.metadata().migration is not None
                self._check(store, "after the kill")
                self._migrate(store)
                self._check(store, "at the end")
                if self._bytes(store) != self.after:
                    raise Violation("the bytes differ from those of an undisturbed migration")
            self._check_keys()
            shutil.rmtree(self.now)
        return unfinished

    def _migrating(self, path: Path) -> tuple[int, BinaryIO]:
        """A child process that migrates, and a pipe with a byte for each of its steps.

        It is a fork, which begins at once.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child:
            os.close(writing)
            return child, open(reading, "rb", buffering=0)
        try:
            os.close(reading)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            with self._opened(path) as store:
                self._migrate(store, lambda *_: os.write(writing, b"."))
            os._exit(0)
        finally:
            os._exit(1)

    def _opened(self, path: Path) -> LmdbStore[bytes, Any]:
        try:
            return LmdbStore(str(path))
        except EncryptionKeyError:
            return LmdbStore(str(path), encrypt=KEYS)  # values may be left under any of them

    def _migrate(self, store: LmdbStore[bytes, Any], progress: Progress | None = None) -> None:
        place: Any = Collection(store, City) if self.kind.collection else store
        migrate(place, **self.kind.migration, progress=progress)

    def _check(self, store: LmdbStore[bytes, Any], when: str) -> None:
        if dict(store) != self.values:
            raise Violation(f"a value is not what it was, {when}")
        if _entries(store, Space.INDEX) != self.indexes:
            raise Violation(f"an index is not what it was, {when}")
        if not stones.check(store).sound:
            raise Violation(f"check finds {stones.check(store).findings[:3]}, {when}")

    def _check_keys(self) -> None:
        """After a migration no value needs a key that is gone."""
        if "encrypt" not in self.kind.migration:
            return
        key = KEYS[0] if self.kind.migration["encrypt"] else None
        with LmdbStore[bytes, Any](str(self.now), encrypt=key) as store:
            self._check(store, "by the key of now alone")

    def _bytes(self, store: LmdbStore[bytes, Any]) -> object:
        """What must be the same in the end."""
        if "encrypt" in {**self.kind.options, **self.kind.migration}:
            return {raw[:1] for raw in _entries(store, Space.DATA).values()}
        meta = _entries(store, Space.META)
        return _entries(store, Space.DATA), {k: v for k, v in meta.items() if k != b"generation"}


def _entries(store: LmdbStore[bytes, Any], space: Space) -> dict[bytes, bytes]:
    return store.database.engine.read(lambda txn: dict(txn.scan(space)))


def _read(pipe: BinaryIO, count: int) -> None:
    """Read so many bytes, or up to the end."""
    while count > 0 and (read := pipe.read(count)):
        count -= len(read)
