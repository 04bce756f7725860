"""The fast store of a `Tiered`: which keys it has, which are used least, and who may put a value.

A value that is read from the slow store must not be put into the fast store after a write has
replaced it. So each reading and each change is a `Use` of its keys, from before the slow store is
asked until after it has answered. A change crosses every other use of the same keys. What was
crossed puts nothing.

`tier_mark` says what happens if the process dies in between, or if another one opens the store.
"""

import atexit
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from time import monotonic
from typing import Any
from weakref import WeakSet

from stones.engine import Transaction
from stones.errors import KeyTooLongError, StoneError, StoreClosedError, TransactionError

from . import transactions
from .database_reader import DATA
from .store import Store
from .tier_mark import TakenOverError, TierMark

MISSING: Any = object()

_MOST_KEYS = 10_000
"""A change of more keys counts as a change of all keys, so its memory has a bound."""


class Use:
    """A reading, or a change, of some keys of the slow store that is under way."""

    __slots__ = ("began", "crossed", "entries", "keys", "writes")

    def __init__(self, keys: Iterable[bytes], writes: bool) -> None:
        self.keys: set[bytes] | None = set(keys)
        """None: all keys."""
        self.writes = writes
        self.crossed = False
        """Another change of the same keys may have come between: put nothing."""
        self.entries: list[tuple[bytes, Any]] = []
        """What the fast store is to have at the end: keys and values."""
        self.began = monotonic()

    def has(self, key: bytes) -> bool:
        return self.keys is None or key in self.keys


