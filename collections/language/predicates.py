"""Paths and filters of JSONPath as plain functions of one record.

jsonpath-ng evaluates a path by walking its syntax tree. Here the tree becomes closures, once for
each query. For the usual steps and comparisons, closures are 10 to 40 times faster. Unusual steps
are left to jsonpath-ng (`jsonpath_ng_evaluation`), so every path keeps its meaning.
tests/test_jsonpath.py compares the two.

A condition is a function that returns true, false, or None if it cannot be evaluated for a record
(see `failures`). `None` counts as false, but its negation is `None` too.

`jsonpath` asks for the functions, `syntax_tree` takes the tree apart, and `comparisons` compares
values. Filters and paths are in one file because each contains the other: a filter compares what
paths lead to, and a step of a path may be a filter.

Closures are slower than generated source would be, by a factor of 1.2 to 1.5. But generated source
is harder to read, slower to bind to new values, and limited in how deep a filter may be nested.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jsonpath_ng.ext.filter import And, Expression, Or
from jsonpath_ng.jsonpath import Fields, JSONPath, Root

from .arithmetic import calculate
from .arrays import ARRAYS, SETS, in_order
from .comparisons import (
    MISSING,
    Getter,
    Missing,
    Predicate,
    comparison,
    comparison_of_two,
)
from .failures import all_true, any_true, attempt, opposite
from .jsonpath_ng_evaluation import Finder, evaluator
from .nodes import Descendants, Filter, Index, Not, Operation, Wildcard
from .ordering import compare_without_order
from .syntax_tree import BoundValue, is_local, may_fail, steps


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


def finder(path: JSONPath) -> Finder:
    """The function that lists all values that a lenient path leads to from a record.

    A step leads nowhere from a value that it cannot be evaluated for.
    """
    find = _finder(path, lenient=True)
    return (lambda record: attempt(find, record, [])) if may_fail(path) else find


def finder_of_steps(
    path: Sequence[JSONPath], *, lenient: bool = True, ordered: bool = True
) -> Finder:
    """The function that lists all values that local steps lead to.

    If the steps cannot be evaluated for a value, a `lenient` function skips the value. Otherwise it
    raises the error. Unless `ordered`, values from a set are in no particular order.
    """
    get = _getter_of_steps(path)
    if get is not None:
        return lambda record: [] if (found := get(record)) is MISSING else [found]
    many = next(place for place, step in enumerate(path) if _getter_of_steps([step]) is None)
    get_start = _getter_of_steps(path[:many])
    assert get_start is not None
    expand_start, *expansions = [
        _expansion(step, lenient=lenient, ordered=ordered) for step in path[many:]
    ]

    if not expansions:
        return lambda record: (
            [] if (start := get_start(record)) is MISSING else list(expand_start(start))
        )

    def find(record: Any) -> list[Any]:
        start = get_start(record)
        values = [] if start is MISSING else list(expand_start(start))
        for expand in expansions:
            values = [found for value in values for found in expand(value)]
        return values

    return find


def _finder(path: JSONPath, *, lenient: bool = False, ordered: bool = True) -> Finder:
    taken = steps(path)
    # Here the root is the record itself.
    if taken and isinstance(taken[0], Root):
        taken = taken[1:]
    if is_local(taken):
        return finder_of_steps(taken, lenient=lenient, ordered=ordered)
    return evaluator(path)


# -- filters -----------------------------------------------------------------------------------


def _any_of(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    first, second = _any_of(tests[: len(tests) // 2]), _any_of(tests[len(tests) // 2 :])
    return lambda record: first(record) or second(record)


def _condition(node: JSONPath, text: str, *, exact: bool = False) -> Predicate:
    """The function of a condition. Unless `exact`, it may return None for false, and the reverse.

    Only a negation makes a difference between the two.
    """
    exact = exact and may_fail(node)
    if isinstance(node, Not):
        test = _condition(node.operand, text, exact=True)
        if may_fail(node):
            return lambda record: opposite(test(record))
        return lambda record: not test(record)
    if isinstance(node, And | Or):
        tests = [_condition(operand, text, exact=exact) for operand in node.operands]
        if exact:
            combine = all_true if isinstance(node, And) else any_true
            return lambda record: combine(test(record) for test in tests)
        return all_of(tests) if isinstance(node, And) else _any_of(tests)
    assert isinstance(node, Expression)
    test = _comparison(node, text)
    return (lambda record: attempt(test, record, None)) if may_fail(node) else test


def _comparison(node: Expression, text: str) -> Predicate:
    """The function of a condition without `&&` and `||`. It raises an error where it fails."""
    if node.op is None or node.op == "!":
        return _existence(node.target, wanted=node.op is None)
    if isinstance(node.value, JSONPath):
        return _comparison_of_paths(node)
    value = node.value.value if isinstance(node.value, BoundValue) else node.value
    get = _getter_of_steps(steps(node.target))
    if get is not None:
        return comparison(node.op, get, value, text)
    return _comparison_of_any(node.op, _finder(node.target, ordered=False), value, text)


def _existence(path: JSONPath, *, wanted: bool) -> Predicate:
    get = _getter_of_steps(steps(path))
    if get is None:
        find = _finder(path, ordered=False)
        return lambda record: bool(find(record)) is wanted
    if wanted:
        return lambda record: get(record) is not MISSING
    return lambda record: get(record) is MISSING


def _comparison_of_any(op: str, find: Finder, value: Any, text: str) -> Predicate:
    """True if any of the values compares. If there is no value, only `!=` is true."""
    holds = comparison(op, _same, value, text)

    def test(record: Any) -> bool:
        values = find(record)
        return any(map(holds, values)) if values else op == "!="

    def test_text(record: Any) -> bool:
        values = find(record)
        try:
            return value in values
        except Exception:  # noqa: BLE001  # `==` of the user's own types may raise anything
            return any(map(holds, values))

    return test_text if type(value) is str and op in ("==", "=") else test


def _comparison_of_paths(node: Expression) -> Predicate:
    op, holds = node.op, comparison_of_two(node.op)
    find_left, find_right = (
        _finder(node.target, ordered=False),
        _finder(node.value, ordered=False),
    )

    def test(record: Any) -> bool:
        lefts, rights = find_left(record), find_right(record)
        if not lefts or not rights:
            return compare_without_order(op, not lefts and not rights)
        return any(holds(left, right) for left in lefts for right in rights)

    return test


# -- paths that lead to one value --------------------------------------------------------------

# Exact types that have no fields.
_LEAVES = frozenset(
    {Missing, type(None), bool, int, float, str, bytes, list, tuple, set, frozenset}
)


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


_CONTAINERS = (dict, *ARRAYS)


def _element(value: Any, place: int) -> Any:
    if (type(value) is list or isinstance(value, ARRAYS)) and -len(value) <= place < len(value):
        return in_order(value)[place] if isinstance(value, SETS) else value[place]
    return MISSING


# -- steps that lead to several values ---------------------------------------------------------


Expand = Callable[[Any], Iterable[Any]]
"""Gives all values that one step leads to from a value."""


def _expansion(step: JSONPath, *, lenient: bool, ordered: bool) -> Expand:
    expand = _strict_expansion(step, lenient, ordered)
    if not lenient or not may_fail(step):
        return expand
    return lambda value: attempt(expand, value, ())


def _strict_expansion(step: JSONPath, lenient: bool, ordered: bool) -> Expand:
    get = _getter_of_steps([step])
    if get is not None:
        return lambda value: () if (found := get(value)) is MISSING else (found,)
    if isinstance(step, Filter):
        return _selection(step, ordered)
    if isinstance(step, Descendants):
        return _descendants(step, ordered, lenient)
    if isinstance(step, Operation):
        return _calculation(step)
    find = evaluator(step)
    if isinstance(step, Wildcard):
        return lambda value: (
            value
            if type(value) is list or (not ordered and isinstance(value, SETS))
            else find(value)
        )
    return find


def _descendants(step: Descendants, ordered: bool, lenient: bool) -> Expand:
    find = finder_of_steps(steps(step.right), lenient=lenient, ordered=ordered)

    def expand(value: Any) -> list[Any]:
        found: list[Any] = []
        # The next value is the last one here, so a value comes before the values inside it.
        waiting = [value]
        while waiting:
            at = waiting.pop()
            found += find(at)
            if isinstance(at, _CONTAINERS):
                waiting += reversed([*_candidates(at, ordered)])
        return found

    return expand


def _calculation(step: Operation) -> Expand:
    get_left, get_right, op = _operand(step.left), _operand(step.right), step.op_symbol
    if get_left is None or get_right is None:
        return evaluator(step)

    def expand(value: Any) -> tuple[Any, ...]:
        left, right = get_left(value), get_right(value)
        return () if left is MISSING or right is MISSING else (calculate(op, left, right),)

    return expand


def _operand(operand: Any) -> Getter | None:
    """The function that gets an operand. None if it may be several values."""
    if isinstance(operand, JSONPath):
        return _getter_of_steps(steps(operand))
    return lambda _: operand


def _selection(step: Filter, ordered: bool) -> Expand:
    test = predicate(step.expressions, "")
    return lambda value: filter(test, _candidates(value, ordered))


def _candidates(value: Any, ordered: bool) -> Iterable[Any]:
    """The values directly inside of an array or a dict."""
    if type(value) is list:
        return value
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, SETS):
        return in_order(value) if ordered else value
    return value if isinstance(value, ARRAYS) else ()
