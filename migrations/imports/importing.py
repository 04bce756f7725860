"""`import_from`: the entries of a file of another program, in one transaction: all of them or none.

Every entry is read, checked and written in the transaction. If one cannot be taken over, the rest
is looked at all the same, and the transaction is given up. So a dry run is the same, and is given
up in any case.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, get_args

from attrs import frozen

from stones.collections.collection import Collection
from stones.collections.imported_records import Entry
from stones.collections.record_batch import OnDuplicate
from stones.errors import CollectionError, MigrationError, ReadOnlyError, StoneError, ValueTypeError
from stones.formats.messages import show, show_count, show_key, show_value
from stones.stores.database import Database
from stones.stores.database_reader import DatabaseReader
from stones.stores.writer import Writer

from .kinds import KINDS, guessed_kind
from .sources import CutShortError, Options, Source
from .targets import CollectionTarget, StoreTarget, Target

_LISTED = 1000
"""So many failures are kept; the others are counted."""
_SHOWN = 5
"""So many failures are in the text of an error."""
_PROGRESS = 1000
"""`progress` is called after so many entries."""


@frozen
class ImportFailure:
    """An entry of a file that cannot be taken over.

    >>> from stones import MemoryStore, import_from
    >>> with open('wrong.jsonl', 'w') as file:
    ...     print('{"key": "a"', file=file)
    >>> report = import_from('wrong.jsonl', MemoryStore(), dry_run=True)
    >>> print(report.failures[0])
    line 1: it is no JSON: ...
    """

    place: str
    """Where it is: "line 7", or its key."""
    key: Any
    """Its key. None if the file has none for it."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


@frozen
class ImportReport:
    """The result of `import_from`.

    >>> from stones import MemoryStore, import_from
    >>> with open('cities.csv', 'w') as file:
    ...     print('name,country', 'Paris,FR', sep='\\n', file=file)
    >>> report = import_from('cities.csv', MemoryStore(), key='name')
    >>> report.kind, report.entries, report.written, report.notes
    ('csv', 1, 1, ())
    """

    kind: str
    """The kind of the file: "shelve", "csv" and so on."""
    entries: int
    """The entries that were read, without those that had expired."""
    written: int
    """The entries that were written; in a dry run, those that would be."""
    skipped: int
    """The entries left out by on_duplicate="skip", since their keys were there."""
    expired: int
    """The entries left out, since their time was over."""
    notes: tuple[str, ...]
    """What was not taken over beside entries, such as times of expiry and indexes."""
    failures: tuple[ImportFailure, ...]
    """In a dry run: what cannot be taken over, 1,000 entries at most."""
    failed: int
    """In a dry run: how many entries cannot be taken over."""
    seconds: float


def import_from(
    path: str | os.PathLike[str],
    target: Writer[Any, Any] | Collection[Any, Any],
    *,
    kind: str | None = None,
    key: str | None = None,
    on_duplicate: OnDuplicate = "error",
    trust_pickle: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
    prefix: str | bytes = "",
    table: str | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    serializer: str | None = None,
) -> ImportReport:
    """Take over the entries of a file or folder that another program has written.

    `target` is a store or a namespace, or a `Collection`, whose class checks each record. All
    entries are written in one transaction, or none of them. The file is only read.

    - `kind` is 'shelve', 'dbm', 'sqlitedict', 'diskcache', 'tinydb', 'json-folder', 'jsonl',
      'plain-jsonl', 'csv', 'nedb' or 'stones03'. None takes the kind that the file shows.
    - `key` names a field. In a store, the value of this field is the key of the entry, for files
      whose entries have no keys. In a collection, this field gets the key of the entry; without a
      name, that is the key field of the class.
    - `on_duplicate` is for a key that is there already: "error", "skip" or "replace".
    - `trust_pickle=True` reads pickled values, which can run code.
    - `dry_run=True` writes nothing, and reports the same. It holds the write lock too.
    - `progress` is called with the number of entries so far, after each thousand.
    - `prefix` comes before each key in a store.
    - `table` is the table of a file that has several; '*' takes all, each key behind the name of
      its table and a slash.
    - `delimiter` and `encoding` are for CSV. Without `delimiter` it is found out.
    - `serializer` is the one of a database of stones 0.3.

    It takes constant memory, except for TinyDB (the file), NeDB (the ids) and `dbm.dumb` (the
    values). Raises MigrationError for entries that cannot be taken over, with places, keys and
    reasons; for a file that is cut short, of another kind, or of a kind that it does not show; and
    inside a transaction. Raises FormatMismatchError for pickled values that are not trusted. Raises
    RecordError if `key` is no field of the class. Nothing is written then.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, import_from, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> with open('users.jsonl', 'w') as file:
    ...     print('{"name": "ada", "age": 36}', '{"name": "bob", "age": 17}', sep='\\n', file=file)
    >>> users = Collection(MemoryStore(), User)
    >>> import_from('users.jsonl', users).written
    2
    >>> users['bob']
    User(name='bob', age=17)
    """
    start = monotonic()
    if on_duplicate not in get_args(OnDuplicate):
        raise CollectionError(
            f'on_duplicate is "error", "skip" or "replace", not {show(on_duplicate)}'
        )
    place = Path(os.fsdecode(path))
    found = _Failures()
    into = _target(target, found, key, on_duplicate, prefix)
    _check_possible(into.database)
    source, kind = _opened(
        place,
        kind,
        options=Options(trust_pickle, table, delimiter, encoding, serializer, into.exact_numbers),
    )
    into.prepare(source)
    found.places = source.places
    reading = _Reading(place, source, progress)
    with suppress(_GivenUpError), into.writing():
        into.write(reading.entries())
        if found.count or dry_run:
            raise _GivenUpError
    if found.count and not dry_run:
        raise MigrationError(found.text(place, reading.read))
    return ImportReport(
        kind,
        reading.read,
        into.written,
        into.skipped,
        source.expired,
        (*source.notes, *into.notes()),
        tuple(found.listed),
        found.count,
        monotonic() - start,
    )


