"""Queries that know the types of the fields: the values that they take, the names that they refuse.

A value that is given for a field is what would be stored there. A step that leads to no field of
the class is an error.
"""

import sys
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

import attrs
import pytest
from attrs import converters, define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, CollectionError, MemoryStore, QueryError, RecordError, key
from stones.collections.language.record_paths import RecordPaths
from stones.collections.records.record_type import record_type

from .test_records import CONVERTED, KEPT_AS_THEY_ARE


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Size(StrEnum):
    SMALL = "s"


@define
class Item:
    name: str
    color: Color = Color.RED
    price: Decimal | None = None


@define
class Gift:
    name: str
    wrapping: Color = Color.BLUE


@frozen
class Point:
    x: int
    color: Color = Color.RED


@define
class Address:
    city: str
    zip: str = ""


@define
class Thing:
    id: int = key()
    color: Color = Color.BLUE
    colors: list[Color] = field(factory=list)
    some: set[Color] = field(factory=set)
    pair: tuple[str, Color] = ("", Color.BLUE)
    by_name: dict[str, Color] = field(factory=dict)
    by_color: dict[Color, Item] = field(factory=dict)
    items: list[Item] = field(factory=list)
    what: Item | Gift | None = None
    mixed: list[Item | Gift] = field(factory=list)
    points: set[Point] = field(factory=set)
    at: dict[Point, Color] = field(factory=dict)
    deep: dict[str, list[tuple[Color, ...]]] = field(factory=dict)
    either: int | Color | None = None
    price: Decimal = Decimal(0)
    ratio: float = 0.0
    level: Level = Level.LOW
    size: Size = Size.SMALL
    born: date | None = None
    address: Address | None = None
    anything: Any = None
    loose: dict[str, Any] = field(factory=dict)


ITEM = Item("anvil", Color.RED, Decimal("1.50"))
FULL = Thing(
    1,
    color=Color.RED,
    colors=[Color.BLUE, Color.RED],
    some={Color.RED},
    pair=("a", Color.RED),
    by_name={"sky": Color.RED},
    by_color={Color.RED: ITEM},
    items=[Item("bell"), ITEM],
    what=ITEM,
    mixed=[ITEM, Gift("book", Color.RED)],
    points={Point(x) for x in range(9)},
    at={Point(1): Color.RED, Point(2): Color.BLUE},
    deep={"a": [(), (Color.RED,)]},
    either=Color.RED,
    price=Decimal("9.90"),
    ratio=1.5,
    level=Level.HIGH,
    born=date(2024, 2, 29),
    address=Address("Paris"),
    anything={"a": ["red", 1]},
    loose={"a": [{"name": "book", "wrapping": "red"}], "b": "red"},
)
EMPTY = Thing(2)


@pytest.fixture
def things(store):
    things = Collection(store, Thing, name="things")
    things.add_many([FULL, EMPTY])
    return things


def ids(query) -> list[Any]:
    return list(query.keys())


def found(things, expression, **values) -> list[int]:
    """The keys that a filter finds. With a `$` in it, jsonpath-ng evaluates it."""
    keys = ids(things.find(f"$[?({expression})]", **values))
    assert ids(things.find(f"$[?($ && {expression})]", **values)) == keys
    assert list(things.search(f"$[?({expression})].id", **values)) == keys
    assert list(things.search(f"$[?($ && {expression})].id", **values)) == keys
    return keys


# -- find(field=value) -------------------------------------------------------------------------

EXCEPT_ID = [each.name for each in attrs.fields(Thing) if each.name not in ("id", "size")]


@pytest.mark.parametrize("name", EXCEPT_ID)
def test_a_value_of_any_field_finds_the_record_that_has_it(things, name):
    assert ids(things.find(**{name: getattr(FULL, name)})) == [1]
    assert ids(things.find(**{name: getattr(EMPTY, name)})) == [2]


