"""Any value as ordered bytes: `encode(a) < encode(b)` if `a` comes before `b`.

An entry of an index holds these bytes, and everything that sorts by values sorts by them:
`order_by`, cursors, `min`, `max` and `distinct`. No encoding is the beginning of another one, so
several may stand in a row. The first byte, the tag, is the class of the value:

    02  missing             there is no such field
    03  None
    04  False
    05  True
    08  NaN                 a float, or a Decimal of any kind
    10  number below 0      the 8 bytes of a float, complemented, and its tail
    11  number from 0 on    the 8 bytes of a float, and its tail; -0.0 is 0
    18  bytes               themselves, with 00 written as 00 ff; then 00 00
    20  str                 UTF-8 (a lone surrogate too), written as bytes are
    28  date                4 bytes: the day, counted from the year 1
    30  naive datetime      8 bytes: microseconds
    31  aware datetime      8 bytes: microseconds, of the instant
    38  naive time          8 bytes: microseconds
    39  aware time          8 bytes: microseconds, in UTC
    40  timedelta           10 bytes: microseconds
    48  UUID                its 16 bytes
    f0  other               nothing: arrays, dicts, and values of registered types

int, float and Decimal are one class, and compare by value. The float of a number is the greatest
one that is not above it. The tail is 00 if the float is the number. If not, it is 01 and the
number in decimal: two bytes of its exponent, its digits, and 00. The exponent is that of the first
digit; if it is far from 0, eight bytes follow the two. Below 0 the decimal is complemented.

`kind` tells what the bytes do not: whether a number was a float. `cut` shortens long encodings. A
cut str or bytes ends with 00 01, a cut number with 01, or with fe below 0.

A condition on `path == value` may hold for three kinds of entries, and whoever looks for its
records reads all three: the value's own bytes, their cut form, and `OTHER`, since a value of a
registered type may equal a plain one (`Fraction(1, 2) == 0.5`). See `is_searchable`, too.
`stones.collections.language.ordering` says how values compare.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from struct import Struct
from typing import Any, Final
from uuid import UUID

from stones.errors import CorruptValueError
from stones.formats.registered_types import registered_type

from .numbers import (
    BELOW,
    EXACT_INTS,
    NAN,
    NUMBER,
    SHORTEST,
    decode_number,
    encode_number,
    end_of_number,
    pack_number,
)

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda _: "MISSING"})()
"""The value of a path that leads nowhere in a record."""

_MISSING, _NULL, _FALSE, _TRUE = b"\x02", b"\x03", b"\x04", b"\x05"
_BYTES, _STR, _DATE = 0x18, 0x20, 0x28
_NAIVE, _AWARE, _TIME, _AWARE_TIME, _DELTA, _UUID = 0x30, 0x31, 0x38, 0x39, 0x40, 0x48
OTHER: Final = b"\xf0"
"""The encoding of every value that has no order: an array, a dict, a value of a registered type."""

CANONICAL: Final = b"c"
FLOAT: Final = b"f"
UNDECODABLE: Final = b"?"

_eight = Struct(">BQ").pack
_four = Struct(">BI").pack
_BIAS = 1 << 62  # added to microseconds, which may be negative
_DELTA_BIAS = 1 << 78
_LONGEST_INT = 100_000  # in bits, about 30,000 digits: a longer int is not decoded


def encode(value: Any) -> bytes:
    """The ordered bytes of a value. Never raises an error, whatever the value is.

    >>> encode(1) == encode(1.0) and encode(-0.0) == encode(0)
    True
    >>> sorted([10, 'b', None, 9.5, MISSING, True, 'a'], key=encode)
    [MISSING, None, True, 9.5, 10, 'a', 'b']
    """
    plain = type(value)
    if plain is str:
        raw: bytes = value.encode("utf-8", "surrogatepass")
        if b"\0" in raw:
            raw = raw.replace(b"\0", b"\0\xff")
        return b"\x20" + raw + b"\0\0"
    if plain is int:
        if 0 <= value <= EXACT_INTS:
            return pack_number(NUMBER, value, 0)
        return encode_number(value)
    if plain is float:
        return pack_number(NUMBER, value, 0) if value > 0 else encode_number(value)
    if value is None:
        return _NULL
    encoder = _ENCODERS.get(plain)
    if encoder is not None:
        return encoder(value)
    return _encode_subclass(value)


def encode_prefix(text: str) -> bytes:
    """The bytes with which the encodings of all strs begin that begin with `text`.

    >>> encode('abc').startswith(encode_prefix('ab')), encode('b').startswith(encode_prefix('ab'))
    (True, False)
    """
    return encode(text)[:-2]


def class_range(encoded: bytes) -> tuple[bytes, bytes]:
    """The first bytes of the class of a value, and the first bytes behind it.

    Values are compared with those of their own class only: `@.age > 30` is between `encode(30)` and
    the second of these. All numbers but NaN are one class.

    >>> low, high = class_range(encode(30))
    >>> low <= encode(-10**400) < encode(float('inf')) < high
    True
    """
    tag = encoded[0]
    if tag in (BELOW, NUMBER):
        return bytes([BELOW]), bytes([NUMBER + 1])
    return bytes([tag]), bytes([tag + 1])


def is_searchable(value: Any) -> bool:
    """Whether the entries of a value, and of the order around it, are all that compare with it so.

    Not so for what has no order, and for a date and time whose zone is no `datetime.timezone`:
    Python compares two of one zone by their wall clocks.

    >>> is_searchable('a'), is_searchable([1])
    (True, False)
    """
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        return type(value.tzinfo) is timezone
    return encode(value) != OTHER


def kind(value: Any) -> bytes:
    """What `decode` must know beside the encoding: one byte.

    `CANONICAL` for a value that the encoding tells alone, `FLOAT` for a float. `UNDECODABLE` for a
    value that the encoding does not give back: a Decimal, -0.0, an aware datetime, an array. The
    `fold` of a naive datetime is not kept.

    >>> kind('a'), kind(1), kind(1.0), kind([])
    (b'c', b'c', b'f', b'?')
    """
    plain = type(value)
    if plain in _ALWAYS_CANONICAL:
        return CANONICAL
    if plain is int:
        return CANONICAL if value.bit_length() < _LONGEST_INT else UNDECODABLE
    if plain is float:
        return UNDECODABLE if value == 0 and math.copysign(1, value) < 0 else FLOAT
    if plain is datetime or plain is time:
        return UNDECODABLE if value.tzinfo is not None else CANONICAL
    return CANONICAL if value is None or value is MISSING else UNDECODABLE


def decode(encoded: bytes, kind: bytes = CANONICAL) -> Any:
    """The value of an encoding that is not cut, and of its `kind`.

    Raises CorruptValueError for bytes that `encode` never writes, and for an `UNDECODABLE` value.

    >>> decode(encode('a')), decode(encode(1.0), kind(1.0)), decode(encode(2**70))
    ('a', 1.0, 1180591620717411303424)
    """
    if kind == UNDECODABLE or encoded[:1] == OTHER or end_of(encoded, 0) != len(encoded):
        raise _corrupt(encoded)
    try:
        return _decode(encoded, kind == FLOAT)
    except (ValueError, OverflowError, ArithmeticError) as error:
        raise _corrupt(encoded) from error


# -- several encodings in a row ----------------------------------------------------------------


def end_of(raw: bytes, at: int) -> int:
    """Where the encoding ends that starts at a position. Raises CorruptValueError.

    >>> row = encode('a') + encode(1)
    >>> end_of(row, 0) == len(encode('a')), end_of(row, len(encode('a'))) == len(row)
    (True, True)
    """
    tag = raw[at] if at < len(raw) else 0
    size = _SIZES.get(tag)
    if size is not None:
        end = at + size
    elif tag in (_STR, _BYTES):
        end = raw.find(0, at + 1)
        while end >= 0 and raw[end + 1 : end + 2] == b"\xff":
            end = raw.find(0, end + 2)
        if end < 0 or raw[end + 1 : end + 2] not in (b"\0", b"\1"):
            raise _corrupt(raw)
        end += 2
    elif tag in (BELOW, NUMBER):
        end = end_of_number(raw, at, below=tag == BELOW)
        if end < 0:
            raise _corrupt(raw)
    else:
        raise _corrupt(raw)
    if end > len(raw):
        raise _corrupt(raw)
    return end


def cut(encoded: bytes, limit: int) -> bytes:
    """An encoding of at most `limit` bytes, in the same order; `limit` is 24 or more.

    Different values may have the same cut encoding. A value that is not cut has another one.

    >>> cut(encode('abc'), 24) == encode('abc')
    True
    >>> len(cut(encode('a' * 99), 24)), is_cut(cut(encode('a' * 99), 24))
    (24, True)
    """
    if len(encoded) <= limit:
        return encoded
    tag = encoded[0]
    if tag == NUMBER:
        return encoded[: limit - 1] + b"\1"
    if tag == BELOW:
        return encoded[: limit - 1] + b"\xfe"
    body = encoded[: limit - 2]
    # A zero byte is written as two bytes: 00 at the end would be the first of them.
    return (body[:-1] if body.endswith(b"\0") else body) + b"\0\1"


def is_cut(encoded: bytes) -> bool:
    """Whether `cut` has shortened an encoding."""
    tag = encoded[0]
    if tag in (_STR, _BYTES):
        return encoded.endswith(b"\1")
    if len(encoded) <= SHORTEST:
        return False
    return encoded.endswith(b"\1" if tag == NUMBER else b"\xfe") and tag in (NUMBER, BELOW)


_SIZES: Mapping[int, int] = {
    **dict.fromkeys((_MISSING[0], _NULL[0], _FALSE[0], _TRUE[0], NAN[0], OTHER[0]), 1),
    _DATE: 5,
    **dict.fromkeys((_NAIVE, _AWARE, _TIME, _AWARE_TIME), 9),
    _DELTA: 11,
    _UUID: 17,
}


# -- the other classes -------------------------------------------------------------------------

_DAY = 86_400_000_000
_MIDNIGHT = datetime(1, 1, 1)  # noqa: DTZ001  # it is naive: what it is taken from is naive too


def _encode_bytes(value: bytes) -> bytes:
    return b"\x18%b\0\0" % value.replace(b"\0", b"\0\xff")


def _microseconds(span: timedelta) -> int:
    return span.days * _DAY + span.seconds * 1_000_000 + span.microseconds


def _encode_datetime(value: datetime) -> bytes:
    wall = _microseconds(value.replace(tzinfo=None) - _MIDNIGHT)
    offset = value.utcoffset()
    if offset is None:
        return _eight(_NAIVE, _BIAS + wall)
    return _eight(_AWARE, _BIAS + wall - _microseconds(offset))


def _encode_time(value: time) -> bytes:
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    offset = value.utcoffset()
    if offset is None:
        return _eight(_TIME, _BIAS + seconds * 1_000_000 + value.microsecond)
    # Python takes whole seconds of an offset.
    seconds -= offset.days * 86400 + offset.seconds
    return _eight(_AWARE_TIME, _BIAS + seconds * 1_000_000 + value.microsecond)


def _encode_timedelta(value: timedelta) -> bytes:
    return b"\x40" + (_DELTA_BIAS + _microseconds(value)).to_bytes(10)


_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    bool: lambda value: _TRUE if value else _FALSE,
    Decimal: encode_number,
    bytes: _encode_bytes,
    date: lambda value: _four(_DATE, value.toordinal()),
    datetime: _encode_datetime,
    time: _encode_time,
    timedelta: _encode_timedelta,
    UUID: lambda value: b"\x48" + value.bytes,
    type(MISSING): lambda _: _MISSING,
    **dict.fromkeys((list, tuple, set, frozenset, dict), lambda _: OTHER),
}
_ALWAYS_CANONICAL = frozenset({str, bool, bytes, date, timedelta, UUID})


def _encode_subclass(value: Any) -> bytes:
    """The encoding of an instance of a subclass: as if it were of the plain class.

    A value of a registered type is OTHER. A program that has not registered the type must give it
    the same entry, and knows nothing of the class.
    """
    if registered_type(type(value)) is not None:
        return OTHER
    try:
        if isinstance(value, str):
            return encode(str.__str__(value))
        if isinstance(value, int):
            return encode(int.__int__(value))
        if isinstance(value, float):
            return encode(float.__float__(value))
        for plain in (Decimal, bytes, datetime, date, time, timedelta, UUID):
            if isinstance(value, plain):
                return _ENCODERS[plain](value)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # a class of the user's own may raise anything
        return OTHER
    return OTHER


def _decode(encoded: bytes, is_float: bool) -> Any:
    tag, body = encoded[0], encoded[1:]
    match tag:
        case 0x10 | 0x11:
            return decode_number(encoded, is_float)
        case 0x08:
            return math.nan
        case 0x18:
            return _unescaped(body)
        case 0x20:
            return _unescaped(body).decode("utf-8", "surrogatepass")
        case 0x28:
            return date.fromordinal(int.from_bytes(body))
        case 0x30:
            return _MIDNIGHT + timedelta(microseconds=int.from_bytes(body) - _BIAS)
        case 0x38:
            return (_MIDNIGHT + timedelta(microseconds=int.from_bytes(body) - _BIAS)).time()
        case 0x40:
            return timedelta(microseconds=int.from_bytes(body) - _DELTA_BIAS)
        case 0x48:
            return UUID(bytes=body)
    if tag in _CONSTANTS:
        return _CONSTANTS[tag]
    raise ValueError("the value cannot be decoded")


_CONSTANTS = {2: MISSING, 3: None, 4: False, 5: True}


def _unescaped(body: bytes) -> bytes:
    if body[-1]:
        raise ValueError("the value is cut")
    return body[:-2].replace(b"\0\xff", b"\0")


def _corrupt(raw: bytes) -> CorruptValueError:
    return CorruptValueError(f"{raw[:40]!r} is no value of an index: it is damaged")
