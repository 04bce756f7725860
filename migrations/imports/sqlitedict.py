"""The tables of sqlitedict: a key and a value in each row, the value pickled unless told otherwise.

`SqliteDict(encode=json.dumps, decode=json.loads)` has text, which is read as JSON. What other
functions have made of a value cannot be known.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stones.errors import MigrationError
from stones.formats.messages import show

from . import sqlite_file
from .json_text import decoder, why
from .pickled import check_trusted, looks_pickled, unpickled
from .sources import CutShortError, Entry, Options, PlainSource, Unreadable, of_tables, table_of

COLUMNS = ("key", "value")


class SqliteDictFile(PlainSource):
    """The rows of the tables with a key and a value."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        with sqlite_file.opened(path) as connection:
            found = tables(connection)
            if not found:
                raise MigrationError(f"{show(str(path))} has no table of sqlitedict")
            self._tables = table_of(found, options.table, "the file of sqlitedict")
            for table in self._tables:
                name = sqlite_file.quoted(table)
                blobs = f"SELECT 1 FROM {name} WHERE typeof(value) = 'blob' LIMIT 1"
                if connection.execute(blobs).fetchone():
                    what = f"the table {table!r} of {show(str(path))} has pickled values"
                    check_trusted(options.trust_pickle, what)
        self._decode = decoder(options.exact_numbers)

    def entries(self) -> Iterator[Entry]:
        with sqlite_file.opened(self.path) as connection:
            connection.text_factory = _text

            def read(table: str) -> Iterator[Entry]:
                rows = f"SELECT key, value FROM {sqlite_file.quoted(table)} ORDER BY rowid"
                for key, value in connection.execute(rows):
                    if key is None:  # SQLite takes it even in a primary key
                        yield "NULL", None, Unreadable("its key is NULL")
                    else:
                        yield key, key, self._value(value)

            try:
                yield from of_tables(self._tables, self.options.table, read)
            except sqlite3.DatabaseError as error:
                raise CutShortError(f"SQLite cannot read on: {error}") from error

    def _value(self, found: Any) -> Any:
        if type(found) is bytes:
            if looks_pickled(found):
                return unpickled(found)
            return Unreadable(
                "it is neither pickled nor JSON: a function of its own has encoded it"
            )
        if type(found) is not str:
            return found
        try:
            return self._decode(found.encode("utf-8", "surrogateescape"))
        except ValueError as error:
            return Unreadable(why(error))


def tables(connection: sqlite3.Connection) -> list[str]:
    """The names of the tables that sqlitedict may have made."""
    found = sqlite_file.tables(connection)
    return [name for name, columns in found.items() if columns == COLUMNS]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
