"""The commands on the collections of a store: `collections`, `indexes`."""

from collections.abc import Sequence

import click

from .completion import complete_collection
from .examples import Command
from .opening import open_store, shown
from .options import from_option, path_argument
from .output import chosen_form, form_options, print_rows
from .typed_keys import NoSuchCollection

_COLLECTION = ("name", "records", "key", "record", "fields", "indexes", "step")
_INDEX = ("collection", "name", "paths", "unique", "each", "where", "state", "problem")


@click.command(
    cls=Command,
    examples="""
        # what collections there are, how many records they have, of which fields
        stones collections my-db
        # the same for a spreadsheet
        stones collections my-db --csv
    """,
)
@path_argument
@form_options
@from_option
def collections(path: str, form: str | None, serialize: str | None) -> None:
    """List the collections, with their counts, keys, fields and indexes.

    It reads no record. `stones info` tells their sizes too.
    """
    from stones.repair.listing import list_collections

    form = chosen_form(form)
    with open_store(path, serialize, None, readonly=True) as store:
        rows = (
            {
                "name": each.name,
                "records": each.records,
                "key": each.key,
                "record": each.record,
                "fields": _names(each.fields, form),
                "indexes": _names([index.name for index in each.indexes], form),
                "step": each.step,
            }
            for each in list_collections(store.database)
        )
        print_rows(rows, _COLLECTION, form=form)


@click.command(
    cls=Command,
    examples="""
        # the indexes of all collections
        stones indexes my-db
        # those of one collection, for a program
        stones indexes my-db User --json
    """,
)
@path_argument
@click.argument("collection", required=False, shell_complete=complete_collection)
@form_options
@from_option
def indexes(path: str, collection: str | None, form: str | None, serialize: str | None) -> None:
    """List the indexes of all collections, or of COLLECTION, and whether they are ready."""
    from stones.repair.listing import list_collections

    form = chosen_form(form)
    with open_store(path, serialize, None, readonly=True) as store:
        found = [*list_collections(store.database)]
        names = [each.name for each in found]
        if collection is not None and collection not in names:
            raise NoSuchCollection(shown(path), collection, names)
        rows = (
            {
                "collection": each.name,
                "name": index.name,
                "paths": _names(index.paths, form),
                "unique": index.unique,
                "each": index.each,
                "where": index.where,
                "state": index.state,
                "problem": index.problem,
            }
            for each in found
            if collection in (None, each.name)
            for index in each.indexes
        )
        print_rows(rows, _INDEX, form=form)


def _names(names: Sequence[str], form: str) -> Sequence[str] | str:
    """Names in a cell of a table, or as a list of JSON."""
    return ", ".join(names) if form in ("csv", "table") else [*names]
