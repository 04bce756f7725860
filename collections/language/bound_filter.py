"""BoundFilter: a filter with the caller's values in it.

`jsonpath` makes it, scans and plans take it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import frozen
from jsonpath_ng.jsonpath import JSONPath

Predicate = Callable[[Mapping[str, Any]], bool | None]
Selector = Callable[[list[Any]], list[int]]


@frozen(eq=False, slots=False)
class Condition:
    """What a filter with the caller's values in it consists of."""

    text: str
    expressions: Sequence[JSONPath]
    _make: Callable[[], Predicate] | None = None

    @cached_property
    def predicate(self) -> Predicate | None:
        """The test. Made when it is first asked for: a count by an index does not ask."""
        return None if self._make is None else self._make()


# Without slots: it is made for each query, and that takes half the time so.
@frozen(eq=False, slots=False)
class BoundFilter:
    """A filter with the caller's values in it.

    Its text, its conditions and its predicate are made when they are first asked for. A query for
    one record by a unique value asks for none of them.
    """

    _make: Callable[[], Condition]
    selector: Selector | None = None
    """Gives the places of the matches in the list of all records, where there is no predicate."""
    values: Mapping[str, Any] | None = None
    """The stored forms of values, if it wants records whose fields equal them, and nothing else."""

    @cached_property
    def _condition(self) -> Condition:
        return self._make()

    @property
    def text(self) -> str:
        """The filter as it was given, for messages."""
        return self._condition.text

    @property
    def expressions(self) -> Sequence[JSONPath]:
        """Its conditions. A record matches if it fulfils all of them. `normal_form` takes them."""
        return self._condition.expressions

    @property
    def predicate(self) -> Predicate | None:
        """Tells whether a record matches. None if the filter refers to all records with `$`."""
        return self._condition.predicate
