"""Migrations between formats: compressed or not, encrypted or not, of a store or a part of it."""

import subprocess
import sys

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    DbmStore,
    EncryptionKeyError,
    JsonFileStore,
    LmdbStore,
    MemoryStore,
    MigrationError,
    ReadOnlyError,
    SerializerError,
    UnsupportedError,
    ValueTypeError,
    check,
    index,
    inspect,
    key,
    migrate,
    stone,
)
from stones.engine import Space
from stones.formats.compression import compressor, content_size
from stones.formats.metadata import read_metadata
from stones.formats.serializers import serializer
from stones.migrations.reencoding.reencode import MigrationReport

KEYS = [bytes([number]) * 32 for number in range(3)]
COUNT = 1500


@define
class City:
    name: str = key()
    country: str = index()
    about: str = ""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


@pytest.fixture(params=["memory", "lmdb"])
def opened(request, path):
    """Opens a store of each kind."""
    if request.param == "memory":
        return MemoryStore
    return lambda **options: stone(path, LmdbStore, **options)


def row(number):
    return {"name": f"Field {number}", "tz": "Europe/Paris", "lat": number / 7, "city": None}


def rows(count=COUNT):
    return {b"row/%05d" % number: row(number) for number in range(count)}


def cities(store, count=COUNT):
    made = Collection(store, City)
    made.add_many(
        City(f"city {n}", f"country {n % 7}", f"about the city of {n}") for n in range(count)
    )
    return made


def raw_values(store):
    return dict(store.database.engine.begin().scan(Space.DATA))


def size(store):
    return sum(map(len, raw_values(store).values()))


def metadata_of(store):
    return store.database.engine.read(read_metadata)


def parts(store, prefix=b""):
    """The formats of the values whose keys begin with `prefix`."""
    formats = metadata_of(store).formats
    found = {formats[raw[0] & 0x7F] for k, raw in raw_values(store).items() if k.startswith(prefix)}
    return {(each.serializer, each.compression, each.encryption is not None) for each in found}


class StopHereError(Exception):
    pass


def interrupted(store, *arguments, at=0.75, **options):
    """Begin a migration, and leave it when so much of it is done."""

    def stop(done, steps):
        if done >= at * steps:
            raise StopHereError

    with pytest.raises(StopHereError):
        migrate(store, *arguments, **options, progress=stop)


# -- compressed ------------------------------------------------------------------------------------


def test_small_values_are_compressed_by_a_dictionary_of_their_own(opened):
    store = opened(serialize="msgpack")
    store.update(rows())
    before = size(store)
    assert migrate(store, compress="zstd") == MigrationReport(COUNT, COUNT)
    assert dict(store) == rows()
    assert parts(store) == {("msgpack", "zstd", False)}
    assert metadata_of(store).write.dictionary is not None
    assert size(store) < 0.5 * before
    assert migrate(store, compress="zstd") == MigrationReport(0, COUNT)
    store[b"new"] = row(1)
    assert len(raw_values(store)[b"new"]) < 40
    store.close()


def test_compressed_values_are_what_they_were_after_compress_false(opened):
    store = opened(serialize="json")
    store.update(rows())
    before = raw_values(store)
    migrate(store, compress="zstd")
    assert migrate(store, compress=False).values == COUNT
    assert raw_values(store) == before
    assert metadata_of(store).write.compression is None


def test_a_store_that_was_made_compressed_gets_its_dictionary_from_a_migration(opened):
    store = opened(serialize="msgpack", compress="zstd")
    store.update(rows())
    before = size(store)
    assert metadata_of(store).write.dictionary is None
    assert migrate(store, compress="zstd").values == COUNT
    assert metadata_of(store).write.dictionary == 1
    assert size(store) < 0.6 * before
    assert dict(store) == rows()


@pytest.mark.parametrize(
    "values", [{}, {b"a": "short"}, {b"%d" % n: bytes([n]) * 50_000 for n in range(20)}]
)
def test_without_many_small_values_no_dictionary_is_trained(opened, values):
    store = opened(serialize="msgpack")
    store.update(values)
    assert migrate(store, compress="zstd").values == len(values)
    assert metadata_of(store).write.dictionary is None
    assert dict(store) == values
    assert migrate(store, compress="zstd").values == 0


