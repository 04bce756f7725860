"""One engine a file in a process: opened and closed by anyone, at any time, and collected."""

import threading

import pytest
from attrs import define

from stones import Collection, LmdbStore, ReadOnlyError, StoreClosedError, key, migrate, stone

from .processes import in_child, run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@define
class User:
    name: str = key()


def test_a_read_only_store_does_not_write_to_the_file_that_it_shares(path):
    with stone(path, LmdbStore) as writable:
        writable["a"] = 1
        users = Collection(writable, User)
        users.add(User("ada"))
        with LmdbStore(path, readonly=True) as view:
            reading = Collection(view, User)
            writes = [
                lambda: view.put("a", 2),
                lambda: view.delete("a"),
                lambda: view.update(a=2),
                lambda: view.pop("a"),
                view.popitem,
                view.clear,
                lambda: view.setdefault("b", 2),
                lambda: view.transaction().__enter__(),
                view.sync,
                lambda: reading.add(User("alan")),
                lambda: reading.delete("ada"),
                reading.clear,
                lambda: migrate(view, "json"),
            ]
            for write in writes:
                with pytest.raises(ReadOnlyError):
                    write()
            assert (view["a"], reading["ada"]) == (1, User("ada"))
            writable["a"] = 3
            assert view["a"] == 3
        assert (writable["a"], len(users)) == (3, 1)


def test_the_last_store_closes_the_file_and_no_other_does(path):
    stores = [stone(path, LmdbStore) for _ in range(3)]
    stores[0]["a"] = 1
    for store in stores[:2]:
        store.close()
        store.close()
        with pytest.raises(StoreClosedError):
            store["a"]
    assert stores[2]["a"] == 1
    stores[2].close()
    with stone(path, LmdbStore) as again:
        assert again["a"] == 1


def test_threads_open_and_close_without_harm_to_each_other(path):
    stone(path, LmdbStore).close()
    wrong = []

    def work(number: int) -> None:
        try:
            for step in range(25):
                with stone(path, LmdbStore) as store:
                    store[f"{number}-{step}"] = step
                    assert store[f"{number}-{step}"] == step
        except BaseException as error:  # noqa: BLE001  # shown by the assertion below
            wrong.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with stone(path, LmdbStore) as store:
        assert len(store) == 150


def test_the_garbage_collector_may_close_stores_in_the_middle_of_an_opening(path):
    code = """
import faulthandler, gc
faulthandler.dump_traceback_later(40, exit=True)
gc.set_threshold(1, 1, 1)
def drop(number):
    store = stone(argv[0] + str(number % 3), LmdbStore)
    store['n'] = number
    store.cycle = store  # only the garbage collector can tell that nobody has it
for number in range(60):
    drop(number)
gc.collect()
print([stone(argv[0] + str(number), LmdbStore)['n'] for number in range(3)])
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("[57, 58, 59]\n", "")


def test_a_store_is_collected_while_another_thread_waits_to_open_one(path):
    """The one that collects is in a transaction that the opening waits for."""
    code = """
import faulthandler, gc, threading, time
faulthandler.dump_traceback_later(40, exit=True)
one, other = argv[0] + '1', argv[0] + '2'
stone(other, LmdbStore)['a'] = 1
raw = __import__('lmdb')
store = stone(one, LmdbStore)
with store.transaction():
    store['half'] = 1
    opening = threading.Thread(target=lambda: stone(other, LmdbStore)['a'])
    dropped = stone(other, LmdbStore)
    dropped.cycle = dropped
    opening.start()
    del dropped
    gc.collect()
opening.join()
print(dict(store))
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("{b'half': 1}\n", "")


