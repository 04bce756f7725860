"""import_from: files that are unusual, damaged, or of another kind than the one that is named."""

import csv
import dbm.dumb
import json
import pickle
import sqlite3
from contextlib import closing

import diskcache
import pytest

from stones import MemoryStore, MigrationError, ValueTypeError, import_from, stone


@pytest.fixture
def store():
    return MemoryStore(serialize="pickle", key_type=str)


def written(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding, newline="")
    return path


def table_of(path, name, rows, columns="key, value"):
    """A file of SQLite with one table of two columns, which may hold anything."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f"CREATE TABLE {name} ({columns})")
        file.executemany(f"INSERT INTO {name} VALUES (?, ?)", rows)
    return path


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "::"}, "delimiter= is one character, .*not '::'"),
        ({"encoding": "klingon"}, "encoding='klingon' is not known to Python"),
    ],
)
def test_a_wrong_option_for_csv_is_told(tmp_path, store, options, message):
    path = written(tmp_path / "a.csv", "id,x\n1,2\n")
    with pytest.raises(MigrationError, match=message):
        import_from(path, store, key="id", **options)


def test_blank_lines_of_csv_are_left_out_and_one_column_is_a_table(tmp_path, store):
    import_from(written(tmp_path / "a.csv", "id\n\nada\n\n\nbob\n"), store, key="id")
    assert dict(store) == {"ada": {"id": "ada"}, "bob": {"id": "bob"}}


def test_a_table_of_csv_with_many_rows_is_read_to_its_end(tmp_path, store):
    rows = "".join(f"{number},x;y\n" for number in range(300))
    assert import_from(written(tmp_path / "a.csv", f"id,x\n{rows}"), store, key="id").written == 300


def test_a_cell_that_is_too_long_tells_how_to_raise_the_limit(tmp_path, store):
    path = written(tmp_path / "a.csv", f"id,x\n1,{'x' * (csv.field_size_limit() + 1)}\n")
    with pytest.raises(MigrationError, match=r"line 2 .* raise it with csv.field_size_limit\(\)"):
        import_from(path, store, key="id", delimiter=",")
    with pytest.raises(MigrationError, match="field_size_limit"):
        import_from(path, store, key="id")


def test_text_of_another_encoding_further_on_in_csv_is_told(tmp_path, store):
    path = written(tmp_path / "a.csv", "id,x\n" + "1,a\n" * 5000 + "2,é\n", "latin-1")
    with pytest.raises(MigrationError, match=r"is not utf-8.*cp1252"):
        import_from(path, store, key="id", delimiter=",")
    assert not store


def test_a_last_row_of_csv_with_too_few_cells_is_named(tmp_path, store):
    with pytest.raises(MigrationError, match="line 3: it has 1 cell, and the header has 2"):
        import_from(written(tmp_path / "a.csv", "id,x\n1,2\n3\n"), store, key="id", delimiter=",")


# -- JSON --------------------------------------------------------------------------------------


def test_a_line_that_is_nested_too_deeply_is_named(tmp_path, store):
    deep = "[" * 100_000 + "]" * 100_000
    path = written(tmp_path / "a.jsonl", f'{{"id": "a", "x": {deep}}}\n')
    with pytest.raises(MigrationError, match="line 1: it is nested too deeply"):
        import_from(path, store, key="id")


def test_blank_lines_of_json_are_left_out_beside_a_wrong_line(tmp_path, store):
    path = written(tmp_path / "a.jsonl", '{"id": "a"}\n\n{"id": \n{"id": "b"}\n')
    report = import_from(path, store, key="id", dry_run=True)
    assert (report.entries, report.written, report.failed) == (3, 2, 1)
    assert str(report.failures[0]).startswith("line 3: it is no JSON")


def test_a_wrong_line_of_nedb_is_named_and_a_blank_one_left_out(tmp_path, store):
    path = written(tmp_path / "a.db", '{"_id": "a", "x": 1}\n\n[1]\n')
    with pytest.raises(MigrationError, match="line 3: it is not an object"):
        import_from(path, store)


@pytest.mark.parametrize("text", ["[1, 2]", '{"_default": [1]}', '{"_default": {"x": {}}}'])
def test_json_that_is_not_of_tinydb_is_refused(tmp_path, store, text):
    with pytest.raises(MigrationError, match="is no file of TinyDB: that is a JSON object of"):
        import_from(written(tmp_path / "a.json", text), store, kind="tinydb")


def test_a_document_of_tinydb_that_is_no_object_is_named(tmp_path, store):
    path = written(tmp_path / "a.json", '{"_default": {"1": {"x": 1}, "2": 7}}')
    with pytest.raises(MigrationError, match="'2': it is not an object"):
        import_from(path, store)


# -- files of SQLite -----------------------------------------------------------------------------


def test_a_file_of_sqlite_without_a_table_of_sqlitedict_is_refused(tmp_path, store):
    path = table_of(tmp_path / "a.db", "people", [], columns="id, name")
    with pytest.raises(MigrationError, match="has no table of sqlitedict"):
        import_from(path, store, kind="sqlitedict")


def test_numbers_of_sqlitedict_stay_and_text_that_is_no_json_is_named(tmp_path, store):
    path = table_of(tmp_path / "a.db", "unnamed", [("a", 7), ("b", '{"x": 1}'), ("c", "{")])
    report = import_from(path, store, dry_run=True)
    assert (report.written, report.failed) == (2, 1)
    assert str(report.failures[0]).startswith("'c': it is no JSON")


def test_a_key_that_is_no_text_cannot_follow_the_name_of_its_table(tmp_path, store):
    path = table_of(tmp_path / "a.db", "unnamed", [("a", 1), (b"b", 2), (3, 3)])
    report = import_from(path, store, table="*", dry_run=True)
    assert (report.written, report.failed) == (2, 1)
    assert "cannot follow the name of its table" in report.failures[0].reason


def test_a_shelf_in_sqlite_with_a_value_that_is_not_pickled_is_named(tmp_path, store):
    rows = [(b"a", pickle.dumps(1)), (b"b", b"\x80\x04broken.")]
    path = table_of(tmp_path / "a.db", "Dict", rows)
    with pytest.raises(MigrationError, match="b'b': it cannot be unpickled"):
        import_from(path, store, kind="shelve", trust_pickle=True)


# -- diskcache -----------------------------------------------------------------------------------


def test_a_folder_without_a_cache_is_refused(tmp_path, store):
    with pytest.raises(MigrationError, match="is no folder of diskcache: it has no"):
        import_from(tmp_path, store, kind="diskcache")


def test_a_cache_without_its_table_is_refused(tmp_path, store):
    table_of(tmp_path / "cache.db", "other", [])
    with pytest.raises(MigrationError, match="is no file of diskcache, or is damaged: no such"):
        import_from(tmp_path, store)


def test_entries_of_a_cache_that_cannot_be_unpickled_are_named(tmp_path, store):
    with diskcache.Cache(str(tmp_path)) as cache:
        cache["a"] = (1, 2)
        cache[(1, 2)] = "x"
    with closing(sqlite3.connect(tmp_path / "cache.db")) as file, file:
        file.execute("UPDATE Cache SET key = ? WHERE raw = 0", (b"\x80\x04broken",))
        file.execute("UPDATE Cache SET value = 'text' WHERE mode = 4")
    report = import_from(tmp_path, store, trust_pickle=True, dry_run=True)
    reasons = sorted(failure.reason for failure in report.failures)
    assert reasons[0].startswith("it cannot be unpickled")
    assert reasons[1] == "it is not pickled"


def test_a_cache_whose_long_values_are_damaged_is_told(tmp_path, store):
    with diskcache.Cache(str(tmp_path)) as cache:
        for number in range(5):
            cache[number] = "x" * 20_000
    path = tmp_path / "cache.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = 4096  # of a long value: the number of its next page, and a part of it
    raw = path.read_bytes()
    at = next(n for n in range(0, len(raw), page) if raw[n + 4 : n + page] == b"x" * (page - 4))
    path.write_bytes(raw[:at] + b"\xff" * 4 + raw[at + 4 :])
    with pytest.raises(MigrationError, match=r"SQLite cannot read on .* nothing was written"):
        import_from(tmp_path, store)
    assert not store


# -- a store of today ----------------------------------------------------------------------------


def test_a_store_of_today_is_no_database_of_stones_03(tmp_path, store):
    with stone(f"lmdb:{tmp_path / 'db'}", serialize="json") as today:
        today["a"] = 1
    with pytest.raises(MigrationError, match="is a store of stones already"):
        import_from(tmp_path / "db", store, kind="stones03", serializer="json")


# -- what is asked for ---------------------------------------------------------------------------


def test_a_shelf_that_is_not_there_is_told(tmp_path, store):
    with pytest.raises(MigrationError, match="there are no files of dbm or shelve at"):
        import_from(tmp_path / "old", store, kind="shelve", trust_pickle=True)


def test_a_store_that_is_read_or_busy_takes_no_entries(tmp_path, store):
    path = written(tmp_path / "a.jsonl", json.dumps({"id": "a"}))
    with store.snapshot() as snapshot, pytest.raises(ValueTypeError, match="takes an open store"):
        import_from(path, snapshot, key="id")
    with store.transaction(), pytest.raises(MigrationError, match="call it outside of any"):
        import_from(path, store, key="id")
    assert not store


def test_a_file_of_dbm_that_is_damaged_is_told_without_trust(tmp_path, store):
    with closing(dbm.dumb.open(str(tmp_path / "old"), "c")) as old:
        old["a"] = b"value"
    written(tmp_path / "old.dir", "'a', (0, 5\n")
    with pytest.raises(MigrationError, match=r"dbm.dumb cannot read on: .*old.dir' is damaged at"):
        import_from(tmp_path / "old", store)
