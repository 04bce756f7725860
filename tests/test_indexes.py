"""Indexes of a collection: how they are declared, and that every program keeps them."""

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field

from stones import (
    Collection,
    CollectionError,
    DuplicateKeyError,
    Index,
    IndexInfo,
    LmdbStore,
    QueryError,
    ReadOnlyError,
    StoneError,
    index,
    key,
    stone,
)
from stones.collections import declared_indexes
from stones.collections.indexes.entries import parse
from stones.engine import Space

from .processes import run


@define
class Address:
    city: str
    country: str | None = None


@define
class User:
    name: str = key()
    age: int | None = None
    nick: str | None = None
    tags: list[str] = field(factory=list)
    address: Address | None = None
    active: bool = True
    places: list[Address] = field(factory=list)
    homes: dict[str, Address] = field(factory=dict)
    scores: dict[str, int] = field(factory=dict)
    anything: Any = None


ADA = User("ada", 36, "countess", ["math", "poetry"], Address("London"))
BOB = User("bob", 17, None, [], Address("Rome", "IT"), active=False)


def problems(users):
    """What differs between the indexes and the records."""
    indexes = users._records.indexes
    with users._records.database.reading() as txn:
        return list(indexes.problems(txn))


def indexed(users, name):
    """The keys of the records that an index has, in the order of the index."""
    records = users._records
    with records.database.reading() as txn:
        found = {each.name: each for each in records.indexes.definitions(txn)}[name]
        entries = [
            parse(found, *entry).key
            for entry in txn.scan(Space.INDEX)
            if entry[0].startswith(found.prefix)
        ]
    return [records.type.key_codec.decode(entry) for entry in entries]


def states(users):
    return {each.name: each.state for each in users.indexes}


def everything(store):
    """All that the store holds, in every space."""
    with store.database.reading() as txn:
        return {space: list(txn.scan(space)) for space in Space}


# -- declaring ---------------------------------------------------------------------------------


def test_fields_and_paths_are_indexed(store):
    @define
    class Point:
        x: int = index()
        y: int = index(unique=True)

    points = Collection(store, Point, indexes=[("x", "y"), Index("x", where="@.y > 1")])
    points.add(Point(1, 2))

    assert points.indexes == (
        IndexInfo("x", ("x",), False, False, None, "ready"),
        IndexInfo("y", ("y",), False, True, None, "ready"),
        IndexInfo("x,y", ("x", "y"), False, False, None, "ready"),
        IndexInfo("x[@.y > 1]", ("x",), False, False, "@.y > 1", "ready"),
    )


def test_an_index_has_the_records_in_the_order_of_the_field(store):
    users = Collection(store, User, indexes=["age", "address.city", Index("tags", each=True)])
    users.add_many([ADA, BOB, User("eve")])

    assert indexed(users, "age") == ["eve", "bob", "ada"]
    assert indexed(users, "address.city") == ["eve", "ada", "bob"]
    assert indexed(users, "tags") == ["bob", "eve", "ada", "ada"]


def test_opening_an_empty_collection_writes_nothing(store):
    before = everything(store)

    users = Collection(store, User, indexes=["age"])

    assert users.indexes == ()
    assert everything(store) == before


def test_an_index_of_a_small_collection_is_built_at_once(store):
    Collection(store, User).add_many([ADA, BOB])

    users = Collection(store, User, indexes=["age"])

    assert states(users) == {"age": "ready"}
    assert indexed(users, "age") == ["bob", "ada"]


def test_a_class_without_the_index_keeps_it(store):
    Collection(store, User, indexes=["age"]).add(ADA)

    users = Collection(store, User)
    users.add(BOB)

    assert states(users) == {"age": "ready"}
    assert indexed(users, "age") == ["bob", "ada"]


def test_a_collection_that_was_opened_before_keeps_the_index(store):
    early = Collection(store, User)
    early.add(ADA)
    users = Collection(store, User, indexes=["age"])

    early.add(BOB)
    early.update("ada", age=1)

    assert indexed(users, "age") == ["ada", "bob"]
    assert problems(users) == []


