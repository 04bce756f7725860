"""Each command on a store of any kind: by its path on LMDB, or by its URL."""

import json
import re
import shelve
import shlex
import subprocess
import sys
from urllib.parse import quote

import pytest
from attrs import define

from stones import Collection, FormatMismatchError, LmdbStore, Store, check, index, key, stone
from stones.engine import Space


@define
class User:
    email: str = key()
    age: int = index()


@pytest.fixture(params=["path", "lmdb", "sqlite", "redis", "postgres"])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, tmp_path, request):
    """The path or URL of a store that is not there yet."""
    if kind == "postgres":
        server = request.getfixturevalue("postgres")
        return f"{server.url}{'&' if '?' in server.url else '?'}table={server.table}"
    if kind == "redis":
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
        return f"{url}{'&' if '?' in url else '?'}prefix={prefix()}"
    return {
        "path": str(tmp_path / "db"),
        "lmdb": f"lmdb:{tmp_path}/db",
        "sqlite": f"sqlite:{tmp_path}/app.db",
        "json": f"json:{tmp_path}/app.json",
        "dbm": f"dbm:{tmp_path}/old",
        "leveldb": f"leveldb:{tmp_path}/level",
    }[kind]


NO_SNAPSHOTS = "engine has no snapshots"


def in_a_process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command that may succeed and warn, or find damage."""
    command = [sys.executable, "-m", "stones", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def opened(place: str, **options: object) -> Store:
    return stone(place if ":" in place else f"lmdb:{place}", **options)


@pytest.fixture
def store(place):
    with opened(place, serialize="json") as store:
        yield store


@pytest.fixture
def users(store):
    users = Collection(store, User)
    users.add_many([User("ada", 36), User("grace", 85)])
    return users


def test_entries_are_put_read_listed_and_deleted(run, place):
    run("put", place, "answer", "42", "--create", "cbor")
    run("put", place, "name", "Ada", "--text", "--create", "json")  # it is there, and stays cbor
    assert run("get", place, "answer") == "42\n"
    assert run("keys", place) == "answer\nname\n"
    run("delete", place, "answer")
    assert "there is no key answer" in run("delete", place, "answer", code=3)
    with opened(place) as store:
        assert dict(store) == {b"name": "Ada"}
        assert store.stats()["serializer"] == "cbor"


def test_records_are_read_by_their_typed_keys(run, place, users):
    assert run("get", place, "User", "ada") == "{'email': 'ada', 'age': 36}\n"
    assert "there is no collection Other" in run("get", place, "Other", "1", code=3)
    assert run("keys", place, "--typed") == "User ada\nUser grace\n"


def test_info_shows_collections_and_sizes(run, place, users):
    shown = run("info", place)
    assert "collection  User: 2 records" in shown
    assert "index       User: age: 2 entries" in shown
    assert json.loads(run("info", place, "--json"))["entries"] == 2


def test_a_store_is_migrated(run, place, users):
    assert run("migrate", place, "--to", "cbor", "--checksums") == (
        "2 of 2 values re-encoded: all are cbor with checksums now\n"
    )
    assert users.find(age=36).count() == 1


def test_damage_is_told_and_repaired(run, place, store, users):
    assert run("check", place).endswith("is sound: 2 values\n")
    store.database.engine.write(lambda txn: txn.add(b"count/User", 5))
    found = in_a_process("check", place)
    assert (found.returncode, found.stdout) == (
        1,
        "User/: the collection 'User' has 2 records, but its count is 7\n",
    )
    advice, *more = found.stderr.splitlines()
    assert advice == "`stones check --repair` mends counts and indexes"
    assert [NO_SNAPSHOTS in line for line in more] == (
        [] if store.database.engine.supports.snapshots else [True]
    )
    shown = run("check", place, "--repair")
    assert shown.startswith("mended: the count of the collection 'User' is 2 now\n")
    assert len(users) == 2


def test_a_backup_is_an_lmdb_store_with_the_collections_and_their_counts(
    place, store, users, tmp_path
):
    store["key"] = 1
    made = in_a_process("backup", place, str(tmp_path / "copy"))
    has_snapshots = store.database.engine.supports.snapshots
    assert (made.returncode, NO_SNAPSHOTS in made.stderr) == (0, not has_snapshots)
    assert check(tmp_path / "copy").findings == ()
    with LmdbStore(tmp_path / "copy") as copy:
        assert dict(copy) == dict(store)
        assert len(Collection(copy, User)) == 2


def advised(error: Exception) -> list[str]:
    """The words of the command that an error gives, after `stones`."""
    found = re.search("`stones ([^`]+)`", str(error))
    assert found, error
    return shlex.split(found[1])


@pytest.mark.parametrize(
    "kind", ["path", "lmdb", "sqlite", "json", "dbm", "leveldb", "redis", "postgres"], indirect=True
)
def test_the_command_that_an_error_gives_works_as_it_stands(run, place):
    with opened(place, serialize="cbor", iterable={"a": 1}):
        pass
    for wish in ({"serialize": "json"}, {"checksums": True}):
        with pytest.raises(FormatMismatchError) as caught:
            opened(place, **wish)
        run(*advised(caught.value))
        with opened(place, **wish) as store:
            assert dict(store) == {b"a": 1}


@pytest.mark.parametrize("name", ["with space", "a:b", "-x", "json:x"])
def test_the_command_has_a_strange_path_as_it_is_typed(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with LmdbStore(name, serialize="cbor", iterable={"a": 1}):
        pass
    with pytest.raises(FormatMismatchError) as caught:
        LmdbStore(name, serialize="json")
    run(*advised(caught.value))
    with LmdbStore(name, serialize="json") as store:
        assert dict(store) == {b"a": 1}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_is_for_lmdb_only_is_refused_in_one_line(run, place, store, tmp_path):
    assert "salvage reads the pages" in run("salvage", place, tmp_path / "new", code=1)
    assert "for LMDB only" in run("info", place, "--table", "x", code=1)
    assert "for LMDB only" in run("get", place, "key", "--from", "json", code=1)
    assert "give a path" in run("backup", place, f"sqlite:{tmp_path}/new.db", code=2)


def test_the_serializer_of_a_file_of_shelve_is_named_as_that_of_a_database_of_03(run, tmp_path):
    path, url = tmp_path / "old", f"dbm:{tmp_path}/old"
    with shelve.open(str(path)) as made:
        made["a"] = {"n": 1}
    named = ("--from", "pickle", "--trust-pickle")
    assert "was written by dbm or shelve" in run("get", url, "a", code=1)
    assert run("get", url, "a", *named) == "{'n': 1}\n"
    assert "is sound: 1 value" in run("check", url, *named)
    assert "for LMDB only" in run("get", url, "a", *named, "--table", "x", code=1)
    run("migrate", url, *named, "--to", "cbor")
    run("migrate", url, *named, "--to", "cbor")
    assert run("get", url, "a") == "{'n': 1}\n"


@pytest.mark.parametrize("command", ["info", "keys", "check"])
def test_a_url_where_no_store_is_makes_none(run, tmp_path, command):
    assert "there is no store" in run(command, f"sqlite:{tmp_path}/app.db", code=1)
    assert list(tmp_path.iterdir()) == []
    assert "in another program" in run(command, "memory:", code=1)


COMMANDS = [
    ["get", "key"],
    ["put", "key", "1", "--create", "json"],
    ["delete", "key"],
    ["keys"],
    ["info"],
    ["check"],
    ["migrate", "--to", "cbor"],
    ["backup", "copy"],
    ["compact"],
    ["salvage", "new"],
]


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("postgress://ada:secret@host/db", "postgres"),
        ("postgresq://ada:secret@host/db", "postgresql"),
        ("sqllite:app.db", "sqlite"),
        ("lmbd:app", "lmdb"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_scheme_with_a_typo_is_refused_with_the_one_that_is_meant(
    run, tmp_path, monkeypatch, command, url, meant
):
    monkeypatch.chdir(tmp_path)
    name, *more = command
    shown = run(name, url, *more, code=1)
    assert f"is {meant}: meant?" in shown
    assert "A path with a colon is written ./PATH" in shown
    assert "secret" not in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["backup", "salvage"])
def test_a_new_store_is_not_made_at_a_url_with_a_typo(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    LmdbStore("db", serialize="json").close()
    assert "is lmdb: meant?" in run(command, "db", "lmbd:copy", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


@pytest.mark.parametrize("path", ["./sqllite:app.db", "./a:b", "copy-2026-01-31T10:30", "C:\\x"])
def test_a_path_with_a_colon_is_a_path(run, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    run("put", path, "key", "1", "--create", "json")
    assert run("get", path, "key") == "1\n"
    assert check(path).sound


def test_a_name_that_is_on_the_disk_is_a_path_whatever_it_is_like(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LmdbStore("sqllite:app.db", serialize="json", iterable={"a": 1}):
        pass
    assert run("keys", "sqllite:app.db") == "a\n"


BAD = "postgresql://ada:se%2Fcret@127.0.0.1:1/db?password=secret"


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", BAD, "key"],
        ["put", BAD, "key", "1", "--create", "json"],
        ["keys", BAD],
        ["info", BAD, "--json"],
        ["check", BAD, "--json"],
        ["migrate", BAD, "--to", "cbor"],
        ["backup", BAD, "copy"],
        ["compact", BAD],
        ["salvage", BAD, "new"],
        ["check", BAD, "--table", "x"],
    ],
)
def test_a_password_is_in_no_message(run, arguments):
    shown = run(*arguments, code=1)
    assert "secret" not in shown
    assert "se%2Fcret" not in shown
    assert "se/cret" not in shown


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_password_in_a_url_that_works_is_shown_nowhere(run, place, users):
    secret = f"{place}&password={quote('se/cret')}"
    shown = [
        run("check", secret),
        run("check", secret, "--json"),
        run("info", secret),
        run("info", secret, "--json"),
        run("get", secret, "missing", code=3),
        run("get", secret, "Other", "1", code=3),
    ]
    assert not [text for text in shown if "cret" in text]
    assert "***" in shown[0]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"], indirect=True)
def test_commands_that_only_read_open_the_store_read_only(run, place, store, monkeypatch):
    engine = type(store.database.engine)
    store["key"] = 1
    writes = []
    monkeypatch.setattr(engine, "write", lambda *_, **__: writes.append("write"))
    for arguments in (["get", place, "key"], ["keys", place], ["info", place], ["check", place]):
        run(*arguments)
    assert writes == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_metadata_that_is_damaged_is_a_finding(run, place, store):
    store["key"] = 1
    store.database.engine.write(lambda txn: txn.put(Space.META, b"formats", b"{}"))
    assert "metadata" in run("get", place, "key", code=1)
    found = subprocess.run(
        [sys.executable, "-m", "stones", "check", place, "--repair"],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1
    assert found.stdout.startswith("formats: metadata: the list of formats is lost")
    assert found.stderr == "nothing was mended: make a backup of what can be read\n"
