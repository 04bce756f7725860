"""The engine on a PostgreSQL: begins transactions, reads, and writes.

There are two kinds of write transactions. `begin(write=True)` is for a block, which cannot be run
again: it is alone, and never in conflict. `write` and `transact` are for a function, which can be
run again: many of them run at once, and the server finds conflicts.
"""

import os
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from threading import get_ident
from typing import Any, TypeVar

import psycopg
from attrs import evolve

from stones.engine import Engine, Space, Supports, Transaction, parse_sum
from stones.engines.nested_write import nested_write
from stones.errors import (
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
)

from . import retries
from .connections import Connections, UnreachableError
from .dialects import POSTGRES
from .errors import LostError, late, lost, translated
from .parameters import bytes_array, number_of, text_array
from .session import MANY_PARTS, Session
from .statements import (
    BEGIN,
    COMMIT,
    HOLDER,
    READ,
    SIZE,
    Statements,
    check_name,
    lock_timeout,
)
from .tables import open_tables
from .transaction import PostgresTransaction
from .url import Address, address_of
from .wire import ConnectionLostError, Message, Wire, cell, column, rows
from .writing import adds

T = TypeVar("T")


class PostgresEngine(Engine):
    """A store in five tables of a database. Any number of threads, processes, machines share it.

    `timeout` is how long a session waits for locks where `begin` and `write` do not say another
    one. Raises StoreOpenError.
    """

    supports = Supports(
        processes=True,
        machines=True,
        snapshots=True,
        savepoints=True,
        timeouts=True,
        conflicts=True,
        durability=("full",),
        max_value_size=POSTGRES.max_value_size,
    )

    def __init__(
        self,
        url: str,
        *,
        table: str = "stones",
        readonly: bool = False,
        create: bool = True,
        timeout: float | None = None,
    ) -> None:
        self.closed = False
        self.readonly = readonly
        self.address: Address = address_of(url, table, readonly=readonly)
        self.name = self.address.name
        check_name(self.address.table)
        self._timeout = timeout
        self._writers: dict[int, weakref.ref[Session]] = {}
        self._connections = Connections(self.address, _milliseconds(timeout))
        try:
            wire, self._server = self._connections.connect()
            try:
                self.statements = Statements(self.address.table, self._server.dialect)
                open_tables(
                    wire, self.statements, self.address, self._server,
                    create=create, readonly=readonly,
                )  # fmt: skip
            except BaseException:
                wire.finish()
                raise
        except UnreachableError as error:
            raise StoreOpenError(str(error)) from error.__cause__
        except (psycopg.Error, ConnectionLostError) as error:
            raise StoreOpenError(f"cannot open {self.name!r}: {error}") from error
        self._connections.give(wire)
        dialect = self._server.dialect
        self.max_value_size = dialect.max_value_size
        self.supports = evolve(
            type(self).supports,
            conflicts=not dialect.lock_alone,
            max_value_size=dialect.max_value_size,
        )
        _engines.add(self)

    # -- transactions ------------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> PostgresTransaction:
        if write:
            return self._begin_writing(alone=True, defer=False, timeout=timeout)
        return self._begun(self._reading)

    def read(self, look: Callable[[Transaction], T]) -> T:
        for is_last in (False, True):
            txn = self._reading()  # it begins with the first statement
            try:
                return look(txn)
            except LostError:
                if is_last:
                    raise
            finally:
                txn.abort()
        raise AssertionError

    def get(self, space: Space, key: bytes) -> bytes | None:
        return cell(self._ask((self.statements.get[space], (key,))))

    def sum(self, key: bytes) -> int:
        [(total, parts)] = rows(self._ask((self.statements.sum, (key,))))
        if number_of(parts) > MANY_PARTS:
            self._compact([key])
        return parse_sum(key, b"%d" % number_of(total))

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        return retries.run(self._begin_writing, change, timeout)

    transact = write

    def _reading(self) -> PostgresTransaction:
        session = Session(self, self._begin_of_read, writes=False)
        return PostgresTransaction(session, ended=self._read_ended)

    def _begin_writing(
        self, *, alone: bool, defer: bool, timeout: float | None
    ) -> PostgresTransaction:
        self._check_writable()
        own = None if timeout == self._timeout else _milliseconds(timeout)

        def begin(wire: Wire) -> list[Message]:
            pooled = not wire.prepares
            milliseconds = _milliseconds(timeout) if pooled else own
            return self.statements.begin(alone=alone, pooled=pooled, milliseconds=milliseconds)

        def start() -> PostgresTransaction:
            session = Session(self, begin, writes=True, defers=defer, timeout=timeout)
            self._writers[session.thread] = weakref.ref(session)
            return PostgresTransaction(session, ended=self._write_ended)

        return self._begun(start) if alone else start()

    def _begun(self, start: Callable[[], PostgresTransaction]) -> PostgresTransaction:
        """A transaction that has begun at the server; with another connection if one is lost."""
        for is_last in (False, True):
            txn = start()
            try:
                txn.session.check()
                txn.session.begin_now()
                return txn
            except LostError:
                txn.abort()
                self._connections.drop()
                if is_last:
                    raise
            except BaseException:
                txn.abort()
                raise
        raise AssertionError

    def _begin_of_read(self, wire: Wire) -> list[Message]:
        settings = [] if wire.prepares else self.statements.local_settings
        return [(statement, ()) for statement in (READ, *settings)]

    def _check_writable(self) -> None:
        if self.closed:
            raise StoreClosedError("the store is closed")
        if self.readonly:
            raise ReadOnlyError(f"the store {self.name!r} was opened read-only")
        known = self._writers.get(get_ident())
        if known is not None and known() is not None:
            raise nested_write()

    def _write_ended(self, session: Session) -> None:
        known = self._writers.get(session.thread)
        if known is not None and known() is session:
            del self._writers[session.thread]
        self._compact(session.long_sums)

    def _read_ended(self, session: Session) -> None:
        self._compact(session.long_sums)

    def _compact(self, sums: Collection[bytes]) -> None:
        """Make one row of each of these sums, unless somebody writes alone."""
        if not sums or self.readonly or self.closed:
            return
        with suppress(StoneError, psycopg.Error, ConnectionLostError):
            wire = self.take()
            try:
                for key in sums:
                    begin = [(part, ()) for part in self.statements.compact_begin]
                    found = wire.ask([*begin, (self.statements.drop_sums, (bytes_array([key]),))])
                    total = sum(map(number_of, column(found[-1])))
                    wire.ask([adds(self.statements, {key: total}), (COMMIT, ())])
            finally:
                if wire.is_open and wire.is_in_transaction:
                    wire.finish()
                self.give(wire)

    # -- the engine as a whole ---------------------------------------------------------------------

    def close(self) -> None:
        self.closed = True
        self._connections.close()

    def sync(self) -> None:
        if self.closed:
            raise StoreClosedError("the store is closed")

    def stats(self) -> dict[str, Any]:
        """The `server` with its version, and `file_size`: what the tables take on its disk."""
        names = text_array(self.statements.names)
        found: dict[str, Any] = {"server": " ".join(self._server.version.split()[:2])}
        with suppress(StorageError):  # other servers do not tell it
            found["file_size"] = number_of(cell(self._ask((SIZE, (names,)))))
        return found

    def drop(self) -> None:
        """Drop the tables, of a closed engine too. Raises StorageError, LockTimeoutError."""
        try:
            wire, _ = self._connections.connect()
        except UnreachableError as error:
            raise StorageError(str(error)) from error.__cause__
        try:
            limit = lock_timeout(_milliseconds(self._timeout), local=True)
            wire.ask([(part, ()) for part in (BEGIN, limit, *self.statements.drop, COMMIT)])
        except psycopg.Error as error:
            raise translated(error, self.name, writes=True) from error
        except ConnectionLostError as error:
            raise lost(self.name, error) from error
        finally:
            wire.finish()

    # -- what a session needs ----------------------------------------------------------------------

    def take(self) -> Wire:
        if self.closed:
            raise StoreClosedError("the store is closed")
        return self._connections.take()

    def give(self, wire: Wire) -> None:
        self._connections.give(wire)

    def failed(self, error: psycopg.Error, session: Session) -> Exception:
        if self.closed:
            return StoreClosedError("the store is closed")
        if isinstance(error, psycopg.errors.LockNotAvailable) and session.timeout is not None:
            return late(self.name, session.timeout, self._holder())
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            self._connections.drop()  # another host may be the primary by now
        return translated(error, self.name, writes=session.writes)

    def _holder(self) -> str:
        """Who has the lock now, in words."""
        with suppress(StoneError):
            for process, program, host in rows(
                self._ask((HOLDER, (self.statements.names[-1].encode(),)))
            ):
                who = f"the process {number_of(process)} of the server"
                where = f" on {host.decode()}" if host else ""
                return f"{who} (for {program.decode('utf-8', 'replace')!r}{where})"
        return "another program"

    def _ask(self, message: Message) -> Any:
        """The result of one statement that reads; with another connection if one is lost."""
        for is_last in (False, True):
            wire = self.take()
            try:
                return wire.ask([message])[0]
            except ConnectionLostError as error:
                self._connections.drop()
                if is_last:
                    raise lost(self.name, error) from error
            except psycopg.Error as error:
                raise translated(error, self.name, writes=False) from error
            finally:
                self.give(wire)
        raise AssertionError

    def _after_fork(self) -> None:
        self._connections.after_fork()
        self._writers = {}


def _milliseconds(timeout: float | None) -> int:
    """A timeout as the server has it: 0 is no limit."""
    return 0 if timeout is None else min(max(int(timeout * 1000), 1), 2**31 - 1)


_engines: "weakref.WeakSet[PostgresEngine]" = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
