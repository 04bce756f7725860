"""The format byte of a value, the metadata that lists the formats, and which are trusted."""

import contextlib
import json
import pickle
import re
import shlex
import subprocess
import sys
from functools import partial

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

import stones
from stones import (
    Collection,
    CorruptValueError,
    FormatMismatchError,
    LmdbStore,
    MemoryStore,
    MigrationError,
    ReservedKeyError,
    SerializerError,
    StoneError,
    migrate,
    register_serializer,
    stone,
)
from stones.engine import Space
from stones.engines.memory import MemoryEngine
from stones.formats.checksums import CHECKSUM_BIT, with_checksum
from stones.formats.codec import Codec
from stones.formats.generation import read_generation
from stones.formats.metadata import IDS, Format, new_metadata, read_metadata, write_formats
from stones.formats.request import FormatRequest
from stones.repair.info import inspect
from stones.stores.claims import write_collection

from .hostile import Bomb
from .processes import Follower

SAFE = ["json", "cbor", "msgpack", "noop"]
VALUES = {b"bytes": b"bytes", b"tuple": (1, "a"), b"none": None}
SHOUTED = (lambda value: value.upper(), lambda raw: raw)
"""Functions for dump_load=, for bytes in capital letters."""


@define
class Note:
    text: str = stones.key()


def run(code, *arguments):
    """The output of a program in another process."""
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def put_raw(store, space, key, raw):
    store.database.engine.write(lambda txn: txn.put(space, key, raw))


def metadata_of(store):
    return store.database.engine.read(read_metadata)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


# -- the format byte -------------------------------------------------------------------------------


def test_the_formats_that_we_ship_have_the_same_ids_for_ever():
    assert IDS == {"pickle": 1, "json": 2, "cbor": 3, "msgpack": 4, "noop": 5}


@pytest.mark.parametrize("serializer", IDS)
def test_a_value_starts_with_the_id_of_its_format(serializer):
    store = MemoryStore(serialize=serializer)
    store[b"key"] = b"value"
    assert store.database.engine.get(Space.DATA, b"key")[0] == IDS[serializer]


def test_a_store_without_a_serializer_named_takes_its_own(path):
    stone(path, LmdbStore, "cbor").update(VALUES)
    with stone(path, LmdbStore) as store:
        assert store == VALUES
        store[b"more"] = 1
        assert store.database.engine.get(Space.DATA, b"more")[0] == IDS["cbor"]


def test_a_new_store_without_a_serializer_named_is_pickled():
    assert new_metadata("pickle").write == metadata_of(MemoryStore()).write


def test_values_in_any_mixture_of_formats_can_be_read():
    store = MemoryStore(serialize="pickle")
    for name in ["json", "cbor", "msgpack", "pickle"]:
        store[name] = (name, 1)
        store.database.engine.write(
            lambda txn, name=name: write_formats(txn, read_metadata(txn).migrating_to(name, False))
        )
    store["last"] = ("last", 1)
    assert {raw[0] for _, raw in store.database.engine.begin().scan(Space.DATA)} == {1, 2, 3, 4}
    assert all(value == (key.decode(), 1) for key, value in store.items())


@pytest.mark.parametrize("damage", [b"", b"\x09", b"\x04", b"\x04\xc1", b"\x01\x80", b"\x02{"])
def test_a_damaged_value_is_named(damage):
    store = MemoryStore(serialize="pickle")
    store["fine"] = 1
    migrate(store, "json")
    migrate(store, "msgpack")
    put_raw(store, Space.DATA, b"damaged", damage)
    for read in [store.get, store.__getitem__, lambda key: dict(store)]:
        with pytest.raises(CorruptValueError, match="damaged"):
            read("damaged")
    assert store["fine"] == 1


