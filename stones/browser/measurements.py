"""The sizes of a store, and how it grows, measured while pages are shown.

To measure sizes, all entries are read, which takes seconds for a million. So a thread does it, and
a page shows what was measured last. The same thread notes now and then how large the store is.
"""

from collections.abc import Sequence
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any

from attrs import frozen

from stones.errors import StoneError
from stones.repair.info import StoreInfo, inspect
from stones.stores.store import Store

INTERVAL = 5.0
"""The seconds between two samples, at first."""
MOST_SAMPLES = 240
"""With more samples, every second one is dropped, and the next ones come half as often."""
OLD = 60.0
"""Sizes are measured again after so many seconds, if somebody looks at them."""
LARGE = 5_000_000
"""A store with more entries is measured only if somebody asks for it."""
_SHARE = 20  # and not before so many times the time that it has taken


@frozen
class Sample:
    """How large the store was at one moment."""

    at: float
    """The seconds since 1970."""
    entries: int | None
    """How many entries there were. None if the engine would have to count them."""
    file_size: int | None
    """The bytes of the file. None if the engine does not tell."""
    used_size: int | None
    """The bytes of the file that were in use. None if the engine does not tell."""


@frozen
class Sizes:
    """The sizes that were measured last."""

    found: StoreInfo | None = None
    """What was found. None if nothing was measured yet."""
    age: float = 0.0
    """How many seconds ago that was."""
    took: float = 0.0
    """How many seconds it has taken."""
    is_running: bool = False
    """Whether they are being measured now."""
    is_large: bool = False
    """Whether they are measured only if somebody asks for it, because there are many entries."""
    problem: str = ""
    """Why they cannot be measured."""


class Measurements:
    """Measures an open store in a thread of its own, from the first look on, until `stopped`."""

    def __init__(self, store: Store[Any, Any], stopped: Event) -> None:
        self._store = store
        self._stopped = stopped
        self._lock = Lock()
        self._wanted = Event()
        self._thread: Thread | None = None
        self._samples: list[Sample] = []
        self._interval = INTERVAL
        self._found: StoreInfo | None = None
        self._measured_at = self._took = 0.0
        self._is_running = False
        self._problem = ""
        self._counts = store.database.engine.supports.counts

    def sizes(self, *, is_asked_for: bool = False) -> Sizes:
        """The sizes that were measured last. If they are old, they are measured again, later.

        A large store is measured only if somebody asks for it.
        """
        is_large = len(self._store) > LARGE if self._counts else False
        with self._lock:
            age = monotonic() - self._measured_at
            is_due = self._found is None or age > max(OLD, _SHARE * self._took)
            if is_due and not self._is_running and (is_asked_for or not is_large):
                self._is_running = True
                self._wanted.set()
                self._start()
            is_waiting = is_large and self._found is None and not self._is_running
            return Sizes(self._found, age, self._took, self._is_running, is_waiting, self._problem)

    def samples(self) -> Sequence[Sample]:
        """How large the store was at several moments, the earliest first, and is now."""
        now = self._sample()
        with self._lock:
            self._start()
            if not self._samples or now.at - self._samples[-1].at >= 1:
                self._note(now)
                return tuple(self._samples)
            return (*self._samples, now)

    # -- in the thread -------------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="stones-measurements", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._wanted.wait(self._interval):
                self._wanted.clear()
                self._measure()
            try:
                now = self._sample()
            except StoneError:  # the next one may succeed
                continue
            with self._lock:
                self._note(now)

    def _measure(self) -> None:
        start = monotonic()
        found, problem = None, ""
        try:
            found = inspect(self._store)
        except StoneError as error:
            problem = str(error)
        with self._lock:
            self._found, self._problem = found or self._found, problem
            self._measured_at, self._took = monotonic(), monotonic() - start
            self._is_running = False

    def _sample(self) -> Sample:
        engine = self._store.database.engine
        figures = engine.stats()
        entries = len(self._store) if self._counts else None
        file_size = figures.get("file_size", figures.get("size", figures.get("memory_size")))
        return Sample(time(), entries, file_size, figures.get("used_size"))

    def _note(self, sample: Sample) -> None:
        self._samples.append(sample)
        if len(self._samples) > MOST_SAMPLES:
            del self._samples[1::2]
            self._interval *= 2
