"""Selection: which records a query wants and in which order, as a value.

`Query` makes selections, `execution` answers them.
"""

from enum import Enum
from typing import Any, Final

from attrs import frozen

from stones.collections.language.bound_filter import BoundFilter
from stones.stores.spans import Span

from .sort_fields import SortField


class Planner(Enum):
    """Who chooses the index that a query uses."""

    AUTO = "the planner"


AUTO: Final = Planner.AUTO


# Without slots: it is made for each query, and that takes half the time so.
@frozen(eq=False, slots=False)
class Selection:
    """Records of a collection, in an order.

    The parts apply from the top to the bottom, in whatever order a caller has given them: the
    records in the span that match all filters; in the order of `order`, or the opposite order; only
    those behind the place `after`; without the first `offset`; at most `limit`.
    """

    span: Span
    """The keys. It has no limit, and is not reversed."""
    filters: tuple[BoundFilter, ...] = ()
    order: tuple[SortField, ...] = ()
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
