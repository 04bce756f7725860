"""What the files of steps and the ledger of a store say of each step, side by side."""

from collections.abc import Iterable, Sequence
from typing import Literal

from attrs import frozen

from stones.collections.ledger_entry import LedgerEntry
from stones.collections.record_steps import StepState
from stones.stores.database_reader import DatabaseReader

from .fingerprints import fingerprint
from .ledger import read_entries
from .step_files import StepFile
from .step_state import read_position

State = Literal["done", "changed", "running", "pending", "undone", "empty"]


@frozen
class StepStatus:
    """A step of a collection."""

    collection: str
    number: int
    name: str
    """What the step does, in words."""
    state: State
    """Where it is. "changed": it ran, and its code is not what it was then. "running": some records
    have had it. "empty": there are no records yet, and new ones are written in the newest shape."""
    file: str | None
    """The name of its file. None if it ran, and has no file any more."""
    ran: LedgerEntry | None
    """What the ledger tells of it. None for a step that did not run."""


def step_statuses(database: DatabaseReader, files: Iterable[StepFile]) -> Sequence[StepStatus]:
    """All steps that have a file, or that are in the ledger, by collection and number."""
    by_step = {(file.collection, file.migration.number): file for file in files}
    with database.reading() as txn:
        ran = {(entry.collection, entry.number): entry for entry in read_entries(txn)}
        names = {collection for collection, _ in (*by_step, *ran)}
        positions = {name: read_position(txn, name) for name in names}
    found = []
    for collection, number in sorted({*by_step, *ran}):
        file, entry = by_step.get((collection, number)), ran.get((collection, number))
        position = positions[collection]
        state = "empty" if position is None else _state(file, entry, number, position.state)
        name = file.migration.name if file is not None else "" if entry is None else entry.name
        file_name = None if file is None else file.path.name
        found.append(StepStatus(collection, number, name, state, file_name, entry))
    return found


def _state(
    file: StepFile | None, entry: LedgerEntry | None, number: int, state: StepState
) -> State:
    if number > max(state.done, state.newest):
        return "undone" if entry is not None and entry.reversed is not None else "pending"
    if number > min(state.done, state.newest):
        return "running"
    if file is None or entry is None or entry.reversed is not None:
        return "done"
    return "done" if entry.fingerprint == fingerprint(file.migration) else "changed"
