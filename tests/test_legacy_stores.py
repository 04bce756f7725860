"""Databases that the real stones 0.3.0 has written: opened, read, written, migrated."""

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from functools import partial

import lmdb
import pytest
from attrs import define

from stones import (
    Collection,
    CollectionError,
    CorruptValueError,
    FormatMismatchError,
    LmdbStore,
    MigrationError,
    SerializerError,
    StoreOpenError,
    ValueTypeError,
    check,
    compact,
    key,
    migrate,
    register_serializer,
    salvage,
    stone,
)
from stones.engine import Space
from stones.engines.lmdb.databases import is_legacy
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.metadata import IDS
from stones.migrations.reencoding.reencode import MigrationReport
from stones.repair.info import inspect

from .hostile import Bomb
from .stones03 import provide_stones03  # noqa: F401

ALL = ["pickle", "json", "cbor", "msgpack", "noop"]
FULL = ["pickle", "json", "cbor", "msgpack"]
# Of processes that are killed and interrupted, whose coverage would come to nothing.
UNWATCHED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
# What each of 0.3's serializers gives back as it was put in.
ENTRIES = {
    "pickle": {b"none": None, b"big": 1 << 99, b"deep": [(1, {2}), {"a": (b"b", "c")}], b"": 0},
    "json": {b"int": -5, b"bytes": b"b", b"list": [1, b"b", True], b"tuple": (1, b"b", {"a": 1})},
    "cbor": {b"none": None, b"text": "t", b"bytes": b"b", b"tuple": (1, [2, {"a": b"b"}])},
    "msgpack": {b"none": None, b"text": "t", b"deep": [(1, {2, 3}), frozenset({4}), {"a": b"b"}]},
    "noop": {b"bytes": b"bytes", b"msgpack-like": b"\x04\x01", b"format-like": b"\x05\x05"},
}
ENTRIES["pickle"].pop(b"")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "old-db")


@pytest.fixture(params=ALL)
def old(request, path, stones03):
    """The serializer and the entries of a database of 0.3 at `path`."""
    stones03.make_database(path, request.param, ENTRIES[request.param])
    return request.param, ENTRIES[request.param]


def make_table(path, table, raws):
    """What 0.3 makes of `table=`: a named database with the values it has encoded."""
    environment = lmdb.open(path, max_dbs=9)
    with environment.begin(write=True, db=environment.open_db(table)) as txn:
        for key, raw in raws.items():
            txn.put(key, raw)
    environment.close()


def main_keys(path):
    """The keys in the main database: all of those of 0.3, or our spaces."""
    environment = lmdb.open(path, max_dbs=9)
    with environment.begin() as txn:
        keys = list(txn.cursor().iternext(values=False))
    environment.close()
    return keys


def formats_in_use(store):
    return {raw[0] for _, raw in store.database.engine.begin().scan(Space.DATA)}


# -- as they are -----------------------------------------------------------------------------------


def test_a_database_of_03_opens_with_its_serializer_named(path, old):
    serializer, entries = old
    with stone(path, LmdbStore, serializer) as store:
        assert dict(store) == entries
        assert {key: type(value) for key, value in store.items()} == {
            key: type(value) for key, value in entries.items()
        }
        assert list(store) == sorted(entries)
        assert len(store) == len(entries)
        some = next(iter(entries))
        assert store[some] == entries[some]
        assert store.get("gone") is None
        with store.snapshot() as view:
            assert dict(view) == entries
        assert dict(store.copy()) == entries


def test_what_is_written_into_it_can_be_read_by_03(path, old, stones03):
    serializer, entries = old
    with stone(path, LmdbStore, serializer) as store:
        store.update({b"new": b"value", b"other": b""[:0] if serializer == "cbor" else b"x"})
        del store["other"]
        store.setdefault("default", b"value")
        with store.transaction():
            store["in"] = b"transaction"
        with pytest.raises(ZeroDivisionError), store.transaction():
            store["undone"] = b"transaction"
            1 / 0
        some = next(iter(entries))
        assert store.pop(some) == entries[some]
        expected = dict(store)
    assert expected[b"new"] == b"value"
    assert stones03.read_database(path, serializer) == expected
    assert set(main_keys(path)) == set(expected)


