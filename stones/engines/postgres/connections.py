"""Opens connections when there are none to be had, and keeps some for later.

A connection that waits belongs to nobody. A forked child opens its own: it neither uses nor ends
those of its parent.
"""

import re
from collections import deque
from typing import Any
from weakref import WeakSet

import psycopg
from attrs import frozen

from stones.errors import StorageError, StoreClosedError, StoreOpenError

from .dialects import Dialect, dialect_of
from .statements import ABOUT_SERVER, lock_timeout, session_settings
from .url import Address
from .wire import ConnectionLostError, Wire, in_one_line, rows

KEPT = 8
"""The most connections that wait for the next use."""
OLDEST = 130000
"""The oldest server, as PostgreSQL writes its version: 13."""


class UnreachableError(StorageError):
    """No connection could be opened. Nothing was changed."""


@frozen
class Server:
    """What a server says of itself."""

    version: str
    dialect: Dialect
    is_readonly: bool
    """It takes no writes, as a standby does, or the role may only read."""
    role: str


class Connections:
    """The connections of one engine in this process."""

    def __init__(self, address: Address, milliseconds: int) -> None:
        self._address = address
        self._milliseconds = milliseconds
        self._kept: deque[Wire] = deque()
        # Weak: a transaction that was forgotten, or that an interrupt took, is closed and undone.
        self._used: WeakSet[Wire] = WeakSet()
        self._of_parent: list[Wire] = []
        self._is_closed = False

    def take(self) -> Wire:
        """A connection that is open, as far as is known. `give` it back.

        Raises StoreClosedError, UnreachableError.
        """
        while self._kept:
            try:
                wire = self._kept.pop()
            except IndexError:  # another thread was quicker
                break
            if wire.is_alive():
                self._used.add(wire)
                return wire
            wire.finish()
        if self._is_closed:
            raise StoreClosedError("the store is closed")
        wire, _ = self.connect()
        self._used.add(wire)
        return wire

    def give(self, wire: Wire) -> None:
        """Take a connection back, which is in no transaction."""
        self._used.discard(wire)
        if self._is_closed or len(self._kept) >= KEPT or not wire.is_open:
            wire.finish()
            return
        self._kept.append(wire)
        if self._is_closed:  # in the meantime
            self.drop()

    def drop(self) -> None:
        """End the connections that wait: the server of one of them has gone."""
        while self._kept:
            try:
                self._kept.pop().finish()
            except IndexError:
                break

    def close(self) -> None:
        """End all connections. One that a thread waits for now is ended when it is given back."""
        self._is_closed = True
        self.drop()
        for wire in list(self._used):
            wire.finish_unless_used()

    def after_fork(self) -> None:
        """Leave the connections of the parent alone."""
        self._of_parent += [*self._kept, *self._used]
        self._kept, self._used = deque(), WeakSet()

    def connect(self) -> tuple[Wire, Server]:
        """A new connection, and what the server says. Raises UnreachableError, StoreOpenError."""
        address = self._address
        try:
            connection = _Connection.connect(autocommit=True, **address.parameters)
        except psycopg.Error as error:
            text = in_one_line(error)
            shown = address.hidden(text)
            raise UnreachableError(
                f"cannot connect to {address.name!r}: {shown}{_hint(text)}"
            ) from (error if shown == text else None)
        pgconn = connection.pgconn
        try:
            version = pgconn.server_version
            if version < OLDEST:
                raise StoreOpenError(
                    f"the server of {address.name!r} is PostgreSQL {version // 10000}."
                    f"{version % 10000}, which is too old: version 13 is the oldest that serves"
                )
            wire = Wire(pgconn, prepares=False)
            [found] = wire.ask([(ABOUT_SERVER, ())])
            [(text, readonly, role, process)] = rows(found)
            server = Server(
                text.decode(), dialect_of(text.decode()), readonly == b"on", role.decode()
            )
            # A pooler answers for the server, with a number of its own. What is set or prepared in
            # a session would be met by whoever gets the session next.
            wire.prepares = int.from_bytes(process, "big") == pgconn.backend_pid
            if wire.prepares:
                settings = session_settings(server.dialect)
                if self._milliseconds:
                    settings = [*settings, lock_timeout(self._milliseconds, local=False)]
                wire.ask([(setting, ()) for setting in settings])
        except (psycopg.Error, ConnectionLostError) as error:
            pgconn.finish()
            raise UnreachableError(
                f"cannot use {address.name!r}: {address.hidden(in_one_line(error))}"
            ) from error
        except BaseException:
            pgconn.finish()
            raise
        return wire, server


class _Connection(psycopg.Connection[Any]):
    """Opens a connection, which is used without it: a `Wire` ends it."""

    def __del__(self, *_: Any) -> None:
        """Do not warn that the connection is open."""


_HINTS = (
    ("password authentication failed|no password supplied", "check the user and the password"),
    (
        "too many clients|connection slots|too many connections|no more connections",
        "no connection is left: close stores and iterations, or raise max_connections",
    ),
    (
        "does not support SSL",
        (
            "a password would go over the network as it is; if that is meant, say "
            "sslmode=disable in the URL"
        ),
    ),
    ('database ".*" does not exist', "create the database first, by createdb for instance"),
    (
        "could not translate host name|Name or service|Connection refused|No such file",
        "check the host and the port, and that the server runs",
    ),
)


def _hint(text: str) -> str:
    """What to do about an error of connecting, where that is known."""
    for pattern, hint in _HINTS:
        if re.search(pattern, text):
            return f" ({hint})"
    return ""
