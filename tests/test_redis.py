"""RedisStore: conflicts, lost connections, strange servers, and what Redis cannot promise."""

import json
import os
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import redis
import trustme
from attrs import define

from stones import (
    Collection,
    ConflictError,
    CorruptValueError,
    DuplicateKeyError,
    FormatMismatchError,
    Index,
    ReadOnlyError,
    RedisStore,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
    UnknownOutcomeError,
    UnsupportedError,
    check,
    key,
    migrate,
    register_serializer,
    stone,
)
from stones.collections.index_building import IndexBuilder
from stones.collections.unindexed_records import UnindexedRecords
from stones.engine import Space
from stones.engines.redis.address import address_of
from stones.engines.redis.backing import RedisBacking
from stones.engines.redis.engine import RedisEngine, destroy

from .processes import fork, in_child
from .servers.redis import RedisServer, redis_server


@define
class User:
    email: str = key()
    age: int = 0


@define
class Named:
    """A later version of `User`."""

    email: str = key()
    age: int = 0
    name: str = ""


@pytest.fixture
def open_redis(redis_url, redis_prefix):
    """Opens a store, at each call the same one."""
    prefix, opened = redis_prefix(), []

    def open_redis(**options):
        opened.append(RedisStore(redis_url, prefix=prefix, **options))
        return opened[-1]

    open_redis.prefix = prefix
    yield open_redis
    for store in opened:
        store.close()


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_entries_collections_and_savepoints_are_there_again(open_redis):
    with open_redis() as store:
        store["a"] = [1]
        users = Collection(store, User, indexes=["age"])
        users.add_many(User(f"u{number}", number) for number in range(300))
        with store.transaction():
            store["b"] = 2
            with pytest.raises(ZeroDivisionError), store.transaction():
                store["b"] = 3
                raise ZeroDivisionError
    with open_redis() as store:
        assert (store["a"], store["b"], len(store)) == ([1], 2, 302)
        users = Collection(store, User, indexes=["age"])
        assert (len(users), users.find("$[?(@.age == 7)]").one().email) == (300, "u7")
        store.clear()
        assert (len(store), len(users), list(store)) == (0, 0, [])


# -- URLs ------------------------------------------------------------------------------------------


def test_a_url_alone_opens_a_store_also_by_a_socket(redis_url, redis_prefix):
    url = f"{redis_url}{'&' if '?' in redis_url else '?'}prefix={redis_prefix()}"
    with stone(url) as store:
        store["a"] = 1
    with stone(url, RedisStore, readonly=True) as store:
        assert dict(store) == {b"a": 1}


def test_a_store_is_shown_by_a_url_that_opens_the_same_store(redis_prefix):
    with redis_server() as url:
        other = f"{url.replace('db=0', 'db=5')}&socket_timeout=30&prefix={redis_prefix()}"
        with stone(other) as store:
            store["a"] = 1
            shown = store.database.name
        assert "db=5" in shown
        with stone(shown) as store:
            assert dict(store) == {b"a": 1}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://db/3?prefix=x", "redis://db/3?prefix=x"),
        ("valkey://db?prefix=x", "redis://db?prefix=x"),
        ("unix:///run/redis?db=3&password=secret", "unix:///run/redis?db=3&prefix=stones"),
        ("unix://ann:secret@/run/redis", "unix://ann@/run/redis?prefix=stones"),
        (
            "rediss://a%40b:secret@db?ssl_ca_certs=/ca.pem&ssl_password=secret",
            "rediss://a%40b@db?ssl_ca_certs=/ca.pem&prefix=stones",
        ),
    ],
)
def test_a_url_is_shown_without_a_password(url, shown):
    assert address_of(url, None).shown == shown


