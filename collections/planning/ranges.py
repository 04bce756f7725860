"""The values that can fulfil one condition, as ranges of their ordered bytes.

`stones.collections.indexes.encoding` has the bytes. A range may hold values that do not fulfil the
condition, unless it is exact. It never lacks a value that fulfils the condition: `comparisons` says
which values these are. `plan` makes spans of index entries from the ranges.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from attrs import evolve, frozen

from stones.collections.indexes.encoding import (
    MISSING,
    OTHER,
    class_range,
    encode,
    encode_prefix,
    is_searchable,
)
from stones.collections.language.arithmetic import FloatLiteral, exact
from stones.collections.language.arrays import ARRAYS
from stones.collections.language.comparisons import Forms
from stones.collections.language.failures import attempt
from stones.collections.records.stored_forms import ValueOfForms
from stones.stores.spans import after_prefix

MAX_RANGES: Final = 10_000
"""A condition that has more ranges is answered without an index."""


@frozen
class ValueRange:
    """The values with low <= encoding < high."""

    low: bytes
    high: bytes
    exact: bool = True
    """Whether every value in it fulfils the condition, unless its entry is cut."""
    is_point: bool = False
    """Whether `low` is the encoding of the only value in it."""


Ranges = tuple[ValueRange, ...]


def condition_ranges(op: str, value: Any, *, each: bool = False) -> Ranges | None:
    """The values that can fulfil a condition `op value`, in order. None if no range is known.

    `op` and `value` are those of a `normal_form.Leaf`. `each` is for an index of the elements of an
    array: the ranges are those of one element. Its `OTHER` also stands for what is no array.

    >>> [found, other] = condition_ranges('=~', '^City 7')
    >>> found.low, found.exact, other.exact
    (b' City 7', True, False)
    >>> [point, other] = condition_ranges('==', 7)
    >>> point.is_point, other.exact
    (True, False)
    >>> condition_ranges('!=', 7) is None
    True
    """
    find = _FINDERS.get(op)
    found = None if find is None else find(op, value)
    return _union((found, (_OTHER,))) if each and found else found


def fitted(found: ValueRange, limit: int) -> ValueRange:
    """The range of the entries of these values, which are cut to `limit` bytes."""
    room = limit - 3  # a cut encoding has at least this much of the encoding that was cut
    if len(found.low) <= room and len(found.high) <= room:
        return found
    return ValueRange(found.low[:room], _above(found.high[:room]), exact=False)


def point(encoded: bytes, *, exact: bool = True) -> ValueRange:
    """The range of one encoding."""
    return ValueRange(encoded, _above(encoded), exact, is_point=True)


def literal_prefix(pattern: str) -> tuple[str, bool] | None:
    """What every text begins with that a regular expression finds. None if that is not known.

    Also tells whether every text that begins so is found.

    >>> literal_prefix('^abc'), literal_prefix('^ab*c'), literal_prefix('abc')
    (('abc', True), ('a', False), None)
    >>> literal_prefix('^a|b'), literal_prefix(r'^1[.]5'), literal_prefix(r'^1\\.5')
    (None, ('1', False), ('1.5', True))
    """
    if not pattern.startswith("^") or _has_alternatives(pattern):
        return None
    literal: list[str] = []
    at = 1
    while at < len(pattern):
        found = _LITERAL.match(pattern, at)
        if found is None:
            break
        literal.append(found[1] or found[2])
        at = found.end()
    rest = pattern[at:]
    if rest[:1] in ("*", "?", "{"):
        literal = literal[:-1]
    return ("".join(literal), not rest) if literal else None


# -- one function for each operator ------------------------------------------------------------


def _equal(_: str, value: Any) -> Ranges | None:
    return _equal_to(value)


def _equal_to(value: Any) -> Ranges | None:
    kind = type(value)
    if value is None or kind is bool:  # compared by identity
        return (point(encode(value)),)
    if kind is Forms:
        return _union(map(_equal_to, value.forms))
    if kind is ValueOfForms:
        return _equal_to_forms(value)
    if kind is object or isinstance(value, (*ARRAYS, dict)):
        return (_OTHER,)
    if not _is_plain(value):
        return None
    if encode(value) == _NAN:
        return (_OTHER,)
    if kind is FloatLiteral:
        bounds = {*_bounds_of_literal(value)}
        points = [point(bound, exact=len(bounds) == 1) for bound in sorted(bounds)]
        return *points, _OTHER
    return point(encode(value), exact=_is_exact(value)), _OTHER


def _ordered(op: str, value: Any) -> Ranges | None:
    kind = type(value)
    if value is None or kind is bool:
        return () if op in ("<", ">") else (point(encode(value)),)
    if kind is Forms:
        return _union(_ordered(op, form) for form in value.forms)
    if kind is ValueOfForms:
        ordered = _ordered(op, value.stored)
        return ordered if op in ("<", ">") else _union((ordered, _equal_to_forms(value)))
    if kind is object or isinstance(value, (*ARRAYS, dict)):  # equal to arrays and dicts at most
        return () if op in ("<", ">") else (_OTHER,)
    if not _is_plain(value):
        return None
    if encode(value) == _NAN:
        return (_OTHER,)
    low, high = _bounds_of_literal(value) if kind is FloatLiteral else 2 * (encode(value),)
    first, last = class_range(low)
    if low != high:  # from `low` to `high`, a float is compared otherwise than a Decimal
        border = ValueRange(low, _above(high), exact=False)
        if op in ("<", "<="):
            return ValueRange(first, low), border, _OTHER
        return border, ValueRange(_above(high), last), _OTHER
    ranges = {
        "<": ValueRange(first, low),
        "<=": ValueRange(first, _above(low)),
        ">": ValueRange(_above(low), last),
        ">=": ValueRange(low, last),
    }
    return evolve(ranges[op], exact=_is_exact(value)), _OTHER


def _member(_: str, values: Any) -> Ranges | None:
    if not isinstance(values, ARRAYS):
        return None
    return _union(map(_equal_to, values))


def _pattern(_: str, pattern: Any) -> Ranges | None:
    found = literal_prefix(pattern) if isinstance(pattern, str) else None
    if found is None:
        return None
    low = encode_prefix(found[0])
    return ValueRange(low, _above(low), exact=found[1]), _OTHER


def _equal_to_forms(value: ValueOfForms) -> Ranges:
    """All values that may be read as the same value as this one.

    Values of the type that is stored now are compared as they are, the others are read first.
    """
    stored = value.stored
    singles = [each for each in (MISSING, None, False, True) if attempt(value.__eq__, each, False)]
    if not _is_plain(stored) or isinstance(stored, bool):
        return tuple(point(encode(each)) for each in singles) + _others(b"", b"")
    encoded = encode(stored)
    first, last = class_range(encoded)
    same = (point(encoded, exact=False),)
    return (
        _union((tuple(point(encode(each)) for each in singles), _others(first, last), same)) or ()
    )


def _others(first: bytes, last: bytes) -> Ranges:
    """All values but those in the class between `first` and `last`, and missing, None and bool."""
    after_bool = _above(encode(True))
    if first <= after_bool:
        return (ValueRange(max(last, after_bool), b"\xff", exact=False),)
    return ValueRange(after_bool, first, exact=False), ValueRange(last, b"\xff", exact=False)


# -- below -------------------------------------------------------------------------------------

# A subclass may compare in its own way.
_PLAIN = frozenset(
    {bool, int, float, FloatLiteral, Decimal, str, bytes, date, datetime, time, timedelta, UUID}
)


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN and is_searchable(value)


def _is_exact(value: Any) -> bool:
    # Python compares aware datetimes of two zones in another way where clocks change.
    return not isinstance(value, datetime | time) or value.tzinfo is None


def _bounds_of_literal(literal: FloatLiteral) -> tuple[bytes, bytes]:
    """The lowest and the highest number that a literal stands for: a float, and a Decimal."""
    as_float, as_decimal = encode(float(literal)), encode(exact(literal))
    return min(as_float, as_decimal), max(as_float, as_decimal)


def _above(encoded: bytes) -> bytes:
    above = after_prefix(encoded)
    return b"\xff" if above is None else above


_NAN = encode(float("nan"))
_MISSING = point(encode(MISSING))
_OTHER = point(OTHER, exact=False)
_FINDERS: Mapping[str, Callable[[str, Any], Ranges | None]] = {
    **dict.fromkeys(("==", "contains"), _equal),
    **dict.fromkeys(("<", "<=", ">", ">="), _ordered),
    "in": _member,
    "=~": _pattern,
    "missing": lambda *_: (_MISSING, _OTHER),
    "exists": lambda *_: (ValueRange(_MISSING.high, OTHER), _OTHER),
}


def _union(parts: Iterable[Ranges | None]) -> Ranges | None:
    """The values in any of these ranges, as ranges in order that have no value in common."""
    found: set[ValueRange] = set()
    for part in parts:
        if part is None:
            return None
        found.update(part)
        if len(found) > MAX_RANGES:
            return None
    return disjoint(sorted(found, key=lambda each: (each.low, each.high)))


def disjoint(ranges: Sequence[ValueRange]) -> Ranges:
    """Sorted ranges, with one inexact range in the place of those that overlap."""
    merged: list[ValueRange] = []
    for each in ranges:
        if merged and each.low < merged[-1].high:
            last = merged[-1]
            merged[-1] = ValueRange(last.low, max(last.high, each.high), exact=False)
        else:
            merged.append(each)
    return tuple(merged)


# A letter that stands for itself, or a backslash and a sign that stands for itself.
_LITERAL = re.compile(r"([^\\.^$*+?{}\[\]|()])|\\([^A-Za-z0-9])", re.DOTALL)
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def _has_alternatives(pattern: str) -> bool:
    """Whether there may be a `|` outside of all groups."""
    depth = 0
    for part in _PART.findall(pattern):
        depth += (part == "(") - (part == ")")
        if part == "|" and depth == 0:
            return True
    return False
