"""What a transaction reads from LevelDB, and its commit as one batch.

A key has one byte in front, the number of its space. The number of keys in a space is an entry too,
which each batch that changes it writes along.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stones.engine import PAGE_BYTES, Page, Space, page_sizes, parse_sum
from stones.engines.buffered.backing import Backing, Changes

from .open_database import OpenDatabase

PREFIXES = tuple(bytes([space]) for space in Space)
COUNTS = tuple(b"\xffcount%d" % space for space in Space)

MAX_VALUE_SIZE = 1 << 30
"""LevelDB keeps the size of a value, and of a batch in its log, in 32 bits."""


class LevelDBBacking(Backing):
    """What lies below one transaction.

    `reader` is a snapshot for a read transaction. A write transaction reads the database itself,
    since there is no other writer. `release` gives up the writer lock.
    """

    max_value_size = MAX_VALUE_SIZE

    def __init__(
        self,
        database: OpenDatabase,
        *,
        snapshot: Any = None,
        sync: bool = True,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._reader = database.raw if snapshot is None else snapshot
        self._sync = sync
        self._release = release

    def check(self) -> None:
        if self._database.closed:
            self._database.check()

    def get(self, space: Space, key: bytes) -> bytes | None:
        found: bytes | None = self._database.use(self._reader.get, PREFIXES[space] + key)
        return found

    def get_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return self._database.use(self._get_all, PREFIXES[space], keys)

    def pages(
        self,
        space: Space,
        start: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys: bool,
        values: bool,
    ) -> Iterator[Page]:
        if stop is not None and stop <= start:
            return
        prefix = PREFIXES[space]
        low = prefix + start
        # Nothing changes below this transaction, so the iterator may begin late. In reverse plyvel
        # leaves out the only entry of a range if its key is `start`, so it is not told of that.
        iterator = self._database.hold(
            self._reader.iterator,
            start=None if reverse else low,
            stop=bytes([space + 1]) if stop is None else prefix + stop,
            reverse=reverse,
            include_value=values,
        )
        take = _entries if values else _keys
        try:
            for size in page_sizes():
                page = self._database.use(take, iterator, size, low)
                if not page[0]:
                    return
                yield page if keys else ((), page[1])
        finally:
            self._database.let_go(iterator)

    def count(self, space: Space) -> int:
        key = COUNTS[space]
        return parse_sum(key, self._database.use(self._reader.get, key))

    def commit(self, changes: Changes) -> None:
        try:
            self.check()
            if changes and self._release is not None:
                self._database.use(self._write, changes)
        finally:
            self.abort()

    def abort(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            self._database.let_go(snapshot)
        release, self._release = self._release, None
        if release is not None:
            release()

    def __del__(self) -> None:
        self.abort()  # nobody has ended the transaction

    def _get_all(self, prefix: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        get = self._reader.get
        return [get(prefix + key) for key in keys]

    def _write(self, changes: Changes) -> None:
        batch = self._reader.write_batch(sync=self._sync)
        get = self._reader.get
        for space, writes in enumerate(changes.writes):
            if not writes:
                continue
            prefix, more = PREFIXES[space], 0
            for key, value in writes:
                key = prefix + key
                was_there = get(key) is not None
                if value is not None:
                    batch.put(key, value)
                    more += not was_there
                elif was_there:
                    batch.delete(key)
                    more -= 1
            if more:
                count = parse_sum(COUNTS[space], get(COUNTS[space])) + more
                batch.put(COUNTS[space], b"%d" % count)
        self._database.write(batch)


def _entries(iterator: Any, size: int, low: bytes) -> Page:
    """The next entries, as many as a page may have, and no key below `low`."""
    keys: list[bytes] = []
    values: list[bytes] = []
    room = PAGE_BYTES
    for key, value in iterator:
        if key < low:
            break
        keys.append(key[1:])
        values.append(value)
        room -= len(value)
        if len(keys) == size or room <= 0:
            break
    return keys, values


def _keys(iterator: Any, size: int, low: bytes) -> Page:
    keys: list[bytes] = []
    for key in iterator:
        if key < low:
            break
        keys.append(key[1:])
        if len(keys) == size:
            break
    return keys, ()
