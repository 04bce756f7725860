"""What a store has beyond a dict: ranges, containers, backups; how it is opened and closed."""

import gc
import operator
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from tempfile import TemporaryDirectory

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CorruptValueError,
    FormatMismatchError,
    InvalidKeyError,
    KeyTypeError,
    LmdbStore,
    MemoryStore,
    ReservedKeyError,
    SerializerError,
    StoneError,
    Store,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
    ValueTypeError,
    key,
    migrate,
    stone,
)
from stones.engine import Space

# -- opening ---------------------------------------------------------------------------------------


def test_a_store_is_in_memory_unless_told_otherwise(tmp_path):
    assert type(stone("any name")) is MemoryStore
    assert type(stone(tmp_path / "db", LmdbStore)) is LmdbStore


def test_stores_in_memory_of_the_same_name_are_different_stores():
    one, other = stone("name"), stone("name")
    one[b"k"] = 1
    assert len(other) == 0


def test_a_store_may_be_opened_with_entries(open_store):
    store = open_store(options={"iterable": [("a", 1)], "kwargs": {"b": 2}})
    assert store == {b"a": 1, b"b": 2}


MALFORMED = [
    ({"serialize": "xml"}, SerializerError, "no serializer 'xml'"),
    ({"serialize": ["json"]}, SerializerError, "the name of a serializer"),
    ({"serialize": "json", "dump_load": (str.encode, bytes.decode)}, SerializerError, "not both"),
    ({"dump_load": (str.encode,)}, SerializerError, "pair of functions"),
    ({"dump_load": str.encode}, SerializerError, "pair of functions"),
    ({"dump_load": (str.encode, "decode")}, SerializerError, "two functions"),
    ({"key_type": int}, KeyTypeError, "bytes or str"),
    ({"key_type": "str"}, KeyTypeError, "bytes or str"),
    ({"value_type": []}, ValueTypeError, "a class"),
    ({"options": {"trust_pickle": "yes"}}, ValueTypeError, "trust_pickle"),
    ({"options": {"iterable": [(1, 2)]}}, KeyTypeError, "bytes or str"),
    ({"options": {"unknown": 1}}, TypeError, "unknown"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"), MALFORMED, ids=lambda value: str(value)[:40]
)
@pytest.mark.parametrize("kind", [MemoryStore, LmdbStore])
def test_a_store_that_cannot_be_opened_as_asked_is_an_error(
    tmp_path, kind, options, error, message
):
    with pytest.raises(error, match=message):
        stone(tmp_path / "db", kind, **options)
    with stone(tmp_path / "db", kind) as store:  # nothing is left that would stand in the way
        assert len(store) == 0


@pytest.mark.parametrize("kind", [dict, Store, "lmdb", MemoryStore()], ids=repr)
def test_what_is_no_kind_of_store_cannot_be_opened(kind):
    with pytest.raises(StoreOpenError, match="use MemoryStore, LmdbStore or another class"):
        stone("name", kind)


# -- ranges ----------------------------------------------------------------------------------------

KEYS = [b"", b"\x00", b"a", b"a\x00", b"ab", b"b", b"b\xff", b"\xff", b"\xff\xff", b"\xff\xff\x00"]
bounds = st.none() | st.sampled_from(KEYS)
limits = st.none() | st.integers(0, 4) | st.just(sys.maxsize + 1)


def in_range(entries, ge=None, gt=None, le=None, lt=None, prefix=None, reverse=False, limit=None):
    """The slow twin of range()."""
    found = [
        (key, value)
        for key, value in sorted(entries.items(), reverse=reverse)
        if (ge is None or key >= ge)
        and (gt is None or key > gt)
        and (le is None or key <= le)
        and (lt is None or key < lt)
        and (prefix is None or key.startswith(prefix))
    ]
    return dict(found[:limit])


def check_range(store, entries, options):
    found, twin = store.range(**options), in_range(entries, **options)
    assert list(found.items()) == list(twin.items())
    assert list(found) == list(found.keys()) == list(twin)
    assert list(found.values()) == list(twin.values())
    assert list(reversed(found)) == list(reversed(twin))
    assert list(reversed(found.items())) == list(reversed(twin.items()))
    assert list(reversed(found.values())) == list(reversed(twin.values()))
    assert (len(found), bool(found)) == (len(twin), bool(twin))
    assert [key in found for key in KEYS[1:]] == [key in twin for key in KEYS[1:]]
    assert [found.get(key) for key in KEYS[1:]] == [twin.get(key) for key in KEYS[1:]]
    assert found == twin


@pytest.mark.parametrize("kind", [MemoryStore, LmdbStore])
def test_a_range_is_what_a_filter_over_all_entries_finds(kind):
    @given(
        keys=st.sets(st.sampled_from(KEYS[1:])),
        lower=st.sampled_from(["ge", "gt"]),
        upper=st.sampled_from(["le", "lt"]),
        low=bounds,
        high=bounds,
        prefix=bounds,
        reverse=st.booleans(),
        limit=limits,
    )
    def check(keys, lower, upper, low, high, prefix, reverse, limit):
        store.clear()
        entries = {key: key[::-1] for key in keys}
        store.update(entries)
        options = {lower: low, upper: high, "reverse": reverse, "limit": limit}
        check_range(store, entries, options)
        check_range(store, entries, options | {"prefix": prefix})
        with store.snapshot() as view:
            check_range(view, entries, options | {"prefix": prefix})

    with TemporaryDirectory() as folder, stone(folder, kind) as store:
        check()


@pytest.mark.parametrize("reverse", [False, True])
def test_the_pages_of_a_prefix_are_read_one_after_the_other(store, reverse):
    store.update({f"{run}/{number}": number for run in ("a", "b", "c") for number in range(7)})
    side, pages, last = "lt" if reverse else "gt", [], None
    while page := list(store.range(prefix="b/", reverse=reverse, limit=3, **{side: last})):
        last = page[-1]
        pages.append(page)
    expected = sorted((b"b/%d" % number for number in range(7)), reverse=reverse)
    assert pages == [expected[:3], expected[3:6], expected[6:]]


def test_bounds_outside_of_a_prefix_leave_all_of_it_or_nothing(store):
    store.update({"a": 1, "b/1": 2, "b/2": 3, "c": 4})
    assert list(store.range(prefix="b/", ge="a", lt="c")) == [b"b/1", b"b/2"]
    for nothing in ({"lt": "a"}, {"ge": "c"}, {"le": "b"}, {"gt": "b/2", "lt": "b/1"}):
        assert list(store.range(prefix="b/", **nothing)) == []
        assert len(store.range(prefix="b/", reverse=True, **nothing)) == 0


def test_a_range_reads_nothing_before_it_is_asked(store):
    found = store.range(ge="b")
    store.update(a=1, b=2)
    assert dict(found) == {b"b": 2}
    store[b"c"] = 3
    assert dict(found) == {b"b": 2, b"c": 3}
    assert "Range of" in repr(found)
    assert repr(found.keys()) == f"Keys({found!r})"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ge": b"a", "gt": b"a"}, InvalidKeyError),
        ({"prefix": b"a", "ge": b"a", "gt": b"a"}, InvalidKeyError),
        ({"le": b"a", "lt": b"a"}, InvalidKeyError),
        ({"limit": -1}, InvalidKeyError),
        ({"limit": "1"}, ValueTypeError),
        ({"limit": 1.5}, ValueTypeError),
        ({"ge": 1}, KeyTypeError),
        ({"prefix": []}, KeyTypeError),
    ],
    ids=repr,
)
def test_a_range_that_makes_no_sense_is_an_error_at_once(store, options, error):
    with pytest.raises(error, match=r"range\(\)|bytes or str|limit"):
        store.range(**options)


