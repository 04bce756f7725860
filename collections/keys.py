"""Keys as bytes: `encode(a) < encode(b)` if, and only if, `a < b`. Decoding gives the key back.

A collection stores each record under its name, a slash and these bytes. LMDB compares keys byte by
byte. The annotation of the key field chooses the codec:

    str         its UTF-8
    bytes       itself
    date        its ISO 8601 text, 10 characters
    datetime    its ISO 8601 text, 26 characters; an aware one is converted to UTC, and a Z follows
    UUID        its 16 bytes
    int         see below
    tuple       its elements, one after the other; str, bytes, date and datetime are terminated

So a person can read most records by hand in the dict: `store['User/ada@example.org']`.

An int of 0 or more is the byte 0x80 + n, and then its n bytes, big-endian. From n = 127 on, the
first byte is 0xff, then comes n, written as an int, and then the n bytes. A negative int is written
as its magnitude, with every byte complemented.

In a tuple, the bytes must show where an element ends, and the order must stay. A terminated element
ends with 0x00. Inside it, 0x00 is written as 0x01 0x01, and 0x01 as 0x01 0x02. So 0x00 stands only
at the end, and an element sorts before every longer element that begins with it. FoundationDB's
tuple layer writes an inner 0x00 as 0x00 0xff. That is possible because no element of FoundationDB
begins with 0xff (https://github.com/apple/foundationdb/blob/main/design/tuple.md). Our elements
have no type code in front, so an element may begin with any byte.

`stones.collections.records.record_type` finds the key fields of a class and asks here for the
codec. `generated_keys` makes keys for records without a key field.
"""

import ast
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

from attrs import frozen

from stones.collections.records.annotations import unwrap
from stones.collections.records.messages import show_annotation
from stones.errors import CollectionError, CorruptValueError, InvalidKeyError, KeyTypeError
from stones.formats.messages import show, show_value

K = TypeVar("K")


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class KeyCodec(Generic[K]):
    """How keys of one type are written as bytes, and read. Made by `key_codec`.

    >>> codec = key_codec(tuple[str, int])
    >>> codec.name
    'tuple[str, int]'
    >>> codec.encode(('Paris', 7))
    b'Paris\\x00\\x81\\x07'
    >>> codec.decode(b'Paris\\x00\\x81\\x07')
    ('Paris', 7)
    >>> sorted([('b', 1), ('a', 10), ('a', 9)], key=codec.encode)
    [('a', 9), ('a', 10), ('b', 1)]
    """

    name: str
    """The type, as an annotation spells it: `str`, `tuple[str, int]`."""
    encode: Callable[[K], bytes]
    """The bytes of a key.

    Raises KeyTypeError for a key of another type. Raises InvalidKeyError for a key of the right
    type that cannot be written.
    """
    decode: Callable[[bytes], K]
    """The key of these bytes. Raises CorruptValueError for bytes that `encode` never writes."""
    encode_parts: Callable[[tuple[Any, ...]], bytes] | None = None
    """For tuples: the bytes of the first parts. None for other keys.

    A key begins with these bytes if, and only if, its first parts are these. They sort before every
    such key. All parts together make a whole key. Raises what `encode` raises.
    """


def key_codec(annotation: Any) -> KeyCodec[Any]:
    """The codec for keys with this annotation.

    A key is an int, str, bytes, UUID, date, datetime, or a tuple of these with a fixed length. A
    tuple may hold such tuples. NewType, Annotated and type aliases count as the type inside them.

    >>> key_codec(str).encode('ada@example.org')
    b'ada@example.org'
    >>> key_codec(int).encode(256)
    b'\\x82\\x01\\x00'
    >>> key_codec(int).encode('256')
    Traceback (most recent call last):
        ...
    stones.errors.KeyTypeError: expected a key of type int, got str '256'
    >>> key_codec(float)
    Traceback (most recent call last):
        ...
    stones.errors.CollectionError: float cannot be a key: a key is an int, str, bytes, ...

    A bool does not count as an int, nor a datetime as a date. An instance of another subclass is
    written as the plain type, and is read as the plain type. Aware datetimes sort by the instant.
    An aware datetime is read in UTC, to the microsecond. Naive datetimes sort among themselves.

    Raises CollectionError for any other annotation.
    """
    annotation = unwrap(annotation)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    element = _find_element(annotation)
    return KeyCodec(element.name, element.encode, _decoder_of_one(element), element.encode_parts)


def named_codec(name: str) -> KeyCodec[Any]:
    """The codec with this `name`. Raises CollectionError if `name` is not a type of keys."""
    return key_codec(named_annotation(name))


