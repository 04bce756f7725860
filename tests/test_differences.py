"""What differs between a class and the records of a collection, and the step that is proposed."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
from attrs import define, field

from stones import Collection, CollectionError, MemoryStore, Migration, key
from stones.engine import Space

COUNTER = count()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class OneColour(Enum):
    RED = "red"


@define
class Place:
    name: str


@define
class Town:
    name: str
    country: str


@define
class Card:
    number: str


@define
class Cash:
    amount: int


def user(**annotations: Any) -> Any:
    """A class `User` with the key `name` and these fields, each with a type or a default."""
    fields = {"name": key()}
    types: dict[str, Any] = {"name": str}
    for name, given in annotations.items():
        types[name], *rest = given if isinstance(given, tuple) else (given,)
        fields[name] = rest[0] if rest else attrs.field()
    return define(type("User", (), {"__annotations__": types, **fields}))


def message(old: Any, new: Any, *values: Any, **options: Any) -> str:
    """The message for opening a collection of the class `old` with the class `new`."""
    store = MemoryStore(serialize="json")
    Collection(store, old, "users").add(old("ada", *values))
    with pytest.raises(CollectionError) as caught:
        Collection(store, new, "users", **options)
    return str(caught.value)


def step_of(text: str) -> str:
    """The code in a message, without the spaces before each line."""
    lines = text.partition("migrate():\n\n")[2].splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines)


CHANGES = {
    "a new field": (user(), user(age=int), (), "add={'age': 0}"),
    "a field that may be None": (user(), user(age=int | None), (), "add={'age': None}"),
    "a list": (user(), user(tags=list[str]), (), "add={'tags': list}"),
    "a field that is gone": (user(old=int), user(), (1,), "drop=['old']"),
    "a renamed field": (
        user(mail=str),
        user(email=str),
        ("a@b",),
        "rename={'mail': 'email'}",
    ),
    "a name that is alike and another type": (
        user(mail=str),
        user(email=int),
        ("a@b",),
        "drop=['mail'], add={'email': 0}",
    ),
    "a field inside": (
        user(home=Place),
        user(home=Town),
        (Place("Rome"),),
        "add={'home.country': ''}",
    ),
    "a field in the items of a list": (
        user(homes=list[Place]),
        user(homes=list[Town]),
        ([Place("Rome")],),
        "add={'homes.country': ''}",
    ),
}


@pytest.mark.parametrize(("old", "new", "values", "step"), CHANGES.values(), ids=CHANGES)
def test_the_step_is_a_declaration_where_it_can_be_guessed(old, new, values, step):
    text = message(old, new, *values)
    assert step_of(text) == f"Migration(1, {step})"


CONVERSIONS = {
    "Decimal": (str, Decimal, "1.50", "from decimal import Decimal\n\n", "Decimal"),
    "int": (str, int, "7", "", "int"),
    "str": (int, str, 7, "", "str"),
    "optional": (str, int | None, "7", "", "int"),
    "date": (str, date, "2020-02-29", "from datetime import date\n\n", "date.fromisoformat"),
    "UUID": (str, UUID, str(UUID(int=1)), "from uuid import UUID\n\n", "UUID"),
}


@pytest.mark.parametrize(
    ("old", "new", "value", "imports", "name"), CONVERSIONS.values(), ids=CONVERSIONS
)
def test_a_value_of_another_type_is_converted(old, new, value, imports, name):
    text = message(user(what=old), user(what=new), value)
    assert step_of(text) == f"{imports}Migration(1, convert={{'what': {name}}})"


TASKS = {
    "a member of an enum": (
        (Colour, OneColour, Colour.BLUE),
        "what in the record of 'ada': expected the value of a OneColour, got str 'blue'",
        "def convert_what(value):",
    ),
    "a class of a union": (
        (Card | Cash, Card, Cash(1)),
        "got a dict whose '_type' is 'Cash'",
        "def convert_what(value):",
    ),
    "a text that is no number": ((str, int, "x"), "expected int", "def convert_what(value):"),
    "a class in a dict": (
        (dict[str, Place], dict[str, Town], {"a": Place("Rome")}),
        "what.country is new: records lack it, and it has no default",
        "def change(record):",
    ),
}


@pytest.mark.parametrize(("change", "line", "function"), TASKS.values(), ids=TASKS)
def test_a_value_that_cannot_be_guessed_is_made_by_a_function_to_complete(change, line, function):
    old, new, value = change
    text = message(user(what=old), user(what=new), value)
    assert line in text
    assert function in step_of(text)
    assert "NotImplementedError" in step_of(text)


def test_a_class_that_is_taken_out_of_a_union_is_named_by_the_description():
    old = user(what=Card | Cash, more=(int, 1))
    text = message(old, user(what=Card), Card("1"))
    assert "what cannot hold Cash any more, and records may have it" in text


def test_all_differences_are_in_one_message_and_one_step():
    old = user(mail=str, balance=str, legacy=int)
    new = user(email=str, balance=Decimal, born=date)
    text = message(old, new, "a@b", "1.50", 3)
    for line in (
        "- born is new: records lack it, and it has no default",
        "- mail is not in the class any more, its name may be email now",
        "- legacy is not in the class any more",
        "- balance in the record of 'ada': expected Decimal, got str '1.50'",
    ):
        assert line in text.splitlines()
    assert "def make_born():" in text
    names: dict[str, Any] = {"Migration": Migration}
    exec(step_of(text), names)  # it is code as it stands


def test_a_message_is_short_whatever_the_description_says():
    store = MemoryStore()
    old, new = user(), user(age=int)
    Collection(store, old, "users").add(old("ada"))
    with store.database.writing() as txn:
        described = json.loads(txn.get(Space.META, b"collection/users"))
        described["fields"] += [f"{n}" * 1000 for n in range(100)]
        txn.put(Space.META, b"collection/users", json.dumps(described).encode())
    with pytest.raises(CollectionError, match="and 81 more") as caught:
        Collection(store, new, "users")
    assert len(str(caught.value)) < 10_000


# -- factories that give another value each time ---------------------------------------------------

VOLATILE = {
    "uuid4": (UUID, uuid4, "from uuid import uuid4\n\n", "uuid4"),
    "now": (datetime, datetime.utcnow, "from datetime import datetime\n\n", "datetime.utcnow"),
}


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
@pytest.mark.parametrize(
    ("annotation", "factory", "imports", "name"), VOLATILE.values(), ids=VOLATILE
)
def test_a_volatile_factory_is_refused_with_the_step(annotation, factory, imports, name):
    new = user(at=(annotation, field(factory=factory)))
    text = message(user(), new)
    assert text.startswith("the records of the collection 'users' lack at, and the factory")
    assert step_of(text) == f"{imports}Migration(1, add={{'at': {name}}})"


@pytest.mark.parametrize(
    "default",
    [
        {"factory": COUNTER.__next__},
        {"factory": lambda: datetime.now(UTC)},
        {"default": None, "converter": attrs.converters.default_if_none(factory=uuid4)},
    ],
    ids=["a counter", "a lambda", "a converter"],
)
def test_a_volatile_factory_without_a_name_is_a_function_to_complete(default):
    text = message(user(), user(at=(Any, field(**default))))
    assert "def make_at():" in text
    assert step_of(text).endswith("Migration(1, add={'at': make_at})")


def test_a_volatile_factory_inside_is_refused_too():
    @define
    class Marked:
        name: str
        id: UUID = field(factory=uuid4)

    text = message(user(home=Place), user(home=Marked), Place("Rome"))
    assert step_of(text).endswith("Migration(1, add={'home.id': uuid4})")


def test_a_volatile_factory_is_refused_at_the_first_write_of_an_open_collection():
    store = MemoryStore()
    new, old = user(id=(UUID, field(factory=uuid4))), user()
    later = Collection(store, new, "users")
    Collection(store, old, "users").add(old("ada"))
    with pytest.raises(CollectionError, match="another value at each read"):
        later.add(new("eve"))
    assert list(store) == [b"users/ada"]


def test_a_volatile_factory_of_a_field_that_all_records_have_is_no_difference():
    store = MemoryStore()
    new = user(id=(UUID, field(factory=uuid4)))
    users = Collection(store, new, "users")
    users.add(new("ada"))
    ada = Collection(store, new, "users")["ada"]
    assert ada == users["ada"]


def test_a_store_in_which_some_records_lack_such_a_field_opens_as_before():
    store = MemoryStore()
    old, new = user(), user(id=(UUID, field(factory=uuid4)))
    Collection(store, old, "users").add(old("ada"))
    with store.database.writing() as txn:  # as earlier versions have left it
        described = json.loads(txn.get(Space.META, b"collection/users"))
        described |= {"fields": ["name", "id"], "absent": ["id"]}
        txn.put(Space.META, b"collection/users", json.dumps(described).encode())

    users = Collection(store, new, "users")
    users.add(new("eve"))
    assert users["eve"].id == users["eve"].id
    assert users["ada"].name == "ada"


def test_a_field_that_the_class_lacks_is_no_difference_where_it_is_kept():
    old = user(old=int)
    text = message(old, user(age=int), 7, unknown="keep")
    assert step_of(text) == "Migration(1, add={'age': 0})"
