"""What is read belongs to one instant, whatever is written meanwhile: snapshots and iterators."""

import contextlib
import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from stones import (
    KeyTypeError,
    LmdbStore,
    MemoryStore,
    ReadOnlyError,
    StoreClosedError,
    TransactionError,
    stone,
)


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(30)


# -- snapshots -------------------------------------------------------------------------------------


@pytest.mark.needs("snapshots")
def test_a_snapshot_stays_as_it_was(store):
    store.update(a=1, b=[2])
    with store.snapshot() as view:
        store["c"] = 3
        store["b"] = "changed"
        del store["a"]
        assert (view["a"], view.get("b"), view.get("c", 0)) == (1, [2], 0)
        assert ("a" in view, "c" in view, len(view)) == (True, False, 2)
        assert list(view) == [b"a", b"b"]
        assert list(reversed(view.values())) == [[2], 1]
        assert view.get_many("abc") == {b"a": 1, b"b": [2]}
        assert dict(view.range(ge="b")) == {b"b": [2]}
        assert view == view.copy() == {b"a": 1, b"b": [2]}
        store.clear()
        assert view | store == {b"a": 1, b"b": [2]}
    assert len(store) == 0


@pytest.mark.needs("snapshots")
def test_snapshots_of_different_instants_live_side_by_side(store):
    views = []
    for n in range(10):
        store["n"] = n
        views.append(store.snapshot())
    assert [view["n"] for view in views] == list(range(10))
    for view in views:
        view.close()


@pytest.mark.needs("snapshots")
def test_a_snapshot_taken_in_a_transaction_is_of_before_that(store):
    store["k"] = 1
    with store.transaction():
        store["k"] = 2
        with store.snapshot() as view:
            assert view["k"] == 1
            with store.transaction():
                store["k"] = 3
            assert view == {b"k": 1}
    assert store["k"] == 3


@pytest.mark.needs("snapshots")
def test_a_snapshot_is_read_only(store):
    view = store.snapshot()
    for write in (
        lambda: view.__setitem__("k", 1),
        lambda: view.__delitem__("k"),
        lambda: view.update(k=1),
        lambda: view.put("k", 1),
        view.clear,
        view.transaction,
    ):
        with pytest.raises(ReadOnlyError, match="snapshot"):
            write()
    with pytest.raises(KeyTypeError):
        view[1]
    assert repr(view) == f"<Snapshot of {store.database.name!r}>"


@pytest.mark.needs("snapshots")
def test_a_closed_snapshot_says_so(store):
    with store.snapshot() as view:
        assert len(view) == 0
    view.close()
    for use in (len, list, dict, lambda view: view["k"], lambda view: view.get("k")):
        with pytest.raises(StoreClosedError, match=r"snapshot of .* is closed"):
            use(view)


def test_a_snapshot_keeps_its_store_open(tmp_path):
    for kind in (MemoryStore, LmdbStore):
        view = stone(tmp_path / "db", kind, options={"kwargs": {"k": 1}}).snapshot()
        gc.collect()
        assert view["k"] == 1
        view.close()


@pytest.mark.needs("snapshots")
def test_a_snapshot_reads_keys_as_the_store_does(open_store):
    store = open_store(key_type=str, value_type=list)
    store.deep_add("k", 1)
    with store.snapshot() as view:
        assert dict(view) == {"k": [1]}
        twin = view.copy()
    twin.deep_add("k", 2)
    assert dict(twin) == {"k": [1, 2]}


@pytest.mark.needs("snapshots")
def test_a_snapshot_may_be_read_in_another_thread(store):
    store.update(a=1, b=2)
    view = store.snapshot()
    store.clear()
    assert in_thread(lambda: dict(view)) == {b"a": 1, b"b": 2}
    in_thread(view.close)


# -- iterating while writing -----------------------------------------------------------------------

WALKS = {
    "keys": iter,
    "values": lambda s: iter(s.values()),
    "items": lambda s: iter(s.items()),
    "reversed": reversed,
    "range": lambda s: iter(s.range(ge="k1", lt="k8").items()),
    "range reversed": lambda s: iter(s.range(ge="k1", lt="k8", reverse=True)),
    "limited": lambda s: iter(s.range(limit=5).values()),
}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("block", [contextlib.nullcontext, lambda s: s.transaction()])
def test_an_iterator_goes_on_with_what_was_there_when_it_started(store, walk, block):
    store.update({f"k{n}": n for n in range(10)})
    expected = list(WALKS[walk](store))
    with block(store):
        store["k9"] = store["k9"]
        entries = WALKS[walk](store)
        found = [next(entries)]
        for n, entry in enumerate(entries):
            found.append(entry)
            store[f"k{n}"] = "changed"
            store[f"k5{n}"] = "new"
            store.pop(f"k{n + 3}", None)
            store.popitem()
    assert found == expected


