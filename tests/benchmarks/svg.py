"""The parts of a picture: lines, marks and words of SVG, whose colours follow light and dark.

A picture has its own background. So it can be read whatever is behind it.
"""

from collections.abc import Iterable, Sequence
from html import escape

Point = tuple[float, float]

LIGHT = ["#1f6feb", "#57606a", "#1a7f37", "#bf5700", "#8250df", "#cf222e"]
DARK = ["#58a6ff", "#9198a1", "#3fb950", "#f0883e", "#bc8cff", "#ff7b72"]
"""The colours of what is drawn: the class `c0` has the first one, and so on."""


def picture(title: str, width: float, height: float, parts: Iterable[str]) -> str:
    """The text of a file. `title` is read out, and shown by a browser."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"',
            ' role="img" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            f"<style>{_rules(LIGHT, '#24292f', '#d8dee4', '#ffffff')}",
            "@media (prefers-color-scheme: dark) {",
            _rules(DARK, "#e6edf3", "#30363d", "#0d1117") + "}</style>",
            f'<rect class="paper" width="{width:g}" height="{height:g}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def line(points: Sequence[Point], look: str, dashes: str = "", width: int = 1) -> str:
    """A line through points. `look` is one of the colours, or `grid`, or `ink`."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline class="{look}" points="{places}" stroke-width="{width}"{dashed}/>'


def mark(x: float, y: float, number: int) -> str:
    """A mark of the colour with this number. Each has another form, for who sees no colours."""
    look = f'class="m{number % len(LIGHT)}"'
    forms = (
        f'<circle {look} cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<rect {look} x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>',
        f'<path {look} d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
        f'<path {look} d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>',
    )
    return forms[number % len(forms)]


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    """Words at a place, which is their `start`, `middle` or `end`."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{escape(words)}</text>"


def _rules(colours: Sequence[str], ink: str, grid: str, paper: str) -> str:
    lines = "".join(f".c{n}{{stroke:{colour}}}" for n, colour in enumerate(colours))
    marks = "".join(f".m{n}{{fill:{colour}}}" for n, colour in enumerate(colours))
    return (
        f"text{{fill:{ink}}}.paper{{fill:{paper}}}polyline{{fill:none}}"
        f".grid{{stroke:{grid}}}.ink{{stroke:{ink}}}{lines}{marks}"
    )
