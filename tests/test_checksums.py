"""Checksums: each reading of a damaged value notices it, also while some values have none."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from zlib import crc32

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from lmdb import open as open_lmdb

from stones import (
    Collection,
    CorruptValueError,
    FormatMismatchError,
    LmdbStore,
    MemoryStore,
    MigrationError,
    SerializerError,
    ValueTypeError,
    key,
    migrate,
    register_serializer,
    stone,
)
from stones.engine import Space
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.metadata import IDS
from stones.migrations.reencoding.reencode import MigrationReport

from .processes import Follower

SERIALIZERS = list(IDS)
BACKWARDS = (lambda value: value[::-1], lambda raw: raw[::-1])
"""Functions for dump_load=, for bytes."""
GUARDED = {"checksums": True}


@define
class User:
    email: str = key()
    city: str = ""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def raw_values(store):
    return dict(store.database.engine.begin().scan(Space.DATA))


def put_raw(store, key, raw):
    store.database.engine.write(lambda txn: txn.put(Space.DATA, key, raw))


def first_bytes(store):
    return {raw[0] for raw in raw_values(store).values()}


def is_migrating(store):
    with store.snapshot() as view:
        return view.database.metadata().migration is not None


def flipped(raw, bit):
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


class StopHereError(Exception):
    pass


def interrupted(store, to=None, at=0.75, **options):
    """Begin a migration, and interrupt it when this part of it is done."""

    def stop(done, steps):
        if done >= at * steps:
            raise StopHereError

    with pytest.raises(StopHereError):
        migrate(store, to, progress=stop, **options)


# -- what is stored --------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_checksum_is_over_the_first_byte_the_key_and_what_the_serializer_wrote(
    opened, serializer
):
    plain = MemoryStore(serialize=serializer)
    store = opened(serialize=serializer, checksums=True)
    plain["key"] = store["key"] = b"value"
    first, encoded = bytes([IDS[serializer] | 0x80]), raw_values(plain)[b"key"][1:]
    checksum = crc32(first + b"key" + encoded).to_bytes(4, "big")
    assert raw_values(store) == {b"key": first + checksum + encoded}
    assert store["key"] == b"value"


def test_all_ways_of_writing_write_checksums(opened):
    store = opened(serialize="json", checksums=True, value_type=list, iterable={"first": 1})
    store["a"] = 1
    store.put("b", 2)
    store.update(c=3)
    store |= {"d": 4}
    store.setdefault("e", 5)
    store.deep_add("f", 6)
    store.deep_add("f", 7)
    store.deep_remove("f", 6)
    Collection(store, User).add(User("ada@example.org"))
    Collection(store, User).update("ada@example.org", city="London")
    assert first_bytes(store) == {IDS["json"] | CHECKSUM_BIT}
    assert list(store.values()) == [
        {"email": "ada@example.org", "city": "London"}, 1, 2, 3, 4, 5, [7], 1,
    ]  # fmt: skip


def test_functions_of_ones_own_can_have_checksums_too(opened):
    store = opened(dump_load=BACKWARDS, checksums=True)
    store["key"] = b"value"
    assert store["key"] == b"value"
    assert raw_values(store)[b"key"].endswith(b"eulav")
    put_raw(store, b"key", raw_values(store)[b"key"][:-1] + b"V")
    with pytest.raises(CorruptValueError, match="b'key'"):
        store["key"]


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize(
    "copied",
    [
        lambda store: store.copy(),
        lambda store: store | {},
        lambda store: {} | store,
        lambda store: store.snapshot().copy(),
    ],
)
def test_a_copy_has_checksums_where_the_original_has(checksums, copied):
    store = MemoryStore(serialize="json", checksums=checksums)
    store["key"] = (1, 2)
    assert raw_values(copied(store)) == raw_values(store)
    assert copied(store).stats()["checksums"] is checksums


def test_a_backup_has_the_checksums(opened, path):
    store = opened(serialize="msgpack", checksums=True)
    store["key"] = (1, 2)
    store.backup(path + "-copy")
    with LmdbStore(path + "-copy", checksums=True) as copy:
        assert raw_values(copy) == raw_values(store)
        assert copy["key"] == (1, 2)


# -- opening ---------------------------------------------------------------------------------------


def test_a_new_store_has_no_checksums_unless_it_is_told_to(opened):
    assert opened().stats()["checksums"] is False
    assert stone("name", MemoryStore, options=GUARDED).stats()["checksums"] is True


@pytest.mark.parametrize("has", [False, True])
def test_a_store_opened_without_saying_does_what_it_did(path, has):
    LmdbStore(path, checksums=has).close()
    with LmdbStore(path) as store:
        assert store.stats()["checksums"] is has
        store["key"] = 1
        assert bool(raw_values(store)[b"key"][0] & CHECKSUM_BIT) is has
    LmdbStore(path, checksums=has).close()


@pytest.mark.parametrize("has", [False, True])
def test_saying_otherwise_raises_an_error_with_the_command_that_migrates(path, has):
    with LmdbStore(path, checksums=has) as store:
        store["key"] = (1, 2)
    with pytest.raises(FormatMismatchError, match="checksums: open it with") as caught:
        LmdbStore(path, checksums=not has)
    command = shlex.split(re.search("`(.*)`", str(caught.value))[1])
    assert command[:2] == ["stones", "migrate"]
    run = [
        sys.executable,
        "-c",
        "import stones.command_line.main; stones.command_line.main.main()",
        *command[1:],
    ]
    subprocess.run(run, check=True, capture_output=True)
    with LmdbStore(path, checksums=not has) as store:
        assert store["key"] == (1, 2)


def test_saying_otherwise_of_functions_raises_an_error_with_the_call_that_migrates(path):
    with LmdbStore(path, dump_load=BACKWARDS) as store:
        store["key"] = b"value"
    advice = re.escape("call stones.migrate(store, checksums=True)")
    with pytest.raises(FormatMismatchError, match=advice):
        LmdbStore(path, dump_load=BACKWARDS, checksums=True)
    with LmdbStore(path, dump_load=BACKWARDS) as store:
        migrate(store, checksums=True)
    with LmdbStore(path, dump_load=BACKWARDS, checksums=True) as store:
        assert store["key"] == b"value"


@pytest.mark.parametrize("wrong", ["yes", 1, 0, "", b"", []])
def test_checksums_is_true_or_false(opened, wrong):
    with pytest.raises(ValueTypeError, match="True, False or None"):
        opened(checksums=wrong)
    with pytest.raises(ValueTypeError, match="True, False or None"):
        migrate(opened(), checksums=wrong)


# -- damage ----------------------------------------------------------------------------------------

READS = [
    lambda store: store["key"],
    lambda store: store.get("key"),
    lambda store: store.get_many(["other", "key"]),
    lambda store: list(store.values()),
    lambda store: list(store.items()),
    lambda store: list(reversed(store.values())),
    lambda store: list(store.range(prefix="k").values()),
    lambda store: store.range(prefix="k")["key"],
    lambda store: store.pop("key"),
    lambda store: store.setdefault("key", b"default"),
    lambda store: store.deep_add("key", b"item"),
    lambda store: store.deep_remove("key", b"item"),
    lambda store: store == {b"key": 1, b"other": 2},
    lambda store: b"value" in store.values(),
    lambda store: store.copy(),
    lambda store: store | {},
    lambda store: store.snapshot()["key"],
    lambda store: store.snapshot().get("key"),
    lambda store: dict(store.snapshot()),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("bit", [0, 7, 8, 39, 40, -1], ids=lambda bit: f"bit {bit}")
def test_all_ways_of_reading_notice_damage_and_name_the_key(opened, read, bit):
    store = opened(serialize="noop", checksums=True)
    store.update(key=b"value", other=b"another")
    raw = raw_values(store)[b"key"]
    put_raw(store, b"key", flipped(raw, bit % (8 * len(raw))))
    with pytest.raises(CorruptValueError, match="b'key'"):
        read(store)
    assert store["other"] == b"another"
    store["key"] = b"mended"
    assert dict(store) == {b"key": b"mended", b"other": b"another"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_any_flipped_bit_of_any_value_is_noticed(data):
    serializer = data.draw(st.sampled_from(SERIALIZERS))
    value = data.draw(st.binary(max_size=20) if serializer == "noop" else values)
    name = data.draw(st.binary(min_size=1, max_size=5))
    store = MemoryStore(serialize=serializer, checksums=True)
    store[name] = value
    raw = raw_values(store)[name]
    put_raw(store, name, flipped(raw, data.draw(st.integers(0, 8 * len(raw) - 1))))
    for read in (store.__getitem__, store.get, lambda _: dict(store)):
        with pytest.raises(CorruptValueError, match=re.escape(repr(name))):
            read(name)


@given(st.sampled_from(SERIALIZERS), st.binary(max_size=30))
def test_a_value_that_is_anything_else_than_what_was_written_is_noticed(serializer, damaged):
    store = MemoryStore(serialize=serializer, checksums=True)
    store["key"] = b"value"
    put_raw(store, b"key", damaged)
    with pytest.raises(CorruptValueError, match="b'key'"):
        store["key"]


@pytest.mark.parametrize("size", range(12))
def test_a_value_that_is_cut_off_is_noticed(size):
    store = MemoryStore(serialize="noop", checksums=True)
    store["key"] = b"\0\0\0\0\0\0\0"
    put_raw(store, b"key", raw_values(store)[b"key"][:size])
    with pytest.raises(CorruptValueError, match="b'key'"):
        store["key"]


def test_a_value_that_is_found_under_another_key_is_noticed(opened):
    store = opened(checksums=True)
    store.update(one=1, two=2)
    put_raw(store, b"one", raw_values(store)[b"two"])
    put_raw(store, b"One", raw_values(store)[b"one"])
    for damaged in ["one", "One"]:
        with pytest.raises(CorruptValueError, match=damaged):
            store[damaged]
    assert store["two"] == 2


@pytest.mark.parametrize("serializer", ["pickle", "json", "cbor", "msgpack"])
def test_damage_to_a_record_is_noticed_where_a_query_would_not_even_decode_it(opened, serializer):
    store = opened(serialize=serializer, checksums=True)
    users = Collection(store, User)
    users.add_many(User(f"{n}@example.org", ["London", "Paris"][n % 2]) for n in range(10))
    assert users.find(city="London").count() == 5
    stored = b"User/4@example.org"
    put_raw(store, stored, raw_values(store)[stored].replace(b"London", b"Xondon"))
    for read in [
        lambda: users["4@example.org"],
        lambda: list(users.values()),
        lambda: users.update("4@example.org", city="Rome"),
        lambda: list(users.find(city="London")),
        lambda: users.find(city="Paris").count(),
    ]:
        with pytest.raises(CorruptValueError, match="User/4@example"):
            read()
    users["4@example.org"] = User("4@example.org", "London")
    assert users.find(city="London").count() == 5


def test_without_checksums_a_damaged_first_byte_does_not_pass_for_one_with_a_checksum(opened):
    store = opened(serialize="noop")
    store["key"] = b"value"
    put_raw(store, b"key", flipped(raw_values(store)[b"key"], 7))
    with pytest.raises(CorruptValueError, match="b'key'"):
        store["key"]


# -- migrating -------------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["pickle", "json", "cbor", "msgpack"])
def test_checksums_come_and_go_and_values_stay(opened, serializer):
    store = opened(serialize=serializer)
    entries = {b"%03d" % number: [number, {"n": (number,)}] for number in range(600)}
    store.update(entries)
    before = raw_values(store)
    assert migrate(store, checksums=True) == MigrationReport(600, 600)
    assert first_bytes(store) == {IDS[serializer] | CHECKSUM_BIT}
    assert dict(store) == entries
    assert migrate(store, checksums=True) == MigrationReport(0, 600)
    assert migrate(store, checksums=False) == MigrationReport(600, 600)
    assert raw_values(store) == before


def test_serializer_and_checksums_change_together_or_each_alone(opened):
    store = opened(serialize="pickle")
    store["key"] = (1, 2)
    for changes, first in [
        ({"to": "json", "checksums": True}, IDS["json"] | CHECKSUM_BIT),
        ({"to": "cbor"}, IDS["cbor"] | CHECKSUM_BIT),
        ({"to": "cbor", "checksums": False}, IDS["cbor"]),
        ({"to": "json"}, IDS["json"]),
        ({"dump_load": (repr_bytes, eval), "checksums": True}, 32 | CHECKSUM_BIT),
        ({"checksums": False}, 32),
        ({"to": "msgpack", "checksums": True}, IDS["msgpack"] | CHECKSUM_BIT),
    ]:
        assert migrate(store, **changes) == MigrationReport(1, 1)
        assert first_bytes(store) == {first}
        assert store["key"] == (1, 2)


def repr_bytes(value):
    return repr(value).encode()


def test_migrate_wants_to_know_what_to_change(opened):
    with pytest.raises(SerializerError, match="or checksums="):
        migrate(opened())


def test_only_the_checksums_are_made_so_nothing_is_unpickled(path):
    with LmdbStore(path) as store:
        store["key"] = {1, 2}
    with LmdbStore(path, trust_pickle=False) as store:
        migrate(store, checksums=True)
        with pytest.raises(FormatMismatchError, match="can run code"):
            store["key"]
        with pytest.raises(FormatMismatchError, match="can run code"):
            list(store.values())
        store["other"] = 1
    with LmdbStore(path, serialize="pickle", trust_pickle=False) as store:
        migrate(store, checksums=False)
        with pytest.raises(FormatMismatchError, match="can run code"):
            store["key"]
    with LmdbStore(path) as store:
        assert dict(store) == {b"key": {1, 2}, b"other": 1}


@pytest.mark.parametrize("changes", [{"checksums": False}, {"to": "cbor"}])
def test_a_damaged_value_stops_a_migration_before_it_starts(opened, changes):
    store = opened(serialize="json", checksums=True)
    store.update((b"%03d" % number, number) for number in range(600))
    put_raw(store, b"300", flipped(raw_values(store)[b"300"], 60))
    before = raw_values(store)
    with pytest.raises(MigrationError, match=r"b'300'.*checksum.*no value was changed"):
        migrate(store, **changes)
    assert raw_values(store) == before
    assert not is_migrating(store)


@pytest.mark.usefixtures("short_batches")
def test_what_is_damaged_meanwhile_is_left_as_it_is_and_named(opened):
    store = opened(serialize="json", checksums=True)
    store.update((b"%04d" % number, number) for number in range(2000))
    damaged = flipped(raw_values(store)[b"1900"], 60)

    def damage(done, steps):
        if 0.5 * steps < done < 0.7 * steps:
            put_raw(store, b"1900", damaged)

    with pytest.raises(MigrationError, match=r"^1 value that was written during .* b'1900'"):
        migrate(store, checksums=False, progress=damage)
    assert raw_values(store)[b"1900"] == damaged


STEPS = [
    {"checksums": True},
    {"checksums": False},
    {"to": "json", "checksums": True},
    {"to": "json", "checksums": False},
    {"to": "cbor"},
]


@pytest.mark.parametrize("at", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("second", STEPS)
@pytest.mark.parametrize("first", STEPS)
def test_whatever_is_interrupted_all_can_be_read_and_any_migration_goes_on(first, second, at):
    store = MemoryStore(serialize="msgpack", checksums=first.get("checksums") is False)
    entries = {b"%04d" % number: (number,) for number in range(1600)}
    store.update(entries)
    interrupted(store, at=at, **first)
    assert dict(store) == entries
    store[b"new"] = entries[b"new"] = (1, 2)
    migrate(store, **second)
    assert dict(store) == entries
    stats = store.stats()
    assert {IDS[stats["serializer"]] | (CHECKSUM_BIT if stats["checksums"] else 0)} == first_bytes(
        store
    )
    assert stats["checksums"] is second.get("checksums", stats["checksums"])
    assert stats["serializer"] == second.get("to", stats["serializer"])
    assert not is_migrating(store)


@pytest.mark.usefixtures("short_batches")
def test_an_interrupted_migration_goes_on_where_it_stopped(opened):
    store = opened(serialize="json")
    store.update((b"%04d" % number, number) for number in range(3000))
    interrupted(store, checksums=True)
    left = sum(raw[0] == IDS["json"] for raw in raw_values(store).values())
    assert 0 < left < 3000
    assert migrate(store, checksums=True) == MigrationReport(left, 3000)


def test_checksums_asked_for_in_the_middle_of_a_migration_are_made_on_its_way(opened):
    store = opened(serialize="json")
    entries = {b"%04d" % number: (number,) for number in range(3000)}
    store.update(entries)
    interrupted(store, "cbor")
    migrate(store, checksums=True)
    assert first_bytes(store) == {IDS["cbor"] | CHECKSUM_BIT}
    assert dict(store) == entries


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("at", [0.3, 0.7])
def test_what_a_migration_does_not_name_is_not_undone_by_it(opened, at):
    """Another migration may begin while this one tries the values, or while it re-encodes them."""
    store = opened(serialize="json")
    entries = {b"%04d" % number: (number,) for number in range(3000)}
    store.update(entries)
    todo = [True]

    def overtake(done, steps):
        if done > at * steps and todo:
            migrate(store, checksums=todo.pop())

    with pytest.raises(MigrationError, match=r"another migration, to .* with checksums, has begun"):
        migrate(store, "cbor", progress=overtake)
    assert store.stats()["checksums"] is True
    assert all(first & CHECKSUM_BIT for first in first_bytes(store))
    assert dict(store) == entries
    migrate(store, "cbor")
    assert first_bytes(store) == {IDS["cbor"] | CHECKSUM_BIT}


def test_a_serializer_that_is_not_named_is_not_called(opened):
    called = []
    register_serializer("noted", lambda value: called.append(value) or value, called.append)
    store = opened(serialize="noted")
    store["key"] = b"value"
    called.clear()
    migrate(store, checksums=True)
    migrate(store, checksums=False)
    assert called == []
    assert raw_values(store) == {b"key": b"\x20value"}


# -- others, while checksums come and go -----------------------------------------------------------


@pytest.mark.parametrize("has", [False, True])
def test_a_snapshot_from_before_reads_on(opened, has):
    store = opened(serialize="json", checksums=has)
    store["key"] = (1, 2)
    with store.snapshot() as view:
        migrate(store, checksums=not has)
        store["key"] = "after"
        assert view["key"] == (1, 2)
        assert dict(view) == {b"key": (1, 2)}
    assert store["key"] == "after"


@pytest.mark.parametrize("serializer", ["json", "noop"])
def test_a_store_that_was_opened_before_reads_and_writes_on(path, serializer):
    with (
        LmdbStore(path, serialize=serializer, checksums=False) as one,
        LmdbStore(path, serialize=serializer, checksums=False) as other,
    ):
        one["key"] = b"1"
        for checksums in [True, False, True]:
            migrate(other, checksums=checksums)
            for read in [one.__getitem__, one.get, lambda key: dict(one)[key.encode()]]:
                assert read("key") == b"1"
            one["new"] = b"2"
            assert bool(raw_values(one)[b"new"][0] & CHECKSUM_BIT) is checksums
            assert one["new"] == other["new"] == b"2"


FOLLOWER = """
import sys
from stones import CorruptValueError, LmdbStore
store = LmdbStore(sys.argv[1])
print('open', flush=True)
for line in sys.stdin:
    try:
        print(eval(line, {'store': store}), flush=True)
    except CorruptValueError as error:
        print('damaged', flush=True)
