"""A store on PostgreSQL behind pgbouncer, on a standby, in forked processes, on an older server."""

import os
import threading
import time
from itertools import count

import pytest
from attrs import frozen

from stones import (
    Collection,
    LockTimeoutError,
    ReadOnlyError,
    StorageError,
    StoreOpenError,
    TransactionError,
    index,
    key,
    stone,
)
from stones.testing import in_thread

from .processes import fork, in_child
from .servers.cluster import Cluster, wait_for
from .servers.pgbouncer import PgBouncer
from .servers.postgres import PostgresServer, find_programs
from .servers.proxy import Proxy

CHILDREN = 8


@frozen
class User:
    email: str = key()
    name: str = index()


ADA = User("ada@example.org", "Ada")


def exercise(store):
    """Every kind of read and write, a few times, so that statements would be prepared."""
    users = Collection(store, User)
    for number in range(8):
        store[f"k{number}"] = number
        assert store[f"k{number}"] == number
        users.add(User(f"{number}@example.org", f"name {number % 2}"))
        with store.transaction():
            store["block"] = store.get("block", 0) + 1
            with pytest.raises(ZeroDivisionError), store.transaction():
                store["lost"] = list(store)
                raise ZeroDivisionError
            users.modify(f"{number}@example.org", lambda user: User(user.email, "changed"))
        store.transact(lambda: store.update(function=store.get("function", 0) + 1))
        with store.snapshot() as view:
            store["block"] += 0
            assert view["block"] == number + 1
    store.update({f"many/{number}": "x" * 100 for number in range(3000)})
    assert len(list(store.range(prefix="many/"))) == 3000
    assert (store["block"], store["function"], "lost" in store) == (8, 8, False)
    assert (len(users), users.find(name="changed").count()) == (8, 8)


# -- pgbouncer -----------------------------------------------------------------------------------


@pytest.fixture(params=["session", "transaction"])
def bouncer(request, postgres_server):
    with PgBouncer(postgres_server, request.param) as bouncer:
        yield bouncer


def test_a_store_works_behind_pgbouncer(bouncer, postgres):
    with stone(bouncer.url(), table=postgres.table) as store:
        exercise(store)
    with stone(postgres.url, table=postgres.table) as direct:
        assert direct["block"] == 8


