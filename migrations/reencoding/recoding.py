"""Stored values from the formats that they are in into the format of new values, many at a time.

A value that has the right serializer already is only unpacked, and packed anew. Another value is
decoded and encoded. Neighbouring values mostly have one format, so they are recoded in groups, by
the fastest way that is left:

1. Most values are plain: see `stones.formats.plain_values`. The decoder for plain values proves
   that each of pickle, json, cbor and msgpack can hold the value. So the check does not encode it.
2. Other values are decoded and encoded by the functions that everybody uses.
3. If a value of the group fails, each value of it is recoded alone, which tells the error.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen
from msgpack import packb

from stones.errors import SerializerError, StoneError
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.codec import Codec
from stones.formats.encryption import EncryptionKey
from stones.formats.format_writer import FormatWriter, WrapMany, decryption_key, format_reader
from stones.formats.messages import show, show_error
from stones.formats.metadata import IDS, Format
from stones.formats.msgpack_serializer import decode_plain
from stones.formats.plain_values import Tries, decode_all_plain
from stones.formats.registered_types import unknown_types_kept
from stones.formats.request import FormatRequest
from stones.formats.serializers import SAFE, Serializer, serializer
from stones.formats.stones03_codec import Stones03Codec

_HOLD_PLAIN = frozenset({"pickle", "json", "cbor", "msgpack"})
"""The serializers that can hold each plain value."""

_CHECKED = 64
"""Values that are decoded at once. Of more values, the memory does not fit the processor's cache:
of 500 pickles, a check took 3.1 instead of 2.1 microseconds each."""

Entries = tuple[Sequence[bytes], Sequence[bytes]]


@frozen
class Recoded:
    """What became of some values."""

    changes: list[tuple[bytes, bytes, bytes]]
    """Each key, with the old and the new stored bytes."""
    failures: list[tuple[bytes, StoneError]]
    """Each key whose value could not be recoded, and why."""


@frozen(eq=False)
class _Way:
    """From one format to another."""

    unpack: Callable[[bytes, bytes], bytes] | None
    """The serializer's bytes, of a key and stored bytes. None: all but the first byte."""
    source: Serializer
    target: Serializer
    pack: WrapMany
    """The stored bytes, of keys and the serializer's bytes."""
    keeps_serializer: bool
    tries: Tries


