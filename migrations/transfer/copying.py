"""`copy`: a store to another place, between any two engines, while programs use it.

A copy has rounds. Each of them compares the source with the target, and writes what differs:

1. The source is read in short transactions. This writes most of the entries.
2. One state of the source is compared with the target, value by value.
3. What has changed in the source since then is found by comparing two of its states.

So a copy that was killed goes on, and its second round is the proof that nothing is missing. Until
the end the target has a layout that no program opens (`stones.formats.unfinished`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from attrs import frozen

from stones.errors import MigrationError, UnsupportedError
from stones.formats.encryption_keys import Encrypt, KeyRing
from stones.migrations.progress import Progress
from stones.stores.database import Database

from .places import Place, identity, opened, shown
from .readability import check_readable
from .rounds import CopyRun
from .source import CopySource
from .target import CopyTarget


@frozen
class CopyReport:
    """The result of `copy`.

    >>> from stones import MemoryStore, copy
    >>> report = copy(MemoryStore({'one': 1, 'two': 2}, serialize='json'), MemoryStore())
    >>> report.entries, report.index_entries, report.written, report.removed, report.resumed
    (2, 0, 2, 0, False)
    """

    entries: int
    """The entries of the copy, records included."""
    index_entries: int
    """The entries of its indexes."""
    written: int
    """How many entries were written, those of indexes and metadata included."""
    removed: int
    """How many entries of the target were removed, since the source has them no more."""
    resumed: bool
    """Whether it went on with an unfinished copy, or found a finished one that is equal."""
    seconds: float
    """How long it took."""
    pause: float
    """For how many seconds writers of the source had to wait, at the end. 0.0 without `at_end`."""


def copy(
    source: Place,
    target: Place,
    *,
    snapshot: bool = False,
    replace: bool = False,
    at_end: Callable[[], object] | None = None,
    keys: Encrypt = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy a store to another place, with collections, indexes, namespaces and all it knows.

    Each of the two is an open store, the path of an LMDB store, or the URL of any store. A target
    that is not there is made. Other programs read and write the source meanwhile. The copy has what
    they commit before its last round; with `snapshot=True` it is the source at one instant, when
    the copy began. Every value is compared.

    The stored bytes are copied as they are, so no serializer and no key has to be known. If the
    target is an open store that was opened with another serializer than the source has, or with
    other `checksums`, `compress` or `encrypt`, its values are decoded and encoded.

    A copy may be interrupted or killed at any time: no program opens the target then. Run it again
    to go on. A finished copy that is still equal to the source is left as it is. A target with
    other entries, or an unfinished copy of another store, is refused unless `replace=True`. That
    removes what the source does not have, and writes only what differs. An older copy is brought up
    to date by it, and what programs have changed in the copy is undone.

    `at_end` is called when the copy is complete, inside a write transaction of the source. What it
    writes there is committed with it. Writers of the source wait for that: see
    `CopyReport.pause`. `keys` are the keys of encrypted stores that are named by a path or URL, as
    `encrypt=` takes them. Only values that are encoded anew need keys. `progress` is
    called with the steps done and the number of all steps.

    It takes constant memory, and reads all entries twice. Raises MigrationError, before anything is
    written, for a target that has entries, for a key or value that the engine of the target cannot
    hold, and inside a transaction. Raises FormatMismatchError if the source is a database of stones
    0.3 and its serializer cannot read each value; UnsupportedError for `snapshot=True` or `at_end`
    if the source has no snapshots; StoreOpenError.

    >>> from stones import LmdbStore, copy, stone
    >>> with LmdbStore('here', serialize='json') as store:
    ...     store['key'] = (1, 2)
    >>> copy('here', 'sqlite:there.db').entries
    1
    >>> stone('sqlite:there.db')['key']
    (1, 2)
    """
    started = time.monotonic()
    with ExitStack() as stack:
        origin = stack.enter_context(_opened_source(source, must_write=at_end is not None))
        if not origin.engine.supports.snapshots and (snapshot or at_end is not None):
            raise UnsupportedError(
                f"the engine of {shown(source)} has no snapshots: copy it without "
                f"{'snapshot=True' if snapshot else 'at_end='}"
            )
        reader = CopySource(origin)
        check_readable(origin)
        database = stack.enter_context(opened(target, readonly=False, create=True))
        if database.engine is origin.engine or identity(database) == identity(origin):
            raise MigrationError(f"{shown(source)} cannot be copied to itself: name another target")
        work = CopyRun(reader, CopyTarget(database), KeyRing.of(keys), progress)
        pause = 0.0
        if at_end is not None or not work.is_done():
            work.prepare(replace=replace)
            pause = work.run(snapshot=snapshot, at_end=at_end)
        entries, index_entries = work.sizes()
    return CopyReport(
        entries=entries,
        index_entries=index_entries,
        written=work.written,
        removed=work.removed,
        resumed=work.resumed,
        seconds=time.monotonic() - started,
        pause=pause,
    )


@contextmanager
def _opened_source(place: Place, *, must_write: bool) -> Iterator[Database]:
    with opened(place, readonly=not must_write, create=False) as database:
        if must_write or database.engine.supports.snapshots or not database.readonly:
            yield database
            return
    # Without snapshots, the last round has to write: a copy on the server, or a transaction.
    with opened(place, readonly=False, create=False) as database:
        yield database
