"""The primary key as an index: conditions on the key fields, as spans of stored keys.

The records are in the order of their keys, which `stones.collections.keys` writes. A condition on
the key field, or on the first parts of a key that is a tuple, means a span of keys. No span lacks a
record that fulfils the condition: `comparisons` says which records these are.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, get_args, get_origin
from uuid import UUID

from attrs import frozen

from stones.collections.indexes.encoding import is_searchable
from stones.collections.keys import KeyCodec, named_annotation
from stones.collections.language.arithmetic import FloatLiteral
from stones.collections.language.arrays import ARRAYS
from stones.collections.language.comparisons import Forms
from stones.collections.language.normal_form import Leaf, Step
from stones.errors import InvalidKeyError
from stones.stores.spans import after_prefix

from .ranges import MAX_RANGES, literal_prefix

Path = tuple[Step, ...]


@frozen
class KeyRange:
    """The keys with start <= key < stop, without the prefix of the collection."""

    start: bytes
    stop: bytes | None
    """None: no upper bound."""
    exact: bool = True
    """Whether every record in it fulfils the conditions that it was made of."""
    is_point: bool = False
    """Whether `start` is the only key in it."""


@frozen
class PartRange:
    """Values of one part of a key: a point, a range, or the texts with a prefix."""

    low: Any = None
    """None: no lower bound."""
    high: Any = None
    has_low: bool = True
    """Whether `low` is in the range."""
    has_high: bool = True
    exact: bool = True
    prefix: str | None = None
    """What the texts begin with. Then there are no bounds."""

    @property
    def is_point(self) -> bool:
        """Whether the range has one value."""
        return self.low is not None and self.low == self.high


EVERY_VALUE: Final = PartRange()


@frozen
class PrimaryKey:
    """Which paths of a record are the parts of its key, and how they are written."""

    codec: KeyCodec[Any]
    paths: tuple[Path, ...]
    kinds: tuple[type, ...]
    """The type of each part."""

    @property
    def is_sorted(self) -> bool:
        """Whether keys and `indexes.encoding` have the same order.

        Not so for datetimes: keys mix naive and aware ones.
        """
        return datetime not in self.kinds

    def ranges(
        self, conditions: Sequence[Leaf]
    ) -> tuple[tuple[KeyRange, ...], tuple[Leaf, ...]] | None:
        """The keys of records that can fulfil these, and the conditions that were used for it.

        Returns None if no condition limits the keys.
        """
        starts: list[tuple[tuple[Any, ...], bool]] = [((), True)]
        used: list[Leaf] = []
        for place, (path, kind) in enumerate(zip(self.paths, self.kinds, strict=True)):
            found = [
                (leaf, parts)
                for leaf in conditions
                if leaf.path == path and (parts := part_ranges(kind, leaf)) is not None
            ]
            points = [each for each in found if all(part.is_point for part in each[1])]
            if points:
                leaf, parts = min(points, key=lambda each: len(each[1]))
                if len(starts) * len(parts) > MAX_RANGES:
                    break
                used.append(leaf)
                starts = [
                    ((*start, part.low), exact and part.exact)
                    for start, exact in starts
                    for part in parts
                ]
                if place + 1 == len(self.paths):
                    return self._points(starts), tuple(used)
                continue
            if found:
                last, leaves = _one_range(found)
                if len(starts) * len(last) <= MAX_RANGES:
                    used += leaves
                    return self._ranges(starts, last), tuple(used)
            break
        return (self._ranges(starts, [EVERY_VALUE]), tuple(used)) if used else None

    def _points(self, starts: Iterable[tuple[tuple[Any, ...], bool]]) -> tuple[KeyRange, ...]:
        found = {}
        for parts, exact in starts:
            try:
                key = self._encode(parts)
            except InvalidKeyError:  # a lone surrogate, a year that is not in UTC: no record has it
                continue
            found[key] = KeyRange(key, key + b"\0", exact, is_point=True)
        return tuple(found[key] for key in sorted(found))

    def _ranges(
        self, starts: Iterable[tuple[tuple[Any, ...], bool]], parts: Sequence[PartRange]
    ) -> tuple[KeyRange, ...]:
        found = set()
        for start, exact in starts:
            for part in parts:
                try:
                    begin, end = self._span(start, part)
                except InvalidKeyError:  # the bound cannot be written, so all values are taken
                    try:
                        begin, end = self._span(start, EVERY_VALUE)
                    except InvalidKeyError:
                        continue
                    exact = False
                if end is None or begin < end:
                    found.add(KeyRange(begin, end, exact and part.exact))
        return tuple(sorted(found, key=lambda each: each.start))

    def _span(self, start: tuple[Any, ...], part: PartRange) -> tuple[bytes, bytes | None]:
        """The keys whose first parts are `start`, and whose next part is in a range."""
        before = self._encode(start) if start else b""
        begin, end = before, after_prefix(before) if before else None
        if part.prefix is not None:
            begin = self._encode((*start, part.prefix))
            if self.codec.encode_parts is not None:
                begin = begin[:-1]  # without the end of the text
            return begin, after_prefix(begin)
        if part.low is not None:
            low = self._encode((*start, part.low))
            begin = low if part.has_low else self._above(low)
        if part.high is not None:
            high = self._encode((*start, part.high))
            end = self._above(high) if part.has_high else high
        return begin, end

    def _encode(self, parts: tuple[Any, ...]) -> bytes:
        encode = self.codec.encode_parts
        return self.codec.encode(parts[0]) if encode is None else encode(parts)

    def _above(self, encoded: bytes) -> bytes:
        """The lowest bytes above all keys with these parts."""
        if self.codec.encode_parts is None:
            return encoded + b"\0"
        return after_prefix(encoded) or b"\xff" * (len(encoded) + 1)


def primary_key(fields: Sequence[str], codec: KeyCodec[Any]) -> PrimaryKey | None:
    """The primary key of records with these key fields. None if there are none.

    >>> from stones.collections.keys import key_codec
    >>> key = primary_key(['city', 'day'], key_codec(tuple[str, int]))
    >>> [found], used = key.ranges([Leaf(('day',), '>', 7), Leaf(('city',), '==', 'Rome')])
    >>> found.start, found.stop, len(used)
    (b'Rome\\x00\\x81\\x08', b'Rome\\x01', 2)
    """
    if not fields:
        return None
    annotation = named_annotation(codec.name)
    if get_origin(annotation) is not tuple:
        return PrimaryKey(codec, ((fields[0],),), (annotation,))
    parts = get_args(annotation)
    paths: list[Path] = [(name,) for name in fields]
    if len(fields) == 1:  # one field that holds a tuple
        paths = [(fields[0], place) for place in range(len(parts))]
    kinds = [part if isinstance(part, type) and part in _KINDS else tuple for part in parts]
    return PrimaryKey(codec, tuple(paths), tuple(kinds))


def part_ranges(kind: type, leaf: Leaf) -> tuple[PartRange, ...] | None:
    """The values of this type that can fulfil a condition. None if that is not known.

    >>> part_ranges(int, Leaf(('id',), '>', 4.5))
    (PartRange(low=5, high=None, has_low=True, has_high=True, exact=True, prefix=None),)
    >>> part_ranges(int, Leaf(('id',), '==', 'x'))
    ()
    """
    op, value = leaf.op, leaf.value
    if kind is tuple:
        return None
    if op == "in":
        return _union(kind, "==", value) if isinstance(value, ARRAYS) else None
    if type(value) is Forms:
        return _union(kind, op, value.forms)
    if op == "=~":
        found = literal_prefix(value) if kind is str and isinstance(value, str) else None
        return None if found is None else (PartRange(prefix=found[0], exact=found[1]),)
    if op not in _BOUNDS:
        return None
    if value is None or type(value) in _NEVER or type(value) is object:
        return ()
    if type(value) not in _COMPARED or not is_searchable(value):
        return None
    if kind is int and type(value) in _NUMBERS:
        return _numbers(op, float(value) if type(value) is FloatLiteral else value)
    if kind is not type(value):  # it equals no value of this type, and has no order with them
        return ()
    if kind is datetime:
        return (_BOUNDS[op](value, False),)
    return (_BOUNDS[op](value, True),)


def _union(kind: type, op: str, values: Iterable[Any]) -> tuple[PartRange, ...] | None:
    ranges: list[PartRange] = []
    for value in values:
        found = part_ranges(kind, Leaf((), op, value))
        if found is None:
            return None
        ranges += found
    # Ranges of an order may overlap, and a key is read once.
    if len(ranges) > 1 and not all(each.is_point for each in ranges):
        return None
    return tuple(ranges)


def _numbers(op: str, value: float | Decimal) -> tuple[PartRange, ...]:
    """The ints that compare so with a number."""
    if type(value) is not int:
        if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
            return ()
        if abs(Decimal(value)) >= _LARGER_THAN_ANY_KEY:
            is_all = op in ("<", "<=") if value > 0 else op in (">", ">=")
            return (EVERY_VALUE,) if is_all else ()
        if value != int(value):
            if op == "==":
                return ()
            is_upper = op in ("<", "<=")
            op, value = ("<=", math.floor(value)) if is_upper else (">=", math.ceil(value))
    return (_BOUNDS[op](int(value), True),)


def _one_range(
    found: Sequence[tuple[Leaf, tuple[PartRange, ...]]],
) -> tuple[Sequence[PartRange], list[Leaf]]:
    """One range for the next part: of a lower and an upper bound, or of one condition."""
    empty = next((each for each in found if not each[1]), None)
    if empty is not None:
        return (), [empty[0]]
    single = [(leaf, parts[0]) for leaf, parts in found if len(parts) == 1]
    lows = [each for each in single if each[1].low is not None]
    highs = [each for each in single if each[1].high is not None and each[1].low is None]
    if lows and highs:
        (low_leaf, low), (high_leaf, high) = lows[0], highs[0]
        both = PartRange(low.low, high.high, low.has_low, high.has_high, low.exact and high.exact)
        return [both], [low_leaf, high_leaf]
    leaf, parts = found[0]
    return parts, [leaf]


_BOUNDS: Mapping[str, Any] = {
    "==": lambda value, exact: PartRange(value, value, exact=exact),
    "<": lambda value, exact: PartRange(None, value, has_high=False, exact=exact),
    "<=": lambda value, exact: PartRange(None, value, exact=exact),
    ">": lambda value, exact: PartRange(value, None, has_low=False, exact=exact),
    ">=": lambda value, exact: PartRange(value, None, exact=exact),
}
_KINDS = frozenset({int, str, bytes, date, datetime, UUID})
_NUMBERS = frozenset({int, float, FloatLiteral, Decimal})
_LARGER_THAN_ANY_KEY = Decimal("1e1300")  # the largest int of 511 bytes has 1,231 digits
_NEVER = frozenset({bool, list, tuple, set, frozenset, dict})
_COMPARED = _KINDS | _NUMBERS
