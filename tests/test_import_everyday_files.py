"""import_from: files as people have them, from editors, spreadsheets and programs that broke off.

Each is taken over as it is meant, or refused by an error that names the file and the place.
"""

import gzip
import json
import math
import os
import sqlite3

import pytest
import sqlitedict
from attrs import define

from stones import Collection, MemoryStore, MigrationError, check, import_from, key
from stones.migrations.imports.json_folder import JsonFolder
from stones.migrations.imports.sources import CutShortError, Options


@define
class Row:
    id: str = key()
    n: object = None


@pytest.fixture
def store():
    """A store with an entry, which no refused import changes."""
    store = MemoryStore({"there": 1}, serialize="pickle", key_type=str)
    yield store
    assert store["there"] == 1
    assert check(store).findings == ()


def refused(path, store, match, **options):
    """Hold an import to being refused, with the file in the error and nothing written."""
    before = dict(store)
    with pytest.raises(MigrationError, match=match) as error:
        import_from(path, store, **options)
    assert path.name in str(error.value)
    assert dict(store) == before
    rows = Collection(store, Row)
    options.pop("key", None)
    with pytest.raises(MigrationError, match=match):
        import_from(path, rows, **options)
    assert len(rows) == 0


# -- lines of JSON -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", {}),
        (b"\xef\xbb\xbf", {}),
        (b'\xef\xbb\xbf{"id":"a"}\r\n\r\n  \r\n{"id":"b"}', {"a": None, "b": None}),
        (b'{"id":"a","n":1,"n":2}\n', {"a": 2}),
        (b'{"id":"a","n":-Infinity}\n{"id":"b","n":1E2}\n', {"a": -math.inf, "b": 100.0}),
        (b'{"id":"a","n":' + b"9" * 4000 + b"}\n", {"a": int("9" * 4000)}),
        (b'{"id":"a","n":"\\ud800\xe2\x80\xa8\\u0000"}\n', {"a": "\ud800\u2028\0"}),
        (b'{"id":"a"}\n\xef\xbb\xbf{"id":"b"}\n', {"a": None, "b": None}),  # two files in one
    ],
)
def test_lines_of_editors_and_other_programs_are_read(tmp_path, store, raw, found):
    path = tmp_path / "old.jsonl"
    path.write_bytes(raw)
    assert import_from(path, store, key="id").written == len(found)
    assert {id: store[id].get("n") for id in store if id != "there"} == found
    rows = Collection(MemoryStore(serialize="pickle"), Row)
    import_from(path, rows)
    assert {id: row.n for id, row in rows.items()} == found


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        ('{"id":"a"}\n'.encode("utf-16"), "is UTF-16: save it as UTF-8 first"),
        ('{"id":"a"}\n'.encode("utf-16-be"), "line 1"),
        (gzip.compress(b'{"id":"a"}\n', mtime=0), "is compressed by gzip: unpack it first"),
        (b'{"id":"a"}\n{"id":"b", ', "line 2 is cut short.*1 entry was read before it"),
        (b'{"id":"a"}\n{"id":"b", \n{"id":"c"}\n', "1 of 3 .*line 2: it is no JSON"),
        (b'{"id":"a"}\n\0\0\0\0', "line 2 is cut short"),
        (b'{"id":"a","n":"\xff"}\n', "line 1: it is not UTF-8: byte 16"),
        (b'{"id":"a","n":"\xed\xa0\x80"}\n', "line 1: it is not UTF-8"),
        (b'{"id":"a","n":[-1e400]}\n', "line 1: the number '-1e400' is out of the range"),
        (b'{"id":"a","n":' + b"9" * 5000 + b"}\n", "line 1: .*4300 digits"),
        (b'{"id":"a","n":' + b"[" * 9999 + b"]" * 9999 + b"}\n", "line 1: .*nested too deeply"),
        (b'{"id":"\\ud800"}\n', "line 1: .*(surrogate|UTF-8)"),
        (b'{"id":"a"}{"id":"b"}\n', "line 1: it is no JSON"),
        (b'[\n{"id":"a"},\n{"id":"b"}\n]\n', "3 of 4 .*line 1: it is no JSON"),
        (b'{"id":true}\n', "line 1: .*bool True"),
        (b'{"id":"a"}\n{"id":"a"}\n', "line 2: .*there already"),
    ],
)
def test_lines_that_cannot_be_right_are_refused(tmp_path, store, raw, match):
    path = tmp_path / "old.jsonl"
    path.write_bytes(raw)
    refused(path, store, match, key="id", kind="jsonl")


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'\xef\xbb\xbf"id";"n"\r\n"a ""b""";"1,5\r\n2"\r\nc;\r\n', {'a "b"': "1,5\r\n2", "c": ""}),
        (b"id\tn\na\t1;2\n", {"a": "1;2"}),
        (b"id,n\ra,1\r", {"a": "1"}),
        (b"id,n\n\n\na,1\n\n", {"a": "1"}),
        (b"id,n", {}),
        (b"id,n\na,x\x0cy\x1cz\xe2\x80\xa8w", {"a": "x\x0cy\x1cz\u2028w"}),
    ],
)
def test_tables_of_spreadsheets_are_read(tmp_path, store, raw, found):
    path = tmp_path / "old.csv"
    path.write_bytes(raw)
    assert import_from(path, store, key="id").written == len(found)
    assert {id: store[id]["n"] for id in store if id != "there"} == found


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "has to be a header: it is empty"),
        (b"id,,n\na,1,2\n", "column 2 of .* has no name: give it one"),
        (b"id,n,\na,1,\n", "column 3 of .* has no name"),
        (b"id,n,n\na,1,2\n", "it has 'n' twice: rename one"),
        (b"id,n\na,1,2\nb\nc,1\n", "line 2: it has 3 cells.*line 3: it has 1 cell, "),
        (b'id,n\na,"b\nc,d\n', "line 2 cannot be read"),
        (b'id,n\na,"b"x\n', "line 2 cannot be read"),
        (b"id,n\na,1\n\0\0\0", "line 3 is cut short: it has 1 cell, "),
        (b"id,n\n" + b"a,1\n" * 300 + b"b,\xe9\n", "line 302 is not utf-8: .*cp1252"),
        ("id,n\na,1\n".encode("utf-16"), "it is not utf-8: .*encoding=, utf-16"),
        (b"x" * 200_000 + b",id\na,1\n", "the header of .* cannot be read: .*limit"),
        (b"id,n\na," + b"x" * 200_000, r"line 2 .*csv\.field_size_limit"),
    ],
)
def test_tables_that_cannot_be_right_are_refused(tmp_path, store, raw, match):
    path = tmp_path / "old.csv"
    path.write_bytes(raw)
    refused(path, store, match, key="id", delimiter=",", on_duplicate="replace")


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", "\r", '"'])
def test_a_delimiter_that_no_table_has_is_refused(tmp_path, store, delimiter):
    (tmp_path / "old.csv").write_text("id,n\na,1\n")
    with pytest.raises(MigrationError, match="delimiter= is one character"):
        import_from(tmp_path / "old.csv", store, key="id", delimiter=delimiter)


