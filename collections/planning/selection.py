"""Selection: which records a query wants and in which order, as a value.

`Query` makes selections, `execution` answers them.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from sys import maxsize
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from stones.stores.spans import Span

if TYPE_CHECKING:
    from stones.collections.language.bound_filter import BoundFilter

    from .sort_fields import SortField


class Planner(Enum):
    """Who chooses the index that a query uses."""

    AUTO = "the planner"


AUTO: Final = Planner.AUTO


# Without slots: it is made for each query, and that takes half the time so.
@frozen(eq=False, repr=False, slots=False)
class Selection:
    """Records of a collection, in an order.

    The parts apply from the top to the bottom, in whatever order a caller has given them: the
    records in the span that match all filters; in the order of `order`, or the opposite order; only
    those behind the place `after`; without the first `offset`; at most `limit`.
    """

    span: Span
    """The keys. It has no limit, and is not reversed."""
    filters: "tuple[BoundFilter, ...]" = ()
    order: "tuple[SortField, ...]" = ()
    """What the records are sorted by. Then the key decides, always from low to high."""
    reverse: bool = False
    """Whether the records come in the opposite order, equal ones too."""
    after: bytes | None = None
    """A place in the order without `reverse`, as `result_order.place_of` makes it."""
    offset: int = 0
    limit: int | None = None
    using: str | Planner | None = AUTO
    """The name of the index to use. None: use no index."""

    @property
    def is_everything(self) -> bool:
        """Whether every record in the span matches."""
        return not self.filters

    def limited(self, limit: int | None) -> "Selection":
        """The same, but no more than `limit` records. None changes nothing."""
        if limit is None:
            limit = self.limit
        elif self.limit is not None:
            limit = min(limit, self.limit)
        # In a third of the time of changed(), for first() and limit().
        return Selection(
            self.span,
            self.filters,
            self.order,
            self.reverse,
            self.after,
            self.offset,
            limit,
            self.using,
        )

    def changed(self, **changes: Any) -> "Selection":
        """The same with other values of some fields. As evolve(), in less time."""
        return Selection(**{**vars(self), **changes})

    @property
    def is_part(self) -> bool:
        """Whether some of the matching records may be left out."""
        return self.after is not None or self.offset > 0 or self.limit is not None


def most_of(selection: Selection) -> int | None:
    """How many records a selection gives and leaves out before them. None: any number."""
    return None if selection.limit is None else selection.offset + selection.limit


def part(ordered: Iterable[Any], selection: Selection) -> Iterator[Any]:
    """What is left of ordered records behind `offset`, at most `limit` of them."""
    start = min(selection.offset, maxsize)
    if selection.limit is None:
        return islice(ordered, start, None)
    return islice(ordered, start, min(start + selection.limit, maxsize))


def count_of_part(matching: int, selection: Selection) -> int:
    """How many of so many matching records are left, for a selection without `after`."""
    left = max(matching - selection.offset, 0)
    return left if selection.limit is None else min(left, selection.limit)


def span_in_key_order(selection: Selection, prefix: bytes) -> Span:
    """The span to go through for a selection without `order`: from `after` on, and reversed.

    `prefix` is what stands before the keys of the collection.
    """
    span, after = selection.span, selection.after
    if after is not None and selection.reverse:
        place = prefix + after
        stop = place if span.stop is None else min(place, span.stop)
        span = evolve(span, start=min(span.start, stop), stop=stop)
    elif after is not None:
        span = evolve(span, start=max(span.start, prefix + after + b"\0"))
    return span.reversed() if selection.reverse else span


def order_text(fields: "Sequence[SortField]", reverse: bool = False) -> str:
    """An order in one spelling, for messages and cursors.

    >>> order_text([]), order_text([], True)
    ('the order of the keys', 'the reversed order of the keys')
    """
    names = ", ".join(repr("-" * each.descending + each.text) for each in fields)
    text = f"order_by({names})" if names else "the order of the keys"
    if not reverse:
        return text
    return f"{text}.reversed()" if names else "the reversed order of the keys"
