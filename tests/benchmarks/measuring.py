"""The ratio of two things that take turns, so that a noisy or slow machine matters little."""

import gc
import statistics
import time
from collections.abc import Callable

ROUNDS = 7


def seconds(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], floor: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median over `rounds` of how many times the time of `floor` it is that `ours` takes."""
    # Not a bare quotient of two medians: what slows the machine for a while slows both in a round.
    return statistics.median(seconds(ours) / seconds(floor) for _ in range(rounds))


def speedup(floor: Callable[[], object], ours: Callable[[], object]) -> float:
    return ratio(floor, ours, 5)
