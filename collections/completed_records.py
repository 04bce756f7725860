"""A stored record as it is shown where its class is not known, on the command line for example."""

from typing import Any

from stones.stores.claims import NAMESPACE, read_collection
from stones.stores.database_reader import DatabaseReader


def completed_record(database: DatabaseReader, stored: bytes, value: Any) -> Any:
    """The value of a key of the store, with the kept defaults if it is the dict of a record.

    Any other value is returned as it is. One read. Raises CorruptValueError if what the store says
    of the collection is damaged.
    """
    head, slash, _ = stored.partition(b"/")
    try:
        name = head.decode()
    except UnicodeDecodeError:
        return value
    if not slash or type(value) is not dict or not name.isprintable():
        return value
    with database.reading() as txn:
        described = read_collection(txn, name)
        if described is None or described == NAMESPACE:
            return value
        # What a value that is no record does not need.
        from .description import Description
        from .step_shapes import view_of

        view = view_of(txn, name, Description.from_stored(name, described), stored)
    return value if view is None else view(value)