@pytest.fixture
def certified(tmp_path):
    """The URL of a server that takes connections over TLS only, and the folder with its CA."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "another.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = {"cert": "chain.pem", "key": "key.pem", "ca-cert": "authority.pem"}
    options = [
        word for name, file in files.items() for word in (f"--tls-{name}-file", tmp_path / file)
    ]
    with redis_server("--tls-port", str(port), "--tls-auth-clients", "no", *map(str, options)):
        yield f"rediss://localhost:{port}/0", tmp_path


def test_a_server_is_reached_over_tls_if_its_certificate_is_trusted(certified, redis_prefix):
    url, folder = certified
    prefix = redis_prefix()
    with stone(f"{url}?prefix={prefix}&ssl_ca_certs={folder / 'authority.pem'}") as store:
        store["a"] = 1
        with stone(store.database.name) as again:  # the name has the option too
            assert dict(again) == {b"a": 1}
    for wrong in (
        f"{url}?ssl_ca_certs={folder / 'another.pem'}",
        url,
        url.replace("rediss", "redis"),
    ):
        with pytest.raises(StoreOpenError, match="no connection"):
            stone(wrong)


# -- what Redis cannot promise ---------------------------------------------------------------------


def test_there_are_no_snapshots(open_redis):
    with pytest.raises(UnsupportedError, match="no snapshots"):
        open_redis().snapshot()


def test_an_iteration_gives_each_key_once_though_others_write_meanwhile(open_redis):
    numbers = [f"{n:04}".encode() for n in range(2000)]
    store = open_redis(iterable=dict.fromkeys(numbers, 0))
    entries = iter(store)
    seen = [next(entries)]
    del store[numbers[-1]]
    store.update({"0000+": 1, "zz": 1})
    seen += entries
    assert seen == [*numbers[:-1], b"zz"]  # what changed ahead of it, not what changed behind it


def test_records_in_an_order_are_read_before_the_first_is_given(open_redis):
    users = Collection(open_redis(), User)
    users.add_many(User(f"u{number:04}", 2000 - number) for number in range(2000))
    running = iter(users.find().order_by("age"))
    assert next(running).age == 1
    users.clear()
    assert [user.age for user in running] == list(range(2, 2001))


def test_a_block_does_not_wait_for_the_block_of_another_thread(open_redis):
    store = open_redis(kwargs={"n": 0})

    def other():
        with store.transaction():
            store["n"] += 1

    with pytest.raises(ConflictError), store.transaction():
        store["n"] += 10
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(30)
    assert store["n"] == 1


def test_a_server_that_keeps_nothing_is_no_place_for_what_must_last(open_redis):
    with open_redis() as store:
        assert store.stats()["durability"] == "none"
    with pytest.raises(StoreOpenError, match=r"whose server gives 'none'.*appendfsync always"):
        open_redis(durability="full")
    with pytest.raises(StoreOpenError, match="durability is one of full, lazy, none"):
        open_redis(durability="strict")


def test_a_server_that_syncs_each_write_loses_nothing_that_was_acknowledged():
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    try:
        with RedisStore(server.url, durability="full") as store:
            with store.transaction():
                store.update((str(number), number) for number in range(100))
            users, sessions = Collection(store, User), store.namespace("sessions/")
            server.kill()
            with pytest.raises(StorageError, match="no connection"):
                store["7"]
            uncounted = "cannot be counted, StorageError"
            assert repr(store).endswith(f": {uncounted}, cbor>")
            assert repr(users) == f"<Collection 'User' of User: {uncounted}>"
            assert repr(sessions).endswith(f": {uncounted}>")
        server.restart()
        with RedisStore(server.url, durability="full") as store:
            assert len(store) == 100
    finally:
        server.stop()


def test_a_server_that_syncs_each_second_says_lazy():
    with redis_server("--appendonly", "yes") as url:
        with RedisStore(url, durability="lazy", kwargs={"a": 1}) as store:
            store.sync()
            assert store.stats()["durability"] == "lazy"
        with pytest.raises(StoreOpenError, match="'lazy'"):
            RedisStore(url, durability="full")


def test_a_server_that_refuses_to_tell_has_an_unknown_durability():
    with redis_server("--appendonly", "yes", "--rename-command", "CONFIG", "") as url:
        with RedisStore(url) as store:
            assert store.stats()["durability"] == "unknown"
        with pytest.raises(StoreOpenError, match="gives 'unknown'"):
            RedisStore(url, durability="lazy")


def test_a_server_that_drops_keys_when_it_is_full_is_refused():
    with (
        redis_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as url,
        pytest.raises(StoreOpenError, match="noeviction"),
    ):
        RedisStore(url)


def test_a_full_server_refuses_a_write_and_nothing_is_half_done():
    with redis_server("--maxmemory", "4mb") as url, RedisStore(url, kwargs={"a": 1}) as store:
        with pytest.raises(StoreFullError, match="no memory left"):
            for number in range(100):
                store.update({f"{number}-{n}": "x" * 10_000 for n in range(10)})
        count = len(store)
        assert count % 10 == 1
        assert sum(1 for _ in store.items()) == count
        del store["0-0"]
        assert len(store) == count - 1


# -- conflicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store["a"],
        lambda store: store.get("missing"),
        lambda store: list(store.range(prefix="a").items()),
        lambda store: list(store.range(prefix="m")),
        len,
    ],
)
def test_a_transaction_whose_reads_have_changed_writes_nothing(open_redis, read):
    store, other = open_redis(kwargs={"a": "x" * 100}), open_redis()
    with pytest.raises(ConflictError, match="run it again"), store.transaction():
        read(store)
        store["mine"] = 1
        other.update({"a": "y" * 100, "missing": 1})
    assert "mine" not in store
    with store.transaction():
        read(store)
        store["mine"] = 1
    assert store["mine"] == 1


def test_transactions_that_read_and_write_different_keys_do_not_conflict(open_redis):
    store, other = open_redis(kwargs={"a": 1, "b": 1}), open_redis()
    with store.transaction():
        store["a"] += 1
        other["b"] = 5
    assert dict(store) == {b"a": 2, b"b": 5}


def test_adds_of_many_threads_to_one_collection_are_all_counted(open_redis):
    stores = [open_redis(), open_redis()]
    users = [Collection(store, User) for store in stores]

    def work(number):
        for step in range(20):
            users[number % 2].add(User(f"{number}-{step}", step))

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(users[0]) == sum(1 for _ in users[0]) == 120


def test_processes_that_change_one_entry_lose_no_change(open_redis):
    store = open_redis(kwargs={"n": 0})

    def count_up():
        def once():
            store["n"] += 1

        for _ in range(30):
            store.transact(once)

    children = [fork(count_up) for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert store["n"] == 120


def test_a_change_that_fails_on_reads_of_different_moments_runs_again(redis_url, redis_prefix):
    address = address_of(redis_url, redis_prefix())
    engine, other = RedisEngine.open(address), RedisEngine.open(address)
    engine.write(lambda txn: txn.put_many(Space.DATA, [(b"a", b"1"), (b"b", b"1")]))
    runs = []

    def change(txn):
        runs.append(1)
        a = txn.get(Space.DATA, b"a")
        if len(runs) == 1:
            other.write(lambda txn: txn.put_many(Space.DATA, [(b"a", b"2"), (b"b", b"2")]))
        assert a == txn.get(Space.DATA, b"b")
        return a

    assert engine.transact(change) == b"2"
    assert len(runs) == 2
    with pytest.raises(ZeroDivisionError):
        engine.transact(lambda txn: 1 // 0)
    engine.close()
    other.close()


def test_a_change_that_writes_nothing_has_read_one_moment_too(redis_url, redis_prefix):
    address = address_of(redis_url, redis_prefix())
    engine, other = RedisEngine.open(address), RedisEngine.open(address)
    engine.write(lambda txn: txn.put(Space.DATA, b"a", b"1"))
    runs = []

    def take(txn):
        runs.append(1)
        entry = next(txn.scan(Space.DATA), None)
        if len(runs) < 3:
            other.write(lambda txn: txn.delete(Space.DATA, b"a"))
        txn.delete(Space.DATA, b"a")
        return entry

    assert engine.transact(take) is None
    engine.close()
    other.close()


# -- large transactions and values -----------------------------------------------------------------


def test_a_transaction_of_any_size_is_made_at_once(open_redis, client):
    store, sizes, ended = open_redis(), set(), threading.Event()

    def watch():
        other = open_redis()
        while not ended.is_set():
            sizes.add(len(other))

    watcher = threading.Thread(target=watch)
    watcher.start()
    store.update((f"{number:06}", "x" * 20) for number in range(60_000))
    ended.set()
    watcher.join()
    assert len(store) == 60_000
    assert sizes <= {0, 60_000}
    assert not list(client.scan_iter(match="*head:*", count=1000))


def test_a_large_transaction_that_is_in_conflict_leaves_nothing(open_redis, client):
    store, other = open_redis(kwargs={"a": 1}), open_redis()
    with pytest.raises(ConflictError), store.transaction():
        store["a"] += 1
        store.update((str(number), "x" * 100_000) for number in range(100))
        other["a"] = 5
    assert dict(store) == {b"a": 5}
    assert not list(client.scan_iter(match="*head:*", count=1000))


def test_pages_of_large_values_are_read_in_order(open_redis):
    store = open_redis(iterable={f"{n:03}": bytes([n]) * 700_000 for n in range(20)})
    assert [value[0] for value in store.values()] == list(range(20))
    assert [value[0] for value in store.range(reverse=True).values()] == list(range(19, -1, -1))


@pytest.mark.parametrize("damage", [b"", b"-1", b"1.0", b"x", b"\xff", b"9" * 5000])
def test_a_damaged_count_is_an_error_of_its_own(open_redis, client, damage):
    store = open_redis()
    users = Collection(store, User)
    users.add(User("ada"))
    [sums] = client.scan_iter(match=f"{{{open_redis.prefix}}}*sums*")
    [place] = client.hkeys(sums)
    client.hset(sums, place, damage)
    for read in (lambda: len(users), store.stats):
        with pytest.raises(CorruptValueError, match="count of the collection 'User'"):
            read()
    assert next(iter(users)) == "ada"


# -- connections -----------------------------------------------------------------------------------


class Breaking:
    """A proxy on a free port before the server, which cuts a connection after some commands."""

    def __init__(self, path: str) -> None:
        self.path, self.cut, self.sent = path, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.path)
            for one, two, asking in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.pump, args=[one, two, asking], daemon=True).start()

    def pump(self, one: socket.socket, two: socket.socket, asking: bool) -> None:
        try:
            while data := one.recv(1 << 20):
                self.sent += asking  # first: the answer may be there before this thread goes on
                two.sendall(data) if asking or not self.cut else self.drop(one, two)
        except OSError:
            pass
        finally:
            for end in (one, two):
                end.close()

    def drop(self, *ends: socket.socket) -> None:
        """The reply is lost, and the connection."""
        self.cut -= 1
        for end in ends:
            end.shutdown(socket.SHUT_RDWR)
        raise OSError


@pytest.fixture
def breaking(redis_url):
    if not redis_url.startswith("unix:"):
        proxy = None
        pytest.fail("this test needs the server that the tests start: unset STONES_REDIS_URL")
    proxy = Breaking(urlsplit(redis_url).path)
    yield proxy
    proxy.listener.close()


def test_a_connection_lost_in_the_commit_is_an_unknown_outcome_and_not_repeated(
    breaking, redis_prefix, redis_url
):
    prefix = redis_prefix()
    with (
        RedisStore(f"redis://127.0.0.1:{breaking.port}", prefix=prefix) as store,
        RedisStore(redis_url, prefix=prefix) as other,
    ):
        store["a"] = 1
        before = breaking.sent
        breaking.cut = 1
        with pytest.raises(UnknownOutcomeError, match="look before you write again"):
            store["a"] = 2
        assert breaking.sent == before + 1
        assert other["a"] == 2
        store["a"] = 3
        assert other["a"] == 3


def test_a_connection_that_is_lost_while_reading_is_made_again(breaking, redis_prefix):
    url = f"redis://127.0.0.1:{breaking.port}"
    with RedisStore(url, prefix=redis_prefix(), kwargs={"a": 1, "b": 2}) as store:
        breaking.cut = 1
        assert store["a"] == 1
        breaking.cut = 1
        assert list(store) == [b"a", b"b"]
        breaking.cut = 2
        with pytest.raises(StorageError, match="no connection"):
            store["a"]
        assert store["a"] == 1


def test_a_forked_child_reads_and_writes_by_connections_of_its_own(open_redis):
    store = open_redis(kwargs={"a": 1})
    txn = store.transaction()
    txn.__enter__()
    store["mine"] = 1

    def child():
        assert store["a"] == 1
        store["b"] = 2
        with store.transaction():
            store["c"] = 3

    assert in_child(child) == 0
    assert store["a"] == 1
    txn.__exit__(None, None, None)
    assert dict(store) == {b"a": 1, b"b": 2, b"c": 3, b"mine": 1}


def test_a_transaction_that_was_begun_before_a_fork_is_the_parents(redis_url, redis_prefix):
    engine = RedisEngine.open(address_of(redis_url, redis_prefix()))
    txn = engine.begin(write=True)
    txn.put(Space.DATA, b"k", b"v")

    def child():
        with pytest.raises(TransactionError, match="before fork"):
            txn.commit()

    assert in_child(child) == 0
    txn.commit()
    assert engine.get(Space.DATA, b"k") == b"v"
    engine.close()


def test_a_closed_store_says_so_in_an_iteration_too(open_redis):
    store = open_redis(iterable={f"{n:04}": n for n in range(2000)})
    entries = iter(store.items())
    next(entries)
    store.close()
    with pytest.raises(StoreClosedError):
        list(entries)
    with pytest.raises(StoreClosedError):
        store["0001"]


# -- opening ---------------------------------------------------------------------------------------


def test_a_wrong_password_is_one_clear_error_that_does_not_show_it():
    with redis_server("--requirepass", "right-one") as url:
        for given in (":wrong-one@", "ann:wrong-one@", ""):
            with pytest.raises(StoreOpenError, match="refuses the user or the password") as caught:
                RedisStore(url.replace("unix://", f"unix://{given}"))
            assert "wrong-one" not in str(caught.value) + repr(caught.value.__cause__)
        with RedisStore(url.replace("unix://", "unix://:right-one@")) as store:
            store["a"] = 1
            assert "right-one" not in repr(store) + str(store.stats())


@pytest.mark.parametrize(
    "url",
    [
        "redis//typo", "redis://", "http://db", "redis://db:port/0", "redis://db/0?prefix=",
        "redis://db/0?prefix=a{b", "redis://u:secret@db/0?unknown_option=1", "redis://[::1", 7,
    ],
)  # fmt: skip
def test_a_url_with_a_typo_is_refused_without_showing_a_password(url):
    with pytest.raises(StoreOpenError) as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)


def test_the_prefix_is_said_once(redis_url, redis_prefix):
    prefix = redis_prefix()
    with RedisStore(f"{redis_url}&prefix={prefix}", kwargs={"a": 1}) as store:
        assert f"prefix={prefix}" in repr(store)
    assert dict(RedisStore(redis_url, prefix=prefix)) == {b"a": 1}
    with pytest.raises(StoreOpenError, match="in the URL"):
        RedisStore(f"{redis_url}&prefix={prefix}", prefix="other")


def test_no_server_is_one_clear_error():
    with pytest.raises(StoreOpenError, match="no connection to 'redis:"):
        RedisStore("redis://:secret@127.0.0.1:1/0")


def test_keys_of_another_program_are_refused_and_stay_as_they_were(redis_url, redis_prefix, client):
    prefix = redis_prefix()
    client.set(f"{{{prefix}}}:data:keys", "theirs")
    with pytest.raises(StoreOpenError, match="a string of another program"):
        RedisStore(redis_url, prefix=prefix)
    client.delete(f"{{{prefix}}}:data:keys")
    client.hset(f"{{{prefix}}}:sums", "theirs", "1")
    with pytest.raises(StoreOpenError, match="keys of another program"):
        RedisStore(redis_url, prefix=prefix)
    assert len(list(client.scan_iter(match=f"{{{prefix}}}*"))) == 1


def test_a_key_that_is_replaced_later_is_an_error_and_nothing_is_written(open_redis, client):
    store = open_redis(kwargs={"a": 1})
    (values,) = client.scan_iter(match=f"{{{open_redis.prefix}}}:data:v*")
    kept = client.dump(values)
    client.delete(values)
    client.set(values, "theirs")
    with pytest.raises(StorageError, match="replaced by another type"):
        store["b"] = 2
    with pytest.raises(StorageError, match="replaced by another type"):
        store["a"]
    client.restore(values, 0, kept, replace=True)
    assert dict(store) == {b"a": 1}


def test_a_store_of_a_newer_layout_is_refused(open_redis, client):
    with open_redis() as store:
        store["a"] = 1
    client.hset(f"{{{open_redis.prefix}}}:head", "layout", "2")
    with pytest.raises(StoreOpenError, match="newer version"):
        open_redis()


def test_a_store_that_is_not_there_is_not_made_where_that_is_not_wanted(open_redis, client):
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(StoreOpenError, match="there is no store"):
            open_redis(**options)
    open_redis(kwargs={"a": 1})
    with open_redis(readonly=True) as store:
        assert store["a"] == 1
        with pytest.raises(ReadOnlyError):
            store["b"] = 2


def test_a_user_without_rights_is_told_so_and_nothing_is_half_done(redis_url, redis_prefix, client):
    prefix = redis_prefix()
    RedisStore(redis_url, prefix=prefix, kwargs={"a": 1}).close()
    read = ["on", ">pw", f"~{{{prefix}}}*", "+@read", "+@connection", "+@scripting", "+info"]
    client.execute_command("ACL", "SETUSER", "reader", *read)
    client.execute_command("ACL", "SETUSER", "half", *read, "+@write", "-zadd")
    for user in ("reader", "half"):
        url = redis_url.replace("unix://", f"unix://{user}:pw@")
        with pytest.raises(StoreOpenError, match=r"readonly=True.*may not do that"):
            RedisStore(url, prefix=prefix)
        with RedisStore(url, prefix=prefix, readonly=True) as store:
            assert dict(store) == {b"a": 1}
        client.execute_command("ACL", "DELUSER", user)


def test_a_replica_is_read_only():
    with redis_server() as url, redis.Redis.from_url(url) as client:
        RedisStore(url, kwargs={"a": 1}).close()
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreOpenError, match=r"readonly=True"):
            RedisStore(url)
        with RedisStore(url, readonly=True) as store:
            assert dict(store) == {b"a": 1}


def test_pickles_are_neither_written_nor_read_by_default(redis_url, redis_prefix):
    prefix = redis_prefix()
    with RedisStore(redis_url, prefix=prefix) as store:
        assert "cbor" in repr(store)
    prefix = redis_prefix()
    RedisStore(redis_url, prefix=prefix, serialize="pickle", kwargs={"a": 1}).close()
    with (
        RedisStore(redis_url, prefix=prefix) as store,
        pytest.raises(FormatMismatchError, match="trust_pickle=True"),
    ):
        store["a"]
    assert RedisStore(redis_url, prefix=prefix, trust_pickle=True)["a"] == 1


def test_a_cluster_keeps_a_store_in_one_slot():
    ports = [str(free_port()) for _ in range(2)]
    options = ["--cluster-enabled", "yes", "--port", ports[0], "--cluster-port", ports[1]]
    with redis_server(*options) as url, redis.Redis.from_url(url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until = time.monotonic() + 30
        while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until
            time.sleep(0.05)
        with RedisStore(url, kwargs={"a": 1}) as store:
            with store.transaction():
                store.update((str(number), number) for number in range(20_000))
            assert len(store) == 20_001


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_destroy_removes_the_keys(open_redis, client):
    store = open_redis(kwargs={"a": 1})
    store.destroy()
    assert store["a"] == 1
    store.close()
    store.destroy(yes_im_sure=True)
    assert not list(client.scan_iter(match=f"{{{open_redis.prefix}}}*"))


def test_stone_opens_what_a_url_stands_for(redis_url, redis_prefix):
    url = f"{redis_url}&prefix={redis_prefix()}"
    with stone(url, serialize="json") as store:
        store["a"] = 1
    with stone(url, create=False) as store:
        assert (type(store), store["a"]) == (RedisStore, 1)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys", "unix"])
def test_stone_knows_the_schemes_of_redis(scheme):
    with pytest.raises(StoreOpenError, match="no connection to"):
        stone(f"{scheme}://localhost:1/0")


def test_stone_asks_the_server_for_the_durability_that_is_named(redis_url, redis_prefix):
    url = f"{redis_url}&prefix={redis_prefix()}"
    stone(url).close()
    for durability in ("full", "lazy"):
        with pytest.raises(StoreOpenError, match=f"durability='{durability}' was asked of"):
            stone(url, durability=durability)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis:localhost", "no URL"),
        ("redis://localhost/shop", "a number, not 'shop'"),
        ("redis://localhost/0?db=one", "a number, not 'one'"),
        ("redis://localhost/0?decode_responses=True", "leave out decode_responses="),
    ],
)
def test_a_url_that_the_client_would_read_otherwise_is_refused(url, reason):
    with pytest.raises(StoreOpenError, match=reason):
        RedisStore(url)


def test_a_store_that_the_server_has_lost_is_never_written_without_its_head(open_redis, client):
    store = open_redis()
    users = Collection(store, User)
    store["a"] = 1
    for name in client.scan_iter(f"{{{open_redis.prefix}}}:*"):
        client.delete(name)
    for write in (
        lambda: store.put("b", 2),
        lambda: users.add(User("ada", 1)),
        lambda: store.update({str(n): "x" * 1000 for n in range(20_000)}),
    ):
        with pytest.raises(StorageError, match=r"is gone.*nothing was written"):
            write()
    assert not client.keys(f"{{{open_redis.prefix}}}:*")
    with open_redis() as again:
        again["b"] = 2
        assert dict(again) == {b"b": 2}


def test_a_migration_goes_on_although_others_write_all_the_time(open_redis):
    store, other = open_redis(serialize="json"), open_redis()
    writes = []

    def decode(raw):
        if target:  # another program writes, wherever the migration is
            writes.append(raw)
            other["n"] = len(writes)
            if raw == b'"k7"':
                other["k7"] = "written in between"
        return json.loads(raw)

    target = ""
    register_serializer("read-slowly", lambda value: json.dumps(value).encode(), decode)
    store.update((f"k{number}", f"k{number}") for number in range(50))
    store["n"] = 0
    migrate(store, to="read-slowly")
    target = "cbor"
    migrate(store, to=target)
    expected = {f"k{number}".encode(): f"k{number}" for number in range(50)}
    assert dict(store) == {**expected, b"k7": "written in between", b"n": len(writes)}
    assert store.stats()["serializer"] == "cbor"
    assert migrate(store, to=target).values == 0


# -- beside others who write all the time ----------------------------------------------------------


def test_an_iteration_is_in_conflict_only_with_changes_of_what_it_has_read(open_redis):
    store, other = open_redis(), open_redis()
    store.update((f"k{number}", number) for number in range(1000))
    with store.transaction():
        store["sum"] = sum(store.range(prefix="k").values())
        other["n"] = 1
    assert store["sum"] == sum(range(1000))
    with store.transaction():  # the keys alone were read, and they are the same
        store["count"] = len(list(store.range(prefix="k")))
        other["k7"] = 8
    assert store["count"] == 1000
    for change in ({"k999": 0}, {"k1": 0}, {"k5000": 0}):
        with pytest.raises(ConflictError, match="run it again"), store.transaction():
            store["sum"] = sum(store.range(prefix="k").values())
            other.update(change)
    assert store["sum"] == sum(range(1000))


def test_an_iteration_over_too_much_is_in_conflict_with_every_write(open_redis, monkeypatch):
    store, other = open_redis(), open_redis()
    store.update((f"k{number}", number) for number in range(100))
    monkeypatch.setattr("stones.engines.redis.backing._MOST_COMPARED", 10_000)
    with pytest.raises(ConflictError, match="run it again"), store.transaction():
        store["sum"] = sum(store.range(prefix="k").values())
        other["n"] = 1
    with pytest.raises(ConflictError, match="run it again"), store.transaction():
        for value in store.range(prefix="k").values():
            other["n"] = value
    assert "sum" not in store


def test_a_key_that_goes_after_it_was_read_is_not_put_as_if_it_had_been_missing(open_redis):
    store, other = open_redis(kwargs={"a": 1}), open_redis()
    seen = []

    def change():
        seen.append(store.get("a"))
        other.pop("a", None)
        return seen[-1], store.put("a", 2, overwrite=False)

    assert store.transact(change) == (None, True)
    assert seen == [1, None]


def test_pages_are_compared_although_the_store_was_made_again_meanwhile(redis_url, redis_prefix):
    address = address_of(redis_url, redis_prefix())
    engine = RedisEngine.open(address)
    engine.transact(lambda txn: txn.put(Space.DATA, b"old", b"1"))
    txn = engine.begin(write=True)
    assert [*txn.keys(Space.DATA)] == [b"old"]
    destroy(address)
    again = RedisEngine.open(address)
    again.transact(lambda txn: txn.put(Space.DATA, b"new", b"1"))
    txn.put(Space.DATA, b"keys", b"1")
    with pytest.raises(ConflictError, match="run it again"):
        txn.commit()
    assert again.get(Space.DATA, b"keys") is None
    engine.close()
    again.close()


@pytest.mark.parametrize("change", [lambda txn: txn.add(b"a", 1), lambda txn: txn.add(b"b", 1)])
@pytest.mark.parametrize("looks", [1, 2])
def test_all_sums_belong_to_the_moment_of_the_commit(redis_url, redis_prefix, change, looks):
    address = address_of(redis_url, redis_prefix())
    engine, other = RedisEngine.open(address), RedisEngine.open(address)
    engine.transact(lambda txn: txn.add(b"a", 1))
    txn = engine.begin(write=True)
    assert dict(txn.sums()) == {b"a": 1}
    other.transact(change)
    with pytest.raises(ConflictError, match="run it again"):
        if looks == 2:
            assert len(dict(txn.sums())) == 2  # or it raises
        txn.put(Space.DATA, b"key", b"value")
        txn.commit()
    txn.abort()
    assert other.get(Space.DATA, b"key") is None
    engine.close()
    other.close()


def test_a_change_that_is_in_conflict_each_time_says_what_to_do(open_redis, monkeypatch):
    monkeypatch.setattr("stones.engines.redis.engine._TRIES", 3)
    store, other = open_redis(kwargs={"n": 0}), open_redis()

    def change():
        other["n"] += 1
        store["sum"] = sum(store.values())
        other["n"] += 1

    with pytest.raises(ConflictError, match=r"gave up after 3 tries, .* smaller operations"):
        store.transact(change)
    assert "sum" not in store


@pytest.fixture
def busy_store(open_redis):
    """A store with 60 users. At each value that a program reads, `write` is called."""
    is_writing = True

    def decode(raw):
        nonlocal is_writing
        if not is_writing:
            is_writing = True  # its own reads write nothing
            try:
                busy_store.write()
            finally:
                is_writing = False
        return json.loads(raw)

    register_serializer("busy", lambda value: json.dumps(value).encode(), decode)
    busy_store = open_redis(serialize="busy")
    users = Collection(busy_store, User)
    users.add_many([User(f"u{number:02}", number) for number in range(60)])
    other = open_redis()
    others = Collection(other, User)
    writes = []

    def write():
        writes.append(0)
        other["n"] = len(writes)
        if not others.indexes or len(writes) % 100 == 0:  # some steps are in conflict, but not all
            others.put(User("u30", 1000 + len(writes)))

    busy_store.write, is_writing = write, False
    return busy_store


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("small", [0, 10_000])
def test_an_index_is_built_although_others_write_all_the_time(
    busy_store, small, unique, monkeypatch
):
    monkeypatch.setattr("stones.collections.declared_indexes.SMALL", small)
    monkeypatch.setattr("stones.collections.index_building.STEP", 20)
    monkeypatch.setattr("stones.engines.redis.engine._TRIES", 5)
    users = Collection(busy_store, User, indexes=[Index("age", unique=unique)])
    users.build_indexes()
    assert [index.state for index in users.indexes] == ["ready"]
    busy_store.write = lambda: None
    assert users.find("$[?(@.age == 7)]").one().email == "u07"
    assert check(busy_store).findings == ()


def test_a_unique_index_that_does_not_fit_is_dropped_again_beside_busy_writers(
    busy_store, monkeypatch
):
    monkeypatch.setattr("stones.engines.redis.engine._TRIES", 5)
    Collection(busy_store, User).put(User("twin", 7))
    with pytest.raises(DuplicateKeyError, match="unique"):
        Collection(busy_store, User, indexes=[Index("age", unique=True)])
    assert Collection(busy_store, User).indexes == ()
    busy_store.write = lambda: None
    assert check(busy_store).findings == ()


@pytest.mark.parametrize("method", ["sweep", "drop_failed"])
def test_an_opener_tells_of_duplicates_although_another_one_drops_the_index_again(
    busy_store, open_redis, method, monkeypatch
):
    monkeypatch.setattr("stones.engines.redis.engine._TRIES", 5)
    users = Collection(busy_store, User)
    users.put(User("twin", 7))
    go_on = getattr(IndexBuilder, method)

    def drop_and_go_on(builder, *arguments):
        monkeypatch.setattr(IndexBuilder, method, go_on)
        Collection(open_redis(), User).drop_index("age")
        return go_on(builder, *arguments)

    monkeypatch.setattr(IndexBuilder, method, drop_and_go_on)
    with pytest.raises(DuplicateKeyError, match="unique"):
        Collection(busy_store, User, indexes=[Index("age", unique=True)])
    assert users.indexes == ()
    busy_store.write = lambda: None
    assert check(busy_store).findings == ()


def test_an_index_sees_the_defaults_of_another_program_from_its_definition_on(open_redis):
    store, other = open_redis(), open_redis()
    users = Collection(store, User, unknown="drop")
    users.put(User("ann"))
    named = Collection(other, Named, name="User", indexes=["name"])
    store["n"] = 1  # the store has read the metadata again, the collection has not
    users.put(User("zoe"))
    assert named.find("$[?(@.name == '')]").count() == 2
    assert check(store).findings == ()


def test_a_collection_is_opened_while_another_program_writes_its_first_record(
    open_redis, monkeypatch
):
    store, other = open_redis(), open_redis()
    pages = RedisBacking.pages

    def wait_and_read(*arguments, **options):
        monkeypatch.setattr(RedisBacking, "pages", pages)
        Collection(other, User).put(User("ann", 30))
        return pages(*arguments, **options)

    monkeypatch.setattr(RedisBacking, "pages", wait_and_read)
    assert list(Collection(store, User).values()) == [User("ann", 30)]


def test_a_record_that_changes_in_a_step_of_a_build_gets_its_entry(open_redis, monkeypatch):
    monkeypatch.setattr("stones.collections.declared_indexes.SMALL", 0)
    store, other = open_redis(), open_redis()
    users = Collection(store, User)
    users.add_many([User(f"u{number:02}", number) for number in range(60)])
    users = Collection(store, User, name="User", indexes=["age"])
    look = UnindexedRecords.read

    def look_and_wait(*arguments):
        found = look(*arguments)
        if not writes:  # an age that stays, and one that changes
            writes.append(Collection(other, Named, name="User").put(Named("u07", 7, "Eve")))
            Collection(other, User).put(User("u09", 90))
            del Collection(other, User)["u10"]
        return found

    writes = []
    monkeypatch.setattr(UnindexedRecords, "read", look_and_wait)
    users.build_indexes()
    assert users.find("$[?(@.age == 90)]").one().email == "u09"
    assert check(store).findings == ()


def test_the_last_record_is_popped_although_others_write_all_the_time(busy_store):
    users = Collection(busy_store, User, indexes=["age"])
    assert users.popitem() == ("u59", User("u59", 59))
    assert "u59" not in users
