"""Looks for damage in a store of any kind, through its engine, in one read transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import ge
from typing import Any

from attrs import evolve, frozen

from stones.engine import Engine, Space, Transaction
from stones.engines.stones03 import Stones03Engine
from stones.errors import LockTimeoutError, StorageError, StoreClosedError
from stones.formats.request import FormatRequest
from stones.migrations.progress import Progress
from stones.stores.database import Database
from stones.stores.existing import open_database, shown_url
from stones.stores.sorted_entries import Pair
from stones.stores.store import Store

from .contents import COUNT, StoredMetadata, parse_metadata, stones03_metadata
from .counted_entries import Counted, counting
from .examination import Examination
from .findings import DamageFinding
from .value_check import ValueCheck


@frozen
class StoreToCheck:
    """A store that is open."""

    store: Store[Any, Any]
    request: FormatRequest

    @property
    def name(self) -> str:
        """The name of the store."""
        return self.store.database.name

    @contextmanager
    def examined(self, progress: Progress | None = None) -> Iterator[Examination]:
        """What is seen of the committed state. The block goes through the findings."""
        with _examined(self.store.database.engine, self.request, progress) as examination:
            yield examination

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """The store, for a repair."""
        yield self.store.database


@frozen
class UrlToCheck:
    """A store that a URL names."""

    url: str
    request: FormatRequest

    @property
    def name(self) -> str:
        """The URL without a password."""
        return shown_url(self.url)

    @contextmanager
    def examined(self, progress: Progress | None = None) -> Iterator[Examination]:
        """What is seen of the store, opened read-only. The block goes through the findings."""
        with (
            open_database(self.url, readonly=True) as database,
            _examined(database.engine, self.request, progress) as examination,
        ):
            yield examination

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """The store, for a repair."""
        with open_database(self.url) as database:
            name = None if self.request.custom is None else self.request.name
            database.open(evolve(self.request, name=name))
            yield database


@contextmanager
def _examined(
    engine: Engine, request: FormatRequest, progress: Progress | None
) -> Iterator[Examination]:
    findings = [
        DamageFinding(f"the engine finds damage in its file: {what}") for what in engine.problems()
    ]
    txn = engine.begin()
    try:
        yield _examine(_Reading(engine, txn, progress), request, findings)
    finally:
        txn.abort()


def _examine(
    reading: "_Reading", request: FormatRequest, findings: list[DamageFinding]
) -> Examination:
    snapshot = reading.engine.supports.snapshots
    examination = Examination(None, findings, unread=reading.problems, snapshot=snapshot)
    stored = dict(reading.entries(Space.META))
    if reading.failed:
        return examination
    if isinstance(reading.engine, Stones03Engine) and reading.engine.legacy:
        examination.version = "0.3"
        examination.values = _value_check(stones03_metadata(request), reading)
        return examination
    if not stored and next(reading.txn.keys(Space.DATA), None) is None:
        findings.append(DamageFinding("there is no store in it: it has no entries"))
        return examination
    findings += _wrong_sums(reading.txn, stored)
    metadata = parse_metadata(stored, request)
    examination.version = metadata.layout
    findings += metadata.findings
    examination.values = _value_check(metadata, reading)
    return examination


def _value_check(metadata: StoredMetadata, reading: "_Reading") -> ValueCheck:
    counted = reading.counting()
    return ValueCheck(
        metadata,
        counted(reading.entries(Space.DATA)),
        counted(reading.entries(Space.INDEX)),
        is_lost=lambda: reading.failed,
    )


class _Reading:
    """Reads the spaces of an engine. What it cannot read becomes a problem, and no error."""

    def __init__(self, engine: Engine, txn: Transaction, progress: Progress | None) -> None:
        self.engine = engine
        self._progress = progress
        self.txn = txn
        self.problems: list[DamageFinding] = []
        self.failed = False
        """Whether not all entries could be read."""

    def counting(self) -> Counted:
        """What tells the progress of reading the entries of the store and of its indexes."""
        if self._progress is None:
            return counting(None, 0)
        try:
            total = self.txn.count(Space.DATA) + self.txn.count(Space.INDEX)
        except StorageError:  # reading the entries tells of it
            return counting(None, 0)
        return counting(self._progress, total)

    def entries(self, space: Space) -> Iterator[Pair]:
        """The entries of a space, as far as they can be read."""
        engine, read = self.engine, 0
        last = b""
        try:
            for keys, values in self.txn.pages(space):
                if not last < keys[0] or any(map(ge, keys, keys[1:])):
                    self.failed = True
                    self._add(f"the keys of {space.name} are not in order after {last!r}")
                last = keys[-1]
                read += len(keys)
                yield from zip(keys, values, strict=True)
            counted = engine.supports.counts and engine.supports.snapshots
            if counted and (count := self.txn.count(space)) != read:
                self._add(f"{space.name} has {read:,} entries, but the engine counts {count:,}")
        except (StoreClosedError, LockTimeoutError):
            raise
        except StorageError as error:
            if engine.supports.machines:  # the connection is lost
                raise
            self.failed = True
            self._add(f"the entries of {space.name} cannot be read to the end: {error}")

    def _add(self, what: str) -> None:
        self.problems.append(DamageFinding(what))


def _wrong_sums(txn: Transaction, stored: dict[bytes, bytes]) -> Iterator[DamageFinding]:
    """Put the sums among the entries of the metadata, where other engines have them.

    An entry that is no sum, though it has the name of a count, is a finding.
    """
    sums = dict(txn.sums())
    for key in [*stored]:
        if key in sums or (key.startswith(COUNT) and _is_stray(txn, key, stored[key])):
            del stored[key]
            what = "metadata: an entry with the name of a count, which this engine keeps elsewhere"
            yield DamageFinding(what, key, repairable=True)
    stored.update({key: b"%d" % number for key, number in sums.items()})


def _is_stray(txn: Transaction, key: bytes, raw: bytes) -> bool:
    """Whether an entry of the metadata is not the sum of its name."""
    if not raw.isdigit() or len(raw) > 18:
        return False  # it is damaged, wherever the sum is
    return txn.sum(key) != int(raw)
