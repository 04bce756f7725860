"""The files of `shelve` and `dbm`, of each kind that Python's `dbm` has.

A shelf is a file of `dbm` whose values are pickled. The file does not say so.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stones.engines.dbm.engine import MARK
from stones.engines.dbm.kinds import KINDS, Kind, kind_at
from stones.errors import MigrationError, StorageError
from stones.formats.messages import show, show_count

from . import sqlite_file
from .pickled import check_trusted, looks_pickled, unpickled
from .sources import CutShortError, Entry, Options, PlainSource
from .stones03 import current_store

_LOOKED_AT = 100


class DbmFile(PlainSource):
    """The entries of files of `dbm`: bytes, with bytes as their keys."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        found = _kind(path)
        if found is None:
            raise MigrationError(f"there are no files of dbm or shelve at {show(str(path))}")
        self._kind: Kind = found

    def entries(self) -> Iterator[Entry]:
        try:
            for key, value in _read(self._kind, self.path):
                if key == MARK:
                    raise current_store(self.path)
                yield key, self._key(key), self._value(value)
        except (StorageError, OSError, KeyError) as error:
            raise CutShortError(f"{self._kind.name} cannot read on: {error}") from error
        if self._kind is KINDS["dbm.dumb"]:
            self._note_what_is_not_named()

    def _note_what_is_not_named(self) -> None:
        """Note a rest of the values of `dbm.dumb`, whose keys are written when a file is closed."""
        with open(f"{self.path}.dir", encoding="latin-1") as file:
            places = [ast.literal_eval(line.strip())[1] for line in file]
        end = max((start + size for start, size in places), default=0)
        rest = Path(f"{self.path}.dat").stat().st_size - end
        if rest > 0:
            self.notes.append(
                f"the last {show_count(rest, 'byte')} of {show(f'{self.path}.dat')}, which no key "
                "names: not taken over; a program that was killed wrote them, or they were deleted"
            )

    def _key(self, key: bytes) -> Any:
        return key

    def _value(self, raw: bytes) -> Any:
        return raw


class Shelf(DbmFile):
    """The values of a shelf, with text as their keys."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        check_trusted(
            options.trust_pickle, f"the values of the shelf {show(str(path))} are pickled"
        )

    def _key(self, key: bytes) -> Any:
        return key.decode("utf-8", "surrogateescape")

    def _value(self, raw: bytes) -> Any:
        return unpickled(raw)


def kind_of(path: Path) -> str | None:
    """ "shelve" or "dbm", if there are such files. Raises MigrationError if it is not certain."""
    try:
        found = _kind(path)
    except MigrationError:
        return None
    if found is None:
        return None
    pickles = others = 0
    try:
        for number, (_, value) in enumerate(_read(found, path)):
            if number == _LOOKED_AT:
                break
            if looks_pickled(value):
                pickles += 1
            else:
                others += 1
    except (StorageError, OSError):
        others = others or not pickles
    if pickles and others:
        raise MigrationError(
            f"{show(str(path))} may be a file of shelve or of dbm: {show_count(pickles, 'value')} "
            f"of the first {pickles + others} may be pickled; name the kind, kind='shelve' or "
            "kind='dbm'"
        )
    return "shelve" if pickles else "dbm"


def _kind(path: Path) -> Kind | None:
    try:
        return kind_at(str(path))
    except StorageError as error:
        raise MigrationError(str(error)) from error


def _read(kind: Kind, path: Path) -> Iterator[tuple[bytes, bytes]]:
    if kind is not KINDS["dbm.sqlite3"]:
        yield from kind.read(str(path))
        return
    with sqlite_file.opened(path) as connection:
        found = sqlite_file.tables(connection)
        if "Dict" not in found:
            raise MigrationError(
                f"{show(str(path))} is a file of SQLite without a table of sqlitedict, shelve or "
                f"dbm: it has {', '.join(map(show, found)) or 'no table'}"
            )
        for key, value in connection.execute("SELECT key, value FROM Dict"):
            yield _bytes(key), _bytes(value)


def _bytes(found: Any) -> bytes:
    return found if type(found) is bytes else str(found).encode()
