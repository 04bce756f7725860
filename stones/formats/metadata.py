"""The format of a stored value, and the store's metadata that lists the formats.

Every value starts with one byte: the id of the format that the rest was written in, and a bit that
says whether a checksum comes before that (see `stones.formats.checksums`). So any mixture of
formats can be read at any time, which is what makes re-encoding online possible (see
`stones.migrations.reencode`). The metadata lives in a space of its own, outside the user's keys:

    version             1, of this layout
    generation          counts the changes of what a `Metadata` holds; who finds another one
                        reads that again
    formats             JSON: the format that is written now, whether with checksums, all formats
                        that ever were, and whether a migration is under way, so that values may be
                        in any of them, with checksums or without
    collection/NAME     JSON: what the collection NAME says of itself; it claims the keys NAME/...
                        (see `stones.stores.claims`)
    count/NAME          how many records it has
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

from .checksums import GUARD

LAYOUT = b"1"
# Fixed numbers for the serializers that we ship, so that values can be told apart even where the
# metadata is lost; others get the next number from FIRST_OWN on. A number never means another
# serializer later: a reader that has not looked at the metadata since would take it for the old.
IDS: Mapping[str, int] = {"pickle": 1, "json": 2, "cbor": 3, "msgpack": 4, "noop": 5}
FIRST_OWN = 32
LAST_OWN = 127
CLAIMS = (b"collection/", b"collection0")
"""What collections say of themselves is in the metadata from the first to below the second key."""
NO_FORMAT = -1
""""The format" of values without a format byte: no byte of them equals it."""


@frozen
class Format:
    """How a value was written. `id` is its first byte, but for one bit; `serializer` wrote it."""

    id: int
    serializer: str


@frozen
class Metadata:
    """What a store knows of itself, as of one transaction."""

    generation: bytes | None
    write: Format
    """What new values are written in."""
    formats: Mapping[int, Format]
    """What values may be in, or have been in, by id."""
    has_collections: bool = False
    """Where there are none, no claim needs to be looked up."""
    checksums: bool = False
    """New values get a checksum."""
    migration: str | None = None
    """The id of the migration that is under way. None: every value is as new ones are written."""

    @property
    def first(self) -> int:
        """The first byte of new values."""
        return self.write.id | (GUARD if self.checksums else 0)

    @property
    def write_name(self) -> str:
        """How new values are written, in words."""
        return format_name(self.write.serializer, self.checksums)

    def migrating_to(self, name: str, checksums: bool) -> "Metadata":
        """The same, but new values are written by `name`, and older ones are to follow.

        Raises MigrationError where there is no number left for a serializer of the user's own.
        """
        known = [format for format in self.formats.values() if format.serializer == name]
        format = known[0] if known else Format(self._free_id(name), name)
        formats = {**self.formats, format.id: format}
        migration = os.urandom(6).hex()
        return evolve(self, write=format, formats=formats, checksums=checksums, migration=migration)

    def migrated(self) -> "Metadata":
        """The same, but every value is in the format that is written."""
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
    """A format in words."""
    return f"{serializer} with checksums" if checksums else serializer


def new_metadata(name: str, checksums: bool = False) -> Metadata:
    """The metadata of an empty store that is written by the serializer `name`."""
    format = Format(IDS.get(name, FIRST_OWN), name)
    return Metadata(b"", format, {format.id: format}, checksums=checksums)


def read_generation(txn: Transaction) -> bytes | None:
    """The generation of the metadata, or None where there is no metadata. One read."""
    return txn.get(Space.META, b"generation")


def read_metadata(txn: Transaction) -> Metadata | None:
    """The metadata, or None where there is none. Raises FormatMismatchError for a later layout."""
    generation = read_generation(txn)
    if generation is None:
        return None
    layout = txn.get(Space.META, b"version")
    if layout != LAYOUT:
        raise FormatMismatchError(
            f"the store has the layout {layout!r:.80}, this version of stones knows {LAYOUT!r}: "
            "open it with the version that wrote it, or a newer one"
        )
    try:
        listed = _listed(**json.loads(txn.get(Space.META, b"formats") or b""))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the store cannot be read: {repr(error)[:200]}"
        ) from error
    return evolve(listed, generation=generation, has_collections=has_collections(txn))


# What follows is strict, since the file may have been made by somebody who wishes us ill: a name
# that is taken as it is might be of the wrong type, too long, or control a terminal.


def _listed(*, write: Any, checksums: Any, formats: Any, migration: Any) -> Metadata:
    known = [_format(**entry) for entry in formats]
    by_id = {format.id: format for format in known}
    if len(by_id) < len(known) or len({format.serializer for format in known}) < len(known):
        raise ValueError("a format is listed twice")
    if type(write) is not int or type(checksums) is not bool:
        raise ValueError("how new values are written is no format, or with checksums or without")
    if type(migration) not in (str, NoneType):
        raise ValueError("what a migration is called is no text")
    return Metadata(None, by_id[write], by_id, checksums=checksums, migration=migration)


def _format(id: Any, serializer: Any) -> Format:
    if type(id) is not int or not 1 <= id <= LAST_OWN:
        raise ValueError("a format has an id that is none")
    if type(serializer) is not str or not _SERIALIZER_NAME.fullmatch(serializer):
        raise ValueError(f"the format {id} has a serializer whose name is none")
    return Format(id, serializer)


_SERIALIZER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,67}")


def has_collections(txn: Transaction) -> bool:
    """Whether there is any collection. One read."""
    return next(txn.keys(Space.META, *CLAIMS), None) is not None


def write_formats(txn: Transaction, metadata: Metadata) -> None:
    """Store which formats there are, and begin the next generation."""
    listed = {
        "write": metadata.write.id,
        "checksums": metadata.checksums,
        "formats": [asdict(format) for format in metadata.formats.values()],
        "migration": metadata.migration,
    }
    txn.put(Space.META, b"version", LAYOUT)
    txn.put(Space.META, b"formats", json.dumps(listed).encode())
    next_generation(txn)


def next_generation(txn: Transaction) -> None:
    """Make everybody read the metadata again, from their next write transaction on."""
    head = (read_generation(txn) or b"0").partition(b"-")[0]
    count = int(head) + 1 if head.isdigit() and len(head) < 20 else 1
    # The random part tells apart two changes that would have the same number, where the first of
    # them was rolled back after somebody had read it in its own transaction.
    txn.put(Space.META, b"generation", b"%d-%s" % (count, os.urandom(6).hex().encode()))
