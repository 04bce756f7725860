"""The steps of a collection that one program knows: the argument `migrations=`.

`record_steps` has what the store knows of them. `unsettled_records` reads records that lack some of
the steps, and `step_changes` writes beside them.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from stones.errors import MigrationError, RecordError
from stones.formats.messages import show, show_error, show_value

from .record_steps import Step, StepState


class ProgramSteps:
    """The steps of the collection `name` that a program knows, in the order of their numbers.

    Their numbers are without gaps and without repeats. They may begin above 1. Threads may share
    it. Raises MigrationError for other numbers, and for what is no step.

    `StoredRecords.program` of a collection is one. It tells the layer above what to run:

    >>> from stones import Migration
    >>> program = ProgramSteps('User', [Migration(2, drop=['old']), Migration(1, add={'age': 0})])
    >>> program.first, program.last, [step.number for step in program.after(1)]
    (1, 2, [2])
    >>> program.upgrade(b'User/ada', {'name': 'ada', 'old': 1}, 0)
    {'name': 'ada', 'age': 0}
    """

    def __init__(
        self, name: str, steps: Iterable[Step] = (), show_key: Callable[[bytes], str] = show
    ) -> None:
        """`show_key` shows a key, without the prefix of the collection, in messages."""
        self.name = name
        self._show_key = show_key
        self.steps: Sequence[Step] = _checked(name, steps)
        self.first = self.steps[0].number if self.steps else 1
        """The number of the first step. 1 without steps."""
        self.last = self.steps[-1].number if self.steps else 0
        """The number of the last step. 0 without steps."""

    def after(self, step: int) -> Sequence[Step]:
        """The steps that a record still has to have that has had the steps up to this one."""
        return self.steps[max(step + 1 - self.first, 0) :]

    def pending(self, state: StepState) -> Sequence[Step]:
        """The steps that some records may not have had."""
        return self.after(min(state.done, state.newest))

    def touched(self, state: StepState) -> frozenset[str] | None:
        """The names in the paths that the pending steps may change. None if they may be any."""
        names: frozenset[str] = frozenset()
        for step in self.pending(state):
            if step.touched is None:
                return None
            names |= step.touched
        return names

    def changes_keys(self, state: StepState) -> Step | None:
        """The first pending step that gives records other keys, or None."""
        return next((step for step in self.pending(state) if step.changes_keys), None)

    def upgrade(self, stored: bytes, record: Any, step: int, *, is_shown: bool = False) -> Any:
        """The dict of a record after all steps of the program. None if a step removes the record.

        `record` is its dict, which has had the steps up to `step`, and has the kept defaults of
        that step. It may be changed. `stored` is its stored key, for messages. What is no dict is
        given back as it is.

        Raises RecordError, with the record, the step and the path to the field. If the dict
        `is_shown`, and not stored, it raises MigrationError for a step that gives another value
        each time.
        """
        for each in self.after(step):
            if type(record) is not dict:
                return record
            try:
                record = (each.apply_to_read if is_shown else each.apply)(record)
            except MemoryError:
                raise
            except MigrationError as error:
                raise MigrationError(f"{self.shown(stored)}: {error}") from None
            except Exception as error:  # a step calls functions of the user
                text = str(error) if isinstance(error, RecordError) else show_error(error)
                raise RecordError(f"{self.shown(stored)}: {_step_text(each, text)}") from error
            if record is not None and type(record) is not dict:
                raise RecordError(
                    f"{self.shown(stored)}: step {each.number} gives {show_value(record)}, and "
                    "not a dict of fields, or None to remove the record"
                )
        return record

    def check_known(self, state: StepState) -> None:
        """Raise MigrationError if records may need steps that are not in the list any more."""
        oldest = min(state.done, state.newest)
        if self.steps and oldest < self.first - 1:
            lacking = _numbers(oldest + 1, self.first - 1)
            raise MigrationError(
                f"the records of {self.name!r} have had the steps up to {oldest}, and migrations= "
                f"begins with step {self.first}: {lacking} missing; put them back into the list, "
                "and call migrate()"
            )

    def check_writable(self, state: StepState) -> None:
        """Raise MigrationError if a program with these steps must not write records."""
        self.check_known(state)
        if state.is_undo:
            raise MigrationError(
                f"{self.name!r} cannot be written while its steps above {state.to} are undone: "
                "write when undo() has ended"
            )
        if state.newest > self.last:
            known = f"the steps up to {self.last}" if self.steps else "no steps"
            raise MigrationError(
                f"records of {self.name!r} have had the steps up to {state.newest}, and this "
                f"program knows {known}: it can only read them; deploy the newer program, or give "
                "its steps in migrations="
            )

    def check_key_type(self, state: StepState, found: str, own: str) -> None:
        """Raise MigrationError if a step that the program does not know has changed the keys.

        `found` is the type of the keys in the store, and `own` of those that the program knows.
        """
        if found != own and state.newest > self.last:
            raise MigrationError(
                f"a step up to {state.newest} has changed the keys of {self.name!r}, which are of "
                f"type {found:.80} now, and not {own}: deploy the newer program"
            )

    def check_keys(self, state: StepState) -> None:
        """Raise MigrationError if a pending step gives the records other keys."""
        step = self.changes_keys(state)
        if step is not None:
            raise MigrationError(
                f"step {step.number} of {self.name!r} changes the keys of the records: call "
                "migrate() before you read or write them"
            )

    def shown(self, stored: bytes) -> str:
        """A record in messages, by its stored key: `User['ada']`."""
        return f"{self.name}[{self._show_key(stored[len(self.name.encode()) + 1 :])}]"


def _checked(name: str, steps: Iterable[Step]) -> tuple[Step, ...]:
    try:
        found = [*steps]
        numbers = [step.number for step in found]
        fit = all(callable(step.apply) for step in found)
    except (AttributeError, TypeError) as error:
        raise _no_steps(name, steps) from error
    if not fit:
        raise _no_steps(name, steps)
    for number in numbers:
        if type(number) is not int or not 0 < number < 10**9:
            raise MigrationError(
                f"{name}: a step has the number {show(number)}: steps are numbered from 1 on"
            )
    ordered = sorted(found, key=lambda step: step.number)
    for before, after in pairwise(ordered):
        if before.number == after.number:
            raise MigrationError(
                f"{name}: two steps have the number {after.number}: give each step its own number"
            )
        if before.number + 1 < after.number:
            lacking = _numbers(before.number + 1, after.number - 1)
            raise MigrationError(
                f"{name}: {lacking} missing in migrations=: number the steps without gaps"
            )
    return tuple(ordered)


def _no_steps(name: str, steps: object) -> MigrationError:
    return MigrationError(
        f"{name}: migrations= takes a list of Migration(...), not {show_value(steps)}"
    )


def _step_text(step: Step, text: str) -> str:
    return text if text.startswith("step ") else f"step {step.number}: {text}"


def _numbers(first: int, last: int) -> str:
    return f"step {first} is" if first == last else f"the steps {first} to {last} are"
