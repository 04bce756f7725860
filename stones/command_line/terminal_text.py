"""Text of a store for a terminal: what a terminal would obey is escaped."""

from collections.abc import Callable

import click


def printable(text: str) -> str:
    r"""A text in which what is not printable is escaped as in Python.

    >>> print(printable('red\x1b[31m\n'))
    red\x1b[31m\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    r"""A text in which what is not printable is escaped. Ends of lines stay.

    >>> print(printable_lines('red\x1b[31m\r\nblue'))
    red\x1b[31m
    blue
    """
    return "\n".join(map(printable, text.replace("\r\n", "\n").split("\n")))


class EscapedOutput:
    """A file whose lines are printed on the terminal, without control characters.

    Whole lines are written to it, as bytes. `escape` makes them printable.
    """

    def __init__(self, escape: Callable[[str], str]) -> None:
        self._escape = escape

    def write(self, data: bytes) -> int:
        """Print some lines."""
        click.echo(self._escape(bytes(data).decode("utf-8", "backslashreplace")), nl=False)
        return len(data)


def message_lines(message: str) -> list[str]:
    r"""A message as lines for a terminal: one, and more if it shows a place in a text.

    >>> for line in message_lines("'>' is not expected here\n    @.age >> 3\n           ^"):
    ...     print(line)
    '>' is not expected here
        @.age >> 3
               ^
    """
    lines = message.split("\n")
    for row in range(2, len(lines)):
        text, mark = lines[row - 1], lines[row]
        if mark.strip() == "^" and text.startswith(_INDENT):
            at = max(len(mark) - 1 - len(_INDENT), 0)
            rest = [line for line in lines if not line.startswith(_INDENT)]
            above = [line for line in lines[: row - 1] if line.startswith(_INDENT)]
            return [
                _one_line(" ".join(rest)),
                *(_INDENT + printable(line.removeprefix(_INDENT)) for line in above),
                *_marked(text.removeprefix(_INDENT), at),
            ]
    return [_one_line(message)]


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _marked(text: str, at: int) -> list[str]:
    """A line of a text with a mark under the character `at`. Of a long line, what is around it."""
    before, behind = printable(text[:at]), printable(text[at:])
    if len(before) > _ROOM:
        before = "..." + before[len(before) - _ROOM :]
    if len(behind) > _ROOM:
        behind = behind[:_ROOM] + "..."
    return [f"{_INDENT}{before}{behind}", f"{_INDENT}{' ' * len(before)}^"]


_INDENT = "    "
_ROOM = 60
"""So many characters of a long line are shown before its mark, and so many behind it."""


def printable_json(text: str) -> str:
    r"""The same JSON, in which what is not printable is escaped. Ends of lines stay.

    >>> print(printable_json('{"a": "\x9b"}'))
    {"a": "\u009b"}
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
