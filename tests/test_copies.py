"""Copies of stores with collections, and stores merged into others: the collections come along."""

import copy
import pickle
from contextlib import closing

import lmdb
import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    LmdbStore,
    MemoryStore,
    ReservedKeyError,
    SerializerError,
    StoreClosedError,
    ValueTypeError,
    check,
    key,
)

from .processes import run
from .without_snapshots import refuses_snapshots


@define
class User:
    name: str = key()
    age: int


@define
class Note:
    number: int = key()
    text: str


ADA, BOB, EVE = User("ada", 36), User("bob", 17), User("eve", 52)
LISP, NOTE = Note(1, "lisp"), Note(-7, "text")


def fill(store):
    store.update({"plain": 1, "User": 2, "User0": 3, "other/1": 4})
    Collection(store, User).add_many([ADA, BOB])
    Collection(store, Note, name="notes").add_many([LISP, NOTE])
    return store


@pytest.fixture
def full(open_store):
    """A store on each engine, with plain entries and two collections."""
    return fill(open_store(serialize="msgpack"))


def content(store):
    """The entries of a store, and how many records its collections have."""
    return dict(store), store.stats()["collections"]


COPIES = {
    "copy()": lambda store: store.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "| dict": lambda store: store | {},
    "dict |": lambda store: {} | store,
    "| store": lambda store: store | MemoryStore(),
    "store |": lambda store: MemoryStore() | store,
    "MemoryStore(store)": MemoryStore,
    "MemoryStore(iterable=store)": lambda store: MemoryStore(iterable=store, serialize="json"),
    "a snapshot": lambda store: store.snapshot().copy(),
    "a deep copy of a snapshot": lambda store: copy.deepcopy(store.snapshot()),
    "in an object": lambda store: copy.deepcopy({"store": [store]})["store"][0],
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_has_the_collections(full, tmp_path, kind):
    if "snapshot" in kind and refuses_snapshots(full, COPIES[kind]):
        return
    before = content(full)
    twin = COPIES[kind](full)
    assert content(twin) == before
    users = Collection(twin, User)
    assert (len(users), list(users.values())) == (2, [ADA, BOB])
    users.add(EVE)
    users.update("bob", age=18)
    del users["ada"]
    assert (len(users), users.find(age=18).count()) == (2, 1)
    assert list(Collection(twin, Note, name="notes").values()) == [NOTE, LISP]
    with pytest.raises(ReservedKeyError):
        twin["User/x"] = 1
    twin.backup(tmp_path / "saved")
    assert check(tmp_path / "saved", trust_pickle=True).findings == ()
    assert content(full) == before


def test_a_store_on_disk_is_filled_from_a_store_with_collections(full, tmp_path):
    with LmdbStore(tmp_path / "twin", serialize="cbor", checksums=True, iterable=full) as twin:
        assert content(twin) == content(full)
        assert Collection(twin, User).add(EVE) == "eve"
    assert check(tmp_path / "twin").findings == ()


@pytest.mark.needs("snapshots")
def test_a_copy_inside_a_transaction_is_of_its_state(full):
    with full.transaction():
        users = Collection(full, User)
        users.add(EVE)
        full["new"] = 1
        twin = full.copy()
        of_before = full.snapshot().copy()
    assert list(Collection(twin, User)) == ["ada", "bob", "eve"]
    assert "new" in twin
    assert list(Collection(of_before, User)) == ["ada", "bob"]
    assert "new" not in of_before


def test_a_copy_of_a_store_of_stones_03_has_its_entries(tmp_path):
    path = str(tmp_path / "db")
    with closing(lmdb.open(path)) as old, old.begin(write=True) as txn:
        txn.put(b"User/x", b"1")
    with LmdbStore(path, serialize="noop") as store:
        for twin in (store.copy(), store | {}, MemoryStore(store)):
            assert dict(twin) == {b"User/x": b"1"}
        with pytest.raises(CollectionError, match=r"'User' cannot be in .* of stones 0\.3"):
            store.update(fill(MemoryStore()))
        assert dict(store) == {b"User/x": b"1"}


# -- update ----------------------------------------------------------------------------------------

SOURCES = {
    "a store": lambda store: store,
    "a snapshot": lambda store: store.snapshot(),
    "a copy": lambda store: store.copy(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_update_brings_collections_that_the_store_does_not_have(full, open_store, source):
    if source == "a snapshot" and refuses_snapshots(full, SOURCES[source]):
        return
    target = open_store(serialize="json")
    Collection(target, Note, name="more").add(LISP)
    target.update(SOURCES[source](full), extra=5)
    assert content(target) == (
        {**dict(full), b"extra": 5, **dict(target.range(prefix="more/"))},
        {"User": 2, "more": 1, "notes": 2},
    )
    assert list(Collection(target, User).values()) == [ADA, BOB]


def test_update_adds_records_to_a_collection_and_replaces_those_of_the_same_key(full, open_store):
    target = open_store()
    users = Collection(target, User)
    users.add_many([User("ada", 1), EVE])
    target |= full
    assert list(users.values()) == [ADA, BOB, EVE]
    assert len(users) == users.find().count() == 3
    target.update(full)
    assert len(users) == 3


def test_update_joins_a_transaction_and_is_undone_with_it(full, open_store):
    target = open_store()
    with pytest.raises(RuntimeError), target.transaction():
        target.update(full)
        assert len(Collection(target, User)) == 2
        raise RuntimeError
    assert content(target) == ({}, {})
    target["User/x"] = 1  # no collection claims it
    del target["User/x"]
    target.update(full)
    assert content(target) == content(full)


def test_update_from_the_store_itself_changes_nothing(full):
    before = content(full)
    full.update(full, more=1)
    assert content(full) == ({**before[0], b"more": 1}, before[1])


@pytest.mark.needs("snapshots")
def test_update_from_an_earlier_snapshot_of_the_store_brings_removed_records_back(full):
    users = Collection(full, User)
    with full.snapshot() as view:
        del users["ada"]
        users.update("bob", age=1)
        users.add(EVE)
        full.update(view)
    assert list(users.values()) == [ADA, BOB, EVE]
    assert len(users) == 3


def test_other_handles_and_processes_know_of_the_collection_at_once(tmp_path):
    path = tmp_path / "db"
    with LmdbStore(path) as store, LmdbStore(path) as other:
        store["a"] = other["b"] = 1
        store.update(fill(MemoryStore()))
        with pytest.raises(ReservedKeyError):
            other["User/x"] = 1
        done = run("LmdbStore(argv[0])['User/x'] = 1", path)
        assert "ReservedKeyError" in done.stderr


@define
class NumberedUser:
    name: int = key()
    age: int


def refused(target, source, error, match):
    before = content(target)
    with pytest.raises(error, match=match):
        target.update(source)
    assert content(target) == before
    with target.transaction():
        target["inside"] = b"1"
        with pytest.raises(error, match=match):
            target.update(source)
    del target["inside"]
    assert content(target) == before


def test_a_collection_with_keys_of_another_type_is_refused(full, open_store):
    target = open_store()
    Collection(target, NumberedUser, name="User").add(NumberedUser(1, 1))
    refused(target, full, CollectionError, r"'User' has keys of type int in .*, and of type str")


def test_records_that_would_read_another_default_are_refused():
    def grown(default):
        @define
        class Grown:
            name: str = key()
            age: int
            country: str = default

        store = fill(MemoryStore())
        Collection(store, Grown, name="User").put(Grown("new", 1))
        return store

    german, french = grown("DE"), grown("FR")
    before = content(german)
    with pytest.raises(CollectionError, match="'country' read 'DE' in the one store, and 'FR'"):
        german.update(french)
    assert content(german) == before
    german.update(grown("DE"))
    assert content(german) == before


def test_a_collection_whose_keys_are_in_use_is_refused(full, open_store):
    target = open_store()
    target["User/x"] = 1
    refused(target, full, CollectionError, r"'User' cannot be copied: .* has keys .* b'User/x'")


def test_plain_entries_under_the_keys_of_a_collection_are_refused(full):
    refused(full, MemoryStore({"notes/x": 1, "a": 2}), ReservedKeyError, "collection 'notes'")
    refused(full, {"notes/x": 1, "a": 2}, ReservedKeyError, "collection 'notes'")


def test_a_value_that_the_serializer_cannot_hold_is_refused(full, open_store):
    source = full.copy()
    source["what"] = 1
    target = open_store(serialize="noop")
    refused(target, source, SerializerError, "the value of b'User'")


def test_too_long_a_key_is_refused(open_store):
    source = MemoryStore()
    source["x" * 511] = 1
    target = open_store()
    target.update(source)
    assert len(target) == 1


def test_the_entries_as_a_dict_are_plain_entries(full, open_store):
    target = open_store()
    target.update(dict(full))
    target.update(full.items())
    assert content(target) == (dict(full), {})
    target["User/x"] = 1


records = st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=6)
plain = st.dictionaries(st.binary(min_size=1, max_size=3), st.integers(), max_size=6)


def made(users, entries):
    store = MemoryStore()
    store.update(entries)
    if users:
        Collection(store, User).add_many(User(*pair) for pair in users.items())
    return store


@given(records, plain, records, plain)
def test_merging_stores_is_merging_their_dicts(users, entries, more_users, more_entries):
    merged = made(users, entries) | made(more_users, more_entries)
    assert dict(Collection(merged, User).items()) == {
        name: User(name, age) for name, age in (users | more_users).items()
    }
    assert len(Collection(merged, User)) == len(users | more_users)
    assert {
        stored: value for stored, value in merged.items() if not stored.startswith(b"User/")
    } == entries | more_entries


# -- what works on a store -------------------------------------------------------------------------

BOUND = {
    "collection": lambda store: Collection(store, User),
    "query": lambda store: Collection(store, User).find(age=36),
    "range of records": lambda store: Collection(store, User).range(ge="b"),
    "keys of records": lambda store: Collection(store, User).keys(),
    "range": lambda store: store.range(prefix="User"),
    "keys": lambda store: store.keys(),
    "values": lambda store: store.values(),
    "items": lambda store: store.items(),
    "collection of a snapshot": lambda store: Collection(store.snapshot(), User),
}


@pytest.mark.parametrize("bound", BOUND)
def test_what_works_on_a_store_is_not_deep_copied_or_pickled_without_it(full, bound):
    if "snapshot" in bound and refuses_snapshots(full, BOUND[bound]):
        return
    thing = BOUND[bound](full)
    for copied in (copy.deepcopy, lambda thing: copy.deepcopy([full, thing])):
        with pytest.raises(ValueTypeError, match=r"cannot be deep-copied: (take|copy the store)"):
            copied(thing)
    with pytest.raises(ValueTypeError, match="cannot be pickled"):
        pickle.dumps(thing)


@pytest.mark.parametrize("bound", BOUND)
def test_a_shallow_copy_of_it_is_on_the_same_store(full, bound):
    if "snapshot" in bound and refuses_snapshots(full, BOUND[bound]):
        return
    thing = BOUND[bound](full)
    twin = copy.copy(thing)
    assert list(twin) == list(thing)
    assert type(twin) is type(thing)


def test_the_way_that_the_error_tells_works(full):
    users = Collection(full, User)
    with pytest.raises(ValueTypeError, match=r"Collection\(copy\.deepcopy\(store\), Class\)"):
        copy.deepcopy(users)
    twin = Collection(copy.deepcopy(full), User)
    twin.add(EVE)
    assert (len(twin), len(users)) == (3, 2)


def test_a_closed_store_is_refused(full):
    other = full.copy()
    full.close()
    with pytest.raises(StoreClosedError):
        other.update(full)
    assert len(other) == 8
