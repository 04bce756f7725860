"""ImportedRecords: entries of a file on their way into a collection.

`stones.migrations.imports` reads the files. An entry becomes a record of the class here, with the
checks of `Collection.add`. An entry that does not fit is told, and the next ones are looked at all
the same. So the caller knows all that does not fit before it gives up its transaction.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from stones.collections.records.plain_forms import (
    fields_of,
    from_json,
    has_decimals,
    needs_form,
)
from stones.collections.records.plain_values import ATOMS
from stones.collections.records.quick_check import quick_check
from stones.collections.records.text_forms import from_text
from stones.errors import DuplicateKeyError, RecordError, StoneError
from stones.formats.messages import show, show_key, show_value
from stones.stores.database_reader import DATA, GET_MANY, DatabaseReader

from .collection import Collection
from .generated_keys import new_key
from .record_batch import OnDuplicate
from .record_changes import RecordChanges

K = TypeVar("K")
R = TypeVar("R")

RECORD_KEY = "_key"
"""What exported lines call the key of a record whose class has no key fields."""


class Unreadable(NamedTuple):
    """In the place of a value: the file has an entry here that cannot be read."""

    reason: str


Entry = tuple[Any, Any, Any]
"""The place in the file, the key or None, and the value or `Unreadable`."""
Failed = Callable[[Any, Any, str], object]
"""Is told of an entry that cannot be taken over: its place, its key, and the reason."""


class ImportedRecords(Generic[K, R]):
    """Entries that become records of a collection, in one transaction.

    `key_field` is the field that gets the key of each entry. None takes the key field of the class.
    `removed` is a name in the values that repeats the key, and is left out if no field has it.
    `is_text` says that values are the text of cells, and `parse_json` reads JSON in such a cell.

    Raises RecordError for a `key_field` that the class does not have.
    """

    def __init__(
        self,
        collection: Collection[K, R],
        failed: Failed,
        parse_json: Callable[[str], Any],
        *,
        key_field: str | None = None,
        removed: str | None = None,
        is_text: bool = False,
        on_duplicate: OnDuplicate = "error",
    ) -> None:
        self._records = collection._records
        self._checks = collection._checks
        self._failed = failed
        self._on_duplicate = on_duplicate
        self._drops_unknown = self._records.type.rules.unknown == "drop"
        self._type = self._records.type.for_new_dicts("drop" if self._drops_unknown else "error")
        conversion = self._type.conversion
        fields = fields_of(conversion)
        self._names = frozenset(fields)
        self._is_keyed = key_field is not None
        if key_field is not None:
            self._type.check_fields([key_field])
        elif len(self._type.key_fields) == 1:
            (key_field,) = self._type.key_fields
        self._key_field = key_field
        self._removed = None if removed in fields else removed
        self._key_of: Callable[[Any], Any] = lambda _: new_key()
        if self._type.key_fields:
            self._key_of = itemgetter(*self._type.key_fields)
        self._has_own_keys = bool(self._type.key_fields)
        self._takes_keys = not self._has_own_keys and RECORD_KEY not in fields
        self._key_form = None
        if key_field is not None and fields[key_field] is not ATOMS[bytes]:
            self._key_form = from_text(fields[key_field], parse_json)
        self._form = from_json(conversion)
        quick = None if is_text or self._removed else quick_check(self._type.schema)
        self._check = _no_check if quick is None else quick
        form = self._form
        if quick is not None and form is not None and needs_form(conversion):
            self._check = lambda value: quick(form(value))
        self._cells = None
        if is_text:
            self._cells = {name: from_text(field, parse_json) for name, field in fields.items()}
        self._waiting: list[tuple[Any, K, bytes, Any]] = []
        self._changes: RecordChanges | None = None
        self.written = 0
        self.skipped = 0
        self.lost_keys = 0
        """The entries whose record has another key than the entry."""
        self.dropped: dict[str, int] = {}
        """The fields that the class does not have, with the number of their entries."""

    @property
    def database(self) -> DatabaseReader:
        """The database of the collection."""
        return self._records.database

    @property
    def needs_exact_numbers(self) -> bool:
        """Whether the text of a number in JSON matters: see `JsonFloat`."""
        return has_decimals(self._type.conversion)

    def refused_fields(self, names: Iterable[str]) -> list[str]:
        """The names that no field has, unless the collection drops them."""
        known = {*self._names, RECORD_KEY} if self._takes_keys else self._names
        return [name for name in names if name not in known and not self._drops_unknown]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The transaction for `write`. An exception in the block undoes it all."""
        with self._records.writing_many() as changes:
            self._changes = changes
            try:
                yield
            finally:
                self._changes = None

    def write(self, entries: Iterable[Entry]) -> None:
        """Write the records of all entries."""
        waiting, failed = self._waiting, self._failed
        stored_of, stored_key = self._stored_of, self._records.stored_key
        check, key_of = self._check, self._key_of
        for place, key, value in entries:
            try:
                # The usual entry in line. It takes half the time of making an instance of it.
                if key is None and (stored := check(value)) is not None:
                    own = key_of(stored)
                elif type(value) is Unreadable:
                    failed(place, key, value.reason)
                    continue
                else:
                    own, stored = stored_of(key, value)
                waiting.append((place, own, stored_key(own), stored))
            except StoneError as error:
                failed(place, key, str(error))
            if len(waiting) >= GET_MANY:
                self._flush()
        self._flush()
        self._flush_entries()

    def _stored_of(self, key: Any, value: Any) -> tuple[Any, dict[str, Any]]:
        """The key and the stored dict of an entry. Raises RecordError."""
        if type(value) is not dict:
            if not isinstance(value, dict):
                own, record = self._record_itself(key, value)
                return own, self._type.dump(record)
            value = dict(value)  # an OrderedDict, for example
        if self._removed is not None:
            value.pop(self._removed, None)
        given = None
        if key is not None:
            given = self._place_key(key, value)
        elif self._takes_keys:
            given = value.pop(RECORD_KEY, None)
            if self._cells is not None:
                given = _key_in_cell(given)
        if self._cells is not None:
            cells = self._cells
            value = {
                name: cells[name](item) if name in cells else item for name, item in value.items()
            }
        elif self._form is not None:
            value = self._form(value)
        if given is None and (checked := self._check(value)) is not None:
            return self._key_of(checked), checked
        unknown = value.keys() - self._names
        if unknown:
            self._note_unknown(unknown)
        record = self._type.load(value)
        own = self._type.key_of(record)
        if own is None:
            own = self._checks.key_for(record) if given is None else given
        return own, self._type.dump(record)

    def _note_unknown(self, names: Iterable[str]) -> None:
        """Count fields that the class does not have. Raises RecordError unless they are dropped."""
        for name in names:
            if not self._drops_unknown:
                raise RecordError(
                    f"{self._type.name} has no field {show(name)}: it has "
                    f"{', '.join(self._type.fields)}; a collection opened with unknown='drop' "
                    "leaves it out"
                )
            self.dropped[name] = self.dropped.get(name, 0) + 1

    def _record_itself(self, key: Any, value: Any) -> tuple[Any, R]:
        """The key and the record of an entry whose value is an object."""
        if not isinstance(value, self._type.cls):
            raise RecordError(
                f"expected a dict of the fields of {self._type.name}, or a {self._type.name}, got "
                f"{show_value(value)}"
            )
        own: Any = self._checks.key_for(value)
        if not self._has_own_keys:
            given = self._generated(key)
            own = own if given is None else given
        elif key is not None and not self._is_same(own, key):
            self.lost_keys += 1
        return own, value

    def _place_key(self, key: Any, value: dict[str, Any]) -> Any:
        """Put the key of an entry into its dict. The key of a class without key fields, or None."""
        name = self._key_field
        if name is None:
            if self._has_own_keys:  # several fields, which the record has itself
                self.lost_keys += 1
                return None
            return self._generated(key)
        if name not in value:
            value[name] = self._formed(key)
        elif not self._is_same(value[name], key):
            if self._is_keyed:
                raise RecordError(
                    f"{name}: the record has {show_value(value[name])}, and its key in the file is "
                    f"{show_value(key)}"
                )
            self.lost_keys += 1
        return None

    def _generated(self, key: Any) -> Any:
        """The key for a record without key fields. None makes a new one."""
        if type(key) is UUID:
            return key
        try:
            return UUID(key)
        except (ValueError, TypeError, AttributeError):
            self.lost_keys += key is not None
            return new_key()

    def _formed(self, key: Any) -> Any:
        return key if self._key_form is None else self._key_form(key)

    def _is_same(self, own: Any, key: Any) -> bool:
        return bool(own == key or own == self._formed(key) or str(own) == key)

    def _flush(self) -> None:
        """Write what waits."""
        waiting = self._waiting[:]
        self._waiting.clear()
        changes = self._changes
        if not waiting or changes is None:
            return
        records, failed = self._records, self._failed
        if not changes.is_claimed:
            records.describe(changes)
        befores = changes.txn.get_many(DATA, [stored for _, _, stored, _ in waiting])
        written: dict[bytes, bytes] = {}
        put, replaces = records.put, self._on_duplicate == "replace"
        for (place, key, stored, value), before in zip(waiting, befores, strict=True):
            present = written.get(stored, before)
            if present is not None and not replaces:
                if self._on_duplicate == "skip":
                    self.skipped += 1
                else:
                    failed(place, key, f"{records.name}[{show_key(key)}] is there already")
                continue
            try:
                written[stored] = put(changes, key, stored, present, value)
                self.written += 1
            except RecordError as error:
                failed(place, key, str(error))
            except DuplicateKeyError as error:  # of this record, or of one a little before it
                self._tell_not_unique(error, [(place, key, stored, value), *waiting])
        if changes.batch is not None:
            try:
                changes.batch.check()
            except DuplicateKeyError as error:
                self._tell_not_unique(error, waiting)

    def _tell_not_unique(self, error: DuplicateKeyError, waiting: Iterable[Any]) -> None:
        """Tell of a value in a unique index that another record has. The error names the key."""
        text, name = str(error), self._records.name
        for place, key, *_ in waiting:
            if text.startswith(f"{name}[{show_key(key)}] has the same "):
                self._failed(place, key, text)
                return
        self._failed(None, None, text)

    def _flush_entries(self) -> None:
        """Write the entries of indexes that are held back, and see whether they are unique."""
        if self._changes is None or self._changes.batch is None:
            return
        try:
            self._changes.batch.flush()
        except DuplicateKeyError as error:
            self._failed(None, None, str(error))


def _key_in_cell(cell: Any) -> UUID | None:
    """The generated key in a cell of CSV. None makes a new one. Raises RecordError."""
    if not cell:
        return None
    try:
        return UUID(cell)
    except ValueError as error:
        raise RecordError(f"{RECORD_KEY}: expected the text of a UUID, got {show(cell)}") from error


def _no_check(value: object) -> None:
    """For a class whose instances have to be made."""
