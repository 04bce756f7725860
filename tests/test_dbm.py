"""DbmStore: files of dbm and shelve, read and written so that dbm and shelve go on with them."""

import dbm
import dbm.dumb
import json
import os
import shelve
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import pytest
from attrs import define

from stones import (
    Collection,
    CollectionError,
    DbmStore,
    FormatMismatchError,
    StorageError,
    StoreOpenError,
    TransactionError,
    index,
    key,
    migrate,
    stone,
)
from stones.engine import Space
from stones.engines.dbm.engine import DbmEngine


@define
class User:
    name: str = key()
    age: int = index(default=0)


def make_dumb(path, entries):
    with closing(dbm.dumb.open(str(path), "n")) as made:
        for name, value in entries.items():
            made[name] = value


def read_dumb(path):
    with closing(dbm.dumb.open(str(path), "r")) as found:
        return {name: found[name] for name in found.keys()}  # noqa: SIM118  # no dict


def make_sqlite(path, entries):
    """What `dbm.sqlite3` of Python 3.13 makes."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("PRAGMA journal_mode = wal")
        made.execute(
            "CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
        )
        made.executemany("REPLACE INTO Dict (key, value) VALUES (?, ?)", entries.items())


def read_sqlite(path):
    with closing(sqlite3.connect(path)) as found:
        return dict(found.execute("SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM Dict"))


def make_by_module(kind, path, entries):
    with import_module(f"dbm.{kind}").open(str(path), "n") as made:
        for name, value in entries.items():
            made[name] = value


def read_by_module(kind, path):
    with import_module(f"dbm.{kind}").open(str(path), "r") as found:
        return {name: found[name] for name in found.keys()}  # noqa: SIM118  # no dict


KINDS = {"dumb": (make_dumb, read_dumb), "sqlite3": (make_sqlite, read_sqlite)}
if find_spec("_gdbm"):
    KINDS["gnu"] = (partial(make_by_module, "gnu"), partial(read_by_module, "gnu"))
if find_spec("_dbm"):
    KINDS["ndbm"] = (partial(make_by_module, "ndbm"), partial(read_by_module, "ndbm"))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "old"


ENTRIES = {b"a": b"1", b"b\xff\0'\"\n": b"\x00\xff" * 700, b"c": b"", b"\xc3\xa9": b"e"}


def test_a_file_of_dbm_is_a_store_of_bytes(kind, path):
    make, read = KINDS[kind]
    make(path, ENTRIES)
    with DbmStore(path, serialize="noop") as store:
        assert dict(store) == ENTRIES
        assert list(store) == sorted(ENTRIES)
        store["d"] = b"new"
        del store["a"]
        with pytest.raises(ZeroDivisionError), store.transaction():
            store["lost"] = b""
            raise ZeroDivisionError
    expected = {**ENTRIES, b"d": b"new"}
    del expected[b"a"]
    assert read(path) == expected
    make(path, {b"x": b"y"})
    assert dict(DbmStore(path, serialize="noop", readonly=True)) == {b"x": b"y"}


def test_a_file_of_shelve_is_read_and_written_and_stays_one(path):
    with shelve.open(str(path)) as made:
        made["a"] = {"n": (1, 2)}
        made["counter"] = Counter("hello")
    with DbmStore(path, serialize="pickle", key_type=str) as store:
        assert dict(store) == {"a": {"n": (1, 2)}, "counter": Counter("hello")}
        store["b"] = [3]
        store["a"]["n"]
    with shelve.open(str(path)) as found:
        assert dict(found) == {"a": {"n": (1, 2)}, "b": [3], "counter": Counter("hello")}


def test_what_is_in_a_file_of_another_program_has_to_be_said(path):
    make_dumb(path, {b"a": b'"text"'})
    for serializer in (None, "json", "cbor", "msgpack"):
        with pytest.raises(FormatMismatchError, match=r"dbm or shelve.*serialize='noop'"):
            DbmStore(path, serialize=serializer)
    with DbmStore(path, dump_load=(lambda v: json.dumps(v).encode(), json.loads)) as store:
        assert store["a"] == "text"
        store["b"] = [1]
    assert read_dumb(path)[b"b"] == b"[1]"


def test_an_empty_file_of_dbm_stays_one(kind, path):
    make, read = KINDS[kind]
    make(path, {})
    with pytest.raises(FormatMismatchError):
        DbmStore(path)
    with DbmStore(path, serialize="noop") as store:
        assert len(store) == 0
        store["a"] = b"1"
    assert read(path) == {b"a": b"1"}


def test_a_file_of_shelve_has_no_collections_until_it_is_migrated(path):
    with shelve.open(str(path)) as made:
        made["a"] = {"n": (1, 2)}
    with DbmStore(path, serialize="pickle") as store:
        with pytest.raises(CollectionError, match="migrate"):
            Collection(store, User).add(User("ada"))
        other = DbmStore(path, serialize="pickle")
        migrate(store, "cbor")
        users = Collection(store, User)
        users.add(User("ada", 36))
        assert store["a"] == {"n": (1, 2)}
        assert other["a"] == {"n": (1, 2)}
        other["b"] = 1
        assert store["b"] == 1
        other.close()
    with DbmStore(path) as store:
        assert "cbor" in repr(store)
        assert [user.name for user in Collection(store, User).find(age=36)] == ["ada"]


def test_a_new_store_is_one_like_any_other(kind, path):
    with DbmStore(path, kind=kind, serialize="json", checksums=True) as store:
        users = Collection(store, User)
        users.add_many(User(f"u{number}", number) for number in range(20))
        store[b"\0stones\0"] = "a key like those of stones"
        store[b"\0stones\0mversion"] = "another"
        assert len(store) == 22
    with DbmStore(path) as store:
        assert [user.name for user in Collection(store, User).find(age=7)] == ["u7"]
        assert store[b"\0stones\0mversion"] == "another"
        assert list(store)[:2] == [b"\0stones\0", b"\0stones\0mversion"]
    with pytest.raises(FormatMismatchError, match="is written by 'json'"):
        DbmStore(path, serialize="pickle")


def test_python_says_the_same_kind_of_what_is_written(kind, path):
    DbmStore(path, kind=kind).close()
    if kind != "sqlite3" or sys.version_info >= (3, 13):
        assert dbm.whichdb(str(path)) == f"dbm.{kind}"


def test_the_kind_of_a_file_that_is_there_is_kept(kind, path):
    make, read = KINDS[kind]
    make(path, ENTRIES)
    with DbmStore(path, serialize="noop", kind="dumb" if kind != "dumb" else "sqlite3") as store:
        store["a"] = b"2"
    assert read(path)[b"a"] == b"2"


def test_an_unknown_kind_is_refused(path):
    with pytest.raises(StoreOpenError, match="kind is one of gnu, ndbm, sqlite3, dumb, not 'x'"):
        DbmStore(path, kind="x")
    assert not os.listdir(path.parent)


@pytest.mark.skipif(find_spec("_dbm") is not None, reason="this Python has ndbm")
def test_a_file_of_ndbm_needs_its_library(path):
    path.with_suffix(".db").write_bytes(b"\0" * 12 + b"\x61\x15\x06\x00" + bytes(4000))
    with pytest.raises(StoreOpenError, match=r"dbm\.ndbm.*install it.*python3-gdbm"):
        DbmStore(path, serialize="noop")


@pytest.mark.skipif(find_spec("_gdbm") is not None, reason="this Python has gdbm")
def test_a_kind_that_this_python_lacks_says_what_to_install(path):
    with pytest.raises(StoreOpenError, match=r"dbm\.gnu.*install it.*python3-gdbm"):
        DbmStore(path, kind="gnu")
    assert [name for name in os.listdir(path.parent) if not name.endswith(".lock")] == []
    path.write_bytes(b"\xce\x9a\x57\x13" + bytes(100))  # how a file of gdbm begins
    with pytest.raises(StoreOpenError, match=r"dbm\.gnu.*install it.*python3-gdbm"):
        DbmStore(path, serialize="noop")


NO_DBM = {
    "text": b"hello, this is some text",
    "empty": b"",
    "sqlite": None,
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("what", NO_DBM)
def test_a_file_of_another_kind_is_refused_and_stays(path, what):
    if what == "sqlite":
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE other (x)")
    else:
        path.write_bytes(NO_DBM[what])
    before = path.read_bytes()
    for options in ({}, {"serialize": "noop"}, {"readonly": True}):
        with pytest.raises(StoreOpenError, match=r"is no file of dbm"):
            DbmStore(path, **options)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "'a', (0, 5000)\n",
        "'a', (-3, 2)\n",
        "'a'\n",
        "('a'\n",
        "__import__('os')\n",
        "'\u0100', 1\n",
    ],
)
def test_a_damaged_file_of_dumb_is_one_error(path, text):
    make_dumb(path, ENTRIES)
    place = path.with_suffix(".dir")
    with DbmStore(path, serialize="noop") as store:
        good = place.read_bytes()
        place.write_bytes(text.encode("utf-8"))
        with pytest.raises(StorageError, match=r"old\.d.* is (damaged|no file of dbm)"):
            store["a"]
        with pytest.raises(StorageError, match=r"is (damaged|no file of dbm)"):
            store["a"] = b""
        assert place.read_bytes() == text.encode("utf-8")
        place.write_bytes(good)
        assert dict(store) == ENTRIES


def test_a_file_that_another_program_has_open_is_not_replaced(path):
    make_sqlite(path, ENTRIES)
    with DbmStore(path, serialize="noop") as store:
        other = sqlite3.connect(path)
        other.execute("REPLACE INTO Dict VALUES (?, ?)", (b"x", b"1"))
        with pytest.raises(StorageError, match="another program has"):
            store["b"] = b"2"
        other.commit()
        other.close()
        assert store["x"] == b"1"
        store["b"] = b"2"
    assert read_sqlite(path) == {**ENTRIES, b"x": b"1", b"b": b"2"}


if find_spec("_gdbm"):  # as in KINDS: there is a test for each kind that this Python has

    def test_a_file_of_gnu_that_another_program_has_open_is_not_replaced(path):
        make_by_module("gnu", path, ENTRIES)
        code = "import dbm.gnu, sys; f = dbm.gnu.open(sys.argv[1], 'r'); print(); sys.stdin.read()"
        with DbmStore(path, serialize="noop") as store:
            other = subprocess.Popen(
                [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            other.stdout.readline()
            with pytest.raises(StorageError, match="another program has"):
                store["b"] = b"2"
            other.communicate()
            store["b"] = b"2"
        assert read_by_module("gnu", path)[b"b"] == b"2"


def test_a_commit_that_was_under_way_is_seen_by_a_reader_and_finished_by_a_writer(path):
    """Of the two files of dumb, one has been moved to its place when the process is killed."""
    with DbmStore(path, kind="dumb", serialize="json") as store:
        store["a"] = 1
        first = {name: (path.parent / name).read_bytes() for name in ("old.dat", "old.dir")}
        store["a"] = 2
        store["b"] = "more"
    folder = path.parent / ".old.stones-commit"
    folder.mkdir()
    (path.parent / "old.dir").rename(folder / "old.dir")
    (path.parent / "old.dir").write_bytes(first["old.dir"])
    with DbmStore(path, readonly=True) as reader:
        assert dict(reader) == {b"a": 2, b"b": "more"}
        assert folder.exists()
        with DbmStore(path) as store:
            store["c"] = 3
        assert dict(reader) == {b"a": 2, b"b": "more", b"c": 3}
    assert not folder.exists()


def test_what_stones_keeps_for_itself_is_not_written_to_a_file_of_another_program(path):
    make_dumb(path, ENTRIES)
    engine = DbmEngine(str(path))
    for space in (Space.META, Space.INDEX):
        with pytest.raises(
            TransactionError, match=r"call stones.migrate\(store, to=SERIALIZER\) first"
        ):
            engine.write(lambda txn, space=space: txn.put(space, b"k", b"v"))
    assert read_dumb(path) == ENTRIES


def test_stone_opens_it(path):
    with stone(path, DbmStore, serialize="json", options={"kind": "dumb"}) as store:
        store["a"] = [1]
    assert dict(stone(path, DbmStore)) == {b"a": [1]}


def test_a_url_names_it(path):
    make_dumb(path, ENTRIES)
    with stone(f"dbm:{path}", serialize="noop") as store:
        assert type(store) is DbmStore
        assert dict(store) == ENTRIES
