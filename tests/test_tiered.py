"""A Tiered is a dict over two stores: a small one in front of one that has every entry."""

import gc
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    LmdbStore,
    MemoryStore,
    ReservedKeyError,
    SerializerError,
    StoreClosedError,
    StoreOpenError,
    Tiered,
    TransactionError,
    UnknownOutcomeError,
    ValueTypeError,
    key,
)
from stones.engine import Space

from .processes import Follower, in_child, run


@pytest.fixture(params=["memory before lmdb", "lmdb before lmdb", "lmdb before memory"])
def open_tiered(request, tmp_path):
    """Opens a Tiered; on disk it has the same stores at each call."""
    before, _, behind = request.param.partition(" before ")
    with ExitStack() as stack:

        def store(kind, name):
            return LmdbStore(tmp_path / name) if kind == "lmdb" else MemoryStore()

        def open_tiered(size=2, **options):
            tiered = Tiered(store(before, "fast"), store(behind, "slow"), size, **options)
            return stack.enter_context(tiered)

        yield open_tiered


@pytest.fixture
def tiered(open_tiered):
    return open_tiered()


@define
class User:
    name: str = key()
    age: int


# -- a dict ------------------------------------------------------------------------------------


def test_what_is_written_is_in_both_stores(tiered):
    tiered["a"] = (1, None)
    assert tiered["a"] == tiered.fast["a"] == tiered.slow["a"] == (1, None)


def test_what_is_read_is_kept_in_the_fast_store(tiered):
    tiered.slow["a"] = 1
    assert (dict(tiered.fast), tiered["a"], dict(tiered.fast)) == ({}, 1, {b"a": 1})


def test_a_kept_entry_is_not_read_from_the_slow_store(tiered):
    tiered["a"] = 1
    tiered.slow["a"] = 2
    assert (tiered["a"], tiered.get("a"), tiered.get_many("a")) == (1, 1, {b"a": 1})


@pytest.mark.parametrize("value", [None, 0, "", b"", [], False])
def test_a_value_that_is_false_is_kept_as_any_other(tiered, value):
    tiered["a"] = value
    assert tiered["a"] == value
    assert "a" in tiered
    assert tiered.fast["a"] == value


def test_the_fast_store_has_at_most_size_entries_and_the_least_used_go_first(tiered):
    tiered.update(a=1, b=2, c=3)
    for name in "abac":
        assert tiered[name] == tiered.slow[name]
    assert list(tiered.fast) == [b"a", b"c"]
    assert len(tiered) == 3


def test_a_missing_key_is_not_remembered(tiered):
    with pytest.raises(KeyError, match="'a'"):
        tiered["a"]
    tiered.slow["a"] = 1
    assert tiered["a"] == 1


def test_iteration_and_ranges_come_from_the_slow_store(tiered):
    tiered.update(a=1, b=2, c=3, d=4)
    assert list(tiered) == list(tiered.keys()) == [b"a", b"b", b"c", b"d"]
    assert list(reversed(tiered)) == [b"d", b"c", b"b", b"a"]
    assert list(tiered.values()) == [1, 2, 3, 4]
    assert dict(tiered.items()) == dict(tiered)
    assert list(tiered.range(gt="a", limit=2)) == [b"b", b"c"]
    assert tiered == {b"a": 1, b"b": 2, b"c": 3, b"d": 4}
    assert tiered == tiered.slow


def test_any_store_can_be_the_slow_one(open_store):
    tiered = Tiered(MemoryStore(), open_store(value_type=list), 2)
    tiered.update(a=1, b=None, c=(1, 2))
    assert tiered.get_many("abcd") == {b"a": 1, b"b": None, b"c": (1, 2)}
    with tiered.transaction():
        tiered["a"] = 2
        del tiered["b"]
    tiered.transact(lambda: tiered.put("d", [3]))
    assert dict(tiered) == {b"a": 2, b"c": (1, 2), b"d": [3]}
    assert {name: tiered.pop(name) for name in "acd"} == {"a": 2, "c": (1, 2), "d": [3]}
    assert (len(tiered), len(tiered.fast)) == (0, 0)