def test_another_serializer_compression_and_checksums_come_in_one_migration(opened):
    store = opened(serialize="pickle")
    store.update(rows())
    migrate(store, "cbor", compress="zstd", encrypt=KEYS[0], checksums=True)
    assert parts(store) == {("cbor", "zstd", True)}
    assert all(raw[0] & 0x80 for raw in raw_values(store).values())
    assert dict(store) == rows()
    migrate(store, "json")
    assert parts(store) == {("json", "zstd", True)}
    assert dict(store) == rows()


def test_another_serializer_gets_a_dictionary_of_its_own(opened):
    store = opened(serialize="msgpack")
    store.update(rows())
    migrate(store, compress="zstd")
    migrate(store, "json")
    changed = size(store)
    assert dict(store) == rows()
    assert metadata_of(store).write.dictionary == 2
    with MemoryStore(rows(), serialize="json") as other:
        migrate(other, compress="zstd")
        assert changed == size(other)


def test_an_interrupted_compression_goes_on_with_the_same_dictionary(opened, short_batches):
    store = opened(serialize="msgpack")
    store.update(rows())
    interrupted(store, compress="zstd")
    before = metadata_of(store)
    assert 0 < migrate(store, compress="zstd").values < COUNT
    assert metadata_of(store).dictionaries == before.dictionaries
    assert dict(store) == rows()
    assert parts(store) == {("msgpack", "zstd", False)}


# -- encrypted -------------------------------------------------------------------------------------


def test_encryption_comes_its_key_changes_and_it_goes(path):
    with stone(path, LmdbStore, serialize="json") as store:
        store.update(rows(300))
        assert migrate(store, encrypt=KEYS[0]).values == 300
        assert migrate(store, encrypt=KEYS[0]).values == 0
    with pytest.raises(EncryptionKeyError):
        stone(path, LmdbStore)
    with stone(path, LmdbStore, encrypt=KEYS[0]) as store:
        assert dict(store) == rows(300)
        assert migrate(store, encrypt=[KEYS[1], KEYS[0]]).values == 300
        assert dict(store) == rows(300)
    with stone(path, LmdbStore, encrypt=KEYS[1]) as store:  # the old key is not needed any more
        assert migrate(store, encrypt=lambda: KEYS[2]).values == 300
        assert dict(store) == rows(300)
        assert migrate(store, encrypt=False).values == 300
    with stone(path, LmdbStore) as store:
        assert dict(store) == rows(300)
        assert parts(store) == {("json", None, False)}


def test_an_interrupted_change_of_the_key_needs_both_keys_and_goes_on(path, short_batches):
    with stone(path, LmdbStore, serialize="json", encrypt=KEYS[0]) as store:
        store.update(rows(300))
        interrupted(store, encrypt=KEYS[1])
    with pytest.raises(EncryptionKeyError):
        stone(path, LmdbStore, encrypt=KEYS[1])
    with stone(path, LmdbStore, encrypt=[KEYS[1], KEYS[0]]) as store:
        assert dict(store) == rows(300)
        assert 0 < migrate(store, encrypt=KEYS[1]).values < 300
    with stone(path, LmdbStore, encrypt=KEYS[1]) as store:
        assert dict(store) == rows(300)


def test_a_value_that_was_moved_to_another_key_is_refused_and_named(opened):
    store = opened(serialize="json", encrypt=KEYS[0])
    store.update(rows(200))
    moved = raw_values(store)[b"row/00007"]
    store.database.engine.write(lambda txn: txn.put(Space.DATA, b"row/00150", moved))
    for options in [{"encrypt": KEYS[1]}, {"to": "cbor"}, {"compress": "zstd"}]:
        with pytest.raises(MigrationError, match=r"b'row/00150' .*no value was changed"):
            migrate(store, **options)
    assert metadata_of(store).migration is None


def test_a_message_shows_no_key(opened):
    store = opened(serialize="json")
    with pytest.raises(ValueTypeError) as wrong:
        migrate(store, encrypt="secret-secret")
    assert "secret" not in str(wrong.value)
    with pytest.raises(EncryptionKeyError) as short:
        migrate(store, encrypt=b"secret-secret")
    assert "secret-secret" not in str(short.value)


