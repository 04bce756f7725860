"""The command `import`: the entries of a file of another program, into a store.

DST may be a store that is not there yet. Then it is made, and is removed again if nothing is
imported. A dry run tries such a store in a folder of its own.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import click

from stones.errors import StoreOpenError
from stones.formats.messages import show_count
from stones.stores.existing import lmdb_path
from stones.stores.key_text import show_key
from stones.stores.opening import stone
from stones.stores.schemes import scheme_of
from stones.stores.store import Store

from .completion import StorePath
from .examples import Command
from .keys import Key
from .opening import open_store, shown
from .options import FAILED, json_option, key_file_option, serializer_choice, trust_option
from .progress import progress_bar
from .records import check_collection, class_of
from .terminal_text import printable

KINDS = (
    "shelve",
    "dbm",
    "sqlitedict",
    "diskcache",
    "tinydb",
    "json-folder",
    "jsonl",
    "plain-jsonl",
    "csv",
    "nedb",
    "stones03",
)
_SHOWN = 100
"""So many failures of a dry run are printed."""
_IN_FILES = ("sqlite", "json", "dbm", "leveldb")
"""The schemes of stores that are at a path."""


@click.command(
    "import",
    cls=Command,
    examples="""
        # each line of a file as an entry with the key that is in its field name
        stones import people.jsonl new-db --key name
        # records of a collection, each checked by its class
        stones import people.csv my-db --class models:User
        # records of a collection whose records are there already
        stones import people.jsonl my-db --collection User \\
          --on-duplicate replace
        # what another program prints
        stones export my-db Note | stones import - notes-db --key id
        # try it first, and write nothing
        stones import people.csv my-db --class models:User \\
          --on-duplicate skip --dry-run
    """,
)
@key_file_option
@click.argument("path", type=click.Path(readable=False))
@click.argument("store", metavar="DST", type=StorePath())
@click.option(
    "--kind", type=click.Choice(KINDS), help="The kind of the file, where PATH does not show it."
)
@click.option(
    "--class",
    "class_name",
    metavar="MODULE:CLASS",
    help="Import into a collection of this class, which checks each record.",
)
@click.option(
    "--collection",
    metavar="NAME",
    help="Import into this collection. It has to be there, or --class names its class.",
)
@click.option("--key", metavar="FIELD", help="The field that has, or gets, the key of each entry.")
@click.option("--prefix", type=Key(), metavar="KEY", help="What comes before each raw key.")
@click.option("--table", metavar="NAME", help="The table of a file that has several; * is all.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["error", "skip", "replace"]),
    default="error",
    help="What to do where a key is there already.",
)
@click.option("--delimiter", metavar="CHARACTER", help="What separates the cells of CSV.")
@click.option("--encoding", metavar="NAME", default="utf-8", help="The encoding of CSV.")
@click.option(
    "--from", "serializer", metavar="NAME", help="The serializer of a stones 0.3 database."
)
@click.option(
    "--create",
    type=serializer_choice,
    metavar="NAME",
    help="The serializer of DST if it has to be made; msgpack unless it is named.",
)
@trust_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing, and list what cannot be taken over. The exit code is 1 if there is any.",
)
@json_option
def import_(
    path: str,
    store: str,
    class_name: str | None,
    collection: str | None,
    prefix: bytes | None,
    create: str | None,
    trust_pickle: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Take over the entries of PATH, a file or folder that another program has written.

    PATH is a file of shelve, dbm, sqlitedict, TinyDB, NeDB or stones 0.3, a folder of diskcache, a
    folder or file of JSON, JSON Lines, or CSV. "-" is standard input, with JSON Lines unless --kind
    is given.

    All entries are written to DST in one transaction, or none of them. PATH is only read. DST is
    made if there is no store. With --collection alone, a record has to have the fields and types of
    the records that are there. With --class, the class checks it.
    """
    from stones.migrations.imports.importing import import_from

    options |= {"trust_pickle": trust_pickle, "dry_run": dry_run}
    record = None if class_name is None else class_of(class_name)
    if record is None and collection is None:
        options["prefix"] = prefix or b""
    elif prefix is not None:
        raise click.UsageError("--prefix is for raw keys: leave it out for a collection")
    with (
        _file(path, options) as file,
        _opened_or_made(store, create, trust_pickle, dry_run) as opened,
    ):
        target = opened
        if record is not None or collection is not None:
            target = _collection(opened, store, collection, record)
        with progress_bar("import", "entries") as progress:
            report = import_from(file, target, progress=progress, **options)
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2))
    else:
        click.echo("\n".join(_lines(report, shown(store), dry_run)))
    return FAILED if report.failed else 0