KEYS = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.none() | st.integers(0, 3) | st.tuples(st.text(max_size=2))
STEPS = st.one_of(
    st.tuples(st.sampled_from(["get", "delete", "pop", "contains", "forget"]), KEYS),
    st.tuples(st.sampled_from(["put", "put new", "setdefault"]), KEYS, VALUES),
    st.tuples(st.just("get_many"), st.lists(KEYS, max_size=4)),
    st.tuples(st.sampled_from(["update", "pairs"]), st.dictionaries(KEYS, VALUES, max_size=4)),
    st.tuples(st.sampled_from(["clear", "popitem", "undone", "done", "again"])),
)


def do(store, name, *arguments):
    """One step on a Tiered, or on the dict that stands beside it."""
    is_tiered = isinstance(store, Tiered)
    match name, *arguments:
        case "get", name:
            return store.get(name, "missing")
        case "contains", name:
            return name in store
        case "forget", name:
            return store.forget(name) if is_tiered else None
        case "delete", name:
            return store.delete(name) if is_tiered else store.pop(name, store) is not store
        case "pop", name:
            return store.pop(name, "missing")
        case "put", name, value:
            store[name] = value
        case "put new", name, value:
            if is_tiered:
                return store.put(name, value, overwrite=False)
            return name not in store and store.setdefault(name, value) is value
        case "setdefault", name, value:
            return store.setdefault(name, value)
        case "get_many", names:
            if is_tiered:
                return store.get_many(names)
            return {name: store[name] for name in names if name in store}
        case "update", entries:
            store.update(entries)
        case "pairs", entries:
            store.update(iter(entries.items()))
        case ("clear",):
            store.clear()
        case ("popitem",):
            if is_tiered:
                return store.popitem() if len(store) else None
            return (last := max(store), store.pop(last)) if store else None
    return None


@pytest.mark.parametrize("size", [1, 2, 3])
@given(steps=st.lists(STEPS, max_size=25))
def test_it_does_what_a_dict_does(size, steps):
    model = {}
    fast = MemoryStore(key_type=str, serialize="json")
    tiered = Tiered(fast, MemoryStore(key_type=str), size)
    for step in steps:
        match step:
            case ("undone",):
                with pytest.raises(ZeroDivisionError), tiered.transaction():
                    tiered["a"] = tiered["z"] = 7
                    tiered.pop("b", None)
                    assert tiered["a"] == 7
                    raise ZeroDivisionError
            case ("done",):
                with tiered.transaction():
                    tiered["c"] = 8
                    with pytest.raises(ZeroDivisionError), tiered.transaction():
                        tiered["c"] = 9
                        raise ZeroDivisionError
                model["c"] = 8
            case ("again",):
                tiered = Tiered(fast, tiered.slow, size)
            case _:
                assert do(tiered, *step) == do(model, *step)
        assert len(fast) <= size
        assert all(fast[name] == model[name] for name in fast)
    assert dict(tiered) == model
    assert {name: tiered[name] for name in model} == model


# -- what others write -------------------------------------------------------------------------


OTHER = """
import sys
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
print('open', flush=True)
for line in sys.stdin:
    name, value = line.split()
    store[name] = int(value)
    print('written', flush=True)
"""


def test_what_another_process_writes_is_seen_once_the_entry_has_left(tmp_path):
    with (
        Tiered(MemoryStore(), LmdbStore(tmp_path / "slow"), 10) as tiered,
        Follower(OTHER, tmp_path / "slow") as other,
    ):
        tiered["a"] = 1
        other.ask("a 2")
        assert (tiered["a"], tiered.slow["a"]) == (1, 2)
        tiered.forget("a")
        assert tiered["a"] == 2
        other.ask("a 3")
        tiered.forget()
        assert tiered["a"] == 3


def test_with_max_age_an_entry_leaves_after_so_many_seconds(open_tiered):
    tiered = open_tiered(max_age=0.0)
    tiered["a"] = 1
    tiered.slow["a"] = 2
    assert tiered["a"] == 2
    lasting = open_tiered(max_age=1000)
    lasting["b"] = 1
    lasting.slow["b"] = 2
    assert lasting["b"] == 1


