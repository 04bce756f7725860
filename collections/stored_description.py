"""The description of one collection in the metadata: looked at, checked, and written when due.

Opening a collection only reads. The description is written with the first record, in its
transaction. From then on it is written again only if a class adds something to it.
"""

import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from attrs import evolve, field, frozen

from stones.collections.records.parts import Part
from stones.collections.records.reading_rules import KeptDefaults, no_defaults
from stones.collections.records.record_type import RecordType
from stones.engine import Space, Transaction
from stones.errors import CollectionError, CorruptValueError, FormatMismatchError, RecordError
from stones.formats.generation import next_generation
from stones.formats.layout import write_layout
from stones.formats.messages import show
from stones.stores.claims import claim_key, is_namespace, parse_collection, write_collection
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.spans import Span
from stones.stores.step_keys import drop_steps

from .description import Description
from .kept_view import KeptView, unshared_view
from .presence import Presence
from .program_steps import ProgramSteps
from .record_steps import UNSTEPPED, StepState
from .shapes import (
    computed_names,
    default_text,
    has_new_fields,
    kept_defaults,
    merged,
    new_description,
    unsettled_names,
    varies,
)
from .step_shapes import begun, known_names, shapes_for, step_views
from .stored_indexes import reset_changed
from .upgraded_record import shown_key, upgraded


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class ReadDescription:
    """What a description means for this program. `raw` are its stored bytes, None without one."""

    raw: bytes | None
    varies: bool = False
    """Whether some records may be stored otherwise than the class would store them."""
    defaults: Mapping[Part, KeptDefaults] = field(factory=dict)
    """The kept defaults of each class."""
    default_text: bytes | None = None
    """All kept defaults. None if records also differ in other ways from what the class stores."""

    unsettled: frozenset[str] = frozenset()
    """The names that a stored dict may lack though a query sees a value there, or the reverse.

    Whoever looks at stored bytes, or at a stored dict that is not completed, must not decide about
    a record that lacks a path through such a name.
    """
    unsettled_inside: frozenset[str] = frozenset()
    """Those of `unsettled` that are in dicts of classes inside."""
    computed: frozenset[str] | None = frozenset()
    """The fields of a record whose default the class computes, and that a stored dict may lack.

    In a dict that lacks one, the class may change any value: only a completed dict tells what a
    query sees. None if there are such fields in classes inside, too.
    """

    steps: StepState = UNSTEPPED
    """Which steps the records have had, without the cursors."""
    views: Mapping[int, KeptView | None] = field(factory=dict)
    """Adds the kept defaults to a dict that has had the step. Empty for a program without steps."""

    unknown_view: KeptView | None = None
    """Adds the kept defaults of fields that the class does not know, and keeps. None without any.

    An index has them too, and so have the queries of programs that know the fields.
    """

    names: frozenset[str] = frozenset()
    """All fields that records have, or have had."""
    names_inside: frozenset[str] = frozenset()
    """All fields that the dicts of classes inside have, or have had."""

    @property
    def is_mixed(self) -> bool:
        """Whether some of the records are of a newer shape than the others."""
        return self.steps.to is not None

    def keeps_text(self, text: bytes) -> bool:
        """Whether each record with this text has it in its stored bytes too."""
        return self.default_text is not None and text not in self.default_text


