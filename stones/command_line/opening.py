"""How the commands open the store at a path or URL, with the keys that the user has given."""

import os
from typing import Any

import click

from stones.errors import EncryptionKeyError, FormatMismatchError
from stones.formats.encryption_keys import KeySource, key_from_environment, key_from_file
from stones.stores.existing import check_lmdb_options, is_url, lmdb_path, shown_url
from stones.stores.existing import open_store as open_url
from stones.stores.schemes import scheme_of
from stones.stores.store import Store

KEY_VARIABLE = "STONES_KEY"
"""The environment variable with the key of encrypted stores."""
KEY_FILES = "stones.key_files"
NEW_KEY_FILE = "stones.new_key_file"
"""Under these names the options with keys leave them in `click.Context.meta`."""


def open_store(
    place: str,
    serialize: str | None,
    table: bytes | None,
    *,
    trust_pickle: bool = False,
    readonly: bool = False,
) -> Store[bytes, Any]:
    """The store at a path or URL, which has to be there.

    `serialize` is the serializer of a stones 0.3 database, or of dbm files of another program. If
    the store says another one, that one counts. So a command that migrates such a database can be
    repeated after an interruption. A key of the user's is for a store that is encrypted.
    """
    path = lmdb_path(place)
    if path is None:
        check_lmdb_options(place, None if scheme_of(place) == "dbm" else serialize, table)

    def opened(name: str | None) -> Store[bytes, Any]:
        try:
            return opened_by(name, None)
        except EncryptionKeyError:
            keys = given_keys()
            if keys is None:
                raise
            return opened_by(name, keys)

    def opened_by(name: str | None, keys: list[KeySource] | None) -> Store[bytes, Any]:
        options: dict[str, Any] = {"trust_pickle": trust_pickle, "serialize": name, "encrypt": keys}
        if path is None:
            return open_url(place, readonly=readonly, **options)
        from stones.stores.lmdb import LmdbStore  # it loads the client of LMDB

        return LmdbStore(
            path,
            readonly=readonly,
            create=False,
            table=table,
            **options,
        )

    for name in [None, serialize]:
        try:
            return opened(name)
        except FormatMismatchError:
            if serialize is None:
                raise
    # Another process began to migrate the database after the first attempt.
    return opened(None)


def shown(place: str) -> str:
    """A path or URL as a message shows it: without a password."""
    return shown_url(place) if is_url(place) else place


def given_keys() -> list[KeySource] | None:
    """The keys that the user of the running command gave, for `encrypt=`. None without any."""
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    keys = [key_from_file(file) for file in meta.get(NEW_KEY_FILE, ())]
    files = meta.get(KEY_FILES, ())
    keys += [key_from_file(file) for file in files]
    if not files and KEY_VARIABLE in os.environ:
        keys.append(key_from_environment(KEY_VARIABLE))
    return list(keys) or None
