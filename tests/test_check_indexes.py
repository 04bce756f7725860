"""`check` compares the entries of indexes with the records, both ways, and mends them if asked to.

The damage is planted in real files, below the collections.
"""

import json
import re
import subprocess
import sys
import time

import pytest
from attrs import define, evolve

from stones import Collection, Index, LmdbStore, check, index, key, migrate, stone
from stones.collections.indexes.definition import (
    all_definitions,
    definition_key,
    drop_prefix,
    note_progress,
    read_definitions,
)
from stones.collections.indexes.entries import entries_of
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.errors import StorageError
from stones.repair.index_check import LOST, PICKLED
from stones.stores import sorted_entries
from stones.stores.claims import count_key

INDEX, DATA, META = Space.INDEX, Space.DATA, Space.META


@define
class User:
    name: str = key()
    age: int = index()
    nick: str | None = index(unique=True, default=None)
    tags: list[str] = index(each=True, factory=list)


INDEXES = [("age", "nick"), Index("age", where="@.age > 30")]
NAMES = ["age", "nick", "tags", "age,nick", "age[@.age > 30]"]
ADA, BOB, EVE = User("ada", 36, "a", ["x", "y"]), User("bob", 17), User("eve", 52, "e")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def fill(path, *users, serialize="msgpack"):
    with stone(path, LmdbStore, serialize=serialize) as store:
        Collection(store, User, "users", indexes=INDEXES).add_many(users or [ADA, BOB, EVE])


def change(path, function):
    """Write to the file without the store. Returns what the function gives."""
    engine = LmdbEngine.open(str(path))
    try:
        return engine.write(function)
    finally:
        engine.close()


def definition(txn, name):
    return next(each for each in read_definitions(txn, "users") if each.name == name)


def entry_of(txn, name, user):
    """The first entry that a user has in an index."""
    record = {"name": user.name, "age": user.age, "nick": user.nick, "tags": user.tags}
    return next(iter(entries_of(definition(txn, name), record, user.name.encode()).items()))


def content(path):
    """All that is in the file, by space."""
    return change(path, lambda txn: {space: dict(txn.scan(space)) for space in Space})


def whats(report):
    return [finding.what for finding in report.findings]


# -- sound -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("serialize", ["json", "cbor", "msgpack", "pickle"])
def test_sound_indexes_are_sound_and_are_told(path, serialize):
    fill(path, serialize=serialize)
    report = check(path, trust_pickle=True)
    assert report.sound
    assert report.version == "2"
    assert [(found.name, found.state, found.entries) for found in report.indexes] == [
        ("age", "ready", 3),
        ("nick", "ready", 3),
        ("tags", "ready", 4),
        ("age,nick", "ready", 3),
        ("age[@.age > 30]", "ready", 2),
    ]
    assert {found.unchecked for found in report.indexes} == {None}


def test_long_keys_and_long_values_are_sound(path):
    fill(path, User("k" * 400, 10**400, "n" * 400, ["t" * 300, "t" * 301]), ADA)
    assert check(path).sound


def test_an_index_that_is_built_has_the_entries_up_to_its_place(path):
    fill(path)

    def begin(txn):
        unready = evolve(definition(txn, "age"), state="building", at=b"ada")
        note_progress(txn, "users", unready)
        txn.delete(INDEX, entry_of(txn, "age", EVE)[0])
        return unready

    change(path, begin)
    report = check(path)
    assert report.sound
    assert [found.state for found in report.indexes if found.name == "age"] == ["building"]
    change(path, lambda txn: txn.delete(INDEX, entry_of(txn, "age", ADA)[0]))
    assert len(check(path).findings) == 1