class Recoding:
    """From the formats that `reading` knows into those of new values by `writing`.

    `writing` knows these formats too: both are codecs by the same metadata, or `writing` is by the
    metadata that a migration plans. One thread at a time may use it.
    """

    def __init__(self, reading: Codec, writing: Codec, request: FormatRequest) -> None:
        self._reading = reading
        self._writing = writing
        self._request = request
        self._rules = bool(writing.metadata.rules)
        self._ways: dict[tuple[bytes, bytes], _Way | None] = {}

    def recode(self, keys: Sequence[bytes], values: Sequence[bytes]) -> Recoded:
        """New stored bytes for the values that are not in the format of new values yet."""
        recoded = Recoded([], [])
        for writer, way, (some_keys, some) in self._groups(keys, values):
            try:
                new = _recoded_group(way, some_keys, some)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # each value alone tells which one failed, and why
                self._recode_each(writer, some_keys, some, recoded)
            else:
                recoded.changes.extend(zip(some_keys, some, new, strict=True))
        return recoded

    def check(
        self, keys: Sequence[bytes], values: Sequence[bytes]
    ) -> tuple[bytes, StoneError] | None:
        """The first key whose value cannot be recoded, and the error. None if all can."""
        for writer, way, (some_keys, some) in self._groups(keys, values):
            try:
                _check_group(way, some_keys, some)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # as above
                for key, raw in zip(some_keys, some, strict=True):
                    try:
                        self.encoded(writer, key, raw)
                    except StoneError as error:
                        return key, error
        return None

    def by_key(
        self, keys: Sequence[bytes], values: Sequence[bytes]
    ) -> Iterator[tuple[EncryptionKey | None, Sequence[bytes], Sequence[bytes]]]:
        """The values that will be compressed, with the key that will encrypt them, or None."""
        if not self._rules:
            writer = self._writing.writer(keys[0])
            if writer.format.compression is not None:
                yield self._encryption_key(writer.format), keys, values
            return
        groups: dict[EncryptionKey | None, tuple[list[bytes], list[bytes]]] = {}
        for key, raw in zip(keys, values, strict=True):
            format = self._writing.writer(key).format
            if format.compression is not None:
                group = groups.setdefault(self._encryption_key(format), ([], []))
                group[0].append(key)
                group[1].append(raw)
        for encryption, (some_keys, some) in groups.items():
            yield encryption, some_keys, some

    def samples(self, keys: Sequence[bytes], values: Sequence[bytes]) -> Iterator[bytes]:
        """The serializer's bytes of these values, as they will be. Without those that fail."""
        for key, raw in zip(keys, values, strict=True):
            with suppress(StoneError):
                yield self.encoded(self._writing.writer(key), key, raw)

    def encoded(self, writer: FormatWriter, key: bytes, raw: bytes) -> bytes:
        """The bytes that the serializer of new values makes of one value. Raises StoneError."""
        reading, target = self._reading, writer.format.serializer
        if reading.is_written_by(target, raw):
            return reading.unwrap(key, raw)
        # The packed form of a registered type is kept if possible. So it need not be known here.
        with unknown_types_kept("all" if target in SAFE else None):
            value = reading.decode(key, raw)
            encoded = writer.dumps(value)
        if target not in IDS:
            _check_same(value, encoded, self._request.writer(writer.format, "the store"))
        return encoded

    def _encryption_key(self, format: Format) -> EncryptionKey | None:
        if format.encryption is None:
            return None
        return decryption_key(format, self._writing.metadata, self._writing.request)

    def _recode_each(
        self, writer: FormatWriter, keys: Sequence[bytes], values: Sequence[bytes], into: Recoded
    ) -> None:
        for key, raw in zip(keys, values, strict=True):
            try:
                new = writer.wrap(key, self.encoded(writer, key, raw))
            except StoneError as error:
                into.failures.append((key, error))
            else:
                into.changes.append((key, raw, new))

    def _groups(
        self, keys: Sequence[bytes], values: Sequence[bytes]
    ) -> Iterator[tuple[FormatWriter, _Way | None, Entries]]:
        """The values that are not in the format of new values yet, grouped by the way to go."""
        if not self._rules:
            writer = self._writing.writer(keys[0])
            firsts = {raw[:1] for raw in values}
            if len(firsts) == 1:
                (first,) = firsts
                if not self._is_done(writer, first):
                    yield writer, self._way(writer, first), (keys, values)
                return
        groups: dict[tuple[bytes, bytes], tuple[FormatWriter, list[bytes], list[bytes]]] = {}
        for key, raw in zip(keys, values, strict=True):
            writer = self._writing.writer(key)
            first = raw[:1]
            if self._is_done(writer, first):
                continue
            group = groups.setdefault((first, writer.prefix), (writer, [], []))
            group[1].append(key)
            group[2].append(raw)
        for (first, _), (writer, some_keys, some) in groups.items():
            yield writer, self._way(writer, first), (some_keys, some)

    def _is_done(self, writer: FormatWriter, first: bytes) -> bool:
        """Whether stored bytes with this first byte are what the writer writes.

        In the metadata that is planned the first byte may be that of another format. So a value is
        done only where it is in that format now.
        """
        if first != writer.prefix or type(self._reading) is Stones03Codec:
            return False
        known = self._reading.metadata.formats.get(writer.format.id)
        return known == writer.format and not self._reading.misses(first)

    def _way(self, writer: FormatWriter, first: bytes) -> _Way | None:
        """How values with this first byte are recoded in groups. None: one by one."""
        ways, which = self._ways, (first, writer.prefix)
        if which not in ways:
            ways[which] = self._new_way(writer, first)
        return ways[which]

    def _new_way(self, writer: FormatWriter, first: bytes) -> _Way | None:
        reading, request = self._reading, self._request
        if not first or type(reading) is Stones03Codec or reading.misses(first):
            return None
        format = reading.metadata.formats.get(first[0] & ~CHECKSUM_BIT)
        target = writer.format
        if format is None or target.serializer not in IDS:
            return None
        try:
            source = request.reader(format, "the store")
            unpack = None
            if format.is_packed or first[0] & CHECKSUM_BIT:
                unpack = format_reader(first[0], format, reading.metadata, request, bytes)
        except StoneError:  # each value alone gives the error with its key
            return None
        return _Way(
            unpack,
            source,
            serializer(target.serializer),
            writer.wrap_many,
            format.serializer == target.serializer,
            Tries(),
        )


