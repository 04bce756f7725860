"""A step with `key=` gives the records of a collection other keys, all of them at once."""

import os
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import UUID, uuid4

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    DuplicateKeyError,
    LmdbStore,
    MemoryStore,
    Migration,
    MigrationError,
    check,
    index,
    key,
)
from stones.engine import Space
from stones.migrations.steps.schema import migrate_steps
from stones.stores import sorted_entries

from .processes import fork
from .test_whole_collections import is_sound


@define
class Old:
    number: int = key()
    email: str
    age: int = index()


@define
class User:
    email: str = key()
    age: int = index()
    number: int = index(unique=True, default=0)


BY_EMAIL = [Migration(1, key=lambda record: record["email"])]


def old_users(store, *emails):
    users = Collection(store, Old, "users")
    users.add_many(Old(number, email, number % 50) for number, email in enumerate(emails))
    return users


def users_in(store, steps=BY_EMAIL, **options):
    return Collection(store, User, "users", migrations=steps, **options)


def test_records_get_new_keys_with_count_and_indexes(store):
    old_users(store, "zoe@x", "ada@x", "bob@x")
    users = users_in(store)
    with pytest.raises(MigrationError, match=r"step 1.*changes the keys.*migrate"):
        users.get("ada@x")
    report = users.migrate()
    assert (report.steps, report.records, report.changed, report.removed) == ((1,), 3, 3, 0)
    assert list(users) == ["ada@x", "bob@x", "zoe@x"]
    assert users["ada@x"] == User("ada@x", 1, 1)
    assert len(users) == 3
    assert users.find(age=2).one().email == "bob@x"
    assert {found.name: found.state for found in users.indexes} == {
        "age": "ready",
        "number": "ready",
    }
    assert is_sound(store)
    assert [entry.number for entry in users.ledger] == [1]
    assert users.migrate().steps == ()
    users.add(User("new@x", 1, 9))
    assert Collection(store, User, "users", migrations=BY_EMAIL)["new@x"].age == 1


def test_other_steps_run_in_the_same_transaction():
    store = MemoryStore(checksums=True)

    @define
    class Mail:
        number: int = key()
        mail: str
        old: bool = False

    Collection(store, Mail, "users").add_many(
        [Mail(1, "ada@x"), Mail(2, "bob@x", True), Mail(3, "eve@x")]
    )
    steps = [
        Migration(1, rename={"mail": "email"}, add={"age": 7}),
        Migration(2, change=lambda record: None if record["old"] else record),
        Migration(3, drop=["old"], key=lambda record: record["email"]),
        Migration(4, convert={"age": lambda age: age + 1}),
    ]
    users = users_in(store, steps)
    report = users.migrate()
    assert (report.steps, report.changed, report.removed) == ((1, 2, 3, 4), 2, 1)
    assert dict(users) == {"ada@x": User("ada@x", 8, 1), "eve@x": User("eve@x", 8, 3)}
    assert is_sound(store)


def test_duplicates_are_named_with_their_old_keys_before_anything_is_written(store):
    old_users(store, "a", "b", "a", "c", "b", "a")
    before = dict(store)
    users = users_in(store)
    dry = users.migrate(dry_run=True)
    assert [failure.message for failure in dry.failures] == [
        "users: the records 0, 2, 5 have the same new key 'a'",
        "users: the records 1, 4 have the same new key 'b'",
    ]
    with pytest.raises(MigrationError, match=r"the records 0, 2, 5 have the same new key 'a'"):
        users.migrate()
    assert dict(store) == before
    assert len(Collection(store, Old, "users")) == 6
    assert is_sound(store)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda record: record["number"], "expected a key of type str, got int|the two must"),
        (lambda record: record["email"] + "!", "the two must be the same"),
        (lambda record: record["nothing"], "KeyError: 'nothing'"),
        (lambda _: None, "key= gives None"),
    ],
)
def test_a_wrong_key_is_named_with_the_old_one(function, text):
    store = MemoryStore()
    old_users(store, "a", "b")
    users = users_in(store, [Migration(1, key=function)])
    failures = users.migrate(dry_run=True).failures
    assert [failure.step for failure in failures] == [1, 1]
    assert failures[0].message.startswith("users[0]: step 1: ")
    with pytest.raises(MigrationError, match=text):
        users.migrate()
    assert len(Collection(store, Old, "users")) == 2


