"""The command line, run as its users run it: in a process of its own, on files."""

import json
import os
import pickle
import re
import signal
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stones
from stones import Collection, Index, LmdbStore, key, migrate, register_serializer, stone
from stones.command_line.info_command import info_text
from stones.engine import Space
from stones.repair.info import inspect
from stones.stores.key_text import parse_key, show_key

from .hostile import Bomb
from .terminal import Terminal

STONES = [sys.executable, "-c", "from stones.command_line.main import main; main()"]
# Without coverage, which hangs if an interrupt comes while it holds a lock of its own.
UNWATCHED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}


def run_process(*arguments, stdin=b""):
    """The exit code of `stones ARGUMENTS`, and what it prints on stdout and stderr."""
    done = subprocess.run([*STONES, *map(os.fsencode, arguments)], input=stdin, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


@pytest.fixture
def store(path):
    with stone(path, LmdbStore, "msgpack") as store:
        yield store


# -- keys ------------------------------------------------------------------------------------------


@given(st.binary())
def test_any_key_can_be_shown_and_typed(key):
    assert show_key(key).isprintable()
    assert parse_key(show_key(key)) == key


@given(st.text())
def test_a_printable_key_is_shown_as_it_is_but_for_backslashes(key):
    expected = key.replace("\\", "\\\\")
    assert (show_key(key.encode("utf-8", "replace")) == expected) or not key.isprintable()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"plain key", "plain key"),
        ("größe".encode(), "größe"),
        (b"\xff\x00", r"\xff\x00"),
        (b"a\nb\tc\r", r"a\nb\tc\r"),
        (b"back\\slash", r"back\\slash"),
        ("\u200b".encode(), r"\xe2\x80\x8b"),
    ],
)
def test_what_is_not_printable_in_a_key_is_escaped(key, text):
    assert show_key(key) == text
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x", "\\x1", "\\xgg", "a\\"])
def test_a_wrong_escape_is_refused(run, store, text):
    with pytest.raises(ValueError, match="is no escape"):
        parse_key(text)
    assert "is no escape" in run("get", store.path, text, code=2)


# -- get, put, delete, keys ------------------------------------------------------------------------


def test_get_prints_the_value_as_python_writes_it(run, store):
    value = {"name": "Ada", "tuple": (1, 2), "born": date(1815, 12, 10), "raw": b"\xff"}
    store["key"] = value
    namespace = {"datetime": __import__("datetime")}
    assert eval(run("get", store.path, "key"), namespace) == value


def test_get_and_put_share_the_notation_of_json(run, store):
    value = {
        "tuple": (1, {2}),
        "none": None,
        "born": date(1815, 12, 10),
        (1, 2): "ä",
        "$a": b"\xff",
    }
    store["key"] = value
    shown = run("get", store.path, "key", "--json")
    json.loads(shown)
    run("put", store.path, "copy", shown)
    assert store["copy"] == value


def test_get_raw_prints_text_and_bytes_as_they_are(run, store):
    store.update(text="grüße", bytes=b"\x00\xff", number=1)
    assert run("get", store.path, "text", "--raw") == "grüße"
    assert run_process("get", store.path, "bytes", "--raw") == (0, b"\x00\xff", "")
    assert "not int" in run("get", store.path, "number", "--raw", code=1)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["1"], 1),
        (["-5"], -5),
        (["null"], None),
        (['"text"'], "text"),
        (['{"a": [1.5, true]}'], {"a": [1.5, True]}),
        (['{"$tuple": [1]}'], (1,)),
        (["plain", "--text"], "plain"),
        (["--text", "1"], "1"),
        (["grüße", "--bytes"], "grüße".encode()),
        ([b"\xff", "--bytes"], b"\xff"),
    ],
)
def test_put_sets_a_value(run, store, arguments, value):
    assert run("put", store.path, "key", *arguments) == ""
    assert store["key"] == value
    assert type(store["key"]) is type(value)