# -- opening ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [name for name in IDS if name != "json"])
def test_naming_another_serializer_raises_an_error_with_the_command_that_migrates(path, asked):
    path += " with 'quotes'"
    with stone(path, LmdbStore, "json") as store:
        store["key"] = b"value"
    with pytest.raises(FormatMismatchError, match="is written by 'json'") as caught:
        stone(path, LmdbStore, asked)
    command = shlex.split(re.search("`(.*)`", str(caught.value))[1])
    assert command[:2] == ["stones", "migrate"]
    run("import sys, stones.command_line.main; stones.command_line.main.main()", *command[1:])
    with stone(path, LmdbStore, asked) as store:
        assert dict(store) == {b"key": b"value"}


def test_naming_another_serializer_leaves_the_store_as_it_is(path):
    stone(path, LmdbStore, "json")["key"] = "value"
    with pytest.raises(FormatMismatchError):
        stone(path, LmdbStore, "cbor")
    assert stone(path, LmdbStore)["key"] == "value"


@pytest.mark.parametrize(
    ("written", "asked", "advice"),
    [
        ({"serialize": "json"}, {"dump_load": SHOUTED}, "migrate(store, dump_load=(encode"),
        ({"dump_load": SHOUTED}, {"serialize": "json"}, "migrate(store, to='json')"),
        ({"dump_load": SHOUTED}, {"serialize": "json"}, "open it with dump_load=(encode, decode)"),
        ({"dump_load": SHOUTED}, {}, "pass them as dump_load="),
    ],
)
def test_functions_are_a_format_like_any_other(path, written, asked, advice):
    with LmdbStore(path, **written) as store:
        store["key"] = b"VALUE"
    with pytest.raises(FormatMismatchError, match=re.escape(advice)):
        LmdbStore(path, **asked)
    with LmdbStore(path, **written) as store:
        assert store["key"] == b"VALUE"


def test_a_serializer_of_ones_own_is_known_by_its_name(path):
    register_serializer("loud", *SHOUTED)
    stone(path, LmdbStore, "loud")["key"] = b"value"
    with stone(path, LmdbStore) as store:
        assert store["key"] == b"VALUE"
    code = "import sys, stones; stones.stone(sys.argv[1], stones.LmdbStore)"
    child = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "written by the serializer 'loud', which is not known here" in child.stderr


def test_a_serializer_and_functions_exclude_each_other():
    with pytest.raises(SerializerError, match="not both"):
        MemoryStore(serialize="json", dump_load=SHOUTED)


def test_a_copy_is_written_by_the_same_functions():
    store = MemoryStore(dump_load=SHOUTED)
    store["key"] = b"a"
    twin = store.copy()
    twin["other"] = b"b"
    assert dict(twin) == {b"key": b"A", b"other": b"B"}


# -- the metadata ----------------------------------------------------------------------------------


def test_a_change_of_the_metadata_begins_another_generation():
    engine = MemoryEngine()
    seen = set()
    for change in [
        lambda txn: write_formats(txn, new_metadata("json")),
        lambda txn: write_formats(txn, read_metadata(txn)),
        lambda txn: write_collection(txn, "First", {"key": "str"}),
    ]:
        engine.write(change)
        seen.add(read_generation(engine.begin()))
    assert len(seen) == 3


def test_only_the_first_collection_begins_another_generation():
    engine = MemoryEngine()
    engine.write(lambda txn: write_formats(txn, new_metadata("json")))
    engine.write(partial(write_collection, name="First", description={}))
    before = engine.begin()
    engine.write(partial(write_collection, name="Second", description={}))
    engine.write(partial(write_collection, name="First", description={"changed": True}))
    assert read_metadata(engine.begin()) == read_metadata(before)
    assert read_metadata(before).has_collections


def test_an_undone_change_of_the_metadata_is_never_taken_for_a_later_one():
    store = MemoryStore(serialize="json")
    with pytest.raises(ZeroDivisionError), store.transaction():
        with store.transaction():
            store.database.write(lambda txn: write_formats(txn, new_metadata("cbor")))
        store["key"] = 1
        assert store.database.codec.metadata.write.serializer == "cbor"
        1 / 0
    store.database.write(lambda txn: write_formats(txn, new_metadata("msgpack")))
    store["key"] = 1
    assert store.database.codec.metadata.write.serializer == "msgpack"