def test_an_index_that_failed_is_told_with_the_reason(path):
    fill(path)

    def fail(txn):
        note_progress(
            txn, "users", evolve(definition(txn, "nick"), state="failed", problem="two have it")
        )
        drop_prefix(txn, definition(txn, "nick").prefix)

    change(path, fail)
    report = check(path)
    assert report.sound
    assert report.indexes[1].problem == "two have it"
    assert report.indexes[1].unchecked == "it has failed, and has no entries"


def test_entries_of_an_index_that_is_to_be_removed_are_no_damage(path):
    fill(path)

    def drop(txn):
        found = definition(txn, "tags")
        txn.delete(META, definition_key("users", "tags"))
        drop_prefix(txn, found.prefix)

    change(path, drop)
    assert check(path).sound


def test_kept_defaults_are_seen(path):
    @define
    class Old:
        name: str = key()

    with stone(path, LmdbStore, serialize="json") as store:
        Collection(store, Old, "users").add(Old("old"))

    @define
    class New:
        name: str = key()
        level: int = index(default=5)

    with stone(path, LmdbStore) as store:
        Collection(store, New, "users").add(New("new", 1))
        Collection(store, New, "users").build_indexes()
    assert check(path).sound


# -- damage ----------------------------------------------------------------------------------------


def remove(txn):
    txn.delete(INDEX, entry_of(txn, "age", ADA)[0])


def add_stale(txn):
    txn.put(INDEX, *entry_of(txn, "age", evolve(ADA, age=99)))


def add_for_nobody(txn):
    txn.put(INDEX, *entry_of(txn, "tags", User("zoe", 1)))


def give_a_wrong_value(txn):
    txn.put(INDEX, entry_of(txn, "age", ADA)[0], b"f")


def give_another_owner(txn):
    txn.put(INDEX, entry_of(txn, "nick", ADA)[0], b"\0bob")


def damage(txn):
    txn.put(INDEX, definition(txn, "age").prefix + b"\xff\xff", b"")


def remove_a_condition(txn):
    txn.delete(INDEX, entry_of(txn, "age[@.age > 30]", ADA)[0])


def remove_an_element(txn):
    txn.delete(INDEX, entry_of(txn, "tags", ADA)[0])


