"""The steps that a record still has to have, as one function of its stored dict.

`StepsRun` says which steps run on which collection, forwards or backwards. A `RecordChain` brings
the dicts of records that have come to the same step to the end of the run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from attrs import define, field, frozen

from stones.collections.description import Description
from stones.collections.kept_view import KeptView
from stones.collections.record_steps import Step
from stones.collections.records.conversion import Convert
from stones.collections.records.quick_check import quick_check
from stones.collections.step_shapes import step_views
from stones.collections.steps_report import StepFailure
from stones.collections.stored_records import StoredRecords
from stones.errors import MigrationError, RecordError
from stones.formats.messages import show_error, show_key, show_value
from stones.stores.database import Database

from .field_changes import NOT_OF_THE_RECORD
from .migration import Migration

Apply = Callable[[bytes, Any], dict[str, Any] | None]
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
    fits: "Fits | None" = None
    """None if no class takes the result."""
    steps: tuple[Step, ...] = field(init=False)
    apply: Apply = field(init=False, repr=False)
    """The new dict of a record, by its stored key and its dict, which may be changed.

    None if a step removes the record. Raises FailedRecordError.
    """

    @steps.default
    def _steps(self) -> tuple[Step, ...]:
        return self.run.chain(self.step)

    @apply.default
    def _apply(self) -> Apply:
        # A closure: for each record, to look up attributes would take a tenth of the time.
        view, failed, first = self.view, self.failed, self.step
        quick, fit = (None, None) if self.fits is None else self.fits.of(self.steps)
        parts = [*_parts(self.steps)]

        def apply(stored: bytes, value: Any) -> dict[str, Any] | None:
            number = first
            try:
                if type(value) is not dict:
                    raise RecordError(f"it is no dict of fields, but {show_value(value)}")
                if view is not None:
                    viewed = view(value)
                    if viewed is not value:
                        value = deepcopy(viewed)  # a step may change it, and defaults are shared
                for number, change, is_in_place in parts:  # noqa: B007  # an error names it
                    if is_in_place:
                        change(value)
                        continue
                    value = change(value)
                    if value is None:
                        return None
                fitted: dict[str, Any] | None = None if quick is None else quick(value)
                if fitted is None:
                    fitted = value if fit is None else fit(stored, value)
            except (*NOT_OF_THE_RECORD, MemoryError):
                raise
            except Exception as error:  # a step calls functions of the user
                raise failed(stored, number, error) from error
            return fitted

        return apply

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
    _fits: "Fits | None" = field(init=False)
    _description: Description | None = field(default=None, init=False)
    _views: Mapping[int, KeptView | None] = field(factory=dict, init=False)
    _chains: dict[int, RecordChain] = field(factory=dict, init=False)

    @_fits.default
    def _fits_of_run(self) -> "Fits | None":
        records = self.run.of_class
        return None if records is None else Fits(records)

    def at(self, description: Description) -> Callable[[int], RecordChain]:
        """The function that gives the chain of records that have come to a step."""
        if description != self._description:
            self._description, self._views, self._chains = description, step_views(description), {}
        return self._chain

    def _chain(self, step: int) -> RecordChain:
        chain = self._chains.get(step)
        if chain is None:
            view = self._views.get(step)
            chain = self._chains[step] = RecordChain(self.run, step, view, self._fits)
        return chain


def _reversed(step: Step) -> Step:
    back = getattr(step, "reversed", None)
    if back is None:
        raise MigrationError(f"step {step.number} cannot be undone: it has no reverse= function")
    undone: Step = back()
    return undone


def _parts(steps: Sequence[Step]) -> Iterator[tuple[int, Callable[[Any], Any], bool]]:
    """The functions of some steps, each with its number, and whether it changes the dict itself."""
    for step in steps:
        if isinstance(step, Migration) and step.change is None:
            yield from ((step.number, action, True) for action in step.actions)
        else:
            yield step.number, step.apply, False


class Fits:
    """Makes the stored dicts of one class of the results of steps."""

    def __init__(self, records: StoredRecords[Any, Any]) -> None:
        self._records = records
        self._quick = quick_check(records.type.schema)

    def of(self, steps: Sequence[Step]) -> tuple[Convert | None, Fit]:
        """Two functions for the results of these steps.

        The first one takes less time. It gives None for a result that is for the second one. It is
        None itself where the class, or the key, has to be looked at each time.
        """
        names = {*self._records.type.key_fields}
        # Fields with other names cannot be the key.
        touches_key = any(x.touched is None or x.touched & names for x in steps)
        return None if touches_key else self._quick, self._fit

    def _fit(self, stored: bytes, value: dict[str, Any]) -> dict[str, Any]:
        records, of_class = self._records, self._records.type
        try:
            record = of_class.load(value)
            new = of_class.dump(record)
        except RecordError as error:
            raise RecordError(
                f"{of_class.cls.__name__} does not take the result: {error}"
            ) from error
        if of_class.key_fields:
            key = of_class.key_of(record)
            if records.encode_key(key) != stored:
                raise RecordError(
                    f"the key has become {show_key(key)}: only a step with key= may change it"
                )
        keeps = of_class.rules.unknown == "keep"
        return of_class.schema.carried(value, new) if keeps else new
