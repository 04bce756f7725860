"""An export has all values and types, and is there whole or not at all."""

import csv
import io
import json
import math
import os
import signal
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    LmdbStore,
    MemoryStore,
    Migration,
    QueryError,
    SerializerError,
    StorageError,
    UnsupportedError,
    ValueTypeError,
    export_to,
    import_from,
    key,
    register_type,
)
from stones.formats import json_serializer

from .processes import fork
from .test_command_line import run_process
from .test_serializers import same
from .test_serializers import values as any_values


@define
class Address:
    city: str
    zip: str | None = None


@define
class User:
    name: str = key()
    age: int
    address: Address | None = None
    tags: set[str] = field(factory=set)
    joined: datetime | None = None


@define
class Note:
    """Without a key of its own."""

    text: str


ADA = User("ada", 36, Address("Rome"), {"y", "x"}, datetime(2024, 5, 6, 7, 8, tzinfo=UTC))
BOB = User("bob", 17)


def exported(source, **options):
    file = io.BytesIO()
    report = export_to(file, source, **options)
    assert report.size == len(file.getvalue())
    return file.getvalue()


def lines(source, **options):
    return [json_serializer.decode(line) for line in exported(source, **options).splitlines()]


def rows(source, **options):
    return [*csv.reader(io.StringIO(exported(source, form="csv", **options).decode(), newline=""))]


@pytest.fixture
def users():
    users = Collection(MemoryStore(), User)
    users.add_many([ADA, BOB])
    return users


# -- JSON Lines --------------------------------------------------------------------------------


def test_an_entry_is_a_line_with_its_key_and_value(store):
    store.update({"a": 1, "b": [None, True], b"\xff": {"x": 1.5}})
    assert exported(store).decode().splitlines() == [
        '{"key":"a","value":1}',
        '{"key":"b","value":[null,true]}',
        '{"key":{"$bytes":"/w=="},"value":{"x":1.5}}',
    ]


class Money:
    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return type(other) is Money and self.amount == other.amount

    __hash__ = None


register_type(Money, name="test-export-money", pack=lambda money: money.amount, unpack=Money)

EVERY_TYPE = {
    "none": None,
    "bools": [True, False],
    "ints": [0, -1, 2**63, -(2**64), 10**5000],
    "floats": [0.0, -0.0, 1.5, 1e22, 1e-7, math.inf, -math.inf],
    "text": ["", "größe", "\ud800", "\U0001f600", "\x00\n", 'q"\\'],
    "bytes": [b"", b"\x00\xff"],
    "tuple": (1, (2, ()), [3]),
    "sets": [{1, 2}, set(), frozenset({"a"})],
    "dicts": [{}, {"a": {}}, {1: 2, (1, 2): 3}, {"$int": 1}, {"$x": 1, "y": 2}],
    "dates": [date(2024, 2, 29), datetime(2024, 1, 1, 1, 1, 1, 1), timedelta(-1, 2, 3)],
    "zones": datetime(2024, 5, 6, 7, tzinfo=UTC),
    "decimal": [Decimal("1.50"), Decimal("NaN"), Decimal("-Infinity")],
    "uuid": UUID(int=5),
    "fraction": Fraction(1, 3),
    "money": Money(Decimal("9.99")),
}


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack", "cbor"])
@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_goes_round(serializer, name):
    value = EVERY_TYPE[name]
    store = MemoryStore({name: value}, serialize=serializer)
    (line,) = lines(store)
    assert line["key"] == name
    assert same(line["value"], value)


def test_nan_goes_round():
    store = MemoryStore({"nan": [math.nan, None], "alone": math.nan})
    alone, nan = (line["value"] for line in lines(store))
    assert math.isnan(alone)
    assert math.isnan(nan[0])
    assert nan[1] is None


