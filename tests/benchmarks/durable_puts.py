"""One durable put where a sync takes 0.1 ms, whatever the disk of this machine takes.

The files are in memory, where a sync takes no time, and each put of both sides is followed by a
wait. A commit of LMDB syncs twice, the pages and then the page that makes them valid. The wait lets
the caches of the processor cool, as the wait for a disk does, so the Python around it costs more
than in a tight loop.
"""

import statistics
import tempfile
import time
from pathlib import Path

import lmdb
from ground import SERIALIZER, Ground
from measuring import ratio

from stones import LmdbStore, stone

MEMORY = Path("/dev/shm")
COMMIT = 2 * 0.0001
"""Seconds that the disk takes for a commit."""


def beside_a_fast_disk(ground: Ground) -> float:
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as path:
        env = lmdb.open(f"{path}/raw", map_size=1 << 30)
        store = stone(f"{path}/store", LmdbStore, serialize=SERIALIZER)
        wait = COMMIT - sleep_overhead()

        def raw_put() -> None:
            for key, value in ground.few:
                with env.begin(write=True) as txn:
                    txn.put(key, ground.encode(value))
                time.sleep(wait)

        def put() -> None:
            for key, value in ground.few:
                store[key] = value
                time.sleep(wait)

        with store:
            return ratio(put, raw_put, rounds=15, clock=time.perf_counter)


def sleep_overhead() -> float:
    """Seconds by which a sleep takes longer than it should."""
    return statistics.median(map(overslept, [COMMIT / 2] * 200))


def overslept(wait: float) -> float:
    start = time.perf_counter()
    time.sleep(wait)
    return time.perf_counter() - start - wait
