"""Backups: of one instant while others write, on the disk, whole or not there at all."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from stones import LmdbStore, StorageError, StoreOpenError, check, stone
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.environment import open_environment
from stones.engines.lmdb.file.pages import File
from stones.engines.lmdb.new_directory import new_directory

ACCOUNTS = 40
TRANSFERS = """
import random, sys
from stones import LmdbStore, stone
draw = random.Random(sys.argv[2])
with stone(sys.argv[1], LmdbStore) as store:
    print("begun", flush=True)
    while True:
        with store.transaction():
            giver, taker = draw.sample(sorted(store.range(prefix="account")), 2)
            amount = draw.randrange(10)
            store[giver] -= amount
            store[taker] += amount
            store[f"log/{draw.randrange(500)}"] = "x" * draw.choice([10, 3000, 20000])
            store.delete(f"log/{draw.randrange(500)}")
"""
BACKUP = """
import sys
from stones import LmdbStore, stone
from stones.engines.lmdb.new_directory import new_directory
with new_directory(sys.argv[1]) as place:
    with open(place + "/data.mdb", "wb") as file:
        file.write(b"half")
    print("begun", flush=True)
    sys.stdin.read()
"""
BACKUPS = """
import sys
from stones import LmdbStore, stone
with stone(sys.argv[1], LmdbStore) as store:
    print("begun", flush=True)
    for number in range(1000):
        store.backup(f"{sys.argv[2]}-{number}", compact=number % 2 == 0)
"""
GROWTH = """
import os, resource, sys, threading
from stones import LmdbStore, StoreFullError, stone

def allow(addresses):  # so many bytes more than are in use now
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit = resource.RLIM_INFINITY if addresses is None else used + addresses
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

def open_small(path):
    allow(100_000_000)
    try:
        return stone(path, LmdbStore, "noop", options={"durability": "none"})
    finally:
        allow(None)

path = sys.argv[1]
store = open_small(path)
first = store.stats()["map_size"]

def write():
    for number in range(300):
        pair = {f"{number}/a": b"%d" % number, f"{number}/b": b"x" * (1 << 20)}
        for attempt in range(20):
            try:
                store.update(pair)
                break
            except StoreFullError:  # the map could not grow under a copy that takes long: again
                assert attempt < 19

if sys.argv[2] == "thread":
    writer = threading.Thread(target=write)
    writer.start()
else:
    child = os.fork()
    if child == 0:
        try:
            store = open_small(path)
            write()
        finally:
            os._exit(0)
    writer = threading.Thread(target=os.waitpid, args=[child, 0])
    writer.start()
copies = 0
while writer.is_alive() or copies < 2:
    copy = f"{path}-{copies}"
    store.backup(copy, compact=copies % 2 == 0)
    with stone(copy, LmdbStore) as copied:
        keys = list(copied)
        assert sorted(key[:-1] + b"b" for key in keys if key.endswith(b"a")) == [
            key for key in keys if key.endswith(b"b")
        ]
    for name in os.listdir(copy):
        os.unlink(f"{copy}/{name}")
    copies += 1
