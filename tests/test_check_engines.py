"""`check` and `inspect` on a store of any engine, by URL and open, as on an LMDB store by its path.

Damage is put in by hand, through transactions of the engine below the store.
"""

import shelve
import sqlite3

import pytest
from attrs import define

from stones import (
    Collection,
    CorruptValueError,
    DbmStore,
    FormatMismatchError,
    LevelDBStore,
    LmdbStore,
    MemoryStore,
    PostgresStore,
    ReadOnlyError,
    RedisStore,
    SqliteStore,
    Store,
    StoreOpenError,
    TransactionError,
    UnsupportedError,
    check,
    compact,
    index,
    inspect,
    key,
    migrate,
    salvage,
)
from stones.engine import Engine, Space, Transaction
from stones.errors import StorageError

from .network_engine import NetworkStore
from .test_foreign_engine import SqliteEngine


class ForeignStore(Store):
    """On the engine of somebody else, which has no snapshots, no savepoints and no counts."""

    def __init__(self, path, **options):
        super().__init__(SqliteEngine(path), name=str(path), **options)

    def destroy(self, *, yes_im_sure=False):
        pass


@define
class User:
    email: str = key()
    age: int = index()


KINDS = ["memory", "network", "foreign", "sqlite", "leveldb", "postgres", "redis", "lmdb"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def opened(kind, tmp_path, request):
    """Opens the store of the test. At each call it is the same one, if its kind has a place."""
    if kind == "postgres":
        place = request.getfixturevalue("postgres")
        return lambda **options: PostgresStore(place.url, table=place.table, **options)
    if kind == "redis":
        url, prefix = (
            request.getfixturevalue("redis_url"),
            request.getfixturevalue("redis_prefix")(),
        )
        return lambda **options: RedisStore(url, prefix=prefix, **options)
    opener = {
        "memory": MemoryStore,
        "network": NetworkStore,
        "foreign": lambda **options: ForeignStore(tmp_path / "foreign.db", **options),
        "sqlite": lambda **options: SqliteStore(tmp_path / "app.db", **options),
        "leveldb": lambda **options: LevelDBStore(tmp_path / "level", **options),
        "lmdb": lambda **options: LmdbStore(tmp_path / "db", **options),
    }
    return opener[kind]


@pytest.fixture
def store(opened):
    with opened(serialize="json") as store:
        yield store


@pytest.fixture
def users(store):
    users = Collection(store, User)
    users.add_many(User(f"{name}@example.org", number % 5) for number, name in enumerate("abcdefg"))
    return users


def write(store, change):
    store.database.engine.write(change)


def put(store, space, stored, raw):
    write(store, lambda txn: txn.put(space, stored, raw))


def findings(store, **options):
    return [(finding.key, finding.what) for finding in check(store, **options).findings]


# -- sound stores ----------------------------------------------------------------------------------


def test_a_sound_store_is_sound(store, users):
    store.update({f"key {number}": [number] for number in range(1_000)})
    del users["a@example.org"]
    report = check(store)
    assert report.findings == ()
    assert (report.version, report.entries, report.unread) == ("2", 1_006, 0)
    assert [(each.name, each.entries, each.unchecked) for each in report.indexes] == [
        ("age", 6, None)
    ]
    assert report.snapshot == store.database.engine.supports.snapshots


def test_a_store_in_two_formats_with_and_without_checksums_is_sound(store, users):
    migrate(store, "cbor", checksums=True)
    store["new"] = 1
    assert check(store).findings == ()


def test_an_open_store_is_named_as_its_messages_name_it(store):
    assert check(store).path == inspect(store).path == store.database.name


def test_an_open_store_is_trusted_as_it_was_opened(opened, kind):
    with opened(serialize="pickle") as store:
        store["key"] = 1
        assert check(store).unread == 0
        assert check(store, trust_pickle=False).unread == 1


def test_functions_of_an_open_store_decode_its_values(opened):
    functions = (lambda value: repr(value).encode(), int)
    with opened(dump_load=functions) as store:
        store["key"] = 1
        assert (check(store).unread, findings(store)) == (0, [])


def test_what_is_under_way_in_a_transaction_is_not_looked_at(store):
    store["kept"] = 1
    with store.transaction():
        store["new"] = 1
        assert check(store).entries == 1


# -- damage ----------------------------------------------------------------------------------------


def test_a_value_that_does_not_decode_is_told_with_its_key(store):
    store.update(good=1, bad=2)
    put(store, Space.DATA, b"bad", b"\2{")
    [(found, what)] = findings(store)
    assert found == b"bad"
    assert "the value of b'bad' cannot be read" in what


def test_a_value_that_does_not_match_its_checksum_is_told(opened):
    with opened(serialize="json", checksums=True) as store:
        store["bad"] = "text"
        raw = store.database.engine.get(Space.DATA, b"bad")
        put(store, Space.DATA, b"bad", raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:])
        [(found, what)] = findings(store)
        assert (found, "checksum" in what) == (b"bad", True)