@pytest.mark.parametrize(
    ("arguments", "value"), [([], [1, 2]), (["--text"], "[1, 2]"), (["--bytes"], b"[1, 2]")]
)
def test_put_reads_the_value_from_standard_input(run, store, arguments, value):
    run("put", store.path, "key", "-", *arguments, stdin=b"[1, 2]")
    assert store["key"] == value


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["plain"], "add --text"),
        (['{"$date": "never"}'], "add --text"),
        ([b"\xff"], "--bytes takes any bytes"),
        ([b"\xff", "--text"], "--bytes"),
        ([], "Missing argument 'VALUE'"),
        (["1", "--colour"], "colour"),
    ],
)
def test_put_refuses_what_is_no_value(run, store, arguments, hint):
    assert hint in run("put", store.path, "key", *arguments, code=2)
    assert len(store) == 0


def test_put_says_what_the_serializer_of_the_store_cannot_hold(run, path):
    with stone(path, LmdbStore, "noop") as store:
        assert "noop cannot hold an int, at $" in run("put", path, "key", "1", code=1)
        run("put", path, "key", "1", "--bytes")
        assert dict(store) == {b"key": b"1"}


def test_put_makes_a_store_only_where_it_is_told_how_it_is_written(run, path):
    assert "there is no store at" in run("put", path, "key", "1", code=1)
    assert not os.path.exists(path)
    run("put", path, "key", "1", "--create", "cbor")
    run("put", path, "other", "2", "--create", "cbor")
    with stone(path, LmdbStore, "cbor") as store:
        assert dict(store) == {b"key": 1, b"other": 2}


def test_delete_removes_a_key(run, store):
    store.update({b"a": 1, b"b\xff": 2})
    assert run("delete", store.path, r"b\xff") == ""
    assert dict(store) == {b"a": 1}


@pytest.mark.parametrize("command", ["get", "delete"])
def test_a_key_that_is_not_there_has_an_exit_code_of_its_own(run, store, command):
    assert r"no key a\xff" in run(command, store.path, r"a\xff", code=3)


def test_keys_come_in_order_one_a_line(run, store):
    store.update({b"b": 1, b"a\n": 2, b"a\xff": 3, "aé": 4})
    assert run("keys", store.path) == "a\\n\naé\na\\xff\nb\n"
    assert run("keys", store.path, "--prefix", "a") == "a\\n\naé\na\\xff\n"
    assert run("keys", store.path, "--prefix", r"a\xff") == "a\\xff\n"
    assert run("keys", store.path, "--limit", "2") == "a\\n\naé\n"
    assert run("keys", store.path, "--limit", "0") == ""
    assert "--limit" in run("keys", store.path, "--limit", "-1", code=2)


