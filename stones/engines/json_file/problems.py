"""Where a text is no JSON, or no JSON that can be kept: the line, the column, and the reason.

It reads the text once more, after a fast parser has refused it. It finds the first of these:
anything that is no JSON (RFC 8259), two equal keys in an object, a number that is too large, too
many levels.
"""

import re
import sys
from json import JSONDecodeError, JSONDecoder
from typing import NoReturn

from attrs import frozen

from .keys import MAX_LEVELS

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"true|false|null")
_STRANGERS = {
    "<<<<<<<": "a merge has left its mark of a conflict",
    "=======": "a merge has left its mark of a conflict",
    ">>>>>>>": "a merge has left its mark of a conflict",
    "//": "JSON has no comments",
    "/*": "JSON has no comments",
    "#": "JSON has no comments",
    "'": "JSON has text in double quotes",
}
"""What people write into a file that is no JSON, and what to say of it."""
_NO_KEY = "a key in double quotes is missing"
_MAX_DIGITS = 4300
_decode_one = JSONDecoder().raw_decode


@frozen
class ProblemError(Exception):
    """What is wrong at a place of a text."""

    place: int
    reason: str


def where(text: str, place: int) -> str:
    """A place of a text as people count it: "line 3, column 5"."""
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return f"line {line:,}, column {column:,}"


def first_problem(text: str) -> tuple[int, str] | None:
    """The place and the reason of the first problem of a text, or None."""
    try:
        _Reader(text).read()
    except ProblemError as problem:
        return problem.place, problem.reason
    return None


def key_places(text: str) -> dict[str, int]:
    """The place of each key of the object that a text is, in the order of the text."""
    reader = _Reader(text)
    reader.read()
    return reader.keys


class _Reader:
    """Goes through a text without recursion: an attacker may have nested it a million times."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.keys: dict[str, int] = {}
        self._at = 0

    def read(self) -> None:
        self._skip()
        opened: list[set[str] | None] = []  # the keys of each open object; None for an array
        while True:
            if self._value(opened):
                continue  # an array or object has begun, and is not empty
            while opened:  # after a value
                self._skip()
                found = self._char()
                keys = opened[-1]
                if found == ",":
                    self._at += 1
                    self._skip()
                    if keys is not None:
                        self._key(keys, len(opened))
                    break
                if found != ("]" if keys is None else "}"):
                    self._fail(f"a comma or {']' if keys is None else '}'} is missing")
                self._at += 1
                opened.pop()
            else:
                break
        self._skip()
        if self._at < len(self.text):
            self._fail("the file goes on after its end")

    def _value(self, opened: list[set[str] | None]) -> bool:
        """Read a value, or the begin of an array or object with something in it."""
        found = self._char()
        if found in ("[", "{") and found:
            if len(opened) > MAX_LEVELS:
                self._fail(f"more than {MAX_LEVELS} arrays and objects lie in each other")
            self._at += 1
            self._skip()
            if self._char() == ("]" if found == "[" else "}"):
                self._at += 1
                return False
            opened.append(None if found == "[" else set())
            keys = opened[-1]
            if keys is not None:
                self._key(keys, len(opened))
            return True
        if found == '"':
            self._string()
        elif word := _WORD.match(self.text, self._at):
            self._at = word.end()
        elif number := _NUMBER.match(self.text, self._at):
            self._number(number)
        else:
            self._fail("a value is missing" if found in ("", ",", "]", "}") else "it is no JSON")
        return False

    def _key(self, keys: set[str], level: int) -> None:
        place = self._at
        if self._char() != '"':
            self._fail(_NO_KEY)
        key = self._string()
        if key in keys:
            self._fail(f"the key {key[:60]!r} is there twice", place)
        keys.add(key)
        if level == 1:
            self.keys[key] = place
        self._skip()
        if self._char() != ":":
            self._fail("a colon is missing")
        self._at += 1
        self._skip()

    def _string(self) -> str:
        try:
            text, self._at = _decode_one(self.text, self._at)
        except JSONDecodeError as error:
            self._fail(error.msg.removesuffix(" at").lower(), error.pos)
        return str(text)

    def _number(self, number: "re.Match[str]") -> None:
        text = number[0]
        if number[1] or number[2]:
            if abs(float(text)) == float("inf"):
                self._fail(f"the number {text[:40]} is too large")
        elif len(text) > (sys.get_int_max_str_digits() or _MAX_DIGITS):
            self._fail(f"an integer has {len(text):,} digits, which is too many")
        self._at = number.end()

    def _skip(self) -> None:
        found = _SPACE.match(self.text, self._at)
        assert found is not None
        self._at = found.end()

    def _char(self) -> str:
        return self.text[self._at : self._at + 1]

    def _fail(self, reason: str, place: int | None = None) -> NoReturn:
        at = self._at if place is None else place
        for stranger, why in _STRANGERS.items():
            if self.text.startswith(stranger, at):
                raise ProblemError(at, why)
        if reason == _NO_KEY and self.text.startswith("}", at):
            reason = "a comma is too many before it"
        raise ProblemError(at, reason)