def test_clear_empties_it_for_03_too(path, old, stones03):
    serializer, _ = old
    with stone(path, LmdbStore, serializer) as store:
        store.clear()
        assert len(store) == 0
        store["new"] = b"value"
    assert stones03.read_database(path, serializer) == {b"new": b"value"}


def test_reading_it_changes_nothing(path, old):
    serializer, entries = old
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        before = file.read()
    with LmdbStore(path, serialize=serializer, readonly=True) as store:
        assert dict(store) == entries
    with stone(path, LmdbStore, serializer) as store:
        assert dict(store) == entries
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        assert file.read() == before


def test_without_its_serializer_named_it_is_refused(path, old):
    with pytest.raises(FormatMismatchError, match=r"stones 0\.3.*name it, serialize='pickle'"):
        stone(path, LmdbStore)


def test_another_serializer_than_its_own_reads_no_garbage(path, stones03):
    stones03.make_database(path, "pickle", {b"key": (1, "x")})
    for wrong in ["json", "cbor", "msgpack"]:
        with stone(path, LmdbStore, wrong) as store, pytest.raises(CorruptValueError, match="key"):
            store["key"]


def test_a_serializer_that_03_did_not_have_is_refused(path, stones03):
    register_serializer("own-of-a-test", bytes, bytes)
    stones03.make_database(path, "noop", {b"key": b"value"})
    with pytest.raises(SerializerError, match="had no serializer"):
        stone(path, LmdbStore, "own-of-a-test")


FUNCTIONS = (lambda value: value[::-1], lambda raw: raw[::-1])


def test_functions_of_ones_own_are_given_as_in_03(path, stones03):
    stones03.make_database(path, "noop", {b"key": b"abc"})
    with stone(path, LmdbStore, dump_load=FUNCTIONS) as store:
        assert store["key"] == b"cba"
        store["key"] = b"abc"
        assert dict(store.copy()) == {b"key": b"abc"}
    assert stones03.read_database(path, "noop") == {b"key": b"cba"}


def test_only_pickle_named_unpickles(path, tmp_path, stones03):
    hostile = pickle.dumps(Bomb(tmp_path / "unpickled"))
    stones03.make_database(path, "noop", {b"key": hostile})
    with LmdbStore(path, serialize="pickle", trust_pickle=False) as store:
        with pytest.raises(FormatMismatchError, match="can run code"):
            store["key"]
        with pytest.raises(MigrationError, match="can run code"):
            migrate(store, "json")
    for name in ["json", "cbor", "msgpack"]:
        with stone(path, LmdbStore, name) as store:
            with pytest.raises(CorruptValueError):
                store["key"]
            with pytest.raises(MigrationError, match="b'key'"):
                migrate(store, "noop")
    with stone(path, LmdbStore, "noop") as store:
        migrate(store, "json")
        assert store["key"] == hostile
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("serializer", FULL)
def test_a_table_of_03_is_opened_by_its_name(path, stones03, serializer):
    entries = ENTRIES[serializer]
    raws = [raw for _, raw in stones03.encode(serializer, list(entries.values()))]
    make_table(path, b"table", dict(zip(entries, raws, strict=True)))
    with LmdbStore(path, table=b"table", serialize=serializer) as store:
        assert dict(store) == entries
        store["new"] = b"value"
        expected = dict(store)
        assert migrate(store, "cbor").total == len(entries) + 1
        assert dict(store) == expected
    with stone(path, LmdbStore, "cbor") as store:
        assert dict(store) == expected


