"""Kills copies of a store at random instants, and runs each again until it ends.

Between two kills the source changes. A target must not pass for a store while it is unfinished, and
must be equal to the source once the copy has ended.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import define
from workload import Violation

from stones import Collection, Store, UnfinishedCopyError, check, copy, index, key, stone
from stones.engine import Space
from stones.stores.existing import open_database

COPY = "import sys; from stones import copy; copy(sys.argv[1], sys.argv[2])"
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
        done = 0
        while done < min(kills, 12):
            process = subprocess.Popen([sys.executable, "-c", COPY, here, there])
            path = there.partition(":")[2]
            while process.poll() is None and not os.path.exists(path):
                time.sleep(0.005)
            time.sleep(self._random.random() * 0.5)
            process.kill()
            if process.wait() == 0:
                self._check(here, there)
                return done
            done += 1
            if self._is_unfinished(there):
                self._change(store)
        copy(store, there)
        self._check(here, there)
        return done

    def _is_unfinished(self, there: str) -> bool:
        try:
            stone(there, create=False).close()
        except UnfinishedCopyError:
            return True
        except OSError:  # not even a store yet
            return False
        return False

    def _change(self, store: Store) -> None:
        draw = self._random
        users = Collection(store, User)
        with store.transaction():
            for _ in range(20):
                name = f"key {draw.randrange(ENTRIES)}"
                if draw.random() < 0.3:
                    store.pop(name, None)
                else:
                    store[name] = draw.random()
                users.put(User(draw.randrange(3000), "changed"))

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
