"""The file of TinyDB: one JSON object, with an object of documents for each table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stones.errors import MigrationError
from stones.formats.messages import show

from .json_text import decoder, why
from .sources import Entry, Options, PlainSource, Unreadable, of_tables, table_of


class TinyDBFile(PlainSource):
    """The documents of a file of TinyDB. The key of a document is its id, an int.

    TinyDB writes the file anew with each change, and reads all of it. So does this class.
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        try:
            found = decoder(options.exact_numbers)(path.read_bytes() or b"{}")
        except ValueError as error:
            raise MigrationError(
                f"{show(str(path))} is no file of TinyDB, or is cut short: {why(error)}; no entry "
                "was read, and nothing was written"
            ) from error
        if not is_tinydb(found):
            raise MigrationError(
                f"{show(str(path))} is no file of TinyDB: that is a JSON object of tables, each an "
                "object of documents with numbers as their names"
            )
        self._documents: dict[str, dict[str, Any]] = found
        self._tables = table_of([*found], options.table, "the file of TinyDB")

    def entries(self) -> Iterator[Entry]:
        return of_tables(self._tables, self.options.table, self._table)

    def _table(self, table: str) -> Iterator[Entry]:
        for number, document in self._documents[table].items():
            if type(document) is dict:
                yield number, int(number), document
            else:
                yield number, int(number), Unreadable("it is not an object")


def is_tinydb(found: Any) -> bool:
    """Whether a JSON value has the form that TinyDB writes."""
    return type(found) is dict and all(
        type(table) is dict and all(number.isdecimal() for number in table)
        for table in found.values()
    )
