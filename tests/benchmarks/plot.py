"""Draws `docs/explanation/growth.svg` from the figures beside it, which `growth.py` has measured.

python tests/benchmarks/plot.py
"""

import csv
from math import log10
from pathlib import Path

FIGURES = Path(__file__).parents[2] / "docs" / "explanation" / "growth.csv"

PANELS = [  # title, what is drawn there, and the step of the lines across
    ("one get, µs", ["get", "raw_get"], 1),
    ("one put in a transaction, µs", ["put", "raw_put"], 5),
    ("one entry of a scan, µs", ["scan", "raw_scan"], 0.5),
    ("bytes of file an entry", ["bytes", "raw_bytes", "used_bytes", "user_bytes"], 100),
]
LOOKS = [
    ("stones", "#1f6feb", ""),
    ("raw py-lmdb and msgpack", "#57606a", "5 3"),
    ("of it in use", "#1a7f37", "8 3 2 3"),
    ("key and value alone", "#bf5700", "2 3"),
]
WIDTH, HEIGHT = 300, 150
"""Of the part of a panel in which the lines are."""
LEFT, TOP = 50, 60
ACROSS, DOWN = WIDTH + 70, HEIGHT + 70
"""From one panel to the next."""

Row = dict[str, float]


def draw() -> None:
    with FIGURES.open(newline="") as file:
        rows = [{name: float(x) for name, x in row.items()} for row in csv.DictReader(file)]
    FIGURES.with_suffix(".svg").write_text(picture(rows))


def picture(rows: list[Row]) -> str:
    width, height = LEFT + 2 * ACROSS, TOP + 2 * DOWN + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' role="img" font-family="sans-serif" font-size="12" fill="#24292f">',
        "<title>How get, put, scan and the file grow with the number of entries</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (name, colour, dashes) in enumerate(LOOKS):
        x = LEFT + (0, 95, 310, 430)[number]
        parts.append(line([(x, 20), (x + 30, 20)], colour, dashes))
        parts.append(text(x + 36, 24, name))
    for number, (title, columns, step) in enumerate(PANELS):
        x, y = LEFT + number % 2 * ACROSS, TOP + number // 2 * DOWN
        parts.append(f'<g transform="translate({x} {y})">')
        parts += panel(rows, title, columns, step)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def panel(rows: list[Row], title: str, columns: list[str], step: float) -> list[str]:
    largest = max(row[column] for row in rows for column in columns)
    top = step * (largest // step + 1)
    first, last = log10(rows[0]["entries"]), log10(rows[-1]["entries"])

    def x(entries: float) -> float:
        return (log10(entries) - first) / (last - first) * WIDTH

    def y(value: float) -> float:
        return HEIGHT - value / top * HEIGHT

    parts = [text(0, -10, title, weight="bold")]
    every = max(1, round(top / step / 5))  # about five lines across, from zero
    for count in range(0, round(top / step) + 1, every):
        value = count * step
        parts.append(line([(0, y(value)), (WIDTH, y(value))], "#d8dee4"))
        parts.append(text(-6, y(value) + 4, f"{value:g}", anchor="end"))
    decades = [row["entries"] for row in rows if log10(row["entries"]).is_integer()]
    parts += [text(x(entries), HEIGHT + 18, short(entries), "middle") for entries in decades]
    for column, (_, colour, dashes) in zip(columns, LOOKS, strict=False):
        points = [(x(row["entries"]), y(row[column])) for row in rows]
        parts.append(line(points, colour, dashes, 2))
    return parts


def line(points: list[tuple[float, float]], colour: str, dashes: str = "", width: int = 1) -> str:
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