@pytest.mark.parametrize("stored", [b"version", b"generation", b"formats"])
def test_damaged_metadata_is_told_with_its_key(store, stored):
    store["key"] = 1
    put(store, Space.META, stored, b"?" * (stored != b"generation"))
    assert [found for found, _ in findings(store)] == [stored]


def test_a_damaged_description_of_a_collection_is_told(store, users):
    put(store, Space.META, b"collection/User", b"[]")
    assert b"collection/User" in [found for found, _ in findings(store)]
    report = check(store, repair=True)
    assert not report.sound
    assert report.mended == ()


def test_a_count_that_is_wrong_is_told_and_mended(store, users):
    write(store, lambda txn: txn.add(b"count/User", 3))
    assert findings(store) == [
        (b"User/", "the collection 'User' has 7 records, but its count is 10")
    ]
    report = check(store, repair=True)
    assert report.sound
    assert report.mended == ("the count of the collection 'User' is 7 now",)
    assert len(users) == 7
    users.add(User("new", 1))
    assert len(users) == 8
    assert check(store).sound


def test_a_count_without_a_collection_is_told_and_removed(store, users):
    write(store, lambda txn: txn.add(b"count/Other", 3))
    assert findings(store) == [
        (b"count/Other", "metadata: a count of records without a collection")
    ]
    report = check(store, repair=True)
    assert report.sound
    assert "which is no collection, is removed" in report.mended[0]


@pytest.mark.parametrize("raw", [b"70", b"no number", b""])
def test_an_entry_with_the_name_of_a_count_that_is_wrong_is_told_and_mended(store, users, raw):
    put(store, Space.META, b"count/User", raw)
    assert len(findings(store)) == 1
    assert check(store, repair=True).sound
    assert len(users) == 7


def test_missing_and_alien_entries_of_an_index_are_told_and_mended(store, users):
    def damage(txn: Transaction) -> None:
        first, second, *_ = txn.keys(Space.INDEX)
        txn.delete(Space.INDEX, first)
        txn.put(Space.INDEX, second[:-1] + b"?", b"")
        txn.put(Space.INDEX, b"\0\0\0\x63of no index", b"")

    write(store, damage)
    told = [what for _, what in findings(store)]
    assert ["is missing" in told[0], "is not there" in told[1]] == [True, True]
    assert "an index that is not defined any more" in told[2]
    report = check(store, repair=True)
    assert report.findings == ()
    assert any("was built again" in what for what in report.mended)
    assert sorted(user.email[0] for user in users.find(age=0)) == ["a", "f"]


def test_a_repair_in_the_middle_of_writes_of_others_loses_none_of_them(store, users, opened):
    write(store, lambda txn: txn.add(b"count/User", 3))
    users.add(User("before", 1))
    assert check(store, repair=True).sound
    users.add(User("after", 1))
    assert len(users) == 9
    assert check(store).sound


def test_damage_of_records_does_not_keep_a_repair_from_the_counts(store, users):
    put(store, Space.DATA, b"bad", b"\2{")
    write(store, lambda txn: txn.add(b"count/User", 1))
    report = check(store, repair=True)
    assert [finding.key for finding in report.findings] == [b"bad"]
    assert report.mended == ("the count of the collection 'User' is 7 now",)


def test_a_store_of_a_later_version_is_refused(store):
    put(store, Space.META, b"version", b"4")
    with pytest.raises(FormatMismatchError, match="a newer one"):
        check(store)


def test_a_store_without_entries_is_no_store(store, kind):
    write(store, lambda txn: [txn.delete_range(space) for space in Space])
    assert len(findings(store)) >= 1
    assert not check(store).sound


# -- what is refused -------------------------------------------------------------------------------


def test_a_repair_inside_a_transaction_is_refused(store):
    with store.transaction(), pytest.raises(TransactionError, match="outside"):
        check(store, repair=True)


@pytest.mark.parametrize("kind", ["sqlite", "lmdb"], indirect=True)
def test_a_store_that_was_opened_read_only_is_not_repaired(opened, store):
    with opened(readonly=True) as reader:
        with pytest.raises(ReadOnlyError, match="read-only"):
            check(reader, repair=True)
        assert check(reader).sound


@pytest.mark.parametrize("kind", ["memory", "sqlite"], indirect=True)
def test_what_needs_the_pages_of_lmdb_says_what_to_use_instead(store, tmp_path):
    with pytest.raises(UnsupportedError, match=r"salvage reads the pages.*backup"):
        salvage(store, tmp_path / "new")
    with pytest.raises(UnsupportedError, match="for LMDB only"):
        check(store, table=b"table")


def test_a_salvage_into_another_kind_of_store_is_refused(tmp_path):
    LmdbStore(tmp_path / "db").close()
    with pytest.raises(UnsupportedError, match="writes an LMDB store"):
        salvage(tmp_path / "db", f"sqlite:{tmp_path}/new.db")


def test_a_url_with_a_password_is_shown_without_it(tmp_path):
    for call in (check, inspect, compact):
        with pytest.raises((StoreOpenError, UnsupportedError)) as raised:
            call("postgresql://ada:secret@127.0.0.1:1/db?password=secret&connect_timeout=2")
        assert "secret" not in str(raised.value)