class CurrentNames(Collection[str]):
    """Names that `read` gives, as of the moment they are asked for."""

    def __init__(self, read: Callable[[], Collection[str]]) -> None:
        self._read = read

    def __contains__(self, name: object) -> bool:
        return name in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class StoredDescription:
    """The description of the collection `name`, whose records are in `span`.

    Threads may share it. It remembers what it has read, and reads it again if the bytes differ.
    """

    def __init__(
        self,
        database: DatabaseReader,
        record_type: RecordType[Any],
        name: str,
        span: Span,
        program: ProgramSteps,
    ) -> None:
        self._database = database
        self._program = program
        self._type = record_type
        self._name = name
        self._span = span
        own = new_description(
            record_type.description_name, record_type.key_codec.name, record_type.schema
        )
        self._own = evolve(own, steps=StepState(program.last))
        self.key = claim_key(name)
        """The key of the description in the metadata."""
        self.known: bytes | None = None
        """A description to which writing a record of this class adds nothing."""
        self.presence = Presence(database, name)
        self._read = ReadDescription(None)
        self._has_checked = False
        record_type.rules.kept_defaults = _kept_defaults_of(weakref.ref(self))

    # -- reading -------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that the class can read the records. Reads one record at most, writes nothing.

        Raises CollectionError for keys of another type, for a record that the class cannot read,
        and for keys that are no records.
        """
        is_checked = False
        while not is_checked:
            with self._database.reading() as txn:
                raw = txn.get(Space.META, self.key)
                self.presence.note_committed(raw)
                try:
                    self._check(txn, raw, None if raw is None else self._parse(raw))
                    is_checked = True
                except CollectionError:
                    # Where a read is no snapshot, the records may be newer than the
                    # description: another program has just written the first one, for instance.
                    if txn.get(Space.META, self.key) == raw:
                        raise

    def read_at(self, txn: Transaction) -> ReadDescription:
        """The description that a transaction sees. Raises CorruptValueError. One read."""
        return self.reading(txn.get(Space.META, self.key))

    def read_now(self) -> ReadDescription:
        """The description as of now. Raises CorruptValueError. One read."""
        raw = self._database.get(self.key, Space.META)
        self.presence.note_committed(raw)
        return self.reading(raw)

    def kept_defaults(self, part: Part) -> KeptDefaults:
        """The kept defaults of a class as of now. One read."""
        return self.read_now().defaults.get(part) or no_defaults(part)

    def check_there(self) -> None:
        """Raise CollectionError if the collection was there, and another program has renamed it.

        MigrationError if its keys are of another type now. For a reader that has found nothing, or
        a key that it cannot read. One read, if the collection was there.
        """
        if (raw := self.presence.check_now()) is not None:
            self.reading(raw)

    def check_claim(self, raw: bytes | None) -> None:
        """The same, for a writer that has just read these stored bytes of the description."""
        self.presence.note(raw)

    def note_written(self, raw: bytes) -> None:
        """Note that an operation has written the description, or has found it so, and has ended."""
        self.known = raw
        self.presence.note_committed(raw)

    def reading(self, raw: bytes | None) -> ReadDescription:
        """The description by its stored bytes. Raises CorruptValueError."""
        read = self._read
        self.presence.note(raw)
        if read.raw != raw:
            read = ReadDescription(raw)
            if raw is not None:
                found, schema = self._parse(raw), self._type.schema
                self._program.check_key_type(found.steps, found.key, self._own.key)
                views = step_views(found) if self._program.last else {}
                names, steps = known_names(found), found.steps
                # An upgraded record has its kept defaults already.
                if steps.is_pending(self._program.last):
                    found = evolve(found, shapes=shapes_for(found, self._own))
                outside, inside = unsettled_names(found, schema)
                read = ReadDescription(
                    raw,
                    varies(found, schema) or steps.to is not None,
                    kept_defaults(found, schema),
                    default_text(found, schema),
                    frozenset(outside | inside),
                    frozenset(inside),
                    computed_names(found, schema),
                    steps,
                    views,
                    self._unknown_view(found),
                    *names,
                )
            self._read = read
        return read

    def _unknown_view(self, found: Description) -> KeptView | None:
        # Records that have had different steps have other defaults: `views` has them by step.
        is_kept = self._type.rules.unknown == "keep" and found.steps.to is None
        if not is_kept or default_text(found, self._type.schema) is not None:
            return None
        return unshared_view(found)

    def _parse(self, raw: bytes) -> Description:
        if is_namespace(raw):
            raise CollectionError(
                f"{self._name!r} is a namespace of the store: give the collection another name="
            )
        return Description.from_stored(self._name, parse_collection(self._name, raw))

    # -- writing -------------------------------------------------------------------------------

    def write(self, txn: Transaction, database: Database) -> bytes | None:
        """Write the description that holds once a record is written, unless it is there already.

        Returns its stored bytes. They become `known` once the operation has ended: not here, since
        it may be undone. Raises CollectionError as `check` does.
        """
        raw = txn.get(Space.META, self.key)
        if raw is not None and raw == self.known:
            return raw
        self.presence.note(raw)
        found = None if raw is None else self._parse(raw)
        has_records = self._check(txn, raw, found)
        new = self._own if found is None else evolve(self._own, others=found.others)
        if found is not None:
            self._program.check_writable(found.steps)
        if found is not None and has_records:
            self._program.check_keys(found.steps)
            if found.steps.is_pending(self._program.last):
                new = begun(found, self._own, self._type.schema)
            else:
                new = merged(found, self._type.schema)
            # Two programs with different names of the class must not take turns in renaming it.
            new = new.named(self._own.record if self.known is None else found.record)
        return raw if raw is not None and new == found else self._put(txn, database, found, new)

    def write_for_indexes(self, txn: Transaction, database: Database) -> None:
        """Write the description before an index is defined, which sees the defaults that it keeps.

        Not while records lack steps, or are ahead of the program: the index is built again then.
        """
        steps = self.read_at(txn).steps
        if steps.to is None and steps.done == self._program.last:
            self.write(txn, database)

    def write_empty(self, txn: Transaction, database: Database) -> bytes | None:
        """Write the description of a collection whose records were all removed just now."""
        raw = txn.get(Space.META, self.key)
        found = None if raw is None else self._parse(raw)
        if found is None or found.steps == self._own.steps:
            return raw
        return self._put(txn, database, found, evolve(self._own, others=found.others))

    def _put(
        self, txn: Transaction, database: Database, found: Description | None, new: Description
    ) -> bytes:
        """Write a description in the place of another one, and what follows from it."""
        raw = write_collection(txn, self._name, new.stored())
        self.presence.note_put(raw)
        is_changed = found is None or reset_changed(txn, self._name, found, new)
        if new.steps != (UNSTEPPED if found is None else found.steps):
            write_layout(txn, 3)
            next_generation(txn)
            is_changed = True
        if new.steps.to is None and found is not None and found.steps.to is not None:
            drop_steps(txn, self._name)
        if is_changed:
            database.reload(txn)
        return raw

    # -- checking ------------------------------------------------------------------------------

    def _check(self, txn: Transaction, raw: bytes | None, found: Description | None) -> bool:
        """Raise CollectionError if the records do not fit. Otherwise: are there records?"""
        first = next(txn.scan(DATA, self._span.start, self._span.stop), None)
        if first is None:
            return False
        own = self._own
        if found is not None:
            self._program.check_known(found.steps)
            if self._program.changes_keys(found.steps) is not None:
                return True
        if found is None:
            raise CollectionError(
                f"the store has keys that begin with {self._span.start!r} but are no records, "
                f"{show(first[0])} for one: name the collection otherwise, or move them"
            )
        if found.key != own.key:
            raise CollectionError(
                f"the collection {self._name!r} has keys of type {found.key:.80}, the keys of "
                f"{own.record} are {own.key}: give one of the two another name="
            )
        if not self._has_checked:
            self._check_record(txn, found, *first)
        self._has_checked = True
        return True

    def _check_record(
        self, txn: Transaction, found: Description, stored: bytes, raw: bytes
    ) -> None:
        """Raise CollectionError if the class cannot read a record. A damaged one tells nothing."""
        self._check_defaults(txn, found)
        try:
            value = self._database.codec_at(txn).decode(stored, raw)
            if isinstance(value, dict):
                value = upgraded(txn, self._program, found, stored, value)
            if isinstance(value, dict):
                self._type.load(value)
        except (CorruptValueError, FormatMismatchError, RecursionError):
            return
        except RecordError as error:
            raise CollectionError(
                f"{self._own.record} cannot read the collection {self._name!r}, which the class "
                f"{found.record:.80} has written: the record of {self._show_key(stored)}: {error}. "
                "Give one of the two collections another name=, give a new field a default, or "
                "open it with unknown='keep' or 'drop' if the class lacks a field."
                f"{self._help(txn, found)}"
            ) from error

    def _check_defaults(self, txn: Transaction, found: Description) -> None:
        """Raise CollectionError for a new field whose default is another value each time."""
        if not has_new_fields(found, self._type.schema):
            return
        from .differences import volatile_fields  # it is large, and few programs get here

        added = volatile_fields(found, self._type.schema, self._program.touched(found.steps))
        if added:
            names = " and ".join(field.path for field in added)
            raise CollectionError(
                f"the records of the collection {self._name!r} lack {names}, and the factory of "
                f"{self._own.record} makes another value at each call: a record would have another "
                f"value at each read.{self._help(txn, found)}"
            )

    def _help(self, txn: Transaction, found: Description) -> str:
        from .class_misfits import misfit_help

        return misfit_help(self._database, txn, self._type, self._program, found)

    def _show_key(self, stored: bytes) -> str:
        return shown_key(self._type, stored[len(self._span.start) :])


def _kept_defaults_of(
    description: "weakref.ref[StoredDescription]",
) -> Callable[[Part], KeptDefaults]:
    # The record type must not hold the description. The description holds the record type and the
    # database, and the database is closed when nobody holds it.
    def kept(part: Part) -> KeptDefaults:
        found = description()
        return no_defaults(part) if found is None else found.kept_defaults(part)

    return kept
