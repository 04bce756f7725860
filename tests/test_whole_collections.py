"""Collections are renamed, copied, split, merged and dropped as a whole, on each engine."""

import json
import os
import signal
import time
from random import Random
from threading import Thread

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    DuplicateKeyError,
    KeyTooLongError,
    LmdbStore,
    MemoryStore,
    Migration,
    MigrationError,
    ReadOnlyError,
    check,
    index,
    key,
    migrate,
)
from stones.collections.indexes.definition import all_definitions
from stones.collections.record_steps import write_cursors
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Space
from stones.stores.claims import claim_key
from stones.stores.database_reader import GET_MANY

from .processes import Follower, fork, run


@define
class User:
    name: str = key()
    age: int = index()
    nick: str | None = index(unique=True, default=None)


ADA, BOB, EVE = User("ada", 36, "a"), User("bob", 17), User("eve", 52, "e")


def users_in(store, name="users", **options):
    return Collection(store, User, name, **options)


def filled(store, *records, name="users"):
    users = users_in(store, name, indexes=[("age", "nick")])
    users.add_many(records or [ADA, BOB, EVE])
    return users


def is_sound(store):
    """Whether counts, entries of indexes and records fit, and no other entries are there."""
    database = store.database
    with database.reading() as txn:
        names = {key.decode() for key in txn.keys(Space.META, b"collection/", b"collection0")}
        problems = []
        for name in names:
            problems += StoredIndexes(database, name.removeprefix("collection/")).problems(txn)
        ids = {found.prefix for _, found in all_definitions(txn)}
        strays = [entry for entry in txn.keys(Space.INDEX) if entry[:4] not in ids]
    return problems == [] and strays == []


def metadata_of(store, name):
    """The keys of the metadata that name the collection."""
    with store.database.reading() as txn:
        return [found for found in txn.keys(Space.META) if name.encode() in found]


# -- rename ------------------------------------------------------------------------------------


def test_a_program_with_the_old_name_is_told_each_time_that_it_writes(store):
    users, same = filled(store), users_in(store)
    assert same["bob"] == BOB
    users.rename("people")
    for _ in range(2):
        with pytest.raises(CollectionError, match="'people' now"):
            same.add(ADA)
        with pytest.raises(CollectionError, match="'people' now"):
            same.add_many([ADA])
    with pytest.raises(CollectionError, match="'people' now"):
        len(same)
    assert metadata_of(store, "collection/users") == []


@pytest.mark.parametrize(
    "move",
    [
        lambda users: users.drop(),
        lambda users: users.rename("others"),
        lambda users: users.copy("others"),
        lambda users: users.split("others", "@.age > 1"),
        lambda users: users.merge("people"),
        lambda users: users.migrate(),
        lambda users: users.migrate(dry_run=True),
        lambda users: users.undo(to=0),
        lambda users: users.ledger,
    ],
)
def test_a_program_with_the_old_name_cannot_move_or_migrate_the_collection(move):
    store = MemoryStore()
    users, same = filled(store), users_in(store)
    assert same["bob"] == BOB
    users.rename("people")
    with pytest.raises(CollectionError, match="'people' now"):
        move(same)
    assert list(users) == ["ada", "bob", "eve"]


def test_a_renamed_collection_has_its_records_count_and_indexes(store):
    users = filled(store)
    users.rename("people")
    assert users.name == "people"
    assert list(users.values()) == [ADA, BOB, EVE]
    assert len(users) == 3
    assert [found.name for found in users.indexes] == ["age", "nick", "age,nick"]
    assert users.find(age=17).one() == BOB
    assert "index" in str(users.find(age=17).explain())
    assert is_sound(store)
    assert [bytes(found) for found in store] == [b"people/ada", b"people/bob", b"people/eve"]
    assert metadata_of(store, "users") == []


