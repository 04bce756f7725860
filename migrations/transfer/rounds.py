"""One run of a copy: its rounds, from the lock of the target to its end.

`stones.migrations.transfer.copying` says what the rounds are for.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from stones.engine import Page, Space, Transaction
from stones.engines.compared_states import KeySpan
from stones.errors import ConflictError, EncryptionKeyError, FormatMismatchError, MigrationError
from stones.formats.codec import Codec
from stones.formats.encryption_keys import KeyRing
from stones.formats.generation import GENERATION
from stones.formats.metadata import read_metadata
from stones.formats.request import FormatRequest
from stones.migrations.progress import Progress, ProgressCounter
from stones.stores.transactions import transaction

from .conversion import Conversion
from .differences import Stretch, differences
from .limits import check_sizes
from .places import identity, is_open
from .source import CopySource, Counts
from .target import CopyTarget

BATCH_ENTRIES = 10_000
"""A transaction writes about so many entries at most."""
BATCH_BYTES = 4_000_000
"""A transaction writes about so many bytes at most."""
BATCH_SCAN = 50_000
"""So many entries of the source are read in one transaction, unless one state is read."""
FEW = 1_000
"""So few changes are left for the last round."""
ROUNDS = 5
"""After so many rounds of changes the last one begins, however many are left."""
_TRIES = 20


class CopyRun:
    """One run of a copy: `prepare`, then `run`."""

    def __init__(
        self, source: CopySource, target: CopyTarget, keys: KeyRing, progress: Progress | None
    ) -> None:
        self._source = source
        self._target = target
        self._by_keys = FormatRequest(None, keys=keys)
        self._progress = ProgressCounter(progress, 2 * source.total())
        self._conversion: Conversion | None = None
        self.written = self.removed = 0
        self.resumed = False

    def is_done(self) -> bool:
        """Whether the target is a finished copy that is still equal to the source.

        A run may have been killed after its last transaction. It decodes no value, unless values
        are encoded anew.
        """
        target = self._target
        if target.found() is not None or target.is_empty() or target.database.is_stones03:
            return False
        if self._set_conversion() is None and not self._has_formats_of_source():
            return False
        with self._source.one_state() as state:
            present = target.engine.begin()
            try:
                self.resumed = self._are_equal(state, present)
            finally:
                present.abort()
        return self.resumed

    def _has_formats_of_source(self) -> bool:
        # A copy has the generation of its source, which is like no other. Stones 0.3 has none.
        name = b"formats" if self._source.is_stones03 else GENERATION
        formats = self._source.engine.read(self._source.formats)
        return formats.get(name) == self._target.engine.get(Space.META, name)

    def _are_equal(self, state: Transaction, present: Transaction) -> bool:
        """Whether a state of the target is a finished copy of one of the source."""
        if Counts.read(state) != Counts.read(present):
            return False
        is_anew = self._conversion is not None
        try:
            for space in Space:
                equal = self._conversion.equal if self._conversion and space is Space.DATA else None
                old = self._target.pages(present, space, b"", encoded_anew=is_anew)
                for stretch in differences(old, self._pages(state, space, b""), equal):
                    if stretch.puts or stretch.deletes:
                        return False
        except MigrationError:  # a value that the target cannot have
            return False
        return True

    def prepare(self, *, replace: bool) -> None:
        """Look whether the target may be written, and lock it. Raises MigrationError."""
        source, target = self._source, self._target
        place = identity(source.database)
        note = target.found()
        self.resumed = note is not None and note.source == place
        if target.database.is_stones03:
            raise MigrationError(
                f"{target.database.name!r} is a database of stones 0.3, or of another program: "
                "nothing was written; name another target"
            )
        if note is not None and not self.resumed and not replace:
            raise MigrationError(
                f"{target.database.name!r} is an unfinished copy of {note.source!r:.200}, not of "
                f"{place!r}: nothing was written; copy that store to go on, name another target, "
                "or replace what is there with replace=True (`stones copy --replace`)"
            )
        if note is None and not replace and not target.is_empty():
            raise MigrationError(
                f"{target.database.name!r} has entries that are not of a copy of {place!r} as it "
                "is now: nothing was written; if it is an older copy, replace=True (`stones copy "
                "--replace`) brings it up to date, and undoes what was changed in it; if it is "
                "not, name another target"
            )
        codec = self._set_conversion()
        check_sizes(source, target, values=codec is None)
        target.claim(place, codec)
        if target.has_note_of(source.engine):
            target.release()
            raise MigrationError(
                "the source and the target are the same store: name another target"
            )
        target.lock()

    def run(self, *, snapshot: bool, at_end: Callable[[], object] | None) -> float:
        """Copy, and finish the target. For how many seconds writers had to wait."""
        source = self._source
        if snapshot:
            with source.one_state() as state:
                if self._compare(state):
                    self._compare(state, verify=True)
                self._finish(state)
            return 0.0
        self._copy_live()
        with ExitStack() as states:
            state = states.enter_context(source.one_state())
            self._compare(state, verify=True)
            if not source.engine.supports.snapshots:
                self._finish(state)
                return 0.0
            for _ in range(ROUNDS):
                later = states.enter_context(source.one_state())
                changes = self._follow(state, later)
                state.abort()
                state = later
                if changes <= FEW:
                    break
            if at_end is None:
                self._finish(state)
                return 0.0
            return self._end_locked(state, at_end)

    def sizes(self) -> tuple[int, int]:
        """How many entries the copy has, and how many its indexes have."""
        return self._target.engine.read(lambda txn: (txn.count(Space.DATA), txn.count(Space.INDEX)))

    # -- the rounds --------------------------------------------------------------------------------

    def _copy_live(self) -> None:
        """Write what differs from the source, which is read in short transactions."""
        for space in Space:
            start: bytes | None = b""
            while start is not None:
                txn = self._source.engine.begin()
                try:
                    start = self._batch(txn, space, start, BATCH_SCAN, verify=False)
                finally:
                    txn.abort()

    def _compare(self, state: Transaction, *, verify: bool = False) -> int:
        """Compare every value of a state with the target. How many were written or removed."""
        before = self.written + self.removed
        for space in Space:
            start: bytes | None = b""
            while start is not None:
                start = self._batch(state, space, start, None, verify=verify)
        return self.written + self.removed - before

    def _batch(
        self, txn: Transaction, space: Space, start: bytes, most: int | None, *, verify: bool
    ) -> bytes | None:
        """Bring over the next changes from the key `start` on. Where to go on; None at the end."""
        changes = self._changes()
        present = self._target.engine.begin()
        last = None
        looked_at = 0
        try:
            old = self._target.pages(
                present, space, start, encoded_anew=self._conversion is not None
            )
            new = self._pages(txn, space, start)
            equal = self._conversion.equal if self._conversion and space is Space.DATA else None
            for stretch in differences(old, new, equal):
                changes.take(stretch)
                looked_at += stretch.looked_at
                self._progress.add(stretch.looked_at if space is not Space.META else 0)
                if changes.is_full or (most is not None and looked_at >= most):
                    last = stretch.last
                    break
        finally:
            present.abort()
        self._apply(space, changes, verify=verify)
        return None if last is None else last + b"\0"

    def _follow(self, state: Transaction, later: Transaction) -> int:
        """Bring over what differs between two states of the source. How many changes that were."""
        before = self.written + self.removed
        for space in Space:
            changes = self._changes()
            for stretch in self._changed(state, later, space):
                changes.take(stretch)
                if changes.is_full:
                    self._apply(space, self._encoded(space, changes, later), verify=True)
                    changes = self._changes()
            self._apply(space, self._encoded(space, changes, later), verify=True)
        return self.written + self.removed - before

    def _changed(self, state: Transaction, later: Transaction, space: Space) -> Iterator[Stretch]:
        """What differs between two states of the source."""
        for span in self._source.changed_spans(state, later, space):
            old, new = (self._stored(txn, space, span) for txn in (state, later))
            yield from differences(old, new)

    def _end_locked(self, state: Transaction, at_end: Callable[[], object]) -> float:
        """Bring over the last changes while no program writes to the source, and call `at_end`."""
        database = self._source.database
        for is_last in [False] * _TRIES + [True]:
            try:
                with transaction(database.engine, timeout=database.timeout) as txn:
                    started = time.monotonic()
                    self._follow(state, txn)
                    formats, counts = self._source.formats(txn), Counts.read(txn)
                    at_end()
                break
            except ConflictError:  # a server without a lock: others have written meanwhile
                if is_last:
                    raise
        pause = time.monotonic() - started
        self._progress.finish()
        self._target.finish(formats, counts)
        return pause

    def _finish(self, state: Transaction) -> None:
        self._progress.finish()  # before the end: an interrupt of `progress` leaves it unfinished
        self._target.finish(self._source.formats(state), Counts.read(state))

    # -- what the rounds share ---------------------------------------------------------------------

    def _pages(self, txn: Transaction, space: Space, start: bytes) -> Iterator[Page]:
        pages = self._stored(txn, space, (start, None))
        if self._conversion is None or space is not Space.DATA:
            return pages
        return self._conversion.converted(pages, txn)

    def _stored(self, txn: Transaction, space: Space, span: KeySpan) -> Iterator[Page]:
        """The entries of the source, before they are encoded anew."""
        return self._source.pages(txn, space, span, encoded_anew=self._conversion is not None)

    def _encoded(self, space: Space, changes: "_Changes", txn: Transaction) -> "_Changes":
        """The changes with the stored bytes of the target."""
        if self._conversion is None or space is not Space.DATA or not changes.puts:
            return changes
        keys, values = zip(*changes.puts, strict=True)
        encoded = self._changes()
        encoded.deletes = changes.deletes
        for page in self._conversion.converted(iter([(keys, values)]), txn):
            encoded.puts = list(zip(*page, strict=True))
        return encoded

    def _apply(self, space: Space, changes: "_Changes", *, verify: bool) -> None:
        puts, deletes = changes.puts, changes.deletes
        if not puts and not deletes:
            return
        self._target.put(space, puts, deletes)
        if verify:
            self._target.verify(space, puts, deletes)
        self.written += len(puts)
        self.removed += len(deletes)

    def _set_conversion(self) -> Codec | None:
        """Find out whether values are encoded anew, and by which codec."""
        codec = self._codec_of_target()
        if codec is not None:
            if not is_open(self._source.database):
                self._source.database.open(self._by_keys)
            self._conversion = Conversion(self._source.database, codec)
        return codec

    def _codec_of_target(self) -> Codec | None:
        """What encodes the values anew; None if their bytes are copied as they are."""
        database = self._target.database
        metadata = self._source.engine.read(read_metadata)
        is_encrypted = metadata is not None and any(
            metadata.formats[id].encryption for id in metadata.in_use
        )
        if not is_open(database):
            codec = self._target.own_codec(self._by_keys) if self.resumed else None
            if codec is None and is_encrypted:
                self._check_holds_encrypted()
            return codec
        request, codec = database.request, database.codec
        if self._source.is_stones03 or metadata is None:
            return codec if request.name is not None else None
        is_other = False
        try:
            request.check(metadata, database.name)
        except EncryptionKeyError:  # the bytes are copied without a key, unless encrypt= is named
            is_other = request.encrypts is not None
        except FormatMismatchError:
            is_other = True
        if is_other and is_encrypted and request.encrypts is None:
            raise MigrationError(
                f"nothing was written: the values of {database.name!r} would not be encrypted as "
                "in the source; open the target with encrypt=key, or with encrypt=False"
            )
        if is_encrypted and not is_other:
            self._check_holds_encrypted()
        return codec if is_other else None

    def _check_holds_encrypted(self) -> None:
        """Raise MigrationError if no program could read encrypted values in the target."""
        database = self._target.database
        if not database.engine.packs_values:
            raise MigrationError(
                f"nothing was written: {database.name!r} is for people or for other programs, and "
                "cannot hold the encrypted values of the source; to have them decrypted, open the "
                "target with encrypt=False"
            )

    def _changes(self) -> "_Changes":
        """An empty batch. A commit of an engine in memory costs O(n): its batches grow."""
        scale = self.written // BATCH_ENTRIES if self._target.is_in_memory else 1
        return _Changes(max(scale, 1))


class _Changes:
    """Changes of a space that are written together."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self.puts: list[tuple[bytes, bytes]] = []
        self.deletes: list[bytes] = []
        self._size = 0

    def take(self, stretch: Stretch) -> None:
        if stretch.puts:
            self.puts += stretch.puts
            self._size += sum(len(raw) for _, raw in stretch.puts)
        self.deletes += stretch.deletes

    @property
    def is_full(self) -> bool:
        count, scale = len(self.puts) + len(self.deletes), self._scale
        return count >= BATCH_ENTRIES * scale or self._size >= BATCH_BYTES * scale
