"""The format of a stored value, and the store's metadata, which lists the formats.

Every value starts with one byte. It holds the id of the value's format, and a bit that says
whether a checksum follows (`stones.formats.checksums`). So values of any mixture of formats can be
read at any time, and a store can be re-encoded while others use it
(`stones.migrations.reencoding.reencode`).

The metadata lives in a space of its own, outside the user's keys:

    version             the number of this layout: 1, or 2 once the store has had an index, or 3
                        once it has had compressed or encrypted values, or steps of records
    generation          changes with each change of a `Metadata`; whoever finds another generation
                        reads the metadata again
    formats             JSON: the format of new values, whether they get a checksum, all formats
                        that the store has had, the id of the migration that is under way, and in
                        layout 3 the rules and what recognizes the keys of encrypted values
    dictionary/N        the dictionary N, by which values are compressed (layout 3)
    collection/NAME     JSON: the description of the collection NAME, which claims the keys NAME/...
                        (`stones.stores.claims`); {"namespace": true} for a namespace
    count/NAME          the number of its records, or of its entries
    index/NAME\0PATHS   JSON: an index of it (`stones.collections.indexes.definition`)
    ...                 whatever a layer above keeps (a migration's ledger)
"""

import json
import os
from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, Literal

from attrs import asdict, evolve, field, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, MigrationError

from .checksums import CHECKSUM_BIT
from .dictionaries import (
    Keys,
    PlannedDictionaries,
    Trained,
    as_trained,
    read_dictionaries,
    write_dictionaries,
)
from .encryption import EncryptionKey
from .encryption_keys import KeyRing, id_for
from .generation import next_generation, read_generation
from .layout import check_layout, write_layout
from .listed_formats import (
    checked_compression,
    checked_dictionary,
    checked_id,
    checked_ids,
    checked_keys,
    checked_rules,
    checked_serializer,
)
from .rules import needed_rules, rule_for

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


class Keep:
    """The type of KEEP."""


KEEP: Final = Keep()
"""The part of a format stays as it is: see `Metadata.migrating_to`."""


@frozen
class Format:
    """The format of a stored value."""

    id: int
    """The first byte of the value, without the bit for a checksum."""
    serializer: str
    """The name of the serializer that wrote the value."""
    compression: Literal["zstd"] | None = None
    """How the bytes of the serializer are compressed, if they are."""
    dictionary: int | None = None
    """The number of the dictionary for that, if there is one."""
    encryption: str | None = None
    """The id, in this store, of the key by which the value is encrypted, if it is."""

    @property
    def is_packed(self) -> bool:
        """Whether values are compressed or encrypted."""
        return self.compression is not None or self.encryption is not None

    @property
    def parts(self) -> tuple[object, ...]:
        """What tells two formats of one store apart, beside their ids."""
        return self.serializer, self.compression, self.dictionary, self.encryption