def test_a_renamed_collection_goes_on_keeping_its_indexes(store):
    users = filled(store)
    users.rename("people")
    users.update("bob", age=18)
    users.add(User("zoe", 1, "z"))
    del users["ada"]
    with pytest.raises(DuplicateKeyError):
        users.add(User("zed", 1, "z"))
    assert is_sound(store)
    assert len(users) == 3


def test_an_entry_of_an_index_stays_as_it_is_where_its_collection_is_renamed():
    store = MemoryStore()
    users = filled(store)
    with store.database.reading() as txn:
        before = list(txn.scan(Space.INDEX))
    users.rename("people")
    with store.database.reading() as txn:
        assert list(txn.scan(Space.INDEX)) == before


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack", "cbor"])
def test_stored_bytes_stay_as_they_are_where_no_checksum_has_the_key(serializer, checksums):
    store = MemoryStore(serialize=serializer, checksums=checksums)
    users = filled(store)
    before = store.database.get(b"users/ada")
    users.rename("people")
    after = store.database.get(b"people/ada")
    assert (after == before) is not checksums
    assert users["ada"] == ADA
    assert is_sound(store)


@pytest.mark.parametrize("options", [{"compress": "zstd"}, {"encrypt": b"k" * 32}])
def test_compressed_and_encrypted_records_are_moved(options):
    store = MemoryStore(serialize="msgpack", **options)
    users = filled(store)
    before = store.database.get(b"users/ada")
    users.copy("twin")
    users.rename("people")
    assert (store.database.get(b"people/ada") == before) is ("compress" in options)
    assert list(users.values()) == list(users_in(store, "twin").values()) == [ADA, BOB, EVE]
    users.split("old", "@.age > 30")
    users.merge("old")
    assert list(users.values()) == [ADA, BOB, EVE]
    assert is_sound(store)


def test_the_format_of_a_collection_follows_it(tmp_path):
    store = LmdbStore(str(tmp_path / "db"), serialize="json", encrypt=b"k" * 32)
    users = filled(store)
    migrate(users, "msgpack", checksums=None)
    migrate(users, compress="zstd")
    rules = store.database.metadata().rules
    assert {*rules} == {b"users/"}
    users.copy("twin")
    users.rename("people")
    assert {*store.database.metadata().rules} == {b"people/", b"twin/"}
    assert {*store.database.metadata().rules.values()} == {*rules.values()}
    others = filled(store, User("zoe", 1), name="others")
    others.merge("twin")
    assert {*store.database.metadata().rules} == {b"people/"}
    assert sorted(others) == ["ada", "bob", "eve", "zoe"]
    users.drop()
    assert store.database.metadata().rules == {}
    assert [store["others/ada"]["age"], others["ada"].age] == [36, 36]
    store.close()


def test_a_mixture_of_formats_is_renamed(tmp_path):
    store = LmdbStore(str(tmp_path / "db"), serialize="json", checksums=True)
    users = filled(store)

    class StopError(Exception):
        pass

    def stop(done, steps):
        if done > steps // 2:
            raise StopError

    with pytest.raises(StopError):
        migrate(store, "msgpack", progress=stop)
    users.rename("people")
    assert list(users.values()) == [ADA, BOB, EVE]
    migrate(store, "msgpack")
    assert list(users.values()) == [ADA, BOB, EVE]
    store.close()
    assert check(str(tmp_path / "db")).sound


def test_a_damaged_value_stops_a_rename_before_anything_is_changed():
    store = MemoryStore(checksums=True)
    users = filled(store)
    with store.database.writing() as txn:
        raw = txn.get(Space.DATA, b"users/bob")
        txn.put(Space.DATA, b"users/bob", raw[:-1] + b"?")
    with pytest.raises(ValueError, match="users/bob"):
        users.rename("people")
    assert users.name == "users"
    assert users["ada"] == ADA


