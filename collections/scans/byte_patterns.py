"""What the stored bytes of every match contain: a packed name and a packed value, or a number.

A record that fulfils `@.city == "Rome"` contains the bytes of the name and, next to it, those of
the text. To search a page of several hundred records for these bytes takes a twentieth of the time
that decoding takes. A record that contains them may still not match: another lane decides.

`byte_search` searches a page.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import define
from jsonpath_ng.ext.filter import And, Expression
from jsonpath_ng.jsonpath import Fields, JSONPath, This

from stones.collections.language.arithmetic import FloatLiteral
from stones.collections.language.nodes import Child, Descendants, Index, Slice, Wildcard
from stones.collections.language.normal_form import AllOf, AnyOf, Leaf, Part, simple_path
from stones.collections.language.syntax_tree import BoundValue, nodes
from stones.collections.records.stored_forms import ValueOfForms
from stones.collections.stored_description import ReadDescription

from .conditions import leads_through
from .notations import Head, Marker, Notation, is_encodable
from .number_patterns import number_pattern

Find = Callable[[bytes, int], int]
"""The place of the next hit in some bytes from a place on, or -1."""


@define(eq=False)
class Sought:
    """Bytes to search for."""

    find: Find
    length: int
    """How many bytes are fixed: the more, the fewer hits there are."""
    marker: Marker | None = None
    """If a page does not contain this, `find` need not be asked."""
    is_number: bool = False
    """Whether it is a pattern, which takes longer to make and to search."""


Pretest = Sequence[Sought]
"""Bytes of which every match contains at least one."""

_SHORTEST = 3
"""Shorter bytes, without a name before them, are in most records."""


@define(eq=False)
class BytePatterns:
    """Makes the pretests of a filter, for records that are stored in one notation."""

    notation: Notation
    description: ReadDescription
    with_numbers: bool
    """Whether to make patterns of numbers too. That takes up to a millisecond."""

    def pretests(self, whole: AllOf, expressions: Iterable[JSONPath]) -> list[Pretest]:
        """What all holds for a match. Without a pretest, any record may match."""
        if self.description.computed is None or self.description.computed:
            return []
        found = list(self._of_all(whole.parts))
        texts = filter(self._keeps, _texts_on_other_paths(expressions))
        return [*found, *([_literal(text.encode())] for text in texts)]

    def _of_all(self, parts: Sequence[Part]) -> Iterator[Pretest]:
        for part in parts:
            if isinstance(part, AllOf):
                yield from self._of_all(part.parts)
            elif isinstance(part, AnyOf):
                sides = [_best(self._of_all([side])) for side in part.parts]
                together = [sought for side in sides if side is not None for sought in side]
                if None not in sides:
                    yield together
            elif isinstance(part, Leaf):
                found = self._of_leaf(part)
                if found:
                    yield found

    def _of_leaf(self, leaf: Leaf) -> Pretest | None:
        op, value = leaf.op, leaf.value
        if op == "==" and type(value) is ValueOfForms:
            text = value.stored  # each form contains it, letter by letter
            return [_literal(text.encode())] if type(text) is str and self._keeps(text) else None
        is_kept = op == "==" and type(value) is str and self._keeps(value)
        if not self.notation.is_known:
            return [_literal(value.encode())] if is_kept else None
        if leads_through(leaf.path, self.description) and not is_kept:
            return None
        on_path = [self._heads(step) for step in leaf.path]
        if None in on_path:
            return None
        found = self._of_value(on_path[-1] or [], op, value)
        # A value of a registered type may equal any value, and have fields that nobody knows.
        marker = self.notation.registered
        registered = [
            _literal(head + marker.text, marker) for heads in on_path for head, _ in heads or ()
        ]
        return None if found is None else [*found, *registered]

    def _of_value(self, heads: Sequence[Head], op: str, value: Any) -> Pretest | None:
        """What stands for a value that compares so, behind one of these heads."""
        if op == "exists":
            return [_literal(head, marker) for head, marker in heads if head] or None
        if op == "contains" and type(value) is str and value and is_encodable(value):
            return [_literal(self.notation.letters(value))]
        if op == "==" and self.notation.can_hold(value):
            body = self.notation.encoded(value)
            if not heads[0][0] and len(body) < _SHORTEST:
                return None
            return [_literal(head + body, marker) for head, marker in heads]
        return self._of_number(heads, op, value)

    def _of_number(self, heads: Sequence[Head], op: str, value: Any) -> Pretest | None:
        forms = self.notation.numbers
        kind: type = type(value)
        if kind is FloatLiteral:
            kind, value = float, float(value)
        if not self.with_numbers or forms is None or kind not in (int, float):
            return None
        if not heads[0][0] or op not in ("==", "<", "<=", ">", ">="):
            return None
        pattern = number_pattern(forms, op, kind, value)
        if pattern is None:
            return None
        return [
            Sought(_finder(re.compile(re.escape(head) + pattern)), len(head), marker, True)
            for head, marker in heads
        ]

    def _heads(self, last: Any) -> Sequence[Head] | None:
        """What stands before a value at the end of a path. None if it cannot be told.

        An item of an array, and each value of a dict, have nothing fixed before them.
        """
        if type(last) is not str:
            return [(b"", None)]
        if not is_encodable(last):
            return None
        return self.notation.heads(last)

    def _keeps(self, text: str) -> bool:
        """Whether a match has this text in its bytes, though kept defaults are not in them."""
        return _is_the_same_everywhere(text) and (
            not self.description.varies or self.description.keeps_text(text.encode())
        )


def _best(pretests: Iterable[Pretest]) -> Pretest | None:
    """The pretest that probably has the fewest hits."""
    return max(pretests, key=strictness, default=None)


def strictness(pretest: Pretest) -> tuple[bool, int]:
    """Orders pretests: the one with the fewest hits is probably the highest."""
    return (
        not any(sought.is_number for sought in pretest),
        min((sought.length for sought in pretest), default=0),
    )


def _literal(needle: bytes, marker: Marker | None = None) -> Sought:
    return Sought(lambda joined, start: joined.find(needle, start), len(needle), marker=marker)


def _finder(pattern: re.Pattern[bytes]) -> Find:
    search = pattern.search

    def find(joined: bytes, start: int) -> int:
        match = search(joined, start)
        return -1 if match is None else match.start()

    return find


# -- other paths -------------------------------------------------------------------------------

# These steps lead to stored values. Other steps make new values: `str()`, `+`, `sub()`. The
# last one is a subclass of This, so exact types are compared.
_PLAIN_STEPS = frozenset({Child, Descendants, Fields, Index, Slice, This, Wildcard})


def mentions_text(expressions: Iterable[JSONPath]) -> bool:
    """Whether it is worth looking for pretests without numbers. It costs next to nothing."""
    return any(
        not isinstance(node, Expression)
        or type(node.value) is str
        or (type(node.value) is BoundValue and type(node.value.value) not in (int, float))
        for node in expressions
    )


def _texts_on_other_paths(expressions: Iterable[JSONPath]) -> Iterator[str]:
    """The texts that a stored value equals, somewhere on a path that is not simple."""
    for node in expressions:
        if isinstance(node, And):
            yield from _texts_on_other_paths(node.operands)
        elif isinstance(node, Expression) and node.op in ("=", "=="):
            value = node.value.value if isinstance(node.value, BoundValue) else node.value
            stored = value.stored if type(value) is ValueOfForms else value
            is_other = type(stored) is str and simple_path(node.target) is None
            if is_other and all(type(step) in _PLAIN_STEPS for step in nodes(node.target)):
                yield stored


def _is_the_same_everywhere(text: str) -> bool:
    """Whether each serializer writes this text letter by letter. JSON may escape other letters."""
    return text != "" and text.isascii() and text.isprintable() and not {'"', "\\"} & {*text}
