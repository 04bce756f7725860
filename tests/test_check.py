"""`check` finds nothing in a sound store, and reports each damage with its key."""

import os
import pickle
import subprocess
import sys

import lmdb
import pytest
from attrs import define

from stones import (
    Collection,
    FormatMismatchError,
    LmdbStore,
    StoreOpenError,
    check,
    key,
    migrate,
    register_serializer,
    stone,
)
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.errors import CollectionError
from stones.repair.contents import named_codec

from .damage import PAGE, Places, make

PROGRAM = """
import sys
from stones import check
print(len(check(sys.argv[1], trust_pickle=True).findings))
"""


@define
class User:
    email: str = key()
    name: str


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@pytest.fixture
def store(path):
    with stone(path, LmdbStore, "msgpack") as store:
        yield store


def findings(path, **options):
    """The findings as (key, what)."""
    return [(finding.key, finding.what) for finding in check(path, **options).findings]


def put(path, space, stored, raw):
    """Write to the file without the store, which may be open."""
    engine = LmdbEngine.open(str(path))
    engine.write(lambda txn: txn.put(space, stored, raw))
    engine.close()


def patch(path, at, raw):
    with open(path / "data.mdb", "r+b") as file:
        file.seek(at)
        file.write(raw)


# -- sound stores ------------------------------------------------------------------------------


@pytest.mark.parametrize("serialize", ["pickle", "json", "cbor", "msgpack", "noop"])
def test_a_sound_store_is_sound(path, serialize):
    with stone(path, LmdbStore, serialize) as store:
        store.update({f"key {number}": b"x" * number for number in range(0, 9000, 100)})
        report = check(path, trust_pickle=True)
    assert report.sound
    assert (report.version, report.entries, report.unread) == ("1", 90, 0)


def test_an_empty_store_is_sound(store, path):
    assert check(path).sound


def test_a_store_in_two_formats_is_sound(store, path):
    store.update({"one": 1, "two": 2})
    migrate(store, "json")
    store.update({"three": 3})
    assert check(path).sound


def test_collections_are_sound(store, path):
    users = Collection(store, User)
    users.add_many(User(f"{number}@example.org", "A") for number in range(100))
    del users["7@example.org"]
    assert check(path).sound


def test_pickles_are_only_looked_into_where_they_are_trusted(path, tmp_path):
    with stone(path, LmdbStore) as store:
        store["harmless"] = 1
    put(path, Space.DATA, b"bomb", b"\1cos\nmkdir\n(V" + os.fsencode(tmp_path / "boom") + b"\ntR.")
    report = check(path)
    assert report.sound
    assert report.unread == 2
    assert not (tmp_path / "boom").exists()
    assert check(path, trust_pickle=True).unread == 0
    assert (tmp_path / "boom").exists()


def test_values_by_an_unknown_serializer_are_counted_and_not_looked_into(path):
    with stone(path, LmdbStore, dump_load=(pickle.dumps, pickle.loads)) as store:
        store["key"] = 1
    assert (check(path).unread, check(path).sound) == (1, True)
    assert check(path, dump_load=(pickle.dumps, pickle.loads)).unread == 0


def test_a_registered_serializer_is_used(path):
    register_serializer("upper-check", lambda text: text.upper().encode(), lambda raw: raw.decode())
    with stone(path, LmdbStore, "upper-check") as store:
        store["key"] = "text"
    put(path, Space.DATA, b"bad", b"\x20\xff")
    assert [key for key, _ in findings(path)] == [b"bad"]


