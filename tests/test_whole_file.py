"""Stores whose files are written whole: JsonFileStore, and DbmStore on each kind of files.

Writers of several processes, kills at any moment, rights, a full disk, files that are gone.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stones import (
    DbmStore,
    JsonFileStore,
    LockTimeoutError,
    ReadOnlyError,
    StorageError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
    stone,
)
from stones.testing import in_thread

from .processes import fork, in_child, run
from .test_paths import without_rights

BEGIN = "import sys\nfrom stones import *\nargv = sys.argv[1:]\n"
KINDS = ["json", "dumb", "sqlite3", *(["gnu"] if find_spec("_gdbm") else [])]
FILES = {"json": ["db"], "dumb": ["db.dat", "db.dir"], "sqlite3": ["db"], "gnu": ["db"]}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def opened(kind, tmp_path):
    """Opens the store, the same at each call."""
    if kind == "json":
        return partial(JsonFileStore, tmp_path / "db")
    return partial(DbmStore, tmp_path / "db", kind=kind, trust_pickle=True)


@pytest.fixture
def program(kind):
    """The beginning of a program that opens the store at its first argument."""
    if kind == "json":
        return "stor = JsonFileStore(argv[0])\n"
    return f"stor = DbmStore(argv[0], kind={kind!r}, trust_pickle=True)\n"


def files(folder):
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


def test_a_commit_of_another_process_is_seen_by_the_next_operation(opened, program, tmp_path):
    with opened() as store:
        store["a"] = 1
        with store.snapshot() as view:
            assert run(program + "stor['b'] = 2; del stor['a']", tmp_path / "db").returncode == 0
            assert list(view) == [b"a"]
        assert dict(store) == {b"b": 2}
        store["c"] = 3
    assert dict(opened()) == {b"b": 2, b"c": 3}


def test_two_stores_on_the_same_file_in_one_process_agree(opened):
    with opened() as one, opened() as other:
        for number in range(20):
            (one, other)[number % 2][str(number)] = number
        assert dict(one) == dict(other)
        assert len(one) == 20


def test_a_thread_that_would_wait_for_itself_gets_an_error(opened):
    with opened() as one, opened() as other:
        with one.transaction(), pytest.raises(TransactionError, match="in another store"):
            other["a"] = 1
        other["a"] = 2
        assert one["a"] == 2


def test_a_writer_that_waits_too_long_is_told_which_process_it_waits_for(opened, program, tmp_path):
    code = program + (
        "import time\n"
        "with stor.transaction():\n"
        "    stor['a'] = 1; print('in', flush=True); time.sleep(60)\n"
    )
    with opened(timeout=0.2) as store:
        other = subprocess.Popen(
            [
                sys.executable,
                "-c",
                BEGIN + code,
                str(tmp_path / "db"),
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert other.stdout.readline() == b"in\n"
            with pytest.raises(LockTimeoutError, match=f"process {other.pid}"):
                store["b"] = 1
            assert list(store) == []
        finally:
            other.kill()
            other.wait()
            other.stdout.close()
        store["b"] = 2  # a killed process holds nothing
        assert dict(store) == {b"b": 2}


def test_processes_and_threads_write_at_once_and_lose_nothing(opened, program, tmp_path):
    code = program + (
        "for _ in range(25):\n"
        "    with stor.transaction():\n"
        "        stor['n'] = stor.get('n', 0) + 1\n"
    )
    command = [sys.executable, "-c", BEGIN + code]
    with opened() as store:
        store["n"] = 0
        others = [subprocess.Popen([*command, str(tmp_path / "db")]) for _ in range(3)]

        def count():
            for _ in range(25):
                with store.transaction():
                    store["n"] += 1

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [other.wait(60) for other in others] == [0, 0, 0]
        assert store["n"] == 125


def write_on(opened, number, say):
    """Write one number to three keys, say it, and go on with the next number, without an end."""
    store = opened()
    while True:
        with store.transaction():
            for key in "abc":
                store[key] = [number] * 300
        os.write(say, b"%d\n" % number)
        number += 1


def test_a_kill_at_any_moment_leaves_the_last_commit_or_the_one_under_way(opened):
    opened().close()
    number = 0
    moments = random.Random(7)
    for _ in range(30):
        hear, say = os.pipe()
        writer = fork(partial(write_on, opened, number, say))
        os.close(say)
        with open(hear, "rb") as said:
            first = said.readline()
            time.sleep(moments.random() / 50)
            os.kill(writer, signal.SIGKILL)
            acknowledged = int((first + said.read()).split()[-1])
        os.waitpid(writer, 0)
        with opened() as store:
            found = {tuple(value) for value in store.values()}
            assert len(found) == 1
            (last,) = {value[0] for value in found}
            assert acknowledged <= last <= acknowledged + 1
            assert len(store["a"]) == 300
            store["a"] = store["b"]  # and it can be written
        number = last + 1


@pytest.mark.parametrize("step", range(40))
def test_a_crash_between_any_two_calls_of_the_system_leaves_one_state(opened, kind, tmp_path, step):
    """The child ends itself before its call number `step` that changes a name or syncs."""
    with opened() as store:
        store.update(a=1, b=1)

    def write():
        calls = iter(range(1000))

        def ending(function):
            def call(*args, **options):
                if next(calls) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **options)

            return call

        store = opened()
        for name in ("open", "replace", "rename", "rmdir", "mkdir", "unlink", "fsync", "utime"):
            setattr(os, name, ending(getattr(os, name)))
        store.update(a=2, b=2)

    ended = in_child(write)
    assert ended in (0, -signal.SIGKILL)
    reader = opened(readonly=True)
    seen = dict(reader)
    assert seen in ({b"a": 1, b"b": 1}, {b"a": 2, b"b": 2})
    assert ended != 0 or seen[b"a"] == 2
    with opened() as store:
        assert dict(store) == seen
        store["c"] = 3
        assert dict(reader) == {**seen, b"c": 3}
    assert files(tmp_path) == FILES[kind]


def test_the_rights_of_the_file_are_kept(opened, kind, tmp_path):
    with opened() as store:
        store["a"] = 1
        for name in FILES[kind]:
            os.chmod(tmp_path / name, 0o640)
        store["a"] = 2
    assert [os.stat(tmp_path / name).st_mode & 0o777 for name in FILES[kind]] == (
        [0o640] * len(FILES[kind])
    )


def test_a_new_file_has_the_rights_that_the_umask_leaves(opened, kind, tmp_path):
    before = os.umask(0o027)
    try:
        with opened() as store:
            store["a"] = 1
    finally:
        os.umask(before)
    assert [os.stat(tmp_path / name).st_mode & 0o777 for name in FILES[kind]] == (
        [0o640] * len(FILES[kind])
    )


def test_a_symbolic_link_stays_and_its_target_is_written(kind, tmp_path):
    target = tmp_path / "elsewhere" / "real"
    target.parent.mkdir()
    if kind == "dumb":  # a link to the folder: the store has two files
        (tmp_path / "link").symlink_to(target.parent)
        path, options = tmp_path / "link" / "real", {"kind": kind}
    else:
        path = tmp_path / "link"
        path.symlink_to(target)
        options = {} if kind == "json" else {"kind": kind}
    store_class = JsonFileStore if kind == "json" else DbmStore
    with store_class(path, **options) as store, store_class(target) as same:
        store["a"] = 1
        same["b"] = 2
        assert dict(store) == dict(same) == {b"a": 1, b"b": 2}
    assert (tmp_path / "link").is_symlink()


def test_a_file_that_may_not_be_written_can_be_read_and_keeps_its_entries(kind, public_folder):
    def check(folder):
        store_class = JsonFileStore if kind == "json" else DbmStore
        store = store_class(folder / "db")
        assert dict(store) == {b"a": 1}
        with pytest.raises(StorageError, match=r"cannot be written.*nothing was changed.*readonly"):
            store["b"] = 2
        assert dict(store) == {b"a": 1}
        assert dict(store_class(folder / "db", readonly=True)) == {b"a": 1}

    for what in ("file", "folder"):
        folder = public_folder()
        store_class = JsonFileStore if kind == "json" else partial(DbmStore, kind=kind)
        with store_class(folder / "db") as store:
            store["a"] = 1
        if what == "file":
            folder.chmod(0o777)
            for name in FILES[kind]:
                (folder / name).chmod(0o444)
        else:
            folder.chmod(0o555)
        without_rights(partial(check, folder))


@pytest.fixture
def public_folder():
    """Makes folders that every user can reach; pytest's own folders are for one user only."""
    with ExitStack() as stack:

        def public_folder():
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="stones-")))
            folder.chmod(0o755)
            return folder

        yield public_folder


