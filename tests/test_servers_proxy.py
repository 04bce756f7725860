"""The proxy before PostgreSQL counts right, and cuts where it is told to."""

import time

import psycopg
import pytest

from .servers.proxy import Proxy


@pytest.fixture
def proxy(postgres_server):
    with Proxy(postgres_server.folder) as proxy:
        yield proxy


@pytest.fixture
def connection(proxy):
    with psycopg.connect(proxy.url(), autocommit=True) as connection:
        yield connection


def test_statements_one_after_the_other_are_a_round_trip_each(proxy, connection):
    for _ in range(10):
        connection.execute("SELECT %s", [1])
    assert proxy.trips == 10 + 1  # psycopg prepares the statement, when it has seen it five times


def test_connecting_is_not_counted(proxy, connection):
    assert (proxy.trips, proxy.connections) == (0, 1)


def test_statements_of_a_pipeline_are_one_round_trip(proxy, connection):
    with connection.pipeline():
        for _ in range(10):
            connection.execute("SELECT %s", [1])
    assert proxy.trips == 1


def test_a_large_pipeline_is_one_round_trip(proxy, connection):
    with connection.pipeline():
        for _ in range(10):
            connection.execute("SELECT %s", ["x" * 100_000])
    assert proxy.trips == 1


def test_a_round_trip_takes_the_latency(proxy, connection):
    proxy.latency = 0.05
    began = time.monotonic()
    connection.execute("SELECT 1")
    assert time.monotonic() - began > 0.05


@pytest.mark.parametrize("prepared", [False, True])
def test_a_cut_before_the_commit_keeps_it_from_the_server(proxy, connection, postgres, prepared):
    connection.execute(f"CREATE TABLE {postgres.table} (n int)")
    cut = proxy.cut_before()
    with pytest.raises(psycopg.OperationalError), connection.pipeline():
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO {postgres.table} VALUES (%s)", [1])
        connection.execute("COMMIT", prepare=prepared)
    assert cut.happened.wait(10)
    with psycopg.connect(proxy.url()) as other:
        assert other.execute(f"SELECT count(*) FROM {postgres.table}").fetchone() == (0,)


@pytest.mark.parametrize("prepared", [False, True])
def test_a_cut_after_the_commit_loses_only_its_answer(proxy, connection, postgres, prepared):
    connection.execute(f"CREATE TABLE {postgres.table} (n int)")
    cut = proxy.cut_after()
    with pytest.raises(psycopg.OperationalError), connection.pipeline():
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO {postgres.table} VALUES (%s)", [1])
        connection.execute("COMMIT", prepare=prepared)
    assert cut.happened.wait(10)
    with psycopg.connect(proxy.url()) as other:
        assert other.execute(f"SELECT count(*) FROM {postgres.table}").fetchone() == (1,)


def test_all_connections_can_be_cut_and_new_ones_refused(proxy, connection):
    proxy.cut_all()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    proxy.refusing = True
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url())
    proxy.refusing = False
    psycopg.connect(proxy.url()).close()