@pytest.mark.parametrize("serialize", ["pickle", "json", "cbor", "msgpack"])
@pytest.mark.parametrize(
    ("annotation", "value"),
    [*KEPT_AS_THEY_ARE, *((annotation, value) for annotation, value, _ in CONVERTED)],
    ids=str,
)
def test_a_value_finds_what_was_stored_with_it(annotation, value, serialize):
    cls = attrs.make_class("Holder", {"id": key(type=int), "x": field(type=annotation)})
    holders = Collection(MemoryStore(serialize=serialize), cls)
    holders.add(cls(1, value))
    expected = [] if value != value else [1]  # NaN equals nothing
    assert ids(holders.find(x=value)) == expected
    if type(value) is not bool or annotation is not int:  # in a path, a bool is no number
        assert ids(holders.find("$[?(@.x == {x})]", x=value)) == expected


orders = st.permutations([Point(x, color) for x in range(3) for color in Color])


@given(orders, orders)
def test_a_set_of_records_equals_the_same_set_in_any_order(one, other):
    things = Collection(MemoryStore(serialize="json"), Thing)
    things.add(Thing(1, points=set(one), at=dict.fromkeys(one, Color.RED)))
    same, less = set(other), set(other[1:])
    assert ids(things.find(points=same)) == found(things, "@.points == {x}", x=same) == [1]
    assert ids(things.find(points=less)) == found(things, "@.points == {x}", x=less) == []
    assert ids(things.find(at=dict.fromkeys(other, Color.RED))) == [1]
    assert ids(things.find(at=dict.fromkeys(other, Color.BLUE))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "1"}, "id: expected int, got str '1'"),
        ({"id": None}, "id: expected int, got None"),
        ({"id": 1.0}, "id: expected int, got float 1.0"),
        ({"price": 9.9}, "price: expected Decimal, got float 9.9"),
        ({"color": "red"}, "color: expected Color, got str 'red'"),
        ({"level": 2}, "level: expected Level, got int 2"),
        ({"colors": Color.RED}, "colors: expected list["),
        ({"colors": ["red"]}, r"colors[0]: expected Color, got str 'red'"),
        ({"colors": (Color.RED,)}, "colors: expected list["),
        ({"by_name": {"sky": "red"}}, "by_name['sky']: expected Color, got str 'red'"),
        ({"items": [ITEM, Item(5)]}, "items[1].name: expected str, got int 5"),
        ({"items": [Gift("a")]}, "items[0]: expected Item, got Gift"),
        ({"what": Point(1)}, "what: expected Item | Gift, got Point"),
        ({"born": datetime(2024, 2, 29)}, "born: expected date, got datetime"),
        ({"anything": Color.RED}, "anything: expected a plain value"),
        ({"id": 1, "price": 9.9}, "price: expected Decimal, got float 9.9"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_in_the_field_is_refused(things, values, message):
    with pytest.raises(RecordError) as refused:
        things.find(**values)
    assert str(refused.value).startswith(f"things.find(): {message}")


def test_a_value_that_contains_itself_is_refused(things):
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecordError, match=r"things.find\(\): anything is nested too deeply"):
        things.find(anything=endless)
    for path in ("@.anything == {x}", "@..a == {x}"):
        with pytest.raises(QueryError, match="nested too deeply"):
            things.find(f"$[?({path})]", x=endless)


def test_a_value_is_read_at_once(things):
    wanted = [Color.BLUE, Color.RED]
    queries = [things.find(colors=wanted), things.find("$[?(@.colors == {x})]", x=wanted)]
    wanted.clear()
    assert [ids(query) for query in queries] == [[1], [1]]


@define
class Converted:
    id: int = key()
    tag: str = field(default="", converter=str.strip)
    price: Decimal = field(default=Decimal(0), converter=Decimal)
    tags: list[str] = field(factory=list, converter=list)
    nick: str = field(default="-", converter=converters.default_if_none("-"))


