"""Where the metadata keeps how far the records of collections have come through migrations.

    progress/NAME       JSON: for a step, the last record that the migration has reached
    step/NAME\\0DIGEST   the step that a record has had which a program wrote before the migration
                        reached it

`stones.collections.record_steps` says what they mean. The store removes them with the records, and
copies them with the records.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stones.engine import Space, Transaction
from stones.errors import CollectionError

PROGRESS = (b"progress/", b"progress0")
"""The cursors of migrations have metadata keys from the first to below the second."""
MARKS = (b"step/", b"step0")
"""The same of the marks of single records."""


def progress_key(name: str) -> bytes:
    """The key in the metadata of how far the migrations of a collection have come."""
    return PROGRESS[0] + name.encode()


def mark_span(name: str) -> tuple[bytes, bytes]:
    """Where the marks of the records of a collection are in the metadata: start and stop."""
    start = MARKS[0] + name.encode() + b"\0"
    return start, start[:-1] + b"\1"


def collection_of(key: bytes) -> bytes | None:
    """The name of the collection whose cursors or mark a key in the metadata is of, or None.

    >>> collection_of(b'progress/User'), collection_of(b'step/User\\0digest')
    (b'User', b'User')
    """
    if key.startswith(PROGRESS[0]):
        return key.removeprefix(PROGRESS[0])
    if key.startswith(MARKS[0]):
        return key.removeprefix(MARKS[0]).partition(b"\0")[0]
    return None


def drop_steps(txn: Transaction, name: str) -> None:
    """Remove the cursors and the marks of a collection."""
    txn.delete(Space.META, progress_key(name))
    txn.delete_range(Space.META, *mark_span(name))


def drop_all_steps(txn: Transaction) -> bool:
    """Remove the cursors and the marks of all collections. Were there any?"""
    spans = (PROGRESS, MARKS)
    found = any(next(txn.keys(Space.META, *span), None) is not None for span in spans)
    if found:
        for span in spans:
            txn.delete_range(Space.META, *span)
    return found


def step_entries(txn: Transaction, name: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the metadata with the cursors and the marks of a collection."""
    key = progress_key(name)
    cursors = txn.get(Space.META, key)
    if cursors is not None:
        yield key, cursors
    yield from txn.scan(Space.META, *mark_span(name))


def check_same_steps(
    name: str, target: str, present: Mapping[str, Any], added: Mapping[str, Any]
) -> None:
    """Raise CollectionError if records of two stores have not had the same steps.

    `present` and `added` are the descriptions of the collection, in the store `target` and in the
    store that is copied.
    """
    texts = [_steps_text(description.get("steps", {})) for description in (present, added)]
    if texts[0] != texts[1] or "are brought" in texts[0]:
        raise CollectionError(
            f"the records of the collection {name!r} {texts[0]} in {target!r}, and {texts[1]} in "
            "the store that is copied: nothing was written; call migrate() of both, to the same "
            "step"
        )


def _steps_text(steps: Any) -> str:
    done, to = (steps.get("done", 0), steps.get("to")) if isinstance(steps, dict) else (steps, None)
    text = f"have had the steps up to {done!s:.20}"
    return text if to is None else f"{text}, and are brought to {to!s:.20}"
