"""FieldPath: a path inside a record, as the reading of values wants it."""

from typing import Protocol

from .jsonpath_ng_evaluation import Finder
from .normal_form import Step


class FieldPath(Protocol):
    """A path inside a record: a `ValuePath`, or a `SortField`."""

    @property
    def find(self) -> Finder:
        """Lists all values that the path leads to in a record."""

    @property
    def steps(self) -> tuple[Step, ...] | None:
        """Its steps, if it is made of names, places and `[*]` only."""
