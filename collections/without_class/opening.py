"""`Collection.without_class`: the records of a collection as dicts, by the stored description."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, field, frozen

from stones.collections.description import Description
from stones.collections.keys import KeyCodec, named_codec
from stones.collections.records.conversion import MisfitError
from stones.collections.records.reading_rules import ReadingRules, Unknown
from stones.collections.records.record_type import RecordType
from stones.collections.stored_records import StoredRecords
from stones.errors import CollectionError, CorruptValueError, MigrationError
from stones.formats.messages import show
from stones.stores.claims import NAMESPACE, collection_names, read_collection
from stones.stores.database_reader import DatabaseReader
from stones.stores.spans import prefix_span

from .dict_schema import DictSchema, read_schema
from .key_fields import KeyFields, ambiguous_text, find_key_fields
from .observed import sample, written_schema

Record = dict[str, Any]


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class DictRecordType(RecordType[Record]):
    """The records of a collection as dicts."""

    written: RecordType[Record] | None = field(default=None, repr=False)
    """By what new dicts are checked. None: by this type itself."""

    @property
    def description_name(self) -> str:
        return self.name

    def for_new_dicts(self, unknown: Unknown = "error") -> RecordType[Record]:
        return self.written or self

    def dump(self, record: Record) -> dict[str, Any]:
        if self.written is None:
            return RecordType.dump(self, record)
        return self.written.dump(record)


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class LastStep:
    """The last step that the stored records have had. It has run."""

    number: int
    touched: frozenset[str] = frozenset()
    changes_keys: bool = False

    def apply(self, record: Any) -> Any:
        """The record: it has had the step."""
        return record

    apply_to_read = apply


def dict_records(
    database: DatabaseReader, name: str, *, any_type: bool = False
) -> StoredRecords[Any, Record]:
    """The records of the collection `name` as dicts. It reads up to 100 records.

    Raises CollectionError if there is no such collection, and MigrationError in the middle of a
    migration to other steps.
    """
    with database.reading() as txn:
        described = read_collection(txn, name) if name.isprintable() else None
        if described is None or described == NAMESPACE:
            raise _no_collection(name, [*collection_names(txn)], described == NAMESPACE)
        description = Description.from_stored(name, described)
        prefix = name.encode() + b"/"
        found = sample(txn, database.codec_at(txn), prefix_span(prefix))
    if description.steps.to is not None:
        raise MigrationError(
            f"the records of {name!r} are being brought to step {description.steps.to}, and have "
            "several shapes: look at them when the migration has ended, or export them"
        )
    codec = named_codec(description.key)
    rules = ReadingRules()
    schema = read_schema(description.record, description.shapes, rules)
    records = [*_with_keys(codec, len(prefix), found)]
    keys = find_key_fields(description.fields, records)
    if not any_type:
        written = written_schema(description, [value for _, value in found], rules)
    else:
        written = read_schema(description.record, description.shapes, rules)
        written.functions.load = written.functions.dump
    if keys is None:
        written.functions.dump = written.functions.load = _refusing(name)
    own = _record_type(description, schema, rules, keys or KeyFields(()))
    new = evolve(own, schema=written)
    steps = [LastStep(description.steps.done)] if description.steps.done else []
    return StoredRecords(database, evolve(own, written=new), name, (), steps)


def _with_keys(
    codec: KeyCodec[Any], start: int, found: Iterable[tuple[bytes, dict[str, Any]]]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    for stored, value in found:
        try:
            yield codec.decode(stored[start:]), value
        except CorruptValueError:  # whoever reads the record is told
            continue


def _record_type(
    description: Description, schema: DictSchema, rules: ReadingRules, keys: KeyFields
) -> DictRecordType:
    return DictRecordType(
        cls=dict,
        name=description.record,
        fields=tuple(schema.fields),
        key_fields=keys.names,
        key_codec=named_codec(description.key),
        annotation=dict,
        schema=schema,
        rules=rules,
        key_of=keys.key_of,
    )


def _refusing(name: str) -> Callable[[Any], Any]:
    def refuse(_: Mapping[str, Any]) -> Any:
        raise MisfitError(ambiguous_text(name))

    return refuse


def _no_collection(name: str, names: list[str], is_namespace: bool) -> CollectionError:
    if is_namespace:
        return CollectionError(f"{show(name)} is a namespace of the store, and no collection")
    has = f"it has {', '.join(names[:20])}" if names else "it has no collections"
    return CollectionError(f"the store has no collection {show(name)}: {has}")
