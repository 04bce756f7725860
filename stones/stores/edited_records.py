"""What is made again after somebody has edited the entries of a store by hand, and who does it.

The counts of collections, and their indexes, follow from the records. An engine whose file people
can edit notices an edit, and asks for them anew. The layer above (`stones.collections`) answers.
`stones/__init__.py` names the function that does it, and how to import it.
"""

from collections.abc import Callable

from stones.engine import Engine
from stones.formats.request import FormatRequest

from .database import Database

Renewal = Callable[[Database], None]
"""Makes the counts and indexes of all collections of a database anew."""

_importers: list[Callable[[], Renewal]] = []


def provide_renewal(importer: Callable[[], Renewal]) -> None:
    """Name the function that imports the renewal."""
    _importers[:] = [importer]


def renew_derived(engine: Engine, name: str, request: FormatRequest) -> None:
    """Make anew what follows from the records in `engine`. `name` is the store, for messages.

    `request` says which formats are trusted. Raises FormatMismatchError for records in another one.
    """
    database = Database(engine, name=name)
    database.open(request)
    (importer,) = _importers
    importer()(database)
    database.close()