# -- a part of a store -----------------------------------------------------------------------------


def test_a_collection_alone_gets_another_format(opened):
    store = opened(serialize="json")
    store.update(rows())
    found = cities(store)
    before = dict(store)
    assert migrate(found, "msgpack", compress="zstd") == MigrationReport(COUNT, COUNT)
    assert parts(store, b"City/") == {("msgpack", "zstd", False)}
    assert parts(store, b"row/") == {("json", None, False)}
    assert dict(store) == before
    assert found.find(country="country 3").count() == len(range(3, COUNT, 7))
    assert check(store).sound
    found.add(City("new", "country 3"))
    store["new"] = 1
    assert parts(store, b"City/") == {("msgpack", "zstd", False)}
    assert parts(store, b"new") == {("json", None, False)}
    assert migrate(found, "json", compress=False).values == COUNT + 1
    assert not metadata_of(store).rules


def test_the_values_under_a_prefix_alone_are_encrypted(path):
    with stone(path, LmdbStore, serialize="json") as store:
        store.update(rows(200))
        store.update({f"secret/{n}": n for n in range(50)})
        assert migrate(store, encrypt=KEYS[0], prefix="secret/") == MigrationReport(50, 50)
        assert parts(store, b"secret/") == {("json", None, True)}
        assert parts(store, b"row/") == {("json", None, False)}
    with pytest.raises(EncryptionKeyError):
        stone(path, LmdbStore)
    with stone(path, LmdbStore, encrypt=KEYS[0]) as store:
        assert store["secret/7"] == 7
        assert migrate(store, "cbor").values == 250
        assert parts(store, b"secret/") == {("cbor", None, True)}
        assert migrate(store, encrypt=False).values == 50


def test_a_migration_of_a_part_ends_what_another_one_has_left(opened, short_batches):
    store = opened(serialize="json")
    store.update(rows(300))
    store.update({f"secret/{n}": n for n in range(50)})
    interrupted(store, "cbor")
    migrate(store, compress="zstd", prefix="secret/")
    assert metadata_of(store).migration is None
    assert parts(store, b"row/") == {("cbor", None, False)}
    assert parts(store, b"secret/") == {("cbor", "zstd", False)}


def test_a_migration_of_the_whole_store_makes_a_rule_needless(opened):
    store = opened(serialize="msgpack")
    store.update(rows())
    found = cities(store)
    before = dict(store)
    migrate(store, compress="zstd")
    migrate(found, "json")
    assert metadata_of(store).rules
    migrate(store, "json")
    assert not metadata_of(store).rules
    assert parts(store) == {("json", "zstd", False)}
    assert dict(store) == before


def test_a_rule_under_another_rule_keeps_its_parts(opened):
    store = opened(serialize="json")
    store.update({b"a/1": 1, b"a/b/1": 2, b"c": 3})
    migrate(store, "cbor", prefix="a/b/")
    migrate(store, compress="zstd", prefix="a/")
    assert parts(store, b"a/b/") == {("cbor", "zstd", False)}
    assert parts(store, b"a/1") == {("json", "zstd", False)}
    assert parts(store, b"c") == {("json", None, False)}
    assert dict(store) == {b"a/1": 1, b"a/b/1": 2, b"c": 3}


# -- shown by `inspect` ----------------------------------------------------------------------------


def test_inspect_shows_what_compression_saves_and_encryption_costs(path):
    with stone(path, LmdbStore, serialize="msgpack") as store:
        store.update(rows())
        before = size(store)
        migrate(store, compress="zstd", checksums=True)
        (found,) = inspect(store).formats
        assert (found.compression, found.encrypted) == ("zstd", False)
        assert found.size == size(store) < found.plain_size == before + 4 * COUNT
        assert found.dictionary_size == len(metadata_of(store).dictionaries[1])
        migrate(store, encrypt=KEYS[0], prefix="row/00")
    found = inspect(path)  # without the key
    assert [(use.prefix, use.format) for use in found.rules] == [
        ("row/00", "msgpack with checksums, compressed by zstd, encrypted")
    ]
    assert {use.encrypted: use.plain_size is None for use in found.formats} == {
        True: True,
        False: False,
    }
    with stone(path, LmdbStore, encrypt=KEYS[0]) as store:
        migrate(store, compress=False, encrypt=KEYS[0], checksums=False)
        (found,) = inspect(store).formats
        assert found.plain_size == before == found.size - 32 * COUNT


