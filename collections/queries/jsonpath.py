"""JSONPath over records: filters for `find()`, paths for `values()` and `search()`.

jsonpath-ng parses them and says what they mean; `stones.collections.queries.predicates` makes
functions of what was parsed. Nothing here knows a store: a record is a plain dict, as it was
decoded.

A `{name}` on the right of a comparison stands for a value that is given with the query. It is cut
out before parsing and comes back as a value after it, so that it can never change the query. It
compares like this:

- None, a bool, int, float, str, list or dict as the same literal written out would: a bool is no
  number, only two numbers or two strings have an order, for the rest `<=` is `==`, and `<` false.
- A date, datetime, time, timedelta, bytes or UUID is ordered with its like, as Python does it; a
  Decimal with Decimals and with all other numbers. Where Python has no order, as between a naive
  and an aware datetime, or a date and a datetime, there is none here, rather than an error.
- Everything else (a set, a tuple) only knows `==` and `!=`, and has Python's.

So a literal number equals a stored Decimal of its value but has no order with it, which is what
jsonpath-ng says; to compare with stored Decimals, bind one: `find('$[?(@.price < {limit})]',
limit=Decimal('9.90'))`.

Words without quotes, `&` and `|` are about to leave jsonpath-ng: parsing them for the first time
gives its DeprecationWarning. Its global `auto_id_field` is not looked at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import chain
from typing import Any, NoReturn, TypeVar

from attrs import field, frozen
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.filter import Filter as Selection
from jsonpath_ng.ext.parser import ExtendedJsonPathLexer, ExtendedJsonPathParser
from jsonpath_ng.ext.string import DefintionInvalid
from jsonpath_ng.jsonpath import Index, JSONPath, Root, Wildcard

from stones.errors import QueryError

from . import predicates
from .comparisons import Predicate, comparison
from .jsonpath_ng_evaluation import Finder, evaluate
from .predicates import Placeholder
from .prefilter import required_text

T = TypeVar("T")

# Parsing takes a millisecond: as long as asking thousands of records.
_CACHED = 512

# What is in quotes, what looks like a placeholder, and what should not be there.
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<quote>['"`])|\{(?P<name>[^{}'"`]*)\}|(?P<brace>[{}])"""
)

_WORD = re.compile(rf"{_PIECE.pattern}|[\w@-]+|[\s\S]")

# Unicode's private characters: of them are made the literals that stand for placeholders.
_PRIVATE = range(0xF0000, 0xFFFFE)

_HINTS = {"and": "write && for it", "or": "write || for it"}


@frozen
class Filter:
    """A filter of records: `$[?(...)]`, or `$` and `$[*]` for all of them.

    `names` are its placeholders. `whole` tells that the filter refers to `$` and so to all records:
    then `select` answers it, over the list of them, and otherwise `bind`, one by one.
    """

    text: str
    names: frozenset[str]
    whole: bool
    _path: JSONPath = field(eq=False, repr=False)
    _expressions: Sequence[JSONPath] = field(eq=False, repr=False)

    def bind(self, values: Mapping[str, Any]) -> Predicate:
        """The filter as a function of one record, with the values that its placeholders stand for.

        Raises QueryError for values that are missing or superfluous, or cannot be in their place.
        """
        _check_names(self.text, self.names, values)
        if self.whole:
            raise QueryError(f"{self.text!r} refers to all records with $: select() answers it")
        if not self._expressions:
            return lambda _: True
        expressions = self._expressions
        if self.names:
            expressions = predicates.bound(expressions, values, self.text)
        return predicates.predicate(expressions, self.text)

    def required_text(self, values: Mapping[str, Any]) -> bytes | None:
        """A text that the bytes of every matching record contain, if there is one."""
        return None if self.whole else required_text(self._expressions, values)

    def select(self, records: list[Any], values: Mapping[str, Any]) -> list[int]:
        """The positions of the matching records in the list of all of them."""
        if not self.whole:
            test = self.bind(values)
            return [place for place, record in enumerate(records) if test(record)]
        _check_names(self.text, self.names, values)
        path = predicates.bound(self._path, values, self.text)
        found = evaluate(path, records, self.text)
        return [place for match in found for place in _places(match.path)]


@frozen
class Values:
    """A path inside of one record. `of(record)` gives all the values that it leads to, in order."""

    text: str
    of: Finder = field(eq=False, repr=False)