def test_interrupts_at_any_instant_leave_no_lock_behind(path):
    code = """
import faulthandler, os, random, signal, threading, time
from attrs import define
faulthandler.dump_traceback_later(100, exit=True)

@define
class User:
    name: str = key()
    age: int = 0

store = stone(argv[0], LmdbStore, 'msgpack', options={'durability': 'none'})
users = Collection(store, User)
armed, ended = threading.Event(), threading.Event()
main = threading.main_thread().ident

def interrupt():
    draw = random.Random(1)
    while not ended.is_set():
        armed.wait(1)
        time.sleep(draw.uniform(0, 0.0008))
        if armed.is_set():
            armed.clear()
            signal.pthread_kill(main, signal.SIGINT)

def write_too():
    while not ended.is_set():
        store['other'] = time.time()
        time.sleep(0.0005)

others = [threading.Thread(target=interrupt), threading.Thread(target=write_too)]
for other in others: other.start()
interrupts = 0
for number in range(600):
    try:
        try:
            armed.set()
            while True:
                store['n'] = number
                with store.transaction():
                    store['m'] = number
                    with store.transaction():
                        store['m'] = -number
                store.update(x=1, y=2)
                users.put(User('ada', number))
                users.update('ada', age=3)
                list(store.items())
                with store.snapshot() as view:
                    view['n']
        finally:
            armed.clear()
    except KeyboardInterrupt:
        interrupts += 1
    if number % 20 == 0:
        writer = threading.Thread(target=store.put, args=['check', number], daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive(), 'a lock was left taken'
ended.set()
for other in others: other.join()
print(interrupts, len(users), store['check'])
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("600 1 580\n", "")


def test_the_table_of_readers_has_its_room_on_the_disk(path):
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        lock = (path / "lock.mdb").stat()
        assert lock.st_blocks * 512 >= lock.st_size
        views = [store.snapshot() for _ in range(1000)]
        assert {view["a"] for view in views} == {1}
        for view in views:
            view.close()


def test_readers_that_were_killed_make_room_for_others_without_a_reopening(path):
    code = """
import os, signal
store = stone(argv[0], LmdbStore)
views = [store.snapshot() for _ in range(700)]
print('ready', flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        for _ in range(2):
            assert run(code, path).stdout == "ready\n"
        views = [store.snapshot() for _ in range(900)]
        assert views[-1]["a"] == 1
        for view in views:
            view.close()


def test_a_reader_that_was_killed_does_not_make_the_file_grow_without_end(path):
    code = """
import os, signal
store = stone(argv[0], LmdbStore)
view = store.snapshot()
print(len(view), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with stone(path, LmdbStore, "noop", options={"durability": "none"}) as store:
        store["a"] = b"1"
        assert run(code, path).stdout == "1\n"
        for number in range(6000):
            store["b"] = b"%d" % number * 300
        # So much is kept of 1,000 writes, 16 MB; of all of them it would be 100.
        assert store.stats()["file_size"] < 30_000_000


# -- forked children ---------------------------------------------------------------------------


@pytest.mark.parametrize("used", [True, False])
def test_a_child_can_close_what_it_inherited_and_open_it_anew(path, used):
    with stone(path, LmdbStore) as store:
        store["a"] = 1
        iterating = iter(store)
        next(iterating)

        def child() -> None:
            if used:
                assert store["a"] == 1
            store.close()
            with stone(path, LmdbStore) as again:
                again["child"] = again["a"] + 1

        assert in_child(child) == 0
        assert store["child"] == 2
        iterating.close()


@pytest.mark.parametrize("options", [{"durability": "none"}, {"readonly": True}])
def test_a_child_can_open_in_another_way_what_it_inherited(path, options):
    stone(path, LmdbStore).close()
    with LmdbStore(path, **options) as inherited:

        def child() -> None:
            with LmdbStore(path) as store:
                store["child"] = 1
                assert store.stats()["durability"] == "full"
            assert inherited["child"] == 1
            if "readonly" in options:
                with pytest.raises(ReadOnlyError):
                    inherited["more"] = 1

        assert in_child(child) == 0
        assert inherited["child"] == 1


def test_a_child_opens_what_its_parent_has_closed_but_still_iterates_over(path):
    store = stone(path, LmdbStore)
    store.update(a=1, b=2)
    running = iter(store)
    next(running)
    store.close()

    def child() -> None:
        with stone(path, LmdbStore) as again:
            again["child"] = 1

    assert in_child(child) == 0
    running.close()
    with stone(path, LmdbStore) as again:
        assert again["child"] == 1
