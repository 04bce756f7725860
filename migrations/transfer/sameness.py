"""Whether two values are the same, with the same types in all of their parts."""

import struct
from contextlib import suppress
from typing import Any

from stones.formats.serializers import serializer


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and so are the types of all their parts.

    The order of the keys of a dict counts. Of objects of the user's classes, `==` decides, or their
    plain form.

    >>> same({'a': (1, 2.0)}, {'a': (1, 2.0)}), same(1, True), same([1], (1,))
    (True, False, False)
    >>> same(float('nan'), float('nan')), same(0.0, -0.0)
    (True, False)
    """
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        kind = type(left)
        if kind is not type(right):
            return False
        if kind is float:
            if struct.pack("d", left) != struct.pack("d", right):
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


def _typed(part: Any) -> Any:
    """A part of a set, told from parts that are equal and of another type."""
    if type(part) is tuple:
        return tuple, tuple(map(_typed, part))
    if type(part) is frozenset:
        return frozenset, frozenset(map(_typed, part))
    return type(part), repr(part) if type(part) is float else part


def _equal(left: Any, right: Any) -> bool:
    with suppress(Exception):  # an __eq__ may raise anything
        if bool(left == right):
            return True
    plain = serializer("msgpack").encode
    with suppress(Exception):  # objects of the user's classes may have no plain form
        return plain(left) == plain(right)
    return False