def test_a_value_passes_the_converter_as_it_does_in_the_constructor(store):
    records = Collection(store, Converted)
    given = {"tag": " a ", "price": "9.90", "tags": ("x", "y"), "nick": None}
    records.add(Converted(1, **given))
    for name, value in given.items():
        assert ids(records.find(**{name: value})) == [1]
        assert ids(records.find(**{name: getattr(records[1], name)})) == [1]
    assert found(records, "@.tag == {x}", x=" a") == found(records, "@.price > {x}", x="9") == [1]
    with pytest.raises(RecordError, match=r"Converted.find\(\): price: InvalidOperation"):
        records.find(price="nine")
    assert found(records, "@.price == {x}", x="nine") == []


def test_a_converter_of_the_field_gets_the_field_and_one_of_the_record_is_left_out(store):
    def named(value: str, field: "attrs.Attribute[Any]") -> str:
        return value if value.startswith(field.name) else f"{field.name}:{value}"

    def counted(value: int, record: Any) -> int:
        return value

    @define
    class Special:
        id: int = key()
        name: str = field(default="", converter=attrs.Converter(named, takes_field=True))
        size: int = field(default=0, converter=attrs.Converter(counted, takes_self=True))

    records = Collection(store, Special)
    records.add(Special(1, "a", 5))
    assert ids(records.find(name="a")) == ids(records.find(size=5)) == [1]


# -- values that are bound in a path -----------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("@.color == {x}", Color.RED),
        ("@['color'] == {x}", Color.RED),
        ("@.color > {x}", Color.BLUE),
        ("@.color >= {x}", Color.RED),
        ("@.color != {x}", Color.BLUE),
        ("(@.id > 5 || @.color == {x})", Color.RED),
        ("@.colors == {x}", [Color.BLUE, Color.RED]),
        ("@.colors != {x}", []),
        ("@.colors[*] == {x}", Color.RED),
        ("@.colors[1] == {x}", Color.RED),
        ("@.colors[-1] == {x}", Color.RED),
        ("@.colors[0,1] == {x}", Color.RED),
        ("@.colors[0:2] == {x}", Color.RED),
        ("@.colors[?(@ == {x})]", Color.RED),
        ("@.some == {x}", {Color.RED}),
        ("@.pair == {x}", ("a", Color.RED)),
        ("@.pair[1] == {x}", Color.RED),
        ("@.pair[-1] == {x}", Color.RED),
        ("@.pair[*] == {x}", Color.RED),
        ("@.by_name == {x}", {"sky": Color.RED}),
        ("@.by_name.sky == {x}", Color.RED),
        ("@.by_name['sky'] == {x}", Color.RED),
        ("@.by_name[*] == {x}", Color.RED),
        ("@.by_name[?(@ == {x})]", Color.RED),
        ("@.by_color == {x}", {Color.RED: ITEM}),
        ("@.by_color.red == {x}", ITEM),
        ("@.by_color.*.color == {x}", Color.RED),
        ("@.items == {x}", [Item("bell"), ITEM]),
        ("@.items[*] == {x}", ITEM),
        ("@.items[?(@ == {x})]", ITEM),
        ("@.items[?(@.name == 'anvil' && @.color == {x})]", Color.RED),
        ("@.items[1].price == {x}", Decimal("1.5")),
        ("@.what == {x}", ITEM),
        ("@.what.color == {x}", Color.RED),
        ("@.what['color','name'] == {x}", Color.RED),
        ("@.what._type == {x}", "Item"),
        ("@.mixed == {x}", [ITEM, Gift("book", Color.RED)]),
        ("@.mixed[*] == {x}", Gift("book", Color.RED)),
        ("@.mixed[*].wrapping == {x}", Color.RED),
        ("@.mixed[?(@ == {x})]", ITEM),
        ("@.points[*] == {x}", Point(1)),
        ("@.points[*].color == {x}", Color.RED),
        ("@.at == {x}", {Point(2): Color.BLUE, Point(1): Color.RED}),
        ("@.deep == {x}", {"a": [(), (Color.RED,)]}),
        ("@.deep.a[*] == {x}", (Color.RED,)),
        ("@.deep[*][1][0] == {x}", Color.RED),
        ("@.either == {x}", Color.RED),
        ("@.level > {x}", Level.LOW),
        ("@.level > {x}", 1),
        ("@.level == {x}", 2),
        ("@.level == {x}", Level.HIGH),
        ("@.born >= {x}", date(2000, 1, 1)),
        ("@.address == {x}", Address("Paris")),
        ("@.anything == {x}", {"a": [Color.RED, Level.LOW]}),
        ("@.anything.a[0] == {x}", Color.RED),
        ("@.loose.b == {x}", Color.RED),
        ("@.loose.a[*] == {x}", Gift("book", Color.RED)),
        ("@.loose.a == {x}", [Gift("book", Color.RED)]),
        ("@.loose == {x}", {"a": [Gift("book", Color.RED)], "b": Color.RED}),
        ("@..wrapping == {x}", Color.RED),
        ("@.color.`str()` == {x}", Color.RED),
        ("@.id + 1 == {x}", Level.HIGH),
    ],
    ids=str,
)
def test_a_bound_value_is_compared_as_its_field_is_stored(things, expression, value):
    assert found(things, expression, x=value) == [1]


