"""What `find()` returns: the matching records, read when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stones.errors import InvalidKeyError, NotOneError

from .jsonpath import parse_values

if TYPE_CHECKING:
    from stones.collections.collection import Collection

K = TypeVar("K")
R = TypeVar("R")

Predicate = Callable[[Mapping[str, Any]], bool]


class Query(Generic[K, R]):
    """The records of a collection that match a filter, in key order.

    Nothing is read until you iterate or ask; each time it is read anew, from a snapshot of that
    moment. It goes through the collection record by record, in constant memory.
    """

    def __init__(
        self,
        collection: "Collection[K, R]",
        *,
        predicate: Predicate | None = None,
        required_text: bytes | None = None,
        whole: Callable[[list[Any]], list[int]] | None = None,
        limit: int | None = None,
    ) -> None:
        self._collection = collection
        self._predicate = predicate
        self._required_text = required_text
        self._whole = whole
        self._limit = limit

    def __iter__(self) -> Iterator[R]:
        for stored, value in self._matches():
            yield self._collection._load(stored, value)

    def keys(self) -> Iterator[K]:
        """The keys of the matching records."""
        for stored, _ in self._matches():
            yield self._collection._key_out(stored)

    def items(self) -> Iterator[tuple[K, R]]:
        """The matching records with their keys."""
        for stored, value in self._matches():
            yield self._collection._key_out(stored), self._collection._load(stored, value)

    def values(self, path: str) -> Iterator[Any]:
        """What the JSONPath `path` finds in each matching record: `values('address.city')`.

        A record without it gives nothing, one with several (`tags[*]`) all of them.
        """
        wanted = parse_values(path)
        return (found for _, value in self._matches() for found in wanted.of(value))

    def first(self) -> R | None:
        """The first matching record, or None."""
        return next(iter(self), None)

    def one(self) -> R:
        """The only matching record. Raises NotOneError where there is none, or more than one."""
        found = list(islice(self, 2))
        if len(found) == 1:
            return found[0]
        how_many = "more than one record matches" if found else "no record matches"
        raise NotOneError(f"{self._collection.name}: {how_many}, one() wants exactly one")

    def count(self) -> int:
        """How many records match."""
        if self._predicate is None and self._whole is None:
            count = len(self._collection)
            return count if self._limit is None else min(count, self._limit)
        return sum(1 for _ in self._matches())

    def exists(self) -> bool:
        """Whether any record matches."""
        return any(True for _ in self._matches())

    def limit(self, count: int) -> "Query[K, R]":
        """The same, but no more than `count` records."""
        check_limit(count)
        return Query(
            self._collection,
            predicate=self._predicate,
            required_text=self._required_text,
            whole=self._whole,
            limit=count if self._limit is None else min(count, self._limit),
        )

    def __bool__(self) -> bool:
        return self.exists()

    def __repr__(self) -> str:
        return f"<Query of the collection {self._collection.name!r}>"

    def _matches(self) -> Iterator[tuple[bytes, Any]]:
        entries = self._collection._store._entries(self._collection._span, self._required_text)
        if self._whole is not None:
            listed = list(entries)
            places = self._whole([value for _, value in listed])
            entries = (listed[place] for place in places)
        elif self._predicate is not None:
            predicate = self._predicate
            entries = (entry for entry in entries if predicate(entry[1]))
        return entries if self._limit is None else islice(entries, self._limit)


def check_limit(limit: int | None) -> None:
    """Raise InvalidKeyError for what cannot be a number of records."""
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise InvalidKeyError(f"a limit is a number, 0 or more, not {limit!r}")
