"""What the writers write, and what the store must hold after servers were killed.

Each operation of a writer has a number. The writer notes in its log how it ended: `made` for one
that was acknowledged, `undone` for one that failed and must have left nothing, `unknown` for one
whose connection was lost in the commit. Any other error is a violation.
"""

import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

from attrs import field, frozen

from stones import Collection, StorageError, Store, UnknownOutcomeError, index, key
from stones.collections.stored_indexes import StoredIndexes

ACCOUNTS = 100
BALANCE = 1_000
"""What each account has at first. Transfers keep the sum."""
PAUSE = 0.02
"""Seconds that a writer waits after an error, before it goes on."""


class Violation(Exception):  # noqa: N818  # an error of the store, none of ours
    """The store does not hold what it must, or it raised what it must not."""


class Undo(Exception):  # noqa: N818  # not an error either
    """Ends a savepoint that is to be undone."""


@frozen
class Entry:
    name: str = key()
    writer: int = index()
    number: int = index()


Open = Callable[[], Store[Any, Any]]


def fill(store: Store[Any, Any]) -> None:
    """What is there before the writers begin."""
    store.update({account(number): BALANCE for number in range(ACCOUNTS)})
    Collection(store, Entry)


def account(number: int) -> str:
    return f"account/{number:03}"


# -- writing -----------------------------------------------------------------------------------


class Writer:
    """Writes until it is told to stop. Its operations have the numbers 0, 1, 2, ...

    `sabotage` makes it err: `early` says that an operation was made before it is, `split` makes
    two transactions of one.
    """

    def __init__(self, store: Store[Any, Any], number: int, sabotage: str | None = None) -> None:
        self.store, self.number, self.sabotage = store, number, sabotage
        self.entries = Collection(store, Entry)
        self.rng = Random(f"{os.getpid()}")

    def put(self, number: int) -> None:
        self.store[f"put/{self.number}/{number}"] = number

    def add(self, number: int) -> None:
        self.entries.add(Entry(f"{self.number}-{number}", self.number, number))

    def transfer(self, number: int) -> None:
        source, target = self.rng.sample(range(ACCOUNTS), 2)
        amount = self.rng.randrange(1, 10)

        def change() -> None:
            self.store[account(source)] -= amount
            self.store[account(target)] += amount
            counted = f"transfers/{self.number}"
            self.store[counted] = self.store.get(counted, 0) + 1
            self.store[f"transfer/{self.number}/{number}"] = amount

        self.store.transact(change)

    def pair(self, number: int) -> None:
        """A with-block with two entries that belong together, and one that is undone."""
        with nullcontext() if self.sabotage == "split" else self.store.transaction():
            self.store[f"left/{self.number}/{number}"] = number
            try:
                with self.store.transaction():
                    self.store[f"never/{self.number}/{number}"] = number
                    raise Undo
            except Undo:
                pass
            self.store[f"right/{self.number}/{number}"] = number

    def attempt(self, kind: str, number: int) -> str:
        try:
            getattr(self, kind)(number)
        except UnknownOutcomeError:
            return "made" if self.sabotage == "early" else "unknown"
        except StorageError:
            return "made" if self.sabotage == "early" else "undone"
        return "made"


KINDS = ["put", "add", "transfer", "pair"]


def write(
    open_store: Open, number: int, log: Path, stop: Path, sabotage: str | None = None
) -> None:
    """Open the store and write, until the file `stop` is there or the runner is gone."""
    runner = os.getppid()
    rng = Random(f"kinds {number} {time.time()}")
    with log.open("a", buffering=1) as lines:
        try:
            store = _opened(open_store, stop)
            if store is None:
                return
            with store:
                writer = Writer(store, number, sabotage)
                done, last = 0, time.monotonic()
                while not stop.exists() and os.getppid() == runner:
                    kind = rng.choice(KINDS)
                    outcome = writer.attempt(kind, done)
                    now = time.monotonic()
                    lines.write(f"{kind} {done} {outcome} {now - last:.3f}\n")
                    if outcome == "made":
                        last = now
                    else:
                        time.sleep(PAUSE * rng.random())
                    done += 1
        except BaseException:  # noqa: BLE001  # the runner tells of it
            lines.write("wrong " + repr(traceback.format_exc()) + "\n")


def _opened(open_store: Open, stop: Path) -> Store[Any, Any] | None:
    while not stop.exists():
        try:
            return open_store()
        except StorageError:
            time.sleep(PAUSE)
    return None


# -- what was written --------------------------------------------------------------------------


@frozen
class Log:
    """What the writers say of their operations, so far."""

    outcomes: dict[tuple[str, int, int], str] = field(factory=dict)
    """By kind, writer and number."""
    gaps: list[float] = field(factory=list)
    """For each writer the longest time between two operations that were made, in seconds."""

    def count(self) -> Counter[str]:
        return Counter(self.outcomes.values())


def read_logs(logs: list[Path]) -> Log:
    """Raises Violation for an error that is not documented."""
    read = Log()
    for writer, path in enumerate(logs):
        longest = 0.0
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.startswith("wrong"):
                raise Violation(f"writer {writer}: " + line.encode().decode("unicode_escape"))
            try:
                kind, number, outcome, since = line.split()
            except ValueError:
                continue  # it is being written
            read.outcomes[kind, writer, int(number)] = outcome
            if outcome == "made":
                longest = max(longest, float(since))
        read.gaps.append(longest)
    return read


# -- what is there -----------------------------------------------------------------------------


def check(store: Store[Any, Any], log: Log) -> int:
    """Compare a snapshot of the store with what was noted before it. How many `unknown` are there.

    Raises Violation.
    """
    with store.snapshot() as view:
        found = {kind: set(_numbered(view, kind)) for kind in ("put", "transfer", "left", "right")}
        found["pair"] = found["left"]
        never = list(view.range(prefix="never/"))
        entries = Collection(view, Entry)
        found["add"] = {(entry.writer, entry.number) for entry in entries.values()}
        counted = len(entries)
        balances = [view[account(number)] for number in range(ACCOUNTS)]
        transfers = {
            int(name.decode().split("/")[1]): value
            for name, value in view.range(prefix="transfers/").items()
        }
    _same("the number of entries", counted, len(found["add"]))
    _same("what was undone in a savepoint", never, [])
    _same("the second half of pairs", found["right"] ^ found["left"], set())
    _same("the sum of all accounts", sum(balances), ACCOUNTS * BALANCE)
    by_writer = Counter(writer for writer, _ in found["transfer"])
    _same("the transfers of each writer", transfers, dict(by_writer))
    there = 0
    for (kind, writer, number), outcome in log.outcomes.items():
        present = (writer, number) in found[kind]
        there += present and outcome == "unknown"
        if present != (outcome == "made") and outcome != "unknown":
            state = "there" if present else "lost"
            raise Violation(f"{kind} {number} of writer {writer} was {outcome}, and is {state}")
    with store.database.reading() as txn:
        for problem in StoredIndexes(store.database, entries.name).problems(txn):
            raise Violation(f"an index differs from the records: {problem}")
    return there


def _numbered(view: Any, kind: str) -> Iterator[tuple[int, int]]:
    for name in view.range(prefix=f"{kind}/"):
        _, writer, number = name.decode().split("/")
        yield int(writer), int(number)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Violation(f"{what}: {found!r:.200} where {expected!r:.200} was expected")
