"""Where imported entries go: the raw keys of a store, or the records of a collection."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from stones.collections.collection import Collection
from stones.collections.imported_records import Entry, Failed, ImportedRecords, Unreadable
from stones.collections.record_batch import OnDuplicate
from stones.engine import Transaction
from stones.errors import MigrationError, ReservedKeyError, StoneError
from stones.formats.messages import show, show_count, show_value
from stones.stores.database import Database
from stones.stores.database_reader import DATA, GET_MANY, DatabaseReader
from stones.stores.dict_keys import encode_bound, encode_new_key

from .json_text import parse_cell
from .sources import Source, key_text


class Target(Protocol):
    """What takes the entries of a source, in one transaction."""

    exact_numbers: bool

    @property
    def database(self) -> DatabaseReader:
        """The database that is written to, if it is a `Database`."""

    @property
    def written(self) -> int:
        """The entries that were written so far."""

    @property
    def skipped(self) -> int:
        """The entries that were left out, since their keys were there."""

    def prepare(self, source: Source) -> None:
        """Get ready for this source. Raises MigrationError if it cannot fit at all."""

    def writing(self) -> AbstractContextManager[None]:
        """The transaction for `write`. An exception in the block undoes it all."""

    def write(self, entries: Iterable[Entry]) -> None:
        """Write all entries. What cannot be written is told to `failed`."""

    def notes(self) -> list[str]:
        """What is not taken over although nothing is wrong."""


class CollectionTarget:
    """The records of a collection."""

    def __init__(
        self,
        collection: Collection[Any, Any],
        failed: Failed,
        key: str | None,
        on_duplicate: OnDuplicate,
    ) -> None:
        self._collection, self._failed = collection, failed
        self._key, self._on_duplicate = key, on_duplicate
        self._records = self._made(None)
        self.database = self._records.database
        self.exact_numbers = self._records.needs_exact_numbers

    def _made(self, source: Source | None) -> ImportedRecords[Any, Any]:
        return ImportedRecords(
            self._collection,
            self._failed,
            parse_cell,
            key_field=self._key,
            removed=None if source is None else source.repeated_key,
            is_text=source is not None and source.is_text,
            on_duplicate=self._on_duplicate,
        )

    def prepare(self, source: Source) -> None:
        unknown = self._records.refused_fields(source.columns or ())
        if unknown:
            raise MigrationError(
                f"{self._collection.name} has no field for the "
                f"{'column' if len(unknown) == 1 else 'columns'} {', '.join(map(show, unknown))}: "
                "rename the column in the header, or give the class the field"
            )
        self._records = self._made(source)

    def writing(self) -> AbstractContextManager[None]:
        return self._records.writing()

    def write(self, entries: Iterable[Entry]) -> None:
        self._records.write(entries)

    @property
    def written(self) -> int:
        return self._records.written

    @property
    def skipped(self) -> int:
        return self._records.skipped

    def notes(self) -> list[str]:
        notes = [
            f"the field {show(name)} of {_entries(count)}: the class does not have it"
            for name, count in self._records.dropped.items()
        ]
        lost = self._records.lost_keys
        if lost:
            notes.append(
                f"the keys of {_entries(lost)}: their records have other keys; key= names a field "
                "for them"
            )
        return notes


class StoreTarget:
    """The raw keys of a store or a namespace, behind a prefix."""

    def __init__(
        self,
        database: Database,
        failed: Failed,
        key: str | None,
        on_duplicate: OnDuplicate,
        prefix: str | bytes,
    ) -> None:
        self._database = database
        self.exact_numbers = False
        self._failed, self._key = failed, key
        self._on_duplicate = on_duplicate
        self._prefix = encode_bound(prefix)
        self._txn: Transaction | None = None
        self._waiting: list[tuple[Any, Any, bytes, bytes]] = []
        self._written = self._skipped = 0

    @property
    def database(self) -> Database:
        return self._database

    @property
    def written(self) -> int:
        return self._written

    @property
    def skipped(self) -> int:
        return self._skipped

    def prepare(self, source: Source) -> None:
        if source.columns is not None and self._key not in source.columns:
            named = "" if self._key is None else f", not {show(self._key)}"
            raise MigrationError(
                f"key= names the column that has the keys{named}: the file has "
                + ", ".join(map(show, source.columns))
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self.database.writing() as txn:
            self._txn = txn
            try:
                yield
            finally:
                self._txn = None

    def write(self, entries: Iterable[Entry]) -> None:
        waiting, failed, prefix = self._waiting, self._failed, self._prefix
        encode, max_size = self.database.codec.encoder(), self.database.max_key_size
        for place, key, value in entries:
            if type(value) is Unreadable:
                failed(place, key, value.reason)
                continue
            try:
                if key is None or self._key is not None:
                    key, value = self._entry(key, value)
                stored = encode_bound(key_text(key))
                stored = encode_new_key(prefix + stored if prefix else stored, max_size)
                waiting.append((place, key, stored, encode(stored, value)))
            except StoneError as error:
                failed(place, key, str(error))
            if len(waiting) >= GET_MANY:
                self._flush()
        self._flush()

    def notes(self) -> list[str]:
        return []

    def _entry(self, key: Any, value: Any) -> tuple[Any, Any]:
        """The key and the value of an entry that has its key inside. Raises MigrationError."""
        if type(value) is not dict:
            raise MigrationError(f"it has no key: expected an object, got {show_value(value)}")
        if self._key is not None:
            if value.get(self._key) is None:
                raise MigrationError(f"it has no {show(self._key)}, which key= names")
            return value[self._key], value
        if value.keys() != {"key", "value"}:
            raise MigrationError(
                "it has no key of its own: key= names the field that has it (on the command line "
                "--key)"
            )
        return value["key"], value["value"]

    def _flush(self) -> None:
        """Put what waits, unless its key is there already or belongs to a collection."""
        waiting, txn = self._waiting[:], self._txn
        self._waiting.clear()
        if not waiting or txn is None:
            return
        keys = [stored for _, _, stored, _ in waiting]
        check: Callable[..., object] | None = None
        try:
            self.database.check_all_unclaimed(txn, keys)
        except ReservedKeyError:
            check = self.database.check_unclaimed
        befores = txn.get_many(DATA, keys)
        written: dict[bytes, bytes] = {}
        for (place, key, stored, raw), before in zip(waiting, befores, strict=True):
            try:
                if check is not None:
                    check(txn, stored)
            except ReservedKeyError as error:
                self._failed(place, key, str(error))
                continue
            if (before is None and stored not in written) or self._on_duplicate == "replace":
                written[stored] = raw
                self._written += 1
            elif self._on_duplicate == "skip":
                self._skipped += 1
            else:
                self._failed(place, key, f"the key {show(stored)} is there already")
        txn.put_many(DATA, written.items())


def _entries(count: int) -> str:
    return show_count(count, "entry", "entries")
