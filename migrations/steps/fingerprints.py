"""The fingerprint of a step: a short text that changes if its declaration or its code changes.

The source of a function is taken from its syntax tree. So comments, docstrings and line breaks do
not count. What a function calls does not count either.
"""

import ast
import linecache
from collections.abc import Mapping
from copy import copy
from functools import lru_cache, partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType
from typing import Any

from .migration import Migration


def fingerprint(step: Migration) -> str:
    """16 hexadecimal digits for what the step does. Its name and its `reverse` do not count.

    >>> fingerprint(Migration(1, drop=['a'])) == fingerprint(Migration(1, drop=['a'], name='tidy'))
    True
    >>> fingerprint(Migration(1, drop=['a'])) == fingerprint(Migration(1, drop=['b']))
    False
    """
    parts = [
        (part, _text(getattr(step, part)))
        for part in ("rename", "convert", "drop", "add", "change", "key")
        if getattr(step, part)
    ]
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _text(value: Any) -> str:
    """A value as text that is the same in each process."""
    if isinstance(value, FunctionType):
        return _source(value.__code__) or value.__qualname__
    if isinstance(value, MethodType):
        return _text(value.__func__)
    if isinstance(value, partial):
        return _text((value.func, value.args, value.keywords))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, set | frozenset):  # their order differs from process to process
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # a __repr__ may raise anything
        return type(value).__qualname__


def _source(code: CodeType) -> str | None:
    """The source of a function without comments. None if there is no source of it."""
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    tree = _parsed("".join(lines))
    if tree is None:
        return None
    first, place = code.co_firstlineno, _place(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            if code.co_name == "<lambda>" and node.lineno == first and _spans(node, place):
                return ast.unparse(node)
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            starts = [node.lineno, *(each.lineno for each in node.decorator_list)]
            if min(starts) == first:
                return _without_docstring(node)
    return None


@lru_cache(maxsize=32)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _place(code: CodeType) -> tuple[int, int] | None:
    """The line and the column at which the body of a lambda begins, as its instructions tell."""
    for line, _, column, _ in code.co_positions():
        if line is not None and column is not None and column > 0:
            return line, column
    return None


def _spans(node: ast.Lambda, place: tuple[int, int] | None) -> bool:
    """Whether a place is in the body of this lambda. Two lambdas may begin on one line."""
    body = node.body
    if place is None or body.end_lineno is None or body.end_col_offset is None:
        return True
    return (body.lineno, body.col_offset) <= place <= (body.end_lineno, body.end_col_offset)


def _without_docstring(node: ast.FunctionDef) -> str:
    if ast.get_docstring(node) is None:
        return ast.unparse(node)
    rest = copy(node)
    rest.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(rest))