def test_a_full_disk_is_an_error_that_changes_nothing(opened, kind, tmp_path):
    with opened() as store:
        store["a"] = 1

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = opened()
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        for _ in range(2):
            with pytest.raises(StoreFullError, match="nothing was changed"):
                store["b"] = "x" * 100_000
            assert dict(store) == {b"a": 1}
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store["b"] = "x" * 100_000

    assert in_child(write) == 0
    assert len(opened()["b"]) == 100_000
    assert files(tmp_path) == FILES[kind]


def test_files_that_are_gone_can_be_read_on_and_not_written(opened, kind, tmp_path):
    with opened() as store:
        store["a"] = 1
        for name in FILES[kind]:
            (tmp_path / name).rename(tmp_path / f"moved-{name}")
        assert dict(store) == {b"a": 1}
        with pytest.raises(StorageError, match="was removed or renamed"):
            store["b"] = 2
        with pytest.raises(StorageError, match="was removed or renamed"), store.transaction():
            store["b"] = 2
        for name in FILES[kind]:
            (tmp_path / f"moved-{name}").rename(tmp_path / name)
        store["b"] = 2
        assert dict(store) == {b"a": 1, b"b": 2}


def test_an_interrupted_or_failed_transaction_leaves_no_trace(opened, kind, tmp_path):
    with opened() as store:
        store["a"] = 1
        with pytest.raises(KeyboardInterrupt), store.transaction():
            store["b"] = 2
            raise KeyboardInterrupt
        before = {name: os.stat(tmp_path / name).st_mtime_ns for name in FILES[kind]}
        with store.transaction():
            pass
        assert before == {name: os.stat(tmp_path / name).st_mtime_ns for name in FILES[kind]}
        assert dict(store) == {b"a": 1}


