"""PostgreSQL goes away: each time one clear error, nothing written in part, and the store goes on.

A proxy cuts connections at a chosen moment. `store` is behind the proxy, `direct` is not.
"""

import gc
import threading
import time
import warnings
from itertools import count

import pytest
from attrs import frozen

from stones import (
    Collection,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
    UnknownOutcomeError,
    index,
    key,
    stone,
)
from stones.testing import in_thread

from .servers.cluster import wait_for
from .servers.postgres import WRITTEN, PostgresServer
from .servers.proxy import Proxy
from .test_interrupts import is_interrupted


@frozen
class User:
    email: str = key()
    name: str = index()
    age: int = 0


ADA = User("ada@example.org", "Ada", 36)
BOB = User("bob@example.org", "Bob", 25)
NUMBERS = count()


@pytest.fixture(scope="module")
def server():
    """A server of its own: it is restarted."""
    with PostgresServer(speed=WRITTEN) as server:
        yield server


@pytest.fixture
def proxy(server):
    with Proxy(server.folder) as proxy:
        yield proxy


@pytest.fixture
def table():
    """A table for the test. It may stay, since the server ends with the module."""
    return f"table_{next(NUMBERS)}"


@pytest.fixture
def store(proxy, table):
    with stone(proxy.url(), table=table) as store:
        store.update(a=1, b=2)
        Collection(store, User).add(ADA)
        yield store


@pytest.fixture
def users(store):
    return Collection(store, User)


@pytest.fixture
def direct(server, store, table):
    """The same store, with connections that are not cut."""
    with stone(server.url(), table=table) as direct:
        yield direct


UNCHANGED = {b"a": 1, b"b": 2}


def plain(store):
    """What the store has beside the records of the collection."""
    return {name: value for name, value in store.items() if not name.startswith(b"User/")}


def assert_usable(store, direct):
    """It takes writes of each kind, and others see them."""
    store["after"] = "put"
    with store.transaction():
        store["after"] += " block"
    store.transact(lambda: store.update(after=store["after"] + " function"))
    assert direct["after"] == "put block function"
    users = Collection(store, User)
    users.add(User("after@example.org", "After"))
    assert len(users) == len(list(users.values())) == len(list(Collection(direct, User)))
    assert users.find(name="After").count() == 1


def assert_unchanged(store, direct):
    assert plain(direct) == UNCHANGED
    assert list(Collection(direct, User).values()) == [ADA]
    assert_usable(store, direct)


# -- the server restarts -------------------------------------------------------------------------


def test_a_store_outlives_a_restart_of_the_server(server, store, users, direct):
    server.restart()
    assert store["a"] == 1
    server.restart()
    store["a"] = 1
    server.restart()
    users.delete(ADA.email)
    server.restart()
    users.add(ADA)
    server.restart()
    assert_unchanged(store, direct)


def test_a_snapshot_does_not_outlive_a_restart(server, store, direct):
    with store.snapshot() as view:
        assert view["a"] == 1
        server.restart()
        with pytest.raises(StorageError):
            view["b"]
        with pytest.raises(StorageError):
            list(view)
    assert_unchanged(store, direct)


def test_an_iteration_does_not_outlive_a_restart(server, store, direct):
    with store.transaction():
        store.update({f"many/{number:04}": "x" * 1000 for number in range(3000)})
    entries = iter(store.items())
    next(entries)
    server.restart()
    with pytest.raises(StorageError):
        list(entries)
    for name in list(store.range(prefix="many/")):
        store.delete(name)
    assert_unchanged(store, direct)


def test_a_restart_in_a_block_undoes_the_block(server, store, direct):
    with pytest.raises(StorageError) as failure, store.transaction():
        store["lost"] = 1
        server.restart()
        list(store)
    assert not isinstance(failure.value, UnknownOutcomeError)
    assert_unchanged(store, direct)


def test_a_function_runs_again_after_a_restart(server, store, direct):
    runs = []

    def change():
        runs.append(store["a"])
        store["a"] = len(runs)
        if len(runs) == 1:
            server.restart()
        list(store)

    store.transact(change)
    assert (runs, direct["a"]) == ([1, 1], 2)


# -- the connection is lost before the commit ------------------------------------------------------

READ = r"SELECT"


def test_a_function_runs_again_when_its_connection_is_lost(proxy, store, direct):
    runs = []

    def change():
        runs.append(1)
        if len(runs) == 1:
            proxy.cut_before(READ)
        store["new"] = len(list(store))

    store.transact(change)
    assert (len(runs), direct["new"]) == (2, 3)


def test_a_function_gives_up_when_its_connection_is_lost_each_time(proxy, store, direct):
    runs = []

    def change():
        runs.append(1)
        proxy.cut_before(READ)
        store["new"] = len(list(store))

    with pytest.raises(StorageError) as failure:
        store.transact(change)
    assert not isinstance(failure.value, UnknownOutcomeError)
    assert 2 <= len(runs) <= 10
    assert_unchanged(store, direct)


