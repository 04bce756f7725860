"""JSONPath text to its syntax tree, with {placeholders}, and with errors that show the place.

jsonpath-ng parses the text. What it does not know is put in its place, before or after:

- A text in quotes is replaced by as many letters. The lexer puts the characters that are meant into
  the token (see `quoted`).
- A placeholder is replaced by such a text in quotes, and the lexer puts its `Name` into the token.
  In the tree it becomes a `Placeholder`. So a caller's value is never part of the text.
- `tokens` changes the tokens: `in`, `contains` and `!(...)` become what jsonpath-ng can parse.

Positions in the text stay the same. `nodes` has the nodes that the tree is made of, and `jsonpath`
gives the tree its meaning.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from attrs import frozen
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.arithmetic import Operation
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.parser import ExtendedJsonPathLexer, ExtendedJsonPathParser
from jsonpath_ng.ext.string import DefintionInvalid, Sub
from jsonpath_ng.jsonpath import JSONPath

from stones.errors import QueryError

from .arithmetic import FloatLiteral
from .membership import WORDS
from .nodes import Grouped, replaced
from .quoted import EscapeError, unescaped
from .syntax_tree import Placeholder, nodes
from .tokens import (
    Name,
    PlacedError,
    check_words,
    with_divisions,
    with_negated_groups,
    with_operator_words,
)


def parse(text: str) -> tuple[JSONPath, frozenset[str]]:
    """The syntax tree of a text, and the names of its placeholders. Takes about a millisecond.

    Raises QueryError, which shows the text with a mark under the place where parsing failed.
    """
    return _parse(text, text, 0)


def parse_condition(text: str) -> tuple[JSONPath, frozenset[str]]:
    """The tree of `$[?(...)]` with this text as its condition: `@.age > 30`.

    Raises QueryError as `parse` does.
    """
    before = "$[?"
    return _parse(text, f"{before}{text}]", len(before))


def _parse(text: str, path: str, start: int) -> tuple[JSONPath, frozenset[str]]:
    """The tree of a path that has the user's text in it, from `start` on."""
    try:
        return _tree(path)
    except PlacedError as error:
        place = min(max(error.place - start, 0), len(text))
        reason = _reason_at(place, text) if error.reason is None else error.reason
        raise QueryError.at(place, reason, text) from None
    except RecursionError as error:
        raise QueryError(f"this is nested too deeply: {text:.200}") from error


def _tree(path: str) -> tuple[JSONPath, frozenset[str]]:
    pieces = _replace_pieces(path)
    lexer = _Lexer(pieces)
    try:
        tree: JSONPath = replaced(_Parser().parse(pieces.path, lexer), lenient=True)
    except PlacedError as error:
        raise PlacedError(pieces.opening(error.place), error.reason) from None
    except (DefintionInvalid, re.error, IndexError, OverflowError) as error:
        raise PlacedError(pieces.opening(lexer.operator), str(error)) from error
    except (_RefusedError, ValueError) as error:
        raise PlacedError(pieces.opening(lexer.place), str(error)) from error
    except JSONPathError as error:
        if str(error).startswith("Unknown named operator"):
            reason = str(error).split(" at ")[0]
            raise PlacedError(pieces.opening(lexer.operator), reason) from error
        raise PlacedError(pieces.opening(lexer.place)) from error
    for node in nodes(tree):
        if isinstance(node, Expression) and isinstance(node.value, Name):
            node.value = Placeholder(str(node.value))
    names = [str(meant) for meant in pieces.quoted.values() if isinstance(meant, Name)]
    return tree, frozenset(names)


@frozen
class _Pieces:
    """A path as jsonpath-ng can parse it, and what has been replaced in it."""

    path: str
    openings: Mapping[int, int]
    """The position of the opening quote for the position of each closing quote."""
    quoted: Mapping[int, str]
    """The text or the name that is meant, for the position of each closing quote."""

    def opening(self, place: int) -> int:
        """Where a token begins. The lexer gives the position of the closing quote."""
        return self.openings.get(place, place)


class _Parser(ExtendedJsonPathParser):
    """The parser of jsonpath-ng, which also remembers which operations are in parentheses.

    It refuses the intersection of two paths, which jsonpath-ng can parse, but not evaluate.
    """

    def p_jsonpath_binop(self, p: Any) -> None:
        super().p_jsonpath_binop(p)
        if p[2] == "&":
            reason = "& does not join two paths: write && between conditions"
            raise PlacedError(p.lexpos(2), reason)

    def p_jsonpath_parens(self, p: Any) -> None:
        super().p_jsonpath_parens(p)
        if isinstance(p[0], Operation):
            p[0] = Grouped(p[0].left, p[0].op_symbol, p[0].right)