@pytest.mark.parametrize("table", [None, b"table"])
def test_the_used_part_of_a_database_of_03_is_not_larger_than_its_file(path, table):
    make_table(path, table, {b"%04d" % number: b"1" * 100 for number in range(2000)})
    compact(path)
    found = inspect(path, table=table)
    assert found.file_size * 0.9 < found.used_size <= found.file_size


@pytest.mark.parametrize("table", ["table", 5, ["table"]])
def test_the_name_of_a_table_is_bytes(path, table):
    make_table(path, b"table", {b"key": b"1"})
    for function in (LmdbStore, inspect, check, partial(salvage, new=f"{path}-new")):
        with pytest.raises(ValueTypeError, match="table is the name of a table as bytes"):
            function(path, table=table)


def test_a_database_of_tables_is_refused_without_the_name_of_one(path):
    make_table(path, b"one", {b"key": b"1"})
    make_table(path, b"two", {b"key": b"2"})
    with pytest.raises(StoreOpenError, match=r"one.*two.*table="):
        stone(path, LmdbStore, "json")
    for table, value in [(b"one", 1), (b"two", 2)]:
        with LmdbStore(path, table=table, serialize="json") as store:
            assert store["key"] == value
    with pytest.raises(StoreOpenError):
        LmdbStore(path, table=b"three", serialize="json")


@define
class User:
    email: str = key()


def test_collections_come_after_the_migration(path, stones03):
    stones03.make_database(path, "msgpack", {b"key": 1})
    with stone(path, LmdbStore, "msgpack") as store:
        with pytest.raises(CollectionError, match="re-encode it first"):
            Collection(store, User)
        migrate(store, "msgpack")
        users = Collection(store, User)
        users.add(User("ada"))
        assert list(users) == ["ada"]


# -- migrated --------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", FULL)
def test_it_is_migrated_to_any_serializer_with_values_equal(path, old, to):
    serializer, entries = old
    with stone(path, LmdbStore, serializer) as store:
        assert migrate(store, to).total == len(entries)
        assert dict(store) == entries
        assert formats_in_use(store) == {IDS[to]}
        store["new"] = (1, 2)
        assert migrate(store, to) == MigrationReport(0, len(entries) + 1)
    with stone(path, LmdbStore) as store:
        assert dict(store) == entries | {b"new": (1, 2)}
    assert all(key.startswith(b"stones:") for key in main_keys(path))


def test_it_has_no_checksums_until_it_is_migrated_to_have_them(path, old):
    serializer, entries = old
    with pytest.raises(FormatMismatchError, match=r"0\.3 has no checksums"):
        LmdbStore(path, serialize=serializer, checksums=True)
    with LmdbStore(path, serialize=serializer, checksums=False) as store:
        assert store.stats()["checksums"] is False
        assert migrate(store, checksums=True) == MigrationReport(len(entries), len(entries))
        assert dict(store) == entries
        assert formats_in_use(store) == {IDS[serializer] | CHECKSUM_BIT}
    with LmdbStore(path, serialize=serializer, checksums=True) as store:
        assert dict(store) == entries


def test_it_is_migrated_from_and_to_functions(path, stones03):
    stones03.make_database(path, "noop", {b"key": b"abc"})
    with stone(path, LmdbStore, dump_load=FUNCTIONS) as store:
        with pytest.raises(MigrationError, match="register_serializer"):
            migrate(store, dump_load=(bytes, bytes))
        migrate(store, dump_load=FUNCTIONS)
    with stone(path, LmdbStore, dump_load=FUNCTIONS) as store:
        assert dict(store) == {b"key": b"cba"}
        migrate(store, "json")
        assert dict(store) == {b"key": b"cba"}


