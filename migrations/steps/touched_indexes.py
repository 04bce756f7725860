"""What becomes of the indexes of a collection when steps change the fields that they go through."""

from collections.abc import Iterable, Sequence

from attrs import evolve

from stones.collections.description import Description
from stones.collections.indexes.definition import (
    IndexDefinition,
    drop_definition,
    drop_entries,
    read_definitions,
    write_definition,
)
from stones.collections.language.jsonpath import parse_filter
from stones.collections.record_steps import Step
from stones.collections.stored_indexes import restart
from stones.collections.view_differences import changed_names, goes_through, names_in
from stones.engine import Transaction
from stones.errors import MigrationError

from .changed_shapes import path_after
from .migration import Migration
from .record_chains import StepsRun

SUSPENDED = "its records are being migrated, and it is built again at the end"
"""The problem of a unique index while the values in it change."""


def check_conditions(txn: Transaction, run: StepsRun) -> None:
    """Raise MigrationError for an index whose condition names a field that has another name then.

    A condition is text that a user wrote, and is not changed.
    """
    gone = {
        path.split(".")[0]
        for step in run.chain(run.origin)
        if isinstance(step, Migration)
        for path in (*step.rename, *step.drop)
    }
    for index in read_definitions(txn, run.name):
        if index.where is None:
            continue
        named = names_in(parse_filter(index.where).bound({}).expressions) or frozenset()
        if named & gone:
            raise MigrationError(
                f"the index {index.name!r} of {run.name!r} has a condition on "
                f"{min(named & gone)!r}, which a step renames or drops: drop_index({index.name!r}) "
                "first, and declare it anew"
            )


def unique_after(txn: Transaction, run: StepsRun) -> list[IndexDefinition]:
    """The unique indexes that the records must fit after the steps."""
    found, kept = {}, set()
    for index in read_definitions(txn, run.name):
        after = index_after(index, run)
        if not index.unique or after is None:
            continue
        if _is_touched(index, run):
            found[after.name] = after
        else:
            kept.add(after.name)
    if run.of_class is not None:
        for index in run.of_class.declared.definitions:
            if index.unique and index.name not in kept:
                found[index.name] = index
    return [evolve(index, state="ready", problem="") for index in found.values()]


def suspend_unique(txn: Transaction, run: StepsRun) -> None:
    """Take the unique indexes out of use whose values the steps change.

    Half of the records have new values then, which may be the old values of other records.
    """
    for index in read_definitions(txn, run.name):
        if index.unique and index.state != "failed" and _has_new_values(index, run):
            drop_entries(txn, index)
            failed = evolve(index, state="failed", at=b"", problem=SUSPENDED)
            write_definition(txn, run.name, failed)


def renew_touched(txn: Transaction, run: StepsRun, before: Description, after: Description) -> None:
    """Have each index built again that the steps concern, under the new names of its fields."""
    names = changed_names(before, after)
    definitions = read_definitions(txn, run.name)
    for index in definitions:
        renamed = index_after(index, run)
        if renamed is None or (renamed != index and renamed.name in {x.name for x in definitions}):
            drop_definition(txn, run.name, index)
        elif renamed != index:
            drop_definition(txn, run.name, index)
            restart(txn, run.name, renamed)
        elif _is_touched(index, run) or _goes_through(index, names):
            restart(txn, run.name, index)


def index_after(index: IndexDefinition, run: StepsRun) -> IndexDefinition | None:
    """An index with the new names of its fields. None if a field of it is gone."""
    paths: list[str] = []
    for path in index.paths:
        new = path_after(path, run.chain(run.origin))
        if new is None:
            return None
        paths.append(new)
    records = run.of_class
    if records is not None and records.type.rules.unknown != "keep":
        fields = records.type.fields
        if any(path.split(".")[0] not in fields for path in paths):
            return None
    if tuple(paths) == index.paths:
        return index
    return IndexDefinition(
        index.id, tuple(paths), index.each_path, index.unique, index.where, index.state, index.at
    )


def _is_touched(index: IndexDefinition, run: StepsRun) -> bool:
    return _goes_through(index, _names(step.touched for step in run.chain(run.origin)))


def _has_new_values(index: IndexDefinition, run: StepsRun) -> bool:
    """Whether the steps change the values in an index, and not only the names of its fields."""
    steps: Sequence[Step] = run.chain(run.origin)
    changing = [x for x in steps if x.touched is None or not _only_renames(x)]
    return _goes_through(index, _names(step.touched for step in changing))


def _only_renames(step: Step) -> bool:
    if not isinstance(step, Migration):
        return False
    return not (step.add or step.convert or step.drop or step.change or step.key)


def _names(touched: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    names: frozenset[str] = frozenset()
    for each in touched:
        if each is None:
            return None
        names |= each
    return names


def _goes_through(index: IndexDefinition, names: Iterable[str] | None) -> bool:
    """Whether an index goes through one of the names. None: through any."""
    if names is None or (index.where is not None and names):
        return True
    return any(goes_through(path, names) for path in index.paths)
