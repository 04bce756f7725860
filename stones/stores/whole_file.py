"""What the stores have in common whose files are written whole: the option `durability`."""

from typing import Literal, get_args

from stones.errors import StoreOpenError
from stones.formats.messages import show

Durability = Literal["full", "lazy", "none"]
"""What a write has survived when it returns: see `JsonFileStore` and `DbmStore`."""


def check_durability(durability: object) -> None:
    """Raise StoreOpenError unless the option `durability` is one of those."""
    if durability not in get_args(Durability):
        raise StoreOpenError(
            f"durability is one of {', '.join(get_args(Durability))}, not {show(durability)}"
        )
