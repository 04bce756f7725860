"""The description of a collection and how far its records have come, as a transaction sees both."""

from attrs import evolve, frozen

from stones.collections.description import Description
from stones.collections.record_steps import StepState, read_cursors
from stones.engine import Space, Transaction
from stones.errors import MigrationError
from stones.stores.claims import claim_key, is_namespace, parse_collection

from .record_chains import StepsRun


@frozen
class Position:
    """The description of a collection, and how far its records have come."""

    raw: bytes
    description: Description
    state: StepState


def read_position(txn: Transaction, name: str) -> Position | None:
    """What a transaction sees. None without a description. Raises CorruptValueError."""
    raw = txn.get(Space.META, claim_key(name))
    if raw is None or is_namespace(raw):
        return None
    description = Description.from_stored(name, parse_collection(name, raw))
    state = description.steps
    if state.to is not None:
        state = evolve(state, cursors=read_cursors(txn, name))
    return Position(raw, description, state)


def position_of_run(txn: Transaction, run: StepsRun) -> Position | None:
    """The same for a run that has begun. None if another process has ended it.

    Raises MigrationError if another run has begun.
    """
    position = read_position(txn, run.name)
    if position is None:  # the collection was dropped or renamed
        raise MigrationError(f"the collection {run.name!r} is not there any more")
    state = position.state
    if state.to is None and state.done == run.goal:
        return None
    if (state.to, state.done) != (run.goal, run.origin):
        raise MigrationError(
            f"{run.name!r}: another program brings the records to step {state.newest}: this run, "
            f"to step {run.goal}, stops here; no record is lost"
        )
    return position
