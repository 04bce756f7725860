"""The sizes in a store as bars, by rich: in colours on a terminal, else as text of 80 columns."""

import sys
from collections.abc import Iterator

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stones.formats.messages import show_size
from stones.repair.info import StoreInfo

from .tables import lines_of
from .terminal_text import printable

MOST = 30
"""The plot has at most so many bars; one more is for the rest."""
_WIDEST = 30


def sizes_plot(found: StoreInfo) -> Iterator[str]:
    """A line for each collection, namespace and prefix, the largest first."""
    bars = [(f"{use.name}/", use.records, use.size) for use in found.collections]
    bars += [(use.name, use.entries, use.size) for use in found.namespaces]
    bars += [(use.prefix or "other keys", use.entries, use.size) for use in found.prefixes]
    bars.sort(key=lambda bar: -bar[2])
    rest = bars[MOST:]
    if rest:
        bars[MOST:] = [(f"{len(rest)} more", sum(x[1] for x in rest), sum(x[2] for x in rest))]
    console = Console(highlight=False, markup=False, emoji=False)
    if not sys.stdout.isatty():
        console.width = 80
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, max_width=_WIDEST)
    for _ in range(2):
        table.add_column(no_wrap=True, justify="right")
    table.add_column(ratio=1)
    largest = max((size for _, _, size in bars), default=0)
    for name, entries, size in bars:
        bar = Bar(largest or 1, 0, size, color="cyan")
        table.add_row(Text(printable(name)), f"{entries:,}", show_size(size), bar)
    yield f"{printable(found.path)}: {found.entries:,} entries, {show_size(found.size)}\n"
    yield from lines_of(console, table)
