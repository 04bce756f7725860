"""The mark of a fast store: which `Tiered` works with it, and whether its entries can be trusted.

The mark is in the metadata of the fast store. While a `Tiered` is open, it is the mark of an open
one. Closing replaces it, and writes down the keys in the order of their use. If the process dies at
any instant, the mark of an open one is left, and the next opening empties the fast store. So
nothing has to be written to it before a write to the slow store, and no write to it has to reach
the disk.

Each transaction that changes the fast store compares the mark. So the last `Tiered` that opened it
has it, and an earlier one that is still open cannot change it any more.
"""

import json
import os
from collections.abc import Sequence
from time import time

from stones.engine import Space, Transaction
from stones.errors import StoreOpenError, TransactionError
from stones.formats.metadata import has_collections

from .database import Database
from .database_reader import DATA

MARK = b"tier"
"""The key of the mark in the metadata of the fast store."""
ORDER = (b"tier/", b"tier0")
"""The keys of the lists of keys in the metadata, from the first to below the second."""
IDENTITY = b"identity"
"""The key of the random name of the slow store, in its metadata.

A fast store with entries of another slow store, or of one that was deleted and made again, must not
be trusted. The path would not tell.
"""
_KEYS_A_LIST = 1000

KeyAges = Sequence[tuple[bytes, float]]
"""Keys in the order of their use, the least recently used first, with the age of each in seconds.
"""


class TakenOverError(TransactionError):
    """Another `Tiered` has opened the fast store."""


class TierMark:
    """The mark of one `Tiered` on its fast store."""

    def __init__(self, fast: Database, slow: Database) -> None:
        self._fast = fast
        self._slow = slow
        supports = fast.engine.supports
        self.outlives = bool(supports.durability or supports.processes or supports.machines)
        """Whether the fast store is there after the process has ended."""
        self._mark = b""

    def take_over(self) -> KeyAges:
        """Mark the fast store, and empty it if it cannot be trusted. The entries that it has.

        Raises StoreOpenError if the fast store has entries that no `Tiered` has put there.
        """
        fast, slow = self._fast, self._slow
        if slow.get(MARK, Space.META) is not None:
            raise StoreOpenError(
                f"{slow.name!r} is the fast store of a Tiered: it cannot be the slow store too"
            )
        identity = self._identity() if self.outlives else None
        opened = {"owner": os.urandom(8).hex(), "slow": identity, "open": True}
        self._mark = mark = json.dumps(opened).encode()

        def change(txn: Transaction) -> KeyAges:
            before = txn.get(Space.META, MARK)
            if before is None and (
                next(txn.keys(DATA), None) is not None or has_collections(txn) or fast.is_stones03
            ):
                raise StoreOpenError(
                    f"{fast.name!r} has entries that no Tiered has put there: a fast store is "
                    "empty at first, and belongs to one Tiered; nothing was changed"
                )
            known = _read_order(txn, before, identity)
            txn.delete_range(Space.META, *ORDER)
            if not known:
                txn.delete_range(DATA)
            txn.put(Space.META, MARK, mark)
            return known

        known = fast.write(change)
        if self.outlives:
            fast.sync()  # a power cut may undo later writes, but not the mark
        return known

    def check(self, txn: Transaction) -> None:
        """Raise TakenOverError in a transaction of the fast store that has another mark now."""
        if txn.get(Space.META, MARK) != self._mark:
            raise TakenOverError(
                f"another Tiered has opened the fast store {self._fast.name!r}, in this program "
                "or another one: each Tiered needs a fast store of its own"
            )

    def stored_keys(self) -> list[bytes]:
        """The keys that the fast store has."""
        return self._fast.engine.read(lambda txn: list(txn.keys(DATA)))

    def release(self, known: KeyAges) -> None:
        """Mark the fast store as closed, with exactly these entries. O(entries)."""
        if not self._slow.readonly:
            self._slow.sync()  # a power cut must not undo there what is here
        self._fast.sync()
        order = [(key.decode("latin-1"), age) for key, age in known]

        def change(txn: Transaction) -> None:
            self.check(txn)
            for number, at in enumerate(range(0, len(order), _KEYS_A_LIST)):
                listed = json.dumps(order[at : at + _KEYS_A_LIST]).encode()
                txn.put(Space.META, b"%s%08d" % (ORDER[0], number), listed)
            closed = {**json.loads(self._mark), "open": False, "closed": time()}
            txn.put(Space.META, MARK, json.dumps(closed).encode())

        self._fast.write(change)

    def _identity(self) -> str | None:
        """The random name of the slow store. None: it has no name, and cannot be given one."""
        slow = self._slow
        raw = slow.get(IDENTITY, Space.META)
        if raw is None and not (slow.readonly or slow.is_stones03):
            new = os.urandom(16).hex().encode()

            def change(txn: Transaction) -> bytes:
                raw = txn.get(Space.META, IDENTITY)  # another process may have been quicker
                if raw is None:
                    txn.put(Space.META, IDENTITY, new)
                return raw or new

            raw = slow.write(change)
        return None if raw is None else raw.decode("ascii", "replace")


def _read_order(txn: Transaction, mark: bytes | None, identity: str | None) -> KeyAges:
    """What `release` wrote down. Empty if the entries cannot be trusted."""
    try:
        found = json.loads(mark or b"{}")
        if identity is None or found.get("slow") != identity or found.get("open") is not False:
            return ()
        pause = time() - found["closed"]
        if pause < 0:  # somebody has set the clock back: nobody knows the age
            return ()
        lists = [json.loads(raw) for _, raw in txn.scan(Space.META, *ORDER)]
        return [(key.encode("latin-1"), age + pause) for each in lists for key, age in each]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # damaged
        return ()
