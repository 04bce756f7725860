"""What a function of a record is called with, to record the condition that it writes.

A `Path` stands for a field of the record. Its comparisons give a `Condition`, and conditions are
joined with `&`, `|` and `~`. Python hands no other test over: `and`, `in` and a loop ask for a bool
or for items at once. All of them raise a QueryError, which says what to write instead.

`typed_conditions` makes text of what is recorded.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

from attrs import frozen

from stones.errors import QueryError
from stones.formats.messages import show_value

from .quoted import written_step

INSTEAD_OF_BOOL = (
    "& for and, | for or, ~( ) for not, two comparisons for a chain such as 1 < u.age < 9, and "
    "u.country == each(codes) for in; each comparison stands in parentheses"
)
INSTEAD_OF_IS = "u.nick == None for None, u.active or u.active == False for a bool"
_INSTEAD_OF_ITEMS = "each(u.tags) == 'navy', which any item may fulfil"
_INSTEAD_OF_CONTAINS = (
    "each(u.tags) == 'navy' for 'navy' in u.tags; for a part of a text, call find() with the "
    "JSONPath '@.name contains {part}'"
)
_INSTEAD_OF_METHODS = (
    "u.name.startswith('A') or u.name.endswith('a'), or call find() with a JSONPath such as "
    "'@.name =~ {pattern}'"
)
_INSTEAD_OF_ARITHMETIC = "a JSONPath for find(), such as '@.price * @.stock > {limit}'"


def _refusal(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise QueryError(f"{what} cannot be recorded: write {instead}")

    return refuse


class Recorded:
    """A path, a condition, or values of `each()`: what they have in common, and what none has."""

    __slots__ = ()

    __bool__ = _refusal("and, or, not, in, if and a chain of comparisons", INSTEAD_OF_BOOL)
    __contains__ = _refusal("in", _INSTEAD_OF_CONTAINS)
    __iter__ = __reversed__ = _refusal("a loop", _INSTEAD_OF_ITEMS)
    __len__ = _refusal("len()", _INSTEAD_OF_ITEMS)

    def __hash__(self) -> int:  # a set or a dict asks for it: u.country in {'DE'}
        raise QueryError(f"in cannot be recorded: write {INSTEAD_OF_BOOL}")

    def __and__(self, other: object) -> "Condition":
        return _joined("&&", self, other)

    def __rand__(self, other: object) -> "Condition":
        return _joined("&&", other, self)

    def __or__(self, other: object) -> "Condition":
        return _joined("||", self, other)

    def __ror__(self, other: object) -> "Condition":
        return _joined("||", other, self)

    def __invert__(self) -> "Condition":
        return Condition("!", (condition_of(self),))

    def __eq__(self, other: object) -> Any:
        return _compared(self, "==", other)

    def __ne__(self, other: object) -> Any:
        return _compared(self, "!=", other)

    def __lt__(self, other: object) -> "Condition":
        return _compared(self, "<", other)

    def __le__(self, other: object) -> "Condition":
        return _compared(self, "<=", other)

    def __gt__(self, other: object) -> "Condition":
        return _compared(self, ">", other)

    def __ge__(self, other: object) -> "Condition":
        return _compared(self, ">=", other)


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod", "matmul", "xor")
_UNARY = ("neg", "pos", "abs", "int", "float", "index", "round", "trunc", "floor", "ceil")
for _name in (*_BINARY, *(f"r{name}" for name in _BINARY), *_UNARY):
    setattr(Recorded, f"__{_name}__", _refusal("arithmetic", _INSTEAD_OF_ARITHMETIC))


@frozen(eq=False)
class Step:
    """Where a path leads."""

    text: str
    """The path as JSONPath."""
    name: str
    """The last field on the way."""
    is_plural: bool = False
    before: "Step | None" = None
    """The step before the field. None if there is no field."""


class Path(Recorded):
    """A field of the record, or the record itself.

    Each of its attributes is a field. So it has no attributes of its own, but `__step__`.
    """

    __slots__ = ("__step__",)
    __step__: Step

    def __init__(self, step: Step) -> None:
        object.__setattr__(self, "__step__", step)

    def __getattr__(self, name: str) -> "Path":
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        at = self.__step__
        return Path(Step(at.text + written_step(name), name, at.is_plural, at))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise QueryError("a condition changes no record: write == to compare")

    def __getitem__(self, place: object) -> "Path":
        at = self.__step__
        if isinstance(place, str):
            return Path(Step(at.text + written_step(place), place, at.is_plural, at))
        if not isinstance(place, int) or isinstance(place, bool):
            raise QueryError(f"{_shown(at)}[...] takes an int or a str, not {show_value(place)}")
        return Path(Step(f"{at.text}[{place}]", at.name, at.is_plural))

    def __call__(self, *arguments: object, **options: object) -> "Condition":
        method = self.__step__
        on, pattern = method.before, _PATTERNS.get(method.name)
        if on is None or pattern is None:
            raise QueryError(
                f"a call of {_shown(method)}() cannot be recorded: write {_INSTEAD_OF_METHODS}"
            )
        if options or len(arguments) != 1 or not isinstance(arguments[0], str):
            raise QueryError(f"{_shown(method)}() takes one str in a condition")
        return Condition("=~", (Path(on), pattern.format(re.escape(arguments[0]))))

    def __repr__(self) -> str:
        return f"<{_shown(self.__step__)}, recorded>"


# Regular expressions for the methods of a text that can be recorded.
_PATTERNS = {"startswith": "^{}", "endswith": r"{}\Z"}


class Condition(Recorded):
    """An operator and its operands.

    `&&`, `||` and `!` have conditions as operands. A comparison has a path and a value, or two
    paths. The operator of a path that is a condition itself is `is true`.
    """

    __slots__ = ("op", "operands")

    def __init__(self, op: str, operands: tuple[Any, ...]) -> None:
        self.op = op
        self.operands = operands

    def __repr__(self) -> str:
        return "<a recorded condition>"


class AnyOf(Recorded):
    """Values of which any may be equal: `each(codes)`."""

    __slots__ = ("values",)

    def __init__(self, values: object) -> None:
        self.values = values

    def __repr__(self) -> str:
        return "<each() of values>"


RECORD = Path(Step("@", "record"))
"""The record that functions are called with."""


def condition_of(part: object) -> Condition:
    """A part of a condition as one. Raises QueryError for what is none."""
    if isinstance(part, Path):
        return Condition("is true", (part,))
    if isinstance(part, Condition):
        return part
    if isinstance(part, bool):
        raise QueryError(
            f"a part of the condition is {part}: a test that Python answers itself, as `is` does, "
            f"cannot be recorded: write {INSTEAD_OF_IS}"
        )
    raise QueryError(
        f"{show_value(part)} is no condition on the record: put parentheses around each "
        "comparison, as in (u.age > 30) & (u.city == 'Rome')"
    )


def _joined(op: str, left: object, right: object) -> Condition:
    parts: list[Condition] = []
    for part in (condition_of(left), condition_of(right)):
        parts += part.operands if part.op == op else [part]
    return Condition(op, tuple(parts))


_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _compared(left: object, op: str, right: object) -> Condition:
    if isinstance(left, AnyOf):
        left, op, right = right, _FLIPPED.get(op, op), left
    if not isinstance(left, Path) or isinstance(right, Condition):
        raise QueryError(
            "a comparison compares a field of the record with a value: put parentheses around each "
            "comparison, as in (u.age > 30) & (u.city == 'Rome')"
        )
    if isinstance(right, AnyOf):
        if op != "==":
            raise QueryError(
                f"each() of values takes ==, not {op}: write ~(u.a == each(...)) for !="
            )
        return Condition("in", (left, right.values))
    if isinstance(right, Path) and right.__step__.is_plural:
        if left.__step__.is_plural:
            raise QueryError("each() stands on one side of a comparison only, if both are fields")
        left, op, right = right, _FLIPPED.get(op, op), left
    return Condition(op, (left, right))


def _shown(step: Step) -> str:
    return f"u{step.text[1:]}"