@given(st.binary(max_size=100) | st.integers(0, 70_000).map(bytes))
def test_the_head_of_a_frame_tells_the_size(content):
    assert content_size(compressor(None)(content)) == len(content)


def test_a_frame_that_is_cut_short_or_damaged_tells_no_size():
    assert content_size(b"") is None
    assert content_size(compressor(None)(bytes(1000))[:2]) is None


# -- refused ---------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_before_anything_is_changed(opened):
    store = opened(serialize="json")
    store["a"] = 1
    found = cities(store, 3)
    before = raw_values(store), metadata_of(store)
    with pytest.raises(ValueTypeError, match="whole store"):
        migrate(store, checksums=True, prefix="a")
    with pytest.raises(ValueTypeError, match="one prefix"):
        migrate(found, "cbor", prefix="a")
    with pytest.raises(ValueTypeError, match="compress is"):
        migrate(store, compress="lz4")
    with pytest.raises(ValueTypeError, match="store or collection"):
        migrate(store.namespace("n/"), "cbor")
    with pytest.raises(SerializerError, match="takes the name"):
        migrate(found)
    with store.snapshot() as view, pytest.raises(ReadOnlyError):
        migrate(view, "cbor")
    assert (raw_values(store), metadata_of(store)) == before


def test_a_file_for_people_or_other_programs_is_neither_compressed_nor_encrypted(tmp_path):
    for store in [JsonFileStore(tmp_path / "a.json"), DbmStore(tmp_path / "b", kind="dumb")]:
        with store:
            store["a"] = 1
            for options in [{"compress": "zstd"}, {"encrypt": KEYS[0]}, {"prefix": "a"}]:
                with pytest.raises(UnsupportedError, match="one format"):
                    migrate(store, "cbor", **options)
            assert store["a"] == 1


@pytest.mark.parametrize("at", [0, 63, 64, 200])
def test_one_bad_value_among_plain_values_is_named(opened, at):
    store = opened(serialize="pickle")
    store.update({b"%04d" % number: row(number) for number in range(300)})
    store[b"%04d" % at] = {"a": [bytearray(b"x")]}
    for to in ["json", "cbor", "msgpack"]:
        with pytest.raises(MigrationError, match=rf"b'{at:04}'.*bytearray, at \$\['a'\]\[0\]"):
            migrate(store, to)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


@given(plain, st.sampled_from(["json", "msgpack"]))
def test_what_the_decoder_of_plain_values_takes_each_serializer_can_hold(value, name):
    """The check of a migration relies on that, and does not encode such a value."""
    source = serializer(name)
    try:
        found = source.decode_plain(source.encode(value))
    except ValueError:  # it is nested too deeply, or has a key that looks like a tag
        return
    assert found == value
    for target in map(serializer, ["pickle", "json", "cbor", "msgpack"]):
        assert target.decode(target.encode(found)) == value


# -- several processes -----------------------------------------------------------------------------

MIGRATOR = """
import sys
from stones import LmdbStore, migrate, stone
from stones.migrations import batches
batches.ENTRIES = 20
key = bytes([0]) * 32
with stone(sys.argv[1], LmdbStore, encrypt=[key] if sys.argv[3:] else None) as store:
    print('open', flush=True)
    sys.stdin.readline()
    migrate(store, **{'compress': {'compress': 'zstd'}, 'encrypt': {'encrypt': key}}[sys.argv[2]])
"""


@pytest.mark.parametrize("what", ["compress", "encrypt"])
def test_two_processes_that_migrate_the_same_share_the_work(path, what):
    with stone(path, LmdbStore, serialize="msgpack") as store:
        store.update(rows())
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATOR, path, what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout.readline() == "open\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate()
        assert child.returncode == 0, errors
    with stone(path, LmdbStore, encrypt=KEYS[0] if what == "encrypt" else None) as store:
        assert dict(store) == rows()
        assert metadata_of(store).migration is None
        assert parts(store) == {
            ("msgpack", "zstd" if what == "compress" else None, what == "encrypt")
        }
