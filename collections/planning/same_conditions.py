"""Whether two conditions of filters are the same, whatever their spelling.

An index with a condition answers only queries that have the same condition. So the trees are
compared, not the texts. `plan` asks.
"""

from collections.abc import Sequence
from typing import Any

from jsonpath_ng.jsonpath import JSONPath

from stones.collections.language.comparisons import Forms
from stones.collections.language.normal_form import AllOf, AnyOf, Leaf, Part, Rest


def is_same(left: Part, right: Part) -> bool:
    """Whether two conditions are the same, whatever their spelling."""
    match left, right:
        case Leaf(), Leaf():
            return (left.path, left.op) == (right.path, right.op) and _is_same_value(
                left.value, right.value
            )
        case AllOf(), AllOf():
            return _are_same(left.parts, right.parts)
        case AnyOf(), AnyOf():
            return _are_same(left.parts, right.parts)
        case Rest(), Rest():
            return left.node is not None and _is_same_tree(left.node, right.node)
    return False


def _are_same(left: Sequence[Part], right: Sequence[Part]) -> bool:
    return len(left) == len(right) and all(map(is_same, left, right))


def _is_same_value(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, Forms):
        return _is_same_value(left.forms, right.forms)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_is_same_value, left, right))
    return isinstance(left, _COMPARED) and bool(left == right)


def _is_same_tree(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, JSONPath):
        return _is_same_tree(vars(left), vars(right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            _is_same_tree(left[name], right[name]) for name in left
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_is_same_tree, left, right))
    return _is_same_value(left, right)


_COMPARED = (bool, int, float, str, bytes, type(None))
