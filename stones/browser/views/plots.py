"""Small plots as numbers for SVG: the Content-Security-Policy allows attributes, and no styles."""

from collections.abc import Sequence

from attrs import frozen

WIDTH, HEIGHT = 320, 72
"""The size of a plot of lines, in units of its own."""
_EDGE = 4


@frozen
class LinePlot:
    """A line through some points."""

    points: str
    """The points of the line, as the attribute `points` of a polyline has them."""
    area: str
    """The points of the area below it."""
    low: float
    """The lowest value of the scale."""
    high: float
    """The highest value of the scale."""


def line_plot(points: Sequence[tuple[float, float]]) -> LinePlot:
    """The plot of points from left to right. The scale goes a little beyond the values.

    >>> line_plot([(0, 1), (10, 1), (20, 3)]).points
    '0.0,68.0 160.0,68.0 320.0,4.0'
    """
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    across = WIDTH / ((last - first) or 1)
    up = (HEIGHT - 2 * _EDGE) / ((high - low) or 1)
    flat = (HEIGHT / 2 - _EDGE) if high == low else 0
    places = [
        (round((at - first) * across, 1), round(HEIGHT - _EDGE - flat - (value - low) * up, 1))
        for at, value in points
    ]
    if len(places) == 1:
        places.append((float(WIDTH), places[0][1]))
    line = " ".join(f"{x},{y}" for x, y in places)
    return LinePlot(line, f"0,{HEIGHT} {line} {places[-1][0]},{HEIGHT}", low, high)
