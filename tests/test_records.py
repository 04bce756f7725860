"""Records: an attrs class to a plain dict and back, with whatever does not fit refused."""

import collections
import dataclasses
import inspect
import pydoc
import re
import subprocess
import sys
import typing
from collections import abc
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag, FlagBoundary, IntEnum, IntFlag, StrEnum, auto
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Self,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attr
import attrs
import pytest
import typing_extensions
from attrs import Factory, define, field, frozen
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from stones.collections.records.record_type import RecordType, key, record_type
from stones.errors import CollectionError, RecordError
from stones.formats.messages import show_value
from stones.formats.serializers import serializer

ROOT = Path(__file__).parent.parent


@define
class City:
    name: str
    zip: str = "0000"


@frozen
class Point:
    x: int
    y: int


@define
class Cat:
    name: str


@define
class Dog:
    name: str
    tricks: list[str] = field(factory=list)


@define
class Puppy(Dog):
    weeks: int = 0


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mood(StrEnum):
    GOOD = auto()


class Right(Flag):
    READ = auto()
    WRITE = auto()


class Bits(IntFlag):
    ONE = 1
    TWO = 2


class Planet(Enum):
    EARTH = (5.97, 6378)


class Listed(Enum):
    SOME = [1, 2]  # noqa: RUF012 - what cannot be hashed


