"""A Redis server for tests: one for the session, on a socket, which keeps nothing on disk.

`STONES_REDIS_URL` names another server to use in its place, of Redis or Valkey.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import redis


class MissingRedisError(Exception):
    """No redis-server is installed. It is an error, so that CI cannot miss it."""


# The shell waits for a line, or for the end of the tests, however they end. Then it stops the
# server and removes its folder.
_SCRIPT = '"$@" >"$0/log" 2>&1 & read _; kill $! 2>/dev/null; wait; rm -rf "$0"'


class RedisServer:
    """A server of its own. `options` are those of its command line, as in `--appendonly yes`."""

    def __init__(self, *options: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise MissingRedisError(
                "these tests need redis-server: apt-get install redis-server, or name a server by "
                "STONES_REDIS_URL"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="stones-redis-"))
        self._command = [
            program, "--port", "0", "--unixsocket", str(self.folder / "socket"), "--save", "",
            "--dir", str(self.folder), "--pidfile", str(self.folder / "pid"), "--daemonize", "no",
            *options,
        ]  # fmt: skip
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """The URL of its database 0."""
        return f"unix://{self.folder}/socket?db=0"

    def start(self) -> None:
        """Start it, with what it has kept on disk."""
        self._process = subprocess.Popen(
            ["sh", "-c", _SCRIPT, str(self.folder), *self._command],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the tests
        )
        until = time.monotonic() + 30
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                if time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        os.kill(int((self.folder / "pid").read_text()), 9)

    def restart(self) -> None:
        """Start it again after `kill`, in the same folder."""
        kept = self.folder.with_suffix(".kept")
        shutil.copytree(self.folder, kept, ignore=shutil.ignore_patterns("socket"))
        self.stop()
        shutil.move(kept, self.folder)
        self.start()

    def stop(self) -> None:
        """Stop it and remove its folder."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.close()
        self._process.wait(30)


@contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """The URL of a server that runs as long as the block."""
    server = RedisServer(*options)
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of the server that the tests of a session share."""
    if given := os.environ.get("STONES_REDIS_URL"):
        yield given
        return
    with redis_server() as url:
        yield url


_numbers = count(1)


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[Callable[[], str]]:
    """A function that gives another prefix at each call. Their keys go when the test ends."""
    stem = f"test-{os.getpid()}-{next(_numbers)}"
    mine = count(1)
    yield lambda: f"{stem}-{next(mine)}"
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(match=f"{{{stem}-*", count=1000):
            client.unlink(key)
