"""The store in a SQLite file: its three files, crashes, forks, bad files, and a full disk."""

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from attrs import define

from stones import (
    Collection,
    CorruptValueError,
    LmdbStore,
    LockTimeoutError,
    ReadOnlyError,
    SqliteStore,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
    key,
    migrate,
    stone,
)
from stones.engine import Space
from stones.engines.sqlite.engine import SqliteEngine
from stones.engines.sqlite.opening import prepare
from stones.testing import in_process, in_thread

from .processes import in_child, run

NOBODY = 65534


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture
def store(path):
    with SqliteStore(path, serialize="json") as store:
        yield store


def files(folder):
    return sorted(os.listdir(folder))


# -- one file --------------------------------------------------------------------------------------


def test_a_store_is_one_file_once_it_is_closed(path):
    with SqliteStore(path) as store:
        store["a"] = 1
        assert files(path.parent) == ["app.db", "app.db-shm", "app.db-wal"]
    assert files(path.parent) == ["app.db"]
    with SqliteStore(path) as store:
        assert dict(store) == {b"a": 1}


def test_the_file_says_what_it_is(path):
    SqliteStore(path).close()
    header = path.read_bytes()[:100]
    assert header[:16] == b"SQLite format 3\0"
    assert header[68:72] == b"Stns"
    assert int.from_bytes(header[60:64]) == 1


def test_destroy_removes_the_three_files(path):
    store = SqliteStore(path)
    other = SqliteStore(path)
    store.destroy()
    assert not store.database.closed
    store.destroy(yes_im_sure=True)
    assert files(path.parent) == []
    with pytest.raises(StorageError, match="removed, moved or replaced"):
        other["a"] = 1
    other.close()


def test_destroy_spares_what_has_taken_its_place(store, path):
    path.unlink()
    path.write_bytes(b"precious")
    with pytest.raises(StorageError, match="another file"):
        store.destroy(yes_im_sure=True)
    assert path.read_bytes() == b"precious"


def test_stats_have_the_sizes(store):
    store.update((str(n), "x" * 100) for n in range(1000))
    stats = store.stats()
    assert stats["durability"] == "full"
    assert stats["used_size"] > 100_000
    assert stats["log_size"] > 100_000
    assert stats["file_size"] >= 0
    assert stats["entries"] == 1000


@pytest.mark.parametrize("name", [b"db-\xff", b"\xfe/db", b"a b?c=d&e#f%20", b"a'b\n", b"memory"])
def test_a_store_may_be_at_any_path(tmp_path, name):
    path = os.fsencode(tmp_path) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with SqliteStore(path, serialize="json") as store:
        store["key"] = 1
        assert store.path == os.fsdecode(path)
    assert os.path.exists(path)
    with stone("sqlite:" + os.fsdecode(path)) as store:
        assert dict(store) == {b"key": 1}


def test_a_relative_path_holds_after_a_change_of_the_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SqliteStore("app.db") as store:
        (tmp_path / "other").mkdir()
        os.chdir("other")
        with store.snapshot(), store.snapshot():
            store["a"] = 1
        assert in_thread(lambda: store["a"]) == [1]
    assert files(tmp_path / "other") == []


def test_a_link_leads_to_the_store(tmp_path, path):
    link = tmp_path / "link"
    link.symlink_to(path)
    path.touch()
    with SqliteStore(link, serialize="json") as one, SqliteStore(path) as two:
        one["a"] = 1
        assert one.database.engine is two.database.engine
        assert dict(two) == {b"a": 1}


def test_a_store_in_memory_is_a_memory_store():
    for name in (":memory:", "sqlite::memory:"):
        with pytest.raises(StoreOpenError, match="use MemoryStore"):
            stone(name, SqliteStore)


@pytest.mark.parametrize("durability", ["full", "lazy", "none"])
def test_each_durability_keeps_what_is_written(path, durability):
    with SqliteStore(path, durability=durability) as store:
        store["a"] = 1
        store.sync()
        assert store.stats()["durability"] == durability
        assert SqliteStore(path, durability=durability) == {b"a": 1}
    with pytest.raises(StoreOpenError, match="durability is one of full, lazy, none"):
        SqliteStore(path, durability="fast")