class Picky(Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise KeyError(value)


class Pair(NamedTuple):
    x: int
    y: int


class Outside(Enum):
    """The values are of subclasses. The members come back, so the values may be plain."""

    LOW = Level.LOW
    PAIR = Pair(1, 2)


@dataclasses.dataclass
class Data:
    a: int


class Text(str):
    __slots__ = ()


class Moment(datetime):
    """As some libraries have it: with more than a datetime has, or with just that."""

    nanoseconds = 0

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.nanoseconds == getattr(other, "nanoseconds", 0)

    __hash__ = datetime.__hash__


class NoMoment(datetime):
    """As the NaT of pandas."""

    def date(self) -> Any:
        raise ValueError


class Today(date): ...


T = TypeVar("T")
U = TypeVar("U")
Age = NewType("Age", int)
Choice = TypeVar("Choice", int, str)
Bounded = TypeVar("Bounded", bound=City)
Hidden = TypeVar("Hidden", bound="Nowhere")  # noqa: F821
Defaulting = typing_extensions.TypeVar("Defaulting", default=Color)
Pet = TypeAliasType("Pet", Cat | Dog)
Twice = TypeAliasType("Twice", tuple[T, T], type_params=(T,))


def field_type(annotation: Any, **options: Any) -> RecordType[Any]:
    """The type of records with one field of this annotation, `x`."""
    return record_type(attrs.make_class("Holder", {"x": field(type=annotation, **options)}))


def stored(annotation: Any, value: Any) -> Any:
    """What is stored of a value; it has been loaded again, too."""
    records = field_type(annotation)
    dumped = records.dump(records.cls(value))
    found = records.load(dumped).x
    assert found == value
    return dumped["x"]


def same(one: Any, other: Any) -> bool:
    return (one == other or one != one) and type(one) is type(other)


# -- what can be stored, and as what -----------------------------------------------------------

AWARE = datetime(2024, 2, 29, 12, tzinfo=UTC)

KEPT_AS_THEY_ARE = [
    (None, None),
    (bool, True),
    (int, -(10**30)),
    (float, 1.5),
    (float, 3),
    (float, float("nan")),
    (str, "Ada"),
    (bytes, b"\0\xff"),
    (datetime, AWARE),
    (date, date(2024, 2, 29)),
    (time, time(12, 30)),
    (timedelta, timedelta(seconds=1)),
    (Decimal, Decimal("1.10")),
    (UUID, UUID(int=1)),
    (list[int], [1, 2]),
    (list, [1, "a", [None]]),
    (typing.List[int], [1]),  # noqa: UP006
    (set[str], {"a"}),
    (set, {1}),
    (frozenset[int], frozenset({1})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (tuple, (1, "a")),
    (typing.Tuple, (1, 2)),  # noqa: UP006
    (dict[str, int], {"a": 1}),
    (dict[tuple[int, int], str], {(1, 2): "a"}),
    (dict, {1: ["a"]}),
    (abc.Sequence[int], [1]),
    (abc.Sequence[int], (1,)),
    (abc.MutableSequence[int], [1]),
    (abc.Iterable[int], {1}),
    (abc.Collection[int], frozenset({1})),
    (abc.Set[int], {1}),
    (abc.Set[int], frozenset({1})),
    (abc.MutableSet[int], {1}),
    (abc.Mapping[str, int], {"a": 1}),
    (typing.Mapping[str, int], {"a": 1}),
    (int | None, None),
    (int | None, 5),
    (typing.Optional[list[int]], [1]),  # noqa: UP045
    (int | str, "a"),
    (typing.Union[int, str, None], None),  # noqa: UP007
    (int | bool, True),
    (date | datetime, AWARE),
    (float | str, 3),
    (list[int] | list[str], ["a"]),
    (list[int] | list[str], []),
    (str | list[str] | dict[str, str], {"a": "b"}),
    (Literal["a"] | None, None),
    (Literal["a", 1], 1),
    (Any, {"a": [1, (2.0, {b"x"})], None: frozenset({date.min})}),
    (object, "a"),
    (Age, 36),
    (Annotated[int, "an age"], 36),
    (list[Annotated[Age, []]], [36]),
    (Final[int], 1),
    (T, [1]),
    (Choice, "a"),
    (Any | None, None),
    (list[None], [None]),
]


@pytest.mark.parametrize(("annotation", "value"), KEPT_AS_THEY_ARE, ids=str)
def test_a_plain_value_is_stored_as_it_is(annotation, value):
    records = field_type(annotation)
    dumped = records.dump(records.cls(value))
    assert same(dumped["x"], value)
    assert same(records.load(dumped).x, value)


TOM_AND_TIM = [{"_type": "Cat", "name": name} for name in ("Tom", "Tim")]
CONVERTED = [
    (City, City("Oslo"), {"name": "Oslo", "zip": "0000"}),
    (City | None, City("Oslo"), {"name": "Oslo", "zip": "0000"}),
    (City | None, None, None),
    (City | int, 5, 5),
    (City | int, City("Oslo"), {"name": "Oslo", "zip": "0000"}),
    (list[City], [City("Oslo")], [{"name": "Oslo", "zip": "0000"}]),
    (tuple[City, int], (City("Oslo"), 1), ({"name": "Oslo", "zip": "0000"}, 1)),
    (tuple[Point, ...], (Point(1, 2),), ({"x": 1, "y": 2},)),
    (dict[str, list[Point]], {"a": [Point(1, 2)]}, {"a": [{"x": 1, "y": 2}]}),
    (set[Point], {Point(1, 2)}, [{"x": 1, "y": 2}]),
    (frozenset[Point], frozenset({Point(1, 2)}), [{"x": 1, "y": 2}]),
    (abc.Set[Point], frozenset({Point(1, 2)}), [{"x": 1, "y": 2}]),
    (abc.Iterable[Point], (Point(1, 2),), ({"x": 1, "y": 2},)),
    (set[frozenset[Point]], {frozenset({Point(1, 2)})}, [[{"x": 1, "y": 2}]]),
    (dict[Point, int], {Point(1, 2): 3}, [({"x": 1, "y": 2}, 3)]),
    (Color, Color.RED, "red"),
    (Level, Level.HIGH, 2),
    (Mood, Mood.GOOD, "good"),
    (Right, Right.READ | Right.WRITE, 3),
    (Right, Right(0), 0),
    (Bits, Bits.TWO, 2),
    (Planet, Planet.EARTH, (5.97, 6378)),
    (Listed, Listed.SOME, [1, 2]),
    (set[Listed], {Listed.SOME}, [[1, 2]]),
    (set[Color], {Color.RED}, {"red"}),
    (dict[Color, int], {Color.RED: 1}, {"red": 1}),
    (Color | None, None, None),
    (Color | int, Color.BLUE, "blue"),
    (Color | int, 3, 3),
    (Color | Level, Level.LOW, 1),
    (Color | Literal["auto"], "auto", "auto"),
    (Literal[Color.RED, 5], Color.RED, "red"),
    (Literal[Color.RED, 5], 5, 5),
    (Cat | Dog, Dog("Rex"), {"_type": "Dog", "name": "Rex", "tricks": []}),
    (Cat | Dog | None, Cat("Tom"), {"_type": "Cat", "name": "Tom"}),
    (Cat | Dog | None, None, None),
    (Cat | Dog | str, "none", "none"),
    (Dog | Puppy, Puppy("Rex"), {"_type": "Puppy", "name": "Rex", "tricks": [], "weeks": 0}),
    (list[Cat | Dog], [Cat("Tom")], [{"_type": "Cat", "name": "Tom"}]),
    (Annotated[Cat | Dog, 1] | Point, Point(1, 2), {"_type": "Point", "x": 1, "y": 2}),
    (Age | City, City("Oslo"), {"name": "Oslo", "zip": "0000"}),
    (Bounded, City("Oslo"), {"name": "Oslo", "zip": "0000"}),
    (Defaulting, Color.RED, "red"),
    (Pet | Point, Cat("Tom"), {"_type": "Cat", "name": "Tom"}),
    (Twice[Color], (Color.RED, Color.BLUE), ("red", "blue")),
    (list[Twice[Pet]], [(Cat("Tom"), Cat("Tim"))], [tuple(TOM_AND_TIM)]),
    (float, Level.LOW, 1),
    (int, True, 1),
    (int, Level.LOW, 1),
    (str, Mood.GOOD, "good"),
    (str, Text("a"), "a"),
    (bytes, type("Raw", (bytes,), {})(b"a"), b"a"),
    (float, type("Real", (float,), {})(1.5), 1.5),
    (datetime, Moment(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
    (date, Today(2024, 2, 29), date(2024, 2, 29)),
    (str | None, Text("a"), "a"),
    (float | str, Level.LOW, 1),
    (tuple[int, int], Pair(1, 2), (1, 2)),
    (dict[str, int], collections.OrderedDict(a=1), {"a": 1}),
    (dict[str, int], collections.Counter("a"), {"a": 1}),
    (dict[str, list[int]], collections.defaultdict(list, a=[1]), {"a": [1]}),
    (Pair, Pair(1, 2), {"x": 1, "y": 2}),
    (Data, Data(5), {"a": 5}),
    (Data | None, Data(5), {"a": 5}),
    (tuple[int, int] | Pair, Pair(1, 2), {"x": 1, "y": 2}),
    (tuple[int, int] | Pair, (1, 2), (1, 2)),
    (Cat | Data, Data(5), {"_type": "Data", "a": 5}),
    (list[Pair], [Pair(1, 2)], [{"x": 1, "y": 2}]),
    (Outside, Outside.LOW, 1),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), CONVERTED, ids=str)
def test_any_other_value_is_stored_as_plain_ones(annotation, value, expected):
    found = stored(annotation, value)
    assert found == expected
    assert_plain(found)


PLAIN = {
    *(type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID),
    *(list, tuple, set, frozenset, dict),
}


def assert_plain(value: Any) -> None:
    assert type(value) in PLAIN
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            assert_plain(item)


atoms = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
hashables = atoms | st.tuples(atoms, atoms) | st.frozensets(st.integers())
plain = st.recursive(
    hashables,
    lambda inner: st.lists(inner) | st.dictionaries(hashables, inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(plain)
def test_a_field_of_any_type_holds_all_plain_values(value):
    records = field_type(Any)
    dumped = records.dump(records.cls(value))
    assert typed(dumped["x"]) == typed(value)
    assert typed(records.load(dumped).x) == typed(value)


def typed(value: Any) -> Any:
    """A value with all its types, so that 1 is not True, nor a list a tuple."""
    if isinstance(value, dict):
        return {typed(key): typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(typed, value))
    if isinstance(value, frozenset):
        return frozenset(map(typed, value))
    return type(value), value


@define
class Everything:
    number: int
    ratio: float
    names: list[str]
    places: dict[str, Point]
    pet: Cat | Dog | None
    colors: set[Color]
    when: datetime | None
    extra: dict[str, Any]


points = st.builds(Point, st.integers(), st.integers())
pets = st.none() | st.builds(Cat, st.text()) | st.builds(Dog, st.text(), st.lists(st.text()))


@given(
    st.builds(
        Everything,
        st.integers(),
        st.floats(allow_nan=False) | st.integers(),
        st.lists(st.text()),
        st.dictionaries(st.text(), points),
        pets,
        st.sets(st.sampled_from(Color)),
        st.none() | st.datetimes(),
        st.dictionaries(st.text(), plain, max_size=2),
    )
)
def test_a_record_comes_back_as_it_was(record):
    records = record_type(Everything)
    dumped = records.dump(record)
    assert_plain(dumped)
    assert records.load(dumped) == record


# -- what would come back as another value -----------------------------------------------------


class NotANumber(Enum):
    NAN = float("nan")
    PAIR = (1, float("nan"))


class Swapping(Enum):
    """A member is stored as its value, but its value leads to another member."""

    A = 1
    B = 2

    @classmethod
    def swap(cls) -> None:
        cls.A._value_, cls.B._value_ = 2, 1


Swapping.swap()


class Losing(Enum):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.A


Losing.B._value_ = 3


class Forgiving(Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.A


class Mixed(Enum):
    ONE = 1
    TEXT = "1"
    TUPLE = (1, ("a", frozenset({Level.LOW})))
    LIST = [1, {"a": Mood.GOOD}]  # noqa: RUF012 - what cannot be hashed
    BIG = 10**50
    NONE = None
    MOMENT = AWARE


class Kept(IntFlag, boundary=FlagBoundary.KEEP):
    ONE = 1


class Same(Enum):
    ONE = 1
    ALSO = True
    AGAIN = 1.0


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (NotANumber, "NotANumber cannot be stored: NotANumber.NAN is stored as float nan, which"),
        (
            list[NotANumber],
            "NotANumber.NAN is stored as float nan, which comes back as no member",
        ),
        (Swapping, "Swapping.A is stored as int 2, which comes back as Swapping.B"),
        (Losing, "Losing.B is stored as int 3, which comes back as Losing.A"),
        (Literal[1, Level.LOW], "1 and Level.LOW are both stored as int 1"),
        (Literal[Level.LOW, 1], "Level.LOW and 1 are both stored as int 1"),
        (Literal["good", Mood.GOOD], "'good' and Mood.GOOD are both stored as str 'good'"),
        (Literal[Level.LOW, Bits.ONE], "Level.LOW and Bits.ONE are both stored as int 1"),
        (Literal[Color.RED, "red"], "Color.RED and 'red' are both stored as str 'red'"),
        (Literal[float("nan")], "cannot be stored: nan does not equal itself"),
        (Literal[Text("a")], "would come back as a plain str"),
        (Literal[1j], "expected a plain value"),
        (Literal[1] | Level, "the stored value would not show which"),
        (Color | str, "the stored value would not show which"),
        (Level | Bits, "the stored value would not show which"),
        (Literal["red"] | Color, "the stored value would not show which"),
        (dict[Color | str, int], "the stored value would not show which"),
        (set[Level | int], "the stored value would not show which"),
    ],
    ids=str,
)
def test_an_annotation_whose_values_would_come_back_as_others_is_refused(annotation, message):
    with pytest.raises(CollectionError) as caught:
        field_type(annotation)
    assert message in str(caught.value)
    assert str(caught.value).startswith("Holder.x: ")


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (Literal[1, True], [1, True]),
        (Literal[1, "1", b"1"] | None, [1, "1", b"1", None]),
        (Literal[Color.RED, Level.LOW], [Color.RED, Level.LOW]),
        (Mixed, list(Mixed)),
        (Forgiving | Literal["b"], [Forgiving.A, "b"]),
        (Literal["b", "c"] | Forgiving | None, [Forgiving.A, "b", None]),
        (list[Forgiving | Literal["b"]], [[Forgiving.A, "b"]]),
        (Outside, list(Outside)),
        (Same, [Same.ONE, Same.ALSO]),
        (Bits, [Bits.ONE, Bits.ONE | Bits.TWO, Bits(0), Bits(4)]),
        (Kept, [Kept(5)]),
        (Right, [Right.READ | Right.WRITE, Right(0), ~Right.READ]),
        (Color | Level | None, [Color.RED, Level.LOW, None]),
        (dict[Color, Level], [{Color.RED: Level.LOW}]),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["pickle", "json", "cbor", "msgpack"])
def test_a_member_comes_back_as_the_same_member_through_every_serializer(name, annotation, values):
    records = field_type(annotation)
    codec = serializer(name)
    for value in values:
        found = records.load(codec.decode(codec.encode(records.dump(records.cls(value))))).x
        assert found == value
        assert type(found) is type(value)


SUBCLASSES = [
    Level.LOW,
    Mood.GOOD,
    Color.RED,
    Bits.ONE,
    Pair(1, 2),
    Text("a"),
    collections.OrderedDict(a=1),
    collections.Counter("a"),
    collections.defaultdict(int, a=1),
    Today(2024, 2, 29),
    Moment(2024, 2, 29),
    *(
        type(f"My{kind.__name__}", (kind,), {})()
        for kind in (int, float, str, bytes, list, tuple, set, frozenset, dict, Decimal, timedelta)
    ),
    type("MyUUID", (UUID,), {})(int=1),
]


@pytest.mark.parametrize("annotation", [Any, object, None, T, Any | None], ids=str)
@pytest.mark.parametrize("value", SUBCLASSES, ids=lambda value: type(value).__name__)
def test_a_field_of_any_type_refuses_a_value_that_would_come_back_as_a_plain_one(annotation, value):
    cls = attrs.make_class(
        "Holder", {"x": field() if annotation is None else field(type=annotation)}
    )
    records = record_type(cls)
    positions = [(value, "x: "), ([value], "x[0]: "), (({"a": value},), "x[0]['a']: ")]
    if type(value).__hash__ is not None:
        positions += [({value}, "x: "), ({value: 1}, "x: a key of the dict: ")]
    for held, path in positions:
        with pytest.raises(RecordError) as caught:
            records.dump(records.cls(held))
        assert str(caught.value).startswith(f"{path}expected a plain value"), str(caught.value)
        assert type(value).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list, type("MyList", (list,), {})([1])),
        (dict, collections.OrderedDict(a=1)),
        (dict[Any, Any], collections.Counter("a")),
        (tuple, Pair(1, 2)),
        (set, type("MySet", (set,), {})({1})),
        (list[Any], [Level.LOW]),
        (dict[str, Any], {"a": Level.LOW}),
    ],
    ids=str,
)
def test_a_bare_container_refuses_subclasses_too(annotation, value):
    records = field_type(annotation)
    with pytest.raises(RecordError, match="would come back as a plain"):
        records.dump(records.cls(value))


