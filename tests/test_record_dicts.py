"""Records as dicts: `to_dict` and `from_dict` of a collection."""

import copy
import json
from collections import ChainMap
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from attrs import define, field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, MemoryStore, RecordError, key

from .test_records import CONVERTED, KEPT_AS_THEY_ARE


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@define
class Address:
    city: str
    zip: str = "0000"


@frozen
class Point:
    x: int


@define
class User:
    email: str = key(converter=str.lower)
    age: int = field(default=0, validator=validators.ge(0))
    color: Color = Color.RED
    address: Address | None = None
    tags: list[str] = field(factory=list)
    points: set[Point] = field(factory=set)
    born: date | None = None
    notes: dict[str, Any] = field(factory=dict)


ADA = User("ada@x", 36, Color.BLUE, Address("London"), ["a"], {Point(1)}, date(1815, 12, 10))
STORED = {
    "email": "ada@x",
    "age": 36,
    "color": "blue",
    "address": {"city": "London", "zip": "0000"},
    "tags": ["a"],
    "points": [{"x": 1}],
    "born": date(1815, 12, 10),
    "notes": {},
}


@pytest.fixture
def users(store):
    users: Collection[str, User] = Collection(store, User, name="users")
    return users


def test_the_dict_of_a_record_is_what_is_stored(store, users):
    users.add(ADA)
    assert users.to_dict(users["ada@x"]) == store["users/ada@x"] == STORED


def test_a_record_that_was_never_stored_has_a_dict_too(users):
    assert users.to_dict(ADA) == STORED
    assert len(users) == 0


def test_a_dict_makes_the_record_that_it_came_from(users):
    assert users.from_dict(STORED) == ADA
    assert users.from_dict(users.to_dict(User("eve@x"))) == User("eve@x")
    assert len(users) == 0


def test_a_missing_field_gets_its_default_and_a_converter_is_called(users):
    assert users.from_dict({"email": "ADA@X"}) == User("ada@x")


def test_the_dict_and_the_record_share_nothing(users):
    record = User("ada@x", tags=["a"], notes={"deep": [{"a": [1]}]})
    before = copy.deepcopy(record)
    stored = users.to_dict(record)
    stored["tags"].append("b")
    stored["notes"]["deep"][0]["a"].append(2)
    assert record == before

    given = {"email": "ada@x", "tags": ["a"], "notes": {"deep": [{"a": [1]}]}}
    kept = copy.deepcopy(given)
    made = users.from_dict(given)
    made.tags.append("b")
    made.notes["deep"][0]["a"].append(2)
    assert given == kept


def test_any_mapping_makes_a_record(users):
    assert users.from_dict(MappingProxyType(STORED)) == ADA
    assert users.from_dict(ChainMap({"age": 1}, {"email": "x"})) == User("x", 1)


def test_a_dict_of_plain_fields_is_ready_for_json(users):
    text = json.dumps(users.to_dict(User("ada@x", 36)))
    assert users.from_dict(json.loads(text)) == User("ada@x", 36)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "users: email: is missing, and has no default"),
        ({"email": "x", "contry": 1}, "users: User has no field 'contry'"),
        ({"email": "x", "age": "36"}, "users: age: expected int, got str '36'"),
        ({"email": "x", "age": -1}, "users: age: ValueError"),
        ({"email": "x", "color": "green"}, "users: color: expected the value of a Color"),
        ({"email": "x", "address": {}}, "users: address.city: is missing"),
        ({"email": "x", "address": {"cty": ""}}, "users: address: Address has no field 'cty'"),
        ({"email": "x", "address": Address("a")}, "users: address: expected a dict"),
        ({"email": 5}, "users: email: expected str, got int 5"),
        ({5: "x"}, "users: User has no field int 5"),
        ("email", "users: expected a dict of the fields of User, got str 'email'"),
        (None, "users: expected a dict of the fields of User, got None"),
        ([("email", "x")], "users: expected a dict of the fields of User, got list"),
        (ADA, "users: expected a dict of the fields of User, got User"),
    ],
    ids=str,
)
def test_a_dict_that_makes_no_record_is_refused(users, fields, message):
    with pytest.raises(RecordError) as refused:
        users.from_dict(fields)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (User("ada@x", tags=[5]), "users['ada@x']: tags[0]: expected str, got int 5"),
        (User("ada@x", address=Point(1)), "users['ada@x']: address: expected Address, got Point"),
        (Address("x"), "users holds records of class User, not Address"),
        ({"email": "x"}, "users holds records of class User, not dict"),
        (User, "users holds records of class User, not type"),
        (None, "users holds records of class User, not None"),
    ],
    ids=str,
)
def test_a_record_that_cannot_be_stored_has_no_dict_as_add_says(users, record, message):
    with pytest.raises(RecordError) as refused:
        users.to_dict(record)
    with pytest.raises(RecordError) as not_added:
        users.add(record)
    assert str(refused.value) == str(not_added.value)
    assert str(refused.value).startswith(message)


def test_a_record_whose_key_is_none_has_no_dict(users):
    record = User("ada@x")
    object.__setattr__(record, "email", None)
    with pytest.raises(RecordError, match="users: the key of the record is None"):
        users.to_dict(record)


def test_a_record_without_a_key_field_has_a_dict(store):
    @define
    class Note:
        text: str

    notes = Collection(store, Note)
    assert notes.to_dict(Note("a")) == {"text": "a"}
    assert notes.from_dict({"text": "a"}) == Note("a")
    with pytest.raises(RecordError, match=r"^Note: text: expected str, got int 5$"):
        notes.to_dict(Note(5))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [*KEPT_AS_THEY_ARE, *((annotation, value) for annotation, value, _ in CONVERTED)],
    ids=str,
)
def test_every_value_that_a_field_takes_goes_round(annotation, value):
    cls = attrs.make_class("Holder", {"x": field(type=annotation)})
    holders = Collection(MemoryStore(), cls)
    stored = holders.to_dict(cls(value))
    kept = copy.deepcopy(stored)
    again = holders.from_dict(stored)
    assert repr(again.x) == repr(value) or again.x == value
    assert repr(stored) == repr(kept)
    assert repr(holders.to_dict(again)) == repr(stored)


@given(
    st.builds(
        User,
        st.text().map(str.lower).filter(lambda text: text.lower() == text),
        st.integers(min_value=0),
        st.sampled_from(Color),
        st.none() | st.builds(Address, st.text(), st.text()),
        st.lists(st.text()),
        st.sets(st.builds(Point, st.integers())),
        st.none() | st.dates(),
        st.dictionaries(st.text(), st.integers() | st.lists(st.text())),
    )
)
def test_a_record_goes_through_a_dict_and_back(user):
    users = Collection(MemoryStore(), User)
    assert users.from_dict(users.to_dict(user)) == user