def test_a_stricter_durability_than_the_one_in_use_is_refused(path):
    with SqliteStore(path, durability="lazy") as store:
        with pytest.raises(StoreOpenError, match="is less than 'full'"):
            SqliteStore(path)
        store["a"] = 1


def test_a_backup_is_an_lmdb_store_of_one_moment(store, tmp_path):
    store.update(a=1, b=2)
    Collection(store, User).add(User("ada"))
    store.backup(tmp_path / "copy")
    with LmdbStore(tmp_path / "copy") as copy:
        assert dict(copy) == dict(store)
        assert Collection(copy, User)["ada"] == User("ada")


# -- what cannot be opened -------------------------------------------------------------------------


def directory(path):
    path.mkdir()


def text(path):
    path.write_text("not a database, but a text that is long enough to have a header" * 100)


def another_database(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()


def another_program(path):
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id = 7")
    other.close()


def fifo(path):
    os.mkfifo(path)


def dangling_link(path):
    path.symlink_to(path.with_name("nowhere"))


def changed(*statements):
    def change(path):
        SqliteStore(path).close()
        other = sqlite3.connect(path)
        for statement in statements:
            other.execute(statement)
        other.commit()
        other.close()

    return change


BAD = {
    "is a directory": directory,
    "is no SQLite file": text,
    "is a SQLite file of something else.*'precious'": another_database,
    "is a SQLite file of something else.*marked": another_program,
    "is no plain file": fifo,
    "is a link that leads nowhere": dangling_link,
    "written by a later version": changed("PRAGMA user_version = 2"),
    "has not the tables": changed("DROP TABLE stones_counts"),
    "has not the tables of": changed(
        "CREATE TRIGGER t AFTER INSERT ON stones_data BEGIN DELETE FROM stones_meta; END"
    ),
}


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_store_is_one_clear_error_and_stays_as_it_is(path, reason, readonly):
    BAD[reason](path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreOpenError, match=reason) as caught:
        SqliteStore(path, readonly=readonly)
    assert str(path) in str(caught.value)
    assert before is None or path.read_bytes() == before


def test_an_empty_file_becomes_a_store_unless_that_is_refused(path):
    path.touch()
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(StoreOpenError, match="no store"):
            SqliteStore(path, **options)
    assert path.read_bytes() == b""
    with SqliteStore(path) as store:
        store["a"] = 1


def test_a_store_that_another_program_makes_meanwhile_is_no_file_of_something_else(path):
    maker = threading.Thread(target=lambda: SqliteStore(path).close())

    class Slow(sqlite3.Connection):
        """Gives the other program time between two reads of an empty file."""

        def execute(self, statement, *values):
            if statement == "PRAGMA user_version" and not maker.ident:
                maker.start()
                time.sleep(0.3)
            return super().execute(statement, *values)

    connection = sqlite3.connect(path, factory=Slow, isolation_level=None)
    prepare(connection, path, create=True, timeout=10)
    maker.join()
    connection.close()
    with SqliteStore(path, create=False) as store:
        assert len(store) == 0


@pytest.mark.parametrize("options", [{"create": False}, {"readonly": True}])
def test_a_store_that_is_not_there_is_not_made(path, options):
    with pytest.raises(StoreOpenError, match="no store"):
        SqliteStore(path, **options)
    assert files(path.parent) == []


def test_the_directory_above_must_be_there(tmp_path):
    with pytest.raises(StoreOpenError, match="the directory above it is not there"):
        SqliteStore(tmp_path / "nowhere" / "app.db")


def as_nobody(function):
    """Run a function without the rights of root. The result, or the error, as text."""

    def child() -> str:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            return function()
        except StoreOpenError as error:
            return str(error)

    return in_process(child)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_the_rights_of_files_are_named(tmp_path):
    os.chmod(tmp_path, 0o755)
    for above in tmp_path.parents[:-2]:
        os.chmod(above, 0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "app.db"
    with SqliteStore(path) as store:
        store["a"] = 1
    os.chmod(folder, 0o755)

    def read() -> str:
        with SqliteStore(path, readonly=True) as store:
            return str(dict(store))

    assert "permission denied" in as_nobody(lambda: repr(SqliteStore(path)))
    assert "SQLite makes two more files beside it" in as_nobody(read)
    # As long as a snapshot is open, the two files are there.
    with SqliteStore(path) as store, store.snapshot():
        store["a"] = 2
        os.chmod(f"{path}-shm", 0o644)
        assert as_nobody(read) == "{b'a': 2}"
    os.chmod(folder, 0o777)
    assert as_nobody(read) == "{b'a': 2}"
    os.chmod(path, 0)
    assert "permission denied" in as_nobody(read)


def test_a_damaged_file_is_an_error_and_not_a_crash(path):
    with SqliteStore(path, serialize="json") as store:
        store.update((f"{n:05}", "x" * 200) for n in range(5000))
    size = path.stat().st_size
    with open(path, "r+b") as damaged:
        for page in range(8, size // 4096, 3):
            damaged.seek(page * 4096)
            damaged.write(os.urandom(1000))
    try:
        store = SqliteStore(path)
    except StorageError:
        return
    with store, pytest.raises((StorageError, CorruptValueError), match="damaged"):
        len(list(store.items()))


def test_a_file_that_was_cut_short_is_an_error(path):
    with SqliteStore(path, serialize="json") as store:
        store.update((f"{n:05}", "x" * 200) for n in range(5000))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StorageError), SqliteStore(path) as store:
        list(store.items())


def test_a_value_that_sqlite_cannot_store_is_refused_before(path):
    engine = SqliteEngine.open(str(path))
    for put in (
        lambda txn: txn.put(Space.DATA, b"k", bytes(1_000_000_000)),
        lambda txn: txn.put_many(Space.DATA, [(b"a", b"1"), (b"k", bytes(1_000_000_000))]),
    ):
        with pytest.raises(StorageError, match="at most 999,990,000 bytes"):
            engine.write(put)
    assert engine.read(lambda txn: txn.count(Space.DATA)) == 0
    engine.close()


# -- files that are gone ---------------------------------------------------------------------------


def remove(path):
    path.unlink()


def rename(path):
    path.rename(path.with_name("moved"))


def replace(path):
    rename(path)
    SqliteStore(path, serialize="json").close()


def copy_in_its_place(path):
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def remove_the_log(path):
    path.with_name(path.name + "-wal").unlink()


def remove_what_is_shared(path):
    path.with_name(path.name + "-shm").unlink()


def rename_the_directory(path):
    path.parent.rename(path.parent.with_name("moved-folder"))


@pytest.mark.parametrize(
    "event",
    [
        remove,
        rename,
        replace,
        copy_in_its_place,
        remove_the_log,
        remove_what_is_shared,
        rename_the_directory,
    ],
)
@pytest.mark.parametrize("settled", [False, True])
def test_a_write_says_that_the_files_are_gone(tmp_path, event, settled):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "app.db"
    with SqliteStore(path, serialize="json") as store:
        store["a"] = 1
        if settled:  # so long that the time of the directory is enough
            time.sleep(3.1)
            store["a"] = 2
        event(path)
        for write in (lambda: store.put("a", 3), store.sync):
            with pytest.raises(StorageError, match=r"nothing was written|cannot open"):
                write()
        with pytest.raises(StorageError), store.transaction():
            store["b"] = 1
        if event is not replace:  # the files beside it are those of the other store then
            assert "b" not in store


# -- processes -------------------------------------------------------------------------------------

ADDER = """
from attrs import define
@define
class User:
    name: str = key()
    age: int = 0
users = Collection(SqliteStore(argv[0], serialize='json'), User)
for n in range(int(argv[2])):
    users.add(User(f'{argv[1]}-{n:05}'))
    print(n, flush=True)
"""


def start(code, *arguments):
    program = "import sys\nfrom stones import *\nargv = sys.argv[1:]\n" + code
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_add_to_one_collection(path):
    adders = [start(ADDER, path, number, 50) for number in range(8)]
    assert [adder.communicate()[0].count("\n") for adder in adders] == [50] * 8
    with SqliteStore(path) as store:
        users = Collection(store, User)
        assert len(users) == len(list(users)) == 400
        assert len(store) == len(list(store)) == 400


def test_a_kill_in_a_commit_loses_nothing_that_was_acknowledged(path):
    acknowledged = {}
    for round_ in range(5):
        adders = [start(ADDER, path, f"{round_}-{number}", 100_000) for number in range(2)]
        for adder in adders:
            adder.stdout.readline()
        time.sleep(0.05 + 0.05 * round_)
        for number, adder in enumerate(adders):
            adder.kill()
            lines = adder.stdout.read().split("\n")[:-1]  # communicate() passes by what is buffered
            adder.communicate()
            acknowledged[f"{round_}-{number}"] = int(lines[-1]) if lines else 0
        with SqliteStore(path) as store:
            users = Collection(store, User)
            names = set(users)
            assert len(users) == len(names) == len(store)
            for name, last in acknowledged.items():
                there = sum(key.startswith(f"{name}-") for key in names)
                # One more may have been committed, and not been told.
                assert last + 1 <= there <= last + 2
            assert store.database.engine.read(lambda txn: txn.count(Space.DATA)) == len(names)


def test_a_writer_that_waits_too_long_names_the_process(path):
    holder = start(
        "with SqliteStore(argv[0]).transaction():\n    print('here', flush=True)\n    input()\n",
        path,
    )
    code = holder.stdout.readline()
    assert code == "here\n"
    with SqliteStore(path, timeout=0.2) as store:
        started = time.monotonic()
        with pytest.raises(LockTimeoutError, match=rf"process {holder.pid} \(.*python"):
            store["a"] = 1
        assert time.monotonic() - started < 5
        assert dict(store) == {}
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
        store["a"] = 1


def test_another_thread_that_writes_is_named(store):
    with SqliteStore(store.path, timeout=0.1) as other:
        with store.transaction():
            store["a"] = 1
            (error,) = in_thread(lambda: other.put("b", 1))
        assert isinstance(error, LockTimeoutError)
        assert "another thread of this process" in str(error)
    assert dict(store) == {b"a": 1}


def test_readers_do_not_wait_for_a_writer_nor_it_for_them(store):
    store.update((str(n), n) for n in range(1000))
    with store.snapshot() as view, store.transaction():
        store.clear()
        store["new"] = 1
        assert in_thread(lambda: len(store)) == [1000]
        assert len(view) == len(list(view)) == 1000
    assert dict(store) == {b"new": 1}


def test_many_threads_read_and_write(store):
    store.update((str(n), n) for n in range(100))
    failed = []

    def work(number):
        try:
            for n in range(40):
                store[f"{number}-{n}"] = n
                assert store[str(n)] == n
                assert len(list(store.items())) >= 100
        except Exception as error:  # noqa: BLE001  # the test fails with it below
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(store) == len(list(store)) == 420


# -- forks -----------------------------------------------------------------------------------------


def test_a_child_uses_the_store_of_its_parent(store):
    store["a"] = 1
    for _ in range(3):
        assert in_child(lambda: store.update(child=store["a"])) == 0
        store["a"] += 1
    assert dict(store) == {b"a": 4, b"child": 3}


def test_the_end_of_the_parent_does_not_take_the_log_of_its_child(path):
    code = """
store = SqliteStore(argv[0], serialize='json')
store['a'] = 1
view = store.snapshot()
import os, sys, time
if os.fork() == 0:
    store['child'] = 1
    sys.stdin.read()  # until the parent has ended
    time.sleep(0.2)
    store['late'] = 1
    store.close()
    os._exit(0)
time.sleep(0.5)
view.close()
store.close()
"""
    program = start(code, path)
    program.communicate()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with SqliteStore(path) as store:
            if "late" in store:
                break
        time.sleep(0.1)
    with SqliteStore(path) as store:
        assert dict(store) == {b"a": 1, b"child": 1, b"late": 1}


def test_a_fork_while_a_snapshot_is_open(store):
    store["a"] = 1
    with store.snapshot() as view:
        store["a"] = 2

        def child():
            with pytest.raises(StorageError, match="begun before fork"):
                view["a"]
            assert store["a"] == 2
            store["child"] = 1

        assert in_child(child) == 0
        assert view["a"] == 1
    assert dict(store) == {b"a": 2, b"child": 1}


def test_a_child_that_was_forked_inside_a_transaction_leaves_the_file_alone(store):
    with store.transaction():
        store.update((str(n), "x" * 1000) for n in range(5000))  # more than SQLite keeps in memory

        def child():
            with pytest.raises(StorageError, match="forked while a transaction wrote"):
                store["a"]
            with pytest.raises(StorageError, match="forked while a transaction wrote"):
                store["a"] = 1

        assert in_child(child) == 0
        store["after"] = 1
    assert len(store) == len(list(store)) == 5001
    assert run("print(len(list(SqliteStore(argv[0]))))", store.path).stdout == "5001\n"
    assert in_child(lambda: store.update(child=1)) == 0


def test_a_fork_while_other_threads_read(store):
    store.update((str(n), n) for n in range(100))
    ended = threading.Event()

    def read():
        while not ended.is_set():
            assert store["7"] == 7

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(20):
            assert in_child(lambda number=number: store.update({f"child-{number}": 1})) == 0
    finally:
        ended.set()
        for reader in readers:
            reader.join(30)
    assert len(store) == 120


# -- the end of a store ----------------------------------------------------------------------------


def test_closing_lets_go_of_the_file_whatever_is_under_way(path):
    store = SqliteStore(path)
    store.update((str(n), n) for n in range(1000))
    entries, view = iter(store.items()), store.snapshot()
    next(entries)
    store.close()
    assert files(path.parent) == ["app.db"]
    for use in (lambda: next(entries), lambda: view["1"], lambda: store["1"], store.sync):
        with pytest.raises(StoreClosedError):
            use()


def test_a_store_that_is_dropped_is_closed(path):
    store = SqliteStore(path)
    store["a"] = 1
    view = store.snapshot()
    assert view["a"] == 1
    del store, view
    gc.collect()
    assert files(path.parent) == ["app.db"]


def test_a_store_that_is_closed_while_others_read_it(path):
    for _ in range(10):
        store = SqliteStore(path)
        store.update((str(n), n) for n in range(500))
        outcomes = []

        def read(store=store, outcomes=outcomes):
            try:
                while True:
                    store["7"]
                    list(store.items())
            except StoreClosedError:
                outcomes.append("closed")
            except TransactionError as error:
                outcomes.append(repr(error))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        time.sleep(0.02)
        store.close()
        for reader in readers:
            reader.join(30)
        assert outcomes == ["closed"] * 3


# Python tells of an interrupt in a callback of a weak reference, and raises nothing.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_leaves_a_store_that_can_be_used(path):
    def interrupt(*_):
        raise KeyboardInterrupt

    store = SqliteStore(path, serialize="json", timeout=5, durability="lazy")
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for number in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number % 60 * 0.00005)
                for n in range(100):
                    store[f"{number}-{n}"] = n
                    with store.transaction():
                        store["n"] = n
                        with store.transaction():
                            store["m"] = n
                    assert len(store) > 0
                    store["n"]
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100
    store["after"] = 1
    assert len(store) == len(list(store))
    assert in_thread(lambda: store.put("thread", 1)) == [True]
    store.close()


def test_a_read_only_store_is_not_written(path):
    with SqliteStore(path) as store:
        store["a"] = 1
    with SqliteStore(path, readonly=True) as store:
        assert dict(store) == {b"a": 1}
        for write in (lambda: store.put("a", 2), store.clear, store.sync):
            with pytest.raises(ReadOnlyError):
                write()


# -- counts ----------------------------------------------------------------------------------------


def test_the_count_is_right_whatever_is_written(store):
    store.update((f"{n:03}", n) for n in range(100))
    store.update([("001", 1), ("new", 1), ("new", 2)])
    del store["002"]
    assert not store.delete("gone")
    with store.transaction():
        store.update((f"{n:03}", n) for n in range(50, 150))
        assert len(store) == len(list(store)) == 150
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.clear()
            store["x"] = 1
            assert len(store) == 1
            raise ZeroDivisionError
        with store.transaction():
            del store["new"]
            with store.transaction():
                store["y"] = 1
        assert len(store) == len(list(store)) == 150
    assert len(store) == len(list(store)) == 150
    store.database.write(lambda txn: txn.delete_range(Space.DATA, b"010", b"020"))
    assert len(store) == len(list(store)) == 140
    store.clear()
    assert len(store) == len(list(store)) == 0


def test_migrations_collections_and_indexes_work(store):
    users = Collection(store, User, indexes=["age"])
    users.add_many(User(str(n), n % 10) for n in range(500))
    assert users.find(age=3).count() == 50
    migrate(store, "cbor")
    assert users.find("$[?(@.age > 7)]").count() == 100
    assert len(users) == 500


# -- where LMDB is not -----------------------------------------------------------------------------


def test_it_works_where_lmdb_cannot_be_imported(path):
    code = """
import sys
sys.modules['lmdb'] = None
from attrs import define
from stones import *
from stones import key
@define
class User:
    name: str = key()
    age: int = index()
path = sys.argv[1]
with stone('sqlite:' + path, serialize='json') as store:
    users = Collection(store, User)
    users.add(User('ada', 36))
    store['a'] = 1
    with store.transaction():
        store['b'] = 2
    print(users.find(age=36).first(), len(store), MemoryStore(store)['b'])
    migrate(store, 'cbor')
    try:
        store.backup(path + '-copy')
    except UnsupportedError as error:
        print(error)
"""
    command = [sys.executable, "-c", code.replace("from stones import *", NAMES), path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    found, refused = done.stdout.splitlines()
    assert found == "User(name='ada', age=36) 3 2"
    assert "install lmdb" in refused


NAMES = "from stones import Collection, MemoryStore, UnsupportedError, index, migrate, stone"


# -- a full disk -----------------------------------------------------------------------------------

FULL = """
import os, resource, signal
UNLIMITED = resource.RLIM_INFINITY
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, UNLIMITED))
store = SqliteStore(argv[0], serialize='json', durability=argv[1])
store['kept'] = 'x' * 1000
before = dict(store)
limit(100_000)
large = 'x' * 300_000
def block():
    with store.transaction():
        store['a'] = 1
        with store.transaction():
            store['b'] = large
def caught():
    with store.transaction():
        store['a'] = 1
        try:
            store.update((str(n), 'x' * 90_000) for n in range(100))
        except StoreFullError:
            pass
        store['c'] = 1
writes = [
    lambda: store.put('a', large),
    lambda: store.update({str(n): large for n in range(3)}),
    lambda: store.update((str(n), 'x' * 900) for n in range(30_000)),
    block,
    caught,
]
for number, write in enumerate(writes):
    try:
        write()
        print('not refused', number)
    except StoreFullError:
        pass
    except (TransactionError, StorageError) as error:
        if number != 4:
            print(number, repr(error))
    if dict(store) != before or len(store) != 1:
        print('changed', number, len(store))
limit(UNLIMITED)
store['a'] = large
print(len(store), len(list(store)))
store.close()
print(len(SqliteStore(argv[0])))
"""


@pytest.mark.parametrize("durability", ["full", "lazy", "none"])
def test_a_full_disk_undoes_the_write_and_all_goes_on_once_there_is_room(path, durability):
    done = run(FULL, path, durability)
    assert done.stderr == ""
    assert done.stdout == "2 2\n2\n"
