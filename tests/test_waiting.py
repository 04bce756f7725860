"""Waiting: reading never waits, and a write waits for others no longer than its timeout."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import lmdb
import pytest
from attrs import define

from stones import (
    Collection,
    LmdbStore,
    LockTimeoutError,
    MemoryStore,
    StoneError,
    StoreOpenError,
    TransactionError,
    ValueTypeError,
    key,
    migrate,
    stone,
)
from stones.testing import in_thread

from .processes import fork, in_child

HOLDER = """
import sys
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
with store.transaction():
    store['half'] = 1
    print('holds', flush=True)
    sys.stdin.readline()
print('released', flush=True)
sys.stdin.readline()
"""

RAW_HOLDER = """
import sys, lmdb
env = lmdb.open(sys.argv[1], max_dbs=4)
with env.begin(write=True) as txn:
    print('holds', flush=True)
    sys.stdin.readline()
print('released', flush=True)
sys.stdin.readline()
"""

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell it")


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "db"
    with LmdbStore(path, serialize="json") as store:
        store.update(a=1, b=2, large="x" * 10_000)
        Collection(store, User).add(User("ada", 3))
    return path


@contextmanager
def holder(path, program=HOLDER):
    """Another process that is in a write transaction."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


def release(process):
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "released\n"


def late(write):
    """The error of a write that comes too late, and the seconds that it took."""
    start = time.monotonic()
    with pytest.raises(LockTimeoutError) as caught:
        write()
    return str(caught.value), time.monotonic() - start


def read_everything(store):
    assert store["a"] == 1
    assert store.get("nothing") is None
    assert "b" in store
    assert len(store) == 4
    assert list(store) == [b"User/ada", b"a", b"b", b"large"]
    assert list(reversed(store)) == [b"large", b"b", b"a", b"User/ada"]
    assert dict(store.range(ge="a", lt="c")) == {b"a": 1, b"b": 2}
    assert list(store.range(prefix="a", reverse=True).items()) == [(b"a", 1)]
    assert store["large"] == "x" * 10_000
    assert store.get_many(["b", "a", "c"]) == {b"b": 2, b"a": 1}
    assert store.stats()["entries"] == 4
    assert store.stats()["used_size"] > 0
    users = Collection(store, User)
    assert (users["ada"], len(users), list(users)) == (User("ada", 3), 1, ["ada"])
    assert users.find("$[?(@.age > 2)]").count() == 1
    with store.snapshot() as view:
        assert dict(view) == dict(store)


# -- reading -----------------------------------------------------------------------------------


def test_a_child_reads_while_its_parent_waits_for_it_in_a_transaction(path):
    with LmdbStore(path) as store, store.transaction():
        store["a"] = "half"
        store["new"] = 1
        assert in_child(lambda: read_everything(store)) == 0
        assert in_child(lambda: read_everything(LmdbStore(path))) == 0
        assert store["a"] == "half"


def test_a_child_of_a_thread_that_writes_reads(path):
    with LmdbStore(path) as store:
        inside, go = threading.Event(), threading.Event()

        def write():
            with store.transaction():
                store["new"] = 1
                inside.set()
                go.wait()

        thread = threading.Thread(target=write)
        thread.start()
        inside.wait()
        assert in_child(lambda: read_everything(store)) == 0
        read_everything(store)
        go.set()
        thread.join()
        assert store["new"] == 1


@pytest.mark.parametrize("program", [HOLDER, RAW_HOLDER])
@pytest.mark.parametrize("options", [{}, {"readonly": True}, {"create": False}])
def test_opening_and_reading_wait_for_no_writer(path, program, options):
    with holder(path, program) as process:
        start = time.monotonic()
        with LmdbStore(path, **options) as store:
            read_everything(store)
            assert time.monotonic() - start < 5
            release(process)
            assert dict(store.range(ge="a", lt="c")) == {b"a": 1, b"b": 2}
            assert ("half" in store) == (program is HOLDER)
            if not options:
                store["a"] = 5
                assert store["a"] == 5


def test_opening_waits_for_no_thread_of_the_same_process(path):
    with LmdbStore(path) as store, store.transaction():
        store["new"] = 1

        def read():
            with LmdbStore(path) as other:
                read_everything(other)

        assert in_thread(read) == [None]


def test_an_iteration_that_began_while_another_process_wrote_goes_on_after_it(path):
    with holder(path) as process, LmdbStore(path) as store:
        running = iter(store.items())
        view = store.snapshot()
        assert next(running)[0] == b"User/ada"
        release(process)
        store.update(a="later", c="later")
        assert [key for key, _ in running] == [b"a", b"b", b"large"]
        assert (view["a"], view.get("half"), len(view)) == (1, None, 4)
        assert (store["half"], store["a"]) == (1, "later")
        view.close()
        with pytest.raises(StoneError):
            view["a"]


