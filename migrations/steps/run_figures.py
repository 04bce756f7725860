"""The figures of a run of steps that is under way: they are for the ledger.

They are in the metadata, and are written with the records:

    run/NAME        JSON: the records changed and removed so far, and the seconds
"""

import json

from attrs import asdict, frozen

from stones.engine import Space, Transaction


@frozen
class RunFigures:
    """What a run has done so far, in all processes."""

    changed: int = 0
    removed: int = 0
    seconds: float = 0.0

    def plus(self, changed: int, removed: int, seconds: float) -> "RunFigures":
        """The figures after some more records."""
        return RunFigures(
            self.changed + changed, self.removed + removed, round(self.seconds + seconds, 6)
        )


def run_key(name: str) -> bytes:
    """The key in the metadata of the figures."""
    return b"run/" + name.encode()


def read_figures(txn: Transaction, name: str) -> RunFigures:
    """The figures of the run that is under way. Nothing depends on them: damaged ones are 0."""
    raw = txn.get(Space.META, run_key(name))
    try:
        found = RunFigures() if raw is None else RunFigures(**json.loads(raw))
        return found.plus(0, 0, 0)
    except (ValueError, TypeError):
        return RunFigures()


def write_figures(txn: Transaction, name: str, figures: RunFigures) -> None:
    """Store the figures of the run that is under way."""
    txn.put(Space.META, run_key(name), json.dumps(asdict(figures)).encode())


def drop_figures(txn: Transaction, name: str) -> None:
    """Remove the figures: the run has ended."""
    txn.delete(Space.META, run_key(name))