def test_a_range_is_read_only(store):
    with pytest.raises(TypeError):
        store.range()[b"k"] = 1


# -- single operations ---------------------------------------------------------------------------


def test_get_many_gives_what_is_there_in_the_order_asked(store):
    store.update(a=1, b=2, c=None)
    found = store.get_many(["c", b"missing", "a", "a"])
    assert list(found.items()) == [(b"c", None), (b"a", 1)]
    assert store.get_many([]) == {}
    assert store.get_many(key for key in store if store[key] == 2) == {b"b": 2}


def test_put_says_whether_it_wrote(store):
    assert store.put("k", 1) is True
    assert store.put("k", 2, overwrite=False) is False
    assert store.put("new", 3, False) is True
    assert store.put("k", 4) is True
    assert store == {b"k": 4, b"new": 3}


def test_delete_says_whether_it_was_there(store):
    store[b"k"] = 1
    assert store.delete("k") is True
    assert store.delete("k") is False


CANNOT_HOLD = [
    ("pickle", lambda: 0),
    ("json", 1j),
    ("cbor", object()),
    ("msgpack", [1, {2: object}]),
    ("noop", "text"),
]


@pytest.mark.parametrize(("serialize", "value"), CANNOT_HOLD, ids=[name for name, _ in CANNOT_HOLD])
@pytest.mark.parametrize(
    "act",
    [
        lambda s, value: s.__setitem__(b"k", value),
        lambda s, value: s.put(b"k", value),
        lambda s, value: s.setdefault(b"new", value),
        lambda s, value: s.update(a=b"", k=value),
        lambda s, value: s.deep_add(b"new", value),
    ],
    ids=["[]=", "put", "setdefault", "update", "deep_add"],
)
def test_a_value_that_cannot_be_held_is_an_error_and_nothing_is_written(
    open_store, serialize, value, act
):
    store = open_store(serialize=serialize, value_type=list)
    store[b"k"] = b"kept"
    with pytest.raises(SerializerError, match=f"{serialize} cannot hold"):
        act(store, value)
    assert store == {b"k": b"kept"}
    store[b"more"] = b""
    assert len(store) == 2