@pytest.mark.parametrize(
    ("serializer", "value", "to"),
    [("cbor", 2j, "json"), ("pickle", range(3), "msgpack"), ("json", 1, "noop")],
)
def test_a_value_that_the_target_cannot_hold_leaves_it_a_database_of_03(
    path, stones03, serializer, value, to
):
    entries = {b"fine": b"x", b"culprit": value}
    stones03.make_database(path, serializer, entries)
    with stone(path, LmdbStore, serializer) as store:
        with pytest.raises(MigrationError, match=r"b'culprit'.*no value was changed"):
            migrate(store, to)
        store["more"] = b"x"
    assert stones03.read_database(path, serializer) == entries | {b"more": b"x"}


def test_a_database_that_03_left_empty_is_a_new_store(path, stones03):
    stones03.make_database(path, "json", {})
    with stone(path, LmdbStore, "cbor") as store:
        store["key"] = (1, 2)
    assert stone(path, LmdbStore)["key"] == (1, 2)


WRITER = """
import signal, sys
from stones import LmdbStore, stone
path, name = sys.argv[1:]
store = stone(path, LmdbStore, 'json')
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
print('open', flush=True)
number = 0
while not stop:
    number += 1
    store[f'{name}/{number % 100}'] = number
    assert store[f'{name}/{number % 100}'] == number
    assert store['fixed/7'] == 7
    if number % 50 == 0:
        fixed = store.range(prefix='fixed/')
        assert [(int(key[6:]), value) for key, value in fixed.items()] == sorted(
            ((n, n) for n in range(2000)), key=lambda pair: str(pair[0])
        )
assert [store[f'{name}/{n % 100}'] for n in range(max(number - 99, 1), number + 1)] == list(
    range(max(number - 99, 1), number + 1)
)
print(number, flush=True)
"""


@pytest.fixture
def bystanders(path, stones03):
    """Two processes that opened the database of 0.3 before, and read and write."""
    stones03.make_database(path, "json", {b"fixed/%d" % number: number for number in range(2000)})
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=UNWATCHED,
        )
        for name in ["one", "two"]
    ]
    for child in children:
        assert child.stdout.readline() == "open\n", child.communicate()
    yield children
    for child in children:
        child.kill()
        child.communicate()


def finish(children):
    for child in children:
        child.terminate()
        shown, errors = child.communicate()
        assert child.returncode == 0, errors
        assert int(shown) > 0


def check_fixed(store):
    fixed = store.range(prefix="fixed/")
    assert dict(fixed) == {b"fixed/%d" % number: number for number in range(2000)}


def test_others_that_have_it_open_go_on_while_it_is_migrated(path, bystanders):
    time.sleep(0.2)
    with stone(path, LmdbStore, "json") as store:
        assert migrate(store, "msgpack").values >= 2000
        check_fixed(store)
        assert formats_in_use(store) == {IDS["msgpack"]}
        time.sleep(0.2)
    finish(bystanders)
    with stone(path, LmdbStore, "msgpack") as store:
        check_fixed(store)
        assert len(store) > 2000


MIGRATE = [
    *[sys.executable, "-c", "from stones.command_line.main import main; main()", "migrate"],
    *["--from", "json", "--to", "msgpack"],
]


