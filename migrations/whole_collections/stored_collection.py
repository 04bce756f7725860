"""All that the store keeps of a collection, beside its records.

collection/NAME     its description
count/NAME          the sum of its records
index/NAME\\0...     the definitions of its indexes, and their entries in the space of indexes
ledger/NAME/...     the steps that ran
progress/NAME       how far a migration to other steps has come
step/NAME\\0...      marks of records, during such a migration
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from stones.collections.description import Description
from stones.collections.indexes.definition import INDEXES, IndexDefinition, read_definitions
from stones.engine import Space, Transaction
from stones.errors import CollectionError, KeyTooLongError, MigrationError
from stones.formats.messages import show
from stones.formats.metadata import write_formats
from stones.migrations.steps.run_figures import drop_figures
from stones.stores.claims import (
    COLLECTION_NAME,
    claim_key,
    count_key,
    is_namespace,
    parse_collection,
    read_count,
)
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import after_prefix, prefix_span
from stones.stores.step_keys import drop_steps, progress_key


class StoredCollection:
    """The collection `name` as one write transaction sees it."""

    def __init__(self, database: Database, txn: Transaction, name: str) -> None:
        self.database = database
        self.txn = txn
        self.name = name
        self.prefix = name.encode() + b"/"
        self.span = prefix_span(self.prefix)

    # -- what is there -------------------------------------------------------------------------

    def description(self) -> Mapping[str, Any]:
        """The stored description. Raises CollectionError if there is no such collection."""
        raw = self._claim()
        if raw is None or is_namespace(raw):
            is_space = raw is not None
            reason = "it is a namespace" if is_space else "no record was ever written to it"
            raise CollectionError(
                f"the store has no collection {show(self.name)}: {reason}; nothing was changed"
            )
        return parse_collection(self.name, raw)

    def settled_description(self) -> Mapping[str, Any]:
        """The same. Raises MigrationError in the middle of a migration to other steps."""
        found = self.description()
        Description.from_stored(self.name, found)  # raises for a damaged one
        if self.txn.get(Space.META, progress_key(self.name)) is not None or _is_migrating(found):
            raise MigrationError(
                f"the collection {self.name!r} is in the middle of a migration to other steps: "
                "call migrate() of a collection with these steps first; nothing was changed"
            )
        return found

    def indexes(self) -> tuple[IndexDefinition, ...]:
        """The definitions of its indexes, the oldest first."""
        return read_definitions(self.txn, self.name)

    def count(self) -> int:
        """How many records it has, by its count."""
        return read_count(self.txn, count_key(self.name))

    def copy_ledger(self, target: "StoredCollection") -> None:
        """Give another collection the same ledger."""
        before, after = b"ledger/" + self.prefix, b"ledger/" + target.prefix
        for key, raw in [*self.txn.scan(Space.META, before, after_prefix(before))]:
            self.txn.put(Space.META, after + key.removeprefix(before), raw)

    def copy_rules(self, target: "StoredCollection") -> None:
        """Have new values of another collection written in the same format."""
        rules = self._rules()
        if rules:
            before = len(self.prefix)
            moved = {target.prefix + prefix[before:]: id for prefix, id in rules.items()}
            self._write_rules({**self.database.codec.metadata.rules, **moved})

    # -- a name for a new one ------------------------------------------------------------------

    def check_free(self) -> None:
        """Raise CollectionError if a new collection cannot have this name."""
        name = self.name
        raw = self._claim()
        if raw is not None:
            noun = "namespace" if is_namespace(raw) else "collection"
            raise CollectionError(
                f"the store has a {noun} {name!r} already: choose another name; nothing was changed"
            )
        stray = next(self.txn.keys(DATA, self.span.start, self.span.stop), None)
        if stray is not None:
            raise CollectionError(
                f"the store has keys that begin with {self.prefix!r} but are no records, "
                f"{show(stray)} for one: choose another name, or move them; nothing was changed"
            )

    def check_key(self, stored: bytes, source: "StoredCollection") -> None:
        """Raise KeyTooLongError if a stored key is too long, which comes from the source."""
        limit = self.database.max_key_size
        if len(stored) > limit:
            raise KeyTooLongError(
                f"the key {show(stored[len(self.prefix) :])} of the collection {source.name!r} is "
                f"too long under the name {self.name!r}: the two have at most {limit} bytes; "
                "nothing was changed"
            )

    # -- removing ------------------------------------------------------------------------------

    def remove(self) -> None:
        """Remove all of it: records, description, count, indexes, ledger, marks."""
        txn = self.txn
        for index in self.indexes():
            txn.delete_range(Space.INDEX, index.prefix, after_prefix(index.prefix))
        txn.delete_range(DATA, self.span.start, self.span.stop)
        self.remove_metadata()

    def remove_metadata(self) -> None:
        """Remove what the metadata has of it."""
        txn = self.txn
        ledger, definitions = b"ledger/" + self.prefix, INDEXES + self.name.encode()
        txn.delete_range(Space.META, ledger, after_prefix(ledger))
        txn.delete_range(Space.META, definitions + b"\0", definitions + b"\1")
        drop_steps(txn, self.name)
        drop_figures(txn, self.name)
        gone = self._rules()
        if gone:
            rules = self.database.codec.metadata.rules
            self._write_rules({prefix: rules[prefix] for prefix in rules.keys() - gone.keys()})
        txn.delete(Space.META, claim_key(self.name))
        txn.drop_sum(count_key(self.name))

    def _rules(self) -> dict[bytes, int]:
        """The formats that new values of its records have, if not that of the store."""
        rules = self.database.codec.metadata.rules
        return {prefix: id for prefix, id in rules.items() if prefix.startswith(self.prefix)}

    def _write_rules(self, rules: Mapping[bytes, int]) -> None:
        write_formats(self.txn, evolve(self.database.codec.metadata, rules=rules))
        self.database.reload(self.txn)

    def _claim(self) -> bytes | None:
        return self.txn.get(Space.META, claim_key(self.name))


def check_name(name: Any) -> None:
    """Raise CollectionError for what cannot name a collection."""
    if not isinstance(name, str) or not COLLECTION_NAME.fullmatch(name):
        raise CollectionError(
            f"{show(name)} cannot name a collection: use letters, digits, '_', '-' and '.', 64 at "
            "most"
        )


def _is_migrating(description: Mapping[str, Any]) -> bool:
    steps = description.get("steps")
    return isinstance(steps, Mapping) and steps.get("to") is not None
