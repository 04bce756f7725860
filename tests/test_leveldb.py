"""LevelDBStore: one process, all of its threads, and what they were told is kept."""

import os
import signal
import subprocess
import sys
import threading
import time

import plyvel
import pytest

from stones import (
    Collection,
    LevelDBStore,
    ReadOnlyError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    key,
)
from stones.engine import Space
from stones.engines.leveldb.engine import LevelDBEngine
from tests.processes import in_child, run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def test_entries_collections_and_savepoints_are_there_again(path):
    from attrs import define

    @define
    class User:
        email: str = key()
        age: int = 0

    with LevelDBStore(path, serialize="json") as store:
        store["a"] = [1]
        users = Collection(store, User, indexes=["age"])
        users.add_many(User(f"u{number}", number) for number in range(300))
        with store.transaction():
            store["b"] = 2
            with pytest.raises(ZeroDivisionError), store.transaction():
                store["b"] = 3
                raise ZeroDivisionError
        assert len(store) == 302
    with LevelDBStore(path) as store:
        assert (store["a"], store["b"], len(store)) == ([1], 2, 302)
        users = Collection(store, User, indexes=["age"])
        assert (len(users), users.find("$[?(@.age == 7)]").one().email) == (300, "u7")
        store.clear()
        assert (len(store), len(users)) == (0, 0)


def test_a_snapshot_stays_as_it_was(path):
    with LevelDBStore(path) as store:
        store.update(a=1, b=2)
        with store.snapshot() as snapshot:
            store.clear()
            assert dict(snapshot) == {b"a": 1, b"b": 2}
        assert dict(store) == {}


def test_stores_on_one_directory_share_it_whatever_path_they_name(path, tmp_path):
    (tmp_path / "link").symlink_to(path)
    with LevelDBStore(path) as store, LevelDBStore(tmp_path / "link") as other:
        with store.transaction():
            store["a"] = 1
            other["b"] = 2
        store.close()
        assert dict(other) == {b"a": 1, b"b": 2}
    with LevelDBStore(path) as store:
        assert len(store) == 2


def test_the_stricter_durability_counts_for_all(path):
    with LevelDBStore(path, durability="lazy") as lazy:
        assert lazy.stats()["durability"] == "lazy"
        with LevelDBStore(path):
            assert lazy.stats()["durability"] == "full"
    with pytest.raises(StoreOpenError, match="durability is one of full, lazy, not 'none'"):
        LevelDBStore(path, durability="none")


def test_a_second_process_is_told_that_one_may_open_it(path):
    with LevelDBStore(path) as store:
        store["a"] = 1
        done = run("LevelDBStore(argv[0])", path)
        assert "StoreOpenError" in done.stderr
        assert "one process at a time" in done.stderr
        store["b"] = 2
    assert run("print(len(LevelDBStore(argv[0])))", path).stdout == "2\n"


def test_a_forked_child_is_told_and_the_parent_goes_on(path):
    store = LevelDBStore(path)
    store["a"] = 1
    txn = store.transaction()
    txn.__enter__()
    entries = iter(store.items())
    next(entries)

    def child():
        for use in (lambda: store["a"], lambda: next(entries), lambda: len(store)):
            with pytest.raises(StoreClosedError, match="before fork"):
                use()
        with pytest.raises(StoreClosedError, match="before fork"):
            store["b"] = 1
        with pytest.raises(StoreOpenError, match="forked from"):
            LevelDBStore(path)
        store.close()

    assert in_child(child) == 0
    store["c"] = 3
    assert list(entries) == []
    txn.__exit__(None, None, None)
    store.close()
    with LevelDBStore(path) as store:
        assert dict(store) == {b"a": 1, b"c": 3}


def test_a_child_that_is_forked_after_the_end_opens_it(path):
    LevelDBStore(path, kwargs={"a": 1}).close()

    def child():
        with LevelDBStore(path) as store:
            store["b"] = 2

    assert in_child(child) == 0
    with LevelDBStore(path) as store:
        assert len(store) == 2


