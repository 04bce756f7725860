"""The loop of all migrations: short write transactions, one after another.

A migration gives the loop a function, which changes some entries in one transaction:

    def step(txn: Transaction, start: bytes, turn: Turn) -> tuple[bytes | None, int]:
        changes, looked_at, next_start = [], 0, None
        with closing(pages_from(database.engine, txn, start, stop)) as pages:
            for keys, values in pages:
                for key, raw in zip(keys, values):
                    if turn.is_over(looked_at):
                        next_start = key
                        break
                    ...
                    looked_at += 1
        txn.put_many(DATA, still_there(database.engine, txn, changes))
        return next_start, looked_at

    run_batches(database, step, counter=ProgressCounter(progress, total))

`step` returns the key at which the next transaction begins, or None at the end, and the number of
the entries that it has looked at. It asks `turn` when to stop. It may run again with the same
arguments, and in another thread: it must depend on its transaction only. Where several processes
share the work, it reads its start from the store instead, and ignores `start`.

A transaction holds the lock of the writers for about `HELD` seconds. The loop measures how long
each transaction has held it, the wait for the disk included, and gives the next one less or more
time. `stones.migrations.old_values` says how a step reads where a commit may find conflicts.
"""

from collections.abc import Callable
from time import perf_counter

from stones.engine import Transaction
from stones.stores.database import Database

from .progress import ProgressCounter

HELD = 0.015
"""The seconds for which a transaction is to hold the lock of the writers."""
SHORTEST = 0.004
"""The seconds that a step has at least, however long the commits take."""
ENTRIES = 20_000
"""A transaction looks at no more entries than this."""
BYTES = 4_000_000
"""A transaction changes about so many bytes at most."""

_FEW = 16
"""Entries between two looks at the clock, at first."""
_MANY = 128
"""Entries between two looks at the clock, at most."""
_LONG, _SHORT = 0.002, 0.0005
"""If that many entries take longer or shorter, there are fewer or more the next time. Seconds."""


class Turn:
    """The time and the room that a step has in one transaction."""

    __slots__ = ("_until", "ended")

    def __init__(self, seconds: float) -> None:
        self.ended = perf_counter()
        """The time of the last look at the clock, in seconds of `perf_counter`."""
        self._until = self.ended + seconds

    def is_over(self, looked_at: int, size: int = 0) -> bool:
        """Whether the step has to stop, after `looked_at` entries and `size` bytes of changes.

        It is never over before the first entry. A call takes 0.1 microseconds.
        """
        self.ended = now = perf_counter()
        return looked_at > 0 and (now >= self._until or looked_at >= ENTRIES or size >= BYTES)

    def since_last_look(self) -> float:
        """The seconds since `is_over` was called last."""
        return perf_counter() - self.ended


class ChunkSize:
    """How many entries a step takes between two looks at the clock: the longer, the fewer."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries = _FEW

    def adapt(self, turn: Turn) -> None:
        """Set the next number by the time since the last look at the clock."""
        seconds = turn.since_last_look()
        if seconds > _LONG:
            self.entries = max(self.entries // 2, 1)
        elif seconds < _SHORT:
            self.entries = min(self.entries * 2, _MANY)


Step = Callable[[Transaction, bytes, Turn], tuple[bytes | None, int]]
"""Changes some entries from a key on: the key to go on at, or None, and how many it looked at."""


def run_batches(
    database: Database,
    step: Step,
    *,
    start: bytes = b"",
    counter: ProgressCounter | None = None,
    joinable: bool = False,
    committed: Callable[[], object] | None = None,
) -> int:
    """Call `step` in one write transaction after another, until it returns None for a start.

    Returns how many entries the steps have looked at. Call it outside of a transaction. What a
    committed transaction has changed stays, whatever comes later. If it is `joinable`, `step` runs
    in this thread, and what it reads from the store joins the transaction. `committed` is called
    after each commit.
    """
    total = 0
    seconds = HELD / 2
    next_start: bytes | None = start
    while next_start is not None:
        here, allowed = next_start, seconds
        turn = Turn(allowed)

        def change(
            txn: Transaction, here: bytes = here, allowed: float = allowed
        ) -> tuple[bytes | None, int]:
            nonlocal turn
            turn = Turn(allowed)
            return step(txn, here, turn)

        if joinable:
            next_start, looked_at = database.transact(change, joinable=True)
        else:
            next_start, looked_at = database.write(change)
        if committed is not None:
            committed()
        # What came after the last look at the clock takes time too: the puts and the commit.
        rest = perf_counter() - turn.ended
        # The mean of the last time and the right one: the rest grows with the time of the step.
        seconds = max(SHORTEST, (allowed + min(HELD, HELD - rest)) / 2)
        total += looked_at
        if counter is not None:
            counter.add(looked_at)
    return total
