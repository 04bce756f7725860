"""RecordBatch: many records on their way into a collection, a thousand at a time.

`Collection.add_many` gives it record after record. Of each thousand it reads at once which keys are
there already: over a network, each read would take a round trip.
"""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from stones.stores.database_reader import DATA, GET_MANY

from .record_changes import RecordChanges
from .stored_records import StoredRecords

K = TypeVar("K")
R = TypeVar("R")

OnDuplicate = Literal["error", "skip", "replace"]
"""What `add_many` does with a record whose key is there already."""


class RecordBatch(Generic[K, R]):
    """Records that are written in one operation on a collection. `flush` writes the last of them.

    A record is turned into its stored dict when it is added, so the caller may change it later.
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

    def add(self, key: K, record: R) -> None:
        """Write a record, now or later. Raises as `StoredRecords.write` does, and as `flush`."""
        records = self._records
        self._waiting.append((key, records.stored_key(key), records.dump(key, record)))
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises DuplicateKeyError for a record that is there already."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        records, changes, progress = self._records, self._changes, self._progress
        if not changes.is_claimed:
            records.describe(changes)  # what is there may belong to somebody else
        befores = changes.txn.get_many(DATA, [stored for _, stored, _ in waiting])
        written: dict[bytes, bytes] = {}
        for (key, stored, value), before in zip(waiting, befores, strict=True):
            present = written.get(stored, before)
            if present is None or self._on_duplicate == "replace":
                written[stored] = records.put(changes, key, stored, present, value)
                self.written += 1
            elif self._on_duplicate == "error":
                raise records.duplicate(key)
            self._so_far += 1
            if progress is not None:
                progress(self._so_far)
