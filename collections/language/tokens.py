"""Lists of tokens, changed into ones that the grammar of jsonpath-ng takes.

jsonpath-ng brings the tables of its parser ready-made, so its grammar stays as it is. The lexer of
`parsing` changes the tokens between the two, and gives them to the functions here, in this order:

- `with_divisions`: a `/` that divides.
- `with_operator_words`: `in` and `contains`, which become comparisons, and the list after `in`.
- `check_words`: refuses words that jsonpath-ng takes for texts.
- `with_negated_groups`: `!(...)` becomes a `!` with a path: the field `nodes.NEGATED_GROUP`, and a
  filter.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any

from .arithmetic import OPERATORS
from .membership import WORDS, Choices
from .nodes import NEGATED_GROUP


class Name(str):
    """The name of a placeholder, where a literal string might stand too."""

    __slots__ = ()


class PlacedError(Exception):
    """Parsing failed at a place. Without a reason, what stands there was not expected."""

    def __init__(self, place: int, reason: str | None = None) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


def with_divisions(tokens: list[Any], path: str) -> list[Any]:
    """The tokens, with a `/` that divides as such. jsonpath-ng takes each `/` for `[/name]`.

    A `/` sorts if it is the first one in its brackets, or comes after a comma, or after such a `/`.
    """
    sorts: list[bool] = []
    for token, previous in zip(tokens, [None, *tokens], strict=False):
        if token.type == "[":
            sorts.append(False)
        elif token.type == "]" and sorts:
            sorts.pop()
        elif token.type == "SORT_DIRECTION":
            if previous is not None and previous.type == "[":
                sorts[-1] = True
            elif token.value == "/" and path[token.lexpos] != "," and not (sorts and sorts[-1]):
                token.type = "/"
    return tokens


def with_operator_words(tokens: list[Any], quoted: Mapping[int, str]) -> list[Any]:
    """The tokens, with `in` and `contains` as operators, and each list behind `in` as one token.

    A word is an operator if it stands behind a path. Elsewhere it is the name of a field.
    """
    written: list[Any] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if not _is_operator_word(token, written, quoted):
            written.append(token)
            continue
        written.append(_token(token, "FILTER_OP", token.value))
        if place == len(tokens):
            continue
        operand = tokens[place]
        if isinstance(quoted.get(operand.lexpos), Name):
            continue
        if token.value == "in":
            end = _end_of_list(tokens, place)
            chosen = _choices(tokens[place + 1 : end], quoted)
            # The grammar takes a token with any value for a number on the right of an operator.
            written.append(_token(operand, "FLOAT", chosen))
            place = end + 1
        elif not _is_literal(operand, quoted):
            hint = _CONTAINS_HINTS.get(operand.type, 'contains "x"')
            reason = f"contains takes a text in quotes, a number or a {{placeholder}}: {hint}"
            raise PlacedError(operand.lexpos, reason)
    return written


_CONTAINS_HINTS = {
    "@": "write @.tags[*] == @.name to compare with a path",
    "$": "write @.tags[*] == $[0].name to compare with a path",
    "[": 'write @.tags contains "a" && @.tags contains "b" for several values',
}
_IN_HINTS = dict.fromkeys("@$", 'write @.tags contains "x" to look into an array')
_IN_HINTS["("] = "write [ ] around the values"


def _is_operator_word(token: Any, before: list[Any], quoted: Mapping[int, str]) -> bool:
    if token.type != "ID" or token.value not in WORDS or token.lexpos in quoted or not before:
        return False
    if before[-1].type == "*":  # the symbol of a product, or a step
        return len(before) < 2 or before[-2].type not in _ENDS
    return before[-1].type in _ENDS or before[-1].type in ("BOOL", "NULL")


def _end_of_list(tokens: list[Any], start: int) -> int:
    """The place of the `]` of the list that begins at `start`."""
    if tokens[start].type != "[":
        hint = _IN_HINTS.get(tokens[start].type, '@.country in ["DE", "FR"]')
        reason = f"in takes a list or a {{placeholder}}: {hint}"
        raise PlacedError(tokens[start].lexpos, reason)
    for place in range(start + 1, len(tokens)):
        if tokens[place].type == "]":
            return place
        if tokens[place].type == "[":
            reason = "a list in a list is not a literal: pass it as a value: in {values}"
            raise PlacedError(tokens[place].lexpos, reason)
    raise PlacedError(tokens[start].lexpos, "the [ that opens here is never closed")


def _choices(items: list[Any], quoted: Mapping[int, str]) -> Choices:
    """The values of a list, of which these are the tokens between the brackets."""
    values: list[Any] = []
    for place, token in enumerate(items):
        if place % 2:
            if token.type != "," or place + 1 == len(items):
                raise PlacedError(token.lexpos)
        elif _is_literal(token, quoted):
            value = quoted.get(token.lexpos, token.value)
            values.append(None if token.type == "NULL" else value)
        else:
            raise PlacedError(token.lexpos)
    return Choices(tuple(values))


def _is_literal(token: Any, quoted: Mapping[int, str]) -> bool:
    """Whether this is a literal. Raises an error for a word without quotes."""
    if token.type == "ID" and token.lexpos not in quoted:
        meant = f"write {_LITERALS[token.value]}, or " if token.value in _LITERALS else "write "
        raise PlacedError(token.lexpos, f"{meant}quotes around a text")
    return token.type in ("ID", "NUMBER", "FLOAT", "BOOL", "NULL")


def check_words(tokens: list[Any], quoted: Mapping[int, str]) -> None:
    """Refuse words without quotes that jsonpath-ng takes for texts, and a user for something else.

    It takes `True` after a comparison for a text. It also takes a word for one that is an operand
    of a calculation: there the sum of `price + stock` is 'pricestock'.
    """
    kinds = ["", ""]
    kinds += [token.value if token.type == "FILTER_OP" else token.type for token in tokens]
    kinds.append("")
    for token, *around, after in zip(tokens, kinds, kinds[1:], kinds[3:], strict=False):
        if token.type != "ID" or token.lexpos in quoted:
            continue
        before_operator, before = around
        if before in OPERATORS:
            if token.value in _LITERALS:
                reason = f"write {_LITERALS[token.value]}, or quotes around a text"
                raise PlacedError(token.lexpos, reason)
            continue
        is_left = after in _SYMBOLS and before not in _STEPS
        is_right = before in _SYMBOLS and before_operator in _ENDS and after not in _STEPS
        if is_left or is_right:
            reason = f"write @.{token.value} for the field, or quotes around a text"
            raise PlacedError(token.lexpos, reason)


_LITERALS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_LITERALS |= {"None": "null", "Null": "null", "NULL": "null"}
# Types of tokens: the symbols of a calculation, what joins a word to a path, and what may stand
# before a symbol that calculates.
_SYMBOLS = frozenset("+-*/")
_STEPS = frozenset({".", "DOUBLEDOT", "[", ","})
_ENDS = frozenset({"ID", "NUMBER", "FLOAT", "NAMED_OPERATOR", "]", ")", "@", "$", "*"})


def with_negated_groups(tokens: list[Any]) -> list[Any]:
    """The tokens, with `!(...)` written as `! FIELD [? ... ]`, which jsonpath-ng can parse."""
    written: dict[int, list[Any]] = {}
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.type == "(":
            opened.append(place)
        elif token.type == ")" and opened:
            start = opened.pop()
            is_negated = start > 0 and tokens[start - 1].type == "!"
            following = tokens[place + 1].type if place + 1 < len(tokens) else ")"
            # Otherwise a path goes on behind the group: !(@.a).b
            if is_negated and following in (")", "]", "AND", "OR", "&"):
                kinds = [("ID", NEGATED_GROUP), ("[", "["), ("?", "?")]
                written[start] = [_token(tokens[start], *kind) for kind in kinds]
                written[place] = [_token(token, "]", "]")]
    return [each for place, token in enumerate(tokens) for each in written.get(place, [token])]


def _token(at: Any, kind: str, value: Any) -> Any:
    token = copy(at)
    token.type, token.value = kind, value
    return token
