"""The queries of a peer that only knows keys: loops over all values."""

from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any


class WithoutIndexes:
    has_indexes = False
    largest = 100_000

    def values(self) -> Iterable[dict[str, Any]]:
        raise NotImplementedError

    def in_city(self, city: str) -> Iterator[dict[str, Any]]:
        return (user for user in self.values() if user["address"]["city"] == city)

    def lowest_scores(self, count: int) -> list[dict[str, Any]]:
        return nsmallest(count, self.values(), key=lambda user: user["score"])

    def older_than(self, age: int) -> Iterator[dict[str, Any]]:
        return (user for user in self.values() if user["age"] > age)
