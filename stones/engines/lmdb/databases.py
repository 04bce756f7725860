"""The spaces of an LMDB file: each is a named database.

A database of stones 0.3 has no spaces. Its values are in the main database, or in a table of their
own, and nothing else is in the file.
"""

from typing import Any

import lmdb

from stones.engine import Space
from stones.errors import MigrationError, StoreOpenError

SPACES = (b"stones:data", b"stones:index", b"stones:meta")
"""The names of the databases of the spaces. The main database of a store holds nothing else."""

Databases = tuple[Any, ...]
"""The database of each space; None in place of a space that the file does not have."""


def is_legacy(env: lmdb.Environment, main: Any) -> bool:
    """Whether an environment holds something, but not the spaces of a store."""
    with env.begin() as txn:
        ours = txn.get(SPACES[Space.META], db=main) is not None
        return not ours and txn.stat(main)["entries"] > 0


def has_spaces(env: lmdb.Environment, main: Any) -> bool:
    """Whether the database of each space is there."""
    with env.begin() as txn:
        return all(txn.get(name, db=main) is not None for name in SPACES)


def open_spaces(env: lmdb.Environment, path: str, *, readonly: bool) -> Databases:
    """The databases of the spaces. Missing ones are made, unless `readonly`.

    Without `readonly` this waits for LMDB's lock of the writers. Raises StoreOpenError.
    """
    if not readonly:
        # py-lmdb keeps a handle from a read transaction only if the environment is read-only.
        with env.begin(write=True) as txn:
            return tuple(env.open_db(name, txn=txn) for name in SPACES)
    try:
        return tuple(env.open_db(name, create=False) for name in SPACES)
    except lmdb.NotFoundError as error:
        raise StoreOpenError(f"there is no store in {path!r}") from error


def open_legacy(env: lmdb.Environment, path: str, main: Any, table: bytes | None) -> Databases:
    """The databases of a file of stones 0.3: its values are in the space DATA.

    `table` names the table with the values; None for the main database. With a table, in an
    environment that is not read-only, this waits for LMDB's lock of the writers.
    Raises StoreOpenError.
    """
    if table is not None:
        return env.open_db(table, create=False), None, None
    # If the spaces are there, another process has migrated the file since this one looked. The next
    # transaction sees that.
    tables = [name for name in env.dbs() if name not in SPACES]
    if tables:
        raise StoreOpenError(
            f"{path!r} is an LMDB database with tables of its own, {tables}: if stones 0.3 wrote "
            "them, name one with table="
        )
    return main, None, None


def check_alone(env: lmdb.Environment, path: str, table: bytes | None) -> None:
    """Raise MigrationError if a file of stones 0.3 has tables beside the one in use."""
    others = [name for name in env.dbs() if name not in (*SPACES, table)]
    if others:
        raise MigrationError(
            f"{path!r} has more tables of stones 0.3, {others}, which could not be reached after "
            "this: copy each table into a store of its own instead"
        )


def move_values(
    env: lmdb.Environment, txn: "lmdb.Transaction[bytes]", main: Any, source: Any, prefix: bytes
) -> Databases:
    """Move each value of a database of stones 0.3 into the space DATA, with `prefix` in front.

    Returns the databases of the spaces, which are made in the same transaction.
    """
    dbs = tuple(env.open_db(name, txn=txn) for name in SPACES)
    with txn.cursor(db=source) as cursor:
        cursor.first()
        # delete() moves on to the next entry; the key is empty after the last one.
        while key := cursor.key():
            if source is main and key in SPACES:
                cursor.next()
                continue
            txn.put(key, prefix + cursor.value(), db=dbs[Space.DATA])
            cursor.delete()
    return dbs
