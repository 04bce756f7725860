"""The indexes of one collection, as the metadata of the store has them. No class is needed.

Every writer of records asks here which indexes to keep, and every reader which ones it may use.
What is read is remembered until the metadata changes: see `indexes.definition`. `stored_records`
writes with it, `index_building` builds with it, `stones.repair` checks with it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import evolve

from stones.engine import Transaction
from stones.errors import CorruptValueError, QueryError
from stones.formats.generation import next_generation
from stones.formats.messages import show
from stones.formats.registered_types import known
from stones.stores.claims import read_collection
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.spans import prefix_span

from .description import Description
from .field_decoding import FieldDecoder, field_decoder
from .kept_view import kept_view
from .keys import named_codec
from .later import Later

if TYPE_CHECKING:
    from stones.collections.indexes import definition, maintenance, verification
    from stones.collections.indexes.definition import IndexDefinition, Matches
    from stones.collections.indexes.maintenance import RecordIndexes
    from stones.collections.indexes.verification import IndexProblem
    from stones.collections.language import jsonpath, ordering
    from stones.collections.records.classes import Schema

    from . import view_differences
else:
    definition = Later("stones.collections.indexes.definition")
    maintenance = Later("stones.collections.indexes.maintenance")
    verification = Later("stones.collections.indexes.verification")
    jsonpath = Later("stones.collections.language.jsonpath")
    ordering = Later("stones.collections.language.ordering")
    view_differences = Later("stones.collections.view_differences")


class StoredIndexes:
    """The indexes of the collection `name`. Threads may share it."""

    def __init__(self, database: DatabaseReader, name: str) -> None:
        self._database = database
        self.name = name
        self.prefix = name.encode() + b"/"
        # With the generation of the metadata that they were read at.
        self._kept: tuple[object, RecordIndexes | None] = (object(), None)
        self._definitions: tuple[object, tuple[IndexDefinition, ...]] = (object(), ())

    def kept(self, txn: Transaction) -> "RecordIndexes | None":
        """The indexes that a change of a record in this write transaction keeps, or None."""
        return self.kept_at(txn, self._database.codec.metadata.generation)

    def kept_at(self, txn: Transaction, generation: object) -> "RecordIndexes | None":
        """The same, in a transaction that sees this generation of the metadata."""
        known, kept = self._kept
        if known == generation:
            return kept
        kept = self.of(txn, self.definitions_at(txn, generation))
        self._kept = generation, kept
        return kept

    def definitions(self, txn: Transaction) -> "tuple[IndexDefinition, ...]":
        """All indexes that a transaction sees, whatever their state, the oldest first."""
        return self.definitions_at(txn, self._database.codec_at(txn).metadata.generation)

    def definitions_at(self, txn: Transaction, generation: object) -> "tuple[IndexDefinition, ...]":
        """The same, in a transaction that sees this generation of the metadata.

        How far a build has come may be told as of an earlier moment.
        """
        known, found = self._definitions
        if known != generation:
            found = definition.read_definitions(txn, self.name)
            self._definitions = generation, found
        return found

    def of(
        self, txn: Transaction, definitions: "tuple[IndexDefinition, ...]"
    ) -> "RecordIndexes | None":
        """Those of these indexes that have entries, with the description of now."""
        description = self.description(txn) if definitions else None
        if description is None:
            return None
        access = maintenance.RecordAccess(
            self.name, self.read, _key_shower(description.key), ordering.equal
        )
        view = kept_view(description)
        kept = maintenance.RecordIndexes.of(definitions, access, kept_condition, view)
        return kept if kept.definitions else None

    def problems(self, txn: Transaction) -> "Iterator[IndexProblem]":
        """What differs between the indexes and the records: see `indexes.verification`."""
        indexes = self.of(txn, definition.read_definitions(txn, self.name))
        if indexes is None:
            return iter(())
        return verification.verify(txn, indexes, prefix_span(self.prefix), self.decode)

    def description(self, txn: Transaction) -> Description | None:
        """The description of the collection, or None. Raises CorruptValueError. One read."""
        stored = read_collection(txn, self.name)
        return None if stored is None else Description.from_stored(self.name, stored)

    def read(self, txn: Transaction, key: bytes) -> Any:
        """The stored dict of the record with a key. None if there is none that can be read."""
        stored = self.prefix + key
        raw = txn.get(DATA, stored)
        return None if raw is None else self.decode(stored, raw)

    def decode(self, stored: bytes, raw: bytes) -> Any:
        """The dict of stored bytes. None if they are damaged."""
        try:
            found = self._database.decode_record(stored, raw)
        except CorruptValueError:
            return None
        return found if isinstance(found, dict) else None

    def why_unusable(
        self, txn: Transaction, index: "IndexDefinition", schema: "Schema"
    ) -> str | None:
        """Why an index cannot answer a query of records of this class, in words. None if it can.

        Only a ready index can. And it must see in each record what the query sees: for a field that
        some records lack, a query sees the default of the class, an index the one that is kept.
        """
        if index.state == "building":
            return "it is not built yet: call build_indexes()"
        if index.state == "failed":
            return f"its build has failed: {index.problem}"
        description = self.description(txn)
        if description is None:
            return None
        for path in index.paths:
            reason = view_differences.view_differs(path, description, schema)
            if reason is not None:
                return reason
        if index.where is None:
            return None
        expressions = jsonpath.parse_filter(index.where).bound({}).expressions
        return view_differences.condition_differs(expressions, description, schema)

    def decoder_of(self, names: Iterable[str]) -> FieldDecoder:
        """The same as `decode`, for whom the fields with these names are enough."""
        return field_decoder(self._database.codec, names, self.decode)


def condition(text: str) -> "Matches":
    """The function that tells whether a record meets the condition of a partial index.

    Raises CorruptValueError for a condition that this version cannot read: it cannot keep the
    index, so it must not write.
    """
    try:
        return jsonpath.parse_filter(text).bind({})
    except QueryError as error:
        raise CorruptValueError(f"the condition of an index cannot be read: {error}") from error


def kept_condition(text: str) -> "Matches":
    """The same for whoever writes entries.

    The function raises FormatMismatchError for a record with a value of a type that is not
    registered here, in a field that the condition names. What the value equals is not known then.
    """
    matches = condition(text)
    names = view_differences.names_in(jsonpath.parse_filter(text).bound({}).expressions)

    def matches_known(record: Any) -> bool | None:
        if names is None:
            known(record)
        else:
            for name in names:
                known(record.get(name))
        return matches(record)

    return matches_known


def reset_changed(txn: Transaction, name: str, before: Description, after: Description) -> bool:
    """Have each index built again for which records look different once `after` is written.

    A new field may have a default that the description keeps from now on. Its index has the entry
    MISSING for each record without the field. Returns whether the metadata has another generation
    now: every writer must see the new defaults, if the collection has an index.
    """
    definitions = definition.read_definitions(txn, name)
    names = view_differences.changed_names(before, after) if definitions else ()
    if not names:
        return False
    for index in definitions:
        if index.where is not None or any(
            view_differences.goes_through(path, names) for path in index.paths
        ):
            restart(txn, name, index)
    next_generation(txn)
    return True


def restart(txn: Transaction, name: str, index: "IndexDefinition") -> None:
    """Have an index built again from the start, under another id."""
    definition.drop_entries(txn, index)
    again = evolve(index, id=definition.next_id(txn), state="building", at=b"", problem="")
    definition.write_definition(txn, name, again)


def _key_shower(key_type: str) -> Callable[[bytes], str]:
    def show_key(key: bytes) -> str:
        try:
            return show(named_codec(key_type).decode(key))
        except (ValueError, OverflowError):
            return show(key)

    return show_key
