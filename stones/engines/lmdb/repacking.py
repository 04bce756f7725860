"""Writes the entries of one snapshot into a fresh LMDB file, in key order.

A file keeps its pages when entries are deleted, and a page that was split stays half empty. LMDB's
own compact copy leaves out the free pages, and copies the other pages as they are. Here each entry
is written again, at the end of the last page, so that every page is full.
"""

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import lmdb

from .databases import SPACES
from .open_file import OpenFile
from .utf8_path import utf8_path

Tables = Mapping[bytes | None, Any]
"""The databases of a file with entries of their own, by name. None is the main database."""

_BATCH = 1 << 25
"""Bytes. LMDB keeps the changed pages of a transaction in memory, so it gets about so many."""
_ENTRY_SIZE = 16
"""Bytes that an entry takes beside its value, at least."""


def tables_of_store(file: OpenFile, txn: "lmdb.Transaction[bytes]") -> Tables | None:
    """The databases of an open file, or None if it has other ones than stones has opened."""
    databases = file.databases
    if databases is None:
        return None
    named: dict[bytes | None, Any] = {file.table: databases[0]}
    if not file.legacy:
        named = dict(zip(SPACES, databases, strict=True))
    if None not in named and txn.stat(file.main)["entries"] != len(named):
        return None
    return named if are_plain(named, txn) else None


def tables_of_file(environment: lmdb.Environment, txn: "lmdb.Transaction[bytes]") -> Tables:
    """All databases of an environment. Raises lmdb.Error if they are more than `max_dbs`."""
    main = environment.open_db(None)
    named: dict[bytes | None, Any] = {
        name: environment.open_db(name, txn=txn, create=False) for name in environment.dbs()
    }
    if txn.stat(main)["entries"] > len(named) or not named:
        named = {None: main, **named}
    return named


def are_plain(tables: Tables, txn: "lmdb.Transaction[bytes]") -> bool:
    """Whether all databases keep one value a key, in the order of bytes. Those of a store do."""
    return not any(any(table.flags(txn).values()) for table in tables.values())


def repack(
    environment: lmdb.Environment, txn: "lmdb.Transaction[bytes]", tables: Tables, place: str
) -> None:
    """Write the data file of a copy into the directory `place`, with the entries that `txn` sees.

    Takes constant memory, plus twice the size of the largest value. Does not wait for the disk.
    Raises lmdb.Error; then the file may be there in part.
    """
    info = environment.info()
    used = (info["last_pgno"] + 1) * int(environment.stat()["psize"])
    copy = _fresh(place, info["map_size"], used + used // 8 + (1 << 22), len(tables))
    try:
        # The main database is first: later it has the names of the others, which may be higher.
        for name, table in sorted(tables.items(), key=lambda item: item[0] or b""):
            target = copy.open_db(name)
            entries = _entries(txn, name, table, tables)
            written = 0
            while True:
                with copy.begin(write=True) as batch:
                    taken, added = batch.cursor(target).putmulti(_some(entries), append=True)
                written += added
                if taken == 0:
                    break
            if written != _count(txn, name, table, tables):
                raise lmdb.CorruptedError(f"the keys of the database {name!r} are not in order")
    finally:
        copy.close()


def is_same(txn: "lmdb.Transaction[bytes]", tables: Tables, place: str) -> bool:
    """Whether the file in `place` has the entries of the snapshot: each key and each value."""
    copy = lmdb.open(place, readonly=True, lock=False, max_dbs=len(tables))
    try:
        with copy.begin() as copied:
            theirs = tables_of_file(copy, copied)
            return theirs.keys() == tables.keys() and all(
                _count(txn, name, table, tables) == _count(copied, name, theirs[name], tables)
                and all(
                    map(
                        operator.eq,
                        _entries(txn, name, table, tables),
                        _entries(copied, name, theirs[name], tables),
                    )
                )
                for name, table in tables.items()
            )
    finally:
        copy.close()


def repack_file(place: str, translate: Callable[[lmdb.Error], Exception]) -> None:
    """Repack the data file in the directory `place`, which no other program knows of.

    Raises what `translate` makes of an error of LMDB.
    """
    with utf8_path(place) as reached:
        loose, plain = (os.path.join(reached, name) for name in ("data.mdb", LOOSE))
        os.rename(loose, plain)
        try:
            environment = lmdb.open(
                plain, subdir=False, readonly=True, lock=False, max_dbs=MAX_TABLES
            )
            with closing(environment), environment.begin() as txn:
                repack_any(environment, txn, reached)
        except lmdb.Error as error:
            raise translate(error) from error
        os.unlink(plain)


def repack_any(environment: lmdb.Environment, txn: "lmdb.Transaction[bytes]", place: str) -> Tables:
    """Write a compact copy of any LMDB file into the directory `place`. Returns its databases.

    If other programs keep databases of another kind in the file, LMDB copies it. Raises lmdb.Error.
    """
    tables = tables_of_file(environment, txn)
    if are_plain(tables, txn):
        repack(environment, txn, tables, place)
    else:
        environment.copy(place, compact=True, txn=txn)
    return tables


MAX_TABLES = 1000
"""The named databases that a file may have. A store has 3."""
LOOSE = "loose.mdb"
"""The name of a file that `repack_file` has not repacked yet."""


def _fresh(place: str, size: int, least: int, databases: int) -> lmdb.Environment:
    """A new environment in `place` with a map of `size` bytes, or what is granted of it."""
    while True:
        try:
            return lmdb.open(
                os.path.join(place, "data.mdb"),
                subdir=False,  # with a directory, lmdb.open() would make it where it is missing
                map_size=size,
                max_dbs=databases,
                lock=False,
                sync=False,
                mode=0o666,
            )
        except (lmdb.MemoryError, MemoryError):
            if size <= least:
                raise
            size = max(size // 2, least)


def _entries(
    txn: "lmdb.Transaction[bytes]", name: bytes | None, table: Any, tables: Tables
) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the database `name`, without the names of other databases in the main one."""
    cursor = txn.cursor(table)
    entries: Iterator[tuple[bytes, bytes]] = cursor.iternext() if cursor.first() else iter(())
    if name is not None or len(tables) == 1:
        return entries
    return (entry for entry in entries if entry[0] not in tables)


def _count(txn: "lmdb.Transaction[bytes]", name: bytes | None, table: Any, tables: Tables) -> int:
    """How many entries `_entries` gives."""
    return int(txn.stat(table)["entries"]) - (len(tables) - 1 if name is None else 0)


def _some(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The next entries, about `_BATCH` bytes of them."""
    room = _BATCH
    for entry in entries:
        room -= len(entry[1]) + _ENTRY_SIZE
        yield entry
        if room < 0:
            return
