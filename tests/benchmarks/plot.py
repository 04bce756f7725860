"""Draws the pictures of `docs/explanation` from the figures beside them, without a package.

`growth.py` has measured the figures of growth.svg, `peer_growth.py` those of peers.svg, and
`run.py` those of `ratio_plot`.

python tests/benchmarks/plot.py
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil, floor, log10
from pathlib import Path

from attrs import frozen
from ratio_plot import PICTURES, RATIOS, ratio_picture
from svg import Point, line, picture, text

DOCS = Path(__file__).parents[2] / "docs" / "explanation"
FIGURES = DOCS / "growth.csv"
PEER_FIGURES = DOCS / "peers.csv"

GROWTH_PANELS = [  # title, what is drawn there, and the step of the lines across
    ("one get, µs", ["get", "raw_get"], 1),
    ("one put in a transaction, µs", ["put", "raw_put"], 5),
    ("one entry of a scan, µs", ["scan", "raw_scan"], 0.5),
    ("bytes of file an entry", ["bytes", "raw_bytes", "used_bytes", "user_bytes"], 100),
]
GROWTH_LOOKS = [
    ("stones", "c0", ""),
    ("raw py-lmdb and msgpack", "c1", "5 3"),
    ("of it in use", "c2", "8 3 2 3"),
    ("key and value alone", "c3", "2 3"),
]
PEER_PANELS = [
    ("one get", "get"),
    ("ten records by an indexed equality", "indexed equality"),
    ("the first ten in the order of an index", "ordered page"),
    ("a filter without an index", "unindexed filter"),
]
COLOURS = ["c0", "c1", "c2", "c3", "c4", "c5"]
DASHES = ["", "6 3", "2 3"]
"""A second peer in the same colour has the second, and so on."""

WIDTH, HEIGHT = 300, 150
"""Of the part of a panel in which the lines are."""
LEFT, TOP = 56, 60
ACROSS, DOWN = WIDTH + 70, HEIGHT + 70
"""From one panel to the next."""

Figures = dict[str, str]
"""A row of a file of figures."""


@frozen
class Line:
    points: Sequence[Point]
    colour: str
    dashes: str


@frozen
class Panel:
    title: str
    lines: Sequence[Line]
    step: float
    """From one line across to the next. 0 for a logarithmic scale of microseconds."""


@frozen
class Legend:
    name: str
    colour: str
    dashes: str
    x: float
    y: float


def draw() -> None:
    """Write each picture anew."""
    for path, drawing in drawings().items():
        path.write_text(drawing)


def drawings() -> Mapping[Path, str]:
    """What each picture is, by the figures that are there."""
    pictures_of: dict[Path, Mapping[str, Callable[[Sequence[Figures]], str]]] = {
        FIGURES: {"growth": growth_picture},
        PEER_FIGURES: {"peers": peer_picture},
        RATIOS: {name: partial(ratio_picture, PICTURES[name]) for name in PICTURES},
    }
    drawn: dict[Path, str] = {}
    for figures, pictures in pictures_of.items():
        with figures.open(newline="") as file:
            rows = [*csv.DictReader(file)]
        drawn |= {DOCS / f"{name}.svg": make(rows) for name, make in pictures.items()}
    return drawn


def growth_picture(rows: Sequence[Figures]) -> str:
    panels = []
    for title, columns, step in GROWTH_PANELS:
        lines = [
            Line([(float(row["entries"]), float(row[column])) for row in rows], colour, dashes)
            for column, (_, colour, dashes) in zip(columns, GROWTH_LOOKS, strict=False)
        ]
        panels.append(Panel(title, lines, step))
    legends = [
        Legend(*look, LEFT + x, 20) for look, x in zip(GROWTH_LOOKS, (0, 95, 310, 430), strict=True)
    ]
    title = "How get, put, scan and the file grow with the number of entries"
    return panels_picture(title, panels, legends)


def peer_picture(rows: Sequence[Figures]) -> str:
    names = list(dict.fromkeys(row["peer"] for row in rows))
    looks = [
        (name, COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS)])
        for number, name in enumerate(names)
    ]
    panels = []
    for title, column in PEER_PANELS:
        lines = []
        for name, colour, dashes in looks:
            mine = [row for row in rows if row["peer"] == name]
            points = [(float(row["records"]), float(row[column])) for row in mine]
            lines.append(Line(points, colour, dashes))
        panels.append(Panel(title, lines, 0))
    legends = [
        Legend(*look, LEFT + number % 3 * 240, 20 + number // 3 * 18)
        for number, look in enumerate(looks)
    ]
    return panels_picture("How reads of records grow with their number", panels, legends)


def panels_picture(title: str, panels: Sequence[Panel], legends: Sequence[Legend]) -> str:
    below = legends[-1].y - 20
    width, height = LEFT + 2 * ACROSS, TOP + 2 * DOWN + 10 + below
    parts: list[str] = []
    for legend in legends:
        ends = [(legend.x, legend.y), (legend.x + 30, legend.y)]
        parts.append(line(ends, legend.colour, legend.dashes))
        parts.append(text(legend.x + 36, legend.y + 4, legend.name))
    for number, panel in enumerate(panels):
        x, y = LEFT + number % 2 * ACROSS, TOP + below + number // 2 * DOWN
        parts.append(f'<g transform="translate({x} {y})">')
        parts += drawn(panel)
        parts.append("</g>")
    return picture(title, width, height, parts)


def drawn(panel: Panel) -> Iterator[str]:
    entries = sorted({x for line_ in panel.lines for x, _ in line_.points})
    values = [y for line_ in panel.lines for _, y in line_.points]
    first, last = log10(entries[0]), log10(entries[-1])
    scale = even_scale(values, panel.step) if panel.step else decades(values)
    bottom, top = scale[0][0], scale[-1][0]

    def x(entries: float) -> float:
        return (log10(entries) - first) / (last - first) * WIDTH

    def y(height: float) -> float:
        return HEIGHT - (height - bottom) / (top - bottom) * HEIGHT

    yield text(0, -10, panel.title, weight="bold")
    for height, label in scale:
        yield line([(0, y(height)), (WIDTH, y(height))], "grid")
        yield text(-6, y(height) + 4, label, anchor="end")
    for count in entries:
        if log10(count).is_integer():
            yield text(x(count), HEIGHT + 18, short(count), "middle")
    for line_ in panel.lines:
        heights = [
            (x(count), y(value if panel.step else log10(value))) for count, value in line_.points
        ]
        yield line(heights, line_.colour, line_.dashes, 2)


def even_scale(values: Sequence[float], step: float) -> list[tuple[float, str]]:
    """Where lines go across, and what stands beside them: about five, from zero."""
    steps = int(max(values) // step + 1)
    every = max(1, round(steps / 5))
    # The last one is the top of the panel, even if it is closer to the one below.
    counts = sorted({*range(0, steps + 1, every), steps})
    return [(count * step, f"{count * step:g}") for count in counts]


def decades(values: Sequence[float]) -> list[tuple[float, str]]:
    """A line for each power of ten of microseconds."""
    lowest, highest = floor(log10(min(values))), ceil(log10(max(values)))
    return [(power, duration(power)) for power in range(lowest, highest + 1)]


def duration(power: int) -> str:
    """What 10 to that power of microseconds is."""
    for least, unit in ((6, "s"), (3, "ms"), (0, "µs")):
        if power >= least:
            return f"{10 ** (power - least)} {unit}"
    return f"{10.0**power:g} µs"


def short(entries: float) -> str:
    return f"{entries / 1e6:g} million" if entries >= 1e6 else f"{entries:,.0f}"


if __name__ == "__main__":
    draw()