class _Lexer(ExtendedJsonPathLexer):
    """The lexer of jsonpath-ng, which also remembers its last position.

    `place` is the position of the last token. `operator` is the position of the last named
    operator, such as `` `len` ``.
    """

    def __init__(self, pieces: _Pieces) -> None:
        super().__init__()
        self.place = self.operator = 0
        self._pieces = pieces

    def tokenize(self, string: str) -> Iterator[Any]:
        is_pattern = False
        tokens = with_divisions(list(super().tokenize(string)), string)
        tokens = with_operator_words(tokens, self._pieces.quoted)
        check_words(tokens, self._pieces.quoted)
        for token in with_negated_groups(tokens):
            self.place = token.lexpos
            if token.lexpos in self._pieces.quoted and token.type in ("ID", "NAMED_OPERATOR"):
                token.value = self._pieces.quoted[token.lexpos]
            if is_pattern:
                self._check_pattern(token)
            is_pattern = token.type == "FILTER_OP" and token.value == "=~"
            if token.type == "NAMED_OPERATOR":
                self.operator = token.lexpos
                if token.value.startswith("sub("):
                    operator = Sub(token.value)
                    operator.regex.sub(operator.repl, "")  # an error for a wrong replacement
            yield token
        self.place = len(string)

    def _check_pattern(self, token: Any) -> None:
        if token.type not in ("ID", "NULL"):
            raise _RefusedError("=~ takes a regular expression in quotes")
        if not isinstance(token.value, Name):
            try:
                re.compile(token.value)
            except (re.error, OverflowError) as error:
                raise _RefusedError(f"this is not a regular expression: {error}") from error

    # The lexer takes the regular expression of a token from the docstring. These two are the ones
    # of jsonpath-ng.

    def t_FLOAT(self, t: Any) -> Any:  # noqa: N802  # the name that jsonpath-ng gives it
        r"-?\d+\.\d+"
        t.value = FloatLiteral(t.value)
        return t

    def t_NUMBER(self, t: Any) -> Any:  # noqa: N802  # the name that jsonpath-ng gives it
        r"-?\d+"
        self.place = t.lexpos
        try:
            t.value = int(t.value)
        except ValueError as error:
            reason = "this number has too many digits: pass it as the value of a {placeholder}"
            raise _RefusedError(reason) from error
        return t

    def t_error(self, t: Any) -> NoReturn:
        self.place = t.lexpos
        super().t_error(t)


class _RefusedError(Exception):
    """jsonpath-ng accepts this text, and stones does not."""


# A quoted string, a placeholder, or a quote or brace that does not belong there.
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`)"""
    r"""|(?P<quote>['"`])|\{(?P<name>[^{}'"`]*)\}|(?P<brace>[{}])"""
)

# What ends before a placeholder: an operator. Or, in the wrong place, a list that is not closed.
_BEFORE_PLACEHOLDER = re.compile(r"(?:[=~<>]|(?<![\w@.-])(?:in|contains))\s*\Z")
_LIST = re.compile(r"(?<![\w@.-])in\s*\[[^\]]*\Z")

_WORD = re.compile(rf"{_PIECE.pattern}|[\w@-]+|[=!<>]=|=~|[\s\S]")

_HINTS = {"and": "write && for it", "or": "write || for it"}
_HINTS |= {"not": "write !( ) around a condition to negate it"}

# A step with a name, or a name alone, up to a letter in it that the lexer does not know.
_NAME_SO_FAR = re.compile(r"(?:\.|^)([\w-]*)$")

# A `!`, and the path behind it, up to an operator.
_NEGATED_PATH = re.compile(r"!\s*[@$][^!&|()]*$")


def _replace_pieces(path: str) -> _Pieces:
    openings: dict[int, int] = {}
    quoted: dict[int, str] = {}

    def replace(match: re.Match[str]) -> str:
        start = match.start()
        if match["quoted"]:
            quote, inside = match[0][0], match[0][1:-1]
            openings[match.end() - 1] = start
            quoted[match.end() - 1] = _meant(path, start, quote, inside)
            return f"{quote}{'x' * len(inside)}{quote}"
        if match["quote"]:
            raise PlacedError(start, f"the {match[0]} that opens here is never closed")
        name = match["name"]
        if match["brace"] or not name.isidentifier():
            raise PlacedError(start, "a placeholder is written as {name}")
        if not _BEFORE_PLACEHOLDER.search(path, 0, start):
            reason = "a placeholder stands on the right of a comparison: @.age > {age}"
            if _LIST.search(path, 0, start):
                reason = f"write in {{{name}}} without the brackets, and pass all values in a list"
            raise PlacedError(start, reason)
        openings[match.end() - 1] = start
        quoted[match.end() - 1] = Name(name)
        return '"' + "x" * len(name) + '"'

    return _Pieces(_PIECE.sub(replace, path), openings, quoted)


def _meant(path: str, start: int, quote: str, inside: str) -> str:
    """What the text between two quotes means, with the opening quote at `start`."""
    if quote == "`":
        return inside.replace("\\`", "`")
    if path[:start].rstrip().endswith("=~"):
        return inside  # `re` has escapes of its own
    try:
        return unescaped(inside)
    except EscapeError as error:
        raise PlacedError(start + 1 + error.place, str(error)) from error


def _reason_at(place: int, text: str) -> str:
    """Why the text cannot be parsed at this position."""
    if place >= len(text):
        return "the path ends too early"
    word = next(_WORD.finditer(text, place))[0]
    shown = word if word[0] in "'\"`{" else repr(word)
    hint = f": {_HINTS[word]}" if word in _HINTS else ""
    if (word[0] in "=!<>~" or word in WORDS) and _NEGATED_PATH.search(text, 0, place):
        hint = ": write !( ) around a comparison to negate it"
    elif word in ("where", "wherenot") or (word.isidentifier() and not word.isascii()):
        name = _NAME_SO_FAR.search(text, 0, place)
        hint = f': write a name such as this in brackets: ["{name[1]}{word}"]' if name else ""
    return f"{shown} is not expected here{hint}"
