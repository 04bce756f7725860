"""The format of a stored value, and the store's metadata that lists the formats.

Every value starts with one byte: the id of the format that the rest was written in. So any mixture
of formats can be read at any time, which is what makes re-encoding online possible (see
`stones.migrations.reencode`). The metadata lives in a space of its own, outside the user's keys:

    version             1, of this layout
    generation          counts the changes of what a `Metadata` holds; who finds another one
                        reads that again
    formats             JSON: the format that is written now, all that ever was, and whether a
                        migration is under way, so that values may be in several
    collection/NAME     JSON: what the collection NAME says of itself; it claims the keys NAME/...
                        (see `stones.claims`)
    count/NAME          how many records it has
    ...                 whatever a layer above keeps (a migration's ledger)
"""

import json
import os
import re
import shlex
from collections.abc import Mapping
from types import NoneType
from typing import Any

from attrs import asdict, evolve, frozen

from .engine import Space, Transaction
from .errors import (
    CorruptValueError,
    FormatMismatchError,
    MigrationError,
    SerializerError,
)
from .serializers import CUSTOM, Serializer, custom_serializer, serializer

LAYOUT = b"1"
SHOWS_TEXT = frozenset({"pickle", "json", "cbor", "msgpack"})
"""The serializers that write printable ASCII text as it is, but for quotes and backslashes."""

LEGACY = frozenset({"json", "cbor", "msgpack"})
LEGACY_MARK = "-0.3"
"""The serializers that wrote otherwise in stones 0.3, and what tells them from ours."""

# Fixed numbers for the serializers that we ship, so that values can be told apart even where the
# metadata is lost; others get the next number from FIRST_OWN on. A number never means another
# serializer later: a reader that has not looked at the metadata since would take it for the old.
IDS: Mapping[str, int] = {"pickle": 1, "json": 2, "cbor": 3, "msgpack": 4, "noop": 5}
FIRST_OWN = 32
LAST_OWN = 255
CLAIMS = (b"collection/", b"collection0")
"""What collections say of themselves is in the metadata from the first to below the second key."""
NO_FORMAT = -1
""""The format" of values without a format byte: no byte of them equals it."""


@frozen
class Format:
    """How a value was written. `id` is its first byte; `serializer` wrote the rest."""

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
    migration: str | None = None
    """The id of the migration that is under way. None: every value is in the format `write`."""

    def migrating_to(self, name: str) -> "Metadata":
        """The same, but new values are written by `name`, and older ones are to follow.

        Raises MigrationError where there is no number left for a serializer of the user's own.
        """
        known = [format for format in self.formats.values() if format.serializer == name]
        format = known[0] if known else Format(self._free_id(name), name)
        formats = {**self.formats, format.id: format}
        return evolve(self, write=format, formats=formats, migration=os.urandom(6).hex())

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


def new_metadata(name: str) -> Metadata:
    """The metadata of an empty store that is written by the serializer `name`."""
    format = Format(IDS.get(name, FIRST_OWN), name)
    return Metadata(b"", format, {format.id: format})


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
        listed = json.loads(txn.get(Space.META, b"formats") or b"")
        formats = {entry["id"]: _format(**entry) for entry in listed["formats"]}
        write, migration = formats[listed["write"]], listed["migration"]
        if type(migration) not in (str, NoneType):
            raise ValueError("what a migration is called is no text")
        return Metadata(generation, write, formats, has_collections(txn), migration)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the store cannot be read: {repr(error)[:200]}"
        ) from error


# What follows is strict, since the file may have been made by somebody who wishes us ill: a name
# that is taken as it is might be of the wrong type, too long, or control a terminal.


def _format(id: Any, serializer: Any) -> Format:
    if type(id) is not int or not 0 <= id <= LAST_OWN:
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


@frozen
class Asked:
    """How the opener of a store wants its values: by a serializer named, or as the store says.

    It also decides what is trusted: a store that was opened with a safe serializer named must not
    be made to unpickle by what it finds in the file.
    """

    name: str | None
    custom: Serializer | None = None
    trusts_pickle: bool = False

    @classmethod
    def of(
        cls, serialize: str | None, dump_load: Any = (), trust_pickle: bool | None = None
    ) -> "Asked":
        """From the arguments of a store. Raises SerializerError for what cannot be had."""
        if dump_load:
            if serialize is not None:
                raise SerializerError("give serialize= or dump_load=, not both")
            return cls(CUSTOM, custom_serializer(dump_load), trust_pickle is True)
        if serialize is not None:
            serializer(serialize)
        trusts = serialize in (None, "pickle") if trust_pickle is None else trust_pickle
        return cls(serialize, None, trusts)

    def also(self, name: str, custom: Serializer | None = None) -> "Asked":
        """The same, for a user who has since asked for the serializer `name` as well."""
        if self.name is None:
            return evolve(self, custom=custom or self.custom)
        trusts = self.trusts_pickle or name == "pickle"
        return Asked(name, custom or self.custom, trusts)

    def check(self, metadata: Metadata, store: str) -> None:
        """Raise FormatMismatchError where the store is written by another serializer."""
        written = metadata.write.serializer
        if self.name in (None, written):
            return
        left_over = metadata.migration is not None and any(
            format.serializer == CUSTOM for format in metadata.formats.values()
        )
        if self.custom is not None and left_over:
            return  # only these functions can read what a migration has not come to yet
        functions = "dump_load=(encode, decode)"
        how = functions if written == CUSTOM else f"serialize={written!r}, or without naming any"
        if {self.name, written} <= IDS.keys():
            migrate = f"run `stones migrate {shlex.quote(store)} --to {self.name}`"
        else:
            target = functions if self.custom is not None else f"to={self.name!r}"
            migrate = f"open it so and call stones.migrate(store, {target})"
        raise FormatMismatchError(
            f"{store!r} is written by {_called(written)}, not by {_called(self.name)}: open it "
            f"with {how}; to re-encode it, {migrate}"
        )

    def trusts(self, format: Format) -> bool:
        """Whether values in `format` may be read, as far as what reading them may do."""
        return self.trusts_pickle or format.serializer != "pickle"

    def reader(self, format: Format, where: str) -> Serializer:
        """The serializer for `format`. FormatMismatchError if it is not known, or not trusted."""
        if not self.trusts(format):
            raise FormatMismatchError(
                f"{where} is pickled, and reading a pickle can run code: if you trust where it "
                "comes from, open the store without naming a serializer (`stones` commands: with "
                "--trust-pickle)"
            )
        return self.writer(format, where)

    def writer(self, format: Format, where: str) -> Serializer:
        """The same, but only for writing: that is safe in any format."""
        if format.serializer == CUSTOM:
            if self.custom is None:
                raise FormatMismatchError(
                    f"{where} was written by functions of its own: pass them as "
                    "dump_load=(encode, decode)"
                )
            return self.custom
        plain = format.serializer.removesuffix(LEGACY_MARK)
        if plain != format.serializer and plain in LEGACY:
            from .legacy import legacy_serializer  # few will ever need it

            return legacy_serializer(plain)
        try:
            return serializer(format.serializer)
        except SerializerError as error:
            raise FormatMismatchError(
                f"{where} was written by the serializer {format.serializer!r}, which is not known "
                "here: register_serializer() it before you open the store"
            ) from error


