"""Compressed values: formats like any other, with dictionaries, and with rules by prefix."""

import json
import random
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from stones import (
    Collection,
    CorruptValueError,
    DbmStore,
    FormatMismatchError,
    JsonFileStore,
    LmdbStore,
    MemoryStore,
    UnsupportedError,
    ValueTypeError,
    check,
    index,
    key,
    stone,
)
from stones.engine import Space
from stones.formats.compression import compressor, decompressing, train
from stones.formats.encryption_keys import KeyRing
from stones.formats.metadata import IDS, write_formats

KEY = bytes(range(32))
ROW = {"name": "Charles de Gaulle International Airport", "city": "Paris", "tags": [1, 2, 3] * 9}


@define
class City:
    name: str = key()
    country: str = index(default="")
    people: int = 0


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def change_formats(store, **parts):
    """Let new values have another format, as the first step of a migration does."""
    database = store.database

    def change(txn):
        write_formats(
            txn,
            database.read_codec(txn).metadata.migrating_to(
                **{"keys": database.request.keys, **parts}
            ),
        )
        database.reload(txn)

    database.write(change)


def raw_values(store):
    return dict(store.database.engine.begin().scan(Space.DATA))


def put_raw(store, key, raw):
    store.database.engine.write(lambda txn: txn.put(Space.DATA, key, raw))


def rows(count, seed=0):
    numbers = random.Random(seed)
    return [
        {"icao": f"K{n:04}", "name": f"{n} Field", "lat": numbers.random(), "tz": "Europe/Paris"}
        for n in range(count)
    ]


# -- a store -------------------------------------------------------------------------------------


@pytest.mark.needs("packed values")
def test_compressed_values_come_back_and_are_smaller(open_store):
    store, plain = open_store(serialize="msgpack", compress="zstd"), open_store(serialize="msgpack")
    for each in (store, plain):
        each.update(a=ROW, b=None, c=b"", d=[1] * 1000)
    assert dict(store) == dict(plain)
    assert store["a"] == store.get("a") == store.get_many(["a"])[b"a"] == ROW
    assert sum(map(len, raw_values(store).values())) < sum(map(len, raw_values(plain).values()))


@pytest.mark.parametrize("serializer", IDS)
@pytest.mark.parametrize("checksums", [False, True])
def test_each_serializer_can_be_compressed(serializer, checksums):
    store = MemoryStore(serialize=serializer, compress=True, checksums=checksums)
    store["a"] = b"bytes " * 99
    assert (store["a"], len(raw_values(store)[b"a"]) < 60) == (b"bytes " * 99, True)
    assert store.copy()["a"] == store["a"]


def test_functions_of_the_user_can_be_compressed(path):
    functions = (lambda text: text.encode(), bytes.decode)
    with stone(path, LmdbStore, dump_load=functions, compress="zstd") as store:
        store["a"] = "la " * 1000
    with stone(path, LmdbStore, dump_load=functions) as store:
        assert (store["a"], len(raw_values(store)[b"a"]) < 40) == ("la " * 1000, True)


def test_a_store_keeps_its_compression(path):
    with LmdbStore(path, serialize="json", compress="zstd") as store:
        store["a"] = ROW
    with LmdbStore(path) as store:
        store["b"] = ROW
        assert {raw[0] for raw in raw_values(store).values()} == {32}
    with LmdbStore(path, compress="zstd") as store:
        assert dict(store) == {b"a": ROW, b"b": ROW}


def test_another_compression_than_the_stores_is_refused_with_what_to_do(path):
    LmdbStore(path, serialize="json", compress="zstd").close()
    with pytest.raises(FormatMismatchError, match=r"compress='zstd', or leave.*--no-compress"):
        LmdbStore(path, compress=False)
    LmdbStore(path + "2", serialize="json").close()
    with pytest.raises(FormatMismatchError, match=r"compress=False, or leave.*--compress zstd"):
        LmdbStore(path + "2", compress="zstd")