def test_functions_that_make_no_bytes_cannot_hold_anything(open_store):
    store = open_store(dump_load=(lambda value: value, lambda raw: raw))
    store[b"k"] = b"v"
    with pytest.raises(SerializerError, match="returned str"):
        store[b"k"] = "v"
    assert store == {b"k": b"v"}


# -- containers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_deep_add_makes_the_container_and_adds_to_it(open_store, kind):
    store = open_store(value_type=kind)
    store.deep_add("k", 1)
    assert type(store["k"]) is kind
    store.deep_add(b"k", 2)
    store.deep_add("k", 2)
    assert store["k"] == kind([1, 2, 2])


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_deep_remove_takes_out_and_says_whether_it_was_in_there(open_store, kind):
    store = open_store(value_type=kind)
    store["k"] = kind([1, 2, 3, 1])
    assert store.deep_remove("k", 1) is True
    assert store["k"] == kind([2, 3, 1] if kind in (list, tuple) else [2, 3])
    assert store.deep_remove("k", 4) is False
    assert store.deep_remove("missing", 4) is False
    assert list(store) == [b"k"]


def test_an_emptied_container_stays(open_store):
    store = open_store(value_type=list)
    store.deep_add("k", None)
    store.deep_remove("k", None)
    assert store == {b"k": []}


def test_a_container_of_another_kind_becomes_one_of_the_stores(open_store):
    store = open_store(value_type=tuple)
    store["k"] = [1]
    store.deep_add("k", 2)
    assert store["k"] == (1, 2)


@pytest.mark.parametrize("value", [5, None, "text", b"bytes", {"a": 1}])
@pytest.mark.parametrize("act", [Store.deep_add, Store.deep_remove])
def test_what_is_no_container_is_left_alone(open_store, value, act):
    store = open_store(value_type=list)
    store["k"] = value
    with pytest.raises(ValueTypeError, match=type(value).__name__):
        act(store, "k", "t")
    assert store == {b"k": value}


def test_a_value_without_a_hash_cannot_go_into_a_set(open_store):
    store = open_store(value_type=set)
    store.deep_add("k", 1)
    with pytest.raises(ValueTypeError, match="unhashable"):
        store.deep_add("k", [])
    assert store == {b"k": {1}}


@pytest.mark.parametrize("kind", [bytes, dict, str])
def test_a_store_of_another_value_type_has_no_containers(open_store, kind):
    store = open_store(value_type=kind)
    for act in (store.deep_add, store.deep_remove):
        with pytest.raises(
            ValueTypeError, match=f"not on {kind.__name__}: open .* value_type=list"
        ):
            act("k", 1)
    assert len(store) == 0


