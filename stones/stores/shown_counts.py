"""How many entries the repr of a store, a namespace or a collection shows, if any."""

from collections.abc import Sized

from stones.errors import StoneError, StoreClosedError
from stones.formats.messages import show_count

from .database_reader import DatabaseReader


def shown_count(counted: Sized, database: DatabaseReader, one: str, more: str | None = None) -> str:
    """How many entries `counted` has: `3 records`. Never raises because of the store.

    Empty if the engine cannot count without reading all. `closed` after the end of the store. If
    the count is damaged, or there is no server, it names the error.
    """
    if not database.engine.supports.counts and not getattr(database, "closed", False):
        return ""  # repr() must not read a whole store
    try:
        return show_count(len(counted), one, more)
    except StoreClosedError:
        return "closed"
    except StoneError as error:
        return f"cannot be counted, {type(error).__name__}"
