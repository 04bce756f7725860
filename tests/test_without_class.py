"""`Collection.without_class`: the records of a collection as dicts, by the stored description."""

from datetime import date
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    MemoryStore,
    Migration,
    MigrationError,
    RecordError,
    index,
    key,
)
from stones.collections.without_class.field_values import FieldValues
from stones.stores.claims import read_collection


class Color(Enum):
    RED = "r"


@define
class Address:
    city: str
    zip: int = 0


@define
class User:
    email: str = key()
    age: int = index(default=0)
    born: date | None = None
    color: Color = Color.RED
    address: Address | None = None
    tags: set[str] = index(each=True, factory=set)


ADA = User("ada@x", 36, date(1815, 12, 10), Color.RED, Address("London", 7), {"math"})
BOB = User("bob@x", 17)


@pytest.fixture
def store(open_store):
    store = open_store(serialize="json")
    Collection(store, User).add_many([ADA, BOB])
    return store


def opened(store, name="User", **options):
    return Collection.without_class(store, name, **options)


def test_records_are_the_dicts_that_are_stored(store):
    users = opened(store)
    assert dict(users.items()) == {name: store[f"User/{name}"] for name in ("ada@x", "bob@x")}
    assert users["ada@x"]["born"] == date(1815, 12, 10)
    assert len(users) == 2


def test_queries_use_the_indexes_of_the_collection(store):
    users = opened(store)
    old = users.find("@.age > 20")
    assert [user["email"] for user in old] == ["ada@x"]
    assert "index        age" in str(old.explain())
    assert users.find("@.tags[*] == 'math'").count() == 1
    assert users.find(email="bob@x").one()["age"] == 17
    assert [index.name for index in users.indexes] == ["age", "tags"]


def test_a_written_record_is_one_that_the_class_reads(store):
    users = opened(store)
    users["eve@x"] = {**users["ada@x"], "email": "eve@x"}
    users.update("bob@x", age=18, tags={"new"})
    assert users.add({**users["bob@x"], "email": "cyd@x"}) == "cyd@x"
    typed = Collection(store, User)
    assert typed["eve@x"].address == ADA.address
    assert typed["bob@x"] == User("bob@x", 18, tags={"new"})
    assert [*typed.find("@.tags[*] == 'new'").keys()] == ["bob@x", "cyd@x"]
    del users["ada@x"]
    assert [*typed.find("@.age == 36").keys()] == ["eve@x"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": "old"}, "age: expected int, got str 'old'"),
        ({"born": "2020-01-31"}, "born: expected date, got str '2020-01-31'"),
        ({"nick": "a"}, "User has no field 'nick'"),
        ({"address": {"city": "x"}}, "address.zip: is missing: each Address has it"),
        ({"address": {"city": "x", "zip": 1, "street": ""}}, "address: Address has no field"),
        ({"email": "other@x"}, "the record has another key, 'other@x'"),
    ],
)
def test_a_dict_that_does_not_fit_is_refused_before_anything_is_written(store, changes, message):
    users = opened(store)
    before = dict(store)
    with pytest.raises(RecordError, match="User") as error:
        users["ada@x"] = {**users["ada@x"], **changes}
    assert message in str(error.value)
    assert dict(store) == before


def test_a_dict_without_a_field_is_refused(store):
    users = opened(store)
    record = users["ada@x"]
    del record["age"]
    with pytest.raises(RecordError, match=r"age: is missing: each User has it"):
        users["ada@x"] = record


def test_any_type_takes_a_type_that_no_record_has(store):
    users = opened(store, any_type=True)
    users.update("ada@x", age=None)
    assert users["ada@x"]["age"] is None
    with pytest.raises(RecordError, match="no field 'nick'"):
        users["ada@x"] = {**users["ada@x"], "nick": ""}


def test_a_lacking_collection_is_an_error_that_names_the_others(store):
    with pytest.raises(CollectionError, match=r"no collection 'Users': it has User"):
        opened(store, "Users")
    space = store.namespace("space/")
    space["a"] = 1
    with pytest.raises(CollectionError, match="is a namespace"):
        opened(store, "space")


def test_an_empty_collection_does_not_tell_what_its_records_are(store):
    users = opened(store)
    record = users["bob@x"]
    users.clear()
    again = opened(store)
    assert [*again.find()] == []
    with pytest.raises(RecordError, match="name the class of the records"):
        again["bob@x"] = record


@pytest.mark.needs("snapshots")
def test_a_snapshot_is_read_only(open_store):
    store = open_store()
    Collection(store, User).add(ADA)
    with store.snapshot() as view:
        users = opened(view)
        Collection(store, User).add(BOB)
        assert [*users] == ["ada@x"]


@define
class Run:
    name: str = key()
    number: int = key()
    cost: Decimal = Decimal(0)


@define
class Note:
    text: str


def test_the_parts_of_a_key_are_found_in_the_records(store):
    Collection(store, Run).add_many([Run("a", 1), Run("b", 2)])
    runs = opened(store, "Run")
    assert FieldValues.of(runs).key_names == ("name", "number")
    assert runs.add({"name": "c", "number": 3, "cost": Decimal(1)}) == ("c", 3)
    with pytest.raises(RecordError, match="another key"):
        runs["c", 4] = {"name": "c", "number": 3, "cost": Decimal(1)}


def test_a_generated_key_is_no_field(store):
    notes = Collection(store, Note)
    first = notes.add(Note("one"))
    found = opened(store, "Note")
    made = found.add({"text": "two"})
    assert type(made) is UUID
    assert found[first] == {"text": "one"}
    assert notes[made] == Note("two")