def _collection(store: Store[Any, Any], place: str, name: str | None, record: type | None) -> Any:
    """The collection that is imported into. Without its class it has to be there."""
    from stones.collections.collection import Collection

    if record is not None:
        return Collection(store, record, name)
    assert name is not None
    hint = "; name the class of a new one with --class"
    check_collection(store, place, name, hint=hint)
    return Collection.without_class(store, name)


@contextmanager
def _file(path: str, options: dict[str, Any]) -> Iterator[str]:
    """The file to import. `-` is standard input, which is copied to a file first."""
    if path != "-":
        yield path
        return
    if options["kind"] is None:
        options["kind"] = "jsonl"
    with tempfile.TemporaryDirectory() as folder:
        copied = os.path.join(folder, "stdin")
        with open(copied, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copied


@contextmanager
def _opened_or_made(
    place: str, create: str | None, trust_pickle: bool, dry_run: bool
) -> Iterator[Store[Any, Any]]:
    """The store at a path or URL. If there is no store, it is made, or is one to try."""
    path = lmdb_path(place)
    found = None
    if path is None or os.path.exists(os.path.join(path, "data.mdb")):
        try:
            found = open_store(place, None, None, trust_pickle=trust_pickle)
        except StoreOpenError:
            if scheme_of(place) not in _IN_FILES:
                raise
    if found is not None:
        with found:
            yield found
        return
    options: dict[str, Any] = {"serialize": create}
    if create is None:
        options = {} if scheme_of(place) == "json" else {"serialize": "msgpack"}
    scheme = scheme_of(place) if path is None else "lmdb"
    if dry_run:
        with (
            tempfile.TemporaryDirectory() as folder,
            _made(f"{scheme}:{folder}/trial", options) as store,
        ):
            yield store
        return
    with _made(place if path is None else f"lmdb:{path}", options) as store:
        try:
            yield store
        except BaseException:
            store.destroy(yes_im_sure=True)
            raise


def _made(place: str, options: Mapping[str, Any]) -> Store[Any, Any]:
    made: Store[Any, Any] = stone(place, **options)
    return made


def _lines(report: Any, place: str, dry_run: bool) -> Iterator[str]:
    """What the command prints for people."""
    entries = show_count(report.written, "entry", "entries")
    read = f"{report.entries:,} in the file"
    if dry_run:
        yield f"{report.kind}: would write {entries} to {place}, of {read}; nothing was written"
    else:
        yield f"{report.kind}: {entries} written to {place}, of {read}"
    if report.skipped:
        yield f"  left out   {show_count(report.skipped, 'key')} that were there already"
    if report.expired:
        yield f"  left out   {show_count(report.expired, 'entry', 'entries')} that had expired"
    for note in report.notes:
        yield f"  note       {printable(note)}"
    for failure in report.failures[:_SHOWN]:
        yield f"  cannot     {printable(str(failure))}"
    if report.failed > _SHOWN:
        yield f"  cannot     {report.failed - _SHOWN:,} more"


def _plain(report: Any) -> dict[str, Any]:
    """The report as JSON can hold it: keys as they are typed."""
    plain = attrs.asdict(report)
    for failure in plain["failures"]:
        key = failure["key"]
        failure["key"] = show_key(key) if type(key) is bytes else key and str(key)
    return plain