class _GivenUpError(Exception):
    """Ends the transaction, so that nothing is written."""


def _target(
    target: Any,
    failures: "_Failures",
    key: str | None,
    on_duplicate: OnDuplicate,
    prefix: str | bytes,
) -> Target:
    if isinstance(target, Collection):
        if prefix:
            raise ValueTypeError("prefix= is for the keys of a store, not for a collection")
        return CollectionTarget(target, failures.add, key, on_duplicate)
    if not isinstance(target, Writer):
        raise ValueTypeError(
            f"import_from() takes an open store or a collection, not {show_value(target)}"
        )
    return StoreTarget(target.database, failures.add, key, on_duplicate, prefix)


def _check_possible(database: DatabaseReader) -> None:
    if not isinstance(database, Database):
        raise ReadOnlyError("a collection of a snapshot is read-only")
    database.check_writable()
    if database.in_transaction():
        raise MigrationError(
            "import_from() works in a transaction of its own: call it outside of any"
        )


def _opened(path: Path, kind: str | None, options: Options) -> tuple[Source, str]:
    """The source for what is at a path, and its kind."""
    with _source_errors(path):
        kind = guessed_kind(path) if kind is None else kind
        if kind not in KINDS:
            raise MigrationError(f"kind= is one of {', '.join(KINDS)}, not {show(kind)}")
        return KINDS[kind](path, options), kind


@contextmanager
def _source_errors(path: Path) -> Iterator[None]:
    """Turns errors of the system and of SQLite in the block into MigrationError."""
    try:
        yield
    except StoneError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise MigrationError(
            f"{show(str(path))} cannot be read: {error}; nothing was written"
        ) from error


class _Reading:
    """Reads a source, and counts."""

    def __init__(
        self, path: Path, source: Source, progress: Callable[[int], object] | None
    ) -> None:
        self._path, self._source, self._progress = path, source, progress
        self.read = 0

    def entries(self) -> Iterator[Entry]:
        """The entries of the source. Raises MigrationError for a file that is cut short."""
        read = 0
        tell, progress = _PROGRESS, self._progress
        try:
            with _source_errors(self._path):
                for entry in self._source.entries():
                    read += 1
                    yield entry
                    if read == tell:
                        tell += _PROGRESS
                        if progress is not None:
                            progress(read)
        except CutShortError as error:
            raise MigrationError(
                f"{show(str(self._path))}: {error}; "
                f"{show_count(read, 'entry was', 'entries were')} read before it, and nothing was "
                "written"
            ) from error
        finally:
            self.read = read


_LISTING = "which dry_run=True (`stones import --dry-run`) lists"


class _Failures:
    """What cannot be taken over: some of it, and how much it is."""

    def __init__(self) -> None:
        self.places = ""
        self.listed: list[ImportFailure] = []
        self.count = 0

    def add(self, place: Any, key: Any, reason: str) -> None:
        self.count += 1
        if len(self.listed) < _LISTED:
            self.listed.append(ImportFailure(self._shown(place), key, reason))

    def _shown(self, place: Any) -> str:
        if place is None:
            return ""
        if self.places == "line":
            return f"line {place}"
        return f"{self.places} {place}".strip() if self.places else show_key(place)

    def text(self, path: Path, entries: int) -> str:
        """The text of the error for them."""
        shown = "; ".join(map(str, self.listed[:_SHOWN]))
        more = self.count - min(self.count, _SHOWN)
        return (
            f"{show(str(path))}: {self.count:,} of {show_count(entries, 'entry', 'entries')} "
            f"cannot be taken over, and nothing was written: {shown}"
            + (f"; and {more:,} more, {_LISTING}" if more else "")
        )
