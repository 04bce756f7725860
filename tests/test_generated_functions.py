"""The generated `dump` and `load` of a class, against the functions that go field by field."""

import dataclasses
import gc
import threading
import traceback
import weakref
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from stones.collections.records.conversion import MisfitError
from stones.collections.records.fields import Field
from stones.collections.records.generated import generated_dump, generated_load
from stones.collections.records.plain_values import ATOMS
from stones.collections.records.reading_rules import Unknown
from stones.collections.records.record_type import record_type
from stones.errors import CollectionError, RecordError

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"
    NOTHING = None


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Rights(IntFlag):
    READ = 1
    WRITE = 2


@define
class City:
    name: str
    zip: int = 0


@frozen
class Point:
    x: float
    y: float | None


@define(slots=False)
class Tree:
    value: int
    children: "list[Tree]" = field(factory=list)
    next: "Tree | None" = None


@dataclasses.dataclass
class Size:
    width: int
    area: int = dataclasses.field(init=False, default=0)


class Pair(NamedTuple):
    left: str
    right: int = 1


@define
class Box(Generic[T]):
    content: T
    others: list[T] = field(factory=list)


@define
class Checked:
    age: int = field(validator=attrs.validators.ge(0))
    email: str = field(converter=str.lower, default="")


@define
class Counted:
    items: list[int]
    count: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.count = len(self.items)


@define
class Renamed:
    _secret: str
    shown: int = field(alias="visible")
    last: int = field(kw_only=True, default=7)
    first: int = 3


@define(init=False)
class Turned:
    """Its constructor takes the fields in another order, and more than the fields."""

    one: int
    two: str

    def __init__(self, two: str, extra: int = 0, one: int = 0) -> None:
        self.one, self.two = one, two


@define(init=False)
class Starred:
    one: int
    two: str

    def __init__(self, *args: Any, **fields: Any) -> None:
        assert not args
        self.one, self.two = fields["one"], fields["two"]


@define
class Empty:
    pass


@define
class Kid(City):
    pass


class Text(str):
    __slots__ = ()


