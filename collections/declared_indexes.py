"""The indexes that a program declares, and how they get into the store.

A declared index that the store does not have is defined with the first record, or by opening a
collection that has records. A small collection is indexed at once, in the same transaction. In a
larger one, each write of the program first takes some thousand records in, and
`Collection.build_indexes` takes in all. A snapshot, and a store that was opened read-only, use what
is there.
"""

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from stones.engine import Space, Transaction
from stones.errors import CollectionError, ConflictError, DuplicateKeyError
from stones.stores.claims import claim_key, count_key, read_count
from stones.stores.database import Database

from .later import Later
from .stored_indexes import StoredIndexes

if TYPE_CHECKING:
    from stones.collections.indexes import definition
    from stones.collections.indexes.definition import IndexDefinition

    from . import index_building, unindexed_records
else:
    definition = Later("stones.collections.indexes.definition")
    index_building = Later("stones.collections.index_building")
    unindexed_records = Later("stones.collections.unindexed_records")

SMALL = 10_000
"""A collection with fewer records is indexed at once."""


class DeclaredIndexes:
    """What the class and the `indexes=` of one collection declare. Their ids mean nothing."""

    def __init__(self, declared: "Sequence[IndexDefinition]", stored: StoredIndexes) -> None:
        self._declared = [*declared]
        self._stored = stored
        self._name = stored.name
        self.are_stored = not declared
        """Whether the store has had them all. One that it lacks later was dropped on purpose."""
        self.are_unfinished = False
        """Whether a build was unfinished when this program looked last."""

    @property
    def definitions(self) -> "Sequence[IndexDefinition]":
        """The indexes that are declared, without those that were dropped."""
        return tuple(self._declared)

    def settle(self, database: Database, describe: Callable[[Transaction], object]) -> None:
        """Define and build what is missing in a store with this collection. Else only read.

        `describe` writes the description of the collection before: an index sees the defaults that
        the description keeps.

        Raises CollectionError if the store has another index of the same name, DuplicateKeyError
        if the records do not fit a unique index. Nothing is written then, or the index is dropped
        again: the latter where others write all the time and a commit may find conflicts.
        """
        with database.reading() as read:
            if read.get(Space.META, claim_key(self._name)) is None:
                return
            missing = self._missing(read)
            is_due = missing or self._is_small_build(read)

        def define(txn: Transaction, *, builds: bool) -> list[str]:
            if missing:
                describe(txn)
            return self.add_missing(txn, database, builds=builds)

        if is_due:
            self._settle(database, define, missing)
        with database.reading() as read:
            self.are_unfinished = self._is_building(read)
        self.note_stored(database)

    def note_stored(self, database: Database) -> None:
        """Note whether the store has them all. Not in a transaction, which might be undone."""
        if not database.in_transaction():
            with database.reading() as read:
                self.are_stored = not self._lacks(definition.read_definitions(read, self._name))

    def are_missing(self, txn: Transaction) -> bool:
        """Whether a write has to define some: the store lacks them, and has not had them all."""
        return not self.are_stored and self._lacks(self._stored.definitions(txn))

    def take_step(self, database: Database) -> None:
        """Take the next records into the indexes that are built, in a transaction of its own.

        Without effect inside a transaction of the program, which would become long. If two records
        have the same values in a unique index, the index fails, as `Collection.indexes` tells.
        """
        if not database.in_transaction():
            taken = index_building.IndexBuilder(database, self._stored).take_step()
            self.are_unfinished = taken is not None

    def add_missing(
        self, txn: Transaction, database: Database, *, builds: bool = True
    ) -> list[str]:
        """Define what the store lacks, and build it if the collection is small and it `builds`.

        The collection has a description. Returns the names of what it defines. Raises as `settle`
        does.
        """
        missing = self._missing(txn)
        for index in missing:
            definition.write_definition(
                txn, self._name, evolve(index, id=definition.next_id(txn), state="building")
            )
        database.reload(txn)
        if builds and self._is_small_build(txn):
            builder = index_building.IndexBuilder(database, self._stored)
            while builder.step(txn) is not None:
                pass
            index_building.sweep_step(txn)
            self._check_failed(txn)
        # Never made False here: the transaction may be undone, and the next write looks again.
        self.are_unfinished |= self._is_building(txn)
        return [index.name for index in missing]

    def _settle(
        self,
        database: Database,
        define: Callable[..., list[str]],
        missing: "Sequence[IndexDefinition]",
    ) -> None:
        at_once = partial(define, builds=True)
        if not unindexed_records.reads_apart(database):
            database.transact(at_once)
            return
        if any(index.unique for index in missing):
            # So that nothing is written if the records do not fit. Others may write too often.
            with suppress(ConflictError):
                database.transact(at_once)
                return
        defined: set[str] = set()
        is_complete = False
        while not is_complete:
            defined.update(database.transact(partial(define, builds=False)))
            is_complete = self._build_in_steps(database, defined)

    def _build_in_steps(self, database: Database, defined: Container[str]) -> bool:
        """Build what is defined if the collection is small, in many transactions.

        One transaction would be in conflict with whoever writes. Of the indexes that were `defined`
        just now, those that the records do not fit are dropped again. Returns False if the store
        lacks one of the declared indexes: another program has defined it, and dropped it again.
        """
        with database.reading() as read:
            if not self._is_small_build(read):
                return not self._lacks(definition.read_definitions(read, self._name))
        builder = index_building.IndexBuilder(database, self._stored)
        while builder.take_step() is not None:
            pass
        builder.sweep()
        with database.reading() as read:
            found = definition.read_definitions(read, self._name)
            failed = [index for index in found if index.state == "failed"]
        builder.drop_failed([index for index in failed if index.name in defined])
        self._raise_failed(failed)
        return not self._lacks(found)

    def forget(self, name: str) -> None:
        """Declare an index no more: it was dropped."""
        self._declared = [index for index in self._declared if index.name != name]

    def _missing(self, txn: Transaction) -> "list[IndexDefinition]":
        if self.are_stored:
            return []
        present = {index.name: index for index in definition.read_definitions(txn, self._name)}
        for index in self._declared:
            other = present.get(index.name)
            if other is not None and not index.same_as(other):
                raise CollectionError(
                    f"the store has another index {index.name!r} of the collection "
                    f"{self._name!r}, with {flags_text(other)}, and the program declares it with "
                    f"{flags_text(index)}: declare the same, or call "
                    f"drop_index({index.name!r}) in a program that does not declare it"
                )
        return [index for index in self._declared if index.name not in present]

    def _lacks(self, present: "Sequence[IndexDefinition]") -> bool:
        return not {index.name for index in self._declared} <= {index.name for index in present}

    def _is_small_build(self, txn: Transaction) -> bool:
        # In this order: a count that is read may be in conflict with others who add records.
        return self._is_building(txn) and read_count(txn, count_key(self._name)) < SMALL

    def _is_building(self, txn: Transaction) -> bool:
        return any(
            index.state == "building" for index in definition.read_definitions(txn, self._name)
        )

    def _check_failed(self, txn: Transaction) -> None:
        self._raise_failed(definition.read_definitions(txn, self._name))

    def _raise_failed(self, indexes: "Sequence[IndexDefinition]") -> None:
        names = {index.name for index in self._declared}
        for index in indexes:
            if index.state == "failed" and index.name in names:
                raise DuplicateKeyError(index.problem)


def flags_text(index: "IndexDefinition") -> str:
    """What two indexes of the same name may differ in, in words."""
    return f"unique={index.unique} and each={index.each}"
