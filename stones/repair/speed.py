"""How fast a store is on this machine: reads of its own entries, and writes beside it.

The store itself is only read. Writes go to a scratch store in the same place, on the same disk or
server, which is removed at the end (see `scratch`). So a measurement leaves no trace in the store,
and the free space and the size of its file stay as they are.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import quantiles
from time import perf_counter
from typing import Any

from attrs import frozen

from stones.errors import StoneError
from stones.stores.reader import Reader
from stones.stores.store import Store

from .scratch import scratch_store

SAMPLE = 10_000
"""So many keys at most are read one by one, and as many entries are written."""
SAMPLE_BYTES = 32 << 20
"""So large are the written entries together, at most, as far as their keys and texts tell."""
BATCH = 1000
"""So many entries are written in one transaction, where it is about many."""
STEPS = 6
"""How many things are measured, for progress."""


@frozen
class Speed:
    """How fast one thing is. All times are in seconds."""

    name: str
    """What was done: `get`, `keys`, `items`, `put`, `put_many`, `sync`."""
    what: str
    """The same in words."""
    count: int
    """How often it was done, or how many entries it took."""
    seconds: float
    """How long all of it took."""
    median: float | None = None
    """How long one took: half of them were quicker. None if they were not timed one by one."""
    p99: float | None = None
    """How long one took at most, of 99 in 100."""

    @property
    def rate(self) -> float:
        """How many in a second."""
        return self.count / self.seconds if self.seconds else 0.0


@frozen
class SpeedReport:
    """The result of `measure_speed`."""

    entries: int
    """The entries of the store."""
    speeds: tuple[Speed, ...]
    notes: tuple[str, ...]
    """What the figures are of, and what was not measured and why."""


def measure_speed(
    store: Store[Any, Any],
    place: str,
    *,
    seconds: float = 1.0,
    progress: Callable[[int, int], object] | None = None,
) -> SpeedReport:
    """How fast the store reads, and how fast its place writes.

    `store` is open, and `place` is the path or URL that it was opened by. Each thing is done for
    `seconds`, or until all entries were read. `progress` is called with the number of things that
    were measured, and with all of them.

    What the operating system has in memory comes from there, as it does for a program. Raises
    StoreError for values that cannot be read, such as pickles that are not trusted. Where no
    scratch store can be made, the writes are left out, and a note says why.
    """
    speeds: list[Speed] = []
    notes: list[str] = []

    def add(speed: Speed | None) -> None:
        if speed is not None:
            speeds.append(speed)
        if progress is not None:
            progress(len(speeds), STEPS)

    entries = len(store)
    keys, speed = _key_scan(store, seconds)
    if speed.count < entries:
        notes.append(f"keys and reads are of the first {speed.count:,} entries")
    wanted = random.sample(keys, len(keys))
    add(_gets(store, wanted, seconds))
    add(speed)
    add(_item_scan(store, seconds))
    sample = [*_sample(store, wanted)]
    try:
        with scratch_store(store, place) as scratch:
            if scratch.is_copy:
                notes.append(f"writes are to a temporary copy of the store, {scratch.shown}")
            else:
                notes.append(
                    f"writes are to a temporary store beside it, {scratch.shown}: its own entries, "
                    "without indexes"
                )
            add(_puts(scratch.store, sample, seconds))
            add(_many_puts(scratch.store, sample, seconds))
            if scratch.folder is not None:
                add(_syncs(scratch.folder, seconds))
    except (StoneError, OSError) as error:
        notes.append(f"writes were not measured: {' '.join(str(error).split())}")
    if progress is not None:
        progress(STEPS, STEPS)
    return SpeedReport(entries, tuple(speeds), tuple(notes))


def _key_scan(store: Reader[Any, Any], seconds: float) -> tuple[list[Any], Speed]:
    """A sample of the keys, of all that could be scanned in this time."""
    sample: list[Any] = []
    count, began = 0, perf_counter()
    end = began + seconds
    for count, key in enumerate(store, 1):
        if len(sample) < SAMPLE:
            sample.append(key)
        elif (place := int(random.random() * count)) < SAMPLE:  # each key is as likely
            sample[place] = key
        if not count % 256 and perf_counter() > end:
            break
    return sample, Speed("keys", "keys, one after the other", count, perf_counter() - began)


def _item_scan(store: Reader[Any, Any], seconds: float) -> Speed | None:
    count, began = 0, perf_counter()
    end = began + seconds
    for count, _ in enumerate(store.items(), 1):
        if not count % 64 and perf_counter() > end:
            break
    what = "entries, one after the other"
    return Speed("items", what, count, perf_counter() - began) if count else None


def _gets(store: Reader[Any, Any], keys: Sequence[Any], seconds: float) -> Speed | None:
    get = store.get
    return _timed("get", "one value by its key, in any order", seconds, cycle(keys), get)


def _sample(store: Reader[Any, Any], keys: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Entries to write, in constant memory."""
    size = 0
    for start in range(0, len(keys), BATCH):
        for key, value in store.get_many(keys[start : start + BATCH]).items():
            size += len(key) + (len(value) if isinstance(value, str | bytes) else 1000)
            if size > SAMPLE_BYTES:
                return
            yield key, value


def _puts(
    store: Store[Any, Any], sample: Sequence[tuple[Any, Any]], seconds: float
) -> Speed | None:
    what = "one entry written, each in its own transaction"
    return _timed("put", what, seconds, cycle(sample), lambda entry: store.put(*entry))


def _many_puts(
    store: Store[Any, Any], sample: Sequence[tuple[Any, Any]], seconds: float
) -> Speed | None:
    rest = cycle(sample)
    count, began = 0, perf_counter()
    while sample and perf_counter() - began < seconds:
        batch = [*islice(rest, BATCH)]
        store.update(batch)
        count += len(batch)
    if not count:
        return None
    what = f"entries written, {BATCH:,} in a transaction"
    return Speed("put_many", what, count, perf_counter() - began)


def _syncs(folder: str, seconds: float) -> Speed | None:
    """What the disk needs at least: the floor of a transaction."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        page = os.urandom(4096)

        def sync(place: int) -> None:
            file.seek(place * len(page))
            file.write(page)
            os.fsync(file.fileno())

        what = "4 kB written to the disk and synced, without a store"
        return _timed("sync", what, seconds, cycle(range(256)), sync)


def _timed(
    name: str, what: str, seconds: float, arguments: Iterator[Any], act: Callable[[Any], object]
) -> Speed | None:
    """Do it again and again, and time each."""
    times: list[float] = []
    began = now = perf_counter()
    end = began + seconds
    for argument in arguments:
        before = now
        act(argument)
        now = perf_counter()
        times.append(now - before)
        if now > end:
            break
    if not times:
        return None
    cuts = quantiles(times if len(times) > 1 else times * 2, n=100)
    return Speed(name, what, len(times), now - began, cuts[49], cuts[98])
