"""One connection to the server: several statements in one message, and their results.

It works with libpq, which psycopg brings along as `psycopg.pq`, in pipeline mode. psycopg's own
cursors would take longer than a fast server needs for its answer.
"""

import os
import select
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import count
from threading import Lock
from typing import Any

import psycopg
from attrs import Factory, field, frozen
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

# As plain numbers, which are compared several times for each statement.
OK = (int(pq.ExecStatus.COMMAND_OK), int(pq.ExecStatus.TUPLES_OK))
SYNC = int(pq.ExecStatus.PIPELINE_SYNC)
FAILED = int(pq.ExecStatus.FATAL_ERROR)
BINARY = int(pq.Format.BINARY)
LARGE = 8 << 20
"""A value of more bytes is sent without a break: other threads wait as long."""


@frozen(eq=False)
class Statement:
    """A statement of SQL, with the types of its parameters $1, $2, ..."""

    sql: bytes
    types: tuple[int, ...] = ()
    formats: tuple[int, ...] = field(
        init=False, default=Factory(lambda made: (BINARY,) * len(made.types), takes_self=True)
    )


Message = tuple[Statement, tuple[bytes | None, ...]]
"""A statement, and the values of its parameters."""


class ConnectionLostError(Exception):
    """The connection has ended while an answer was expected."""

    def __init__(self, text: str, *, undone: bool) -> None:
        super().__init__(text)
        self.undone = undone
        """The server has said that it did not run the last statement."""


