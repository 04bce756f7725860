"""The commands on a whole store: `check`, `salvage`, `backup`, `compact`."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import click

from stones.engine import Engine
from stones.engines.lmdb.directory import COMPACTING
from stones.formats.messages import show_count, show_size
from stones.stores.backup import write_backup
from stones.stores.existing import check_lmdb_options, lmdb_path, open_database
from stones.stores.key_text import show_key

from .examples import Command
from .opening import given_keys
from .options import (
    FAILED,
    json_option,
    path_argument,
    stones03_options,
    table_option,
    trust_option,
)
from .progress import file_bar, progress_bar

SALVAGE = "`stones salvage` writes a new store"


@click.command(
    cls=Command,
    examples="""
        # look for damage: exit code 1 if there is any
        stones check my-db
        # make wrong counts and indexes again from the records
        stones check my-db --repair
        # look into the encrypted values too
        stones check secret-db --key-file secret.key
    """,
)
@path_argument
@click.option("--repair", is_flag=True, help="Mend counts and indexes from the records.")
@json_option
@trust_option
@stones03_options
def check(path: str, repair: bool, as_json: bool, **options: Any) -> None:
    """Look for damage in the metadata, each value, each count and each index.

    Of an LMDB store, each page of the file is looked at too. SQLite looks at its own file.

    Each finding is one line, and with findings the exit code is 1. Other programs may write to the
    store meanwhile. With --repair, counts and indexes are made again from the records, and what was
    mended is told. Then the store is checked again.
    """
    from stones.repair.check import check

    with progress_bar("check", "entries") as progress:
        found = check(path, repair=repair, encrypt=given_keys(), progress=progress, **options)
    if as_json:
        click.echo(json.dumps({**_plain(found), "sound": found.sound}, indent=2))
    else:
        for what in found.mended:
            click.echo(f"mended: {_one_line(what)}")
        _print_findings(found.findings, found.more)
        if found.sound:
            values = show_count(found.entries, "value")
            click.echo(f"{found.path} is sound: {values}{_unread(found.unread)}")
        elif not repair and any(finding.repairable for finding in found.findings):
            click.echo("`stones check --repair` mends counts and indexes", err=True)
        elif repair and not found.mended:
            advice = "make a backup of what can be read" if lmdb_path(path) is None else SALVAGE
            click.echo(f"nothing was mended: {advice}", err=True)
        if not found.sound and not found.snapshot:
            click.echo(
                "a program that wrote during the check may be the cause: its engine has no "
                "snapshots; check again while no program writes",
                err=True,
            )
        _print_indexes(found.indexes, err=not found.sound)
    if not found.sound:
        raise click.exceptions.Exit(FAILED)


def _print_indexes(indexes: Sequence[Any], *, err: bool) -> None:
    for index in indexes:
        for note in _index_notes(index):
            name = f"the index {index.name!r} of the collection {index.collection!r}"
            click.echo(f"{name} {note}", err=err)


def _index_notes(index: Any) -> Iterator[str]:
    """What is no damage, and what the user should know."""
    if index.state == "failed":
        yield f"has failed: {_one_line(index.problem)}"
    elif index.unchecked is not None:
        yield f"was not compared: {index.unchecked}"
    if index.state == "building":
        yield "is unfinished: build_indexes() or --repair finishes it"


@click.command(
    cls=Command,
    examples="""
        # write what can be read of a damaged store into a new one
        stones salvage my-db new-db
    """,
)
@path_argument
@click.argument("new", type=click.Path(readable=False))
@json_option
@trust_option
@stones03_options
def salvage(path: str, new: str, as_json: bool, **options: Any) -> None:
    """Write all that can be read of a damaged LMDB store into a new store at NEW.

    Each loss is one line, and with losses the exit code is 1. PATH is not changed. No other program
    may use it during the salvage.
    """
    from stones.repair.salvage import salvage

    with progress_bar("salvage", "entries") as progress:
        done = salvage(path, new, encrypt=given_keys(), progress=progress, **options)
    if as_json:
        click.echo(json.dumps({**_plain(done), "whole": done.whole}, indent=2))
    else:
        _print_findings(done.lost, done.more)
        stray = f", {done.stray:,} of them from lost pages" if done.stray else ""
        entries = show_count(done.entries, "entry", "entries")
        verb = "is" if done.entries == 1 else "are"
        click.echo(f"{entries} {verb} in {new} now{stray}{_unread(done.unread)}")
        _print_indexes(done.indexes, err=not done.whole)
    if not done.whole:
        raise click.exceptions.Exit(FAILED)


@click.command(
    cls=Command,
    examples="""
        # a copy as of one moment, while programs write
        stones backup my-db my-backup
        # the backup of a store of any kind is a store on LMDB
        stones backup sqlite:app.db app-backup
    """,
)
@path_argument
@click.argument("new", type=click.Path(readable=False))
@click.option("--no-compact", is_flag=True, help="Copy the file as it is, with its gaps.")
@table_option
def backup(path: str, new: str, no_compact: bool, table: bytes | None) -> None:
    """Copy a store of any kind, as it is at one moment, to an LMDB store in a new directory NEW.

    Other programs may write to the store during the backup. NEW appears complete and safe on the
    disk, or not at all.
    """
    target = lmdb_path(new)
    if target is None:
        raise click.BadParameter("a backup is a directory: give a path", param_hint="NEW")
    with _engine(path, table) as engine:
        if lmdb_path(path) is None:
            with progress_bar("backup", "entries") as progress:
                write_backup(engine, target, progress=progress)
        else:  # LMDB copies its file in one call
            made = os.path.join(f"{target}.partial", "data.mdb")
            with file_bar("backup", made, engine.stats().get("used_size")):
                write_backup(engine, target, compact=not no_compact)
        if not engine.supports.snapshots:
            click.echo(
                "the engine has no snapshots: what was written meanwhile may be in part "
                "in the copy",
                err=True,
            )


@contextmanager
def _engine(place: str, table: bytes | None) -> Iterator[Engine]:
    """The engine of the store at a path or URL, until the block ends."""
    path = lmdb_path(place)
    if path is None:
        check_lmdb_options(place, table)
        with open_database(place, readonly=True) as database:
            yield database.engine
        return
    from stones.engines.lmdb.engine import LmdbEngine  # it loads the client of LMDB

    opened = LmdbEngine.open(path, readonly=True, create=False, table=table)
    try:
        yield opened
    finally:
        opened.close()


@click.command(
    cls=Command,
    examples="""
        # make the file as small as it can be
        stones compact my-db
        # the same of a store on SQLite, which other programs may have open
        stones compact sqlite:app.db
    """,
)
@path_argument
@json_option
def compact(path: str, as_json: bool) -> None:
    """Give the free space of a store back to the disk.

    PATH is the path of a store on LMDB, or the URL of one on SQLite or LevelDB. Its file becomes as
    small as that of a new store with the same entries. No other program may have the store open,
    unless it is on SQLite. The disk needs room for a second file meanwhile. If the command is
    killed, the store at PATH stays valid.
    """
    from stones.repair.compacting import compact

    place = lmdb_path(path) or path
    data = os.path.join(place, "data.mdb")
    size = os.path.getsize(data) if os.path.exists(data) else None
    with file_bar("compact", os.path.join(place, COMPACTING, "data.mdb"), size):
        done = compact(path)
    if as_json:
        click.echo(json.dumps(_plain(done), indent=2))
    else:
        click.echo(f"{show_size(done.before)} before, {show_size(done.after)} now")


def _plain(found: Any) -> dict[str, Any]:
    """A report as a dict for JSON. A key is text, as the other commands show it."""
    return attrs.asdict(
        found,
        value_serializer=lambda _, __, value: show_key(value) if type(value) is bytes else value,
    )


def _print_findings(findings: Sequence[Any], more: int) -> None:
    for finding in findings:
        key = "" if finding.key is None else f"{show_key(finding.key)}: "
        click.echo(key + _one_line(finding.what))
    if more:
        click.echo(f"and {more:,} more")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unread(count: int) -> str:
    advice = "--trust-pickle reads pickles, --key-file decrypts"
    return f"; {count:,} could not be looked into: {advice}" if count else ""
