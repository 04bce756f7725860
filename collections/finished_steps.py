"""The end of a migration: all records of a collection have come to the step they were brought to.

`stones.migrations` runs the steps. It begins with `StoredRecords.describe`, which notes the step
that the program brings records to, as each writer does. It ends with `finish_steps`.
"""

from stones.collections.indexes.definition import IndexDefinition, read_definitions
from stones.collections.language.jsonpath import parse_filter
from stones.engine import Transaction
from stones.errors import MigrationError
from stones.formats.metadata import next_generation
from stones.stores.claims import read_collection, write_collection
from stones.stores.database import Database
from stones.stores.step_keys import drop_steps

from .description import Description, Shape
from .kept_view import goes_through, names_in
from .step_shapes import finished
from .stored_indexes import reset_changed, restart


def finish_steps(
    txn: Transaction,
    database: Database,
    name: str,
    touched: frozenset[str] | None,
    shapes: tuple[Shape, ...] | None = None,
) -> Description:
    """Note that all records of a collection have come to the step they were brought to.

    Removes the cursors and the marks, and has each index built again that goes through one of the
    `touched` names, or all indexes for None. `shapes` are the shapes of the records if no program
    with a class has brought them there. Returns the new description.

    Raises MigrationError if they are brought to no step.
    """
    stored = read_collection(txn, name)
    found = None if stored is None else Description.from_stored(name, stored)
    if found is None or found.steps.to is None:
        raise MigrationError(f"no migration of {name!r} is under way: another program has ended it")
    new = finished(found, shapes)
    write_collection(txn, name, new.stored())
    drop_steps(txn, name)
    restarted = {index.name for index in read_definitions(txn, name) if _is_touched(index, touched)}
    for index in read_definitions(txn, name):
        if index.name in restarted:
            restart(txn, name, index)
    # Its defaults may be others now. What has been restarted is restarted once more: it is empty.
    reset_changed(txn, name, found, new)
    next_generation(txn)
    database.reload(txn)
    return new


def _is_touched(index: IndexDefinition, touched: frozenset[str] | None) -> bool:
    if touched is None or any(goes_through(path, touched) for path in index.paths):
        return True
    if index.where is None:
        return False
    names = names_in(parse_filter(index.where).bound({}).expressions)
    return names is None or not names.isdisjoint(touched)