def named_annotation(name: str) -> Any:
    """The annotation that the name of a codec spells.

    Raises CollectionError if `name` is not a type of keys.

    >>> named_annotation('tuple[str, int]')
    tuple[str, int]
    """
    try:
        annotation = _read_annotation(ast.parse(name, mode="eval").body)
        key_codec(annotation)
        return annotation
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CollectionError(f"{show(name)} is not a type of keys") from error


# -- keys of one type --------------------------------------------------------------------------


def _type_error(expected: str, key: object) -> KeyTypeError:
    return KeyTypeError(f"expected a key of type {expected}, got {show_value(key)}")


def _corrupt_error(expected: str, raw: bytes) -> CorruptValueError:
    return CorruptValueError(f"{raw!r:.80} is not a key of type {expected}: it is damaged")


def _encode_str(key: str) -> bytes:
    try:
        return str.encode(key)
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"the key {show(key)} is not Unicode text: it holds a lone surrogate"
        ) from error
    except TypeError:
        raise _type_error("str", key) from None


def _decode_str(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _corrupt_error("str", raw) from error


def _encode_bytes(key: bytes) -> bytes:
    if type(key) is bytes:
        return key
    if not isinstance(key, bytes):
        raise _type_error("bytes", key)
    return bytes(memoryview(key))


def _decode_bytes(raw: bytes) -> bytes:
    return raw


def _encode_date(key: date) -> bytes:
    if not isinstance(key, date) or isinstance(key, datetime):
        raise _type_error("date", key)
    return key.isoformat().encode()


def _decode_date(raw: bytes) -> date:
    try:
        key = date.fromisoformat(raw.decode("ascii"))
    except ValueError as error:
        raise _corrupt_error("date", raw) from error
    if _encode_date(key) != raw:  # ISO 8601 has other forms too, such as 20240229
        raise _corrupt_error("date", raw)
    return key


def _encode_datetime(key: datetime) -> bytes:
    if not isinstance(key, datetime):
        raise _type_error("datetime", key)
    if key.utcoffset() is None:
        return key.replace(tzinfo=None).isoformat(timespec="microseconds").encode()
    try:
        instant = key.astimezone(UTC)
    except OverflowError as error:
        raise InvalidKeyError(
            f"the key {show(key)} is outside the years 1 to 9999 in UTC, and keys are stored in UTC"
        ) from error
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds").encode() + b"Z"


def _decode_datetime(raw: bytes) -> datetime:
    try:
        key = datetime.fromisoformat(raw.decode("ascii"))
    except ValueError as error:
        raise _corrupt_error("datetime", raw) from error
    if _encode_datetime(key) != raw:
        raise _corrupt_error("datetime", raw)
    return key


def _encode_uuid(key: UUID) -> bytes:
    if not isinstance(key, UUID):
        raise _type_error("UUID", key)
    return key.bytes


def _decode_uuid(raw: bytes) -> UUID:
    if len(raw) != 16:
        raise _corrupt_error("UUID", raw)
    return UUID(bytes=raw)


_HEADS = [bytes([0x80 + size]) for size in range(127)]
_LONG = 0xFF  # the first byte of an int of 127 bytes or more
_COMPLEMENT = bytes(range(255, -1, -1))


def _encode_int(key: int) -> bytes:
    if type(key) is not int:
        if isinstance(key, bool) or not isinstance(key, int):
            raise _type_error("int", key)
        key = int.__int__(key)
    if key < 0:
        return _encode_int(-key).translate(_COMPLEMENT)
    size = (key.bit_length() + 7) // 8
    magnitude = key.to_bytes(size, "big")
    if size < 127:
        return _HEADS[size] + magnitude
    return b"\xff" + _encode_int(size) + magnitude


def _decode_int_at(raw: bytes, at: int) -> tuple[int, int]:
    if raw[at] < 0x80:
        key, end = _decode_int_at(raw[at:].translate(_COMPLEMENT), 0)
        if key == 0:
            raise ValueError
        return -key, at + end
    if raw[at] < _LONG:
        size, start = raw[at] - 0x80, at + 1
    elif 0x80 < raw[at + 1] < _LONG:  # the number of bytes is positive, and has a short form
        size, start = _decode_int_at(raw, at + 1)
    else:
        raise ValueError
    end = start + size
    key = int.from_bytes(raw[start:end], "big")
    # `encode` writes an int in one way: no leading zeros, and the long form from 127 bytes on.
    if end > len(raw) or (key.bit_length() + 7) // 8 != size or (size < 127) != (raw[at] < _LONG):
        raise ValueError
    return key, end


# -- elements of a tuple -----------------------------------------------------------------------


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class _Element:
    """How a key is written where others may follow: its bytes show where it ends."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], tuple[Any, int]]
    """The key that starts at a position, and the position where it ends.

    Raises ValueError (CorruptValueError is one) or IndexError for bytes that are not a key.
    """
    encode_parts: Callable[[tuple[Any, ...]], bytes] | None = None
    """For tuples: the bytes of the first parts, as in KeyCodec."""


def _find_element(annotation: Any) -> _Element:
    annotation = unwrap(annotation)
    if isinstance(annotation, type) and annotation in _ELEMENTS:
        return _ELEMENTS[annotation]
    parts = get_args(annotation)
    if get_origin(annotation) is tuple and parts and Ellipsis not in parts:
        return _tuple_element([_find_element(part) for part in parts])
    raise CollectionError(
        f"{show_annotation(annotation)} cannot be a key: a key is an int, str, bytes, UUID, date, "
        "datetime, or a tuple of these with a fixed length, such as tuple[str, int]"
    )


def _tuple_element(elements: list[_Element]) -> _Element:
    name = f"tuple[{', '.join(element.name for element in elements)}]"
    encoders = [element.encode for element in elements]
    decoders = [element.decode for element in elements]

    def encode(key: Any) -> bytes:
        if not isinstance(key, tuple) or len(key) != len(encoders):
            raise _type_error(name, key)
        return join(key)

    def encode_parts(parts: Any) -> bytes:
        if not isinstance(parts, tuple) or len(parts) > len(encoders):
            raise _type_error(f"{name}, or its first parts as a tuple", parts)
        return join(parts)

    def join(parts: tuple[Any, ...]) -> bytes:
        try:
            return b"".join([encode(part) for encode, part in zip(encoders, parts, strict=False)])
        except KeyTypeError as error:
            raise KeyTypeError(f"{_type_error(name, parts)}: {error}") from None

    def decode(raw: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        key = []
        for decode in decoders:
            part, at = decode(raw, at)
            key.append(part)
        return tuple(key), at

    return _Element(name, encode, decode, encode_parts)


def _terminated(codec: KeyCodec[Any]) -> _Element:
    """The element for keys of any length: escaped, and terminated by 0x00."""
    encode_key, decode_key = codec.encode, codec.decode

    def encode(key: Any) -> bytes:
        return _escape(encode_key(key)) + b"\0"

    def decode(raw: bytes, at: int) -> tuple[Any, int]:
        end = raw.index(0, at)
        body = raw[at:end]
        if b"\1" in body:
            plain = body.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
            if _escape(plain) != body:
                raise ValueError
            body = plain
        return decode_key(body), end + 1

    return _Element(codec.name, encode, decode)


def _escape(raw: bytes) -> bytes:
    return raw.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def _decode_uuid_at(raw: bytes, at: int) -> tuple[UUID, int]:
    return _decode_uuid(raw[at : at + 16]), at + 16


def _decoder_of_one(element: _Element) -> Callable[[bytes], Any]:
    """The decoder for bytes that are one key and nothing else."""

    def decode(raw: bytes) -> Any:
        try:
            key, end = element.decode(raw, 0)
        except (ValueError, IndexError) as error:
            raise _corrupt_error(element.name, raw) from error
        if end != len(raw):
            raise _corrupt_error(element.name, raw)
        return key

    return decode


_INT = _Element("int", _encode_int, _decode_int_at)
_SIMPLE: Mapping[type, KeyCodec[Any]] = {
    str: KeyCodec("str", _encode_str, _decode_str),
    bytes: KeyCodec("bytes", _encode_bytes, _decode_bytes),
    date: KeyCodec("date", _encode_date, _decode_date),
    datetime: KeyCodec("datetime", _encode_datetime, _decode_datetime),
    UUID: KeyCodec("UUID", _encode_uuid, _decode_uuid),
    int: KeyCodec("int", _encode_int, _decoder_of_one(_INT)),
}
_ELEMENTS: Mapping[type, _Element] = {
    int: _INT,
    UUID: _Element("UUID", _encode_uuid, _decode_uuid_at),
    **{kind: _terminated(_SIMPLE[kind]) for kind in (str, bytes, date, datetime)},
}

# -- names of codecs ---------------------------------------------------------------------------


def _read_annotation(node: ast.expr) -> Any:
    """The annotation that a syntax tree spells. Raises ValueError if it is not a type of keys."""
    match node:
        case ast.Name(name):
            return {kind.__name__: kind for kind in _SIMPLE}.get(name)
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(parts)):
            return tuple.__class_getitem__(tuple(map(_read_annotation, parts)))
        case ast.Subscript(ast.Name("tuple"), part):
            return tuple.__class_getitem__((_read_annotation(part),))
    raise ValueError(f"{ast.unparse(node)} is not a type of keys")