def test_records_of_collections_are_never_kept_in_the_fast_store(tiered):
    users = Collection(tiered.slow, User)
    users.add(User("ada", 36))
    assert tiered["User/ada"]["age"] == 36
    assert tiered.get_many(["User/ada"])[b"User/ada"]["age"] == 36
    users.update("ada", age=37)
    assert tiered["User/ada"]["age"] == 37
    with pytest.raises(ReservedKeyError):
        tiered["User/ada"] = {}
    tiered["n/a"] = 1
    assert list(tiered.fast) == [b"n/a"]


MAKER = """
import sys
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
print('open', flush=True)
for line in sys.stdin:
    store.namespace('n/').update(dict.fromkeys(line.split(), 1))
    print('written', flush=True)
"""


def test_neither_are_entries_of_a_namespace_that_another_program_has_made(tmp_path):
    with (
        Tiered(MemoryStore(), LmdbStore(tmp_path / "slow"), 10) as tiered,
        Follower(MAKER, tmp_path / "slow") as other,
    ):
        other.ask("a b")
        assert tiered["n/a"] == 1
        assert tiered.get_many(["n/b"]) == {b"n/b": 1}
        tiered.slow.namespace("n/").update(a=2, b=2)
        assert tiered["n/a"] == 2
        assert tiered.get_many(["n/b"]) == {b"n/b": 2}


def test_a_collection_is_told_to_work_on_the_slow_store(tiered):
    with pytest.raises(CollectionError, match=r"Collection\(tiered\.slow, User\)"):
        Collection(tiered, User)


# -- transactions ------------------------------------------------------------------------------


def test_in_a_transaction_everything_goes_to_the_slow_store(tiered):
    tiered["a"] = tiered["b"] = 1
    with tiered.transaction():
        tiered["a"] = 2
        tiered.slow["b"] = 3
        assert (tiered["a"], tiered["b"], tiered.get_many("b")) == (2, 3, {b"b": 3})
        assert "c" not in tiered
    assert dict(tiered.fast) == {b"b": 1}
    assert tiered["a"] == 2


def test_a_transaction_that_is_undone_leaves_nothing_in_the_fast_store(tiered):
    tiered["a"] = 1
    with pytest.raises(ZeroDivisionError), tiered.transaction():
        tiered["a"] = 2
        assert tiered["a"] == 2
        raise ZeroDivisionError
    assert dict(tiered.fast) == {}
    assert tiered["a"] == 1


def test_transact_runs_a_function_in_a_transaction_of_the_slow_store(tiered):
    tiered["a"] = 1

    def change():
        tiered["a"] += 1
        tiered["b"] = tiered["a"]
        return len(tiered)

    assert tiered.transact(change) == 2
    assert (dict(tiered.fast), dict(tiered.slow)) == ({}, {b"a": 2, b"b": 2})
    with pytest.raises(ZeroDivisionError):
        tiered.transact(lambda: tiered.put("a", 3) / 0)
    assert tiered["a"] == 2


def test_collections_join_the_transaction(tiered):
    users = Collection(tiered.slow, User)
    with pytest.raises(ZeroDivisionError), tiered.transaction():
        users.add(User("ada", 36))
        tiered["a"] = 1
        raise ZeroDivisionError
    assert dict(tiered) == {}


def test_a_write_inside_a_transaction_of_the_slow_store_alone_is_refused(tiered):
    with tiered.slow.transaction():
        tiered.slow["a"] = 1
        assert tiered["a"] == 1
        with pytest.raises(TransactionError, match=r"with tiered\.transaction\(\)"):
            tiered["a"] = 2
    assert (tiered["a"], dict(tiered.slow)) == (1, {b"a": 1})


def test_a_thread_does_not_keep_what_a_transaction_is_about_to_change(tiered):
    tiered.slow["a"] = 1
    seen = []
    with tiered.transaction():
        tiered["a"] = 2
        reader = threading.Thread(target=lambda: seen.append(tiered["a"]))
        reader.start()
        reader.join()
    assert (seen, tiered["a"]) == ([1], 2)


# -- threads -----------------------------------------------------------------------------------


class Slow(MemoryStore):
    """A store on a slow network: an answer is under way until `arrive` is set."""

    def __init__(self):
        super().__init__()
        self.asked, self.arrive = threading.Event(), threading.Event()
        self.arrive.set()

    def get(self, key, default=None):
        value = super().get(key, default)
        self.asked.set()
        assert self.arrive.wait(60)
        return value


