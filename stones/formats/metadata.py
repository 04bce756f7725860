"""The format of a stored value, and the store's metadata, which lists the formats.

Every value starts with one byte. It holds the id of the value's format, and a bit that says
whether a checksum follows (`stones.formats.checksums`). So values of any mixture of formats can be
read at any time, and a store can be re-encoded while others use it
(`stones.migrations.reencode`).

The metadata lives in a space of its own, outside the user's keys:

    version             the number of this layout: 1, or 2 once the store has had an index
    generation          changes with each change of a `Metadata`; whoever finds another generation
                        reads the metadata again
    formats             JSON: the format of new values, whether they get a checksum, all formats
                        that the store has had, and the id of the migration that is under way;
                        during a migration a value may be in any of the formats
    collection/NAME     JSON: the description of the collection NAME, which claims the keys NAME/...
                        (`stones.stores.claims`); {"namespace": true} for a namespace
    count/NAME          the number of its records, or of its entries
    index/NAME\0PATHS   JSON: an index of it (`stones.collections.indexes.definition`)
    ...                 whatever a layer above keeps (a migration's ledger)
"""

import json
import os
import re
from collections.abc import Mapping
from types import NoneType
from typing import Any

from attrs import asdict, evolve, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, FormatMismatchError, MigrationError

from .checksums import CHECKSUM_BIT
from .unfinished import NOTE, UNFINISHED_LAYOUT, unfinished_error

LAYOUT = b"1"
"""The layout of the metadata that this version of stones writes to a store without indexes."""
LAYOUT_WITH_INDEXES = b"2"
"""The layout once a store has had an index. Versions that know no indexes refuse to open it."""
LAYOUTS = (LAYOUT, LAYOUT_WITH_INDEXES)
# The ids of stones' own serializers are fixed, so that values can be told apart even if the
# metadata is lost. Other serializers get the next number from FIRST_OWN on. A store never gives a
# number to another serializer later: a reader with older metadata would take it for the first one.
IDS: Mapping[str, int] = {"pickle": 1, "json": 2, "cbor": 3, "msgpack": 4, "noop": 5}
FIRST_OWN = 32
LAST_OWN = 127
CLAIMS = (b"collection/", b"collection0")
"""The descriptions of collections have metadata keys from the first to below the second."""
NO_FORMAT = -1
"""The id of the format of values without a format byte. No byte equals it."""
STONES03_ENCODINGS = frozenset({"json", "cbor", "msgpack"})
"""The serializers that encoded values in another way in stones 0.3."""
STONES03_SUFFIX = "-0.3"
"""Ends the name of such an encoding in the list of formats: "json-0.3"."""


@frozen
class Format:
    """The format of a stored value."""

    id: int
    """The first byte of the value, without the bit for a checksum."""
    serializer: str
    """The name of the serializer that wrote the value."""


@frozen
class Metadata:
    """The formats of a store, as of one transaction."""

    generation: bytes | None
    """Changes with each change of the metadata. None if the metadata is not stored."""
    write: Format
    """The format of new values."""
    formats: Mapping[int, Format]
    """The formats that values are in, or once were in, by their ids."""
    has_collections: bool = False
    """Whether the store has collections. If not, a write looks up no claim."""
    checksums: bool = False
    """Whether new values get a checksum."""
    migration: str | None = None
    """The id of the migration that is under way. If None, every value is written as new ones are.
    """

    @property
    def first(self) -> int:
        """The first byte of new values, with the bit for a checksum."""
        return self.write.id | (CHECKSUM_BIT if self.checksums else 0)

    @property
    def write_name(self) -> str:
        """The format of new values, in words: "json with checksums"."""
        return format_name(self.write.serializer, self.checksums)

    def migrating_to(self, name: str, checksums: bool) -> "Metadata":
        """The metadata at the start of a migration: the serializer `name` writes new values.

        Raises MigrationError if no number is left for a serializer of the user's own.
        """
        known = [format for format in self.formats.values() if format.serializer == name]
        format = known[0] if known else Format(self._free_id(name), name)
        formats = {**self.formats, format.id: format}
        migration = os.urandom(6).hex()
        return evolve(self, write=format, formats=formats, checksums=checksums, migration=migration)

    def migrated(self) -> "Metadata":
        """The metadata at the end of a migration: every value is in the format of new values."""
        return evolve(self, migration=None)

    def _free_id(self, name: str) -> int:
        if name in IDS:
            return IDS[name]
        free = max(FIRST_OWN - 1, *self.formats) + 1
        if free > LAST_OWN:
            raise MigrationError(
                f"the store has been in {LAST_OWN - FIRST_OWN + 1} formats of your own, and cannot "
                "list one more: migrate to one of those, or to one that stones ships"
            )
        return free