class Wire:
    """A connection, in the hand of one thread at a time. `finish` ends it."""

    def __init__(self, pgconn: PGconn, *, prepares: bool) -> None:
        self.pgconn = pgconn
        self.prepares = prepares
        """Whether statements may be prepared: not where a pooler is between."""
        self._process = os.getpid()
        self._names: dict[Statement, bytes] = {}
        self._numbers = count()
        # The answers that are to come, in their order: for the preparing of a statement this
        # statement, for the running of one None, and _END for the end of a message.
        self._due: deque[Any] = deque()
        self._lock = Lock()
        self._notes: list[bytes] = []
        # Not a method: a wire that is forgotten must be gone at once.
        pgconn.notice_handler = partial(_note, self._notes)
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(pgconn.socket, select.POLLIN)
        pgconn.enter_pipeline_mode()

    def ask(self, messages: Sequence[Message]) -> list[PGresult]:
        """The results of all statements, which go to the server in one message.

        Raises the psycopg.Error of the first statement that failed; those after it did not run.
        Raises ConnectionLostError.
        """
        with self._lock:
            try:
                unread = self._due.count(_END) if self._due else 0
                self._send(messages)
                for _ in range(unread):  # of what was only told
                    self._next_results()
                results, failed = self._next_results()
            except psycopg.Error as error:  # of libpq itself: not even the order is known any more
                self.finish()
                raise ConnectionLostError(in_one_line(error), undone=False) from error
            except BaseException:  # an interrupt while it waits, among others
                self.finish()
                raise
        if failed is not None:
            raise error_of(failed)
        return results

    def tell(self, message: Message) -> None:
        """Send a statement, and do not wait. It does nothing if the connection is lost.

        The statement runs before all that is asked later.
        """
        with self._lock:
            try:
                self._send([message])
            except psycopg.Error:
                self.finish()
            except BaseException:
                self.finish()
                raise

    def is_alive(self) -> bool:
        """Whether the server has not ended the connection, as far as is known. Sends nothing."""
        with self._lock:
            try:
                # A server that ends a connection closes it. So there is something to read.
                while self.is_open and self._readable(0):
                    self.pgconn.consume_input()
                    self.pgconn.is_busy()  # gives what the server says to `_note`
            except psycopg.Error:
                self.finish()
            return self.is_open

    @property
    def why_ended(self) -> str:
        """Why the server has ended the connection, as far as it said so."""
        said = self._notes[-1].decode("utf-8", "replace") if self._notes else ""
        return said or "the server has closed it"

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended, as far as libpq knows."""
        return self.pgconn.status == pq.ConnStatus.OK

    @property
    def is_in_transaction(self) -> bool:
        """Whether the server has a transaction open, after all that was asked."""
        return self.pgconn.transaction_status != pq.TransactionStatus.IDLE

    def finish(self) -> None:
        """End the connection, and with it the transaction. A forked child leaves it alone."""
        if self._process == os.getpid():
            self.pgconn.finish()

    def finish_unless_used(self) -> None:
        """End the connection, but not while a thread waits for an answer."""
        if self._lock.acquire(blocking=False):
            try:
                self.finish()
            finally:
                self._lock.release()

    def _send(self, messages: Sequence[Message]) -> None:
        pgconn, names, due = self.pgconn, self._names, self._due
        is_large = False
        for statement, values in messages:
            for value in values:
                if value is not None and len(value) > LARGE and not is_large:
                    # In steps, libpq would move all that is left of a message after each of them.
                    pgconn.nonblocking, is_large = 0, True
            if not self.prepares:
                pgconn.send_query_params(
                    statement.sql, values, statement.types, statement.formats, BINARY
                )
            else:
                name = names.get(statement)
                if name is None:
                    names[statement] = name = b"s%d" % next(self._numbers)
                    pgconn.send_prepare(name, statement.sql, statement.types)
                    due.append(statement)
                pgconn.send_query_prepared(name, values, statement.formats, BINARY)
            due.append(None)
        pgconn.pipeline_sync()
        due.append(_END)
        while pgconn.flush():
            # The server may wait until its answers are read.
            if select.select([pgconn.socket], [pgconn.socket], [])[0]:
                pgconn.consume_input()
        if is_large:
            pgconn.nonblocking = 1

    def _next_results(self) -> tuple[list[PGresult], PGresult | None]:
        """The results of the earliest message that is not answered yet, and its first error."""
        pgconn, due = self.pgconn, self._due
        results: list[PGresult] = []
        failed: PGresult | None = None
        while True:
            while pgconn.is_busy():
                self._readable(None)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:  # it is between the results of two statements
                if not self.is_open:
                    raise psycopg.OperationalError(pgconn.get_error_message())
                continue
            status = result.status
            if status == SYNC:
                due.popleft()
                return results, failed
            if status == FAILED and not self.is_open:
                raise self._lost(result)
            prepared = due.popleft()
            if status not in OK:
                failed = failed or result
                if prepared is not None:
                    del self._names[prepared]
            elif prepared is None:
                results.append(result)

    def _lost(self, result: PGresult) -> ConnectionLostError:
        # A server that is shut down says so in place of the next answer. Unless that would be the
        # answer to the last statement, the last statement did not run.
        says_so = bool(result.error_field(pq.DiagnosticField.SQLSTATE))
        error = error_of(result)
        lost = ConnectionLostError(in_one_line(error), undone=says_so and len(self._due) > 2)
        lost.__cause__ = error
        return lost

    def _readable(self, timeout: int | None) -> Any:
        if self._poll is not None:
            return self._poll.poll(timeout)
        return select.select([self.pgconn.socket], [], [], timeout)[0]


def _note(notes: list[bytes], notice: PGresult) -> None:
    """Keep the last of what the server says that is no answer."""
    notes[:] = [notice.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""]


_END = object()


def error_of(result: PGresult) -> psycopg.Error:
    """The error of a statement, as psycopg has it."""
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode("ascii", "replace")
    kind: type[psycopg.Error] = psycopg.OperationalError
    if state:
        try:
            kind = psycopg.errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
    error = kind(result.get_error_message())
    error.sqlstate = state or None
    return error


def in_one_line(error: BaseException) -> str:
    """The text of an error of the server."""
    return " ".join(str(error).split())


def rows(result: PGresult) -> list[tuple[Any, ...]]:
    """The rows of a result."""
    get, fields = result.get_value, range(result.nfields)
    return [tuple([get(row, at) for at in fields]) for row in range(result.ntuples)]


def column(result: PGresult, at: int = 0) -> list[Any]:
    """A column of a result."""
    get = result.get_value
    return [get(row, at) for row in range(result.ntuples)]


def cell(result: PGresult) -> bytes | None:
    """The first field of the first row; None if there is no row."""
    return result.get_value(0, 0) if result.ntuples else None
