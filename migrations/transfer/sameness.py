"""Whether two values are the same, with the same types in all of their parts."""

import struct
from contextlib import suppress
from datetime import datetime, time, timezone
from decimal import Decimal
from math import isnan
from typing import Any
from zoneinfo import ZoneInfo

from stones.formats.serializers import serializer


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and so are the types of all their parts.

    The order of the keys of a dict counts, as do the zone and fold of a time, the zeros of a
    Decimal and the sign of zero. Each nan is the same. Of objects of the user's classes, `==`
    decides, or their plain form.

    >>> same({'a': (1, 2.0)}, {'a': (1, 2.0)}), same(1, True), same([1], (1,))
    (True, False, False)
    >>> same(float('nan'), float('nan')), same(0.0, -0.0), same(Decimal('1'), Decimal('1.0'))
    (True, False, False)
    """
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        kind = type(left)
        if kind is not type(right):
            return False
        if kind in _PLAIN:
            if left != right:
                return False
        elif kind is float:
            differ = struct.pack("d", left) != struct.pack("d", right)
            if differ and not (isnan(left) and isnan(right)):
                return False
        elif kind in _TOLD_APART:
            if _typed(left) != _typed(right):
                return False
        elif kind in (list, tuple):
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
        elif kind is dict:
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
            waiting += zip(left.values(), right.values(), strict=True)
        elif kind in (set, frozenset):
            if len(left) != len(right) or {_typed(part) for part in left} != {
                _typed(part) for part in right
            }:
                return False
        elif not _equal(left, right):
            return False
    return True


_PLAIN = {bool, bytes, int, str, type(None)}
"""Values of these types are the same if they are equal."""
_TOLD_APART = {complex, datetime, Decimal, time}
"""Values of these types may be equal, and not be the same."""


def _typed(part: Any) -> Any:
    """A value that is equal to one of the same value and type only."""
    kind = type(part)
    if kind is tuple:
        return tuple, tuple(map(_typed, part))
    if kind is frozenset:
        return frozenset, frozenset(map(_typed, part))
    if kind in (float, complex, Decimal):
        return kind, repr(part)
    if kind in (datetime, time):
        zone = part.tzinfo
        # A zone of another class may have a repr that does not say which zone it is.
        instant = repr(zone) if type(zone) in (timezone, ZoneInfo) else part
        return kind, repr(part.replace(tzinfo=None)), instant
    return kind, part


def _equal(left: Any, right: Any) -> bool:
    with suppress(Exception):  # an __eq__ may raise anything
        if bool(left == right):
            return True
    plain = serializer("msgpack").encode
    with suppress(Exception):  # objects of the user's classes may have no plain form
        return plain(left) == plain(right)
    return False
