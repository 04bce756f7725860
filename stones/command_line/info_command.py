"""The command `info`: what is in a store, and how large it is."""

import json
from collections.abc import Mapping
from typing import Any

import attrs
import click

from stones.formats.messages import show_count, show_size
from stones.formats.metadata import format_name
from stones.repair.format_use import FormatUse
from stones.repair.info import IndexUse, StoreInfo, inspect

from .examples import Command
from .opening import open_store, shown
from .options import json_option, path_argument, table_option
from .output import print_lines
from .terminal_text import printable


@click.command(
    cls=Command,
    examples="""
        # formats, collections and sizes
        stones info my-db
        # the same for programs, and of a store on SQLite
        stones info sqlite:app.db --json
        # what takes the space
        stones info my-db --plot
        # the counts alone, at once: for `watch -n 5`
        stones info my-db --quick
    """,
)
@path_argument
@table_option
@click.option("--plot", is_flag=True, help="Show the sizes by collection and prefix, as bars.")
@click.option("--quick", is_flag=True, help="Show what the store knows without reading entries.")
@json_option
def info(path: str, table: bytes | None, plot: bool, quick: bool, as_json: bool) -> None:
    """Show the formats, collections and sizes of a store. This decodes no value.

    It reads all entries once, unless you ask for what is --quick. A prefix is what keys begin with,
    up to the first slash or colon.
    """
    if quick and plot:
        raise click.UsageError("--quick measures no sizes to plot: leave one of the two out")
    if quick:
        with open_store(path, None, table, readonly=True) as store:
            figures = store.stats()
        click.echo(json.dumps(figures, indent=2) if as_json else quick_text(path, figures))
        return
    found = inspect(path, table=table)
    if as_json:
        click.echo(json.dumps(attrs.asdict(found), indent=2))
    elif plot:
        from .plots import sizes_plot  # it loads rich

        print_lines(sizes_plot(found))
    else:
        click.echo(info_text(found))


def quick_text(path: str, figures: Mapping[str, Any]) -> str:
    """The figures of `store.stats()`, each in a line of its own, in the same order at each call."""
    rows = [("entries", f"{figures['entries']:,}"), ("written by", figures["serializer"])]
    size = figures.get("file_size", figures.get("size", figures.get("memory_size")))
    if size is not None:
        used = figures.get("used_size")
        in_use = "" if used is None else f", of which {show_size(used)} in use"
        rows.append(("file", f"{show_size(size)}{in_use}"))
    if "readers" in figures:
        rows.append(("readers", f"{figures['readers']:,}"))
    for kind, one, more in (
        ("collection", "record", "records"),
        ("namespace", "entry", "entries"),
    ):
        rows += [
            (kind, f"{name}: {show_count(count, one, more)}")
            for name, count in figures[f"{kind}s"].items()
        ]
    return "\n".join([shown(path), *(f"  {title:<12}{printable(text)}" for title, text in rows)])


def info_text(found: StoreInfo) -> str:
    """The facts about a store, as `stones info` prints them."""
    written = "stones 0.3 or another program, which did not note the serializer"
    if found.serializer is not None:
        written = format_name(found.serializer, found.checksums, found.compression, found.encrypted)
    rows = [
        ("entries", f"{found.entries:,}, {show_size(found.size)}"),
        ("written by", written),
    ]
    if found.file_size is not None:
        used = "" if found.used_size is None else f", of which {show_size(found.used_size)} in use"
        rows.insert(1, ("file", f"{show_size(found.file_size)}{used}"))
    if found.version != "0.3":
        rows += [("format", _format_row(use)) for use in found.formats]
    rows += [("keys", f"{rule.prefix}...: {rule.format}") for rule in found.rules]
    if found.migrating:
        rows.append(("migration", f"to {written}, unfinished: migrate again to go on"))
    for use in found.collections:
        rows.append(
            (
                "collection",
                f"{use.name}: {show_count(use.records, 'record')}, {show_size(use.size)}",
            )
        )
        rows += [("index", f"{use.name}: {_index_row(index)}") for index in use.indexes]
    for space in found.namespaces:
        entries = show_count(space.entries, "entry", "entries")
        rows.append(("namespace", f"{space.name}: {entries}, {show_size(space.size)}"))
    if found.index_entries:
        rows.append(("indexes", show_count(found.index_entries, "entry", "entries")))
    return "\n".join([found.path, *(f"  {title:<12}{text}" for title, text in rows)])


def _index_row(index: IndexUse) -> str:
    kind = ", unique" if index.unique else ""
    state = {"ready": "", "building": ", unfinished", "failed": ", failed"}[index.state]
    return f"{index.name}{kind}{state}: {show_count(index.entries, 'entry', 'entries')}"


def _format_row(use: FormatUse) -> str:
    name = use.serializer or ("damaged, empty" if use.id is None else f"not listed, {use.id}")
    name = format_name(name, use.checksums, use.compression, use.encrypted)
    return f"{name}: {show_count(use.values, 'value')}, {show_size(use.size)}{_saved(use)}"


def _saved(use: FormatUse) -> str:
    """What compression saves, and what encryption costs, where the store tells."""
    if use.plain_size in (None, 0, use.size):
        return ""
    assert use.plain_size is not None
    share = f"{use.size / use.plain_size:.0%} of {show_size(use.plain_size)}"
    dictionary = (
        f", and a dictionary of {show_size(use.dictionary_size)}" if use.dictionary_size else ""
    )
    return f", {share}{dictionary}"
