"""Paths as jsonpath-ng itself evaluates them.

`predicates` leaves unusual steps to it, and `jsonpath` the paths that need the list of all records.
"""

from collections.abc import Callable
from typing import Any

from jsonpath_ng.jsonpath import DatumInContext, JSONPath

from .failures import attempt

Finder = Callable[[Any], list[Any]]
"""Lists all values that a path leads to from a value."""


def evaluator(path: JSONPath) -> Finder:
    """The function that lists all values that a path leads to.

    It raises an error of any type for a value that the path cannot be evaluated for, unless the
    path is lenient (see `nodes`).
    """
    return lambda value: [match.value for match in path.find(DatumInContext(value))]


def evaluate(path: JSONPath, value: Any) -> list[DatumInContext]:
    """The matches of a path in a value. No matches if the path cannot be evaluated for it."""
    return attempt(path.find, DatumInContext(value), [])