def test_a_child_that_ends_as_a_program_does_not_harm_the_parent(path):
    program = (
        "import os\n"
        "store = LevelDBStore(argv[0], serialize='json')\n"
        "store.update((str(n), 'x' * 1000) for n in range(9000))\n"
        "snapshot, entries = store.snapshot(), iter(store.items())\n"
        "next(entries)\n"
        "if os.fork() == 0:\n"
        "    del snapshot, entries\n"
        "    sys.exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "store['after'] = 1\n"
        "print(len(store), len(list(entries)))\n"
    )
    done = run(program, path)
    assert (done.stdout, done.stderr) == ("9001 8999\n", "")
    with LevelDBStore(path) as store:
        assert sum(1 for _ in store) == len(store) == 9001


@pytest.mark.parametrize("round_", range(3))
def test_closing_while_threads_read_and_write_does_not_crash(path, round_):
    program = (
        "import threading, time\n"
        "store = LevelDBStore(argv[0], serialize='json', durability='lazy')\n"
        "store.update((str(n), 'x' * 300) for n in range(5000))\n"
        "ended = []\n"
        "def work(step):\n"
        "    try:\n"
        "        while True:\n"
        "            step()\n"
        "    except StoreClosedError:\n"
        "        ended.append(1)\n"
        "def put():\n"
        "    store['7'] = 'new'\n"
        "steps = [lambda: list(store), lambda: list(store.items()), lambda: store['5'], put]\n"
        "threads = [threading.Thread(target=work, args=[step]) for step in steps * 2]\n"
        "[thread.start() for thread in threads]\n"
        "time.sleep(0.2)\n"
        "left, snapshot = iter(store.items()), store.snapshot()\n"
        "next(left)\n"
        "store.close()\n"
        "[thread.join() for thread in threads]\n"
        "for use in (lambda: next(left), lambda: snapshot['5']):\n"
        "    try: use()\n"
        "    except StoreClosedError: ended.append(1)\n"
        "snapshot.close()\n"
        "print(len(ended), len(LevelDBStore(argv[0])))\n"
    )
    done = run(program, path)
    assert (done.stdout, done.stderr) == ("10 5000\n", "")


def test_a_directory_that_is_no_database_is_refused_and_stays_as_it_was(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(StoreOpenError, match=r"no LevelDB database.*'notes.txt'"):
        LevelDBStore(other)
    with pytest.raises(StoreOpenError, match="is a file"):
        LevelDBStore(other / "notes.txt")
    assert os.listdir(other) == ["notes.txt"]
    with pytest.raises(StoreOpenError, match="there is no store"):
        LevelDBStore(tmp_path / "missing", create=False)
    with pytest.raises(StoreOpenError, match="there is no store"):
        LevelDBStore(tmp_path / "missing", readonly=True)
    with pytest.raises(StoreOpenError, match="directory above"):
        LevelDBStore(tmp_path / "missing" / "deep")
    assert not (tmp_path / "missing").exists()
    rocks = tmp_path / "rocks"
    rocks.mkdir()
    (rocks / "IDENTITY").write_text("")
    (rocks / "CURRENT").write_text("")
    with pytest.raises(StoreOpenError, match="RocksDB"):
        LevelDBStore(rocks)


def test_a_database_of_another_program_is_refused_with_its_entries_unchanged(path):
    with plyvel.DB(str(path), create_if_missing=True) as raw:
        raw.put(b"theirs", b"1")
    with pytest.raises(StoreOpenError, match="another program"):
        LevelDBStore(path)
    with plyvel.DB(str(path)) as raw:
        assert list(raw) == [(b"theirs", b"1")]


def test_a_store_of_a_newer_layout_is_refused(path):
    with plyvel.DB(str(path), create_if_missing=True) as raw:
        raw.put(b"\xffstones", b"2")
    with pytest.raises(StoreOpenError, match="newer version"):
        LevelDBStore(path)


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "removed"])
def test_a_damaged_database_is_refused(path, damage):
    LevelDBStore(path, kwargs={"a": 1}).close()
    (manifest,) = path.glob("MANIFEST-*")
    if damage == "removed":
        manifest.unlink()
    elif damage == "cut off":
        manifest.write_bytes(b"")
    else:
        manifest.write_bytes(b"x" * manifest.stat().st_size)
    with pytest.raises(StoreOpenError, match=r"damaged|cannot open"):
        LevelDBStore(path)