def test_an_id_is_never_given_to_another_serializer():
    metadata = (
        new_metadata("one")
        .migrating_to("two", False)
        .migrated()
        .migrating_to("json", False)
        .migrated()
    )
    metadata = metadata.migrating_to("three", False).migrating_to("one", False)
    assert metadata.write == Format(32, "one")
    assert {format.serializer: id for id, format in metadata.formats.items()} == {
        "one": 32,
        "two": 33,
        "json": IDS["json"],
        "three": 34,
    }


def test_there_is_an_id_for_96_serializers_of_ones_own():
    metadata = new_metadata("json")
    for number in range(96):
        metadata = metadata.migrating_to(f"own{number}", False).migrated()
    assert len(metadata.formats) == 97
    with pytest.raises(MigrationError, match="96 formats of your own"):
        metadata.migrating_to("one-more", False)
    assert metadata.migrating_to("own7", False).write.serializer == "own7"
    assert metadata.migrating_to("cbor", False).write.serializer == "cbor"


def test_the_keys_of_a_collection_are_claimed_and_no_others():
    store = MemoryStore(serialize="json")
    store.database.write(partial(write_collection, name="User", description={"key": "str"}))
    for key in [
        "User",
        "Users/1",
        "user/1",
        b"\xff/User/",
        "/User/",
        b"/" * 511,
        b"U" * 510 + b"/",
    ]:
        store[key] = 1
    with pytest.raises(ReservedKeyError, match="'User'"):
        store["User/1"] = 1
    with pytest.raises(ReservedKeyError, match="'User'"):
        del store["User/1"]


def test_a_store_of_a_later_layout_is_refused(path):
    with stone(path, LmdbStore) as store:
        put_raw(store, Space.META, b"version", b"4")
    with pytest.raises(FormatMismatchError, match="the version that wrote it, or a newer one"):
        stone(path, LmdbStore)


LISTED = {"id": 4, "serializer": "msgpack"}
WHOLE = {"write": 4, "checksums": False, "formats": [LISTED], "migration": None}
DAMAGED = [
    b"",
    b"\xff",
    b"[" * 100_000,
    b"[]",
    b"1",
    b"null",
    *(
        json.dumps(damaged).encode()
        for damaged in [
            *({name: WHOLE[name] for name in WHOLE if name != missing} for missing in WHOLE),
            WHOLE | {"generation": "1"},
            WHOLE | {"write": []},
            WHOLE | {"write": 5},
            WHOLE | {"write": 4.0},
            WHOLE | {"write": True, "formats": [LISTED | {"id": 1}]},
            WHOLE | {"checksums": None},
            WHOLE | {"checksums": 1},
            WHOLE | {"checksums": "yes"},
            WHOLE | {"migration": True},
            WHOLE | {"migration": []},
            WHOLE | {"formats": []},
            WHOLE | {"formats": LISTED},
            WHOLE | {"formats": [LISTED, LISTED]},
            WHOLE | {"formats": [LISTED, {"id": 4, "serializer": "json"}]},
            WHOLE | {"formats": [LISTED, {"id": 5, "serializer": "msgpack"}]},
        ]
    ),
    *(
        json.dumps(WHOLE | {"write": entry.get("id"), "formats": [entry]}).encode()
        for entry in [
            {},
            {"id": 4},
            LISTED | {"id": "4"},
            LISTED | {"id": 128},
            LISTED | {"id": 0},
            LISTED | {"id": -1},
            LISTED | {"id": True},
            LISTED | {"serializer": None},
            LISTED | {"compression": "zstd"},
        ]
    ),
]


def test_what_the_damaged_metadata_below_is_made_of_is_whole(path):
    with stone(path, LmdbStore, "msgpack") as store:
        put_raw(store, Space.META, b"formats", json.dumps(WHOLE).encode())
    stone(path, LmdbStore, "msgpack").close()


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_metadata_is_an_error_of_its_own(path, damage):
    with stone(path, LmdbStore, "msgpack") as store:
        put_raw(store, Space.META, b"formats", damage)
        store.database.engine.write(lambda txn: txn.put(Space.META, b"generation", b"other"))
        with pytest.raises(CorruptValueError, match="metadata"):
            store["key"] = 1
    with pytest.raises(CorruptValueError, match="metadata"):
        stone(path, LmdbStore, "msgpack")


