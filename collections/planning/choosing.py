"""The choice of a plan for one query, in one transaction: through indexes, or by reading all.

`plan` has the ways that are possible, `probing` finds the shortest, and `index_execution` goes it.
"""

from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from sys import maxsize
from typing import Any, Final

from attrs import evolve, frozen

from stones.collections.language.normal_form import Part
from stones.collections.stored_records import StoredRecords
from stones.engine import Space, Transaction
from stones.errors import QueryError
from stones.formats.messages import show
from stones.stores.claims import count_key, read_count

from .ordered_walk import is_walkable, split_place
from .plan import (
    Access,
    Candidate,
    QueryIndex,
    candidates,
    conjuncts,
    gives_key_order,
    is_ordered,
    whole_access,
)
from .probing import CandidateReader, most_keys, shortest
from .selection import AUTO, Selection
from .usable_indexes import UsableIndexes


class Way(Enum):
    """How the records of a query are found."""

    SCAN = "all records of the span are read and tested"
    RANGE = "the records between some keys are read and tested"
    KEYS = "the keys of the records are taken from indexes"
    WALK = "an index is followed in the order that is wanted"


@frozen(eq=False)
class Choice:
    """How a query is answered."""

    way: Way
    parts: tuple[Part, ...] = ()
    """The conjuncts of the filters."""
    reader: CandidateReader | None = None
    """For KEYS: the keys, all of which were read. For a WALK: what to do if it takes too long."""
    access: Access | None = None
    """For RANGE and WALK: the spans to go through."""
    give_up: int | None = None
    """After so many records a WALK has taken too long."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """The indexes that are not used, each with the reason."""
    key_order: Selection | None = None
    """The selection in the order of the keys, if its own order is this one."""

    @property
    def uses_entries(self) -> bool:
        """Whether entries of indexes are read, or records by their keys."""
        return self.way in (Way.KEYS, Way.WALK)

    @property
    def is_complete(self) -> bool:
        """Whether a clear key needs no test: all conjuncts are answered, and exactly."""
        if self.way is Way.KEYS:
            assert self.reader is not None
            return self.reader.answers(len(self.parts))
        if self.way is Way.SCAN or self.access is None:
            return False
        return self.access.complete


_SCAN: Final = Choice(Way.SCAN)
_Found = tuple[Way, CandidateReader | None, Access | None, int | None]
"""The parts of a `Choice` that depend on what was found."""
_NO_INDEX: Final[_Found] = (Way.SCAN, None, None, None)
_MOST_PLANS: Final = 512


def may_use_index(selection: Selection) -> bool:
    """Whether there is anything to choose for a query."""
    if selection.using is None or not (selection.filters or selection.order):
        return selection.using not in (None, AUTO)
    return True


def choose(
    records: StoredRecords[Any, Any],
    selection: Selection,
    txn: Transaction,
    indexes: UsableIndexes,
    *,
    is_count: bool = False,
) -> Choice:
    """The best way to answer a query, as a transaction sees the indexes.

    For `is_count` it is enough to find as many keys as the selection wants, whichever they are.

    Raises QueryError if the query wants an index that there is not, or that cannot be used for it.
    """
    if any(each.selector is not None for each in selection.filters):
        if selection.using is not AUTO:
            raise QueryError(
                f"using({selection.using!r}): no index answers a filter that refers to all records "
                "with $"
            )
        return _SCAN
    if indexes.is_unwritten:
        return _SCAN
    if selection.filters or selection.using is not AUTO:
        return _Chooser(records, selection, txn, indexes, is_count).choice()
    # A choice by the order alone holds as long as the indexes do.
    known: Choice | None = indexes.plans.get(selection.order)
    if known is None:
        known = _Chooser(records, selection, txn, indexes, is_count).choice()
        if known.key_order is None:
            indexes.plans[selection.order] = known
    return known


class _Chooser:
    def __init__(
        self,
        records: StoredRecords[Any, Any],
        selection: Selection,
        txn: Transaction,
        indexes: UsableIndexes,
        is_count: bool,
    ) -> None:
        self._records = records
        self._txn = txn
        self._indexes = indexes
        self._usable: Sequence[QueryIndex] = self._indexes.usable
        self._key = self._indexes.key
        self._is_forced = selection.using is not AUTO
        if self._is_forced:
            self._usable = (_named(records.name, selection.using, self._indexes),)
        self._key_order: Selection | None = None
        if selection.order and gives_key_order(selection.order, self._key):
            self._key_order = selection = in_key_order(selection)
        if self._is_forced:
            self._key = None
        self._selection = selection
        self._parts, self._ways = self._planned()
        self._counts = is_count and selection.span == records.span and selection.after is None
        self._passed: list[tuple[str, str]] = list(self._indexes.unusable.items())

    def choice(self) -> Choice:
        """The best way to answer the query."""
        way, reader, access, give_up = self._choice()
        passed, key_order = tuple(self._passed), self._key_order
        return Choice(way, self._parts, reader, access, give_up, passed, key_order)

    def _choice(self) -> _Found:
        ways = self._ways
        walks = self._walks(ways) if self._selection.order else []
        if self._is_forced and not ways and not walks:
            raise QueryError(
                f"using({self._selection.using!r}): the index cannot be used for this query: none "
                "of its conditions, and no order, is about its first path"
            )
        if not ways and not walks:
            return _NO_INDEX
        if len(ways) == 1 and not walks and _is_range(ways[0]):
            return self._range(ways[0])
        straight = self._straight_walk(walks)
        if straight is not None:
            return Way.WALK, None, straight, None
        # Of two ways with the same count, the one that gives the order wins, then the older index.
        ways.sort(key=lambda way: not any(way.sides[0][0] is access for access in walks))
        readers = [CandidateReader(self._txn, way, self._records.prefix) for way in ways]
        best = self._shortest(readers)
        if walks:
            walked = self._walk(walks, best)
            if walked is not None:
                self._note([each for each in readers if not _is_way(each, walked[2])], None)
                return walked
        self._note(readers, best)
        if best is not None and not _is_range(best.candidate):
            return Way.KEYS, best, None, None
        ranges = [way for way in ways if _is_range(way)]
        return self._range(ranges[0]) if ranges else _NO_INDEX

    # -- an order --------------------------------------------------------------------------

    def _walks(self, ways: Sequence[Candidate]) -> list[Access]:
        """The accesses in the order of the selection, the narrower ones first."""
        order = self._selection.order
        single = [way.sides[0][0] for way in ways if len(way.sides) == len(way.sides[0]) == 1]
        found = [
            access
            for access in single
            if access.index is not None and is_ordered(access.index, order, access.fixed)
        ]
        for index in self._usable:
            whole = whole_access(index, self._parts) if is_ordered(index, order) else None
            found += [] if whole is None else [whole]
        return found

    def _straight_walk(self, walks: Sequence[Access]) -> Access | None:
        """The access on which each record matches, in the order, until there are enough.

        No other way reads less, so the other indexes need not be asked.
        """
        if self._selection.limit is None:
            return None
        return next((access for access in walks if self._is_surely_exact(access)), None)

    def _is_surely_exact(self, access: Access) -> bool:
        """Whether no entry that it finds is of a record that does not match, as far as is known."""
        doubtful = (span for span in access.spans if not span.exact)
        return access.complete and not any(
            next(self._txn.keys(Space.INDEX, span.start, span.stop), None) for span in doubtful
        )

    def _walk(self, walks: Sequence[Access], best: CandidateReader | None) -> _Found | None:
        """The walk, if it is likely to read fewer records than what is found by keys."""
        access = walks[0]
        is_same = best is not None and _is_way(best, access)
        wanted = self._selection.limit
        if wanted is not None:
            wanted += self._selection.offset
        if not is_same and not (self._is_forced and best is None):
            if wanted is None and (best is not None or self._parts):
                return None
            if (
                wanted is not None
                and best is not None
                and wanted * self._count >= best.count * best.count
            ):
                return None
        if not is_walkable(self._txn, access):
            return None
        give_up = None
        if wanted is not None and not access.complete and not self._is_forced:
            give_up = most_keys(self._count) if best is None else best.count
            give_up = max(give_up, wanted)
        return Way.WALK, best, access, give_up

    # -- filters ---------------------------------------------------------------------------

    def _shortest(self, readers: Sequence[CandidateReader]) -> CandidateReader | None:
        if self._is_forced:
            for reader in readers:
                reader.read(maxsize)
            return min(readers, key=lambda reader: reader.count, default=None)
        if self._counts:
            limit = self._selection.limit
            for reader in readers:
                if limit is None and reader.counts_alone(len(self._parts)):
                    return reader
                if limit is not None and reader.has(
                    limit + self._selection.offset, len(self._parts)
                ):
                    return reader
        wanted = None
        if self._selection.limit is not None and not self._selection.order:
            wanted = self._selection.limit + self._selection.offset
        return shortest(readers, lambda: self._count, wanted)

    def _range(self, way: Candidate) -> _Found:
        return Way.RANGE, None, way.sides[0][0], None

    def _planned(self) -> tuple[tuple[Part, ...], list[Candidate]]:
        """The conjuncts, and the possible ways. They are remembered if they have no caller's value.

        The conditions of such a filter are the same object each time.
        """
        filters, plans = self._selection.filters, self._indexes.plans
        is_single = len(filters) == 1 and not self._is_forced
        if is_single:
            known = plans.get(filters[0].text)
            if known is not None and known[0] is filters[0].expressions:
                return known[1], [*known[2]]
        parts = tuple(part for each in filters for part in conjuncts(each.expressions))
        ways = candidates(parts, self._usable, self._key)
        if is_single:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            plans[filters[0].text] = filters[0].expressions, parts, ways
        return parts, [*ways]

    @cached_property
    def _count(self) -> int:
        return read_count(self._txn, count_key(self._records.name))

    def _note(self, readers: Sequence[CandidateReader], best: CandidateReader | None) -> None:
        for reader in readers:
            if reader is not best:
                self._passed.append((reader.candidate.name, reader.found_text()))


def in_key_order(selection: Selection) -> Selection:
    """The same selection, for an order that is the order of the keys or the opposite."""
    down = selection.order[0].descending
    after = selection.after
    if after is not None:
        after = split_place(selection.order, after)[1]
    return evolve(selection, order=(), reverse=selection.reverse is not down, after=after)


def _is_way(reader: CandidateReader, access: Access | None) -> bool:
    """Whether a candidate finds records by this access."""
    return any(access is each for side in reader.candidate.sides for each in side)


def _is_range(way: Candidate) -> bool:
    """Whether a candidate is records between some keys, which are read one after the other."""
    if len(way.sides) != 1 or len(way.sides[0]) != 1:
        return False
    access = way.sides[0][0]
    return access.index is None and not all(span.is_point for span in access.spans)


def _named(name: str, using: Any, indexes: UsableIndexes) -> QueryIndex:
    for index in indexes.usable:
        if index.name == using:
            return index
    if using in indexes.unusable:
        raise QueryError(f"using({using!r}): the index cannot be used: {indexes.unusable[using]}")
    known = [index.name for index in indexes.usable] + [*indexes.unusable]
    listed = ", ".join(map(repr, known)) or "no indexes"
    raise QueryError(f"using({show(using)}): {name} has no such index; it has {listed}")
