"""Moves a store to another engine while programs use it, and back.

    python moving.py lmdb:my-db postgresql://app@db1/shop

A program that is to be moved opens its store by `Moving(url)` instead of `stone(url)`, and does
each piece of work by `run`. So it notices that its store has moved, and goes on in the new place.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from stones import Store, stone
from stones.engine import Space, Transaction

T = TypeVar("T")

MOVED = b"moved-to"
"""The key, beside the metadata, of the URL where the store is now."""
COUNTS = b"count/"
"""The counts of collections have these keys. Each engine keeps sums in its own way."""


class Moving:
    """A store that may move to another place while this program uses it."""

    def __init__(self, url: str) -> None:
        self.store: Store[bytes, Any] = stone(url)

    def run(self, work: Callable[[Store[bytes, Any]], T]) -> T:
        """What `work(store)` returns, as one transaction in the place where the store is now.

        It may run more than once, as in `Store.transact`. Open collections inside of it.
        """
        while True:
            store = self.store

            def checked(store: Store[bytes, Any] = store) -> tuple[str | None, Any]:
                place = moved_to(store)
                return place, work(store) if place is None else None

            place, result = store.transact(checked)
            if place is None:
                return result
            time.sleep(0.05)  # for a moment, the new place may still refer to the old one
            self.store = stone(place)
            store.close()


def move(source_url: str, target_url: str) -> float:
    """Move the store at `source_url` to `target_url`. Returns the pause of writers in seconds.

    The target is empty, or an earlier place of the same store, or the copy of a move that was
    killed. If a move is killed, all programs go on where they are. Run it again then.
    """
    with stone(source_url, create=False) as source, stone(target_url) as target:
        if moved_to(source) == target_url:  # only the last step is left
            note_place(target, None)
            return 0.0
        if (place := moved_to(source)) is not None:
            raise SystemExit(f"{source_url} has moved to {place}: name that as the source")
        if moved_to(target) != source_url:
            if list(target.range(limit=1)):
                raise SystemExit(f"{target_url} has entries that are not of an earlier move")
            note_place(target, source_url)  # a program that opens it goes to the source
        seen = source.database.engine.begin()
        with target.database.reading() as present:
            bring_over(present, seen, target)  # the long copy: programs write meanwhile
        for _ in range(3):  # what they wrote; each round is shorter than the one before
            now = source.database.engine.begin()
            bring_over(seen, now, target)
            seen.abort()
            seen = now
        starts: list[float] = []

        def finish() -> None:
            starts.append(time.monotonic())
            with source.database.reading() as now, target.database.reading() as present:
                # After a conflict it runs again, and the target has what the first run has seen.
                bring_over(seen if len(starts) == 1 else present, now, target)
            note_place(source, target_url)

        source.transact(finish)  # no other program writes to the source meanwhile
        note_place(target, None)
        seen.abort()
        return time.monotonic() - starts[0]


def moved_to(store: Store[bytes, Any]) -> str | None:
    """Where the store is now. None if it is here."""
    raw = store.database.get(MOVED, Space.META)
    return None if raw is None else raw.decode()


def note_place(store: Store[bytes, Any], url: str | None) -> None:
    """Note where the store is now, or that it is here."""
    with store.database.writing() as txn:
        if url is None:
            txn.delete(Space.META, MOVED)
        else:
            txn.put(Space.META, MOVED, url.encode())


def bring_over(old: Transaction, new: Transaction, target: Store[bytes, Any]) -> None:
    """Change in the target what differs between two states: entries, indexes, metadata, counts."""

    def change(txn: Transaction) -> None:
        for space in Space:
            for key, value in differences(old, new, space):
                if space is Space.META and (key == MOVED or key.startswith(COUNTS)):
                    continue
                if value is None:
                    txn.delete(space, key)
                else:
                    txn.put(space, key, value)
        for key in sum_keys(old) - sum_keys(new):
            txn.drop_sum(key)
        for key in sum_keys(new):
            if added := new.sum(key) - old.sum(key):
                txn.add(key, added)

    target.database.engine.transact(change)


def differences(
    old: Transaction, new: Transaction, space: Space
) -> Iterator[tuple[bytes, bytes | None]]:
    """The keys that differ between two states, with the new values; None for a key that is gone."""
    before, after = entries(old, space), entries(new, space)
    left, right = next(before, None), next(after, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], None
            left = next(before, None)
        elif left is None or right[0] < left[0]:
            yield right
            right = next(after, None)
        else:
            if left[1] != right[1]:
                yield right
            left, right = next(before, None), next(after, None)


def entries(txn: Transaction, space: Space) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a space, in key order."""
    for keys, values in txn.pages(space):
        yield from zip(keys, values, strict=True)


def sum_keys(txn: Transaction) -> set[bytes]:
    """The keys of all counts of collections, wherever the engine keeps them."""
    stop = COUNTS[:-1] + b"0"
    return {*txn.keys(Space.META, COUNTS, stop), *(key for key, _ in txn.sums())}


if __name__ == "__main__":
    print(f"moved; writers paused for {move(*sys.argv[1:]):.2f} s")