class Unequal:
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("annotation", "base", "content"),
    [
        (list[int], list, [1]),
        (abc.Sequence[int], tuple, (1,)),
        (tuple[int, ...], tuple, (1,)),
        (tuple[int, int], tuple, (1, 2)),
        (set[int], set, {1}),
        (dict[str, int], dict, {"a": 1}),
        (set[Point], set, {Point(1, 2)}),
        (dict[Point, int], dict, {Point(1, 2): 3}),
        (str, str, "a"),
        (int, int, 1),
        (float, float, 1.5),
        (bytes, bytes, b"a"),
    ],
    ids=str,
)
def test_an_instance_of_a_subclass_that_does_not_equal_its_plain_value_is_refused(
    annotation, base, content
):
    records = field_type(annotation)
    value = type("Odd", (Unequal, base), {})(content)
    with pytest.raises(RecordError, match=r"^x: expected .*Odd"):
        records.dump(records.cls(value))


def test_keys_and_elements_that_would_become_one_are_refused():
    class Name(str):
        """Two names are equal only if they are the same, but each equals its text."""

        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other if isinstance(other, Name) else str(self) == other

        __hash__ = str.__hash__

    one, other = Name("a"), Name("a")
    for annotation, value in [
        (dict[str, int], {one: 1, other: 2}),
        (set[str], {one, other}),
        (frozenset[str], frozenset({one, other})),
    ]:
        records = field_type(annotation)
        with pytest.raises(RecordError, match=r"^x: two (keys|elements) of it would be stored as"):
            records.dump(records.cls(value))


