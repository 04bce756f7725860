"""What only LMDB has: the file, processes that share it, a disk that is full."""

import mmap
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import lmdb
import pytest

from stones import (
    LmdbStore,
    MemoryStore,
    ReadOnlyError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
    stone,
)
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.errors import translated
from stones.stores import transactions

from .processes import in_child, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


# -- opening -----------------------------------------------------------------------------------


def test_a_small_store_is_a_small_file(path):
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        assert store.stats()["file_size"] < 100_000


def test_the_stores_of_a_process_on_one_file_share_it_whatever_they_call_it(path, tmp_path):
    first = stone(path, LmdbStore)
    (tmp_path / "link").symlink_to(path)
    second = stone(tmp_path / "link", LmdbStore)
    third = stone(os.path.relpath(path), LmdbStore)
    second["a"] = 1
    assert first["a"] == third["a"] == 1
    first.close()
    second.close()
    third["b"] = 2
    assert dict(third) == {b"a": 1, b"b": 2}
    with pytest.raises(StoreClosedError):
        first["a"]
    third.close()
    with stone(path, LmdbStore) as again:
        assert len(again) == 2


def test_a_store_that_was_deleted_and_made_anew_is_another_one(path):
    old = stone(path, LmdbStore)
    old["a"] = 1
    shutil.rmtree(path)
    with stone(path, LmdbStore) as new:
        assert len(new) == 0
        assert old["a"] == 1
    old.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("a file"), "is a file"),
        (lambda path: (path.mkdir(), (path / "data.mdb").write_bytes(b"x" * 9000)), "not an LMDB"),
        (lambda path: None, "directory above"),
    ],
)
def test_what_cannot_be_a_store_is_refused(tmp_path, make, message):
    path = tmp_path / "x" / "db" if message == "directory above" else tmp_path / "db"
    make(path)
    with pytest.raises(StoreOpenError, match=message):
        stone(path, LmdbStore)


def test_a_missing_store_is_not_made_where_it_is_only_to_be_read(path):
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(StoreOpenError, match="no store"):
            stone(path, LmdbStore, options=options)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(StoreOpenError, match="no store"):
        LmdbStore(path, readonly=True)


def test_a_database_of_another_program_is_refused(path):
    with lmdb.open(str(path), max_dbs=1) as foreign, foreign.begin(write=True) as txn:
        txn.put(b"key", b"value", db=foreign.open_db(b"theirs", txn=txn))
    with pytest.raises(StoreOpenError, match="theirs"):
        LmdbStore(path, serialize="noop")


def test_reading_only_writes_nothing(path):
    with stone(path, LmdbStore) as store:
        store["a"] = 1
    with LmdbStore(path, readonly=True) as store:
        assert store["a"] == 1
        for write in (
            lambda: store.__setitem__("b", 2),
            store.clear,
            lambda: store.update(b=2),
        ):
            with pytest.raises(ReadOnlyError):
                write()
        with pytest.raises(ReadOnlyError), store.transaction():
            pass
        with pytest.raises(StoreOpenError, match="read-only in this process"):
            stone(path, LmdbStore)
    with stone(path, LmdbStore) as store:
        assert dict(store) == {b"a": 1}


def test_a_directory_without_write_permission_can_be_read(path):
    with stone(path, LmdbStore, "json") as store:
        store["a"] = 1
    for folder in (path.parent, *path.parent.parents):
        if folder.owner() == path.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
        if folder == Path("/tmp"):
            break
    path.chmod(0o555)
    for file in path.iterdir():
        file.chmod(0o444)

    def read() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        with LmdbStore(path, readonly=True) as store:
            assert store["a"] == 1
        with pytest.raises(StoreOpenError):
            LmdbStore(path)

    assert in_child(read) == 0
    path.chmod(0o755)


def test_little_address_space_is_enough(path):
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
with stone(argv[0], LmdbStore) as store:
    store.update((str(n), 'x' * 1000) for n in range(20_000))
    print(len(store))
resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 4 << 30))
try:
    stone(argv[0] + '2', LmdbStore)
except StoreOpenError as error:
    print('ulimit' in str(error))
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("20000\nTrue\n", "")


# -- the disk ----------------------------------------------------------------------------------


def test_a_full_disk_undoes_the_transaction_and_nothing_else(path):
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = stone(argv[0], LmdbStore, 'noop')
store['kept'] = b'1'
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
for write in (
    lambda: store.update((str(n), b'x' * 1000) for n in range(5000)),
    lambda: store.__setitem__('large', b'x' * (4 << 20)),
):
    try:
        write()
    except StoreFullError as error:
        print('full', dict(store))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store['large'] = b'x' * (4 << 20)
print(len(store['large']), list(store))
"""
    done = run(code, path)
    assert done.stderr == ""
    assert done.stdout == (
        "full {b'kept': b'1'}\nfull {b'kept': b'1'}\n4194304 [b'kept', b'large']\n"
    )


def test_a_backup_is_whole_or_not_there(path, tmp_path):
    with stone(path, LmdbStore, "json") as store:
        store.update((str(n), n) for n in range(1000))
        copy = tmp_path / "copy"
        store.backup(copy)
        store["later"] = 1
        with stone(copy, LmdbStore) as restored:
            assert len(restored) == 1000
        with pytest.raises(StoreOpenError, match="there already"):
            store.backup(copy)
        with pytest.raises(StorageError):
            store.backup(tmp_path / "no" / "such" / "place")
    assert sorted(os.listdir(tmp_path)) == ["copy", "db"]


def test_destroying_removes_the_files_and_no_others(path):
    store = stone(path, LmdbStore)
    (path / "mine.txt").write_text("kept")
    store.destroy()
    assert (path / "data.mdb").exists()
    store.destroy(yes_im_sure=True)
    assert os.listdir(path) == ["mine.txt"]
    other = stone(path.parent / "other", LmdbStore)
    other.destroy(yes_im_sure=True)
    assert not (path.parent / "other").exists()
    with pytest.raises(StoreClosedError):
        other["a"]


# -- processes ---------------------------------------------------------------------------------


def test_a_forked_child_uses_the_store_at_once_and_harms_nothing_of_its_parent(path):
    with stone(path, LmdbStore) as store:
        store.update(a=1, b=2)
        assert store["a"] == 1  # leaves a reader slot behind, for the next read
        with store.snapshot() as view:
            running = iter(store.items())
            next(running)

            def child() -> None:
                assert dict(store) == {b"a": 1, b"b": 2}
                store["child"] = 3
                with store.transaction():
                    store["more"] = 4

            assert in_child(child) == 0
            assert store["child"] == 3
            assert list(view) == [b"a", b"b"]
            assert next(running) == (b"b", 2)
        store["parent"] = 5
        assert sorted(store) == [b"a", b"b", b"child", b"more", b"parent"]


def test_a_child_that_ends_like_any_program_harms_nothing_either(path):
    code = """
import os
store = stone(argv[0], LmdbStore)
store['a'] = 1
view = store.snapshot()
child = os.fork()
if child == 0:
    store['child'] = store['a']
    sys.exit()
os.waitpid(child, 0)
store['b'] = 2
print(list(view), list(store))
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("[b'a'] [b'a', b'b', b'child']\n", "")


def test_a_transaction_of_the_parent_is_not_the_childs(path):
    with stone(path, LmdbStore) as store:
        with store.transaction():
            store["parent"] = 1
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    with store.transaction():  # waits for the parent to commit
                        store["child"] = store["parent"] + 1
                    status = 0
                finally:
                    os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert dict(store) == {b"parent": 1, b"child": 2}