def test_a_migration_killed_at_any_instant_loses_nothing_and_the_same_command_goes_on(
    path, bystanders
):
    random.seed(3)
    for _ in range(8):
        child = subprocess.Popen(
            [*MIGRATE, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=UNWATCHED
        )
        time.sleep(0.1 + random.random() * 0.3)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        found = inspect(path)
        try:
            store = stone(path, LmdbStore)
        except FormatMismatchError:
            assert found.version == "0.3"
            store = stone(path, LmdbStore, "json")
        with store:
            check_fixed(store)
    done = subprocess.run([*MIGRATE, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    finish(bystanders)
    with stone(path, LmdbStore, "msgpack") as store:
        check_fixed(store)
        assert formats_in_use(store) == {IDS["msgpack"]}
        with store.snapshot() as view:
            assert view.database.metadata().migration is None


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("table", [None, b"table"])
def test_a_database_can_be_opened_while_another_process_migrates_it(
    path, monkeypatch, readonly, table
):
    make_table(path, table, {b"key": b"1"})

    def is_legacy_until_now(env, main):
        answer = is_legacy(env, main)
        options = ["--table", "table"] if table else []
        subprocess.run([*MIGRATE, path, *options], check=True, env=UNWATCHED)
        return answer

    monkeypatch.setattr("stones.engines.lmdb.open_file.is_legacy", is_legacy_until_now)
    with LmdbStore(path, serialize="msgpack", readonly=readonly, table=table) as store:
        assert dict(store) == {b"key": 1}
        if not readonly:
            store["more"] = 2
            assert dict(store) == {b"key": 1, b"more": 2}


def test_two_migrations_at_once_are_one(path, stones03):
    entries = {b"%05d" % number: (number,) for number in range(3000)}
    stones03.make_database(path, "json", entries)
    children = [
        subprocess.Popen(
            [*MIGRATE, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=UNWATCHED
        )
        for _ in range(3)
    ]
    for child in children:
        _, errors = child.communicate()
        assert child.returncode == 0, errors.decode()
    with stone(path, LmdbStore, "msgpack") as store:
        assert dict(store) == entries
        assert formats_in_use(store) == {IDS["msgpack"]}


# -- on the command line ---------------------------------------------------------------------------


def run(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-c", "from stones.command_line.main import main; main()", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_every_command_works_on_it(path, stones03):
    stones03.make_database(path, "json", {b"key": (1, 2), b"list": [1, 2]})
    assert run("keys", path, "--from", "json") == "key\nlist\n"
    assert run("get", path, "key", "--from", "json") == "(1, 2)\n"
    run("put", path, "new", "[3]", "--from", "json")
    run("delete", path, "list", "--from", "json")
    assert "--from" in run("get", path, "key", code=1)
    assert "--from" in run("migrate", path, "--to", "cbor", code=1)
    shown = run("info", path)
    assert "entries     2, " in shown
    assert "written by  stones 0.3" in shown
    assert stones03.read_database(path, "json") == {b"key": (1, 2), b"new": [3]}
    assert run("migrate", path, "--from", "json", "--to", "cbor").endswith("all are cbor now\n")
    assert run("migrate", path, "--from", "json", "--to", "cbor").startswith("0 of 2 values")
    assert run("get", path, "key") == "(1, 2)\n"
    assert "format      cbor: 2 values" in run("info", path)


def test_a_table_is_named_on_the_command_line_too(path):
    make_table(path, b"table\xff", {b"key": b"1"})
    assert "table=" in run("info", path, code=1)
    assert "entries     1, " in run("info", path, "--table", r"table\xff")
    assert run("get", path, "key", "--from", "json", "--table", r"table\xff") == "1\n"
    run("migrate", path, "--from", "json", "--table", r"table\xff", "--to", "cbor")
    assert run("get", path, "key") == "1\n"


def test_pickle_is_to_be_trusted_on_the_command_line(path, stones03):
    stones03.make_database(path, "pickle", {b"key": (1, 2)})
    command = ["migrate", path, "--from", "pickle", "--to", "cbor"]
    assert "b'key' is pickled" in run(*command, code=1)
    assert inspect(path).version == "0.3"
    run(*command, "--trust-pickle")
    assert run("get", path, "key") == "(1, 2)\n"


def test_a_table_is_not_migrated_away_from_others_in_its_file(path):
    for name in (b"one", b"two"):
        make_table(path, name, {b"key": b"value"})
    with LmdbStore(path, table=b"one", serialize="noop") as store:
        with pytest.raises(MigrationError, match="two"):
            migrate(store, "json")
        assert dict(store) == {b"key": b"value"}
    with LmdbStore(path, table=b"two", serialize="noop") as store:
        assert dict(store) == {b"key": b"value"}
