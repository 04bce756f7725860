"""The ledger of a store: which steps ran on its collections, when, how long, how many records.

It is in the metadata, an entry a step, as JSON:

    ledger/NAME/000004      the step 4 of the collection NAME
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from stones.collections.description import Shape
from stones.collections.ledger_entry import LedgerEntry
from stones.collections.record_steps import Step
from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, ValueTypeError
from stones.formats.messages import show_value
from stones.stores.database_reader import DatabaseReader
from stones.stores.reader import Reader

from .fingerprints import fingerprint
from .migration import Migration
from .run_figures import RunFigures

LEDGER = b"ledger/"


def ledger(store: Reader[Any, Any]) -> tuple[LedgerEntry, ...]:
    """The steps that ran on the collections of a store, by collection and number. O(steps).

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, Migration, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     mail: str
    >>> store = MemoryStore()
    >>> Collection(store, User).add(User('ada', 'ada@example.org'))
    'ada'
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     email: str
    >>> steps = [Migration(1, rename={'mail': 'email'})]
    >>> report = Collection(store, User, migrations=steps).migrate()
    >>> [(entry.collection, entry.number, entry.name) for entry in ledger(store)]
    [('User', 1, 'rename mail to email')]

    Raises ValueTypeError for what is no store, CorruptValueError for a damaged ledger.
    """
    if not isinstance(store, Reader) or not store.is_whole:
        raise ValueTypeError(f"ledger() takes an open store, not {show_value(store)}")
    return entries_of(store.database)


def entries_of(database: DatabaseReader, name: str | None = None) -> tuple[LedgerEntry, ...]:
    """The entries of a collection, or of all collections."""
    with database.reading() as txn:
        return tuple(read_entries(txn, name))


def read_entries(txn: Transaction, name: str | None = None) -> Iterator[LedgerEntry]:
    """The entries of a collection, or of all collections, as a transaction sees them."""
    start = LEDGER if name is None else ledger_span(name)[0]
    for key, raw in txn.scan(Space.META, start, start[:-1] + b"0"):
        yield _parse(key, raw)


def ledger_span(name: str) -> tuple[bytes, bytes]:
    """Where the entries of a collection are in the metadata: start and stop."""
    start = LEDGER + name.encode() + b"/"
    return start, start[:-1] + b"0"


def write_entry(txn: Transaction, entry: LedgerEntry) -> None:
    """Store an entry, in the place of an earlier one of the same step."""
    stored = {
        "name": entry.name,
        "at": entry.at.isoformat(timespec="seconds"),
        "seconds": round(entry.seconds, 3),
        "changed": entry.changed,
        "removed": entry.removed,
        "reversed": entry.reversed and entry.reversed.isoformat(timespec="seconds"),
        "fingerprint": entry.fingerprint,
        "before": entry.shapes_before,
    }
    key = ledger_span(entry.collection)[0] + b"%06d" % entry.number
    txn.put(Space.META, key, json.dumps(stored).encode())


def write_ran(
    txn: Transaction,
    collection: str,
    steps: Iterable[Step],
    figures: RunFigures,
    before: Sequence[Shape],
) -> None:
    """Note that these steps have run. `before` are the shapes of the records before the first."""
    at = datetime.now(UTC)
    shapes: list[dict[str, Any]] | None = [shape.stored() for shape in before]
    for step in steps:
        name, digits = "", ""
        if isinstance(step, Migration):
            name, digits = step.name, fingerprint(step)
        entry = LedgerEntry(
            collection, step.number, name, at, figures.seconds, figures.changed, figures.removed
        )
        write_entry(txn, evolve(entry, fingerprint=digits, shapes_before=shapes))
        shapes = None


def write_undone(txn: Transaction, collection: str, numbers: Iterable[int]) -> None:
    """Note that the steps with these numbers were undone."""
    undone, at = set(numbers), datetime.now(UTC)
    for entry in [*read_entries(txn, collection)]:
        if entry.number in undone:
            write_entry(txn, evolve(entry, reversed=at))


def saved_shapes(txn: Transaction, collection: str, number: int) -> tuple[Shape, ...] | None:
    """The shapes that the records had before a step. None if it was not the first of a run."""
    for entry in read_entries(txn, collection):
        if entry.number == number and entry.shapes_before:
            stored = entry.shapes_before
            with suppress(ValueError, TypeError, AttributeError):  # then the steps tell
                return tuple(Shape.from_stored(shape, len(stored)) for shape in stored)
    return None


def edited_steps(entries: Iterable[LedgerEntry], steps: Iterable[Step]) -> tuple[int, ...]:
    """The numbers of the steps whose code has changed since they ran."""
    ran = {entry.number: entry.fingerprint for entry in entries if entry.reversed is None}
    return tuple(
        step.number
        for step in steps
        if isinstance(step, Migration)
        and step.number in ran
        and ran[step.number] != fingerprint(step)
    )


def _parse(key: bytes, raw: bytes) -> LedgerEntry:
    """An entry as it was read. The checks are strict: an attacker may have made the file."""
    name, _, number = key.removeprefix(LEDGER).decode("utf-8", "replace").partition("/")
    try:
        if not re.fullmatch(r"\d{6,9}", number) or not name.isprintable():
            raise ValueError("it has no number of a step")
        return LedgerEntry(name, int(number), **_parts(**json.loads(raw)))
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptValueError(
            f"the entry {key[:80]!r} of the ledger is damaged: {repr(error)[:200]}"
        ) from error


def _parts(
    *,
    name: Any,
    at: Any,
    seconds: Any,
    changed: Any,
    removed: Any,
    reversed: Any,
    fingerprint: Any,
    before: Any,
) -> dict[str, Any]:
    if not all(type(text) is str and text.isprintable() for text in (name, fingerprint)):
        raise ValueError("its name or its fingerprint is no text")
    if type(seconds) not in (int, float) or not all(type(n) is int for n in (changed, removed)):
        raise ValueError("its figures are no numbers")
    if before is not None and type(before) is not list:
        raise ValueError("its shapes are no list")
    return {
        "name": name,
        "at": datetime.fromisoformat(at),
        "seconds": float(seconds),
        "changed": changed,
        "removed": removed,
        "reversed": None if reversed is None else datetime.fromisoformat(reversed),
        "fingerprint": fingerprint,
        "shapes_before": before,
    }
