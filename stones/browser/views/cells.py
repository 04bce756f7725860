"""A value in a cell of the table of records: one short line."""

from typing import Any

from attrs import frozen

from .value_text import any_text, type_name

MOST = 80
"""A cell shows at most so many characters."""


@frozen
class Cell:
    """What a cell shows."""

    text: str
    type: str
    """The name of the type of the value; empty where the record has no value."""
    is_number: bool = False
    """Whether numbers stand in it, which a table has at its right."""
    is_none: bool = False


MISSING = Cell("", "")
"""A record has no such field."""


def cell(value: Any) -> Cell:
    """The cell of a value.

    >>> cell(36)
    Cell(text='36', type='int', is_number=True, is_none=False)
    """
    kind = type(value)
    if kind is str:
        # A short text, as most are, costs one look.
        text = value if len(value) <= MOST and value.isprintable() else any_text(value, MOST)
        return Cell(text, "str")
    is_number = kind is int or kind is float or kind.__name__ == "Decimal"
    return Cell(any_text(value, MOST), type_name(value), is_number, value is None)
