"""Copies and merges of stores keep the indexes of their collections, on both engines.

After each of them every entry is compared with every record.
"""

import copy
from fractions import Fraction

import pytest
from attrs import define, field

from stones import (
    Collection,
    CollectionError,
    DuplicateKeyError,
    Index,
    LmdbStore,
    MemoryStore,
    check,
    index,
    key,
)
from stones.collections import copied_indexes, declared_indexes
from stones.collections.indexes.definition import all_definitions
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Space

from .without_snapshots import refuses_snapshots


@define
class User:
    name: str = key()
    age: int = index()
    nick: str | None = index(unique=True, default=None)
    tags: list[str] = index(each=True, factory=list)


@define
class Plain:
    """The class without indexes."""

    name: str = key()
    age: int
    nick: str | None = None
    tags: list[str] = field(factory=list)


INDEXES = [("age", "nick"), Index("age", where="@.age > 30")]
NAMES = {"age", "nick", "tags", "age,nick", "age[@.age > 30]"}
ADA, BOB, EVE = User("ada", 36, "a", ["x", "y"]), User("bob", 17), User("eve", 52, "e")


def users_in(store, cls=User, **options):
    return Collection(store, cls, "users", **options)


def fill(store, *users):
    users_in(store, indexes=INDEXES).add_many(users)
    return store


def states(store):
    return {found.name: found.state for found in users_in(store, Plain).indexes}


def is_sound(store):
    """Whether the entries of all indexes are those of the records, and no other entries are."""
    database = store.database
    with database.reading() as txn:
        indexes = StoredIndexes(database, "users")
        ids = {found.prefix for _, found in all_definitions(txn)}
        strays = [entry for entry in txn.keys(Space.INDEX) if entry[:4] not in ids]
        return [*indexes.problems(txn)] == [] and strays == []


@pytest.fixture
def full(open_store):
    return fill(open_store(serialize="msgpack"), ADA, BOB, EVE)


def copy_of_a_snapshot(store):
    return store.snapshot().copy()


@pytest.mark.parametrize(
    "copied",
    [
        lambda store: store.copy(),
        copy.deepcopy,
        lambda store: store | {"other": 1},
        lambda store: {} | store,
        lambda store: MemoryStore() | store,
        lambda store: MemoryStore(store, serialize="json"),
        copy_of_a_snapshot,
    ],
)
def test_a_copy_has_the_indexes_and_goes_on_keeping_them(full, copied):
    if copied is copy_of_a_snapshot and refuses_snapshots(full, copied):
        return
    twin = copied(full)
    assert states(twin) == dict.fromkeys(NAMES, "ready")
    assert is_sound(twin)
    users = users_in(twin, Plain)
    users.update("bob", age=18, tags=["z"])
    del users["ada"]
    users.add(Plain("ann", 1, "a"))
    assert is_sound(twin)
    with pytest.raises(DuplicateKeyError, match="the index 'nick' is unique"):
        users.add(Plain("eva", 1, "e"))
    assert is_sound(full)


def test_ids_are_given_by_the_target(full, open_store):
    target = fill(open_store(), User("zoe", 1))
    Collection(target, User, "others").add(ADA)
    users_in(target).drop_index("age")
    target.update(full)
    with target.database.reading() as txn:
        found = {
            each.id: each.name for each in StoredIndexes(target.database, "users").definitions(txn)
        }
    assert [*found.values()] == ["nick", "tags", "age,nick", "age[@.age > 30]", "age"]
    assert max(found) > 8
    assert is_sound(target)


def test_a_replaced_record_loses_its_entries(full, open_store):
    target = fill(open_store(), User("ada", 1, "old", ["gone"]), User("zoe", 2, "z"))
    target.update(full)
    assert is_sound(target)
    assert dict(users_in(target).items()) == {
        user.name: user for user in (ADA, BOB, EVE, User("zoe", 2, "z"))
    }
    users_in(target).add(User("new", 1, "old"))


@pytest.mark.parametrize("small", [10_000, 0], ids=["small", "large"])
def test_records_that_the_target_had_before_get_into_the_indexes(
    full, open_store, monkeypatch, small
):
    monkeypatch.setattr(copied_indexes, "SMALL", small)
    target = open_store()
    users_in(target, Plain).add(Plain("zoe", 2, "z"))
    target.update(full)
    assert is_sound(target)
    assert states(target) == dict.fromkeys(NAMES, "ready")
    assert users_in(target).find(age=2).count() == 1


