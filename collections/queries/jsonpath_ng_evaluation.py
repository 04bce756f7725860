"""Paths as jsonpath-ng itself evaluates them: what `predicates` and `comparisons` leave to it."""

import re
from collections.abc import Callable
from reprlib import repr as shortened
from typing import Any

from jsonpath_ng.jsonpath import DatumInContext, JSONPath

from stones.errors import QueryError

Finder = Callable[[Any], list[Any]]
"""All the values that a path leads to from a value."""

# What evaluating a path may raise in jsonpath-ng, on values that its author did not think of.
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError, re.error),
)


def evaluator(path: JSONPath, text: str) -> Finder:
    """All the values that a path leads to from a value, as a function. `text` is for errors."""

    def find(value: Any) -> list[Any]:
        return [match.value for match in evaluate(path, value, text)]

    return find


def evaluate(path: JSONPath, value: Any, text: str) -> list[DatumInContext]:
    """The matches of a path in a value. QueryError, with the value, for whatever goes wrong."""
    try:
        found = path.find(DatumInContext.wrap(value))
    except QueryError:
        raise
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise QueryError(f"{text!r} cannot be evaluated on {shortened(value)}: {reason}") from error
    # Sorting what is no list gives a bare match.
    return found if isinstance(found, list) else [found]