def test_one_value_is_converted_for_each_place_where_it_stands(things):
    every = "@.color == {x} && @.colors[*] == {x} && @.either == {x} && @.loose.b == {x}"
    assert found(things, every, x=Color.RED) == [1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "1"),
        ("id", None),
        ("id", True),
        ("id", Color.RED),
        ("color", Size.SMALL),
        ("born", datetime(2024, 2, 29)),
        ("colors", ["red"]),
        ("colors", (Color.BLUE, Color.RED)),
        ("some", ["red"]),
        ("some", frozenset({Color.RED})),
        ("pair[1]", 1),
        ("by_name.sky", 1),
        ("what", Point(1)),
        ("what", {"_type": "Item", "name": "anvil", "color": "red", "price": Decimal("1.50")}),
        ("address", {"city": "Paris", "zip": ""}),
        ("price", "9.90"),
        ("ratio", True),
    ],
    ids=str,
)
def test_a_bound_value_that_cannot_be_in_the_field_matches_nothing(things, path, value):
    for op in ("==", "<", ">", "<=", ">="):
        assert found(things, f"@.{path} {op} {{x}}", x=value) == []
    assert 1 in found(things, f"@.{path} != {{x}}", x=value)


def test_numbers_compare_by_value_whatever_the_type_of_the_field(things):
    assert found(things, "@.id == {x}", x=1.0) == found(things, "@.id < {x}", x=1.5) == [1]
    assert found(things, "@.id == {x}", x=Decimal(1)) == [1]
    assert found(things, "@.ratio == {x}", x=Decimal("1.5")) == [1]
    assert found(things, "@.price == {x}", x=0) == found(things, "@.price == {x}", x=0.0) == [2]
    assert found(things, "@.ratio == {x}", x=Level.LOW) == []


def test_a_text_compares_with_an_enum_of_texts(things):
    assert found(things, "@.size == {x}", x="s") == found(things, "@.size == {x}", x=Size.SMALL)
    assert found(things, "@.size == {x}", x="s") == [1, 2]


def test_a_pattern_is_never_converted(things):
    assert found(things, "@.color =~ {x}", x="^r") == [1]
    with pytest.raises(QueryError, match="takes a regular expression"):
        things.find("$[?(@.size =~ {x})]", x=None)


def test_a_bound_text_or_number_compares_as_the_same_literal_does(things):
    for path, literal, value in [
        ("color", '"red"', "red"),
        ("pair[1]", '"red"', "red"),
        ("level", "2", 2),
        ("id", '"1"', "1"),
        ("price", '"9.90"', "9.90"),
    ]:
        for op in ("==", "!=", "<"):
            bound = found(things, f"@.{path} {op} {{x}}", x=value)
            assert bound == found(things, f"@.{path} {op} {literal}")