def test_an_index_that_is_built_goes_on_being_built_after_a_rename(monkeypatch):
    from stones.collections import declared_indexes, index_building

    store = MemoryStore()
    Collection(store, User, "users").add_many(User(f"{n:03}", n) for n in range(30))
    monkeypatch.setattr(declared_indexes, "SMALL", 0)
    monkeypatch.setattr(index_building, "STEP", 10)
    users = users_in(store, indexes=[("age", "nick")])
    users.add(User("zoe", 99))
    states = {found.name: found.state for found in users.indexes}
    assert states["age,nick"] == "building"
    users.rename("people")
    users.build_indexes()
    assert {found.state for found in users.indexes} == {"ready"}
    assert is_sound(store)


@pytest.mark.parametrize("way", ["rename", "copy", "split"])
def test_a_name_that_is_taken_is_refused(store, way):
    users = filled(store)
    filled(store, name="others")
    store.namespace("space/")["a"] = 1
    store["stray/a"] = 1
    for name, text in [
        ("others", "a collection 'others' already"),
        ("space", "a namespace 'space' already"),
        ("stray", "keys that begin with b'stray/'"),
        ("a/b", "cannot name a collection"),
        ("", "cannot name a collection"),
        (7, "cannot name a collection"),
        ("users", "already"),
    ]:
        with pytest.raises(CollectionError, match=text):
            getattr(users, way)(name)
    assert list(users.values()) == [ADA, BOB, EVE]
    assert store["stray/a"] == 1


def test_a_key_that_is_too_long_under_the_new_name_is_named():
    store = MemoryStore()
    users = users_in(store, "u")
    users.add(User("x" * 509, 1))
    users.add(ADA)
    for way in (users.rename, users.copy):
        with pytest.raises(KeyTooLongError, match=r"xxx.*nothing was changed"):
            way("users")
    assert len(users) == 2


def test_only_a_store_that_can_be_written_is_changed(tmp_path):
    store = LmdbStore(str(tmp_path / "db"))
    filled(store)
    with store.snapshot() as view:
        users = users_in(view)
        for change in (lambda: users.rename("a"), lambda: users.copy("a"), users.drop):
            with pytest.raises(ReadOnlyError, match="snapshot"):
                change()
    store.close()
    with LmdbStore(str(tmp_path / "db"), readonly=True) as store:
        users = users_in(store)
        for change in (
            lambda: users.rename("a"),
            lambda: users.copy("a"),
            lambda: users.split("a"),
            lambda: users.merge("b"),
            users.drop,
        ):
            with pytest.raises(ReadOnlyError, match="read-only"):
                change()


def test_a_collection_in_the_middle_of_a_migration_to_other_steps_is_not_moved():
    store = MemoryStore()
    users, others = filled(store), filled(store, User("zoe", 1), name="others")
    with store.database.writing() as txn:
        write_cursors(txn, "users", {1: b"users/ada"})
    for change in (
        lambda: users.rename("people"),
        lambda: users.copy("people"),
        lambda: users.split("people", "@.age > 1"),
        lambda: users.merge("others"),
        lambda: others.merge(users),
    ):
        with pytest.raises(MigrationError, match="in the middle of a migration"):
            change()
    users.drop()
    assert metadata_of(store, "users") == []


def test_steps_and_ledger_follow_a_rename_and_a_copy():
    store = MemoryStore()
    steps = [Migration(number, rename={f"old{number}": f"new{number}"}) for number in (1, 2)]
    users = users_in(store, migrations=steps)
    users.add_many([ADA, BOB])
    with store.database.writing() as txn:
        txn.put(Space.META, b"ledger/users/000002", b"{}")
    users.copy("twin")
    users.rename("people")
    users.update("bob", age=18)
    with store.database.reading() as txn:
        for name in ("twin", "people"):
            assert json.loads(txn.get(Space.META, claim_key(name)))["steps"]["done"] == 2
            assert txn.get(Space.META, b"ledger/%b/000002" % name.encode()) == b"{}"
        assert txn.get(Space.META, b"ledger/users/000002") is None


