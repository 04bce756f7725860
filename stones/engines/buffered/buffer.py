"""The changes of a transaction in memory: `Buffer`. `buffered` is the transaction around it."""

from collections.abc import Mapping
from typing import NamedTuple

from stones.engine import Space
from stones.engines.sorted_map import SortedMap

from .backing import Changes
from .merged_pages import GONE

ENTRY_BYTES = 200
"""What an entry costs in a buffer beside its key and its value."""
_EMPTY = SortedMap()


class Buffer(NamedTuple):
    """Changed entries and sums. A fork costs O(1); its first change costs O(sqrt n)."""

    maps: tuple[SortedMap, ...]
    """For each space the new values. The value of a deleted key is `GONE`."""
    added: dict[bytes, int]
    dropped: set[bytes]

    @classmethod
    def empty(cls) -> "Buffer":
        """A buffer without changes."""
        fork = _EMPTY.fork  # half of what a new map costs
        return cls((fork(), fork(), fork()), {}, set())

    def fork(self) -> "Buffer":
        """An independent copy."""
        maps = tuple([changed.fork() for changed in self.maps])
        return Buffer(maps, self.added.copy(), self.dropped.copy())

    def drop_sum(self, key: bytes) -> None:
        """Make a sum 0."""
        self.dropped.add(key)
        self.added.pop(key, None)

    def changes(
        self, before: "Buffer | None", expected: Mapping[tuple[Space, bytes], bytes | None]
    ) -> Changes:
        """The changes since `before`, of which this buffer is a fork; without it, all changes."""
        dropped, added = self.dropped, self.added
        if before is not None:
            dropped = dropped - before.dropped
            added = added.copy()
            for key, n in before.added.items():
                if key not in dropped:
                    added[key] = added.get(key, 0) - n
        return Changes(
            writes=tuple([self._writes(at, before) for at in range(len(self.maps))]),
            added={key: n for key, n in added.items() if n} if added else added,
            dropped=frozenset(dropped),
            expected=expected,
        )

    def _writes(self, at: int, before: "Buffer | None") -> list[tuple[bytes, bytes | None]]:
        changed = self.maps[at]
        if not changed.count:
            return []
        if before is None:
            return [(key, None if value is GONE else value) for key, value in changed.entries()]
        outer = before.maps[at]
        return [
            (key, None if value is GONE else value)
            for key, value in changed.entries()
            if outer.get(key) is not value
        ]
