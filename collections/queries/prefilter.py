"""What the stored bytes of a matching record must contain, so that others need not be decoded.

Where a filter wants a field to equal the string "London", a record can only match if the letters
are in its bytes: looking for them takes a twentieth of decoding it. This says nothing about a
record that has them; the predicate decides.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.jsonpath import Child, Descendants, Fields, Index, JSONPath, Slice, This, Wildcard

from . import predicates
from .predicates import Placeholder

_PLAIN_STEPS = frozenset({Child, Descendants, Fields, Index, Slice, This, Wildcard})
"""Steps that lead to values as they are stored; others (`str()`, `+`, and `sub()`, a kind of This)
make new ones of them."""


def required_text(expressions: Iterable[JSONPath], values: Mapping[str, Any]) -> bytes | None:
    """The longest text that every record which fulfils all the expressions contains, or None."""
    wanted = []
    for node in expressions:
        if isinstance(node, Expression) and node.op in ("=", "==") and _is_plain(node.target):
            value = node.value
            wanted.append(values[value.name] if isinstance(value, Placeholder) else value)
    return longest_literal(wanted)


def longest_literal(wanted: Iterable[Any]) -> bytes | None:
    """The longest of these values that every serializer of ours writes as its own letters."""
    found = [value.encode() for value in wanted if type(value) is str and _is_literal(value)]
    return max(found, key=len, default=None)


def _is_plain(path: Any) -> bool:
    return all(type(node) in _PLAIN_STEPS for node in predicates.nodes(path))


def _is_literal(text: str) -> bool:
    # Other characters may be escaped in JSON.
    return text != "" and text.isascii() and text.isprintable() and not {'"', "\\"} & {*text}
