"""What has ended holds no file: not a snapshot, an iterator, a view, an error with its frames."""

import os
import resource
import signal
import threading

import pytest
from attrs import define

from stones import Collection, LmdbStore, StoneError, StorageError, StoreClosedError, key

from .processes import run


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


def open_files(path):
    """What this process has open in a directory, by descriptor or in memory."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    with open("/proc/self/maps") as maps:
        found += [line.split(maxsplit=5)[-1].strip() for line in maps]
    return [name for name in found if name.startswith(f"{path}/")]


class Refuses:
    """A value that no serializer takes."""


def error_of(act):
    try:
        act()
    except Exception as error:  # noqa: BLE001  # kept with its traceback, as a REPL does
        return error
    raise AssertionError("it did not fail")


def an_error_of_a_full_disk(act):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, before[1]))
    try:
        error = error_of(act)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(error, StorageError)
    return error


def snapshot_of(store):
    with store.snapshot() as view:
        view["a"]
        list(view.items())
        return view


def closed_snapshot_with_an_iterator(store):
    view = store.snapshot()
    running = iter(view.items())
    next(running)
    view.close()
    return running


def exhausted(iterator):
    list(iterator)
    return iterator


def closed(iterator):
    next(iterator)
    iterator.close()
    return iterator


def failing_block(store):
    with store.transaction():
        store["half"] = 1
        with store.transaction():
            store["half"] = 2
            raise RuntimeError


def block_of(store):
    with store.database.transaction() as txn:
        store["x"] = 1
        with store.database.transaction() as inner:
            store["y"] = 1
    return txn, inner


def failing_source(store):
    for entry in store.range(ge="a").items():
        yield entry
        raise RuntimeError


def too_many_snapshots(store):
    views = []
    try:
        while True:
            views.append(store.snapshot())
    except StoneError as error:
        for view in views:
            view.close()
        return error, views


def gone(store):
    moved = store.path + ".moved"
    os.rename(store.path, moved)
    error = error_of(lambda: store.put("a", 1))
    os.rename(moved, store.path)
    return error


def failing_thread(store):
    kept = []
    threads = [
        threading.Thread(target=lambda: kept.append(error_of(lambda: store.put("a", Refuses))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return kept


KEPT = {
    "snapshot": snapshot_of,
    "iterator of a closed snapshot": closed_snapshot_with_an_iterator,
    "keys": lambda store: exhausted(iter(store)),
    "items": lambda store: exhausted(iter(store.items())),
    "reversed": lambda store: exhausted(reversed(store.values())),
    "limited": lambda store: exhausted(iter(store.range(limit=2).items())),
    "closed iterator": lambda store: closed(iter(store.items())),
    "closed iterator of keys": lambda store: closed(iter(store)),
    "views": lambda store: [store.keys(), store.values(), store.items(), list(store.items())],
    "range": lambda store: [store.range(prefix="a"), list(store.range(ge="a", limit=1).items())],
    "get_many": lambda store: store.get_many(["a", "b"]),
    "transactions": block_of,
    "store": lambda store: store,
    "database": lambda store: store.database,
    "collection": lambda store: (Collection(store, User), len(Collection(store, User))),
    "query": lambda store: [query := Collection(store, User).find("$[?(@.age > 1)]"), list(query)],
    "no query": lambda store: error_of(lambda: Collection(store, User).find(nothing=1)),
    "no record": lambda store: error_of(lambda: Collection(store, User)["nobody"]),
    "record there": lambda store: error_of(lambda: Collection(store, User).add(User("ada"))),
    "failing change": lambda store: error_of(lambda: Collection(store, User).update("ada", x=1)),
    "get": lambda store: error_of(lambda: store["nothing"]),
    "pop": lambda store: error_of(lambda: store.pop("nothing")),
    "pop of a record": lambda store: error_of(lambda: store.pop("User/ada")),
    "set": lambda store: error_of(lambda: store.put("a", Refuses())),
    "reserved": lambda store: error_of(lambda: store.put("User/ada", 1)),
    "delete": lambda store: error_of(lambda: store.__delitem__("nothing")),
    "setdefault": lambda store: error_of(lambda: store.setdefault("new", Refuses())),
    "update": lambda store: error_of(lambda: store.update(a=1, b=Refuses())),
    "update from itself": lambda store: error_of(lambda: store.update(failing_source(store))),
    "deep_add": lambda store: error_of(lambda: store.deep_add("a", 1)),
    "deep_remove": lambda store: error_of(lambda: store.deep_remove("a", 1)),
    "block": lambda store: error_of(lambda: failing_block(store)),
    "full disk": lambda store: an_error_of_a_full_disk(lambda: store.put("x", "x" * (1 << 20))),
    "full disk in a block": lambda store: an_error_of_a_full_disk(
        lambda: store.update((str(number), "x" * 1000) for number in range(2000))
    ),
    "readers": too_many_snapshots,
    "gone": gone,
    "backup": lambda store: error_of(lambda: store.backup(store.path)),
    "threads": failing_thread,
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_has_ended_is_kept_and_the_file_is_closed(path, kind):
    store = LmdbStore(path, serialize="json", value_type=list)
    store.update(a={"not": "a list"}, b=[1])
    Collection(store, User).add(User("ada", 3))
    assert open_files(path)
    kept = KEPT[kind](store)
    store.close()
    assert open_files(path) == []
    with LmdbStore(path, readonly=True) as again:  # another way of opening
        assert again["b"] == [1]
    with LmdbStore(path, durability="none") as again:
        again.destroy(yes_im_sure=True)
    assert open_files(path) == []
    assert not path.exists()
    del kept


def test_an_error_of_a_closed_store_is_kept_and_the_file_is_closed(path):
    store = LmdbStore(path)
    store.close()
    errors = [error_of(lambda: store["a"]), error_of(lambda: store.put("a", 1))]
    assert open_files(path) == []
    assert {type(error) for error in errors} == {StoreClosedError}


def test_an_error_of_opening_is_kept_and_the_file_is_closed(path):
    LmdbStore(path, serialize="json", iterable={"a": 1}).close()
    errors = [
        error_of(lambda: LmdbStore(path, serialize="cbor")),
        error_of(lambda: LmdbStore(path, iterable={"a": Refuses()})),
        error_of(lambda: LmdbStore(path, key_type=int)),
    ]
    assert open_files(path) == []
    assert len(errors) == 3
    LmdbStore(path, readonly=True).close()


def test_an_open_snapshot_and_an_open_iterator_do_hold_the_file(path):
    store = LmdbStore(path, iterable={"a": 1, "b": 2})
    view = store.snapshot()
    running = iter(store)
    next(running)
    store.close()
    assert open_files(path)
    view.close()
    assert open_files(path)
    running.close()
    assert open_files(path) == []


def test_a_thread_that_writes_while_the_store_is_closed_holds_the_file_no_longer(path):
    store = LmdbStore(path, iterable={"a": 1})
    inside, go = threading.Event(), threading.Event()
    errors = []

    def write():
        with store.transaction():
            store["half"] = 1
            inside.set()
            go.wait()
            store["half"] = 2

    thread = threading.Thread(target=lambda: errors.append(error_of(write)))
    thread.start()
    inside.wait()
    store.close()
    go.set()
    thread.join()
    assert open_files(path) == []
    assert len(errors) == 1
    with LmdbStore(path, readonly=True) as again:
        assert dict(again) == {b"a": 1}


def test_errors_on_a_small_map_hold_nothing_either(path):
    code = """
import os, resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, resource.RLIM_INFINITY))
store = LmdbStore(argv[0], serialize='noop', durability='none')
kept = []
with store.snapshot() as view:
    kept.append(view)
    try:
        for batch in range(400):
            store.update((b'%d %d' % (batch, n), b'x' * 1000) for n in range(1000))
    except StoreFullError as error:
        kept.append(error)
for act in (lambda: store['nothing'], lambda: store.put('a', 1)):
    try:
        act()
    except Exception as error:
        kept.append(error)
store.close()
print(len(kept), [line for line in open('/proc/self/maps') if 'data.mdb' in line])
"""
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("4 []\n", "")
