"""The SQL transaction below a transaction of ours: it reads, sends the changes, and commits.

It begins with its first statement, in the same message. What the transaction expects goes to the
server with the next message too. So a put is one message, and a change of what was read is two.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from threading import get_ident
from typing import Protocol

import psycopg
from psycopg.pq.abc import PGresult

from stones.engine import Page, Space
from stones.engines.buffered.backing import Backing, Changes
from stones.errors import StorageError, StoreClosedError, TransactionError

from .errors import lost, unknown
from .fetching import fetch_pages
from .parameters import bytes_array, number_of
from .statements import COMMIT, ROLLBACK, Statements, roll_back_to, savepoint
from .wire import ConnectionLostError, Message, Statement, Wire, cell, column, rows
from .writing import checks, writes

ROOM = 4 << 20
KNOWN = 1000
"""The most keys whose values a transaction remembers."""
KNOWN_SIZE = 4096
"""The largest value that it remembers."""
GET_MANY = 5000
"""The most keys of one statement."""

MANY_PARTS = 500
"""A sum of more rows than that is to become one row."""

Known = dict[tuple[Space, bytes], bytes | None]


class Host(Protocol):
    """What a session needs of its engine."""

    closed: bool
    name: str
    statements: Statements
    max_value_size: int

    def take(self) -> Wire:
        """A connection. Raises StoreClosedError, StorageError."""
        raise NotImplementedError

    def give(self, wire: Wire) -> None:
        """Take a connection back."""

    def failed(self, error: psycopg.Error, session: "Session") -> Exception:
        """The error of ours for an error of the server."""
        raise NotImplementedError


class Session(Backing):
    """The SQL transaction. `begin` gives what it begins with, by the connection that it has."""

    room = ROOM
    keeps_sums = True

    def __init__(
        self,
        host: Host,
        begin: Callable[[Wire], list[Message]],
        *,
        writes: bool,
        defers: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._host = host
        self._begin = begin
        self.writes = writes
        self.timeout = timeout
        self.defers = defers
        """Whether what is expected is checked by the server only, with the next message."""
        self._wire: Wire | None = None
        self._known: Known = {}
        self._expected: Known = {}  # by the commit; the server was not asked yet
        self._process = os.getpid()
        self.thread = get_ident()
        self.failure: Exception | None = None
        """Why it can only be undone. Whoever runs a change again looks here."""
        self.long_sums: set[bytes] = set()
        """The sums that have many rows."""
        self.max_value_size = host.max_value_size

    # -- reading -----------------------------------------------------------------------------------

    def check(self) -> None:
        if self._host.closed:
            raise StoreClosedError("the store is closed")
        if self._process != os.getpid():
            raise TransactionError("the transaction was begun before fork(): it is the parent's")

    def begin_now(self) -> None:
        """Begin at the server: from now on, it shows what was committed so far."""
        self._ask_all([])

    def get(self, space: Space, key: bytes) -> bytes | None:
        known = self._known
        if known and (space, key) in known:
            return known[space, key]
        value = cell(self._ask(self._host.statements.get[space], (key,)))
        if (self.writes or space == Space.META) and (value is None or len(value) <= KNOWN_SIZE):
            if len(known) >= KNOWN:
                known.clear()
            known[space, key] = value
        return value

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        found: dict[bytes, bytes] = {}
        for at in range(0, len(keys), GET_MANY):
            asked = (bytes_array(keys[at : at + GET_MANY]),)
            result = self._ask(self._host.statements.get_many[space], asked)
            found.update(zip(column(result), column(result, 1), strict=True))
        return [found.get(key) for key in keys]

    def pages(
        self,
        space: Space,
        start: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys: bool,
        values: bool,
    ) -> Iterator[Page]:
        return fetch_pages(
            self._ask, self._host.statements, space, start, stop,
            reverse=reverse, keys=keys, values=values,
        )  # fmt: skip

    def count(self, space: Space) -> int:
        return number_of(cell(self._ask(self._host.statements.count[space], ())))

    def sum(self, key: bytes) -> int:
        [(total, parts)] = rows(self._ask(self._host.statements.sum, (key,)))
        if number_of(parts) > MANY_PARTS:
            self.long_sums.add(key)
        return number_of(total)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        found = rows(self._ask(self._host.statements.sums, ()))
        return iter([(key, number_of(total)) for key, total in found])

    # -- expecting ---------------------------------------------------------------------------------

    def expect(self, space: Space, key: bytes, value: bytes | None) -> bool:
        """Expect a value, by the commit. If the value is known already: is it the expected one?"""
        place = (space, key)
        if place in self._known:
            return self._known[place] == value
        self._known[place] = self._expected[place] = value
        return True

    def verify(self) -> None:
        """Ask the server now whether all is as it was expected. Raises StaleError."""
        if self._expected:
            self._ask_all([])

    # -- writing -----------------------------------------------------------------------------------

    def flush(self, steps: Sequence[tuple[int | None, Changes]]) -> None:
        messages: list[Message] = []
        for begins, changes in steps:
            if begins is not None:
                messages.append((savepoint(begins), ()))
            messages += writes(self._host.statements, changes)
        self._ask_all(messages)
        self._known.clear()

    def roll_back(self, savepoint: int) -> None:
        self._ask_all([(statement, ()) for statement in roll_back_to(savepoint)])
        self._known.clear()

    def delete_range(self, space: Space, start: bytes, stop: bytes | None) -> None:
        if stop is None:
            self._ask(self._host.statements.delete_from[space], (start,))
        else:
            self._ask(self._host.statements.delete_range[space], (start, stop))
        self._known.clear()

    # -- ending ------------------------------------------------------------------------------------

    def commit(self, changes: Changes) -> None:
        try:
            if self.writes:
                self._commit(changes)
        finally:
            self.abort()

    def abort(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None or self._process != os.getpid():
            return
        try:
            if not wire.is_open or not wire.is_in_transaction:
                return
            if self.writes or self.failure is not None:
                wire.ask([(ROLLBACK, ())])  # whoever begins next must not wait for its lock
            else:
                wire.tell((COMMIT, ()))
        except (psycopg.Error, ConnectionLostError):
            wire.finish()
        except BaseException:
            wire.finish()
            raise
        finally:
            self._host.give(wire)

    def _commit(self, changes: Changes) -> None:
        expected, statements = self._expected, self._host.statements
        new: set[tuple[Space, bytes]] = set()
        absent = {place for place, value in expected.items() if value is None}
        if absent:  # for a key that is put, the primary key of the table finds that out
            put = (
                (at, key) for at in Space for key, value in changes.writes[at] if value is not None
            )
            new = absent.intersection(put)
            self._expected = {place: v for place, v in expected.items() if place not in new}
        messages = list(writes(statements, changes, new))
        if messages or self._expected or self._wire is not None or self.failure is not None:
            self._ask_all([*messages, (COMMIT, ())], commits=True)

    # -- talking to the server ---------------------------------------------------------------------

    def _ask(self, statement: Statement, values: tuple[bytes | None, ...]) -> PGresult:
        return self._ask_all([(statement, values)])[0]

    def _ask_all(self, messages: list[Message], *, commits: bool = False) -> list[PGresult]:
        """The results of the statements, which go with all that is due before them."""
        self.check()
        if self.failure is not None:
            raise self.failure
        statements, wire = self._host.statements, self._wire
        head = list(checks(statements, self._expected))
        asks_first = wire is None and not self.defers
        try:
            if wire is None:
                self._wire = wire = self._host.take()
                head = [*self._begin(wire), *head]
            elif not wire.is_alive():  # while the program did something else
                raise ConnectionLostError(wire.why_ended, undone=True)
            if asks_first:  # most transactions need it
                head.append((statements.get[Space.META], (b"generation",)))
            results = wire.ask([*head, *messages])
        except StorageError as error:
            self.failure = error
            raise
        except ConnectionLostError as error:
            name, in_doubt = self._host.name, commits and not error.undone
            self.failure = unknown(name, error) if in_doubt else lost(name, error)
            raise self.failure from error
        except psycopg.Error as error:
            self.failure = self._host.failed(error, self)
            raise self.failure from error
        self._expected = {}
        if asks_first:
            self._known[Space.META, b"generation"] = cell(results[len(head) - 1])
        return results[len(head) :]