def test_damage_in_a_table_is_a_clear_error_and_the_process_goes_on(path):
    with LevelDBStore(path, serialize="noop", durability="lazy") as store:
        store.update((b"%06d" % n, os.urandom(100)) for n in range(60_000))
    LevelDBStore(path).close()  # the log becomes a table
    for table in path.glob("*.ldb"):
        raw = bytearray(table.read_bytes())
        raw[1000:3000] = bytes(2000)
        table.write_bytes(raw)
    with LevelDBStore(path) as store, pytest.raises(StorageError, match="damaged"):
        list(store.items())


def test_a_store_that_is_read_only_refuses_writes(path):
    LevelDBStore(path, kwargs={"a": 1}).close()
    with LevelDBStore(path, readonly=True) as store:
        with pytest.raises(ReadOnlyError):
            store["b"] = 2
        assert dict(store) == {b"a": 1}


def test_destroy_removes_the_files_unless_another_store_has_them_open(path):
    store = LevelDBStore(path)
    with LevelDBStore(path) as other:
        with pytest.raises(StoreOpenError, match="open in this process"):
            store.destroy(yes_im_sure=True)
        other["a"] = 1
    LevelDBStore(path).destroy(yes_im_sure=True)
    assert not path.exists()


def test_nothing_acknowledged_is_lost_and_nothing_half_done_when_the_process_is_killed(path):
    program = (
        "store = LevelDBStore(argv[0], serialize='json')\n"
        "step = int(argv[1])\n"
        "while True:\n"
        "    with store.transaction():\n"
        "        store.update(((f'{step}-{n}', 'x' * 50) for n in range(20)))\n"
        "        store['last'] = step\n"
        "    print(step, flush=True)\n"
        "    step += 1\n"
    )
    acknowledged = 0
    for round_ in range(15):
        command = [sys.executable, "-c", "import sys\nfrom stones import *\nargv = sys.argv[1:]\n"]
        command[-1] += program
        process = subprocess.Popen(
            [*command, path, str(acknowledged + 1)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(round_ * 3 + 1):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        acknowledged = int(rest[-1]) if rest else acknowledged
        with LevelDBStore(path) as store:
            last = store["last"]
            assert acknowledged <= last <= acknowledged + 1
            assert len(store) == sum(1 for _ in store) == last * 20 + 1
            acknowledged = last


def test_threads_that_write_at_once_share_a_commit(path):
    with LevelDBStore(path, serialize="json") as store:
        threads = [threading.Thread(target=store.update, args=[{f"{n}": n}]) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store) == 16


def test_a_transaction_that_nobody_ends_gives_up_its_lock(path):
    engine = LevelDBEngine.open(str(path))
    engine.begin(write=True, timeout=1).put(Space.DATA, b"lost", b"1")
    engine.write(lambda txn: txn.put(Space.DATA, b"k", b"v"), timeout=1)
    txn = engine.begin()
    assert list(txn.keys(Space.DATA)) == [b"k"]
    engine.close()
    txn.abort()


def test_sync_waits_for_what_was_written_lazily(path):
    with LevelDBStore(path, durability="lazy", kwargs={"a": 1}) as store:
        store.sync()
        assert store.stats()["path"] == str(path)


def test_what_is_written_after_a_write_has_failed_is_there_again(path):
    program = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LevelDBStore(argv[0], serialize='json')
store['before'] = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for key in ('large', 'again'):
    try:
        store[key] = 'x' * 50_000
    except StoreFullError as error:
        print("b'IO" in str(error), str(error)[:16])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
store['after'] = 2
store.close()
print(dict(LevelDBStore(argv[0])))
"""
    done = run(program, path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "False no room for more",
        "False no room for more",
        "{b'after': 2, b'before': 1}",
    ]


def test_a_writer_that_waits_while_the_store_is_closed_gives_up_its_lock_once(path, monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: ignored.append(error.exc_value))
    engine = LevelDBEngine.open(str(path))
    txn = engine.begin(write=True)
    errors = []

    def write():
        try:
            engine.begin(write=True)
        except StoreClosedError as error:
            errors.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(0.1)  # so that the thread waits for the lock
    engine.close()
    txn.abort()
    thread.join(60)
    assert len(errors) == 1
    assert ignored == []