@pytest.mark.parametrize("wrong", ["gzip", 3, b"zstd"])
def test_an_unknown_compression_is_refused(wrong):
    with pytest.raises(ValueTypeError, match="compress is 'zstd', False or None"):
        MemoryStore(compress=wrong)


@pytest.mark.parametrize("kind", [JsonFileStore, DbmStore])
@pytest.mark.parametrize("option", [{"compress": "zstd"}, {"encrypt": KEY}])
def test_files_of_other_programs_refuse_packed_values(kind, option, path):
    with pytest.raises(UnsupportedError, match=f"does not support {next(iter(option))}="):
        kind(path, **option)
    assert not list(Path(path).parent.iterdir())


def test_versions_that_know_no_compression_refuse_the_store():
    def layout(store):
        return store.database.engine.begin().get(Space.META, b"version")

    plain = MemoryStore()
    assert (layout(MemoryStore(compress="zstd")), layout(plain)) == (b"3", b"1")
    change_formats(plain, compression="zstd")
    assert layout(plain) == b"3"
    change_formats(plain, compression=None)
    assert layout(plain) == b"3"


def test_the_list_of_formats_of_a_plain_store_is_as_it_was():
    store = MemoryStore(serialize="json")
    txn = store.database.engine.begin()
    assert json.loads(txn.get(Space.META, b"formats")) == {
        "write": 2,
        "checksums": False,
        "formats": [{"id": 2, "serializer": "json"}],
        "migration": None,
    }


def test_a_missing_package_is_named_with_what_to_install(path):
    program = (
        "import sys; sys.modules[sys.argv[2]] = None\n"
        "import stones\n"
        "stones.MemoryStore({'a': 1})\n"
        "try: stones.LmdbStore(sys.argv[1], **{sys.argv[3]: b'k' * 32 if sys.argv[3] == "
        "'encrypt' else True})\n"
        "except stones.StoreOpenError as error: print(error)\n"
    )
    for module, option, extra in [
        ("zstandard", "compress", "compression"),
        ("cryptography", "encrypt", "encryption"),
    ]:
        ran = subprocess.run(
            [sys.executable, "-c", program, path, module, option], capture_output=True, text=True
        )
        assert f"`pip install stones[{extra}]`" in ran.stdout, ran.stderr


# -- what works on it ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"compress": "zstd"}, {"encrypt": KEY}])
@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_collections_answer_as_without_compression(options, serializer):
    store = MemoryStore(serialize=serializer, **options)
    packed = Collection(store, City)
    plain = Collection(MemoryStore(serialize=serializer), City)
    cities = [City(f"city {n}", "FR" if n % 3 else "DE", n) for n in range(3000)]
    for each in (packed, plain):
        each.add_many(cities)
    for query in ["$[?(@.people > 2990)]", "$[?(@.country == 'DE')]", "$[?(@.name =~ 'y 77')]"]:
        assert list(packed.find(query)) == list(plain.find(query)) != []
    assert packed["city 7"] == plain["city 7"]
    assert packed.find().sum("people") == plain.find().sum("people")
    assert check(store).sound


@pytest.mark.parametrize("options", [{"compress": "zstd"}, {"encrypt": KEY}])
def test_snapshots_namespaces_copies_and_backups_keep_the_format(options, path):
    keys = {"encrypt": KEY} if "encrypt" in options else {}
    with LmdbStore(path, serialize="json", **options) as store:
        store["a"] = ROW
        store.namespace("n/")["b"] = ROW
        with store.snapshot() as view:
            store["a"] = None
            assert (view["a"], view.namespace("n/")["b"]) == (ROW, ROW)
        store.backup(path + "-saved")
        copy, inside = store.copy(), store.namespace("n/").copy()
        assert dict(store.items()) == {b"a": None, b"n/b": ROW} == dict(copy)
    assert dict(inside) == {b"b": ROW}
    assert dict(LmdbStore(path + "-saved", **keys)) == dict(copy)
    for each in (copy, inside):
        assert each.database.metadata().write.is_packed