def test_a_key_that_is_too_long_and_an_empty_one_are_failures():
    store = MemoryStore()
    old_users(store, "x" * 600, "", "good")
    failures = users_in(store).migrate(dry_run=True).failures
    assert len(failures) == 2
    assert "bytes" in failures[0].message


def test_values_that_a_unique_index_refuses_undo_all():
    store = MemoryStore()
    old_users(store, "a", "b")
    users = users_in(store)
    users.migrate()
    assert users["a"].number == 0
    by_number = Migration(2, convert={"number": lambda _: 5}, key=lambda record: record["email"])
    again = users_in(store, [*BY_EMAIL, by_number])
    with pytest.raises(DuplicateKeyError, match=r"'number' is unique"):
        again.migrate()
    assert {user.number for user in users.values()} == {0, 1}


def test_a_dry_run_names_the_old_keys_of_records_with_the_same_unique_value():
    store = MemoryStore()
    old_users(store, "zoe@x", "ada@x", "bob@x")
    same = Migration(1, change=lambda record: {**record, "number": record["number"] // 2})
    users = users_in(store, [same, Migration(2, key=lambda record: record["email"])])
    report = users.migrate(dry_run=True)
    assert [failure.key for failure in report.failures] == [1]
    assert report.failures[0].message == (
        "users[1]: it has the same number as users[0]: the index 'number' is unique"
    )
    assert report.failed == 1


def test_a_class_without_key_fields_takes_uuids():
    store = MemoryStore()
    old_users(store, "a", "b")

    @define
    class Note:
        email: str
        age: int
        number: int

    first = uuid4()
    ids = {0: first, 1: uuid4()}
    steps = [Migration(1, key=lambda record: ids[record["number"]])]
    notes = Collection(store, Note, "users", migrations=steps)
    notes.migrate()
    assert notes[first] == Note("a", 0, 0)
    assert all(type(stored) is UUID for stored in notes)


@given(
    st.dictionaries(st.integers(), st.tuples(st.text(min_size=1, max_size=5), st.integers())),
    st.booleans(),
)
def test_new_keys_are_those_of_a_dict(records, checksums):
    store = MemoryStore(checksums=checksums)

    @define
    class Pair:
        number: int = key()
        text: str
        age: int

    @define
    class ByPair:
        text: str = key()
        age: int = key()
        number: int = field(default=0)

    Collection(store, Pair, "pairs").add_many(
        Pair(number, text, age) for number, (text, age) in records.items()
    )
    step = Migration(1, key=lambda record: (record["text"], record["age"]))
    pairs = Collection(store, ByPair, "pairs", migrations=[step])
    model = {pair: number for number, pair in records.items()}
    if len(model) < len(records):
        with pytest.raises(MigrationError, match="same new key"):
            pairs.migrate()
        assert dict(Collection(store, Pair, "pairs")).keys() == records.keys()
        return
    pairs.migrate()
    assert {pair: found.number for pair, found in pairs.items()} == model
    assert len(pairs) == len(model)


def test_memory_is_bounded_and_what_is_sorted_on_disk_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_entries, "RUN_BYTES", 100_000)
    with LmdbStore(str(tmp_path / "db"), durability="none") as store:
        old_users(store, *(f"{n * 7919 % 5000:05}" + "x" * 200 for n in range(5000)))
        users = users_in(store)
        tracemalloc.start()
        users.migrate()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(users) == 5000
        assert [stored[:5] for stored in users] == [f"{n:05}" for n in range(5000)]
        assert peak < 15_000_000


def test_a_killed_migration_leaves_all_old_or_all_new_keys(tmp_path):
    path, random = str(tmp_path / "db"), Random(3)

    def migrate_it():
        with LmdbStore(path, durability="none") as store:
            users_in(store).migrate()

    for _ in range(4):
        with LmdbStore(path) as store:
            Collection(store, Old, "users").drop() if not _ else users_in(store).drop()
            old_users(store, *(f"{n:05}" for n in range(3000)))
        child = fork(migrate_it)
        time.sleep(random.random() * 0.25)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with LmdbStore(path) as store:
            users = users_in(store)
            report = users.migrate()
            assert report.changed in {0, 3000}
            assert len(users) == 3000
            assert is_sound(store)
        assert check(path).sound


READS_OF_AN_OLDER_PROGRAM = {
    "get": lambda users: users[1],
    "contains": lambda users: 1 in users,
    "get_many": lambda users: [*users.get_many([1])],
    "keys": lambda users: [*users],
    "items": lambda users: [*users.items()],
    "find": lambda users: [*users.find(email="bob@x")],
}


@pytest.mark.parametrize("read", READS_OF_AN_OLDER_PROGRAM.values(), ids=READS_OF_AN_OLDER_PROGRAM)
def test_an_open_older_program_is_told_that_the_keys_have_changed(store, read):
    older = old_users(store, "ada@x", "bob@x")
    assert read(older)
    users_in(store).migrate()
    with pytest.raises(MigrationError, match="of type str now, and not int: deploy the newer"):
        read(older)


def test_a_migration_that_waited_for_another_one_has_nothing_left_to_do(tmp_path):
    with LmdbStore(tmp_path / "db", serialize="json") as store:
        old_users(store, "zoe@x", "ada@x")
        with ThreadPoolExecutor() as threads:
            with store.transaction():
                runs = [threads.submit(users_in(store).migrate) for _ in range(2)]
                time.sleep(0.2)  # both have read the store, and wait for the write lock
            assert sorted(run.result().changed for run in runs) in ([0, 2], [2, 2])
        assert list(users_in(store)) == ["ada@x", "zoe@x"]
        assert is_sound(store)


def test_a_collection_that_is_dropped_meanwhile_is_told(tmp_path):
    with LmdbStore(tmp_path / "db", serialize="json") as store:
        users = old_users(store, "zoe@x", "ada@x")
        new = users_in(store)
        with ThreadPoolExecutor() as threads:
            with store.transaction():
                run = threads.submit(new.migrate)
                time.sleep(0.2)
                users.drop()
            with pytest.raises(MigrationError, match="is not there any more"):
                run.result()
        assert not store


def test_kept_defaults_are_part_of_what_a_step_gets():
    store = MemoryStore()
    old_users(store, "zoe@x")

    @define
    class Longer:
        number: int = key()
        email: str
        age: int = index()
        site: str = "main"

    Collection(store, Longer, "users").add(Longer(7, "ada@x", 1, "other"))

    @define
    class Named:
        email: str = key()
        age: int = index()
        site: str
        number: int

    step = Migration(
        1,
        change=lambda record: record | {"email": f"{record['site']}/{record['email']}"},
        key=lambda record: record["email"],
    )
    users = Collection(store, Named, "users", migrations=[step])
    users.migrate()
    assert list(users) == ["main/zoe@x", "other/ada@x"]


def test_a_step_for_keys_that_removes_all_leaves_an_empty_collection(store):
    old_users(store, "zoe@x", "ada@x")
    step = Migration(1, change=lambda record: None, key=lambda record: record["email"])
    users = users_in(store, [step])
    assert users.migrate().removed == 2
    assert (len(users), list(users)) == (0, [])
    users.add(User("bob@x", 1))
    assert is_sound(store)


def test_a_value_that_is_no_dict_is_a_failure():
    store = MemoryStore(serialize="json")
    old_users(store, "zoe@x")
    encoded = store.database.codec.encode(b"users/", [1])
    stored = next(iter(store.range(prefix="users/")))
    store.database.engine.write(lambda txn: txn.put(Space.DATA, stored, encoded))
    with pytest.raises(MigrationError, match="it is no dict of fields, but list"):
        users_in(store).migrate()


def test_without_a_class_the_type_of_the_keys_is_that_of_the_first_one():
    store = MemoryStore()
    old_users(store, "zoe@x", "ada@x")
    step = Migration(1, key=lambda record: (record["email"], record["number"]))
    migrate_steps(store.database, "users", [step])
    assert [key.split(b"/")[0] for key in store] == [b"users"] * 2

    @define
    class Pair:
        email: str = key()
        number: int = key()
        age: int = index()

    assert list(Collection(store, Pair, "users", migrations=[step])) == [("ada@x", 1), ("zoe@x", 0)]


def test_without_a_class_and_without_records_the_type_of_the_keys_stays():
    store = MemoryStore()
    users = old_users(store, "zoe@x")
    step = Migration(1, change=lambda record: None, key=lambda record: record["email"])
    migrate_steps(store.database, "users", [step])
    assert list(users) == []