@pytest.mark.parametrize("change", ["put", "delete", "update", "clear", "forget", "transaction"])
def test_a_value_that_was_replaced_while_it_was_read_is_not_kept(change):
    slow = Slow()
    tiered = Tiered(MemoryStore(), slow, 10)
    slow["a"] = 1
    slow.arrive.clear()
    reader = threading.Thread(target=lambda: tiered["a"])
    reader.start()
    assert slow.asked.wait(60)
    match change:
        case "put":
            tiered["a"] = 2
        case "delete":
            tiered.delete("a")
        case "update":
            tiered.update(a=2)
        case "clear":
            tiered.clear()
        case "forget":
            slow["a"] = 2
            tiered.forget("a")
        case "transaction":
            with tiered.transaction():
                tiered["a"] = 2
    slow.arrive.set()
    reader.join()
    assert tiered.get("a", "gone") == slow.get("a", "gone") != 1


def test_threads_that_write_and_read_at_once_leave_both_stores_alike(tiered):
    def work(number):
        for step in range(60):
            name = "abc"[(number + step) % 3]
            match (number + step) % 5:
                case 0:
                    tiered[name] = number, step
                case 1:
                    tiered.pop(name, None)
                case 2:
                    with tiered.transaction():
                        tiered[name] = step
                case _:
                    tiered.get(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: tiered.get(name) for name in "abc"} == {
        name: tiered.slow.get(name) for name in "abc"
    }
    assert len(tiered.fast) <= 2


# -- failures ----------------------------------------------------------------------------------


class Failing(MemoryStore):
    """A store whose writes fail with `error`, after they were made if `too_late`."""

    error: BaseException | None = None
    too_late = False

    def put(self, key, value, overwrite=True):
        if self.error is not None and not self.too_late:
            raise self.error
        written = super().put(key, value, overwrite)
        if self.error is not None:
            raise self.error
        return written


@pytest.mark.parametrize("too_late", [False, True])
def test_a_write_whose_outcome_is_unknown_drops_the_entry(too_late):
    slow = Failing()
    tiered = Tiered(MemoryStore(), slow, 10)
    tiered["a"] = 1
    slow.error, slow.too_late = UnknownOutcomeError("the connection was lost"), too_late
    with pytest.raises(UnknownOutcomeError):
        tiered["a"] = 2
    assert dict(tiered.fast) == {}
    assert tiered["a"] == slow["a"] == (2 if too_late else 1)


def test_a_failed_write_leaves_nothing_in_the_fast_store(tiered):
    with pytest.raises(SerializerError):
        tiered["a"] = threading.Lock()
    assert (dict(tiered.fast), dict(tiered.slow)) == ({}, {})


def test_a_value_that_only_the_slow_store_can_hold_is_read_from_there():
    tiered = Tiered(MemoryStore(serialize="noop"), MemoryStore(serialize="pickle"), 10)
    tiered["a"] = 1
    assert (tiered["a"], dict(tiered.fast)) == (1, {})
    tiered["b"] = b"bytes"
    assert (tiered["b"], dict(tiered.fast)) == (b"bytes", {b"b": b"bytes"})


def test_functions_that_change_a_value_change_it_for_both_stores():
    slow = MemoryStore(dump_load=(lambda value: value.upper().encode(), bytes.decode))
    tiered = Tiered(MemoryStore(), slow, 10)
    tiered["a"] = "text"
    assert tiered["a"] == tiered.fast["a"] == slow["a"] == "TEXT"


def test_a_damaged_entry_of_the_fast_store_is_read_from_the_slow_store(tiered):
    tiered["a"] = 1
    tiered.fast.database.engine.write(lambda txn: txn.put(Space.DATA, b"a", b"\x01damaged"))
    assert tiered["a"] == tiered["a"] == 1


def test_an_interrupt_in_a_write_leaves_nothing_in_the_fast_store():
    slow = Failing()
    tiered = Tiered(MemoryStore(), slow, 10)
    tiered["a"] = 1
    slow.error, slow.too_late = KeyboardInterrupt(), True
    with pytest.raises(KeyboardInterrupt):
        tiered["a"] = 2
    assert tiered["a"] == 2


