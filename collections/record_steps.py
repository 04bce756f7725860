"""How far the records of a collection have come through the steps of its migrations.

A step changes the stored dict of a record: see `stones.migrations`. The description of the
collection has the numbers of the steps (`StepState.done` and `StepState.to`). While records are
being brought to a step, two things in the metadata tell which of them have had it:

    progress/NAME       JSON: for a step, the last record that the migration has reached
    step/NAME\\0DIGEST   the step that a record has had which a program wrote before the migration
                        reached it

So a stored record has no mark of its own, and a collection that is not being migrated has neither.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from attrs import evolve, field, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError
from stones.stores.step_keys import mark_span, progress_key


class Step(Protocol):
    """One numbered step of a collection: `stones.migrations` has the class that users make."""

    @property
    def number(self) -> int:
        """The steps of a collection are numbered without gaps."""
        ...

    @property
    def touched(self) -> frozenset[str] | None:
        """The names in the paths that it may change. None if it may change any."""

    @property
    def changes_keys(self) -> bool:
        """Whether it gives records other keys."""
        ...

    def apply(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The dict of a record after the step. None if the record is removed.

        It may change the dict that it gets. Raises RecordError, with the path to the field.
        """

    def apply_to_read(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The same, for a program that shows the dict, and does not store it.

        Raises MigrationError for a value that would be another one at the next read.
        """


@frozen
class StepState:
    """How far the records of a collection have come, as one transaction sees it."""

    done: int = 0
    """Each record has had the steps up to this one, except for the records below."""
    to: int | None = None
    """Some records have had the steps up to this one. None if all have come to `done`."""
    cursors: Mapping[int, bytes] = field(factory=dict)
    """By step: the stored key up to which all records have had it."""

    @property
    def newest(self) -> int:
        """The newest step that any record has had, or is to have."""
        return self.done if self.to is None else self.to

    @property
    def is_undo(self) -> bool:
        """Whether steps are taken back now."""
        return self.to is not None and self.to < self.done

    def is_pending(self, last: int) -> bool:
        """Whether some records may lack steps up to `last`, the last one of a program."""
        return min(self.done, self.newest) < last

    def of_unmarked(self, stored: bytes) -> int:
        """The step that a record has had, by its stored key, unless it has a mark."""
        reached = [step for step, cursor in self.cursors.items() if stored <= cursor]
        return max(reached, default=self.done)

    def of(self, stored: bytes, mark: int | None) -> int:
        """The step that a record has had, by its stored key and its mark. None: it has no mark."""
        step = self.of_unmarked(stored)
        return step if mark is None else max(step, mark)

    def numbers(self) -> dict[str, int]:
        """What the description of the collection has of it, as JSON. Empty if it says nothing."""
        found = {} if not self.done and self.to is None else {"done": self.done}
        return found if self.to is None else {**found, "to": self.to}

    @classmethod
    def from_numbers(cls, stored: Any) -> "StepState":
        """The state, without cursors, that a description has. Raises ValueError."""
        if type(stored) is not dict:
            raise ValueError("the steps of its records are not a dict")
        done, to = stored.get("done", 0), stored.get("to")
        for number in (done, 0 if to is None else to):
            if type(number) is not int or not 0 <= number < 10**9:
                raise ValueError("a step of its records is no number")
        return cls(done, to)


_ADVICE = (
    "which records have had the step is not known; restore a backup, or write the records into "
    "another collection by a function that takes both shapes"
)

UNSTEPPED = StepState()
"""No record has had a step."""


def read_cursors(txn: Transaction, name: str) -> dict[int, bytes]:
    """The stored keys that migrations have reached, by their steps. One read."""
    raw = txn.get(Space.META, progress_key(name))
    return {} if raw is None else parse_cursors(name, raw)


def parse_cursors(name: str, raw: bytes) -> dict[int, bytes]:
    """The cursors by their stored bytes. Raises CorruptValueError."""
    try:
        return {int(step): bytes.fromhex(key) for step, key in json.loads(raw).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise CorruptValueError(
            f"what the store says of the migration of {name!r} is damaged: {error!r:.100}: "
            f"{_ADVICE}"
        ) from error


def write_cursors(txn: Transaction, name: str, cursors: Mapping[int, bytes]) -> None:
    """Store how far the migrations have come. Without cursors, what was stored is removed."""
    if not cursors:
        txn.delete(Space.META, progress_key(name))
        return
    stored = {str(step): key.hex() for step, key in cursors.items()}
    txn.put(Space.META, progress_key(name), json.dumps(stored).encode())


def mark_key(name: str, stored: bytes) -> bytes:
    """The key in the metadata of the mark of a record.

    A digest, because the key of a record may be as long as keys can be.
    """
    return mark_span(name)[0] + blake2b(stored, digest_size=16).digest()


def parse_mark(name: str, raw: bytes) -> int:
    """The step that a mark tells. Raises CorruptValueError."""
    if not raw.isdigit() or len(raw) > 9:
        raise CorruptValueError(
            f"a mark of the migration of {name!r} is damaged: {raw!r:.40}: {_ADVICE}"
        )
    return int(raw)


def read_marks(txn: Transaction, name: str, stored: Sequence[bytes]) -> list[int | None]:
    """The marks of some records, by their stored keys. None where there is no mark."""
    raws = txn.get_many(Space.META, [mark_key(name, key) for key in stored])
    return [None if raw is None else parse_mark(name, raw) for raw in raws]


def write_mark(txn: Transaction, name: str, stored: bytes, step: int) -> None:
    """Note that a record has had the steps up to this one."""
    txn.put(Space.META, mark_key(name, stored), b"%d" % step)


def state_at(txn: Transaction, name: str, steps: StepState) -> StepState:
    """The state with the cursors that a transaction sees. One read while a migration runs."""
    return steps if steps.to is None else evolve(steps, cursors=read_cursors(txn, name))


def steps_of(
    txn: Transaction, name: str, state: StepState, stored: Sequence[bytes]
) -> Sequence[int]:
    """The steps that some records have had, by their stored keys. One read, in one message.

    `state` has the cursors that the same transaction sees.
    """
    if state.to is None:
        return [state.done] * len(stored)
    marks = read_marks(txn, name, stored)
    return [state.of(key, mark) for key, mark in zip(stored, marks, strict=True)]
