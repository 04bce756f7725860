"""What a query does, in words: which index answers it, what else is done, and what was passed over.

`explain` chooses as a run of the query does, and reads no more than that. With `run` it runs the
query too, and counts what it reads.
"""

import time
from collections.abc import Sequence
from copy import copy
from typing import Any

import attrs
from attrs import frozen

from stones.collections.language.comparisons import Forms
from stones.collections.language.normal_form import AnyOf, Leaf, Part
from stones.collections.stored_records import StoredRecords
from stones.formats.messages import show

from .choosing import Choice, Way, choose, may_use_index
from .execution import matches
from .measured_reading import MeasuredReader, Tally
from .plan import conjuncts
from .selection import Selection, order_text
from .sort_fields import path_text
from .usable_indexes import share_known, usable_indexes


@frozen
class PassedOver:
    """An index that a query does not use."""

    index: str
    reason: str


@frozen
class QueryRead:
    """What a run of a query has read."""

    entries: int
    """Entries of indexes, and keys that were read without their records."""
    records: int
    """Records that were read and decoded, or only searched."""
    bytes: int
    """Keys and values of both."""
    matches: int
    """How many records the query gave."""
    seconds: float


@frozen
class Plan:
    """How a query is answered. `str()` of it is a table for people.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, index, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int = index()
    ...     city: str = index()
    >>> users: Collection[str, User] = Collection(MemoryStore(), User)
    >>> users.add_many(User(f'u{n}', n % 90, f'City {n % 200}') for n in range(10_000))
    10000
    >>> query = users.find('@.age > 30 && @.city == "City 7"').order_by('-age').limit(3)
    >>> print(query.explain())
    index        city          @.city == 'City 7': 50 keys (counted)
    test         the record    @.age > 30
    sort         in memory     order_by('-age'), the first 3
    passed over  age           at least 133 keys
    >>> print(query.using(None).explain())
    scan         all records   10,000
    test         the record    @.age > 30 && @.city == 'City 7'
    sort         in memory     order_by('-age'), the first 3
    >>> plan = query.explain(run=True)
    >>> plan.index, plan.estimate, plan.exact, plan.read.records, plan.read.matches
    ('city', 50, True, 50, 3)
    """

    index: str | None
    """The names of the indexes; 'the primary key'; None for a scan."""
    scanned: str
    """What a scan reads: 'all records', or 'a range of keys' for `range().find()`."""
    conditions: tuple[str, ...]
    """What the indexes answer of the filter."""
    estimate: int | None
    """How many records are expected to be read. None if that is not known."""
    exact: bool
    """Whether the estimate was counted."""
    rest: tuple[str, ...]
    """What is tested on each record that is read."""
    order: str
    """Where the order comes from."""
    passed_over: tuple[PassedOver, ...]
    """The indexes that might have been used, or that cannot be used now."""
    read: QueryRead | None = None
    """What a run of the query has read. None if it was not run."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return attrs.asdict(self)

    def rows(self) -> list[tuple[str, str, str]]:
        """The rows of the table: what is done, by or on what, and the details."""
        rows = [self._found_row()]
        if self.rest:
            rows.append(("test", "the record", " && ".join(self.rest)))
        if self.order:
            where, _, what = self.order.partition(": ")
            rows.append(("sort", where, what))
        rows += [("passed over", each.index, each.reason) for each in self.passed_over]
        if self.read is not None:
            rows.append(("read", _read_text(self.read), ""))
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        width = max([12, *(len(row[1]) for row in rows if row[2])])
        return "\n".join(f"{a:<12} {b:<{width}}  {c}".rstrip() for a, b, c in rows)

    def _found_row(self) -> tuple[str, str, str]:
        count = "" if self.estimate is None else f"{self.estimate:,}"
        if self.index is None:
            return "scan", self.scanned, count
        if count:
            count = f"{count} keys ({'counted' if self.exact else 'at least'})"
        found = [each for each in (" && ".join(self.conditions), count) if each]
        return "index", self.index, ": ".join(found)


def explain(records: StoredRecords[Any, Any], selection: Selection, *, run: bool = False) -> Plan:
    """How a query is answered. With `run`, it is answered, and what was read is told too."""
    parts = tuple(part for each in selection.filters for part in conjuncts(each.expressions))
    with records.database.reading() as txn:
        planned = may_use_index(selection)
        choice = (
            choose(records, selection, txn, usable_indexes(records, txn))
            if planned
            else Choice(Way.SCAN)
        )
    plan = _plan(choice, selection, parts, records)
    if not run:
        return plan
    tally = Tally()
    measured = copy(records)
    measured.database = MeasuredReader(records.database, tally)
    share_known(records, measured)
    start = time.perf_counter()
    found = sum(1 for _ in matches(measured, selection))
    seconds = time.perf_counter() - start
    read = QueryRead(tally.entries, tally.records, tally.size, found, seconds)
    return attrs.evolve(plan, read=read)


def _plan(
    choice: Choice,
    selection: Selection,
    parts: Sequence[Part],
    records: StoredRecords[Any, Any],
) -> Plan:
    index: str | None = None
    used: frozenset[int] = frozenset()
    is_whole = selection.span == records.span
    estimate, exact = records.count() if is_whole else None, is_whole and not selection.filters
    if choice.way is Way.KEYS:
        assert choice.reader is not None
        names = [reader.access.name for reader in choice.reader.chosen]
        index = " | ".join(dict.fromkeys(names))
        used, estimate, exact = choice.reader.candidate.used, choice.reader.count, True
    elif choice.access is not None:
        index, used = choice.access.name, choice.access.used
    texts = [*map(condition_text, parts)]
    texts += [each.text for each in selection.filters if each.selector is not None]
    answered = used if choice.is_complete or index is not None else frozenset()
    return Plan(
        index=index,
        scanned="all records" if is_whole else "a range of keys",
        conditions=tuple(texts[place] for place in sorted(used)),
        estimate=estimate if choice.way in (Way.KEYS, Way.SCAN) else None,
        exact=exact,
        rest=tuple(text for place, text in enumerate(texts) if place not in answered),
        order=_order(choice, selection),
        passed_over=tuple(PassedOver(*each) for each in choice.passed_over),
    )


def _order(choice: Choice, selection: Selection) -> str:
    if not selection.order:
        return ""
    text = order_text(selection.order, selection.reverse)
    if choice.way is Way.WALK:
        return f"by the index: {text}"
    if choice.key_order is not None:
        return f"by the key: {text}"
    if selection.limit is not None:
        text += f", the first {selection.limit + selection.offset:,}"
    return f"in memory: {text}"


def condition_text(part: Part) -> str:
    """A condition as a person may write it: `@.age > 30`."""
    match part:
        case Leaf():
            return _leaf_text(part)
        case AnyOf():
            return f"({' || '.join(map(condition_text, part.parts))})"
        case _ if hasattr(part, "parts"):
            return f"({' && '.join(map(condition_text, part.parts))})"
    return "a condition that no index answers"


def _leaf_text(leaf: Leaf) -> str:
    path = f"@.{path_text(leaf.path)}"
    if leaf.op == "exists":
        return path
    if leaf.op == "missing":
        return f"!{path}"
    return f"{path} {leaf.op} {_value_text(leaf.value)}"


def _value_text(value: Any) -> str:
    if isinstance(value, Forms):
        return _value_text(value.forms[0])
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return show(value)


def _read_text(read: QueryRead) -> str:
    size = f"{read.bytes / 1024:,.0f} KiB"
    return (
        f"{read.entries:,} entries, {read.records:,} records, {size}: {read.matches:,} match, "
        f"{read.seconds * 1000:,.1f} ms"
    )
