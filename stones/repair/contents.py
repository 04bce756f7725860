"""The metadata of a store and its entries, read with distrust, wherever they are from.

`check` and `salvage` share this: the formats, the collections, and whether an entry is sound.
`index_metadata` has the indexes of the collections.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from stones.collections.description import Description
from stones.collections.keys import KeyCodec, named_codec
from stones.engine import Space
from stones.engines.memory import MemoryEngine
from stones.errors import CollectionError, CorruptValueError, FormatMismatchError
from stones.formats.checksums import CHECKSUM_BIT, without_checksum
from stones.formats.codec import Codec
from stones.formats.encryption_keys import Encrypt
from stones.formats.layout import LAYOUT, LAYOUTS
from stones.formats.metadata import CLAIMS, IDS, Format, Metadata, new_metadata, read_metadata
from stones.formats.registered_types import unknown_types_kept
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec
from stones.formats.unfinished import NOTE, UNFINISHED_LAYOUT, unfinished_error
from stones.stores.claims import COUNTS, is_namespace, parse_collection

from .findings import DamageFinding
from .index_metadata import NO_INDEXES, IndexMetadata, parse_indexes
from .step_metadata import step_findings

_OWN_IDS = {id: name for name, id in IDS.items()}
CLAIM, COUNT = CLAIMS[0], COUNTS[0]


@frozen
class StoredMetadata:
    """The metadata of a store, as far as it can be read."""

    codec: Codec | None
    """Decodes the values. None for a stones 0.3 database whose serializer was not named."""
    entries: Mapping[bytes, bytes]
    """The entries of the metadata that are sound."""
    formats: Metadata | None
    """The list of formats. None if it is lost; then `codec` knows the formats of stones' own."""
    claims: Mapping[bytes, KeyCodec[Any]]
    """The codec of the keys of each collection and namespace, by its name."""
    namespaces: frozenset[bytes]
    """Those of `claims` that are namespaces: their values are no records."""
    indexes: IndexMetadata
    """The indexes of the collections."""
    findings: tuple[DamageFinding, ...]
    """The damage of the metadata."""

    def read(self, key: bytes, raw: bytes) -> tuple[Any, str | None]:
        """The value of an entry, and its damage in words, or None if it is sound.

        A part of a type that is not registered here is an UnknownValue. The value is None if it is
        damaged.

        Raises FormatMismatchError if the value cannot be read: it is pickled and pickles are not
        trusted, or its serializer is not known.
        """
        if self.codec is None:
            raise FormatMismatchError("the serializer is not known")
        head, slash, rest = key.partition(b"/")
        keys = self.claims.get(head) if slash else None
        if keys is not None:
            try:
                keys.decode(rest)
            except (ValueError, OverflowError) as error:
                return None, f"it is no key of the collection {head.decode()!r}: {error}"
        try:
            value = self._decode(self.codec, key, raw)
        except CorruptValueError as error:
            return None, str(error)
        if keys is not None and head not in self.namespaces and type(value) is not dict:
            kind = type(value).__name__
            return None, f"the record of {key!r} is not a dict of fields, but of type {kind}"
        return value, None

    @staticmethod
    def _decode(codec: Codec, key: bytes, raw: bytes) -> Any:
        try:
            with unknown_types_kept():  # a type that is not registered here is no damage
                return codec.decode(key, raw)
        except FormatMismatchError:
            if not isinstance(codec, Stones03Codec) and raw[0] & CHECKSUM_BIT:
                without_checksum(key, raw)  # it reveals damage, though the value cannot be read
            raise

    def owner(self, key: bytes) -> bytes | None:
        """The name of the collection or namespace that the key belongs to, or None."""
        head, slash, _ = key.partition(b"/")
        return head if slash and head in self.claims else None

    @property
    def layout(self) -> str | None:
        """The layout of the store, or None if it is lost."""
        version = self.entries.get(b"version")
        return version.decode() if version in LAYOUTS else None

    def counts(self) -> Iterator[tuple[bytes, bytes]]:
        """The name of each collection and namespace, with its stored number of entries."""
        for name in self.claims:
            yield name, self.entries.get(COUNT + name, b"0")


def keys_only(
    serialize: str | None, dump_load: Any, trust_pickle: bool, encrypt: Encrypt
) -> FormatRequest:
    """The request of what reads any store: keys are for those that need them, and for no others."""
    request = FormatRequest.from_arguments(serialize, dump_load, trust_pickle, encrypt=encrypt)
    return evolve(request, encrypts=None)


