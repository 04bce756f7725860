"""A record class that changes: what is read, what is kept, and who may go on with which records."""

import gc
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Self
from uuid import UUID

import attrs
import pytest
from attrs import define, field

from stones import (
    Collection,
    CollectionError,
    CorruptValueError,
    LmdbStore,
    QueryError,
    RecordError,
    check,
    inspect,
    key,
    migrate,
    salvage,
    stone,
)
from stones.engine import Space

from .processes import Follower, run


class Colour(Enum):
    RED = "red"


@define
class Point:
    x: int
    y: int = 0


_VERSIONS = {}


def version(*fields, name="User", **defaults):
    """A class `User` with the key `name`, and these fields of type str or with these defaults.

    The same arguments give the same class.
    """
    arguments = repr((fields, name, defaults))
    if arguments not in _VERSIONS:
        _VERSIONS[arguments] = new_version(*fields, name=name, **defaults)
    return _VERSIONS[arguments]


def new_version(*fields, name, **defaults):
    members = {"name": key(), **{one: attrs.field() for one in fields}, **defaults}
    annotations = {one: str if one in ("name", *fields) else Any for one in members}
    made = type(name, (), {"__annotations__": annotations, **members})
    return define(made)


def described(store, name):
    """The description of a collection, as it is stored."""
    raw = store.database.get(b"collection/" + name.encode(), Space.META)
    return None if raw is None else json.loads(raw)


def users_of(store, cls, **options):
    return Collection(store, cls, name="users", **options)


# -- opening is not writing ------------------------------------------------------------------------


OPENER = """
import sys
from attrs import define
from stones import *
@define
class Person:
    name: str = key()
    country: str = 'DE'
with LmdbStore(sys.argv[1]) as store:
    print('open', flush=True)
    for name in sys.stdin:
        print(len(Collection(store, Person, name=name.strip())), flush=True)
"""