@frozen
class Metadata:
    """The formats of a store, as of one transaction."""

    generation: bytes | None
    """Changes with each change of the metadata. None if the metadata is not stored."""
    write: Format
    """The format of new values, if no rule has another one."""
    formats: Mapping[int, Format]
    """The formats that values are in, or once were in, by their ids."""
    has_collections: bool = False
    """Whether the store has collections. If not, a write looks up no claim."""
    checksums: bool = False
    """Whether new values get a checksum."""
    migration: str | None = None
    """The id of the migration that is under way. If None, every value is written as new ones are.
    """
    rules: Mapping[bytes, int] = field(factory=dict)
    """Prefixes of keys whose new values have another format than `write`, and its id.

    The longest prefix of a key counts.
    """
    left: frozenset[int] = frozenset()
    """During a migration, the formats that values may still be in."""
    keys: Mapping[str, str] = field(factory=dict)
    """What recognizes the keys of encrypted values, by their ids: see `EncryptionKey.check`."""
    dictionaries: Mapping[int, bytes] = field(factory=dict, repr=False)
    """The stored bytes of the dictionaries of formats that values may be in, by their numbers."""

    @property
    def first(self) -> int:
        """The first byte of new values, with the bit for a checksum."""
        return self.write.id | (CHECKSUM_BIT if self.checksums else 0)

    @property
    def write_name(self) -> str:
        """The format of new values, in words: "json with checksums"."""
        write = self.write
        encrypted = write.encryption is not None
        return format_name(write.serializer, self.checksums, write.compression, encrypted)

    @property
    def in_use(self) -> frozenset[int]:
        """The ids of the formats that values may be in."""
        return frozenset({self.write.id, *self.rules.values()}) | self.left

    def format_of(self, key: bytes) -> Format:
        """The format of a new value of `key`. O(rules)."""
        prefix = rule_for(key, self.rules) if self.rules else None
        return self.write if prefix is None else self.formats[self.rules[prefix]]

    @property
    def is_packed(self) -> bool:
        """Whether some values may be compressed or encrypted."""
        # A database of stones 0.3 lists no format.
        return any(self.formats[id].is_packed for id in self.in_use if id in self.formats)

    def within(self, prefix: bytes) -> "Metadata":
        """The metadata of a new store with copies of the values of the keys under a prefix.

        The copies have these keys without the prefix, and are in the same formats.
        """
        rules = {each: id for each, id in self.rules.items() if each.startswith(prefix)}
        inside = {each.removeprefix(prefix): id for each, id in rules.items() if each != prefix}
        new = evolve(self, write=self.format_of(prefix), rules=inside, has_collections=False)
        return new.migrated()

    def migrating_to(
        self,
        name: str | None = None,
        checksums: bool | None = None,
        *,
        compression: Literal["zstd"] | Keep | None = KEEP,
        dictionary: bytes | Trained | Keep | None = KEEP,
        encryption: EncryptionKey | Keep | None = KEEP,
        keys: KeyRing | None = None,
        prefix: bytes = b"",
    ) -> "Metadata":
        """The metadata at the start of a migration. What is not named stays as it is.

        `name` is that of a serializer. `dictionary` is the bytes of a dictionary, or a function
        that gives them. With `prefix`, new values of the keys that begin with it change, by a rule,
        and otherwise all of them: a rule keeps the parts that are not named. `checksums` is for the
        store as a whole. `keys` encrypts dictionaries.

        No dictionary is kept where encryption changes: see `PlannedDictionaries`.
        Raises MigrationError if no number is left for another format.
        """
        known = dict(self.keys)
        parts: dict[str, Any] = {} if name is None else {"serializer": name}
        if not isinstance(compression, Keep):
            parts["compression"] = compression
        if not isinstance(encryption, Keep):
            parts["encryption"] = None if encryption is None else id_for(encryption, known)
        newest = [encryption] if isinstance(encryption, EncryptionKey) else []
        dictionaries = PlannedDictionaries(
            # Outside of a migration no value is in another format than those in use.
            dict(self.dictionaries if self.migration else self._dictionaries_in_use()),
            max(format.dictionary or 0 for format in self.formats.values()),
            None if isinstance(dictionary, Keep) else as_trained(dictionary),
            Keys([*newest, *(keys or ())], known),
            set(),
        )
        formats = dict(self.formats)

        def changed(format: Format, **parts: Any) -> Format:
            new = evolve(format, **parts)
            number = None
            if new.compression is not None:
                number = dictionaries.number(format.dictionary, format.encryption, new.encryption)
            new = evolve(new, dictionary=number)
            same = [each for each in formats.values() if each.parts == new.parts]
            new = same[0] if same else evolve(new, id=_free_id(new, formats))
            formats[new.id] = new
            return new

        rules = {each: formats[id] for each, id in self.rules.items()}
        if prefix:
            rules.setdefault(prefix, self.format_of(prefix))
        for each, now in [(b"", self.write), *rules.items()]:
            after = parts.get("encryption", now.encryption)
            if each.startswith(prefix) and dictionaries.exposes(now.dictionary, after):
                dictionaries.replaced.add(now.dictionary or 0)

        def planned(keys: bytes, format: Format) -> Format:
            if keys.startswith(prefix):
                return changed(format, **parts)
            return changed(format) if format.dictionary in dictionaries.replaced else format

        write = planned(b"", self.write)
        ids = {each: planned(each, format).id for each, format in rules.items()}
        return evolve(
            self,
            write=write,
            formats=formats,
            checksums=self.checksums if checksums is None else checksums,
            migration=os.urandom(6).hex(),
            rules=needed_rules(ids, write.id),
            left=self.in_use,
            keys=known,
            dictionaries=dictionaries.by_number,
        )

    def migrated(self) -> "Metadata":
        """The metadata at the end of a migration: every value is in the format of new values."""
        new = evolve(self, migration=None, left=frozenset())
        return evolve(new, dictionaries=new._dictionaries_in_use())

    def _dictionaries_in_use(self) -> dict[int, bytes]:
        used = {self.formats[id].dictionary for id in self.in_use if id in self.formats}
        return {number: each for number, each in self.dictionaries.items() if number in used}


def _free_id(format: Format, formats: Mapping[int, Format]) -> int:
    if format.serializer in IDS and not format.is_packed:
        return IDS[format.serializer]
    free = max(FIRST_OWN - 1, *formats) + 1
    if free > LAST_OWN:
        raise MigrationError(
            f"the store has been in {LAST_OWN - FIRST_OWN + 1} formats of your own, and cannot "
            "list one more: migrate to one of those, or to one that stones ships"
        )
    return free


