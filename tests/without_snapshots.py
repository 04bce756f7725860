"""Where one case of many takes a snapshot, and the engine may have no snapshots."""

import pytest

from stones import UnsupportedError


def refuses_snapshots(store, use):
    """Whether the engine has no snapshots. Then `use`, which takes one, says so by an error."""
    if store.database.engine.supports.snapshots:
        return False
    with pytest.raises(UnsupportedError, match="has no snapshots"):
        use(store)
    return True
