"""What happens when a part of a query cannot be evaluated for a value: the query goes on.

A regular expression that meets a number, a sum of a text and a number, a division by zero: each
concerns one record, and the other records are still asked. Such a condition is neither true nor
false, here `None`. A condition that is `None` selects nothing, and neither does its negation. A
step of a path that cannot be evaluated for a value leads nowhere from it.

`nodes` and `predicates` use this.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from stones.errors import QueryError

V = TypeVar("V")
T = TypeVar("T")


def attempt(function: Callable[[V], T], value: V, otherwise: T) -> T:
    """What the function returns for a value; `otherwise` if it fails.

    Raises QueryError if the query is nested too deeply: that is no matter of one value.
    """
    try:
        return function(value)
    except (QueryError, MemoryError):
        raise
    except RecursionError as error:
        raise QueryError("the query is nested too deeply to be evaluated") from error
    except Exception:  # noqa: BLE001  # values of the user's own types may raise anything
        return otherwise


def all_true(outcomes: Iterable[bool | None]) -> bool | None:
    """The outcome of `&&`: false if any outcome is; else None if any outcome is; else true."""
    known = True
    for outcome in outcomes:
        if outcome is None:
            known = False
        elif not outcome:
            return False
    return True if known else None


def any_true(outcomes: Iterable[bool | None]) -> bool | None:
    """The outcome of `||`: true if any outcome is; else None if any outcome is; else false."""
    known = True
    for outcome in outcomes:
        if outcome is None:
            known = False
        elif outcome:
            return True
    return False if known else None


def opposite(outcome: bool | None) -> bool | None:
    """The outcome of `!`. What cannot be evaluated cannot be negated."""
    return None if outcome is None else not outcome
