"""Values as MessagePack, at the speed of its C encoder.

The encoder knows the plain types; for others it calls us, and then goes on with what it gets. For
a container that is a list headed by an empty extension, so that what is in it is encoded in the
same pass; for another type one extension with its packed form inside; and the specification's own
timestamp for a datetime in UTC. The codes are those of `stones.formats.tags`.
(https://github.com/msgpack/msgpack/blob/master/spec.md)
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgpack import ExtType, Packer, Timestamp, packb, unpackb

from .tags import BY_CODE, BY_TYPE, Tag, refusal

_CONTAINERS = frozenset({tuple, set, frozenset})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

# The first bytes of the forms bin and ext. The encoder writes bytearray and memoryview as if they
# were bytes, and extensions that the user made as if they were ours.
_BIN_OR_EXT = b"\xc4\xc5\xc6\xc7\xc8\xc9\xd4\xd5\xd6\xd7\xd8"
_LOOKALIKES = frozenset({bytearray, memoryview, ExtType, Timestamp})

_EXT_8 = 0xC7
"""The first byte of an empty extension: where there is none, no list needs looking at."""

# A Packer is not for two at a time, and making one takes longer than packing a record with it
# (0.35 against 0.3 µs, with its buffer). So those that nobody is using are kept.
_idle: list[Packer] = []
_KEPT_SIZE = 1 << 18


def encode(value: Any) -> bytes:
    """The MessagePack bytes. Raises SerializerError without the path, and what msgpack raises."""
    try:
        packer = _idle.pop()
    except IndexError:
        packer = Packer(strict_types=True, default=_extended)
    # In a list, of which the first byte is cut off again: an empty list may lie one level deeper
    # in what is packed (1025 in msgpack 1.2, 512 in 1.1) than in what can be unpacked.
    wrapped = [value]
    try:
        raw: bytes = packer.pack(wrapped)[1:]
    except UnicodeEncodeError:
        # A lone surrogate. Passing them through is slower, so it is not done to all.
        lenient = Packer(strict_types=True, default=_extended, unicode_errors="surrogatepass")
        raw = lenient.pack(wrapped)[1:]
    if len(raw) < _KEPT_SIZE:
        _idle.append(packer)
    # Looking for such a byte takes a quarter of the time of looking at each value.
    if len(raw.translate(None, _BIN_OR_EXT)) != len(raw):
        _refuse_lookalikes(value)
    return raw


def decode(raw: bytes) -> Any:
    """The value. Raises ValueError and others on bytes that `encode` has not made."""
    if _EXT_8 in raw:
        return _decode_containers(raw)
    return unpackb(
        raw,
        strict_map_key=False,
        unicode_errors="surrogatepass",
        timestamp=3,
        ext_hook=_scalar,
    )


def _extended(value: Any) -> Any:
    kind = type(value)
    tag = BY_TYPE.get(kind)
    if tag is None:
        raise refusal(value)
    if kind in _CONTAINERS:
        return [ExtType(tag.code, b""), *value]
    if kind is datetime and value.tzinfo is UTC and not value.fold:
        seconds, rest = divmod(value - _EPOCH, _SECOND)
        return Timestamp(seconds, rest.microseconds * 1000)
    return ExtType(tag.code, packb(tag.pack(value), unicode_errors="surrogatepass"))


def _scalar(code: int, packed: bytes) -> Any:
    value = unpackb(packed, unicode_errors="surrogatepass", timestamp=3, ext_hook=_refuse_inner)
    return _tag(code).unpack(value)


def _refuse_inner(code: int, _packed: bytes) -> Any:
    raise ValueError(f"the extension {code} is inside of another one")


def _decode_containers(raw: bytes) -> Any:
    heads: list[Tag] = []  # those read, of which the list has not ended yet

    def ext_hook(code: int, packed: bytes) -> Any:
        if packed:
            return _scalar(code, packed)
        heads.append(_tag(code))
        return heads[-1]

    def list_hook(items: list[Any]) -> Any:
        if items and type(items[0]) is Tag:
            return heads.pop().unpack(items[1:])
        return items

    value = unpackb(
        raw,
        strict_map_key=False,
        unicode_errors="surrogatepass",
        timestamp=3,
        ext_hook=ext_hook,
        list_hook=list_hook,
    )
    if heads:
        raise ValueError("an extension without content that heads no list")
    return value


def _tag(code: int) -> Tag:
    tag = BY_CODE.get(code)
    if tag is None:
        raise ValueError(f"{code} is not an extension that this version of stones knows")
    return tag


def _refuse_lookalikes(value: Any) -> None:
    pending = [value]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind in _LOOKALIKES:
            raise refusal(value)
        if kind is dict:
            pending.extend(value)
            pending.extend(value.values())
        elif kind is list or kind in _CONTAINERS:
            pending.extend(value)
