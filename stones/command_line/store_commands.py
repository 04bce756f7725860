"""The commands on a store as a whole: `migrate`, `info`, `check`, `salvage`, `backup`."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import click

from stones.engines.lmdb.engine import LmdbEngine
from stones.formats.metadata import format_name
from stones.repair.info import FormatUse, StoreInfo, inspect
from stones.stores.backup import write_backup

from .options import (
    open_store,
    opening,
    path_argument,
    serializers,
    show_key,
    table_option,
    trust_option,
)

FAILED, INTERRUPTED = 1, 130


@click.command()
@path_argument
@click.option("--to", type=serializers, help="The serializer to take.")
@click.option("--checksums/--no-checksums", default=None, help="Whether each value is to have one.")
@trust_option
@opening
def migrate(path: str, to: str | None, checksums: bool | None, **options: Any) -> None:
    """Re-encode all values, while others go on: --to another serializer, with checksums or without.

    Interrupt it as you like: the store at PATH stays valid, and running it again goes on.
    """
    from stones.migrations.reencode import migrate

    if to is None and checksums is None:
        raise click.UsageError("say what to change: --to NAME, --checksums or --no-checksums")
    try:
        with open_store(path, **options) as store, bar(to or "checksums") as progress:
            done = migrate(store, to, checksums=checksums, progress=progress)
            figures = store.stats()
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: the store is valid, whatever has been re-encoded; run this again to go on"
        ) from None
    written = format_name(figures["serializer"], figures["checksums"])
    click.echo(f"{done.values:,} of {done.total:,} values re-encoded: all are {written} now")


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar where somebody looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    drawn = click.progressbar(length=1000, label=label, file=sys.stderr)

    def progress(done: int, steps: int) -> None:
        drawn.update(done * 1000 // steps - drawn.pos)

    # Not `with`: interrupted while it enters that, it would leave the cursor hidden.
    try:
        drawn.render_progress()
        yield progress
    finally:
        drawn.render_finish()


@click.command()
@path_argument
@table_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def info(path: str, table: bytes | None, as_json: bool) -> None:
    """Show what is in a store, decoding nothing."""
    found = inspect(path, table=table)
    click.echo(json.dumps(attrs.asdict(found), indent=2) if as_json else report(found))


def report(found: StoreInfo) -> str:
    """What `stones info` shows to people."""
    written = found.serializer and format_name(found.serializer, found.checksums)
    rows = [
        ("entries", f"{found.entries:,}, {_size(found.size)}"),
        ("file", f"{_size(found.file_size)}, of which {_size(found.used_size)} in use"),
        ("written by", written or "stones 0.3, which did not note the serializer"),
    ]
    if found.version != "0.3":
        rows += [("format", _format_row(use)) for use in found.formats]
    if found.migrating:
        rows.append(("migration", f"to {written}, unfinished: migrate again to go on"))
    rows += [
        ("collection", f"{use.name}: {use.records:,} records, {_size(use.size)}")
        for use in found.collections
    ]
    if found.index_entries:
        rows.append(("indexes", f"{found.index_entries:,} entries"))
    return "\n".join([found.path, *(f"  {title:<12}{text}" for title, text in rows)])


def _format_row(use: FormatUse) -> str:
    name = use.serializer or ("damaged, empty" if use.id is None else f"not listed, {use.id}")
    return f"{format_name(name, use.checksums)}: {use.values:,} values, {_size(use.size)}"


def _size(count: float) -> str:
    if count < 1000:
        return f"{count:,.0f} bytes"
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log(count, 1000)), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@path_argument
@json_option
@trust_option
@opening
def check(path: str, as_json: bool, written: str | None, **options: Any) -> None:
    """Look for damage: in the file, the metadata, each value, each count.

    One finding a line, and exit code 1 if there are any. It works while others write.
    """
    from stones.repair.check import check

    found = check(path, serialize=written, **options)
    if as_json:
        click.echo(json.dumps({**_plain(found), "sound": found.sound}, indent=2))
    elif found.sound:
        click.echo(f"{path} is sound: {found.entries:,} values{_unread(found.unread)}")
    else:
        _print_findings(found.findings, found.more)
    if not found.sound:
        raise click.exceptions.Exit(FAILED)


@click.command()
@path_argument
@click.argument("new", type=click.Path())
@json_option
@trust_option
@opening
def salvage(path: str, new: str, as_json: bool, written: str | None, **options: Any) -> None:
    """Write all that can be read of a damaged store into a new one at NEW.

    What is lost is printed, one thing a line, and then the exit code is 1. PATH is not changed;
    nothing else may use it meanwhile.
    """
    from stones.repair.salvage import salvage

    done = salvage(path, new, serialize=written, **options)
    if as_json:
        click.echo(json.dumps({**_plain(done), "whole": done.whole}, indent=2))
    else:
        _print_findings(done.lost, done.more)
        stray = f", {done.stray:,} of them from lost pages" if done.stray else ""
        click.echo(f"{done.entries:,} entries are in {new} now{stray}{_unread(done.unread)}")
    if not done.whole:
        raise click.exceptions.Exit(FAILED)


@click.command()
@path_argument
@click.argument("new", type=click.Path())
@click.option("--no-compact", is_flag=True, help="Copy the file as it is, gaps and all.")
@table_option
def backup(path: str, new: str, no_compact: bool, table: bytes | None) -> None:
    """Copy a store to NEW, as of one instant, while others write.

    NEW is there whole and on the disk in the end, or not at all.
    """
    engine = LmdbEngine.open(path, readonly=True, create=False, table=table)
    try:
        write_backup(engine, new, compact=not no_compact)
    finally:
        engine.close()


def _plain(found: Any) -> dict[str, Any]:
    """A result for JSON; a key is written as the other commands show it."""
    return attrs.asdict(
        found,
        value_serializer=lambda _, __, value: show_key(value) if type(value) is bytes else value,
    )


def _print_findings(findings: Sequence[Any], more: int) -> None:
    for finding in findings:
        key = "" if finding.key is None else f"{show_key(finding.key)}: "
        click.echo(key + " ".join(finding.what.split()))
    if more:
        click.echo(f"and {more:,} more")


def _unread(count: int) -> str:
    return f"; {count:,} could not be looked into, --trust-pickle reads pickles" if count else ""


class Interrupted(click.ClickException):
    exit_code = INTERRUPTED