# -- info ------------------------------------------------------------------------------------------


def test_inspect_tells_formats_collections_and_indexes(store, users):
    store["key"] = "value"
    found = inspect(store)
    assert (found.entries, found.serializer, found.version) == (8, "json", "2")
    assert [(use.serializer, use.values) for use in found.formats] == [("json", 8)]
    [use] = found.collections
    assert (use.name, use.records) == ("User", 7)
    assert [(each.name, each.entries) for each in use.indexes] == [("age", 7)]
    assert found.index_entries == 7


@pytest.mark.parametrize("kind", ["memory", "foreign"], indirect=True)
def test_an_engine_that_tells_no_sizes_has_none(store):
    assert (inspect(store).file_size, inspect(store).used_size) == (None, None)


# -- by URL ----------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path):
    return f"sqlite:{tmp_path}/app.db"


@pytest.fixture
def at_url(url):
    with SqliteStore.from_url(url, serialize="json") as store:
        yield store


def test_a_url_is_checked_and_repaired(url, at_url):
    Collection(at_url, User).add(User("ada", 36))
    put(at_url, Space.META, b"count/User", b"7")
    assert check(url).path == url
    assert [finding.key for finding in check(url).findings] == [b"User/"]
    assert check(url, repair=True).sound
    assert inspect(url).collections[0].records == 1


def test_a_url_whose_metadata_is_damaged_is_checked_though_it_cannot_be_opened(url, at_url):
    at_url["key"] = 1
    put(at_url, Space.META, b"formats", b"{}")
    at_url.close()
    with pytest.raises(CorruptValueError):
        SqliteStore.from_url(url)
    report = check(url, repair=True)
    assert [finding.key for finding in report.findings] == [b"formats"]
    assert report.mended == ()


def test_a_url_is_not_trusted_with_pickles_unless_told(url):
    with SqliteStore.from_url(url, serialize="pickle") as store:
        store["key"] = 1
    assert check(url).unread == 1
    assert check(url, trust_pickle=True).unread == 0


def test_files_of_shelve_are_sound_and_their_values_are_read_if_their_serializer_is_named(tmp_path):
    url = f"dbm:{tmp_path}/old"
    with shelve.open(f"{tmp_path}/old") as made:
        made["a"] = {"n": 1}
    for named, unread in [({}, 1), ({"serialize": "pickle"}, 1)]:
        report = check(url, repair=True, **named)
        assert (report.version, report.findings, report.unread) == ("0.3", (), unread)
    assert check(url, serialize="pickle", trust_pickle=True).unread == 0
    with DbmStore(f"{tmp_path}/old", serialize="pickle") as store:
        assert (check(store).sound, check(store).unread) == (True, 0)
        store.database.engine.write(lambda txn: txn.put(Space.DATA, b"b", b"no pickle"))
        assert [finding.key for finding in check(store).findings] == [b"b"]
    assert inspect(url).serializer is None


def test_a_check_by_url_changes_nothing_and_makes_nothing(url, at_url, tmp_path):
    at_url["key"] = 1
    assert check(url).sound
    with pytest.raises(StoreOpenError, match="there is no store"):
        check(f"sqlite:{tmp_path}/other.db")
    assert not (tmp_path / "other.db").exists()


def test_an_lmdb_url_is_checked_as_its_path_is(tmp_path):
    with LmdbStore(tmp_path / "db") as store:
        store["key"] = 1
    assert check(f"lmdb:{tmp_path}/db").path == str(tmp_path / "db")
    assert inspect(f"lmdb:{tmp_path}/db").entries == 1


def test_a_file_that_sqlite_finds_damaged_is_told_and_not_repaired(url, at_url, tmp_path):
    at_url.update({f"key {number}": "x" * 500 for number in range(2_000)})
    at_url.close()
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[100 * 4096 : 101 * 4096] = bytes(4096)
    path.write_bytes(content)
    report = check(url, repair=True)
    assert report.findings[0].what.startswith("the engine finds damage in its file")
    assert report.mended == ()


class FailingTransaction:
    """Reads some entries of a space, and fails then, as on a damaged file."""

    def __init__(self, inner, space):
        self.inner, self.space = inner, space

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def pages(self, space, *args, **options):
        pages = self.inner.pages(space, *args, **options)
        yield next(pages)
        if space == self.space:
            raise StorageError("the disk cannot be read")
        yield from pages


@pytest.mark.parametrize("space", list(Space))
@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_entries_that_cannot_be_read_are_one_finding_and_not_many(store, monkeypatch, space):
    users = Collection(store, User)
    users.add_many(User(f"{number}", number) for number in range(100))
    engine: Engine = store.database.engine
    begin = engine.begin
    monkeypatch.setattr(engine, "begin", lambda **how: FailingTransaction(begin(**how), space))
    told = [what for _, what in findings(store)]
    expected = f"the entries of {space.name} cannot be read to the end: the disk cannot be read"
    assert expected in told
    assert all("index" not in what for what in told if what != expected)
