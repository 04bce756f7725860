"""What a program is told when its class does not fit the records of a collection."""

from contextlib import suppress
from itertools import islice
from typing import Any

from attrs import evolve

from stones.collections.records.record_type import RecordType
from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, FormatMismatchError
from stones.stores.claims import claim_key, is_namespace, parse_collection
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.spans import prefix_span

from .description import Description
from .differences import Difference, Record, difference
from .program_steps import ProgramSteps
from .step_code import step_code
from .upgraded_record import shown_key, upgraded


def misfit_help(
    database: DatabaseReader,
    txn: Transaction,
    record_type: RecordType[Any],
    program: ProgramSteps,
    found: Description,
) -> str:
    """What differs between the class and the records, and the step to write. May be empty."""
    differs = stored_difference(database, txn, record_type, program, found)
    if not differs:
        return ""
    number = max(found.steps.newest, program.last) + 1
    return f"\n\nWhat differs:\n\n{difference_text(differs)}\n\n{step_help(differs, number)}"


def stored_difference(
    database: DatabaseReader,
    txn: Transaction,
    record_type: RecordType[Any],
    program: ProgramSteps,
    found: Description,
) -> Difference:
    """What differs between a class and the first records, once they have the steps of a program.

    A field that the class lacks is no difference to a program that keeps or drops it.
    """
    codec, start = database.codec_at(txn), program.name.encode() + b"/"
    span = prefix_span(start)
    records: list[Record] = []
    for stored, raw in islice(txn.scan(DATA, span.start, span.stop), _RECORDS):
        with suppress(CorruptValueError, FormatMismatchError):
            value = codec.decode(stored, raw)
            if isinstance(value, dict):
                value = upgraded(txn, program, found, stored, value)
            if isinstance(value, dict):
                records.append((shown_key(record_type, stored[len(start) :]), value))
    differs = difference(found, record_type.schema, records, program.touched(found.steps))
    if record_type.rules.unknown != "error":
        differs = evolve(differs, gone=[gone for gone in differs.gone if gone.new_path])
    return differs


def read_description(txn: Transaction, name: str) -> Description | None:
    """The description of a collection. None if there is no collection of this name."""
    raw = txn.get(Space.META, claim_key(name))
    if raw is None or is_namespace(raw):
        return None
    return Description.from_stored(name, parse_collection(name, raw))


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


_RECORDS = 100
"""So many records are looked at."""
_LINE, _LINES, _CODE = 300, 20, 4000
"""How many characters a line of the message has, how many lines, how many characters the code."""
