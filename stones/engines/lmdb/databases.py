"""The spaces of an LMDB file: a named database each, which a database of stones 0.3 does not have.

0.3 had its values in the main database, or in a table of their own, and nothing else in the file.
"""

from typing import Any

import lmdb

from stones.engine import Space
from stones.errors import MigrationError, StoreOpenError

SPACES = (b"stones:data", b"stones:index", b"stones:meta")
"""The named database of each space. The main database holds nothing else (but in stones 0.3)."""

Databases = tuple[Any, ...]
"""The database of each space; None where it has none."""


def is_legacy(env: lmdb.Environment, main: Any) -> bool:
    """Whether an environment holds something, and none of our spaces."""
    with env.begin() as txn:
        ours = txn.get(SPACES[Space.META], db=main) is not None
        return not ours and txn.stat(main)["entries"] > 0


def open_spaces(env: lmdb.Environment, path: str, *, readonly: bool) -> Databases:
    """The databases of the spaces, made where they are not there yet. Raises StoreOpenError."""
    if not readonly:
        # py-lmdb keeps a handle from a read transaction only where all is read-only. So opening
        # waits for a writer, here as in another process.
        with env.begin(write=True) as txn:
            return tuple(env.open_db(name, txn=txn) for name in SPACES)
    try:
        return tuple(env.open_db(name, create=False) for name in SPACES)
    except lmdb.NotFoundError as error:
        raise StoreOpenError(f"there is no store in {path!r}") from error


def open_legacy(env: lmdb.Environment, path: str, main: Any, table: bytes | None) -> Databases:
    """The databases of stones 0.3: its values are the data. Raises StoreOpenError."""
    if table is not None:
        return env.open_db(table, create=False), None, None
    tables = env.dbs()
    if tables:
        raise StoreOpenError(
            f"{path!r} is an LMDB database with tables of its own, {tables}: if stones 0.3 wrote "
            "them, name one with table="
        )
    return main, None, None


def check_alone(env: lmdb.Environment, path: str, table: bytes | None) -> None:
    """Raise MigrationError where a database of stones 0.3 has tables beside the one in use."""
    others = [name for name in env.dbs() if name not in (*SPACES, table)]
    if others:
        raise MigrationError(
            f"{path!r} has other tables of stones 0.3 too, {others}, which could not be reached "
            "any more: copy each table into a store of its own instead"
        )


def move_values(
    env: lmdb.Environment, txn: "lmdb.Transaction[bytes]", main: Any, source: Any, prefix: bytes
) -> Databases:
    """Move each value of a database of stones 0.3 into the space of data, with `prefix` in front.

    The databases of all spaces, which are made in this transaction.
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
