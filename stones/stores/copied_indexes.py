"""What a copy asks of the indexes of collections, and who answers.

Indexes belong to the layer above (`stones.collections`). The dict face copies records, so it must
have their indexes kept. `stones/__init__.py` names the class that does it, and how to import it.
The class is imported with the first copy of a store that has indexes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from stones.engine import Space, Transaction

from .database import Database


class CopiedIndexes(Protocol):
    """Keeps the indexes of the target of a copy, in its write transaction."""

    def take(self, name: str, before: Mapping[str, Any] | None) -> None:
        """Let the target have the indexes that the source has of the collection `name`.

        The target has the description of both already. `before` is what it had before, or None.

        Raises CollectionError if the target has another index of the same name.
        """

    def enter(self, name: str) -> None:
        """Begin with the records of a collection."""

    def write(self, key: bytes, before: bytes | None, value: Any, raw: bytes) -> None:
        """Keep the indexes with a record of the collection, before the record is written.

        `before` are the stored bytes that are replaced, or None. `value` is stored as `raw`.

        Raises DuplicateKeyError if another record has the same values in a unique index.
        """

    def leave(self) -> None:
        """End with the records of a collection."""

    def finish(self) -> None:
        """Index the records that the target had before. Raises DuplicateKeyError."""


IndexCopier = Callable[[Transaction, Database, Transaction], CopiedIndexes]
"""Makes one: for the transaction that is read, for the target, and for its write transaction."""

_importers: list[Callable[[], IndexCopier]] = []


def provide_copied_indexes(importer: Callable[[], IndexCopier]) -> None:
    """Name the function that imports the class."""
    _importers[:] = [importer]


def copied_indexes(read: Transaction, target: Database, txn: Transaction) -> CopiedIndexes | None:
    """What keeps the indexes of a copy. None if neither of the stores has an index."""
    if not (_has_indexes(read) or _has_indexes(txn)):
        return None
    (importer,) = _importers
    return importer()(read, target, txn)


def _has_indexes(txn: Transaction) -> bool:
    return next(txn.keys(Space.META, *INDEXES), None) is not None


INDEXES = (b"index/", b"index0")
"""The definitions of indexes are in the metadata from the first to below the second key."""