def test_keys_can_be_cut_short_by_the_reader_of_them(store):
    store.update({b"%06d" % number: 1 for number in range(30_000)})
    done = subprocess.Popen(
        [*STONES, "keys", store.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.stdout.readline() == b"000000\n"
    done.stdout.close()
    assert done.stderr.read() == b""
    done.stderr.close()
    done.wait()


@attrs.define
class User:
    email: str = key()
    name: str


def test_the_records_of_a_collection_are_read_and_written_through_it(run, store):
    users = Collection(store, User)
    users.add_many([User("ada", "Ada"), User("bob", "Bob")])
    assert run("keys", store.path) == "User/ada\nUser/bob\n"
    assert json.loads(run("get", store.path, "User/ada", "--json")) == {
        "email": "ada",
        "name": "Ada",
    }
    assert "a record is a JSON object" in run("put", store.path, "User/ada", "1", code=2)
    run("put", store.path, "User/ada", '{"name": "Ada L."}')
    run("delete", store.path, "User/bob")
    assert dict(users) == {"ada": User("ada", "Ada L.")}
    assert len(users) == 1


# -- what is there, and what is trusted ------------------------------------------------------------

COMMANDS = [
    ["get", "key"],
    ["put", "key", "1"],
    ["delete", "key"],
    ["keys"],
    ["info"],
    ["check"],
    ["migrate", "--to", "json"],
]


@pytest.mark.parametrize(("command", "arguments"), [(first, rest) for first, *rest in COMMANDS])
def test_a_store_that_is_not_there_is_an_error_and_is_not_made(run, tmp_path, command, arguments):
    for path in [tmp_path / "nowhere", tmp_path / "no" / "where"]:
        assert "there is no store at" in run(command, path, *arguments, code=1)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    assert "is a file" in run(command, tmp_path / "file", *arguments, code=1)
    (tmp_path / "empty").mkdir()
    assert "there is no store at" in run(command, tmp_path / "empty", *arguments, code=1)
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.parametrize("scheme", ["sqlite", "json", "dbm", "leveldb"])
def test_the_url_of_a_store_of_another_kind_is_suggested(run, tmp_path, monkeypatch, scheme):
    if scheme == "leveldb":
        pytest.importorskip("plyvel", reason="without its client there are no LevelDB stores")
    place = str(tmp_path / "store")
    with stone(f"{scheme}:{place}", serialize="json") as store:
        store["key"] = 7
    (tmp_path / "migrations").mkdir()
    monkeypatch.chdir(tmp_path)
    commands = [[command, place, *arguments] for command, *arguments in COMMANDS]
    commands += [["migrations", name, place] for name in ("status", "plan", "run", "verify")]
    for command in commands:
        assert f"named by its URL: '{scheme}:{place}'" in run(*command, code=1)
    assert run("get", f"{scheme}:{place}", "key") == "7\n"


@pytest.mark.parametrize("name", ["text", "pipe", "link", "folder", "notes.txt"])
def test_no_url_is_suggested_for_what_is_no_store_of_another_kind(run, tmp_path, name):
    (tmp_path / "text").write_text("a file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    assert "URL" not in run("info", tmp_path / name, code=1)


def test_a_file_of_dbm_sqlite3_is_not_taken_for_a_store_on_sqlite(run, tmp_path):
    with sqlite3.connect(tmp_path / "shelf") as file:
        file.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
    assert f"'dbm:{tmp_path / 'shelf'}'" in run("info", tmp_path / "shelf", code=1)


@pytest.fixture
def pickled(path, tmp_path):
    """A pickled store with a value that makes a folder when it is read."""
    with stone(path, LmdbStore) as store:
        store["key"] = Bomb(tmp_path / "unpickled")
    return path


@pytest.mark.parametrize(("command", "arguments"), [(first, rest) for first, *rest in COMMANDS])
def test_no_command_unpickles_unless_told_so(run, pickled, tmp_path, command, arguments):
    refused = command in ("get", "migrate")
    shown = run(command, pickled, *arguments, code=1 if refused else 0)
    assert not refused or "--trust-pickle" in shown
    assert not (tmp_path / "unpickled").exists()


def test_a_pickle_is_read_when_told_so(run, pickled, tmp_path):
    assert run("get", pickled, "key", "--trust-pickle") == "None\n"
    assert (tmp_path / "unpickled").exists()


def test_a_store_of_a_serializer_that_is_not_known_is_refused_but_by_info(path):
    register_serializer("of-a-test", pickle.dumps, pickle.loads)
    with stone(path, LmdbStore, "of-a-test") as store:
        store["key"] = 1
    code, _, errors = run_process("get", path, "key")
    assert code == 1
    assert "'of-a-test', which is not known here" in errors
    assert b"of-a-test: 1 value," in run_process("info", path)[1]


# -- info ------------------------------------------------------------------------------------------


def test_info_tells_formats_collections_and_sizes(run, store):
    store.update({b"%03d" % number: number for number in range(100)})
    Collection(store, User).add(User("ada", "Ada"))
    found = json.loads(run("info", store.path, "--json"))
    record = store.database.engine.get(Space.DATA, b"User/ada")
    assert found == {
        "path": store.path,
        "version": "1",
        "serializer": "msgpack",
        "checksums": False,
        "migrating": False,
        "entries": 101,
        "size": 100 * (3 + 2) + len(b"User/ada") + len(record),
        "index_entries": store.database.engine.begin().count(Space.INDEX),
        "file_size": os.path.getsize(os.path.join(store.path, "data.mdb")),
        "used_size": store.stats()["used_size"],
        "formats": [
            {
                "id": 4,
                "checksums": False,
                "serializer": "msgpack",
                "values": 101,
                "size": 200 + len(record),
                "compression": None,
                "encrypted": False,
                "plain_size": 200 + len(record),
                "dictionary_size": 0,
            }
        ],
        "compression": None,
        "encrypted": False,
        "rules": [],
        "collections": [
            {
                "name": "User",
                "record": "User",
                "key": "str",
                "records": 1,
                "size": len(b"User/ada") + len(record),
                "indexes": [],
                "step": 0,
                "to_step": None,
            }
        ],
        "namespaces": [],
        "prefixes": [{"prefix": "", "entries": 100, "size": 500}],
    }


def test_info_is_readable(run, store):
    store.update({b"%05d" % number: "x" * 1000 for number in range(1200)})
    Collection(store, User).add(User("ada", "Ada"))
    shown = run("info", store.path)
    assert shown.startswith(f"{store.path}\n  entries     1,201, 1.2 MB\n  file        ")
    assert "written by  msgpack\n  format      msgpack: 1,201 values, 1.2 MB\n" in shown
    assert "  collection  User: 1 record, " in shown


def test_info_of_an_empty_store_names_the_format_to_be(run, store):
    assert "msgpack: 0 values, 0 bytes" in run("info", store.path)


def interrupted(store, to=None, **options):
    def stop(done, steps):
        if done > 0.7 * steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(store, to, progress=stop, **options)


@pytest.mark.usefixtures("short_batches")
def test_info_says_how_many_values_a_migration_has_left(run, store):
    store.update({b"%05d" % number: number for number in range(3000)})
    interrupted(store, "json")
    found = json.loads(run("info", store.path, "--json"))
    assert found["migrating"]
    assert {use["serializer"] for use in found["formats"]} == {"msgpack", "json"}
    assert sum(use["values"] for use in found["formats"]) == 3000
    assert "migration   to json, unfinished" in run("info", store.path)
    run("migrate", store.path, "--to", "json")
    assert "migration" not in run("info", store.path)


@pytest.mark.usefixtures("short_batches")
def test_info_tells_what_has_checksums(run, store):
    store.update({b"%04d" % number: number for number in range(1000)})
    interrupted(store, checksums=True)
    shown = run("info", store.path)
    assert "written by  msgpack with checksums\n" in shown
    done = int(re.search(r"format      msgpack with checksums: (\d+) values, ", shown)[1])
    assert 0 < done < 1000
    assert f"format      msgpack: {1000 - done} values, " in shown
    assert "migration   to msgpack with checksums, unfinished" in shown
    found = json.loads(run("info", store.path, "--json"))
    assert found["checksums"] is True
    assert {(use["id"], use["checksums"]) for use in found["formats"]} == {(4, False), (4, True)}


def test_info_counts_damaged_values_and_reads_none(run, store):
    for number, raw in enumerate([b"", b"\x63damaged", b"\x04\xc1"]):
        store.database.engine.write(
            lambda txn, raw=raw, key=b"%d" % number: txn.put(Space.DATA, key, raw)
        )
    shown = run("info", store.path)
    assert "format      damaged, empty: 1 value, 0 bytes" in shown
    assert "format      not listed, 99: 1 value, 8 bytes" in shown
    assert "format      msgpack: 1 value, 2 bytes" in shown


def test_info_reads_a_store_that_must_not_be_written(run, store):
    store["key"] = 1
    store.close()
    for name in os.listdir(store.path):
        os.chmod(os.path.join(store.path, name), 0o444)
    os.chmod(store.path, 0o555)
    assert "entries     1, 5 bytes" in run("info", store.path)


def test_info_works_in_the_process_that_writes(store):
    with store.transaction():
        store["key"] = 1
        assert inspect(store.path).entries == 0
    assert inspect(store.path).entries == 1
    store["more"] = 1
    assert len(store) == 2


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**9, "5.0 GB"),
        (7 * 10**12, "7.0 TB"),
        (7 * 10**15, "7,000.0 TB"),
    ],
)
def test_sizes_are_for_people(store, size, text):
    found = attrs.evolve(inspect(store.path), size=size, index_entries=5)
    assert f"entries     0, {text}\n" in info_text(found)
    assert "indexes     5 entries" in info_text(found)


