"""Keeps the indexes where records are copied from store to store: see `stones.stores.copying`.

The target gets the indexes of each collection of the source, under ids of its own. The entries of a
record are written in the transaction of the record. Then the records that the target had before are
taken in: at once if they are few or the index is unique, and otherwise by `build_indexes`.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from stones.collections.indexes.definition import (
    IndexDefinition,
    next_id,
    read_definitions,
    write_definition,
)
from stones.collections.indexes.maintenance import EntryBatch, RecordIndexes
from stones.engine import Transaction
from stones.errors import CollectionError, DuplicateKeyError
from stones.formats.registered_types import UnknownTypeError, known
from stones.stores.claims import count_key, read_count
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import prefix_span

from .declared_indexes import SMALL, flags_text
from .description import Description
from .index_building import IndexBuilder, sweep_step
from .stored_indexes import StoredIndexes, reset_changed


class IndexesOfCopy:
    """The `CopiedIndexes` of one copy: from what `read` sees to `target`, in its transaction."""

    def __init__(self, read: Transaction, target: Database, txn: Transaction) -> None:
        self._read = read
        self._target = target
        self._txn = txn
        self._stored: dict[str, StoredIndexes] = {}
        self._unready: dict[str, list[IndexDefinition]] = {}
        """The indexes of the source that are built, or failed, and that the target lacks."""
        self._unready_before: dict[str, set[str]] = {}
        """The indexes of the target that were built, or failed, before."""
        self._current: StoredIndexes | None = None
        self._kept: RecordIndexes | None = None
        self._batch: EntryBatch | None = None

    def take(self, name: str, before: Mapping[str, Any] | None) -> None:
        txn = self._txn
        self._stored[name] = stored = StoredIndexes(self._target, name)
        description = stored.description(txn)
        self._unready_before[name] = {
            index.name for index in read_definitions(txn, name) if index.state != "ready"
        }
        if before is not None and description is not None:
            reset_changed(txn, name, Description.from_stored(name, before), description)
        span = prefix_span(stored.prefix)
        is_empty = next(txn.keys(DATA, span.start, span.stop), None) is None
        present = {index.name: index for index in read_definitions(txn, name)}
        unready = []
        for index in read_definitions(self._read, name):
            other = present.get(index.name)
            if other is not None:
                self._check_same(name, other, index)
            elif index.state == "ready":
                state = index.state if is_empty else "building"
                write_definition(txn, name, evolve(index, id=next_id(txn), state=state))
            else:
                unready.append(index)
        self._unready[name] = unready
        self._target.reload(txn)

    def enter(self, name: str) -> None:
        self._current = self._stored.get(name)
        self._kept = None if self._current is None else self._current.kept(self._txn)
        self._batch = None if self._kept is None else EntryBatch(self._kept, self._txn)

    def write(self, key: bytes, before: bytes | None, value: Any, raw: bytes) -> None:
        current, kept, batch = self._current, self._kept, self._batch
        if current is None or kept is None or batch is None:
            return
        stored, key = key, key[len(current.prefix) :]
        try:
            known(value)
        except UnknownTypeError:  # the copy has not unpacked it
            value = current.decode(stored, raw)
        if before is None:
            batch.add(key, value)
            return
        batch.flush()
        replaced = current.decode(stored, before)
        if replaced is None:  # writing a record mends a damaged one
            kept.remove_damaged(self._txn, key)
        kept.replace(self._txn, key, replaced, value)

    def leave(self) -> None:
        if self._batch is not None:
            self._batch.flush()
        self._current = self._kept = self._batch = None

    def finish(self) -> None:
        for name, stored in self._stored.items():
            self._build(name, stored)

    def _build(self, name: str, stored: StoredIndexes) -> None:
        txn = self._txn
        others = self._unready_before[name]
        builder = IndexBuilder(self._target, stored)
        is_small = read_count(txn, count_key(name)) < SMALL
        # A copy must not leave two records with the same values in a unique index.
        if is_small or any(
            index.state == "building" and index.unique and index.name not in others
            for index in read_definitions(txn, name)
        ):
            while builder.step(txn) is not None:
                pass
            if is_small:
                sweep_step(txn)
        for index in read_definitions(txn, name):
            if index.state == "failed" and index.name not in others:
                raise DuplicateKeyError(index.problem)
        # What was not ready in the source may fail: that is no error of the copy.
        for index in self._unready[name]:
            write_definition(txn, name, evolve(index, id=next_id(txn), at=b""))
        if self._unready[name]:
            self._target.reload(txn)
        while is_small and builder.step(txn) is not None:
            pass

    def _check_same(self, name: str, present: IndexDefinition, added: IndexDefinition) -> None:
        if not present.same_as(added):
            raise CollectionError(
                f"the index {added.name!r} of the collection {name!r} has {flags_text(present)} in "
                f"{self._target.name!r}, and {flags_text(added)} in the store that is copied: "
                "nothing was written; drop one of the two"
            )
