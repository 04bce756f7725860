"""Draws the pictures of `docs/explanation` from the figures beside them, without a package.

`growth.py` has measured the figures of growth.svg, `peer_growth.py` those of peers.svg.

python tests/benchmarks/plot.py
"""

import csv
from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from pathlib import Path

from attrs import frozen

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
    ("stones", "#1f6feb", ""),
    ("raw py-lmdb and msgpack", "#57606a", "5 3"),
    ("of it in use", "#1a7f37", "8 3 2 3"),
    ("key and value alone", "#bf5700", "2 3"),
]
PEER_PANELS = [
    ("one get", "get"),
    ("ten records by an indexed equality", "indexed equality"),
    ("the first ten in the order of an index", "ordered page"),
    ("a filter without an index", "unindexed filter"),
]
COLOURS = ["#1f6feb", "#57606a", "#1a7f37", "#bf5700", "#8250df", "#cf222e"]
DASHES = ["", "6 3", "2 3"]
"""A second peer in the same colour has the second, and so on."""

WIDTH, HEIGHT = 300, 150
"""Of the part of a panel in which the lines are."""
LEFT, TOP = 56, 60
ACROSS, DOWN = WIDTH + 70, HEIGHT + 70
"""From one panel to the next."""

Point = tuple[float, float]


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
    for figures, picture_of in ((FIGURES, growth_picture), (PEER_FIGURES, peer_picture)):
        if figures.exists():
            with figures.open(newline="") as file:
                figures.with_suffix(".svg").write_text(picture_of(list(csv.DictReader(file))))


def growth_picture(rows: Sequence[dict[str, str]]) -> str:
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
    return picture(title, panels, legends)


def peer_picture(rows: Sequence[dict[str, str]]) -> str:
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
    return picture("How reads of records grow with their number", panels, legends)


def picture(title: str, panels: Sequence[Panel], legends: Sequence[Legend]) -> str:
    below = legends[-1].y - 20
    width, height = LEFT + 2 * ACROSS, TOP + 2 * DOWN + 10 + below
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' role="img" font-family="sans-serif" font-size="12" fill="#24292f">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for legend in legends:
        ends = [(legend.x, legend.y), (legend.x + 30, legend.y)]
        parts.append(line(ends, legend.colour, legend.dashes))
        parts.append(text(legend.x + 36, legend.y + 4, legend.name))
    for number, panel in enumerate(panels):
        x, y = LEFT + number % 2 * ACROSS, TOP + below + number // 2 * DOWN
        parts.append(f'<g transform="translate({x} {y})">')
        parts += drawn(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


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
        yield line([(0, y(height)), (WIDTH, y(height))], "#d8dee4")
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


def line(points: Sequence[Point], colour: str, dashes: str = "", width: int = 1) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    stroke = f'fill="none" stroke="{colour}" stroke-width="{width}"{dashed}'
    return f'<polyline points="{places}" {stroke}/>'


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{words}</text>"


def short(entries: float) -> str:
    return f"{entries / 1e6:g} million" if entries >= 1e6 else f"{entries:,.0f}"


if __name__ == "__main__":
    draw()
