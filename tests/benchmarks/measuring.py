"""Ratios of things that take turns, so that a noisy or slow machine matters little.

The time is processor time, unless a benchmark says otherwise: it leaves out the wait for the disk
and for other programs.
"""

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

ROUNDS = int(os.environ.get("ROUNDS", "7"))
RECORDS = int(os.environ.get("RECORDS", "100000"))
"""How many records there are to read and write."""

Run = Callable[[], Any]
Clock = Callable[[], float]

RAW = "raw py-lmdb and msgpack"


@frozen
class Benchmark:
    """One line of the output."""

    name: str
    measure: Callable[[], float]
    goal: float
    """At most that. If negative, at least that. 0 is no goal."""
    unit: str
    """What the ratio is a ratio to."""

    def measured(self) -> "Measured":
        return Measured(self, self.measure())


@frozen
class Measured:
    benchmark: Benchmark
    value: float

    def line(self) -> str:
        goal = f"  (goal {self.goal})" if self.goal else ""
        missed = "  MISSED" if self.is_missed else ""
        return f"{self.benchmark.name:50} {self.value:6.2f} {self.benchmark.unit}{goal}{missed}"

    def row(self) -> str:
        """A row of a table in Markdown."""
        name = self.benchmark.name.replace("|", "\\|")
        return f"| {name} | {self.value:.2f} | {self.goal or '-'} | {self.benchmark.unit} |"

    @property
    def goal(self) -> str:
        goal = self.benchmark.goal
        return f"{'>=' if goal < 0 else '<='} {abs(goal):g}" if goal else ""

    @property
    def is_missed(self) -> bool:
        goal = self.benchmark.goal
        return bool(goal) and (self.value < -goal if goal < 0 else self.value > goal)


@frozen
class Prepared:
    """What to measure, after something that is not measured."""

    prepare: Run
    run: Run

    def __call__(self) -> Any:
        self.prepare()
        return self.run()


def seconds(run: Run, clock: Clock = time.perf_counter) -> float:
    if isinstance(run, Prepared):
        run.prepare()
        run = run.run
    gc.collect()
    # What lives now is no garbage: it would only make each collection during the run longer.
    gc.freeze()
    start = clock()
    run()
    return clock() - start


def ratio(
    ours: Run, *floors: Run, rounds: int | None = None, clock: Clock = time.process_time
) -> float:
    """The median over `rounds` of how many times the time of the fastest floor `ours` takes.

    Each side runs once before. It returns what can be compared, such as a count, and all sides have
    to return the same.
    """
    check_same(ours, *floors)
    # Not a bare quotient of two medians: what slows the machine for a while slows both in a round.
    return statistics.median(
        seconds(ours, clock) / min(seconds(floor, clock) for floor in floors)
        for _ in range(rounds or ROUNDS)
    )


def speedup(floor: Run, ours: Run) -> float:
    """How many times as fast as `floor` `ours` is."""
    return ratio(floor, ours, rounds=min(ROUNDS, 5))


def check_same(*sides: Run) -> None:
    answers = [side() for side in sides]
    if any(answer != answers[0] for answer in answers):
        raise AssertionError(f"the sides differ: {answers}")


def count(values: Iterable[object]) -> int:
    """How many values there are. Each is let go of before the next comes."""
    counted = 0
    for _ in values:
        counted += 1
    return counted
