"""import_from: each kind of file, written by the package that people have, into raw keys."""

import csv
import dbm
import dbm.dumb
import json
import os
import pickle
import shelve
import sqlite3
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import diskcache
import pytest
import sqlitedict
import tinydb
from hypothesis import assume, given
from hypothesis import strategies as st

from stones import FormatMismatchError, MemoryStore, MigrationError, import_from, stone
from stones.engines.dbm.kinds import KINDS

from .hostile import Bomb
from .stones03 import provide_stones03  # noqa: F401

IMPORTED = Path(__file__).parent / "imported"


@pytest.fixture
def store():
    return MemoryStore(serialize="pickle", key_type=str)


def state(folder):
    """Every file below a folder with its bytes and the time of its last change."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    """The folder of the files that are imported."""
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.fixture
def unchanged(folder):
    """Imports from the folder, and holds it to being the same afterwards."""

    def run(path, target, **options):
        before = state(folder)
        try:
            return import_from(path, target, **options)
        finally:
            assert state(folder) == before

    return run


# -- shelve and dbm ----------------------------------------------------------------------------


def dbm_modules():
    return [name for name in ("dbm.gnu", "dbm.ndbm", "dbm.dumb", "dbm.sqlite3") if has(name)]


def has(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("module", dbm_modules())
def test_a_shelf_of_each_kind_gives_its_values(folder, unchanged, store, module):
    with shelve.Shelf(__import__(module, fromlist=["open"]).open(str(folder / "old"), "c")) as old:
        old["ada"] = {"age": 36, "born": date(1815, 12, 10)}
        old["Größe"] = (1, 2)
    report = unchanged(folder / "old", store, trust_pickle=True)
    assert (report.kind, report.entries, report.written) == ("shelve", 2, 2)
    assert dict(store) == {"ada": {"age": 36, "born": date(1815, 12, 10)}, "Größe": (1, 2)}


def test_a_shelf_in_sqlite_as_later_pythons_write_it_gives_its_values(folder, unchanged, store):
    KINDS["dbm.sqlite3"].write(str(folder / "old"), [(b"a", pickle.dumps([1]))])
    assert unchanged(folder / "old", store, trust_pickle=True).kind == "shelve"
    assert dict(store) == {"a": [1]}


@pytest.mark.parametrize("module", dbm_modules())
def test_a_file_of_dbm_gives_bytes(folder, unchanged, module):
    with __import__(module, fromlist=["open"]).open(str(folder / "old"), "c") as old:
        old[b"raw\xff"] = b"\x00\x01"
        old[b"text"] = b"abc"
    store = MemoryStore(serialize="noop")
    report = unchanged(folder / "old", store)
    assert report.kind == "dbm"
    assert dict(store) == {b"raw\xff": b"\x00\x01", b"text": b"abc"}


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_shelf_of_an_old_protocol_is_known_as_a_shelf(folder, unchanged, store, protocol):
    values = {"a": [1, ("x", None)], "b": 5, "c": date(1815, 12, 10), "d": "text"}
    with shelve.open(str(folder / "old"), protocol=protocol) as old:
        old.update(values)
    with pytest.raises(FormatMismatchError, match="trust_pickle=True"):
        unchanged(folder / "old", store)
    assert unchanged(folder / "old", store, trust_pickle=True).kind == "shelve"
    assert dict(store) == values


def test_texts_of_dbm_that_end_like_a_pickle_stay_bytes(folder, unchanged):
    texts = [b"No.", b"I am here.", b"2.", b"(a).", b"."]
    with dbm.dumb.open(str(folder / "old"), "c") as old:
        for number, text in enumerate(texts):
            old[str(number)] = text
    store = MemoryStore(serialize="noop")
    assert unchanged(folder / "old", store).kind == "dbm"
    assert [*store.values()] == texts


def test_values_of_dbm_whose_keys_were_never_written_are_noted(folder, unchanged):
    store = MemoryStore(serialize="noop")
    with dbm.dumb.open(str(folder / "old"), "c") as old:
        old["a"] = b"x" * 600
    assert unchanged(folder / "old", store).notes == ()
    with open(folder / "old.dat", "ab") as values:  # as a program that was killed leaves them
        values.write(b"y" * 700)
    (note,) = unchanged(folder / "old", store, on_duplicate="replace").notes
    assert note.startswith("the last 700 bytes of ")


def test_a_shelf_without_trust_is_refused_before_anything_is_read(folder, store):
    with shelve.open(str(folder / "old")) as old:
        old["bomb"] = Bomb(folder / "exploded")
    with pytest.raises(FormatMismatchError, match="trust_pickle=True"):
        import_from(folder / "old", store)
    assert len(store) == 0


def test_a_file_that_may_be_a_shelf_or_not_has_to_be_named(folder, store):
    with dbm.dumb.open(str(folder / "old"), "c") as old:
        old["a"] = pickle.dumps(1)
        old["b"] = b"no pickle"
    with pytest.raises(MigrationError, match="kind='shelve' or kind='dbm'"):
        import_from(folder / "old", store)
    with pytest.raises(MigrationError, match="'b': it cannot be unpickled"):
        import_from(folder / "old", store, kind="shelve", trust_pickle=True)
    assert import_from(folder / "old", store, kind="dbm").written == 2


def test_values_of_a_class_that_is_gone_are_named(folder, store):
    with shelve.open(str(folder / "old")) as old:
        old["good"] = 1
        old.dict[b"gone"] = b"\x80\x04\x8c\x04gone\x8c\x01X\x93."
    with pytest.raises(MigrationError, match=r"1 of 2 entries .*'gone': it cannot be unpickled"):
        import_from(folder / "old", store, trust_pickle=True)
    assert len(store) == 0


# -- sqlitedict --------------------------------------------------------------------------------


def test_a_table_of_sqlitedict_gives_its_values(folder, unchanged, store):
    with sqlitedict.SqliteDict(str(folder / "old.sqlite"), autocommit=True) as old:
        old["ada"] = {"age": 36, "tags": {"navy"}}
        old["bob"] = None
    report = unchanged(folder / "old.sqlite", store, trust_pickle=True)
    assert (report.kind, report.written) == ("sqlitedict", 2)
    assert dict(store) == {"ada": {"age": 36, "tags": {"navy"}}, "bob": None}


def test_json_of_sqlitedict_needs_no_trust(folder, unchanged, store):
    path = str(folder / "old.sqlite")
    with sqlitedict.SqliteDict(path, encode=json.dumps, decode=json.loads, autocommit=True) as old:
        old["ada"] = {"age": 36}
    unchanged(path, store)
    assert dict(store) == {"ada": {"age": 36}}


def test_pickled_values_of_sqlitedict_need_trust(folder, unchanged, store):
    with sqlitedict.SqliteDict(str(folder / "old.sqlite"), autocommit=True) as old:
        old["bomb"] = Bomb(folder / "exploded")
    with pytest.raises(FormatMismatchError, match=r"the table 'unnamed' .*trust_pickle=True"):
        unchanged(folder / "old.sqlite", store)


def test_pickles_of_an_old_protocol_of_sqlitedict_are_read(folder, unchanged, store):
    def encode(value):
        return sqlite3.Binary(pickle.dumps(value, 0))

    with sqlitedict.SqliteDict(str(folder / "old"), autocommit=True, encode=encode) as old:
        old["a"] = {"b": (1, 2.5)}
    unchanged(folder / "old", store, trust_pickle=True)
    assert dict(store) == {"a": {"b": (1, 2.5)}}


def test_values_that_an_own_function_encoded_are_named(folder, store):
    import zlib

    path = str(folder / "old.sqlite")
    pack = lambda value: sqlite3.Binary(zlib.compress(pickle.dumps(value)))  # noqa: E731
    with sqlitedict.SqliteDict(path, encode=pack, autocommit=True) as old:
        old["ada"] = 1
    with pytest.raises(MigrationError, match="'ada': it is neither pickled nor JSON"):
        import_from(path, store, trust_pickle=True)


def test_one_of_several_tables_has_to_be_named(folder, unchanged, store):
    path = folder / "old.sqlite"
    for table in ("users", "notes"):
        with sqlitedict.SqliteDict(str(path), tablename=table, autocommit=True) as old:
            old["a"] = table
    with pytest.raises(MigrationError, match="'users', 'notes': name one with table="):
        unchanged(path, store, trust_pickle=True)
    with pytest.raises(MigrationError, match="no table 'others'"):
        unchanged(path, store, trust_pickle=True, table="others")
    unchanged(path, store, trust_pickle=True, table="notes")
    unchanged(path, store, trust_pickle=True, table="*", prefix="old/")
    assert dict(store) == {"a": "notes", "old/notes/a": "notes", "old/users/a": "users"}


def test_what_is_still_in_the_log_of_sqlite_comes_along(folder, unchanged, store):
    path = folder / "old.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute('CREATE TABLE "unnamed" (key TEXT PRIMARY KEY, value BLOB)')
    writer.execute("INSERT INTO unnamed VALUES ('a', '1')")
    writer.commit()
    assert (folder / "old.sqlite-wal").stat().st_size
    unchanged(path, store)
    writer.close()
    assert dict(store) == {"a": 1}


def test_a_change_that_is_not_committed_does_not_come_along(folder, unchanged, store):
    path = folder / "old.sqlite"
    with sqlitedict.SqliteDict(str(path), autocommit=True) as old:
        old.update({str(number): "x" * 300 for number in range(500)})
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 5")  # so that changed pages reach the file
    writer.execute("BEGIN")
    writer.execute("UPDATE unnamed SET value = 'changed'")
    assert (folder / "old.sqlite-journal").stat().st_size
    try:
        unchanged(path, store, trust_pickle=True)
    finally:
        writer.close()
    assert {*store.values()} == {"x" * 300}
    assert len(store) == 500


# -- diskcache ---------------------------------------------------------------------------------


def write_cache(cache):
    cache["text"] = "a"
    cache[b"bytes"] = b"\x00"
    cache[7] = 1.5
    cache["large"] = "x" * 100_000
    cache["large bytes"] = b"y" * 100_000
    cache.set("later", 1, expire=3600, tag="tagged")
    cache.set("gone", 1, expire=0.001)
    cache.close()
    time.sleep(0.01)


PLAIN = {
    "text": "a",
    "bytes": b"\x00",
    "7": 1.5,
    "large": "x" * 100_000,
    "large bytes": b"y" * 100_000,
    "later": 1,
}


def test_a_cache_gives_what_has_not_expired(folder, unchanged, store):
    write_cache(diskcache.Cache(str(folder / "old"), cull_limit=0))
    report = unchanged(folder / "old", store)
    assert dict(store) == PLAIN
    assert (report.kind, report.written, report.expired) == ("diskcache", 6, 1)
    assert report.notes == (
        "the time of expiry of 1 entry: not taken over",
        "the tag of 1 entry: not taken over",
    )


def test_all_parts_of_a_fanout_cache_come_along(folder, unchanged, store):
    write_cache(diskcache.FanoutCache(str(folder / "old"), shards=4, cull_limit=0))
    assert unchanged(folder / "old", store).expired == 1
    assert dict(store) == PLAIN


def test_caches_inside_of_a_fanout_cache_are_noted(folder, unchanged, store):
    with diskcache.FanoutCache(str(folder / "old"), shards=1) as old:
        old["a"] = 1
        old.cache("inner")["b"] = 2
    assert unchanged(folder / "old", store).notes == (
        "the folder cache/: import it by its own path",
    )
    unchanged(folder / "old" / "cache" / "inner", store)
    assert dict(store) == {"a": 1, "b": 2}


def test_an_index_of_diskcache_is_read(folder, unchanged, store):
    index = diskcache.Index(str(folder / "old"), {"a": 1, "b": "c"})
    index.cache.close()
    unchanged(folder / "old", store)
    assert dict(store) == {"a": 1, "b": "c"}


def test_pickled_entries_of_a_cache_need_trust(folder, unchanged, store):
    with diskcache.Cache(str(folder / "old")) as old:
        old["list"] = [1, (2,)]
        old["large"] = [b"z" * 100_000]
        old["plain"] = 1
    with pytest.raises(FormatMismatchError, match=r"2 entries of .* are pickled"):
        unchanged(folder / "old", store)
    unchanged(folder / "old", store, trust_pickle=True)
    assert dict(store) == {"list": [1, (2,)], "large": [b"z" * 100_000], "plain": 1}


def test_keys_of_a_cache_that_are_no_text_are_named(folder, store):
    with diskcache.Cache(str(folder / "old")) as old:
        old["a", 1] = 1
        old[2.5] = 1
    with pytest.raises(MigrationError, match=r"2 of 2 .*a key is bytes or str, not tuple") as error:
        import_from(folder / "old", store, trust_pickle=True)
    assert "float 2.5" in str(error.value)


def test_a_cache_of_json_is_read(folder, unchanged, store):
    with diskcache.Cache(str(folder / "old"), disk=diskcache.JSONDisk) as old:
        old["a"] = {"b": [1, None]}
    unchanged(folder / "old", store)
    assert dict(store) == {"a": {"b": [1, None]}}


def test_a_file_of_a_value_that_is_missing_is_named(folder, store):
    with diskcache.Cache(str(folder / "old")) as old:
        old["large"] = "x" * 100_000
    (value,) = folder.rglob("*.val")
    value.unlink()
    with pytest.raises(MigrationError, match="'large': the file with its value cannot be read"):
        import_from(folder / "old", store)


def test_a_file_of_a_value_that_is_cut_short_is_named(folder, store):
    with diskcache.Cache(str(folder / "old")) as old:
        old["large"] = b"x" * 100_000
    (value,) = folder.rglob("*.val")
    value.write_bytes(value.read_bytes()[:1000])
    with pytest.raises(MigrationError, match=r"'large': the file .* has 1,000 bytes of 100,000"):
        import_from(folder / "old", store)


# -- TinyDB ------------------------------------------------------------------------------------


def test_tables_of_tinydb_go_behind_their_names(folder, unchanged, store):
    with tinydb.TinyDB(folder / "old.json") as old:
        old.insert({"name": "Ada"})
        old.table("notes").insert_multiple([{"text": "a"}, {"text": "b"}])
    with pytest.raises(MigrationError, match="several tables"):
        unchanged(folder / "old.json", store)
    assert unchanged(folder / "old.json", store, table="*").kind == "tinydb"
    unchanged(folder / "old.json", store, table="notes")
    assert dict(store) == {
        "1": {"text": "a"},
        "2": {"text": "b"},
        "_default/1": {"name": "Ada"},
        "notes/1": {"text": "a"},
        "notes/2": {"text": "b"},
    }


# -- JSON --------------------------------------------------------------------------------------


def test_a_folder_of_json_files_gives_paths_as_keys(folder, unchanged, store):
    (folder / "cities").mkdir()
    (folder / "cities" / "paris.json").write_text('{"country": "FR", "size": 1e3}')
    (folder / "limits.json").write_text("[1, 12345678901234567890123, NaN]")
    report = unchanged(folder, store)
    assert report.kind == "json-folder"
    assert store["cities/paris"] == {"country": "FR", "size": 1000.0}
    assert store["limits"][:2] == [1, 12345678901234567890123]
    (folder / "read.me").write_text("no JSON")
    assert unchanged(folder, store, kind="json-folder", on_duplicate="replace").notes == (
        "1 file whose name does not end with .json: not taken over",
    )


def test_a_wrong_file_in_a_folder_is_named(folder, store):
    (folder / "good.json").write_text("1")
    (folder / "wrong.json").write_text('{"a": ')
    with pytest.raises(MigrationError, match=r"file wrong.json: it is no JSON"):
        import_from(folder, store)
    assert len(store) == 0


def test_lines_of_json_have_their_key_in_a_field(folder, unchanged, store):
    path = folder / "old.jsonl"
    path.write_text('\ufeff{"id": "a", "n": 1}\n\n{"id": 7, "n": 12345678901234567890}', "utf-8")
    report = unchanged(path, store, key="id")
    assert (report.kind, report.written) == ("jsonl", 2)
    assert dict(store) == {
        "a": {"id": "a", "n": 1},
        "7": {"id": 7, "n": 12345678901234567890},
    }


def test_a_number_that_no_float_can_hold_is_named(folder, store):
    (folder / "old.jsonl").write_text('{"key": "a", "value": 1e400}\n')
    with pytest.raises(MigrationError, match=r"line 1: the number '1e400' is out of the range"):
        import_from(folder / "old.jsonl", store)


@pytest.mark.parametrize("other", ['"$5"', '{"$date": "2020-01-01"}'])
def test_a_number_that_no_float_can_hold_is_named_beside_a_dollar_sign(folder, store, other):
    (folder / "old.jsonl").write_text(f'{{"id": "a", "n": 1e400, "other": {other}}}\n')
    with pytest.raises(MigrationError, match="line 1: the number '1e400' is out of the range"):
        import_from(folder / "old.jsonl", store, key="id")


def test_lines_without_a_key_are_named(folder, store):
    path = folder / "old.jsonl"
    path.write_text('{"n": 1}\n[1]\n{"id": null}\n')
    with pytest.raises(MigrationError, match="line 1: it has no key of its own: key= names"):
        import_from(path, store)
    with pytest.raises(
        MigrationError, match=r"3 of 3 .*line 1: it has no 'id'.*; line 2: it has no"
    ):
        import_from(path, store, key="id")


TYPED = {
    "a": {"at": datetime(2024, 5, 6, tzinfo=UTC), "d": date(2024, 5, 6), "p": Decimal("1.50")},
    "b": (1, {2}, frozenset({3}), b"\xff", UUID(int=5), Fraction(1, 3)),
    "c": {"$date": "no date", 5: None},
    "d": {"$set": [1]},
}


def test_tagged_lines_give_every_type_back(folder, unchanged, store):
    from stones.formats.json_serializer import encode

    path = folder / "old.jsonl"
    lines = [encode({"key": key, "value": value}) for key, value in TYPED.items()]
    lines.append(b'{"key": {"$bytes": "/w=="}, "value": 1}')
    path.write_bytes(b"\n".join(lines) + b"\n")
    target = MemoryStore(serialize="msgpack")
    assert unchanged(path, target).written == 5
    assert dict(target) == {**{key.encode(): value for key, value in TYPED.items()}, b"\xff": 1}


def test_a_tag_that_is_none_of_ours_is_named_and_plain_lines_have_no_tags(folder, store):
    path = folder / "old.jsonl"
    path.write_text('{"id": "a", "_id": {"$oid": "5f"}}\n')
    with pytest.raises(MigrationError, match=r"'\$oid' is not a tag"):
        import_from(path, store, key="id")
    import_from(path, store, key="id", kind="plain-jsonl")
    assert dict(store) == {"a": {"id": "a", "_id": {"$oid": "5f"}}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), json_values, max_size=8))
def test_any_json_is_read_as_python_reads_it(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("json") / "old.jsonl"
    lines = [json.dumps({"id": key, "value": value}) for key, value in entries.items()]
    path.write_text("".join(f"{line}\n" for line in lines))
    store = MemoryStore(serialize="pickle", key_type=str)
    readable = all(is_key(key) for key in entries)
    assume(readable)
    import_from(path, store, key="id", kind="plain-jsonl")
    assert repr(dict(store)) == repr(
        {key: {"id": key, "value": entries[key]} for key in sorted(entries, key=str.encode)}
    )


def is_key(key):
    """Whether UTF-8 has the text, and a store has room for it."""
    return not any("\ud800" <= character <= "\udfff" for character in key)


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_csv_is_found_out(folder, unchanged, store, delimiter):
    path = folder / "old.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["name", "says"], ["Ada", 'a "quote", a ; and\na line'], ["Größe", ""]])
    report = unchanged(path, store, key="name")
    assert report.kind == "csv"
    assert dict(store) == {
        "Ada": {"name": "Ada", "says": 'a "quote", a ; and\na line'},
        "Größe": {"name": "Größe", "says": ""},
    }


def test_a_delimiter_that_is_not_certain_has_to_be_named(folder, store):
    path = folder / "old.csv"
    path.write_text("a,b;c\n1,2;3\n")
    with pytest.raises(MigrationError, match="a comma or a semicolon: name it with delimiter="):
        import_from(path, store, key="a")
    import_from(path, store, key="a", delimiter=",")
    assert dict(store) == {"1": {"a": "1", "b;c": "2;3"}}


def test_the_key_of_csv_is_a_column(folder, store):
    (folder / "old.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MigrationError, match="the column that has the keys: the file has 'a', 'b'"):
        import_from(folder / "old.csv", store)
    with pytest.raises(MigrationError, match="the keys, not 'c': the file has"):
        import_from(folder / "old.csv", store, key="c")


def test_another_encoding_is_named(folder, store):
    (folder / "old.csv").write_bytes("name,n\nGröße,1\n".encode("cp1252"))
    with pytest.raises(MigrationError, match=r"line 2 is not utf-8: .*encoding=, cp1252"):
        import_from(folder / "old.csv", store, key="name")
    import_from(folder / "old.csv", store, key="name", encoding="cp1252")
    assert [*store] == ["Größe"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,a\n1,2\n", "it has 'a' twice"), ("", "it is empty"), ("a,,c\n1,2,3\n", "column 2 .*name")],
)
def test_csv_needs_a_header(folder, store, text, message):
    (folder / "old.csv").write_text(text)
    with pytest.raises(MigrationError, match=message):
        import_from(folder / "old.csv", store, key="a")


def test_rows_of_another_length_are_named(folder, store):
    (folder / "old.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    with pytest.raises(MigrationError, match=r"2 of 4 .*line 3: it has 1 cell, .*line 4: it has 3"):
        import_from(folder / "old.csv", store, key="a", delimiter=",")


# -- NeDB --------------------------------------------------------------------------------------


def test_the_expiry_of_documents_of_nedb_is_told(folder, store):
    (folder / "old.db").write_text(
        '{"$$indexCreated":{"fieldName":"seen","expireAfterSeconds":60}}\n'
        '{"_id":"x","seen":{"$$date":0}}\n'
    )
    (note,) = import_from(folder / "old.db", store).notes
    assert note.startswith("the index of 'seen', after which documents expire: not taken over")


@pytest.mark.parametrize("name", ["users-nedb.db", "users-seald.db"])
def test_later_lines_of_nedb_win(name, store):
    report = import_from(IMPORTED / name, store)
    assert (report.kind, report.written) == ("nedb", 2)
    assert report.notes == (
        "the index of 'email', unique: not taken over; declare it in the class",
    )
    assert dict(store) == {
        "aaaaaaaaaaaaaaa1": {
            "_id": "aaaaaaaaaaaaaaa1",
            "email": "ada@example.org",
            "age": 36,
            "born": datetime(1815, 12, 10, tzinfo=UTC),
            "tags": ["navy"],
            "address": {
                "city": "London",
                "since": datetime(2009, 2, 13, 23, 31, 30, 123000, tzinfo=UTC),
            },
        },
        "aaaaaaaaaaaaaaa3": {
            "_id": "aaaaaaaaaaaaaaa3",
            "email": "eve@example.org",
            "age": 52,
            "tags": ["café", "line\nbreak"],
        },
    }


def test_wrong_lines_of_nedb_are_named(folder, store):
    path = folder / "old.db"
    path.write_text('{"$$indexCreated":{"fieldName":"a"}}\n{"a": 1}\n{"a"\n{"_id":"x","b":1}\n')
    with pytest.raises(MigrationError, match="line 2: it has no _id; line 3: it is no JSON"):
        import_from(path, store)


def test_a_date_of_nedb_that_python_cannot_hold_is_named(folder, store):
    path = folder / "old.db"
    path.write_text('{"_id":"x","b":{"$$date":9e15}}\n')
    with pytest.raises(MigrationError, match=r"line 1: a \$\$date of it is out of the range"):
        import_from(path, store)


# -- stones 0.3 --------------------------------------------------------------------------------


def test_a_database_of_stones_03_gives_its_values(folder, store, stones03):
    stones03.make_database(folder / "old", "pickle", {b"a": (1, 2), b"b": {"x"}})
    before = (folder / "old" / "data.mdb").read_bytes()
    with pytest.raises(MigrationError, match="name it with serializer="):
        import_from(folder / "old", store)
    with pytest.raises(FormatMismatchError, match="trust_pickle=True"):
        import_from(folder / "old", store, serializer="pickle")
    report = import_from(folder / "old", store, serializer="pickle", trust_pickle=True)
    assert report.kind == "stones03"
    assert dict(store) == {"a": (1, 2), "b": {"x"}}
    assert (folder / "old" / "data.mdb").read_bytes() == before


def test_a_value_of_stones_03_that_another_serializer_wrote_is_named(folder, store, stones03):
    stones03.make_database(folder / "old", "json", {b"a": [1], b"b": {"x": 2}})
    with pytest.raises(MigrationError, match="2 of 2 entries cannot be taken over"):
        import_from(folder / "old", store, serializer="cbor")


@pytest.mark.parametrize("scheme", ["lmdb", "sqlite", "dbm"])
def test_a_store_of_today_is_to_be_copied(folder, store, scheme):
    with stone(f"{scheme}:{folder}/now") as now:
        now["a"] = 1
    with pytest.raises(MigrationError, match="is a store of stones already"):
        import_from(folder / "now", store)


# -- which kind --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "raw"),
    [("old", b"plain text\n"), ("old", b""), ("old.json", b'{"a": 1}'), ("old", b'{"a": 1}\n')],
)
def test_a_file_that_does_not_show_its_kind_lists_the_kinds(folder, store, name, raw):
    (folder / name).write_bytes(raw)
    with pytest.raises(MigrationError, match="name the kind, one of shelve, dbm, sqlitedict"):
        import_from(folder / name, store)


def test_a_file_that_is_not_there_and_a_kind_that_is_not_known_are_told(folder, store):
    with pytest.raises(MigrationError, match="there is no file or folder"):
        import_from(folder / "none", store)
    with pytest.raises(
        MigrationError, match=r"'none.json' cannot be read|cannot be read: .*No such"
    ):
        import_from(folder / "none.json", store, kind="tinydb")
    with pytest.raises(MigrationError, match=r"kind= is one of shelve, .*, not 'xml'"):
        import_from(folder / "none", store, kind="xml")


# -- files that are cut short ------------------------------------------------------------------


def test_lines_that_are_cut_short_tell_how_many_were_read(folder, store):
    path = folder / "old.jsonl"
    path.write_bytes(b"".join(b'{"id": "%d"}\n' % number for number in range(3000))[:-4])
    with pytest.raises(
        MigrationError, match=r"line 3000 is cut short.*2,999 entries were read befo"
    ):
        import_from(path, store, key="id")
    assert len(store) == 0


def test_nedb_that_is_cut_short_is_told(folder, store):
    path = folder / "old.db"
    path.write_bytes((IMPORTED / "users-nedb.db").read_bytes()[:-8])
    with pytest.raises(MigrationError, match=r"line 8 is cut short.*nothing was written"):
        import_from(path, store)
    assert len(store) == 0


@pytest.mark.parametrize("end", ["9", '9,"open\n', '9,"op'])
def test_csv_that_is_cut_short_is_told(folder, store, end):
    (folder / "old.csv").write_text("a,b\n1,2\n" + end)
    with pytest.raises(MigrationError, match=r"line 3 .*1 entry was read before it, and nothing"):
        import_from(folder / "old.csv", store, key="a", delimiter=",")
    assert len(store) == 0


def test_tinydb_that_is_cut_short_is_told(folder, store):
    with tinydb.TinyDB(folder / "old.json") as old:
        old.insert_multiple([{"n": number} for number in range(10)])
    path = folder / "old.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MigrationError, match=r"cut short: .*no entry was read, and nothing was"):
        import_from(path, store, kind="tinydb")


@pytest.mark.parametrize("size", [50, 5000, -1000])
def test_sqlite_that_is_cut_short_is_told(folder, store, size):
    path = folder / "old.sqlite"
    with sqlitedict.SqliteDict(str(path), autocommit=True) as old:
        old.update({str(number): "x" * 300 for number in range(100)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(MigrationError, match="cut short"):
        import_from(path, store, trust_pickle=True, kind="sqlitedict")
    assert len(store) == 0


def test_a_damaged_page_of_sqlite_is_told(folder, store):
    path = folder / "old.sqlite"
    with sqlitedict.SqliteDict(str(path), autocommit=True) as old:
        old.update({str(number): "x" * 300 for number in range(1000)})
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 60_000] = b"\xa5" * 60_000
    path.write_bytes(raw)
    with pytest.raises(MigrationError, match="nothing was written"):
        import_from(path, store, trust_pickle=True)
    assert len(store) == 0


def test_a_shelf_that_is_cut_short_is_told(folder, store):
    with shelve.Shelf(dbm.dumb.open(str(folder / "old"), "c")) as old:
        for number in range(10):
            old[str(number)] = "x" * 600
    values = folder / "old.dat"
    values.write_bytes(values.read_bytes()[:3000])
    with pytest.raises(
        MigrationError, match="entries were read before it, and nothing was written"
    ):
        import_from(folder / "old", store, trust_pickle=True, kind="shelve")
    assert len(store) == 0


def test_a_file_that_may_not_be_read_is_told(folder, store):
    os.mkdir(folder / "old.jsonl")
    with pytest.raises(MigrationError, match="cannot be read"):
        import_from(folder / "old.jsonl", store, kind="jsonl")
