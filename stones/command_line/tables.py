"""Tables for people, by rich. They fit into the width of the terminal.

rich measures text as terminals draw it, wide characters too, and knows which colours a terminal
has, and that NO_COLOR asks for no colours. It is loaded only when a table is printed.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from stones.migrations.exporting.csv_rows import cell_text
from stones.stores.key_text import show_key

from .terminal_text import printable

Row = Mapping[str, Any]

CHUNK = 100
"""The widths of the columns are those that the first so many rows need."""
WIDEST, NARROWEST, GAP = 60, 6, 2
"""The widths of a column at most, and if there are many, in characters; and the space between."""


def table_text(rows: Iterable[Row], names: Sequence[str], title: str | None) -> Iterator[str]:
    """The lines of a table with the columns `names`.

    If the columns do not fit beside each other, each row is a block with a line for each name.
    """
    console = _console()
    rest = iter(rows)
    chunk = [*islice(rest, CHUNK)]
    if title is not None:
        yield from lines_of(console, Text(printable(title), style="bold"))
    if not names:
        return
    if len(names) * (NARROWEST + GAP) > console.width:
        yield from _blocks(console, chain(chunk, rest), names)
        return
    widths = _widths([*names], chunk, console.width)
    numeric = [_is_numeric(row.get(name) for row in chunk) for name in names]
    table = _table(names, widths, numeric, has_header=True)
    while True:
        for row in chunk:
            table.add_row(*(_cell(row, name) for name in names))
        yield from lines_of(console, table)
        chunk = [*islice(rest, CHUNK)]
        if not chunk:
            return
        table = _table(names, widths, numeric, has_header=False)


def facts_text(facts: Row) -> Iterator[str]:
    """A line for each fact: its name and what it is."""
    console = _console()
    width = max(map(cell_len, facts), default=0) + GAP
    for name, value in facts.items():
        yield from lines_of(console, _fact(name, _shown(value), width))


def _console() -> Console:
    plain = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not sys.stdout.isatty():
        plain.width = 10_000  # nothing is cut for a program that reads the table
    return plain


def lines_of(console: Console, what: RenderableType) -> Iterator[str]:
    """What rich draws on a console, as lines."""
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines():
        yield line.rstrip() + "\n"


def _table(
    names: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], *, has_header: bool
) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_header=has_header,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        border_style="dim",
    )
    for name, width, is_numeric in zip(names, widths, numeric, strict=True):
        table.add_column(
            Text(printable(name)),
            min_width=width,
            max_width=width,
            no_wrap=True,
            justify="right" if is_numeric else "left",
        )
    return table


def _widths(names: Sequence[str], rows: Sequence[Row], screen: int) -> list[int]:
    """The widths of the columns: as wide as needed, and less for the widest if they do not fit."""
    widest = WIDEST if screen < 10_000 else screen
    found = [
        min(
            widest,
            max(cell_len(printable(name)), 1, *(cell_len(_cell(row, name).plain) for row in rows)),
        )
        for name in names
    ]
    room = screen - GAP * (len(names) - 1)
    while sum(found) > room:
        found[found.index(max(found))] -= 1
    return found


def _is_numeric(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float}


def _cell(row: Row, name: str) -> Text:
    if name not in row:
        return Text("")
    value = row[name]
    return Text(_shown(value), style="dim" if value is None else "")


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, bytes):
        return show_key(value)
    return printable(cell_text(value))


def _blocks(console: Console, rows: Iterable[Row], names: Sequence[str]) -> Iterator[str]:
    width = max(map(cell_len, names)) + GAP
    for number, row in enumerate(rows):
        if number:
            yield "\n"
        for name in names:
            if name in row:
                yield from lines_of(console, _fact(name, _shown(row[name]), width))


def _fact(name: str, value: str, width: int) -> Text:
    name = printable(name)
    return Text.assemble((name, "bold"), " " * (width - cell_len(name)), value)