@pytest.mark.parametrize("damage", [b"[1]", b"1", b"", b"{", b"\xff"])
def test_a_damaged_description_of_a_collection_is_an_error_of_its_own(path, damage):
    with stone(path, LmdbStore, "msgpack") as store:
        put_raw(store, Space.META, b"collection/Note", damage)
    with stone(path, LmdbStore) as store:
        with pytest.raises(CorruptValueError, match="metadata of the collection 'Note'"):
            Collection(store, Note)
        with pytest.raises(ReservedKeyError):
            store["Note/1"] = 1
        assert store.stats()["collections"] == {"Note": 0}
        with pytest.raises(CorruptValueError, match="metadata of the collection 'Note'"):
            inspect(path)


def test_a_collection_with_a_damaged_name_is_an_error_of_its_own(store):
    put_raw(store, Space.META, b"collection/\xff", b"{}")
    with pytest.raises(CorruptValueError, match="cannot be a collection"):
        store.stats()


@pytest.mark.parametrize("description", [{}, {"key": None}, {"key": "str", "record": []}])
def test_a_description_that_lacks_something_is_damaged(description):
    store = MemoryStore()
    store.database.write(partial(write_collection, name="Note", description=description))
    with pytest.raises(CorruptValueError, match="'Note' is damaged"):
        Collection(store, Note)


@pytest.mark.needs("counts in META")
@pytest.mark.parametrize("damage", [b"", b"-1", b"1.0", b"x", b"\xff", b"9" * 5000])
def test_a_damaged_count_is_an_error_of_its_own(store, damage):
    notes = Collection(store, Note)
    there = notes.add(Note("there"))
    put_raw(store, Space.META, b"count/Note", damage)
    for read in [lambda: len(notes), store.stats, lambda: notes.add(Note("new"))]:
        with pytest.raises(CorruptValueError, match="count of the collection 'Note'"):
            read()
    assert next(iter(notes)) == there


def test_a_damaged_generation_is_followed_by_another_one():
    store = MemoryStore(serialize="json")
    put_raw(store, Space.META, b"generation", b"\xff-damaged")
    store["key"] = 1
    migrate(store, "cbor")
    assert store["key"] == 1
    assert read_generation(store.database.engine.begin()).startswith(b"2-")


# -- several processes -----------------------------------------------------------------------------

FOLLOWER = """
import sys
from stones import LmdbStore, stone
from stones.engine import Space
store = stone(sys.argv[1], LmdbStore, 'pickle')
print('open', flush=True)
for line in sys.stdin:
    if line.startswith('read'):
        print(store.get('key'), flush=True)
    if line.startswith('all'):
        print(dict(store), flush=True)
    if line.startswith('write'):
        store['written'] = (1, 2)
        print(store.database.engine.get(Space.DATA, b'written')[0], flush=True)
"""


def test_a_reader_that_meets_an_unknown_format_reads_the_metadata_again(path):
    with stone(path, LmdbStore, "pickle") as store:
        store["key"] = "before"
        with Follower(FOLLOWER, path) as follower:
            assert follower.ask("read") == "before"
            migrate(store, "cbor")
            assert follower.ask("read") == "before"
            store["key"] = "after"
            assert follower.ask("all") == "{b'key': 'after'}"


def test_a_writer_writes_in_the_format_of_now(path):
    with stone(path, LmdbStore, "pickle") as store, Follower(FOLLOWER, path) as follower:
        for name in ["msgpack", "json", "pickle"]:
            migrate(store, name)
            assert int(follower.ask("write")) == IDS[name]
            assert store["written"] == (1, 2)


def test_a_store_in_the_same_process_writes_in_the_format_of_now(path):
    with stone(path, LmdbStore, "pickle") as one, stone(path, LmdbStore, "pickle") as other:
        one["key"] = (1, 2)
        migrate(other, "json")
        one["more"] = (3, 4)
        assert one.database.engine.get(Space.DATA, b"more")[0] == IDS["json"]
        assert dict(one) == dict(other) == {b"key": (1, 2), b"more": (3, 4)}