def format_name(serializer: str, checksums: bool) -> str:
    """A format, in words: "json", or "json with checksums"."""
    return f"{serializer} with checksums" if checksums else serializer


def new_metadata(name: str, checksums: bool = False) -> Metadata:
    """The metadata of an empty store whose serializer is `name`."""
    format = Format(IDS.get(name, FIRST_OWN), name)
    return Metadata(b"", format, {format.id: format}, checksums=checksums)


GENERATION = b"generation"
"""The key of the generation in `Space.META`."""


def read_generation(txn: Transaction) -> bytes | None:
    """The generation of the metadata, or None if there is no metadata. One read."""
    return txn.get(Space.META, GENERATION)


def read_layout(txn: Transaction) -> str:
    """The layout of a store that has metadata: "1", or "2" once it has had an index. One read."""
    return (txn.get(Space.META, b"version") or b"").decode("utf-8", "replace")


def read_metadata(txn: Transaction) -> Metadata | None:
    """The metadata, or None if the store has no metadata yet.

    Raises StoreOpenError for an unfinished copy, FormatMismatchError for a later layout,
    CorruptValueError for damaged metadata.
    """
    generation = read_generation(txn)
    if generation is None:
        return None
    layout = txn.get(Space.META, b"version")
    if layout == UNFINISHED_LAYOUT:
        raise unfinished_error(txn.get(Space.META, NOTE))
    if layout not in LAYOUTS:
        raise FormatMismatchError(
            f"the store has the layout {layout!r:.80}, this version of stones knows {LAYOUT!r} "
            f"and {LAYOUT_WITH_INDEXES!r}: open it with the version that wrote it, or a newer one"
        )
    try:
        listed = _parse_formats(**json.loads(txn.get(Space.META, b"formats") or b""))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the store cannot be read: {repr(error)[:200]}"
        ) from error
    return evolve(listed, generation=generation, has_collections=has_collections(txn))


# The checks below are strict, because an attacker may have made the file. A name from it could be
# of a wrong type, very long, or contain the control characters of a terminal.


def _parse_formats(*, write: Any, checksums: Any, formats: Any, migration: Any) -> Metadata:
    known = [_format(**entry) for entry in formats]
    by_id = {format.id: format for format in known}
    if len(by_id) < len(known) or len({format.serializer for format in known}) < len(known):
        raise ValueError("a format is listed twice")
    if type(write) is not int or type(checksums) is not bool:
        raise ValueError("'write' is not the id of a format, or 'checksums' is not a bool")
    if type(migration) not in (str, NoneType):
        raise ValueError("the id of the migration is not text")
    return Metadata(None, by_id[write], by_id, checksums=checksums, migration=migration)


def _format(id: Any, serializer: Any) -> Format:
    if type(id) is not int or not 1 <= id <= LAST_OWN:
        raise ValueError(f"the id of a format is not a number from 1 to {LAST_OWN}")
    if type(serializer) is not str or not _SERIALIZER_NAME.fullmatch(serializer):
        raise ValueError(f"the serializer of the format {id} has no valid name")
    return Format(id, serializer)


_SERIALIZER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,67}")


def has_collections(txn: Transaction) -> bool:
    """Whether the store has a collection. One read."""
    return next(txn.keys(Space.META, *CLAIMS), None) is not None


def write_formats(txn: Transaction, metadata: Metadata) -> None:
    """Store the list of formats, and begin the next generation of the metadata."""
    listed = {
        "write": metadata.write.id,
        "checksums": metadata.checksums,
        "formats": [asdict(format) for format in metadata.formats.values()],
        "migration": metadata.migration,
    }
    if txn.get(Space.META, b"version") != LAYOUT_WITH_INDEXES:
        txn.put(Space.META, b"version", LAYOUT)
    txn.put(Space.META, b"formats", json.dumps(listed).encode())
    next_generation(txn)


def write_layout_with_indexes(txn: Transaction) -> None:
    """Note that the store has had an index."""
    txn.put(Space.META, b"version", LAYOUT_WITH_INDEXES)


def next_generation(txn: Transaction) -> None:
    """Change the generation, so that every user of the store reads the metadata again.

    They read it in their next write transaction.
    """
    head = (read_generation(txn) or b"0").partition(b"-")[0]
    count = int(head) + 1 if head.isdigit() and len(head) < 20 else 1
    # Without the random part two changes could have the same number: if a transaction reads its
    # own change and is rolled back, the next change counts from the same number.
    txn.put(Space.META, b"generation", b"%d-%s" % (count, os.urandom(6).hex().encode()))