ATOMIC = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(width=16)
    | st.sampled_from(["", "red", "a", "Ä", Text("a")])
    | st.binary(max_size=2)
    | st.sampled_from([*Color, *Level, *Rights, Rights.READ | Rights.WRITE])
    | st.sampled_from([date(2020, 1, 2), datetime(2020, 1, 2), datetime(2020, 1, 2, tzinfo=UTC)])
    | st.sampled_from([Decimal("1.5"), UUID(int=7), object(), 1j])
)
INSTANCES = st.one_of(
    st.builds(City, st.sampled_from(["Rome", 5]), st.sampled_from([1, "1"])),
    st.builds(Kid, st.just("Rome")),
    st.builds(Point, st.floats(0, 9), st.none() | st.integers(0, 9)),
    st.builds(Size, st.integers(0, 9)),
    st.builds(Pair, st.just("left"), st.sampled_from([1, "1"])),
    st.builds(Checked, st.integers(0, 9), st.just("A@b")),
    st.builds(Counted, st.lists(st.integers(0, 9), max_size=2)),
    st.builds(Renamed, st.just("s"), visible=st.integers(0, 9)),
    st.builds(Turned, st.just("two"), one=st.integers(0, 9)),
    st.builds(Starred, one=st.integers(0, 9), two=st.just("two")),
    st.builds(Empty),
    st.builds(Box, st.integers(0, 9), st.lists(st.sampled_from([1, "1"]), max_size=2)),
    st.builds(Tree, ATOMIC, st.lists(st.builds(Tree, st.integers(0, 9)), max_size=2)),
)
HASHABLE = ATOMIC | st.tuples(ATOMIC, ATOMIC)
ANY = st.recursive(
    ATOMIC | INSTANCES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(HASHABLE, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
    max_leaves=4,
)

EXAMPLES: Sequence[tuple[Any, Any]] = [
    (int, 5),
    (float, 1.5),
    (float, 5),
    (str, "a"),
    (bytes, b"a"),
    (bool, True),
    (None, None),
    (Any, [{"a": (1, None)}]),
    (object, 5),
    (date, date(2020, 1, 2)),
    (datetime, datetime(2020, 1, 2)),
    (Decimal, Decimal("1.5")),
    (UUID, UUID(int=7)),
    (Color, Color.RED),
    (Color, Color.NOTHING),
    (Level, Level.HIGH),
    (Rights, Rights.READ | Rights.WRITE),
    (Literal["a", 1], 1),
    (Literal[Color.RED], Color.RED),
    (int | None, None),
    (float | None, 5),
    (int | str, "a"),
    (bool | int | str | bytes | None, b"a"),
    (Color | int, Color.RED),
    (date | datetime, datetime(2020, 1, 2)),
    (list, [1, "a"]),
    (dict, {1: "a"}),
    (list[int], [1, 2]),
    (list[int], []),
    (list[float], [1, 1.5]),
    (list[int | None], [None, 1]),
    (list[Any], ["a", [1]]),
    (list[list[int]], [[1], []]),
    (list[Color], [Color.RED]),
    (list[City], [City("Rome")]),
    (Sequence[int], (1, 2)),
    (set[str], {"a", "b"}),
    (frozenset[int], frozenset({1})),
    (set[Point], {Point(1, None)}),
    (tuple[int, ...], (1, 2)),
    (tuple[int, str], (1, "a")),
    (tuple[()], ()),
    (dict[str, int], {"a": 1}),
    (dict[str, Any], {"a": [1]}),
    (dict[int | str, float], {1: 1, "a": 1.5}),
    (dict[Color, int], {Color.RED: 1}),
    (dict[str, City], {"a": City("Rome")}),
    (dict[tuple[int, int], str], {(1, 2): "a"}),
    (list[int] | None, None),
    (list[int] | None, [1]),
    (dict[str, str] | None, {"a": "b"}),
    (list[int] | str, [1]),
    (City, City("Rome", 1)),
    (City | None, None),
    (City | None, City("Rome")),
    (City | int, City("Rome")),
    (City | Point, Point(1, 2.5)),
    (City | Point | None, City("Rome")),
    (list[City | Point], [City("Rome"), Point(1, None)]),
    (Tree | None, Tree(1, [Tree(2)], Tree(3))),
    (Box[int], Box(1, [2])),
    (Box[City | None], Box(None, [City("Rome")])),
    (Point, Point(1.5, None)),
    (Size, Size(5)),
    (Pair, Pair("a", 2)),
    (Checked, Checked(5, "ada")),
    (Counted, Counted([1, 2])),
    (Renamed, Renamed("s", 1)),
    (Turned, Turned("two", one=1)),
    (Starred, Starred(one=1, two="two")),
    (Empty, Empty()),
]


def cases():
    """A schema and a record that fits it: of each class, and of a class that holds each example."""
    for annotation, value in EXAMPLES:
        fields = {"before": attrs.field(type=int), "held": attrs.field(type=annotation)}
        holder = attrs.make_class("Holder", fields)
        yield holder, holder(1, value)
        if attrs.has(type(value)):
            yield annotation if get_origin(annotation) is Box else type(value), value


CASES = [
    (record_type(cls, unknown).schema, record)
    for cls, record in cases()
    for unknown in get_args(Unknown)
]


@st.composite
def records(draw):
    """A schema, and a record whose values often do not fit, or are not set."""
    schema, record = draw(st.sampled_from(CASES))
    if draw(st.integers(0, 9)) == 0:
        return schema, draw(ANY)
    made = object.__new__(type(record))
    for each in schema.fields.values():
        if draw(st.integers(0, 19)):
            value = draw(st.just(getattr(record, each.attribute)) | ANY)
            object.__setattr__(made, each.attribute, value)
    return schema, made


@st.composite
def dicts(draw):
    """A schema, and a dict that is often damaged: other fields, other values, and no dict."""
    schema, record = draw(st.sampled_from(CASES))
    if draw(st.integers(0, 9)) == 0:
        return schema, draw(ANY)
    fitting = schema.dump(record)
    names = draw(st.permutations([*fitting]))
    stored = {name: draw(st.just(fitting[name]) | ANY) for name in names}
    if stored and draw(st.integers(0, 4)) == 0:
        del stored[names[0]]
    if draw(st.integers(0, 4)) == 0:
        stored[draw(st.sampled_from(["other", "_type", 5]))] = draw(st.just("City") | ATOMIC)
    return schema, stored


def exact(value):
    """Equal for two values only if all types in them, and their order, are the same."""
    kind = type(value)
    if kind is dict:
        return kind, [(exact(key), exact(item)) for key, item in value.items()]
    if kind in (list, tuple):
        return kind, [exact(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(map(repr, value))
    return kind, repr(value)


def outcome(function, value):
    """What a function returns or raises."""
    try:
        return exact(function(value))
    except MisfitError as error:
        return "raises", str(error), repr(error.__cause__)


def generated_dump_of(schema):
    """The generated function alone: it does not read the record back."""
    return generated_dump(schema.cls, [*schema.fields.values()], schema.dump_by_fields)


@settings(max_examples=400)
@given(records())
def test_the_generated_dump_gives_what_the_fields_give_one_by_one(case):
    schema, record = case
    expected = outcome(schema.dump_by_fields, record)
    assert outcome(generated_dump_of(schema), record) == expected


@settings(max_examples=400)
@given(dicts())
def test_the_generated_load_gives_what_the_fields_give_one_by_one(case):
    schema, stored = case
    before = exact(stored)
    assert outcome(schema.load, stored) == outcome(schema.load_by_fields, stored)
    assert exact(stored) == before


@pytest.mark.parametrize(("schema", "record"), CASES[::3])
def test_a_fitting_record_comes_back_through_the_generated_functions(schema, record):
    stored = generated_dump_of(schema)(record)
    assert exact(stored) == exact(schema.dump_by_fields(record))
    assert exact(schema.load(stored)) == exact(record)


@pytest.mark.parametrize(("schema", "record"), CASES[::3])
def test_the_usual_dict_takes_the_generated_path_alone(schema, record):
    def fails(_):
        raise AssertionError("it went field by field")

    fields = [*schema.fields.values()]
    stored = generated_dump(schema.cls, fields, fails)(record)
    assert exact(generated_load(schema.cls, fields, fails, fails)(stored)) == exact(record)


# -- what the generated functions must not do ------------------------------------------------------


@define
class Shared:
    numbers: list[int]
    names: set[str]
    sizes: dict[str, int]
    deep: list[Any]


def test_a_record_and_its_dict_share_no_container():
    def shared():
        return Shared([1], {"a"}, {"a": 1}, [1])

    type_ = record_type(Shared)
    record = shared()
    stored = type_.dump(record)
    loaded = type_.load(stored)
    for change in (stored["numbers"], stored["deep"]):
        change.append(2)
    stored["names"].add("b")
    stored["sizes"]["b"] = 2
    assert record == loaded == shared()


def test_no_name_gets_into_the_source_unless_it_is_an_identifier():
    ran = []
    names = [
        "a; ran.append(1)",
        "'] + ran.append(1) + ['",
        "class",
        "__debug__",
        "größe",
        "ﬁ",
        "x\n",
    ]

    class Hostile:
        def __init__(self, **fields):
            for each in all_fields:
                vars(self)[each.attribute] = fields[each.name]

    all_fields = [
        Field(name, f"{name} as attribute", ATOMS[int], is_argument=True, has_default=False)
        for name in names
    ]
    all_fields.append(Field("ran", "ran", ATOMS[int], is_argument=True, has_default=False))
    stored = {each.name: number for number, each in enumerate(all_fields)}

    record = generated_load(Hostile, all_fields, fail, fail)(stored)

    assert vars(record) == {each.attribute: stored[each.name] for each in all_fields}
    assert generated_dump(Hostile, all_fields, fail)(record) == stored
    assert ran == []


def test_a_class_may_have_any_name():
    cls = attrs.make_class("Plain", {"x": attrs.field(type=int)})
    cls.__qualname__ = "a\0b\ud800 " * 100
    assert record_type(cls).load({"x": 1}) == cls(1)


def test_a_misfit_far_inside_is_found_once_at_each_level():
    tree = Tree("no number")
    for number in range(200):
        tree = Tree(number, [tree]) if number % 2 else Tree(number, [], tree)
    with pytest.raises(RecordError, match=r"value: expected int, got str 'no number'"):
        record_type(Tree).dump(tree)
    tree.value = 1
    stored = inner = {"value": 0, "children": [], "next": None}
    for _ in range(200):
        inner["next"] = inner = {"value": 0, "children": [], "next": None}
    inner["value"] = "no number"
    with pytest.raises(RecordError, match=r"next\.value: expected int, got str 'no number'"):
        record_type(Tree).load(stored)


# -- arguments, errors, threads --------------------------------------------------------------------


def test_a_parameter_by_position_is_given_as_one_by_name():
    @define(init=False)
    class Odd:
        a: int
        b: int
        c: int

        def __init__(self, c: int, /, other: int = 0, *, b: int, a: int) -> None:
            raise AssertionError

    with pytest.raises(CollectionError, match="does not take the fields"):
        record_type(Odd)
    assert record_type(Turned).load({"one": 1, "two": "b"}).two == "b"
    assert record_type(Renamed).load(
        {"secret": "s", "visible": 1, "last": 2, "first": 3}
    ) == Renamed("s", 1, 3, last=2)


def test_a_class_with_a_metaclass_of_its_own_is_called_as_ever():
    class Meta(type):
        def __call__(cls, **fields):
            return super().__call__(**{name: value + 1 for name, value in fields.items()})

    @define
    class Made(metaclass=Meta):
        a: int

    assert record_type(Made).load({"a": 1}).a == 2


def test_a_traceback_shows_the_generated_source():
    with pytest.raises(RecordError) as caught:
        record_type(Checked).load({"age": -1, "email": "a"})
    shown = "".join(traceback.format_exception(caught.value))
    assert "load of tests.test_generated_functions.Checked" in shown
    assert "record = cls(value0, value1)" in shown


def test_many_threads_may_use_a_class_first():
    for _ in range(20):
        type_, barrier, found = record_type(Tree), threading.Barrier(8), []

        def run():
            barrier.wait()  # noqa: B023  # it runs in this round
            found.append(type_.load(type_.dump(Tree(1, [Tree(2)]))))  # noqa: B023

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [Tree(1, [Tree(2)])] * 8


def test_what_is_generated_keeps_no_class():
    cls = attrs.make_class("Gone", {"x": attrs.field(type=int)})
    type_ = record_type(cls)
    assert type_.load(type_.dump(cls(1))) == cls(1)
    gone = weakref.ref(cls)
    del cls, type_
    gc.collect()
    assert gone() is None


def test_two_collections_of_a_class_share_the_compiled_source():
    one, other = record_type(City).schema, record_type(City).schema
    one.load({"name": "Rome", "zip": 1})
    other.load({"name": "Rome", "zip": 1})
    assert one.functions.load.__code__ is other.functions.load.__code__


def fail(*_):
    raise AssertionError("it is not called")
