"""A copy of a store on its server, which a program reads while others write to the store.

The server makes it at once, with `COPY`, and removes it an hour after it was last looked at.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from stones.engine import Page, Space, Transaction
from stones.engines.buffered.transaction import BufferedTransaction
from stones.errors import StoneError, StorageError

from .backing import RedisBacking
from .places import Places
from .scripts import KEEP
from .server import Server

_KEPT_FOR = 3600
"""Seconds after which the server removes the copy of a program that was killed."""
_RENEWED_AFTER = 60.0
"""Seconds after which a reader tells the server that it still reads."""


@contextmanager
def frozen(server: Server, places: Places) -> Iterator[Transaction]:
    """A read transaction on a copy of the store at `places`, which the block removes."""
    copy = places.frozen(uuid4().hex)
    try:
        pairs = zip(places.keys, copy.keys, strict=True)
        # Not a script: after five seconds the server would refuse the commands of other clients.
        replies = server.change_together(
            *[("COPY", key, its_copy) for key, its_copy in pairs],
            *[("EXPIRE", its_copy, _KEPT_FOR) for its_copy in copy.keys],
        )
        backing = _FrozenBacking(server, copy, made=sum(replies[: len(copy.keys)]))
        yield BufferedTransaction(backing, writable=False)
        backing.keep()
    finally:
        with suppress(StoneError):
            server.change("UNLINK", *copy.keys)


class _FrozenBacking(RedisBacking):
    """What lies below a transaction on such a copy."""

    def __init__(self, server: Server, copy: Places, made: int) -> None:
        super().__init__(server, copy, write=False, release=lambda: None)
        self._copy = copy
        self._made = made
        self._renewed = time.monotonic()

    def pages(self, space: Space, start: bytes, stop: bytes | None, **parts: Any) -> Iterator[Page]:
        for page in super().pages(space, start, stop, **parts):
            if time.monotonic() - self._renewed > _RENEWED_AFTER:
                self.keep()
            yield page
        self.keep()  # what is lost would look like the end of the space

    def keep(self) -> None:
        """Tell the server that the copy is still read. Raises StorageError if it is not whole."""
        if self._server.run_change(KEEP, self._copy.keys, _KEPT_FOR) != self._made:
            raise StorageError(
                "the server has removed a part of the copy that was read: look at its "
                "maxmemory-policy, and try again"
            )
        self._renewed = time.monotonic()
