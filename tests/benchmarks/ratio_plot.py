"""The ratios that `run.py` has measured, as pictures: a row for each work, a mark for each ratio.

A ratio is to something else that does the same. Most pictures have times: at the left of 1, stones
takes less. `RATES` are the other way round.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log10
from pathlib import Path

from attrs import field, frozen
from measuring import Measured
from svg import line, mark, picture, text

RATIOS = Path(__file__).parents[2] / "docs" / "explanation" / "ratios.csv"
STEPS = [round(power * step, 2) for power in (0.01, 0.1, 1, 10, 100) for step in (1, 2, 5)]
"""Where a line may go down through a picture."""
LABELS, ACROSS, COLUMN, ROW, EDGE = 330, 300, 52, 18, 16
"""The width of the labels, of the part with the marks, of a number; the height of a row; around."""
MOST_LETTERS = 52

Figures = Mapping[str, str]
"""A row of the file: the name of a benchmark, its ratio, its goal, and what the ratio is to."""


@frozen
class Series:
    """The ratios to one thing."""

    name: str
    units: str
    """A pattern of the units of its benchmarks."""


@frozen
class Picture:
    """Which ratios a picture has."""

    title: str
    series: Sequence[Series]
    removed: str = ""
    """A pattern of what the names of benchmarks of different series differ by."""
    ends: tuple[str, str] = ("stones is faster", "stones is slower")
    """What it means to be at the left of 1, and at the right."""


PICTURES: Mapping[str, Picture] = {
    "ratios-store": Picture(
        "Reads and writes of a store, as multiples of the time of the same by hand",
        [
            Series("raw py-lmdb and msgpack", "raw py-lmdb( and msgpack)?"),
            Series("raw py-lmdb and msgpack-python", "raw py-lmdb and msgpack-python"),
            Series("store[key], or a MemoryStore", r"store\[key\]|a MemoryStore"),
        ],
    ),
    "ratios-collections": Picture(
        "Collections and whole stores, as multiples of the time of the same by other means",
        [
            Series("by hand, with raw py-lmdb and msgpack", "x the same by hand.*"),
            Series("items(), add_many, or a bare loop", "x items.*|x add_many.*|a bare loop.*"),
            Series("SQLite with the same indexes, JSON by json", "x SQLite, json.*|x SQLite's.*"),
            Series("SQLite with the same indexes, JSON by orjson", "x SQLite, orjson.*"),
        ],
        removed=", to text by (json|orjson)$",
    ),
    "ratios-filters": Picture(
        "Filters without an index, as multiples of the time of the same by other means",
        [
            Series("a scan by hand with a test in Python", "x raw scan.*"),
            Series("SQLite with JSON in text", "x SQLite, JSON in text"),
            Series("SQLite with JSONB", "x SQLite.*JSONB"),
        ],
        removed=", to (text|JSONB)$",
    ),
    "ratios-rates": Picture(
        "How many times as fast: more is better",
        [
            Series("raw py-lmdb, as many at once", "of raw py-lmdb's rate"),
            Series("one thread", "times the rate of one thread"),
            Series("jsonpath-ng, both on a list", "x as fast as jsonpath-ng, both.*"),
            Series("jsonpath-ng on a list, read from the store", "x as fast .* but read.*"),
        ],
        removed="^(predicate|find) ",
        ends=("stones is slower", "stones is faster"),
    ),
}


def write_ratios(measured: Sequence[Measured]) -> None:
    """Write what a whole run has measured to the file of which the pictures are drawn."""
    with RATIOS.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["name", "ratio", "goal", "unit"])
        for each in measured:
            table.writerow(
                [each.benchmark.name, round(each.value, 2), each.goal, each.benchmark.unit]
            )


@frozen
class Row:
    """One work. The ratios, and their goals, are in the order of the series."""

    name: str
    ratios: dict[int, float] = field(factory=dict)
    goals: dict[int, float] = field(factory=dict)


def ratio_picture(wanted: Picture, figures: Sequence[Figures]) -> str:
    """The picture of some ratios. A small line beside a mark is its goal."""
    rows = rows_of(wanted, figures)
    scale = scale_of([ratio for row in rows for ratio in row.ratios.values()])
    top = 34 + 18 * len(wanted.series) + 24
    height = top + ROW * len(rows) + 22
    width = EDGE + LABELS + ACROSS + COLUMN * len(wanted.series) + EDGE
    parts = [text(EDGE, 22, wanted.title, weight="bold")]
    for number, series in enumerate(wanted.series):
        parts.append(mark(EDGE + 5, 42 + 18 * number, number))
        parts.append(text(EDGE + 18, 46 + 18 * number, series.name))
        parts.append(mark(column_of(number) - 12, top - 14, number))
    parts += grid(scale, top, top + ROW * len(rows), wanted.ends)
    for number, row in enumerate(rows):
        parts += drawn(row, scale, top + ROW * number + ROW / 2)
    return picture(wanted.title, width, height, parts)


def rows_of(wanted: Picture, figures: Sequence[Figures]) -> list[Row]:
    """The works of a picture, in the order in which they were measured."""
    rows: dict[str, Row] = {}
    for each in figures:
        for number, series in enumerate(wanted.series):
            if re.fullmatch(series.units, each["unit"]):
                name = re.sub(wanted.removed, "", each["name"])
                row = rows.setdefault(name, Row(name))
                row.ratios[number] = float(each["ratio"])
                if each["goal"]:
                    row.goals[number] = float(each["goal"].strip("<>= "))
                break
    return [*rows.values()]


def scale_of(ratios: Sequence[float]) -> list[float]:
    """Where lines go down: all of `STEPS` around the ratios, and around 1."""
    least, most = min([*ratios, 0.9]), max([*ratios, 1.1])
    return [
        step
        for before, step, after in zip([0, *STEPS], STEPS, [*STEPS[1:], 1e9], strict=False)
        if after > least and before < most
    ]


def place(ratio: float, scale: Sequence[float]) -> float:
    first, last = log10(scale[0]), log10(scale[-1])
    return EDGE + LABELS + (log10(max(ratio, scale[0])) - first) / (last - first) * ACROSS


def column_of(number: int) -> float:
    return EDGE + LABELS + ACROSS + COLUMN * (number + 1)


def grid(scale: Sequence[float], top: float, bottom: float, ends: tuple[str, str]) -> Iterator[str]:
    for step in scale:
        x = place(step, scale)
        yield line([(x, top), (x, bottom)], "ink" if step == 1 else "grid")
        yield text(x, bottom + 16, f"{step:g}", "middle")
    before, after = place(1, scale) - 6, place(1, scale) + 6
    yield text(before, top - 8, f"← {ends[0]}", "end")
    yield text(after, top - 8, f"{ends[1]} →")


def drawn(row: Row, scale: Sequence[float], y: float) -> Iterator[str]:
    name = row.name if len(row.name) <= MOST_LETTERS else row.name[: MOST_LETTERS - 1] + "…"
    yield text(EDGE + LABELS - 10, y + 4, name, "end")
    places = [place(ratio, scale) for ratio in (*row.ratios.values(), 1)]
    for one, other in pairwise(sorted(places)):
        yield line([(one, y), (other, y)], "grid", width=2)
    for number, goal in row.goals.items():
        x = place(goal, scale)
        yield line([(x, y - 6), (x, y + 6)], f"c{number}", width=2)
    for number, ratio in row.ratios.items():
        yield mark(place(ratio, scale), y, number)
        yield text(
            column_of(number), y + 4, f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}", "end"
        )
