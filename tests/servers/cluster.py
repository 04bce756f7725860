"""Three nodes of PostgreSQL: a primary, and two standbys, of which one must have each commit.

So a commit that was acknowledged is on two nodes at least. A node that is killed is gone for good;
`rebuild` makes a new standby in its place. Everything is on the loopback interface.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

import psycopg

from .postgres import WRITTEN, PostgresServer
from .running import free_port

NAMES = ["n1", "n2", "n3"]


class Cluster:
    """A running cluster. Leave the `with` block to stop it.

    `speed` is WRITTEN, or empty for nodes that wait for the disk.
    """

    def __init__(self, *, speed: Mapping[str, str] = WRITTEN) -> None:
        self._speed = speed
        self._stack = ExitStack()
        self._ports = {name: free_port() for name in NAMES}
        self.nodes: dict[str, PostgresServer] = {}
        with ExitStack() as stack:
            stack.callback(self.close)
            first = self._start("n1")
            self.primary = first
            for name in NAMES[1:]:
                self._start(name, first)
            self.synchronous()
            stack.pop_all()

    def _start(self, name: str, primary: PostgresServer | None = None) -> PostgresServer:
        node = PostgresServer(
            speed=self._speed,
            tcp=True,
            name=name,
            port=self._ports[name],
            copy_of=primary,
            settings={
                # It is ready for promotion, so what follows a standby need not be copied anew.
                "wal_keep_size": "512MB",
                "recovery_target_timeline": "latest",
                "wal_retrieve_retry_interval": "100ms",
                "synchronous_standby_names": "",
            },
        )
        self._stack.callback(node.close)
        self.nodes[name] = node
        return node

    def synchronous(self) -> None:
        """Let the primary wait, in each commit, for one of the standbys that it has."""
        self.primary.set(synchronous_standby_names=f"ANY 1 ({', '.join(NAMES)})")
        self.primary.reload()
        counted = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"
        standbys = len(self.nodes) - 1
        wait_for(lambda: self.primary.execute(counted) == [(standbys,)], "standbys")

    def url(self, **options: object) -> str:
        """The URL of whichever node is the primary."""
        places = ",".join(f"127.0.0.1:{port}" for port in self._ports.values())
        chosen = {"target_session_attrs": "read-write", "connect_timeout": 5, **options}
        return f"postgresql://postgres@{places}/postgres?" + "&".join(
            f"{name}={value}" for name, value in chosen.items()
        )

    @property
    def standbys(self) -> list[PostgresServer]:
        return [node for node in self.nodes.values() if node is not self.primary]

    def kill(self, node: PostgresServer) -> None:
        """Kill all processes of a node at once, and forget what it had."""
        node.kill()
        node.close()
        del self.nodes[node.name]

    def kill_primary(self) -> float:
        """Kill the primary, and promote the standby that has most. How long that took, in seconds.

        The other standby follows the new primary.
        """
        began = time.monotonic()
        self.kill(self.primary)
        heard = "SELECT coalesce(pg_last_wal_receive_lsn(), '0/0') - '0/0'::pg_lsn"
        self.primary = max(self.standbys_left(), key=lambda node: node.execute(heard)[0][0])
        self.primary.promote()
        for standby in self.standbys:
            standby.follow(self.primary)
        self.synchronous()
        return time.monotonic() - began

    def standbys_left(self) -> list[PostgresServer]:
        return list(self.nodes.values())

    def rebuild(self) -> None:
        """Make a new standby in the place of each node that was killed."""
        for name in NAMES:
            if name not in self.nodes:
                self._start(name, self.primary)
        counted = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_for(lambda: self.primary.execute(counted) == [(len(NAMES) - 1,)], "a new standby")

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Look until a condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except psycopg.OperationalError:
            pass  # it is starting
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
