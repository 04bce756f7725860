"""The process that writes until somebody ends it, and says so after each operation that is done.

It is started by `kills` and `powercuts`, and speaks in lines on standard output: `opening`, then
`ready`, `did <lane>` after an operation has returned, `synced <lane>` after sync() has, `wrong
<what>` where what it sees is wrong.
"""

import argparse
import faulthandler
import os
import threading
import time
import traceback
from functools import partial
from itertools import cycle
from random import Random
from typing import Any

import lmdb
from workload import (
    REBUILT,
    TOTAL,
    Block,
    Item,
    Operation,
    items_in,
    operations,
    own_count,
    pair,
    perform,
    read,
)

from stones import Collection, LmdbStore, migrate, stone
from stones.collections import declared_indexes, index_building
from stones.engine import Space

OUT = 1


def say(line: str) -> None:
    os.write(OUT, line.encode() + b"\n")  # less than a pipe takes at once: lines stay whole


class Writer:
    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        options = {} if asked.durability == "full" else {"durability": asked.durability}
        self.store: LmdbStore[bytes, Any] = stone(asked.path, LmdbStore, options=options)
        self.items = items_in(self.store)
        self.ended = threading.Event()

    def write(self, lane: int) -> None:
        """The operations of one lane."""
        following = operations(self.asked.seed, lane, read(self.store, self.items, lane))
        rng = Random(f"{self.asked.seed}/{lane}/sync")
        for _ in range(self.asked.operations):
            operation = next(following)
            if self.asked.sabotage == "early":
                say(f"did {lane}")
                self.perform(operation)
            else:
                self.perform(operation)
                say(f"did {lane}")
            if self.asked.durability != "full" and rng.random() < 0.1:
                if self.asked.sabotage != "nosync":
                    self.store.sync()
                say(f"synced {lane}")

    def perform(self, operation: Operation) -> None:
        if self.asked.sabotage == "split" and isinstance(operation, Block):
            for step in operation.steps if operation.kept else ():
                self.perform(step)
        else:
            perform(operation, self.store, self.items)
        if self.asked.sabotage == "index":
            with self.store.database.writing() as txn:
                for entry in txn.keys(Space.INDEX, reverse=True):
                    txn.delete(Space.INDEX, entry)
                    break

    def watch(self) -> None:
        """Look at frozen instants: no transaction is ever seen in part."""
        while not self.ended.is_set():
            with self.store.snapshot() as view:
                lanes = range(self.asked.all_lanes)
                counts = sum(view.get(own_count(lane), 0) for lane in lanes)
                if view.get(TOTAL, 0) != counts:
                    say(f"wrong total in a snapshot: {view.get(TOTAL)} is not {counts}")
                for lane in lanes:
                    left, right = (view.get(each) for each in pair(lane))
                    if left != right:
                        say(f"wrong pair of lane {lane} in a snapshot")
                time.sleep(0.002)

    def migrate(self) -> None:
        """From one serializer to the next, again and again."""
        rng = Random(self.asked.seed)
        for to in cycle(rng.sample(["cbor", "msgpack", "json", "pickle"], 4)):
            if self.ended.wait(rng.uniform(0, 0.1)):
                return
            migrate(self.store, to)

    def rebuild(self) -> None:
        """Drop an index and build it again, in many small steps."""
        index_building.STEP, declared_indexes.SMALL = 3, 0
        rng = Random(self.asked.seed)
        while not self.ended.wait(rng.uniform(0, 0.02)):
            items = Collection(self.store, Item, indexes=[REBUILT])
            items.build_indexes()
            if rng.random() < 0.5 and REBUILT in {found.name for found in items.indexes}:
                items.drop_index(REBUILT)

    def run(self) -> None:
        others = [threading.Thread(target=self.watch)]
        if self.asked.rebuild:
            others.append(threading.Thread(target=self.rebuild))
        if self.asked.migrate:
            others.append(threading.Thread(target=self.migrate))
        lanes = [threading.Thread(target=self.write, args=[lane]) for lane in self.asked.lanes]
        for thread in others + lanes:
            thread.start()
        for thread in lanes:
            thread.join()
        self.ended.set()
        for thread in others:
            thread.join()
        self.store.close()


def fail(args: threading.ExceptHookArgs) -> None:
    traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--lanes", type=int, nargs="+", required=True)
    parser.add_argument("--all-lanes", type=int, required=True)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--migrate", action="store_true")
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--durability", default="full")
    parser.add_argument("--sabotage", choices=["early", "split", "nosync", "index"])
    asked = parser.parse_args()

    faulthandler.enable()
    threading.excepthook = fail
    if asked.sabotage == "nosync":
        lmdb.open = partial(lmdb.open, sync=False)  # type: ignore[misc]
    say("opening")
    writer = Writer(asked)
    say("ready")
    writer.run()


if __name__ == "__main__":
    main()