def test_a_snapshot_reads_on_in_the_formats_of_its_instant():
    store = MemoryStore(serialize="pickle")
    store["key"] = (1, 2)
    with store.snapshot() as view:
        migrate(store, "json")
        store["key"] = "after"
        assert dict(view) == {b"key": (1, 2)}
    assert store["key"] == "after"


# -- what is trusted -------------------------------------------------------------------------------

READS = [
    lambda store: store["key"],
    lambda store: store.get("key"),
    lambda store: store.get_many(["key"]),
    lambda store: list(store.values()),
    lambda store: list(store.items()),
    lambda store: list(reversed(store.values())),
    lambda store: list(store.range(prefix="k").values()),
    lambda store: store.pop("key"),
    lambda store: store.popitem(),
    lambda store: store.setdefault("key", b"default"),
    lambda store: store.deep_add("key", b"item"),
    lambda store: store.deep_remove("key", b"item"),
    lambda store: store == {b"key": 1},
    lambda store: 1 in store.values(),
    lambda store: store.copy(),
    lambda store: store | {},
    lambda store: store.snapshot()["key"],
    lambda store: dict(store.snapshot()),
]


def plant(store, bomb, id=IDS["pickle"]):
    """Put a hostile pickle at "key", and pickle among the formats of the store."""
    put_raw(store, Space.DATA, b"key", bytes([id]) + pickle.dumps(Bomb(bomb)))
    metadata = metadata_of(store)
    formats = {**metadata.formats, IDS["pickle"]: Format(IDS["pickle"], "pickle")}
    hostile = evolve(metadata, formats=formats, migration="unfinished")
    store.database.engine.write(partial(write_formats, metadata=hostile))


def test_a_pickle_can_run_code(bomb):
    store = MemoryStore()
    plant(store, bomb)
    store["key"]
    assert bomb.exists()


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("serializer", SAFE)
def test_a_store_opened_with_a_safe_serializer_never_unpickles_a_value(
    path, bomb, serializer, read
):
    with stone(path, LmdbStore, serializer) as store:
        plant(store, bomb)
    with stone(path, LmdbStore, serializer) as store:
        with pytest.raises(FormatMismatchError, match="can run code"):
            read(store)
        assert "key" in store
        assert len(store) == 1
        with pytest.raises(MigrationError, match="b'key' is pickled"):
            migrate(store, "cbor" if serializer != "cbor" else "json")
        store["key"] = b"harmless"
        assert dict(store) == {b"key": b"harmless"}
    assert not bomb.exists()


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("options", [{"dump_load": SHOUTED}, {"serialize": "own"}])
def test_functions_of_ones_own_do_not_make_pickles_trusted(bomb, options, read):
    register_serializer("own", *SHOUTED)
    store = MemoryStore(**options)
    plant(store, bomb)
    with pytest.raises(FormatMismatchError, match="can run code"):
        read(store)
    assert not bomb.exists()


@pytest.mark.parametrize("read", READS)
def test_a_store_opened_with_trust_pickle_false_never_unpickles_a_value(path, bomb, read):
    with stone(path, LmdbStore, "pickle") as store:
        put_raw(store, Space.DATA, b"key", b"\x01" + pickle.dumps(Bomb(bomb)))
    for serialize in [None, "pickle"]:
        store = LmdbStore(path, serialize=serialize, trust_pickle=False)
        with store, pytest.raises(FormatMismatchError, match="can run code"):
            read(store)
    assert not bomb.exists()


def test_a_collection_in_a_store_opened_with_trust_pickle_false_is_not_unpickled(path):
    with stone(path, LmdbStore, "pickle") as store:
        Collection(store, Note).add(Note("text"))
    with LmdbStore(path, trust_pickle=False) as store:
        notes = Collection(store, Note)
        for read in [
            lambda: list(notes.values()),
            lambda: list(notes.find(text="text")),
            lambda: notes["text"],
        ]:
            with pytest.raises(FormatMismatchError, match="can run code"):
                read()
        assert list(notes) == ["text"]


