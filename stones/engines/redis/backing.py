"""What a transaction on Redis has read, and its commit by one script.

Others write meanwhile. So a write transaction remembers what it has read: the values of keys, the
pages of an iteration, and the version of a space. The script of the commit compares these first.
Only then it is sure that all that was read belongs together. Pages are compared if the version
differs. A transaction that has counted, or iterated over many entries, needs the same version.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha1
from typing import Any
from uuid import uuid4

from stones.engine import PAGE_BYTES, Page, Space, page_sizes, parse_sum
from stones.engines.buffered.backing import Backing, Changes
from stones.engines.buffered.buffer import ENTRY_BYTES
from stones.errors import ConflictError, StorageError, TransactionError, UnknownOutcomeError

from .places import Places
from .scripts import COMMIT, COUNT, PAGE
from .server import Server

MAX_VALUE_SIZE = 512 << 20
"""The longest string of a server, unless it is told otherwise (proto-max-bulk-len)."""

_SUMS = 3
"""The number of the sums, beside those of the spaces."""
_PAGE_PARTS = 8
"""A page is so many parts of the commit."""
_NAMES = b"0", b"1", b"2", b"s"
"""What the script of the commit calls them."""
_AT_ONCE = 10_000, 8 << 20
"""So many parts and bytes of a transaction go with the script itself. More go before it."""
_CONFLICT = "others have changed what this transaction has read; nothing was written: run it again"
_STAGED_FOR = 3600
"""Seconds after which the server forgets a transaction whose commit never came."""

_MOST_COMPARED = 8 << 20
"""So many bytes of pages are compared at most, since the server does nothing else meanwhile."""

_Place = tuple[int, bytes]


class RedisBacking(Backing):
    """What lies below one transaction. A read transaction sees what was committed last."""

    keeps_sums = True
    max_value_size = MAX_VALUE_SIZE

    def __init__(
        self, server: Server, places: Places, *, write: bool, release: Callable[[], None]
    ) -> None:
        self._server = server
        self._places = places
        self._write = write
        self._release: Callable[[], None] | None = release
        self._process = os.getpid()
        self._read: dict[_Place, bytes | None] = {}
        self._versions: dict[Space, bytes] = {}  # as of the first page or count
        self._counted: set[Space] = set()
        self._pages: list[bytes] = []  # the parts of the commit that tell of the pages
        self._in_pages = 0
        self._sums: int | None = None  # how many there were, if all were read

    def check(self) -> None:
        if self._process != os.getpid():
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        self._server.check()

    def get(self, space: Space, key: bytes) -> bytes | None:
        place = (space, key)
        if place in self._read:
            return self._read[place]
        value: bytes | None = self._server.call("HGET", self._places.values[space], key)
        if self._write:
            self._read[place] = value
        return value

    def get_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not self._write:
            found: list[bytes | None] = self._server.call(
                "HMGET", self._places.values[space], *keys
            )
            return found
        asked = [key for key in dict.fromkeys(keys) if (space, key) not in self._read]
        if asked:
            values = self._server.call("HMGET", self._places.values[space], *asked)
            places = [(space, key) for key in asked]
            self._read.update(zip(places, values, strict=True))
        return [self._read[space, key] for key in keys]

    def has_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bool]:
        # Only a count asks, which depends on the version of the whole space.
        scores = self._server.call("ZMSCORE", self._places.orders[space], *keys)
        return [score is not None for score in scores]

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
        low, high = b"[" + start if start else b"-", b"+" if stop is None else b"(" + stop
        for size in page_sizes():
            bounds = (b"ZREVRANGEBYLEX", high, low) if reverse else (b"ZRANGEBYLEX", low, high)
            kind = "v" if values else ""
            version, found, contents = self._server.run(
                PAGE, self._places.keys, space.value, *bounds, size, PAGE_BYTES, kind
            )
            if self._write:
                self._note_page(space, (*bounds, b"%d" % size), kind, found, contents)
                self._note_version(space, version)
            if not found:
                return
            yield found if keys else (), contents if values else ()
            if len(found) < size and not (values and _is_full(contents)):
                return
            if reverse:
                high = b"(" + found[-1]
            else:
                low = b"(" + found[-1]

    def count(self, space: Space) -> int:
        version, count = self._server.run(COUNT, self._places.keys, space.value)
        if self._write:
            self._counted.add(space)
            self._note_version(space, version)
        return int(count)

    def sum(self, key: bytes) -> int:
        place = (_SUMS, key)
        if place in self._read:
            raw = self._read[place]
        else:
            raw = self._server.call("HGET", self._places.sums, key)
            if self._write:
                self._read[place] = raw
        return parse_sum(key, raw)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        found = self._server.call("HGETALL", self._places.sums)
        sums = dict(zip(found[::2], found[1::2], strict=True))
        if self._write:
            known = {key: raw for (number, key), raw in self._read.items() if number == _SUMS}
            if any(sums.get(key) != raw for key, raw in known.items()):
                raise ConflictError(_CONFLICT)
            self._read.update({(_SUMS, key): raw for key, raw in sums.items()})
            if self._sums is None:
                self._sums = len(sums)
        return iter([(key, parse_sum(key, raw)) for key, raw in sorted(sums.items())])

    def commit(self, changes: Changes) -> None:
        try:
            self.check()
            # Several reads may be of different moments, whether or not anything is written.
            pages = len(self._pages) // _PAGE_PARTS
            wholes = len(self._counted) + (self._sums is not None)
            if changes or len(self._read) + wholes + pages > 1 or self._too_many:
                self._commit(changes)
        finally:
            self.abort()

    def abort(self) -> None:
        release, self._release = self._release, None
        if release is not None and self._process == os.getpid():
            release()

    def __del__(self) -> None:
        self.abort()  # nobody has ended the transaction

    def is_stale(self, changes: Changes) -> bool:
        """Whether what was read, or what `changes` expects, has changed meanwhile."""
        seen = Changes(
            writes=((), (), ()), added={}, dropped=frozenset(), expected=changes.expected
        )
        try:
            self._commit(seen)
        except ConflictError:
            return True
        return False

    @property
    def _too_many(self) -> bool:
        """Whether it has iterated over more than can be compared entry by entry."""
        return self._in_pages > _MOST_COMPARED

    def _note_page(
        self,
        space: Space,
        bounds: tuple[bytes, ...],
        kind: str,
        keys: Sequence[bytes],
        values: Sequence[bytes],
    ) -> None:
        self._in_pages += ENTRY_BYTES * len(keys) + sum(map(len, keys)) + sum(map(len, values))
        if self._too_many:
            self._pages.clear()
            return
        text = b"".join([b"%d:%s" % (len(part), part) for part in (*keys, *values)])
        digest = sha1(text, usedforsecurity=False).hexdigest().encode()
        self._pages += _NAMES[space], *bounds, b"%d" % PAGE_BYTES, kind.encode(), digest

    def _note_version(self, space: Space, version: bytes) -> None:
        if self._versions.setdefault(space, version) != version and (
            self._too_many or space in self._counted
        ):
            raise ConflictError(
                "others have written while this transaction was reading; nothing was written: run "
                "it again"
            )

    def _commit(self, changes: Changes) -> None:
        for place, value in changes.expected.items():  # one may have been read before, and differ
            if self._read.get(place, value) != value:
                raise ConflictError(_CONFLICT)
        parts = self._parts(changes)
        keys = self._places.keys
        most_parts, most_bytes = _AT_ONCE
        if len(parts) <= most_parts and sum(map(len, parts)) <= most_bytes:
            outcome = self._server.run_change(COMMIT, keys, *parts)
        else:
            if any(changes.writes) and self.is_stale(changes):  # before much is sent
                raise ConflictError(_CONFLICT)
            staged = self._places.staged(uuid4().hex)
            self._stage(staged, parts)
            outcome = self._server.run_change(COMMIT, (*keys, staged), len(parts))
        if outcome == b"lost":
            raise StorageError("the server has lost a part of the transaction; nothing was written")
        if outcome == b"gone":
            raise StorageError(
                f"the store {self._server.shown!r} is gone: it was destroyed, or the server has "
                "lost its entries; nothing was written. Open it again to make a new one"
            )
        if outcome != b"done":
            raise ConflictError(_CONFLICT)

    def _stage(self, staged: bytes, parts: list[bytes]) -> None:
        chunk: list[bytes] = []
        size = 0
        try:
            for number, part in enumerate(parts, 1):
                chunk.append(part)
                size += len(part)
                if len(chunk) == 5000 or size > 1 << 20 or number == len(parts):
                    self._server.change("RPUSH", staged, *chunk)
                    self._server.change("EXPIRE", staged, _STAGED_FOR)
                    chunk, size = [], 0
        except UnknownOutcomeError as error:  # known: the commit was not sent
            raise StorageError(
                f"the connection was lost before the commit; nothing was written: {error.__cause__}"
            ) from error

    def _parts(self, changes: Changes) -> list[bytes]:
        """The transaction as the script of the commit reads it."""
        touched = [space for space, writes in enumerate(changes.writes) if writes]
        names = [_NAMES[space] for space in touched]
        if changes.added or changes.dropped:
            names.append(_NAMES[_SUMS])
        parts = [b"".join(names), _step(), b"%d" % len(self._versions)]
        for read, version in self._versions.items():
            is_all = self._too_many or read in self._counted
            parts += _NAMES[read], version, b"1" if is_all else b"0"
        parts += b"%d" % (len(self._pages) // _PAGE_PARTS), *self._pages
        parts.append(b"" if self._sums is None else b"%d" % self._sums)
        seen = self._read | dict[_Place, bytes | None](changes.expected.items())
        parts.append(b"%d" % len(seen))
        for (number, key), value in seen.items():
            parts += _NAMES[number], key, _wanted(value)
        for space in touched:
            writes = changes.writes[space]
            deleted = [key for key, value in writes if value is None]
            parts += b"%d" % len(deleted), *deleted
            parts.append(b"%d" % (len(writes) - len(deleted)))
            for key, value in writes:
                if value is not None:
                    parts += key, value
        if changes.added or changes.dropped:
            parts += b"%d" % len(changes.dropped), *changes.dropped
            parts.append(b"%d" % len(changes.added))
            for key, n in changes.added.items():
                parts += key, b"%d" % n
        return parts


def _wanted(value: bytes | None) -> bytes:
    """What the script compares with: the value, its digest if it is long, or nothing."""
    if value is None:
        return b""
    if len(value) <= 64:
        return b"=" + value
    return b"#" + sha1(value, usedforsecurity=False).hexdigest().encode()


def _step() -> bytes:
    """The number that a commit adds to the version of each space that it changes.

    It is random. If a server loses its last commits, or the store is made again, the versions go
    back. Later commits must not lead to a version that a transaction has met before.
    """
    return b"%d" % (1 + int.from_bytes(os.urandom(2), "big"))


def _is_full(values: Sequence[Any]) -> bool:
    return sum(map(len, values)) >= PAGE_BYTES
