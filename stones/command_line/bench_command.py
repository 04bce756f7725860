"""The command `bench`: how fast a store is on this machine."""

import sys
from collections.abc import Iterator
from typing import Any

import click

from stones.formats.messages import show_count

from .examples import Command
from .opening import open_store, shown
from .options import from_option, path_argument, trust_option
from .output import form_options, print_rows
from .progress import progress_bar
from .terminal_text import printable


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic in later versions
    """The type of an option that is a time: more than 0 seconds, and an hour at most."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= 3600:  # nan is neither
            self.fail(f"{str(value)[:40]!r} is no number of seconds from 0 to 3600", param, ctx)
        return seconds


COLUMNS = ("measure", "a second", "median", "99%", "what")


@click.command(
    cls=Command,
    examples="""
        # what this disk gives
        stones bench my-db
        # longer, for figures that vary less
        stones bench sqlite:app.db --seconds 2 --table
    """,
)
@path_argument
@click.option(
    "--seconds",
    type=Seconds(),
    metavar="NUMBER",
    default=1.0,
    help="Measure each thing for so long; 1 unless it is named.",
)
@form_options
@trust_option
@from_option
def bench(
    path: str, seconds: float, form: str | None, serialize: str | None, trust_pickle: bool
) -> None:
    """Measure how fast this store is on this machine: reads, scans, writes, and the disk.

    The store is only read. Writes go to a temporary store in the same place, on the same disk or
    server, which is removed at the end. "99%" is the time that 99 of 100 did not take.

    What is in memory is read from there. Other programs that work meanwhile make it slower.
    """
    from stones.repair.speed import measure_speed

    with (
        open_store(path, serialize, None, trust_pickle=trust_pickle, readonly=True) as store,
        progress_bar("bench") as progress,
    ):
        report = measure_speed(store, path, seconds=seconds, progress=progress)
    form = form or ("table" if sys.stdout.isatty() else "jsonl")
    if form != "table":
        print_rows(_rows(report), form=form)
    else:
        entries = show_count(report.entries, "entry", "entries")
        title = f"{shown(path)}: {entries}"
        print_rows(_rows_for_people(report), COLUMNS, form=form, title=title)
    for note in report.notes:
        click.echo(printable(note), err=True)


def _rows(report: Any) -> Iterator[dict[str, Any]]:
    for speed in report.speeds:
        yield {
            "measure": speed.name,
            "rate": speed.rate,
            "median": speed.median,
            "p99": speed.p99,
            "count": speed.count,
            "seconds": speed.seconds,
            "what": speed.what,
        }


def _rows_for_people(report: Any) -> Iterator[dict[str, Any]]:
    for speed in report.speeds:
        yield {
            "measure": speed.name,
            "a second": f"{speed.rate:,.0f}",
            "median": shown_time(speed.median),
            "99%": shown_time(speed.p99),
            "what": speed.what,
        }


def shown_time(seconds: float | None) -> str:
    """A time with three digits and its unit.

    >>> shown_time(0.0000123), shown_time(0.45), shown_time(None)
    ('12.3 µs', '450 ms', '')
    """
    if seconds is None:
        return ""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"
