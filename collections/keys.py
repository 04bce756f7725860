"""Keys to bytes that sort as the keys do, and back.

The bytes are compared as LMDB does it, by memcmp. A str key is its UTF-8, a bytes key is itself, a
date or a datetime is its ISO 8601 text; so the records of a collection can be read by hand in the
dict: `stor['User/ada@example.org']`. The others are written like this:

    UUID        its 16 bytes
    int         0x80 + the number of bytes that follow, and those, big-endian; from 127 bytes on
                0xff, their number as an int of this kind, and they; a negative one is the
                complement of all the bytes of its magnitude
    datetime    26 characters, naive; and Z behind them for an aware one, which is put in UTC
    tuple       its elements, one after the other; str, bytes, date and datetime end in 0x00

Where an element ends has to be seen from the bytes, without a change to their order. FoundationDB's
tuple layer ends strings in 0x00 and escapes it inside of them by 0x00 0xff, which relies on no
element starting with 0xff (https://github.com/apple/foundationdb/blob/main/design/tuple.md). Ours
have no type code in front and may start with any byte. So 0x00 becomes 0x01 0x01 and 0x01 becomes
0x01 0x02: the only 0x00 left is the end, and it sorts before whatever goes on.
"""

import ast
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

from attrs import frozen

from stones.collections.records.annotations import inner, spelled
from stones.errors import CollectionError, CorruptValueError, InvalidKeyError, KeyTypeError
from stones.formats.serializers import ShortRepr

K = TypeVar("K")


@frozen
class KeyCodec(Generic[K]):
    """How keys of one type are written: `encode(a) < encode(b)` where, and only where, `a < b`.

    `decode(encode(key)) == key`. What the type checker cannot see is checked when encoding:
    KeyTypeError for a key of another type, InvalidKeyError for one that has no encoding.
    Decoding raises CorruptValueError for bytes that are no key.
    """

    name: str
    """The type, as in an annotation: `str`, `tuple[str, int]`."""
    encode: Callable[[K], bytes]
    decode: Callable[[bytes], K]


def key_codec(annotation: Any) -> KeyCodec[Any]:
    """The codec for keys with this annotation.

    It is int, str, bytes, UUID, date, datetime, or a tuple, of a fixed length, of these or of such
    tuples. NewType, Annotated and type aliases are looked through.

    A bool is no int here, and a datetime no date. Subclasses are taken for the type itself, which
    is what comes back. Aware datetimes sort by the instant and come back in UTC, microseconds and
    all; naive ones sort among themselves.

    Raises CollectionError for an annotation of any other kind.
    """
    while (found := inner(annotation)) is not annotation:
        annotation = found
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    element = _element(annotation)
    return KeyCodec(element.name, element.encode, _whole(element))


