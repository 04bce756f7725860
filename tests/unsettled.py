"""A collection in the middle of a migration, driven by hand, for tests of reading and writing."""

from copy import deepcopy

from stones.collections.description import Description
from stones.collections.indexes.definition import read_definitions
from stones.collections.record_steps import mark_key, state_at, steps_of, write_cursors
from stones.collections.step_shapes import finished
from stones.collections.stored_indexes import reset_changed, restart
from stones.collections.view_differences import goes_through
from stones.engine import Space
from stones.formats.generation import next_generation
from stones.stores.claims import add_to_count, count_key, read_collection, write_collection
from stones.stores.step_keys import drop_steps


def begin(users):
    """Note that the records are brought to the last step of this program, as each writer does."""
    records = users._records
    records.change(records.describe)


def sweep(users, limit):
    """Bring the next records to the last step. Returns whether there may be more."""
    records, program = users._records, users._records.program
    database, name = records.database, records.name

    def step(txn):
        description = records._description.read_at(txn)
        state = state_at(txn, name, description.steps)
        cursors = dict(state.cursors)
        start = cursors.get(program.last, records.span.start)
        taken = [x for x in txn.scan(Space.DATA, start, records.span.stop) if x[0] > start]
        for stored, raw in taken[:limit]:
            (had,) = steps_of(txn, name, state, (stored,))
            value = database.decode_record(stored, raw)
            if had < program.last:
                view = description.views.get(had)
                mine = deepcopy(value)  # a step may change it
                new = program.upgrade(stored, mine if view is None else view(mine), had)
                if new is not None:  # with the defaults of the class
                    new = records.type.dump(records.type.load(new))
                put(txn, records, stored, value, new)
            txn.delete(Space.META, mark_key(name, stored))
            cursors[program.last] = stored
        write_cursors(txn, name, cursors)
        return len(taken) > limit

    return database.transact(step)


def put(txn, records, stored, before, after):
    """Write an upgraded dict, or remove the record, and keep the indexes and the count."""
    indexes = records.indexes.kept(txn)
    if indexes is not None:
        indexes.replace(txn, stored[len(records.prefix) :], before, after)
    if after is None:
        txn.delete(Space.DATA, stored)
        add_to_count(txn, count_key(records.name), -1)
        return
    txn.put(Space.DATA, stored, records.database.codec.encode(stored, after))


def finish(users):
    """Bring all records to the last step, and end the migration."""
    records = users._records
    begin(users)
    while sweep(users, 100):
        pass
    steps = records._description.read_now().steps
    touched = records.program.touched(steps)
    records.database.transact(lambda txn: end(txn, records.database, users.name, touched))
    users.build_indexes()


def end(txn, database, name, touched):
    """Note that all records have come to the last step. Indexes of what was touched start anew."""
    found = Description.from_stored(name, read_collection(txn, name))
    new = finished(found)
    write_collection(txn, name, new.stored())
    drop_steps(txn, name)
    for index in read_definitions(txn, name):
        if touched is None or any(goes_through(path, touched) for path in index.paths):
            restart(txn, name, index)
    reset_changed(txn, name, found, new)
    next_generation(txn)
    database.reload(txn)


def marks(users):
    """The entries of the metadata with cursors and marks."""
    with users._records.database.reading() as txn:
        return [key for key in txn.keys(Space.META) if key.startswith((b"step/", b"progress/"))]
