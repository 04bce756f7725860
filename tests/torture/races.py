"""Threads and processes open a new collection at the same time, and all of them use it.

They write, list, find, rename, split, merge and drop it. An error must be one that the documents
tell, and each record that was acknowledged must be there in the end, once, or have been dropped.
"""

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from random import Random
from typing import Any

from attrs import define, frozen
from workload import Violation

from stones import Collection, CollectionError, MemoryStore, Store, check, index, key, stone
from stones.collections import declared_indexes, index_building

THREADS = 4
OPERATIONS = 12
PATIENCE = 60
"""Seconds after which a process counts as hanging."""
NAMES = ["Row", "Moved", "Part"]
ENGINES = ["lmdb", "sqlite", "memory"]
SIMPLE = ["add", "add", "add_many", "update", "delete", "list", "find", "get", "snapshot", "index"]
KINDS = {
    "write": [*SIMPLE, "transaction"],
    "move": [*SIMPLE, "rename", "split", "merge"],
    "drop": [*SIMPLE, "rename", "drop"],
}


@define
class Row:
    name: str = key()
    worker: int = index()
    text: str = index(unique=True)


@frozen
class Round:
    """What the processes of a round share."""

    url: str
    kind: str
    seed: str
    processes: int
    start: float
    """The time at which all threads begin."""


class Races:
    """Rounds of threads and processes. Prints what it does, raises Violation."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def run(self, rounds: int) -> int:
        """How many records were acknowledged."""
        acknowledged = 0
        for number in range(rounds):
            seed = f"{self.seed}/{number}"
            rng = Random(seed)
            engine, kind = ENGINES[number % 3], rng.choice([*KINDS])
            folder = tempfile.mkdtemp(prefix="stones-races-")
            try:
                acknowledged += self._round(f"{engine}:{folder}/store", kind, seed)
                print(f"round {seed}: {engine}, {kind}", flush=True)
            except Violation as violation:
                raise Violation(f"round {seed}, {engine}, {kind}: {violation}") from None
            finally:
                shutil.rmtree(folder)
        return acknowledged

    def _round(self, url: str, kind: str, seed: str) -> int:
        processes = 1 if url.startswith("memory") else 2
        this = Round(url, kind, seed, processes, time.time() + 0.2)
        children = [
            _forked(lambda process=process: _work(this, process)) for process in range(processes)
        ]
        told = [_told(*child) for child in children]
        acknowledged = [name for each in told for name in each["acknowledged"]]
        dropped = [name for each in told for name in each["dropped"]]
        if url.startswith("memory"):
            found = told[0]["found"]
        else:
            with stone(url, create=False) as store:
                found = _found(store)
        _compare(Counter(acknowledged), Counter(found), Counter(dropped))
        return len(acknowledged)


def _compare(acknowledged: Counter[str], found: Counter[str], dropped: Counter[str]) -> None:
    lost = acknowledged - found - dropped
    if lost:
        raise Violation(f"{len(lost)} records are lost: {sorted(lost)[:5]}")
    more = found + dropped - acknowledged
    if more:
        raise Violation(
            f"{len(more)} records are there twice, or not acknowledged: {sorted(more)[:5]}"
        )


def _found(store: Store[Any, Any]) -> list[str]:
    """The keys of all records. Raises Violation if the collections are not sound."""
    report = check(store)
    if report.findings:
        raise Violation(f"check finds {report.findings[:3]}")
    found = []
    for name in NAMES:
        rows = Collection(store, Row, name)
        names = [*rows]
        if len(rows) != len(names):
            raise Violation(f"len({name}) is {len(rows)}, and it has {len(names)} records")
        by_index = sorted(row.name for worker in range(99) for row in rows.find(worker=worker))
        if by_index != sorted(names):
            raise Violation(f"an index of {name} has {len(by_index)} records of {len(names)}")
        found += names
    return found


# -- in a process of its own -------------------------------------------------------------------


def _forked(work: Callable[[], Any]) -> tuple[int, int]:
    """A child process that does some work, and the pipe in which its result arrives as JSON."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        result = work()
    except BaseException:  # noqa: BLE001  # whatever it is, the parent tells of it
        result = {"error": traceback.format_exc()}
    with open(writing, "w") as pipe:
        json.dump(result, pipe)
    os._exit(0)


def _told(child: int, reading: int) -> Any:
    with open(reading) as pipe:
        if not select.select([pipe], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGABRT)
            os.waitpid(child, 0)
            raise Violation("a process hangs")
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not text:
        raise Violation(f"a process died, status {status}")
    told = json.loads(text)
    if "error" in told:
        raise Violation(told["error"])
    return told