def test_a_rename_can_be_undone_with_its_transaction():
    store = MemoryStore()
    users = filled(store)

    def rename_and_fail():
        with store.transaction():
            users_in(store).rename("people")
            assert list(users_in(store, "people").values()) == [ADA, BOB, EVE]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rename_and_fail()
    assert list(users.values()) == [ADA, BOB, EVE]
    assert len(users_in(store, "people")) == 0


def test_a_collection_without_records_cannot_be_renamed():
    with pytest.raises(CollectionError, match="no record was ever written"):
        users_in(MemoryStore()).rename("people")


# -- other programs ----------------------------------------------------------------------------

OPEN = """
import sys
from attrs import define
from stones import Collection, LmdbStore, key

@define
class User:
    name: str = key()
    age: int
    nick: str | None = None

store = LmdbStore(sys.argv[1])
users = Collection(store, User, 'users')
asks = {
    'get': lambda: users['ada'],
    'contains': lambda: 'ada' in users,
    'get_many': lambda: users.get_many(['ada']),
    'count': lambda: len(users),
    'keys': lambda: list(users),
    'values': lambda: list(users.values()),
    'items': lambda: list(users.items()),
    'range': lambda: list(users.range(ge='a').items()),
    'find': lambda: list(users.find('@.age > 1')),
    'find_count': lambda: users.find('@.age > 1').count(),
    'find_key': lambda: list(users.find(name='ada')),
    'search': lambda: list(users.search('$[*].age')),
    'add': lambda: users.add(User('new', 1)),
    'put': lambda: users.put(User('new', 1)),
    'add_many': lambda: users.add_many([User('new', 1)]),
    'update': lambda: users.update('ada', age=1),
    'delete': lambda: users.delete('ada'),
    'pop': lambda: users.pop('ada', None),
    'clear': lambda: users.clear(),
    'again': lambda: len(Collection(store, User, 'users')),
}
print('open', flush=True)
for line in sys.stdin:
    try:
        print('found', asks[line.strip()](), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""
ASKS = [
    *("get", "contains", "get_many", "count", "keys", "values", "items", "range", "find"),
    *("find_count", "find_key", "search", "add", "put", "add_many", "update", "delete", "pop"),
    "clear",
]


@pytest.mark.parametrize("has_used", [False, True])
def test_another_program_that_has_the_old_name_open_is_told_the_new_one(tmp_path, has_used):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store, Follower(OPEN, path) as before_the_first_record:
        users = filled(store)
        with Follower(OPEN, path) as other:
            if has_used:
                assert other.ask("put") == "found new"
                assert "ada" in other.ask("get")
            users.rename("people")
            for question in ASKS:
                answer = other.ask(question)
                assert answer.startswith("CollectionError"), (question, answer)
                assert "'people'" in answer
            assert other.ask("again") == "found 0"
            assert len(users) == 3 + has_used
        assert before_the_first_record.ask("count") == "found 0"  # it has never seen the records


def test_another_program_that_has_a_dropped_collection_open_is_told(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store:
        users = filled(store)
        with Follower(OPEN, path) as other:
            users.drop()
            assert "has dropped it" in other.ask("get")
            assert "has dropped it" in other.ask("add")
            assert len(users) == 0
            users.add(BOB)
            assert "bob" in other.ask("keys")  # a new collection of the same name


def test_a_collection_whose_first_record_was_undone_is_just_empty():
    store = MemoryStore()
    users = users_in(store)

    def add_and_fail():
        with store.transaction():
            users.add(ADA)
            assert list(users.find("@.age > 1")) == [ADA]
            assert len(users) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert len(users) == 0
    assert list(users.find("@.age > 1")) == []
    assert "ada" not in users
    users.add(BOB)
    assert list(users) == ["bob"]


def test_a_thread_that_looks_while_the_first_records_are_written_finds_none_yet(store):
    users = users_in(store)
    found = []

    def look():
        found.append((list(users.items()), list(users.find("@.age > 1")), "ada" in users))

    def slowly():
        yield ADA
        yield from (User(f"{n:05}", n) for n in range(GET_MANY))
        thread = Thread(target=look)
        thread.start()
        thread.join()

    users.add_many(slowly())
    look()
    assert found[0] == ([], [], False)
    assert found[1] == ([*users.items()], [*users.find("@.age > 1")], True)


def test_a_thread_reads_all_of_a_collection_before_or_after_a_rename(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store:
        users_in(store).add_many(User(f"{n:05}", n) for n in range(2000))
    code = """
