"""Runs the steps of a collection on all of its records, while other programs read and write.

A run has these parts:

1. It tries all steps on all records, and writes nothing (`step_check`).
2. It notes in the description of the collection which step the records are brought to. From then on
   programs that know fewer steps only read. Programs that know the steps write in the new shape.
3. It brings the records to the step, in short transactions (`step_batches`).
4. It ends: the description is that of the new shape, the ledger has the steps, and the indexes that
   the steps concern are built again.

If the process is killed at any point, each record has had either all of the steps or none of them,
and can be read. The next run goes on where it was.
"""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from attrs import evolve

from stones.collections.description import Description, Shape
from stones.collections.index_building import IndexBuilder
from stones.collections.indexes.definition import dropped_prefixes, read_definitions
from stones.collections.program_steps import ProgramSteps
from stones.collections.record_steps import Step, StepState
from stones.collections.shapes import new_description
from stones.collections.step_shapes import begun, finished
from stones.collections.steps_report import StepsReport
from stones.collections.stored_indexes import StoredIndexes
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction
from stones.errors import ChangedStepWarning, MigrationError, ReadOnlyError
from stones.formats.generation import next_generation
from stones.formats.layout import write_layout
from stones.migrations.progress import Progress, ProgressCounter
from stones.stores.claims import count_key, read_count, write_collection
from stones.stores.database import Database
from stones.stores.database_reader import DatabaseReader
from stones.stores.step_keys import drop_steps

from .changed_shapes import path_after, shapes_after
from .ledger import edited_steps, entries_of, saved_shapes, write_ran, write_undone
from .new_keys import changes_keys, check_new_keys, write_new_keys
from .record_chains import StepsRun
from .run_figures import drop_figures, read_figures
from .step_batches import StepBatches
from .step_check import CheckedRecords, check_records
from .step_state import position_of_run, read_position
from .touched_indexes import check_conditions, renew_touched, suspend_unique, unique_after
from .user_line import warn_at_user_line


def migrate_records(
    records: StoredRecords[Any, Any], progress: Progress | None, *, dry_run: bool
) -> StepsReport:
    """Bring the records of a class to the last step of its program: see `Collection.migrate`."""
    database = writable(records)
    return migrate_steps(
        database, records.name, records.program.steps, progress, records=records, dry_run=dry_run
    )


def migrate_steps(
    database: Database,
    name: str,
    steps: Sequence[Step],
    progress: Progress | None = None,
    *,
    records: StoredRecords[Any, Any] | None = None,
    dry_run: bool = False,
) -> StepsReport:
    """Bring the records of the collection `name` to the last one of `steps`, which are in order.

    `records` are the records as their class sees them. Without them, the dicts that the steps give
    are stored as they are. The rest is as in `Collection.migrate`.
    """
    began = perf_counter()
    if not dry_run:
        check_possible(database, "migrate()")
    edited = warn_of_edited_steps(database, name, steps)
    run = None if not steps else _run_of(database, name, steps, records)
    if run is None:
        if not dry_run:
            build_indexes(database, name)
        return StepsReport((), 0, edited=edited, seconds=perf_counter() - began)
    if changes_keys(run):
        return _with_new_keys(run, progress, dry_run, edited, began)
    checked, counter = check_run(run, progress, passes=1 if dry_run else 2)
    if dry_run:
        return _report(run, checked, checked.changed, checked.removed, edited, began)
    checked.raise_failures(name)
    database.transact(partial(_begin, run))
    changed, removed = finish_run(run, counter)
    if records is not None:
        records.declared.settle(database, lambda _: None)
    return _report(run, evolve(checked, failures=(), failed=0), changed, removed, edited, began)


def _with_new_keys(
    run: StepsRun,
    progress: Progress | None,
    dry_run: bool,
    edited: tuple[int, ...],
    began: float,
) -> StepsReport:
    """The same for steps that give the records other keys: all in one transaction."""
    if dry_run:
        checked = check_new_keys(run, progress)
    else:
        checked = write_new_keys(run, partial(_described_anew, run), progress)
        if run.records is not None:
            run.records.settle_indexes(run.database)
    return _report(run, checked, checked.changed, checked.removed, edited, began)


def _described_anew(run: StepsRun, txn: Transaction, found: Description) -> Description:
    """The description of the records once all of them were written anew."""
    if run.records is None:
        return evolve(found, shapes=_shapes_after(run, txn, found))
    own = _own_description(run, run.records, found)
    return evolve(found, record=own.record, shapes=own.shapes)


def warn_of_edited_steps(
    database: DatabaseReader, name: str, steps: Sequence[Step]
) -> tuple[int, ...]:
    """The steps whose code has changed since they ran. Each of them is a ChangedStepWarning."""
    edited = edited_steps(entries_of(database, name), steps) if steps else ()
    for number in edited:
        warn_at_user_line(
            f"step {number} of {name!r} is not what it was when it ran: the records have had the "
            "earlier one; undo the edit, and write what is missing as another step",
            ChangedStepWarning,
        )
    return edited


# -- the parts of a run, which undo() has too --------------------------------------------------


def writable(records: StoredRecords[Any, Any]) -> Database:
    """The database of some records.

    Raises ReadOnlyError for a snapshot, CollectionError if the collection was renamed.
    """
    if not isinstance(records.database, Database):
        raise ReadOnlyError(f"{records.name}: a collection of a snapshot is read-only")
    records.check_there()
    return records.database


def check_possible(database: Database, what: str) -> None:
    """Raise an error where no run can begin."""
    if database.in_transaction():
        raise MigrationError(f"{what} works in transactions of its own: call it outside of any")
    database.check_writable()