writer.join()
print(len(store), store.stats()["map_size"] > first)
"""


@pytest.fixture
def writers(tmp_path):
    """Two processes that move money between the accounts of a store, until the test has ended."""
    path = tmp_path / "bank"
    with stone(path, LmdbStore) as store:
        store.update({f"account/{number}": 100 for number in range(ACCOUNTS)})
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TRANSFERS, path, str(seed)], stdout=subprocess.PIPE
            )
            for seed in range(2)
        ]
        for process in processes:
            assert process.stdout.readline() == b"begun\n"
        yield store
        for process in processes:
            assert process.poll() is None, "a writer has failed"
            process.kill()
            process.communicate()


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_under_load_is_sound_and_of_one_instant(writers, tmp_path, compact):
    for number in range(8):
        copy = tmp_path / f"copy-{number}"
        writers.backup(copy, compact=compact)
        assert os.listdir(copy) == ["data.mdb"]
        assert check(copy, trust_pickle=True).findings == ()
        with stone(copy, LmdbStore) as restored:
            total = sum(restored.range(prefix="account").values())
            assert total == 100 * ACCOUNTS
            restored["account/0"] += 1  # it is a store like any other


def test_check_under_load_finds_nothing(writers):
    for _ in range(8):
        assert check(writers.path, trust_pickle=True).findings == ()


@pytest.mark.parametrize("writer", ["thread", "process"])
def test_backups_are_taken_while_the_map_grows(tmp_path, writer):
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, tmp_path / "db", writer],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("600 True\n", "", 0)


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_has_all_and_can_be_written(open_store, tmp_path, compact):
    store = open_store(serialize="msgpack")
    content = {b"%d" % number: ["x" * number] for number in range(0, 9000, 30)}
    store.update(content)
    store.backup(tmp_path / "copy", compact=compact)
    store.clear()
    with stone(tmp_path / "copy", LmdbStore) as copy:
        assert dict(copy) == content
        copy.clear()
        copy["new"] = 1
        assert dict(copy) == {b"new": 1}
    assert check(tmp_path / "copy").sound


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_inside_a_transaction_is_of_the_state_before_it(open_store, tmp_path, compact):
    store = open_store()
    store["before"] = 1
    with store.transaction():
        store["inside"] = 2
        store.backup(tmp_path / "copy", compact=compact)
    with stone(tmp_path / "copy", LmdbStore) as copy:
        assert dict(copy) == {b"before": 1}


def test_a_compact_backup_leaves_out_what_is_free(tmp_path):
    with stone(tmp_path / "store", LmdbStore) as store:
        store["large"] = b"x" * 1_000_000
        del store["large"]
        store.backup(tmp_path / "plain", compact=False)
        store.backup(tmp_path / "compact")
    sizes = [(tmp_path / name / "data.mdb").stat().st_size for name in ("plain", "compact")]
    assert sizes[0] > 1_000_000 > sizes[1]


def test_a_plain_backup_of_a_store_that_was_never_written_opens(tmp_path):
    with closing(open_environment(str(tmp_path / "empty"), readonly=False, databases=4)):
        pass
    with stone(tmp_path / "empty", LmdbStore) as store:
        store.backup(tmp_path / "copy", compact=False)
    with stone(tmp_path / "copy", LmdbStore) as copy:
        assert dict(copy) == {}


def delete_most(store):
    """In one transaction: LMDB frees pages at the end of the file that it has never written."""
    store.update((f"{number:05}", "x" * (number % 60)) for number in range(8000))
    with store.transaction():
        for number in random.Random(3).sample(range(8000), 7200):
            del store[f"{number:05}"]


@pytest.mark.parametrize("registered", [True, False])
def test_a_plain_backup_may_leave_out_free_pages_behind_the_end_of_the_file(
    tmp_path, monkeypatch, registered
):
    path = tmp_path / "store"
    with stone(path, LmdbStore, serialize="json") as store:
        delete_most(store)
        entries = dict(store)
    with closing(File(path / "data.mdb")) as file:
        assert (file.metas()[0][0].last_page + 1) * file.page_size > file.size
    if not registered:
        monkeypatch.setattr("stones.engines.lmdb.environment.can_lock", lambda path: False)
    with stone(path, LmdbStore, readonly=True) as store:
        store.backup(tmp_path / "plain", compact=False)
        store.backup(tmp_path / "compact")
    for name in ("plain", "compact"):
        with stone(tmp_path / name, LmdbStore) as copy:
            assert dict(copy) == entries
        assert check(tmp_path / name).sound


def test_a_plain_backup_refuses_a_file_that_was_cut_short(tmp_path):
    path = tmp_path / "store"
    with stone(path, LmdbStore) as store:
        store.update((f"{number:04}", b"y" * 1000) for number in range(1000))
        os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size - 4096)
        with pytest.raises(StorageError, match="cut short"):
            store.backup(tmp_path / "copy", compact=False)
    assert not (tmp_path / "copy").exists()


def test_a_backup_that_was_killed_leaves_a_part_that_the_next_one_replaces(open_store, tmp_path):
    path = tmp_path / "copy"
    with subprocess.Popen(
        [sys.executable, "-c", BACKUP, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    assert not path.exists()
    assert (tmp_path / "copy.partial").exists()
    store = open_store()
    store["key"] = 1
    store.backup(path)
    assert not (tmp_path / "copy.partial").exists()
    with stone(path, LmdbStore) as copy:
        assert dict(copy) == {b"key": 1}


def test_backups_that_are_killed_at_random_are_whole_or_not_there(tmp_path):
    content = {b"%d" % number: "x" * 3000 for number in range(1000)}
    with stone(tmp_path / "store", LmdbStore) as store:
        store.update(content)
    for round in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", BACKUPS, tmp_path / "store", tmp_path / f"copy-{round}"],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout.readline() == b"begun\n"
            time.sleep(random.uniform(0.001, 0.1))
            process.send_signal(signal.SIGKILL)
    for place in tmp_path.glob("copy-*"):
        if place.suffix != ".partial":
            with stone(place, LmdbStore) as copy:
                assert dict(copy) == content


def test_two_processes_do_not_write_the_same_backup(open_store, tmp_path):
    path = tmp_path / "copy"
    with subprocess.Popen(
        [sys.executable, "-c", BACKUP, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"begun\n"
        with pytest.raises(StoreOpenError, match="by another process: wait"):
            open_store().backup(path)
        process.stdin.close()
        assert process.wait() == 0
    assert (path / "data.mdb").read_bytes() == b"half"


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_directory(str(tmp_path / "place")) as partial:
        (tmp_path / "place.partial" / "file").write_text("half")
        assert partial == str(tmp_path / "place.partial")
        1 / 0
    assert os.listdir(tmp_path) == []


def test_an_empty_directory_is_filled(open_store, tmp_path):
    (tmp_path / "copy").mkdir()
    open_store().backup(tmp_path / "copy")
    assert os.listdir(tmp_path / "copy") == ["data.mdb"]


def test_a_backup_to_where_it_cannot_be_is_refused(open_store, tmp_path):
    store = open_store()
    with pytest.raises(StorageError, match="cannot write"):
        store.backup(tmp_path / "no" / "such" / "place")
    (tmp_path / "copy.partial").write_text("a file of somebody")
    with pytest.raises(StorageError, match="cannot write"):
        store.backup(tmp_path / "copy")
    assert (tmp_path / "copy.partial").read_text() == "a file of somebody"


def test_files_of_others_where_a_backup_is_made_are_left_alone(open_store, tmp_path):
    (tmp_path / "copy.partial").mkdir()
    (tmp_path / "copy.partial" / "thesis.txt").write_text("a file of somebody")
    with pytest.raises(StoreOpenError, match=r"for instance 'thesis.txt': move it away"):
        open_store().backup(tmp_path / "copy")
    assert (tmp_path / "copy.partial" / "thesis.txt").read_text() == "a file of somebody"


def test_the_disk_is_told_to_keep_a_backup(open_store, tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def noted(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    store = open_store()
    monkeypatch.setattr(os, "fsync", noted)
    store.backup(tmp_path / "copy")
    partial = str(tmp_path / "copy.partial")
    assert synced[-3:] == [f"{partial}/data.mdb", partial, str(tmp_path)]


@pytest.mark.parametrize("compact", [True, False])
def test_an_engine_writes_its_copy_into_a_directory_that_is_there(tmp_path, compact):
    with stone(tmp_path / "db", LmdbStore) as store:
        store["a"] = 1
        place = tmp_path / "copy"
        place.mkdir()
        engine = LmdbEngine.open(str(tmp_path / "db"))
        engine.copy_to(str(place), compact=compact)
        store["later"] = 2
        assert os.listdir(place) == ["data.mdb"]
        with stone(place, LmdbStore) as copy:
            assert dict(copy) == {b"a": 1}
        with pytest.raises(StorageError):
            engine.copy_to(str(tmp_path / "nowhere"), compact=compact)
        engine.close()