def test_threads_may_share_a_compressed_store(path):
    store = LmdbStore(path, compress="zstd", durability="none")
    values = rows(200)

    def work(thread):
        for number, value in enumerate(values):
            store[f"{thread}/{number}"] = value
        return [store[f"{thread}/{number}"] for number in range(len(values))]

    with ThreadPoolExecutor(8) as threads:
        assert all(found == values for found in threads.map(work, range(8)))


# -- dictionaries --------------------------------------------------------------------------------


def test_a_dictionary_makes_small_values_small(path):
    values = [json.dumps(row).encode() for row in rows(3000)]
    trained = train(values[:1000], 10_000)
    with LmdbStore(path, serialize="noop", durability="none") as store:
        change_formats(store, compression="zstd", dictionary=trained)
        store.update((f"{number}", value) for number, value in enumerate(values))
        assert sum(map(len, raw_values(store).values())) < 0.6 * sum(map(len, values))
    with LmdbStore(path) as store:
        assert [store[f"{number}"] for number in range(len(values))] == values


def test_values_by_two_dictionaries_are_readable_side_by_side(path):
    old, new = (train([json.dumps(r).encode() for r in rows(999, n)], 5_000) for n in (1, 2))
    with LmdbStore(path, serialize="json") as store:
        change_formats(store, compression="zstd", dictionary=old)
        store["old"] = ROW
        change_formats(store, dictionary=new)
        store["new"] = ROW
    with LmdbStore(path) as store:
        assert dict(store) == {b"old": ROW, b"new": ROW}
        metadata = store.database.metadata()
        assert sorted(metadata.dictionaries.values()) == sorted([old, new])
        assert [raw[0] for raw in raw_values(store).values()] == [33, 32]


def test_a_dictionary_goes_when_a_later_migration_begins():
    first, second = (train([json.dumps(r).encode() for r in rows(999, n)], 5_000) for n in (1, 2))
    store = MemoryStore(serialize="json")
    change_formats(store, compression="zstd", dictionary=first)
    change_formats(store, compression=None)
    metadata = store.database.metadata()
    assert list(metadata.dictionaries) == [1]  # values may be left
    again = metadata.migrated().migrating_to(compression="zstd", dictionary=second)
    assert dict(again.dictionaries) == {2: second}
    assert again.write.id not in metadata.formats  # a number is never given to another format


def test_too_few_samples_train_no_dictionary():
    assert train([]) is None
    assert train([b"a"] * 3) is None


def test_a_lost_dictionary_is_told(path):
    with LmdbStore(path, serialize="json") as store:
        trained = train([json.dumps(row).encode() for row in rows(999)], 5_000)
        change_formats(store, compression="zstd", dictionary=trained)
        store["a"] = ROW
        store.database.engine.write(lambda txn: txn.delete(Space.META, b"dictionary/1"))
    with LmdbStore(path) as store, pytest.raises(CorruptValueError, match="dictionary 1"):
        store["a"]


@pytest.mark.parametrize("place", [0, 10, 500, 2_000, 4_000, -1])
def test_a_damaged_dictionary_gives_no_wrong_value(place, path):
    with LmdbStore(path, serialize="json") as store:
        trained = train([json.dumps(row).encode() for row in rows(999)], 5_000)
        change_formats(store, compression="zstd", dictionary=trained)
        store["a"] = ROW

        def damage(txn):
            raw = bytearray(txn.get(Space.META, b"dictionary/1"))
            raw[place] ^= 1
            txn.put(Space.META, b"dictionary/1", bytes(raw))

        store.database.engine.write(damage)
    with LmdbStore(path) as store, pytest.raises(CorruptValueError, match=r"is lost or damaged"):
        store["a"]
    assert "dictionary 1" in check(path).findings[0].what


