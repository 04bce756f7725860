"""The engine on Redis, or Valkey: optimistic transactions, for programs on many machines.

A write transaction waits for nobody. Its commit is one script, which first compares what the
transaction has read; if others have changed that, nothing is written, and the change runs again.
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Lock, get_ident
from typing import Any, TypeVar
from weakref import WeakSet

from attrs import evolve

from stones.engine import Space, Supports, Transaction, parse_sum
from stones.engines.buffered.transaction import BufferedTransaction
from stones.engines.frozen_copies import FrozenCopies
from stones.engines.nested_write import nested_write
from stones.errors import (
    ConflictError,
    ReadOnlyError,
    StorageError,
    StoreOpenError,
    UnexpectedError,
)

from .address import Address
from .backing import MAX_VALUE_SIZE, RedisBacking
from .frozen import frozen
from .places import Places, durability_of, open_places
from .server import Server

T = TypeVar("T")

DURABILITY = ("full", "lazy", "none", "unknown")
"""How a server keeps a commit, strictest first."""
_TRIES = 100
"""How often a change runs before ConflictError."""


class RedisEngine(FrozenCopies):
    """The store below a prefix of a Redis server. Threads share it, and so do programs."""

    supports = Supports(
        processes=True,
        machines=True,
        savepoints=True,
        conflicts=True,
        counts=True,
        durability=DURABILITY,
        max_value_size=MAX_VALUE_SIZE,
    )

    @classmethod
    def open(
        cls,
        address: Address,
        *,
        readonly: bool = False,
        create: bool = True,
        durability: str | None = None,
    ) -> "RedisEngine":
        """The engine for the store at an address. Raises StoreOpenError.

        `durability` is the least that the server must give.
        """
        server = Server(address)
        places = Places.of(address.prefix)
        try:
            found = durability_of(server)
            if durability is not None and _rank(found) > _rank(durability):
                raise StoreOpenError(
                    f"durability={durability!r} was asked of {address.shown!r}, whose server gives "
                    f"{found!r}: 'full' needs `appendonly yes` and `appendfsync always`, 'lazy' "
                    "needs `appendonly yes`"
                )
            open_places(server, places, readonly=readonly, create=create)
        except StoreOpenError:
            server.close()
            raise
        except StorageError as error:
            server.close()
            raise StoreOpenError(f"cannot open the store: {error}") from error
        return cls(server, places, readonly=readonly, durability=found)

    def __init__(self, server: Server, places: Places, *, readonly: bool, durability: str) -> None:
        self.supports = evolve(type(self).supports, durability=(durability,))
        self._server = server
        self._places = places
        self._readonly = readonly
        self._start()
        _engines.add(self)

    def _start(self) -> None:
        """Make the parts that each process has for itself."""
        self._writers: set[int] = set()  # threads with a write transaction
        self._again = Lock()  # changes of this process that run again do so one by one

    def begin(self, *, write: bool = False, timeout: float | None = None) -> BufferedTransaction:
        return self._begin(write)[0]

    def _begin(
        self, write: bool, *, defer: bool = False
    ) -> tuple[BufferedTransaction, RedisBacking]:
        self._server.check()
        me = get_ident()
        if write and self._readonly:
            raise ReadOnlyError(f"the store {self._server.shown!r} was opened read-only")
        if write and me in self._writers:
            raise nested_write()
        if write:
            self._writers.add(me)
        release = partial(self._writers.discard, me) if write else _nothing
        backing = RedisBacking(self._server, self._places, write=write, release=release)
        return BufferedTransaction(backing, writable=write, defer=defer), backing

    def frozen(self) -> AbstractContextManager[Transaction]:
        self._server.check()
        if self._readonly:
            raise ReadOnlyError(
                f"the store {self._server.shown!r} was opened read-only, and a copy on the server "
                "has to be written"
            )
        return frozen(self._server, self._places)

    def get(self, space: Space, key: bytes) -> bytes | None:
        found: bytes | None = self._server.call("HGET", self._places.values[space], key)
        return found

    def sum(self, key: bytes) -> int:
        return parse_sum(key, self._server.call("HGET", self._places.sums, key))

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        for tried in range(_TRIES):
            with self._again if tried else nullcontext():
                try:
                    return self._try(change, defer=tried == 0)
                except ConflictError as error:
                    if tried == _TRIES - 1:
                        raise ConflictError(
                            f"gave up after {_TRIES} tries, and nothing was written: each time, "
                            "others had changed what this operation reads before it was committed; "
                            "do it in several smaller operations, or while others write less"
                        ) from error
            if tried > 1:  # the other one is another process
                time.sleep(random.random() * 0.001 * 2 ** min(tried, 6))
        raise AssertionError  # the last try returns or raises

    def _try(self, change: Callable[[Transaction], T], *, defer: bool) -> T:
        """Run a change once. Raises ConflictError where it is to run again."""
        txn, backing = self._begin(True, defer=defer)
        try:
            result = change(txn)
            txn.commit()
        except (ConflictError, StorageError):
            txn.abort()
            raise
        except Exception as error:
            # It may have failed on what it was told to expect, or on reads of different moments.
            expected = txn.changes()
            txn.abort()
            if isinstance(error, UnexpectedError) and defer:
                raise ConflictError("a value is not as it is expected") from error
            if backing.is_stale(expected):
                raise ConflictError("others have changed what was read") from error
            raise
        except BaseException:
            txn.abort()
            raise
        return result

    def sync(self) -> None:
        """Wait until the server has written all commits to its disk, where it keeps them there."""
        if self.supports.durability == ("lazy",):
            try:
                self._server.call("WAITAOF", 1, 0, 10_000)
            except StorageError:  # before 7.2; the server syncs each second, and may be late by one
                time.sleep(2)
        self._server.call("PING")

    def stats(self) -> dict[str, Any]:
        """Figures of the store: the `memory_size` of its keys, and how the server keeps them."""
        sizes = [self._server.call("MEMORY", "USAGE", key) or 0 for key in self._places.keys]
        return {
            "url": self._server.shown,
            "durability": self.supports.durability[0],
            "memory_size": sum(sizes),
        }

    def close(self) -> None:
        self.closed = True
        self._server.close()


def destroy(address: Address) -> None:
    """Remove the store at an address from its server. Raises StorageError."""
    server = Server(address)
    try:
        server.change("UNLINK", *Places.of(address.prefix).keys)
    finally:
        server.close()


_engines: "WeakSet[RedisEngine]" = WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _rank(durability: str) -> int:
    return DURABILITY.index(durability)


def _nothing() -> None:
    """What a read transaction gives back at its end."""
