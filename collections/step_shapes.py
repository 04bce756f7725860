"""The description of a collection while its records are brought to a step of its migrations.

Meanwhile records have several shapes. `Description.shapes` has the shapes of the records that the
migration has not reached, with the defaults that were kept for them. `Description.later` has those
of records that have had a later step. Indexes see only the first: they are built again at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from stones.engine import Transaction

from .description import Description, Shape
from .kept_view import KeptView, kept_view
from .record_steps import StepState, state_at, steps_of

if TYPE_CHECKING:
    from stones.collections.records.classes import Schema

ViewsOf = Callable[[Sequence[bytes]], Sequence[KeptView | None]]
"""For the stored keys of some records: what adds the kept defaults to each of them."""


def begun(found: Description, own: Description, schema: "Schema") -> Description:
    """The description before a program writes a record while others lack steps of it.

    `own` is the description that the program would write to a collection without records.
    """
    from .shapes import merged  # only who writes needs it, and it loads how classes are converted

    last, shapes = own.steps.done, own.shapes
    if last in found.later:
        shapes = merged(evolve(found, shapes=found.later[last]), schema).shapes
    steps = StepState(found.steps.done, last)
    return evolve(found, record=own.record, steps=steps, later={**found.later, last: shapes})


def finished(found: Description, shapes: tuple[Shape, ...] | None = None) -> Description:
    """The description once all records have come to the step that they were brought to.

    `shapes` are the shapes of the records, where no class has written any that have had the step.
    """
    newest = found.steps.newest
    known = found.later.get(newest, shapes or found.shapes)
    return evolve(found, steps=StepState(newest), shapes=known, later={})


def shapes_for(found: Description, own: Description) -> tuple[Shape, ...]:
    """The shapes of upgraded records, for a program that upgrades what it reads."""
    return found.later.get(own.steps.done, own.shapes)


def step_views(found: Description) -> Mapping[int, KeptView | None]:
    """For each step that records have had, what adds the defaults that were kept for it."""
    later = {step: kept_view(evolve(found, shapes=x)) for step, x in found.later.items()}
    return {**later, found.steps.done: kept_view(found)}


def view_of(txn: Transaction, name: str, found: Description, stored: bytes) -> KeptView | None:
    """What adds the kept defaults to the record with a stored key, as a transaction sees it."""
    if found.steps.to is None:
        return kept_view(found)
    (step,) = steps_of(txn, name, state_at(txn, name, found.steps), (stored,))
    return step_views(found).get(step)


def views_at(txn: Transaction, name: str, found: Description) -> ViewsOf | None:
    """What gives `view_of` for many records of a transaction. None if no record has a view."""
    views = step_views(found)
    if not any(views.values()):
        return None
    state = state_at(txn, name, found.steps)
    return lambda stored: [views.get(step) for step in steps_of(txn, name, state, stored)]


def known_names(found: Description) -> tuple[frozenset[str], frozenset[str]]:
    """All fields that records have, or have had, and those of the dicts of classes inside."""
    every = [found.shapes, *found.later.values()]
    outside = {name for shapes in every for name in shapes[0].fields}
    inside = {name for shapes in every for shape in shapes[1:] for name in shape.fields}
    return frozenset(outside), frozenset(inside)