def test_a_block_ends_with_an_error_when_its_connection_is_lost(proxy, store, direct):
    with pytest.raises(StorageError) as failure, store.transaction():
        store["lost"] = 1
        proxy.cut_before(READ)
        list(store)
    assert not isinstance(failure.value, UnknownOutcomeError)
    assert_unchanged(store, direct)


def test_a_block_does_not_commit_a_part_when_an_error_of_the_connection_is_caught(
    proxy, store, direct
):
    with pytest.raises((StorageError, TransactionError)), store.transaction():
        store["lost"] = 1
        proxy.cut_before(READ)
        with pytest.raises(StorageError):
            list(store)
        store["lost too"] = 2
    assert_unchanged(store, direct)


def test_a_block_that_the_server_has_ended_before_the_commit_has_a_known_outcome(
    server, store, direct
):
    with (
        pytest.raises(StorageError, match="administrator command") as failure,
        store.transaction(),
    ):
        store["lost"] = 1
        end_connections(server)
    assert not isinstance(failure.value, UnknownOutcomeError)
    assert_unchanged(store, direct)


def test_a_function_runs_again_when_the_server_has_ended_it_before_the_commit(
    server, store, direct
):
    runs = []

    def change():
        runs.append(1)
        store["a"] = store["a"] + 1
        if len(runs) < 3:
            end_connections(server)

    store.transact(change)
    assert len(runs) == 3
    assert direct["a"] == 2


@pytest.mark.parametrize("statement", ["SAVEPOINT", "INSERT", "ROLLBACK TO"])
def test_a_savepoint_ends_with_an_error_when_its_connection_is_lost(
    proxy, store, direct, statement
):
    with pytest.raises(StorageError), store.transaction():
        store["lost"] = 1
        cut = proxy.cut_before(statement)
        with pytest.raises((StorageError, ZeroDivisionError)), store.transaction():
            store["lost too"] = 2
            list(store)  # for which the server has to know of the savepoint
            raise ZeroDivisionError
        list(store)
    assert cut.happened.is_set()
    assert_unchanged(store, direct)


def test_a_savepoint_that_lost_its_connection_does_not_let_the_block_commit(proxy, store, direct):
    with pytest.raises((StorageError, TransactionError)), store.transaction():
        store["lost"] = 1
        proxy.cut_before("SAVEPOINT")
        with pytest.raises(StorageError), store.transaction():
            store["lost too"] = 2
            list(store)
        store["lost also"] = 3
    assert_unchanged(store, direct)


def test_a_chunk_of_an_update_is_not_there_when_the_connection_is_lost(proxy, store, direct):
    def entries():
        for number in range(5000):
            if number == 4500:
                proxy.cut_all()
            yield f"many/{number}", number

    with pytest.raises(StorageError):
        store.update(entries())
    assert_unchanged(store, direct)


def end_connections(server):
    """End all transactions that are open, as an idle_in_transaction_session_timeout does."""
    ended = server.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE state = 'idle in transaction'"
    )
    assert ended
    time.sleep(0.05)  # the proxy passes it on


# -- the connection is lost in the commit ----------------------------------------------------------


def modify(store, users):
    users.modify(ADA.email, lambda ada: User(ada.email, ada.name, ada.age + 1))


def block(store, users):
    with store.transaction():
        store["new"] = 1


WRITES = {
    "put": lambda store, users: store.__setitem__("new", 1),
    "delete": lambda store, users: store.delete("a"),
    "pop": lambda store, users: store.pop("a"),
    "setdefault": lambda store, users: store.setdefault("new", 1),
    "put if it is not there": lambda store, users: store.put("new", 1, overwrite=False),
    "update": lambda store, users: store.update(new=1, newer=2),
    "clear": lambda store, users: store.clear(),
    "function": lambda store, users: store.transact(lambda: store.update(new=1)),
    "block": block,
    "add": lambda store, users: users.add(BOB),
    "add_many": lambda store, users: users.add_many([BOB]),
    "put a record": lambda store, users: users.put(BOB),
    "update a record": lambda store, users: users.update(ADA.email, age=37),
    "modify a record": modify,
    "delete a record": lambda store, users: users.delete(ADA.email),
}


@pytest.fixture(params=WRITES.values(), ids=WRITES.keys())
def write(request):
    return request.param


def everything(store):
    users = Collection(store, User)
    assert len(users) == len(list(users))
    return plain(store), list(users.values()), users.find(name="Bob").count()