def test_a_dictionary_that_zstd_refuses_is_named(path):
    with LmdbStore(path, serialize="json") as store:
        trained = train([json.dumps(row).encode() for row in rows(999)], 5_000)
        change_formats(store, compression="zstd", dictionary=trained)
        store["a"] = ROW
        forged = trained[:8] + bytes(100)
        stored = zlib.crc32(forged).to_bytes(4, "big") + forged
        store.database.engine.write(lambda txn: txn.put(Space.META, b"dictionary/1", stored))
    with LmdbStore(path) as store:
        with pytest.raises(
            CorruptValueError, match="the dictionary by which values are compressed"
        ):
            store["a"]
        with pytest.raises(
            CorruptValueError, match="the dictionary by which values are compressed"
        ):
            store["b"] = ROW


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"compress": "zstd"}, {"compress": "zstd", "encrypt": KEY}])
@pytest.mark.parametrize("checksums", [False, True])
def test_a_value_that_is_cut_short_or_too_long_is_named(options, checksums):
    store = MemoryStore({"a": ROW}, serialize="msgpack", checksums=checksums, **options)
    whole = raw_values(store)[b"a"]
    for damaged in [whole[:size] for size in range(1, len(whole))] + [whole + b"x", whole + whole]:
        put_raw(store, b"a", damaged)
        for read in (store.__getitem__, store.get, lambda _: list(store.values())):
            with pytest.raises(CorruptValueError, match="the value of b'a'"):
                read("a")
    assert [finding.key for finding in check(store).findings] == [b"a"]


@given(st.binary(max_size=60), st.sampled_from([32, 33, 34, 32 | 128]))
def test_any_bytes_are_a_value_or_damaged(raw, first):
    store = MemoryStore(serialize="msgpack", compress="zstd", encrypt=KEY)
    change_formats(store, encryption=None)
    change_formats(store, compression=None, encryption=store.database.request.keys.newest)
    put_raw(store, b"a", bytes([first]) + raw)
    with suppress(CorruptValueError):
        store["a"]


def test_a_frame_that_claims_a_huge_size_is_damaged():
    store = MemoryStore({"a": 1}, serialize="msgpack", compress="zstd")
    frame = bytes([0b11_1_00000]) + (2**62).to_bytes(8, "little") + b"\x01\x00\x00"
    put_raw(store, b"a", bytes([32]) + frame)
    with pytest.raises(CorruptValueError, match="the value of b'a'"):
        store["a"]


@given(st.binary(max_size=2000))
def test_whatever_is_compressed_comes_back(content):
    assert decompressing(bytes, None)(compressor(None)(content)) == content


@pytest.mark.parametrize(
    "part",
    [
        {"compression": "gzip"},
        {"compression": "zstd", "dictionary": 0},
        {"compression": "zstd", "dictionary": True},
        {"encryption": "none"},
        {"encryption": 7},
    ],
)
def test_a_format_that_says_nonsense_is_damaged_metadata(part):
    store = MemoryStore(compress="zstd")
    engine = store.database.engine
    listed = json.loads(engine.begin().get(Space.META, b"formats"))
    listed["formats"][0] |= part
    engine.write(lambda txn: txn.put(Space.META, b"formats", json.dumps(listed).encode()))
    engine.write(lambda txn: txn.put(Space.META, b"generation", b"7"))
    with pytest.raises(CorruptValueError, match="metadata"):
        store["a"] = 1


# -- rules ---------------------------------------------------------------------------------------


def test_a_rule_gives_the_keys_under_a_prefix_another_format(open_store_with_rules):
    store = open_store_with_rules()
    change_formats(store, compression="zstd", prefix=b"large/")
    change_formats(store, name="json", prefix=b"large/text/")
    store.update({"a": ROW, "large/a": ROW, "large/text/a": ROW})
    formats = store.database.metadata().formats
    used = {key: formats[raw[0]] for key, raw in raw_values(store).items()}
    assert [used[each].serializer for each in used] == ["msgpack", "msgpack", "json"]
    assert [used[each].compression for each in used] == [None, "zstd", "zstd"]
    assert dict(store) == {b"a": ROW, b"large/a": ROW, b"large/text/a": ROW}


