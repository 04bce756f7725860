"""The nodes of a syntax tree that mean more to stones than to jsonpath-ng.

Each class here takes the place of the class of the same name in jsonpath-ng, whose `find` it
extends. So jsonpath-ng can still evaluate the tree, and finds the same as `predicates`:

- A set, and a tuple, is an array everywhere (see `arrays`).
- Values compare as `ordering` says, and calculate as `arithmetic` says.
- What cannot be evaluated for one value concerns this value only (see `failures`). Inside of a
  filter it makes the condition neither true nor false, so there `find` raises the error. In a path
  that gives values it leads nowhere: such nodes are `lenient`.
- `Not` negates a condition of any kind. jsonpath-ng can only negate a path.
- `in` and `contains` are operators (see `membership`).

`replaced` makes a tree of these nodes from one of jsonpath-ng. `parsing` asks for it.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jsonpath_ng import jsonpath
from jsonpath_ng.ext import arithmetic, iterable, string
from jsonpath_ng.ext import filter as filters
from jsonpath_ng.jsonpath import DatumInContext, Fields, JSONPath

from .arithmetic import calculate
from .arrays import ARRAYS, SETS, as_lists, in_order, items
from .failures import all_true, any_true, attempt, opposite
from .membership import WORDS, compare_by_word
from .ordering import compare, compare_without_order

Find = Callable[[Any], list[DatumInContext]]
T = TypeVar("T")

NEGATED_GROUP = "!( )"
"""The field that stands before the group in `!(...)`, while jsonpath-ng parses it.

