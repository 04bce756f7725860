"""Values as CBOR (RFC 8949), with the registered tag for a type if there is one.

    0           a datetime that RFC 3339 can hold        2, 3    a large int
    4           a finite Decimal of up to 640 digits     37      a UUID
    258         a set                                    1004    a date (RFC 8943)
    27          a value of another type, as [name, value], or ["type", name, packed value] if the
                type is registered: see `stones.formats.tags`

The numbers are from https://www.iana.org/assignments/cbor-tags. Decoding refuses other tags: stones
never writes them, and cbor2 would make regular expressions and cycles of some.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from cbor2 import CBORTag, dumps, loads

from .tags import BY_NAME, BY_TYPE, MAX_DEPTH, REGISTERED

_DECIMAL, _OBJECT, _SET = 4, 27, 258
_READ_BY_CBOR2 = frozenset({0, 2, 3, 37, _SET, 1004})

_AS_IS: frozenset[type] = frozenset({str, int, float, bool, type(None), bytes, date, UUID})
_MINUTE = timedelta(minutes=1)

# The lowest limit that a program can set for the digits of decimal integers: see `json_serializer`.
_DIGITS = 640

# An array, a map and a tag take a level each. A Decimal takes three: 4([-2, 2(bytes)]).
_ROOM = MAX_DEPTH - 3


def encode(value: Any) -> bytes:
    """The CBOR bytes. Raises SerializerError, without a path, and RecursionError."""
    try:
        return dumps(value if _is_plain(value, _ROOM) else _tagged(value, _ROOM, _AS_IS))
    except UnicodeEncodeError:
        # The value contains a lone surrogate, which CBOR's text cannot hold: look at each str.
        return dumps(_tagged(value, _ROOM, _AS_IS - {str}))


def decode(raw: bytes) -> Any:
    """The value. Raises CBORDecodeError and other errors on bytes that `encode` did not make."""
    return loads(raw, semantic_decoders=_TAGS)


def _is_plain(value: Any, room: int) -> bool:
    """Whether a dict or list can be written as it is. This takes half the time of a copy.

    `room` is how many levels the value may have.
    """
    if room == 0:
        return False
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) not in _AS_IS:
                return False
        value = value.values()
    elif kind is not list:
        return False
    for item in value:
        if type(item) in _AS_IS:
            continue
        if not _is_plain(item, room - 1):
            return False
    return True


def _tagged(value: Any, room: int, as_is: frozenset[type], as_key: bool = False) -> Any:
    """A copy in which each part that CBOR has no form for has a tag.

    `as_key` says that it is for a key of a dict or an element of a set. There cbor2 makes tuples of
    arrays. So a list, dict or set has a tag: a registered type may have packed one.
    `room` is how many levels the copy may have. The code loops, because in Python 3.11 a
    comprehension takes a second frame for each level.
    """
    kind = type(value)
    if kind in as_is or (kind in _AS_IS_IF and _AS_IS_IF[kind](value)):
        return value
    if room <= 0:
        raise RecursionError
    if kind is list and not as_key:
        items = value.copy()
        for number, item in enumerate(value):
            items[number] = _tagged(item, room - 1, as_is)
        return items
    if kind is dict and not as_key:
        mapping = {}
        for key, item in value.items():
            mapping[_tagged(key, room - 1, as_is, True)] = _tagged(item, room - 1, as_is)
        return mapping
    if kind is set and not as_key:
        if room <= 1:
            raise RecursionError
        items = list(value)
        for number, item in enumerate(items):
            items[number] = _tagged(item, room - 2, as_is, True)
        return CBORTag(_SET, items)
    tag = BY_TYPE.get(kind, REGISTERED)
    packed = tag.pack(value)
    if type(packed) is list:
        if room <= 2:
            raise RecursionError
        is_registered = tag.code == REGISTERED.code
        for number, item in enumerate(packed):
            packed[number] = _tagged(item, room - 2 - (not is_registered), as_is, as_key)
        # Tuples: this may be the key of a dict, and a tag of hashable parts is hashable.
        parts = packed if is_registered else [tuple(packed)]
        return CBORTag(_OBJECT, (tag.name, *parts))
    return CBORTag(_OBJECT, (tag.name, _tagged(packed, room - 2, as_is, as_key)))


def _is_rfc3339(moment: datetime) -> bool:
    # A ZoneInfo would come back as its offset, and an offset with a name would lose the name.
    zone = moment.tzinfo
    if type(zone) is not timezone or moment.fold:
        return False
    offset = zone.utcoffset(None)
    return not offset % _MINUTE and zone.tzname(None) == timezone(offset).tzname(None)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_short(number: Decimal) -> bool:
    # nan and infinity would come back as float, -0 as 0. CBOR's mantissa is a binary number. The
    # time to convert it grows with the square of its digits, so a long number stays decimal text.
    return (
        number.is_finite()
        and (bool(number) or not number.is_signed())
        and len(number.as_tuple().digits) <= _DIGITS
    )


# Types that cbor2 writes and reads back itself, for the values that pass this test.
_AS_IS_IF: dict[type, Callable[[Any], bool]] = {
    datetime: _is_rfc3339,
    Decimal: _is_short,
    str: _is_utf8,
}


def _untag(packed: Any, _immutable: bool) -> Any:
    try:
        name, value = packed
    except ValueError:
        name, *value = packed  # it has three parts
        if name != REGISTERED.name:
            raise
    tag = BY_NAME.get(name)
    if tag is None:
        raise ValueError(f"{name!r} is not a type that this version of stones knows")
    return tag.unpack(value)


def _decimal(parts: Any, _immutable: bool) -> Decimal:
    exponent, mantissa = parts
    if type(exponent) is not int or type(mantissa) is not int:
        raise ValueError("a decimal fraction is made of two integers")
    return Decimal(f"{mantissa}E{exponent}")  # Python refuses a mantissa of too many digits


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """The decoder of each tag. cbor2 decodes a tag itself if the lookup raises KeyError."""

    def __missing__(self, number: int) -> Any:
        if number in _READ_BY_CBOR2:
            raise KeyError(number)
        raise ValueError(f"stones does not write the tag {number}")


_TAGS = _Tags({_OBJECT: _untag, _DECIMAL: _decimal})
