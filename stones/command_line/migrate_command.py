"""The command `migrate`: all values of a store, or a part of them, in another format."""

from typing import Any

import click
from attrs import evolve

from stones.formats.messages import show_count

from .completion import complete_prefix
from .examples import Command
from .keys import Key
from .opening import given_keys, open_store
from .options import (
    Interrupted,
    new_key_file_option,
    path_argument,
    serializer_choice,
    stones03_options,
    trust_option,
)
from .progress import progress_bar


@click.command(
    cls=Command,
    examples="""
        # another serializer for all values
        stones migrate my-db --to cbor
        # a checksum for each value, and smaller values
        stones migrate my-db --checksums --compress zstd
        # another serializer for one collection
        stones migrate my-db --to json --prefix User/
        # a new key for an encrypted store, here one that is in a file
        cp secret.key new.key
        stones migrate secret-db --key-file secret.key --new-key-file new.key
    """,
)
@path_argument
@click.option("--to", type=serializer_choice, help="The new serializer.")
@click.option(
    "--checksums/--no-checksums", default=None, help="Whether each value gets a checksum."
)
@click.option(
    "--compress",
    type=click.Choice(["zstd"]),
    help="Compress each value, small values by a dictionary that is trained on them.",
)
@click.option("--no-compress", is_flag=True, help="Compress no value.")
@click.option(
    "--encrypt/--no-encrypt",
    default=None,
    help="Whether each value is encrypted, by the first key that is given.",
)
@new_key_file_option
@click.option(
    "--prefix",
    type=Key(),
    shell_complete=complete_prefix,
    metavar="KEY",
    help="Only the values whose keys begin so: User/ for the collection User.",
)
@trust_option
@stones03_options
def migrate(
    path: str,
    to: str | None,
    checksums: bool | None,
    compress: str | None,
    no_compress: bool,
    encrypt: bool | None,
    new_key_file: str | None,
    prefix: bytes | None,
    **options: Any,
) -> None:
    """Re-encode all values: --to another serializer, compressed or not, encrypted or not.

    What you do not name stays as it is. Other programs may read and write the store during the
    migration. If you interrupt it, the store at PATH stays valid. Run the command again to go on.
    """
    from stones.migrations.reencoding.reencode import migrate

    if compress and no_compress:
        raise click.UsageError("--compress and --no-compress together: name one of them")
    if encrypt is False and new_key_file is not None:
        raise click.UsageError("--no-encrypt and --new-key-file together: name one of them")
    changes: dict[str, Any] = {"to": to, "checksums": checksums}
    changes["compress"] = False if no_compress else compress
    if encrypt or new_key_file is not None:
        changes["encrypt"] = given_keys()
        if changes["encrypt"] is None:
            raise click.UsageError(
                "--encrypt needs a key: name its file with --key-file or --new-key-file, or let "
                "STONES_KEY in the environment have the key"
            )
    elif encrypt is False:
        changes["encrypt"] = False
    if all(change is None for change in changes.values()):
        raise click.UsageError(
            "say what to change: --to NAME, --checksums, --compress zstd, --encrypt, or one of "
            "them with --no-"
        )
    label = to or next(name for name, change in changes.items() if change is not None)
    try:
        with open_store(path, **options) as store, progress_bar(label, "values") as progress:
            done = migrate(store, **changes, prefix=prefix, progress=progress)
            metadata = store.database.metadata()
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: the store is valid, with part of it re-encoded; run this again to go on"
        ) from None
    written = evolve(metadata, write=metadata.format_of(prefix or b"")).write_name
    which = "all are" if not metadata.rules or prefix else "those without a rule of their own are"
    click.echo(
        f"{done.values:,} of {show_count(done.total, 'value')} re-encoded: {which} {written} now"
    )