def test_a_child_process_goes_on_with_the_store_of_its_parent(opened):
    with opened() as store:
        store["a"] = 1
        with store.transaction():
            store["a"] = 2

            def write():
                try:
                    store.database.engine.begin(write=True, timeout=0.1)
                except LockTimeoutError:
                    return
                raise AssertionError

            assert in_child(write) == 0
        assert in_child(lambda: store.update(b=3)) == 0
        assert dict(store) == {b"a": 2, b"b": 3}


def test_a_read_only_store_sees_what_others_write_and_writes_nothing(opened, kind, tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store"):
        opened(readonly=True)
    with pytest.raises(StoreOpenError, match="there is no store"):
        opened(create=False)
    assert os.listdir(tmp_path) == []
    with opened() as store, opened(readonly=True) as reader:
        store["a"] = 1
        assert dict(reader) == {b"a": 1}
        with pytest.raises(ReadOnlyError):
            reader["b"] = 2


def test_a_user_who_may_write_the_file_may_do_so_beside_the_lock_of_another_user(
    kind, public_folder
):
    def write(folder):
        store_class = JsonFileStore if kind == "json" else DbmStore
        with store_class(folder / "db") as store:
            store["b"] = 2

    folder = public_folder()
    with (JsonFileStore if kind == "json" else partial(DbmStore, kind=kind))(
        folder / "db"
    ) as store:
        store["a"] = 1
        folder.chmod(0o777)
        for name in FILES[kind]:
            (folder / name).chmod(0o666)
        without_rights(partial(write, folder))
        assert dict(store) == {b"a": 1, b"b": 2}


def test_destroy_deletes_what_others_have_written_and_spares_what_is_no_store(
    opened, kind, tmp_path
):
    store, other = opened(), opened()
    other["a"] = 1
    for name in FILES[kind]:
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
        (tmp_path / name).write_text("something else")
    with pytest.raises(StorageError):
        store.destroy(yes_im_sure=True)
    for name in FILES[kind]:
        assert (tmp_path / name).read_text() == "something else"
        (tmp_path / f"moved-{name}").rename(tmp_path / name)
    store.destroy(yes_im_sure=True)
    assert os.listdir(tmp_path) == []
    other.close()


def test_destroy_deletes_the_files_and_nothing_else(opened, kind, tmp_path):
    (tmp_path / "other").write_text("kept")
    store, other = opened(), opened()
    store["a"] = 1
    assert other["a"] == 1
    store.destroy()
    store.destroy(yes_im_sure=True)
    assert os.listdir(tmp_path) == ["other"]
    assert dict(other) == {b"a": 1}
    with pytest.raises(StorageError, match="removed"):
        other["b"] = 2
    other.close()
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.parametrize("durability", ["fast", 5, None])
def test_an_unknown_durability_is_refused(opened, durability):
    with pytest.raises(StoreOpenError, match="durability is one of full, lazy, none"):
        opened(durability=durability)


@pytest.mark.parametrize("durability", ["lazy", "none"])
def test_a_store_that_does_not_wait_for_the_disk_can_do_so_once(opened, durability):
    with opened(durability=durability) as store:
        store["a"] = 1
        store.sync()
    assert opened()["a"] == 1


def test_a_place_where_no_file_can_be_is_refused(kind, tmp_path):
    open_at = JsonFileStore if kind == "json" else partial(DbmStore, kind=kind)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    places = [tmp_path / "no" / "db", "", "a\0b", 5, None]
    if kind != "dumb":
        places += [tmp_path / "folder", tmp_path / "pipe"]
    for place in places:
        with pytest.raises(StoreOpenError):
            open_at(place)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_many_threads_share_commits(opened):
    with opened() as store:

        def work(number):
            for step in range(10):
                store[f"{number}-{step}"] = step

        threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store) == 80
    assert len(opened()) == 80


def test_a_store_that_is_closed_in_a_transaction_of_another_thread_keeps_no_lock(opened):
    store = opened()
    txn = store.database.engine.begin(write=True)
    assert in_thread(store.close) == [None]
    with opened(timeout=0.5) as other:
        other["a"] = 1
    txn.abort()


def test_the_options_of_stone_reach_the_store(opened, kind, tmp_path):
    store_class = JsonFileStore if kind == "json" else DbmStore
    options = {} if kind == "json" else {"options": {"kind": kind}}
    with stone(tmp_path / "db", store_class, serialize="cbor", key_type=str, **options) as store:
        store["a"] = {"n": (1, 2)}
        assert dict(store) == {"a": {"n": (1, 2)}}
        assert "cbor" in repr(store)
    if kind == "json":
        assert set(json.loads((tmp_path / "db").read_text())["a"]) == {"$raw"}
    shutil.rmtree(tmp_path / "db", ignore_errors=True)
