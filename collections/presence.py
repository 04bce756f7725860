"""Whether a collection is still there under its name: another program may have renamed it.

A program that has the collection open under the old name must not take it for an empty one, and
must not begin a new one by a write. So it remembers that it has seen the description. If the
description is gone later, each operation that would find nothing raises an error.
"""

import json
from time import monotonic
from typing import Any

from stones.engine import Space
from stones.errors import CollectionError
from stones.formats.metadata import CLAIMS
from stones.stores.claims import claim_key, is_namespace
from stones.stores.database import Database
from stones.stores.database_reader import DatabaseReader

FORMER_NAMES = "formerly"
"""The part of a description that has the names that the collection had before."""
_EVERY = 1.0
"""Over a network, a reader that finds nothing looks no more often, in seconds."""


class Presence:
    """What one collection object knows of whether its collection is there. Threads may share it."""

    def __init__(self, database: DatabaseReader, name: str) -> None:
        self._database = database
        self._name = name
        self._key = claim_key(name)
        self.was_there = False
        """Whether the description was read."""
        self._written: bytes | None = None
        # One more round trip for each key that is not there would take as long as the read.
        self._pause = _EVERY if database.engine.supports.machines else 0.0
        self._looked = -_EVERY

    def note(self, raw: bytes | None) -> None:
        """Note the stored bytes of the description that a transaction has read, or None.

        Raises CollectionError if the collection was there before, and is not any more.
        """
        if raw is None:
            if self.was_there and self._is_gone_now():
                raise self._gone()
        # If the bytes are not committed yet, another thread would miss the collection until then.
        elif not self.was_there and raw != self._written and not self._is_in_transaction():
            self.was_there = True

    def note_put(self, raw: bytes) -> None:
        """Note the bytes that a transaction has just written, which is not committed yet."""
        self._written = raw

    def note_committed(self, raw: bytes | None) -> None:
        """As `note`, for bytes that are committed, unless the ambient transaction wrote them."""
        if raw is None:
            self.note(raw)
        elif not self.was_there and not self._is_in_transaction():
            self.was_there = True

    def check_now(self) -> bytes | None:
        """Read the description, if the collection was there, and raise as `note`.

        Returns its stored bytes. None if they were not read.
        """
        if not self.was_there:
            return None
        if self._pause:
            now = monotonic()
            if now - self._looked < self._pause:
                return None
            self._looked = now
        raw = self._database.get(self._key, Space.META)
        if raw is None:
            raise self._gone()
        return raw

    def _is_in_transaction(self) -> bool:
        database = self._database
        return isinstance(database, Database) and database.in_transaction()

    def _is_gone_now(self) -> bool:
        """Whether a transaction that does not find the collection is right, as of now.

        It may be older than the collection, which another thread has written meanwhile.
        """
        if self._is_in_transaction():
            return True
        return self._database.engine.get(Space.META, self._key) is None

    def _gone(self) -> CollectionError:
        now = self._name_of_now()
        if now is not None:
            return CollectionError(
                f"the collection {self._name!r} is {now!r} now: another program has renamed it, or "
                f"merged it; open it again with name={now!r}"
            )
        return CollectionError(
            f"the collection {self._name!r} is not there any more: another program has dropped it "
            "or renamed it; open it again, under its name of now, or to begin a new one"
        )

    def _name_of_now(self) -> str | None:
        """The name of the collection that had the name before, or None."""
        with self._database.reading() as txn:
            claims = [*txn.scan(Space.META, *CLAIMS)]
        for key, raw in claims:
            if not is_namespace(raw) and self._name in former_names(raw):
                return key.removeprefix(CLAIMS[0]).decode("utf-8", "replace")
        return None


def former_names(raw: bytes) -> list[Any]:
    """The names that a collection had before, by the stored bytes of its description."""
    try:
        found = json.loads(raw)[FORMER_NAMES]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return found if type(found) is list else []