def test_what_is_read_without_databases_is_let_go_of(path):
    with holder(path):
        store = LmdbStore(path)
        view = store.snapshot()
        list(view.items())
        view.close()
        store.close()
        with open("/proc/self/maps") as maps:
            assert str(path) not in maps.read()
        assert not [
            name
            for name in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{name}")
            and os.readlink(f"/proc/self/fd/{name}").startswith(f"{path}/")
        ]


def test_many_entries_are_read_alike_with_and_without_databases(tmp_path):
    path = tmp_path / "db"
    entries = {b"%05d" % number: b"x" * (number * 37 % 5000) for number in range(2000)}
    with LmdbStore(path, serialize="noop") as store:
        store.update(entries)
    with holder(path, RAW_HOLDER) as process, LmdbStore(path, serialize="noop") as store:
        for _ in range(2):
            assert dict(store) == entries
            assert list(reversed(store)) == sorted(entries, reverse=True)
            for ge, lt in [("00010", "00011"), ("0", "00500"), ("01990", "9"), ("3", "2")]:
                expected = [key for key in entries if ge.encode() <= key < lt.encode()]
                assert list(store.range(ge=ge, lt=lt)) == expected
                assert list(store.range(ge=ge, lt=lt, reverse=True)) == expected[::-1]
            assert all(store[key] == entries[key] for key in list(entries)[::97])
            if process.poll() is None:
                process.kill()
                process.wait()


def test_the_transaction_that_a_child_inherits_is_not_its_own(path):
    store = LmdbStore(path, timeout=0.2)
    outcome = []
    try:
        with store.transaction():
            store["a"] = "half"
            child = os.fork()
            if child == 0:
                outcome.append(store["a"])
                with pytest.raises(LockTimeoutError):
                    store["a"] = "child"
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    except TransactionError:
        outcome.append("refused")
    if child == 0:
        os._exit(0 if outcome == [1, "refused"] else 1)
    assert outcome == []
    assert store["a"] == "half"
    store.close()


# -- writing -----------------------------------------------------------------------------------


def test_a_child_that_writes_is_told_that_its_parent_holds_the_lock(path):
    with LmdbStore(path, timeout=0.5) as store:
        parent = os.getpid()

        def child():
            for write in (
                lambda: store.put("a", 2),
                lambda: store.update(a=2),
                lambda: store.transaction().__enter__(),
                lambda: Collection(store, User).add(User("alan")),
                lambda: migrate(store, "cbor"),
            ):
                text, seconds = late(write)
                assert f"process {parent} (" in text
                assert "0.5 s" in text
                assert 0.4 < seconds < 5
            read_everything(store)

        with store.transaction():
            assert in_child(child) == 0
        assert in_child(lambda: store.put("child", 1)) == 0
        assert store["child"] == 1


@ON_LINUX
@pytest.mark.parametrize("program", [HOLDER, RAW_HOLDER])
def test_the_error_names_the_process_that_holds_the_lock(path, program):
    with holder(path, program) as process, LmdbStore(path, timeout=0.3) as store:
        text, seconds = late(lambda: store.put("a", 2))
        assert f"process {process.pid} ({sys.executable}" in text
        assert 0.2 < seconds < 5
        release(process)
        store["a"] = 2
        assert store["a"] == 2


@pytest.mark.needs("waiting")
def test_a_thread_is_told_that_another_thread_holds_the_lock(open_store):
    store = open_store(timeout=0.3)
    with store.transaction():
        store["a"] = 1
        for _ in range(2):
            assert in_thread(lambda: late(lambda: store.put("a", 2)))[0][1] > 0.2
        text, _ = in_thread(lambda: late(lambda: store.put("a", 2)))[0]
        # A server for several machines cannot tell which of them is that thread.
        machines = store.database.engine.supports.machines
        holder = (
            "the process [0-9]+ of the server" if machines else "another thread of this process"
        )
        assert re.search(holder, text)
    assert in_thread(lambda: store.put("a", 2)) == [True]


def test_every_thread_that_waits_for_its_turn_has_its_own_timeout(path):
    """The stores share commits, and each keeps its own patience."""
    stores = [LmdbStore(path, timeout=seconds) for seconds in (0.2, 0.6, 30)]
    outcomes, texts = {}, []

    def write(number):
        start = time.monotonic()
        try:
            stores[number % 3][f"{number}"] = number
            outcomes[number] = "written"
        except LockTimeoutError as error:
            outcomes[number] = time.monotonic() - start
            texts.append(str(error))

    with holder(path) as process:
        threads = [threading.Thread(target=write, args=[number]) for number in range(9)]
        for thread in threads:
            thread.start()
        time.sleep(1.2)
        release(process)
        for thread in threads:
            thread.join(20)
    assert [outcomes[number] for number in (2, 5, 8)] == ["written"] * 3
    assert all(0.2 <= outcomes[number] < 0.55 for number in (0, 3, 6))
    assert all(0.6 <= outcomes[number] < 1.2 for number in (1, 4, 7))
    assert sum("0.2 s" in text for text in texts) == 3
    assert sum("0.6 s" in text for text in texts) == 3
    assert {name for name in stores[0] if name.isdigit()} == {b"2", b"5", b"8"}
    for store in stores:
        store.close()


