"""The results of running the steps of a collection: `StepsReport` and `StepFailure`."""

from typing import Any

from attrs import field, frozen


@frozen
class StepFailure:
    """A record that a step cannot change, or whose changed dict the class does not take."""

    key: Any
    """The primary key of the record."""
    step: int
    """The number of the step. The last one, if the class does not take the result of all steps."""
    message: str
    """What is wrong, with the path of the field."""

    def __str__(self) -> str:
        return self.message


@frozen
class StepsReport:
    """The result of `Collection.migrate` and `Collection.undo`."""

    steps: tuple[int, ...]
    """The numbers of the steps that ran, or would run. Empty if there was nothing to do."""
    records: int
    """The records that were looked at."""
    changed: int = 0
    """The records that were written anew. The rest had been written by newer programs already."""
    removed: int = 0
    """The records that a step has removed."""
    failures: tuple[StepFailure, ...] = ()
    """What would fail, the first 1,000 of `failed`. Not empty only after a dry run."""
    failed: int = 0
    """How many records would fail."""
    edited: tuple[int, ...] = ()
    """The steps that ran before, and whose code has changed since then."""
    seconds: float = field(default=0.0, eq=False)
    """How long it took."""
