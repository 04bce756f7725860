"""The methods of a collection that change where its records are: see `Collection`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.record_changes import RecordChanges
from stones.engine import Transaction
from stones.errors import ReadOnlyError
from stones.stores.database import Database

from .copying import copy_records
from .dropping import drop_collection
from .merging import merge_collection
from .renaming import rename_collection
from .stored_collection import check_name

T = TypeVar("T")


class MovingWork:
    """Renames, copies, splits, merges and drops one collection, each in one transaction."""

    def __init__(self, source: QueriedRecords[Any, Any]) -> None:
        self.records = source.records
        self._source = source
        self._name = source.records.name

    def rename(self, name: str) -> None:
        """See `Collection.rename`."""
        check_name(name)
        self._change(lambda database, txn: rename_collection(database, txn, self._name, name))

    def copy(self, name: str, filters: Sequence[Any]) -> int:
        """See `Collection.copy`."""
        return self._copied(name, filters, removes=False)

    def split(self, name: str, filters: Sequence[Any]) -> int:
        """See `Collection.split`."""
        return self._copied(name, filters, removes=True)

    def merge(self, name: str) -> int:
        """See `Collection.merge`."""
        check_name(name)
        return self._change(lambda database, txn: merge_collection(database, txn, self._name, name))

    def drop(self) -> None:
        """See `Collection.drop`."""
        self._change(lambda database, txn: drop_collection(database, txn, self._name))

    def _copied(self, name: str, filters: Sequence[Any], *, removes: bool) -> int:
        check_name(name)
        database, source = self._writable(), self._source

        def change(changes: RecordChanges) -> int:
            return copy_records(database, changes, source, name, filters, removes=removes)

        # Joinable, so that the query reads in it.
        return source.records.change(change, joinable=True)

    def _change(self, change: Callable[[Database, Transaction], T]) -> T:
        database = self._writable()
        return database.transact(lambda txn: change(database, txn))

    def _writable(self) -> Database:
        database = self._source.records.database
        if not isinstance(database, Database):
            raise ReadOnlyError(f"{self._name}: a collection of a snapshot is read-only")
        self.records.check_there()
        return database