Only this very object means it. A field may have the same name.
"""


def truth(condition: JSONPath, datum: DatumInContext) -> bool | None:
    """Whether a condition of a filter is true for a value. None if it cannot be evaluated."""
    if isinstance(condition, Not):
        return opposite(truth(condition.operand, datum))
    if isinstance(condition, filters.And):
        return all_true(truth(operand, datum) for operand in condition.operands)
    if isinstance(condition, filters.Or):
        return any_true(truth(operand, datum) for operand in condition.operands)
    found: list[Any] | None = attempt(condition.find, datum, None)
    return None if found is None else bool(found)


class Not(JSONPath):
    """The negation of a condition: `!(...)`."""

    def __init__(self, operand: JSONPath) -> None:
        self.operand = operand

    def find(self, data: Any) -> list[DatumInContext]:
        datum = DatumInContext.wrap(data)
        return [datum] if truth(self, datum) else []

    def __repr__(self) -> str:
        return f"Not({self.operand!r})"

    def __str__(self) -> str:
        return f"!({self.operand})"


class Filter(filters.Filter):
    """A step that selects items: `[?(...)]`."""

    def find(self, datum: Any) -> list[DatumInContext]:
        datum = DatumInContext.wrap(datum)
        found = _inside(datum)
        for expression in self.expressions:
            found = [candidate for candidate in found if truth(expression, candidate)]
        return found


class Expression(filters.Expression):
    """A condition without `&&` and `||`: a comparison, a path, or `!` and a path."""

    def find(self, datum: Any) -> list[DatumInContext]:
        if self.op in (None, "!", "=~"):
            find: Find = super().find
            return find(datum)
        datum = DatumInContext.wrap(datum)
        found: list[DatumInContext] = self.target.find(datum)
        if self.op in WORDS:
            return [match for match in found if compare_by_word(self.op, match.value, self.value)]
        if isinstance(self.value, JSONPath):
            values = [match.value for match in self.value.find(datum)]
            if not found or not values:
                equal = not found and not values
                return (found or [datum]) if compare_without_order(self.op, equal) else []
        else:
            values = [self.value]
            if not found:
                return [datum] if self.op == "!=" else []
        if len(values) == 1:
            return [match for match in found if compare(self.op, match.value, values[0])]
        return [
            match for match in found if any(compare(self.op, match.value, each) for each in values)
        ]


class Operation(arithmetic.Operation):
    """Two operands with `+`, `-`, `*` or `/` between them."""

    lenient = False

    def find(self, datum: Any) -> list[DatumInContext]:
        lefts, rights = _operands(self.left, datum), _operands(self.right, datum)
        if not isinstance(self.left, JSONPath):
            lefts *= len(rights)
        elif not isinstance(self.right, JSONPath):
            rights *= len(lefts)
        if len(lefts) != len(rights):
            return []
        calculated: Callable[[tuple[Any, Any]], list[DatumInContext]] = self._calculated
        find = _lenient(calculated) if self.lenient else calculated
        return [result for pair in zip(lefts, rights, strict=True) for result in find(pair)]

    def _calculated(self, pair: tuple[Any, Any]) -> list[DatumInContext]:
        return [DatumInContext(calculate(self.op_symbol, *pair))]


class Grouped(arithmetic.Operation):
    """An operation in parentheses, before `replaced` makes an `Operation` of it."""


class Child(jsonpath.Child):
    """One step after the others."""

    lenient = False

    def find(self, datum: Any) -> list[DatumInContext]:
        find = _lenient(self.right.find) if self.lenient else self.right.find
        return [match for start in self.left.find(datum) for match in find(start)]


class Descendants(jsonpath.Descendants):
    """The values in a value, to any depth: `..`"""

    lenient = False

    def find(self, datum: Any) -> list[DatumInContext]:
        find = _lenient(self.right.find) if self.lenient else self.right.find
        matches: list[DatumInContext] = []
        # The next value is the last one here, so a value comes before the values inside it.
        waiting = self.left.find(datum)[::-1]
        while waiting:
            at = waiting.pop()
            matches += find(at)
            waiting += reversed(_inside(at))
        return matches


class Where(jsonpath.Where):
    """The values of a path from which another path leads to something."""

    lenient = False
    wanted = True

    def find(self, data: Any) -> list[DatumInContext]:
        find: Callable[[Any], Any] = self.right.find
        if self.lenient:
            return [
                each
                for each in self.left.find(data)
                if (found := attempt(find, each, None)) is not None and bool(found) is self.wanted
            ]
        return [each for each in self.left.find(data) if bool(find(each)) is self.wanted]


class WhereNot(Where, jsonpath.WhereNot):
    """The values of a path from which another path leads nowhere."""

    wanted = False


class _SetsAreArrays(JSONPath):
    """A step that jsonpath-ng takes for arrays, but not for sets."""

    def find(self, datum: Any) -> list[DatumInContext]:
        datum = DatumInContext.wrap(datum)
        if not isinstance(datum.value, SETS):
            return super().find(datum)
        listed = DatumInContext(in_order(datum.value), datum.path, datum.context)
        found = super().find(listed)
        for match in found:
            if match.context is listed:  # so that `parent` is the set
                match.context = datum
        return found


class Wildcard(_SetsAreArrays, jsonpath.Wildcard):
    """Every item of an array, every value of a dict: `[*]`"""


class Index(_SetsAreArrays, jsonpath.Index):
    """One item of an array, or several: `[0]`"""


class Slice(_SetsAreArrays, jsonpath.Slice):
    """The items of an array between two places: `[0:2]`"""


class Str(string.Str):
    """The text of a value: `` `str()` ``. Arrays of all types have the text of a list."""

    def find(self, datum: Any) -> list[DatumInContext]:
        return [DatumInContext(str(as_lists(DatumInContext.wrap(datum).value)))]


class SortedThis(iterable.SortedThis):
    """The sorted items of an array: `` `sorted` ``. Any other value stays as it is."""

    def find(self, datum: Any) -> list[DatumInContext]:
        datum = DatumInContext.wrap(datum)
        if isinstance(datum.value, ARRAYS):
            datum = DatumInContext(list(items(datum.value)), datum.path, datum.context)
        find: Callable[[Any], Any] = super().find
        found = find(datum)
        # jsonpath-ng gives back the value itself, not a list of matches, if it is not an array.
        return found if isinstance(found, list) else [found]


_REPLACEMENTS: Mapping[type[JSONPath], type[JSONPath]] = {
    arithmetic.Operation: Operation,
    Grouped: Operation,
    filters.Expression: Expression,
    filters.Filter: Filter,
    iterable.SortedThis: SortedThis,
    jsonpath.Child: Child,
    jsonpath.Descendants: Descendants,
    jsonpath.Index: Index,
    jsonpath.Slice: Slice,
    jsonpath.Where: Where,
    jsonpath.WhereNot: WhereNot,
    jsonpath.Wildcard: Wildcard,
    string.Str: Str,
}


def replaced(part: Any, *, lenient: bool) -> Any:
    """A copy of a tree of jsonpath-ng, or of a list of trees, made of the nodes of this module.

    A `lenient` path leads nowhere from a value that it cannot be evaluated for. Conditions inside
    of the path never are lenient.
    """
    if isinstance(part, list | tuple):
        return type(part)(replaced(inside, lenient=lenient) for inside in part)
    if not isinstance(part, JSONPath):
        return part
    group = _negated_group(part)
    if group is not None:
        operands = [replaced(each, lenient=False) for each in group.expressions]
        operand = operands[0] if len(operands) == 1 else filters.And(operands)
        return operand.operand if isinstance(operand, Not) else Not(operand)
    if isinstance(part, arithmetic.Operation):
        part = _with_precedence(part)
    copy = object.__new__(_REPLACEMENTS.get(type(part), type(part)))
    is_condition = isinstance(part, filters.Filter | filters.Expression)
    for name, inside in vars(part).items():
        is_test = isinstance(part, jsonpath.Where) and name == "right"
        keep = lenient and not is_condition and not is_test
        setattr(copy, name, replaced(inside, lenient=keep))
    if lenient and hasattr(copy, "lenient"):
        copy.lenient = True
    return copy


def _with_precedence(operation: arithmetic.Operation) -> arithmetic.Operation:
    """The same calculation, from left to right, and with `*` and `/` before `+` and `-`.

    jsonpath-ng reads `a * b + c` as `a * (b + c)`.
    """
    terms: list[Any] = [operation.left]
    signs: list[str] = []
    ends = False
    while not ends:
        symbol, operand = operation.op_symbol, operation.right
        ends = not isinstance(operand, arithmetic.Operation) or isinstance(operand, Grouped)
        if not ends:
            operation = operand
            operand = operation.left
        if symbol in ("*", "/"):
            terms[-1] = arithmetic.Operation(terms[-1], symbol, operand)
        else:
            terms.append(operand)
            signs.append(symbol)
    for symbol, term in zip(signs, terms[1:], strict=True):
        terms[0] = arithmetic.Operation(terms[0], symbol, term)
    whole: arithmetic.Operation = terms[0]
    return whole


def _negated_group(node: JSONPath) -> filters.Filter | None:
    """The conditions inside of `!(...)`. None for any other node."""
    if isinstance(node, filters.Expression) and node.op == "!":
        target = node.target
        if isinstance(target, jsonpath.Child) and isinstance(target.right, filters.Filter):
            mark = target.left
            if isinstance(mark, Fields) and mark.fields[0] is NEGATED_GROUP:
                return target.right
    return None


_EVERYTHING = Wildcard()


def _inside(datum: DatumInContext) -> list[DatumInContext]:
    """The items of an array, or the values of a dict."""
    return _EVERYTHING.find(datum) if isinstance(datum.value, (dict, *ARRAYS)) else []


def _lenient(find: Callable[[Any], list[T]]) -> Callable[[Any], list[T]]:
    """The same function, but it finds nothing where it fails."""
    return lambda value: attempt(find, value, [])


def _operands(operand: Any, datum: Any) -> list[Any]:
    if not isinstance(operand, JSONPath):
        return [operand]
    return [match.value for match in operand.find(datum)]
