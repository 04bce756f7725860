"""What goes over a whole store keeps the indexes: migrations, backups, compaction, clear.

`check` compares every entry with every record afterwards.
"""

import random
import subprocess
import sys
from itertools import permutations

import pytest
from attrs import define, field

from stones import (
    Collection,
    FormatMismatchError,
    Index,
    LmdbStore,
    MemoryStore,
    check,
    compact,
    index,
    key,
    migrate,
    stone,
)
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.formats import layout as layouts

SERIALIZERS = ["pickle", "json", "cbor", "msgpack"]
INDEXES = [("age", "nick"), Index("age", where="@.age > 30")]


@define
class User:
    name: str = key()
    age: int | float | None = index()
    nick: str | None = index(unique=True, default=None)
    tags: set[str] = index(each=True, factory=set)
    marks: tuple[int, ...] = field(default=())


def users_in(store, cls=User):
    return Collection(store, cls, "users", indexes=INDEXES)


def users(count):
    draw = random.Random(count)
    ages = [None, 1, 1.0, 2.5, 10**30, float("nan"), -0.0]
    return [
        User(f"{n:05}", draw.choice(ages), f"{n}", {"a", f"t{n % 5}"}, (n,)) for n in range(count)
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def space(path, which=Space.INDEX):
    engine = LmdbEngine.open(str(path), readonly=True, create=False)
    try:
        return engine.read(lambda txn: dict(txn.scan(which)))
    finally:
        engine.close()


# -- migrations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize(("written", "to"), [*permutations(SERIALIZERS, 2)])
def test_a_migration_changes_no_entry(path, written, to, checksums):
    with stone(path, LmdbStore, serialize=written) as store:
        users_in(store).add_many(users(300))
        before = space(path)
        migrate(store, to, checksums=checksums)
        assert space(path) == before
    assert check(path, trust_pickle=True).sound


def test_a_migration_to_checksums_alone_changes_no_entry(path):
    with stone(path, LmdbStore, serialize="json") as store:
        users_in(store).add_many(users(300))
        before = space(path)
        migrate(store, checksums=True)
        migrate(store, checksums=False)
        assert space(path) == before
    assert check(path).sound


WRITER = """
import sys
from attrs import define, field
from stones import Collection, LmdbStore, key, stone

@define
class User:  # it declares no index
    name: str = key()
    age: int | float | None
    nick: str | None = None
    tags: set[str] = field(factory=set)
    marks: tuple[int, ...] = ()

with stone(sys.argv[1], LmdbStore) as store:
    users = Collection(store, User, "users")
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        users.put(User(f"{number % 700:05}", number % 40, f"w{number % 700}", {f"t{number % 9}"}))
        users.pop(f"{number * 13 % 700:05}", None)
"""


def test_migrations_beside_a_program_that_writes_leave_sound_indexes(path):
    with stone(path, LmdbStore, serialize="pickle") as store:
        users_in(store).add_many(users(1500))
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert writer.stdout.readline() == "ready\n"
            for to in ["json", "cbor", "msgpack", "pickle", "json"]:
                migrate(store, to, checksums=to in ("cbor", "msgpack"))
                assert writer.poll() is None
                assert check(path, trust_pickle=True).sound
        finally:
            writer.kill()
            writer.communicate()
    report = check(path, trust_pickle=True)
    assert report.sound
    assert {found.unchecked for found in report.indexes} == {None}


def test_a_database_of_stones_03_may_have_indexes_once_it_is_migrated(path):
    import lmdb

    from stones.formats.msgpack_serializer import encode

    path.mkdir()
    with lmdb.open(str(path)) as old, old.begin(write=True) as txn:
        txn.put(b"plain", encode(1))
    with LmdbStore(path, serialize="msgpack") as store:
        migrate(store, "cbor")
        users_in(store).add_many(users(50))
        assert store["plain"] == 1
    assert check(path).sound


# -- copies of the file ----------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [True, False])
@pytest.mark.parametrize("engine", [MemoryStore, LmdbStore])
def test_a_backup_has_the_indexes(tmp_path, path, engine, compacted):
    with stone(path, engine, serialize="msgpack") as store:
        users_in(store).add_many(users(300))
        entries = store.database.engine.read(lambda txn: dict(txn.scan(Space.INDEX)))
        store.backup(tmp_path / "copy", compact=compacted)
    assert space(tmp_path / "copy") == entries
    assert check(tmp_path / "copy").sound
    with stone(tmp_path / "copy", LmdbStore) as copy:
        users_in(copy).put(User("new", 1, "new"))
    assert check(tmp_path / "copy").sound


def test_compaction_brings_the_indexes_along(path):
    with stone(path, LmdbStore, serialize="msgpack") as store:
        users_in(store).add_many(users(2000))
        for name in [f"{n:05}" for n in range(0, 2000, 3)]:
            del users_in(store)[name]
    before = space(path)
    compact(path)
    assert space(path) == before
    assert check(path).sound


# -- layouts ---------------------------------------------------------------------------------------


def test_a_store_without_indexes_has_the_layout_1_also_after_a_migration_and_a_copy(path, tmp_path):
    with stone(path, LmdbStore, serialize="json") as store:
        Collection(store, Item).add(Item(1))
        migrate(store, "cbor")
        with stone(tmp_path / "copy", LmdbStore) as copy:
            copy.update(store)
    for each in (path, tmp_path / "copy"):
        stored = space(each, Space.META)
        assert stored[b"version"] == b"1"
        assert not [found for found in stored if found.startswith((b"index", b"dropped"))]
        assert check(each).version == "1"


@define
class Item:
    number: int = key()


def test_the_first_index_gives_the_layout_2_which_stays(path, tmp_path):
    with stone(path, LmdbStore, serialize="json") as store:
        items = Collection(store, Item)
        items.add(Item(1))
        assert check(path).version == "1"
        items = Collection(store, Item, indexes=["number"])
        assert check(path).version == "2"
        items.drop_index("number")
        migrate(store, "cbor")
        assert check(path).version == "2"
        assert store.copy().database.engine.read(layout) == b"1"


def layout(txn):
    return txn.get(Space.META, b"version")


def test_a_program_that_knows_no_indexes_refuses_the_store_also_where_it_is_open(path, monkeypatch):
    with stone(path, LmdbStore, serialize="json") as store, stone(path, LmdbStore) as older:
        older["key"] = 1
        Collection(store, Item, indexes=["number"]).add(Item(1))
        # What the version before had: it reads the metadata again, since the generation changed.
        monkeypatch.setattr(layouts, "LAYOUTS", (b"1",))
        with pytest.raises(FormatMismatchError, match="the store has the layout b'2'"):
            older["key"] = 2
        with pytest.raises(FormatMismatchError, match="the store has the layout b'2'"):
            stone(path, LmdbStore)
        monkeypatch.undo()
        assert store["key"] == 1
    assert check(path).sound
