"""The power is cut at random instants, and the file made as a disk might then have left it.

A recording says what was written to the file, and when it was synced (see `recording`). What was
synced before the cut is on the disk. Of the rest any part may be, in any order: writes are dropped,
or torn between sectors. The store that is left must open, be consistent, and hold what was
acknowledged before the cut; with durability='lazy' what was before the last sync(), or any state
after that.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

from recording import Recording, Write, record
from workload import State, Violation, check_apart, states

LANES = 3
WRITER = Path(__file__).with_name("writer.py")
_OPTIONS = [[], ["--migrate"], ["--rebuild"], ["--migrate", "--rebuild"]]
MEMORY = Path("/dev/shm")
"""Where the files of after the cuts are put, if it is there: they need no disk."""

Survives = Callable[[Write], bool]
"""Asked for each part of an unsynced write: is it on the disk?"""


class PowerCuts:
    """Recordings of writers, and power cuts in them. Prints what it does, raises Violation.

    `making` cuts while the store is made, instead of after that.
    """

    def __init__(self, seed: int, sabotage: str | None, durability: str, *, making: bool) -> None:
        self.seed = seed
        self.making = making
        self.lazy = durability == "lazy"
        self.options = ["--durability", durability]
        if sabotage:
            self.options += ["--sabotage", sabotage]
        self.checked = 0

    def run(self, number: int, operations: int, cuts: int) -> None:
        """Record a writer in a new store, and cut the power `cuts` times."""
        seed = f"{self.seed}/{number}"
        rng = Random(seed)
        with tempfile.TemporaryDirectory(prefix="stones-cuts-") as folder:
            place = Path(folder).resolve()
            recording = self._record(place, seed, operations, *_OPTIONS[number % 4])
            shown = f"{len(recording.writes)} writes, {len(recording.syncs)} syncs"
            print(f"recording {seed}: {shown}, {recording.last} calls", flush=True)
            self._check_replay(recording, place / "store" / "data.mdb")
            lanes = [states(seed, lane, State(), operations) for lane in range(LANES)]
            with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as memory:
                for instant, image in _images(recording, rng, self._instants(recording, rng, cuts)):
                    store = Path(memory, "store")
                    store.mkdir()
                    store.joinpath("data.mdb").write_bytes(image)
                    if rng.random() < 0.5:  # the locks of before the cut
                        shutil.copy(place / "store" / "lock.mdb", store)
                    self._check(str(store), recording, instant, lanes)
                    shutil.rmtree(store)
            if self.making:
                self._check_name(recording, place / "store")

    def _record(self, place: Path, seed: str, operations: int, *options: str) -> Recording:
        command = [
            *(sys.executable, str(WRITER), str(place / "store"), "--seed", seed),
            *("--lanes", *map(str, range(LANES)), "--all-lanes", str(LANES)),
            *("--operations", str(operations), *options, *self.options),
        ]
        return record(command, place / "store" / "data.mdb", place / "trace")

    def _check_name(self, recording: Recording, store: Path) -> None:
        """A new file is sure to be found after a power cut once its directory is synced too."""
        first = next(at for at, line in recording.said if line.startswith("did"))
        for folder in (store, store.parent):
            if recording.folders.get(str(folder), first) >= first:
                raise Violation(f"the directory {folder} was not synced before the first `did`")

    def _instants(self, recording: Recording, rng: Random, cuts: int) -> list[int]:
        """When to cut: anywhere, or right after a write, a sync or an acknowledgement."""
        ready = next(at for at, line in recording.said if line == "ready")
        span = range(recording.created, ready) if self.making else range(ready, recording.last + 1)
        events = [each.end + 1 for each in (*recording.writes, *recording.syncs)]
        events += [at + 1 for at, line in recording.said if line.startswith("did")]
        near = [event for event in events if event in span]
        return sorted(rng.choice(rng.choice([span, near])) for _ in range(cuts))

    def _check_replay(self, recording: Recording, file: Path) -> None:
        image = bytearray()
        for write in recording.writes:
            _apply(image, write, 0, len(write.data))
        if bytes(image) != file.read_bytes():
            raise RuntimeError("the recording misses something that was written to the file")

    def _check(
        self, store: str, recording: Recording, instant: int, lanes: list[list[State]]
    ) -> None:
        done = recording.done(instant)
        sure = recording.synced(instant) if self.lazy else done
        possible = [lanes[lane][sure[lane] : done[lane] + 2] for lane in range(LANES)]
        try:
            check_apart(store, possible)
        except Violation as violation:
            raise Violation(
                f"a power cut at line {instant} of the trace, {done.total()} operations "
                f"acknowledged: {violation}"
            ) from None
        self.checked += 1


def _images(
    recording: Recording, rng: Random, instants: Iterable[int]
) -> Iterator[tuple[int, bytes]]:
    """What is in the file after a power cut, at each of some instants in order."""
    base = bytearray()  # all writes up to the first one that is not on the disk for certain
    settled = 0
    for instant in instants:
        while settled < len(recording.writes) and _on_disk(
            recording, recording.writes[settled], instant
        ):
            write = recording.writes[settled]
            _apply(base, write, 0, len(write.data))
            settled += 1
        survives, unit = _chance(rng)
        image = bytearray(base)
        for write in recording.writes[settled:]:
            if write.start >= instant:
                break
            if _on_disk(recording, write, instant):
                _apply(image, write, 0, len(write.data))
                continue
            for begin, end in _parts(write, unit):
                if survives(write):
                    _apply(image, write, begin, end)
        yield instant, bytes(image)


def _on_disk(recording: Recording, write: Write, instant: int) -> bool:
    if write.synced and write.end < instant:
        return True
    return any(write.end < sync.start and sync.end < instant for sync in recording.syncs)


def _chance(rng: Random) -> tuple[Survives, int]:
    """How a disk loses what was not synced, and in pieces of which size."""
    share = rng.choices([0.0, 1.0, 0.1, 0.5, 0.9], [1, 1, 2, 2, 2])[0]
    unit = rng.choice([512, 4096])
    whole: dict[int, bool] = {}  # for each write, where writes are never torn
    if rng.random() < 0.3:
        return lambda write: whole.setdefault(write.start, rng.random() < share), unit
    return lambda _: rng.random() < share, unit


def _parts(write: Write, unit: int) -> list[tuple[int, int]]:
    """The parts of a write that lie in different sectors."""
    last = write.offset + len(write.data)
    borders = [write.offset, *range((write.offset // unit + 1) * unit, last, unit), last]
    return [(begin - write.offset, end - write.offset) for begin, end in pairwise(borders)]


def _apply(image: bytearray, write: Write, begin: int, end: int) -> None:
    offset = write.offset + begin
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + end - begin] = write.data[begin:end]