def _called(name: str | None) -> str:
    return "functions of its own" if name == CUSTOM else repr(name)


def legacy_metadata(codec: "LegacyCodec") -> Metadata:
    """What the values of a database of stones 0.3 are in once they get a format byte."""
    name = codec.metadata.write.serializer
    return new_metadata(name + LEGACY_MARK if name in LEGACY else name)


class Codec:
    """Values to stored bytes and back, by one generation of the metadata."""

    def __init__(self, metadata: Metadata, asked: Asked) -> None:
        self.metadata = metadata
        self._asked = asked
        writer = asked.writer(metadata.write, "the store")
        self._dumps = writer.encode
        self._prefix = bytes([metadata.write.id])
        self.id = metadata.write.id if asked.trusts(metadata.write) else NO_FORMAT
        """The first byte of values for `loads`, which are most of them."""
        self.shows_text = self.id != NO_FORMAT and metadata.write.serializer in SHOWS_TEXT
        self.loads = writer.decode
        """Decodes what follows the first byte of a value that has the format `id`."""
        self._readers = {self.id: writer.decode}

    def encode(self, value: Any) -> bytes:
        """The stored bytes. Raises SerializerError with the path to what cannot be held."""
        return self._prefix + self._dumps(value)

    def knows(self, raw: bytes) -> bool:
        """Whether the metadata lists the format of these stored bytes."""
        return not raw or raw[0] in self.metadata.formats

    def decode(self, key: bytes, raw: bytes) -> Any:
        """The value. Raises CorruptValueError, or FormatMismatchError where it must not be read."""
        if not raw or raw[0] not in self.metadata.formats:
            what = f"has the format {raw[0]}, which the store does not list" if raw else "is empty"
            raise CorruptValueError(f"the value of {key!r} {what}: it is damaged")
        read = self._readers.get(raw[0])
        if read is None:
            format = self.metadata.formats[raw[0]]
            read = self._readers[raw[0]] = self._asked.reader(
                format, f"the value of {key!r}"
            ).decode
        try:
            return read(raw[1:])
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error

    def options(self) -> dict[str, Any]:
        """What to open another store with, so that it writes in the same way."""
        if self._asked.custom is not None and self.metadata.write.serializer == CUSTOM:
            return {"dump_load": (self._asked.custom.encode, self._asked.custom.decode)}
        return {"serialize": self.metadata.write.serializer}


class LegacyCodec(Codec):
    """Values as stones 0.3 wrote them: no format byte, encodings of its own (`stones.legacy`)."""

    def __init__(self, asked: Asked) -> None:
        if asked.name is None:
            raise FormatMismatchError(
                "this is a database of stones 0.3, which did not note its serializer: name it, "
                "serialize='pickle' for one made by stone() without any (`stones migrate`: with "
                "--from pickle)"
            )
        self.metadata = Metadata(None, Format(NO_FORMAT, asked.name), {})
        self.id = NO_FORMAT
        self.shows_text = False
        self._asked = asked
        from .legacy import legacy_serializer  # few will ever need it

        codec = asked.custom or legacy_serializer(asked.name)
        self._dumps, self.loads = codec.encode, codec.decode

    def encode(self, value: Any) -> bytes:
        return self._dumps(value)

    def knows(self, raw: bytes) -> bool:
        return True

    def decode(self, key: bytes, raw: bytes) -> Any:
        if not self._asked.trusts(self.metadata.write):
            self._asked.reader(self.metadata.write, f"the value of {key!r}")
        try:
            return self.loads(raw)
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error


def corrupt(key: bytes, error: Exception) -> CorruptValueError:
    """The error for a value that its decoder refuses."""
    return CorruptValueError(
        f"the value of {key!r} cannot be read: {type(error).__name__}: {str(error)[:200]}; it is "
        "damaged, was written by other means, or wants a class that is not here"
    )