def test_info_tells_the_indexes_of_collections(run, store):
    Collection(store, User, indexes=[Index("name", unique=True)]).add(User("ada", "Ada"))
    shown = run("info", store.path)
    assert "  collection  User: 1 record, " in shown
    assert "  index       User: name, unique: 1 entry\n" in shown
    found = json.loads(run("info", store.path, "--json"))
    assert found["version"] == "2"
    assert found["collections"][0]["indexes"] == [
        {"name": "name", "state": "ready", "unique": True, "entries": 1}
    ]


# -- check, salvage, backup ------------------------------------------------------------------------


def damage(path):
    """Make a store with one value that cannot be read. Its key has a byte that is no text."""
    with stone(path, LmdbStore, "msgpack") as store:
        store.update({b"good": 1, b"bad\xff": 2})
        store.database.engine.write(lambda txn: txn.put(Space.DATA, b"bad\xff", b"\4\xc1"))


def test_check_says_that_a_store_is_sound(run, store, path):
    store["key"] = 1
    assert run("check", path) == f"{path} is sound: 1 value\n"


def test_check_counts_what_it_must_not_read(run, pickled):
    expected = "; 1 could not be looked into: --trust-pickle reads pickles, --key-file decrypts\n"
    assert run("check", pickled).endswith(expected)