def test_a_commit_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_repeated(
    proxy, store, users, direct, write
):
    cut = proxy.cut_after()
    with pytest.raises(UnknownOutcomeError, match="nobody can tell"):
        write(store, users)
    assert cut.happened.wait(10)
    made = everything(direct)
    assert made != (UNCHANGED, [ADA], 0)
    assert_usable(store, direct)

    # It was made once: the same write on an untouched store has the same effect.
    direct.clear()
    direct.update(a=1, b=2)
    Collection(direct, User).add(ADA)
    write(direct, Collection(direct, User))
    assert everything(direct) == made


def test_a_commit_that_is_lost_on_its_way_has_an_unknown_outcome_and_is_not_repeated(
    proxy, store, users, direct, write
):
    cut = proxy.cut_before()
    with pytest.raises(UnknownOutcomeError, match="nobody can tell"):
        write(store, users)
    assert cut.happened.is_set()
    assert everything(direct) == (UNCHANGED, [ADA], 0)
    assert_unchanged(store, direct)


def test_a_function_does_not_run_again_after_its_commit_was_sent(proxy, store, direct):
    runs = []

    def change():
        runs.append(1)
        store["a"] = store["a"] + 1

    proxy.cut_after()
    with pytest.raises(UnknownOutcomeError):
        store.transact(change)
    assert (len(runs), direct["a"]) == (1, 2)


# -- there is no server ----------------------------------------------------------------------------


OPERATIONS = {
    **WRITES,
    "get": lambda store, users: store["a"],
    "contains": lambda store, users: "a" in store,
    "length": lambda store, users: len(store),
    "iterate": lambda store, users: list(store),
    "items": lambda store, users: list(store.items()),
    "range": lambda store, users: list(store.range(prefix="a")),
    "get_many": lambda store, users: store.get_many(["a", "b"]),
    "snapshot": lambda store, users: store.snapshot().__enter__()["a"],
    "popitem": lambda store, users: store.popitem(),
    "get a record": lambda store, users: users[ADA.email],
    "count records": lambda store, users: len(users),
    "find": lambda store, users: list(users.find(name="Ada")),
    "stats": lambda store, users: store.stats(),
}


@pytest.mark.parametrize("operate", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_without_a_server_each_operation_has_an_error_of_ours(proxy, store, users, direct, operate):
    assert store["a"] == 1  # so that a connection is kept
    proxy.refusing = True
    proxy.cut_all()
    with pytest.raises(StorageError) as failure:
        operate(store, users)
    assert not isinstance(failure.value, UnknownOutcomeError)
    proxy.refusing = False
    assert_unchanged(store, direct)


def test_a_store_can_be_closed_without_a_server(proxy, table, store):
    proxy.refusing = True
    proxy.cut_all()
    store.close()
    with pytest.raises(StoreClosedError):
        store["a"]


def test_a_store_cannot_be_opened_without_a_server(proxy, table):
    proxy.refusing = True
    with pytest.raises(StoreOpenError):
        stone(proxy.url(), table=table)


def test_connections_that_were_kept_are_found_dead_and_replaced(proxy, store, direct):
    def read():
        with store.snapshot() as view:
            barrier.wait(30)
            assert view["a"] == 1

    barrier = threading.Barrier(5)
    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.cut_all()
    for _ in range(6):
        assert store["a"] == 1
    proxy.cut_all()
    assert_unchanged(store, direct)


def test_nothing_is_left_open_after_failures(proxy, table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with stone(proxy.url(), table=table) as store:
            for _ in range(3):
                proxy.cut_before()
                with pytest.raises(StorageError):
                    store["a"] = 1
            store["a"] = 1
    for _ in range(1000):
        if not proxy.open:
            break
        threading.Event().wait(0.01)
    assert proxy.open == 0


# -- interrupts ------------------------------------------------------------------------------------


def two_blocks(store, number):
    with store.transaction():
        store["a"] = number
        with store.transaction():
            store["b"] = number
            list(store.range(prefix="a"))


def function(store, number):
    store.transact(lambda: store.update(a=number, b=number))


def read_twice(store, number):
    with store.snapshot() as view:
        assert view["a"] == view["b"]
        list(view)


@pytest.mark.parametrize("action", [two_blocks, function, read_twice])
def test_an_interrupt_at_any_point_leaves_neither_a_lock_nor_a_transaction(
    server, store, direct, action
):
    in_transactions = (
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    )
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    store.update(a=-1, b=-1)
    for number in count():
        before = store["a"]
        interrupted = is_interrupted(lambda number=number: action(store, number), number)
        # A commit that was on its way is made or undone a moment later.
        wait_for(lambda: server.execute(active) == [(0,)], "the end of the last statement", 10)
        assert (store["a"], store["b"]) in [(before, before), (number, number)]
        direct["other"] = number  # which would wait for a lock
        assert in_thread(lambda number=number: store.put("other", number)) == [True]
        if not interrupted:
            break
    assert number > 20
    gc.collect()
    wait_for(lambda: server.execute(in_transactions) == [(0,)], "the end of all transactions", 10)