def test_opening_writes_nothing_and_waits_for_no_writer(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        users_of(store, version()).add(version()("ada"))
        before = described(store, "users")
        with Follower(OPENER, tmp_path / "db") as other, store.transaction():
            assert [other.ask("users"), other.ask("fresh")] == ["1", "0"]
        assert described(store, "users") == before
        assert store.stats()["collections"] == {"users": 1}


def test_what_removes_from_a_collection_that_was_never_written_writes_nothing(store):
    users = users_of(store, version())
    assert not users.delete("ada")
    users.clear()
    for removal in (lambda: users.pop("ada"), users.popitem, lambda: users.__delitem__("ada")):
        with pytest.raises(KeyError):
            removal()
    assert described(store, "users") is None
    assert len(users) == 0


def test_a_removal_spares_keys_that_came_after_the_opening_and_are_no_records(store):
    users = users_of(store, version())
    store["users/ada"] = {"name": "ada"}
    users.clear()
    assert not users.delete("ada")
    assert users.pop("ada", None) is None
    assert store["users/ada"] == {"name": "ada"}
    with pytest.raises(CollectionError, match="are no records"):
        users.add(version()("bob"))


def test_the_description_goes_with_the_transaction_of_the_first_record(store):
    users = users_of(store, version())
    with pytest.raises(ZeroDivisionError), store.transaction():
        users.add(version()("ada"))
        raise ZeroDivisionError
    assert described(store, "users") is None
    store["users/x"] = 1
    del store["users/x"]
    users.add(version()("ada"))
    assert described(store, "users")["fields"] == ["name"]


@pytest.mark.needs("snapshots")
def test_a_snapshot_without_the_collection_has_an_empty_one(store):
    with store.snapshot() as view:
        users_of(store, version()).add(version()("ada"))
        users = users_of(view, version())
        assert (len(users), list(users), list(users.find()), users.get("ada")) == (0, [], [], None)


def test_an_emptied_collection_takes_another_class_and_other_keys(store):
    users = users_of(store, version())
    users.add(version()("ada"))

    @define
    class Numbered:
        number: int = key()

    with pytest.raises(CollectionError, match=r"keys of type str, the keys of .*Numbered are int"):
        users_of(store, Numbered)
    users.clear()
    numbered = users_of(store, Numbered)
    numbered.add(Numbered(7))
    assert list(numbered) == [7]
    assert described(store, "users")["key"] == "int"
    with pytest.raises(CollectionError, match="keys of type int"):
        users.add(version()("bob"))


# -- names are hints -------------------------------------------------------------------------------


def test_a_class_may_be_renamed_and_get_a_field_at_once(store):
    users_of(store, version()).add(version()("ada"))
    renamed = version(name="Person", country="DE")
    assert users_of(store, renamed)["ada"] == renamed("ada")
    users_of(store, renamed).add(renamed("bob"))
    assert described(store, "users")["record"] == "Person"


def test_what_cannot_be_read_is_refused_with_the_key_and_the_field(store):
    users_of(store, version("city")).add(version("city")("ada", "Paris"))
    with pytest.raises(CollectionError, match=r"'users'.*User.*'ada'.*height: is missing.*name="):
        users_of(store, version("city", "height", name="Person"))
    with pytest.raises(CollectionError, match=r"has no field 'city'.*unknown='keep'"):
        users_of(store, version(name="Person"))
    assert described(store, "users")["record"] == "User"


def test_a_class_that_does_not_fit_is_refused_at_the_first_write_too(store):
    strict = users_of(store, version("height"))
    users_of(store, version("city")).add(version("city")("ada", "Paris"))
    with pytest.raises(CollectionError, match="'ada'"):
        strict.add(version("height")("bob", "1 m"))
    assert len(strict) == 1


def test_damaged_bytes_are_no_reason_to_refuse_the_class(store):
    users_of(store, version()).add(version()("ada"))
    with store.database.writing() as txn:
        raw = txn.get(Space.DATA, b"users/ada")
        txn.put(Space.DATA, b"users/ada", raw[:3])
    users = users_of(store, version(country="DE"))
    with pytest.raises(CorruptValueError):
        users["ada"]


def test_two_programs_do_not_take_turns_in_changing_the_description(store):
    old, new = version(), version(name="Person", country="DE")
    first, second = users_of(store, old), users_of(store, new)
    first.add(old("ada"))
    second.add(new("bob"))
    first.delete("bob")
    written = described(store, "users")
    for number in range(3):
        first.add(old(f"old {number}"))
        second.put(new(f"new {number}"))
        second.delete(f"new {number}")
        assert described(store, "users") == written
    assert written["fields"] == ["name", "country"]


# -- defaults --------------------------------------------------------------------------------------

CONSTANTS = {
    "none": None,
    "bool": False,
    "large int": 1 << 3000,
    "nan": float("inf"),
    "str": "DE\ud800",
    "bytes": b"\x00\xff",
    "date": date(2020, 2, 29),
    "datetime": datetime(2020, 1, 1, tzinfo=UTC),
    "timedelta": timedelta(microseconds=1),
    "decimal": Decimal("1.50"),
    "uuid": UUID(int=1),
    "tuple": (1, ("a", b"b")),
    "set": {1, 2},
    "dict": {"$tuple": [1], 2: "two"},
    "list": [[], {}],
}


@pytest.mark.parametrize("default", CONSTANTS.values(), ids=CONSTANTS)
def test_a_record_has_the_default_that_a_field_had_when_it_was_added(store, default):
    users_of(store, version()).add(version()("ada"))
    second, third = version(extra=default), version(extra="changed")
    assert users_of(store, second)["ada"].extra == default
    users_of(store, second).add(second("bob"))
    users = users_of(store, third)
    users.add(third("eve"))
    assert [user.extra for user in users.values()] == [default, default, "changed"]
    assert list(users.find().values("extra")) == [default, default, "changed"]
    assert type(users["ada"].extra) is type(default)


def test_the_default_is_kept_for_programs_that_were_open_before(store):
    first, second, third = version(), version(extra=1), version(extra=2)
    users_of(store, first).add(first("ada"))
    reader = users_of(store, third)
    assert reader["ada"].extra == 2
    users_of(store, second).add(second("bob"))
    assert reader["ada"].extra == 1


def test_a_default_that_is_removed_from_the_class_is_kept(store):
    users_of(store, version()).add(version()("ada"))
    users_of(store, version(country="DE")).add(version(country="DE")("bob"))
    assert users_of(store, version("country"))["ada"].country == "DE"


@define
class Typed:
    name: str = key()
    colour: Colour = Colour.RED
    at: Point = field(default=Point(1))
    maybe: Point | None = field(default=Point(2, 3))
    tags: list[str] = field(factory=list)
    by_name: dict[str, Point] = field(factory=dict)
    seen: set[int] = field(factory=set)
    size: int = field(default="3", converter=int)
    made: int = field(default=7, init=False)


@define
class TypedLater:
    name: str = key()
    colour: Colour | None = None
    at: Point = field(default=Point(100))
    maybe: Point | None = None
    tags: list[str] = field(factory=lambda: ["changed"])
    by_name: dict[str, Point] = field(factory=lambda: {"a": Point(1)})
    seen: set[int] = field(factory=lambda: {1})
    size: int = 0
    made: int = field(default=0, init=False)


def test_enums_records_containers_and_converted_values_are_kept(store):
    users_of(store, version()).add(version()("ada"))
    users_of(store, Typed).add(Typed("bob"))
    users = users_of(store, TypedLater)
    assert attrs.asdict(users["ada"]) == attrs.asdict(Typed("ada"))
    users["ada"].tags.append("mine")
    next(iter(users.find(name="ada").values("tags"))).append("mine")
    assert users["ada"].tags == []
    assert list(users.find(name="ada").values("tags")) == [[]]
    assert users.find("$[?(@.at.x == 1 && @.size == 3)]").count() == 2


def test_a_computed_default_is_computed_at_each_read(store):
    @define
    class Computed:
        name: str = key()
        size: int = field()

        @size.default
        def _size(self):
            return len(self.name)

    users_of(store, version()).add(version()("ada"))
    users = users_of(store, Computed)
    users.add(Computed("bobby"))
    assert users["ada"].size == 3
    assert users.find("$[?(@.size == 3)]").one().name == "ada"
    assert "defaults" not in described(store, "users")


def test_a_field_that_an_old_program_did_not_write_has_its_default_then(store):
    old, new = version(), version(country="DE")
    users_of(store, new).add(new("bob", "FR"))  # the collection is new: no default is kept
    users_of(store, old, unknown="drop").add(old("ada"))
    users = users_of(store, new)
    assert users.find(country="DE").one().name == "ada"
    users.add(new("eve"))
    assert users_of(store, version(country="changed"))["ada"].country == "DE"


# -- queries ---------------------------------------------------------------------------------------


def test_queries_see_a_record_as_its_class_reads_it(store):
    users_of(store, version()).add(version()("ada"))
    new = version(country="DE", nick=None)
    users = users_of(store, new)
    for _ in range(2):  # before the new class has written, and after that
        assert users.find(country="DE").count() == users.find(nick=None).count()
        assert "ada" in list(users.find(country="DE").keys())
        assert users.find("$[?(@.nick == null)]").exists()
        assert next(users.find().values("country")) == "DE"
        assert next(users.search("$[*].country")) == "DE"
        users.add(new("bob"))
        users = users_of(store, new)
        store.clear()
        users_of(store, version()).add(version()("ada"))


def test_a_record_that_the_class_cannot_read_breaks_no_keys_and_no_count(store):
    users_of(store, version()).add(version()("ada"))
    users = users_of(store, version(country="DE"))
    with store.database.writing() as txn:
        raw = store.database.codec.encode(b"users/bob", {"name": "bob", "city": "Rome"})
        txn.put(Space.DATA, b"users/bob", raw)
    assert list(users.find().keys()) == ["ada", "bob"]
    assert users.find("$[?(@.country == 'DE')]").count() == 2
    with pytest.raises(RecordError, match="no field 'city'"):
        list(users.find())


def test_a_text_that_only_a_default_has_is_found(store):
    users_of(store, version()).add(version()("ada"))
    new = version(country={"code": ["DE", "D"]})
    users = users_of(store, new)
    users.add(new("bob", {"code": ["FR", "F"]}))
    for text, names in {"DE": ["ada"], "FR": ["bob"], "IT": []}.items():
        assert list(users.find("$[?(@.country.code[*] == {text})]", text=text).keys()) == names
    assert list(users.find(name="ada").keys()) == ["ada"]


# -- fields that the class does not know -----------------------------------------------------------


@define
class Address:
    city: str


@define
class NewAddress:
    city: str
    country: str = "DE"


def holding(address: Any) -> Any:
    @define
    class Old:
        name: str = key()
        home: address
        age: int = 0
        others: list[address] = field(factory=list)
        by_name: dict[str, address] = field(factory=dict)

    return Old


Old = holding(Address)


@define
class New:
    name: str = key()
    nick: str
    home: NewAddress
    age: int = 0
    others: list[NewAddress] = field(factory=list)
    by_name: dict[str, NewAddress] = field(factory=dict)


def new_ada():
    return New(
        "ada",
        "countess",
        NewAddress("Paris", "FR"),
        36,
        [NewAddress("Rome", "IT"), NewAddress("Bern", "CH")],
        {"work": NewAddress("Oslo", "NO")},
    )


@pytest.mark.parametrize("unknown", [None, "Keep", "", 1, ["keep"], True])
def test_another_word_for_unknown_fields_is_refused(store, unknown):
    with pytest.raises(CollectionError, match="unknown= is 'error', 'keep' or 'drop'"):
        users_of(store, Old, unknown=unknown)


def test_unknown_fields_are_an_error_that_shows_the_option(store):
    users_of(store, New).add(new_ada())
    with pytest.raises(CollectionError, match=r"Old has no field 'nick'.*unknown='keep' or 'drop'"):
        users_of(store, Old)


def test_unknown_fields_are_dropped_when_read_and_gone_when_written(store):
    users_of(store, New).add(new_ada())
    users = users_of(store, Old, unknown="drop")
    assert users["ada"].home == Address("Paris")
    assert list(users.search("$[*].*"))[:2] == ["ada", {"city": "Paris"}]
    users.update("ada", age=37)
    assert store["users/ada"].keys() == {"name", "home", "age", "others", "by_name"}


def change_in_place(user):
    user.age += 1
    user.home.city = "London"
    user.others.reverse()
    user.by_name["new"] = Address("Riga")


CHANGES = {
    "update": lambda users: users.update("ada", age=37),
    "modify": lambda users: users.modify("ada", lambda user: attrs.evolve(user, age=37)),
    "in place": lambda users: users.modify("ada", change_in_place),
    "put": lambda users: users.put(attrs.evolve(users["ada"], age=37)),
    "[]=": lambda users: users.__setitem__("ada", users["ada"]),
    "setdefault": lambda users: users.setdefault("ada", users["ada"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_unknown_fields_stay_in_the_record(store, change):
    users_of(store, New).add(new_ada())
    users = users_of(store, Old, unknown="keep")
    change(users)
    now = users_of(store, New)["ada"]
    assert (now.nick, now.home.country, now.by_name["work"].country) == ("countess", "FR", "NO")
    assert {one.city: one.country for one in now.others} == {"Rome": "IT", "Bern": "CH"}


def test_an_item_that_is_changed_at_its_place_keeps_its_unknown_fields(store):
    users_of(store, New).add(new_ada())

    def move(user):
        user.others[1].city = "Basel"

    users_of(store, Old, unknown="keep").modify("ada", move)
    expected = [NewAddress("Rome", "IT"), NewAddress("Basel", "CH")]
    assert users_of(store, New)["ada"].others == expected


def test_items_are_followed_when_others_come_and_go(store):
    users_of(store, New).add(new_ada())

    def change(user):
        user.others = [Address("Kyiv"), user.others[1], Address("Lviv")]

    users_of(store, Old, unknown="keep").modify("ada", change)
    expected = [NewAddress("Kyiv"), NewAddress("Bern", "CH"), NewAddress("Lviv")]
    assert users_of(store, New)["ada"].others == expected


def test_a_record_that_is_removed_and_added_again_keeps_nothing(store):
    users_of(store, New).add(new_ada())
    users = users_of(store, Old, unknown="keep")
    users.add(users.pop("ada"))
    assert "nick" not in store["users/ada"]


def test_queries_see_unknown_fields_that_are_kept(store):
    users_of(store, New).add(new_ada())
    users = users_of(store, Old, unknown="keep")
    assert list(users.search("$[*].home.country")) == ["FR"]
    assert users.find("$[?(@.nick == 'countess')]").exists()
    assert list(users.find().values("nick")) == ["countess"]
    with pytest.raises(QueryError, match="no field 'nik'"):
        users.find("$[?(@.nik == 'countess')]")
    with pytest.raises(QueryError, match="no field 'nick'"):
        users_of(store, Old, unknown="drop").search("$[*].nick")


def test_a_record_of_a_class_that_was_defined_again_is_refused_with_what_to_do(store):
    def defined():
        @define
        class Card:
            number: str

        @define
        class Cash:
            amount: int

        @define
        class Order:
            id: int = key()
            card: Card | None = None
            paid: Card | Cash | None = None

        return Card, Order

    card, order = defined()
    new_card, new_order = defined()
    orders = Collection(store, order)
    advice = "of another class with this name: if the class was defined again, make the collection"
    with pytest.raises(RecordError, match=rf"class Order, not Order\(id=1.*\), {advice}"):
        orders.add(new_order(1))
    with pytest.raises(RecordError, match=rf"card: expected Card, got Card\(.*\), {advice}"):
        orders.add(order(1, new_card("4000")))
    with pytest.raises(RecordError, match=rf"paid: expected Card . Cash, got Card\(.*\), {advice}"):
        orders.add(order(1, None, new_card("4000")))
    Collection(store, new_order).add(new_order(1, new_card("4000")))
    assert orders[1] == order(1, card("4000"))


def test_a_given_record_equals_one_with_unknown_fields_that_are_kept(store):
    @define(frozen=True)
    class Place:
        x: int
        y: int = 0

    @define
    class Trip:
        id: int = key()
        start: Place | None = None
        stops: list[Place] = field(factory=list)
        by: dict[str, Place] = field(factory=dict)

    Collection(store, Trip).add(Trip(1, Place(1, 2), [Place(3, 4)], {"a": Place(5, 6)}))
    new = Place

    @define(frozen=True, eq=False)  # two records are equal if they are stored alike
    class Place:
        x: int

    @define
    class OldTrip:
        id: int = key()
        start: Place | None = None
        stops: list[Place] = field(factory=list)
        by: dict[str, Place] = field(factory=dict)

    for unknown in "keep", "drop":
        trips = Collection(store, OldTrip, name="Trip", unknown=unknown)
        given = {"start": Place(1), "stops": [Place(3)], "by": {"a": Place(5)}}
        for name, value in given.items():
            assert trips.find(**{name: value}).count() == 1
            assert trips.find(f"@.{name} == {{value}}", value=value).count() == 1
            assert trips.find(f"@.{name} != {{value}}", value=value).count() == 0
        assert trips.find("@.stops[*] == {stop}", stop=Place(3)).count() == 1
        assert trips.find(start=Place(2)).count() == trips.find(start=None).count() == 0
    assert Collection(store, Trip).find(start=new(1, 2)).count() == 1
    assert Collection(store, Trip).find(start=new(1)).count() == 0


def test_a_dict_of_a_new_record_has_the_defaults_of_the_class(store):
    users_of(store, version()).add(version()("ada"))
    users_of(store, version(country="DE")).add(version(country="DE")("bob"))
    users = users_of(store, version(country="FR"), unknown="keep")
    assert users["ada"].country == "DE"
    assert users.from_dict({"name": "eve"}).country == "FR"
    with pytest.raises(RecordError, match="no field 'nick'"):
        users.from_dict({"name": "eve", "nick": "e"})


def test_a_damaged_record_is_mended_by_put(store):
    users_of(store, New).add(new_ada())
    users = users_of(store, Old, unknown="keep")
    with store.database.writing() as txn:
        txn.put(Space.DATA, b"users/ada", txn.get(Space.DATA, b"users/ada")[:3])
    users.put(Old("ada", Address("Paris")))
    assert users["ada"].home == Address("Paris")


OLD_PROGRAM = """
from attrs import define, evolve
@define
class User:
    email: str = key()
    name: str
    age: int = 0
store = LmdbStore(argv[0])
users = Collection(store, User, name='users', unknown='keep')
assert users['ada@x'] == User('ada@x', 'Ada', 36)
users.update('ada@x', age=37)
users.modify('ada@x', lambda user: evolve(user, name='Ada L.'))
users.put(evolve(users['ada@x'], age=38))
users['ada@x'] = users['ada@x']
assert [user.email for user in users.values()] == ['ada@x', 'old@x']
assert users.find(age=38).one().name == 'Ada L.'
assert list(users.search('$[*].age')) == [38, 7]
users.add(User('late@x', 'Late'))
users.delete('late@x')
users.add(User('later@x', 'Later'))
"""


def test_an_old_program_with_keep_does_the_new_one_no_harm(tmp_path):
    new = """
from attrs import define
@define
class User:
    email: str = key()
    name: str
    country: str = argv[1]
    age: int = 0
users = Collection(LmdbStore(argv[0]), User, name='users')
"""
    start = "store = stone(argv[0], LmdbStore, serialize='json')\n" + OLD_PROGRAM
    start = start.split("store = LmdbStore(argv[0])")[0] + (
        "Collection(store, User, name='users').add(User('old@x', 'Old', 7))"
    )
    add = "users.add(User('ada@x', 'Ada', 'FR', 36))"
    look = "print([(user.email, user.age, user.country) for user in users.find()])"
    path = tmp_path / "db"
    for program, *arguments in [(start,), (new + add, "DE"), (OLD_PROGRAM,), (new + look, "US")]:
        done = run(program, path, *arguments)
        assert done.returncode == 0, done.stderr
    expected = [("ada@x", 38, "FR"), ("later@x", 0, "DE"), ("old@x", 7, "DE")]
    assert done.stdout == f"{expected}\n"


# -- classes inside --------------------------------------------------------------------------------


def test_defaults_of_classes_inside_are_kept(store):
    users = users_of(store, Old)
    home = Address("Paris")
    users.add(Old("ada", home, 1, [Address("Rome")], {"work": Address("Oslo")}))

    @define
    class Renamed:
        city: str
        country: str = "changed"

    between, last = holding(NewAddress), holding(Renamed)
    assert users_of(store, between)["ada"].home == NewAddress("Paris", "DE")
    users_of(store, between).add(between("bob", NewAddress("Paris")))
    users = users_of(store, last)
    ada = users["ada"]
    assert [one.country for one in (ada.home, *ada.others, *ada.by_name.values())] == ["DE"] * 3
    assert users.find("$[?(@.home.country == 'DE' && @.by_name.work.country == 'DE')]").count() == 1
    assert users.find("$[?(@.others[0].country == 'DE')]").count() == 1


@define
class Tree:
    label: str
    children: list["Tree"] = field(factory=list)


def test_defaults_of_a_class_inside_itself_are_kept(store):
    Collection(store, Tree, name="trees").add(Tree("root", [Tree("leaf")]))

    def with_weight(default):
        @define
        class Tree:
            label: str
            weight: int = default
            children: list[Self] = field(factory=list)

        return Tree

    second, third = with_weight(1), with_weight(2)
    Collection(store, second, name="trees").add(second("another"))
    root, _ = Collection(store, third, name="trees").values()
    assert (root.weight, root.children[0].weight) == (1, 1)
    assert list(Collection(store, third, name="trees").search("$[*].children[*].weight")) == [1]


# -- a field that grows from a class to a union ----------------------------------------------------


@define
class Card:
    number: str
    valid: int = 2030


@define
class Cash:
    amount: int


@define
class Gift:
    number: str
    valid: int = 1


def order(annotation):
    @define
    class Order:
        id: int = key()
        payment: annotation = None  # type: ignore[valid-type]

    return Order


def orders_of(store, annotation):
    cls = order(annotation)
    return Collection(store, cls, name="orders"), cls


GROWN = {
    "a class": (Card | None, Card("1"), Card | Cash | None, Cash(2)),
    "a plain value": (int | None, 5, int | Card | None, Card("1")),
    "to classes": (int, 5, int | Card | Cash, Cash(2)),
    "a list": (list[Card], [Card("1")], list[Card | Cash], [Cash(2), Card("3")]),
    "a dict": (dict[str, Card], {"a": Card("1")}, dict[str, Card | Cash], {"b": Cash(2)}),
    "a tuple": (tuple[Card, int], (Card("1"), 2), tuple[Card | Cash, int], (Cash(1), 2)),
    "optional": (Card, Card("1"), Card | None, None),
}


@pytest.mark.parametrize(("small", "value", "large", "other"), GROWN.values(), ids=GROWN)
def test_a_field_that_grows_reads_its_old_records(store, small, value, large, other):
    orders, cls = orders_of(store, small)
    orders.add(cls(1, value))
    orders, cls = orders_of(store, large)
    assert orders[1].payment == value
    orders.add(cls(2, other))
    assert [one.payment for one in orders.values()] == [value, other]
    assert orders.find("$[?(@.payment == null)]").count() == (other is None)


def test_queries_see_the_name_of_the_class_as_it_would_be_stored_now(store):
    orders, cls = orders_of(store, Card | None)
    orders.add(cls(1, Card("1")))
    grown, cls = orders_of(store, Card | Cash | None)
    assert list(grown.find("$[?(@.payment._type == 'Card')]").keys()) == [1]
    grown.add(cls(2, Card("2")))
    shrunk, _ = orders_of(store, Card | None)
    assert list(shrunk.search("$[*].payment")) == [
        {"number": "1", "valid": 2030},
        {"number": "2", "valid": 2030},
    ]
    assert [one.payment.number for one in shrunk.values()] == ["1", "2"]


def test_a_class_that_is_not_in_the_field_any_more_is_named(store):
    orders, cls = orders_of(store, Card | Cash | None)
    orders.add(cls(1, Card("1")))
    shrunk, _ = orders_of(store, Card | None)
    orders.add(cls(2, Cash(5)))
    assert shrunk[1].payment == Card("1")
    with pytest.raises(RecordError, match=r"payment: expected the fields of Card.*'Cash'"):
        shrunk[2]


def test_a_dict_that_fits_several_classes_or_none_is_an_error_that_names_them(store):
    orders, cls = orders_of(store, Card | None)
    orders.add(cls(1, Card("1")))
    with pytest.raises(CollectionError, match="no '_type', and Card and Gift fit"):
        orders_of(store, Card | Gift | None)
    with pytest.raises(CollectionError, match=r"'Cash' or 'Point'.*no '_type', and no class fits"):
        orders_of(store, Cash | Point | None)


def test_a_union_keeps_unknown_fields_of_the_same_class_only(store):
    @define
    class NewCard:
        number: str
        valid: int = 2030
        bank: str = "none"

    NewCard.__name__ = "Card"
    orders, cls = orders_of(store, NewCard | Cash)
    orders.add_many([cls(1, NewCard("1", 2, "bank")), cls(2, NewCard("2", 2, "bank"))])
    old = order(Card | Cash)
    kept = Collection(store, old, name="orders", unknown="keep")
    kept.update(1, payment=Card("9"))
    kept.update(2, payment=Cash(1))
    assert store[b"orders/" + kept._type.key_codec.encode(1)]["payment"]["bank"] == "bank"
    assert orders[2].payment == Cash(1)


def test_a_collection_that_nobody_holds_lets_go_of_its_file(tmp_path):
    gc.disable()
    try:
        users = users_of(LmdbStore(tmp_path / "db"), version())
        users.add(version()("ada"))
        del users
        LmdbStore(tmp_path / "db", readonly=True).close()
    finally:
        gc.enable()


def test_records_that_are_copied_into_another_store_stay_as_they_were(open_store):
    first, second, third = version(), version(country="DE"), version(country="FR")
    source, target = open_store(), open_store()
    users_of(source, first).add(first("ada"))
    users_of(source, second).add(second("bob"))
    users_of(target, third).add(third("eve", "US"))
    target.update(source)
    users = users_of(target, version(country="changed"))
    assert [user.country for user in users.values()] == ["DE", "DE", "US"]
    assert list(users.find(country="DE").keys()) == ["ada", "bob"]
    source, target = open_store(), open_store()
    users_of(source, first).add(first("ada"))
    users_of(target, third).add(third("eve", "US"))
    target.update(source)
    assert list(users_of(target, third).find(country="FR").keys()) == ["ada"]


# -- the description beside the rest ---------------------------------------------------------------


def test_the_description_survives_clear_migration_backup_and_salvage(tmp_path):
    path = tmp_path / "db"
    with stone(path, LmdbStore, serialize="json") as store:
        users_of(store, Old).add(Old("ada", Address("Paris")))
        new = version(name="Old", extra=(1, b"x"))
        users_of(store, new, unknown="keep").add(new("bob"))
        before = described(store, "users")
        assert before["defaults"] == {"extra": {"$tuple": [1, {"$bytes": "eA=="}]}}
        migrate(store, to="cbor")
        store.backup(tmp_path / "copy")
    salvage(path, tmp_path / "saved")
    for place in (path, tmp_path / "copy", tmp_path / "saved"):
        assert check(place).sound
        assert [use.record for use in inspect(place).collections] == [before["record"]]
        with LmdbStore(place) as store:
            assert described(store, "users") == before
            assert users_of(store, new, unknown="keep")["ada"].extra == (1, b"x")
            store.clear()
            assert described(store, "users") == before


@pytest.mark.parametrize(
    "damage",
    [
        {"defaults": []},
        {"absent": {}},
        {"nested": {}},
        {"nested": [1]},
        {"classes": {"name": {"A": 1}}},
        {"mixed": ["\x1b"]},
    ],
    ids=str,
)
def test_a_damaged_description_is_an_error_and_a_finding(tmp_path, damage):
    with stone(tmp_path / "db", LmdbStore, serialize="json") as store:
        users_of(store, version()).add(version()("ada"))
        with store.database.writing() as txn:
            raw = json.dumps({**described(store, "users"), **damage}).encode()
            txn.put(Space.META, b"collection/users", raw)
        with pytest.raises(CorruptValueError, match="'users' is damaged"):
            users_of(store, version())
    assert not check(tmp_path / "db").sound


def test_what_a_later_version_writes_into_the_description_stays(store):
    users_of(store, version()).add(version()("ada"))
    with store.database.writing() as txn:
        raw = json.dumps({**described(store, "users"), "later": [1]}).encode()
        txn.put(Space.META, b"collection/users", raw)
    users_of(store, version(country="DE")).add(version(country="DE")("bob"))
    assert described(store, "users")["later"] == [1]
    assert described(store, "users")["defaults"] == {"country": "DE"}


@define
class Country:
    code: str


@define
class SizedCountry:
    code: str
    size: int = 1


@define
class ResizedCountry:
    code: str
    size: int = 2


def living_in(inside: Any) -> Any:
    @define
    class Town:
        country: inside

    @define
    class Person:
        name: str = key()
        town: Town

    return Person, Town


@pytest.mark.parametrize("is_described", [True, False])
def test_defaults_are_kept_at_any_depth(store, is_described):
    person, town = living_in(Country)
    users_of(store, person).add(person("ada", town(Country("FR"))))
    if not is_described:  # as the first release of collections has left it
        forget_classes(store)
    person, town = living_in(SizedCountry)
    users_of(store, person).add(person("bob", town(SizedCountry("FR", 3))))
    users = users_of(store, living_in(ResizedCountry)[0])
    assert [user.town.country.size for user in users.values()] == [1, 3]
    assert list(users.search("$[*].town.country.size")) == [1, 3]


def forget_classes(store):
    plain = {part: described(store, "users")[part] for part in ("record", "key", "fields")}
    with store.database.writing() as txn:
        txn.put(Space.META, b"collection/users", json.dumps(plain).encode())


def test_a_store_of_an_earlier_version_has_no_classes_inside_and_keeps_their_defaults(store):
    users_of(store, Old).add(Old("ada", Address("Paris")))
    forget_classes(store)
    between = holding(NewAddress)
    users = users_of(store, between)
    assert users.find("$[?(@.home.country == 'DE')]").count() == 1
    users.add(between("bob", NewAddress("Rome")))
    assert "DE" in json.dumps(described(store, "users"))