# -- what does not fit -------------------------------------------------------------------------

MISFITS = [
    (str, 5, "x: expected str, got int 5"),
    (int, "x", "x: expected int, got str 'x'"),
    (int, 1.0, "x: expected int, got float 1.0"),
    (int, None, "x: expected int, got None"),
    (bool, 1, "x: expected bool, got int 1"),
    (float, "1.5", "x: expected float, got str '1.5'"),
    (float, Decimal(1), "x: expected float, got Decimal('1')"),
    (bytes, "a", "x: expected bytes, got str 'a'"),
    (type(None), 0, "x: expected None, got int 0"),
    (date, AWARE, "x: expected date, got datetime.datetime(2024, 2, 29, 12, 0"),
    (time, AWARE, "x: expected time, got datetime"),
    (UUID, "a", "x: expected UUID, got str 'a'"),
    (list[str], "abc", "x: expected list[str], got str 'abc'"),
    (list[str], ("a",), "x: expected list[str], got tuple ('a',)"),
    (list[str], ["a", "b", 5], "x[2]: expected str, got int 5"),
    (list[list[int]], [[], [1, ""]], "x[1][1]: expected int, got str ''"),
    (tuple[int, ...], (1, "a"), "x[1]: expected int, got str 'a'"),
    (tuple[int, str], (1, 2), "x[1]: expected str, got int 2"),
    (tuple[int, str], (1,), "x: expected tuple[int, str], got tuple (1,)"),
    (tuple[int, str], [1, "a"], "x: expected tuple[int, str], got list [1, 'a']"),
    (tuple[()], (1,), "x: expected tuple[()], got tuple (1,)"),
    (set[str], {5}, "x: expected str, got int 5"),
    (set[str], ["a"], "x: expected set[str], got list ['a']"),
    (dict[str, int], {"a": ""}, "x['a']: expected int, got str ''"),
    (dict[str, int], {1: 1}, "x: a key of the dict: expected str, got int 1"),
    (dict[str, int], [("a", 1)], "x: expected dict[str, int], got list [('a', 1)]"),
    (abc.Sequence[str], "abc", "x: expected collections.abc.Sequence[str], got str 'abc'"),
    (abc.Iterable[Point], {Point(1, 2)}, "got set {Point(x=1, y=2)}"),
    (int | None, "a", "x: expected int, got str 'a'"),
    (int | str, 1.5, "x: expected int | str, got float 1.5"),
    (list[int] | str, ["a"], "x[0]: expected int, got str 'a'"),
    (list[int] | list[str], [None], "x: expected list[int] | list[str], got list [None]"),
    (Literal["a", "b"], "c", "x: expected Literal['a', 'b'], got str 'c'"),
    (Literal[1], True, "x: expected Literal[1], got bool True"),
    (Literal[1], [], "x: expected Literal[1], got list []"),
    (Any, range(3), "x: expected a plain value (None, bool, int, str, list, dict and so on), got"),
    (Any, {"a": [Point(1, 2)]}, "x['a'][0]: expected a plain value"),
    (
        Any,
        1j,
        "x: expected a plain value (None, bool, int, str, list, dict and so on), got complex",
    ),
]


