"""JSONPath over records: filters for `find()`, paths for `values()` and `search()`.

`parsing` makes a syntax tree of a text, as jsonpath-ng defines it. `predicates` makes functions of
the tree. This module checks that a text is a filter, a path inside a record, or a path into the
list of all records. It also finds out whether a path can be answered record by record. It knows no
store: a record is a plain dict, as decoded.

A `{name}` on the right of a comparison stands for a value that the caller gives with the query. The
value is put in after parsing, so it can never change the query. `comparisons` tells how values of
each type compare.

jsonpath-ng is going to drop words without quotes, `&` and `|`. The first time such a text is
parsed, jsonpath-ng gives a DeprecationWarning. Its global `auto_id_field` has no effect here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache, partial, wraps
from itertools import chain
from typing import Any, TypeVar

from attrs import field, frozen
from jsonpath_ng.jsonpath import Fields, Index, JSONPath

from stones.errors import QueryError
from stones.formats.messages import show_value
from stones.formats.registered_types import known

from .bound_filter import BoundFilter, Condition
from .comparisons import Predicate, comparison
from .field_types import FieldTypes
from .jsonpath_ng_evaluation import Finder, evaluate
from .nodes import Expression, Wildcard
from .nodes import Filter as Selection
from .normal_form import Step, simple_steps
from .parsing import parse, parse_condition
from .predicates import all_of, field_getter, finder, finder_of_steps, predicate
from .syntax_tree import (
    Binder,
    BoundValue,
    bind,
    binder_of,
    is_local,
    leads_to_one,
    refers_to_root,
    steps_from_root,
)

T = TypeVar("T")

# Parsing takes a millisecond, as long as testing thousands of records.
_CACHE_SIZE = 512


def _cached_parser(parser: Callable[[str], T]) -> Callable[[str], T]:
    cached = lru_cache(_CACHE_SIZE)(parser)

    @wraps(parser)
    def checked(text: str) -> T:
        if not isinstance(text, str):  # another value may have no hash, and so a TypeError
            raise QueryError(f"a JSONPath is a str, not {show_value(text)}")
        return cached(text)

    return checked


@_cached_parser
def parse_filter(text: str) -> "Filter":
    """The filter that a text describes.

    >>> adults = parse_filter('$[?(@.age >= {age})]')
    >>> adults.placeholders
    frozenset({'age'})
    >>> is_adult = adults.bind({'age': 18})
    >>> is_adult({'name': 'Ada', 'age': 36}), is_adult({'name': 'Max', 'age': 7})
    (True, False)

    Raises QueryError for a text that does not parse, with a mark under the place, and for a path
    that is not a filter. The text may also be the condition alone: `@.age >= {age}`.

    >>> parse_filter('$[?(@.age >)]')
    Traceback (most recent call last):
        ...
    stones.errors.QueryError: ')' is not expected here
        $[?(@.age >)]
                   ^

    Results are cached. A filter may be shared between threads.
    """
    return _filter(text, *_parse_filter(text))


def _filter(text: str, tree: JSONPath, placeholders: frozenset[str]) -> "Filter":
    expressions = _expressions(tree)
    if expressions is None:
        raise QueryError(
            "find() takes a filter of records, as in '$[?(@.age > 30)]'; search() gives the "
            f"values inside the records: {text!r}"
        )
    return Filter(text, placeholders, refers_to_root(expressions), tree, expressions)


@_cached_parser
def parse_values(text: str) -> "ValuePath":
    """The path inside a record that a text describes. `$` and `@` both mean the record.

    >>> parse_values('address.city').find({'address': {'city': 'London'}})
    ['London']
    >>> parse_values('tags[*]').find({'tags': ['a', 'b']})
    ['a', 'b']

    Raises QueryError for a text that does not parse, with a mark under the place, and for a text
    with placeholders.
    """
    tree, placeholders = _parse_path(text)
    if placeholders:
        raise QueryError(f"a path to the values of a record takes no {{placeholders}}: {text!r}")
    return ValuePath(text, finder(tree), tree)


@_cached_parser
def parse_search(text: str) -> "SearchPath":
    """The path into the list of all records that a text describes.

    >>> names = parse_search('$[?(@.age > {age})].name')
    >>> list(names.find([{'name': 'Ada', 'age': 36}, {'name': 'Max', 'age': 7}], {'age': 18}))
    ['Ada']

    Raises QueryError for a text that does not parse, with a mark under the place.
    """
    return _search(text, *_parse_path(text))


def _search(text: str, tree: JSONPath, placeholders: frozenset[str]) -> "SearchPath":
    steps = steps_from_root(tree)
    one_by_one = (
        len(steps) > 0
        and isinstance(steps[0], Wildcard | Selection)
        and not refers_to_root(steps)
        and is_local(steps[1:])
    )
    return SearchPath(text, placeholders, one_by_one, tree, steps)


def equals(fields: Mapping[str, Any]) -> Predicate:
    """The function that tells whether fields of a record equal these values, as `==` does."""
    tests = [
        comparison("==", field_getter(name), value, f"find({name}=...)")
        for name, value in fields.items()
    ]
    return all_of(tests) if tests else lambda _: True


def equality_filter(fields: Mapping[str, Any]) -> BoundFilter:
    """The filter of records whose fields equal these values, which are in the stored form."""

    def condition() -> Condition:
        nodes = [Expression(Fields(name), "==", BoundValue(fields[name])) for name in fields]
        text = f"find({', '.join(f'{name}=...' for name in fields)})"
        return Condition(text, nodes, lambda: equals(fields))

    return BoundFilter(condition, None, fields)


@frozen
class Filter:
    """A filter of records: `$[?(...)]`. `$` and `$[*]` match every record."""

    text: str
    placeholders: frozenset[str]
    """Their names. Each method that takes `values` wants a value for each of them, and no other."""
    needs_all_records: bool
    """Whether the filter refers to all records with `$`. Then only `select` can answer it."""
    _tree: JSONPath = field(eq=False, repr=False)
    _expressions: Sequence[JSONPath] = field(eq=False, repr=False)
    _is_tested: list[bool] = field(factory=list, init=False, eq=False, repr=False)

    def with_types(self, types: FieldTypes) -> "Filter":
        """The filter for the records of one class. Raises QueryError for an unknown field."""
        return _filter(self.text, types.in_list(self._tree), self.placeholders)

    def bind(self, values: Mapping[str, Any]) -> Predicate:
        """The function that tells whether a record matches, with these values bound.

        Raises QueryError for a missing or superfluous value, for a value that its comparison cannot
        take, and for a filter that needs all records.
        """
        if self.needs_all_records:
            raise QueryError(f"{self.text!r} refers to all records with $: select() answers it")
        expressions = self._bound_expressions(values)
        return predicate(expressions, self.text) if expressions else lambda _: True

    def bound(self, values: Mapping[str, Any]) -> BoundFilter:
        """The filter with these values. Raises QueryError as `bind` does.

        >>> parse_filter('$[?(@.age > {age})]').bound({'age': 30}).predicate({'age': 36})
        True
        """
        if self.needs_all_records:
            condition = Condition(self.text, ())
            return BoundFilter(lambda: condition, self.selector(values))
        if self.placeholders or values:
            return self._filter_of(self._bound_expressions(values))
        return self._constant

    @cached_property
    def _constant(self) -> BoundFilter:
        return self._filter_of(self._expressions)

    def _filter_of(self, expressions: Sequence[JSONPath]) -> BoundFilter:
        make = partial(predicate, expressions, self.text) if expressions else None
        condition = Condition(self.text, expressions, make)
        if not self._is_tested:  # what is wrong with the tree is wrong with any values
            self._is_tested.append(condition.predicate is not None)
        return BoundFilter(lambda: condition)

    def _bound_expressions(self, values: Mapping[str, Any]) -> Sequence[JSONPath]:
        _check_placeholders(self.text, self.placeholders, values)
        if not self.placeholders:
            return self._expressions
        binder = self._binder
        bound: Sequence[JSONPath] = self._expressions if binder is None else binder(values)
        return bound

    @cached_property
    def _binder(self) -> Binder | None:
        return binder_of(self._expressions, self.text)

    def selector(self, values: Mapping[str, Any]) -> Callable[[list[Any]], list[int]]:
        """The function that gives the positions of the matching records in the list of all.

        Raises QueryError as `bind` does.
        """
        if not self.needs_all_records:
            test = self.bind(values)
            return lambda records: [n for n, record in enumerate(records) if test(record)]
        _check_placeholders(self.text, self.placeholders, values)
        tree = bind(self._tree, values, self.text)

        def select(records: list[Any]) -> list[int]:
            matches = evaluate(tree, records)
            return [place for match in matches for place in _positions(match.path)]

        return select

    def select(self, records: list[Any], values: Mapping[str, Any]) -> list[int]:
        """The positions of the matching records in the list of all. Raises as `selector` does."""
        return self.selector(values)(records)


@frozen
class ValuePath:
    """A path inside a record."""

    text: str
    find: Finder = field(eq=False, repr=False)
    """Lists all values that the path leads to from a record, in the order of the record."""
    _tree: JSONPath = field(eq=False, repr=False)
    load: Callable[[Any], Any] = field(default=known, eq=False, repr=False)
    """Makes what the user gets of a value that was found."""

    @cached_property
    def steps(self) -> tuple[Step, ...] | None:
        """Its steps, if it is made of names, places and `[*]` only.

        >>> parse_values('tags[*]').steps, parse_values('$.a.b').steps, parse_values('$..a').steps
        (('tags', Each()), ('a', 'b'), None)
        """
        return simple_steps(steps_from_root(self._tree))

    @cached_property
    def leads_to_one(self) -> bool:
        """Whether the path leads to one value at most in each record.

        >>> parse_values('address.city').leads_to_one, parse_values('tags[*]').leads_to_one
        (True, False)
        """
        return leads_to_one(steps_from_root(self._tree))

    def with_types(self, types: FieldTypes) -> "ValuePath":
        """The path for the records of one class. Raises QueryError for an unknown field."""
        types.in_record(self._tree)
        return self

    def by_attributes(self, types: FieldTypes) -> "ValuePath":
        """The path to a field that is named as in Python code. It gives values as records do."""
        tree = types.in_record(self._tree)
        return ValuePath(self.text, finder(tree), tree, types.loader(self._tree))

    def may_be_bool(self, types: FieldTypes) -> bool:
        """Whether the path may lead to a bool in the records of a class."""
        return types.may_be_bool(self._tree)


@frozen
class SearchPath:
    """A path into the list of all records."""

    text: str
    placeholders: frozenset[str]
    one_by_one: bool
    """Whether records are taken one at a time: `$[*].name`, `$[?(@.age > 30)].name`.

    Other paths need all records in memory: `$..name`, `$[0:3]`.
    """
    _tree: JSONPath = field(eq=False, repr=False)
    _steps: Sequence[JSONPath] = field(eq=False, repr=False)

    def with_types(self, types: FieldTypes) -> "SearchPath":
        """The path for the records of one class. Raises QueryError for an unknown field."""
        return _search(self.text, types.in_list(self._tree), self.placeholders)

    def find(self, records: Iterable[Any], values: Mapping[str, Any]) -> Iterator[Any]:
        """All values that the path leads to, in the order of the records.

        `values` has a value for each placeholder. Records are read when the iterator needs them.
        Raises QueryError at once for a missing or superfluous value.
        """
        _check_placeholders(self.text, self.placeholders, values)
        if not self.one_by_one:
            return self._find_in_all(bind(self._tree, values, self.text), records)
        first, *rest = bind(self._steps, values, self.text)
        if isinstance(first, Selection):
            records = filter(predicate(first.expressions, self.text), records)
        return chain.from_iterable(map(finder_of_steps(rest), records))

    def _find_in_all(self, tree: JSONPath, records: Iterable[Any]) -> Iterator[Any]:
        yield from finder(tree)(list(records))


def _parse_filter(text: str) -> tuple[JSONPath, frozenset[str]]:
    """The tree of a filter, or of the condition alone: `@.age > 30` means `$[?(@.age > 30)]`.

    A text that is no path is a condition. So is a path from a record, such as `@.active`: as a
    path from the list of all records it leads nowhere.
    """
    start = text.lstrip(" \t\n(")[:1]
    try:
        found = parse(text)
        if start != "@" or _expressions(found[0]) is not None:
            return found
    except QueryError as error:
        if start == "$":
            raise _with_hint(error, text) from None
        if start not in ("@", "!"):
            with suppress(QueryError):
                return parse_condition(text)
            raise
    return parse_condition(text)


def _parse_path(text: str) -> tuple[JSONPath, frozenset[str]]:
    try:
        return parse(text)
    except QueryError as error:
        raise _with_hint(error, text) from None


# What leads from the list of all records to a record.
_FROM_LIST = re.compile(r"^\$(\[[\d\s:*-]*\])?")


def _with_hint(error: QueryError, text: str) -> QueryError:
    """The error of a text that is no path. If it is a condition, the error shows a filter."""
    condition = _FROM_LIST.sub("@", text.strip())
    with suppress(QueryError):
        parse_condition(condition)
        return QueryError(f"{error}\na condition stands in a filter: $[?({condition})]")
    return error


def _expressions(tree: JSONPath) -> Sequence[JSONPath] | None:
    """The conditions of a filter of records. None if the path leads to other values."""
    match steps_from_root(tree):
        case [] | [Wildcard()]:
            return ()
        case [Selection() as selection]:
            return selection.expressions
        case _:
            return None


def _positions(path: JSONPath) -> tuple[int, ...]:
    return path.indices if isinstance(path, Index) else ()


def _check_placeholders(text: str, names: frozenset[str], values: Mapping[str, Any]) -> None:
    for name in sorted(names - values.keys()):
        raise QueryError(f"{{{name}}} has no value: give {name}=... with {text!r}")
    for name in sorted(values.keys() - names):
        hint = f": write {{{name}}} without quotes" if f"{{{name}}}" in text else ""
        raise QueryError(f"{name}= has no place {{{name}}} in {text!r}{hint}")