def named_codec(name: str) -> KeyCodec[Any]:
    """The codec that has this `name`. Raises CollectionError where there is none."""
    try:
        return key_codec(_annotation(ast.parse(name, mode="eval").body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CollectionError(f"{name!r:.80} is no type of keys") from error


def new_key() -> UUID:
    """A key for a record that has none of its own: a UUID of version 7 (RFC 9562).

    It sorts after all that this process has made before, whatever the clock does, and by the
    millisecond among those of others. No two are the same, between threads, processes and forks.
    """
    return _generated.next()


def described(value: object) -> str:
    """A value for a message, with its type, and not too long: `int 5`, `str 'x'`."""
    if value is None:
        return "None"
    shown = _SHORT.repr(value)
    name = type(value).__name__
    return shown if shown.startswith(name) else f"{name} {shown}"


_SHORT = ShortRepr()
_SHORT.long_int = "of very many digits"
_SHORT.maxstring, _SHORT.maxother = 60, 80

# -- below -------------------------------------------------------------------------------------


@frozen
class _Element:
    """How a key is written where others may follow it: its end can be told from its bytes."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], tuple[Any, int]]
    """The key that starts at a place, and the place where it ends.

    Raises ValueError (CorruptValueError is one) or IndexError for bytes that are no key.
    """


def _wrong_type(expected: str, key: object) -> KeyTypeError:
    return KeyTypeError(f"expected a key of type {expected}, got {described(key)}")


def _corrupt(expected: str, raw: bytes) -> CorruptValueError:
    return CorruptValueError(f"{raw!r:.80} is not a key of type {expected}: it is damaged")


def _encode_str(key: str) -> bytes:
    try:
        return str.encode(key)
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"the key {key!r:.80} is not Unicode text, it holds a lone surrogate"
        ) from error
    except TypeError:
        raise _wrong_type("str", key) from None


def _decode_str(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _corrupt("str", raw) from error


def _encode_bytes(key: bytes) -> bytes:
    if type(key) is bytes:
        return key
    if not isinstance(key, bytes):
        raise _wrong_type("bytes", key)
    return bytes(memoryview(key))


def _decode_bytes(raw: bytes) -> bytes:
    return raw


def _encode_date(key: date) -> bytes:
    if not isinstance(key, date) or isinstance(key, datetime):
        raise _wrong_type("date", key)
    return key.isoformat().encode()


def _decode_date(raw: bytes) -> date:
    try:
        key = date.fromisoformat(raw.decode("ascii"))
    except ValueError as error:
        raise _corrupt("date", raw) from error
    if _encode_date(key) != raw:  # ISO 8601 has other ways to write a date
        raise _corrupt("date", raw)
    return key


def _encode_datetime(key: datetime) -> bytes:
    if not isinstance(key, datetime):
        raise _wrong_type("datetime", key)
    if key.utcoffset() is None:
        return key.replace(tzinfo=None).isoformat(timespec="microseconds").encode()
    try:
        instant = key.astimezone(UTC)
    except OverflowError as error:
        raise InvalidKeyError(
            f"the key {key} lies outside of the years 1 to 9999 in UTC, in which keys are kept"
        ) from error
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds").encode() + b"Z"


def _decode_datetime(raw: bytes) -> datetime:
    try:
        key = datetime.fromisoformat(raw.decode("ascii"))
    except ValueError as error:
        raise _corrupt("datetime", raw) from error
    if _encode_datetime(key) != raw:
        raise _corrupt("datetime", raw)
    return key


def _encode_uuid(key: UUID) -> bytes:
    if not isinstance(key, UUID):
        raise _wrong_type("UUID", key)
    return key.bytes


def _decode_uuid(raw: bytes) -> UUID:
    if len(raw) != 16:
        raise _corrupt("UUID", raw)
    return UUID(bytes=raw)


def _uuid_at(raw: bytes, at: int) -> tuple[UUID, int]:
    return _decode_uuid(raw[at : at + 16]), at + 16


_HEADS = [bytes([0x80 + size]) for size in range(127)]
_LONG = 0xFF
_COMPLEMENT = bytes(range(255, -1, -1))


def _encode_int(key: int) -> bytes:
    if type(key) is not int:
        if isinstance(key, bool) or not isinstance(key, int):
            raise _wrong_type("int", key)
        key = int.__int__(key)
    if key < 0:
        return _encode_int(-key).translate(_COMPLEMENT)
    size = (key.bit_length() + 7) // 8
    magnitude = key.to_bytes(size, "big")
    if size < 127:
        return _HEADS[size] + magnitude
    return b"\xff" + _encode_int(size) + magnitude


def _int_at(raw: bytes, at: int) -> tuple[int, int]:
    if raw[at] < 0x80:
        key, end = _int_at(raw[at:].translate(_COMPLEMENT), 0)
        if key == 0:
            raise ValueError
        return -key, at + end
    if raw[at] < _LONG:
        size, start = raw[at] - 0x80, at + 1
    elif 0x80 < raw[at + 1] < _LONG:
        size, start = _int_at(raw, at + 1)
    else:
        raise ValueError
    end = start + size
    key = int.from_bytes(raw[start:end], "big")
    # There is one way to write an int: no leading zeros, and the long form for long ones only.
    if end > len(raw) or (key.bit_length() + 7) // 8 != size or (size < 127) != (raw[at] < _LONG):
        raise ValueError
    return key, end


_INT = _Element("int", _encode_int, _int_at)
_UUID = _Element("UUID", _encode_uuid, _uuid_at)


def _ended(codec: KeyCodec[Any]) -> _Element:
    """A key of any length, escaped and ended by 0x00."""
    whole, read = codec.encode, codec.decode

    def encode(key: Any) -> bytes:
        return _escaped(whole(key)) + b"\0"

    def decode(raw: bytes, at: int) -> tuple[Any, int]:
        end = raw.index(0, at)
        body = raw[at:end]
        if b"\1" in body:
            plain = body.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
            if _escaped(plain) != body:
                raise ValueError
            body = plain
        return read(body), end + 1

    return _Element(codec.name, encode, decode)


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def _tuple(elements: list[_Element]) -> _Element:
    name = f"tuple[{', '.join(element.name for element in elements)}]"
    encoders = [element.encode for element in elements]
    decoders = [element.decode for element in elements]

    def encode(key: Any) -> bytes:
        if not isinstance(key, tuple) or len(key) != len(encoders):
            raise _wrong_type(name, key)
        try:
            return b"".join([encode(part) for encode, part in zip(encoders, key, strict=True)])
        except KeyTypeError as error:
            raise KeyTypeError(f"{_wrong_type(name, key)}: {error}") from None

    def decode(raw: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        key = []
        for decode in decoders:
            part, at = decode(raw, at)
            key.append(part)
        return tuple(key), at

    return _Element(name, encode, decode)


def _whole(element: _Element) -> Callable[[bytes], Any]:
    """The decoder for bytes that are one key and nothing else."""

    def decode(raw: bytes) -> Any:
        try:
            key, end = element.decode(raw, 0)
        except (ValueError, IndexError) as error:
            raise _corrupt(element.name, raw) from error
        if end != len(raw):
            raise _corrupt(element.name, raw)
        return key

    return decode


def _annotation(node: ast.expr) -> Any:
    """The annotation that is written so. Raises ValueError for one that is no type of keys."""
    match node:
        case ast.Name(name):
            return {kind.__name__: kind for kind in _SIMPLE}.get(name)
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(parts)):
            return tuple.__class_getitem__(tuple(map(_annotation, parts)))
        case ast.Subscript(ast.Name("tuple"), part):
            return tuple.__class_getitem__((_annotation(part),))
    raise ValueError(f"{ast.unparse(node)} is no type of keys")


def _element(annotation: Any) -> _Element:
    while (found := inner(annotation)) is not annotation:
        annotation = found
    if isinstance(annotation, type) and annotation in _ELEMENTS:
        return _ELEMENTS[annotation]
    parts = get_args(annotation)
    if get_origin(annotation) is tuple and parts and Ellipsis not in parts:
        return _tuple([_element(part) for part in parts])
    raise CollectionError(
        f"{spelled(annotation)} cannot be a key: a key is an int, str, bytes, UUID, date, "
        "datetime, or a tuple of these with a fixed length, such as tuple[str, int]"
    )


_SIMPLE: Mapping[type, KeyCodec[Any]] = {
    str: KeyCodec("str", _encode_str, _decode_str),
    bytes: KeyCodec("bytes", _encode_bytes, _decode_bytes),
    date: KeyCodec("date", _encode_date, _decode_date),
    datetime: KeyCodec("datetime", _encode_datetime, _decode_datetime),
    UUID: KeyCodec("UUID", _encode_uuid, _decode_uuid),
    int: KeyCodec("int", _encode_int, _whole(_INT)),
}
_ELEMENTS: Mapping[type, _Element] = {
    int: _INT,
    UUID: _UUID,
    **{kind: _ended(_SIMPLE[kind]) for kind in (str, bytes, date, datetime)},
}


class KeySequence:
    """The generated keys of one process, in rising order; `clock` counts milliseconds since 1970.

    A UUID of version 7 is a time of 48 bits in milliseconds and 74 bits of our own. With each
    millisecond these start at a random number of 72 bits, and within it they are raised by a random
    step (RFC 9562, section 6.2, method 2); should they run over, they carry into the time. While
    a clock that was set back catches up, the last time goes on.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Begin afresh: a forked child must not go on from the same number as its parent."""
        # Re-entrant: a signal handler or a finalizer may ask for a key while its thread is in here.
        self._lock = threading.RLock()
        self._last = 0

    def next(self) -> UUID:
        """A key that is greater than all before."""
        with self._lock:
            now = self._clock()
            if now > self._last >> 74:
                self._last = now << 74 | int.from_bytes(os.urandom(9), "big")
            else:
                self._last += 1 + int.from_bytes(os.urandom(4), "big")
            made = self._last
        version, variant = 7 << 76, 2 << 62
        moment, first, second = made >> 74, made >> 62 & 0xFFF, made & (1 << 62) - 1
        return UUID(int=moment << 80 | version | first << 64 | variant | second)


_generated = KeySequence(lambda: time.time_ns() // 1_000_000)
if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=_generated.restart)
