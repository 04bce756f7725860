"""What the engine of the target cannot hold: keys and values that are too long."""

from collections.abc import Sequence

from stones.engine import Space, Transaction
from stones.errors import MigrationError

from .source import CopySource
from .target import CopyTarget


def check_sizes(source: CopySource, target: CopyTarget, *, values: bool) -> None:
    """Raise MigrationError for the first key or value that the target cannot hold.

    It reads nothing if the limits of the target are no lower than those of the source. With
    `values=False` only keys are compared, since the values of the target are others.
    """
    has, takes = source.engine.supports, target.engine.supports
    key_limit = takes.max_key_size if takes.max_key_size < has.max_key_size else None
    value_limit = takes.max_value_size if values else None
    if value_limit is not None and (has.max_value_size or 1 << 62) <= value_limit:
        value_limit = None
    file_size = source.engine.stats().get("file_size")
    if value_limit is not None and file_size is not None and file_size <= value_limit:
        value_limit = None
    if key_limit is None and value_limit is None:
        return

    def look(txn: Transaction) -> None:
        for space in Space:
            for keys, raws in txn.pages(space, values=value_limit is not None):
                _check(keys, raws, key_limit, value_limit, target.database.name)

    source.engine.read(look)


def _check(
    keys: Sequence[bytes],
    raws: Sequence[bytes],
    key_limit: int | None,
    value_limit: int | None,
    name: str,
) -> None:
    if key_limit is not None and max(map(len, keys)) > key_limit:
        key = max(keys, key=len)
        raise MigrationError(
            f"nothing was written: the key {key!r:.200} has {len(key):,} bytes, and {name!r} takes "
            f"{key_limit:,} at most"
        )
    if value_limit is not None and max(map(len, raws)) > value_limit:
        key, raw = max(zip(keys, raws, strict=True), key=lambda entry: len(entry[1]))
        raise MigrationError(
            f"nothing was written: the value of {key!r:.200} has {len(raw):,} bytes, and {name!r} "
            f"takes {value_limit:,} at most"
        )