@given(st.one_of(st.binary(min_size=1, max_size=50), st.text(min_size=1, max_size=9)), any_values)
def test_any_key_and_value_go_round(stored, value):
    store = MemoryStore()
    store[stored] = value
    (line,) = lines(store)
    found = line["key"].encode() if isinstance(line["key"], str) else line["key"]
    assert found == (stored.encode() if isinstance(stored, str) else stored)
    assert same(line["value"], value)


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack", "cbor"])
def test_what_was_exported_is_imported_again(tmp_path, serializer):
    store, other = MemoryStore(EVERY_TYPE, serialize=serializer), MemoryStore(serialize=serializer)
    store[b"\xff\x00"] = None
    path = tmp_path / "all.jsonl"
    assert export_to(path, store).rows == import_from(path, other).written
    assert [*other] == [*store]
    assert all(same(other[stored], value) for stored, value in store.items())


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_exported_records_are_imported_again(users, tmp_path, ending):
    path = tmp_path / f"users.{ending}"
    export_to(path, users)
    again = Collection(MemoryStore(), User)
    import_from(path, again)
    assert dict(again) == dict(users)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_generated_keys_are_imported_again(tmp_path, ending):
    notes, again = (Collection(MemoryStore(), Note) for _ in range(2))
    notes.add_many([Note("one"), Note("two")])
    path = tmp_path / f"notes.{ending}"
    export_to(path, notes)
    import_from(path, again)
    assert dict(again) == dict(notes)