class FastTier:
    """The fast store of a `Tiered`, with the keys that may be read from it. Threads may share it.

    The keys and the order of their use are in memory. A key that is not there is never read from
    the fast store, whatever that has.
    """

    def __init__(
        self, fast: Store[Any, Any], slow: Store[Any, Any], size: int, max_age: float | None
    ) -> None:
        self._fast = fast
        self._slow = slow
        self._size = size
        self._max_age = max_age
        self._lock = RLock()  # a signal handler may read while its thread holds the lock
        self._known: OrderedDict[bytes, float] = OrderedDict()
        """The keys that may be read, least recently used first, and when the value was read."""
        self._strays: set[bytes] = set()
        """The keys that the fast store has, or may have, with a value that must not be read."""
        self._uses: set[Use] = set()
        self._lost = ""
        """Why the fast store must not be used any more, or nothing."""
        self._closed = False
        self._transactions: dict[object, Use] = {}
        """What the open transactions change, by the place that `_here` names."""
        self._mark = TierMark(fast.database, slow.database)
        now = monotonic()
        self._known.update((key, now - age) for key, age in self._mark.take_over())
        self._strays = set(self._mark.stored_keys()) - self._known.keys()
        self._write([], now)
        _tiers.add(self)
        # Last in, first out: the stores are closed at exit too, and this must come before.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)

    def __len__(self) -> int:
        """How many entries the fast store has."""
        return len(self._known)

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: bytes) -> Any:
        """The value of `key`, or MISSING. O(1), and what the fast store takes."""
        # Without the lock, which is held while the fast store is written. Each of these calls of an
        # OrderedDict is atomic. If the key goes in between, the value was right when this began.
        try:
            self._known.move_to_end(key)
        except KeyError:
            return MISSING
        if self._max_age is not None and self._is_old(key):
            return MISSING
        try:  # not suppress(): it takes a fifth of the time of a hit
            return self._fast[key]
        except (KeyError, StoneError):  # damaged, for instance: the slow store has the value
            self._drop(key)
            return MISSING

    def holds(self, key: bytes) -> bool:
        """Whether the fast store has the key."""
        return key in self._known and (self._max_age is None or not self._is_old(key))

    def reading(self, keys: Iterable[bytes]) -> Use:
        """Begin to read keys from the slow store. `end` must follow. Raises as `check` does."""
        use = Use(keys, writes=False)
        with self._lock:
            self.check()
            assert use.keys is not None
            use.crossed = any(
                other.writes and (other.keys is None or not use.keys.isdisjoint(other.keys))
                for other in self._uses
            )
            self._uses.add(use)
        return use

    # -- writing -------------------------------------------------------------------------------

    @contextmanager
    def changing(self, *keys: bytes) -> Iterator[Use]:
        """A change of the slow store, or of the transaction that this thread or task is in.

        `touch` names further keys. If the block raises, nothing is put.

        Raises TransactionError in another transaction of the slow store, and as `check` does.
        """
        use = self._transactions.get(_here()) if self._transactions else None
        if use is not None:
            for key in keys:
                self.touch(use, key)
            yield use
            return
        if self._slow.database.in_transaction():
            raise TransactionError(
                "this is inside a transaction of the slow store: open it by "
                "`with tiered.transaction():`, which that store and its collections join too"
            )
        use = Use((), writes=True)
        with self._lock:
            self.check()
            self._uses.add(use)
        try:
            for key in keys:
                self.touch(use, key)
            yield use
        except BaseException:
            use.crossed = True
            raise
        finally:
            self.end(use)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes of this thread or task in the block are one, which may be undone."""
        place = _here()
        if place in self._transactions:
            yield
            return
        with self.changing() as use:
            use.crossed = True  # it may be undone: put nothing
            self._transactions[place] = use
            try:
                yield
            finally:
                del self._transactions[place]

    def touch(self, use: Use, key: bytes) -> None:
        """Drop a key before the slow store changes it. Until the change ends, nobody puts it."""
        with self._lock:
            self._drop(key)
            for other in self._uses:
                if other is not use and other.has(key):
                    other.crossed = True
                    use.crossed = use.crossed or other.writes
            if use.keys is not None:
                use.keys.add(key)
                if len(use.keys) > _MOST_KEYS:
                    self.touch_all(use)

    def touch_all(self, use: Use) -> None:
        """Drop every key, before the slow store changes any number of them."""
        with self._lock:
            self._strays.update(self._known)
            self._known.clear()
            for other in self._uses:
                other.crossed = True
            use.keys = None

    def end(self, use: Use) -> None:
        """End a reading or a change. If it was not crossed, its entries are put."""
        with self._lock:
            self._uses.discard(use)
            if self._closed or self._lost:
                return
            entries = [] if use.crossed else use.entries
            if entries or self._strays:
                self._write(entries, use.began)

    def check(self) -> None:
        """Raise StoreClosedError if the stores are closed, TransactionError after a takeover."""
        if self._lost:
            raise TransactionError(self._lost)
        if self._closed or self._fast.database.closed:
            raise StoreClosedError("the Tiered, or its fast store, is closed: open it again")

    # -- opening and closing -------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the fast store. If it outlives the process, the next opening has its entries.

        Where the fast store cannot be written, the next opening empties it.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._mark.outlives and not self._lost:
                with suppress(StoneError):
                    self._write([], 0.0)
                    if not self._strays:
                        now = monotonic()
                        self._mark.release([(key, now - put) for key, put in self._known.items()])
            self._known.clear()

    def after_fork(self) -> None:
        self._lock = RLock()  # the thread that held it may not be in the child
        self._uses = set()
        if self._mark.outlives:
            self._known.clear()
            self._lost = (
                "this Tiered was opened before fork(), and its fast store belongs to the parent: "
                "open the stores, and a Tiered with a fast store of its own, in the child"
            )

    # -- the fast store ------------------------------------------------------------------------

    def _drop(self, key: bytes) -> None:
        with self._lock:
            if self._known.pop(key, None) is not None:
                self._strays.add(key)

    def _is_old(self, key: bytes) -> bool:
        assert self._max_age is not None
        return monotonic() - self._known.get(key, float("-inf")) > self._max_age

    def _write(self, entries: list[tuple[bytes, Any]], began: float) -> None:
        """Put entries that were read, or written, from `began` on; remove strays and the oldest.

        If that fails, the keys are strays. The slow store has the values.
        """
        database = self._fast.database
        codec = database.codec
        put: dict[bytes, tuple[Any, bytes]] = {}
        for key, value in entries[-self._size :]:
            with suppress(StoneError):  # a value that the fast store cannot hold
                if len(key) > database.max_key_size:
                    raise KeyTooLongError
                put[key] = value, codec.encode(key, value)
        for key in put:
            self._known.pop(key, None)
        self._strays.update(put)
        while len(self._known) + len(put) > self._size:
            self._strays.add(self._known.popitem(last=False)[0])
        gone = self._strays - put.keys()

        def change(txn: Transaction) -> None:
            self._mark.check(txn)
            now = database.codec_for_writing(txn)
            for key in gone:
                txn.delete(DATA, key)
            for key, (value, raw) in put.items():
                txn.put(DATA, key, raw if now is codec else now.encode(key, value))

        if not (gone or put):
            return
        try:
            database.write(change)
        except TakenOverError as error:
            self._lost = str(error)
            self._known.clear()
            return
        except StoneError:  # no room, for instance
            return
        self._strays.clear()
        self._known.update((key, began) for key in put)


def _here() -> object:
    """The process, thread and task that a transaction belongs to."""
    return os.getpid(), get_ident(), transactions._task()


_tiers: "WeakSet[FastTier]" = WeakSet()


def _each_tier() -> Iterator[FastTier]:
    yield from list(_tiers)


def _after_fork() -> None:
    for tier in _each_tier():
        tier.after_fork()


def _at_exit() -> None:
    for tier in _each_tier():
        tier.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