def test_an_iterator_starts_when_its_first_entry_is_asked_for(store):
    keys = iter(store)
    store["k"] = 1
    assert list(keys) == [b"k"]


def test_an_iterator_begun_before_a_transaction_goes_on_as_it_was(store):
    store.update(a=1, b=2)
    entries = iter(store.items())
    next(entries)
    with store.transaction():
        store["b"] = 3
        assert next(entries) == (b"b", 2)
    assert next(entries, None) is None


def test_an_iterator_begun_in_a_transaction_sees_its_changes_and_ends_with_it(store):
    store["a"] = 1
    with store.transaction():
        store.update(b=2, c=3)
        entries = iter(store.items())
        assert next(entries) == (b"a", 1)
        with store.transaction():
            store["b"] = 4
            assert next(entries) == (b"b", 2)
            inner = iter(store.items())
            assert next(inner) == (b"a", 1)
        with pytest.raises(TransactionError, match="ended"):
            next(inner)
        entries = iter(store.items())
        assert list(entries) == [(b"a", 1), (b"b", 4), (b"c", 3)]
        entries = iter(store.items())
        next(entries)
    with pytest.raises(TransactionError, match="ended"):
        next(entries)
    assert next(entries, None) is None


@pytest.mark.needs("snapshots")
def test_many_iterators_live_side_by_side_in_one_thread(store):
    iterators = []
    for n in range(20):
        store[b"%02d" % n] = n
        iterators.append(iter(store.values()))
        next(iterators[-1])
    assert [list(values) for values in iterators] == [list(range(1, n + 1)) for n in range(20)]


def test_an_iterator_may_be_passed_on_to_another_thread(store):
    store.update({f"k{n}": n for n in range(10)})
    values = iter(store.values())
    assert next(values) == 0
    assert in_thread(lambda: next(values)) == 1
    store.clear()
    assert next(values) == 2
    assert in_thread(lambda: list(values)) == [3, 4, 5, 6, 7, 8, 9]


def test_an_iterator_is_no_store(store):
    with pytest.raises(TypeError):
        next(store)


# -- letting go ------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        store.update({f"k{n}": n for n in range(10)})
        yield store


def readers(store):
    gc.collect()
    return store.stats()["readers"]


def test_an_iterator_lets_go_of_its_snapshot_however_it_ends(disk):
    at_rest = readers(disk)
    iterators = [iter(walk(disk)) for walk in WALKS.values() for _ in range(3)]
    for entries in iterators:
        next(entries)
    assert readers(disk) >= at_rest + len(iterators) - 1
    for entries in iterators[::3]:
        list(entries)  # to its end
    for entries in iterators[1::3]:
        if hasattr(entries, "close"):
            entries.close()
    del entries, iterators  # and those forgotten
    assert readers(disk) == at_rest


def test_an_iterator_that_was_never_asked_holds_nothing(disk):
    at_rest = readers(disk)
    iterators = [walk(disk) for walk in WALKS.values()]
    assert readers(disk) == at_rest
    assert iterators


def test_what_reads_once_holds_nothing(disk):
    at_rest = readers(disk)
    assert (disk["k1"], disk.get("k1"), len(disk), "k1" in disk, bool(disk)) == (1, 1, 10, True, 1)
    assert b"k1" in disk.range(limit=3)
    assert disk.range(ge="k1")
    assert 5 in disk.values()
    assert disk != {b"k0": 1}
    assert next(iter(disk.items())) == (b"k0", 0)
    with pytest.raises(TypeError):
        disk.get_many(["k1", 1])
    with pytest.raises(ZeroDivisionError):
        for _ in disk:
            raise ZeroDivisionError
    assert readers(disk) == at_rest


def test_a_snapshot_lets_go_when_it_is_closed_or_forgotten(disk):
    at_rest = readers(disk)
    views = [disk.snapshot() for _ in range(5)]
    assert readers(disk) >= at_rest + 4
    views[0].close()
    with views[1]:
        pass
    del views
    assert readers(disk) == at_rest
