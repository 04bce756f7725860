"""The transaction of the contract: it keeps its changes in memory, above a `Session`."""

from collections.abc import Callable

from stones.engine import Space
from stones.engines.buffered.transaction import BufferedTransaction
from stones.errors import UnexpectedError

from .session import Session


class PostgresTransaction(BufferedTransaction):
    """A transaction of a PostgresEngine. `ended` is called with its session at its end.

    If its session `defers`, what it expects is checked by the server only: see `retries`.
    """

    __slots__ = ("_ended", "_session")

    def __init__(self, session: Session, *, ended: Callable[[Session], None]) -> None:
        super().__init__(session, writable=session.writes)
        self._session = session
        self._ended = ended

    @property
    def session(self) -> Session:
        """What is below it."""
        return self._session

    def expect(self, space: Space, key: bytes, value: bytes | None) -> None:
        if not self._session.defers or self._buffer.maps[space].get(key) is not None:
            super().expect(space, key, value)
            return
        self._check()
        if not self._session.expect(space, key, value):
            raise UnexpectedError(space, key, self._session.get(space, key))

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if not self._open:
                self._ended(self._session)

    def abort(self) -> None:
        was_open = self._open
        try:
            super().abort()
        finally:
            if was_open:
                self._ended(self._session)
