"""Text that the stored bytes of every matching record contain. Records without it are not decoded.

If a filter says that a field equals the string "London", the bytes of a matching record contain
these letters. Looking for them takes a twentieth of the time that decoding takes. A record that
contains them may still not match: the predicate decides.

`execution` asks for the text.
"""

from collections.abc import Iterable
from typing import Any

from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.jsonpath import Fields, JSONPath, This

from stones.collections.records.stored_forms import ValueOfForms

from .nodes import Child, Descendants, Index, Slice, Wildcard
from .syntax_tree import BoundValue, nodes


def required_text(expressions: Iterable[JSONPath]) -> bytes | None:
    """The longest text that the bytes of a matching record contain. None if no text is known.

    A record matches if it fulfils all expressions, which have no placeholders left.
    """
    wanted = []
    for node in expressions:
        if isinstance(node, Expression) and node.op in ("=", "==") and _is_plain(node.target):
            value = node.value
            wanted.append(value.value if isinstance(value, BoundValue) else value)
    return longest_literal(wanted)


def longest_literal(wanted: Iterable[Any]) -> bytes | None:
    """The longest of these values that every serializer of stones writes letter by letter.

    Returns None if there is no such value.
    """
    stored = (value.stored if type(value) is ValueOfForms else value for value in wanted)
    found = [value.encode() for value in stored if type(value) is str and _is_literal(value)]
    return max(found, key=len, default=None)


# These steps lead to stored values. Other steps make new values: `str()`, `+`, `sub()`. The
# last one is a subclass of This, so exact types are compared.
_PLAIN_STEPS = frozenset({Child, Descendants, Fields, Index, Slice, This, Wildcard})


def _is_plain(path: Any) -> bool:
    return all(type(node) in _PLAIN_STEPS for node in nodes(path))


def _is_literal(text: str) -> bool:
    # JSON may escape all other characters.
    return text != "" and text.isascii() and text.isprintable() and not {'"', "\\"} & {*text}
