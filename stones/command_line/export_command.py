"""The command `export`: entries and records as JSON Lines, CSV, Arrow or Parquet."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stones.stores.spans import prefix_span

from .completion import complete_collection, complete_fields, complete_prefix
from .examples import Command
from .keys import Key
from .opening import open_store
from .options import path_argument, stones03_options, trust_option
from .progress import progress_bar
from .records import check_collection, marking_errors
from .streams import reader_may_end
from .terminal_text import EscapedOutput, printable_json, printable_lines

F = TypeVar("F", bound=Callable[..., Any])


def form_options(command: F) -> F:
    """Give a command one option for each form."""
    for form, text in [
        ("parquet", "Write Parquet. It needs pyarrow."),
        ("arrow", "Write Arrow's file format. It needs pyarrow."),
        ("csv", "Write CSV with a header."),
        ("jsonl", "Write JSON Lines, which keep all types."),
    ]:
        command = click.option(f"--{form}", "form", flag_value=form, help=text)(command)
    return command


@click.command(
    cls=Command,
    examples="""
        # all entries as JSON Lines, which keep all types
        stones export my-db > my-db.jsonl
        # a few columns of some records as CSV
        stones export my-db User --csv --filter '@.age > 30' --fields name,age
        # the records whose keys begin so
        stones export my-db Visit --prefix 'New '
        # a whole file or none: its ending tells the form
        stones export my-db User -o users.csv
    """,
)
@path_argument
@click.argument("collection", required=False, shell_complete=complete_collection)
@click.option(
    "--prefix",
    type=Key(),
    metavar="KEY",
    shell_complete=complete_prefix,
    help="Write only what has a key that begins with this.",
)
@click.option("--filter", metavar="FILTER", help="Write only what matches: '@.age > 30'.")
@click.option(
    "--fields",
    metavar="A,B",
    shell_complete=complete_fields,
    help="Write only these fields: name,address.city.",
)
@form_options
@click.option(
    "-o",
    "--output",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Write to FILE, whole or not at all. Without this, to standard output.",
)
@trust_option
@stones03_options
def export(
    path: str,
    collection: str | None,
    prefix: bytes | None,
    filter: str | None,
    fields: str | None,
    form: str | None,
    output: str | None,
    **options: Any,
) -> None:
    """Write the entries of a store, or the records of COLLECTION.

    With COLLECTION, --prefix is what the keys of the records begin with. The form is JSON Lines,
    unless an option or the ending of FILE says another one. Other programs may write to the store
    meanwhile.
    """
    from stones.migrations.exporting.exporting import export_source, form_of
    from stones.migrations.exporting.sources import collection_named, entries_of

    chosen = form_of(output, form)
    if output is None and chosen in ("arrow", "parquet") and sys.stdout.isatty():
        raise click.UsageError(f"--{chosen} is not for a terminal: name a file with -o FILE")
    names = None if fields is None else [name.strip() for name in fields.split(",")]
    with open_store(path, readonly=True, **options) as store:
        if collection is not None:
            check_collection(store, path, collection)
        database, begin = store.database, prefix or b""
        with marking_errors(filter or ""):
            if collection is None:
                source = entries_of(database, prefix_span(begin), filter)
            else:
                source = collection_named(database, collection, filter, prefix=begin)
        if output is not None:
            with progress_bar("export", "rows") as progress:
                export_source(output, source, form=chosen, fields=names, progress=progress)
            return
        with reader_may_end():
            if sys.stdout.isatty():
                escape = printable_json if chosen == "jsonl" else printable_lines
                export_source(EscapedOutput(escape), source, form=chosen, fields=names)
                return
            with progress_bar("export", "rows") as progress:
                out = sys.stdout.buffer
                export_source(out, source, form=chosen, fields=names, progress=progress)
