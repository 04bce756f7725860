"""What one operation on a collection changes, from its start to its end.

`stored_records` makes one for each operation that writes.
"""

from typing import TYPE_CHECKING

from attrs import define

from stones.engine import Transaction

from .step_changes import StepChanges

if TYPE_CHECKING:
    from stones.collections.indexes.maintenance import EntryBatch


@define(eq=False, repr=False)  # which takes less than half the time to make
class RecordChanges:
    """What one operation on a collection changes: its transaction, and the change of the count."""

    txn: Transaction
    is_claimed: bool
    """Whether the collection has a description. If not, what is at its keys is no record."""
    is_described: bool
    """Whether writing a record would add nothing to the description."""
    described: bytes | None = None
    """The stored bytes of the description, if it was written."""
    added: int = 0
    """Records added less records removed. It is added to the count when the operation ends."""
    are_many: bool = False
    """Whether the entries of new records are held back, and written many at a time."""
    is_seen: bool = False
    """Whether code of the caller sees the records so far. Then each is counted at once."""
    batch: "EntryBatch | None" = None
    """The entries that are held back."""
    steps: StepChanges | None = None
    """Marks what is written while some records lack steps of the program."""
