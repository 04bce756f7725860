"""Sorts more entries than memory should hold, with a temporary file.

The entries of indexes are read in the order of their keys. The entries that records must have come
in the order of the records. So they are sorted, to be compared side by side.
"""

import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from heapq import merge
from io import BufferedRandom
from typing import Self

from stones.errors import StorageError

RUN = 100_000
"""So many entries are sorted in memory, and then written to the file: about 20 MB."""
RUN_BYTES = 20_000_000
"""The same for so many bytes, if whoever adds entries tells their size."""
_BLOCK = 1000
_SIZE = 8

Pair = tuple[bytes, bytes]
"""The key and the value of an entry."""


class SortedEntries(AbstractContextManager["SortedEntries"]):
    """Takes entries in any order, and gives them sorted, as often as it is asked. Equal
    ones stay.

    Up to `RUN` entries need no file. Raises StorageError where the file cannot be written.

    >>> with SortedEntries() as entries:
    ...     entries.add([(b'b', b'2'), (b'a', b'1')])
    ...     list(entries)
    [(b'a', b'1'), (b'b', b'2')]
    """

    def __init__(self) -> None:
        self._run: list[Pair] = []
        self._size = 0
        self._file: BufferedRandom | None = None
        self._runs: list[tuple[int, int]] = []

    def add(self, entries: Iterable[Pair], size: int = 0) -> None:
        """Take some entries. `size` is how many bytes they have, for those with large values."""
        self._run += entries
        self._size += size
        if len(self._run) >= RUN or self._size >= RUN_BYTES:
            self._write()

    def __iter__(self) -> Iterator[Pair]:
        self._run.sort()
        if self._file is not None:
            self._file.flush()
        return merge(*(self._read(*span) for span in self._runs), self._run)

    def _write(self) -> None:
        self._run.sort()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="stones-check-")  # noqa: SIM115  # see __exit__
            start = self._file.seek(0, os.SEEK_END)
            for first in range(0, len(self._run), _BLOCK):
                raw = marshal.dumps(self._run[first : first + _BLOCK])
                self._file.write(len(raw).to_bytes(_SIZE) + raw)
            self._runs.append((start, self._file.tell()))
        except OSError as error:
            raise StorageError(
                f"cannot sort entries in a file in {tempfile.gettempdir()!r}: "
                f"{error}; name a directory with more room in the variable TMPDIR"
            ) from error
        self._run, self._size = [], 0

    def _read(self, at: int, end: int) -> Iterator[Pair]:
        assert self._file is not None
        while at < end:  # the runs are read in turns, so each looks for its place
            self._file.seek(at)
            size = int.from_bytes(self._file.read(_SIZE))
            block = marshal.loads(self._file.read(size))  # only we can write to it
            at += _SIZE + size
            yield from block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.close()
