"""RecordRange: what `range()` of a collection returns. It can be queried as the collection can."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from stones.collections.planning.selection import Selection
from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.queries.query import Query
from stones.errors import QueryError
from stones.stores.spans import Span
from stones.stores.views import Range

K = TypeVar("K")
R = TypeVar("R")


class RecordRange(Range[K, R]):
    """The records between two keys: a lazy read-only mapping, in key order.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class Step:
    ...     run: str = key()
    ...     number: int = key()
    ...     loss: float
    >>> steps: Collection[tuple[str, int], Step] = Collection(MemoryStore(), Step)
    >>> steps.add_many([Step('a', 1, 0.9), Step('a', 2, 0.4), Step('b', 1, 0.3)])
    3
    >>> run = steps.range(prefix=('a',))
    >>> len(run), list(run.find('@.loss < 0.5').keys())
    (2, [('a', 2)])
    """

    def __init__(self, mapping: Mapping[K, R], queried: QueriedRecords[K, R], span: Span) -> None:
        super().__init__(mapping, queried.records, span)
        self._queried = queried

    @property
    def queried(self) -> QueriedRecords[K, R]:
        """The records of the collection, for the layers above."""
        return self._queried

    @property
    def span(self) -> Span:
        """The stored keys of the range."""
        return self._span

    def find(self, path: str | Callable[[R], int] | None = None, /, **values: Any) -> Query[K, R]:
        """The records of the range that match. Takes what `find` of the collection takes.

        The query has the order of the range. Only the keys of the range are read, unless the filter
        refers to all records with `$`. Raises QueryError for a range with a `limit`.
        """
        if self._span.limit is not None:
            raise QueryError(
                "a range with limit= cannot be queried: leave limit= out, and call limit() of the "
                "query"
            )
        filters = self._queried.filters(path, values)
        span = Span(self._span.start, self._span.stop)
        return Query(self._queried, Selection(span, filters, reverse=self._span.reverse))
