"""The commands of `stones`, by name. The module of a command is imported when it runs.

So `stones get` does not wait for what other commands need, and neither does `stones --help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from .usage import Commands

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Place(NamedTuple):
    """Where a command is, and the first sentence of its help."""

    module: str
    function: str
    help: str


GROUPS: dict[str, dict[str, Place]] = {
    "Look into a store": {
        "collections": Place(
            "collection_commands",
            "collections",
            "List the collections, with their counts, keys, fields and indexes.",
        ),
        "indexes": Place(
            "collection_commands",
            "indexes",
            "List the indexes of all collections, or of COLLECTION, and whether they are ready.",
        ),
        "info": Place(
            "info_command", "info", "Show the formats, collections and sizes of a store."
        ),
        "keys": Place("entry_commands", "keys", "Print the keys in order, one a line."),
        "serve": Place(
            "serve_command",
            "serve",
            "Serve pages to look into a store, for a browser on this machine.",
        ),
        "shell": Place(
            "shell_command", "shell", "Open a Python prompt with the store and its collections."
        ),
    },
    "Entries and records": {
        "get": Place("entry_commands", "get", "Print the value of KEY, as Python writes it."),
        "find": Place(
            "find_command",
            "find",
            "Print the records of COLLECTION that match, in the order of their keys.",
        ),
        "count": Place("find_command", "count", "Print how many records of COLLECTION match."),
        "put": Place("write_commands", "put", "Set the value of KEY, or store the record of KEY."),
        "add": Place(
            "write_commands", "add", "Store a new record in COLLECTION, and print its key."
        ),
        "update": Place(
            "write_commands",
            "update",
            "Change some fields of the record of KEY, and leave the others as they are.",
        ),
        "edit": Place(
            "edit_command",
            "edit",
            "Change the value or the record of KEY in an editor, as JSON.",
        ),
        "delete": Place(
            "write_commands", "delete", "Remove KEY and its value, or the record of KEY."
        ),
    },
    "Other files": {
        "export": Place(
            "export_command",
            "export",
            "Write the entries of a store, or the records of COLLECTION.",
        ),
        "import": Place(
            "import_command",
            "import_",
            "Take over the entries of PATH, a file or folder that another program has written.",
        ),
    },
    "A whole store": {
        "backup": Place(
            "store_commands",
            "backup",
            "Copy a store of any kind, as it is at one moment, to an LMDB store in a new directory "
            "NEW.",
        ),
        "bench": Place(
            "bench_command",
            "bench",
            "Measure how fast this store is on this machine: reads, scans, writes, and the disk.",
        ),
        "check": Place(
            "store_commands",
            "check",
            "Look for damage in the metadata, each value, each count and each index.",
        ),
        "compact": Place(
            "store_commands", "compact", "Give the free space of a store back to the disk."
        ),
        "copy": Place(
            "copy_command",
            "copy",
            "Copy a store of any kind to another place, with collections, indexes and all it "
            "knows.",
        ),
        "salvage": Place(
            "store_commands",
            "salvage",
            "Write all that can be read of a damaged LMDB store into a new store at NEW.",
        ),
    },
    "Change what is stored": {
        "migrate": Place(
            "migrate_command",
            "migrate",
            "Re-encode all values: --to another serializer, compressed or not, encrypted or not.",
        ),
        "migrations": Place(
            "migration_commands",
            "migrations",
            "Change the records of collections by numbered steps, which are files of your program.",
        ),
    },
}
"""The commands in the groups in which the help lists them."""
_PLACES = {name: place for group in GROUPS.values() for name, place in group.items()}


class LazyCommands(Commands):
    """The group of all commands, which imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        module = import_module(f"stones.command_line.{place.module}")
        command: click.Command = getattr(module, place.function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from textwrap import shorten

        width = max(map(len, _PLACES))
        room = formatter.width - width - 6
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), shorten(place.help, room, placeholder="..."))
                        for name, place in sorted(group.items())
                    ]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [name for name in sorted(_PLACES) if name.startswith(incomplete)]
        if not names:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=_PLACES[name].help) for name in names]
