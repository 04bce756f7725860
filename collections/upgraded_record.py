"""A stored record as a program sees it while it opens the collection."""

from typing import Any

from stones.collections.records.record_type import RecordType
from stones.engine import Transaction
from stones.errors import RecordError
from stones.formats.messages import show

from .description import Description
from .program_steps import ProgramSteps
from .record_steps import state_at, steps_of
from .step_shapes import step_views


def upgraded(
    txn: Transaction, program: ProgramSteps, found: Description, stored: bytes, value: Any
) -> Any:
    """The dict of a record after all steps. None if it is removed, or if a step fails for it.

    `Collection.migrate` tells of the steps that fail. So the collection can be opened for it.
    """
    if not found.steps.is_pending(program.last):
        return value
    (step,) = steps_of(txn, program.name, state_at(txn, program.name, found.steps), (stored,))
    view = step_views(found).get(step)
    try:
        return program.upgrade(stored, value if view is None else view(value), step)
    except RecordError:
        return None


def shown_key(record_type: RecordType[Any], key: bytes) -> str:
    """The key of a record as messages show it, by its stored key without the prefix."""
    try:
        return show(record_type.key_codec.decode(key))
    except (ValueError, OverflowError):
        return show(key)