@pytest.mark.parametrize(("annotation", "value", "message"), MISFITS, ids=str)
def test_a_value_that_does_not_fit_is_refused_both_ways_with_the_path_to_it(
    annotation, value, message
):
    records = field_type(annotation)
    with pytest.raises(RecordError, match=re.escape(message)):
        records.dump(records.cls(value))
    with pytest.raises(RecordError, match=re.escape(message)):
        records.load({"x": value})


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Color, "red", "x: expected Color, got str 'red'"),
        (Color, Level.LOW, "x: expected Color, got Level <Level.LOW: 1>"),
        (City, {"name": "Oslo"}, "x: expected City, got dict {'name': 'Oslo'}"),
        (City, City(5), "x.name: expected str, got int 5"),
        (City, City, "x: expected City, got type <class"),
        (list[City], [City("Oslo"), City("Rome", 1)], "x[1].zip: expected str, got int 1"),
        (dict[str, City], {"a": City("Oslo", 1)}, "x['a'].zip: expected str, got int 1"),
        (dict[Point, int], {Point(1, ""): 1}, "x[0][0].y: expected int, got str ''"),
        (dict[Point, int], [1], "x: expected dict["),
        (set[Point], [1], "x: expected set["),
        (datetime, NoMoment(2024, 2, 29), "x: expected datetime, got NoMoment(2024, 2, 29, 0, 0)"),
        (Dog, Puppy("Rex"), "a subclass: only the fields of Dog would be stored"),
        (Cat | Dog, Puppy("Rex"), "x: expected Cat | Dog, got Puppy(name='Rex'"),
        (Cat | Dog, Dog("Rex", [1]), "x.tricks[0]: expected str, got int 1"),
        (Cat | Dog | None, 5, "x: expected Cat | Dog, got int 5"),
        (
            datetime,
            type("Late", (Moment,), {"nanoseconds": 5})(2024, 2, 29),
            "x: expected datetime, got Late(",
        ),
    ],
    ids=str,
)
def test_a_value_that_is_stored_as_another_must_fit_before(annotation, value, message):
    records = field_type(annotation)
    with pytest.raises(RecordError, match=re.escape(message)):
        records.dump(records.cls(value))


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Color, "green", "x: expected the value of a Color, got str 'green'"),
        (Color, ["red"], "x: expected the value of a Color, got list ['red']"),
        (Picky, 2, "x: expected the value of a Picky, got int 2"),
        (Right, 64, "x: expected the value of a Right, got int 64"),
        (City, "Oslo", "x: expected a dict of the fields of City, got str 'Oslo'"),
        (City, {}, "x.name: is missing, and has no default"),
        (City, {"name": "Oslo", "zap": ""}, "x: City has no field 'zap': did you mean 'zip'?"),
        (City, {"name": "", "zip": "", "z": ""}, "x: City has no field 'z': it has name, zip"),
        (City, {5: "Oslo"}, "x: City has no field int 5: it has name, zip"),
        (list[City], [{"name": 5}], "x[0].name: expected str, got int 5"),
        (
            Cat | Dog,
            {"name": "Tom"},
            "x: expected a dict whose '_type' is 'Cat' or 'Dog', got dict",
        ),
        (
            Cat | Dog,
            {"_type": "Cow"},
            "x: expected a dict whose '_type' is 'Cat' or 'Dog', got dict",
        ),
        (Cat | Dog, {"_type": [1]}, "x: expected a dict whose '_type' is 'Cat' or 'Dog', got dict"),
        (Cat | Dog, 5, "x: expected a dict whose '_type' is 'Cat' or 'Dog', got int 5"),
        (Cat | Dog, {"_type": "Cat"}, "x.name: is missing, and has no default"),
        (Cat | str, 5, "x: expected str | Cat, got int 5"),
        (dict[Point, int], {}, "x: expected dict["),
        (dict[Point, int], [(1, 2)], "x[0][0]: expected a dict of the fields of Point, got int 1"),
        (set[Point], [{"x": 1}], "x[0].y: is missing, and has no default"),
        (set[City], [{"name": "Oslo"}], "x: cannot be a set["),
    ],
    ids=str,
)
def test_a_stored_value_that_fits_no_more_is_refused(annotation, value, message):
    with pytest.raises(RecordError, match=re.escape(message)):
        field_type(annotation).load({"x": value})


@pytest.mark.parametrize("value", [None, "a", [], City("Oslo"), collections.OrderedDict(name="")])
def test_a_stored_record_is_a_dict(value):
    with pytest.raises(RecordError, match=r"^expected a dict of the fields of City, got"):
        record_type(City).load(value)


def test_a_record_is_of_the_class_itself():
    with pytest.raises(
        RecordError, match=r"expected Dog, got Puppy\(.*, a subclass: only the fields of Dog"
    ):
        record_type(Dog).dump(Puppy("Rex"))
    with pytest.raises(RecordError, match="expected Dog, got str 'Rex'"):
        record_type(Dog).dump("Rex")


def test_a_record_that_contains_itself_is_refused():
    tree = Tree("root")
    tree.children.append(tree)
    with pytest.raises(RecordError, match="Tree is nested too deeply, or contains itself"):
        record_type(Tree).dump(tree)


# -- classes of all kinds ----------------------------------------------------------------------


@define
class Tree:
    name: str
    children: "list[Tree]" = field(factory=list)
    parent: "Tree | None" = None


@define
class Node:
    value: int
    next: Self | None = None
    others: list[Self] = field(factory=list)


@define
class Account:
    _secret: str
    login: str = field(alias="user")
    __token: int = 0
    uses: int = field(init=False, default=0)


@define(kw_only=True)
class Keyword:
    a: int
    b: str = "b"


@define(slots=False)
class WithDict:
    a: int
    b: list[int] = field(factory=list)


@attr.s
class OldStyle:
    a = attr.ib(type=int)
    b = attr.ib(default=None)
    c: int = attr.ib(default=Factory(lambda self: self.a, takes_self=True))


@define
class Box(Generic[T]):
    content: T
    more: list[T] = field(factory=list)


@define
class PairOf(Generic[T, U]):
    first: Box[T]
    second: Box[U]
    both: dict[str, T | U]


@define
class Swapped(PairOf[U, T], Generic[T, U]):
    own: T | None = None


@define
class IntBox(Box[int]):
    label: str = ""


@define
class BareBox(Box):  # type: ignore[type-arg]
    label: str = ""


@define
class Own:
    a: int
    b: int

    def __init__(self, b: int, a: int) -> None:
        self.__attrs_init__(a, b)


@define
class Holder:
    box: Box[Point]
    boxes: "dict[str, Box[list[int]]]"


CLASSES = [
    (
        Tree,
        Tree("a", [Tree("b")]),
        {
            "name": "a",
            "children": [{"name": "b", "children": [], "parent": None}],
            "parent": None,
        },
    ),
    (
        Node,
        Node(1, Node(2)),
        {"value": 1, "next": {"value": 2, "next": None, "others": []}, "others": []},
    ),
    (
        Account,
        Account("x", "ada", 5),
        {"secret": "x", "user": "ada", "Account__token": 5, "uses": 0},
    ),
    (Keyword, Keyword(a=1), {"a": 1, "b": "b"}),
    (WithDict, WithDict(1), {"a": 1, "b": []}),
    (OldStyle, OldStyle(1, {"any": 1}), {"a": 1, "b": {"any": 1}, "c": 1}),
    (Point, Point(1, 2), {"x": 1, "y": 2}),
    (Puppy, Puppy("Rex", weeks=5), {"name": "Rex", "tricks": [], "weeks": 5}),
    (Box[Color], Box(Color.RED, [Color.BLUE]), {"content": "red", "more": ["blue"]}),
    (Box, Box({"any": 1}), {"content": {"any": 1}, "more": []}),
    (IntBox, IntBox(1, [2]), {"content": 1, "more": [2], "label": ""}),
    (BareBox, BareBox("a"), {"content": "a", "more": [], "label": ""}),
    (
        Swapped[Color, int],
        Swapped(Box(1), Box(Color.RED), {"a": 1, "b": Color.RED}, Color.BLUE),
        {
            "first": {"content": 1, "more": []},
            "second": {"content": "red", "more": []},
            "both": {"a": 1, "b": "red"},
            "own": "blue",
        },
    ),
    (
        Holder,
        Holder(Box(Point(1, 2)), {"a": Box([1])}),
        {
            "box": {"content": {"x": 1, "y": 2}, "more": []},
            "boxes": {"a": {"content": [1], "more": []}},
        },
    ),
    (Own, Own(b=1, a=2), {"a": 2, "b": 1}),
]


