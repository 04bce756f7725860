"""Moves a store to another engine while programs use it, and back.

    python moving.py lmdb:my-db postgresql://app@db1/shop

A program that is to be moved opens its store by `Moving(url)` instead of `stone(url)`, and does
each piece of work by `run`. So it notices that its store has moved, and goes on in the new place.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from stones import Store, StoreOpenError, UnfinishedCopyError, copy, stone
from stones.engine import Space

T = TypeVar("T")

MOVED = b"moved-to"
"""The key, beside the metadata, of the URL where the store is now."""


class Moving:
    """A store that may move to another place while this program uses it."""

    def __init__(self, url: str) -> None:
        self.store: Store[bytes, Any] = opened(url)

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
            time.sleep(0.05)  # for a moment, the new place may still be an unfinished copy
            self.store = opened(place)
            store.close()


def opened(url: str) -> Store[bytes, Any]:
    """The store at a URL. While that is an unfinished copy, the store that is copied."""
    try:
        return stone(url)
    except UnfinishedCopyError as error:
        return stone(error.source, create=False)


def move(source_url: str, target_url: str) -> float:
    """Move the store at `source_url` to `target_url`. Returns the pause of writers in seconds.

    The target is empty, or an earlier place of the same store. If a move is killed, run it again.
    """
    with stone(source_url, create=False) as source:
        place = moved_to(source)
        if place not in (None, target_url):
            raise SystemExit(f"{source_url} has moved to {place}: name that as the source")
        if place is None:
            pause = copy(
                source,
                target_url,
                replace=has_moved(target_url, source_url),
                at_end=lambda: note_place(source, target_url),
            ).pause
        else:  # only the last step is left
            pause = 0.0
            if is_unfinished(target_url):
                copy(source, target_url)
    with stone(target_url, create=False) as target:
        if moved_to(target) == target_url:  # copied with the note of the source
            note_place(target, None)
    return pause


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


def has_moved(url: str, to: str) -> bool:
    """Whether the store at a URL is an earlier place of the store at another one."""
    try:
        with stone(url, create=False) as store:
            return moved_to(store) == to
    except StoreOpenError:  # there is no store yet, or it is an unfinished copy
        return False


def is_unfinished(url: str) -> bool:
    """Whether the store at a URL is an unfinished copy."""
    try:
        stone(url, create=False).close()
    except UnfinishedCopyError:
        return True
    return False


if __name__ == "__main__":
    print(f"moved; writers paused for {move(*sys.argv[1:]):.2f} s")
