"""JSONPath text to its syntax tree, with {placeholders}, and with errors that show the place.

jsonpath-ng parses the text. It knows no placeholders. So each one is replaced by a string literal
of the same length, made of private characters of Unicode. After parsing, the literal in the tree is
replaced by a `Placeholder`. Positions in the text stay the same, and a caller's value is never part
of the text. `jsonpath` gives the tree its meaning.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.parser import ExtendedJsonPathLexer, ExtendedJsonPathParser
from jsonpath_ng.ext.string import DefintionInvalid
from jsonpath_ng.jsonpath import JSONPath

from stones.errors import QueryError

from .syntax_tree import Placeholder, nodes


def parse(text: str) -> tuple[JSONPath, frozenset[str]]:
    """The syntax tree of a text, and the names of its placeholders. Takes about a millisecond.

    Raises QueryError, which shows the text with a mark under the place where parsing failed.
    """
    replaced, names, quotes = _replace_placeholders(text)
    lexer = _Lexer(names)
    try:
        tree = ExtendedJsonPathParser().parse(replaced, lexer)
        for node in nodes(tree):
            if isinstance(node, Expression) and isinstance(node.value, str):
                name = names.get(node.value)
                node.value = node.value if name is None else Placeholder(name)
    except RecursionError as error:
        raise QueryError(f"this is nested too deeply: {text:.200}") from error
    except (DefintionInvalid, re.error) as error:
        raise _error_at(quotes[lexer.operator], str(error), text) from error
    except (_RefusedError, ValueError) as error:
        raise _error_at(quotes.get(lexer.place, lexer.place), str(error), text) from error
    except JSONPathError as error:
        if str(error).startswith("Unknown named operator"):
            reason = str(error).split(" at ")[0]
            raise _error_at(quotes[lexer.operator], reason, text) from error
        # The lexer gives the closing quote of a quoted token. The mark belongs under the opening.
        place = quotes.get(lexer.place, lexer.place)
        raise _error_at(place, _reason_at(place, text), text) from error
    return tree, frozenset(names.values())


class _Lexer(ExtendedJsonPathLexer):
    """The lexer of jsonpath-ng, which also remembers its last position.

    `place` is the position of the last token. `operator` is the position of the last named
    operator, such as `` `len` ``. `literals` are the strings that stand for placeholders.
    """

    def __init__(self, literals: Mapping[str, str]) -> None:
        super().__init__()
        self.place = self.operator = 0
        self._literals = literals

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
        if token.value not in self._literals:
            try:
                re.compile(token.value)
            except re.error as error:
                raise _RefusedError(f"this is not a regular expression: {error}") from error

    def t_error(self, t: Any) -> NoReturn:
        self.place = t.lexpos
        super().t_error(t)


class _RefusedError(Exception):
    """jsonpath-ng accepts this text, and stones does not."""


# A quoted string, a placeholder, or a quote or brace that does not belong there.
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<quote>['"`])|\{(?P<name>[^{}'"`]*)\}|(?P<brace>[{}])"""
)

_WORD = re.compile(rf"{_PIECE.pattern}|[\w@-]+|[\s\S]")

_PRIVATE_CHARACTERS = range(0xF0000, 0xFFFFE)

_HINTS = {"and": "write && for it", "or": "write || for it"}


def _replace_placeholders(text: str) -> tuple[str, dict[str, str], dict[int, int]]:
    """The text with a string literal of the same length for each placeholder.

    Also returns the name of the placeholder for each literal, and for the position of each closing
    quote the position of its opening quote.
    """
    unused = (chr(code) for code in _PRIVATE_CHARACTERS if chr(code) not in text)
    literals: dict[str, str] = {}
    quotes: dict[int, int] = {}

    def replace(match: re.Match[str]) -> str:
        start = match.start()
        if match["quoted"]:
            quotes[match.end() - 1] = start
            return match[0]
        if match["quote"]:
            raise _error_at(start, f"the {match[0]} that opens here is never closed", text)
        name = match["name"]
        if match["brace"] or not name.isidentifier():
            raise _error_at(start, "a placeholder is written as {name}", text)
        if not text[:start].rstrip().endswith(("=", "~", "<", ">")):
            reason = "a placeholder stands on the right of a comparison: @.age > {age}"
            raise _error_at(start, reason, text)
        if name not in literals:
            literals[name] = next(unused) * len(name)
        return f'"{literals[name]}"'

    replaced = _PIECE.sub(replace, text)
    return replaced, {literal: name for name, literal in literals.items()}, quotes


def _reason_at(place: int, text: str) -> str:
    """Why the text cannot be parsed at this position."""
    if place >= len(text):
        return "the path ends too early"
    word = next(_WORD.finditer(text, place))[0]
    shown = word if word[0] in "'\"`{" else repr(word)
    hint = f": {_HINTS[word]}" if word in _HINTS else ""
    return f"{shown} is not expected here{hint}"


def _error_at(place: int, reason: str, text: str) -> QueryError:
    """An error that shows the text, with a mark under this position."""
    lines = text.split("\n")
    row = text.count("\n", 0, place)
    column = place - (text.rfind("\n", 0, place) + 1)
    indent = "".join("\t" if char == "\t" else " " for char in lines[row][:column])
    lines.insert(row + 1, f"{indent}^")
    return QueryError("\n    ".join([reason, *lines]))