def test_check_prints_one_finding_a_line_and_fails(path):
    damage(path)
    code, shown, errors = run_process("check", path)
    assert (code, errors) == (1, "")
    assert re.fullmatch(rb"bad\\xff: the value of b'bad\\xff' cannot be read: [^\n]+\n", shown)


def test_check_tells_programs_all(path):
    damage(path)
    code, shown, errors = run_process("check", path, "--json")
    found = json.loads(shown)
    assert (code, errors, found["sound"], found["entries"]) == (1, "", False, 2)
    assert [finding["key"] for finding in found["findings"]] == ["bad\\xff"]


def clear_indexes(path):
    """Make a store with an index, and remove its entries."""
    with stone(path, LmdbStore, "msgpack") as store:
        Collection(store, User, indexes=["name"]).add(User("ada", "Ada"))
        store.database.engine.write(lambda txn: txn.delete_range(Space.INDEX))


def test_check_mends_indexes_where_it_is_told_to(run, path):
    clear_indexes(path)
    code, shown, errors = run_process("check", path)
    assert code == 1
    assert re.fullmatch(rb"User/ada: the index 'name' of .* is missing\n", shown)
    assert errors == "`stones check --repair` mends counts and indexes\n"
    assert run("check", path, "--repair") == (
        "mended: the index 'name' of the collection 'User' was built again\n"
        f"{path} is sound: 1 value\n"
    )
    assert run("check", path, "--repair") == f"{path} is sound: 1 value\n"


def test_a_repair_tells_programs_what_was_mended(run, path):
    clear_indexes(path)
    found = json.loads(run("check", path, "--repair", "--json"))
    assert found["mended"] == ["the index 'name' of the collection 'User' was built again"]
    assert found["sound"] is True
    assert found["indexes"] == [
        {
            "collection": "User",
            "name": "name",
            "state": "ready",
            "entries": 1,
            "problem": "",
            "unchecked": None,
        }
    ]


def test_a_repair_that_can_mend_nothing_says_what_to_do(path):
    damage(path)
    code, _, errors = run_process("check", path, "--repair")
    assert (code, errors) == (1, "nothing was mended: `stones salvage` writes a new store\n")


def test_check_and_salvage_tell_of_indexes_of_pickles(run, path, tmp_path):
    with stone(path, LmdbStore, "pickle") as store:
        Collection(store, User, indexes=["name"]).add(User("ada", "Ada"))
    assert "the index 'name' of the collection 'User' was not compared: its" in run("check", path)
    shown = run("salvage", path, tmp_path / "new")
    assert "the index 'name' of the collection 'User' is unfinished: " in shown