def test_a_literal_compares_with_what_is_stored(things):
    assert found(things, '@.color == "red"') == found(things, "@.level == 2") == [1]
    assert found(things, '@.by_color.red.color == "red"') == [1]


def test_a_bound_record_that_cannot_be_stored_is_refused(things):
    @define
    class Odd:
        x: complex

    with pytest.raises(CollectionError, match="complex cannot be stored"):
        things.find("$[?(@.anything == {x})]", x=Odd(1j))


def test_a_search_converts_its_values_in_any_path(things):
    assert list(things.search("$[*].colors[?(@ == {x})]", x=Color.RED)) == ["red"]
    assert list(things.search("$[0].items[?(@ == {x})].name", x=ITEM)) == ["anvil"]
    assert list(things.search("$[?(@.what == {x})].mixed[*].name", x=ITEM)) == ["anvil", "book"]
    assert list(things.search("$[0:9].points[?(@ == {x})].x", x=Point(3))) == [3]


@define
class Holder:
    gift: Gift


@define
class Chooser:
    gift: Gift | Item


@define
class Drawer:
    id: int = key()
    one: Holder | Chooser | None = None
    many: list[Gift] | dict[str, Gift | Item] | None = None
    gift: Gift | None = None
    any_gift: Gift | Item | None = None


@pytest.mark.parametrize(
    "path",
    ["@.one.gift", "@['one', 'gift'].gift", "@.many[*]", "@['gift', 'any_gift']", "@.*", "@.*.*"],
)
def test_a_bound_value_has_all_forms_of_the_types_that_the_path_leads_to(store, path):
    # A field with two classes stores the name of the class, and a field with one does not.
    drawers: Collection[int, Drawer] = Collection(store, Drawer)
    drawers.add(Drawer(1, Holder(Gift("a")), [Gift("a")], Gift("a")))
    drawers.add(Drawer(2, Chooser(Gift("a")), {"x": Gift("a")}, None, Gift("a")))
    drawers.add(Drawer(3, Holder(Gift("b")), [Gift("b")], Gift("b")))
    drawers.add(Drawer(4, Chooser(Item("a")), {"x": Item("a")}, None, Item("a")))

    found = drawers.find(f"{path} == {{gift}}", gift=Gift("a"))
    others = drawers.find(f"!({path} == {{gift}})", gift=Gift("a"))
    in_all = drawers.find(f"{path} == {{gift}} && $", gift=Gift("a"))

    assert [*found.keys()] == [*in_all.keys()] == [1, 2]
    assert [*others.keys()] == [3, 4]


def test_a_bound_value_differs_if_it_differs_in_all_its_forms(store):
    drawers: Collection[int, Drawer] = Collection(store, Drawer)
    drawers.add(Drawer(1, Holder(Gift("a"))))
    drawers.add(Drawer(2, Chooser(Gift("a"))))
    drawers.add(Drawer(3, Chooser(Gift("b"))))
    assert [*drawers.find("@.one.gift != {gift}", gift=Gift("a")).keys()] == [3]


# -- names that no field has -------------------------------------------------------------------


@define
class User:
    email: str = key()
    country: str = "DE"
    age: int = 0
    address: Address | None = None
    items: list[Item] = field(factory=list)
    pets: dict[str, Item] = field(factory=dict)
    what: Item | Gift | None = None
    mixed: list[Item | Gift | int] = field(factory=list)
    notes: dict[str, Any] = field(factory=dict)
    odd: Any = None