@pytest.fixture
def open_store_with_rules(path):
    return lambda: LmdbStore(path, serialize="msgpack")


def test_a_rule_that_says_what_is_so_without_it_is_dropped():
    store = MemoryStore(serialize="msgpack")
    change_formats(store, compression="zstd", prefix=b"a")
    change_formats(store, compression="zstd", prefix=b"ab")
    assert list(store.database.metadata().rules) == [b"a"]
    change_formats(store, compression=None, prefix=b"a")
    assert not store.database.metadata().rules


def test_a_change_of_the_whole_store_changes_what_it_names_in_each_rule():
    store = MemoryStore(serialize="msgpack")
    change_formats(store, compression="zstd", prefix=b"a")
    change_formats(store, name="cbor")
    metadata = store.database.metadata()
    found = [metadata.format_of(key) for key in (b"a", b"b")]
    assert [(each.serializer, each.compression) for each in found] == [
        ("cbor", "zstd"),
        ("cbor", None),
    ]
    change_formats(store, compression="zstd")
    assert not store.database.metadata().rules


def test_records_and_entries_of_namespaces_follow_their_rule(path):
    with LmdbStore(path, serialize="msgpack") as store:
        change_formats(store, compression="zstd", prefix=b"City/")
        change_formats(store, compression="zstd", prefix=b"n/")
        cities = Collection(store, City)
        cities.add(City("Bonn", "DE", 330_000))
        cities.update("Bonn", people=1)
        store.namespace("n/").update(a=ROW)
        store["a"] = ROW
        packed = store.database.metadata().format_of(b"n/").id
        assert {raw[0] == packed for raw in list(raw_values(store).values())[::2]} == {True}
        assert cities["Bonn"].people == 1
        assert list(cities.find("$[?(@.people == 1)]")) == [City("Bonn", "DE", 1)]
        inside = store.namespace("n/").copy()
        assert inside.database.metadata().write.compression == "zstd"
        copied = store.copy()
        assert copied.database.metadata().rules == store.database.metadata().rules
    assert check(path).sound


# -- any mixture ---------------------------------------------------------------------------------

KEYS = [b"a", b"ab", b"abc", b"b", b"x/1"]
SAMPLES = [json.dumps(row).encode() for row in rows(300)]
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["json", "cbor", "msgpack", "pickle"]),
        "checksums": st.booleans(),
        "compression": st.sampled_from(["zstd", None]),
        "dictionary": st.sampled_from([None, train(SAMPLES, 2000), train(SAMPLES[:200], 1000)]),
        "encryption": st.sampled_from([0, 1, None]),
        "prefix": st.sampled_from([b"", b"a", b"ab", b"x/"]),
    },
)
CHANGES = st.lists(
    PARTS | st.tuples(st.sampled_from(KEYS), st.integers() | st.just(ROW)), max_size=25
)


@settings(max_examples=60)
@given(CHANGES)
def test_any_mixture_of_formats_reads_as_a_dict(changes):
    secrets = [KEY, KEY[::-1]]
    ring = list(KeyRing.of(secrets))
    store, model = MemoryStore(encrypt=secrets, serialize="json", trust_pickle=True), {}
    for change in changes:
        if isinstance(change, tuple):
            store[change[0]] = model[change[0]] = change[1]
        else:
            which = change.get("encryption")
            more = {} if which is None else {"encryption": ring[which]}
            prefix = change.get("prefix", b"")
            if prefix:
                change = {**change, "checksums": None}
            change_formats(store, **{**change, **more, "prefix": prefix})
        assert dict(store.items()) == model
    copy = store.copy()
    assert dict(copy) == {key: copy[key] for key in model} == model
    assert copy.database.metadata().in_use <= {*copy.database.metadata().formats}
    assert check(store).sound
