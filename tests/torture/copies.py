"""Kills copies of a store at random instants, and runs each again until it ends.

Meanwhile a thread writes to the source. A target must not pass for a store while it is unfinished.
Once a copy has ended, it has whole transactions only. It must be equal to the source once that has
come to rest and the copy was brought up to date.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define
from workload import Violation

from stones import Collection, Store, StoreOpenError, check, copy, index, key, stone
from stones.engine import Space
from stones.stores.existing import open_database

COPY = """
import sys
from stones import copy
print("ready", flush=True)
copy(sys.argv[1], sys.argv[2])
"""
ENTRIES = 20_000
ENGINES = ["lmdb", "sqlite", "leveldb", "dbm"]


@define
class User:
    number: int = key()
    city: str = index()


class Copies:
    """Copies that are killed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.finished = 0

    def run(self, kills: int) -> None:
        """Kill copies so often. Raises Violation."""
        folder = Path(tempfile.mkdtemp(prefix="stones-copies-"))
        try:
            here = f"lmdb:{folder}/here"
            with stone(here, serialize="json") as store:
                store.update({f"key {n}": str(n) * 20 for n in range(ENTRIES)})
                store.update(left=0, right=0, users=2000)
                Collection(store, User).add_many(User(n, f"city {n % 9}") for n in range(2000))
                done = 0
                while done < kills:
                    engine = self._random.choice(ENGINES)
                    there = f"{engine}:{folder}/there-{self.finished}"
                    done += self._copy(store, here, there, kills - done)
                    self.finished += 1
        finally:
            shutil.rmtree(folder)

    def _copy(self, store: Store, here: str, there: str, kills: int) -> int:
        """Copy to a new place, with at most so many kills. How many there were."""
        for done in range(min(kills, 12)):
            with self._changing(store):
                if self._killed(here, there):
                    self._check_not_half(there)
                    continue
            self._check_whole(there)
            copy(store, there, replace=True)
            self._check(here, there)
            return done
        copy(store, there, replace=True)
        self._check(here, there)
        return min(kills, 12)

    def _killed(self, here: str, there: str) -> bool:
        """Copy in another process, and kill that. Was it early enough?"""
        command = [sys.executable, "-c", COPY, here, there]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(self._random.random() ** 2 * 2)
        process.kill()
        _, text = process.communicate()
        if process.returncode > 0 and b"if it is an older copy" not in text:
            raise Violation(text.decode())
        return process.returncode < 0

    @contextmanager
    def _changing(self, store: Store) -> Iterator[None]:
        """A thread writes to the source as long as the block lasts."""
        ended = threading.Event()
        draw = random.Random(self._random.random())

        def change() -> None:
            while not ended.wait(0.01):
                self._change(store, draw)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _change(self, store: Store, draw: random.Random) -> None:
        users = Collection(store, User)
        with store.transaction():
            store["left"] = draw.random()
            for _ in range(20):
                name = f"key {draw.randrange(ENTRIES)}"
                if draw.random() < 0.3:
                    store.pop(name, None)
                else:
                    store[name] = draw.random()
                users.put(User(draw.randrange(3000), "changed"))
            store["users"], store["right"] = len(users), store["left"]

    def _check_not_half(self, there: str) -> None:
        """Raise Violation if a half copy passes for a store."""
        with suppress(StoreOpenError):  # it is unfinished, or not even a store yet
            with stone(there, create=False) as store:
                is_empty = len(store) == 0
            if not is_empty:
                self._check_whole(there)

    def _check_whole(self, there: str) -> None:
        """Raise Violation if the target has a part of a transaction."""
        with stone(there, create=False) as store:
            users = Collection(store, User)
            if store["left"] != store["right"]:
                raise Violation(f"{there} has a part of a transaction")
            if not store["users"] == len(users) == len([*users]):
                raise Violation(f"{there} has another number of records than its source")

    def _check(self, here: str, there: str) -> None:
        if contents(here) != contents(there):
            raise Violation(f"{there} differs from its source")
        if check(there).findings:
            raise Violation(f"{there} has damage: {check(there).findings[0]}")


def contents(url: str) -> list[dict[bytes, bytes]]:
    """All spaces of a store."""
    with open_database(url, readonly=True) as database:
        txn = database.engine.begin()
        found = [dict(txn.scan(space)) for space in Space]
        txn.abort()
    return found
