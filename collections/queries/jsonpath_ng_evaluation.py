"""Paths as jsonpath-ng itself evaluates them.

`predicates` and `comparisons` leave unusual steps and values to it, and `jsonpath` the paths that
need the list of all records.
"""

import re
from collections.abc import Callable
from reprlib import repr as shortened
from typing import Any

from jsonpath_ng.jsonpath import DatumInContext, JSONPath

from stones.errors import QueryError

Finder = Callable[[Any], list[Any]]
"""Lists all values that a path leads to from a value."""

# The errors that jsonpath-ng may raise for values that its authors did not think of.
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError, re.error),
)


def evaluator(path: JSONPath, text: str) -> Finder:
    """The function that lists all values that a path leads to. `text` is for errors."""

    def find(value: Any) -> list[Any]:
        return [match.value for match in evaluate(path, value, text)]

    return find


def evaluate(path: JSONPath, value: Any, text: str) -> list[DatumInContext]:
    """The matches of a path in a value. Raises QueryError, with the value, for any failure."""
    try:
        found = path.find(DatumInContext.wrap(value))
    except QueryError:
        raise
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise QueryError(f"{text!r} cannot be evaluated on {shortened(value)}: {reason}") from error
    # `sorted` returns a single match, not a list, for a value that is not a list.
    return found if isinstance(found, list) else [found]