@pytest.fixture
def users(store):
    users = Collection(store, User, name="users")
    users.add(User("ada@x", age=36, address=Address("Paris"), notes={"a": {"b": 1}}))
    return users


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("@.contry == 1", "User has no field 'contry': did you mean 'country'?"),
        ("@['contry'] == 1", "User has no field 'contry': did you mean 'country'?"),
        ("@.email == @.contry", "User has no field 'contry'"),
        ("@.contry", "User has no field 'contry'"),
        ("!@.contry", "User has no field 'contry'"),
        ("@.email && @.contry > 1", "User has no field 'contry'"),
        ("@.email || (@.age && @.contry > 1)", "User has no field 'contry'"),
        ("@.agee + 1 == 3", "User has no field 'agee': did you mean 'age'?"),
        ("@.age + @.agee == 3", "User has no field 'agee'"),
        ("@['email','agee'] == 3", "User has no field 'agee'"),
        ("@.contry =~ 'a'", "User has no field 'contry'"),
        ("@.contry =~ {x}", "User has no field 'contry'"),
        ("@.contry == {x}", "User has no field 'contry'"),
        ("@.contry..a == 1", "User has no field 'contry'"),
        ("@.contry.`len` == 1", "User has no field 'contry'"),
        ("@.age > $[0].agee", "User has no field 'agee'"),
        ("$[?(@.agee)]", "User has no field 'agee'"),
        ("@._type == 'User'", "User has no field '_type'"),
        ("@.address.cty == 1", "Address has no field 'cty': did you mean 'city'?"),
        ("@.address['cty'] == 1", "Address has no field 'cty'"),
        ("@.items[*].nme", "Item has no field 'nme': did you mean 'name'?"),
        ("@.items[0].nme", "Item has no field 'nme'"),
        ("@.items[0:2].nme", "Item has no field 'nme'"),
        ("@.items[?(@.nme == 1)]", "Item has no field 'nme'"),
        ("@.items[?(@.name)].nme", "Item has no field 'nme'"),
        ("@.items[?($[0].agee)]", "User has no field 'agee'"),
        ("@.pets.rex.nme", "Item has no field 'nme'"),
        ("@.pets[*].nme", "Item has no field 'nme'"),
        ("@.what.nme", "Item | Gift has no field 'nme': did you mean 'name'?"),
        ("@.mixed[*].wraping", "Item | Gift has no field 'wraping': did you mean 'wrapping'?"),
        ("@.age > $.age", "$ is the list of all records, and has no field 'age': write $[*].age"),
    ],
)
def test_a_step_that_leads_to_no_field_is_an_error_of_the_filter(users, expression, message):
    values = {"x": "1"} if "{x}" in expression else {}
    path = f"$[?({expression})]"
    for ask in (users.find, users.search):
        with pytest.raises(QueryError) as refused:
            ask(path, **values)
        assert str(refused.value).startswith(f"{path!r}: {message}")


@pytest.mark.parametrize(
    "expression",
    [
        "@.notes.x.y.z",
        "@.odd.x.y",
        "@..nothing",
        "@.items..nothing",
        "@.address..nothing == 1",
        "@.what._type == 'Item'",
        "@.what.wrapping == 1",
        "@.mixed[*]._type == 1",
        "@.mixed[*].color == 1",
        "@.pets.whatever",
        "@.age.x",
        "@.age.`parent`.nothing",
        "@[0]",
        "@[0].x",
        "@.items.name",
        "@.`this`.odd.x",
    ],
)
def test_a_step_that_may_lead_somewhere_is_no_error(users, expression):
    assert ids(users.find(f"$[?({expression})]")) == []


@pytest.mark.parametrize(
    "path", ["emial", "$.emial", "@.emial", "['emial']", "['age','emial']", "items[?($.emial)]"]
)
def test_a_step_that_leads_to_no_field_is_an_error_of_values(users, path):
    query = users.find()
    with pytest.raises(QueryError, match="User has no field 'emial': did you mean 'email'"):
        query.values(path)
    with pytest.raises(QueryError, match="User has no field 'emial'"):
        users.find("$[*]").limit(3).values(path)


