"""pgbouncer before a PostgreSQL: a pool of connections that many programs share."""

import shutil
import signal
import subprocess
import time
from typing import Self

import psycopg

from .postgres import PostgresServer, socket_url
from .running import MissingServerError, Watchdog, account, make_folder


class PgBouncer:
    """A running pgbouncer on a socket in its folder. `mode` is session, transaction or statement.

    Leave the `with` block to stop it.
    """

    def __init__(self, server: PostgresServer, mode: str, *, pool: int = 20) -> None:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if program is None:
            raise MissingServerError("these tests need the Debian package pgbouncer")
        self.folder = make_folder("bouncer")
        self._watchdog = Watchdog(self.folder)
        settings = {
            "listen_addr": "",
            "unix_socket_dir": self.folder,
            "listen_port": 5432,
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": pool,
            "query_wait_timeout": 5,
            "logfile": self.folder / "log",
        }
        place = f"host={server.folder} port={server.port} dbname=postgres user=postgres"
        lines = ["[databases]", f"postgres = {place}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self.folder / "ini").write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(
            [program, "-q", self.folder / "ini"], cwd=self.folder, **account()
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.02)

    def url(self, **options: object) -> str:
        return socket_url(self.folder, **options)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._watchdog.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
