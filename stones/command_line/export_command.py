"""The command `export`: entries and records as JSON Lines, CSV, Arrow or Parquet."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import click

from stones.stores.spans import prefix_span

from .completion import complete_collection, complete_fields, complete_prefix
from .examples import Command
from .keys import Key
from .options import open_store, path_argument, stones03_options, trust_option
from .progress import progress_bar
from .streams import reader_may_end

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
    help="Write only the entries whose keys begin with this.",
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

    The form is JSON Lines, unless an option or the ending of FILE says another one. Other programs
    may write to the store meanwhile.
    """
    from stones.migrations.exporting.exporting import export_source, form_of
    from stones.migrations.exporting.sources import collection_named, entries_of

    if collection is not None and prefix is not None:
        raise click.UsageError("give COLLECTION or --prefix, not both")
    chosen = form_of(output, form)
    if output is None and chosen in ("arrow", "parquet") and sys.stdout.isatty():
        raise click.UsageError(f"--{chosen} is not for a terminal: name a file with -o FILE")
    names = None if fields is None else [name.strip() for name in fields.split(",")]
    with open_store(path, readonly=True, **options) as store:
        if collection is None:
            source = entries_of(store.database, prefix_span(prefix or b""), filter)
        else:
            source = collection_named(store.database, collection, filter)
        if output is None:
            # A bar in the middle of the rows would be of no use.
            bar = nullcontext() if sys.stdout.isatty() else progress_bar("export", "rows")
            with bar as progress, reader_may_end():
                export_source(
                    sys.stdout.buffer, source, form=chosen, fields=names, progress=progress
                )
            return
        with progress_bar("export", "rows") as progress:
            export_source(output, source, form=chosen, fields=names, progress=progress)