@pytest.mark.parametrize(
    "path",
    [
        "$[*].emial",
        "@[*].emial",
        "[*].emial",
        "$.*.emial",
        "$[*]['emial']",
        "$[*]['age','emial']",
        "$[*][age,emial]",
        "$[?(@.emial == 1)].age",
        "$[?(@.age == 1)].emial",
        "$[?($ && @.age == 1)].emial",
        "$[0].emial",
        "$[-1].emial",
        "$[0,1].emial",
        "$[0:3].emial",
        "$[/emial]",
        "$[\\age][0].emial",
        "$[*].address[?($[0].emial)]",
        "$[*] where emial",
        "$..[?($[0].emial)]",
    ],
)
def test_a_step_that_leads_to_no_field_is_an_error_of_a_search(users, path):
    with pytest.raises(QueryError, match="User has no field 'emial': did you mean 'email'"):
        users.search(path)


@pytest.mark.parametrize(
    ("path", "name", "hint"),
    [("age", "age", "$[*].age"), ("$.age", "age", "$[*].age"), ("$['a b']", "a b", "$[*]['a b']")],
)
def test_a_search_for_a_field_of_the_list_says_how_to_write_it(users, path, name, hint):
    with pytest.raises(QueryError) as refused:
        users.search(path)
    assert str(refused.value) == (
        f"{path!r}: $ is the list of all records, and has no field {name!r}: "
        f"write {hint} for the field of each record"
    )


def test_a_path_may_have_many_steps(users):
    assert list(users.find().values("notes" + ".a" * 100)) == []
    with pytest.raises(QueryError, match="nested too deeply"):
        users.find().values("notes" + ".a" * 1000)


def test_records_may_have_more_fields_than_the_class():
    conversion = record_type(User).conversion
    paths = RecordPaths(conversion, extra_fields=["nick"])
    assert paths.values("nick.x").find({"nick": {"x": 1}}) == [1]
    assert paths.filter("$[?(@.nick == {x})]").bind({"x": Color.RED})({"nick": "red"})
    with pytest.raises(QueryError, match="User has no field 'nik'"):
        paths.filter("$[?(@.nik == 1)]")
    with pytest.raises(QueryError, match="Address has no field 'nick'"):
        paths.filter("$[?(@.address.nick == 1)]")


# -- a class that contains itself --------------------------------------------------------------


@define
class Node:
    id: int = key()
    color: Color = Color.BLUE
    children: list["Node"] = field(factory=list)


def test_a_path_may_go_round_in_a_class_that_contains_itself(store):
    nodes = Collection(store, Node)
    nodes.add(Node(1, children=[Node(2, children=[Node(3, Color.RED)])]))
    assert found(nodes, "@.children[*].children[*].color == {x}", x=Color.RED) == [1]
    assert found(nodes, "@.children[0].children == {x}", x=[Node(3, Color.RED)]) == [1]
    with pytest.raises(QueryError, match="Node has no field 'colour': did you mean 'color'"):
        nodes.find("$[?(@.children[*].children[*].colour)]")


if sys.version_info >= (3, 12):  # which have the type statement
    RECURSIVE = """
type Tree = Color | list[Tree]

@define
class Holder:
    id: int = key()
    tree: Tree
"""

    def test_a_path_may_go_round_in_an_alias_that_contains_itself(store):
        names = {"Color": Color, "define": define, "key": key, "__name__": __name__}
        exec(RECURSIVE, names)
        holders = Collection(store, names["Holder"])
        holders.add(names["Holder"](1, [[Color.RED], Color.BLUE]))
        for path, value in [
            ("tree", [[Color.RED], Color.BLUE]),
            ("tree[0]", [Color.RED]),
            ("tree[0][0]", Color.RED),
            ("tree[*][*]", Color.RED),
        ]:
            assert found(holders, f"@.{path} == {{x}}", x=value) == [1]
            assert found(holders, f"@.{path} == {{x}}", x="blue") == []