from stones import *
store = LmdbStore(argv[0])
end = time.monotonic() + 1.5
seen = set()
while time.monotonic() < end:
    with store.snapshot() as view:
        seen.add((len(view), len(view.range(prefix='users/')), len(view.range(prefix='people/'))))
print(sorted(seen))
"""
    pid = fork(lambda: rename_back_and_forth(path))
    result = run("import time\n" + code, path)
    os.waitpid(pid, 0)
    seen = set(eval(result.stdout))
    assert seen <= {(2000, 2000, 0), (2000, 0, 2000)}


def rename_back_and_forth(path):
    with LmdbStore(path, durability="none") as store:
        users = users_in(store)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            users.rename("people" if users.name == "users" else "users")


# -- copy and split ----------------------------------------------------------------------------


def test_a_copy_has_all_records_and_indexes_of_its_own(store):
    users = filled(store)
    assert users.copy("twin") == 3
    twin = users_in(store, "twin")
    assert list(twin.values()) == [ADA, BOB, EVE]
    assert {found.state for found in twin.indexes} == {"ready"}
    assert len(twin.indexes) == 3
    twin.update("ada", age=1)
    assert users["ada"].age == 36
    assert (len(users), len(twin)) == (3, 3)
    assert is_sound(store)


def test_a_copy_may_have_the_records_that_match(store):
    users = filled(store)
    assert users.copy("adults", "@.age > {age}", age=30) == 2
    assert users.copy("bobs", None, name="bob") == 1
    assert users.copy("typed", lambda user: user.age < 20) == 1
    assert users.copy("nobody", "@.age > 1000") == 0
    assert list(users_in(store, "adults")) == ["ada", "eve"]
    assert len(users_in(store, "adults")) == 2
    assert list(users_in(store, "bobs")) == list(users_in(store, "typed")) == ["bob"]
    assert len(users_in(store, "nobody")) == 0
    assert is_sound(store)


def test_a_split_moves_the_records_that_match(store):
    users = filled(store)
    assert users.split("adults", "@.age > 30") == 2
    assert list(users) == ["bob"]
    assert list(users_in(store, "adults").values()) == [ADA, EVE]
    assert (len(users), len(users_in(store, "adults"))) == (1, 2)
    assert users.find(age=36).count() == 0
    users.add(User("new", 1, "a"))  # the unique value went with its record
    assert is_sound(store)


def test_a_filter_that_cannot_be_is_an_error_before_anything_is_written():
    users = filled(MemoryStore())
    with pytest.raises(ValueError, match="agee"):
        users.split("others", "@.agee > 30")
    with pytest.raises(ValueError, match="agee"):
        users.copy("others", None, agee=30)


@given(st.sets(st.integers(0, 1500)), st.integers(0, 1500), st.booleans())
def test_copy_split_and_merge_are_those_of_a_dict(numbers, bound, checksums):
    store = MemoryStore(checksums=checksums)
    users = users_in(store)
    users.add(User("first", -1))
    users.add_many(User(f"{n}", n, f"n{n}" if n % 3 else None) for n in numbers)
    model = {user.name: user for user in users.values()}
    above = {name: user for name, user in model.items() if user.age > bound}
    assert users.copy("copy", "@.age > {bound}", bound=bound) == len(above)
    assert users.split("split", "@.age > {bound}", bound=bound) == len(above)
    assert dict(users_in(store, "copy")) == dict(users_in(store, "split")) == above
    assert dict(users) == {name: model[name] for name in model.keys() - above.keys()}
    assert is_sound(store)
    users.rename("people")
    assert users.merge("split") == len(above)
    assert dict(users) == model
    assert len(users) == len(model)
    assert is_sound(store)
    users_in(store, "copy").drop()
    assert metadata_of(store, "copy") == []
    assert len(store) == len(model)


# -- merge -------------------------------------------------------------------------------------


def test_a_merged_collection_is_gone_and_its_records_are_here(store):
    users, guests = filled(store, ADA, BOB), users_in(store, "guests", indexes=["name"])
    guests.add_many([EVE, User("zoe", 1, "z")])
    assert users.merge(guests) == 2
    assert list(users) == ["ada", "bob", "eve", "zoe"]
    assert len(users) == 4
    assert {found.name for found in users.indexes} == {"age", "nick", "age,nick", "name"}
    assert {found.state for found in users.indexes} == {"ready"}
    assert is_sound(store)
    assert metadata_of(store, "guests") == []
    with pytest.raises(CollectionError, match="'users' now"):
        guests.get("eve")


def test_duplicates_of_a_merge_are_named_before_anything_is_written(store):
    users = filled(store, *(User(f"{n:02}", n) for n in range(30)))
    guests = filled(store, *(User(f"{n:02}", n) for n in range(15, 40)), name="guests")
    before = dict(store)
    with pytest.raises(DuplicateKeyError, match=r"15 keys.*'15', '16'.*and 5 more"):
        users.merge(guests)
    assert dict(store) == before
    assert (len(users), len(guests)) == (30, 25)


def test_the_same_value_of_a_unique_index_stops_a_merge(store):
    users, guests = filled(store, ADA), filled(store, User("ann", 1, "a"), name="guests")
    with pytest.raises(DuplicateKeyError, match=r"nick.*unique"):
        users.merge(guests)
    assert (list(users), list(guests)) == (["ada"], ["ann"])
    assert is_sound(store)


def test_a_merge_of_what_does_not_fit_is_refused():
    store = MemoryStore()

    @define
    class Numbered:
        number: int = key()

    users = filled(store)
    Collection(store, Numbered, "numbers").add(Numbered(1))
    with pytest.raises(CollectionError, match=r"keys of type str.*keys of type int"):
        users.merge("numbers")
    with pytest.raises(CollectionError, match="no collection 'nowhere'"):
        users.merge("nowhere")
    with pytest.raises(CollectionError, match="takes another collection"):
        users.merge(users)
    with pytest.raises(CollectionError, match="same store"):
        users.merge(filled(MemoryStore()))


def test_a_default_that_one_collection_keeps_holds_in_the_merged_one():
    store = MemoryStore()

    @define
    class Old:
        name: str = key()

    @define
    class New:
        name: str = key()
        level: int = index(default=3)

    Collection(store, Old, "guests").add(Old("old"))
    Collection(store, New, "guests").add(New("new", 7))
    users = Collection(store, New, "users")
    users.add(New("own", 5))
    users.merge("guests")
    assert {name: user.level for name, user in users.items()} == {"new": 7, "old": 3, "own": 5}
    assert list(users.find(level=3)) == [New("old", 3)]
    assert is_sound(store)


def test_collections_with_other_steps_or_kept_defaults_are_not_merged():
    store = MemoryStore()

    @define
    class Short:
        name: str = key()

    @define
    class Three:
        name: str = key()
        level: int = 3

    @define
    class Four:
        name: str = key()
        level: int = 4

    for name, cls in (("threes", Three), ("fours", Four)):
        Collection(store, Short, name).add(Short(f"old of {name}"))
        Collection(store, cls, name).add(cls(f"new of {name}"))
    before = dict(store)
    with pytest.raises(CollectionError, match=r"read 3 in .*'threes', and 4 in 'fours'"):
        Collection(store, Three, "threes").merge("fours")
    Collection(store, Three, "stepped").add(Three("a"))
    Collection(store, Three, "stepped", migrations=[Migration(1, drop=["x"])]).migrate()
    with pytest.raises(MigrationError, match="have had other steps: migrate"):
        Collection(store, Three, "threes").merge("stepped")
    assert {name: store[name] for name in before} == before


def test_collections_whose_indexes_of_one_name_differ_are_not_merged():
    store = MemoryStore()

    @define
    class Once:
        name: str = key()
        nick: str = index(unique=True)

    @define
    class Often:
        name: str = key()
        nick: str = index()

    Collection(store, Once, "once").add(Once("a", "x"))
    Collection(store, Often, "often").add(Often("b", "x"))
    with pytest.raises(CollectionError, match=r"'nick' has unique=True.*'once'.*'often'"):
        Collection(store, Once, "once").merge("often")
    assert len(store) == 2


def test_the_same_unique_value_far_apart_stops_a_merge():
    store = MemoryStore()

    @define
    class Once:
        name: str = key()
        nick: str = index(unique=True)

    Collection(store, Once, "one").add_many(Once(f"a{n}", f"{n}") for n in range(1500))
    Collection(store, Once, "other").add_many(Once(f"b{n}", f"{n + 1400}") for n in range(1500))
    with pytest.raises(DuplicateKeyError, match="nothing was changed"):
        Collection(store, Once, "one").merge("other")
    assert len(store) == 3000


# -- drop --------------------------------------------------------------------------------------


def test_a_dropped_collection_leaves_nothing(store):
    store["other"] = 1
    filled(store, name="kept")
    users = filled(store)
    users.drop()
    assert metadata_of(store, "users") == []
    assert len(store) == 4
    assert is_sound(store)
    assert list(users) == []
    users.add(ADA)
    assert [found.name for found in users.indexes] == ["age", "nick", "age,nick"]
    assert is_sound(store)


def test_a_collection_that_was_never_written_can_be_dropped():
    users = users_in(MemoryStore())
    users.drop()
    users.add(ADA)
    assert len(users) == 1


# -- kills -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["rename", "split", "merge", "drop"])
def test_a_killed_program_leaves_all_or_nothing(tmp_path, way):
    path, random = str(tmp_path / "db"), Random(7)
    records = [User(f"{n:05}", n, f"n{n}") for n in range(3000)]

    def change():
        with LmdbStore(path, durability="none") as store:
            users = users_in(store)
            {
                "rename": lambda: users.rename("people"),
                "split": lambda: users.split("people", "@.age < 1500"),
                "merge": lambda: users.merge("others"),
                "drop": users.drop,
            }[way]()

    for _ in range(4):
        with LmdbStore(path) as store:
            store.clear()
            for name in ("users", "people", "others"):
                users_in(store, name).drop()
            users_in(store).add_many(records[:2000] if way == "merge" else records)
            if way == "merge":
                users_in(store, "others").add_many(records[2000:])
        child = fork(change)
        time.sleep(random.random() * 0.15)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with LmdbStore(path) as store:
            counts = tuple(len(users_in(store, name)) for name in ("users", "people", "others"))
            assert (
                counts
                in {
                    "rename": {(3000, 0, 0), (0, 3000, 0)},
                    "split": {(3000, 0, 0), (1500, 1500, 0)},
                    "merge": {(2000, 0, 1000), (3000, 0, 0)},
                    "drop": {(3000, 0, 0), (0, 0, 0)},
                }[way]
            )
            assert is_sound(store)
        assert check(path).sound
