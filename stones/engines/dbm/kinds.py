"""The kinds of files that Python's `dbm` has: reading all of a file, and writing a new one.

gnu and ndbm need their libraries. The files of `dbm.dumb` and `dbm.sqlite3` are simple, so they are
read and written here: `dbm.dumb` would open a file for each value, and `dbm.sqlite3` is only in
Python 3.13 and later.
"""

import ast
import dbm
import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from importlib import import_module
from stat import S_ISDIR, S_ISREG
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from attrs import frozen

from stones.engines.whole_file.replaced import NO_ROOM
from stones.errors import StorageError

Entries = Iterable[tuple[bytes, bytes]]


@frozen
class Kind:
    """A kind of files of `dbm`: what they end with, and how they are read and written."""

    name: str
    """The name of the module: "dbm.gnu"."""
    suffixes: tuple[str, ...]
    """What the names of its files may end with. Not each of them needs to be there."""
    read: Callable[[str], Iterator[tuple[bytes, bytes]]]
    write: Callable[[str, Entries], None]
    guard: Callable[[str], Callable[[], None]] | None = None
    """Raises StorageError if another program has a file open. Returns what ends the guard."""


def kind_at(path: str) -> Kind | None:
    """The kind of the files at `path`, as `dbm.whichdb` tells it. None if there are no files.

    Raises StorageError if they are of no known kind, OSError if they cannot be read.
    """
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if not S_ISREG(mode) and not S_ISDIR(mode):  # to open a pipe would wait for ever
            raise _no_kind(path)
    if _is_sqlite(path):
        return KINDS["dbm.sqlite3"]
    name = dbm.whichdb(path)
    if name:
        if name in KINDS:
            return KINDS[name]
        raise _no_kind(path)
    for suffix in _SUFFIXES:
        if os.path.exists(path + suffix):
            with open(path + suffix, "rb"):  # raises the error that says why
                if suffix in (".db", ".pag"):
                    _module("dbm.ndbm")
                raise _no_kind(path + suffix)
    return None


def default_kind() -> Kind:
    """The kind of a new file: gnu if this Python has it, and otherwise sqlite3."""
    with suppress(ImportError):
        import_module("dbm.gnu")
        return KINDS["dbm.gnu"]
    return KINDS["dbm.sqlite3"]


def _no_kind(path: str) -> StorageError:
    return StorageError(f"{path!r} is no file of dbm or shelve, or of a kind that is not known")


# -- gnu and ndbm


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise StorageError(
            f"it is a file of {name}, which this Python lacks ({error}): install it (on Debian and "
            "Ubuntu python3-gdbm has both gnu and ndbm), or copy the entries with a Python that "
            "has it"
        ) from error


def _patiently(module: Any, path: str, flag: str) -> Any:
    """Open a file that another process may be reading or writing at this moment."""
    until = monotonic() + _PATIENCE
    while True:
        try:
            return module.open(path, flag)
        except OSError as error:
            if error.errno not in _LOCKED or monotonic() > until:
                raise
        sleep(0.005)


def _reader(name: str) -> Callable[[str], Iterator[tuple[bytes, bytes]]]:
    def read(path: str) -> Iterator[tuple[bytes, bytes]]:
        with _patiently(_module(name), path, "r") as found:
            for key in found.keys():  # noqa: SIM118  # these are no dicts
                yield key, found[key]

    return read


def _writer(name: str) -> Callable[[str, Entries], None]:
    def write(path: str, entries: Entries) -> None:
        module = _module(name)
        with module.open(path, "n") as made:
            for key, value in entries:
                try:
                    made[key] = value
                except module.error as error:
                    if error.errno in NO_ROOM:
                        raise
                    raise StorageError(
                        f"{name} cannot hold the value of {key[:60]!r} with its {len(value):,} "
                        f"bytes: {error}; nothing was changed"
                    ) from error

    return write


def _guard_gnu(path: str) -> Callable[[], None]:
    try:
        opened = _patiently(_module("dbm.gnu"), path, "w")
    except OSError as error:
        raise _in_use(path) from error
    close: Callable[[], None] = opened.close
    return close