def format_name(
    serializer: str, checksums: bool, compression: str | None = None, encrypted: bool = False
) -> str:
    """A format, in words: "json", or "json with checksums, compressed by zstd, encrypted"."""
    name = f"{serializer} with checksums" if checksums else serializer
    name += f", compressed by {compression}" if compression else ""
    return f"{name}, encrypted" if encrypted else name


def new_metadata(
    name: str,
    checksums: bool = False,
    *,
    compression: Literal["zstd"] | None = None,
    encryption: EncryptionKey | None = None,
) -> Metadata:
    """The metadata of an empty store whose serializer is `name`."""
    keys: dict[str, str] = {}
    id = None if encryption is None else id_for(encryption, keys)
    format = Format(FIRST_OWN, name, compression, None, id)
    if name in IDS and not format.is_packed:
        format = Format(IDS[name], name)
    return Metadata(b"", format, {format.id: format}, checksums=checksums, keys=keys)


def read_metadata(txn: Transaction) -> Metadata | None:
    """The metadata, or None if the store has no metadata yet.

    Raises FormatMismatchError for a later layout, CorruptValueError for damaged metadata.
    """
    generation = read_generation(txn)
    if generation is None:
        return None
    check_layout(txn)
    try:
        listed = _parse_formats(**json.loads(txn.get(Space.META, b"formats") or b""))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the store cannot be read: {repr(error)[:200]}"
        ) from error
    return evolve(
        listed,
        generation=generation,
        has_collections=has_collections(txn),
        dictionaries=read_dictionaries(txn, [each.dictionary for each in listed.formats.values()]),
    )


def _parse_formats(
    *,
    write: Any,
    checksums: Any,
    formats: Any,
    migration: Any,
    rules: Any = None,
    left: Any = None,
    keys: Any = None,
) -> Metadata:
    known = [_format(**entry) for entry in formats]
    by_id = {format.id: format for format in known}
    if len(by_id) < len(known) or len({format.parts for format in known}) < len(known):
        raise ValueError("a format is listed twice")
    if type(write) is not int or type(checksums) is not bool:
        raise ValueError("'write' is not the id of a format, or 'checksums' is not a bool")
    if type(migration) not in (str, NoneType):
        raise ValueError("the id of the migration is not text")
    by_key = checked_keys({} if keys is None else keys)
    if not {format.encryption for format in known} <= {None, *by_key}:
        raise ValueError("a format has a key that is not listed")
    if left is None:  # as before layout 3, where any format may be left during a migration
        left = [] if migration is None else [*by_id]
    return Metadata(
        None,
        by_id[write],
        by_id,
        checksums=checksums,
        migration=migration,
        rules=checked_rules({} if rules is None else rules, by_id),
        left=checked_ids(left, by_id),
        keys=by_key,
    )


def _format(
    id: Any,
    serializer: Any,
    compression: Any = None,
    dictionary: Any = None,
    encryption: Any = None,
) -> Format:
    number = checked_id(id, LAST_OWN)
    if not (encryption is None or type(encryption) is str):
        raise ValueError(f"the id of the key of the format {number} is not text")
    name, compressed = checked_serializer(serializer, number), checked_compression(compression)
    format = Format(number, name, compressed, checked_dictionary(dictionary), encryption)
    if format.is_packed and number < FIRST_OWN:
        raise ValueError(f"the format {number} is neither compressed nor encrypted")
    return format


def has_collections(txn: Transaction) -> bool:
    """Whether the store has a collection. One read."""
    return next(txn.keys(Space.META, *CLAIMS), None) is not None


def write_formats(txn: Transaction, metadata: Metadata) -> None:
    """Store the list of formats, and begin the next generation of the metadata."""
    listed = {
        "write": metadata.write.id,
        "checksums": metadata.checksums,
        "formats": [asdict(format, filter=_is_named) for format in metadata.formats.values()],
        "migration": metadata.migration,
    }
    write_layout(txn, 1)
    if any(format.is_packed for format in metadata.formats.values()) or metadata.rules:
        write_layout(txn, 3)
        listed["rules"] = {prefix.hex(): id for prefix, id in metadata.rules.items()}
        listed["left"] = sorted(metadata.left)
        listed["keys"] = dict(metadata.keys)
        write_dictionaries(txn, metadata.dictionaries)
    txn.put(Space.META, b"formats", json.dumps(listed).encode())
    next_generation(txn)


def _is_named(_: object, part: object) -> bool:
    return part is not None
