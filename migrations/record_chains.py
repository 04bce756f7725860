"""The steps that a record still has to have, as one function of its stored dict.

`StepsRun` says which steps run on which collection, forwards or backwards. A `RecordChain` brings
the dicts of records that have come to the same step to the end of the run.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from attrs import define, field, frozen

from stones.collections.description import Description
from stones.collections.kept_view import KeptView
from stones.collections.record_steps import Step
from stones.collections.records.conversion import MisfitError
from stones.collections.step_shapes import step_views
from stones.collections.stored_records import StoredRecords
from stones.errors import MigrationError, RecordError
from stones.formats.messages import show_error, show_key, show_value
from stones.stores.database import Database

from .field_changes import NOT_OF_THE_RECORD
from .steps_report import StepFailure

Fit = Callable[[bytes, dict[str, Any]], dict[str, Any]]
"""The stored dict that the class makes of the result of all steps. Raises RecordError."""


class FailedRecordError(MigrationError):
    """A record that a step cannot change, or whose result the class does not take."""

    def __init__(self, failure: StepFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@frozen
class StepsRun:
    """Steps that run on all records of the collection `name`."""

    database: Database
    name: str
    steps: Sequence[Step]
    """The steps of the program, in the order of their numbers."""
    origin: int
    """The step that all records have come to before: `done` of the description."""
    goal: int
    """The step that all records come to."""
    records: StoredRecords[Any, Any] | None = None
    """The records as their class sees them. None if the class is not known."""

    @property
    def is_undo(self) -> bool:
        """Whether the steps are taken back."""
        return self.goal < self.origin

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the steps that run, in the order in which they run."""
        return tuple(step.number for step in self.chain(self.origin))

    def chain(self, step: int) -> tuple[Step, ...]:
        """The steps that a record has to have that has come to `step`.

        Raises MigrationError for a step that cannot be undone.
        """
        if self.is_undo:
            taken = [each for each in self.steps if self.goal < each.number <= step]
            return tuple(_reversed(each) for each in reversed(taken))
        return tuple(each for each in self.steps if step < each.number <= self.goal)

    @property
    def of_class(self) -> StoredRecords[Any, Any] | None:
        """The records whose class takes the result. None if no class of the program does."""
        return None if self.is_undo else self.records

    def key_of(self, stored: bytes) -> Any:
        """The key of a record as its class sees it, or as text or bytes."""
        key = stored[len(self.name.encode()) + 1 :]
        try:
            return key.decode() if self.records is None else self.records.decode_key(stored)
        except (ValueError, OverflowError):
            return key


@frozen
class RecordChain:
    """Brings records that have come to the same step to the end of a run."""

    run: StepsRun
    step: int
    """The step that the records have come to."""
    view: KeptView | None = None
    """Adds the defaults that the description keeps for such records."""
    fit: Fit | None = None
    """None if no class takes the result."""
    steps: tuple[Step, ...] = field(init=False)

    @steps.default
    def _steps(self) -> tuple[Step, ...]:
        return self.run.chain(self.step)

    def apply(self, stored: bytes, value: Any) -> dict[str, Any] | None:
        """The new dict of a record, by its stored key and its dict, which may be changed.

        None if a step removes the record. Raises FailedRecordError.
        """
        number = self.step
        try:
            if type(value) is not dict:
                raise RecordError(f"it is no dict of fields, but {show_value(value)}")
            if self.view is not None:
                viewed = self.view(value)
                if viewed is not value:
                    value = deepcopy(viewed)  # a step may change it, and the defaults are shared
            for step in self.steps:
                number = step.number
                value = step.apply(value)
                if value is None:
                    return None
            fitted: dict[str, Any] = value if self.fit is None else self.fit(stored, value)
        except NOT_OF_THE_RECORD:
            raise
        except MemoryError:
            raise
        except Exception as error:  # a step calls functions of the user
            raise self.failed(stored, number, error) from error
        return fitted

    def failed(self, stored: bytes, number: int, error: Exception) -> FailedRecordError:
        """The error for a record, with its key, the step and what is wrong."""
        text = str(error) if isinstance(error, RecordError) else show_error(error)
        where = "" if text.startswith("step ") else f"step {number}: "
        key = self.run.key_of(stored)
        message = f"{self.run.name}[{show_key(key)}]: {where}{text}"
        return FailedRecordError(StepFailure(key, number, message))


@define
class ChainsOfRun:
    """The chains of a run, by the step that records have come to, for one description."""

    run: StepsRun
    _fit: Fit | None = field(init=False)
    _description: Description | None = field(default=None, init=False)
    _views: Mapping[int, KeptView | None] = field(factory=dict, init=False)
    _chains: dict[int, RecordChain] = field(factory=dict, init=False)

    @_fit.default
    def _fit_of_run(self) -> Fit | None:
        records = self.run.of_class
        return None if records is None else _fit_of(records)

    def at(self, description: Description) -> Callable[[int], RecordChain]:
        """The function that gives the chain of records that have come to a step."""
        if description != self._description:
            self._description, self._views, self._chains = description, step_views(description), {}
        return self._chain

    def _chain(self, step: int) -> RecordChain:
        chain = self._chains.get(step)
        if chain is None:
            view = self._views.get(step)
            chain = self._chains[step] = RecordChain(self.run, step, view, self._fit)
        return chain


def _reversed(step: Step) -> Step:
    back = getattr(step, "reversed", None)
    if back is None:
        raise MigrationError(f"step {step.number} cannot be undone: it has no reverse= function")
    undone: Step = back()
    return undone


def _fit_of(records: StoredRecords[Any, Any]) -> Fit:
    of_class, schema = records.type, records.type.schema
    functions, key_of, encode = schema.functions, of_class.key_of, of_class.key_codec.encode
    keeps, has_key = of_class.rules.unknown == "keep", bool(of_class.key_fields)
    size, name = len(records.prefix), of_class.cls.__name__

    def fit(stored: bytes, value: dict[str, Any]) -> dict[str, Any]:
        try:
            record = functions.load(value)
            new: dict[str, Any] = functions.dump(record)
        except MisfitError as error:
            raise RecordError(f"{name} does not take the result: {error}") from error
        if has_key and encode(key_of(record)) != stored[size:]:
            raise RecordError(
                f"the key has become {show_key(key_of(record))}: only a step with key= may "
                "change it"
            )
        return schema.carried(value, new) if keeps else new

    return fit
