"""What all kinds of files share: a source gives entries, and tells what it cannot give.

Each kind of file is a class of its own, beside this module. It takes the path and the options, and
is a `Source`. A source only reads. It opens files when `entries` begins, and lets go of them when
the iterator ends, however it ends.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from attrs import frozen

from stones.collections.imported_records import Entry, Unreadable
from stones.errors import MigrationError
from stones.formats.messages import show

__all__ = ["CutShortError", "Entry", "Options", "Source", "Unreadable", "table_of"]


@frozen
class Options:
    """The options of `import_from` that are for the file."""

    trust_pickle: bool = False
    table: str | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    serializer: str | None = None
    exact_numbers: bool = False
    """Whether numbers of JSON are to be `JsonFloat`, which keeps their text."""


class Source(Protocol):
    """The entries of a file or folder. Made of a path and `Options`."""

    places: ClassVar[str]
    """What the places of the entries are: "line", "file", or "" if the key is enough."""
    repeated_key: ClassVar[str | None]
    """The name under which the values repeat the key of their entry, if they do."""
    is_text: ClassVar[bool]
    """Whether all values in the dicts are text, as the cells of CSV are."""
    columns: Sequence[str] | None
    """The names of the fields of all entries, if the file says so before the first entry."""
    notes: list[str]
    """What is not taken over although nothing is wrong. Whole when `entries` has ended."""
    expired: int
    """The entries that are left out, since their time is over."""

    def __init__(self, path: Path, options: Options) -> None:
        """Look at the file. Raises MigrationError, and FormatMismatchError for pickled values."""

    def entries(self) -> Iterator[Entry]:
        """The entries. Raises CutShortError, and OSError."""


class CutShortError(Exception):
    """The file is damaged or cut short here, so that no later entry can be read."""


class PlainSource:
    """The attributes of a source as most kinds have them."""

    places: ClassVar[str] = ""
    repeated_key: ClassVar[str | None] = None
    is_text: ClassVar[bool] = False
    columns: Sequence[str] | None = None

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options
        self.notes: list[str] = []
        self.expired = 0


def table_of(tables: Sequence[str], named: str | None, what: str) -> Sequence[str]:
    """The tables to read: the named one, all for "*", and the only one if no table is named.

    Raises MigrationError if there is no such table, or if there are several.
    """
    if named == "*":
        return tables
    listed = ", ".join(map(show, tables)) or "no table"
    if named is not None:
        if named not in tables:
            raise MigrationError(f"{what} has no table {show(named)}: it has {listed}")
        return [named]
    if len(tables) > 1:
        raise MigrationError(
            f"{what} has several tables, {listed}: name one with table=, or take all of them with "
            "table='*', each under its name and a slash"
        )
    return tables


def of_tables(
    tables: Sequence[str], named: str | None, read: Callable[[str], Iterator[Entry]]
) -> Iterator[Entry]:
    """The entries of several tables. With table='*' each key begins with the name of its table."""
    for table in tables:
        for place, key, value in read(table):
            if named == "*":
                if type(key) not in (str, int):
                    reason = "a key that is not text cannot follow the name of its table"
                    yield place, key, Unreadable(reason)
                    continue
                key = f"{table}/{key}"
            yield place, key, value


def key_text(key: Any) -> Any:
    """A key for the raw keys of a store: an int becomes its decimal text."""
    return str(key) if type(key) is int else key
