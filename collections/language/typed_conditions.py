"""Conditions and paths written as Python functions, for type checkers to look into.

`lambda u: (u.age > 30) & (u.address.city == 'Rome')` is a function of a record to type checkers. It
is called once, with an object that records what is asked of it (see `recording`), and becomes the
text of a filter: `@.age > {age} && @.address.city == {city}`, with the values for it. From there on
it is a filter like any other. So there is one language, with one meaning.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from attrs import frozen

from stones.errors import QueryError
from stones.formats.messages import show_value

from .membership import check_choices
from .recording import (
    INSTEAD_OF_IS,
    RECORD,
    AnyOf,
    Condition,
    Path,
    Recorded,
    Step,
    condition_of,
)

T = TypeVar("T")


@frozen
class RecordedFilter:
    """What a function asks of a record: the text of a filter, and the values for it."""

    text: str
    values: Mapping[str, Any]
    flags: tuple[str, ...]
    """The paths that are conditions themselves: `u.active`. They must lead to a bool."""


def recorded_filter(function: Callable[[Any], Any]) -> RecordedFilter:
    """The filter that a function of a record returns.

    >>> recorded_filter(lambda u: (u.age > 30) & (each(u.tags) == 'navy'))
    RecordedFilter(text='@.age > {age} && @.tags[*] == {tags}', \
values={'age': 30, 'tags': 'navy'}, flags=())

    Raises QueryError for a function that returns no condition, and for what cannot be recorded.
    """
    found = _called(function)
    if not isinstance(found, Path | Condition):
        raise QueryError(
            f"find(): the function returns {show_value(found)}, which is no condition on the "
            "record. A test that Python answers itself, as `is` does, cannot be recorded: write "
            f"{INSTEAD_OF_IS}"
        )
    values: dict[str, Any] = {}
    flags: list[str] = []
    return RecordedFilter(_written(condition_of(found), values, flags), values, tuple(flags))


def recorded_path(function: Callable[[Any], Any]) -> str:
    """The text of the path to the value that a function of a record returns.

    >>> recorded_path(lambda u: u.address.city), recorded_path(lambda u: each(u.homes).city)
    ('@.address.city', '@.homes[*].city')

    Raises QueryError for a function that returns no field of the record.
    """
    found = _called(function)
    if isinstance(found, Path):
        return found.__step__.text
    shown = "a condition" if isinstance(found, Recorded) else show_value(found)
    raise QueryError(
        f"the function returns {shown}, not a field of the record: write lambda u: u.address.city"
    )


@overload
def each(values: Mapping[Any, T]) -> T: ...
@overload
def each(values: Iterable[T]) -> T: ...
def each(values: Any) -> Any:
    """Any item of a field with several values, in a condition: `each(u.tags) == 'navy'`.

    The condition is true if it is true for one item or more. The items of a dict are its values.
    Of values that you have, `==` takes any: `u.country == each(['DE', 'FR'])`.

    >>> from attrs import define, field
    >>> from stones import Collection, MemoryStore, each, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     tags: set[str] = field(factory=set)
    >>> users: Collection[str, User] = Collection(MemoryStore(), User)
    >>> users.add_many([User('ada', {'navy', 'maths'}), User('bob')])
    2
    >>> users.find(lambda u: each(u.tags) == 'navy').one().name
    'ada'
    >>> list(users.find(lambda u: u.name == each(['bob', 'eve'])).keys())
    ['bob']
    """
    if isinstance(values, Path):
        at = values.__step__
        return Path(Step(f"{at.text}[*]", at.name, is_plural=True))
    if isinstance(values, Recorded):
        raise QueryError("each() takes a field with several values, or values that you have")
    check_choices(values, "each()")
    return AnyOf(values.values() if isinstance(values, Mapping) else values)


def known(value: T | None) -> T:
    """A field that may be None, in a condition: `known(u.address).city == 'Rome'`.

    It tells type checkers that the value is there, and tests nothing. Where the address is None
    there is no city, and so no city equals 'Rome'.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key, known
    >>> @define
    ... class Address:
    ...     city: str
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     address: Address | None = None
    >>> users: Collection[str, User] = Collection(MemoryStore(), User)
    >>> users.add_many([User('ada', Address('London')), User('bob')])
    2
    >>> users.find(lambda u: known(u.address).city == 'London').one().name
    'ada'
    """
    if isinstance(value, Path):
        found: T = value
        return found
    raise QueryError(
        "known() takes a field of the record, inside of a function for find() or values(), not "
        f"{show_value(value)}"
    )


def _called(function: Callable[[Any], Any]) -> Any:
    try:
        return function(RECORD)
    except TypeError as error:
        raise QueryError(
            f"the function does what cannot be recorded: {error}. It is not called with a record, "
            "but with an object that records comparisons of fields"
        ) from error


def _written(condition: Condition, values: dict[str, Any], flags: list[str]) -> str:
    """The condition as text. The values and flags in it are added to `values` and `flags`."""
    op, operands = condition.op, condition.operands
    if op in ("&&", "||"):
        texts = [_written(part, values, flags) for part in operands]
        grouped = [
            f"({text})" if op == "&&" and part.op == "||" else text
            for part, text in zip(operands, texts, strict=True)
        ]
        return f" {op} ".join(grouped)
    if op == "!":
        return f"!({_written(operands[0], values, flags)})"
    path: Step = operands[0].__step__
    if op == "is true":
        flags.append(path.text)
        return f"{path.text} == true"
    if isinstance(operands[1], Path):
        return f"{path.text} {op} {operands[1].__step__.text}"
    name = _name(path.name, values)
    values[name] = operands[1]
    return f"{path.text} {op} {{{name}}}"


def _name(wanted: str, taken: Mapping[str, Any]) -> str:
    """A name for a placeholder that is not taken yet."""
    base = name = wanted if wanted.isidentifier() else "value"
    number = 2
    while name in taken:
        name = f"{base}_{number}"
        number += 1
    return name