# -- the keys of collections -----------------------------------------------------------------------


@define
class User:
    name: str = key()


@pytest.fixture
def users(store):
    store.update(a=1, z=2)
    users = Collection(store, User, name="users")
    users.add(User("Ada"))
    return users


@pytest.mark.parametrize(
    "act",
    [
        lambda s, key: s.__setitem__(key, 1),
        lambda s, key: s.put(key, 1, overwrite=False),
        lambda s, key: s.__delitem__(key),
        lambda s, key: s.delete(key),
        lambda s, key: s.pop(key),
        lambda s, key: s.update({"new": 1, key: 1}),
        lambda s, key: s.deep_add(key, 1),
        lambda s, key: s.deep_remove(key, 1),
        lambda s, key: s.setdefault(b"users/new", 1),
        lambda s, key: (s.pop("z"), s.popitem()),
    ],
)
def test_the_keys_of_a_collection_can_be_read_but_not_written(store, users, act):
    record = next(iter(store.range(prefix="users/")))
    with pytest.raises(ReservedKeyError, match="'users'"), store.transaction():
        act(store, record)
    assert store[record] == store.setdefault(record, None) == {"name": "Ada"}
    assert list(store) == [b"a", record, b"z"]
    assert store.stats()["collections"] == {"users": 1}


def test_clear_empties_collections_too(store, users):
    store.clear()
    assert (len(store), len(users)) == (0, 0)
    assert store.stats()["collections"] == {"users": 0}
    users.add(User("Bob"))
    assert store.copy() == store


# -- the store as a whole ------------------------------------------------------------------------


def test_stats_counts_what_is_in_the_store(open_store):
    store = open_store(serialize="json")
    store.update(a=1, b=2)
    assert store.stats().items() >= {"entries": 2, "serializer": "json", "collections": {}}.items()
    with store.transaction():
        del store["a"]
        assert store.stats()["entries"] == 1


def test_a_backup_is_the_store_at_one_instant(open_store, tmp_path):
    store = open_store(serialize="msgpack")
    store.update(a=[1, (2,)], b=None)
    with store.transaction():
        store["later"] = 1
        store.backup(tmp_path / "copy")
    store["later"] = 2
    with stone(tmp_path / "copy", LmdbStore) as copy:
        assert copy == {b"a": [1, (2,)], b"b": None}
        assert copy.stats()["serializer"] == "msgpack"
        copy["c"] = 3
    assert "c" not in store


def test_a_backup_has_the_collections(store, users, tmp_path):
    store.backup(str(tmp_path / "copy"))
    with stone(tmp_path / "copy", LmdbStore) as copy:
        assert Collection(copy, User, name="users")["Ada"] == User("Ada")
        assert copy.stats()["collections"] == {"users": 1}


def test_a_backup_does_not_overwrite(store, tmp_path):
    tmp_path.joinpath("there").mkdir()
    tmp_path.joinpath("there", "file").write_text("mine")
    with pytest.raises(StoneError, match="there already"):
        store.backup(tmp_path / "there")
    assert os.listdir(tmp_path / "there") == ["file"]