@pytest.mark.parametrize(("cls", "record", "expected"), CLASSES, ids=str)
def test_a_class_of_any_kind_is_stored_as_a_dict_of_its_fields(cls, record, expected):
    records = record_type(cls)
    assert records.dump(record) == expected
    assert records.load(expected) == record
    assert records.load(dict(reversed(expected.items()))) == record
    assert list(records.fields) == list(expected)
    assert records.name == records.cls.__name__ == type(record).__name__


def test_the_arguments_of_a_generic_class_are_checked():
    with pytest.raises(RecordError, match=re.escape("more[0]: expected int, got str 'a'")):
        record_type(Box[int]).dump(Box(1, ["a"]))
    with pytest.raises(RecordError, match=re.escape("own: expected str, got int 1")):
        record_type(Swapped[str, int]).dump(Swapped(Box(1), Box("a"), {}, 1))


def test_fields_that_are_missing_take_their_defaults():
    assert record_type(Tree).load({"name": "a"}) == Tree("a")
    assert record_type(Keyword).load({"a": 1}) == Keyword(a=1)
    assert record_type(OldStyle).load({"a": 1}) == OldStyle(1, None, 1)
    assert record_type(Account).load({"secret": "x", "user": "ada"}) == Account("x", "ada")


def test_a_field_that_the_constructor_does_not_take_is_stored_too():
    account = Account("x", "ada")
    account.uses = 5
    records = record_type(Account)
    assert records.load(records.dump(account)).uses == 5
    with pytest.raises(RecordError, match="uses: expected int, got str ''"):
        records.load({**records.dump(account), "uses": ""})


def test_a_field_that_was_never_set_cannot_be_stored():
    @define
    class Unset:
        a: int = field(init=False)

    records = record_type(Unset)
    with pytest.raises(RecordError, match="a: is not set"):
        records.dump(Unset())
    assert records.load({"a": 1}).a == 1


def test_loading_runs_the_converters_and_the_hook_of_the_class():
    @frozen
    class Converted:
        name: str = field(converter=str.upper)
        size: int = field(init=False)

        def __attrs_post_init__(self) -> None:
            object.__setattr__(self, "size", len(self.name))

    assert record_type(Converted).load({"name": "ada"}) == Converted("ADA")


# -- what the class itself refuses -------------------------------------------------------------


@define
class Strict:
    _age: int = field(validator=attrs.validators.ge(0))
    name: str = field(default="", validator=attrs.validators.instance_of(str))
    code: Any = field(default="0", converter=int)
    even: int = field(default=0)

    @even.validator
    def _check_even(self, attribute: Any, value: int) -> None:
        if value % 2:
            raise ArithmeticError

    def __attrs_post_init__(self) -> None:
        if self.code > 100:
            raise ValueError("too much")


@pytest.mark.parametrize(
    ("changes", "message", "cause"),
    [
        ({"age": -1}, "^age: ValueError: '_age' must be >= 0: -1$", ValueError),
        ({"code": "x"}, "^code: ValueError: invalid literal for int", ValueError),
        ({"even": 3}, "^even: ArithmeticError$", ArithmeticError),
        ({"code": 101}, "^Strict refuses the fields: ValueError: too much$", ValueError),
    ],
)
def test_what_a_validator_or_a_converter_refuses_is_an_error_of_the_field(changes, message, cause):
    records = record_type(Strict)
    fields = {"age": 1, "name": "", "code": 0, "even": 0}
    with pytest.raises(RecordError, match=message) as loading:
        records.load({**fields, **changes})
    with pytest.raises(RecordError, match=message) as changing:
        records.evolve(Strict(1), changes)
    assert type(loading.value.__cause__) is type(changing.value.__cause__) is cause


def test_the_field_that_a_validator_of_attrs_names_is_named():
    with pytest.raises(RecordError, match=r"^name: TypeError: 'name' must be <class 'str'>"):
        record_type(Strict).evolve(Strict(1), {"name": 5})


def test_the_path_leads_through_nested_classes():
    with pytest.raises(RecordError, match=re.escape("x[0].age: ValueError: '_age' must be >= 0")):
        field_type(list[Strict]).load({"x": [{"age": -1}]})


def test_a_set_of_records_may_be_read_back_in_another_order():
    @frozen
    class Colliding:
        x: int

        def __hash__(self) -> int:
            return self.x

    value = {Colliding(7), Colliding(15)}
    order = list(value)
    assert list(set(order)) != order
    records = field_type(set[Colliding], converter=set)
    assert records.load(records.dump(records.cls(value))).x == value


# -- changes -----------------------------------------------------------------------------------


def test_a_changed_record_is_another_one():
    before = City("Oslo")
    after = record_type(City).evolve(before, {"zip": "0150"})
    assert (before, after) == (City("Oslo"), City("Oslo", "0150"))


def test_changes_go_by_the_names_of_the_constructor():
    assert record_type(Account).evolve(Account("x", "ada"), {"user": "eve"}).login == "eve"
    with pytest.raises(
        RecordError, match=r"Account has no field '_secret': did you mean 'secret'\?"
    ):
        record_type(Account).evolve(Account("x", "ada"), {"_secret": ""})


def test_a_field_that_the_constructor_does_not_take_cannot_be_changed_but_is_kept():
    account = Account("x", "ada")
    account.uses = 5
    records = record_type(Account)
    assert records.evolve(account, {"user": "eve"}).uses == 5
    with pytest.raises(RecordError, match=r"uses: the constructor does not take it \(init=False\)"):
        records.evolve(account, {"uses": 6})


def test_a_field_that_follows_from_the_others_follows_the_changes():
    @define
    class Name:
        first: str
        size: int = field(init=False)
        cache: str = field(init=False)

        def __attrs_post_init__(self) -> None:
            self.size = len(self.first)

    changed = record_type(Name).evolve(Name("Ada"), {"first": "Edith"})
    assert changed.size == 5