def test_programs_behind_pgbouncer_share_few_connections(postgres_server, postgres):
    with PgBouncer(postgres_server, "transaction", pool=2) as bouncer:
        errors = []

        def add(number):
            try:
                with stone(bouncer.url(), table=postgres.table) as store:
                    for _ in range(10):
                        store.transact(lambda: store.update(n=store.get("n", 0) + 1))
                        with store.transaction():
                            store["n"] += 1
                        Collection(store, User).put(User(str(number), "Ada"))
            except Exception as error:  # noqa: BLE001  # shown below
                errors.append(error)

        with stone(postgres.url, table=postgres.table) as store:
            threads = [threading.Thread(target=add, args=[number]) for number in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            assert store["n"] == 120
            assert len(Collection(store, User)) == 6


def test_pgbouncer_without_transactions_is_refused(postgres_server, postgres):
    with PgBouncer(postgres_server, "statement") as bouncer, pytest.raises(StorageError):
        stone(bouncer.url(), table=postgres.table)
    with stone(postgres.url, table=postgres.table) as store:
        exercise(store)


# -- a standby -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def table():
    return f"table_{next(NUMBERS)}"


NUMBERS = count()


def test_a_standby_serves_a_store_that_is_read_only(cluster, table):
    standby = cluster.standbys[0]
    with stone(cluster.url(), table=table) as store:
        store["a"] = 1
        Collection(store, User).add(ADA)
        wait_for(lambda: there(standby, table), "the standby")
        with stone(standby.url(), table=table, readonly=True) as copy:
            users = Collection(copy, User)
            wait_for(lambda: len(users) == 1, "the standby")
            assert (copy["a"], users[ADA.email], list(users.find(name="Ada"))) == (1, ADA, [ADA])
            with copy.snapshot() as view:
                store["a"] = 2
                wait_for(lambda: copy["a"] == 2, "the standby")
                assert view["a"] == 1
            with pytest.raises(ReadOnlyError):
                copy["a"] = 3
        assert store["a"] == 2


def there(server, table):
    return server.execute("SELECT to_regclass(%s) IS NOT NULL", table + "_lock") == [(True,)]


def test_a_standby_takes_no_writes(cluster, table):
    standby = cluster.standbys[0]
    with pytest.raises(StoreOpenError):
        stone(standby.url(), table=table)
    with stone(cluster.url(), table=table) as store:
        store["a"] = 1
        wait_for(lambda: there(standby, table), "the standby")

        def write():
            with stone(standby.url(), table=table) as other:
                other["a"] = 2

        with pytest.raises((StorageError, ReadOnlyError)):
            write()
        assert store["a"] == 1


def test_of_several_hosts_the_one_that_takes_writes_is_found(cluster, table):
    with stone(cluster.url().replace("target_session_attrs=read-write&", ""), table=table) as store:
        for _ in range(5):
            store["a"] = 1
        assert store["a"] == 1


# -- fork ----------------------------------------------------------------------------------------


@pytest.fixture
def store(postgres):
    with stone(postgres.url, table=postgres.table) as store:
        store["a"] = 1
        Collection(store, User).add(ADA)
        yield store


def ended(pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_children_use_the_store_that_their_parent_has_open(store):
    def work(number):
        users = Collection(store, User)
        for turn in range(10):
            store[f"child/{number}/{turn}"] = turn
            users.add(User(f"{number}/{turn}", "child"))
            store.transact(lambda: store.update(a=store["a"] + 1))
            with store.transaction():
                store["a"] += 1
        assert len(list(store.range(prefix=f"child/{number}/"))) == 10

    pids = [fork(lambda number=number: work(number)) for number in range(CHILDREN)]
    for turn in range(20):
        store["parent"] = turn
        assert store["parent"] == turn
    assert ended(pids) == [0] * CHILDREN
    assert store["a"] == 1 + 20 * CHILDREN
    assert len(Collection(store, User)) == 1 + 10 * CHILDREN
    assert Collection(store, User).find(name="child").count() == 10 * CHILDREN


def test_a_transaction_that_is_open_across_a_fork_belongs_to_the_parent(store, postgres):
    def child():
        assert store["a"] == 1  # what is committed
        with pytest.raises(TransactionError):
            block.__exit__(None, None, None)
        with stone(postgres.url, table=postgres.table) as own:
            assert own["a"] == 1

    block = store.transaction()
    block.__enter__()
    store["a"] = 2
    assert store["a"] == 2
    assert in_child(child) == 0
    assert len(list(store.range(prefix="a"))) == 1
    store["b"] = 3
    block.__exit__(None, None, None)
    assert (store["a"], store["b"]) == (2, 3)


def test_a_snapshot_and_an_iteration_go_on_after_a_fork(store):
    store.update({f"many/{number:04}": "x" * 1000 for number in range(2000)})

    def child():
        with pytest.raises((TransactionError, StorageError)):
            view["a"]
        assert store["a"] == 1

    with store.snapshot() as view:
        assert view["a"] == 1
        entries = iter(store.range(prefix="many/").items())
        next(entries)
        assert in_child(child) == 0
        assert view["a"] == 1
        assert len(list(entries)) == 1999


def test_a_child_that_closes_the_store_leaves_the_connections_of_its_parent(store):
    assert store["a"] == 1
    assert in_child(store.close) == 0
    assert store["a"] == 1
    store["a"] = 2
    assert store["a"] == 2


def test_a_child_that_is_forked_while_threads_work_can_use_the_store(store):
    stop = threading.Event()

    def work(number):
        while not stop.is_set():
            store[f"thread/{number}"] = store.get(f"thread/{number}", 0) + 1

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(5):
            assert in_child(lambda turn=turn: store.update({f"child/{turn}": turn})) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(list(store.range(prefix="child/"))) == 5


# -- servers that are set up otherwise -------------------------------------------------------------


ODD = {
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "repeatable read",
    "default_transaction_deferrable": "on",
    "standard_conforming_strings": "off",
    "search_path": "elsewhere",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "lock_timeout": "20s",
    "TimeZone": "Asia/Kolkata",
}


@pytest.fixture(scope="module")
def odd(postgres_server):
    """The URL of a role with settings that other programs may have asked for."""
    postgres_server.execute("CREATE ROLE odd LOGIN")
    postgres_server.execute("CREATE SCHEMA elsewhere AUTHORIZATION odd")
    for name, value in ODD.items():
        postgres_server.execute(f"ALTER ROLE odd SET {name} = '{value}'")
    yield postgres_server.url("odd")
    postgres_server.execute("DROP OWNED BY odd CASCADE")
    postgres_server.execute("DROP ROLE odd")


def test_settings_of_the_role_make_no_difference(odd):
    with stone(odd, table="odd") as store:
        exercise(store)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_the_encoding_of_the_database_makes_no_difference(postgres_server, encoding):
    name = f"in_{encoding.lower()}"
    postgres_server.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    try:
        with stone(postgres_server.url().replace("/postgres?", f"/{name}?")) as store:
            exercise(store)
            keys = [bytes([byte]) for byte in (0, 1, 127, 128, 255)]
            store.update({byte: byte for byte in keys})
            assert [name for name in store if len(name) == 1] == keys
    finally:
        postgres_server.execute(f"DROP DATABASE {name} (FORCE)")


def test_a_role_whose_transactions_are_read_only_is_told_so(postgres_server, postgres):
    with stone(postgres.url, table=postgres.table) as store:
        store["a"] = 1
    postgres_server.execute("CREATE ROLE sleepy LOGIN SUPERUSER")
    postgres_server.execute("ALTER ROLE sleepy SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreOpenError, match="readonly=True"):
            stone(postgres_server.url("sleepy"), table=postgres.table)
        with stone(postgres_server.url("sleepy"), table=postgres.table, readonly=True) as store:
            assert store["a"] == 1
    finally:
        postgres_server.execute("DROP ROLE sleepy")


def test_a_block_that_waits_longer_than_the_server_allows_is_undone(postgres_server, postgres):
    postgres_server.execute("CREATE ROLE hasty LOGIN SUPERUSER")
    postgres_server.execute("ALTER ROLE hasty SET idle_in_transaction_session_timeout = '200ms'")
    try:
        with stone(postgres_server.url("hasty"), table=postgres.table) as store:
            store["a"] = 1
            with pytest.raises(StorageError), store.transaction():
                store["a"] = 2
                time.sleep(0.6)
            with pytest.raises(StorageError), store.snapshot() as view:
                assert view["a"] == 1
                time.sleep(0.6)
                view["b"]
            assert store["a"] == 1
            store["a"] = 3
            assert store["a"] == 3
    finally:
        postgres_server.execute("DROP OWNED BY hasty")
        postgres_server.execute("DROP ROLE hasty")


def test_a_statement_that_takes_longer_than_the_server_allows_is_undone(postgres_server, postgres):
    postgres_server.execute("CREATE ROLE brief LOGIN SUPERUSER")
    postgres_server.execute("ALTER ROLE brief SET statement_timeout = '300ms'")
    try:
        with (
            stone(postgres.url, table=postgres.table) as other,
            stone(postgres_server.url("brief"), table=postgres.table) as store,
        ):
            store["a"] = 1
            with other.transaction():
                other["b"] = 1
                # It waits for the lock of the block.
                for write in (lambda: store.update(a=2), lambda: store.put("a", 2)):
                    [error] = in_thread(write)
                    assert isinstance(error, StorageError)
            assert (store["a"], store["b"]) == (1, 1)
            store["a"] = 3
            assert other["a"] == 3
    finally:
        postgres_server.execute("DROP OWNED BY brief")
        postgres_server.execute("DROP ROLE brief")


def test_a_server_that_is_too_old_is_refused(postgres_server, postgres):
    with (
        Proxy(postgres_server.folder, version="9.6.24") as proxy,
        pytest.raises(StoreOpenError, match="too old"),
    ):
        stone(proxy.url(), table=postgres.table)
    assert postgres_server.execute("SELECT to_regclass(%s)", postgres.table) == [(None,)]


def test_a_writer_in_another_program_is_waited_for_as_long_as_asked(postgres):
    with (
        stone(postgres.url, table=postgres.table) as other,
        stone(postgres.url, table=postgres.table, timeout=0.3) as store,
    ):
        with other.transaction():
            other["a"] = 1
            for write in (lambda: store.update(a=2), lambda: store.put("a", 2)):
                [error] = in_thread(write)
                assert isinstance(error, LockTimeoutError)
            assert in_thread(lambda: store.get("a")) == [None]
        store["b"] = store["a"]
        assert dict(other) == {b"a": 1, b"b": 1}


def test_a_store_works_on_the_other_version_of_the_server_too():
    """The one of Debian, where the wheel is used otherwise."""
    assert find_programs(tls=True)
    with PostgresServer(tls=True) as server, stone(server.url(), table="other") as store:
        exercise(store)