@pytest.mark.parametrize("content", [b"", b"no store" * 5000])
def test_check_of_a_file_of_another_kind_is_no_traceback(tmp_path, content):
    (tmp_path / "data.mdb").write_bytes(content)
    code, shown, errors = run_process("check", str(tmp_path))
    assert (code, errors) == (1, "")
    assert shown.startswith(b"meta page 0 cannot be read: ")


@pytest.mark.parametrize("command", [["check"], ["salvage", "new"], ["backup", "new"]])
def test_where_there_is_no_store_they_say_so_and_make_nothing(run, tmp_path, command):
    name, *new = command
    arguments = [str(tmp_path / "nothing"), *(str(tmp_path / x) for x in new)]
    assert "there is no store at" in run(name, *arguments, code=1)
    assert os.listdir(tmp_path) == []


def test_salvage_prints_what_is_lost_and_what_is_there(path, tmp_path):
    damage(path)
    code, shown, errors = run_process("salvage", path, str(tmp_path / "new"))
    lost, there = shown.decode().splitlines()
    assert (code, errors) == (1, "")
    assert lost.startswith("bad\\xff: the value of")
    assert there == f"1 entry is in {tmp_path / 'new'} now"


def test_salvage_of_a_sound_store_succeeds(run, store, path, tmp_path):
    store["key"] = 1
    found = json.loads(run("salvage", path, str(tmp_path / "new"), "--json"))
    assert (found["whole"], found["entries"], found["lost"]) == (True, 1, [])
    assert run("get", str(tmp_path / "new"), "key") == "1\n"


@pytest.mark.parametrize("options", [[], ["--no-compact"]])
def test_backup_copies_while_the_store_is_open(run, store, path, tmp_path, options):
    store["key"] = 1
    assert run("backup", path, str(tmp_path / "new"), *options) == ""
    assert run("get", str(tmp_path / "new"), "key") == "1\n"
    assert "is there already" in run("backup", path, str(tmp_path / "new"), code=1)


def test_compact_prints_the_sizes_and_refuses_an_open_store(run, store, path):
    store["large"] = "x" * 1_000_000
    del store["large"]
    assert "is open in this process" in run("compact", path, code=1)
    store.close()
    before = os.path.getsize(os.path.join(path, "data.mdb"))
    assert re.fullmatch(r"1\.\d MB before, \d+\.\d kB now\n", run("compact", path))
    found = json.loads(run("compact", path, "--json"))
    assert found["before"] == found["after"] < before
    assert found["path"] == path
    assert "there is no store at" in run("compact", path + "-other", code=1)


# -- migrate ---------------------------------------------------------------------------------------


def test_migrate_re_encodes(run, store):
    store.update({b"%05d" % number: (number,) for number in range(1200)})
    shown = run("migrate", store.path, "--to", "cbor")
    assert shown == "1,200 of 1,200 values re-encoded: all are cbor now\n"
    assert run("migrate", store.path, "--to", "cbor").startswith("0 of 1,200 values")
    assert {raw[0] for _, raw in store.database.engine.begin().scan(Space.DATA)} == {3}


def test_migrate_refuses_before_it_starts(run, path):
    with stone(path, LmdbStore) as store:
        store["culprit"] = {"a": 2j}
        assert "b'culprit'" in run("migrate", path, "--to", "json", "--trust-pickle", code=1)
        assert not inspect(path).migrating


def test_migrate_gives_checksums_and_takes_them_away(run, store):
    store.update({b"%05d" % number: (number,) for number in range(1200)})
    shown = run("migrate", store.path, "--checksums")
    assert shown == "1,200 of 1,200 values re-encoded: all are msgpack with checksums now\n"
    assert run("migrate", store.path, "--checksums").startswith("0 of 1,200 values")
    shown = run("migrate", store.path, "--to", "json")
    assert shown.endswith("all are json with checksums now\n")
    shown = run("migrate", store.path, "--to", "cbor", "--no-checksums")
    assert shown == "1,200 of 1,200 values re-encoded: all are cbor now\n"
    assert {raw[0] for _, raw in store.database.engine.begin().scan(Space.DATA)} == {3}