@define
class Pair:
    left: int = key()
    right: int


def test_fields_that_may_both_be_the_key_have_to_be_equal(store):
    pairs = Collection(store, Pair)
    pairs.add(Pair(1, 1))
    found = opened(store, "Pair")
    found[2] = {"left": 2, "right": 2}
    with pytest.raises(RecordError, match="left, right is the key"):
        found[3] = {"left": 3, "right": 4}
    assert [*pairs] == [1, 2]


def test_fields_of_a_newer_class_have_their_kept_defaults(store):
    @define
    class Address:
        city: str
        zip: int = 0
        street: str = "?"

    @define
    class User:
        email: str = key()
        age: int = index(default=0)
        born: date | None = None
        color: Color = Color.RED
        address: Address | None = None
        tags: set[str] = index(each=True, factory=set)
        nick: str = index(default="-")
        homes: list[Address] = field(factory=list)

    Collection(store, User).add(User("new@x", homes=[Address("Rome")]))
    users = opened(store)
    assert users["ada@x"]["nick"] == "-"
    assert users["ada@x"]["address"] == {"city": "London", "zip": 7, "street": "?"}
    assert users.find("@.nick == '-'").count() == 3
    assert users.find("@.address.street == '?'").count() == 1
    assert [user["homes"] for user in users.values()][:2] == [[], []]
    users["ada@x"] = {**users["ada@x"], "nick": "A"}
    assert Collection(store, User)["ada@x"].nick == "A"


STEP = Migration(1, rename={"born": "birthday"})


@define
class Stepped:
    email: str = key()
    age: int = index(default=0)
    birthday: date | None = None
    color: Color = Color.RED
    address: Address | None = None
    tags: set[str] = index(each=True, factory=set)


def test_records_that_have_had_their_steps_are_written_as_before(store):
    typed = Collection(store, Stepped, "User", migrations=[STEP])
    typed.migrate()
    users = opened(store)
    users.update("ada@x", birthday=date(2000, 1, 1))
    assert typed["ada@x"].birthday == date(2000, 1, 1)


def test_in_the_middle_of_a_migration_the_collection_is_refused(store):
    typed = Collection(store, Stepped, "User", migrations=[STEP])
    typed.add(Stepped("eve@x"))
    with pytest.raises(MigrationError, match="step 1"):
        opened(store)
    typed.migrate()
    assert len(opened(store)) == 3


def test_a_later_migration_ends_the_writes_of_an_open_collection(store):
    users = opened(store)
    Collection(store, Stepped, "User", migrations=[STEP]).migrate()
    with pytest.raises(MigrationError, match="can only read"):
        users.update("ada@x", age=1)


def test_writing_leaves_the_description_as_it_is(store):
    def described():
        with store.database.reading() as txn:
            return read_collection(txn, "User")

    before = described()
    opened(store).update("ada@x", age=3)
    assert described() == before


def test_typed_values_become_those_of_the_field(store):
    values = FieldValues.of(opened(store))
    assert values.from_text("age", "36") == 36
    assert values.from_text("email", "36") == "36"
    assert values.from_text("born", "2020-01-31") == date(2020, 1, 31)
    assert values.from_text("tags", '["a"]') == {"a"}
    record = {"email": "z", "born": "2020-01-31", "tags": ["a"], "address": {"city": "a"}}
    assert values.from_json(record)["born"] == date(2020, 1, 31)
    assert record["tags"] == {"a"}
    with pytest.raises(RecordError, match="did you mean 'age'"):
        values.from_text("agee", "1")


def test_the_class_tells_the_same_where_it_is_at_hand(store):
    values = FieldValues.of(Collection(store, User))
    assert values.key_names == ("email",)
    assert values.from_text("born", "2020-01-31") == date(2020, 1, 31)
    assert values.types("born") == ("date", "None")


@define
class Old:
    key: int = key()
    a: int | str | None = None


@define
class New:
    key: int = key()
    a: int | str | None = index(default=None)
    b: int | None = index(default=5)
    c: list[int] = field(factory=list)


NEWER = st.builds(
    lambda a, b, c: {"a": a, "b": b, "c": c},
    st.none() | st.integers(0, 3) | st.sampled_from("xy"),
    st.none() | st.integers(3, 6),
    st.lists(st.integers(0, 2), max_size=2),
)
FILTERS = ["@.a == 1", "@.b >= 5", "@.b == 5 && @.a == 'x'", "@.c[*] == 1", "@.a", "!(@.b < 5)"]


@given(st.lists(st.none() | st.integers(0, 3), max_size=5), st.lists(NEWER, max_size=5))
def test_a_query_finds_what_it_finds_by_the_class(old, new):
    store = MemoryStore(serialize="json")
    Collection(store, Old, "R").add_many(Old(n, a) for n, a in enumerate(old))
    typed = Collection(store, New, "R")
    typed.add_many(New(100 + n, **fields) for n, fields in enumerate(new))
    if not old and not new:
        return
    dicts = opened(store, "R")
    for text in FILTERS:
        by_class = typed.find(text)
        if not new:  # no record was written yet with the fields b and c
            continue
        assert [*dicts.find(text).keys()] == [*by_class.keys()]
        assert [*dicts.find(text)] == [typed.to_dict(record) for record in by_class]
        assert dicts.find(text).count() == by_class.count()
    if new:
        in_order = dicts.find().order_by("-b", "a")
        assert [*in_order.keys()] == [*typed.find().order_by("-b", "a").keys()]
