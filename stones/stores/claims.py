"""What collections claim: the collection NAME has the keys NAME/..., which only it may write.

A claim is kept in the metadata of the store, with what the collection says of itself. There may be
thousands, so nobody keeps them in memory: a claim is looked up in the transaction that it matters
to. So claiming one more changes nothing for others, and nothing has to be told to them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, ReservedKeyError
from stones.formats.metadata import CLAIMS, has_collections, next_generation

COUNTS = (b"count/", b"count0")
"""How many records collections have is in the metadata from the first to below the second key."""
COLLECTION_NAME = re.compile(r"\w[\w.-]{0,63}")
MAX_NAME_SIZE = 256
"""The longest name of a collection in bytes: 64 characters of UTF-8."""

_COUNT_DIGITS = 18
"""More records than that there cannot be, nor does len() take them."""


def check_unclaimed(txn: Transaction, key: bytes) -> None:
    """Raise ReservedKeyError for a key that only a collection may write. At most one read."""
    name, slash, _ = key.partition(b"/")
    if not slash or len(name) > MAX_NAME_SIZE:
        return
    if txn.get(Space.META, CLAIMS[0] + name) is not None:
        raise ReservedKeyError(
            f"{key!r} belongs to the collection {name.decode('utf-8', 'replace')!r}: write it "
            "through the collection, which keeps its count and indexes with the record"
        )


def read_collection(txn: Transaction, name: str) -> Mapping[str, Any] | None:
    """What the collection `name` says of itself, or None. Raises CorruptValueError. One read."""
    raw = txn.get(Space.META, claim_key(name))
    if raw is None:
        return None
    try:
        found = json.loads(raw)
        if type(found) is not dict:
            raise ValueError(f"it is a {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the collection {name!r} cannot be read: {error!r}"
        ) from error
    return found


def write_collection(txn: Transaction, name: str, description: Mapping[str, Any]) -> None:
    """Store what a collection says of itself.

    Only the first collection begins another generation: from then on everybody looks claims up.
    """
    if not has_collections(txn):
        next_generation(txn)
    txn.put(Space.META, claim_key(name), json.dumps(description).encode())


def collection_names(txn: Transaction) -> Iterator[str]:
    """The names of all collections, in order. O(collections). Raises CorruptValueError."""
    for key in txn.keys(Space.META, *CLAIMS):
        name = key.removeprefix(CLAIMS[0]).decode("utf-8", "replace")
        if not COLLECTION_NAME.fullmatch(name):  # it might control a terminal, for instance
            raise CorruptValueError(
                f"the metadata of the store cannot be read: {key!r:.80} cannot be a collection"
            )
        yield name


def read_count(txn: Transaction, key: bytes) -> int:
    """How many records a collection has, by its `count_key`. Raises CorruptValueError. One read."""
    raw = txn.get(Space.META, key)
    if raw is None:
        return 0
    if not raw.isdigit() or len(raw) > _COUNT_DIGITS:
        raise CorruptValueError(f"{_whose(key)} is {raw[:40]!r}: it is damaged")
    return int(raw)


def add_to_count(txn: Transaction, key: bytes, added: int) -> None:
    """Count records that were added to a collection, or taken out of it, by its `count_key`.

    Raises CorruptValueError where that leaves less than none: the count has been wrong before.
    """
    count = read_count(txn, key) + added
    if count < 0:
        raise CorruptValueError(
            f"{_whose(key)} is too low for the records that it has: it is damaged"
        )
    txn.put(Space.META, key, b"%d" % count)


def _whose(key: bytes) -> str:
    return f"the count of the collection {key.removeprefix(COUNTS[0]).decode()!r}"


def claim_key(name: str) -> bytes:
    """Where the metadata has what the collection `name` says of itself."""
    return CLAIMS[0] + name.encode()


def count_key(name: str) -> bytes:
    """Where the metadata has how many records the collection `name` has."""
    return COUNTS[0] + name.encode()
