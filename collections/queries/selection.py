"""Selection: which records a query wants, as a value.

`Query` makes selections, `execution` answers them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from jsonpath_ng.jsonpath import JSONPath

from stones.stores.spans import Span

Predicate = Callable[[Mapping[str, Any]], bool | None]
Selector = Callable[[list[Any]], list[int]]


@frozen(eq=False)
class BoundFilter:
    """A filter with the caller's values in it."""

    text: str
    """The filter as it was given, for messages."""
    expressions: Sequence[JSONPath]
    """Its conditions. A record matches if it fulfils all of them. `normal_form` takes them."""
    predicate: Predicate | None = None
    """Tells whether a record matches. None if the filter refers to all records with `$`."""
    selector: Selector | None = None
    """Gives the places of the matches in the list of all records, where there is no predicate."""


@frozen(eq=False)
class Selection:
    """Records of a collection: those in a span of keys that match all filters."""

    span: Span
    filters: tuple[BoundFilter, ...] = ()
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether every record in the span matches."""
        return not self.filters