def test_migrate_compresses_and_decompresses_what_a_prefix_names(run, store):
    store.update(
        {b"row/%05d" % n: {"name": f"Field {n}", "tz": "Europe/Paris"} for n in range(2000)}
    )
    store["other"] = 1
    shown = run("migrate", store.path, "--compress", "zstd", "--prefix", "row/")
    assert shown == "2,000 of 2,000 values re-encoded: all are msgpack, compressed by zstd now\n"
    shown = run("info", store.path)
    assert "  keys        row/...: msgpack, compressed by zstd\n" in shown
    assert re.search(r"compressed by zstd: 2,000 values, .* kB, \d\d% of .* kB, and a dict", shown)
    assert "  format      msgpack: 1 value, 2 bytes\n" in shown
    shown = run("migrate", store.path, "--to", "json")
    assert shown.endswith("those without a rule of their own are json now\n")
    shown = run("migrate", store.path, "--no-compress")
    assert shown == "2,000 of 2,001 values re-encoded: all are json now\n"


def test_migrate_encrypts_changes_the_key_and_decrypts(run, path, tmp_path, monkeypatch):
    monkeypatch.delenv("STONES_KEY", raising=False)
    with stone(path, LmdbStore, "json") as store:
        store["a"] = [1, 2]
    first, second = str(tmp_path / "first.key"), str(tmp_path / "second.key")
    for number, file in enumerate([first, second]):
        Path(file).write_bytes(bytes([number]) * 32)
    shown = run("migrate", path, "--encrypt", "--key-file", first)
    assert shown == "1 of 1 value re-encoded: all are json, encrypted now\n"
    assert "is encrypted" in run("migrate", path, "--to", "cbor", code=1)
    assert run("migrate", path, "--key-file", first, "--new-key-file", second).startswith("1 of 1")
    assert "another key" in run("get", path, "a", "--key-file", first, code=1)
    assert run("get", path, "a", "--key-file", second) == "[1, 2]\n"
    monkeypatch.setenv("STONES_KEY", (bytes([1]) * 32).hex())
    assert run("migrate", path, "--encrypt").startswith("0 of 1")
    assert run("migrate", path, "--no-encrypt") == "1 of 1 value re-encoded: all are json now\n"


def test_migrate_gives_checksums_to_pickles_without_reading_them(run, path):
    with stone(path, LmdbStore) as store:
        store["key"] = {1, 2}
    assert "all are pickle with checksums now" in run("migrate", path, "--checksums")
    assert "can run code" in run("get", path, "key", code=1)
    assert run("get", path, "key", "--trust-pickle") == "{1, 2}\n"


def test_get_tells_a_value_that_is_damaged(run, path):
    with LmdbStore(path, serialize="json", checksums=True) as store:
        store["key"] = "value"
        damaged = store.database.engine.get(Space.DATA, b"key").replace(b"value", b"vague")
        store.database.engine.write(lambda txn: txn.put(Space.DATA, b"key", damaged))
    assert "b'key' is damaged: it does not match its checksum" in run("get", path, "key", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--to"], ["--to", "xml"], ["--to", "json", "more"], ["--from", "json"]),
        *(["--compress", "lz4"], ["--compress", "zstd", "--no-compress"], ["--prefix", "a"]),
        *(["--encrypt"], ["--no-encrypt", "--new-key-file", "a.key"]),
    ],
)
def test_a_wrong_command_line_is_an_error_of_usage(run, store, arguments, monkeypatch):
    monkeypatch.delenv("STONES_KEY", raising=False)
    run("migrate", store.path, *arguments, code=2)


def test_migrate_shows_how_far_it_is_on_a_terminal(store):
    store.update({b"%05d" % number: (number,) for number in range(3000)})
    terminal = Terminal([*STONES, "migrate", store.path, "--to", "json"])
    assert terminal.finish() == 0
    assert re.search(r"json ━+ 100% [\d,]+ values/s 0:00:\d\d", terminal.plain)
    assert "3,000 of 3,000 values" in terminal.shown


