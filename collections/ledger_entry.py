"""LedgerEntry: what a store tells of a step that ran on a collection.

`stones.migrations` writes the ledger and reads it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen


@frozen
class LedgerEntry:
    """A step that ran on a collection. Steps that ran together have the same figures.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, Migration, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> store = MemoryStore()
    >>> Collection(store, User).add(User('ada', 36))
    'ada'
    >>> step = Migration(1, convert={'age': lambda age: age + 1}, name='one year later')
    >>> users = Collection(store, User, migrations=[step])
    >>> report = users.migrate()
    >>> (entry,) = users.ledger
    >>> entry.number, entry.name, entry.changed, entry.reversed
    (1, 'one year later', 1, None)
    """

    collection: str
    """The name of the collection."""
    number: int
    """The number of the step."""
    name: str
    """What the step does, in words."""
    at: datetime
    """When it ended, in UTC."""
    seconds: float
    """How long the records were worked on, without the check before."""
    changed: int
    """The records that were written anew."""
    removed: int
    """The records that a step removed."""
    reversed: datetime | None = None
    """When the step was undone, in UTC. None if it was not."""
    fingerprint: str = ""
    """What the step was, so that a change of its code is noticed."""
    shapes_before: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    """The fields that the records had before, if the step was the first of a run: for `undo`."""
