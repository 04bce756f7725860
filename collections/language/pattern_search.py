"""How a filter searches a text for a regular expression: by `re`, unless a server sets a limit.

Nothing can end a search of `re`, and no other thread runs meanwhile. A server that answers filters
of its users must not stand still for one of them. So it may put a search of its own in that place.
"""

import re
from collections.abc import Callable

Search = Callable[[str], object]
"""Searches a text. Gives None if nothing matches."""
Limit = Callable[[re.Pattern[str]], Search]
"""Makes the search for a compiled pattern."""

_limits: list[Limit] = []


def search_of(pattern: str) -> Search:
    """The function that searches a text for the pattern. Raises what `re.compile` raises."""
    compiled = re.compile(pattern)
    return _limits[-1](compiled) if _limits else compiled.search


def limit_searches(limit: Limit) -> None:
    """Let `limit` make the searches of all filters of this process from now on."""
    if limit not in _limits:
        _limits.append(limit)
