"""Runs the steps of a collection."""

from collections.abc import Callable
from typing import Any

from stones.collections.stored_records import StoredRecords

from .steps_report import StepsReport


def migrate_records(
    records: StoredRecords[Any, Any],
    progress: Callable[[int, int], object] | None,
    *,
    dry_run: bool,
) -> StepsReport:
    """See `Collection.migrate`."""
    raise NotImplementedError