def test_a_name_that_is_no_field_is_refused_with_the_nearest_that_is():
    records = record_type(City)
    records.check_fields(["name", "zip"])
    with pytest.raises(RecordError, match=r"^City has no field 'nmae': did you mean 'name'\?"):
        records.check_fields({"nmae": 1})
    with pytest.raises(RecordError, match=r"^City has no field 'age': it has name, zip$"):
        records.check_fields(["age"])


# -- keys --------------------------------------------------------------------------------------


@define
class User:
    email: str = key()
    name: str = ""


@define
class Visit:
    _site: str = key()
    note: str
    at: Age = key(metadata={"kept": True}, default=0)  # noqa: RUF009


@define
class Member(User):
    number: int = key(default=0)


def test_a_record_without_a_key_field_has_a_generated_key():
    records = record_type(City)
    assert records.key_fields == ()
    assert records.key_of(City("Oslo")) is None
    assert records.key_codec.name == "UUID"


def test_one_key_field_is_the_key():
    records = record_type(User)
    assert records.key_fields == ("email",)
    assert records.key_of(User("ada@example.org")) == "ada@example.org"
    assert records.key_codec.name == "str"


def test_several_key_fields_are_a_tuple_in_their_order():
    records = record_type(Visit)
    assert records.key_fields == ("site", "at")
    assert records.key_of(Visit("a", "note", Age(5))) == ("a", 5)
    assert records.key_codec.name == "tuple[str, int]"
    assert record_type(Member).key_fields == ("email", "number")


def test_a_key_field_takes_what_a_field_takes():
    at = attrs.fields(Visit).at
    assert at.default == 0
    assert at.metadata["kept"]


def test_the_key_of_a_generic_class_may_be_its_argument():
    @define
    class Keyed(Generic[T]):
        id: T = key()  # noqa: RUF009

    assert record_type(Keyed[int]).key_codec.name == "int"
    with pytest.raises(CollectionError, match=r"^Keyed: Any cannot be a key: a key is an int, str"):
        record_type(Keyed)


@pytest.mark.parametrize("annotation", [float, City, Color, list[int], str | None])
def test_a_key_field_of_a_type_that_cannot_be_a_key_is_refused(annotation):
    cls = attrs.make_class("Wrong", {"id": key(type=annotation), "other": key(type=int)})
    with pytest.raises(CollectionError, match=r"^Wrong: .* cannot be a key: a key is an int, str"):
        record_type(cls)


# -- classes that cannot be stored -------------------------------------------------------------


class UndecoratedData(Data):
    b: int = 0


class Undecorated(City):
    age: int


class Plain: ...


class Typed(TypedDict):
    a: int


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Data, "it is a dataclass; decorate it with @attrs.define instead of @dataclass"),
        (Undecorated, "it inherits from an attrs class; decorate it with @attrs.define as well"),
        (Plain, "Plain'> cannot be the class of a collection: it is not an attrs class; decorate"),
        (dict, "<class 'dict'> cannot be the class of a collection: it is not an attrs class"),
        (dict[str, int], "<class 'dict'> cannot be the class of a collection"),
        (Typed, "it is not an attrs class; decorate it with @attrs.define"),
        (
            City("Oslo"),
            "City(name='Oslo', zip='0000') cannot be the class of a collection: pass its",
        ),
        ({"a": 1}, "{'a': 1} cannot be the class of a collection: pass a class made with attrs"),
        ("City", "'City' cannot be the class of a collection: pass a class made with attrs"),
        (None, "None cannot be the class of a collection: pass a class made with attrs"),
    ],
    ids=str,
)
def test_what_is_no_attrs_class_is_refused_with_advice(cls, message):
    with pytest.raises(CollectionError, match=re.escape(message)):
        record_type(cls)


STORABLE = "cannot be stored: fields hold None, bool, int, float, str, bytes, dates and times"


class Function(Enum):
    NUMBER = 1j


class Empty(Enum): ...


def another(name: str) -> type:
    return attrs.make_class(name, {"a": field(type=int)})


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (complex, f"Holder.x: complex {STORABLE}"),
        (range, f"Holder.x: range {STORABLE}"),
        (list[range], f"Holder.x: range {STORABLE}"),
        (dict[str, Plain], f"Holder.x: Plain {STORABLE}"),
        (abc.Callable[[], int], f"Holder.x: collections.abc.Callable[[], int] {STORABLE}"),
        (collections.deque[int], f"Holder.x: collections.deque[int] {STORABLE}"),
        (Typed, f"Holder.x: Typed {STORABLE}"),
        (typing.NoReturn, f"Holder.x: NoReturn {STORABLE}"),
        (5, f"Holder.x: 5 {STORABLE}"),
        (UndecoratedData, "Holder.x: UndecoratedData cannot be stored: it inherits from a data"),
        (Undecorated, "Holder.x: Undecorated cannot be stored: it inherits from an attrs class"),
        (
            Function,
            "Holder.x: the value of Function.NUMBER cannot be stored: expected a plain value",
        ),
        (Empty, "Holder.x: Empty cannot be stored: it has no members"),
        (
            Literal[Function.NUMBER],
            "Holder.x: the value of Function.NUMBER cannot be stored: expected",
        ),
        (Literal[Listed.SOME], "Holder.x: Literal[Listed.SOME] cannot be stored: its value has no"),
        (Hidden, "Holder.x: the annotation ForwardRef('Nowhere') cannot be resolved"),
        ("Nowhere", "an annotation of Holder cannot be resolved, name 'Nowhere' is not defined:"),
        (Color | str, "Holder.x: Color | str cannot be stored: the stored value would not show"),
        (str | Mood, "Holder.x: str | Mood cannot be stored: the stored value would not show"),
        (Level | float, "Holder.x: Level | float cannot be stored: the stored value would not"),
        (Color | Literal["red"], "Holder.x: Color | Literal['red'] cannot be stored: the stored"),
        (City | dict[str, str], "Holder.x: dict[str, str] | City cannot be stored: the stored"),
        (City | Any, "Holder.x: Any | City cannot be stored: the stored value would not show"),
        (set[Point] | list[int], "cannot be stored: the stored value would not show which"),
        (list[Color] | list[str], "Holder.x: list["),
        (Cat | another("Cat"), "cannot be stored: it has two classes with the name Cat"),
        (Box[int] | Box[str], "cannot be stored: it has two classes with the name Box"),
        (another("Other") | range, f"Holder.x: range {STORABLE}"),
        (attrs.make_class("Inner", {"a": field(type=range)}), "Holder.x: Inner.a: range cannot"),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_stored_is_refused_before_there_is_a_record(annotation, message):
    with pytest.raises(CollectionError, match=re.escape(message)):
        field_type(annotation)


