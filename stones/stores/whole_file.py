"""What the stores whose files are written whole have in common: `durability`, and first entries."""

from typing import Literal, get_args

from stones.engine import Space
from stones.engines.memory import MemoryEngine
from stones.errors import StoreOpenError
from stones.formats.messages import show
from stones.formats.metadata import Metadata, write_formats

Durability = Literal["full", "lazy", "none"]
"""What a write has survived when it returns: see `JsonFileStore` and `DbmStore`."""


def check_durability(durability: object) -> None:
    """Raise StoreOpenError unless the option `durability` is one of those."""
    if durability not in get_args(Durability):
        raise StoreOpenError(
            f"durability is one of {', '.join(get_args(Durability))}, not {show(durability)}"
        )


def metadata_entries(metadata: Metadata) -> dict[bytes, bytes]:
    """The entries of `Space.META` that say what `metadata` says, for new files."""
    engine = MemoryEngine()
    engine.write(lambda txn: write_formats(txn, metadata))
    return dict(engine.begin().scan(Space.META))
