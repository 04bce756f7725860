"""What the stores whose files are written whole have in common: `durability`, and first entries."""

from typing import Literal

from stones.engine import Space
from stones.engines.memory import MemoryEngine
from stones.formats.metadata import Metadata, write_formats

Durability = Literal["full", "lazy", "none"]
"""What a write has survived when it returns: see `JsonFileStore` and `DbmStore`."""


def metadata_entries(metadata: Metadata) -> dict[bytes, bytes]:
    """The entries of `Space.META` that say what `metadata` says, for new files."""
    engine = MemoryEngine()
    engine.write(lambda txn: write_formats(txn, metadata))
    return dict(engine.begin().scan(Space.META))
