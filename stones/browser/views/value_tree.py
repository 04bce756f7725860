"""A value as a tree: each part with its name, its type and its text.

A record may be large, deep, or made by an attacker. So a tree has limits, and says what it leaves
out.
"""

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from stones.collections.language.arrays import in_order
from stones.formats.messages import show, show_count, show_size
from stones.formats.registered_types import UnknownValue

from .texts import printable
from .value_text import any_text, plain_text, type_name

MOST_NODES = 2000
"""A tree shows at most so many parts."""
MOST_PARTS = 200
"""Of one list or dict, a tree shows at most so many parts."""
MOST_LEVELS = 20
"""A tree has at most so many levels."""
MOST_TEXT = 5000
"""Of one text, a tree shows at most so many characters."""


@frozen
class Node:
    """A part of a value, with the parts in it."""

    label: str
    """The name of a field, the key in a dict, the place in a list; empty for a whole value."""
    type: str
    """The name of its type."""
    text: str = ""
    """What it is, for a part that has no parts. For a list or dict, how many parts it has."""
    note: str = ""
    """What is left out of it, in words."""
    parts: tuple["Node", ...] = ()
    """The parts in it that are shown."""
    is_long: bool = False
    """Whether the text has several lines, or is longer than a line."""


def tree(value: Any, label: str = "") -> Node:
    """The tree of a value. O(parts that are shown).

    >>> from datetime import date
    >>> found = tree({'born': date(1815, 12, 10), 'tags': ('math',)})
    >>> [(part.label, part.type, part.text) for part in found.parts]
    [('born', 'date', '1815-12-10'), ('tags', 'tuple', '1 item')]
    """
    return _Trees(MOST_NODES).node(value, label, 0)


class _Trees:
    """Makes the nodes of one tree, and counts them."""

    def __init__(self, room: int) -> None:
        self._room = room

    def node(self, value: Any, label: str, level: int) -> Node:
        self._room -= 1
        kind = type(value)
        text = plain_text(value, MOST_TEXT, lines=True)
        if text is not None:
            note, is_long = _note(value), len(text) > 100 or "\n" in text
            return Node(label, type_name(value), text, note, is_long=is_long)
        inside = _inside(value)
        if inside is None:
            return Node(label, type_name(value), any_text(value, MOST_TEXT))
        count = show_count(inside.count, inside.noun)
        if inside.count and level >= MOST_LEVELS:
            return Node(label, type_name(value), count, "deeper levels are not shown")
        parts: list[Node] = []
        for name, part in inside.parts:
            if len(parts) == MOST_PARTS or self._room <= 0:
                break
            parts.append(self.node(part, name, level + 1))
        left = inside.count - len(parts)
        note = f"{left:,} more {'is' if left == 1 else 'are'} not shown" if left else ""
        return Node(
            label, type_name(value), count if kind is not UnknownValue else "", note, (*parts,)
        )


@frozen
class _Inside:
    """The parts of a value, with their labels."""

    count: int
    noun: str
    parts: Iterator[tuple[str, Any]] = field(eq=False)


def _inside(value: Any) -> _Inside | None:
    kind = type(value)
    if kind is dict:
        noun = "field" if all(type(name) is str for name in value) else "item"
        return _Inside(len(value), noun, ((_key(key), part) for key, part in value.items()))
    if kind is list or kind is tuple:
        return _Inside(len(value), "item", ((str(at), part) for at, part in enumerate(value)))
    if kind is set or kind is frozenset:
        return _Inside(len(value), "item", (("", part) for part in in_order(value)))
    if kind is UnknownValue:
        return _Inside(1, "part", iter([("packed", value.packed)]))
    return None


def _key(key: Any) -> str:
    return printable(key, 200) if type(key) is str else printable(show(key), 200)


def _note(value: Any) -> str:
    if type(value) is str and len(value) > MOST_TEXT:
        return f"{len(value):,} characters in all"
    if type(value) is bytes:
        return show_size(len(value)) + (" in all" if len(value) > MOST_TEXT else "")
    return ""