def test_a_cell_that_is_no_generated_key_is_named(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("_key,text\n,new\n12,old\n")
    report = import_from(path, Collection(MemoryStore(), Note), dry_run=True)
    assert [failure.place for failure in report.failures] == ["line 3"]
    assert "_key: expected the text of a UUID, got '12'" in report.failures[0].reason


def test_a_key_of_a_store_with_text_keys_goes_round():
    store = MemoryStore({b"a\xff": 1, b"b": 2}, key_type=str)
    assert [line["key"] for line in lines(store)] == [b"a\xff", "b"]


def test_a_record_is_the_dict_that_is_stored_of_it(users):
    assert lines(users) == [users.to_dict(ADA), users.to_dict(BOB)]
    assert [users.from_dict(line) for line in lines(users)] == [ADA, BOB]


def test_a_record_without_key_fields_begins_with_its_key():
    notes = Collection(MemoryStore(), Note)
    stored = notes.add(Note("hello"))
    assert exported(notes).decode() == f'{{"_key":{{"$UUID":"{stored}"}},"text":"hello"}}\n'


def test_a_default_that_was_added_later_is_exported():
    store = MemoryStore()

    @define
    class Old:
        name: str = key()

    @define
    class New:
        name: str = key()
        level: int = 3

    Collection(store, Old, "users").add(Old("ada"))
    Collection(store, New, "users").add(New("bob", 7))
    whole = [{"name": "ada", "level": 3}, {"name": "bob", "level": 7}]
    assert lines(Collection(store, New, "users")) == whole
    assert [line["value"] for line in lines(store)] == whole
    assert exported(Collection(store, New, "users"), form="csv") == (
        b"name,level\r\nada,3\r\nbob,7\r\n"
    )


def test_a_range_of_a_store_has_the_defaults_that_were_added_later():
    store = MemoryStore()

    @define
    class Old:
        name: str = key()

    @define
    class New:
        name: str = key()
        level: int = 3

    Collection(store, Old, "users").add_many([Old("ada"), Old("eve")])
    Collection(store, New, "users").add(New("bob", 7))
    ada, bob = ({"name": "ada", "level": 3}, {"name": "bob", "level": 7})
    part = store.range(prefix="users/", lt="users/c")
    assert [line["value"] for line in lines(part)] == [ada, bob]
    assert [line["value"] for line in lines(part, filter="@.level == 3")] == [ada]
    last = lines(store.range(reverse=True, limit=2))
    assert [line["value"]["name"] for line in last] == ["eve", "bob"]
    with store.snapshot() as view:
        assert [line["value"] for line in lines(view.range(limit=1))] == [ada]


def half_migrated(store):
    """A collection with records from before a step, and from after it."""

    @define
    class Old:
        name: str = key()

    @define
    class Level:
        name: str = key()
        level: int = 3

    @define
    class Rank:
        name: str = key()
        rank: int = 3

    @define
    class More(Rank):
        more: str = "m"

    Collection(store, Old, "users").add(Old("ada"))
    Collection(store, Level, "users").add(Level("bob", 7))
    steps = [Migration(1, rename={"level": "rank"})]
    Collection(store, Rank, "users", migrations=steps).add(Rank("cid", 1))
    users = Collection(store, More, "users", migrations=steps)
    users.add(More("dan", 2))
    return users


def test_each_record_has_the_defaults_of_its_own_shape_during_a_migration(run, tmp_path):
    path = str(tmp_path / "db")
    stored = [
        {"name": "ada", "level": 3},
        {"name": "bob", "level": 7},
        {"name": "cid", "rank": 1, "more": "m"},
        {"name": "dan", "rank": 2, "more": "m"},
    ]
    with LmdbStore(path, serialize="msgpack") as store:
        users = half_migrated(store)
        assert [line["value"] for line in lines(store)] == stored
        assert [line["value"] for line in lines(store.range(ge="users/b"))] == stored[1:]
        assert lines(users)[0] == {"name": "ada", "rank": 3, "more": "m"}
    assert [json.loads(line) for line in run("export", path, "users").splitlines()] == stored
    assert run("export", path, "users", "--csv").splitlines() == (
        "name,level,rank,more\nada,3,,\nbob,7,,\ncid,,1,m\ndan,,2,m\n".splitlines()
    )
    found = run("export", path, "users", "--fields", "more", "--filter", "@.rank > 1")
    assert json.loads(found) == {"more": "m"}


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack", "cbor"])
def test_plain_values_and_others_in_one_page_keep_their_types(serializer):
    odd = [
        {"$tuple": [1]},
        {"x": {"$set": [1]}},
        {"x": math.inf, "y": None},
        [2**64, -(2**70)],
        {"x": [None, {"y": -math.inf}]},
        {1: "x"},
        "$null",
        None,
        {"x": (1, {"y": b"z"})},
        {"x": "\ud800"},
    ]
    for more in [odd, *([each] for each in odd)]:
        values = [{"n": n, "none": None} for n in range(40)] + more + [{"n": [1.5, None]}] * 3
        store = MemoryStore(
            {f"{n:03}": each for n, each in enumerate(values)}, serialize=serializer
        )
        store[b"\xff"] = {"n": 1}
        *found, last = lines(store)
        assert last == {"key": b"\xff", "value": {"n": 1}}
        assert all(same(line["value"], value) for line, value in zip(found, values, strict=True))


@pytest.mark.parametrize("odd", [(1, 2), {1}, b"x", {1: 2}, date(2024, 2, 29), 2**70, math.inf])
def test_one_odd_part_among_rows_of_one_form_keeps_its_type(odd):
    """Rows of one form are looked at field by field, many at once."""
    for place in ({"a": odd}, {"in": {"x": odd, "y": None}}, {"list": [1, odd]}):
        values = [{"a": n, "in": {"x": n, "y": "y"}, "list": [n]} for n in range(40)]
        values[20] |= place
        found = lines(MemoryStore({f"{n:03}": each for n, each in enumerate(values)}))
        assert all(same(line["value"], value) for line, value in zip(found, values, strict=True))


def test_a_part_of_a_store_or_of_a_collection_is_exported(users):
    store = MemoryStore({f"a/{n}": n for n in range(4)} | {"b": 1})
    assert [line["key"] for line in lines(store.range(prefix="a/", gt="a/1"))] == ["a/2", "a/3"]
    assert lines(users.range(ge="b")) == [users.to_dict(BOB)]
    assert [line["name"] for line in lines(users.range(reverse=True))] == ["bob", "ada"]
    assert [line["name"] for line in lines(users.range(limit=1))] == ["ada"]
    space = store.namespace("space/")
    space["x"] = 1
    assert lines(space) == [{"key": "x", "value": 1}]
    with store.snapshot() as view:
        store.clear()
        assert len(lines(view)) == 6


def test_a_filter_and_fields_choose(users):
    assert [line["name"] for line in lines(users, filter="$[?(@.age > 30)]")] == ["ada"]
    assert lines(users, fields=["name", "address.city"]) == [
        {"name": "ada", "address.city": "Rome"},
        {"name": "bob"},
    ]
    store = MemoryStore(a={"x": 1, "y": 2}, b=5, c={"x": 3})
    assert lines(store, filter="@.x > 1") == [{"key": "c", "value": {"x": 3}}]
    assert [line["value"] for line in lines(store, fields=["x"])] == [{"x": 1}, {}, {"x": 3}]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fields": ["agee"]}, "no field 'agee'"),
        ({"fields": []}, "empty"),
        ({"fields": ["age", "age"]}, "twice"),
        ({"fields": [7]}, "names of fields"),
        ({"filter": "@.agee > 1"}, "agee"),
        ({"filter": "@.age >"}, "age"),
    ],
)
def test_wrong_fields_and_filters_are_refused(users, tmp_path, options, text):
    path = tmp_path / "users.jsonl"
    with pytest.raises(QueryError, match=text):
        export_to(path, users, **options)
    assert not path.exists()


