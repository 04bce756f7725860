"""Takes back the steps of a collection, the last one first.

It is a run as in `schema`, with the reverse of each step. Nobody else writes records meanwhile.
"""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from attrs import evolve

from stones.collections.record_steps import Step, StepState
from stones.collections.steps_report import StepsReport
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction
from stones.errors import MigrationError
from stones.migrations.progress import Progress
from stones.stores.database import Database

from .record_chains import StepsRun
from .schema import check_possible, check_run, finish_run, put_description, writable
from .step_state import read_position
from .touched_indexes import suspend_unique


def undo_records(
    records: StoredRecords[Any, Any], to: int, progress: Progress | None
) -> StepsReport:
    """Take back the steps above `to`: see `Collection.undo`."""
    database = writable(records)
    return undo_steps(database, records.name, records.program.steps, to, progress, records=records)


def undo_steps(
    database: Database,
    name: str,
    steps: Sequence[Step],
    to: int,
    progress: Progress | None = None,
    *,
    records: StoredRecords[Any, Any] | None = None,
) -> StepsReport:
    """Take back those of `steps` above `to`, on the records of the collection `name`.

    `records` are the records as their class sees them: they only show keys in messages.
    """
    began = perf_counter()
    check_possible(database, "undo()")
    with database.reading() as txn:
        position = read_position(txn, name)
    if position is None or (position.state.to is None and position.state.done <= to):
        return StepsReport((), 0, seconds=perf_counter() - began)
    state = position.state
    if state.to is not None and state.to != to:
        what = f"undo(to={state.to})" if state.is_undo else "migrate()"
        raise MigrationError(f"{name!r} is in the middle of a migration: call {what} first")
    if not state.is_undo and state.to is not None:  # the records are being brought to this step
        raise MigrationError(f"{name!r} is in the middle of a migration: call migrate() first")
    run = StepsRun(database, name, steps, state.done, to, records)
    _check_known(run)
    checked, counter = check_run(run, progress, passes=2)
    checked.raise_failures(name)
    database.transact(partial(_begin, run))
    changed, removed = finish_run(run, counter)
    return StepsReport(
        run.numbers, checked.records, changed, removed, seconds=perf_counter() - began
    )


def _check_known(run: StepsRun) -> None:
    """Raise MigrationError for a step that the program does not know, or that has no reverse."""
    known = set(run.numbers)
    lacking = [number for number in range(run.goal + 1, run.origin + 1) if number not in known]
    if lacking:
        raise MigrationError(
            f"step {lacking[-1]} of {run.name!r} is not in migrations=: put it back, with "
            "reverse=, to undo it"
        )


def _begin(run: StepsRun, txn: Transaction) -> None:
    position = read_position(txn, run.name)
    state = None if position is None else position.state
    if position is None or state is None or state.done != run.origin:
        raise MigrationError(
            f"{run.name!r}: another program has migrated it meanwhile; nothing was written: call "
            "undo() again"
        )
    if state.to is not None and state.to != run.goal:
        raise MigrationError(f"{run.name!r}: another program has begun to migrate it")
    suspend_unique(txn, run)
    new = evolve(position.description, steps=StepState(run.origin, run.goal))
    put_description(txn, run.database, run.name, new)