@frozen
class Search:
    """A path into the list of all records.

    `streams` tells that it takes them one at a time (`$[*].name`, `$[?(@.age > 30)].name`).
    Otherwise it needs them all in memory: `$..name`, `$[0:3]`.
    """

    text: str
    names: frozenset[str]
    streams: bool
    _path: JSONPath = field(eq=False, repr=False)
    _steps: Sequence[JSONPath] = field(eq=False, repr=False)

    def values(self, records: Iterable[Any], values: Mapping[str, Any]) -> Iterator[Any]:
        """What the path leads to in these records, in their order, read when it is asked for.

        Raises QueryError at once for values that are missing or superfluous.
        """
        _check_names(self.text, self.names, values)
        if not self.streams:
            return self._of_all(predicates.bound(self._path, values, self.text), records)
        first, *rest = predicates.bound(self._steps, values, self.text)
        if isinstance(first, Selection):
            records = filter(predicates.predicate(first.expressions, self.text), records)
        return chain.from_iterable(map(predicates.finder_of(rest, self.text), records))

    def _of_all(self, path: JSONPath, records: Iterable[Any]) -> Iterator[Any]:
        for match in evaluate(path, list(records), self.text):
            yield match.value


def _cached(parse: Callable[[str], T]) -> Callable[[str], T]:
    remembered = lru_cache(_CACHED)(parse)

    @wraps(parse)
    def checked(text: str) -> T:
        if not isinstance(text, str):
            raise QueryError(f"a JSONPath is a str, not {text!r:.80}")
        return remembered(text)

    return checked


@_cached
def parse_filter(text: str) -> Filter:
    """The filter that a text describes. Raises QueryError that shows where it does not parse."""
    path, names = _parse(text)
    match _from_root(path):
        case []:
            expressions: Sequence[JSONPath] = ()
        case [Wildcard()]:
            expressions = ()
        case [Selection() as selection]:
            expressions = selection.expressions
        case _:
            raise QueryError(
                "find() takes a filter of records, as in '$[?(@.age > 30)]'; with search() you get "
                f"what lies inside of them: {text!r}"
            )
    return Filter(text, names, _refers_to_root(expressions), path, expressions)


@_cached
def parse_values(text: str) -> Values:
    """The path inside of one record that a text describes. `$` and `@` are the record.

    Raises QueryError that shows where it does not parse.
    """
    path, names = _parse(text)
    if names:
        raise QueryError(f"a path to the values of a record takes no {{placeholders}}: {text!r}")
    return Values(text, predicates.finder(path, text))


@_cached
def parse_search(text: str) -> Search:
    """The path into the list of all records that a text describes.

    Raises QueryError that shows where it does not parse.
    """
    path, names = _parse(text)
    taken = _from_root(path)
    streams = (
        len(taken) > 0
        and isinstance(taken[0], Wildcard | Selection)
        and not _refers_to_root(taken)
        and predicates.is_local(taken[1:])
    )
    return Search(text, names, streams, path, taken)


def equals(fields: Mapping[str, Any]) -> Predicate:
    """Whether all of these fields of a record equal the values, as `==` in a filter does."""
    tests = [
        comparison("==", predicates.field(name), value, f"find({name}=...)")
        for name, value in fields.items()
    ]
    return predicates.every(tests) if tests else lambda _: True


def _from_root(path: JSONPath) -> list[JSONPath]:
    steps = predicates.steps(path)
    return steps[1:] if steps and isinstance(steps[0], Root) else steps


def _refers_to_root(part: object) -> bool:
    return any(isinstance(node, Root) for node in predicates.nodes(part))


def _places(path: JSONPath) -> tuple[int, ...]:
    return path.indices if isinstance(path, Index) else ()


def _check_names(text: str, names: frozenset[str], values: Mapping[str, Any]) -> None:
    for name in sorted(names - values.keys()):
        raise QueryError(f"{{{name}}} has no value: give {name}=... with {text!r}")
    for name in sorted(values.keys() - names):
        hint = f": write {{{name}}} without quotes" if f"{{{name}}}" in text else ""
        raise QueryError(f"{name}= has no place {{{name}}} in {text!r}{hint}")


# -- parsing -----------------------------------------------------------------------------------