def test_it_works_from_a_program_without_a_file_or_a_main_guard(path, tmp_path):
    make(path, entries=10)
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    for arguments in (["-c", PROGRAM], [str(script)]):
        done = subprocess.run([sys.executable, *arguments, str(path)], capture_output=True)
        assert (done.stdout, done.stderr) == (b"0\n", b"")
    done = subprocess.run(
        [sys.executable, "-", str(path)], input=PROGRAM.encode(), capture_output=True
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")


def test_a_directory_that_cannot_be_written_is_checked(path):
    make(path, entries=10)
    (path / "lock.mdb").unlink()
    path.chmod(0o500)
    try:
        assert check(path).sound
    finally:
        path.chmod(0o700)


# -- what is no store --------------------------------------------------------------------------


def test_where_there_is_no_store_it_says_so(tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store"):
        check(tmp_path / "nothing")
    (tmp_path / "file").write_text("text")
    with pytest.raises(StoreOpenError, match="is a file"):
        check(tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"x", b"some text\n" * 5000, bytes(20_000)])
def test_a_file_of_another_kind_is_a_finding(path, content):
    path.mkdir()
    (path / "data.mdb").write_bytes(content)
    report = check(path)
    assert not report.sound
    assert report.findings[0].what.startswith("meta page 0 cannot be read")


def test_a_database_without_entries_is_a_finding(path):
    lmdb.open(str(path)).close()
    assert findings(path) == [
        (None, "there is no store in it: it is an LMDB file without entries"),
    ]


def test_a_store_of_a_later_version_is_refused(store, path):
    put(path, Space.META, b"version", b"4")
    with pytest.raises(FormatMismatchError, match="a newer one"):
        check(path)


@pytest.mark.parametrize("table", [None, b"table"])
def test_a_database_of_stones_03_is_checked_as_far_as_can_be(path, table):
    with lmdb.open(str(path), max_dbs=1) as env, env.begin(write=True) as txn:
        db = env.open_db(table, txn=txn) if table else None
        txn.put(b"good", b"[1, 2]", db=db)
        txn.put(b"bad", b"[1, 2", db=db)
    assert check(path, table=table).version == "0.3"
    assert (check(path, table=table).unread, check(path, table=table).sound) == (2, True)
    [(found, what)] = findings(path, serialize="json", table=table)
    assert found == b"bad"
    assert "cannot be read" in what


def test_pickles_of_a_database_of_stones_03_that_are_not_trusted_are_unread_and_not_damaged(path):
    with lmdb.open(str(path)) as env, env.begin(write=True) as txn:
        txn.put(b"key", pickle.dumps(1))
    report = check(path, serialize="pickle")
    assert (report.findings, report.unread) == ((), 1)
    assert check(path, serialize="pickle", trust_pickle=True).unread == 0


def test_a_table_that_is_not_there_is_a_finding(path):
    with lmdb.open(str(path), max_dbs=1) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"1")
    assert findings(path, table=b"other") == [(None, "there is no table b'other'")]


# -- damage ------------------------------------------------------------------------------------


def test_a_value_that_does_not_decode_is_told_with_its_key(store, path):
    store.update({"good": 1, "bad": 2})
    put(path, Space.DATA, b"bad", b"\4\xc1")
    [(found, what)] = findings(path)
    assert found == b"bad"
    assert "the value of b'bad' cannot be read" in what


@pytest.mark.parametrize("serialize", ["pickle", "noop", "msgpack"])
def test_a_value_that_does_not_match_its_checksum_is_told_also_where_it_is_not_read(
    path, serialize
):
    with stone(path, LmdbStore, serialize, options={"checksums": True}) as store:
        store.update({"good": b"1" * 50, "bad": b"1" * 50})
        raw = bytearray(store.database.engine.get(Space.DATA, b"bad"))
    assert findings(path) == []
    raw[-9] ^= 4
    put(path, Space.DATA, b"bad", bytes(raw))
    [(found, what)] = findings(path)
    assert found == b"bad"
    assert "checksum" in what


@pytest.mark.parametrize(("raw", "what"), [(b"", "is empty"), (b"\x11abc", "has the format 17")])
def test_a_value_in_no_known_format_is_told(store, path, raw, what):
    put(path, Space.DATA, b"bad", raw)
    [(found, told)] = findings(path)
    assert found == b"bad"
    assert what in told


def test_a_count_that_is_wrong_is_told(store, path):
    Collection(store, User).add(User("a", "A"))
    put(path, Space.META, b"count/User", b"7")
    assert findings(path) == [(b"User/", "the collection 'User' has 1 record, but its count is 7")]


