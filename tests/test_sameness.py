"""Whether two values are the same: what a copy compares, and what it must not take for equal."""

from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from attrs import define
from hypothesis import given

from stones import JsonFileStore, MemoryStore, copy
from stones.formats.serializers import SAFE, serializer
from stones.migrations.transfer.sameness import same

from .test_serializers import values

NAN = float("nan")
NEGATIVE_NAN = float("inf") - float("inf")
PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2020, 6, 1, 12, tzinfo=UTC)
LATE = datetime(2020, 10, 25, 2, 30, tzinfo=PARIS)


class Text(str):
    __slots__ = ()


class Color(Enum):
    RED = 1
    BLUE = 2


class Level(IntEnum):
    LOW = 1


@define
class Point:
    x: int
    y: float = 0.0


class Plain:
    """An object that is equal to itself only."""


class Raises:
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


class Berlin(tzinfo):
    """A zone of the user's own, whose repr has its address."""

    def utcoffset(self, _):
        return timedelta(hours=1)


def deep(depth=100_000, kind=list):
    value = kind()
    for _ in range(depth):
        value = kind((value,))
    return value


PLAIN = Plain()
SAME = [
    (None, None),
    (1 << 5000, 1 << 5000),
    (NAN, -NAN),
    (NEGATIVE_NAN, abs(NEGATIVE_NAN)),
    (complex(0, NAN), complex(0, NAN)),
    (Decimal("NaN"), Decimal("NaN")),
    (Decimal("sNaN"), Decimal("sNaN")),
    (Decimal("1.00"), Decimal("1.00")),
    ([NAN, (NAN,)], [NAN, (NAN,)]),
    ({NAN}, {float("nan")}),
    ({1, (2, frozenset({3.0}))}, {(2, frozenset({3.0})), 1}),
    ({"a": 1, (1, 2): {}}, {"a": 1, (1, 2): {}}),
    (NOON, datetime(2020, 6, 1, 12, tzinfo=UTC)),
    (LATE, LATE.replace(tzinfo=ZoneInfo.no_cache("Europe/Paris"))),
    (datetime(2020, 1, 1, tzinfo=Berlin()), datetime(2020, 1, 1, tzinfo=Berlin())),
    (time(1, 2, tzinfo=UTC), time(1, 2, tzinfo=UTC)),
    (date(2020, 1, 1), date(2020, 1, 1)),
    (timedelta(days=-1), timedelta(days=-1)),
    (b"a", b"a"),
    (bytearray(b"a"), bytearray(b"a")),
    (UUID(int=1), UUID(int=1)),
    (Fraction(1, 2), Fraction(2, 4)),
    (PurePosixPath("a/b"), PurePosixPath("a/b")),
    (Text("a"), Text("a")),
    (OrderedDict(a=1), OrderedDict(a=1)),
    (Color.RED, Color.RED),
    ([Level.LOW], [Level.LOW]),
    (Point(1), Point(1)),
    (PLAIN, PLAIN),
    (np.array([1, 2]), np.array([1, 2])),
    (np.array([NAN]), np.array([NAN])),
    (deep(), deep()),
    (deep(kind=tuple), deep(kind=tuple)),
]
DIFFERENT = [
    (None, False),
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    (NAN, 0.0),
    (complex(0, 0.0), complex(0, -0.0)),
    (1, Decimal(1)),
    (Decimal("1.0"), Decimal("1.00")),
    (Decimal(0), Decimal("-0")),
    ([1], (1,)),
    ([1], [1, 2]),
    ((1, (2, [3])), (1, (2, [3.0]))),
    ({1}, frozenset({1})),
    ({1}, {True}),
    ({1}, {1, 2}),
    ({0.0}, {-0.0}),
    ({(1, 2)}, {(1, 2.0)}),
    ({(1, frozenset({2}))}, {(1, frozenset({2.0}))}),
    ({Decimal("1.0")}, {Decimal("1.00")}),
    ({NOON}, {NOON.astimezone(PARIS)}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: "a"}, {True: "a"}),
    ({"a": 1}, {"a": 1.0}),
    (NOON, NOON.replace(tzinfo=None)),
    (NOON, NOON.astimezone(PARIS)),
    (NOON, NOON.astimezone(timezone(timedelta(0), "zero"))),
    (LATE, LATE.replace(fold=1)),
    (datetime(2020, 1, 1), datetime(2020, 1, 1, fold=1)),
    (datetime(2020, 1, 1), date(2020, 1, 1)),
    (datetime(2020, 1, 1, tzinfo=Berlin()), datetime(2020, 1, 2, tzinfo=Berlin())),
    (time(1, tzinfo=UTC), time(1, tzinfo=timezone(timedelta(0), "zero"))),
    (time(1), time(1, fold=1)),
    ("a", b"a"),
    (b"a", bytearray(b"a")),
    (Text("a"), "a"),
    (OrderedDict(a=1), {"a": 1}),
    (Color.RED, Color.BLUE),
    (Level.LOW, 1),
    (Point(1), Point(2)),
    (Plain(), Plain()),
    (Raises(), Raises()),
    (np.array([1, 2]), np.array([1, 3])),
]


def shown(value):
    return str(value)[:20] if type(value) in (int, str, dict, set, datetime) else None


@pytest.mark.parametrize(("one", "other"), SAME, ids=shown)
def test_these_values_are_the_same(one, other):
    assert same(one, other)
    assert same(other, one)
    assert same([one], [other])


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=shown)
def test_these_values_are_not_the_same(one, other):
    assert not same(one, other)
    assert not same(other, one)
    assert not same({"a": [one]}, {"a": [other]})


@given(values)
def test_a_value_is_what_a_serializer_gives_back_of_it(value):
    for name in SAFE:
        tool = serializer(name)
        assert same(value, tool.decode(tool.encode(value)))


def test_a_nan_of_any_sign_is_copied_to_another_serializer(tmp_path):
    store = MemoryStore({"a": NEGATIVE_NAN}, serialize="msgpack")
    with JsonFileStore(tmp_path / "there.json", serialize="json") as target:
        copy(store, target)
        assert target["a"] != target["a"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Decimal("1.0"), Decimal("1.00")),
        (NOON, NOON.astimezone(PARIS)),
        (LATE, LATE.replace(fold=1)),
    ],
)
def test_an_equal_value_that_is_not_the_same_is_brought_over(before, after):
    store, target = MemoryStore({"a": before}, serialize="msgpack"), MemoryStore(serialize="json")
    copy(store, target)
    store["a"] = after
    assert copy(store, target, replace=True).written > 0
    assert repr(target["a"]) == repr(after)
