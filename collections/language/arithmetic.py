"""Numbers: int, float and Decimal, how they compare, and how a query calculates with them.

A bool is no number. Numbers of different types compare by their exact values. So a stored
`Decimal('0.1')` is less than the float 0.1, as in Python. A literal such as `0.1` in the text of a
query is the number that is written there: it equals both.

`nodes` calculates, `ordering` compares.
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any, Self, TypeGuard

from .arrays import ARRAYS, items

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FloatLiteral(float):
    """A number with a decimal point, in the text of a query. It remembers its decimal value."""

    written: Decimal

    def __new__(cls, text: str) -> Self:
        literal = super().__new__(cls, text)
        literal.written = Decimal(text)
        return literal


_NUMBERS = (int, float, Decimal)


def is_number(value: Any) -> TypeGuard[int | float | Decimal]:
    """Whether a value is a number. A bool is not."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def compare_numbers(op: str, left: Any, right: Any) -> bool:
    """How two numbers compare, by value. A NaN has no order, and equals nothing.

    >>> compare_numbers('<', Decimal('0.1'), 0.1), compare_numbers('>=', 2**80, Decimal('sNaN'))
    (True, False)
    """
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        left, right = exact(left), exact(right)
        if left.is_nan() or right.is_nan():  # Python raises an error for their order
            return op == "!="
    return bool(OPERATORS[op](left, right))


def exact(number: float | Decimal) -> Decimal:
    """A number as a Decimal of the same value."""
    if isinstance(number, Decimal):
        return number
    if isinstance(number, FloatLiteral):
        return number.written
    return Decimal.from_float(number)  # noqa: FURB164  # Decimal() can be told to refuse floats


# Results are rounded as Python does by default, whatever the caller's decimal context is.
_CONTEXT = Context(prec=28, traps=[DivisionByZero, InvalidOperation, Overflow])

_DECIMAL_OPERATIONS: Mapping[str, Callable[[Any, Any], Decimal]] = {
    "+": _CONTEXT.add,
    "-": _CONTEXT.subtract,
    "*": _CONTEXT.multiply,
    "/": _CONTEXT.divide,
}
_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def calculate(op: str, left: Any, right: Any) -> Any:
    """The result of `+`, `-`, `*` or `/`. Raises an error, of any type, if there is no result.

    A float beside a Decimal counts as the decimal number that its repr shows. `+` also joins two
    texts, or two arrays. Dates and times calculate as in Python.

    >>> calculate('*', Decimal('9.90'), 1.1), calculate('+', 'a', 'b')
    (Decimal('10.890'), 'ab')
    >>> calculate('+', 1, True)
    Traceback (most recent call last):
        ...
    TypeError: no arithmetic with a bool
    """
    if isinstance(left, bool) or isinstance(right, bool):
        raise TypeError("no arithmetic with a bool")
    if is_number(left) and is_number(right):
        if isinstance(left, Decimal) or isinstance(right, Decimal):
            return _DECIMAL_OPERATIONS[op](_shown(left), _shown(right))
        return _OPERATIONS[op](left, right)
    if isinstance(left, ARRAYS) and isinstance(right, ARRAYS) and op == "+":
        return [*items(left), *items(right)]
    if op != "+" and (isinstance(left, _TEXTS) or isinstance(right, _TEXTS)):
        # Python repeats a text, or a list, if it is multiplied by a number.
        raise TypeError(f"no {op} with texts and arrays")
    return _OPERATIONS[op](left, right)


_TEXTS = (str, bytes, *ARRAYS)


def _shown(number: float | Decimal) -> int | Decimal:
    return Decimal(float.__repr__(number)) if isinstance(number, float) else number