def _recoded_group(way: _Way | None, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes]:
    """The new stored bytes. Raises anything where a value has to be recoded alone."""
    if way is None:
        raise ValueError("there is no way for a group")
    encoded = _unpacked(way, keys, values)
    if not way.keeps_serializer:
        target = way.target
        plain = _plain_values(way, encoded)
        if plain is not None:
            encoded = list(map(target.encode_simple or target.encode, plain))
        else:
            with unknown_types_kept("all" if target.name in SAFE else None):
                encoded = list(map(target.encode, map(way.source.decode, encoded)))
    return way.pack(keys, encoded)


def _check_group(way: _Way | None, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Raise anything unless each value surely can be recoded."""
    if way is None:
        raise ValueError("there is no way for a group")
    if way.keeps_serializer and way.unpack is None:
        return
    for at in range(0, len(keys), _CHECKED):
        encoded = _unpacked(way, keys[at : at + _CHECKED], values[at : at + _CHECKED])
        if not way.keeps_serializer:
            _check_encoded(way, encoded)


def _check_encoded(way: _Way, encoded: Sequence[bytes]) -> None:
    """The same, for the bytes of the serializer that each value has now."""
    target = way.target
    if target.name in _HOLD_PLAIN and _plain_values(way, encoded) is not None:
        return
    with unknown_types_kept("all" if target.name in SAFE else None):
        decoded = list(map(way.source.decode, encoded))
        if not _can_hold(target, decoded):
            deque(map(target.encode, decoded), 0)


def _unpacked(way: _Way, keys: Sequence[bytes], values: Sequence[bytes]) -> Sequence[bytes]:
    """The serializer's bytes of each value."""
    if way.unpack is None:
        return [raw[1:] for raw in values]
    return list(map(way.unpack, keys, values))


def _plain_values(way: _Way, encoded: Sequence[bytes]) -> list[Any] | None:
    """The values, if all of them are plain."""
    decode = way.source.decode_plain
    return None if decode is None else decode_all_plain(decode, way.tries, encoded)


def _can_hold(target: Serializer, values: list[Any]) -> bool:
    """Whether msgpack, which is fast, proves that the serializer can hold each of the values."""
    if target.name not in SAFE:
        return False
    try:
        if target.name == "msgpack":
            target.encode(values)
        else:  # plain values, which each serializer can hold
            decode_plain(packb(values, strict_types=True))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # the serializer itself tells
        return False
    return True


def _check_same(value: Any, encoded: bytes, target: Serializer) -> None:
    """Raise SerializerError for what comes back as another value.

    The serializers that we ship give back what they are given, or refuse it. A user's serializer is
    tried on each value. For objects of the user's classes only `==` can tell.
    """
    try:
        back = target.decode(encoded)
    except Exception as error:  # a decoder may raise anything
        raise SerializerError(
            f"{target.name} cannot read back what it writes: {show_error(error)}"
        ) from error
    plain = serializer("msgpack").encode
    differs = False
    with suppress(Exception):  # an __eq__ may raise anything, and objects have no plain form
        differs = back != value and plain(back) != plain(value)  # the latter for nan
    if differs:
        raise SerializerError(f"{target.name} would give it back as {show(back)}")
