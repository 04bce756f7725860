"""Claims: only the collection NAME may write the keys NAME/..., and how many records it has.

The metadata of the store holds a claim, with the description of the collection. The first record
that is written makes the claim. A store may have thousands of collections, so claims are not kept
in memory. Each write looks up the claim that concerns its key, in its own transaction. So a new
claim takes effect in every process at once.

A namespace has a claim too, whose description says that it is one, and a count of its entries.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, ReservedKeyError, UnexpectedError
from stones.formats.generation import next_generation
from stones.formats.metadata import CLAIMS, has_collections

COUNTS = (b"count/", b"count0")
"""The counts of records are in the metadata from the first to below the second key."""
COLLECTION_NAME = re.compile(r"\w[\w.-]{0,63}")
NAMESPACE = {"namespace": True}
"""The description of a namespace, in the place of that of a collection."""
NAMESPACE_CLAIM = json.dumps(NAMESPACE).encode()
"""Its stored bytes."""
MAX_NAME_SIZE = 256
"""The longest name of a collection in bytes: 64 characters of UTF-8."""


class HasSums(Protocol):
    """What sums can be read from."""

    def sum(self, key: bytes, /) -> int: ...


def check_unclaimed(txn: Transaction, key: bytes) -> None:
    """Raise ReservedKeyError for a key that only a collection may write. At most one read."""
    name, slash, _ = key.partition(b"/")
    if not slash or len(name) > MAX_NAME_SIZE:
        return
    try:
        txn.expect(Space.META, CLAIMS[0] + name, None)
    except UnexpectedError as error:
        raise _reserved(key, name, error.found) from None


def check_all_unclaimed(txn: Transaction, keys: Iterable[bytes]) -> None:
    """Raise ReservedKeyError if a collection has one of the keys. Reads all claims at once."""
    one_of_each = {
        name: key
        for key in keys
        if b"/" in key and len(name := key.partition(b"/")[0]) <= MAX_NAME_SIZE
    }
    claims = txn.get_many(Space.META, [CLAIMS[0] + name for name in one_of_each])
    for (name, key), claim in zip(one_of_each.items(), claims, strict=True):
        if claim is not None:
            raise _reserved(key, name, claim)


def _reserved(key: bytes, name: bytes, claim: bytes | None) -> ReservedKeyError:
    if claim is not None and is_namespace(claim):
        space = f"{name.decode('utf-8', 'replace')}/"
        return ReservedKeyError(
            f"{key!r} belongs to the namespace {space!r}: write it through "
            f"store.namespace({space!r}), which keeps its count with the entry"
        )
    return ReservedKeyError(
        f"{key!r} belongs to the collection {name.decode('utf-8', 'replace')!r}: write it "
        "through the collection, which keeps its count and indexes with the record"
    )


def read_collection(txn: Transaction, name: str) -> Mapping[str, Any] | None:
    """The description of the collection `name`, or None. Raises CorruptValueError. One read."""
    raw = txn.get(Space.META, claim_key(name))
    return None if raw is None else parse_collection(name, raw)


def parse_collection(name: str, raw: bytes) -> Mapping[str, Any]:
    """The description of a collection by its stored bytes. Raises CorruptValueError."""
    try:
        found = json.loads(raw)
        if type(found) is not dict:
            raise ValueError(f"it is a {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise CorruptValueError(
            f"the metadata of the collection {name!r} cannot be read: {error!r}"
        ) from error
    return found


def write_collection(txn: Transaction, name: str, description: Mapping[str, Any]) -> bytes:
    """Store the description of a collection. Returns its stored bytes.

    The first collection of a store begins another generation of the metadata. From then on every
    process looks claims up.
    """
    if not has_collections(txn):
        next_generation(txn)
    raw = json.dumps(description).encode()
    txn.put(Space.META, claim_key(name), raw)
    return raw


def collection_names(txn: Transaction) -> Iterator[str]:
    """The names of all collections, in order. O(collections). Raises CorruptValueError."""
    return (name for name, raw in _claims(txn) if not is_namespace(raw))


def namespace_names(txn: Transaction) -> Iterator[str]:
    """The names of all namespaces, without the slash, in order. As `collection_names`."""
    return (name for name, raw in _claims(txn) if is_namespace(raw))


def is_namespace(raw: bytes) -> bool:
    """Whether these stored bytes describe a namespace, and not a collection."""
    return raw.startswith(NAMESPACE_CLAIM[:-1])  # a later version may add parts


def is_collection(raw: bytes | None) -> bool:
    """Whether these stored bytes describe a collection, and not a namespace of the same name."""
    return raw is not None and not is_namespace(raw)


def _claims(txn: Transaction) -> Iterator[tuple[str, bytes]]:
    for key, raw in txn.scan(Space.META, *CLAIMS):
        name = key.removeprefix(CLAIMS[0]).decode("utf-8", "replace")
        if not COLLECTION_NAME.fullmatch(name):  # it might control a terminal, for instance
            raise CorruptValueError(
                f"the metadata of the store cannot be read: {key!r:.80} cannot be a collection"
            )
        yield name, raw


def read_count(reader: HasSums, key: bytes, *, kind: str = "collection") -> int:
    """How many records a collection has, by its `count_key`. Raises CorruptValueError. One read.

    A transaction has sums, and so has a database. `kind` is the word of the error: the count may be
    the one of a namespace.
    """
    try:
        return reader.sum(key)
    except CorruptValueError as error:
        raise _count_error(key, kind, error) from error


def add_to_count(txn: Transaction, key: bytes, added: int, *, kind: str = "collection") -> None:
    """Add to the count of a collection's records, by its `count_key`; `added` may be negative.

    Raises CorruptValueError where the count would fall below 0: it was wrong before. `kind` is as
    in `read_count`.
    """
    try:
        txn.add(key, added)
    except CorruptValueError as error:
        raise _count_error(key, kind, error) from error


def drop_counts(txn: Transaction) -> None:
    """Make the counts of all collections 0, also damaged ones."""
    for key, _ in list(txn.sums()):
        if COUNTS[0] <= key < COUNTS[1]:
            txn.drop_sum(key)
    txn.delete_range(Space.META, *COUNTS)  # the sums of most engines are there


def _count_error(key: bytes, kind: str, error: CorruptValueError) -> CorruptValueError:
    """The error about a sum, as an error that names the collection or namespace."""
    name, entries = key.removeprefix(COUNTS[0]).decode(), "records"
    if kind == "namespace":
        name, entries = f"{name}/", "entries"
    text = str(error).replace(f"the sum {key!r}", f"the count of the {kind} {name!r}")
    return CorruptValueError(text.replace("would fall below 0", f"is too low for its {entries}"))


def claim_key(name: str) -> bytes:
    """The key in the metadata of the description of the collection `name`."""
    return CLAIMS[0] + name.encode()


def count_key(name: str) -> bytes:
    """The key in the metadata of the count of records of the collection `name`."""
    return COUNTS[0] + name.encode()