def check_run(
    run: StepsRun, progress: Progress | None, passes: int
) -> tuple[CheckedRecords, ProgressCounter]:
    """Try all steps on all records. Raises MigrationError for an index that stands in the way."""
    with run.database.reading() as txn:
        check_conditions(txn, run)
        unique = unique_after(txn, run)
        total = read_count(txn, count_key(run.name))
    counter = ProgressCounter(progress, max(passes * total, 1))
    return check_records(run, unique, counter), counter


def finish_run(run: StepsRun, counter: ProgressCounter) -> tuple[int, int]:
    """Bring all records to the goal, and end. How many were changed and removed by this process."""
    batches = StepBatches(run)
    batches.process(counter)
    run.database.transact(partial(_end, run))
    build_indexes(run.database, run.name)
    counter.finish()
    return batches.changed, batches.removed


def build_indexes(database: Database, name: str) -> None:
    """Build what is to be built again."""
    with database.reading() as txn:
        is_due = any(index.state == "building" for index in read_definitions(txn, name))
        is_due = is_due or bool(dropped_prefixes(txn))
    if is_due:
        IndexBuilder(database, StoredIndexes(database, name)).build()


def put_description(txn: Transaction, database: Database, name: str, new: Description) -> None:
    """Store a description with other steps, and begin another generation of the metadata."""
    write_collection(txn, name, new.stored())
    write_layout(txn, 3)
    next_generation(txn)
    database.reload(txn)


# -- the parts of a run forwards ---------------------------------------------------------------


def _run_of(
    database: Database,
    name: str,
    steps: Sequence[Step],
    records: StoredRecords[Any, Any] | None,
) -> StepsRun | None:
    """The run that brings the records to the last step. None if all have come to it."""
    with database.reading() as txn:
        position = read_position(txn, name)
    if position is None:
        return None
    state, goal = position.state, steps[-1].number
    if state.is_undo:
        raise MigrationError(
            f"the steps of {name!r} above {state.to} are being undone: call undo(to={state.to}) "
            "to end that first"
        )
    if state.newest > goal:
        raise MigrationError(
            f"the records of {name!r} have had the steps up to {state.newest}, and this program "
            f"knows the steps up to {goal}: run the newer program"
        )
    ProgramSteps(name, steps).check_known(state)
    if state.to is None and state.done == goal:
        return None
    return StepsRun(database, name, steps, state.done, goal, records)


def _begin(run: StepsRun, txn: Transaction) -> None:
    """Note which step the records are brought to. Raises MigrationError if another run is ahead."""
    position = read_position(txn, run.name)
    if position is None:
        raise MigrationError(f"the collection {run.name!r} is not there any more")
    state = position.state
    if state.to is None and state.done >= run.goal:  # another process did it meanwhile
        return
    if state.done != run.origin or state.is_undo or state.newest > run.goal:
        raise MigrationError(
            f"{run.name!r}: another program has begun to bring the records to step {state.newest}; "
            "nothing was written: call migrate() again"
        )
    found = position.description
    new = evolve(found, steps=StepState(run.origin, run.goal))
    if run.records is not None:
        new = begun(found, _own_description(run, run.records, found), run.records.type.schema)
    suspend_unique(txn, run)
    if new != found:
        put_description(txn, run.database, run.name, new)
    run.database.reload(txn)


def _own_description(
    run: StepsRun, records: StoredRecords[Any, Any], found: Description
) -> Description:
    """The description that the class writes to a collection without records.

    With unknown="keep" the records keep other fields too.
    """
    of_class = records.type
    own = new_description(of_class.cls.__qualname__, of_class.key_codec.name, of_class.schema)
    own = evolve(own, steps=StepState(run.goal))
    if of_class.rules.unknown != "keep":
        return own
    paths = (path_after(name, run.chain(run.origin)) for name in found.fields)
    kept = [path for path in paths if path is not None and path not in own.fields]
    shape = evolve(own.shapes[0], fields=(*own.fields, *kept), absent=tuple(kept))
    return evolve(own, shapes=(shape, *own.shapes[1:]))


def _end(run: StepsRun, txn: Transaction) -> None:
    """Note that all records have come to the goal."""
    position = position_of_run(txn, run)
    if position is None:  # another process was quicker
        return
    found, name, database = position.description, run.name, run.database
    after = finished(found, _shapes_after(run, txn, found))
    figures = read_figures(txn, name)
    if run.is_undo:
        write_undone(txn, name, run.numbers)
    else:
        ran = [step for step in run.steps if run.origin < step.number <= run.goal]
        write_ran(txn, name, ran, figures, found.shapes)
    drop_figures(txn, name)
    drop_steps(txn, name)
    put_description(txn, database, name, after)
    renew_touched(txn, run, found, after)
    database.reload(txn)


def _shapes_after(run: StepsRun, txn: Transaction, found: Description) -> tuple[Shape, ...]:
    """The shapes of the records after a run without a class that takes the results."""
    if run.is_undo:
        saved = saved_shapes(txn, run.name, run.goal + 1)
        if saved is not None:
            return saved
    return shapes_after(found.shapes, run.chain(run.origin))


def _report(
    run: StepsRun,
    checked: CheckedRecords,
    changed: int,
    removed: int,
    edited: tuple[int, ...],
    began: float,
) -> StepsReport:
    return StepsReport(
        run.numbers,
        checked.records,
        changed,
        removed,
        checked.failures,
        checked.failed,
        edited,
        perf_counter() - began,
    )