def test_a_store_opened_with_trust_pickle_false_can_write_pickles(path):
    with LmdbStore(path, trust_pickle=False) as store:
        store["key"] = (1, 2)
        assert list(store) == [b"key"]
    assert stone(path, LmdbStore)["key"] == (1, 2)


def test_a_store_opened_with_a_safe_serializer_reads_pickles_if_told_to():
    store = MemoryStore(serialize="json", trust_pickle=True)
    plant(store, "ignored")
    put_raw(store, Space.DATA, b"key", b"\x01" + pickle.dumps((1, 2)))
    assert store["key"] == (1, 2)


def test_a_safe_store_that_somebody_migrates_to_pickle_reads_no_pickle(path, bomb):
    with stone(path, LmdbStore, "msgpack") as store:
        store["key"] = 1
        code = """if True:
            import sys
            from stones import LmdbStore, migrate, stone
            migrate(stone(sys.argv[1], LmdbStore), 'pickle')
        """
        run(code, path)
        put_raw(store, Space.DATA, b"key", b"\x01" + pickle.dumps(Bomb(bomb)))
        for read in READS:
            with pytest.raises(FormatMismatchError, match="can run code"):
                read(store)
        store["key"] = (1, 2)
        with pytest.raises(FormatMismatchError, match="can run code"):
            store["key"]
    assert not bomb.exists()
    assert stone(path, LmdbStore)["key"] == (1, 2)


def hostile_metadata(bomb):
    """Keys and values of metadata that an attacker may have written into the file."""
    pickled = pickle.dumps(Bomb(bomb))
    for key in [b"formats", b"version", b"generation", b"collection/User", b"count/User"]:
        yield key, pickled
        yield key, b"\x01" + pickled
    for name in ["pickle", "pickle-0.3", "pickle-0.3-0.3", "custom", "noop-0.3", "-0.3", ""]:
        for write in [1, 4]:
            listed = [{"id": 1, "serializer": "msgpack"}, {"id": 4, "serializer": "msgpack"}]
            listed[write == 4]["serializer"] = name
            for migration in [None, "begun"]:
                for checksums in [False, True]:
                    formats = {
                        "write": write,
                        "checksums": checksums,
                        "formats": listed,
                        "migration": migration,
                    }
                    yield b"formats", json.dumps(formats).encode()


@pytest.mark.parametrize("serializer", [*SAFE, None])
def test_metadata_cannot_make_a_safe_store_unpickle(tmp_path, bomb, serializer):
    for number, (key, raw) in enumerate(hostile_metadata(bomb)):
        path = str(tmp_path / str(number))
        with stone(path, LmdbStore, serializer or "msgpack") as store:
            for id in [1, 2, 3, 4, 5]:
                put_raw(store, Space.DATA, b"%d" % id, bytes([id]) + pickle.dumps(Bomb(bomb)))
                name, first = b"with checksum %d" % id, bytes([id | CHECKSUM_BIT])
                put_raw(
                    store, Space.DATA, name, with_checksum(first, name, pickle.dumps(Bomb(bomb)))
                )
            put_raw(store, Space.META, key, raw)
        try:
            store = LmdbStore(path, serialize=serializer, trust_pickle=False)
        except StoneError:
            continue
        for key in store:
            with contextlib.suppress(StoneError):
                store[key]
        try:
            store["new"] = b"value"
            migrate(store, "json")
        except StoneError:
            pass
        store.close()
    assert number > 30
    assert not bomb.exists()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([1, 4, "pickle"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from([*WHOLE, *LISTED]),
            inner,
        )
    ),
)


@given(
    json_values
    | st.fixed_dictionaries({name: st.just(WHOLE[name]) | json_values for name in WHOLE})
)
def test_whatever_the_metadata_says_it_is_read_or_refused(listed):
    store = MemoryStore(serialize="json")
    store["key"] = 1
    put_raw(store, Space.META, b"formats", json.dumps(listed).encode())
    with contextlib.suppress(StoneError):
        Codec(metadata_of(store), FormatRequest.from_arguments("json"))
