"""The command `stones copy`: a store to another place, between any two engines."""

import json
from contextlib import ExitStack
from typing import Any

import attrs
import click

from stones.errors import EncryptionKeyError, MigrationError, UnfinishedCopyError
from stones.formats.messages import show_count
from stones.formats.unfinished import UnfinishedCopy
from stones.stores.existing import lmdb_path
from stones.stores.opening import stone
from stones.stores.schemes import scheme_of
from stones.stores.store import Store

from .completion import StorePath
from .examples import Command
from .opening import given_keys, open_store, shown
from .options import (
    Interrupted,
    json_option,
    key_file_option,
    serializer_choice,
    stones03_options,
    trust_option,
)
from .progress import progress_bar


@click.command(
    cls=Command,
    examples="""
        # copy a store to SQLite, while programs use it
        stones copy my-db sqlite:copy.db
        # bring that copy up to date
        stones copy my-db sqlite:copy.db --replace
        # encode the values anew in the copy
        stones copy my-db json-db --to json
    """,
)
@click.argument("source", metavar="SRC", type=StorePath())
@click.argument("target", metavar="DST", type=StorePath())
@click.option("--snapshot", is_flag=True, help="Copy the store as it is at the beginning.")
@click.option("--replace", is_flag=True, help="Replace what DST has. Only what differs is written.")
@click.option("--to", type=serializer_choice, help="Encode the values anew, by this serializer.")
@json_option
@key_file_option
@trust_option
@stones03_options
def copy(
    source: str,
    target: str,
    snapshot: bool,
    replace: bool,
    to: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Copy a store of any kind to another place, with collections, indexes and all it knows.

    SRC and DST are paths or URLs. Other programs may read and write SRC meanwhile. DST is made if
    it is not there. If you interrupt the copy, no program opens DST. Run the command again to go
    on. At the end every value has been compared. --replace brings an older copy up to date.
    """
    from stones.migrations.transfer.copying import copy
    from stones.migrations.transfer.readability import check_readable

    is_named = options["serialize"] is not None or options["table"] is not None
    try:
        with ExitStack() as stack:
            origin: Any = source
            if is_named or to is not None:
                origin = stack.enter_context(open_store(source, **options))
            place: Any = target
            if to is not None:
                check_readable(origin.database)  # before a target is made that stays empty
                place = _made(target, to, origin)
                if not isinstance(place, str):
                    stack.enter_context(place)
            progress = stack.enter_context(progress_bar("copy", "entries"))
            done = copy(
                origin,
                place,
                snapshot=snapshot,
                replace=replace,
                keys=given_keys(),
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: no program opens the copy until it is finished; run this again to go on"
        ) from None
    if as_json:
        click.echo(json.dumps(attrs.asdict(done), indent=2))
        return
    entries = show_count(done.entries, "entry", "entries")
    indexed = show_count(done.index_entries, "entry", "entries")
    more = f", and {indexed} of indexes" if done.index_entries else ""
    click.echo(f"{entries}{more}: {shown(target)} is a copy now, with every value compared")


def _made(target: str, serializer: str, source: Store[Any, Any]) -> Any:
    """The store at a place, opened or made with a serializer; its place if it is unfinished.

    If the source has checksums, or is compressed or encrypted, so is the new store.
    """
    path = lmdb_path(target)
    metadata = source.database.metadata()
    # Values of stones 0.3 and of shelve have no format that is noted.
    formats = [metadata.formats[id] for id in metadata.in_use if not source.database.is_stones03]
    wanted: dict[str, Any] = {"checksums": metadata.checksums}
    if any(format.encryption for format in formats):
        wanted["encrypt"] = given_keys()
    if metadata.write.compression and scheme_of(target) not in ("dbm", "json"):
        wanted["compress"] = metadata.write.compression
    place = target if path is None else f"lmdb:{path}"
    try:
        try:
            return stone(place, serialize=serializer, **wanted)
        except EncryptionKeyError:  # it is encrypted, and the source is not
            if "encrypt" in wanted or given_keys() is None:
                raise
            return stone(place, serialize=serializer, encrypt=given_keys(), **wanted)
    except UnfinishedCopyError:  # its note names its format
        _check_goes_on(target, serializer, source)
        return target


def _check_goes_on(target: str, serializer: str, source: Store[Any, Any]) -> None:
    """Raise MigrationError if an unfinished copy is of another store, or by another serializer."""
    from stones.migrations.transfer.places import identity, opened
    from stones.migrations.transfer.target import noted_metadata

    with opened(target, readonly=True, create=False) as database:
        note = database.engine.read(UnfinishedCopy.read)
    if note is None:
        return
    written_by = (noted_metadata(note) or source.database.metadata()).write.serializer
    if note.source != identity(source.database) or written_by != serializer:
        raise MigrationError(
            f"{shown(target)} is an unfinished copy of {note.source!r:.200}, and its values are "
            f"written by {written_by}: run that copy again, or remove {shown(target)} and copy "
            "anew"
        )
