"""What a program is told when its class does not fit the records of a collection."""

from collections.abc import Iterable

from attrs import evolve

from stones.collections.records.classes import Schema
from stones.collections.records.reading_rules import Unknown

from .description import Description
from .differences import Difference, Record, difference
from .step_code import step_code


def misfit_help(
    found: Description,
    schema: Schema,
    records: Iterable[Record],
    *,
    unknown: Unknown = "error",
    number: int = 1,
    touched: frozenset[str] | None = frozenset(),
) -> str:
    """What differs between the class and the records, and the step to write. May be empty.

    `records` are some records, with the steps that the program has. `number` is the number of the
    next step. `touched` are the names that the pending steps may change, None if they may change
    any. A field that the class lacks is no difference to a program that keeps or drops it.
    """
    differs = difference(found, schema, records, touched)
    if unknown != "error":
        differs = evolve(differs, gone=[gone for gone in differs.gone if gone.new_path])
    if not differs:
        return ""
    return f"\n\nWhat differs:\n\n{difference_text(differs)}\n\n{step_help(differs, number)}"


def difference_text(differs: Difference) -> str:
    """The difference, a line for each field. A store may have many fields, of any names."""
    lines = [f"- {line if len(line) < _LINE else line[:_LINE] + '...'}" for line in differs.lines()]
    if len(lines) > _LINES:
        lines[_LINES:] = [f"- and {len(lines) - _LINES} more"]
    return "\n".join(lines)


def step_help(differs: Difference, number: int) -> str:
    """The step to write, and what to do with it."""
    code = step_code(differs, number).text()
    if len(code) > _CODE:
        return (
            "The step that brings the records to the class is long: stones migrations new writes it"
        )
    indented = "\n".join(f"    {line}" if line else "" for line in code.splitlines())
    return (
        "Write the step that brings the records to the class, give it in migrations=, and call "
        f"migrate():\n\n{indented}"
    )


_LINE, _LINES, _CODE = 300, 20, 4000
"""How many characters a line of the message has, how many lines, how many characters the code."""