def _in_use(path: str) -> StorageError:
    return StorageError(
        f"nothing was written: another program has {path!r} open, and would not see the new file; "
        "end it first"
    )


# -- dumb: the values are in one file, and the keys with the places of their values in another


def _read_dumb(path: str) -> Iterator[tuple[bytes, bytes]]:
    with open(path + ".dat", "rb") as file:
        values = file.read()
    with open(path + ".dir", encoding="latin-1") as file:
        for line in file:
            try:
                key, (start, size) = ast.literal_eval(line.strip())
                value = values[start : start + size]
                if len(value) < size or start < 0:
                    raise ValueError("the value is not in the file with the values")
                yield key.encode("latin-1"), value
            except (ValueError, TypeError, SyntaxError, AttributeError, MemoryError) as error:
                raise StorageError(
                    f"{path + '.dir'!r} is damaged at {line[:60]!r}: {str(error)[:100]}"
                ) from error


def _write_dumb(path: str, entries: Entries) -> None:
    at = 0
    with (
        open(path + ".dat", "wb") as values,
        open(path + ".dir", "w", encoding="latin-1", newline="\n") as keys,
    ):
        for key, value in entries:
            values.write(b"\0" * (-at % _BLOCK))
            at += -at % _BLOCK
            values.write(value)
            keys.write(f"{key.decode('latin-1')!r}, {(at, len(value))!r}\n")
            at += len(value)


# -- sqlite3: a table Dict


def _is_sqlite(path: str) -> bool:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"
    return False


def _sqlite(path: str, mode: str) -> sqlite3.Connection:
    name = "file:" + quote(os.fsencode(os.path.abspath(path))) + "?mode=" + mode
    return sqlite3.connect(name, uri=True, timeout=_PATIENCE, isolation_level=None)


def _read_sqlite(path: str) -> Iterator[tuple[bytes, bytes]]:
    try:
        with closing(_sqlite(path, "ro")) as found:
            for key, value in found.execute("SELECT key, value FROM Dict"):
                yield _bytes(key), _bytes(value)
    except sqlite3.Error as error:
        raise StorageError(f"{path!r} is no file of dbm.sqlite3: {error}") from error


def _bytes(found: Any) -> bytes:
    return found if type(found) is bytes else str(found).encode()


def _write_sqlite(path: str, entries: Entries) -> None:
    try:
        with closing(_sqlite(path, "rwc")) as made:
            made.execute("PRAGMA synchronous = OFF")  # the file is synced when it is whole
            made.execute("BEGIN")
            made.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
            made.executemany("INSERT INTO Dict VALUES (?, ?)", entries)
            made.execute("COMMIT")
    except (sqlite3.Error, OverflowError) as error:
        if "full" in str(error) or "I/O" in str(error):
            raise OSError(
                errno.ENOSPC, f"the disk is full, or may not be written: {error}"
            ) from error
        raise StorageError(f"SQLite cannot hold the entries: {error}") from error


def _guard_sqlite(path: str) -> Callable[[], None]:
    found = _sqlite(path, "rw")
    try:
        # What others have written to the log has to be in the file. The log must be gone: SQLite
        # would take it for the log of the new file.
        (mode,) = found.execute("PRAGMA journal_mode = DELETE").fetchone()
        found.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        found.close()
        raise _in_use(path) from error
    if mode != "delete":
        found.close()
        raise _in_use(path)
    return found.close


_BLOCK = 512
_PATIENCE = 1.0
"""Seconds to wait for another process that reads or writes the file."""
_LOCKED = {11, 35}
"""The error of the system for a file that is locked, on Linux and on macOS."""
_SUFFIXES = ("", ".db", ".pag", ".dat", ".dir")

KINDS = {
    kind.name: kind
    for kind in (
        Kind("dbm.gnu", ("",), _reader("dbm.gnu"), _writer("dbm.gnu"), _guard_gnu),
        Kind("dbm.ndbm", (".db", ".pag", ".dir"), _reader("dbm.ndbm"), _writer("dbm.ndbm")),
        Kind("dbm.sqlite3", ("",), _read_sqlite, _write_sqlite, _guard_sqlite),
        Kind("dbm.dumb", (".dat", ".dir"), _read_dumb, _write_dumb),
    )
}