def test_a_child_that_falls_out_of_the_parents_transaction_gets_an_error(path):
    store = stone(path, LmdbStore)
    outcome = None
    try:
        with store.transaction():
            store["a"] = 1
            child = os.fork()
    except TransactionError:
        outcome = "refused"
    if child == 0:
        os._exit(0 if outcome == "refused" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert outcome is None
    assert store["a"] == 1
    store.close()


def write_some(path: str, number: int) -> None:
    with stone(path, LmdbStore) as store:
        for step in range(30):
            store[f"{number}-{step}"] = step
            with store.transaction():
                store["count"] = store.get("count", 0) + 1


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_write_without_losing_anything(path, method):
    start = multiprocessing.get_context(method)
    with stone(path, LmdbStore) as store:
        children = [start.Process(target=write_some, args=[str(path), n]) for n in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 4
        assert (store["count"], len(store)) == (120, 121)


def test_a_writer_that_is_killed_leaves_no_trace_and_no_lock(path):
    code = """
store = stone(argv[0], LmdbStore)
view = store.snapshot()
with store.transaction():
    store['half'] = 1
    print('ready', flush=True)
    sys.stdin.read()
"""
    program = "import sys\nfrom stones import *\nargv = sys.argv[1:]\n" + code
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        for _ in range(3):
            with subprocess.Popen(
                [sys.executable, "-c", program, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as child:
                child.stdout.readline()
                child.send_signal(signal.SIGKILL)
            store["a"] += 1
        assert dict(store) == {b"a": 4}


def test_more_readers_than_lmdb_has_by_itself(path):
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        views = [store.snapshot() for _ in range(500)]
        store["a"] = 2
        assert {view["a"] for view in views} == {1}
        for view in views:
            view.close()


# -- threads -----------------------------------------------------------------------------------


def test_closing_while_others_use_it_is_an_error_for_them_and_no_crash(path):
    code = """
import threading
import time
for round in range(15):
    store = stone(argv[0], LmdbStore)
    store.update((str(n), n) for n in range(100))
    wrong = []
    def work(number):
        try:
            while True:
                if number % 4 == 0: store[str(number)] = number
                elif number % 4 == 1: dict(store)
                elif number % 4 == 2: store['5']
                else:
                    with store.transaction():
                        store['t'] = 1
        except (StoreClosedError, TransactionError):
            pass
        except BaseException as error:
            wrong.append(error)
    threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
    for thread in threads: thread.start()
    threading.Event().wait(0.02)
    store.close()
    for thread in threads: thread.join()
    assert not wrong, wrong
print('done')
"""
    done = run(code, path)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_an_iterator_can_be_passed_to_another_thread(path):
    with stone(path, LmdbStore) as store:
        store.update((str(n), n) for n in range(10))
        running = iter(store)
        seen = [next(running)]
        thread = threading.Thread(target=lambda: seen.extend(running))
        thread.start()
        thread.join()
        assert seen == list(store)


def test_a_long_iteration_stops_nobody(path):
    with stone(path, LmdbStore) as store:
        store.update((str(n), n) for n in range(100))
        running = iter(store.items())
        next(running)
        for number in range(50):
            store["new"] = number
        assert len(list(running)) == 99


def test_threads_that_write_at_the_same_time_share_commits(path):
    engine = LmdbEngine.open(str(path))
    before = engine._file.environment().info()["last_txnid"]

    def work(number: int) -> None:
        for step in range(50):
            key = b"%d-%d" % (number, step)
            engine.write(lambda txn, key=key: txn.put(Space.DATA, key, b""))
            assert engine.get(Space.DATA, key) == b""

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    txn = engine.begin()
    assert txn.count(Space.DATA) == 400
    txn.abort()
    assert engine._file.environment().info()["last_txnid"] - before < 400
    engine.close()


def test_an_interrupt_of_a_waiting_write_concerns_only_its_thread(path):
    code = """
import os, signal, threading, time
store = stone(argv[0], LmdbStore)
holds, go = threading.Event(), threading.Event()
def hold():
    with store.transaction():
        holds.set()
        go.wait()
def write(key):
    store[key] = 1
holder = threading.Thread(target=hold); holder.start(); holds.wait()
others = [threading.Thread(target=write, args=[k]) for k in 'abc']
for other in others: other.start()
def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)
    go.set()
threading.Thread(target=interrupt).start()
try:
    time.sleep(0.1)
    store['mine'] = 1
except KeyboardInterrupt:
    print('interrupted')
holder.join()
for other in others: other.join()
store['after'] = 1
print(sorted(k for k in store if k != b'mine'))
"""
    done = run(code, path)
    assert done.stderr == ""
    assert done.stdout == "interrupted\n[b'a', b'after', b'b', b'c']\n"


def test_a_store_of_another_kind_cannot_be_backed_up_over_a_store(tmp_path):
    memory = stone("m", MemoryStore, "json")
    memory.update(a=1, b=[2])
    memory.backup(tmp_path / "saved")
    with stone(tmp_path / "saved", LmdbStore) as saved:
        assert dict(saved) == dict(memory)
    with pytest.raises(StoreOpenError):
        memory.backup(tmp_path / "saved")


def test_a_transaction_that_is_too_large_for_lmdb_is_told_to_be_divided():
    # Five million deletes in random order are one. That takes a minute; here is only the message.
    with pytest.raises(StorageError, match="in several transactions"):
        raise translated(lmdb.TxnFullError("too many dirty pages"), "path")


def test_a_value_of_4_gib_is_refused_before_anything_is_written(path):
    store = stone(path, LmdbStore, "noop")
    store["kept"] = b"1"
    # Addresses without memory behind them.
    large = mmap.mmap(-1, 1 << 32, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    with pytest.raises(StorageError, match="less than 4 GiB"), store.transaction():
        store["half"] = b"1"
        transactions.joined(store.database.engine).put(Space.DATA, b"large", large)
    assert dict(store) == {b"kept": b"1"}
    store.close()


def test_what_fails_in_lmdb_is_an_error_of_ours(path):
    engine = LmdbEngine.open(str(path))
    txn = engine.begin(write=True)
    with pytest.raises(StorageError, match="LMDB failed"):
        txn.put(Space.DATA, b"", b"")
    txn.abort()
    engine.close()


def test_more_readers_than_there_are_places_is_a_clear_error(path):
    with stone(path, LmdbStore) as store:
        views = []
        with pytest.raises(StorageError, match="too many read transactions"):
            views.extend(store.snapshot() for _ in range(2000))
        for view in views:
            view.close()


def test_a_transaction_that_is_ended_by_another_thread_is_an_error_and_undone(path):
    with stone(path, LmdbStore) as store:

        def dependency():
            with store.transaction():
                store["half"] = 1
                yield

        running = dependency()
        next(running)
        errors = []

        def elsewhere() -> None:
            for act in (lambda: next(running, None), lambda: store.put("other", 1)):
                try:
                    act()
                except TransactionError as error:
                    errors.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(30)
        assert len(errors) == 2
        store["mine"] = 1
        assert dict(store) == {b"mine": 1}


def test_what_cannot_be_a_path_or_an_option_is_refused_and_nothing_stays_open(path):
    for wrong in (5, None, "", b"", "a\0b", b"a\0b"):
        with pytest.raises(StoreOpenError, match="path"):
            LmdbStore(wrong)
    stone(path, LmdbStore).close()
    with pytest.raises(TypeError, match="bogus"):
        LmdbStore(path, readonly=True, bogus=1)
    with stone(path, LmdbStore) as store:
        store["a"] = 1


def test_a_store_that_is_opened_again_while_an_old_iterator_is_alive_is_the_same_file(path):
    store = stone(path, LmdbStore)
    store.update(a=1, b=2)
    running = iter(store)
    next(running)
    store.close()
    with stone(path, LmdbStore) as again:
        again["c"] = 3
        with pytest.raises(StoreClosedError):
            next(running)
        assert list(again) == [b"a", b"b", b"c"]


def test_what_is_in_use_shrinks_when_entries_are_removed_and_the_file_does_not(path):
    with stone(path, LmdbStore, "noop") as store:
        store.update((str(number), b"x" * 1000) for number in range(2000))
        full = store.stats()
        store.clear()
        empty = store.stats()
    assert full["used_size"] > 2_000_000
    assert empty["used_size"] < 100_000
    assert empty["file_size"] >= full["file_size"]


def test_a_savepoint_has_room_however_large_its_transaction_is(path):
    """LMDB keeps a list of 131,072 changed pages, which a savepoint cannot make shorter."""
    with stone(path, LmdbStore, "noop") as store:
        with store.transaction():
            store.update((b"%08d" % number, b"x" * 2050) for number in range(130_000))
            for number in range(130_000, 131_500):
                store.setdefault(b"%08d" % number, b"x" * 2050)
        assert len(store) == 131_500
        txn = store.database.engine.begin()
        assert txn.get(Space.META, b"room") is None
        txn.abort()


def test_errors_of_threads_keep_nothing_of_a_store_open(path):
    code = """
import gc, resource, signal, threading
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.RLIM_INFINITY
store = LmdbStore(argv[0], serialize='json')
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, unlimited))
gc.disable()
def write(number):
    for step in range(50):
        try:
            store[f'{number}-{step}'] = 'z' * 5000
        except StoreFullError:
            pass
threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
store.close()
with LmdbStore(argv[0], durability='lazy') as again:
    print(len(again) > 10)
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_store_that_was_moved_is_not_taken_for_the_one_in_its_place(path, tmp_path):
    with stone(path, LmdbStore, "json") as store:
        store["mine"] = 1
        path.rename(tmp_path / "moved")
        assert store.stats()["file_size"] > 0
        with stone(path, LmdbStore, "json") as other:
            other["other"] = 2
            with pytest.raises(StorageError, match="moved"):
                store.backup(tmp_path / "copy", compact=False)
            store.backup(tmp_path / "copy")
    with LmdbStore(tmp_path / "copy", readonly=True) as copy:
        assert dict(copy) == {b"mine": 1}


def test_what_a_killed_process_has_left_of_a_new_store_is_removed(path):
    stone(path, LmdbStore).close()
    for name, age in ((".new-old", 3600), (".new-now", 0)):
        (path / name).mkdir()
        (path / name / "data.mdb").write_bytes(b"half")
        os.utime(path / name, (time.time() - age, time.time() - age))
    store = stone(path, LmdbStore)
    assert sorted(os.listdir(path)) == [".new-now", "data.mdb", "lock.mdb"]
    store.destroy(yes_im_sure=True)
    assert not path.exists()


def test_a_backup_has_to_be_given_a_place(path, tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with stone(path, LmdbStore) as store:
        for wrong in ("", "a\0b", tmp_path / "dangling"):
            with pytest.raises(StoreOpenError):
                store.backup(wrong)


def test_a_snapshot_counts_nothing_once_its_store_is_closed(path):
    store = stone(path, LmdbStore)
    view = store.snapshot()
    store.close()
    with pytest.raises(StoreClosedError):
        len(view)


def test_a_lack_of_memory_is_no_damage(path):
    code = """
import resource
with stone(argv[0], LmdbStore, 'noop', options={'checksums': True}) as store:
    store['large'] = bytes(200_000_000)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000 + used, resource.RLIM_INFINITY))
store = LmdbStore(argv[0])
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 250_000_000, resource.RLIM_INFINITY))
try:
    store['large']
except MemoryError:
    print('no memory')
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(store['large']))
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("no memory\n200000000\n", "")