def test_wrong_sources_and_forms_are_refused(users):
    with pytest.raises(ValueTypeError, match="not dict"):
        export_to(io.BytesIO(), {})
    with pytest.raises(UnsupportedError, match="'xml'"):
        export_to(io.BytesIO(), users, form="xml")
    with pytest.raises(ValueTypeError, match="mode 'wb'"):
        export_to(io.StringIO(), users)
    with pytest.raises(ValueTypeError, match="not int 7"):
        export_to(7, users)


# -- CSV ---------------------------------------------------------------------------------------


def test_csv_has_a_column_for_each_field(users):
    assert rows(users) == [
        ["name", "age", "address", "tags", "joined"],
        [
            "ada",
            "36",
            '{"city":"Rome","zip":null}',
            '["x","y"]',
            "2024-05-06T07:08:00+00:00",
        ],
        ["bob", "17", "", "[]", ""],
    ]


def test_csv_of_entries_has_the_items_of_dicts_and_other_values():
    store = MemoryStore(a={"x": 1, "y": 'q"\r\n'}, b=[1, {"z": (2,)}], c={"z": None})
    store[b"\xff"] = b"\x01"
    assert rows(store) == [
        ["_key", "x", "y", "z", "_value"],
        ["a", "1", 'q"\r\n', "", ""],
        ["b", "", "", "", '[1,{"z":[2]}]'],
        ["c", "", "", "", ""],
        ["/w==", "", "", "", "AQ=="],
    ]


def test_csv_has_every_type():
    store = MemoryStore(EVERY_TYPE)
    found = {row[0]: row[1] for row in rows(store)[1:]}
    assert found["uuid"] == "00000000-0000-0000-0000-000000000005"
    assert found["zones"] == "2024-05-06T07:00:00+00:00"
    assert found["none"] == ""
    assert json.loads(found["sets"])[1] == []
    assert len(found) == len(EVERY_TYPE)


def test_csv_of_chosen_fields_has_columns_for_paths(users):
    assert rows(users, fields=["name", "address.city"]) == [
        ["name", "address.city"],
        ["ada", "Rome"],
        ["bob", ""],
    ]
    notes = Collection(MemoryStore(), Note)
    stored = notes.add(Note("hello"))
    assert rows(notes, fields=["text"]) == [["_key", "text"], [str(stored), "hello"]]


def test_more_columns_than_a_table_has_are_refused():
    store = MemoryStore({f"{n}": {f"f{n}": 1} for n in range(1001)})
    with pytest.raises(QueryError, match="1,000 different fields"):
        exported(store, form="csv")
    with pytest.raises(QueryError, match="'_key'"):
        exported(MemoryStore(a={"_key": 1}), form="csv")


# -- Arrow and Parquet -------------------------------------------------------------------------


