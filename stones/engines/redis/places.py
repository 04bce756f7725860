"""The keys of a store in a Redis server, and what is told of the server when a store is opened."""

from attrs import frozen

from stones.engine import Space
from stones.errors import StorageError, StoreOpenError

from .scripts import PROBE
from .server import Server

LAYOUT = b"1"
OLDEST = (6, 2)
"""The oldest version of the server that has all commands."""


@frozen
class Places:
    """The names of the keys of a store. Their braces keep them in one slot of a cluster."""

    head: bytes
    """A hash: the layout, and for each space its version, which each commit makes larger."""
    orders: tuple[bytes, ...]
    """For each space a sorted set of its keys, all with the score 0."""
    values: tuple[bytes, ...]
    """For each space a hash of its values."""
    sums: bytes
    """A hash."""

    @classmethod
    def of(cls, prefix: str) -> "Places":
        """The keys under a prefix."""
        stem = b"{" + prefix.encode() + b"}:"
        return cls(
            head=stem + b"head",
            orders=tuple(stem + space.name.lower().encode() + b":keys" for space in Space),
            values=tuple(stem + space.name.lower().encode() + b":values" for space in Space),
            sums=stem + b"sums",
        )

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, in the order that the scripts know."""
        pairs = zip(self.orders, self.values, strict=True)
        return (self.head, *(key for pair in pairs for key in pair), self.sums)

    def staged(self, name: str) -> bytes:
        """A list, in which a large transaction is sent before its commit."""
        return self.head + b":" + name.encode()

    def frozen(self, name: str) -> "Places":
        """The keys of a copy of the store."""
        stem = self.staged(name) + b":"
        return Places(
            head=stem + self.head,
            orders=tuple(stem + key for key in self.orders),
            values=tuple(stem + key for key in self.values),
            sums=stem + self.sums,
        )


def open_places(server: Server, places: Places, *, readonly: bool, create: bool) -> None:
    """Make an empty store, unless there is one, and see whether the user may write to it.

    Raises StoreOpenError if there is no store and `create` is not set, or if other keys have these
    names. Also if a newer version of stones has made the store.
    """
    types = {}
    for key in places.keys:
        kind = server.call("TYPE", key)
        wanted = b"zset" if key in places.orders else b"hash"
        if kind not in (b"none", wanted):
            raise StoreOpenError(
                f"{server.shown!r} is not a store: the key {key!r} is a {kind.decode()} of another "
                "program; take another prefix"
            )
        types[key] = kind
    layout = server.call("HGET", places.head, "layout")
    if layout is None and any(kind != b"none" for kind in types.values()):
        raise StoreOpenError(
            f"{server.shown!r} is not a store: there are keys of another program; take another "
            "prefix"
        )
    if layout is None and (readonly or not create):
        raise StoreOpenError(f"there is no store at {server.shown!r}")
    if layout not in (None, LAYOUT):
        raise StoreOpenError(
            f"the store {server.shown!r} has the layout {layout!r:.40}: a newer version of stones "
            "has written it"
        )
    if not readonly:
        try:
            server.run_change(PROBE, (*places.keys, places.staged("probe")), LAYOUT)
        except StorageError as error:
            raise StoreOpenError(
                f"cannot write to the store, which readonly=True would not need: {error}"
            ) from error


def durability_of(server: Server) -> str:
    """What a commit has survived when it returns, as far as the server tells.

    Raises StoreOpenError for a server that is too old, or that may drop entries when it is full.
    """
    facts = {}
    for line in server.call("INFO").decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        facts[name] = value
    version = facts.get("redis_version", "0")
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
    if numbers < OLDEST:
        raise StoreOpenError(f"the server of {server.shown!r} is Redis {version}: 6.2 is needed")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys") and facts.get("maxmemory", "0") != "0":
        raise StoreOpenError(
            f"the server of {server.shown!r} drops keys when its memory is full "
            f"(maxmemory-policy {policy}), which would destroy the store: set it to noeviction"
        )
    if facts.get("aof_enabled", "0") != "1":
        return "none"
    try:
        _, fsync = server.call("CONFIG", "GET", "appendfsync")
    except (StorageError, ValueError):  # servers that others manage refuse it
        return "unknown"
    return "full" if fsync == b"always" else "lazy"
