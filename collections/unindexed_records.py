"""The records of a step of an index build, where a commit may find conflicts.

There a transaction that has scanned is in conflict with every change of what it has scanned. Where
others write all the time, no step would ever be committed. So another transaction scans, and the
step compares only the records whose entries are missing.

That is enough, because the index was defined before: since then every writer adds the entries that
its change makes new, and removes the others. So a record whose entries were all there has all of
them later too. For the others the step looks at the record as it is now: a writer leaves out the
entries that its change does not concern. If such a record changes before the commit, the step runs
again.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from attrs import frozen

from stones.collections.indexes.maintenance import INDEX, RecordIndexes
from stones.engine import Transaction
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import Span

from .field_decoding import FieldDecoder

SHORT_STEP = 200
"""So many records are looked at in one step: the shorter it is, the fewer of them change."""


def reads_apart(database: Database) -> bool:
    """Whether another transaction is to scan, and not the one that writes."""
    # Only a transaction of its own sees all that is there: not the ambient one of a program.
    return database.engine.supports.conflicts and not database.in_transaction()


@frozen
class UnindexedRecords:
    """Records as another transaction saw them, without those whose entries are all there."""

    looked_at: int
    """How many records were scanned."""
    last: bytes | None
    """The stored key of the last one. None if no record is left after it."""
    _due: Sequence[bytes]
    """The stored keys of the records whose entries are missing."""
    _unique: Sequence[bytes]
    """Their entries, if an index is unique: each of them is looked up in the step."""

    @classmethod
    def read(
        cls,
        database: Database,
        indexes: RecordIndexes,
        span: Span,
        prefix: bytes,
        decode: FieldDecoder,
    ) -> "UnindexedRecords":
        """The records of a span, as many as its limit. Their stored keys begin with `prefix`."""
        entries: list[dict[bytes, bytes]] = []
        with database.reading() as read:
            scanned = [*islice(read.scan(DATA, span.start, span.stop), span.limit)]
            for stored, raw in scanned:
                record = indexes.seen(decode(stored, raw))
                entries.append(
                    {} if record is None else indexes.entries(record, stored[len(prefix) :])
                )
            asked = [entry for of_record in entries for entry in of_record]
            present = dict(zip(asked, read.get_many(INDEX, asked), strict=True))
        due: list[bytes] = []
        looked_up: list[bytes] = []
        for (stored, _), of_record in zip(scanned, entries, strict=True):
            if any(present[entry] != value for entry, value in of_record.items()):
                due.append(stored)
                looked_up += of_record
        has_unique = any(index.unique for index in indexes.definitions)
        last = scanned[-1][0] if len(scanned) == span.limit else None
        return cls(len(scanned), last, due, looked_up if has_unique else ())

    def as_of_now(self, txn: Transaction) -> Iterator[tuple[bytes, bytes]]:
        """The records whose entries are missing, as the transaction of the step sees them."""
        now = txn.get_many(DATA, self._due)
        txn.get_many(INDEX, self._unique)  # all in one round trip: it remembers what it has read
        for stored, raw in zip(self._due, now, strict=True):
            if raw is not None:
                yield stored, raw