class _Lexer(ExtendedJsonPathLexer):
    """Remembers how far it has come, to tell where parsing failed."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.place = self.operator = 0
        self._names = names

    def tokenize(self, string: str) -> Iterator[Any]:
        is_pattern = False
        for token in super().tokenize(string):
            self.place = token.lexpos
            if is_pattern:
                self._check_pattern(token)
            is_pattern = token.type == "FILTER_OP" and token.value == "=~"
            if token.type == "NAMED_OPERATOR":
                self.operator = token.lexpos
            yield token
        self.place = len(string)

    def _check_pattern(self, token: Any) -> None:
        if token.type not in ("ID", "NULL"):
            raise _RefusedError("=~ takes a regular expression in quotes")
        if token.value not in self._names:
            try:
                re.compile(token.value)
            except re.error as error:
                raise _RefusedError(f"this is no regular expression: {error}") from error

    def t_error(self, t: Any) -> NoReturn:
        self.place = t.lexpos
        super().t_error(t)


class _RefusedError(Exception):
    """What we do not accept of what jsonpath-ng would."""


def _parse(text: str) -> tuple[JSONPath, frozenset[str]]:
    """The tree of a text, with Placeholders in it, and their names."""
    cut, names, quotes = _without_placeholders(text)
    lexer = _Lexer(names)
    try:
        path = ExtendedJsonPathParser().parse(cut, lexer)
        for node in predicates.nodes(path):
            if isinstance(node, Expression) and isinstance(node.value, str):
                name = names.get(node.value)
                node.value = node.value if name is None else Placeholder(name)
    except RecursionError as error:
        raise QueryError(f"this is nested too deeply: {text:.200}") from error
    except (DefintionInvalid, re.error) as error:
        raise _pointing(str(error), text, quotes[lexer.operator]) from error
    except (_RefusedError, ValueError) as error:
        raise _pointing(str(error), text, quotes.get(lexer.place, lexer.place)) from error
    except JSONPathError as error:
        if str(error).startswith("Unknown named operator"):
            reason = str(error).split(" at ")[0]
            raise _pointing(reason, text, quotes[lexer.operator]) from error
        # The token of something in quotes is where they close.
        place = quotes.get(lexer.place, lexer.place)
        raise _pointing(_unexpected(text, place), text, place) from error
    return path, frozenset(names.values())


def _without_placeholders(text: str) -> tuple[str, dict[str, str], dict[int, int]]:
    """The text with a string literal of the same length for each placeholder.

    With the names of these literals, and where the quotes that close were opened.
    """
    unused = (chr(code) for code in _PRIVATE if chr(code) not in text)
    literals: dict[str, str] = {}
    quotes: dict[int, int] = {}

    def literal_for(match: re.Match[str]) -> str:
        start = match.start()
        if match["quoted"]:
            quotes[match.end() - 1] = start
            return match[0]
        if match["quote"]:
            raise _pointing(f"the {match[0]} that opens here is never closed", text, start)
        name = match["name"]
        if match["brace"] or not name.isidentifier():
            raise _pointing("a placeholder is written as {name}", text, start)
        if not text[:start].rstrip().endswith(("=", "~", "<", ">")):
            where = "a placeholder stands on the right of a comparison: @.age > {age}"
            raise _pointing(where, text, start)
        if name not in literals:
            literals[name] = next(unused) * len(name)
        return f'"{literals[name]}"'

    cut = _PIECE.sub(literal_for, text)
    return cut, {literal: name for name, literal in literals.items()}, quotes


def _unexpected(text: str, place: int) -> str:
    if place >= len(text):
        return "the path ends too early"
    word = next(_WORD.finditer(text, place))[0]
    shown = word if word[0] in "'\"`{" else repr(word)
    hint = f": {_HINTS[word]}" if word in _HINTS else ""
    return f"{shown} is not expected here{hint}"


def _pointing(reason: str, text: str, place: int) -> QueryError:
    """An error that shows the text, with a mark under the place."""
    lines = text.split("\n")
    row = text.count("\n", 0, place)
    column = place - (text.rfind("\n", 0, place) + 1)
    indent = "".join("\t" if char == "\t" else " " for char in lines[row][:column])
    lines.insert(row + 1, f"{indent}^")
    return QueryError("\n    ".join([reason, *lines]))