# -- opening and closing -----------------------------------------------------------------------


def disk(path, size=10, **options):
    return Tiered(LmdbStore(path / "fast"), LmdbStore(path / "slow"), size, **options)


def test_a_fast_store_on_disk_is_there_again_in_the_order_of_its_use(tmp_path):
    with disk(tmp_path) as tiered:
        tiered.update(a=1, b=2, c=3)
        assert [tiered[name] for name in "cba"] == [3, 2, 1]
    with disk(tmp_path, size=2) as tiered:
        assert dict(tiered.fast) == {b"a": 1, b"b": 2}
        tiered["d"] = 4
        assert dict(tiered.fast) == {b"a": 1, b"d": 4}
        assert dict(tiered) == {b"a": 1, b"b": 2, b"c": 3, b"d": 4}


def test_the_age_of_an_entry_goes_on_while_nothing_is_open(tmp_path):
    with disk(tmp_path) as tiered:
        tiered["a"] = 1
        tiered.slow["a"] = 2
    with disk(tmp_path, max_age=1000) as tiered:
        assert tiered["a"] == 1
    with disk(tmp_path, max_age=0) as tiered:
        assert tiered["a"] == 2


def test_a_program_that_ends_without_close_leaves_the_fast_store_for_the_next_one(tmp_path):
    code = "t = Tiered(LmdbStore(argv[0]), LmdbStore(argv[1]), 10); t['a'] = 1"
    assert run(code, tmp_path / "fast", tmp_path / "slow").returncode == 0
    with disk(tmp_path) as tiered:
        assert dict(tiered.fast) == {b"a": 1}


def test_an_entry_of_the_fast_store_is_not_taken_for_that_of_another_slow_store(tmp_path):
    with disk(tmp_path) as tiered:
        tiered["a"] = 1
        tiered.slow.destroy(yes_im_sure=True)
    with disk(tmp_path) as tiered:
        assert tiered.get("a") is None
        assert dict(tiered.fast) == {}


def test_a_fast_store_with_entries_of_its_own_is_refused(open_store):
    fast = open_store()
    fast["mine"] = 1
    with pytest.raises(StoreOpenError, match="has entries that no Tiered has put there"):
        Tiered(fast, MemoryStore(), 10)
    assert dict(fast) == {b"mine": 1}


def test_a_fast_store_with_a_collection_is_refused(open_store):
    fast = open_store()
    users = Collection(fast, User)
    users.add(User("ada", 36))
    users.clear()
    with pytest.raises(StoreOpenError, match="has entries that no Tiered has put there"):
        Tiered(fast, MemoryStore(), 10)


def test_a_store_is_not_put_before_itself(tmp_path):
    store = MemoryStore()
    with pytest.raises(StoreOpenError, match="take two stores"):
        Tiered(store, store, 10)
    with LmdbStore(tmp_path / "db") as one, LmdbStore(tmp_path / "db") as again:
        with pytest.raises(StoreOpenError):
            Tiered(one, again, 10)
        assert dict(one) == {}


def test_the_fast_store_of_a_tiered_is_not_the_slow_store_of_another():
    fast = MemoryStore()
    Tiered(fast, MemoryStore(), 10)
    with pytest.raises(StoreOpenError, match="is the fast store of a Tiered"):
        Tiered(MemoryStore(), fast, 10)


def test_the_last_that_opens_a_fast_store_has_it_and_the_first_says_so(tiered):
    tiered["a"] = 1
    other = Tiered(tiered.fast, MemoryStore(a=2), 10)
    assert other["a"] == 2
    tiered["a"] = 3  # it is written, and the loss is noticed
    assert (tiered.slow["a"], other["a"]) == (3, 2)
    with pytest.raises(TransactionError, match="another Tiered has opened the fast store"):
        tiered["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, MemoryStore(), 1), "over two open stores, not {}"),
        ((MemoryStore(), None, 1), "over two open stores, not None"),
        ((MemoryStore(), MemoryStore(), 0), "size is a number of entries from 1 on, not int 0"),
        ((MemoryStore(), MemoryStore(), True), "size is a number of entries"),
        ((MemoryStore(), MemoryStore(), "9"), "size is a number of entries"),
    ],
)
def test_a_wrong_argument_is_refused(arguments, message):
    with pytest.raises(ValueTypeError, match=message):
        Tiered(*arguments)