"""


def test_another_process_follows_and_notices_damage(path):
    with LmdbStore(path, serialize="noop") as store, Follower(FOLLOWER, path) as follower:
        store["key"] = b"value"
        for checksums in [True, False, True]:
            migrate(store, checksums=checksums)
            assert follower.ask("store['key']") == "b'value'"
            assert follower.ask("dict(store)") == "{b'key': b'value'}"
            assert follower.ask("store.put('written', b'1')") == "True"
            assert bool(raw_values(store)[b"written"][0] & CHECKSUM_BIT) is checksums
            assert store.pop("written") == b"1"
        put_raw(store, b"key", flipped(raw_values(store)[b"key"], 60))
        assert follower.ask("store['key']") == "damaged"
        store["key"] = b"value"
        put_raw(store, b"key", flipped(raw_values(store)[b"key"], 7))
        assert follower.ask("store['key']") == "damaged"
        assert follower.ask("dict(store)") == "damaged"


def test_a_value_without_its_checksum_is_damaged_once_all_have_one(opened):
    store = opened(serialize="noop")
    store.update((b"%04d" % number, b"value") for number in range(1600))
    plain = raw_values(store)[b"0000"]
    interrupted(store, checksums=True)
    put_raw(store, b"0000", plain)
    assert store[b"0000"] == b"value"
    migrate(store, checksums=True)
    put_raw(store, b"0000", plain)
    readers = [store, store.snapshot()]
    for reader in readers:
        for read in (reader.__getitem__, reader.get, lambda key, reader=reader: dict(reader)):
            with pytest.raises(CorruptValueError, match="b'0000' has no checksum"):
                read(b"0000")


def test_a_value_that_was_read_before_the_last_checksum_was_made_and_is_deleted_since(opened):
    """A thread may read a value, and decode it after another thread has migrated the store."""
    store = opened(serialize="noop")
    store["key"] = b"value"
    read = store.database.get(b"key")
    migrate(store, checksums=True)
    assert store.database.decode(b"key", read) == b"value"
    del store["key"]
    assert store.database.decode(b"key", read) == b"value"


def test_raw_lmdb_sees_what_the_docs_say(path):
    with LmdbStore(path, serialize="json", checksums=True) as store:
        store["point"] = (1, 2)
    with open_lmdb(path, max_dbs=3, readonly=True) as env, env.begin() as txn:
        raw = txn.get(b"point", db=env.open_db(b"stones:data", txn=txn, create=False))
    assert raw[5:] == b'{"$tuple":[1,2]}'
    assert int.from_bytes(raw[1:5], "big") == crc32(raw[:1] + b"point" + raw[5:])


json_steps = st.lists(
    st.tuples(st.sampled_from(["cbor", "json", None]), st.sampled_from([True, False, None]))
    | st.tuples(st.binary(min_size=1, max_size=2), st.integers())
    | st.binary(min_size=1, max_size=2),
    max_size=15,
)


@given(json_steps)
def test_whatever_is_written_and_migrated_in_between_the_store_is_a_dict(steps):
    store, model = MemoryStore(serialize="json"), {}
    for step in steps:
        if isinstance(step, bytes):
            assert store.pop(step, None) == model.pop(step, None)
        elif isinstance(step[0], bytes):
            store[step[0]] = model[step[0]] = step[1]
        else:
            with suppress(SerializerError):  # a migration that would change nothing is refused
                migrate(store, step[0], checksums=step[1])
        assert dict(store) == model
        assert {key: store[key] for key in model} == model