def table_of(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return pq.read_table(path)
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()


@pytest.mark.parametrize("ending", ["arrow", "parquet"])
def test_a_table_has_the_types_of_all_rows(users, tmp_path, ending, monkeypatch):
    pytest.importorskip("pyarrow")
    from stones.migrations.exporting import arrow_tables

    monkeypatch.setattr(arrow_tables, "ROWS", 1)
    path = tmp_path / f"users.{ending}"
    assert export_to(path, users).rows == 2
    assert table_of(path).to_pylist() == [
        {
            "name": "ada",
            "age": 36,
            "address": {"city": "Rome", "zip": None},
            "tags": ["x", "y"],
            "joined": datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        },
        {"name": "bob", "age": 17, "address": None, "tags": [], "joined": None},
    ]


def test_values_that_fit_no_column_are_named(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    for values in ({"a": {"x": 1}, "b": {"x": "text"}}, {"a": {"x": 2**70}}):
        with pytest.raises(QueryError, match="'x'"):
            export_to(path, MemoryStore(values))
    assert os.listdir(tmp_path) == []


def test_an_empty_table_can_be_exported(tmp_path):
    pytest.importorskip("pyarrow")
    for form in ("parquet", "arrow"):
        path = tmp_path / f"x.{form}"
        assert export_to(path, Collection(MemoryStore(), User)).rows == 0
        assert table_of(path).num_rows == 0
    assert exported(MemoryStore(), form="csv") == b"_key\r\n"
    assert exported(MemoryStore()) == b""


# -- files -------------------------------------------------------------------------------------


def test_the_ending_of_a_path_tells_the_form(users, tmp_path):
    for name, form in [("a.jsonl", "jsonl"), ("a.CSV", "csv"), ("a", "jsonl"), ("a.txt", "jsonl")]:
        assert export_to(str(tmp_path / name), users).form == form
        assert (tmp_path / name).stat().st_size > 0


def test_a_failed_export_leaves_the_file_that_was_there(tmp_path):
    store = MemoryStore({"a": 1, "b": 2})
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"before")
    with store.database.writing() as txn:
        txn.put(0, b"b", b"\x01damaged")
    with pytest.raises(ValueError, match="b'b'"):
        export_to(path, store)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["out.jsonl"]
    with pytest.raises(StorageError, match="directory"):
        export_to(tmp_path, store)
    with pytest.raises(StorageError, match="cannot be written"):
        export_to(tmp_path / "nowhere" / "out.jsonl", store)


def test_a_replaced_file_keeps_its_rights_and_a_link_stays_a_link(tmp_path):
    path = tmp_path / "out.jsonl"
    path.touch(mode=0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    export_to(link, MemoryStore(a=1))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == b'{"key":"a","value":1}\n'


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_told():
    with pytest.raises(StorageError, match="cannot be written"):
        export_to("/dev/full", MemoryStore({f"{n}": "x" * 1000 for n in range(100)}))


def test_a_killed_export_leaves_no_part_under_the_name(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path) as store:
        store.update({f"{n:05}": "x" * 100 for n in range(20_000)})
    out = tmp_path / "out.jsonl"
    for delay in (0.05, 0.15, 0.3):
        child = fork(lambda: export_to(out, LmdbStore(path, readonly=True)))
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert not out.exists() or out.read_bytes().count(b"\n") == 20_000


def test_progress_is_told_up_to_all_rows(users):
    told = []
    exported(
        MemoryStore({f"{n:04}": n for n in range(2000)}), progress=lambda *pair: told.append(pair)
    )
    assert told[-1] == (2000, 2000)
    assert len(told) > 2


class Unknown:
    """Only pickle holds it."""


def test_what_json_cannot_hold_is_named():
    with pytest.raises(SerializerError, match=r"b'odd' cannot be exported: .*Unknown"):
        exported(MemoryStore({"odd": [Unknown()]}, serialize="pickle"))


# -- the command -------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="msgpack") as store:
        Collection(store, User).add_many([ADA, BOB])
        Collection(store, Note, "notes").add(Note("hello"))
        store["other"] = (1, 2)
    return path


def test_the_command_exports_a_store_a_prefix_and_a_collection(run, path):
    with LmdbStore(path) as store:
        assert run("export", path).encode() == exported(store)
        assert run("export", path, "User").encode() == exported(Collection(store, User))
        notes = Collection(store, Note, "notes")
        assert run("export", path, "notes").encode() == exported(notes)
    assert run("export", path, "--prefix", "ot") == ('{"key":"other","value":{"$tuple":[1,2]}}\n')
    assert json.loads(run("export", path, "--filter", "@.age < 20"))["key"] == "User/bob"
    assert json.loads(run("export", path, "User", "--prefix", "b"))["name"] == "bob"
    assert run("export", path, "User", "--prefix", "b", "--csv", "--fields", "age") == (
        "age\r\n17\r\n"
    )
    assert run("export", path, "User", "--prefix", "nobody") == ""


def test_the_command_writes_csv_and_files(run, path, tmp_path):
    assert run("export", path, "User", "--csv", "--fields", "name, age") == (
        "name,age\r\nada,36\r\nbob,17\r\n"
    )
    out = tmp_path / "out.csv"
    assert run("export", path, "User", "-o", out) == ""
    assert out.read_bytes().count(b"\r\n") == 3
    message = run("export", path, "Usr", code=3)
    assert "there is no collection Usr" in message
    assert "its collections are User, notes" in message


def test_the_command_names_a_wrong_field_and_a_folder_that_is_not_there(run, path, tmp_path):
    code, _, errors = run_process("export", path, "User", "--filter", "@.agee > 3")
    assert code == 1
    assert errors.splitlines() == [
        "stones: User has no field 'agee': did you mean 'age'?",
        "    @.agee > 3",
        "      ^",
    ]
    shown = run("export", path, "-o", tmp_path / "none" / "out.csv", code=1)
    assert "there is no folder" in shown
    assert ".part" not in shown


def test_the_command_exports_values_of_types_that_it_does_not_know(tmp_path):
    from .processes import run

    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="msgpack") as store:
        store["money"] = [Money(5)]
    code = "from stones.command_line.main import main\nsys.argv[1:] = ['export', *argv]\nmain()"
    result = run(code, path)
    assert result.stdout == '{"key":"money","value":[{"$type":["test-export-money",5]}]}\n', result
