"""`salvage` keeps the definitions of indexes, and makes the entries from the saved records."""

import pytest
from attrs import define

from stones import Collection, Index, LmdbStore, check, index, key, salvage, stone
from stones.collections import index_building
from stones.collections.indexes.definition import read_definitions
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.repair.index_check import PICKLED

from .damage import PAGE, Places


@define
class User:
    name: str = key()
    age: int = index()
    nick: str | None = index(unique=True, default=None)


INDEXES = [("age", "nick"), Index("age", where="@.age > 30")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def fill(path, count=3, serialize="msgpack"):
    users = [User(f"{n:05}", n % 50, f"{n}") for n in range(count)]
    with stone(path, LmdbStore, serialize=serialize) as store:
        Collection(store, User, "users", indexes=INDEXES).add_many(users)
        store.update({f"{n:05}": "x" * 300 for n in range(100)})
    return users


def change(path, function):
    """Write to the file without the store. Returns what the function gives."""
    engine = LmdbEngine.open(str(path))
    try:
        return engine.write(function)
    finally:
        engine.close()


def test_a_sound_store_gets_its_indexes_again(path, tmp_path, monkeypatch):
    monkeypatch.setattr(index_building, "STEP", 100)
    users = fill(path, 350)
    report = salvage(path, tmp_path / "new")
    assert report.whole
    assert [(found.name, found.state, found.entries) for found in report.indexes] == [
        ("age", "ready", 350),
        ("age,nick", "ready", 350),
        ("age[@.age > 30]", "ready", 19 * 7),
        ("nick", "ready", 350),
    ]
    found = check(tmp_path / "new")
    assert (found.sound, found.version) == (True, "2")
    with stone(tmp_path / "new", LmdbStore) as store:
        again = Collection(store, User, "users", indexes=INDEXES)
        assert list(again.values()) == users
        again.add(User("new", 1, "new"))
    assert check(tmp_path / "new").sound


def test_of_a_damaged_store_the_records_that_are_left_are_in_the_indexes(path, tmp_path):
    fill(path, 2000)
    leaves = Places(path).leaves
    raw = bytearray((path / "data.mdb").read_bytes())
    at = leaves[len(leaves) // 2] * PAGE
    raw[at : at + PAGE] = bytes(PAGE)
    (path / "data.mdb").write_bytes(raw)
    report = salvage(path, tmp_path / "new")
    assert not report.whole
    assert {found.state for found in report.indexes} == {"ready"}
    assert report.indexes[0].entries == report.entries - 100 < 2000
    assert check(tmp_path / "new").sound


def test_entries_that_are_lost_or_wrong_are_made_again(path, tmp_path):
    fill(path)

    def damage(txn):
        txn.delete_range(Space.INDEX)
        txn.put(Space.INDEX, b"\0\0\0\1?", b"")
        txn.put(Space.META, b"indexid", b"?")
        txn.put(Space.META, b"dropped/zz", b"")

    change(path, damage)
    report = salvage(path, tmp_path / "new")
    assert [found.key for found in report.lost] == [b"dropped/zz", b"indexid"]
    assert check(tmp_path / "new").sound


def test_a_definition_that_is_lost_is_told_and_left_out(path, tmp_path):
    fill(path)
    change(path, lambda txn: txn.put(Space.META, b"index/users\0age", b"{"))
    report = salvage(path, tmp_path / "new")
    assert [found.key for found in report.lost] == [b"index/users\0age"]
    assert [found.name for found in report.indexes] == ["age,nick", "age[@.age > 30]", "nick"]
    assert check(tmp_path / "new").sound
    with stone(tmp_path / "new", LmdbStore) as store:
        assert len(Collection(store, User, "users").indexes) == 4
    assert check(tmp_path / "new").sound


def test_two_saved_records_with_the_same_unique_values_are_told_and_the_index_fails(path, tmp_path):
    fill(path)
    with stone(path, LmdbStore) as store:
        database = store.database
        with database.writing() as txn:
            record = {"name": "00001", "age": 1, "nick": "0"}
            txn.put(Space.DATA, b"users/00001", database.codec.encode(b"users/00001", record))
    report = salvage(path, tmp_path / "new")
    (told,) = report.lost
    assert told.what == (
        "the index 'nick' of the collection 'users' has failed: users['00001'] has the same nick "
        "as users['00000'], '0': the index 'nick' is unique"
    )
    assert report.entries == 103
    again = salvage(tmp_path / "new", tmp_path / "newer")
    assert again.whole
    assert "failed" in {found.state for found in again.indexes}


def test_indexes_of_pickles_that_are_not_trusted_are_built_later(path, tmp_path):
    fill(path, serialize="pickle")
    report = salvage(path, tmp_path / "new")
    assert {(found.state, found.unchecked) for found in report.indexes} == {("building", PICKLED)}
    with stone(tmp_path / "new", LmdbStore) as store:
        users = Collection(store, User, "users")
        users.build_indexes()
        assert {found.state for found in users.indexes} == {"ready"}
    assert check(tmp_path / "new", trust_pickle=True).sound
    assert salvage(path, tmp_path / "trusted", trust_pickle=True).indexes[0].state == "ready"


def test_indexes_of_a_serializer_that_is_not_known_are_built_later(path, tmp_path):
    from pickle import dumps, loads

    with LmdbStore(path, dump_load=(dumps, loads)) as store:
        Collection(store, User, "users").add(User("a", 1))
    report = salvage(path, tmp_path / "new")
    assert {found.state for found in report.indexes} == {"building"}
    report = salvage(path, tmp_path / "known", dump_load=(dumps, loads))
    assert {found.state for found in report.indexes} == {"ready"}


def test_a_description_that_is_lost_takes_the_indexes_along(path, tmp_path):
    fill(path)
    change(path, lambda txn: txn.put(Space.META, b"collection/users", b"{"))
    report = salvage(path, tmp_path / "new")
    assert report.indexes == ()
    assert "which has no description" in str(report.lost)
    assert check(tmp_path / "new").sound
    assert change(tmp_path / "new", lambda txn: read_definitions(txn, "users")) == ()