def _work(this: Round, process: int) -> Any:
    """What the threads of a process do, and what they have told."""
    index_building.STEP, declared_indexes.SMALL = 3, 0
    opened = (
        MemoryStore if this.url.startswith("memory") else lambda: stone(this.url, serialize="json")
    )
    with opened() as store:
        shared = Collection(store, Row)
        workers = [
            _Worker(this, store, shared, process * THREADS + number) for number in range(THREADS)
        ]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [worker.error for worker in workers if worker.error]
        if errors:
            return {"error": errors[0]}
        return {
            "acknowledged": [name for worker in workers for name in worker.acknowledged],
            "dropped": [name for worker in workers for name in worker.dropped],
            "found": _found(store) if this.processes == 1 else [],
        }


class _Worker:
    """A thread that does operations, and knows which of its records were acknowledged."""

    def __init__(self, this: Round, store: Store[Any, Any], shared: Any, number: int) -> None:
        self.this, self.store, self.number = this, store, number
        self.rng = Random(f"{this.seed}/{number}")
        self.rows = shared if self.rng.random() < 0.5 else Collection(store, Row)
        self.acknowledged: list[str] = []
        self.dropped: list[str] = []
        self.error = ""

    def run(self) -> None:
        try:
            while time.time() < self.this.start:
                time.sleep(0)
            for _ in range(OPERATIONS):
                operation = self.rng.choice(KINDS[self.this.kind])
                with self._moved():
                    getattr(self, operation)()
        except BaseException:  # noqa: BLE001  # whatever it is, the parent tells of it
            self.error = traceback.format_exc()

    @contextmanager
    def _moved(self) -> Iterator[None]:
        """Open another collection if this one has another name now, or a name is taken."""
        try:
            yield
        except CollectionError:
            if self.this.kind == "write":
                raise
            with suppress(CollectionError):  # it is moved while it is opened
                self.rows = Collection(self.store, Row, self.rng.choice(NAMES))

    def _row(self) -> Row:
        name = f"{self.number}-{self.rng.getrandbits(60):x}"
        return Row(name, self.number, name)

    def _look(self, keys: list[str]) -> None:
        """In a collection that nobody moves, this worker finds what it has written."""
        if self.this.kind == "write" and not {*self.acknowledged} <= {*keys}:
            raise Violation(
                f"it finds {len(keys)} records, not all {len(self.acknowledged)} of its own"
            )

    def add(self) -> None:
        row = self._row()
        self.rows.add(row)
        self.acknowledged.append(row.name)

    def add_many(self) -> None:
        rows = [self._row() for _ in range(3)]
        self.rows.add_many(rows)
        self.acknowledged += [row.name for row in rows]

    def transaction(self) -> None:
        row = self._row()
        with self.store.transaction():
            self.rows.add(row)
            self.rows.update(row.name, worker=self.number)
            self._look([*self.rows])
        self.acknowledged.append(row.name)

    def update(self) -> None:
        for name in self.rng.sample(self.acknowledged, min(len(self.acknowledged), 2)):
            with self._elsewhere():
                self.rows.update(name, worker=self.number)

    def delete(self) -> None:
        for name in self.rng.sample(self.acknowledged, min(len(self.acknowledged), 1)):
            with self._elsewhere():
                del self.rows[name]
                self.acknowledged.remove(name)

    def _elsewhere(self) -> AbstractContextManager[None]:
        """Own records may be in another collection, or dropped, unless all only write."""
        return suppress(*[KeyError] if self.this.kind != "write" else [])

    def index(self) -> None:
        """Build one more index, or drop it, while others write."""
        name = self.rows.name
        if self.rng.random() < 0.5:
            self.rows = Collection(self.store, Row, name, indexes=[("worker", "name")])
            self.rows.build_indexes()
        else:
            self.rows = Collection(self.store, Row, name)
            with suppress(CollectionError):  # there is no such index
                self.rows.drop_index("worker,name")

    def snapshot(self) -> None:
        with self.store.snapshot() as view:
            rows = Collection(view, Row, self.rows.name)
            names = [*rows]
            self._look(names)
            found = [*rows.find("@.worker >= 0").order_by("worker")]
            if not len(rows) == len(names) == len(found):
                raise Violation(f"a snapshot has {len(names)} records, len() says {len(rows)}")

    def list(self) -> None:
        self._look([row.name for row in self.rows.values()])

    def find(self) -> None:
        self._look([row.name for row in self.rows.find(worker=self.number)])
        self._look([row.name for row in self.rows.find("@.text != 'x'").order_by("worker")])
        self.rows.find(worker=self.number).count()

    def get(self) -> None:
        for name in self.acknowledged[-3:]:
            if name not in self.rows:
                self._look([])
        self.rows.get("nobody")
        len(self.rows)

    def rename(self) -> None:
        rows = Collection(self.store, Row, self.rows.name)
        rows.rename(self.rng.choice(NAMES))
        self.rows = rows

    def split(self) -> None:
        self.rows.split(self.rng.choice(NAMES), worker=self.number)

    def merge(self) -> None:
        self.rows.merge(self.rng.choice(NAMES))

    def drop(self) -> None:
        rows = Collection(self.store, Row, self.rows.name)
        with self.store.transaction():
            dropped = [*rows]
            rows.drop()
        self.dropped += dropped