def stones03_metadata(request: FormatRequest) -> StoredMetadata:
    """What stands for the metadata of a stones 0.3 database, which has none."""
    codec = None if request.name is None else Stones03Codec(request)
    return StoredMetadata(codec, {}, None, {}, frozenset(), NO_INDEXES, ())


def parse_metadata(stored: Mapping[bytes, bytes], request: FormatRequest) -> StoredMetadata:
    """The metadata in these entries.

    Raises FormatMismatchError for a store of a later version, EncryptionKeyError if the keys that
    were given are others.
    """
    findings: list[DamageFinding] = []
    claims, descriptions, namespaces = dict[bytes, KeyCodec[Any]](), {}, set()
    sound = {}
    for key, raw in stored.items():
        if key.startswith(CLAIM):
            name = key.removeprefix(CLAIM)
            if is_namespace(raw):
                namespaces.add(name)
                claims[name] = named_codec("bytes")
                sound[key] = raw
                continue
            try:
                descriptions[name] = description = _parse_claim(name, raw)
                claims[name] = named_codec(description.key)
            except (CorruptValueError, CollectionError) as error:
                descriptions.pop(name, None)
                what = f"metadata: the description of a collection cannot be read: {error}"
                findings.append(DamageFinding(what, key))
                continue
        sound[key] = raw
    findings += [
        DamageFinding("metadata: a count of records without a collection", key, repairable=True)
        for key in stored
        if key.startswith(COUNT) and key.removeprefix(COUNT) not in claims
    ]
    indexes = parse_indexes(sound, descriptions)
    findings += indexes.findings
    for key in indexes.damaged:
        del sound[key]
    steps = [*step_findings(stored, descriptions)]
    findings += steps
    for finding in steps:
        if finding.repairable and finding.key is not None:
            del sound[finding.key]
    formats, wrong = _parse_formats(sound)
    findings += wrong
    if formats is not None and len(request.keys):  # without any, encrypted values stay unread
        request.check_keys(formats, "the store")
    codec = _make_codec(formats or _own_formats(), request)
    return StoredMetadata(
        codec, sound, formats, claims, frozenset(namespaces), indexes, tuple(findings)
    )


def _parse_claim(name: bytes, raw: bytes) -> Description:
    text = name.decode("utf-8", "replace")
    return Description.from_stored(text, parse_collection(text, raw))


def _parse_formats(stored: Mapping[bytes, bytes]) -> tuple[Metadata | None, list[DamageFinding]]:
    version = stored.get(b"version", b"")
    if version == UNFINISHED_LAYOUT:
        raise unfinished_error(stored.get(NOTE))
    if version.isdigit() and int(version) > int(LAYOUTS[-1]):
        raise FormatMismatchError(
            f"the store has the layout {version.decode()}, this version of stones knows "
            f"{LAYOUTS[-1].decode()}: use the version that wrote it, or a newer one"
        )
    wrong = []
    if version not in LAYOUTS:
        wrong.append(DamageFinding("metadata: the version of the layout is lost", b"version"))
    if not stored.get(b"generation"):
        wrong.append(DamageFinding("metadata: the generation is lost", b"generation"))
    txn = MemoryEngine().begin(write=True)
    for key, raw in {**stored, b"version": LAYOUT, b"generation": b"0"}.items():
        txn.put(Space.META, key, raw)
    try:
        found = read_metadata(txn)
        # The ids of stones' own serializers never change.
        if found is None or any(
            format.serializer != _OWN_IDS[id]
            if id in _OWN_IDS
            else format.serializer in IDS and not format.is_packed
            for id, format in found.formats.items()
        ):
            raise CorruptValueError("it gives the id of one serializer to another")
        return found, wrong
    except CorruptValueError as error:
        wrong.append(DamageFinding(f"metadata: the list of formats is lost: {error}", b"formats"))
        return None, wrong


def _own_formats() -> Metadata:
    formats = {id: Format(id, name) for id, name in _OWN_IDS.items()}
    return evolve(new_metadata("pickle"), formats=formats, generation=b"0")


def _make_codec(metadata: Metadata, request: FormatRequest) -> Codec:
    try:
        return Codec(metadata, request)
    except FormatMismatchError:
        # The serializer of new values is not known here. Nothing is written: any other one will do.
        return Codec(evolve(metadata, write=Format(IDS["noop"], "noop")), request)
