"""Values as MessagePack, at the speed of msgpack's C encoder.

The encoder writes the plain types itself. For a value of another type it calls `_extended`, and
encodes the result:

- For a tuple, set, frozenset or registered type that is a list whose first item is an empty
  extension. So the items are encoded in the same pass.
- For a datetime in UTC it is the specification's own timestamp.
- For any other type it is an extension that contains the packed value.

`stones.formats.tags` has the codes of the extensions. MessagePack's specification:
https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from attrs import frozen
from msgpack import ExtType, Packer, Timestamp, packb, unpackb

from .plain_values import PLAIN, Tries, plain_first
from .registered_types import registered_type
from .tags import BY_CODE, BY_TYPE, REGISTERED, Tag, refusal

_CONTAINERS = frozenset({tuple, set, frozenset})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

# The encoder writes a bytearray or memoryview as if it were bytes, and a user's extension as if it
# were one of stones.
_LOOKALIKES = frozenset({bytearray, memoryview, ExtType, Timestamp})

_EXT_8 = 0xC7
"""The first byte of an empty extension. Bytes without it contain no tuple, set or frozenset."""

# Two threads cannot use a Packer at once. To make a Packer with its buffer takes longer than to
# pack a record (0.35 against 0.3 µs). So a Packer is kept here while no thread uses it.
_idle: list[Packer] = []
_KEPT_SIZE = 1 << 18


decode_plain: Callable[[bytes], Any] = msgspec.msgpack.Decoder(PLAIN).decode
"""The value if it is plain. Raises msgspec's errors for all other bytes."""
_plain_checks = Tries()


def encode(value: Any) -> bytes:
    """The MessagePack bytes. Raises SerializerError, without a path, and msgpack's errors."""
    try:
        packer = _idle.pop()
    except IndexError:
        packer = Packer(strict_types=True, default=_extended)
    # msgpack packs an empty list one level deeper than it can unpack (1025 levels in msgpack 1.2,
    # 512 in 1.1). So the value is packed in a list, whose first byte is cut off afterwards.
    wrapped = [value]
    try:
        raw: bytes = packer.pack(wrapped)[1:]
    except UnicodeEncodeError:
        # The value contains a lone surrogate. This packer is slower, so only such a value takes it.
        lenient = Packer(strict_types=True, default=_extended, unicode_errors="surrogatepass")
        raw = lenient.pack(wrapped)[1:]
    size = len(raw)
    if size < _KEPT_SIZE:
        _idle.append(packer)
    # The first bytes of the forms bin and ext. Each `in` takes 15 ns, a look at each part of the
    # value a hundred times that. The longer forms have 256 bytes and more.
    if (
        (0xC4 in raw or 0xC7 in raw or 0xD4 in raw or 0xD5 in raw)
        or (0xD6 in raw or 0xD7 in raw or 0xD8 in raw)
        or (size > 256 and (0xC5 in raw or 0xC6 in raw or 0xC8 in raw or 0xC9 in raw))
    ) and not _is_plain(raw):
        return encode(_marked(value)) if _has_lookalikes(value) else raw
    return raw


# msgspec takes a third of the time, and makes the same bytes. It writes values of other types too,
# but not as `encode` does: a tuple as a list, and a datetime as text.
encode_simple: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
"""The bytes that `encode` makes of a simple value. Raises anything for an int of over 64 bits."""


def _decode_any(raw: bytes) -> Any:
    if _EXT_8 in raw:
        return _decode_containers(raw)
    return unpackb(
        raw,
        strict_map_key=False,
        unicode_errors="surrogatepass",
        timestamp=3,
        ext_hook=_scalar,
    )


decode = plain_first(decode_plain, _decode_any)
"""The value. Raises ValueError and other errors on bytes that `encode` did not make."""


def _is_plain(raw: bytes) -> bool:
    """Whether encoded bytes are surely a plain value: such a byte may be part of a float."""
    tries = _plain_checks
    if tries.left_out > 0:
        tries.left_out -= 1
        return False
    try:
        decode_plain(raw)
    except Exception:  # noqa: BLE001  # they are not plain
        tries.fail()
        return False
    tries.last = 0
    return True


def _extended(value: Any) -> Any:
    kind = type(value)
    if kind in _CONTAINERS:
        return [ExtType(BY_TYPE[kind].code, b""), *value]
    tag = BY_TYPE.get(kind, REGISTERED)
    if tag.code == REGISTERED.code:
        packed = tag.pack(value.value if kind is _Registered else value)
        if _has_lookalikes(packed):
            packed = _marked(packed)
        return [ExtType(tag.code, b""), *packed]
    if kind is datetime and value.tzinfo is UTC and not value.fold:
        seconds, rest = divmod(value - _EPOCH, _SECOND)
        return Timestamp(seconds, rest.microseconds * 1000)
    return ExtType(tag.code, packb(tag.pack(value), unicode_errors="surrogatepass"))


def _scalar(code: int, packed: bytes) -> Any:
    value = unpackb(packed, unicode_errors="surrogatepass", timestamp=3, ext_hook=_refuse_inner)
    return _tag(code).unpack(value)


def _refuse_inner(code: int, _packed: bytes) -> Any:
    raise ValueError(f"the extension {code} is inside another one")


def _decode_containers(raw: bytes) -> Any:
    heads: list[Tag] = []  # of the lists whose end has not been read yet

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
        raise ValueError("an empty extension is not the first item of a list")
    return value


def _tag(code: int) -> Tag:
    tag = BY_CODE.get(code)
    if tag is None:
        raise ValueError(f"this version of stones does not know the extension {code}")
    return tag


@frozen(eq=False)
class _Registered:
    """A value of a registered type that the encoder would write as if it were bytes."""

    value: Any


def _has_lookalikes(value: Any) -> bool:
    """Whether a value has such parts of registered types. Raises SerializerError for others."""
    found = False
    pending = [value]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind in _LOOKALIKES:
            if registered_type(kind) is None:
                raise refusal(value)
            found = True
        elif kind is dict:
            pending.extend(value)
            pending.extend(value.values())
        elif kind is list or kind in _CONTAINERS:
            pending.extend(value)
    return found


def _marked(value: Any) -> Any:
    """A copy in which these parts are marked, so that the encoder asks `_extended` for them."""
    kind = type(value)
    if kind in _LOOKALIKES:
        return _Registered(value)
    if kind is dict:
        return {_marked(key): _marked(item) for key, item in value.items()}
    if kind is list or kind in _CONTAINERS:
        return kind(map(_marked, value))
    return value
