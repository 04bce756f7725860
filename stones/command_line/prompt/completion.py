"""What may be typed next at the prompt of `stones shell`: keys and fields.

    User['a           the keys that begin with a
    User.find(ag      age=
    User.find('@.ag   age, and so in order_by('ag
    User['ada']['     the fields of the record

Nothing that is typed is run. The names at the prompt tell which collections there are.
"""

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.collections.collection_reader import CollectionReader
from stones.collections.without_class.field_values import FieldValues
from stones.errors import StoneError

from .keys import keys_that_begin
from .names import Collections

_NAME = r"[A-Za-z_]\w*"
_INSIDE = r"(?:[^()\[\]]|\([^()]*\)|\[[^\[\]]*\])*"
_CHAIN = re.compile(rf"({_NAME})((?:\.{_NAME}|\[{_INSIDE}\]|\({_INSIDE}\))*)$")
"""An expression such as `User.find(age=36).order_by`: its first name, and the rest."""
_QUOTED_ITEM = re.compile(r"""\[(['"])([^'"]*)\1\]""")
_TAKE_KEY = {".get", ".pop", ".update", ".modify", ".delete", ".setdefault"}
"""The methods whose first argument is a key."""


@frozen
class Completion:
    """The words that may stand in a text from `start` to its end."""

    start: int
    words: tuple[str, ...] = ()


def complete(text: str, names: Mapping[str, Any]) -> Completion:
    """What may stand at the end of `text`, where the cursor is.

    Without words, only Python itself knows what may stand there.
    """
    try:
        return _complete(text, names)
    except (StoneError, OSError):  # a damaged store, or a server that has gone
        return Completion(len(text))


def _complete(text: str, names: Mapping[str, Any]) -> Completion:
    opened = _open_brackets(text)
    if opened.bracket is None:
        return Completion(len(text))
    chain = _CHAIN.search(text[: opened.bracket])
    if chain is None:
        return Completion(len(text))
    found, rest = _resolved(chain[1], chain[2], names)
    is_item = text[opened.bracket] == "["
    first = re.compile(r"\s*").match(text, opened.bracket + 1)
    start = first.end() if first else len(text)
    if (is_item and not rest) or (not is_item and rest in _TAKE_KEY and opened.arguments == 0):
        return Completion(start, keys_that_begin(found, text[start:]))
    if not isinstance(found, CollectionReader):
        return Completion(len(text))
    fields = FieldValues.of(found).names
    if is_item:
        return Completion(start, keys_that_begin(dict.fromkeys(fields), text[start:]))
    word = re.search(r"\w*$", text)
    start = word.start() if word else len(text)
    if opened.string is not None and re.search(r"[^=]=\s*$", text[: opened.string]):
        return Completion(len(text))  # the value of a field
    before = text[opened.bracket + 1 : start].rstrip()
    words = [name for name in fields if name.startswith(text[start:])]
    if opened.string is not None or _is_field_of_parameter(before):
        return Completion(start, tuple(words))
    if not before or before.endswith(","):
        return Completion(start, tuple(f"{name}=" for name in words))
    return Completion(len(text))


def _is_field_of_parameter(before: str) -> bool:
    """Whether the text before the cursor ends so: `lambda user: user.`"""
    function = re.match(rf"lambda\s+({_NAME})\s*:", before)
    return function is not None and re.search(rf"\b{function[1]}\.$", before) is not None


def _resolved(name: str, rest: str, names: Mapping[str, Any]) -> tuple[Any, str]:
    """The object at the beginning of an expression, and what is left of the expression."""
    found = names.get(name)
    item = _QUOTED_ITEM.match(rest)
    if item and isinstance(found, Collections):
        return found.get(item[2]), rest[item.end() :]
    return found, rest


@frozen
class OpenBrackets:
    """What is open at the end of a text."""

    bracket: int | None
    """Where the last bracket is that is not closed."""
    string: int | None
    """Where the string begins that is not closed."""
    arguments: int
    """How many commas stand inside of that bracket."""


def _open_brackets(text: str) -> OpenBrackets:
    brackets: list[list[int]] = []
    string = None
    at = 0
    while at < len(text):
        character = text[at]
        if string is not None:
            if character == "\\":
                at += 1
            elif character == text[string]:
                string = None
        elif character in "'\"":
            string = at
        elif character in "([{":
            brackets.append([at, 0])
        elif character in ")]}" and brackets:
            brackets.pop()
        elif character == "," and brackets:
            brackets[-1][1] += 1
        at += 1
    bracket, arguments = brackets[-1] if brackets else (None, 0)
    return OpenBrackets(bracket, string, arguments)