@pytest.mark.parametrize("max_age", [-1, float("nan"), "1", True])
def test_a_wrong_age_is_refused(max_age):
    with pytest.raises(ValueTypeError, match="max_age is a number of seconds"):
        Tiered(MemoryStore(), MemoryStore(), 1, max_age=max_age)


def test_a_closed_tiered_says_so(tiered):
    tiered["a"] = 1
    tiered.close()
    tiered.close()
    for use in (lambda: tiered["a"], lambda: tiered.put("a", 2), lambda: "a" in tiered):
        with pytest.raises(StoreClosedError):
            use()


def test_it_is_not_closed_inside_a_transaction(tiered):
    with tiered.transaction():
        with pytest.raises(TransactionError, match="inside a transaction"):
            tiered.close()
        tiered["a"] = 1
    assert tiered["a"] == 1


def test_a_slow_store_that_is_read_only_can_be_read_through(tmp_path):
    LmdbStore(tmp_path / "slow", iterable={"a": 1}).close()
    for _ in range(2):
        with Tiered(
            LmdbStore(tmp_path / "fast"), LmdbStore(tmp_path / "slow", readonly=True), 10
        ) as tiered:
            assert dict(tiered.fast) == {}
            assert (tiered["a"], dict(tiered.fast)) == (1, {b"a": 1})


def test_a_forked_child_does_not_use_the_fast_store_of_its_parent(tmp_path):
    with disk(tmp_path) as tiered:
        tiered["a"] = 1

        def child():
            with pytest.raises(TransactionError, match=r"opened before fork\(\)"):
                tiered["a"]

        assert in_child(child) == 0
        assert dict(tiered.fast) == {b"a": 1}
    with disk(tmp_path) as tiered:
        assert dict(tiered.fast) == {b"a": 1}


def test_a_tiered_that_is_collected_lets_go_of_its_stores(tmp_path):
    disk(tmp_path)["a"] = 1
    gc.collect()
    with disk(tmp_path) as tiered:
        assert tiered["a"] == 1


# -- killed ------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from stones import LmdbStore, Tiered

when = sys.argv[1]

class Killed(LmdbStore):
    def put(self, key, value, overwrite=True):
        if value == 2 and self is slow and when == 'before the slow store':
            os.kill(os.getpid(), signal.SIGKILL)
        written = super().put(key, value, overwrite)
        if value == 2 and self is slow and when == 'between the two':
            os.kill(os.getpid(), signal.SIGKILL)
        return written

slow = Killed(sys.argv[2] + '/slow')
tiered = Tiered(Killed(sys.argv[2] + '/fast', durability='lazy'), slow, 10)
tiered['a'] = 1
tiered['a'] = 2
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("when", "value"),
    [("before the slow store", 1), ("between the two", 2), ("after both", 2)],
)
def test_after_a_kill_in_a_write_the_fast_store_is_not_stale(tmp_path, when, value):
    died = subprocess.run([sys.executable, "-c", KILLED, when, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGKILL
    with disk(tmp_path) as tiered:
        assert (tiered["a"], tiered.slow["a"]) == (value, value)


WRITER = """
import os, sys
from random import Random
from stones import LmdbStore, Tiered

random = Random(int(sys.argv[2]))
tiered = Tiered(LmdbStore(sys.argv[1] + '/fast'), LmdbStore(sys.argv[1] + '/slow'), 3)
print('open', flush=True)
for step in range(10**9):
    name = random.choice('abcde')
    if random.random() < 0.7:
        tiered[name] = step
    else:
        tiered.pop(name, None)
    tiered.get(random.choice('abcde'))
"""


def test_after_kills_at_any_moment_both_stores_say_the_same(tmp_path):
    for round in range(8):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(round)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"open\n"
            threading.Event().wait(0.02 * round)
            os.kill(writer.pid, signal.SIGKILL)
        with disk(tmp_path) as tiered:
            for name in "abcde":
                assert tiered.get(name) == tiered.slow.get(name)
            assert len(tiered.fast) <= 5