def test_leaving_the_block_closes_the_store(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        store["k"] = 1
    with pytest.raises(StoreClosedError):
        store["k"]
    with stone(tmp_path / "db", LmdbStore) as store:
        assert store == {b"k": 1}


USES = {
    "[]": lambda s: s["k"],
    "[]=": lambda s: s.__setitem__("k", 1),
    "del": lambda s: s.__delitem__("k"),
    "in": lambda s: "k" in s,
    "len": len,
    "bool": bool,
    "iter": list,
    "reversed": lambda s: list(reversed(s)),
    "get": lambda s: s.get("k"),
    "get_many": lambda s: s.get_many(["k"]),
    "keys": lambda s: list(s.keys()),
    "values": lambda s: list(s.values()),
    "items": lambda s: list(s.items()),
    "range": lambda s: list(s.range(ge="a")),
    "put": lambda s: s.put("k", 1),
    "delete": lambda s: s.delete("k"),
    "pop": lambda s: s.pop("k", None),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("k"),
    "update": lambda s: s.update(),
    "clear": lambda s: s.clear(),
    "deep_add": lambda s: s.deep_add("k", 1),
    "deep_remove": lambda s: s.deep_remove("k", 1),
    "copy": lambda s: s.copy(),
    "==": lambda s: s == {},
    "|": lambda s: s | {},
    "|=": lambda s: operator.ior(s, {}),
    "reflected |": lambda s: {} | s,
    "transaction": lambda s: s.transaction().__enter__(),
    "snapshot": lambda s: s.snapshot(),
    "stats": lambda s: s.stats(),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_says_so_whatever_is_asked_of_it(open_store, use):
    store = open_store(value_type=list)
    store["k"] = []
    store.close()
    with pytest.raises(StoreClosedError, match="is closed"):
        USES[use](store)


def test_a_closed_store_is_not_backed_up(store, tmp_path):
    store.close()
    with pytest.raises(StoreClosedError):
        store.backup(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_store_can_be_closed_again(store):
    store.close()
    store.close()
    with store as same:
        assert same is store


def test_closing_ends_what_is_under_way(store):
    store.update(a=1, b=2)
    entries = iter(store.items())
    assert next(entries) == (b"a", 1)
    store.close()
    with pytest.raises(StoreClosedError):
        next(entries)


@pytest.mark.needs("snapshots")
def test_closing_ends_snapshots(store):
    store.update(a=1, b=2)
    view = store.snapshot()
    kept = iter(view)
    assert next(kept) == b"a"
    store.close()
    with pytest.raises(StoreClosedError):
        next(kept)
    with pytest.raises(StoreClosedError):
        view["a"]
    view.close()


def test_a_store_is_not_closed_inside_its_own_transaction(store):
    with store.transaction():
        store["k"] = 1
        for act in (store.close, lambda: store.destroy(yes_im_sure=True)):
            with pytest.raises(TransactionError, match="close"):
                act()
    assert store == {b"k": 1}


def test_a_store_that_is_dropped_is_closed(tmp_path):
    store = stone(tmp_path / "db", LmdbStore)
    engine = store.database.engine
    del store
    gc.collect()
    with pytest.raises(StoreClosedError):
        engine.begin()


def test_what_a_closed_store_in_memory_held_is_gone():
    store = stone("name", serialize="noop")

    def fill_and_close():
        store[b"k"] = bytes(10_000_000)
        store.close()

    assert held_after(fill_and_close) < LITTLE


def test_destroy_does_nothing_to_the_unsure(store):
    store["k"] = 1
    store.destroy()
    store.destroy(yes_im_sure=False)
    assert store == {b"k": 1}


def test_destroy_leaves_nothing(open_store, tmp_path):
    store = open_store()
    store["k"] = 1
    store.destroy(yes_im_sure=True)
    with pytest.raises(StoreClosedError):
        store["k"]
    store.destroy(yes_im_sure=True)
    assert os.listdir(tmp_path) == []


# -- what is damaged -------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02{", b"\x01garbage", b"\xee"], ids=repr)
@pytest.mark.parametrize("serialize", ["json", "pickle"])
def test_a_damaged_value_is_an_error_that_names_its_key(open_store, raw, serialize):
    store = open_store(serialize=serialize)
    store.update(a=1, b=2, c=3)
    store.database.engine.write(lambda txn: txn.put(Space.DATA, b"b", raw))
    for read in (
        lambda: store["b"],
        lambda: store.get("b"),
        lambda: store.get_many(["a", "b"]),
        lambda: store.setdefault("b", 1),
        lambda: store.pop("b"),
        lambda: list(store.items()),
        lambda: list(store.values()),
    ):
        with pytest.raises(CorruptValueError, match="b'b'"):
            read()
    assert (list(store), store["a"], list(store.range(gt="b").values())) == (
        [b"a", b"b", b"c"],
        1,
        [3],
    )
    del store["b"]
    assert store == {b"a": 1, b"c": 3}


@pytest.mark.needs("snapshots")
def test_a_damaged_value_is_an_error_in_a_snapshot_too(store):
    store["b"] = 2
    store.database.engine.write(lambda txn: txn.put(Space.DATA, b"b", b"\xee"))
    with store.snapshot() as view, pytest.raises(CorruptValueError, match="b'b'"):
        view["b"]


# -- formats that change while the store is open -------------------------------------------------


def test_a_store_reads_what_another_one_writes_in_a_new_format(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as writer, stone(tmp_path / "db", LmdbStore) as reader:
        writer.update((f"{n:03}", [n]) for n in range(300))
        entries = iter(reader.items())
        assert next(entries) == (b"000", [0])
        migrate(writer, "json")
        writer["new"] = (1, 2)
        assert reader["000"] == [0]
        assert reader.get("new") == (1, 2)
        assert reader.get_many(["001", "new"]) == {b"001": [1], b"new": (1, 2)}
        assert len(list(entries)) == 299
        assert reader == writer
        reader["from the other"] = 1
        assert writer["from the other"] == 1
        assert reader.stats()["serializer"] == "json"


def test_a_store_that_cannot_read_the_new_format_says_so_and_lets_go(tmp_path):
    with (
        stone(tmp_path / "db", LmdbStore, serialize="json") as writer,
        stone(tmp_path / "db", LmdbStore, serialize="json") as reader,
    ):
        writer["k"] = "v"
        migrate(writer, dump_load=(str.encode, bytes.decode))
        before = writer.stats()["readers"]
        for act in (reader.snapshot, lambda: reader["k"], lambda: list(reader.items())):
            with pytest.raises(FormatMismatchError, match="dump_load"):
                act()
        with pytest.raises(FormatMismatchError, match="dump_load"):
            reader["k"] = "w"
        assert writer.stats()["readers"] == before
        assert writer == {b"k": "v"}


def test_threads_read_and_write_on_while_a_process_migrates(tmp_path):
    expected = {b"%03d" % n: (n, [str(n)]) for n in range(300)}
    program = (
        "import sys\nfrom stones import LmdbStore, migrate, stone\n"
        "with stone(sys.argv[1], LmdbStore) as store:\n"
        "    for target in ['json', 'cbor', 'msgpack', 'pickle'] * 2: migrate(store, target)\n"
    )
    with stone(tmp_path / "db", LmdbStore) as store, ThreadPoolExecutor(3) as pool:
        store.update(expected)
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "db")])

        def read():
            while process.poll() is None:
                assert dict(store.items()) == expected
                assert store.get_many(expected) == expected
                assert all(store[key] == value for key, value in expected.items())

        def write():
            while process.poll() is None:
                for key, value in expected.items():
                    store[key] = value

        for future in [pool.submit(read), pool.submit(read), pool.submit(write)]:
            future.result(60)
        assert process.returncode == 0
        assert store == expected
        assert store.stats()["serializer"] == "pickle"


# -- memory ----------------------------------------------------------------------------------------

MANY = 200_000
LITTLE = 1_000_000  # a list of them would take twenty times that


def traced(act):
    """How many bytes Python has taken in `act`: what is left of them, and how many at most."""
    gc.collect()
    tracemalloc.start()
    try:
        act()
        gc.collect()
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def held_after(act):
    return traced(act)[0]


def peak(act):
    return traced(act)[1]


def numbers():
    return ((b"%06d" % n, n) for n in range(MANY))


def test_an_update_from_a_generator_takes_constant_memory_on_disk(tmp_path):
    with stone(tmp_path / "db", LmdbStore, serialize="msgpack") as store:
        assert peak(lambda: store.update(numbers())) < LITTLE
        assert len(store) == MANY


@pytest.mark.parametrize("kind", [MemoryStore, LmdbStore])
def test_reading_takes_constant_memory(tmp_path, kind):
    with stone(tmp_path / "db", kind, serialize="msgpack") as store:
        store.update(numbers())
        assert peak(lambda: all(True for _ in store.items())) < LITTLE
        assert peak(lambda: next(islice(store, MANY - 1, None))) < LITTLE


def test_what_is_rolled_back_is_not_kept_in_memory():
    store = stone("name", serialize="noop")

    def fail():
        with pytest.raises(ZeroDivisionError):
            store.update((b"%03d" % n, bytes(10_000) if n < 999 else 1 // 0) for n in range(1000))

    assert held_after(fail) < LITTLE
