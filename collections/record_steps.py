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
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Protocol

from attrs import field, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError


class Step(Protocol):
    """One numbered step of a collection: `stones.migrations` has the class that users make."""

    @property
    def number(self) -> int:
        """The steps of a collection are numbered without gaps."""

    @property
    def touched(self) -> frozenset[str] | None:
        """The names in the paths that it may change. None if it may change any."""

    @property
    def changes_keys(self) -> bool:
        """Whether it gives records other keys."""

    def apply(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The dict of a record after the step. None if the record is removed.

        It may change the dict that it gets. Raises RecordError, with the path to the field.
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
        """The newest step that any record has had."""
        return self.done if self.to is None else self.to

    def of_unmarked(self, stored: bytes) -> int:
        """The step that a record has had, by its stored key, unless it has a mark."""
        reached = [step for step, cursor in self.cursors.items() if stored <= cursor]
        return max(reached, default=self.done)


def progress_key(name: str) -> bytes:
    """The key in the metadata of how far the migrations of a collection have come."""
    return b"progress/" + name.encode()


def read_cursors(txn: Transaction, name: str) -> dict[int, bytes]:
    """The stored keys that migrations have reached, by their steps. One read."""
    raw = txn.get(Space.META, progress_key(name))
    if raw is None:
        return {}
    try:
        return {int(step): bytes.fromhex(key) for step, key in json.loads(raw).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise CorruptValueError(
            f"what the store says of the migration of {name!r} is damaged: {error!r:.100}"
        ) from error


def write_cursors(txn: Transaction, name: str, cursors: Mapping[int, bytes]) -> None:
    """Store how far the migrations have come. Without cursors, what was stored is removed."""
    if not cursors:
        txn.delete(Space.META, progress_key(name))
        return
    stored = {str(step): key.hex() for step, key in cursors.items()}
    txn.put(Space.META, progress_key(name), json.dumps(stored).encode())


def mark_span(name: str) -> tuple[bytes, bytes]:
    """Where the marks of the records of a collection are in the metadata: start and stop."""
    start = b"step/" + name.encode() + b"\0"
    return start, start[:-1] + b"\1"


def mark_key(name: str, stored: bytes) -> bytes:
    """The key in the metadata of the mark of a record.

    A digest, because the key of a record may be as long as keys can be.
    """
    return mark_span(name)[0] + blake2b(stored, digest_size=16).digest()


def parse_mark(name: str, raw: bytes) -> int:
    """The step that a mark tells. Raises CorruptValueError."""
    if not raw.isdigit() or len(raw) > 9:
        raise CorruptValueError(f"a mark of the migration of {name!r} is damaged: {raw!r:.40}")
    return int(raw)