PLANTED = {
    remove: ("age", b"users/ada", r"the entry b'.*ada' of the record 'ada' is missing"),
    add_stale: ("age", b"users/ada", r"is of the record 'ada', which has no such values"),
    add_for_nobody: ("tags", b"users/zoe", r"is of the record 'zoe', which .* is not there"),
    give_a_wrong_value: ("age", b"users/ada", r"of the record 'ada' is b'f', not b''"),
    give_another_owner: ("nick", b"users/bob", r"is of the record 'bob', which has no such"),
    damage: ("age", b"users/", r"the entry .* is damaged"),
    remove_a_condition: ("age[@.age > 30]", b"users/ada", "is missing"),
    remove_an_element: ("tags", b"users/ada", "is missing"),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_each_difference_is_told_and_mended(path, plant):
    fill(path)
    before = content(path)
    change(path, plant)
    name, stored, what = PLANTED[plant]
    (found,) = check(path).findings
    assert found.what.startswith(f"the index {name!r} of the collection 'users': ")
    assert (found.key, found.repairable) == (stored, True)
    assert re.search(what, found.what)
    mended = check(path, repair=True)
    assert mended.sound
    assert mended.mended == (f"the index {name!r} of the collection 'users' was built again",)
    assert check(path).sound
    after = content(path)
    assert after[DATA] == before[DATA]
    assert len(after[INDEX]) == len(before[INDEX])


def test_entries_of_no_index_are_told_and_removed(path):
    fill(path)

    def plant(txn):
        found = definition(txn, "tags")
        txn.delete(META, definition_key("users", "tags"))
        txn.put(INDEX, b"\xff\xff\xff\xff????", b"")
        txn.put(INDEX, b"x", b"")
        return found.id

    id = change(path, plant)
    assert whats(check(path)) == [
        f"indexes: 4 entries of an index that is not defined any more, with the number {id}",
        "indexes: 1 entry of an index that is not defined any more, with the number 120",
        "indexes: 1 entry of an index that is not defined any more, with the number 4294967295",
    ]
    mended = check(path, repair=True)
    assert (mended.sound, len(mended.mended)) == (True, 3)
    ids = {entry[:4] for entry in content(path)[INDEX]}
    assert id.to_bytes(4) not in ids
    assert len(ids) == 4


def test_wrong_counts_are_mended(path):
    fill(path)

    def plant(txn):
        txn.put(META, count_key("users"), b"7")
        txn.put(META, count_key("nobody"), b"1")

    change(path, plant)
    assert [found.repairable for found in check(path).findings] == [True, True]
    mended = check(path, repair=True)
    assert mended.sound
    assert mended.mended == (
        "the count of 'nobody', which is no collection, is removed",
        "the count of the collection 'users' is 3 now",
    )
    with stone(path, LmdbStore) as store:
        assert len(Collection(store, User, "users")) == 3


def test_two_records_with_the_same_unique_values_make_the_index_fail(path):
    fill(path)
    with stone(path, LmdbStore) as store:
        database = store.database
        with database.writing() as txn:
            record = {"name": "bob", "age": 17, "nick": "a", "tags": []}
            txn.put(DATA, b"users/bob", database.codec.encode(b"users/bob", record))
    found = check(path).findings
    told = [each.what for each in found if "'nick' of" in each.what]
    assert "the records 'ada' and 'bob' have the same values, and it is unique" in told[-1]
    mended = check(path, repair=True)
    assert mended.sound
    assert "has failed: users['bob'] has the same nick as users['ada']" in str(mended.mended)
    assert [each.state for each in mended.indexes if each.name == "nick"] == ["failed"]


@pytest.mark.parametrize(
    ("stored", "raw", "what"),
    [
        (b"index/users\0age", b"{}", "the index b'age' of the collection b'users' is damaged"),
        (b"index/users\0other", b"{", "the index b'other' of the collection b'users' is damaged"),
        (b"index/nobody\0age", None, "of the collection 'nobody', which has no description"),
        (b"indexid", b"3", "the number of the last index is b'3', and 5 is in use"),
        (b"indexid", b"x", "the number of the last index is b'x', and 5 is in use"),
        (b"indexid", b"4294967295", "the number of the last index is b'4294967295', and 5 is in"),
        (b"dropped/ffffffff", b"", "is b'5', and 4294967295 is in use"),
        (b"dropped/00000002", b"", "the entries of an index that is in use are to be removed"),
        (b"dropped/zz", b"", "an index that is to be removed has no number"),
        (b"version", b"1", "the layout is 1, though the store has indexes"),
    ],
)
def test_damaged_metadata_of_indexes_is_told(path, stored, raw, what):
    fill(path)
    if raw is None:
        raw = change(path, lambda txn: txn.get(META, definition_key("users", "age")))
    change(path, lambda txn: txn.put(META, stored, raw))
    report = check(path)
    assert what in report.findings[0].what
    mended = check(path, repair=True)
    if stored.startswith(b"index/"):  # only the program that declared it knows what it was
        assert not mended.sound
        assert mended.mended == ()
        return
    assert mended.sound
    assert mended.mended == ("metadata: what it tells of indexes",)
    assert change(path, lambda txn: txn.get(META, b"version")) == b"2"


def test_a_condition_that_does_not_parse_is_told(path):
    fill(path)

    def plant(txn):
        raw = txn.get(META, definition_key("users", "age[@.age > 30]"))
        txn.delete(META, definition_key("users", "age[@.age > 30]"))
        stored = json.loads(raw)
        stored["where"] = "@.age >"
        txn.put(META, definition_key("users", "age[@.age >]"), json.dumps(stored).encode())

    change(path, plant)
    assert "the condition of an index cannot be read" in check(path).findings[0].what


def test_a_damaged_record_is_told_once_and_its_entries_are_no_damage(path):
    fill(path)
    change(path, lambda txn: txn.put(DATA, b"users/ada", b"\x04\xc1"))
    (found,) = check(path).findings
    assert found.key == b"users/ada"
    change(path, remove)
    change(path, lambda txn: txn.delete(INDEX, entry_of(txn, "age", EVE)[0]))
    mended = check(path, repair=True)
    assert [found.key for found in mended.findings] == [b"users/ada"]
    assert mended.mended == ("the index 'age' of the collection 'users' was built again",)


def test_pickles_that_are_not_trusted_are_not_compared_and_that_is_told(path):
    fill(path, serialize="pickle")
    change(path, remove)
    report = check(path)
    assert report.sound
    assert {found.unchecked for found in report.indexes} == {PICKLED}
    assert len(check(path, trust_pickle=True).findings) == 1
    assert check(path, repair=True).mended == ()
    assert check(path, repair=True, trust_pickle=True).sound


def test_a_damaged_entry_of_untrusted_pickles_is_left_to_a_repair_that_trusts_them(path):
    fill(path, serialize="pickle")
    change(path, damage)
    assert "is damaged" in check(path).findings[0].what
    mended = check(path, repair=True)
    assert "left unfinished: its records are pickles" in mended.mended[0]
    assert mended.indexes[-1].state == "building"
    assert check(path, repair=True, trust_pickle=True).indexes[-1].state == "ready"


def test_where_the_file_is_damaged_nothing_is_compared_or_mended(path):
    fill(path, *(User(f"{number:05}", number) for number in range(2000)))
    change(path, lambda txn: txn.put(META, count_key("users"), b"7"))
    raw = bytearray((path / "data.mdb").read_bytes())
    at = raw.rindex(b"users/01000") // 4096 * 4096
    raw[at : at + 4096] = bytes(4096)
    (path / "data.mdb").write_bytes(raw)
    report = check(path, repair=True)
    assert report.mended == ()
    assert {found.unchecked for found in report.indexes} == {LOST}
    assert (path / "data.mdb").read_bytes() == bytes(raw)


def test_a_build_that_was_interrupted_is_finished_by_a_repair(path):
    fill(path)
    change(
        path,
        lambda txn: note_progress(
            txn, "users", evolve(definition(txn, "age"), state="building", at=b"ada")
        ),
    )
    mended = check(path, repair=True)
    assert mended.mended == ("the index 'age' of the collection 'users' was built again",)
    assert {found.state for found in mended.indexes} == {"ready"}
    assert check(path, repair=True).mended == ()


# -- many entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [1, 7, 100_000])
def test_many_entries_are_compared_with_a_file_of_sorted_ones(path, monkeypatch, run):
    monkeypatch.setattr(sorted_entries, "RUN", run)
    monkeypatch.setattr(sorted_entries, "_BLOCK", 3)
    users = [User(f"{n}", n % 7, f"{n}" if n % 3 else None, ["a", f"{n}"]) for n in range(60)]
    fill(path, *users)
    assert check(path).sound
    change(path, lambda txn: txn.delete(INDEX, entry_of(txn, "tags", users[40])[0]))
    change(path, lambda txn: txn.put(INDEX, *entry_of(txn, "nick", User("new", 1, "new"))))
    assert len(check(path).findings) == 2


def test_where_the_entries_cannot_be_sorted_it_says_what_to_do(path, monkeypatch):
    monkeypatch.setattr(sorted_entries, "RUN", 1)
    monkeypatch.setattr("tempfile.TemporaryFile", _full_disk)
    fill(path)
    with pytest.raises(StorageError, match=r"cannot sort .* name a directory with more room"):
        check(path)


def _full_disk(**_):
    raise OSError(28, "No space left on device")


# -- others write, and kills -----------------------------------------------------------------------

WRITER = """
import sys
from attrs import define, field
from stones import Collection, LmdbStore, key, stone

@define
class User:
    name: str = key()
    age: int
    nick: str | None = None
    tags: list[str] = field(factory=list)

with stone(sys.argv[1], LmdbStore) as store:
    users = Collection(store, User, "users")
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        name = f"{number % 3000:05}"
        users.put(User(name, number % 50, f"{number % 3000}w", ["x"] * (number % 2)))
        if number % 5 == 0:
            users.pop(f"{number * 7 % 3000:05}", None)
"""

MENDER = """
import sys
from stones import check
from stones.collections import index_building
index_building.STEP = 50
print("ready", flush=True)
check(sys.argv[1], repair=True)
"""


def start(program, path):
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def plant_many(path):
    """Damage a third of the entries, and the count."""

    def plant(txn):
        for number, entry in enumerate([*txn.keys(INDEX)]):
            if number % 3 == 0:
                txn.delete(INDEX, entry)
        txn.put(META, count_key("users"), b"7")

    change(path, plant)


def test_a_repair_beside_a_program_that_writes_leaves_a_sound_store(path):
    fill(path, *(User(f"{n:05}", n % 50, f"{n}", ["x", "y"]) for n in range(2000)))
    plant_many(path)
    writer = start(WRITER, path)
    try:
        for _ in range(3):
            mended = check(path, repair=True)
            assert mended.sound
    finally:
        writer.kill()
        writer.communicate()
    assert check(path).sound
    assert {found.state for found in check(path).indexes} == {"ready"}


def test_a_repair_that_is_killed_is_finished_by_the_next_one(path):
    users = {f"{n:05}": User(f"{n:05}", n % 50, f"{n}", ["x", "y"]) for n in range(3000)}
    fill(path, *users.values())
    interrupted = 0
    for number in range(8):
        plant_many(path)
        mender = start(MENDER, path)
        time.sleep(0.1 + 0.1 * number)
        mender.kill()
        mender.communicate()
        before = check(path)
        interrupted += not before.sound or any(x.state != "ready" for x in before.indexes)
        mended = check(path, repair=True)
        assert mended.sound
        assert {found.state for found in mended.indexes} == {"ready"}
        assert change(path, lambda txn: [*txn.keys(META, b"dropped/", b"dropped0")]) == []
    assert interrupted
    with stone(path, LmdbStore) as store:
        assert dict(Collection(store, User, "users").items()) == users


def test_the_number_of_an_index_is_not_given_again_after_a_repair(path):
    fill(path)
    change(path, lambda txn: txn.put(META, b"indexid", b"1"))
    assert check(path, repair=True).sound
    with stone(path, LmdbStore) as store:
        Collection(store, User, "users", indexes=["name"])
    ids = change(path, lambda txn: [found.id for _, found in all_definitions(txn)])
    assert len(set(ids)) == 6
    assert check(path).sound


@pytest.mark.parametrize("to", ["json", "cbor", "pickle"])
def test_indexes_are_sound_after_a_migration(path, to):
    fill(path)
    with stone(path, LmdbStore) as store:
        migrate(store, to)
    assert check(path, trust_pickle=True).sound


def test_a_record_whose_key_is_empty_is_compared_as_any_other(path):
    fill(path, User("", 1, "x"), BOB)
    assert check(path).sound
    with stone(path, LmdbStore) as store, store.database.reading() as txn:
        assert [*StoredIndexes(store.database, "users").problems(txn)] == []

    def begin(txn):
        note_progress(txn, "users", evolve(definition(txn, "age"), state="building", at=b""))
        txn.delete(INDEX, entry_of(txn, "age", User("", 1))[0])

    change(path, begin)
    assert check(path).sound
    with stone(path, LmdbStore) as store, store.database.reading() as txn:
        assert [*StoredIndexes(store.database, "users").problems(txn)] == []
