"""What `check` and `salvage` report: one thing that is wrong in a store."""

from attrs import field, frozen


@frozen
class DamageFinding:
    """One thing that is wrong in a store.

    >>> from pathlib import Path
    >>> from stones import LmdbStore, check, stone
    >>> with stone('damaged-db', LmdbStore, serialize='json') as store:
    ...     store['key'] = 'value'
    >>> file = Path('damaged-db/data.mdb')
    >>> size = file.write_bytes(file.read_bytes().replace(b'"value"', b"'value'"))
    >>> (found,) = check('damaged-db').findings
    >>> print(found.key, found.what)
    b'key' the value of b'key' cannot be read: JSONDecodeError: ...
    """

    what: str
    """The damage and its place, in words."""
    key: bytes | None = None
    """The key of the damaged entry, or None if the damage is not in one entry."""
    repairable: bool = field(default=False, kw_only=True)
    """Whether `check(path, repair=True)` mends it: a count, or an entry of an index."""
