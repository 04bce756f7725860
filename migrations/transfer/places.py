"""The two stores of a copy: opens them, and says which place each of them has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from stones.engine import Engine
from stones.errors import MigrationError, ValueTypeError
from stones.formats.messages import show_value
from stones.stores.database import Database
from stones.stores.existing import lmdb_path, open_database, shown_place
from stones.stores.reader import Reader
from stones.stores.schemes import path_in, scheme_of

Place = Any
"""An open store, a path of an LMDB store, or a URL."""

_ON_THIS_MACHINE = {"dbm", "json", "leveldb", "sqlite"}


@contextmanager
def opened(place: Place, *, readonly: bool, create: bool) -> Iterator[Database]:
    """The database at a place, until the block ends. A store that is open stays open.

    A path or URL is opened without a look at the metadata. So no serializer has to be known, and no
    key, and the store may be an unfinished copy.

    Raises StoreOpenError if it cannot be opened, ValueTypeError for what is no place of a store.
    """
    if isinstance(place, Reader):
        if not place.is_whole:
            raise ValueTypeError(f"copy() takes whole stores, not {show_value(place)}")
        database = place.database
        if not isinstance(database, Database):
            raise ValueTypeError(f"copy() takes stores, not {show_value(place)}")
        if database.in_transaction():
            raise MigrationError("copy() works in transactions of its own: call it outside of any")
        yield database
        return
    path = lmdb_path(place)
    url = place if path is None else f"lmdb:{path}"
    with open_database(url, readonly=readonly, create=create) as database:
        yield database


def is_open(database: Database) -> bool:
    """Whether the metadata of a database was read: it is that of an open store."""
    return hasattr(database, "codec")


def shown(place: Place) -> str:
    """A place for a message, without a password."""
    return shown_place(place)


def identity(database: Database) -> str:
    """The place of a store, the same text for each way to write it. It has no password."""
    place = database.place
    scheme = scheme_of(place)
    if not place:
        token = _tokens.setdefault(database.engine, os.urandom(8).hex())
        return f"{database.name} in memory ({token})"
    path = lmdb_path(place)
    if path is not None:
        return f"lmdb:{os.path.realpath(path)}"
    if scheme in _ON_THIS_MACHINE:
        return f"{scheme}:{os.path.realpath(path_in(place))}"
    return place


_tokens: "WeakKeyDictionary[Engine, str]" = WeakKeyDictionary()
