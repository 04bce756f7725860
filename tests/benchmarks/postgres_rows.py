"""What only PostgreSQL is measured for: a network between, collections, and many writers at once.

The network is a proxy that holds each message back for a millisecond, so that a round trip takes
two.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
from clients.postgres_client import PostgresClient, connected
from ground import SERIALIZER, record
from measuring import RECORDS, Benchmark, Prepared, ratio, seconds
from servers.proxy import Proxy
from users import User, dump, users

from stones import Collection, PostgresStore, Store
from stones.formats.serializers import serializer

LATENCY = 0.002
"""Seconds of a round trip."""
FEW = 100
WRITERS = 8
ADDS = 150
GOALS = {0: {"add": 3, "add_many": 5}, LATENCY: {"get": 1.1, "put": 1.2, "add": 1.3}}


class Users:
    """A collection, and a table with the same records."""

    def __init__(self, client: PostgresClient, store: Store[Any, Any]) -> None:
        self.client, self.store = client, store
        self.encode = serializer(SERIALIZER).encode
        self.users: Collection[str, User] = Collection(store, User)
        self.records = list(users())[:RECORDS]
        self.few = self.records[:FEW]

    def clear(self) -> None:
        self.client.clear()
        self.users.clear()

    def raw_add(self) -> None:
        for user in self.few:
            self.client.add(user.id.encode(), self.encode(dump(user)))

    def add(self) -> None:
        for user in self.few:
            self.users.add(user)

    def raw_add_many(self) -> None:
        self.client.copy([(user.id.encode(), self.encode(dump(user))) for user in self.records])

    def add_many(self) -> None:
        self.users.add_many(self.records)

    def ratio(self, verb: str, **options: Any) -> float:
        sides = [Prepared(self.clear, getattr(self, name)) for name in (verb, f"raw_{verb}")]
        return ratio(*sides, clock=time.perf_counter, **options)


class Entries:
    """Entries of a store, and of a table."""

    def __init__(self, client: PostgresClient, store: Store[Any, Any]) -> None:
        codec = serializer(SERIALIZER)
        self.encode, self.decode = codec.encode, codec.decode
        self.client, self.store = client, store
        self.entries = [(b"%d" % number, record(number)) for number in range(FEW)]

    def raw_put(self) -> None:
        for key, value in self.entries:
            self.client.put(key, self.encode(value))

    def put(self) -> None:
        for key, value in self.entries:
            self.store[key] = value

    def raw_get(self) -> None:
        for key, _ in self.entries:
            self.decode(self.client.get(key))

    def get(self) -> None:
        for key, _ in self.entries:
            self.store[key]

    def ratio(self, verb: str) -> float:
        sides = getattr(self, verb), getattr(self, f"raw_{verb}")
        return ratio(*sides, clock=time.perf_counter)


def postgres_rows(client: PostgresClient) -> Iterator[Benchmark]:
    with ExitStack() as stack:
        near = Users(*stack.enter_context(connected(client.url, "near")))
        yield row("add", partial(near.ratio, "add"), 0)
        many = partial(near.ratio, "add_many", rounds=3)
        yield row("add_many", many, 0, "COPY")
        crowd = partial(crowd_ratio, client.url)
        yield Benchmark("postgres: adds of 8 processes", crowd, -3, "the rate with a count row")
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(client.folder, client.port, latency=LATENCY))
        pair = stack.enter_context(connected(proxy.url(), "far"))
        entries, far = Entries(*pair), Users(*pair)
        yield row("put", partial(entries.ratio, "put"), LATENCY)
        yield row("get", partial(entries.ratio, "get"), LATENCY)
        yield row("add", partial(far.ratio, "add"), LATENCY)


def row(verb: str, measure: Any, latency: float, floor: str = "psycopg by hand") -> Benchmark:
    name = f"postgres: {verb}" + (f" at {latency * 1000:g} ms" if latency else "")
    return Benchmark(name, measure, GOALS[latency].get(verb, 0), floor)


# -- many writers ------------------------------------------------------------------------------


def crowd_ratio(url: str) -> float:
    """How many adds a second, for each add a second of a table with a row for the count."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS counted (key bytea PRIMARY KEY)")
        connection.execute("CREATE TABLE IF NOT EXISTS count_row (n bigint)")
        connection.execute("INSERT INTO count_row VALUES (0)")
    with PostgresStore(url, table="crowd", serialize=SERIALIZER) as store:
        Collection(store, User).add(next(iter(users())))
    return crowd_seconds(count_by_hand, url) / crowd_seconds(add_users, url)


def crowd_seconds(work: Any, url: str) -> float:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(WRITERS + 1)
    crowd = [context.Process(target=work, args=[url, n, ready]) for n in range(WRITERS)]
    for process in crowd:
        process.start()
    ready.wait()

    def finish() -> None:
        for process in crowd:
            process.join()

    return seconds(finish)


def add_users(url: str, number: int, ready: Any) -> None:
    with PostgresStore(url, table="crowd") as store:
        collection = Collection(store, User)
        fresh = list(users())[1 + number * ADDS : 1 + (number + 1) * ADDS]
        ready.wait()
        for user in fresh:
            collection.add(user)


def count_by_hand(url: str, number: int, ready: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        ready.wait()
        for step in range(ADDS):
            add_and_count(connection, b"%d/%d" % (number, step))


def add_and_count(connection: "psycopg.Connection[Any]", key: bytes) -> None:
    while True:
        try:
            with connection.transaction():
                connection.execute("INSERT INTO counted VALUES (%b)", (key,))
                connection.execute("UPDATE count_row SET n = n + 1")
                return
        except psycopg.errors.SerializationFailure:
            continue
