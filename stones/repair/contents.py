"""What is in a store, read from its pages: formats, collections, and whether an entry is sound.

`check` and `salvage` look at a file in the same way; here is what they share.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from stones.collections.keys import KeyCodec, named_codec
from stones.engine import Space
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.file.pages import TREE, File
from stones.engines.lmdb.file.survey import MAIN, Problem, Survey
from stones.engines.lmdb.file.trees import Walk
from stones.engines.memory import MemoryEngine
from stones.errors import CollectionError, CorruptValueError, FormatMismatchError
from stones.formats.checksums import CHECKSUM_BIT, without_checksum
from stones.formats.codec import Codec
from stones.formats.metadata import (
    CLAIMS,
    IDS,
    LAYOUT,
    Format,
    Metadata,
    new_metadata,
    read_metadata,
)
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec
from stones.stores.claims import COUNTS

META = SPACES[Space.META]
DATA = SPACES[Space.DATA]
_SHIPPED = {id: name for name, id in IDS.items()}
CLAIM, COUNT = CLAIMS[0], COUNTS[0]


@frozen
class DamageFinding:
    """Something in a store that is not as it should be."""

    what: str
    """In words, with the place."""
    key: bytes | None = None
    """The key of the entry, where it is about one."""


@frozen
class StoredMetadata:
    """How the entries of a store are to be read."""

    codec: Codec | None
    """None for a database of stones 0.3 whose serializer was not named."""
    metadata: Mapping[bytes, bytes]
    """The entries of the metadata that could be read."""
    formats: Metadata | None
    """What formats there are; None where the list is lost, and that of what stones ships is taken.
    """
    claims: Mapping[bytes, KeyCodec[Any]]
    """The keys of each collection, by the first part of them."""
    findings: tuple[DamageFinding, ...]
    """What is wrong with the metadata."""

    def problem(self, key: bytes, raw: bytes) -> str | None:
        """What is wrong with an entry, or None.

        Raises FormatMismatchError for a value that must not be read, or cannot be: it is pickled
        and not trusted, or by a serializer that is not known here.
        """
        if self.codec is None:
            raise FormatMismatchError("the serializer is not known")
        head, slash, rest = key.partition(b"/")
        keys = self.claims.get(head) if slash else None
        if keys is not None:
            try:
                keys.decode(rest)
            except (ValueError, OverflowError) as error:
                return f"it is no key of the collection {head.decode()!r}: {error}"
        try:
            value = self._decoded(self.codec, key, raw)
        except CorruptValueError as error:
            return str(error)
        if keys is not None and type(value) is not dict:
            kind = type(value).__name__
            return f"the record of {key!r} is not a dict of fields, but of type {kind}"
        return None

    @staticmethod
    def _decoded(codec: Codec, key: bytes, raw: bytes) -> Any:
        try:
            return codec.decode(key, raw)
        except FormatMismatchError:
            if raw[0] & CHECKSUM_BIT:
                without_checksum(key, raw)  # a checksum tells without reading the value
            raise

    def owner(self, key: bytes) -> bytes | None:
        """The collection that a key is of, or None."""
        head, slash, _ = key.partition(b"/")
        return head if slash and head in self.claims else None

    def counts(self) -> Iterator[tuple[bytes, bytes]]:
        """The noted number of records of each collection, as it is stored."""
        for head in self.claims:
            yield head, self.metadata.get(COUNT + head, b"0")


def is_legacy(survey: Survey) -> bool:
    """It is a database of stones 0.3, as far as can be seen."""
    return not any(name in survey.trees for name in SPACES) and bool(
        survey.plain_entries or survey.trees
    )


def entries(file: File, survey: Survey, tree: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and stored values in a tree, in key order, as far as they can be read."""
    if tree == MAIN or tree in survey.trees:
        yield from walked(file, survey.walk(tree))


def walked(file: File, walk: Walk) -> Iterator[tuple[bytes, bytes]]:
    """The keys and stored values that a walk comes to, but for named trees."""
    for leaf in walk.leaves():
        for entry in leaf.entries:
            if not entry.flags & TREE:
                yield entry.key, file.value(entry)


def legacy_contents(asked: FormatRequest) -> StoredMetadata:
    """How to read a database of stones 0.3."""
    codec = None if asked.name is None else Stones03Codec(asked)
    return StoredMetadata(codec, {}, None, {}, ())


def read_contents(stored: Mapping[bytes, bytes], asked: FormatRequest) -> StoredMetadata:
    """How to read a store with this metadata. FormatMismatchError for one of a later version."""
    findings: list[DamageFinding] = []
    claims = {}
    sound = {}
    for key, raw in stored.items():
        if key.startswith(CLAIM):
            try:
                claims[key.removeprefix(CLAIM)] = _claim(raw)
            except (ValueError, TypeError, KeyError, RecursionError, CollectionError) as error:
                what = f"metadata: the description of a collection cannot be read: {error}"
                findings.append(DamageFinding(what, key))
                continue
        sound[key] = raw
    findings += [
        DamageFinding("metadata: a number of records without a collection", key)
        for key in stored
        if key.startswith(COUNT) and key.removeprefix(COUNT) not in claims
    ]
    formats, wrong = _formats(sound)
    findings += wrong
    codec = _codec(formats or _shipped(), asked)
    return StoredMetadata(codec, sound, formats, claims, tuple(findings))


def _claim(raw: bytes) -> KeyCodec[Any]:
    described = json.loads(raw)
    if not (isinstance(described["record"], str) and isinstance(described["fields"], list)):
        raise ValueError("it is of another form")
    return named_codec(described["key"])


def _formats(stored: Mapping[bytes, bytes]) -> tuple[Metadata | None, list[DamageFinding]]:
    version = stored.get(b"version", b"")
    if version.isdigit() and int(version) > int(LAYOUT):
        raise FormatMismatchError(
            f"the store has the layout {version.decode()}, this version of stones knows "
            f"{LAYOUT.decode()}: use the version that wrote it, or a newer one"
        )
    wrong = []
    if version != LAYOUT:
        wrong.append(DamageFinding("metadata: the version of the layout is lost", b"version"))
    if not stored.get(b"generation"):
        wrong.append(DamageFinding("metadata: the generation is lost", b"generation"))
    txn = MemoryEngine().begin(write=True)
    for key, raw in {**stored, b"version": LAYOUT, b"generation": b"0"}.items():
        txn.put(Space.META, key, raw)
    try:
        found = read_metadata(txn)
        # Those that stones ships have their numbers for ever.
        if found is None or any(
            format.serializer != _SHIPPED[id] if id in _SHIPPED else format.serializer in IDS
            for id, format in found.formats.items()
        ):
            raise CorruptValueError("it has the numbers of other formats")
        return found, wrong
    except CorruptValueError as error:
        wrong.append(DamageFinding(f"metadata: the list of formats is lost: {error}", b"formats"))
        return None, wrong


def _shipped() -> Metadata:
    formats = {id: Format(id, name) for id, name in _SHIPPED.items()}
    return evolve(new_metadata("pickle"), formats=formats, generation=b"0")


def _codec(metadata: Metadata, asked: FormatRequest) -> Codec:
    try:
        return Codec(metadata, asked)
    except FormatMismatchError:
        # By a serializer that is not known here. Nothing is written, so another one will do.
        return Codec(evolve(metadata, write=Format(IDS["noop"], "noop")), asked)


def finding(problem: Problem) -> DamageFinding:
    """What a survey found, for the user."""
    return DamageFinding(problem.what, problem.key)