def test_a_record_that_is_no_mapping_is_told(store, path):
    Collection(store, User).add(User("a", "A"))
    put(path, Space.DATA, b"User/b", b"\4\x01")
    put(path, Space.META, b"count/User", b"2")
    assert findings(path) == [
        (b"User/b", "the record of b'User/b' is not a dict of fields, but of type int")
    ]


def test_a_key_that_its_collection_cannot_read_is_told(store, path):
    @define
    class Item:
        number: int = key()

    Collection(store, Item).add(Item(1))
    put(path, Space.DATA, b"Item/xyz", b"\4\x80")
    put(path, Space.META, b"count/Item", b"2")
    [(found, what)] = findings(path)
    assert found == b"Item/xyz"
    assert what.startswith("it is no key of the collection 'Item'")


@pytest.mark.parametrize(
    ("stored", "raw", "what"),
    [
        (b"version", b"x", "the version of the layout is lost"),
        (b"generation", b"", "the generation is lost"),
        (b"formats", b"{}", "the list of formats is lost"),
        (
            b"formats",
            b'{"write":4,"formats":[{"id":4,"serializer":"json"}],"migration":null}',
            "li",
        ),
        (b"collection/User", b"[]", "the description of a collection cannot be read"),
        (b"collection/User", b'{"record":"U","key":"float","fields":[]}', "cannot be read"),
        (b"collection/User", b'{"record":"U","key":"int","fields":7}', "cannot be read"),
        (b"count/Other", b"1", "a count of records without a collection"),
    ],
)
def test_damaged_metadata_is_told_with_its_key(store, path, stored, raw, what):
    store["key"] = "value"
    put(path, Space.META, stored, raw)
    found = findings(path)
    assert found[0][0] == stored
    assert what in found[0][1]
    assert len(found) == 1


@pytest.mark.parametrize("part", ["main", "leaves", "branches", "long", "free"])
def test_a_page_that_is_lost_is_told(path, part):
    make(path, entries=300)
    places = Places(path)
    page = getattr(places, part)
    page = page if isinstance(page, int) else page[len(page) // 2]
    patch(path, page * PAGE, bytes(PAGE))
    assert any(f"page {page} is not" in what for _, what in findings(path))


def test_a_meta_page_that_is_lost_is_told_and_the_rest_is_looked_at(path):
    make(path, entries=50)
    patch(path, Places(path).meta[0] * PAGE, bytes(PAGE))
    report = check(path)
    assert not report.sound
    assert report.entries


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_file_that_was_cut_is_told(path, part):
    make(path, entries=300)
    os.truncate(path / "data.mdb", int((path / "data.mdb").stat().st_size * part))
    assert not check(path).sound


def test_a_tree_that_is_not_there_is_told(path):
    make(path, entries=10)
    with lmdb.open(str(path), max_dbs=3) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(b"stones:index", txn=txn))
    assert findings(path) == [(None, "stones:index is not in the main tree")]


def test_findings_are_counted_beyond_the_first(path, monkeypatch):
    monkeypatch.setattr("stones.repair.check.MOST_FINDINGS", 3)
    with stone(path, LmdbStore, "msgpack"):
        for number in range(5):
            put(path, Space.DATA, b"%d" % number, b"\4\xc1")
    report = check(path)
    assert (len(report.findings), report.more) == (3, 2)


@pytest.mark.parametrize(
    "name",
    [
        "int",
        "str",
        "bytes",
        "UUID",
        "date",
        "datetime",
        "tuple[str, int]",
        "tuple[tuple[int], str]",
    ],
)
def test_the_type_of_keys_is_found_by_its_name(name):
    assert named_codec(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "float", "int + 1", "tuple", "tuple[int, ...]", "list[int]", "[" * 1000, "\0", "str()"],
)
def test_another_name_is_no_type_of_keys(name):
    with pytest.raises(CollectionError):
        named_codec(name)
