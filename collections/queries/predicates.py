"""Paths and filters of JSONPath as plain functions of one record.

jsonpath-ng evaluates a path by walking its syntax tree. Here the tree becomes closures, once for
each query. For the usual steps and comparisons, closures are 10 to 40 times faster. Unusual steps
are left to jsonpath-ng (`jsonpath_ng_evaluation`), so every path keeps its meaning.
tests/test_jsonpath.py compares the two.

`jsonpath` asks for the functions, `syntax_tree` takes the tree apart, and `comparisons` compares
values. Filters and paths are in one file because each contains the other: a filter compares what
paths lead to, and a step of a path may be a filter.

Closures are slower than generated source would be, by a factor of 1.2 to 1.5. But generated source
is harder to read, slower to bind to new values, and limited in how deep a filter may be nested.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jsonpath_ng.ext.filter import And, Expression, Or
from jsonpath_ng.ext.filter import Filter as Selection
from jsonpath_ng.jsonpath import Fields, Index, JSONPath, Root, Wildcard

from .comparisons import (
    MISSING,
    Getter,
    Missing,
    Predicate,
    compare_without_order,
    comparison,
    comparison_of_two,
)
from .jsonpath_ng_evaluation import Finder, evaluator
from .syntax_tree import BoundValue, is_local, steps


def predicate(expressions: Sequence[JSONPath], text: str) -> Predicate:
    """The function that tells whether a record fulfils all expressions of a filter.

    The expressions may not refer to `$`, and have no placeholders left. `text` is for errors.
    """
    return all_of([_condition(expression, text) for expression in expressions])


def all_of(tests: Sequence[Predicate]) -> Predicate:
    """The function that tells whether a record passes one or more tests, in order."""
    if len(tests) == 1:
        return tests[0]
    # Split in halves: n tests are log2(n) calls deep.
    first, second = all_of(tests[: len(tests) // 2]), all_of(tests[len(tests) // 2 :])
    return lambda record: first(record) and second(record)


def field_getter(name: str) -> Getter:
    """The function that gets the field with exactly this name."""
    return lambda value: value.get(name, MISSING) if type(value) is dict else _field(value, name)


def finder(path: JSONPath, text: str) -> Finder:
    """The function that lists all values that a path leads to from a record."""
    taken = steps(path)
    # Here the root is the record itself.
    if taken and isinstance(taken[0], Root):
        taken = taken[1:]
    return finder_of_steps(taken, text) if is_local(taken) else evaluator(path, text)


def finder_of_steps(path: Sequence[JSONPath], text: str) -> Finder:
    """The function that lists all values that local steps lead to."""
    get = _getter_of_steps(path)
    if get is not None:
        return lambda record: [] if (found := get(record)) is MISSING else [found]
    many = next(place for place, step in enumerate(path) if _getter_of_steps([step]) is None)
    get_start, expand_start = _getter_of_steps(path[:many]), _expansion(path[many], text)
    assert get_start is not None
    expansions = [_expansion(step, text) for step in path[many + 1 :]]

    def find(record: Any) -> list[Any]:
        start = get_start(record)
        values = [] if start is MISSING else list(expand_start(start))
        for expand in expansions:
            values = [found for value in values for found in expand(value)]
        return values

    return find


# -- filters -----------------------------------------------------------------------------------


def _any_of(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    first, second = _any_of(tests[: len(tests) // 2]), _any_of(tests[len(tests) // 2 :])
    return lambda record: first(record) or second(record)


def _condition(node: JSONPath, text: str) -> Predicate:
    if isinstance(node, And):
        return predicate(node.operands, text)
    if isinstance(node, Or):
        return _any_of([_condition(operand, text) for operand in node.operands])
    assert isinstance(node, Expression)
    if node.op is None or node.op == "!":
        return _existence(node.target, text, wanted=node.op is None)
    if isinstance(node.value, JSONPath):
        return _comparison_of_paths(node, text)
    value = node.value.value if isinstance(node.value, BoundValue) else node.value
    get = _getter_of_steps(steps(node.target))
    if get is not None:
        return comparison(node.op, get, value, text)
    return _comparison_of_any(node.op, finder(node.target, text), value, text)


def _existence(path: JSONPath, text: str, *, wanted: bool) -> Predicate:
    get = _getter_of_steps(steps(path))
    if get is None:
        find = finder(path, text)
        return lambda record: bool(find(record)) is wanted
    if wanted:
        return lambda record: get(record) is not MISSING
    return lambda record: get(record) is MISSING


def _comparison_of_any(op: str, find: Finder, value: Any, text: str) -> Predicate:
    """True if any of the values compares. If there is no value, only `!=` is true."""
    if type(value) is str and op in ("==", "="):
        return lambda record: value in find(record)
    holds = comparison(op, _same, value, text)

    def test(record: Any) -> bool:
        values = find(record)
        return any(map(holds, values)) if values else op == "!="

    return test


def _comparison_of_paths(node: Expression, text: str) -> Predicate:
    op, holds = node.op, comparison_of_two(node.op, text)
    find_left, find_right = finder(node.target, text), finder(node.value, text)

    def test(record: Any) -> bool:
        lefts, rights = find_left(record), find_right(record)
        if not lefts or not rights:
            return compare_without_order(op, not lefts and not rights)
        return any(holds(left, right) for left in lefts for right in rights)

    return test


# -- paths that lead to one value --------------------------------------------------------------

# Exact types that have no fields.
_LEAVES = frozenset({Missing, type(None), bool, int, float, str, bytes, list, tuple})


def _getter_of_steps(path: Sequence[JSONPath]) -> Getter | None:
    """The function that gets the one value that these steps can lead to.

    Returns None if there may be several values, or if a step is left to jsonpath-ng.
    """
    keys: list[Any] = []
    for step in path:
        if isinstance(step, Fields) and len(step.fields) == 1:
            keys += step.fields
        elif isinstance(step, Index) and len(step.indices) == 1:
            keys += step.indices
        else:
            return None
    return _getter_of_keys(keys)


def _getter_of_keys(keys: Sequence[str | int]) -> Getter:
    match keys:
        case []:
            return _same
        case [str(name)]:
            return field_getter(name)
        case [int(place)]:
            return lambda value: _element(value, place)
        case [str(outer), str(inner)]:  # the general case below takes three calls, this one
            return lambda value: (
                middle.get(inner, MISSING)
                if type(value) is dict and type(middle := value.get(outer, MISSING)) is dict
                else _field(_field(value, outer), inner)
            )
        case _:
            half = len(keys) // 2
            before, after = _getter_of_keys(keys[:half]), _getter_of_keys(keys[half:])
            return lambda value: after(before(value))


def _same(value: Any) -> Any:
    return value


def _field(value: Any, name: str) -> Any:
    if type(value) in _LEAVES:
        return MISSING
    try:
        return value.get(name, MISSING)
    except (AttributeError, TypeError):  # jsonpath-ng too asks any value that has a get()
        return MISSING


def _element(value: Any, place: int) -> Any:
    if isinstance(value, list | tuple) and -len(value) <= place < len(value):
        return value[place]
    return MISSING


# -- steps that lead to several values ---------------------------------------------------------


def _expansion(step: JSONPath, text: str) -> Callable[[Any], Iterable[Any]]:
    """The function that gives all values that one step leads to."""
    get = _getter_of_steps([step])
    if get is not None:
        return lambda value: () if (found := get(value)) is MISSING else (found,)
    if isinstance(step, Selection):
        test = predicate(step.expressions, text)
        return lambda value: filter(test, _candidates(value))
    find = evaluator(step, text)
    if isinstance(step, Wildcard):
        return lambda value: value if type(value) is list else find(value)
    return find


def _candidates(value: Any) -> Iterable[Any]:
    """The values that a filter chooses from. As in jsonpath-ng, a tuple gives no values."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