def test_two_fields_of_the_same_name_are_refused():
    @define
    class Twice:
        _a: int
        a: int = field(init=False)

    with pytest.raises(CollectionError, match="two fields of Twice have the same name in its con"):
        record_type(Twice)


def test_a_field_with_the_name_of_the_tag_is_refused():
    with pytest.raises(
        CollectionError, match="Holder has a field '_type': this name is for the class of a record"
    ):
        field_type(int, alias="_type")


def test_a_constructor_that_does_not_take_the_fields_is_refused():
    @define
    class Other:
        a: int

        def __init__(self, b: str) -> None:
            self.a = int(b)

    with pytest.raises(
        CollectionError, match=r"Other has an __init__ of its own .* \(a\): missing"
    ):
        record_type(Other)


def test_a_class_inside_of_a_function_may_refer_to_itself_but_not_to_another():
    @define
    class Chain:
        next: "Chain | None" = None

    @define
    class Wheel:
        spokes: "list[Spoke]"

    @define
    class Spoke:
        size: int

    assert record_type(Chain).dump(Chain(Chain())) == {"next": {"next": None}}
    with pytest.raises(CollectionError, match=r"an annotation of .*Wheel cannot be resolved, name"):
        record_type(Wheel)
    attrs.resolve_types(Wheel, localns=locals())
    assert record_type(Wheel).dump(Wheel([Spoke(1)])) == {"spokes": [{"size": 1}]}


POSTPONED = """
from __future__ import annotations
from enum import Enum
from typing import Generic, TypeVar
from attrs import define
from stones.collections.records.record_type import key

T = TypeVar("T")

@define
class Post:
    id: int = key()
    comments: list[Comment]
    mood: Mood | None = None
    box: Box[Mood] | None = None

@define
class Comment:
    text: str

class Mood(Enum):
    GOOD = 1

@define
class Box(Generic[T]):
    content: T
"""


def test_annotations_may_be_postponed(tmp_path, monkeypatch):
    (tmp_path / "postponed_blog.py").write_text(POSTPONED)
    monkeypatch.syspath_prepend(tmp_path)
    blog = __import__("postponed_blog")
    records = record_type(blog.Post)
    post = blog.Post(1, [blog.Comment("a")], blog.Mood.GOOD, blog.Box(blog.Mood.GOOD))
    assert records.dump(post) == {
        "id": 1,
        "comments": [{"text": "a"}],
        "mood": 1,
        "box": {"content": 1},
    }
    assert records.load(records.dump(post)) == post
    assert records.key_codec.name == "int"


def test_a_class_may_inherit_from_one_of_another_module_and_have_made_up_fields(
    tmp_path, monkeypatch
):
    (tmp_path / "postponed_base.py").write_text(POSTPONED)
    monkeypatch.syspath_prepend(tmp_path)
    blog = __import__("postponed_base")

    def add_field(cls: type, fields: list[Any]) -> list[Any]:
        return [*fields, fields[-1].evolve(name="added", alias="added", type=int, inherited=True)]

    @define(field_transformer=add_field)
    class Article(blog.Post):
        title: str = ""

    article = Article(1, [], blog.Mood.GOOD, None, "a", 5)
    records = record_type(Article)
    assert records.load(records.dump(article)) == article


def test_an_error_shows_a_value_in_few_words():
    assert show_value(None) == "None"
    assert show_value(5) == "int 5"
    assert show_value(UTC) == "timezone datetime.timezone.utc"
    assert len(show_value("x" * 1000)) < 70


# -- key() -------------------------------------------------------------------------------------


def test_key_shows_the_options_of_attrs_field_by_name():
    assert inspect.signature(key) == inspect.signature(field)
    shown = pydoc.plain(pydoc.render_doc(key))
    for option in ("default=", "factory=", "validator=", "converter=", "alias=", "kw_only="):
        assert option in shown


def test_key_takes_the_options_of_attrs_field():
    @define
    class Badge:
        number: int = key(default=1, converter=int, metadata={"unit": "piece"}, alias="no")

    made = attrs.fields(Badge).number
    assert made.metadata["unit"] == "piece"
    assert Badge(no="5").number == 5
    assert record_type(Badge).key_fields == ("no",)
    with pytest.raises(TypeError, match="unknown"):
        key(unknown=1)


# -- type checkers -----------------------------------------------------------------------------

CHECKED = """
from attrs import define, frozen
from stones.collections.records.record_type import RecordType, key, record_type

@define
class User:
    email: str = key()
    name: str
    age: int = 0

@frozen(kw_only=True)
class Visit:
    site: str = key()
    at: int = key(default=0)

reveal_type(User("ada@example.org", "Ada").email)
reveal_type(record_type(User))
reveal_type(record_type(User).load({}))
record_type(User).dump(User("a", "b"))
Visit(site="a")
User("ada@example.org")
User(5, "Ada")
Visit(at=1)
"""


def test_type_checkers_see_the_types_of_key_fields(tmp_path):
    (tmp_path / "checked.py").write_text(CHECKED)
    options = ["--strict", "--follow-imports=silent", "--hide-error-context", "--no-error-summary"]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path), "checked.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert [line.removeprefix("checked.py:") for line in result.stdout.splitlines()] == [
        '16: note: Revealed type is "str"',
        f'17: note: Revealed type is "{RecordType.__module__}.RecordType[checked.User]"',
        '18: note: Revealed type is "checked.User"',
        '21: error: Missing positional argument "name" in call to "User"  [call-arg]',
        '22: error: Argument 1 to "User" has incompatible type "int"; expected "str"  [arg-type]',
        '23: error: Missing named argument "site" for "Visit"  [call-arg]',
    ]


if sys.version_info >= (3, 12):
    RECURSIVE = "type Json = None | bool | int | float | str | list[Json] | dict[str, Json]"

    def test_an_alias_may_hold_itself():
        names: dict[str, Any] = {}
        exec(RECURSIVE, names)
        value = {"a": [1, None, {"b": "c"}]}
        assert stored(names["Json"], value) == value
        with pytest.raises(RecordError, match=r"x\['a'\]\[0\]: expected bool \| int \| float"):
            stored(names["Json"], {"a": [b""]})
