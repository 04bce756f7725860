"""The mark of an unfinished copy: a half copy must not pass for a store.

While `stones.migrations.transfer` fills a store, the store has a layout of its own, which no
version of stones opens. The note beside it says which store is copied.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, UnfinishedCopyError

UNFINISHED_LAYOUT = b"unfinished copy"
"""The layout of a store that is being filled."""
NOTE = b"unfinished copy"
"""The key in the metadata of the note about it."""


@frozen
class UnfinishedCopy:
    """The note in a store that is being filled."""

    id: str
    """Each run of a copy has another one. A run that finds another id than its own stops."""
    source: str
    """The place of the store that is copied, without a password."""
    formats: Mapping[str, str] | None = None
    """The metadata of the target's own format, if values are encoded anew. None: as the source's.
    """

    @classmethod
    def new(cls, source: str, formats: Mapping[str, str] | None) -> "UnfinishedCopy":
        """The note of a run that begins."""
        return cls(os.urandom(8).hex(), source, formats)

    @classmethod
    def read(cls, txn: Transaction) -> "UnfinishedCopy | None":
        """The note that this transaction sees. None if there is no note, or it is damaged."""
        raw = txn.get(Space.META, NOTE)
        return None if raw is None else cls.parse(raw)

    @classmethod
    def parse(cls, raw: bytes) -> "UnfinishedCopy":
        """The note of these stored bytes. Raises CorruptValueError."""
        try:
            found: Any = json.loads(raw)
            id, source, formats = found["id"], found["source"], found["formats"]
            is_sound = type(id) is type(source) is str and (
                formats is None or all(type(part) is str for part in (*formats, *formats.values()))
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptValueError(
                f"the note of an unfinished copy is damaged: {error!r}"[:200]
            ) from error
        if not is_sound:
            raise CorruptValueError("the note of an unfinished copy is damaged")
        return cls(id, source, formats)

    def dumped(self) -> bytes:
        """Its stored bytes."""
        parts = {"id": self.id, "source": self.source, "formats": self.formats}
        return json.dumps(parts).encode()


def unfinished_error(raw: bytes | None) -> UnfinishedCopyError:
    """The error for a store with that layout. `raw` are the stored bytes of its note."""
    source = "another store" if raw is None else UnfinishedCopy.parse(raw).source
    return UnfinishedCopyError(
        f"the store is an unfinished copy of {source[:200]!r}: run the same copy again, which goes "
        "on where it ended, or copy another store to it with replace=True (`stones copy "
        "--replace`)",
        source,
    )