# -- folders -----------------------------------------------------------------------------------


def test_a_folder_that_is_no_folder_is_refused(tmp_path, store):
    path = tmp_path / "old.json"
    for _ in ("missing", "a file"):
        with pytest.raises(MigrationError, match=r"there is no folder .*old\.json"):
            import_from(path, store, kind="json-folder")
        path.write_text("{}")


def test_what_is_no_file_in_a_folder_is_named(tmp_path, store):
    (tmp_path / "good.json").write_text("1")
    os.symlink(tmp_path / "nowhere", tmp_path / "gone.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(MigrationError, match="2 of 3 ") as error:
        import_from(tmp_path, store, kind="json-folder")
    assert "file gone.json: " in str(error.value)
    assert "file pipe.json: it is not a file" in str(error.value)


def test_links_to_other_folders_are_noted(tmp_path, store):
    folder, other = tmp_path / "old", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (folder / "good.json").write_text("1")
    os.symlink(other, folder / "linked")
    report = import_from(folder, store)
    assert report.notes == ("1 link to other folders: import them by their own paths",)


def test_a_folder_that_cannot_be_read_ends_the_import(tmp_path):
    (tmp_path / "good.json").write_text("1")
    (tmp_path / "inside").mkdir()
    entries = JsonFolder(tmp_path, Options()).entries()
    assert next(entries) == ("good.json", "good", 1)
    (tmp_path / "inside").rmdir()  # as another program removes it meanwhile
    with pytest.raises(CutShortError, match=r"a folder in it cannot be read: .*inside"):
        next(entries)


# -- files of databases ------------------------------------------------------------------------


def test_a_mark_at_the_start_is_no_part_of_a_file_of_json(tmp_path, store):
    (tmp_path / "tiny.json").write_text('\ufeff{"_default": {"1": {"a": 1}}}')
    (tmp_path / "nedb.db").write_text('\ufeff{"_id": "x"}\n{"_id": "y"}\n')
    assert import_from(tmp_path / "tiny.json", store).kind == "tinydb"
    assert import_from(tmp_path / "nedb.db", store).kind == "nedb"
    assert {*store} == {"1", "there", "x", "y"}


def test_another_database_in_sqlite_is_named_as_such(tmp_path, store):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE people (id INT, name TEXT)")
    for kind in (None, "shelve", "dbm"):
        with pytest.raises(MigrationError, match=r"without a table of .* it has 'people'"):
            import_from(path, store, kind=kind, trust_pickle=True)
    with pytest.raises(MigrationError, match="has no table of sqlitedict"):
        import_from(path, store, kind="sqlitedict")
    with pytest.raises(MigrationError, match="is a file of SQLite: name its kind"):
        import_from(path, store, kind="nedb")


def test_a_key_of_sqlitedict_that_is_null_is_named(tmp_path, store):
    path = str(tmp_path / "old.sqlite")
    with sqlitedict.SqliteDict(path, encode=json.dumps, autocommit=True) as old:
        old["a"] = 1
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO unnamed VALUES (NULL, '2')")
    with pytest.raises(MigrationError, match=r"1 of 2 .*its key is NULL"):
        import_from(path, store)


@pytest.mark.parametrize("kind", ["shelve", "sqlitedict", "diskcache", "tinydb", "jsonl", "nedb"])
def test_a_file_of_another_kind_is_refused(tmp_path, store, kind):
    path = tmp_path / "old"
    path.write_text("plain text\nof two lines\n")
    refused(path, store, "old", kind=kind, trust_pickle=True)
    os.remove(path)
    os.mkdir(path)
    refused(path, store, "old", kind=kind, trust_pickle=True)
