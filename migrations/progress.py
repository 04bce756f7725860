"""The progress of a migration, told to its caller about a hundred times."""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Called with the steps that are done and the number of all steps."""


class ProgressCounter:
    """Counts the steps that are done, and calls `progress` about a hundred times.

    >>> counter = ProgressCounter(lambda done, total: print(done, "of", total), 2)
    >>> counter.add()
    1 of 2
    >>> counter.finish()
    2 of 2
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = max(total, 1)
        self._done = 0
        self._told = 0

    def add(self, count: int = 1) -> None:
        """Count `count` steps more. The number that is told never exceeds the number of all."""
        self._done += count
        if self._progress is not None and (self._done - self._told) * 100 >= self._total:
            self._told = self._done
            self._progress(min(self._done, self._total), self._total)

    def finish(self) -> None:
        """Tell that all steps are done."""
        if self._progress is not None:
            self._progress(self._total, self._total)
