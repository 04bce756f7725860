"""RecordBatch: many records on their way into a collection, a thousand at a time.

`Collection.add_many` gives it all records. Of each thousand it reads at once which keys are
there already: over a network, each read would take a round trip.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeVar

from stones.stores.database_reader import DATA, GET_MANY

from .record_changes import RecordChanges
from .stored_records import StoredRecords

K = TypeVar("K")
R = TypeVar("R")

OnDuplicate = Literal["error", "skip", "replace"]
"""What `add_many` does with a record whose key is there already."""


class RecordBatch(Generic[K, R]):
    """Records that are written in one operation on a collection.

    A record is turned into its stored dict before the next one is asked for. So an iterator may
    give the same record again, changed.
    """

    def __init__(
        self,
        records: StoredRecords[K, R],
        changes: RecordChanges,
        on_duplicate: OnDuplicate,
        progress: Callable[[int], object] | None,
    ) -> None:
        self._records = records
        self._changes = changes
        self._on_duplicate = on_duplicate
        self._progress = progress
        # Code of the caller that is in the transaction sees each record at once.
        self._size = 1 if changes.is_seen else GET_MANY
        self._waiting: list[tuple[K, bytes, Any]] = []
        self._so_far = 0
        self.written = 0

    def write(self, records: Iterable[R], key_of: Callable[[R], K]) -> None:
        """Write records. `key_of` gives the key of a record.

        Raises what `records` raises, and what `StoredRecords.write` does.
        """
        stored_key, dump, size = self._records.stored_key, self._records.dump, self._size
        waiting = self._waiting
        try:
            for record in records:
                key = key_of(record)
                waiting.append((key, stored_key(key), dump(key, record)))
                if len(waiting) >= size:
                    self._flush()
        except Exception:
            self._flush()  # a record before this one may have an error of its own
            raise
        self._flush()

    def _flush(self) -> None:
        """Write what waits. Raises DuplicateKeyError for a record that is there already."""
        waiting = self._waiting[:]
        self._waiting.clear()
        if not waiting:
            return
        records, changes, progress = self._records, self._changes, self._progress
        if not changes.is_claimed:
            records.describe(changes)  # what is there may belong to somebody else
        befores = changes.txn.get_many(DATA, [stored for _, stored, _ in waiting])
        written: dict[bytes, bytes] = {}
        put, replaces = records.put, self._on_duplicate == "replace"
        try:
            for (key, stored, value), before in zip(waiting, befores, strict=True):
                present = written.get(stored, before)
                if present is None or replaces or records.is_removed(changes, stored):
                    written[stored] = put(changes, key, stored, present, value)
                    self.written += 1
                elif self._on_duplicate == "error":
                    raise records.duplicate(key)
                self._so_far += 1
                if progress is not None:
                    progress(self._so_far)
        finally:  # of two errors, the caller gets the one of the earlier record
            if changes.batch is not None:
                changes.batch.check()