def test_another_process_that_was_there_before_keeps_the_index(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        early = Collection(store, User)
        early.add(ADA)
        found = run(
            "from attrs import define\n"
            "@define\nclass User:\n    name: str = key()\n    age: int | None = None\n"
            "store = stone(argv[0], LmdbStore)\n"
            "users = Collection(store, User, indexes=['age'], unknown='keep')\n"
            "print(users.indexes[0].state)",
            tmp_path / "db",
        )
        early.add(BOB)

        assert found.stdout == "ready\n", found.stderr
        assert indexed(early, "age") == ["bob", "ada"]


def test_a_snapshot_and_a_readonly_store_take_what_is_there(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        Collection(store, User, indexes=["age"]).add(ADA)
        with store.snapshot() as snapshot:
            users = Collection(snapshot, User, indexes=["age", "nick"])
            assert states(users) == {"age": "ready"}
            with pytest.raises(ReadOnlyError):
                users.build_indexes()
            with pytest.raises(ReadOnlyError):
                users.drop_index("age")
    with stone(tmp_path / "db", LmdbStore, readonly=True) as store:
        users = Collection(store, User, indexes=["nick"])
        assert states(users) == {"age": "ready"}
        with pytest.raises(ReadOnlyError):
            users.build_indexes()


def test_an_index_can_be_declared_inside_a_transaction(store):
    users = Collection(store, User)
    users.add(ADA)

    with pytest.raises(ZeroDivisionError), store.transaction():
        Collection(store, User, indexes=["age"]).add(BOB)
        assert indexed(users, "age") == ["bob", "ada"]
        raise ZeroDivisionError

    assert users.indexes == ()
    users.add(BOB)
    assert everything(store)[Space.INDEX] == []


def test_a_modify_during_which_an_index_is_made_keeps_it(store):
    users = Collection(store, User)
    users.add(ADA)

    def change(user):
        Collection(store, User, indexes=["age"])
        user.age = 1

    users.modify("ada", change)

    assert problems(users) == []
    assert indexed(users, "age") == ["ada"]


# -- bad input ---------------------------------------------------------------------------------

WRONG: Mapping[str, Any] = {
    "an unknown field": ["agee"],
    "an unknown field inside": ["address.town"],
    "a path into a value": ["age.x"],
    "no path": ["age x"],
    "an empty path": [""],
    "a path with a step": ["tags[0]"],
    "a list": ["tags"],
    "a record": ["address"],
    "a dict": ["scores"],
    "a path through a list": ["places.city"],
    "a path through a dict of records": ["homes.x.city"],
    "records in a list": [Index("places", each=True)],
    "each of a dict": [Index("scores", each=True)],
    "each of a text": [Index("nick", each=True)],
    "two each": [Index("tags", "places", each=True)],
    "the same twice": ["age", "age"],
    "the same path twice": [("age", "age")],
    "the same with other flags": ["age", Index("age", unique=True)],
    "no paths": [()],
    "too many paths": [tuple("abcdefghi")],
    "no index": [7],
    "a tuple of no paths": [("age", 7)],
    "a text": "age",
    "None": None,
    "a flag that is none": [Index("age", unique="yes")],
    "a where that does not parse": [Index("age", where="@.age >")],
    "a where that is no text": [Index("age", where=7)],
    "a where of an unknown field": [Index("age", where="@.agee > 1")],
    "a where of all records": [Index("age", where="$[?(@.age > $[0].age)]")],
    "a where with a placeholder": [Index("age", where="@.age > {x}")],
    "a where that is no filter": [Index("age", where="$..age")],
    "a where that is too long": [Index("age", where="@.age == 1" + " && @.age == 1" * 20)],
    "a where of two lines": [Index("age", where="@.nick == 'a\nb'")],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_an_index_is_refused_at_once(store, wrong):
    Collection(store, User).add(ADA)
    before = everything(store)

    with pytest.raises((CollectionError, QueryError)) as caught:
        Collection(store, User, indexes=wrong)

    assert isinstance(caught.value, StoneError)
    assert everything(store) == before


def test_a_dict_of_plain_values_and_a_field_of_any_type_can_be_indexed(store):
    users = Collection(store, User, indexes=["scores.x", "anything.y", "anything"])
    users.add(User("ada", scores={"x": 1}, anything={"y": 2}))

    assert problems(users) == []


def test_another_index_of_the_same_name_is_refused(store):
    Collection(store, User, indexes=["nick"]).add(ADA)
    before = everything(store)

    with pytest.raises(CollectionError, match=r"another index 'nick'.*drop_index"):
        Collection(store, User, indexes=[Index("nick", unique=True)])

    assert everything(store) == before


@pytest.mark.parametrize(
    "where", ["@.active == true", "$[?(@.active == true)]", " $[? @.active == true] "]
)
def test_a_condition_is_kept_without_the_brackets_of_the_filter(store, where):
    users = Collection(store, User, indexes=[Index("age", where=where)])
    users.add_many([ADA, BOB])

    assert users.indexes[0].name == "age[@.active == true]"
    assert indexed(users, "age[@.active == true]") == ["ada"]


# -- unique ------------------------------------------------------------------------------------

UNIQUE = [Index("nick", unique=True)]


def test_a_second_record_with_the_same_value_is_refused(store):
    users = Collection(store, User, indexes=UNIQUE)
    users.add(ADA)
    before = everything(store)

    for write in (users.add, users.put, lambda user: users.add_many([User("x"), user])):
        with pytest.raises(DuplicateKeyError) as caught:
            write(User("eve", nick="countess"))
        assert everything(store) == before

    message = str(caught.value)
    for part in ("User['eve']", "User['ada']", "nick", "'countess'"):
        assert part in message


def test_two_records_of_one_add_many_clash_too(store):
    users = Collection(store, User, indexes=UNIQUE)

    with pytest.raises(DuplicateKeyError, match=r"User\['b'\].*User\['a'\]"):
        users.add_many([User("a", nick="x"), User("b", nick="x")])

    assert len(users) == 0
    assert everything(store)[Space.INDEX] == []


def test_what_feeds_add_many_in_a_transaction_reads_and_writes_with_the_indexes(store):
    users = Collection(store, User, indexes=["age", Index("nick", unique=True)])
    seen = []

    def fed():
        yield User("a", 1, "x")
        seen.append(users.find(age=1).count())
        users.update("a", age=2, nick="y")
        yield User("b", 1, "x")
        users.delete("b")
        yield User("c", 3, "z")
        with pytest.raises(DuplicateKeyError):
            users.add(User("d", 3, "z"))

    with store.transaction():
        users.add_many(fed())
        users.add_many([User("e", 5)], progress=lambda _: seen.append(users.find(age=5).count()))

    assert seen == [1, 1]
    assert list(users.items()) == [
        ("a", User("a", 2, "y")),
        ("c", User("c", 3, "z")),
        ("e", User("e", 5)),
    ]
    assert problems(users) == []


@pytest.mark.parametrize("value", ["x" * 300, "x\0" * 200])
def test_long_values_are_unique_by_all_of_their_text(store, value):
    users = Collection(store, User, indexes=UNIQUE)
    users.add_many([User("a", nick=value), User("b", nick=value + "y")])

    with pytest.raises(DuplicateKeyError):
        users.add(User("c", nick=value))
    with pytest.raises(DuplicateKeyError):
        users.update("b", nick=value)

    assert problems(users) == []


def test_none_never_clashes_and_a_record_does_not_clash_with_itself(store):
    users = Collection(store, User, indexes=UNIQUE)
    users.add_many([User("a"), User("b"), ADA])

    users.put(ADA)
    users.update("ada", age=1)
    users.update("ada", nick="b")
    users.add(User("c", nick="countess"))

    assert problems(users) == []


def test_an_element_of_a_unique_each_index_belongs_to_one_record(store):
    users = Collection(store, User, indexes=[Index("tags", each=True, unique=True)])
    users.add_many([User("a", tags=["x", "y", "x"]), User("b", tags=["z"]), User("c")])

    with pytest.raises(DuplicateKeyError, match="tags"):
        users.add(User("d", tags=["q", "z"]))


def test_records_that_clash_already_are_told_when_the_index_is_declared(store):
    Collection(store, User).add_many([User("a", nick="x"), User("b", nick="x")])
    before = everything(store)

    with pytest.raises(DuplicateKeyError, match=r"User\['b'\].*User\['a'\]"):
        Collection(store, User, indexes=UNIQUE)

    assert everything(store) == before


# -- later fields ------------------------------------------------------------------------------


def test_the_default_of_a_later_field_is_indexed_for_the_records_before(store):
    @define
    class Early:
        name: str = key()

    @define
    class Later:
        name: str = key()
        age: int = index(default=7)

    Collection(store, Early, "User").add_many([Early("a"), Early("b")])
    users = Collection(store, Later, "User")
    users.add(Later("c", 3))

    assert indexed(users, "age") == ["c", "a", "b"]
    assert problems(users) == []

    early = Collection(store, Early, "User", unknown="keep")
    early.add(Early("d"))
    assert indexed(users, "age") == ["c", "a", "b", "d"]


def test_a_default_that_is_kept_later_has_the_index_built_again(store):
    @define
    class Early:
        name: str = key()
        inside: dict[str, int] = field(factory=dict)

    @define
    class Later:
        name: str = key()
        inside: dict[str, int] = field(factory=dict)
        age: int = 7

    Collection(store, Early, "User").add(Early("a"))
    early = Collection(store, Early, "User", indexes=[Index("name", where="@.name != 'x'")])
    before = early.indexes
    users = Collection(store, Later, "User")

    users.add(Later("b", age=3))
    users.build_indexes()

    assert users.indexes == before
    assert indexed(users, "name[@.name != 'x']") == ["a", "b"]
    assert problems(users) == []


# -- dropping ----------------------------------------------------------------------------------


def test_a_dropped_index_stays_dropped_for_a_program_that_declares_it_and_is_open(store):
    Collection(store, User).add(ADA)
    users = Collection(store, User, indexes=["age"])

    Collection(store, User).drop_index("age")
    users.add(BOB)

    assert users.indexes == ()
    assert [each.name for each in Collection(store, User, indexes=["age"]).indexes] == ["age"]


def test_an_index_is_defined_by_a_write_if_the_transaction_that_opened_it_was_undone(store):
    Collection(store, User).add(ADA)
    with pytest.raises(KeyError), store.transaction():
        users = Collection(store, User, indexes=["age"])
        raise KeyError

    users.add(BOB)

    assert indexed(users, "age") == ["bob", "ada"]


def test_an_index_is_defined_though_another_program_has_described_the_collection(store):
    users = Collection(store, User, indexes=[Index("nick", unique=True)])
    with pytest.raises(KeyError), store.transaction():
        users.add(BOB)
        raise KeyError
    Collection(store, User).add(ADA)

    users.add(BOB)

    assert [each.name for each in users.indexes] == ["nick"]
    with pytest.raises(DuplicateKeyError):
        users.add(User("eve", nick="countess"))


def test_a_dropped_index_leaves_nothing(store):
    users = Collection(store, User, indexes=["age", "nick"])
    users.add_many([ADA, BOB])

    users.drop_index("age")
    users.update("ada", age=3)

    assert states(users) == {"nick": "ready"}
    assert len(everything(store)[Space.INDEX]) == 2
    assert not [key for key, _ in everything(store)[Space.META] if key.startswith(b"dropped/")]


def test_dropping_what_is_not_there_is_an_error(store):
    users = Collection(store, User, indexes=["age"])
    users.add(ADA)

    with pytest.raises(CollectionError, match="no index 'nick': it has age"):
        users.drop_index("nick")


def test_an_index_that_is_declared_again_gets_another_id(store):
    users = Collection(store, User, indexes=["age"])
    users.add(ADA)
    (before,) = everything(store)[Space.INDEX]
    users.drop_index("age")

    users = Collection(store, User, indexes=["age"])

    (after,) = everything(store)[Space.INDEX]
    assert before[0][:4] != after[0][:4]


def test_clearing_the_store_keeps_the_definitions(store):
    users = Collection(store, User, indexes=["age"])
    users.add(ADA)

    store.clear()
    users.add(BOB)

    assert indexed(users, "age") == ["bob"]
    assert problems(users) == []


# -- what is written ---------------------------------------------------------------------------


def spied(verb, changed):
    """A method of a transaction that notes the keys that it changes in the space of indexes."""

    def spy(self, space, keys, *value):
        if space is Space.INDEX:
            changed.update([keys] if isinstance(keys, bytes) else keys)
        return verb(self, space, keys, *value)

    return spy


def test_an_update_that_changes_no_indexed_value_touches_no_entry(store, monkeypatch):
    users = Collection(store, User, indexes=["age", Index("tags", each=True), *UNIQUE])
    users.add(ADA)
    changed = set()
    with store.database.transaction() as txn:
        kind = type(txn)
    for verb in ("put", "delete", "delete_many"):
        monkeypatch.setattr(kind, verb, spied(getattr(kind, verb), changed))

    users.update("ada", active=False)
    assert changed == set()
    users.update("ada", age=1, tags=["math", "music"])
    assert len(changed) == 4


def test_a_damaged_record_that_is_replaced_leaves_no_entry(store):
    users = Collection(store, User, indexes=["age"])
    users.add(ADA)
    with store.database.transaction() as txn:
        txn.put(Space.DATA, b"User/ada", b"\x04\xff\xff")

    users.put(User("ada", 3))

    assert problems(users) == []


def test_what_is_wrong_is_found(store):
    users = Collection(store, User, indexes=["age"])
    users.add_many([ADA, BOB])
    with store.database.transaction() as txn:
        first, second = txn.keys(Space.INDEX)
        txn.delete(Space.INDEX, first)
        txn.put(Space.INDEX, second, b"?")
        txn.put(Space.INDEX, second + b"x", b"")
        txn.put(Space.INDEX, second[:4] + b"\xee", b"")

    assert [each.reason for each in problems(users)] == ["missing", "wrong", "stale", "damaged"]


# -- what a query may use ----------------------------------------------------------------------


def unusable(users):
    records = users._records
    with records.database.reading() as txn:
        return {
            each.name: reason
            for each in records.indexes.definitions(txn)
            if (reason := records.why_unusable(txn, each)) is not None
        }


def test_an_index_of_fields_that_all_records_have_can_be_used(store):
    users = Collection(
        store, User, indexes=["age", "address.city", Index("nick", where="@.age > 1")]
    )
    users.add(ADA)

    assert unusable(users) == {}


def test_an_index_of_a_field_with_a_kept_default_can_be_used(store):
    @define
    class Early:
        name: str = key()

    @define
    class Later:
        name: str = key()
        age: int = index(default=7)

    Collection(store, Early, "User").add(Early("a"))
    users = Collection(store, Later, "User")

    assert unusable(users) == {}


def test_an_index_cannot_be_used_where_the_class_computes_what_a_record_lacks(store):
    @define
    class Early:
        name: str = key()

    @define
    class Later:
        name: str = key()
        nick: str = index()
        age: int = index(default=7)

        @nick.default
        def _nick(self):
            return self.name

    Collection(store, Early, "User").add(Early("a"))
    users = Collection(store, Later, "User", indexes=[Index("name", where="@.nick == 'x'")])

    assert unusable(users) == {
        "nick": "some records lack 'nick', and the class computes it",
        "age": "some records lack 'age', and may lack 'nick' too",
        "name[@.nick == 'x']": "some records lack 'nick', which its condition may ask for",
    }


def test_an_index_cannot_be_used_by_a_class_whose_field_no_record_has(store):
    @define
    class Other:
        name: str = key()
        age: int | None = None
        more: int = 3

    users = Collection(store, User, indexes=["age"])
    users.add(ADA)
    Collection(store, Other, "User", unknown="keep").add(Other("x"))

    assert "age" not in unusable(users)
    assert problems(users) == []


def test_an_index_that_is_not_ready_cannot_be_used(store, monkeypatch):
    monkeypatch.setattr(declared_indexes, "SMALL", 0)
    Collection(store, User).add(ADA)
    users = Collection(store, User, indexes=["age"])

    assert "build_indexes" in unusable(users)["age"]
