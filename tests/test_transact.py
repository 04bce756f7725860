"""`store.transact(function)`: a transaction as a function, which may run more than once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import get_ident

import pytest
from attrs import define

from stones import (
    Collection,
    ConflictError,
    LmdbStore,
    MemoryStore,
    ReadOnlyError,
    TransactionError,
    UnsupportedError,
    key,
)

from .network_engine import NetworkStore
from .test_foreign_engine import SqliteStore
from .test_transactions import in_thread


@define
class User:
    name: str = key()
    age: int = 0


@pytest.fixture(params=["memory", "lmdb", "network"])
def store(request, tmp_path):
    """A store on each engine; the one over a network finds a conflict in its next two commits."""
    if request.param == "network":
        store = NetworkStore()
        store.database.engine.conflicts = 2
        return store
    return MemoryStore() if request.param == "memory" else LmdbStore(tmp_path / "db")


# -- all or nothing --------------------------------------------------------------------------------


def test_it_returns_what_the_function_returns_and_keeps_what_it_did(store):
    users = Collection(store, User)

    def change():
        store["a"] = 1
        users.add(User("ada"))
        return store["a"], len(users), users.find(name="ada").count()

    assert store.transact(change) == (1, 1, 1)
    assert store["a"] == 1
    assert len(users) == 1
    assert list(users) == ["ada"]


def test_an_error_undoes_all_of_it_and_leaves_no_transaction_behind(store):
    users = Collection(store, User)

    def change():
        store["lost"] = 1
        users.add(User("ada"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.transact(change)
    assert not store.database.in_transaction()
    assert list(store) == []
    assert len(users) == 0
    users.add(User("bob"))
    assert list(users) == ["bob"]


def test_it_runs_in_the_thread_that_calls(store):
    assert store.transact(get_ident) == get_ident()


def test_inside_a_transaction_it_is_a_savepoint(store):
    def change():
        store["lost"] = 1
        raise ZeroDivisionError

    with store.transaction():
        store["kept"] = 1
        with pytest.raises(ZeroDivisionError):
            store.transact(change)
        store.transact(lambda: store.put("also kept", 2))
    assert sorted(store) == [b"also kept", b"kept"]

    with pytest.raises(ZeroDivisionError), store.transaction():
        store.transact(lambda: store.put("lost", 2))
        raise ZeroDivisionError
    assert sorted(store) == [b"also kept", b"kept"]


def test_blocks_and_functions_nest_in_it(store):
    def inner():
        store["inner"] = 1
        raise ZeroDivisionError

    def outer():
        store["outer"] = 1
        with store.transaction():
            store["block"] = 1
        with pytest.raises(ZeroDivisionError):
            store.transact(inner)

    store.transact(outer)
    assert sorted(store) == [b"block", b"outer"]


def test_threads_count_up_and_lose_nothing(store):
    store["n"] = 0

    def count_up():
        store["n"] += 1

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(store.transact, count_up) for _ in range(100)]:
            future.result(60)
    assert store["n"] == 100


# -- conflicts -------------------------------------------------------------------------------------


def test_a_function_that_is_in_conflict_runs_again_from_its_start():
    store = NetworkStore()
    users = Collection(store, User)
    store["n"] = 0
    store.database.engine.conflicts, seen = 3, []

    def change():
        seen.append(store["n"])
        store["n"] += 1
        users.add(User("ada"))  # the first record, which describes the collection

    store.transact(change)
    assert seen == [0, 0, 0, 0]
    assert store["n"] == 1
    assert users["ada"] == User("ada")
    assert len(users) == 1
    assert store.stats()["collections"] == {"User": 1}


def test_a_conflict_that_the_engine_gives_up_on_reaches_the_caller():
    store = NetworkStore()
    store["a"] = 1
    store.database.engine.conflicts = 99
    with pytest.raises(ConflictError):
        store.transact(lambda: store.put("a", 2))
    assert store["a"] == 1
    assert not store.database.in_transaction()


# -- where it cannot be ----------------------------------------------------------------------------


def test_a_thread_that_was_started_inside_is_not_part_of_it(store):
    def change():
        store["a"] = 1
        return in_thread(lambda: "a" in store)

    assert store.transact(change) is False


def test_a_task_that_was_started_inside_a_transaction_is_refused(store):
    async def write():
        store.transact(lambda: store.put("a", 1))

    async def main():
        with store.transaction():
            task = asyncio.create_task(write())
            with pytest.raises(TransactionError, match="started inside a transaction"):
                await task

    asyncio.run(main())
    assert "a" not in store


def test_an_async_function_is_refused_and_nothing_is_written(store):
    async def change():
        store["a"] = 1

    with pytest.raises(TransactionError, match="not a coroutine function"):
        store.transact(change)
    assert "a" not in store


def test_a_generator_function_is_refused_and_nothing_is_written(store):
    def change():
        store["a"] = 1
        yield

    async def change_slowly():
        store["a"] = 1
        yield

    for function in (change, change_slowly, partial(change)):
        with pytest.raises(TransactionError, match="not a generator function"):
            store.transact(function)
    assert "a" not in store


def test_a_function_may_return_a_generator(store):
    numbers = (number for number in range(3))
    assert list(store.transact(lambda: numbers)) == [0, 1, 2]


def test_an_inner_block_that_is_left_open_undoes_it(store):
    def block():
        with store.transaction():
            store["a"] = 1
            yield

    def change():
        opened = block()
        next(opened)
        left.append(opened)

    left = []
    with pytest.raises(TransactionError, match="still open"):
        store.transact(change)
    left.pop().close()
    assert "a" not in store


def test_what_cannot_be_written_says_so(store, tmp_path):
    LmdbStore(tmp_path / "other").close()
    with LmdbStore(tmp_path / "other", readonly=True) as readonly, pytest.raises(ReadOnlyError):
        readonly.transact(lambda: None)
    with store.snapshot() as view, pytest.raises(ReadOnlyError):
        view.transact(lambda: None)


def test_without_savepoints_it_is_refused_inside_a_transaction(tmp_path):
    with SqliteStore(tmp_path / "db") as store:
        assert store.transact(lambda: store.put("kept", 1))
        with pytest.raises(UnsupportedError, match="no savepoints"), store.transaction():
            store.transact(lambda: None)
        assert dict(store) == {b"kept": 1}
