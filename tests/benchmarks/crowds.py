"""Many at a time: threads and processes that read or write, next to raw py-lmdb doing the same.

All of a crowd are ready before the first begins, and only their loops are timed: from when the
first one starts to when the last one ends.
"""

import gc
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ground import Files, Ground
from measuring import ROUNDS

Sides = tuple[Callable[[list[bytes]], object], Callable[[list[bytes]], object]]
Span = tuple[float, float]


def share(files: Files, number: int) -> list[bytes]:
    """What the reader with this number reads: a quarter of the keys, from all over the file."""
    return files.keys[number % 4 :: 4]


def sides(files: Files) -> Sides:
    return files.raw_read, files.read


def rate(spans: Callable[[int], Iterable[Span]]) -> float:
    """How our rate compares to raw LMDB's: `spans` has side 0 or 1 run, and says when each did."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for side in (0, 1):
            starts, ends = zip(*spans(side), strict=True)
            times.append(max(ends) - min(starts))
        rounds.append(times[0] / times[1])
    return statistics.median(rounds)


def reading_threads(ground: Ground, count: int) -> float:
    def spans(side: int) -> list[Span]:
        read = sides(ground)[side]
        return in_threads(count, lambda number: read(share(ground, number)))

    return rate(spans)


def in_threads(count: int, work: Callable[[int], object]) -> list[Span]:
    ready = threading.Barrier(count)
    spans: list[Span] = []

    def run(number: int) -> None:
        ready.wait()
        start = time.perf_counter()
        work(number)
        spans.append((start, time.perf_counter()))

    gc.collect()
    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spans


def reading_processes(path: Path, count: int) -> float:
    # Fresh interpreters: what a fork inherits is another story.
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(count)
    pipes, processes = [], []
    for number in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=reader, args=[path, number, ready, theirs])
        process.start()
        pipes.append(ours)
        processes.append(process)

    def spans(side: int | None) -> list[Span]:
        for pipe in pipes:
            pipe.send(side)
        return [pipe.recv() for pipe in pipes]

    spans(0), spans(1)  # until all have started, and have what they read in their memory map
    measured = rate(spans)
    for pipe in pipes:
        pipe.send(None)
    for process in processes:
        process.join()
    return measured


def reader(path: Path, number: int, ready: Any, pipe: Connection) -> None:
    """A process that reads by the side that it is told, until it is told None."""
    files = Files(path)
    keys = share(files, number)
    while (side := pipe.recv()) is not None:
        read = sides(files)[side]
        ready.wait()
        start = time.perf_counter()  # one clock for all processes
        read(keys)
        pipe.send((start, time.perf_counter()))


def writing_threads(ground: Ground, count: int) -> None:
    def write(number: int) -> None:
        for step in range(200):
            ground.store[b"thread/%d/%d" % (number, step)] = step

    in_threads(count, write)