def test_a_write_that_has_come_in_time_waits_no_longer_than_the_other_transaction(path):
    with holder(path) as process, LmdbStore(path, timeout=30) as store:
        threading.Timer(0.5, release, [process]).start()
        start = time.monotonic()
        store["a"] = 2
        assert 0.4 < time.monotonic() - start < 5
        assert (store["a"], store["half"]) == (2, 1)


def test_no_limit_is_no_limit(path):
    with holder(path) as process, LmdbStore(path, timeout=None) as store:
        threading.Timer(0.5, release, [process]).start()
        store["a"] = 2
        assert (store["a"], store["half"]) == (2, 1)


def test_no_patience_at_all_suffices_where_nobody_writes(path):
    with LmdbStore(path, timeout=0) as store:
        for number in range(200):
            store["a"] = number
        with holder(path):
            _, seconds = late(lambda: store.put("a", "late"))
            assert seconds < 1
        store["a"] = "free"


@pytest.mark.parametrize("program", [HOLDER, RAW_HOLDER])
def test_a_writer_that_is_killed_frees_the_lock_at_once(path, program):
    with LmdbStore(path, timeout=20) as store:
        for number in range(5):
            with holder(path, program) as process:
                threading.Timer(0.2, process.kill).start()
                start = time.monotonic()
                store["a"] = number
                assert time.monotonic() - start < 5
        assert (store["a"], store.get("half")) == (4, None)


def test_a_forked_child_that_lives_on_does_not_keep_the_lock_of_a_killed_parent(path):
    code = """
import os, sys, time
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
with store.transaction():
    store['half'] = 1
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
    try:
        with LmdbStore(path, timeout=5) as store:
            store["a"] = 2
            assert "half" not in store
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_that_writes_without_a_break_lets_others_write_too(path):
    code = """
import sys
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
print('writes', flush=True)
while True:
    with store.transaction():
        for number in range(300):
            store[f'{number}'] = number
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "writes\n"
            with LmdbStore(path, timeout=10) as store:
                start = time.monotonic()
                for number in range(20):
                    store["mine"] = number
                assert time.monotonic() - start < 10
        finally:
            process.kill()


def test_writers_of_many_processes_lose_nothing(path):
    def work(number):
        with LmdbStore(path, durability="none") as store:
            for step in range(100):
                with store.transaction():
                    store["count"] = store.get("count", 0) + 1
                store[f"{number}-{step}"] = step

    children = [fork(lambda number=number: work(number)) for number in range(6)]
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with LmdbStore(path) as store:
        assert store["count"] == 600
        assert len(store) == 605


def test_an_interrupt_while_it_waits_leaves_no_lock_behind(path):
    with holder(path) as process, LmdbStore(path) as store:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            store["a"] = 2
        release(process)
        assert in_thread(lambda: store.put("a", 3)) == [True]
        assert in_child(lambda: store.put("a", 4)) == 0
        assert (store["a"], store["half"]) == (4, 1)


def test_making_a_store_waits_for_others_and_not_for_ever(tmp_path):
    path = tmp_path / "db"
    lmdb.open(str(path), max_dbs=4).close()  # a data file with nothing in it
    with holder(path, RAW_HOLDER) as process:
        text, _ = late(lambda: LmdbStore(path, timeout=0.3))
        assert "0.3 s" in text
        release(process)
        LmdbStore(path, timeout=5).close()


def test_a_closed_store_is_an_error_for_those_that_wait(path):
    with holder(path) as process:
        store = LmdbStore(path, timeout=20)
        errors = []

        def write():
            try:
                store["a"] = 2
            except StoneError as error:
                errors.append(type(error).__name__)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        store.close()
        release(process)
        for thread in threads:
            thread.join(20)
        assert errors == ["StoreClosedError"] * 3


# -- the option --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LmdbStore, MemoryStore])
def test_the_timeout_is_a_number_of_seconds_or_none(tmp_path, kind):
    name = str(tmp_path / "db")
    for right, seconds in [
        (0, 0.0),
        (1.5, 1.5),
        (None, None),
        (float("inf"), None),
        (10**400, None),
    ]:
        with stone(name, kind, timeout=right) as store:
            assert store.database.timeout == seconds
        with stone(name, kind, options={"timeout": right}) as store:
            assert store.database.timeout == seconds
    with stone(name, kind) as store:
        assert store.database.timeout == 60
    for wrong in (-1, float("nan"), -(10**5000)):
        with pytest.raises(StoreOpenError, match="timeout"):
            stone(name, kind, timeout=wrong)
    for wrong in ("5", True, [1]):
        with pytest.raises(ValueTypeError, match="timeout"):
            stone(name, kind, timeout=wrong)


def test_the_error_is_a_timeout_to_those_who_do_not_know_stones():
    assert issubclass(LockTimeoutError, TimeoutError)
    assert issubclass(LockTimeoutError, OSError)
    assert str(LockTimeoutError("the text")) == "the text"
