"""Transactions that keep their changes in memory until the commit: `BufferedTransaction`.

It is the `Transaction` of engines whose storage takes the changes of a transaction at once: as a
batch, a script, or a few statements over a network. What such an engine writes itself is one
`Backing`. The changes are in a `Buffer`; a savepoint has a fork of it. An iteration merges the
pages of the backing with a fork of the changes, so later writes do not show in it.

A backing with a limited `room` gets the changes earlier, in savepoints of its own.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from weakref import WeakSet

from stones.engine import Page, Space, Transaction
from stones.errors import (
    CorruptValueError,
    ReadOnlyError,
    StorageError,
    TransactionError,
    UnexpectedError,
)

from .backing import Backing, Changes
from .buffer import ENTRY_BYTES, Buffer
from .merged_pages import GONE, merged_pages


class BufferedTransaction(Transaction):
    """A transaction, or a savepoint in one, whose changes are in memory.

    `writable=False` makes a read transaction. With `defer=True`, `expect` does not ask the backing,
    except in a savepoint: the expectations are part of the changes. If the change that runs in the
    transaction fails then, or the commit raises UnexpectedError, run it again without `defer`.

    A put costs about 1 us, a savepoint O(1), and its first write O(sqrt n) for n changes.
    """

    __slots__ = (
        "_backing", "_buffer", "_defer", "_expected", "_open", "_parent", "_room", "_saved",
        "_size", "_sources", "_there", "_value_size", "_writable", "_writing",
    )  # fmt: skip

    def __init__(
        self,
        backing: Backing,
        *,
        writable: bool,
        defer: bool = False,
        parent: "BufferedTransaction | None" = None,
    ) -> None:
        self._backing = backing
        self._parent = parent
        self._defer = defer
        self._writable = self._writing = writable
        self._open = True
        self._saved = False  # the backing has a savepoint for this one
        self._room = sys.maxsize if backing.room is None else backing.room
        self._value_size = backing.max_value_size or sys.maxsize
        self._expected: dict[tuple[Space, bytes], bytes | None] = {}
        if parent is None:
            self._buffer = Buffer.empty() if writable else _NO_CHANGES
            self._size = 0
            # The iterations that read from a backing which may change below them.
            self._sources: WeakSet[_Source] | None = None if backing.room is None else WeakSet()
            self._there: dict[Space, dict[bytes, bool]] = {}  # is a key in the backing?
            return
        self._buffer = parent._buffer.fork()
        self._size = parent._size
        self._sources, self._there = parent._sources, parent._there
        self._expected = parent._expected  # nothing is deferred in a savepoint

    # -- entries -----------------------------------------------------------------------------------

    def get(self, space: Space, key: bytes) -> bytes | None:
        if not self._open:
            self._check()
        changed = self._buffer.maps[space]
        if changed.count:
            value = changed.get(key)
            if value is not None:
                return None if value is GONE else value
        if self._expected and (space, key) in self._expected:
            return self._expected[space, key]
        return self._backing.get(space, key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        self._check()
        changed = self._buffer.maps[space]
        if not (changed.count or self._expected):
            return list(self._backing.get_many(space, keys)) if keys else []
        found = {key: changed.get(key) for key in keys}
        missing = [key for key, value in found.items() if value is None]
        for key in missing:
            found[key] = self._expected.get((space, key))
        asked = [key for key in missing if (space, key) not in self._expected]
        if asked:
            found.update(zip(asked, self._backing.get_many(space, asked), strict=True))
        return [None if found[key] is GONE else found[key] for key in keys]

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if not self._writing:
            self._check(write=True)
        size = len(value)
        if size > self._value_size:
            raise StorageError(
                f"nothing was written: the value of {key!r:.60} has {size:,} bytes, and the engine "
                f"can store {self._value_size:,} at most"
            )
        self._buffer.maps[space].put(key, bytes(value))
        self._size += size + len(key) + ENTRY_BYTES
        if self._size > self._room:
            self._flush()

    def put_many(self, space: Space, entries: Iterable[tuple[bytes, bytes]]) -> None:
        self._check(write=True)
        for key, value in entries:
            self.put(space, key, value)

    def delete(self, space: Space, key: bytes) -> bool:
        self._check(write=True)
        found = self.get(space, key) is not None
        if found:
            self._remove(space, key)
        return found

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> None:
        self._check(write=True)
        for key in keys:
            self._remove(space, key)

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        self._check(write=True)
        if self._backing.room is not None:
            self._flush(savepoints=True)
            self._backing.delete_range(space, start, stop)
            return
        for key in self.keys(space, start, stop):
            self._remove(space, key)

    def expect(self, space: Space, key: bytes, value: bytes | None) -> None:
        self._check()
        if not self._defer or self._buffer.maps[space].get(key) is not None:
            super().expect(space, key, value)
        elif self._expected.setdefault((space, key), value) != value:
            raise UnexpectedError(space, key, self._expected[space, key])

    def _remove(self, space: Space, key: bytes) -> None:
        self._buffer.maps[space].put(key, GONE)
        self._size += len(key) + ENTRY_BYTES
        if self._size > self._room:
            self._flush()

    # -- many entries ------------------------------------------------------------------------------

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._entries(self.pages(space, start, stop, reverse=reverse))

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        return self._keys(self.pages(space, start, stop, reverse=reverse, values=False))

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        self._check()
        changed = self._buffer.maps[space]
        entries = changed.fork().scan(start, stop, reverse) if changed.count else iter(())
        first = next(entries, None)
        source = _Source(
            self._backing.pages(
                space, start, stop, reverse=reverse, keys=keys or first is not None, values=values
            )
        )
        if self._writable and self._sources is not None:
            self._sources.add(source)
        if first is None:
            return self._guarded(source)
        merged = chain([first], entries)
        return self._guarded(
            merged_pages(source, merged, reverse=reverse, keys=keys, values=values)
        )

    def count(self, space: Space) -> int:
        self._check()
        if self._backing.room is not None and self._buffer.maps[space].count:
            self._flush()
        # Before the look at keys: what others change after it is a conflict at the commit.
        below = self._backing.count(space)
        there, more, unknown = self._there.setdefault(space, {}), 0, []
        for key, value in self._buffer.maps[space].scan(b"", None, False):
            if key in there:
                more += (value is not GONE) - there[key]
            else:
                unknown.append((key, value))
        if unknown:
            keys = [key for key, _ in unknown]
            there.update(zip(keys, self._backing.has_many(space, keys), strict=True))
            more += sum((value is not GONE) - there[key] for key, value in unknown)
        return below + more

    def _entries(self, pages: Iterator[Page]) -> Iterator[tuple[bytes, bytes]]:
        for keys, values in pages:
            for entry in zip(keys, values, strict=True):
                if not self._open:
                    self._check()
                yield entry

    def _keys(self, pages: Iterator[Page]) -> Iterator[bytes]:
        for keys, _ in pages:
            for key in keys:
                if not self._open:
                    self._check()
                yield key

    def _guarded(self, pages: Iterator[Page]) -> Iterator[Page]:
        self._check()
        for page in pages:
            yield page
            self._check()

    # -- sums --------------------------------------------------------------------------------------

    def add(self, key: bytes, number: int) -> None:
        if not self._backing.keeps_sums:
            super().add(key, number)
            return
        self._check(write=True)
        self._buffer.added[key] = self._buffer.added.get(key, 0) + number

    def sum(self, key: bytes) -> int:
        if not self._backing.keeps_sums:
            return super().sum(key)
        self._check()
        total = self._buffer.added.get(key, 0)
        if key not in self._buffer.dropped:
            total += self._backing.sum(key)
        if total < 0:
            raise CorruptValueError(f"the sum {key!r} is {total}, below 0: it is damaged")
        return total

    def sums(self) -> Iterator[tuple[bytes, int]]:
        self._check()
        keys = {key for key, _ in self._backing.sums()} | self._buffer.added.keys()
        totals = [(key, self.sum(key)) for key in sorted(keys)]
        return iter([(key, total) for key, total in totals if total])

    def drop_sum(self, key: bytes) -> None:
        if not self._backing.keeps_sums:
            super().drop_sum(key)
            return
        self._check(write=True)
        self._buffer.drop_sum(key)

    # -- beginning and ending ----------------------------------------------------------------------

    def begin(self) -> "BufferedTransaction":
        self._check(write=True)
        return BufferedTransaction(self._backing, writable=True, parent=self)

    def commit(self) -> None:
        self._check()
        buffer = self._end()
        if self._parent is not None:
            self._parent._buffer, self._parent._size = buffer, self._size
        else:
            self._backing.commit(buffer.changes(None, self._expected))

    def changes(self) -> Changes:
        """All that the transaction has changed, and what it expects."""
        return self._buffer.changes(None, self._expected)

    def abort(self) -> None:
        if not self._open:
            if self._parent is None:
                self._backing.abort()  # an interrupt may have ended the commit too early
            return
        levels = self._levels()
        in_doubt = self._saved and all(level._open for level in levels)
        self._end()
        if self._parent is None:
            self._backing.abort()
        elif in_doubt:
            self._settle()
            self._backing.roll_back(len(levels) - 1)

    def _end(self) -> Buffer:
        """The changes. The transaction no longer holds them, so that they can be freed."""
        self._open = self._writing = False
        buffer, self._buffer = self._buffer, _NO_CHANGES
        return buffer

    def _check(self, *, write: bool = False) -> None:
        level: BufferedTransaction | None = self
        while level is not None:
            if not level._open:
                raise TransactionError("the transaction has ended")
            level = level._parent
        if write and not self._writable:
            raise ReadOnlyError("this is a read transaction: begin one with write=True to write")
        self._backing.check()

    # -- sending changes before the commit ---------------------------------------------------------

    def _flush(self, *, savepoints: bool = False) -> None:
        """Send what each level has changed, with a savepoint around the changes of each.

        Levels without changes begin their savepoint too if `savepoints` are needed at once.
        """
        self._settle()
        levels = self._levels()
        found: list[Changes] = []
        for level in levels:
            outer = level._parent
            found.append(
                level._buffer.changes(outer._buffer, {})
                if outer
                else level._buffer.changes(None, level._expected.copy())
            )
        deepest = max((at for at, changes in enumerate(found) if changes), default=0)
        deepest = len(levels) - 1 if savepoints else deepest
        steps: list[tuple[int | None, Changes]] = []
        for at, (level, changes) in enumerate(zip(levels, found, strict=True)):
            begins = 0 < at <= deepest and not level._saved
            if begins or changes:
                steps.append((at if begins else None, changes))
            level._saved |= begins
            level._buffer, level._size = Buffer.empty(), 0
        self._expected.clear()
        if steps:
            self._backing.flush(steps)

    def _levels(self) -> list["BufferedTransaction"]:
        """The transaction, and the savepoints in it down to this one."""
        levels: list[BufferedTransaction] = [self]
        while levels[-1]._parent is not None:
            levels.append(levels[-1]._parent)
        return levels[::-1]

    def _settle(self) -> None:
        """Read what open iterations have not read, before the backing changes below them."""
        if self._sources is not None:
            for source in list(self._sources):
                source.settle()
            self._sources.clear()
        self._there.clear()


_NO_CHANGES = Buffer.empty()
"""The buffer of a transaction that only reads, or has ended. It is never written to."""


class _Source:
    """The pages of the backing that an iteration reads."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self._pages = pages

    def __iter__(self) -> Iterator[Page]:
        return self

    def __next__(self) -> Page:
        return next(self._pages)

    def settle(self) -> None:
        """Read the rest now."""
        self._pages = iter(list(self._pages))
