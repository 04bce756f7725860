"""Servers of PostgreSQL are killed and nothing is lost: `make torture-postgres`, in short.

Each is a program of its own. Coverage is not measured in what writes while servers are killed.
"""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "tests.cluster.run"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def run(*arguments):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )


def assert_held(done):
    assert (done.returncode, "VIOLATION" in done.stdout) == (0, False), done.stdout + done.stderr


def test_a_killed_server_loses_nothing_that_it_acknowledged():
    assert_held(run("kills", "--rounds", "5", "--processes", "4"))


@pytest.mark.parametrize("sabotage", ["early", "split", "asynchronous"])
def test_kills_are_noticed_by(sabotage):
    """Acknowledging what was not made, tearing transactions apart, and a server that is lazy."""
    options = ["--rounds", "10", "--processes", "4", "--sabotage", sabotage]
    done = run("kills", *options)
    assert (done.returncode, "VIOLATION" in done.stdout) == (1, True), done.stdout + done.stderr


def test_three_nodes_lose_nothing_when_a_standby_and_two_primaries_are_killed():
    assert_held(run("failover", "--processes", "4"))


def test_blocks_functions_and_snapshots_at_once_meet_no_error():
    assert_held(run("mixed", "--seconds", "5", "--processes", "4"))


def test_three_nodes_run_until_they_are_stopped(tmp_path):
    place = ["--running", str(tmp_path / "running")]
    with subprocess.Popen(
        [*COMMAND, "start", *place], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as started:
        url = next(word for line in started.stdout if (word := line.strip()).startswith("postg"))
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        assert run("stop", *place).stdout == "The cluster has stopped.\n"
    assert started.returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
