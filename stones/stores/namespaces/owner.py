"""Which dict of a store writes a key: a namespace, or the store itself."""

from typing import Any

from stones.stores.claims import namespace_names
from stones.stores.store import Store
from stones.stores.writer import Writer


def writable_at(store: Store[Any, Any], stored: bytes) -> tuple[Writer[Any, Any], bytes]:
    """The dict through which a key of the store is written, and its key there.

    That is the namespace that has the key, or the store itself.
    """
    head, slash, rest = stored.partition(b"/")
    with store.database.reading() as txn:
        spaces = {name.encode(): name for name in namespace_names(txn)} if slash and rest else {}
    if head in spaces:
        return store.namespace(f"{spaces[head]}/"), rest
    return store, stored
