"""The dict face of a store, next to raw py-lmdb and the same serializer doing the same."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from crowds import reading_processes, reading_threads, writing_threads
from durable_puts import beside_a_fast_disk
from ground import Ground
from measuring import RAW, RECORDS, Benchmark, ratio

OF_ITS_RATE = "of raw py-lmdb's rate"


def reads(ground: Ground, path: Path) -> Iterator[Benchmark]:
    rows = [
        ("store[key]", ground.getitem, ground.raw_getitem, 1.2, RAW),
        ("store['key']", ground.getitem_text, ground.raw_getitem_text, 1.2, RAW),
        ("get(key)", ground.get, ground.raw_get, 1.2, RAW),
        ("key in store", ground.contains, ground.raw_contains, 1.2, "raw py-lmdb"),
        ("view[key] of a snapshot", ground.snapshot, ground.raw_snapshot, 0, RAW),
        ("items()", ground.items, ground.raw_items, 1.3, RAW),
        ("store[key] with checksums", ground.getitem_guarded, ground.raw_getitem, 0, RAW),
        ("namespace[key]", ground.getitem_namespace, ground.getitem, 1.3, "store[key]"),
        ("a hit of a Tiered", ground.getitem_tiered, ground.getitem_memory, 1.5, "a MemoryStore"),
        ("items() with checksums", ground.items_guarded, ground.raw_items, 0, RAW),
    ]
    for name, ours, floor, goal, unit in rows:
        yield Benchmark(name, partial(ratio, ours, floor), goal, unit)
    for count in (2, 4, 8):
        threads = partial(reading_threads, ground, count)
        yield Benchmark(f"{count} threads that read", threads, -0.8, OF_ITS_RATE)
    for count in (2, 4, 8):
        processes = partial(reading_processes, path, count)
        yield Benchmark(f"{count} processes that read", processes, -0.8, OF_ITS_RATE)


def writes(ground: Ground) -> Iterator[Benchmark]:
    waiting = partial(ratio, clock=perf_counter)  # for the disk
    put = partial(waiting, ground.put, ground.raw_put, rounds=15)
    yield Benchmark("one durable put", put, 1.05, RAW)
    fast = partial(beside_a_fast_disk, ground)
    yield Benchmark("one durable put, a sync takes 0.1 ms", fast, 1.1, RAW)
    delete = partial(waiting, ground.delete, ground.raw_delete)
    yield Benchmark("one durable delete, and a put", delete, 0, RAW)
    rows = [
        ("puts in a transaction", ground.put_inside, ground.raw_put_inside, 0, RAW),
        (
            "deletes in a transaction",
            ground.delete_inside,
            ground.raw_delete_inside,
            0,
            "raw py-lmdb",
        ),
        (f"update() of {RECORDS:,}", ground.update, ground.raw_update, 1.3, RAW),
    ]
    for name, ours, floor, goal, unit in rows:
        yield Benchmark(name, partial(ratio, ours, floor), goal, unit)
    one, eight = partial(writing_threads, ground, 1), partial(writing_threads, ground, 8)
    yield Benchmark(
        "8 threads of durable puts",
        lambda: 8 / waiting(eight, one, rounds=5),
        -4,
        "times the rate of one thread",
    )
