"""BoundFilter: a filter with the caller's values in it.

`jsonpath` makes it, scans and plans take it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from jsonpath_ng.jsonpath import JSONPath

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