def test_a_large_collection_is_indexed_later_unless_the_index_is_unique(open_store, monkeypatch):
    monkeypatch.setattr(copied_indexes, "SMALL", 0)
    source, target = MemoryStore(), open_store()
    users_in(source, Plain, indexes=["age"]).add(Plain("ada", 1))
    users_in(target, Plain).add(Plain("zoe", 2, "z"))
    target.update(source)
    assert states(target) == {"age": "building"}
    users_in(target, Plain).build_indexes()
    assert states(target) == {"age": "ready"}
    assert is_sound(target)


def test_records_get_into_indexes_that_only_the_target_has(full, open_store):
    source = MemoryStore()
    users_in(source, Plain).add_many([Plain("ada", 40, "new"), Plain("ann", 2)])
    full.update(source)
    assert is_sound(full)
    assert users_in(full)["ada"] == User("ada", 40, "new")


@pytest.mark.parametrize("small", [10_000, 0], ids=["small", "large"])
@pytest.mark.parametrize("cls", [User, Plain], ids=["target has the index", "it has not"])
def test_two_records_with_the_same_unique_values_are_refused(
    full, open_store, monkeypatch, cls, small
):
    monkeypatch.setattr(copied_indexes, "SMALL", small)
    target = open_store()
    users_in(target, cls).add(cls("zoe", 2, "a"))
    before, entries = dict(target), states(target)
    with pytest.raises(DuplicateKeyError, match=r"users\['(ada|zoe)'\] has the same nick"):
        target.update(full)
    assert (dict(target), states(target)) == (before, entries)
    assert is_sound(target)


def test_an_index_of_the_same_name_and_of_another_kind_is_refused(full, open_store):
    target = open_store()
    users_in(target, Plain, indexes=[Index("age", unique=True)]).add(Plain("zoe", 2))
    before = dict(target)
    with pytest.raises(CollectionError, match=r"'age' .* unique=True .* unique=False") as raised:
        target.update(full)
    assert "nothing was written" in str(raised.value)
    assert dict(target) == before
    assert is_sound(target)


def test_an_index_that_failed_or_is_built_comes_along_without_an_error(open_store, monkeypatch):
    monkeypatch.setattr(declared_indexes, "SMALL", 0)
    source = open_store()
    users_in(source, Plain).add_many([Plain("ada", 1, "same"), Plain("bob", 1, "same")])
    users_in(source, Plain, indexes=[Index("nick", unique=True), "age"])
    assert states(source) == {"nick": "building", "age": "building"}
    twin = source.copy()
    assert states(twin) == {"nick": "failed", "age": "ready"}
    assert states(twin.copy()) == {"nick": "failed", "age": "ready"}
    assert is_sound(twin)


def test_defaults_that_the_description_gets_by_a_copy_have_indexes_built_again(open_store):
    @define
    class Old:
        name: str = key()

    @define
    class New:
        name: str = key()
        level: int = index(default=5)

    source, target = MemoryStore(), open_store()
    users_in(source, Old).add(Old("ada"))
    users_in(source, New).add(New("bob"))
    users_in(target, New).add(New("zoe", 1))
    target.update(source)
    assert is_sound(target)
    assert users_in(target, New)["ada"].level == 5


def test_values_of_registered_types_have_the_entries_of_a_write(open_store):
    @define
    class Part:
        name: str = key()
        share: Fraction | float = index()

    source, target = MemoryStore(serialize="json"), open_store(serialize="cbor")
    parts = Collection(source, Part, "users", indexes=[Index("share", where="@.share == 0.5")])
    parts.add_many([Part("half", Fraction(1, 2)), Part("third", Fraction(1, 3)), Part("a", 0.5)])
    target.update(source)
    assert is_sound(target)


def test_a_store_on_disk_that_is_filled_from_a_copy_is_sound(full, tmp_path):
    with LmdbStore(tmp_path / "twin", serialize="cbor", iterable=full) as twin:
        assert is_sound(twin)
    assert check(tmp_path / "twin").sound


def test_a_cleared_store_keeps_its_indexes_without_entries(full):
    full.clear()
    assert states(full) == dict.fromkeys(NAMES, "ready")
    users_in(full).add(ADA)
    assert is_sound(full)


def test_a_copy_of_many_records_is_sound(open_store):
    source = fill(
        MemoryStore(), *(User(f"{n}", n % 100, f"{n}", ["a"] * (n % 3)) for n in range(3000))
    )
    target = fill(open_store(), *(User(f"{n}", 1, f"{n}") for n in range(1000)))
    target.update(source)
    assert is_sound(target)
    assert users_in(target).find(age=7).count() == 30
