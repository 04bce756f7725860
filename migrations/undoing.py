"""Takes back the steps of a collection."""

from collections.abc import Callable
from typing import Any

from stones.collections.stored_records import StoredRecords

from .steps_report import StepsReport


def undo_records(
    records: StoredRecords[Any, Any], to: int, progress: Callable[[int, int], object] | None
) -> StepsReport:
    """See `Collection.undo`."""
    raise NotImplementedError
