"""Reads records that have not had all steps of the program: each is upgraded as it is read.

A collection is *unsettled* for a program until all of its records have had the last step that the
program knows. Until then a record is read together with what the metadata says of its steps: the
description, the cursors, and its mark (see `record_steps`). Its dict gets the defaults that were
kept for its own step, and then has the steps above it.

`step_changes` is the writing half. `readable_records` asks here while a collection is unsettled.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from attrs import evolve

from stones.engine import Space, Transaction
from stones.errors import ConflictError
from stones.stores.database_reader import DATA
from stones.stores.spans import Span
from stones.stores.step_keys import mark_span

from .program_steps import ProgramSteps
from .record_steps import (
    StepState,
    mark_key,
    parse_mark,
    read_cursors,
    read_marks,
    state_at,
    steps_of,
)
from .stored_description import ReadDescription

_TRIES = 1000
"""How often some records are read again if others change them at the same time."""

_Read = Iterator[tuple[bytes, bytes, int]]
"""Stored keys, with the stored bytes of their records and the steps that these have had."""


class UnsettledReader:
    """Reads the records of a collection in one transaction, upgraded to the last step.

    The dicts are as the class would store them now. A record that a step removes is not there.
    """

    def __init__(
        self,
        txn: Transaction,
        program: ProgramSteps,
        describe: Callable[[], ReadDescription],
        decode: Callable[[bytes, bytes], Any],
        complete: Callable[[Any], Any],
        check_key: Callable[[bytes, Any], None],
        *,
        has_snapshot: bool,
        is_changing: bool,
        is_shown: bool,
    ) -> None:
        """`describe` reads the description in the transaction, and `decode` decodes a record.

        `complete` adds the defaults of the class to an upgraded dict. `check_key` raises an error
        if the steps have changed the key in the fields of a record. `has_snapshot` says that all
        reads of the transaction see one state, and `is_changing` that the program may write between
        two of them. `is_shown` says that the program sees the dicts before they are stored: then a
        step that gives another value each time raises MigrationError.
        """
        self._txn = txn
        self._program = program
        self._describe = describe
        self._decode = decode
        self._complete = complete
        self._check_key = check_key
        self._has_snapshot = has_snapshot
        self._is_changing = is_changing
        self._is_shown = is_shown
        self._description, self._state = self._now()

    def one(self, stored: bytes) -> Any:
        """The dict of the record with a stored key. None if it is not there."""
        return next((value for _, value in self.many((stored,))), None)

    def many(self, stored: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
        """Those of some stored keys that are there, in their order, with the dicts.

        All are read when the first is asked for.
        """
        return self._upgraded(self._consistent(stored))

    def entries(self, span: Span) -> Iterator[tuple[bytes, Any]]:
        """The stored keys and the dicts of the records in a span, in its order."""
        return self._upgraded(self._pages(span))

    def upgrade(self, stored: bytes, value: Any, step: int) -> Any:
        """The upgraded dict of a decoded one that has had `step`. None if a step removes it."""
        if type(value) is dict:
            view = self._description.views.get(step)
            viewed = value if view is None else view(value)
            if viewed is not value:
                value = deepcopy(viewed)  # a step may change it, and the defaults are shared
            if step < self._program.last:
                value = self._program.upgrade(stored, value, step, is_shown=self._is_shown)
                if value is None:
                    return None
                self._check_key(stored, value)
        return self._complete(value)

    def _upgraded(self, read: _Read) -> Iterator[tuple[bytes, Any]]:
        for stored, raw, step in read:
            value = self.upgrade(stored, self._decode(stored, raw), step)
            if value is not None:
                yield stored, value

    def _pages(self, span: Span) -> _Read:
        txn, marks = self._txn, None
        pages = txn.pages(DATA, span.start, span.stop, reverse=span.reverse)
        if self._is_changing and self._state.to is not None:
            # The pages do not show what the program writes between them. So the marks must not.
            marks = self._all_marks()
        for keys, raws in pages:
            if not self._has_snapshot:
                yield from self._consistent(keys)
            elif self._is_changing:
                steps = [self._state.of(x, (marks or {}).get(self._mark_key(x))) for x in keys]
                yield from zip(keys, raws, steps, strict=True)
            else:
                yield from zip(keys, raws, self._steps(keys), strict=True)

    def _consistent(self, keys: Sequence[bytes]) -> _Read:
        """The records with some keys, and their steps, as of one moment."""
        txn, name = self._txn, self._program.name
        if self._is_changing:
            self._description, self._state = self._now()
        if self._has_snapshot:
            yield from _present(keys, txn.get_many(DATA, keys), self._steps(keys))
            return
        # Others write between two reads. What is read before the records tells of no step that they
        # have not had, and what is read after them of each step that they have had. So if the two
        # are the same, the steps are those of the records. A mark is removed in the commit that
        # moves the cursor over it, and the cursors in the commit of the description.
        before, described = self._steps(keys), self._description.raw
        for _ in range(_TRIES):
            raws = txn.get_many(DATA, keys)
            marks = read_marks(txn, name, keys)
            cursors = read_cursors(txn, name)
            self._description = self._describe()
            self._state = evolve(self._description.steps, cursors=cursors)
            after = [self._state.of(key, mark) for key, mark in zip(keys, marks, strict=True)]
            if after == before and self._description.raw == described:
                yield from _present(keys, raws, after)
                return
            before, described = after, self._description.raw
        raise ConflictError(
            f"gave up after {_TRIES} tries: others change the records of {name!r} "
            "all the time; read fewer of them at once"
        )

    def _steps(self, keys: Sequence[bytes]) -> Sequence[int]:
        return steps_of(self._txn, self._program.name, self._state, keys)

    def _now(self) -> tuple[ReadDescription, StepState]:
        description = self._describe()
        return description, state_at(self._txn, self._program.name, description.steps)

    def _mark_key(self, stored: bytes) -> bytes:
        return mark_key(self._program.name, stored)

    def _all_marks(self) -> dict[bytes, int]:
        name = self._program.name
        found = self._txn.scan(Space.META, *mark_span(name))
        return {key: parse_mark(name, raw) for key, raw in found}


def _present(keys: Sequence[bytes], raws: Sequence[bytes | None], steps: Sequence[int]) -> _Read:
    for key, raw, step in zip(keys, raws, steps, strict=True):
        if raw is not None:
            yield key, raw, step
