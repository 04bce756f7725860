"""How a store has grown while it was served, as small plots."""

from collections.abc import Callable, Sequence

from attrs import frozen

from stones.browser.measurements import Sample
from stones.formats.messages import show_size

from .plots import LinePlot, line_plot
from .texts import clock_text


@frozen
class GrowthPlot:
    """One figure of the store over time."""

    name: str
    """What is plotted: 'Entries'."""
    plot: LinePlot
    first: str
    """The first value, for people."""
    last: str
    """The last value."""
    start: str
    """The time of day of the first value, in UTC."""
    end: str
    """The time of day of the last one."""

    @property
    def summary(self) -> str:
        """The plot in words, for those who do not see it."""
        return f"{self.name}: {self.first} at {self.start}, {self.last} at {self.end} (UTC)"


def growth_plots(samples: Sequence[Sample]) -> tuple[GrowthPlot, ...]:
    """The plots of what the engine tells. None with less than two samples.

    >>> plots = growth_plots([Sample(0, 1, 4096, None), Sample(60, 5, 8192, None)])
    >>> [plot.summary for plot in plots][0]
    'Entries: 1 at 00:00:00, 5 at 00:01:00 (UTC)'
    """
    figures: list[tuple[str, Callable[[Sample], int | None], Callable[[int], str]]] = [
        ("Entries", lambda sample: sample.entries, "{:,}".format),
        ("Size", lambda sample: sample.file_size, show_size),
        ("In use", lambda sample: sample.used_size, show_size),
    ]
    found = []
    for name, figure, text in figures:
        values = [(sample.at, each) for sample in samples if (each := figure(sample)) is not None]
        if len(values) < 2:
            continue
        (start, first), (end, last) = values[0], values[-1]
        ends = clock_text(start), clock_text(end)
        found.append(GrowthPlot(name, line_plot(values), text(first), text(last), *ends))
    return tuple(found)
