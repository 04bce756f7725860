"""Refuses regular expressions that could take for ever.

Python's `re` tries all ways to match, and nothing can end it: meanwhile no other request would be
answered. `(a+)+$` needs 2**n steps for a text of n characters. So in a filter that comes from a
browser a repeated group must have one way to match: no repeat and no alternative in it.
"""

import json
import re
from collections.abc import Iterator, Sequence

from stones.formats.messages import show

from .page_request import WrongRequestError

MOST_REPEATS = 3
"""The most repeats in one pattern. Each may be a factor of n steps."""
MOST_CHOICES = 10
"""The most optional parts and groups with alternatives. Each may double the steps."""
LONGEST = 500
"""The most characters of a pattern."""


def check_patterns(arguments: Sequence[str]) -> None:
    """Raise WrongRequestError for a filter with a pattern that could take for ever.

    `arguments` are those of the URL. The values of placeholders may be in another one than the
    filter. So every text in any of them counts as a pattern, if a filter takes one.
    """
    if not any("=~" in text or "sub(" in text for text in arguments):
        return
    for pattern in (found for text in arguments for found in _texts_in(text)):
        reason = fault_of(pattern)
        if reason is None and pattern.startswith("sub(") and degree_of(pattern) > 1:
            reason = "a repeat or a choice in sub()"  # `pattern_limits` has no part in it
        if reason is not None:
            raise WrongRequestError(
                f"the regular expression {show(pattern)} could take for ever: {reason}; a program "
                "may use it"
            )


def fault_of(pattern: str) -> str | None:
    r"""Why a pattern could take for ever, or None.

    >>> fault_of(r'^[a-z]+\.txt$'), fault_of('(ab)*(c|d)')
    (None, None)
    >>> fault_of('(a+)+$'), fault_of('(a|a)*$'), fault_of(r'(\w)\1')
    ('a repeat inside of a repeat', 'an alternative inside of a repeat', 'a reference to a group')
    """
    if len(pattern) > LONGEST:
        return f"it has more than {LONGEST} characters"
    groups: list[list[str]] = [[]]  # what is in the open groups that can match in several ways
    closed: list[str] | None = None  # the same of the group that ended just before
    repeats = choices = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        inner, closed = closed, None
        if token["reference"]:
            return "a reference to a group"
        if token["flags"]:
            if "x" in text:
                return "the flag x"
            if text.endswith(":"):
                groups.append([])
        elif token["open"]:
            groups.append([])
        elif text == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] += closed
        elif text == "|":
            choices += "an alternative" not in groups[-1]
            groups[-1].append("an alternative")
        elif token["repeat"]:
            if inner and text[0] != "?":
                return f"{inner[0]} inside of a repeat"
            groups[-1].append("a repeat")
            repeats += text[0] in "*+" or "," in text
            choices += text[0] == "?"
            closed = inner if text[0] == "?" else None
        if repeats > MOST_REPEATS or choices > MOST_CHOICES:
            return f"it has more than {MOST_REPEATS} repeats, or {MOST_CHOICES} choices"
    return None


def degree_of(pattern: str) -> int:
    """How fast the steps of a search grow: at most as n**degree, for a text of n characters.

    Each choice counts as half a repeat, which is more than it costs in a text that is not short.

    >>> degree_of('ab'), degree_of('a.*b'), degree_of('(a|b)c?')
    (1, 2, 2)
    """
    halves = 0
    for token in _TOKEN.finditer(pattern):
        if token["repeat"]:
            halves += 1 if token[0][0] == "?" else 2
        halves += token[0] == "|"
    return 1 + (halves + 1) // 2


def _texts_in(argument: str) -> Iterator[str]:
    """The texts in an argument, which is a filter, or JSON."""
    try:
        # With all values of a name that is there twice.
        waiting = [
            json.loads(argument, object_pairs_hook=lambda pairs: [each for _, each in pairs])
        ]
    except (ValueError, RecursionError):
        yield from (found[0][1:-1] for found in _QUOTED.finditer(argument))
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += value


_QUOTED = re.compile(r"""'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`""")
_TOKEN = re.compile(
    r"""(?P<reference>\\[1-9]|\(\?P=|\(\?\()"""
    r"""|\\[\s\S]"""
    r"""|\[\^?\]?(?:[^\]\\]|\\[\s\S])*\]"""  # a set: what is in it repeats nothing
    r"""|(?P<flags>\(\?[a-zA-Z-]+[:)])"""
    r"""|(?P<open>\((?:\?(?:P<\w+>|<?[=!]|[:>]))?)"""
    r"""|(?P<repeat>(?:[*+?]|\{\d*,?\d*\})[?+]?)"""
    r"""|[\s\S]"""
)