@pytest.mark.parametrize("percent", [0, 60])
def test_ctrl_c_leaves_a_valid_store_and_running_it_again_goes_on(run, store, percent):
    entries = {b"%05d" % number: (number, "x" * 100) for number in range(20_000)}
    store.update(entries)
    for to in ["json", "cbor", "msgpack"] * 5:  # a migration may end before the interrupt comes
        terminal = Terminal([*STONES, "migrate", store.path, "--to", to], env=UNWATCHED)
        terminal.read_until(rf" [{percent // 10}-9]\d%" if percent else r" 0%")
        terminal.process.send_signal(signal.SIGINT)
        if terminal.finish() == 130 and inspect(store.path).migrating == (percent > 0):
            break
    assert re.search(r"\r\nstones: interrupted: [^\n]*run this again[^\n]*\n$", terminal.plain)
    assert "Traceback" not in terminal.shown
    assert dict(store) == entries
    assert inspect(store.path).migrating == (percent > 0)
    assert run("migrate", store.path, "--to", to).endswith(f"all are {to} now\n")
    assert dict(store) == entries
    assert not inspect(store.path).migrating


def test_ctrl_c_ends_the_other_commands_too(store):
    store.update({b"%06d" % number: 1 for number in range(100_000)})
    child = subprocess.Popen(
        [*STONES, "keys", store.path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=UNWATCHED,
    )
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate()
    assert child.returncode == 130
    assert errors.decode().strip() == "stones: interrupted"


# -- the rest --------------------------------------------------------------------------------------


def test_every_command_works_in_a_process_of_its_own_while_the_store_is_open_in_another(store):
    store["key"] = (1, 2)
    with store.snapshot() as view:
        assert run_process("put", store.path, "new", "[1]") == (0, b"", "")
        assert run_process("get", store.path, "key") == (0, b"(1, 2)\n", "")
        assert run_process("get", store.path, "gone")[0] == 3
        assert run_process("keys", store.path) == (0, b"key\nnew\n", "")
        assert run_process("migrate", store.path, "--to", "cbor")[0] == 0
        assert b"cbor: 2 values" in run_process("info", store.path)[1]
        assert run_process("delete", store.path, "key") == (0, b"", "")
        assert dict(view) == {b"key": (1, 2)}
    assert dict(store) == {b"new": [1]}


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == f"stones {stones.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(run, arguments):
    shown = run(*arguments)
    for command, *_ in COMMANDS:
        assert re.search(rf"^  {command} +\w", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "name"), [(["-m", "stones"], "python -m stones"), (STONES[1:], "stones")]
)
def test_python_runs_the_package_as_the_command_line(store, command, name):
    def run(*arguments):
        command_line = [sys.executable, *command, *arguments]
        return subprocess.run(command_line, capture_output=True, text=True)

    store["key"] = 1
    done = run("get", store.path, "key")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert run("get", store.path, "gone").returncode == 3
    assert run("--help").stdout.startswith(f"Usage: {name} [OPTIONS]")
    assert run("get", "--help").stdout.startswith(f"Usage: {name} get [OPTIONS] PATH KEY")


def test_an_unknown_command_is_an_error_of_usage(run):
    assert "frobnicate" in run("frobnicate", code=2)


def test_the_library_does_without_what_the_command_line_needs(run):
    code = (
        "import sys, stones; sys.exit(bool({'click', 'stones.command_line.main'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_output_that_cannot_be_written_is_one_line(tmp_path):
    with stone(tmp_path / "db", LmdbStore, "json") as store:
        store.update((str(number), number) for number in range(1000))
    command = [sys.executable, "-c", "from stones.command_line.main import main; main()", "keys"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*command, str(tmp_path / "db")], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stones: ")


def test_put_makes_a_store_in_an_empty_directory(tmp_path):
    command = [sys.executable, "-c", "from stones.command_line.main import main; main()", "put"]
    arguments = [str(tmp_path), "key", "1", "--create", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with stone(tmp_path, LmdbStore) as store:
        assert store == {b"key": 1}
