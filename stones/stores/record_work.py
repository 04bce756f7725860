"""Who does the work on all records of a collection at once: steps, renaming, and so on.

The methods of a collection ask for it, and `stones.migrations` does it, which is above collections.
`stones/__init__.py` names the class, and how to import it.
"""

from collections.abc import Callable
from typing import Any

_importers: list[Callable[[], Callable[[Any], Any]]] = []


def provide_record_work(importer: Callable[[], Callable[[Any], Any]]) -> None:
    """Name the function that imports the class."""
    _importers[:] = [importer]


def record_work(queried: Any) -> Any:
    """What does the work on the records of one collection, given as its `QueriedRecords`."""
    (importer,) = _importers
    return importer()(queried)
